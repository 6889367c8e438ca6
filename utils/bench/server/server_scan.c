/* SPDX-License-Identifier: MIT */
/* A whole stream read in pages (XRANGE COUNT 1000) by hiredis, one synchronous client over TCP: what a
 * program in C sees. The third column is hiredis alone, which is given the same replies from memory: no
 * server can be faster than that. */
#include "bench/server/server_bench.h"
#include "bench/server/server_requests.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

enum { PAGE = 1000, FEED_BYTES = 16 * 1024 /* as hiredis reads from a socket */ };

static redisContext *connect_to(const struct server_pair *pair, enum test_server_kind kind)
{
    redisContext *client = redisConnect("127.0.0.1", pair->ports[kind]);

    if (!client || client->err)
        bench_fail("hiredis does not connect");
    return client;
}

/* Where the page after this one begins; false: it was the last. */
static bool next_start(const redisReply *page, char start[64])
{
    if (page->type != REDIS_REPLY_ARRAY)
        bench_fail("XRANGE failed");
    if (page->elements < PAGE)
        return false;
    const redisReply *last = page->element[page->elements - 1];
    snprintf(start, 64, "(%s", last->element[0]->str);
    return true;
}

static uint64_t scan(redisContext *client)
{
    char start[64] = "-";
    uint64_t entries = 0;

    for (bool more = true; more;) {
        redisReply *page = redisCommand(client, "XRANGE filled %s + COUNT %d", start, (int)PAGE);
        if (!page)
            bench_fail("hiredis got no reply");
        entries += page->elements;
        more = next_start(page, start);
        freeReplyObject(page);
    }
    return entries;
}

/* The replies of a scan as bytes. */
static void collect(struct server_pair *pair, struct buffer *bytes)
{
    struct resp_client client;
    char start[64] = "-", count[16];
    bool more = true;

    snprintf(count, sizeof count, "%d", PAGE);
    test_server_connect(&pair->servers[SERVER_CORDWOOD], &client);
    while (more) {
        struct resp_reply page = {0};
        if (!resp_client_call(&client, &page, "XRANGE", "filled", start, "+", "COUNT", count))
            bench_fail("XRANGE failed");
        buffer_append(bytes, client.input.data, client.consumed);
        more = page.count == PAGE;
        if (more) {
            const struct buffer *id = &page.children[PAGE - 1].children[0].text;
            snprintf(start, sizeof start, "(%.*s", (int)id->size, (const char *)id->data);
        }
        resp_reply_release(&page);
    }
    resp_client_close(&client);
}

static uint64_t parse(const struct buffer *bytes)
{
    redisReader *reader = redisReaderCreate();
    uint64_t entries = 0;

    for (size_t at = 0; at < bytes->size; at += FEED_BYTES) {
        size_t left = bytes->size - at;
        redisReply *page;
        if (redisReaderFeed(reader, (const char *)bytes->data + at,
                            left < FEED_BYTES ? left : FEED_BYTES) != REDIS_OK)
            bench_fail("hiredis takes no more");
        while (redisReaderGetReply(reader, (void **)&page) == REDIS_OK && page) {
            entries += page->elements;
            freeReplyObject(page);
        }
    }
    redisReaderFree(reader);
    return entries;
}

static void add_rate(const struct server_bench *bench, const char *subject, unsigned round,
                     uint64_t entries, uint64_t began_ns)
{
    if (entries != bench->entries)
        bench_fail("a scan did not see every entry");
    results_add(bench->results, "scan", "XRANGE_1000, hiredis", subject, "entries_per_s", round,
                (double)entries * 1e9 / (double)(latency_clock() - began_ns));
}

void bench_scan(const struct server_bench *bench)
{
    struct server_pair pair;
    struct buffer bytes = {0};

    server_pair_start(&pair, 0);
    for (EACH_SERVER(kind))
        request_fill(&pair, kind, bench->entries, 1, request_stream_entry);
    server_pair_settle(&pair);
    collect(&pair, &bytes);
    for (unsigned round = 1; round <= bench->rounds; round++) {
        for (EACH_SERVER(kind)) {
            server_pair_give_turn(&pair, kind);
            redisContext *client = connect_to(&pair, kind);
            uint64_t began_ns = latency_clock();
            add_rate(bench, server_pair_name(kind), round, scan(client), began_ns);
            redisFree(client);
        }
        server_pair_let_none_run(&pair);
        uint64_t began_ns = latency_clock();
        add_rate(bench, "hiredis", round, parse(&bytes), began_ns);
    }
    server_pair_let_both_run(&pair);
    results_print(
        bench->results, "scan",
        "A stream in pages of 1000 by hiredis, thousands of entries a second; hiredis: its "
        "parser alone",
        "entries_per_s", (const char *const[]){"cordwood", "redis", "hiredis", NULL}, 1000);
    buffer_release(&bytes);
    server_pair_release(&pair);
}
