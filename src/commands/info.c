/* SPDX-License-Identifier: MIT */
/* INFO: Redis's sections and field names with our values, and a section of our own, cordwood, with
 * the engine's counters. What has no counterpart here shows the value that says so (0, or "ok"). */
#include "commands/info.h"

#include "commands/config_lines.h"
#include "commands/process_memory.h"
#include "commands/process_time.h"
#include "commands/service_state.h"
#include "types/keyspace.h"

#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { LOOPS_SHOWN_MAX = 128 }; /* as io-threads has it */

struct info {
    struct service *service;
    struct access *access;
    struct buffer *out;
    struct lsm_stats engine;
    enum status status;
};

static void field(struct info *info, const char *name, const char *value)
{
    buffer_printf(info->out, "%s:%s\r\n", name, value);
}

static void number(struct info *info, const char *name, uint64_t value)
{
    buffer_printf(info->out, "%s:%llu\r\n", name, (unsigned long long)value);
}

/* Fields of what is not there. */
static void zeros(struct info *info, const char *const *names)
{
    for (; *names; names++)
        number(info, *names, 0);
}
#define ZEROS(info, ...) zeros(info, (const char *const[]){__VA_ARGS__, NULL})

static uint64_t counter(const atomic_ullong *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static uint64_t config_number(struct info *info, enum config_name name)
{
    return (uint64_t)config_integer(service_config(info->service), name);
}

static uint64_t uptime_seconds(struct info *info)
{
    return (env_monotonic_us(info->service->env) - info->service->started_us) / 1000000;
}

static void append_executable(struct info *info)
{
    char path[1024];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    field(info, "executable", path);
}

static void append_config_file(struct info *info)
{
    buffer_append_text(info->out, "config_file:");
    config_path(service_config(info->service), info->out);
    buffer_append_text(info->out, "\r\n");
}

static void info_server(struct info *info)
{
    struct utsname name;
    uint64_t up = uptime_seconds(info);
    field(info, "redis_version", REDIS_VERSION);
    field(info, "cordwood_version", CORDWOOD_VERSION);
    field(info, "redis_git_sha1", "00000000");
    field(info, "redis_git_dirty", "0");
    field(info, "redis_build_id", "0");
    field(info, "redis_mode", "standalone");
    if (uname(&name) == 0)
        buffer_printf(info->out, "os:%s %s %s\r\n", name.sysname, name.release, name.machine);
    number(info, "arch_bits", sizeof(void *) * 8);
    field(info, "monotonic_clock", "POSIX clock_gettime");
    field(info, "multiplexing_api", "libuv");
    field(info, "atomicvar_api", "c11-builtin");
    field(info, "gcc_version", __VERSION__);
    number(info, "process_id", (uint64_t)getpid());
    field(info, "process_supervised", "no");
    field(info, "run_id", info->service->run_id);
    uint64_t port = config_number(info, CONFIG_port);
    number(info, "tcp_port",
           port ? port : config_number(info, CONFIG_tls_port)); /* as Redis has it */
    number(info, "json_port", config_number(info, CONFIG_json_port));
    number(info, "server_time_usec", env_wall_ms(info->service->env) * 1000);
    number(info, "uptime_in_seconds", up);
    number(info, "uptime_in_days", up / 86400);
    number(info, "hz", config_number(info, CONFIG_hz));
    number(info, "configured_hz", config_number(info, CONFIG_hz));
    number(info, "lru_clock", env_wall_ms(info->service->env) / 1000 & 0xffffff);
    append_executable(info);
    append_config_file(info);
    field(info, "io_threads_active", config_number(info, CONFIG_io_threads) > 1 ? "1" : "0");
}

struct client_counts {
    size_t clients, blocked, blocked_in, json;
    size_t input_max, output_max;
};

static void count_client(void *context, struct session *session)
{
    struct client_counts *counts = context;
    size_t input = atomic_load_explicit(&session->input_bytes, memory_order_relaxed);
    size_t output = atomic_load_explicit(&session->output_bytes, memory_order_relaxed);
    counts->clients++;
    counts->json += session->json;
    counts->blocked += atomic_load_explicit(&session->is_blocked, memory_order_relaxed);
    if (input > counts->input_max)
        counts->input_max = input;
    if (output > counts->output_max)
        counts->output_max = output;
}

static void info_clients(struct info *info)
{
    struct client_counts counts = {0};
    service_each_client(info->service, count_client, &counts);
    number(info, "connected_clients", counts.clients);
    number(info, "cluster_connections", 0);
    number(info, "maxclients", config_number(info, CONFIG_maxclients));
    number(info, "client_recent_max_input_buffer", counts.input_max);
    number(info, "client_recent_max_output_buffer", counts.output_max);
    number(info, "blocked_clients", counts.blocked);
    number(info, "tracking_clients", atomic_load(&info->service->tracking.client_count));
    number(info, "clients_in_timeout_table", counts.blocked);
    number(info, "json_clients", counts.json);
}

/* Of the log. */
static uint64_t unwritten_bytes(const struct lsm_stats *engine)
{
    return engine->visible_lsn > engine->written_lsn ? engine->visible_lsn - engine->written_lsn
                                                     : 0;
}

static void human(struct info *info, const char *name, uint64_t bytes)
{
    static const char units[] = "BKMGTP";
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit < sizeof units - 2) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        buffer_printf(info->out, "%s:%lluB\r\n", name, (unsigned long long)bytes);
    else
        buffer_printf(info->out, "%s:%.2f%c\r\n", name, value, units[unit]);
}

static void percentage(struct info *info, const char *name, uint64_t part, uint64_t whole)
{
    buffer_printf(info->out, "%s:%.2f%%\r\n", name, whole ? (double)part * 100 / (double)whole : 0);
}

/* How much more `all` is than `part`, as a factor and in bytes. */
static void excess(struct info *info, const char *name, uint64_t all, uint64_t part)
{
    buffer_printf(info->out, "%s_ratio:%.2f\r\n%s_bytes:%lld\r\n", name,
                  part ? (double)all / (double)part : 1, name, (long long)all - (long long)part);
}

/* The C library's heap tells what it has given out and what it holds, not how much of that is resident. */
static void info_heap(struct info *info, uint64_t resident)
{
    struct process_heap heap;
    process_heap_read(&heap);
    uint64_t heap_resident = heap.held_bytes < resident ? heap.held_bytes : resident;
    number(info, "allocator_allocated", heap.used_bytes);
    number(info, "allocator_active", heap.held_bytes);
    number(info, "allocator_resident", heap_resident);
    excess(info, "allocator_frag", heap.held_bytes, heap.used_bytes);
    excess(info, "allocator_rss", heap_resident, heap.held_bytes);
    excess(info, "rss_overhead", resident, heap_resident);
}

static void info_memory(struct info *info)
{
    struct process_memory memory;
    process_memory_read(&memory);
    uint64_t resident = memory.resident_bytes;
    uint64_t engine = info->engine.memtable_bytes + info->engine.cache_bytes;
    number(info, "used_memory", resident);
    human(info, "used_memory_human", resident);
    number(info, "used_memory_rss", resident);
    human(info, "used_memory_rss_human", resident);
    number(info, "used_memory_peak", memory.peak_bytes);
    human(info, "used_memory_peak_human", memory.peak_bytes);
    percentage(info, "used_memory_peak_perc", resident, memory.peak_bytes);
    number(info, "used_memory_overhead", resident > engine ? resident - engine : 0);
    number(info, "used_memory_startup", info->service->startup_bytes);
    number(info, "used_memory_dataset", engine);
    percentage(info, "used_memory_dataset_perc", engine, resident);
    info_heap(info, resident);
    number(info, "total_system_memory", memory.system_bytes);
    human(info, "total_system_memory_human", memory.system_bytes);
    ZEROS(info, "used_memory_lua", "used_memory_vm_eval", "used_memory_scripts_eval",
          "number_of_cached_scripts", "number_of_functions", "number_of_libraries",
          "used_memory_vm_functions", "used_memory_vm_total", "used_memory_functions",
          "used_memory_scripts");
    human(info, "used_memory_lua_human", 0);
    human(info, "used_memory_vm_total_human", 0);
    human(info, "used_memory_scripts_human", 0);
    number(info, "maxmemory", config_number(info, CONFIG_maxmemory));
    human(info, "maxmemory_human", config_number(info, CONFIG_maxmemory));
    field(info, "maxmemory_policy", "noeviction");
    number(info, "maxmemory_counted", service_memory_bytes(info->service));
    field(info, "mem_fragmentation_ratio", "1.00");
    ZEROS(info, "mem_fragmentation_bytes", "mem_not_counted_for_evict", "mem_replication_backlog",
          "mem_total_replication_buffers", "mem_clients_slaves", "mem_cluster_links");
    number(info, "mem_clients_normal", atomic_load(&info->service->client_bytes));
    number(info, "mem_aof_buffer", unwritten_bytes(&info->engine));
    field(info, "mem_allocator", "libc");
    ZEROS(info, "active_defrag_running", "lazyfree_pending_objects", "lazyfreed_objects");
}

static void info_persistence(struct info *info)
{
    const struct lsm_stats *engine = &info->engine;
    const struct service_stats *stats = service_stats(info->service);
    bool is_broken = engine->read_only;
    ZEROS(info, "loading", "async_loading", "current_cow_peak", "current_cow_size",
          "current_cow_size_age");
    field(info, "current_fork_perc", "0.00");
    ZEROS(info, "current_save_keys_processed", "current_save_keys_total",
          "rdb_changes_since_last_save", "rdb_bgsave_in_progress");
    number(info, "rdb_last_save_time", atomic_load(&info->service->last_save_ms) / 1000);
    field(info, "rdb_last_bgsave_status", "ok");
    field(info, "rdb_last_bgsave_time_sec", "-1");
    field(info, "rdb_current_bgsave_time_sec", "-1");
    number(info, "rdb_saves", counter(&stats->saves));
    ZEROS(info, "rdb_last_cow_size", "rdb_last_load_keys_expired", "rdb_last_load_keys_loaded");
    number(info, "aof_enabled", 1);
    ZEROS(info, "aof_rewrite_in_progress", "aof_rewrite_scheduled");
    field(info, "aof_last_rewrite_time_sec", "-1");
    field(info, "aof_current_rewrite_time_sec", "-1");
    field(info, "aof_last_bgrewrite_status", "ok");
    number(info, "aof_rewrites", counter(&stats->rewrites));
    number(info, "aof_rewrites_consecutive_failures", 0);
    field(info, "aof_last_write_status", is_broken ? "err" : "ok");
    ZEROS(info, "aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size");
    number(info, "aof_current_size",
           engine->visible_lsn > engine->flushed_lsn ? engine->visible_lsn - engine->flushed_lsn
                                                     : 0);
    ZEROS(info, "aof_base_size", "aof_pending_rewrite");
    number(info, "aof_buffer_length", unwritten_bytes(engine));
    number(info, "aof_pending_bio_fsync", engine->written_lsn > engine->durable_lsn);
    number(info, "aof_delayed_fsync", 0);
}

static void info_stats(struct info *info)
{
    const struct service_stats *stats = service_stats(info->service);
    struct service_totals totals;
    service_totals(info->service, &totals);
    number(info, "total_connections_received", counter(&stats->connections_received));
    number(info, "total_commands_processed", totals.commands);
    number(info, "instantaneous_ops_per_sec", (uint64_t)totals.commands_per_second);
    number(info, "total_net_input_bytes", counter(&stats->net_input_bytes));
    number(info, "total_net_output_bytes", counter(&stats->net_output_bytes));
    ZEROS(info, "total_net_repl_input_bytes", "total_net_repl_output_bytes");
    buffer_printf(info->out, "instantaneous_input_kbps:%.2f\r\n",
                  totals.input_bytes_per_second / 1024);
    buffer_printf(info->out, "instantaneous_output_kbps:%.2f\r\n",
                  totals.output_bytes_per_second / 1024);
    field(info, "instantaneous_input_repl_kbps", "0.00");
    field(info, "instantaneous_output_repl_kbps", "0.00");
    number(info, "rejected_connections", counter(&stats->connections_rejected));
    ZEROS(info, "sync_full", "sync_partial_ok", "sync_partial_err");
    number(info, "expired_keys", counter(&stats->expired_keys));
    field(info, "expired_stale_perc", "0.00");
    ZEROS(info, "expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds", "evicted_keys");
    number(info, "evicted_clients", counter(&stats->evicted_clients));
    ZEROS(info, "total_eviction_exceeded_time", "current_eviction_exceeded_time");
    number(info, "keyspace_hits", totals.hits);
    number(info, "keyspace_misses", totals.misses);
    number(info, "pubsub_channels", pubsub_count(&info->service->pubsub, PUBSUB_CHANNEL));
    number(info, "pubsub_patterns", pubsub_count(&info->service->pubsub, PUBSUB_PATTERN));
    number(info, "pubsubshard_channels", pubsub_count(&info->service->pubsub, PUBSUB_SHARD));
    number(info, "tracking_total_keys", atomic_load(&info->service->tracking.key_count));
    number(info, "tracking_total_items", atomic_load(&info->service->tracking.item_count));
    number(info, "tracking_total_prefixes", atomic_load(&info->service->tracking.prefix_count));
    ZEROS(info, "latest_fork_usec", "total_forks", "migrate_cached_sockets",
          "slave_expires_tracked_keys", "active_defrag_hits", "active_defrag_misses",
          "active_defrag_key_hits", "active_defrag_key_misses", "total_active_defrag_time",
          "current_active_defrag_time", "unexpected_error_replies");
    number(info, "total_error_replies", counter(&stats->error_replies));
    number(info, "dump_payload_sanitizations", 0);
    number(info, "total_reads_processed", counter(&stats->reads));
    number(info, "total_writes_processed", counter(&stats->writes));
    ZEROS(info, "io_threaded_reads_processed", "io_threaded_writes_processed",
          "reply_buffer_shrinks", "reply_buffer_expands");
    number(info, "json_requests", counter(&stats->json_requests));
    number(info, "json_errors", counter(&stats->json_errors));
}

static void info_replication(struct info *info)
{
    field(info, "role", "master");
    number(info, "connected_slaves", 0);
    field(info, "master_failover_state", "no-failover");
    field(info, "master_replid", info->service->run_id);
    field(info, "master_replid2", "0000000000000000000000000000000000000000");
    number(info, "master_repl_offset", info->engine.visible_lsn);
    buffer_append_text(info->out, "second_repl_offset:-1\r\n");
    number(info, "repl_backlog_active", 0);
    number(info, "repl_backlog_size", 0);
    number(info, "repl_backlog_first_byte_offset", 0);
    number(info, "repl_backlog_histlen", 0);
}

static void cpu_fields(struct info *info, const struct processor_time *time, const char *whose)
{
    buffer_printf(info->out, "used_cpu_sys%s:%lld.%06ld\r\nused_cpu_user%s:%lld.%06ld\r\n", whose,
                  (long long)time->system.tv_sec, (long)time->system.tv_usec, whose,
                  (long long)time->user.tv_sec, (long)time->user.tv_usec);
}

static void info_cpu(struct info *info)
{
    struct process_time time;
    process_time_read(&time);
    cpu_fields(info, &time.all, "");
    cpu_fields(info, &time.children, "_children");
    cpu_fields(info, &time.main_thread, "_main_thread");
}

static void info_errorstats(struct info *info)
{
    pthread_mutex_lock(&info->service->errors_mutex);
    for (size_t i = 0; i < info->service->error_kind_count; i++)
        buffer_printf(info->out, "errorstat_%s:count=%llu\r\n", info->service->errors[i].name,
                      (unsigned long long)info->service->errors[i].count);
    pthread_mutex_unlock(&info->service->errors_mutex);
}

static void info_commandstats(struct info *info)
{
    for (size_t i = 0; i < command_table_size; i++) {
        struct command_totals totals;
        service_command_totals(info->service, &command_table[i], &totals);
        if (totals.calls + totals.rejected == 0)
            continue;
        buffer_printf(info->out,
                      "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,"
                      "failed_calls=%llu\r\n",
                      command_table[i].name, (unsigned long long)totals.calls,
                      (unsigned long long)totals.duration_us,
                      totals.calls ? (double)totals.duration_us / (double)totals.calls : 0,
                      (unsigned long long)totals.rejected, (unsigned long long)totals.failed);
    }
}

static void info_latencystats(struct info *info)
{
    for (size_t i = 0; i < command_table_size; i++) {
        struct timing_histogram sum;
        if (timing_sum(info->service, &command_table[i], &sum))
            buffer_printf(
                info->out,
                "latency_percentiles_usec_%s:p50=%llu.000,p99=%llu.000,p99.9=%llu.000\r\n",
                command_table[i].name, (unsigned long long)timing_percentile_us(&sum, 0.5),
                (unsigned long long)timing_percentile_us(&sum, 0.99),
                (unsigned long long)timing_percentile_us(&sum, 0.999));
    }
}

static void info_cluster(struct info *info)
{
    number(info, "cluster_enabled", 0);
}

static void info_keyspace(struct info *info)
{
    unsigned count = store_database_count(info->service->store);
    for (unsigned i = 0; i < count && !info->status; i++) {
        uint64_t keys = 0, expires = 0;
        info->status = access_select(info->access, i);
        if (!info->status)
            info->status = keyspace_count(info->access, &keys, &expires);
        if (!info->status && keys > 0)
            buffer_printf(info->out, "db%u:keys=%llu,expires=%llu,avg_ttl=0\r\n", i,
                          (unsigned long long)keys, (unsigned long long)expires);
    }
}

/* Bytes written into tables for each byte that was flushed; 0: none was. */
static double amplification(const struct lsm_tree_stats *tree)
{
    uint64_t written = tree->flush_bytes + tree->compaction_write_bytes;
    return tree->flush_bytes ? (double)written / (double)tree->flush_bytes : 0;
}

static void info_loops(struct info *info)
{
    struct iteration_summary all, loops[LOOPS_SHOWN_MAX];
    unsigned count = service_iterations(info->service, &all, loops, LOOPS_SHOWN_MAX);
    number(info, "loop_iterations", all.count);
    number(info, "loop_iteration_us_p50", all.own_us_p50);
    number(info, "loop_iteration_us_p999", all.own_us_p999);
    number(info, "loop_iteration_us_max", all.own_us_max);
    number(info, "loop_wall_us_p999", all.wall_us_p999);
    number(info, "loop_wall_us_max", all.wall_us_max);
    number(info, "loop_log_write_us_max", all.log_us_max);
    for (unsigned i = 0; i < count && count > 1; i++)
        buffer_printf(
            info->out,
            "loop_%u:iterations=%llu,iteration_us_p50=%llu,iteration_us_p999=%llu,"
            "iteration_us_max=%llu,wall_us_p999=%llu,wall_us_max=%llu,"
            "log_write_us_max=%llu\r\n",
            i, (unsigned long long)loops[i].count, (unsigned long long)loops[i].own_us_p50,
            (unsigned long long)loops[i].own_us_p999, (unsigned long long)loops[i].own_us_max,
            (unsigned long long)loops[i].wall_us_p999, (unsigned long long)loops[i].wall_us_max,
            (unsigned long long)loops[i].log_us_max);
}

static void info_cordwood(struct info *info)
{
    const struct lsm_stats *engine = &info->engine;
    info_loops(info);
    number(info, "visible_lsn", engine->visible_lsn);
    number(info, "written_lsn", engine->written_lsn);
    number(info, "durable_lsn", engine->durable_lsn);
    number(info, "flushed_lsn", engine->flushed_lsn);
    number(info, "epoch", engine->epoch);
    number(info, "started_clean", engine->was_clean);
    number(info, "recovered_batches", engine->recovered_batches);
    number(info, "recovered_bytes", engine->recovered_bytes);
    number(info, "recovery_usec", engine->recovery_us);
    number(info, "recovery_cut_bytes", engine->recovery_cut_bytes);
    number(info, "read_only", engine->read_only);
    field(info, "background_error", status_text(engine->background_error));
    number(info, "memtable_bytes", engine->memtable_bytes);
    number(info, "memtable_nodes", engine->memtable_nodes);
    number(info, "memtable_versions", engine->memtable_versions);
    number(info, "wal_bytes_logged", engine->wal_bytes_logged);
    number(info, "wal_bytes_written", engine->wal_bytes_written);
    number(info, "wal_syncs", engine->wal_syncs);
    number(info, "wal_segments", engine->wal_segments);
    number(info, "flush_count", engine->flush_count);
    number(info, "flush_bytes", engine->flush_bytes);
    number(info, "compaction_count", engine->compaction_count);
    number(info, "compaction_read_bytes", engine->compaction_read_bytes);
    number(info, "compaction_write_bytes", engine->compaction_write_bytes);
    number(info, "tables_moved", engine->tables_moved);
    number(info, "tables_dropped_unread", engine->tables_dropped_unread);
    number(info, "open_table_bytes", engine->open_table_bytes);
    number(info, "block_cache_bytes", engine->cache_bytes);
    number(info, "block_cache_hits", engine->cache_hits);
    number(info, "block_cache_misses", engine->cache_misses);
    number(info, "block_reads", engine->block_reads);
    number(info, "filter_checks", engine->filter_checks);
    number(info, "filter_negatives", engine->filter_negatives);
    number(info, "snapshots", engine->snapshot_count);
    number(info, "readers", engine->reader_count);
    for (unsigned i = 0; i < engine->tree_count; i++) {
        const struct lsm_tree_stats *tree = &engine->trees[i];
        buffer_printf(info->out,
                      "tree_%s:tables=%llu,bytes=%llu,l0=%llu,levels=%llu,entries=%llu,"
                      "range_deletes=%llu,flush_bytes=%llu,compaction_write_bytes=%llu,"
                      "write_amplification=%.2f\r\n",
                      tree->name, (unsigned long long)tree->table_count,
                      (unsigned long long)tree->table_bytes, (unsigned long long)tree->l0_count,
                      (unsigned long long)tree->levels, (unsigned long long)tree->entry_count,
                      (unsigned long long)tree->range_delete_count,
                      (unsigned long long)tree->flush_bytes,
                      (unsigned long long)tree->compaction_write_bytes, amplification(tree));
    }
}

static const struct section {
    const char *name, *title;
    bool is_default;
    void (*append)(struct info *info); /* NULL: there is nothing to say */
} sections[] = {
    {"server", "Server", true, info_server},
    {"clients", "Clients", true, info_clients},
    {"memory", "Memory", true, info_memory},
    {"persistence", "Persistence", true, info_persistence},
    {"stats", "Stats", true, info_stats},
    {"replication", "Replication", true, info_replication},
    {"cpu", "CPU", true, info_cpu},
    {"modules", "Modules", true, NULL},
    {"commandstats", "Commandstats", false, info_commandstats},
    {"latencystats", "Latencystats", false, info_latencystats},
    {"errorstats", "Errorstats", true, info_errorstats},
    {"cluster", "Cluster", true, info_cluster},
    {"keyspace", "Keyspace", true, info_keyspace},
    {"cordwood", "Cordwood", true, info_cordwood},
};

static bool is_asked(const struct command_context *c, const struct section *section)
{
    if (c->count == 1)
        return section->is_default;
    for (size_t i = 1; i < c->count; i++) {
        if (argument_is(c, i, section->name) || argument_is(c, i, "all") ||
            argument_is(c, i, "everything"))
            return true;
        if (argument_is(c, i, "default") && section->is_default)
            return true;
    }
    return false;
}

static void append_section(struct info *info, const struct section *section)
{
    if (info->out->size > 0)
        buffer_append_text(info->out, "\r\n");
    buffer_printf(info->out, "# %s\r\n", section->title);
    if (section->append)
        section->append(info);
}

/* `c` NULL: every section. */
static enum status append_sections(struct info *info, const struct command_context *c)
{
    lsm_get_stats(store_engine(service_store(info->service)), &info->engine);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0] && !info->status; i++)
        if (!c || is_asked(c, &sections[i]))
            append_section(info, &sections[i]);
    return info->status;
}

enum status info_append_everything(struct service *service, struct access *access,
                                   struct buffer *out)
{
    struct info info = {.service = service, .access = access, .out = out};
    return append_sections(&info, NULL);
}

enum status info_command(struct command_context *c)
{
    struct buffer text = {0};
    struct info info = {.service = c->service, .access = c->access, .out = &text};
    enum status status = append_sections(&info, c);
    if (!status)
        resp_verbatim(c->reply, "txt", buffer_slice(&text));
    buffer_release(&text);
    return status;
}
