/* SPDX-License-Identifier: MIT */
#include "base/hash.h"
#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Hashes stand in file formats, so these may never change. The sizes are those at which XXH3 goes over
 * to another of its ways. */
static void hash64_is_xxh3_and_never_changes(void **state)
{
    (void)state;
    assert_true(hash64(slice_make(NULL, 0), 0) == 0x2d06800538d394c2u);
    assert_true(hash64(slice_from("a"), 0) == 0xe6c632b61e964e1fu);
    assert_true(hash64(slice_from("abc"), 0) == 0x78af5f94892f3950u);
    uint8_t bytes[1000];
    for (int i = 0; i < 1000; i++)
        bytes[i] = (uint8_t)i;
    static const size_t sizes[] = {8, 16, 17, 128, 129, 240, 241, 1000};
    uint64_t folded = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        folded = folded * 31 + hash64(slice_make(bytes, sizes[i]), i);
    assert_true(folded == 0xa927edabafb427c2u);
}

static void hash64_depends_on_the_seed(void **state)
{
    (void)state;
    assert_true(hash64(slice_from("key"), 1) != hash64(slice_from("key"), 2));
    assert_true(hash64(slice_from("key"), 1) == hash64(slice_from("key"), 1));
}

static void every_status_has_a_text(void **state)
{
    (void)state;
    for (int i = 0; i <= STATUS_WRONG_TYPE; i++)
        assert_string_not_equal(status_text((enum status)i), "unknown status");
    assert_string_equal(status_text(STATUS_OK), "ok");
    assert_string_equal(status_text(STATUS_NO_SPACE), "no space left on the disk");
    assert_string_equal(status_text((enum status)1000), "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash64_is_xxh3_and_never_changes),
        cmocka_unit_test(hash64_depends_on_the_seed),
        cmocka_unit_test(every_status_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
