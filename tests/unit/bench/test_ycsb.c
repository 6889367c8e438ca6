/* SPDX-License-Identifier: MIT */
/* Shares are compared with their formulas; the leeway is six standard deviations, so that a right
 * generator fails for one seed in 10^8. */
#include "base/memory.h"
#include "bench/ycsb.h"
#include "lib/seed.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { DRAWS = 400000 };

static void assert_share(uint64_t hits, uint64_t draws, double share)
{
    double deviation = sqrt(share * (1 - share) / (double)draws);
    double seen = (double)hits / (double)draws;

    if (fabs(seen - share) > 6 * deviation + 1e-12)
        fail_msg("share %.5f of %llu draws, %.5f by the formula", seen, (unsigned long long)draws,
                 share);
}

static void zeta_has_the_published_value(void **state)
{
    (void)state;
    assert_true(fabs(ycsb_zeta(1, 0.99) - 1) < 1e-12);
    assert_true(fabs(ycsb_zeta(3, 1) - (1 + 1.0 / 2 + 1.0 / 3)) < 1e-12);
    /* By Euler and Maclaurin from 10^6 on, to the value that YCSB has for 10^10 items. */
    double to = 1e10, from = 1e6, theta = 0.99;
    double rest = (pow(to, 1 - theta) - pow(from, 1 - theta)) / (1 - theta) +
                  (pow(to, -theta) - pow(from, -theta)) / 2;
    assert_true(fabs(ycsb_zeta((uint64_t)from, theta) + rest - 26.46902820178302) < 1e-6);
}

static void zipf_shares_follow_the_formula(void **state)
{
    static const uint64_t counts[] = {1, 2, 3, 1000, 100000};
    struct random random;

    (void)state;
    random_init(&random, test_seed());
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        uint64_t count = counts[c], hits[3] = {0}, below_100 = 0;
        struct ycsb_zipf zipf;
        ycsb_zipf_init(&zipf, count, 0.99);
        for (int i = 0; i < DRAWS; i++) {
            uint64_t rank = ycsb_zipf_next(&zipf, &random);
            assert_true(rank < count);
            hits[rank < 2 ? rank : 2]++;
            below_100 += rank < 100;
        }
        double zeta = ycsb_zeta(count, 0.99);
        assert_share(hits[0], DRAWS, 1 / zeta);
        if (count > 1)
            assert_share(hits[1], DRAWS, pow(2, -0.99) / zeta);
        /* Beyond rank 1 the method is an approximation. */
        if (count > 100)
            assert_true(fabs((double)below_100 / DRAWS - ycsb_zeta(100, 0.99) / zeta) < 0.02);
    }
}

static void zipf_that_grew_equals_one_made_so_large(void **state)
{
    struct ycsb_zipf grown, made;

    (void)state;
    ycsb_zipf_init(&grown, 10, 0.99);
    for (uint64_t count = 11; count <= 5000; count += 7)
        ycsb_zipf_grow(&grown, count);
    ycsb_zipf_grow(&grown, 5000);
    ycsb_zipf_grow(&grown, 4000); /* never shrinks */
    ycsb_zipf_init(&made, 5000, 0.99);
    assert_int_equal(grown.count, 5000);
    assert_true(fabs(grown.zeta - made.zeta) < 1e-9 && fabs(grown.eta - made.eta) < 1e-9);
}

static unsigned count_of_most_frequent(const unsigned *counts, size_t size, size_t *which)
{
    *which = 0;
    for (size_t i = 1; i < size; i++)
        if (counts[i] > counts[*which])
            *which = i;
    return counts[*which];
}

/* FNV of rank 0 lies where YCSB puts it, and has the share 1 / zeta(10^10) besides its part of the many
 * rare ranks that are hashed onto it too. */
static void zipfian_records_are_hot_but_scattered(void **state)
{
    enum { RECORDS = 1000 };
    struct ycsb_records records;
    struct ycsb_chooser chooser;
    unsigned *hits = memory_zeroed(RECORDS, sizeof *hits);
    size_t hottest;

    (void)state;
    ycsb_records_init(&records, RECORDS);
    ycsb_chooser_init(&chooser, ycsb_workload('C'), &records, test_seed());
    for (int i = 0; i < DRAWS; i++) {
        struct ycsb_request request;
        ycsb_next(&chooser, &request);
        assert_int_equal(request.operation, YCSB_READ);
        assert_true(request.number < RECORDS);
        hits[request.number]++;
    }
    double share = (double)count_of_most_frequent(hits, RECORDS, &hottest) / DRAWS;
    assert_int_equal(hottest, 6284781860667377211 % RECORDS); /* what YCSB hashes 0 to */
    assert_true(share > 1 / 26.46902820178302 && share < 1 / 26.46902820178302 + 0.005);
    unsigned untouched = 0;
    for (size_t i = 0; i < RECORDS; i++)
        untouched += hits[i] == 0;
    assert_int_equal(untouched, 0);
    ycsb_records_release(&records);
    memory_free(hits);
}

static void latest_prefers_what_was_inserted_last(void **state)
{
    enum { RECORDS = 1000 };
    struct ycsb_records records;
    struct ycsb_chooser chooser;
    uint64_t reads = 0, newest = 0;

    (void)state;
    ycsb_records_init(&records, RECORDS);
    ycsb_chooser_init(&chooser, ycsb_workload('D'), &records, test_seed());
    for (int i = 0; i < DRAWS; i++) {
        struct ycsb_request request;
        uint64_t count = ycsb_records_count(&records);
        ycsb_next(&chooser, &request);
        if (request.operation == YCSB_INSERT) {
            assert_int_equal(request.number, count);
            ycsb_inserted(&records, request.number);
            continue;
        }
        assert_true(request.number < count);
        reads++;
        newest += request.number == count - 1;
    }
    /* zeta grows from that of 1000 records to that of 21,000: the share lies between. */
    double share = (double)newest / (double)reads;
    assert_true(share < 1 / ycsb_zeta(RECORDS, 0.99));
    assert_true(share > 1 / ycsb_zeta(ycsb_records_count(&records), 0.99));
    ycsb_records_release(&records);
}

static void uniform_is_uniform(void **state)
{
    enum { RECORDS = 20 };
    const struct ycsb_workload workload = {'U', {[YCSB_READ] = 100}, YCSB_UNIFORM};
    struct ycsb_records records;
    struct ycsb_chooser chooser;
    uint64_t hits[RECORDS] = {0};

    (void)state;
    ycsb_records_init(&records, RECORDS);
    ycsb_chooser_init(&chooser, &workload, &records, test_seed());
    for (int i = 0; i < DRAWS; i++) {
        struct ycsb_request request;
        ycsb_next(&chooser, &request);
        hits[request.number]++;
    }
    for (int i = 0; i < RECORDS; i++)
        assert_share(hits[i], DRAWS, 1.0 / RECORDS);
    ycsb_records_release(&records);
}

static void workloads_have_their_mix(void **state)
{
    static const double shares[6][YCSB_OPERATIONS] = {
        {0.5, 0.5}, {0.95, 0.05}, {1}, {0.95, 0, 0.05}, {0, 0, 0.05, 0.95}, {0.5, 0, 0, 0, 0.5},
    };

    (void)state;
    assert_null(ycsb_workload('G'));
    assert_null(ycsb_workload('a'));
    for (char letter = 'A'; letter <= 'F'; letter++) {
        struct ycsb_records records;
        struct ycsb_chooser chooser;
        uint64_t counts[YCSB_OPERATIONS] = {0}, lengths = 0;
        unsigned shortest = YCSB_SCAN_MAX, longest = 0;
        ycsb_records_init(&records, 100);
        ycsb_chooser_init(&chooser, ycsb_workload(letter), &records, test_seed());
        for (int i = 0; i < DRAWS; i++) {
            struct ycsb_request request;
            ycsb_next(&chooser, &request);
            counts[request.operation]++;
            if (request.operation == YCSB_INSERT)
                ycsb_inserted(&records, request.number);
            if (request.operation != YCSB_SCAN)
                continue;
            lengths += request.scan_count;
            shortest = request.scan_count < shortest ? request.scan_count : shortest;
            longest = request.scan_count > longest ? request.scan_count : longest;
        }
        for (int o = 0; o < YCSB_OPERATIONS; o++)
            assert_share(counts[o], DRAWS, shares[letter - 'A'][o]);
        if (letter == 'E') {
            assert_true(shortest == 1 && longest == YCSB_SCAN_MAX);
            assert_true(fabs((double)lengths / (double)counts[YCSB_SCAN] - 50.5) < 0.5);
        }
        assert_int_equal(ycsb_records_count(&records), 100 + counts[YCSB_INSERT]);
        ycsb_records_release(&records);
    }
}

/* Threads finish their inserts in any order; nobody may choose a record that is not there. */
static void records_exist_once_all_older_ones_do(void **state)
{
    const struct ycsb_workload inserts = {'I', {[YCSB_INSERT] = 100}, YCSB_UNIFORM};
    struct ycsb_records records;
    struct ycsb_chooser chooser;
    struct ycsb_request requests[4];

    (void)state;
    ycsb_records_init(&records, 10);
    ycsb_chooser_init(&chooser, &inserts, &records, 1);
    for (int i = 0; i < 4; i++) {
        ycsb_next(&chooser, &requests[i]);
        assert_int_equal(requests[i].number, 10 + i);
    }
    ycsb_inserted(&records, 12);
    ycsb_inserted(&records, 11);
    assert_int_equal(ycsb_records_count(&records), 10);
    ycsb_inserted(&records, 10);
    assert_int_equal(ycsb_records_count(&records), 13);
    ycsb_inserted(&records, 13);
    assert_int_equal(ycsb_records_count(&records), 14);
    ycsb_records_release(&records);
}

static void records_and_keys_are_recognised(void **state)
{
    struct ycsb_texts texts;
    struct random random;
    char key[YCSB_KEY_BYTES_MAX], record[YCSB_RECORD_BYTES], other[YCSB_RECORD_BYTES];

    (void)state;
    ycsb_texts_init(&texts, 1);
    random_init(&random, test_seed());
    size_t size = ycsb_key(0, key);
    assert_true(slice_equal(slice_make(key, size), slice_from("user6284781860667377211")));
    ycsb_record(&texts, &random, 77, record);
    ycsb_record(&texts, &random, 77, other);
    assert_memory_not_equal(record, other, YCSB_RECORD_BYTES); /* an update changes something */
    assert_true(ycsb_record_is(slice_make(record, YCSB_RECORD_BYTES), 77));
    assert_false(ycsb_record_is(slice_make(record, YCSB_RECORD_BYTES), 78));
    assert_false(ycsb_record_is(slice_make(record, YCSB_RECORD_BYTES - 1), 77));
    for (size_t i = 0; i < YCSB_RECORD_BYTES; i++)
        assert_true(record[i] >= ' ' && record[i] <= '~');
    ycsb_texts_release(&texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeta_has_the_published_value),
        cmocka_unit_test(zipf_shares_follow_the_formula),
        cmocka_unit_test(zipf_that_grew_equals_one_made_so_large),
        cmocka_unit_test(zipfian_records_are_hot_but_scattered),
        cmocka_unit_test(latest_prefers_what_was_inserted_last),
        cmocka_unit_test(uniform_is_uniform),
        cmocka_unit_test(workloads_have_their_mix),
        cmocka_unit_test(records_exist_once_all_older_ones_do),
        cmocka_unit_test(records_and_keys_are_recognised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
