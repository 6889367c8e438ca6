/* SPDX-License-Identifier: MIT */
/* A radix tree of counters over ordinals. */
#include "types/stream_deletions.h"

#include "base/coding.h"

#include <assert.h>

enum {
    LEAF_BITS = 10,
    LEAF_BYTES = (1 << LEAF_BITS) / 8,
    FANOUT_BITS = 6,
    FANOUT = 1 << FANOUT_BITS,
    LEVELS_MAX = 10, /* 10 + 9 * 6 = 64 bits */
    KEY_BYTES = OBJECT_PREFIX_BYTES + 1 + 1 + 8,
    NODE_BYTES_MAX = FANOUT * (1 + VARINT_BYTES_MAX),
    RECLAIM_LEAVES = 64, /* a range tombstone for so many dead leaves */
};

struct node {
    uint8_t bits[LEAF_BYTES]; /* level 0 */
    uint64_t counts[FANOUT];  /* other levels */
};

/* Ordinals below one node of this level, as a power of two. */
static unsigned node_shift(unsigned level)
{
    return LEAF_BITS + level * FANOUT_BITS;
}

static uint64_t node_index(unsigned level, uint64_t ordinal)
{
    unsigned shift = node_shift(level);
    return shift < 64 ? ordinal >> shift : 0;
}

/* Which child of the node of this level (1 and up) holds the ordinal. */
static unsigned child_index(unsigned level, uint64_t ordinal)
{
    return (unsigned)(ordinal >> node_shift(level - 1)) & (FANOUT - 1);
}

static unsigned levels_for(uint64_t ordinal)
{
    unsigned levels = 1;
    while (node_index(levels - 1, ordinal) > 0)
        levels++;
    assert(levels <= LEVELS_MAX);
    return levels;
}

static void key_store(uint8_t at[KEY_BYTES], const struct stream *stream, unsigned level,
                      uint64_t index)
{
    memcpy(at, stream->prefix, OBJECT_PREFIX_BYTES);
    at[OBJECT_PREFIX_BYTES] = 'D';
    at[OBJECT_PREFIX_BYTES + 1] = (uint8_t)level;
    be64_store(at + OBJECT_PREFIX_BYTES + 2, index);
}

/* ---- Nodes as bytes ------------------------------------------------------------------------- */

/* A leaf: number of zero bytes left out in front, the bytes up to the last one that is not zero. */
static size_t leaf_encode(const struct node *node, uint8_t *at)
{
    size_t first = 0, end = LEAF_BYTES;
    while (first < end && node->bits[first] == 0)
        first++;
    while (end > first && node->bits[end - 1] == 0)
        end--;
    at[0] = (uint8_t)first;
    memcpy(at + 1, node->bits + first, end - first);
    return 1 + end - first;
}

/* Another node: { child (1), varint count } for every child that has deleted ordinals. */
static size_t inner_encode(const struct node *node, uint8_t *at)
{
    size_t size = 0;
    for (unsigned i = 0; i < FANOUT; i++) {
        if (node->counts[i] == 0)
            continue;
        at[size++] = (uint8_t)i;
        size += varint_store(at + size, node->counts[i]);
    }
    return size;
}

static enum status leaf_decode(struct slice value, struct node *node)
{
    uint8_t first;
    if (!slice_take_byte(&value, &first) || first + value.size > LEAF_BYTES || value.size == 0)
        return STATUS_CORRUPT;
    memcpy(node->bits + first, value.data, value.size);
    return STATUS_OK;
}

static enum status inner_decode(struct slice value, struct node *node)
{
    int last = -1;
    while (value.size > 0) {
        uint8_t child;
        uint64_t count;
        if (!slice_take_byte(&value, &child) || child >= FANOUT || child <= last ||
            !slice_take_varint(&value, &count) || count == 0)
            return STATUS_CORRUPT;
        node->counts[child] = count;
        last = child;
    }
    return STATUS_OK;
}

/* A node that is not there is empty. */
static enum status node_load(struct access *access, const struct stream *stream, unsigned level,
                             uint64_t index, struct node *node)
{
    uint8_t key[KEY_BYTES];
    struct slice value;
    memset(node, 0, sizeof *node);
    key_store(key, stream, level, index);
    enum status status = access_get(access, TREE_PARTS, slice_make(key, sizeof key), &value);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status)
        return status;
    return level == 0 ? leaf_decode(value, node) : inner_decode(value, node);
}

/* ---- Questions ------------------------------------------------------------------------------ */

static uint64_t bits_below(const struct node *leaf, unsigned bit)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < bit / 8; i++)
        count += (uint64_t)__builtin_popcount(leaf->bits[i]);
    if (bit % 8)
        count += (uint64_t)__builtin_popcount(leaf->bits[bit / 8] & ((1u << bit % 8) - 1));
    return count;
}

static bool node_covers(unsigned levels, uint64_t ordinal)
{
    return node_index(levels - 1, ordinal) == 0;
}

/* Members below `ordinal`, dead ones included. */
static enum status count_below(struct access *access, const struct stream *stream, uint64_t ordinal,
                               uint64_t *count)
{
    unsigned levels = stream->header.deletion_levels;
    bool is_beyond = !node_covers(levels, ordinal);
    uint64_t sum = 0;
    for (unsigned level = levels; level-- > 0;) {
        struct node node;
        uint64_t index = is_beyond ? 0 : node_index(level, ordinal);
        enum status status = node_load(access, stream, level, index, &node);
        if (status)
            return status;
        if (level == 0) {
            sum += bits_below(&node, is_beyond ? 1u << LEAF_BITS
                                               : (unsigned)(ordinal & ((1u << LEAF_BITS) - 1)));
            break;
        }
        unsigned end = is_beyond ? FANOUT : child_index(level, ordinal);
        for (unsigned i = 0; i < end; i++)
            sum += node.counts[i];
        if (is_beyond)
            break;
    }
    *count = sum;
    return STATUS_OK;
}

enum status stream_deletions_count(struct access *access, const struct stream *stream,
                                   uint64_t from, uint64_t to, uint64_t *count)
{
    assert(from >= stream->header.first_ordinal);
    assert(from <= to);
    if (stream_header_deleted_count(&stream->header) == 0) {
        *count = 0;
        return STATUS_OK;
    }
    uint64_t below_from, below_to;
    enum status status = count_below(access, stream, from, &below_from);
    if (status)
        return status;
    status = count_below(access, stream, to, &below_to);
    if (status)
        return status;
    if (below_to < below_from || below_to - below_from > to - from)
        return STATUS_CORRUPT;
    *count = below_to - below_from;
    return STATUS_OK;
}

/* The place of the zero bit number `rank`; false: the leaf has fewer; *rank is less by those. */
static bool leaf_select(const struct node *leaf, uint64_t *rank, unsigned *bit)
{
    for (unsigned i = 0; i < 1u << LEAF_BITS; i++) {
        if (leaf->bits[i / 8] >> i % 8 & 1)
            continue;
        if (*rank == 0) {
            *bit = i;
            return true;
        }
        --*rank;
    }
    return false;
}

/* The child that holds the absent ordinal number `*rank` below the node; FANOUT: none does. *rank
 * is less by those before it. */
static enum status inner_select(const struct node *node, unsigned level, uint64_t *rank,
                                unsigned *child)
{
    uint64_t span = (uint64_t)1 << node_shift(level - 1);
    for (*child = 0; *child < FANOUT; ++*child) {
        if (node->counts[*child] > span)
            return STATUS_CORRUPT;
        uint64_t absent = span - node->counts[*child];
        if (*rank < absent)
            return STATUS_OK;
        *rank -= absent;
    }
    return STATUS_OK;
}

/* The ordinal that is not a member and has `rank` such ordinals below it, from 0 on. */
static enum status select_absent(struct access *access, const struct stream *stream, uint64_t rank,
                                 uint64_t *ordinal)
{
    unsigned levels = stream->header.deletion_levels;
    uint64_t base = 0;
    for (unsigned level = levels; level-- > 0;) {
        struct node node;
        unsigned place = FANOUT;
        enum status status = node_load(access, stream, level, node_index(level, base), &node);
        if (!status && level > 0)
            status = inner_select(&node, level, &rank, &place);
        if (status)
            return status;
        bool is_inside = level > 0 ? place < FANOUT : leaf_select(&node, &rank, &place);
        if (!is_inside) {
            /* Behind everything that the tree covers; only the root can say so. */
            if (level + 1 < levels || node_shift(level) >= 64)
                return STATUS_CORRUPT;
            *ordinal = ((uint64_t)1 << node_shift(level)) + rank;
            return STATUS_OK;
        }
        if (level > 0)
            base += (uint64_t)place << node_shift(level - 1);
        else
            *ordinal = base + place;
    }
    return STATUS_OK;
}

enum status stream_deletions_select(struct access *access, const struct stream *stream,
                                    uint64_t rank, uint64_t *ordinal)
{
    const struct stream_header *header = &stream->header;
    assert(rank <= header->length);
    if (rank == header->length) {
        *ordinal = header->next_ordinal;
        return STATUS_OK;
    }
    if (stream_header_deleted_count(header) == 0) {
        *ordinal = header->first_ordinal + rank;
        return STATUS_OK;
    }
    uint64_t below_first, selected;
    enum status status = count_below(access, stream, header->first_ordinal, &below_first);
    if (status)
        return status;
    if (below_first > header->first_ordinal)
        return STATUS_CORRUPT;
    status = select_absent(access, stream, header->first_ordinal - below_first + rank, &selected);
    if (status)
        return status;
    if (selected < header->first_ordinal || selected >= header->next_ordinal)
        return STATUS_CORRUPT;
    *ordinal = selected;
    return STATUS_OK;
}

/* ---- Changes -------------------------------------------------------------------------------- */

/* The set as it will be: what lies below the old root is counted by the nodes above it, unless all of
 * that lies below the first ordinal. */
struct growth {
    unsigned old_levels, levels;
    uint64_t total; /* members below the old root that count */
};

static uint64_t node_total(const struct node *node, unsigned level)
{
    if (level == 0)
        return bits_below(node, 1u << LEAF_BITS);
    uint64_t total = 0;
    for (unsigned i = 0; i < FANOUT; i++)
        total += node->counts[i];
    return total;
}

static enum status find_growth(struct access *access, const struct stream *stream, uint64_t ordinal,
                               struct growth *growth)
{
    const struct stream_header *header = &stream->header;
    unsigned levels = levels_for(ordinal), old_levels = header->deletion_levels;
    *growth = (struct growth){.old_levels = old_levels,
                              .levels = levels > old_levels ? levels : old_levels};
    if (levels <= old_levels || old_levels == 0 || !node_covers(old_levels, header->first_ordinal))
        return STATUS_OK;
    struct node node;
    enum status status = node_load(access, stream, old_levels - 1, 0, &node);
    if (!status)
        growth->total = node_total(&node, old_levels - 1);
    return status;
}

/* A node before the insertion. Levels above the old root have none in the store. */
static enum status load_grown(struct access *access, const struct stream *stream,
                              const struct growth *growth, unsigned level, uint64_t index,
                              struct node *node)
{
    if (level < growth->old_levels)
        return node_load(access, stream, level, index, node);
    memset(node, 0, sizeof *node);
    if (index == 0 && level > 0)
        node->counts[0] = growth->total;
    return STATUS_OK;
}

static void plan_node(struct stream_deletions_plan *plan, unsigned level, uint64_t index,
                      const struct node *node)
{
    uint8_t value[NODE_BYTES_MAX];
    size_t size = level == 0 ? leaf_encode(node, value) : inner_encode(node, value);
    buffer_append_byte(&plan->nodes, (uint8_t)level);
    buffer_append_varint(&plan->nodes, index);
    buffer_append_sized(&plan->nodes, slice_make(value, size));
}

static enum status plan_level(struct access *access, const struct stream *stream,
                              const struct growth *growth, unsigned level, const uint64_t *ordinals,
                              size_t count, struct stream_deletions_plan *plan)
{
    struct node node;
    bool is_new = level >= growth->old_levels;
    if (is_new && growth->total > 0 && node_index(level, ordinals[0]) > 0) {
        (void)load_grown(access, stream, growth, level, 0, &node); /* reads nothing */
        plan_node(plan, level, 0, &node);
    }
    for (size_t i = 0; i < count;) {
        uint64_t index = node_index(level, ordinals[i]);
        enum status status = load_grown(access, stream, growth, level, index, &node);
        if (status)
            return status;
        for (; i < count && node_index(level, ordinals[i]) == index; i++) {
            unsigned bit = (unsigned)(ordinals[i] & ((1u << LEAF_BITS) - 1));
            if (level == 0)
                node.bits[bit / 8] |= (uint8_t)(1u << bit % 8);
            else
                node.counts[child_index(level, ordinals[i])]++;
        }
        plan_node(plan, level, index, &node);
    }
    return STATUS_OK;
}

enum status stream_deletions_find(struct access *access, const struct stream *stream,
                                  const uint64_t *ordinals, size_t count,
                                  struct stream_deletions_plan *plan)
{
    struct growth growth;
    plan->levels = stream->header.deletion_levels;
    plan->nodes.may_fail = true;
    if (count == 0)
        return STATUS_OK;
    enum status status = find_growth(access, stream, ordinals[count - 1], &growth);
    for (unsigned level = 0; !status && level < growth.levels; level++)
        status = plan_level(access, stream, &growth, level, ordinals, count, plan);
    if (!status && plan->nodes.failed)
        status = STATUS_NO_MEMORY;
    if (!status)
        plan->levels = growth.levels;
    return status;
}

void stream_deletions_apply(struct access *access, struct stream *stream,
                            const struct stream_deletions_plan *plan)
{
    struct stream_header *header = &stream->header;
    struct slice rest = buffer_slice(&plan->nodes), value;
    uint8_t key[KEY_BYTES], level;
    uint64_t index;
    while (slice_take_byte(&rest, &level) && slice_take_varint(&rest, &index) &&
           slice_take_sized(&rest, &value)) {
        key_store(key, stream, level, index);
        access_put(access, TREE_PARTS, slice_make(key, sizeof key), value);
    }
    if (header->deletion_levels == 0 && plan->levels > 0)
        header->deletion_reclaimed_leaf = node_index(0, header->first_ordinal);
    header->deletion_levels = plan->levels;
}

void stream_deletions_plan_release(struct stream_deletions_plan *plan)
{
    buffer_release(&plan->nodes);
}

static void delete_nodes(struct access *access, const struct stream *stream, unsigned level,
                         uint64_t from, uint64_t to)
{
    uint8_t first[KEY_BYTES], end[KEY_BYTES];
    key_store(first, stream, level, from);
    key_store(end, stream, level, to);
    access_delete_range(access, TREE_PARTS, slice_make(first, sizeof first),
                        slice_make(end, sizeof end));
}

void stream_deletions_reclaim(struct access *access, struct stream *stream)
{
    struct stream_header *header = &stream->header;
    if (header->deletion_levels == 0)
        return;
    uint64_t leaf = node_index(0, header->first_ordinal);
    if (leaf - header->deletion_reclaimed_leaf < RECLAIM_LEAVES)
        return;
    /* Only nodes that lie below the first ordinal as a whole: those on the path to it are needed.
     * Reads look past range deletions, so a node that is given back must never be asked for again.
     */
    uint64_t old_first = header->deletion_reclaimed_leaf << LEAF_BITS;
    for (unsigned level = 0; level < header->deletion_levels; level++) {
        uint64_t from = node_index(level, old_first);
        uint64_t to = node_index(level, header->first_ordinal);
        if (from < to)
            delete_nodes(access, stream, level, from, to);
    }
    header->deletion_reclaimed_leaf = leaf;
}
