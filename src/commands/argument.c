/* SPDX-License-Identifier: MIT */
/* Arguments as numbers and option names, with the error texts that Redis gives. */
#include "commands/command.h"

#include <math.h>
#include <stdlib.h>

enum { DOUBLE_TEXT_MAX = 128 };

bool slice_parse_unsigned(struct slice text, uint64_t *value)
{
    if (text.size == 0 || text.size > 20)
        return false;
    if (text.data[0] == '0' && text.size > 1)
        return false;
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9)
            return false;
        if (number > UINT64_MAX / 10 || number * 10 > UINT64_MAX - digit)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}

bool slice_parse_integer(struct slice text, int64_t *value)
{
    uint64_t number = 0;
    if (text.size == 0 || text.data[0] != '-') {
        if (!slice_parse_unsigned(text, &number) || number > INT64_MAX)
            return false;
        *value = (int64_t)number;
        return true;
    }
    if (!slice_parse_unsigned(slice_skip(text, 1), &number) || number == 0 ||
        number > (uint64_t)INT64_MAX + 1)
        return false;
    *value = (int64_t)(0 - number);
    return true;
}

bool slice_parse_double(struct slice text, double *value)
{
    char copy[DOUBLE_TEXT_MAX];
    if (text.size == 0 || text.size >= sizeof copy || memchr(text.data, 0, text.size))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (copy[0] == ' ' || (copy[0] >= '\t' && copy[0] <= '\r'))
        return false;
    char *end = NULL;
    double number = strtod(copy, &end);
    if (*end != '\0' || isnan(number))
        return false;
    *value = number;
    return true;
}

int slice_shown_bytes(struct slice text, size_t limit)
{
    size_t size = text.size < limit ? text.size : limit;
    const uint8_t *end = size ? memchr(text.data, 0, size) : NULL;
    return (int)(end ? (size_t)(end - text.data) : size);
}

bool argument_integer(struct command_context *c, size_t index, int64_t *value)
{
    if (slice_parse_integer(c->arguments[index], value))
        return true;
    reply_not_an_integer(c);
    return false;
}

bool argument_count(struct command_context *c, size_t index, int64_t *value)
{
    int64_t number = 0;
    if (!slice_parse_integer(c->arguments[index], &number) || number < 0) {
        reply_error(c, "ERR value is out of range, must be positive");
        return false;
    }
    *value = number;
    return true;
}

bool argument_timeout_ms(struct command_context *c, size_t index, int64_t *timeout_ms)
{
    int64_t number = 0;
    if (!slice_parse_integer(c->arguments[index], &number)) {
        reply_error(c, "ERR timeout is not an integer or out of range");
        return false;
    }
    if (number < 0) {
        reply_error(c, "ERR timeout is negative");
        return false;
    }
    *timeout_ms = number;
    return true;
}

bool argument_timeout_seconds(struct command_context *c, size_t index, int64_t *timeout_ms)
{
    double seconds = 0;
    const char *fault = NULL;
    if (!slice_parse_double(c->arguments[index], &seconds))
        fault = "ERR timeout is not a float or out of range";
    else if (seconds * 1000 >= (double)INT64_MAX)
        fault = "ERR timeout is out of range";
    else if (ceil(seconds * 1000) < 0)
        fault = "ERR timeout is negative";
    if (fault) {
        reply_error(c, fault);
        return false;
    }
    *timeout_ms = (int64_t)ceil(seconds * 1000);
    return true;
}

bool argument_is(const struct command_context *c, size_t index, const char *option)
{
    return index < c->count && slice_equal_nocase(c->arguments[index], option);
}
