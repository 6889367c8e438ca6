/* SPDX-License-Identifier: MIT */
#include "types/store_check.h"

#include "types/encoding.h"
#include "types/list.h"
#include "types/store_state.h"
#include "types/stream_check.h"
#include "types/string.h"

#include <stdio.h>

enum { SHOWN_KEY_BYTES = 64 };

struct check {
    struct access access;
    struct lsm_report *report;
    uint64_t first_free_id;
    uint64_t keys, expires; /* found in the database at hand */
    uint64_t index_entries;
};

static enum status fault(struct check *check, struct slice key, const char *what)
{
    size_t shown = key.size < SHOWN_KEY_BYTES ? key.size : SHOWN_KEY_BYTES;
    snprintf(check->report->text, sizeof check->report->text, "database %u, key '%.*s': %s",
             check->access.database, (int)shown, (const char *)key.data, what);
    return STATUS_CORRUPT;
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
    if (object.type == OBJECT_STREAM) {
        const char *what = "an entry is damaged";
        enum status status = stream_check(access, &object, &what);
        if (status)
            return status == STATUS_CORRUPT ? fault(check, key, what) : status;
    }
    check->keys++;
    if (object.expire_ms == 0)
        return STATUS_OK;
    check->expires++;
    expiry_key_encode(&access->scratch_key, object.expire_ms, tree_key);
    enum status status = access_get(access, TREE_PARTS, buffer_slice(&access->scratch_key), &empty);
    return status == STATUS_NOT_FOUND ? fault(check, key, "its time is not in the index") : status;
}

static enum status count_entry(struct check *check, struct slice key, struct slice value)
{
    (void)key;
    (void)value;
    check->index_entries++;
    return STATUS_OK;
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

static enum status check_database(struct check *check)
{
    struct access *access = &check->access;
    uint8_t from[OBJECT_PREFIX_BYTES], to[OBJECT_PREFIX_BYTES];
    uint64_t keys = 0, expires = 0;
    check->keys = check->expires = check->index_entries = 0;
    object_prefix_store(from, access->generation, 0);
    be32_store(to, access->generation + 1);
    enum status status =
        for_each(check, TREE_KEYS, slice_make(from, 4), slice_make(to, 4), check_header);
    object_prefix_store(to, access->generation, 1);
    if (!status)
        status = for_each(check, TREE_PARTS, slice_make(from, sizeof from),
                          slice_make(to, sizeof to), count_entry);
    if (!status)
        status = keyspace_count(access, &keys, &expires);
    if (status)
        return status;
    if (keys != check->keys || expires != check->expires)
        return fault(check, slice_from("*"), "keys are not as many as are counted");
    if (check->index_entries != check->expires)
        return fault(check, slice_from("*"), "the index of times has entries of no key");
    return STATUS_OK;
}

static enum status read_first_free_id(struct check *check)
{
    uint8_t key[META_KEY_BYTES_MAX];
    struct slice record;
    enum status status = access_get(&check->access, TREE_KEYS, meta_key(key, META_IDS, 0), &record);
    check->first_free_id = 1;
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    return status ? status : meta_ids_decode(record, &check->first_free_id);
}

enum status store_check(struct store *store, struct lsm_report *report)
{
    struct check check = {.report = report};
    struct lsm_reader *reader = lsm_reader_create(store->engine);
    access_init(&check.access, store, reader);
    access_begin_read(&check.access, 0, false);
    enum status status = read_first_free_id(&check);
    for (unsigned i = 0; i < store->database_count && !status; i++) {
        status = access_select(&check.access, i);
        if (!status)
            status = check_database(&check);
    }
    access_end(&check.access);
    access_release(&check.access);
    lsm_reader_destroy(reader);
    return status;
}
