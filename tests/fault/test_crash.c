/* SPDX-License-Identifier: MIT */
/* The server is killed with SIGKILL again and again while several connections write pipelined,
 * sometimes while it recovers; what it acknowledged is there after the restart, once and in order,
 * under every policy. KILLS= sets how many kills (all policies together), SEED= the random choices.
 *
 * Each writer numbers its commands of each kind. What is found must be the numbers base+1 .. m
 * without a gap, and acknowledged <= m <= sent: one connection's commands are executed in order, so
 * what was still under way may have happened, but only from the front. */
#include "base/random.h"
#include "lib/seed.h"
#include "lib/test_server.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

enum {
    WRITERS = 4,
    KILLS = 36,
    PIPELINE_MAX = 32,
    PAYLOAD_BYTES_MAX = 3000,
    PAGE = 500,
    KILLS_TO_EXPECT_ALL = 30,  /* of one policy: some then cut a flush, some a recovery */
    KILLS_BETWEEN_FLUSHES = 8, /* then FLUSHALL, so that comparing stays quick */
    WRITING_MS_MAX = 350,
    RECOVERY_MS_MAX = 25,
};

enum kind { OWN_STREAM, OWN_LIST, STRING, SHARED_STREAM, KIND_COUNT };

struct sequence {
    uint64_t base;        /* numbers up to here were flushed */
    uint64_t acked, sent; /* numbers up to here were acknowledged / sent */
    uint64_t found;       /* while comparing */
};

struct writer {
    unsigned id;
    const char *socket;
    struct random random;
    struct sequence sequences[KIND_COUNT];
    char last_id[64];    /* of the own stream */
    const char *failure; /* a reply that may not be */
    char failure_text[256];
};

struct crash_run {
    struct test_server server;
    const char *policy;
    struct random random;
    struct writer writers[WRITERS];
    unsigned kills, replaying_kills, cut_kills;
    unsigned recovery_kills; /* before it listened */
};

static void pause_us(uint64_t us)
{
    struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000 * 1000)};
    nanosleep(&time, NULL);
}

/* ---- Writing ------------------------------------------------------------------------------- */

static size_t payload_make(unsigned writer, enum kind kind, uint64_t number, char *bytes)
{
    struct random random;
    random_init(&random, number * 64 + writer * 8 + (unsigned)kind);
    size_t size = random_below(&random, random_below(&random, 4) ? 200 : PAYLOAD_BYTES_MAX);
    uint64_t letters = 0;
    for (size_t i = 0; i < size; i++) {
        if (i % 16 == 0)
            letters = random_next(&random);
        bytes[i] = (char)('a' + (letters >> (i % 16 * 4) & 15));
    }
    bytes[size] = 0;
    return size;
}

static void append_command(redisContext *connection, struct writer *writer, enum kind kind)
{
    char payload[PAYLOAD_BYTES_MAX + 1];
    unsigned id = writer->id;
    unsigned long long number = ++writer->sequences[kind].sent;
    payload_make(id, kind, number, payload);
    switch (kind) {
    case OWN_STREAM:
        redisAppendCommand(connection, "XADD s:%u * n %llu v %s", id, number, payload);
        break;
    case OWN_LIST:
        redisAppendCommand(connection, id % 2 ? "LPUSH l:%u %llu:%s" : "RPUSH l:%u %llu:%s", id,
                           number, payload);
        break;
    case STRING:
        redisAppendCommand(connection, "SET k:%u %llu:%s", id, number, payload);
        break;
    case SHARED_STREAM:
    case KIND_COUNT:
        redisAppendCommand(connection, "XADD shared * w %u n %llu v %s", id, number, payload);
        break;
    }
}

static bool id_is_above(const char *id, const char *before)
{
    unsigned long long ms, seq, ms_before = 0, seq_before = 0;
    if (sscanf(id, "%llu-%llu", &ms, &seq) != 2)
        return false;
    (void)sscanf(before, "%llu-%llu", &ms_before, &seq_before); /* "": the first one */
    return ms > ms_before || (ms == ms_before && seq > seq_before);
}

static bool take_reply(redisContext *connection, struct writer *writer, enum kind kind)
{
    redisReply *reply = NULL;
    if (redisGetReply(connection, (void **)&reply) != REDIS_OK)
        return false; /* killed */
    if (reply->type == REDIS_REPLY_ERROR || reply->type == REDIS_REPLY_NIL) {
        snprintf(writer->failure_text, sizeof(writer->failure_text), "%s",
                 reply->str ? reply->str : "nil");
        writer->failure = "an error reply";
    }
    if (kind == OWN_STREAM && !writer->failure) {
        if (!id_is_above(reply->str, writer->last_id))
            writer->failure = "an ID that is not above the one before";
        snprintf(writer->last_id, sizeof(writer->last_id), "%s", reply->str);
    }
    writer->sequences[kind].acked++;
    freeReplyObject(reply);
    return !writer->failure;
}

static void *write_until_killed(void *argument)
{
    struct writer *writer = argument;
    redisContext *connection = redisConnectUnix(writer->socket);
    bool alive = connection && !connection->err;
    while (alive) {
        enum kind kinds[PIPELINE_MAX];
        size_t count = 1 + random_below(&writer->random, PIPELINE_MAX);
        for (size_t i = 0; i < count; i++) {
            kinds[i] = (enum kind)random_below(&writer->random, KIND_COUNT);
            append_command(connection, writer, kinds[i]);
        }
        for (size_t i = 0; alive && i < count; i++)
            alive = take_reply(connection, writer, kinds[i]);
    }
    redisFree(connection);
    return NULL;
}

/* ---- Comparing ----------------------------------------------------------------------------- */

static redisReply *ask(redisContext *connection, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(connection, format, arguments);
    va_end(arguments);
    if (!reply)
        fail_msg("%s: %s", format, connection->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", format, reply->str);
    return reply;
}

static void expect_payload(unsigned writer, enum kind kind, uint64_t number, const char *payload)
{
    char expected[PAYLOAD_BYTES_MAX + 1];
    payload_make(writer, kind, number, expected);
    if (strcmp(payload, expected) != 0)
        fail_msg("writer %u, kind %d, number %llu: another payload", writer, (int)kind,
                 (unsigned long long)number);
}

static void expect_next(struct writer *writer, enum kind kind, uint64_t number, const char *payload)
{
    struct sequence *sequence = &writer->sequences[kind];
    if (number != sequence->found + 1)
        fail_msg("writer %u, kind %d: number %llu stands behind %llu", writer->id, (int)kind,
                 (unsigned long long)number, (unsigned long long)sequence->found);
    expect_payload(writer->id, kind, number, payload);
    sequence->found = number;
}

/* "number:payload" */
static uint64_t split_text(const char *text, const char **payload)
{
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    assert_int_equal(*end, ':');
    *payload = end + 1;
    return number;
}

static const char *field(const redisReply *entry, const char *name)
{
    const redisReply *fields = entry->element[1];
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (strcmp(fields->element[i]->str, name) == 0)
            return fields->element[i + 1]->str;
    }
    fail_msg("an entry has no field %s", name);
    return NULL;
}

/* `owner` NULL: the shared stream, whose entries name their writer. */
static void compare_stream(struct crash_run *run, redisContext *connection, const char *key,
                           struct writer *owner)
{
    char from[64] = "-", last[64] = "";
    size_t total = 0;
    for (;;) {
        redisReply *page = ask(connection, "XRANGE %s %s + COUNT %d", key, from, (int)PAGE);
        for (size_t i = 0; i < page->elements; i++) {
            const redisReply *entry = page->element[i];
            const char *id = entry->element[0]->str;
            if (!id_is_above(id, last))
                fail_msg("%s: ID %s stands behind %s", key, id, last);
            snprintf(last, sizeof(last), "%s", id);
            struct writer *writer = owner;
            if (!writer) {
                unsigned long number = strtoul(field(entry, "w"), NULL, 10);
                assert_true(number < WRITERS);
                writer = &run->writers[number];
            }
            expect_next(writer, owner ? OWN_STREAM : SHARED_STREAM,
                        strtoull(field(entry, "n"), NULL, 10), field(entry, "v"));
        }
        size_t count = page->elements;
        total += count;
        freeReplyObject(page);
        if (count < PAGE)
            break;
        snprintf(from, sizeof(from), "(%.60s", last);
    }
    redisReply *length = ask(connection, "XLEN %s", key);
    assert_int_equal(length->integer, total);
    freeReplyObject(length);
}

static void compare_list(redisContext *connection, struct writer *writer)
{
    redisReply *length = ask(connection, "LLEN l:%u", writer->id);
    long long count = length->integer;
    freeReplyObject(length);
    for (long long at = 0; at < count; at += PAGE) {
        long long last = at + PAGE - 1 < count ? at + PAGE - 1 : count - 1;
        bool from_left = writer->id % 2; /* the newest is the first */
        long long from = from_left ? count - 1 - last : at, to = from_left ? count - 1 - at : last;
        redisReply *page = ask(connection, "LRANGE l:%u %lld %lld", writer->id, from, to);
        assert_int_equal(page->elements, (size_t)(last - at + 1));
        for (size_t i = 0; i < page->elements; i++) {
            const char *payload;
            size_t place = from_left ? page->elements - 1 - i : i;
            uint64_t number = split_text(page->element[place]->str, &payload);
            expect_next(writer, OWN_LIST, number, payload);
        }
        freeReplyObject(page);
    }
}

static void compare_string(redisContext *connection, struct writer *writer)
{
    redisReply *value = ask(connection, "GET k:%u", writer->id);
    if (value->type != REDIS_REPLY_NIL) {
        const char *payload;
        uint64_t number = split_text(value->str, &payload);
        expect_payload(writer->id, STRING, number, payload);
        writer->sequences[STRING].found = number;
    }
    freeReplyObject(value);
}

static void compare_everything(struct crash_run *run)
{
    redisContext *connection = redisConnectUnix(run->server.socket);
    assert_non_null(connection);
    assert_int_equal(connection->err, 0);
    for (unsigned w = 0; w < WRITERS; w++) {
        for (int kind = 0; kind < KIND_COUNT; kind++)
            run->writers[w].sequences[kind].found = run->writers[w].sequences[kind].base;
    }
    compare_stream(run, connection, "shared", NULL);
    for (unsigned w = 0; w < WRITERS; w++) {
        struct writer *writer = &run->writers[w];
        char key[32];
        snprintf(key, sizeof(key), "s:%u", w);
        compare_stream(run, connection, key, writer);
        compare_list(connection, writer);
        compare_string(connection, writer);
        for (int kind = 0; kind < KIND_COUNT; kind++) {
            struct sequence *sequence = &writer->sequences[kind];
            if (sequence->found < sequence->acked || sequence->found > sequence->sent)
                fail_msg("writer %u, kind %d: found up to %llu; acknowledged %llu, sent %llu", w,
                         kind, (unsigned long long)sequence->found,
                         (unsigned long long)sequence->acked, (unsigned long long)sequence->sent);
            sequence->acked = sequence->sent = sequence->found;
        }
    }
    redisFree(connection);
}

/* ---- Killing ------------------------------------------------------------------------------- */

static unsigned count_tables(const struct crash_run *run)
{
    unsigned count = 0;
    DIR *directory = opendir(run->server.data);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        count += strstr(entry->d_name, ".cwt") != NULL;
    closedir(directory);
    return count;
}

static unsigned long long info_number(redisContext *connection, const char *name)
{
    redisReply *info = ask(connection, "INFO");
    char line[64];
    snprintf(line, sizeof(line), "\n%s:", name);
    const char *at = strstr(info->str, line);
    if (!at)
        fail_msg("INFO has no %s", name);
    unsigned long long number = strtoull(at + strlen(line), NULL, 10);
    freeReplyObject(info);
    return number;
}

/* A server that ends by itself, at an assertion or at a sanitizer's finding, is no killed one. */
static void expect_running(struct crash_run *run)
{
    int status;
    if (waitpid(run->server.pid, &status, WNOHANG) == 0)
        return;
    struct buffer log = {0};
    test_server_read_log(&run->server, &log);
    fail_msg("the server has ended by itself (status %d): %.*s", status, (int)log.size,
             (const char *)log.data);
}

static void start(struct crash_run *run)
{
    const char *const flags[] = {"--appendfsync",
                                 run->policy,
                                 "--memtable-size",
                                 "1mb",
                                 "--block-cache-size",
                                 "1mb",
                                 "--wal-segment-size",
                                 "1mb",
                                 "--wal-compression",
                                 random_below(&run->random, 2) ? "lz4" : "no",
                                 "--io-threads",
                                 "2",
                                 NULL};
    while (random_below(&run->random, 3) == 0) {
        test_server_spawn(&run->server, flags);
        pause_us(random_below(&run->random, RECOVERY_MS_MAX * 1000));
        expect_running(run);
        run->recovery_kills += access(run->server.socket, F_OK) != 0; /* it does not listen yet */
        test_server_kill(&run->server);
    }
    unsigned before = count_tables(run);
    test_server_start(&run->server, flags);
    run->cut_kills += count_tables(run) < before;
}

static void write_and_kill(struct crash_run *run)
{
    pthread_t threads[WRITERS];
    for (unsigned w = 0; w < WRITERS; w++) {
        run->writers[w].random.state[0] ^= random_next(&run->random);
        assert_int_equal(pthread_create(&threads[w], NULL, write_until_killed, &run->writers[w]),
                         0);
    }
    pause_us(random_below(&run->random, WRITING_MS_MAX * 1000));
    expect_running(run);
    test_server_kill(&run->server);
    run->kills++;
    for (unsigned w = 0; w < WRITERS; w++)
        pthread_join(threads[w], NULL);
    for (unsigned w = 0; w < WRITERS; w++) {
        if (run->writers[w].failure)
            fail_msg("writer %u: %s: %s", w, run->writers[w].failure, run->writers[w].failure_text);
    }
}

/* Deleted is deleted: nothing of it may come back after a kill. */
static void flush(struct crash_run *run, redisContext *connection)
{
    freeReplyObject(ask(connection, "FLUSHALL"));
    for (unsigned w = 0; w < WRITERS; w++) {
        run->writers[w].last_id[0] = 0;
        for (int kind = 0; kind < KIND_COUNT; kind++) {
            struct sequence *sequence = &run->writers[w].sequences[kind];
            sequence->base = sequence->sent;
        }
    }
}

static unsigned kills_of_each_policy(void)
{
    const char *given = getenv("KILLS");
    unsigned kills = given ? (unsigned)strtoul(given, NULL, 10) : KILLS;
    return (kills + 2) / 3;
}

static void kill_again_and_again(const char *policy)
{
    struct crash_run run = {.policy = policy};
    random_init(&run.random, test_seed());
    test_server_init(&run.server, SERVER_CORDWOOD);
    for (unsigned w = 0; w < WRITERS; w++) {
        run.writers[w].id = w;
        run.writers[w].socket = run.server.socket;
        random_init(&run.writers[w].random, random_next(&run.random));
    }
    printf("policy %s in %s\n", policy, run.server.directory);
    start(&run);
    for (unsigned i = 0; i < kills_of_each_policy(); i++) {
        write_and_kill(&run);
        start(&run);
        redisContext *connection = redisConnectUnix(run.server.socket);
        assert_non_null(connection);
        run.replaying_kills += info_number(connection, "recovered_batches") > 0;
        compare_everything(&run);
        test_server_check(&run.server);
        if ((i + 1) % KILLS_BETWEEN_FLUSHES == 0)
            flush(&run, connection);
        redisFree(connection);
    }
    assert_int_equal(test_server_stop(&run.server), 0);
    start(&run);
    compare_everything(&run);
    unsigned long long writes = 0;
    for (unsigned w = 0; w < WRITERS; w++) {
        for (int kind = 0; kind < KIND_COUNT; kind++)
            writes += run.writers[w].sequences[kind].found;
    }
    printf("ran: policy %s: %llu writes kept, %u kills under load, %u of them with records to replay, "
           "%u left unfinished "
           "tables behind, %u kills while it recovered\n",
           policy, writes, run.kills, run.replaying_kills, run.cut_kills, run.recovery_kills);
    assert_true(run.replaying_kills > 0);
    if (run.kills >= KILLS_TO_EXPECT_ALL) {
        assert_true(run.cut_kills > 0);
        assert_true(run.recovery_kills > 0);
    }
    test_server_release(&run.server);
}

static void killed_server_keeps_what_it_acknowledged_under_always(void **state)
{
    (void)state;
    kill_again_and_again("always");
}

static void killed_server_keeps_what_it_acknowledged_under_everysec(void **state)
{
    (void)state;
    kill_again_and_again("everysec");
}

static void killed_server_keeps_what_it_acknowledged_under_no(void **state)
{
    (void)state;
    kill_again_and_again("no");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_server_keeps_what_it_acknowledged_under_always),
        cmocka_unit_test(killed_server_keeps_what_it_acknowledged_under_everysec),
        cmocka_unit_test(killed_server_keeps_what_it_acknowledged_under_no),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
