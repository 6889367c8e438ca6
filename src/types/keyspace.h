/* SPDX-License-Identifier: MIT */
/* Keys of a database and their headers. An object is a header in TREE_KEYS, found by its key, and
 * parts under (generation, id) in TREE_PARTS and TREE_ENTRIES. The header's bounds decide which
 * parts are alive.
 *
 * All functions work on the access's selected database. Whatever reads may return
 * STATUS_WOULD_BLOCK, _IO or _CORRUPT besides what is said; a key longer than STORE_KEY_BYTES_MAX
 * gives STATUS_TOO_LARGE. */
#ifndef TYPES_KEYSPACE_H
#define TYPES_KEYSPACE_H

#include "types/store.h"

/* On disk (5 bits); never reuse a number. */
enum object_type { OBJECT_STRING = 1, OBJECT_LIST = 2, OBJECT_STREAM = 3 };

/* What every header has in common; `body` is the type's own part (string.h, list.h, stream.h). */
struct object {
    enum object_type type;
    uint64_t expire_ms; /* unix milliseconds; 0: never */
    uint64_t id;        /* 0: the object has no parts */
    struct slice body;  /* valid until the access ends */
};

enum { KEYSPACE_PREFETCH_MAX = 16 };
/* Up to KEYSPACE_PREFETCH_MAX keys that the next commands of `database` will probably find: only a hint. `is_locked`:
 * the caller holds the engine's write lock, and may have a batch open; else the access is not open. */
void keyspace_prefetch(struct access *access, unsigned database, bool is_locked,
                       const struct slice *keys, size_t count);
/* The same of an open access, for keys that it will find itself. */
void keyspace_prefetch_own(struct access *access, const struct slice *keys, size_t count);

/* STATUS_NOT_FOUND when missing or expired. In a write access an expired key is deleted first (a
 * logged deletion, fact "expired", x). */
enum status keyspace_find(struct access *access, struct slice key, struct object *object);
/* The same, and what has expired stays: for commands that may still return STATUS_WOULD_BLOCK. */
enum status keyspace_peek(struct access *access, struct slice key, struct object *object);
/* As keyspace_find, and STATUS_WRONG_TYPE when it is another type (*object is filled). */
enum status keyspace_find_type(struct access *access, struct slice key, enum object_type type,
                               struct object *object);
/* Writes the header; whoever changes anything of an object does so, also where the header stays the same
 * (object_copy.h tells by it that an object has changed). `old`: what keyspace_find returned in this access, NULL when the key was
 * missing; it keeps the key count and the expiry index right. When the id differs, the old one's
 * parts are reclaimed. object->body may lie in engine memory or in scratch buffers other than
 * scratch_value. The key was looked up before, so its size is known to be right. */
void keyspace_put(struct access *access, struct slice key, const struct object *object,
                  const struct object *old);
/* Removes header, expiry and parts of what keyspace_find returned. O(1) in its size. */
void keyspace_remove(struct access *access, struct slice key, const struct object *object);

/* Whether the header of a key that is there was written after this moment, of a snapshot that is still held. */
enum status keyspace_changed(struct access *access, struct slice key, lsn_t moment, bool *changed);

/* Commands' verbs. No facts but those named (event, class); replies are the caller's. */
/* A missing key is STATUS_OK and *deleted = false. Fact "del", g. */
enum status keyspace_delete(struct access *access, struct slice key, bool *deleted);
/* The same for count > 0 keys, all or none: each is read before the first is deleted. STATUS_NO_MEMORY. */
enum status keyspace_delete_many(struct access *access, const struct slice *keys, size_t count,
                                 uint64_t *deleted);
/* STATUS_NOT_FOUND: no `from`. `to` is replaced; the time to live moves along. Facts "rename_from",
 * "rename_to", g. O(1): the parts stay where they are. */
enum status keyspace_rename(struct access *access, struct slice from, struct slice to);
/* Sets (0: takes away) the time of an object that keyspace_find returned. */
void keyspace_set_expire(struct access *access, struct slice key, const struct object *object,
                         uint64_t expire_ms);
/* DBSIZE and the keys with a time, as of the access's moment; each a point read. */
enum status keyspace_count(struct access *access, uint64_t *keys, uint64_t *expires);
/* FLUSHDB, FLUSHALL, SWAPDB: O(1). The access's selected database follows. Flushing an empty
 * database writes nothing. STATUS_TOO_LARGE: after 2^32 flushes no generation is left. */
enum status keyspace_flush(struct access *access, unsigned database);
enum status keyspace_flush_all(struct access *access);
void keyspace_swap(struct access *access, unsigned a, unsigned b);

/* SCAN: calls `each` for about `count` (> 0) keys from the cursor on; *next is 0 at the end.
 * Expired keys are skipped. A call never ends inside one cursor value. Cursors are below 2^52;
 * greater ones are at the end. key and object are valid during the call of `each` only. */
enum status keyspace_scan(struct access *access, uint64_t cursor, size_t count, uint64_t *next,
                          void (*each)(void *context, struct slice key,
                                       const struct object *object),
                          void *context);
/* RANDOMKEY: calls `each` for one key that has not expired, chosen by 128 random bits; what it is given is
 * valid during the call only. STATUS_NOT_FOUND: there is none. O(log n), and what has expired and was not
 * deleted yet where it looks.
 *
 * A random position leads to the first key behind it; a random hash, to the first key behind that of the
 * same slot (hash tags fill few slots); up to 15 steps from there make up for gaps of unlike widths. Of n
 * keys without tags most have a chance between a half and one and a half of 1/n. A slot's chance follows
 * the gap before it and not how many keys it has, so keys that share a tag with few others come up more
 * often than those that share one with many. */
enum status keyspace_random(struct access *access, const uint64_t random[2],
                            void (*each)(void *context, struct slice key,
                                         const struct object *object),
                            void *context);
/* A write access (of keyspace_expire_bytes): deletes up to `limit` keys whose time has come, of all
 * databases. *more: others are due too. Facts "expired", x. O(expired): databases where nothing is
 * due cost a comparison. */
enum status keyspace_expire_due(struct access *access, size_t limit, size_t *expired, bool *more);
enum {
    KEYSPACE_DUE_BYTES = 64 * 1024
}; /* keys collected for one batch, and then the one above it */
static inline size_t keyspace_expire_bytes(size_t limit)
{
    return 2 * (KEYSPACE_DUE_BYTES + STORE_KEY_BYTES_MAX) + 128 * limit;
}

#endif
