/* SPDX-License-Identifier: MIT */
/* An object that is built beside the keys, under an id that no header names yet, and then linked.
 *
 *   begin   put, put ... [spill] put ... [spill]   ready?   link, keyspace_put
 *
 * A small one is written by the batch that links it. Of a large one whole batches go ahead (spill), without
 * the command's lock: the record of builds (ENCODING.md) names the id from the first of them on, so that
 * a start gives back what a crash left unlinked. Nobody sees anything of it before its header is there.
 *
 * One thread at a time. What is said of locks: the engine's write lock. */
#ifndef TYPES_OBJECT_BUILD_H
#define TYPES_OBJECT_BUILD_H

#include "types/keyspace.h"

enum {
    OBJECT_BUILD_INLINE_BYTES = 64 * 1024, /* what a command may make under the lock */
    OBJECT_BUILD_BATCH_BYTES = 1 << 20,    /* what goes into one batch */
};

struct object_build {
    struct store *store;
    unsigned database;
    uint32_t generation; /* of the database, when the build began */
    uint64_t id;         /* 0: nothing of it is in the store yet */
    bool is_linked;
    bool is_small; /* it must fit into OBJECT_BUILD_INLINE_BYTES and is never spilled */
    /* Unless it is small: makes room with object_build_spill when a batch is full. */
    enum status (*full)(void *context, struct object_build *build);
    void *context;
    struct buffer
        records; /* not in the store yet: tree (1) | sized key behind the prefix | sized value ... */
    size_t bytes;         /* that a batch needs for them */
    struct access access; /* of spills */
};

/* For the selected database of an access. */
void object_build_begin(struct object_build *build, struct access *access, bool is_small);
/* A record of the object; `key` is what stands behind the prefix (id). STATUS_NO_MEMORY, _TOO_LARGE (for a
 * small one), and what `full` returns. */
enum status object_build_put(struct object_build *build, enum store_tree tree, struct slice key,
                             struct slice value);
/* Whether the record still belongs to this batch (a large record has one for itself). */
bool object_build_fits(const struct object_build *build, struct slice key, struct slice value);
/* Writes what there is, in a batch of its own; takes the lock. STATUS_CONFLICT: the database was emptied
 * or swapped since. STATUS_BUSY: too many builds at once. Otherwise as access_begin_write. */
enum status object_build_spill(struct object_build *build);
/* In a write access with its database selected: false if the database was emptied or swapped since. */
bool object_build_is_current(const struct object_build *build, const struct access *access);
/* In a write access, begun for object_build_link_bytes more: writes the rest and returns the id, for
 * keyspace_put. Cannot fail. */
uint64_t object_build_link(struct object_build *build, struct access *access);
size_t object_build_link_bytes(const struct object_build *build);
/* Gives back what was not linked; takes the lock if anything of it is in the store. A zeroed one is fine. */
void object_build_release(struct object_build *build);

/* ---- For store.c. ---------------------------------------------------------------------------- */

/* At the start: gives back what the last run left unlinked. Where there is no room for that, the next start,
 * or the next build, does it. */
void object_builds_sweep(struct store *store);

#endif
