/* SPDX-License-Identifier: MIT */
/* What a command reads and writes through: a pinned moment, or a batch with its own reader. */
#include "base/memory.h"
#include "types/encoding.h"
#include "types/header_hold.h"
#include "types/store_state.h"

#include <assert.h>
#include <sched.h>

enum {
    /* Counts, ids, the map, range deletions. A small string whose time or name changes is written
     * again: it has room in the 64 KiB that the engine adds. */
    ACCESS_OVERHEAD_BYTES = 8 * 1024,
    DATABASE_RECORD_BYTES = 96,   /* what FLUSHALL writes for each */
    SCRATCH_BYTES_KEPT = 1 << 20, /* larger scratch buffers are freed at the end */
};

/* The published map is not the one of this access's moment. */
#define MAP_VERSION_NONE UINT64_MAX

void access_init(struct access *access, struct store *store, struct lsm_reader *reader)
{
    *access = (struct access){.store = store, .own_reader = reader, .fact_bytes.may_fail = true};
    lsm_reader_ignore_range_deletes(reader, true);
}

void access_release(struct access *access)
{
    assert(!access->open);
    header_hold_release(access);
    memory_free(access->facts);
    buffer_release(&access->fact_bytes);
    buffer_release(&access->scratch_key);
    buffer_release(&access->scratch_value);
    buffer_release(&access->scratch_large);
    buffer_release(&access->tree_key);
    *access = (struct access){0};
}

static void begin_operation(struct access *access, unsigned database, bool nowait)
{
    assert(database < access->store->database_count);
    access->database = database;
    access->nowait = nowait;
    access->now_ms = access->told_ms ? access->told_ms : env_wall_ms(&access->store->env);
}

static void begin(struct access *access, unsigned database, bool nowait)
{
    assert(!access->open);
    access->open = true;
    begin_operation(access, database, nowait);
    access->map_changed = access->may_hold = false;
    access->map_status = STATUS_OK;
    access->fact_count = 0;
    access->facts_are_lost = access->tells_new = false;
    buffer_clear(&access->fact_bytes);
}

/* The generation that the pinned reader must use. A published map newer than the reader's moment
 * happens only after a failed sync, when readers went back to what is acknowledged. */
static enum status generation_at_moment(struct access *access, unsigned database)
{
    lsm_reader_set_nowait(access->reader, false);
    enum status status =
        store_read_generation(access->store, access->reader, database, &access->generation);
    lsm_reader_set_nowait(access->reader, access->nowait);
    return status;
}

void access_begin_read(struct access *access, unsigned database, bool nowait)
{
    struct store *store = access->store;
    begin(access, database, nowait);
    access->reader = access->own_reader;
    access->writer = NULL;
    lsm_reader_set_nowait(access->reader, nowait);
    lsm_reader_reset_revealed(access->reader);
    for (;;) {
        access->map_version = atomic_load(&store->map_version);
        lsm_read_begin(access->reader);
        access->generation = atomic_load(&store->published[database]);
        access->map_lsn = atomic_load(&store->map_lsn);
        lsn_t pending = atomic_load(&store->map_pending_lsn);
        lsn_t moment = lsm_reader_lsn(access->reader);
        bool stable =
            access->map_version % 2 == 0 && access->map_version == atomic_load(&store->map_version);
        /* Not yet published although the reader sees the batch: only for an instant. */
        bool behind = pending > access->map_lsn && pending <= moment;
        if (stable && !behind)
            break;
        lsm_read_end(access->reader);
        sched_yield();
    }
    if (access->map_lsn > lsm_reader_lsn(access->reader)) {
        access->map_status = generation_at_moment(access, database);
        access->map_version = MAP_VERSION_NONE;
        access->map_lsn = 0;
    }
}

void access_begin_read_at(struct access *access, unsigned database, struct lsm_snapshot *snapshot)
{
    begin(access, database, false);
    access->reader = access->own_reader;
    access->writer = NULL;
    lsm_reader_set_nowait(access->reader, false);
    lsm_reader_reset_revealed(access->reader);
    lsm_read_begin_at(access->reader, snapshot);
    access->map_status =
        store_read_generation(access->store, access->reader, database, &access->generation);
    access->map_version = MAP_VERSION_NONE;
    access->map_lsn = 0;
}

/* `bytes_max` of a caller, and what is written beside it. */
static size_t batch_bytes_max(const struct store *store, size_t bytes_max)
{
    return bytes_max + ACCESS_OVERHEAD_BYTES + store->database_count * DATABASE_RECORD_BYTES;
}

static void begin_writing(struct access *access)
{
    lsm_reader_set_nowait(access->reader, access->nowait);
    lsm_reader_reset_revealed(access->reader);
    access->generation = access->store->databases[access->database].generation;
}

enum status access_begin_write(struct access *access, unsigned database, bool nowait,
                               size_t bytes_max, bool may_use_reserve)
{
    struct store *store = access->store;
    enum status status = lsm_write_begin(store->engine, batch_bytes_max(store, bytes_max),
                                         may_use_reserve, &access->writer);
    if (status)
        return status;
    begin(access, database, nowait);
    access->reader = lsm_writer_reader(access->writer);
    lsm_reader_ignore_range_deletes(access->reader, true);
    access->map_lsn = atomic_load(&store->map_lsn);
    begin_writing(access);
    return STATUS_OK;
}

bool access_continue_write(struct access *access, unsigned database, bool nowait, size_t bytes_max,
                           bool may_use_reserve, bool may_hold)
{
    assert(access->open && access->writer);
    if (access->map_changed ||
        !lsm_write_continue(access->writer, batch_bytes_max(access->store, bytes_max),
                            may_use_reserve))
        return false;
    if (!may_hold)
        header_hold_write(access);
    begin_operation(access, database, nowait);
    begin_writing(access);
    access->may_hold = may_hold;
    return true;
}

lsn_t access_lsn(const struct access *access)
{
    assert(access->open && access->writer);
    bool is_empty = lsm_writer_is_empty(access->writer) && !access->is_holding;
    lsn_t lsn = is_empty ? lsm_reader_revealed(access->reader) : lsm_writer_lsn(access->writer);
    return lsn > access->map_lsn ? lsn : access->map_lsn;
}

enum status access_reserve(struct access *access, size_t bytes)
{
    assert(access->writer);
    enum status status = lsm_write_reserve(access->writer, bytes);
    return status == STATUS_IO ? STATUS_READ_ONLY : status;
}

static void write_counts(struct access *access)
{
    struct store *store = access->store;
    uint8_t key[META_KEY_BYTES_MAX];
    for (unsigned i = 0; i < store->changed_count; i++) {
        struct store_database *database = &store->databases[store->changed[i]];
        meta_counts_encode(&access->scratch_value, database->key_count, database->expires_count);
        lsm_put(access->writer, TREE_KEYS, meta_key(key, META_COUNTS, database->generation),
                buffer_slice(&access->scratch_value));
        database->counts_changed = false;
    }
    store->changed_count = 0;
}

static lsn_t end_write(struct access *access)
{
    lsn_t revealed = lsm_reader_revealed(access->reader);
    header_hold_write(access);
    if (access->store->changed_count)
        write_counts(access);
    if (access->nowait) /* the last operation has written nothing, and may lack something */
        lsm_reader_adopt_missing(access->own_reader, access->reader);
    if (lsm_writer_is_empty(access->writer)) {
        (void)lsm_write_end(access->writer); /* empty: 0 */
        return revealed;
    }
    lsn_t lsn = lsm_write_end(access->writer);
    if (access->map_changed)
        store_publish_map(access->store, lsn);
    return lsn;
}

static void trim_scratch(struct buffer *buffer)
{
    if (buffer->capacity > SCRATCH_BYTES_KEPT)
        buffer_release(buffer);
}

lsn_t access_end(struct access *access)
{
    lsn_t lsn;
    assert(access->open);
    if (access->writer) {
        lsn = end_write(access);
    } else {
        lsn = lsm_reader_revealed(access->reader);
        lsm_read_end(access->reader);
    }
    trim_scratch(&access->scratch_key);
    trim_scratch(&access->scratch_value);
    trim_scratch(&access->scratch_large);
    access->open = false;
    access->writer = NULL;
    access->reader = NULL;
    return lsn > access->map_lsn ? lsn : access->map_lsn;
}

enum status access_select(struct access *access, unsigned database)
{
    struct store *store = access->store;
    enum status status = STATUS_OK;
    assert(access->open);
    assert(database < store->database_count);
    uint32_t generation = atomic_load(&store->published[database]);
    if (access->writer)
        generation = store->databases[database].generation;
    else if (access->map_version != atomic_load(&store->map_version))
        status = store_read_generation(store, access->reader, database, &generation);
    if (status)
        return status;
    access->database = database;
    access->generation = generation;
    return STATUS_OK;
}

enum status access_fetch_missing(struct access *access)
{
    assert(!access->open);
    return lsm_reader_fetch_missing(access->own_reader);
}

struct lsm_writer *access_writer(struct access *access)
{
    assert(access->writer);
    if (access->nowait) {
        access->nowait = false;
        lsm_reader_set_nowait(access->reader, false);
    }
    return access->writer;
}

void access_put(struct access *access, enum store_tree tree, struct slice key, struct slice value)
{
    lsm_put(access_writer(access), tree, key, value);
}

void access_delete(struct access *access, enum store_tree tree, struct slice key)
{
    lsm_delete(access_writer(access), tree, key);
}

void access_delete_range(struct access *access, enum store_tree tree, struct slice from,
                         struct slice to)
{
    assert(slice_compare(from, to) < 0);
    lsm_delete_range(access_writer(access), tree, from, to);
}

enum status access_get(struct access *access, enum store_tree tree, struct slice key,
                       struct slice *value)
{
    return lsm_get(access->reader, tree, key, value);
}

void access_forget(struct access *access)
{
    lsm_reader_forget(access->reader);
}

static bool grow_facts(struct access *access)
{
    size_t capacity = access->fact_capacity ? 2 * access->fact_capacity : 8;
    struct fact *facts = memory_ask_resize(access->facts, capacity * sizeof *facts);
    if (!facts)
        return false;
    access->facts = facts;
    access->fact_capacity = capacity;
    return true;
}

void access_fact(struct access *access, char class_letter, const char *event, struct slice key)
{
    assert(access->open);
    assert(access->writer || class_letter == 'm');
    size_t key_offset = access->fact_bytes.size;
    buffer_append_slice(&access->fact_bytes, key);
    bool has_room = access->fact_count < access->fact_capacity || grow_facts(access);
    if (!has_room || access->fact_bytes.failed) {
        access->fact_bytes.failed = false;
        access->facts_are_lost = true;
        return;
    }
    access->facts[access->fact_count++] = (struct fact){
        .database = access->database,
        .class_letter = class_letter,
        .event = event,
        .key_offset = key_offset,
        .key_size = key.size,
    };
}

void access_fact_new(struct access *access, struct slice key)
{
    if (access->tells_new)
        access_fact(access, 'n', "new", key);
}

uint64_t access_new_id(struct access *access)
{
    struct store *store = access->store;
    assert(access->writer);
    if (store->next_id == store->reserved_id) {
        store->reserved_id += STORE_IDS_RESERVED;
        meta_ids_encode(&access->scratch_value, store->reserved_id);
        store_put_everywhere(access_writer(access), META_IDS, buffer_slice(&access->scratch_value));
    }
    return store->next_id++;
}
