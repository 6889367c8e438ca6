/* SPDX-License-Identifier: MIT */
/* The invariants of strings and lists against their parts, and what all such checks need. */
#ifndef TYPES_PARTS_CHECK_H
#define TYPES_PARTS_CHECK_H

#include "types/keyspace.h"

/* An iterator over what no range deletion covers in [from, to): what a header must account for. */
struct lsm_iter *parts_iter_open(struct access *access, enum store_tree tree, struct slice from,
                                 struct slice to);
/* The same over everything of an object in one tree. */
struct lsm_iter *parts_iter_open_object(struct access *access, enum store_tree tree, uint64_t id);

/* Read all parts, waiting. STATUS_CORRUPT: *fault says what does not fit, static. */
enum status string_check(struct access *access, const struct object *object, const char **fault);
enum status list_check(struct access *access, const struct object *object, const char **fault);

#endif
