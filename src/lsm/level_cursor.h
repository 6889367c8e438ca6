/* SPDX-License-Identifier: MIT */
/* The tables of a sorted, disjoint level one behind the other; a table is opened when the cursor
 * first enters it. */
#ifndef LSM_LEVEL_CURSOR_H
#define LSM_LEVEL_CURSOR_H

#include "lsm/version.h"

/* `tables` stay referenced by the caller (a version) and outlive the cursor. With nowait a table
 * that is not open gives STATUS_WOULD_BLOCK, and read->miss->ref is set. *read is copied. */
struct cursor *level_cursor_create(struct version_set *set, struct table_ref **tables, size_t count,
                                   const struct table_read *read);

#endif
