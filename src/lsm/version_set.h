/* SPDX-License-Identifier: MIT */
/* What version.c and version_set.c share: the set itself, and making versions. */
#ifndef LSM_VERSION_SET_H
#define LSM_VERSION_SET_H

#include "lsm/manifest.h"

#include <pthread.h>

enum { TABLE_OPEN_LOCKS = 16 };

struct version_set {
    const struct env *env;
    char *directory;
    struct block_cache *cache;
    const struct block_codec *codecs[LSM_TREES_MAX + 1]; /* of all trees, then NULL */
    pthread_mutex_t table_locks[TABLE_OPEN_LOCKS]; /* by number: one thread opens a table */

    pthread_mutex_t apply_lock;  /* taken before `lock`; guards the manifest file and `log` */
    struct vfs_file *file;       /* NULL: the next apply starts a new manifest */
    struct manifest_content log; /* trees, state, end of the file; `current` has its tables */

    pthread_mutex_t lock; /* guards below; held shortly */
    struct version *current;
    struct version *live; /* the newest of all that somebody holds */
    struct version_state state;
    _Atomic uint64_t next_number;
};

/* The first version, with one reference. Takes over the content's tables. STATUS_CORRUPT with a
 * report when tables of one level overlap that must not. */
enum status version_from_content(struct version_set *set, struct manifest_content *content,
                                 struct lsm_report *report, struct version **version);
/* `base` with the edit applied, with one reference; moves the properties of added tables out of it.
 * A table that is removed and added again keeps its reference. */
struct version *version_with_edit(struct version *base, struct version_edit *edit);
/* NULL: none has this number. */
struct table_ref *version_level_find(const struct version_level *level, uint64_t number);
/* Enters a version that is complete into the list of all; the set's lock is held. */
void version_list(struct version *version);
/* The current version's and one version's own invariants, without references. */
enum status version_check_levels(const struct version *version, struct lsm_report *report);
/* Whether tables of this level must not overlap. */
bool version_level_is_disjoint(const struct version_set *set, unsigned tree, unsigned depth);
/* How tables stand in levels that may overlap: newest first. */
int version_compare_newest_first(const void *a, const void *b);
/* Marks the tables of `base` that `next` lacks: their files go with their last version. */
void version_drop_removed(struct version *base, const struct version *next,
                          const struct version_edit *edit);

#endif
