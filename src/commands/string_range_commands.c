/* SPDX-License-Identifier: MIT */
/* Parts of strings: STRLEN APPEND GETRANGE SUBSTR SETRANGE. */
#include "commands/string_reply.h"

enum status strlen_command(struct command_context *c)
{
    struct object object;
    uint64_t length;
    bool found;
    enum status status = find_string(c, 1, &object, &length, &found);
    return status ? status : reply_integer(c, (int64_t)length);
}

enum status append_command(struct command_context *c)
{
    struct object object, *old;
    uint64_t length;
    struct slice value = c->arguments[2];
    enum status status = find_old_string(c, 1, &object, &length, &old);
    if (!status)
        status = check_string_end(c, length, value.size);
    if (status)
        return status;
    if (value.size == 0 && old) /* a fact, and nothing to write */
        access_fact(c->access, '$', "append", c->arguments[1]);
    else if (value.size == 0)
        string_replace(c->access, c->arguments[1], value, NULL, "append");
    else
        status = string_write(c->access, c->arguments[1], old, length, value, "append");
    return status ? status : reply_integer(c, (int64_t)(length + value.size));
}

/* Both ends are inclusive, negative ones count from the end. false: nothing lies between. */
static bool clip_range(int64_t start, int64_t end, uint64_t length, uint64_t *offset,
                       uint64_t *size)
{
    int64_t count = (int64_t)length;
    if (start < 0 && end < 0 && start > end)
        return false;
    start = start >= 0 ? start : start < -count ? 0 : start + count;
    end = end >= 0 ? end : end < -count ? 0 : end + count;
    if (end >= count)
        end = count - 1;
    if (start > end || count == 0)
        return false;
    *offset = (uint64_t)start;
    *size = (uint64_t)(end - start + 1);
    return true;
}

/* GETRANGE; also SUBSTR, its first name. */
enum status getrange_command(struct command_context *c)
{
    struct object object;
    int64_t start = 0, end = 0;
    uint64_t length, offset, size;
    bool found;
    if (!argument_integer(c, 2, &start) || !argument_integer(c, 3, &end))
        return STATUS_OK;
    enum status status = find_string(c, 1, &object, &length, &found);
    if (status)
        return status;
    if (!clip_range(start, end, length, &offset, &size))
        return reply_bulk(c, slice_make(NULL, 0));
    return reply_string_part(c, &object, offset, size);
}

enum status setrange_command(struct command_context *c)
{
    struct object object, *old;
    int64_t offset = 0;
    uint64_t length;
    struct slice value = c->arguments[3];
    if (!argument_integer(c, 2, &offset))
        return STATUS_OK;
    if (offset < 0)
        return reply_error(c, "ERR offset is out of range");
    enum status status = find_old_string(c, 1, &object, &length, &old);
    if (status)
        return status;
    if (value.size == 0)
        return reply_integer(c, (int64_t)length);
    status = check_string_end(c, (uint64_t)offset, value.size);
    if (!status)
        status = string_write(c->access, c->arguments[1], old, (uint64_t)offset, value, "setrange");
    uint64_t end = (uint64_t)offset + value.size;
    return status ? status : reply_integer(c, (int64_t)(end > length ? end : length));
}
