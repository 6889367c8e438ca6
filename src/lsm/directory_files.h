/* SPDX-License-Identifier: MIT */
/* The files of a database by their names: for finding what is missing and what is left over. */
#ifndef LSM_DIRECTORY_FILES_H
#define LSM_DIRECTORY_FILES_H

#include "lsm/version.h"

struct directory_files {
    uint64_t *tables; /* numbers, ascending */
    size_t table_count;
    uint64_t *manifests; /* numbers, ascending */
    size_t manifest_count;
    bool has_current, has_wal;
    struct buffer temporary; /* names that end in .tmp, each with its zero byte */
};

enum status directory_files_read(const struct env *env, const char *directory,
                                 struct directory_files *files);
bool directory_files_has_table(const struct directory_files *files, uint64_t number);
bool directory_files_has_manifest(const struct directory_files *files, uint64_t number);
void directory_files_release(struct directory_files *files);

/* Is this name a manifest's or a table's? Sets *number. */
bool manifest_name_parse(const char *name, uint64_t *number);
bool table_name_parse(const char *name, uint64_t *number);
/* directory/MANIFEST-NNNNNN into path[size]. */
void manifest_path(const char *directory, uint64_t number, char *path, size_t size);

#endif
