/* SPDX-License-Identifier: MIT */
/* What verify and repair have in common: checks over a closed database, file by file. */
#ifndef LSM_INSPECT_H
#define LSM_INSPECT_H

#include "lsm/manifest.h"
#include "lsm/wal.h"

/* Holds the database's LOCK against a server. STATUS_BUSY, STATUS_NOT_FOUND. */
enum status inspect_lock(const struct env *env, const char *directory, struct vfs_file **lock);

/* The table's file is there, sound, and is what the manifest says. `codecs` as for lsm_verify.
 * STATUS_CORRUPT and a report that
 * names file and offset; STATUS_NOT_FOUND when it is missing, with a report, too. */
enum status inspect_table(const struct env *env, const char *directory,
                          const struct block_codec *const *codecs,
                          const struct version_edit_table *named, struct lsm_report *report);

/* What the table's file says of itself is what the manifest says; its content is not read. Errors as
 * inspect_table. */
enum status inspect_properties(const struct env *env, const char *directory,
                               const struct version_edit_table *named, struct lsm_report *report);

/* A table that overlaps another one where they must not (the one with the lower LSNs): its index in
 * content->tables, or content->table_count. */
size_t inspect_overlap(const struct manifest_content *content);

/* Reads the WAL from the manifest's flushed LSN on, checking frames and records. */
enum status inspect_wal(const struct env *env, const char *directory,
                        const struct manifest_content *content, bool repair, struct wal_tail *tail,
                        struct lsm_report *report);

#endif
