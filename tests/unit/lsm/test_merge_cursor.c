/* SPDX-License-Identifier: MIT */
#include "lsm/merge_cursor.h"

#include "base/random.h"
#include "lib/seed.h"
#include "unit/lsm/array_cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CHILDREN = 5, VERSIONS = 120, KEYS = 30 };

/* Random versions dealt to the children; all of them sorted in `all`. */
struct fixture {
    char keys[KEYS][16];
    struct entry all[VERSIONS];
    struct entry dealt[CHILDREN][VERSIONS];
    size_t counts[CHILDREN];
    struct cursor *merged, *model;
};

static void fixture_init(struct fixture *fixture, struct random *random)
{
    memset(fixture, 0, sizeof(*fixture));
    for (int i = 0; i < KEYS; i++)
        snprintf(fixture->keys[i], sizeof(fixture->keys[i]), "k%02d", i);
    for (int i = 0; i < VERSIONS; i++) {
        const char *key = fixture->keys[random_below(random, KEYS)];
        fixture->all[i] = (struct entry){slice_from(key), slice_from(key), (lsn_t)i + 1, ENTRY_PUT};
    }
    qsort(fixture->all, VERSIONS, sizeof(fixture->all[0]), array_entry_compare);
    size_t used = random_below(random, CHILDREN) + 1;
    for (int i = 0; i < VERSIONS; i++) {
        size_t child = random_below(random, used);
        fixture->dealt[child][fixture->counts[child]++] = fixture->all[i];
    }
    struct cursor *children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        children[i] = array_cursor_create(fixture->dealt[i], fixture->counts[i]);
    fixture->merged = merge_cursor_create(children, CHILDREN);
    fixture->model = array_cursor_create(fixture->all, VERSIONS);
}

static void fixture_release(struct fixture *fixture)
{
    fixture->merged->ops->destroy(fixture->merged);
    fixture->model->ops->destroy(fixture->model);
}

static void assert_same(const struct cursor *a, const struct cursor *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->valid, b->valid);
    if (!a->valid)
        return;
    assert_true(slice_equal(a->key, b->key));
    assert_true(slice_equal(a->value, b->value));
    assert_int_equal(a->lsn, b->lsn);
    assert_int_equal(a->kind, b->kind);
}

static void move_both(struct fixture *fixture, struct random *random)
{
    struct cursor *pair[2] = {fixture->merged, fixture->model};
    char text[16];
    snprintf(text, sizeof(text), "k%02d", (int)random_below(random, KEYS + 2) - 1);
    struct slice key = slice_from(text);
    lsn_t lsn = random_below(random, VERSIONS + 2);
    uint64_t what = random_below(random, 20);
    for (int i = 0; i < 2; i++) {
        struct cursor *cursor = pair[i];
        if (what == 0)
            cursor->ops->seek(cursor, key, lsn);
        else if (what == 1)
            cursor->ops->seek_for_prev(cursor, key);
        else if (what == 2 || (!cursor->valid && what < 10))
            cursor->ops->first(cursor);
        else if (what == 3 || !cursor->valid)
            cursor->ops->last(cursor);
        else if (what < 13)
            cursor->ops->next(cursor);
        else
            cursor->ops->prev(cursor);
    }
}

static void merged_children_move_like_one_sorted_array(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    for (int round = 0; round < 50; round++) {
        struct fixture fixture;
        fixture_init(&fixture, &random);
        for (int step = 0; step < 400; step++) {
            move_both(&fixture, &random);
            assert_same(fixture.merged, fixture.model);
            if (!fixture.merged->valid || !fixture.merged->may_run)
                continue;
            assert_true(array_cursor_follow_run(
                fixture.merged, fixture.model, random_below(&random, 2), random_below(&random, 6)));
            assert_same(fixture.merged, fixture.model);
        }
        fixture_release(&fixture);
    }
}

static void no_children_give_an_empty_cursor(void **state)
{
    (void)state;
    struct cursor *cursor = merge_cursor_create(NULL, 0);
    assert_false(cursor->valid);
    cursor->ops->first(cursor);
    assert_false(cursor->valid);
    cursor->ops->last(cursor);
    assert_false(cursor->valid);
    cursor->ops->seek(cursor, slice_from("a"), 1);
    assert_false(cursor->valid);
    assert_int_equal(cursor->status, STATUS_OK);
    cursor->ops->destroy(cursor);
}

static void one_child_is_given_back(void **state)
{
    (void)state;
    struct cursor *child = array_cursor_create(NULL, 0);
    assert_ptr_equal(merge_cursor_create(&child, 1), child);
    child->ops->destroy(child);
}

static void failing_child_fails_the_merge_until_the_next_seek(void **state)
{
    (void)state;
    struct entry a[] = {{slice_from("a"), slice_from("1"), 1, ENTRY_PUT},
                        {slice_from("c"), slice_from("3"), 3, ENTRY_PUT}};
    struct entry b[] = {{slice_from("b"), slice_from("2"), 2, ENTRY_DELETE},
                        {slice_from("d"), slice_from("4"), 4, ENTRY_PUT}};
    /* Every move of the second child fails once, at a seek, a step or a turn. */
    for (size_t n = 1; n < 8; n++) {
        struct cursor *children[] = {array_cursor_create(a, 2), array_cursor_create(b, 2)};
        struct array_cursor *failing = (struct array_cursor *)children[1];
        failing->fail_after = n;
        failing->failure = STATUS_WOULD_BLOCK;
        struct cursor *merged = merge_cursor_create(children, 2);
        bool failed = false;
        merged->ops->first(merged);
        for (int step = 0; step < 12 && !failed; step++) {
            failed = merged->status != STATUS_OK;
            assert_true(!failed || merged->status == STATUS_WOULD_BLOCK);
            if (failed)
                assert_false(merged->valid);
            else if (!merged->valid)
                merged->ops->last(merged);
            else if (step % 4 < 2)
                merged->ops->next(merged);
            else
                merged->ops->prev(merged);
        }
        assert_true(failed);
        merged->ops->seek(merged, slice_from("b"), 9);
        assert_int_equal(merged->status, STATUS_OK);
        assert_true(merged->valid);
        assert_int_equal(merged->lsn, 2);
        merged->ops->destroy(merged);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_children_move_like_one_sorted_array),
        cmocka_unit_test(no_children_give_an_empty_cursor),
        cmocka_unit_test(one_child_is_given_back),
        cmocka_unit_test(failing_child_fails_the_merge_until_the_next_seek),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
