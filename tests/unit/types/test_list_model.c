/* SPDX-License-Identifier: MIT */
/* Random verbs on one list, compared with a plain array, with checks of the whole store, restarts,
 * compactions and kills between. The list grows to thousands of elements and shrinks again, at its ends and
 * in its middle, so that its slots have several levels. SEED= repeats a run, STEPS= makes it longer. */
#include "unit/types/list_fixture.h"

#include "base/random.h"
#include "lib/seed.h"

#include <inttypes.h>
#include <stdlib.h>

enum { STEPS = 2000, LENGTH_MAX = 12000, KINDS = 40, LARGE_BYTES_MAX = 70000 };

static uint32_t model[LENGTH_MAX + 64], other[64];
static size_t length, other_length;
static struct random source;
static uint32_t next_number = KINDS;

static uint64_t below(uint64_t bound)
{
    return random_below(&source, bound);
}

/* Mostly a number of its own; below KINDS one that comes again and again. Some are long. */
static uint32_t new_number(void)
{
    return below(4) ? next_number++ : (uint32_t)below(KINDS);
}

static struct slice value_of(uint32_t number)
{
    static struct buffer large;
    static char text[4][16];
    static unsigned turn;
    if (number % 97 != 5) {
        char *at = text[turn++ % 4];
        return slice_make(at, (size_t)snprintf(at, 16, "%u", number));
    }
    buffer_clear(&large);
    size_t size = 1000 + number * 7919ul % LARGE_BYTES_MAX;
    buffer_reserve(&large, size);
    memset(large.data, 'a' + (int)(number % 23), size);
    large.size = size;
    return buffer_slice(&large);
}

static const struct slice list_key = {(const uint8_t *)"list", 4};
static const struct slice other_key = {(const uint8_t *)"other", 5};

/* ---- The array. ------------------------------------------------------------------------------ */

static void array_insert(uint32_t *array, size_t *count, size_t at, uint32_t number)
{
    memmove(array + at + 1, array + at, (*count - at) * sizeof *array);
    array[at] = number;
    ++*count;
}

static void array_remove(uint32_t *array, size_t *count, size_t at, size_t removed)
{
    memmove(array + at, array + at + removed, (*count - at - removed) * sizeof *array);
    *count -= removed;
}

static size_t index_of(uint32_t number)
{
    size_t i = 0;
    while (i < length && model[i] != number)
        i++;
    return i;
}

/* ---- Steps, each in a write of its own. ------------------------------------------------------ */

static void push(void)
{
    enum list_end end = below(2) ? LIST_LEFT : LIST_RIGHT;
    uint64_t expected = 0, count = 1 + below(below(6) ? 3 : 60);
    for (uint64_t i = 0; i < count && length < LENGTH_MAX; i++) {
        uint32_t number = new_number();
        struct slice value = value_of(number);
        array_insert(model, &length, end == LIST_LEFT ? 0 : length, number);
        assert_int_equal(list_push(&ms.access, list_key, end, &value, 1, false, &expected),
                         STATUS_OK);
        assert_int_equal(expected, length);
    }
}

struct expected {
    size_t at, left;
    int step;
};

static void expect_element(void *context, struct slice value)
{
    struct expected *expected = context;
    assert_true(expected->left-- > 0);
    assert_true(slice_equal(value, value_of(model[expected->at])));
    expected->at += (size_t)expected->step;
}

static void pop(void)
{
    bool left = below(2);
    size_t wanted = 1 + below(below(8) ? 3 : 200), count = wanted < length ? wanted : length;
    struct expected expected = {left ? 0 : length - 1, count, left ? 1 : -1};
    enum status status = list_pop(&ms.access, list_key, left ? LIST_LEFT : LIST_RIGHT, wanted,
                                  &(struct list_visitor){NULL, expect_element, &expected, NULL});
    assert_int_equal(status, length ? STATUS_OK : STATUS_NOT_FOUND);
    assert_int_equal(expected.left, 0);
    array_remove(model, &length, left ? 0 : length - count, count);
}

static void trim(void)
{
    size_t reach = below(10) ? 20 : length + 2;
    size_t left = below(reach), right = below(reach);
    assert_int_equal(list_trim(&ms.access, list_key, (int64_t)left, -1 - (int64_t)right),
                     STATUS_OK);
    if (left + right >= length) {
        length = 0;
        return;
    }
    array_remove(model, &length, length - right, right);
    array_remove(model, &length, 0, left);
}

static void set(void)
{
    size_t at = length ? below(length) : 0;
    uint32_t number = new_number();
    enum status status =
        list_set(&ms.access, list_key, below(2) ? (int64_t)at : (int64_t)at - (int64_t)length,
                 value_of(number));
    assert_int_equal(status, length ? STATUS_OK : STATUS_NOT_FOUND);
    if (length)
        model[at] = number;
}

/* Mostly near an end, since the pivot is looked for; often the same one again. */
static void insert(void)
{
    static uint32_t favourite;
    struct buffer pivot = {0};
    uint64_t now = 77;
    if (length == 0 || length == LENGTH_MAX)
        return;
    if (below(3) == 0 || index_of(favourite) == length)
        favourite = model[below(below(4) ? (length < 300 ? length : 300) : length)];
    size_t at = index_of(favourite);
    uint32_t number = below(20) ? new_number() : favourite;
    buffer_append_slice(&pivot, value_of(favourite));
    struct list_insertion options = {
        .is_before = below(2), .pivot = buffer_slice(&pivot), .value = value_of(number)};
    assert_int_equal(list_insert(&ms.access, list_key, &options, &now), STATUS_OK);
    array_insert(model, &length, at + !options.is_before, number);
    assert_int_equal(now, length);
    buffer_release(&pivot);
}

static void insert_beside_nothing(void)
{
    uint64_t now = 77;
    struct list_insertion options = {.pivot = slice_from("nothing"), .value = slice_from("v")};
    assert_int_equal(list_insert(&ms.access, list_key, &options, &now),
                     length ? STATUS_OK : STATUS_NOT_FOUND);
    assert_int_equal(now, length ? 0 : 77);
}

static void remove_some(void)
{
    uint32_t number = length && below(3) ? model[below(length)] : (uint32_t)below(KINDS);
    int64_t count = (int64_t)below(5) - 2;
    size_t wanted = count ? (size_t)llabs(count) : length, removed = 0;
    uint64_t found = 0;
    enum status status =
        list_remove(&ms.access, list_key,
                    &(struct list_removal){.count = count, .value = value_of(number)}, &found);
    assert_int_equal(status, length ? STATUS_OK : STATUS_NOT_FOUND);
    size_t at = count < 0 ? length : 0;
    while (removed < wanted && (count < 0 ? at > 0 : at < length)) {
        at -= count < 0;
        if (model[at] == number) {
            array_remove(model, &length, at, 1);
            removed++;
        } else {
            at += count >= 0;
        }
    }
    assert_int_equal(found, removed);
}

/* Around, or to the other list and, mostly, back. */
static void move(void)
{
    enum list_end from = below(2) ? LIST_LEFT : LIST_RIGHT, to = below(2) ? LIST_LEFT : LIST_RIGHT;
    struct expected expected = {from == LIST_LEFT ? 0 : length - 1, 1, 0};
    const struct list_visitor check = {NULL, expect_element, &expected, NULL};
    bool away = below(3) == 0 && other_length < 60;
    enum status status =
        list_move(&ms.access, list_key, from, away ? other_key : list_key, to, &check);
    assert_int_equal(status, length ? STATUS_OK : STATUS_NOT_FOUND);
    if (status)
        return;
    uint32_t number = model[from == LIST_LEFT ? 0 : length - 1];
    array_remove(model, &length, from == LIST_LEFT ? 0 : length - 1, 1);
    if (away)
        array_insert(other, &other_length, to == LIST_LEFT ? 0 : other_length, number);
    else
        array_insert(model, &length, to == LIST_LEFT ? 0 : length, number);
}

static void ignore_element(void *context, struct slice value)
{
    (void)context;
    (void)value;
}

static void move_back(void)
{
    enum list_end to = below(2) ? LIST_LEFT : LIST_RIGHT;
    enum status status = list_move(&ms.access, other_key, LIST_RIGHT, list_key, to,
                                   &(struct list_visitor){.element = ignore_element});
    assert_int_equal(status, other_length ? STATUS_OK : STATUS_NOT_FOUND);
    if (!status)
        array_insert(model, &length, to == LIST_LEFT ? 0 : length, other[--other_length]);
}

/* ---- Checks. --------------------------------------------------------------------------------- */

static void expect_range(size_t first, size_t count)
{
    struct expected expected = {first, count, 1};
    assert_int_equal(list_range(&ms.access, list_key, (int64_t)first,
                                (int64_t)first + (int64_t)count - 1,
                                &(struct list_visitor){NULL, expect_element, &expected, NULL}),
                     STATUS_OK);
    assert_int_equal(expected.left, 0);
}

static void check_some(void)
{
    struct slice value;
    uint64_t now = 0;
    memory_store_read(&ms);
    (void)list_length(&ms.access, list_key, &now);
    assert_int_equal(now, length);
    for (int i = 0; i < 3 && length > 0; i++) {
        size_t at = below(length);
        assert_int_equal(list_index(&ms.access, list_key, (int64_t)at, &value), STATUS_OK);
        assert_true(slice_equal(value, value_of(model[at])));
        size_t count = 1 + below(length - at);
        expect_range(at, count < 40 ? count : 40);
    }
    memory_store_end(&ms);
}

static void check_all(void)
{
    expect_sound();
    memory_store_read(&ms);
    if (length > 0)
        expect_range(0, length);
    memory_store_end(&ms);
}

static void disturb(void)
{
    switch (below(4)) {
    case 0:
        memory_store_reopen(&ms);
        break;
    case 1:
        memory_store_crash(&ms, VFS_KEEP_ALL, 0);
        break;
    case 2:
        lsm_request_compact(store_engine(ms.store));
        memory_store_work(&ms, true);
        break;
    default:
        memory_store_work(&ms, true);
    }
}

static void start_with(size_t count)
{
    uint64_t now;
    memory_store_write(&ms);
    while (length < count) {
        struct slice value = value_of(model[length] = new_number());
        assert_int_equal(list_push(&ms.access, list_key, LIST_RIGHT, &value, 1, false, &now),
                         STATUS_OK);
        length++;
    }
    memory_store_end(&ms);
}

/* What a run prefers: to grow, to shrink, its middle, its ends. */
static void run_mood(uint64_t steps)
{
    static void (*const moods[][16])(void) = {
        {push, push, push, insert, insert, insert, insert, remove_some, set, move, pop, trim,
         insert_beside_nothing, push, insert, remove_some},
        {pop, pop, pop, trim, remove_some, remove_some, remove_some, remove_some, set, move, insert,
         trim, pop, remove_some, move_back, insert},
        {insert, insert, insert, remove_some, remove_some, set, insert, remove_some, set, insert,
         remove_some, move, move, pop, push, insert},
        {push, pop, push, pop, trim, move, move, move_back, push, pop, insert, remove_some, move,
         move_back, push, pop},
    };
    size_t mood = below(sizeof moods / sizeof *moods);
    for (uint64_t i = 0; i < steps; i++) {
        memory_store_write(&ms);
        moods[mood][below(16)]();
        memory_store_end(&ms);
        if (below(4) == 0)
            check_some();
        if (below(25) == 0)
            expect_sound();
    }
}

static void a_list_is_what_a_plain_array_is(void **state)
{
    const char *given = getenv("STEPS");
    uint64_t steps = given ? strtoull(given, NULL, 10) : STEPS, sparse = 0;
    (void)state;
    random_init(&source, test_seed());
    memory_store_open(
        &ms, &(struct store_options){.memtable_bytes = 4 << 20, .wal_segment_bytes = 1 << 20});
    for (uint64_t done = 0; done < steps; done += 100) {
        if (length == 0)
            start_with(below(4) ? below(400) : below(6000));
        run_mood(100);
        check_all();
        struct object object;
        memory_store_read(&ms);
        if (keyspace_find(&ms.access, list_key, &object) == STATUS_OK)
            sparse += object.id > 0 && (object.body.data[0] & 15) == 2;
        memory_store_end(&ms);
        if (below(3) == 0)
            disturb();
        if (below(25) == 0) { /* a new one */
            bool deleted;
            memory_store_write(&ms);
            assert_int_equal(keyspace_delete(&ms.access, list_key, &deleted), STATUS_OK);
            memory_store_end(&ms);
            length = 0;
        }
    }
    printf("ran: %" PRIu64 " verbs; of %" PRIu64 " looks %" PRIu64 " met a sparse list\n", steps,
           steps / 100, sparse);
    assert_true(sparse > 0 || steps < STEPS);
    bool deleted;
    memory_store_write(&ms);
    assert_int_equal(keyspace_delete(&ms.access, list_key, &deleted), STATUS_OK);
    assert_int_equal(keyspace_delete(&ms.access, other_key, &deleted), STATUS_OK);
    memory_store_end(&ms);
    assert_int_equal(part_count(), 0);
    memory_store_release(&ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_what_a_plain_array_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
