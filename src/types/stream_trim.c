/* SPDX-License-Identifier: MIT */
/* Finding the new first entry of a stream and moving its bound there.
 *
 * Every entry carries its ordinal, so "keep the newest N" names an ordinal by arithmetic (and the
 * set of deletions). The entry that carries it is found by seeking to guessed IDs: a guess by
 * interpolation between two entries of known ordinals, one beyond the entry when that did not halve the
 * distance, a bisection when neither did, and steps at the end:
 *
 *     first                lo          guess           hi                 last
 *     |--------------------|-----------|---------------|---------------------|
 *     ordinal known        < wanted                    >= wanted (or the end)      */
#include "types/stream_trim.h"

#include "types/stream_deletions.h"
#include "types/stream_late.h"

#include <assert.h>

enum {
    STEPS_MAX = 16, /* nearer than this, walking is cheaper than a seek */
    PROBES_MAX =
        400, /* two a bit of an ID, and some; beyond it the records contradict each other */
    GARBAGE_MIN = 16,   /* records below the first one: no range tombstone for fewer ... */
    GARBAGE_MAX = 1024, /* ... and always one for so many; between them, an eighth of the length */
};

typedef unsigned __int128 wide;

struct search {
    struct lsm_iter *iter;
    const struct stream *stream;
    uint64_t wanted; /* the first entry with an ordinal >= this */
    wide low, high;  /* IDs: the entry lies in (low, high] */
    uint64_t low_ordinal, high_ordinal;
    bool has_found; /* an entry >= wanted; those between low and high may be nearer */
    struct stream_entry found;
};

/* From `first`, which lies within the bounds, to the last one. IDs and ordinals are all that is wanted of them. */
static struct lsm_iter *open_entries(struct access *access, const struct stream *stream,
                                     struct stream_id first)
{
    uint8_t lower[STREAM_ENTRY_KEY_BYTES], upper[STREAM_ENTRY_KEY_BYTES + 1] = {0};
    stream_entry_key_store(lower, stream->prefix, first);
    stream_entry_key_store(upper, stream->prefix, stream->header.last_id);
    return lsm_iter_open(access->reader, TREE_ENTRIES,
                         &(struct lsm_iter_options){.lower = slice_make(lower, sizeof lower),
                                                    .upper = slice_make(upper, sizeof upper),
                                                    .ignore_range_deletes = true,
                                                    .heads = true});
}

/* The entry under the iterator; STATUS_NOT_FOUND at an end. */
static enum status entry_under(struct lsm_iter *iter, struct stream_entry *entry)
{
    if (!lsm_iter_valid(iter)) {
        enum status status = lsm_iter_status(iter);
        return status ? status : STATUS_NOT_FOUND;
    }
    return stream_entry_decode_head(lsm_iter_key(iter), lsm_iter_value(iter), entry);
}

static wide id_to_wide(struct stream_id id)
{
    return (wide)id.ms << 64 | id.seq;
}

static struct stream_id id_from_wide(wide value)
{
    return (struct stream_id){(uint64_t)(value >> 64), (uint64_t)value};
}

static void search_seek(struct search *search, wide id)
{
    uint8_t key[STREAM_ENTRY_KEY_BYTES];
    stream_entry_key_store(key, search->stream->prefix, id_from_wide(id));
    lsm_iter_seek(search->iter, slice_make(key, sizeof key));
}

static void search_note(struct search *search, const struct stream_entry *entry)
{
    search->has_found = true;
    search->found = *entry;
}

/* From an entry below `wanted` forwards. */
static enum status search_walk_up(struct search *search)
{
    for (;;) {
        struct stream_entry entry;
        enum status status = entry_under(search->iter, &entry);
        if (status == STATUS_NOT_FOUND)
            return STATUS_OK;
        if (status)
            return status;
        if (entry.ordinal >= search->wanted) {
            search_note(search, &entry);
            return STATUS_OK;
        }
        lsm_iter_next(search->iter);
    }
}

/* From an entry not below `wanted` backwards. */
static enum status search_walk_down(struct search *search)
{
    for (;;) {
        struct stream_entry entry;
        lsm_iter_prev(search->iter);
        enum status status = entry_under(search->iter, &entry);
        if (status == STATUS_NOT_FOUND)
            return STATUS_OK;
        if (status)
            return status;
        if (entry.ordinal < search->wanted)
            return STATUS_OK;
        search_note(search, &entry);
    }
}

/* How the next ID is guessed. */
enum guess {
    GUESS_NEAR,   /* by interpolation; as long as that halves the distance */
    GUESS_BEYOND, /* by interpolation, as far beyond the entry as the nearer end is before it: most often it then lies between
                     two entries that are both near */
    GUESS_HALF,
};

static wide search_guess(const struct search *search, enum guess how)
{
    wide span = search->high - search->low;
    if (how == GUESS_HALF)
        return search->low + (span - span / 2);
    uint64_t distance = search->high_ordinal - search->low_ordinal;
    uint64_t ahead = search->wanted - search->low_ordinal;
    if (how == GUESS_NEAR) /* a little below, so that the steps go forwards */
        ahead -= ahead / 64;
    else if (ahead < distance / 2)
        ahead += ahead + STEPS_MAX;
    else
        ahead -= distance - ahead < ahead ? distance - ahead : ahead;
    double part = ahead < distance ? (double)ahead / (double)distance : 1;
    wide offset = (wide)((double)span * part);
    if (offset < 1)
        offset = 1;
    return search->low + (offset < span ? offset : span);
}

/* The iterator is behind the guess, at an entry not below `wanted` or at the end. The entry before the guess is the
 * new end of the search: a guess may lie in a gap as wide as all numbers of a millisecond. */
static enum status search_lower_high(struct search *search, bool *done)
{
    struct stream_entry entry;
    enum status status = entry_under(search->iter, &entry);
    if (status == STATUS_NOT_FOUND || (!status && entry.ordinal < search->wanted)) {
        *done = true; /* what is known is the first one */
        return STATUS_OK;
    }
    if (status)
        return status;
    search_note(search, &entry);
    search->high = id_to_wide(entry.id);
    search->high_ordinal = entry.ordinal;
    *done = entry.ordinal - search->wanted <= STEPS_MAX;
    return *done ? search_walk_down(search) : STATUS_OK;
}

/* One seek; *done when the entry is known. */
static enum status search_probe(struct search *search, enum guess how, bool *done)
{
    wide guess = search_guess(search, how);
    struct stream_entry entry;
    search_seek(search, guess);
    enum status status = entry_under(search->iter, &entry);
    if (status == STATUS_NOT_FOUND) {
        lsm_iter_seek_last(search->iter);
        return search_lower_high(search, done);
    }
    if (status)
        return status;
    if (entry.ordinal < search->wanted) {
        search->low = id_to_wide(entry.id);
        search->low_ordinal = entry.ordinal;
        *done = search->wanted - entry.ordinal <= STEPS_MAX;
        return *done ? search_walk_up(search) : STATUS_OK;
    }
    search_note(search, &entry);
    lsm_iter_prev(search->iter);
    return search_lower_high(search, done);
}

static enum status search_run(struct search *search)
{
    if (search->wanted - search->low_ordinal <= STEPS_MAX) {
        search_seek(search, search->low + 1);
        return search_walk_up(search);
    }
    enum guess how = GUESS_NEAR;
    bool done = false;
    for (unsigned probe = 0; !done && search->low < search->high; probe++) {
        if (probe == PROBES_MAX)
            return STATUS_CORRUPT;
        uint64_t distance = search->high_ordinal - search->low_ordinal;
        enum status status = search_probe(search, how, &done);
        if (status)
            return status;
        /* However the records contradict each other. */
        assert(search->low_ordinal < search->wanted);
        assert(search->wanted <= search->high_ordinal);
        bool has_halved = search->high_ordinal - search->low_ordinal <= distance / 2;
        how = has_halved || how == GUESS_HALF ? GUESS_NEAR
              : how == GUESS_NEAR             ? GUESS_BEYOND
                                              : GUESS_HALF;
    }
    return STATUS_OK;
}

/* The first entry with an ordinal >= wanted, which is above first_ordinal. STATUS_NOT_FOUND: none
 * has a record. */
static enum status find_by_ordinal(struct access *access, const struct stream *stream,
                                   uint64_t wanted, struct stream_entry *entry)
{
    const struct stream_header *header = &stream->header;
    assert(wanted > header->first_ordinal);
    struct search search = {
        .stream = stream,
        .wanted = wanted,
        .low = id_to_wide(header->first_id),
        .high = id_to_wide(header->last_id),
        .low_ordinal = header->first_ordinal,
        .high_ordinal = header->next_ordinal,
        .iter = open_entries(access, stream, header->first_id),
    };
    enum status status = search_run(&search);
    if (!status && !search.has_found)
        status = STATUS_NOT_FOUND;
    if (!status)
        *entry = search.found;
    lsm_iter_close(search.iter);
    return status;
}

/* The first entry with an ID >= minid, which lies within the bounds. */
static enum status find_by_id(struct access *access, const struct stream *stream,
                              struct stream_id minid, struct stream_entry *entry)
{
    struct lsm_iter *iter = open_entries(access, stream, minid);
    lsm_iter_seek_first(iter);
    enum status status = entry_under(iter, entry);
    lsm_iter_close(iter);
    return status;
}

/* ---- The plan ------------------------------------------------------------------------------- */

/* The ordinal of the first entry that stays, if trimming is exact; next_ordinal: none stays. */
static enum status exact_target(struct access *access, const struct stream *stream,
                                const struct stream_trim *trim, bool is_pending, uint64_t *ordinal)
{
    const struct stream_header *header = &stream->header;
    *ordinal = header->first_ordinal;
    if (trim->kind == STREAM_TRIM_MAXLEN) {
        if (header->length <= trim->maxlen)
            return STATUS_OK;
        return stream_deletions_select(access, stream, header->length - trim->maxlen, ordinal);
    }
    if (header->length == 0 || stream_id_compare(trim->minid, header->first_id) <= 0)
        return STATUS_OK;
    *ordinal = header->next_ordinal;
    if (stream_id_compare(trim->minid, header->last_id) > 0)
        return STATUS_OK;
    struct stream_entry entry;
    enum status status = STATUS_NOT_FOUND;
    if (!is_pending || header->length > 1)
        status = find_by_id(access, stream, trim->minid, &entry);
    if (status == STATUS_NOT_FOUND) {
        *ordinal -= is_pending;
        return STATUS_OK;
    }
    if (!status && entry.ordinal >= header->next_ordinal)
        return STATUS_CORRUPT;
    if (!status)
        *ordinal = entry.ordinal;
    return status;
}

/* Whole nodes only: the last boundary that is not beyond the target. The stream's end is one. */
static enum status round_target(struct access *access, const struct stream *stream,
                                const struct stream_trim *trim, uint64_t *ordinal)
{
    const struct stream_header *header = &stream->header;
    uint64_t target = *ordinal;
    if (trim->limit > 0 && trim->limit < header->length) {
        uint64_t limit_ordinal;
        enum status status = stream_deletions_select(access, stream, trim->limit, &limit_ordinal);
        if (status)
            return status;
        if (limit_ordinal < target)
            target = limit_ordinal;
    }
    if (target < header->next_ordinal)
        target -= target % trim->node_entries;
    *ordinal = target;
    return STATUS_OK;
}

enum status stream_trim_find(struct access *access, const struct stream *stream,
                             const struct stream_trim *trim, bool is_pending,
                             struct stream_trim_plan *plan)
{
    const struct stream_header *header = &stream->header;
    struct stream_trim_plan found = {0};
    struct stream_entry entry;
    uint64_t target, deleted;
    *plan = found;
    if (trim->kind == STREAM_TRIM_NONE)
        return STATUS_OK;
    enum status status = exact_target(access, stream, trim, is_pending, &target);
    if (!status && trim->node_entries > 0 && target > header->first_ordinal)
        status = round_target(access, stream, trim, &target);
    if (status || target <= header->first_ordinal)
        return status;
    if (target == header->next_ordinal) {
        plan->removed = header->length;
        plan->first_ordinal = header->next_ordinal;
        return STATUS_OK;
    }
    status = is_pending && target == header->next_ordinal - 1
                 ? STATUS_NOT_FOUND
                 : find_by_ordinal(access, stream, target, &entry);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (status == STATUS_NOT_FOUND && !is_pending)
        return STATUS_CORRUPT;
    found.first_ordinal = status ? header->next_ordinal - 1 : entry.ordinal;
    found.first_id = status ? header->last_id : entry.id;
    status = stream_deletions_count(access, stream, header->first_ordinal, found.first_ordinal,
                                    &deleted);
    if (status)
        return status;
    found.removed = found.first_ordinal - header->first_ordinal - deleted;
    if (found.removed >= header->length || deleted > stream_header_deleted_count(header))
        return STATUS_CORRUPT;
    *plan = found;
    return STATUS_OK;
}

/* ---- Moving the bound ----------------------------------------------------------------------- */

static void remove_garbage(struct access *access, struct stream *stream)
{
    struct stream_header *header = &stream->header;
    uint8_t from[STREAM_ENTRY_KEY_BYTES], to[STREAM_ENTRY_KEY_BYTES + 1] = {0};
    bool is_empty = header->length == 0;
    stream_entry_key_store(from, stream->prefix, header->garbage_id);
    stream_entry_key_store(to, stream->prefix, is_empty ? header->last_id : header->first_id);
    /* Up to the first entry without it; up to the last one with it. */
    access_delete_range(access, TREE_ENTRIES, slice_make(from, sizeof from),
                        slice_make(to, STREAM_ENTRY_KEY_BYTES + is_empty));
    header->garbage_ordinal = header->first_ordinal;
    if (!is_empty)
        stream_late_trim_runs(access, stream);
}

static uint64_t garbage_limit(uint64_t length)
{
    uint64_t limit = length / 8;
    if (limit < GARBAGE_MIN)
        return GARBAGE_MIN;
    return limit < GARBAGE_MAX ? limit : GARBAGE_MAX;
}

void stream_move_first(struct access *access, struct stream *stream, struct stream_id id,
                       uint64_t ordinal, bool leaves_records)
{
    struct stream_header *header = &stream->header;
    assert(ordinal > header->first_ordinal);
    bool has_garbage = header->garbage_ordinal < header->first_ordinal;
    if (!has_garbage) {
        header->garbage_id = header->first_id;
        header->garbage_ordinal = leaves_records ? header->first_ordinal : ordinal;
    }
    header->first_ordinal = ordinal;
    header->first_id = header->length > 0 ? id : STREAM_ID_MIN;
    uint64_t garbage = ordinal - header->garbage_ordinal;
    if (garbage > 0 && (header->length == 0 || garbage >= garbage_limit(header->length)))
        remove_garbage(access, stream);
    stream_deletions_reclaim(access, stream);
}

void stream_trim_apply(struct access *access, struct stream *stream,
                       const struct stream_trim_plan *plan, bool is_pending)
{
    struct stream_header *header = &stream->header;
    if (plan->removed == 0)
        return;
    assert(plan->removed <= header->length);
    bool is_all = plan->removed == header->length;
    bool was_alone = is_pending && header->length == 1;
    header->length -= plan->removed;
    stream_move_first(access, stream, plan->first_id,
                      is_all ? header->next_ordinal : plan->first_ordinal, !was_alone);
}
