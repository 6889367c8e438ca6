/* SPDX-License-Identifier: MIT */
/* A database of the library in memory, over a file system that fails on demand. Everything is asserted
 * to go well but what a test calls itself. */
#ifndef TESTS_LIBRARY_FIXTURE_H
#define TESTS_LIBRARY_FIXTURE_H

#include "lib/library.h"
#include "lib/soundness.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct library_world {
    struct vfs *memory, *fault;
    struct env env;
    struct cordwood_options options;
    struct cordwood *db;
};

static inline void library_world_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static inline void library_world_open(struct library_world *world)
{
    struct cordwood_error error = {""};
    if (library_open(&world->env, "db", &world->options, &error, &world->db) != CORDWOOD_OK)
        fail_msg("%s", error.text);
}

static inline void library_world_close(struct library_world *world)
{
    require_sound_engine(world->db->engine, "at the end of the test");
    assert_int_equal(cordwood_close(world->db), CORDWOOD_OK);
    world->db = NULL;
}

/* Small memtables; the test does the background work. */
static inline void library_world_init(struct library_world *world)
{
    *world = (struct library_world){.options = CORDWOOD_OPTIONS};
    world->memory = vfs_memory_create();
    world->fault = vfs_fault_create(world->memory);
    env_init_posix(&world->env, world->fault);
    world->env.log = library_world_log;
    world->options.background_threads = 0;
    world->options.memtable_bytes = 256 << 10;
    world->options.block_cache_bytes = 1 << 20;
    world->options.log_segment_bytes = 256 << 10;
    world->options.durability = CORDWOOD_SYNC_NONE;
}

static inline void library_world_release(struct library_world *world)
{
    if (world->db)
        library_world_close(world);
    vfs_destroy(world->fault);
    vfs_destroy(world->memory);
}

static inline void library_world_work(struct library_world *world, bool compacts)
{
    cordwood_request_flush(world->db);
    while (cordwood_work(world->db))
        ;
    if (!compacts)
        return;
    cordwood_request_compact(world->db);
    while (cordwood_work(world->db))
        ;
}

/* After a power loss right now: the old database is left as it is, and closed by the release. */
static inline void library_world_open_after(struct library_world *world, enum vfs_power_loss mode,
                                            struct library_world *after)
{
    *after = *world;
    after->memory = vfs_memory_after_power_loss(world->memory, mode, 1);
    after->fault = vfs_fault_create(after->memory);
    after->env.vfs = after->fault;
    library_world_open(after);
}

static inline void put(struct cordwood *db, const char *key, const char *value)
{
    assert_int_equal(cordwood_put(db, 0, cordwood_text(key), cordwood_text(value)), CORDWOOD_OK);
}

/* The key's value as text, "-" if it is missing. Static. */
static inline const char *value_text(enum cordwood_status status,
                                     const struct cordwood_buffer *buffer)
{
    static char text[256];
    if (status == CORDWOOD_NOT_FOUND)
        return "-";
    assert_int_equal(status, CORDWOOD_OK);
    snprintf(text, sizeof(text), "%.*s", (int)buffer->size,
             buffer->data ? (char *)buffer->data : "");
    return text;
}

static inline const char *get(struct cordwood *db, const char *key)
{
    struct cordwood_buffer buffer = {0};
    const char *text = value_text(cordwood_get(db, 0, cordwood_text(key), &buffer), &buffer);
    cordwood_buffer_release(&buffer);
    return text;
}

static inline const char *get_in(struct cordwood_transaction *transaction, const char *key)
{
    struct cordwood_buffer buffer = {0};
    const char *text =
        value_text(cordwood_transaction_get(transaction, 0, cordwood_text(key), &buffer), &buffer);
    cordwood_buffer_release(&buffer);
    return text;
}

static inline void put_in(struct cordwood_transaction *transaction, const char *key,
                          const char *value)
{
    assert_int_equal(
        cordwood_transaction_put(transaction, 0, cordwood_text(key), cordwood_text(value)),
        CORDWOOD_OK);
}

/* "key=value key=value", forward or backward, and closes the iterator. Static. */
static inline const char *walk(struct cordwood_iterator *iterator, bool is_reverse)
{
    static char text[1024];
    size_t size = 0;
    text[0] = 0;
    if (is_reverse)
        cordwood_iterator_seek_last(iterator);
    else
        cordwood_iterator_seek_first(iterator);
    while (cordwood_iterator_valid(iterator)) {
        struct cordwood_slice key = cordwood_iterator_key(iterator);
        struct cordwood_slice value = cordwood_iterator_value(iterator);
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%.*s=%.*s", size ? " " : "",
                                 (int)key.size, (const char *)key.data, (int)value.size,
                                 (const char *)value.data);
        assert_true(size < sizeof(text));
        if (is_reverse)
            cordwood_iterator_prev(iterator);
        else
            cordwood_iterator_next(iterator);
    }
    assert_int_equal(cordwood_iterator_status(iterator), CORDWOOD_OK);
    cordwood_iterator_close(iterator);
    return text;
}

static inline struct cordwood_iterator *iterate(struct cordwood *db, const char *lower,
                                                const char *upper, const char *prefix)
{
    struct cordwood_iterator_options options = CORDWOOD_ITERATOR_OPTIONS;
    struct cordwood_iterator *iterator;
    options.lower = cordwood_text(lower);
    options.upper = cordwood_text(upper);
    options.prefix = cordwood_text(prefix);
    assert_int_equal(cordwood_iterator_open(db, 0, &options, &iterator), CORDWOOD_OK);
    return iterator;
}

static inline struct cordwood_transaction *begin(struct cordwood *db, bool serializable)
{
    struct cordwood_transaction_options options = CORDWOOD_TRANSACTION_OPTIONS;
    struct cordwood_transaction *transaction;
    options.serializable = serializable;
    assert_int_equal(cordwood_transaction_begin(db, &options, &transaction), CORDWOOD_OK);
    return transaction;
}

static inline enum cordwood_status commit(struct cordwood_transaction *transaction)
{
    enum cordwood_status status = cordwood_transaction_commit(transaction);
    cordwood_transaction_destroy(transaction);
    return status;
}

#endif
