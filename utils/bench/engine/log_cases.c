/* SPDX-License-Identifier: MIT */
/* Log lines appended to streams in turn: key = stream, time, number, as the store's entries have it.
 * Our engine keeps them in a tree of time-ordered runs, the peers in their ordinary tree. */
#include "bench/engine/cases.h"

#include "base/coding.h"

enum { STREAMS = 16, ENTRY_KEY_BYTES = ENGINE_STREAM_BYTES + 16, PAGE = 100, PAIRS = 100 };

static const uint64_t FIRST_MS = 1795226400000;

/* The `index`th entry of a stream: one each millisecond. */
static struct slice entry_key(uint64_t stream, uint64_t index, uint8_t key[ENTRY_KEY_BYTES])
{
    be64_store(key, 0x6c6f673a00000000 + stream);
    be64_store(key + 8, FIRST_MS + index);
    be64_store(key + 16, 0);
    return slice_make(key, ENTRY_KEY_BYTES);
}

static struct slice entry_value(const struct worker *worker, uint64_t stream, uint64_t index)
{
    return values_line(&worker->turn->settings->values, index * STREAMS + stream);
}

static uint64_t entries_of_a_stream(const struct worker *worker)
{
    return worker->turn->settings->entries / STREAMS;
}

static void append(struct worker *worker)
{
    uint8_t key[ENTRY_KEY_BYTES];

    for (uint64_t i = 0; i < entries_of_a_stream(worker); i++) {
        for (uint64_t stream = 0; stream < STREAMS; stream++) {
            worker->turn->engine->put(worker->thread, ENGINE_ENTRIES, entry_key(stream, i, key),
                                      entry_value(worker, stream, i), false);
            worker_done(worker);
        }
    }
}

/* A hundred entries of one stream at a time, behind those that are there; an operation is an entry. */
static void append_in_batches(struct worker *worker)
{
    uint8_t keys[PAIRS][ENTRY_KEY_BYTES];
    struct engine_pair pairs[PAIRS];
    uint64_t next = entries_of_a_stream(worker);

    for (uint64_t turn = 0; worker_goes_on(worker); turn++) {
        uint64_t stream = turn % STREAMS, first = next + turn / STREAMS * PAIRS;
        for (uint64_t i = 0; i < PAIRS; i++)
            pairs[i] = (struct engine_pair){entry_key(stream, first + i, keys[i]),
                                            entry_value(worker, stream, first + i)};
        worker->turn->engine->put_many(worker->thread, ENGINE_ENTRIES, pairs, PAIRS, false);
        worker_done(worker);
        worker->operations += PAIRS - 1;
    }
}

/* One page forward from `first` on, or backward from the newest. */
static void read_page(struct worker *worker, uint64_t stream, uint64_t first, bool forward)
{
    const struct engine *engine = worker->turn->engine;
    uint8_t lower[ENTRY_KEY_BYTES], upper[ENTRY_KEY_BYTES], key[ENTRY_KEY_BYTES];
    const struct engine_range range = {.lower = entry_key(stream, forward ? first : 0, lower),
                                       .upper = entry_key(stream + 1, 0, upper)};
    uint64_t count = entries_of_a_stream(worker), index = forward ? first : count - 1;
    struct engine_iter *iter = engine->iter_open(worker->thread, ENGINE_ENTRIES, &range);

    forward ? engine->iter_first(iter) : engine->iter_last(iter);
    for (unsigned i = 0; i < PAGE && index < count; i++) {
        if (!engine->iter_valid(iter) ||
            !slice_equal(engine->iter_key(iter), entry_key(stream, index, key)) ||
            !slice_equal(engine->iter_value(iter), entry_value(worker, stream, index)))
            turn_mismatch(worker->turn, "page", index);
        index += forward ? 1 : (uint64_t)-1;
        forward ? engine->iter_next(iter) : engine->iter_prev(iter);
    }
    engine->iter_close(iter);
}

static void read_pages(struct worker *worker)
{
    uint64_t count = entries_of_a_stream(worker), starts = count > PAGE ? count - PAGE : 1;

    while (worker_goes_on(worker)) {
        read_page(worker, random_below(&worker->random, STREAMS),
                  random_below(&worker->random, starts), true);
        worker_done(worker);
    }
}

static void read_newest(struct worker *worker)
{
    while (worker_goes_on(worker)) {
        read_page(worker, random_below(&worker->random, STREAMS), 0, false);
        worker_done(worker);
    }
}

/* The first stream, from its first entry to its last, again and again: it fits into the block cache. An
 * operation is an entry. */
static void scan_stream(struct worker *worker)
{
    const struct engine *engine = worker->turn->engine;
    uint8_t lower[ENTRY_KEY_BYTES], upper[ENTRY_KEY_BYTES], key[ENTRY_KEY_BYTES];
    const struct engine_range range = {.lower = entry_key(0, 0, lower),
                                       .upper = entry_key(1, 0, upper)};

    do {
        struct engine_iter *iter = engine->iter_open(worker->thread, ENGINE_ENTRIES, &range);
        uint64_t index = 0;
        for (engine->iter_first(iter); engine->iter_valid(iter); engine->iter_next(iter)) {
            if (!slice_equal(engine->iter_key(iter), entry_key(0, index, key)) ||
                !slice_equal(engine->iter_value(iter), entry_value(worker, 0, index)))
                turn_mismatch(worker->turn, "scan of a stream", index);
            index++;
        }
        engine->iter_close(iter);
        if (index != entries_of_a_stream(worker))
            turn_mismatch(worker->turn, "end of a stream", index);
        worker->operations += index;
        worker->last_ns = latency_clock();
    } while (worker_goes_on(worker));
}

void cases_of_logs(struct turn *turn)
{
    uint64_t entries = turn->settings->entries / STREAMS * STREAMS, given = 0;
    uint64_t before = turn_written_bytes();

    for (uint64_t i = 0; i < entries; i++)
        given += ENTRY_KEY_BYTES + values_line(&turn->settings->values, i).size;
    turn_run(turn, "append", 1, append, NULL);
    turn_settle(turn);
    turn_report(turn, "append", "write_amplification",
                (double)(turn_written_bytes() - before) / (double)given);
    turn_run(turn, "page", 1, read_pages, NULL);
    turn_run(turn, "newestpage", 1, read_newest, NULL);
    turn_report(turn, "append", "bytes_per_entry_at_rest",
                (double)turn_disk_bytes(turn, turn->engine->table_suffix) / (double)entries);
    turn_compact(turn);
    turn_report(turn, "append", "bytes_per_entry",
                (double)turn_disk_bytes(turn, turn->engine->table_suffix) / (double)entries);
    turn_report(turn, "append", "raw_bytes_per_entry", (double)given / (double)entries);
    turn_run(turn, "mergedpage", 1, read_pages, NULL);
    turn_run(turn, "logscan", 1, scan_stream, NULL);
    turn_run(turn, "appendbatch", 1, append_in_batches, NULL);
}
