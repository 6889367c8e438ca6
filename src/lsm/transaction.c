/* SPDX-License-Identifier: MIT */
/* Transactions: optimistic, decided at the commit.
 *
 *      snapshot S        reads go here, the overlay above it
 *      1. reader at L    looks without the lock for anything above S in what was written (and noted as
 *                        read): conflict. L >= S; what had to be read from disk is in the cache now
 *      2. the lock       looks for anything above L: as a rule in the active memtables alone
 *      3. the batch      written and published; the lock is given back
 *
 * The snapshot and the reader are announced, so that neither flush nor compaction lets a version pass from
 * above S or L to below. A version above S that was dropped with what it had changed (put and deleted
 * again, where there was nothing before) is no conflict: everything is as it was read.
 *
 * The overlay is a set of memtables whose versions have the snapshot's own LSN. No batch has it (it is
 * the last byte of one), so they are newer than all that the snapshot shows, and reads merge them like
 * any other source. */
#include "lsm/batch.h"
#include "lsm/db.h"

#include "base/coding.h"
#include "base/memory.h"

#include <assert.h>

struct lsm_transaction {
    struct lsm *db;
    struct lsm_snapshot *snapshot;
    struct lsm_batch writes;
    struct memtable_set overlay; /* the same, sorted */
    struct spare spare;          /* for the overlay */
    bool serializable;
    bool committed;
    struct buffer reads; /* records: a deletion stands for a key, a range deletion for a range */
};

struct lsm_transaction *lsm_transaction_create(struct lsm *db,
                                               const struct lsm_transaction_options *options)
{
    assert(options->bytes_max <= LSM_BATCH_BYTES_MAX);
    struct lsm_transaction *transaction = memory_zeroed(1, sizeof(*transaction));
    transaction->db = db;
    transaction->writes.bytes_max = options->bytes_max;
    transaction->serializable = options->serializable;
    transaction->overlay.tree_count = db->options.tree_count;
    for (unsigned i = 0; i < db->options.tree_count; i++)
        transaction->overlay.trees[i] = memtable_create(
            &(struct memtable_options){.spare = &transaction->spare});
    transaction->snapshot = lsm_snapshot_acquire(db);
    return transaction;
}

void lsm_transaction_destroy(struct lsm_transaction *transaction)
{
    if (!transaction)
        return;
    lsm_snapshot_release(transaction->snapshot);
    for (unsigned i = 0; i < transaction->overlay.tree_count; i++)
        memtable_destroy(transaction->overlay.trees[i]);
    spare_blocks_release(transaction->overlay.spares);
    spare_release(&transaction->spare);
    buffer_release(&transaction->writes.records);
    buffer_release(&transaction->reads);
    memory_free(transaction);
}

/* ---- Writing ------------------------------------------------------------------------------- */

static bool has_room(const struct lsm_transaction *transaction, size_t bytes)
{
    size_t used = transaction->writes.records.size + transaction->reads.size;
    size_t bytes_max = transaction->writes.bytes_max;
    return used <= bytes_max && bytes <= bytes_max - used;
}

/* Memory for so many records, so that what is in the batch is in the overlay too. */
static enum status overlay_reserve(struct lsm_transaction *transaction, uint64_t count, size_t bytes)
{
    (void)spare_move_used(&transaction->spare, &transaction->overlay.spares); /* nobody counts it */
    bool has_memory = spare_try_fill(&transaction->spare, count * MEMTABLE_RECORD_BYTES + bytes);
    return has_memory ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status lsm_transaction_put(struct lsm_transaction *transaction, unsigned tree,
                                struct slice key, struct slice value)
{
    assert(!transaction->committed);
    if (value.size > LSM_BATCH_BYTES_MAX || !has_room(transaction, key.size + value.size))
        return STATUS_TOO_LARGE;
    enum status status = overlay_reserve(transaction, 1, key.size + value.size);
    if (status == STATUS_OK)
        status = lsm_batch_put(&transaction->writes, tree, key, value);
    if (status == STATUS_OK)
        memtable_put(transaction->overlay.trees[tree], key, transaction->snapshot->lsn, ENTRY_PUT,
                     value);
    return status;
}

enum status lsm_transaction_delete(struct lsm_transaction *transaction, unsigned tree,
                                   struct slice key)
{
    assert(!transaction->committed);
    if (!has_room(transaction, key.size))
        return STATUS_TOO_LARGE;
    enum status status = overlay_reserve(transaction, 1, key.size);
    if (status == STATUS_OK)
        status = lsm_batch_delete(&transaction->writes, tree, key);
    if (status == STATUS_OK)
        memtable_put(transaction->overlay.trees[tree], key, transaction->snapshot->lsn,
                     ENTRY_DELETE, slice_make(NULL, 0));
    return status;
}

enum status lsm_transaction_delete_range(struct lsm_transaction *transaction, unsigned tree,
                                         struct slice from, struct slice to)
{
    struct lsm_batch *writes = &transaction->writes;
    size_t before = writes->records.size;
    assert(!transaction->committed);
    if (!has_room(transaction, from.size + to.size))
        return STATUS_TOO_LARGE;
    /* It may delete each of the puts before it. */
    enum status status = overlay_reserve(transaction, writes->count + 1, from.size + to.size);
    if (status == STATUS_OK)
        status = lsm_batch_delete_range(writes, tree, from, to);
    if (status == STATUS_OK && writes->records.size > before)
        db_apply_range_delete(&transaction->overlay, tree,
                              (struct range_delete){from, to, transaction->snapshot->lsn},
                              slice_make(writes->records.data, before));
    return status;
}

size_t lsm_transaction_bytes(const struct lsm_transaction *transaction)
{
    return transaction->writes.records.size;
}

/* ---- Reading ------------------------------------------------------------------------------- */

void lsm_read_begin_in(struct lsm_reader *reader, struct lsm_transaction *transaction)
{
    lsm_read_begin_at(reader, transaction->snapshot);
    reader->overlay = &transaction->overlay;
}

static enum status note(struct lsm_transaction *transaction, enum entry_kind kind, unsigned tree,
                        struct slice from, struct slice to)
{
    if (!transaction->serializable)
        return STATUS_OK;
    if (!has_room(transaction, from.size + to.size + 2 * VARINT_BYTES_MAX))
        return STATUS_TOO_LARGE;
    enum status status =
        buffer_try_reserve(&transaction->reads, 1 + 2 * VARINT_BYTES_MAX + from.size + to.size);
    if (status == STATUS_OK)
        wal_record_append(&transaction->reads, kind, tree, from, to);
    return status;
}

enum status lsm_transaction_note_key(struct lsm_transaction *transaction, unsigned tree,
                                     struct slice key)
{
    return note(transaction, ENTRY_DELETE, tree, key, slice_make(NULL, 0));
}

enum status lsm_transaction_note_range(struct lsm_transaction *transaction, unsigned tree,
                                       struct slice from, struct slice to)
{
    return note(transaction, ENTRY_DELETE_RANGE, tree, from, to);
}

/* ---- Commit -------------------------------------------------------------------------------- */

/* What is looked at reveals its LSN, a deletion's too. */
static enum status look_at_range(struct lsm_reader *reader, const struct wal_record *record)
{
    struct lsm_iter *iter =
        lsm_iter_open(reader, record->tree,
                      &(struct lsm_iter_options){.lower = record->key, .upper = record->value});
    lsm_iter_seek_first(iter);
    while (lsm_iter_valid(iter) && lsm_reader_revealed(reader) <= reader->newer_than)
        lsm_iter_next(iter);
    enum status status = lsm_iter_status(iter);
    lsm_iter_close(iter);
    return status;
}

static enum status look_at_key(struct lsm_reader *reader, const struct wal_record *record)
{
    struct slice value;
    enum status status = lsm_get(reader, record->tree, record->key, &value);
    reader_unpin(reader);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* STATUS_CONFLICT: there is something above reader->newer_than in what the records name. */
static enum status check_records(struct lsm_reader *reader, struct slice records)
{
    struct wal_record record;
    enum status status = STATUS_OK;
    bool bad = false;
    lsm_reader_reset_revealed(reader);
    while (status == STATUS_OK && wal_record_next(&records, &record, &bad)) {
        status = record.kind == ENTRY_DELETE_RANGE ? look_at_range(reader, &record)
                                                   : look_at_key(reader, &record);
        if (status == STATUS_OK && lsm_reader_revealed(reader) > reader->newer_than)
            status = STATUS_CONFLICT;
    }
    return status;
}

static enum status check(const struct lsm_transaction *transaction, struct lsm_reader *reader,
                         lsn_t newer_than)
{
    lsm_reader_set_nowait(reader, false);
    lsm_reader_ignore_range_deletes(reader, false);
    reader->newer_than = newer_than;
    enum status status = check_records(reader, buffer_slice(&transaction->writes.records));
    if (status == STATUS_OK)
        status = check_records(reader, buffer_slice(&transaction->reads));
    reader->newer_than = 0;
    return status;
}

/* The lock is held; up to `seen` nothing has changed. */
static enum status write_unless_changed(struct lsm_transaction *transaction, lsn_t seen, lsn_t *lsn)
{
    struct lsm *db = transaction->db;
    struct lsm_writer *writer;
    enum status status = lsm_write_begin(db, lsm_batch_room(&transaction->writes), false, &writer);
    if (status != STATUS_OK)
        return status;
    if (lsm_visible_lsn(db) > seen + 1)
        status = check(transaction, lsm_writer_reader(writer), seen);
    /* Deletions above the snapshot, and what they deleted, may be gone: nobody can tell any more. */
    if (status == STATUS_OK && snapshot_is_expired(transaction->snapshot))
        status = STATUS_SNAPSHOT_EXPIRED;
    if (status == STATUS_OK)
        lsm_write_batch(writer, &transaction->writes);
    lsn_t written = lsm_write_end(writer); /* 0 if there is a conflict: an empty batch is none */
    if (status == STATUS_OK)
        *lsn = written;
    return status;
}

enum status lsm_transaction_commit(struct lsm_transaction *transaction, struct lsm_reader *reader,
                                   lsn_t *lsn)
{
    struct lsm *db = transaction->db;
    assert(!transaction->committed);
    if (transaction->writes.count == 0) { /* all that it read was so at the snapshot */
        transaction->committed = true;
        *lsn = 0;
        return STATUS_OK;
    }
    lsm_read_begin(reader);
    lsn_t seen = lsm_reader_lsn(reader);
    enum status status = check(transaction, reader, transaction->snapshot->lsn);
    if (status == STATUS_OK) {
        lsm_lock(db);
        status = write_unless_changed(transaction, seen, lsn);
        lsm_unlock(db);
    }
    lsm_read_end(reader);
    transaction->committed = status == STATUS_OK;
    return status;
}
