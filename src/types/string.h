/* SPDX-License-Identifier: MIT */
/* Strings. Up to STRING_INLINE_BYTES_MAX the value sits in the key's header; a longer one lies in
 * pieces of STRING_PIECE_BYTES in TREE_PARTS, so that changing a byte of a large one touches a
 * piece. Bytes: ENCODING.md. Keys and failing reads as in keyspace.h. */
#ifndef TYPES_STRING_H
#define TYPES_STRING_H

#include "types/keyspace.h"

enum {
    STRING_INLINE_BYTES_MAX = 64 * 1024,
    STRING_PIECE_BYTES = 32 * 1024,
    STRING_BYTES_MAX = 512 * 1024 * 1024,
};

/* GET: STATUS_NOT_FOUND, _WRONG_TYPE. *value is valid until the access ends (small), or until the
 * next large value is read through this access. */
enum status string_get(struct access *access, struct slice key, struct slice *value);
/* The same for an object (a string) that was found already, e.g. SET's GET option. */
enum status string_value(struct access *access, const struct object *object, struct slice *value);
/* STRLEN of a found object. STATUS_CORRUPT. */
enum status string_length(const struct object *object, uint64_t *length);

/* How many pieces of a found object are not stored. */
enum status string_count_missing(struct access *access, const struct object *object,
                                 uint64_t *missing);

struct string_set_options {
    uint64_t expire_ms; /* 0: none */
    bool keep_ttl;      /* the old object's time stays; expire_ms is ignored */
};

/* SET. `old`: what keyspace_find returned, of any type; NULL when the key was missing. The value
 * has at most STRING_BYTES_MAX bytes. Facts "set", $, and with expire_ms "expire", g. Cannot fail:
 * what must be read was read by keyspace_find. */
void string_set(struct access *access, struct slice key, struct slice value,
                const struct object *old, const struct string_set_options *options);

#endif
