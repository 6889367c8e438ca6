/* SPDX-License-Identifier: MIT */
/* Single reads and snapshots. */
#include "lib/library.h"

#include "base/memory.h"

void library_read_begin(struct lsm_reader *reader, const struct library_moment *moment)
{
    if (moment->transaction)
        lsm_read_begin_in(reader, moment->transaction->transaction);
    else if (moment->snapshot)
        lsm_read_begin_at(reader, moment->snapshot);
    else
        lsm_read_begin(reader);
}

enum cordwood_status library_get(struct cordwood *db, const struct library_moment *moment,
                                 uint32_t tree, struct cordwood_slice key,
                                 struct cordwood_buffer *buffer)
{
    struct slice value;
    if (!library_is_key(db, tree, key))
        return CORDWOOD_INVALID;
    struct keeper_reader *taken = keeper_take_reader(&db->keeper);
    library_read_begin(taken->reader, moment);
    enum status status = lsm_get(taken->reader, tree, library_slice(key), &value);
    if (status == STATUS_OK)
        status = library_copy_out(value, buffer);
    lsm_read_end(taken->reader);
    keeper_give_reader(taken);
    return library_status(status);
}

enum cordwood_status cordwood_get(struct cordwood *db, uint32_t tree, struct cordwood_slice key,
                                  struct cordwood_buffer *value)
{
    return library_get(db, &(struct library_moment){0}, tree, key, value);
}

struct cordwood_snapshot *cordwood_snapshot_acquire(struct cordwood *db)
{
    struct cordwood_snapshot *snapshot = memory_zeroed(1, sizeof(*snapshot));
    snapshot->db = db;
    snapshot->snapshot = lsm_snapshot_acquire(db->engine);
    return snapshot;
}

void cordwood_snapshot_release(struct cordwood_snapshot *snapshot)
{
    if (!snapshot)
        return;
    lsm_snapshot_release(snapshot->snapshot);
    memory_free(snapshot);
}

enum cordwood_status cordwood_snapshot_get(struct cordwood_snapshot *snapshot, uint32_t tree,
                                           struct cordwood_slice key, struct cordwood_buffer *value)
{
    return library_get(snapshot->db, &(struct library_moment){.snapshot = snapshot->snapshot}, tree,
                       key, value);
}
