/* SPDX-License-Identifier: MIT */
/* Written for clarity: a partial reply is read again from its start. */
#include "lib/resp_reply.h"

#include "base/memory.h"

#include <ctype.h>
#include <stdlib.h>

enum { DEPTH_MAX = 32, ELEMENTS_MAX = 10 * 1000 * 1000 };

static enum resp_reply_result read_reply(struct slice *input, struct resp_reply *reply, int depth);

/* Takes a line without its \r\n off the input. (Not by memmem: a sanitizer checks all of its input at
 * every call.) */
static bool take_line(struct slice *input, struct slice *line)
{
    const uint8_t *cr = input->size ? memchr(input->data, '\r', input->size) : NULL;
    const uint8_t *end = input->data + input->size;

    while (cr && cr + 1 < end && cr[1] != '\n')
        cr = memchr(cr + 1, '\r', (size_t)(end - cr - 1));
    if (!cr || cr + 1 == end)
        return false;
    *line = slice_make(input->data, (size_t)(cr - input->data));
    *input = slice_skip(*input, line->size + 2);
    return true;
}

static bool line_integer(struct slice line, int64_t *value)
{
    char text[24], *end;

    if (line.size == 0 || line.size >= sizeof text || isspace(line.data[0]))
        return false;
    memcpy(text, line.data, line.size);
    text[line.size] = 0;
    *value = strtoll(text, &end, 10);
    return *end == 0;
}

static enum resp_reply_result read_bulk(struct slice *input, struct resp_reply *reply, int64_t size)
{
    if (size == -1 && reply->type == '$') {
        reply->type = '0';
        return REPLY_COMPLETE;
    }
    if (size < 0 || (reply->type == '=' && size < 4))
        return REPLY_MALFORMED;
    if (input->size < (size_t)size + 2)
        return REPLY_PARTIAL;
    struct slice bytes = slice_make(input->data, (size_t)size);
    *input = slice_skip(*input, (size_t)size);
    if (memcmp(input->data, "\r\n", 2) != 0)
        return REPLY_MALFORMED;
    *input = slice_skip(*input, 2);
    if (reply->type == '=') {
        if (bytes.data[3] != ':')
            return REPLY_MALFORMED;
        memcpy(reply->format, bytes.data, 3);
        bytes = slice_skip(bytes, 4);
    }
    buffer_append_slice(&reply->text, bytes);
    return REPLY_COMPLETE;
}

static enum resp_reply_result read_children(struct slice *input, struct resp_reply *reply,
                                            int64_t count, int depth)
{
    if (count == -1 && reply->type == '*') {
        reply->type = '1';
        return REPLY_COMPLETE;
    }
    if (count < 0 || count > ELEMENTS_MAX || depth == DEPTH_MAX)
        return REPLY_MALFORMED;
    size_t wanted = (size_t)count * (reply->type == '%' ? 2 : 1);
    if (wanted > input->size)
        return REPLY_PARTIAL; /* an element has more than one byte */
    reply->children = memory_zeroed(wanted ? wanted : 1, sizeof *reply->children);
    for (size_t i = 0; i < wanted; i++) {
        reply->count++;
        enum resp_reply_result result = read_reply(input, &reply->children[i], depth + 1);
        if (result != REPLY_COMPLETE)
            return result;
    }
    return REPLY_COMPLETE;
}

static enum resp_reply_result read_reply(struct slice *input, struct resp_reply *reply, int depth)
{
    struct slice line;
    int64_t number = 0;

    if (!take_line(input, &line))
        return REPLY_PARTIAL;
    if (line.size == 0)
        return REPLY_MALFORMED;
    reply->type = (char)line.data[0];
    line = slice_skip(line, 1);
    if (memchr(":$*=%~>", reply->type, 7) && !line_integer(line, &number))
        return REPLY_MALFORMED;
    switch (reply->type) {
    case '+':
    case '-':
    case ',':
    case '(':
        buffer_append_slice(&reply->text, line);
        return REPLY_COMPLETE;
    case ':':
        reply->integer = number;
        return REPLY_COMPLETE;
    case '#':
        if (line.size != 1 || (line.data[0] != 't' && line.data[0] != 'f'))
            return REPLY_MALFORMED;
        reply->integer = line.data[0] == 't';
        return REPLY_COMPLETE;
    case '_':
        return line.size ? REPLY_MALFORMED : REPLY_COMPLETE;
    case '$':
    case '=':
        return read_bulk(input, reply, number);
    case '*':
    case '%':
    case '~':
    case '>':
        return read_children(input, reply, number, depth);
    default:
        return REPLY_MALFORMED;
    }
}

enum resp_reply_result resp_reply_read(struct slice input, struct resp_reply *reply,
                                       size_t *consumed)
{
    struct slice rest = input;
    enum resp_reply_result result = read_reply(&rest, reply, 0);

    if (result == REPLY_COMPLETE)
        *consumed = input.size - rest.size;
    else
        resp_reply_release(reply);
    return result;
}

void resp_reply_release(struct resp_reply *reply)
{
    for (size_t i = 0; i < reply->count; i++)
        resp_reply_release(&reply->children[i]);
    memory_free(reply->children);
    buffer_release(&reply->text);
    *reply = (struct resp_reply){0};
}

static bool is_shown_plainly(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

static void show_quoted(const struct buffer *text, struct buffer *out)
{
    buffer_reserve(out, text->size + 2); /* replies of many kilobytes, again and again */
    buffer_append_text(out, "\"");
    for (size_t i = 0; i < text->size;) {
        size_t plain = i;
        while (plain < text->size && is_shown_plainly(text->data[plain]))
            plain++;
        buffer_append(out, text->data + i, plain - i);
        if (plain == text->size)
            break;
        uint8_t byte = text->data[plain];
        if (byte == '"' || byte == '\\')
            buffer_printf(out, "\\%c", byte);
        else if (byte == '\n')
            buffer_append_text(out, "\\n");
        else if (byte == '\r')
            buffer_append_text(out, "\\r");
        else
            buffer_printf(out, "\\x%02x", byte);
        i = plain + 1;
    }
    buffer_append_text(out, "\"");
}

static void show_children(const struct resp_reply *reply, struct buffer *out)
{
    bool is_map = reply->type == '%';

    if (reply->type == '~' || reply->type == '>')
        buffer_append_byte(out, (uint8_t)reply->type);
    buffer_append_text(out, is_map ? "{" : "[");
    for (size_t i = 0; i < reply->count; i++) {
        if (i)
            buffer_append_text(out, is_map && i % 2 ? ": " : ", ");
        resp_reply_show(&reply->children[i], out);
    }
    buffer_append_text(out, is_map ? "}" : "]");
}

void resp_reply_show(const struct resp_reply *reply, struct buffer *out)
{
    switch (reply->type) {
    case '0':
    case '_':
        buffer_append_text(out, "nil");
        break;
    case '1':
        buffer_append_text(out, "nil-array");
        break;
    case ':':
        buffer_printf(out, ":%lld", (long long)reply->integer);
        break;
    case '#':
        buffer_append_text(out, reply->integer ? "#t" : "#f");
        break;
    case '$':
        show_quoted(&reply->text, out);
        break;
    case '=':
        buffer_printf(out, "=%s ", reply->format);
        show_quoted(&reply->text, out);
        break;
    case '*':
    case '%':
    case '~':
    case '>':
        show_children(reply, out);
        break;
    default:
        buffer_append_byte(out, (uint8_t)reply->type);
        buffer_append_slice(out, buffer_slice(&reply->text));
    }
}

bool resp_reply_is(const struct resp_reply *reply, const char *shown)
{
    struct buffer text = {0};

    resp_reply_show(reply, &text);
    bool same = slice_equal(buffer_slice(&text), slice_from(shown));
    buffer_release(&text);
    return same;
}
