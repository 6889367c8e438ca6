/* SPDX-License-Identifier: MIT */
/* XLEN, XRANGE, XREVRANGE, XREAD. */
#include "commands/stream_reply.h"

#include <assert.h>

enum status xlen_command(struct command_context *c)
{
    struct stream stream;
    enum status status = command_lookup(c, stream_find(c->access, c->arguments[1], &stream));
    if (status == STATUS_NOT_FOUND)
        return reply_integer(c, 0);
    return status ? status : reply_integer(c, (int64_t)stream.header.length);
}

/* ---- XRANGE, XREVRANGE ---------------------------------------------------------------------- */

/* The bounds of a range, made inclusive. false: the error is replied. */
static bool take_bounds(struct command_context *c, size_t first_index, size_t last_index,
                        struct stream_id *first, struct stream_id *last)
{
    bool skips_first, skips_last;
    if (!stream_id_parse_bound(c->arguments[first_index], 0, first, &skips_first)) {
        reply_error(c, STREAM_ID_ERROR);
        return false;
    }
    if (skips_first && !stream_id_increment(first)) {
        reply_error(c, "ERR invalid start ID for the interval");
        return false;
    }
    if (!stream_id_parse_bound(c->arguments[last_index], UINT64_MAX, last, &skips_last)) {
        reply_error(c, STREAM_ID_ERROR);
        return false;
    }
    if (skips_last && !stream_id_decrement(last)) {
        reply_error(c, "ERR invalid end ID for the interval");
        return false;
    }
    return true;
}

static enum status range_command(struct command_context *c, bool is_reverse)
{
    struct stream_id first, last;
    struct stream stream;
    bool has_count = false;
    int64_t count = 0;
    if (!take_bounds(c, is_reverse ? 3 : 2, is_reverse ? 2 : 3, &first, &last))
        return STATUS_OK;
    for (size_t i = 4; i < c->count; i += 2) {
        if (!argument_is(c, i, "COUNT") || i + 1 == c->count)
            return reply_syntax_error(c);
        if (!argument_integer(c, i + 1, &count))
            return STATUS_OK;
        has_count = true;
    }
    enum status status = command_lookup(c, stream_find(c->access, c->arguments[1], &stream));
    if (status == STATUS_NOT_FOUND) {
        resp_array(c->reply, 0);
        return STATUS_OK;
    }
    if (status)
        return status;
    if (has_count && count <= 0) {
        resp_null_array(c->reply);
        return STATUS_OK;
    }
    return reply_stream_range(c, &stream, first, last, is_reverse, (uint64_t)count);
}

enum status xrange_command(struct command_context *c)
{
    return range_command(c, false);
}

enum status xrevrange_command(struct command_context *c)
{
    return range_command(c, true);
}

/* ---- XREAD ---------------------------------------------------------------------------------- */

struct read_arguments {
    uint64_t count; /* 0: all */
    bool blocks;
    int64_t timeout_ms;
    size_t first_key, key_count; /* the IDs follow the keys */
};

/* false: the error is replied. */
static bool take_read_options(struct command_context *c, struct read_arguments *taken)
{
    int64_t count;
    for (size_t i = 1; i < c->count; i++) {
        bool has_more = i + 1 < c->count;
        if (has_more && argument_is(c, i, "BLOCK")) {
            taken->blocks = true;
            if (!argument_timeout_ms(c, ++i, &taken->timeout_ms))
                return false;
        } else if (has_more && argument_is(c, i, "COUNT")) {
            if (!argument_integer(c, ++i, &count))
                return false;
            taken->count = count > 0 ? (uint64_t)count : 0;
        } else if (has_more && argument_is(c, i, "STREAMS")) {
            taken->first_key = i + 1;
            taken->key_count = (c->count - taken->first_key) / 2;
            if ((c->count - taken->first_key) % 2 == 0)
                return true;
            reply_error(c, "ERR Unbalanced XREAD list of streams: for each stream key an ID or "
                           "'$' must be specified.");
            return false;
        } else if (argument_is(c, i, "GROUP") && i + 2 < c->count) {
            reply_error(c, "ERR The GROUP option is only supported by XREADGROUP. You called "
                           "XREAD instead.");
            return false;
        } else if (argument_is(c, i, "NOACK")) {
            reply_error(c, "ERR The NOACK option is only supported by XREADGROUP. You called "
                           "XREAD instead.");
            return false;
        } else {
            break;
        }
    }
    reply_syntax_error(c);
    return false;
}

/* The ID that is meant by $ (the newest now) or + (just before the newest entry), kept as the
 * argument, so that it means the same after blocking. */
static enum status resolve_id(struct command_context *c, size_t index, const struct stream *stream)
{
    struct stream_id id = stream->header.last_id;
    bool wants_newest_entry = c->arguments[index].data[0] == '+';
    if (wants_newest_entry && stream->header.length > 0) {
        struct stream_range range;
        struct stream_entry entry;
        enum status status = stream_last(c->access, stream, &range, &entry);
        stream_range_close(&range);
        if (status)
            return status == STATUS_NOT_FOUND ? STATUS_CORRUPT : status;
        id = entry.id;
        (void)stream_id_decrement(&id); /* no entry is 0-0 */
    }
    char text[STREAM_ID_TEXT_MAX];
    size_t size = stream_id_format(id, text);
    return command_set_argument(c, index, slice_make(text, size));
}

/* Who is blocked goes on waiting while the key is of another type. */
static enum status find_awaited(struct command_context *c, struct slice key, struct stream *stream)
{
    enum status status = stream_find(c->access, key, stream);
    return status == STATUS_WRONG_TYPE && c->resumed ? STATUS_NOT_FOUND : status;
}

/* Makes an ID of every ID argument. *done: an error is replied. */
static enum status resolve_ids(struct command_context *c, const struct read_arguments *taken,
                               bool *done)
{
    *done = false;
    for (size_t i = 0; i < taken->key_count; i++) {
        struct stream stream;
        struct stream_id id;
        size_t index = taken->first_key + taken->key_count + i;
        struct slice text = c->arguments[index];
        enum status status = find_awaited(c, c->arguments[taken->first_key + i], &stream);
        if (status == STATUS_NOT_FOUND)
            stream = (struct stream){0};
        else if (status)
            return status;
        if (slice_equal(text, slice_from("$")) || slice_equal(text, slice_from("+"))) {
            status = resolve_id(c, index, &stream);
            if (status)
                return status;
        } else if (slice_equal(text, slice_from(">"))) {
            *done = true;
            return reply_error(c, "ERR The > ID can be specified only when calling XREADGROUP "
                                  "using the GROUP <group> <consumer> option.");
        } else if (!stream_id_parse_strict(text, 0, &id)) {
            *done = true;
            return reply_error(c, STREAM_ID_ERROR);
        }
    }
    return STATUS_OK;
}

/* [key, entries] if there is an entry behind the ID; STATUS_NOT_FOUND if not. */
static enum status reply_stream_news(struct command_context *c, const struct read_arguments *taken,
                                     size_t stream_index)
{
    struct stream stream;
    struct stream_id id;
    struct slice key = c->arguments[taken->first_key + stream_index];
    bool is_id = stream_id_parse_strict(
        c->arguments[taken->first_key + taken->key_count + stream_index], 0, &id);
    assert(is_id);
    (void)is_id;
    enum status status = command_lookup(c, find_awaited(c, key, &stream));
    if (status)
        return status;
    if (stream.header.length == 0 || stream_id_compare(stream.header.last_id, id) <= 0)
        return STATUS_NOT_FOUND;
    (void)stream_id_increment(&id); /* there is a higher one */
    size_t before = c->reply->out->size;
    if (c->reply->protocol < 3)
        resp_array(c->reply, 2);
    resp_bulk(c->reply, key);
    size_t body = c->reply->out->size;
    status = reply_stream_range(c, &stream, id, STREAM_ID_MAX, false, taken->count);
    if (status)
        return status;
    /* The newest entries may have been deleted. */
    struct slice written = slice_skip(buffer_slice(c->reply->out), body);
    if (slice_equal(written, slice_from("*0\r\n"))) {
        c->reply->out->size = before;
        return STATUS_NOT_FOUND;
    }
    return STATUS_OK;
}

enum status xread_command(struct command_context *c)
{
    struct read_arguments taken = {0};
    bool done;
    if (!take_read_options(c, &taken))
        return STATUS_OK;
    enum status status = resolve_ids(c, &taken, &done);
    if (status || done)
        return status;

    size_t before = c->reply->out->size, shown = 0;
    size_t mark = resp_deferred(c->reply);
    for (size_t i = 0; i < taken.key_count; i++) {
        status = reply_stream_news(c, &taken, i);
        if (status && status != STATUS_NOT_FOUND)
            return status;
        shown += !status;
    }
    if (shown > 0) {
        if (c->reply->protocol < 3)
            resp_deferred_array(c->reply, mark, shown);
        else
            resp_deferred_map(c->reply, mark, shown);
        return STATUS_OK;
    }
    c->reply->out->size = before;
    if (taken.blocks && c->may_block)
        command_block(c, &(struct command_wait){.first_key = taken.first_key,
                                                .key_count = taken.key_count,
                                                .timeout_ms = taken.timeout_ms});
    else
        resp_null_array(c->reply);
    return STATUS_OK;
}
