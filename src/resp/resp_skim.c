/* SPDX-License-Identifier: MIT */
/* A look ahead into a pipeline: where requests end and what they are about. What is not plainly an array
 * of bulks is left to resp_parse. */
#include "resp/resp.h"
#include "resp/resp_length.h"

enum { SKIM_WORDS_MAX = 64, SKIM_DIGITS_MAX = 9 };

/* "*3\r\n" or "$5\r\n" at *at; moves behind it. */
static bool skim_length(const uint8_t **at, const uint8_t *end, uint8_t mark, size_t *length)
{
    const uint8_t *p = resp_take_short_length(*at, end, mark, length);
    size_t value = 0;
    if (p) {
        *at = p;
        return true;
    }
    p = *at;
    if (p == end || *p++ != mark)
        return false;
    const uint8_t *digits = p;
    while (p < end && *p >= '0' && *p <= '9' && p - digits < SKIM_DIGITS_MAX)
        value = value * 10 + (size_t)(*p++ - '0');
    if (p == digits || end - p < 2 || p[0] != '\r')
        return false;
    *at = p + 2;
    *length = value;
    return true;
}

bool resp_skim(struct slice input, struct slice *second, size_t *size)
{
    const uint8_t *at = input.data, *end = input.data + input.size;
    struct slice found = slice_make(NULL, 0);
    size_t words;
    if (!skim_length(&at, end, '*', &words) || words == 0 || words > SKIM_WORDS_MAX)
        return false;
    for (size_t i = 0; i < words; i++) {
        size_t length;
        if (!skim_length(&at, end, '$', &length) || (size_t)(end - at) < length + 2)
            return false;
        if (i == 1)
            found = slice_make(at, length);
        at += length + 2;
    }
    *second = found;
    *size = (size_t)(at - input.data);
    return true;
}
