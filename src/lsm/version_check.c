/* SPDX-License-Identifier: MIT */
/* The invariants of versions: levels, counts, references, files. */
#include "lsm/version_set.h"

#include "base/memory.h"
#include "lsm/finding.h"
#include "lsm/inspect.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- Levels -------------------------------------------------------------------------------- */

static enum status table_finding(struct lsm_report *report, const struct table_ref *table,
                                 const char *what)
{
    return finding(report, "table %06" PRIu64 ": %s", table->number, what);
}

static enum status check_properties(const struct table_ref *table, struct lsm_report *report)
{
    const struct table_properties *p = &table->properties;
    int order = slice_compare(buffer_slice(&p->smallest), buffer_slice(&p->largest));
    if (order > 0 || (order == 0 && p->largest_is_exclusive))
        return table_finding(report, table, "its smallest key is above its largest");
    if (p->lsn_min > p->lsn_max)
        return table_finding(report, table, "its lowest LSN is above its highest");
    if (p->delete_count > p->entry_count)
        return table_finding(report, table, "it has more deletions than entries");
    if (p->entry_count + p->range_delete_count == 0 || p->file_bytes == 0)
        return table_finding(report, table, "it is empty");
    return STATUS_OK;
}

static bool are_in_order(const struct table_ref *before, const struct table_ref *table,
                         bool is_disjoint)
{
    const struct table_properties *p = &before->properties;
    if (!is_disjoint)
        return version_compare_newest_first(&before, &table) < 0;
    int order = slice_compare(buffer_slice(&p->largest), buffer_slice(&table->properties.smallest));
    return order < 0 || (order == 0 && p->largest_is_exclusive);
}

static enum status check_level(const struct version *version, unsigned tree, unsigned depth,
                               struct lsm_report *report)
{
    const struct version_level *level = &version->trees[tree].levels[depth];
    bool is_disjoint = version_level_is_disjoint(version->set, tree, depth);
    uint64_t range_deletes = 0;
    for (size_t i = 0; i < level->count; i++) {
        const struct table_ref *table = level->tables[i];
        enum status status = check_properties(table, report);
        if (status != STATUS_OK)
            return status;
        if (i > 0 && !are_in_order(level->tables[i - 1], table, is_disjoint))
            return finding(report, "table %06" PRIu64 ": level %u of tree %u has it %s",
                           table->number, depth, tree,
                           is_disjoint ? "over the table before" : "behind an older one");
        if (table->number >= atomic_load(&version->set->next_number))
            return table_finding(report, table, "its number was not given yet");
        range_deletes += table->properties.range_delete_count;
    }
    if (range_deletes != level->range_delete_count)
        return finding(report,
                       "level %u of tree %u counts %" PRIu64 " range deletions and has %" PRIu64,
                       depth, tree, level->range_delete_count, range_deletes);
    return STATUS_OK;
}

enum status version_check_levels(const struct version *version, struct lsm_report *report)
{
    enum status status = STATUS_OK;
    for (unsigned tree = 0; tree < version->tree_count; tree++)
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX && status == STATUS_OK; depth++)
            status = check_level(version, tree, depth, report);
    return status;
}

enum { OTHER_HOLDERS_MAX = 4 }; /* a compaction, checkpoints */

/* ---- References ---------------------------------------------------------------------------- */

struct table_list {
    struct table_ref **tables;
    size_t count, capacity;
};

static void collect_tables(const struct version *version, struct table_list *list)
{
    for (unsigned tree = 0; tree < version->tree_count; tree++) {
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
            const struct version_level *level = &version->trees[tree].levels[depth];
            if (list->count + level->count > list->capacity) {
                list->capacity = 2 * (list->count + level->count);
                list->tables =
                    memory_resize(list->tables, list->capacity * sizeof(struct table_ref *));
            }
            for (size_t i = 0; i < level->count; i++)
                list->tables[list->count++] = level->tables[i];
        }
    }
}

static int compare_tables(const void *a, const void *b)
{
    const struct table_ref *x = *(struct table_ref *const *)a, *y = *(struct table_ref *const *)b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x > y) - (x < y);
}

/* The list has a table once for each version that holds it. */
static enum status check_table_references(struct table_list *list, struct lsm_report *report)
{
    if (list->count > 1)
        qsort(list->tables, list->count, sizeof(struct table_ref *), compare_tables);
    for (size_t i = 0, end; i < list->count; i = end) {
        const struct table_ref *table = list->tables[i];
        for (end = i; end < list->count && list->tables[end] == table;)
            end++;
        unsigned references = atomic_load(&table->references);
        if (end < list->count && list->tables[end]->number == table->number)
            return table_finding(report, table, "there are two of this number");
        if (references != end - i)
            return finding(report, "table %06" PRIu64 ": %zu versions hold it, it counts %u",
                           table->number, end - i, references);
    }
    return STATUS_OK;
}

static enum status check_version_references(const struct version_set *set,
                                            const struct version *const *held, size_t held_count,
                                            struct lsm_report *report)
{
    bool has_current = false;
    size_t found = 0, others = 0;
    for (const struct version *version = set->live; version; version = version->older) {
        size_t holders = version == set->current;
        for (size_t i = 0; i < held_count; i++) {
            holders += held[i] == version;
            found += held[i] == version;
        }
        unsigned references = atomic_load(&version->references);
        others += references > holders ? references - holders : 0;
        if (references < holders || others > OTHER_HOLDERS_MAX)
            return finding(report, "a version of the tables is held by %zu, it counts %u", holders,
                           references);
        has_current |= version == set->current;
    }
    if (!has_current || found != held_count)
        return finding(report, "a version of the tables that is in use is not in the list of all");
    return STATUS_OK;
}

enum status version_set_check(struct version_set *set, const struct version *const *held,
                              size_t held_count, struct lsm_report *report)
{
    struct table_list list = {0};
    pthread_mutex_lock(&set->lock);
    enum status status = check_version_references(set, held, held_count, report);
    for (const struct version *version = set->live; version; version = version->older)
        collect_tables(version, &list);
    for (const struct version *version = set->live; version && status == STATUS_OK;
         version = version->older)
        status = version_check_levels(version, report);
    if (status == STATUS_OK)
        status = check_table_references(&list, report);
    pthread_mutex_unlock(&set->lock);
    memory_free(list.tables);
    return status;
}

/* ---- Files --------------------------------------------------------------------------------- */

enum status version_check_files(const struct version *version, struct lsm_report *report)
{
    const struct version_set *set = version->set;
    for (unsigned tree = 0; tree < version->tree_count; tree++) {
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
            const struct version_level *level = &version->trees[tree].levels[depth];
            for (size_t i = 0; i < level->count; i++) {
                const struct version_edit_table named = {
                    .tree = tree,
                    .level = depth,
                    .number = level->tables[i]->number,
                    .properties = level->tables[i]->properties,
                };
                enum status status = inspect_properties(set->env, set->directory, &named, report);
                if (status != STATUS_OK)
                    return status;
            }
        }
    }
    return STATUS_OK;
}
