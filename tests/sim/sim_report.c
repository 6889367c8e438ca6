/* SPDX-License-Identifier: MIT */
/* What a run says: its last steps, why it failed and how to repeat it, what happened how often. */
#include "sim/sim_state.h"

#include "base/hash.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* ---- Saying what happens --------------------------------------------------------------------- */

static struct sim *current; /* for the signal handler */

void sim_hash_bytes(struct sim *sim, const void *data, size_t size)
{
    sim->hash = hash64(slice_make(data, size), sim->hash);
}

void sim_hash_number(struct sim *sim, uint64_t number)
{
    sim_hash_bytes(sim, &number, sizeof number);
}

void sim_note(struct sim *sim, const char *format, ...)
{
    char *line = sim->recent[sim->step % RECENT_STEPS];
    size_t used = strlen(line);
    va_list arguments;
    if (used == 0)
        used = (size_t)snprintf(line, RECENT_BYTES, "%" PRIu64 ":", sim->step);
    if (used + 2 < RECENT_BYTES) {
        line[used++] = ' ';
        va_start(arguments, format);
        vsnprintf(line + used, RECENT_BYTES - used, format, arguments);
        va_end(arguments);
    }
}

static void say_how(struct sim *sim)
{
    fprintf(stderr, "SEED=%" PRIu64 " step %" PRIu64 "\n", sim->options->seed, sim->step);
    fprintf(stderr, "the last steps:\n");
    for (uint64_t i = 1; i <= RECENT_STEPS; i++) {
        const char *line = sim->recent[(sim->step + i) % RECENT_STEPS];
        if (line[0])
            fprintf(stderr, "  %s\n", line);
    }
    fprintf(stderr, "repeat: %s --seed %" PRIu64 " --step %" PRIu64 " --trace\n",
            sim->options->program, sim->options->seed, sim->step);
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "FAILED: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    say_how(sim);
    _exit(1);
}

/* An assertion of the code under test: the seed is told before the process ends. */
static void on_signal(int number)
{
    if (current) {
        fprintf(stderr, "FAILED: signal %d\n", number);
        say_how(current);
    }
    signal(number, SIG_DFL);
    raise(number);
}

void sim_report_begin(struct sim *sim)
{
    current = sim;
    signal(SIGABRT, on_signal);
}

void sim_report_end(void)
{
    current = NULL;
    signal(SIGABRT, SIG_DFL);
}

/* ---- Counts ---------------------------------------------------------------------------------- */

static const char *const event_texts[] = {
#define SIM_EVENT_TEXT(name, text) text,
    SIM_EVENTS(SIM_EVENT_TEXT)
#undef SIM_EVENT_TEXT
};

void sim_counts_print(const struct sim_counts *counts)
{
    printf("%" PRIu64 " seeds, %" PRIu64 " steps, %" PRIu64 " commands\n", counts->seeds,
           counts->steps, counts->commands);
    for (size_t i = 0; i < SIM_EVENT_COUNT; i++)
        printf("%12" PRIu64 "  %s\n", counts->events[i], event_texts[i]);
    for (size_t i = 0; i < MODEL_COMMAND_COUNT; i++)
        printf("%s%s %" PRIu64,
               i % 6 ? ", "
               : i   ? "\n  "
                     : "  ",
               model_command_names[i], counts->by_command[i]);
    printf("\n");
}

const char *sim_counts_missing(const struct sim_counts *counts)
{
    for (size_t i = 0; i < SIM_EVENT_COUNT; i++)
        if (counts->events[i] == 0)
            return event_texts[i];
    for (size_t i = 0; i < MODEL_COMMAND_COUNT; i++)
        if (counts->by_command[i] == 0)
            return model_command_names[i];
    return NULL;
}
