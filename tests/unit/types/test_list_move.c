/* SPDX-License-Identifier: MIT */
#include "unit/types/list_fixture.h"

static enum status move(const char *from, enum list_end from_end, const char *to,
                        enum list_end to_end)
{
    memory_store_write(&ms);
    buffer_clear(&seen);
    enum status status = list_move(&ms.access, slice_from(from), from_end, slice_from(to), to_end,
                                   &(struct list_visitor){.element = see_element});
    memory_store_end(&ms);
    return status;
}

#define assert_moved(element, from, from_end, to, to_end)              \
    do {                                                               \
        assert_int_equal(move(from, from_end, to, to_end), STATUS_OK); \
        assert_string_equal(seen_text(), element);                     \
    } while (0)

static void an_element_goes_from_one_list_to_another(void **state)
{
    (void)state;
    push_words("a", "1 2 3");
    assert_moved("1", "a", LIST_LEFT, "b", LIST_RIGHT);
    assert_string_equal(memory_store_facts(&ms), "l rpush b, l lpop a");
    assert_moved("3", "a", LIST_RIGHT, "b", LIST_LEFT);
    assert_string_equal(memory_store_facts(&ms), "l lpush b, l rpop a");
    expect_list("a", "2");
    expect_list("b", "3 1");
    assert_moved("2", "a", LIST_RIGHT, "b", LIST_RIGHT);
    assert_string_equal(memory_store_facts(&ms), "l rpush b, l rpop a, g del a");
    expect_list("a", "");
    expect_list("b", "3 1 2");
    expect_sound();
}

static void large_elements_move_with_their_pieces(void **state)
{
    (void)state;
    push_words("a", "x*100000 y*600 z*40000");
    assert_moved("z*40000", "a", LIST_RIGHT, "b", LIST_LEFT);
    assert_moved("x*100000", "a", LIST_LEFT, "b", LIST_LEFT);
    expect_list("a", "y*600");
    expect_list("b", "x*100000 z*40000");
    assert_moved("y*600", "a", LIST_LEFT, "b", LIST_RIGHT);
    expect_list("b", "x*100000 z*40000 y*600");
    expect_sound();
}

static void a_list_goes_round(void **state)
{
    (void)state;
    for (int dense = 0; dense < 2; dense++) {
        push_words("a", dense ? "1 2 3 x*600" : "1 2 3 4");
        assert_moved("1", "a", LIST_LEFT, "a", LIST_RIGHT);
        assert_string_equal(memory_store_facts(&ms), "l rpush a, l lpop a");
        expect_list("a", dense ? "2 3 x*600 1" : "2 3 4 1");
        assert_moved("1", "a", LIST_RIGHT, "a", LIST_LEFT);
        assert_moved(dense ? "x*600" : "4", "a", LIST_RIGHT, "a", LIST_LEFT);
        expect_list("a", dense ? "x*600 1 2 3" : "4 1 2 3");
        for (int end = LIST_LEFT; end <= LIST_RIGHT; end++)
            assert_int_equal(move("a", end, "a", end), STATUS_OK);
        expect_list("a", dense ? "x*600 1 2 3" : "4 1 2 3");
        expect_sound();
        memory_store_write(&ms);
        assert_int_equal(list_trim(&ms.access, slice_from("a"), 1, 0), STATUS_OK);
        memory_store_end(&ms);
    }
    push_words("one", "x");
    assert_moved("x", "one", LIST_LEFT, "one", LIST_RIGHT);
    assert_string_equal(memory_store_facts(&ms), "l rpush one, l lpop one");
    expect_list("one", "x");
}

static void a_list_that_goes_round_does_not_pile_up(void **state)
{
    (void)state;
    push_words("a", "1 2 3 x*600");
    for (int i = 0; i < 5000; i++)
        assert_int_equal(move("a", LIST_LEFT, "a", LIST_RIGHT), STATUS_OK);
    assert_true(part_count() < 4 + LIST_RECLAIM_WEIGHT);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(move("a", LIST_RIGHT, "a", LIST_LEFT), STATUS_OK);
    assert_true(part_count() < 4 + LIST_RECLAIM_WEIGHT);
    expect_list("a", "1 2 3 x*600");
    expect_sound();
}

/* It has popped nothing yet, whatever memory it is found in. */
static void a_list_that_outgrows_its_header_begins_without_weights(void **state)
{
    struct object object;
    (void)state;
    push_words("a", "1 2");
    push_words("b", "x*600");
    assert_moved("x*600", "b", LIST_LEFT, "a", LIST_LEFT);
    memory_store_read(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("a"), &object), STATUS_OK);
    assert_int_equal(object.body.size, 5);
    assert_memory_equal(object.body.data, "\1\0\3\0\0", 5);
    memory_store_end(&ms);
}

static void what_is_no_list_is_refused(void **state)
{
    (void)state;
    set_string("s");
    push_words("a", "1");
    assert_int_equal(move("s", LIST_LEFT, "a", LIST_LEFT), STATUS_WRONG_TYPE);
    assert_int_equal(move("a", LIST_LEFT, "s", LIST_LEFT), STATUS_WRONG_TYPE);
    assert_int_equal(move("none", LIST_LEFT, "s", LIST_LEFT), STATUS_NOT_FOUND);
    expect_list("a", "1");
}

static enum status refuse(void *context)
{
    (void)context;
    return STATUS_NO_MEMORY;
}

static void a_visitor_that_refuses_leaves_all_as_it_was(void **state)
{
    (void)state;
    push_words("a", "1 2");
    memory_store_write(&ms);
    assert_int_equal(list_move(&ms.access, slice_from("a"), LIST_LEFT, slice_from("b"), LIST_LEFT,
                               &(struct list_visitor){.element = see_element, .check = refuse}),
                     STATUS_NO_MEMORY);
    memory_store_end(&ms);
    expect_list("a", "1 2");
    expect_list("b", "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, list_setup, list_teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_element_goes_from_one_list_to_another),
        TEST(large_elements_move_with_their_pieces),
        TEST(a_list_goes_round),
        TEST(a_list_that_goes_round_does_not_pile_up),
        TEST(a_list_that_outgrows_its_header_begins_without_weights),
        TEST(what_is_no_list_is_refused),
        TEST(a_visitor_that_refuses_leaves_all_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
