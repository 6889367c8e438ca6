/* SPDX-License-Identifier: MIT */
#include "lsm/compaction_pick.h"

#include "base/memory.h"

#include <assert.h>

enum { LEVEL_1_TABLES = 4, LEVEL_FACTOR = 10, RUNS_MERGED_LEVEL = 2 };

static struct slice smallest_of(const struct table_ref *table)
{
    return buffer_slice(&table->properties.smallest);
}

static struct slice largest_of(const struct table_ref *table)
{
    return buffer_slice(&table->properties.largest);
}

void compaction_memory_release(struct compaction_memory *memory)
{
    for (unsigned tree = 0; tree < LSM_TREES_MAX; tree++) {
        for (unsigned level = 0; level < LSM_LEVELS_MAX; level++)
            buffer_release(&memory->next_key[tree][level]);
    }
}

/* ---- Picks --------------------------------------------------------------------------------- */

static struct compaction_pick *pick_new(unsigned tree, unsigned output_level)
{
    struct compaction_pick *pick = memory_zeroed(1, sizeof(struct compaction_pick));
    pick->tree = tree;
    pick->output_level = output_level;
    return pick;
}

static void pick_add(struct compaction_pick *pick, unsigned level, struct table_ref *table)
{
    size_t size = (pick->input_count + 1) * sizeof(struct compaction_input);
    pick->inputs = memory_resize(pick->inputs, size);
    pick->inputs[pick->input_count++] = (struct compaction_input){level, table};
}

static void pick_add_level(struct compaction_pick *pick, unsigned depth,
                           const struct version_level *level)
{
    for (size_t i = 0; i < level->count; i++)
        pick_add(pick, depth, level->tables[i]);
}

void compaction_pick_destroy(struct compaction_pick *pick)
{
    if (!pick)
        return;
    memory_free(pick->inputs);
    memory_free(pick);
}

void compaction_pick_describe(const struct compaction_pick *pick, struct buffer *text)
{
    static const char *const kinds[] = {"merge", "move", "drop"};
    buffer_printf(text, "tree %u: %s", pick->tree, kinds[pick->kind]);
    for (size_t i = 0; i < pick->input_count; i++)
        buffer_printf(text, " L%u:%llu", pick->inputs[i].level,
                      (unsigned long long)pick->inputs[i].table->number);
    if (pick->kind != COMPACTION_DROP)
        buffer_printf(text, " -> L%u", pick->output_level);
}

/* ---- Tables that lie under a range deletion ------------------------------------------------ */

static bool range_covers(const struct range_delete *range, const struct table_ref *table)
{
    int order = slice_compare(largest_of(table), range->to);
    return slice_compare(range->from, smallest_of(table)) <= 0 &&
           (order < 0 || (order == 0 && table->properties.largest_is_exclusive));
}

static bool is_covered(const struct table_ref *table, const struct compaction_request *request,
                       unsigned tree)
{
    for (size_t i = 0; i < request->range_counts[tree]; i++) {
        const struct range_delete *range = &request->ranges[tree][i];
        if (range->lsn > table->properties.lsn_max && range->lsn <= request->oldest_read &&
            range->lsn < request->durable && range_covers(range, table))
            return true;
    }
    return false;
}

static struct compaction_pick *pick_covered(const struct version *version,
                                            const struct compaction_request *request, unsigned tree)
{
    struct compaction_pick *pick = NULL;
    if (request->range_counts[tree] == 0)
        return NULL;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        const struct version_level *level = &version->trees[tree].levels[depth];
        for (size_t i = 0; i < level->count; i++) {
            if (!is_covered(level->tables[i], request, tree))
                continue;
            if (!pick)
                pick = pick_new(tree, 0);
            pick->kind = COMPACTION_DROP;
            pick_add(pick, depth, level->tables[i]);
        }
    }
    return pick;
}

/* ---- Leveled ------------------------------------------------------------------------------- */

static uint64_t level_bytes(const struct version_level *level)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < level->count; i++)
        bytes += level->tables[i]->properties.file_bytes;
    return bytes;
}

/* In percent of what makes a compaction due. */
static uint64_t level_score(const struct version_tree *tree, unsigned depth,
                            const struct lsm_options *options)
{
    if (depth == 0)
        return tree->levels[0].count * 100 / L0_TABLES_MERGED;
    uint64_t target = LEVEL_1_TABLES * options->table_bytes_max;
    for (unsigned i = 1; i < depth; i++)
        target *= LEVEL_FACTOR;
    return level_bytes(&tree->levels[depth]) * 100 / (target + 1);
}

/* Adds the tables of the output level that overlap the inputs' hull. */
static void add_overlaps(struct compaction_pick *pick, const struct version_level *output)
{
    struct slice low = smallest_of(pick->inputs[0].table), high = largest_of(pick->inputs[0].table);
    for (size_t i = 1; i < pick->input_count; i++) {
        const struct table_ref *table = pick->inputs[i].table;
        if (slice_compare(smallest_of(table), low) < 0)
            low = smallest_of(table);
        if (slice_compare(largest_of(table), high) > 0)
            high = largest_of(table);
    }
    for (size_t i = 0; i < output->count; i++) {
        struct table_ref *table = output->tables[i];
        if (slice_compare(largest_of(table), low) >= 0 &&
            slice_compare(smallest_of(table), high) <= 0)
            pick_add(pick, pick->output_level, table);
    }
}

static struct table_ref *next_in_turn(const struct version_level *level, struct buffer *next_key)
{
    size_t index = 0;
    while (index < level->count &&
           slice_compare(smallest_of(level->tables[index]), buffer_slice(next_key)) < 0)
        index++;
    if (index == level->count)
        index = 0;
    buffer_clear(next_key);
    if (index + 1 < level->count)
        buffer_append_slice(next_key, smallest_of(level->tables[index + 1]));
    return level->tables[index];
}

static struct compaction_pick *pick_level(const struct version_tree *tables,
                                          const struct compaction_request *request, unsigned tree,
                                          unsigned depth)
{
    const struct version_level *level = &tables->levels[depth];
    struct compaction_pick *pick = pick_new(tree, depth + 1);
    if (depth == 0 || request->everything)
        pick_add_level(pick, depth, level);
    else
        pick_add(pick, depth, next_in_turn(level, &request->memory->next_key[tree][depth]));
    add_overlaps(pick, &tables->levels[depth + 1]);
    if (pick->input_count == 1 && !request->everything)
        pick->kind = COMPACTION_MOVE;
    return pick;
}

static struct compaction_pick *pick_leveled(const struct version *version,
                                            const struct compaction_request *request, unsigned tree)
{
    const struct version_tree *tables = &version->trees[tree];
    uint64_t best_score = 99;
    unsigned best = LSM_LEVELS_MAX, deepest = 0;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        if (tables->levels[depth].count)
            deepest = depth;
    }
    for (unsigned depth = 0; depth + 1 < LSM_LEVELS_MAX; depth++) {
        uint64_t score = level_score(tables, depth, request->options);
        if (score > best_score) {
            best_score = score;
            best = depth;
        }
        /* On request from the top down, until one level is left; level 0 always goes. */
        if (request->everything && tables->levels[depth].count && (depth < deepest || depth == 0))
            return pick_level(tables, request, tree, depth);
    }
    return best < LSM_LEVELS_MAX ? pick_level(tables, request, tree, best) : NULL;
}

/* ---- Time runs ----------------------------------------------------------------------------- */

static struct compaction_pick *pick_time_runs(const struct version *version,
                                              const struct compaction_request *request,
                                              unsigned tree)
{
    const struct version_tree *tables = &version->trees[tree];
    if (request->everything) {
        if (tables->levels[0].count + tables->levels[1].count == 0)
            return NULL;
        struct compaction_pick *pick = pick_new(tree, RUNS_MERGED_LEVEL);
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++)
            pick_add_level(pick, depth, &tables->levels[depth]);
        return pick;
    }
    const struct version_level *flushed = &tables->levels[0];
    if (flushed->count < L0_RUNS_MERGED)
        return NULL;
    struct compaction_pick *pick = pick_new(tree, 1);
    for (size_t i = flushed->count - L0_RUNS_MERGED; i < flushed->count; i++)
        pick_add(pick, 0, flushed->tables[i]); /* newest first: the oldest are at the end */
    return pick;
}

/* ---- All trees ----------------------------------------------------------------------------- */

struct compaction_pick *compaction_pick_create(const struct version *version,
                                               const struct compaction_request *request)
{
    for (unsigned tree = 0; tree < version->tree_count; tree++) {
        struct compaction_pick *pick = pick_covered(version, request, tree);
        if (pick)
            return pick;
    }
    for (unsigned tree = 0; tree < version->tree_count; tree++) {
        bool leveled = request->options->trees[tree].compaction == LSM_LEVELED;
        struct compaction_pick *pick = leveled ? pick_leveled(version, request, tree)
                                               : pick_time_runs(version, request, tree);
        if (pick)
            return pick;
    }
    return NULL;
}

unsigned compaction_debt_percent(const struct version *version, const struct lsm_options *options)
{
    uint64_t worst = 0;
    for (unsigned tree = 0; tree < version->tree_count; tree++) {
        bool leveled = options->trees[tree].compaction == LSM_LEVELED;
        uint64_t percent = version->trees[tree].levels[0].count * 100 /
                           (leveled ? L0_TABLES_MAX : L0_RUNS_MAX);
        if (percent > worst)
            worst = percent;
    }
    return (unsigned)worst;
}
