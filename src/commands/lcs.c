/* SPDX-License-Identifier: MIT */
/* length(i, j) is that of the first i bytes of a and the first j of b:
 *
 *     length(i, j) = length(i-1, j-1) + 1                     a's byte i is b's byte j
 *                    max(length(i-1, j), length(i, j-1))      else; the bit says whether the first one is greater
 *
 * The outer loop goes over the longer string, so that the row is short. */
#include "commands/lcs.h"

#include "base/memory.h"

#include <assert.h>

struct table {
    struct slice a, b;
    bool a_is_outer;
    uint32_t *row;    /* of the inner string, one more than it has bytes */
    uint8_t *choices; /* a bit for each pair, in rows of so many bytes; NULL: not asked for */
    size_t choice_bytes;
};

static struct slice outer_of(const struct table *table)
{
    return table->a_is_outer ? table->a : table->b;
}

static struct slice inner_of(const struct table *table)
{
    return table->a_is_outer ? table->b : table->a;
}

static enum status table_init(struct table *table, struct slice a, struct slice b, bool has_choices)
{
    *table = (struct table){.a = a, .b = b, .a_is_outer = a.size >= b.size};
    assert(a.size < UINT32_MAX);
    assert(b.size < UINT32_MAX);
    size_t row_bytes = (inner_of(table).size + 1) * sizeof *table->row;
    table->choice_bytes = inner_of(table).size / 8 + 1;
    table->row = memory_ask_allocate(row_bytes);
    if (table->row && has_choices)
        table->choices = memory_ask_allocate(table->choice_bytes * (outer_of(table).size + 1));
    if (!table->row || (has_choices && !table->choices))
        return STATUS_NO_MEMORY; /* table_release frees the other */
    memset(table->row, 0, row_bytes);
    return STATUS_OK;
}

static void table_release(struct table *table)
{
    memory_free(table->row);
    memory_free(table->choices);
}

/* Without branches: what matches is as good as random. */
static void fill_row(struct table *table, uint64_t outer_index)
{
    struct slice inner = inner_of(table);
    uint8_t byte = outer_of(table).data[outer_index];
    uint8_t *choices = table->choices ? table->choices + outer_index * table->choice_bytes : NULL;
    uint32_t *row = table->row, diagonal = 0, before = 0; /* before: of one byte less of inner */
    unsigned bits = 0;
    for (size_t i = 0; i < inner.size; i++) {
        uint32_t above = row[i + 1]; /* of one byte less of outer */
        uint32_t longer = above > before ? above : before;
        bool matches = inner.data[i] == byte;
        bool drops_a = table->a_is_outer ? above > before : before > above;
        before = matches ? diagonal + 1 : longer;
        row[i + 1] = before;
        diagonal = above;
        bits |= (unsigned)(drops_a & !matches) << i % 8;
        if (choices && (i % 8 == 7 || i + 1 == inner.size)) {
            choices[i / 8] = (uint8_t)bits;
            bits = 0;
        }
    }
}

static uint64_t fill(struct table *table)
{
    for (size_t i = 0; i < outer_of(table).size; i++)
        fill_row(table, i);
    return table->row[inner_of(table).size];
}

enum status lcs_length(struct slice a, struct slice b, uint64_t *length)
{
    struct table table;
    enum status status = table_init(&table, a, b, false);
    if (!status)
        *length = fill(&table);
    table_release(&table);
    return status;
}

/* Whether the way leaves out a's byte i - 1, and not b's j - 1; these two differ. */
static bool drops_a(const struct table *table, uint64_t i, uint64_t j)
{
    uint64_t outer = table->a_is_outer ? i - 1 : j - 1, inner = table->a_is_outer ? j - 1 : i - 1;
    return table->choices[outer * table->choice_bytes + inner / 8] >> inner % 8 & 1;
}

/* From the ends of both strings to the start of one; `end` is where the last byte goes before. */
static void walk_back(const struct table *table, uint8_t *end,
                      void (*each)(void *context, const struct lcs_range *range), void *context)
{
    uint64_t i = table->a.size, j = table->b.size;
    while (i > 0 && j > 0) {
        uint64_t a_last = i - 1, b_last = j - 1;
        while (i > 0 && j > 0 && table->a.data[i - 1] == table->b.data[j - 1]) {
            *--end = table->a.data[--i];
            j--;
        }
        if (i <= a_last) {
            if (each)
                each(context, &(struct lcs_range){i, a_last, j, b_last});
        } else if (drops_a(table, i, j)) {
            i--;
        } else {
            j--;
        }
    }
}

enum status lcs_find(struct slice a, struct slice b, struct buffer *into,
                     void (*each)(void *context, const struct lcs_range *range), void *context)
{
    struct table table;
    enum status status = table_init(&table, a, b, true);
    if (!status) {
        uint64_t length = fill(&table);
        status = buffer_try_reserve(into, length);
        if (!status) {
            into->size += length;
            walk_back(&table, into->data + into->size, each, context);
        }
    }
    table_release(&table);
    return status;
}
