/* SPDX-License-Identifier: MIT */
/* A list that is built is the list that pushing gives. */
#include "types/list_build.h"

#include "base/memory.h"
#include "lib/memory_store.h"
#include "types/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct memory_store ms;
static uint8_t large[100000];

static int setup(void **state)
{
    (void)state;
    memory_store_open(&ms, &(struct store_options){.databases = 1,
                                                   .build_bytes_max = 50000,
                                                   .wal_segment_bytes = 2 << 20});
    memset(large, 'l', sizeof large);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    return 0;
}

static enum status spill(void *context, struct object_build *build)
{
    (void)context;
    return object_build_spill(build);
}

static void begin(struct object_build *object, bool is_small)
{
    memory_store_read(&ms);
    object_build_begin(object, &ms.access, is_small);
    memory_store_end(&ms);
    object->full = spill;
}

/* Element i of a list of the shape: small ones, some with pieces, ... */
static struct slice element(int shape, int i)
{
    static char text[32];
    if (shape == 2 && i % 7 == 3)
        return slice_make(large, LIST_PIECE_BYTES + (size_t)i * 1000);
    if (shape == 3)
        return slice_make(large, i % 2 ? LIST_PIECE_BYTES : LIST_PIECE_BYTES + 1);
    snprintf(text, sizeof text, shape ? "element %d" : "%d", i);
    return slice_from(text);
}

static void link_list(struct list_build *build, struct object_build *object, const char *key)
{
    struct object built = {.type = OBJECT_LIST}, old;
    memory_store_write(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from(key), &old), STATUS_NOT_FOUND);
    list_build_end(build);
    built.body = buffer_slice(&build->body);
    if (build->has_parts)
        built.id = object_build_link(object, &ms.access);
    keyspace_put(&ms.access, slice_from(key), &built, NULL);
    memory_store_end(&ms);
}

struct expected {
    int shape, next;
};

static void check_element(void *context, struct slice value)
{
    struct expected *expected = context;
    assert_true(slice_equal(value, element(expected->shape, expected->next++)));
}

static void check_list(int shape, int count, bool is_small)
{
    struct object_build object;
    struct list_build build;
    uint64_t length;
    struct expected expected = {.shape = shape};
    const struct list_visitor visitor = {.element = check_element, .context = &expected};
    begin(&object, is_small);
    list_build_begin(&build, &object);
    for (int i = 0; i < count; i++)
        assert_int_equal(list_build_add(&build, element(shape, i)), STATUS_OK);
    link_list(&build, &object, "k");
    list_build_release(&build);
    object_build_release(&object);
    memory_store_read(&ms);
    assert_int_equal(list_range(&ms.access, slice_from("k"), 0, -1, &visitor), STATUS_OK);
    assert_int_equal(expected.next, count);
    memory_store_end(&ms);
    memory_store_write(&ms); /* it grows and goes as any other */
    struct slice more = slice_from("more");
    assert_int_equal(list_push(&ms.access, slice_from("k"), LIST_LEFT, &more, 1, true, &length),
                     STATUS_OK);
    assert_int_equal(length, count + 1);
    assert_int_equal(list_push(&ms.access, slice_from("k"), LIST_RIGHT, &more, 1, true, &length),
                     STATUS_OK);
    memory_store_end(&ms);
    memory_store_reopen(&ms); /* sound */
    bool deleted;
    memory_store_write(&ms);
    assert_int_equal(keyspace_delete(&ms.access, slice_from("k"), &deleted), STATUS_OK);
    memory_store_end(&ms);
}

static void lists_of_all_sizes_are_those_that_pushing_gives(void **state)
{
    static const int counts[] = {1, 2, 127, 128, 129, 500, 5000};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        check_list(0, counts[i], false);
    check_list(1, 40, false); /* about what a header holds */
    check_list(1, 60, true);
    check_list(2, 30, false);
    check_list(3, 5, false);
}

static void a_list_that_does_not_fit_into_a_small_build_says_so(void **state)
{
    struct object_build object;
    struct list_build build;
    enum status status = STATUS_OK;
    (void)state;
    for (int shape = 1; shape <= 3; shape += 2) {
        begin(&object, true);
        list_build_begin(&build, &object);
        for (int i = 0; i < 5000 && !status; i++)
            status = list_build_add(&build, element(shape, i));
        assert_int_equal(status, STATUS_TOO_LARGE);
        status = STATUS_OK;
        list_build_release(&build);
        object_build_release(&object);
    }
}

static void an_element_above_the_limit_is_refused(void **state)
{
    struct object_build object;
    struct list_build build;
    (void)state;
    begin(&object, false);
    list_build_begin(&build, &object);
    assert_int_equal(list_build_add(&build, slice_make(large, (size_t)LIST_ELEMENT_BYTES_MAX + 1)),
                     STATUS_TOO_LARGE); /* it is not looked at */
    assert_int_equal(build.count, 0);
    list_build_release(&build);
    object_build_release(&object);
}

/* At each of them in turn: of the first elements that leave the header, of one, of a piece. */
static void without_memory_nothing_is_added(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 3; n++) {
        struct object_build object;
        struct list_build build;
        enum status status = STATUS_OK;
        begin(&object, false);
        list_build_begin(&build, &object);
        for (int i = 0; i < 128; i++)
            assert_int_equal(list_build_add(&build, element(0, i)), STATUS_OK);
        memory_fail_try(n, true);
        for (int i = 0; i < 20 && !status; i++)
            status = list_build_add(&build, slice_make(large, 90000));
        memory_fail_try(0, false);
        assert_int_equal(status, STATUS_NO_MEMORY);
        list_build_release(&build);
        object_build_release(&object);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(lists_of_all_sizes_are_those_that_pushing_gives),
        TEST(a_list_that_does_not_fit_into_a_small_build_says_so),
        TEST(an_element_above_the_limit_is_refused),
        TEST(without_memory_nothing_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
