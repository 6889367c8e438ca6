/* SPDX-License-Identifier: MIT */
/* Strings as arrays of bits: SETBIT GETBIT BITCOUNT BITPOS BITOP. */
#include "base/memory.h"
#include "commands/bit_argument.h"
#include "commands/command_build.h"
#include "commands/string_reply.h"
#include "types/string_bits.h"

bool argument_bit_offset(struct command_context *c, size_t index, unsigned field_bits,
                         uint64_t *offset)
{
    struct slice text = c->arguments[index];
    int64_t limit = config_integer(service_config(c->service), CONFIG_proto_max_bulk_len);
    bool in_fields = field_bits > 0 && text.size > 0 && text.data[0] == '#';
    int64_t number = 0;
    bool is_valid = slice_parse_integer(in_fields ? slice_skip(text, 1) : text, &number) &&
                    !(in_fields && __builtin_mul_overflow(number, (int64_t)field_bits, &number));
    if (!is_valid || number < 0 || number / 8 >= limit) {
        reply_error(c, "ERR bit offset is not an integer or out of range");
        return false;
    }
    *offset = (uint64_t)number;
    return true;
}

/* ---- Single bits ------------------------------------------------------------------------------- */

enum status getbit_command(struct command_context *c)
{
    struct object object;
    uint64_t length, offset = 0;
    bool found, bit = false;
    if (!argument_bit_offset(c, 2, 0, &offset))
        return STATUS_OK;
    enum status status = find_string(c, 1, &object, &length, &found);
    if (!status && found)
        status = string_get_bit(c->access, &object, offset, &bit);
    return status ? status : reply_integer(c, bit);
}

enum status setbit_command(struct command_context *c)
{
    struct object object, *old;
    uint64_t length, offset = 0;
    int64_t bit = 0;
    bool was = false;
    if (!argument_bit_offset(c, 2, 0, &offset))
        return STATUS_OK;
    if (!slice_parse_integer(c->arguments[3], &bit) || bit < 0 || bit > 1)
        return reply_error(c, "ERR bit is not an integer or out of range");
    enum status status = find_old_string(c, 1, &object, &length, &old);
    if (!status)
        status = string_set_bit(c->access, c->arguments[1], old, offset, bit, &was);
    return status ? status : reply_integer(c, was);
}

/* ---- Ranges ------------------------------------------------------------------------------------ */

/* Of BITCOUNT and BITPOS: bytes or bits, negative ones from the end. */
struct bit_range {
    int64_t start, end;
    bool in_bits;
};

/* The unit at `index`, if the request has one; false: it is none. */
static bool parse_unit(const struct command_context *c, size_t index, bool *in_bits)
{
    *in_bits = argument_is(c, index, "BIT");
    return index >= c->count || *in_bits || argument_is(c, index, "BYTE");
}

/* As positions of bits, both inclusive; false: nothing lies between. */
static bool clip_bits(const struct bit_range *range, uint64_t length, uint64_t *first,
                      uint64_t *last)
{
    int64_t count = (int64_t)(range->in_bits ? 8 * length : length);
    int64_t start = range->start, end = range->end;
    if (start < 0)
        start = start < -count ? 0 : start + count;
    if (end < 0)
        end = end < -count ? 0 : end + count;
    if (end >= count)
        end = count - 1;
    if (start > end)
        return false;
    *first = (uint64_t)(range->in_bits ? start : 8 * start);
    *last = (uint64_t)(range->in_bits ? end : 8 * end + 7);
    return true;
}

/* Redis looks for the key before it looks at the range. */
enum status bitcount_command(struct command_context *c)
{
    struct object object;
    struct bit_range range = {.end = -1};
    uint64_t length, first, last, count = 0;
    bool found;
    enum status status = find_string(c, 1, &object, &length, &found);
    if (status || !found)
        return status ? status : reply_integer(c, 0);
    if (c->count == 3 || c->count > 5)
        return reply_syntax_error(c);
    if (c->count > 3 &&
        (!argument_integer(c, 2, &range.start) || !argument_integer(c, 3, &range.end)))
        return STATUS_OK;
    if (range.start < 0 && range.end < 0 && range.start > range.end)
        return reply_integer(c, 0);
    if (!parse_unit(c, 4, &range.in_bits))
        return reply_syntax_error(c);
    if (!clip_bits(&range, length, &first, &last))
        return reply_integer(c, 0);
    status = command_work_check(c, (last - first) / 8);
    if (!status)
        status = string_count_bits(c->access, &object, first, last, &count);
    return status ? status : reply_integer(c, (int64_t)count);
}

/* false: the error is answered. *has_end: the request says where to end. */
static bool parse_search(struct command_context *c, struct bit_range *range, bool *has_end)
{
    *range = (struct bit_range){.end = -1};
    *has_end = c->count > 4;
    if (c->count > 3 && !argument_integer(c, 3, &range->start))
        return false;
    if (c->count > 6 || !parse_unit(c, 5, &range->in_bits)) {
        reply_syntax_error(c);
        return false;
    }
    return !*has_end || argument_integer(c, 4, &range->end);
}

enum status bitpos_command(struct command_context *c)
{
    struct object object;
    struct bit_range range;
    int64_t bit = 0;
    uint64_t length, first, last, position = 0;
    bool found, has_end;
    if (!argument_integer(c, 2, &bit))
        return STATUS_OK;
    if (bit != 0 && bit != 1)
        return reply_error(c, "ERR The bit argument must be 1 or 0.");
    enum status status = find_string(c, 1, &object, &length, &found);
    if (status || !found) /* a missing key is zeros without an end */
        return status ? status : reply_integer(c, bit ? -1 : 0);
    if (!parse_search(c, &range, &has_end))
        return STATUS_OK;
    if (!clip_bits(&range, length, &first, &last))
        return reply_integer(c, -1);
    status = command_work_check(c, (last - first) / 8);
    if (!status)
        status = string_find_bit(c->access, &object, bit, first, last, &position);
    if (status == STATUS_NOT_FOUND) /* zeros follow, where the request does not say that it ends */
        return reply_integer(c, bit || has_end ? -1 : (int64_t)last + 1);
    return status ? status : reply_integer(c, (int64_t)position);
}

/* ---- BITOP ------------------------------------------------------------------------------------- */

static bool parse_operation(const struct command_context *c, enum bit_operation *operation)
{
    static const char *const names[] = {"AND", "OR", "XOR", "NOT"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        *operation = (enum bit_operation)i;
        if (argument_is(c, 1, names[i]))
            return true;
    }
    return false;
}

/* The objects of arguments 3 .. ; missing ones have type 0. */
struct sources {
    struct object *objects;
    size_t found;   /* those that are there */
    uint64_t bytes; /* of all */
    bool have_pieces;
};

static enum status find_sources(struct command_context *c, struct sources *sources)
{
    sources->found = 0;
    sources->bytes = 0;
    sources->have_pieces = false;
    for (size_t i = 3; i < c->count; i++) {
        struct object *source = &sources->objects[i - 3], *found;
        uint64_t length;
        enum status status = find_old_string(c, i, source, &length, &found);
        (void)command_lookup(c, !status && !found ? STATUS_NOT_FOUND : status); /* the same */
        if (status)
            return status;
        if (!found)
            *source = (struct object){0};
        sources->found += found != NULL;
        sources->bytes += length;
        sources->have_pieces |= source->id != 0;
    }
    return STATUS_OK;
}

static enum status store_result(struct command_context *c, struct slice result)
{
    struct object object;
    enum status status = keyspace_find(c->access, c->arguments[2], &object);
    struct object *old = status ? NULL : &object;
    if (status && status != STATUS_NOT_FOUND)
        return status;
    status = access_reserve(c->access, result.size + result.size / 512);
    if (status)
        return status;
    if (result.size > 0) {
        string_set(c->access, c->arguments[2], result, old, &(struct string_set_options){0});
    } else if (old) {
        keyspace_remove(c->access, c->arguments[2], old);
        access_fact(c->access, 'g', "del", c->arguments[2]);
    }
    return reply_integer(c, (int64_t)result.size);
}

static enum status combine(struct command_context *c, enum bit_operation operation,
                           const struct sources *sources)
{
    struct buffer result = {0};
    enum status status =
        string_combine(c->access, operation, sources->objects, c->count - 3, &result);
    if (!status)
        status = store_result(c, buffer_slice(&result));
    buffer_release(&result);
    return status;
}

/* Puts the result together without the lock. */
static enum status prepare_result(struct command_context *c)
{
    struct command_build *build = command_build_again(c);
    enum bit_operation operation;
    struct sources sources = {.objects =
                                  memory_ask_allocate((c->count - 3) * sizeof *sources.objects)};
    if (!sources.objects)
        return STATUS_NO_MEMORY;
    (void)parse_operation(c, &operation); /* has succeeded before */
    command_build_begin_read(build);
    enum status status = find_sources(c, &sources);
    if (!status)
        status = string_combine(c->access, operation, sources.objects, c->count - 3, &build->body);
    access_end(c->access);
    build->source_count = sources.found;
    build->is_made = !status;
    memory_free(sources.objects);
    return status == STATUS_WRONG_TYPE ? STATUS_OK : status; /* the handler finds out */
}

/* Those that are there now are what and as they were, and no other one was there. */
static enum status are_fresh(struct command_context *c, const struct sources *sources, bool *fresh)
{
    enum status status = STATUS_OK;
    *fresh = c->build->is_made && c->build->source_count == sources->found;
    for (size_t i = 3; i < c->count && !status && *fresh; i++)
        if (sources->objects[i - 3].type)
            status = command_build_is_fresh(c, c->arguments[i], fresh);
    return status;
}

static enum status run_bitop(struct command_context *c, enum bit_operation operation,
                             struct sources *sources)
{
    bool fresh = false;
    enum status status = find_sources(c, sources);
    if (!status)
        status = command_work_check(c, sources->bytes);
    if (status)
        return status;
    if (!sources->have_pieces || c->nowait || !c->may_block)
        return combine(c, operation, sources);
    if (!c->build)
        return command_prepare(c, prepare_result);
    status = are_fresh(c, sources, &fresh);
    if (status)
        return status;
    if (fresh)
        return store_result(c, buffer_slice(&c->build->body));
    if (c->build->attempts < COMMAND_BUILD_ATTEMPTS_MAX)
        return command_prepare(c, prepare_result);
    return combine(c, operation, sources); /* they are written to all the time */
}

enum status bitop_command(struct command_context *c)
{
    enum bit_operation operation;
    if (!parse_operation(c, &operation))
        return reply_syntax_error(c);
    if (operation == BIT_NOT && c->count != 4)
        return reply_error(c, "ERR BITOP NOT must be called with a single source key.");
    struct sources sources = {.objects =
                                  memory_ask_allocate((c->count - 3) * sizeof *sources.objects)};
    if (!sources.objects)
        return STATUS_NO_MEMORY;
    enum status status = run_bitop(c, operation, &sources);
    memory_free(sources.objects);
    return status;
}
