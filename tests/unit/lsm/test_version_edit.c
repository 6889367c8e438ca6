/* SPDX-License-Identifier: MIT */
#include "lsm/version_edit.h"

#include "base/coding.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct table_properties make_properties(const char *smallest, const char *largest)
{
    struct table_properties properties = {.file_bytes = 1000,
                                          .entry_count = 10,
                                          .delete_count = 2,
                                          .range_delete_count = 1,
                                          .raw_bytes = 3000,
                                          .lsn_min = 5000,
                                          .lsn_max = 6000,
                                          .largest_is_exclusive = true};
    buffer_append_text(&properties.smallest, smallest);
    buffer_append_text(&properties.largest, largest);
    return properties;
}

static void an_edit_decodes_to_the_fields_that_made_it(void **state)
{
    (void)state;
    struct version_edit edit = {
        .flushed_lsn = 6001, .durable_lsn = 7000, .epoch = 3, .clean = true};
    struct table_properties properties = make_properties("a", "m");
    version_edit_add(&edit, 1, 0, 12, &properties);
    assert_int_equal(properties.smallest.size, 0); /* moved */
    version_edit_remove(&edit, 2, 6, 9);
    struct buffer bytes = {0};
    version_edit_encode(&bytes, &edit);

    struct slice rest = buffer_slice(&bytes);
    struct version_field field;
    assert_int_equal(version_field_next(&rest, &field), STATUS_OK);
    assert_int_equal(field.tag, VERSION_FIELD_REMOVE);
    assert_int_equal(field.table.tree, 2);
    assert_int_equal(field.table.level, 6);
    assert_int_equal(field.table.number, 9);
    assert_int_equal(version_field_next(&rest, &field), STATUS_OK);
    assert_int_equal(field.tag, VERSION_FIELD_ADD);
    assert_int_equal(field.table.tree, 1);
    assert_int_equal(field.table.number, 12);
    assert_int_equal(field.table.properties.file_bytes, 1000);
    assert_int_equal(field.table.properties.entry_count, 10);
    assert_int_equal(field.table.properties.delete_count, 2);
    assert_int_equal(field.table.properties.range_delete_count, 1);
    assert_int_equal(field.table.properties.raw_bytes, 3000);
    assert_int_equal(field.table.properties.lsn_min, 5000);
    assert_int_equal(field.table.properties.lsn_max, 6000);
    assert_true(field.table.properties.largest_is_exclusive);
    assert_true(slice_equal(buffer_slice(&field.table.properties.largest), slice_from("m")));
    table_properties_release(&field.table.properties);
    assert_int_equal(version_field_next(&rest, &field), STATUS_OK);
    assert_int_equal(field.tag, VERSION_FIELD_FLUSHED_LSN);
    assert_int_equal(field.value, 6001);
    assert_int_equal(version_field_next(&rest, &field), STATUS_OK);
    assert_int_equal(field.tag, VERSION_FIELD_DURABLE_LSN);
    assert_int_equal(version_field_next(&rest, &field), STATUS_OK);
    assert_int_equal(field.tag, VERSION_FIELD_EPOCH);
    assert_int_equal(version_field_next(&rest, &field), STATUS_OK);
    assert_int_equal(field.tag, VERSION_FIELD_CLEAN);
    assert_int_equal(version_field_next(&rest, &field), STATUS_NOT_FOUND);
    buffer_release(&bytes);
    version_edit_release(&edit);
}

static void an_empty_edit_is_no_bytes(void **state)
{
    (void)state;
    struct version_edit edit = {0};
    struct buffer bytes = {0};
    version_edit_encode(&bytes, &edit);
    assert_int_equal(bytes.size, 0);
    buffer_release(&bytes);
}

static void an_unknown_tag_is_refused_by_its_number(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    struct version_field field;
    buffer_append_varint(&bytes, 4711);
    struct slice rest = buffer_slice(&bytes);
    assert_int_equal(version_field_next(&rest, &field), STATUS_UNSUPPORTED);
    assert_int_equal(field.value, 4711);
    buffer_release(&bytes);
}

static void every_cut_of_a_field_is_malformed(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    struct table_properties properties = make_properties("a", "m");
    version_edit_encode_added(&bytes, 1, 2, 3, &properties);
    for (size_t size = 1; size < bytes.size; size++) {
        struct slice rest = slice_make(bytes.data, size);
        struct version_field field;
        assert_int_equal(version_field_next(&rest, &field), STATUS_CORRUPT);
        assert_int_equal(rest.size, size);
    }
    table_properties_release(&properties);
    buffer_release(&bytes);
}

static void values_out_of_range_are_malformed(void **state)
{
    (void)state;
    static const uint8_t cases[][5] = {
        {VERSION_FIELD_REMOVE, LSM_TREES_MAX, 0, 1},  /* tree */
        {VERSION_FIELD_REMOVE, 0, LSM_LEVELS_MAX, 1}, /* level */
        {VERSION_FIELD_REMOVE, 0, 0, 0},              /* number 0 */
        {VERSION_FIELD_TREE, 0, 2, 1, 'x'},           /* compaction */
        {VERSION_FIELD_TREE, LSM_TREES_MAX, 0, 1, 'x'},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice rest = slice_make(cases[i], sizeof(cases[i]));
        struct version_field field;
        assert_int_equal(version_field_next(&rest, &field), STATUS_CORRUPT);
    }
    struct table_properties properties = make_properties("z", "a");
    struct buffer bytes = {0};
    struct version_field field;
    version_edit_encode_added(&bytes, 0, 0, 3, &properties);
    struct slice rest = buffer_slice(&bytes);
    assert_int_equal(version_field_next(&rest, &field), STATUS_CORRUPT);
    table_properties_release(&properties);
    buffer_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edit_decodes_to_the_fields_that_made_it),
        cmocka_unit_test(an_empty_edit_is_no_bytes),
        cmocka_unit_test(an_unknown_tag_is_refused_by_its_number),
        cmocka_unit_test(every_cut_of_a_field_is_malformed),
        cmocka_unit_test(values_out_of_range_are_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
