/* SPDX-License-Identifier: MIT */
#include "commands/metrics.h"

#include "unit/commands/session_fixture.h"

#include <ctype.h>
#include <stdlib.h>

static const char *page_of(struct session_fixture *f, const char *info)
{
    buffer_clear(&f->shown);
    metrics_append(slice_from(info), &f->shown);
    buffer_append_byte(&f->shown, 0);
    return (const char *)f->shown.data;
}

static char *page(struct session_fixture *f)
{
    struct buffer out = {0};
    assert_int_equal(metrics_page(f->service, &out), STATUS_OK);
    buffer_append_byte(&out, 0);
    return (char *)out.data;
}

static bool is_name(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!isalpha((unsigned char)text[i]) && text[i] != '_' &&
            (i == 0 || !isdigit((unsigned char)text[i])))
            return false;
    return size > 0;
}

static void a_field_becomes_a_figure_with_help_and_type(void **state)
{
    assert_string_equal(
        page_of(*state, "# Stats\r\nexpired_keys:12\r\n\r\nused_cpu_sys:0.250000\r\n"),
        "# HELP cordwood_expired_keys Keys whose time was over.\n"
        "# TYPE cordwood_expired_keys counter\n"
        "cordwood_expired_keys 12\n"
        "# HELP cordwood_used_cpu_sys Seconds of CPU time in the system.\n"
        "# TYPE cordwood_used_cpu_sys counter\n"
        "cordwood_used_cpu_sys 0.250000\n");
}

static void lines_of_commands_become_one_family_with_labels(void **state)
{
    assert_string_equal(
        page_of(*state, "cmdstat_get:calls=3,usec=7\r\ncmdstat_client|list:calls=4,usec=9\r\n"),
        "# HELP cordwood_command_calls_total Calls of a command.\n"
        "# TYPE cordwood_command_calls_total counter\n"
        "cordwood_command_calls_total{cmd=\"get\"} 3\n"
        "cordwood_command_calls_total{cmd=\"client|list\"} 4\n"
        "# HELP cordwood_command_usec_total Microseconds in a command.\n"
        "# TYPE cordwood_command_usec_total counter\n"
        "cordwood_command_usec_total{cmd=\"get\"} 7\n"
        "cordwood_command_usec_total{cmd=\"client|list\"} 9\n");
}

static void what_a_label_must_not_hold_is_escaped(void **state)
{
    assert_string_equal(page_of(*state, "errorstat_A\"B\\C:D\t\xff:count=1\r\n"),
                        "# HELP cordwood_errors_total Error replies by their first word.\n"
                        "# TYPE cordwood_errors_total counter\n"
                        "cordwood_errors_total{error=\"A\\\"B\\\\C:D??\"} 1\n");
}

static void what_is_no_number_is_left_out(void **state)
{
    assert_string_equal(page_of(*state,
                                "expired_keys:many\r\nexpired_keys\r\n:\r\nexpired_keys:\r\n"
                                "db0:keys=x,expires\r\nexpired_keys_more:1\r\n"),
                        "");
    assert_string_equal(page_of(*state, ""), "");
}

/* Of a server that has done something of everything. */
static void the_page_is_well_formed(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k v", "+OK");
    assert_reply(f, f->a, "GET k", "\"v\"");
    (void)fixture_ask(f, f->a, "NOSUCHCOMMAND");
    char *text = page(f), *rest = NULL;
    char family[128] = "", seen[65536] = "|";
    bool has_type = false;
    unsigned figures = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t size = strcspn(line + 7, " ");
            assert_true(is_name(line + 7, size));
            assert_true(line[7 + size] == ' ' && line[8 + size] != 0);
            assert_null(strchr(line, '\\'));
            snprintf(family, sizeof family, "%.*s", (int)size, line + 7);
            char once[160];
            snprintf(once, sizeof once, "|%s|", family);
            assert_null(strstr(seen, once));
            strncat(seen, once, sizeof seen - strlen(seen) - 1);
            has_type = false;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_false(has_type);
            has_type = true;
            assert_memory_equal(line + 7, family, strlen(family));
            const char *type = line + 7 + strlen(family);
            assert_true(strcmp(type, " counter") == 0 || strcmp(type, " gauge") == 0);
        } else {
            assert_true(has_type);
            size_t size = strcspn(line, "{ ");
            assert_int_equal(size, strlen(family));
            assert_memory_equal(line, family, size);
            const char *number = strrchr(line, ' ') + 1;
            char *end;
            (void)strtod(number, &end);
            assert_true(end != number && *end == 0);
            figures++;
        }
    }
    assert_true(figures > 80);
    free(text);
}

static void commands_errors_and_databases_are_on_the_page(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k v", "+OK");
    assert_reply(f, f->a, "SELECT 3", "+OK");
    assert_reply(f, f->a, "SET k v EX 1000", "+OK");
    assert_reply(f, f->a, "GET k", "\"v\"");
    (void)fixture_ask(f, f->a, "INCR k");
    char *text = page(f);
    assert_non_null(strstr(text, "\ncordwood_command_calls_total{cmd=\"set\"} 2\n"));
    assert_non_null(strstr(text, "\ncordwood_command_failed_calls_total{cmd=\"incr\"} 1\n"));
    assert_non_null(strstr(text, "\ncordwood_errors_total{error=\"ERR\"} 1\n"));
    assert_non_null(strstr(text, "\ncordwood_database_keys{db=\"0\"} 1\n"));
    assert_non_null(strstr(text, "\ncordwood_database_expires{db=\"3\"} 1\n"));
    assert_non_null(strstr(text, "\ncordwood_keyspace_hits 1\n"));
    assert_non_null(strstr(text, "\ncordwood_connected_clients 2\n"));
    assert_non_null(strstr(text, "\n# TYPE cordwood_tree_entries gauge\n"));
    assert_non_null(strstr(text, "\ncordwood_command_usec_p99{cmd=\"get\"} "));
    free(text);
}

/* A number of INFO is on the page, or here: constants, settings, the same once more. */
static void no_figure_of_info_is_forgotten(void **state)
{
    static const char left_out[] =
        "|redis_git_sha1|redis_git_dirty|redis_build_id|arch_bits|process_id|tcp_port|"
        "json_port|server_time_usec|uptime_in_days|hz|configured_hz|lru_clock|"
        "io_threads_active|cluster_connections|clients_in_timeout_table|used_memory_rss|"
        "used_memory_overhead|mem_fragmentation_ratio|lazyfree_pending_objects|"
        "lazyfreed_objects|loading|async_loading|rdb_changes_since_last_save|"
        "rdb_bgsave_in_progress|aof_enabled|aof_rewrite_in_progress|aof_rewrite_scheduled|"
        "aof_base_size|aof_pending_rewrite|aof_delayed_fsync|sync_full|sync_partial_ok|"
        "sync_partial_err|evicted_keys|latest_fork_usec|total_forks|connected_slaves|"
        "master_replid2|master_repl_offset|second_repl_offset|repl_backlog_active|"
        "repl_backlog_size|repl_backlog_first_byte_offset|repl_backlog_histlen|"
        "used_cpu_sys_children|used_cpu_user_children|cluster_enabled|allocator_resident|"
        "allocator_frag_ratio|allocator_frag_bytes|allocator_rss_ratio|allocator_rss_bytes|"
        "rss_overhead_ratio|rss_overhead_bytes|used_memory_lua|used_memory_vm_eval|"
        "used_memory_scripts_eval|number_of_cached_scripts|number_of_functions|"
        "number_of_libraries|used_memory_vm_functions|used_memory_vm_total|"
        "used_memory_functions|used_memory_scripts|mem_fragmentation_bytes|"
        "mem_not_counted_for_evict|mem_replication_backlog|mem_total_replication_buffers|"
        "mem_clients_slaves|mem_cluster_links|mem_aof_buffer|active_defrag_running|"
        "current_cow_peak|current_cow_size|current_cow_size_age|current_fork_perc|"
        "current_save_keys_processed|current_save_keys_total|rdb_last_bgsave_time_sec|"
        "rdb_current_bgsave_time_sec|rdb_last_cow_size|rdb_last_load_keys_expired|"
        "rdb_last_load_keys_loaded|aof_last_rewrite_time_sec|aof_current_rewrite_time_sec|"
        "aof_rewrites_consecutive_failures|aof_last_cow_size|module_fork_in_progress|"
        "module_fork_last_cow_size|total_net_repl_input_bytes|total_net_repl_output_bytes|"
        "instantaneous_input_repl_kbps|instantaneous_output_repl_kbps|expired_stale_perc|"
        "expired_time_cap_reached_count|expire_cycle_cpu_milliseconds|"
        "total_eviction_exceeded_time|current_eviction_exceeded_time|migrate_cached_sockets|"
        "slave_expires_tracked_keys|active_defrag_hits|active_defrag_misses|"
        "active_defrag_key_hits|active_defrag_key_misses|total_active_defrag_time|"
        "current_active_defrag_time|unexpected_error_replies|dump_payload_sanitizations|"
        "io_threaded_reads_processed|io_threaded_writes_processed|reply_buffer_shrinks|"
        "reply_buffer_expands|";
    struct session_fixture *f = *state;
    char *text = page(f), *rest = NULL;
    session_feed(f->a, slice_from("INFO everything\r\n"));
    fixture_settle(f->a);
    char *info = strdup(fixture_take(f, f->a));
    for (char *line = strtok_r(info, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        char *value = strchr(line, ':'), *end, name[128];
        if (!value)
            continue;
        *value++ = 0;
        (void)strtod(value, &end);
        if (end == value || *end != 0)
            continue;
        snprintf(name, sizeof name, "|%s|", line);
        if (strstr(left_out, name))
            continue;
        snprintf(name, sizeof name, "\ncordwood_%s ", line);
        if (!strstr(text, name))
            fail_msg("%s is not on the page", line);
    }
    free(info);
    free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_field_becomes_a_figure_with_help_and_type),
        TEST(lines_of_commands_become_one_family_with_labels),
        TEST(what_a_label_must_not_hold_is_escaped),
        TEST(what_is_no_number_is_left_out),
        TEST(the_page_is_well_formed),
        TEST(commands_errors_and_databases_are_on_the_page),
        TEST(no_figure_of_info_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
