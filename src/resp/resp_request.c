/* SPDX-License-Identifier: MIT */
/* The reader: one request of a client, out of the bytes that have come so far.
 *
 *      *2\r\n $3\r\n GET\r\n $1\r\n k\r\n          an array of bulks: arguments point into the
 * input GET k\r\n                                   an inline command: quoting rules of redis-cli
 *
 * Limits, leniencies and error texts are Redis's. The bytes behind a '\r' are skipped unread, as
 * Redis does. While a request is partial, arguments found so far are kept as offsets, since the
 * input may move between two calls. */
#include "resp/resp.h"

#include "base/memory.h"
#include "resp/resp_length.h"

#include <assert.h>
#include <ctype.h>

enum {
    LENGTH_LINE_BYTES_MAX = 64 * 1024,
    UNAUTHENTICATED_ARGUMENTS_MAX = 10,
    UNAUTHENTICATED_BULK_BYTES_MAX = 16 * 1024,
    ARGUMENTS_FIRST = 16,
    ARGUMENTS_KEPT_MAX = 1024, /* more are given back by resp_request_reset */
    UNQUOTED_BYTES_KEPT_MAX = 16 * 1024,
    FAST_DIGITS_MAX = 18, /* never overflow 64 bits */
};

enum length_result { LENGTH_OK, LENGTH_PARTIAL, LENGTH_INVALID, LENGTH_TOO_LONG };

void resp_request_reset(struct resp_request *request)
{
    request->count = 0;
    request->error = NULL;
    request->scanned = 0;
    request->expected = 0;
    request->bytes_needed = 0;
    if (request->capacity > ARGUMENTS_KEPT_MAX) {
        memory_free(request->arguments);
        request->arguments = NULL;
        request->capacity = 0;
    }
    if (request->unquoted.capacity > UNQUOTED_BYTES_KEPT_MAX)
        buffer_release(&request->unquoted);
}

void resp_request_release(struct resp_request *request)
{
    memory_free(request->arguments);
    buffer_release(&request->unquoted);
    *request = (struct resp_request){0};
}

/* Grows with what really came, not with what was announced. */
static bool grow_arguments(struct resp_request *request)
{
    size_t capacity = request->capacity ? request->capacity * 2 : ARGUMENTS_FIRST;
    struct slice *arguments =
        memory_ask_resize(request->arguments, capacity * sizeof *request->arguments);
    if (!arguments)
        return false;
    request->arguments = arguments;
    request->capacity = capacity;
    return true;
}

/* false: there is no memory. */
static bool add_argument(struct resp_request *request, const uint8_t *data, size_t size)
{
    if (request->count == request->capacity && !grow_arguments(request))
        return false;
    request->arguments[request->count++] = slice_make(data, size);
    return true;
}

static enum resp_result bad(struct resp_request *request, const char *error)
{
    request->error = error;
    return RESP_BAD;
}

/* ---- Inline commands
 * ----------------------------------------------------------------------------- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint8_t escaped(uint8_t c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* Copies what stands between double quotes to *out; returns what follows the closing quote, NULL
 * when there is none. */
static const uint8_t *unquote_double(const uint8_t *p, const uint8_t *end, uint8_t **out)
{
    while (p < end && *p != '"') {
        if (*p == '\\' && end - p >= 4 && p[1] == 'x' && hex_digit(p[2]) >= 0 &&
            hex_digit(p[3]) >= 0) {
            *(*out)++ = (uint8_t)(hex_digit(p[2]) * 16 + hex_digit(p[3]));
            p += 4;
        } else if (*p == '\\' && end - p >= 2) {
            *(*out)++ = escaped(p[1]);
            p += 2;
        } else {
            *(*out)++ = *p++;
        }
    }
    return p < end ? p + 1 : NULL;
}

static const uint8_t *unquote_single(const uint8_t *p, const uint8_t *end, uint8_t **out)
{
    while (p < end && *p != '\'') {
        if (*p == '\\' && end - p >= 2 && p[1] == '\'')
            p++;
        *(*out)++ = *p++;
    }
    return p < end ? p + 1 : NULL;
}

static bool ends_word(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* One word of the line; a closing quote must end it. NULL: unbalanced quotes. */
static const uint8_t *take_word(const uint8_t *p, const uint8_t *end, uint8_t **out)
{
    while (p < end && !ends_word(*p)) {
        if (*p != '"' && *p != '\'') {
            *(*out)++ = *p++;
            continue;
        }
        p = *p == '"' ? unquote_double(p + 1, end, out) : unquote_single(p + 1, end, out);
        if (!p || (p < end && !isspace(*p)))
            return NULL;
        return p;
    }
    return p;
}

static enum resp_result split_line(struct slice line, struct resp_request *request)
{
    const uint8_t *p = line.data, *end = line.data + line.size;

    buffer_clear(&request->unquoted);
    buffer_reserve(&request->unquoted, line.size + 1); /* unquoting never makes it longer */
    uint8_t *out = request->unquoted.data;
    for (;;) {
        while (p < end && isspace(*p))
            p++;
        if (p == end)
            return RESP_CONSUMED;
        const uint8_t *word = out;
        p = take_word(p, end, &out);
        if (!p)
            return bad(request, "unbalanced quotes in request");
        if (!add_argument(request, word, (size_t)(out - word)))
            return RESP_NO_MEMORY;
    }
}

/* A browser that was made to send an HTTP request here: nothing of it may be executed. */
static bool is_http(const struct resp_request *request)
{
    return request->count && (slice_equal_nocase(request->arguments[0], "post") ||
                              slice_equal_nocase(request->arguments[0], "host:"));
}

static enum resp_result parse_inline(struct slice input, const struct resp_limits *limits,
                                     struct resp_request *request, size_t *consumed)
{
    size_t searched =
        input.size <= limits->inline_bytes_max ? input.size : limits->inline_bytes_max + 1;

    request->count = 0;
    assert(request->scanned <= input.size);
    const uint8_t *newline = NULL;
    if (request->scanned < searched)
        newline = memchr(input.data + request->scanned, '\n', searched - request->scanned);
    if (!newline) {
        if (input.size > limits->inline_bytes_max)
            return bad(request, "too big inline request");
        request->scanned = input.size;
        return RESP_PARTIAL;
    }
    struct slice line = slice_make(input.data, (size_t)(newline - input.data));
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    const uint8_t *nul = line.size ? memchr(line.data, 0, line.size) : NULL;
    if (nul) /* Redis reads the line as a C string */
        line.size = (size_t)(nul - line.data);
    enum resp_result result = split_line(line, request);
    if (result != RESP_CONSUMED)
        return result;
    if (is_http(request))
        return bad(request, NULL);
    request->scanned = 0;
    *consumed = (size_t)(newline - input.data) + 1;
    return RESP_CONSUMED;
}

/* ---- Arrays of bulks
 * ----------------------------------------------------------------------------- */

/* A decimal number and nothing else: no leading zeros, no plus, no "-0". */
static bool integer_strict(struct slice text, int64_t *value)
{
    bool negative = text.size && text.data[0] == '-';
    uint64_t number = 0;

    if (negative)
        text = slice_skip(text, 1);
    if (text.size == 0 || text.size > FAST_DIGITS_MAX)
        return false;
    if (text.data[0] == '0' && (text.size > 1 || negative))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9)
            return false;
        number = number * 10 + digit;
    }
    *value = negative ? -(int64_t)number : (int64_t)number;
    return true;
}

/* The odd cases of take_length: incomplete, negative, malformed. */
static enum length_result take_length_slowly(const uint8_t **at, const uint8_t *end, int64_t *value)
{
    const uint8_t *start = *at;
    size_t size = (size_t)(end - start);
    const uint8_t *cr = size ? memchr(start, '\r', size) : NULL;

    if (!cr)
        return size > LENGTH_LINE_BYTES_MAX ? LENGTH_TOO_LONG : LENGTH_PARTIAL;
    if (end - cr < 2)
        return LENGTH_PARTIAL;
    *at = cr + 2;
    return integer_strict(slice_make(start, (size_t)(cr - start)), value) ? LENGTH_OK
                                                                          : LENGTH_INVALID;
}

/* Reads "123\r\n" at *at and moves *at behind it (also when it is invalid). */
static inline enum length_result take_length(const uint8_t **at, const uint8_t *end, int64_t *value)
{
    const uint8_t *start = *at, *p = start;
    const uint8_t *stop = end - start > FAST_DIGITS_MAX ? start + FAST_DIGITS_MAX : end;
    int64_t number = 0;

    while (p < stop && (unsigned)*p - '0' <= 9)
        number = number * 10 + (*p++ - '0');
    if (p > start && end - p >= 2 && *p == '\r' && (*start != '0' || p - start == 1)) {
        *at = p + 2;
        *value = number;
        return LENGTH_OK;
    }
    return take_length_slowly(at, end, value);
}

/* Keeps the arguments that this call found, from `first` on, as offsets. */
static enum resp_result suspend(struct resp_request *request, const uint8_t *base, size_t first,
                                const uint8_t *at)
{
    for (size_t i = first; i < request->count; i++)
        request->arguments[i].data =
            (const uint8_t *)(uintptr_t)(request->arguments[i].data - base);
    request->scanned = (size_t)(at - base);
    return RESP_PARTIAL;
}

static inline enum resp_result parse_bulk_header(const uint8_t **at, const uint8_t *end,
                                                 const struct resp_limits *limits,
                                                 struct resp_request *request, size_t *size)
{
    const uint8_t *p = resp_take_short_length(*at, end, '$', size);
    int64_t length;

    if (p && *size <= limits->bulk_bytes_max) { /* strangers may say as much */
        *at = p;
        return RESP_CONSUMED;
    }
    p = *at;
    if (p == end)
        return RESP_PARTIAL;
    uint8_t marker = *p++;
    enum length_result result = take_length(&p, end, &length);
    if (result == LENGTH_PARTIAL)
        return RESP_PARTIAL;
    if (result == LENGTH_TOO_LONG)
        return bad(request, "too big bulk count string");
    if (marker != '$') {
        buffer_clear(&request->unquoted);
        buffer_printf(&request->unquoted, "expected '$', got '%c'", marker ? marker : ' ');
        buffer_append_byte(&request->unquoted, 0);
        return bad(request, (const char *)request->unquoted.data);
    }
    if (result == LENGTH_INVALID || length < 0 || (uint64_t)length > limits->bulk_bytes_max)
        return bad(request, "invalid bulk length");
    if (!limits->authenticated && length > UNAUTHENTICATED_BULK_BYTES_MAX)
        return bad(request, "unauthenticated bulk length");
    *size = (size_t)length;
    *at = p;
    return RESP_CONSUMED;
}

/* "*3\r\n"; *count is 0 for an empty or null array. */
static enum resp_result parse_array_header(const uint8_t **at, const uint8_t *end,
                                           const struct resp_limits *limits,
                                           struct resp_request *request, size_t *count)
{
    const uint8_t *p = *at + 1;
    int64_t length;

    switch (take_length(&p, end, &length)) {
    case LENGTH_PARTIAL:
        return RESP_PARTIAL;
    case LENGTH_TOO_LONG:
        return bad(request, "too big mbulk count string");
    case LENGTH_INVALID:
        return bad(request, "invalid multibulk length");
    case LENGTH_OK:
        break;
    }
    if (length > 0 && (uint64_t)length > limits->arguments_max)
        return bad(request, "invalid multibulk length");
    if (length > UNAUTHENTICATED_ARGUMENTS_MAX && !limits->authenticated)
        return bad(request, "unauthenticated multibulk length");
    *count = length > 0 ? (size_t)length : 0;
    *at = p;
    return RESP_CONSUMED;
}

static enum resp_result parse_array(struct slice input, const struct resp_limits *limits,
                                    struct resp_request *request, size_t *consumed)
{
    const uint8_t *end = input.data + input.size;
    const uint8_t *at = input.data + request->scanned;
    enum resp_result result;

    assert(request->scanned <= input.size);
    request->bytes_needed = 0;
    if (request->expected == 0) {
        request->count = 0;
        result = parse_array_header(&at, end, limits, request, &request->expected);
        if (result != RESP_CONSUMED)
            return result;
    }
    size_t first = request->count;
    while (request->count < request->expected) {
        const uint8_t *bulk = at;
        size_t size = 0;
        result = parse_bulk_header(&bulk, end, limits, request, &size);
        if (result == RESP_BAD)
            return RESP_BAD;
        if (result == RESP_PARTIAL)
            return suspend(request, input.data, first, at);
        if ((size_t)(end - bulk) < size + 2) {
            request->bytes_needed = (size_t)(bulk - input.data) + size + 2;
            return suspend(request, input.data, first, at);
        }
        if (!add_argument(request, bulk, size))
            return RESP_NO_MEMORY;
        at = bulk + size + 2;
    }
    for (size_t i = 0; i < first; i++)
        request->arguments[i].data = input.data + (uintptr_t)request->arguments[i].data;
    request->expected = 0;
    request->scanned = 0;
    *consumed = (size_t)(at - input.data);
    return RESP_CONSUMED;
}

enum resp_result resp_parse(struct slice input, const struct resp_limits *limits,
                            struct resp_request *request, size_t *consumed)
{
    if (input.size == 0) {
        request->count = 0;
        return RESP_PARTIAL;
    }
    if (input.data[0] == '*')
        return parse_array(input, limits, request, consumed);
    return parse_inline(input, limits, request, consumed);
}
