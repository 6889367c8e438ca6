/* SPDX-License-Identifier: MIT */
/* The real server under many clients, killed, stopped, paused and started again with other options;
 * what it must hold is kept outside of it (after RocksDB's db_crashtest).
 *
 *      a life:  start | compare everything, DEBUG INVARIANTS | load | SIGKILL, SIGTERM or SHUTDOWN
 * | perhaps `cordwood verify` | perhaps killed again while it recovers
 *
 * Load is: clients with keys of their own whose every reply is known (stress_client.h), writers and
 * readers of shared keys (stress_shared.h), clients that wait for elements (stress_waiters.h), an administrator and visitors (stress_guests.h).
 * Memtables, caches and segments are small, so that flush, compaction and cold reads always run.
 *
 * TIME= seconds, CLIENTS=, SEED=. On a failure the data directory, the server's log and the
 * expected state stay; where, is printed. */
#include "lib/seed.h"
#include "lib/test_server.h"
#include "stress/stress_client.h"
#include "stress/stress_guests.h"
#include "stress/stress_shared.h"
#include "stress/stress_waiters.h"

#include "base/memory.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    OPERATIONS_EXPECTED =
        40000, /* of a run that must have sent every command and met compactions */
    CLIENTS = 6,
    CLIENTS_MAX = 200,
    LIVES_BETWEEN_FLUSHES =
        6, /* then FLUSHALL, so that comparing stays quick and the disk bounded */
    LOAD_MS_MIN = 150,
    RECOVERY_MS_MAX = 25,
    FLAGS_MAX = 32,
};
#if defined(__SANITIZE_THREAD__)
enum { TIME_SECONDS = 18, LOAD_MS_MAX = 2500 };
#elif defined(__SANITIZE_ADDRESS__)
enum { TIME_SECONDS = 25, LOAD_MS_MAX = 1500 };
#else
enum { TIME_SECONDS = 15, LOAD_MS_MAX = 1000 };
#endif

enum ending { END_KILL, END_KILL_IDLE, END_TERM, END_SHUTDOWN, ENDINGS };

struct run {
    struct test_server server;
    struct stress_life life;
    struct random random;
    size_t client_count;
    struct stress_client *clients;
    struct stress_shared shared;
    struct shared_thread writers[SHARED_WRITERS], readers[SHARED_READERS];
    struct stress_guests administrator, visitor;
    struct stress_waiters waiters;
    atomic_ulong sent[OP_COUNT];
    bool has_password;
    /* Counts. */
    uint64_t lives, endings[ENDINGS], recovery_kills, pauses, verified, flushed_all;
    uint64_t in_flight, happened, cut_lives; /* with operations under way at its end */
    uint64_t replays;
    uint64_t shutdowns_answered;
};

static const char *const password = "stress-password";

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(uint64_t ms)
{
    struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000 * 1000000)};
    nanosleep(&time, NULL);
}

static unsigned long number_from(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

/* ---- Failures -------------------------------------------------------------------------------- */

/* What must be on the server now, for whoever looks at a failed run. */
static void write_expected(const struct run *run)
{
    char path[TEMP_DIRECTORY_BYTES + 32];
    snprintf(path, sizeof(path), "%s/expected.txt", run->server.directory);
    FILE *file = fopen(path, "w");
    if (!file)
        return;
    for (size_t i = 0; i < run->client_count; i++) {
        const struct stress_client *client = &run->clients[i];
        fprintf(file, "client %zu\n", i);
        model_print(&client->model, file);
        fprintf(file, "not answered, in this order:\n");
        for (size_t j = client->answered; j < client->pending_count; j++)
            operation_print(&client->pending[j], file);
    }
    fclose(file);
}

static void print_log_end(const struct run *run)
{
    struct buffer log = {0};
    test_server_read_log(&run->server, &log);
    struct slice end = buffer_slice(&log);
    if (end.size > 12000)
        end = slice_skip(end, end.size - 12000);
    printf("---- end of the server's log\n%.*s\n", (int)end.size, (const char *)end.data);
    buffer_release(&log);
}

static _Noreturn void give_up(struct run *run, const char *what)
{
    printf("FAILED in life %" PRIu64 ": %s\n", run->lives, what);
    for (size_t i = 0; i < run->client_count; i++)
        if (run->clients[i].has_failed)
            printf("%.*s\n", (int)run->clients[i].failure.size,
                   (const char *)run->clients[i].failure.data);
    if (run->shared.has_failed)
        printf("%.*s\n", (int)run->shared.failure.size, (const char *)run->shared.failure.data);
    if (run->administrator.has_failed)
        printf("%.*s\n", (int)run->administrator.failure.size,
               (const char *)run->administrator.failure.data);
    if (run->waiters.has_failed)
        printf("%.*s\n", (int)run->waiters.failure.size, (const char *)run->waiters.failure.data);
    if (run->visitor.has_failed)
        printf("%.*s\n", (int)run->visitor.failure.size, (const char *)run->visitor.failure.data);
    print_log_end(run);
    if (run->server.pid > 0)
        test_server_kill(&run->server);
    printf("Kept: %s with data/, server.log, expected.txt (the expected state before the last "
           "check).\nLook: build/cordwood verify %s; build/cordwood-server --dir %s --port 7777 "
           "--json-port 0\nAgain: make stress SEED=%llu\n",
           run->server.directory, run->server.data, run->server.data,
           (unsigned long long)test_seed());
    fflush(stdout);
    exit(1);
}

/* A server that ends by itself, at an assertion or at a sanitizer's finding, is no killed one. */
static bool is_running(struct run *run)
{
    int status;
    if (run->server.pid > 0 && waitpid(run->server.pid, &status, WNOHANG) != 0)
        run->server.pid = 0;
    return run->server.pid > 0;
}

static void expect_running(struct run *run)
{
    if (!is_running(run))
        give_up(run, "the server has ended by itself");
}

/* ---- Start, check ---------------------------------------------------------------------------- */

struct flags {
    const char *texts[FLAGS_MAX];
    size_t count;
    char databases[16];
};

static void add_flag(struct flags *flags, const char *name, const char *value)
{
    flags->texts[flags->count++] = name;
    flags->texts[flags->count++] = value;
}

static const char *any(struct run *run, const char *const *choices, size_t count)
{
    return choices[random_below(&run->random, count)];
}
#define ANY(run, ...)                            \
    any(run, (const char *const[]){__VA_ARGS__}, \
        sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static void choose_flags(struct run *run, struct flags *flags)
{
    *flags = (struct flags){.count = 0};
    snprintf(flags->databases, sizeof(flags->databases), "%zu", 1 + 2 * run->client_count);
    add_flag(flags, "--databases", flags->databases);
    add_flag(flags, "--appendfsync", ANY(run, "always", "everysec", "no"));
    add_flag(flags, "--memtable-size", ANY(run, "1mb", "1mb", "2mb", "4mb"));
    add_flag(flags, "--block-cache-size", ANY(run, "1mb", "2mb"));
    add_flag(flags, "--wal-segment-size", ANY(run, "1mb", "1mb", "2mb", "4mb"));
    add_flag(flags, "--io-threads", ANY(run, "1", "2"));
    add_flag(flags, "--worker-threads", ANY(run, "1", "2", "4"));
    add_flag(flags, "--background-threads", ANY(run, "1", "2"));
    run->has_password = random_below(&run->random, 4) == 0;
    if (run->has_password)
        add_flag(flags, "--requirepass", password);
    run->life.password = run->has_password ? password : NULL;
}

static void start(struct run *run)
{
    struct flags flags;
    while (random_below(&run->random, 4) == 0) { /* killed while it recovers */
        choose_flags(run, &flags);
        test_server_spawn(&run->server, flags.texts);
        pause_ms(random_below(&run->random, RECOVERY_MS_MAX));
        expect_running(run);
        run->recovery_kills += access(run->server.socket, F_OK) != 0; /* it does not listen yet */
        test_server_kill(&run->server);
    }
    choose_flags(run, &flags);
    test_server_spawn(&run->server, flags.texts);
    if (!test_server_wait_ready(&run->server))
        give_up(run, "the server does not start");
    run->lives++;
}

static void ask_for_invariants(struct run *run)
{
    struct resp_client connection;
    struct resp_reply reply = {0};
    bool is_fine = stress_connect(&run->life, false, false, &connection) &&
                   resp_client_call(&connection, &reply, "DEBUG", "INVARIANTS") &&
                   resp_reply_is(&reply, "+OK");
    if (!is_fine) {
        printf("DEBUG INVARIANTS: %.*s\n", (int)reply.text.size, (const char *)reply.text.data);
        give_up(run, "invariants");
    }
    resp_reply_release(&reply);
    if (resp_client_call(&connection, &reply, "INFO", "cordwood"))
        run->replays += info_number(&reply.text, "recovered_batches") > 0;
    resp_reply_release(&reply);
    resp_client_close(&connection);
}

static void check_everything(struct run *run)
{
    uint64_t in_flight = 0;
    write_expected(run);
    for (size_t i = 0; i < run->client_count; i++) {
        size_t of_client, happened;
        if (!stress_client_check(&run->clients[i], &of_client, &happened))
            give_up(run, "a client's keys");
        in_flight += of_client;
        run->happened += happened;
    }
    run->in_flight += in_flight;
    run->cut_lives += in_flight > 0;
    if (!stress_shared_check(&run->shared))
        give_up(run, "shared keys");
    if (!stress_waiters_check(&run->waiters))
        give_up(run, "what waiters left");
    ask_for_invariants(run);
}

/* Deleted is deleted: nothing of it may come back after a kill. */
static void flush_all(struct run *run)
{
    struct resp_client connection;
    struct resp_reply reply = {0};
    bool is_fine = stress_connect(&run->life, false, false, &connection) &&
                   resp_client_call(&connection, &reply, "FLUSHALL") &&
                   resp_reply_is(&reply, "+OK");
    resp_reply_release(&reply);
    resp_client_close(&connection);
    if (!is_fine)
        give_up(run, "FLUSHALL");
    for (size_t i = 0; i < run->client_count; i++)
        model_clear(&run->clients[i].model);
    if (!stress_shared_begin(&run->shared, run->readers))
        give_up(run, "FLUSHALL");
    run->flushed_all++;
}

/* ---- Load ------------------------------------------------------------------------------------ */

struct threads {
    pthread_t ids[CLIENTS_MAX + SHARED_WRITERS + SHARED_READERS + 3];
    size_t count;
};

static void launch(struct run *run, struct threads *threads, void *(*body)(void *), void *context)
{
    if (pthread_create(&threads->ids[threads->count], NULL, body, context) != 0)
        give_up(run, "no thread could be started");
    threads->count++;
}

static void start_load(struct run *run, struct threads *threads)
{
    atomic_store(&run->life.is_ending, false);
    atomic_store(&run->life.must_stop, false);
    threads->count = 0;
    for (size_t i = 0; i < run->client_count; i++)
        launch(run, threads, stress_client_run, &run->clients[i]);
    for (size_t i = 0; i < SHARED_WRITERS; i++)
        launch(run, threads, stress_shared_write, &run->writers[i]);
    for (size_t i = 0; i < SHARED_READERS; i++)
        launch(run, threads, stress_shared_read, &run->readers[i]);
    launch(run, threads, stress_administrate, &run->administrator);
    launch(run, threads, stress_visit, &run->visitor);
    launch(run, threads, stress_wait, &run->waiters);
}

static void join(struct threads *threads)
{
    for (size_t i = 0; i < threads->count; i++)
        pthread_join(threads->ids[i], NULL);
    threads->count = 0;
}

/* For a random time, or until something fails; now and then the server stands still for a while. */
static void let_it_run(struct run *run)
{
    uint64_t ms = LOAD_MS_MIN + random_below(&run->random, LOAD_MS_MAX - LOAD_MS_MIN);
    int64_t until = monotonic_ms() + (int64_t)ms;
    bool pauses = random_below(&run->random, 3) == 0;
    while (monotonic_ms() < until && !atomic_load(&run->life.has_failed)) {
        pause_ms(5 + random_below(&run->random, 20));
        if (!pauses || random_below(&run->random, 10))
            continue;
        kill(run->server.pid, SIGSTOP);
        pause_ms(random_below(&run->random, 150));
        if (random_below(&run->random, 4) || ms % 2)
            kill(run->server.pid, SIGCONT);
        else
            return; /* it ends while it stands still */
        run->pauses++;
    }
}

static void ask_to_shut_down(struct run *run)
{
    struct resp_client connection;
    struct resp_reply reply = {0};
    const char *option = ANY(run, "SAVE", "NOSAVE", "NOW", "FORCE");
    if (!stress_connect(&run->life, false, false, &connection))
        give_up(run, "no connection for SHUTDOWN");
    if (resp_client_call(&connection, &reply, "SHUTDOWN", option)) /* success has no reply */
        run->shutdowns_answered++;
    resp_reply_release(&reply);
    resp_client_close(&connection);
}

/* true: it was a clean stop. */
static bool end_life(struct run *run, struct threads *threads)
{
    enum ending ending = (enum ending)random_below(&run->random, ENDINGS + 3);
    if (ending >= ENDINGS)
        ending = END_KILL;
    if (!is_running(run) || atomic_load(&run->life.has_failed)) {
        if (run->server.pid > 0)
            kill(run->server.pid, SIGCONT);
        atomic_store(&run->life.must_stop, true);
        join(threads);
        expect_running(run);
        give_up(run, "under load");
    }
    run->endings[ending]++;
    bool is_clean = ending == END_TERM || ending == END_SHUTDOWN;
    if (ending != END_KILL)
        kill(run->server.pid, SIGCONT);
    if (ending == END_KILL_IDLE) {
        atomic_store(&run->life.must_stop, true);
        join(threads);
        expect_running(run);
    }
    atomic_store(&run->life.is_ending, true);
    if (!is_clean) {
        test_server_kill(&run->server);
    } else {
        if (ending == END_SHUTDOWN)
            ask_to_shut_down(run);
        else
            kill(run->server.pid, SIGTERM);
        int code = test_server_wait(&run->server);
        if (code != 0) {
            printf("exit code %d\n", code);
            atomic_store(&run->life.must_stop, true);
            join(threads);
            give_up(run, "a clean stop");
        }
    }
    atomic_store(&run->life.must_stop, true);
    join(threads);
    if (atomic_load(&run->life.has_failed))
        give_up(run, "under load");
    return is_clean;
}

static void verify(struct run *run)
{
    char program[4096], command[8192];
    test_server_find_program(program, sizeof(program));
    char *end = strstr(program, "-server");
    while (end && strstr(end + 1, "-server"))
        end = strstr(end + 1, "-server");
    if (end)
        *end = 0; /* build/cordwood */
    snprintf(command, sizeof(command), "'%s' verify '%s' >>'%s' 2>&1", program, run->server.data,
             run->server.log);
    if (system(command) != 0)
        give_up(run, "cordwood verify found damage");
    run->verified++;
}

static void live(struct run *run)
{
    struct threads threads;
    start_load(run, &threads);
    let_it_run(run);
    bool is_clean = end_life(run, &threads);
    if (is_clean || random_below(&run->random, 3) == 0)
        verify(run);
}

/* ---- All of it ------------------------------------------------------------------------------- */

static void init(struct run *run)
{
    random_init(&run->random, test_seed());
    test_server_init(&run->server, SERVER_CORDWOOD);
    run->life.socket = run->server.socket;
    run->life.json_socket = run->server.json_socket;
    run->life.data = run->server.data;
    run->life.sent = run->sent;
    run->client_count = number_from("CLIENTS", CLIENTS);
    if (run->client_count < 1 || run->client_count > CLIENTS_MAX)
        run->client_count = CLIENTS;
    run->clients = memory_zeroed(run->client_count, sizeof(*run->clients));
    for (size_t i = 0; i < run->client_count; i++)
        stress_client_init(&run->clients[i], (unsigned)i, random_next(&run->random), &run->life);
    stress_shared_init(&run->shared, &run->life);
    for (unsigned i = 0; i < SHARED_WRITERS; i++) {
        run->writers[i] = (struct shared_thread){.shared = &run->shared, .id = i};
        random_init(&run->writers[i].random, random_next(&run->random));
    }
    for (unsigned i = 0; i < SHARED_READERS; i++) {
        run->readers[i] = (struct shared_thread){.shared = &run->shared, .id = i};
        random_init(&run->readers[i].random, random_next(&run->random));
    }
    run->administrator.life = run->visitor.life = &run->life;
    random_init(&run->administrator.random, random_next(&run->random));
    random_init(&run->visitor.random, random_next(&run->random));
    run->waiters.life = &run->life;
    random_init(&run->waiters.random, random_next(&run->random));
}

static void release(struct run *run)
{
    test_server_release(&run->server);
    for (size_t i = 0; i < run->client_count; i++)
        stress_client_release(&run->clients[i]);
    memory_free(run->clients);
    stress_shared_release(&run->shared);
    buffer_release(&run->administrator.failure);
    buffer_release(&run->visitor.failure);
    stress_waiters_release(&run->waiters);
}

static uint64_t operation_count(const struct run *run)
{
    uint64_t count = run->shared.operations + run->administrator.commands;
    for (size_t i = 0; i < run->client_count; i++)
        count += run->clients[i].operations;
    return count;
}

static void report(const struct run *run)
{
    uint64_t connections[WIRE_COUNT] = {0};
    for (size_t i = 0; i < run->client_count; i++) {
        for (int w = 0; w < WIRE_COUNT; w++)
            connections[w] += run->clients[i].connections[w];
    }
    printf("ran: %" PRIu64 " commands checked (%" PRIu64
           " of the administrator), connections: %" PRIu64 " RESP2, %" PRIu64 " RESP3, %" PRIu64
           " inline, %" PRIu64 " JSON, %" PRIu64 " visitors, %" PRIu64 " talks\n",
           operation_count(run), run->administrator.commands, connections[WIRE_RESP2],
           connections[WIRE_RESP3], connections[WIRE_INLINE], connections[WIRE_JSON],
           run->visitor.visits, run->visitor.talks);
    printf("ran: %" PRIu64 " lives: %" PRIu64 " ended by SIGKILL under load, %" PRIu64
           " idle, %" PRIu64 " by SIGTERM, %" PRIu64 " by SHUTDOWN; %" PRIu64
           " killed while recovering, %" PRIu64 " pauses, %" PRIu64 " starts replayed the log\n",
           run->lives, run->endings[END_KILL], run->endings[END_KILL_IDLE], run->endings[END_TERM],
           run->endings[END_SHUTDOWN], run->recovery_kills, run->pauses, run->replays);
    printf("ran: %" PRIu64 " operations were under way at an end (in %" PRIu64 " lives), %" PRIu64
           " of them had happened; %" PRIu64 " times FLUSHALL, %" PRIu64 " times cordwood verify\n",
           run->in_flight, run->cut_lives, run->happened, run->flushed_all, run->verified);
    printf("ran: transactions of the pair %" PRIu64 ", stopped by WATCH %" PRIu64 "\n",
           run->shared.raises, run->shared.raises_in_vain);
    printf("ran: groups popped %" PRIu64 ", entries read by blocked readers %" PRIu64
           ", elements brought to waiters %" PRIu64 ", %" PRIu64
           " of them unblocked; under load: %" PRIu64 " flushes, %" PRIu64 " compactions, %" PRIu64
           " blocks read\n",
           run->shared.groups_popped, run->shared.entries_read, run->waiters.served,
           run->waiters.unblocked, run->administrator.flushes, run->administrator.compactions,
           run->administrator.block_reads);
}

/* A run that did not do what it is for is a failure, too; one that the machine gave hardly any time can
 * be asked less. */
static void expect_enough(struct run *run)
{
    static const char *const others[] = {"flushall", "shutdown", "quit", "reset", NULL};
    struct buffer missing = {0};
    bool was_long = operation_count(run) >= OPERATIONS_EXPECTED;
    if (!stress_covers_all(&run->life, others, was_long, &missing)) {
        printf("no operation sends%.*s\n", (int)missing.size, (const char *)missing.data);
        give_up(run, "commands that the stress does not know");
    }
    buffer_release(&missing);
    if (was_long && (run->administrator.compactions == 0 || run->administrator.flushes == 0))
        give_up(run, "no compaction ran under load");
    if (was_long && (run->shared.raises == 0 || run->shared.raises_in_vain == 0))
        give_up(run, "no transaction, or none that WATCH has stopped");
    if (was_long && run->visitor.talks == 0)
        give_up(run, "no talk came to its end");
    if (was_long && (run->waiters.served == 0 || run->waiters.unblocked == 0))
        give_up(run, "nobody has waited");
}

int main(void)
{
    static struct run run;
    signal(SIGPIPE, SIG_IGN);
    setenv("TSAN_OPTIONS", "halt_on_error=1", 0); /* a server with a race ends at once */
    int64_t until = monotonic_ms() + (int64_t)number_from("TIME", TIME_SECONDS) * 1000;
    init(&run);
    printf("%zu clients in %s\n", run.client_count, run.server.directory);
    fflush(stdout);
    start(&run);
    if (!stress_shared_begin(&run.shared, run.readers))
        give_up(&run, "the beginning");
    while (monotonic_ms() < until || run.lives < 3) {
        live(&run);
        start(&run);
        check_everything(&run);
        if (run.lives % LIVES_BETWEEN_FLUSHES == 0)
            flush_all(&run);
    }
    report(&run);
    expect_enough(&run);
    if (test_server_stop(&run.server) != 0)
        give_up(&run, "the last stop");
    verify(&run);
    release(&run);
    return 0;
}
