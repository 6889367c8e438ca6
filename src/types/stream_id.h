/* SPDX-License-Identifier: MIT */
/* Stream IDs: <milliseconds>-<sequence>, two u64 in one total order, and their texts as Redis reads
 * and writes them. */
#ifndef TYPES_STREAM_ID_H
#define TYPES_STREAM_ID_H

#include "base/coding.h"
#include "base/slice.h"

struct stream_id {
    uint64_t ms;
    uint64_t seq;
};

enum {
    STREAM_ID_BYTES = 16,    /* as part of a key: ms BE | seq BE */
    STREAM_ID_TEXT_MAX = 42, /* two u64, the dash and a zero byte */
};

#define STREAM_ID_MIN ((struct stream_id){0, 0})
#define STREAM_ID_MAX ((struct stream_id){UINT64_MAX, UINT64_MAX})

/* <0, 0 or >0 */
static inline int stream_id_compare(struct stream_id a, struct stream_id b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return (a.seq > b.seq) - (a.seq < b.seq);
}

static inline void stream_id_store(uint8_t at[STREAM_ID_BYTES], struct stream_id id)
{
    be64_store(at, id.ms);
    be64_store(at + 8, id.seq);
}

static inline struct stream_id stream_id_load(const uint8_t at[STREAM_ID_BYTES])
{
    return (struct stream_id){be64_load(at), be64_load(at + 8)};
}

/* The neighbour in the order; false, and unchanged, at the end of the range. */
bool stream_id_increment(struct stream_id *id);
bool stream_id_decrement(struct stream_id *id);

/* "1526919030474-55" with a zero byte; returns the length. */
size_t stream_id_format(struct stream_id id, char at[STREAM_ID_TEXT_MAX]);

/* All parsers return false, and change nothing, for what Redis answers "Invalid stream ID specified
 * as stream command argument" to. An ID without its sequence gets `missing_seq`. */

/* ms | ms-seq, no - and +. */
bool stream_id_parse_strict(struct slice text, uint64_t missing_seq, struct stream_id *id);
/* The same, and - (the lowest) and + (the highest). */
bool stream_id_parse(struct slice text, uint64_t missing_seq, struct stream_id *id);
/* A bound of a range: the same, or '(' and a strict ID: exclusive. */
bool stream_id_parse_bound(struct slice text, uint64_t missing_seq, struct stream_id *id,
                           bool *exclusive);

/* The ID argument of XADD. */
struct stream_id_spec {
    enum {
        STREAM_ID_AUTO,     /* * */
        STREAM_ID_AUTO_SEQ, /* ms-* */
        STREAM_ID_GIVEN,    /* ms | ms-seq */
    } kind;
    struct stream_id id;
};

bool stream_id_parse_spec(struct slice text, struct stream_id_spec *spec);

#endif
