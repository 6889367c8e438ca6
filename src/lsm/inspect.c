/* SPDX-License-Identifier: MIT */
/* Checks over a closed database that verify and repair share. */
#include "lsm/inspect.h"

#include "base/memory.h"
#include "lsm/table_format.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_BYTES_MAX = 4096 };

enum status inspect_lock(const struct env *env, const char *directory, struct vfs_file **lock)
{
    char path[PATH_BYTES_MAX];
    bool exists = false;
    enum status status = env->vfs->ops->exists(env->vfs, directory, &exists);
    if (status == STATUS_OK && !exists)
        status = STATUS_NOT_FOUND;
    int length = snprintf(path, sizeof(path), "%s/LOCK", directory);
    if (length < 0 || (size_t)length >= sizeof(path))
        return STATUS_INVALID;
    return status == STATUS_OK ? env->vfs->ops->lock(env->vfs, path, lock) : status;
}

/* ---- Tables -------------------------------------------------------------------------------- */

/* What the file says of itself. */
static enum status read_properties(const struct env *env, const char *path,
                                   struct table_file_properties *properties)
{
    struct vfs_file *file = NULL;
    uint8_t foot[TABLE_FOOTER_BYTES], *stored = NULL, *raw = NULL;
    size_t raw_bytes = 0;
    uint64_t file_bytes = 0;
    struct table_footer footer;
    enum block_kind kind;
    enum status status = vfs_open(env->vfs, path, VFS_READ, &file);
    if (status == STATUS_OK)
        status = vfs_size(file, &file_bytes);
    if (status == STATUS_OK && file_bytes < TABLE_FOOTER_BYTES)
        status = STATUS_CORRUPT;
    if (status == STATUS_OK)
        status = vfs_read_exactly(file, file_bytes - sizeof(foot), foot, sizeof(foot), false);
    if (status == STATUS_OK)
        status = table_footer_decode(foot, file_bytes, &footer);
    if (status != STATUS_OK)
        goto done;
    const struct block_handle handle = footer.properties;
    stored = memory_try_allocate(handle.stored_bytes);
    status = !stored ? STATUS_NO_MEMORY
                     : vfs_read_exactly(file, handle.offset, stored, handle.stored_bytes, false);
    if (status == STATUS_OK)
        status = block_unseal(slice_make(stored, handle.stored_bytes), handle.offset, &kind, &raw,
                              &raw_bytes);
    if (status == STATUS_OK)
        status = table_file_properties_decode(slice_make(raw, raw_bytes), properties);
    properties->shared.file_bytes = file_bytes;
done:
    memory_free(stored);
    memory_free(raw);
    vfs_close(file);
    return status;
}

static const char *find_difference(const struct table_properties *a,
                                   const struct table_properties *b)
{
    if (a->file_bytes != b->file_bytes)
        return "size";
    if (a->entry_count != b->entry_count || a->delete_count != b->delete_count ||
        a->range_delete_count != b->range_delete_count || a->raw_bytes != b->raw_bytes)
        return "counts";
    if (a->lsn_min != b->lsn_min || a->lsn_max != b->lsn_max)
        return "LSNs";
    if (!slice_equal(buffer_slice(&a->smallest), buffer_slice(&b->smallest)) ||
        !slice_equal(buffer_slice(&a->largest), buffer_slice(&b->largest)) ||
        a->largest_is_exclusive != b->largest_is_exclusive)
        return "keys";
    return NULL;
}

static enum status name_table(enum status status, uint64_t number, struct lsm_report *report)
{
    if (status == STATUS_NOT_FOUND)
        snprintf(report->text, sizeof(report->text), "%06" PRIu64 ".cwt is missing", number);
    else if (status != STATUS_OK && !report->text[0])
        snprintf(report->text, sizeof(report->text), "%06" PRIu64 ".cwt: %s", number,
                 status_text(status));
    return status;
}

enum status inspect_properties(const struct env *env, const char *directory,
                               const struct version_edit_table *named, struct lsm_report *report)
{
    char path[PATH_BYTES_MAX];
    struct table_file_properties found = {{0}};
    table_path(directory, named->number, path, sizeof(path));
    report->text[0] = 0;
    enum status status = read_properties(env, path, &found);
    if (status == STATUS_OK) {
        const char *difference = find_difference(&found.shared, &named->properties);
        if (difference) {
            snprintf(report->text, sizeof(report->text),
                     "%06" PRIu64 ".cwt offset 0: its %s are not those that the manifest states",
                     named->number, difference);
            status = STATUS_CORRUPT;
        }
    }
    table_properties_release(&found.shared);
    return name_table(status, named->number, report);
}

enum status inspect_table(const struct env *env, const char *directory,
                          const struct block_codec *const *codecs,
                          const struct version_edit_table *named, struct lsm_report *report)
{
    char path[PATH_BYTES_MAX];
    table_path(directory, named->number, path, sizeof(path));
    report->text[0] = 0;
    enum status status = table_verify(env, path, codecs, report);
    if (status != STATUS_OK)
        return name_table(status, named->number, report);
    return inspect_properties(env, directory, named, report);
}

/* ---- Levels -------------------------------------------------------------------------------- */

static int compare_places(const void *a, const void *b)
{
    const struct version_edit_table *x = *(const struct version_edit_table *const *)a;
    const struct version_edit_table *y = *(const struct version_edit_table *const *)b;
    if (x->tree != y->tree)
        return x->tree < y->tree ? -1 : 1;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    return slice_compare(buffer_slice(&x->properties.smallest),
                         buffer_slice(&y->properties.smallest));
}

static bool overlap(const struct manifest_content *content, const struct version_edit_table *a,
                    const struct version_edit_table *b)
{
    if (a->tree != b->tree || a->level != b->level || a->level == 0 ||
        content->trees[a->tree].compaction != LSM_LEVELED)
        return false;
    int order =
        slice_compare(buffer_slice(&a->properties.largest), buffer_slice(&b->properties.smallest));
    return order > 0 || (order == 0 && !a->properties.largest_is_exclusive);
}

size_t inspect_overlap(const struct manifest_content *content)
{
    size_t count = content->table_count, found = count;
    if (count < 2)
        return count;
    const struct version_edit_table **sorted = memory_allocate(count * sizeof(*sorted));
    for (size_t i = 0; i < count; i++)
        sorted[i] = &content->tables[i];
    qsort(sorted, count, sizeof(*sorted), compare_places);
    for (size_t i = 1; i < count && found == count; i++) {
        const struct version_edit_table *a = sorted[i - 1], *b = sorted[i];
        if (overlap(content, a, b))
            found =
                (size_t)((a->properties.lsn_max < b->properties.lsn_max ? a : b) - content->tables);
    }
    memory_free(sorted);
    return found;
}

/* ---- WAL ----------------------------------------------------------------------------------- */

struct record_check {
    unsigned tree_count;
    struct lsm_report *report;
};

static enum status check_batch(void *context, lsn_t lsn, struct slice records, uint64_t count)
{
    struct record_check *check = context;
    struct wal_record record;
    uint64_t seen = 0;
    bool bad = false, fits = true;
    while (wal_record_next(&records, &record, &bad)) {
        seen++;
        fits = fits && record.tree < check->tree_count;
    }
    if (!bad && fits && seen == count)
        return STATUS_OK;
    snprintf(check->report->text, sizeof(check->report->text),
             "WAL: the batch at LSN %" PRIu64 " holds malformed records.", lsn);
    return STATUS_CORRUPT;
}

enum status inspect_wal(const struct env *env, const char *directory,
                        const struct manifest_content *content, bool repair, struct wal_tail *tail,
                        struct lsm_report *report)
{
    struct record_check check = {.tree_count = content->tree_count, .report = report};
    const struct wal_recovery recovery = {
        .env = env,
        .directory = directory,
        .start = content->state.flushed_lsn,
        .manifest_durable = content->state.durable_lsn,
        .store_id = content->state.store_id,
        .repair = repair,
        .apply = check_batch,
        .context = &check,
    };
    report->text[0] = 0;
    return wal_recover(&recovery, tail, report);
}
