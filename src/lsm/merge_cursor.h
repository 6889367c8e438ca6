/* SPDX-License-Identifier: MIT */
/* Several cursors as one, in cursor order: key ascending, LSN descending; forward and backward. */
#ifndef LSM_MERGE_CURSOR_H
#define LSM_MERGE_CURSOR_H

#include "lsm/cursor.h"

/* Takes over the children (the array itself is copied); `count` may be 0, and 1 gives the child
 * back. The merged cursor starts invalid. A child that fails makes it invalid with the child's
 * status until the next placing. No two children hold the same (key, LSN). */
struct cursor *merge_cursor_create(struct cursor **children, size_t count);

#endif
