/* SPDX-License-Identifier: MIT */
/* A version: which tables make up the trees at a moment. Immutable and counted; tables are counted
 * by the versions that hold them, and a table whose last reference goes after it was dropped is
 * unlinked. Level 0 is newest first and may overlap; deeper levels are sorted by key and disjoint;
 * in a tree of time runs (LSM_TIME_RUNS) every level may overlap and is newest first. */
#ifndef LSM_VERSION_H
#define LSM_VERSION_H

#include "lsm/table.h"

#include <stdatomic.h>

enum { LSM_LEVELS_MAX = 7 };

struct table_ref {
    uint64_t number;          /* file NUMBER.cwt */
    struct table_properties properties;
    atomic_uint references;
    atomic_bool dropped;      /* unlink at the last unref */
    _Atomic(struct table *) table; /* opened at first use */
};

struct version_level {
    struct table_ref **tables;
    size_t count;
    uint64_t range_delete_count; /* in all its tables */
};

struct version_tree {
    struct version_level levels[LSM_LEVELS_MAX];
};

struct version {
    struct version_tree trees[LSM_TREES_MAX];
    unsigned tree_count;
    atomic_uint references;
    struct version_set *set;
    struct version *newer, *older; /* all versions that somebody holds; the set's lock */
};

struct version_set;

/* One atomic change. Zeroed = no change. Owned by the caller; released by version_edit_release. */
struct version_edit_table {
    unsigned tree, level;
    uint64_t number;
    struct table_properties properties; /* of an added table; moved out by the apply */
};
struct version_edit {
    struct version_edit_table *added;
    size_t added_count;
    struct version_edit_table *removed; /* tree, level, number */
    size_t removed_count;
    lsn_t flushed_lsn;   /* > 0: batches below are in tables; the WAL before it is not needed */
    lsn_t durable_lsn;   /* > 0: the WAL is durable up to here */
    uint64_t epoch;      /* > 0 */
    bool clean;          /* last edit of a clean stop */
};
void version_edit_add(struct version_edit *edit, unsigned tree, unsigned level, uint64_t number,
                      struct table_properties *properties /* moved */);
void version_edit_remove(struct version_edit *edit, unsigned tree, unsigned level, uint64_t number);
void version_edit_release(struct version_edit *edit);

/* What the manifest says besides the tables. */
struct version_state {
    uint64_t store_id;     /* random, made with the database */
    lsn_t flushed_lsn;
    lsn_t durable_lsn;
    uint64_t epoch;
    uint64_t next_number;  /* file numbers */
    bool clean;            /* the last edit was a clean stop's */
};

/* Reads CURRENT and the manifest (or makes them: *created). Opens no table. Missing table files and
 * damage are STATUS_CORRUPT with a report. Leftover files (tables of no version, temporary files) are
 * removed unless options->read_only. */
enum status version_set_open(const struct env *env, const char *directory,
                             const struct lsm_options *options, struct block_cache *cache,
                             struct lsm_report *report, struct version_set **set, bool *created);
void version_set_close(struct version_set *set);

/* Appends the edit to the manifest, syncs, and makes the new version current. Any thread; calls are
 * serialised inside. After STATUS_IO / _NO_SPACE the old version stays current and the files of the
 * edit are the caller's to remove; the next apply starts a new manifest file. A manifest that has
 * grown large is rewritten (new file, CURRENT switched atomically). */
enum status version_set_apply(struct version_set *set, struct version_edit *edit);
/* Opens the tables that the edit has added and that are there still: by who has applied it, so that no reader
 * has to. What fails fails again at first use. */
void version_set_open_added(struct version_set *set, const struct version_edit *edit);
struct version *version_set_current(struct version_set *set); /* with a reference */
void version_ref(struct version *version);
void version_unref(struct version *version);
void version_set_state(struct version_set *set, struct version_state *state);
uint64_t version_set_next_number(struct version_set *set); /* a file number, never given twice */

/* Levels are in order, counts are right, every table is held by as many versions as count it, the
 * current version by `held` (of views, in any order, repeated if held twice) and the set, and versions
 * by a compaction and a few checkpoints besides. STATUS_CORRUPT and a sentence about the first fault;
 * one about the references of versions may pass when another thread is between two steps: look again. */
enum status version_set_check(struct version_set *set, const struct version *const *held,
                              size_t held_count, struct lsm_report *report);
/* The tables of a version are files that say of themselves what the version says. Reads them;
 * STATUS_CORRUPT, STATUS_IO, STATUS_NOT_FOUND. */
enum status version_check_files(const struct version *version, struct lsm_report *report);

/* The open table of a reference; opens it at first use. STATUS_WOULD_BLOCK with nowait. */
enum status table_ref_open(struct version_set *set, struct table_ref *ref, bool nowait,
                           struct table **table);
/* directory/NUMBER.cwt into path[size]. */
void table_path(const char *directory, uint64_t number, char *path, size_t size);

#endif
