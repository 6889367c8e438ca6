/* SPDX-License-Identifier: MIT */
/* RESTORE: a payload's value as an object that is built. */
#ifndef TYPES_RDB_RESTORE_H
#define TYPES_RDB_RESTORE_H

#include "types/object_build.h"

struct rdb_restored {
    enum object_type type;
    struct buffer body;       /* of the header */
    bool has_parts;           /* the object needs an id */
    uint64_t groups_left_out; /* of a stream */
};

/* `value`: of rdb_open. `object` is begun. STATUS_WRONG_TYPE: of a type that is not there. STATUS_INVALID: bad data,
 * or elements and entries of more than `bytes_max` bytes: short payloads can stand for very much, since compressed
 * bytes and the names of a stream's fields are shared there. Otherwise what object_build_put returns. */
enum status rdb_restore(struct slice value, uint64_t bytes_max, struct object_build *object,
                        struct rdb_restored *restored);
void rdb_restored_release(struct rdb_restored *restored);

#endif
