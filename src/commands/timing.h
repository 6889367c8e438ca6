/* SPDX-License-Identifier: MIT */
/* How long commands take: sums and histograms by command (INFO commandstats, latencystats), the slow log (SLOWLOG), and the latency
 * monitor (LATENCY); for src/commands alone.
 *
 * Every thread counts for itself; slow log and monitor have a mutex, which is taken only by what was slow. */
#ifndef COMMANDS_TIMING_H
#define COMMANDS_TIMING_H

#include "base/buffer.h"
#include "base/slice.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct command;
struct command_context;
struct service;
struct service_thread;

enum {
    TIMING_EXACT_US = 16, /* up to here a bucket a microsecond, then TIMING_STEPS an octave */
    TIMING_STEPS = 8,
    TIMING_OCTAVES = 36,
    TIMING_BUCKETS = TIMING_EXACT_US + TIMING_STEPS * TIMING_OCTAVES,
    SLOW_WORDS_MAX = 32,
    SLOW_WORD_BYTES_MAX = 128,
    LATENCY_SAMPLES = 160, /* kept of an event */
};

/* Of one command in one thread, or a sum of such. */
struct timing_histogram {
    atomic_ullong counts[TIMING_BUCKETS];
};

struct slow_entry {
    struct slow_entry *next; /* older */
    uint64_t id, time_s, duration_us;
    size_t word_count;
    struct buffer words; /* one after another */
    size_t ends[SLOW_WORDS_MAX];
    struct buffer address, name;
};

/* Runs that took latency-monitor-threshold or more: of commands that are fast by their flags, and of others. */
enum latency_event { LATENCY_COMMAND, LATENCY_FAST_COMMAND, LATENCY_EVENTS };
struct latency_sample {
    uint64_t time_s, duration_ms; /* one for each second, the longest */
};
struct latency_samples {
    struct latency_sample ring[LATENCY_SAMPLES];
    uint64_t count; /* ever written; the newest is at (count - 1) % LATENCY_SAMPLES */
    uint64_t max_ms;
};

struct timing {
    pthread_mutex_t mutex; /* guards all */
    struct slow_entry *newest;
    size_t slow_count;
    uint64_t next_id;
    struct latency_samples latency[LATENCY_EVENTS];
};

void timing_init(struct timing *timing);
void timing_release(struct timing *timing);

/* A command has run for so long, on the calling thread. */
void timing_record(const struct command_context *c, struct service_thread *thread,
                   uint64_t duration_us);

/* Bucket of a duration, and the longest duration of a bucket. */
unsigned timing_bucket(uint64_t duration_us);
uint64_t timing_bucket_end_us(unsigned bucket);
/* Sums of all threads. false: the command has not run. */
bool timing_sum(struct service *service, const struct command *command,
                struct timing_histogram *sum);
/* The duration that `share` (0 to 1) of all runs do not exceed. */
uint64_t timing_percentile_us(const struct timing_histogram *sum, double share);

const char *latency_event_name(enum latency_event event);
/* Removes what was kept of a command's arguments that is secret: passwords. The word that is shown. */
struct slice timing_shown_word(const struct command_context *c, size_t index);

#endif
