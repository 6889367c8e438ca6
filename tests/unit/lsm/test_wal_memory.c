/* SPDX-License-Identifier: MIT */
/* The writer's side without memory for its pending batches. */
#include "unit/lsm/wal_fixture.h"

static void a_batch_without_memory_is_refused_and_the_log_goes_on(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(1 << 20);
    enum status status;
    fixture_start(f);
    fixture_append(f, 0, 100);
    memory_fail_try(1, true);
    assert_int_equal(fixture_try_append(f, 1, 3 << 20, &status), 0);
    assert_int_equal(status, STATUS_NO_MEMORY);
    fixture_append(f, 1, 100); /* there is room for small ones */
    memory_fail_try(0, false);
    fixture_append(f, 2, 3 << 20);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    fixture_start(f);
    fixture_expect(f, 0, 3);
    fixture_destroy(f);
}

/* A write between the two leaves another pending buffer active than the one that was looked at. */
static void what_was_reserved_needs_no_memory(void **state)
{
    (void)state;
    for (int is_written = 0; is_written < 2; is_written++) {
        struct wal_fixture *f = fixture_create(1 << 20);
        struct buffer payload = {0};
        fixture_start(f);
        for (uint64_t n = 0; n < 9000; n++) /* the active one grows, the other does not */
            fixture_append(f, n, 150);
        fixture_record(&payload, 9000, 3 << 20);
        assert_int_equal(wal_reserve(f->wal, payload.size, false), STATUS_OK);
        memory_fail_try(1, true);
        if (is_written)
            assert_int_equal(wal_write(f->wal), STATUS_OK);
        wal_append(f->wal, buffer_slice(&payload), 1);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        memory_fail_try(0, false);
        buffer_release(&payload);
        fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
        fixture_start(f);
        fixture_expect(f, 0, 9001);
        fixture_destroy(f);
    }
}

/* Small batches that nobody writes pile up until there is no memory; when they are written all goes on,
 * with the large buffer if there is none for a smaller. */
static void batches_pile_up_until_memory_ends(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(1 << 20);
    enum status status = STATUS_OK;
    uint64_t count = 0;
    fixture_start(f);
    memory_fail_try(4, true); /* 2, 4 and 8 MiB are there, 16 are not */
    while (status == STATUS_OK)
        count += fixture_try_append(f, count, 10000, &status) != 0;
    assert_int_equal(status, STATUS_NO_MEMORY);
    assert_in_range(count, 700, 900);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    fixture_append(f, count++, 10000);
    memory_fail_try(0, false);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_append(f, count++, 20 << 20);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    memory_fail_try(1, true);
    fixture_append(f, count++, 10000);
    memory_fail_try(0, false);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    fixture_start(f);
    fixture_expect(f, 0, count);
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_without_memory_is_refused_and_the_log_goes_on),
        cmocka_unit_test(what_was_reserved_needs_no_memory),
        cmocka_unit_test(batches_pile_up_until_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
