/* SPDX-License-Identifier: MIT */
/* A main for a fuzzer, where there is no libFuzzer: runs the corpus that is kept in the tree
 * (corpus/<fuzzer>/ beside this file), then the fuzzer's own seeds, then random mutations and splices
 * of all of them.
 *
 *      fuzz_resp                   SEED=n FUZZ_RUNS=n FUZZ_SECONDS=n bound and repeat a run
 *      fuzz_resp file ...          runs these files and nothing else
 *      fuzz_resp --write-seeds dir writes the seeds as files, a corpus for libFuzzer
 *
 * FUZZ_CORPUS= names another folder of corpora. An input that breaks the fuzzer is left behind in
 * <program>.crash. */
#include "fuzz/fuzz.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_BYTES_MAX = 64 * 1024, INPUTS_MAX = 4000, RUNS = 200000, SECONDS = 3 };

/* What no input of this size has reason to take at once. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "max_allocation_size_mb=256";
}

struct corpus {
    struct buffer inputs[INPUTS_MAX];
    size_t count;
};

static struct corpus corpus;
static struct buffer current; /* the input that runs now, for the signal handler */
static char crash_path[256];

static void save_current(int number)
{
    int file = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    size_t done = 0;

    while (file >= 0 && done < current.size) {
        ssize_t written = write(file, current.data + done, current.size - done);
        if (written <= 0)
            break;
        done += (size_t)written;
    }
    signal(number, SIG_DFL);
    raise(number);
}

/* Runs a copy of just the input's size, so that a sanitizer sees a byte too far. */
static void run(const struct buffer *input)
{
    current = *input;
    uint8_t *copy = memory_copy(input->data, input->size);
    LLVMFuzzerTestOneInput(copy, input->size);
    memory_free(copy);
}

static struct buffer *add_input(void)
{
    return corpus.count < INPUTS_MAX ? &corpus.inputs[corpus.count++] : NULL;
}

static bool load_file(const char *path)
{
    struct buffer *input = add_input();
    FILE *file = fopen(path, "rb");

    if (!input || !file) {
        fprintf(stderr, "%s: %s\n", path, input ? strerror(errno) : "too many inputs");
        if (file)
            fclose(file);
        return false;
    }
    buffer_reserve(input, INPUT_BYTES_MAX);
    input->size = fread(input->data, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    return true;
}

/* All files of the folder, by name, so that a seed repeats a run. The folder is there: a corpus that
 * is not found must not look like one that holds. */
static bool load_folder(const char *path)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    bool ok = count >= 0;

    if (!ok)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        char file[1024];
        snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        ok = ok && (names[i]->d_name[0] == '.' || load_file(file));
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    return ok;
}

static void load_seeds(void)
{
    for (size_t i = 0; fuzz_seed && i < INPUTS_MAX; i++) {
        struct buffer *input = add_input();
        if (!input)
            return;
        if (!fuzz_seed(i, input)) {
            corpus.count--;
            return;
        }
    }
}

static bool write_seeds(const char *directory)
{
    char path[512];

    load_seeds();
    for (size_t i = 0; i < corpus.count; i++) {
        snprintf(path, sizeof path, "%s/seed-%zu", directory, i);
        FILE *file = fopen(path, "wb");
        size_t size = corpus.inputs[i].size;
        if (!file || fwrite(corpus.inputs[i].data, 1, size, file) != size || fclose(file)) {
            perror(path);
            return false;
        }
    }
    return true;
}

/* ---- Mutations ----------------------------------------------------------------------------- */

static uint8_t interesting_byte(struct random *random)
{
    static const uint8_t bytes[] = {0,   1,   0x7f, 0x80, 0xff, '\r', '\n',
                                    '$', '*', '"',  '\\', '{',  '}',  '-'};

    return random_below(random, 2) ? bytes[random_below(random, sizeof bytes)]
                                   : (uint8_t)random_next(random);
}

static void insert(struct buffer *input, size_t at, const void *data, size_t size)
{
    if (input->size + size > INPUT_BYTES_MAX)
        return;
    buffer_reserve(input, size);
    memmove(input->data + at + size, input->data + at, input->size - at);
    memcpy(input->data + at, data, size);
    input->size += size;
}

static void mutate_once(struct random *random, struct buffer *input)
{
    size_t at = random_below(random, input->size + 1);
    size_t left = input->size - at;
    size_t size = left ? 1 + random_below(random, left < 16 ? left : 16) : 0;
    uint8_t byte = interesting_byte(random);
    const struct buffer *other = &corpus.inputs[random_below(random, corpus.count)];

    switch (random_below(random, 7)) {
    case 0: /* flip a bit */
        if (left)
            input->data[at] ^= (uint8_t)(1 << random_below(random, 8));
        break;
    case 1: /* set a byte */
        if (left)
            input->data[at] = byte;
        break;
    case 2: /* insert a byte */
        insert(input, at, &byte, 1);
        break;
    case 3: /* cut a piece out */
        memmove(input->data + at, input->data + at + size, left - size);
        input->size -= size;
        break;
    case 4: /* double a piece */
        if (size) {
            uint8_t piece[16];
            memcpy(piece, input->data + at, size);
            insert(input, at, piece, size);
        }
        break;
    case 5: /* cut the end off */
        if (random_below(random, 4) == 0)
            input->size = at;
        break;
    default: /* go on as another input does */
        if (other->size) {
            size_t from = random_below(random, other->size);
            insert(input, at, other->data + from, random_below(random, other->size - from) + 1);
        }
        break;
    }
}

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
    const char *given = getenv(name);

    return given ? strtoull(given, NULL, 0) : otherwise;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t run_mutations(void)
{
    uint64_t runs_max = environment_number("FUZZ_RUNS", RUNS), runs = 0;
    uint64_t stop_ms = now_ms() + 1000 * environment_number("FUZZ_SECONDS", SECONDS);
    struct random random;
    struct buffer input = {0};

    random_init(&random, test_seed());
    for (; runs < runs_max && now_ms() < stop_ms; runs++) {
        const struct buffer *parent = &corpus.inputs[random_below(&random, corpus.count)];
        buffer_clear(&input);
        buffer_reserve(&input, 1); /* never without memory */
        buffer_append(&input, parent->data, parent->size);
        for (uint64_t count = 1 + random_below(&random, 8); count > 0; count--)
            mutate_once(&random, &input);
        run(&input);
    }
    buffer_release(&input);
    return runs;
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];

    if (argc == 3 && strcmp(argv[1], "--write-seeds") == 0)
        return write_seeds(argv[2]) ? 0 : 1;
    snprintf(crash_path, sizeof crash_path, "%s.crash", argv[0]);
    signal(SIGABRT, save_current);
    signal(SIGSEGV, save_current);
    bool only_files = argc > 1;
    for (int i = 1; i < argc; i++)
        if (!load_file(argv[i]))
            return 1;
    if (!only_files) {
        char folder[512];
        const char *corpora = getenv("FUZZ_CORPUS");
        snprintf(folder, sizeof folder, "%s/%s", corpora ? corpora : "tests/fuzz/corpus", name);
        if (!load_folder(folder))
            return 1;
        load_seeds();
        (void)add_input(); /* the empty input; all slots taken is fine, too */
    }
    for (size_t i = 0; i < corpus.count; i++)
        run(&corpus.inputs[i]);
    uint64_t runs = only_files ? 0 : run_mutations();
    printf("ran: %zu inputs of %s, %llu mutations\n", corpus.count, name, (unsigned long long)runs);
    for (size_t i = 0; i < corpus.count; i++)
        buffer_release(&corpus.inputs[i]);
    return 0;
}
