/* SPDX-License-Identifier: MIT */
#include "lib/memory_store.h"

#include "lib/soundness.h"
#include "types/encoding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

/* Of the log: they are filled with zeros, so those of a server take a test a second. */
enum { SEGMENT_BYTES = 2 << 20 };

static uint64_t wall_ms(void *context)
{
    return ((struct memory_store *)context)->now_ms;
}

static uint64_t monotonic_us(void *context)
{
    struct memory_store *ms = context;
    uint64_t now_ms = ms->now_ms;
    if (ms->look_ms) /* stores of several threads would race */
        ms->now_ms += ms->look_ms;
    return now_ms * 1000;
}

static void random_bytes(void *context, void *data, size_t size)
{
    (void)context;
    memset(data, 0x5a, size);
}

static void log_line(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static void open_store(struct memory_store *ms)
{
    struct lsm_report report = {""};
    ms->env = (struct env){ms->vfs, wall_ms, monotonic_us, random_bytes, log_line, ms};
    enum status status = store_open(&ms->env, "/data", &ms->options, &report, &ms->store);
    if (status)
        print_error("store_open: %s: %s\n", status_text(status), report.text);
    assert_int_equal(status, STATUS_OK);
    ms->reader = lsm_reader_create(store_engine(ms->store));
    access_init(&ms->access, ms->store, ms->reader);
}

static void close_unchecked(struct memory_store *ms)
{
    access_release(&ms->access);
    lsm_reader_destroy(ms->reader);
    assert_int_equal(store_close(ms->store), STATUS_OK);
}

static void close_store(struct memory_store *ms)
{
    if (!ms->is_damaged)
        require_sound_store(ms->store, "before the store is closed");
    close_unchecked(ms);
}

void memory_store_open(struct memory_store *ms, const struct store_options *options)
{
    memory_store_open_in(ms, vfs_memory_create(), options);
}

void memory_store_open_in(struct memory_store *ms, struct vfs *memory,
                          const struct store_options *options)
{
    ms->memory = memory;
    ms->vfs = vfs_fault_create(ms->memory);
    ms->now_ms = 1000000;
    ms->options = *options;
    if (ms->options.wal_segment_bytes == 0)
        ms->options.wal_segment_bytes = SEGMENT_BYTES;
    open_store(ms);
}

void memory_store_reopen(struct memory_store *ms)
{
    close_store(ms);
    open_store(ms);
}

void memory_store_reopen_cold(struct memory_store *ms)
{
    close_unchecked(ms);
    open_store(ms);
}

void memory_store_crash(struct memory_store *ms, enum vfs_power_loss mode, uint64_t seed)
{
    assert_int_equal(lsm_wal_write(store_engine(ms->store)), STATUS_OK);
    struct vfs *after = vfs_memory_after_power_loss(ms->memory, mode, seed);
    close_store(ms);
    vfs_destroy(ms->vfs);
    vfs_destroy(ms->memory);
    ms->memory = after;
    ms->vfs = vfs_fault_create(ms->memory);
    open_store(ms);
}

void memory_store_release(struct memory_store *ms)
{
    close_store(ms);
    vfs_destroy(ms->vfs);
    vfs_destroy(ms->memory);
    *ms = (struct memory_store){0};
}

void memory_store_plant(struct memory_store *ms, struct slice key, const struct object *object)
{
    struct object old;
    struct buffer record = {0};
    ms->is_damaged = true;
    (void)keyspace_find(&ms->access, key, &old); /* for its tree key */
    header_encode(&record, object);
    access_put(&ms->access, TREE_KEYS, buffer_slice(&ms->access.tree_key), buffer_slice(&record));
    buffer_release(&record);
}

void memory_store_work(struct memory_store *ms, bool flush)
{
    struct lsm *engine = store_engine(ms->store);
    assert_int_equal(lsm_wal_sync(engine), STATUS_OK);
    if (flush)
        lsm_request_flush(engine);
    for (int rounds = 0; lsm_work(engine, 1 << 20); rounds++)
        assert_true(rounds < 100000);
    assert_true(lsm_is_idle(engine));
}

void memory_store_write(struct memory_store *ms)
{
    size_t bytes = ms->write_bytes ? ms->write_bytes : 64 * 1024;
    lsm_lock(store_engine(ms->store));
    assert_int_equal(access_begin_write(&ms->access, 0, false, bytes, false), STATUS_OK);
}

void memory_store_read(struct memory_store *ms)
{
    access_begin_read(&ms->access, 0, false);
}

lsn_t memory_store_end(struct memory_store *ms)
{
    bool wrote = ms->access.writer != NULL;
    lsn_t lsn = access_end(&ms->access);
    if (wrote)
        lsm_unlock(store_engine(ms->store));
    return lsn;
}

const char *memory_store_facts(struct memory_store *ms)
{
    static char text[1024];
    size_t size = 0;
    text[0] = 0;
    for (size_t i = 0; i < ms->access.fact_count; i++) {
        const struct fact *fact = &ms->access.facts[i];
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%c %s %.*s", i ? ", " : "",
                                 fact->class_letter, fact->event, (int)fact->key_size,
                                 (const char *)ms->access.fact_bytes.data + fact->key_offset);
        assert_true(size < sizeof text);
    }
    return text;
}

static void append_hex(struct buffer *into, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        buffer_printf(into, "%02x", bytes.data[i]);
}

void memory_store_dump(struct memory_store *ms, enum store_tree tree, struct buffer *into)
{
    struct lsm_reader *reader = lsm_reader_create(store_engine(ms->store));
    lsm_read_begin(reader);
    struct lsm_iter *iter = lsm_iter_open(reader, tree, &(struct lsm_iter_options){0});
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter)) {
        if (tree != TREE_KEYS && be32_load(lsm_iter_key(iter).data) == 0)
            continue;
        append_hex(into, lsm_iter_key(iter));
        buffer_append_text(into, " = ");
        append_hex(into, lsm_iter_value(iter));
        buffer_append_byte(into, '\n');
    }
    assert_int_equal(lsm_iter_status(iter), STATUS_OK);
    lsm_iter_close(iter);
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
}
