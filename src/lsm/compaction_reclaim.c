/* SPDX-License-Identifier: MIT */
/* Picks that give room on the disk back: tables under range deletions, deletions that have not sunk to
 * what they delete, levels that are out of proportion to the last one. */
#include "lsm/compaction_picker.h"

#include <stdlib.h>

enum {
    TABLES_ASKED = 4,
    DEAD_PERCENT = 50,
    DEAD_PERCENT_QUIET = 33,
    /* A level of leveled trees may hold this much, in percent of the last, of what may be old. */
    ABOVE_LAST_PERCENT = 33,
    /* A deletion and what it deletes are two entries of garbage; a third of all is too much. */
    ENTRIES_A_DELETION = 6,
    OLD_PERCENT = 20,
    ROOM_SHARE = 64, /* less than this share of table_bytes_max is not worth the work */
};

/* ---- Tables that lie under range deletions -------------------------------------------------- */

/* A number that differs, all but surely, for different sets of tables. */
static uint64_t fingerprint(const struct version_tree *tables)
{
    uint64_t sum = 1;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        for (size_t i = 0; i < tables->levels[depth].count; i++) {
            uint64_t number = tables->levels[depth].tables[i]->number + 1;
            sum += (number * 0x9e3779b97f4a7c15u) ^ (number << 32);
        }
    }
    return sum;
}

/* A table of nothing but range deletions that everybody sees, with nothing left for them to
 * hide. */
static bool is_spent(const struct version_tree *tables, const struct table_ref *table,
                     lsn_t spent_max)
{
    if (table->properties.entry_count > 0 || table->properties.lsn_max > spent_max)
        return false;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        for (size_t i = 0; i < tables->levels[depth].count; i++) {
            const struct table_ref *other = tables->levels[depth].tables[i];
            if (other->properties.entry_count > 0 &&
                other->properties.lsn_min < table->properties.lsn_max && overlap(table, other))
                return false;
        }
    }
    return true;
}

static struct compaction_pick *find_covered(const struct version_tree *tables, unsigned tree,
                                            const struct range_map *map, lsn_t spent_max)
{
    struct compaction_pick *pick = NULL;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        const struct version_level *level = &tables->levels[depth];
        for (size_t i = 0; i < level->count; i++) {
            if (!range_map_covers(map, &level->tables[i]->properties) &&
                !is_spent(tables, level->tables[i], spent_max))
                continue;
            if (!pick)
                pick = pick_new(tree, 0);
            pick->kind = COMPACTION_DROP;
            pick_add(pick, depth, level->tables[i]);
        }
    }
    return pick;
}

static unsigned dead_percent(const struct compaction_request *request, struct table_ref *table,
                             const struct range_map *map)
{
    const struct range_delete *last = &map->pieces[map->count - 1];
    if (slice_compare(largest_of(table), map->pieces[0].from) < 0 ||
        slice_compare(smallest_of(table), last->to) >= 0)
        return 0;
    return request->dead_percent(request->context, table, map);
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = ((const struct compaction_input *)a)->table->number;
    uint64_t right = ((const struct compaction_input *)b)->table->number;
    return (left > right) - (left < right);
}

/* The tables that may be asked for their dead part, oldest first. Not those of level 0, which are merged
 * soon: flushed runs only when there is nothing else to do. */
static struct compaction_pick *list_asked(const struct version_tree *tables, unsigned tree,
                                          const struct compaction_request *request)
{
    bool is_runs = request->options->trees[tree].compaction == LSM_TIME_RUNS;
    struct compaction_pick *list = pick_new(tree, 0);
    for (unsigned depth = request->quiet && is_runs ? 0 : 1; depth < LSM_LEVELS_MAX; depth++)
        pick_add_level(list, depth, &tables->levels[depth]);
    if (list->input_count)
        qsort(list->inputs, list->input_count, sizeof(list->inputs[0]), compare_numbers);
    return list;
}

/* Asks the oldest table, and TABLES_ASKED that come after the one asked last, for their dead part. A
 * table that has too much of it is written again where it is. */
static struct compaction_pick *pick_dead(const struct compaction_pick *list,
                                         const struct compaction_request *request,
                                         const struct range_map *map)
{
    struct compaction_turn *turn = &request->memory->turns[list->tree];
    uint64_t last = turn->asked;
    unsigned asks_left = TABLES_ASKED;
    for (size_t i = 0; i < list->input_count; i++) {
        const struct compaction_input *input = &list->inputs[i];
        bool in_turn = asks_left > 0 && input->table->number > turn->asked;
        if (!in_turn && i > 0)
            continue;
        if (in_turn) {
            asks_left--;
            last = input->table->number;
            turn->left -= turn->left > 0;
        }
        if (dead_percent(request, input->table, map) <
            (request->quiet ? DEAD_PERCENT_QUIET : DEAD_PERCENT))
            continue;
        struct compaction_pick *pick = pick_new(list->tree, input->level);
        pick_add(pick, input->level, input->table);
        turn->asked = last;
        return pick;
    }
    turn->asked = asks_left > 0 ? 0 : last; /* at the end: from the start next time */
    return NULL;
}

/* Deletions above it do not count yet: somebody reads below them, or they are not durable. */
static lsn_t spent_max_of(const struct compaction_request *request)
{
    if (request->durable > request->oldest_read)
        return request->oldest_read;
    return request->durable ? request->durable - 1 : 0;
}

static lsn_t newest_of(const struct range_delete *ranges, size_t count, lsn_t spent_max)
{
    lsn_t newest = 0;
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].lsn <= spent_max && ranges[i].lsn > newest)
            newest = ranges[i].lsn;
    }
    return newest;
}

struct compaction_pick *reclaim_pick_covered(const struct version_tree *tables,
                                             const struct compaction_request *request,
                                             unsigned tree)
{
    struct compaction_turn *turn = &request->memory->turns[tree];
    struct range_delete *ranges = request->ranges[tree];
    size_t count = request->range_counts[tree];
    if (count == 0)
        return NULL;
    lsn_t spent_max = spent_max_of(request), newest = newest_of(ranges, count, spent_max);
    uint64_t tables_now = fingerprint(tables);
    bool is_known = turn->tables == tables_now && turn->newest == newest;
    if (is_known && !(request->quiet && turn->left > 0))
        return NULL;
    struct compaction_pick *list = list_asked(tables, tree, request);
    if (turn->newest != newest || turn->left > list->input_count)
        turn->left = list->input_count;
    struct range_map map;
    range_map_init(&map, ranges, count, spent_max);
    if (map.count == 0)
        turn->left = 0; /* asked for what? a deletion that comes to count changes `newest` */
    struct compaction_pick *pick = find_covered(tables, tree, &map, spent_max);
    if (!pick && request->dead_percent && map.count > 0)
        pick = pick_dead(list, request, &map);
    range_map_release(&map);
    compaction_pick_destroy(list);
    turn->newest = newest;
    turn->tables = pick ? 0 : tables_now;
    request->memory->is_asking |= !pick && request->quiet && turn->left > 0;
    return pick;
}

/* ---- Versions kept for snapshots ------------------------------------------------------------ */

struct compaction_pick *reclaim_pick_old(const struct version_tree *tables,
                                         const struct compaction_request *request, unsigned tree)
{
    bool is_leveled = request->options->trees[tree].compaction == LSM_LEVELED;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        const struct version_level *level = &tables->levels[depth];
        for (size_t i = 0; i < level->count; i++) {
            const struct table_properties *properties = &level->tables[i]->properties;
            if (properties->old_count * 100 < properties->entry_count * OLD_PERCENT ||
                properties->old_count == 0 || properties->lsn_max > request->oldest_read)
                continue;
            if (depth == 0 && is_leveled)
                return leveled_pick(tables, request, tree, 0);
            struct compaction_pick *pick = pick_new(tree, depth);
            pick_add(pick, depth, level->tables[i]);
            return pick;
        }
    }
    return NULL;
}

/* ---- Leveled trees at rest ------------------------------------------------------------------ */

static struct table_ref *most_deletions(const struct version_level *level, lsn_t lsn_max)
{
    struct table_ref *most = NULL;
    for (size_t i = 0; i < level->count; i++) {
        const struct table_properties *properties = &level->tables[i]->properties;
        if (properties->delete_count > (most ? most->properties.delete_count : 0) &&
            properties->lsn_max <= lsn_max)
            most = level->tables[i];
    }
    return most;
}

bool compaction_deletions_are_many(const struct version_tree *tables, uint64_t more)
{
    uint64_t entries = 0, deletions = more;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        const struct version_level *level = &tables->levels[depth];
        for (size_t i = 0; i < level->count; i++) {
            entries += level->tables[i]->properties.entry_count;
            deletions += level->tables[i]->properties.delete_count;
        }
    }
    return entries > 0 && deletions * ENTRIES_A_DELETION > entries;
}

/* Lets deletions sink a level, those of the last one go. */
static struct compaction_pick *sink_deletions(const struct version_tree *tables,
                                              const struct compaction_request *request,
                                              unsigned tree, unsigned last)
{
    if (!compaction_deletions_are_many(tables, 0))
        return NULL;
    for (unsigned depth = 0; depth <= last; depth++) {
        bool is_last = depth > 0 && depth == last;
        struct table_ref *table =
            most_deletions(&tables->levels[depth], is_last ? spent_max_of(request) : UINT64_MAX);
        if (!table)
            continue;
        if (depth == 0)
            return leveled_pick(tables, request, tree, 0);
        struct compaction_pick *pick = pick_new(tree, is_last ? depth : depth + 1);
        pick_add(pick, depth, table);
        if (!is_last)
            pick_add_overlaps(pick, &tables->levels[depth + 1]);
        return pick;
    }
    return NULL;
}

/* What lies above the last level may all be newer versions of what is there: it is kept in
 * proportion. Of flushed tables alone the oldest counts as the last level. */
static struct compaction_pick *push_down(const struct version_tree *tables,
                                         const struct compaction_request *request, unsigned tree,
                                         unsigned last)
{
    const struct version_level *flushed = &tables->levels[0];
    uint64_t above = 0, below = level_bytes(&tables->levels[last]);
    unsigned lowest = 0; /* of the levels above */
    for (unsigned depth = 0; depth < last; depth++) {
        above += level_bytes(&tables->levels[depth]);
        lowest = tables->levels[depth].count ? depth : lowest;
    }
    if (last == 0 && flushed->count > 0) {
        below = flushed->tables[flushed->count - 1]->properties.file_bytes;
        above = level_bytes(flushed) - below;
    }
    if (above * 100 <= below * ABOVE_LAST_PERCENT ||
        above < request->options->table_bytes_max / ROOM_SHARE)
        return NULL;
    return leveled_pick(tables, request, tree, lowest);
}

struct compaction_pick *reclaim_pick_leveled(const struct version_tree *tables,
                                             const struct compaction_request *request,
                                             unsigned tree)
{
    unsigned last = 0;
    for (unsigned depth = 1; depth < LSM_LEVELS_MAX; depth++) {
        if (tables->levels[depth].count)
            last = depth;
    }
    struct compaction_pick *pick = sink_deletions(tables, request, tree, last);
    return pick ? pick : push_down(tables, request, tree, last);
}
