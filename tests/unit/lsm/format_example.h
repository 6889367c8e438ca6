/* SPDX-License-Identifier: MIT */
/* The bytes of a worked example in src/lsm/FORMAT.md: lines of "    0010  e8 07 01  comment" under
 * a heading. Two spaces end the bytes; the offsets must follow each other. */
#ifndef TESTS_FORMAT_EXAMPLE_H
#define TESTS_FORMAT_EXAMPLE_H

#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static inline void format_example_line(const char *line, struct buffer *bytes)
{
    unsigned offset;
    int used;
    if (sscanf(line, "    %4x  %n", &offset, &used) != 1 || used != 10)
        return;
    assert_int_equal(offset, bytes->size);
    for (const char *at = line + used; at[0] && at[1] && at[0] != ' ' && at[0] != '\n'; at += 3) {
        buffer_append_byte(bytes, (uint8_t)strtoul((const char[]){at[0], at[1], 0}, NULL, 16));
        if (at[2] != ' ')
            break;
    }
}

/* Appends the bytes under the heading, up to the next heading. Tests run in the tree's root. */
static inline void format_example_read(const char *heading, struct buffer *bytes)
{
    char line[512];
    bool inside = false, found = false;
    FILE *file = fopen("src/lsm/FORMAT.md", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (line[0] == '#') {
            inside = strncmp(line, heading, strlen(heading)) == 0;
            found = found || inside;
        } else if (inside) {
            format_example_line(line, bytes);
        }
    }
    fclose(file);
    assert_true(found);
}

#endif
