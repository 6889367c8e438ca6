/* SPDX-License-Identifier: MIT */
/* The writer's side of the WAL; writing and syncing are in wal_commit.c.
 *
 *   segments:  | closed ... | tail | ready | ready |     each begins where the one before ends
 *   LSNs:      durable <= written <= appended          <= prepared (end of the last segment)
 *
 * Appends copy frames into the pending batch of bytes; a writing thread swaps it for the empty
 * second one under the mutex and writes without it, so an append never waits for a write or a sync.
 * It is there that frames are compressed, as groups of neighbours (wal_group.h), if that was asked for.
 * One thread writes and one syncs at a time, both may overlap; the others wait for the result that
 * covers them, which is the group commit: each on a semaphore of its own, so that nobody wakes for
 * nothing. A sync covers what was written before it began, and
 * durable_lsn moves only there, in order; the first error of a write or sync poisons the log for
 * good.
 *
 * Lock order: the engine's write lock, then wal->mutex, which is not held during calls of the vfs.
 */
#include "lsm/wal_writer.h"

#include "base/memory.h"
#include "lsm/wal_frame.h"

#include <assert.h>

enum {
    PAGE_BYTES_DEFAULT = 4096,
    READY_MAX = 3, /* recycled segments kept ahead; others are removed */
    FRAME_REST_MIN = WAL_FRAME_HEAD_BYTES + 1, /* a smaller rest of a segment is skipped */
};

_Static_assert(WAL_SEGMENT_BYTES_MIN - WAL_HEADER_BYTES > 4 * FRAME_REST_MIN, "room for frames");

/* ---- Segments ------------------------------------------------------------------------------ */

static void push_segment(struct wal *wal, struct wal_segment *segment)
{
    assert(segment->header.base >= atomic_load(&wal->prepared_lsn));
    if (wal->segment_count == wal->segment_capacity) {
        wal->segment_capacity = wal->segment_capacity ? 2 * wal->segment_capacity : 16;
        wal->segments =
            memory_resize(wal->segments, wal->segment_capacity * sizeof(*wal->segments));
    }
    wal->segments[wal->segment_count++] = segment;
    atomic_store_explicit(&wal->prepared_lsn, wal_header_end(&segment->header),
                          memory_order_release);
}

/* A segment of zeros behind the last one. The mutex is held, and released meanwhile. */
static enum status prepare_segment(struct wal *wal)
{
    assert(!wal->preparing);
    wal->preparing = true;
    struct wal_header header = {
        .store_id = wal->store_id,
        .base = atomic_load(&wal->prepared_lsn),
        .segment_bytes = wal->options.segment_bytes,
        .epoch = wal->epoch,
    };
    uint64_t wanted_bytes = header.segment_bytes + wal->left_free_bytes;
    pthread_mutex_unlock(&wal->mutex);
    struct wal_segment *segment = NULL;
    uint64_t free_bytes = 0;
    /* Asked first, so that writers on a full disk do not fill and empty it again and again. */
    enum status status = wal->env->vfs->ops->free_bytes(wal->env->vfs, wal->directory, &free_bytes);
    if (status == STATUS_OK && free_bytes < wanted_bytes)
        status = STATUS_NO_SPACE;
    if (status == STATUS_OK)
        status = wal_segment_create(wal->env, wal->directory, &header, &segment);
    pthread_mutex_lock(&wal->mutex);
    if (status == STATUS_OK)
        push_segment(wal, segment);
    wal->preparing = false;
    pthread_cond_broadcast(&wal->changed);
    return status;
}

/* ---- Opening and closing ------------------------------------------------------------------- */

/* Opens the segments that begin at or below the tail. Damaged ones lie below what recovery needed,
 * or are renames and new files that a crash cut short: they go. */
static enum status open_begun(struct wal *wal, const lsn_t *bases, size_t count)
{
    lsn_t durable = atomic_load(&wal->durable_lsn);
    for (size_t i = 0; i < count; i++) {
        struct wal_segment *segment = NULL;
        enum status status =
            wal_segment_open(wal->env, wal->directory, bases[i], wal->store_id, &segment);
        if (status == STATUS_OK && bases[i] < atomic_load(&wal->prepared_lsn)) {
            wal_segment_close(segment);
            return STATUS_CORRUPT; /* two segments for one LSN */
        }
        if (status == STATUS_OK) {
            /* A killed process may have left bytes that are written and not synced. */
            segment->dirty = wal_header_end(&segment->header) > durable;
            push_segment(wal, segment);
        } else if (status == STATUS_CORRUPT)
            status = wal_segment_remove(wal->env, wal->directory, bases[i]);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* What was replayed above the durable LSN was written by a process that was killed, or whose sync failed;
 * then no sync alone would bring it to the medium. The seal's sync takes it along. */
static enum status write_doubtful_again(struct wal *wal, const struct wal_tail *tail)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < wal->segment_count; i++) {
        const struct wal_segment *segment = wal->segments[i];
        lsn_t from = segment->header.base, to = wal_header_end(&segment->header);
        from = from > tail->durable_lsn ? from : tail->durable_lsn;
        to = to < tail->next_lsn ? to : tail->next_lsn;
        if (from < to)
            status = vfs_rewrite(segment->file, wal_header_offset(&segment->header, from),
                                 wal_header_offset(&segment->header, to));
    }
    return status;
}

/* Segments behind the tail that were ready when the last run ended, of this epoch from now on. */
static enum status open_ready(struct wal *wal, const lsn_t *bases, size_t count)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct wal_segment *segment = NULL;
        if (bases[i] == atomic_load(&wal->prepared_lsn))
            status = wal_segment_open(wal->env, wal->directory, bases[i], wal->store_id, &segment);
        if (status == STATUS_OK && segment && segment->header.epoch != wal->epoch)
            status = wal_segment_set_epoch(segment, wal->epoch);
        if (status == STATUS_OK && segment) {
            push_segment(wal, segment);
            continue;
        }
        wal_segment_close(segment);
        if (status == STATUS_OK || status == STATUS_CORRUPT)
            status = wal_segment_remove(wal->env, wal->directory, bases[i]);
    }
    return status;
}

/* Places the tail and makes what recovery has cut off unreadable: in this segment by zeros, in
 * later ones by their headers' epoch. */
static enum status place_tail(struct wal *wal, const struct wal_tail *tail)
{
    size_t last = wal->segment_count;
    if (last == 0 || wal_header_end(&wal->segments[last - 1]->header) <= tail->next_lsn) {
        struct wal_segment *segment = NULL;
        struct wal_header header = {
            .store_id = wal->store_id,
            .base = tail->next_lsn,
            .segment_bytes = wal->options.segment_bytes,
            .epoch = wal->epoch,
        };
        enum status status = wal_segment_create(wal->env, wal->directory, &header, &segment);
        if (status != STATUS_OK)
            return status;
        push_segment(wal, segment);
        wal->tail = last;
        return STATUS_OK;
    }
    wal->tail = last - 1;
    if (tail->cut_bytes == 0)
        return STATUS_OK;
    struct wal_segment *segment = wal->segments[wal->tail];
    lsn_t end = wal_header_end(&segment->header);
    lsn_t cut_end = tail->next_lsn + tail->cut_bytes;
    return wal_segment_erase(segment, tail->next_lsn, cut_end < end ? cut_end : end);
}

/* Of small segments fewer bytes are pending at a time. */
static size_t pending_bytes_for(uint64_t segment_bytes)
{
    return segment_bytes < WAL_PENDING_BYTES_MIN   ? WAL_PENDING_BYTES_MIN
           : segment_bytes > WAL_PENDING_BYTES_MAX ? WAL_PENDING_BYTES_MAX
                                                   : (size_t)segment_bytes;
}

/* No group is larger than the largest segment: those that exist keep their size. */
static enum status create_group_writer(struct wal *wal)
{
    const struct wal_options *options = &wal->options;
    uint64_t largest = options->segment_bytes;
    for (size_t i = 0; i < wal->segment_count; i++)
        if (wal->segments[i]->header.segment_bytes > largest)
            largest = wal->segments[i]->header.segment_bytes;
    wal->groups = wal_group_writer_create(
        wal->seed, options->page_bytes ? options->page_bytes : PAGE_BYTES_DEFAULT,
        largest < WAL_FRAME_BYTES_MAX ? (size_t)largest : WAL_FRAME_BYTES_MAX);
    return wal->groups ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status wal_open(const struct env *env, const char *directory,
                     const struct wal_options *options, uint64_t store_id,
                     const struct wal_tail *tail, uint64_t epoch, struct wal **out)
{
    assert(options->segment_bytes >= WAL_SEGMENT_BYTES_MIN);
    assert(options->segment_bytes <= WAL_SEGMENT_BYTES_MAX);
    assert(tail->next_lsn >= WAL_FIRST_LSN);
    assert(epoch >= 1 && epoch >= tail->epoch && epoch <= UINT32_MAX);
    assert(tail->cut_bytes == 0 || epoch > tail->epoch);

    struct wal *wal = memory_zeroed(1, sizeof(*wal));
    lsn_t *bases = NULL;
    size_t base_count = 0, begun = 0;
    wal->env = env;
    wal->directory = memory_copy(directory, strlen(directory) + 1);
    wal->options = *options;
    wal->store_id = store_id;
    wal->epoch = (uint32_t)epoch;
    wal->seed = wal_frame_seed(store_id);
    wal->next_lsn = wal->appended_lsn = tail->next_lsn;
    atomic_init(&wal->written_lsn, tail->next_lsn);
    atomic_init(&wal->durable_lsn, tail->durable_lsn);
    pthread_mutex_init(&wal->mutex, NULL);
    pthread_cond_init(&wal->changed, NULL);
    wal->active = &wal->pending[0];
    wal->idle = &wal->pending[1];
    wal->pending_bytes = pending_bytes_for(options->segment_bytes);
    buffer_reserve(&wal->active->bytes, wal->pending_bytes);
    buffer_reserve(&wal->idle->bytes, wal->pending_bytes);

    enum status status = wal_segment_list(env, directory, &bases, &base_count);
    if (status != STATUS_OK)
        goto done;
    while (begun < base_count && bases[begun] <= tail->next_lsn)
        begun++;
    status = open_begun(wal, bases, begun);
    if (status == STATUS_OK)
        status = write_doubtful_again(wal, tail);
    if (status == STATUS_OK)
        status = place_tail(wal, tail);
    if (status == STATUS_OK)
        status = open_ready(wal, bases + begun, base_count - begun);
    if (status == STATUS_OK && options->is_compressed)
        status = create_group_writer(wal);
    if (status != STATUS_OK)
        goto done;
    *out = wal;
    wal = NULL;
done:
    memory_free(bases);
    wal_close(wal);
    return status;
}

static void pending_release(struct pending *pending)
{
    buffer_release(&pending->bytes);
    memory_free(pending->extents);
}

void wal_close(struct wal *wal)
{
    if (!wal)
        return;
    assert(!wal->writing);
    assert(!wal->syncing);
    for (size_t i = 0; i < wal->segment_count; i++)
        wal_segment_close(wal->segments[i]);
    memory_free(wal->segments);
    wal_group_writer_destroy(wal->groups);
    buffer_release(&wal->spare);
    pending_release(&wal->pending[0]);
    pending_release(&wal->pending[1]);
    pthread_cond_destroy(&wal->changed);
    pthread_mutex_destroy(&wal->mutex);
    memory_free(wal->directory);
    memory_free(wal);
}

/* ---- Appending ----------------------------------------------------------------------------- */

/* LSN space that a payload of `bytes` takes at most, wherever it begins: a head each frame, and at
 * each end of a segment one more head and a rest too small to use. */
static uint64_t space_of(const struct wal *wal, uint64_t bytes)
{
    uint64_t capacity = wal->options.segment_bytes - WAL_HEADER_BYTES;
    uint64_t heads = bytes / WAL_FRAME_PAYLOAD_MAX + 2;
    uint64_t ends = bytes / (capacity / 2) + 2;
    return bytes + heads * WAL_FRAME_HEAD_BYTES + ends * 2 * FRAME_REST_MIN;
}

static struct wal_segment *tail_segment(const struct wal *wal)
{
    return wal->segments[wal->tail];
}

/* Memory for `room` more bytes, wherever they go: the active pending buffer may be written, and the other,
 * empty one be in its place, before they come; each holds `pending_bytes`. The mutex is held. */
static enum status ensure_memory(struct wal *wal, uint64_t room)
{
    const struct buffer *bytes = &wal->active->bytes;
    uint64_t needed = bytes->size + room;
    if (wal->spare.capacity >= needed || (bytes->capacity >= needed && room <= wal->pending_bytes))
        return STATUS_OK;
    if (needed < 2 * bytes->capacity)
        needed = 2 * bytes->capacity; /* n bytes of small batches are copied O(n) times in all */
    return buffer_try_reserve(&wal->spare, needed);
}

/* The spare buffer becomes the active one, with what that held. The mutex is held. */
static void take_spare(struct wal *wal)
{
    struct buffer *bytes = &wal->active->bytes, old = *bytes;
    assert(wal->spare.capacity > old.capacity);
    buffer_append_slice(&wal->spare, buffer_slice(&old));
    *bytes = wal->spare;
    wal->spare = (struct buffer){0};
    buffer_release(&old);
}

/* Bytes of the frame at the tail go to the pending batch: where to put them. The mutex is held. */
static uint8_t *pending_extend(struct wal *wal, size_t size)
{
    struct pending *pending = wal->active;
    struct wal_segment *segment = tail_segment(wal);
    uint64_t offset = wal_header_offset(&segment->header, wal->next_lsn);
    struct extent *last =
        pending->extent_count ? &pending->extents[pending->extent_count - 1] : NULL;
    if (!last || last->segment != segment || last->is_closed) {
        if (pending->extent_count == pending->extent_capacity) {
            pending->extent_capacity = pending->extent_capacity ? 2 * pending->extent_capacity : 8;
            pending->extents = memory_resize(pending->extents,
                                             pending->extent_capacity * sizeof(*pending->extents));
        }
        last = &pending->extents[pending->extent_count++];
        *last = (struct extent){.segment = segment, .file_offset = offset};
    }
    assert(last->file_offset + last->size == offset);
    if (pending->bytes.capacity - pending->bytes.size < size)
        take_spare(wal);
    assert(pending->bytes.capacity - pending->bytes.size >= size);
    uint8_t *at = pending->bytes.data + pending->bytes.size;
    pending->bytes.size += size;
    last->size += size;
    return at;
}

/* Puts one frame at next_lsn, which has room for it, and moves next_lsn behind it. */
static void append_frame(struct wal *wal, uint8_t flags, uint32_t count, struct slice payload)
{
    struct wal_frame frame = {
        .lsn = wal->next_lsn,
        .durable_lsn = atomic_load_explicit(&wal->durable_lsn, memory_order_relaxed),
        .epoch = wal->epoch,
        .count = count,
        .length = (uint32_t)payload.size,
        .flags = flags,
    };
    uint8_t *at = pending_extend(wal, WAL_FRAME_HEAD_BYTES + payload.size);
    if (payload.size)
        memcpy(at + WAL_FRAME_HEAD_BYTES, payload.data, payload.size);
    wal_frame_seal(at, &frame, wal->seed);
    wal->next_lsn += WAL_FRAME_HEAD_BYTES + payload.size;
}

static void move_to_next_segment(struct wal *wal)
{
    assert(wal->tail + 1 < wal->segment_count);
    wal->tail++;
    wal->next_lsn = tail_segment(wal)->header.base;
}

/* Skips a rest of the tail segment that no frame fits in, if there is a segment to go on in. */
static void skip_small_rest(struct wal *wal)
{
    lsn_t end = wal_header_end(&tail_segment(wal)->header);
    assert(wal->next_lsn <= end);
    if (end - wal->next_lsn < FRAME_REST_MIN) {
        wal->next_lsn = end;
        if (wal->tail + 1 < wal->segment_count)
            move_to_next_segment(wal);
    }
}

static void append_chain(struct wal *wal, struct slice payload, uint64_t count)
{
    uint8_t first = WAL_FRAME_FIRST;
    do {
        uint64_t room = wal_header_end(&tail_segment(wal)->header) - wal->next_lsn;
        assert(room >= FRAME_REST_MIN);
        size_t size = payload.size;
        if (size > WAL_FRAME_PAYLOAD_MAX)
            size = WAL_FRAME_PAYLOAD_MAX;
        if (size > room - WAL_FRAME_HEAD_BYTES)
            size = (size_t)(room - WAL_FRAME_HEAD_BYTES);
        uint8_t last = size == payload.size ? WAL_FRAME_LAST : 0;
        append_frame(wal, first | last, (uint32_t)count, slice_make(payload.data, size));
        payload = slice_skip(payload, size);
        first = 0;
        skip_small_rest(wal);
    } while (payload.size);
}

/* Prepares segments until `room` bytes of LSN space lie ahead of next_lsn. The mutex is held. */
static enum status ensure_room(struct wal *wal, uint64_t room)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && atomic_load(&wal->prepared_lsn) - wal->next_lsn < room) {
        if (wal->preparing)
            pthread_cond_wait(&wal->changed, &wal->mutex);
        else
            status = prepare_segment(wal);
    }
    return status;
}

static bool has_memory(const struct wal *wal, uint64_t room)
{
    const struct buffer *bytes = &wal->active->bytes;
    return bytes->capacity - bytes->size >= room || wal->spare.capacity >= bytes->size + room;
}

/* A batch that is larger than was reserved for it: makes room now. The mutex is held. */
static bool make_up_room(struct wal *wal, size_t bytes)
{
    if (wal_is_poisoned(wal))
        return false;
    uint64_t room = space_of(wal, bytes);
    enum status status = ensure_room(wal, room);
    if (status == STATUS_OK && !has_memory(wal, room))
        status = ensure_memory(wal, room);
    if (status != STATUS_OK)
        (void)wal_poison(wal, status, "take a batch larger than was reserved");
    return status == STATUS_OK;
}

lsn_t wal_append(struct wal *wal, struct slice payload, uint64_t count)
{
    assert(payload.size <= WAL_BATCH_BYTES_MAX);
    assert((payload.size == 0) == (count == 0));
    pthread_mutex_lock(&wal->mutex);
    uint64_t ahead = atomic_load_explicit(&wal->prepared_lsn, memory_order_relaxed) - wal->next_lsn;
    size_t surely_enough = payload.size + payload.size / 16 + 1024; /* space_of without divisions */
    bool has_room = ahead >= surely_enough && has_memory(wal, surely_enough);
    if (has_room || make_up_room(wal, payload.size))
        append_chain(wal, payload, count);
    else
        wal->next_lsn += WAL_FRAME_HEAD_BYTES; /* the log is poisoned: nothing stands there */
    if (wal->spare.capacity > 0)
        buffer_release(&wal->spare);
    wal->appended_lsn = wal->next_lsn;
    pthread_mutex_unlock(&wal->mutex);
    return wal->next_lsn;
}

lsn_t wal_fence(struct wal *wal)
{
    pthread_mutex_lock(&wal->mutex);
    struct pending *pending = wal->active;
    if (pending->extent_count > 0)
        pending->extents[pending->extent_count - 1].is_closed = true;
    lsn_t lsn = wal->appended_lsn;
    pthread_mutex_unlock(&wal->mutex);
    return lsn;
}

lsn_t wal_next_lsn(const struct wal *wal)
{
    return wal->next_lsn;
}

/* Ends the tail segment early, with a frame that says so. The mutex is held. */
static enum status rotate(struct wal *wal)
{
    struct wal_segment *segment = tail_segment(wal);
    lsn_t end = wal_header_end(&segment->header);
    if (wal->next_lsn == segment->header.base)
        return STATUS_OK;
    enum status status = ensure_room(wal, end - wal->next_lsn + 1);
    if (status != STATUS_OK)
        return status;
    skip_small_rest(wal);
    if (tail_segment(wal) == segment) {
        append_frame(wal, WAL_FRAME_SKIP, 0, (struct slice){0});
        move_to_next_segment(wal);
        wal->appended_lsn = wal->next_lsn;
    }
    return STATUS_OK;
}

/* Whether there is so much room already, and memory for it. `reserve` bytes stay for deletions. */
static bool is_ready(const struct wal *wal, uint64_t room, uint64_t reserve)
{
    lsn_t prepared = atomic_load_explicit(&wal->prepared_lsn, memory_order_acquire);
    return prepared - wal->next_lsn >= room + reserve &&
           wal->next_lsn + room - wal_written_lsn(wal) <= wal->pending_bytes;
}

/* The mutex is held. */
static enum status make_room(struct wal *wal, uint64_t room, bool may_use_reserve)
{
    enum status status = ensure_room(wal, room + wal->options.reserve_bytes);
    if (status == STATUS_NO_SPACE && may_use_reserve)
        status = ensure_room(wal, room);
    return status;
}

enum status wal_reserve(struct wal *wal, uint64_t bytes, bool may_use_reserve)
{
    assert(bytes <= WAL_BATCH_BYTES_MAX);
    if (wal_is_poisoned(wal))
        return STATUS_READ_ONLY;
    uint64_t room = space_of(wal, bytes);
    bool must_rotate = atomic_load_explicit(&wal->rotate_requested, memory_order_relaxed);
    if (!must_rotate && is_ready(wal, room, wal->options.reserve_bytes))
        return STATUS_OK;

    pthread_mutex_lock(&wal->mutex);
    enum status status = ensure_memory(wal, room + WAL_FRAME_HEAD_BYTES);
    if (status == STATUS_OK && must_rotate) {
        status = rotate(wal);
        if (status == STATUS_OK)
            atomic_store(&wal->rotate_requested, false);
        else if (status == STATUS_NO_SPACE)
            status = STATUS_OK; /* asked for again by the next batch */
    }
    if (status == STATUS_OK)
        status = make_room(wal, room, may_use_reserve);
    if (status == STATUS_OK) {
        skip_small_rest(wal);
        wal->appended_lsn = wal->next_lsn;
    }
    pthread_mutex_unlock(&wal->mutex);
    return status;
}

enum status wal_reserve_more(struct wal *wal, uint64_t bytes, bool may_use_reserve)
{
    assert(bytes <= WAL_BATCH_BYTES_MAX);
    if (wal_is_poisoned(wal))
        return STATUS_READ_ONLY;
    uint64_t room = space_of(wal, bytes);
    if (is_ready(wal, room, wal->options.reserve_bytes))
        return STATUS_OK;
    pthread_mutex_lock(&wal->mutex);
    enum status status = ensure_memory(wal, room + WAL_FRAME_HEAD_BYTES);
    if (status == STATUS_OK)
        status = make_room(wal, room, may_use_reserve);
    pthread_mutex_unlock(&wal->mutex);
    return status;
}

void wal_leave_free(struct wal *wal, uint64_t bytes)
{
    pthread_mutex_lock(&wal->mutex);
    wal->left_free_bytes = bytes;
    pthread_mutex_unlock(&wal->mutex);
}

void wal_unreserve(struct wal *wal)
{
    pthread_mutex_lock(&wal->mutex);
    buffer_release(&wal->spare);
    pthread_mutex_unlock(&wal->mutex);
}

/* ---- Upkeep -------------------------------------------------------------------------------- */

void wal_request_rotate(struct wal *wal)
{
    atomic_store(&wal->rotate_requested, true);
}

/* Takes the oldest segment out of the list if it may go. The mutex is held. */
static struct wal_segment *pop_released(struct wal *wal, lsn_t lsn)
{
    struct wal_segment *oldest = wal->segments[0];
    if (wal->hold_count > 0 || wal->tail == 0 || wal_header_end(&oldest->header) > lsn)
        return NULL;
    wal->segment_count--;
    wal->tail--;
    memmove(wal->segments, wal->segments + 1, wal->segment_count * sizeof(*wal->segments));
    return oldest;
}

static bool may_recycle(const struct wal *wal, const struct wal_segment *segment)
{
    return !wal->preparing && !wal_is_poisoned(wal) &&
           wal->segment_count - 1 - wal->tail < READY_MAX &&
           segment->header.segment_bytes == wal->options.segment_bytes;
}

enum status wal_release_below(struct wal *wal, lsn_t lsn)
{
    enum status status = STATUS_OK;
    struct wal_segment *segment;
    pthread_mutex_lock(&wal->mutex);
    lsn_t durable = atomic_load(&wal->durable_lsn);
    if (lsn > durable)
        lsn = durable;
    while (status == STATUS_OK && (segment = pop_released(wal, lsn))) {
        lsn_t old_base = segment->header.base;
        lsn_t base = atomic_load(&wal->prepared_lsn);
        bool recycle = may_recycle(wal, segment);
        if (recycle)
            wal->preparing = true;
        pthread_mutex_unlock(&wal->mutex);
        if (recycle)
            status = wal_segment_recycle(wal->env, wal->directory, segment, base, wal->epoch);
        bool usable = recycle && status == STATUS_OK;
        if (!usable) {
            wal_segment_close(segment);
            enum status removed = wal_segment_remove(wal->env, wal->directory, old_base);
            if (status == STATUS_OK)
                status = removed;
        }
        pthread_mutex_lock(&wal->mutex);
        if (usable)
            push_segment(wal, segment);
        if (recycle) {
            wal->preparing = false;
            pthread_cond_broadcast(&wal->changed);
        }
    }
    pthread_mutex_unlock(&wal->mutex);
    return status;
}

void wal_hold(struct wal *wal)
{
    pthread_mutex_lock(&wal->mutex);
    wal->hold_count++;
    pthread_mutex_unlock(&wal->mutex);
}

void wal_unhold(struct wal *wal)
{
    pthread_mutex_lock(&wal->mutex);
    assert(wal->hold_count > 0);
    wal->hold_count--;
    pthread_mutex_unlock(&wal->mutex);
}

void wal_headers_between(struct wal *wal, lsn_t from, lsn_t to, struct wal_header **headers,
                         size_t *count)
{
    pthread_mutex_lock(&wal->mutex);
    struct wal_header *found = memory_allocate(wal->segment_count * sizeof(*found));
    size_t found_count = 0;
    for (size_t i = 0; i <= wal->tail; i++) {
        const struct wal_header *header = &wal->segments[i]->header;
        if (header->base < to && wal_header_end(header) > from)
            found[found_count++] = *header;
    }
    pthread_mutex_unlock(&wal->mutex);
    *headers = found;
    *count = found_count;
}

/* The mutex is held. */
static bool lacks_ready_segment(struct wal *wal)
{
    lsn_t ahead = atomic_load(&wal->prepared_lsn) - wal_header_end(&tail_segment(wal)->header);
    return !wal->preparing && !wal_is_poisoned(wal) &&
           (ahead == 0 || ahead < wal->options.reserve_bytes);
}

bool wal_wants_work(struct wal *wal)
{
    pthread_mutex_lock(&wal->mutex);
    bool wants = lacks_ready_segment(wal);
    pthread_mutex_unlock(&wal->mutex);
    return wants;
}

bool wal_work(struct wal *wal)
{
    pthread_mutex_lock(&wal->mutex);
    bool did = lacks_ready_segment(wal) && prepare_segment(wal) == STATUS_OK;
    pthread_mutex_unlock(&wal->mutex);
    return did;
}

void wal_get_stats(struct wal *wal, struct wal_stats *stats)
{
    pthread_mutex_lock(&wal->mutex);
    stats->segment_count = wal->segment_count;
    pthread_mutex_unlock(&wal->mutex);
    stats->bytes_logged = atomic_load(&wal->bytes_logged);
    stats->bytes_written = atomic_load(&wal->bytes_written);
    stats->sync_count = atomic_load(&wal->sync_count);
}
