/* SPDX-License-Identifier: MIT */
/* Bytes of tree keys, headers and meta records; pure functions. The formats are drawn in
 * ENCODING.md. Decoders are safe on any input and return STATUS_CORRUPT, or STATUS_UNSUPPORTED for
 * what a newer version may have written. */
#ifndef TYPES_ENCODING_H
#define TYPES_ENCODING_H

#include "base/coding.h"
#include "types/keyspace.h"

/* ---- Keys of TREE_KEYS: generation (4) | position (7) | user key. ---------------------------- */

enum {
    POSITION_BITS = 52, /* slot 14 | hash 38 */
    POSITION_BYTES = 7,
    TREE_KEY_PREFIX_BYTES = 4 + POSITION_BYTES,
};

void position_store(uint8_t at[POSITION_BYTES], uint64_t position);
uint64_t position_load(const uint8_t at[POSITION_BYTES]);
/* Replaces what is in the buffer. */
void tree_key_encode(struct buffer *into, uint32_t generation, uint64_t position,
                     struct slice user_key);
enum status tree_key_decode(struct slice tree_key, uint32_t *generation, uint64_t *position,
                            struct slice *user_key);

/* ---- Headers. -------------------------------------------------------------------------------- */

void header_encode(struct buffer *into, const struct object *object); /* replaces the content */
enum status header_decode(struct slice record, struct object *object);

/* ---- The expiry index: parts of object 0: time (8) | position (7) | user key. ---------------- */

enum { EXPIRY_KEY_PREFIX_BYTES = OBJECT_PREFIX_BYTES + 8 };

void expiry_key_encode(struct buffer *into, uint64_t expire_ms, struct slice tree_key);
/* *suffix: the tree key without its generation. */
enum status expiry_key_decode(struct slice expiry_key, uint64_t *expire_ms, struct slice *suffix);

/* ---- Meta records: generation 0 | tag | ... -------------------------------------------------- */

enum meta_tag { META_STORE = 1, META_MAP = 2, META_IDS = 3, META_COUNTS = 4, META_BUILDS = 5 };
enum { META_KEY_BYTES_MAX = 9, STORE_FORMAT = 1, STORE_BUILDS_MAX = 256 };

/* `generation` is used by META_COUNTS. Returns a slice of `at`. */
struct slice meta_key(uint8_t at[META_KEY_BYTES_MAX], enum meta_tag tag, uint32_t generation);

void meta_store_encode(struct buffer *into, uint64_t hash_seed);
enum status meta_store_decode(struct slice record, uint64_t *hash_seed);

/* The generation that a database has before the map says otherwise. */
static inline uint32_t generation_default(unsigned database)
{
    return database + 1;
}
/* `generations` has STORE_DATABASES_MAX elements. */
void meta_map_encode(struct buffer *into, uint32_t next_generation, const uint32_t *generations);
enum status meta_map_decode(struct slice record, uint32_t *next_generation, uint32_t *generations);

void meta_ids_encode(struct buffer *into, uint64_t first_free_id);
enum status meta_ids_decode(struct slice record, uint64_t *first_free_id);

void meta_counts_encode(struct buffer *into, uint64_t keys, uint64_t expires);
enum status meta_counts_decode(struct slice record, uint64_t *keys, uint64_t *expires);

struct store_build_id {
    uint32_t generation;
    uint64_t id;
};
/* 1 .. STORE_BUILDS_MAX of them. */
void meta_builds_encode(struct buffer *into, const struct store_build_id *builds, size_t count);
enum status meta_builds_decode(struct slice record, struct store_build_id builds[STORE_BUILDS_MAX],
                               size_t *count);

#endif
