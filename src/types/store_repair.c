/* SPDX-License-Identifier: MIT */
/* A pinned reader looks at every header of a database and lists the keys that need work; then each
 * of them is worked on in batches of its own, and the database is looked at again until nothing is
 * found. */
#include "types/store_repair.h"

#include "types/expiry.h"
#include "types/list.h"
#include "types/parts_check.h"
#include "types/store_state.h"
#include "types/stream_check.h"
#include "types/stream_header.h"
#include "types/string.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LINE_BYTES_MAX = 512,
    SHOWN_KEY_BYTES = 64,
    KEYS_A_PASS_MAX = 100000,
    WORK_BYTES = 4 << 20,    /* of background work after each batch */
    SEGMENT_BYTES = 4 << 20, /* of the log, filled with zeros first: most repairs write little */
};

/* Far from what a store can give: an id above it is damage, and not what the next ones go on from. */
static const uint64_t ID_MAX = UINT64_MAX / 4;

/* What is wrong with a key. */
enum ailment { HEALTHY, HEADER_DAMAGED, TIME_NOT_IN_INDEX, LIST_DAMAGED, ENTRY_WITHOUT_KEY };

struct repair {
    struct store *store;
    struct access reading, writing;
    void (*each)(void *context, const char *line);
    void *context;
    uint64_t keys, expires;
    uint64_t greatest_id;
    uint32_t greatest_generation;
    struct buffer ids;   /* of the objects met in this pass, a u64 each */
    struct buffer found; /* ailment (1) | sized tree key or index key ... */
    size_t found_count;
    bool is_first_pass; /* over the database at hand */
};

static void say(struct repair *repair, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct repair *repair, const char *format, ...)
{
    char line[LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    repair->each(repair->context, line);
}

static void say_key(struct repair *repair, struct slice key, const char *what)
{
    size_t shown = key.size < SHOWN_KEY_BYTES ? key.size : SHOWN_KEY_BYTES;
    say(repair, "Database %u, key '%.*s': %s.", repair->reading.database, (int)shown,
        (const char *)key.data, what);
}

/* ---- Looking. -------------------------------------------------------------------------------- */

static void note(struct repair *repair, enum ailment ailment, struct slice key)
{
    buffer_append_byte(&repair->found, (uint8_t)ailment);
    buffer_append_sized(&repair->found, key);
    repair->found_count++;
}

/* Entries that are lost leave the header's counts as they were. */
static enum status examine_stream(struct repair *repair, struct slice key,
                                  const struct object *object)
{
    const char *fault = "an entry is damaged";
    char what[200];
    enum status status = stream_check(&repair->reading, object, &fault);
    if (status == STATUS_CORRUPT) {
        snprintf(what, sizeof what,
                 "%s; the stream shows what is there, but XLEN and XTRIM go by its header", fault);
        say_key(repair, key, what);
    }
    return status;
}

/* Strings without some of their pieces read as zeros there, streams without some of their entries go
 * on; that is told and left as it is. */
static enum status examine_parts(struct repair *repair, struct slice key,
                                 const struct object *object, enum ailment *ailment)
{
    const char *fault;
    uint64_t missing = 0;
    enum status status = STATUS_OK;
    if (object->type == OBJECT_LIST) {
        status = list_check(&repair->reading, object, &fault);
        if (status == STATUS_CORRUPT)
            *ailment = LIST_DAMAGED;
    } else if (object->type == OBJECT_STRING) {
        status = string_count_missing(&repair->reading, object, &missing);
        if (missing && repair->is_first_pass)
            say_key(repair, key,
                    "pieces of the string are lost, or were never written, and read as zeros");
    } else if (repair->is_first_pass) {
        status = examine_stream(repair, key, object);
    }
    return status == STATUS_CORRUPT ? STATUS_OK : status;
}

static enum status examine_body(const struct object *object)
{
    uint64_t length;
    if (object->id > ID_MAX)
        return STATUS_CORRUPT;
    if (object->type == OBJECT_STRING)
        return string_length(object, &length);
    if (object->type == OBJECT_LIST)
        return list_object_length(object, &length);
    struct stream_header header;
    return object->id ? stream_header_decode(object->body, &header) : STATUS_CORRUPT;
}

static enum status examine_header(struct repair *repair, struct slice tree_key, struct slice record)
{
    struct access *access = &repair->reading;
    uint32_t generation;
    uint64_t position;
    struct slice key, empty;
    struct object object;
    enum ailment ailment = HEALTHY;
    enum status status = STATUS_OK;
    if (tree_key_decode(tree_key, &generation, &position, &key) ||
        position != store_key_position(access->store, key))
        status = STATUS_CORRUPT;
    if (!status)
        status = header_decode(record, &object);
    if (!status)
        status = examine_body(&object);
    if (status == STATUS_CORRUPT) {
        note(repair, HEADER_DAMAGED, tree_key);
        return STATUS_OK;
    }
    if (status)
        return status;
    repair->keys++;
    repair->expires += object.expire_ms != 0;
    repair->greatest_id = object.id > repair->greatest_id ? object.id : repair->greatest_id;
    buffer_append(&repair->ids, &object.id, sizeof object.id);
    if (object.expire_ms) {
        expiry_key_encode(&access->scratch_key, object.expire_ms, tree_key);
        status = access_get(access, TREE_PARTS, buffer_slice(&access->scratch_key), &empty);
        if (status == STATUS_NOT_FOUND)
            note(repair, TIME_NOT_IN_INDEX, tree_key);
    }
    if (status && status != STATUS_NOT_FOUND)
        return status;
    status = examine_parts(repair, key, &object, &ailment);
    if (ailment)
        note(repair, ailment, tree_key);
    return status;
}

static enum status examine_entry(struct repair *repair, struct slice index_key, struct slice value)
{
    struct access *access = &repair->reading;
    uint64_t expire_ms;
    struct slice suffix, record;
    struct object object = {0};
    (void)value;
    enum status status = STATUS_NOT_FOUND;
    if (!expiry_key_decode(index_key, &expire_ms, &suffix)) {
        buffer_clear(&access->scratch_key);
        buffer_append_be32(&access->scratch_key, access->generation);
        buffer_append_slice(&access->scratch_key, suffix);
        status = access_get(access, TREE_KEYS, buffer_slice(&access->scratch_key), &record);
    }
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (status || header_decode(record, &object) || object.expire_ms != expire_ms)
        note(repair, ENTRY_WITHOUT_KEY, index_key);
    return STATUS_OK;
}

typedef enum status examine(struct repair *repair, struct slice key, struct slice value);

static enum status examine_range(struct repair *repair, enum store_tree tree, struct slice from,
                                 struct slice to, examine *each)
{
    enum status status = STATUS_OK;
    struct lsm_iter_options options = {
        .lower = from, .upper = to, .ignore_range_deletes = true, .keep_cache = true};
    struct lsm_iter *iter = lsm_iter_open(repair->reading.reader, tree, &options);
    for (lsm_iter_seek_first(iter);
         lsm_iter_valid(iter) && !status && repair->found_count < KEYS_A_PASS_MAX;
         lsm_iter_next(iter))
        status = each(repair, lsm_iter_key(iter), lsm_iter_value(iter));
    if (!status)
        status = lsm_iter_status(iter);
    lsm_iter_close(iter);
    return status;
}

/* The last id that stands in a key of the tree below this generation. */
static enum status examine_last_id(struct repair *repair, enum store_tree tree, struct slice from,
                                   struct slice to)
{
    struct lsm_iter_options options = {.lower = from, .upper = to, .ignore_range_deletes = true};
    struct lsm_iter *iter = lsm_iter_open(repair->reading.reader, tree, &options);
    lsm_iter_seek_last(iter);
    if (lsm_iter_valid(iter) && lsm_iter_key(iter).size >= OBJECT_PREFIX_BYTES) {
        uint64_t id = be64_load(lsm_iter_key(iter).data + 4);
        repair->greatest_id = id > repair->greatest_id ? id : repair->greatest_id;
    }
    enum status status = lsm_iter_status(iter);
    lsm_iter_close(iter);
    return status;
}

static enum status examine_database(struct repair *repair)
{
    uint32_t generation = repair->reading.generation;
    uint8_t from[OBJECT_PREFIX_BYTES], index_end[OBJECT_PREFIX_BYTES], end[4];
    uint8_t ids_end[OBJECT_PREFIX_BYTES];
    object_prefix_store(from, generation, 0);
    object_prefix_store(ids_end, generation, ID_MAX + 1);
    object_prefix_store(index_end, generation, 1);
    be32_store(end, generation + 1);
    struct slice first = slice_make(from, 4), last = slice_make(end, sizeof end);
    struct slice last_id = slice_make(ids_end, sizeof ids_end);
    repair->keys = repair->expires = 0;
    repair->found_count = 0;
    buffer_clear(&repair->found);
    buffer_clear(&repair->ids);
    enum status status = examine_range(repair, TREE_KEYS, first, last, examine_header);
    if (!status)
        status = examine_range(repair, TREE_PARTS, slice_make(from, sizeof from),
                               slice_make(index_end, sizeof index_end), examine_entry);
    if (!status)
        status = examine_last_id(repair, TREE_PARTS, first, last_id);
    if (!status)
        status = examine_last_id(repair, TREE_ENTRIES, first, last_id);
    return status;
}

/* ---- Working. -------------------------------------------------------------------------------- */

static enum status begin_write(struct repair *repair, size_t bytes)
{
    lsm_lock(repair->store->engine);
    enum status status =
        access_begin_write(&repair->writing, repair->reading.database, false, bytes, false);
    if (status)
        lsm_unlock(repair->store->engine);
    return status;
}

static void end_write(struct repair *repair)
{
    access_end(&repair->writing);
    lsm_unlock(repair->store->engine);
    (void)lsm_work(repair->store->engine, WORK_BYTES); /* says whether there is more */
}

static enum status mend_list(struct repair *repair, struct slice tree_key)
{
    struct slice key = slice_skip(tree_key, TREE_KEY_PREFIX_BYTES);
    struct store *store = repair->store;
    struct list_rebuild rebuild = {0};
    bool done = false;
    enum status status = STATUS_OK;
    if (repair->greatest_id >= store->next_id) /* the record of the ids is lost or old */
        store->next_id = store->reserved_id = repair->greatest_id + 1;
    while (!done && !status) {
        status = begin_write(repair, LIST_REBUILD_BYTES + rebuild.bytes_needed + 4 * key.size);
        if (!status) {
            status = list_rebuild_step(&repair->writing, key, &rebuild, &done);
            end_write(repair);
        }
    }
    list_rebuild_release(&rebuild);
    if (!rebuild.is_copied) /* its time had come */
        return status;
    char what[100];
    if (rebuild.lost > 0)
        snprintf(what, sizeof what,
                 "%" PRIu64 " elements of the list are lost, %" PRIu64 " are left", rebuild.lost,
                 rebuild.kept);
    else
        snprintf(what, sizeof what,
                 "the list's records do not fit together; its %" PRIu64
                 " elements are written anew",
                 rebuild.kept);
    say_key(repair, key, what);
    return status;
}

/* One record more or less. */
static enum status mend_record(struct repair *repair, enum ailment ailment, struct slice key)
{
    struct access *access = &repair->writing;
    struct slice record;
    struct object object;
    enum status status = begin_write(repair, 2 * key.size);
    if (status)
        return status;
    if (ailment == HEADER_DAMAGED) {
        access_delete(access, TREE_KEYS, key);
    } else if (ailment == ENTRY_WITHOUT_KEY) {
        access_delete(access, TREE_PARTS, key);
    } else if (!access_get(access, TREE_KEYS, key, &record) && !header_decode(record, &object)) {
        expiry_key_encode(&access->scratch_key, object.expire_ms, key);
        access_put(access, TREE_PARTS, buffer_slice(&access->scratch_key), slice_make(NULL, 0));
    }
    end_write(repair);
    return STATUS_OK;
}

static enum status mend_found(struct repair *repair)
{
    struct slice found = buffer_slice(&repair->found), key;
    size_t headers = 0;
    uint8_t ailment;
    enum status status = STATUS_OK;
    while (!status && slice_take_byte(&found, &ailment) && slice_take_sized(&found, &key)) {
        status =
            ailment == LIST_DAMAGED ? mend_list(repair, key) : mend_record(repair, ailment, key);
        headers += ailment == HEADER_DAMAGED;
    }
    if (headers)
        say(repair, "Database %u: %zu headers of keys could not be read and are dropped.",
            repair->reading.database, headers);
    return status;
}

static enum status mend_counts(struct repair *repair)
{
    struct store_database *database = &repair->store->databases[repair->reading.database];
    if (database->key_count == repair->keys && database->expires_count == repair->expires)
        return STATUS_OK;
    if (database->key_count != repair->keys)
        say(repair, "Database %u: %" PRIu64 " keys were counted, %" PRIu64 " are there.",
            repair->reading.database, database->key_count, repair->keys);
    enum status status = begin_write(repair, 0);
    if (status)
        return status;
    database->key_count = repair->keys;
    database->expires_count = repair->expires;
    store_counts_changed(repair->store, repair->reading.database);
    end_write(repair);
    return STATUS_OK;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The end of an object's prefix. */
static struct slice prefix_end(uint8_t at[OBJECT_PREFIX_BYTES], uint32_t generation, uint64_t id)
{
    if (id < UINT64_MAX) {
        object_prefix_store(at, generation, id + 1);
        return slice_make(at, OBJECT_PREFIX_BYTES);
    }
    be32_store(at, generation + 1);
    return slice_make(at, 4);
}

/* From `from` on, the next records in the tree that are no object's: those from `from` up to `end`. The ids
 * of the last pass, which met every header, are sorted. */
static enum status find_lost(struct repair *repair, enum store_tree tree, struct buffer *from,
                             struct buffer *end, bool *found)
{
    uint8_t at[OBJECT_PREFIX_BYTES], last[4];
    const size_t count = repair->ids.size / sizeof(uint64_t);
    access_begin_read(&repair->reading, repair->reading.database, false);
    uint32_t generation = repair->reading.generation;
    be32_store(last, generation + 1);
    struct lsm_iter *iter =
        parts_iter_open(&repair->reading, tree, buffer_slice(from), slice_make(last, sizeof last));
    *found = false;
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter) && !*found;) {
        struct slice key = lsm_iter_key(iter);
        bool has_id = key.size >= OBJECT_PREFIX_BYTES;
        uint64_t id = has_id ? be64_load(key.data + 4) : 0;
        buffer_clear(end);
        if (has_id && count > 0 && bsearch(&id, repair->ids.data, count, sizeof id, compare_ids)) {
            lsm_iter_seek(iter, prefix_end(at, generation, id));
            continue;
        }
        *found = true;
        buffer_clear(from);
        if (has_id) {
            buffer_append(from, key.data, OBJECT_PREFIX_BYTES);
            buffer_append_slice(end, prefix_end(at, generation, id));
        } else { /* itself alone */
            buffer_append_slice(from, key);
            buffer_append_slice(end, key);
            buffer_append_byte(end, 0);
        }
    }
    enum status status = lsm_iter_status(iter);
    lsm_iter_close(iter);
    access_end(&repair->reading);
    return status;
}

/* What no key leads to any more, and what an earlier repair copied and came no further, is given
 * back. */
static enum status drop_lost_parts(struct repair *repair)
{
    struct buffer from = {0}, end = {0};
    size_t dropped = 0;
    enum status status = STATUS_OK;
    if (repair->ids.size > 0)
        qsort(repair->ids.data, repair->ids.size / sizeof(uint64_t), sizeof(uint64_t), compare_ids);
    for (unsigned tree = TREE_PARTS; tree < TREE_COUNT && !status; tree++) {
        uint8_t first[OBJECT_PREFIX_BYTES];
        bool found;
        object_prefix_store(first, repair->reading.generation, 1);
        buffer_clear(&from);
        buffer_append(&from, first, sizeof first);
        while (!(status = find_lost(repair, tree, &from, &end, &found)) && found) {
            status = begin_write(repair, 0);
            if (status)
                break;
            access_delete_range(&repair->writing, tree, buffer_slice(&from), buffer_slice(&end));
            end_write(repair);
            dropped++;
            buffer_clear(&from);
            buffer_append_slice(&from, buffer_slice(&end));
        }
    }
    buffer_release(&from);
    buffer_release(&end);
    if (dropped)
        say(repair, "Database %u: the records of %zu objects belong to no key and are dropped.",
            repair->reading.database, dropped);
    return status;
}

static enum status repair_database(struct repair *repair, unsigned index)
{
    enum status status;
    repair->is_first_pass = true;
    do {
        access_begin_read(&repair->reading, index, false);
        status = examine_database(repair);
        access_end(&repair->reading);
        if (!status)
            status = mend_found(repair);
        repair->is_first_pass = false;
    } while (!status && repair->found_count > 0);
    if (!status)
        status = drop_lost_parts(repair);
    return status ? status : mend_counts(repair);
}

/* ---- The whole store. ------------------------------------------------------------------------ */

static enum status find_greatest_generation(struct repair *repair)
{
    enum status status = STATUS_OK;
    access_begin_read(&repair->reading, 0, false);
    for (unsigned tree = 0; tree < TREE_COUNT && !status; tree++) {
        struct lsm_iter_options options = {.ignore_range_deletes = true};
        struct lsm_iter *iter = lsm_iter_open(repair->reading.reader, tree, &options);
        lsm_iter_seek_last(iter);
        if (lsm_iter_valid(iter) && lsm_iter_key(iter).size >= 4) {
            uint32_t generation = be32_load(lsm_iter_key(iter).data);
            if (generation > repair->greatest_generation)
                repair->greatest_generation = generation;
        }
        status = lsm_iter_status(iter);
        lsm_iter_close(iter);
    }
    access_end(&repair->reading);
    return status;
}

/* All copies anew, with numbers that were never given. */
static enum status mend_store_records(struct repair *repair)
{
    struct store *store = repair->store;
    struct buffer *value = &repair->writing.scratch_value;
    repair->reading.database = 0;
    enum status status = begin_write(repair, 0);
    if (status)
        return status;
    if (repair->greatest_id >= store->reserved_id)
        store->next_id = store->reserved_id = repair->greatest_id + 1;
    if (repair->greatest_generation >= store->next_generation &&
        repair->greatest_generation < UINT32_MAX - 1)
        store->next_generation = repair->greatest_generation + 1;
    struct lsm_writer *writer = access_writer(&repair->writing);
    meta_store_encode(value, store->hash_seed);
    store_put_everywhere(writer, META_STORE, buffer_slice(value));
    meta_ids_encode(value, store->reserved_id);
    store_put_everywhere(writer, META_IDS, buffer_slice(value));
    store_put_map(&repair->writing);
    end_write(repair);
    return STATUS_OK;
}

enum status store_repair(const struct env *env, const char *directory,
                         void (*each)(void *context, const char *line), void *context)
{
    struct repair repair = {.each = each, .context = context};
    struct lsm_report report = {""};
    const struct store_options options = {.databases = STORE_DATABASES_MAX,
                                          .compares_copies = true,
                                          .wal_segment_bytes = SEGMENT_BYTES};
    enum status status = store_open(env, directory, &options, &report, &repair.store);
    if (status) {
        each(context, report.text);
        return status;
    }
    struct lsm_reader *reader = lsm_reader_create(repair.store->engine);
    access_init(&repair.reading, repair.store, reader);
    access_init(&repair.writing, repair.store, reader);
    for (unsigned i = 0; i < STORE_DATABASES_MAX && !status; i++)
        status = repair_database(&repair, i);
    if (!status)
        status = find_greatest_generation(&repair);
    if (!status)
        status = mend_store_records(&repair);
    access_release(&repair.reading);
    access_release(&repair.writing);
    buffer_release(&repair.found);
    buffer_release(&repair.ids);
    lsm_reader_destroy(reader);
    enum status closed = store_close(repair.store);
    return status ? status : closed;
}
