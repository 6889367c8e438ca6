/* SPDX-License-Identifier: MIT */
/* struct buffer: bytes that we own, growing at the end. A zeroed struct is an empty buffer. Growth
 * aborts on out-of-memory; callers bound sizes that come from clients first, or use _try_reserve.
 *
 * Where many functions append to a buffer whose size a client decides (replies), it has `may_fail`: growth
 * beyond MEMORY_SURE_BYTES that finds no memory leaves out what was to be appended and sets `failed`.
 * The bytes mean nothing then; the owner asks at the end, and clears `failed` together with them. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/slice.h"
#include "base/status.h"

#include <stdarg.h>
#include <stdbool.h>

struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool may_fail, failed;
};

void buffer_release(struct buffer *buffer); /* frees; the buffer is empty and usable as before */
/* Room for `more` bytes behind size; false only if it may fail. */
bool buffer_reserve(struct buffer *buffer, size_t more);
enum status buffer_try_reserve(struct buffer *buffer, size_t more); /* STATUS_NO_MEMORY, unchanged */
void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_append_slice(struct buffer *buffer, struct slice slice);
void buffer_append_byte(struct buffer *buffer, uint8_t byte);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_vprintf(struct buffer *buffer, const char *format, va_list arguments);
void buffer_consume(struct buffer *buffer, size_t count); /* drops bytes at the front */

static inline void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_make(buffer->data, buffer->size);
}

#endif
