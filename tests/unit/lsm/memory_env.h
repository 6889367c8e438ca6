/* SPDX-License-Identifier: MIT */
/* An env for tests: a file system in memory, a clock that stands still, fixed "randomness", no
 * log. */
#ifndef TESTS_MEMORY_ENV_H
#define TESTS_MEMORY_ENV_H

#include "vfs/vfs_memory.h"

#include <string.h>

static inline uint64_t memory_env_time(void *context)
{
    (void)context;
    return 1700000000000;
}

static inline void memory_env_random(void *context, void *data, size_t size)
{
    (void)context;
    memset(data, 7, size);
}

static inline void memory_env_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

/* `vfs` belongs to the caller. */
static inline struct env memory_env(struct vfs *vfs)
{
    return (struct env){.vfs = vfs,
                        .wall_ms = memory_env_time,
                        .monotonic_us = memory_env_time,
                        .random_bytes = memory_env_random,
                        .log = memory_env_log};
}

#endif
