/* SPDX-License-Identifier: MIT */
/* A small deterministic generator (xoshiro256**, Blackman and Vigna 2018, seeded by splitmix64). Not
 * for secrets; those come from env_random_bytes. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_init(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
uint64_t random_below(struct random *random, uint64_t bound); /* 0 .. bound-1; bound > 0 */

#endif
