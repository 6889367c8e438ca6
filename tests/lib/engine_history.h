/* SPDX-License-Identifier: MIT */
/* Batches that a seed makes, and what the engine must hold after the first n of them: a model too
 * simple to be wrong. A history is nothing but the seeds of its batches, in order.
 *
 * Three trees, as the server has them: 0 and 1 leveled with a few hundred overwritten keys, 2 time
 * runs with keys that only grow and are trimmed at the front. Key "b" of tree 0 holds the count of
 * batches, so that the engine itself says how many of them it has. */
#ifndef LIB_ENGINE_HISTORY_H
#define LIB_ENGINE_HISTORY_H

#include "base/random.h"
#include "lsm/lsm.h"

struct engine_history {
    uint64_t *seeds;
    size_t count, capacity;
};

/* Why something is not as it must be: one sentence. Empty: it is. */
struct engine_failure {
    char text[1024];
    enum status status; /* what the engine itself reported; STATUS_OK: it did not notice */
};
/* Keeps the first reason. Always false, so that a check can return it. */
bool engine_fail(struct engine_failure *failure, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void engine_history_add(struct engine_history *history, uint64_t seed);
void engine_history_copy(const struct engine_history *from, size_t count,
                         struct engine_history *to);
void engine_history_release(struct engine_history *history);

/* The trees, with small blocks, tables, memtables and segments, so that little data goes far. Trees 1
 * and 2 have encoded blocks (prefix_codec.h). */
void engine_small_options(struct lsm_options *options);
/* Whether the log is compressed, and what pages it finds, so small that most writes are worth it. */
void engine_choose_log(struct lsm_options *options, uint64_t seed);
/* An upper bound of the bytes of keys and values of one batch. */
size_t engine_batch_bytes(uint64_t seed, size_t index);
/* Puts batch number `index` (0 is the first), made of `seed`, into the writer. */
void engine_batch_write(struct lsm_writer *writer, uint64_t seed, size_t index);
void engine_transaction_write(struct lsm_transaction *transaction, uint64_t seed, size_t index);

/* The database holds exactly the first n batches, min <= n <= max: every key of every tree both
 * ways, and some by lsm_get. *count = n. false with the reason otherwise. */
bool engine_holds_history(struct lsm *db, const struct engine_history *history, size_t min,
                          size_t max, size_t *count, struct engine_failure *failure);

#endif
