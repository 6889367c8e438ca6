/* SPDX-License-Identifier: MIT */
/* Runs transcripts/ *.txt against our server and against redis-server 7: the same requests must get
 * the same replies. A transcript is lines:
 *
 *      > SET k "a\n"          client A sends a command (quoting as redis-cli has it) ...
 *      +OK                    ... and this is its reply, as lib/resp_reply.h shows it
 *      ~ [..."k"...]          the same, but "..." stands for anything
 *      B> GET k               another client, A to Z
 *      B>> XREAD BLOCK 0 ...  sent, without waiting for the reply
 *      B< nil                 which is awaited here
 *      @resp3  @resp2         client A says HELLO (B@resp3: client B)
 *      @blocked 1             wait until so many clients are blocked
 *      @since 7.4             the next exchange is left out against an older redis-server
 *      @only cordwood         the next exchange is left out against any redis-server
 *      @all cordwood          the whole file is ours alone
 *      # comment
 *
 * With TRANSCRIPTS_RECORD=1 the replies of redis-server (of ours, where the file is ours alone) are
 * written into the files, to be looked at. */
#include "lib/test_server.h"
#include "resp/resp.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { CLIENTS = 26, BLOCKED_POLLS_MAX = 5000 };

static struct test_server servers[2];
static bool available[2];
static int redis_version; /* 7.0 is 700 */

/* One file against one server. */
struct transcript {
    const char *path;
    enum test_server_kind kind;
    char name[256];
};

struct run {
    const struct transcript *transcript;
    struct test_server *server;
    struct resp_client clients[CLIENTS];
    bool is_open[CLIENTS];
    struct slice rest; /* of the file */
    struct slice line;
    size_t line_number;
    bool skip; /* the next exchange */
    size_t mismatches, exchanges;
    bool records;
    struct buffer recorded; /* the file with redis-server's replies */
};

static _Noreturn void malformed(const struct run *run, const char *what)
{
    fprintf(stderr, "%s:%zu: %s\n", run->transcript->path, run->line_number, what);
    abort();
}

static bool take_line(struct run *run)
{
    if (run->rest.size == 0)
        return false;
    const uint8_t *end = memchr(run->rest.data, '\n', run->rest.size);
    size_t size = end ? (size_t)(end - run->rest.data) : run->rest.size;
    run->line = slice_make(run->rest.data, size);
    run->rest = slice_skip(run->rest, end ? size + 1 : size);
    run->line_number++;
    return true;
}

static void record(struct run *run, struct slice line)
{
    buffer_append_slice(&run->recorded, line);
    buffer_append_text(&run->recorded, "\n");
}

static struct resp_client *client_of(struct run *run, size_t index)
{
    if (!run->is_open[index]) {
        test_server_connect(run->server, &run->clients[index]);
        run->is_open[index] = true;
    }
    return &run->clients[index];
}

/* "..." in the pattern stands for anything. */
static bool matches(struct slice pattern, struct slice text)
{
    const uint8_t *dots = pattern.size ? memmem(pattern.data, pattern.size, "...", 3) : NULL;

    if (!dots)
        return slice_equal(pattern, text);
    struct slice head = slice_make(pattern.data, (size_t)(dots - pattern.data));
    if (!slice_starts_with(text, head))
        return false;
    pattern = slice_skip(pattern, head.size + 3);
    text = slice_skip(text, head.size);
    for (;; text = slice_skip(text, 1)) {
        if (matches(pattern, text))
            return true;
        if (text.size == 0)
            return false;
    }
}

static bool is_pattern(struct slice expected)
{
    return slice_starts_with(expected, slice_from("~ "));
}

/* Reads a reply and compares it with `expected`; writes what the file should have. */
static void expect_reply(struct run *run, struct resp_client *client, struct slice expected,
                         struct slice marker)
{
    struct resp_reply reply = {0};
    struct buffer shown = {0};

    if (resp_client_read(client, &reply))
        resp_reply_show(&reply, &shown);
    else
        buffer_append_text(&shown, "(no reply)");
    bool same = is_pattern(expected) ? matches(slice_skip(expected, 2), buffer_slice(&shown))
                                     : slice_equal(expected, buffer_slice(&shown));
    run->exchanges++;
    if (!same && !run->records) {
        run->mismatches++;
        fprintf(stderr, "%s:%zu: expected %.*s\n%*sgot %.*s\n", run->transcript->path,
                run->line_number, (int)expected.size, (const char *)expected.data, 4, "",
                (int)shown.size, (const char *)shown.data);
    }
    buffer_append_slice(&run->recorded, marker);
    record(run, same || is_pattern(expected) ? expected : buffer_slice(&shown));
    resp_reply_release(&reply);
    buffer_release(&shown);
}

static void send_line(struct run *run, struct resp_client *client, struct slice command)
{
    const struct resp_limits limits = {1 << 20, 64 << 10, 1000, true};
    struct resp_request request = {0};
    struct buffer line = {0};
    size_t consumed;

    buffer_append_slice(&line, command);
    buffer_append_text(&line, "\n");
    if (resp_parse(buffer_slice(&line), &limits, &request, &consumed) != RESP_CONSUMED)
        malformed(run, "not a command");
    if (!resp_client_send_command(client, request.arguments, request.count))
        malformed(run, "the connection is gone");
    resp_request_release(&request);
    buffer_release(&line);
}

static bool is_expected_line(struct slice line)
{
    bool marks = line.size >= 2 && line.data[0] >= 'A' && line.data[0] <= 'Z' &&
                 memchr("><@", line.data[1], 3);

    return line.size && !marks && !memchr("#@>", line.data[0], 3);
}

/* "> GET k", ">> GET k" behind the client's letter; the expected reply is the next line, which may
 * be missing when replies are recorded. */
static void exchange(struct run *run, size_t index, struct slice command)
{
    bool waits = !slice_starts_with(command, slice_from(">>"));
    bool skip = run->skip;
    struct slice expected = {0}, before = run->rest;

    record(run, run->line);
    command = slice_skip(command, waits ? 1 : 2);
    run->skip = false;
    if (waits && take_line(run) && is_expected_line(run->line)) {
        expected = run->line;
    } else if (waits) {
        if (!run->records || skip)
            malformed(run, "an expected reply is missing");
        run->rest = before;
        run->line_number--;
    }
    if (skip) {
        if (waits)
            record(run, expected);
        return;
    }
    send_line(run, client_of(run, index), command);
    if (waits)
        expect_reply(run, client_of(run, index), expected, slice_from(""));
}

static void say_hello(struct run *run, size_t index, const char *protocol)
{
    struct resp_reply reply;

    record(run, run->line);
    if (!resp_client_call(client_of(run, index), &reply, "HELLO", protocol) || reply.type == '-')
        malformed(run, "HELLO failed");
    resp_reply_release(&reply);
}

static void wait_blocked(struct run *run, long count)
{
    struct resp_client client;
    struct buffer shown = {0};
    char expected[40];
    const struct timespec pause = {0, 1000000};

    record(run, run->line);
    test_server_connect(run->server, &client);
    snprintf(expected, sizeof expected, "blocked_clients:%ld\\r", count);
    for (int polls = 0; !strstr(resp_client_ask(&client, &shown, "INFO", "clients"), expected);
         polls++) {
        if (polls == BLOCKED_POLLS_MAX)
            malformed(run, "clients do not block");
        nanosleep(&pause, NULL);
    }
    buffer_release(&shown);
    resp_client_close(&client);
}

static void directive(struct run *run, size_t index, struct slice text)
{
    bool is_redis = run->transcript->kind == SERVER_REDIS;
    char word[64] = "", argument[64] = "";

    snprintf(word, sizeof word, "%.*s", (int)text.size, (const char *)text.data);
    char *space = strchr(word, ' ');
    if (space) {
        *space = 0;
        snprintf(argument, sizeof argument, "%s", space + 1);
    }
    if (strcmp(word, "resp2") == 0 || strcmp(word, "resp3") == 0) {
        say_hello(run, index, word + 4);
    } else if (strcmp(word, "blocked") == 0) {
        wait_blocked(run, strtol(argument, NULL, 10));
    } else if (strcmp(word, "since") == 0) {
        int major = 0, minor = 0;
        if (sscanf(argument, "%d.%d", &major, &minor) != 2)
            malformed(run, "@since wants a version");
        run->skip = is_redis && major * 100 + minor > redis_version;
        record(run, run->line);
    } else if (strcmp(word, "all") == 0) {
        record(run, run->line); /* replies_agree has looked for it */
    } else if (strcmp(word, "only") == 0 && strcmp(argument, "cordwood") == 0) {
        run->skip = is_redis;
        record(run, run->line);
    } else {
        malformed(run, "unknown directive");
    }
}

static void run_line(struct run *run)
{
    struct slice line = run->line;
    size_t index = 0;

    if (line.size == 0 || line.data[0] == '#') {
        record(run, line);
        return;
    }
    if (line.size >= 2 && line.data[0] >= 'A' && line.data[0] <= 'Z') {
        index = line.data[0] - 'A';
        line = slice_skip(line, 1);
    }
    if (line.data[0] == '>') {
        exchange(run, index, line);
    } else if (line.data[0] == '@') {
        directive(run, index, slice_skip(line, 1));
    } else if (line.data[0] == '<' && run->skip) {
        run->skip = false;
        record(run, run->line);
    } else if (line.data[0] == '<') {
        struct slice marker = slice_make(run->line.data, (size_t)(line.data - run->line.data) + 2);
        expect_reply(run, client_of(run, index), slice_skip(line, line.size < 2 ? 1 : 2), marker);
    } else {
        malformed(run, "neither a command nor a directive");
    }
}

static void load_file(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "rb");
    char bytes[4096];
    size_t size;

    assert_non_null(file);
    while ((size = fread(bytes, 1, sizeof bytes, file)) > 0)
        buffer_append(out, bytes, size);
    fclose(file);
}

static void save_file(const char *path, const struct buffer *bytes)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes->data, 1, bytes->size, file), bytes->size);
    assert_int_equal(fclose(file), 0);
}

static void replies_agree(void **state)
{
    const struct transcript *transcript = *state;
    struct run run = {.transcript = transcript, .server = &servers[transcript->kind]};
    struct buffer file = {0};
    struct resp_reply reply;

    if (!available[transcript->kind])
        skip();
    load_file(transcript->path, &file);
    bool is_ours = slice_starts_with(buffer_slice(&file), slice_from("@all cordwood\n"));
    if (is_ours && transcript->kind == SERVER_REDIS) {
        buffer_release(&file);
        skip();
    }
    run.records = getenv("TRANSCRIPTS_RECORD") && is_ours == (transcript->kind == SERVER_CORDWOOD);
    run.rest = buffer_slice(&file);
    assert_true(resp_client_call(client_of(&run, 0), &reply, "FLUSHALL"));
    resp_reply_release(&reply);
    while (take_line(&run))
        run_line(&run);
    for (size_t i = 0; i < CLIENTS; i++)
        if (run.is_open[i])
            resp_client_close(&run.clients[i]);
    if (run.records)
        save_file(transcript->path, &run.recorded);
    buffer_release(&run.recorded);
    buffer_release(&file);
    assert_true(run.exchanges > 0);
    if (run.mismatches)
        fail_msg("%zu of %zu replies differ", run.mismatches, run.exchanges);
}

static int read_redis_version(void)
{
    struct resp_client client;
    struct buffer shown = {0};
    int major = 0, minor = 0;

    test_server_connect(&servers[SERVER_REDIS], &client);
    const char *at = strstr(resp_client_ask(&client, &shown, "INFO", "server"), "redis_version:");
    if (!at || sscanf(at, "redis_version:%d.%d", &major, &minor) != 2)
        major = 0;
    resp_client_close(&client);
    buffer_release(&shown);
    return major * 100 + minor;
}

static int start_servers(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        available[kind] = test_server_available(kind);
        if (!available[kind]) {
            print_message("%s is not there\n",
                          kind == SERVER_REDIS ? "redis-server 7" : "cordwood-server");
            continue;
        }
        test_server_init(&servers[kind], kind);
        test_server_start(&servers[kind], NULL);
    }
    if (available[SERVER_REDIS])
        redis_version = read_redis_version();
    return available[SERVER_CORDWOOD] || getenv("TRANSCRIPTS_RECORD") ? 0 : -1;
}

static int stop_code; /* cmocka does not count a failed teardown */

static int stop_servers(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        if (!available[kind])
            continue;
        stop_code |= test_server_stop(&servers[kind]); /* a sanitizer's complaint is not 0 */
        test_server_release(&servers[kind]);
    }
    return stop_code;
}

int main(void)
{
    glob_t files;

    if (glob("tests/server/transcripts/*.txt", 0, NULL, &files) != 0) {
        fprintf(stderr, "no transcripts; run from the top of the tree\n");
        return 1;
    }
    size_t count = 2 * files.gl_pathc;
    struct transcript *transcripts = calloc(count, sizeof *transcripts);
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    for (size_t i = 0; i < count; i++) {
        struct transcript *transcript = &transcripts[i];
        transcript->path = files.gl_pathv[i / 2];
        transcript->kind = i % 2 ? SERVER_CORDWOOD : SERVER_REDIS;
        snprintf(transcript->name, sizeof transcript->name, "%s against %s",
                 strrchr(transcript->path, '/') + 1, i % 2 ? "cordwood-server" : "redis-server");
        tests[i] = (struct CMUnitTest){transcript->name, replies_agree, NULL, NULL, transcript};
    }
    int failed = _cmocka_run_group_tests("transcripts", tests, count, start_servers, stop_servers);
    free(tests);
    free(transcripts);
    globfree(&files);
    return failed || stop_code;
}
