/* SPDX-License-Identifier: MIT */
/* The core workloads of YCSB (Cooper et al., "Benchmarking cloud serving systems with YCSB", 2010; the
 * distributions as in YCSB 0.17), for whatever can read, write and scan records by key.
 *
 *      A  50% read, 50% update               zipfian
 *      B  95% read,  5% update               zipfian
 *      C 100% read                           zipfian
 *      D  95% read,  5% insert               latest
 *      E  95% scan of 1 .. 100,  5% insert   zipfian
 *      F  50% read, 50% read-modify-write    zipfian
 *
 * A record has 10 fields of 100 bytes and is written whole (YCSB's writeallfields=true), so an update
 * is one put, and F alone reads before it writes. Keys are "user" and the FNV hash of the record's
 * number: neighbours in key order are strangers in time. Zipfian numbers are scrambled: the rank is drawn
 * from 10^10 items and hashed onto the records, so hot records lie anywhere.
 *
 *      struct ycsb_records records;  ycsb_records_init(&records, count);      shared by all threads
 *      load: ycsb_key and ycsb_record for 0 .. count-1
 *      each thread: ycsb_chooser_init, then ycsb_next, do it, ycsb_inserted if it was an insert */
#ifndef BENCH_YCSB_H
#define BENCH_YCSB_H

#include "base/random.h"
#include "base/slice.h"

#include <pthread.h>
#include <stdbool.h>

enum {
    YCSB_FIELDS = 10,
    YCSB_FIELD_BYTES = 100,
    YCSB_RECORD_BYTES = YCSB_FIELDS * YCSB_FIELD_BYTES,
    YCSB_KEY_BYTES_MAX = 4 + 19,
    YCSB_SCAN_MAX = 100,
    YCSB_INSERTS_AT_ONCE_MAX = 4096 /* begun and not acknowledged */
};

enum ycsb_operation { YCSB_READ, YCSB_UPDATE, YCSB_INSERT, YCSB_SCAN, YCSB_READ_MODIFY_WRITE };
enum { YCSB_OPERATIONS = YCSB_READ_MODIFY_WRITE + 1 };
enum ycsb_distribution { YCSB_UNIFORM, YCSB_ZIPFIAN, YCSB_LATEST };

struct ycsb_workload {
    char letter;
    unsigned percents[YCSB_OPERATIONS]; /* by enum ycsb_operation; 100 in all */
    enum ycsb_distribution distribution;
};

/* 'A' .. 'F'; NULL for others. */
const struct ycsb_workload *ycsb_workload(char letter);

/* The Zipf distribution by Gray et al. ("Quickly generating billion-record synthetic databases", 1994):
 * rank r (from 0) has the share 1 / (r + 1)^theta / zeta(count, theta). Ranks 0 and 1 are exact. */
struct ycsb_zipf {
    uint64_t count;
    double theta, zeta, zeta2, alpha, eta;
};

void ycsb_zipf_init(struct ycsb_zipf *zipf, uint64_t count, double theta); /* O(count) */
void ycsb_zipf_grow(struct ycsb_zipf *zipf, uint64_t count);               /* O(the difference) */
uint64_t ycsb_zipf_next(const struct ycsb_zipf *zipf, struct random *random); /* 0 .. count-1 */
double ycsb_zeta(uint64_t count, double theta); /* sum of 1 / i^theta for i = 1 .. count */

/* Which records exist. Any thread. */
struct ycsb_records {
    pthread_mutex_t lock;
    uint64_t begun;                      /* numbers below are given out; guarded by lock */
    uint64_t acknowledged;               /* numbers below exist; atomic */
    bool ends[YCSB_INSERTS_AT_ONCE_MAX]; /* inserted before an older one was; guarded by lock */
};

void ycsb_records_init(struct ycsb_records *records, uint64_t count);
void ycsb_records_release(struct ycsb_records *records);
uint64_t ycsb_records_count(const struct ycsb_records *records); /* acknowledged */

/* What to do next. */
struct ycsb_request {
    enum ycsb_operation operation;
    uint64_t number; /* the record; of an insert, a new one */
    unsigned scan_count;
};

/* One a thread. */
struct ycsb_chooser {
    const struct ycsb_workload *workload;
    struct ycsb_records *records;
    struct random random;
    struct ycsb_zipf zipf;
};

/* O(records) for `latest`. */
void ycsb_chooser_init(struct ycsb_chooser *chooser, const struct ycsb_workload *workload,
                       struct ycsb_records *records, uint64_t seed);
void ycsb_next(struct ycsb_chooser *chooser, struct ycsb_request *request);
/* The record of an insert exists now; `latest` and others may choose it. */
void ycsb_inserted(struct ycsb_records *records, uint64_t number);

/* Writes the key of a record, without a terminator; returns its size. */
size_t ycsb_key(uint64_t number, char key[YCSB_KEY_BYTES_MAX]);

/* Texts that records are cut from, made once and shared: 1 MiB of random printable characters. */
struct ycsb_texts {
    char *data;
};

void ycsb_texts_init(struct ycsb_texts *texts, uint64_t seed);
void ycsb_texts_release(struct ycsb_texts *texts);
/* A record's fields, one behind the other; the first begins with the number in 16 hexadecimal digits. */
void ycsb_record(const struct ycsb_texts *texts, struct random *random, uint64_t number,
                 char record[YCSB_RECORD_BYTES]);
/* `value` is a record of that number. */
bool ycsb_record_is(struct slice value, uint64_t number);

#endif
