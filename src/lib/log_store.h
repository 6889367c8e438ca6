/* SPDX-License-Identifier: MIT */
/* The inside of a store of logs. */
#ifndef LIB_LOG_STORE_H
#define LIB_LOG_STORE_H

#include "lib/cordwood_log.h"
#include "lib/library.h"
#include "types/store.h"

struct cordwood_logs {
    struct keeper keeper;
    struct store *store;
    size_t batch_bytes_max;
};

/* As cordwood_logs_open in a world of the caller's, which outlives the store. */
enum cordwood_status library_logs_open(const struct env *env, const char *directory,
                                       const struct cordwood_options *options,
                                       struct cordwood_error *error, struct cordwood_logs **logs);

#endif
