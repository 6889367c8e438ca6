/* SPDX-License-Identifier: MIT */
/* Random commands: what they mean (for the model) and their bytes (for a session). */
#ifndef SIM_COMMANDS_H
#define SIM_COMMANDS_H

#include "sim/model.h"

struct sim_mood {
    bool gentle;   /* nothing is cut or removed at once, so that objects grow */
    bool large;    /* values in pieces are made */
    unsigned keys; /* keys in use, at most MODEL_KEYS - MODEL_LOGS */
};

/* Fills a zeroed command for a RESP or JSON session, by the model's state for IDs that mean
 * something. `database`: the one that the session has selected, as far as its host knows. */
void sim_command_make(struct random *random, const struct model *model, const struct sim_mood *mood,
                      unsigned database, bool json, struct model_command *command);

/* The same: RPUSH of one element or two to that key; a pop that waits for one; WATCH. */
void sim_push_make(struct random *random, const struct model *model, const struct sim_mood *mood,
                   unsigned key, struct model_command *command);
void sim_wait_make(struct random *random, const struct model *model, const struct sim_mood *mood,
                   unsigned database, struct model_command *command);
void sim_watch_make(struct random *random, const struct model *model, const struct sim_mood *mood,
                    unsigned database, struct model_command *command);

/* The same for MULTI, up to `room` - 2 commands, and EXEC or DISCARD, each as a command that is sent; at
 * least two. Returns how many. */
size_t sim_transaction_make(struct random *random, const struct model *model,
                            const struct sim_mood *mood, unsigned database,
                            struct model_command *commands, size_t room);

static inline uint64_t sim_below(struct random *random, uint64_t bound)
{
    return random_below(random, bound);
}
static inline bool sim_one_in(struct random *random, uint64_t count)
{
    return random_below(random, count) == 0;
}

#endif
