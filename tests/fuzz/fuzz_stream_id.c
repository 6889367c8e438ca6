/* SPDX-License-Identifier: MIT */
/* Texts as IDs of streams, bounds, cursors and event times. What is accepted is written in its plain
 * form, which reads back as the same; numbers are what strtoull makes of them; bounds lie in order.
 * The input is a byte of choices, a sized text, and a second text. */
#include "fuzz/fuzz.h"

#include "types/log.h"
#include "types/log_severity.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

static const char *const seeds[] = {
    "0\0171526919030474-5(-",
    "0\1*1526919030474-*",
    "1\003-15m+1h",
    "1\0242024-05-01T08:30:00Z2024-05-01T08:30:00.25+02:00",
    "0\0261-1844674407370955161518446744073709551615-0",
    "1\0065-6-7 0",
    "1\0052000s(1714552200000-5",
    "0\5errorWARNING",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(seeds, sizeof seeds / sizeof *seeds, index, out);
}

/* As Redis reads a half of an ID: strtoull, of texts that do not begin with a minus. */
static bool model_number(struct slice text, uint64_t *value)
{
    char copy[128], *end;
    if (text.size == 0 || text.size >= sizeof copy || text.data[0] == '-' ||
        memchr(text.data, 0, text.size))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    errno = 0;
    *value = strtoull(copy, &end, 10);
    return errno == 0 && *end == 0 && end > copy;
}

static bool model_id(struct slice text, uint64_t missing_seq, struct stream_id *id)
{
    const uint8_t *dash = text.size ? memchr(text.data, '-', text.size) : NULL;
    size_t size = dash ? (size_t)(dash - text.data) : text.size;
    id->seq = missing_seq;
    return text.size < 128 && model_number(slice_make(text.data, size), &id->ms) &&
           (!dash || model_number(slice_skip(text, size + 1), &id->seq));
}

static void check_order(struct stream_id id)
{
    struct stream_id next = id;
    if (stream_id_increment(&next)) {
        fuzz_require(stream_id_compare(id, next) < 0);
        fuzz_require(stream_id_decrement(&next) && stream_id_compare(id, next) == 0);
    } else {
        fuzz_require(id.ms == UINT64_MAX && id.seq == UINT64_MAX);
        fuzz_require(stream_id_compare(id, next) == 0);
    }
    uint8_t bytes[STREAM_ID_BYTES];
    stream_id_store(bytes, id);
    fuzz_require(stream_id_compare(stream_id_load(bytes), id) == 0);
}

static void check_id(struct slice text, uint64_t missing_seq)
{
    struct stream_id id = {1, 2}, model, again;
    struct stream_id_spec spec;
    char plain[STREAM_ID_TEXT_MAX], expected[64];
    bool exclusive;
    bool is_id = stream_id_parse_strict(text, missing_seq, &id);
    fuzz_require(is_id == model_id(text, missing_seq, &model));
    if (!is_id) {
        fuzz_require(id.ms == 1 && id.seq == 2);
    } else {
        fuzz_require(stream_id_compare(id, model) == 0);
        size_t size = stream_id_format(id, plain);
        snprintf(expected, sizeof expected, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
        fuzz_require(slice_equal(slice_make(plain, size), slice_from(expected)));
        fuzz_require(stream_id_parse_strict(slice_make(plain, size), 0, &again));
        fuzz_require(stream_id_compare(id, again) == 0);
        check_order(id);
    }
    if (stream_id_parse_bound(text, missing_seq, &id, &exclusive) && exclusive)
        fuzz_require(model_id(slice_skip(text, 1), missing_seq, &model) &&
                     stream_id_compare(id, model) == 0);
    bool is_spec = stream_id_parse_spec(text, &spec);
    fuzz_require(!is_id || is_spec);
    fuzz_require(!is_spec || spec.kind != STREAM_ID_GIVEN || model_id(text, 0, &model));
}

static void check_cursor(struct slice text)
{
    struct stream_moment moment, again;
    bool is_start, again_is_start;
    char plain[LOG_CURSOR_TEXT_MAX];
    if (!log_cursor_parse(text, &is_start, &moment) || is_start)
        return;
    size_t size = log_cursor_format(moment, plain);
    fuzz_require(log_cursor_parse(slice_make(plain, size), &again_is_start, &again));
    fuzz_require(!again_is_start && stream_moment_compare(moment, again) == 0);
}

static void check_times(struct slice first_text, struct slice last_text, uint64_t now_ms)
{
    struct stream_moment first, last, moved;
    struct log_error error = {""};
    uint64_t ms = 0;
    bool is_empty;
    if (!log_time_parse(first_text, now_ms, &ms, &error))
        fuzz_require(error.text[0]);
    else if (first_text.size > 1 && first_text.data[0] == '-')
        fuzz_require(ms <= now_ms);
    error.text[0] = 0;
    if (!log_bounds_parse(first_text, last_text, now_ms, &first, &last, &is_empty, &error)) {
        fuzz_require(error.text[0]);
        return;
    }
    fuzz_require(is_empty || stream_moment_compare(first, last) <= 0);
    moved = first;
    if (stream_moment_increment(&moved)) {
        fuzz_require(stream_moment_compare(first, moved) < 0);
        fuzz_require(stream_moment_decrement(&moved));
        fuzz_require(stream_moment_compare(first, moved) == 0);
    }
}

/* A date that was made from milliseconds, by the C library, reads as those. */
static void check_date(uint64_t ms)
{
    char text[64];
    struct log_error error;
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    uint64_t found = 0;
    if (!gmtime_r(&seconds, &tm) || tm.tm_year + 1900 > 9999)
        return;
    size_t size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + size, sizeof text - size, ".%03uZ", (unsigned)(ms % 1000));
    fuzz_require(log_time_parse(slice_from(text), 0, &found, &error));
    fuzz_require(found == ms);
}

static void check_severity(struct slice text)
{
    enum log_severity severity, again;
    if (log_severity_parse(text, &severity))
        fuzz_require(log_severity_parse(slice_from(log_severity_name(severity)), &again) &&
                     again == severity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    static const uint64_t nows[] = {1714552200000, 0, UINT64_MAX, 1000};
    uint8_t choices = fuzz_byte(&input);
    struct slice first = fuzz_bytes(&input), last = input;
    uint64_t now_ms = nows[choices >> 1 & 3];
    char shown[32];
    check_id(first, choices & 8 ? UINT64_MAX : 0);
    check_id(last, 0);
    check_cursor(first);
    check_cursor(last);
    check_times(first, last, now_ms);
    check_severity(first);
    uint64_t ms = fuzz_number(&first);
    check_date(ms);
    log_duration_format(ms, shown);
    fuzz_require(strtoull(shown, NULL, 10) <= ms);
    return 0;
}
