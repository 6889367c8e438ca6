/* SPDX-License-Identifier: MIT */
/* libcordwood: logs in a directory. The directory is one of cordwood-server's: what one writes the other
 * reads, one at a time; a log is a stream of database 0 there, LOG.WRITE and LOG.RANGE are the same.
 *
 * An entry has a message, perhaps a level, any other fields, and a time. Its ID is its time, unless an
 * entry of a later time is there already: late ones get the next ID and keep their time. Reading goes by
 * time. Ownership, threads, durability and results are as in cordwood.h; a range is for one thread at a
 * time. */
#ifndef CORDWOOD_LOG_H
#define CORDWOOD_LOG_H

#include "lib/cordwood.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cordwood_logs;
struct cordwood_log_range;

enum { CORDWOOD_LOG_NAME_BYTES_MAX = 512 * 1024 };

/* As cordwood_open; `trees`, must_exist and read_only are not for logs: CORDWOOD_INVALID. */
CORDWOOD_API enum cordwood_status cordwood_logs_open(const char *directory,
                                                     const struct cordwood_options *options,
                                                     struct cordwood_error *error,
                                                     struct cordwood_logs **logs);
/* As cordwood_close: all ranges are closed. */
CORDWOOD_API enum cordwood_status cordwood_logs_close(struct cordwood_logs *logs);
/* As cordwood_sync, cordwood_work, cordwood_request_flush, cordwood_checkpoint. */
CORDWOOD_API enum cordwood_status cordwood_logs_sync(struct cordwood_logs *logs);
CORDWOOD_API bool cordwood_logs_work(struct cordwood_logs *logs);
CORDWOOD_API void cordwood_logs_request_flush(struct cordwood_logs *logs);
CORDWOOD_API enum cordwood_status cordwood_logs_checkpoint(struct cordwood_logs *logs,
                                                           const char *directory,
                                                           struct cordwood_error *error);
/* As cordwood_repair, and logs that are half there are made whole. cordwood_verify is for both. */
CORDWOOD_API enum cordwood_status
cordwood_logs_repair(const char *directory, void (*each)(void *context, const char *line),
                     void *context);

/* ---- Entries ------------------------------------------------------------------------------- */

/* The layout of these structs is final. */

struct cordwood_log_id {
    uint64_t ms;
    uint64_t sequence;
};

struct cordwood_log_field {
    struct cordwood_slice name, value;
    bool is_json; /* the value is the text of a JSON value that is not a string */
};

struct cordwood_log_entry {
    struct cordwood_log_id id; /* read only: what append gave it */
    uint64_t time_ms;          /* unix time; appended with 0: now */
    struct cordwood_slice message;
    struct cordwood_slice level; /* trace debug info notice warn error crit alert emerg, or a usual
                                    * other name; empty: none */
    const struct cordwood_log_field *fields; /* the others */
    size_t field_count;
};

/* Writes them in their order, all or none; the log is made if missing. `ids` (may be NULL) has room
 * for `count`. CORDWOOD_INVALID: an unknown level, none at all; CORDWOOD_TOO_LARGE: more than
 * options.batch_bytes_max, or no ID is left; CORDWOOD_WRONG_TYPE. */
CORDWOOD_API enum cordwood_status cordwood_log_append(struct cordwood_logs *logs,
                                                      struct cordwood_slice name,
                                                      const struct cordwood_log_entry *entries,
                                                      size_t count, struct cordwood_log_id *ids);
/* CORDWOOD_NOT_FOUND: there is no such log. */
CORDWOOD_API enum cordwood_status cordwood_log_length(struct cordwood_logs *logs,
                                                      struct cordwood_slice name, uint64_t *length);
/* Deletes the entries with an ID below `ms`. Costs next to nothing, whatever their number. */
CORDWOOD_API enum cordwood_status cordwood_log_trim(struct cordwood_logs *logs,
                                                    struct cordwood_slice name, uint64_t ms,
                                                    uint64_t *removed);
CORDWOOD_API enum cordwood_status cordwood_log_delete(struct cordwood_logs *logs,
                                                      struct cordwood_slice name);

/* ---- Reading by time ----------------------------------------------------------------------- */

struct cordwood_log_range_options {
    size_t struct_bytes; /* sizeof(struct cordwood_log_range_options) */
    uint64_t first_ms;
    uint64_t last_ms; /* inclusive, as first_ms is */
    bool is_reverse;  /* the newest first */
};
#define CORDWOOD_LOG_RANGE_OPTIONS                                      \
    {                                                                   \
        sizeof(struct cordwood_log_range_options), 0, UINT64_MAX, false \
    }

/* The entries between two times, in the order of time, as the log is now. `options` NULL: all. A range
 * counts as an open iterator. CORDWOOD_NOT_FOUND, _WRONG_TYPE, _BUSY. */
CORDWOOD_API enum cordwood_status
cordwood_log_range_open(struct cordwood_logs *logs, struct cordwood_slice name,
                        const struct cordwood_log_range_options *options,
                        struct cordwood_log_range **range);
/* CORDWOOD_NOT_FOUND at the end. What the entry points to stays until the next call. Fields that the log
 * has without these names (from XADD) give an entry without a message. */
CORDWOOD_API enum cordwood_status cordwood_log_range_next(struct cordwood_log_range *range,
                                                          struct cordwood_log_entry *entry);
CORDWOOD_API void cordwood_log_range_close(struct cordwood_log_range *range); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif
