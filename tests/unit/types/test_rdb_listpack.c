/* SPDX-License-Identifier: MIT */
#include "types/rdb_listpack.h"

#include "base/coding.h"
#include "base/random.h"
#include "lib/seed.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct buffer bytes;

/* The writer's listpack, without the length in front of it. */
static struct slice written(const struct listpack_writer *writer)
{
    struct rdb_reader reader;
    struct slice listpack;
    buffer_clear(&bytes);
    listpack_put_as_string(writer, &bytes);
    reader = (struct rdb_reader){.input = buffer_slice(&bytes)};
    assert_int_equal(rdb_take_string(&reader, &listpack), STATUS_OK);
    assert_int_equal(reader.input.size, 0);
    assert_int_equal(listpack.size, listpack_bytes(writer));
    return listpack;
}

/* All values with blanks between, or NULL if they are no listpack. */
static const char *show(struct slice listpack)
{
    static char text[4000];
    struct listpack_reader reader;
    struct listpack_value value;
    size_t size = 0;
    enum status status = listpack_open(listpack, &reader);
    text[0] = 0;
    while (!status && (status = listpack_next(&reader, &value)) == STATUS_OK) {
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%.*s", size ? " " : "",
                                 (int)value.bytes.size, (const char *)value.bytes.data);
        assert_true(size < sizeof text);
    }
    assert_true(status == STATUS_NOT_FOUND || status == STATUS_INVALID);
    return status == STATUS_NOT_FOUND ? text : NULL;
}

static const char *show_bytes(const char *text, size_t size)
{
    return show(slice_make(text, size));
}
#define SHOW(text) show_bytes(text, sizeof(text) - 1)

static void entries_stand_as_redis_writes_them(void **state)
{
    struct listpack_writer writer = {0};
    static const char expected[] = "\x21\0\0\0\x08\0"
                                   "\x07\1"
                                   "\x83"
                                   "abc\4"
                                   "\xdf\xff\2"
                                   "\xcf\xff\2"
                                   "\xf1\x00\x10\3"
                                   "\x80\1"
                                   "\x82"
                                   "07\3"
                                   "\xd0\x00\2"
                                   "\xff";
    (void)state;
    listpack_put(&writer, slice_from("7"));
    listpack_put(&writer, slice_from("abc"));
    listpack_put(&writer, slice_from("-1"));
    listpack_put(&writer, slice_from("4095"));
    listpack_put(&writer, slice_from("4096"));
    listpack_put(&writer, slice_from(""));
    listpack_put(&writer, slice_from("07"));
    listpack_put_number(&writer, -4096);
    struct slice listpack = written(&writer);
    assert_int_equal(listpack.size, sizeof expected - 1);
    assert_memory_equal(listpack.data, expected, sizeof expected - 1);
    assert_string_equal(show(listpack), "7 abc -1 4095 4096  07 -4096");
    listpack_clear(&writer);
    assert_string_equal(show(written(&writer)), "");
    listpack_release(&writer);
}

static void numbers_of_every_width_come_back(void **state)
{
    struct listpack_writer writer = {0};
    char text[32];
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++)
        for (int off = -1; off <= 1; off++)
            for (int sign = -1; sign <= 1; sign += 2) {
                int64_t number =
                    (int64_t)(((UINT64_C(1) << bits) + (uint64_t)off) * (uint64_t)sign);
                snprintf(text, sizeof text, "%" PRId64, number);
                listpack_clear(&writer);
                listpack_put(&writer, slice_from(text));
                assert_true(writer.entries.size <= 10);
                struct listpack_reader reader;
                int64_t found = 0;
                assert_int_equal(listpack_open(written(&writer), &reader), STATUS_OK);
                assert_int_equal(listpack_next_number(&reader, &found), STATUS_OK);
                assert_true(found == number);
            }
    listpack_release(&writer);
}

static void what_does_not_print_as_itself_stays_a_string(void **state)
{
    static const char *const texts[] = {"-0",
                                        "00",
                                        "+1",
                                        "1 ",
                                        "-",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "123456789012345678901",
                                        "1a"};
    struct listpack_writer writer = {0};
    struct listpack_reader reader;
    int64_t number;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        listpack_clear(&writer);
        listpack_put(&writer, slice_from(texts[i]));
        assert_string_equal(show(written(&writer)), texts[i]);
        assert_int_equal(listpack_open(written(&writer), &reader), STATUS_OK);
        assert_int_equal(listpack_next_number(&reader, &number), STATUS_INVALID);
    }
    assert_int_equal(listpack_open(written(&writer), &reader), STATUS_OK);
    listpack_release(&writer);
}

static void strings_of_every_length_come_back(void **state)
{
    static const size_t sizes[] = {0,    1,     63,    64,    127,     128,     4095,   4096,
                                   5000, 16377, 16378, 16379, 2097140, 2097146, 2097147};
    struct listpack_writer writer = {0};
    struct buffer value = {0};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct listpack_reader reader;
        struct listpack_value found;
        buffer_clear(&value);
        buffer_reserve(&value, sizes[i] + 1);
        memset(value.data, 'x', sizes[i]);
        value.size = sizes[i];
        listpack_clear(&writer);
        listpack_put(&writer, buffer_slice(&value));
        assert_true(writer.entries.size <= listpack_entry_bytes_max(sizes[i]));
        listpack_put(&writer, slice_from("end"));
        assert_int_equal(listpack_open(written(&writer), &reader), STATUS_OK);
        assert_int_equal(listpack_next(&reader, &found), STATUS_OK);
        assert_true(slice_equal(found.bytes, buffer_slice(&value)));
        assert_int_equal(listpack_next(&reader, &found), STATUS_OK);
        assert_int_equal(listpack_next(&reader, &found), STATUS_NOT_FOUND);
        buffer_release(&bytes);
    }
    listpack_release(&writer);
    buffer_release(&value);
}

static void more_entries_than_can_be_counted_are_read_to_the_end(void **state)
{
    struct listpack_writer writer = {0};
    struct listpack_reader reader;
    struct listpack_value value;
    size_t count = 0;
    (void)state;
    for (int i = 0; i < 70000; i++)
        listpack_put_number(&writer, i % 100);
    assert_int_equal(listpack_open(written(&writer), &reader), STATUS_OK);
    while (listpack_next(&reader, &value) == STATUS_OK)
        count++;
    assert_int_equal(count, 70000);
    assert_int_equal(listpack_next(&reader, &value), STATUS_NOT_FOUND);
    listpack_release(&writer);
}

static void forms_that_we_do_not_write_are_read(void **state)
{
    /* 1 as 16, 24, 32 and 64 bits, -1 as 24; "a" with lengths of 12 and 32 bits */
    static const char entries[] = "\xf1\1\0\3"
                                  "\xf2\1\0\0\4"
                                  "\xf3\1\0\0\0\5"
                                  "\xf4\1\0\0\0\0\0\0\0\x09"
                                  "\xf2\xff\xff\xff\4"
                                  "\xe0\1"
                                  "a\3"
                                  "\xf0\1\0\0\0"
                                  "a\6";
    struct buffer listpack = {0};
    (void)state;
    buffer_append_le32(&listpack, 4 + 2 + sizeof entries - 1 + 1);
    buffer_append_le16(&listpack, 7);
    buffer_append(&listpack, entries, sizeof entries - 1);
    buffer_append_byte(&listpack, 0xff);
    assert_string_equal(show(buffer_slice(&listpack)), "1 1 1 1 -1 a a");
    buffer_release(&listpack);
}

static void what_is_no_listpack_is_refused(void **state)
{
    (void)state;
    assert_string_equal(SHOW("\x09\0\0\0\1\0\1\1\xff"), "1");
    assert_string_equal(SHOW("\x09\0\0\0\xff\xff\1\1\xff"), "1"); /* not counted */
    assert_null(SHOW(""));
    assert_null(SHOW("\x06\0\0\0\0\0"));             /* no end */
    assert_null(SHOW("\x08\0\0\0\1\0\1\1\xff"));     /* another size */
    assert_null(SHOW("\x09\0\0\0\2\0\1\1\xff"));     /* fewer entries than announced */
    assert_null(SHOW("\x09\0\0\0\0\0\1\1\xff"));     /* more */
    assert_null(SHOW("\x09\0\0\0\1\0\1\2\xff"));     /* another size of the entry */
    assert_null(SHOW("\x08\0\0\0\1\0\1\xff"));       /* none */
    assert_null(SHOW("\x0a\0\0\0\1\0\1\1\xff\xff")); /* an end before the end */
    assert_null(SHOW("\x09\0\0\0\1\0\xf5\1\xff"));   /* no such form */
    assert_null(SHOW("\x08\0\0\0\1\0\xf1\xff"));     /* numbers that are cut */
    assert_null(SHOW("\x08\0\0\0\1\0\xc1\xff"));
    assert_null(SHOW("\x0a\0\0\0\1\0\x85"
                     "a\2\xff")); /* strings that are cut */
    assert_null(SHOW("\x09\0\0\0\1\0\xf0\0\xff"));
    assert_null(SHOW("\x0c\0\0\0\1\0\xf0\xff\xff\xff\xff\xff"));
    assert_null(SHOW("\x07\0\0\0\1\0\xe1"));
}

/* The string's last byte but two is where the end should be: the size behind it ends as a listpack does. */
static void a_reader_that_has_met_bad_data_goes_on_saying_so(void **state)
{
    enum { STRING_BYTES = 253, SIZE = 4 + 2 + 2 + STRING_BYTES + 2 };
    uint8_t listpack[SIZE] = {0};
    struct listpack_reader reader;
    struct listpack_value value;
    (void)state;
    le32_store(listpack, SIZE);
    le16_store(listpack + 4, 1);
    listpack[6] = 0xe0;
    listpack[7] = STRING_BYTES;
    listpack[SIZE - 2] = 1;
    listpack[SIZE - 1] = 0xff;
    assert_int_equal(listpack_open(slice_make(listpack, SIZE), &reader), STATUS_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(listpack_next(&reader, &value), STATUS_INVALID);
}

static void any_bytes_end(void **state)
{
    struct random random;
    char text[60];
    (void)state;
    random_init(&random, test_seed());
    for (int round = 0; round < 50000; round++) {
        size_t size = 7 + random_below(&random, sizeof text - 7);
        for (size_t i = 0; i < size; i++)
            text[i] = (char)random_next(&random);
        le32_store((uint8_t *)text, (uint32_t)size);
        le16_store((uint8_t *)text + 4, 0xffff);
        text[size - 1] = (char)0xff;
        (void)show_bytes(text, size); /* any result will do */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_stand_as_redis_writes_them),
        cmocka_unit_test(numbers_of_every_width_come_back),
        cmocka_unit_test(what_does_not_print_as_itself_stays_a_string),
        cmocka_unit_test(strings_of_every_length_come_back),
        cmocka_unit_test(more_entries_than_can_be_counted_are_read_to_the_end),
        cmocka_unit_test(forms_that_we_do_not_write_are_read),
        cmocka_unit_test(what_is_no_listpack_is_refused),
        cmocka_unit_test(a_reader_that_has_met_bad_data_goes_on_saying_so),
        cmocka_unit_test(any_bytes_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
