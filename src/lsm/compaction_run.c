/* SPDX-License-Identifier: MIT */
#include "lsm/compaction_run.h"

#include "base/memory.h"
#include "lsm/compaction_objects.h"
#include "lsm/level_cursor.h"
#include "lsm/merge_cursor.h"
#include "lsm/range_map.h"

#include <assert.h>

/* The tables of a level that are not inputs and may hold versions older than theirs. */
struct outsiders {
    const struct table_properties **tables;
    size_t count;
    bool disjoint; /* sorted by key, so those before `first` are behind us */
    size_t first;
};

struct range_list {
    struct range_delete *items; /* bytes lie in open tables of the version */
    size_t count, capacity;
};

struct compaction {
    struct compaction_host host;
    struct version *version;
    struct compaction_pick *pick;
    struct version_filter filter;
    lsn_t spent_max; /* deletions up to this LSN hide the same from everybody */
    struct outsiders outsiders[LSM_LEVELS_MAX];
    struct cursor *cursor;           /* NULL until the first step */
    struct table_ref **level_tables; /* inputs, as level cursors want them */
    lsn_t newest_input;
    struct range_list ranges;     /* of the inputs */
    struct range_list all_ranges; /* of the whole tree */
    struct range_map map;         /* of all up to spent_max */
    size_t map_hint;
    struct range_delete *carried; /* to be written again: what is left of the ranges */
    size_t carried_count;
    struct large_objects objects; /* tables are cut at their ends */
    uint64_t output_bytes_max;
    struct table_builder *builder;
    uint64_t number;            /* of the table being built */
    struct buffer output_start; /* where the table's share of range deletions begins ... */
    bool has_start;             /* ... false: at the beginning of all keys */
    struct buffer last_key;     /* added last to the builder */
    struct version_edit edit;
    struct compaction_counts counts;
};

/* ---- Inputs -------------------------------------------------------------------------------- */

static bool is_input(const struct compaction *c, const struct table_ref *table)
{
    for (size_t i = 0; i < c->pick->input_count; i++) {
        if (c->pick->inputs[i].table == table)
            return true;
    }
    return false;
}

static void add_ranges(struct range_list *list, const struct range_delete *ranges, size_t count)
{
    if (count == 0)
        return;
    if (list->count + count > list->capacity) {
        list->capacity = 2 * (list->count + count);
        list->items = memory_resize(list->items, list->capacity * sizeof(list->items[0]));
    }
    memcpy(list->items + list->count, ranges, count * sizeof(list->items[0]));
    list->count += count;
}

/* A cursor over the inputs from *index on: a table of its own, or in a disjoint level all that
 * follow. */
static enum status open_input(struct compaction *c, size_t *index, struct cursor **cursor)
{
    const struct table_read read = {.keep_cache = true};
    const struct compaction_input *inputs = c->pick->inputs;
    bool leveled = c->host.options->trees[c->pick->tree].compaction == LSM_LEVELED;
    size_t first = *index, end = first + 1;
    while (leveled && inputs[first].level > 0 && end < c->pick->input_count &&
           inputs[end].level == inputs[first].level)
        end++;
    *index = end;
    if (end == first + 1) {
        struct table *table;
        enum status status = table_ref_open(c->host.versions, inputs[first].table, false, &table);
        if (status == STATUS_OK)
            *cursor = table_cursor_create(table, &read);
        return status;
    }
    struct table_ref **tables = c->level_tables;
    for (size_t i = first; i < end; i++)
        tables[i] = inputs[i].table;
    *cursor = level_cursor_create(c->host.versions, tables + first, end - first, &read);
    return STATUS_OK;
}

static enum status open_cursors(struct compaction *c)
{
    size_t count = c->pick->input_count, opened = 0;
    struct cursor **cursors = memory_allocate(count * sizeof(struct cursor *));
    c->level_tables = memory_allocate(count * sizeof(struct table_ref *));
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; opened += status == STATUS_OK)
        status = open_input(c, &i, &cursors[opened]);
    if (status == STATUS_OK) {
        c->cursor = merge_cursor_create(cursors, opened);
        c->cursor->ops->first(c->cursor);
    }
    for (size_t i = 0; i < opened && status != STATUS_OK; i++)
        cursors[i]->ops->destroy(cursors[i]);
    memory_free(cursors);
    return status;
}

static enum status read_ranges_of(struct compaction *c, struct table_ref *ref)
{
    struct table *table;
    const struct range_delete *ranges;
    size_t count;
    if (ref->properties.range_delete_count == 0)
        return STATUS_OK;
    enum status status = table_ref_open(c->host.versions, ref, false, &table);
    if (status != STATUS_OK)
        return status;
    table_range_deletes(table, &ranges, &count);
    add_ranges(&c->all_ranges, ranges, count);
    if (is_input(c, ref))
        add_ranges(&c->ranges, ranges, count);
    return STATUS_OK;
}

static enum status read_ranges(struct compaction *c)
{
    const struct version_tree *tree = &c->version->trees[c->pick->tree];
    enum status status = STATUS_OK;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        for (size_t i = 0; i < tree->levels[depth].count && status == STATUS_OK; i++)
            status = read_ranges_of(c, tree->levels[depth].tables[i]);
    }
    return status;
}

static void count_inputs(struct compaction *c)
{
    for (size_t i = 0; i < c->pick->input_count; i++) {
        const struct table_properties *properties = &c->pick->inputs[i].table->properties;
        c->counts.read_bytes += properties->file_bytes;
        if (properties->lsn_max > c->newest_input)
            c->newest_input = properties->lsn_max;
    }
}

/* ---- What may go --------------------------------------------------------------------------- */

/* Older versions than an input's are in deeper levels, or in a tree of time runs in older runs. */
static void find_outsiders(struct compaction *c)
{
    const struct version_tree *tree = &c->version->trees[c->pick->tree];
    bool leveled = c->host.options->trees[c->pick->tree].compaction == LSM_LEVELED;
    for (unsigned depth = leveled ? c->pick->output_level + 1 : 0; depth < LSM_LEVELS_MAX;
         depth++) {
        const struct version_level *level = &tree->levels[depth];
        struct outsiders *outsiders = &c->outsiders[depth];
        outsiders->disjoint = leveled;
        outsiders->tables = memory_allocate((level->count + 1) * sizeof(outsiders->tables[0]));
        for (size_t i = 0; i < level->count; i++) {
            if (level->tables[i]->properties.entry_count > 0 && !is_input(c, level->tables[i]))
                outsiders->tables[outsiders->count++] = &level->tables[i]->properties;
        }
    }
}

/* May an outsider hold something older than `lsn` between the keys (both inclusive)? Calls come
 * with ascending `from`, once with each pass over the outsiders. */
static bool older_may_exist(struct compaction *c, struct slice from, struct slice to, lsn_t lsn)
{
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        struct outsiders *outsiders = &c->outsiders[depth];
        for (size_t i = outsiders->first; i < outsiders->count; i++) {
            const struct table_properties *p = outsiders->tables[i];
            if (slice_compare(buffer_slice(&p->largest), from) < 0) {
                outsiders->first += outsiders->disjoint;
                continue;
            }
            if (slice_compare(buffer_slice(&p->smallest), to) <= 0) {
                if (p->lsn_min < lsn)
                    return true;
            } else if (outsiders->disjoint) {
                break;
            }
        }
    }
    return false;
}

static void rewind_outsiders(struct compaction *c)
{
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++)
        c->outsiders[depth].first = 0;
}

/* The inputs' range deletions: those that hide the same from everybody count as disjoint pieces,
 * and go where nothing older is left; the others are carried on as they are. */
static void sort_ranges(struct compaction *c)
{
    struct range_map own;
    range_map_init(&c->map, c->all_ranges.items, c->all_ranges.count, c->spent_max);
    range_map_init(&own, c->ranges.items, c->ranges.count, c->spent_max);
    c->carried = memory_allocate((own.count + c->ranges.count + 1) * sizeof(struct range_delete));
    for (size_t i = 0; i < own.count; i++) {
        const struct range_delete *piece = &own.pieces[i];
        if (older_may_exist(c, piece->from, piece->to, piece->lsn))
            c->carried[c->carried_count++] = *piece;
    }
    rewind_outsiders(c);
    for (size_t i = 0; i < c->ranges.count; i++) {
        if (c->ranges.items[i].lsn > c->spent_max)
            c->carried[c->carried_count++] = c->ranges.items[i];
    }
    range_map_release(&own);
}

/* Of time runs the tables of a merge are of one size, so that none is left over to be merged again. What fits
 * into one is not cut: the size of a table that is being built is a guess, too high by half of a block. */
static enum status plan_outputs(struct compaction *c)
{
    const struct lsm_tree_options *tree = &c->host.options->trees[c->pick->tree];
    uint64_t bytes_max = c->host.options->table_bytes_max;
    c->output_bytes_max = bytes_max;
    uint64_t tables = (c->counts.read_bytes + bytes_max - 1) / bytes_max;
    if (tree->compaction == LSM_TIME_RUNS && tables > 1)
        c->output_bytes_max = c->counts.read_bytes / tables + 1;
    if (!tree->filter_prefix_bytes)
        return STATUS_OK;
    return large_objects_find(c->host.versions, c->pick, tree->filter_prefix_bytes,
                              bytes_max / COMPACTION_LARGE_SHARE, &c->objects);
}

static enum status open_inputs(struct compaction *c)
{
    enum status status = read_ranges(c);
    if (status != STATUS_OK)
        return status;
    count_inputs(c);
    status = plan_outputs(c);
    if (status != STATUS_OK)
        return status;
    find_outsiders(c);
    sort_ranges(c);
    return open_cursors(c);
}

/* `covered`: the LSN of the newest range deletion over the version's key. */
static bool is_needed(struct compaction *c, const struct cursor *version, lsn_t covered)
{
    if (!version_filter_keeps(&c->filter, version->key, version->lsn) || covered > version->lsn)
        return false;
    return version->kind != ENTRY_DELETE || version->lsn > c->spent_max ||
           older_may_exist(c, version->key, version->key, version->lsn);
}

/* ---- Outputs ------------------------------------------------------------------------------- */

static enum status begin_output(struct compaction *c)
{
    const struct lsm_tree_options *tree = &c->host.options->trees[c->pick->tree];
    bool is_cold = tree->compaction == LSM_TIME_RUNS;
    const struct table_options options =
        is_cold ? table_options_of_cold(tree) : table_options_of(tree);
    char path[4096];
    c->number = version_set_next_number(c->host.versions);
    table_path(c->host.directory, c->number, path, sizeof(path));
    return table_builder_create(c->host.env, path, &options, &c->builder);
}

/* Adds the parts of the range deletions that lie between output_start and `end` (NULL: no end). */
static enum status add_range_parts(struct compaction *c, const struct slice *end)
{
    for (size_t i = 0; i < c->carried_count; i++) {
        struct range_delete part = c->carried[i];
        if (c->has_start && slice_compare(part.from, buffer_slice(&c->output_start)) < 0)
            part.from = buffer_slice(&c->output_start);
        if (end && slice_compare(*end, part.to) < 0)
            part.to = *end;
        if (slice_compare(part.from, part.to) >= 0)
            continue;
        enum status status = c->builder ? STATUS_OK : begin_output(c);
        if (status != STATUS_OK)
            return status;
        table_builder_add_range_delete(c->builder, part);
    }
    return STATUS_OK;
}

/* Ends the table before key `end` (NULL: after all keys). */
static enum status finish_output(struct compaction *c, const struct slice *end)
{
    enum status status = add_range_parts(c, end);
    if (status == STATUS_OK && c->builder) {
        struct table_properties properties = {0};
        status = table_builder_finish(c->builder, &properties);
        if (status == STATUS_OK) {
            c->counts.write_bytes += properties.file_bytes;
            properties.old_count = version_filter_take_old_count(&c->filter);
            version_edit_add(&c->edit, c->pick->tree, c->pick->output_level, c->number,
                             &properties);
        }
        table_builder_destroy(c->builder);
        c->builder = NULL;
    }
    if (end) {
        buffer_clear(&c->output_start);
        buffer_append_slice(&c->output_start, *end);
        c->has_start = true;
    }
    return status;
}

/* Does the table being built end before the cursor's key? All versions of a key are in one table. */
static bool is_cut_here(struct compaction *c)
{
    if (large_objects_cut_before(&c->objects, c->cursor->key))
        return true;
    return table_builder_file_bytes(c->builder) >= c->output_bytes_max &&
           !slice_equal(c->cursor->key, buffer_slice(&c->last_key));
}

static enum status write_version(struct compaction *c)
{
    struct cursor *cursor = c->cursor;
    if (!c->builder) {
        (void)large_objects_cut_before(&c->objects, cursor->key); /* the first is no border */
        enum status status = begin_output(c);
        if (status != STATUS_OK)
            return status;
    } else if (is_cut_here(c)) {
        enum status status = finish_output(c, &cursor->key);
        if (status == STATUS_OK)
            status = begin_output(c);
        if (status != STATUS_OK)
            return status;
    }
    buffer_clear(&c->last_key);
    buffer_append_slice(&c->last_key, cursor->key);
    return table_builder_add(c->builder, cursor->key, cursor->lsn, cursor->kind, cursor->value);
}

static enum status merge_some(struct compaction *c, size_t budget)
{
    struct cursor *cursor = c->cursor;
    while (cursor->valid && budget > 0) {
        size_t bytes = cursor->key.size + cursor->value.size + 16;
        budget -= bytes < budget ? bytes : budget;
        lsn_t covered = range_map_find(&c->map, cursor->key, &c->map_hint);
        if (covered > c->newest_input) { /* all of the inputs up to the piece's end is, too */
            cursor->ops->seek(cursor, c->map.pieces[c->map_hint].to, UINT64_MAX);
            continue;
        }
        if (is_needed(c, cursor, covered)) {
            enum status status = write_version(c);
            if (status != STATUS_OK)
                return status;
        }
        cursor->ops->next(cursor);
    }
    return cursor->status;
}

/* ---- The whole ----------------------------------------------------------------------------- */

struct compaction *compaction_create(const struct compaction_host *host, struct version *version,
                                     struct compaction_pick *pick, lsn_t *read_lsns,
                                     size_t read_count, lsn_t durable)
{
    struct compaction *c = memory_zeroed(1, sizeof(struct compaction));
    c->host = *host;
    c->version = version;
    version_ref(version);
    c->pick = pick;
    c->counts.tree = pick->tree;
    version_filter_init(&c->filter, read_lsns, read_count);
    c->spent_max = version_filter_oldest_read(&c->filter);
    if (c->spent_max >= durable)
        c->spent_max = durable ? durable - 1 : 0;
    for (size_t i = 0; i < pick->input_count; i++)
        version_edit_remove(&c->edit, pick->tree, pick->inputs[i].level,
                            pick->inputs[i].table->number);
    return c;
}

static void copy_properties(const struct table_properties *from, struct table_properties *to)
{
    *to = *from;
    to->smallest = to->largest = (struct buffer){0};
    buffer_append_slice(&to->smallest, buffer_slice(&from->smallest));
    buffer_append_slice(&to->largest, buffer_slice(&from->largest));
}

enum status compaction_step(struct compaction *c, size_t budget, bool *finished)
{
    *finished = false;
    if (c->pick->kind == COMPACTION_DROP) {
        c->counts.tables_dropped_unread = c->pick->input_count;
        *finished = true;
        return STATUS_OK;
    }
    if (c->pick->kind == COMPACTION_MOVE) {
        for (size_t i = 0; i < c->pick->input_count; i++) {
            struct table_properties properties;
            copy_properties(&c->pick->inputs[i].table->properties, &properties);
            version_edit_add(&c->edit, c->pick->tree, c->pick->output_level,
                             c->pick->inputs[i].table->number, &properties);
        }
        c->counts.tables_moved = c->pick->input_count;
        *finished = true;
        return STATUS_OK;
    }
    enum status status = c->cursor ? STATUS_OK : open_inputs(c);
    if (status == STATUS_OK)
        status = merge_some(c, budget);
    if (status != STATUS_OK || c->cursor->valid)
        return status;
    status = finish_output(c, NULL);
    if (status == STATUS_OK)
        status = vfs_sync_directory_at(c->host.env->vfs, c->host.directory, "compaction.directory");
    *finished = status == STATUS_OK;
    return status;
}

struct version_edit *compaction_edit(struct compaction *c)
{
    return &c->edit;
}

void compaction_get_counts(const struct compaction *c, struct compaction_counts *counts)
{
    *counts = c->counts;
}

void compaction_destroy(struct compaction *c, bool installed)
{
    if (!c)
        return;
    if (c->cursor)
        c->cursor->ops->destroy(c->cursor);
    table_builder_destroy(c->builder);
    bool made_files = c->pick->kind == COMPACTION_MERGE;
    for (size_t i = 0; i < c->edit.added_count && made_files && !installed; i++) {
        char path[4096];
        table_path(c->host.directory, c->edit.added[i].number, path, sizeof(path));
        (void)c->host.env->vfs->ops->remove(c->host.env->vfs, path); /* else at the next open */
    }
    version_edit_release(&c->edit);
    version_filter_release(&c->filter);
    buffer_release(&c->output_start);
    buffer_release(&c->last_key);
    range_map_release(&c->map);
    large_objects_release(&c->objects);
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++)
        memory_free(c->outsiders[depth].tables);
    memory_free(c->level_tables);
    memory_free(c->carried);
    memory_free(c->ranges.items);
    memory_free(c->all_ranges.items);
    compaction_pick_destroy(c->pick);
    version_unref(c->version);
    memory_free(c);
}
