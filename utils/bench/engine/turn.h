/* SPDX-License-Identifier: MIT */
/* One engine's turn: a child process, so that its memory, I/O counters and threads are its own, with a
 * database of its own in an empty directory. Its figures go to the parent through a pipe. */
#ifndef BENCH_ENGINE_TURN_H
#define BENCH_ENGINE_TURN_H

#include "bench/engine/engine.h"
#include "bench/latency.h"
#include "bench/results.h"
#include "bench/values.h"
#include "bench/ycsb.h"

#include <stdio.h>

enum { TURN_KEY_BYTES = 16, TURN_VALUE_BYTES = 100 };

struct turn_settings {
    uint64_t entries;      /* of the cases that fill; even */
    uint64_t records;      /* of YCSB */
    double seconds;        /* a case that runs for a time */
    uint64_t writes_per_s; /* beside the readers of readwhilewriting */
    unsigned quiet_ms;     /* nothing happens for so long: the background has come to rest */
    uint64_t seed;
    struct values values;
    struct ycsb_texts texts;
};

/* As the cases see it. */
struct turn {
    const struct engine *engine;
    const struct turn_settings *settings;
    const char *directory;
    struct engine_db *db;
    FILE *figures; /* to the parent */
};

/* Runs `cases` in a child and adds what it measured under `suite` and `round`; names of cases get
 * `name_suffix`. The directory is emptied before and after. false: the child failed, and said why. */
bool turn_take(const struct engine *engine, const struct engine_options *options,
               const struct turn_settings *settings, void (*cases)(struct turn *turn),
               struct results *results, const char *suite, const char *name_suffix, unsigned round);

/* ---- In the child ------------------------------------------------------------------------------ */

void turn_report(struct turn *turn, const char *name, const char *measure, double value);
/* A value that was read is not what was written. */
_Noreturn void turn_mismatch(const struct turn *turn, const char *what, uint64_t number);

struct worker {
    struct turn *turn;
    struct engine_thread *thread;
    unsigned index; /* 0 .. count-1 */
    unsigned count; /* of workers */
    struct random random;
    void *context;
    struct latency latency;
    uint64_t operations;
    uint64_t began_ns, last_ns, deadline_ns;
};

/* An operation is over: its latency is the time since the one before ended. */
static inline void worker_done(struct worker *worker)
{
    uint64_t now = latency_clock();

    latency_record(&worker->latency, now - worker->last_ns);
    worker->last_ns = now;
    worker->operations++;
}

/* For cases that run for a time. */
static inline bool worker_goes_on(const struct worker *worker)
{
    return worker->last_ns < worker->deadline_ns;
}

typedef void worker_body(struct worker *worker);

/* Runs `body` in `count` threads at once and reports ops_per_s, cpu_us_per_op and, if the body used
 * worker_done, the percentiles. */
void turn_run(struct turn *turn, const char *name, unsigned count, worker_body *body,
              void *context);
/* The same, with a second body in one more thread, whose operations are not reported; it ends when
 * the others do: *stopped becomes true. */
void turn_run_beside(struct turn *turn, const char *name, unsigned count, worker_body *body,
                     worker_body *beside, bool *stopped, void *context);

/* Flushes, and returns when neither the engine nor the process does anything more. */
void turn_settle(struct turn *turn);
/* Merges everything, and settles. */
void turn_compact(struct turn *turn);

/* Bytes that the process has given to write(2) so far: log, tables, manifest. */
uint64_t turn_written_bytes(void);
/* Of the files with that suffix; "": of all. */
uint64_t turn_disk_bytes(const struct turn *turn, const char *suffix);

/* An order of 0 .. count-1 that looks random; every number comes once (a Feistel network that walks
 * until it is in range). */
uint64_t turn_shuffled(uint64_t index, uint64_t count);

/* 8 bytes of the number, big-endian, then '0's, as RocksDB's db_bench does. */
struct slice turn_key(uint64_t number, uint8_t key[TURN_KEY_BYTES]);

#endif
