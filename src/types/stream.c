/* SPDX-License-Identifier: MIT */
/* The verbs of a stream. */
#include "types/stream.h"

#include "base/memory.h"
#include "types/header_hold.h"
#include "types/stream_deletions.h"
#include "types/stream_late.h"
#include "types/stream_trim.h"

#include <assert.h>
#include <stdlib.h>

/* ---- Finding and saving --------------------------------------------------------------------- */

static void write_held(struct access *access, struct slice key, void *decoded)
{
    struct stream *stream = decoded;
    stream->key = key;
    stream_header_write(access, stream);
}

static const struct header_hold_kind hold_kind = {sizeof(struct stream), write_held};
_Static_assert(sizeof(struct stream) <= HEADER_HOLD_BYTES_MAX, "it can be held");

/* Straight into the stream, which is large: this is on the way of every XADD. */
enum status stream_find(struct access *access, struct slice key, struct stream *stream)
{
    if (header_hold_take(access, key, &hold_kind, stream)) {
        stream->key = key;
        return STATUS_OK;
    }
    enum status status = keyspace_find_type(access, key, OBJECT_STREAM, &stream->found);
    if (!status)
        status = stream_header_decode(stream->found.body, &stream->header);
    if (status)
        return status;
    stream->key = key;
    stream->exists = true;
    stream->object = stream->found;
    object_prefix_store(stream->prefix, access->generation, stream->found.id);
    return STATUS_OK;
}

enum status stream_find_or_new(struct access *access, struct slice key, struct stream *stream)
{
    enum status status = stream_find(access, key, stream);
    if (status != STATUS_NOT_FOUND)
        return status;
    *stream = (struct stream){.key = key, .object = {.type = OBJECT_STREAM}};
    return STATUS_OK;
}

/* Before the first record is written. */
static void stream_give_id(struct access *access, struct stream *stream)
{
    if (stream->object.id != 0)
        return;
    stream->object.id = access_new_id(access);
    object_prefix_store(stream->prefix, access->generation, stream->object.id);
}

void stream_header_write(struct access *access, struct stream *stream)
{
    uint8_t body[STREAM_HEADER_BYTES_MAX];
    stream->object.body = slice_make(body, stream_header_encode(&stream->header, body));
    keyspace_put(access, stream->key, &stream->object, stream->exists ? &stream->found : NULL);
    stream->object.body = slice_make(NULL, 0);
}

static void stream_save(struct access *access, struct stream *stream)
{
    assert(stream->object.id != 0);
    stream->found.body = stream->object.body = slice_make(NULL, 0);
    if (!stream->exists || !header_hold_keep(access, stream->key, &hold_kind,
                                             stream->object.expire_ms, stream))
        stream_header_write(access, stream);
}

/* ---- Adding --------------------------------------------------------------------------------- */

enum stream_id_verdict stream_next_id(const struct stream_header *header,
                                      const struct stream_id_spec *spec, uint64_t now_ms,
                                      struct stream_id *id)
{
    struct stream_id next = spec->id;
    struct stream_id last = header->last_id;
    if (stream_id_compare(last, STREAM_ID_MAX) == 0)
        return STREAM_ID_EXHAUSTED;
    if (spec->kind == STREAM_ID_AUTO) {
        next = (struct stream_id){now_ms, 0};
        if (now_ms <= last.ms) {
            next = last;
            (void)stream_id_increment(&next); /* last is not the highest */
        }
    } else if (spec->kind == STREAM_ID_AUTO_SEQ && next.ms == last.ms) {
        if (last.seq == UINT64_MAX)
            return STREAM_ID_TOO_SMALL;
        next.seq = last.seq + 1;
    }
    if (stream_id_compare(next, last) <= 0)
        return STREAM_ID_TOO_SMALL;
    *id = next;
    return STREAM_ID_OK;
}

/* The entry's place in the header. Returns its ordinal. */
static uint64_t header_add(struct stream_header *header, struct stream_id id)
{
    assert(stream_id_compare(id, header->last_id) > 0);
    uint64_t ordinal = header->next_ordinal++;
    if (header->length++ == 0)
        header->first_id = id;
    header->entries_added++;
    header->last_id = id;
    return ordinal;
}

static void put_record(struct access *access, const struct stream *stream, struct stream_id id,
                       uint64_t ordinal, const struct stream_input *input)
{
    assert(input->event_ms <= id.ms);
    uint8_t key[STREAM_ENTRY_KEY_BYTES];
    stream_entry_key_store(key, stream->prefix, id);
    stream_record_encode(&(struct stream_record){.ordinal = ordinal,
                                                 .late_ms = id.ms - input->event_ms,
                                                 .first = input->first,
                                                 .first_count = input->first_count,
                                                 .fields = input->fields,
                                                 .field_count = input->field_count,
                                                 .kinds = input->kinds},
                         &access->scratch_value);
    access_put(access, TREE_ENTRIES, slice_make(key, sizeof key),
               buffer_slice(&access->scratch_value));
}

enum status stream_reserve(struct access *access, size_t field_count, size_t field_bytes)
{
    size_t bytes = stream_record_bytes_max(field_count, field_bytes);
    if (bytes <= MEMORY_SURE_BYTES)
        return STATUS_OK;
    buffer_clear(&access->scratch_value);
    return buffer_try_reserve(&access->scratch_value, bytes);
}

enum status stream_append_begin(struct access *access, struct stream *stream)
{
    if (stream->header.late.count > 0) {
        struct stream_late_dead dead;
        enum status status = stream_late_find_dead(access, stream, &dead);
        if (status)
            return status;
        stream_late_remove_dead(access, stream, &dead);
    }
    stream_give_id(access, stream);
    return STATUS_OK;
}

void stream_append(struct access *access, struct stream *stream, struct stream_id id,
                   const struct stream_input *input)
{
    uint64_t ordinal = header_add(&stream->header, id);
    put_record(access, stream, id, ordinal, input);
    stream_late_note_add(access, stream, id, input->event_ms);
}

void stream_append_end(struct access *access, struct stream *stream)
{
    stream_save(access, stream);
    access_fact(access, 't', "xadd", stream->key);
}

enum status stream_add(struct access *access, struct stream *stream, struct stream_id id,
                       const struct stream_input *input, const struct stream_trim *trim)
{
    struct stream_trim_plan plan = {0};
    uint64_t ordinal = header_add(&stream->header, id);
    enum status status = stream_trim_find(access, stream, trim, true, &plan);
    if (!status)
        status = stream_append_begin(access, stream);
    if (status)
        return status;
    /* An entry that its own trim removes leaves no record. */
    if (plan.removed < stream->header.length) {
        put_record(access, stream, id, ordinal, input);
        stream_late_note_add(access, stream, id, input->event_ms);
    }
    stream_trim_apply(access, stream, &plan, true);
    stream_append_end(access, stream);
    if (plan.removed > 0)
        access_fact(access, 't', "xtrim", stream->key);
    return STATUS_OK;
}

/* ---- Trimming ------------------------------------------------------------------------------- */

enum status stream_trim(struct access *access, struct stream *stream,
                        const struct stream_trim *trim, uint64_t *removed)
{
    struct stream_trim_plan plan;
    struct stream_late_dead dead;
    enum status status = stream_trim_find(access, stream, trim, false, &plan);
    if (!status && plan.removed > 0)
        status = stream_late_find_dead(access, stream, &dead);
    if (status)
        return status;
    *removed = plan.removed;
    if (plan.removed == 0)
        return STATUS_OK;
    stream_late_remove_dead(access, stream, &dead);
    stream_trim_apply(access, stream, &plan, false);
    stream_save(access, stream);
    access_fact(access, 't', "xtrim", stream->key);
    return STATUS_OK;
}

/* ---- Deleting ------------------------------------------------------------------------------- */

struct victim {
    struct stream_id id;
    uint64_t ordinal;
    uint64_t event_ms;
    bool is_late;
};

static int compare_victims(const void *a, const void *b)
{
    return stream_id_compare(((const struct victim *)a)->id, ((const struct victim *)b)->id);
}

/* Those of the IDs that are visible, ascending, each once. */
static enum status find_victims(struct access *access, const struct stream *stream,
                                const struct stream_id *ids, size_t id_count,
                                struct victim *victims, size_t *victim_count)
{
    size_t count = 0;
    for (size_t i = 0; i < id_count; i++) {
        struct stream_entry entry;
        enum status status = stream_get(access, stream, ids[i], &entry);
        if (status == STATUS_NOT_FOUND)
            continue;
        if (status)
            return status;
        victims[count++] = (struct victim){entry.id, entry.ordinal, entry.event_ms, entry.is_late};
    }
    qsort(victims, count, sizeof *victims, compare_victims);
    size_t unique = 0;
    for (size_t i = 0; i < count; i++)
        if (unique == 0 || compare_victims(&victims[unique - 1], &victims[i]) != 0)
            victims[unique++] = victims[i];
    *victim_count = unique;
    return STATUS_OK;
}

/* The first entry that is not among the victims, which are not all entries. *passed: victims before
 * it. */
static enum status find_survivor(struct access *access, const struct stream *stream,
                                 const struct victim *victims, size_t count,
                                 struct stream_entry *survivor, size_t *passed)
{
    struct stream_range range;
    struct stream_entry entry;
    size_t next = 0;
    enum status status;
    stream_range_open(access, stream, stream->header.first_id, STREAM_ID_MAX, false, &range);
    while ((status = stream_range_next(&range, &entry)) == STATUS_OK) {
        if (next == count || stream_id_compare(entry.id, victims[next].id) != 0) {
            *survivor = entry;
            *passed = next;
            break;
        }
        next++;
    }
    stream_range_close(&range);
    return status == STATUS_NOT_FOUND ? STATUS_CORRUPT : status;
}

static void delete_records(struct access *access, struct stream *stream,
                           const struct victim *victims, size_t count)
{
    struct stream_header *header = &stream->header;
    for (size_t i = 0; i < count; i++) {
        uint8_t key[STREAM_ENTRY_KEY_BYTES];
        stream_entry_key_store(key, stream->prefix, victims[i].id);
        access_delete(access, TREE_ENTRIES, slice_make(key, sizeof key));
        if (victims[i].is_late)
            stream_late_note_delete(access, stream, victims[i].id, victims[i].event_ms);
    }
    if (stream_id_compare(victims[count - 1].id, header->max_deleted_id) > 0)
        header->max_deleted_id = victims[count - 1].id;
}

/* What a deletion will do to the bounds, found before it is done. */
struct delete_plan {
    bool is_all;
    size_t passed;                /* victims below the new first entry */
    struct stream_entry survivor; /* the new first entry, if passed > 0 and not is_all */
    struct stream_late_dead dead;
    struct stream_deletions_plan deletions;
};

/* Whether the header can stand what is planned: the records may contradict it, after a repair. */
static bool delete_fits(const struct stream *stream, const struct victim *victims, size_t count,
                        const struct delete_plan *plan)
{
    const struct stream_header *header = &stream->header;
    uint64_t late = 0, least = header->first_ordinal;
    uint64_t late_left = plan->dead.all ? 0 : header->late.count - plan->dead.count;
    for (size_t i = 0; i < count; i++) {
        if (victims[i].ordinal < least || victims[i].ordinal >= header->next_ordinal)
            return false;
        least = victims[i].ordinal + 1;
        late += victims[i].is_late;
    }
    if (count > header->length || late > late_left)
        return false;
    if (plan->is_all || plan->passed == 0)
        return true;
    uint64_t first = plan->survivor.ordinal, length = header->length - count;
    if (first <= header->first_ordinal || first >= header->next_ordinal)
        return false;
    uint64_t span = header->next_ordinal - first;
    bool has_set = header->deletion_levels > 0 || count > plan->passed;
    return has_set ? length <= span : length == span;
}

static enum status delete_find(struct access *access, const struct stream *stream,
                               const struct victim *victims, size_t count, const uint64_t *ordinals,
                               struct delete_plan *plan)
{
    enum status status = STATUS_OK;
    plan->is_all = count == stream->header.length;
    plan->passed = plan->is_all ? count : 0;
    if (!plan->is_all && victims[0].ordinal == stream->header.first_ordinal)
        status = find_survivor(access, stream, victims, count, &plan->survivor, &plan->passed);
    if (!status)
        status = stream_deletions_find(access, stream, ordinals + plan->passed,
                                       count - plan->passed, &plan->deletions);
    if (!status)
        status = stream_late_find_dead(access, stream, &plan->dead);
    if (!status && !delete_fits(stream, victims, count, plan))
        status = STATUS_CORRUPT;
    return status;
}

static void delete_apply(struct access *access, struct stream *stream, const struct victim *victims,
                         size_t count, const struct delete_plan *plan)
{
    struct stream_header *header = &stream->header;
    stream_late_remove_dead(access, stream, &plan->dead);
    delete_records(access, stream, victims, count);
    stream_deletions_apply(access, stream, &plan->deletions);
    header->length -= count;
    if (plan->is_all)
        stream_move_first(access, stream, STREAM_ID_MIN, header->next_ordinal, false);
    else if (plan->passed > 0)
        stream_move_first(access, stream, plan->survivor.id, plan->survivor.ordinal, false);
    stream_save(access, stream);
    access_fact(access, 't', "xdel", stream->key);
}

enum status stream_delete(struct access *access, struct stream *stream, const struct stream_id *ids,
                          size_t id_count, uint64_t *removed)
{
    struct delete_plan plan = {0};
    size_t count = 0;
    struct victim *victims = memory_ask_allocate(id_count * sizeof *victims);
    uint64_t *ordinals = victims ? memory_ask_allocate(id_count * sizeof *ordinals) : NULL;
    enum status status = STATUS_NO_MEMORY;
    if (ordinals)
        status = find_victims(access, stream, ids, id_count, victims, &count);
    for (size_t i = 0; i < count; i++)
        ordinals[i] = victims[i].ordinal;
    if (!status && count > 0)
        status = delete_find(access, stream, victims, count, ordinals, &plan);
    if (!status && count > 0)
        delete_apply(access, stream, victims, count, &plan);
    if (!status)
        *removed = count;
    stream_deletions_plan_release(&plan.deletions);
    memory_free(ordinals);
    memory_free(victims);
    return status;
}

/* ---- Setting IDs ---------------------------------------------------------------------------- */

/* In the order in which Redis asks. */
static enum status check_set(struct access *access, const struct stream *stream,
                             const struct stream_set *set, enum stream_set_verdict *verdict)
{
    const struct stream_header *header = &stream->header;
    struct stream_range range;
    struct stream_entry newest;
    *verdict = STREAM_SET_DONE;
    if (header->length > 0) {
        enum status status = stream_last(access, stream, &range, &newest);
        if (!status && stream_id_compare(set->last_id, newest.id) < 0)
            *verdict = STREAM_SET_BELOW_ENTRIES;
        stream_range_close(&range);
        if (status)
            return status;
        if (!*verdict && set->has_entries_added && set->entries_added < header->length)
            *verdict = STREAM_SET_ADDED_TOO_FEW;
    }
    if (!*verdict && !set->has_max_deleted_id &&
        stream_id_compare(set->last_id, header->max_deleted_id) < 0)
        *verdict = STREAM_SET_BELOW_MAX_DELETED;
    if (!*verdict && header->length > 0 && header->late.count > 0 &&
        stream_id_compare(set->last_id, header->last_id) < 0)
        *verdict = STREAM_SET_BELOW_LATE;
    return STATUS_OK;
}

enum status stream_set_ids(struct access *access, struct stream *stream,
                           const struct stream_set *set, enum stream_set_verdict *verdict)
{
    struct stream_header *header = &stream->header;
    enum status status = check_set(access, stream, set, verdict);
    if (status || *verdict)
        return status;
    if (header->length == 0 && stream_id_compare(set->last_id, header->last_id) < 0) {
        *header = (struct stream_header){.entries_added = header->entries_added,
                                         .max_deleted_id = header->max_deleted_id};
        stream->object.id = 0;
        stream_give_id(access, stream);
    }
    header->last_id = set->last_id;
    if (set->has_entries_added)
        header->entries_added = set->entries_added;
    if (set->has_max_deleted_id)
        header->max_deleted_id = set->max_deleted_id;
    stream_save(access, stream);
    access_fact(access, 't', "xsetid", stream->key);
    return STATUS_OK;
}
