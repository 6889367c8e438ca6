/* SPDX-License-Identifier: MIT */
/* What is a number:
 *
 *   decimal  a run of digits
 *   hex      a word (letters and digits, no others beside it) of 4 bytes or more, digits and letters a-f
 *            of one case, both; or what follows 0x: one digit or more, letters a-f of one case
 *
 * Runs longer than a number can hold are taken in pieces. Whatever is chosen here, a skeleton and its
 * numbers give the text back. */
#include "types/entry_skeleton.h"

#include "base/coding.h"
#include "base/memory.h"

#include <assert.h>

enum { HEX_WORD_BYTES_MIN = 4 };

/* Classes of bytes, as bits. */
enum { DIGIT = 1, LOWER_HEX = 2, UPPER_HEX = 4, OTHER_LETTER = 8, LETTER = 14, WORD = 15 };

static const uint8_t classes[256] = {
    ['0' ... '9'] = DIGIT,        ['a' ... 'f'] = LOWER_HEX,    ['A' ... 'F'] = UPPER_HEX,
    ['g' ... 'z'] = OTHER_LETTER, ['G' ... 'Z'] = OTHER_LETTER,
};

struct splitter {
    const uint8_t *start, *at, *end;
    const uint8_t *no_hex_before; /* words before this are not hex: a long one is looked at once */
    uint8_t *out;
    struct skeleton_number *next;
};

void skeleton_release(struct skeleton *skeleton)
{
    buffer_release(&skeleton->bytes);
    memory_free(skeleton->numbers);
    *skeleton = (struct skeleton){0};
}

/* ---- Eight bytes at a time ------------------------------------------------------------------- */

static inline uint64_t repeated(uint8_t byte)
{
    return 0x0101010101010101u * byte;
}

/* The high bit of each byte below `bound` (<= 128); above the lowest of them also of others. */
static inline uint64_t bytes_below(uint64_t bytes, uint8_t bound)
{
    return (bytes - repeated(bound)) & ~bytes & repeated(0x80);
}

size_t skeleton_literal_bytes(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *from = at;
    for (; end - at >= 8; at += 8) {
        uint64_t found = bytes_below(le64_load(at), SKELETON_LITERAL);
        if (found)
            return (size_t)(at - from) + (size_t)__builtin_ctzll(found) / 8;
    }
    while (at < end && *at >= SKELETON_LITERAL)
        at++;
    return (size_t)(at - from);
}

/* Copies up to the next digit or byte that must be escaped. */
static inline void copy_literals(struct splitter *s)
{
    for (; s->end - s->at >= 8; s->at += 8, s->out += 8) {
        uint64_t bytes = le64_load(s->at);
        uint64_t found =
            bytes_below(bytes, SKELETON_LITERAL) | bytes_below(bytes ^ repeated('0'), 10);
        le64_store(s->out, bytes);
        if (found) {
            size_t count = (size_t)__builtin_ctzll(found) / 8;
            s->at += count;
            s->out += count;
            return;
        }
    }
    while (s->at < s->end && *s->at >= SKELETON_LITERAL && classes[*s->at] != DIGIT)
        *s->out++ = *s->at++;
}

uint32_t skeleton_place(const uint8_t *start, const uint8_t *at)
{
    uint64_t before = 0;
    if (at - start >= SKELETON_CONTEXT_BYTES)
        return number_place(le64_load(at - SKELETON_CONTEXT_BYTES));
    for (unsigned shift = 56; at > start; shift -= 8)
        before |= (uint64_t) * --at << shift;
    return number_place(before);
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static inline void put_number(struct splitter *s, enum number_kind kind, uint64_t number,
                              size_t digits)
{
    s->next->number = number;
    s->next->place = number_place(le64_load(s->out - SKELETON_CONTEXT_BYTES));
    s->next++;
    s->at += digits;
    *s->out++ = (uint8_t)kind;
}

/* The run up to `end` as numbers of one kind. */
static void take_run(struct splitter *s, enum number_kind kind, const uint8_t *end)
{
    size_t most = kind == NUMBER_DECIMAL ? NUMBER_DECIMAL_DIGITS_MAX : NUMBER_HEX_DIGITS_MAX;
    while (s->at < end) {
        size_t count = (size_t)(end - s->at);
        if (count > most)
            count = most;
        put_number(s, kind, number_parse(kind, s->at, count), count);
    }
}

static const uint8_t *run_end(const uint8_t *at, const uint8_t *end, unsigned class)
{
    while (at < end && (classes[*at] & class))
        at++;
    return at;
}

/* A run of hex digits of one case that ends where its word ends: its end; else NULL. */
static const uint8_t *hex_run(const uint8_t *at, const uint8_t *end, enum number_kind *kind)
{
    const uint8_t *lower = run_end(at, end, DIGIT | LOWER_HEX);
    const uint8_t *upper = run_end(at, end, DIGIT | UPPER_HEX);
    const uint8_t *stop = lower >= upper ? lower : upper;
    *kind = lower >= upper ? NUMBER_HEX_LOWER : NUMBER_HEX_UPPER;
    return stop > at && (stop == end || !(classes[*stop] & WORD)) ? stop : NULL;
}

/* The word around the digit at s->at, if it is hex: takes it. The letters before the digit have been
 * copied already. */
static bool take_hex(struct splitter *s)
{
    const uint8_t *word = s->at, *stop;
    enum number_kind kind;
    while (word > s->start && (classes[word[-1]] & WORD))
        word--;
    if (s->at == word && *word == '0' && s->end - word > 2 && word[1] == 'x' &&
        (stop = hex_run(word + 2, s->end, &kind))) {
        *s->out++ = *s->at++;
        *s->out++ = *s->at++;
        take_run(s, kind, stop);
        return true;
    }
    stop = hex_run(word, s->end, &kind);
    if (!stop || stop - word < HEX_WORD_BYTES_MIN) {
        s->no_hex_before = run_end(s->at, s->end, WORD);
        return false;
    }
    s->out -= s->at - word;
    s->at = word;
    take_run(s, kind, stop);
    return true;
}

static inline void take_digits(struct splitter *s)
{
    const uint8_t *stop = s->at;
    uint64_t value = 0;
    do
        value = 10 * value + (*stop++ - '0');
    while (stop < s->end && classes[*stop] == DIGIT);
    size_t count = (size_t)(stop - s->at);
    bool touches_letters = (stop < s->end && (classes[*stop] & LETTER)) ||
                           (s->at > s->start && (classes[s->at[-1]] & LETTER));
    if (touches_letters && s->at >= s->no_hex_before && take_hex(s))
        return;
    if (count <= NUMBER_DECIMAL_DIGITS_MAX)
        put_number(s, NUMBER_DECIMAL, value + number_decimal_first[count], count);
    else
        take_run(s, NUMBER_DECIMAL, stop);
}

static void reserve(struct skeleton *skeleton, size_t text_bytes)
{
    buffer_clear(&skeleton->bytes);
    buffer_reserve(&skeleton->bytes, SKELETON_CONTEXT_BYTES + 2 * text_bytes + 8);
    size_t needed = skeleton->number_count + (text_bytes + 1) / 2; /* something is between two */
    if (needed > skeleton->number_capacity) {
        skeleton->number_capacity = 2 * needed;
        skeleton->numbers = memory_resize(skeleton->numbers,
                                          skeleton->number_capacity * sizeof(skeleton->numbers[0]));
    }
}

void skeleton_split(struct skeleton *skeleton, struct slice text)
{
    reserve(skeleton, text.size);
    struct splitter s = {.start = text.data, .at = text.data, .end = text.data + text.size};
    s.no_hex_before = s.start;
    s.out = skeleton->bytes.data + SKELETON_CONTEXT_BYTES;
    s.next = skeleton->numbers + skeleton->number_count;
    memset(skeleton->bytes.data, 0, SKELETON_CONTEXT_BYTES);
    while (copy_literals(&s), s.at < s.end) {
        if (classes[*s.at] == DIGIT) {
            take_digits(&s);
        } else {
            *s.out++ = SKELETON_ESCAPE;
            *s.out++ = SKELETON_ESCAPED + *s.at++;
        }
    }
    *s.out++ = SKELETON_END;
    skeleton->bytes.size = (size_t)(s.out - skeleton->bytes.data);
    skeleton->number_count = (size_t)(s.next - skeleton->numbers);
    assert(skeleton->bytes.size <= skeleton->bytes.capacity);
    assert(skeleton->number_count <= skeleton->number_capacity);
}
