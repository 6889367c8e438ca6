/* SPDX-License-Identifier: MIT */
/*      GET /metrics?x=1 HTTP/1.1 CRLF
 *      Host: localhost:9121 CRLF
 *      CRLF
 *
 * A line may end with LF alone (RFC 9112, 2.2). Every whole line is judged when it is there; of a line that is not whole
 * nothing is said. */
#include "server/http_request.h"

/* tchar of RFC 9110, 5.6.2. */
static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_alnum && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return text.size > 0;
}

static bool is_visible(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    return text.size > 0;
}

/* Tabs, spaces, visible characters and bytes from 0x80 on. */
static bool is_field_value(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7f)
            return false;
    return true;
}

/* Takes the bytes before `end` off *text, and `end`; false: it is not there. */
static bool take_until(struct slice *text, char end, struct slice *taken)
{
    const uint8_t *found = text->size ? memchr(text->data, end, text->size) : NULL;
    if (!found)
        return false;
    size_t size = (size_t)(found - text->data);
    *taken = slice_make(text->data, size);
    *text = slice_skip(*text, size + 1);
    return true;
}

static bool take_line(struct slice *text, struct slice *line)
{
    if (!take_until(text, '\n', line))
        return false;
    if (line->size > 0 && line->data[line->size - 1] == '\r')
        line->size--;
    return true;
}

static bool is_version(struct slice text)
{
    return text.size == 8 && slice_starts_with(text, slice_from("HTTP/1.")) &&
           text.data[7] >= '0' && text.data[7] <= '9';
}

static bool parse_request_line(struct slice line, struct http_request *request)
{
    struct slice target;
    if (!take_until(&line, ' ', &request->method) || !take_until(&line, ' ', &target))
        return false;
    if (!is_token(request->method) || !is_visible(target) || !is_version(line))
        return false;
    struct slice rest = target;
    if (!take_until(&rest, '?', &request->path))
        request->path = target;
    return target.data[0] == '/' || slice_equal(target, slice_from("*"));
}

static bool is_field_line(struct slice line)
{
    struct slice name;
    return take_until(&line, ':', &name) && is_token(name) && is_field_value(line);
}

enum http_result http_request_parse(struct slice bytes, struct http_request *request)
{
    bool is_long = bytes.size >= HTTP_HEAD_BYTES_MAX;
    struct slice rest = slice_make(bytes.data, is_long ? HTTP_HEAD_BYTES_MAX : bytes.size), line;
    struct http_request found;
    if (take_line(&rest, &line)) {
        if (!parse_request_line(line, &found))
            return HTTP_BAD;
        while (take_line(&rest, &line)) {
            if (line.size == 0) {
                *request = found;
                return HTTP_COMPLETE;
            }
            if (!is_field_line(line))
                return HTTP_BAD;
        }
    }
    return is_long ? HTTP_BAD : HTTP_PARTIAL;
}
