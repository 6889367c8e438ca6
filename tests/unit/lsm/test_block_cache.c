/* SPDX-License-Identifier: MIT */
#include "lsm/block_cache.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCK_BYTES = 1000, MIB = 1 << 20 };

/* The first bytes of a block are its name, so that a mix-up shows. */
static void insert_sized(struct block_cache *cache, uint64_t table, uint64_t offset, size_t size,
                         bool insert, struct block_pin *pin)
{
    uint8_t *data = memory_zeroed(1, size);
    memcpy(data, &table, sizeof(table));
    memcpy(data + 8, &offset, sizeof(offset));
    struct slice out;
    block_cache_insert(cache, table, offset, data, size, insert, pin, &out);
    assert_int_equal(out.size, size);
    assert_memory_equal(out.data, &table, 8);
    assert_memory_equal(out.data + 8, &offset, 8);
}

static void insert(struct block_cache *cache, uint64_t table, uint64_t offset)
{
    struct block_pin pin;
    insert_sized(cache, table, offset, BLOCK_BYTES, true, &pin);
    block_unpin(&pin);
}

static bool has(struct block_cache *cache, uint64_t table, uint64_t offset)
{
    struct block_pin pin = {NULL};
    struct slice data;
    bool found = block_cache_find(cache, table, offset, &pin, &data);
    if (found) {
        assert_memory_equal(data.data, &table, 8);
        assert_memory_equal(data.data + 8, &offset, 8);
    }
    block_unpin(&pin);
    return found;
}

static struct block_cache_stats stats_of(struct block_cache *cache)
{
    struct block_cache_stats stats;
    block_cache_get_stats(cache, &stats);
    return stats;
}

static void inserted_block_is_found_under_its_name_only(void **state)
{
    (void)state;
    struct block_cache *cache = block_cache_create(MIB);
    insert(cache, 1, 100);
    assert_true(has(cache, 1, 100));
    assert_false(has(cache, 1, 101));
    assert_false(has(cache, 2, 100));
    struct block_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.misses, 2);
    assert_int_equal(stats.inserts, 1);
    block_cache_destroy(cache);
}

static void bytes_stay_within_capacity_and_return_to_the_start(void **state)
{
    (void)state;
    struct block_cache *cache = block_cache_create(MIB);
    uint64_t empty = stats_of(cache).bytes;
    for (uint64_t i = 0; i < 5000; i++) {
        insert(cache, i % 3, i);
        assert_true(stats_of(cache).bytes <= MIB);
    }
    assert_true(stats_of(cache).bytes > MIB * 8 / 10);
    assert_true(stats_of(cache).evictions > 3500);
    for (uint64_t table = 0; table < 3; table++)
        block_cache_erase_table(cache, table);
    /* Only the hash buckets have grown. */
    assert_in_range(stats_of(cache).bytes, empty, empty + 64 * 1024);
    for (uint64_t i = 0; i < 5000; i++)
        assert_false(has(cache, i % 3, i));
    block_cache_destroy(cache);
}

static void scan_does_not_flush_what_is_used(void **state)
{
    (void)state;
    struct block_cache *cache = block_cache_create(MIB);
    for (int round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < 300; i++) {
            if (!has(cache, 1, i))
                insert(cache, 1, i);
        }
    }
    for (uint64_t i = 0; i < 20000; i++)
        insert(cache, 2, i);
    int kept = 0;
    for (uint64_t i = 0; i < 300; i++)
        kept += has(cache, 1, i);
    assert_true(kept > 280);
    block_cache_destroy(cache);
}

static void block_that_comes_back_soon_is_kept_over_a_scan(void **state)
{
    (void)state;
    struct block_cache *cache = block_cache_create(MIB);
    for (uint64_t i = 0; i < 1000; i++)
        insert(cache, 1, i);
    /* Evicted by the fill (capacity is about 900 blocks), and brought back: main queue. */
    uint64_t back[64], count = 0;
    for (uint64_t i = 0; i < 1000 && count < 64; i++) {
        if (!has(cache, 1, i))
            back[count++] = i;
    }
    assert_true(count > 10);
    for (uint64_t i = 0; i < count; i++)
        insert(cache, 1, back[i]);
    for (uint64_t i = 0; i < 600; i++)
        insert(cache, 2, i);
    uint64_t kept = 0;
    for (uint64_t i = 0; i < count; i++)
        kept += has(cache, 1, back[i]);
    assert_true(kept * 10 >= count * 9);
    block_cache_destroy(cache);
}

static void pinned_block_survives_everything(void **state)
{
    (void)state;
    struct block_cache *cache = block_cache_create(MIB);
    struct block_pin pin, copy;
    insert_sized(cache, 7, 7, BLOCK_BYTES, true, &pin);
    for (uint64_t i = 0; i < 5000; i++)
        insert(cache, 1, i);
    assert_true(has(cache, 7, 7));
    block_pin_copy(pin, &copy);
    block_unpin(&pin);
    assert_null(pin.block);
    block_unpin(&pin); /* empty: nothing happens */
    block_cache_set_capacity(cache, 0);
    assert_true(has(cache, 7, 7));
    struct slice data;
    assert_true(block_cache_find(cache, 7, 7, &pin, &data));
    block_cache_erase_table(cache, 7);
    assert_false(has(cache, 7, 7));
    block_cache_destroy(cache);
    assert_int_equal(data.data[0], 7);
    block_unpin(&pin);
    block_unpin(&copy);
}

static void newest_block_stays_even_when_it_is_larger_than_the_cache(void **state)
{
    (void)state;
    struct block_cache *cache = block_cache_create(64 * 1024);
    struct block_pin pin;
    insert_sized(cache, 1, 1, MIB, true, &pin);
    block_unpin(&pin);
    assert_true(has(cache, 1, 1));
    for (uint64_t i = 0; i < 1000; i++)
        insert(cache, 2, i);
    assert_false(has(cache, 1, 1));
    assert_true(stats_of(cache).bytes < 128 * 1024);
    block_cache_destroy(cache);
}

/* The bytes of blocks when more were inserted than fit. */
static uint64_t bytes_when_full(struct block_cache *cache)
{
    for (uint64_t i = 0; i < 6000; i++)
        insert(cache, 3, i);
    return stats_of(cache).bytes;
}

static void blocks_make_room_for_what_is_charged_up_to_half(void **state)
{
    (void)state;
    struct block_cache *cache = block_cache_create(4 * MIB);
    uint64_t all = bytes_when_full(cache);
    assert_in_range(all, 3 * MIB, 4 * MIB);
    block_cache_charge(cache, MIB);
    assert_int_equal(stats_of(cache).charged_bytes, MIB);
    assert_in_range(stats_of(cache).bytes, all - 2 * MIB, 3 * MIB); /* at once */
    assert_in_range(bytes_when_full(cache), 2 * MIB, 3 * MIB);
    block_cache_charge(cache, 100 * MIB);
    assert_in_range(bytes_when_full(cache), MIB, 2 * MIB);
    block_cache_set_capacity(cache, 2 * MIB);
    assert_in_range(bytes_when_full(cache), MIB / 2, MIB);
    block_cache_set_capacity(cache, 4 * MIB);
    block_cache_discharge(cache, 101 * MIB);
    assert_int_equal(stats_of(cache).charged_bytes, 0);
    assert_in_range(bytes_when_full(cache), 3 * MIB, 4 * MIB);
    block_cache_destroy(cache);
}

static void wrapped_block_is_not_in_the_cache(void **state)
{
    (void)state;
    struct block_cache *cache = block_cache_create(MIB);
    struct block_pin pin;
    uint64_t before = stats_of(cache).bytes;
    insert_sized(cache, 1, 1, BLOCK_BYTES, false, &pin);
    assert_false(has(cache, 1, 1));
    assert_int_equal(stats_of(cache).bytes, before);
    block_unpin(&pin);
    block_cache_destroy(cache);
}

static void second_insert_gives_the_first_block(void **state)
{
    (void)state;
    struct block_cache *cache = block_cache_create(MIB);
    struct block_pin first, second;
    insert_sized(cache, 1, 1, BLOCK_BYTES, true, &first);
    insert_sized(cache, 1, 1, BLOCK_BYTES, true, &second);
    assert_ptr_equal(first.block, second.block);
    block_unpin(&first);
    block_unpin(&second);
    assert_int_equal(stats_of(cache).inserts, 1);
    block_cache_destroy(cache);
}

static void *use_from_a_thread(void *context)
{
    struct block_cache *cache = context;
    struct random random;
    random_init(&random, (uint64_t)(uintptr_t)&random ^ test_seed());
    for (int i = 0; i < 20000; i++) {
        uint64_t table = random_below(&random, 4), offset = random_below(&random, 200);
        struct block_pin pin = {NULL}, copy = {NULL};
        struct slice data;
        if (!block_cache_find(cache, table, offset, &pin, &data))
            insert_sized(cache, table, offset, BLOCK_BYTES, i % 5 > 0, &pin);
        else if (memcmp(data.data, &table, 8) != 0 || memcmp(data.data + 8, &offset, 8) != 0)
            return (void *)1;
        block_pin_copy(pin, &copy);
        block_unpin(&pin);
        if (i % 1000 == 0)
            block_cache_erase_table(cache, table);
        if (i % 3000 == 0)
            block_cache_set_capacity(cache, 100000 + random_below(&random, 500000));
        block_unpin(&copy);
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    (void)state;
    struct block_cache *cache = block_cache_create(300 * 1000);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_from_a_thread, cache), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    block_cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inserted_block_is_found_under_its_name_only),
        cmocka_unit_test(bytes_stay_within_capacity_and_return_to_the_start),
        cmocka_unit_test(scan_does_not_flush_what_is_used),
        cmocka_unit_test(block_that_comes_back_soon_is_kept_over_a_scan),
        cmocka_unit_test(pinned_block_survives_everything),
        cmocka_unit_test(newest_block_stays_even_when_it_is_larger_than_the_cache),
        cmocka_unit_test(blocks_make_room_for_what_is_charged_up_to_half),
        cmocka_unit_test(wrapped_block_is_not_in_the_cache),
        cmocka_unit_test(second_insert_gives_the_first_block),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
