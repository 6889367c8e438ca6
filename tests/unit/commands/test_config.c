/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include "commands/config.h"
#include "vfs/vfs_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

struct fixture {
    struct config *config;
    struct vfs *vfs;
    struct buffer error;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.config = config_create(), .vfs = vfs_memory_create()};
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    config_destroy(f->config);
    vfs_destroy(f->vfs);
    buffer_release(&f->error);
    return 0;
}

static void expect_text(struct buffer *buffer, const char *text)
{
    buffer_append_byte(buffer, 0);
    assert_string_equal((const char *)buffer->data, text);
    buffer_release(buffer);
}

static void expect_get(struct fixture *f, const char *name, const char *text)
{
    struct buffer value = {0};
    assert_true(config_get(f->config, slice_from(name), &value));
    expect_text(&value, text);
}

static void expect_set(struct fixture *f, const char *name, const char *text)
{
    assert_true(config_set(f->config, slice_from(name), slice_from(text), false, &f->error));
}

static void expect_refused(struct fixture *f, const char *name, const char *text, const char *error)
{
    assert_false(config_set(f->config, slice_from(name), slice_from(text), false, &f->error));
    expect_text(&f->error, error);
}

static void write_file(struct fixture *f, const char *name, const char *text)
{
    assert_int_equal(vfs_replace_file(f->vfs, "/", name, slice_from(text)), STATUS_OK);
}

static void every_default_reads_back_as_a_value_of_its_name(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < CONFIG_COUNT; i++) {
        struct buffer value = {0}, again = {0};
        config_get_text(f->config, i, &value);
        assert_true(config_set(f->config, slice_from(config_name_text(i)), buffer_slice(&value),
                               true, &f->error));
        config_get_text(f->config, i, &again);
        assert_true(slice_equal(buffer_slice(&value), buffer_slice(&again)));
        buffer_release(&value);
        buffer_release(&again);
    }
    expect_get(f, "port", "6379");
    expect_get(f, "bind", "127.0.0.1 -::1");
    expect_get(f, "APPENDFSYNC", "everysec");
    expect_get(f, "proto-max-bulk-len", "536870912");
    expect_get(f, "log-max-future", "10m");
    expect_get(f, "unixsocketperm", "0");
    expect_get(f, "client-output-buffer-limit",
               "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
    struct buffer value = {0};
    assert_false(config_get(f->config, slice_from("no-such"), &value));
}

static void values_of_every_kind_are_set_and_read(void **state)
{
    struct fixture *f = *state;
    expect_set(f, "appendfsync", "ALWAYS");
    assert_int_equal(config_choice(f->config, CONFIG_appendfsync), 0);
    expect_get(f, "appendfsync", "always");
    expect_set(f, "proto-max-bulk-len", "2MB");
    assert_int_equal(config_integer(f->config, CONFIG_proto_max_bulk_len), 2 << 20);
    expect_set(f, "proto-max-bulk-len", "2m");
    assert_int_equal(config_integer(f->config, CONFIG_proto_max_bulk_len), 2000000);
    expect_set(f, "log-max-future", "90s");
    assert_int_equal(config_integer(f->config, CONFIG_log_max_future), 90000);
    expect_get(f, "log-max-future", "90s");
    expect_set(f, "log-max-future", "7");
    expect_get(f, "log-max-future", "7ms");
    expect_set(f, "protected-mode", "no");
    assert_int_equal(config_integer(f->config, CONFIG_protected_mode), 0);
    assert_int_equal(config_integer(f->config, CONFIG_requirepass), 0);
    expect_set(f, "requirepass", "secret");
    assert_int_equal(config_integer(f->config, CONFIG_requirepass), 6);
    struct buffer password = {0};
    config_string(f->config, CONFIG_requirepass, &password);
    expect_text(&password, "secret");
    expect_set(f, "save", "3600 1 300 100");
    expect_get(f, "save", "3600 1 300 100");
    expect_set(f, "list-max-listpack-size", "-5");
    expect_get(f, "list-max-listpack-size", "-5");
    assert_true(config_set(f->config, slice_from("unixsocketperm"), slice_from("700"), true,
                           &f->error));
    assert_int_equal(config_integer(f->config, CONFIG_unixsocketperm), 0700);
    expect_get(f, "unixsocketperm", "700");
}

static void output_limits_change_only_the_classes_named(void **state)
{
    struct fixture *f = *state;
    expect_set(f, "client-output-buffer-limit", "normal 1mb 2kb 3 replica 4 5 6");
    struct config_output_limit limit = config_output_limit(f->config, CONFIG_CLASS_NORMAL);
    assert_int_equal(limit.hard_bytes, 1 << 20);
    assert_int_equal(limit.soft_bytes, 2048);
    assert_int_equal(limit.soft_seconds, 3);
    expect_get(f, "client-output-buffer-limit",
               "normal 1048576 2048 3 slave 4 5 6 pubsub 33554432 8388608 60");
}

static void refusals_are_worded_as_redis_words_them(void **state)
{
    struct fixture *f = *state;
#define FAILED(name) "CONFIG SET failed (possibly related to argument '" name "') - "
    expect_refused(f, "appendfsync", "foo", FAILED("appendfsync")
                   "argument(s) must be one of the following: always, everysec, no");
    expect_refused(f, "appendfsync", "alwaysx", FAILED("appendfsync")
                   "argument(s) must be one of the following: always, everysec, no");
    expect_refused(f, "databases", "4", FAILED("databases") "can't set immutable config");
    expect_refused(f, "MAXCLIENTS", "abc",
                   FAILED("maxclients") "argument couldn't be parsed into an integer");
    expect_refused(f, "maxclients", "0",
                   FAILED("maxclients") "argument must be between 1 and 1000000 inclusive");
    expect_refused(f, "maxclients", "99999999999999999999",
                   FAILED("maxclients") "argument couldn't be parsed into an integer");
    expect_refused(f, "client-query-buffer-limit", "5x",
                   FAILED("client-query-buffer-limit") "argument must be a memory value");
    expect_refused(f, "client-query-buffer-limit", "9223372036854775807gb",
                   FAILED("client-query-buffer-limit") "argument must be a memory value");
    expect_refused(f, "client-query-buffer-limit", "",
                   FAILED("client-query-buffer-limit") "argument must be a memory value");
    expect_refused(f, "protected-mode", "maybe",
                   FAILED("protected-mode") "argument must be 'yes' or 'no'");
    expect_refused(f, "log-max-future", "3 weeks",
                   FAILED("log-max-future") "argument must be a time with a unit (ms s m h d)");
    expect_refused(f, "save", "x", FAILED("save") "Invalid save parameters");
    expect_refused(f, "save", "60", FAILED("save") "Invalid save parameters");
    expect_refused(f, "client-output-buffer-limit", "normal 1",
                   FAILED("client-output-buffer-limit")
                   "Wrong number of arguments in buffer limit configuration.");
    expect_refused(f, "client-output-buffer-limit", "foo 1 1 1",
                   FAILED("client-output-buffer-limit")
                   "Invalid client class specified in buffer limit configuration.");
    expect_refused(f, "client-output-buffer-limit", "normal 1 x 1",
                   FAILED("client-output-buffer-limit") "Error in hard, soft or soft_seconds "
                   "setting in buffer limit configuration.");
    expect_refused(f, "foo", "bar",
                   "Unknown option or number of arguments for CONFIG SET - 'foo'");
    assert_false(config_set(f->config, slice_from("unixsocketperm"), slice_from("9"), true,
                            &f->error));
    expect_text(&f->error,
                "'unixsocketperm': argument couldn't be parsed as an octal number");
    assert_false(config_set(f->config, slice_from("unixsocketperm"), slice_from("1000"), true,
                            &f->error));
    expect_text(&f->error, "'unixsocketperm': argument must be between 0 and 777 inclusive");
    assert_false(config_set(f->config, slice_from("dir"), slice_make("a\0b", 3), true, &f->error));
    expect_text(&f->error, "'dir': argument must not contain zero bytes");
    struct slice long_text = slice_make(memory_zeroed(1, 65537), 65537);
    assert_false(config_set(f->config, slice_from("requirepass"), long_text, true, &f->error));
    expect_text(&f->error, "'requirepass': argument must not be longer than 65536 bytes");
    memory_free((void *)(uintptr_t)long_text.data);
}

static void several_values_are_set_all_or_none(void **state)
{
    struct fixture *f = *state;
    struct slice good[] = {slice_from("hz"), slice_from("5"), slice_from("timeout"),
                           slice_from("7")};
    assert_true(config_set_all(f->config, good, 4, &f->error));
    expect_get(f, "hz", "5");
    expect_get(f, "timeout", "7");
    struct slice bad[] = {slice_from("hz"), slice_from("6"), slice_from("timeout"),
                          slice_from("x")};
    assert_false(config_set_all(f->config, bad, 4, &f->error));
    expect_text(&f->error,
                FAILED("timeout") "argument couldn't be parsed into an integer");
    struct slice twice[] = {slice_from("hz"), slice_from("6"), slice_from("HZ"), slice_from("7")};
    assert_false(config_set_all(f->config, twice, 4, &f->error));
    expect_text(&f->error, FAILED("hz") "duplicate parameter");
    expect_get(f, "hz", "5");
    struct slice many[1000];
    for (int i = 0; i < 1000; i++)
        many[i] = slice_from(i % 2 ? "9" : config_name_text((i / 2) % CONFIG_COUNT));
    assert_false(config_set_all(f->config, many, 1000, &f->error));
    buffer_clear(&f->error);
}

/* A host that remembers what it saw, and agrees as long as it is told to. */
struct host {
    struct fixture *f;
    struct buffer seen;
    unsigned calls;
    bool agrees;
};

static bool apply(void *context, struct buffer *error)
{
    struct host *host = context;
    host->calls++;
    buffer_clear(&host->seen);
    config_string(host->f->config, CONFIG_tls_cert_file, &host->seen);
    if (!host->agrees)
        buffer_append_text(error, "the file is no good");
    return host->agrees;
}

static void what_the_host_refuses_is_put_back(void **state)
{
    struct fixture *f = *state;
    struct host host = {.f = f, .agrees = true};
    struct slice words[] = {slice_from("hz"),
                            slice_from("6"),
                            slice_from("tls-cert-file"),
                            slice_from("new.pem"),
                            slice_from("client-output-buffer-limit"),
                            slice_from("pubsub 1 2 3"),
                            slice_from("tls-session-caching"),
                            slice_from("no")};
    config_on_apply(f->config, apply, &host);
    expect_set(f, "tls-cert-file", "old.pem");
    assert_true(slice_equal(buffer_slice(&host.seen), slice_from("old.pem")));
    expect_set(f, "tls-cert-file", "old.pem"); /* the same again is asked again */
    assert_int_equal(host.calls, 2);
    expect_set(f, "hz", "5"); /* not the host's */
    assert_int_equal(host.calls, 2);
    host.agrees = false;
    assert_false(config_set_all(f->config, words, 8, &f->error));
    expect_text(&f->error, FAILED("tls-cert-file") "the file is no good");
    assert_true(slice_equal(buffer_slice(&host.seen), slice_from("new.pem")));
    expect_get(f, "tls-cert-file", "old.pem");
    expect_get(f, "hz", "5");
    expect_get(f, "client-output-buffer-limit",
               "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
    expect_get(f, "tls-session-caching", "yes");
    host.agrees = true;
    assert_true(config_set_all(f->config, words, 8, &f->error));
    expect_get(f, "tls-cert-file", "new.pem");
    expect_get(f, "hz", "6");
    assert_int_equal(host.calls, 4);
    /* What cannot be parsed is not asked for; at the start and without a host nobody is asked. */
    expect_refused(
        f, "tls-auth-clients", "perhaps",
        FAILED("tls-auth-clients") "argument(s) must be one of the following: no, yes, optional");
    assert_true(
        config_set(f->config, slice_from("tls-key-file"), slice_from("k"), true, &f->error));
    config_on_apply(f->config, NULL, NULL);
    expect_set(f, "tls-cert-file", "unasked.pem");
    assert_int_equal(host.calls, 4);
    assert_true(config_is_applied(slice_from("TLS-cert-file")));
    assert_false(config_is_applied(slice_from("tls-port")));
    assert_false(config_is_applied(slice_from("hz")));
    assert_false(config_is_applied(slice_from("nothing")));
    buffer_release(&host.seen);
}

static void a_file_has_comments_quotes_and_includes(void **state)
{
    struct fixture *f = *state;
    write_file(f, "inner.conf", "port 7000\nbind 1.2.3.4   ::1\n");
    write_file(f, "main.conf",
               "# a comment with \" a lone quote\n"
               "\n"
               "  include /inner.conf\r\n"
               "requirepass \"a \\\"b\\\" \\x41\\n\\\\\"\n"
               "dir 'it\\'s here'\n"
               "save \"\"\n"
               "timeout 3");
    assert_true(config_load_file(f->config, f->vfs, "/main.conf", &f->error));
    expect_get(f, "port", "7000");
    expect_get(f, "bind", "1.2.3.4 ::1");
    expect_get(f, "requirepass", "a \"b\" A\n\\");
    expect_get(f, "dir", "it's here");
    expect_get(f, "save", "");
    expect_get(f, "timeout", "3");
}

static void refuse_file(struct fixture *f, const char *text, const char *error)
{
    assert_false(config_load_text(f->config, f->vfs, "x.conf", slice_from(text), &f->error));
    expect_text(&f->error, error);
}

static void a_bad_line_is_named(void **state)
{
    struct fixture *f = *state;
    refuse_file(f, "port 1\n\nport nine\n",
                "x.conf, line 3: 'port': argument couldn't be parsed into an integer");
    expect_get(f, "port", "1");
    refuse_file(f, "colour blue\n", "x.conf, line 1: 'colour': no such name");
    refuse_file(f, "port\n", "x.conf, line 1: 'port': the value is missing");
    refuse_file(f, "\"\" x\n", "x.conf, line 1: '': no such name");
    refuse_file(f, "dir \"x\n", "x.conf, line 1: unbalanced quotes");
    refuse_file(f, "dir \"x\"y\n", "x.conf, line 1: unbalanced quotes");
    refuse_file(f, "include a b\n", "x.conf, line 1: include takes one path");
    refuse_file(f, "include /missing\n",
                "x.conf, line 1: cannot read the configuration file /missing: not found");
    write_file(f, "loop.conf", "include /loop.conf\n");
    assert_false(config_load_file(f->config, f->vfs, "/loop.conf", &f->error));
    assert_non_null(strstr((buffer_append_byte(&f->error, 0), (char *)f->error.data),
                           "too many nested includes"));
    buffer_clear(&f->error);
    char many[200] = "save";
    for (int i = 4; i < 180; i += 2)
        memcpy(many + i, " 1", 3);
    refuse_file(f, many, "x.conf, line 1: too many words");
    assert_false(config_load_text(f->config, NULL, "x.conf", slice_from("include /a"), &f->error));
    expect_text(&f->error, "x.conf, line 1: include is not possible here");
}

static void a_file_may_not_be_huge(void **state)
{
    struct fixture *f = *state;
    struct buffer big = {0};
    while (big.size <= CONFIG_FILE_BYTES_MAX)
        buffer_append_text(&big, "# nothing but comments in this one ...............\n");
    assert_int_equal(vfs_replace_file(f->vfs, "/", "big.conf", buffer_slice(&big)), STATUS_OK);
    buffer_release(&big);
    assert_false(config_load_file(f->config, f->vfs, "/big.conf", &f->error));
    expect_text(&f->error,
                "cannot read the configuration file /big.conf: larger than the limit");
}

static void flags_win_over_the_file(void **state)
{
    struct fixture *f = *state;
    write_file(f, "a.conf", "port 1\nhz 2\n");
    char *words[] = {"/a.conf", "--port", "3", "--bind", "127.0.0.1", "::1", "--save", "",
                     "--list-max-listpack-size", "-5"};
    assert_true(config_load_flags(f->config, f->vfs, 10, words, &f->error));
    expect_get(f, "port", "3");
    expect_get(f, "hz", "2");
    expect_get(f, "bind", "127.0.0.1 ::1");
    expect_get(f, "save", "");
    expect_get(f, "list-max-listpack-size", "-5");
}

static void bad_flags_are_named(void **state)
{
    struct fixture *f = *state;
    char *unknown[] = {"--colour", "blue"};
    assert_false(config_load_flags(f->config, f->vfs, 2, unknown, &f->error));
    expect_text(&f->error, "'colour': no such name");
    char *missing[] = {"--port", "--hz", "3"};
    assert_false(config_load_flags(f->config, f->vfs, 3, missing, &f->error));
    expect_text(&f->error, "'--port': the value is missing");
    char *file[] = {"/nowhere.conf"};
    assert_false(config_load_flags(f->config, f->vfs, 1, file, &f->error));
    expect_text(&f->error, "cannot read the configuration file /nowhere.conf: not found");
    write_file(f, "b.conf", "port 1\n");
    assert_true(config_load_flags(f->config, f->vfs, 0, NULL, &f->error));
}

static void the_printed_file_is_a_valid_file_with_every_name(void **state)
{
    struct fixture *f = *state;
    struct buffer file = {0};
    config_print_file(&file);
    assert_true(config_load_text(f->config, NULL, "printed", buffer_slice(&file), &f->error));
    buffer_append_byte(&file, 0);
    struct buffer reference = {0};
    config_print_reference(&reference);
    buffer_append_byte(&reference, 0);
    for (int i = 0; i < CONFIG_COUNT; i++) {
        char line[80];
        snprintf(line, sizeof(line), "\n%s ", config_name_text(i));
        assert_non_null(strstr((char *)file.data, line));
        snprintf(line, sizeof(line), "\n| `%s` | ", config_name_text(i));
        assert_non_null(strstr((char *)reference.data, line));
    }
    buffer_release(&file);
    buffer_release(&reference);
    expect_get(f, "bind", "127.0.0.1 -::1");
    expect_get(f, "requirepass", "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_default_reads_back_as_a_value_of_its_name),
        TEST(values_of_every_kind_are_set_and_read),
        TEST(output_limits_change_only_the_classes_named),
        TEST(refusals_are_worded_as_redis_words_them),
        TEST(several_values_are_set_all_or_none),
        TEST(what_the_host_refuses_is_put_back),
        TEST(a_file_has_comments_quotes_and_includes),
        TEST(a_bad_line_is_named),
        TEST(a_file_may_not_be_huge),
        TEST(flags_win_over_the_file),
        TEST(bad_flags_are_named),
        TEST(the_printed_file_is_a_valid_file_with_every_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
