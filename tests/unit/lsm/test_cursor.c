/* SPDX-License-Identifier: MIT */
#include "lsm/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { KEYS = 17 };

/* Keys "00", "02", "04" ...; bounds are all numbers up to them and beyond. */
static void as_many_of_a_run_stand_before_a_bound_as_are_counted_one_by_one(void **state)
{
    (void)state;
    char keys[KEYS][16], bound[16];
    struct entry entries[KEYS];
    for (int i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%02d", 2 * i);
        entries[i] = (struct entry){.key = slice_from(keys[i])};
    }
    for (size_t count = 1; count <= KEYS; count++) {
        for (int number = 0; number < 2 * KEYS + 2; number++) {
            const struct cursor_run forward = {entries, count, 0};
            const struct cursor_run backward = {entries + KEYS - 1, count, 0};
            size_t before = 0, behind = 0;
            snprintf(bound, sizeof(bound), "%02d", number);
            for (size_t i = 0; i < count; i++) {
                before += 2 * (int)i < number;
                behind += 2 * (KEYS - 1 - (int)i) > number;
            }
            assert_int_equal(cursor_run_before(&forward, false, slice_from(bound)), before);
            assert_int_equal(cursor_run_before(&backward, true, slice_from(bound)), behind);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_of_a_run_stand_before_a_bound_as_are_counted_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
