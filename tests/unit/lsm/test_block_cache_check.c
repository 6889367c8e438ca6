/* SPDX-License-Identifier: MIT */
/* block_cache_check finds each damage of the cache's structure. The source is included, since nobody
 * else sees that structure. */
#include "lsm/block_cache.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct block_cache *cache;
static struct shard *shard;        /* one with several blocks on probation */
static struct cached_block *block; /* in the middle of its queue */

static int setup(void **state)
{
    (void)state;
    cache = block_cache_create(1 << 20);
    for (uint64_t offset = 0; offset < 200; offset++) {
        struct block_pin pin;
        struct slice out;
        block_cache_insert(cache, 7, offset, memory_zeroed(1, 100), 100, true, &pin, &out);
        block_unpin(&pin);
    }
    shard = &cache->shards[3];
    assert_true(shard->queues[QUEUE_PROBATION].count > 2);
    block = shard->queues[QUEUE_PROBATION].oldest->newer;
    return 0;
}

static void expect(const char *part)
{
    struct lsm_report report = {""};
    assert_int_equal(block_cache_check(cache, &report), part ? STATUS_CORRUPT : STATUS_OK);
    if (part && !strstr(report.text, part))
        fail_msg("'%s' does not say '%s'", report.text, part);
}

static int teardown(void **state)
{
    (void)state;
    expect(NULL); /* every damage was taken back */
    block_cache_destroy(cache);
    return 0;
}

static void damage_of_queues_is_found(void **state)
{
    (void)state;
    struct block_queue *queue = &shard->queues[QUEUE_PROBATION];
    struct cached_block *older = block->older, *newest = queue->newest;
    expect(NULL);
    block->older = NULL;
    expect("block cache: table 000007, offset");
    expect("its place in the queue is wrong");
    block->older = older;
    queue->bytes++;
    expect("a queue counts");
    queue->bytes--;
    queue->count++;
    expect("a queue counts");
    queue->count--;
    queue->newest = block;
    expect("the newest block of a queue is not its last");
    queue->newest = newest;
}

static void damage_of_names_is_found(void **state)
{
    (void)state;
    block->offset += 1000;
    expect("it is not found under its name");
    block->offset -= 1000;
    struct cached_block other = *block;
    struct cached_block **bucket = &shard->buckets[(block->hash + 1) & (shard->bucket_count - 1)];
    other.bucket_next = *bucket;
    *bucket = &other;
    expect("blocks have a name,");
    *bucket = other.bucket_next;
}

static void a_block_that_nobody_holds_is_found(void **state)
{
    (void)state;
    atomic_store(&block->references, 0);
    expect("nobody holds it");
    atomic_store(&block->references, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(damage_of_queues_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_of_names_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_block_that_nobody_holds_is_found, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
