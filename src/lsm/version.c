/* SPDX-License-Identifier: MIT */
/* Versions: immutable arrays of counted tables, made from the manifest or from another version. */
#include "lsm/version.h"

#include "base/memory.h"
#include "lsm/version_set.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_BYTES_MAX = 4096 };

/* ---- References ---------------------------------------------------------------------------- */

static struct table_ref *table_ref_create(struct version_edit_table *from)
{
    struct table_ref *ref = memory_zeroed(1, sizeof(*ref));
    ref->number = from->number;
    ref->properties = from->properties;
    from->properties = (struct table_properties){0};
    return ref;
}

/* Nobody holds it any more. */
static void table_ref_destroy(struct version_set *set, struct table_ref *ref)
{
    struct table *table = atomic_load(&ref->table);
    if (table)
        table_close(table);
    if (atomic_load(&ref->dropped)) {
        char path[PATH_BYTES_MAX];
        table_path(set->directory, ref->number, path, sizeof(path));
        block_cache_erase_table(set->cache, ref->number);
        (void)vfs_remove(set->env->vfs, path); /* a leftover goes at the next open */
    }
    table_properties_release(&ref->properties);
    memory_free(ref);
}

void version_ref(struct version *version)
{
    unsigned before = atomic_fetch_add_explicit(&version->references, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
}

void version_list(struct version *version)
{
    struct version_set *set = version->set;
    version->older = set->live;
    if (set->live)
        set->live->newer = version;
    set->live = version;
}

/* Gives its tables up, but for those that nobody else holds: they are left in the levels. */
static void version_release_tables(struct version *version)
{
    for (unsigned tree = 0; tree < version->tree_count; tree++) {
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
            struct version_level *level = &version->trees[tree].levels[depth];
            size_t left = 0;
            for (size_t i = 0; i < level->count; i++) {
                struct table_ref *ref = level->tables[i];
                unsigned before =
                    atomic_fetch_sub_explicit(&ref->references, 1, memory_order_acq_rel);
                assert(before > 0);
                if (before == 1)
                    level->tables[left++] = ref;
            }
            level->count = left;
        }
    }
}

/* Out of the list, and its tables with it: under the lock they count as many references as listed
 * versions hold them. One that was never listed (its making failed) is not in the list. */
static void version_unlist(struct version *version)
{
    struct version_set *set = version->set;
    pthread_mutex_lock(&set->lock);
    if (version->newer)
        version->newer->older = version->older;
    else if (set->live == version)
        set->live = version->older;
    if (version->older)
        version->older->newer = version->newer;
    version_release_tables(version);
    pthread_mutex_unlock(&set->lock);
}

void version_unref(struct version *version)
{
    if (!version)
        return;
    unsigned before = atomic_fetch_sub_explicit(&version->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    version_unlist(version);
    for (unsigned tree = 0; tree < version->tree_count; tree++) {
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
            struct version_level *level = &version->trees[tree].levels[depth];
            for (size_t i = 0; i < level->count; i++)
                table_ref_destroy(version->set, level->tables[i]);
            memory_free(level->tables);
        }
    }
    memory_free(version);
}

/* ---- Making -------------------------------------------------------------------------------- */

int version_compare_newest_first(const void *a, const void *b)
{
    const struct table_ref *x = *(struct table_ref *const *)a, *y = *(struct table_ref *const *)b;
    if (x->properties.lsn_max != y->properties.lsn_max)
        return x->properties.lsn_max < y->properties.lsn_max ? 1 : -1;
    return (x->number < y->number) - (x->number > y->number);
}

static int compare_by_key(const void *a, const void *b)
{
    const struct table_ref *x = *(struct table_ref *const *)a, *y = *(struct table_ref *const *)b;
    return slice_compare(buffer_slice(&x->properties.smallest),
                         buffer_slice(&y->properties.smallest));
}

bool version_level_is_disjoint(const struct version_set *set, unsigned tree, unsigned depth)
{
    return depth > 0 && set->log.trees[tree].compaction == LSM_LEVELED;
}

static void sort_level(const struct version_set *set, struct version_level *level, unsigned tree,
                       unsigned depth)
{
    if (level->count > 1)
        qsort(level->tables, level->count, sizeof(*level->tables),
              version_level_is_disjoint(set, tree, depth) ? compare_by_key
                                                          : version_compare_newest_first);
}

static const struct table_ref *find_overlap(const struct version_level *level)
{
    for (size_t i = 1; i < level->count; i++) {
        const struct table_properties *before = &level->tables[i - 1]->properties;
        const struct table_properties *here = &level->tables[i]->properties;
        int order = slice_compare(buffer_slice(&before->largest), buffer_slice(&here->smallest));
        if (order > 0 || (order == 0 && !before->largest_is_exclusive))
            return level->tables[i];
    }
    return NULL;
}

static struct version *version_create(struct version_set *set)
{
    struct version *version = memory_zeroed(1, sizeof(*version));
    version->tree_count = set->log.tree_count;
    version->set = set;
    atomic_init(&version->references, 1);
    return version;
}

static void level_push(struct version_level *level, struct table_ref *ref)
{
    level->tables = memory_resize(level->tables, (level->count + 1) * sizeof(*level->tables));
    level->tables[level->count++] = ref;
    level->range_delete_count += ref->properties.range_delete_count;
    atomic_fetch_add_explicit(&ref->references, 1, memory_order_relaxed);
}

enum status version_from_content(struct version_set *set, struct manifest_content *content,
                                 struct lsm_report *report, struct version **out)
{
    struct version *version = version_create(set);
    for (size_t i = 0; i < content->table_count; i++) {
        struct version_edit_table *table = &content->tables[i];
        level_push(&version->trees[table->tree].levels[table->level], table_ref_create(table));
    }
    memory_free(content->tables);
    content->tables = NULL;
    content->table_count = 0;
    for (unsigned tree = 0; tree < version->tree_count; tree++) {
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
            struct version_level *level = &version->trees[tree].levels[depth];
            sort_level(set, level, tree, depth);
            const struct table_ref *overlap =
                version_level_is_disjoint(set, tree, depth) ? find_overlap(level) : NULL;
            if (overlap) {
                snprintf(report->text, sizeof(report->text),
                         "MANIFEST-%06" PRIu64 ": table %06" PRIu64
                         " overlaps another of level %u in tree %s.",
                         content->number, overlap->number, depth, set->log.trees[tree].name);
                version_unref(version);
                return STATUS_CORRUPT;
            }
        }
    }
    *out = version;
    return STATUS_OK;
}

struct table_ref *version_level_find(const struct version_level *level, uint64_t number)
{
    for (size_t i = 0; i < level->count; i++)
        if (level->tables[i]->number == number)
            return level->tables[i];
    return NULL;
}

static bool edit_removes(const struct version_edit *edit, unsigned tree, unsigned level,
                         uint64_t number)
{
    for (size_t i = 0; i < edit->removed_count; i++)
        if (edit->removed[i].number == number && edit->removed[i].level == level &&
            edit->removed[i].tree == tree)
            return true;
    return false;
}

/* The reference of a table that the edit moves to another level; NULL: the table is new. */
static struct table_ref *find_moved(struct version *base, const struct version_edit *edit,
                                    uint64_t number)
{
    for (size_t i = 0; i < edit->removed_count; i++) {
        const struct version_edit_table *removed = &edit->removed[i];
        if (removed->number == number)
            return version_level_find(&base->trees[removed->tree].levels[removed->level], number);
    }
    return NULL;
}

static void copy_kept(const struct version_level *from, const struct version_edit *edit,
                      unsigned tree, unsigned depth, struct version_level *to)
{
    if (from->count == 0)
        return;
    to->tables = memory_allocate(from->count * sizeof(*to->tables));
    for (size_t i = 0; i < from->count; i++) {
        struct table_ref *ref = from->tables[i];
        if (edit_removes(edit, tree, depth, ref->number))
            continue;
        to->tables[to->count++] = ref;
        to->range_delete_count += ref->properties.range_delete_count;
        atomic_fetch_add_explicit(&ref->references, 1, memory_order_relaxed);
    }
}

struct version *version_with_edit(struct version *base, struct version_edit *edit)
{
    struct version_set *set = base->set;
    struct version *version = version_create(set);
    for (unsigned tree = 0; tree < version->tree_count; tree++)
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++)
            copy_kept(&base->trees[tree].levels[depth], edit, tree, depth,
                      &version->trees[tree].levels[depth]);
    for (size_t i = 0; i < edit->added_count; i++) {
        struct version_edit_table *added = &edit->added[i];
        assert(added->tree < version->tree_count);
        struct version_level *level = &version->trees[added->tree].levels[added->level];
        struct table_ref *ref = find_moved(base, edit, added->number);
        level_push(level, ref ? ref : table_ref_create(added));
        sort_level(set, level, added->tree, added->level);
        assert(!version_level_is_disjoint(set, added->tree, added->level) || !find_overlap(level));
    }
    return version;
}

void version_drop_removed(struct version *base, const struct version *next,
                          const struct version_edit *edit)
{
    for (size_t i = 0; i < edit->removed_count; i++) {
        const struct version_edit_table *removed = &edit->removed[i];
        struct table_ref *ref =
            version_level_find(&base->trees[removed->tree].levels[removed->level], removed->number);
        assert(ref);
        bool moved = false;
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX && !moved; depth++)
            moved = version_level_find(&next->trees[removed->tree].levels[depth], removed->number) != NULL;
        if (!moved)
            atomic_store(&ref->dropped, true);
    }
}
