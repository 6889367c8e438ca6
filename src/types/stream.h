/* SPDX-License-Identifier: MIT */
/* A stream on the engine: a header in TREE_KEYS whose bounds say what is visible, a record an entry
 * in TREE_ENTRIES, and a few index records in TREE_PARTS (deleted ordinals, late event times).
 *
 * A command finds the stream, calls one verb, and is done; a verb that writes also writes the
 * header and notes the facts ("xadd", "xtrim", "xdel"). All reads of a verb come before its first
 * write, so STATUS_WOULD_BLOCK and damage never leave half a change. Costs named O(..) are in the
 * stream's length. A struct stream is used within one access and one thread. */
#ifndef TYPES_STREAM_H
#define TYPES_STREAM_H

#include "types/keyspace.h"
#include "types/stream_entry.h"
#include "types/stream_header.h"

enum {
    STREAM_ENTRY_BYTES_MAX = 1 << 30, /* names and values of one entry */
};

struct stream {
    struct slice key;
    bool exists;
    struct object found;  /* exists: as it stands in the store */
    struct object object; /* as it will be written; id 0: not given yet */
    struct stream_header header;
    uint8_t prefix[OBJECT_PREFIX_BYTES]; /* of its records, once it has an id */
};

/* STATUS_NOT_FOUND, _WRONG_TYPE, _WOULD_BLOCK, _CORRUPT: *stream holds nothing useful then. `key`
 * outlives the stream. */
enum status stream_find(struct access *access, struct slice key, struct stream *stream);
/* The same, but a missing key gives an empty stream, which the first write makes real. */
enum status stream_find_or_new(struct access *access, struct slice key, struct stream *stream);

/* The header as the stream has it now, for types alone; verbs that write do it. */
void stream_header_write(struct access *access, struct stream *stream);

/* ---- Reading ------------------------------------------------------------------------------- */

/* Entries of [first, last], both inclusive, in the order of IDs. */
struct stream_range {
    struct lsm_iter *iter; /* NULL: nothing to read */
    struct stream_id first, last;
    bool is_reverse;
    enum { RANGE_BEGINS, RANGE_ON_ENTRY, RANGE_BEFORE_ENTRY } place;
};

void stream_range_open(struct access *access, const struct stream *stream, struct stream_id first,
                       struct stream_id last, bool is_reverse, struct stream_range *range);
/* STATUS_NOT_FOUND at the end. The entry is valid until the next call. */
enum status stream_range_next(struct stream_range *range, struct stream_entry *entry);
/* Goes on behind `id`, in the direction of reading; the range has just given an entry. */
void stream_range_skip(struct stream_range *range, const struct stream *stream,
                       struct stream_id id);
void stream_range_close(struct stream_range *range);

/* One entry: STATUS_NOT_FOUND if it is not visible. Valid until the access ends. */
enum status stream_get(struct access *access, const struct stream *stream, struct stream_id id,
                       struct stream_entry *entry);
/* The newest entry: STATUS_NOT_FOUND if there is none. `range` keeps the entry valid; the caller
 * closes it in any case. */
enum status stream_last(struct access *access, const struct stream *stream,
                        struct stream_range *range, struct stream_entry *entry);

/* ---- Writing ------------------------------------------------------------------------------- */

struct stream_trim {
    enum { STREAM_TRIM_NONE, STREAM_TRIM_MAXLEN, STREAM_TRIM_MINID } kind;
    uint64_t maxlen;
    struct stream_id minid;
    uint64_t node_entries; /* > 0: approximate, by whole nodes of so many ordinals; 0: exact */
    uint64_t limit;        /* approximate: removes at most so many; 0: no limit */
};

/* Why an ID cannot be given to the next entry. */
enum stream_id_verdict {
    STREAM_ID_OK,
    STREAM_ID_TOO_SMALL, /* not above the last one */
    STREAM_ID_EXHAUSTED, /* the last one was the highest of all */
};

/* The ID that XADD would give now. */
enum stream_id_verdict stream_next_id(const struct stream_header *header,
                                      const struct stream_id_spec *spec, uint64_t now_ms,
                                      struct stream_id *id);

struct stream_input { /* see struct stream_record; one field at least */
    const struct slice *first;
    size_t first_count;
    const struct slice *fields;
    size_t field_count;
    const uint8_t *kinds;
    uint64_t event_ms; /* at most the ID's ms; older: a late entry */
};

/* Memory for encoding entries of at most so many fields with so many bytes; needed for those that may be
 * above MEMORY_SURE_BYTES, before anything is written. STATUS_NO_MEMORY. */
enum status stream_reserve(struct access *access, size_t field_count, size_t field_bytes);

/* Adds one entry with an ID from stream_next_id, then trims. Without a trim: no read at all, two
 * puts. With MAXLEN in the steady state: one seek more. */
enum status stream_add(struct access *access, struct stream *stream, struct stream_id id,
                       const struct stream_input *input, const struct stream_trim *trim);

/* Many entries and one header: _begin, any number of _append, _end. Only _begin can fail. */
enum status stream_append_begin(struct access *access, struct stream *stream);
void stream_append(struct access *access, struct stream *stream, struct stream_id id,
                   const struct stream_input *input);
void stream_append_end(struct access *access, struct stream *stream);

/* One change of the header and at most one range tombstone, whatever is removed; finding the new
 * first entry by its ordinal costs O(log n) seeks. */
enum status stream_trim(struct access *access, struct stream *stream,
                        const struct stream_trim *trim, uint64_t *removed);
/* Deletes those that are there. O(log n) an ID. */
enum status stream_delete(struct access *access, struct stream *stream, const struct stream_id *ids,
                          size_t id_count, uint64_t *removed);

/* What XSETID sets. */
struct stream_set {
    struct stream_id last_id;
    bool has_entries_added, has_max_deleted_id;
    uint64_t entries_added;
    struct stream_id max_deleted_id; /* at most last_id */
};

enum stream_set_verdict {
    STREAM_SET_DONE,
    STREAM_SET_BELOW_ENTRIES,     /* the newest entry has a higher ID */
    STREAM_SET_ADDED_TOO_FEW,     /* there are more entries than were added */
    STREAM_SET_BELOW_MAX_DELETED, /* an entry with a higher ID was deleted */
    STREAM_SET_BELOW_LATE,        /* below the last ID, and there are late entries: their index may name what was above */
};

/* Changes the header, or nothing but *verdict. An empty stream whose last ID goes back gets a new object: records that
 * trimming left behind would become visible when new IDs pass theirs. One read. */
enum status stream_set_ids(struct access *access, struct stream *stream, const struct stream_set *set,
                           enum stream_set_verdict *verdict);

#endif
