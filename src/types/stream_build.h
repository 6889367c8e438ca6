/* SPDX-License-Identifier: MIT */
/* A stream that is built (object_build.h) field by field: RESTORE. */
#ifndef TYPES_STREAM_BUILD_H
#define TYPES_STREAM_BUILD_H

#include "types/object_build.h"
#include "types/stream_header.h"

struct stream_build {
    struct object_build *object; /* not owned */
    struct stream_header header; /* what it says so far */
    struct stream_id id;         /* of the entry at hand */
    struct buffer record;
};

void stream_build_begin(struct stream_build *build, struct object_build *object);
/* An entry of so many fields, at least one; its ID is above all before it. */
void stream_build_entry(struct stream_build *build, struct stream_id id, uint64_t count);
/* STATUS_NO_MEMORY. */
enum status stream_build_field(struct stream_build *build, struct slice name, struct slice value);
/* What object_build_put returns. */
enum status stream_build_entry_end(struct stream_build *build);
/* No ID is above the last one; as many entries were added as there are, at least. The body of the header into
 * `body`, which is empty. */
void stream_build_end(struct stream_build *build, struct stream_id last_id,
                      struct stream_id max_deleted_id, uint64_t entries_added, struct buffer *body);
void stream_build_release(struct stream_build *build);

#endif
