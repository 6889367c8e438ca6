/* SPDX-License-Identifier: MIT */
/* WAITERS clients wait in BLPOP, others push: WAITERS elements are on the way at a time, so each comes to somebody who
 * waits for it. A pusher sends its next pipeline when all its elements have arrived and all its replies are there.
 *
 *      own   a queue for each waiter; a pipeline goes to as many queues
 *      one   all wait for the same queue; the first in line gets it
 *
 * An element names its pusher, the pusher's pipeline and its place there, so each is seen to arrive once. A latency is
 * from sending the pipeline to a waiter's reply. */
#include "bench/server/peers.h"
#include "bench/server/server_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAITERS = 48, NAME_BYTES = 64, ELEMENT_BYTES = 24, PIPELINE_MAX = 64 };

struct pusher {
    uint32_t pipelines;  /* sent so far */
    uint64_t on_the_way; /* a bit for each element of the last one that nobody has */
    size_t replies;      /* awaited */
    uint64_t began_ns;
};

/* One run of one server. The peers are the waiters, then the pushers. */
struct run {
    struct peers peers;
    struct pusher pushers[WAITERS];
    size_t pusher_count, pipeline;
    bool is_one_queue;
    uint64_t deadline_ns;
    size_t busy; /* pushers */
    struct load_result *result;
};

static void name_queue(const struct run *run, size_t number, char *name)
{
    snprintf(name, NAME_BYTES, run->is_one_queue ? "queue:all" : "queue:%03zu", number);
}

static void wait_again(struct run *run, struct peer *waiter)
{
    char name[NAME_BYTES];

    name_queue(run, waiter->index, name);
    peer_say(waiter, (const char *const[]){"BLPOP", name, "0"}, 3);
    peer_send(waiter, &run->peers);
}

static void push_next(struct run *run, size_t number)
{
    struct pusher *pusher = &run->pushers[number];
    struct peer *peer = &run->peers.all[WAITERS + number];
    char name[NAME_BYTES], element[NAME_BYTES];

    pusher->began_ns = latency_clock();
    if (pusher->began_ns >= run->deadline_ns) {
        run->busy--;
        return;
    }
    pusher->pipelines++;
    for (size_t i = 0; i < run->pipeline; i++) {
        name_queue(run, number * run->pipeline + i, name);
        snprintf(element, sizeof element, "%04zu %012u %06zu", number, pusher->pipelines, i);
        peer_say(peer, (const char *const[]){"RPUSH", name, element}, 3);
    }
    pusher->on_the_way = run->pipeline == 64 ? UINT64_MAX : (UINT64_C(1) << run->pipeline) - 1;
    pusher->replies = run->pipeline;
    peer_send(peer, &run->peers);
}

static void push_when_done(struct run *run, size_t number)
{
    if (run->pushers[number].on_the_way == 0 && run->pushers[number].replies == 0)
        push_next(run, number);
}

static void note_element(struct run *run, const char *element)
{
    char *end;
    size_t number = strtoul(element, &end, 10), pipelines = strtoul(end, &end, 10),
           place = strtoul(end, &end, 10);

    if (number >= run->pusher_count || place >= run->pipeline ||
        pipelines != run->pushers[number].pipelines ||
        !(run->pushers[number].on_the_way & UINT64_C(1) << place))
        bench_fail("an element was handed over twice, or never pushed");
    struct pusher *pusher = &run->pushers[number];
    pusher->on_the_way &= ~(UINT64_C(1) << place);
    latency_record(&run->result->latency, latency_clock() - pusher->began_ns);
    run->result->requests++;
    push_when_done(run, number);
}

static size_t take_element(struct run *run, struct peer *waiter)
{
    char name[NAME_BYTES], head[2 * NAME_BYTES];
    name_queue(run, waiter->index, name);
    int head_bytes = snprintf(head, sizeof head, "*2\r\n$%zu\r\n%s\r\n$%d\r\n", strlen(name), name,
                              ELEMENT_BYTES);
    size_t size = (size_t)head_bytes + ELEMENT_BYTES + 2;
    char element[ELEMENT_BYTES + 1] = "";

    if (waiter->input.size < size)
        return 0;
    if (waiter->input.size > size || memcmp(waiter->input.data, head, (size_t)head_bytes) != 0)
        bench_fail("BLPOP was answered with something else");
    memcpy(element, waiter->input.data + head_bytes, ELEMENT_BYTES);
    wait_again(run, waiter);
    note_element(run, element);
    return size;
}

/* Lines ":1". */
static size_t take_lengths(struct run *run, struct peer *peer)
{
    struct pusher *pusher = &run->pushers[peer->index - WAITERS];
    size_t used = 0;

    for (size_t at = 0; at < peer->input.size; at++) {
        if (peer->input.data[at] != '\n')
            continue;
        if (peer->input.data[used] != ':' || pusher->replies == 0)
            bench_fail("RPUSH was answered with something else");
        pusher->replies--;
        used = at + 1;
    }
    if (used > 0)
        push_when_done(run, peer->index - WAITERS);
    return used;
}

static size_t take(void *context, struct peer *peer)
{
    return peer->index < WAITERS ? take_element(context, peer) : take_lengths(context, peer);
}

static void run_once(struct run *run, int port, double seconds)
{
    *run->result = (struct load_result){0};
    memset(run->pushers, 0, sizeof run->pushers);
    peers_connect(&run->peers, port, WAITERS + run->pusher_count);
    for (size_t i = 0; i < WAITERS; i++)
        wait_again(run, &run->peers.all[i]);
    uint64_t began_ns = latency_clock();
    run->deadline_ns = began_ns + (uint64_t)(seconds * 1e9);
    run->busy = run->pusher_count;
    for (size_t i = 0; i < run->pusher_count; i++)
        push_next(run, i);
    while (run->busy > 0)
        peers_wait(&run->peers, take, run);
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
                    bool is_one_queue, size_t pipeline)
{
    struct load_result result;
    struct run run = {.pusher_count = WAITERS / pipeline,
                      .pipeline = pipeline,
                      .is_one_queue = is_one_queue,
                      .result = &result};
    char name[64];

    snprintf(name, sizeof name, "BLPOP %s/everysec/%zu", is_one_queue ? "one" : "own", pipeline);
    if (!bench_wants(bench, name))
        return;
    for (unsigned round = 1; round <= bench->rounds; round++)
        for (EACH_SERVER(kind))
            take_turn(bench, pair, suite, &run, kind, name, round);
    server_pair_let_both_run(pair);
    bench_print_load(bench, suite, name);
}

void bench_handover(const struct server_bench *bench, unsigned io_threads)
{
    struct server_pair pair;
    const char *suite = io_threads > 1 ? "handover_io_threads_2" : "handover";
    char title[128];

    server_pair_start(&pair, io_threads);
    server_pair_settle(&pair);
    snprintf(title, sizeof title,
             "Elements handed over (queues/appendfsync/pipeline), io-threads %u, %d waiters",
             io_threads, WAITERS);
    bench_print_load_header(title);
    for (int is_one_queue = 0; is_one_queue < 2; is_one_queue++) {
        measure(bench, &pair, suite, is_one_queue, 1);
        measure(bench, &pair, suite, is_one_queue, 16);
    }
    server_pair_release(&pair);
}
