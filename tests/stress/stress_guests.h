/* SPDX-License-Identifier: MIT */
/* Who else is there while clients write: an administrator who asks, configures, compacts and
 * reloads, and visitors who connect, half say something and vanish, or send each other messages whose order is
 * known. They change no data; the visitors also make the system forget the tables, so that reads are cold. */
#ifndef STRESS_STRESS_GUESTS_H
#define STRESS_STRESS_GUESTS_H

#include "stress/stress_client.h"

enum { SEEN_COMMANDS_MAX = 64 };

struct stress_guests {
    struct stress_life *life;
    struct random random;
    bool has_failed;
    struct buffer failure;
    uint64_t commands, visits, talks;
    /* By INFO, over all lives; the counters begin anew with each opening of the store. */
    uint64_t flushes, compactions, block_reads;
    uint64_t last_flushes, last_compactions, last_block_reads;
    uint64_t rounds; /* through all commands of the administrator, over all lives */
    size_t next;     /* of them */
};

void *stress_administrate(void *guests); /* a thread; one at a time */
void *stress_visit(void *guests);        /* another, with its own struct */
/* Every command that the server lists (COMMAND LIST) is one that the guests or the operations send, and,
 * when `must_be_sent`, operations did send it; false: *missing gets the others. */
bool stress_covers_all(struct stress_life *life, const char *const *others, bool must_be_sent,
                       struct buffer *missing);
uint64_t info_number(const struct buffer *info, const char *name);

#endif
