/* SPDX-License-Identifier: MIT */
/* Strings that hold a number: INCR DECR INCRBY DECRBY INCRBYFLOAT. */
#include "base/decimal.h"
#include "commands/string_reply.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    INTEGER_BYTES_MAX = 1 + DECIMAL_BYTES_MAX,
    FLOAT_BYTES_MAX =
        5 * 1024, /* digits and decimals of the largest long double, with some to spare */
};

/* The text of a found string; one that is too long for any number is empty, which is none. */
static enum status read_text(struct command_context *c, const struct object *object,
                             uint64_t length, struct slice *text)
{
    if (length >= FLOAT_BYTES_MAX)
        length = 0;
    return string_read(c->access, object, 0, length, text);
}

static void replace(struct command_context *c, struct slice value, const struct object *old,
                    const char *event)
{
    string_replace(c->access, c->arguments[1], value, old, event);
}

/* ---- Integers ---------------------------------------------------------------------------------- */

static struct slice integer_text(char at[INTEGER_BYTES_MAX], int64_t value)
{
    uint8_t *end = (uint8_t *)at;
    if (value < 0)
        *end++ = '-';
    end = decimal_put(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    return slice_make(at, (size_t)(end - (uint8_t *)at));
}

static enum status increment(struct command_context *c, int64_t by)
{
    char text[INTEGER_BYTES_MAX];
    struct object object, *old;
    struct slice found;
    uint64_t length;
    int64_t value = 0;
    enum status status = find_old_string(c, 1, &object, &length, &old);
    if (!status && old)
        status = read_text(c, old, length, &found);
    if (status)
        return status;
    if (old && !slice_parse_integer(found, &value))
        return reply_not_an_integer(c);
    if (__builtin_add_overflow(value, by, &value))
        return reply_error(c, "ERR increment or decrement would overflow");
    replace(c, integer_text(text, value), old, "incrby");
    return reply_integer(c, value);
}

enum status incr_command(struct command_context *c)
{
    return increment(c, 1);
}

enum status decr_command(struct command_context *c)
{
    return increment(c, -1);
}

enum status incrby_command(struct command_context *c)
{
    int64_t by = 0;
    return argument_integer(c, 2, &by) ? increment(c, by) : STATUS_OK;
}

enum status decrby_command(struct command_context *c)
{
    int64_t by = 0;
    if (!argument_integer(c, 2, &by))
        return STATUS_OK;
    if (by == INT64_MIN)
        return reply_error(c, "ERR decrement would overflow");
    return increment(c, -by);
}

/* ---- Floats ------------------------------------------------------------------------------------ */

/* As Redis takes it: whatever strtold does but for leading space, NaN, and what is out of its range. */
static bool parse_float(struct slice text, long double *value)
{
    char copy[FLOAT_BYTES_MAX];
    char *end = NULL;
    if (text.size == 0 || text.size >= sizeof copy || isspace(text.data[0]))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    errno = 0;
    long double number = strtold(copy, &end);
    bool out_of_range = errno == ERANGE && (isinf(number) || number == 0);
    if (end != copy + text.size || out_of_range || isnan(number))
        return false;
    *value = number;
    return true;
}

/* 17 decimals, of which those at the end that are 0 are left out; no exponent. */
static struct slice float_text(char at[FLOAT_BYTES_MAX], long double value)
{
    size_t size = (size_t)snprintf(at, FLOAT_BYTES_MAX, "%.17Lf", value);
    while (at[size - 1] == '0')
        size--;
    if (at[size - 1] == '.')
        size--;
    struct slice text = slice_make(at, size);
    return slice_equal(text, slice_from("-0")) ? slice_skip(text, 1) : text;
}

enum status incrbyfloat_command(struct command_context *c)
{
    char text[FLOAT_BYTES_MAX];
    struct object object, *old;
    struct slice found;
    uint64_t length;
    long double value = 0, by = 0;
    enum status status = find_old_string(c, 1, &object, &length, &old);
    if (!status && old)
        status = read_text(c, old, length, &found);
    if (status)
        return status;
    if ((old && !parse_float(found, &value)) || !parse_float(c->arguments[2], &by))
        return reply_error(c, "ERR value is not a valid float");
    value += by;
    if (isnan(value) || isinf(value))
        return reply_error(c, "ERR increment would produce NaN or Infinity");
    struct slice shown = float_text(text, value);
    status = reply_bulk(c, shown);
    if (!status)
        replace(c, shown, old, "incrbyfloat");
    return status;
}
