/* SPDX-License-Identifier: MIT */
/* What a dump says is what reads say; restored it is the same again. */
#include "types/rdb_dump.h"

#include "base/memory.h"
#include "lib/rdb_text.h"
#include "types/list.h"
#include "types/rdb_restore.h"
#include "types/rdb_stream.h"
#include "types/string.h"
#include "unit/types/stream_fixture.h"

#include <sys/mman.h>

static struct buffer payload;
static uint64_t asked, asked_max;

static enum status go_on(void *context)
{
    (void)context;
    return asked_max && ++asked > asked_max ? STATUS_WOULD_BLOCK : STATUS_OK;
}

static enum status dump_into(const char *key, struct buffer *out)
{
    struct object object;
    memory_store_read(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from(key), &object), STATUS_OK);
    enum status status = rdb_dump(&ms.access, slice_from(key), &object, out, go_on, NULL);
    memory_store_end(&ms);
    return status;
}

/* What a dump of the key holds, as text. */
static const char *show(const char *key)
{
    static struct rdb_text text;
    struct rdb_sink sink = rdb_text_sink(&text);
    struct slice value;
    buffer_clear(&payload);
    buffer_clear(&text.text);
    assert_int_equal(dump_into(key, &payload), STATUS_OK);
    assert_int_equal(rdb_open(buffer_slice(&payload), &value), STATUS_OK);
    assert_int_equal(rdb_load(value, &sink), STATUS_OK);
    buffer_append_byte(&text.text, 0);
    return (const char *)text.text.data;
}

static void set(const char *key, struct slice value)
{
    memory_store_write(&ms);
    string_set(&ms.access, slice_from(key), value, NULL, &(struct string_set_options){0});
    memory_store_end(&ms);
}

static void push(const char *key, struct slice value)
{
    uint64_t length;
    memory_store_write(&ms);
    assert_int_equal(list_push(&ms.access, slice_from(key), LIST_RIGHT, &value, 1, false, &length),
                     STATUS_OK);
    memory_store_end(&ms);
}

/* ---- Restoring --------------------------------------------------------------------------------- */

static enum status spill(void *context, struct object_build *build)
{
    (void)context;
    return object_build_spill(build);
}

static enum status restore(struct slice value, const char *key, bool is_small)
{
    struct object_build build;
    struct rdb_restored restored;
    struct object object = {0}, old;
    memory_store_read(&ms);
    object_build_begin(&build, &ms.access, is_small);
    memory_store_end(&ms);
    build.full = spill;
    enum status status = rdb_restore(value, UINT64_MAX, &build, &restored);
    if (!status) {
        memory_store_write(&ms);
        assert_int_equal(keyspace_find(&ms.access, slice_from(key), &old), STATUS_NOT_FOUND);
        object.type = restored.type;
        object.body = buffer_slice(&restored.body);
        if (restored.has_parts)
            object.id = object_build_link(&build, &ms.access);
        keyspace_put(&ms.access, slice_from(key), &object, NULL);
        memory_store_end(&ms);
    }
    object_build_release(&build);
    rdb_restored_release(&restored);
    return status;
}

/* Dumped, restored and dumped again it is the same. */
static void check_both_ways(const char *key)
{
    struct buffer first = {0};
    struct slice value;
    bool deleted;
    (void)show(key);
    buffer_append_slice(&first, buffer_slice(&payload));
    assert_int_equal(rdb_open(buffer_slice(&first), &value), STATUS_OK);
    assert_int_equal(restore(value, "again", false), STATUS_OK);
    (void)show("again");
    assert_true(slice_equal(buffer_slice(&first), buffer_slice(&payload)));
    memory_store_write(&ms);
    assert_int_equal(keyspace_delete(&ms.access, slice_from("again"), &deleted), STATUS_OK);
    memory_store_end(&ms);
    buffer_release(&first);
}

/* ---- Tests ------------------------------------------------------------------------------------- */

static uint8_t large[300000];

static void strings_come_back(void **state)
{
    static const size_t sizes[] = {0, 1, 65536, 65537, 300000};
    char key[16];
    (void)state;
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * i >> 4);
    set("k", slice_from("12345"));
    assert_string_equal(show("k"), "string 12345\n");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(key, sizeof key, "k%zu", i);
        set(key, slice_make(large, sizes[i]));
        check_both_ways(key);
    }
    memory_store_reopen(&ms); /* sound */
}

static void a_string_with_holes_is_dumped_with_zeros(void **state)
{
    struct object object;
    (void)state;
    set("k", slice_make(large, 100000));
    memory_store_write(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("k"), &object), STATUS_OK);
    uint8_t key[17];
    object_prefix_store(key, ms.access.generation, object.id);
    key[12] = 's';
    be32_store(key + 13, 1);
    access_delete(&ms.access, TREE_PARTS, slice_make(key, sizeof key));
    memory_store_end(&ms);
    check_both_ways("k");
}

static void lists_come_back(void **state)
{
    char text[32];
    (void)state;
    push("few", slice_from("a"));
    push("few", slice_from("-5"));
    push("few", slice_from(""));
    assert_string_equal(show("few"), "element a\nelement -5\nelement \n");
    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, i % 3 ? "%d" : "element %d", i);
        push("many", slice_from(text));
        if (i % 500 == 0)
            push("many", slice_make(large, 8000 + (size_t)i * 20));
    }
    check_both_ways("few");
    check_both_ways("many");
    memory_store_reopen(&ms);
}

static void streams_come_back_without_what_redis_has_no_place_for(void **state)
{
    (void)state;
    add("1-1");
    add("1-2");
    add("2-0");
    delete_id("1-2");
    assert_string_equal(show("s"), "entry 1-1 f=1-1\nentry 2-0 f=2-0\nstream 2 2-0 1-2 3 0\n");
    write_line("late", 1); /* its time is not in the dump */
    assert_non_null(strstr(show("s"), " message=late\n"));
    for (int i = 0; i < 1000; i++) {
        ms.now_ms += 2;
        if (i % 30 < 20)
            add("*");
        else
            write_line("a line", 0);
    }
    trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = 900});
    check_both_ways("s");
    trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = 0});
    check_both_ways("s");
    memory_store_reopen(&ms);
}

static void a_small_build_takes_small_values(void **state)
{
    struct slice value;
    (void)state;
    set("small", slice_make(large, 40000));
    set("large", slice_make(large, 70000));
    (void)show("small");
    assert_int_equal(rdb_open(buffer_slice(&payload), &value), STATUS_OK);
    assert_int_equal(restore(value, "again", true), STATUS_OK);
    (void)show("large");
    assert_int_equal(rdb_open(buffer_slice(&payload), &value), STATUS_OK);
    assert_int_equal(restore(value, "again2", true), STATUS_TOO_LARGE);
}

static void whoever_is_asked_may_end_a_dump(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        push("l", slice_make(large, 100));
        ms.now_ms++;
        add("*");
    }
    for (asked_max = 1; asked_max < 5; asked_max++) {
        asked = 0;
        buffer_clear(&payload);
        assert_int_equal(dump_into("l", &payload), STATUS_WOULD_BLOCK);
        asked = 0;
        buffer_clear(&payload);
        assert_int_equal(dump_into("s", &payload), STATUS_WOULD_BLOCK);
    }
    asked_max = 0;
}

/* The n-th allocation that can fail does: of the payload, of a node. */
static void without_memory_a_dump_says_so(void **state)
{
    static const char *const keys[] = {"k", "l", "s"};
    (void)state;
    set("k", slice_make(large, 300000));
    for (int i = 0; i < 20; i++) {
        push("l", slice_make(large, 90000));
        ms.now_ms++;
        write_line("message", 0);
    }
    memory_store_write(&ms);
    struct stream stream;
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    struct slice fields[] = {slice_make(large, 90000), slice_make(large, 200000)};
    struct stream_id id = {ms.now_ms + 1, 0};
    assert_int_equal(
        stream_add(&ms.access, &stream, id,
                   &(struct stream_input){.fields = fields, .field_count = 1, .event_ms = id.ms},
                   &(struct stream_trim){0}),
        STATUS_OK);
    memory_store_end(&ms);
    for (size_t i = 0; i < 3; i++) {
        uint64_t n = 0;
        enum status status = STATUS_NO_MEMORY;
        while (status) {
            struct buffer out = {.may_fail = true};
            memory_fail_try(++n, true);
            status = dump_into(keys[i], &out);
            memory_fail_try(0, false);
            assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
            buffer_release(&out);
        }
        assert_true(n > 2);
    }
}

static void without_memory_a_restore_says_so(void **state)
{
    static const char *const keys[] = {"k", "small", "l", "s"};
    struct buffer copy = {0};
    struct slice value;
    (void)state;
    set("k", slice_make(large, 300000));
    set("small", slice_make(large, 60000));
    push("l", slice_make(large, 90000));
    add("1-1");
    for (size_t i = 0; i < 4; i++) {
        enum status status = STATUS_NO_MEMORY;
        (void)show(keys[i]);
        buffer_clear(&copy);
        buffer_append_slice(&copy, buffer_slice(&payload));
        assert_int_equal(rdb_open(buffer_slice(&copy), &value), STATUS_OK);
        for (uint64_t n = 1; status; n++) {
            struct object_build build;
            struct rdb_restored restored;
            memory_store_read(&ms);
            object_build_begin(&build, &ms.access, false);
            memory_store_end(&ms);
            build.full = spill;
            memory_fail_try(n, true);
            status = rdb_restore(value, UINT64_MAX, &build, &restored);
            memory_fail_try(0, false);
            assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
            object_build_release(&build);
            rdb_restored_release(&restored);
        }
    }
    buffer_release(&copy);
}

static void what_is_damaged_is_not_dumped(void **state)
{
    static const enum object_type types[] = {OBJECT_STRING, OBJECT_LIST, OBJECT_STREAM};
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct object bad = {.type = types[i], .id = 5, .body = slice_from("\x01\x02")};
        memory_store_write(&ms);
        memory_store_plant(&ms, slice_from("bad"), &bad);
        memory_store_end(&ms);
        buffer_clear(&payload);
        assert_int_equal(dump_into("bad", &payload), STATUS_CORRUPT);
    }
    add("1-1");
    memory_store_write(&ms);
    struct stream stream;
    uint8_t key[STREAM_ENTRY_KEY_BYTES];
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    stream_entry_key_store(key, stream.prefix, make_id("1-1"));
    access_put(&ms.access, TREE_ENTRIES, slice_make(key, sizeof key),
               slice_make("\0\0\1\5x", 5)); /* a name that is cut */
    memory_store_end(&ms);
    buffer_clear(&payload);
    assert_int_equal(dump_into("s", &payload), STATUS_CORRUPT);
}

/* Its bytes are not looked at. */
static void an_entry_that_no_listpack_can_hold_is_refused(void **state)
{
    uint8_t fields[2 + VARINT_BYTES_MAX] = {1, 'f'};
    struct buffer out = {0};
    struct rdb_stream_writer writer;
    struct stream_header header = {0};
    size_t size = 2 + varint_store(fields + 2, 1 << 30);
    struct stream_entry entry = {
        .field_count = 1, .fields = fields, .end = fields + size + (1 << 30)};
    (void)state;
    rdb_stream_begin(&writer, &out);
    assert_int_equal(rdb_stream_put(&writer, &entry), STATUS_TOO_LARGE);
    rdb_stream_end(&writer, &header);
    buffer_release(&out);
}

/* A long name of the master entry stands in every entry. */
static void what_would_be_larger_than_allowed_is_bad_data(void **state)
{
    struct buffer value = {0};
    struct listpack_writer node = {0};
    static uint8_t name[1000];
    (void)state;
    buffer_append_byte(&value, 15);
    rdb_put_length(&value, 1);
    rdb_put_string(&value, slice_make("\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0\1", 16));
    listpack_put_number(&node, 2000);
    listpack_put_number(&node, 0);
    listpack_put_number(&node, 1);
    listpack_put(&node, slice_make(name, sizeof name));
    listpack_put_number(&node, 0);
    for (int i = 0; i < 2000; i++) {
        listpack_put_number(&node, 2);
        listpack_put_number(&node, i);
        listpack_put_number(&node, 0);
        listpack_put_number(&node, 1);
        listpack_put_number(&node, 4);
    }
    listpack_put_as_string(&node, &value);
    buffer_append(&value, "\x47\xd0\x47\xd9\x01\0", 6);
    struct object_build build;
    struct rdb_restored restored;
    memory_store_read(&ms);
    object_build_begin(&build, &ms.access, false);
    memory_store_end(&ms);
    build.full = spill;
    assert_int_equal(rdb_restore(buffer_slice(&value), 100000, &build, &restored), STATUS_INVALID);
    rdb_restored_release(&restored);
    assert_int_equal(rdb_restore(buffer_slice(&value), 2000 * 1100, &build, &restored), STATUS_OK);
    object_build_release(&build);
    rdb_restored_release(&restored);
    listpack_release(&node);
    buffer_release(&value);
}

/* In memory that is never touched. */
static void a_value_above_half_a_gibibyte_is_bad_data(void **state)
{
    enum { LENGTH = (512 << 20) + 1, MAPPED = LENGTH + 64 };
    struct buffer head = {0};
    (void)state;
    uint8_t *value = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(value, MAP_FAILED);
    for (int is_list = 0; is_list < 2; is_list++) {
        buffer_clear(&head);
        buffer_append_byte(&head, is_list ? 1 : 0);
        if (is_list)
            rdb_put_length(&head, 1);
        rdb_put_length(&head, LENGTH);
        memcpy(value, head.data, head.size);
        assert_int_equal(restore(slice_make(value, head.size + LENGTH), "k", false),
                         STATUS_INVALID);
    }
    munmap(value, MAPPED);
    buffer_release(&head);
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
        TEST(strings_come_back),
        TEST(a_string_with_holes_is_dumped_with_zeros),
        TEST(lists_come_back),
        TEST(streams_come_back_without_what_redis_has_no_place_for),
        TEST(a_small_build_takes_small_values),
        TEST(whoever_is_asked_may_end_a_dump),
        TEST(without_memory_a_dump_says_so),
        TEST(without_memory_a_restore_says_so),
        TEST(what_is_damaged_is_not_dumped),
        TEST(an_entry_that_no_listpack_can_hold_is_refused),
        TEST(what_would_be_larger_than_allowed_is_bad_data),
        TEST(a_value_above_half_a_gibibyte_is_bad_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
