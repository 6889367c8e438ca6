/* SPDX-License-Identifier: MIT */
/* Logs over both protocols: what goes in by any of them comes out by all, byte for byte, in the
 * order of time, page by page, from memory and from tables, before and after a kill. */
#include "lib/seed.h"
#include "lib/test_server.h"

#include "base/memory.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct test_server server;
static struct resp_client client;
static struct buffer shown;

/* Small caches: most of what is read was flushed and is cold. */
static const char *const flags[] = {"--memtable-size", "1mb", "--block-cache-size", "1mb", NULL};

static const char *ask(const char *const *words)
{
    return resp_client_ask_texts(&client, &shown, words);
}

#define ASK(...) ask((const char *const[]){__VA_ARGS__, NULL})

static void call(struct resp_reply *reply, const struct slice *arguments, size_t count)
{
    *reply = (struct resp_reply){0};
    assert_true(resp_client_send_command(&client, arguments, count));
    assert_true(resp_client_read(&client, reply));
    if (reply->type == '-')
        fail_msg("%.*s", (int)reply->text.size, (const char *)reply->text.data);
}

static void restart_after_kill(void)
{
    resp_client_close(&client);
    test_server_kill(&server);
    test_server_start(&server, flags);
    test_server_connect(&server, &client);
}

static int set_up(void **state)
{
    (void)state;
    test_server_connect(&server, &client);
    assert_string_equal(ASK("FLUSHALL"), "+OK");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    resp_client_close(&client);
    return 0;
}

static void xadd_and_log_write_give_the_same_entries(void **state)
{
    (void)state;
    assert_string_equal(ASK("XADD", "s", "5-1", "message", "m", "b", "2", "a", "1"), "\"5-1\"");
    assert_string_equal(ASK("LOG.WRITE", "s", "TS", "6", "--", "n", "b", "2", "a", "1"), "\"6-0\"");
    const char *expected = "[[\"5-1\", [\"message\", \"m\", \"b\", \"2\", \"a\", \"1\"]], "
                           "[\"6-0\", [\"message\", \"n\", \"b\", \"2\", \"a\", \"1\"]]]";
    assert_string_equal(ASK("XRANGE", "s", "-", "+"), expected);
    assert_string_equal(ASK("LOG.RANGE", "s", "-", "+"), expected);
    assert_string_equal(ASK("TYPE", "s"), "+stream");
}

static void a_late_entry_reaches_a_blocked_reader_and_its_place_in_time(void **state)
{
    struct resp_client reader;
    struct resp_reply reply = {0};
    const struct slice read[] = {slice_from("XREAD"),   slice_from("BLOCK"), slice_from("0"),
                                 slice_from("STREAMS"), slice_from("s"),     slice_from("9-0")};
    (void)state;
    ASK("LOG.WRITE", "s", "TS", "5", "early");
    ASK("LOG.WRITE", "s", "TS", "9", "newest");
    test_server_connect(&server, &reader);
    assert_true(resp_client_send_command(&reader, read, 6));
    assert_string_equal(ASK("LOG.WRITE", "s", "TS", "7", "late"), "\"9-1\"");
    assert_true(resp_client_read(&reader, &reply));
    assert_true(resp_reply_is(&reply, "[[\"s\", [[\"9-1\", [\"message\", \"late\"]]]]]"));
    assert_string_equal(ASK("LOG.RANGE", "s", "6", "8", "WITHTIME"),
                        "[[\"9-1\", [\"message\", \"late\"], :7]]");
    resp_reply_release(&reply);
    resp_client_close(&reader);
}

static void deleted_and_trimmed_entries_are_gone_from_reads_by_time(void **state)
{
    (void)state;
    for (const char *const *ts = (const char *const[]){"10", "20", "15", "30", "5", NULL}; *ts;
         ts++)
        ASK("LOG.WRITE", "s", "TS", *ts, "m");
    assert_string_equal(ASK("LOG.RANGE", "s", "-", "+", "NOVALUES", "WITHTIME"),
                        "[[\"30-1\", [\"message\"], :5], [\"10-0\", [\"message\"], :10], "
                        "[\"20-1\", [\"message\"], :15], [\"20-0\", [\"message\"], :20], "
                        "[\"30-0\", [\"message\"], :30]]");
    assert_string_equal(ASK("XDEL", "s", "30-1"), ":1");
    assert_string_equal(ASK("XTRIM", "s", "MINID", "20-1"), ":2");
    assert_string_equal(ASK("LOG.RANGE", "s", "-", "+", "NOVALUES", "WITHTIME"),
                        "[[\"20-1\", [\"message\"], :15], [\"30-0\", [\"message\"], :30]]");
}

static void limits_follow_the_configuration(void **state)
{
    (void)state;
    ASK("CONFIG", "SET", "log-max-message", "5", "log-max-future", "1h");
    assert_string_equal(ASK("LOG.WRITE", "s", "TS", "5", "12345", "field", "as long as it likes"),
                        "\"5-0\"");
    assert_string_equal(ASK("LOG.WRITE", "s", "123456"),
                        "-ERR message too large, limit 5 bytes (log-max-message)");
    assert_string_equal(ASK("LOG.MWRITE", "s", "LINES", "2", "1", "123456"),
                        "-ERR line 2: message too large, limit 5 bytes (log-max-message)");
    assert_string_equal(ASK("LOG.WRITE", "s", "TS", "+2h", "m"),
                        "-ERR time is 2 h in the future, limit 1 h (log-max-future)");
    assert_string_equal(ASK("XLEN", "s"), ":1");
    ASK("CONFIG", "SET", "log-max-message", "1mb", "log-max-future", "10m");
}

static void a_read_may_be_cut_by_size_and_goes_on_by_its_cursor(void **state)
{
    (void)state;
    ASK("LOG.MWRITE", "s", "NDJSON",
        "{\"message\":\"one\",\"timestamp\":1}\n{\"message\":\"two\",\"timestamp\":\"1970-01-01T00:"
        "00:00."
        "002Z\"}\n");
    assert_string_equal(ASK("LOG.RANGE", "s", "-", "+", "MAXSIZE", "1", "WITHCURSOR"),
                        "[\"1-1-0\", [[\"1-0\", [\"message\", \"one\"]]], :12, :1]");
    assert_string_equal(
        ASK("LOG.RANGE", "s", "-", "+", "MAXSIZE", "1", "WITHCURSOR", "CURSOR", "1-1-0"),
        "[\"2-2-0\", [[\"2-0\", [\"message\", \"two\"]]], :12, :1]");
    assert_string_equal(ASK("LOG.RANGE", "s", "-", "+", "WITHCURSOR", "CURSOR", "2-2-0"),
                        "[\"2-2-0\", [], :0, :0]");
    assert_string_equal(ASK("LOG.REVRANGE", "s", "+", "-", "NOVALUES", "CURSOR", "2-2-0"),
                        "[[\"1-0\", [\"message\"]]]");
    assert_string_equal(ASK("LOG.RANGE", "none", "-", "+", "WITHCURSOR"), "[\"0\", [], :0, :0]");
    assert_string_equal(ASK("LOG.RANGE", "s", "-", "+", "TIMEOUT", "10000", "COUNT", "1"),
                        "[[\"1-0\", [\"message\", \"one\"]]]");
}

static void options_that_make_no_sense_are_refused(void **state)
{
    static const char *const cases[][7] = {
        {"CURSOR", "x"},
        {"RETURN", "0"},
        {"RETURN", "2", "message"},
        {"RETURN", "1", "message", "NOVALUES"},
        {"NOVALUES", "RETURN", "1", "message"},
        {"COUNT", "-1"},
        {"MATCH"},
        {"NOT"},
        {"LEVEL", ">="},
        {"(", "MATCH", "x"},
        {"NOCASE"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *words[12] = {"LOG.RANGE", "s", "-", "+"};
        memcpy(words + 4, cases[i], sizeof cases[i]);
        const char *reply = ask(words);
        if (reply[0] != '-')
            fail_msg("%s ...: %s", cases[i][0], reply);
    }
    assert_string_equal(ASK("LOG.RANGE", "s", "-", "+", "CURSOR", "x"), "-ERR invalid cursor");
    assert_string_equal(ASK("LOG.MWRITE", "s", "LEVEL", "info"), "-ERR syntax error");
    assert_string_equal(ASK("LOG.MWRITE", "s", "NDJSON", " \n\n"), "-ERR no lines");
    assert_string_equal(ASK("LOG.MWRITE", "s", "LINES", "0"),
                        "-ERR the number of lines does not match LINES");
    assert_string_equal(ASK("EXISTS", "s"), ":0");
}

/* ---- Pages ---------------------------------------------------------------------------------- */

/* Follows the cursor to the end, `count` at a time; appends "time-id " of each entry. */
static void read_pages(const char *command, const char *first, const char *last, const char *count,
                       struct buffer *order)
{
    char cursor[128] = "0";
    for (;;) {
        struct resp_reply reply;
        const struct slice words[] = {
            slice_from(command),    slice_from("s"),          slice_from(first),
            slice_from(last),       slice_from("COUNT"),      slice_from(count),
            slice_from("WITHTIME"), slice_from("WITHCURSOR"), slice_from("CURSOR"),
            slice_from(cursor),     slice_from("NOT"),        slice_from("MATCH"),
            slice_from("x7")};
        call(&reply, words, 13);
        assert_int_equal(reply.count, 4);
        size_t shown_count = reply.children[1].count;
        for (size_t i = 0; i < shown_count; i++) {
            const struct resp_reply *entry = &reply.children[1].children[i];
            buffer_printf(order, "%lld-%.*s ", (long long)entry->children[2].integer,
                          (int)entry->children[0].text.size,
                          (const char *)entry->children[0].text.data);
        }
        snprintf(cursor, sizeof cursor, "%.*s", (int)reply.children[0].text.size,
                 (const char *)reply.children[0].text.data);
        resp_reply_release(&reply);
        if (shown_count < (size_t)atoi(count))
            return;
    }
}

/* The same without pages. */
static void read_at_once(const char *command, const char *first, const char *last,
                         struct buffer *order)
{
    struct resp_reply reply;
    const struct slice words[] = {slice_from(command), slice_from("s"),       slice_from(first),
                                  slice_from(last),    slice_from("NOT"),     slice_from("MATCH"),
                                  slice_from("x7"),    slice_from("WITHTIME")};
    call(&reply, words, 8);
    for (size_t i = 0; i < reply.count; i++)
        buffer_printf(order, "%lld-%.*s ", (long long)reply.children[i].children[2].integer,
                      (int)reply.children[i].children[0].text.size,
                      (const char *)reply.children[i].children[0].text.data);
    resp_reply_release(&reply);
}

static void pages_show_everything_once_in_both_directions(void **state)
{
    struct random random;
    struct buffer pages = {0}, whole = {0};
    (void)state;
    random_init(&random, test_seed());
    for (int i = 0; i < 2000; i++) {
        char ts[24], text[24];
        uint64_t late = random_below(&random, 3) ? 0 : random_below(&random, 5000);
        snprintf(ts, sizeof ts, "%llu", (unsigned long long)(100000 + (uint64_t)i * 3 - late));
        snprintf(text, sizeof text, "x%llu", (unsigned long long)random_below(&random, 20));
        ASK("LOG.WRITE", "s", "TS", ts, "--", text);
        if (i == 1000)
            ASK("DEBUG", "COMPACT");
    }
    static const char *const commands[] = {"LOG.RANGE", "LOG.REVRANGE"};
    for (int i = 0; i < 2; i++) {
        buffer_clear(&pages);
        buffer_clear(&whole);
        read_pages(commands[i], i ? "+" : "-", i ? "-" : "+", i ? "7" : "64", &pages);
        read_at_once(commands[i], i ? "+" : "-", i ? "-" : "+", &whole);
        assert_true(whole.size > 20000);
        assert_int_equal(pages.size, whole.size);
        assert_memory_equal(pages.data, whole.data, whole.size);
    }
    buffer_release(&pages);
    buffer_release(&whole);
}

/* ---- Lines ---------------------------------------------------------------------------------- */

enum { LINES = 30000, LINES_A_BATCH = 500 };

/* Text that is no prose for any codec: control characters, quotes, UTF-8, and a number. */
static size_t make_line(size_t number, char *at)
{
    static const char *const parts[] = {
        "\xc3\xa9\xe2\x82\xac", "\"quoted\\", "\ttab",     "plain words",
        "\x1b[31mred\x1b[0m",   "a\r",        "{\"j\":1}", " "};
    size_t size = (size_t)sprintf(at, "%zu", number);
    for (size_t n = number; n > 0; n /= 8)
        size += (size_t)sprintf(at + size, " %s", parts[n % 8]);
    return size;
}

static void write_lines(void)
{
    struct slice words[4 + LINES_A_BATCH];
    static char texts[LINES_A_BATCH][256];
    for (size_t first = 0; first < LINES; first += LINES_A_BATCH) {
        struct resp_reply reply;
        words[0] = slice_from("LOG.MWRITE");
        words[1] = slice_from("dls");
        words[2] = slice_from("LINES");
        words[3] = slice_from("500");
        for (size_t i = 0; i < LINES_A_BATCH; i++)
            words[4 + i] = slice_make(texts[i], make_line(first + i, texts[i]));
        call(&reply, words, 4 + LINES_A_BATCH);
        assert_int_equal(reply.children[2].integer, LINES_A_BATCH);
        resp_reply_release(&reply);
    }
}

static void expect_lines(const char *command)
{
    struct resp_reply reply;
    char text[256];
    const struct slice words[] = {slice_from(command), slice_from("dls"), slice_from("-"),
                                  slice_from("+")};
    call(&reply, words, 4);
    assert_int_equal(reply.count, LINES);
    for (size_t i = 0; i < LINES; i++) {
        struct slice found = buffer_slice(&reply.children[i].children[1].children[1].text);
        assert_true(slice_equal(found, slice_make(text, make_line(i, text))));
    }
    resp_reply_release(&reply);
}

/* By the JSON protocol: every message once more through LOG.WRITE's decoder would prove nothing, so
 * the escapes are undone by hand. */
static size_t unescape(struct slice text, char *out)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = (char)text.data[i];
        if (c != '\\') {
            out[size++] = c;
            continue;
        }
        c = (char)text.data[++i];
        if (c == 'u') {
            char digits[5] = {0};
            memcpy(digits, text.data + i + 1, 4);
            out[size++] = (char)strtol(digits, NULL, 16);
            i += 4;
        } else {
            out[size++] = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
    }
    return size;
}

static void expect_json_lines(void)
{
    struct resp_client json;
    struct slice line;
    size_t count = 0;
    test_server_connect_json(&server, &json);
    assert_true(resp_client_send(&json, slice_from("{\"action\":\"read\"}\n")));
    assert_true(resp_client_read_line(&json, &line));
    const char mark[] = "\"message\":\"";
    const uint8_t *at = line.data, *end = line.data + line.size;
    while ((at = memmem(at, (size_t)(end - at), mark, strlen(mark))) != NULL) {
        const uint8_t *text = at + strlen(mark), *stop = text;
        while (*stop != '"')
            stop += *stop == '\\' ? 2 : 1;
        char found[512], expected[256];
        size_t size = unescape(slice_make(text, (size_t)(stop - text)), found);
        assert_int_equal(size, make_line(count, expected));
        assert_memory_equal(found, expected, size);
        at = stop;
        count++;
    }
    assert_int_equal(count, LINES);
    resp_client_close(&json);
}

static void lines_come_back_as_they_were_before_and_after_a_kill(void **state)
{
    (void)state;
    write_lines();
    for (int round = 0; round < 2; round++) {
        expect_lines("XRANGE");
        expect_lines("LOG.RANGE");
        expect_json_lines();
        if (round == 0)
            restart_after_kill();
    }
    assert_string_equal(ASK("XLEN", "dls"), ":30000");
    assert_string_equal(ASK("XTRIM", "dls", "MAXLEN", "1"), ":29999");
    restart_after_kill();
    assert_string_equal(ASK("XLEN", "dls"), ":1");
}

static int start_server(void **state)
{
    (void)state;
    test_server_init(&server, SERVER_CORDWOOD);
    test_server_start(&server, flags);
    return 0;
}

static int stop_code; /* cmocka does not count a failed teardown */

static int stop_server(void **state)
{
    (void)state;
    stop_code = test_server_stop(&server);
    test_server_release(&server);
    buffer_release(&shown);
    return stop_code;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(xadd_and_log_write_give_the_same_entries),
        TEST(a_late_entry_reaches_a_blocked_reader_and_its_place_in_time),
        TEST(deleted_and_trimmed_entries_are_gone_from_reads_by_time),
        TEST(limits_follow_the_configuration),
        TEST(a_read_may_be_cut_by_size_and_goes_on_by_its_cursor),
        TEST(options_that_make_no_sense_are_refused),
        TEST(pages_show_everything_once_in_both_directions),
        TEST(lines_come_back_as_they_were_before_and_after_a_kill),
    };
    int failed = cmocka_run_group_tests(tests, start_server, stop_server);

    return failed || stop_code;
}
