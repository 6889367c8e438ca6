/* SPDX-License-Identifier: MIT */
/* A growing array of bytes. Capacity doubles, so n appended bytes cost O(n). */
#include "base/buffer.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUFFER_BYTES_MIN = 64 };

/* 0: the size does not fit into a size_t. */
static size_t buffer_grown_capacity(const struct buffer *buffer, size_t more)
{
    size_t needed;
    if (__builtin_add_overflow(buffer->size, more, &needed) || needed > SIZE_MAX / 2)
        return 0;
    size_t capacity = buffer->capacity * 2;
    if (capacity < BUFFER_BYTES_MIN)
        capacity = BUFFER_BYTES_MIN;
    return capacity < needed ? needed : capacity;
}

static bool buffer_has_room(const struct buffer *buffer, size_t more)
{
    assert(buffer->size <= buffer->capacity);
    return buffer->capacity - buffer->size >= more;
}

void buffer_release(struct buffer *buffer)
{
    memory_free(buffer->data);
    *buffer = (struct buffer){.may_fail = buffer->may_fail};
}

static bool buffer_grow(struct buffer *buffer, size_t more)
{
    size_t capacity = buffer_grown_capacity(buffer, more);
    /* A capacity of 0 asks for the impossible, so that memory reports it. */
    size_t asked = capacity ? capacity : SIZE_MAX / 2;
    uint8_t *data = buffer->may_fail ? memory_ask_resize(buffer->data, asked)
                                     : memory_resize(buffer->data, asked);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool buffer_reserve(struct buffer *buffer, size_t more)
{
    return buffer_has_room(buffer, more) || buffer_grow(buffer, more);
}

enum status buffer_try_reserve(struct buffer *buffer, size_t more)
{
    if (buffer_has_room(buffer, more))
        return STATUS_OK;
    size_t capacity = buffer_grown_capacity(buffer, more);
    uint8_t *data = capacity ? memory_try_resize(buffer->data, capacity) : NULL;
    if (!data)
        return STATUS_NO_MEMORY;
    buffer->data = data;
    buffer->capacity = capacity;
    return STATUS_OK;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0 || !buffer_reserve(buffer, size))
        return;
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

void buffer_append_slice(struct buffer *buffer, struct slice slice)
{
    buffer_append(buffer, slice.data, slice.size);
}

void buffer_append_byte(struct buffer *buffer, uint8_t byte)
{
    if (buffer_reserve(buffer, 1))
        buffer->data[buffer->size++] = byte;
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buffer_vprintf(buffer, format, arguments);
    va_end(arguments);
}

void buffer_vprintf(struct buffer *buffer, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    size_t room = buffer->capacity - buffer->size;
    int length = vsnprintf(room ? (char *)buffer->data + buffer->size : NULL, room, format,
                           arguments);
    assert(length >= 0);
    bool fits = (size_t)length < room;
    if (!fits &&
        buffer_reserve(buffer, (size_t)length + 1)) { /* vsnprintf ends its text with a NUL */
        vsnprintf((char *)buffer->data + buffer->size, (size_t)length + 1, format, again);
        fits = true;
    }
    if (fits)
        buffer->size += (size_t)length;
    va_end(again);
}

void buffer_consume(struct buffer *buffer, size_t count)
{
    assert(count <= buffer->size);
    buffer->size -= count;
    if (buffer->size && count)
        memmove(buffer->data, buffer->data + count, buffer->size);
}
