/* SPDX-License-Identifier: MIT */
/* Rows of entries of several kinds, made of lines of a text. */
#ifndef BENCH_CODEC_CASES_H
#define BENCH_CODEC_CASES_H

#include "base/buffer.h"
#include "lsm/block_codec.h"

struct codec_rows {
    struct block_codec_row *list; /* in the order of keys */
    size_t count, capacity;
    struct buffer bytes; /* of keys and values */
    struct buffer text;  /* the fields' values, a line an entry: what other programs are given */
};

struct codec_case {
    const char *name;
    void (*make)(struct codec_rows *rows, struct slice lines);
};

extern const struct codec_case codec_cases[];
extern const size_t codec_case_count;

void codec_rows_make(struct codec_rows *rows, const struct codec_case *each, struct slice lines);
void codec_rows_release(struct codec_rows *rows);

#endif
