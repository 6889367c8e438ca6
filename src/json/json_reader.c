/* SPDX-License-Identifier: MIT */
/* The pull reader (RFC 8259). Strings are most of a log, so plain ASCII goes eight bytes at a time.
 */
#include "json/json_reader.h"

#include "base/coding.h"
#include "json/json.h"

#include <assert.h>

static bool fail(struct json_reader *reader, const char *error)
{
    reader->error = error;
    return false;
}

void json_reader_init(struct json_reader *reader, struct slice text)
{
    *reader =
        (struct json_reader){.start = text.data, .at = text.data, .end = text.data + text.size};
}

static void skip_space(struct json_reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
                                        *reader->at == '\r' || *reader->at == '\n'))
        reader->at++;
}

/* Skips white space; 0 at the end, which no JSON text contains. */
static uint8_t next_byte(struct json_reader *reader)
{
    skip_space(reader);
    return reader->at < reader->end ? *reader->at : 0;
}

/* ---- Strings
 * --------------------------------------------------------------------------------------- */

size_t utf8_sequence(const uint8_t *at, const uint8_t *end)
{
    uint8_t first = at[0];
    size_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (size == 0 || first > 0xf4 || (size_t)(end - at) < size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (first == 0xe0 && at[1] < 0xa0) || (first == 0xf0 && at[1] < 0x90);
    bool surrogate = first == 0xed && at[1] > 0x9f;
    bool too_big = first == 0xf4 && at[1] > 0x8f;
    return overlong || surrogate || too_big ? 0 : size;
}

/* Bit 7 of a byte of the result is set where x's byte is zero; exact up to the first such byte. */
static uint64_t zero_bytes(uint64_t x)
{
    return (x - 0x0101010101010101u) & ~x & 0x8080808080808080u;
}

size_t json_plain_prefix(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *p = at;

    for (; end - p >= 8; p += 8) {
        uint64_t x = le64_load(p);
        uint64_t odd = zero_bytes(x ^ 0x2222222222222222u) | zero_bytes(x ^ 0x5c5c5c5c5c5c5c5cu) |
                       ((x - 0x2020202020202020u) & ~x & 0x8080808080808080u) |
                       (x & 0x8080808080808080u);
        if (odd)
            return (size_t)(p - at) + (size_t)__builtin_ctzll(odd) / 8;
    }
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return (size_t)(p - at);
}

/* Four hexadecimal digits; -1 when they are not. */
static int hex4(const uint8_t *at, const uint8_t *end)
{
    int value = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i], lower = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value * 16 + (lower - 'a' + 10);
        else
            return -1;
    }
    return value;
}

static bool is_high_surrogate(int unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(int unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* The size of the escape at `at` (a backslash); 0: none is complete and valid here. */
static size_t escape_size(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 2)
        return 0;
    if (at[1] != 'u')
        return at[1] && strchr("\"\\/bfnrt", at[1]) ? 2 : 0;
    int unit = hex4(at + 2, end);
    if (unit < 0 || is_low_surrogate(unit))
        return 0;
    if (!is_high_surrogate(unit))
        return 6;
    if (end - at < 12 || at[6] != '\\' || at[7] != 'u' || !is_low_surrogate(hex4(at + 8, end)))
        return 0;
    return 12;
}

static bool take_string(struct json_reader *reader, struct json_value *value)
{
    const uint8_t *start = ++reader->at;

    value->kind = JSON_STRING;
    value->has_escapes = false;
    for (;;) {
        reader->at += json_plain_prefix(reader->at, reader->end);
        if (reader->at == reader->end)
            return fail(reader, "a string is not closed");
        if (*reader->at == '"')
            break;
        if (*reader->at < 0x20)
            return fail(reader, "a control character in a string must be escaped");
        size_t size;
        if (*reader->at == '\\') {
            size = escape_size(reader->at, reader->end);
            if (size == 0)
                return fail(reader, "an escape is not valid");
            value->has_escapes = true;
        } else {
            size = utf8_sequence(reader->at, reader->end);
            if (size == 0)
                return fail(reader, "a string is not UTF-8");
        }
        reader->at += size;
    }
    value->text = slice_make(start, (size_t)(reader->at - start));
    reader->at++;
    return true;
}

static uint8_t *put_utf8(uint8_t *out, unsigned code)
{
    if (code < 0x80) {
        *out++ = (uint8_t)code;
    } else if (code < 0x800) {
        *out++ = (uint8_t)(0xc0 | code >> 6);
        *out++ = (uint8_t)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *out++ = (uint8_t)(0xe0 | code >> 12);
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *out++ = (uint8_t)(0x80 | (code & 0x3f));
    } else {
        *out++ = (uint8_t)(0xf0 | code >> 18);
        *out++ = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *out++ = (uint8_t)(0x80 | (code & 0x3f));
    }
    return out;
}

static uint8_t short_escape(uint8_t letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

void json_unescape(struct slice text, struct buffer *out)
{
    const uint8_t *at = text.data, *end = text.data + text.size;

    if (!buffer_reserve(out, text.size))
        return;
    uint8_t *to = out->data + out->size;
    while (at < end) {
        const uint8_t *backslash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((backslash ? backslash : end) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (at == end)
            break;
        size_t size = escape_size(at, end);
        assert(size != 0);
        if (size == 2) {
            *to++ = short_escape(at[1]);
        } else if (size == 6) {
            to = put_utf8(to, (unsigned)hex4(at + 2, end));
        } else {
            unsigned high = (unsigned)hex4(at + 2, end) - 0xd800;
            unsigned low = (unsigned)hex4(at + 8, end) - 0xdc00;
            to = put_utf8(to, 0x10000 + (high << 10) + low);
        }
        at += size;
    }
    out->size = (size_t)(to - out->data);
    assert(out->size <= out->capacity);
}

/* ---- Other values
 * ---------------------------------------------------------------------------------- */

static bool take_digits(struct json_reader *reader)
{
    const uint8_t *start = reader->at;

    while (reader->at < reader->end && (unsigned)*reader->at - '0' <= 9)
        reader->at++;
    return reader->at > start || fail(reader, "a digit is missing");
}

static bool take_one_of(struct json_reader *reader, const char *bytes)
{
    if (reader->at == reader->end || *reader->at == 0 || !strchr(bytes, *reader->at))
        return false;
    reader->at++;
    return true;
}

static bool take_number(struct json_reader *reader)
{
    (void)take_one_of(reader, "-"); /* a sign may be missing */
    bool zero = reader->at < reader->end && *reader->at == '0';
    if (zero)
        reader->at++;
    else if (!take_digits(reader))
        return false;
    if (zero && reader->at < reader->end && (unsigned)*reader->at - '0' <= 9)
        return fail(reader, "a number must not begin with 0");
    if (take_one_of(reader, ".") && !take_digits(reader))
        return false;
    if (take_one_of(reader, "eE")) {
        (void)take_one_of(reader, "+-"); /* likewise */
        return take_digits(reader);
    }
    return true;
}

static bool take_word(struct json_reader *reader, const char *word)
{
    struct slice rest = slice_make(reader->at, (size_t)(reader->end - reader->at));

    if (!slice_starts_with(rest, slice_from(word)))
        return fail(reader, "a value is expected");
    reader->at += strlen(word);
    return true;
}

bool json_reader_peek(struct json_reader *reader, enum json_kind *kind)
{
    switch (next_byte(reader)) {
    case '{':
        *kind = JSON_OBJECT;
        return true;
    case '[':
        *kind = JSON_ARRAY;
        return true;
    case '"':
        *kind = JSON_STRING;
        return true;
    case 't':
        *kind = JSON_TRUE;
        return true;
    case 'f':
        *kind = JSON_FALSE;
        return true;
    case 'n':
        *kind = JSON_NULL;
        return true;
    case '-':
    case '0' ... '9':
        *kind = JSON_NUMBER;
        return true;
    default:
        return false;
    }
}

static bool take_container(struct json_reader *reader, enum json_kind kind)
{
    struct json_value inner;

    if (!json_reader_enter(reader, kind))
        return false;
    while (kind == JSON_OBJECT ? json_reader_member(reader, &inner) : json_reader_element(reader))
        if (!json_reader_value(reader, &inner))
            return false;
    return !reader->error;
}

bool json_reader_value(struct json_reader *reader, struct json_value *value)
{
    enum json_kind kind;
    bool taken = false;

    if (reader->error)
        return false;
    if (!json_reader_peek(reader, &kind))
        return fail(reader, "a value is expected");
    const uint8_t *start = reader->at;
    switch (kind) {
    case JSON_STRING:
        return take_string(reader, value);
    case JSON_NUMBER:
        taken = take_number(reader);
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
        taken = take_container(reader, kind);
        break;
    case JSON_NULL:
        taken = take_word(reader, "null");
        break;
    case JSON_TRUE:
        taken = take_word(reader, "true");
        break;
    case JSON_FALSE:
        taken = take_word(reader, "false");
        break;
    }
    value->kind = kind;
    value->text = slice_make(start, (size_t)(reader->at - start));
    value->has_escapes = false;
    return taken;
}

bool json_reader_enter(struct json_reader *reader, enum json_kind kind)
{
    uint8_t open = kind == JSON_OBJECT ? '{' : '[';

    assert(kind == JSON_OBJECT || kind == JSON_ARRAY);
    if (reader->error)
        return false;
    if (next_byte(reader) != open)
        return fail(reader, open == '{' ? "'{' is expected" : "'[' is expected");
    if (reader->depth == JSON_DEPTH_MAX)
        return fail(reader, "nested too deep");
    reader->depth++;
    reader->at++;
    reader->first = true;
    return true;
}

/* Takes the comma before the next item, or the closing byte: then false, and no error. */
static bool next_item(struct json_reader *reader, uint8_t close, const char *expected)
{
    if (reader->error)
        return false;
    bool first = reader->first;
    uint8_t byte = next_byte(reader);
    reader->first = false;
    if (byte == close) {
        assert(reader->depth > 0);
        reader->depth--;
        reader->at++;
        return false;
    }
    if (first)
        return true;
    if (byte != ',')
        return fail(reader, expected);
    reader->at++;
    return true;
}

bool json_reader_member(struct json_reader *reader, struct json_value *key)
{
    if (!next_item(reader, '}', "',' or '}' is expected"))
        return false;
    if (next_byte(reader) != '"')
        return fail(reader, "a key in double quotes is expected");
    if (!take_string(reader, key))
        return false;
    if (next_byte(reader) != ':')
        return fail(reader, "':' is expected");
    reader->at++;
    return true;
}

bool json_reader_element(struct json_reader *reader)
{
    return next_item(reader, ']', "',' or ']' is expected");
}

bool json_reader_ends(struct json_reader *reader)
{
    skip_space(reader);
    return !reader->error && reader->at == reader->end;
}
