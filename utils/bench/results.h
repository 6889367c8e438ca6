/* SPDX-License-Identifier: MIT */
/* What a bench measured: a file for machines and a table for people.
 *
 * The file: lines "# name<TAB>value" with the conditions, one line with the columns' names, then a line
 * a figure, in the order in which they came:
 *
 *      suite  case  subject  measure  round  value
 *
 * subject: cordwood, or the peer (redis, rocksdb, leveldb). measure: ops_per_s, p50_us, p95_us, p99_us,
 * p999_us, max_us, bytes_per_entry, write_amplification, ... round: 1, 2, ... and, written by
 * results_finish, "median"; a median's spread stands in its rounds. The measure "ratio:M" (subject
 * cordwood, round "median") compares the medians of M with the best peer's: above 1, cordwood is better,
 * whether more or less of M is. */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include <stdbool.h>
#include <stddef.h>

struct results;

/* `path` NULL: no file. The conditions every bench shares are written: date, system, CPU, memory, and the
 * commit, which the caller gives as BENCH_COMMIT. NULL: the file cannot be made; it says so on stderr. */
struct results *results_create(const char *path);
/* false: the file could not be written whole. Writes the medians and the ratios first; call it after
 * everything was added. NULL is fine. */
bool results_finish(struct results *results);

/* A condition of the run: versions of the peers, options. Printed and written. Before the first figure. */
void results_condition(struct results *results, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Suite and names of later calls: texts are copied, without tabs. `round` counts from 1. */
void results_add(struct results *results, const char *suite, const char *name, const char *subject,
                 const char *measure, unsigned round, double value);
/* A figure outside of rounds (round is a word): written, and in no median. */
void results_note(struct results *results, const char *suite, const char *name, const char *subject,
                  const char *measure, const char *round, double value);

/* Over the rounds; false: there is no such figure. `min` and `max` may be NULL. */
bool results_median(const struct results *results, const char *suite, const char *name,
                    const char *subject, const char *measure, double *median, double *min,
                    double *max);
/* cordwood against the best peer by medians, above 1 = cordwood is better; false: one is missing, or
 * the worse one is 0. */
bool results_ratio(const struct results *results, const char *suite, const char *name,
                   const char *measure, double *ratio);

/* Prints a table of one measure: a line a case of the suite that has it, in order of appearance; a
 * column a subject (NULL-terminated list) with "median (min .. max)", and the ratio. The title says the
 * unit. Figures are shown divided by `unit` (1000: thousands). */
void results_print(const struct results *results, const char *suite, const char *title,
                   const char *measure, const char *const *subjects, double unit);

double results_median_of(double *values, size_t count); /* sorts them; count > 0 */
/* More of it is better: rates do, all others (times, bytes, amplifications) do not. */
bool results_more_is_better(const char *measure);

#endif
