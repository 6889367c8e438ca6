/* SPDX-License-Identifier: MIT */
/* MEMORY. Values are on disk, so USAGE tells the bytes of their records; the other subcommands are about this process. */
#include "commands/memory_doctor.h"
#include "commands/process_memory.h"
#include "commands/service_state.h"
#include "types/keyspace.h"
#include "types/object_size.h"

enum { SAMPLES_DEFAULT = 5 };

/* ---- USAGE -------------------------------------------------------------------------------------- */

/* false: the error is answered. */
static bool parse_samples(struct command_context *c, uint64_t *samples)
{
    int64_t number = SAMPLES_DEFAULT;
    for (size_t i = 3; i < c->count; i += 2) {
        bool is_option = argument_is(c, i, "SAMPLES") && i + 1 < c->count;
        if (is_option && !argument_integer(c, i + 1, &number))
            return false;
        if (!is_option || number < 0) {
            reply_syntax_error(c);
            return false;
        }
    }
    *samples = (uint64_t)number;
    return true;
}

static enum status check_work(void *context, uint64_t bytes)
{
    return command_work_check(context, bytes);
}

enum status memory_usage_command(struct command_context *c)
{
    struct object_size_options options = {.check = check_work, .context = c};
    struct object object;
    uint64_t bytes = 0;
    if (!parse_samples(c, &options.samples))
        return STATUS_OK;
    enum status status = keyspace_find(c->access, c->arguments[2], &object);
    if (status == STATUS_NOT_FOUND)
        return reply_null(c);
    if (!status)
        status = object_size(c->access, c->arguments[2], &object, &options, &bytes);
    return status ? status : reply_integer(c, (int64_t)bytes);
}

/* ---- STATS -------------------------------------------------------------------------------------- */

static void figure(struct command_context *c, const char *name, uint64_t value)
{
    resp_bulk_text(c->reply, name);
    resp_integer(c->reply, (int64_t)value);
}

static void percentage(struct command_context *c, const char *name, uint64_t part, uint64_t whole)
{
    resp_bulk_text(c->reply, name);
    resp_double(c->reply, whole ? (double)part * 100 / (double)whole : 0);
}

/* Of all databases. */
static enum status count_keys(struct command_context *c, uint64_t *keys)
{
    unsigned count = store_database_count(service_store(c->service));
    for (unsigned i = 0; i < count; i++) {
        uint64_t some = 0, expires = 0;
        enum status status = access_select(c->access, i);
        if (!status)
            status = keyspace_count(c->access, &some, &expires);
        if (status)
            return status;
        *keys += some;
    }
    return STATUS_OK;
}

enum status memory_stats_command(struct command_context *c)
{
    struct process_memory memory;
    struct process_heap heap;
    struct lsm_stats engine;
    uint64_t keys = 0;
    enum status status = count_keys(c, &keys);
    if (status)
        return status;
    process_memory_read(&memory);
    process_heap_read(&heap);
    lsm_get_stats(store_engine(service_store(c->service)), &engine);
    uint64_t all = memory.resident_bytes, data = engine.memtable_bytes + engine.cache_bytes;
    size_t figures = 0, mark = resp_deferred(c->reply);
    const struct {
        const char *name;
        uint64_t value;
    } bytes[] = {
        {"peak.allocated", memory.peak_bytes},
        {"total.allocated", all},
        {"clients.normal", atomic_load(&c->service->client_bytes)},
        {"overhead.total", all > data ? all - data : 0},
        {"keys.count", keys},
        {"keys.bytes-per-key", keys ? data / keys : 0},
        {"dataset.bytes", data},
        {"memtables.bytes", engine.memtable_bytes},
        {"block-cache.bytes", engine.cache_bytes},
        {"maxmemory.counted", service_memory_bytes(c->service)},
        {"allocator.allocated", heap.used_bytes},
        {"allocator.resident", heap.held_bytes},
    };
    for (; figures < sizeof bytes / sizeof *bytes; figures++)
        figure(c, bytes[figures].name, bytes[figures].value);
    percentage(c, "dataset.percentage", data, all);
    percentage(c, "peak.percentage", all, memory.peak_bytes);
    resp_deferred_map(c->reply, mark, figures + 2);
    return STATUS_OK;
}

/* ---- DOCTOR, PURGE, MALLOC-STATS, HELP -------------------------------------------------------------- */

static uint64_t limit(const struct command_context *c, enum config_name name)
{
    return (uint64_t)config_integer(service_config(c->service), name);
}

enum status memory_doctor_command(struct command_context *c)
{
    struct lsm *store = store_engine(service_store(c->service));
    struct process_memory memory;
    struct process_heap heap;
    struct lsm_stats engine;
    struct buffer report = {0};
    process_memory_read(&memory);
    process_heap_read(&heap);
    lsm_get_stats(store, &engine);
    const struct memory_facts facts = {
        .counted_bytes = service_memory_bytes(c->service),
        .counted_bytes_max = limit(c, CONFIG_maxmemory),
        .client_bytes = atomic_load(&c->service->client_bytes),
        .client_bytes_max = limit(c, CONFIG_maxmemory_clients),
        .memtable_bytes = engine.memtable_bytes,
        .memtable_bytes_max = limit(c, CONFIG_memtable_size),
        .write_delay_us = lsm_write_delay_us(store),
        .cache_bytes = engine.cache_bytes,
        .cache_bytes_max = limit(c, CONFIG_block_cache_size),
        .cache_hits = engine.cache_hits,
        .cache_misses = engine.cache_misses,
        .heap_used_bytes = heap.used_bytes,
        .heap_held_bytes = heap.held_bytes,
        .resident_bytes = memory.resident_bytes,
        .peak_bytes = memory.peak_bytes,
    };
    memory_doctor_report(&facts, &report);
    resp_verbatim(c->reply, "txt", buffer_slice(&report));
    buffer_release(&report);
    return STATUS_OK;
}

enum status memory_purge_command(struct command_context *c)
{
    if (c->nowait)
        return STATUS_WOULD_BLOCK;
    process_heap_trim(0);
    return reply_ok(c);
}

enum status memory_malloc_stats_command(struct command_context *c)
{
    struct buffer report = {0};
    if (c->nowait)
        return STATUS_WOULD_BLOCK;
    if (process_heap_report(&report))
        resp_verbatim(c->reply, "txt", buffer_slice(&report));
    else
        resp_bulk_text(c->reply, "Stats not supported for the current allocator");
    buffer_release(&report);
    return STATUS_OK;
}

enum status memory_help_command(struct command_context *c)
{
    static const char *const lines[] = {
        "DOCTOR",
        "    Return memory problems reports.",
        "MALLOC-STATS",
        "    Return internal statistics report from the memory allocator.",
        "PURGE",
        "    Attempt to purge dirty pages for reclamation by the allocator.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
        NULL,
    };
    return reply_help(c, lines);
}
