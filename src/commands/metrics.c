/* SPDX-License-Identifier: MIT */
/* INFO is the one list of figures; here stands which of them are shown, and what they are called. */
#include "commands/metrics.h"

#include "commands/info.h"
#include "commands/service_state.h"

struct family {
    const char *name; /* behind "cordwood_" */
    const char
        *prefix; /* of INFO's lines "<prefix><label>:<field>=1,..."; NULL: one line "<field>:1" */
    const char *label;
    const char *field;
    const char *type;
    const char *help; /* without backslashes and line feeds */
};

#define COUNTER(name, help)                       \
    {                                             \
#name, NULL, NULL, #name, "counter", help \
    }
#define GAUGE(name, help)                       \
    {                                           \
#name, NULL, NULL, #name, "gauge", help \
    }

static const struct family families[] = {
    GAUGE(uptime_in_seconds, "Seconds since the start."),
    GAUGE(connected_clients, "Clients, of both protocols."),
    GAUGE(json_clients, "Clients of the JSON protocol."),
    GAUGE(maxclients, "Clients allowed at once."),
    GAUGE(blocked_clients, "Clients that wait in a blocking command."),
    GAUGE(tracking_clients, "Clients with CLIENT TRACKING."),
    GAUGE(client_recent_max_input_buffer, "Bytes of the largest input kept for a client."),
    GAUGE(client_recent_max_output_buffer, "Bytes of the largest output kept for a client."),
    GAUGE(used_memory, "Resident bytes of the process."),
    GAUGE(used_memory_peak, "Most resident bytes so far."),
    GAUGE(used_memory_startup, "Resident bytes when the server had started."),
    GAUGE(used_memory_dataset, "Bytes of memtables and block cache."),
    GAUGE(allocator_allocated, "Bytes that the heap has given out."),
    GAUGE(allocator_active, "Bytes that the heap holds."),
    GAUGE(total_system_memory, "Bytes of memory of the machine."),
    GAUGE(maxmemory, "Bytes that maxmemory allows; 0: no limit."),
    GAUGE(maxmemory_counted, "Bytes that count for maxmemory."),
    GAUGE(mem_clients_normal, "Bytes that clients hold."),
    GAUGE(aof_current_size, "Bytes of the log that no table holds yet."),
    GAUGE(aof_buffer_length, "Bytes of the log that are not written yet."),
    GAUGE(aof_pending_bio_fsync, "1: something is written and not synced."),
    COUNTER(total_connections_received, "Connections taken."),
    COUNTER(rejected_connections, "Connections refused, because of maxclients."),
    COUNTER(total_commands_processed, "Commands executed."),
    GAUGE(instantaneous_ops_per_sec, "Commands a second, of the last second or so."),
    COUNTER(total_net_input_bytes, "Bytes that clients sent."),
    COUNTER(total_net_output_bytes, "Bytes sent to clients."),
    COUNTER(total_reads_processed, "How often bytes came from a client."),
    COUNTER(total_writes_processed, "How often bytes went to a client."),
    GAUGE(rdb_last_save_time, "Second of the last SAVE, BGSAVE or the like, or of the start."),
    COUNTER(rdb_saves, "SAVE and BGSAVE."),
    COUNTER(aof_rewrites, "BGREWRITEAOF."),
    GAUGE(instantaneous_input_kbps, "KiB a second that come in."),
    GAUGE(instantaneous_output_kbps, "KiB a second that go out."),
    COUNTER(expired_keys, "Keys whose time was over."),
    COUNTER(evicted_clients, "Clients closed because of maxmemory-clients."),
    COUNTER(keyspace_hits, "Lookups of keys that were there."),
    COUNTER(keyspace_misses, "Lookups of keys that were not there."),
    GAUGE(pubsub_channels, "Channels with subscribers."),
    GAUGE(pubsub_patterns, "Patterns with subscribers."),
    GAUGE(pubsubshard_channels, "Shard channels with subscribers."),
    GAUGE(tracking_total_keys, "Keys tracked for clients."),
    GAUGE(tracking_total_items, "Pairs of a tracked key and a client."),
    GAUGE(tracking_total_prefixes, "Prefixes tracked for clients."),
    COUNTER(total_error_replies, "Error replies."),
    COUNTER(json_requests, "Requests of the JSON protocol."),
    COUNTER(json_errors, "Error replies of the JSON protocol."),
    COUNTER(used_cpu_sys, "Seconds of CPU time in the system."),
    COUNTER(used_cpu_user, "Seconds of CPU time in the process."),
    COUNTER(used_cpu_sys_main_thread, "Seconds of CPU time in the system, of the first loop."),
    COUNTER(used_cpu_user_main_thread, "Seconds of CPU time in the process, of the first loop."),
    COUNTER(loop_iterations, "Iterations of the event loops."),
    GAUGE(loop_iteration_us_p50, "Microseconds of work of an iteration, median."),
    GAUGE(loop_iteration_us_p999,
          "Microseconds of work that one of a thousand iterations exceeds."),
    GAUGE(loop_iteration_us_max, "Microseconds of work of the longest iteration."),
    GAUGE(loop_wall_us_p999,
          "Microseconds, waits for a core included, that one of a thousand iterations exceeds."),
    GAUGE(loop_wall_us_max, "Microseconds of the longest iteration, waits for a core included."),
    GAUGE(loop_log_write_us_max, "Microseconds of the longest write of the log by an event loop."),
    COUNTER(visible_lsn, "Position of the log up to which readers see."),
    COUNTER(written_lsn, "Position up to which the log is written."),
    COUNTER(durable_lsn, "Position up to which the log is synced."),
    COUNTER(flushed_lsn, "Position of the log up to which tables hold everything."),
    GAUGE(epoch, "Opens of the store so far."),
    GAUGE(started_clean, "1: the stop before this start was a clean one."),
    GAUGE(recovered_batches, "Batches that the start took from the log."),
    GAUGE(recovered_bytes, "Bytes that the start took from the log."),
    GAUGE(recovery_usec, "Microseconds that recovery took."),
    GAUGE(recovery_cut_bytes, "Bytes behind the end of the log that the start left out."),
    GAUGE(read_only, "1: the log takes no writes any more, since one has failed."),
    GAUGE(memtable_bytes, "Bytes of memtables."),
    GAUGE(memtable_nodes, "Keys in memtables."),
    GAUGE(memtable_versions, "Versions of keys in memtables."),
    COUNTER(wal_bytes_logged, "Bytes of batches given to the log."),
    COUNTER(wal_bytes_written, "Bytes that the log wrote."),
    COUNTER(wal_syncs, "Syncs of the log."),
    GAUGE(wal_segments, "Segments of the log."),
    COUNTER(flush_count, "Flushes of memtables."),
    COUNTER(flush_bytes, "Bytes that flushes wrote."),
    COUNTER(compaction_count, "Compactions."),
    COUNTER(compaction_read_bytes, "Bytes that compactions read."),
    COUNTER(compaction_write_bytes, "Bytes that compactions wrote."),
    COUNTER(tables_moved, "Tables moved to the next level as they were."),
    COUNTER(tables_dropped_unread, "Tables dropped without being read."),
    GAUGE(open_table_bytes, "Bytes that open tables hold in memory: filters and indexes."),
    GAUGE(block_cache_bytes, "Bytes in the block cache."),
    COUNTER(block_cache_hits, "Lookups of blocks that were in the cache."),
    COUNTER(block_cache_misses, "Lookups of blocks that were not in the cache."),
    COUNTER(block_reads, "Blocks read from tables."),
    COUNTER(filter_checks, "Lookups in filters of tables."),
    COUNTER(filter_negatives, "Lookups in filters that spared the table."),
    GAUGE(snapshots, "Snapshots of the engine."),
    GAUGE(readers, "Readers of the engine."),
    {"command_calls_total", "cmdstat_", "cmd", "calls", "counter", "Calls of a command."},
    {"command_usec_total", "cmdstat_", "cmd", "usec", "counter", "Microseconds in a command."},
    {"command_rejected_calls_total", "cmdstat_", "cmd", "rejected_calls", "counter",
     "Calls refused before the command ran."},
    {"command_failed_calls_total", "cmdstat_", "cmd", "failed_calls", "counter",
     "Calls that ended with an error."},
    {"command_usec_p50", "latency_percentiles_usec_", "cmd", "p50", "gauge",
     "Microseconds of a command's calls, median."},
    {"command_usec_p99", "latency_percentiles_usec_", "cmd", "p99", "gauge",
     "Microseconds that one of a hundred calls exceeds."},
    {"command_usec_p999", "latency_percentiles_usec_", "cmd", "p99.9", "gauge",
     "Microseconds that one of a thousand calls exceeds."},
    {"errors_total", "errorstat_", "error", "count", "counter",
     "Error replies by their first word."},
    {"database_keys", "db", "db", "keys", "gauge", "Keys of a database."},
    {"database_expires", "db", "db", "expires", "gauge",
     "Keys of a database that have a time to live."},
    {"tree_tables", "tree_", "tree", "tables", "gauge", "Tables of a tree of the engine."},
    {"tree_bytes", "tree_", "tree", "bytes", "gauge", "Bytes of a tree's tables."},
    {"tree_l0_tables", "tree_", "tree", "l0", "gauge", "Tables of a tree's level 0."},
    {"tree_levels", "tree_", "tree", "levels", "gauge", "Levels of a tree."},
    {"tree_entries", "tree_", "tree", "entries", "gauge", "Entries of a tree's tables."},
    {"tree_range_deletes", "tree_", "tree", "range_deletes", "gauge",
     "Range deletions of a tree's tables."},
    {"tree_flush_bytes", "tree_", "tree", "flush_bytes", "counter",
     "Bytes that flushes wrote into a tree."},
    {"tree_compaction_write_bytes", "tree_", "tree", "compaction_write_bytes", "counter",
     "Bytes that compactions wrote into a tree."},
};

/* The bytes of *text before `end`, which are taken off with it; all of it if it is not there. */
static struct slice take_until(struct slice *text, char end)
{
    const uint8_t *found = text->size ? memchr(text->data, end, text->size) : NULL;
    size_t size = found ? (size_t)(found - text->data) : text->size;
    struct slice taken = slice_make(text->data, size);
    *text = slice_skip(*text, found ? size + 1 : size);
    return taken;
}

/* Splits "name:value\r". Names may have a colon, values have none. */
static bool split_line(struct slice line, struct slice *name, struct slice *value)
{
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    size_t colon = line.size;
    while (colon > 0 && line.data[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    *name = slice_make(line.data, colon - 1);
    *value = slice_skip(line, colon);
    return true;
}

static bool find_pair(struct slice pairs, const char *field, struct slice *value)
{
    while (pairs.size > 0) {
        struct slice pair = take_until(&pairs, ',');
        if (slice_equal(take_until(&pair, '='), slice_from(field))) {
            *value = pair;
            return true;
        }
    }
    return false;
}

/* true: the line has a figure of the family. */
static bool find_figure(const struct family *family, struct slice line, struct slice *label,
                        struct slice *value)
{
    struct slice name, text;
    if (!split_line(line, &name, &text))
        return false;
    if (!family->prefix) {
        *value = text;
        return slice_equal(name, slice_from(family->field));
    }
    if (!slice_starts_with(name, slice_from(family->prefix)))
        return false;
    *label = slice_skip(name, strlen(family->prefix));
    return find_pair(text, family->field, value);
}

/* Pages are UTF-8 whatever a name is made of. */
static void append_label(struct buffer *out, const char *name, struct slice value)
{
    buffer_printf(out, "{%s=\"", name);
    for (size_t i = 0; i < value.size; i++) {
        uint8_t byte = value.data[i];
        if (byte == '"' || byte == '\\')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, byte >= ' ' && byte <= '~' ? byte : '?');
    }
    buffer_append_text(out, "\"}");
}

static void append_family(const struct family *family, struct slice info, struct buffer *out)
{
    bool has_head = false;
    while (info.size > 0) {
        struct slice label = {0}, value = {0};
        double number;
        if (!find_figure(family, take_until(&info, '\n'), &label, &value) ||
            !slice_parse_double(value, &number))
            continue;
        if (!has_head)
            buffer_printf(out, "# HELP cordwood_%s %s\n# TYPE cordwood_%s %s\n", family->name,
                          family->help, family->name, family->type);
        has_head = true;
        buffer_printf(out, "cordwood_%s", family->name);
        if (family->prefix)
            append_label(out, family->label, label);
        buffer_append_byte(out, ' ');
        buffer_append_slice(out, value);
        buffer_append_byte(out, '\n');
    }
}

void metrics_append(struct slice info, struct buffer *out)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        append_family(&families[i], info, out);
}

enum status metrics_page(struct service *service, struct buffer *out)
{
    struct buffer info = {0};
    struct access *access = service_thread_access(service_thread(service));
    access_begin_read(access, 0, false);
    enum status status = info_append_everything(service, access, &info);
    (void)access_end(access); /* figures reveal no data: they wait for no acknowledgement */
    if (!status)
        metrics_append(buffer_slice(&info), out);
    buffer_release(&info);
    return status;
}
