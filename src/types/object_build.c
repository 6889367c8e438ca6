/* SPDX-License-Identifier: MIT */
/* Builds in the store and their list. The list is a record, written with every batch that changes it; an
 * entry whose build has ended without being linked is *abandoned*, and goes with the next batch that
 * may give its parts back. */
#include "types/object_build.h"

#include "types/store_state.h"

#include <assert.h>

enum { LIST_BYTES_MAX = 64 * 1024 }; /* the record and the range deletions of all of it */

/* ---- The list. The lock is held, `access` is open for writing. --------------------------------- */

static void put_list(struct access *access)
{
    const struct store *store = access->store;
    uint8_t at[META_KEY_BYTES_MAX];
    struct slice key = meta_key(at, META_BUILDS, 0);
    if (store->build_count == 0) {
        access_delete(access, TREE_KEYS, key);
        return;
    }
    struct store_build_id ids[STORE_BUILDS_MAX];
    for (size_t i = 0; i < store->build_count; i++)
        ids[i] = store->builds[i].id;
    meta_builds_encode(&access->scratch_value, ids, store->build_count);
    access_put(access, TREE_KEYS, key, buffer_slice(&access->scratch_value));
}

static void delete_parts(struct access *access, struct store_build_id id)
{
    uint8_t from[OBJECT_PREFIX_BYTES], to[OBJECT_PREFIX_BYTES];
    object_prefix_store(from, id.generation, id.id);
    object_prefix_store(to, id.generation, id.id + 1);
    for (unsigned tree = TREE_PARTS; tree <= TREE_ENTRIES; tree++)
        access_delete_range(access, tree, slice_make(from, sizeof from), slice_make(to, sizeof to));
}

/* Gives back what is abandoned; the list is written by the caller. */
static void drop_abandoned(struct access *access)
{
    struct store *store = access->store;
    size_t kept = 0;
    for (size_t i = 0; i < store->build_count; i++) {
        if (store->builds[i].is_abandoned)
            delete_parts(access, store->builds[i].id);
        else
            store->builds[kept++] = store->builds[i];
    }
    store->build_count = kept;
}

static struct store_build *find(struct store *store, uint64_t id)
{
    size_t i = 0;
    while (store->builds[i].id.id != id)
        i++;
    assert(i < store->build_count);
    return &store->builds[i];
}

static enum status enlist(struct object_build *build, struct access *access)
{
    struct store *store = build->store;
    drop_abandoned(access);
    if (store->build_count == STORE_BUILDS_MAX)
        return STATUS_BUSY;
    build->id = access_new_id(access);
    store->builds[store->build_count++] =
        (struct store_build){.id = {build->generation, build->id}};
    put_list(access);
    return STATUS_OK;
}

static void sweep(struct access *access)
{
    if (access_begin_write(access, 0, false, LIST_BYTES_MAX, true))
        return; /* next time */
    drop_abandoned(access);
    put_list(access);
    access_end(access);
}

void object_builds_sweep(struct store *store)
{
    struct access access;
    if (store->build_count == 0)
        return;
    struct lsm_reader *reader = lsm_reader_create(store->engine);
    access_init(&access, store, reader);
    lsm_lock(store->engine);
    sweep(&access);
    lsm_unlock(store->engine);
    access_release(&access);
    lsm_reader_destroy(reader);
}

/* ---- A build. -------------------------------------------------------------------------------- */

void object_build_begin(struct object_build *build, struct access *access, bool is_small)
{
    *build = (struct object_build){
        .store = access->store,
        .database = access->database,
        .generation = access->generation,
        .is_small = is_small,
    };
    access_init(&build->access, access->store, access->own_reader);
}

static size_t cost(struct slice key, struct slice value)
{
    return OBJECT_PREFIX_BYTES + key.size + value.size + LSM_RECORD_BYTES;
}

bool object_build_fits(const struct object_build *build, struct slice key, struct slice value)
{
    size_t bytes = build->bytes + cost(key, value), bytes_max = build->store->build_bytes_max;
    if (build->is_small)
        return bytes <= OBJECT_BUILD_INLINE_BYTES && bytes <= bytes_max;
    return build->bytes == 0 || bytes <= bytes_max;
}

enum status object_build_put(struct object_build *build, enum store_tree tree, struct slice key,
                             struct slice value)
{
    struct buffer *records = &build->records;
    if (!object_build_fits(build, key, value)) {
        if (build->is_small)
            return STATUS_TOO_LARGE;
        enum status status = build->full(build->context, build);
        if (status)
            return status;
        assert(build->bytes == 0);
    }
    enum status status =
        buffer_try_reserve(records, 1 + 2 * VARINT_BYTES_MAX + key.size + value.size);
    if (status)
        return status;
    buffer_append_byte(records, (uint8_t)tree);
    buffer_append_sized(records, key);
    buffer_append_sized(records, value);
    build->bytes += cost(key, value);
    return STATUS_OK;
}

static void put_records(struct object_build *build, struct access *access)
{
    struct slice records = buffer_slice(&build->records), key, value;
    struct buffer *whole = &access->scratch_key;
    uint8_t prefix[OBJECT_PREFIX_BYTES], tree;
    object_prefix_store(prefix, build->generation, build->id);
    while (slice_take_byte(&records, &tree) && slice_take_sized(&records, &key) &&
           slice_take_sized(&records, &value)) {
        buffer_clear(whole);
        buffer_append(whole, prefix, sizeof prefix);
        buffer_append_slice(whole, key);
        access_put(access, tree, buffer_slice(whole), value);
    }
    assert(records.size == 0);
    buffer_clear(&build->records);
    build->bytes = 0;
}

bool object_build_is_current(const struct object_build *build, const struct access *access)
{
    return access->store->databases[access->database].generation == build->generation;
}

enum status object_build_spill(struct object_build *build)
{
    struct access *access = &build->access;
    lsm_lock(build->store->engine);
    enum status status =
        access_begin_write(access, build->database, false, build->bytes + LIST_BYTES_MAX, false);
    if (!status) {
        if (!object_build_is_current(build, access))
            status = STATUS_CONFLICT;
        if (!status && build->id == 0)
            status = enlist(build, access);
        if (!status)
            put_records(build, access);
        access_end(access);
    }
    lsm_unlock(build->store->engine);
    return status;
}

size_t object_build_link_bytes(const struct object_build *build)
{
    return build->bytes + (build->id ? LIST_BYTES_MAX : 0);
}

uint64_t object_build_link(struct object_build *build, struct access *access)
{
    struct store *store = build->store;
    assert(access->writer);
    assert(object_build_is_current(build, access));
    assert(!build->is_linked);
    build->is_linked = true;
    if (build->id) {
        struct store_build *entry = find(store, build->id);
        *entry = store->builds[--store->build_count];
        put_list(access);
    } else {
        build->id = access_new_id(access);
    }
    put_records(build, access);
    return build->id;
}

void object_build_release(struct object_build *build)
{
    if (!build->store)
        return;
    if (build->id && !build->is_linked) {
        lsm_lock(build->store->engine);
        find(build->store, build->id)->is_abandoned = true;
        sweep(&build->access);
        lsm_unlock(build->store->engine);
    }
    buffer_release(&build->records);
    access_release(&build->access);
    *build = (struct object_build){0};
}
