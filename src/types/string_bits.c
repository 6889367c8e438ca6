/* SPDX-License-Identifier: MIT */
#include "types/string_bits.h"

#include <assert.h>

/* ---- Single bits. ---------------------------------------------------------------------------- */

enum status string_get_bit(struct access *access, const struct object *object, uint64_t position,
                           bool *bit)
{
    struct slice byte;
    uint64_t length;
    enum status status = string_length(object, &length);
    if (status)
        return status;
    if (position / 8 >= length) {
        *bit = false;
        return STATUS_OK;
    }
    status = string_read(access, object, position / 8, 1, &byte);
    if (!status)
        *bit = byte.data[0] >> (7 - position % 8) & 1;
    return status;
}

enum status string_set_bit(struct access *access, struct slice key, const struct object *old,
                           uint64_t position, bool bit, bool *was)
{
    uint64_t length = 0, at = position / 8;
    uint8_t byte = 0, mask = (uint8_t)(0x80 >> position % 8);
    struct slice found;
    enum status status = old ? string_length(old, &length) : STATUS_OK;
    if (!status && at < length) {
        status = string_read(access, old, at, 1, &found);
        if (!status)
            byte = found.data[0];
    }
    if (status)
        return status;
    bool before = byte & mask;
    if (before != bit || at >= length) {
        byte = (uint8_t)(bit ? byte | mask : byte & ~mask);
        status = string_write(access, key, old, at, slice_make(&byte, 1), "setbit");
    }
    if (!status)
        *was = before;
    return status;
}

/* ---- Counting. ------------------------------------------------------------------------------- */

/* The ones of each pair of bits, of each four, of each byte; the product adds the bytes up in the highest one. As
 * fast as memory is; the processor's own instruction is not everywhere. */
static unsigned ones_of_word(uint64_t word)
{
    const uint64_t pairs = 0x5555555555555555, fours = 0x3333333333333333,
                   eights = 0x0f0f0f0f0f0f0f0f, each_byte = 0x0101010101010101;
    word -= word >> 1 & pairs;
    word = (word & fours) + (word >> 2 & fours);
    return (unsigned)(((word + (word >> 4)) & eights) * each_byte >> 56);
}

static uint64_t count_ones(struct slice bytes)
{
    uint64_t count = 0, word;
    for (; bytes.size >= sizeof word; bytes = slice_skip(bytes, sizeof word)) {
        memcpy(&word, bytes.data, sizeof word);
        count += ones_of_word(word);
    }
    for (size_t i = 0; i < bytes.size; i++)
        count += ones_of_word(bytes.data[i]);
    return count;
}

/* Bits that are looked at; `at` is the byte that is shown next. */
struct scan {
    uint64_t at;
    uint64_t first, last; /* bits */
    uint64_t count;
    bool bit, found;
    uint64_t position;
};

static bool count_shown(void *context, struct slice bytes, uint64_t zeros)
{
    struct scan *scan = context;
    uint64_t first_byte = scan->first / 8, last_byte = scan->last / 8, end = scan->at + bytes.size;
    scan->count += count_ones(bytes);
    if (scan->at == first_byte && bytes.size > 0) /* less those before the first one */
        scan->count -= ones_of_word(bytes.data[0] & (uint8_t) ~(0xff >> scan->first % 8));
    if (scan->at <= last_byte && last_byte < end) /* and those behind the last one */
        scan->count -=
            ones_of_word(bytes.data[last_byte - scan->at] & (uint8_t)(0x7f >> scan->last % 8));
    scan->at = end + zeros;
    return true;
}

static enum status scan_bits(struct access *access, const struct object *object, struct scan *scan,
                             bool (*visit)(void *context, struct slice bytes, uint64_t zeros))
{
    assert(scan->first <= scan->last);
    scan->at = scan->first / 8;
    return string_visit(access, object, scan->at, scan->last / 8 - scan->at + 1,
                        &(struct string_visitor){visit, scan});
}

enum status string_count_bits(struct access *access, const struct object *object, uint64_t first,
                              uint64_t last, uint64_t *count)
{
    struct scan scan = {.first = first, .last = last};
    enum status status = scan_bits(access, object, &scan, count_shown);
    if (!status)
        *count = scan.count;
    return status;
}

/* ---- Searching. ------------------------------------------------------------------------------ */

/* Index of the first byte that is not `byte` from `from` on, or the size. */
static size_t skip_bytes(struct slice bytes, size_t from, uint8_t byte)
{
    uint64_t pattern, word;
    memset(&pattern, byte, sizeof pattern);
    for (; bytes.size - from >= sizeof word; from += sizeof word) {
        memcpy(&word, bytes.data + from, sizeof word);
        if (word != pattern)
            break;
    }
    while (from < bytes.size && bytes.data[from] == byte)
        from++;
    return from;
}

static bool find_at(struct scan *scan, uint64_t position)
{
    scan->found = position <= scan->last;
    scan->position = position;
    return false; /* in either case that was all */
}

static bool find_shown(void *context, struct slice bytes, uint64_t zeros)
{
    struct scan *scan = context;
    uint8_t others = scan->bit ? 0x00 : 0xff;
    size_t from = 0;
    if (scan->at == scan->first / 8 && bytes.size > 0) {
        uint8_t matching = (uint8_t)((bytes.data[0] ^ others) & 0xff >> scan->first % 8);
        if (matching)
            return find_at(scan, 8 * scan->at + (unsigned)__builtin_clz(matching) - 24);
        from = 1;
    }
    from = skip_bytes(bytes, from, others);
    if (from < bytes.size)
        return find_at(scan, 8 * (scan->at + from) +
                                 (unsigned)__builtin_clz(bytes.data[from] ^ others) - 24);
    scan->at += bytes.size;
    if (zeros > 0 && !scan->bit)
        return find_at(scan, 8 * scan->at > scan->first ? 8 * scan->at : scan->first);
    scan->at += zeros;
    return true;
}

enum status string_find_bit(struct access *access, const struct object *object, bool bit,
                            uint64_t first, uint64_t last, uint64_t *position)
{
    struct scan scan = {.first = first, .last = last, .bit = bit};
    enum status status = scan_bits(access, object, &scan, find_shown);
    if (status)
        return status;
    if (!scan.found)
        return STATUS_NOT_FOUND;
    *position = scan.position;
    return STATUS_OK;
}

/* ---- Combining. ------------------------------------------------------------------------------ */

/* What comes out of the sources so far, and where the next one's bytes go. */
struct combination {
    enum bit_operation operation;
    uint8_t *result;
    uint64_t at;
};

static void combine_bytes(enum bit_operation operation, uint8_t *result, struct slice bytes)
{
    const uint8_t *data = bytes.data;
    switch (operation) {
    case BIT_AND:
        for (size_t i = 0; i < bytes.size; i++)
            result[i] &= data[i];
        return;
    case BIT_OR:
        for (size_t i = 0; i < bytes.size; i++)
            result[i] |= data[i];
        return;
    case BIT_XOR:
        for (size_t i = 0; i < bytes.size; i++)
            result[i] ^= data[i];
        return;
    case BIT_NOT:
        for (size_t i = 0; i < bytes.size; i++)
            result[i] = (uint8_t)~data[i];
        return;
    }
}

static void combine_zeros(enum bit_operation operation, uint8_t *result, uint64_t count)
{
    if (operation == BIT_AND)
        memset(result, 0, count);
    else if (operation == BIT_NOT)
        memset(result, 0xff, count);
}

static bool combine_shown(void *context, struct slice bytes, uint64_t zeros)
{
    struct combination *combination = context;
    uint8_t *result = combination->result + combination->at;
    combine_bytes(combination->operation, result, bytes);
    combine_zeros(combination->operation, result + bytes.size, zeros);
    combination->at += bytes.size + zeros;
    return true;
}

static enum status length_of(const struct object *object, uint64_t *length)
{
    *length = 0;
    return object->type ? string_length(object, length) : STATUS_OK;
}

static enum status longest_of(const struct object *objects, size_t count, uint64_t *longest)
{
    enum status status = STATUS_OK;
    *longest = 0;
    for (size_t i = 0; i < count && !status; i++) {
        uint64_t length;
        status = length_of(&objects[i], &length);
        if (!status && length > *longest)
            *longest = length;
    }
    return status;
}

enum status string_combine(struct access *access, enum bit_operation operation,
                           const struct object *objects, size_t count, struct buffer *result)
{
    uint64_t size;
    enum status status = longest_of(objects, count, &size);
    buffer_clear(result);
    if (!status)
        status = buffer_try_reserve(result, size);
    if (!status && size > 0)
        memset(result->data, operation == BIT_AND ? 0xff : 0, size);
    for (size_t i = 0; i < count && !status; i++) {
        struct combination combination = {.operation = operation, .result = result->data};
        uint64_t length;
        status = length_of(&objects[i], &length);
        if (!status && length > 0)
            status = string_visit(access, &objects[i], 0, length,
                                  &(struct string_visitor){combine_shown, &combination});
        if (!status && size > length)
            combine_zeros(operation, result->data + length, size - length);
    }
    if (!status)
        result->size = size;
    return status;
}
