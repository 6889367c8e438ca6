/* SPDX-License-Identifier: MIT */
/* The inside of struct store, shared by store.c, access.c, keyspace.c and expiry.c.
 *
 * The map says which generation of keys a database has. The writer changes `databases` inside a
 * batch; readers look at `published`, which follows when the batch is visible. A reader that pinned
 * an older moment than the published map finds that out by LSN (access_begin_read). */
#ifndef TYPES_STORE_STATE_H
#define TYPES_STORE_STATE_H

#include "types/encoding.h"
#include "types/slot.h"
#include "types/store.h"

#include <stdatomic.h>

enum { STORE_IDS_RESERVED = 1024 }; /* at a time; so many may be lost at a crash */

#define STORE_EXPIRE_NEVER UINT64_MAX

/* Guarded by the engine's write lock. */
struct store_database {
    uint32_t generation;
    bool counts_changed; /* in the open batch; listed in store.changed */
    uint64_t key_count;
    uint64_t expires_count;
    uint64_t expire_hint_ms; /* no key's time is before this; STORE_EXPIRE_NEVER: none has one */
};

/* An object that is being built, object_build.h. */
struct store_build {
    struct store_build_id id;
    bool is_abandoned; /* nobody will link it: its parts are to be given back */
};

struct store {
    struct env env;
    struct lsm *engine;
    unsigned database_count;
    uint64_t hash_seed; /* secret of the store, against crafted collisions */
    struct slot_table slots;
    uint32_t build_bytes_max;

    /* Guarded by the engine's write lock. */
    struct store_database databases[STORE_DATABASES_MAX]; /* all that the map may name */
    unsigned changed[STORE_DATABASES_MAX]; /* databases whose counts the open batch changed */
    unsigned changed_count;
    uint32_t next_generation;
    struct store_build builds[STORE_BUILDS_MAX];
    size_t build_count;
    uint64_t next_id, reserved_id; /* ids below reserved_id may be given without writing */

    /* The map for readers. Even version: stable. The stores of map_lsn and published lie between
     * two increments of map_version (release), which pair with access_begin_read's two loads
     * (acquire). */
    _Atomic uint64_t map_version;
    _Atomic lsn_t map_lsn; /* of the batch that made the published map */
    _Atomic lsn_t
        map_pending_lsn; /* of the newest batch that changes it, set before it is visible */
    _Atomic uint32_t published[STORE_DATABASES_MAX];
};

/* Key or expires count of a database changed: access_end writes them with the batch. */
static inline void store_counts_changed(struct store *store, unsigned database)
{
    if (!store->databases[database].counts_changed)
        store->changed[store->changed_count++] = database;
    store->databases[database].counts_changed = true;
}
/* The batch's writer, to write: from now on reads wait, so that a command is not stopped half done.
 */
struct lsm_writer *access_writer(struct access *access);
/* Puts a record of the whole store (not META_COUNTS). */
void store_put_everywhere(struct lsm_writer *writer, enum meta_tag tag, struct slice record);
/* Writes the map in a write access; readers see it when the batch is visible. */
void store_put_map(struct access *access);
/* The position of a user's key, the same in every database. */
uint64_t store_key_position(const struct store *store, struct slice key);
/* Makes the writer's map the one that readers see. */
void store_publish_map(struct store *store, lsn_t lsn);
/* The generation that `database` had at the reader's moment, read from the map record. */
enum status store_read_generation(struct store *store, struct lsm_reader *reader, unsigned database,
                                  uint32_t *generation);

#endif
