/* SPDX-License-Identifier: MIT */
/* Picks for trees of time runs. Versions are told apart by their LSN, whatever level they are in, so
 * any tables may be merged with each other. */
#include "lsm/compaction_picker.h"

#include "base/memory.h"
#include "lsm/version_set.h"

#include <stdlib.h>

enum {
    RUNS_MERGED_LEVEL = 2, /* where everything goes on request */
    /* Tables that follow each other are moved from this share of table_bytes_max on: less than a memtable's worth of
     * log lines, which is a fortieth of its size. */
    FOLLOWING_SHARE = 128,
    /* Small ones in a row, without overlap, are merged when little is written, or when so many have come. */
    ROW_MAX = 64,
};

static int compare_smallest(const void *a, const void *b)
{
    const struct compaction_input *left = a, *right = b;
    return slice_compare(smallest_of(left->table), smallest_of(right->table));
}

/* Whether merging gains nothing: the tables are large, and their keys follow each other. */
static bool follow_each_other(const struct compaction_pick *pick, const struct lsm_options *options)
{
    struct compaction_input *sorted =
        memory_copy(pick->inputs, pick->input_count * sizeof(pick->inputs[0]));
    qsort(sorted, pick->input_count, sizeof(sorted[0]), compare_smallest);
    bool follow = true;
    for (size_t i = 0; i < pick->input_count && follow; i++) {
        const struct table_properties *properties = &sorted[i].table->properties;
        follow = properties->file_bytes >= options->table_bytes_max / FOLLOWING_SHARE;
        if (i > 0 && slice_compare(largest_of(sorted[i - 1].table),
                                   buffer_slice(&properties->smallest)) >= 0)
            follow = false;
    }
    memory_free(sorted);
    return follow;
}

/* Moved tables would stay as they were flushed, so there is something to gain where cold ones are
 * compressed in another way. */
static struct compaction_pick *pick_flushed(const struct version_tree *tables,
                                            const struct lsm_options *options, unsigned tree)
{
    const struct version_level *flushed = &tables->levels[0];
    struct compaction_pick *pick = pick_new(tree, 1);
    for (size_t i = flushed->count - RUNS_MERGED; i < flushed->count; i++)
        pick_add(pick, 0, flushed->tables[i]); /* newest first: the oldest are at the end */
    if (options->trees[tree].cold_compression == LSM_LZ4 && follow_each_other(pick, options))
        pick->kind = COMPACTION_MOVE;
    return pick;
}

static int compare_tables(const void *a, const void *b)
{
    return slice_compare(smallest_of(*(struct table_ref *const *)a),
                         smallest_of(*(struct table_ref *const *)b));
}

/* The small tables of a merged level that overlap another small one, in the order of their keys. The
 * caller frees *found. */
static size_t find_small(const struct version_level *level, const struct lsm_options *options,
                         struct table_ref ***found)
{
    struct table_ref **small = memory_allocate((level->count + 1) * sizeof(small[0]));
    size_t count = 0, reaching = 0, kept = 0;
    for (size_t i = 0; i < level->count; i++) {
        if (!is_large(level->tables[i], options))
            small[count++] = level->tables[i];
    }
    qsort(small, count, sizeof(small[0]), compare_tables);
    bool *overlaps = memory_zeroed(count + 1, sizeof(overlaps[0]));
    for (size_t i = 1; i < count; i++) {
        if (overlap(small[i], small[reaching]))
            overlaps[i] = overlaps[reaching] = true;
        if (slice_compare(largest_of(small[i]), largest_of(small[reaching])) > 0)
            reaching = i; /* the table that reaches farthest */
    }
    for (size_t i = 0; i < count; i++) {
        if (overlaps[i])
            small[kept++] = small[i];
    }
    memory_free(overlaps);
    *found = small;
    return kept;
}

/* The oldest of them. */
static struct compaction_pick *pick_small(const struct version_tree *tables,
                                          const struct lsm_options *options, unsigned tree,
                                          unsigned depth)
{
    struct table_ref **small;
    struct compaction_pick *pick = NULL;
    size_t count = find_small(&tables->levels[depth], options, &small);
    if (count >= RUNS_MERGED) {
        pick = pick_new(tree, depth + 1);
        qsort(small, count, sizeof(small[0]), version_compare_newest_first);
        for (size_t i = count - RUNS_MERGED; i < count; i++)
            pick_add(pick, depth, small[i]);
    }
    memory_free(small);
    return pick;
}

/* The first row of at least RUNS_MERGED small tables of the level, in the order of their keys: none overlaps the
 * next one, and nothing begins between them. 0: there is none. The caller frees *found. */
static size_t find_row(const struct version_level *level, const struct lsm_options *options,
                       struct table_ref ***found)
{
    *found = NULL;
    if (level->count < RUNS_MERGED)
        return 0;
    struct table_ref **sorted = memory_copy(level->tables, level->count * sizeof(sorted[0]));
    size_t first = 0, count = 0;
    qsort(sorted, level->count, sizeof(sorted[0]), compare_tables);
    for (size_t i = 0; i < level->count; i++) {
        bool is_small = !is_large(sorted[i], options);
        bool joins = is_small && count > 0 &&
                     slice_compare(largest_of(sorted[i - 1]), smallest_of(sorted[i])) < 0;
        if (!joins && count >= RUNS_MERGED)
            break;
        if (!joins) {
            first = i;
            count = 0;
        }
        count += is_small;
    }
    memmove(sorted, sorted + first, count * sizeof(sorted[0]));
    *found = sorted;
    return count >= RUNS_MERGED ? count : 0;
}

static struct compaction_pick *pick_row(const struct version_tree *tables,
                                        const struct lsm_options *options, unsigned tree,
                                        unsigned depth)
{
    struct table_ref **row;
    struct compaction_pick *pick = NULL;
    if (find_row(&tables->levels[depth], options, &row)) {
        pick = pick_new(tree, depth + 1);
        for (size_t i = 0; i < RUNS_MERGED; i++)
            pick_add(pick, depth, row[i]);
    }
    memory_free(row);
    return pick;
}

uint64_t runs_score(const struct version_tree *tables, unsigned depth,
                    const struct lsm_options *options)
{
    const struct version_level *level = &tables->levels[depth];
    if (depth == 0 || level->count < RUNS_MERGED)
        return depth == 0 ? level->count * 100 / RUNS_MERGED : 0;
    if (depth + 1 == LSM_LEVELS_MAX)
        return 0;
    struct table_ref **small, **row;
    uint64_t small_score = find_small(level, options, &small) * 100 / RUNS_MERGED;
    uint64_t row_score = find_row(level, options, &row) * 100 / ROW_MAX;
    memory_free(small);
    memory_free(row);
    return small_score > row_score ? small_score : row_score;
}

struct compaction_pick *runs_pick(const struct version_tree *tables,
                                  const struct lsm_options *options, unsigned tree, unsigned depth)
{
    if (depth == 0)
        return pick_flushed(tables, options, tree);
    struct compaction_pick *pick = pick_small(tables, options, tree, depth);
    return pick ? pick : pick_row(tables, options, tree, depth);
}

struct compaction_pick *runs_pick_quiet(const struct version_tree *tables,
                                        const struct lsm_options *options, unsigned tree)
{
    struct compaction_pick *pick = NULL;
    for (unsigned depth = 1; depth + 1 < LSM_LEVELS_MAX && !pick; depth++)
        pick = pick_row(tables, options, tree, depth);
    return pick;
}

struct compaction_pick *runs_pick_all(const struct version_tree *tables, unsigned tree)
{
    size_t elsewhere = 0;
    struct compaction_pick *pick = pick_new(tree, RUNS_MERGED_LEVEL);
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        elsewhere += depth == RUNS_MERGED_LEVEL ? 0 : tables->levels[depth].count;
        pick_add_level(pick, depth, &tables->levels[depth]);
    }
    if (elsewhere)
        return pick;
    compaction_pick_destroy(pick);
    return NULL;
}
