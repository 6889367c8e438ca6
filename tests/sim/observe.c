/* SPDX-License-Identifier: MIT */
#include "sim/observe.h"

#include "base/hash.h"
#include "base/memory.h"
#include "resp/resp.h"
#include "types/list.h"
#include "types/log.h"
#include "types/string.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

bool sim_because(struct sim_reason *reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!reason->text[0])
        vsnprintf(reason->text, sizeof reason->text, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- A store, as the model says it ------------------------------------------------------------- */

static void show_element(void *context, struct slice value)
{
    struct buffer *into = context;
    buffer_printf(into, "%zu ", value.size);
    buffer_append_slice(into, value);
    buffer_append_byte(into, '\n');
}

static void show_count(void *context, uint64_t count)
{
    buffer_printf(context, "type %d, %" PRIu64 ":", (int)MODEL_LIST, count);
}

static void show_entry(const struct stream_entry *entry, struct buffer *into)
{
    struct buffer fields = {0};
    struct resp_writer writer = {.out = &fields, .protocol = 2};
    struct stream_fields at = stream_fields_begin(entry);
    struct stream_field field;
    resp_array(&writer, 2 * entry->field_count);
    while (stream_fields_next(&at, &field)) {
        resp_bulk(&writer, field.name);
        resp_bulk(&writer, field.value);
    }
    buffer_printf(into, "%" PRIu64 "-%" PRIu64 " at %" PRIu64 " %zu ", entry->id.ms, entry->id.seq,
                  entry->event_ms, fields.size);
    buffer_append_slice(into, buffer_slice(&fields));
    buffer_append_byte(into, '\n');
    buffer_release(&fields);
}

static enum status show_stream(struct access *access, struct slice key, struct buffer *into)
{
    struct stream stream;
    struct stream_entry entry;
    enum status status = stream_find(access, key, &stream);
    if (status)
        return status;
    const struct stream_header *header = &stream.header;
    buffer_printf(into,
                  "type %d, %" PRIu64 ": last %" PRIu64 "-%" PRIu64 ", deleted %" PRIu64 "-%" PRIu64
                  ", added %" PRIu64 "\n",
                  (int)MODEL_STREAM, header->length, header->last_id.ms, header->last_id.seq,
                  header->max_deleted_id.ms, header->max_deleted_id.seq, header->entries_added);
    struct stream_range range;
    stream_range_open(access, &stream, STREAM_ID_MIN, STREAM_ID_MAX, false, &range);
    while ((status = stream_range_next(&range, &entry)) == STATUS_OK)
        show_entry(&entry, into);
    stream_range_close(&range);
    if (status != STATUS_NOT_FOUND)
        return status;
    struct log_range events;
    log_range_open(access, &stream, (struct stream_moment){0, STREAM_ID_MIN},
                   (struct stream_moment){UINT64_MAX, STREAM_ID_MAX}, false, &events);
    while ((status = log_range_next(&events, &entry)) == STATUS_OK)
        buffer_printf(into, "%" PRIu64 "-%" PRIu64 ",", entry.id.ms, entry.id.seq);
    log_range_close(&events);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status show_object(struct access *access, struct slice key, const struct object *object,
                               struct buffer *into)
{
    struct slice value;
    enum status status;
    switch (object->type) {
    case OBJECT_STRING:
        status = string_value(access, object, &value);
        if (status)
            return status;
        buffer_printf(into, "type %d, 1:", (int)MODEL_STRING);
        show_element(into, value);
        return STATUS_OK;
    case OBJECT_LIST:
        return list_range(access, key, 0, -1,
                          &(struct list_visitor){show_count, show_element, into});
    case OBJECT_STREAM:
        return show_stream(access, key, into);
    }
    return STATUS_CORRUPT;
}

struct scanned {
    uint64_t count;
    char stranger[64];
};

static void scan_key(void *context, struct slice key, const struct object *object)
{
    struct scanned *scanned = context;
    (void)object;
    scanned->count++;
    if (model_key_number(key) == MODEL_KEYS)
        snprintf(scanned->stranger, sizeof scanned->stranger, "%.*s",
                 (int)(key.size < 60 ? key.size : 60), (const char *)key.data);
}

static bool check_keys(struct access *access, unsigned database, uint64_t found, uint64_t timed,
                       struct sim_reason *reason)
{
    struct scanned scanned = {0};
    uint64_t keys = 0, expires = 0, cursor = 0;
    enum status status = keyspace_count(access, &keys, &expires);
    do {
        if (!status)
            status = keyspace_scan(access, cursor, 5, &cursor, scan_key, &scanned);
    } while (!status && cursor);
    if (status)
        return sim_because(reason, "database %u: scanning: %s", database, status_text(status));
    if (scanned.stranger[0])
        return sim_because(reason, "database %u: a key that nobody wrote: %s", database,
                           scanned.stranger);
    if (scanned.count != found || keys != found || expires != timed)
        return sim_because(reason,
                           "database %u: %" PRIu64 " keys, %" PRIu64
                           " with a time; a scan finds %" PRIu64 ", the counts are %" PRIu64
                           " and %" PRIu64,
                           database, found, timed, scanned.count, keys, expires);
    return true;
}

static bool observe_database(struct access *access, unsigned database, struct observed *observed,
                             struct sim_reason *reason)
{
    uint64_t found = 0, timed = 0;
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        struct buffer *shown = &observed->shown[database][k];
        struct object object;
        struct slice key = model_key_name(k);
        buffer_clear(shown);
        observed->hashes[database][k] = observed->expires[database][k] = 0;
        enum status status = keyspace_find(access, key, &object);
        if (status == STATUS_NOT_FOUND)
            continue;
        if (!status)
            status = show_object(access, key, &object, shown);
        if (status)
            return sim_because(reason, "database %u, reading %.*s: %s", database, (int)key.size,
                               (const char *)key.data, status_text(status));
        observed->expires[database][k] = object.expire_ms;
        observed->hashes[database][k] = model_hash(buffer_slice(shown), object.expire_ms);
        found++;
        timed += object.expire_ms != 0;
    }
    return check_keys(access, database, found, timed, reason);
}

bool observe(struct store *store, struct observed *observed, struct sim_reason *reason)
{
    struct access access = {0};
    struct lsm_reader *reader = lsm_reader_create(store_engine(store));
    bool is_fine = true;
    access_init(&access, store, reader);
    access_begin_read(&access, 0, false);
    access.now_ms = 0;
    for (unsigned d = 0; d < MODEL_DATABASES && is_fine; d++) {
        enum status status = access_select(&access, d);
        is_fine = status ? sim_because(reason, "SELECT: %s", status_text(status))
                         : observe_database(&access, d, observed, reason);
    }
    access_end(&access);
    access_release(&access);
    lsm_reader_destroy(reader);
    return is_fine;
}

void observed_release(struct observed *observed)
{
    for (unsigned d = 0; d < MODEL_DATABASES; d++)
        for (unsigned k = 0; k < MODEL_KEYS; k++)
            buffer_release(&observed->shown[d][k]);
}

bool observed_is(const struct observed *observed, const struct model_state *state)
{
    for (unsigned d = 0; d < MODEL_DATABASES; d++)
        for (unsigned k = 0; k < MODEL_KEYS; k++)
            if (observed->hashes[d][k] != model_slot_hash(&state->slots[d][k]))
                return false;
    return true;
}

void observed_explain(const struct observed *observed, const struct model_state *state,
                      struct sim_reason *reason)
{
    for (unsigned d = 0; d < MODEL_DATABASES; d++)
        for (unsigned k = 0; k < MODEL_KEYS; k++) {
            const struct model_slot *slot = &state->slots[d][k];
            struct slice name = model_key_name(k), found = buffer_slice(&observed->shown[d][k]);
            struct buffer shown = {0};
            if (observed->hashes[d][k] == model_slot_hash(slot))
                continue;
            if (slot->value)
                model_show(slot->value, &shown);
            size_t at = 0;
            while (at < found.size && at < shown.size && found.data[at] == shown.data[at])
                at++;
            size_t from = at < 80 ? 0 : at - 80;
            sim_because(
                reason,
                "database %u, %.*s: expires %" PRIu64 " and %" PRIu64
                ", they differ at byte %zu:\n  in the store: (%zu bytes) %.*s\n  should be: "
                "(%zu bytes) %.*s",
                d, (int)name.size, (const char *)name.data, observed->expires[d][k],
                slot->expire_ms, at, found.size,
                (int)(found.size - from < 300 ? found.size - from : 300),
                found.size > from ? (const char *)found.data + from : "", shown.size,
                (int)(shown.size - from < 300 ? shown.size - from : 300),
                shown.size > from ? (const char *)shown.data + from : "");
            buffer_release(&shown);
            return;
        }
}

/* ---- Pictures -------------------------------------------------------------------------------- */

struct record {
    size_t key_at, key_size;
    uint64_t value_hash;
};

struct picture {
    struct lsm *engine;
    struct lsm_snapshot *snapshot;
    struct buffer keys;
    struct record *records[TREE_COUNT];
    size_t counts[TREE_COUNT], capacities[TREE_COUNT];

    struct lsm_reader *reader; /* NULL: no iterator is open */
    struct lsm_iter *iter;
    unsigned tree;
    size_t place; /* of the iterator, counts[tree]: at an end */
};

static struct slice record_key(const struct picture *picture, unsigned tree, size_t index)
{
    const struct record *record = &picture->records[tree][index];
    return slice_make(picture->keys.data + record->key_at, record->key_size);
}

static void add_record(struct picture *picture, unsigned tree, struct slice key, struct slice value)
{
    size_t *count = &picture->counts[tree];
    if (*count == picture->capacities[tree]) {
        picture->capacities[tree] = 2 * *count + 64;
        picture->records[tree] = memory_resize(picture->records[tree],
                                               picture->capacities[tree] * sizeof(struct record));
    }
    picture->records[tree][(*count)++] =
        (struct record){picture->keys.size, key.size, hash64(value, 0)};
    buffer_append_slice(&picture->keys, key);
}

static const struct lsm_iter_options all = {.ignore_range_deletes = false};

struct picture *picture_take(struct lsm *engine, struct sim_reason *reason)
{
    struct picture *picture = memory_zeroed(1, sizeof *picture);
    picture->engine = engine;
    picture->snapshot = lsm_snapshot_acquire(engine);
    struct lsm_reader *reader = lsm_reader_create(engine);
    enum status status = STATUS_OK;
    lsm_read_begin_at(reader, picture->snapshot);
    for (unsigned tree = 0; tree < TREE_COUNT && !status; tree++) {
        struct lsm_iter *iter = lsm_iter_open(reader, tree, &all);
        for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter))
            add_record(picture, tree, lsm_iter_key(iter), lsm_iter_value(iter));
        status = lsm_iter_status(iter);
        lsm_iter_close(iter);
    }
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
    if (!status)
        return picture;
    sim_because(reason, "taking a picture: %s", status_text(status));
    picture_release(picture);
    return NULL;
}

static void close_iter(struct picture *picture)
{
    if (!picture->reader)
        return;
    lsm_iter_close(picture->iter);
    lsm_read_end(picture->reader);
    lsm_reader_destroy(picture->reader);
    picture->reader = NULL;
}

void picture_release(struct picture *picture)
{
    if (!picture)
        return;
    close_iter(picture);
    lsm_snapshot_release(picture->snapshot);
    buffer_release(&picture->keys);
    for (unsigned tree = 0; tree < TREE_COUNT; tree++)
        memory_free(picture->records[tree]);
    memory_free(picture);
}

size_t picture_count(const struct picture *picture)
{
    size_t count = 0;
    for (unsigned tree = 0; tree < TREE_COUNT; tree++)
        count += picture->counts[tree];
    return count;
}

/* The iterator stands on record `index`, or at an end when there is none of that number. */
static bool stands_on(const struct picture *picture, struct lsm_iter *iter, unsigned tree,
                      size_t index, const char *how, struct sim_reason *reason)
{
    bool wanted = index < picture->counts[tree];
    if (lsm_iter_status(iter) != STATUS_OK)
        return sim_because(reason, "snapshot, tree %u, %s: %s", tree, how,
                           status_text(lsm_iter_status(iter)));
    if (lsm_iter_valid(iter) != wanted)
        return sim_because(reason, "snapshot, tree %u, %s: record %zu of %zu %s", tree, how, index,
                           picture->counts[tree], wanted ? "is missing" : "has another behind it");
    if (!wanted)
        return true;
    if (!slice_equal(lsm_iter_key(iter), record_key(picture, tree, index)))
        return sim_because(reason, "snapshot, tree %u, %s: another key stands at record %zu of %zu",
                           tree, how, index, picture->counts[tree]);
    if (hash64(lsm_iter_value(iter), 0) != picture->records[tree][index].value_hash)
        return sim_because(reason, "snapshot, tree %u, %s: record %zu of %zu has another value",
                           tree, how, index, picture->counts[tree]);
    return true;
}

static bool get_agrees(const struct picture *picture, struct lsm_reader *reader, unsigned tree,
                       size_t index, struct sim_reason *reason)
{
    struct slice value;
    enum status status = lsm_get(reader, tree, record_key(picture, tree, index), &value);
    if (status != STATUS_OK)
        return sim_because(reason, "snapshot, tree %u: get of record %zu: %s", tree, index,
                           status_text(status));
    if (hash64(value, 0) != picture->records[tree][index].value_hash)
        return sim_because(reason, "snapshot, tree %u: get of record %zu: another value", tree,
                           index);
    return true;
}

static bool compare_tree(struct picture *picture, struct lsm_reader *reader, unsigned tree,
                         struct random *random, struct sim_reason *reason)
{
    size_t count = picture->counts[tree];
    struct lsm_iter *iter = lsm_iter_open(reader, tree, &all);
    bool agrees = true;
    lsm_iter_seek_first(iter);
    for (size_t i = 0; i <= count && agrees; i++) {
        agrees = stands_on(picture, iter, tree, i, "forwards", reason);
        if (agrees && i < count)
            lsm_iter_next(iter);
    }
    if (agrees)
        lsm_iter_seek_last(iter);
    for (size_t i = count; agrees; i--) {
        agrees = stands_on(picture, iter, tree, i ? i - 1 : SIZE_MAX, "backwards", reason);
        if (i == 0)
            break;
        lsm_iter_prev(iter);
    }
    lsm_iter_close(iter);
    for (unsigned i = 0; i < 20 && count > 0 && agrees; i++)
        agrees = get_agrees(picture, reader, tree, random_below(random, count), reason);
    return agrees;
}

bool picture_compare(struct picture *picture, struct random *random, struct sim_reason *reason)
{
    struct lsm_reader *reader = lsm_reader_create(picture->engine);
    bool agrees = true;
    lsm_read_begin_at(reader, picture->snapshot);
    for (unsigned tree = 0; tree < TREE_COUNT && agrees; tree++)
        agrees = compare_tree(picture, reader, tree, random, reason);
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
    return agrees;
}

static void open_iter(struct picture *picture, struct random *random)
{
    picture->reader = lsm_reader_create(picture->engine);
    picture->tree = (unsigned)random_below(random, TREE_COUNT);
    lsm_read_begin_at(picture->reader, picture->snapshot);
    picture->iter = lsm_iter_open(picture->reader, picture->tree, &all);
    picture->place = picture->counts[picture->tree];
}

/* To a record, by its own key or one just behind it. */
static void seek_somewhere(struct picture *picture, struct random *random)
{
    size_t count = picture->counts[picture->tree];
    size_t index = random_below(random, count);
    struct slice key = record_key(picture, picture->tree, index);
    struct buffer behind = {0};
    buffer_append_slice(&behind, key);
    buffer_append_byte(&behind, 0);
    switch (random_below(random, 4)) {
    case 0:
        lsm_iter_seek(picture->iter, key);
        picture->place = index;
        break;
    case 1:
        lsm_iter_seek_for_prev(picture->iter, key);
        picture->place = index;
        break;
    case 2:
        lsm_iter_seek(picture->iter, buffer_slice(&behind));
        picture->place = index + 1;
        if (index + 1 < count &&
            slice_equal(record_key(picture, picture->tree, index + 1), buffer_slice(&behind)))
            picture->place = index + 1;
        break;
    default:
        lsm_iter_seek_for_prev(picture->iter, buffer_slice(&behind));
        picture->place = index;
        if (index + 1 < count &&
            slice_equal(record_key(picture, picture->tree, index + 1), buffer_slice(&behind)))
            picture->place = index + 1;
    }
    buffer_release(&behind);
}

bool picture_move(struct picture *picture, struct random *random, struct sim_reason *reason)
{
    if (picture->reader && random_below(random, 4) == 0)
        close_iter(picture);
    if (!picture->reader)
        open_iter(picture, random);
    size_t count = picture->counts[picture->tree];
    bool forwards = random_below(random, 2);
    for (uint64_t left = 1 + random_below(random, 60); left > 0 && count > 0; left--) {
        if (random_below(random, 10) == 0)
            forwards = !forwards;
        if (picture->place >= count || random_below(random, 25) == 0) {
            seek_somewhere(picture, random);
        } else if (forwards) {
            lsm_iter_next(picture->iter);
            picture->place++;
        } else {
            lsm_iter_prev(picture->iter);
            picture->place = picture->place ? picture->place - 1 : count;
        }
        if (!stands_on(picture, picture->iter, picture->tree, picture->place, "to and fro", reason))
            return false;
    }
    return true;
}
