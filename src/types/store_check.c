/* SPDX-License-Identifier: MIT */
#include "types/store_check.h"

#include "base/memory.h"
#include "types/encoding.h"
#include "types/list.h"
#include "types/parts_check.h"
#include "types/store_state.h"
#include "types/stream_check.h"
#include "types/string.h"

#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_KEY_BYTES = 64 };

struct given_id {
    uint64_t id;
    enum object_type type;
};

struct check {
    struct access access;
    struct lsm_report *report;
    uint64_t first_free_id;
    uint32_t generations[STORE_DATABASES_MAX];
    uint64_t keys, expires;                         /* found in the database at hand */
    struct store_build_id builds[STORE_BUILDS_MAX]; /* objects that no header names yet */
    size_t build_count;
    struct given_id *ids; /* of its objects */
    size_t id_count, id_capacity;
};

static enum status fault(struct check *check, struct slice key, const char *what)
{
    size_t shown = key.size < SHOWN_KEY_BYTES ? key.size : SHOWN_KEY_BYTES;
    snprintf(check->report->text, sizeof check->report->text, "database %u, key '%.*s': %s",
             check->access.database, (int)shown, (const char *)key.data, what);
    return STATUS_CORRUPT;
}

/* ---- Headers. -------------------------------------------------------------------------------- */

static void note_id(struct check *check, const struct object *object)
{
    if (object->id == 0)
        return;
    if (check->id_count == check->id_capacity) {
        check->id_capacity = check->id_capacity ? 2 * check->id_capacity : 64;
        check->ids = memory_resize(check->ids, check->id_capacity * sizeof *check->ids);
    }
    check->ids[check->id_count++] = (struct given_id){object->id, object->type};
}

static enum status check_body(const struct object *object)
{
    uint64_t length;
    switch (object->type) {
    case OBJECT_STRING:
        return string_length(object, &length);
    case OBJECT_LIST:
        return list_object_length(object, &length);
    case OBJECT_STREAM:
        break; /* stream_check decodes the rest */
    }
    return object->id ? STATUS_OK : STATUS_CORRUPT;
}

static enum status check_object(struct check *check, struct slice key, const struct object *object)
{
    const char *what = "its header is damaged";
    enum status status = STATUS_CORRUPT;
    switch (object->type) {
    case OBJECT_STRING:
        status = string_check(&check->access, object, &what);
        break;
    case OBJECT_LIST:
        status = list_check(&check->access, object, &what);
        break;
    case OBJECT_STREAM:
        status = stream_check(&check->access, object, &what);
        break;
    }
    return status == STATUS_CORRUPT ? fault(check, key, what) : status;
}

static enum status check_header(struct check *check, struct slice tree_key, struct slice record)
{
    struct access *access = &check->access;
    uint32_t generation;
    uint64_t position;
    struct slice key, empty;
    struct object object;
    if (tree_key_decode(tree_key, &generation, &position, &key))
        return fault(check, tree_key, "not a key of the tree");
    if (position != store_key_position(access->store, key))
        return fault(check, key, "not at its position");
    if (header_decode(record, &object) || check_body(&object))
        return fault(check, key, "its header is damaged");
    if (object.id >= check->first_free_id)
        return fault(check, key, "its id was not given yet");
    enum status status = check_object(check, key, &object);
    if (status)
        return status;
    note_id(check, &object);
    check->keys++;
    if (object.expire_ms == 0)
        return STATUS_OK;
    check->expires++;
    expiry_key_encode(&access->scratch_key, object.expire_ms, tree_key);
    status = access_get(access, TREE_PARTS, buffer_slice(&access->scratch_key), &empty);
    return status == STATUS_NOT_FOUND ? fault(check, key, "its time is not in the index") : status;
}

/* An entry of the index of times has a header with that time. */
static enum status check_time(struct check *check, struct slice index_key, struct slice value)
{
    struct access *access = &check->access;
    uint64_t expire_ms;
    struct slice suffix, record;
    struct object object;
    if (expiry_key_decode(index_key, &expire_ms, &suffix) || value.size > 0)
        return fault(check, index_key, "not a key of the index of times");
    struct slice key = slice_skip(suffix, POSITION_BYTES);
    tree_key_encode(&access->scratch_key, access->generation, position_load(suffix.data), key);
    enum status status = access_get(access, TREE_KEYS, buffer_slice(&access->scratch_key), &record);
    if (status == STATUS_NOT_FOUND)
        return fault(check, key, "the index of times has it, and it is not there");
    if (!status && (header_decode(record, &object) || object.expire_ms != expire_ms))
        return fault(check, key, "the index of times has it under another time");
    return status;
}

static enum status for_each(struct check *check, enum store_tree tree, struct slice from,
                            struct slice to,
                            enum status (*each)(struct check *, struct slice, struct slice))
{
    enum status status = STATUS_OK;
    struct lsm_iter_options options = {
        .lower = from, .upper = to, .ignore_range_deletes = true, .keep_cache = true};
    struct lsm_iter *iter = lsm_iter_open(check->access.reader, tree, &options);
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter) && !status; lsm_iter_next(iter))
        status = each(check, lsm_iter_key(iter), lsm_iter_value(iter));
    if (!status)
        status = lsm_iter_status(iter);
    lsm_iter_close(iter);
    return status;
}

/* ---- Ids. ------------------------------------------------------------------------------------ */

static int compare_ids(const void *a, const void *b)
{
    const struct given_id *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static enum status id_fault(struct check *check, uint64_t id, const char *what)
{
    snprintf(check->report->text, sizeof check->report->text, "database %u, id %llu: %s",
             check->access.database, (unsigned long long)id, what);
    return STATUS_CORRUPT;
}

static bool is_being_built(const struct check *check, uint64_t id)
{
    for (size_t i = 0; i < check->build_count; i++)
        if (check->builds[i].id == id && check->builds[i].generation == check->access.generation)
            return true;
    return false;
}

/* One look for each id that stands in the tree. */
static enum status check_owners(struct check *check, enum store_tree tree)
{
    uint8_t at[OBJECT_PREFIX_BYTES], end[4];
    uint32_t generation = check->access.generation;
    enum status status = STATUS_OK;
    object_prefix_store(at, generation, 1);
    be32_store(end, generation + 1);
    struct lsm_iter *iter = parts_iter_open(&check->access, tree, slice_make(at, sizeof at),
                                            slice_make(end, sizeof end));
    lsm_iter_seek_first(iter);
    while (lsm_iter_valid(iter) && !status) {
        struct slice key = lsm_iter_key(iter);
        struct given_id wanted = {.id =
                                      key.size > OBJECT_PREFIX_BYTES ? be64_load(key.data + 4) : 0};
        const struct given_id *owner =
            check->id_count
                ? bsearch(&wanted, check->ids, check->id_count, sizeof wanted, compare_ids)
                : NULL;
        bool is_wrong = !owner || (tree == TREE_ENTRIES && owner->type != OBJECT_STREAM);
        if (is_wrong && !is_being_built(check, wanted.id))
            status = id_fault(check, wanted.id, "records that belong to no key");
        object_prefix_store(at, generation, wanted.id + 1);
        if (!status)
            lsm_iter_seek(iter, slice_make(at, sizeof at));
    }
    if (!status)
        status = lsm_iter_status(iter);
    lsm_iter_close(iter);
    return status;
}

static enum status check_ids(struct check *check)
{
    if (check->id_count > 1)
        qsort(check->ids, check->id_count, sizeof *check->ids, compare_ids);
    for (size_t i = 1; i < check->id_count; i++)
        if (check->ids[i].id == check->ids[i - 1].id)
            return id_fault(check, check->ids[i].id, "two keys have it");
    enum status status = check_owners(check, TREE_PARTS);
    return status ? status : check_owners(check, TREE_ENTRIES);
}

static enum status check_database(struct check *check)
{
    struct access *access = &check->access;
    uint8_t from[OBJECT_PREFIX_BYTES], to[OBJECT_PREFIX_BYTES];
    uint64_t keys = 0, expires = 0;
    check->keys = check->expires = check->id_count = 0;
    object_prefix_store(from, access->generation, 0);
    be32_store(to, access->generation + 1);
    enum status status =
        for_each(check, TREE_KEYS, slice_make(from, 4), slice_make(to, 4), check_header);
    object_prefix_store(to, access->generation, 1);
    if (!status)
        status = for_each(check, TREE_PARTS, slice_make(from, sizeof from),
                          slice_make(to, sizeof to), check_time);
    if (!status)
        status = check_ids(check);
    if (!status)
        status = keyspace_count(access, &keys, &expires);
    if (status)
        return status;
    if (keys != check->keys || expires != check->expires)
        return fault(check, slice_from("*"), "keys are not as many as are counted");
    return STATUS_OK;
}

/* ---- Records of the whole store. ------------------------------------------------------------- */

static enum status store_fault(struct check *check, enum store_tree tree, uint32_t generation,
                               const char *what)
{
    static const char *const names[] = {"keys", "parts", "entries"};
    snprintf(check->report->text, sizeof check->report->text, "tree %s, generation %lu: %s",
             names[tree], (unsigned long)generation, what);
    return STATUS_CORRUPT;
}

/* The same in all trees; missing is the same as well. */
static enum status check_copies(struct check *check, enum meta_tag tag)
{
    uint8_t at[META_KEY_BYTES_MAX];
    struct slice key = meta_key(at, tag, 0), first = {0}, copy = {0};
    enum status expected = access_get(&check->access, TREE_KEYS, key, &first);
    if (expected && expected != STATUS_NOT_FOUND)
        return expected;
    for (unsigned tree = TREE_PARTS; tree < TREE_COUNT; tree++) {
        enum status status = access_get(&check->access, tree, key, &copy);
        if (status && status != STATUS_NOT_FOUND)
            return status;
        if (status != expected || (!status && !slice_equal(copy, first)))
            return store_fault(check, tree, 0, "a record of the store differs from its copy");
    }
    return STATUS_OK;
}

static bool has_database(const struct check *check, uint32_t generation)
{
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        if (check->generations[i] == generation)
            return true;
    return false;
}

static enum status check_store_record(struct check *check, enum store_tree tree, struct slice key)
{
    uint8_t tag = key.size > 4 ? key.data[4] : 0;
    bool is_counts = tag == META_COUNTS && tree == TREE_KEYS && key.size == META_KEY_BYTES_MAX;
    if (is_counts && !has_database(check, be32_load(key.data + 5)))
        return store_fault(check, tree, be32_load(key.data + 5),
                           "its keys are counted, and no database has it");
    bool is_other = key.size == 5 && tag >= META_STORE && tag <= META_IDS;
    bool is_builds = key.size == 5 && tag == META_BUILDS && tree == TREE_KEYS;
    return is_counts || is_other || is_builds
               ? STATUS_OK
               : store_fault(check, tree, 0, "a record that is none");
}

/* Whatever no range deletion covers belongs to a database or to the store. */
static enum status check_generations(struct check *check, enum store_tree tree)
{
    uint8_t next[4];
    enum status status = STATUS_OK;
    struct lsm_iter *iter =
        parts_iter_open(&check->access, tree, (struct slice){0}, (struct slice){0});
    lsm_iter_seek_first(iter);
    while (lsm_iter_valid(iter) && !status) {
        struct slice key = lsm_iter_key(iter);
        uint32_t generation = key.size >= 4 ? be32_load(key.data) : UINT32_MAX;
        if (generation == 0) {
            status = check_store_record(check, tree, key);
            lsm_iter_next(iter);
        } else if (!has_database(check, generation)) {
            status = store_fault(check, tree, generation, "records that no database has");
        } else {
            be32_store(next, generation + 1);
            lsm_iter_seek(iter, slice_make(next, sizeof next));
        }
    }
    if (!status)
        status = lsm_iter_status(iter);
    lsm_iter_close(iter);
    return status;
}

static enum status check_map(struct check *check)
{
    uint8_t key[META_KEY_BYTES_MAX];
    struct slice record;
    uint32_t next_generation;
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        check->generations[i] = generation_default(i);
    enum status status = access_get(&check->access, TREE_KEYS, meta_key(key, META_MAP, 0), &record);
    if (!status && meta_map_decode(record, &next_generation, check->generations))
        return store_fault(check, TREE_KEYS, 0, "the record of the databases is damaged");
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status read_builds(struct check *check)
{
    uint8_t key[META_KEY_BYTES_MAX];
    struct slice record;
    enum status status =
        access_get(&check->access, TREE_KEYS, meta_key(key, META_BUILDS, 0), &record);
    if (!status && meta_builds_decode(record, check->builds, &check->build_count))
        return store_fault(check, TREE_KEYS, 0, "the record of the builds is damaged");
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status check_store(struct check *check)
{
    uint8_t key[META_KEY_BYTES_MAX];
    struct slice record;
    enum status status = STATUS_OK;
    for (unsigned tag = META_STORE; tag <= META_IDS && !status; tag++)
        status = check_copies(check, tag);
    if (!status)
        status = check_map(check);
    if (!status)
        status = read_builds(check);
    for (unsigned tree = 0; tree < TREE_COUNT && !status; tree++)
        status = check_generations(check, tree);
    check->first_free_id = 1;
    if (!status)
        status = access_get(&check->access, TREE_KEYS, meta_key(key, META_IDS, 0), &record);
    if (!status && meta_ids_decode(record, &check->first_free_id))
        return store_fault(check, TREE_KEYS, 0, "the record of the ids is damaged");
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* ---- All. ------------------------------------------------------------------------------------ */

enum status store_check(struct store *store, struct lsm_report *report)
{
    struct check check = {.report = report};
    struct lsm_reader *reader = lsm_reader_create(store->engine);
    access_init(&check.access, store, reader);
    access_begin_read(&check.access, 0, false);
    enum status status = check_store(&check);
    for (unsigned i = 0; i < store->database_count && !status; i++) {
        status = access_select(&check.access, i);
        if (!status)
            status = check_database(&check);
    }
    access_end(&check.access);
    access_release(&check.access);
    lsm_reader_destroy(reader);
    memory_free(check.ids);
    return status;
}
