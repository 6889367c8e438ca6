/* SPDX-License-Identifier: MIT */
/* Order, text and successors of stream IDs. */
#include "types/stream_id.h"

#include "base/decimal.h"

#include <errno.h>
#include <stdlib.h>

enum { TEXT_SIZE_MAX = 127 }; /* longer ones are refused unread */

bool stream_id_increment(struct stream_id *id)
{
    if (id->seq < UINT64_MAX) {
        id->seq++;
        return true;
    }
    if (id->ms == UINT64_MAX)
        return false;
    id->ms++;
    id->seq = 0;
    return true;
}

bool stream_id_decrement(struct stream_id *id)
{
    if (id->seq > 0) {
        id->seq--;
        return true;
    }
    if (id->ms == 0)
        return false;
    id->ms--;
    id->seq = UINT64_MAX;
    return true;
}

size_t stream_id_format(struct stream_id id, char at[STREAM_ID_TEXT_MAX])
{
    uint8_t *end = decimal_put((uint8_t *)at, id.ms);
    *end++ = '-';
    end = decimal_put(end, id.seq);
    *end = '\0';
    return (size_t)(end - (uint8_t *)at);
}

/* Redis hands what is not a plain number to strtoull, so spaces, a plus and leading zeros pass;
 * what reads as a negative number does not. */
static bool parse_u64_loose(struct slice text, uint64_t *value)
{
    char copy[TEXT_SIZE_MAX + 1];
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (strlen(copy) != text.size)
        return false;
    if (copy[0] == '-')
        return false;
    char *end = NULL;
    errno = 0;
    unsigned long long parsed = strtoull(copy, &end, 10);
    if (errno || *end)
        return false;
    *value = parsed;
    return true;
}

static bool parse_u64(struct slice text, uint64_t *value)
{
    if (text.size == 0 || text.size > TEXT_SIZE_MAX)
        return false;
    if (text.size > 19)
        return parse_u64_loose(text, value);
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t digit = (uint8_t)(text.data[i] - '0');
        if (digit > 9)
            return parse_u64_loose(text, value);
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}

/* `any_seq`, if given, allows "ms-*" and tells whether it was. */
static bool parse(struct slice text, uint64_t missing_seq, bool *any_seq, struct stream_id *id)
{
    if (text.size == 0 || text.size > TEXT_SIZE_MAX)
        return false;
    struct stream_id parsed = {0, missing_seq};
    const uint8_t *dash = memchr(text.data, '-', text.size);
    size_t ms_size = dash ? (size_t)(dash - text.data) : text.size;
    if (!parse_u64(slice_make(text.data, ms_size), &parsed.ms))
        return false;
    if (dash) {
        struct slice seq = slice_skip(text, ms_size + 1);
        if (any_seq && seq.size == 1 && seq.data[0] == '*') {
            *any_seq = true;
            parsed.seq = 0;
        } else if (!parse_u64(seq, &parsed.seq)) {
            return false;
        }
    }
    *id = parsed;
    return true;
}

bool stream_id_parse_strict(struct slice text, uint64_t missing_seq, struct stream_id *id)
{
    return parse(text, missing_seq, NULL, id);
}

bool stream_id_parse(struct slice text, uint64_t missing_seq, struct stream_id *id)
{
    if (text.size == 1 && text.data[0] == '-') {
        *id = STREAM_ID_MIN;
        return true;
    }
    if (text.size == 1 && text.data[0] == '+') {
        *id = STREAM_ID_MAX;
        return true;
    }
    return parse(text, missing_seq, NULL, id);
}

bool stream_id_parse_bound(struct slice text, uint64_t missing_seq, struct stream_id *id,
                           bool *exclusive)
{
    bool is_open = text.size > 1 && text.data[0] == '(';
    if (is_open ? !stream_id_parse_strict(slice_skip(text, 1), missing_seq, id)
                : !stream_id_parse(text, missing_seq, id))
        return false;
    *exclusive = is_open;
    return true;
}

bool stream_id_parse_spec(struct slice text, struct stream_id_spec *spec)
{
    if (text.size == 1 && text.data[0] == '*') {
        *spec = (struct stream_id_spec){.kind = STREAM_ID_AUTO};
        return true;
    }
    bool any_seq = false;
    struct stream_id id;
    if (!parse(text, 0, &any_seq, &id))
        return false;
    spec->kind = any_seq ? STREAM_ID_AUTO_SEQ : STREAM_ID_GIVEN;
    spec->id = id;
    return true;
}
