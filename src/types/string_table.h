/* SPDX-License-Identifier: MIT */
/* Distinct strings, numbered in the order in which they came. */
#ifndef TYPES_STRING_TABLE_H
#define TYPES_STRING_TABLE_H

#include "base/buffer.h"

enum { STRING_NONE = UINT32_MAX };

struct string_table_slot {
    uint32_t hash;
    uint32_t number; /* + 1; 0: free */
};

/* A zeroed struct is empty. */
struct string_table {
    struct buffer bytes; /* all strings, one behind the other */
    uint32_t *ends;      /* of each in `bytes` */
    uint32_t count, capacity;
    struct string_table_slot *slots;
    uint32_t slot_count; /* a power of two, or 0; at least 2 * count */
};

void string_table_release(struct string_table *table);
void string_table_clear(struct string_table *table); /* keeps the memory */
/* The string's number or STRING_NONE; `hash` is the same function of the string in all calls. */
uint32_t string_table_find(const struct string_table *table, struct slice string, uint32_t hash);
/* Gives a string that is not there a number. All strings together are less than 4 GiB. */
uint32_t string_table_add(struct string_table *table, struct slice string, uint32_t hash);

static inline struct slice string_table_get(const struct string_table *table, uint32_t number)
{
    uint32_t from = number ? table->ends[number - 1] : 0;
    return slice_make(table->bytes.data + from, table->ends[number] - from);
}

#endif
