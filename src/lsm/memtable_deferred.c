/* SPDX-License-Identifier: MIT */
/* Nodes that were put while their order was of no interest, and how they get into the list.
 *
 * A search for the place of a random key, in a list that no cache of the processor holds, waits for memory at
 * each of some 20 nodes. Nodes that come sorted need no search: the place of each lies a little behind that
 * of the one before, and their memory is asked for ahead.
 *
 *   deferred    node -> node -> ...         as they were put, newest first, by next[0]
 *   sorted      by words of 8 bytes of their keys, the front first: radix sort, a byte a pass, of which
 *               those are left out in which all are alike; keys with the same word are sorted by the next
 *               one, few of them by comparison
 *   linked      in ascending order          before[] moves forward only */
#include "lsm/memtable_node.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

enum {
    RADIX = 256,
    RADIX_COUNT_MIN = 256, /* fewer are compared */
    WORD_BYTES = 8,        /* that are sorted by at a time */
    WORD_OFFSET_END = 64,  /* what is equal up to here is compared */
    NODES_AHEAD = 8,
};

/* A node and a word of its key, so that sorting reads no node. */
struct sorted_node {
    uint64_t word;
    struct mem_node *node;
};

/* ---- Sorting ------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    const struct sorted_node *left = a, *right = b;
    return slice_compare(node_key(left->node), node_key(right->node));
}

static void take_words(struct sorted_node *nodes, size_t count, size_t offset)
{
    for (size_t i = 0; i < count; i++) {
        if (i + NODES_AHEAD < count)
            __builtin_prefetch(nodes[i + NODES_AHEAD].node);
        struct slice key = node_key(nodes[i].node);
        nodes[i].word = key_front(slice_skip(key, offset < key.size ? offset : key.size));
    }
}

/* counts[]: how many have each value of the byte. Stable. */
static void sort_by_byte(const struct sorted_node *from, struct sorted_node *to, size_t count,
                         unsigned shift, size_t counts[RADIX])
{
    size_t place = 0;
    for (size_t byte = 0; byte < RADIX; byte++) {
        size_t next = place + counts[byte];
        counts[byte] = place;
        place = next;
    }
    for (size_t i = 0; i < count; i++)
        to[counts[from[i].word >> shift & (RADIX - 1)]++] = from[i];
}

/* `room` has as many places. */
static void sort_by_word(struct sorted_node *nodes, struct sorted_node *room, size_t count)
{
    struct sorted_node *from = nodes, *to = room;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        size_t counts[RADIX] = {0};
        for (size_t i = 0; i < count; i++)
            counts[from[i].word >> shift & (RADIX - 1)]++;
        if (counts[from[0].word >> shift & (RADIX - 1)] == count)
            continue;
        sort_by_byte(from, to, count, shift, counts);
        struct sorted_node *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != nodes)
        memcpy(nodes, from, count * sizeof(*nodes));
}

/* Nodes whose keys are the same up to `offset`. The words at 0 are there already. */
static void sort_nodes(struct sorted_node *nodes, struct sorted_node *room, size_t count,
                       size_t offset)
{
    if (count < RADIX_COUNT_MIN || offset >= WORD_OFFSET_END) {
        qsort(nodes, count, sizeof(*nodes), compare_keys);
        return;
    }
    if (offset > 0)
        take_words(nodes, count, offset);
    sort_by_word(nodes, room, count);
    size_t end;
    for (size_t first = 0; first < count; first = end) {
        end = first + 1;
        while (end < count && nodes[end].word == nodes[first].word)
            end++;
        if (end - first > 1)
            sort_nodes(nodes + first, room + first, end - first, offset + WORD_BYTES);
    }
}

/* ---- Linking ------------------------------------------------------------------------------- */

static void start_at_head(const struct memtable *table, struct mem_node *before[HEIGHT_MAX])
{
    for (int level = 0; level < HEIGHT_MAX; level++)
        before[level] = table->head;
}

/* Moves before[] on to the last nodes with keys < the node's, and puts it there. */
static void link_behind(struct memtable *table, struct mem_node *node,
                        struct mem_node *before[HEIGHT_MAX])
{
    struct slice key = node_key(node);
    struct mem_node *reached = NULL; /* by the level above, if it moved */
    for (int level = atomic_load_explicit(&table->height, memory_order_relaxed) - 1; level >= 0;
         level--) {
        struct mem_node *at = reached ? reached : before[level], *next;
        while ((next = node_next(at, level)) && node_compare(next, key, node->front) < 0)
            reached = at = next;
        before[level] = at;
    }
    memtable_link_node(table, node, node->height, before);
    for (unsigned level = 0; level < node->height; level++)
        before[level] = node;
}

/* Without memory to sort them in. */
static void link_unsorted(struct memtable *table)
{
    struct mem_node *before[HEIGHT_MAX], *next;
    for (struct mem_node *node = table->deferred; node; node = next) {
        next = node_next(node, 0);
        start_at_head(table, before);
        link_behind(table, node, before);
    }
}

static void link_sorted(struct memtable *table, const struct sorted_node *nodes, size_t count)
{
    struct mem_node *before[HEIGHT_MAX];
    start_at_head(table, before);
    for (size_t i = 0; i < count; i++) {
        if (i + NODES_AHEAD < count)
            __builtin_prefetch(nodes[i + NODES_AHEAD].node, 1);
        link_behind(table, nodes[i].node, before);
    }
}

void memtable_link_deferred(struct memtable *table)
{
    size_t count = table->deferred_count, room_bytes = 2 * count * sizeof(struct sorted_node);
    struct sorted_node *nodes = memory_try_allocate(room_bytes);
    if (nodes) {
        memory_prefer_huge_pages(nodes, room_bytes);
        struct mem_node *node = table->deferred;
        for (size_t i = count; i-- > 0; node = node_next(node, 0))
            nodes[i] = (struct sorted_node){.word = node->front, .node = node};
        assert(!node);
        sort_nodes(nodes, nodes + count, count, 0);
        link_sorted(table, nodes, count);
        memory_free(nodes);
    } else {
        link_unsorted(table);
    }
    table->deferred = NULL;
    table->deferred_count = 0;
}
