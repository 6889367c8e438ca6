/* SPDX-License-Identifier: MIT */
/* The writer's side: group commit, poisoning, reservation, rotation, recycling. */
#include "unit/lsm/wal_fixture.h"

#include "base/random.h"
#include "lib/seed.h"
#include "lsm/wal_writer.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

static void lsns_are_byte_positions(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    fixture_start(f);
    lsn_t first = fixture_append(f, 1, 100);
    lsn_t second = fixture_append(f, 2, 100);
    assert_int_equal(first, WAL_FIRST_LSN + WAL_FRAME_HEAD_BYTES); /* behind the seal */
    assert_int_equal(second - first, WAL_FRAME_HEAD_BYTES + 1 + 1 + 8 + 1 + 100);
    fixture_destroy(f);
}

static void written_and_durable_move_only_when_told(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    fixture_start(f);
    lsn_t begin = wal_next_lsn(f->wal);
    fixture_append(f, 1, 100);
    assert_int_equal(wal_written_lsn(f->wal), begin);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    assert_int_equal(wal_written_lsn(f->wal), wal_next_lsn(f->wal));
    assert_int_equal(wal_durable_lsn(f->wal), begin);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    assert_int_equal(wal_durable_lsn(f->wal), wal_next_lsn(f->wal));
    fixture_destroy(f);
}

static void check_frames_sync(const char *skipped, size_t expected)
{
    struct wal_fixture *f = fixture_create(16384);
    fixture_start(f);
    fixture_append(f, 0, 100);
    vfs_fault_skip_sync(f->fault, skipped);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, expected);
    fixture_destroy(f);
}

static void frames_survive_power_loss_by_their_sync(void **state)
{
    (void)state;
    check_frames_sync(NULL, 1);
    check_frames_sync("wal.frames", 0);
}

static void a_sync_without_new_data_costs_no_call(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    struct vfs_fault_counters before, after;
    fixture_start(f);
    fixture_append(f, 1, 100);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    vfs_fault_counters(f->fault, &before);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    vfs_fault_counters(f->fault, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    fixture_destroy(f);
}

static void many_batches_share_one_write(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(1 << 20);
    struct vfs_fault_counters before, after;
    fixture_start(f);
    for (uint64_t n = 0; n < 1000; n++)
        fixture_append(f, n, 100);
    vfs_fault_counters(f->fault, &before);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    vfs_fault_counters(f->fault, &after);
    assert_int_equal(after.calls[VFS_CALL_WRITE] - before.calls[VFS_CALL_WRITE], 1);
    assert_int_equal(after.calls[VFS_CALL_SYNC] - before.calls[VFS_CALL_SYNC], 1);
    fixture_destroy(f);
}

static void batches_of_every_size_cross_segments(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    fixture_start(f);
    /* Each rest at a segment's end is met: 4096 bytes, frames of 90 to 190 bytes. */
    for (uint64_t n = 0; n < 2000; n++)
        fixture_append(f, n, 50 + n % 101);
    fixture_append(f, 2000, 3 << 20);
    fixture_append(f, 2001, 0);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    lsn_t end = wal_next_lsn(f->wal);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, 0, end, false, false), STATUS_OK);
    fixture_expect(f, 0, 2002);
    assert_int_equal(f->tail.next_lsn, end);
    fixture_destroy(f);
}

static void a_failed_write_or_sync_poisons_the_log(void **state)
{
    (void)state;
    for (int sync = 0; sync < 2; sync++) {
        struct wal_fixture *f = fixture_create(16384);
        fixture_start(f);
        fixture_append(f, 0, 100);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        lsn_t durable = wal_durable_lsn(f->wal);
        fixture_append(f, 1, 100);
        vfs_fault_fail(f->fault, 1u << (sync ? VFS_CALL_SYNC : VFS_CALL_WRITE), 1, STATUS_IO,
                       false);
        assert_int_equal(wal_sync(f->wal), STATUS_READ_ONLY);
        assert_true(wal_is_poisoned(f->wal));
        assert_non_null(strstr(f->log, "until a restart"));
        /* The device works again, and nothing is believed any more. */
        assert_int_equal(wal_sync(f->wal), STATUS_READ_ONLY);
        assert_int_equal(wal_write(f->wal), STATUS_READ_ONLY);
        assert_int_equal(wal_reserve(f->wal, 10, true), STATUS_READ_ONLY);
        assert_int_equal(wal_durable_lsn(f->wal), durable);
        assert_false(wal_work(f->wal));
        fixture_destroy(f);
    }
}

static void a_full_disk_refuses_batches_and_lets_deletions_through(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    f->options.reserve_bytes = 4096;
    enum status status = STATUS_OK;
    uint64_t n = 0;
    fixture_start(f);
    while (wal_work(f->wal))
        ;
    vfs_fault_set_free_bytes(f->fault, 0);
    while (fixture_try_append(f, n, 100, &status))
        n++;
    assert_int_equal(status, STATUS_NO_SPACE);
    assert_true(n > 10);
    assert_false(wal_is_poisoned(f->wal));
    lsn_t next = wal_next_lsn(f->wal);
    int deletions = 0;
    for (; wal_reserve(f->wal, 20, true) == STATUS_OK; deletions++) {
        struct buffer payload = {0};
        wal_record_append(&payload, ENTRY_DELETE, 0, slice_from("key"), (struct slice){0});
        wal_append(f->wal, buffer_slice(&payload), 1);
        buffer_release(&payload);
    }
    assert_true(deletions > 50);
    assert_true(wal_next_lsn(f->wal) - next > 3000);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    /* Space again, and it goes on by itself. */
    vfs_fault_set_free_bytes(f->fault, 1 << 20);
    fixture_append(f, n, 100);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_destroy(f);
}

static void a_reservation_reads_no_file_when_room_is_there(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(1 << 20);
    struct vfs_fault_counters before, after;
    fixture_start(f);
    vfs_fault_counters(f->fault, &before);
    for (uint64_t n = 0; n < 100; n++)
        fixture_append(f, n, 100);
    vfs_fault_counters(f->fault, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    fixture_destroy(f);
}

static void a_requested_rotation_starts_a_segment(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    fixture_start(f);
    fixture_append(f, 0, 100);
    wal_request_rotate(f->wal);
    lsn_t lsn = fixture_append(f, 1, 100);
    assert_int_equal((lsn - WAL_FIRST_LSN) % (16384 - WAL_HEADER_BYTES), 0);
    wal_request_rotate(f->wal);
    wal_request_rotate(f->wal);
    assert_true(fixture_append(f, 2, 100) > lsn);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    lsn_t end = wal_next_lsn(f->wal);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, 0, end, false, false), STATUS_OK);
    fixture_expect(f, 0, 3);
    fixture_destroy(f);
}

static void an_empty_segment_is_not_rotated(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    fixture_start(f);
    wal_request_rotate(f->wal);
    lsn_t first = fixture_append(f, 0, 100);
    wal_request_rotate(f->wal);
    assert_int_equal(wal_reserve(f->wal, 0, false), STATUS_OK);
    lsn_t base = wal_next_lsn(f->wal);
    assert_true(base > first);
    wal_request_rotate(f->wal);
    assert_int_equal(wal_reserve(f->wal, 0, false), STATUS_OK);
    assert_int_equal(wal_next_lsn(f->wal), base);
    fixture_destroy(f);
}

static void released_segments_are_recycled_and_their_old_frames_never_count(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    struct vfs_fault_counters before, after;
    uint64_t n = 0;
    lsn_t start = 0;
    fixture_start(f);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 20; i++)
            fixture_append(f, n++, 150);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        start = wal_next_lsn(f->wal);
        vfs_fault_counters(f->fault, &before);
        assert_int_equal(wal_release_below(f->wal, start), STATUS_OK);
        vfs_fault_counters(f->fault, &after);
        assert_true(fixture_segment_count(f) <= 5);
    }
    assert_true(after.calls[VFS_CALL_RENAME] > 10);
    for (int i = 0; i < 3; i++)
        fixture_append(f, n++, 150);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, start, start, false, false), STATUS_OK);
    fixture_expect(f, n - 3, 3);
    assert_int_equal(f->tail.cut_bytes, 0);
    fixture_destroy(f);
}

static void what_is_not_durable_is_not_released(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    fixture_start(f);
    for (uint64_t n = 0; n < 60; n++)
        fixture_append(f, n, 150);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    size_t count = fixture_segment_count(f);
    assert_int_equal(wal_release_below(f->wal, wal_next_lsn(f->wal)), STATUS_OK);
    assert_int_equal(fixture_segment_count(f), count);
    fixture_destroy(f);
}

static void the_segment_size_may_change_between_starts(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    uint64_t n = 0;
    for (int run = 0; run < 6; run++) {
        f->options.segment_bytes = run % 2 ? 8192 : 20000;
        assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
        fixture_expect(f, 0, n);
        assert_int_equal(fixture_open(f), STATUS_OK);
        (void)wal_work(f->wal);
        for (int i = 0; i < 70; i++)
            fixture_append(f, n++, 200);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    }
    fixture_destroy(f);
}

static void a_failed_open_changes_no_batch(void **state)
{
    (void)state;
    for (uint64_t fail_at = 1;; fail_at++) {
        struct wal_fixture *f = fixture_create(8192);
        fixture_start(f);
        for (uint64_t n = 0; n < 50; n++)
            fixture_append(f, n, 200);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        for (uint64_t n = 50; n < 90; n++)
            fixture_append(f, n, 200);
        assert_int_equal(wal_write(f->wal), STATUS_OK);
        fixture_crash(f, VFS_TEAR, 3);
        assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
        size_t replayed = f->count;
        vfs_fault_fail(f->fault, (1u << VFS_CALL_COUNT) - 1, fail_at, STATUS_IO, false);
        enum status status = fixture_open(f);
        bool failed = vfs_fault_failed_count(f->fault) > 0;
        vfs_fault_fail(f->fault, 0, 0, STATUS_OK, false);
        assert_true(status == STATUS_OK || failed);
        fixture_crash(f, VFS_REORDER, fail_at);
        assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
        fixture_expect(f, 0, replayed);
        fixture_destroy(f);
        if (!failed) {
            assert_true(fail_at > 5);
            return;
        }
    }
}

/* ---- Threads ------------------------------------------------------------------------------- */

enum { THREADS = 4, BATCHES_EACH = 400 };

struct crowd {
    struct wal_fixture *fixture;
    pthread_mutex_t write_lock;
    uint64_t next;
    atomic_bool stop;
};

static void *append_and_sync(void *argument)
{
    struct crowd *crowd = argument;
    for (int i = 0; i < BATCHES_EACH; i++) {
        pthread_mutex_lock(&crowd->write_lock);
        lsn_t lsn = fixture_append(crowd->fixture, crowd->next++, 150);
        pthread_mutex_unlock(&crowd->write_lock);
        if (i % 3 == 0) {
            assert_int_equal(wal_sync(crowd->fixture->wal), STATUS_OK);
            assert_true(wal_durable_lsn(crowd->fixture->wal) > lsn);
        } else {
            assert_int_equal(wal_write(crowd->fixture->wal), STATUS_OK);
            assert_true(wal_written_lsn(crowd->fixture->wal) > lsn);
        }
    }
    return NULL;
}

static void *keep_up(void *argument)
{
    struct crowd *crowd = argument;
    struct wal *wal = crowd->fixture->wal;
    while (!atomic_load(&crowd->stop)) {
        (void)wal_work(wal);
        (void)wal_wants_work(wal);
        struct wal_stats stats;
        wal_get_stats(wal, &stats);
        assert_true(wal_durable_lsn(wal) <= wal_written_lsn(wal));
    }
    return NULL;
}

static void threads_share_writes_and_syncs_in_order(void **state)
{
    (void)state;
    struct crowd crowd = {.fixture = fixture_create(16384)};
    pthread_t threads[THREADS], upkeep;
    pthread_mutex_init(&crowd.write_lock, NULL);
    fixture_start(crowd.fixture);
    pthread_create(&upkeep, NULL, keep_up, &crowd);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, append_and_sync, &crowd);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&crowd.stop, true);
    pthread_join(upkeep, NULL);
    assert_int_equal(wal_sync(crowd.fixture->wal), STATUS_OK);
    fixture_crash(crowd.fixture, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(crowd.fixture, 0, 0, false, false), STATUS_OK);
    fixture_expect(crowd.fixture, 0, THREADS * BATCHES_EACH);
    pthread_mutex_destroy(&crowd.write_lock);
    fixture_destroy(crowd.fixture);
}

static void *sync_once(void *argument)
{
    struct crowd *crowd = argument;
    assert_int_equal(wal_sync(crowd->fixture->wal), STATUS_OK);
    return NULL;
}

static void await_waiters(struct wal *wal, unsigned expected)
{
    for (unsigned count = 0; count != expected; sched_yield()) {
        count = 0;
        pthread_mutex_lock(&wal->mutex);
        for (const struct sync_waiter *waiter = wal->waiters; waiter; waiter = waiter->next)
            count++;
        pthread_mutex_unlock(&wal->mutex);
    }
}

/* While a sync hangs in the device, appends and writes go on, and the waiting syncs share the next.
 */
static void a_slow_sync_stops_neither_appends_nor_writes(void **state)
{
    (void)state;
    struct crowd crowd = {.fixture = fixture_create(1 << 20)};
    struct wal_fixture *f = crowd.fixture;
    struct wal_stats before, after;
    pthread_t threads[THREADS];
    fixture_start(f);
    wal_get_stats(f->wal, &before);
    fixture_append(f, 0, 100);
    vfs_fault_hold(f->fault, 1u << VFS_CALL_SYNC, "");
    pthread_create(&threads[0], NULL, sync_once, &crowd);
    while (vfs_fault_held_count(f->fault) == 0)
        ;
    for (uint64_t n = 1; n < 100; n++)
        fixture_append(f, n, 100);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    assert_int_equal(wal_written_lsn(f->wal), wal_next_lsn(f->wal));
    assert_true(wal_durable_lsn(f->wal) < wal_written_lsn(f->wal));
    for (int i = 1; i < THREADS; i++)
        pthread_create(&threads[i], NULL, sync_once, &crowd);
    await_waiters(f->wal, THREADS - 1);
    vfs_fault_release(f->fault);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    wal_get_stats(f->wal, &after);
    assert_int_equal(after.sync_count - before.sync_count, 2);
    assert_int_equal(wal_durable_lsn(f->wal), wal_next_lsn(f->wal));
    fixture_destroy(f);
}

/* What is appended while a sync's write is under way is not made durable by it. */
static void a_sync_covers_only_what_it_has_written(void **state)
{
    (void)state;
    struct crowd crowd = {.fixture = fixture_create(1 << 20)};
    struct wal_fixture *f = crowd.fixture;
    pthread_t thread;
    fixture_start(f);
    fixture_append(f, 0, 100);
    lsn_t end = wal_next_lsn(f->wal);
    vfs_fault_hold(f->fault, 1u << VFS_CALL_WRITE, "");
    pthread_create(&thread, NULL, sync_once, &crowd);
    while (vfs_fault_held_count(f->fault) == 0)
        ;
    fixture_append(f, 1, 100);
    vfs_fault_release(f->fault);
    pthread_join(thread, NULL);
    assert_int_equal(wal_written_lsn(f->wal), end);
    assert_int_equal(wal_durable_lsn(f->wal), end);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    assert_int_equal(wal_durable_lsn(f->wal), wal_next_lsn(f->wal));
    fixture_destroy(f);
}

static void *sync_and_fail(void *argument)
{
    struct crowd *crowd = argument;
    assert_int_equal(wal_sync(crowd->fixture->wal), STATUS_READ_ONLY);
    return NULL;
}

static void one_failed_sync_fails_all_that_wait(void **state)
{
    (void)state;
    struct crowd crowd = {.fixture = fixture_create(1 << 20)};
    struct wal_fixture *f = crowd.fixture;
    pthread_t threads[THREADS];
    fixture_start(f);
    fixture_append(f, 0, 100);
    vfs_fault_hold(f->fault, 1u << VFS_CALL_SYNC, "");
    vfs_fault_fail(f->fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, false);
    pthread_create(&threads[0], NULL, sync_and_fail, &crowd);
    while (vfs_fault_held_count(f->fault) == 0)
        ;
    fixture_append(f, 1, 100);
    for (int i = 1; i < THREADS; i++)
        pthread_create(&threads[i], NULL, sync_and_fail, &crowd);
    await_waiters(f->wal, THREADS - 1);
    vfs_fault_release(f->fault);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    fixture_destroy(f);
}

/* Appends batch `number` of `bytes` with room reserved for nothing. */
static void append_more_than_reserved(struct wal_fixture *f, uint64_t number, size_t bytes)
{
    struct buffer payload = {0};
    fixture_record(&payload, number, bytes);
    assert_int_equal(wal_reserve(f->wal, 0, false), STATUS_OK);
    lsn_t lsn = wal_next_lsn(f->wal);
    assert_true(wal_append(f->wal, buffer_slice(&payload), 1) > lsn);
    buffer_release(&payload);
}

static void a_batch_larger_than_reserved_finds_room_or_poisons_the_log(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(WAL_SEGMENT_BYTES_MIN);
    fixture_start(f);
    append_more_than_reserved(f, 0, 100000);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    vfs_fault_set_free_bytes(f->fault, 0);
    append_more_than_reserved(f, 1, 100000);
    assert_true(wal_is_poisoned(f->wal));
    assert_int_equal(wal_sync(f->wal), STATUS_READ_ONLY);
    assert_true(wal_durable_lsn(f->wal) < wal_next_lsn(f->wal));
    fixture_crash(f, VFS_KEEP_ALL, 1);
    fixture_start(f);
    fixture_expect(f, 0, 1);
    fixture_destroy(f);
}

static void a_batch_larger_than_reserved_without_memory_poisons_the_log(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(1 << 20);
    fixture_start(f);
    append_more_than_reserved(f, 0, 2 << 20);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    memory_fail_try(1, false);
    append_more_than_reserved(f, 1, 3 << 20);
    memory_fail_try(0, false);
    assert_true(wal_is_poisoned(f->wal));
    assert_non_null(strstr(f->log, "out of memory"));
    fixture_crash(f, VFS_KEEP_ALL, 1);
    fixture_start(f);
    fixture_expect(f, 0, 1);
    fixture_destroy(f);
}

static void two_segments_for_one_lsn_are_refused(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    struct wal_header header = {
        .store_id = STORE_ID, .base = WAL_FIRST_LSN + 500, .segment_bytes = 16384, .epoch = 1};
    struct wal_segment *segment = NULL;
    fixture_start(f);
    for (uint64_t n = 0; n < 20; n++)
        fixture_append(f, n, 100);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(wal_segment_create(&f->env, "db", &header, &segment), STATUS_OK);
    wal_segment_close(segment);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 20);
    assert_int_equal(fixture_open(f), STATUS_CORRUPT);
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_segments_for_one_lsn_are_refused),
        cmocka_unit_test(a_batch_larger_than_reserved_finds_room_or_poisons_the_log),
        cmocka_unit_test(lsns_are_byte_positions),
        cmocka_unit_test(written_and_durable_move_only_when_told),
        cmocka_unit_test(frames_survive_power_loss_by_their_sync),
        cmocka_unit_test(a_sync_without_new_data_costs_no_call),
        cmocka_unit_test(many_batches_share_one_write),
        cmocka_unit_test(batches_of_every_size_cross_segments),
        cmocka_unit_test(a_failed_write_or_sync_poisons_the_log),
        cmocka_unit_test(a_full_disk_refuses_batches_and_lets_deletions_through),
        cmocka_unit_test(a_reservation_reads_no_file_when_room_is_there),
        cmocka_unit_test(a_requested_rotation_starts_a_segment),
        cmocka_unit_test(an_empty_segment_is_not_rotated),
        cmocka_unit_test(released_segments_are_recycled_and_their_old_frames_never_count),
        cmocka_unit_test(what_is_not_durable_is_not_released),
        cmocka_unit_test(the_segment_size_may_change_between_starts),
        cmocka_unit_test(a_failed_open_changes_no_batch),
        cmocka_unit_test(threads_share_writes_and_syncs_in_order),
        cmocka_unit_test(a_slow_sync_stops_neither_appends_nor_writes),
        cmocka_unit_test(a_sync_covers_only_what_it_has_written),
        cmocka_unit_test(a_batch_larger_than_reserved_without_memory_poisons_the_log),
        cmocka_unit_test(one_failed_sync_fails_all_that_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
