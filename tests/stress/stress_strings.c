/* SPDX-License-Identifier: MIT */
/* Operations on strings, carried out on the model. */
#include "stress/stress_expectation.h"

#include <inttypes.h>
#include <stdlib.h>

enum { NUMBER_BYTES_MAX = 24, FIELD_BITS = 16 };

static void show_text(struct slice text, struct buffer *out)
{
    struct buffer copy = {0};
    buffer_append_slice(&copy, text);
    resp_reply_show(&(struct resp_reply){.type = '$', .text = copy}, out);
    buffer_release(&copy);
}

static void show_slot(const struct model_slot *slot, struct buffer *out)
{
    if (slot->type == TYPE_STRING)
        show_text(buffer_slice(&slot->text), out);
    else
        buffer_append_text(out, "nil");
}

static void expect_slot(const struct model_slot *slot, struct expectation *expected)
{
    expect_text(expected, "");
    show_slot(slot, &expected->text);
}

static void write_value(struct model_slot *slot, size_t offset, uint64_t tag)
{
    struct buffer value = {0};
    value_append(&value, tag);
    slot_write_text(slot, offset, buffer_slice(&value));
    buffer_release(&value);
}

void apply_set(const struct operation *o, struct model_slot *slot, struct expectation *expected)
{
    bool exists = slot->type != TYPE_NONE, is_setnx = o->kind == OP_SETNX;
    bool may = !((o->nx || is_setnx) && exists) && !(o->xx && !exists);
    if (o->get && exists && slot->type != TYPE_STRING) {
        expect_text(expected, WRONG_TYPE);
        return;
    }
    if (o->get)
        expect_slot(slot, expected);
    else if (is_setnx)
        expect_integer(expected, may);
    else
        expect_text(expected, may ? "+OK" : "nil");
    if (!may)
        return;
    int64_t after = o->keep_ttl ? slot->expires_after : 0;
    int64_t until = o->keep_ttl ? slot->expires_until : 0;
    if (o->time_ms)
        operation_deadline(o, &after, &until);
    slot_clear(slot);
    write_value(slot, 0, o->tag);
    slot_expire_at(slot, after, until);
}

static void apply_getex(const struct operation *o, struct model_slot *slot,
                        struct expectation *expected)
{
    int64_t after = 0, until = 0;
    expect_slot(slot, expected);
    if (slot->type == TYPE_NONE || (o->time_ms == 0 && !o->persist))
        return;
    if (o->time_ms)
        operation_deadline(o, &after, &until);
    slot_expire_at(slot, after, until);
}

/* Up to `to`, inclusive. */
static void expect_part(const struct operation *o, const struct model_slot *slot,
                        struct expectation *expected)
{
    struct slice text = buffer_slice(&slot->text);
    size_t from = (size_t)o->from < text.size ? (size_t)o->from : text.size;
    size_t end = (size_t)o->to < text.size ? (size_t)o->to + 1 : text.size;
    expect_text(expected, "");
    show_text(from < end ? slice_make(text.data + from, end - from) : slice_make(NULL, 0),
              &expected->text);
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* A number that INCR and its kind have written, in quarters; false: it is none. No value of a tag
 * looks like one. */
static bool read_quarters(const struct model_slot *slot, int64_t *quarters)
{
    char text[NUMBER_BYTES_MAX + 1], *end;
    if (slot->type == TYPE_NONE) {
        *quarters = 0;
        return true;
    }
    if (slot->text.size == 0 || slot->text.size > NUMBER_BYTES_MAX)
        return false;
    memcpy(text, slot->text.data, slot->text.size);
    text[slot->text.size] = 0;
    if (strspn(text, "-.0123456789") != slot->text.size)
        return false;
    *quarters = (int64_t)(strtod(text, &end) * 4); /* small ones are exact */
    return *end == 0;
}

static void write_quarters(struct model_slot *slot, int64_t quarters)
{
    static const char *const fractions[] = {"", ".25", ".5", ".75"};
    char text[NUMBER_BYTES_MAX + 1];
    int64_t size = llabs(quarters);
    snprintf(text, sizeof(text), "%s%" PRId64 "%s", quarters < 0 ? "-" : "", size / 4,
             fractions[size % 4]);
    buffer_clear(&slot->text);
    slot_write_text(slot, 0, slice_from(text));
}

static void apply_increment(const struct operation *o, struct model_slot *slot,
                            struct expectation *expected)
{
    bool is_float = o->kind == OP_INCRBYFLOAT;
    int64_t quarters, by = o->kind == OP_INCR || o->kind == OP_DECR ? 1 : o->from;
    if (!read_quarters(slot, &quarters) || (!is_float && quarters % 4 != 0)) {
        expect_text(expected, is_float ? "-ERR value is not a valid float"
                                       : "-ERR value is not an integer or out of range");
        return;
    }
    if (o->kind == OP_DECR || o->kind == OP_DECRBY)
        by = -by;
    write_quarters(slot, quarters + (is_float ? by : 4 * by));
    if (is_float)
        expect_slot(slot, expected);
    else
        expect_integer(expected, quarters / 4 + by);
}

/* ---- Bits ------------------------------------------------------------------------------------ */

static bool bit_at(const struct model_slot *slot, size_t at)
{
    return at / 8 < slot->text.size && slot->text.data[at / 8] >> (7 - at % 8) & 1;
}

static void write_bit(struct model_slot *slot, size_t at, bool bit)
{
    uint8_t byte = at / 8 < slot->text.size ? slot->text.data[at / 8] : 0;
    uint8_t mask = (uint8_t)(0x80 >> at % 8);
    byte = (uint8_t)(bit ? byte | mask : byte & ~mask);
    slot_write_text(slot, at / 8, slice_make(&byte, 1));
}

/* The first one of that value; zeros follow the end, but not that of a string without bytes. */
static int64_t find_bit(const struct model_slot *slot, bool bit)
{
    if (slot->type == TYPE_STRING && slot->text.size == 0)
        return -1;
    for (size_t i = 0; i < slot->text.size; i++)
        if (slot->text.data[i] != (bit ? 0 : 0xff))
            for (size_t at = 8 * i;; at++)
                if (bit_at(slot, at) == bit)
                    return (int64_t)at;
    return bit ? -1 : (int64_t)(8 * slot->text.size);
}

/* INCRBY of a u16. */
static void apply_field(const struct operation *o, struct model_slot *slot,
                        struct expectation *expected)
{
    uint64_t value = 0;
    for (size_t i = 0; i < FIELD_BITS; i++)
        value = value << 1 | bit_at(slot, (size_t)o->from + i);
    value = (value + (uint64_t)o->to) & ((1u << FIELD_BITS) - 1);
    for (size_t i = 0; i < FIELD_BITS; i++)
        write_bit(slot, (size_t)o->from + i, value >> (FIELD_BITS - 1 - i) & 1);
    expect_text(expected, "");
    buffer_printf(&expected->text, "[:%" PRIu64 "]", value);
}

static void apply_bits(const struct operation *o, struct model_slot *slot,
                       struct expectation *expected)
{
    int64_t count = 0;
    switch (o->kind) {
    case OP_SETBIT:
        expect_integer(expected, bit_at(slot, (size_t)o->from));
        write_bit(slot, (size_t)o->from, o->to);
        break;
    case OP_GETBIT:
        expect_integer(expected, bit_at(slot, (size_t)o->from));
        break;
    case OP_BITPOS:
        expect_integer(expected, find_bit(slot, o->to));
        break;
    case OP_BITCOUNT:
        for (size_t i = 0; i < slot->text.size; i++)
            count += __builtin_popcount(slot->text.data[i]);
        expect_integer(expected, count);
        break;
    default:
        apply_field(o, slot, expected);
        break;
    }
}

/* ---- One key, many keys ---------------------------------------------------------------------- */

void apply_string(const struct operation *o, struct model_slot *slot, struct expectation *expected)
{
    switch (o->kind) {
    case OP_GET:
        expect_slot(slot, expected);
        break;
    case OP_GETRANGE:
    case OP_SUBSTR:
        expect_part(o, slot, expected);
        break;
    case OP_STRLEN:
        expect_integer(expected, (int64_t)slot->text.size);
        break;
    case OP_GETDEL:
        expect_slot(slot, expected);
        slot_clear(slot);
        break;
    case OP_GETEX:
        apply_getex(o, slot, expected);
        break;
    case OP_GETSET:
        expect_slot(slot, expected);
        slot_clear(slot);
        write_value(slot, 0, o->tag);
        break;
    case OP_APPEND:
        write_value(slot, slot->text.size, o->tag);
        expect_integer(expected, (int64_t)slot->text.size);
        break;
    case OP_SETRANGE:
        if (value_size(o->tag) > 0)
            write_value(slot, (size_t)o->from, o->tag);
        expect_integer(expected, (int64_t)slot->text.size);
        break;
    case OP_SETBIT ... OP_BITFIELD:
        apply_bits(o, slot, expected);
        break;
    default:
        apply_increment(o, slot, expected);
        break;
    }
}

/* XOR of all keys but the first one goes there. */
static void apply_bitop(const struct operation *o, struct model_slot *slots,
                        struct expectation *expected)
{
    struct buffer result = {0};
    for (size_t i = 1; i < o->key_count; i++) {
        const struct model_slot *source = &slots[o->keys[i]];
        if (source->type != TYPE_NONE && source->type != TYPE_STRING) {
            expect_text(expected, WRONG_TYPE);
            buffer_release(&result);
            return;
        }
        while (result.size < source->text.size)
            buffer_append_byte(&result, 0);
        for (size_t n = 0; n < source->text.size; n++)
            result.data[n] ^= source->text.data[n];
    }
    expect_integer(expected, (int64_t)result.size);
    slot_clear(&slots[o->keys[0]]);
    if (result.size > 0)
        slot_write_text(&slots[o->keys[0]], 0, buffer_slice(&result));
    buffer_release(&result);
}

static void apply_mset(const struct operation *o, struct model_slot *slots,
                       struct expectation *expected)
{
    bool may = true;
    for (size_t i = 0; i < o->key_count; i++)
        may &= o->kind == OP_MSET || slots[o->keys[i]].type == TYPE_NONE;
    for (size_t i = 0; i < o->key_count && may; i++) {
        slot_clear(&slots[o->keys[i]]);
        write_value(&slots[o->keys[i]], 0, o->tag + i);
    }
    if (o->kind == OP_MSET)
        expect_text(expected, "+OK");
    else
        expect_integer(expected, may);
}

void apply_strings(struct model *model, const struct operation *o, struct expectation *expected)
{
    struct model_slot *slots = model->slots[o->db];
    if (o->kind == OP_BITOP) {
        apply_bitop(o, slots, expected);
        return;
    }
    if (o->kind != OP_MGET) {
        apply_mset(o, slots, expected);
        return;
    }
    expect_text(expected, "[");
    for (size_t i = 0; i < o->key_count; i++) {
        buffer_append_text(&expected->text, i ? ", " : "");
        show_slot(&slots[o->keys[i]], &expected->text);
    }
    buffer_append_text(&expected->text, "]");
}
