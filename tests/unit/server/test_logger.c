/* SPDX-License-Identifier: MIT */
#include "server/logger.h"

#include "lib/temp_directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static void expect_line(enum logger_format format, const char *line, const char *text)
{
    struct buffer out = {0};
    logger_format(&out, format, 42, 1795226400123, LOG_NOTICE, line);
    buffer_append_byte(&out, 0);
    assert_string_equal((const char *)out.data, text);
    buffer_release(&out);
}

static void a_line_for_people_has_pid_time_and_mark(void **state)
{
    (void)state;
    expect_line(LOGGER_TEXT, "hello", "42:M 21 Nov 2026 02:00:00.123 * hello\n");
    expect_line(LOGGER_TEXT, "two\r\nlines", "42:M 21 Nov 2026 02:00:00.123 * two  lines\n");
}

static void a_json_line_is_escaped(void **state)
{
    (void)state;
    expect_line(LOGGER_JSON, "say \"a\\b\"\n\x01",
                "{\"time\":\"2026-11-21T02:00:00.123Z\",\"pid\":42,\"level\":\"notice\","
                "\"message\":\"say \\\"a\\\\b\\\"\\u000a\\u0001\"}\n");
}

static void what_is_below_the_level_is_dropped(void **state)
{
    (void)state;
    char directory[TEMP_DIRECTORY_BYTES];
    temp_directory_make(directory);
    char path[TEMP_DIRECTORY_BYTES + 32];
    snprintf(path, sizeof(path), "%s/log", directory);
    struct logger *logger = logger_create(path);
    assert_non_null(logger);
    logger_write(logger, LOG_VERBOSE, "one");
    logger_write(logger, LOG_NOTICE, "two");
    logger_set(logger, LOG_WARNING, LOGGER_JSON);
    logger_write(logger, LOG_NOTICE, "three");
    logger_write(logger, LOG_WARNING, "four");
    logger_destroy(logger);
    struct buffer text = {0};
    struct vfs *vfs = vfs_posix_create();
    assert_int_equal(vfs_read_file(vfs, path, 4096, &text), STATUS_OK);
    buffer_append_byte(&text, 0);
    assert_null(strstr((char *)text.data, "one"));
    assert_non_null(strstr((char *)text.data, " * two\n"));
    assert_null(strstr((char *)text.data, "three"));
    assert_non_null(strstr((char *)text.data, "\"level\":\"warning\",\"message\":\"four\"}\n"));
    buffer_release(&text);
    vfs_destroy(vfs);
    temp_directory_remove(directory);
}

static void a_file_that_cannot_be_opened_is_no_logger(void **state)
{
    (void)state;
    assert_null(logger_create("/nonexistent/directory/log"));
    logger_destroy(NULL);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_for_people_has_pid_time_and_mark),
        cmocka_unit_test(a_json_line_is_escaped),
        cmocka_unit_test(what_is_below_the_level_is_dropped),
        cmocka_unit_test(a_file_that_cannot_be_opened_is_no_logger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
