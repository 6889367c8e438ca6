/* SPDX-License-Identifier: MIT */
/* Clients that wait for elements of a list, and one that brings them: as many as there are waiters, by one of
 * several commands that make a list. Each element comes to one waiter, none is lost and none comes twice; a
 * waiter that is unblocked takes nothing with it. After a kill the lists are what some part of the last step,
 * in its order, has left. */
#ifndef STRESS_STRESS_WAITERS_H
#define STRESS_STRESS_WAITERS_H

#include "stress/stress_client.h"

enum { WAITERS_MAX = 3 };

/* The step under way; waiting is 0 between two steps. */
struct waiters_step {
    unsigned pop, push;      /* which command of each kind */
    size_t waiting;          /* and so many elements are brought, numbered from `first` on */
    bool is_sent, is_pushed; /* to the server; by its answer */
    size_t arrived;          /* elements */
    bool has_come[WAITERS_MAX];
    uint64_t first;
};

struct stress_waiters {
    struct stress_life *life;
    struct random random;
    struct waiters_step step;
    uint64_t next;           /* number */
    struct model_slot moved; /* what the steps so far have moved; tags are numbers */
    bool has_failed;
    struct buffer failure;
    uint64_t served, unblocked;
};

void stress_waiters_release(struct stress_waiters *waiters);
void *stress_wait(void *waiters); /* the thread */
/* After the thread has ended and the server is up again; empties the lists. */
bool stress_waiters_check(struct stress_waiters *waiters);

#endif
