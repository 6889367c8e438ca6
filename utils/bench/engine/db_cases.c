/* SPDX-License-Identifier: MIT */
/* What db_bench does: 16-byte keys, values of 100 bytes that compress to half. A key's value follows from
 * its number, also when it is overwritten, so every value read is compared. */
#include "bench/engine/cases.h"

enum { HOT_SHARE = 100, SEEK_NEXTS = 10, PAIRS = 100 };

static struct slice value_of(const struct worker *worker, uint64_t number)
{
    return values_half(&worker->turn->settings->values, number, TURN_VALUE_BYTES);
}

static uint64_t random_number(struct worker *worker)
{
    return random_below(&worker->random, worker->turn->settings->entries);
}

static void put(struct worker *worker, uint64_t number, bool sync)
{
    uint8_t key[TURN_KEY_BYTES];

    worker->turn->engine->put(worker->thread, ENGINE_KEYS, turn_key(number, key),
                              value_of(worker, number), sync);
}

/* ---- Writes ------------------------------------------------------------------------------------ */

static void fill_in_order(struct worker *worker)
{
    for (uint64_t i = 0; i < worker->turn->settings->entries; i++) {
        put(worker, i, false);
        worker_done(worker);
    }
}

static void fill_at_random(struct worker *worker)
{
    uint64_t entries = worker->turn->settings->entries;

    for (uint64_t i = 0; i < entries; i++) {
        put(worker, turn_shuffled(i, entries), false);
        worker_done(worker);
    }
}

static void overwrite(struct worker *worker)
{
    for (uint64_t i = 0; i < worker->turn->settings->entries; i++) {
        put(worker, random_number(worker), false);
        worker_done(worker);
    }
}

/* 100 at a time; an operation is one pair. */
static void overwrite_in_batches(struct worker *worker)
{
    uint8_t keys[PAIRS][TURN_KEY_BYTES];
    struct engine_pair pairs[PAIRS];

    while (worker_goes_on(worker)) {
        for (size_t i = 0; i < PAIRS; i++) {
            uint64_t number = random_number(worker);
            pairs[i] = (struct engine_pair){turn_key(number, keys[i]), value_of(worker, number)};
        }
        worker->turn->engine->put_many(worker->thread, ENGINE_KEYS, pairs, PAIRS, false);
        worker_done(worker);
        worker->operations += PAIRS - 1;
    }
}

static void fill_synced(struct worker *worker)
{
    while (worker_goes_on(worker)) {
        put(worker, random_number(worker), true);
        worker_done(worker);
    }
}

/* Every other key, in random order. */
static void remove_half(struct worker *worker)
{
    uint64_t half = worker->turn->settings->entries / 2;
    uint8_t key[TURN_KEY_BYTES];

    for (uint64_t i = 0; i < half; i++) {
        worker->turn->engine->remove(worker->thread, ENGINE_KEYS,
                                     turn_key(2 * turn_shuffled(i, half), key), false);
        worker_done(worker);
    }
}

/* ---- Reads ------------------------------------------------------------------------------------- */

static void read_one(struct worker *worker, uint64_t number)
{
    const struct engine *engine = worker->turn->engine;
    uint8_t key[TURN_KEY_BYTES];
    struct slice value;

    if (!engine->get(worker->thread, ENGINE_KEYS, turn_key(number, key), &value) ||
        !slice_equal(value, value_of(worker, number)))
        turn_mismatch(worker->turn, "get", number);
    engine->get_end(worker->thread);
}

static void read_at_random(struct worker *worker)
{
    while (worker_goes_on(worker)) {
        read_one(worker, random_number(worker));
        worker_done(worker);
    }
}

/* The hundredth part of the keys that stands first. */
static void read_hot(struct worker *worker)
{
    uint64_t hot = worker->turn->settings->entries / HOT_SHARE + 1;

    while (worker_goes_on(worker)) {
        read_one(worker, random_below(&worker->random, hot));
        worker_done(worker);
    }
}

/* Keys between those that are there. */
static void read_missing(struct worker *worker)
{
    const struct engine *engine = worker->turn->engine;
    uint8_t key[TURN_KEY_BYTES];
    struct slice value;

    while (worker_goes_on(worker)) {
        uint64_t number = random_number(worker);
        turn_key(number, key);
        key[TURN_KEY_BYTES - 1] = '.';
        if (engine->get(worker->thread, ENGINE_KEYS, slice_make(key, sizeof key), &value))
            turn_mismatch(worker->turn, "a missing key", number);
        engine->get_end(worker->thread);
        worker_done(worker);
    }
}

/* Whole scans until the time is over, at least one; an operation is an entry. The entries that there must
 * be are every `step`th, from the first or the last on. */
static void scan(struct worker *worker, uint64_t first, uint64_t step, uint64_t expected)
{
    const struct engine *engine = worker->turn->engine;
    bool forward = step < UINT64_MAX / 2;

    do {
        struct engine_iter *iter = engine->iter_open(worker->thread, ENGINE_KEYS,
                                                     &(struct engine_range){.keep_cache = true});
        uint64_t count = 0, number = first;
        for (forward ? engine->iter_first(iter) : engine->iter_last(iter); engine->iter_valid(iter);
             forward ? engine->iter_next(iter) : engine->iter_prev(iter)) {
            uint8_t key[TURN_KEY_BYTES];
            if (!slice_equal(engine->iter_key(iter), turn_key(number, key)) ||
                !slice_equal(engine->iter_value(iter), value_of(worker, number)))
                turn_mismatch(worker->turn, "scan", number);
            count++;
            number += step;
        }
        engine->iter_close(iter);
        if (count != expected)
            turn_mismatch(worker->turn, "end of a scan", count);
        worker->operations += count;
        worker->last_ns = latency_clock();
    } while (worker_goes_on(worker));
}

static void scan_forward(struct worker *worker)
{
    scan(worker, 0, 1, worker->turn->settings->entries);
}

static void scan_backward(struct worker *worker)
{
    uint64_t entries = worker->turn->settings->entries;

    scan(worker, entries - 1, (uint64_t)-1, entries);
}

/* What remove_half has left: the odd ones, as the number of entries is even. */
static void scan_rest(struct worker *worker)
{
    uint64_t entries = worker->turn->settings->entries;

    scan(worker, 1, 2, entries / 2);
}

/* A new iterator, a seek and the entries behind. */
static void seek_at_random(struct worker *worker)
{
    const struct engine *engine = worker->turn->engine;
    uint64_t entries = worker->turn->settings->entries;

    while (worker_goes_on(worker)) {
        uint8_t key[TURN_KEY_BYTES];
        uint64_t first = random_number(worker), number = first;
        struct engine_iter *iter = engine->iter_open(worker->thread, ENGINE_KEYS,
                                                     &(struct engine_range){.keep_cache = false});
        engine->iter_seek(iter, turn_key(first, key));
        for (; number < entries && number <= first + SEEK_NEXTS; number++) {
            if (!engine->iter_valid(iter) ||
                !slice_equal(engine->iter_key(iter), turn_key(number, key)) ||
                !slice_equal(engine->iter_value(iter), value_of(worker, number)))
                turn_mismatch(worker->turn, "seek", number);
            engine->iter_next(iter);
        }
        engine->iter_close(iter);
        worker_done(worker);
    }
}

/* Writes at an even pace until told to stop: all engines' readers meet the same load. */
static void write_evenly(struct worker *worker)
{
    const bool *stopped = worker->context;
    double per_ms = (double)worker->turn->settings->writes_per_s / 1000, owed = 0;
    const struct timespec pause = {0, 1000000};

    while (!__atomic_load_n(stopped, __ATOMIC_ACQUIRE)) {
        uint64_t now = latency_clock();
        owed += (double)(now - worker->last_ns) * 1e-6 * per_ms;
        worker->last_ns = now;
        for (; owed >= 1; owed--)
            put(worker, random_number(worker), false);
        nanosleep(&pause, NULL);
    }
}

/* ---- Sizes ------------------------------------------------------------------------------------- */

/* Reports what was written for each byte given since `before`, all background work included. */
static void report_amplification(struct turn *turn, const char *name, uint64_t before,
                                 uint64_t puts)
{
    turn_report(turn, name, "write_amplification",
                (double)(turn_written_bytes() - before) /
                    (double)(puts * (TURN_KEY_BYTES + TURN_VALUE_BYTES)));
}

/* Table bytes at rest, against those when everything is merged; leaves everything merged. */
static uint64_t report_space(struct turn *turn, const char *name)
{
    uint64_t at_rest = turn_disk_bytes(turn, turn->engine->table_suffix);

    turn_compact(turn);
    uint64_t merged = turn_disk_bytes(turn, turn->engine->table_suffix);
    turn_report(turn, name, "space_amplification", (double)at_rest / (double)merged);
    return merged;
}

void cases_in_order(struct turn *turn)
{
    uint64_t entries = turn->settings->entries, before = turn_written_bytes();

    turn_run(turn, "fillseq", 1, fill_in_order, NULL);
    turn_settle(turn);
    report_amplification(turn, "fillseq", before, entries);
    turn_run(turn, "readseq", 1, scan_forward, NULL);
    turn_run(turn, "readreverse", 1, scan_backward, NULL);
    uint64_t merged = report_space(turn, "fillseq");
    turn_report(turn, "fillseq", "bytes_per_entry", (double)merged / (double)entries);
    turn_report(turn, "fillseq", "all_bytes_per_entry",
                (double)turn_disk_bytes(turn, "") / (double)entries);
}

void cases_at_random(struct turn *turn)
{
    uint64_t entries = turn->settings->entries, before = turn_written_bytes();
    bool stopped = false;

    turn_run(turn, "fillrandom", 1, fill_at_random, NULL);
    turn_settle(turn);
    report_amplification(turn, "fillrandom", before, entries);
    before = turn_written_bytes();
    turn_run(turn, "overwrite", 1, overwrite, NULL);
    turn_settle(turn);
    report_amplification(turn, "overwrite", before, entries);
    turn_run(turn, "readrandom", 1, read_at_random, NULL);
    turn_run(turn, "readrandom4", 4, read_at_random, NULL);
    turn_run(turn, "readmissing", 1, read_missing, NULL);
    turn_run(turn, "readhot", 1, read_hot, NULL);
    turn_run(turn, "scan", 1, scan_forward, NULL);
    turn_run(turn, "seekrandom", 1, seek_at_random, NULL);
    turn_run_beside(turn, "readwhilewriting", 1, read_at_random, write_evenly, &stopped, &stopped);
    turn_settle(turn);
    report_space(turn, "overwrite");
    turn_run(turn, "overwritebatch", 1, overwrite_in_batches, NULL);
    turn_settle(turn);
    turn_run(turn, "fillsync1", 1, fill_synced, NULL);
    turn_run(turn, "fillsync4", 4, fill_synced, NULL);
    turn_run(turn, "fillsync16", 16, fill_synced, NULL);
    turn_settle(turn);
    turn_run(turn, "deleterandom", 1, remove_half, NULL);
    turn_settle(turn);
    turn_run(turn, "scandeleted", 1, scan_rest, NULL);
    report_space(turn, "deleterandom");
}
