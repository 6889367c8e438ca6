/* SPDX-License-Identifier: MIT */
/* What background work writes and leaves on the disk, by the counters of lsm_get_stats. */
#include "unit/lsm/space_fixture.h"

/* Keys in order, in as many tables as there are flushes: nothing is ever written twice. */
static void keys_in_order_are_written_once(void **state)
{
    (void)state;
    struct space space;
    space_init(&space, NULL);
    for (unsigned i = 0; i < 40; i++) {
        space_put_keys(&space, i * 200, (i + 1) * 200);
        space_flush(&space);
    }
    struct lsm_tree_stats stats = space_tree(&space, SPACE_KEYS);
    assert_int_equal(stats.compaction_write_bytes, 0);
    assert_int_equal(stats.compaction_read_bytes, 0);
    assert_true(stats.tables_moved >= 40);
    assert_true(stats.l0_count < 4);
    assert_int_equal(stats.entry_count, 40 * 200);
    space_release(&space);
}

/* A table that is small is merged, so that the tables do not become many. */
static void small_tables_in_order_are_merged(void **state)
{
    (void)state;
    struct space space;
    space_init(&space, NULL);
    for (unsigned i = 0; i < 40; i++) {
        space_put_keys(&space, i * 20, (i + 1) * 20);
        space_flush(&space);
    }
    struct lsm_tree_stats stats = space_tree(&space, SPACE_KEYS);
    assert_true(stats.compaction_write_bytes > 0);
    assert_true(stats.table_count < 14);
    space_release(&space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_in_order_are_written_once),
        cmocka_unit_test(small_tables_in_order_are_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
