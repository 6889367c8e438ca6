/* SPDX-License-Identifier: MIT */
/* What a store holds, read with the types' own functions at a time before all expiry, and said as the
 * model says it; and pictures of the engine's raw records at a snapshot, compared later. */
#ifndef SIM_OBSERVE_H
#define SIM_OBSERVE_H

#include "sim/model.h"
#include "types/store.h"

struct observed {
    uint64_t hashes[MODEL_DATABASES][MODEL_KEYS]; /* as model_slot_hash */
    struct buffer shown[MODEL_DATABASES][MODEL_KEYS];
    uint64_t expires[MODEL_DATABASES][MODEL_KEYS];
};

/* Why something is not as it must be; empty: it is. */
struct sim_reason {
    char text[2000];
};
bool sim_because(struct sim_reason *reason, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* always false */

/* Reads everything; zeroed or used before. false: a read failed, or a key is there that nobody wrote,
 * or the counts of keys are wrong. */
bool observe(struct store *store, struct observed *observed, struct sim_reason *reason);
void observed_release(struct observed *observed);
bool observed_is(const struct observed *observed, const struct model_state *state);
/* The first difference, as a sentence. */
void observed_explain(const struct observed *observed, const struct model_state *state,
                      struct sim_reason *reason);

/* Every record of every tree as it was at a snapshot, which it holds. */
struct picture;
struct picture *picture_take(struct lsm *engine,
                             struct sim_reason *reason); /* NULL: a read failed */
void picture_release(struct picture *picture);
size_t picture_count(const struct picture *picture);
/* Reads all at the snapshot again, both ways, some by lsm_get, some by seeks. */
bool picture_compare(struct picture *picture, struct random *random, struct sim_reason *reason);
/* Moves the iterator that the picture keeps open (from call to call) to and fro. */
bool picture_move(struct picture *picture, struct random *random, struct sim_reason *reason);

#endif
