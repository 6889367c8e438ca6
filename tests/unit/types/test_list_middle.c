/* SPDX-License-Identifier: MIT */
/* LPOS, LINSERT and LREM, and the ends of lists that they have made sparse. */
#include "unit/types/list_fixture.h"

#include "types/list_label.h"

/* ---- LPOS ------------------------------------------------------------------------------------ */

static void see_index(void *context, uint64_t index)
{
    (void)context;
    buffer_printf(&seen, "%s%llu", seen.size ? " " : "", (unsigned long long)index);
}

static enum status search(const char *key, struct list_search options, const char *value)
{
    buffer_clear(&seen);
    memory_store_read(&ms);
    options.value = element_of(value);
    options.found = see_index;
    enum status status = list_find_elements(&ms.access, slice_from(key), &options);
    memory_store_end(&ms);
    return status;
}

#define assert_found(positions, value, ...)                                                 \
    do {                                                                                    \
        assert_int_equal(search("l", (struct list_search){__VA_ARGS__}, value), STATUS_OK); \
        assert_string_equal(seen_text(), positions);                                        \
    } while (0)

static void matches_are_found_from_either_end(void **state)
{
    (void)state;
    push_words("l", "a b c 1 2 3 c c");
    for (int dense = 0; dense < 2; dense++) {
        assert_found("2 6 7", "c", .rank = 1);
        assert_found("7 6 2", "c", .rank = -1);
        assert_found("6 7", "c", .rank = 2);
        assert_found("2", "c", .rank = -3);
        assert_found("", "c", .rank = 4);
        assert_found("", "c", .rank = INT64_MIN);
        assert_found("2 6", "c", .rank = 1, .count_max = 2);
        assert_found("2", "c", .rank = 1, .looked_max = 6);
        assert_found("7", "c", .rank = -1, .looked_max = 1);
        assert_found("", "c", .rank = 1, .looked_max = 2);
        assert_found("0", "a", .rank = -1, .looked_max = 100);
        assert_found("", "nothing", .rank = 1);
        if (dense)
            break;
        push_words("l", "x*600");
        memory_store_write(&ms);
        assert_int_equal(list_trim(&ms.access, slice_from("l"), 0, -2), STATUS_OK);
        memory_store_end(&ms);
    }
}

static void what_is_no_list_has_no_matches(void **state)
{
    (void)state;
    set_string("s");
    assert_int_equal(search("none", (struct list_search){.rank = 1}, "a"), STATUS_NOT_FOUND);
    assert_int_equal(search("s", (struct list_search){.rank = 1}, "a"), STATUS_WRONG_TYPE);
}

static enum status stop_at_200000(void *context, uint64_t bytes)
{
    ++*(unsigned *)context;
    return bytes < 200000 ? STATUS_OK : STATUS_WOULD_BLOCK;
}

static void a_long_search_is_asked_whether_to_go_on(void **state)
{
    unsigned asked = 0;
    (void)state;
    push_words("l", "y*50000 y*50000 y*50000 y*50000 y*50000");
    assert_int_equal(search("l",
                            (struct list_search){.rank = 1, .patience = {stop_at_200000, &asked}},
                            "x*50000"),
                     STATUS_WOULD_BLOCK);
    assert_int_equal(asked, 2); /* at 100,000 and at 200,000 */
}

static void a_missing_element_is_damage(void **state)
{
    (void)state;
    push_words("l", "a b x*600");
    memory_store_write(&ms);
    uint8_t key[OBJECT_PREFIX_BYTES + 9];
    object_prefix_store(key, ms.access.generation, 1);
    key[OBJECT_PREFIX_BYTES] = 'l';
    be64_store(key + OBJECT_PREFIX_BYTES + 1, ((uint64_t)1 << 63) + 1);
    access_delete(&ms.access, TREE_PARTS, slice_make(key, sizeof key));
    ms.is_damaged = true;
    memory_store_end(&ms);
    assert_int_equal(search("l", (struct list_search){.rank = 1}, "z"), STATUS_CORRUPT);
}

/* ---- LINSERT --------------------------------------------------------------------------------- */

static enum status insert(const char *key, bool is_before, const char *pivot, const char *value,
                          uint64_t *length)
{
    struct buffer pivot_bytes = {0};
    buffer_append_slice(&pivot_bytes, element_of(pivot));
    memory_store_write(&ms);
    enum status status = list_insert(&ms.access, slice_from(key),
                                     &(struct list_insertion){.is_before = is_before,
                                                              .pivot = buffer_slice(&pivot_bytes),
                                                              .value = element_of(value)},
                                     length);
    memory_store_end(&ms);
    buffer_release(&pivot_bytes);
    return status;
}

#define BEFORE true
#define AFTER  false

static void expect_insert(const char *key, bool is_before, const char *pivot, const char *value,
                          uint64_t expected)
{
    uint64_t length = 77;
    assert_int_equal(insert(key, is_before, pivot, value, &length), STATUS_OK);
    assert_int_equal(length, expected);
}

/* The form in the list's header: 0 inline, 1 dense, 2 sparse. */
static int form_of(const char *key)
{
    struct object object;
    memory_store_read(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from(key), &object), STATUS_OK);
    int form = object.body.data[0] & 15;
    memory_store_end(&ms);
    return form;
}

/* Numbers from 0 on, the list by position. */
static void push_numbers(const char *key, unsigned count)
{
    struct buffer words = {0};
    for (unsigned i = 0; i < count; i++)
        buffer_printf(&words, i ? " %u" : "%u", i);
    buffer_append_byte(&words, 0);
    push_words(key, (const char *)words.data);
    buffer_release(&words);
}

static void an_element_is_inserted_beside_another(void **state)
{
    uint64_t length = 77;
    (void)state;
    assert_int_equal(insert("l", BEFORE, "a", "x", &length), STATUS_NOT_FOUND);
    push_words("l", "a b a c");
    expect_insert("l", BEFORE, "a", "1", 5);
    assert_string_equal(memory_store_facts(&ms), "l linsert l");
    expect_insert("l", AFTER, "c", "2", 6);
    expect_insert("l", AFTER, "b", "3", 7);
    expect_insert("l", BEFORE, "nothing", "4", 0);
    assert_string_equal(memory_store_facts(&ms), "");
    expect_list("l", "1 a b 3 a c 2");
    assert_int_equal(form_of("l"), 0);
    expect_insert("l", AFTER, "3", "x*600", 8);
    assert_int_equal(form_of("l"), 1);
    expect_list("l", "1 a b 3 x*600 a c 2");
    set_string("s");
    assert_int_equal(insert("s", BEFORE, "a", "x", &length), STATUS_WRONG_TYPE);
    struct list_insertion large = {.value = slice_make("x", LIST_ELEMENT_BYTES_MAX + 1ul)};
    memory_store_write(&ms);
    assert_int_equal(list_insert(&ms.access, slice_from("l"), &large, &length), STATUS_TOO_LARGE);
    memory_store_end(&ms);
}

static void a_full_header_overflows_by_an_insertion(void **state)
{
    (void)state;
    push_numbers("l", LIST_INLINE_COUNT_MAX);
    assert_int_equal(form_of("l"), 0);
    expect_insert("l", BEFORE, "5", "x", LIST_INLINE_COUNT_MAX + 1);
    assert_int_equal(form_of("l"), 1);
    expect_sound();
}

static void an_insertion_at_an_end_is_a_push(void **state)
{
    (void)state;
    push_numbers("l", 200);
    expect_insert("l", BEFORE, "0", "first", 201);
    expect_insert("l", AFTER, "199", "last", 202);
    assert_int_equal(form_of("l"), 1);
    assert_int_equal(part_count(), 202);
    expect_sound();
}

/* How long a batch was, its frame's head included. */
static uint64_t batch_bytes(void (*run)(void))
{
    lsn_t before = lsm_visible_lsn(store_engine(ms.store));
    run();
    return lsm_visible_lsn(store_engine(ms.store)) - before;
}

static void insert_in_the_middle(void)
{
    expect_insert("l", BEFORE, "2500", "x", 5001);
}

static void remove_one(void)
{
    uint64_t removed;
    memory_store_write(&ms);
    assert_int_equal(list_remove(&ms.access, slice_from("l"),
                                 &(struct list_removal){.value = slice_from("x")}, &removed),
                     STATUS_OK);
    memory_store_end(&ms);
    assert_int_equal(removed, 1);
}

static void replace_one(void)
{
    memory_store_write(&ms);
    assert_int_equal(list_set(&ms.access, slice_from("l"), 2500, slice_from("x")), STATUS_OK);
    memory_store_end(&ms);
}

/* One record, one node of the slots, the header. */
static void what_changes_in_the_middle_is_all_that_is_written(void **state)
{
    (void)state;
    push_numbers("l", 5000);
    assert_true(batch_bytes(insert_in_the_middle) < 200);
    assert_int_equal(form_of("l"), 2);
    assert_int_equal(part_count(), 5002);
    assert_true(batch_bytes(replace_one) < 200);
    assert_true(batch_bytes(remove_one) < 200);
    assert_int_equal(part_count(),
                     5001 - 1); /* its slot has one element again, and nothing to say */
    expect_sound();
}

/* Many at one place, in either direction; and in slots whose own element is gone. */
static void many_insertions_at_one_place_keep_their_order(void **state)
{
    char expected[4000] = "0 ", value[16];
    (void)state;
    push_words("l", "0 a b x*600");
    for (int i = 0; i < 50; i++) {
        snprintf(value, sizeof value, "%d", 1000 + i);
        expect_insert("l", BEFORE, "a", value, (uint64_t)(5 + 2 * i));
        snprintf(value, sizeof value, "%d", 2049 - i);
        expect_insert("l", AFTER, "a", value, (uint64_t)(6 + 2 * i));
    }
    for (int i = 0; i < 50; i++)
        sprintf(expected + strlen(expected), "%d ", 1000 + i);
    strcat(expected, "a ");
    for (int i = 0; i < 50; i++)
        sprintf(expected + strlen(expected), "%d ", 2000 + i);
    strcat(expected, "b x*600");
    expect_list("l", expected);
    expect_sound();
}

static void a_place_may_be_full(void **state)
{
    static uint8_t key[OBJECT_PREFIX_BYTES + 9 + LIST_LABEL_BYTES_MAX];
    const size_t start = OBJECT_PREFIX_BYTES + 9;
    uint64_t length;
    (void)state;
    push_words("l", "a b x*600");
    expect_insert("l", AFTER, "a", "1", 4);
    expect_insert("l", AFTER, "1", "2", 5);
    /* Under labels that could not be longer, with no room between them. */
    memory_store_write(&ms);
    object_prefix_store(key, ms.access.generation, 1);
    key[OBJECT_PREFIX_BYTES] = 'l';
    be64_store(key + OBJECT_PREFIX_BYTES + 1, (uint64_t)1 << 63);
    for (unsigned i = 0; i < 2; i++) {
        be32_store(key + start, i ? 0x80001000 : 0x80000000);
        access_delete(&ms.access, TREE_PARTS, slice_make(key, start + 4));
        memset(key + start, 0x80, LIST_LABEL_BYTES_MAX);
        key[sizeof key - 1] = (uint8_t)(0x80 + i);
        access_put(&ms.access, TREE_PARTS, slice_make(key, sizeof key),
                   slice_make(i ? "\0002" : "\0001", 2));
    }
    memory_store_end(&ms);
    expect_list("l", "a 1 2 b x*600");
    assert_int_equal(insert("l", AFTER, "1", "x", &length), STATUS_INVALID);
    expect_insert("l", BEFORE, "1", "x", 6);
    expect_insert("l", AFTER, "2", "y", 7);
    memory_store_write(&ms);
    assert_int_equal(list_set(&ms.access, slice_from("l"), 3, element_of("z*100000")), STATUS_OK);
    memory_store_end(&ms);
    expect_list("l", "a x 1 z*100000 y b x*600");
    expect_sound();
}

/* ---- LREM ------------------------------------------------------------------------------------ */

static uint64_t removed_from(const char *key, int64_t count, const char *value)
{
    uint64_t removed = 77;
    memory_store_write(&ms);
    assert_int_equal(list_remove(&ms.access, slice_from(key),
                                 &(struct list_removal){.count = count, .value = element_of(value)},
                                 &removed),
                     STATUS_OK);
    memory_store_end(&ms);
    return removed;
}

/* Inline, and by position. */
static void matches_are_removed_from_either_end(void **state)
{
    static const struct {
        int64_t count;
        const char *value;
        uint64_t removed;
        const char *left;
    } cases[] = {
        {0, "a", 4, "b c b"},
        {1, "a", 1, "b a c a b a"},
        {2, "a", 2, "b c a b a"},
        {-1, "a", 1, "a b a c a b"},
        {-2, "a", 2, "a b a c b"},
        {3, "b", 2, "a a c a a"},
        {INT64_MIN, "c", 1, "a b a a b a"},
        {9, "x", 0, "a b a c a b a"},
    };
    (void)state;
    for (int by_position = 0; by_position < 2; by_position++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char key[16];
            snprintf(key, sizeof key, "%d-%zu", by_position, i);
            if (by_position) {
                push_words(key, "y*600");
                push_words(key, "a b a c a b a");
                memory_store_write(&ms);
                assert_int_equal(list_trim(&ms.access, slice_from(key), 1, -1), STATUS_OK);
                memory_store_end(&ms);
            } else {
                push_words(key, "a b a c a b a");
            }
            assert_int_equal(removed_from(key, cases[i].count, cases[i].value), cases[i].removed);
            char fact[32];
            snprintf(fact, sizeof fact, "l lrem %s", key);
            assert_string_equal(memory_store_facts(&ms), cases[i].removed ? fact : "");
            expect_list(key, cases[i].left);
        }
    }
    expect_sound();
}

static void a_list_that_loses_all_is_gone(void **state)
{
    (void)state;
    for (int large = 0; large < 2; large++) {
        push_words("l", large ? "x*700 x*700" : "a a a");
        assert_int_equal(removed_from("l", 0, large ? "x*700" : "a"), large ? 2 : 3);
        assert_string_equal(memory_store_facts(&ms), "l lrem l, g del l");
        expect_list("l", "");
        assert_int_equal(part_count(), 0);
    }
    uint64_t removed = 5;
    memory_store_write(&ms);
    assert_int_equal(
        list_remove(&ms.access, slice_from("l"), &(struct list_removal){.count = 1}, &removed),
        STATUS_NOT_FOUND);
    memory_store_end(&ms);
}

/* What leaves at the ends is popped: the list stays dense. */
static void matches_at_the_ends_leave_a_dense_list(void **state)
{
    (void)state;
    push_words("l", "a a x*600 1 2 a");
    assert_int_equal(removed_from("l", 0, "a"), 3);
    assert_int_equal(form_of("l"), 1);
    expect_list("l", "x*600 1 2");
    push_words("l", "a a");
    assert_int_equal(removed_from("l", -2, "a"), 2);
    assert_int_equal(removed_from("l", 1, "x*600"), 1);
    assert_int_equal(form_of("l"), 1);
    expect_list("l", "1 2");
    push_words("l", "a 3 a");
    assert_int_equal(removed_from("l", 0, "a"), 2);
    assert_int_equal(form_of("l"), 2);
    expect_list("l", "1 2 3");
    expect_sound();
}

static void large_elements_are_removed_with_their_pieces(void **state)
{
    (void)state;
    push_words("l", "1 x*100000 2 y*100000 z*40000 3");
    assert_int_equal(part_count(), 6 + 4 + 4 + 2);
    assert_int_equal(removed_from("l", 0, "y*100000"), 1);
    assert_int_equal(part_count(), 5 + 4 + 2 + 1);
    expect_insert("l", AFTER, "2", "v*70000", 6);
    assert_int_equal(part_count(), 6 + 4 + 2 + 3 + 1);
    expect_list("l", "1 x*100000 2 v*70000 z*40000 3");
    memory_store_write(&ms); /* backwards over pieces */
    buffer_clear(&seen);
    assert_int_equal(list_pop(&ms.access, slice_from("l"), LIST_RIGHT, 5, &visitor), STATUS_OK);
    assert_string_equal(seen_text(), "3 z*40000 v*70000 2 x*100000");
    memory_store_end(&ms);
    expect_list("l", "1");
    expect_sound();
}

static void a_removal_looks_no_further_than_it_must(void **state)
{
    unsigned asked = 0;
    uint64_t removed;
    (void)state;
    push_words("l", "y*50000 y*50000 y*50000 y*50000 y*50000");
    memory_store_write(&ms);
    assert_int_equal(list_remove(&ms.access, slice_from("l"),
                                 &(struct list_removal){.count = 1,
                                                        .value = element_of("x*50000"),
                                                        .patience = {stop_at_200000, &asked}},
                                 &removed),
                     STATUS_WOULD_BLOCK);
    memory_store_end(&ms);
    assert_int_equal(asked, 2);
    assert_int_equal(removed_from("l", 1, "y*50000"), 1);
    assert_int_equal(form_of("l"), 1);
}

/* ---- The ends of a sparse list. -------------------------------------------------------------- */

static void pop(enum list_end end, uint64_t count, const char *expected)
{
    memory_store_write(&ms);
    buffer_clear(&seen);
    assert_int_equal(list_pop(&ms.access, slice_from("l"), end, count, &visitor), STATUS_OK);
    assert_string_equal(seen_text(), expected);
    memory_store_end(&ms);
}

static void push(enum list_end end, const char *word)
{
    struct slice value = element_of(word);
    uint64_t length;
    memory_store_write(&ms);
    assert_int_equal(list_push(&ms.access, slice_from("l"), end, &value, 1, false, &length),
                     STATUS_OK);
    memory_store_end(&ms);
}

static void trim(int64_t start, int64_t stop)
{
    memory_store_write(&ms);
    assert_int_equal(list_trim(&ms.access, slice_from("l"), start, stop), STATUS_OK);
    memory_store_end(&ms);
}

/* Pops that come into the zone, and pushes back into what they left. */
static void the_ends_go_into_the_zone_and_out_of_it(void **state)
{
    (void)state;
    push_words("l", "0 1 2 3 4 5 6 7 8 9 x*600");
    pop(LIST_RIGHT, 1, "x*600");
    expect_insert("l", AFTER, "3", "a", 11);
    expect_insert("l", AFTER, "a", "b", 12);
    assert_int_equal(removed_from("l", 0, "5"), 1);
    expect_list("l", "0 1 2 3 a b 4 6 7 8 9");
    pop(LIST_LEFT, 4, "0 1 2 3"); /* half a slot */
    expect_list("l", "a b 4 6 7 8 9");
    push(LIST_LEFT, "c");
    expect_list("l", "c a b 4 6 7 8 9");
    pop(LIST_LEFT, 4, "c a b 4");
    push(LIST_LEFT, "d");
    push(LIST_LEFT, "e");
    expect_list("l", "e d 6 7 8 9");
    expect_sound();
    pop(LIST_RIGHT, 4, "9 8 7 6");
    push(LIST_RIGHT, "f");
    expect_list("l", "e d f");
    assert_int_equal(form_of("l"), 2);
    expect_sound();
    pop(LIST_LEFT, 3, "e d f");
    expect_list("l", "");
    assert_int_equal(part_count(), 0);
}

static void push_one(void)
{
    push(LIST_RIGHT, "v");
}

static void pop_one(void)
{
    memory_store_write(&ms);
    assert_int_equal(list_pop(&ms.access, slice_from("l"), LIST_LEFT, 1, &visitor), STATUS_OK);
    memory_store_end(&ms);
}

/* A queue through which sparse places pass writes one record and the header for each. */
static void the_ends_of_a_sparse_list_are_as_cheap_as_a_dense_ones(void **state)
{
    (void)state;
    push_numbers("l", 700);
    uint64_t push_bytes = batch_bytes(push_one), pop_bytes = batch_bytes(pop_one);
    for (unsigned i = 100; i < 600; i += 7) {
        char pivot[16], value[16];
        snprintf(pivot, sizeof pivot, "%u", i);
        snprintf(value, sizeof value, "i%u", i);
        if (i % 2)
            expect_insert("l", AFTER, pivot, value, 700 + 1);
        assert_int_equal(removed_from("l", 0, i % 2 ? value : pivot), 1);
        if (i % 2 == 0)
            push_one();
    }
    expect_sound();
    for (int i = 0; i < 1200; i++) {
        assert_true(batch_bytes(push_one) <= push_bytes + 16);
        uint64_t bytes = batch_bytes(pop_one);
        assert_true(bytes <= pop_bytes + 16 || i % 100 != 0); /* now and then it gives back */
    }
    assert_true(part_count() < 700 + LIST_RECLAIM_WEIGHT + 16);
    expect_sound();
}

/* Into one end of a list and out of the other, with places in the middle that lose their element. */
static void push_remove_pop(enum list_end end, unsigned number)
{
    char word[16];
    uint64_t count;
    struct slice key = slice_from("l");
    snprintf(word, sizeof word, "q%u", number);
    struct slice value = slice_from(word);
    assert_int_equal(list_push(&ms.access, key, end == LIST_LEFT ? LIST_RIGHT : LIST_LEFT, &value,
                               1, false, &count),
                     STATUS_OK);
    if (number % 5 == 0) {
        snprintf(word, sizeof word, "q%u", number - 2);
        struct list_removal removal = {.count = end == LIST_LEFT ? -1 : 1,
                                       .value = slice_from(word)};
        assert_int_equal(list_remove(&ms.access, key, &removal, &count), STATUS_OK);
    }
    if (number % 7 > 1)
        assert_int_equal(list_pop(&ms.access, key, end, 1, &visitor), STATUS_OK);
}

/* At either end what was passed is given back, nodes of the slots as well. */
static void what_was_popped_of_a_sparse_list_does_not_pile_up(void **state)
{
    (void)state;
    for (int end = LIST_LEFT; end <= LIST_RIGHT; end++) {
        push_numbers("l", 300);
        for (unsigned i = 0; i < 50; i++) {
            memory_store_write(&ms);
            for (unsigned j = 0; j < 100; j++)
                push_remove_pop(end, 100 * i + j);
            memory_store_end(&ms);
        }
        expect_sound();
        uint64_t length = 0;
        memory_store_read(&ms);
        assert_int_equal(list_length(&ms.access, slice_from("l"), &length), STATUS_OK);
        memory_store_end(&ms);
        assert_true(part_count() < length + length / 64 + LIST_RECLAIM_WEIGHT + 64);
        trim(1, 0);
        assert_int_equal(part_count(), 0);
    }
}

static void a_trim_of_a_sparse_list_cuts_through_slots(void **state)
{
    (void)state;
    push_words("l", "0 1 2 3 4 5 6 7 8 9 x*600");
    for (int i = 0; i < 4; i++) {
        expect_insert("l", AFTER, "3", i % 2 ? "a" : "b", (uint64_t)(12 + 2 * i));
        expect_insert("l", BEFORE, "8", i % 2 ? "c" : "d", (uint64_t)(13 + 2 * i));
    }
    expect_list("l", "0 1 2 3 a b a b 4 5 6 7 d c d c 8 9 x*600");
    trim(5, -6);
    expect_list("l", "b a b 4 5 6 7 d c");
    expect_sound();
    trim(2, 2);
    expect_list("l", "b");
    push(LIST_LEFT, "l");
    push(LIST_RIGHT, "r");
    expect_list("l", "l b r");
    expect_sound();
    trim(0, 100);
    expect_list("l", "l b r");
}

/* Several changes of one place are one: by a removal, and by a trim at both of its sides. */
static void a_place_loses_several_of_its_elements_at_once(void **state)
{
    (void)state;
    push_words("l", "0 1 2 3 4 5 6 7 8 9 x*600");
    for (uint64_t i = 0; i < 7; i++)
        expect_insert("l", AFTER, "3", i % 2 ? "a" : "b", 12 + i);
    expect_list("l", "0 1 2 3 b a b a b a b 4 5 6 7 8 9 x*600");
    assert_int_equal(removed_from("l", 2, "a"), 2);
    expect_list("l", "0 1 2 3 b b b a b 4 5 6 7 8 9 x*600");
    expect_sound();
    trim(5, 7);
    expect_list("l", "b b a");
    expect_sound();
}

/* Nodes of the slots say of all these places at once that they have no element. */
static void a_long_gap_is_passed_over_in_either_direction(void **state)
{
    struct buffer words = {0};
    (void)state;
    for (unsigned i = 0; i < 1500; i++)
        buffer_printf(&words, "%s ", i < 10 || i >= 1490 ? "other" : "same");
    buffer_append_text(&words, "x*600");
    buffer_append_byte(&words, 0);
    push_words("l", (const char *)words.data);
    assert_int_equal(removed_from("l", 0, "same"), 1480);
    assert_int_equal(form_of("l"), 2);
    expect_list("l", "other other other other other other other other other other "
                     "other other other other other other other other other other x*600");
    assert_found("19", "other", .rank = 20);
    assert_found("0", "other", .rank = -20);
    expect_sound();
    buffer_release(&words);
}

/* The zone grows over places that were passed before: from above, and from below. */
static void a_zone_that_grows_over_dead_places_counts_them(void **state)
{
    (void)state;
    push_numbers("l", 300);
    assert_int_equal(removed_from("l", 0, "10"), 1);
    trim(49, -1); /* 50 is the first */
    assert_int_equal(removed_from("l", 0, "60"), 1);
    expect_sound();
    push(LIST_LEFT, "x");
    expect_sound();
    pop(LIST_LEFT, 2, "x 50");
    trim(0, -1);
    pop(LIST_LEFT, 3, "51 52 53");
    assert_int_equal(removed_from("l", 0, "200"), 1);
    trim(0, 9);
    assert_int_equal(removed_from("l", 0, "57"), 1);
    expect_sound();
    push(LIST_RIGHT, "y");
    expect_list("l", "54 55 56 58 59 61 62 63 64 y");
    expect_sound();
}

static uint64_t read_calls(void)
{
    struct vfs_fault_counters counters;
    vfs_fault_counters(ms.vfs, &counters);
    return counters.calls[VFS_CALL_READ];
}

/* An index is found with a node a level, and one block of elements. */
static void an_index_of_a_sparse_list_costs_a_few_reads(void **state)
{
    struct slice value;
    (void)state;
    push_numbers("l", 40000);
    memory_store_write(&ms);
    for (unsigned i = 0; i < 40000; i += 400) {
        char word[16];
        uint64_t removed;
        snprintf(word, sizeof word, "%u", i + 7);
        assert_int_equal(list_remove(&ms.access, slice_from("l"),
                                     &(struct list_removal){.count = i < 20000 ? 1 : -1,
                                                            .value = slice_from(word)},
                                     &removed),
                         STATUS_OK);
        assert_int_equal(removed, 1);
    }
    memory_store_end(&ms);
    memory_store_work(&ms, true);
    static const struct {
        int64_t index;
        const char *value;
    } cases[] = {{0, "0"},      {7, "8"},        {20000 - 50, "20000"},
                 {-1, "39999"}, {-393, "39606"}, {1, "1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memory_store_reopen(&ms);
        uint64_t before = read_calls();
        memory_store_read(&ms);
        assert_int_equal(list_index(&ms.access, slice_from("l"), cases[i].index, &value),
                         STATUS_OK);
        assert_true(slice_equal(value, slice_from(cases[i].value)));
        memory_store_end(&ms);
        assert_true(read_calls() - before < 24);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, list_setup, list_teardown)
    const struct CMUnitTest tests[] = {
        TEST(matches_are_found_from_either_end),
        TEST(what_is_no_list_has_no_matches),
        TEST(a_long_search_is_asked_whether_to_go_on),
        TEST(a_missing_element_is_damage),
        TEST(an_element_is_inserted_beside_another),
        TEST(a_full_header_overflows_by_an_insertion),
        TEST(an_insertion_at_an_end_is_a_push),
        TEST(what_changes_in_the_middle_is_all_that_is_written),
        TEST(many_insertions_at_one_place_keep_their_order),
        TEST(a_place_may_be_full),
        TEST(matches_are_removed_from_either_end),
        TEST(a_list_that_loses_all_is_gone),
        TEST(matches_at_the_ends_leave_a_dense_list),
        TEST(large_elements_are_removed_with_their_pieces),
        TEST(a_removal_looks_no_further_than_it_must),
        TEST(the_ends_go_into_the_zone_and_out_of_it),
        TEST(the_ends_of_a_sparse_list_are_as_cheap_as_a_dense_ones),
        TEST(what_was_popped_of_a_sparse_list_does_not_pile_up),
        TEST(a_trim_of_a_sparse_list_cuts_through_slots),
        TEST(a_place_loses_several_of_its_elements_at_once),
        TEST(a_long_gap_is_passed_over_in_either_direction),
        TEST(a_zone_that_grows_over_dead_places_counts_them),
        TEST(an_index_of_a_sparse_list_costs_a_few_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
