/* SPDX-License-Identifier: MIT */
/* DEBUG: what tests and people who look for a fault need. */
#include "commands/service_state.h"
#include "types/store_check.h"

#include <assert.h>
#include <sched.h>

enum { COMPACT_STEP_BYTES = 8 << 20 };

static int64_t milliseconds(double seconds)
{
    return seconds < 1e9 ? (int64_t)(seconds * 1000) : (int64_t)1e12;
}

/* It counts as if it had run all the time: that is how people try the slow log and the latency monitor. */
static enum status reply_after_sleep(struct command_context *c)
{
    double seconds = 0;
    bool is_number = slice_parse_double(c->arguments[2], &seconds);
    assert(is_number);
    (void)is_number; /* debug_sleep has looked */
    timing_record(c, service_thread(c->service), (uint64_t)milliseconds(seconds) * 1000);
    return reply_ok(c);
}

/* Only this client waits, not the server. */
static enum status debug_sleep(struct command_context *c)
{
    double seconds = 0;
    if (!slice_parse_double(c->arguments[2], &seconds))
        return reply_error(c, "ERR value is not a valid float");
    if (seconds * 1000 < 1)
        return reply_ok(c);
    int64_t timeout_ms = milliseconds(seconds);
    command_block(c,
                  &(struct command_wait){.timeout_ms = timeout_ms, .timed_out = reply_after_sleep});
    return STATUS_OK;
}

/* RELOAD, LOADAOF: the store is closed and opened again. */
static enum status debug_reload(struct command_context *c)
{
    struct service_host *host = &c->service->host;
    struct lsm_report report = {{0}};
    if (c->nowait)
        return STATUS_WOULD_BLOCK;
    if (!host->reload(host->context, &report))
        return reply_errorf(c, "ERR Error trying to load the dataset: %s", report.text);
    return reply_ok(c);
}

/* Flushes and merges until nothing is left to do. */
static enum status debug_compact(struct command_context *c)
{
    if (c->nowait)
        return STATUS_WOULD_BLOCK;
    struct lsm *engine = store_engine(service_store(c->service));
    lsm_request_compact(engine);
    while (!lsm_is_idle(engine))
        if (!lsm_work(engine, COMPACT_STEP_BYTES))
            sched_yield();
    return reply_ok(c);
}

static enum status debug_invariants(struct command_context *c)
{
    struct lsm_report report = {{0}};
    if (c->nowait)
        return STATUS_WOULD_BLOCK;
    enum status status = lsm_check_invariants(store_engine(service_store(c->service)), &report);
    if (!status)
        status = store_check(service_store(c->service), &report);
    if (status)
        return reply_errorf(c, "ERR %s: %s", status_text(status), report.text);
    return reply_ok(c);
}

static enum status debug_set_active_expire(struct command_context *c)
{
    int64_t on = 0;
    if (!argument_integer(c, 2, &on))
        return STATUS_OK;
    atomic_store(&c->service->active_expire, on != 0);
    return reply_ok(c);
}

static enum status debug_help(struct command_context *c)
{
    static const char *const lines[] = {
        "COMPACT",
        "    Flush all writes to tables and merge them.",
        "INVARIANTS",
        "    Check the structure of the open store and all headers.",
        "LOADAOF",
        "    Close the store and open it again, as after a clean stop.",
        "RELOAD",
        "    The same.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Setting it to 0 disables expiring keys in background when they are not",
        "    accessed (otherwise the Redis behavior). Setting it to 1 reenables back the",
        "    default.",
        "SLEEP <seconds>",
        "    Answer after <seconds>. Decimals allowed.",
        NULL,
    };
    return reply_help(c, lines);
}

enum status debug_command(struct command_context *c)
{
    static const struct {
        const char *name;
        size_t count; /* of all words; 0: any */
        command_handler *run;
    } subcommands[] = {
        {"SLEEP", 3, debug_sleep},
        {"RELOAD", 0, debug_reload},
        {"LOADAOF", 2, debug_reload},
        {"COMPACT", 2, debug_compact},
        {"INVARIANTS", 2, debug_invariants},
        {"SET-ACTIVE-EXPIRE", 3, debug_set_active_expire},
        {"HELP", 2, debug_help},
    };
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (argument_is(c, 1, subcommands[i].name) &&
            (subcommands[i].count == 0 || subcommands[i].count == c->count))
            return subcommands[i].run(c);
    return reply_errorf(
        c, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
        ARGUMENT_SHOWN(c, 1));
}
