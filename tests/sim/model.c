/* SPDX-License-Identifier: MIT */
#include "sim/model.h"

#include "base/hash.h"
#include "base/memory.h"
#include "resp/resp.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const char *const model_command_names[MODEL_COMMAND_COUNT] = {
#define MODEL_COMMAND_NAME(name) #name,
    MODEL_COMMANDS(MODEL_COMMAND_NAME)
#undef MODEL_COMMAND_NAME
};

static const char wrong_type[] =
    "WRONGTYPE Operation against a key holding the wrong kind of value";

/* ---- Shared bytes and values ----------------------------------------------------------------- */

struct model_bytes *model_bytes_make(const void *data, size_t size, size_t json_at)
{
    struct model_bytes *bytes = memory_allocate(sizeof *bytes + size);
    bytes->references = 1;
    bytes->size = size;
    bytes->json_at = json_at;
    if (size)
        memcpy(bytes->data, data, size);
    return bytes;
}

void model_bytes_unref(struct model_bytes *bytes)
{
    if (bytes && --bytes->references == 0)
        memory_free(bytes);
}

static struct model_bytes *bytes_ref(struct model_bytes *bytes)
{
    bytes->references++;
    return bytes;
}

static void value_unref(struct model_value *value)
{
    if (!value || --value->references > 0)
        return;
    for (size_t i = 0; i < value->count; i++)
        model_bytes_unref(value->items[i].bytes);
    memory_free(value->items);
    memory_free(value);
}

static struct model_value *value_make(enum model_kind kind)
{
    struct model_value *value = memory_zeroed(1, sizeof *value);
    value->references = 1;
    value->kind = kind;
    return value;
}

/* The slot's value, which nobody else sees. */
static struct model_value *value_own(struct model_slot *slot)
{
    struct model_value *old = slot->value;
    if (old->references == 1) {
        old->hash = 0;
        return old;
    }
    struct model_value *value = memory_copy(old, sizeof *old);
    value->references = 1;
    value->hash = 0;
    value->capacity = old->count;
    value->items = memory_allocate((old->count + 1) * sizeof *value->items);
    for (size_t i = 0; i < old->count; i++) {
        value->items[i] = old->items[i];
        bytes_ref(value->items[i].bytes);
    }
    value_unref(old);
    slot->value = value;
    return value;
}

static void value_insert(struct model_value *value, size_t at, struct model_item item)
{
    if (value->count >= value->capacity) {
        value->capacity = 2 * value->capacity + 4;
        value->items = memory_resize(value->items, value->capacity * sizeof *value->items);
    }
    memmove(value->items + at + 1, value->items + at, (value->count - at) * sizeof *value->items);
    value->items[at] = item;
    value->count++;
}

static void value_cut(struct model_value *value, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++)
        model_bytes_unref(value->items[i].bytes);
    value->count -= count;
    memmove(value->items + from, value->items + from + count,
            (value->count - from) * sizeof *value->items);
}

/* ---- States ---------------------------------------------------------------------------------- */

void model_state_copy(const struct model_state *from, struct model_state *to)
{
    *to = *from;
    for (unsigned d = 0; d < MODEL_DATABASES; d++)
        for (unsigned k = 0; k < MODEL_KEYS; k++)
            if (to->slots[d][k].value)
                to->slots[d][k].value->references++;
}

void model_state_release(struct model_state *state)
{
    for (unsigned d = 0; d < MODEL_DATABASES; d++)
        for (unsigned k = 0; k < MODEL_KEYS; k++)
            value_unref(state->slots[d][k].value);
    memset(state, 0, sizeof *state);
}

void model_release(struct model *model)
{
    model_state_release(&model->state);
    value_unref(model->dumped);
    buffer_release(&model->dumped_bytes);
}

static const char *const key_names[MODEL_KEYS] = {"k0",  "k1",   "k2",   "{t}k3", "{t}k4", "k5",
                                                  "k6",  "k7",   "k8",   "k9",    "k10",   "k11",
                                                  "k12", "log0", "log1", "log2"};

struct slice model_key_name(unsigned key)
{
    assert(key < MODEL_KEYS);
    return slice_from(key_names[key]);
}

unsigned model_key_number(struct slice name)
{
    unsigned key = 0;
    while (key < MODEL_KEYS && !slice_equal(name, slice_from(key_names[key])))
        key++;
    return key;
}

const struct model_slot *model_slot(const struct model *model, unsigned database, unsigned key)
{
    return &model->state.slots[database][key];
}

static bool is_due(const struct model *model, const struct model_slot *slot)
{
    return slot->expire_ms != 0 && model->now_ms > slot->expire_ms;
}

static void touch(struct model *model, struct model_slot *slot)
{
    size_t index = (size_t)(slot - &model->state.slots[0][0]);
    slot->changed = model->write_number;
    model->changed = true;
    if (model->touched_count < MODEL_TOUCHED_MAX)
        model->touched[model->touched_count++] =
            (struct model_place){(unsigned)(index / MODEL_KEYS), (unsigned)(index % MODEL_KEYS)};
}

static void slot_clear(struct model *model, struct model_slot *slot)
{
    value_unref(slot->value);
    slot->value = NULL;
    slot->expire_ms = 0;
    touch(model, slot);
}

void model_remove(struct model *model, unsigned database, unsigned key)
{
    slot_clear(model, &model->state.slots[database][key]);
}

void model_expire(struct model *model, unsigned database, unsigned key)
{
    struct model_slot *slot = &model->state.slots[database][key];
    if (slot->value && is_due(model, slot))
        slot_clear(model, slot);
}

void model_expire_all(struct model *model)
{
    for (unsigned d = 0; d < MODEL_DATABASES; d++)
        for (unsigned k = 0; k < MODEL_KEYS; k++)
            model_expire(model, d, k);
}

/* ---- One command ----------------------------------------------------------------------------- */

struct run {
    struct model *model;
    unsigned database;
    const struct model_command *command;
    struct resp_writer reply;
    bool is_batch; /* of a transaction that writes: its reads delete what is due, too */
};

static struct model_slot *slot_of(struct run *run, size_t index)
{
    return &run->model->state.slots[run->database][run->command->keys[index]];
}

/* A look at a key: NULL when it is missing or its time is over; a write deletes it then. */
static struct model_slot *look_at(struct run *run, struct model_slot *slot, bool writes)
{
    if (slot->changed > run->model->revealed)
        run->model->revealed = slot->changed;
    if (!slot->value)
        return NULL;
    if (!is_due(run->model, slot))
        return slot;
    if (writes || run->is_batch)
        slot_clear(run->model, slot);
    return NULL;
}

static struct model_slot *look(struct run *run, size_t index, bool writes)
{
    return look_at(run, slot_of(run, index), writes);
}

/* The same, of one type; false: WRONGTYPE is answered. */
static bool look_typed(struct run *run, size_t index, bool writes, enum model_kind kind,
                       struct model_slot **slot)
{
    *slot = look(run, index, writes);
    if (*slot && (*slot)->value->kind != kind) {
        resp_error(&run->reply, wrong_type);
        return false;
    }
    return true;
}

static void show_bytes(struct run *run, const struct model_bytes *bytes)
{
    resp_bulk(&run->reply, slice_make(bytes->data, bytes->size));
}

static void run_set(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *old = look(run, 0, true);
    bool gets = c->flags & MODEL_GET_OLD;
    if (gets && old && old->value->kind != MODEL_STRING) {
        resp_error(&run->reply, wrong_type);
        return;
    }
    if (gets && old)
        show_bytes(run, old->value->items[0].bytes);
    else if (gets)
        resp_null(&run->reply);
    if ((c->flags & MODEL_NX && old) || (c->flags & MODEL_XX && !old)) {
        if (!gets)
            resp_null(&run->reply);
        return;
    }
    struct model_slot *slot = slot_of(run, 0);
    uint64_t expire_ms = c->flags & MODEL_KEEPTTL ? slot->expire_ms
                         : c->flags & MODEL_TIMED ? c->time_ms
                                                  : 0;
    value_unref(slot->value);
    slot->value = value_make(MODEL_STRING);
    slot->expire_ms = expire_ms;
    value_insert(slot->value, 0, (struct model_item){.bytes = bytes_ref(c->bytes[0])});
    touch(run->model, slot);
    if (!gets)
        resp_simple(&run->reply, "OK");
}

static void run_get(struct run *run)
{
    struct model_slot *slot;
    if (!look_typed(run, 0, false, MODEL_STRING, &slot))
        return;
    if (slot)
        show_bytes(run, slot->value->items[0].bytes);
    else
        resp_null(&run->reply);
}

/* ---- Parts of strings ------------------------------------------------------------------------ */

static struct slice text_of(const struct model_slot *slot)
{
    if (!slot || !slot->value)
        return slice_make(NULL, 0);
    return slice_make(slot->value->items[0].bytes->data, slot->value->items[0].bytes->size);
}

/* Another text in the place of a string's, or a new string; the time stays. */
static void replace_text(struct run *run, struct model_slot *slot, struct slice text)
{
    value_unref(slot->value);
    slot->value = value_make(MODEL_STRING);
    value_insert(slot->value, 0,
                 (struct model_item){.bytes = model_bytes_make(text.data, text.size, text.size)});
    touch(run->model, slot);
}

/* The slot's text with `bytes` written at `offset`. */
static void write_at(struct run *run, struct model_slot *slot, size_t offset, struct slice bytes)
{
    struct buffer text = {0};
    struct slice old = text_of(slot);
    size_t size = offset + bytes.size > old.size ? offset + bytes.size : old.size;
    buffer_append_slice(&text, old);
    while (text.size < size)
        buffer_append_byte(&text, 0);
    if (bytes.size)
        memcpy(text.data + offset, bytes.data, bytes.size);
    replace_text(run, slot, buffer_slice(&text));
    buffer_release(&text);
}

static void run_write_part(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    if (!look_typed(run, 0, true, MODEL_STRING, &slot))
        return;
    slot = slot_of(run, 0);
    size_t offset = c->flags & MODEL_AT_END ? text_of(slot).size : (size_t)c->first;
    write_at(run, slot, offset, slice_make(c->bytes[0]->data, c->bytes[0]->size));
    resp_integer(&run->reply, (int64_t)text_of(slot).size);
}

static void run_getrange(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    if (!look_typed(run, 0, false, MODEL_STRING, &slot))
        return;
    struct slice text = text_of(slot);
    int64_t size = (int64_t)text.size, last = c->last < size ? c->last : size - 1;
    if (c->first > last)
        resp_bulk(&run->reply, slice_make(NULL, 0));
    else
        resp_bulk(&run->reply, slice_make(text.data + c->first, (size_t)(last - c->first + 1)));
}

/* `first`: which one, `last`: 0 or 1. */
static void run_setbit(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    if (!look_typed(run, 0, true, MODEL_STRING, &slot))
        return;
    slot = slot_of(run, 0);
    struct slice text = text_of(slot);
    size_t at = (size_t)c->first / 8;
    uint8_t byte = at < text.size ? text.data[at] : 0, mask = (uint8_t)(0x80 >> c->first % 8);
    bool was = byte & mask;
    if (at >= text.size || was != c->last) {
        byte ^= was == c->last ? 0 : mask;
        write_at(run, slot, at, slice_make(&byte, 1));
    }
    resp_integer(&run->reply, was);
}

static void run_bitcount(struct run *run)
{
    struct model_slot *slot;
    int64_t count = 0;
    if (!look_typed(run, 0, false, MODEL_STRING, &slot))
        return;
    struct slice text = text_of(slot);
    for (size_t i = 0; i < text.size; i++)
        count += __builtin_popcount(text.data[i]);
    resp_integer(&run->reply, count);
}

/* BITOP XOR: the first key is what the others make. */
static void run_bitop(struct run *run)
{
    struct buffer result = {0};
    struct model_slot *slot;
    for (size_t i = 1; i < run->command->key_count; i++) {
        if (!look_typed(run, i, true, MODEL_STRING, &slot)) {
            buffer_release(&result);
            return;
        }
        struct slice text = text_of(slot);
        while (result.size < text.size)
            buffer_append_byte(&result, 0);
        for (size_t n = 0; n < text.size; n++)
            result.data[n] ^= text.data[n];
    }
    slot = look(run, 0, true);
    resp_integer(&run->reply, (int64_t)result.size);
    if (result.size > 0) {
        replace_text(run, slot_of(run, 0), buffer_slice(&result));
        slot_of(run, 0)->expire_ms = 0;
    } else if (slot) {
        slot_clear(run->model, slot);
    }
    buffer_release(&result);
}

/* With MODEL_NX: MSETNX. */
static void run_mset(struct run *run)
{
    const struct model_command *c = run->command;
    bool is_free = true;
    for (size_t i = 0; i < c->key_count; i++)
        is_free &= !look(run, i, true);
    bool writes = is_free || !(c->flags & MODEL_NX);
    for (size_t i = 0; i < c->key_count && writes; i++) {
        replace_text(run, slot_of(run, i), slice_make(c->bytes[i]->data, c->bytes[i]->size));
        slot_of(run, i)->expire_ms = 0;
    }
    if (c->flags & MODEL_NX)
        resp_integer(&run->reply, writes);
    else
        resp_simple(&run->reply, "OK");
}

/* What the maker leaves behind: small numbers, or text that is none. */
static void run_incrby(struct run *run)
{
    struct model_slot *slot;
    char text[32];
    int64_t number = 0;
    if (!look_typed(run, 0, true, MODEL_STRING, &slot))
        return;
    if (slot) {
        struct slice old = text_of(slot);
        size_t size = old.size < 20 ? old.size : 0;
        memcpy(text, old.size ? (const char *)old.data : "", size);
        text[size] = 0;
        number = strtoll(text, NULL, 10);
        snprintf(text, sizeof text, "%" PRId64, number);
        if (!slice_equal(old, slice_from(text))) { /* the only way to write a number */
            resp_error(&run->reply, "ERR value is not an integer or out of range");
            return;
        }
    }
    number += run->command->first;
    snprintf(text, sizeof text, "%" PRId64, number);
    replace_text(run, slot_of(run, 0), slice_from(text));
    resp_integer(&run->reply, number);
}

static void run_getdel(struct run *run)
{
    struct model_slot *slot;
    if (!look_typed(run, 0, true, MODEL_STRING, &slot))
        return;
    if (!slot) {
        resp_null(&run->reply);
        return;
    }
    resp_bulk(&run->reply, text_of(slot));
    slot_clear(run->model, slot);
}

/* ---- Any type -------------------------------------------------------------------------------- */

static void run_count_keys(struct run *run, bool deletes)
{
    int64_t count = 0;
    for (size_t i = 0; i < run->command->key_count; i++) {
        struct model_slot *slot = look(run, i, deletes);
        count += slot != NULL;
        if (slot && deletes)
            slot_clear(run->model, slot);
    }
    resp_integer(&run->reply, count);
}

static void run_type(struct run *run)
{
    static const char *const names[] = {"none", "string", "list", "stream"};
    struct model_slot *slot = look(run, 0, false);
    resp_simple(&run->reply, names[slot ? slot->value->kind : 0]);
}

static void run_expire(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot = look(run, 0, true);
    bool timed = slot && slot->expire_ms;
    bool refused = !slot || (c->flags & MODEL_NX && timed) || (c->flags & MODEL_XX && !timed) ||
                   (c->flags & MODEL_GT && (!timed || c->time_ms <= slot->expire_ms)) ||
                   (c->flags & MODEL_LT && timed && c->time_ms >= slot->expire_ms);
    resp_integer(&run->reply, !refused);
    if (refused)
        return;
    if (c->time_ms <= run->model->now_ms) {
        slot_clear(run->model, slot);
    } else if (slot->expire_ms != c->time_ms) {
        slot->expire_ms = c->time_ms;
        touch(run->model, slot);
    }
}

static void run_persist(struct run *run)
{
    struct model_slot *slot = look(run, 0, true);
    bool done = slot && slot->expire_ms;
    if (done) {
        slot->expire_ms = 0;
        touch(run->model, slot);
    }
    resp_integer(&run->reply, done);
}

static void run_pttl(struct run *run)
{
    struct model_slot *slot = look(run, 0, false);
    resp_integer(&run->reply, !slot              ? -2
                              : !slot->expire_ms ? -1
                                                 : (int64_t)(slot->expire_ms - run->model->now_ms));
}

static void run_rename(struct run *run)
{
    struct model_slot *from = look(run, 0, true);
    if (!from) {
        resp_error(&run->reply, "ERR no such key");
        return;
    }
    resp_simple(&run->reply, "OK");
    if (run->command->keys[0] == run->command->keys[1])
        return;
    (void)look(run, 1, true);
    struct model_slot *to = slot_of(run, 1);
    value_unref(to->value);
    *to = *from;
    from->value = NULL;
    from->expire_ms = 0;
    touch(run->model, from);
    touch(run->model, to);
}

/* COPY, and MOVE, which has one key and takes the old one away. */
static void run_copy(struct run *run, bool moves)
{
    const struct model_command *c = run->command;
    unsigned database = c->first < 0 ? run->database : (unsigned)c->first;
    struct model_slot *to = &run->model->state.slots[database][c->keys[moves ? 0 : 1]];
    if (to == slot_of(run, 0)) {
        resp_error(&run->reply, "ERR source and destination objects are the same");
        return;
    }
    struct model_slot *from = look(run, 0, true);
    bool is_done = from && (!look_at(run, to, true) || c->flags & MODEL_REPLACE);
    resp_integer(&run->reply, is_done);
    if (!is_done)
        return;
    value_unref(to->value);
    *to = *from;
    to->value->references++;
    touch(run->model, to);
    if (moves)
        slot_clear(run->model, from);
}

/* Keys whose time is over count until somebody meets them. */
static void run_dbsize(struct run *run)
{
    int64_t count = 0;
    for (unsigned k = 0; k < MODEL_KEYS; k++)
        count += run->model->state.slots[run->database][k].value != NULL;
    resp_integer(&run->reply, count);
}

static void run_scan(struct run *run)
{
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        const struct model_slot *slot = &run->model->state.slots[run->database][k];
        if (slot->value && !is_due(run->model, slot))
            resp_bulk(&run->reply, model_key_name(k));
    }
}

static void flush_database(struct run *run, unsigned database)
{
    bool any = false;
    for (unsigned k = 0; k < MODEL_KEYS; k++)
        any = any || run->model->state.slots[database][k].value;
    for (unsigned k = 0; k < MODEL_KEYS && any; k++)
        slot_clear(run->model, &run->model->state.slots[database][k]);
}

static void run_swap(struct run *run)
{
    unsigned a = run->command->keys[0], b = run->command->keys[1];
    resp_simple(&run->reply, "OK");
    for (unsigned k = 0; k < MODEL_KEYS && a != b; k++) {
        struct model_slot *left = &run->model->state.slots[a][k];
        struct model_slot *right = &run->model->state.slots[b][k], swapped = *left;
        *left = *right;
        *right = swapped;
        touch(run->model, left);
        touch(run->model, right);
    }
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static void run_push(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    if (!look_typed(run, 0, true, MODEL_LIST, &slot))
        return;
    if (!slot && c->flags & MODEL_ONLY_IF) {
        resp_integer(&run->reply, 0);
        return;
    }
    if (!slot) {
        slot = slot_of(run, 0);
        slot->value = value_make(MODEL_LIST);
        slot->expire_ms = 0;
    }
    struct model_value *value = value_own(slot);
    for (size_t i = 0; i < c->count; i++)
        value_insert(value, c->flags & MODEL_LEFT ? 0 : value->count,
                     (struct model_item){.bytes = bytes_ref(c->bytes[i])});
    touch(run->model, slot);
    resp_integer(&run->reply, (int64_t)value->count);
}

static void run_pop(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    bool counted = c->flags & MODEL_COUNTED;
    if (!look_typed(run, 0, true, MODEL_LIST, &slot))
        return;
    if (!slot) {
        if (counted)
            resp_null_array(&run->reply);
        else
            resp_null(&run->reply);
        return;
    }
    struct model_value *value = value_own(slot);
    size_t count = counted ? (size_t)c->first : 1;
    if (count > value->count)
        count = value->count;
    if (counted)
        resp_array(&run->reply, count);
    for (size_t i = 0; i < count; i++) {
        size_t at = c->flags & MODEL_LEFT ? 0 : value->count - 1;
        show_bytes(run, value->items[at].bytes);
        value_cut(value, at, 1);
    }
    if (count > 0)
        touch(run->model, slot);
    if (value->count == 0)
        slot_clear(run->model, slot);
}

/* The range as [*from, *to), empty: from >= to. */
static void list_bounds(const struct model_value *value, int64_t first, int64_t last, int64_t *from,
                        int64_t *to)
{
    int64_t count = (int64_t)value->count;
    *from = first < 0 ? first + count : first;
    *to = (last < 0 ? last + count : last) + 1;
    if (*from < 0)
        *from = 0;
    if (*to > count)
        *to = count;
}

static void run_ltrim(struct run *run)
{
    struct model_slot *slot;
    int64_t from, to;
    if (!look_typed(run, 0, true, MODEL_LIST, &slot))
        return;
    resp_simple(&run->reply, "OK");
    if (!slot)
        return;
    list_bounds(slot->value, run->command->first, run->command->last, &from, &to);
    if (from >= to) {
        slot_clear(run->model, slot);
        return;
    }
    if (from == 0 && to == (int64_t)slot->value->count)
        return;
    struct model_value *value = value_own(slot);
    value_cut(value, (size_t)to, value->count - (size_t)to);
    value_cut(value, 0, (size_t)from);
    touch(run->model, slot);
}

static void run_lrange(struct run *run)
{
    struct model_slot *slot;
    int64_t from = 0, to = 0;
    if (!look_typed(run, 0, false, MODEL_LIST, &slot))
        return;
    if (slot)
        list_bounds(slot->value, run->command->first, run->command->last, &from, &to);
    resp_array(&run->reply, from < to ? (size_t)(to - from) : 0);
    for (int64_t i = from; i < to; i++)
        show_bytes(run, slot->value->items[i].bytes);
}

static void run_lindex(struct run *run)
{
    struct model_slot *slot;
    if (!look_typed(run, 0, false, MODEL_LIST, &slot))
        return;
    int64_t count = slot ? (int64_t)slot->value->count : 0, at = run->command->first;
    at = at < 0 ? at + count : at;
    if (at >= 0 && at < count)
        show_bytes(run, slot->value->items[at].bytes);
    else
        resp_null(&run->reply);
}

static bool is_same(const struct model_bytes *a, const struct model_bytes *b)
{
    return slice_equal(slice_make(a->data, a->size), slice_make(b->data, b->size));
}

static void run_lset(struct run *run)
{
    struct model_slot *slot;
    if (!look_typed(run, 0, true, MODEL_LIST, &slot))
        return;
    int64_t count = slot ? (int64_t)slot->value->count : 0, at = run->command->first;
    at = at < 0 ? at + count : at;
    if (!slot || at < 0 || at >= count) {
        resp_error(&run->reply, slot ? "ERR index out of range" : "ERR no such key");
        return;
    }
    struct model_value *value = value_own(slot);
    value_cut(value, (size_t)at, 1);
    value_insert(value, (size_t)at,
                 (struct model_item){.bytes = bytes_ref(run->command->bytes[0])});
    touch(run->model, slot);
    resp_simple(&run->reply, "OK");
}

/* The first bytes are the pivot. */
static void run_linsert(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    if (!look_typed(run, 0, true, MODEL_LIST, &slot))
        return;
    size_t at = 0;
    while (slot && at < slot->value->count && !is_same(slot->value->items[at].bytes, c->bytes[0]))
        at++;
    if (!slot || at == slot->value->count) {
        resp_integer(&run->reply, slot ? -1 : 0);
        return;
    }
    struct model_value *value = value_own(slot);
    value_insert(value, c->flags & MODEL_LEFT ? at : at + 1,
                 (struct model_item){.bytes = bytes_ref(c->bytes[1])});
    touch(run->model, slot);
    resp_integer(&run->reply, (int64_t)value->count);
}

static void run_lrem(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    if (!look_typed(run, 0, true, MODEL_LIST, &slot))
        return;
    int64_t removed = 0, left = c->first < 0 ? -c->first : c->first ? c->first : INT64_MAX;
    size_t count = slot ? slot->value->count : 0;
    for (size_t seen = 0; seen < count && left > 0; seen++) {
        /* From the left those before were removed already; from the right they do not matter. */
        size_t at = c->first < 0 ? count - 1 - seen : seen - (size_t)removed;
        if (!is_same(slot->value->items[at].bytes, c->bytes[0]))
            continue;
        value_cut(value_own(slot), at, 1);
        removed++;
        left--;
    }
    if (removed > 0)
        touch(run->model, slot);
    if (slot && slot->value->count == 0)
        slot_clear(run->model, slot);
    resp_integer(&run->reply, removed);
}

static void run_lmove(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *from, *to;
    bool from_left = c->flags & MODEL_LEFT, to_left = c->flags & MODEL_REVERSE;
    if (!look_typed(run, 0, true, MODEL_LIST, &from))
        return;
    if (!from) {
        resp_null(&run->reply);
        return;
    }
    if (!look_typed(run, 1, true, MODEL_LIST, &to))
        return;
    size_t at = from_left ? 0 : from->value->count - 1;
    struct model_bytes *bytes = bytes_ref(from->value->items[at].bytes);
    show_bytes(run, bytes);
    if (from == to && (from->value->count == 1 || from_left == to_left)) {
        model_bytes_unref(bytes); /* all stays as it is */
        return;
    }
    value_cut(value_own(from), at, 1);
    if (!to) {
        to = slot_of(run, 1);
        to->value = value_make(MODEL_LIST);
        to->expire_ms = 0;
    }
    struct model_value *value = value_own(to);
    value_insert(value, to_left ? 0 : value->count, (struct model_item){.bytes = bytes});
    touch(run->model, to);
    touch(run->model, from);
    if (from->value->count == 0)
        slot_clear(run->model, from);
}

/* ---- Pops that wait -------------------------------------------------------------------------- */

size_t model_awaited_keys(const struct model_command *command)
{
    return command->kind == MODEL_BMOVE                                  ? 1
           : command->kind == MODEL_BPOP || command->kind == MODEL_BMPOP ? command->key_count
                                                                         : 0;
}

bool model_is_there(const struct model *model, unsigned database, unsigned key)
{
    const struct model_slot *slot = &model->state.slots[database][key];
    return slot->value && !is_due(model, slot);
}

bool model_has_element(const struct model *model, unsigned database, unsigned key)
{
    return model_is_there(model, database, key) &&
           model->state.slots[database][key].value->kind == MODEL_LIST;
}

/* From the list of one key; false: there is nothing, and it waits. */
static bool take_awaited(struct run *run, size_t index)
{
    const struct model_command *c = run->command;
    struct model_slot *slot = look(run, index, true);
    if (!slot)
        return false;
    if (slot->value->kind != MODEL_LIST) {
        if (c->flags & MODEL_WAITED)
            return false;
        resp_error(&run->reply, wrong_type);
        return true;
    }
    if (c->kind == MODEL_BMOVE) {
        run_lmove(run);
        return true;
    }
    struct model_value *value = value_own(slot);
    size_t count = c->kind == MODEL_BMPOP ? (size_t)c->first : 1;
    if (count > value->count)
        count = value->count;
    resp_array(&run->reply, 2);
    resp_bulk(&run->reply, model_key_name(c->keys[index]));
    if (c->kind == MODEL_BMPOP)
        resp_array(&run->reply, count);
    for (size_t i = 0; i < count; i++) {
        size_t at = c->flags & MODEL_LEFT ? 0 : value->count - 1;
        show_bytes(run, value->items[at].bytes);
        value_cut(value, at, 1);
    }
    touch(run->model, slot);
    if (value->count == 0)
        slot_clear(run->model, slot);
    return true;
}

static enum model_reply run_awaiting(struct run *run)
{
    const struct model_command *c = run->command;
    if (c->timed_out) {
        resp_null_array(&run->reply);
        return MODEL_EXACT;
    }
    for (size_t i = 0; i < model_awaited_keys(c); i++)
        if (!(c->behind & 1u << i) && take_awaited(run, i))
            return MODEL_EXACT;
    return MODEL_NO_REPLY;
}

/* ---- SORT ... STORE -------------------------------------------------------------------------- */

static int compare_texts(const void *left, const void *right)
{
    const struct model_item *a = left, *b = right;
    return slice_compare(slice_make(a->bytes->data, a->bytes->size),
                         slice_make(b->bytes->data, b->bytes->size));
}

/* The second key gets the elements of the first one; with LIMIT `last` of them from `first` on. */
static void run_sort_store(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *from, *to;
    if (!look_typed(run, 0, true, MODEL_LIST, &from))
        return;
    size_t count = from ? from->value->count : 0;
    struct model_value *sorted = value_make(MODEL_LIST);
    for (size_t i = 0; i < count; i++)
        value_insert(sorted, i,
                     (struct model_item){.bytes = bytes_ref(from->value->items[i].bytes)});
    if (!(c->flags & MODEL_UNSORTED) && count > 0)
        qsort(sorted->items, count, sizeof *sorted->items, compare_texts);
    for (size_t i = 0; c->flags & MODEL_REVERSE && i < count / 2; i++) {
        struct model_item item = sorted->items[i];
        sorted->items[i] = sorted->items[count - 1 - i];
        sorted->items[count - 1 - i] = item;
    }
    if (c->flags & MODEL_COUNTED && count > 0) {
        size_t first = (size_t)c->first < count ? (size_t)c->first : count;
        size_t left = (size_t)c->last < count - first ? (size_t)c->last : count - first;
        value_cut(sorted, first + left, count - first - left);
        value_cut(sorted, 0, first);
    }
    resp_integer(&run->reply, (int64_t)sorted->count);
    to = look(run, 1, true);
    if (sorted->count > 0) {
        to = slot_of(run, 1);
        value_unref(to->value);
        to->value = sorted;
        to->expire_ms = 0;
        touch(run->model, to);
        return;
    }
    value_unref(sorted);
    if (to)
        slot_clear(run->model, to);
}

static void run_length(struct run *run, enum model_kind kind)
{
    struct model_slot *slot;
    if (look_typed(run, 0, false, kind, &slot))
        resp_integer(&run->reply, slot ? (int64_t)slot->value->count : 0);
}

/* ---- Streams --------------------------------------------------------------------------------- */

static void show_id(struct run *run, struct stream_id id)
{
    char text[STREAM_ID_TEXT_MAX];
    size_t size = stream_id_format(id, text);
    resp_bulk(&run->reply, slice_make(text, size));
}

static void show_entry(struct run *run, const struct model_item *item)
{
    resp_array(&run->reply, 2);
    show_id(run, item->id);
    buffer_append(run->reply.out, item->bytes->data, item->bytes->json_at);
}

/* The stream for a write; makes it. */
static struct model_value *stream_for_write(struct run *run, struct model_slot **slot)
{
    if (!*slot) {
        *slot = slot_of(run, 0);
        (*slot)->value = value_make(MODEL_STREAM);
        (*slot)->expire_ms = 0;
    }
    touch(run->model, *slot);
    return value_own(*slot);
}

static int64_t trim(struct run *run, struct model_value *value)
{
    const struct model_command *c = run->command;
    size_t cut = 0;
    if (c->flags & MODEL_MAXLEN && value->count > (size_t)c->first)
        cut = value->count - (size_t)c->first;
    while (c->flags & MODEL_MINID && cut < value->count &&
           stream_id_compare(value->items[cut].id, c->end_id) < 0)
        cut++;
    value_cut(value, 0, cut);
    return (int64_t)cut;
}

static void add_entry(struct model_value *value, struct stream_id id, uint64_t event_ms,
                      struct model_bytes *bytes)
{
    value_insert(value, value->count,
                 (struct model_item){.id = id, .event_ms = event_ms, .bytes = bytes_ref(bytes)});
    value->last_id = id;
    value->entries_added++;
}

static void run_xadd(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    if (!look_typed(run, 0, true, MODEL_STREAM, &slot))
        return;
    if (!slot && c->flags & MODEL_ONLY_IF) {
        resp_null(&run->reply);
        return;
    }
    struct stream_id last = slot ? slot->value->last_id : STREAM_ID_MIN, id = c->id;
    if (c->flags & MODEL_AUTO_ID) {
        id = (struct stream_id){run->model->now_ms, 0};
        if (id.ms <= last.ms)
            id = (struct stream_id){last.ms, last.seq + 1};
    } else if (c->flags & MODEL_AUTO_SEQ) {
        id.seq = id.ms == last.ms ? last.seq + 1 : 0;
    }
    if (stream_id_compare(id, last) <= 0) {
        resp_error(&run->reply, "ERR The ID specified in XADD is equal or smaller than the target "
                                "stream top item");
        return;
    }
    struct model_value *value = stream_for_write(run, &slot);
    add_entry(value, id, id.ms, c->bytes[0]);
    (void)trim(run, value);
    show_id(run, id);
}

static void run_xtrim(struct run *run)
{
    struct model_slot *slot;
    if (!look_typed(run, 0, true, MODEL_STREAM, &slot))
        return;
    int64_t removed = slot ? trim(run, value_own(slot)) : 0;
    if (removed)
        touch(run->model, slot);
    resp_integer(&run->reply, removed);
}

static void run_xdel(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    int64_t removed = 0;
    if (!look_typed(run, 0, true, MODEL_STREAM, &slot))
        return;
    for (size_t i = 0; slot && i < c->count; i++) {
        for (size_t at = 0; at < slot->value->count; at++) {
            if (stream_id_compare(slot->value->items[at].id, c->ids[i]) != 0)
                continue;
            struct model_value *value = value_own(slot);
            value_cut(value, at, 1);
            if (stream_id_compare(c->ids[i], value->max_deleted_id) > 0)
                value->max_deleted_id = c->ids[i];
            removed++;
            break;
        }
    }
    if (removed)
        touch(run->model, slot);
    resp_integer(&run->reply, removed);
}

/* Entries of `value` between two IDs, in order, at most `limit` (0: all). */
static void show_range(struct run *run, const struct model_value *value, struct stream_id first,
                       struct stream_id last, bool reverse, size_t limit)
{
    size_t mark = resp_deferred(&run->reply), shown = 0;
    for (size_t i = 0; value && i < value->count && (!limit || shown < limit); i++) {
        const struct model_item *item = &value->items[reverse ? value->count - 1 - i : i];
        if (stream_id_compare(item->id, first) < 0 || stream_id_compare(item->id, last) > 0)
            continue;
        show_entry(run, item);
        shown++;
    }
    resp_deferred_array(&run->reply, mark, shown);
}

static void run_xrange(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    if (look_typed(run, 0, false, MODEL_STREAM, &slot))
        show_range(run, slot ? slot->value : NULL, c->id, c->end_id, c->flags & MODEL_REVERSE,
                   (size_t)c->first);
}

/* The stream that XREAD looks at, if it has something behind the ID. */
static const struct model_value *news_of(const struct model *model, unsigned database,
                                         const struct model_command *c, size_t index)
{
    const struct model_slot *slot = &model->state.slots[database][c->keys[index]];
    bool readable = slot->value && !is_due(model, slot) && slot->value->kind == MODEL_STREAM;
    if (!readable || slot->value->count == 0 ||
        stream_id_compare(slot->value->items[slot->value->count - 1].id, c->ids[index]) <= 0)
        return NULL;
    return slot->value;
}

bool model_has_news(const struct model *model, unsigned database, const struct model_command *c)
{
    for (size_t i = 0; i < c->key_count; i++)
        if (news_of(model, database, c, i))
            return true;
    return false;
}

struct stream_id model_newest_id(const struct model *model, unsigned database, unsigned key)
{
    const struct model_slot *slot = &model->state.slots[database][key];
    bool readable = slot->value && !is_due(model, slot) && slot->value->kind == MODEL_STREAM;
    return readable ? slot->value->last_id : STREAM_ID_MIN;
}

static enum model_reply run_xread(struct run *run)
{
    const struct model_command *c = run->command;
    size_t shown = 0;
    for (size_t i = 0; i < c->key_count; i++) {
        struct model_slot *slot = look(run, i, false);
        /* Who waits already is not told: it goes on waiting. `flags` lose MODEL_ONLY_IF then. */
        if (slot && slot->value->kind != MODEL_STREAM && !(c->flags & MODEL_ONLY_IF)) {
            resp_error(&run->reply, wrong_type);
            return MODEL_EXACT;
        }
    }
    if (c->timed_out) {
        run->model->revealed = 0; /* nothing was looked at for this reply */
        resp_null_array(&run->reply);
        return MODEL_EXACT;
    }
    size_t mark = resp_deferred(&run->reply);
    for (size_t i = 0; i < c->key_count; i++) {
        const struct model_value *value = news_of(run->model, run->database, c, i);
        if (!value)
            continue;
        struct stream_id first = {c->ids[i].ms, c->ids[i].seq + 1};
        resp_array(&run->reply, 2);
        resp_bulk(&run->reply, model_key_name(c->keys[i]));
        show_range(run, value, first, STREAM_ID_MAX, false, (size_t)c->first);
        shown++;
    }
    if (shown > 0) {
        resp_deferred_array(&run->reply, mark, shown);
        return MODEL_EXACT;
    }
    run->reply.out->size = mark;
    if (c->flags & MODEL_BLOCKS)
        return MODEL_NO_REPLY;
    resp_null_array(&run->reply);
    return MODEL_EXACT;
}

/* In the order in which Redis asks. */
static void run_xsetid(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    bool sets_deleted = c->flags & MODEL_SETS_DELETED;
    if (sets_deleted && stream_id_compare(c->id, c->end_id) < 0) {
        resp_error(&run->reply, "ERR The ID specified in XSETID is smaller than the provided "
                                "max_deleted_entry_id");
        return;
    }
    if (!look_typed(run, 0, true, MODEL_STREAM, &slot))
        return;
    if (!slot) {
        resp_error(&run->reply, "ERR no such key");
        return;
    }
    struct model_value *value = value_own(slot);
    size_t count = value->count;
    const char *error = NULL;
    if (count > 0 && stream_id_compare(c->id, value->items[count - 1].id) < 0)
        error = "ERR The ID specified in XSETID is smaller than the target stream top item";
    else if (count > 0 && c->flags & MODEL_SETS_ADDED && c->first < (int64_t)count)
        error =
            "ERR The entries_added specified in XSETID is smaller than the target stream length";
    else if (!sets_deleted && stream_id_compare(c->id, value->max_deleted_id) < 0)
        error = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    if (error) {
        resp_error(&run->reply, error);
        return;
    }
    value->last_id = c->id;
    if (c->flags & MODEL_SETS_ADDED)
        value->entries_added = (uint64_t)c->first;
    if (sets_deleted)
        value->max_deleted_id = c->end_id;
    touch(run->model, slot);
    resp_simple(&run->reply, "OK");
}

/* ---- DUMP, RESTORE --------------------------------------------------------------------------- */

/* "*2\r\n$1\r\nf\r\n$1\r\nv\r\n" as " f=v" */
static void show_fields(const struct model_bytes *bytes, struct buffer *into)
{
    const char *at = (const char *)bytes->data;
    unsigned long words = strtoul(at + 1, NULL, 10);
    at = strchr(at, '\n') + 1;
    for (unsigned long i = 0; i < words; i++) {
        size_t size = strtoul(at + 1, NULL, 10);
        at = strchr(at, '\n') + 1;
        buffer_append_byte(into, i % 2 ? '=' : ' ');
        buffer_append(into, at, size);
        at += size + 2;
    }
}

static void show_as_dump(const struct model_value *value, struct buffer *into)
{
    for (size_t i = 0; i < value->count; i++) {
        const struct model_item *item = &value->items[i];
        if (value->kind == MODEL_STREAM) {
            buffer_printf(into, "entry %" PRIu64 "-%" PRIu64, item->id.ms, item->id.seq);
            show_fields(item->bytes, into);
        } else {
            buffer_append_text(into, value->kind == MODEL_STRING ? "string " : "element ");
            buffer_append(into, item->bytes->data, item->bytes->size);
        }
        buffer_append_byte(into, '\n');
    }
    if (value->kind == MODEL_STREAM)
        buffer_printf(into,
                      "stream %zu %" PRIu64 "-%" PRIu64 " %" PRIu64 "-%" PRIu64 " %" PRIu64 " 0\n",
                      value->count, value->last_id.ms, value->last_id.seq, value->max_deleted_id.ms,
                      value->max_deleted_id.seq, value->entries_added);
}

static enum model_reply run_dump(struct run *run)
{
    struct model_slot *slot = look(run, 0, false);
    if (!slot) {
        resp_null(&run->reply);
        return MODEL_EXACT;
    }
    show_as_dump(slot->value, run->reply.out);
    return MODEL_DUMP_TEXT;
}

void model_keep_dump(struct model *model, unsigned database, unsigned key, struct slice payload)
{
    struct model_value *value = model->state.slots[database][key].value;
    value->references++;
    value_unref(model->dumped);
    model->dumped = value;
    buffer_clear(&model->dumped_bytes);
    buffer_append_slice(&model->dumped_bytes, payload);
}

static void run_restore(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot = slot_of(run, 0);
    if (slot->changed > run->model->revealed)
        run->model->revealed = slot->changed;
    if (slot->value && !is_due(run->model, slot) && !(c->flags & MODEL_REPLACE)) {
        resp_error(&run->reply, "BUSYKEY Target key name already exists.");
        return;
    }
    resp_simple(&run->reply, "OK");
    if (c->flags & MODEL_TIMED && c->time_ms <= run->model->now_ms) { /* by now it is over */
        if (slot->value)
            slot_clear(run->model, slot);
        return;
    }
    value_unref(slot->value);
    slot->value = c->value;
    c->value->references++;
    slot->expire_ms = c->flags & MODEL_TIMED ? c->time_ms : 0;
    touch(run->model, slot);
}

/* ---- Logs ------------------------------------------------------------------------------------ */

static struct stream_id write_line(struct run *run, struct model_value *value,
                                   struct model_bytes *bytes, bool timed, uint64_t time_ms)
{
    uint64_t event_ms = timed ? time_ms : run->model->now_ms;
    struct stream_id id = {event_ms, 0};
    if (event_ms <= value->last_id.ms)
        id = (struct stream_id){value->last_id.ms, value->last_id.seq + 1};
    add_entry(value, id, timed && time_ms < id.ms ? time_ms : id.ms, bytes);
    return id;
}

static void run_log_write(struct run *run)
{
    const struct model_command *c = run->command;
    struct model_slot *slot;
    struct stream_id first = STREAM_ID_MIN, id = STREAM_ID_MIN;
    if (!look_typed(run, 0, true, MODEL_STREAM, &slot))
        return;
    if (!slot && c->flags & MODEL_ONLY_IF) {
        resp_null(&run->reply);
        return;
    }
    struct model_value *value = stream_for_write(run, &slot);
    for (size_t i = 0; i < c->count; i++) {
        id = write_line(run, value, c->bytes[i], c->flags & MODEL_TIMED, c->time_ms);
        if (i == 0)
            first = id;
    }
    if (c->kind == MODEL_LOG_MWRITE) {
        resp_array(&run->reply, 4);
        show_id(run, first);
        show_id(run, id);
        resp_integer(&run->reply, (int64_t)c->count);
        resp_integer(&run->reply, 0);
    } else if (c->kind == MODEL_LOG_WRITE) {
        show_id(run, id);
    } else {
        buffer_printf(run->reply.out, "{\"status\":\"ok\",\"id\":\"%" PRIu64 "-%" PRIu64 "\"}\n",
                      id.ms, id.seq);
    }
}

static int compare_events(const void *left, const void *right)
{
    const struct model_item *a = left, *b = right;
    if (a->event_ms != b->event_ms)
        return a->event_ms < b->event_ms ? -1 : 1;
    return stream_id_compare(a->id, b->id);
}

/* The entries in the order of their event times; to be freed. */
static struct model_item *by_event(const struct model_value *value)
{
    struct model_item *items = memory_allocate((value->count + 1) * sizeof *items);
    if (value->count)
        memcpy(items, value->items, value->count * sizeof *items);
    qsort(items, value->count, sizeof *items, compare_events);
    return items;
}

static void run_log_range(struct run *run)
{
    const struct model_command *c = run->command;
    bool json = c->kind == MODEL_JSON_READ;
    struct model_slot *slot;
    size_t shown = 0, mark = 0;
    if (!look_typed(run, 0, false, MODEL_STREAM, &slot))
        return;
    struct model_item *items = slot ? by_event(slot->value) : NULL;
    size_t count = slot ? slot->value->count : 0;
    if (json)
        buffer_append_text(run->reply.out, "{\"status\":\"ok\",\"data\":[");
    else
        mark = resp_deferred(&run->reply);
    for (size_t i = 0; i < count && (!c->first || shown < (size_t)c->first); i++) {
        const struct model_item *item = &items[c->flags & MODEL_REVERSE ? count - 1 - i : i];
        if (item->event_ms < c->time_ms || item->event_ms > c->time_end_ms)
            continue;
        if (json) {
            buffer_printf(run->reply.out, "%s{\"timestamp\":%" PRIu64 ",", shown ? "," : "",
                          item->event_ms);
            buffer_append(run->reply.out, item->bytes->data + item->bytes->json_at,
                          item->bytes->size - item->bytes->json_at);
            buffer_append_text(run->reply.out, ",\"version\":1}");
        } else {
            show_entry(run, item);
        }
        shown++;
    }
    if (json)
        buffer_append_text(run->reply.out, "]}\n");
    else
        resp_deferred_array(&run->reply, mark, shown);
    memory_free(items);
}

/* ---- All ------------------------------------------------------------------------------------- */

bool model_is_write(enum model_command_kind kind)
{
    switch (kind) {
    case MODEL_GET:
    case MODEL_EXISTS:
    case MODEL_TYPE:
    case MODEL_PTTL:
    case MODEL_DBSIZE:
    case MODEL_SELECT:
    case MODEL_GETRANGE:
    case MODEL_BITCOUNT:
    case MODEL_LRANGE:
    case MODEL_LLEN:
    case MODEL_LINDEX:
    case MODEL_XLEN:
    case MODEL_XRANGE:
    case MODEL_LOG_RANGE:
    case MODEL_SCAN:
    case MODEL_XREAD:
    case MODEL_JSON_READ:
    case MODEL_MULTI:
    case MODEL_QUEUED:
    case MODEL_DISCARD:
    case MODEL_WATCH:
    case MODEL_UNWATCH:
    case MODEL_UNBLOCK:
    case MODEL_DUMP:
        return false;
    default:
        return true;
    }
}

static enum model_reply run_command(struct model *model, unsigned *database,
                                    const struct model_command *c, bool is_batch,
                                    struct buffer *expected);

/* All of them are one write. */
static void run_exec(struct run *run, unsigned *database)
{
    const struct model_command *c = run->command;
    bool is_batch = c->flags & MODEL_UNDER_WATCH;
    for (size_t i = 0; i < c->queued_count; i++)
        is_batch |= model_is_write(c->queued[i].kind);
    resp_array(&run->reply, c->queued_count);
    for (size_t i = 0; i < c->queued_count; i++) {
        const struct model_command *queued = &c->queued[i];
        if (queued->refusal.size)
            buffer_append_slice(run->reply.out, queued->refusal);
        else
            /* None blocks. */
            (void)run_command(run->model, database, queued, is_batch, run->reply.out);
    }
}

static enum model_reply run_command(struct model *model, unsigned *database,
                                    const struct model_command *c, bool is_batch,
                                    struct buffer *expected)
{
    struct run all = {.model = model, .database = *database, .command = c, .is_batch = is_batch};
    struct run *run = &all;
    run->reply = (struct resp_writer){.out = expected, .protocol = 2};
    switch (c->kind) {
    case MODEL_SET:
        run_set(run);
        break;
    case MODEL_GET:
        run_get(run);
        break;
    case MODEL_DEL:
        run_count_keys(run, true);
        break;
    case MODEL_EXISTS:
        run_count_keys(run, false);
        break;
    case MODEL_TYPE:
        run_type(run);
        break;
    case MODEL_PEXPIREAT:
        run_expire(run);
        break;
    case MODEL_PERSIST:
        run_persist(run);
        break;
    case MODEL_PTTL:
        run_pttl(run);
        break;
    case MODEL_RENAME:
        run_rename(run);
        break;
    case MODEL_COPY:
    case MODEL_MOVE:
        run_copy(run, c->kind == MODEL_MOVE);
        break;
    case MODEL_DBSIZE:
        run_dbsize(run);
        break;
    case MODEL_SCAN:
        run_scan(run);
        return MODEL_KEY_SET;
    case MODEL_FLUSHDB:
    case MODEL_FLUSHALL:
        for (unsigned d = 0; d < MODEL_DATABASES; d++)
            if (c->kind == MODEL_FLUSHALL || d == run->database)
                flush_database(run, d);
        resp_simple(&run->reply, "OK");
        break;
    case MODEL_SWAPDB:
        run_swap(run);
        break;
    case MODEL_SELECT:
        *database = c->keys[0];
        resp_simple(&run->reply, "OK");
        break;
    case MODEL_PUSH:
        run_push(run);
        break;
    case MODEL_POP:
        run_pop(run);
        break;
    case MODEL_LTRIM:
        run_ltrim(run);
        break;
    case MODEL_LRANGE:
        run_lrange(run);
        break;
    case MODEL_LLEN:
        run_length(run, MODEL_LIST);
        break;
    case MODEL_LSET:
        run_lset(run);
        break;
    case MODEL_LINSERT:
        run_linsert(run);
        break;
    case MODEL_LREM:
        run_lrem(run);
        break;
    case MODEL_LMOVE:
        run_lmove(run);
        break;
    case MODEL_LINDEX:
        run_lindex(run);
        break;
    case MODEL_XADD:
        run_xadd(run);
        break;
    case MODEL_XDEL:
        run_xdel(run);
        break;
    case MODEL_XTRIM:
        run_xtrim(run);
        break;
    case MODEL_XLEN:
        run_length(run, MODEL_STREAM);
        break;
    case MODEL_XRANGE:
        run_xrange(run);
        break;
    case MODEL_XREAD:
        return run_xread(run);
    case MODEL_LOG_WRITE:
    case MODEL_LOG_MWRITE:
    case MODEL_JSON_WRITE:
        run_log_write(run);
        break;
    case MODEL_LOG_RANGE:
    case MODEL_JSON_READ:
        run_log_range(run);
        break;
    case MODEL_WRITE_PART:
        run_write_part(run);
        break;
    case MODEL_GETRANGE:
        run_getrange(run);
        break;
    case MODEL_SETBIT:
        run_setbit(run);
        break;
    case MODEL_BITCOUNT:
        run_bitcount(run);
        break;
    case MODEL_BITOP:
        run_bitop(run);
        break;
    case MODEL_MSET:
        run_mset(run);
        break;
    case MODEL_INCRBY:
        run_incrby(run);
        break;
    case MODEL_GETDEL:
        run_getdel(run);
        break;
    case MODEL_BPOP:
    case MODEL_BMPOP:
    case MODEL_BMOVE:
        return run_awaiting(run);
    case MODEL_SORT_STORE:
        run_sort_store(run);
        break;
    case MODEL_XSETID:
        run_xsetid(run);
        break;
    case MODEL_DUMP:
        return run_dump(run);
    case MODEL_RESTORE:
        run_restore(run);
        break;
    case MODEL_UNBLOCK:
        resp_integer(&run->reply, c->first);
        break;
    case MODEL_WATCH:
    case MODEL_UNWATCH:
    case MODEL_MULTI:
    case MODEL_DISCARD:
        resp_simple(&run->reply, "OK");
        break;
    case MODEL_QUEUED:
        resp_simple(&run->reply, "QUEUED");
        break;
    case MODEL_EXEC:
        run_exec(run, database);
        break;
    case MODEL_COMMAND_COUNT:
        assert(false);
    }
    return MODEL_EXACT;
}

enum model_reply model_run(struct model *model, unsigned *database, const struct model_command *c,
                           struct buffer *expected)
{
    model->changed = false;
    model->revealed = 0;
    model->touched_count = 0;
    return run_command(model, database, c, false, expected);
}

bool model_serve(struct model *model, unsigned database, const struct model_command *command,
                 size_t key_index, struct buffer *expected)
{
    struct model_command waited = *command;
    waited.flags |= MODEL_WAITED;
    struct run run = {.model = model, .database = database, .command = &waited};
    run.reply = (struct resp_writer){.out = expected, .protocol = 2};
    model->changed = false;
    model->revealed = 0;
    model->touched_count = 0;
    return take_awaited(&run, key_index);
}

void model_show(const struct model_value *value, struct buffer *into)
{
    buffer_printf(into, "type %d, %zu:", (int)value->kind, value->count);
    if (value->kind == MODEL_STREAM)
        buffer_printf(into,
                      " last %" PRIu64 "-%" PRIu64 ", deleted %" PRIu64 "-%" PRIu64
                      ", added %" PRIu64 "\n",
                      value->last_id.ms, value->last_id.seq, value->max_deleted_id.ms,
                      value->max_deleted_id.seq, value->entries_added);
    for (size_t i = 0; i < value->count; i++) {
        const struct model_item *item = &value->items[i];
        if (value->kind == MODEL_STREAM)
            buffer_printf(into, "%" PRIu64 "-%" PRIu64 " at %" PRIu64 " ", item->id.ms,
                          item->id.seq, item->event_ms);
        size_t size = value->kind == MODEL_STREAM ? item->bytes->json_at : item->bytes->size;
        buffer_printf(into, "%zu ", size);
        buffer_append(into, item->bytes->data, size);
        buffer_append_byte(into, '\n');
    }
    if (value->kind == MODEL_STREAM) {
        struct model_item *items = by_event(value);
        for (size_t i = 0; i < value->count; i++)
            buffer_printf(into, "%" PRIu64 "-%" PRIu64 ",", items[i].id.ms, items[i].id.seq);
        memory_free(items);
    }
}

uint64_t model_hash(struct slice shown, uint64_t expire_ms)
{
    return shown.size ? (hash64(shown, 0) | 1) ^ expire_ms << 1 : 0;
}

uint64_t model_slot_hash(const struct model_slot *slot)
{
    struct model_value *value = slot->value;
    if (!value)
        return 0;
    if (!value->hash) {
        struct buffer shown = {0};
        model_show(value, &shown);
        value->hash = hash64(buffer_slice(&shown), 0) | 1;
        buffer_release(&shown);
    }
    return value->hash ^ slot->expire_ms << 1;
}

void model_command_release(struct model_command *command)
{
    for (size_t i = 0; i < MODEL_ARGUMENTS_MAX; i++)
        model_bytes_unref(command->bytes[i]);
    for (size_t i = 0; i < command->queued_count; i++)
        model_command_release(&command->queued[i]);
    memory_free(command->queued);
    value_unref(command->value);
    buffer_release(&command->request);
    *command = (struct model_command){0};
}
