/* SPDX-License-Identifier: MIT */
/* A batch made ahead: its records are encoded as the WAL wants them while no lock is held, and walked
 * once when they are written. */
#include "lsm/batch.h"

#include "base/memory.h"
#include "lsm/wal.h"

#include <assert.h>

enum { RECORD_HEAD_BYTES_MAX = 16, RECORDS_KEPT_BYTES = 1 << 20 };

struct lsm_batch *lsm_batch_create(size_t bytes_max)
{
    assert(bytes_max <= LSM_BATCH_BYTES_MAX);
    struct lsm_batch *batch = memory_zeroed(1, sizeof(*batch));
    batch->bytes_max = bytes_max;
    return batch;
}

void lsm_batch_destroy(struct lsm_batch *batch)
{
    if (!batch)
        return;
    buffer_release(&batch->records);
    memory_free(batch);
}

void lsm_batch_clear(struct lsm_batch *batch)
{
    batch->count = 0;
    if (batch->records.capacity > RECORDS_KEPT_BYTES)
        buffer_release(&batch->records);
    buffer_clear(&batch->records);
}

static enum status add(struct lsm_batch *batch, enum entry_kind kind, unsigned tree,
                       struct slice key, struct slice value)
{
    size_t left = batch->bytes_max - batch->records.size;
    assert(key.size <= LSM_KEY_BYTES_MAX);
    if (key.size + RECORD_HEAD_BYTES_MAX > left ||
        value.size > left - key.size - RECORD_HEAD_BYTES_MAX)
        return STATUS_TOO_LARGE;
    enum status status =
        buffer_try_reserve(&batch->records, key.size + value.size + RECORD_HEAD_BYTES_MAX);
    if (status != STATUS_OK)
        return status;
    wal_record_append(&batch->records, kind, tree, key, value);
    batch->count++;
    return STATUS_OK;
}

enum status lsm_batch_put(struct lsm_batch *batch, unsigned tree, struct slice key,
                          struct slice value)
{
    return add(batch, ENTRY_PUT, tree, key, value);
}

enum status lsm_batch_delete(struct lsm_batch *batch, unsigned tree, struct slice key)
{
    return add(batch, ENTRY_DELETE, tree, key, slice_make(NULL, 0));
}

enum status lsm_batch_delete_range(struct lsm_batch *batch, unsigned tree, struct slice from,
                                   struct slice to)
{
    if (slice_compare(from, to) >= 0)
        return STATUS_OK;
    return add(batch, ENTRY_DELETE_RANGE, tree, from, to);
}

uint64_t lsm_batch_count(const struct lsm_batch *batch)
{
    return batch->count;
}

size_t lsm_batch_bytes(const struct lsm_batch *batch)
{
    return batch->records.size;
}

size_t lsm_batch_room(const struct lsm_batch *batch)
{
    size_t room = batch->records.size + batch->count * LSM_RECORD_BYTES;
    assert(batch->records.size <= LSM_BATCH_BYTES_MAX);
    return room < LSM_BATCH_BYTES_MAX ? room : LSM_BATCH_BYTES_MAX;
}

void lsm_write_batch(struct lsm_writer *writer, const struct lsm_batch *batch)
{
    struct slice records = buffer_slice(&batch->records);
    struct wal_record record;
    bool bad = false;
    while (wal_record_next(&records, &record, &bad)) {
        if (record.kind == ENTRY_PUT)
            lsm_put(writer, record.tree, record.key, record.value);
        else if (record.kind == ENTRY_DELETE)
            lsm_delete(writer, record.tree, record.key);
        else
            lsm_delete_range(writer, record.tree, record.key, record.value);
    }
    assert(!bad);
}
