/* SPDX-License-Identifier: MIT */
/* A stream in RDB, read and written: listpacks of up to a hundred entries with the ID and the fields of the first
 * one in front.
 *
 *      node      master | entry...
 *      master    entries | deleted ones | fields | name... | 0
 *      entry     flags | ms - master's | seq - master's | [fields] { name | value }... | parts of this entry
 *                flags SAME_FIELDS: no number of fields and no names, those are the master's */
#ifndef TYPES_RDB_STREAM_H
#define TYPES_RDB_STREAM_H

#include "types/rdb_listpack.h"
#include "types/rdb_load.h"
#include "types/stream_entry.h"
#include "types/stream_header.h"

/* What follows the type. As rdb_load. */
enum status rdb_load_stream(struct rdb_reader *reader, uint8_t type, const struct rdb_sink *sink);

/* ---- Writing: begin, entries in order, end. `out` may fail. ------------------------------------- */

struct rdb_stream_writer {
    struct buffer *out;
    size_t node_count_offset; /* in out */
    uint64_t node_count;
    struct listpack_writer node; /* entries behind the master */
    uint64_t entry_count;        /* of the node */
    struct stream_id master_id;
    struct buffer names; /* of the master entry, sized */
    uint64_t name_count;
};

void rdb_stream_begin(struct rdb_stream_writer *writer, struct buffer *out);
/* STATUS_CORRUPT: its fields are damaged. STATUS_TOO_LARGE: a listpack cannot hold it. */
enum status rdb_stream_put(struct rdb_stream_writer *writer, const struct stream_entry *entry);
/* Without groups. Releases the writer. */
void rdb_stream_end(struct rdb_stream_writer *writer, const struct stream_header *header);
void rdb_stream_release(struct rdb_stream_writer *writer);

#endif
