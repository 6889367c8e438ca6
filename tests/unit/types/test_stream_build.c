/* SPDX-License-Identifier: MIT */
/* A stream that is built shows what was put in, takes further entries, and is sound. */
#include "types/stream_build.h"

#include "base/memory.h"
#include "unit/types/stream_fixture.h"

static enum status spill(void *context, struct object_build *build)
{
    (void)context;
    return object_build_spill(build);
}

static int setup_small_batches(void **state)
{
    (void)state;
    memory_store_open(
        &ms, &(struct store_options){.build_bytes_max = 2000, .wal_segment_bytes = 2 << 20});
    return 0;
}

static void begin(struct object_build *object, struct stream_build *build)
{
    memory_store_read(&ms);
    object_build_begin(object, &ms.access, false);
    memory_store_end(&ms);
    object->full = spill;
    stream_build_begin(build, object);
}

/* IDs 10-1, 20-1 ... with their own text as a field, as add() of the fixture does. */
static void put_entries(struct stream_build *build, uint64_t count)
{
    for (uint64_t i = 1; i <= count; i++) {
        char text[STREAM_ID_TEXT_MAX];
        struct stream_id id = {10 * i, 1};
        size_t size = stream_id_format(id, text);
        stream_build_entry(build, id, 1);
        assert_int_equal(stream_build_field(build, slice_from("f"), slice_make(text, size)),
                         STATUS_OK);
        assert_int_equal(stream_build_entry_end(build), STATUS_OK);
    }
}

/* As "s". */
static void link_stream(struct stream_build *build, struct object_build *object,
                        struct stream_id last_id, struct stream_id max_deleted_id,
                        uint64_t entries_added)
{
    struct object built = {.type = OBJECT_STREAM}, old;
    struct buffer body = {0};
    memory_store_write(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("s"), &old), STATUS_NOT_FOUND);
    stream_build_end(build, last_id, max_deleted_id, entries_added, &body);
    built.body = buffer_slice(&body);
    built.id = object_build_link(object, &ms.access);
    keyspace_put(&ms.access, slice_from("s"), &built, NULL);
    memory_store_end(&ms);
    stream_build_release(build);
    object_build_release(object);
    buffer_release(&body);
}

static void what_was_put_in_is_shown_and_grows(void **state)
{
    struct object_build object;
    struct stream_build build;
    (void)state;
    begin(&object, &build);
    put_entries(&build, 200);
    link_stream(&build, &object, (struct stream_id){2500, 7}, (struct stream_id){15, 0}, 300);
    struct stream_header header = header_now();
    assert_int_equal(header.length, 200);
    assert_int_equal(header.entries_added, 300);
    assert_int_equal(header.max_deleted_id.ms, 15);
    assert_string_equal(range("0", "31", false), "10-1 20-1 30-1");
    assert_string_equal(add("2500-7"), ""); /* not above the last one */
    assert_string_equal(add("2500-8"), "2500-8");
    assert_int_equal(delete_id("20-1"), 1);
    assert_int_equal(trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = 3}), 197);
    assert_string_equal(range("-", "+", true), "2500-8 2000-1 1990-1");
    memory_store_reopen(&ms); /* sound */
}

static void an_empty_stream_keeps_its_last_id(void **state)
{
    struct object_build object;
    struct stream_build build;
    (void)state;
    begin(&object, &build);
    link_stream(&build, &object, (struct stream_id){5, 5}, (struct stream_id){5, 5}, 1);
    assert_int_equal(header_now().length, 0);
    assert_string_equal(range("-", "+", false), "");
    assert_string_equal(add("5-5"), "");
    assert_string_equal(add("5-6"), "5-6");
    assert_int_equal(header_now().entries_added, 2);
    memory_store_reopen(&ms);
}

static void without_memory_an_entry_is_not_put(void **state)
{
    struct object_build object;
    struct stream_build build;
    static uint8_t value[1000];
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        begin(&object, &build);
        stream_build_entry(&build, (struct stream_id){1, 1}, 1);
        memory_fail_try(n, false);
        enum status status =
            stream_build_field(&build, slice_from("f"), slice_make(value, sizeof value));
        assert_int_equal(status, n == 1 ? STATUS_NO_MEMORY : STATUS_OK);
        if (!status)
            assert_int_equal(stream_build_entry_end(&build), STATUS_NO_MEMORY);
        memory_fail_try(0, false);
        stream_build_release(&build);
        object_build_release(&object);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_small_batches, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_in_is_shown_and_grows),
        TEST(an_empty_stream_keeps_its_last_id),
        TEST(without_memory_an_entry_is_not_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
