/* SPDX-License-Identifier: MIT */
/* Strings. Up to STRING_INLINE_BYTES_MAX the value sits in the key's header; a longer one lies in
 * pieces of STRING_PIECE_BYTES in TREE_PARTS, so that reading or changing a part of a large one touches
 * the pieces that it lies in. Bytes: ENCODING.md. Keys and failing reads as in keyspace.h. */
#ifndef TYPES_STRING_H
#define TYPES_STRING_H

#include "types/keyspace.h"

enum {
    STRING_INLINE_BYTES_MAX = 64 * 1024,
    STRING_PIECE_BYTES = 32 * 1024,
    STRING_BYTES_MAX = 512 * 1024 * 1024,
};

/* ---- Reading: objects (strings) that were found. ---------------------------------------------- */

/* STRLEN. STATUS_CORRUPT. */
enum status string_length(const struct object *object, uint64_t *length);

/* Gets a part of a string in order: some bytes, and so many zeros behind them that are not stored; the
 * bytes are valid during the call. false: it has seen enough. */
struct string_visitor {
    bool (*visit)(void *context, struct slice bytes, uint64_t zeros);
    void *context;
};
/* [offset, offset + size), which lies in the string. Holds one piece at a time, of a long part. */
enum status string_visit(struct access *access, const struct object *object, uint64_t offset,
                         uint64_t size, const struct string_visitor *visitor);
/* The same as one slice: a piece's or the header's own bytes where it lies in one, else put together,
 * and valid until the next such read of this access. STATUS_NO_MEMORY. */
enum status string_read(struct access *access, const struct object *object, uint64_t offset,
                        uint64_t size, struct slice *bytes);
/* All of it. */
enum status string_value(struct access *access, const struct object *object, struct slice *value);
/* The value of a key: STATUS_NOT_FOUND, _WRONG_TYPE. */
enum status string_get(struct access *access, struct slice key, struct slice *value);

/* How many pieces of a found object are not stored. */
enum status string_count_missing(struct access *access, const struct object *object,
                                 uint64_t *missing);

/* ---- Writing. `old`: what keyspace_find returned, NULL when the key was missing. -------------- */

struct string_set_options {
    uint64_t expire_ms; /* 0: none */
    bool keep_ttl;      /* the old object's time stays; expire_ms is ignored */
};

/* SET; `old` may be of any type. The value has at most STRING_BYTES_MAX bytes. Facts "set", $, and with
 * expire_ms "expire", g. Cannot fail: what must be read was read by keyspace_find. */
void string_set(struct access *access, struct slice key, struct slice value,
                const struct object *old, const struct string_set_options *options);
/* MSET: `pairs` holds `count` (> 0) times a key and its value; a key's last one counts. All keys are found before one
 * is written. *written is false where `only_new`, and one of them is there. A fact "set" each. STATUS_NO_MEMORY. */
enum status string_set_many(struct access *access, const struct slice *pairs, size_t count,
                            bool only_new, bool *written);
/* Another value in the place of a string's, whose time stays. Fact `event`, $. */
void string_replace(struct access *access, struct slice key, struct slice value,
                    const struct object *old, const char *event);
/* Writes bytes (one at least, up to STRING_BYTES_MAX) at an offset of a string; what lies between its end and
 * them becomes zeros. Its time stays. Reads the first and the last piece that it changes, if they do
 * not change as a whole, and writes those it changes. Fact `event`, $. `bytes` does not come from
 * string_read of this access. On failure, which may be access_reserve's, nothing was written. */
enum status string_write(struct access *access, struct slice key, const struct object *old,
                         uint64_t offset, struct slice bytes, const char *event);

#endif
