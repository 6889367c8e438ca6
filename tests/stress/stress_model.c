/* SPDX-License-Identifier: MIT */
#include "stress/stress_model.h"

#include "base/memory.h"
#include "base/random.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum { CLOCK_MARGIN_MS = 3, SLOT_ITEMS_MIN = 16, SHOWN_BYTES_MAX = 60 };

/* ---- Values ---------------------------------------------------------------------------------- */

size_t value_size(uint64_t tag)
{
    struct random random;
    random_init(&random, tag);
    switch (random_below(&random, 64)) {
    case 0:
        return random_below(&random,
                            VALUE_BYTES_MAX); /* larger than what a tree keeps in one piece */
    case 1 ... 20:
        return random_below(&random, 3000);
    default:
        return random_below(&random, 200);
    }
}

void value_append(struct buffer *out, uint64_t tag)
{
    size_t size = value_size(tag);
    uint64_t letters = tag;
    buffer_reserve(out, size);
    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0)
            letters = (letters ^ (letters >> 29)) * UINT64_C(0xbf58476d1ce4e5b9) + i;
        out->data[out->size++] = (uint8_t)('a' + (letters >> (i % 8 * 4 + 20) & 15));
    }
}

const char *level_name(unsigned level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    assert(level >= 1);
    assert(level <= LEVELS);
    return names[level - 1];
}

void value_show(uint64_t tag, struct buffer *out)
{
    buffer_append_byte(out, '"');
    value_append(out, tag);
    buffer_append_byte(out, '"');
}

/* ---- Slots ----------------------------------------------------------------------------------- */

void slot_clear(struct model_slot *slot)
{
    memory_free(slot->items);
    buffer_release(&slot->text);
    *slot = (struct model_slot){0};
}

void slot_move(struct model_slot *to, struct model_slot *from)
{
    if (to == from)
        return;
    slot_clear(to);
    *to = *from;
    *from = (struct model_slot){0};
}

void slot_copy(struct model_slot *to, const struct model_slot *from)
{
    size_t bytes = from->capacity * sizeof(*from->items);
    slot_clear(to);
    *to = *from;
    to->text = (struct buffer){0};
    buffer_append_slice(&to->text, buffer_slice(&from->text));
    to->items = from->items ? memory_allocate(bytes) : NULL;
    if (from->count)
        memcpy(to->items, from->items, from->count * sizeof(*from->items));
}

struct model_item *slot_push(struct model_slot *slot, uint64_t tag, bool at_front)
{
    if (slot->count == slot->capacity) {
        slot->capacity = slot->capacity ? slot->capacity * 2 : SLOT_ITEMS_MIN;
        slot->items = memory_resize(slot->items, slot->capacity * sizeof(*slot->items));
    }
    size_t at = at_front ? 0 : slot->count;
    memmove(slot->items + at + 1, slot->items + at, (slot->count - at) * sizeof(*slot->items));
    slot->items[at] = (struct model_item){.tag = tag};
    slot->count++;
    return &slot->items[at];
}

void slot_remove(struct model_slot *slot, size_t at, size_t count)
{
    assert(at + count <= slot->count);
    if (count == 0)
        return;
    slot->count -= count;
    memmove(slot->items + at, slot->items + at + count, (slot->count - at) * sizeof(*slot->items));
    if (slot->count == 0 && slot->type == TYPE_LIST)
        slot_clear(slot);
}

void slot_write_text(struct model_slot *slot, size_t offset, struct slice bytes)
{
    slot->type = TYPE_STRING;
    slot->may_linger = false;
    while (slot->text.size < offset + bytes.size)
        buffer_append_byte(&slot->text, 0);
    if (bytes.size)
        memcpy(slot->text.data + offset, bytes.data, bytes.size);
}

void slot_expire_at(struct model_slot *slot, int64_t after, int64_t until)
{
    slot->expires_after = after;
    slot->expires_until = until;
}

bool slot_has_expired(const struct model_slot *slot, int64_t now_ms)
{
    return slot->expires_until && now_ms > slot->expires_until + CLOCK_MARGIN_MS;
}

bool slot_is_alive(const struct model_slot *slot, int64_t now_ms)
{
    return slot->type != TYPE_NONE &&
           (!slot->expires_until || now_ms < slot->expires_after - CLOCK_MARGIN_MS);
}

void slot_settle(struct model_slot *slot, int64_t now_ms)
{
    if (!slot_has_expired(slot, now_ms))
        return;
    slot_clear(slot);
    slot->may_linger = true;
}

/* ---- IDs, entries ---------------------------------------------------------------------------- */

int model_id_compare(struct model_id a, struct model_id b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return (a.seq > b.seq) - (a.seq < b.seq);
}

bool model_id_parse(struct slice text, struct model_id *id)
{
    char copy[48];
    if (text.size == 0 || text.size >= sizeof(copy))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    return sscanf(copy, "%" SCNu64 "-%" SCNu64, &id->ms, &id->seq) == 2;
}

uint64_t item_event_ms(const struct model_item *item)
{
    return item->event_ms ? item->event_ms : item->id.ms;
}

static __thread const struct model_slot *sorting; /* qsort has no context */

static int compare_events(const void *a, const void *b)
{
    const struct model_item *left = &sorting->items[*(const size_t *)a];
    const struct model_item *right = &sorting->items[*(const size_t *)b];
    uint64_t left_ms = item_event_ms(left), right_ms = item_event_ms(right);
    if (left_ms != right_ms)
        return left_ms < right_ms ? -1 : 1;
    return model_id_compare(left->id, right->id);
}

size_t *slot_by_event(const struct model_slot *slot)
{
    size_t *order = memory_allocate((slot->count + 1) * sizeof(*order));
    for (size_t i = 0; i < slot->count; i++)
        order[i] = i;
    sorting = slot;
    qsort(order, slot->count, sizeof(*order), compare_events);
    return order;
}

void item_show(const struct model_item *item, struct buffer *out)
{
    buffer_printf(out, "[\"%" PRIu64 "-%" PRIu64 "\", [", item->id.ms, item->id.seq);
    if (item->shape == SHAPE_FIELDS) {
        buffer_printf(out, "\"n\", \"%" PRIu64 "\", \"v\", ", item->tag);
        value_show(item->tag, out);
    } else {
        buffer_append_text(out, "\"message\", ");
        value_show(item->tag, out);
        if (item->level)
            buffer_printf(out, ", \"level\", \"%s\"", level_name(item->level));
        if (item->shape == SHAPE_LOG)
            buffer_printf(out, ", \"n\", \"%" PRIu64 "\"", item->tag);
    }
    buffer_append_text(out, "]]");
}

/* ---- The model ------------------------------------------------------------------------------- */

void model_clear(struct model *model)
{
    for (unsigned db = 0; db < MODEL_DATABASES; db++)
        for (unsigned key = 0; key < MODEL_KEYS; key++)
            slot_clear(&model->slots[db][key]);
}

void model_release(struct model *model)
{
    model_clear(model);
    slot_clear(&model->dumped);
    buffer_release(&model->payload);
}

void model_keep_dump(struct model *model, unsigned db, unsigned key, struct slice payload)
{
    slot_copy(&model->dumped, &model->slots[db][key]);
    model->dumped_key = key;
    buffer_clear(&model->payload);
    buffer_append_slice(&model->payload, payload);
}

void model_key_name(const struct model *model, unsigned db, unsigned key,
                    char name[MODEL_NAME_BYTES])
{
    if (db == MODEL_SHARED)
        snprintf(name, MODEL_NAME_BYTES, "own:%u:%u", model->client, key);
    else
        snprintf(name, MODEL_NAME_BYTES, "key:%u", key);
}

unsigned model_server_db(const struct model *model, unsigned db)
{
    return db == MODEL_SHARED ? 0 : 1 + 2 * model->client + db;
}

static void print_slot(const struct model_slot *slot, FILE *file)
{
    static const char *const types[] = {"none", "string", "list", "stream"};
    fprintf(file, "%s", types[slot->type]);
    if (slot->expires_until)
        fprintf(file, " expires %" PRId64 "..%" PRId64, slot->expires_after, slot->expires_until);
    if (slot->type == TYPE_STRING)
        fprintf(file, " %zu bytes: %.*s", slot->text.size,
                slot->text.size < SHOWN_BYTES_MAX ? (int)slot->text.size : SHOWN_BYTES_MAX,
                slot->text.size ? (const char *)slot->text.data : "");
    if (slot->type == TYPE_STREAM)
        fprintf(file, " last %" PRIu64 "-%" PRIu64, slot->last_id.ms, slot->last_id.seq);
    for (size_t i = 0; i < slot->count; i++) {
        const struct model_item *item = &slot->items[i];
        fprintf(file, slot->type == TYPE_LIST ? " %" PRIu64 : " %" PRIu64 "@%" PRIu64 "-%" PRIu64,
                item->tag, item->id.ms, item->id.seq);
    }
    fprintf(file, "\n");
}

void model_print(const struct model *model, FILE *file)
{
    for (unsigned db = 0; db < MODEL_DATABASES; db++) {
        for (unsigned key = 0; key < MODEL_KEYS; key++) {
            char name[MODEL_NAME_BYTES];
            model_key_name(model, db, key, name);
            fprintf(file, "db %u %s: ", model_server_db(model, db), name);
            print_slot(&model->slots[db][key], file);
        }
    }
}
