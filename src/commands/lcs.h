/* SPDX-License-Identifier: MIT */
/* The longest common subsequence of two strings, by the lengths for all pairs of their beginnings (Wagner and
 * Fischer, "The string-to-string correction problem", JACM 1974). O(N * M) time. Of the table, a row of the
 * shorter string is kept, and, where the way through it is asked for, a bit for each pair. */
#ifndef COMMANDS_LCS_H
#define COMMANDS_LCS_H

#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"

/* STATUS_NO_MEMORY. */
enum status lcs_length(struct slice a, struct slice b, uint64_t *length);

/* A part of both strings that is in it; ends are inclusive. */
struct lcs_range {
    uint64_t a_first, a_last, b_first, b_last;
};
/* Appends the subsequence's bytes, and calls `each` (may be NULL) for the ranges of which it consists, the last
 * one first. Where there are several longest ones it is Redis's: from the ends of both strings on, what
 * does not match is left out of b unless that makes it shorter. STATUS_NO_MEMORY. */
enum status lcs_find(struct slice a, struct slice b, struct buffer *into,
                     void (*each)(void *context, const struct lcs_range *range), void *context);

#endif
