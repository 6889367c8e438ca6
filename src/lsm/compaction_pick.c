/* SPDX-License-Identifier: MIT */
#include "lsm/compaction_picker.h"

#include "base/memory.h"

enum {
    LEVEL_1_TABLES = 4,
    LEVEL_FACTOR = 10,
    SEEKS_MIN = 1000,  /* fewer pay for nothing */
    SEEK_BYTES = 4096, /* what is merged for one: between what it costs in memory and from a disk */
    SEEK_L0_TABLES = 2,    /* merged for seeks */
    SEEK_BELOW_FACTOR = 4, /* what joins below has so many times the bytes above at most */
    /* More than so many times the bytes of level 0 are not written again for its sake. */
    L0_BELOW_FACTOR = 8,
};

void compaction_memory_release(struct compaction_memory *memory)
{
    for (unsigned tree = 0; tree < LSM_TREES_MAX; tree++) {
        for (unsigned level = 0; level < LSM_LEVELS_MAX; level++)
            buffer_release(&memory->next_key[tree][level]);
    }
}

/* ---- Picks --------------------------------------------------------------------------------- */

struct compaction_pick *pick_new(unsigned tree, unsigned output_level)
{
    struct compaction_pick *pick = memory_zeroed(1, sizeof(struct compaction_pick));
    pick->tree = tree;
    pick->output_level = output_level;
    return pick;
}

void pick_add(struct compaction_pick *pick, unsigned level, struct table_ref *table)
{
    size_t size = (pick->input_count + 1) * sizeof(struct compaction_input);
    pick->inputs = memory_resize(pick->inputs, size);
    pick->inputs[pick->input_count++] = (struct compaction_input){level, table};
}

void pick_add_level(struct compaction_pick *pick, unsigned depth, const struct version_level *level)
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

/* ---- Leveled ------------------------------------------------------------------------------- */

/* In percent of what makes a compaction due. The last level has nowhere to go. */
static uint64_t leveled_score(const struct version_tree *tree, unsigned depth,
                              const struct lsm_options *options)
{
    if (depth == 0)
        return tree->levels[0].count * 100 / L0_TABLES_MERGED;
    if (depth + 1 == LSM_LEVELS_MAX)
        return 0;
    uint64_t target = LEVEL_1_TABLES * options->table_bytes_max;
    for (unsigned i = 1; i < depth; i++)
        target *= LEVEL_FACTOR;
    return level_bytes(&tree->levels[depth]) * 100 / (target + 1);
}

void pick_add_overlaps(struct compaction_pick *pick, const struct version_level *output)
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

static bool overlaps_another(const struct version_level *level, const struct table_ref *table)
{
    for (size_t i = 0; i < level->count; i++) {
        if (level->tables[i] != table && overlap(level->tables[i], table))
            return true;
    }
    return false;
}

/* Tables of level 0 that a merge would only copy: bulk loads, and keys that grow with time. Small ones
 * are merged nevertheless, so that there are few. NULL: none. */
static struct compaction_pick *pick_moves(const struct version_tree *tables, unsigned tree,
                                          const struct lsm_options *options)
{
    struct compaction_pick *pick = NULL;
    const struct version_level *flushed = &tables->levels[0];
    for (size_t i = 0; i < flushed->count; i++) {
        struct table_ref *table = flushed->tables[i];
        if (has_deletions(table) || !is_large(table, options) || overlaps_another(flushed, table) ||
            overlaps_another(&tables->levels[1], table))
            continue;
        if (!pick)
            pick = pick_new(tree, 1);
        pick->kind = COMPACTION_MOVE;
        pick_add(pick, 0, table);
    }
    return pick;
}

static void sum_inputs(const struct compaction_pick *pick, unsigned depth, uint64_t *above,
                       uint64_t *below)
{
    *above = *below = 0;
    for (size_t i = 0; i < pick->input_count; i++)
        *(pick->inputs[i].level == depth ? above : below) +=
            pick->inputs[i].table->properties.file_bytes;
}

struct compaction_pick *leveled_pick(const struct version_tree *tables,
                                     const struct compaction_request *request, unsigned tree,
                                     unsigned depth)
{
    const struct version_level *level = &tables->levels[depth];
    struct compaction_pick *pick = depth == 0 ? pick_moves(tables, tree, request->options) : NULL;
    if (pick)
        return pick;
    pick = pick_new(tree, depth + 1);
    if (depth == 0)
        pick_add_level(pick, depth, level);
    else
        pick_add(pick, depth, next_in_turn(level, &request->memory->next_key[tree][depth]));
    pick_add_overlaps(pick, &tables->levels[depth + 1]);
    if (pick->input_count == 1 && !has_deletions(pick->inputs[0].table))
        pick->kind = COMPACTION_MOVE;
    return pick;
}

static struct compaction_pick *pick_all_levels(const struct version_tree *tables, unsigned tree,
                                               unsigned output_level)
{
    struct compaction_pick *pick = pick_new(tree, output_level);
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++)
        pick_add_level(pick, depth, &tables->levels[depth]);
    return pick;
}

/* Everything into the deepest level, unless it is there already. */
static struct compaction_pick *pick_all_leveled(const struct version_tree *tables, unsigned tree)
{
    unsigned deepest = 0;
    size_t above = tables->levels[0].count;
    for (unsigned depth = 1; depth < LSM_LEVELS_MAX; depth++) {
        if (tables->levels[depth].count == 0)
            continue;
        above += tables->levels[deepest].count;
        deepest = depth;
    }
    return above ? pick_all_levels(tables, tree, deepest ? deepest : 1) : NULL;
}

/* Whether seeks have cost about as much as this merge will. */
static bool is_paid(const struct compaction_pick *pick, unsigned depth, uint64_t extra_seeks)
{
    uint64_t above, below;
    sum_inputs(pick, depth, &above, &below);
    return above + below <= extra_seeks * SEEK_BYTES && below <= SEEK_BELOW_FACTOR * above;
}

static struct compaction_pick *pick_for_seeks(const struct version_tree *tables,
                                              const struct compaction_request *request,
                                              unsigned tree)
{
    uint64_t extra_seeks = request->extra_seeks[tree];
    unsigned last = 0;
    for (unsigned depth = 1; depth < LSM_LEVELS_MAX; depth++)
        last = tables->levels[depth].count ? depth : last;
    for (unsigned depth = 0; depth <= last && extra_seeks >= SEEKS_MIN; depth++) {
        size_t count = tables->levels[depth].count;
        if (depth == 0 ? count < SEEK_L0_TABLES : count == 0 || depth == last)
            continue;
        struct compaction_pick *pick = leveled_pick(tables, request, tree, depth);
        if (is_paid(pick, depth, extra_seeks))
            return pick;
        compaction_pick_destroy(pick);
    }
    return NULL;
}

/* Little over much, as the few headers that change beside many that do not: the tables of level 0 are merged with
 * each other first, until it is worth to write what lies below again. */
static struct compaction_pick *leveled_pick_due(const struct version_tree *tables,
                                                const struct compaction_request *request,
                                                unsigned tree, unsigned depth)
{
    struct compaction_pick *pick = leveled_pick(tables, request, tree, depth);
    uint64_t above, below;
    sum_inputs(pick, depth, &above, &below);
    if (depth == 0 && pick->kind == COMPACTION_MERGE && below > L0_BELOW_FACTOR * above) {
        pick->input_count = tables->levels[0].count;
        pick->output_level = 0;
    }
    return pick;
}

/* ---- All trees ----------------------------------------------------------------------------- */

static bool is_leveled(const struct compaction_request *request, unsigned tree)
{
    return request->options->trees[tree].compaction == LSM_LEVELED;
}

static struct compaction_pick *pick_all(const struct version *version,
                                        const struct compaction_request *request)
{
    struct compaction_pick *pick = NULL;
    for (unsigned tree = 0; tree < version->tree_count && !pick; tree++)
        pick = is_leveled(request, tree) ? pick_all_leveled(&version->trees[tree], tree)
                                         : runs_pick_all(&version->trees[tree], tree);
    return pick;
}

static uint64_t score_of(const struct version_tree *tables, unsigned depth, bool leveled,
                         const struct lsm_options *options)
{
    if (leveled)
        return leveled_score(tables, depth, options);
    return runs_score(tables, depth, options);
}

static struct compaction_pick *pick_most_urgent(const struct version *version,
                                                const struct compaction_request *request)
{
    uint64_t best_score = 99;
    unsigned best_tree = 0, best_depth = 0;
    for (unsigned tree = 0; tree < version->tree_count; tree++) {
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
            uint64_t score =
                score_of(&version->trees[tree], depth, is_leveled(request, tree), request->options);
            if (score <= best_score)
                continue;
            best_score = score;
            best_tree = tree;
            best_depth = depth;
        }
    }
    if (best_score == 99)
        return NULL;
    const struct version_tree *tables = &version->trees[best_tree];
    return is_leveled(request, best_tree)
               ? leveled_pick_due(tables, request, best_tree, best_depth)
               : runs_pick(tables, request->options, best_tree, best_depth);
}

struct compaction_pick *compaction_pick_create(const struct version *version,
                                               const struct compaction_request *request)
{
    struct compaction_pick *pick = NULL;
    request->memory->is_asking = false;
    for (unsigned tree = 0; tree < version->tree_count && !pick; tree++)
        pick = reclaim_pick_covered(&version->trees[tree], request, tree);
    if (!pick && request->everything)
        pick = pick_all(version, request);
    if (!pick)
        pick = pick_most_urgent(version, request);
    for (unsigned tree = 0; tree < version->tree_count && !pick; tree++)
        pick = reclaim_pick_old(&version->trees[tree], request, tree);
    for (unsigned tree = 0; tree < version->tree_count && !pick; tree++)
        pick =
            is_leveled(request, tree) ? pick_for_seeks(&version->trees[tree], request, tree) : NULL;
    for (unsigned tree = 0; tree < version->tree_count && !pick && request->quiet; tree++)
        pick = is_leveled(request, tree)
                   ? reclaim_pick_leveled(&version->trees[tree], request, tree)
                   : runs_pick_quiet(&version->trees[tree], request->options, tree);
    return pick;
}

unsigned compaction_debt_percent(const struct version *version, const struct lsm_options *options)
{
    uint64_t worst = 0;
    for (unsigned tree = 0; tree < version->tree_count; tree++) {
        bool leveled = options->trees[tree].compaction == LSM_LEVELED;
        uint64_t percent =
            version->trees[tree].levels[0].count * 100 / (leveled ? L0_TABLES_MAX : L0_RUNS_MAX);
        if (percent > worst)
            worst = percent;
    }
    return (unsigned)worst;
}
