/* SPDX-License-Identifier: MIT */
#include "lib/seed.h"

#include "base/random.h"
#include "types/stream_entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static const uint8_t prefix[OBJECT_PREFIX_BYTES] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9};
static const struct stream_id id = {1526919030474, 55};

static struct slice key_of(uint8_t key[STREAM_ENTRY_KEY_BYTES])
{
    stream_entry_key_store(key, prefix, id);
    return slice_make(key, STREAM_ENTRY_KEY_BYTES);
}

static void a_record_is_what_was_written(void **state)
{
    uint8_t key[STREAM_ENTRY_KEY_BYTES];
    struct buffer value = {0};
    struct stream_entry entry;
    struct stream_field field;
    const struct slice fields[] = {slice_from("message"), slice_from("disk full"),
                                   slice_from(""),        slice_from(""),
                                   slice_from("n"),       slice_from("12.50")};
    const uint8_t kinds[] = {STREAM_FIELD_BYTES, STREAM_FIELD_BYTES, STREAM_FIELD_JSON};
    (void)state;
    for (int late = 0; late < 2; late++) {
        for (int typed = 0; typed < 2; typed++) {
            stream_record_encode(&(struct stream_record){.ordinal = 300,
                                                         .late_ms = late ? 1000 : 0,
                                                         .fields = fields,
                                                         .field_count = 3,
                                                         .kinds = typed ? kinds : NULL},
                                 &value);
            assert_int_equal(stream_entry_decode(key_of(key), buffer_slice(&value), &entry),
                             STATUS_OK);
            assert_int_equal(stream_id_compare(entry.id, id), 0);
            assert_int_equal(entry.ordinal, 300);
            assert_int_equal(entry.is_late, late);
            assert_int_equal(entry.event_ms, id.ms - (late ? 1000 : 0));
            assert_int_equal(entry.field_count, 3);
            struct stream_fields next = stream_fields_begin(&entry);
            for (int i = 0; i < 3; i++) {
                assert_true(stream_fields_next(&next, &field));
                assert_true(slice_equal(field.name, fields[2 * i]));
                assert_true(slice_equal(field.value, fields[2 * i + 1]));
                assert_int_equal(field.kind, typed ? kinds[i] : STREAM_FIELD_BYTES);
            }
            assert_false(stream_fields_next(&next, &field));
            assert_false(next.is_corrupt);
        }
    }
    assert_true(stream_entry_find_field(&entry, slice_from("n"), &field));
    assert_int_equal(field.kind, STREAM_FIELD_JSON);
    assert_false(stream_entry_find_field(&entry, slice_from("N"), &field));
    buffer_release(&value);
}

/* Decodes all there is; true: it was sound. */
static bool is_sound(struct slice value)
{
    uint8_t key[STREAM_ENTRY_KEY_BYTES];
    struct stream_entry entry;
    struct stream_field field;
    if (stream_entry_decode(key_of(key), value, &entry))
        return false;
    struct stream_fields fields = stream_fields_begin(&entry);
    size_t count = 0;
    while (stream_fields_next(&fields, &field))
        count++;
    assert_true(fields.is_corrupt || count == entry.field_count);
    return !fields.is_corrupt;
}

static void a_cut_record_is_refused(void **state)
{
    struct buffer value = {0};
    const struct slice fields[] = {slice_from("message"), slice_from("disk full")};
    const uint8_t kinds[] = {STREAM_FIELD_JSON};
    (void)state;
    stream_record_encode(
        &(struct stream_record){.late_ms = 5, .fields = fields, .field_count = 1, .kinds = kinds},
        &value);
    assert_true(is_sound(buffer_slice(&value)));
    for (size_t cut = 0; cut < value.size; cut++)
        assert_false(is_sound(slice_make(value.data, cut)));
    buffer_append_byte(&value, 0);
    assert_false(is_sound(buffer_slice(&value)));
    buffer_release(&value);
}

static void what_no_writer_writes_is_refused(void **state)
{
    static const struct slice damaged[] = {
        {(const uint8_t *)"\x04\0\1\0\0", 5}, /* an unknown flag */
        {(const uint8_t *)"\0\0\0", 3},       /* no field */
        {(const uint8_t *)"\0\0\x7f\0\0", 5}, /* more fields than bytes */
        {(const uint8_t *)"\1\0\0\1\0\0", 6}, /* late by nothing */
        {(const uint8_t *)"\2\0\1\2\0\0", 6}, /* an unknown kind */
        {(const uint8_t *)"\1\0\xff\xff\xff\xff\xff\xff\xff\xff\x7f\1\0\0", 14}, /* before 1970 */
    };
    uint8_t key[STREAM_ENTRY_KEY_BYTES + 1] = {0};
    struct stream_entry entry;
    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++)
        assert_false(is_sound(damaged[i]));
    assert_int_equal(
        stream_entry_decode(slice_make(key, sizeof key), slice_make("\0\0\1\0\0", 5), &entry),
        STATUS_CORRUPT);
}

static void any_bytes_are_safe_to_decode(void **state)
{
    struct random rng;
    uint8_t bytes[40];
    (void)state;
    random_init(&rng, test_seed());
    for (int round = 0; round < 200000; round++) {
        size_t size = random_below(&rng, sizeof bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(random_below(&rng, 3) ? random_below(&rng, 6) : random_next(&rng));
        (void)is_sound(slice_make(bytes, size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_what_was_written),
        cmocka_unit_test(a_cut_record_is_refused),
        cmocka_unit_test(what_no_writer_writes_is_refused),
        cmocka_unit_test(any_bytes_are_safe_to_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
