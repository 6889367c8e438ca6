/* SPDX-License-Identifier: MIT */
/* Single writes and batches: one engine batch each, under the write lock, made safe without it. */
#include "lib/library.h"

#include "base/memory.h"

#include <assert.h>

struct cordwood_batch {
    struct cordwood *db;
    struct lsm_batch *batch;
};

/* ---- One engine batch ---------------------------------------------------------------------- */

/* STATUS_OK: the lock is held. */
static enum status begin(struct cordwood *db, size_t bytes, struct lsm_writer **writer)
{
    keeper_hold_back(&db->keeper);
    lsm_lock(db->engine);
    enum status status = lsm_write_begin(db->engine, bytes, false, writer);
    if (status != STATUS_OK)
        lsm_unlock(db->engine);
    return status;
}

static enum cordwood_status end(struct cordwood *db, struct lsm_writer *writer, size_t bytes)
{
    (void)lsm_write_end(writer); /* its number is of no use to the caller */
    lsm_unlock(db->engine);
    return library_status(keeper_finish_write(&db->keeper, bytes));
}

/* ---- Single writes ------------------------------------------------------------------------- */

enum cordwood_status cordwood_put(struct cordwood *db, uint32_t tree, struct cordwood_slice key,
                                  struct cordwood_slice value)
{
    struct lsm_writer *writer;
    if (!library_is_key(db, tree, key))
        return CORDWOOD_INVALID;
    if (value.size > db->batch_bytes_max)
        return CORDWOOD_TOO_LARGE;
    enum status status = begin(db, key.size + value.size, &writer);
    if (status != STATUS_OK)
        return library_status(status);
    lsm_put(writer, tree, library_slice(key), library_slice(value));
    return end(db, writer, key.size + value.size);
}

enum cordwood_status cordwood_delete(struct cordwood *db, uint32_t tree, struct cordwood_slice key)
{
    struct lsm_writer *writer;
    if (!library_is_key(db, tree, key))
        return CORDWOOD_INVALID;
    enum status status = begin(db, key.size, &writer);
    if (status != STATUS_OK)
        return library_status(status);
    lsm_delete(writer, tree, library_slice(key));
    return end(db, writer, key.size);
}

enum cordwood_status cordwood_delete_range(struct cordwood *db, uint32_t tree,
                                           struct cordwood_slice from, struct cordwood_slice to)
{
    struct lsm_writer *writer;
    if (!library_is_key(db, tree, from) || !library_is_key(db, tree, to))
        return CORDWOOD_INVALID;
    enum status status = begin(db, from.size + to.size, &writer);
    if (status != STATUS_OK)
        return library_status(status);
    lsm_delete_range(writer, tree, library_slice(from), library_slice(to));
    return end(db, writer, from.size + to.size);
}

/* ---- Batches ------------------------------------------------------------------------------- */

struct cordwood_batch *cordwood_batch_create(struct cordwood *db)
{
    struct cordwood_batch *batch = memory_zeroed(1, sizeof(*batch));
    batch->db = db;
    batch->batch = lsm_batch_create(db->batch_bytes_max);
    return batch;
}

void cordwood_batch_destroy(struct cordwood_batch *batch)
{
    if (!batch)
        return;
    lsm_batch_destroy(batch->batch);
    memory_free(batch);
}

void cordwood_batch_clear(struct cordwood_batch *batch)
{
    lsm_batch_clear(batch->batch);
}

enum cordwood_status cordwood_batch_put(struct cordwood_batch *batch, uint32_t tree,
                                        struct cordwood_slice key, struct cordwood_slice value)
{
    if (!library_is_key(batch->db, tree, key))
        return CORDWOOD_INVALID;
    return library_status(
        lsm_batch_put(batch->batch, tree, library_slice(key), library_slice(value)));
}

enum cordwood_status cordwood_batch_delete(struct cordwood_batch *batch, uint32_t tree,
                                           struct cordwood_slice key)
{
    if (!library_is_key(batch->db, tree, key))
        return CORDWOOD_INVALID;
    return library_status(lsm_batch_delete(batch->batch, tree, library_slice(key)));
}

enum cordwood_status cordwood_batch_delete_range(struct cordwood_batch *batch, uint32_t tree,
                                                 struct cordwood_slice from,
                                                 struct cordwood_slice to)
{
    if (!library_is_key(batch->db, tree, from) || !library_is_key(batch->db, tree, to))
        return CORDWOOD_INVALID;
    return library_status(
        lsm_batch_delete_range(batch->batch, tree, library_slice(from), library_slice(to)));
}

uint64_t cordwood_batch_count(const struct cordwood_batch *batch)
{
    return lsm_batch_count(batch->batch);
}

enum cordwood_status cordwood_batch_write(struct cordwood_batch *batch)
{
    struct lsm_writer *writer;
    size_t bytes = lsm_batch_bytes(batch->batch);
    enum status status = begin(batch->db, lsm_batch_room(batch->batch), &writer);
    if (status != STATUS_OK)
        return library_status(status);
    lsm_write_batch(writer, batch->batch);
    return end(batch->db, writer, bytes);
}
