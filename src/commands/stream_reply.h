/* SPDX-License-Identifier: MIT */
/* Entries of streams as replies: [id, [field, value, ...]]. */
#ifndef COMMANDS_STREAM_REPLY_H
#define COMMANDS_STREAM_REPLY_H

#include "commands/command.h"
#include "types/stream.h"

#define STREAM_ID_ERROR "ERR Invalid stream ID specified as stream command argument"

void reply_stream_id(struct resp_writer *reply, struct stream_id id);
/* STATUS_CORRUPT: what was appended is to be cut off. */
enum status reply_stream_entry(struct resp_writer *reply, const struct stream_entry *entry);
/* The fields alone: an array of names and values. */
enum status reply_stream_fields(struct resp_writer *reply, const struct stream_entry *entry);
/* An array of entries of [first, last], at most `count` (0: all). */
enum status reply_stream_range(struct command_context *c, const struct stream *stream,
                               struct stream_id first, struct stream_id last, bool is_reverse,
                               uint64_t count);

#endif
