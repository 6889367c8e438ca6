/* SPDX-License-Identifier: MIT */
/* Open addressing; a slot keeps the hash, so that growing and most comparisons read no string. */
#include "types/string_table.h"

#include "base/memory.h"

#include <assert.h>

enum { SLOTS_MIN = 16 };

void string_table_release(struct string_table *table)
{
    buffer_release(&table->bytes);
    memory_free(table->ends);
    memory_free(table->slots);
    *table = (struct string_table){0};
}

void string_table_clear(struct string_table *table)
{
    buffer_clear(&table->bytes);
    table->count = 0;
    if (table->slot_count)
        memset(table->slots, 0, table->slot_count * sizeof(table->slots[0]));
}

uint32_t string_table_find(const struct string_table *table, struct slice string, uint32_t hash)
{
    if (table->count == 0)
        return STRING_NONE;
    uint32_t mask = table->slot_count - 1;
    for (uint32_t at = hash & mask; table->slots[at].number; at = (at + 1) & mask) {
        uint32_t number = table->slots[at].number - 1;
        if (table->slots[at].hash == hash && slice_equal(string_table_get(table, number), string))
            return number;
    }
    return STRING_NONE;
}

static void occupy(struct string_table *table, struct string_table_slot slot)
{
    uint32_t mask = table->slot_count - 1, at = slot.hash & mask;
    while (table->slots[at].number)
        at = (at + 1) & mask;
    table->slots[at] = slot;
}

static void grow_slots(struct string_table *table)
{
    struct string_table_slot *old = table->slots;
    uint32_t old_count = table->slot_count;
    table->slot_count = old_count ? 2 * old_count : SLOTS_MIN;
    table->slots = memory_zeroed(table->slot_count, sizeof(table->slots[0]));
    for (uint32_t i = 0; i < old_count; i++)
        if (old[i].number)
            occupy(table, old[i]);
    memory_free(old);
}

uint32_t string_table_add(struct string_table *table, struct slice string, uint32_t hash)
{
    assert(string_table_find(table, string, hash) == STRING_NONE);
    assert(string.size < UINT32_MAX - table->bytes.size);
    if (2 * (table->count + 1) > table->slot_count)
        grow_slots(table);
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : SLOTS_MIN;
        table->ends = memory_resize(table->ends, table->capacity * sizeof(table->ends[0]));
    }
    buffer_append_slice(&table->bytes, string);
    table->ends[table->count] = (uint32_t)table->bytes.size;
    occupy(table, (struct string_table_slot){hash, table->count + 1});
    return table->count++;
}
