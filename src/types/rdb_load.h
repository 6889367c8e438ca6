/* SPDX-License-Identifier: MIT */
/* What RESTORE is given: a payload of DUMP, ours or Redis's, up to version 11 (rdb_format.h). Strings, lists and
 * streams in every form that Redis 7 reads. The bytes are foreign: whatever they are, nothing else is read, memory
 * is bounded by what they can fill, and what is no value is refused. Consumer groups are looked through and
 * left out. */
#ifndef TYPES_RDB_LOAD_H
#define TYPES_RDB_LOAD_H

#include "types/keyspace.h"
#include "types/stream_id.h"

/* What a stream is besides its entries. */
struct rdb_stream {
    uint64_t length;
    struct stream_id last_id, max_deleted_id;
    uint64_t entries_added;
    uint64_t group_count; /* that were left out */
};

/* Gets the value piece by piece; slices are valid during the call. A status ends the loading. */
struct rdb_sink {
    enum status (*string)(void *context, struct slice value);
    enum status (*element)(void *context, struct slice value);
    /* An entry: IDs ascend, `count` (1 at least) fields follow. */
    enum status (*entry)(void *context, struct stream_id id, uint64_t count);
    enum status (*field)(void *context, struct slice name, struct slice value);
    enum status (*entry_end)(void *context);
    enum status (*stream)(void *context, const struct rdb_stream *stream); /* at last */
    void *context;
};

/* STATUS_CORRUPT: the checksum is wrong, or the version is one that we do not know. *value: what stands before it. */
enum status rdb_open(struct slice payload, struct slice *value);
/* STATUS_INVALID: bad data. STATUS_WRONG_TYPE: of a type that is not there. STATUS_NO_MEMORY, and what the sink
 * returns. */
enum status rdb_type(struct slice value, enum object_type *type);
enum status rdb_load(struct slice value, const struct rdb_sink *sink);

#endif
