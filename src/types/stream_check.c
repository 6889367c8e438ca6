/* SPDX-License-Identifier: MIT */
#include "types/stream_check.h"

#include "types/stream_deletions.h"
#include "types/stream_late.h"

struct check {
    struct access *access;
    struct stream stream;
    const char **fault;
    uint64_t entries, late;
};

static enum status fail(struct check *check, const char *what)
{
    *check->fault = what;
    return STATUS_CORRUPT;
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
    *ordinal_min = entry->ordinal + 1;
    check->entries++;
    check->late += entry->is_late;
    return STATUS_OK;
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
    return STATUS_OK;
}

static enum status check_deletions(struct check *check)
{
    const struct stream_header *header = &check->stream.header;
    uint64_t count;
    enum status status = stream_deletions_count(
        check->access, &check->stream, header->first_ordinal, header->next_ordinal, &count);
    if (!status && count != stream_header_deleted_count(header))
        return fail(check, "the set of deletions is not as large as the header counts");
    return status;
}

/* Every visible record of the index is an entry that is late by so much, and there are as many. */
static enum status check_late(struct check *check)
{
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
    return count == check->late ? STATUS_OK
                                : fail(check, "a late entry is not in the index of late entries");
}

enum status stream_check(struct access *access, const struct object *object, const char **fault)
{
    struct check check = {.access = access, .fault = fault, .stream = {.object = *object}};
    if (stream_header_decode(object->body, &check.stream.header))
        return fail(&check, "its header is damaged");
    object_prefix_store(check.stream.prefix, access->generation, object->id);
    enum status status = check_entries(&check);
    if (!status)
        status = check_deletions(&check);
    return status ? status : check_late(&check);
}
