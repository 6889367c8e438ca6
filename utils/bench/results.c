/* SPDX-License-Identifier: MIT */
#include "bench/results.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES = 64, ROUNDS_MAX = 1000 };

static const char OURS[] = "cordwood";
static const char *const peers[] = {"redis", "rocksdb", "leveldb"};

struct figure {
    char suite[TEXT_BYTES], name[TEXT_BYTES], subject[TEXT_BYTES], measure[TEXT_BYTES];
    unsigned round;
    double value;
};

struct results {
    FILE *file; /* NULL: none */
    bool has_columns;
    struct figure *figures;
    size_t count, capacity;
};

/* ---- Conditions -------------------------------------------------------------------------------- */

/* The rest of the first line of `path` that begins with `key`, from behind the colon on. */
static void read_field(const char *path, const char *key, char *into, size_t capacity)
{
    FILE *file = fopen(path, "r");
    char line[512];

    snprintf(into, capacity, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !colon)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = 0;
        snprintf(into, capacity, "%s", colon);
        break;
    }
    if (file)
        fclose(file);
}

static void common_conditions(struct results *results)
{
    char date[64], field[256];
    struct utsname system;
    time_t now = time(NULL);
    struct tm utc;
    const char *commit = getenv("BENCH_COMMIT");

    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    results_condition(results, "date", "%s", date);
    results_condition(results, "commit", "%s", commit && *commit ? commit : "unknown");
    if (uname(&system) == 0)
        results_condition(results, "system", "%s %s %s", system.sysname, system.release,
                          system.machine);
    read_field("/proc/cpuinfo", "model name", field, sizeof field);
    results_condition(results, "cpu", "%s, %ld of them", field, sysconf(_SC_NPROCESSORS_ONLN));
    read_field("/proc/meminfo", "MemTotal", field, sizeof field);
    results_condition(results, "memory", "%s", field);
}

struct results *results_create(const char *path)
{
    struct results *results = memory_zeroed(1, sizeof *results);

    if (path && !(results->file = fopen(path, "w"))) {
        fprintf(stderr, "bench: cannot write %s: %s\n", path, strerror(errno));
        memory_free(results);
        return NULL;
    }
    common_conditions(results);
    return results;
}

void results_condition(struct results *results, const char *name, const char *format, ...)
{
    struct buffer text = {0};
    va_list arguments;

    assert(!results->has_columns);
    va_start(arguments, format);
    buffer_vprintf(&text, format, arguments);
    va_end(arguments);
    printf("%-12s %.*s\n", name, (int)text.size, (const char *)text.data);
    if (results->file)
        fprintf(results->file, "# %s\t%.*s\n", name, (int)text.size, (const char *)text.data);
    buffer_release(&text);
}

/* ---- Figures ----------------------------------------------------------------------------------- */

static void write_line(struct results *results, const char *suite, const char *name,
                       const char *subject, const char *measure, const char *round, double value)
{
    if (!results->file)
        return;
    if (!results->has_columns)
        fprintf(results->file, "suite\tcase\tsubject\tmeasure\tround\tvalue\n");
    results->has_columns = true;
    fprintf(results->file, "%s\t%s\t%s\t%s\t%s\t%.6g\n", suite, name, subject, measure, round,
            value);
    fflush(results->file); /* an aborted run leaves what it measured */
}

static void copy_text(char *into, const char *text)
{
    assert(strlen(text) < TEXT_BYTES);
    assert(!strpbrk(text, "\t\n"));
    snprintf(into, TEXT_BYTES, "%s", text);
}

void results_add(struct results *results, const char *suite, const char *name, const char *subject,
                 const char *measure, unsigned round, double value)
{
    char number[16];

    assert(round >= 1 && round <= ROUNDS_MAX);
    if (results->count == results->capacity) {
        results->capacity = results->capacity ? 2 * results->capacity : 256;
        results->figures =
            memory_resize(results->figures, results->capacity * sizeof *results->figures);
    }
    struct figure *figure = &results->figures[results->count++];
    copy_text(figure->suite, suite);
    copy_text(figure->name, name);
    copy_text(figure->subject, subject);
    copy_text(figure->measure, measure);
    figure->round = round;
    figure->value = value;
    snprintf(number, sizeof number, "%u", round);
    write_line(results, suite, name, subject, measure, number, value);
}

void results_note(struct results *results, const char *suite, const char *name, const char *subject,
                  const char *measure, const char *round, double value)
{
    write_line(results, suite, name, subject, measure, round, value);
}

/* ---- Medians and ratios ------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

double results_median_of(double *values, size_t count)
{
    assert(count > 0);
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

bool results_more_is_better(const char *measure)
{
    size_t size = strlen(measure);

    return size > 6 && strcmp(measure + size - 6, "_per_s") == 0;
}

bool results_median(const struct results *results, const char *suite, const char *name,
                    const char *subject, const char *measure, double *median, double *min,
                    double *max)
{
    double values[ROUNDS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < results->count && count < ROUNDS_MAX; i++) {
        const struct figure *figure = &results->figures[i];
        if (strcmp(figure->name, name) == 0 && strcmp(figure->subject, subject) == 0 &&
            strcmp(figure->measure, measure) == 0 && strcmp(figure->suite, suite) == 0)
            values[count++] = figure->value;
    }
    if (count == 0)
        return false;
    *median = results_median_of(values, count);
    if (min)
        *min = values[0];
    if (max)
        *max = values[count - 1];
    return true;
}

bool results_ratio(const struct results *results, const char *suite, const char *name,
                   const char *measure, double *ratio)
{
    bool more = results_more_is_better(measure), found = false;
    double ours, best = 0, peer;

    if (!results_median(results, suite, name, OURS, measure, &ours, NULL, NULL))
        return false;
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        if (!results_median(results, suite, name, peers[i], measure, &peer, NULL, NULL))
            continue;
        if (!found || (more ? peer > best : peer < best))
            best = peer;
        found = true;
    }
    if (!found || (more ? best : ours) <= 0)
        return false;
    *ratio = more ? ours / best : best / ours;
    return true;
}

/* The same case, subject and measure came before. */
static bool is_repeated(const struct results *results, size_t at)
{
    const struct figure *figure = &results->figures[at];

    for (size_t i = 0; i < at; i++) {
        const struct figure *other = &results->figures[i];
        if (strcmp(figure->name, other->name) == 0 &&
            strcmp(figure->subject, other->subject) == 0 &&
            strcmp(figure->measure, other->measure) == 0 &&
            strcmp(figure->suite, other->suite) == 0)
            return true;
    }
    return false;
}

static void write_medians(struct results *results)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct figure *figure = &results->figures[i];
        char measure[TEXT_BYTES + 8];
        double value;
        if (is_repeated(results, i))
            continue;
        if (results_median(results, figure->suite, figure->name, figure->subject, figure->measure,
                           &value, NULL, NULL))
            write_line(results, figure->suite, figure->name, figure->subject, figure->measure,
                       "median", value);
        snprintf(measure, sizeof measure, "ratio:%s", figure->measure);
        if (strcmp(figure->subject, OURS) == 0 &&
            results_ratio(results, figure->suite, figure->name, figure->measure, &value))
            write_line(results, figure->suite, figure->name, OURS, measure, "median", value);
    }
}

bool results_finish(struct results *results)
{
    bool ok = true;

    if (!results)
        return true;
    write_medians(results);
    printf("%zu figures measured\n", results->count);
    if (results->file) {
        ok = !ferror(results->file);
        ok = fclose(results->file) == 0 && ok;
    }
    if (!ok)
        fprintf(stderr, "bench: the results could not be written whole\n");
    memory_free(results->figures);
    memory_free(results);
    return ok;
}

/* ---- The table for people ---------------------------------------------------------------------- */

/* Three digits that count, e.g. 1234, 123, 12.3, 1.23, 0.12. */
static const char *show(double value, char *text, size_t capacity)
{
    int places = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;

    snprintf(text, capacity, "%.*f", places, value);
    return text;
}

static void print_cell(const struct results *results, const struct figure *figure,
                       const char *subject, double unit)
{
    double median, min, max;
    char shown[3][32], cell[128];

    if (!results_median(results, figure->suite, figure->name, subject, figure->measure, &median,
                        &min, &max)) {
        printf("  %24s", "-");
        return;
    }
    snprintf(cell, sizeof cell, "%s (%s..%s)", show(median / unit, shown[0], sizeof shown[0]),
             show(min / unit, shown[1], sizeof shown[1]),
             show(max / unit, shown[2], sizeof shown[2]));
    printf("  %24s", cell);
}

/* A line a case: at its first figure of this measure. */
static bool begins_case(const struct results *results, size_t at, const char *suite,
                        const char *measure)
{
    const struct figure *figure = &results->figures[at];

    if (strcmp(figure->suite, suite) != 0 || strcmp(figure->measure, measure) != 0)
        return false;
    for (size_t i = 0; i < at; i++) {
        const struct figure *other = &results->figures[i];
        if (strcmp(figure->name, other->name) == 0 && strcmp(figure->suite, other->suite) == 0 &&
            strcmp(figure->measure, other->measure) == 0)
            return false;
    }
    return true;
}

void results_print(const struct results *results, const char *suite, const char *title,
                   const char *measure, const char *const *subjects, double unit)
{
    bool begun = false;

    for (size_t i = 0; i < results->count; i++) {
        double ratio;
        if (!begins_case(results, i, suite, measure))
            continue;
        if (!begun) {
            printf("\n%s\n%-28s", title, "");
            for (size_t s = 0; subjects[s]; s++)
                printf("  %24s", subjects[s]);
            printf("  %8s\n", "ratio");
        }
        begun = true;
        printf("%-28s", results->figures[i].name);
        for (size_t s = 0; subjects[s]; s++)
            print_cell(results, &results->figures[i], subjects[s], unit);
        if (results_ratio(results, suite, results->figures[i].name, measure, &ratio))
            printf("  %7.2fx\n", ratio);
        else
            printf("  %8s\n", "-");
    }
    fflush(stdout);
}
