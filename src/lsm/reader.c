/* SPDX-License-Identifier: MIT */
/* Readers: how a moment is pinned without a lock, point reads.
 *
 * lsm_read_begin and whoever drops old versions (a writer that recycles, a flush, a compaction) meet
 * like this, all sequentially consistent:
 *
 *     reader                                   dropper
 *     1. s = visible                           1. batches below b are visible
 *     2. slot = s      (announce)              2. looks at all slots
 *     3. visible still s? else again           3. drops versions that neither the slots' LSNs nor
 *                                                 readers at b or later need
 *
 * If the dropper's 2 misses the announcement, it came before the reader's last 3, so s >= b. */
#include "lsm/db.h"

#include "base/memory.h"

#include <assert.h>

/* ---- Readers ------------------------------------------------------------------------------- */

struct lsm_reader *lsm_reader_create(struct lsm *db)
{
    struct lsm_reader *reader = memory_zeroed(1, sizeof(struct lsm_reader));
    reader->db = db;
    pthread_mutex_lock(&db->view_lock);
    unsigned index = 0;
    while (index < LSM_READERS_MAX && db->slots[index].in_use)
        index++;
    assert(index < LSM_READERS_MAX);
    db->slots[index].in_use = true;
    reader->slot = &db->slots[index];
    if (index >= atomic_load(&db->slot_count))
        atomic_store(&db->slot_count, index + 1);
    db->reader_count++;
    pthread_mutex_unlock(&db->view_lock);
    return reader;
}

void reader_bind_writer(struct lsm_reader *reader, struct lsm *db)
{
    reader->db = db;
}

static void drop_miss(struct lsm_reader *reader)
{
    view_unref(reader->miss_view);
    reader->miss_view = NULL;
}

static void unpin_all(struct block_pin *pins, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        block_unpin(&pins[i]);
    *count = 0;
}

void reader_unpin(struct lsm_reader *reader)
{
    unpin_all(reader->pins, &reader->pin_count);
}

void lsm_reader_forget(struct lsm_reader *reader)
{
    assert(reader->active);
    reader_unpin(reader);
}

void reader_release(struct lsm_reader *reader)
{
    assert(!reader->active);
    lsm_reader_idle(reader);
    memory_free(reader->pins);
    memory_free(reader->fetched);
    reader->pins = reader->fetched = NULL;
}

void lsm_reader_destroy(struct lsm_reader *reader)
{
    if (!reader)
        return;
    reader_release(reader);
    pthread_mutex_lock(&reader->db->view_lock);
    reader->slot->in_use = false;
    reader->db->reader_count--;
    pthread_mutex_unlock(&reader->db->view_lock);
    memory_free(reader);
}

void reader_refresh_view(struct lsm_reader *reader)
{
    if (reader->view && reader->view->number == atomic_load(&reader->db->view_number))
        return;
    view_unref(reader->view);
    reader->view = db_view(reader->db);
}

lsn_t reader_announce(struct lsm *db, _Atomic lsn_t *slot)
{
    for (;;) {
        lsn_t visible = atomic_load(&db->visible_bound);
        lsn_t cap = atomic_load(&db->read_cap);
        lsn_t bound = visible < cap ? visible : cap;
        lsn_t lsn = bound ? bound - 1 : 0; /* 0: a new database's first sync has failed */
        atomic_store(slot, lsn);
        if (atomic_load(&db->visible_bound) == visible && atomic_load(&db->read_cap) == cap)
            return lsn;
    }
}

static void begin_at(struct lsm_reader *reader, lsn_t lsn)
{
    reader->lsn = lsn;
    reader->active = true;
    reader_refresh_view(reader);
}

void lsm_read_begin(struct lsm_reader *reader)
{
    assert(!reader->active);
    begin_at(reader, reader_announce(reader->db, &reader->slot->lsn));
}

void lsm_read_begin_at(struct lsm_reader *reader, struct lsm_snapshot *snapshot)
{
    assert(!reader->active);
    atomic_store(&reader->slot->lsn, snapshot->lsn);
    /* Looked at behind the announcement: whoever has it expire looks at the slots afterwards. */
    reader->is_expired = snapshot_is_expired(snapshot);
    begin_at(reader, snapshot->lsn);
}

void lsm_read_end(struct lsm_reader *reader)
{
    assert(reader->active);
    reader->active = false;
    reader->overlay = NULL;
    reader->is_expired = false;
    reader_unpin(reader);
    if (!reader->miss_view)
        unpin_all(reader->fetched, &reader->fetched_count);
    if (reader->slot)
        atomic_store_explicit(&reader->slot->lsn, IDLE_LSN, memory_order_release);
}

void lsm_reader_idle(struct lsm_reader *reader)
{
    assert(!reader->active);
    drop_miss(reader);
    unpin_all(reader->fetched, &reader->fetched_count);
    view_unref(reader->view);
    reader->view = NULL;
}

void lsm_reader_set_nowait(struct lsm_reader *reader, bool nowait)
{
    reader->nowait = nowait;
}

void lsm_reader_ignore_range_deletes(struct lsm_reader *reader, bool ignore)
{
    reader->ignore_range_deletes = ignore;
}

lsn_t lsm_reader_lsn(const struct lsm_reader *reader)
{
    return reader->lsn;
}

lsn_t lsm_reader_revealed(const struct lsm_reader *reader)
{
    return reader->revealed;
}

void lsm_reader_reset_revealed(struct lsm_reader *reader)
{
    reader->revealed = 0;
}

/* Takes the pin over, also when there is no memory. */
static enum status pin_add(struct block_pin **pins, size_t *count, size_t *capacity,
                           struct block_pin pin)
{
    if (*count == *capacity) {
        size_t grown = *capacity ? 2 * *capacity : 8;
        struct block_pin *more = memory_ask_resize(*pins, grown * sizeof(struct block_pin));
        if (!more) {
            block_unpin(&pin);
            return STATUS_NO_MEMORY;
        }
        *pins = more;
        *capacity = grown;
    }
    (*pins)[(*count)++] = pin;
    return STATUS_OK;
}

void reader_note_miss(struct lsm_reader *reader)
{
    drop_miss(reader);
    reader->noted_miss = reader->miss;
    reader->miss_view = reader->view;
    atomic_fetch_add(&reader->view->references, 1);
}

enum status reader_open_table(struct lsm_reader *reader, struct table_ref *ref,
                              struct table **table)
{
    enum status status = table_ref_open(reader->db->versions, ref, reader->nowait, table);
    if (status == STATUS_WOULD_BLOCK) {
        reader->miss = (struct table_miss){.ref = ref};
        reader_note_miss(reader);
    }
    return status;
}

enum status lsm_reader_fetch_missing(struct lsm_reader *reader)
{
    assert(!reader->active);
    if (!reader->miss_view)
        return STATUS_OK;
    enum status status;
    if (reader->noted_miss.ref) {
        struct table *table;
        status = table_ref_open(reader->db->versions, reader->noted_miss.ref, false, &table);
    } else {
        struct block_pin pin = {NULL};
        status = table_fetch(&reader->noted_miss, &pin);
        if (status == STATUS_OK)
            status =
                pin_add(&reader->fetched, &reader->fetched_count, &reader->fetched_capacity, pin);
        atomic_fetch_add_explicit(&reader->db->block_reads, 1, memory_order_relaxed);
    }
    drop_miss(reader);
    return status;
}

void lsm_reader_adopt_missing(struct lsm_reader *reader, struct lsm_reader *from)
{
    if (reader == from || !from->miss_view)
        return;
    drop_miss(reader);
    reader->noted_miss = from->noted_miss;
    reader->miss_view = from->miss_view;
    from->miss_view = NULL;
}

/* The view of the last read or batch: its memtables stay as long as it is kept. */
void lsm_prefetch(struct lsm *db, struct lsm_reader *reader, unsigned tree, const struct slice *keys,
                  size_t count)
{
    const struct view *view = reader ? reader->view : db->writer.reader.view;
    _Static_assert((int)LSM_PREFETCH_MAX <= (int)MEMTABLE_PREFETCH_MAX, "a memtable takes them all");
    if (!view)
        return;
    memtable_prefetch(view->active->trees[tree], keys, count);
    for (unsigned i = 0; i < view->flushing_count; i++)
        memtable_prefetch(view->flushing[i]->trees[tree], keys, count);
}

/* ---- Point reads --------------------------------------------------------------------------- */

struct found {
    enum entry_kind kind;
    lsn_t lsn; /* 0: nothing yet */
    struct slice value;
};

/* Threads that read at the same time would wait for each other's turn at one counter. */
static void count_filter(struct lsm_reader *reader, bool is_negative)
{
    struct lsm *db = reader->db;
    struct reader_slot *slot = reader->slot;
    atomic_ullong *checks = slot ? &slot->filter_checks : &db->filter_checks;
    atomic_ullong *negatives = slot ? &slot->filter_negatives : &db->filter_negatives;
    atomic_store_explicit(checks, atomic_load_explicit(checks, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (is_negative)
        atomic_store_explicit(negatives, atomic_load_explicit(negatives, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

static enum status get_from_table(struct lsm_reader *reader, struct table_ref *ref, struct slice key,
                                  struct found *found)
{
    struct table_read read = {.nowait = reader->nowait, .miss = &reader->miss};
    struct table *table;
    reader->miss = (struct table_miss){0};
    enum status status = reader_open_table(reader, ref, &table);
    if (status != STATUS_OK)
        return status;
    bool may_contain = table_may_contain(table, key);
    count_filter(reader, !may_contain);
    if (!may_contain)
        return STATUS_OK;
    struct found candidate = {0};
    struct block_pin pin = {NULL};
    status = table_get(table, key, reader->lsn, &read, &candidate.kind, &candidate.lsn,
                       &candidate.value, &pin);
    if (status == STATUS_WOULD_BLOCK)
        reader_note_miss(reader);
    if (status == STATUS_OK && candidate.lsn > found->lsn) {
        *found = candidate;
        status = pin_add(&reader->pins, &reader->pin_count, &reader->pin_capacity, pin);
    } else {
        block_unpin(&pin);
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static bool table_covers(const struct table_ref *ref, struct slice key)
{
    return slice_compare(buffer_slice(&ref->properties.smallest), key) <= 0 &&
           slice_compare(key, buffer_slice(&ref->properties.largest)) <= 0;
}

/* The only table of a disjoint level that may hold the key, or NULL. An exclusive end, of a range
 * deletion, may be the first key of the next table. */
static struct table_ref *find_in_level(const struct version_level *level, struct slice key)
{
    size_t low = 0, high = level->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct table_properties *properties = &level->tables[middle]->properties;
        int order = slice_compare(buffer_slice(&properties->largest), key);
        if (order < 0 || (order == 0 && properties->largest_is_exclusive))
            low = middle + 1;
        else
            high = middle;
    }
    return low < level->count && table_covers(level->tables[low], key) ? level->tables[low] : NULL;
}

static enum status get_from_tables(struct lsm_reader *reader, unsigned tree, struct slice key,
                                   struct found *found)
{
    const struct version_tree *tables = &reader->view->version->trees[tree];
    bool overlaps_everywhere = reader->db->options.trees[tree].compaction == LSM_TIME_RUNS;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        const struct version_level *level = &tables->levels[depth];
        enum status status = STATUS_OK;
        if (depth > 0 && !overlaps_everywhere) {
            struct table_ref *ref = find_in_level(level, key);
            if (ref && !reader_skips(reader, ref->properties.lsn_max))
                status = get_from_table(reader, ref, key, found);
            if (status != STATUS_OK)
                return status;
        } else {
            for (size_t i = 0; i < level->count; i++) {
                if (!table_covers(level->tables[i], key) ||
                    level->tables[i]->properties.lsn_max <= found->lsn ||
                    reader_skips(reader, level->tables[i]->properties.lsn_max))
                    continue;
                status = get_from_table(reader, level->tables[i], key, found);
                if (status != STATUS_OK)
                    return status;
            }
        }
        if (found->lsn && !overlaps_everywhere)
            return STATUS_OK;
    }
    return STATUS_OK;
}

static lsn_t newest_cover(lsn_t newest, const struct range_delete *range, struct slice key, lsn_t lsn)
{
    if (range->lsn <= newest || range->lsn > lsn || slice_compare(key, range->from) < 0 ||
        slice_compare(key, range->to) >= 0)
        return newest;
    return range->lsn;
}

static lsn_t newest_in_memtable(lsn_t newest, const struct memtable *table, struct slice key,
                                lsn_t lsn)
{
    for (const struct memtable_range *range = memtable_ranges(table); range; range = range->next)
        newest = newest_cover(newest, &range->range, key, lsn);
    return newest;
}

/* The newest range deletion over the key that this reader sees; 0: none. */
static enum status find_range_delete(struct lsm_reader *reader, unsigned tree, struct slice key,
                                     lsn_t *newest)
{
    const struct view *view = reader->view;
    if (reader->overlay)
        *newest = newest_in_memtable(*newest, reader->overlay->trees[tree], key, reader->lsn);
    for (unsigned i = 0; i <= view->flushing_count; i++) {
        const struct memtable_set *set = i ? view->flushing[i - 1] : view->active;
        *newest = newest_in_memtable(*newest, set->trees[tree], key, reader->lsn);
    }
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        const struct version_level *level = &view->version->trees[tree].levels[depth];
        for (size_t i = 0; i < level->count && level->range_delete_count; i++) {
            struct table_ref *ref = level->tables[i];
            if (!ref->properties.range_delete_count || !table_covers(ref, key) ||
                reader_skips(reader, ref->properties.lsn_max))
                continue;
            struct table *table;
            enum status status = reader_open_table(reader, ref, &table);
            if (status != STATUS_OK)
                return status;
            const struct range_delete *ranges;
            size_t count;
            table_range_deletes(table, &ranges, &count);
            for (size_t n = 0; n < count; n++)
                *newest = newest_cover(*newest, &ranges[n], key, reader->lsn);
        }
    }
    return STATUS_OK;
}

enum status lsm_get_lsn(struct lsm_reader *reader, unsigned tree, struct slice key,
                        struct slice *value, lsn_t *lsn)
{
    assert(reader->active);
    assert(tree < reader->db->options.tree_count);
    if (reader->is_expired)
        return STATUS_SNAPSHOT_EXPIRED;
    const struct view *view = reader->view;
    struct found found = {0};
    bool in_memory = reader->overlay && memtable_get(reader->overlay->trees[tree], key, reader->lsn,
                                                     &found.kind, &found.lsn, &found.value);
    if (!in_memory)
        in_memory = memtable_get(view->active->trees[tree], key, reader->lsn, &found.kind,
                                 &found.lsn, &found.value);
    for (unsigned i = 0; i < view->flushing_count && !in_memory; i++)
        in_memory = memtable_get(view->flushing[i]->trees[tree], key, reader->lsn, &found.kind,
                                 &found.lsn, &found.value);
    if (!in_memory) {
        enum status status = get_from_tables(reader, tree, key, &found);
        if (status != STATUS_OK)
            return status;
    }
    lsn_t hidden = 0;
    if (!reader->ignore_range_deletes) {
        enum status status = find_range_delete(reader, tree, key, &hidden);
        if (status != STATUS_OK)
            return status;
    }
    reader_reveal(reader, found.lsn > hidden ? found.lsn : hidden);
    if (found.lsn < hidden || found.lsn == 0 || found.kind == ENTRY_DELETE)
        return STATUS_NOT_FOUND;
    *value = found.value;
    *lsn = found.lsn;
    return STATUS_OK;
}

enum status lsm_get(struct lsm_reader *reader, unsigned tree, struct slice key, struct slice *value)
{
    lsn_t lsn;
    return lsm_get_lsn(reader, tree, key, value, &lsn);
}
