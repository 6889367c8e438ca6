/* SPDX-License-Identifier: MIT */
/* What a reply must be; shared by the files that carry operations out on the model. */
#ifndef STRESS_STRESS_EXPECTATION_H
#define STRESS_STRESS_EXPECTATION_H

#include "stress/stress_operation.h"

#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"

struct expectation {
    enum {
        EXPECT_TEXT,      /* as resp_reply_show has it */
        EXPECT_BEGINNING, /* a JSON line begins so */
        EXPECT_RANGE,     /* a number */
        EXPECT_IDS,       /* the IDs of the `ids` newest entries of `slot` */
        EXPECT_NAMES,     /* the keys of a database */
        EXPECT_PAYLOAD,   /* of DUMP; RESTORE shows whether it is the right one */
        EXPECT_NO_ERROR,
    } kind;
    struct buffer text;
    int64_t low, high;
    struct model_slot *slot;
    size_t ids;
};

void expect_text(struct expectation *expected, const char *text);
void expect_integer(struct expectation *expected, int64_t number);
void expect_range(struct expectation *expected, int64_t low, int64_t high);

/* The key that the operation sets an end to ends between these times. */
void operation_deadline(const struct operation *operation, int64_t *after, int64_t *until);

/* SET, SETNX, SETEX, PSETEX. */
void apply_set(const struct operation *operation, struct model_slot *slot,
               struct expectation *expected);
/* GET to INCRBYFLOAT; the slot holds a string or nothing. */
void apply_string(const struct operation *operation, struct model_slot *slot,
                  struct expectation *expected);
/* MSET, MSETNX, MGET, BITOP. */
void apply_strings(struct model *model, const struct operation *operation,
                   struct expectation *expected);
/* LPUSH to LTRIM; the slot holds a list or nothing. */
void apply_list(const struct operation *operation, struct model_slot *slot,
                struct expectation *expected);
/* LMOVE to BRPOP. */
void apply_lists(struct model *model, const struct operation *operation,
                 struct expectation *expected);

/* SORT, SORT_RO; the first key holds a list or nothing. */
void apply_sort(struct model *model, const struct operation *operation,
                struct expectation *expected);

#endif
