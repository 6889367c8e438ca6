/* SPDX-License-Identifier: MIT */
/* A pull reader of JSON text. It goes over the text once, builds nothing, and hands out values as
 * slices of the text, checked to their last byte. */
#ifndef JSON_JSON_READER_H
#define JSON_JSON_READER_H

#include "base/buffer.h"
#include "base/slice.h"

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_value {
    enum json_kind kind;
    struct slice text; /* as written; of a string what stands between the quotes */
    bool has_escapes;  /* a string: text needs json_unescape */
};

struct json_reader {
    const uint8_t *start, *at, *end;
    unsigned depth;
    bool first;        /* an object or array was entered and nothing read of it yet */
    const char *error; /* NULL: none; then `at` is the byte that it is about */
};

void json_reader_init(struct json_reader *reader, struct slice text);
/* Takes one value, whatever is in it. false: reader->error. */
bool json_reader_value(struct json_reader *reader, struct json_value *value);
/* The kind of the value that comes next, by its first byte; nothing is taken. false: none can begin
 * here (no error is set). */
bool json_reader_peek(struct json_reader *reader, enum json_kind *kind);
/* Steps into the object or array that comes next: then ask for members or elements until false. */
bool json_reader_enter(struct json_reader *reader, enum json_kind kind);
/* Takes the next member's key and its colon; the caller then takes the value or enters it. false:
 * the object is over and left behind, or reader->error is set. */
bool json_reader_member(struct json_reader *reader, struct json_value *key);
/* The same for arrays: true: an element comes next. */
bool json_reader_element(struct json_reader *reader);
/* true: only white space is left. */
bool json_reader_ends(struct json_reader *reader);

/* Appends a checked string's bytes; never more than text.size. */
void json_unescape(struct slice text, struct buffer *out);

/* The size of the UTF-8 sequence at `at` (at < end), 0: none is complete and valid here. */
size_t utf8_sequence(const uint8_t *at, const uint8_t *end);
/* How many bytes from `at` on are ASCII that needs no escape. */
size_t json_plain_prefix(const uint8_t *at, const uint8_t *end);

#endif
