/* SPDX-License-Identifier: MIT */
/* LCS. */
#include "base/memory.h"
#include "commands/lcs.h"
#include "commands/string_reply.h"

struct lcs_request {
    bool only_length, with_ranges, with_match_length;
    int64_t match_length_min;
};

/* One of the two strings; a missing key is an empty one. */
struct lcs_string {
    struct object object;
    bool found;
    uint64_t length;
    struct slice bytes;
};

/* false: the error is answered. */
static bool parse_lcs(struct command_context *c, struct lcs_request *request)
{
    for (size_t i = 3; i < c->count; i++) {
        if (argument_is(c, i, "LEN")) {
            request->only_length = true;
        } else if (argument_is(c, i, "IDX")) {
            request->with_ranges = true;
        } else if (argument_is(c, i, "WITHMATCHLEN")) {
            request->with_match_length = true;
        } else if (argument_is(c, i, "MINMATCHLEN") && i + 1 < c->count) {
            if (!argument_integer(c, ++i, &request->match_length_min))
                return false;
        } else {
            reply_syntax_error(c);
            return false;
        }
    }
    if (request->only_length && request->with_ranges) {
        reply_error(c, "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

/* ---- Replies ----------------------------------------------------------------------------------- */

struct range_reply {
    struct command_context *c;
    const struct lcs_request *request;
    size_t count;
};

static void reply_range(void *context, const struct lcs_range *range)
{
    struct range_reply *reply = context;
    struct resp_writer *w = reply->c->reply;
    int64_t length = (int64_t)(range->a_last - range->a_first + 1);
    if (length < reply->request->match_length_min)
        return;
    reply->count++;
    resp_array(w, reply->request->with_match_length ? 3 : 2);
    resp_array(w, 2);
    resp_integer(w, (int64_t)range->a_first);
    resp_integer(w, (int64_t)range->a_last);
    resp_array(w, 2);
    resp_integer(w, (int64_t)range->b_first);
    resp_integer(w, (int64_t)range->b_last);
    if (reply->request->with_match_length)
        resp_integer(w, length);
}

static enum status reply_ranges(struct command_context *c, const struct lcs_request *request,
                                struct slice a, struct slice b, struct buffer *common)
{
    struct range_reply reply = {.c = c, .request = request};
    resp_map(c->reply, 2);
    resp_bulk_text(c->reply, "matches");
    size_t mark = resp_deferred(c->reply);
    enum status status = lcs_find(a, b, common, reply_range, &reply);
    if (status)
        return status;
    resp_deferred_array(c->reply, mark, reply.count);
    resp_bulk_text(c->reply, "len");
    return reply_integer(c, (int64_t)common->size);
}

static enum status reply_lcs(struct command_context *c, const struct lcs_request *request,
                             struct slice a, struct slice b)
{
    struct buffer common = {0};
    uint64_t length = 0;
    enum status status;
    if (request->only_length) {
        status = lcs_length(a, b, &length);
        if (!status)
            status = reply_integer(c, (int64_t)length);
    } else if (request->with_ranges) {
        status = reply_ranges(c, request, a, b, &common);
    } else {
        status = lcs_find(a, b, &common, NULL, NULL);
        if (!status)
            status = reply_bulk(c, buffer_slice(&common));
    }
    buffer_release(&common);
    return status;
}

/* ---- The command ------------------------------------------------------------------------------- */

/* STATUS_WRONG_TYPE; STATUS_OK otherwise. */
static enum status find_lcs_string(struct command_context *c, size_t index,
                                   struct lcs_string *string)
{
    return find_string(c, index, &string->object, &string->length, &string->found);
}

/* Redis has a table of numbers, which must not be larger than an argument; ours is a 32nd of it. */
static bool fits_table(struct command_context *c, uint64_t a_length, uint64_t b_length)
{
    uint64_t limit =
        (uint64_t)config_integer(service_config(c->service), CONFIG_proto_max_bulk_len);
    if ((a_length + 1) * (b_length + 1) <= limit / sizeof(uint32_t))
        return true;
    reply_error(c, "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    return false;
}

/* `first` keeps the one that is read first, where it was put together from pieces. */
static enum status read_both(struct command_context *c, struct lcs_string *a, struct lcs_string *b,
                             struct buffer *first)
{
    enum status status = STATUS_OK;
    if (a->length == 0 || b->length == 0) /* nothing is common: none of them is read */
        return STATUS_OK;
    status = string_value(c->access, &a->object, &a->bytes);
    if (!status && a->object.id) {
        status = buffer_try_reserve(first, a->bytes.size);
        if (!status) {
            buffer_append_slice(first, a->bytes);
            a->bytes = buffer_slice(first);
        }
    }
    return status ? status : string_value(c->access, &b->object, &b->bytes);
}

enum status lcs_command(struct command_context *c)
{
    struct lcs_request request = {0};
    struct lcs_string a = {0}, b = {0};
    struct buffer first = {0};
    enum status status = find_lcs_string(c, 1, &a);
    if (!status)
        status = find_lcs_string(c, 2, &b);
    if (status == STATUS_WRONG_TYPE)
        return reply_error(c, "ERR The specified keys must contain string values");
    if (status)
        return status;
    if (!parse_lcs(c, &request) || !fits_table(c, a.length, b.length))
        return STATUS_OK;
    status = command_work_check(c, a.length * b.length);
    if (!status)
        status = read_both(c, &a, &b, &first);
    if (!status)
        status = reply_lcs(c, &request, a.bytes, b.bytes);
    buffer_release(&first);
    return status;
}
