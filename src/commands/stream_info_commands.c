/* SPDX-License-Identifier: MIT */
/* XINFO STREAM and HELP. */
#include "commands/stream_reply.h"

enum { NODE_ENTRIES = 100, FULL_COUNT_DEFAULT = 10 };

enum status xinfo_help_command(struct command_context *c)
{
    static const char *const lines[] = {
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
        NULL,
    };
    return reply_help(c, lines);
}

static void reply_id_pair(struct resp_writer *reply, const char *name, struct stream_id id)
{
    resp_bulk_text(reply, name);
    reply_stream_id(reply, id);
}

static void reply_integer_pair(struct resp_writer *reply, const char *name, uint64_t value)
{
    resp_bulk_text(reply, name);
    resp_integer(reply, (int64_t)value);
}

/* The fields that both forms begin with. Nodes of a radix tree are what Redis would have. */
static void reply_info_head(struct resp_writer *reply, const struct stream_header *header)
{
    uint64_t first_node = header->first_ordinal / NODE_ENTRIES;
    uint64_t end_node = (header->next_ordinal + NODE_ENTRIES - 1) / NODE_ENTRIES;
    uint64_t nodes = header->length > 0 ? end_node - first_node : 0;
    reply_integer_pair(reply, "length", header->length);
    reply_integer_pair(reply, "radix-tree-keys", nodes);
    reply_integer_pair(reply, "radix-tree-nodes", nodes + 1);
    reply_id_pair(reply, "last-generated-id", header->last_id);
    reply_id_pair(reply, "max-deleted-entry-id", header->max_deleted_id);
    reply_integer_pair(reply, "entries-added", header->entries_added);
    reply_id_pair(reply, "recorded-first-entry-id",
                  header->length > 0 ? header->first_id : STREAM_ID_MIN);
}

/* The first or the last entry, or null. */
static enum status reply_edge(struct command_context *c, const struct stream *stream, bool is_last)
{
    struct stream_range range;
    struct stream_entry entry;
    stream_range_open(c->access, stream, STREAM_ID_MIN, STREAM_ID_MAX, is_last, &range);
    enum status status = stream_range_next(&range, &entry);
    if (status == STATUS_NOT_FOUND) {
        status = STATUS_OK;
        resp_null(c->reply);
    } else if (!status) {
        status = reply_stream_entry(c->reply, &entry);
    }
    stream_range_close(&range);
    return status;
}

static enum status reply_short(struct command_context *c, const struct stream *stream)
{
    resp_map(c->reply, 10);
    reply_info_head(c->reply, &stream->header);
    reply_integer_pair(c->reply, "groups", 0);
    resp_bulk_text(c->reply, "first-entry");
    enum status status = reply_edge(c, stream, false);
    if (status)
        return status;
    resp_bulk_text(c->reply, "last-entry");
    return reply_edge(c, stream, true);
}

static enum status reply_full(struct command_context *c, const struct stream *stream,
                              uint64_t count)
{
    resp_map(c->reply, 9);
    reply_info_head(c->reply, &stream->header);
    resp_bulk_text(c->reply, "entries");
    enum status status = reply_stream_range(c, stream, STREAM_ID_MIN, STREAM_ID_MAX, false, count);
    if (status)
        return status;
    resp_bulk_text(c->reply, "groups");
    resp_array(c->reply, 0);
    return STATUS_OK;
}

enum status xinfo_stream_command(struct command_context *c)
{
    struct stream stream;
    int64_t count = FULL_COUNT_DEFAULT;
    bool is_full = c->count > 3;
    enum status status = command_lookup(c, stream_find(c->access, c->arguments[2], &stream));
    if (status == STATUS_NOT_FOUND)
        return reply_error(c, "ERR no such key");
    if (status)
        return status;
    bool fits = c->count == 3 || (c->count == 4 && argument_is(c, 3, "FULL")) ||
                (c->count == 6 && argument_is(c, 3, "FULL") && argument_is(c, 4, "COUNT"));
    if (!fits)
        return reply_errorf(
            c, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try XINFO HELP.",
            (int)c->arguments[1].size, (const char *)c->arguments[1].data);
    if (c->count == 6 && !argument_integer(c, 5, &count))
        return STATUS_OK;
    if (!is_full)
        return reply_short(c, &stream);
    return reply_full(c, &stream, count < 0 ? FULL_COUNT_DEFAULT : (uint64_t)count);
}
