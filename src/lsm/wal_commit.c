/* SPDX-License-Identifier: MIT */
/* Writing and syncing of the WAL: the group commit (wal.c tells how). */
#include "lsm/wal_writer.h"

#include <assert.h>
#include <sched.h>

enum {
    PENDING_KEEP_BYTES = 8 << 20, /* a buffer that grew beyond this is given back */
    GATHER_ROUNDS_MAX = 32,       /* of letting others append before a sync */
};

enum status wal_poison(struct wal *wal, enum status status, const char *what)
{
    bool is_first = !atomic_exchange(&wal->poisoned, true);
    if (is_first) {
        wal->first_error = status;
        env_log(wal->env, LOG_WARNING,
                "The write-ahead log in %s failed to %s (%s); nothing is written until a restart.",
                wal->directory, what, status_text(status));
    }
    pthread_cond_broadcast(&wal->changed);
    return STATUS_READ_ONLY;
}

static enum status write_bytes(struct wal *wal, const struct extent *extent, uint64_t file_offset,
                               struct slice bytes)
{
    if (bytes.size == 0)
        return STATUS_OK;
    enum status status = vfs_write_at(extent->segment->file, file_offset, bytes.data, bytes.size);
    if (status == STATUS_OK)
        atomic_fetch_add(&wal->bytes_written, bytes.size);
    return status;
}

/* Writes frames as groups; what gains nothing by it is collected and written as it is. */
static enum status write_groups(struct wal *wal, const struct extent *extent, struct slice frames)
{
    enum status status = STATUS_OK;
    uint64_t file_offset = extent->file_offset; /* of `frames` */
    size_t plain = 0;                           /* bytes of them to be written as they are */
    lsn_t durable = wal_durable_lsn(wal);
    while (status == STATUS_OK && frames.size - plain >= wal_group_span_min(wal->groups)) {
        struct slice rest = slice_skip(frames, plain);
        size_t span = wal_group_span(rest);
        struct slice stored =
            wal_group_store(wal->groups, slice_make(rest.data, span), file_offset + plain, durable);
        if (stored.size == 0) {
            plain += span;
            continue;
        }
        status = write_bytes(wal, extent, file_offset, slice_make(frames.data, plain));
        if (status == STATUS_OK)
            status = write_bytes(wal, extent, file_offset + plain, stored);
        file_offset += plain + span;
        frames = slice_skip(rest, span);
        plain = 0;
    }
    if (status != STATUS_OK)
        return status;
    return write_bytes(wal, extent, file_offset, frames);
}

static enum status write_extents(struct wal *wal, const struct pending *pending)
{
    const uint8_t *data = pending->bytes.data;
    for (size_t i = 0; i < pending->extent_count; i++) {
        const struct extent *extent = &pending->extents[i];
        struct slice frames = slice_make(data, extent->size);
        enum status status = wal->groups ? write_groups(wal, extent, frames)
                                         : write_bytes(wal, extent, extent->file_offset, frames);
        if (status != STATUS_OK)
            return status;
        data += extent->size;
    }
    return STATUS_OK;
}

static void pending_clear(const struct wal *wal, struct pending *pending)
{
    struct buffer smaller = {0};
    if (pending->bytes.capacity > PENDING_KEEP_BYTES &&
        buffer_try_reserve(&smaller, wal->pending_bytes) == STATUS_OK) {
        buffer_release(&pending->bytes);
        pending->bytes = smaller;
    }
    buffer_clear(&pending->bytes);
    pending->extent_count = 0;
}

/* Writes all that is pending, as the one writing thread. The mutex is held, released meanwhile. */
static enum status write_pending(struct wal *wal)
{
    struct pending *pending = wal->active;
    lsn_t end = wal->appended_lsn;
    assert(!wal->writing);
    wal->writing = true;
    wal->active = wal->idle;
    wal->idle = NULL;
    pthread_mutex_unlock(&wal->mutex);
    enum status status = write_extents(wal, pending);
    size_t bytes = pending->bytes.size;
    pthread_mutex_lock(&wal->mutex);
    for (size_t i = 0; i < pending->extent_count; i++)
        pending->extents[i].segment->dirty = true;
    pending_clear(wal, pending);
    wal->idle = pending;
    wal->writing = false;
    if (status != STATUS_OK)
        return wal_poison(wal, status, "write");
    atomic_fetch_add(&wal->bytes_logged, bytes);
    atomic_store(&wal->written_lsn, end);
    pthread_cond_broadcast(&wal->changed);
    return STATUS_OK;
}

/* Returns when all below `target` is written. The mutex is held. */
static enum status write_up_to(struct wal *wal, lsn_t target)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && atomic_load(&wal->written_lsn) < target) {
        if (wal_is_poisoned(wal))
            return STATUS_READ_ONLY;
        if (wal->writing)
            pthread_cond_wait(&wal->changed, &wal->mutex);
        else
            status = write_pending(wal);
    }
    return status;
}

enum status wal_write(struct wal *wal)
{
    if (wal_is_poisoned(wal))
        return STATUS_READ_ONLY;
    pthread_mutex_lock(&wal->mutex);
    enum status status = write_up_to(wal, wal->appended_lsn);
    pthread_mutex_unlock(&wal->mutex);
    return status;
}

/* Syncs all that is written, as the one syncing thread, oldest segment first. The mutex is held,
 * released meanwhile. */
static enum status sync_written(struct wal *wal)
{
    enum { BATCH = 16 };
    struct wal_segment *dirty[BATCH];
    size_t count = 0, i = 0;
    enum status status = STATUS_OK;
    lsn_t end = atomic_load(&wal->written_lsn);
    for (; i <= wal->tail && count < BATCH; i++) {
        if (wal->segments[i]->dirty) {
            wal->segments[i]->dirty = false;
            dirty[count++] = wal->segments[i];
        }
    }
    if (count == BATCH && wal_header_end(&dirty[count - 1]->header) < end)
        end = wal_header_end(&dirty[count - 1]->header);
    pthread_mutex_unlock(&wal->mutex);
    for (size_t k = 0; status == STATUS_OK && k < count; k++)
        status = vfs_sync_at(dirty[k]->file, "wal.frames");
    pthread_mutex_lock(&wal->mutex);
    if (status != STATUS_OK)
        return wal_poison(wal, status, "sync");
    atomic_fetch_add(&wal->sync_count, 1);
    if (end > atomic_load(&wal->durable_lsn) && !wal_is_poisoned(wal))
        atomic_store(&wal->durable_lsn, end);
    return STATUS_OK;
}

/* Those whom the last sync released are about to append again. Syncing at once would leave them to the
 * next sync, and two halves of the threads would take turns. The mutex is held, released meanwhile. */
static void let_others_append(struct wal *wal)
{
    lsn_t before;
    unsigned rounds = 0;
    do {
        before = wal->appended_lsn;
        pthread_mutex_unlock(&wal->mutex);
        sched_yield();
        pthread_mutex_lock(&wal->mutex);
    } while (wal->appended_lsn != before && ++rounds < GATHER_ROUNDS_MAX);
}

/* Those that are covered, or can never be, each by its own semaphore; behind them one of the others, to
 * lead the next sync. The mutex is held on entry, and not on return. */
static void wake_waiters(struct wal *wal)
{
    lsn_t durable = atomic_load(&wal->durable_lsn);
    bool is_over = wal_is_poisoned(wal);
    struct sync_waiter *covered = NULL, *others = NULL, *next;
    for (struct sync_waiter *waiter = wal->waiters; waiter; waiter = next) {
        struct sync_waiter **list = is_over || waiter->target <= durable ? &covered : &others;
        next = waiter->next;
        waiter->next = *list;
        *list = waiter;
    }
    wal->has_company = covered || others;
    wal->waiters = others ? others->next : NULL;
    pthread_mutex_unlock(&wal->mutex);
    for (; covered; covered = next) {
        next = covered->next;
        sem_post(&covered->woken);
    }
    if (others)
        sem_post(&others->woken);
}

/* Writes and syncs at least up to `target`, for all who wait by then. The mutex is held on entry, and
 * not on return. */
static enum status lead_sync(struct wal *wal, lsn_t target)
{
    assert(!wal->syncing);
    wal->syncing = true;
    if (wal->has_company) {
        let_others_append(wal);
        target = wal->appended_lsn;
    }
    enum status status = write_up_to(wal, target);
    if (status == STATUS_OK)
        status = sync_written(wal);
    wal->syncing = false;
    wake_waiters(wal);
    return status;
}

/* Until a sync covers `target`, or this thread is to lead the next one. The mutex is held on entry, and
 * not on return. */
static void wait_for_sync(struct wal *wal, lsn_t target)
{
    struct sync_waiter waiter = {.next = wal->waiters, .target = target};
    sem_init(&waiter.woken, 0, 0);
    wal->waiters = &waiter;
    pthread_mutex_unlock(&wal->mutex);
    while (sem_wait(&waiter.woken) != 0)
        ;
    sem_destroy(&waiter.woken);
}

enum status wal_sync(struct wal *wal)
{
    if (wal_is_poisoned(wal))
        return STATUS_READ_ONLY;
    pthread_mutex_lock(&wal->mutex);
    lsn_t target = wal->appended_lsn;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && atomic_load(&wal->durable_lsn) < target) {
        if (wal_is_poisoned(wal)) {
            status = STATUS_READ_ONLY;
            break;
        }
        if (wal->syncing)
            wait_for_sync(wal, target);
        else
            status = lead_sync(wal, target);
        if (status != STATUS_OK || atomic_load(&wal->durable_lsn) >= target)
            return status;
        pthread_mutex_lock(&wal->mutex);
    }
    pthread_mutex_unlock(&wal->mutex);
    return status;
}

lsn_t wal_written_lsn(const struct wal *wal)
{
    return atomic_load_explicit(&wal->written_lsn, memory_order_acquire);
}

lsn_t wal_durable_lsn(const struct wal *wal)
{
    return atomic_load_explicit(&wal->durable_lsn, memory_order_acquire);
}

bool wal_is_poisoned(const struct wal *wal)
{
    return atomic_load_explicit(&wal->poisoned, memory_order_acquire);
}

enum status wal_status_cause(struct wal *wal, enum status status)
{
    if (status != STATUS_READ_ONLY || !wal_is_poisoned(wal))
        return status;
    pthread_mutex_lock(&wal->mutex);
    status = wal->first_error;
    pthread_mutex_unlock(&wal->mutex);
    return status;
}
