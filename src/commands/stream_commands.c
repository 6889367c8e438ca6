/* SPDX-License-Identifier: MIT */
/* XADD, XTRIM, XDEL. */
#include "commands/stream_reply.h"

#include "base/memory.h"

#include <assert.h>

enum { NODE_ENTRIES_DEFAULT = 100, LIMIT_NODES = 100, LIMIT_MAX = 1000000, IDS_ON_STACK = 16 };

/* What XADD and XTRIM have in common. */
struct trim_arguments {
    struct stream_trim trim;
    bool is_approximate, limit_given;
    int64_t limit;
    bool no_create;             /* XADD */
    size_t id_index;            /* XADD: where its ID stands */
    struct stream_id_spec spec; /* XADD */
};

static struct slice option_value(const struct command_context *c, size_t *index)
{
    return c->arguments[++*index];
}

/* MAXLEN or MINID, at *index; leaves *index at its last word. false: the error is replied. */
static bool take_threshold(struct command_context *c, size_t *index, struct trim_arguments *taken,
                           int kind)
{
    if (taken->trim.kind != STREAM_TRIM_NONE) {
        reply_error(c, "ERR syntax error, MAXLEN and MINID options at the same time are not "
                       "compatible");
        return false;
    }
    taken->is_approximate = false;
    if (*index + 2 < c->count && c->arguments[*index + 1].size == 1 &&
        (c->arguments[*index + 1].data[0] == '~' || c->arguments[*index + 1].data[0] == '='))
        taken->is_approximate = option_value(c, index).data[0] == '~';
    taken->trim.kind = kind;
    struct slice value = option_value(c, index);
    if (kind == STREAM_TRIM_MINID) {
        if (stream_id_parse_strict(value, 0, &taken->trim.minid))
            return true;
        reply_error(c, STREAM_ID_ERROR);
        return false;
    }
    int64_t maxlen;
    if (!argument_integer(c, *index, &maxlen))
        return false;
    if (maxlen < 0) {
        reply_error(c, "ERR The MAXLEN argument must be >= 0.");
        return false;
    }
    taken->trim.maxlen = (uint64_t)maxlen;
    return true;
}

static bool take_limit(struct command_context *c, size_t *index, struct trim_arguments *taken)
{
    ++*index;
    if (!argument_integer(c, *index, &taken->limit))
        return false;
    if (taken->limit < 0) {
        reply_error(c, "ERR The LIMIT argument must be >= 0.");
        return false;
    }
    taken->limit_given = true;
    return true;
}

/* What the options mean together. */
static bool finish_trim(struct command_context *c, struct trim_arguments *taken, bool is_add)
{
    const char *error = NULL;
    if (taken->limit > 0 && taken->trim.kind == STREAM_TRIM_NONE)
        error = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy";
    else if (!is_add && taken->trim.kind == STREAM_TRIM_NONE)
        error = "ERR syntax error, XTRIM must be called with a trimming strategy";
    else if (taken->limit_given && !taken->is_approximate)
        error = "ERR syntax error, LIMIT cannot be used without the special ~ option";
    if (error) {
        reply_error(c, error);
        return false;
    }
    if (!taken->is_approximate)
        return true;
    int64_t node_entries =
        config_integer(service_config(c->service), CONFIG_stream_node_max_entries);
    if (node_entries <= 0)
        node_entries = NODE_ENTRIES_DEFAULT;
    if (node_entries > LIMIT_MAX)
        node_entries = LIMIT_MAX;
    taken->trim.node_entries = (uint64_t)node_entries;
    taken->trim.limit = (uint64_t)taken->limit;
    if (!taken->limit_given) {
        uint64_t limit = LIMIT_NODES * (uint64_t)node_entries;
        taken->trim.limit = limit < LIMIT_MAX ? limit : LIMIT_MAX;
    }
    return true;
}

/* Options up to the ID of XADD, or to the end of XTRIM. false: the error is replied. */
static bool take_options(struct command_context *c, bool is_add, struct trim_arguments *taken)
{
    *taken = (struct trim_arguments){0};
    size_t index = 2;
    for (; index < c->count; index++) {
        bool has_more = index + 1 < c->count;
        if (is_add && slice_equal(c->arguments[index], slice_from("*"))) {
            taken->spec.kind = STREAM_ID_AUTO;
            break;
        }
        if (has_more && argument_is(c, index, "MAXLEN")) {
            if (!take_threshold(c, &index, taken, STREAM_TRIM_MAXLEN))
                return false;
        } else if (has_more && argument_is(c, index, "MINID")) {
            if (!take_threshold(c, &index, taken, STREAM_TRIM_MINID))
                return false;
        } else if (has_more && argument_is(c, index, "LIMIT")) {
            if (!take_limit(c, &index, taken))
                return false;
        } else if (is_add && argument_is(c, index, "NOMKSTREAM")) {
            taken->no_create = true;
        } else if (is_add && stream_id_parse_spec(c->arguments[index], &taken->spec)) {
            break;
        } else {
            reply_error(c, is_add ? STREAM_ID_ERROR : "ERR syntax error");
            return false;
        }
    }
    taken->id_index = index;
    return finish_trim(c, taken, is_add);
}

/* ---- XADD ----------------------------------------------------------------------------------- */

static enum status reply_verdict(struct command_context *c, enum stream_id_verdict verdict)
{
    if (verdict == STREAM_ID_EXHAUSTED)
        return reply_error(c, "ERR The stream has exhausted the last possible ID, unable to add "
                              "more items");
    return reply_error(c, "ERR The ID specified in XADD is equal or smaller than the target "
                          "stream top item");
}

static size_t sum_of_sizes(const struct slice *fields, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += fields[i].size;
    return size;
}

enum status xadd_command(struct command_context *c)
{
    struct trim_arguments taken;
    struct stream stream;
    struct stream_id id;
    if (!take_options(c, true, &taken))
        return STATUS_OK;
    size_t first = taken.id_index + 1;
    if (c->count < first + 2 || (c->count - first) % 2 == 1)
        return reply_wrong_arity(c);
    if (taken.spec.kind == STREAM_ID_GIVEN && !stream_id_compare(taken.spec.id, STREAM_ID_MIN))
        return reply_error(c, "ERR The ID specified in XADD must be greater than 0-0");

    enum status status = taken.no_create ? stream_find(c->access, c->arguments[1], &stream)
                                         : stream_find_or_new(c->access, c->arguments[1], &stream);
    if (status == STATUS_NOT_FOUND)
        return reply_null(c);
    if (status)
        return status;
    enum stream_id_verdict verdict =
        stream_next_id(&stream.header, &taken.spec, c->access->now_ms, &id);
    if (verdict != STREAM_ID_OK)
        return reply_verdict(c, verdict);
    struct stream_input input = {
        .fields = c->arguments + first, .field_count = (c->count - first) / 2, .event_ms = id.ms};
    size_t bytes = sum_of_sizes(input.fields, 2 * input.field_count);
    if (bytes > STREAM_ENTRY_BYTES_MAX)
        return reply_error(c, "ERR Elements are too large to be stored");
    status = stream_reserve(c->access, input.field_count, bytes);
    if (status)
        return status;
    status = stream_add(c->access, &stream, id, &input, &taken.trim);
    if (status)
        return status;
    reply_stream_id(c->reply, id);
    return STATUS_OK;
}

/* ---- XTRIM, XDEL ---------------------------------------------------------------------------- */

enum status xtrim_command(struct command_context *c)
{
    struct trim_arguments taken;
    struct stream stream;
    uint64_t removed = 0;
    if (!take_options(c, false, &taken))
        return STATUS_OK;
    enum status status = stream_find(c->access, c->arguments[1], &stream);
    if (status == STATUS_NOT_FOUND)
        return reply_integer(c, 0);
    if (!status)
        status = stream_trim(c->access, &stream, &taken.trim, &removed);
    return status ? status : reply_integer(c, (int64_t)removed);
}

/* false: the error is replied. */
static bool take_ids(struct command_context *c, size_t first, size_t end, struct stream_id *ids)
{
    for (size_t i = first; i < end; i++) {
        if (!stream_id_parse_strict(c->arguments[i], 0, &ids[i - first])) {
            reply_error(c, STREAM_ID_ERROR);
            return false;
        }
    }
    return true;
}

enum status xdel_command(struct command_context *c)
{
    struct stream_id on_stack[IDS_ON_STACK];
    struct stream_id *ids = on_stack;
    struct stream stream;
    size_t id_count = c->count - 2;
    uint64_t removed = 0;
    enum status status = stream_find(c->access, c->arguments[1], &stream);
    if (status == STATUS_NOT_FOUND)
        return reply_integer(c, 0);
    if (status)
        return status;
    if (id_count > IDS_ON_STACK)
        ids = memory_ask_allocate(id_count * sizeof *ids);
    if (!ids)
        return STATUS_NO_MEMORY;
    if (take_ids(c, 2, c->count, ids)) {
        status = stream_delete(c->access, &stream, ids, id_count, &removed);
        if (!status)
            reply_integer(c, (int64_t)removed);
    }
    if (ids != on_stack)
        memory_free(ids);
    return status;
}

/* ---- XSETID --------------------------------------------------------------------------------- */

/* false: the error is answered. */
static bool take_set_option(struct command_context *c, size_t i, struct stream_set *set)
{
    int64_t added = 0;
    if (argument_is(c, i, "ENTRIESADDED") && i + 1 < c->count) {
        if (!argument_integer(c, i + 1, &added))
            return false;
        if (added < 0) {
            reply_error(c, "ERR entries_added must be positive");
            return false;
        }
        set->has_entries_added = true;
        set->entries_added = (uint64_t)added;
        return true;
    }
    if (argument_is(c, i, "MAXDELETEDID") && i + 1 < c->count) {
        if (!take_ids(c, i + 1, i + 2, &set->max_deleted_id))
            return false;
        if (stream_id_compare(set->last_id, set->max_deleted_id) < 0) {
            reply_error(c, "ERR The ID specified in XSETID is smaller than the provided "
                           "max_deleted_entry_id");
            return false;
        }
        set->has_max_deleted_id = stream_id_compare(set->max_deleted_id, STREAM_ID_MIN) != 0;
        return true;
    }
    reply_syntax_error(c);
    return false;
}

enum status xsetid_command(struct command_context *c)
{
    static const char *const errors[] = {
        [STREAM_SET_BELOW_ENTRIES] =
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        [STREAM_SET_ADDED_TOO_FEW] =
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        [STREAM_SET_BELOW_MAX_DELETED] =
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        [STREAM_SET_BELOW_LATE] = "ERR The ID specified in XSETID is smaller than the last one, "
                                  "which a log with late entries keeps",
    };
    struct stream_set set = {0};
    struct stream stream;
    enum stream_set_verdict verdict = STREAM_SET_DONE;
    if (!take_ids(c, 2, 3, &set.last_id))
        return STATUS_OK;
    for (size_t i = 3; i < c->count; i += 2)
        if (!take_set_option(c, i, &set))
            return STATUS_OK;
    enum status status = stream_find(c->access, c->arguments[1], &stream);
    if (status == STATUS_NOT_FOUND)
        return reply_error(c, "ERR no such key");
    if (!status)
        status = stream_set_ids(c->access, &stream, &set, &verdict);
    if (status)
        return status;
    return verdict ? reply_error(c, errors[verdict]) : reply_ok(c);
}
