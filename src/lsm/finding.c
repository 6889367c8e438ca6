/* SPDX-License-Identifier: MIT */
#include "lsm/finding.h"

#include <stdarg.h>
#include <stdio.h>

enum status finding(struct lsm_report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->text, sizeof(report->text), format, arguments);
    va_end(arguments);
    return STATUS_CORRUPT;
}

const char *finding_key(struct slice key, char text[FINDING_KEY_TEXT])
{
    size_t size = 0;
    for (size_t i = 0; i < key.size && i < FINDING_KEY_BYTES; i++) {
        uint8_t byte = key.data[i];
        bool prints = byte > ' ' && byte < 0x7f && byte != '\\' && byte != '\'';
        size +=
            (size_t)snprintf(text + size, FINDING_KEY_TEXT - size, prints ? "%c" : "\\x%02x", byte);
    }
    snprintf(text + size, FINDING_KEY_TEXT - size, "%s", key.size > FINDING_KEY_BYTES ? "..." : "");
    return text;
}
