/* SPDX-License-Identifier: MIT */
/* The manifest file (FORMAT.md, "Manifest"): which tables make up the database, and what the WAL is
 * known to hold. CURRENT names the one that counts.
 *
 *   MANIFEST-000007 = header | snapshot records (one or more) | edit | edit | ...
 *   header = crc32c | magic | version | store id | snapshot bytes                      32 bytes
 *   record = crc32c | length | sequence | fields (version_edit.h)                     12 + length
 *
 * The snapshot was synced before CURRENT named the file; edits are appended and synced one by one.
 */
#ifndef LSM_MANIFEST_H
#define LSM_MANIFEST_H

#include "lsm/directory_files.h"
#include "lsm/version_edit.h"

enum { MANIFEST_TREE_NAME_MAX = 64 };

struct manifest_tree {
    char name[MANIFEST_TREE_NAME_MAX + 1];
    enum lsm_compaction compaction;
};

/* All that a manifest says. Zeroed is empty; released by manifest_content_release. */
struct manifest_content {
    struct version_state state;
    struct manifest_tree trees[LSM_TREES_MAX];
    unsigned tree_count;
    struct version_edit_table *tables; /* the live ones, in no order */
    size_t table_count;
    /* About the file. */
    uint64_t number;
    uint64_t end;         /* offset behind the last good record */
    uint64_t last_record; /* its offset */
    uint64_t snapshot_end;
    uint32_t next_sequence;
    bool torn; /* bytes behind `end` that are no record */
};

void manifest_content_release(struct manifest_content *content);

/* Reads the manifest that CURRENT names. A bad record is the end if nothing valid follows it and
 * all tables of the records before are there; STATUS_CORRUPT with a report otherwise.
 * STATUS_NOT_FOUND: no database is here. */
enum status manifest_read(const struct env *env, const char *directory,
                          const struct directory_files *files, struct manifest_content *content,
                          struct lsm_report *report);
/* The number of the manifest that CURRENT names. STATUS_CORRUPT with a report. */
enum status manifest_current(const struct env *env, const char *directory, uint64_t *number,
                             struct lsm_report *report);
/* The bytes of a manifest file; tables are not looked for. With `lenient` what cannot be read is
 * passed over, and *report names the first such place (its text is empty if there is none). */
enum status manifest_parse(struct slice bytes, bool lenient, struct manifest_content *content,
                           struct lsm_report *report);

/* What a manifest of the set's current version would say. The tables' properties belong to *version,
 * which is given with a reference: free content->tables alone. */
void version_set_describe(struct version_set *set, struct version **version,
                          struct manifest_content *content);

/* A new manifest whose snapshot is `content`, synced, and CURRENT switched to it. *file is open for
 * manifest_append; content->number, end, snapshot_end and next_sequence are set. After a failure it
 * is open which one CURRENT names; both say the same. */
enum status manifest_create(const struct env *env, const char *directory, uint64_t number,
                            struct manifest_content *content, struct vfs_file **file);
/* Appends one record with these fields and syncs; moves content->end and next_sequence. After an
 * error the file must not be appended to again. */
enum status manifest_append(struct vfs_file *file, struct manifest_content *content,
                            struct slice fields);

#endif
