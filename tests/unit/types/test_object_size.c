/* SPDX-License-Identifier: MIT */
#include "types/object_size.h"

#include "types/list.h"
#include "types/string.h"
#include "unit/types/stream_fixture.h"

static uint64_t looked;
static enum status answer;

static enum status check(void *context, uint64_t bytes)
{
    assert_null(context);
    assert_true(bytes > 0);
    looked++;
    return answer;
}

static enum status measure(const char *key, uint64_t samples, uint64_t *bytes)
{
    struct object object;
    const struct object_size_options options = {.samples = samples, .check = check};
    looked = 0;
    memory_store_read(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from(key), &object), STATUS_OK);
    enum status status = object_size(&ms.access, slice_from(key), &object, &options, bytes);
    memory_store_end(&ms);
    return status;
}

static uint64_t size_of(const char *key, uint64_t samples)
{
    uint64_t bytes = 0;
    assert_int_equal(measure(key, samples, &bytes), STATUS_OK);
    return bytes;
}

static void set(const char *key, size_t bytes, uint64_t expire_ms)
{
    static uint8_t value[200000];
    memory_store_write(&ms);
    string_set(&ms.access, slice_from(key), slice_make(value, bytes), NULL,
               &(struct string_set_options){.expire_ms = expire_ms});
    memory_store_end(&ms);
}

static void push(const char *key, size_t bytes, int count)
{
    static uint8_t value[1000];
    struct slice element = slice_make(value, bytes);
    uint64_t length;
    memory_store_write(&ms);
    for (int i = 0; i < count; i++)
        assert_int_equal(
            list_push(&ms.access, slice_from(key), LIST_RIGHT, &element, 1, false, &length),
            STATUS_OK);
    memory_store_end(&ms);
}

static void strings_take_their_bytes_and_some_for_each_record(void **state)
{
    (void)state;
    set("k", 100, 0);
    assert_int_equal(size_of("k", 5), 11 + 1 + 1 + 100);
    set("timed", 100, ms.now_ms + 5000);
    assert_int_equal(size_of("timed", 5), 11 + 5 + 1 + 100 + 20 + 7 + 5);
    set("large", 200000, 0);
    assert_in_range(size_of("large", 5), 200000 + 7 * 17, 200000 + 7 * 17 + 30);
    assert_int_equal(looked, 0);
}

static void lists_and_streams_take_what_a_sample_says(void **state)
{
    char id[32];
    (void)state;
    push("few", 10, 3);
    assert_int_equal(size_of("few", 5), 11 + 3 + 1 + 2 + 3 * 11);
    push("l", 100, 50);
    push("l", 900, 50);
    assert_in_range(size_of("l", 10), 100 * 122,
                    100 * 122 + 40); /* as if all were like the first */
    assert_int_equal(looked, 9);
    assert_in_range(size_of("l", 0), 50 * 122 + 50 * 922, 50 * 1044 + 40);
    assert_int_equal(looked, 100);
    assert_in_range(size_of("l", 100), 50 * 1044, 50 * 1044 + 40);
    for (int i = 1; i <= 50; i++) {
        snprintf(id, sizeof id, "%d-1", i);
        add(id);
    }
    assert_in_range(size_of("s", 0), 50 * 33, 50 * 50);
    assert_in_range(size_of("s", 3), 50 * 33, 50 * 50);
    assert_int_equal(looked, 2);
    trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = 0});
    assert_in_range(size_of("s", 0), 12, 40);
}

static void whoever_is_asked_may_end_it(void **state)
{
    uint64_t bytes = 77;
    (void)state;
    push("l", 600, 3);
    add("1-1");
    add("2-1");
    answer = STATUS_WOULD_BLOCK;
    assert_int_equal(measure("l", 0, &bytes), STATUS_WOULD_BLOCK);
    assert_int_equal(measure("s", 0, &bytes), STATUS_WOULD_BLOCK);
    assert_int_equal(bytes, 77);
    answer = STATUS_OK;
}

static void what_is_damaged_has_no_size(void **state)
{
    static const enum object_type types[] = {OBJECT_STRING, OBJECT_LIST, OBJECT_STREAM};
    uint64_t bytes = 77;
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct object bad = {.type = types[i], .id = 5, .body = slice_from("\x01\x02")};
        memory_store_write(&ms);
        memory_store_plant(&ms, slice_from("bad"), &bad);
        memory_store_end(&ms);
        assert_int_equal(measure("bad", 0, &bytes), STATUS_CORRUPT);
    }
    assert_int_equal(bytes, 77);
}

/* Small segments: filling them with zeros is what a store costs. */
static int setup_small(void **state)
{
    (void)state;
    memory_store_open(&ms, &(struct store_options){.wal_segment_bytes = 2 << 20});
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_small, teardown)
    const struct CMUnitTest tests[] = {
        TEST(strings_take_their_bytes_and_some_for_each_record),
        TEST(lists_and_streams_take_what_a_sample_says),
        TEST(whoever_is_asked_may_end_it),
        TEST(what_is_damaged_has_no_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
