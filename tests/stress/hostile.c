/* SPDX-License-Identifier: MIT */
/* What hostile clients cost: for each kind of them the server's memory before, at its peak and
 * after, and the latency that a well-behaved client sees without and with them (`make hostile`).
 * Figures, no verdict but one: the memory stays below HOSTILE_BOUND_MEBIBYTES, which the settings
 * below allow.
 *
 * One server a kind, TCP on the loopback, maxmemory-clients 256mb, max-reply-size 64mb, memtable
 * and block cache of 16 MiB each. HOSTILE_SECONDS= of each measurement (2), HOSTILE_ONLY= one kind.
 */
#include "lib/test_server.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Clients, as much of those evicted that are not closed yet, replies that are built, the store,
     * the rest. */
    HOSTILE_BOUND_MEBIBYTES = 2 * 256 + 5 * 64 + 32 + 128,
    CONNECTIONS_MAX = 5000,
    SAMPLES_MAX = 4 * 1000 * 1000,
    LIST_ELEMENTS = 3000,
    PART_BYTES = 1 << 20,
};

struct attack {
    const char *address;
    int port, json_port;
    atomic_bool stops;
    atomic_bool is_ready; /* all are connected: latency is measured from here on */
    atomic_ulong acts;    /* what the kind counts */
    struct resp_client *clients;
    size_t client_count;
};

struct kind {
    const char *name, *what, *counts;
    void (*run)(struct attack *attack); /* until attack->stops */
};

static void pause_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static double rss_mebibytes(pid_t pid)
{
    char path[64];
    unsigned long pages = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* ---- The well-behaved client ----------------------------------------------------------------- */

struct latency {
    size_t count;
    double p50_us, p99_us, p999_us, max_us;
};

static int compare_u32(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void do_one(struct resp_client *client, size_t i, struct buffer *shown)
{
    char key[32];
    const char *reply;
    snprintf(key, sizeof(key), "key:%zu", i % 1000);
    if (i % 4 == 0)
        reply =
            resp_client_ask(client, shown, "SET", key, "a value of a usual length, more or less");
    else if (i % 4 == 1)
        reply = resp_client_ask(client, shown, "GET", key);
    else if (i % 4 == 2)
        reply = resp_client_ask(client, shown, "XADD", "own", "MAXLEN", "~", "1000", "*", "message",
                                "a line of a log", "level", "info");
    else
        reply = resp_client_ask(client, shown, "XREVRANGE", "own", "+", "-", "COUNT", "10");
    if (reply[0] == '-' || reply[0] == '(') {
        fprintf(stderr, "the well-behaved client got %s\n", reply);
        exit(1);
    }
}

static struct latency measure(const struct attack *attack, uint64_t duration_us, uint32_t *samples)
{
    struct resp_client client;
    struct buffer shown = {0};
    struct latency latency = {0};
    if (!resp_client_open_tcp(&client, attack->address, attack->port)) {
        fprintf(stderr, "the well-behaved client cannot connect\n");
        exit(1);
    }
    uint64_t until = now_us() + duration_us;
    for (uint64_t at = now_us(); at < until && latency.count < SAMPLES_MAX;) {
        do_one(&client, latency.count, &shown);
        uint64_t done = now_us();
        samples[latency.count++] = (uint32_t)(done - at);
        at = done;
    }
    resp_client_close(&client);
    buffer_release(&shown);
    qsort(samples, latency.count, sizeof(*samples), compare_u32);
    latency.p50_us = samples[latency.count / 2];
    latency.p99_us = samples[latency.count * 99 / 100];
    latency.p999_us = samples[latency.count * 999 / 1000];
    latency.max_us = samples[latency.count - 1];
    return latency;
}

/* ---- Hostile ones ---------------------------------------------------------------------------- */

static void connect_all(struct attack *attack, size_t count, bool json)
{
    for (size_t i = 0; i < count && !atomic_load(&attack->stops); i++) {
        if (resp_client_open_tcp(&attack->clients[attack->client_count], attack->address,
                                 json ? attack->json_port : attack->port))
            attack->client_count++;
    }
    atomic_store(&attack->is_ready, true);
}

/* As much as the socket takes now; < 0: it is broken. */
static ssize_t push(struct resp_client *client, const void *bytes, size_t size)
{
    if (client->socket < 0)
        return -1;
    ssize_t sent = send(client->socket, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

static void close_client(struct resp_client *client, bool reset)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (reset && client->socket >= 0)
        (void)setsockopt(client->socket, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    resp_client_close(client);
}

static void wait_until_stopped(struct attack *attack)
{
    while (!atomic_load(&attack->stops))
        pause_ms(5);
}

static void send_to_all(struct attack *attack, const char *text)
{
    for (size_t i = 0; i < attack->client_count; i++)
        if (push(&attack->clients[i], text, strlen(text)) > 0)
            atomic_fetch_add(&attack->acts, 1);
}

static void run_idle(struct attack *attack)
{
    connect_all(attack, CONNECTIONS_MAX, false);
    atomic_store(&attack->acts, attack->client_count);
    wait_until_stopped(attack);
}

static void run_announcing(struct attack *attack)
{
    connect_all(attack, 2000, false);
    send_to_all(attack, "*1048576\r\n$3\r\nDEL\r\n$536870912\r\nabc");
    wait_until_stopped(attack);
}

/* A mebibyte of each 512 MiB. */
static void run_half_sent(struct attack *attack)
{
    char *part = memory_zeroed(1, PART_BYTES);
    size_t *sent = memory_zeroed(1000, sizeof(*sent));
    connect_all(attack, 1000, false);
    send_to_all(attack, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n");
    atomic_store(&attack->acts, 0);
    while (!atomic_load(&attack->stops)) {
        for (size_t i = 0; i < attack->client_count; i++) {
            ssize_t count = push(&attack->clients[i], part, PART_BYTES - sent[i]);
            sent[i] += count > 0 ? (size_t)count : 0;
            if (count <= 0 || sent[i] < PART_BYTES)
                continue;
            atomic_fetch_add(&attack->acts, 1);
        }
        pause_ms(1);
    }
    memory_free(part);
    memory_free(sent);
}

static void run_trickling(struct attack *attack)
{
    static const char request[] = "*3\r\n$3\r\nSET\r\n$7\r\ntrickle\r\n$5\r\nvalue\r\n";
    connect_all(attack, 500, false);
    for (size_t at = 0; !atomic_load(&attack->stops); at = (at + 1) % (sizeof(request) - 1)) {
        for (size_t i = 0; i < attack->client_count; i++)
            atomic_fetch_add(&attack->acts, push(&attack->clients[i], request + at, 1) > 0);
        pause_ms(1);
    }
}

static void pump(struct attack *attack, const char *requests, size_t size)
{
    while (!atomic_load(&attack->stops)) {
        size_t moved = 0;
        for (size_t i = 0; i < attack->client_count; i++) {
            ssize_t count = push(&attack->clients[i], requests, size);
            moved += count > 0 ? (size_t)count : 0;
        }
        atomic_fetch_add(&attack->acts, moved);
        if (moved == 0)
            pause_ms(1);
    }
}

static void run_endless_pipelines(struct attack *attack)
{
    static char requests[64 * 1024];
    for (size_t i = 0; i + 8 <= sizeof(requests); i += 8)
        memcpy(requests + i, "GET k 1\n", 8); /* a wrong one: a reply longer than its request */
    connect_all(attack, 200, false);
    pump(attack, requests, sizeof(requests));
}

static void run_never_reading(struct attack *attack)
{
    static const char *const requests[] = {"LRANGE list 0 -1\r\n", "XRANGE stream - +\r\n",
                                           "LOG.RANGE stream - +\r\n", "GET large\r\n"};
    connect_all(attack, 400, false);
    for (size_t i = 0; i < attack->client_count; i++)
        for (int j = 0; j < 50; j++)
            atomic_fetch_add(&attack->acts, push(&attack->clients[i], requests[i % 4],
                                                 strlen(requests[i % 4])) > 0);
    wait_until_stopped(attack);
}

static void run_connecting(struct attack *attack)
{
    atomic_store(&attack->is_ready, true);
    while (!atomic_load(&attack->stops)) {
        struct resp_client *client = &attack->clients[0];
        if (!resp_client_open_tcp(client, attack->address, attack->port))
            continue;
        (void)push(client, "PING\r\n", 6);
        close_client(client, atomic_fetch_add(&attack->acts, 1) % 2);
    }
}

static void run_resetting(struct attack *attack)
{
    atomic_store(&attack->is_ready, true);
    while (!atomic_load(&attack->stops)) {
        char bytes[1000];
        struct resp_client *client = &attack->clients[0];
        if (!resp_client_open_tcp(client, attack->address, attack->port))
            continue;
        (void)push(client, "LRANGE list 0 -1\r\n", 18);
        struct pollfd readable = {client->socket, POLLIN, 0};
        if (poll(&readable, 1, 1000) == 1)
            (void)!recv(client->socket, bytes, sizeof(bytes), 0); /* the rest comes in vain */
        close_client(client, true);
        atomic_fetch_add(&attack->acts, 1);
    }
}

static void run_blocked(struct attack *attack)
{
    while (!atomic_load(&attack->stops)) {
        attack->client_count = 0;
        connect_all(attack, 2000, false);
        send_to_all(attack, "XREAD BLOCK 0 STREAMS nothing own $ $\r\n");
        pause_ms(50);
        for (size_t i = 0; i < attack->client_count; i++)
            close_client(&attack->clients[i], i % 2);
    }
    attack->client_count = 0;
}

static void run_json_without_end(struct attack *attack)
{
    static char bytes[64 * 1024];
    memset(bytes, 'x', sizeof(bytes));
    connect_all(attack, 20, true);
    send_to_all(attack, "{\"action\":\"write\",\"message\":\"");
    pump(attack, bytes, sizeof(bytes));
}

static void run_json_nested(struct attack *attack)
{
    static char bytes[60 * 1024];
    memset(bytes, '[', sizeof(bytes));
    memcpy(bytes, "{\"action\":\"write\",\"metadata\":", 29);
    bytes[sizeof(bytes) - 1] = '\n';
    connect_all(attack, 20, true);
    while (!atomic_load(&attack->stops))
        for (size_t i = 0; i < attack->client_count; i++) {
            struct pollfd writable = {attack->clients[i].socket, POLLOUT, 0};
            char replies[4096];
            if (poll(&writable, 1, 0) == 1 && push(&attack->clients[i], bytes, sizeof(bytes)) > 0)
                atomic_fetch_add(&attack->acts, 1);
            (void)!recv(attack->clients[i].socket, replies, sizeof(replies), MSG_DONTWAIT);
        }
}

/* Requests of a million arguments, complete ones. */
static void run_many_arguments(struct attack *attack)
{
    struct buffer request = {0};
    buffer_append_text(&request, "*1048576\r\n$6\r\nEXISTS\r\n");
    for (int i = 1; i < 1048576; i++)
        buffer_append_text(&request, "$1\r\nk\r\n");
    connect_all(attack, 4, false);
    for (size_t i = 0; i < attack->client_count; i++)
        attack->clients[i].timeout_ms = 2000;
    while (!atomic_load(&attack->stops)) {
        for (size_t i = 0; i < attack->client_count && !atomic_load(&attack->stops); i++) {
            struct resp_reply reply = {0};
            if (resp_client_send(&attack->clients[i], buffer_slice(&request)) &&
                resp_client_read(&attack->clients[i], &reply))
                atomic_fetch_add(&attack->acts, 1);
            resp_reply_release(&reply);
        }
    }
    buffer_release(&request);
}

static const struct kind kinds[] = {
    {"idle", "5000 connections that send nothing", "connections", run_idle},
    {"announcing", "2000 that announce 1M arguments of 512 MiB", "requests", run_announcing},
    {"half sent", "1000 with 1 MiB of a 512 MiB bulk each", "times 1 MiB", run_half_sent},
    {"trickling", "500 that send byte by byte", "bytes", run_trickling},
    {"pipelines", "200 endless pipelines, no reply read", "bytes", run_endless_pipelines},
    {"never reading", "400 with 50 large reads each, none read", "requests", run_never_reading},
    {"connecting", "connect, PING, close or RST, again", "connections", run_connecting},
    {"resetting", "RST in the middle of a large reply", "resets", run_resetting},
    {"blocked", "2000 blocked readers that vanish, again", "readers", run_blocked},
    {"JSON, endless", "20 JSON lines without an end", "bytes", run_json_without_end},
    {"JSON, nested", "20 with 60,000 brackets a line", "lines", run_json_nested},
    {"arguments", "4 with 1M arguments a request", "requests", run_many_arguments},
};

/* ---- A kind ---------------------------------------------------------------------------------- */

struct measurement {
    double before, peak, after;
    struct latency without, with;
    unsigned long acts;
    unsigned long evicted;
};

struct watch {
    pid_t pid;
    atomic_bool stops;
    double peak;
};

static void *watch_memory(void *context)
{
    struct watch *watch = context;
    while (!atomic_load(&watch->stops)) {
        double now = rss_mebibytes(watch->pid);
        watch->peak = now > watch->peak ? now : watch->peak;
        pause_ms(2);
    }
    return NULL;
}

struct running {
    const struct kind *kind;
    struct attack *attack;
};

static void *run_attack(void *context)
{
    struct running *running = context;
    running->kind->run(running->attack);
    return NULL;
}

static void fill(const struct attack *attack)
{
    struct resp_client client;
    struct buffer shown = {0};
    static char element[2048], large[4 << 20];
    memset(element, 'e', sizeof(element) - 1);
    memset(large, 'l', sizeof(large) - 1);
    if (!resp_client_open_tcp(&client, attack->address, attack->port))
        exit(1);
    for (int i = 0; i < LIST_ELEMENTS; i++) {
        resp_client_ask(&client, &shown, "RPUSH", "list", element);
        resp_client_ask(&client, &shown, "LOG.WRITE", "stream", "--", element);
    }
    resp_client_ask(&client, &shown, "SET", "large", large);
    resp_client_close(&client);
    buffer_release(&shown);
}

static unsigned long evicted_clients(const struct attack *attack)
{
    struct resp_client client;
    struct buffer shown = {0};
    unsigned long evicted = 0;
    if (resp_client_open_tcp(&client, attack->address, attack->port)) {
        const char *at = strstr(resp_client_ask(&client, &shown, "INFO"), "evicted_clients:");
        evicted = at ? strtoul(at + 16, NULL, 10) : 0;
        resp_client_close(&client);
    }
    buffer_release(&shown);
    return evicted;
}

static void measure_kind(const struct kind *kind, uint64_t duration_us, uint32_t *samples,
                         struct measurement *result)
{
    struct test_server server;
    char port[16], json_port[16];
    struct attack attack = {.address = "127.0.0.1",
                            .port = test_server_free_port(),
                            .json_port = test_server_free_port()};
    snprintf(port, sizeof(port), "%d", attack.port);
    snprintf(json_port, sizeof(json_port), "%d", attack.json_port);
    attack.clients = memory_zeroed(CONNECTIONS_MAX, sizeof(*attack.clients));
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        attack.clients[i].socket = -1;
    test_server_init(&server, SERVER_CORDWOOD);
    test_server_start(
        &server, (const char *const[]){"--port", port, "--json-port", json_port, "--memtable-size",
                                       "16mb", "--block-cache-size", "16mb", "--maxmemory-clients",
                                       "256mb", "--max-reply-size", "64mb", NULL});
    fill(&attack);
    result->without = measure(&attack, duration_us, samples);
    result->before = rss_mebibytes(server.pid);

    pthread_t watching, attacking;
    struct watch watch = {.pid = server.pid};
    struct running running = {kind, &attack};
    if (pthread_create(&watching, NULL, watch_memory, &watch) != 0 ||
        pthread_create(&attacking, NULL, run_attack, &running) != 0)
        exit(1);
    while (!atomic_load(&attack.is_ready))
        pause_ms(5);
    pause_ms(100);
    result->with = measure(&attack, duration_us, samples);
    result->acts = atomic_load(&attack.acts);
    atomic_store(&attack.stops, true);
    pthread_join(attacking, NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        close_client(&attack.clients[i], i % 2);
    pause_ms(500);
    atomic_store(&watch.stops, true);
    pthread_join(watching, NULL);
    result->peak = watch.peak;
    result->after = rss_mebibytes(server.pid);
    result->evicted = evicted_clients(&attack);
    memory_free(attack.clients);
    if (test_server_stop(&server) != 0) {
        fprintf(stderr, "%s: the server did not stop cleanly\n", kind->name);
        exit(1);
    }
    test_server_release(&server);
}

int main(void)
{
    const char *seconds = getenv("HOSTILE_SECONDS"), *only = getenv("HOSTILE_ONLY");
    uint64_t duration_us = (uint64_t)((seconds ? strtod(seconds, NULL) : 2) * 1e6);
    uint32_t *samples = memory_zeroed(SAMPLES_MAX, sizeof(*samples));
    struct rlimit files;
    int code = 0;
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* fewer connections else */
    }
    printf("%-14s | %-42s | %21s | %23s | %23s | did\n", "", "RSS in MiB, bound",
           "before / peak / after", "alone p50/p99/p99.9 us", "with p50/p99/p99.9 us");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct measurement m;
        if (only && strcmp(only, kinds[i].name) != 0)
            continue;
        measure_kind(&kinds[i], duration_us, samples, &m);
        printf(
            "%-14s | %-42s | %6.0f %7.0f %6.0f | %7.0f %7.0f %7.0f | %7.0f %7.0f %7.0f | %lu %s, "
            "%lu evicted\n",
            kinds[i].name, kinds[i].what, m.before, m.peak, m.after, m.without.p50_us,
            m.without.p99_us, m.without.p999_us, m.with.p50_us, m.with.p99_us, m.with.p999_us,
            m.acts, kinds[i].counts, m.evicted);
        fflush(stdout);
        if (m.peak > HOSTILE_BOUND_MEBIBYTES) {
            printf("%s: more than %d MiB\n", kinds[i].name, HOSTILE_BOUND_MEBIBYTES);
            code = 1;
        }
    }
    memory_free(samples);
    return code;
}
