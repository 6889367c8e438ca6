/* SPDX-License-Identifier: MIT */
/* The levels of log entries, from the least to the most severe, and their names. */
#ifndef TYPES_LOG_SEVERITY_H
#define TYPES_LOG_SEVERITY_H

#include "base/slice.h"

enum log_severity {
    SEVERITY_TRACE,
    SEVERITY_DEBUG,
    SEVERITY_INFO,
    SEVERITY_NOTICE,
    SEVERITY_WARN,
    SEVERITY_ERROR,
    SEVERITY_CRIT,
    SEVERITY_ALERT,
    SEVERITY_EMERG,
};

/* A name in any case, a usual other name (warning, err, fatal ...), or syslog's number 0 (emerg) to
 * 7 (debug). false: none of them. */
bool log_severity_parse(struct slice text, enum log_severity *severity);
/* "trace" ... "emerg", static. */
const char *log_severity_name(enum log_severity severity);

#endif
