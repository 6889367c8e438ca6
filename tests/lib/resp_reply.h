/* SPDX-License-Identifier: MIT */
/* Replies of RESP2 and RESP3 as trees: read from bytes, and shown as one line of text.
 *
 *      +OK   -ERR text   :5   "bulk\n"   nil   nil-array   ,1.5   #t   (123   =txt "text"
 *      ["array", :1]   {"key": :1}   ~["set"]   >["push"] */
#ifndef LIB_RESP_REPLY_H
#define LIB_RESP_REPLY_H

#include "base/buffer.h"

/* type is the reply's first byte on the wire: + - : $ * _ , # ( = % ~ > ; '0' stands for $-1 and
 * '1' for *-1, the nulls of RESP2. */
struct resp_reply {
    char type;
    int64_t integer;             /* : and # */
    struct buffer text;          /* + - $ , ( = without the line end; = without "txt:" */
    char format[4];              /* = */
    struct resp_reply *children; /* * ~ > %: of a map key, value, key, value ... */
    size_t count;                /* children */
};

enum resp_reply_result { REPLY_COMPLETE, REPLY_PARTIAL, REPLY_MALFORMED };

/* Reads one reply at the start of `input` into a zeroed reply. */
enum resp_reply_result resp_reply_read(struct slice input, struct resp_reply *reply,
                                       size_t *consumed);
void resp_reply_release(struct resp_reply *reply);
void resp_reply_show(const struct resp_reply *reply, struct buffer *out);
bool resp_reply_is(const struct resp_reply *reply, const char *shown); /* by resp_reply_show */

#endif
