/* SPDX-License-Identifier: MIT */
/* What an engine needs of its host, for a database and for a store of logs alike: the world, threads for
 * background work, the log's writes and syncs as the durability says, and readers for short reads. */
#ifndef LIB_KEEPER_H
#define LIB_KEEPER_H

#include "lib/cordwood.h"

#include "runner/runner.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    KEEPER_READERS = 48, /* short reads at once; more of them wait */
    KEEPER_READERS_LENT_MAX = CORDWOOD_ITERATORS_MAX,
};
_Static_assert(KEEPER_READERS + KEEPER_READERS_LENT_MAX <= LSM_READERS_MAX, "readers");

/* One cache line or two each: threads start at different ones. */
struct keeper_reader {
    _Alignas(64) pthread_mutex_t lock;
    struct lsm_reader *reader; /* NULL: not made yet; guarded by the lock */
};

struct keeper {
    struct env env;
    struct vfs *vfs; /* to be destroyed; NULL: the caller's env is used */
    struct lsm *engine;
    struct runner *runner; /* NULL: the host calls keeper_work */
    enum cordwood_durability durability;
    uint32_t sync_interval_ms;
    bool read_only;
    atomic_uint owed_us;         /* writers were to be held back so long and were not yet */
    _Atomic int64_t sweep_bytes; /* to be written until the idle readers let go of old memtables */
    int64_t sweep_each_bytes;
    atomic_uint lent_count;
    struct keeper_reader readers[KEEPER_READERS];

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool is_syncing; /* the thread of CORDWOOD_SYNC_INTERVAL runs */
    bool is_stopping;
    pthread_t sync_thread;
    uint64_t synced_us; /* without that thread: when the last sync of the interval began */
};

/* `env` NULL: the real world. The options are complete. */
void keeper_init(struct keeper *keeper, const struct env *env,
                 const struct cordwood_options *options);
/* For the options of the engine that is opened next. */
void keeper_work_ready(void *keeper);
/* STATUS_NO_MEMORY: a thread could not be started; as if it had not been called. */
enum status keeper_start(struct keeper *keeper, struct lsm *engine);
/* No thread of the keeper is inside the engine any more, and no reader is left. */
void keeper_stop(struct keeper *keeper);
void keeper_release(struct keeper *keeper); /* stopped, the engine is closed */

/* Before a write: waits, or works, as long as flush and compaction are behind. */
void keeper_hold_back(struct keeper *keeper);
/* After a write of so many bytes, without the lock: makes it as safe as the durability says. */
enum status keeper_finish_write(struct keeper *keeper, size_t bytes);
/* Everything visible is durable. */
enum status keeper_sync(struct keeper *keeper);
bool keeper_work(struct keeper *keeper);

/* A reader for one short read; waits if all are in use. */
struct keeper_reader *keeper_take_reader(struct keeper *keeper);
void keeper_give_reader(struct keeper_reader *reader);
/* A reader for as long as one likes. STATUS_BUSY: too many are lent. */
enum status keeper_lend_reader(struct keeper *keeper, struct lsm_reader **reader);
void keeper_return_reader(struct keeper *keeper, struct lsm_reader *reader);

#endif
