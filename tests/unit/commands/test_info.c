/* SPDX-License-Identifier: MIT */
#include "commands/config_lines.h"
#include "commands/process_time.h"
#include "unit/commands/session_fixture.h"

#include <stdlib.h>

/* The value of a field, as text until the next question; NULL: it is not there. */
static const char *value_of(struct session_fixture *f, const char *section, const char *name)
{
    static char value[256];
    char question[64], wanted[128];
    snprintf(question, sizeof question, "INFO %s", section);
    snprintf(wanted, sizeof wanted, "\\n%s:", name); /* as text shows the end of the line before */
    const char *found = strstr(fixture_ask(f, f->a, question), wanted);
    if (!found)
        return NULL;
    found += strlen(wanted);
    snprintf(value, sizeof value, "%.*s", (int)(strstr(found, "\\r") - found), found);
    return value;
}

static void assert_value(struct session_fixture *f, const char *section, const char *name,
                         const char *expected)
{
    const char *value = value_of(f, section, name);
    assert_non_null(value);
    assert_string_equal(value, expected);
}

static unsigned long long number_of(struct session_fixture *f, const char *section,
                                    const char *name)
{
    const char *value = value_of(f, section, name);
    assert_non_null(value);
    return strtoull(value, NULL, 10);
}

static void every_field_of_redis_7_is_there(void **state)
{
    static const struct {
        const char *section, *names;
    } fields[] = {
        {"server", "redis_version redis_git_sha1 redis_git_dirty redis_build_id redis_mode os "
                   "arch_bits monotonic_clock multiplexing_api atomicvar_api gcc_version "
                   "process_id process_supervised run_id tcp_port server_time_usec "
                   "uptime_in_seconds uptime_in_days hz configured_hz lru_clock executable "
                   "config_file io_threads_active"},
        {"clients",
         "connected_clients cluster_connections maxclients "
         "client_recent_max_input_buffer client_recent_max_output_buffer blocked_clients "
         "tracking_clients clients_in_timeout_table"},
        {"memory", "used_memory used_memory_human used_memory_rss used_memory_rss_human "
                   "used_memory_peak used_memory_peak_human used_memory_peak_perc "
                   "used_memory_overhead used_memory_startup used_memory_dataset "
                   "used_memory_dataset_perc allocator_allocated allocator_active "
                   "allocator_resident total_system_memory total_system_memory_human "
                   "used_memory_lua used_memory_vm_eval used_memory_lua_human "
                   "used_memory_scripts_eval number_of_cached_scripts number_of_functions "
                   "number_of_libraries used_memory_vm_functions used_memory_vm_total "
                   "used_memory_vm_total_human used_memory_functions used_memory_scripts "
                   "used_memory_scripts_human maxmemory maxmemory_human maxmemory_policy "
                   "allocator_frag_ratio allocator_frag_bytes allocator_rss_ratio "
                   "allocator_rss_bytes rss_overhead_ratio rss_overhead_bytes "
                   "mem_fragmentation_ratio mem_fragmentation_bytes mem_not_counted_for_evict "
                   "mem_replication_backlog mem_total_replication_buffers mem_clients_slaves "
                   "mem_clients_normal mem_cluster_links mem_aof_buffer mem_allocator "
                   "active_defrag_running lazyfree_pending_objects lazyfreed_objects"},
        {"persistence",
         "loading async_loading current_cow_peak current_cow_size current_cow_size_age "
         "current_fork_perc current_save_keys_processed current_save_keys_total "
         "rdb_changes_since_last_save rdb_bgsave_in_progress rdb_last_save_time "
         "rdb_last_bgsave_status rdb_last_bgsave_time_sec rdb_current_bgsave_time_sec "
         "rdb_saves rdb_last_cow_size rdb_last_load_keys_expired "
         "rdb_last_load_keys_loaded aof_enabled aof_rewrite_in_progress "
         "aof_rewrite_scheduled aof_last_rewrite_time_sec aof_current_rewrite_time_sec "
         "aof_last_bgrewrite_status aof_rewrites aof_rewrites_consecutive_failures "
         "aof_last_write_status aof_last_cow_size module_fork_in_progress "
         "module_fork_last_cow_size"},
        {"stats", "total_connections_received total_commands_processed instantaneous_ops_per_sec "
                  "total_net_input_bytes total_net_output_bytes total_net_repl_input_bytes "
                  "total_net_repl_output_bytes instantaneous_input_kbps instantaneous_output_kbps "
                  "instantaneous_input_repl_kbps instantaneous_output_repl_kbps "
                  "rejected_connections sync_full sync_partial_ok sync_partial_err expired_keys "
                  "expired_stale_perc expired_time_cap_reached_count "
                  "expire_cycle_cpu_milliseconds evicted_keys evicted_clients "
                  "total_eviction_exceeded_time current_eviction_exceeded_time keyspace_hits "
                  "keyspace_misses pubsub_channels pubsub_patterns pubsubshard_channels "
                  "latest_fork_usec total_forks migrate_cached_sockets slave_expires_tracked_keys "
                  "active_defrag_hits active_defrag_misses active_defrag_key_hits "
                  "active_defrag_key_misses total_active_defrag_time current_active_defrag_time "
                  "tracking_total_keys tracking_total_items tracking_total_prefixes "
                  "unexpected_error_replies total_error_replies dump_payload_sanitizations "
                  "total_reads_processed total_writes_processed io_threaded_reads_processed "
                  "io_threaded_writes_processed reply_buffer_shrinks reply_buffer_expands"},
        {"replication",
         "role connected_slaves master_failover_state master_replid master_replid2 "
         "master_repl_offset second_repl_offset repl_backlog_active repl_backlog_size "
         "repl_backlog_first_byte_offset repl_backlog_histlen"},
        {"cpu", "used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children "
                "used_cpu_sys_main_thread used_cpu_user_main_thread"},
        {"cluster", "cluster_enabled"},
    };
    struct session_fixture *f = *state;
    size_t count = 0;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        char *names = strdup(fields[i].names), *rest = NULL;
        for (char *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
            if (!value_of(f, fields[i].section, name))
                fail_msg("INFO %s has no %s", fields[i].section, name);
            count++;
        }
        free(names);
    }
    assert_true(count > 150);
}

static void saves_and_rewrites_are_counted_and_dated(void **state)
{
    struct session_fixture *f = *state;
    assert_value(f, "persistence", "rdb_saves", "0");
    unsigned long long started = number_of(f, "persistence", "rdb_last_save_time");
    f->ms.now_ms += 5000;
    assert_reply(f, f->a, "SAVE", "+OK");
    assert_reply(f, f->a, "BGSAVE", "+Background saving started");
    assert_reply(f, f->a, "BGREWRITEAOF", "+Background append only file rewriting started");
    assert_value(f, "persistence", "rdb_saves", "2");
    assert_value(f, "persistence", "aof_rewrites", "1");
    assert_int_equal(number_of(f, "persistence", "rdb_last_save_time"), started + 5);
    assert_reply(f, f->a, "CONFIG RESETSTAT", "+OK");
    assert_value(f, "persistence", "rdb_saves", "0");
    assert_value(f, "persistence", "aof_rewrites", "0");
}

static void reads_and_writes_of_connections_are_counted(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "CONFIG RESETSTAT", "+OK");
    session_feed(f->b, slice_from("PING\r\nPI"));
    session_feed(f->b, slice_from("NG\r\n"));
    fixture_settle(f->b);
    fixture_take(f, f->b);
    assert_value(f, "stats", "total_reads_processed", "4"); /* a question comes in two */
    unsigned long long writes = number_of(f, "stats", "total_writes_processed");
    assert_int_equal(number_of(f, "stats", "total_writes_processed"), writes + 1);
    assert_int_equal(writes, 3); /* of RESETSTAT, of the two PING, of the question before */
}

static void the_configuration_file_is_named(void **state)
{
    struct session_fixture *f = *state;
    assert_value(f, "server", "config_file", "");
    config_set_path(f->config, "/etc/cordwood.conf");
    assert_value(f, "server", "config_file", "/etc/cordwood.conf");
}

static void memory_is_plausible(void **state)
{
    struct session_fixture *f = *state;
    assert_true(number_of(f, "memory", "used_memory_startup") > 0);
    assert_true(number_of(f, "memory", "used_memory_peak") >=
                number_of(f, "memory", "used_memory_startup"));
    assert_true(number_of(f, "memory", "allocator_active") >=
                number_of(f, "memory", "allocator_allocated"));
    assert_true(number_of(f, "memory", "allocator_resident") <=
                number_of(f, "memory", "used_memory_peak"));
}

static double seconds_of(struct processor_time time)
{
    return (double)(time.user.tv_sec + time.system.tv_sec) +
           (double)(time.user.tv_usec + time.system.tv_usec) / 1e6;
}

/* By the processor's clock: a busy machine makes it longer, not false. */
static void time_of_the_main_thread_is_counted(void **state)
{
    struct process_time time;
    (void)state;
    do
        process_time_read(&time);
    while (seconds_of(time.all) < 0.2);
    assert_true(seconds_of(time.main_thread) > seconds_of(time.all) / 2);
    assert_true(seconds_of(time.main_thread) < seconds_of(time.all) + 0.1);
    assert_true(seconds_of(time.children) == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_field_of_redis_7_is_there),
        TEST(saves_and_rewrites_are_counted_and_dated),
        TEST(reads_and_writes_of_connections_are_counted),
        TEST(the_configuration_file_is_named),
        TEST(memory_is_plausible),
        cmocka_unit_test(time_of_the_main_thread_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
