/* SPDX-License-Identifier: MIT */
#include "lib/memory_store.h"
#include "types/encoding.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct string_set_options plain;

static void set(struct memory_store *ms, const char *key, const char *value)
{
    struct object old;
    enum status status = keyspace_find(&ms->access, slice_from(key), &old);
    string_set(&ms->access, slice_from(key), slice_from(value), status ? NULL : &old, &plain);
}

static void expect(struct memory_store *ms, const char *key, const char *value)
{
    struct slice found;
    memory_store_read(ms);
    enum status status = string_get(&ms->access, slice_from(key), &found);
    assert_int_equal(status, value ? STATUS_OK : STATUS_NOT_FOUND);
    if (value)
        assert_true(slice_equal(found, slice_from(value)));
    memory_store_end(ms);
}

static void a_new_store_has_sixteen_databases_or_as_many_as_asked(void **state)
{
    struct memory_store ms = {0};
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    assert_int_equal(store_database_count(ms.store), 16);
    ms.options.databases = 3;
    memory_store_reopen(&ms);
    assert_int_equal(store_database_count(ms.store), 3);
    memory_store_release(&ms);
}

static void values_survive_a_clean_stop_and_a_kill(void **state)
{
    struct memory_store ms = {0};
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    memory_store_write(&ms);
    set(&ms, "a", "1");
    memory_store_end(&ms);
    memory_store_reopen(&ms);
    memory_store_write(&ms);
    set(&ms, "b", "2");
    memory_store_end(&ms);
    memory_store_crash(&ms, VFS_KEEP_ALL, 0);
    expect(&ms, "a", "1");
    expect(&ms, "b", "2");
    memory_store_release(&ms);
}

static void the_seed_is_drawn_once(void **state)
{
    struct memory_store ms = {0};
    struct buffer before = {0}, after = {0};
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    memory_store_dump(&ms, TREE_KEYS, &before);
    memory_store_reopen(&ms);
    memory_store_dump(&ms, TREE_KEYS, &after);
    assert_true(slice_equal(buffer_slice(&before), buffer_slice(&after)));
    assert_true(slice_equal(buffer_slice(&after), slice_from("0000000001 = 015a5a5a5a5a5a5a5a\n"
                                                             "0000000002 = 810800\n"
                                                             "0000000003 = 01\n")));
    buffer_release(&before);
    buffer_release(&after);
    memory_store_release(&ms);
}

static void ids_are_never_given_twice_also_not_after_a_kill(void **state)
{
    struct memory_store ms = {0};
    uint64_t last = 0;
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 700; i++) {
            memory_store_write(&ms);
            uint64_t id = access_new_id(&ms.access);
            assert_true(id > last);
            last = id;
            set(&ms, "a", "1");
            memory_store_end(&ms);
        }
        if (round % 2)
            memory_store_crash(&ms, VFS_KEEP_ALL, 0);
        else
            memory_store_reopen(&ms);
    }
    memory_store_release(&ms);
}

static void put_meta(struct memory_store *ms, enum meta_tag tag, struct slice value)
{
    uint8_t key[META_KEY_BYTES_MAX];
    memory_store_write(ms);
    ms->is_damaged = true;
    access_put(&ms->access, TREE_KEYS, meta_key(key, tag, 1), value);
    memory_store_end(ms);
}

/* Opens again and expects a refusal with a report; leaves no store behind. */
static void expect_refused(struct memory_store *ms, enum status expected)
{
    struct lsm_report report = {""};
    access_release(&ms->access);
    lsm_reader_destroy(ms->reader);
    assert_int_equal(store_close(ms->store), STATUS_OK);
    assert_int_equal(store_open(&ms->env, "/data", &ms->options, &report, &ms->store), expected);
    assert_non_null(strstr(report.text, "/data"));
    vfs_destroy(ms->vfs);
    vfs_destroy(ms->memory);
}

static void a_store_of_a_newer_format_is_refused(void **state)
{
    struct memory_store ms = {0};
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    put_meta(&ms, META_STORE, slice_make("\x02........", 9));
    expect_refused(&ms, STATUS_UNSUPPORTED);
}

static void damaged_meta_records_are_refused(void **state)
{
    const enum meta_tag tags[] = {META_STORE, META_MAP, META_IDS, META_COUNTS};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct memory_store ms = {0};
        memory_store_open(&ms, &(struct store_options){0});
        put_meta(&ms, tags[i], slice_make("", 0));
        expect_refused(&ms, STATUS_CORRUPT);
    }
}

static void delete_meta(struct memory_store *ms, enum meta_tag tag, unsigned tree_count)
{
    uint8_t key[META_KEY_BYTES_MAX];
    ms->is_damaged = true;
    memory_store_write(ms);
    for (unsigned tree = 0; tree < tree_count; tree++)
        access_delete(&ms->access, tree, meta_key(key, tag, 0));
    memory_store_end(ms);
}

static void one_copy_of_the_store_s_records_is_enough(void **state)
{
    struct memory_store ms = {0};
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    memory_store_write(&ms);
    set(&ms, "flushed", "1");
    assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_OK);
    uint64_t id = access_new_id(&ms.access);
    set(&ms, "a", "1");
    memory_store_end(&ms);
    for (unsigned tag = META_STORE; tag <= META_IDS; tag++)
        delete_meta(&ms, tag, TREE_COUNT - 1);
    memory_store_reopen(&ms);
    expect(&ms, "a", "1");
    expect(&ms, "flushed", NULL);
    memory_store_write(&ms);
    assert_true(access_new_id(&ms.access) > id);
    memory_store_end(&ms);
    memory_store_release(&ms);
}

static void of_different_copies_the_newest_counts_for_a_repair(void **state)
{
    struct memory_store ms = {0};
    struct buffer value = {0};
    uint8_t key[META_KEY_BYTES_MAX];
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    meta_ids_encode(&value, 5000);
    memory_store_write(&ms);
    ms.is_damaged = true;
    access_put(&ms.access, TREE_ENTRIES, meta_key(key, META_IDS, 0), buffer_slice(&value));
    memory_store_end(&ms);
    memory_store_work(
        &ms, true); /* what one flush writes is of one age; the store writes all copies at once */
    meta_ids_encode(&value, 7000);
    memory_store_write(&ms);
    access_put(&ms.access, TREE_PARTS, meta_key(key, META_IDS, 0), buffer_slice(&value));
    memory_store_end(&ms);
    ms.options.compares_copies = true;
    memory_store_reopen(&ms);
    memory_store_write(&ms);
    assert_int_equal(access_new_id(&ms.access), 7000);
    memory_store_end(&ms);
    buffer_release(&value);
    memory_store_release(&ms);
}

static void a_store_that_holds_keys_but_not_its_record_is_refused(void **state)
{
    struct memory_store ms = {0};
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    memory_store_write(&ms);
    set(&ms, "a", "1");
    memory_store_end(&ms);
    delete_meta(&ms, META_STORE, TREE_COUNT);
    expect_refused(&ms, STATUS_CORRUPT);
}

static void an_open_that_the_engine_refuses_is_refused(void **state)
{
    struct memory_store ms = {0};
    struct store *second;
    struct lsm_report report = {""};
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    assert_int_equal(store_open(&ms.env, "/data", &ms.options, &report, &second), STATUS_BUSY);
    memory_store_release(&ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_store_has_sixteen_databases_or_as_many_as_asked),
        cmocka_unit_test(values_survive_a_clean_stop_and_a_kill),
        cmocka_unit_test(the_seed_is_drawn_once),
        cmocka_unit_test(ids_are_never_given_twice_also_not_after_a_kill),
        cmocka_unit_test(a_store_of_a_newer_format_is_refused),
        cmocka_unit_test(damaged_meta_records_are_refused),
        cmocka_unit_test(one_copy_of_the_store_s_records_is_enough),
        cmocka_unit_test(of_different_copies_the_newest_counts_for_a_repair),
        cmocka_unit_test(a_store_that_holds_keys_but_not_its_record_is_refused),
        cmocka_unit_test(an_open_that_the_engine_refuses_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
