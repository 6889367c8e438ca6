/* SPDX-License-Identifier: MIT */
/* Transactions of one connection:  [WATCH [a write to what is watched] [UNWATCH]] MULTI ... EXEC or DISCARD.
 * Whether it runs is known beforehand; that it runs whole or not at all, a kill in its middle shows. */
#include "stress/stress_operation.h"

enum { BODY_MAX = 6, TRIES = 20 };

static bool chance(struct random *random, unsigned one_in)
{
    return random_below(random, one_in) == 0;
}

/* A key whose life has no end, which would be a change. false: none was found. */
static bool choose_watched(const struct model *model, struct random *random, unsigned db,
                           unsigned *key)
{
    for (int i = 0; i < TRIES; i++) {
        *key = (unsigned)random_below(random, MODEL_KEYS);
        if (!model->slots[db][*key].expires_until)
            return true;
    }
    return false;
}

/* Returns how many operations; *is_broken: the transaction that follows will not run. */
static size_t choose_watch(const struct model *model, struct random *random, unsigned db,
                           uint64_t *next_tag, struct operation *operations, bool *is_broken)
{
    struct operation watch = {.kind = OP_WATCH, .db = db, .other_db = db};
    size_t count = 0;
    while (watch.key_count < OPERATION_KEYS_MAX && (watch.key_count == 0 || chance(random, 2)))
        if (!choose_watched(model, random, db, &watch.keys[watch.key_count++]))
            return 0;
    operations[count++] = watch;
    if (chance(random, 3)) {
        operations[count++] = (struct operation){
            .kind = OP_SET,
            .db = db,
            .other_db = db,
            .keys = {watch.keys[random_below(random, watch.key_count)]},
            .key_count = 1,
            .count = 1,
            .tag = (*next_tag)++,
        };
        *is_broken = true;
    }
    if (chance(random, 4)) {
        operations[count++] = (struct operation){.kind = OP_UNWATCH, .db = db, .other_db = db};
        *is_broken = false;
    }
    return count;
}

/* One that may stand in a transaction on `db`. An object above 64 KiB is not copied, restored or sorted into
 * a key within one. */
static void choose_queued(const struct model *model, struct random *random, enum wire wire,
                          unsigned db, uint64_t *next_tag, struct operation *operation)
{
    do {
        operation_choose(model, random, wire, false, next_tag, operation);
    } while (operation->db != db || operation->kind == OP_COPY || operation->kind == OP_MOVE ||
             operation->kind == OP_RESTORE ||
             (operation->kind == OP_SORT && operation->key_count > 1));
    operation->is_queued = true;
}

size_t transaction_choose(const struct model *model, struct random *random, enum wire wire,
                          uint64_t *next_tag, struct operation *operations)
{
    const unsigned db = (unsigned)random_below(random, MODEL_DATABASES);
    size_t count = 0, queued = random_below(random, BODY_MAX + 1);
    bool is_broken = false;
    if (chance(random, 2))
        count = choose_watch(model, random, db, next_tag, operations, &is_broken);
    operations[count++] = (struct operation){.kind = OP_MULTI, .db = db, .other_db = db};
    for (size_t i = 0; i < queued; i++)
        choose_queued(model, random, wire, db, next_tag, &operations[count++]);
    operations[count++] = (struct operation){
        .kind = chance(random, 6) ? OP_DISCARD : OP_EXEC,
        .db = db,
        .other_db = db,
        .queued = queued,
        .is_broken = is_broken,
    };
    return count;
}
