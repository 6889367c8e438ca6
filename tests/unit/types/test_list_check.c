/* SPDX-License-Identifier: MIT */
/* What a check finds in a sparse list, and what a repair makes of it. Dense ones: test_store_check.c. */
#include "unit/types/list_fixture.h"

#include "types/list_label.h"
#include "types/store_repair.h"

static const uint64_t first = (uint64_t)1 << 63;
static struct lsm_report report;
static struct buffer said;

enum { KEY_BYTES_MAX = OBJECT_PREFIX_BYTES + 1 + 8 + 4 + 5 };

/* A part of object 1: what follows the tag is a position, a label of one part (0: none), and a piece's
 * number (-1: none). */
static struct slice element_key(uint64_t position, uint32_t label, int piece)
{
    static uint8_t at[KEY_BYTES_MAX];
    size_t size = OBJECT_PREFIX_BYTES + 9;
    object_prefix_store(at, ms.access.generation, 1);
    at[OBJECT_PREFIX_BYTES] = 'l';
    be64_store(at + OBJECT_PREFIX_BYTES + 1, position);
    if (label) {
        be32_store(at + size, label);
        size += 4;
    }
    if (piece >= 0) {
        at[size] = 0;
        be32_store(at + size + 1, (uint32_t)piece);
        size += 5;
    }
    return slice_make(at, size);
}

static struct slice node_key(uint8_t level, uint64_t index)
{
    static uint8_t at[OBJECT_PREFIX_BYTES + 10];
    object_prefix_store(at, ms.access.generation, 1);
    at[OBJECT_PREFIX_BYTES] = 'i';
    at[OBJECT_PREFIX_BYTES + 1] = level;
    be64_store(at + OBJECT_PREFIX_BYTES + 2, index);
    return slice_make(at, sizeof at);
}

/* NULL deletes it. */
static void put(struct slice key, const char *value, size_t size)
{
    ms.is_damaged = true;
    memory_store_write(&ms);
    if (value)
        access_put(&ms.access, TREE_PARTS, key, slice_make(value, size));
    else
        access_delete(&ms.access, TREE_PARTS, key);
    memory_store_end(&ms);
}

/* Changes one byte of the header's body. */
static void change_header(size_t offset, int by)
{
    uint8_t body[64];
    struct object object;
    memory_store_write(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("l"), &object), STATUS_OK);
    memcpy(body, object.body.data, object.body.size);
    body[offset] = (uint8_t)(body[offset] + by);
    object.body.data = body;
    memory_store_plant(&ms, slice_from("l"), &object);
    memory_store_end(&ms);
}

static void expect_fault(const char *what)
{
    report.text[0] = 0;
    assert_int_equal(store_check(ms.store, &report), STATUS_CORRUPT);
    if (!strstr(report.text, what))
        fail_msg("%s instead of %s", report.text, what);
}

static void middle(bool inserts, const char *pivot, const char *value)
{
    uint64_t number;
    memory_store_write(&ms);
    if (inserts)
        assert_int_equal(list_insert(&ms.access, slice_from("l"),
                                     &(struct list_insertion){.pivot = slice_from(pivot),
                                                              .value = element_of(value)},
                                     &number),
                         STATUS_OK);
    else
        assert_int_equal(list_remove(&ms.access, slice_from("l"),
                                     &(struct list_removal){.value = slice_from(pivot)}, &number),
                         STATUS_OK);
    memory_store_end(&ms);
}

/* 0 1 . 3 4 a b 5 6 7 8 9 x: head 0, tail 10; the zone 2 .. 4 */
static void make_list(void)
{
    push_words("l", "0 1 2 3 4 5 6 7 8 9 x*600");
    middle(true, "4", "b");
    middle(true, "4", "a");
    middle(false, "2", NULL);
    expect_list("l", "0 1 3 4 a b 5 6 7 8 9 x*600");
    expect_sound();
}

static const uint32_t label_b = 0x80000000, label_a = 0x7ffff000;

static void elements_are_compared_with_the_slots(void **state)
{
    (void)state;
    make_list();
    put(element_key(first + 3, 0, -1), NULL, 0);
    expect_fault("database 0, key 'l': an element is missing");
    put(element_key(first + 3, 0, -1), "\0003", 2);
    put(element_key(first + 7, 0, -1), NULL, 0);
    expect_fault("an element is missing");
    put(element_key(first + 7, 0, -1), "\0007", 2);
    put(element_key(first + 10, 0, -1), NULL, 0);
    expect_fault("an element is missing");
    put(element_key(first + 10, 0, -1), "\000x", 2);
    put(element_key(first + 4, label_a, -1), NULL, 0);
    expect_fault("an element is missing");
    put(element_key(first + 4, label_a, -1), "\000a", 2);
    expect_sound();
    put(element_key(first + 4, label_b + 1, -1), "\000c", 2);
    expect_fault("a position has too many elements");
    put(element_key(first + 4, label_b + 1, -1), NULL, 0);
    put(element_key(first + 2, 0, -1), "\000c", 2);
    expect_fault("a position has too many elements");
    put(element_key(first + 2, 0, -1), NULL, 0);
    put(element_key(first + 7, label_a, -1), "\000c", 2);
    expect_fault("a position has too many elements");
    put(element_key(first + 7, label_a, -1), NULL, 0);
    put(element_key(first + 10, label_a, -1), "\000c", 2);
    expect_fault("a position has too many elements");
    put(element_key(first + 10, label_a, -1), NULL, 0);
    put(element_key(first + 8, 0x01000000, -1), "\000c", 2);
    expect_fault("a part of the list is none");
    put(element_key(first + 8, 0x01000000, -1), NULL, 0);
    put(element_key(first + 11, label_a, -1), "\000c", 2);
    expect_fault("elements outside of its bounds will never be given back");
    put(element_key(first + 11, label_a, -1), NULL, 0);
    expect_sound();
}

static void nodes_are_compared_with_each_other(void **state)
{
    (void)state;
    make_list();
    put(node_key(0, first >> 8), "\2", 1);
    expect_fault("a part of the list is none");
    put(node_key(0, first >> 8), NULL, 0);
    expect_fault("an element is missing"); /* no slot says that 2 has none */
    put(node_key(0, first >> 8), "\4\0\2\1\2\0\2\4", 8);
    expect_sound();
    put(node_key(0, 5), "\2\1", 2);
    expect_fault("nodes of the slots that nothing leads to");
    put(node_key(0, 5), NULL, 0);
    put(node_key(1, first >> 16), "\3\5", 2);
    expect_fault("nodes of the slots that nothing leads to");
    put(node_key(1, first >> 16), NULL, 0);
    put(node_key(0, first >> 8), "\4\0\2\1\2\0\2\4\2\1", 10);
    expect_fault("a node of the slots is damaged"); /* 5 lies above the zone */
    put(node_key(0, first >> 8), "\4\0\2\1\2\0\2\4", 8);
    expect_sound();
}

static void dead_slots_are_what_the_header_counts(void **state)
{
    (void)state;
    make_list();
    memory_store_write(&ms);
    assert_int_equal(list_trim(&ms.access, slice_from("l"), 4, 9), STATUS_OK);
    memory_store_end(&ms);
    expect_list("l", "a b 5 6 7 8"); /* 3 is dead in the zone, 4 is deleted */
    expect_sound();
    change_header(8, 1);
    expect_fault("the slots count others outside of the list than its header");
    change_header(8, -1);
    change_header(9, 1);
    expect_fault("its header is damaged"); /* the zone does not reach above the tail */
    change_header(9, -1);
    memory_store_write(&ms);
    assert_int_equal(list_trim(&ms.access, slice_from("l"), 0, 0), STATUS_OK);
    memory_store_end(&ms);
    expect_list("l", "a");
    expect_sound();
}

/* A root whose child's record is lost, or says another sum. */
static void levels_of_nodes_are_compared(void **state)
{
    struct buffer words = {0};
    (void)state;
    for (unsigned i = 0; i < 900; i++)
        buffer_printf(&words, "%u ", i);
    buffer_append_text(&words, "x*600");
    buffer_append_byte(&words, 0);
    push_words("l", (const char *)words.data);
    middle(false, "5", NULL);
    middle(false, "800", NULL);
    expect_sound();
    put(node_key(0, first >> 8), NULL, 0);
    expect_fault("a node of the slots is damaged");
    put(node_key(0, first >> 8), "\12\0\2\2", 4); /* one more instead of none */
    expect_fault("an element is missing");
    put(node_key(0, first >> 8), "\12\0\2\1", 4);
    expect_sound();
    middle(true, "700", "y");
    put(node_key(1, first >> 16), "\3\1\2\0\3\2\3\0", 8); /* 0 below the fourth one instead of -1 */
    expect_fault("a node of the slots is damaged");
    buffer_release(&words);
}

static void pieces_of_an_inserted_element_are_compared(void **state)
{
    static char large[LIST_PIECE_BYTES];
    (void)state;
    make_list();
    middle(true, "a", "y*40000");
    expect_sound();
    uint32_t label = label_a + (label_b - label_a) / 2;
    memset(large, 'y', sizeof large);
    put(element_key(first + 4, label, 0), NULL, 0);
    expect_fault("an element lacks pieces");
    put(element_key(first + 4, label, 0), large, sizeof large);
    expect_sound();
    put(element_key(first + 4, label, 1), large, 1);
    expect_fault("an element lacks pieces");
    put(element_key(first + 4, label, 1), large, 40000 - sizeof large);
    put(element_key(first + 4, label_b, 7), large, 9); /* of an element that was there before */
    expect_sound();
}

static void a_dense_list_has_no_labels_and_no_slots(void **state)
{
    (void)state;
    push_words("l", "0 1 x*600");
    put(element_key(first, label_a, -1), "\000c", 2);
    expect_fault("a part of the list is none");
    put(element_key(first, label_a, -1), NULL, 0);
    put(node_key(0, first >> 8), "\2\1", 2);
    expect_fault("a part of the list is none");
    put(node_key(0, first >> 8), NULL, 0);
    expect_sound();
}

/* ---- Damage that readers meet. --------------------------------------------------------------- */

static enum status read_all(void)
{
    memory_store_read(&ms);
    enum status status = list_range(&ms.access, slice_from("l"), 0, -1, &visitor);
    memory_store_end(&ms);
    return status;
}

static enum status pop_all_but_one(void)
{
    uint64_t length = 0;
    memory_store_write(&ms);
    enum status status = list_length(&ms.access, slice_from("l"), &length);
    if (!status)
        status = list_pop(&ms.access, slice_from("l"), LIST_RIGHT, length - 1, &visitor);
    bool is_untouched = lsm_writer_is_empty(ms.access.writer);
    memory_store_end(&ms);
    assert_true(!status || is_untouched);
    return status;
}

static void expect_corrupt(void)
{
    struct slice value;
    assert_int_equal(read_all(), STATUS_CORRUPT);
    assert_int_equal(pop_all_but_one(), STATUS_CORRUPT);
    memory_store_read(&ms); /* some of it may be right */
    for (int i = 0; i < 12; i++)
        (void)list_index(&ms.access, slice_from("l"), i, &value);
    memory_store_end(&ms);
}

static void readers_refuse_what_does_not_fit(void **state)
{
    (void)state;
    make_list();
    put(element_key(first + 3, 0, -1), NULL, 0);
    expect_corrupt();
    put(element_key(first + 3, 0, -1), "\0003", 2);
    put(element_key(first + 4, label_b, -1), NULL, 0);
    expect_corrupt();
    put(element_key(first + 4, label_b, -1), "\000b", 2);
    put(element_key(first + 9, 0, -1), "", 0);
    expect_corrupt();
    put(element_key(first + 9, 0, -1), "\0009", 2);
    put(element_key(first + 8, 0x01000000, -1), "\000c", 2);
    expect_corrupt();
    put(element_key(first + 8, 0x01000000, -1), NULL, 0);
    put(node_key(0, first >> 8), "\4\0\2\1\2\0\2\x80\x01", 9); /* 64 of them */
    expect_corrupt();
    put(node_key(0, first >> 8), "\4\0\6\1", 4); /* the others are none */
    assert_int_equal(read_all(), STATUS_CORRUPT);
    put(node_key(0, first >> 8), "\x80\4\1", 3); /* nor is the head */
    assert_int_equal(read_all(), STATUS_CORRUPT);
    put(node_key(0, first >> 8), "\2", 1);
    expect_corrupt();
    put(node_key(0, first >> 8), "\4\0\2\1\2\0\2\4", 8);
    expect_list("l", "0 1 3 4 a b 5 6 7 8 9 x*600");
}

/* Of slots none of which has an element, up to beyond the list's end. */
static void a_walk_does_not_go_beyond_the_end(void **state)
{
    struct buffer words = {0};
    (void)state;
    for (unsigned i = 0; i < 900; i++)
        buffer_printf(&words, "%u ", i);
    buffer_append_text(&words, "x*600");
    buffer_append_byte(&words, 0);
    push_words("l", (const char *)words.data);
    middle(false, "5", NULL);
    middle(false, "800", NULL);
    put(node_key(1, first >> 16), "\3\1\4\0\2\xff\3", 7); /* the fourth node has nothing */
    assert_int_equal(read_all(), STATUS_CORRUPT);
    buffer_release(&words);
}

static enum status edit(enum status (*verb)(void))
{
    memory_store_write(&ms);
    enum status status = verb();
    assert_true(lsm_writer_is_empty(ms.access.writer));
    memory_store_end(&ms);
    return status;
}

static enum status trim_through_a_slot(void)
{
    return list_trim(&ms.access, slice_from("l"), 4, 9);
}

static enum status insert_before_the_zone(void)
{
    uint64_t length;
    return list_insert(&ms.access, slice_from("l"),
                       &(struct list_insertion){.pivot = slice_from("0"), .value = slice_from("y")},
                       &length);
}

static enum status turn(void)
{
    return list_move(&ms.access, slice_from("l"), LIST_LEFT, slice_from("l"), LIST_RIGHT, &visitor);
}

static enum status push_left(void)
{
    uint64_t length;
    struct slice value = slice_from("y");
    return list_push(&ms.access, slice_from("l"), LIST_LEFT, &value, 1, false, &length);
}

static void pop_left(uint64_t count)
{
    memory_store_write(&ms);
    assert_int_equal(list_pop(&ms.access, slice_from("l"), LIST_LEFT, count, &visitor), STATUS_OK);
    memory_store_end(&ms);
}

static void what_is_to_change_is_found_damaged_before_anything_is_written(void **state)
{
    struct slice value;
    (void)state;
    make_list();
    put(element_key(first + 4, 0, -1), "", 0);
    assert_int_equal(edit(trim_through_a_slot), STATUS_CORRUPT);
    put(element_key(first + 4, 0, -1), "\0004", 2);
    put(node_key(0, first >> 8), "\2", 1);
    assert_int_equal(edit(insert_before_the_zone), STATUS_CORRUPT);
    pop_left(1);
    assert_int_equal(edit(turn), STATUS_CORRUPT);
    put(node_key(0, first >> 8), "\4\0\2\1\2\0\2\4", 8);
    pop_left(3);
    expect_list("l", "a b 5 6 7 8 9 x*600"); /* 3 is dead in the zone */
    change_header(8, -1);
    memory_store_read(&ms);
    assert_int_equal(list_index(&ms.access, slice_from("l"), 0, &value), STATUS_CORRUPT);
    memory_store_end(&ms);
    change_header(8, 1);
    put(node_key(0, first >> 8), "\2", 1);
    assert_int_equal(edit(push_left), STATUS_CORRUPT);
}

/* ---- Repairs. -------------------------------------------------------------------------------- */

static void say(void *context, const char *line)
{
    (void)context;
    buffer_append_text(&said, line);
    buffer_append_text(&said, "\n");
}

/* Closes, repairs and opens the store, which is sound then. */
static void repair(const char *expected)
{
    buffer_clear(&said);
    access_release(&ms.access);
    lsm_reader_destroy(ms.reader);
    assert_int_equal(store_close(ms.store), STATUS_OK);
    assert_int_equal(store_repair(&ms.env, "/data", say, NULL), STATUS_OK);
    assert_int_equal(store_open(&ms.env, "/data", &ms.options, &report, &ms.store), STATUS_OK);
    ms.reader = lsm_reader_create(store_engine(ms.store));
    access_init(&ms.access, ms.store, ms.reader);
    buffer_append_byte(&said, 0);
    assert_string_equal(said.data, expected);
    expect_sound();
}

/* A key says where its element belongs: nothing is lost with a node. */
static void a_list_whose_slots_are_lost_is_whole_after_a_repair(void **state)
{
    (void)state;
    make_list();
    put(node_key(0, first >> 8), NULL, 0);
    repair("Database 0, key 'l': the list's records do not fit together; its 12 elements are "
           "written anew.\n");
    expect_list("l", "0 1 3 4 a b 5 6 7 8 9 x*600");
    repair("");
}

static void a_sparse_list_goes_on_without_its_lost_elements(void **state)
{
    (void)state;
    make_list();
    middle(true, "9", "y*100000");
    middle(true, "9", "z*100000");
    put(element_key(first + 4, label_a, -1), NULL, 0);
    put(element_key(first + 9, label_b, 1), NULL, 0);
    repair("Database 0, key 'l': 2 elements of the list are lost, 12 are left.\n");
    expect_list("l", "0 1 3 4 b 5 6 7 8 9 z*100000 x*600");
    middle(true, "4", "new");
    expect_list("l", "0 1 3 4 new b 5 6 7 8 9 z*100000 x*600");
    expect_sound();
}

/* What was given back between elements stays away. */
static void a_repair_of_a_sparse_list_brings_nothing_back(void **state)
{
    (void)state;
    make_list();
    memory_store_write(&ms);
    assert_int_equal(list_trim(&ms.access, slice_from("l"), 5, -1), STATUS_OK);
    uint64_t length;
    struct slice value = slice_from("new");
    assert_int_equal(list_push(&ms.access, slice_from("l"), LIST_LEFT, &value, 1, false, &length),
                     STATUS_OK);
    memory_store_end(&ms);
    expect_list("l", "new b 5 6 7 8 9 x*600");
    put(node_key(0, first >> 8), "\2", 1);
    repair("Database 0, key 'l': the list's records do not fit together; its 8 elements are "
           "written anew.\n");
    expect_list("l", "new b 5 6 7 8 9 x*600");
}

static void a_sparse_list_of_many_batches_is_copied_whole(void **state)
{
    char value[32];
    (void)state;
    push_words("l", "0 1 2 3 4 5 6 7 8 9 x*600");
    for (int i = 0; i < 400; i++) {
        snprintf(value, sizeof value, "%c*%d", 'a' + i % 26, 30000 + i);
        middle(true, "4", value);
    }
    put(node_key(0, first >> 8), NULL, 0);
    repair("Database 0, key 'l': the list's records do not fit together; its 411 elements are "
           "written anew.\n");
    memory_store_read(&ms);
    struct slice found;
    for (int i = 0; i < 400; i++) { /* each was put right behind 4 */
        assert_int_equal(list_index(&ms.access, slice_from("l"), 404 - i, &found), STATUS_OK);
        assert_int_equal(found.size, 30000 + i);
    }
    assert_int_equal(list_index(&ms.access, slice_from("l"), 405, &found), STATUS_OK);
    assert_int_equal(found.data[0], '5');
    memory_store_end(&ms);
}

/* A repair may have lost the record of the ids: a list that is copied takes none of another object. */
static void a_copied_list_takes_no_id_that_is_in_use(void **state)
{
    (void)state;
    make_list();
    push_words("other", "u*700 v*700");
    memory_store_write(&ms);
    for (unsigned tree = 0; tree < TREE_COUNT; tree++)
        access_delete(&ms.access, tree, slice_make("\0\0\0\0\3", 5));
    memory_store_end(&ms);
    put(node_key(0, first >> 8), NULL, 0);
    repair("Database 0, key 'l': the list's records do not fit together; its 12 elements are "
           "written anew.\n");
    expect_list("other", "u*700 v*700");
    expect_list("l", "0 1 3 4 a b 5 6 7 8 9 x*600");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, list_setup, list_teardown)
    const struct CMUnitTest tests[] = {
        TEST(elements_are_compared_with_the_slots),
        TEST(nodes_are_compared_with_each_other),
        TEST(dead_slots_are_what_the_header_counts),
        TEST(levels_of_nodes_are_compared),
        TEST(pieces_of_an_inserted_element_are_compared),
        TEST(a_dense_list_has_no_labels_and_no_slots),
        TEST(readers_refuse_what_does_not_fit),
        TEST(a_walk_does_not_go_beyond_the_end),
        TEST(what_is_to_change_is_found_damaged_before_anything_is_written),
        TEST(a_list_whose_slots_are_lost_is_whole_after_a_repair),
        TEST(a_sparse_list_goes_on_without_its_lost_elements),
        TEST(a_repair_of_a_sparse_list_brings_nothing_back),
        TEST(a_sparse_list_of_many_batches_is_copied_whole),
        TEST(a_copied_list_takes_no_id_that_is_in_use),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_release(&said);
    return failed;
}
