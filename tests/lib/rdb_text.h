/* SPDX-License-Identifier: MIT */
/* What a loader of RDB values is given, as text; payloads as hex. */
#ifndef LIB_RDB_TEXT_H
#define LIB_RDB_TEXT_H

#include "base/buffer.h"
#include "types/rdb_load.h"

/* Appends "string v", "element v", "entry 1-1 f=v", "stream length last-ID deleted-ID added groups", a line each.
 * fail_after > 0: so many calls are fine, the next one returns STATUS_NO_SPACE. */
struct rdb_text {
    struct buffer text;
    uint64_t fail_after, calls;
};
struct rdb_sink rdb_text_sink(struct rdb_text *text);

/* Value and footer of a payload that is right, from its value. */
void rdb_text_seal(struct slice value, unsigned version, struct buffer *payload);
void rdb_text_from_hex(const char *hex, struct buffer *bytes); /* blanks are passed by */

#endif
