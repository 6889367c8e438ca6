/* SPDX-License-Identifier: MIT */
/* YCSB's core workloads on the library (ycsb.h), in the order that its authors recommend: load, A, B, C,
 * F, D, E, as the last two insert. */
#include "bench/engine/cases.h"

struct ycsb_context {
    const struct ycsb_workload *workload;
    struct ycsb_records records;
};

static void put_record(struct worker *worker, uint64_t number)
{
    char key[YCSB_KEY_BYTES_MAX], record[YCSB_RECORD_BYTES];
    size_t size = ycsb_key(number, key);

    ycsb_record(&worker->turn->settings->texts, &worker->random, number, record);
    worker->turn->engine->put(worker->thread, ENGINE_KEYS, slice_make(key, size),
                              slice_make(record, sizeof record), false);
}

static void load(struct worker *worker)
{
    for (uint64_t number = worker->index; number < worker->turn->settings->records;
         number += worker->count) {
        put_record(worker, number);
        worker_done(worker);
    }
}

static void get_record(struct worker *worker, uint64_t number)
{
    const struct engine *engine = worker->turn->engine;
    char key[YCSB_KEY_BYTES_MAX];
    size_t size = ycsb_key(number, key);
    struct slice value;

    if (!engine->get(worker->thread, ENGINE_KEYS, slice_make(key, size), &value) ||
        !ycsb_record_is(value, number))
        turn_mismatch(worker->turn, "a record", number);
    engine->get_end(worker->thread);
}

/* From the record on, in key order; the end of all may come first. */
static void scan_records(struct worker *worker, uint64_t number, unsigned count)
{
    const struct engine *engine = worker->turn->engine;
    char key[YCSB_KEY_BYTES_MAX];
    struct slice from = slice_make(key, ycsb_key(number, key));
    struct engine_iter *iter =
        engine->iter_open(worker->thread, ENGINE_KEYS, &(struct engine_range){.keep_cache = false});

    engine->iter_seek(iter, from);
    if (!engine->iter_valid(iter) || !slice_equal(engine->iter_key(iter), from) ||
        !ycsb_record_is(engine->iter_value(iter), number))
        turn_mismatch(worker->turn, "the first record of a scan", number);
    for (unsigned i = 1; i < count; i++) {
        engine->iter_next(iter);
        if (!engine->iter_valid(iter))
            break;
        if (engine->iter_value(iter).size != YCSB_RECORD_BYTES || engine->iter_key(iter).size < 5)
            turn_mismatch(worker->turn, "a record of a scan", number);
    }
    engine->iter_close(iter);
}

static void do_request(struct worker *worker, struct ycsb_records *records,
                       const struct ycsb_request *request)
{
    switch (request->operation) {
    case YCSB_READ:
        get_record(worker, request->number);
        break;
    case YCSB_UPDATE:
        put_record(worker, request->number);
        break;
    case YCSB_INSERT:
        put_record(worker, request->number);
        ycsb_inserted(records, request->number);
        break;
    case YCSB_SCAN:
        scan_records(worker, request->number, request->scan_count);
        break;
    case YCSB_READ_MODIFY_WRITE:
        get_record(worker, request->number);
        put_record(worker, request->number);
        break;
    }
}

static void run_workload(struct worker *worker)
{
    struct ycsb_context *context = worker->context;
    struct ycsb_chooser chooser;

    ycsb_chooser_init(&chooser, context->workload, &context->records,
                      worker->turn->settings->seed + 100 + worker->index);
    while (worker_goes_on(worker)) {
        struct ycsb_request request;
        ycsb_next(&chooser, &request);
        do_request(worker, &context->records, &request);
        worker_done(worker);
    }
}

static void run_all(struct turn *turn, unsigned threads)
{
    struct ycsb_context context = {0};
    char name[32];

    snprintf(name, sizeof name, "load/%u", threads);
    turn_run(turn, name, threads, load, NULL);
    turn_settle(turn);
    ycsb_records_init(&context.records, turn->settings->records);
    for (const char *letter = "ABCFDE"; *letter; letter++) {
        context.workload = ycsb_workload(*letter);
        snprintf(name, sizeof name, "%c/%u", *letter, threads);
        turn_run(turn, name, threads, run_workload, &context);
    }
    ycsb_records_release(&context.records);
}

void cases_of_ycsb_1(struct turn *turn)
{
    run_all(turn, 1);
}

void cases_of_ycsb_4(struct turn *turn)
{
    run_all(turn, 4);
}
