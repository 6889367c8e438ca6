/* SPDX-License-Identifier: MIT */
/* Databases in tests/golden: files as they were once written, and a text of what is in them
 * (tests/golden/README.md). All assert that nothing fails. */
#ifndef LIB_GOLDEN_FILES_H
#define LIB_GOLDEN_FILES_H

#include "base/slice.h"
#include "vfs/vfs.h"

/* A file system in memory that holds a copy of the database; the caller destroys it. */
struct vfs *golden_load(const char *golden, const char *directory);
/* The text file says this. */
void golden_expect(const char *path, struct slice text);

/* For `--write`: copies a database to the disk, without what need not be kept, and its text beside it, into
 * `golden`.txt. */
void golden_write(struct vfs *from, const char *directory, const char *golden);
void golden_write_text(const char *golden, struct slice text);

#endif
