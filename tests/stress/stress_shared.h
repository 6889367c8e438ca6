/* SPDX-License-Identifier: MIT */
/* clang-format off */
/* Keys that many clients write at once, and what must hold of them whoever came first:
 *
 *   shared           a stream that grows: each writer's numbers stand in it once, in order, without a gap;
 *                    readers that block see just that, and what they saw is there after a kill
 *   ring             a stream trimmed by MAXLEN ~: each writer's numbers are a run without a gap up to the last
 *   groups           a list of groups of three elements, pushed and popped whole: LRANGE never shows a torn one,
 *                    none is popped twice, none is lost but by pops whose replies were lost
 *   t:<i>:<p>        tokens: each is at exactly one of three places, between which RENAME moves it; a single
 *                    EXISTS of the three counts one, always
 *   pair:0, pair:1   the same number, which a transaction raises unless WATCH says that another one has */
/* clang-format on */
#ifndef STRESS_STRESS_SHARED_H
#define STRESS_STRESS_SHARED_H

#include "stress/stress_client.h"

#include <pthread.h>

enum { SHARED_WRITERS = 3, SHARED_READERS = 2, TOKENS = 6, PLACES = 3 };

enum group_state { GROUP_UNKNOWN, GROUP_SENT, GROUP_PUSHED, GROUP_POPPED };

struct shared_sequence {
    uint64_t base;        /* numbers up to here were flushed */
    uint64_t acked, sent; /* up to here acknowledged, sent */
    uint64_t seen;        /* by a reader */
};

struct stress_shared {
    struct stress_life *life;
    pthread_mutex_t lock; /* guards what follows while threads run */
    struct shared_sequence stream[SHARED_WRITERS], ring[SHARED_WRITERS];
    struct buffer groups[SHARED_WRITERS]; /* a byte, enum group_state, for each number from 0 */
    unsigned pops_in_flight;
    bool has_failed;
    struct buffer failure;
    uint64_t operations, groups_popped, entries_read;
    uint64_t pair_acked;             /* the pair's number, at least */
    unsigned raises_in_flight;       /* transactions that may have raised it once more each */
    uint64_t raises, raises_in_vain; /* WATCH has stopped these */
};

struct shared_thread {
    struct stress_shared *shared;
    unsigned id; /* of the writer or the reader */
    struct random random;
    char last_id[48];                     /* reader: "0-0" at the begin */
    uint64_t last_number[SHARED_WRITERS]; /* reader */
};

void stress_shared_init(struct stress_shared *shared, struct stress_life *life);
void stress_shared_release(struct stress_shared *shared);
/* On an empty database 0: lays the tokens out; also after FLUSHALL. */
bool stress_shared_begin(struct stress_shared *shared, struct shared_thread *readers);
void *stress_shared_write(void *thread);
void *stress_shared_read(void *thread);
/* After the threads have ended and the server is up again. */
bool stress_shared_check(struct stress_shared *shared);

#endif
