/* SPDX-License-Identifier: MIT */
/* What the configuration allows in a log entry; the same for every way in. */
#ifndef COMMANDS_LOG_LIMITS_H
#define COMMANDS_LOG_LIMITS_H

#include "commands/config.h"
#include "types/log.h"

static inline struct log_limits log_limits_of(struct config *config)
{
    return (struct log_limits){
        .message_bytes_max = (uint64_t)config_integer(config, CONFIG_log_max_message),
        .future_ms_max = (uint64_t)config_integer(config, CONFIG_log_max_future),
    };
}

#endif
