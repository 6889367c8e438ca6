/* SPDX-License-Identifier: MIT */
#include "types/rdb_ziplist.h"

#include "base/coding.h"
#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* A ziplist of entries, the last of which begins at `last` among them. */
static struct slice ziplist(const char *entries, size_t size, size_t last, uint16_t count)
{
    static struct buffer bytes;
    buffer_clear(&bytes);
    buffer_append_le32(&bytes, (uint32_t)(10 + size + 1));
    buffer_append_le32(&bytes, (uint32_t)(10 + last));
    buffer_append_le16(&bytes, count);
    buffer_append(&bytes, entries, size);
    buffer_append_byte(&bytes, 0xff);
    return buffer_slice(&bytes);
}
#define ZIPLIST(entries, last, count) ziplist(entries, sizeof(entries) - 1, last, count)

/* All values with blanks between, or NULL if they are no ziplist. */
static const char *show(struct slice bytes)
{
    static char text[1000];
    struct ziplist_reader reader;
    struct listpack_value value;
    size_t size = 0;
    enum status status = ziplist_open(bytes, &reader);
    text[0] = 0;
    while (!status && (status = ziplist_next(&reader, &value)) == STATUS_OK) {
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%.*s", size ? " " : "",
                                 (int)value.bytes.size, (const char *)value.bytes.data);
        assert_true(size < sizeof text);
    }
    assert_true(status == STATUS_NOT_FOUND || status == STATUS_INVALID);
    return status == STATUS_NOT_FOUND ? text : NULL;
}

static void every_form_of_an_entry_is_read(void **state)
{
    static const char entries[] =
        "\0\3abc"                  /* 5 bytes */
        "\5\x40\2xy"               /* 5: a length of 14 bits */
        "\5\x80\0\0\0\1z"          /* 7: of 32 */
        "\7\xf1"                   /* 2: 0 */
        "\2\xfd"                   /* 12 */
        "\2\xfe\x80"               /* 3: -128 */
        "\3\xc0\0\x80"             /* 4: -32768 */
        "\4\xf0\xff\xff\xff"       /* 5: -1 */
        "\5\xd0\xff\xff\xff\x7f"   /* 6 */
        "\6\xe0\0\0\0\0\0\0\0\x80" /* 10 */
        "\xfe\x0a\0\0\0\0";        /* an empty one; the size before it is written long */
    (void)state;
    assert_string_equal(show(ZIPLIST(entries, sizeof entries - 1 - 6, 11)),
                        "abc xy z 0 12 -128 -32768 -1 2147483647 -9223372036854775808 ");
    assert_string_equal(show(ZIPLIST("", 0, 0)), "");
    assert_string_equal(show(ZIPLIST("\0\1a", 0, 0xffff)), "a"); /* not counted */
}

static void what_is_no_ziplist_is_refused(void **state)
{
    struct slice whole = ZIPLIST("\0\1a", 0, 1);
    char bytes[32];
    (void)state;
    assert_string_equal(show(whole), "a");
    for (size_t size = 0; size < whole.size; size++) /* cut */
        assert_null(show(slice_make(whole.data, size)));
    memcpy(bytes, whole.data, whole.size);
    bytes[whole.size - 1] = 0; /* no end */
    assert_null(show(slice_make(bytes, whole.size)));
    assert_null(show(ZIPLIST("\0\1a", 0, 2)));           /* fewer entries than announced */
    assert_null(show(ZIPLIST("\0\1a", 1, 1)));           /* the last one stands elsewhere */
    assert_null(show(ZIPLIST("\0\1a\4\1b", 3, 2)));      /* another size of the entry before */
    assert_null(show(ZIPLIST("\xff\1a", 0, 1)));         /* an end before the end */
    assert_null(show(ZIPLIST("\xfe\0\0", 0, 1)));        /* sizes that are cut */
    assert_null(show(ZIPLIST("\xfe\1\0\0\0\1a", 0, 1))); /* there is no entry before */
    assert_null(show(ZIPLIST("\0", 0, 1)));              /* no data */
    assert_null(show(ZIPLIST("\0\3ab", 0, 1)));          /* strings that are cut */
    assert_null(show(ZIPLIST("\0\x40", 0, 1)));
    assert_null(show(ZIPLIST("\0\x80\0\0", 0, 1)));
    assert_null(show(ZIPLIST("\0\x81\0\0\0\0", 0, 1))); /* no such forms */
    assert_null(show(ZIPLIST("\0\xc1\0\0", 0, 1)));
    assert_null(show(ZIPLIST("\0\xc0\0", 0, 1)));   /* a number that takes the end */
    assert_null(show(ZIPLIST("\0\xe0\0\0", 0, 1))); /* one that is cut */
}

/* A string that takes the end as its last byte. */
static void a_reader_that_has_met_bad_data_goes_on_saying_so(void **state)
{
    struct ziplist_reader reader;
    struct listpack_value value;
    (void)state;
    assert_int_equal(ziplist_open(ZIPLIST("\0\2a", 0, 1), &reader), STATUS_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ziplist_next(&reader, &value), STATUS_INVALID);
}

static void any_bytes_end(void **state)
{
    struct random random;
    char text[60];
    (void)state;
    random_init(&random, test_seed());
    for (int round = 0; round < 50000; round++) {
        size_t size = random_below(&random, sizeof text), before = 0;
        for (size_t i = 0; i < size; i++)
            text[i] =
                (char)(random_below(&random, 3) ? random_below(&random, 6) : random_next(&random));
        (void)show(ziplist(text, size, before, 0xffff)); /* any result will do */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_an_entry_is_read),
        cmocka_unit_test(what_is_no_ziplist_is_refused),
        cmocka_unit_test(a_reader_that_has_met_bad_data_goes_on_saying_so),
        cmocka_unit_test(any_bytes_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
