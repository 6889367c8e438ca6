/* SPDX-License-Identifier: MIT */
/* RESP2 and RESP3: requests in, replies out. No socket, no command. */
#ifndef RESP_RESP_H
#define RESP_RESP_H

#include "base/buffer.h"
#include "base/slice.h"

enum resp_result { RESP_CONSUMED, RESP_PARTIAL, RESP_BAD, RESP_NO_MEMORY };

struct resp_limits {
    size_t bulk_bytes_max;      /* proto-max-bulk-len, 512 MiB */
    size_t inline_bytes_max;    /* 64 KiB */
    size_t arguments_max;       /* 1024 * 1024 */
    bool authenticated;         /* false: 10 arguments of 16 KiB at most, as Redis has it */
};

/* A parsed request. `arguments` point into the input (or, for inline requests, into `unquoted`) and
 * are valid as long as the input is not moved. Zeroed = empty; reused from request to request. */
struct resp_request {
    struct slice *arguments;
    size_t count;
    size_t capacity;
    struct buffer unquoted;
    const char *error; /* after RESP_BAD: text behind "-ERR Protocol error: "; valid until the next call */
    /* Progress of a partial request, so that a big one is not parsed from its start each time: offsets
     * are kept relative to the input's start. resp_request_reset forgets it. */
    size_t scanned;
    size_t expected; /* arguments announced; 0: none yet */
    size_t bytes_needed; /* after RESP_PARTIAL: at least so many bytes in all; 0: not known */
};

/* Forgets a partial request and gives large memory back. Not needed between requests. */
void resp_request_reset(struct resp_request *request);
void resp_request_release(struct resp_request *request);

/* Parses one request at the start of `input`. CONSUMED: *consumed bytes are used, request filled
 * (count may be 0: an empty line or *0). PARTIAL: call again with the same start and more bytes.
 * BAD: answer error and close. A request that starts with "POST " or "Host:" is BAD with
 * error = NULL: close without an answer (a browser; upper or lower case, the first word of an inline
 * request). NO_MEMORY: for the list of arguments; nothing of the input is used, and it is not to be parsed
 * again. A partial request's arguments are not to be looked at. */
enum resp_result resp_parse(struct slice input, const struct resp_limits *limits,
                            struct resp_request *request, size_t *consumed);

/* A look at the request at the start of `input` that is cheaper than parsing it: its size and its second word, which
 * mostly is a key (empty: there is none). false: it is not whole, inline, malformed, or of more than 64 words. */
bool resp_skim(struct slice input, struct slice *second, size_t *size);

/* Writer: appends to a buffer, which may be one that may fail (buffer.h). `protocol` is 2 or 3; aggregate types of RESP3 fall back to what Redis
 * sends in RESP2. */
struct resp_writer {
    struct buffer *out;
    int protocol;
};

void resp_simple(struct resp_writer *w, const char *text);          /* +OK */
void resp_error(struct resp_writer *w, const char *text);           /* "-" text; line ends become spaces */
void resp_errorf(struct resp_writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void resp_integer(struct resp_writer *w, int64_t value);
void resp_bulk(struct resp_writer *w, struct slice bytes);
void resp_bulk_text(struct resp_writer *w, const char *text);
void resp_bulk_u64(struct resp_writer *w, uint64_t value);          /* decimal text as a bulk */
void resp_null(struct resp_writer *w);                              /* $-1 or _ */
void resp_null_array(struct resp_writer *w);                        /* *-1 or _ */
void resp_boolean(struct resp_writer *w, bool value);               /* :1 or #t */
void resp_double(struct resp_writer *w, double value);              /* bulk or , */
void resp_verbatim(struct resp_writer *w, const char *format3, struct slice text); /* bulk or = */
void resp_array(struct resp_writer *w, size_t count);
void resp_map(struct resp_writer *w, size_t pairs);                 /* *2n or % */
void resp_set(struct resp_writer *w, size_t count);                 /* * or ~ */
void resp_push(struct resp_writer *w, size_t count);                /* * or > */
/* A length that is known only after the elements: reserve, write the elements, patch. With the right
 * number of digits expected nothing is moved. (In RESP2 a map of n pairs is an array of 2n.) */
size_t resp_deferred(struct resp_writer *w);
size_t resp_deferred_expecting(struct resp_writer *w, size_t count);
void resp_deferred_array(struct resp_writer *w, size_t mark, size_t count);
void resp_deferred_map(struct resp_writer *w, size_t mark, size_t pairs);
void resp_deferred_set(struct resp_writer *w, size_t mark, size_t count);

#endif
