/* SPDX-License-Identifier: MIT */
#include "unit/types/list_fixture.h"

static void see_index(void *context, uint64_t index)
{
    (void)context;
    buffer_printf(&seen, "%s%llu", seen.size ? " " : "", (unsigned long long)index);
}

static enum status search(const char *key, struct list_search options, const char *value)
{
    buffer_clear(&seen);
    memory_store_read(&ms);
    options.value = slice_from(value);
    options.found = see_index;
    enum status status = list_find_elements(&ms.access, slice_from(key), &options);
    memory_store_end(&ms);
    return status;
}

#define assert_found(positions, value, ...)                                                 \
    do {                                                                                    \
        assert_int_equal(search("l", (struct list_search){__VA_ARGS__}, value), STATUS_OK); \
        assert_string_equal(seen_text(), positions);                                        \
    } while (0)

static void matches_are_found_from_either_end(void **state)
{
    (void)state;
    push_words("l", "a b c 1 2 3 c c");
    for (int dense = 0; dense < 2; dense++) {
        assert_found("2 6 7", "c", .rank = 1);
        assert_found("7 6 2", "c", .rank = -1);
        assert_found("6 7", "c", .rank = 2);
        assert_found("2", "c", .rank = -3);
        assert_found("", "c", .rank = 4);
        assert_found("", "c", .rank = INT64_MIN);
        assert_found("2 6", "c", .rank = 1, .count_max = 2);
        assert_found("2", "c", .rank = 1, .looked_max = 6);
        assert_found("7", "c", .rank = -1, .looked_max = 1);
        assert_found("", "c", .rank = 1, .looked_max = 2);
        assert_found("0", "a", .rank = -1, .looked_max = 100);
        assert_found("", "nothing", .rank = 1);
        if (dense)
            break;
        push_words("l", "x*600");
        memory_store_write(&ms);
        assert_int_equal(list_trim(&ms.access, slice_from("l"), 0, -2), STATUS_OK);
        memory_store_end(&ms);
    }
}

static void what_is_no_list_has_no_matches(void **state)
{
    (void)state;
    set_string("s");
    assert_int_equal(search("none", (struct list_search){.rank = 1}, "a"), STATUS_NOT_FOUND);
    assert_int_equal(search("s", (struct list_search){.rank = 1}, "a"), STATUS_WRONG_TYPE);
}

static enum status stop_at_200000(void *context, uint64_t bytes)
{
    ++*(unsigned *)context;
    return bytes < 200000 ? STATUS_OK : STATUS_WOULD_BLOCK;
}

static void a_long_search_is_asked_whether_to_go_on(void **state)
{
    unsigned asked = 0;
    (void)state;
    push_words("l", "x*50000 x*50000 x*50000 x*50000 x*50000");
    assert_int_equal(
        search("l", (struct list_search){.rank = 1, .check = stop_at_200000, .context = &asked},
               "y"),
        STATUS_WOULD_BLOCK);
    assert_int_equal(asked, 2); /* at 100,000 and at 200,000 */
}

static void a_missing_element_is_damage(void **state)
{
    (void)state;
    push_words("l", "a b x*600");
    memory_store_write(&ms);
    uint8_t key[OBJECT_PREFIX_BYTES + 9];
    object_prefix_store(key, ms.access.generation, 1);
    key[OBJECT_PREFIX_BYTES] = 'l';
    be64_store(key + OBJECT_PREFIX_BYTES + 1, ((uint64_t)1 << 63) + 1);
    access_delete(&ms.access, TREE_PARTS, slice_make(key, sizeof key));
    ms.is_damaged = true;
    memory_store_end(&ms);
    assert_int_equal(search("l", (struct list_search){.rank = 1}, "z"), STATUS_CORRUPT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, list_setup, list_teardown)
    const struct CMUnitTest tests[] = {
        TEST(matches_are_found_from_either_end),
        TEST(what_is_no_list_has_no_matches),
        TEST(a_long_search_is_asked_whether_to_go_on),
        TEST(a_missing_element_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
