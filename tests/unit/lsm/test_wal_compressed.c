/* SPDX-License-Identifier: MIT */
/* Logs whose frames are stored in groups: what comes back, where such a log ends, and what is damage. */
#include "unit/lsm/wal_fixture.h"

#include "base/random.h"
#include "lib/seed.h"
#include "lsm/wal_group.h"

enum {
    WHOLE = WAL_FRAME_FIRST | WAL_FRAME_LAST,
    PAGE = 64, /* small groups are worth it */
};

static struct wal_fixture *compressed_create(uint64_t segment_bytes, uint32_t page_bytes)
{
    struct wal_fixture *f = fixture_create(segment_bytes);
    f->options.is_compressed = true;
    f->options.page_bytes = page_bytes;
    fixture_start(f);
    return f;
}

/* Batches first .. first + count - 1, written at once; the LSN of the first. */
static lsn_t write_batches(struct wal_fixture *f, uint64_t first, uint64_t count, size_t bytes)
{
    lsn_t lsn = 0;
    for (uint64_t n = first; n < first + count; n++) {
        lsn_t each = fixture_append(f, n, bytes);
        lsn = lsn ? lsn : each;
    }
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    return lsn;
}

static void access_bytes(struct wal_fixture *f, lsn_t lsn, uint8_t *bytes, size_t size, bool write)
{
    char path[256];
    struct vfs_file *file = NULL;
    uint64_t offset = fixture_locate(f, lsn, path, sizeof(path));
    assert_int_equal(vfs_open(f->memory, path, VFS_WRITE, &file), STATUS_OK);
    if (write)
        assert_int_equal(vfs_write_at(file, offset, bytes, size), STATUS_OK);
    else
        assert_int_equal(vfs_read_exactly(file, offset, bytes, size, false), STATUS_OK);
    vfs_close(file);
}

/* The group that lies at `lsn`. */
static struct wal_frame group_at(struct wal_fixture *f, lsn_t lsn)
{
    static uint8_t bytes[WAL_FRAME_BYTES_MAX];
    struct wal_frame group;
    access_bytes(f, lsn, bytes, WAL_FRAME_HEAD_BYTES, false);
    uint32_t length = le32_load(bytes + 4);
    assert_true(length <= WAL_FRAME_PAYLOAD_MAX);
    access_bytes(f, lsn, bytes, WAL_FRAME_HEAD_BYTES + length, false);
    assert_int_equal(wal_frame_decode(slice_make(bytes, WAL_FRAME_HEAD_BYTES + length), lsn, 0,
                                      wal_frame_seed(STORE_ID), &group),
                     WAL_FRAME_VALID);
    assert_true(group.flags & WAL_FRAME_COMPRESSED);
    return group;
}

static lsn_t stored_end(const struct wal_frame *group)
{
    return group->lsn + WAL_FRAME_HEAD_BYTES + group->length;
}

/* ---- What comes back ------------------------------------------------------------------------- */

static void a_compressed_log_has_the_lsns_of_a_plain_one_and_fewer_bytes(void **state)
{
    (void)state;
    struct wal_fixture *plain = fixture_create(1 << 20), *f = compressed_create(1 << 20, 4096);
    struct wal_stats before, after, stats;
    struct vfs_fault_counters begun, done;
    fixture_start(plain);
    wal_get_stats(f->wal, &before);
    vfs_fault_counters(f->fault, &begun);
    for (uint64_t n = 0; n < 600; n++)
        assert_int_equal(fixture_append(f, n, 300), fixture_append(plain, n, 300));
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    assert_int_equal(wal_write(plain->wal), STATUS_OK);
    assert_int_equal(wal_written_lsn(f->wal), wal_next_lsn(f->wal));
    wal_get_stats(f->wal, &after);
    wal_get_stats(plain->wal, &stats);
    vfs_fault_counters(f->fault, &done);
    assert_int_equal(stats.bytes_logged, stats.bytes_written);
    assert_int_equal(after.bytes_logged, stats.bytes_logged);
    assert_true(after.bytes_written < after.bytes_logged / 4);
    assert_int_equal(after.bytes_written - before.bytes_written,
                     done.bytes_written - begun.bytes_written);
    assert_int_equal(done.calls[VFS_CALL_WRITE] - begun.calls[VFS_CALL_WRITE], 1);
    fixture_destroy(plain);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 600);
    assert_int_equal(f->foreseen_count, 600);
    fixture_destroy(f);
}

/* 4096-byte pages, one batch a write: nothing is gained, and nothing is tried. */
static void small_writes_are_plain(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(1 << 20, 0);
    struct wal_stats stats;
    for (uint64_t n = 0; n < 100; n++)
        write_batches(f, n, 1, 200);
    wal_get_stats(f->wal, &stats);
    assert_int_equal(stats.bytes_written, stats.bytes_logged);
    write_batches(f, 100, 100, 200);
    wal_get_stats(f->wal, &stats);
    assert_true(stats.bytes_written < stats.bytes_logged);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 200);
    fixture_destroy(f);
}

/* Groups end with the segments and at their bound, and plain frames lie between them: chains' ends, skips,
 * what does not compress. */
static void groups_and_frames_of_every_size_lie_side_by_side(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    for (int round = 0; round < 20; round++) {
        struct wal_fixture *f =
            compressed_create(8192u << random_below(&random, 10), 1u << random_below(&random, 13));
        struct wal_stats stats;
        uint64_t count = 0;
        for (int write = 0; write < 12; write++) {
            for (uint64_t i = random_below(&random, 60); i; i--)
                fixture_append(f, count++, random_below(&random, 400));
            if (random_below(&random, 4) == 0)
                fixture_append(f, count++, random_below(&random, 3 << 20));
            if (random_below(&random, 4) == 0)
                wal_request_rotate(f->wal);
            assert_int_equal(wal_write(f->wal), STATUS_OK);
        }
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        lsn_t end = wal_next_lsn(f->wal);
        wal_get_stats(f->wal, &stats);
        assert_true(stats.bytes_written <= stats.bytes_logged);
        fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
        assert_int_equal(fixture_recover(f, 0, end, false, false), STATUS_OK);
        fixture_expect(f, 0, count);
        assert_int_equal(f->tail.next_lsn, end);
        fixture_destroy(f);
    }
}

static void the_option_may_change_at_every_start(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(64 << 10, PAGE);
    uint64_t n = 0;
    for (int run = 0; run < 8; run++) {
        for (int write = 0; write < 5; write++, n += 20)
            write_batches(f, n, 20, 300);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
        assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
        fixture_expect(f, 0, n);
        f->options.is_compressed = run % 2;
        assert_int_equal(fixture_open(f), STATUS_OK);
    }
    fixture_destroy(f);
}

/* ---- Where recoveries start and end ---------------------------------------------------------- */

struct starts {
    struct wal_fixture *fixture;
    lsn_t lsns[BATCHES_MAX];
    size_t counts[BATCHES_MAX]; /* batches replayed before */
    size_t count;
};

static enum status starts_apply(void *context, lsn_t lsn, struct slice records, uint64_t count)
{
    return fixture_apply(((struct starts *)context)->fixture, lsn, records, count);
}

static void starts_note(void *context, lsn_t lsn)
{
    struct starts *starts = context;
    starts->lsns[starts->count] = lsn;
    starts->counts[starts->count++] = starts->fixture->count;
}

static void a_recovery_may_start_where_it_is_told_that_one_may(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(1 << 20, PAGE);
    struct starts *starts = memory_zeroed(1, sizeof(*starts));
    struct wal_recovery recovery = {.env = &f->env,
                                    .directory = "db",
                                    .store_id = STORE_ID,
                                    .apply = starts_apply,
                                    .may_start = starts_note,
                                    .context = starts};
    starts->fixture = f;
    write_batches(f, 0, 1, 10); /* a frame */
    write_batches(f, 1, 50, 300);
    write_batches(f, 51, 1, 3 << 20); /* a chain, in several groups */
    write_batches(f, 52, 50, 300);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    f->count = 0;
    assert_int_equal(wal_recover(&recovery, &f->tail, &f->report), STATUS_OK);
    fixture_expect(f, 0, 102);
    assert_int_equal(starts->count, 1 + 4); /* the seal, and one for each write */
    for (size_t i = 0; i < starts->count; i++) {
        assert_int_equal(fixture_recover(f, starts->lsns[i], 0, false, false), STATUS_OK);
        fixture_expect(f, starts->counts[i], 102 - starts->counts[i]);
    }
    memory_free(starts);
    fixture_destroy(f);
}

static void a_recovery_may_start_and_end_at_a_fence(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(1 << 20, PAGE);
    assert_int_equal(wal_fence(f->wal), wal_next_lsn(f->wal)); /* nothing is pending */
    for (uint64_t n = 0; n < 40; n++)
        fixture_append(f, n, 300);
    lsn_t fence = wal_fence(f->wal);
    assert_int_equal(fence, wal_next_lsn(f->wal));
    write_batches(f, 40, 40, 300);
    assert_int_equal(group_at(f, fence).count, 40);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    assert_int_equal(fixture_recover(f, fence, 0, false, false), STATUS_OK);
    fixture_expect(f, 40, 40);
    /* What is copied up to there is whole. */
    uint8_t zeros[2 * WAL_FRAME_HEAD_BYTES] = {0};
    access_bytes(f, fence, zeros, sizeof(zeros), true);
    assert_int_equal(fixture_recover(f, 0, fence, true, false), STATUS_OK);
    fixture_expect(f, 0, 40);
    assert_int_equal(f->tail.next_lsn, fence);
    fixture_destroy(f);
}

/* A chain whose end is lost begins a group, so the log goes on in front of that and not within one. */
static void a_torn_chain_is_cut_where_its_first_group_begins(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(8 << 20, PAGE);
    for (uint64_t n = 0; n < 40; n++)
        fixture_append(f, n, 300);
    lsn_t chain = fixture_append(f, 40, 3 << 20);
    write_batches(f, 41, 40, 300);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    struct wal_frame first = group_at(f, chain);
    assert_int_equal(first.flags, WAL_FRAME_FIRST | WAL_FRAME_COMPRESSED);
    struct wal_frame second = group_at(f, chain + first.span);
    assert_int_equal(second.flags, WAL_FRAME_COMPRESSED);
    fixture_flip(f, second.lsn + 40);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 40);
    assert_int_equal(f->tail.next_lsn, chain);
    assert_int_equal(fixture_open(f), STATUS_OK);
    write_batches(f, 40, 40, 200);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 80);
    fixture_destroy(f);
}

/* ---- Torn and damaged groups ----------------------------------------------------------------- */

static void a_group_torn_at_any_byte_is_the_end_of_the_log(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(64 << 10, PAGE);
    write_batches(f, 0, 10, 300);
    lsn_t torn = write_batches(f, 10, 10, 300);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    struct wal_frame group = group_at(f, torn);
    size_t size = WAL_FRAME_HEAD_BYTES + group.length;
    uint8_t *bytes = memory_allocate(size), *left = memory_allocate(size);
    access_bytes(f, torn, bytes, size, false);
    for (size_t kept = 0; kept < size; kept++) {
        for (size_t i = 0; i < size; i++)
            left[i] = i < kept ? bytes[i] : (uint8_t)(bytes[i] ^ 0x5a);
        access_bytes(f, torn, left, size, true);
        assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
        fixture_expect(f, 0, 10);
        assert_int_equal(f->tail.next_lsn, torn);
        assert_true(f->tail.cut_bytes <= size);
        assert_int_equal(fixture_recover(f, 0, torn + group.span, false, false), STATUS_CORRUPT);
    }
    access_bytes(f, torn, bytes, size, true);
    assert_int_equal(fixture_recover(f, 0, torn + group.span, false, false), STATUS_OK);
    fixture_expect(f, 0, 20);
    memory_free(bytes);
    memory_free(left);
    fixture_destroy(f);
}

/* Of what is stored: a start is refused, since the manifest or a later frame knows better. Of what lies at
 * a group's positions behind it: nothing looks at it. */
static void every_flipped_bit_of_a_group_is_noticed_and_none_behind_it(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(64 << 10, PAGE);
    lsn_t first = write_batches(f, 0, 10, 300);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    write_batches(f, 10, 10, 300); /* a group that states that the first is durable */
    lsn_t end = wal_next_lsn(f->wal);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    struct wal_frame group = group_at(f, first);
    assert_true(stored_end(&group) < group.lsn + group.span);
    char path[256];
    for (lsn_t lsn = first; lsn < first + group.span; lsn++) {
        uint64_t offset = fixture_locate(f, lsn, path, sizeof(path));
        for (int bit = 0; bit < 8; bit++) {
            assert_int_equal(vfs_memory_flip(f->memory, path, offset, (uint8_t)(1 << bit)),
                             STATUS_OK);
            enum status status = fixture_recover(f, 0, 0, false, false);
            if (lsn < stored_end(&group)) {
                assert_int_equal(status, STATUS_CORRUPT);
                assert_non_null(strstr(f->report.text, path + 3));
            } else {
                assert_int_equal(status, STATUS_OK);
                fixture_expect(f, 0, 20);
                assert_int_equal(f->tail.next_lsn, end);
            }
            assert_int_equal(vfs_memory_flip(f->memory, path, offset, (uint8_t)(1 << bit)),
                             STATUS_OK);
        }
    }
    fixture_destroy(f);
}

static void a_group_behind_damage_states_what_was_durable(void **state)
{
    (void)state;
    for (int is_durable = 0; is_durable < 2; is_durable++) {
        struct wal_fixture *f = compressed_create(64 << 10, PAGE);
        lsn_t bad = write_batches(f, 0, 1, 10);
        if (is_durable)
            assert_int_equal(wal_sync(f->wal), STATUS_OK);
        lsn_t later = write_batches(f, 1, 20, 300);
        fixture_crash(f, VFS_KEEP_ALL, 0);
        struct wal_frame group = group_at(f, later);
        fixture_flip(f, bad + 40);
        assert_int_equal(fixture_recover(f, 0, 0, false, false),
                         is_durable ? STATUS_CORRUPT : STATUS_OK);
        assert_int_equal(fixture_recover(f, 0, 0, false, true), STATUS_OK); /* a repair */
        assert_int_equal(f->tail.next_lsn, bad);
        assert_int_equal(f->tail.cut_bytes, stored_end(&group) - bad);
        /* It never counts again, wherever the log gets to. */
        assert_int_equal(fixture_open(f), STATUS_OK);
        write_batches(f, 0, 1, 10);
        assert_int_equal(wal_next_lsn(f->wal), later + WAL_FRAME_HEAD_BYTES); /* the seal */
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
        assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
        fixture_expect(f, 0, 1);
        fixture_destroy(f);
    }
}

/* Even a sound frame at its right place, which says that more was durable than there is. */
static void a_frame_at_the_positions_of_a_group_never_counts(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(64 << 10, PAGE);
    lsn_t bad = write_batches(f, 0, 1, 10), lsn = write_batches(f, 1, 20, 300);
    lsn_t end = wal_next_lsn(f->wal);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    struct wal_frame group = group_at(f, lsn);
    uint8_t bytes[WAL_FRAME_HEAD_BYTES];
    for (lsn_t at = stored_end(&group); at + sizeof(bytes) <= end; at += sizeof(bytes)) {
        const struct wal_frame left = {
            .lsn = at, .durable_lsn = at, .epoch = 9, .flags = WAL_FRAME_FIRST | WAL_FRAME_LAST};
        wal_frame_seal(bytes, &left, wal_frame_seed(STORE_ID));
        access_bytes(f, at, bytes, sizeof(bytes), true);
    }
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 21);
    assert_int_equal(f->tail.next_lsn, end);
    assert_int_equal(f->tail.epoch, 1);
    /* Nor does the search behind damage see them. */
    fixture_flip(f, bad + 40);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 0);
    assert_int_equal(f->tail.next_lsn, bad);
    fixture_destroy(f);
}

/* Segments go round; behind groups lie the groups and frames of the times before. */
static void recycled_segments_show_nothing_of_their_earlier_uses(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(16 << 10, PAGE);
    struct vfs_fault_counters counters;
    uint64_t n = 0;
    lsn_t start = 0;
    for (int round = 0; round < 60; round++) {
        for (int write = 0; write < 5; write++, n += 12)
            write_batches(f, n, 12, 100 + (size_t)(17 * round + 31 * write) % 200);
        write_batches(f, n++, 1, 10);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        uint64_t kept = n;
        start = wal_next_lsn(f->wal);
        assert_int_equal(wal_release_below(f->wal, start), STATUS_OK);
        write_batches(f, n, 12, 150);
        n += 12;
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        if (round % 7 != 6)
            continue;
        vfs_fault_counters(f->fault, &counters);
        assert_true(counters.calls[VFS_CALL_RENAME] > 3);
        fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
        assert_int_equal(fixture_recover(f, start, start, false, false), STATUS_OK);
        fixture_expect(f, kept, (size_t)(n - kept));
        assert_int_equal(f->tail.cut_bytes, 0);
        assert_int_equal(fixture_open(f), STATUS_OK);
    }
    fixture_destroy(f);
}

/* A sound group where it cannot be: nothing of it is taken. */
static void put_group(struct wal_fixture *f, lsn_t lsn, uint8_t flags, uint32_t span,
                      uint64_t records)
{
    static uint8_t frames[WAL_FRAME_BYTES_MAX + 100], stored[WAL_FRAME_BYTES_MAX];
    const struct wal_frame frame = {.lsn = lsn,
                                    .durable_lsn = WAL_FIRST_LSN,
                                    .epoch = 9,
                                    .count = (uint32_t)records,
                                    .length = span - WAL_FRAME_HEAD_BYTES,
                                    .flags = flags};
    struct wal_group_writer *writer =
        wal_group_writer_create(wal_frame_seed(STORE_ID), 1, WAL_FRAME_BYTES_MAX);
    wal_frame_seal(frames, &frame, wal_frame_seed(STORE_ID));
    struct slice made = wal_group_store(writer, slice_make(frames, span), 4096, WAL_FIRST_LSN);
    assert_true(made.size > 0);
    memcpy(stored, made.data, made.size);
    access_bytes(f, lsn, stored, made.size, true);
    wal_group_writer_destroy(writer);
}

static void a_group_that_is_out_of_place_is_the_end_of_the_log(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(16 << 10, PAGE);
    write_batches(f, 0, 10, 100);
    lsn_t end = wal_next_lsn(f->wal);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    const struct {
        uint8_t flags;
        uint32_t span;
    } cases[] = {
        {0, 1000},              /* a piece of no chain */
        {WAL_FRAME_LAST, 1000}, /* its end */
        {WHOLE, 16 << 10},      /* it goes beyond the segment */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put_group(f, end, cases[i].flags, cases[i].span, 5);
        assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
        fixture_expect(f, 0, 10);
        assert_int_equal(f->tail.next_lsn, end);
    }
    /* A frame that is not in a group has its place, too. */
    uint8_t piece[WAL_FRAME_HEAD_BYTES + 1] = {0};
    const struct wal_frame frame = {
        .lsn = end, .durable_lsn = end, .epoch = 9, .count = 1, .length = 1};
    wal_frame_seal(piece, &frame, wal_frame_seed(STORE_ID));
    access_bytes(f, end, piece, sizeof(piece), true);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 10);
    assert_int_equal(f->tail.next_lsn, end);
    /* The second frame of a chain of another count of records, or a batch within a chain. */
    put_group(f, end, WAL_FRAME_FIRST, 1000, 5);
    put_group(f, end + 1000, WAL_FRAME_LAST, 1000, 6);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 10);
    assert_int_equal(f->tail.next_lsn, end);
    put_group(f, end + 1000, WHOLE, 1000, 5);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 10);
    assert_int_equal(f->tail.next_lsn, end);
    fixture_destroy(f);
}

/* ---- Failures -------------------------------------------------------------------------------- */

static void a_group_for_which_there_is_no_memory_is_no_end_of_the_log(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(1 << 20, PAGE);
    write_batches(f, 0, 300, 300);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    memory_fail_try(1, true);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_NO_MEMORY);
    assert_non_null(strstr(f->report.text, ".wal"));
    memory_fail_try(0, false);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
    fixture_expect(f, 0, 300);
    memory_fail_try(1, true);
    assert_int_equal(fixture_open(f), STATUS_NO_MEMORY);
    memory_fail_try(0, false);
    assert_int_equal(fixture_open(f), STATUS_OK);
    fixture_destroy(f);
}

static enum status refuse_two_records(void *context, lsn_t lsn, struct slice records,
                                      uint64_t count)
{
    (void)context;
    (void)lsn;
    (void)records;
    return count == 2 ? STATUS_CORRUPT : STATUS_OK;
}

static void a_batch_within_a_group_that_cannot_be_applied_ends_the_recovery(void **state)
{
    (void)state;
    struct wal_fixture *f = compressed_create(1 << 20, PAGE);
    struct buffer payload = {0};
    for (int i = 0; i < 20; i++) {
        fixture_record(&payload, 1, 100);
        assert_int_equal(wal_reserve(f->wal, payload.size, false), STATUS_OK);
        wal_append(f->wal, buffer_slice(&payload), i == 10 ? 2 : 1);
        buffer_clear(&payload);
    }
    buffer_release(&payload);
    assert_int_equal(wal_write(f->wal), STATUS_OK);
    fixture_crash(f, VFS_KEEP_ALL, 0);
    struct wal_recovery recovery = {
        .env = &f->env, .directory = "db", .store_id = STORE_ID, .context = f};
    assert_int_equal(wal_recover(&recovery, &f->tail, &f->report), STATUS_OK);
    assert_int_equal(f->tail.batches, 21);
    recovery.apply = refuse_two_records;
    assert_int_equal(wal_recover(&recovery, &f->tail, &f->report), STATUS_CORRUPT);
    fixture_destroy(f);
}

/* The n-th write of many fails: what is found later is a part of the batches, from the first on. */
static void a_write_that_fails_within_a_log_of_groups_poisons_it(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct wal_fixture *f = compressed_create(64 << 10, PAGE);
        struct wal_stats before, after;
        write_batches(f, 0, 20, 300);
        for (uint64_t k = 20; k < 600; k++)
            fixture_append(f, k, k % 50 == 0 ? 70000 : 200);
        lsn_t written = wal_written_lsn(f->wal);
        wal_get_stats(f->wal, &before);
        vfs_fault_fail(f->fault, 1u << VFS_CALL_WRITE, n, STATUS_IO, false);
        enum status status = wal_write(f->wal);
        bool failed = vfs_fault_failed_count(f->fault) > 0;
        vfs_fault_fail(f->fault, 0, 0, STATUS_OK, false);
        assert_int_equal(status, failed ? STATUS_READ_ONLY : STATUS_OK);
        assert_int_equal(wal_is_poisoned(f->wal), failed);
        wal_get_stats(f->wal, &after);
        assert_int_equal(after.bytes_logged > before.bytes_logged, !failed);
        if (failed)
            assert_int_equal(wal_written_lsn(f->wal), written);
        fixture_crash(f, VFS_KEEP_ALL, 0);
        assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
        assert_true(f->count >= 20);
        fixture_expect(f, 0, failed ? f->count : 600);
        fixture_destroy(f);
        if (!failed) {
            assert_true(n > 20);
            return;
        }
    }
}

/* As a plain log: what is replayed and nothing proves to be durable is written again with the seal. */
static void groups_that_a_failed_sync_left_in_memory_are_durable_after_the_seal(void **state)
{
    (void)state;
    for (int is_compressed = 0; is_compressed < 2; is_compressed++) {
        struct wal_fixture *f = compressed_create(16 << 10, PAGE);
        uint64_t n = 0;
        for (; n < 200; n += 20)
            write_batches(f, n, 20, 200);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        for (; n < 400; n += 20)
            write_batches(f, n, 20, 200);
        vfs_fault_fail(f->fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, true);
        assert_int_equal(wal_sync(f->wal), STATUS_READ_ONLY);
        vfs_fault_fail(f->fault, 0, 0, STATUS_OK, false);
        wal_close(f->wal);
        f->wal = NULL;
        assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_OK);
        fixture_expect(f, 0, 400);
        f->options.is_compressed = is_compressed;
        assert_int_equal(fixture_open(f), STATUS_OK);
        lsn_t durable = wal_durable_lsn(f->wal);
        fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
        assert_int_equal(fixture_recover(f, 0, durable, false, false), STATUS_OK);
        fixture_expect(f, 0, 400);
        fixture_destroy(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compressed_log_has_the_lsns_of_a_plain_one_and_fewer_bytes),
        cmocka_unit_test(small_writes_are_plain),
        cmocka_unit_test(groups_and_frames_of_every_size_lie_side_by_side),
        cmocka_unit_test(the_option_may_change_at_every_start),
        cmocka_unit_test(a_recovery_may_start_where_it_is_told_that_one_may),
        cmocka_unit_test(a_recovery_may_start_and_end_at_a_fence),
        cmocka_unit_test(a_torn_chain_is_cut_where_its_first_group_begins),
        cmocka_unit_test(a_group_torn_at_any_byte_is_the_end_of_the_log),
        cmocka_unit_test(every_flipped_bit_of_a_group_is_noticed_and_none_behind_it),
        cmocka_unit_test(a_group_behind_damage_states_what_was_durable),
        cmocka_unit_test(a_frame_at_the_positions_of_a_group_never_counts),
        cmocka_unit_test(recycled_segments_show_nothing_of_their_earlier_uses),
        cmocka_unit_test(a_group_that_is_out_of_place_is_the_end_of_the_log),
        cmocka_unit_test(a_group_for_which_there_is_no_memory_is_no_end_of_the_log),
        cmocka_unit_test(a_batch_within_a_group_that_cannot_be_applied_ends_the_recovery),
        cmocka_unit_test(a_write_that_fails_within_a_log_of_groups_poisons_it),
        cmocka_unit_test(groups_that_a_failed_sync_left_in_memory_are_durable_after_the_seal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
