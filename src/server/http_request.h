/* SPDX-License-Identifier: MIT */
/* The head of an HTTP/1.x request (RFC 9112), as far as a server needs it that has one page and closes after
 * each reply: method, path, and whether the head is whole. Header fields are looked at for their form alone, a
 * body is not expected. */
#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include "base/slice.h"

enum { HTTP_HEAD_BYTES_MAX = 8 * 1024 }; /* with the empty line; more is HTTP_BAD */

enum http_result { HTTP_PARTIAL, HTTP_COMPLETE, HTTP_BAD };

struct http_request {
    struct slice method; /* case matters */
    struct slice path;   /* before the "?", "/..." or "*"; not decoded */
};

/* Of all bytes that have come so far. COMPLETE: *request points into them; what is behind the head is not looked at. PARTIAL:
 * call it again with more; the answer for a head does not depend on the pieces that it comes in. */
enum http_result http_request_parse(struct slice bytes, struct http_request *request);

#endif
