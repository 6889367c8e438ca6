/* SPDX-License-Identifier: MIT */
/* Blocks byte by byte; whole ways to and fro are in test_entry_codec.c. */
#include "unit/types/entry_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct entry_rows rows;

/* Content in hex, without a dictionary. */
static enum status decode_hex(const char *hex)
{
    struct buffer content = {0};
    bool matches;
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        const char pair[3] = {hex[0], *++hex, 0};
        buffer_append_byte(&content, (uint8_t)strtoul(pair, NULL, 16));
    }
    enum status status = entry_rows_decode(&rows, NULL, buffer_slice(&content), 1000, &matches);
    buffer_release(&content);
    return status;
}

/* Each differs in a byte or two from one of these. */
static const char *const sound[] = {
    /* format, 1 row, 1 column, 1 schema, sizes | forms, schema | id 1/1/1-0 | code | payload | size of a
     * name, template | name, skeleton: a = 1 */
    "01 01 01 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 00  61 01 00",
    /* three numbers: their codes stand behind a 0 */
    "01 01 01 01 05 04 03 03 02  01 00 00 01 00  07 01 01 02  00 88 08  02 02 02  01 00  61 01 2e "
    "01 2f 01 00",
    /* two schemas, of which both rows have the second */
    "01 02 01 02 09 05 00 00 03  01 01 00 00 00 01 00 01 01  07 01 01 02 02  01 01 00  61 31",
};

static const struct {
    const char *what, *hex;
} damaged[] = {
    {"another format",
     "02 01 01 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"no rows", "01 00 01 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"no schemas",
     "01 01 01 00 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"more rows than ids",
     "01 05 01 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"more columns than shape",
     "01 01 05 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"more schemas than shape",
     "01 01 01 05 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"two rows, one ID",
     "01 02 01 01 05 04 01 01 03  01 00 00 01 00  07 01 01 02  08  02  01 00 00  61 01 00"},
    {"an unknown form",
     "01 01 01 01 05 04 01 01 02  01 02 00 01 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"an unknown form of names",
     "01 01 01 01 05 04 01 01 02  02 00 00 01 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"unknown flags",
     "01 01 01 01 05 04 01 01 02  01 00 04 01 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"a column that is none",
     "01 01 01 01 05 04 01 01 02  01 00 00 01 01  07 01 01 02  08  02  01 00  61 01 00"},
    {"more fields than values",
     "01 01 01 01 06 04 01 01 02  01 00 00 02 00 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"late, no time",
     "01 01 01 01 05 04 01 01 02  01 00 01 01 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"no kinds",
     "01 01 01 01 05 04 01 01 02  01 00 02 01 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"something behind the shape",
     "01 01 01 01 06 04 01 01 02  01 00 00 01 00 00  07 01 01 02  08  02  01 00  61 01 00"},
    {"an index of no schema",
     "01 02 01 02 09 05 00 00 03  01 01 00 00 00 01 00 01 02  07 01 01 02 02  01 01 00  61 31"},
    {"too few indexes",
     "01 02 01 02 08 05 00 00 03  01 01 00 00 00 01 00 01  07 01 01 02 02  01 01 00  61 31"},
    {"a code that is none",
     "01 01 01 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  06  02  01 00  61 01 00"},
    {"a payload that is too short",
     "01 01 01 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  09  02  01 00  61 01 00"},
    {"a number that is no text",
     "01 01 01 01 05 04 01 00 02  01 00 00 01 00  07 01 01 02  00  01 00  61 01 00"},
    {"no code", "01 01 01 01 05 04 00 00 02  01 00 00 01 00  07 01 01 02  01 00  61 01 00"},
    {"no template",
     "01 01 01 01 05 04 01 01 01  01 00 00 01 00  07 01 01 02  08  02  01  61 01 00"},
    {"no end of a skeleton",
     "01 01 01 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 00  61 01"},
    {"a skeleton that is not there",
     "01 01 01 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 00  61 01 10"},
    {"a template without a dictionary",
     "01 01 01 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 01  61 01 00"},
    {"one of two bytes",
     "01 01 01 01 05 04 01 01 03  01 00 00 01 00  07 01 01 02  08  02  01 e0 00  61 01 00"},
    {"half of two bytes",
     "01 01 01 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 e0  61 01 00"},
    {"an escape of nothing",
     "01 01 01 01 05 04 00 00 02  01 00 00 01 00  07 01 01 02  01 00  61 04 00"},
    {"an escape of another byte",
     "01 01 01 01 05 04 00 00 02  01 00 00 01 00  07 01 01 02  01 00  61 04 15 00"},
    {"too much payload",
     "01 01 01 01 05 04 01 02 02  01 00 00 01 00  07 01 01 02  08  02 02  01 00  61 01 00"},
    {"too many ids",
     "01 01 01 01 05 05 01 01 02  01 00 00 01 00  07 01 01 02 00  08  02  01 00  61 01 00"},
    {"too many codes",
     "01 01 01 01 05 04 02 01 02  01 00 00 01 00  07 01 01 02  08 00  02  01 00  61 01 00"},
    {"too much text",
     "01 01 01 01 05 04 01 01 02  01 00 00 01 00  07 01 01 02  08  02  01 00  61 01 00 00"},
    {"a size beyond the text",
     "01 01 01 01 05 04 00 00 02  01 01 00 01 00  07 01 01 02  01 05  61 31 00"},
    {"half a size", "01 01 01 01 05 04 00 00 02  01 01 00 01 00  07 01 01 02  01 80  61 31 00"},
    {"a pattern without a dictionary", "01 01 01 01 05 04 03 03 02  01 00 00 01 00  07 01 01 02  "
                                       "01 88 08  02 02 02  01 00  61 01 2e 01 2f 01 00"},
    {"half of three codes", "01 01 01 01 05 04 02 03 02  01 00 00 01 00  07 01 01 02  00 88  02 02 "
                            "02  01 00  61 01 2e 01 2f 01 00"},
    {"no pattern", "01 01 01 01 05 04 00 03 02  01 00 00 01 00  07 01 01 02    02 02 02  01 00  61 "
                   "01 2e 01 2f 01 00"},
};

static void each_section_is_bounded(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sound / sizeof sound[0]; i++)
        if (decode_hex(sound[i]) != STATUS_OK)
            fail_msg("%s is refused", sound[i]);
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++)
        if (decode_hex(damaged[i].hex) != STATUS_CORRUPT)
            fail_msg("%s is not refused", damaged[i].what);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_section_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
