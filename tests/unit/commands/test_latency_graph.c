/* SPDX-License-Identifier: MIT */
#include "commands/latency_graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { NOW_S = 1000000 };

static void expect(const struct latency_sample *samples, size_t count, const char *picture)
{
    struct buffer out = {0};
    latency_graph(slice_from("command"), samples, count, 1000, NOW_S, &out);
    buffer_append_byte(&out, 0);
    const char *line = strstr((const char *)out.data, "\n---");
    assert_non_null(line);
    assert_int_equal(strspn(line + 1, "-"), 80);
    assert_string_equal(line + 82, picture);
    buffer_release(&out);
}

static void a_sample_is_a_column_with_its_age_below(void **state)
{
    (void)state;
    expect((const struct latency_sample[]){{NOW_S, 103}}, 1, " \n \n \n_\n \n0\ns\n");
    expect(
        (const struct latency_sample[]){
            {NOW_S - 4, 103}, {NOW_S - 2, 303}, {NOW_S - 1, 203}, {NOW_S, 52}},
        4, " #  \n |o \n || \n#||_\n    \n4210\nssss\n");
}

static void ages_are_in_the_largest_unit_that_fits(void **state)
{
    (void)state;
    expect((const struct latency_sample[]){{NOW_S - 200000, 1},
                                           {NOW_S - 86399, 1},
                                           {NOW_S - 3600, 1},
                                           {NOW_S - 61, 1},
                                           {NOW_S - 59, 1},
                                           {NOW_S + 5, 1}},
           6, "      \n      \n      \n______\n      \n221150\nd3hm9s\n h  s \n");
}

static void many_samples_take_several_rows(void **state)
{
    struct latency_sample samples[81];
    struct buffer picture = {0};
    (void)state;
    for (size_t i = 0; i < 81; i++)
        samples[i] = (struct latency_sample){NOW_S, i == 80 ? 2 : 1};
    for (int row = 0; row < 7; row++) {
        for (int i = 0; i < 80; i++)
            buffer_append_byte(&picture, (uint8_t) "   _ 0s"[row]);
        buffer_append_byte(&picture, '\n');
    }
    buffer_append_text(&picture, "\n#\n|\n|\n|\n \n0\ns\n");
    buffer_append_byte(&picture, 0);
    expect(samples, 81, (const char *)picture.data);
    buffer_release(&picture);
}

static void the_head_names_the_extremes(void **state)
{
    struct buffer out = {0};
    (void)state;
    latency_graph(slice_from("fast-command"), (const struct latency_sample[]){{1, 7}, {2, 5}}, 2,
                  90, NOW_S, &out);
    assert_true(slice_starts_with(
        buffer_slice(&out),
        slice_from("fast-command - high 7 ms, low 5 ms (all time high 90 ms)\n---")));
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_head_names_the_extremes),
        cmocka_unit_test(a_sample_is_a_column_with_its_age_below),
        cmocka_unit_test(ages_are_in_the_largest_unit_that_fits),
        cmocka_unit_test(many_samples_take_several_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
