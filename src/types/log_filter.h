/* SPDX-License-Identifier: MIT */
/* Predicates on log entries: MATCH text, WORD text, EXACT text (on the message), LEVEL [>=|<=|=]
 * name, joined by NOT, AND (also by standing side by side; binds tighter), OR and parentheses;
 * NOCASE before a text ignores ASCII case. Built token by token, then compiled, then asked once an
 * entry. */
#ifndef TYPES_LOG_FILTER_H
#define TYPES_LOG_FILTER_H

#include "types/log_severity.h"
#include "types/log_time.h"
#include "types/stream_entry.h"

enum { LOG_FILTER_TERMS_MAX = 64 }; /* predicates, operators and parentheses */

struct log_filter_term {
    enum {
        FILTER_MATCH,
        FILTER_WORD,
        FILTER_EXACT,
        FILTER_LEVEL,
        FILTER_NOT,
        FILTER_AND,
        FILTER_OR,
        FILTER_OPEN,
        FILTER_CLOSE,
    } kind;
    bool nocase;
    struct slice text; /* belongs to the caller, as long as the filter is used */
    enum { FILTER_AT_LEAST, FILTER_AT_MOST, FILTER_EQUAL } comparison;
    enum log_severity severity;
};

/* Zeroed: no predicate, everything passes. */
struct log_filter {
    struct log_filter_term
        terms[LOG_FILTER_TERMS_MAX]; /* in the order written; compiled: postfix */
    size_t count;
    bool pending_nocase;
};

/* Takes what stands at the front of the arguments. *used = 0: no predicate, nothing is changed.
 * false: the error is told. */
bool log_filter_take(struct log_filter *filter, const struct slice *arguments, size_t count,
                     size_t *used, struct log_error *error);
/* After the last one. */
bool log_filter_compile(struct log_filter *filter, struct log_error *error);
bool log_filter_passes(const struct log_filter *filter, const struct stream_entry *entry);

#endif
