/* SPDX-License-Identifier: MIT */
/* What clients are told of features that are not there, beyond what the transcripts show. */
#include "commands/service_state.h"
#include "unit/commands/session_fixture.h"

static void lolwut_draws_and_names_the_version(void **state)
{
    struct session_fixture *f = *state;
    static const char *const lines[] = {"LOLWUT", "lolwut VERSION 5", "LOLWUT VERSION 6 7 8"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *shown = fixture_ask(f, f->a, lines[i]);
        assert_non_null(strstr(shown, "(@)"));
        assert_non_null(strstr(shown, "\\nCordwood ver. " CORDWOOD_VERSION "\\n\""));
    }
    fixture_ask(f, f->a, "HELLO 3");
    fixture_feed(f->a, "LOLWUT\r\n");
    assert_int_equal(strncmp(fixture_take(f, f->a), "=", 1), 0); /* verbatim */
}

/* Cluster clients ask one of these first, and look for the word "disabled". */
static void every_question_about_a_cluster_says_that_there_is_none(void **state)
{
    struct session_fixture *f = *state;
    char line[80];
    size_t count = 0;
    for (size_t i = 0; i < command_table_size; i++) {
        const struct command *command = &command_table[i];
        if (strncmp(command->name, "cluster|", 8) != 0)
            continue;
        snprintf(line, sizeof line, "CLUSTER %s%.*s", command->name + 8, 2 * (command->arity - 2),
                 " 1 1");
        assert_reply(f, f->a, line, "-ERR This instance has cluster support disabled");
        count++;
    }
    assert_true(count >= 12);
    assert_reply(f, f->a, "CLUSTER NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP.");
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO cluster"), "cluster_enabled:0"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(lolwut_draws_and_names_the_version),
        TEST(every_question_about_a_cluster_says_that_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
