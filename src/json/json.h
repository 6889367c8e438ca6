/* SPDX-License-Identifier: MIT */
/* The JSON protocol's lines: a request out of one line, replies into a buffer. No socket, no
 * command.
 *
 * JSON is RFC 8259's, strictly: no comments, no NaN, no trailing commas, no lone surrogates, only
 * UTF-8. The last of two equal keys wins; a null is a key that is not there; keys that are not
 * known are ignored. Integers are exact over all of u64. */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include "base/buffer.h"
#include "base/slice.h"

enum { JSON_DEPTH_MAX = 64 };

enum json_action { JSON_WRITE, JSON_WRITE_MANY, JSON_READ, JSON_AUTH };

/* One member of a metadata object. A string is its bytes; any other value is its JSON text as it
 * was written, and `is_json` is set, so that it can be given back with the same type and digits. */
struct json_field {
    struct slice name;
    struct slice value;
    bool is_json;
};

struct json_entry {
    struct slice message;
    bool has_metadata;
    size_t field_first, field_count; /* in json_line.fields */
    bool has_timestamp;
    uint64_t timestamp; /* unix milliseconds */
    struct slice timestamp_text; /* json_record_decode: it was a string */
};

/* A decoded line. Which members mean something depends on the action. Slices point into the line or
 * into the request and are valid until the next decode. Zeroed = empty; reused from line to line.
 */
struct json_line {
    enum json_action action;
    bool has_log;
    struct slice log;           /* all but auth */
    struct json_entry *entries; /* write: one; write_many: as many as were sent, also none */
    size_t entry_count, entry_capacity;
    struct json_field *fields;
    size_t field_count, field_capacity;
    uint64_t start_ts, end_ts; /* read; 0 and UINT64_MAX when they were not sent */
    bool has_limit;
    uint64_t limit;
    bool has_cursor;
    struct slice cursor;
    bool has_user;
    struct slice user, password; /* auth */
    struct buffer unescaped;
    struct json_field **order; /* for looking for equal names */
    size_t order_capacity;
    bool
        keeps_memory; /* set by the caller: the next line may be as large as any before, so that decoding
                        * lines a second time takes no memory */
};

struct json_limits {
    size_t message_bytes_max; /* log-max-message */
};

/* The code of an error that is no fault of the line. */
#define JSON_NO_MEMORY "no_memory"

/* What an error reply says: a code, and either a text or a size that is exceeded. */
struct json_error {
    const char *code; /* static */
    char text[192];   /* empty: `bytes_max` counts */
    uint64_t bytes_max;
    bool has_entry; /* write_many: which entry, from 0 */
    size_t entry;
};

/* Decodes one line, without its line end. false: nothing may be executed, *error is the reply, which
 * may be JSON_NO_MEMORY. */
bool json_line_decode(struct json_line *request, struct slice line,
                      const struct json_limits *limits, struct json_error *error);
/* Decodes a log record, one object of NDJSON, into entries[0]: `message` and `timestamp` (milliseconds,
 * or any string) are picked out, all other members are fields, in the order written. */
bool json_record_decode(struct json_line *request, struct slice line,
                        const struct json_limits *limits, struct json_error *error);
void json_line_release(struct json_line *request);

/* ---- Replies; each ends with a line end. Strings that are not UTF-8 (written through another
 * protocol) are shown with U+FFFD in place of what cannot be read.
 * ---------------------------------- */

void json_error_set(struct json_error *error, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void json_reply_error(struct buffer *out, const struct json_error *error);

void json_reply_ok(struct buffer *out);                  /* {"status":"ok"} */
void json_reply_id(struct buffer *out, struct slice id); /* {"status":"ok","id":"1-0"} */

/* {"status":"ok","ids":["1-0","1-1"]} */
struct json_list {
    struct buffer *out;
    size_t count;
};
void json_reply_ids_begin(struct json_list *list, struct buffer *out);
void json_reply_ids_add(struct json_list *list, struct slice id);
void json_reply_ids_end(struct json_list *list);

/* {"status":"ok","data":[{"timestamp":1,"message":"","metadata":{},"version":1}],"cursor":"..."} */
void json_reply_data_begin(struct json_list *list, struct buffer *out);
void json_reply_data_add(struct json_list *list, uint64_t timestamp, struct slice message,
                         const struct json_field *metadata, size_t metadata_count);
/* The same in parts, when the metadata's fields come one by one: begin, any number of fields, end.
 */
void json_reply_entry_begin(struct json_list *list, uint64_t timestamp, struct slice message);
void json_reply_entry_field(struct json_list *list, bool first, const struct json_field *field);
void json_reply_entry_end(struct json_list *list);
/* `cursor`: where to read on, left out when empty. */
void json_reply_data_end(struct json_list *list, struct slice cursor);

void json_string(struct buffer *out, struct slice text); /* quoted and escaped */

#endif
