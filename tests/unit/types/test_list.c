/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include "lib/memory_store.h"
#include "types/list.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct memory_store ms;
static struct buffer seen; /* "count: element element ..." */

static int setup(void **state)
{
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    buffer_release(&seen);
    return 0;
}

static void see_begin(void *context, uint64_t count)
{
    (void)context;
    buffer_clear(&seen);
    buffer_printf(&seen, "%llu:", (unsigned long long)count);
}

static void see_element(void *context, struct slice value)
{
    (void)context;
    buffer_append_byte(&seen, ' ');
    buffer_append_slice(&seen, value);
}

static const struct list_visitor visitor = {.begin = see_begin, .element = see_element};

static void expect_seen(const char *text)
{
    buffer_append_byte(&seen, 0);
    assert_string_equal(seen.data, text);
}

static uint64_t push(enum list_end end, const char *text)
{
    uint64_t length;
    struct slice value = slice_from(text);
    assert_int_equal(list_push(&ms.access, slice_from("key"), end, &value, 1, false, &length),
                     STATUS_OK);
    return length;
}

static void pop(enum list_end end, uint64_t count, const char *expected)
{
    assert_int_equal(list_pop(&ms.access, slice_from("key"), end, count, &visitor), STATUS_OK);
    expect_seen(expected);
}

static void range(int64_t start, int64_t stop, const char *expected)
{
    assert_int_equal(list_range(&ms.access, slice_from("key"), start, stop, &visitor), STATUS_OK);
    expect_seen(expected);
}

static uint64_t length_of(void)
{
    uint64_t length = 0;
    enum status status = list_length(&ms.access, slice_from("key"), &length);
    assert_true(status == STATUS_OK || status == STATUS_NOT_FOUND);
    return length;
}

static size_t lines_of(enum store_tree tree)
{
    struct buffer dump = {0};
    size_t lines = 0;
    memory_store_dump(&ms, tree, &dump);
    for (size_t i = 0; i < dump.size; i++)
        lines += dump.data[i] == '\n';
    buffer_release(&dump);
    return lines;
}

/* Makes the list "key" lie in records of its own: 0 .. count-1, each `width` bytes (number, dots).
 */
static void push_numbers(int from, int count, int width)
{
    for (int i = from; i < from + count; i++) {
        char text[2048];
        int size = snprintf(text, sizeof text, "%d", i);
        memset(text + size, '.', sizeof text - (size_t)size);
        text[width > size ? width : size] = 0;
        push(LIST_RIGHT, text);
    }
}

static void small_lists_push_and_pop_at_both_ends(void **state)
{
    uint64_t length;
    const struct slice three[] = {slice_from("a"), slice_from(""), slice_from("c")};
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(list_push(&ms.access, slice_from("key"), LIST_LEFT, three, 3, false, &length),
                     STATUS_OK);
    assert_int_equal(length, 3);
    assert_int_equal(push(LIST_RIGHT, "z"), 4);
    range(0, -1, "4: c  a z");
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "l lpush key, l rpush key");
    assert_int_equal(lines_of(TREE_PARTS), 0);
    memory_store_write(&ms);
    pop(LIST_LEFT, 1, "1: c");
    pop(LIST_RIGHT, 2, "2: z a");
    assert_int_equal(length_of(), 1);
    pop(LIST_LEFT, 9, "1: ");
    assert_int_equal(length_of(), 0);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "l lpop key, l rpop key, l lpop key, g del key");
    memory_store_read(&ms);
    assert_int_equal(list_range(&ms.access, slice_from("key"), 0, -1, &visitor), STATUS_NOT_FOUND);
    memory_store_end(&ms);
}

static void a_list_that_outgrows_its_header_keeps_its_order(void **state)
{
    (void)state;
    memory_store_write(&ms);
    for (int i = 0; i < 200; i++) { /* more than fit by count */
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        push(i % 2 ? LIST_RIGHT : LIST_LEFT, text);
    }
    range(98, 101, "4: 2 0 1 3");
    range(-2, -1, "2: 197 199");
    range(0, 4, "5: 198 196 194 192 190");
    memory_store_end(&ms);
    assert_int_equal(lines_of(TREE_PARTS), 200);
    memory_store_work(&ms, true);
    memory_store_write(&ms);
    pop(LIST_RIGHT, 5, "5: 199 197 195 193 191");
    pop(LIST_LEFT, 1, "1: 198");
    push(LIST_LEFT, "new");
    range(0, 1, "2: new 196");
    assert_int_equal(length_of(), 195);
    memory_store_end(&ms);
}

static void one_element_too_large_for_the_header_gets_a_record(void **state)
{
    char text[LIST_INLINE_BYTES_MAX + 1];
    (void)state;
    memset(text, 'x', sizeof text);
    text[LIST_INLINE_BYTES_MAX - 2] = 0; /* with 2 bytes of length it just fits */
    memory_store_write(&ms);
    push(LIST_LEFT, text);
    memory_store_end(&ms);
    assert_int_equal(lines_of(TREE_PARTS), 0);
    memory_store_write(&ms);
    push(LIST_LEFT, "");
    memory_store_end(&ms);
    assert_int_equal(lines_of(TREE_PARTS), 2);
    memory_store_write(&ms);
    pop(LIST_LEFT, 1, "1: ");
    assert_int_equal(list_pop(&ms.access, slice_from("key"), LIST_LEFT, 1, &visitor), STATUS_OK);
    assert_int_equal(seen.size, 3 + LIST_INLINE_BYTES_MAX - 2);
    memory_store_end(&ms);
    assert_int_equal(lines_of(TREE_PARTS), 0);
}

static void ranges_clip_as_redis_does(void **state)
{
    (void)state;
    for (int dense = 0; dense < 2; dense++) {
        memory_store_write(&ms);
        push_numbers(0, 5, dense ? 200 : 1);
        if (dense)
            list_trim(&ms.access, slice_from("key"), 0, -1);
        memory_store_end(&ms);
        memory_store_read(&ms);
        const struct {
            int64_t start, stop;
            uint64_t count;
        } cases[] = {{0, -1, 5},
                     {1, 3, 3},
                     {-3, -2, 2},
                     {-100, 100, 5},
                     {3, 1, 0},
                     {5, 10, 0},
                     {-1, -2, 0},
                     {4, 4, 1},
                     {0, -6, 0},
                     {-5, 0, 1},
                     {INT64_MIN, INT64_MAX, 5},
                     {INT64_MAX, INT64_MIN, 0},
                     {INT64_MIN, INT64_MIN, 0}};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            assert_int_equal(
                list_range(&ms.access, slice_from("key"), cases[i].start, cases[i].stop, &visitor),
                STATUS_OK);
            assert_int_equal(seen.data[0] - '0', cases[i].count);
        }
        memory_store_end(&ms);
        memory_store_write(&ms);
        bool deleted;
        assert_int_equal(keyspace_delete(&ms.access, slice_from("key"), &deleted), STATUS_OK);
        memory_store_end(&ms);
    }
}

static void an_index_counts_from_either_end(void **state)
{
    struct slice value;
    (void)state;
    for (int dense = 0; dense < 2; dense++) {
        memory_store_write(&ms);
        push_numbers(0, dense ? 300 : 5, 1);
        memory_store_end(&ms);
        memory_store_read(&ms);
        assert_int_equal(list_index(&ms.access, slice_from("key"), 3, &value), STATUS_OK);
        assert_true(slice_equal(value, slice_from("3")));
        assert_int_equal(list_index(&ms.access, slice_from("key"), -2, &value), STATUS_OK);
        assert_true(slice_equal(value, slice_from(dense ? "298" : "3")));
        const int64_t outside[] = {305, -306, INT64_MAX, INT64_MIN};
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(list_index(&ms.access, slice_from("key"), outside[i], &value),
                             STATUS_NOT_FOUND);
        assert_int_equal(list_index(&ms.access, slice_from("none"), 0, &value), STATUS_NOT_FOUND);
        memory_store_end(&ms);
    }
}

static void a_trim_keeps_the_range_and_removes_an_empty_list(void **state)
{
    (void)state;
    for (int width = 1; width < 200; width += 100) {
        memory_store_write(&ms);
        push_numbers(0, 10, width);
        assert_int_equal(list_trim(&ms.access, slice_from("key"), 0, -1), STATUS_OK);
        assert_int_equal(length_of(), 10);
        assert_int_equal(list_trim(&ms.access, slice_from("key"), 2, -3), STATUS_OK);
        assert_int_equal(length_of(), 6);
        struct slice value;
        assert_int_equal(list_index(&ms.access, slice_from("key"), 0, &value), STATUS_OK);
        assert_int_equal(value.data[0], '2');
        assert_int_equal(list_index(&ms.access, slice_from("key"), -1, &value), STATUS_OK);
        assert_int_equal(value.data[0], '7');
        push(LIST_LEFT, "left");
        push(LIST_RIGHT, "right");
        range(0, 0, "1: left");
        range(-1, -1, "1: right");
        memory_store_end(&ms);
        memory_store_write(&ms);
        assert_int_equal(list_trim(&ms.access, slice_from("key"), 5, 3), STATUS_OK);
        assert_int_equal(length_of(), 0);
        assert_int_equal(list_trim(&ms.access, slice_from("key"), 0, 1), STATUS_OK);
        memory_store_end(&ms);
        assert_string_equal(memory_store_facts(&ms), "l ltrim key, g del key");
        assert_int_equal(lines_of(TREE_PARTS), 0);
    }
}

static enum status set(int64_t index, struct slice value)
{
    memory_store_write(&ms);
    enum status status = list_set(&ms.access, slice_from("key"), index, value);
    memory_store_end(&ms);
    return status;
}

static void an_element_is_replaced_by_its_index(void **state)
{
    struct slice value;
    (void)state;
    assert_int_equal(set(0, slice_from("x")), STATUS_NOT_FOUND);
    memory_store_write(&ms);
    push_numbers(0, 5, 1);
    memory_store_end(&ms);
    for (int dense = 0; dense < 2; dense++) {
        assert_int_equal(set(1, slice_from("one")), STATUS_OK);
        assert_string_equal(memory_store_facts(&ms), "l lset key");
        assert_int_equal(set(-1, slice_from("")), STATUS_OK);
        assert_int_equal(set(5, slice_from("x")), STATUS_INVALID);
        assert_int_equal(set(-6, slice_from("x")), STATUS_INVALID);
        memory_store_read(&ms);
        range(0, -1, dense ? "5: 0 one 2 outgrown " : "5: 0 one 2 3 ");
        memory_store_end(&ms);
        if (dense)
            break;
        char text[LIST_INLINE_BYTES_MAX];
        memset(text, 'x', sizeof text);
        assert_int_equal(set(3, slice_make(text, sizeof text)), STATUS_OK);
        assert_int_equal(lines_of(TREE_PARTS), 5);
        assert_int_equal(set(3, slice_from("outgrown")), STATUS_OK);
    }
    memory_store_read(&ms);
    assert_int_equal(list_index(&ms.access, slice_from("key"), 3, &value), STATUS_OK);
    assert_true(slice_equal(value, slice_from("outgrown")));
    memory_store_end(&ms);
    assert_int_equal(set(0, slice_make("x", LIST_ELEMENT_BYTES_MAX + 1ul)), STATUS_TOO_LARGE);
}

/* What the new value has no need of is given back at once. */
static void a_replaced_element_leaves_no_pieces(void **state)
{
    static uint8_t bytes[200000];
    struct slice value;
    (void)state;
    memory_store_write(&ms);
    push_numbers(0, 3, 600);
    memory_store_end(&ms);
    static const struct {
        size_t size, pieces;
    } cases[] = {{100000, 4}, {200000, 7}, {40000, 2}, {40001, 2}, {10, 0}, {32769, 2}, {32768, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(bytes, 'a' + (int)i, sizeof bytes);
        assert_int_equal(set(1, slice_make(bytes, cases[i].size)), STATUS_OK);
        assert_int_equal(lines_of(TREE_PARTS), 3 + cases[i].pieces);
        memory_store_read(&ms);
        assert_int_equal(list_index(&ms.access, slice_from("key"), 1, &value), STATUS_OK);
        assert_true(slice_equal(value, slice_make(bytes, cases[i].size)));
        memory_store_end(&ms);
    }
}

static void ignore_element(void *context, struct slice value)
{
    (void)context;
    (void)value;
}

/* What a read reveals waits for what it has seen, whichever part of the list has changed. */
static void who_reads_a_replaced_element_waits_for_it(void **state)
{
    uint64_t length;
    (void)state;
    memory_store_write(&ms);
    push_numbers(0, 3, 600);
    memory_store_end(&ms);
    memory_store_write(&ms);
    assert_int_equal(list_set(&ms.access, slice_from("key"), 1, slice_from("x")), STATUS_OK);
    lsn_t written = memory_store_end(&ms);
    memory_store_read(&ms);
    assert_int_equal(list_range(&ms.access, slice_from("key"), 0, -1,
                                &(struct list_visitor){.element = ignore_element}),
                     STATUS_OK);
    assert_int_equal(memory_store_end(&ms), written);
    memory_store_read(&ms);
    assert_int_equal(list_length(&ms.access, slice_from("key"), &length), STATUS_OK);
    assert_int_equal(memory_store_end(&ms), written);
}

static void a_push_to_a_missing_key_may_be_declined(void **state)
{
    uint64_t length = 77;
    struct slice value = slice_from("x");
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(list_push(&ms.access, slice_from("key"), LIST_LEFT, &value, 1, true, &length),
                     STATUS_NOT_FOUND);
    assert_int_equal(length, 77);
    push(LIST_LEFT, "a");
    assert_int_equal(list_push(&ms.access, slice_from("key"), LIST_LEFT, &value, 1, true, &length),
                     STATUS_OK);
    assert_int_equal(length, 2);
    memory_store_end(&ms);
}

static void other_types_and_too_large_elements_are_refused(void **state)
{
    uint64_t length;
    struct slice value = slice_from("x"), large = slice_make("x", LIST_ELEMENT_BYTES_MAX + 1ul);
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(list_push(&ms.access, slice_from("key"), LIST_LEFT, &large, 1, false, &length),
                     STATUS_TOO_LARGE);
    string_set(&ms.access, slice_from("key"), slice_from("s"), NULL,
               &(struct string_set_options){0});
    assert_int_equal(list_push(&ms.access, slice_from("key"), LIST_LEFT, &value, 1, false, &length),
                     STATUS_WRONG_TYPE);
    assert_int_equal(list_pop(&ms.access, slice_from("key"), LIST_LEFT, 1, &visitor),
                     STATUS_WRONG_TYPE);
    assert_int_equal(list_trim(&ms.access, slice_from("key"), 0, 1), STATUS_WRONG_TYPE);
    assert_int_equal(list_length(&ms.access, slice_from("key"), &length), STATUS_WRONG_TYPE);
    assert_int_equal(list_index(&ms.access, slice_from("key"), 0, &value), STATUS_WRONG_TYPE);
    assert_int_equal(list_set(&ms.access, slice_from("key"), 0, value), STATUS_WRONG_TYPE);
    memory_store_end(&ms);
}

static void large_elements_lie_in_pieces_between_small_ones(void **state)
{
    uint64_t length;
    struct slice value;
    size_t size = 100001;
    uint8_t *large = memory_allocate(size);
    (void)state;
    for (size_t i = 0; i < size; i++)
        large[i] = (uint8_t)('a' + i % 23);
    memory_store_write(&ms);
    for (int i = 0; i < 12; i++) {
        struct slice element = i % 3 ? slice_from("small") : slice_make(large, size - (size_t)i);
        assert_int_equal(
            list_push(&ms.access, slice_from("key"), LIST_RIGHT, &element, 1, false, &length),
            STATUS_OK);
    }
    memory_store_end(&ms);
    assert_int_equal(lines_of(TREE_PARTS), 12 + 4 * 4);
    for (int flushed = 0; flushed < 2; flushed++) {
        memory_store_read(&ms);
        assert_int_equal(list_range(&ms.access, slice_from("key"), 0, -1, &visitor), STATUS_OK);
        assert_int_equal(seen.size, 3 + 12 + 8 * 5 + 4 * size - 18);
        assert_int_equal(list_index(&ms.access, slice_from("key"), 9, &value), STATUS_OK);
        assert_true(slice_equal(value, slice_make(large, size - 9)));
        memory_store_end(&ms);
        memory_store_work(&ms, true);
    }
    memory_store_write(&ms); /* backwards over pieces */
    assert_int_equal(list_pop(&ms.access, slice_from("key"), LIST_RIGHT, 11, &visitor), STATUS_OK);
    assert_int_equal(seen.size, 3 + 11 + 8 * 5 + 3 * size - 18);
    memory_store_end(&ms);
    memory_store_write(&ms);
    push(LIST_RIGHT, "dropped");
    assert_int_equal(list_trim(&ms.access, slice_from("key"), 0, 0), STATUS_OK);
    memory_store_end(&ms);
    assert_int_equal(lines_of(TREE_PARTS), 1 + 4);
    memory_free(large);
}

static uint64_t parts_bytes(void)
{
    struct buffer dump = {0};
    memory_store_dump(&ms, TREE_PARTS, &dump);
    uint64_t bytes = dump.size / 2;
    buffer_release(&dump);
    return bytes;
}

/* A queue: what was popped is reclaimed from time to time, at either end. */
static void popped_elements_do_not_pile_up(void **state)
{
    (void)state;
    for (int end = LIST_LEFT; end <= LIST_RIGHT; end++) {
        memory_store_write(&ms);
        push_numbers(0, 40, 100);
        memory_store_end(&ms);
        for (int i = 0; i < 5000; i++) {
            memory_store_write(&ms);
            push(end == LIST_LEFT ? LIST_RIGHT : LIST_LEFT, "the next one");
            assert_int_equal(list_pop(&ms.access, slice_from("key"), end, 1, &visitor), STATUS_OK);
            memory_store_end(&ms);
        }
        assert_true(lines_of(TREE_PARTS) < 40 + LIST_RECLAIM_WEIGHT);
        memory_store_write(&ms);
        list_trim(&ms.access, slice_from("key"), 1, 0);
        memory_store_end(&ms);
        assert_int_equal(parts_bytes(), 0);
    }
}

static void a_stack_that_overwrites_popped_places_reads_right(void **state)
{
    (void)state;
    memory_store_write(&ms);
    push_numbers(0, 10, 100);
    memory_store_end(&ms);
    for (int i = 0; i < 3000; i++) {
        char text[32], expected[40];
        snprintf(text, sizeof text, "top %d", i);
        snprintf(expected, sizeof expected, "1: top %d", i);
        memory_store_write(&ms);
        push(i % 2 ? LIST_LEFT : LIST_RIGHT, text);
        memory_store_end(&ms);
        memory_store_write(&ms);
        pop(i % 2 ? LIST_LEFT : LIST_RIGHT, 1, expected);
        memory_store_end(&ms);
    }
    memory_store_work(&ms, true);
    memory_store_read(&ms);
    assert_int_equal(list_range(&ms.access, slice_from("key"), 0, -1, &visitor), STATUS_OK);
    assert_int_equal(seen.size, 3 + 10 * 101);
    assert_memory_equal(seen.data, "10: 0....", 9);
    memory_store_end(&ms);
}

static void a_list_keeps_its_time(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    push(LIST_LEFT, "x");
    assert_int_equal(keyspace_find(&ms.access, slice_from("key"), &object), STATUS_OK);
    keyspace_set_expire(&ms.access, slice_from("key"), &object, ms.now_ms + 100);
    push_numbers(0, 20, 100);
    pop(LIST_LEFT, 1, "1: x");
    assert_int_equal(keyspace_find(&ms.access, slice_from("key"), &object), STATUS_OK);
    assert_int_equal(object.expire_ms, ms.now_ms + 100);
    memory_store_end(&ms);
}

/* ---- Damage. --------------------------------------------------------------------------------- */

static enum status read_of(const char *body, size_t size, uint64_t id)
{
    struct object object = {.type = OBJECT_LIST, .id = id, .body = slice_make(body, size)};
    memory_store_write(&ms);
    memory_store_plant(&ms, slice_from("key"), &object);
    enum status status = list_range(&ms.access, slice_from("key"), 0, -1, &visitor);
    memory_store_end(&ms);
    return status;
}

static void damaged_headers_are_refused(void **state)
{
    (void)state;
    assert_int_equal(read_of("", 0, 0), STATUS_CORRUPT);
    assert_int_equal(read_of("\0", 1, 0), STATUS_CORRUPT);
    assert_int_equal(read_of("\0\0", 2, 0), STATUS_CORRUPT);     /* no element */
    assert_int_equal(read_of("\0\1", 2, 0), STATUS_CORRUPT);     /* one is missing */
    assert_int_equal(read_of("\0\1\2a", 4, 0), STATUS_CORRUPT);  /* half an element */
    assert_int_equal(read_of("\0\1\1ab", 5, 0), STATUS_CORRUPT); /* something behind */
    assert_int_equal(read_of("\0\x81\1", 3, 0), STATUS_CORRUPT); /* 129 elements */
    assert_int_equal(read_of("\0\1\1a", 4, 0), STATUS_OK);
    assert_int_equal(read_of("\0\1\1a", 4, 9), STATUS_CORRUPT);    /* inline with an id */
    assert_int_equal(read_of("\1\0\1\0\0", 5, 0), STATUS_CORRUPT); /* dense without one */
    assert_int_equal(read_of("\1\0\1\0", 4, 9), STATUS_CORRUPT);
    assert_int_equal(read_of("\1\0\0\0\0", 5, 9), STATUS_CORRUPT); /* no element */
    assert_int_equal(read_of("\1\0\1\0\0x", 6, 9), STATUS_CORRUPT);
    assert_int_equal(read_of("\1\0\1\0\0", 5, 9), STATUS_CORRUPT); /* its element is missing */
    assert_int_equal(read_of("\1\0\5\0\0", 5, 9), STATUS_CORRUPT);
    assert_int_equal(read_of("\1\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0\0", 14, 9),
                     STATUS_CORRUPT); /* too many */
    assert_int_equal(read_of("\1\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1\2\0\0", 14, 9),
                     STATUS_CORRUPT); /* beyond 64 bits */
    assert_int_equal(read_of("\2\0\2\2\0\0\2\0\0\0", 10, 0),
                     STATUS_CORRUPT); /* sparse without id */
    assert_int_equal(read_of("\3\0\1\0\0", 5, 9), STATUS_UNSUPPORTED);
    assert_int_equal(read_of("\x21\0\1\0\0", 5, 9), STATUS_UNSUPPORTED);
}

/* form, head, width, count, weights, low, its width, dead ones. */
static void damaged_headers_of_sparse_lists_are_refused(void **state)
{
    static const struct {
        const char *body;
        size_t size;
    } bodies[] = {
        {"\2\0\2\2\0\0\2\0\0", 9},     /* something is missing */
        {"\2\0\2\2\0\0\2\0\0\0x", 11}, /* something behind */
        {"\2\0\2\0\0\0\2\0\0\0", 10},  /* no element */
        {"\2\0\2\1\0\0\2\0\0\0", 10},  /* fewer than lie outside of the zone */
        {"\2\0\2\4\0\0\6\0\0\0", 10},  /* not as many, all of which lie below it */
        {"\2\0\2\4\0\0\3\0\0\0", 10},  /* or above */
        {"\2\0\2\2\0\0\2\0\1\0", 10},  /* dead ones below a head that is below the zone */
        {"\2\0\2\2\0\0\2\0\0\1", 10},  /* above a tail that is above it */
        {"\2\0\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0\0\2\0\0\0", 19}, /* too many */
        {"\2\0\x80\x80\x80\x80\x80\x80\x80\x40\2\0\0\2\0\0\0", 17},       /* too wide */
        {"\2\0\2\2\0\0\2\x80\x80\x80\x80\x80\x80\x80\x40\0\0", 17},       /* a zone that is */
        {"\2\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1\2\2\0\0\2\0\0\0", 19}, /* beyond 64 bits */
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_int_equal(read_of(bodies[i].body, bodies[i].size, 9), STATUS_CORRUPT);
}

static enum status read_element(const char *record, size_t size)
{
    uint8_t key[OBJECT_PREFIX_BYTES + 9];
    memory_store_write(&ms);
    object_prefix_store(key, ms.access.generation, 9);
    key[OBJECT_PREFIX_BYTES] = 'l';
    be64_store(key + OBJECT_PREFIX_BYTES + 1, (uint64_t)1 << 63);
    ms.is_damaged = true;
    access_put(&ms.access, TREE_PARTS, slice_make(key, sizeof key), slice_make(record, size));
    memory_store_end(&ms);
    return read_of("\1\0\1\0\0", 5, 9);
}

static void damaged_elements_are_refused(void **state)
{
    (void)state;
    assert_int_equal(read_element("\0", 1), STATUS_OK);
    expect_seen("1: ");
    assert_int_equal(read_element("", 0), STATUS_CORRUPT);
    assert_int_equal(read_element("\2x", 2), STATUS_CORRUPT);
    assert_int_equal(read_element("\1", 1), STATUS_CORRUPT);
    assert_int_equal(read_element("\1\5x", 3), STATUS_CORRUPT);
    assert_int_equal(read_element("\1\5", 2), STATUS_CORRUPT);                 /* no piece */
    assert_int_equal(read_element("\1\x81\x80\x80\x80\2", 6), STATUS_CORRUPT); /* above 512 MiB */
}

/* Of a list with elements in pieces the old record says what to give back. */
static void a_damaged_element_is_not_replaced(void **state)
{
    (void)state;
    assert_int_equal(read_element("", 0), STATUS_CORRUPT);
    assert_int_equal(read_of("\x11\0\1\0\0", 5, 9), STATUS_CORRUPT);
    assert_int_equal(set(0, slice_from("x")), STATUS_CORRUPT);
    assert_int_equal(read_element("\1", 1), STATUS_CORRUPT);
    assert_int_equal(read_of("\x11\0\1\0\0", 5, 9), STATUS_CORRUPT);
    assert_int_equal(set(0, slice_from("x")), STATUS_CORRUPT);
    assert_int_equal(read_of("\x11\2\1\0\0", 5, 9), STATUS_CORRUPT); /* it is missing */
    assert_int_equal(set(0, slice_from("x")), STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_lists_push_and_pop_at_both_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_that_outgrows_its_header_keeps_its_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_element_too_large_for_the_header_gets_a_record, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ranges_clip_as_redis_does, setup, teardown),
        cmocka_unit_test_setup_teardown(an_index_counts_from_either_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_trim_keeps_the_range_and_removes_an_empty_list, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_element_is_replaced_by_its_index, setup, teardown),
        cmocka_unit_test_setup_teardown(a_replaced_element_leaves_no_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(who_reads_a_replaced_element_waits_for_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_push_to_a_missing_key_may_be_declined, setup, teardown),
        cmocka_unit_test_setup_teardown(other_types_and_too_large_elements_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(large_elements_lie_in_pieces_between_small_ones, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(popped_elements_do_not_pile_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stack_that_overwrites_popped_places_reads_right, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_list_keeps_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_headers_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_headers_of_sparse_lists_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(damaged_elements_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_element_is_not_replaced, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
