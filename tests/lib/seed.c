/* SPDX-License-Identifier: MIT */
#include "lib/seed.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static uint64_t seed;

static void seed_choose(void)
{
    const char *given = getenv("SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = given ? strtoull(given, NULL, 10)
                 : (uint64_t)now.tv_sec * 1000003 + (uint64_t)now.tv_nsec + (uint64_t)getpid();
    printf("SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
}

uint64_t test_seed(void)
{
    pthread_once(&seed_once, seed_choose);
    return seed;
}
