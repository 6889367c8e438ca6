/* SPDX-License-Identifier: MIT */
/* One client publishes to a channel, others listen: an operation is a message that a listener has. The publisher sends
 * its next pipeline when all its replies are there and nobody is more than LAG_MAX messages behind; its latency is
 * that of the pipeline. Messages are numbered: each listener must get all of them, in order. Among the patterns are
 * nine of each listener's own that match nothing, as redis looks at all of them for each message. */
#include "bench/server/peers.h"
#include "bench/server/server_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTENERS_MAX = 50, PATTERNS = 10, LAG_MAX = 1024, TEXT_BYTES = 64, HEAD_BYTES_MAX = 128 };

static const char channel[] = "bench:channel";
static const char pattern[] = "bench:*";

/* One run of one server. The last peer publishes. */
struct run {
    struct peers peers;
    size_t listener_count, pipeline;
    bool by_pattern;
    char head[HEAD_BYTES_MAX]; /* of each message as it is received */
    size_t head_bytes;
    uint64_t received[LISTENERS_MAX]; /* messages */
    uint64_t published;               /* messages sent */
    size_t replies;                   /* that the publisher awaits */
    uint64_t began_ns, deadline_ns;
    struct load_result *result;
};

static void make_head(struct run *run)
{
    int size =
        run->by_pattern
            ? snprintf(run->head, sizeof run->head,
                       "*4\r\n$8\r\npmessage\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$%d\r\n",
                       strlen(pattern), pattern, strlen(channel), channel, TEXT_BYTES)
            : snprintf(run->head, sizeof run->head, "*3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n$%d\r\n",
                       strlen(channel), channel, TEXT_BYTES);
    run->head_bytes = (size_t)size;
}

static void subscribe(struct run *run, struct peer *peer)
{
    char other[64];

    if (!run->by_pattern) {
        peer_say(peer, (const char *const[]){"SUBSCRIBE", channel}, 2);
        peer_send(peer, &run->peers);
        peer_await_lines(peer, 6);
        return;
    }
    peer_say(peer, (const char *const[]){"PSUBSCRIBE", pattern}, 2);
    for (unsigned i = 1; i < PATTERNS; i++) {
        snprintf(other, sizeof other, "bench:other:%03zu:%u:*", peer->index, i);
        peer_say(peer, (const char *const[]){"PSUBSCRIBE", other}, 2);
    }
    peer_send(peer, &run->peers);
    peer_await_lines(peer, (size_t)6 * PATTERNS);
}

static struct peer *publisher_of(struct run *run)
{
    return &run->peers.all[run->listener_count];
}

static void publish(struct run *run)
{
    struct peer *peer = publisher_of(run);
    char text[TEXT_BYTES + 1];

    run->began_ns = latency_clock();
    for (size_t i = 0; i < run->pipeline; i++) {
        snprintf(text, sizeof text, "%016llx %047d", (unsigned long long)run->published++, 0);
        peer_say(peer, (const char *const[]){"PUBLISH", channel, text}, 3);
    }
    run->replies = run->pipeline;
    peer_send(peer, &run->peers);
}

/* Of whoever has got the fewest messages. */
static uint64_t least_received(const struct run *run)
{
    uint64_t least = run->published;

    for (size_t i = 0; i < run->listener_count; i++)
        least = run->received[i] < least ? run->received[i] : least;
    return least;
}

/* Whole messages, which must be the next ones. */
static size_t take_messages(struct run *run, struct peer *peer)
{
    uint64_t *received = &run->received[peer->index];
    size_t size = run->head_bytes + TEXT_BYTES + 2, used = 0;

    for (; used + size <= peer->input.size; used += size) {
        const char *at = (const char *)peer->input.data + used;
        if (memcmp(at, run->head, run->head_bytes) != 0 ||
            strtoull(at + run->head_bytes, NULL, 16) != *received)
            bench_fail("a message is missing, or out of order");
        ++*received;
    }
    run->result->requests += used / size;
    return used;
}

static size_t take_counts(struct run *run, struct peer *peer)
{
    size_t used = 0;

    for (size_t at = 0; at < peer->input.size; at++) {
        if (peer->input.data[at] != '\n')
            continue;
        if (peer->input.data[used] != ':' || run->replies == 0 ||
            strtoul((const char *)peer->input.data + used + 1, NULL, 10) != run->listener_count)
            bench_fail("PUBLISH was answered with something else");
        if (--run->replies == 0)
            latency_record(&run->result->latency, latency_clock() - run->began_ns);
        used = at + 1;
    }
    return used;
}

static size_t take(void *context, struct peer *peer)
{
    struct run *run = context;

    return peer == publisher_of(run) ? take_counts(run, peer) : take_messages(run, peer);
}

static void run_once(struct run *run, int port, double seconds)
{
    *run->result = (struct load_result){0};
    memset(run->received, 0, sizeof run->received);
    run->published = run->replies = 0;
    peers_connect(&run->peers, port, run->listener_count + 1);
    for (size_t i = 0; i < run->listener_count; i++)
        subscribe(run, &run->peers.all[i]);
    uint64_t began_ns = latency_clock();
    run->deadline_ns = began_ns + (uint64_t)(seconds * 1e9);
    for (;;) {
        uint64_t least = least_received(run);
        bool is_over = latency_clock() >= run->deadline_ns;
        if (is_over && run->replies == 0 && least == run->published)
            break;
        if (!is_over && run->replies == 0 && run->published - least <= LAG_MAX)
            publish(run);
        peers_wait(&run->peers, take, run);
    }
    run->result->seconds = (double)(latency_clock() - began_ns) * 1e-9;
    peers_close(&run->peers);
}

static void take_turn(const struct server_bench *bench, struct server_pair *pair, const char *suite,
                      struct run *run, enum test_server_kind kind, const char *name, unsigned round)
{
    server_pair_give_turn(pair, kind);
    double cpu_before = server_pair_cpu_seconds(pair, kind);
    run_once(run, pair->ports[kind], bench->seconds);
    double cpu = server_pair_cpu_seconds(pair, kind) - cpu_before;
    bench_add_load(bench, suite, name, kind, round, run->result, run->result->requests, cpu);
}

static void measure(const struct server_bench *bench, struct server_pair *pair, const char *suite,
                    size_t listener_count, bool by_pattern, size_t pipeline)
{
    struct load_result result;
    struct run run = {.listener_count = listener_count,
                      .by_pattern = by_pattern,
                      .pipeline = pipeline,
                      .result = &result};
    char name[64];

    make_head(&run);
    snprintf(name, sizeof name, "%s %zu/everysec/%zu", by_pattern ? "PSUBSCRIBE" : "SUBSCRIBE",
             listener_count, pipeline);
    if (!bench_wants(bench, name))
        return;
    for (unsigned round = 1; round <= bench->rounds; round++)
        for (EACH_SERVER(kind))
            take_turn(bench, pair, suite, &run, kind, name, round);
    server_pair_let_both_run(pair);
    bench_print_load(bench, suite, name);
}

void bench_fanout(const struct server_bench *bench, unsigned io_threads)
{
    static const size_t counts[] = {1, 10, 50}, pipelines[] = {1, 16};
    struct server_pair pair;
    const char *suite = io_threads > 1 ? "fanout_io_threads_2" : "fanout";
    char title[128];

    server_pair_start(&pair, io_threads);
    server_pair_settle(&pair);
    snprintf(title, sizeof title,
             "Messages delivered (listeners/appendfsync/pipeline), io-threads %u, one publisher",
             io_threads);
    bench_print_load_header(title);
    for (size_t p = 0; p < 2; p++) {
        for (size_t i = 0; i < 3; i++)
            measure(bench, &pair, suite, counts[i], false, pipelines[p]);
        measure(bench, &pair, suite, 10, true, pipelines[p]);
    }
    server_pair_release(&pair);
}
