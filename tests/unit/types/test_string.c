/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include "lib/memory_store.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct memory_store ms;

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
    return 0;
}

static void set(struct slice value, struct string_set_options options)
{
    struct object old;
    enum status status = keyspace_find(&ms.access, slice_from("key"), &old);
    string_set(&ms.access, slice_from("key"), value, status ? NULL : &old, &options);
}

static void expect(struct slice value)
{
    struct slice found;
    struct object object;
    uint64_t length;
    assert_int_equal(string_get(&ms.access, slice_from("key"), &found), STATUS_OK);
    assert_true(slice_equal(found, value));
    assert_int_equal(keyspace_find(&ms.access, slice_from("key"), &object), STATUS_OK);
    assert_int_equal(string_length(&object, &length), STATUS_OK);
    assert_int_equal(length, value.size);
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

static void values_of_all_sizes_come_back_before_and_after_a_flush(void **state)
{
    const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 98304, 98305, 1000000};
    uint8_t *bytes = memory_allocate(1000000);
    (void)state;
    for (size_t i = 0; i < 1000000; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct slice value = slice_make(bytes, sizes[i]);
        memory_store_write(&ms);
        set(value, (struct string_set_options){0});
        expect(value);
        memory_store_end(&ms);
        memory_store_read(&ms);
        expect(value);
        memory_store_end(&ms);
        size_t pieces = sizes[i] > 65536 ? (sizes[i] + 32767) / 32768 : 0;
        assert_int_equal(lines_of(TREE_PARTS), pieces); /* the old ones are gone */
        memory_store_work(&ms, true);
        memory_store_read(&ms);
        expect(value);
        memory_store_end(&ms);
    }
    memory_free(bytes);
}

static void a_time_is_set_kept_or_dropped(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    set(slice_from("1"), (struct string_set_options){.keep_ttl = true}); /* nothing to keep */
    set(slice_from("2"), (struct string_set_options){.expire_ms = 2000000});
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "$ set key, $ set key, g expire key");
    memory_store_write(&ms);
    set(slice_from("3"), (struct string_set_options){.keep_ttl = true, .expire_ms = 5});
    assert_int_equal(keyspace_find(&ms.access, slice_from("key"), &object), STATUS_OK);
    assert_int_equal(object.expire_ms, 2000000);
    assert_int_equal(lsm_writer_is_empty(ms.access.writer), false);
    set(slice_from("4"), (struct string_set_options){0});
    assert_int_equal(keyspace_find(&ms.access, slice_from("key"), &object), STATUS_OK);
    assert_int_equal(object.expire_ms, 0);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "$ set key, $ set key");
    assert_int_equal(lines_of(TREE_PARTS), 0);
}

static void missing_keys_and_other_types_are_said(void **state)
{
    struct slice value;
    struct object object = {.type = OBJECT_STREAM, .id = 1};
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(string_get(&ms.access, slice_from("key"), &value), STATUS_NOT_FOUND);
    memory_store_plant(&ms, slice_from("key"), &object);
    assert_int_equal(string_get(&ms.access, slice_from("key"), &value), STATUS_WRONG_TYPE);
    memory_store_end(&ms);
}

static enum status set_many(const char *const *texts, size_t count, bool only_new, bool *written)
{
    struct slice pairs[16];
    for (size_t i = 0; i < 2 * count; i++)
        pairs[i] = slice_from(texts[i]);
    return string_set_many(&ms.access, pairs, count, only_new, written);
}

static void expect_text(const char *key, const char *value)
{
    struct slice found;
    assert_int_equal(string_get(&ms.access, slice_from(key), &found), STATUS_OK);
    assert_true(slice_equal(found, slice_from(value)));
}

static void many_are_set_and_a_keys_last_value_counts(void **state)
{
    static const char *const texts[] = {"a", "1", "b", "2", "a", "3", "list", "4", "a", "5"};
    struct object list = {.type = OBJECT_LIST, .body = slice_make("\0\1\1x", 4)};
    uint64_t keys, expires;
    bool written = false;
    (void)state;
    memory_store_write(&ms);
    keyspace_put(&ms.access, slice_from("list"), &list, NULL);
    string_set(&ms.access, slice_from("b"), slice_from("0"), NULL,
               &(struct string_set_options){.expire_ms = 2000000});
    memory_store_end(&ms);
    memory_store_write(&ms);
    assert_int_equal(set_many(texts, 5, false, &written), STATUS_OK);
    assert_true(written);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "$ set a, $ set b, $ set a, $ set list, $ set a");
    memory_store_read(&ms);
    expect_text("a", "5");
    expect_text("b", "2");
    expect_text("list", "4");
    assert_int_equal(keyspace_count(&ms.access, &keys, &expires), STATUS_OK);
    assert_int_equal(keys, 3);
    assert_int_equal(expires, 0);
    memory_store_end(&ms);
}

static void none_is_set_when_one_of_them_must_not_be_there_and_is(void **state)
{
    static const char *const old[] = {"c", "0"}, *const texts[] = {"a", "1", "c", "2"},
                             *const more[] = {"a", "1", "a", "2"};
    bool written = false;
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(set_many(old, 1, true, &written), STATUS_OK);
    assert_true(written);
    memory_store_end(&ms);
    memory_store_write(&ms);
    assert_int_equal(set_many(texts, 2, true, &written), STATUS_OK);
    assert_false(written);
    assert_true(lsm_writer_is_empty(ms.access.writer));
    assert_int_equal(set_many(more, 2, true, &written), STATUS_OK); /* neither was there before */
    assert_true(written);
    expect_text("a", "2");
    expect_text("c", "0");
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "$ set a, $ set a");
}

static void so_many_that_there_is_no_memory_to_list_them_are_refused(void **state)
{
    enum { MANY = 10000 };
    static struct slice pairs[2 * MANY];
    bool written;
    (void)state;
    for (size_t i = 0; i < 2 * MANY; i++)
        pairs[i] = slice_from("same");
    memory_store_write(&ms);
    for (uint64_t n = 1; n <= 2; n++) {
        memory_fail_try(n, true);
        assert_int_equal(string_set_many(&ms.access, pairs, MANY, false, &written),
                         STATUS_NO_MEMORY);
        memory_fail_try(0, false);
    }
    assert_true(lsm_writer_is_empty(ms.access.writer));
    assert_int_equal(string_set_many(&ms.access, pairs, MANY, false, &written), STATUS_OK);
    expect_text("same", "same");
    memory_store_end(&ms);
}

/* Puts a string's header and one piece as no function here would. */
static enum status read_of(struct slice body, uint32_t piece_index, struct slice piece,
                           struct slice *value)
{
    uint8_t key[OBJECT_PREFIX_BYTES + 5];
    memory_store_write(&ms);
    struct object object = {.type = OBJECT_STRING, .id = access_new_id(&ms.access), .body = body};
    memory_store_plant(&ms, slice_from("key"), &object);
    object_prefix_store(key, ms.access.generation, object.id);
    key[OBJECT_PREFIX_BYTES] = 's';
    be32_store(key + OBJECT_PREFIX_BYTES + 1, piece_index);
    access_put(&ms.access, TREE_PARTS, slice_make(key, sizeof key), piece);
    memory_store_end(&ms);
    memory_store_read(&ms);
    enum status status = string_get(&ms.access, slice_from("key"), value);
    memory_store_end(&ms);
    return status;
}

static void what_is_not_stored_of_a_piece_is_zeros(void **state)
{
    struct slice value;
    uint8_t body[VARINT_BYTES_MAX], zeros[32768] = {0};
    (void)state;
    size_t size = varint_store(body, 100000);
    assert_int_equal(read_of(slice_make(body, size), 1, slice_from("abc"), &value), STATUS_OK);
    memory_store_read(&ms);
    assert_int_equal(string_get(&ms.access, slice_from("key"), &value), STATUS_OK);
    assert_int_equal(value.size, 100000);
    assert_memory_equal(value.data, zeros, 32768);
    assert_memory_equal(value.data + 32768, "abc", 3);
    assert_memory_equal(value.data + 32771, zeros, 32765);
    assert_memory_equal(value.data + 65536, zeros, 32768);
    assert_memory_equal(value.data + 98304, zeros, 100000 - 98304);
    memory_store_end(&ms);
}

static void damaged_strings_are_refused(void **state)
{
    struct slice value;
    uint8_t body[VARINT_BYTES_MAX + 1];
    (void)state;
    size_t size = varint_store(body, 70000);
    body[size] = 0;
    struct slice long_piece = slice_from("0123456789");
    assert_int_equal(read_of(slice_make(body, 0), 0, long_piece, &value), STATUS_CORRUPT);
    assert_int_equal(read_of(slice_make(body, size + 1), 0, long_piece, &value), STATUS_CORRUPT);
    size = varint_store(body, (uint64_t)STRING_BYTES_MAX + 1);
    assert_int_equal(read_of(slice_make(body, size), 0, long_piece, &value), STATUS_CORRUPT);
    size = varint_store(body, 65537); /* the third piece has one byte */
    assert_int_equal(read_of(slice_make(body, size), 2, long_piece, &value), STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_of_all_sizes_come_back_before_and_after_a_flush,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_time_is_set_kept_or_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(many_are_set_and_a_keys_last_value_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(none_is_set_when_one_of_them_must_not_be_there_and_is,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(so_many_that_there_is_no_memory_to_list_them_are_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(missing_keys_and_other_types_are_said, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_stored_of_a_piece_is_zeros, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_strings_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
