/* SPDX-License-Identifier: MIT */
#include "bench/server/server_pair.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SETTLE_TRIES_MAX = 300, COMMAND_MS_MAX = 120000, FLAGS_MAX = 16 };

static struct server_pair *running; /* what the end of the program must end, too */

const char *server_pair_name(enum test_server_kind kind)
{
    return kind == SERVER_CORDWOOD ? "cordwood" : "redis";
}

_Noreturn void bench_fail(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    if (running)
        server_pair_release(running);
    exit(1);
}

/* A server that stands still would outlive a bench that is interrupted. */
static void end_at_signal(int number)
{
    for (int kind = 0; running && kind < SERVER_KINDS; kind++)
        if (running->servers[kind].pid > 0)
            kill(running->servers[kind].pid, SIGKILL);
    _exit(128 + number);
}

/* ---- Life ------------------------------------------------------------------------------------ */

void server_pair_start_one(struct server_pair *pair, enum test_server_kind kind)
{
    char port[16], threads[16];
    const char *flags[FLAGS_MAX + 5] = {"--port", port, "--io-threads", threads};

    pair->ports[kind] = test_server_free_port();
    snprintf(port, sizeof port, "%d", pair->ports[kind]);
    snprintf(threads, sizeof threads, "%u", pair->io_threads ? pair->io_threads : 1);
    for (size_t i = 0; kind == SERVER_CORDWOOD && pair->flags && pair->flags[i]; i++) {
        if (i == FLAGS_MAX)
            bench_fail("too many flags");
        flags[4 + i] = pair->flags[i];
    }
    test_server_start(&pair->servers[kind], flags);
}

static void start(struct server_pair *pair)
{
    running = pair;
    signal(SIGINT, end_at_signal);
    signal(SIGTERM, end_at_signal);
    for (EACH_SERVER(kind)) {
        if (kind == SERVER_REDIS && pair->is_alone)
            continue;
        test_server_init(&pair->servers[kind], kind);
        server_pair_start_one(pair, kind);
    }
}

void server_pair_start(struct server_pair *pair, unsigned io_threads)
{
    *pair = (struct server_pair){.io_threads = io_threads};
    start(pair);
}

void server_pair_start_with(struct server_pair *pair, const char *const *flags, bool is_alone)
{
    *pair = (struct server_pair){.flags = flags, .is_alone = is_alone};
    start(pair);
}

void server_pair_release(struct server_pair *pair)
{
    running = NULL;
    for (EACH_SERVER(kind))
        test_server_release(&pair->servers[kind]);
}

/* ---- Turns ----------------------------------------------------------------------------------- */

/* The server and the children it has: redis rewrites its AOF in one, which would go on in the other
 * server's turn. Stopping, the parent comes first, so that no child is missed. */
static void signal_server(const struct server_pair *pair, enum test_server_kind kind, int number)
{
    pid_t parent = pair->servers[kind].pid;
    char path[64];
    int child;

    if (parent <= 0)
        return;
    kill(parent, number);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *children = fopen(path, "r");
    if (!children)
        bench_fail("no list of a server's children in /proc");
    while (fscanf(children, "%d", &child) == 1)
        kill(child, number);
    fclose(children);
}

void server_pair_give_turn(struct server_pair *pair, enum test_server_kind kind)
{
    signal_server(pair, kind, SIGCONT);
    if (!pair->is_alone)
        signal_server(pair, !kind, SIGSTOP);
}

static void signal_both(struct server_pair *pair, int number)
{
    for (EACH_SERVER(kind))
        signal_server(pair, kind, number);
}

void server_pair_let_both_run(struct server_pair *pair)
{
    signal_both(pair, SIGCONT);
}

void server_pair_let_none_run(struct server_pair *pair)
{
    signal_both(pair, SIGSTOP);
}

double server_pair_cpu_seconds(const struct server_pair *pair, enum test_server_kind kind)
{
    clockid_t clock;
    struct timespec time = {0};

    if (pair->servers[kind].pid > 0 && clock_getcpuclockid(pair->servers[kind].pid, &clock) == 0)
        clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* ---- Commands -------------------------------------------------------------------------------- */

void server_pair_command(struct server_pair *pair, enum test_server_kind kind,
                         const char *const *texts)
{
    struct resp_client client;
    struct resp_reply reply = {0};

    test_server_connect(&pair->servers[kind], &client);
    client.timeout_ms = COMMAND_MS_MAX;
    if (!resp_client_call_texts(&client, &reply, texts) || reply.type == '-') {
        fprintf(stderr, "%s: %s %s: %.*s\n", server_pair_name(kind), texts[0],
                texts[1] ? texts[1] : "", (int)reply.text.size, (const char *)reply.text.data);
        bench_fail("a command failed");
    }
    resp_reply_release(&reply);
    resp_client_close(&client);
}

void server_pair_configure(struct server_pair *pair, const char *name, const char *value)
{
    for (EACH_SERVER(kind))
        server_pair_command(pair, kind, (const char *const[]){"CONFIG", "SET", name, value, NULL});
}

/* What a server answers, as resp_reply_show shows it. */
static bool answer_contains(struct server_pair *pair, enum test_server_kind kind,
                            const char *const *texts, const char *part)
{
    struct resp_client client;
    struct buffer shown = {0};

    test_server_connect(&pair->servers[kind], &client);
    bool found = strstr(resp_client_ask_texts(&client, &shown, texts), part) != NULL;
    resp_client_close(&client);
    buffer_release(&shown);
    return found;
}

uint64_t server_pair_info(struct server_pair *pair, const char *field)
{
    struct resp_client client;
    struct resp_reply reply = {0};
    char name[64];

    test_server_connect(&pair->servers[SERVER_CORDWOOD], &client);
    if (!resp_client_call(&client, &reply, "INFO"))
        bench_fail("INFO failed");
    buffer_append_byte(&reply.text, 0);
    snprintf(name, sizeof name, "\n%s:", field);
    const char *found = strstr((const char *)reply.text.data, name);
    uint64_t number = found ? strtoull(found + strlen(name), NULL, 10) : 0;
    resp_reply_release(&reply);
    resp_client_close(&client);
    return number;
}

/* COMMAND INFO has an array for what is there, and nil for what is not. */
bool server_pair_knows(struct server_pair *pair, const char *command)
{
    const char *const texts[] = {"COMMAND", "INFO", command, NULL};
    bool both = true;

    for (EACH_SERVER(kind))
        both = both && answer_contains(pair, kind, texts, "[[");
    return both;
}

static void await_rewrite(struct server_pair *pair)
{
    const struct timespec pause = {0, 20 * 1000000};
    const char *const info[] = {"INFO", "persistence", NULL};

    while (!answer_contains(pair, SERVER_REDIS, info, "aof_rewrite_in_progress:0") ||
           !answer_contains(pair, SERVER_REDIS, info, "aof_rewrite_scheduled:0"))
        nanosleep(&pause, NULL);
}

void server_pair_settle_one(struct server_pair *pair, enum test_server_kind kind)
{
    const struct timespec pause = {0, 100 * 1000000};

    if (kind == SERVER_REDIS && pair->servers[kind].pid > 0)
        await_rewrite(pair);
    for (int tries = 0; tries < SETTLE_TRIES_MAX; tries++) {
        double began = server_pair_cpu_seconds(pair, kind);
        nanosleep(&pause, NULL);
        if (server_pair_cpu_seconds(pair, kind) - began < 0.005)
            return;
    }
}

void server_pair_settle(struct server_pair *pair)
{
    for (EACH_SERVER(kind))
        server_pair_settle_one(pair, kind);
}

void server_pair_compact(struct server_pair *pair, enum test_server_kind kind)
{
    if (kind == SERVER_CORDWOOD) {
        server_pair_command(pair, kind, (const char *const[]){"DEBUG", "COMPACT", NULL});
        return;
    }
    await_rewrite(pair); /* one that redis began by itself */
    server_pair_command(pair, kind, (const char *const[]){"BGREWRITEAOF", NULL});
    await_rewrite(pair);
}

void server_pair_load(struct server_pair *pair, enum test_server_kind kind, struct load load,
                      struct load_result *result)
{
    load.port = pair->ports[kind];
    if (!load_run(&load, result) || result->errors)
        bench_fail("requests failed");
    if (load.once && result->requests != load.pool->count)
        bench_fail("not every request was answered");
}

/* ---- What they use --------------------------------------------------------------------------- */

/* The number behind `key` in a file of /proc; 0: there is none. */
static uint64_t process_field(pid_t pid, const char *file_name, const char *key)
{
    char path[64], line[256];
    unsigned long long number = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file_name);
    FILE *file = fopen(path, "r");

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            number = strtoull(line + strlen(key), NULL, 10);
    if (file)
        fclose(file);
    return number;
}

uint64_t server_pair_written_bytes(const struct server_pair *pair, enum test_server_kind kind)
{
    return process_field(pair->servers[kind].pid, "io", "write_bytes:");
}

uint64_t server_pair_resident_bytes(const struct server_pair *pair, enum test_server_kind kind)
{
    return process_field(pair->servers[kind].pid, "status", "VmRSS:") * 1024;
}

struct file_sums {
    uint64_t bytes;
    unsigned count;
};

static void add_files(const char *path, const char *part, struct file_sums *sums)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    struct stat status;
    char child[1024];

    while (directory && (entry = readdir(directory))) {
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.' || lstat(child, &status) != 0)
            continue;
        if (S_ISDIR(status.st_mode)) {
            add_files(child, part, sums);
        } else if (strstr(entry->d_name, part)) {
            sums->bytes += (uint64_t)status.st_size;
            sums->count++;
        }
    }
    if (directory)
        closedir(directory);
}

uint64_t server_pair_file_bytes(const struct server_pair *pair, enum test_server_kind kind,
                                const char *part)
{
    struct file_sums sums = {0};

    add_files(pair->servers[kind].data, part, &sums);
    return sums.bytes;
}

unsigned server_pair_file_count(const struct server_pair *pair, enum test_server_kind kind,
                                const char *part)
{
    struct file_sums sums = {0};

    add_files(pair->servers[kind].data, part, &sums);
    return sums.count;
}
