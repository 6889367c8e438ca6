/* SPDX-License-Identifier: MIT */
/* BITFIELD, BITFIELD_RO. */
#include "base/memory.h"
#include "commands/bit_argument.h"
#include "commands/string_reply.h"
#include "types/string_bits.h"

/* The steps of a request. */
struct bit_field_request {
    struct bit_field_step *steps;
    size_t count;
    enum bit_field_overflow overflow; /* of the steps that follow */
    bool writes;
};

/* "i16", "u8"; false: the error is answered. */
static bool parse_type(struct command_context *c, size_t index, struct bit_field_step *step)
{
    struct slice text = c->arguments[index];
    int64_t bits = 0;
    step->is_signed = text.size > 0 && text.data[0] == 'i';
    bool is_type = step->is_signed || (text.size > 0 && text.data[0] == 'u');
    if (!is_type || !slice_parse_integer(slice_skip(text, 1), &bits) || bits < 1 ||
        bits > (step->is_signed ? 64 : 63)) {
        reply_error(c, "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is "
                       "not supported but i64 is.");
        return false;
    }
    step->bits = (unsigned)bits;
    return true;
}

static bool parse_overflow(struct command_context *c, size_t index,
                           enum bit_field_overflow *overflow)
{
    if (argument_is(c, index, "WRAP")) {
        *overflow = BIT_FIELD_WRAP;
    } else if (argument_is(c, index, "SAT")) {
        *overflow = BIT_FIELD_SATURATE;
    } else if (argument_is(c, index, "FAIL")) {
        *overflow = BIT_FIELD_FAIL;
    } else {
        reply_error(c, "ERR Invalid OVERFLOW type specified");
        return false;
    }
    return true;
}

/* A step at *i, which moves behind it; false: the error is answered. */
static bool parse_step(struct command_context *c, size_t *i, struct bit_field_request *request)
{
    struct bit_field_step step = {.overflow = request->overflow};
    size_t left = c->count - *i - 1;
    if (argument_is(c, *i, "GET") && left >= 2) {
        step.action = BIT_FIELD_GET;
    } else if (argument_is(c, *i, "SET") && left >= 3) {
        step.action = BIT_FIELD_SET;
    } else if (argument_is(c, *i, "INCRBY") && left >= 3) {
        step.action = BIT_FIELD_INCREMENT;
    } else if (argument_is(c, *i, "OVERFLOW") && left >= 1) {
        *i += 2;
        return parse_overflow(c, *i - 1, &request->overflow);
    } else {
        reply_syntax_error(c);
        return false;
    }
    bool writes = step.action != BIT_FIELD_GET;
    if (!parse_type(c, *i + 1, &step) ||
        !argument_bit_offset(c, *i + 2, step.bits, &step.position) ||
        (writes && !argument_integer(c, *i + 3, &step.value)))
        return false;
    request->writes |= writes;
    request->steps[request->count++] = step;
    *i += writes ? 4 : 3;
    return true;
}

static enum status reply_steps(struct command_context *c, const struct bit_field_request *request)
{
    resp_array(c->reply, request->count);
    for (size_t i = 0; i < request->count; i++) {
        if (request->steps[i].has_failed)
            resp_null(c->reply);
        else
            resp_integer(c->reply, request->steps[i].result);
    }
    return STATUS_OK;
}

static enum status run(struct command_context *c, struct bit_field_request *request,
                       bool only_reads)
{
    struct object object, *old;
    uint64_t length;
    bool found;
    for (size_t i = 2; i < c->count;)
        if (!parse_step(c, &i, request))
            return STATUS_OK;
    if (request->writes && only_reads)
        return reply_error(c, "ERR BITFIELD_RO only supports the GET subcommand");
    enum status status;
    if (!request->writes) {
        status = find_string(c, 1, &object, &length, &found);
        old = found ? &object : NULL;
    } else {
        status = find_old_string(c, 1, &object, &length, &old);
    }
    if (!status) /* before it writes */
        status = command_reply_reserve(c, 32 * (request->count + 1));
    if (!status)
        status = string_bit_fields(c->access, c->arguments[1], old, request->steps, request->count);
    return status ? status : reply_steps(c, request);
}

static enum status run_steps(struct command_context *c, bool only_reads)
{
    struct bit_field_request request = {0};
    size_t count_max = c->count / 3; /* of steps */
    if (count_max > 0)
        request.steps = memory_ask_allocate(count_max * sizeof *request.steps);
    if (count_max > 0 && !request.steps)
        return STATUS_NO_MEMORY;
    enum status status = run(c, &request, only_reads);
    memory_free(request.steps);
    return status;
}

enum status bitfield_command(struct command_context *c)
{
    return run_steps(c, false);
}

enum status bitfield_ro_command(struct command_context *c)
{
    return run_steps(c, true);
}
