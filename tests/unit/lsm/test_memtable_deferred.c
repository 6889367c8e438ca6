/* SPDX-License-Identifier: MIT */
/* A memtable whose order is deferred beside one that is told the same and keeps its order all the time. */
#include "lsm/memtable.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { PUTS = 6000, LARGE_VALUE_BYTES = 2000 };

struct pair {
    struct memtable *deferred, *plain;
    struct random random;
    lsn_t lsn;
};

static lsn_t get_safe_lsn(void *context)
{
    return ((const struct pair *)context)->lsn / 2;
}

static void pair_init(struct pair *pair, uint32_t finger_prefix, bool has_hash)
{
    const struct memtable_options options = {.bytes_expected = 1 << 20,
                                             .finger_prefix_bytes = finger_prefix,
                                             .has_hash = has_hash,
                                             .safe_lsn = get_safe_lsn,
                                             .context = pair};
    pair->deferred = memtable_create(&options);
    pair->plain = memtable_create(&options);
    pair->lsn = 10;
    random_init(&pair->random, test_seed());
    memtable_order_defer(pair->deferred);
}

static void pair_release(struct pair *pair)
{
    memtable_destroy(pair->deferred);
    memtable_destroy(pair->plain);
}

static void pair_put(struct pair *pair, struct slice key, enum entry_kind kind, struct slice value)
{
    memtable_put(pair->deferred, key, pair->lsn, kind, value);
    memtable_put(pair->plain, key, pair->lsn, kind, value);
}

static void assert_same_get(struct pair *pair, struct slice key, lsn_t lsn)
{
    enum entry_kind kind[2];
    lsn_t found[2];
    struct slice value[2];
    bool there = memtable_get(pair->plain, key, lsn, &kind[0], &found[0], &value[0]);
    assert_int_equal(memtable_get(pair->deferred, key, lsn, &kind[1], &found[1], &value[1]), there);
    if (!there)
        return;
    assert_int_equal(kind[1], kind[0]);
    assert_int_equal(found[1], found[0]);
    assert_true(slice_equal(value[1], value[0]));
}

/* Every version of every key, and all that is counted. */
static void assert_same(struct pair *pair)
{
    struct lsm_report report = {""};
    if (memtable_check(pair->deferred, 0, UINT64_MAX, &report) != STATUS_OK)
        fail_msg("%s", report.text);
    assert_int_equal(memtable_bytes(pair->deferred), memtable_bytes(pair->plain));
    assert_int_equal(memtable_node_count(pair->deferred), memtable_node_count(pair->plain));
    assert_int_equal(memtable_version_count(pair->deferred), memtable_version_count(pair->plain));
    assert_int_equal(memtable_delete_count(pair->deferred), memtable_delete_count(pair->plain));
    struct cursor *found = memtable_cursor_create_all(pair->deferred);
    struct cursor *expected = memtable_cursor_create_all(pair->plain);
    found->ops->first(found);
    expected->ops->first(expected);
    while (expected->valid) {
        assert_true(found->valid);
        assert_true(slice_equal(found->key, expected->key));
        assert_true(slice_equal(found->value, expected->value));
        assert_int_equal(found->lsn, expected->lsn);
        assert_int_equal(found->kind, expected->kind);
        found->ops->next(found);
        expected->ops->next(expected);
    }
    assert_false(found->valid);
    found->ops->destroy(found);
    expected->ops->destroy(expected);
}

/* Keys of all forms that sorting tells apart. */
static struct slice random_key(struct pair *pair, char text[128])
{
    unsigned number = (unsigned)random_below(&pair->random, 3 * PUTS);
    int size = 0;
    switch (random_below(&pair->random, 5)) {
    case 0: /* their first word differs */
        size = snprintf(text, 128, "%08x", number * 2654435761u);
        break;
    case 1: /* their third */
        size = snprintf(text, 128, "prefix-of-16-by-%07u", number);
        break;
    case 2: /* none of those that are sorted by */
        size = snprintf(text, 128, "%070u%07u", 7, number);
        break;
    case 3: /* runs of two hundred objects, that grow at both ends */
        size = snprintf(text, 128, "o%03u%06u", number % 200,
                        number % 2 ? (unsigned)pair->lsn : 500000 - (unsigned)pair->lsn);
        break;
    default: /* zeros at the end of a word, and the empty key */
        size = (int)random_below(&pair->random, 20);
        memset(text, 0, 128);
        if (size > 0)
            text[random_below(&pair->random, (uint64_t)size)] = (char)(number % 3);
        break;
    }
    return slice_make(text, (size_t)size);
}

/* One to three operations of one batch; what is read before the end is right, too. */
static void random_batch(struct pair *pair)
{
    static char value[LARGE_VALUE_BYTES];
    char text[128];
    pair->lsn++;
    memset(value, 'a' + (int)(pair->lsn % 26), sizeof(value));
    for (uint64_t left = 1 + random_below(&pair->random, 3); left > 0; left--) {
        struct slice key = random_key(pair, text);
        bool is_large = random_below(&pair->random, 100) == 0;
        size_t size = random_below(&pair->random, is_large ? LARGE_VALUE_BYTES : 60);
        if (random_below(&pair->random, 8) == 0)
            pair_put(pair, key, ENTRY_DELETE, slice_make(NULL, 0));
        else
            pair_put(pair, key, ENTRY_PUT, slice_make(value, size));
        assert_same_get(pair, key, pair->lsn);
    }
    assert_same_get(pair, random_key(pair, text), pair->lsn - random_below(&pair->random, 10));
}

static void assert_random_puts_agree(uint32_t finger_prefix, bool has_hash, bool has_memory)
{
    struct pair pair;
    pair_init(&pair, finger_prefix, has_hash);
    for (int i = 0; i < PUTS; i++)
        random_batch(&pair);
    assert_int_equal(memtable_bytes(pair.deferred), memtable_bytes(pair.plain));
    if (!has_memory)
        memory_fail_try(1, true);
    memtable_order_end(pair.deferred);
    memory_fail_try(0, false);
    assert_same(&pair);
    for (int i = 0; i < PUTS / 10; i++) /* from now on the order is kept */
        random_batch(&pair);
    assert_same(&pair);
    memtable_freeze(pair.deferred);
    pair_release(&pair);
}

static void deferred_order_changes_nothing_in_any_form(void **state)
{
    (void)state;
    assert_random_puts_agree(0, false, true);
    assert_random_puts_agree(0, true, true);
    assert_random_puts_agree(4, false, true);
    assert_random_puts_agree(4, true, true);
}

static void without_memory_to_sort_in_keys_are_put_in_order_one_by_one(void **state)
{
    (void)state;
    assert_random_puts_agree(4, false, false);
    assert_random_puts_agree(0, true, false);
}

/* Of what comes in order nothing is deferred, and an index that was made for what might be is gone. */
static void the_end_of_the_order_of_nothing_is_fine(void **state)
{
    (void)state;
    for (int has_hash = 0; has_hash < 2; has_hash++) {
        struct pair pair;
        pair_init(&pair, 0, has_hash);
        memtable_order_end(pair.deferred);
        assert_same(&pair);
        pair_release(&pair);
        pair_init(&pair, 0, has_hash);
        for (int i = 0; i < 10; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%d", i);
            pair_put(&pair, slice_from(key), ENTRY_PUT, slice_from("in order"));
            assert_int_equal(memtable_node_count(pair.deferred), i + 1);
        }
        memtable_order_end(pair.deferred);
        memtable_order_end(pair.deferred);
        assert_same(&pair);
        pair_release(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deferred_order_changes_nothing_in_any_form),
        cmocka_unit_test(without_memory_to_sort_in_keys_are_put_in_order_one_by_one),
        cmocka_unit_test(the_end_of_the_order_of_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
