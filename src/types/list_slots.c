/* SPDX-License-Identifier: MIT */
/* A radix tree of sums over positions, each level 8 bits. */
#include "types/list_slots.h"

#include "base/coding.h"

#include <assert.h>

enum {
    TAG_SLOTS = 'i',
    LEVEL_BITS = 8,
    LEVELS_MAX = 7, /* a node of the highest level has 2^56 slots, the width of the widest zone */
    KEY_BYTES = OBJECT_PREFIX_BYTES + 1 + 1 + 8,
    NODE_BYTES_MAX = SLOTS_FANOUT * 2 * VARINT_BYTES_MAX,
    PLAN_DELETE = 0,
    PLAN_PUT = 1,
};

/* So that no sum overflows. */
#define DEVIATION_MAX ((int64_t)1 << 48)

struct node {
    int64_t sums[SLOTS_FANOUT];   /* level 0: deviations */
    bool has_below[SLOTS_FANOUT]; /* a record of the level below says more */
};

/* Slots of one child of a node of this level. */
static int64_t child_width(unsigned level)
{
    return (int64_t)1 << LEVEL_BITS * level;
}

static uint64_t node_index(unsigned level, uint64_t position)
{
    return position >> LEVEL_BITS * (level + 1);
}

static unsigned child_index(unsigned level, uint64_t position)
{
    return (unsigned)(position >> LEVEL_BITS * level) % SLOTS_FANOUT;
}

/* The first position below a child. */
static uint64_t child_first(unsigned level, uint64_t index, unsigned child)
{
    return (index << LEVEL_BITS | child) << LEVEL_BITS * level;
}

static unsigned root_level(const struct slots *slots)
{
    unsigned level = 0;
    while (node_index(level, slots->high) - node_index(level, slots->low) > 1)
        level++;
    assert(level < LEVELS_MAX);
    return level;
}

static void key_store(uint8_t at[KEY_BYTES], const struct slots *slots, unsigned level,
                      uint64_t index)
{
    object_prefix_store(at, slots->access->generation, slots->id);
    at[OBJECT_PREFIX_BYTES] = TAG_SLOTS;
    at[OBJECT_PREFIX_BYTES + 1] = (uint8_t)level;
    be64_store(at + OBJECT_PREFIX_BYTES + 2, index);
}

/* ---- Nodes as bytes. ------------------------------------------------------------------------- */

static bool is_same(const struct node *node, unsigned a, unsigned b)
{
    return node->sums[a] == node->sums[b] && node->has_below[a] == node->has_below[b];
}

static bool is_nothing(const struct node *node, unsigned child)
{
    return node->sums[child] == 0 && !node->has_below[child];
}

/* { varint 2 x length of the run + has_below, zigzag sum }, without a last run of nothing. */
static size_t node_encode(const struct node *node, uint8_t at[NODE_BYTES_MAX])
{
    size_t size = 0;
    unsigned end = SLOTS_FANOUT;
    while (end > 0 && is_nothing(node, end - 1))
        end--;
    for (unsigned from = 0, to; from < end; from = to) {
        for (to = from + 1; to < end && is_same(node, from, to); to++)
            ;
        size += varint_store(at + size, 2 * (to - from) + node->has_below[from]);
        size += varint_store(at + size, zigzag_encode(node->sums[from]));
    }
    return size;
}

/* A sum that a child can have. */
static bool is_possible(unsigned level, int64_t sum, bool has_below)
{
    if (level == 0)
        return sum >= -1 && sum <= DEVIATION_MAX && !has_below;
    if (has_below)
        return sum > -child_width(level) && sum <= DEVIATION_MAX;
    return sum == 0 || sum == -child_width(level);
}

static enum status node_decode(struct slice value, unsigned level, struct node *node)
{
    unsigned end = 0;
    memset(node, 0, sizeof *node);
    while (value.size > 0) {
        uint64_t run, sum;
        if (!slice_take_varint(&value, &run) || !slice_take_varint(&value, &sum) || run < 2 ||
            run / 2 > SLOTS_FANOUT - end || !is_possible(level, zigzag_decode(sum), run & 1))
            return STATUS_CORRUPT;
        for (uint64_t left = run / 2; left > 0; left--, end++) {
            node->sums[end] = zigzag_decode(sum);
            node->has_below[end] = run & 1;
        }
        unsigned from = end - (unsigned)(run / 2);
        if (from > 0 && is_same(node, from - 1, from))
            return STATUS_CORRUPT;
    }
    return end == 0 || is_nothing(node, end - 1) ? STATUS_CORRUPT : STATUS_OK;
}

/* ---- Loading. -------------------------------------------------------------------------------- */

struct planned_node {
    uint8_t kind, level;
    uint64_t index;
    struct slice value;
};

static bool take_planned(struct slice *nodes, struct planned_node *taken)
{
    return slice_take_byte(nodes, &taken->kind) && slice_take_byte(nodes, &taken->level) &&
           slice_take_varint(nodes, &taken->index) && slice_take_sized(nodes, &taken->value);
}

/* The last that the plan knows of a node; false: nothing. */
static bool find_planned(const struct slot_plan *plan, unsigned level, uint64_t index,
                         struct planned_node *found)
{
    struct slice nodes = plan ? slice_make(plan->nodes.data, plan->known) : slice_make(NULL, 0);
    struct planned_node node;
    bool any = false;
    while (take_planned(&nodes, &node)) {
        if (node.level != level || node.index != index)
            continue;
        *found = node;
        any = true;
    }
    return any;
}

/* A root that has no record is nothing but zeros; another node has one. */
static enum status node_load(const struct slots *slots, const struct slot_plan *plan,
                             unsigned level, uint64_t index, bool is_root, struct node *node)
{
    uint8_t key[KEY_BYTES];
    struct slice value;
    struct planned_node planned;
    if (find_planned(plan, level, index, &planned)) {
        if (planned.kind == PLAN_PUT)
            return node_decode(planned.value, level, node);
        memset(node, 0, sizeof *node);
        return is_root ? STATUS_OK : STATUS_CORRUPT;
    }
    key_store(key, slots, level, index);
    enum status status = access_get(slots->access, TREE_PARTS, slice_make(key, sizeof key), &value);
    if (status == STATUS_NOT_FOUND) {
        memset(node, 0, sizeof *node);
        return is_root ? STATUS_OK : STATUS_CORRUPT;
    }
    return status ? status : node_decode(value, level, node);
}

/* ---- Questions. ------------------------------------------------------------------------------ */

enum status slots_look(const struct slots *slots, uint64_t position, struct slot_span *span)
{
    unsigned level = root_level(slots);
    bool is_root = true;
    assert(position >= slots->low);
    assert(position <= slots->high);
    for (;; level--, is_root = false) {
        struct node node;
        uint64_t index = node_index(level, position);
        unsigned child = child_index(level, position);
        enum status status = node_load(slots, NULL, level, index, is_root, &node);
        if (status)
            return status;
        if (level == 0) {
            span->first = child_first(level, index, 0);
            span->last = span->first + (SLOTS_FANOUT - 1);
            span->is_uniform = false;
            memcpy(span->deviations, node.sums, sizeof span->deviations);
            return STATUS_OK;
        }
        if (node.has_below[child])
            continue;
        span->first = child_first(level, index, child);
        span->last = span->first + (uint64_t)(child_width(level) - 1);
        span->is_uniform = true;
        span->deviation = node.sums[child] < 0 ? -1 : 0;
        return STATUS_OK;
    }
}

/* Elements below a child, as far as the zone goes down. STATUS_CORRUPT: fewer than none. */
static enum status child_count(const struct slots *slots, const struct node *node, unsigned level,
                               uint64_t index, unsigned child, uint64_t *count)
{
    uint64_t first = child_first(level, index, child);
    int64_t width = child_width(level);
    if (first < slots->low) {
        uint64_t below = slots->low - first;
        width = below < (uint64_t)width ? width - (int64_t)below : 0;
    }
    if (width + node->sums[child] < 0)
        return STATUS_CORRUPT;
    *count = (uint64_t)(width + node->sums[child]);
    return STATUS_OK;
}

/* Finds the child that has the element number *rank of the node's; *rank is less by those before.
 * *child SLOTS_FANOUT: none has. */
static enum status select_child(const struct slots *slots, const struct node *node, unsigned level,
                                uint64_t index, uint64_t *rank, unsigned *child)
{
    for (*child = 0; *child < SLOTS_FANOUT; ++*child) {
        uint64_t count;
        enum status status = child_count(slots, node, level, index, *child, &count);
        if (status)
            return status;
        if (*rank < count)
            return STATUS_OK;
        *rank -= count;
    }
    return STATUS_OK;
}

static enum status select_root(const struct slots *slots, struct node *node, uint64_t *index,
                               uint64_t *rank, unsigned *child)
{
    unsigned level = root_level(slots);
    uint64_t last = node_index(level, slots->high);
    for (*index = node_index(level, slots->low); *index <= last; ++*index) {
        enum status status = node_load(slots, NULL, level, *index, true, node);
        if (!status)
            status = select_child(slots, node, level, *index, rank, child);
        if (status || *child < SLOTS_FANOUT)
            return status;
    }
    return STATUS_CORRUPT;
}

enum status slots_select(const struct slots *slots, uint64_t rank, uint64_t *position,
                         uint64_t *offset)
{
    struct node node;
    uint64_t index;
    unsigned child = 0, level = root_level(slots);
    enum status status = select_root(slots, &node, &index, &rank, &child);
    while (!status && level > 0 && node.has_below[child]) {
        index = index << LEVEL_BITS | child;
        status = node_load(slots, NULL, --level, index, false, &node);
        if (!status)
            status = select_child(slots, &node, level, index, &rank, &child);
        if (!status && child == SLOTS_FANOUT)
            status = STATUS_CORRUPT;
    }
    if (status)
        return status;
    uint64_t first = child_first(level, index, child);
    /* Below a child without a record each slot has one. */
    *offset = level == 0 ? rank : 0;
    *position = level == 0 ? first : (first < slots->low ? slots->low : first) + rank;
    return *position > slots->high ? STATUS_CORRUPT : STATUS_OK;
}

enum status slots_rank(const struct slots *slots, uint64_t position, uint64_t *rank)
{
    unsigned level = root_level(slots);
    uint64_t sum = 0, low_root = node_index(level, slots->low);
    bool is_root = true;
    assert(position >= slots->low);
    struct node node;
    uint64_t count, last = position - 1;
    *rank = 0;
    if (position == slots->low)
        return STATUS_OK;
    if (node_index(level, last) > low_root) {
        enum status status = node_load(slots, NULL, level, low_root, true, &node);
        for (unsigned i = 0; i < SLOTS_FANOUT && !status; i++) {
            status = child_count(slots, &node, level, low_root, i, &count);
            sum += status ? 0 : count;
        }
        if (status)
            return status;
    }
    for (;; level--, is_root = false) {
        uint64_t index = node_index(level, last);
        unsigned child = child_index(level, last);
        enum status status = node_load(slots, NULL, level, index, is_root, &node);
        for (unsigned i = 0; i < child && !status; i++) {
            status = child_count(slots, &node, level, index, i, &count);
            sum += status ? 0 : count;
        }
        if (status)
            return status;
        if (level > 0 && node.has_below[child])
            continue;
        uint64_t first = child_first(level, index, child);
        uint64_t width = last - (first < slots->low ? slots->low : first) + 1;
        if (level == 0)
            sum += width + (uint64_t)node.sums[child];
        else
            sum += node.sums[child] < 0 ? 0 : width;
        *rank = sum;
        return STATUS_OK;
    }
}

/* ---- Changes. -------------------------------------------------------------------------------- */

static void plan_node(struct slot_plan *plan, uint8_t kind, unsigned level, uint64_t index,
                      struct slice value)
{
    buffer_append_byte(&plan->nodes, kind);
    buffer_append_byte(&plan->nodes, (uint8_t)level);
    buffer_append_varint(&plan->nodes, index);
    buffer_append_sized(&plan->nodes, value);
}

static void plan_put(struct slot_plan *plan, unsigned level, uint64_t index,
                     const struct node *node)
{
    uint8_t value[NODE_BYTES_MAX];
    size_t size = node_encode(node, value);
    plan_node(plan, size > 0 ? PLAN_PUT : PLAN_DELETE, level, index, slice_make(value, size));
}

/* What a change returns at its end; the next one sees its nodes. */
static enum status plan_status(struct slot_plan *plan, enum status status)
{
    if (!status && plan->nodes.failed)
        status = STATUS_NO_MEMORY;
    plan->known = plan->nodes.size;
    return status;
}

static int64_t node_sum(const struct node *node)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < SLOTS_FANOUT; i++)
        sum += node->sums[i];
    return sum;
}

static bool node_is_nothing(const struct node *node)
{
    for (unsigned i = 0; i < SLOTS_FANOUT; i++)
        if (!is_nothing(node, i))
            return false;
    return true;
}

/* A root of a level that is not the root level any more, as a child of nodes above it. */
struct old_root {
    uint64_t index; /* on its level */
    int64_t sum;
};

static enum status load_old_roots(const struct slots *slots, const struct slot_plan *plan,
                                  struct old_root roots[2], unsigned *count)
{
    unsigned level = root_level(slots);
    uint64_t last = node_index(level, slots->high);
    *count = 0;
    for (uint64_t index = node_index(level, slots->low); index <= last; index++) {
        struct node node;
        enum status status = node_load(slots, plan, level, index, true, &node);
        if (status)
            return status;
        if (!node_is_nothing(&node))
            roots[(*count)++] = (struct old_root){index, node_sum(&node)};
    }
    return STATUS_OK;
}

/* The nodes of the next level that lead to the old roots. */
static void plan_above(struct slot_plan *plan, unsigned level, struct old_root roots[2],
                       unsigned *count)
{
    unsigned above = 0;
    for (unsigned i = 0; i < *count;) {
        struct node node;
        uint64_t index = roots[i].index >> LEVEL_BITS;
        memset(&node, 0, sizeof node);
        for (; i < *count && roots[i].index >> LEVEL_BITS == index; i++) {
            unsigned child = roots[i].index % SLOTS_FANOUT;
            node.sums[child] = roots[i].sum;
            node.has_below[child] = roots[i].sum > -child_width(level);
            if (!node.has_below[child])
                plan_node(plan, PLAN_DELETE, level - 1, roots[i].index, slice_make(NULL, 0));
        }
        plan_put(plan, level, index, &node);
        roots[above++] = (struct old_root){index, node_sum(&node)};
    }
    *count = above;
}

/* Widens the zone, with the levels that it needs then. */
static enum status widen(struct slots *slots, uint64_t low, uint64_t high, struct slot_plan *plan)
{
    struct slots wider = *slots;
    plan->nodes.may_fail = true;
    bool is_new = slots->low > slots->high;
    if (is_new || low < wider.low)
        wider.low = low;
    if (is_new || high > wider.high)
        wider.high = high;
    struct old_root roots[2];
    unsigned count = 0, to = root_level(&wider), from = is_new ? to : root_level(slots);
    enum status status = STATUS_OK;
    if (from < to)
        status = load_old_roots(slots, plan, roots, &count);
    if (status)
        return status;
    for (unsigned level = from + 1; level <= to; level++)
        plan_above(plan, level, roots, &count);
    plan->known = plan->nodes.size;
    *slots = wider;
    return STATUS_OK;
}

/* A child's node before a change: its record, or what the sum alone says. */
static enum status load_child(const struct slots *slots, const struct slot_plan *plan,
                              const struct node *node, unsigned level, uint64_t index,
                              unsigned child, struct node *loaded)
{
    if (node->has_below[child])
        return node_load(slots, plan, level - 1, index << LEVEL_BITS | child, false, loaded);
    memset(loaded, 0, sizeof *loaded);
    if (node->sums[child] < 0)
        for (unsigned i = 0; i < SLOTS_FANOUT; i++)
            loaded->sums[i] = -child_width(level - 1);
    return STATUS_OK;
}

/* After a change below: the child's sum, and its node as it will be, if it needs one. */
static void settle_child(struct slot_plan *plan, struct node *node, unsigned level, uint64_t index,
                         unsigned child, const struct node *changed)
{
    int64_t sum = node_sum(changed);
    bool had_below = node->has_below[child];
    node->sums[child] = sum;
    node->has_below[child] = !node_is_nothing(changed) && sum > -child_width(level);
    if (node->has_below[child])
        plan_put(plan, level - 1, index << LEVEL_BITS | child, changed);
    else if (had_below)
        plan_node(plan, PLAN_DELETE, level - 1, index << LEVEL_BITS | child, slice_make(NULL, 0));
}

static enum status change_leaf(struct node *node, const struct slot_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t *deviation = &node->sums[child_index(0, changes[i].position)];
        *deviation += changes[i].delta;
        if (*deviation < -1 || *deviation > DEVIATION_MAX)
            return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

/* The changes all lie below the node. */
static enum status change_node(const struct slots *slots, struct slot_plan *plan, struct node *node,
                               unsigned level, uint64_t index, const struct slot_change *changes,
                               size_t count)
{
    enum status status = STATUS_OK;
    if (level == 0)
        return change_leaf(node, changes, count);
    for (size_t from = 0, to; from < count && !status; from = to) {
        struct node below;
        unsigned child = child_index(level, changes[from].position);
        for (to = from + 1; to < count && child_index(level, changes[to].position) == child; to++)
            ;
        status = load_child(slots, plan, node, level, index, child, &below);
        if (!status)
            status = change_node(slots, plan, &below, level - 1, index << LEVEL_BITS | child,
                                 changes + from, to - from);
        if (!status)
            settle_child(plan, node, level, index, child, &below);
    }
    return status;
}

enum status slots_plan_changes(struct slots *slots, const struct slot_change *changes, size_t count,
                               struct slot_plan *plan)
{
    assert(count > 0);
    enum status status = widen(slots, changes[0].position, changes[count - 1].position, plan);
    if (status)
        return status;
    unsigned level = root_level(slots);
    for (size_t from = 0, to; from < count && !status; from = to) {
        struct node root;
        uint64_t index = node_index(level, changes[from].position);
        for (to = from + 1; to < count && node_index(level, changes[to].position) == index; to++)
            ;
        status = node_load(slots, plan, level, index, true, &root);
        if (!status)
            status = change_node(slots, plan, &root, level, index, changes + from, to - from);
        if (!status)
            plan_put(plan, level, index, &root);
    }
    return plan_status(plan, status);
}

/* Clears what lies of [from, to] below the node. */
static enum status clear_node(const struct slots *slots, struct slot_plan *plan, struct node *node,
                              unsigned level, uint64_t index, uint64_t from, uint64_t to)
{
    for (unsigned child = 0; child < SLOTS_FANOUT; child++) {
        uint64_t first = child_first(level, index, child);
        uint64_t last = first + (uint64_t)(child_width(level) - 1);
        if (last < from || first > to)
            continue;
        if (first >= from && last <= to) {
            node->sums[child] = -child_width(level);
            node->has_below[child] = false;
            continue;
        }
        struct node below;
        enum status status = load_child(slots, plan, node, level, index, child, &below);
        if (!status)
            status =
                clear_node(slots, plan, &below, level - 1, index << LEVEL_BITS | child, from, to);
        if (status)
            return status;
        settle_child(plan, node, level, index, child, &below);
    }
    return STATUS_OK;
}

/* Nodes below the root level that lie in [from, to] as a whole: nothing leads to them any more. */
static void plan_ranges(const struct slots *slots, uint64_t from, uint64_t to,
                        struct slot_plan *plan)
{
    for (unsigned level = 0; level < root_level(slots); level++) {
        uint64_t width = (uint64_t)child_width(level + 1);
        uint64_t first = node_index(level, from + (width - 1)), end = node_index(level, to + 1);
        if (first >= end)
            continue;
        buffer_append_byte(&plan->ranges, (uint8_t)level);
        buffer_append_be64(&plan->ranges, first);
        buffer_append_be64(&plan->ranges, end);
    }
}

enum status slots_plan_clear(struct slots *slots, uint64_t from, uint64_t to,
                             struct slot_plan *plan)
{
    assert(from <= to);
    enum status status = widen(slots, from, to, plan);
    if (status)
        return status;
    unsigned level = root_level(slots);
    uint64_t last = node_index(level, to);
    for (uint64_t index = node_index(level, from); index <= last && !status; index++) {
        struct node root;
        status = node_load(slots, plan, level, index, true, &root);
        if (!status)
            status = clear_node(slots, plan, &root, level, index, from, to);
        if (!status)
            plan_put(plan, level, index, &root);
    }
    plan_ranges(slots, from, to, plan);
    return plan_status(plan, status);
}

size_t slot_plan_bytes(const struct slot_plan *plan)
{
    struct slice nodes = buffer_slice(&plan->nodes);
    struct planned_node node;
    size_t bytes = 4 * plan->ranges.size;
    while (take_planned(&nodes, &node))
        bytes += LSM_RECORD_BYTES + node.value.size;
    return bytes;
}

void slots_apply(const struct slots *slots, const struct slot_plan *plan)
{
    struct slice nodes = buffer_slice(&plan->nodes), ranges = buffer_slice(&plan->ranges);
    struct planned_node node;
    uint8_t key[KEY_BYTES], end[KEY_BYTES], level;
    uint64_t from, to;
    while (take_planned(&nodes, &node)) {
        key_store(key, slots, node.level, node.index);
        if (node.kind == PLAN_PUT)
            access_put(slots->access, TREE_PARTS, slice_make(key, sizeof key), node.value);
        else
            access_delete(slots->access, TREE_PARTS, slice_make(key, sizeof key));
    }
    while (slice_take_byte(&ranges, &level) && slice_take_be64(&ranges, &from) &&
           slice_take_be64(&ranges, &to)) {
        key_store(key, slots, level, from);
        key_store(end, slots, level, to);
        access_delete_range(slots->access, TREE_PARTS, slice_make(key, sizeof key),
                            slice_make(end, sizeof end));
    }
}

void slot_plan_release(struct slot_plan *plan)
{
    buffer_release(&plan->nodes);
    buffer_release(&plan->ranges);
}

/* ---- Checks. --------------------------------------------------------------------------------- */

/* Nothing is said of positions outside of the zone; sums are those of the nodes below. */
static enum status verify_below(const struct slots *slots, const struct node *node, unsigned level,
                                uint64_t index, uint64_t *nodes)
{
    enum status status = STATUS_OK;
    for (unsigned child = 0; child < SLOTS_FANOUT && !status; child++) {
        struct node below;
        uint64_t index_below = index << LEVEL_BITS | child;
        uint64_t first = child_first(level, index, child);
        uint64_t last = first + (uint64_t)(child_width(level) - 1);
        if (!node->has_below[child]) {
            bool is_outside = first < slots->low || last > slots->high;
            status = is_outside && node->sums[child] != 0 ? STATUS_CORRUPT : STATUS_OK;
            continue;
        }
        ++*nodes;
        status = node_load(slots, NULL, level - 1, index_below, false, &below);
        if (!status && node_sum(&below) != node->sums[child])
            status = STATUS_CORRUPT;
        if (!status)
            status = verify_below(slots, &below, level - 1, index_below, nodes);
    }
    return status;
}

enum status slots_verify(const struct slots *slots, uint64_t *nodes)
{
    unsigned level = root_level(slots);
    uint64_t last = node_index(level, slots->high);
    enum status status = STATUS_OK;
    *nodes = 0;
    for (uint64_t index = node_index(level, slots->low); index <= last && !status; index++) {
        struct node root;
        status = node_load(slots, NULL, level, index, true, &root);
        *nodes += !status && !node_is_nothing(&root);
        if (!status)
            status = verify_below(slots, &root, level, index, nodes);
    }
    return status;
}

enum status slots_check_record(struct slice key, struct slice value)
{
    struct node node;
    if (key.size != KEY_BYTES || key.data[OBJECT_PREFIX_BYTES] != TAG_SLOTS ||
        key.data[OBJECT_PREFIX_BYTES + 1] >= LEVELS_MAX)
        return STATUS_CORRUPT;
    return node_decode(value, key.data[OBJECT_PREFIX_BYTES + 1], &node);
}
