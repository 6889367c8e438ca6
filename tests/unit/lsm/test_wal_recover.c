/* SPDX-License-Identifier: MIT */
/* Where the log ends, and what is damage. */
#include "unit/lsm/wal_fixture.h"

#include "base/random.h"
#include "lib/seed.h"

static void a_new_log_begins_at_the_first_lsn(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    assert_int_equal(f->tail.next_lsn, WAL_FIRST_LSN);
    assert_int_equal(f->tail.epoch, 0);
    assert_int_equal(f->tail.cut_bytes, 0);
    assert_int_equal(f->log[0], 0);
    fixture_destroy(f);
}

static void synced_batches_survive_every_power_loss(void **state)
{
    (void)state;
    for (int mode = VFS_LOSE_UNSYNCED; mode <= VFS_REORDER; mode++) {
        struct wal_fixture *f = fixture_create(8192);
        fixture_start(f);
        for (uint64_t n = 0; n < 100; n++)
            fixture_append(f, n, 100 + n);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        for (uint64_t n = 100; n < 150; n++)
            fixture_append(f, n, 300);
        assert_int_equal(wal_write(f->wal), STATUS_OK);
        fixture_crash(f, mode, 5);
        assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
        assert_true(f->count >= 100);
        fixture_expect(f, 0, mode == VFS_KEEP_ALL ? 150 : f->count);
        fixture_destroy(f);
    }
}

static void recovery_begins_at_start_and_reads_no_older_segment(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    lsn_t start = 0;
    fixture_start(f);
    for (uint64_t n = 0; n < 100; n++) {
        lsn_t lsn = fixture_append(f, n, 200);
        if (n == 60)
            start = lsn;
    }
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    fixture_flip(f, WAL_FIRST_LSN + 40);
    assert_int_equal(fixture_recover(f, start, 0, false, false), STATUS_OK);
    fixture_expect(f, 60, 40);
    assert_int_equal(f->lsns[0], start);
    assert_int_equal(f->tail.batches, 40);
    fixture_destroy(f);
}

/* Small frames many at a time, large ones one by one. */
static void what_is_applied_has_been_foreseen(void **state)
{
    (void)state;
    static const struct {
        uint64_t count;
        size_t bytes;
    } cases[] = {{5000, 20}, {300, 3000}, {40, 500000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct wal_fixture *f = fixture_create(32 << 20);
        fixture_start(f);
        for (uint64_t n = 0; n < cases[i].count; n++)
            fixture_append(f, n, cases[i].bytes);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
        assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
        fixture_expect(f, 0, cases[i].count);
        assert_int_equal(f->foreseen_count, cases[i].count);
        fixture_destroy(f);
    }
}

static void a_torn_record_is_the_end_of_the_log(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    fixture_start(f);
    for (uint64_t n = 0; n < 10; n++)
        fixture_append(f, n, 100);
    lsn_t torn = fixture_append(f, 10, 100);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    fixture_flip(f, torn + 50);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 10);
    assert_int_equal(f->tail.next_lsn, torn);
    assert_true(f->tail.cut_bytes > 100);
    assert_non_null(strstr(f->log, "cut off"));
    fixture_destroy(f);
}

static void a_bad_frame_below_a_stated_durable_lsn_is_damage(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    lsn_t lsns[20];
    char path[256], offset[64];
    fixture_start(f);
    for (uint64_t n = 0; n < 20; n++) {
        lsns[n] = fixture_append(f, n, 100);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
    }
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    fixture_flip(f, lsns[7] + 50);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_CORRUPT);
    snprintf(offset, sizeof(offset), "offset %" PRIu64,
             fixture_locate(f, lsns[7], path, sizeof(path)));
    assert_non_null(strstr(f->report.text, offset));
    assert_non_null(strstr(f->report.text, path + 3));
    assert_non_null(strstr(f->report.text, "cordwood repair"));

    assert_int_equal(fixture_recover(f, 0, 0, false, true), STATUS_OK);
    fixture_expect(f, 0, 7);
    assert_int_equal(f->tail.next_lsn, lsns[7]);
    assert_non_null(strstr(f->report.text, "cut off"));
    fixture_destroy(f);
}

static void the_manifest_can_state_what_was_durable(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    fixture_start(f);
    lsn_t lsn = fixture_append(f, 0, 100);
    lsn_t end = wal_next_lsn(f->wal);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, 0, end, true, false), STATUS_OK);
    assert_int_equal(f->tail.durable_lsn, end);
    fixture_flip(f, lsn + 50);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK); /* nobody knows */
    assert_int_equal(fixture_recover(f, 0, end, false, false), STATUS_CORRUPT);
    assert_int_equal(fixture_recover(f, 0, end, true, false), STATUS_CORRUPT);
    fixture_destroy(f);
}

/* A frame lost among unsynced ones, as reordered writes leave it, is no damage. */
static void a_later_valid_frame_that_states_nothing_beyond_is_cut_too(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    lsn_t lsns[10];
    fixture_start(f);
    for (uint64_t n = 0; n < 10; n++)
        lsns[n] = fixture_append(f, n, 100);
    lsn_t end = wal_next_lsn(f->wal);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    fixture_flip(f, lsns[4]);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 4);
    assert_int_equal(f->tail.cut_bytes, end - lsns[4]);
    /* Sealed, and never seen again, not even by a recovery that starts behind the seal. */
    assert_int_equal(fixture_open(f), STATUS_OK);
    lsn_t sealed = wal_next_lsn(f->wal);
    for (uint64_t n = 4; n < 6; n++)
        fixture_append(f, n, 100);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 6);
    assert_int_equal(f->tail.epoch, 2);
    assert_int_equal(fixture_recover(f, sealed, sealed, false, false), STATUS_OK);
    fixture_expect(f, 4, 2);
    fixture_destroy(f);
}

static void what_was_cut_does_not_come_back_behind_equal_positions(void **state)
{
    (void)state;
    /* The first run's frames beyond the cut lie exactly where the second run's would go on. */
    struct wal_fixture *f = fixture_create(16384);
    lsn_t lsns[10];
    fixture_start(f);
    for (uint64_t n = 0; n < 10; n++)
        lsns[n] = fixture_append(f, n, 100);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    fixture_flip(f, lsns[4]);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    assert_int_equal(fixture_open(f), STATUS_OK);
    fixture_append(f, 100, 100 - WAL_FRAME_HEAD_BYTES);
    lsn_t end = wal_next_lsn(f->wal);
    assert_int_equal(end, lsns[5]);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, end, end, false, false), STATUS_OK);
    assert_int_equal(f->count, 0);
    fixture_destroy(f);
}

/* The same in a later segment, which only its header's epoch protects. */
static void what_was_cut_does_not_come_back_in_a_later_segment(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    fixture_start(f);
    fixture_append(f, 0, 100);
    lsn_t cut = fixture_append(f, 1, 100);
    wal_request_rotate(f->wal);
    lsn_t base = fixture_append(f, 2, 100);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    fixture_flip(f, cut);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    assert_int_equal(f->tail.next_lsn, cut);
    assert_int_equal(fixture_open(f), STATUS_OK);
    wal_request_rotate(f->wal);
    assert_int_equal(wal_reserve(f->wal, 0, false), STATUS_OK);
    assert_int_equal(wal_next_lsn(f->wal), base);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, base, base, false, false), STATUS_OK);
    assert_int_equal(f->count, 0);
    fixture_destroy(f);
}

/* A process that was killed leaves bytes that are written and not synced: those that are replayed
 * are synced with the seal. */
static void what_a_killed_process_wrote_is_durable_after_the_seal(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    fixture_start(f);
    for (uint64_t n = 0; n < 60; n++)
        fixture_append(f, n, 200);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    wal_close(f->wal); /* no power is lost: the same file system */
    f->wal = NULL;
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 60);
    assert_int_equal(fixture_open(f), STATUS_OK);
    lsn_t durable = wal_durable_lsn(f->wal);
    assert_int_equal(durable, wal_next_lsn(f->wal));
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, 0, durable, false, false), STATUS_OK);
    fixture_expect(f, 0, 60);
    fixture_destroy(f);
}

/* A sync that fails leaves bytes that are read and never reach the medium, whoever syncs the file later:
 * those that are replayed are written again, and no others. */
static void what_a_failed_sync_left_in_memory_is_durable_after_the_seal(void **state)
{
    (void)state;
    enum { SYNCED = 20, ALL = 60, VALUE_BYTES = 200 };
    struct wal_fixture *f = fixture_create(8192);
    struct vfs_fault_counters before, after;
    fixture_start(f);
    for (uint64_t n = 0; n < ALL; n++) {
        fixture_append(f, n, VALUE_BYTES);
        if (n == SYNCED)
            assert_int_equal(wal_sync(f->wal), STATUS_OK);
    }
    lsn_t durable = wal_durable_lsn(f->wal), end = wal_next_lsn(f->wal);
    vfs_fault_fail(f->fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, true);
    assert_int_equal(wal_sync(f->wal), STATUS_READ_ONLY);
    vfs_fault_fail(f->fault, 0, 0, STATUS_OK, false);
    wal_close(f->wal);
    f->wal = NULL;
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, ALL);
    vfs_fault_counters(f->fault, &before);
    assert_int_equal(fixture_open(f), STATUS_OK);
    vfs_fault_counters(f->fault, &after);
    uint64_t written = after.bytes_written - before.bytes_written;
    assert_in_range(written, 1, 2 * (end - durable));
    durable = wal_durable_lsn(f->wal);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, 0, durable, false, false), STATUS_OK);
    fixture_expect(f, 0, ALL);
    fixture_destroy(f);
}

static void a_missing_first_segment_is_damage_whatever_later_ones_state(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    char path[256];
    fixture_start(f);
    fixture_append(f, 0, 100);
    wal_request_rotate(f->wal);
    lsn_t start = fixture_append(f, 1, 100);
    wal_request_rotate(f->wal);
    fixture_append(f, 2, 100);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    (void)fixture_locate(f, start, path, sizeof(path));
    assert_int_equal(vfs_remove(f->memory, path), STATUS_OK);
    assert_int_equal(fixture_recover(f, start, 0, false, false), STATUS_CORRUPT);
    assert_non_null(strstr(f->report.text, path + 3));
    fixture_destroy(f);
}

static void a_missing_segment_is_named(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    char path[256];
    lsn_t *bases = NULL;
    size_t count = 0;
    fixture_start(f);
    for (uint64_t n = 0; n < 60; n++) {
        fixture_append(f, n, 200);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
    }
    lsn_t end = wal_next_lsn(f->wal);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(wal_segment_list(&f->env, "db", &bases, &count), STATUS_OK);
    assert_true(count >= 4);
    wal_segment_path("db", bases[1], path, sizeof(path));
    assert_int_equal(vfs_remove(f->memory, path), STATUS_OK);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_CORRUPT);
    assert_non_null(strstr(f->report.text, path + 3));
    assert_non_null(strstr(f->report.text, "missing"));
    /* All gone: only the manifest knows. */
    for (size_t i = 0; i < count; i++) {
        wal_segment_path("db", bases[i], path, sizeof(path));
        (void)vfs_remove(f->memory, path); /* one is gone already */
    }
    assert_int_equal(fixture_recover(f, bases[1], end, true, false), STATUS_CORRUPT);
    wal_segment_path("db", bases[1], path, sizeof(path));
    assert_non_null(strstr(f->report.text, path + 3));
    memory_free(bases);
    fixture_destroy(f);
}

static void a_chain_without_its_last_frame_is_no_batch(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    fixture_start(f);
    fixture_append(f, 0, 10);
    lsn_t big = fixture_append(f, 1, 20000); /* spans five segments */
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    lsn_t end = wal_next_lsn(f->wal);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 2);
    fixture_flip(f, end - 1);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 1);
    assert_int_equal(f->tail.next_lsn, big);
    assert_true(f->tail.cut_bytes >= 20000);
    assert_int_equal(fixture_open(f), STATUS_OK);
    fixture_append(f, 1, 10);
    fixture_append(f, 2, 9000);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 3);
    fixture_destroy(f);
}

static void a_clean_stop_is_not_searched_behind(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(1 << 20);
    struct vfs_fault_counters before, after;
    fixture_start(f);
    fixture_append(f, 0, 10);
    lsn_t end = wal_next_lsn(f->wal);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    vfs_fault_counters(f->fault, &before);
    assert_int_equal(fixture_recover(f, end, end, true, false), STATUS_OK);
    vfs_fault_counters(f->fault, &after);
    assert_int_equal(after.calls[VFS_CALL_READ] - before.calls[VFS_CALL_READ], 2);
    assert_int_equal(f->tail.next_lsn, end);
    fixture_destroy(f);
}

/* A device that gives less than the file has says nothing about where the log ends: it is refused,
 * and nothing is taken for a cut. */
static void a_read_that_stops_early_is_no_end_of_the_log(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    fixture_start(f);
    for (uint64_t n = 0; n < 50; n++)
        fixture_append(f, n, 200);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    vfs_fault_set_form(f->fault, VFS_FAULT_ENDS);
    uint64_t n = 1;
    for (;; n++) {
        vfs_fault_fail(f->fault, 1u << VFS_CALL_READ, n, STATUS_IO, false);
        enum status status = fixture_recover(f, 0, 0, false, false);
        if (vfs_fault_failed_count(f->fault) < n)
            break;
        assert_int_equal(status, STATUS_IO);
        assert_non_null(strstr(f->report.text, ".wal"));
    }
    assert_true(n > 3);
    vfs_fault_fail(f->fault, 0, 0, STATUS_OK, false);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 50);
    fixture_destroy(f);
}

/* The same when it is opened for writing: a sound segment is not taken for a new one that a crash cut
 * short, which would be removed. */
static void a_header_that_is_read_short_costs_no_segment(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    fixture_start(f);
    for (uint64_t n = 0; n < 50; n++)
        fixture_append(f, n, 200);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    size_t segments = fixture_segment_count(f);
    vfs_fault_set_form(f->fault, VFS_FAULT_ENDS);
    for (uint64_t n = 1; n <= segments; n++) {
        vfs_fault_fail(f->fault, 1u << VFS_CALL_READ, n, STATUS_IO, false);
        assert_int_equal(fixture_open(f), STATUS_IO);
        assert_int_equal(fixture_segment_count(f), segments);
    }
    vfs_fault_fail(f->fault, 0, 0, STATUS_OK, false);
    assert_int_equal(fixture_open(f), STATUS_OK);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 50);
    fixture_destroy(f);
}

static void recovery_changes_nothing_on_disk(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    struct vfs_fault_counters counters;
    fixture_start(f);
    for (uint64_t n = 0; n < 50; n++)
        fixture_append(f, n, 200);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    fixture_crash(f, VFS_TEAR, 9);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    vfs_fault_counters(f->fault, &counters);
    for (int call = 0; call < VFS_CALL_COUNT; call++)
        if ((VFS_CALLS_CHANGING & 1u << call) && call != VFS_CALL_OPEN)
            assert_int_equal(counters.calls[call], 0);
    fixture_destroy(f);
}

static void a_value_that_imitates_a_frame_is_not_believed(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    struct buffer payload = {0};
    uint8_t forged[WAL_FRAME_HEAD_BYTES];
    fixture_start(f);
    lsn_t lsn = wal_next_lsn(f->wal), inside = lsn + WAL_FRAME_HEAD_BYTES + 4;
    struct wal_frame frame = {.lsn = inside,
                              .durable_lsn = inside,
                              .epoch = 1,
                              .flags = WAL_FRAME_FIRST | WAL_FRAME_LAST};
    wal_frame_seal(forged, &frame, wal_frame_seed(STORE_ID + 1));
    wal_record_append(&payload, ENTRY_PUT, 0, slice_from("k"), slice_make(forged, sizeof(forged)));
    assert_memory_equal(payload.data + 4, forged, sizeof(forged));
    assert_int_equal(wal_reserve(f->wal, payload.size, false), STATUS_OK);
    wal_append(f->wal, buffer_slice(&payload), 1);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    fixture_flip(f, lsn);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    assert_int_equal(f->tail.next_lsn, lsn);
    buffer_release(&payload);
    fixture_destroy(f);
}

static void frames_of_a_later_format_are_refused_by_name(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    char path[256];
    uint8_t bytes[WAL_FRAME_HEAD_BYTES];
    struct vfs_file *file = NULL;
    fixture_start(f);
    lsn_t lsn = wal_next_lsn(f->wal);
    struct wal_frame frame = {
        .lsn = lsn, .durable_lsn = lsn, .epoch = 1, .flags = WAL_FRAME_FIRST | WAL_FRAME_LAST | 16};
    wal_frame_seal(bytes, &frame, wal_frame_seed(STORE_ID));
    uint64_t offset = fixture_locate(f, lsn, path, sizeof(path));
    assert_int_equal(vfs_open(f->memory, path, VFS_WRITE, &file), STATUS_OK);
    assert_int_equal(vfs_write_at(file, offset, bytes, sizeof(bytes)), STATUS_OK);
    vfs_close(file);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_UNSUPPORTED);
    assert_non_null(strstr(f->report.text, "later format"));
    /* Behind damage too: a log of that version may have been durable there, and is not to be cut. */
    fixture_flip(f, WAL_FIRST_LSN);
    for (int repair = 0; repair < 2; repair++) {
        assert_int_equal(fixture_recover(f, 0, 0, false, repair), STATUS_UNSUPPORTED);
        assert_non_null(strstr(f->report.text, "later format"));
    }
    fixture_destroy(f);
}

/* Flips each byte of the durable part in turn: a start is refused, or serves exactly the batches
 * before the flip when the flipped byte is in a rest that no frame uses. */
static void every_flipped_byte_below_the_durable_lsn_is_detected(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    fixture_start(f);
    for (uint64_t n = 0; n < 20; n++)
        fixture_append(f, n, 300);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    lsn_t durable = wal_durable_lsn(f->wal);
    lsn_t *bases = NULL;
    size_t count = 0;
    assert_int_equal(wal_segment_list(&f->env, "db", &bases, &count), STATUS_OK);
    size_t refused = 0, harmless = 0;
    for (size_t i = 0; i < count && bases[i] < durable; i++) {
        char path[256];
        wal_segment_path("db", bases[i], path, sizeof(path));
        for (uint64_t offset = 0; offset < 8192; offset += 1 + offset % 7) {
            if (bases[i] + offset >= durable + WAL_HEADER_BYTES)
                break;
            assert_int_equal(vfs_memory_flip(f->memory, path, offset, 0x04), STATUS_OK);
            if (fixture_recover(f, 0, durable, false, false) == STATUS_OK) {
                fixture_expect(f, 0, 20);
                harmless++;
            } else {
                assert_non_null(strstr(f->report.text, path + 3));
                refused++;
            }
            assert_int_equal(vfs_memory_flip(f->memory, path, offset, 0x04), STATUS_OK);
        }
    }
    assert_true(refused > 1000);
    assert_true(harmless <= count * WAL_FRAME_HEAD_BYTES);
    memory_free(bases);
    fixture_destroy(f);
}

/* Many lives of one log: random batches, syncs, releases, power losses of all kinds. What was
 * synced is always there, in order and without gaps; and one batch is never half there. */
static void random_lives_lose_nothing_that_was_synced(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    for (int life = 0; life < 30; life++) {
        struct wal_fixture *f = fixture_create(8192 << random_below(&random, 3));
        uint64_t next = 0, first = 0, synced = 0;
        lsn_t start = 0, durable = 0;
        for (int run = 0; run < 12; run++) {
            enum status status = fixture_recover(f, start, durable, false, false);
            if (status != STATUS_OK)
                fail_msg("life %d run %d: %s", life, run, f->report.text);
            fixture_expect(f, first, f->count);
            assert_true(first + f->count >= synced);
            assert_true(first + f->count <= next);
            next = first + f->count;
            f->options.is_compressed = random_below(&random, 3) > 0;
            f->options.page_bytes = 1u << random_below(&random, 10);
            assert_int_equal(fixture_open(f), STATUS_OK);
            synced = next;
            for (uint64_t step = random_below(&random, 60); step; step--) {
                fixture_append(f, next++,
                               random_below(&random, random_below(&random, 8) ? 300 : 20000));
                uint64_t what = random_below(&random, 16);
                if (what < 3)
                    assert_int_equal(wal_write(f->wal), STATUS_OK);
                if (what == 3)
                    wal_request_rotate(f->wal);
                if (what == 4)
                    (void)wal_work(f->wal);
                if (what > 5)
                    continue;
                if (what == 5) {
                    assert_int_equal(wal_sync(f->wal), STATUS_OK);
                    synced = first = next;
                    start = durable = wal_next_lsn(f->wal);
                    assert_int_equal(wal_release_below(f->wal, start), STATUS_OK);
                }
            }
            fixture_crash(f, (enum vfs_power_loss)random_below(&random, 4), random_next(&random));
        }
        fixture_destroy(f);
    }
}

/* A segment may be longer than its header states; what is behind its end is none of the log. */
static void bytes_behind_the_end_of_a_segment_are_not_read(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(8192);
    lsn_t *bases = NULL, torn;
    size_t count = 0;
    char path[256];
    uint8_t junk[5000];
    fixture_start(f);
    for (uint64_t n = 0; n < 100; n++)
        fixture_append(f, n, 200);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    torn = fixture_append(f, 100, 200);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    memset(junk, 0x55, sizeof(junk));
    assert_int_equal(wal_segment_list(&f->env, "db", &bases, &count), STATUS_OK);
    assert_true(count > 2);
    for (size_t i = 0; i < count; i++) {
        struct vfs_file *file = NULL;
        wal_segment_path("db", bases[i], path, sizeof(path));
        assert_int_equal(vfs_open(f->memory, path, VFS_WRITE, &file), STATUS_OK);
        assert_int_equal(vfs_write_at(file, 8192, junk, sizeof(junk)), STATUS_OK);
        vfs_close(file);
    }
    memory_free(bases);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 101);
    fixture_flip(f, torn + 50);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 100);
    assert_int_equal(f->tail.next_lsn, torn);
    fixture_destroy(f);
}

/* Of a frame between two others as many bytes are zeros as it had; the search passes over 4 KiB of them at once. */
static void a_frame_behind_any_number_of_zeros_is_found(void **state)
{
    (void)state;
    static const uint8_t zeros[9000];
    for (size_t bytes = 3; bytes < 8600; bytes += bytes < 3900 || bytes > 4200 ? 97 : 1) {
        struct wal_fixture *f = fixture_create(16384);
        struct vfs_file *file = NULL;
        char path[256];
        fixture_start(f);
        fixture_append(f, 0, 100);
        lsn_t lost = fixture_append(f, 1, bytes);
        lsn_t behind = wal_next_lsn(f->wal);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        fixture_append(f, 2, 10); /* states that the others are durable */
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
        uint64_t offset = fixture_locate(f, lost, path, sizeof(path));
        assert_int_equal(vfs_open(f->memory, path, VFS_WRITE, &file), STATUS_OK);
        assert_int_equal(vfs_write_at(file, offset, zeros, behind - lost), STATUS_OK);
        vfs_close(file);
        if (fixture_recover(f, 0, 0, false, false) != STATUS_CORRUPT)
            fail_msg("a frame behind %d zeros was not seen", (int)(behind - lost));
        fixture_destroy(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_behind_any_number_of_zeros_is_found),
        cmocka_unit_test(bytes_behind_the_end_of_a_segment_are_not_read),
        cmocka_unit_test(a_new_log_begins_at_the_first_lsn),
        cmocka_unit_test(synced_batches_survive_every_power_loss),
        cmocka_unit_test(recovery_begins_at_start_and_reads_no_older_segment),
        cmocka_unit_test(what_is_applied_has_been_foreseen),
        cmocka_unit_test(a_torn_record_is_the_end_of_the_log),
        cmocka_unit_test(a_bad_frame_below_a_stated_durable_lsn_is_damage),
        cmocka_unit_test(the_manifest_can_state_what_was_durable),
        cmocka_unit_test(a_later_valid_frame_that_states_nothing_beyond_is_cut_too),
        cmocka_unit_test(what_was_cut_does_not_come_back_behind_equal_positions),
        cmocka_unit_test(what_was_cut_does_not_come_back_in_a_later_segment),
        cmocka_unit_test(what_a_killed_process_wrote_is_durable_after_the_seal),
        cmocka_unit_test(what_a_failed_sync_left_in_memory_is_durable_after_the_seal),
        cmocka_unit_test(a_missing_first_segment_is_damage_whatever_later_ones_state),
        cmocka_unit_test(a_missing_segment_is_named),
        cmocka_unit_test(a_chain_without_its_last_frame_is_no_batch),
        cmocka_unit_test(a_clean_stop_is_not_searched_behind),
        cmocka_unit_test(a_read_that_stops_early_is_no_end_of_the_log),
        cmocka_unit_test(a_header_that_is_read_short_costs_no_segment),
        cmocka_unit_test(recovery_changes_nothing_on_disk),
        cmocka_unit_test(a_value_that_imitates_a_frame_is_not_believed),
        cmocka_unit_test(frames_of_a_later_format_are_refused_by_name),
        cmocka_unit_test(every_flipped_byte_below_the_durable_lsn_is_detected),
        cmocka_unit_test(random_lives_lose_nothing_that_was_synced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
