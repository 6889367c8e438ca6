/* SPDX-License-Identifier: MIT */
#include "lsm/compaction_run.h"

#include "base/memory.h"
#include "lsm/merge_cursor.h"

#include <assert.h>
#include <stdlib.h>

struct compaction {
    struct compaction_host host;
    struct version *version;
    struct compaction_pick *pick;
    struct version_filter filter;
    lsn_t durable;
    struct cursor *cursor;       /* NULL until the first step */
    struct range_delete *ranges; /* of all inputs, by `from`; bytes lie in the inputs' tables */
    size_t range_count, range_capacity;
    size_t range_first;          /* those before end before the cursor's key */
    struct table_builder *builder;
    uint64_t number;             /* of the table being built */
    struct buffer output_start;  /* where the table's share of range deletions begins ... */
    bool has_start;              /* ... false: at the beginning of all keys */
    struct buffer last_key;      /* added last to the builder */
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

static int compare_ranges(const void *a, const void *b)
{
    const struct range_delete *left = a, *right = b;
    return slice_compare(left->from, right->from);
}

static void add_ranges(struct compaction *c, const struct range_delete *ranges, size_t count)
{
    if (count == 0)
        return;
    size_t needed = c->range_count + count;
    if (needed > c->range_capacity) {
        c->range_capacity = 2 * needed;
        c->ranges = memory_resize(c->ranges, c->range_capacity * sizeof(struct range_delete));
    }
    memcpy(c->ranges + c->range_count, ranges, count * sizeof(struct range_delete));
    c->range_count = needed;
}

static enum status open_inputs(struct compaction *c)
{
    const struct table_read read = {.keep_cache = true};
    size_t count = c->pick->input_count;
    struct cursor **cursors = memory_allocate(count * sizeof(struct cursor *));
    size_t opened = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct table_ref *ref = c->pick->inputs[i].table;
        struct table *table;
        status = table_ref_open(c->host.versions, ref, false, &table);
        if (status != STATUS_OK)
            break;
        const struct range_delete *ranges;
        size_t range_count;
        table_range_deletes(table, &ranges, &range_count);
        add_ranges(c, ranges, range_count);
        cursors[opened++] = table_cursor_create(table, &read);
        c->counts.read_bytes += ref->properties.file_bytes;
    }
    if (status == STATUS_OK) {
        if (c->range_count)
            qsort(c->ranges, c->range_count, sizeof(struct range_delete), compare_ranges);
        c->cursor = merge_cursor_create(cursors, opened);
        c->cursor->ops->first(c->cursor);
    } else {
        for (size_t i = 0; i < opened; i++)
            cursors[i]->ops->destroy(cursors[i]);
    }
    memory_free(cursors);
    return status;
}

/* ---- What may go --------------------------------------------------------------------------- */

/* May a table outside the inputs hold something older than `lsn` between the keys (both inclusive)? */
static bool older_may_exist(const struct compaction *c, struct slice from, struct slice to,
                            lsn_t lsn)
{
    const struct version_tree *tree = &c->version->trees[c->pick->tree];
    bool leveled = c->host.options->trees[c->pick->tree].compaction == LSM_LEVELED;
    for (unsigned depth = leveled ? c->pick->output_level : 0; depth < LSM_LEVELS_MAX; depth++) {
        const struct version_level *level = &tree->levels[depth];
        for (size_t i = 0; i < level->count; i++) {
            const struct table_properties *p = &level->tables[i]->properties;
            if (p->lsn_min < lsn && slice_compare(buffer_slice(&p->smallest), to) <= 0 &&
                slice_compare(from, buffer_slice(&p->largest)) <= 0 &&
                !is_input(c, level->tables[i]))
                return true;
        }
    }
    return false;
}

static bool is_deletion_spent(const struct compaction *c, struct slice key, lsn_t lsn)
{
    return lsn < c->durable && version_filter_oldest_read(&c->filter) >= lsn &&
           !older_may_exist(c, key, key, lsn);
}

static bool is_range_spent(const struct compaction *c, const struct range_delete *range)
{
    return range->lsn < c->durable && version_filter_oldest_read(&c->filter) >= range->lsn &&
           !older_may_exist(c, range->from, range->to, range->lsn);
}

/* Is the version under a range deletion that everybody sees who would see the version? Keys come in
 * ascending order. */
static bool is_covered(struct compaction *c, struct slice key, lsn_t lsn)
{
    while (c->range_first < c->range_count &&
           slice_compare(c->ranges[c->range_first].to, key) <= 0)
        c->range_first++;
    for (size_t i = c->range_first; i < c->range_count; i++) {
        const struct range_delete *range = &c->ranges[i];
        if (slice_compare(range->from, key) > 0)
            break;
        if (range->lsn > lsn && range->lsn < c->durable && slice_compare(key, range->to) < 0 &&
            !version_filter_is_read_between(&c->filter, lsn, range->lsn))
            return true;
    }
    return false;
}

/* ---- Outputs ------------------------------------------------------------------------------- */

static enum status begin_output(struct compaction *c)
{
    const struct lsm_tree_options *tree = &c->host.options->trees[c->pick->tree];
    const struct table_options options = {
        .block_bytes = tree->block_bytes,
        .filter_bits_per_key = tree->filter_bits_per_key,
        .filter_prefix_bytes = tree->filter_prefix_bytes,
    };
    char path[4096];
    c->number = version_set_next_number(c->host.versions);
    table_path(c->host.directory, c->number, path, sizeof(path));
    return table_builder_create(c->host.env, path, &options, &c->builder);
}

/* Adds the parts of the range deletions that lie between output_start and `end` (NULL: no end). */
static enum status add_range_parts(struct compaction *c, const struct slice *end)
{
    for (size_t i = 0; i < c->range_count; i++) {
        struct range_delete part = c->ranges[i];
        if (c->has_start && slice_compare(part.from, buffer_slice(&c->output_start)) < 0)
            part.from = buffer_slice(&c->output_start);
        if (end && slice_compare(*end, part.to) < 0)
            part.to = *end;
        if (slice_compare(part.from, part.to) >= 0 || is_range_spent(c, &c->ranges[i]))
            continue;
        enum status status = c->builder ? STATUS_OK : begin_output(c);
        if (status == STATUS_OK)
            status = table_builder_add_range_delete(c->builder, part);
        if (status != STATUS_OK)
            return status;
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

static enum status write_version(struct compaction *c)
{
    struct cursor *cursor = c->cursor;
    if (!c->builder) {
        enum status status = begin_output(c);
        if (status != STATUS_OK)
            return status;
    } else if (table_builder_file_bytes(c->builder) >= c->host.options->table_bytes_max &&
               !slice_equal(cursor->key, buffer_slice(&c->last_key))) {
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
        bool keeps = version_filter_keeps(&c->filter, cursor->key, cursor->lsn) &&
                     !is_covered(c, cursor->key, cursor->lsn) &&
                     !(cursor->kind == ENTRY_DELETE &&
                       is_deletion_spent(c, cursor->key, cursor->lsn));
        if (keeps) {
            enum status status = write_version(c);
            if (status != STATUS_OK)
                return status;
        }
        size_t bytes = cursor->key.size + cursor->value.size + 16;
        budget -= bytes < budget ? bytes : budget;
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
    c->durable = durable;
    version_filter_init(&c->filter, read_lsns, read_count);
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
        struct table_properties properties;
        copy_properties(&c->pick->inputs[0].table->properties, &properties);
        version_edit_add(&c->edit, c->pick->tree, c->pick->output_level,
                         c->pick->inputs[0].table->number, &properties);
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
    memory_free(c->ranges);
    compaction_pick_destroy(c->pick);
    version_unref(c->version);
    memory_free(c);
}
