/* SPDX-License-Identifier: MIT */
/* What tables say of calls that fail and of memory that is not there, where test_table.c's failures, one a
 * run, do not come: behind the first failure, and in blocks that are read only for later. */
#include "lsm/table.h"

#include "base/memory.h"
#include "lsm/block_cache.h"
#include "unit/lsm/memory_env.h"
#include "vfs/vfs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { NUMBER = 7, KEYS = 30000, WRITE_BYTES = 256 << 10 };
#define PATH "000007.cwt"

struct fixture {
    struct vfs *memory, *vfs; /* vfs: the fault-injecting one above */
    struct env env;
    struct block_cache *cache;
};

static int setup(void **state)
{
    struct fixture *fixture = memory_zeroed(1, sizeof(*fixture));
    fixture->memory = vfs_memory_create();
    fixture->vfs = vfs_fault_create(fixture->memory);
    fixture->env = memory_env(fixture->vfs);
    fixture->cache = block_cache_create(8 << 20);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    block_cache_destroy(fixture->cache);
    vfs_destroy(fixture->vfs);
    vfs_destroy(fixture->memory);
    memory_free(fixture);
    return 0;
}

static struct slice key_of(unsigned i, char text[24])
{
    snprintf(text, 24, "key/%06u", i);
    return slice_from(text);
}

/* Entry i; values do not compress, so that a file's size is known roughly. */
static enum status add(struct table_builder *builder, unsigned i)
{
    char key[24];
    uint8_t value[32];
    for (size_t k = 0; k < sizeof(value); k++)
        value[k] = (uint8_t)((i * 31 + k) * 2654435761u >> 24);
    return table_builder_add(builder, key_of(i, key), 5, ENTRY_PUT,
                             slice_make(value, sizeof(value)));
}

static struct table *build_and_open(struct fixture *fixture, const struct table_options *options)
{
    struct table_builder *builder;
    struct table_properties properties = {0};
    struct table *table = NULL;
    assert_int_equal(table_builder_create(&fixture->env, PATH, options, &builder), STATUS_OK);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(add(builder, i), STATUS_OK);
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_OK);
    assert_true(properties.file_bytes > 2 * WRITE_BYTES);
    table_builder_destroy(builder);
    table_properties_release(&properties);
    assert_int_equal(
        table_open(&fixture->env, PATH, NUMBER, fixture->cache, NULL, false, NULL, &table),
        STATUS_OK);
    return table;
}

static uint64_t write_count(struct fixture *fixture)
{
    struct vfs_fault_counters counters;
    vfs_fault_counters(fixture->vfs, &counters);
    return counters.calls[VFS_CALL_WRITE];
}

/* The rest goes nowhere: what was written before would not fit it. */
static void the_first_failure_of_a_build_is_told_by_all_later_calls(void **state)
{
    struct fixture *fixture = *state;
    const struct table_options options = {.filter_bits_per_key = 10};
    struct table_builder *builder;
    struct table_properties properties = {0};
    unsigned i = 0;
    assert_int_equal(table_builder_create(&fixture->env, PATH, &options, &builder), STATUS_OK);
    vfs_fault_fail(fixture->vfs, 1u << VFS_CALL_WRITE, 1, STATUS_NO_SPACE, false);
    while (add(builder, i) == STATUS_OK)
        assert_true(++i < KEYS);
    uint64_t writes = write_count(fixture);
    assert_int_equal(writes, 1);
    for (unsigned end = i + KEYS; i < end; i++)
        assert_int_equal(add(builder, i + 1), STATUS_NO_SPACE);
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_NO_SPACE);
    assert_int_equal(write_count(fixture), writes);
    table_builder_destroy(builder);
    bool exists = true;
    assert_int_equal(fixture->memory->ops->exists(fixture->memory, PATH, &exists), STATUS_OK);
    assert_false(exists);
}

/* Its filter is larger than what is read at once from the end of the file, and is asked for by itself. */
static void an_open_without_memory_for_a_block_says_so_and_of_no_damage(void **state)
{
    struct fixture *fixture = *state;
    const struct table_options options = {.filter_bits_per_key = 10};
    table_close(build_and_open(fixture, &options));
    uint64_t n = 1;
    for (;; n++) {
        struct lsm_report report = {""};
        struct table *table = NULL;
        uint64_t before = memory_failed_try_count();
        memory_fail_try(n, false);
        enum status status =
            table_open(&fixture->env, PATH, NUMBER, fixture->cache, NULL, false, &report, &table);
        memory_fail_try(0, false);
        table_close(table);
        if (memory_failed_try_count() == before) {
            assert_int_equal(status, STATUS_OK);
            break;
        }
        assert_int_equal(status, STATUS_NO_MEMORY);
        assert_string_equal(report.text, "");
    }
    assert_true(n > 4);
}

/* What a cursor lacks that may not wait and has the index's leaf: the first block of rows, and some of
 * those behind it. */
static struct table_miss first_miss(struct fixture *fixture, struct table *table)
{
    char key[24];
    struct table_miss miss = {0};
    const struct table_read read = {.nowait = true, .miss = &miss};
    struct cursor *cursor = table_cursor_create(table, &read);
    vfs_fault_set_cold(fixture->vfs, PATH);
    for (int i = 0; i < 2; i++) {
        cursor->ops->seek(cursor, key_of(0, key), UINT64_MAX);
        assert_int_equal(cursor->status, STATUS_WOULD_BLOCK);
        if (i == 0)
            assert_int_equal(table_fetch(&miss, NULL), STATUS_OK);
    }
    vfs_fault_set_cold(fixture->vfs, NULL);
    cursor->ops->destroy(cursor);
    assert_int_equal(miss.offset, 0);
    return miss;
}

static void a_fetch_without_memory_fetches_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct table *table = build_and_open(fixture, &(struct table_options){.block_bytes = 1000});
    struct table_miss miss = first_miss(fixture, table);
    struct block_pin pin = {NULL};
    struct slice content;
    memory_fail_try(1, false);
    assert_int_equal(table_fetch(&miss, &pin), STATUS_NO_MEMORY);
    assert_null(pin.block);
    assert_false(block_cache_find(fixture->cache, NUMBER, miss.offset, &pin, &content));
    assert_int_equal(table_fetch(&miss, &pin), STATUS_OK);
    assert_non_null(pin.block);
    block_unpin(&pin);
    table_close(table);
}

static bool is_cached(struct fixture *fixture, uint64_t offset)
{
    struct block_pin pin = {NULL};
    struct slice content;
    bool found = block_cache_find(fixture->cache, NUMBER, offset, &pin, &content);
    block_unpin(&pin);
    return found;
}

static void damage_behind_the_block_that_is_wanted_is_left_to_whoever_wants_it(void **state)
{
    struct fixture *fixture = *state;
    struct table *table = build_and_open(fixture, &(struct table_options){.block_bytes = 1000});
    struct table_miss miss = first_miss(fixture, table);
    struct block_pin pin = {NULL};
    uint64_t behind = miss.offset + miss.stored_bytes;
    assert_true(miss.ahead_bytes > 3000);
    assert_int_equal(vfs_memory_flip(fixture->memory, PATH, behind + 30, 0x10), STATUS_OK);
    assert_int_equal(table_fetch(&miss, &pin), STATUS_OK);
    assert_true(is_cached(fixture, miss.offset));
    assert_false(is_cached(fixture, behind));
    block_unpin(&pin);
    struct table_miss next = miss;
    next.offset = behind;
    assert_int_equal(table_fetch(&next, &pin), STATUS_CORRUPT);
    assert_null(pin.block);
    assert_int_equal(vfs_memory_flip(fixture->memory, PATH, behind + 30, 0x10), STATUS_OK);
    assert_int_equal(table_fetch(&miss, &pin), STATUS_OK);
    assert_true(is_cached(fixture, behind));
    block_unpin(&pin);
    table_close(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_failure_of_a_build_is_told_by_all_later_calls,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_open_without_memory_for_a_block_says_so_and_of_no_damage,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_fetch_without_memory_fetches_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(
            damage_behind_the_block_that_is_wanted_is_left_to_whoever_wants_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
