/* SPDX-License-Identifier: MIT */
#include "commands/timing.h"

#include "base/memory.h"
#include "commands/service_state.h"

#include <assert.h>

void timing_init(struct timing *timing)
{
    memset(timing, 0, sizeof *timing);
    pthread_mutex_init(&timing->mutex, NULL);
}

static void free_entries(struct slow_entry *entry)
{
    while (entry) {
        struct slow_entry *next = entry->next;
        buffer_release(&entry->words);
        buffer_release(&entry->address);
        buffer_release(&entry->name);
        memory_free(entry);
        entry = next;
    }
}

void timing_release(struct timing *timing)
{
    free_entries(timing->newest);
    pthread_mutex_destroy(&timing->mutex);
}

/* ---- Histograms ---------------------------------------------------------------------------------- */

unsigned timing_bucket(uint64_t duration_us)
{
    if (duration_us < TIMING_EXACT_US)
        return (unsigned)duration_us;
    unsigned octave = 63 - (unsigned)__builtin_clzll(duration_us) - 4; /* 16 .. 31 is 0 */
    if (octave >= TIMING_OCTAVES)
        return TIMING_BUCKETS - 1;
    unsigned step = (unsigned)(duration_us >> (octave + 1)) % TIMING_STEPS;
    return TIMING_EXACT_US + octave * TIMING_STEPS + step;
}

uint64_t timing_bucket_end_us(unsigned bucket)
{
    if (bucket < TIMING_EXACT_US)
        return bucket;
    unsigned octave = (bucket - TIMING_EXACT_US) / TIMING_STEPS;
    uint64_t step = (bucket - TIMING_EXACT_US) % TIMING_STEPS;
    return ((TIMING_STEPS + step + 1) << (octave + 1)) - 1;
}

/* The thread's own, made at the command's first run; NULL without memory: not counted. */
static struct timing_histogram *histogram_of(struct service_thread *thread, size_t index)
{
    struct timing_histogram *histogram =
        atomic_load_explicit(&thread->histograms[index], memory_order_relaxed);
    if (!histogram) {
        histogram = memory_zeroed(1, sizeof *histogram);
        atomic_store_explicit(&thread->histograms[index], histogram, memory_order_release);
    }
    return histogram;
}

bool timing_sum(struct service *service, const struct command *command,
                struct timing_histogram *sum)
{
    size_t index = (size_t)(command - command_table);
    bool any = false;
    memset(sum, 0, sizeof *sum);
    pthread_mutex_lock(&service->threads_mutex);
    for (struct service_thread *thread = service->threads; thread; thread = thread->next) {
        struct timing_histogram *own =
            atomic_load_explicit(&thread->histograms[index], memory_order_acquire);
        for (unsigned i = 0; own && i < TIMING_BUCKETS; i++) {
            uint64_t count = atomic_load_explicit(&own->counts[i], memory_order_relaxed);
            counter_add(&sum->counts[i], count);
            any |= count > 0;
        }
    }
    pthread_mutex_unlock(&service->threads_mutex);
    return any;
}

uint64_t timing_percentile_us(const struct timing_histogram *sum, double share)
{
    uint64_t all = 0, seen = 0;
    for (unsigned i = 0; i < TIMING_BUCKETS; i++)
        all += atomic_load_explicit(&sum->counts[i], memory_order_relaxed);
    for (unsigned i = 0; i < TIMING_BUCKETS; i++) {
        seen += atomic_load_explicit(&sum->counts[i], memory_order_relaxed);
        if (seen > 0 && (double)seen >= share * (double)all)
            return timing_bucket_end_us(i);
    }
    return 0;
}

/* ---- The slow log -------------------------------------------------------------------------------- */

struct slice timing_shown_word(const struct command_context *c, size_t index)
{
    command_handler *run = c->command->run;
    bool is_secret = (index > 0 && (run == auth_command || run == hello_command)) ||
                     (run == config_set_command && index > 2 &&
                      (argument_is(c, index - 1, "requirepass") ||
                       argument_is(c, index - 1, "tls-key-file-pass")));
    return is_secret ? slice_from("(redacted)") : c->arguments[index];
}

static void add_word(struct slow_entry *entry, const struct command_context *c, size_t index)
{
    struct slice word = timing_shown_word(c, index);
    size_t more = c->count - index;
    if (entry->word_count + 1 == SLOW_WORDS_MAX && more > 1) {
        buffer_printf(&entry->words, "... (%zu more arguments)", more);
    } else if (word.size > SLOW_WORD_BYTES_MAX) {
        buffer_append(&entry->words, word.data, SLOW_WORD_BYTES_MAX);
        buffer_printf(&entry->words, "... (%zu more bytes)", word.size - SLOW_WORD_BYTES_MAX);
    } else {
        buffer_append_slice(&entry->words, word);
    }
    entry->ends[entry->word_count++] = entry->words.size;
}

static struct slow_entry *make_entry(const struct command_context *c, uint64_t duration_us)
{
    struct slow_entry *entry = memory_zeroed(1, sizeof *entry);
    entry->time_s = env_wall_ms(c->service->env) / 1000;
    entry->duration_us = duration_us;
    for (size_t i = 0; i < c->count && i < SLOW_WORDS_MAX; i++)
        add_word(entry, c, i);
    buffer_append_text(&entry->address, c->session->address);
    pthread_mutex_lock(&c->service->clients_mutex);
    buffer_append_slice(&entry->name, buffer_slice(&c->session->name));
    pthread_mutex_unlock(&c->service->clients_mutex);
    return entry;
}

/* Takes what is over the limit off the end of the list. The mutex is held. */
static struct slow_entry *cut_entries(struct timing *timing, size_t limit)
{
    struct slow_entry **at = &timing->newest;
    for (size_t i = 0; i < limit && *at; i++)
        at = &(*at)->next;
    struct slow_entry *cut = *at;
    *at = NULL;
    if (timing->slow_count > limit)
        timing->slow_count = limit;
    return cut;
}

static void add_slow(const struct command_context *c, uint64_t duration_us)
{
    struct timing *timing = &c->service->timing;
    size_t limit = (size_t)config_integer(c->service->config, CONFIG_slowlog_max_len);
    struct slow_entry *entry = make_entry(c, duration_us);
    pthread_mutex_lock(&timing->mutex);
    entry->id = timing->next_id++;
    entry->next = timing->newest;
    timing->newest = entry;
    timing->slow_count++;
    struct slow_entry *cut = cut_entries(timing, limit);
    pthread_mutex_unlock(&timing->mutex);
    free_entries(cut);
}

/* ---- The latency monitor ------------------------------------------------------------------------- */

const char *latency_event_name(enum latency_event event)
{
    return event == LATENCY_COMMAND ? "command" : "fast-command";
}

static void add_latency(const struct command_context *c, uint64_t duration_ms)
{
    struct timing *timing = &c->service->timing;
    bool is_fast = c->command->flags & COMMAND_FAST;
    struct latency_samples *samples =
        &timing->latency[is_fast ? LATENCY_FAST_COMMAND : LATENCY_COMMAND];
    uint64_t now_s = env_wall_ms(c->service->env) / 1000;
    pthread_mutex_lock(&timing->mutex);
    struct latency_sample *newest = &samples->ring[(samples->count - 1) % LATENCY_SAMPLES];
    if (samples->count == 0 || newest->time_s != now_s) {
        newest = &samples->ring[samples->count++ % LATENCY_SAMPLES];
        *newest = (struct latency_sample){.time_s = now_s};
    }
    if (duration_ms > newest->duration_ms)
        newest->duration_ms = duration_ms;
    if (duration_ms > samples->max_ms)
        samples->max_ms = duration_ms;
    pthread_mutex_unlock(&timing->mutex);
}

void timing_record(const struct command_context *c, struct service_thread *thread,
                   uint64_t duration_us)
{
    size_t index = (size_t)(c->command - command_table);
    int64_t slow_us = config_integer(c->service->config, CONFIG_slowlog_log_slower_than);
    int64_t latency_ms = config_integer(c->service->config, CONFIG_latency_monitor_threshold);
    struct timing_histogram *histogram = histogram_of(thread, index);
    counter_add(&thread->duration_us[index], duration_us);
    counter_add(&histogram->counts[timing_bucket(duration_us)], 1);
    if (slow_us >= 0 && duration_us >= (uint64_t)slow_us && c->command->run != exec_command)
        add_slow(c, duration_us);
    if (latency_ms > 0 && duration_us / 1000 >= (uint64_t)latency_ms)
        add_latency(c, duration_us / 1000);
}

/* ---- SLOWLOG ------------------------------------------------------------------------------------- */

static void reply_entry(struct resp_writer *w, const struct slow_entry *entry)
{
    size_t from = 0;
    resp_array(w, 6);
    resp_integer(w, (int64_t)entry->id);
    resp_integer(w, (int64_t)entry->time_s);
    resp_integer(w, (int64_t)entry->duration_us);
    resp_array(w, entry->word_count);
    for (size_t i = 0; i < entry->word_count; i++) {
        resp_bulk(w, slice_make(entry->words.data + from, entry->ends[i] - from));
        from = entry->ends[i];
    }
    resp_bulk(w, buffer_slice(&entry->address));
    resp_bulk(w, buffer_slice(&entry->name));
}

enum status slowlog_get_command(struct command_context *c)
{
    struct timing *timing = &c->service->timing;
    int64_t count = 10;
    if (c->count > 3)
        return reply_errorf(
            c, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try SLOWLOG HELP.",
            ARGUMENT_SHOWN(c, 1));
    if (c->count == 3 && (!slice_parse_integer(c->arguments[2], &count) || count < -1))
        return reply_error(c, "ERR count should be greater than or equal to -1");
    pthread_mutex_lock(&timing->mutex);
    size_t shown =
        count < 0 || (uint64_t)count > timing->slow_count ? timing->slow_count : (size_t)count;
    const struct slow_entry *entry = timing->newest;
    resp_array(c->reply, shown);
    for (size_t i = 0; i < shown; i++, entry = entry->next)
        reply_entry(c->reply, entry);
    pthread_mutex_unlock(&timing->mutex);
    return STATUS_OK;
}

enum status slowlog_len_command(struct command_context *c)
{
    pthread_mutex_lock(&c->service->timing.mutex);
    size_t count = c->service->timing.slow_count;
    pthread_mutex_unlock(&c->service->timing.mutex);
    return reply_integer(c, (int64_t)count);
}

enum status slowlog_reset_command(struct command_context *c)
{
    pthread_mutex_lock(&c->service->timing.mutex);
    struct slow_entry *cut = cut_entries(&c->service->timing, 0);
    pthread_mutex_unlock(&c->service->timing.mutex);
    free_entries(cut);
    return reply_ok(c);
}

enum status slowlog_help_command(struct command_context *c)
{
    static const char *const lines[] = {
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
        NULL,
    };
    return reply_help(c, lines);
}
