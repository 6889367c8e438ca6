/* SPDX-License-Identifier: MIT */
/* LATENCY: the events of the monitor, and histograms of commands. */
#include "commands/latency_graph.h"
#include "commands/service_state.h"

enum { OCTAVES_SHOWN = 40 };

static struct latency_sample newest_of(const struct latency_samples *samples)
{
    return samples->ring[(samples->count - 1) % LATENCY_SAMPLES];
}

enum status latency_latest_command(struct command_context *c)
{
    struct timing *timing = &c->service->timing;
    size_t count = 0;
    pthread_mutex_lock(&timing->mutex);
    for (int i = 0; i < LATENCY_EVENTS; i++)
        count += timing->latency[i].count > 0;
    resp_array(c->reply, count);
    for (int i = 0; i < LATENCY_EVENTS; i++) {
        if (timing->latency[i].count == 0)
            continue;
        struct latency_sample newest = newest_of(&timing->latency[i]);
        resp_array(c->reply, 4);
        resp_bulk_text(c->reply, latency_event_name((enum latency_event)i));
        resp_integer(c->reply, (int64_t)newest.time_s);
        resp_integer(c->reply, (int64_t)newest.duration_ms);
        resp_integer(c->reply, (int64_t)timing->latency[i].max_ms);
    }
    pthread_mutex_unlock(&timing->mutex);
    return STATUS_OK;
}

/* NULL: no such event. */
static struct latency_samples *find_event(struct command_context *c, size_t index)
{
    for (int i = 0; i < LATENCY_EVENTS; i++)
        if (argument_is(c, index, latency_event_name((enum latency_event)i)))
            return &c->service->timing.latency[i];
    return NULL;
}

enum status latency_history_command(struct command_context *c)
{
    struct latency_samples *samples = find_event(c, 2);
    pthread_mutex_lock(&c->service->timing.mutex);
    uint64_t count = samples ? samples->count : 0;
    uint64_t first = count > LATENCY_SAMPLES ? count - LATENCY_SAMPLES : 0;
    resp_array(c->reply, count - first);
    for (uint64_t i = first; i < count; i++) {
        resp_array(c->reply, 2);
        resp_integer(c->reply, (int64_t)samples->ring[i % LATENCY_SAMPLES].time_s);
        resp_integer(c->reply, (int64_t)samples->ring[i % LATENCY_SAMPLES].duration_ms);
    }
    pthread_mutex_unlock(&c->service->timing.mutex);
    return STATUS_OK;
}

/* The samples that are kept, oldest first; how many. */
static size_t copy_samples(const struct latency_samples *samples,
                           struct latency_sample copy[LATENCY_SAMPLES])
{
    uint64_t first = samples->count > LATENCY_SAMPLES ? samples->count - LATENCY_SAMPLES : 0;
    for (uint64_t i = first; i < samples->count; i++)
        copy[i - first] = samples->ring[i % LATENCY_SAMPLES];
    return (size_t)(samples->count - first);
}

enum status latency_graph_command(struct command_context *c)
{
    struct latency_samples *samples = find_event(c, 2);
    struct latency_sample copy[LATENCY_SAMPLES];
    struct buffer text = {0};
    pthread_mutex_lock(&c->service->timing.mutex);
    size_t count = samples ? copy_samples(samples, copy) : 0;
    uint64_t max_ms = samples ? samples->max_ms : 0;
    pthread_mutex_unlock(&c->service->timing.mutex);
    if (count == 0)
        return reply_errorf(c, "ERR No samples available for event '%.*s'", ARGUMENT_SHOWN(c, 2));
    latency_graph(c->arguments[2], copy, count, max_ms, env_wall_ms(c->service->env) / 1000, &text);
    resp_verbatim(c->reply, "txt", buffer_slice(&text));
    buffer_release(&text);
    return STATUS_OK;
}

static int64_t reset(struct latency_samples *samples)
{
    bool had_any = samples->count > 0;
    samples->count = samples->max_ms = 0;
    return had_any;
}

enum status latency_reset_command(struct command_context *c)
{
    int64_t count = 0;
    pthread_mutex_lock(&c->service->timing.mutex);
    for (int i = 0; c->count == 2 && i < LATENCY_EVENTS; i++)
        count += reset(&c->service->timing.latency[i]);
    for (size_t i = 2; i < c->count; i++) {
        struct latency_samples *samples = find_event(c, i);
        count += samples ? reset(samples) : 0;
    }
    pthread_mutex_unlock(&c->service->timing.mutex);
    return reply_integer(c, count);
}

/* How many runs took up to 1, 2, 4 ... microseconds, as long as there are more. */
static void reply_histogram(struct command_context *c, const struct timing_histogram *sum)
{
    uint64_t seen = 0, shown = 0, limit_us = 1;
    size_t mark = resp_deferred(c->reply), pairs = 0;
    unsigned bucket = 0;
    for (unsigned octave = 0; octave < OCTAVES_SHOWN; octave++, limit_us *= 2) {
        for (; bucket < TIMING_BUCKETS && timing_bucket_end_us(bucket) <= limit_us; bucket++)
            seen += atomic_load_explicit(&sum->counts[bucket], memory_order_relaxed);
        if (seen == shown)
            continue;
        shown = seen;
        resp_integer(c->reply, (int64_t)limit_us);
        resp_integer(c->reply, (int64_t)seen);
        pairs++;
    }
    resp_deferred_map(c->reply, mark, pairs);
}

static bool reply_command(struct command_context *c, const struct command *command)
{
    struct timing_histogram sum;
    uint64_t calls = 0;
    if (!timing_sum(c->service, command, &sum))
        return false;
    for (unsigned i = 0; i < TIMING_BUCKETS; i++)
        calls += atomic_load_explicit(&sum.counts[i], memory_order_relaxed);
    resp_bulk_text(c->reply, command->name);
    resp_map(c->reply, 2);
    resp_bulk_text(c->reply, "calls");
    resp_integer(c->reply, (int64_t)calls);
    resp_bulk_text(c->reply, "histogram_usec");
    reply_histogram(c, &sum);
    return true;
}

/* A container stands for its subcommands. */
static bool is_meant(const struct command *command, struct slice name)
{
    size_t size = strcspn(command->name, "|");
    return slice_equal_nocase(name, command->name) ||
           (command->name[size] == '|' && name.size == size &&
            strncasecmp((const char *)name.data, command->name, size) == 0);
}

enum status latency_histogram_command(struct command_context *c)
{
    size_t mark = resp_deferred(c->reply), count = 0;
    for (size_t i = 0; i < command_table_size; i++) {
        bool is_asked = c->count == 2;
        for (size_t word = 2; word < c->count && !is_asked; word++)
            is_asked = is_meant(&command_table[i], c->arguments[word]);
        if (is_asked)
            count += reply_command(c, &command_table[i]);
    }
    resp_deferred_map(c->reply, mark, count);
    return STATUS_OK;
}

enum status latency_doctor_command(struct command_context *c)
{
    struct timing *timing = &c->service->timing;
    struct buffer text = {0};
    if (config_integer(c->service->config, CONFIG_latency_monitor_threshold) == 0)
        buffer_append_text(&text,
                           "Latency monitoring is disabled. \"CONFIG SET latency-monitor-threshold "
                           "<milliseconds>\" enables it.\n");
    pthread_mutex_lock(&timing->mutex);
    for (int i = 0; i < LATENCY_EVENTS; i++) {
        const struct latency_samples *samples = &timing->latency[i];
        if (samples->count == 0)
            continue;
        buffer_printf(&text,
                      "%s: %llu seconds with a latency spike, the worst %llu ms, the last %llu ms. "
                      "SLOWLOG GET names the commands.\n",
                      latency_event_name((enum latency_event)i), (unsigned long long)samples->count,
                      (unsigned long long)samples->max_ms,
                      (unsigned long long)newest_of(samples).duration_ms);
    }
    pthread_mutex_unlock(&timing->mutex);
    if (text.size == 0)
        buffer_append_text(&text, "No latency spike was observed since the start or the last "
                                  "LATENCY RESET.\n");
    resp_verbatim(c->reply, "txt", buffer_slice(&text));
    buffer_release(&text);
    return STATUS_OK;
}

enum status latency_help_command(struct command_context *c)
{
    static const char *const lines[] = {
        "DOCTOR",
        "    Return a human readable latency analysis report.",
        "GRAPH <event>",
        "    Return an ASCII latency graph for the <event> class.",
        "HISTORY <event>",
        "    Return time-latency samples for the <event> class.",
        "LATEST",
        "    Return the latest latency samples for all events.",
        "RESET [<event> ...]",
        "    Reset latency data of one or more <event> classes.",
        "    (default: reset all data for all event classes)",
        "HISTOGRAM [COMMAND ...]",
        "    Return a cumulative distribution of latencies in the format of a histogram for the "
        "specified command names.",
        "    If no commands are specified then all histograms are replied.",
        NULL,
    };
    return reply_help(c, lines);
}
