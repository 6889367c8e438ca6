/* SPDX-License-Identifier: MIT */
/* lsm_verify: every checksum and invariant of a closed database. Reads only. */
#include "lsm/inspect.h"

#include "base/memory.h"
#include "lsm/wal_segment.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

struct verification {
    const struct env *env;
    const char *directory;
    const struct block_codec *const *codecs;
    void (*each)(void *context, const char *file, const char *finding);
    void *context;
    uint64_t finding_count;
    uint64_t unknown_count; /* of them tables that this program does not know how to read */
};

static void tell(struct verification *verification, const char *file, const char *finding)
{
    verification->finding_count += finding != NULL;
    if (verification->each)
        verification->each(verification->context, file, finding);
}

static void verify_tables(struct verification *verification, const struct manifest_content *content)
{
    lsn_t flushed = content->state.flushed_lsn;
    for (size_t i = 0; i < content->table_count; i++) {
        const struct version_edit_table *table = &content->tables[i];
        struct lsm_report report;
        char file[32];
        snprintf(file, sizeof(file), "%06" PRIu64 ".cwt", table->number);
        enum status status = inspect_table(verification->env, verification->directory,
                                           verification->codecs, table, &report);
        if (status == STATUS_OK && table->properties.lsn_max >= flushed) {
            snprintf(report.text, sizeof(report.text),
                     "it holds LSN %" PRIu64 ", but the manifest says that tables end at %" PRIu64,
                     table->properties.lsn_max, flushed);
            status = STATUS_CORRUPT;
        }
        verification->unknown_count += status == STATUS_UNSUPPORTED;
        tell(verification, file, status == STATUS_OK ? NULL : report.text);
    }
}

static void verify_levels(struct verification *verification, const char *manifest,
                          const struct manifest_content *content)
{
    char text[128];
    size_t index = inspect_overlap(content);
    if (index < content->table_count) {
        snprintf(text, sizeof(text), "table %06" PRIu64 " overlaps another table of its level",
                 content->tables[index].number);
        tell(verification, manifest, text);
    }
    if (content->state.flushed_lsn > content->state.durable_lsn)
        tell(verification, manifest, "tables run ahead of the durable WAL");
}

/* One line for each segment that recovery needs, and one for the log as a whole if it is damaged.
 */
static enum status verify_wal(struct verification *verification,
                              const struct manifest_content *content)
{
    struct wal_tail tail;
    struct lsm_report report;
    lsn_t *bases = NULL;
    size_t count = 0;
    enum status status =
        inspect_wal(verification->env, verification->directory, content, false, &tail, &report);
    if (status != STATUS_OK) {
        tell(verification, "WAL", report.text[0] ? report.text : status_text(status));
        return status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED ? STATUS_OK : status;
    }
    status = wal_segment_list(verification->env, verification->directory, &bases, &count);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        char file[32];
        bool before = i + 1 < count && bases[i + 1] <= content->state.flushed_lsn;
        snprintf(file, sizeof(file), "%016" PRIx64 ".wal", bases[i]);
        if (!before && bases[i] < tail.next_lsn)
            tell(verification, file, NULL);
    }
    memory_free(bases);
    return status;
}

static enum status verify_database(struct verification *verification)
{
    struct directory_files files = {0};
    struct manifest_content content = {0};
    struct lsm_report report = {0};
    char manifest[32];
    enum status status = directory_files_read(verification->env, verification->directory, &files);
    if (status == STATUS_OK && !files.has_current) {
        status = STATUS_NOT_FOUND;
        if (files.table_count || files.has_wal || files.manifest_count) {
            tell(verification, "CURRENT", "it is missing");
            status = STATUS_OK;
        }
        goto done;
    }
    if (status == STATUS_OK)
        status =
            manifest_read(verification->env, verification->directory, &files, &content, &report);
    if (status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED) {
        tell(verification, "MANIFEST", report.text);
        status = STATUS_OK;
        goto done;
    }
    if (status != STATUS_OK)
        goto done;
    snprintf(manifest, sizeof(manifest), "MANIFEST-%06" PRIu64, content.number);
    tell(verification, "CURRENT", NULL);
    tell(verification, manifest, NULL);
    verify_levels(verification, manifest, &content);
    verify_tables(verification, &content);
    status = verify_wal(verification, &content);
done:
    manifest_content_release(&content);
    directory_files_release(&files);
    return status;
}

enum status lsm_verify(const struct env *env, const char *directory,
                       const struct block_codec *const *codecs,
                       void (*each)(void *context, const char *file, const char *finding),
                       void *context)
{
    struct verification verification = {
        .env = env, .directory = directory, .codecs = codecs, .each = each, .context = context};
    struct vfs_file *lock = NULL;
    enum status status = inspect_lock(env, directory, &lock);
    if (status == STATUS_OK)
        status = verify_database(&verification);
    vfs_close(lock);
    if (status == STATUS_OK && verification.finding_count)
        status = verification.unknown_count == verification.finding_count ? STATUS_UNSUPPORTED
                                                                          : STATUS_CORRUPT;
    return status;
}
