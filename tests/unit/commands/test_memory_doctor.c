/* SPDX-License-Identifier: MIT */
#include "commands/memory_doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Nothing is wrong, but each figure is one step from being so. */
static const struct memory_facts sound = {
    .counted_bytes = 1000,
    .counted_bytes_max = 1000,
    .client_bytes = 500,
    .client_bytes_max = 1000,
    .memtable_bytes = 1000,
    .memtable_bytes_max = 1000,
    .cache_bytes = 1000000,
    .cache_bytes_max = 1000000,
    .cache_hits = 50000,
    .cache_misses = 50000,
    .heap_used_bytes = 1000,
    .heap_held_bytes = 1500 + (64 << 20),
    .resident_bytes = 1000,
    .peak_bytes = 1500 + (64 << 20),
};

static const char *report(struct memory_facts facts)
{
    static struct buffer text;
    buffer_clear(&text);
    memory_doctor_report(&facts, &text);
    buffer_append_byte(&text, 0);
    return (const char *)text.data;
}

#define assert_reports(facts, beginning) \
    assert_memory_equal(report(facts), beginning, sizeof(beginning) - 1)

static void nothing_is_said_without_need(void **state)
{
    (void)state;
    assert_string_equal(report(sound), "No memory problems.\n");
    assert_string_equal(report((struct memory_facts){.cache_bytes_max = 1, .resident_bytes = 1}),
                        "No memory problems.\n");
}

static void each_problem_has_a_line_of_its_own(void **state)
{
    struct memory_facts facts = sound;
    (void)state;
    facts.counted_bytes++;
    assert_reports(facts, " * maxmemory is 1000 bytes, and 1001 are reserved");
    facts.counted_bytes_max = 0; /* none */
    assert_reports(facts, "No memory problems.");
    facts.client_bytes++;
    assert_reports(facts, " * Clients hold 501 of 1000 bytes (maxmemory-clients)");
    facts.client_bytes_max = 0;
    assert_reports(facts, "No memory problems.");
    facts.write_delay_us = 7;
    assert_reports(facts, " * Writes are slowed down by 7 us each");
    facts.write_delay_us = 0;
    facts.cache_misses++;
    assert_reports(facts, " * The block cache is full, and 50% of the blocks");
    facts.cache_bytes -= 100001;
    assert_reports(facts, "No memory problems.");
    facts.heap_held_bytes++;
    assert_reports(facts, " * The heap keeps 67109365 bytes that are free.");
    facts.heap_used_bytes += 1000;
    assert_reports(facts, "No memory problems.");
    facts.peak_bytes++;
    assert_reports(facts, " * The process once had 67110365 bytes, now 1000.");
}

static void problems_stand_one_below_the_other(void **state)
{
    struct memory_facts facts = sound;
    (void)state;
    facts.counted_bytes++;
    facts.peak_bytes++;
    const char *text = report(facts);
    assert_memory_equal(text, " * maxmemory", 12);
    assert_non_null(strstr(text, "block-cache-size.\n * The process once had"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said_without_need),
        cmocka_unit_test(each_problem_has_a_line_of_its_own),
        cmocka_unit_test(problems_stand_one_below_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
