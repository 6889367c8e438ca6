/* SPDX-License-Identifier: MIT */
#include "bench/ycsb.h"

#include "base/memory.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

enum { TEXT_BYTES = 1 << 20, NUMBER_DIGITS = 16 };

static const double THETA = 0.99;
/* YCSB draws scrambled ranks from so many items, whatever the number of records; their zeta is known. */
static const uint64_t SCRAMBLED_ITEMS = 10000000000;
static const double SCRAMBLED_ZETA = 26.46902820178302;

static const struct ycsb_workload workloads[] = {
    {'A', {[YCSB_READ] = 50, [YCSB_UPDATE] = 50}, YCSB_ZIPFIAN},
    {'B', {[YCSB_READ] = 95, [YCSB_UPDATE] = 5}, YCSB_ZIPFIAN},
    {'C', {[YCSB_READ] = 100}, YCSB_ZIPFIAN},
    {'D', {[YCSB_READ] = 95, [YCSB_INSERT] = 5}, YCSB_LATEST},
    {'E', {[YCSB_SCAN] = 95, [YCSB_INSERT] = 5}, YCSB_ZIPFIAN},
    {'F', {[YCSB_READ] = 50, [YCSB_READ_MODIFY_WRITE] = 50}, YCSB_ZIPFIAN},
};

const struct ycsb_workload *ycsb_workload(char letter)
{
    return letter >= 'A' && letter <= 'F' ? &workloads[letter - 'A'] : NULL;
}

/* ---- Distributions ----------------------------------------------------------------------------- */

/* 0 <= result < 1. */
static double random_fraction(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

/* As YCSB does it: by octets, from the lowest; of the result, a signed number, the absolute value. */
static uint64_t fnv64(uint64_t value)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (int i = 0; i < 8; i++) {
        hash ^= value >> (8 * i) & 0xff;
        hash *= 1099511628211;
    }
    return hash >> 63 ? -hash : hash;
}

static double zeta_from(uint64_t from, uint64_t count, double theta, double sum)
{
    for (uint64_t i = from; i < count; i++)
        sum += 1 / pow((double)(i + 1), theta);
    return sum;
}

double ycsb_zeta(uint64_t count, double theta)
{
    return zeta_from(0, count, theta, 0);
}

static void zipf_with(struct ycsb_zipf *zipf, uint64_t count, double theta, double zeta)
{
    assert(count > 0);
    zipf->count = count;
    zipf->theta = theta;
    zipf->zeta = zeta;
    zipf->zeta2 = ycsb_zeta(2, theta);
    zipf->alpha = 1 / (1 - theta);
    zipf->eta = (1 - pow(2 / (double)count, 1 - theta)) / (1 - zipf->zeta2 / zeta);
}

void ycsb_zipf_init(struct ycsb_zipf *zipf, uint64_t count, double theta)
{
    zipf_with(zipf, count, theta, ycsb_zeta(count, theta));
}

void ycsb_zipf_grow(struct ycsb_zipf *zipf, uint64_t count)
{
    if (count > zipf->count)
        zipf_with(zipf, count, zipf->theta, zeta_from(zipf->count, count, zipf->theta, zipf->zeta));
}

uint64_t ycsb_zipf_next(const struct ycsb_zipf *zipf, struct random *random)
{
    double u = random_fraction(random), uz = u * zipf->zeta;

    if (uz < 1 || zipf->count == 1)
        return 0;
    if (uz < zipf->zeta2 || zipf->count == 2)
        return 1;
    uint64_t rank =
        (uint64_t)((double)zipf->count * pow(zipf->eta * u - zipf->eta + 1, zipf->alpha));
    return rank < zipf->count ? rank : zipf->count - 1;
}

/* ---- Records that exist ------------------------------------------------------------------------ */

void ycsb_records_init(struct ycsb_records *records, uint64_t count)
{
    *records = (struct ycsb_records){.begun = count, .acknowledged = count};
    pthread_mutex_init(&records->lock, NULL);
}

void ycsb_records_release(struct ycsb_records *records)
{
    pthread_mutex_destroy(&records->lock);
}

uint64_t ycsb_records_count(const struct ycsb_records *records)
{
    return __atomic_load_n(&records->acknowledged, __ATOMIC_ACQUIRE);
}

static uint64_t begin_insert(struct ycsb_records *records)
{
    pthread_mutex_lock(&records->lock);
    uint64_t number = records->begun++;
    assert(number - records->acknowledged < YCSB_INSERTS_AT_ONCE_MAX);
    pthread_mutex_unlock(&records->lock);
    return number;
}

void ycsb_inserted(struct ycsb_records *records, uint64_t number)
{
    pthread_mutex_lock(&records->lock);
    uint64_t end = records->acknowledged;
    records->ends[number % YCSB_INSERTS_AT_ONCE_MAX] = true;
    while (records->ends[end % YCSB_INSERTS_AT_ONCE_MAX]) {
        records->ends[end % YCSB_INSERTS_AT_ONCE_MAX] = false;
        end++;
    }
    __atomic_store_n(&records->acknowledged, end, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&records->lock);
}

/* ---- Choosing ---------------------------------------------------------------------------------- */

void ycsb_chooser_init(struct ycsb_chooser *chooser, const struct ycsb_workload *workload,
                       struct ycsb_records *records, uint64_t seed)
{
    chooser->workload = workload;
    chooser->records = records;
    random_init(&chooser->random, seed);
    if (workload->distribution == YCSB_LATEST)
        ycsb_zipf_init(&chooser->zipf, ycsb_records_count(records), THETA);
    else
        zipf_with(&chooser->zipf, SCRAMBLED_ITEMS, THETA, SCRAMBLED_ZETA);
}

static uint64_t choose_record(struct ycsb_chooser *chooser)
{
    uint64_t count = ycsb_records_count(chooser->records);

    switch (chooser->workload->distribution) {
    case YCSB_UNIFORM:
        return random_below(&chooser->random, count);
    case YCSB_ZIPFIAN:
        return fnv64(ycsb_zipf_next(&chooser->zipf, &chooser->random)) % count;
    case YCSB_LATEST:
        ycsb_zipf_grow(&chooser->zipf, count);
        return count - 1 - ycsb_zipf_next(&chooser->zipf, &chooser->random);
    }
    assert(!"a distribution");
    return 0;
}

void ycsb_next(struct ycsb_chooser *chooser, struct ycsb_request *request)
{
    unsigned percent = (unsigned)random_below(&chooser->random, 100);
    unsigned operation = 0;

    while (percent >= chooser->workload->percents[operation])
        percent -= chooser->workload->percents[operation++];
    request->operation = operation;
    request->number =
        operation == YCSB_INSERT ? begin_insert(chooser->records) : choose_record(chooser);
    request->scan_count =
        operation == YCSB_SCAN ? 1 + (unsigned)random_below(&chooser->random, YCSB_SCAN_MAX) : 0;
}

/* ---- Keys and records -------------------------------------------------------------------------- */

size_t ycsb_key(uint64_t number, char key[YCSB_KEY_BYTES_MAX])
{
    char text[YCSB_KEY_BYTES_MAX + 1];
    int size = snprintf(text, sizeof text, "user%llu", (unsigned long long)fnv64(number));

    memcpy(key, text, (size_t)size);
    return (size_t)size;
}

void ycsb_texts_init(struct ycsb_texts *texts, uint64_t seed)
{
    struct random random;

    random_init(&random, seed);
    texts->data = memory_allocate(TEXT_BYTES);
    for (size_t i = 0; i < TEXT_BYTES; i++)
        texts->data[i] = (char)(' ' + random_below(&random, '~' - ' ' + 1));
}

void ycsb_texts_release(struct ycsb_texts *texts)
{
    memory_free(texts->data);
    texts->data = NULL;
}

static void write_number(uint64_t number, char digits[NUMBER_DIGITS])
{
    for (int i = 0; i < NUMBER_DIGITS; i++)
        digits[i] = "0123456789abcdef"[number >> (4 * (NUMBER_DIGITS - 1 - i)) & 15];
}

void ycsb_record(const struct ycsb_texts *texts, struct random *random, uint64_t number,
                 char record[YCSB_RECORD_BYTES])
{
    size_t from = random_below(random, TEXT_BYTES - YCSB_RECORD_BYTES);

    memcpy(record, texts->data + from, YCSB_RECORD_BYTES);
    write_number(number, record);
}

bool ycsb_record_is(struct slice value, uint64_t number)
{
    char digits[NUMBER_DIGITS];

    write_number(number, digits);
    return value.size == YCSB_RECORD_BYTES && memcmp(value.data, digits, NUMBER_DIGITS) == 0;
}
