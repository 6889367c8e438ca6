/* SPDX-License-Identifier: MIT */
/* DUMP and RESTORE between our server and redis-server 7, both ways: what one dumps the other restores, and
 * what it dumps then is restored where it came from. Values of every encoding that Redis has for strings, lists
 * and streams: numbers, compressed ones, listpacks, plain nodes, entries that were deleted, groups. */
#include "lib/test_server.h"

#include "base/random.h"
#include "lib/seed.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WORDS_MAX = 16 };

static struct test_server servers[2];
static struct resp_client clients[2];
static size_t values, payload_bytes;

/* ---- Requests --------------------------------------------------------------------------------- */

static struct resp_reply call(int server, const struct slice *words, size_t count)
{
    struct resp_reply reply = {0};
    assert_true(resp_client_send_command(&clients[server], words, count));
    if (!resp_client_read(&clients[server], &reply))
        fail_msg("no reply of server %d", server);
    return reply;
}

/* Words with blanks between; $ stands for `large`. */
static struct resp_reply ask(int server, const char *line, struct slice large)
{
    struct slice words[WORDS_MAX];
    size_t count = 0;
    while (*line) {
        size_t size = strcspn(line, " ");
        assert_true(count < WORDS_MAX);
        words[count++] = size == 1 && *line == '$' ? large : slice_make(line, size);
        line += size + (line[size] == ' ');
    }
    return call(server, words, count);
}

static void expect(int server, const char *line, struct slice large, const char *shown)
{
    struct resp_reply reply = ask(server, line, large);
    struct buffer text = {0};
    resp_reply_show(&reply, &text);
    if (shown ? !slice_equal(buffer_slice(&text), slice_from(shown)) : text.data[0] == '-')
        fail_msg("server %d, %s: %.*s", server, line, (int)(text.size < 300 ? text.size : 300),
                 (const char *)text.data);
    buffer_release(&text);
    resp_reply_release(&reply);
}

static void say(int server, const char *line)
{
    expect(server, line, slice_make(NULL, 0), NULL);
}

/* All that reads tell of a key, but of a stream's groups and of how it is kept. */
static void observe(int server, const char *key, struct buffer *text)
{
    static const char *const reads[] = {"TYPE %s", "GET %s", "LRANGE %s 0 -1", "XRANGE %s - +",
                                        "PTTL %s"};
    char line[100];
    buffer_clear(text);
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        snprintf(line, sizeof line, reads[i], key);
        struct resp_reply reply = ask(server, line, slice_make(NULL, 0));
        resp_reply_show(&reply, text);
        buffer_append_byte(text, '\n');
        resp_reply_release(&reply);
    }
    snprintf(line, sizeof line, "XINFO STREAM %s", key);
    struct resp_reply reply = ask(server, line, slice_make(NULL, 0));
    for (size_t i = 0; i + 1 < reply.count; i += 2) {
        struct slice name = buffer_slice(&reply.children[i].text);
        if (slice_starts_with(name, slice_from("radix")) || slice_equal(name, slice_from("groups")))
            continue;
        buffer_append_slice(text, name);
        resp_reply_show(&reply.children[i + 1], text);
    }
    resp_reply_release(&reply);
}

/* ---- Two ways --------------------------------------------------------------------------------- */

static void copy(int from, const char *key, int to, const char *copied)
{
    char line[100];
    snprintf(line, sizeof line, "DUMP %s", key);
    struct resp_reply payload = ask(from, line, slice_make(NULL, 0));
    assert_int_equal(payload.type, '$');
    snprintf(line, sizeof line, "RESTORE %s 0 $ REPLACE", copied);
    expect(to, line, buffer_slice(&payload.text), "+OK");
    payload_bytes += payload.text.size;
    resp_reply_release(&payload);
}

/* The key `v` of a server goes to the other one and back again. */
static void check_value(int server)
{
    struct buffer first = {0}, other = {0}, back = {0};
    observe(server, "v", &first);
    copy(server, "v", !server, "v");
    observe(!server, "v", &other);
    copy(!server, "v", server, "back");
    observe(server, "back", &back);
    if (!slice_equal(buffer_slice(&first), buffer_slice(&other)) ||
        !slice_equal(buffer_slice(&first), buffer_slice(&back)))
        fail_msg("server %d has\n%.*s\nthe other\n%.*s\nand back\n%.*s", server,
                 (int)(first.size < 2000 ? first.size : 2000), (const char *)first.data,
                 (int)(other.size < 2000 ? other.size : 2000), (const char *)other.data,
                 (int)(back.size < 2000 ? back.size : 2000), (const char *)back.data);
    say(server, "DEL v back");
    say(!server, "DEL v");
    buffer_release(&first);
    buffer_release(&other);
    buffer_release(&back);
    values++;
}

/* ---- Values ----------------------------------------------------------------------------------- */

static struct slice make_text(struct buffer *into, size_t size, bool is_random)
{
    static struct random random;
    if (into->capacity == 0)
        random_init(&random, test_seed());
    buffer_clear(into);
    buffer_reserve(into, size);
    for (size_t i = 0; i < size; i++)
        into->data[i] = !is_random   ? (uint8_t)("abcab"[i % 5])
                        : size < 200 ? (uint8_t)random_next(&random)
                                     : (uint8_t)('@' + random_below(&random, 28)); /* shown fast */
    into->size = size;
    return buffer_slice(into);
}

static const size_t sizes[] = {0,     1,     11,    20,    21,    44,    63,
                               64,    127,   128,   4095,  4096,  8180,  8192,
                               16370, 16377, 16383, 16384, 32768, 65536, 65537};
enum { SIZES = sizeof sizes / sizeof *sizes };

static const char *const numbers[] = {"0",
                                      "12",
                                      "13",
                                      "-1",
                                      "127",
                                      "128",
                                      "-128",
                                      "-129",
                                      "32767",
                                      "-32768",
                                      "32768",
                                      "8388607",
                                      "-8388608",
                                      "8388608",
                                      "4095",
                                      "-4096",
                                      "4096",
                                      "2147483647",
                                      "-2147483648",
                                      "2147483648",
                                      "99999999999",
                                      "007",
                                      "-0",
                                      "1.5",
                                      "12345678901",
                                      "123456789012345678901",
                                      "9223372036854775807",
                                      "-9223372036854775808",
                                      "9223372036854775808"};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static void check_strings(int server)
{
    struct buffer text = {0};
    for (size_t i = 0; i < NUMBERS; i++) {
        expect(server, "SET v $", slice_from(numbers[i]), "+OK");
        check_value(server);
    }
    for (size_t i = 0; i < 2 * SIZES; i++) {
        expect(server, "SET v $", make_text(&text, sizes[i / 2], i % 2), "+OK");
        check_value(server);
    }
    buffer_release(&text);
}

static void check_lists(int server)
{
    struct buffer text = {0};
    for (size_t i = 0; i < NUMBERS; i++)
        expect(server, "RPUSH v $", slice_from(numbers[i]), NULL);
    check_value(server);
    for (size_t i = 0; i < 2 * SIZES; i++) {
        expect(server, "RPUSH v x $ 7", make_text(&text, sizes[i / 2], i % 2), NULL);
        if (i % 15 == 14)
            check_value(server);
    }
    check_value(server);
    for (int i = 0; i < 300; i++)
        expect(server, "RPUSH v 1 $ a $ b $ 12345 $", make_text(&text, (size_t)i % 50, i % 3),
               NULL);
    say(server, "LPOP v 300");
    check_value(server);
    buffer_release(&text);
}

static void add(int server, int i, const char *fields, struct slice value)
{
    char line[200];
    snprintf(line, sizeof line, "XADD v %d-%d %s $", 1000 + i / 3, i % 3 + 1, fields);
    expect(server, line, value, NULL);
}

static void check_megabytes(int server)
{
    struct buffer text = {0};
    expect(server, "RPUSH v $ a", make_text(&text, 2 << 20, true), NULL);
    check_value(server);
    expect(server, "SET v $", make_text(&text, 2 << 20, false), NULL);
    check_value(server);
    buffer_release(&text);
}

static void check_streams(int server)
{
    static const char *const shapes[] = {"f", "f", "message", "level info host web1 message",
                                         "7 8 -5"};
    struct buffer text = {0};
    char line[100];
    for (int i = 0; i < 300; i++)
        add(server, i, shapes[i / 40 % 5], make_text(&text, (size_t)(i * i % 90), i % 2));
    check_value(server);
    for (int i = 0; i < 300; i++)
        add(server, i, shapes[i % 5], slice_from(numbers[(size_t)i % NUMBERS]));
    for (int i = 5; i < 280; i += 7) {
        snprintf(line, sizeof line, "XDEL v %d-%d", 1000 + i / 3, i % 3 + 1);
        say(server, line);
    }
    say(server, "XTRIM v MAXLEN 230");
    check_value(server);
    for (size_t i = 0; i < SIZES; i++)
        add(server, (int)i, "large", make_text(&text, sizes[i], i % 2));
    check_value(server);
    say(server, "XADD v 5-5 f v");
    say(server, "XADD v 18446744073709551615-18446744073709551615 f v");
    check_value(server);
    say(server, "XADD v 5-5 f v");
    say(server, "XDEL v 5-5");
    check_value(server); /* empty */
    buffer_release(&text);
}

/* ---- Tests ------------------------------------------------------------------------------------ */

static void values_of_ours_go_to_redis_and_back(void **state)
{
    (void)state;
    check_megabytes(SERVER_CORDWOOD);
    check_strings(SERVER_CORDWOOD);
    check_lists(SERVER_CORDWOOD);
    check_streams(SERVER_CORDWOOD);
}

static void values_of_redis_come_to_ours_and_go_back(void **state)
{
    (void)state;
    check_megabytes(SERVER_REDIS);
    check_strings(SERVER_REDIS);
    check_lists(SERVER_REDIS);
    check_streams(SERVER_REDIS);
}

/* Elements above a hundred bytes become nodes of their own. */
static void plain_nodes_of_quicklists_come_over(void **state)
{
    (void)state;
    say(SERVER_REDIS, "DEBUG QUICKLIST-PACKED-THRESHOLD 100B");
    check_lists(SERVER_REDIS);
    say(SERVER_REDIS, "DEBUG QUICKLIST-PACKED-THRESHOLD 1B");
    say(SERVER_REDIS, "RPUSH v a bc");
    check_value(SERVER_REDIS);
    say(SERVER_REDIS, "DEBUG QUICKLIST-PACKED-THRESHOLD 1G");
    say(SERVER_REDIS, "CONFIG SET list-compress-depth 1");
    check_lists(SERVER_REDIS);
    say(SERVER_REDIS, "CONFIG SET list-compress-depth 0");
    say(SERVER_REDIS, "CONFIG SET rdbcompression no");
    check_lists(SERVER_REDIS);
    check_streams(SERVER_REDIS);
    say(SERVER_REDIS, "CONFIG SET rdbcompression yes");
}

/* They are left out; the entries are all there. */
static void a_stream_comes_over_without_its_groups(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        add(SERVER_REDIS, i, "f", slice_from("v"));
    say(SERVER_REDIS, "XGROUP CREATE v g 0");
    say(SERVER_REDIS, "XGROUP CREATE v empty 1016-1");
    say(SERVER_REDIS, "XREADGROUP GROUP g alice COUNT 10 STREAMS v >");
    say(SERVER_REDIS, "XREADGROUP GROUP g bob COUNT 5 STREAMS v >");
    say(SERVER_REDIS, "XACK v g 1000-1 1000-3");
    check_value(SERVER_REDIS);
}

static void what_the_payload_says_of_time_is_nothing_and_the_options_decide(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        expect(server, "SET v text PXAT 99999999999000", slice_make(NULL, 0), "+OK");
        struct resp_reply payload = ask(server, "DUMP v", slice_make(NULL, 0));
        struct slice bytes = buffer_slice(&payload.text);
        for (int to = 0; to < 2; to++) {
            expect(to, "RESTORE w 0 $ REPLACE", bytes, "+OK");
            expect(to, "PTTL w", bytes, ":-1");
            expect(to, "RESTORE w 99999999999000 $ REPLACE ABSTTL", bytes, "+OK");
            expect(to, "PEXPIRETIME w", bytes, ":99999999999000");
            expect(to, "RESTORE w 5 $ ABSTTL REPLACE", bytes, "+OK"); /* long over */
            expect(to, "EXISTS w", bytes, ":0");
            expect(to, "RESTORE w 9223372036854775807 $", bytes, "+OK"); /* beyond all times */
            expect(to, "RESTORE v 0 $ REPLACE IDLETIME 5", bytes, "+OK");
            expect(to, "RESTORE v 0 $ FREQ 5 REPLACE", bytes, "+OK");
            expect(to, "DEL w", bytes, NULL);
        }
        resp_reply_release(&payload);
    }
    for (int server = 0; server < 2; server++)
        say(server, "DEL v");
}

/* One byte after the other of a payload is changed. */
static void a_changed_payload_is_refused_by_both_in_the_same_words(void **state)
{
    static const char *const makers[] = {"SET v 12345", "RPUSH v a 5 bc", "XADD v 1-1 f v"};
    (void)state;
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        say(SERVER_REDIS, makers[i]);
        struct resp_reply payload = ask(SERVER_REDIS, "DUMP v", slice_make(NULL, 0));
        for (size_t at = 0; at < payload.text.size; at++) {
            payload.text.data[at] ^= (uint8_t)(1 << at % 8);
            for (int to = 0; to < 2; to++)
                expect(to, "RESTORE w 0 $", buffer_slice(&payload.text),
                       "-ERR DUMP payload version or checksum are wrong");
            payload.text.data[at] ^= (uint8_t)(1 << at % 8);
        }
        resp_reply_release(&payload);
        say(SERVER_REDIS, "DEL v");
    }
}

static int start(void **state)
{
    static const char *const redis_flags[] = {"--enable-debug-command", "yes", NULL};
    (void)state;
    if (!test_server_available(SERVER_REDIS))
        return 0;
    for (int kind = 0; kind < 2; kind++) {
        test_server_init(&servers[kind], kind);
        test_server_start(&servers[kind], kind == SERVER_REDIS ? redis_flags : NULL);
        test_server_connect(&servers[kind], &clients[kind]);
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2 && servers[0].pid; kind++)
        resp_client_close(&clients[kind]);
    for (int kind = 0; kind < 2 && servers[kind].pid; kind++) {
        assert_int_equal(test_server_stop(&servers[kind]), 0);
        test_server_release(&servers[kind]);
    }
    printf("ran: %zu values both ways, %zu bytes of payloads\n", values, payload_bytes);
    return 0;
}

static int skip_without_redis(void **state)
{
    (void)state;
    if (!test_server_available(SERVER_REDIS))
        skip();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, skip_without_redis)
    const struct CMUnitTest tests[] = {
        TEST(values_of_ours_go_to_redis_and_back),
        TEST(values_of_redis_come_to_ours_and_go_back),
        TEST(plain_nodes_of_quicklists_come_over),
        TEST(a_stream_comes_over_without_its_groups),
        TEST(what_the_payload_says_of_time_is_nothing_and_the_options_decide),
        TEST(a_changed_payload_is_refused_by_both_in_the_same_words),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
