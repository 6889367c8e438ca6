/* SPDX-License-Identifier: MIT */
/* Reading times. */
#include "types/log_time.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *name;
    uint64_t ms;
} units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000},
};

enum { UNIT_COUNT = sizeof units / sizeof *units };
enum { SHOWN_MAX = 64 }; /* bytes of a bad argument that an error repeats */

static bool fail(struct log_error *error, struct slice text, const char *why)
{
    int shown = text.size < SHOWN_MAX ? (int)text.size : SHOWN_MAX;
    snprintf(error->text, sizeof error->text, "invalid time '%.*s'%s", shown,
             text.size ? (const char *)text.data : "", why);
    return false;
}

/* Takes up to `digits_max` digits. */
static bool take_number(struct slice *text, size_t digits_max, uint64_t *value, size_t *digits)
{
    uint64_t number = 0;
    size_t count = 0;
    while (count < text->size && count < digits_max) {
        uint8_t digit = (uint8_t)(text->data[count] - '0');
        if (digit > 9)
            break;
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, digit, &number))
            return false;
        count++;
    }
    *text = slice_skip(*text, count);
    *value = number;
    *digits = count;
    return count > 0;
}

static bool take_character(struct slice *text, char character)
{
    if (text->size == 0 || text->data[0] != (uint8_t)character)
        return false;
    *text = slice_skip(*text, 1);
    return true;
}

/* Exactly two digits, at most `max`. */
static bool take_pair(struct slice *text, uint64_t max, uint64_t *value)
{
    size_t digits;
    return take_number(text, 2, value, &digits) && digits == 2 && *value <= max;
}

/* ---- Relative ------------------------------------------------------------------------------- */

/* "-15m": the sign is there. */
static bool parse_relative(struct slice text, uint64_t now_ms, uint64_t *ms,
                           struct log_error *error)
{
    struct slice rest = slice_skip(text, 1);
    uint64_t number, distance = 0;
    size_t digits;
    if (!take_number(&rest, 20, &number, &digits))
        return fail(error, text, "");
    if (rest.size == 0)
        return fail(error, text, ", unit required (ms s m h d w)");
    unsigned unit = 0;
    while (unit < UNIT_COUNT && !slice_equal_nocase(rest, units[unit].name))
        unit++;
    if (unit == UNIT_COUNT)
        return fail(error, text, ", unknown unit (ms s m h d w)");
    if (__builtin_mul_overflow(number, units[unit].ms, &distance))
        distance = UINT64_MAX;
    if (text.data[0] == '-')
        *ms = distance < now_ms ? now_ms - distance : 0;
    else if (__builtin_add_overflow(now_ms, distance, ms))
        *ms = UINT64_MAX;
    return true;
}

/* ---- ISO-8601 ------------------------------------------------------------------------------- */

/* Days from 1970-01-01 in the proleptic Gregorian calendar; the year counted from March, so that
 * the leap day comes last (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + (int64_t)day_of_era - 719468;
}

static unsigned days_in_month(uint64_t year, uint64_t month)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

static bool take_date(struct slice *text, int64_t *days)
{
    uint64_t year, month, day;
    size_t digits;
    if (!take_number(text, 4, &year, &digits) || digits != 4 || !take_character(text, '-') ||
        !take_pair(text, 12, &month) || month == 0 || !take_character(text, '-') ||
        !take_pair(text, 31, &day) || day == 0 || day > days_in_month(year, month))
        return false;
    *days = days_from_date((int64_t)year, (unsigned)month, (unsigned)day);
    return true;
}

/* A fraction of a second; what is below a millisecond is dropped. */
static bool take_fraction(struct slice *text, uint64_t *ms)
{
    *ms = 0;
    if (!take_character(text, '.') && !take_character(text, ','))
        return true;
    uint64_t scale = 100;
    size_t count = 0;
    for (; count < text->size && text->data[count] >= '0' && text->data[count] <= '9'; count++) {
        *ms += scale * (uint64_t)(text->data[count] - '0');
        scale /= 10;
    }
    *text = slice_skip(*text, count);
    return count > 0;
}

static bool take_time_of_day(struct slice *text, uint64_t *ms)
{
    uint64_t hour, minute, second = 0, fraction = 0;
    if (!take_pair(text, 23, &hour) || !take_character(text, ':') || !take_pair(text, 59, &minute))
        return false;
    if (take_character(text, ':') &&
        (!take_pair(text, 60, &second) || !take_fraction(text, &fraction)))
        return false;
    *ms = ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
    return true;
}

/* Z, +02:00, -0330, +01 or nothing. */
static bool take_zone(struct slice *text, int64_t *east_ms)
{
    uint64_t hours, minutes = 0;
    *east_ms = 0;
    if (text->size == 0 || take_character(text, 'Z') || take_character(text, 'z'))
        return true;
    bool is_west = text->data[0] == '-';
    if (!take_character(text, '+') && !take_character(text, '-'))
        return false;
    if (!take_pair(text, 23, &hours))
        return false;
    bool has_colon = take_character(text, ':');
    if ((has_colon || text->size > 0) && !take_pair(text, 59, &minutes))
        return false;
    *east_ms = (int64_t)(hours * 60 + minutes) * 60000;
    if (is_west)
        *east_ms = -*east_ms;
    return true;
}

static bool parse_iso(struct slice text, uint64_t *ms)
{
    int64_t days, east_ms = 0;
    uint64_t day_ms = 0;
    if (!take_date(&text, &days))
        return false;
    if (text.size > 0) {
        if (!take_character(&text, 'T') && !take_character(&text, 't') &&
            !take_character(&text, ' '))
            return false;
        if (!take_time_of_day(&text, &day_ms) || !take_zone(&text, &east_ms) || text.size > 0)
            return false;
    }
    int64_t total = days * 86400000 + (int64_t)day_ms - east_ms;
    if (total < 0)
        return false;
    *ms = (uint64_t)total;
    return true;
}

/* ---- All of them ---------------------------------------------------------------------------- */

/* *has_id: the text was a whole stream ID; otherwise id.seq is nothing. */
static bool parse_time(struct slice text, uint64_t now_ms, struct stream_id *id, bool *has_id,
                       struct log_error *error)
{
    struct slice rest = text;
    size_t digits;
    *has_id = false;
    if (text.size > 0 && (text.data[0] == '-' || text.data[0] == '+'))
        return parse_relative(text, now_ms, &id->ms, error);
    if (parse_iso(text, &id->ms))
        return true;
    if (!take_number(&rest, 20, &id->ms, &digits))
        return fail(error, text, "");
    if (rest.size == 0)
        return true;
    if (!take_character(&rest, '-') || !take_number(&rest, 20, &id->seq, &digits) || rest.size > 0)
        return fail(error, text, "");
    *has_id = true;
    return true;
}

bool log_time_parse(struct slice text, uint64_t now_ms, uint64_t *ms, struct log_error *error)
{
    struct stream_id id;
    bool has_id;
    if (!parse_time(text, now_ms, &id, &has_id, error))
        return false;
    *ms = id.ms;
    return true;
}

static bool is_sign(struct slice text, char sign)
{
    return text.size == 1 && text.data[0] == (uint8_t)sign;
}

/* The lowest and the highest moment that the text means; for - and + the ends of time. */
static bool parse_span(struct slice text, uint64_t now_ms, struct stream_moment *low,
                       struct stream_moment *high, struct log_error *error)
{
    struct stream_id id;
    bool has_id;
    if (is_sign(text, '-') || is_sign(text, '+')) {
        bool is_low = text.data[0] == '-';
        *low =
            (struct stream_moment){is_low ? 0 : UINT64_MAX, is_low ? STREAM_ID_MIN : STREAM_ID_MAX};
        *high = *low;
        return true;
    }
    if (!parse_time(text, now_ms, &id, &has_id, error))
        return false;
    *low = (struct stream_moment){id.ms, has_id ? id : STREAM_ID_MIN};
    *high = (struct stream_moment){id.ms, has_id ? id : STREAM_ID_MAX};
    return true;
}

bool log_bounds_parse(struct slice first_text, struct slice last_text, uint64_t now_ms,
                      struct stream_moment *first, struct stream_moment *last, bool *is_empty,
                      struct log_error *error)
{
    bool skips_first = first_text.size > 1 && first_text.data[0] == '(';
    bool skips_last = last_text.size > 1 && last_text.data[0] == '(';
    struct stream_moment first_low, first_high, last_low, last_high;
    if (!parse_span(skips_first ? slice_skip(first_text, 1) : first_text, now_ms, &first_low,
                    &first_high, error) ||
        !parse_span(skips_last ? slice_skip(last_text, 1) : last_text, now_ms, &last_low,
                    &last_high, error))
        return false;
    *first = skips_first ? first_high : first_low;
    *last = skips_last ? last_low : last_high;
    *is_empty = (skips_first && !stream_moment_increment(first)) ||
                (skips_last && !stream_moment_decrement(last)) ||
                stream_moment_compare(*first, *last) > 0;
    return true;
}

bool stream_moment_increment(struct stream_moment *moment)
{
    if (stream_id_increment(&moment->id))
        return true;
    if (moment->event_ms == UINT64_MAX)
        return false;
    *moment = (struct stream_moment){moment->event_ms + 1, STREAM_ID_MIN};
    return true;
}

bool stream_moment_decrement(struct stream_moment *moment)
{
    if (stream_id_decrement(&moment->id))
        return true;
    if (moment->event_ms == 0)
        return false;
    *moment = (struct stream_moment){moment->event_ms - 1, STREAM_ID_MAX};
    return true;
}

void log_duration_format(uint64_t ms, char at[32])
{
    static const unsigned shown[] = {4, 3, 2, 1}; /* days, hours, minutes, seconds */
    unsigned unit = 0;
    for (unsigned i = 0; ms > 0 && unit == 0 && i < sizeof shown / sizeof *shown; i++)
        if (ms % units[shown[i]].ms == 0)
            unit = shown[i];
    snprintf(at, 32, "%" PRIu64 " %s", ms / units[unit].ms, units[unit].name);
}
