/* SPDX-License-Identifier: MIT */
#include "lsm/rows.h"

#include "base/coding.h"
#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "unit/lsm/array_cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROWS_MAX = 200, KEY_MAX = 300 };

/* Random rows, sorted and unique, whose keys share prefixes; some keys are longer than what an
 * iterator holds inline. */
struct fixture {
    uint8_t bytes[ROWS_MAX][KEY_MAX];
    struct entry entries[ROWS_MAX];
    size_t count;
    struct rows_builder builder;
    struct slice content;
};

static void fixture_init(struct fixture *fixture, struct random *random, unsigned interval)
{
    fixture->count = 0;
    size_t wanted = random_below(random, ROWS_MAX) + 1;
    for (size_t i = 0; i < wanted; i++) {
        size_t size = random_below(random, random_below(random, 10) ? 6 : KEY_MAX);
        for (size_t n = 0; n < size; n++)
            fixture->bytes[i][n] = (uint8_t)('a' + random_below(random, n > 4 ? 1 : 2));
        struct slice key = slice_make(fixture->bytes[i], size);
        lsn_t lsn = random_below(random, random_below(random, 2) ? 10 : ROWS_LSN_MAX) + 1;
        fixture->entries[i] =
            (struct entry){key, slice_make(fixture->bytes[i], random_below(random, size + 1)), lsn,
                           random_below(random, 2) ? ENTRY_PUT : ENTRY_DELETE};
    }
    qsort(fixture->entries, wanted, sizeof(fixture->entries[0]), array_entry_compare);
    rows_builder_init(&fixture->builder, interval);
    for (size_t i = 0; i < wanted; i++) {
        struct entry entry = fixture->entries[i];
        if (fixture->count > 0 &&
            array_entry_compare(&fixture->entries[fixture->count - 1], &entry) == 0)
            continue;
        fixture->entries[fixture->count++] = entry;
        rows_builder_add(&fixture->builder, entry.key, entry.lsn, entry.kind, entry.value);
    }
    size_t size = rows_builder_size(&fixture->builder);
    fixture->content = rows_builder_finish(&fixture->builder);
    assert_int_equal(size, fixture->content.size);
}

static void assert_at(const struct rows_iter *iter, const struct cursor *model)
{
    assert_false(iter->damaged);
    assert_int_equal(iter->valid, model->valid);
    if (!iter->valid)
        return;
    assert_true(slice_equal(iter->row->key, model->key));
    assert_true(slice_equal(iter->row->value, model->value));
    assert_int_equal(iter->row->lsn, model->lsn);
    assert_int_equal(iter->row->kind, model->kind);
}

static void move_both(struct rows_iter *iter, struct cursor *model, const struct fixture *fixture,
                      struct random *random)
{
    const struct entry *target = &fixture->entries[random_below(random, fixture->count)];
    struct slice key = target->key;
    if (random_below(random, 3) == 0)
        key.size = random_below(random, key.size + 1);
    lsn_t lsn = target->lsn + random_below(random, 3) - 1;
    uint64_t what = random_below(random, 10);
    if (what == 0) {
        rows_iter_seek(iter, key, lsn);
        model->ops->seek(model, key, lsn);
    } else if (what == 1 || (!iter->valid && what < 5)) {
        rows_iter_first(iter);
        model->ops->first(model);
    } else if (what == 2 || !iter->valid) {
        rows_iter_last(iter);
        model->ops->last(model);
    } else if (what < 6) {
        rows_iter_next(iter);
        model->ops->next(model);
    } else {
        rows_iter_prev(iter);
        model->ops->prev(model);
    }
}

static void rows_move_like_an_array(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    static struct fixture fixture;
    for (int round = 0; round < 300; round++) {
        fixture_init(&fixture, &random, 1 + (unsigned)random_below(&random, 20));
        struct cursor *model = array_cursor_create(fixture.entries, fixture.count);
        struct rows_iter iter;
        rows_iter_init(&iter);
        assert_true(rows_check(fixture.content));
        assert_int_equal(rows_iter_attach(&iter, fixture.content), STATUS_OK);
        for (int step = 0; step < 200; step++) {
            move_both(&iter, model, &fixture, &random);
            assert_at(&iter, model);
        }
        rows_iter_release(&iter);
        model->ops->destroy(model);
        rows_builder_release(&fixture.builder);
    }
}

/* Keys of 9 KiB, which differ at their ends: a window holds seven. Both ways, and from the middle. */
static void keys_too_long_for_one_window_take_several(void **state)
{
    (void)state;
    enum { LONG_KEY = 9 << 10, COUNT = 40 };
    struct rows_builder builder;
    uint8_t *key = memory_zeroed(1, LONG_KEY);
    struct rows_iter iter;
    rows_iter_init(&iter);
    rows_builder_init(&builder, ROWS_RESTART_INTERVAL);
    for (uint8_t i = 0; i < COUNT; i++) {
        key[LONG_KEY - 1] = i;
        rows_builder_add(&builder, slice_make(key, LONG_KEY), 1, ENTRY_PUT, slice_make(&i, 1));
    }
    assert_int_equal(rows_iter_attach(&iter, rows_builder_finish(&builder)), STATUS_OK);
    for (uint8_t first = 0; first < COUNT; first++) {
        key[LONG_KEY - 1] = first;
        for (int backward = 0; backward < 2; backward++) {
            rows_iter_seek(&iter, slice_make(key, LONG_KEY), 1);
            for (int i = first; i >= 0 && i < COUNT; i += backward ? -1 : 1) {
                assert_true(iter.valid);
                assert_int_equal(iter.row->key.size, LONG_KEY);
                assert_int_equal(iter.row->key.data[LONG_KEY - 1], i);
                assert_int_equal(iter.row->value.data[0], i);
                (backward ? rows_iter_prev : rows_iter_next)(&iter);
            }
            assert_false(iter.valid);
            assert_false(iter.damaged);
        }
    }
    assert_true(iter.window->key_capacity <= 2 * ROWS_WINDOW_KEY_BYTES_MAX);
    rows_iter_release(&iter);
    rows_builder_release(&builder);
    memory_free(key);
}

static void cleared_builder_starts_anew(void **state)
{
    (void)state;
    struct rows_builder rows;
    rows_builder_init(&rows, 2);
    assert_true(rows_builder_is_empty(&rows));
    for (int round = 0; round < 2; round++) {
        rows_builder_add(&rows, slice_from("abc"), 9, ENTRY_PUT, slice_from("v"));
        rows_builder_add(&rows, slice_from("abd"), 7, ENTRY_DELETE, slice_from(""));
        assert_false(rows_builder_is_empty(&rows));
        static const uint8_t expected[] = {9, 0,      3,   1, 1, 'a', 'b', 'c', 'v', 2, 1,
                                           0, 3 << 3, 'd', 0, 0, 0,   0,   1,   0,   0, 0};
        struct slice content = rows_builder_finish(&rows);
        assert_int_equal(content.size, sizeof(expected));
        assert_memory_equal(content.data, expected, sizeof(expected));
        rows_builder_clear(&rows);
        assert_true(rows_builder_is_empty(&rows));
    }
    rows_builder_release(&rows);
}

static void a_row_that_is_not_behind_the_last_is_not_added(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        lsn_t lsn;
        bool is_behind;
    } rows[] = {
        {"abc", 9, true},  {"abc", 9, false},  {"abc", 10, false}, {"ab", 3, false},
        {"abb", 9, false}, {"", 1, false},     {"abc", 8, true},   {"abcd", 9, true},
        {"abc", 1, false}, {"abcd", 9, false}, {"b", 1, true},     {"abz", 1, false},
    };
    for (unsigned interval = 1; interval <= 3; interval++) { /* the last row a restart, or not */
        struct rows_builder builder;
        rows_builder_init(&builder, interval);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            size_t before = rows_builder_size(&builder);
            bool is_added = rows_builder_try_add(&builder, slice_from(rows[i].key), rows[i].lsn,
                                                 ENTRY_PUT, slice_from("v"));
            if (is_added != rows[i].is_behind)
                fail_msg("row %zu, interval %u", i, interval);
            assert_int_equal(rows_builder_size(&builder) > before, is_added);
        }
        assert_true(rows_check(rows_builder_finish(&builder)));
        rows_builder_release(&builder);
    }
}

/* Any bytes: no read outside (the sanitizers watch), no endless loop, and never a row whose slices
 * leave the content. */
static void walk(struct slice content)
{
    struct rows_iter iter;
    rows_iter_init(&iter);
    (void)rows_check(content);
    if (rows_iter_attach(&iter, content) == STATUS_OK) {
        size_t steps = 0;
        for (rows_iter_first(&iter); iter.valid; rows_iter_next(&iter))
            assert_true(steps++ <= content.size);
    }
    if (rows_iter_attach(&iter, content) == STATUS_OK) {
        size_t steps = 0;
        for (rows_iter_last(&iter); iter.valid; rows_iter_prev(&iter))
            assert_true(steps++ <= content.size);
    }
    if (rows_iter_attach(&iter, content) == STATUS_OK)
        rows_iter_seek(&iter, slice_from("aab"), 5);
    rows_iter_release(&iter);
}

static void damaged_content_is_survived(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    static struct fixture fixture;
    for (int round = 0; round < 100; round++) {
        fixture_init(&fixture, &random, 4);
        size_t size = fixture.content.size;
        for (int flips = 0; flips < 50; flips++) {
            uint8_t *copy = memory_copy(fixture.content.data, size);
            copy[random_below(&random, size)] ^= (uint8_t)(1 + random_below(&random, 255));
            if (random_below(&random, 2))
                copy[size - 1 - random_below(&random, 8 < size ? 8 : size)] =
                    (uint8_t)random_next(&random);
            /* Its own allocation, so that reading one byte too far shows. */
            size_t kept = random_below(&random, 2) ? size : random_below(&random, size);
            uint8_t *exact = memory_copy(copy, kept);
            walk(slice_make(exact, kept));
            memory_free(exact);
            memory_free(copy);
        }
        rows_builder_release(&fixture.builder);
    }
}

static void malformed_frames_are_refused(void **state)
{
    (void)state;
    struct rows_iter iter;
    rows_iter_init(&iter);
    static const uint8_t no_restarts[] = {1, 0, 1, 0, 1, 'a', 0, 0, 0, 0};
    static const uint8_t too_many[] = {1, 0, 1, 0, 1, 'a', 0, 0, 0, 0, 9, 0, 0, 0};
    static const uint8_t no_rows[] = {1, 0, 0, 0, 0, 1, 0, 0, 0};
    static const uint8_t huge_base[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        0xff, 1,    0,    1,    0,    1,    'a',  0,
                                        0,    0,    0,    1,    0,    0,    0};
    assert_int_equal(rows_iter_attach(&iter, slice_make(NULL, 0)), STATUS_CORRUPT);
    assert_int_equal(rows_iter_attach(&iter, slice_make(no_restarts, 3)), STATUS_CORRUPT);
    assert_int_equal(rows_iter_attach(&iter, slice_make(no_restarts, sizeof(no_restarts))),
                     STATUS_CORRUPT);
    assert_int_equal(rows_iter_attach(&iter, slice_make(too_many, sizeof(too_many))),
                     STATUS_CORRUPT);
    assert_int_equal(rows_iter_attach(&iter, slice_make(no_rows, sizeof(no_rows))), STATUS_CORRUPT);
    assert_int_equal(rows_iter_attach(&iter, slice_make(huge_base, sizeof(huge_base))),
                     STATUS_CORRUPT);
    assert_true(iter.damaged);
    rows_iter_first(&iter);
    assert_false(iter.valid);
    rows_iter_last(&iter);
    assert_false(iter.valid);
    rows_iter_seek(&iter, slice_from("a"), 1);
    assert_false(iter.valid);
    rows_iter_release(&iter);
}

/* The last restart stands in front of the others, which lie within a value; or within one itself. */
static void a_step_back_to_where_no_row_ends_is_damage(void **state)
{
    (void)state;
    /* Rows at 0, 5 and, within the value, 12; restarts 12, 17, 5. */
    static const uint8_t last_restart_in_front[] = {1,   0, 1, 0, 0, 'a', 0,  1, 7, 0, 'b', '.',
                                                    '.', 0, 1, 0, 0, 'c', 12, 0, 0, 0, 17,  0,
                                                    0,   0, 5, 0, 0, 0,   3,  0, 0, 0};
    /* Rows at 0 and, within its value, 12; restarts 0, 17, 12. */
    static const uint8_t last_restart_within_a_value[] = {
        1,   0, 1, 12, 0, 'a', '.', '.', '.', '.', '.', '.', '.', 0, 1, 0, 0,
        'b', 0, 0, 0,  0, 17,  0,   0,   0,   12,  0,   0,   0,   3, 0, 0, 0};
    const struct slice contents[] = {
        slice_make(last_restart_in_front, sizeof(last_restart_in_front)),
        slice_make(last_restart_within_a_value, sizeof(last_restart_within_a_value))};
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        struct rows_iter iter;
        rows_iter_init(&iter);
        assert_int_equal(rows_iter_attach(&iter, contents[i]), STATUS_OK);
        rows_iter_last(&iter);
        assert_true(iter.valid);
        assert_true(slice_equal(iter.row->key, slice_from("b")));
        rows_iter_prev(&iter);
        assert_false(iter.valid);
        assert_true(iter.damaged);
        assert_false(rows_check(contents[i]));
        rows_iter_release(&iter);
    }
}

static void check_finds_a_restart_that_no_row_has(void **state)
{
    (void)state;
    struct rows_builder rows;
    rows_builder_init(&rows, 2);
    rows_builder_add(&rows, slice_from("a"), 1, ENTRY_PUT, slice_from(""));
    rows_builder_add(&rows, slice_from("b"), 1, ENTRY_PUT, slice_from(""));
    rows_builder_add(&rows, slice_from("c"), 1, ENTRY_PUT, slice_from(""));
    struct slice content = rows_builder_finish(&rows);
    uint8_t *copy = memory_copy(content.data, content.size);
    assert_true(rows_check(slice_make(copy, content.size)));
    copy[content.size - 8]++; /* the second restart's offset */
    assert_false(rows_check(slice_make(copy, content.size)));
    memory_free(copy);
    rows_builder_release(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_move_like_an_array),
        cmocka_unit_test(keys_too_long_for_one_window_take_several),
        cmocka_unit_test(cleared_builder_starts_anew),
        cmocka_unit_test(a_row_that_is_not_behind_the_last_is_not_added),
        cmocka_unit_test(damaged_content_is_survived),
        cmocka_unit_test(malformed_frames_are_refused),
        cmocka_unit_test(a_step_back_to_where_no_row_ends_is_damage),
        cmocka_unit_test(check_finds_a_restart_that_no_row_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
