/* SPDX-License-Identifier: MIT */
/* The sentence about a broken invariant. */
#ifndef LSM_FINDING_H
#define LSM_FINDING_H

#include "lsm/lsm.h"

enum { FINDING_KEY_BYTES = 32, FINDING_KEY_TEXT = 4 * FINDING_KEY_BYTES + 4 };

/* Fills the report; returns STATUS_CORRUPT. */
enum status finding(struct lsm_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The key as a sentence shows it: its first bytes, those that do not print as \xNN. Returns `text`. */
const char *finding_key(struct slice key, char text[FINDING_KEY_TEXT]);

#endif
