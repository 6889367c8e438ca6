/* SPDX-License-Identifier: MIT */
/* What batches reserve in the log is enough. The engine asserts that a batch fits into the room that was reserved; with
 * the smallest segments it reserves hardly more than it was asked for. */
#include "lib/memory_store.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct memory_store ms;

static int setup(void **state)
{
    (void)state;
    memory_store_open(&ms, &(struct store_options){.wal_segment_bytes = 8192});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    return 0;
}

static void begin_write_of(size_t argument_bytes, size_t argument_count)
{
    lsm_lock(store_engine(ms.store));
    assert_int_equal(access_begin_write(&ms.access, 0, false,
                                        access_write_bytes(argument_bytes, argument_count), false),
                     STATUS_OK);
}

static void set_timed(struct slice key, struct slice value, uint64_t expire_ms)
{
    struct object old;
    begin_write_of(key.size + value.size, 3);
    enum status status = keyspace_find(&ms.access, key, &old);
    string_set(&ms.access, key, value, status ? NULL : &old,
               &(struct string_set_options){.expire_ms = expire_ms});
    memory_store_end(&ms);
}

static void batches_fit_into_what_their_arguments_reserve(void **state)
{
    uint8_t *bytes = calloc(1, STORE_KEY_BYTES_MAX);
    struct slice key = slice_make(bytes, STORE_KEY_BYTES_MAX), other = slice_skip(key, 1);
    struct slice value = slice_make(bytes, STRING_INLINE_BYTES_MAX), short_key = slice_from("k");
    struct object object;
    size_t expired;
    bool more;
    (void)state;
    for (uint64_t i = 1; i < 4; i++)
        set_timed(key, value, ms.now_ms + i);
    set_timed(other, slice_from("replaced"), ms.now_ms + 7);
    begin_write_of(key.size + other.size, 2);
    assert_int_equal(keyspace_rename(&ms.access, key, other), STATUS_OK);
    memory_store_end(&ms);
    set_timed(short_key, value, 0);
    for (uint64_t i = 0; i < 2; i++) {
        begin_write_of(1, 2);
        assert_int_equal(keyspace_find(&ms.access, short_key, &object), STATUS_OK);
        keyspace_set_expire(&ms.access, short_key, &object, i ? 0 : ms.now_ms + 1);
        memory_store_end(&ms);
    }
    ms.now_ms += 10;
    lsm_lock(store_engine(ms.store));
    assert_int_equal(access_begin_write(&ms.access, 0, false, keyspace_expire_bytes(10), false),
                     STATUS_OK);
    assert_int_equal(keyspace_expire_due(&ms.access, 10, &expired, &more), STATUS_OK);
    assert_int_equal(expired, 1);
    memory_store_end(&ms);
    free(bytes);
}

static void batches_of_many_keys_fit_too(void **state)
{
    char name[1024];
    size_t name_bytes = 0;
    bool deleted, more;
    size_t expired;
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3000; i++) {
            name_bytes += (size_t)snprintf(name, sizeof name, "%01000d", i);
            set_timed(slice_from(name), slice_from(""), ms.now_ms + 5);
        }
        lsm_lock(store_engine(ms.store));
        if (round == 0) {
            assert_int_equal(access_begin_write(&ms.access, 0, false,
                                                access_write_bytes(name_bytes, 3000) +
                                                    access_delete_bytes(name_bytes, 3000),
                                                false),
                             STATUS_OK);
            for (int i = 0; i < 3000; i++) {
                snprintf(name, sizeof name, "%01000d", i);
                assert_int_equal(keyspace_delete(&ms.access, slice_from(name), &deleted), 0);
            }
        } else {
            ms.now_ms += 10;
            assert_int_equal(
                access_begin_write(&ms.access, 0, false, keyspace_expire_bytes(9000), false),
                STATUS_OK);
            assert_int_equal(keyspace_expire_due(&ms.access, 9000, &expired, &more), STATUS_OK);
            assert_true(more); /* stopped by KEYSPACE_DUE_BYTES */
        }
        memory_store_end(&ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(batches_fit_into_what_their_arguments_reserve, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(batches_of_many_keys_fit_too, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
