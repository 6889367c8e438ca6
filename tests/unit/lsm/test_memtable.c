/* SPDX-License-Identifier: MIT */
#include "lsm/memtable.h"

#include "base/memory.h"
#include "base/random.h"
#include "unit/lsm/array_cursor.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

static _Atomic lsn_t safe_lsn;

static lsn_t get_safe_lsn(void *context)
{
    (void)context;
    return atomic_load(&safe_lsn);
}

static void assert_sound(const struct memtable *table)
{
    struct lsm_report report = {""};
    if (memtable_check(table, 0, UINT64_MAX, &report) != STATUS_OK)
        fail_msg("%s", report.text);
}

static struct memtable *make(uint32_t finger_prefix, bool has_hash)
{
    return memtable_create(&(struct memtable_options){
        .bytes_expected = 1 << 20,
        .finger_prefix_bytes = finger_prefix,
        .has_hash = has_hash,
        .safe_lsn = get_safe_lsn,
    });
}

static void put(struct memtable *table, const char *key, lsn_t lsn, const char *value)
{
    memtable_put(table, slice_from(key), lsn, ENTRY_PUT, slice_from(value));
}

static void assert_get(struct memtable *table, const char *key, lsn_t lsn, const char *expected)
{
    enum entry_kind kind;
    lsn_t found;
    struct slice value;
    bool there = memtable_get(table, slice_from(key), lsn, &kind, &found, &value);
    assert_int_equal(there, expected != NULL);
    if (expected)
        assert_true(slice_equal(value, slice_from(expected)));
}

static void a_read_sees_the_newest_version_at_or_below_its_lsn(void **state)
{
    (void)state;
    atomic_store(&safe_lsn, 0);
    struct memtable *table = make(0, true);
    put(table, "a", 10, "one");
    put(table, "a", 20, "two");
    put(table, "b", 20, "bee");
    assert_get(table, "a", 9, NULL);
    assert_get(table, "a", 10, "one");
    assert_get(table, "a", 19, "one");
    assert_get(table, "a", 20, "two");
    assert_get(table, "b", 30, "bee");
    assert_get(table, "c", 30, NULL);
    assert_sound(table);
    memtable_destroy(table);
}

/* Keys that are there, that have no bucket or share one, in tables with and without an index. */
static void looking_ahead_changes_nothing(void **state)
{
    enum { KEYS = 3000 };
    (void)state;
    atomic_store(&safe_lsn, 0);
    for (int has_hash = 0; has_hash < 2; has_hash++) {
        struct memtable *table = make(0, has_hash);
        for (unsigned round = 0; round < 2; round++) {
            for (unsigned i = 0; i < KEYS; i += 2) {
                char key[16];
                snprintf(key, sizeof key, "k%u", 2 * i + round);
                put(table, key, 1 + round, key);
            }
            for (unsigned i = 0; i < 2 * KEYS; i += MEMTABLE_PREFETCH_MAX) {
                char texts[MEMTABLE_PREFETCH_MAX][16];
                struct slice keys[MEMTABLE_PREFETCH_MAX];
                for (unsigned k = 0; k < MEMTABLE_PREFETCH_MAX; k++) {
                    snprintf(texts[k], sizeof texts[k], "k%u", i + k);
                    keys[k] = slice_from(texts[k]);
                }
                memtable_prefetch(table, keys, MEMTABLE_PREFETCH_MAX);
                for (unsigned k = 0; k < MEMTABLE_PREFETCH_MAX; k++)
                    assert_get(table, texts[k], 2,
                               (i + k) % 4 <= round && i + k < 2 * KEYS ? texts[k] : NULL);
            }
            memtable_prefetch(table, NULL, 0);
        }
        assert_sound(table);
        memtable_destroy(table);
    }
}

static void the_last_write_of_a_batch_wins_and_shows_once(void **state)
{
    (void)state;
    atomic_store(&safe_lsn, 0);
    struct memtable *table = make(0, true);
    put(table, "a", 5, "old");
    put(table, "a", 10, "first");
    put(table, "a", 10, "second");
    assert_get(table, "a", 10, "second");
    assert_get(table, "a", 9, "old");
    memtable_freeze(table);
    struct cursor *cursor = memtable_cursor_create_all(table);
    cursor->ops->first(cursor);
    assert_true(cursor->valid);
    assert_int_equal(cursor->lsn, 10);
    assert_true(slice_equal(cursor->value, slice_from("second")));
    cursor->ops->next(cursor);
    assert_true(cursor->valid);
    assert_int_equal(cursor->lsn, 5);
    cursor->ops->next(cursor);
    assert_false(cursor->valid);
    cursor->ops->destroy(cursor);
    memtable_destroy(table);
}

static void overwriting_one_key_takes_no_more_memory(void **state)
{
    (void)state;
    struct memtable *table = make(0, true);
    char value[101] = {0};
    size_t bytes_before = 0;
    for (lsn_t lsn = 1; lsn <= 100000; lsn++) {
        atomic_store(&safe_lsn, lsn - 1);
        memset(value, 'a' + (int)(lsn % 26), 100);
        put(table, "hot", lsn, value);
        if (lsn == 1000)
            bytes_before = memtable_bytes(table);
    }
    assert_int_equal(memtable_bytes(table), bytes_before);
    assert_true(memtable_version_count(table) < 1000);
    assert_get(table, "hot", 100000, value);
    memtable_destroy(table);
}

static void a_version_that_a_reader_may_see_is_not_recycled(void **state)
{
    (void)state;
    struct memtable *table = make(0, true);
    char value[40];
    atomic_store(&safe_lsn, 50); /* a reader stays at 50 */
    for (lsn_t lsn = 1; lsn <= 5000; lsn++) {
        snprintf(value, sizeof(value), "value %u", (unsigned)lsn);
        put(table, "hot", lsn, value);
    }
    assert_get(table, "hot", 50, "value 50");
    assert_get(table, "hot", 51, "value 51");
    memtable_destroy(table);
}

static void large_values_are_kept_and_recycled(void **state)
{
    (void)state;
    struct memtable *table = make(0, true);
    size_t size = 100000;
    char *value = malloc(size + 1);
    for (lsn_t lsn = 1; lsn <= 500; lsn++) {
        atomic_store(&safe_lsn, lsn - 1);
        memset(value, 'a' + (int)(lsn % 26), size);
        value[size] = 0;
        put(table, "hot", lsn, value);
    }
    assert_get(table, "hot", 500, value);
    assert_true(memtable_bytes(table) < 200 * size);
    free(value);
    memtable_destroy(table);
}

static uint64_t test_seed(void)
{
    const char *text = getenv("SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 20261121;
    printf("SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

enum { MODEL_KEYS = 500 };

/* The model: for each key the last value's LSN. */
static void random_puts_agree_with_a_model(uint32_t finger_prefix, bool has_hash)
{
    struct random random;
    random_init(&random, test_seed());
    struct memtable *table = make(finger_prefix, has_hash);
    lsn_t newest[MODEL_KEYS] = {0};
    lsn_t lsn = 0;
    for (int step = 0; step < 20000; step++) {
        unsigned key = (unsigned)random_below(&random, MODEL_KEYS);
        if (random_below(&random, 2) && step < MODEL_KEYS / 2)
            key = (unsigned)step; /* runs that grow at the end ... */
        else if (step >= MODEL_KEYS / 2 && step < MODEL_KEYS)
            key = (unsigned)(3 * MODEL_KEYS / 2 - 1 - step); /* ... and at the beginning */
        char text[16], value[32];
        snprintf(text, sizeof(text), "k%02u/%03u", key / 50, key);
        lsn++;
        snprintf(value, sizeof(value), "%llu", (unsigned long long)lsn);
        atomic_store(&safe_lsn, lsn - 1);
        put(table, text, lsn, value);
        newest[key] = lsn;
    }
    assert_sound(table);
    struct cursor *cursor = memtable_cursor_create(table, lsn);
    cursor->ops->first(cursor);
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        if (!newest[key])
            continue;
        char text[16];
        snprintf(text, sizeof(text), "k%02u/%03u", key / 50, key);
        assert_true(cursor->valid);
        assert_true(slice_equal(cursor->key, slice_from(text)));
        assert_int_equal(cursor->lsn, newest[key]);
        cursor->ops->next(cursor);
    }
    assert_false(cursor->valid);
    cursor->ops->last(cursor);
    for (int key = MODEL_KEYS - 1; key >= 0; key--) {
        if (!newest[key])
            continue;
        assert_true(cursor->valid);
        assert_int_equal(cursor->lsn, newest[key]);
        cursor->ops->prev(cursor);
    }
    assert_false(cursor->valid);
    cursor->ops->seek_for_prev(cursor, slice_from("k05/"));
    assert_true(cursor->valid);
    assert_true(slice_equal(cursor->key, slice_from("k04/249")));
    cursor->ops->seek(cursor, slice_from("k05/"), lsn);
    assert_true(slice_equal(cursor->key, slice_from("k05/250")));
    cursor->ops->destroy(cursor);
    memtable_destroy(table);
}

static void random_puts_agree_with_a_model_in_every_form(void **state)
{
    (void)state;
    random_puts_agree_with_a_model(0, false);
    random_puts_agree_with_a_model(0, true);
    random_puts_agree_with_a_model(3, false);
    random_puts_agree_with_a_model(3, true);
}

/* Two cursors over the same: one goes through runs, the other step by step. */
static void runs_show_what_steps_show(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    struct memtable *table = make(0, false);
    lsn_t lsn_max = 0;
    char text[16];
    atomic_store(&safe_lsn, 0);
    while (lsn_max < 2000) {
        snprintf(text, sizeof(text), "k%03u", (unsigned)random_below(&random, MODEL_KEYS));
        enum entry_kind kind = random_below(&random, 20) ? ENTRY_PUT : ENTRY_DELETE;
        memtable_put(table, slice_from(text), ++lsn_max, kind,
                     slice_from(kind == ENTRY_PUT ? text : ""));
    }
    for (int round = 0; round < 200; round++) {
        lsn_t lsn = 1 + random_below(&random, lsn_max);
        struct cursor *cursor = memtable_cursor_create(table, lsn);
        struct cursor *model = memtable_cursor_create(table, lsn);
        snprintf(text, sizeof(text), "k%03u", (unsigned)random_below(&random, MODEL_KEYS));
        cursor->ops->seek(cursor, slice_from(text), lsn);
        model->ops->seek(model, slice_from(text), lsn);
        bool backward = random_below(&random, 2);
        while (cursor->valid) {
            assert_true(slice_equal(cursor->key, model->key));
            assert_true(array_cursor_follow_run(
                cursor, model, backward, random_below(&random, random_below(&random, 40) + 1)));
            assert_true(slice_equal(cursor->key, model->key));
            assert_true(slice_equal(cursor->value, model->value));
            if (random_below(&random, 5) == 0)
                backward = !backward;
            (backward ? cursor->ops->prev : cursor->ops->next)(cursor);
            (backward ? model->ops->prev : model->ops->next)(model);
        }
        assert_false(model->valid);
        cursor->ops->destroy(cursor);
        model->ops->destroy(model);
    }
    memtable_destroy(table);
}

struct race {
    struct memtable *table;
    _Atomic lsn_t visible;
    _Atomic lsn_t slot;
    atomic_bool stop;
};

static void *read_while_writing(void *context)
{
    struct race *race = context;
    uint64_t reads = 0;
    while (!atomic_load(&race->stop) || reads < 1000) {
        lsn_t lsn;
        do {
            lsn = atomic_load(&race->visible);
            atomic_store(&race->slot, lsn);
        } while (atomic_load(&race->visible) != lsn);
        enum entry_kind kind;
        lsn_t found;
        struct slice value;
        if (lsn) {
            assert_true(memtable_get(race->table, slice_from("hot"), lsn, &kind, &found, &value));
            assert_int_equal(found, lsn);
            assert_int_equal(value.size, 8);
            assert_memory_equal(value.data, &lsn, 8);
        }
        struct cursor *cursor = memtable_cursor_create(race->table, lsn);
        uint64_t seen = 0;
        for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor)) {
            struct cursor_run run = cursor->ops->run(cursor, false);
            cursor->ops->advance(cursor, (ptrdiff_t)run.count - 1);
            seen += run.count;
        }
        cursor->ops->destroy(cursor);
        assert_int_equal(seen, lsn ? lsn / 16 + 1 : 0);
        atomic_store(&race->slot, UINT64_MAX);
        reads++;
    }
    return NULL;
}

static struct race *the_race;

static lsn_t race_safe_lsn(void *context)
{
    (void)context;
    lsn_t visible = atomic_load(&the_race->visible), slot = atomic_load(&the_race->slot);
    return slot < visible ? slot : visible;
}

static void a_reader_is_right_while_the_writer_recycles(void **state)
{
    (void)state;
    struct race race = {.slot = UINT64_MAX};
    the_race = &race;
    race.table = memtable_create(&(struct memtable_options){
        .bytes_expected = 1 << 20, .has_hash = true, .safe_lsn = race_safe_lsn});
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_while_writing, &race), 0);
    for (lsn_t lsn = 1; lsn <= 8000; lsn++) {
        char key[24];
        memtable_put(race.table, slice_from("hot"), lsn, ENTRY_PUT, slice_make(&lsn, 8));
        if (lsn % 16 == 0) {
            snprintf(key, sizeof(key), "k%u", (unsigned)(lsn * 7919 % 10007));
            put(race.table, key, lsn, "x");
        }
        atomic_store(&race.visible, lsn);
    }
    atomic_store(&race.stop, true);
    pthread_join(thread, NULL);
    assert_sound(race.table);
    memtable_destroy(race.table);
}

static void a_cursor_over_all_versions_begins_at_an_lsn(void **state)
{
    (void)state;
    atomic_store(&safe_lsn, 0);
    struct memtable *table = make(0, true);
    put(table, "a", 10, "one");
    put(table, "a", 20, "two");
    put(table, "a", 30, "three");
    put(table, "b", 25, "bee");
    memtable_freeze(table);
    struct cursor *cursor = memtable_cursor_create_all(table);
    static const struct {
        const char *key;
        lsn_t lsn;
        lsn_t found;
    } seeks[] = {{"a", 40, 30}, {"a", 29, 20}, {"a", 20, 20}, {"a", 19, 10},
                 {"a", 9, 25},  {"b", 24, 0},  {"", 1, 30}};
    for (size_t i = 0; i < sizeof(seeks) / sizeof(seeks[0]); i++) {
        cursor->ops->seek(cursor, slice_from(seeks[i].key), seeks[i].lsn);
        assert_int_equal(cursor->valid, seeks[i].found != 0);
        if (cursor->valid)
            assert_int_equal(cursor->lsn, seeks[i].found);
    }
    cursor->ops->seek(cursor, slice_from("a"), 29);
    lsn_t left[] = {20, 10, 25};
    for (size_t i = 0; i < 3; i++, cursor->ops->next(cursor))
        assert_int_equal(cursor->lsn, left[i]);
    assert_false(cursor->valid);
    cursor->ops->destroy(cursor);
    memtable_destroy(table);
    memtable_destroy(NULL);
}

static void without_a_safe_lsn_no_version_is_recycled(void **state)
{
    (void)state;
    struct memtable *table = memtable_create(&(struct memtable_options){.bytes_expected = 1 << 16});
    for (lsn_t lsn = 1; lsn <= 100; lsn++)
        put(table, "a", lsn, "value");
    assert_int_equal(memtable_version_count(table), 100);
    assert_get(table, "a", 1, "value");
    assert_sound(table);
    memtable_destroy(table);
}

/* The same puts and range deletions into two memtables, into one of them without memory. */
static void write_everything(struct memtable *table, lsn_t first)
{
    char key[16], value[3000];
    memset(value, 'v', sizeof value);
    for (lsn_t i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "%03d", (int)(i * 7 % 100));
        memtable_put(table, slice_from(key), first + i, i % 5 ? ENTRY_PUT : ENTRY_DELETE,
                     slice_make(value, i % 5 ? i * i % sizeof value : 0));
    }
    memtable_delete_range(table, (struct range_delete){slice_from("1"), slice_from("2"), first});
}

static void without_memory_puts_take_what_was_set_aside(void **state)
{
    (void)state;
    struct spare spare = {0};
    struct spare_block *blocks = NULL;
    atomic_store(&safe_lsn, 0);
    struct memtable *table = memtable_create(&(struct memtable_options){
        .bytes_expected = 1 << 16, .has_hash = true, .safe_lsn = get_safe_lsn, .spare = &spare});
    struct memtable *model = make(0, true);
    write_everything(model, 1);
    write_everything(model, 301);
    write_everything(table, 1);
    size_t bytes = 301 * MEMTABLE_RECORD_BYTES + 300 * 3003;
    assert_true(spare_try_fill(&spare, bytes));
    memory_fail_try(1, true);
    write_everything(table, 301);
    memory_fail_try(0, false);
    assert_true(spare_move_used(&spare, &blocks) > 0);
    assert_sound(table);
    assert_int_equal(memtable_node_count(table), memtable_node_count(model));
    assert_int_equal(memtable_version_count(table), memtable_version_count(model));
    for (lsn_t lsn = 1; lsn <= 601; lsn += 50) {
        struct cursor *a = memtable_cursor_create(table, lsn),
                      *b = memtable_cursor_create(model, lsn);
        a->ops->first(a);
        for (b->ops->first(b); b->valid; b->ops->next(b), a->ops->next(a)) {
            assert_true(a->valid && slice_equal(a->key, b->key) && slice_equal(a->value, b->value));
            assert_int_equal(a->lsn, b->lsn);
        }
        assert_false(a->valid);
        a->ops->destroy(a);
        b->ops->destroy(b);
    }
    /* Everybody has passed: what waits is recycled, memory set aside and what found no queue as well. */
    atomic_store(&safe_lsn, 10000);
    write_everything(table, 1001);
    write_everything(table, 1301);
    assert_sound(table);
    memtable_destroy(table);
    memtable_destroy(model);
    spare_blocks_release(blocks);
}

/* No queue for what is superseded: it goes with the next version that is. */
static void a_version_that_found_no_queue_is_freed_with_a_later_one(void **state)
{
    (void)state;
    atomic_store(&safe_lsn, 0);
    struct memtable *table = make(0, true);
    struct slice large = slice_make(memory_zeroed(1, 5000), 5000);
    memtable_put(table, slice_from("a"), 1, ENTRY_PUT, slice_from("first"));
    memtable_put(table, slice_from("a"), 2, ENTRY_PUT, large);
    memtable_put(table, slice_from("b"), 2, ENTRY_PUT, slice_from("a chunk is there now"));
    size_t bytes = memtable_bytes(table);
    memory_fail_try(1, false); /* of the queue's growth */
    memtable_put(table, slice_from("a"), 3, ENTRY_PUT, slice_from("third"));
    memory_fail_try(0, false);
    assert_get(table, "a", 1, "first");
    atomic_store(&safe_lsn, 1000);
    for (lsn_t lsn = 4; lsn < 400; lsn++)
        put(table, "a", lsn, "small");
    assert_true(memtable_bytes(table) <= bytes - 5000 + 4096);
    assert_true(memtable_version_count(table) < 100);
    assert_get(table, "a", 1000, "small");
    assert_sound(table);
    memtable_destroy(table);
    memory_free((void *)(uintptr_t)large.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_show_what_steps_show),
        cmocka_unit_test(a_cursor_over_all_versions_begins_at_an_lsn),
        cmocka_unit_test(without_a_safe_lsn_no_version_is_recycled),
        cmocka_unit_test(without_memory_puts_take_what_was_set_aside),
        cmocka_unit_test(a_version_that_found_no_queue_is_freed_with_a_later_one),
        cmocka_unit_test(a_read_sees_the_newest_version_at_or_below_its_lsn),
        cmocka_unit_test(looking_ahead_changes_nothing),
        cmocka_unit_test(the_last_write_of_a_batch_wins_and_shows_once),
        cmocka_unit_test(overwriting_one_key_takes_no_more_memory),
        cmocka_unit_test(a_version_that_a_reader_may_see_is_not_recycled),
        cmocka_unit_test(large_values_are_kept_and_recycled),
        cmocka_unit_test(random_puts_agree_with_a_model_in_every_form),
        cmocka_unit_test(a_reader_is_right_while_the_writer_recycles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
