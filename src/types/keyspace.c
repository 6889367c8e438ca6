/* SPDX-License-Identifier: MIT */
/* Headers by key; counts; deleting, renaming, flushing, scanning, a random key. Active expiry is in
 * expiry.c. */
#include "types/keyspace.h"

#include "base/hash.h"
#include "base/memory.h"
#include "types/encoding.h"
#include "types/expiry.h"
#include "types/header_check.h"
#include "types/store_state.h"

#include <assert.h>
#include <stdlib.h>

enum {
    KEY_BYTES_SURE = MEMORY_SURE_BYTES / 2,
    PREFETCH_KEY_BYTES_MAX = 64, /* longer ones are not worth a copy */
};

uint64_t store_key_position(const struct store *store, struct slice key)
{
    uint64_t hash = hash64(key, store->hash_seed) >> (64 - (POSITION_BITS - SLOT_BITS));
    uint64_t slot = slot_of_key(&store->slots, key);
    return slot << (POSITION_BITS - SLOT_BITS) | hash;
}

/* Makes access->tree_key. Commands ask for the same key several times in a row (find, then put), so
 * the last one is kept: comparing costs less than hashing. */
static void make_tree_key(struct access *access, struct slice key)
{
    struct buffer *made = &access->tree_key;
    const struct store *store = access->store;
    assert(key.size <= STORE_KEY_BYTES_MAX);
    if (made->size == TREE_KEY_PREFIX_BYTES + key.size &&
        be32_load(made->data) == access->generation &&
        (key.size == 0 || memcmp(made->data + TREE_KEY_PREFIX_BYTES, key.data, key.size) == 0))
        return;
    tree_key_encode(made, access->generation, store_key_position(store, key), key);
}

static void prefetch(const struct access *access, struct lsm_reader *reader, uint32_t generation,
                     const struct slice *keys, size_t count)
{
    const struct store *store = access->store;
    uint8_t bytes[KEYSPACE_PREFETCH_MAX][TREE_KEY_PREFIX_BYTES + PREFETCH_KEY_BYTES_MAX];
    struct slice tree_keys[KEYSPACE_PREFETCH_MAX];
    size_t taken = 0;
    assert(count <= KEYSPACE_PREFETCH_MAX);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].size == 0 || keys[i].size > PREFETCH_KEY_BYTES_MAX)
            continue;
        uint8_t *at = bytes[taken];
        be32_store(at, generation);
        position_store(at + 4, store_key_position(store, keys[i]));
        memcpy(at + TREE_KEY_PREFIX_BYTES, keys[i].data, keys[i].size);
        tree_keys[taken++] = slice_make(at, TREE_KEY_PREFIX_BYTES + keys[i].size);
    }
    lsm_prefetch(store->engine, reader, TREE_KEYS, tree_keys, taken);
}

void keyspace_prefetch(struct access *access, unsigned database, bool is_locked,
                       const struct slice *keys, size_t count)
{
    assert(is_locked || !access->open);
    prefetch(access, is_locked ? NULL : access->own_reader,
             atomic_load_explicit(&access->store->published[database], memory_order_relaxed), keys,
             count);
}

void keyspace_prefetch_own(struct access *access, const struct slice *keys, size_t count)
{
    assert(access->open);
    prefetch(access, access->reader, access->generation, keys, count);
}

/* Gives the space of everything stored under the object's id back. */
static void reclaim_parts(struct access *access, const struct object *object)
{
    uint8_t from[OBJECT_PREFIX_BYTES], to[OBJECT_PREFIX_BYTES];
    if (object->id == 0)
        return;
    object_prefix_store(from, access->generation, object->id);
    object_prefix_store(to, access->generation, object->id + 1);
    access_delete_range(access, TREE_PARTS, slice_make(from, sizeof from),
                        slice_make(to, sizeof to));
    if (object->type == OBJECT_STREAM)
        access_delete_range(access, TREE_ENTRIES, slice_make(from, sizeof from),
                            slice_make(to, sizeof to));
}

/* Removes the header and the expiry; the parts are somebody else's now, or are reclaimed. */
static void remove_header(struct access *access, struct slice key, const struct object *object)
{
    struct store_database *database = &access->store->databases[access->database];
    make_tree_key(access, key);
    access_delete(access, TREE_KEYS, buffer_slice(&access->tree_key));
    expiry_change(access, buffer_slice(&access->tree_key), object->expire_ms, 0);
    if (database->key_count > 0) /* it may be 0 after a repair */
        database->key_count--;
    store_counts_changed(access->store, access->database);
}

/* A long key is copied into the tree key and, with its time, into the expiry index's: memory for both. */
static enum status reserve_key(struct access *access, struct slice key)
{
    if (key.size > STORE_KEY_BYTES_MAX)
        return STATUS_TOO_LARGE;
    size_t bytes = EXPIRY_KEY_PREFIX_BYTES + TREE_KEY_PREFIX_BYTES + key.size;
    enum status status = buffer_try_reserve(&access->tree_key, bytes);
    return status ? status : buffer_try_reserve(&access->scratch_key, bytes);
}

/* Whether its time has come or not. */
static inline enum status find_header(struct access *access, struct slice key,
                                      struct object *object)
{
    struct slice record;
    assert(access->open && !access->is_holding);
    if (key.size > KEY_BYTES_SURE) {
        enum status status = reserve_key(access, key);
        if (status)
            return status;
    }
    if (access->map_status)
        return access->map_status;
    make_tree_key(access, key);
    enum status status = access_get(access, TREE_KEYS, buffer_slice(&access->tree_key), &record);
    return status ? status : header_decode(record, object);
}

enum status keyspace_find(struct access *access, struct slice key, struct object *object)
{
    struct object found;
    enum status status = find_header(access, key, &found);
    access->missed = key;
    if (status)
        return status;
    if (expiry_is_due(found.expire_ms, access->now_ms)) {
        if (access->writer) {
            keyspace_remove(access, key, &found);
            access_fact(access, 'x', "expired", key);
        }
        return STATUS_NOT_FOUND;
    }
    access->missed = slice_make(NULL, 0);
    *object = found;
    return STATUS_OK;
}

enum status keyspace_peek(struct access *access, struct slice key, struct object *object)
{
    enum status status = find_header(access, key, object);
    return !status && expiry_is_due(object->expire_ms, access->now_ms) ? STATUS_NOT_FOUND : status;
}

enum status keyspace_find_type(struct access *access, struct slice key, enum object_type type,
                               struct object *object)
{
    enum status status = keyspace_find(access, key, object);
    if (!status && object->type != type)
        return STATUS_WRONG_TYPE;
    return status;
}

void keyspace_put(struct access *access, struct slice key, const struct object *object,
                  const struct object *old)
{
    uint64_t old_expire_ms = old ? old->expire_ms : 0;
    header_debug_check(access, key, object);
    make_tree_key(access, key);
    header_encode(&access->scratch_value, object);
    access_put(access, TREE_KEYS, buffer_slice(&access->tree_key),
               buffer_slice(&access->scratch_value));
    if (!old) {
        access->store->databases[access->database].key_count++;
        store_counts_changed(access->store, access->database);
        access_fact_new(access, key);
    } else if (old->id != object->id) {
        reclaim_parts(access, old);
    }
    if (old_expire_ms != object->expire_ms)
        expiry_change(access, buffer_slice(&access->tree_key), old_expire_ms, object->expire_ms);
}

void keyspace_remove(struct access *access, struct slice key, const struct object *object)
{
    remove_header(access, key, object);
    reclaim_parts(access, object);
}

enum status keyspace_changed(struct access *access, struct slice key, lsn_t moment, bool *changed)
{
    struct slice record;
    lsn_t lsn;
    make_tree_key(access, key);
    enum status status =
        lsm_get_lsn(access->reader, TREE_KEYS, buffer_slice(&access->tree_key), &record, &lsn);
    if (!status)
        *changed = lsn > moment;
    return status;
}

static void delete_found(struct access *access, struct slice key, const struct object *object)
{
    keyspace_remove(access, key, object);
    access_fact(access, 'g', "del", key);
}

enum status keyspace_delete(struct access *access, struct slice key, bool *deleted)
{
    struct object object;
    enum status status = keyspace_find(access, key, &object);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (!status)
        delete_found(access, key, &object);
    *deleted = !status;
    return STATUS_OK;
}

/* One of many keys to delete. */
struct doomed {
    struct slice key;
    struct object object;
    bool is_named_before;
};

static int compare_doomed(const void *a, const void *b)
{
    const struct doomed *x = *(struct doomed *const *)a, *y = *(struct doomed *const *)b;
    int order = slice_compare(x->key, y->key);
    return order ? order : (x > y) - (x < y);
}

/* A key may be named twice: it is deleted, and counted, at the first. */
static enum status mark_named_before(struct doomed *doomed, size_t count)
{
    struct doomed **sorted = memory_try_allocate(count * sizeof *sorted);
    if (!sorted)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &doomed[i];
    qsort(sorted, count, sizeof *sorted, compare_doomed);
    for (size_t i = 1; i < count; i++)
        sorted[i]->is_named_before = slice_equal(sorted[i - 1]->key, sorted[i]->key);
    memory_free(sorted);
    return STATUS_OK;
}

enum status keyspace_delete_many(struct access *access, const struct slice *keys, size_t count,
                                 uint64_t *deleted)
{
    size_t found = 0;
    uint64_t removed = 0;
    struct doomed *doomed = memory_try_allocate(count * sizeof *doomed);
    enum status status = doomed ? STATUS_OK : STATUS_NO_MEMORY;
    for (size_t i = 0; i < count && !status; i++) {
        doomed[found] = (struct doomed){.key = keys[i]};
        status = keyspace_find(access, keys[i], &doomed[found].object);
        found += !status;
        if (status == STATUS_NOT_FOUND)
            status = STATUS_OK;
    }
    if (!status && found > 1)
        status = mark_named_before(doomed, found);
    for (size_t i = 0; i < found && !status; i++) {
        if (doomed[i].is_named_before)
            continue;
        delete_found(access, doomed[i].key, &doomed[i].object);
        removed++;
    }
    if (!status)
        *deleted = removed;
    memory_free(doomed);
    return status;
}

enum status keyspace_rename(struct access *access, struct slice from, struct slice to)
{
    struct object object, old;
    enum status status = keyspace_find(access, from, &object);
    if (status || slice_equal(from, to))
        return status;
    enum status target = keyspace_find(access, to, &old);
    if (target && target != STATUS_NOT_FOUND)
        return target;
    keyspace_put(access, to, &object, target ? NULL : &old);
    remove_header(access, from, &object);
    if (!target)
        access_fact_new(access, to);
    access_fact(access, 'g', "rename_from", from);
    access_fact(access, 'g', "rename_to", to);
    return STATUS_OK;
}

void keyspace_set_expire(struct access *access, struct slice key, const struct object *object,
                         uint64_t expire_ms)
{
    struct object changed = *object;
    if (object->expire_ms == expire_ms)
        return;
    changed.expire_ms = expire_ms;
    keyspace_put(access, key, &changed, object);
}

enum status keyspace_count(struct access *access, uint64_t *keys, uint64_t *expires)
{
    uint8_t key[META_KEY_BYTES_MAX];
    struct slice record;
    const struct store_database *database = &access->store->databases[access->database];
    if (access->map_status)
        return access->map_status;
    if (access->writer) { /* the record is written at the end of the batch */
        *keys = database->key_count;
        *expires = database->expires_count;
        return STATUS_OK;
    }
    enum status status =
        access_get(access, TREE_KEYS, meta_key(key, META_COUNTS, access->generation), &record);
    if (!status)
        return meta_counts_decode(record, keys, expires);
    if (status != STATUS_NOT_FOUND)
        return status;
    *keys = 0;
    *expires = 0;
    return STATUS_OK;
}

/* ---- Whole databases. ------------------------------------------------------------------------ */

void store_put_map(struct access *access)
{
    struct store *store = access->store;
    uint32_t generations[STORE_DATABASES_MAX];
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        generations[i] = store->databases[i].generation;
    meta_map_encode(&access->scratch_value, store->next_generation, generations);
    store_put_everywhere(access_writer(access), META_MAP, buffer_slice(&access->scratch_value));
    atomic_store(&store->map_pending_lsn, lsm_writer_lsn(access->writer));
    access->map_changed = true;
    access->generation = store->databases[access->database].generation;
}

/* Gives a database that is not empty a new generation; the old one's records go. */
static enum status new_generation(struct access *access, struct store_database *database)
{
    uint8_t from[4], to[4], key[META_KEY_BYTES_MAX];
    struct store *store = access->store;
    if (store->next_generation == UINT32_MAX)
        return STATUS_TOO_LARGE;
    be32_store(from, database->generation);
    be32_store(to, database->generation + 1);
    for (unsigned tree = 0; tree < TREE_COUNT; tree++)
        access_delete_range(access, tree, slice_make(from, sizeof from), slice_make(to, sizeof to));
    access_delete(access, TREE_KEYS, meta_key(key, META_COUNTS, database->generation));
    database->generation = store->next_generation++;
    database->key_count = 0;
    database->expires_count = 0;
    database->expire_hint_ms = STORE_EXPIRE_NEVER;
    return STATUS_OK;
}

/* Flushes the databases from `first` on, `count` of them, with one new map. */
static enum status flush_databases(struct access *access, unsigned first, unsigned count)
{
    struct store *store = access->store;
    enum status status = STATUS_OK;
    bool changed = false;
    assert(access->writer);
    assert(first + count <= store->database_count);
    for (unsigned i = first; i < first + count && !status; i++) {
        if (store->databases[i].key_count == 0)
            continue;
        status = new_generation(access, &store->databases[i]);
        changed |= !status;
    }
    if (changed)
        store_put_map(access);
    return status;
}

enum status keyspace_flush(struct access *access, unsigned database)
{
    return flush_databases(access, database, 1);
}

enum status keyspace_flush_all(struct access *access)
{
    return flush_databases(access, 0, access->store->database_count);
}

void keyspace_swap(struct access *access, unsigned a, unsigned b)
{
    struct store *store = access->store;
    assert(access->writer);
    assert(a < store->database_count);
    assert(b < store->database_count);
    if (a == b)
        return;
    /* A count that changed before in this batch is listed by its database: list both. */
    bool counts_changed = store->databases[a].counts_changed || store->databases[b].counts_changed;
    if (counts_changed) {
        store_counts_changed(store, a);
        store_counts_changed(store, b);
    }
    struct store_database swapped = store->databases[a];
    store->databases[a] = store->databases[b];
    store->databases[b] = swapped;
    store_put_map(access);
}

/* ---- SCAN. ----------------------------------------------------------------------------------- */

struct scan {
    uint64_t cursor;
    size_t count;
    void (*each)(void *context, struct slice key, const struct object *object);
    void *context;
};

static enum status scan_from(struct access *access, struct lsm_iter *iter, const struct scan *scan,
                             uint64_t *next)
{
    size_t seen = 0;
    uint64_t position, last = 0;
    uint32_t generation;
    struct slice key;
    struct object object;
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter)) {
        if (tree_key_decode(lsm_iter_key(iter), &generation, &position, &key))
            return STATUS_CORRUPT;
        if (seen >= scan->count && position != last) {
            *next = position;
            return STATUS_OK;
        }
        enum status status = header_decode(lsm_iter_value(iter), &object);
        if (status)
            return status;
        if (!expiry_is_due(object.expire_ms, access->now_ms))
            scan->each(scan->context, key, &object);
        seen++;
        last = position;
    }
    enum status status = lsm_iter_status(iter);
    if (!status)
        *next = 0;
    return status;
}

/* Over the headers of the database from a position on. */
static struct lsm_iter *headers_open(struct access *access, uint64_t position)
{
    uint8_t lower[TREE_KEY_PREFIX_BYTES], upper[4];
    be32_store(lower, access->generation);
    position_store(lower + 4, position);
    be32_store(upper, access->generation + 1);
    assert(!access->is_holding);
    return lsm_iter_open(access->reader, TREE_KEYS,
                         &(struct lsm_iter_options){
                             .lower = slice_make(lower, sizeof lower),
                             .upper = slice_make(upper, sizeof upper),
                             .ignore_range_deletes = true,
                             .keep_cache = true,
                         });
}

enum status keyspace_scan(struct access *access, uint64_t cursor, size_t count, uint64_t *next,
                          void (*each)(void *context, struct slice key,
                                       const struct object *object),
                          void *context)
{
    struct scan scan = {cursor, count, each, context};
    assert(count > 0);
    if (access->map_status)
        return access->map_status;
    if (cursor >> POSITION_BITS) {
        *next = 0;
        return STATUS_OK;
    }
    struct lsm_iter *iter = headers_open(access, cursor);
    enum status status = scan_from(access, iter, &scan, next);
    lsm_iter_close(iter);
    return status;
}

/* ---- RANDOMKEY. ------------------------------------------------------------------------------ */

enum {
    RANDOM_STEPS = 16,
    EXPIRED_ON_A_LOOP_MAX = 1000, /* of them in a row; more are passed by where one may wait */
};

static void seek_position(struct access *access, struct lsm_iter *iter, uint64_t position)
{
    uint8_t key[TREE_KEY_PREFIX_BYTES];
    be32_store(key, access->generation);
    position_store(key + 4, position);
    lsm_iter_seek(iter, slice_make(key, sizeof key));
}

/* Behind the last key comes the first. */
static void wrap_around(struct lsm_iter *iter)
{
    if (!lsm_iter_valid(iter) && !lsm_iter_status(iter))
        lsm_iter_seek_first(iter);
}

/* The header under the iterator; STATUS_NOT_FOUND: there is none. */
static enum status header_under(const struct lsm_iter *iter, uint64_t *position, struct slice *key,
                                struct object *object)
{
    uint32_t generation;
    if (!lsm_iter_valid(iter)) {
        enum status status = lsm_iter_status(iter);
        return status ? status : STATUS_NOT_FOUND;
    }
    if (tree_key_decode(lsm_iter_key(iter), &generation, position, key))
        return STATUS_CORRUPT;
    return header_decode(lsm_iter_value(iter), object);
}

/* To a random key that is there, be it expired. */
static enum status seek_random(struct access *access, struct lsm_iter *iter,
                               const uint64_t random[2])
{
    const unsigned hash_bits = POSITION_BITS - SLOT_BITS;
    uint64_t position, slot, hash = random[1] & (((uint64_t)1 << hash_bits) - 1);
    struct slice key;
    struct object object;
    seek_position(access, iter, random[0] >> (64 - POSITION_BITS));
    wrap_around(iter);
    enum status status = header_under(iter, &position, &key, &object);
    if (status)
        return status;
    slot = position >> hash_bits;
    seek_position(access, iter, slot << hash_bits | hash);
    status = header_under(iter, &position, &key, &object);
    if (status == STATUS_NOT_FOUND || (!status && position >> hash_bits != slot)) {
        seek_position(access, iter, slot << hash_bits);
        status = lsm_iter_status(iter);
    }
    for (unsigned step = random[1] >> 60; step > 0 && !status; step--) {
        lsm_iter_next(iter);
        wrap_around(iter);
        status = lsm_iter_status(iter);
    }
    return status;
}

enum status keyspace_random(struct access *access, const uint64_t random[2],
                            void (*each)(void *context, struct slice key,
                                         const struct object *object),
                            void *context)
{
    uint64_t position, passed = 0;
    unsigned rounds = 0;
    struct slice key;
    struct object object;
    _Static_assert(RANDOM_STEPS == 1 << 4, "the upper four bits");
    if (access->map_status)
        return access->map_status;
    struct lsm_iter *iter = headers_open(access, 0);
    enum status status = seek_random(access, iter, random);
    while (!status) {
        status = header_under(iter, &position, &key, &object);
        if (status == STATUS_NOT_FOUND && rounds++ == 0) { /* once around, from here to the first */
            lsm_iter_seek_first(iter);
            status = STATUS_OK;
            continue;
        }
        if (status || !expiry_is_due(object.expire_ms, access->now_ms))
            break;
        if (access->nowait && ++passed > EXPIRED_ON_A_LOOP_MAX)
            status = STATUS_WOULD_BLOCK;
        lsm_iter_next(iter);
    }
    if (!status)
        each(context, key, &object);
    lsm_iter_close(iter);
    return status;
}
