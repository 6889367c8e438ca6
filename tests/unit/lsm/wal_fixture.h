/* SPDX-License-Identifier: MIT */
/* A log in a memory file system for the tests of the WAL. Batch number n is one record whose key is
 * n and whose value has bytes that follow from n; what a recovery replays is checked against that.
 */
#ifndef TESTS_UNIT_LSM_WAL_FIXTURE_H
#define TESTS_UNIT_LSM_WAL_FIXTURE_H

#include "base/coding.h"
#include "base/memory.h"
#include "lsm/wal.h"
#include "lsm/wal_frame.h"
#include "lsm/wal_segment.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { STORE_ID = 77, BATCHES_MAX = 100000 };

struct wal_fixture {
    uint64_t manifest_epoch;
    struct vfs *memory; /* owned */
    struct vfs *fault;  /* over it; owned */
    struct env env;
    struct wal_options options;
    struct wal *wal;
    struct wal_tail tail;
    struct lsm_report report;
    char log[1024];
    /* What the last recovery replayed. */
    uint64_t numbers[BATCHES_MAX];
    lsn_t lsns[BATCHES_MAX];
    size_t count;
    size_t foreseen_count; /* batches that it was shown before, in their order */
};

static inline uint64_t fixture_clock(void *context)
{
    (void)context;
    return 0;
}

static inline void fixture_log(void *context, enum log_level level, const char *line)
{
    struct wal_fixture *fixture = context;
    (void)level;
    snprintf(fixture->log, sizeof(fixture->log), "%s", line);
}

static inline void fixture_attach(struct wal_fixture *fixture, struct vfs *memory)
{
    fixture->memory = memory;
    fixture->fault = vfs_fault_create(memory);
    vfs_fault_on_failed_sync(fixture->fault, vfs_memory_lose_unsynced);
    fixture->env = (struct env){.vfs = fixture->fault,
                                .wall_ms = fixture_clock,
                                .monotonic_us = fixture_clock,
                                .log = fixture_log,
                                .context = fixture};
}

static inline struct wal_fixture *fixture_create(uint64_t segment_bytes)
{
    struct wal_fixture *fixture = memory_zeroed(1, sizeof(*fixture));
    fixture_attach(fixture, vfs_memory_create());
    assert_int_equal(fixture->memory->ops->make_directory(fixture->memory, "db"), STATUS_OK);
    assert_int_equal(vfs_sync_directory(fixture->memory, "/"), STATUS_OK);
    fixture->options.segment_bytes = segment_bytes;
    return fixture;
}

static inline void fixture_destroy(struct wal_fixture *fixture)
{
    wal_close(fixture->wal);
    vfs_destroy(fixture->fault);
    vfs_destroy(fixture->memory);
    memory_free(fixture);
}

/* The process ends; power may go too. */
static inline void fixture_crash(struct wal_fixture *fixture, enum vfs_power_loss mode,
                                 uint64_t seed)
{
    struct vfs *after = vfs_memory_after_power_loss(fixture->memory, mode, seed);
    wal_close(fixture->wal);
    fixture->wal = NULL;
    vfs_destroy(fixture->fault);
    vfs_destroy(fixture->memory);
    fixture_attach(fixture, after);
}

static inline uint8_t fixture_byte(uint64_t number, size_t i)
{
    return (uint8_t)(number * 131 + i * 7 + (i >> 8));
}

static inline enum status fixture_apply(void *context, lsn_t lsn, struct slice records,
                                        uint64_t count)
{
    struct wal_fixture *fixture = context;
    struct wal_record record;
    bool bad = false;
    uint64_t number = 0;
    if (count == 0)
        return STATUS_OK; /* a seal */
    assert_int_equal(count, 1);
    assert_true(wal_record_next(&records, &record, &bad));
    assert_int_equal(record.kind, ENTRY_PUT);
    assert_true(slice_take_le64(&record.key, &number));
    for (size_t i = 0; i < record.value.size; i++)
        if (record.value.data[i] != fixture_byte(number, i))
            fail_msg("batch %" PRIu64 ": byte %zu", number, i);
    assert_false(wal_record_next(&records, &record, &bad));
    assert_false(bad);
    assert_true(fixture->count < BATCHES_MAX);
    assert_true(fixture->count == 0 || fixture->lsns[fixture->count - 1] < lsn);
    fixture->numbers[fixture->count] = number;
    fixture->lsns[fixture->count++] = lsn;
    return STATUS_OK;
}

/* What is foreseen is not checked: it counts if it is the next batch. */
static inline void fixture_foresee(void *context, const struct slice *batches, size_t count)
{
    struct wal_fixture *fixture = context;
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        struct slice records = batches[i];
        struct wal_record record;
        bool bad = false;
        uint64_t number;
        if (wal_record_next(&records, &record, &bad) && slice_take_le64(&record.key, &number) &&
            number == fixture->foreseen_count && number >= fixture->count)
            fixture->foreseen_count++;
    }
}

static inline enum status fixture_recover(struct wal_fixture *fixture, lsn_t start, lsn_t durable,
                                          bool clean, bool repair)
{
    struct wal_recovery recovery = {.env = &fixture->env,
                                    .directory = "db",
                                    .start = start,
                                    .manifest_durable = durable,
                                    .store_id = STORE_ID,
                                    .clean = clean,
                                    .repair = repair,
                                    .apply = fixture_apply,
                                    .foresee = fixture_foresee,
                                    .context = fixture};
    fixture->count = fixture->foreseen_count = 0;
    fixture->report.text[0] = 0;
    fixture->log[0] = 0;
    return wal_recover(&recovery, &fixture->tail, &fixture->report);
}

/* Opens at the recovered tail, as the engine does after an unclean stop: under an epoch above those of
 * the log and of the manifest, which states the epoch of every start. */
static inline enum status fixture_open(struct wal_fixture *fixture)
{
    uint64_t newest = fixture->tail.epoch > fixture->manifest_epoch ? fixture->tail.epoch
                                                                    : fixture->manifest_epoch;
    fixture->manifest_epoch = newest + 1;
    enum status status = wal_open(&fixture->env, "db", &fixture->options, STORE_ID, &fixture->tail,
                                  fixture->manifest_epoch, &fixture->wal);
    if (status == STATUS_OK)
        status = wal_reserve(fixture->wal, 0, false);
    if (status != STATUS_OK)
        return status;
    wal_append(fixture->wal, (struct slice){0}, 0);
    return wal_sync(fixture->wal);
}

static inline void fixture_start(struct wal_fixture *fixture)
{
    assert_int_equal(fixture_recover(fixture, 0, 0, false, false), STATUS_OK);
    assert_int_equal(fixture_open(fixture), STATUS_OK);
}

/* The payload of batch `number` with a value of `bytes`. */
static inline void fixture_record(struct buffer *payload, uint64_t number, size_t bytes)
{
    uint8_t key[8], *value = memory_allocate(bytes + 1);
    le64_store(key, number);
    for (size_t i = 0; i < bytes; i++)
        value[i] = fixture_byte(number, i);
    wal_record_append(payload, ENTRY_PUT, 1, slice_make(key, 8), slice_make(value, bytes));
    memory_free(value);
}

/* Appends batch `number` with a value of `bytes`; returns its LSN, 0 and *status if refused. */
static inline lsn_t fixture_try_append(struct wal_fixture *fixture, uint64_t number, size_t bytes,
                                       enum status *status)
{
    struct buffer payload = {0};
    lsn_t lsn = 0;
    fixture_record(&payload, number, bytes);
    *status = wal_reserve(fixture->wal, payload.size, false);
    if (*status == STATUS_OK) {
        lsn = wal_next_lsn(fixture->wal);
        lsn_t end = wal_append(fixture->wal, buffer_slice(&payload), 1);
        assert_true(end > lsn + payload.size);
        assert_true(end == wal_next_lsn(fixture->wal));
    }
    buffer_release(&payload);
    return lsn;
}

static inline lsn_t fixture_append(struct wal_fixture *fixture, uint64_t number, size_t bytes)
{
    enum status status;
    lsn_t lsn = fixture_try_append(fixture, number, bytes, &status);
    assert_int_equal(status, STATUS_OK);
    return lsn;
}

/* The replayed batches are exactly first .. first + count - 1. */
static inline void fixture_expect(const struct wal_fixture *fixture, uint64_t first, size_t count)
{
    assert_int_equal(fixture->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(fixture->numbers[i], first + i);
}

/* File and offset of an LSN. */
static inline uint64_t fixture_locate(struct wal_fixture *fixture, lsn_t lsn, char *path,
                                      size_t size)
{
    lsn_t *bases = NULL;
    size_t count = 0, i = 0;
    assert_int_equal(wal_segment_list(&fixture->env, "db", &bases, &count), STATUS_OK);
    while (i + 1 < count && bases[i + 1] <= lsn)
        i++;
    assert_true(count > 0 && bases[i] <= lsn);
    wal_segment_path("db", bases[i], path, size);
    uint64_t offset = WAL_HEADER_BYTES + (lsn - bases[i]);
    memory_free(bases);
    return offset;
}

static inline void fixture_flip(struct wal_fixture *fixture, lsn_t lsn)
{
    char path[256];
    uint64_t offset = fixture_locate(fixture, lsn, path, sizeof(path));
    assert_int_equal(vfs_memory_flip(fixture->memory, path, offset, 0x10), STATUS_OK);
}

static inline size_t fixture_segment_count(struct wal_fixture *fixture)
{
    lsn_t *bases = NULL;
    size_t count = 0;
    assert_int_equal(wal_segment_list(&fixture->env, "db", &bases, &count), STATUS_OK);
    memory_free(bases);
    return count;
}

#endif
