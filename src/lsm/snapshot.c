/* SPDX-License-Identifier: MIT */
/* Snapshots, and what may not be dropped because somebody reads it: reader.c draws how readers and
 * droppers meet.
 *
 * A snapshot may expire. Whoever wants to drop what it kept
 *     1. marks it                       a read at it    1. announces its LSN in the reader's slot
 *     2. looks at all slots                             2. looks at the mark
 * so a read that has begun is seen in the slots, and one that begins later sees the mark. */
#include "lsm/db.h"

#include "base/memory.h"

#include <stdlib.h>

static bool is_over_age(const struct lsm_snapshot *snapshot)
{
    uint64_t age_max_us = snapshot->db->options.snapshot_age_max_ms * 1000;
    return age_max_us > 0 &&
           env_monotonic_us(&snapshot->db->env) - snapshot->acquired_us >= age_max_us;
}

bool snapshot_is_expired(const struct lsm_snapshot *snapshot)
{
    return atomic_load(&snapshot->expired) || is_over_age(snapshot);
}

/* The view lock is held. Those that have expired are the oldest. */
static void note_oldest(struct lsm *db)
{
    const struct lsm_snapshot *oldest = db->snapshots.next;
    while (oldest != &db->snapshots && atomic_load(&oldest->expired))
        oldest = oldest->next;
    atomic_store(&db->oldest_snapshot, oldest != &db->snapshots ? oldest->lsn : IDLE_LSN);
}

struct lsm_snapshot *lsm_snapshot_acquire(struct lsm *db)
{
    struct lsm_snapshot *snapshot = memory_zeroed(1, sizeof(struct lsm_snapshot));
    snapshot->db = db;
    snapshot->acquired_us = env_monotonic_us(&db->env);
    pthread_mutex_lock(&db->view_lock);
    _Atomic lsn_t
        unused; /* droppers that list snapshots take view_lock; recyclers see the oldest */
    bool is_oldest = atomic_load(&db->oldest_snapshot) == IDLE_LSN;
    snapshot->lsn = reader_announce(db, is_oldest ? &db->oldest_snapshot : &unused);
    snapshot->previous = db->snapshots.previous;
    snapshot->next = &db->snapshots;
    db->snapshots.previous->next = snapshot;
    db->snapshots.previous = snapshot;
    db->snapshot_count++;
    pthread_mutex_unlock(&db->view_lock);
    return snapshot;
}

void lsm_snapshot_release(struct lsm_snapshot *snapshot)
{
    if (!snapshot)
        return;
    struct lsm *db = snapshot->db;
    pthread_mutex_lock(&db->view_lock);
    bool was_oldest = snapshot->previous == &db->snapshots;
    snapshot->previous->next = snapshot->next;
    snapshot->next->previous = snapshot->previous;
    db->snapshot_count--;
    note_oldest(db);
    pthread_mutex_unlock(&db->view_lock);
    memory_free(snapshot);
    if (was_oldest)
        db_work_ready(db); /* old versions may go */
}

void db_expire_snapshots(struct lsm *db)
{
    if (!db->options.snapshot_age_max_ms || atomic_load(&db->oldest_snapshot) == IDLE_LSN)
        return;
    pthread_mutex_lock(&db->view_lock);
    for (struct lsm_snapshot *s = db->snapshots.next; s != &db->snapshots; s = s->next) {
        if (is_over_age(s))
            atomic_store(&s->expired, true);
    }
    note_oldest(db);
    pthread_mutex_unlock(&db->view_lock);
}

lsn_t lsm_snapshot_lsn(const struct lsm_snapshot *snapshot)
{
    return snapshot->lsn;
}

static int compare_lsns(const void *a, const void *b)
{
    lsn_t left = *(const lsn_t *)a, right = *(const lsn_t *)b;
    return (left > right) - (left < right);
}

void db_read_lsns(struct lsm *db, lsn_t **out, size_t *out_count)
{
    pthread_mutex_lock(&db->view_lock);
    unsigned slots = atomic_load(&db->slot_count);
    lsn_t *lsns = memory_allocate((db->snapshot_count + slots + 1) * sizeof(lsn_t));
    size_t count = 0;
    for (struct lsm_snapshot *s = db->snapshots.next; s != &db->snapshots; s = s->next) {
        if (!atomic_load(&s->expired))
            lsns[count++] = s->lsn;
    }
    for (unsigned i = 0; i < slots; i++) {
        lsn_t lsn = atomic_load(&db->slots[i].lsn);
        if (lsn != IDLE_LSN)
            lsns[count++] = lsn;
    }
    pthread_mutex_unlock(&db->view_lock);
    qsort(lsns, count, sizeof(lsn_t), compare_lsns);
    size_t unique = 0;
    for (size_t i = 0; i < count; i++) {
        if (unique == 0 || lsns[unique - 1] != lsns[i])
            lsns[unique++] = lsns[i];
    }
    *out = lsns;
    *out_count = unique;
}

lsn_t db_safe_lsn(void *context)
{
    struct lsm *db = context;
    lsn_t safe = atomic_load(&db->visible_bound) - 1;
    lsn_t acked = db_acked_bound(db);
    if (acked == 0 || acked - 1 < safe)
        safe = acked ? acked - 1 : 0;
    lsn_t snapshot = atomic_load(&db->oldest_snapshot);
    if (snapshot < safe)
        safe = snapshot;
    unsigned slots = atomic_load(&db->slot_count);
    for (unsigned i = 0; i < slots; i++) {
        lsn_t lsn = atomic_load(&db->slots[i].lsn);
        if (lsn < safe)
            safe = lsn;
    }
    return safe;
}
