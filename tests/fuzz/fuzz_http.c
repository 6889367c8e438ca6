/* SPDX-License-Identifier: MIT */
/* Heads of HTTP requests: the answer does not depend on the pieces that a head comes in. */
#include "fuzz/fuzz.h"

#include "server/http_request.h"

#include <string.h>

static const char *const seeds[] = {
    "GET /metrics HTTP/1.1\r\nHost: localhost:9121\r\nAccept: "
    "text/plain;version=0.0.4;q=0.5\r\n\r\n",
    "HEAD /metrics?a=b HTTP/1.0\n\nrest",
    "OPTIONS * HTTP/1.1\r\nEmpty:\r\n\r\n",
    "GET / HTTP/1.1\r\n folded: line\r\n\r\n",
    "*1\r\n$4\r\nPING\r\n",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(seeds, sizeof seeds / sizeof *seeds, index, out);
}

static bool lies_in(struct slice part, struct slice whole)
{
    return part.data >= whole.data && part.data + part.size <= whole.data + whole.size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice whole = slice_make(data, size);
    struct http_request request = {0}, early = {0};
    enum http_result result = http_request_parse(whole, &request);
    if (result == HTTP_COMPLETE) {
        fuzz_require(lies_in(request.method, whole) && lies_in(request.path, whole));
        fuzz_require(request.method.size > 0 && request.path.size > 0);
        fuzz_require(!memchr(request.path.data, '?', request.path.size));
        fuzz_require(!memchr(request.method.data, '\n', request.method.size));
    }
    fuzz_require(result != HTTP_PARTIAL || size < HTTP_HEAD_BYTES_MAX);
    for (size_t part = 0; part < size; part += 1 + size / 64) {
        uint8_t *copy =
            malloc(part + 1); /* of its own, so that a sanitizer sees a read behind it */
        if (part > 0)
            memcpy(copy, data, part);
        enum http_result so_far = http_request_parse(slice_make(copy, part), &early);
        fuzz_require(so_far == HTTP_PARTIAL || so_far == result);
        if (so_far == HTTP_COMPLETE)
            fuzz_require(slice_equal(early.method, request.method) &&
                         slice_equal(early.path, request.path));
        free(copy);
    }
    return 0;
}
