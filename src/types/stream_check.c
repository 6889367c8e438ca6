/* SPDX-License-Identifier: MIT */
#include "types/stream_check.h"

#include "base/memory.h"
#include "types/parts_check.h"
#include "types/stream_deletions.h"
#include "types/stream_late.h"

enum {
    TAG = OBJECT_PREFIX_BYTES,
    BODY = TAG + 1,
    DELETIONS_KEY_BYTES = BODY + 1 + 8,
    TIME_KEY_BYTES = BODY + 8 + STREAM_ID_BYTES,
    ID_KEY_BYTES = BODY + STREAM_ID_BYTES,
};

struct run {
    struct stream_id first, last;
};

struct check {
    struct access *access;
    struct stream stream;
    const char **fault;
    uint64_t entries, late; /* visible ones */
    uint64_t garbage;       /* records below the first entry that wait to be given back */
    uint64_t by_time, by_id;
    struct run *runs; /* of late entries, ascending */
    size_t run_count, run_at;
};

static enum status fail(struct check *check, const char *what)
{
    *check->fault = what;
    return STATUS_CORRUPT;
}

/* ---- Entries. -------------------------------------------------------------------------------- */

static enum status check_late_entry(struct check *check, const struct stream_entry *entry)
{
    const struct stream_late_info *late = &check->stream.header.late;
    check->late++;
    if (late->count == 0 || stream_id_compare(entry->id, late->first_id) < 0 ||
        stream_id_compare(entry->id, late->last_id) > 0)
        return fail(check, "a late entry lies outside of the header's bounds of them");
    if (entry->event_ms < late->event_ms_min || entry->event_ms > late->event_ms_max)
        return fail(check, "a late entry's time lies outside of the header's bounds");
    return STATUS_OK;
}

/* Readers jump over runs of late entries: no other may stand in one. */
static enum status check_other_entry(struct check *check, struct stream_id id)
{
    const struct stream_late_info *late = &check->stream.header.late;
    while (check->run_at < check->run_count &&
           stream_id_compare(check->runs[check->run_at].last, id) < 0)
        check->run_at++;
    bool is_in_run = check->run_at < check->run_count &&
                     stream_id_compare(check->runs[check->run_at].first, id) <= 0;
    bool is_in_last = late->run_count > 0 && stream_id_compare(late->run_first_id, id) <= 0;
    return is_in_run || is_in_last
               ? fail(check, "an entry that is not late stands in a run of them")
               : STATUS_OK;
}

/* The ordinals below that are no entries' are as many as those of the set of deletions; asked before
 * and behind every entry, they are the same. */
static enum status check_rank(struct check *check, uint64_t ordinal)
{
    uint64_t deleted, first = check->stream.header.first_ordinal;
    enum status status =
        stream_deletions_count(check->access, &check->stream, first, ordinal, &deleted);
    if (!status && deleted != ordinal - first - check->entries)
        return fail(check, "the set of deletions does not name the ordinals that are missing");
    return status;
}

static enum status check_entry(struct check *check, const struct stream_entry *entry,
                               uint64_t *ordinal_min)
{
    const struct stream_header *header = &check->stream.header;
    struct stream_fields fields = stream_fields_begin(entry);
    struct stream_field field;
    if (entry->ordinal < *ordinal_min || entry->ordinal >= header->next_ordinal)
        return fail(check, "an entry's ordinal is out of order");
    if (check->entries == 0 && (entry->ordinal != header->first_ordinal ||
                                stream_id_compare(entry->id, header->first_id) != 0))
        return fail(check, "the first entry is not the one of the header");
    while (stream_fields_next(&fields, &field))
        ;
    if (fields.is_corrupt)
        return fail(check, "an entry's fields are damaged");
    enum status status = check_rank(check, entry->ordinal);
    if (!status)
        status =
            entry->is_late ? check_late_entry(check, entry) : check_other_entry(check, entry->id);
    *ordinal_min = entry->ordinal + 1;
    check->entries++;
    return status ? status : check_rank(check, entry->ordinal + 1);
}

static enum status check_entries(struct check *check)
{
    struct stream_range range;
    struct stream_entry entry;
    uint64_t ordinal_min = check->stream.header.first_ordinal;
    enum status status = STATUS_OK;
    stream_range_open(check->access, &check->stream, STREAM_ID_MIN, STREAM_ID_MAX, false, &range);
    while (!status && (status = stream_range_next(&range, &entry)) == STATUS_OK)
        status = check_entry(check, &entry, &ordinal_min);
    stream_range_close(&range);
    if (status != STATUS_NOT_FOUND)
        return status;
    if (check->entries != check->stream.header.length)
        return fail(check, "entries are not as many as the header counts");
    return check_rank(check, check->stream.header.next_ordinal);
}

/* Records that are not visible are below the first entry, and the header knows how many at most. */
static enum status check_record(struct check *check, struct slice key)
{
    const struct stream_header *header = &check->stream.header;
    if (key.size != STREAM_ENTRY_KEY_BYTES)
        return fail(check, "a record of an entry has no entry's key");
    struct stream_id id = stream_id_load(key.data + OBJECT_PREFIX_BYTES);
    if (stream_header_covers(header, id))
        return STATUS_OK;
    if (stream_id_compare(id, header->last_id) > 0)
        return fail(check, "a record stands behind the last ID");
    if (check->garbage == header->first_ordinal - header->garbage_ordinal ||
        stream_id_compare(id, header->garbage_id) < 0)
        return fail(check, "records below the first entry will never be given back");
    check->garbage++;
    return STATUS_OK;
}

/* ---- Parts. ---------------------------------------------------------------------------------- */

static enum status see_run(struct check *check, struct slice key, struct slice value)
{
    struct run run = {.last = stream_id_load(key.data + BODY)};
    if (key.size != ID_KEY_BYTES || !slice_take_varint(&value, &run.first.ms) ||
        !slice_take_varint(&value, &run.first.seq) || value.size > 0 ||
        stream_id_compare(run.first, run.last) > 0)
        return fail(check, "a run of late entries is damaged");
    if (check->run_count > 0 &&
        stream_id_compare(check->runs[check->run_count - 1].last, run.first) >= 0)
        return fail(check, "runs of late entries overlap");
    check->runs = memory_resize(check->runs, (check->run_count + 1) * sizeof *check->runs);
    check->runs[check->run_count++] = run;
    return STATUS_OK;
}

/* Every record by ID has one by time. */
static enum status see_late_id(struct check *check, struct slice key, struct slice value)
{
    uint8_t by_time[TIME_KEY_BYTES];
    uint64_t event_ms;
    struct slice none;
    const struct stream_late_info *late = &check->stream.header.late;
    if (key.size != ID_KEY_BYTES || !slice_take_varint(&value, &event_ms) || value.size > 0)
        return fail(check, "a record of the index of late entries is damaged");
    struct stream_id id = stream_id_load(key.data + BODY);
    if (late->count > 0 && stream_id_compare(id, late->first_id) < 0)
        return fail(check, "the index of late entries begins before the header says");
    memcpy(by_time, key.data, OBJECT_PREFIX_BYTES);
    by_time[TAG] = 'L';
    be64_store(by_time + BODY, event_ms);
    stream_id_store(by_time + BODY + 8, id);
    check->by_id++;
    enum status status =
        access_get(check->access, TREE_PARTS, slice_make(by_time, sizeof by_time), &none);
    return status == STATUS_NOT_FOUND ? fail(check, "a late entry is indexed by ID, not by time")
                                      : status;
}

static enum status see_part(struct check *check, struct slice key, struct slice value)
{
    char tag = key.size > TAG ? (char)key.data[TAG] : 0;
    if (tag == 'R')
        return see_run(check, key, value);
    if (tag == 'I')
        return see_late_id(check, key, value);
    if (tag == 'L' && key.size == TIME_KEY_BYTES && value.size == 0) {
        check->by_time++;
        return STATUS_OK;
    }
    if (tag == 'D' && key.size == DELETIONS_KEY_BYTES &&
        key.data[BODY] < check->stream.header.deletion_levels)
        return STATUS_OK;
    return fail(check, "a part of the stream is none");
}

/* Everything in one tree that no range deletion covers. */
static enum status check_tree(struct check *check, enum store_tree tree)
{
    enum status status = STATUS_OK;
    struct lsm_iter *iter = parts_iter_open_object(check->access, tree, check->stream.object.id);
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter) && !status; lsm_iter_next(iter))
        status = tree == TREE_PARTS ? see_part(check, lsm_iter_key(iter), lsm_iter_value(iter))
                                    : check_record(check, lsm_iter_key(iter));
    if (!status)
        status = lsm_iter_status(iter);
    lsm_iter_close(iter);
    return status;
}

/* ---- Late entries. --------------------------------------------------------------------------- */

/* Every visible record of the index is an entry that is late by so much, and there are as many. */
static enum status check_late(struct check *check)
{
    const struct stream_late_info *late = &check->stream.header.late;
    struct stream_late_range range;
    struct stream_moment moment;
    struct stream_entry entry;
    uint64_t count = 0;
    enum status status = STATUS_OK;
    stream_late_range_open(check->access, &check->stream, (struct stream_moment){0},
                           (struct stream_moment){UINT64_MAX, STREAM_ID_MAX}, false, &range);
    while (!status && (status = stream_late_range_next(&range, &moment)) == STATUS_OK) {
        status = stream_get(check->access, &check->stream, moment.id, &entry);
        if (status == STATUS_NOT_FOUND ||
            (!status && (!entry.is_late || entry.event_ms != moment.event_ms)))
            status = fail(check, "the index of late entries names none");
        count++;
    }
    stream_late_range_close(&range);
    if (status != STATUS_NOT_FOUND)
        return status;
    if (count != check->late)
        return fail(check, "a late entry is not in the index of late entries");
    if (check->by_time != late->count || check->by_id != late->count)
        return fail(check, "the index of late entries is not as large as the header counts");
    if (check->run_count > late->run_records)
        return fail(check, "there are more runs of late entries than the header counts");
    return STATUS_OK;
}

enum status stream_check(struct access *access, const struct object *object, const char **fault)
{
    struct check check = {.access = access, .fault = fault, .stream = {.object = *object}};
    const struct stream_header *header = &check.stream.header;
    if (stream_header_decode(object->body, &check.stream.header))
        return fail(&check, "its header is damaged");
    if (header->entries_added < header->length)
        return fail(&check, "the header counts more entries than were added");
    object_prefix_store(check.stream.prefix, access->generation, object->id);
    *fault = "an entry is damaged"; /* what readers call corrupt */
    enum status status = check_tree(&check, TREE_PARTS);
    if (!status)
        status = check_entries(&check);
    if (!status)
        status = check_tree(&check, TREE_ENTRIES);
    if (!status)
        status = check_late(&check);
    memory_free(check.runs);
    return status;
}
