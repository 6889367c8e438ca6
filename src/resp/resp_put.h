/* SPDX-License-Identifier: MIT */
/* Pieces of a reply put one behind the other by who writes many: resp_room makes room for all of them, then
 * nobody looks at it until resp_finish.
 *
 *     uint8_t *at = resp_room(w, RESP_HEADER_BYTES_MAX + RESP_BULK_BYTES_MAX(name) + ...);
 *     at = resp_put_header(at, '*', 2);
 *     at = resp_put_bulk(at, name);
 *     ...
 *     resp_finish(w, at); */
#ifndef RESP_RESP_PUT_H
#define RESP_RESP_PUT_H

#include "base/decimal.h"
#include "resp/resp.h"

#include <assert.h>

enum {
    RESP_HEADER_BYTES_MAX = 24, /* a marker, 20 digits or sign and 19, line end */
    RESP_BULK_EXTRA_BYTES = RESP_HEADER_BYTES_MAX + 2, /* of a bulk, besides its bytes */
};

/* A number and its line end, ready to be put: most numbers are lengths of a few digits, and a loop over digits
 * whose count changes from one length to the next is mispredicted. */
struct resp_line {
    uint8_t text[7];
    uint8_t size;
};
enum { RESP_LINES = 1000 };
extern const struct resp_line resp_lines[RESP_LINES]; /* of 0 to 999 */

/* Room for `more` bytes at the end; NULL: the buffer may fail, and has. */
static inline uint8_t *resp_room(struct resp_writer *w, size_t more)
{
    struct buffer *out = w->out;
    if (out->capacity - out->size < more && !buffer_reserve(out, more))
        return NULL;
    return out->data + out->size;
}

/* What was put ends at `end`. */
static inline void resp_finish(struct resp_writer *w, const uint8_t *end)
{
    w->out->size = (size_t)(end - w->out->data);
    assert(w->out->size <= w->out->capacity);
}

static inline uint8_t *resp_put_line_end(uint8_t *at)
{
    at[0] = '\r';
    at[1] = '\n';
    return at + 2;
}

/* `at` has room for a header without its marker. */
static inline uint8_t *resp_put_line(uint8_t *at, uint64_t value)
{
    if (value >= RESP_LINES)
        return resp_put_line_end(decimal_put(at, value));
    memcpy(at, &resp_lines[value], sizeof(struct resp_line));
    return at + resp_lines[value].size;
}

static inline uint8_t *resp_put_header(uint8_t *at, char marker, uint64_t value)
{
    *at++ = (uint8_t)marker;
    return resp_put_line(at, value);
}

/* Names and small values are copied where they are: a call costs more. */
static inline void resp_copy(uint8_t *at, const uint8_t *bytes, size_t size)
{
    if (size > 16) {
        memcpy(at, bytes, size);
    } else if (size >= 8) {
        memcpy(at, bytes, 8);
        memcpy(at + size - 8, bytes + size - 8, 8);
    } else if (size >= 4) {
        memcpy(at, bytes, 4);
        memcpy(at + size - 4, bytes + size - 4, 4);
    } else if (size > 0) {
        at[0] = bytes[0];
        at[size / 2] = bytes[size / 2];
        at[size - 1] = bytes[size - 1];
    }
}

static inline uint8_t *resp_put_bulk(uint8_t *at, struct slice bytes)
{
    at = resp_put_header(at, '$', bytes.size);
    resp_copy(at, bytes.data, bytes.size);
    return resp_put_line_end(at + bytes.size);
}

/* resp_bulk without a call, for who writes many. */
static inline void resp_append_bulk(struct resp_writer *w, struct slice bytes)
{
    uint8_t *at = resp_room(w, RESP_BULK_EXTRA_BYTES + bytes.size);
    if (at)
        resp_finish(w, resp_put_bulk(at, bytes));
}

#endif
