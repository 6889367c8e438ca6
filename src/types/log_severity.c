/* SPDX-License-Identifier: MIT */
/* Names of levels. */
#include "types/log_severity.h"

#include <assert.h>

static const char *const names[] = {"trace", "debug", "info",  "notice", "warn",
                                    "error", "crit",  "alert", "emerg"};

static const struct {
    const char *name;
    enum log_severity severity;
} other_names[] = {
    {"information", SEVERITY_INFO}, {"informational", SEVERITY_INFO}, {"warning", SEVERITY_WARN},
    {"err", SEVERITY_ERROR},        {"critical", SEVERITY_CRIT},      {"fatal", SEVERITY_CRIT},
    {"emergency", SEVERITY_EMERG},  {"panic", SEVERITY_EMERG},
};

enum { NAME_COUNT = sizeof names / sizeof *names };
enum { OTHER_COUNT = sizeof other_names / sizeof *other_names };

bool log_severity_parse(struct slice text, enum log_severity *severity)
{
    if (text.size == 1 && text.data[0] >= '0' && text.data[0] <= '7') {
        *severity = (enum log_severity)(SEVERITY_EMERG - (text.data[0] - '0'));
        return true;
    }
    for (unsigned i = 0; i < NAME_COUNT; i++) {
        if (slice_equal_nocase(text, names[i])) {
            *severity = (enum log_severity)i;
            return true;
        }
    }
    for (unsigned i = 0; i < OTHER_COUNT; i++) {
        if (slice_equal_nocase(text, other_names[i].name)) {
            *severity = other_names[i].severity;
            return true;
        }
    }
    return false;
}

const char *log_severity_name(enum log_severity severity)
{
    assert((unsigned)severity < NAME_COUNT);
    return names[severity];
}
