/* SPDX-License-Identifier: MIT */
#include "unit/commands/session_fixture.h"

#include "commands/service_state.h"

static void every_duration_has_a_bucket_that_ends_at_or_above_it(void **state)
{
    (void)state;
    unsigned last = 0;
    for (uint64_t us = 0; us < 1 << 20; us = us < 64 ? us + 1 : us + us / 50) {
        unsigned bucket = timing_bucket(us);
        assert_true(bucket >= last);
        assert_true(timing_bucket_end_us(bucket) >= us);
        assert_true(bucket == 0 || timing_bucket_end_us(bucket - 1) < us);
        assert_true(timing_bucket_end_us(bucket) - us <= us / TIMING_STEPS);
        last = bucket;
    }
    assert_int_equal(timing_bucket(UINT64_MAX), TIMING_BUCKETS - 1);
}

/* The fixture's clock stands still while a command runs; what is recorded is told. */
static void record(struct session_fixture *f, struct slice *words, size_t count, uint64_t us)
{
    struct command_context c = {.command = command_find_top(words[0], &(bool){false}),
                                .session = f->a,
                                .service = f->service,
                                .arguments = words,
                                .count = count};
    timing_record(&c, service_thread(f->service), us);
}

static void slow_commands_are_kept_newest_first_up_to_the_limit(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "slowlog-max-len", "3");
    for (unsigned i = 0; i < 5; i++) {
        char number[8];
        snprintf(number, sizeof number, "%u", i);
        record(f, (struct slice[]){slice_from("echo"), slice_from(number)}, 2, 10000 + i);
    }
    record(f, (struct slice[]){slice_from("echo"), slice_from("fast")}, 2, 9999);
    assert_reply(f, f->a, "SLOWLOG LEN", ":3");
    assert_reply(f, f->a, "SLOWLOG GET 2",
                 "[[:4, :1000, :10004, [\"echo\", \"4\"], \"127.0.0.1:50000\", \"\"], "
                 "[:3, :1000, :10003, [\"echo\", \"3\"], \"127.0.0.1:50000\", \"\"]]");
    fixture_set(f, "slowlog-log-slower-than", "-1");
    record(f, (struct slice[]){slice_from("echo"), slice_from("x")}, 2, 1000000);
    assert_reply(f, f->a, "SLOWLOG LEN", ":3");
    fixture_set(f, "slowlog-log-slower-than", "0");
    fixture_set(f, "slowlog-max-len", "0");
    record(f, (struct slice[]){slice_from("echo"), slice_from("x")}, 2, 1);
    assert_reply(f, f->a, "SLOWLOG LEN", ":0");
}

static void passwords_are_not_kept(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "slowlog-log-slower-than", "0");
    fixture_ask(f, f->a, "AUTH default secret");
    fixture_ask(f, f->a, "HELLO 2 AUTH default secret");
    fixture_ask(f, f->a, "CONFIG SET requirepass secret");
    fixture_ask(f, f->a, "CONFIG SET requirepass \"\"");
    const char *shown = fixture_ask(f, f->a, "SLOWLOG GET -1");
    assert_null(strstr(shown, "secret"));
    assert_non_null(strstr(shown, "(redacted)"));
}

static void spikes_are_samples_one_for_each_second(void **state)
{
    struct session_fixture *f = *state;
    struct slice slow[] = {slice_from("keys"), slice_from("*")};
    struct slice fast[] = {slice_from("get"), slice_from("k")};
    record(f, slow, 2, 500000);
    assert_reply(f, f->a, "LATENCY LATEST", "[]"); /* it is off */
    fixture_set(f, "latency-monitor-threshold", "100");
    record(f, slow, 2, 99999);
    record(f, slow, 2, 200000);
    record(f, slow, 2, 300000);
    record(f, slow, 2, 250000);
    f->ms.now_ms += 1000;
    record(f, slow, 2, 150000);
    record(f, fast, 2, 100000);
    assert_reply(f, f->a, "LATENCY LATEST",
                 "[[\"command\", :1001, :150, :300], [\"fast-command\", :1001, :100, :100]]");
    assert_reply(f, f->a, "LATENCY HISTORY command", "[[:1000, :300], [:1001, :150]]");
    assert_non_null(strstr(fixture_ask(f, f->a, "LATENCY DOCTOR"), "the worst 300 ms"));
    const char *graph = fixture_ask(f, f->a, "LATENCY GRAPH command");
    assert_non_null(
        strstr(graph, "command - high 300 ms, low 150 ms (all time high 300 ms)\\n---"));
    assert_non_null(strstr(graph, "-\\n# \\n| \\n| \\n|_\\n"));
    for (int i = 0; i < 2 * LATENCY_SAMPLES; i++) {
        f->ms.now_ms += 1000;
        record(f, fast, 2, 100000);
    }
    fixture_ask(f, f->a, "LATENCY HISTORY fast-command");
    graph = fixture_ask(f, f->a, "LATENCY GRAPH fast-command"); /* two lines of 80 */
    assert_int_equal(strlen(strstr(graph, "_____")) > 2 * 80, 1);
    assert_reply(f, f->a, "LATENCY RESET fast-command", ":1");
    assert_reply(f, f->a, "LATENCY RESET", ":1");
    assert_reply(f, f->a, "LATENCY LATEST", "[]");
    assert_non_null(strstr(fixture_ask(f, f->a, "LATENCY DOCTOR"), "No latency spike"));
}

static void histograms_and_percentiles_say_how_long_runs_took(void **state)
{
    struct session_fixture *f = *state;
    struct slice words[] = {slice_from("get"), slice_from("k")};
    for (unsigned i = 0; i < 99; i++)
        record(f, words, 2, 3);
    record(f, words, 2, 1000);
    assert_reply(f, f->a, "LATENCY HISTOGRAM GET nosuch",
                 "[\"get\", [\"calls\", :100, \"histogram_usec\", [:4, :99, :1024, :100]]]");
    const char *info = fixture_ask(f, f->a, "INFO latencystats");
    assert_non_null(
        strstr(info, "latency_percentiles_usec_get:p50=3.000,p99=3.000,p99.9=1023.000"));
    assert_reply(f, f->a, "CONFIG RESETSTAT", "+OK");
    assert_reply(f, f->a, "LATENCY HISTOGRAM get", "[]");
    assert_reply(f, f->a, "CONFIG GET nosuch", "[]");
    assert_non_null(strstr(fixture_ask(f, f->a, "LATENCY HISTOGRAM config"), "config|get"));
}

static void a_sleep_counts_for_slow_log_and_latency_monitor(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "CONFIG SET latency-monitor-threshold 100", "+OK");
    fixture_feed(f->a, "DEBUG SLEEP 0.25\r\n");
    assert_int_equal(session_state(f->a), SESSION_BLOCKED);
    f->ms.now_ms += 250;
    assert_int_equal(session_timeout(f->a), SESSION_READY);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n");
    assert_non_null(
        strstr(fixture_ask(f, f->a, "SLOWLOG GET"), ":250000, [\"DEBUG\", \"SLEEP\", \"0.25\"]"));
    assert_non_null(strstr(fixture_ask(f, f->a, "LATENCY LATEST"), ":250, :250]"));
    assert_non_null(
        strstr(fixture_ask(f, f->a, "INFO commandstats"), "cmdstat_debug:calls=1,usec=250000,"));
}

static void what_is_refused_before_it_runs_counts_as_rejected(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "GET");
    fixture_ask(f, f->a, "GET k");
    const char *info = fixture_ask(f, f->a, "INFO commandstats");
    assert_non_null(strstr(info, "cmdstat_get:calls=1,usec=0,usec_per_call=0.00,rejected_calls=1,"
                                 "failed_calls=0"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_duration_has_a_bucket_that_ends_at_or_above_it),
        TEST(slow_commands_are_kept_newest_first_up_to_the_limit),
        TEST(passwords_are_not_kept),
        TEST(spikes_are_samples_one_for_each_second),
        TEST(histograms_and_percentiles_say_how_long_runs_took),
        TEST(a_sleep_counts_for_slow_log_and_latency_monitor),
        TEST(what_is_refused_before_it_runs_counts_as_rejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
