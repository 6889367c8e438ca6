/* SPDX-License-Identifier: MIT */
/* The writer: replies appended to a buffer. Each function reserves once and writes straight into
 * it; in a buffer that may fail it leaves its piece out when there is no memory. */
#include "resp/resp.h"

#include "resp/resp_put.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEFERRED_BYTES_MIN = 4 }; /* a marker, one digit, line end */

static void write_header(struct resp_writer *w, char marker, uint64_t value)
{
    uint8_t *at = resp_room(w, RESP_HEADER_BYTES_MAX);
    if (at)
        resp_finish(w, resp_put_header(at, marker, value));
}

static void write_text(struct resp_writer *w, const char *text)
{
    buffer_append(w->out, text, strlen(text));
}

void resp_simple(struct resp_writer *w, const char *text)
{
    size_t size = strlen(text);
    uint8_t *at = resp_room(w, size + 3);

    if (!at)
        return;
    *at++ = '+';
    memcpy(at, text, size);
    resp_finish(w, resp_put_line_end(at + size));
}

/* Ends an error that began at `start`: a line end inside it would be a reply of its own. */
static void finish_error(struct resp_writer *w, size_t start)
{
    for (size_t i = start; i < w->out->size; i++)
        if (w->out->data[i] == '\r' || w->out->data[i] == '\n')
            w->out->data[i] = ' ';
    write_text(w, "\r\n");
}

void resp_error(struct resp_writer *w, const char *text)
{
    size_t start = w->out->size;

    buffer_append_byte(w->out, '-');
    write_text(w, text);
    finish_error(w, start);
}

void resp_errorf(struct resp_writer *w, const char *format, ...)
{
    size_t start = w->out->size;
    va_list arguments;

    buffer_append_byte(w->out, '-');
    va_start(arguments, format);
    buffer_vprintf(w->out, format, arguments);
    va_end(arguments);
    finish_error(w, start);
}

void resp_integer(struct resp_writer *w, int64_t value)
{
    uint8_t *at = resp_room(w, RESP_HEADER_BYTES_MAX);

    if (!at)
        return;
    *at++ = ':';
    if (value < 0)
        *at++ = '-';
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    resp_finish(w, resp_put_line(at, magnitude));
}

void resp_bulk(struct resp_writer *w, struct slice bytes)
{
    resp_append_bulk(w, bytes);
}

void resp_bulk_text(struct resp_writer *w, const char *text)
{
    resp_bulk(w, slice_from(text));
}

void resp_bulk_u64(struct resp_writer *w, uint64_t value)
{
    uint8_t *at = resp_room(w, 2 * RESP_HEADER_BYTES_MAX);

    if (!at)
        return;
    at = resp_put_header(at, '$', decimal_size(value));
    resp_finish(w, resp_put_line(at, value));
}

void resp_null(struct resp_writer *w)
{
    write_text(w, w->protocol >= 3 ? "_\r\n" : "$-1\r\n");
}

void resp_null_array(struct resp_writer *w)
{
    write_text(w, w->protocol >= 3 ? "_\r\n" : "*-1\r\n");
}

void resp_boolean(struct resp_writer *w, bool value)
{
    if (w->protocol >= 3)
        write_text(w, value ? "#t\r\n" : "#f\r\n");
    else
        resp_integer(w, value);
}

/* The shortest text that reads back as the same number. */
static size_t double_text(char *text, size_t capacity, double value)
{
    if (isnan(value))
        return (size_t)snprintf(text, capacity, "nan");
    if (isinf(value))
        return (size_t)snprintf(text, capacity, value > 0 ? "inf" : "-inf");
    int size = 0;
    for (int digits = 15; digits <= 17; digits++) {
        size = snprintf(text, capacity, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return (size_t)size;
}

void resp_double(struct resp_writer *w, double value)
{
    char text[40];
    size_t size = double_text(text, sizeof text, value);

    if (w->protocol < 3) {
        resp_bulk(w, slice_make(text, size));
        return;
    }
    buffer_append_byte(w->out, ',');
    buffer_append(w->out, text, size);
    write_text(w, "\r\n");
}

void resp_verbatim(struct resp_writer *w, const char *format3, struct slice text)
{
    assert(strlen(format3) == 3);
    if (w->protocol < 3) {
        resp_bulk(w, text);
        return;
    }
    write_header(w, '=', text.size + 4);
    write_text(w, format3);
    buffer_append_byte(w->out, ':');
    buffer_append_slice(w->out, text);
    write_text(w, "\r\n");
}

void resp_array(struct resp_writer *w, size_t count)
{
    write_header(w, '*', count);
}

static void write_aggregate(struct resp_writer *w, char marker, size_t count)
{
    if (w->protocol >= 3)
        write_header(w, marker, count);
    else
        write_header(w, '*', marker == '%' ? 2 * count : count);
}

void resp_map(struct resp_writer *w, size_t pairs)
{
    write_aggregate(w, '%', pairs);
}

void resp_set(struct resp_writer *w, size_t count)
{
    write_aggregate(w, '~', count);
}

void resp_push(struct resp_writer *w, size_t count)
{
    write_aggregate(w, '>', count);
}

/* ---- Lengths known later
 * -------------------------------------------------------------------------- The mark is the offset
 * of a gap as wide as the expected header; its first byte holds that width. */

size_t resp_deferred_expecting(struct resp_writer *w, size_t count)
{
    size_t mark = w->out->size;
    size_t width = DEFERRED_BYTES_MIN - 1 + decimal_size(count);

    uint8_t *at = resp_room(w, width);
    if (!at)
        return mark;
    memset(at, 0, width);
    at[0] = (uint8_t)width;
    resp_finish(w, at + width);
    return mark;
}

size_t resp_deferred(struct resp_writer *w)
{
    return resp_deferred_expecting(w, 0);
}

static void close_deferred(struct resp_writer *w, size_t mark, char marker, size_t count)
{
    uint8_t header[RESP_HEADER_BYTES_MAX];
    size_t size = (size_t)(resp_put_header(header, marker, count) - header);

    if (w->out->failed)
        return;
    assert(mark < w->out->size);
    size_t width = w->out->data[mark];
    assert(width >= DEFERRED_BYTES_MIN && width < RESP_HEADER_BYTES_MAX);
    assert(mark + width <= w->out->size);
    if (size != width) {
        if (!resp_room(w, RESP_HEADER_BYTES_MAX))
            return;
        memmove(w->out->data + mark + size, w->out->data + mark + width,
                w->out->size - mark - width);
        w->out->size = w->out->size - width + size;
    }
    memcpy(w->out->data + mark, header, size);
}

void resp_deferred_array(struct resp_writer *w, size_t mark, size_t count)
{
    close_deferred(w, mark, '*', count);
}

void resp_deferred_map(struct resp_writer *w, size_t mark, size_t pairs)
{
    if (w->protocol >= 3)
        close_deferred(w, mark, '%', pairs);
    else
        close_deferred(w, mark, '*', 2 * pairs);
}

void resp_deferred_set(struct resp_writer *w, size_t mark, size_t count)
{
    close_deferred(w, mark, w->protocol >= 3 ? '~' : '*', count);
}
