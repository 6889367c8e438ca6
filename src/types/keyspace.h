/* SPDX-License-Identifier: MIT */
/* Keys of a database and their headers. An object is a header in TREE_KEYS, found by its key, and
 * parts under (generation, id) in TREE_PARTS and TREE_ENTRIES. The header's bounds decide which parts
 * are alive. */
#ifndef TYPES_KEYSPACE_H
#define TYPES_KEYSPACE_H

#include "types/store.h"

/* On disk; never reuse a number. */
enum object_type { OBJECT_STRING = 1, OBJECT_LIST = 2, OBJECT_STREAM = 3 };

/* What every header has in common; `body` is the type's own part (string.h, list.h, stream.h). */
struct object {
    enum object_type type;
    uint64_t expire_ms; /* unix milliseconds; 0: never */
    uint64_t id;        /* 0: the object has no parts */
    struct slice body;  /* valid until the access ends */
};

/* STATUS_NOT_FOUND when missing or expired. In a write access an expired key is deleted first (a
 * logged deletion, fact "expired"). */
enum status keyspace_find(struct access *access, struct slice key, struct object *object);
/* The same, and STATUS_WRONG_TYPE when it is another type. */
enum status keyspace_find_type(struct access *access, struct slice key, enum object_type type,
                               struct object *object);
/* Writes the header. `old`: what keyspace_find returned, NULL when the key was missing; it keeps the
 * key count and the expiry index right. A type's function deletes old parts itself when it replaces
 * another object: keyspace_remove first. */
void keyspace_put(struct access *access, struct slice key, const struct object *object,
                  const struct object *old);
/* Removes header and parts: O(1) in the size of the object. */
void keyspace_remove(struct access *access, struct slice key, const struct object *object);

/* Commands' verbs. No facts but those named; replies are the caller's. */
enum status keyspace_delete(struct access *access, struct slice key, bool *deleted); /* "del" */
enum status keyspace_rename(struct access *access, struct slice from, struct slice to);
                                   /* NOT_FOUND; "rename_from", "rename_to" ("del" of the old one) */
enum status keyspace_set_expire(struct access *access, struct slice key, const struct object *object,
                                uint64_t expire_ms /* 0: persist */);
uint64_t keyspace_count(struct access *access);        /* DBSIZE; O(1) */
uint64_t keyspace_expires_count(struct access *access); /* keys with a time; O(1) */
void keyspace_flush(struct access *access, unsigned database); /* FLUSHDB; O(1) */
void keyspace_flush_all(struct access *access);
void keyspace_swap(struct access *access, unsigned a, unsigned b); /* SWAPDB; O(1) */

/* SCAN: calls `each` for about `count` keys from the cursor on; *next is 0 at the end. Expired keys
 * are skipped. A call never ends inside one cursor value. */
enum status keyspace_scan(struct access *access, uint64_t cursor, size_t count, uint64_t *next,
                          void (*each)(void *context, struct slice key, const struct object *object),
                          void *context);
/* Deletes up to `limit` keys whose time has come, of all databases; a write access. *more: there may
 * be others that are due. Facts "expired". */
enum status keyspace_expire_due(struct access *access, size_t limit, size_t *expired, bool *more);

#endif
