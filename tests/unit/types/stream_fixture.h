/* SPDX-License-Identifier: MIT */
/* What tests of streams and logs share: one store, the stream "s" in it, verbs with texts in and
 * texts out. Each verb is an access of its own. Included once a program. */
#ifndef UNIT_TYPES_STREAM_FIXTURE_H
#define UNIT_TYPES_STREAM_FIXTURE_H

#include "lib/memory_store.h"
#include "types/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct memory_store ms;
static struct buffer seen;

__attribute__((unused)) static int setup(void **state)
{
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    return 0;
}

__attribute__((unused)) static int teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    buffer_release(&seen);
    return 0;
}

static inline const char *seen_text(void)
{
    buffer_append_byte(&seen, 0);
    seen.size--;
    return (const char *)seen.data;
}

static inline struct stream_id make_id(const char *text)
{
    struct stream_id id;
    assert_true(stream_id_parse(slice_from(text), 0, &id));
    return id;
}

static inline void see_id(struct stream_id id)
{
    char text[STREAM_ID_TEXT_MAX];
    stream_id_format(id, text);
    buffer_printf(&seen, "%s%s", seen.size ? " " : "", text);
}

/* XADD with any ID and a trim; the value is the ID's text. "" when the ID is refused. */
static inline const char *add_trimmed(const char *id_text, const struct stream_trim *trim)
{
    struct stream stream;
    struct stream_id_spec spec;
    struct stream_id id;
    buffer_clear(&seen);
    assert_true(stream_id_parse_spec(slice_from(id_text), &spec));
    memory_store_write(&ms);
    assert_int_equal(stream_find_or_new(&ms.access, slice_from("s"), &stream), STATUS_OK);
    if (stream_next_id(&stream.header, &spec, ms.now_ms, &id) == STREAM_ID_OK) {
        see_id(id);
        struct slice fields[] = {slice_from("f"), buffer_slice(&seen)};
        struct stream_input input = {.fields = fields, .field_count = 1, .event_ms = id.ms};
        assert_int_equal(stream_add(&ms.access, &stream, id, &input, trim), STATUS_OK);
    }
    memory_store_end(&ms);
    return seen_text();
}

static inline const char *add(const char *id_text)
{
    return add_trimmed(id_text, &(struct stream_trim){0});
}

/* LOG.WRITE with a time; 0: without. */
static inline const char *write_line(const char *message, uint64_t event_ms)
{
    struct log_writer writer;
    buffer_clear(&seen);
    memory_store_write(&ms);
    assert_int_equal(log_write_begin(&ms.access, slice_from("s"), false, 1, &writer), STATUS_OK);
    see_id(log_write_line(&ms.access, &writer,
                          &(struct log_line){.message = slice_from(message),
                                             .has_time = event_ms > 0,
                                             .event_ms = event_ms}));
    log_write_end(&ms.access, &writer);
    memory_store_end(&ms);
    return seen_text();
}

static inline uint64_t trim_by(const struct stream_trim *trim)
{
    struct stream stream;
    uint64_t removed = 0;
    memory_store_write(&ms);
    enum status status = stream_find(&ms.access, slice_from("s"), &stream);
    if (status == STATUS_OK)
        assert_int_equal(stream_trim(&ms.access, &stream, trim, &removed), STATUS_OK);
    memory_store_end(&ms);
    return removed;
}

static inline uint64_t delete_ids(const struct stream_id *ids, size_t count)
{
    struct stream stream;
    uint64_t removed = 0;
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    assert_int_equal(stream_delete(&ms.access, &stream, ids, count, &removed), STATUS_OK);
    memory_store_end(&ms);
    return removed;
}

static inline uint64_t delete_id(const char *text)
{
    struct stream_id id = make_id(text);
    return delete_ids(&id, 1);
}

/* The header; all zero when the stream is missing. */
static inline struct stream_header header_now(void)
{
    struct stream stream;
    memory_store_read(&ms);
    enum status status = stream_find(&ms.access, slice_from("s"), &stream);
    assert_true(status == STATUS_OK || status == STATUS_NOT_FOUND);
    memory_store_end(&ms);
    return status ? (struct stream_header){0} : stream.header;
}

/* IDs of [first, last]; every entry's value must be what add or write_line put there. */
static inline const char *range(const char *first, const char *last, bool is_reverse)
{
    struct stream stream;
    struct stream_range range;
    struct stream_entry entry;
    struct stream_id first_id, last_id;
    assert_true(stream_id_parse(slice_from(first), 0, &first_id));
    assert_true(stream_id_parse(slice_from(last), UINT64_MAX, &last_id));
    buffer_clear(&seen);
    memory_store_read(&ms);
    if (stream_find(&ms.access, slice_from("s"), &stream) == STATUS_OK) {
        stream_range_open(&ms.access, &stream, first_id, last_id, is_reverse, &range);
        enum status status;
        while ((status = stream_range_next(&range, &entry)) == STATUS_OK)
            see_id(entry.id);
        assert_int_equal(status, STATUS_NOT_FOUND);
        stream_range_close(&range);
    }
    memory_store_end(&ms);
    return seen_text();
}

/* "event:id" of all entries between two times, in the order of time. */
static inline const char *by_time(const char *first, const char *last, bool is_reverse)
{
    struct stream stream;
    struct log_range range;
    struct log_error error;
    struct stream_entry entry;
    struct stream_moment from, to;
    bool is_empty;
    assert_true(log_bounds_parse(slice_from(first), slice_from(last), ms.now_ms, &from, &to,
                                 &is_empty, &error));
    buffer_clear(&seen);
    memory_store_read(&ms);
    if (!is_empty && stream_find(&ms.access, slice_from("s"), &stream) == STATUS_OK) {
        log_range_open(&ms.access, &stream, from, to, is_reverse, &range);
        enum status status;
        while ((status = log_range_next(&range, &entry)) == STATUS_OK) {
            char text[STREAM_ID_TEXT_MAX];
            stream_id_format(entry.id, text);
            buffer_printf(&seen, "%s%llu:%s", seen.size ? " " : "",
                          (unsigned long long)entry.event_ms, text);
        }
        assert_int_equal(status, STATUS_NOT_FOUND);
        log_range_close(&range);
    }
    memory_store_end(&ms);
    return seen_text();
}

#endif
