/* SPDX-License-Identifier: MIT */
/* How large an object is: the bytes of its records, keys and values, before compression. */
#ifndef TYPES_OBJECT_SIZE_H
#define TYPES_OBJECT_SIZE_H

#include "types/keyspace.h"

struct object_size_options {
    uint64_t
        samples; /* elements or entries that are looked at; their mean stands for the others. 0: all */
    /* Asked now and then, with the bytes looked at so far: another status ends it. */
    enum status (*check)(void *context, uint64_t bytes);
    void *context;
};

/* Of what keyspace_find returned for the key. STATUS_CORRUPT, and what reading returns. */
enum status object_size(struct access *access, struct slice key, const struct object *object,
                        const struct object_size_options *options, uint64_t *bytes);

#endif
