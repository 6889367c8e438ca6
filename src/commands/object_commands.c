/* SPDX-License-Identifier: MIT */
/* OBJECT: what Redis tells of how it keeps a value. Values are on disk here; an encoding is the one that
 * Redis 7 would choose for a value of that size. */
#include "commands/command.h"
#include "types/list.h"
#include "types/string.h"

enum {
    INTEGER_BYTES_MAX = 20,
    EMBSTR_BYTES_MAX = 44,
    LISTPACK_BYTES_MAX = 8192, /* list-max-listpack-size -2 */
    LISTPACK_ENTRY_BYTES = 2,  /* beside an element that is not long */
};

/* Finds the key of OBJECT's subcommands; a missing one is answered. *found: it is there. */
static enum status find_object(struct command_context *c, struct object *object, bool *found)
{
    enum status status = keyspace_find(c->access, c->arguments[2], object);
    *found = status == STATUS_OK;
    return status == STATUS_NOT_FOUND ? reply_null(c) : status;
}

static enum status string_encoding(struct command_context *c, const struct object *object,
                                   const char **encoding)
{
    uint64_t length = 0;
    int64_t number;
    struct slice value;
    enum status status = string_length(object, &length);
    *encoding = "raw";
    if (status || length > EMBSTR_BYTES_MAX)
        return status;
    *encoding = "embstr";
    status = string_value(c->access, object, &value);
    if (!status && length <= INTEGER_BYTES_MAX && slice_parse_integer(value, &number))
        *encoding = "int";
    return status;
}

static void add_element(void *context, struct slice value)
{
    *(size_t *)context += value.size + LISTPACK_ENTRY_BYTES;
}

static enum status stop_behind_listpack(void *context)
{
    return *(size_t *)context > LISTPACK_BYTES_MAX ? STATUS_TOO_LARGE : STATUS_OK;
}

static enum status list_encoding(struct command_context *c, const struct object *object,
                                 const char **encoding)
{
    size_t bytes = 0;
    const struct list_visitor visitor = {
        .element = add_element, .context = &bytes, .check = stop_behind_listpack};
    enum status status = list_object_visit(c->access, object, &visitor);
    *encoding = status == STATUS_TOO_LARGE ? "quicklist" : "listpack";
    return status == STATUS_TOO_LARGE ? STATUS_OK : status;
}

enum status object_encoding_command(struct command_context *c)
{
    struct object object;
    bool found = false;
    const char *encoding = "stream";
    enum status status = find_object(c, &object, &found);
    if (!found)
        return status;
    if (object.type == OBJECT_STRING)
        status = string_encoding(c, &object, &encoding);
    else if (object.type == OBJECT_LIST)
        status = list_encoding(c, &object, &encoding);
    return status ? status : reply_bulk(c, slice_from(encoding));
}

enum status object_freq_command(struct command_context *c)
{
    struct object object;
    bool found = false;
    enum status status = find_object(c, &object, &found);
    if (!found)
        return status;
    return reply_error(c,
                       "ERR An LFU maxmemory policy is not selected, access frequency not tracked. "
                       "Please note that when switching between policies at runtime LRU and LFU "
                       "data will take some time to adjust.");
}

enum status object_idletime_command(struct command_context *c)
{
    struct object object;
    bool found = false;
    enum status status = find_object(c, &object, &found);
    return found ? reply_integer(c, 0) : status;
}

enum status object_refcount_command(struct command_context *c)
{
    struct object object;
    bool found = false;
    enum status status = find_object(c, &object, &found);
    return found ? reply_integer(c, 1) : status;
}

enum status object_help_command(struct command_context *c)
{
    static const char *const lines[] = {
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        NULL};
    return reply_help(c, lines);
}
