/* SPDX-License-Identifier: MIT */
#include "bench/engine/turn.h"

#include "base/coding.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORKERS_MAX = 64,
    QUIET_POLLS = 10,     /* so often in a row nothing happened: it is settled */
    QUIET_CPU_SHARE = 10, /* of a poll's time, which a runner's look-round does not take */
    SETTLE_SECONDS_MAX = 600,
    LINE_BYTES = 256
};

_Noreturn void engine_failed(const struct engine *engine, const char *call, const char *error)
{
    fprintf(stderr, "bench: %s: %s failed: %s\n", engine->name, call, error ? error : "?");
    _exit(1);
}

_Noreturn void turn_mismatch(const struct turn *turn, const char *what, uint64_t number)
{
    fprintf(stderr, "bench: %s: %s: number %llu is not what was written\n", turn->engine->name,
            what, (unsigned long long)number);
    _exit(1);
}

/* ---- What the process and its directory say ---------------------------------------------------- */

/* "name: 123" of a file below /proc. */
static uint64_t read_number(const char *path, const char *name)
{
    FILE *file = fopen(path, "r");
    char line[LINE_BYTES];
    uint64_t number = 0;
    size_t size = strlen(name);

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, size) == 0 && line[size] == ':')
            number = strtoull(line + size + 1, NULL, 10);
    if (file)
        fclose(file);
    return number;
}

uint64_t turn_written_bytes(void)
{
    return read_number("/proc/self/io", "wchar");
}

static uint64_t cpu_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t size = strlen(name), tail = strlen(suffix);

    return size >= tail && strcmp(name + size - tail, suffix) == 0;
}

uint64_t turn_disk_bytes(const struct turn *turn, const char *suffix)
{
    DIR *directory = opendir(turn->directory);
    uint64_t bytes = 0;
    struct dirent *entry;
    struct stat status;
    char path[1024];

    while (directory && (entry = readdir(directory))) {
        snprintf(path, sizeof path, "%s/%s", turn->directory, entry->d_name);
        if (lstat(path, &status) == 0 && S_ISREG(status.st_mode) &&
            ends_with(entry->d_name, suffix))
            bytes += (uint64_t)status.st_size;
    }
    if (directory)
        closedir(directory);
    return bytes;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- Reports ----------------------------------------------------------------------------------- */

void turn_report(struct turn *turn, const char *name, const char *measure, double value)
{
    fprintf(turn->figures, "%s\t%s\t%.17g\n", name, measure, value);
}

static void report_workers(struct turn *turn, const char *name, const struct worker *workers,
                           unsigned count, uint64_t cpu)
{
    static const struct {
        const char *measure;
        double percent;
    } percentiles[] = {
        {"p50_us", 50}, {"p95_us", 95}, {"p99_us", 99}, {"p999_us", 99.9}, {"max_us", 100}};
    struct latency *latency = memory_zeroed(1, sizeof *latency);
    uint64_t operations = 0, began = UINT64_MAX, ended = 0;

    for (unsigned i = 0; i < count; i++) {
        operations += workers[i].operations;
        began = workers[i].began_ns < began ? workers[i].began_ns : began;
        ended = workers[i].last_ns > ended ? workers[i].last_ns : ended;
        latency_merge(latency, &workers[i].latency);
    }
    turn_report(turn, name, "ops_per_s", (double)operations * 1e9 / (double)(ended - began));
    turn_report(turn, name, "cpu_us_per_op", (double)cpu / (double)(operations ? operations : 1));
    for (size_t i = 0; latency->count && i < sizeof percentiles / sizeof *percentiles; i++)
        turn_report(turn, name, percentiles[i].measure,
                    (double)latency_percentile(latency, percentiles[i].percent) * 1e-3);
    memory_free(latency);
}

/* ---- Workers ----------------------------------------------------------------------------------- */

struct crew {
    pthread_barrier_t start;
    double seconds;
};

struct member {
    struct crew *crew;
    struct worker *worker;
    worker_body *body;
    pthread_t thread;
};

static void *work(void *context)
{
    struct member *member = context;
    struct worker *worker = member->worker;

    worker->thread = worker->turn->engine->thread_create(worker->turn->db);
    pthread_barrier_wait(&member->crew->start);
    worker->began_ns = worker->last_ns = latency_clock();
    worker->deadline_ns = worker->last_ns + (uint64_t)(member->crew->seconds * 1e9);
    member->body(worker);
    worker->last_ns = latency_clock();
    worker->turn->engine->thread_destroy(worker->thread);
    return NULL;
}

static void start_member(struct member *member)
{
    int error = pthread_create(&member->thread, NULL, work, member);

    if (error) {
        fprintf(stderr, "bench: no thread: %s\n", strerror(error));
        _exit(1);
    }
}

void turn_run_beside(struct turn *turn, const char *name, unsigned count, worker_body *body,
                     worker_body *beside, bool *stopped, void *context)
{
    unsigned all = count + (beside != NULL);
    struct worker *workers = memory_zeroed(all, sizeof *workers);
    struct member *members = memory_zeroed(all, sizeof *members);
    struct crew crew = {.seconds = turn->settings->seconds};

    pthread_barrier_init(&crew.start, NULL, all + 1);
    for (unsigned i = 0; i < all; i++) {
        workers[i].turn = turn;
        workers[i].index = i;
        workers[i].count = count;
        workers[i].context = context;
        random_init(&workers[i].random, turn->settings->seed + i);
        members[i] = (struct member){&crew, &workers[i], i < count ? body : beside, 0};
        start_member(&members[i]);
    }
    uint64_t cpu = cpu_us();
    pthread_barrier_wait(&crew.start);
    for (unsigned i = 0; i < count; i++)
        pthread_join(members[i].thread, NULL);
    cpu = cpu_us() - cpu;
    if (beside) {
        __atomic_store_n(stopped, true, __ATOMIC_RELEASE);
        pthread_join(members[count].thread, NULL);
    }
    report_workers(turn, name, workers, count, cpu);
    pthread_barrier_destroy(&crew.start);
    memory_free(members);
    memory_free(workers);
}

void turn_run(struct turn *turn, const char *name, unsigned count, worker_body *body, void *context)
{
    turn_run_beside(turn, name, count, body, NULL, NULL, context);
}

/* ---- Settling ---------------------------------------------------------------------------------- */

static void wait_until_quiet(struct turn *turn)
{
    uint64_t poll_us = turn->settings->quiet_ms * 1000 / QUIET_POLLS, began = latency_clock();
    const struct timespec pause = {0, (long)poll_us * 1000};
    unsigned quiet = 0;

    while (quiet < QUIET_POLLS) {
        uint64_t cpu = cpu_us(), written = turn_written_bytes();
        nanosleep(&pause, NULL);
        bool is_quiet = turn->engine->is_idle(turn->db) &&
                        (cpu_us() - cpu) * QUIET_CPU_SHARE < poll_us &&
                        turn_written_bytes() == written;
        quiet = is_quiet ? quiet + 1 : 0;
        if (latency_clock() - began > (uint64_t)SETTLE_SECONDS_MAX * 1000000000)
            engine_failed(turn->engine, "settling", "it works on and on");
    }
}

void turn_settle(struct turn *turn)
{
    turn->engine->flush(turn->db);
    wait_until_quiet(turn);
}

void turn_compact(struct turn *turn)
{
    turn->engine->flush(turn->db);
    turn->engine->compact(turn->db);
    wait_until_quiet(turn);
}

/* ---- Keys -------------------------------------------------------------------------------------- */

/* Four rounds over two halves of `bits` bits each. */
static uint64_t scramble(uint64_t value, unsigned bits)
{
    uint64_t mask = ((uint64_t)1 << bits) - 1, left = value >> bits, right = value & mask;

    for (uint64_t round = 1; round <= 4; round++) {
        uint64_t mixed = (right + round) * 0x9e3779b97f4a7c15;
        mixed = (mixed ^ mixed >> 29) * 0xbf58476d1ce4e5b9;
        uint64_t next = left ^ (mixed >> 20 & mask);
        left = right;
        right = next;
    }
    return left << bits | right;
}

uint64_t turn_shuffled(uint64_t index, uint64_t count)
{
    unsigned bits = 1;

    while ((uint64_t)1 << (2 * bits) < count)
        bits++;
    do
        index = scramble(index, bits);
    while (index >= count);
    return index;
}

struct slice turn_key(uint64_t number, uint8_t key[TURN_KEY_BYTES])
{
    be64_store(key, number);
    memset(key + 8, '0', TURN_KEY_BYTES - 8);
    return slice_make(key, TURN_KEY_BYTES);
}

/* ---- The process ------------------------------------------------------------------------------- */

static _Noreturn void run_child(const struct engine *engine, const struct engine_options *options,
                                const struct turn_settings *settings,
                                void (*cases)(struct turn *turn), int pipe_end)
{
    struct turn turn = {.engine = engine,
                        .settings = settings,
                        .directory = options->directory,
                        .figures = fdopen(pipe_end, "w")};
    uint64_t before = read_number("/proc/self/status", "VmRSS");

    if (!turn.figures)
        _exit(1);
    turn.db = engine->open(options);
    cases(&turn);
    engine->close(turn.db);
    turn_report(&turn, "all", "peak_rss_mib",
                (double)(read_number("/proc/self/status", "VmHWM") - before) / 1024);
    _exit(fclose(turn.figures) == 0 ? 0 : 1);
}

static bool take_figures(FILE *pipe, struct results *results, const char *suite,
                         const char *subject, const char *name_suffix, unsigned round)
{
    char line[LINE_BYTES], name[LINE_BYTES + 32];

    while (fgets(line, sizeof line, pipe)) {
        char *measure = strchr(line, '\t'), *value = measure ? strchr(measure + 1, '\t') : NULL;
        if (!value)
            return false;
        *measure++ = 0;
        *value++ = 0;
        snprintf(name, sizeof name, "%s%s", line, name_suffix);
        results_add(results, suite, name, subject, measure, round, strtod(value, NULL));
    }
    return true;
}

bool turn_take(const struct engine *engine, const struct engine_options *options,
               const struct turn_settings *settings, void (*cases)(struct turn *turn),
               struct results *results, const char *suite, const char *name_suffix, unsigned round)
{
    int ends[2], status;

    remove_tree(options->directory);
    fflush(NULL);
    if (mkdir(options->directory, 0700) != 0 || pipe(ends) != 0) {
        fprintf(stderr, "bench: %s: %s\n", options->directory, strerror(errno));
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_child(engine, options, settings, cases, ends[1]);
    }
    close(ends[1]);
    FILE *pipe = fdopen(ends[0], "r");
    bool ok =
        child > 0 && pipe && take_figures(pipe, results, suite, engine->name, name_suffix, round);
    if (pipe)
        fclose(pipe);
    ok = child > 0 && waitpid(child, &status, 0) == child && ok && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
    if (!ok)
        fprintf(stderr, "bench: the turn of %s in %s failed\n", engine->name, suite);
    remove_tree(options->directory);
    sync(); /* what it left to be written is not the next one's load */
    return ok;
}
