/* SPDX-License-Identifier: MIT */
/* Logs through the library: what is appended is read by time, all or nothing, and is what the server's
 * types see. */
#include "lib/log_store.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "lib/soundness.h"
#include "lib/temp_directory.h"
#include "lsm/compression.h"
#include "types/log.h"
#include "types/string.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOW_MS = 1000000 };

struct world {
    struct vfs *memory, *fault;
    struct env env;
    struct cordwood_options options;
    struct cordwood_logs *logs;
};

static void silent(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static uint64_t wall_clock(void *context)
{
    (void)context;
    return NOW_MS;
}

static void open_logs(struct world *world)
{
    struct cordwood_error error = {""};
    if (library_logs_open(&world->env, "logs", &world->options, &error, &world->logs) !=
        CORDWOOD_OK)
        fail_msg("%s", error.text);
}

static void close_logs(struct world *world)
{
    require_sound_store(world->logs->store, "at the end of the test");
    assert_int_equal(cordwood_logs_close(world->logs), CORDWOOD_OK);
    world->logs = NULL;
}

static int setup(void **state)
{
    static struct world world;
    world = (struct world){.options = CORDWOOD_OPTIONS};
    world.memory = vfs_memory_create();
    world.fault = vfs_fault_create(world.memory);
    env_init_posix(&world.env, world.fault);
    world.env.log = silent;
    world.env.wall_ms = wall_clock;
    world.options.background_threads = 0;
    world.options.memtable_bytes = 256 << 10;
    world.options.log_segment_bytes = 256 << 10;
    world.options.durability = CORDWOOD_SYNC_NONE;
    open_logs(&world);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    if (world->logs)
        close_logs(world);
    vfs_destroy(world->fault);
    vfs_destroy(world->memory);
    return 0;
}

static void work(struct world *world)
{
    cordwood_logs_request_flush(world->logs);
    while (cordwood_logs_work(world->logs))
        ;
}

static void append(struct world *world, const char *name, uint64_t time_ms, const char *message)
{
    const struct cordwood_log_entry entry = {.time_ms = time_ms, .message = cordwood_text(message)};
    assert_int_equal(cordwood_log_append(world->logs, cordwood_text(name), &entry, 1, NULL),
                     CORDWOOD_OK);
}

/* What cannot be read without Zstandard was compressed by it. */
static void cold_compression_is_for_merged_logs(void **state)
{
    struct world *world = *state;
    struct cordwood_log_range *range;
    struct cordwood_log_entry entry;
    if (!lsm_has_zstd())
        skip();
    for (int round = 0; round < 2; round++) {
        close_logs(world);
        world->options.cold_compression = round ? CORDWOOD_ZSTD : CORDWOOD_LZ4;
        open_logs(world);
        for (int run = 0; run < 8; run++) {
            for (int i = 0; i < 20; i++)
                append(world, round ? "merged by zstd" : "merged by lz4", 0,
                       "a message, a message");
            work(world);
        }
        close_logs(world);
        world->options.cold_compression = CORDWOOD_LZ4;
        open_logs(world);
        assert_int_equal(cordwood_log_range_open(
                             world->logs, cordwood_text(round ? "merged by zstd" : "merged by lz4"),
                             NULL, &range),
                         CORDWOOD_OK);
        compression_hide_zstd(true);
        enum cordwood_status without = cordwood_log_range_next(range, &entry);
        compression_hide_zstd(false);
        assert_int_equal(without, round ? CORDWOOD_UNSUPPORTED : CORDWOOD_OK);
        cordwood_log_range_close(range);
    }
}

static size_t show_bytes(char *at, size_t left, const char *before, struct cordwood_slice bytes)
{
    return (size_t)snprintf(at, left, "%s%.*s", before, (int)bytes.size,
                            bytes.data ? (const char *)bytes.data : "");
}

/* "time:level:message:name=value" each, joined by blanks. Static. */
static const char *read_range(struct world *world, const char *name, uint64_t first_ms,
                              uint64_t last_ms, bool is_reverse)
{
    static char text[2048];
    struct cordwood_log_range_options options = CORDWOOD_LOG_RANGE_OPTIONS;
    struct cordwood_log_range *range;
    struct cordwood_log_entry entry;
    enum cordwood_status status;
    size_t size = 0;
    text[0] = 0;
    options.first_ms = first_ms;
    options.last_ms = last_ms;
    options.is_reverse = is_reverse;
    assert_int_equal(cordwood_log_range_open(world->logs, cordwood_text(name), &options, &range),
                     CORDWOOD_OK);
    while ((status = cordwood_log_range_next(range, &entry)) == CORDWOOD_OK) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%llu", size ? " " : "",
                                 (unsigned long long)entry.time_ms);
        size += show_bytes(text + size, sizeof(text) - size, ":", entry.level);
        size += show_bytes(text + size, sizeof(text) - size, ":", entry.message);
        for (size_t i = 0; i < entry.field_count; i++) {
            size += show_bytes(text + size, sizeof(text) - size, ":", entry.fields[i].name);
            size += show_bytes(text + size, sizeof(text) - size,
                               entry.fields[i].is_json ? "~" : "=", entry.fields[i].value);
        }
        assert_true(size < sizeof(text));
    }
    assert_int_equal(status, CORDWOOD_NOT_FOUND);
    assert_int_equal(cordwood_log_range_next(range, &entry), CORDWOOD_NOT_FOUND);
    cordwood_log_range_close(range);
    return text;
}

/* ---- Appending and reading ----------------------------------------------------------------- */

static void entries_come_back_by_time(void **state)
{
    struct world *world = *state;
    const struct cordwood_log_field fields[] = {
        {cordwood_text("host"), cordwood_text("web1"), false},
        {cordwood_text("free"), cordwood_text("0"), true}};
    const struct cordwood_log_entry entries[] = {
        {.time_ms = 500, .message = cordwood_text("b"), .level = cordwood_text("WARNING")},
        {.time_ms = 900, .message = cordwood_text("d"), .fields = fields, .field_count = 2},
        {.time_ms = 100, .message = cordwood_text("a")},
        {.time_ms = 700, .message = cordwood_text("c")},
        {.message = cordwood_text("now")},
    };
    struct cordwood_log_id ids[5];
    uint64_t length = 0;
    assert_int_equal(cordwood_log_append(world->logs, cordwood_text("log"), entries, 5, ids),
                     CORDWOOD_OK);
    assert_int_equal(ids[0].ms, 500);
    assert_int_equal(ids[2].ms, 900); /* late ones go behind the newest */
    assert_int_equal(ids[3].sequence, 2);
    assert_int_equal(ids[4].ms, NOW_MS);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(read_range(world, "log", 0, UINT64_MAX, false),
                            "100::a 500:warn:b 700::c 900::d:host=web1:free~0 1000000::now");
        assert_string_equal(read_range(world, "log", 500, 700, false), "500:warn:b 700::c");
        assert_string_equal(read_range(world, "log", 100, 899, true), "700::c 500:warn:b 100::a");
        assert_string_equal(read_range(world, "log", 701, 899, false), "");
        assert_string_equal(read_range(world, "log", 9, 3, false), "");
        work(world);
    }
    assert_int_equal(cordwood_log_length(world->logs, cordwood_text("log"), &length), CORDWOOD_OK);
    assert_int_equal(length, 5);
    close_logs(world);
    open_logs(world);
    assert_string_equal(read_range(world, "log", 0, 100, false), "100::a");
}

static void a_range_shows_one_moment(void **state)
{
    struct world *world = *state;
    struct cordwood_log_range *range;
    struct cordwood_log_entry entry;
    append(world, "log", 1, "a");
    assert_int_equal(cordwood_log_range_open(world->logs, cordwood_text("log"), NULL, &range),
                     CORDWOOD_OK);
    append(world, "log", 2, "b");
    assert_int_equal(cordwood_log_range_next(range, &entry), CORDWOOD_OK);
    assert_int_equal(entry.id.ms, 1);
    assert_int_equal(cordwood_log_range_next(range, &entry), CORDWOOD_NOT_FOUND);
    cordwood_log_range_close(range);
    cordwood_log_range_close(NULL);
}

/* An entry of XADD, with other fields, or one name twice. */
static void entries_of_other_writers_are_shown_as_they_are(void **state)
{
    struct world *world = *state;
    struct access access;
    struct stream stream;
    const struct slice fields[] = {slice_from("temperature"), slice_from("21"),
                                   slice_from("message"),     slice_from("m"),
                                   slice_from("message"),     slice_from("n")};
    const struct stream_input input = {.fields = fields, .field_count = 3, .event_ms = 7};
    const struct stream_trim none = {0};
    struct lsm *engine = store_engine(world->logs->store);
    struct lsm_reader *reader = lsm_reader_create(engine);
    access_init(&access, world->logs->store, reader);
    lsm_lock(engine);
    assert_int_equal(access_begin_write(&access, 0, false, 1000, false), STATUS_OK);
    assert_int_equal(stream_find_or_new(&access, slice_from("log"), &stream), STATUS_OK);
    assert_int_equal(stream_add(&access, &stream, (struct stream_id){7, 1}, &input, &none),
                     STATUS_OK);
    (void)access_end(&access);
    lsm_unlock(engine);
    access_release(&access);
    lsm_reader_destroy(reader);
    assert_string_equal(read_range(world, "log", 0, 10, false), "7::m:temperature=21:message=n");
}

static void logs_are_trimmed_and_deleted(void **state)
{
    struct world *world = *state;
    uint64_t removed = 0, length = 0;
    struct cordwood_log_range *range;
    for (uint64_t ms = 1; ms <= 9; ms++)
        append(world, "log", ms, "x");
    work(world);
    assert_int_equal(cordwood_log_trim(world->logs, cordwood_text("log"), 4, &removed),
                     CORDWOOD_OK);
    assert_int_equal(removed, 3);
    assert_int_equal(cordwood_log_length(world->logs, cordwood_text("log"), &length), CORDWOOD_OK);
    assert_int_equal(length, 6);
    assert_string_equal(read_range(world, "log", 0, 5, false), "4::x 5::x");
    assert_int_equal(cordwood_log_delete(world->logs, cordwood_text("log")), CORDWOOD_OK);
    assert_int_equal(cordwood_log_delete(world->logs, cordwood_text("log")), CORDWOOD_NOT_FOUND);
    assert_int_equal(cordwood_log_trim(world->logs, cordwood_text("log"), 4, &removed),
                     CORDWOOD_NOT_FOUND);
    assert_int_equal(cordwood_log_length(world->logs, cordwood_text("log"), &length),
                     CORDWOOD_NOT_FOUND);
    assert_int_equal(cordwood_log_range_open(world->logs, cordwood_text("log"), NULL, &range),
                     CORDWOOD_NOT_FOUND);
}

/* ---- Errors -------------------------------------------------------------------------------- */

static void what_cannot_be_written_is_refused_as_a_whole(void **state)
{
    struct world *world = *state;
    static char bytes[CORDWOOD_LOG_NAME_BYTES_MAX + 1];
    struct cordwood_slice large = cordwood_slice(bytes, sizeof(bytes));
    struct cordwood_slice name = cordwood_text("log");
    struct cordwood_log_field field = {name, name, false};
    struct cordwood_log_entry entries[] = {{.message = name}, {.message = name}};
    struct cordwood_log_range_options options = CORDWOOD_LOG_RANGE_OPTIONS;
    struct cordwood_log_range *range;
    uint64_t number;
    assert_int_equal(cordwood_log_append(world->logs, name, entries, 0, NULL), CORDWOOD_INVALID);
    assert_int_equal(cordwood_log_append(world->logs, large, entries, 1, NULL), CORDWOOD_INVALID);
    assert_int_equal(cordwood_log_length(world->logs, large, &number), CORDWOOD_INVALID);
    assert_int_equal(cordwood_log_trim(world->logs, large, 1, &number), CORDWOOD_INVALID);
    assert_int_equal(cordwood_log_delete(world->logs, large), CORDWOOD_INVALID);
    assert_int_equal(cordwood_log_range_open(world->logs, large, NULL, &range), CORDWOOD_INVALID);
    options.struct_bytes = 1;
    assert_int_equal(cordwood_log_range_open(world->logs, name, &options, &range),
                     CORDWOOD_INVALID);
    entries[1].level = cordwood_text("loud");
    assert_int_equal(cordwood_log_append(world->logs, name, entries, 2, NULL), CORDWOOD_INVALID);
    entries[1].level = cordwood_text("");
    large.size = (size_t)65 << 20;
    entries[1].message = large;
    assert_int_equal(cordwood_log_append(world->logs, name, entries, 2, NULL), CORDWOOD_TOO_LARGE);
    entries[1].message = name;
    entries[1].fields = &field;
    entries[1].field_count = 1;
    field.name = large;
    assert_int_equal(cordwood_log_append(world->logs, name, entries, 2, NULL), CORDWOOD_TOO_LARGE);
    field.name = name;
    field.value = large;
    assert_int_equal(cordwood_log_append(world->logs, name, entries, 2, NULL), CORDWOOD_TOO_LARGE);
    assert_int_equal(cordwood_log_length(world->logs, name, &number), CORDWOOD_NOT_FOUND);
    append(world, "log", UINT64_MAX, "the last one");
    entries[0].time_ms = 0;
    for (int i = 0; i < 2; i++) /* late, they get the next ID: there are enough */
        append(world, "log", 1, "late");
}

static void a_string_is_no_log(void **state)
{
    struct world *world = *state;
    struct access access;
    struct lsm *engine = store_engine(world->logs->store);
    struct lsm_reader *reader = lsm_reader_create(engine);
    const struct cordwood_log_entry entry = {.message = cordwood_text("m")};
    struct cordwood_log_range *range;
    uint64_t length;
    access_init(&access, world->logs->store, reader);
    lsm_lock(engine);
    assert_int_equal(access_begin_write(&access, 0, false, 1000, false), STATUS_OK);
    const struct object object = {.type = OBJECT_STRING, .body = slice_from("\0text")};
    keyspace_put(&access, slice_from("string"), &object, NULL);
    (void)access_end(&access);
    lsm_unlock(engine);
    access_release(&access);
    lsm_reader_destroy(reader);
    struct cordwood_slice name = cordwood_text("string");
    assert_int_equal(cordwood_log_append(world->logs, name, &entry, 1, NULL), CORDWOOD_WRONG_TYPE);
    assert_int_equal(cordwood_log_length(world->logs, name, &length), CORDWOOD_WRONG_TYPE);
    assert_int_equal(cordwood_log_trim(world->logs, name, 1, &length), CORDWOOD_WRONG_TYPE);
    assert_int_equal(cordwood_log_delete(world->logs, name), CORDWOOD_WRONG_TYPE);
    assert_int_equal(cordwood_log_range_open(world->logs, name, NULL, &range), CORDWOOD_WRONG_TYPE);
    assert_int_equal(cordwood_logs_close(world->logs), CORDWOOD_OK); /* planted: no whole store */
    world->logs = NULL;
}

static void options_that_are_not_for_logs_are_refused(void **state)
{
    struct world *world = *state;
    const struct cordwood_tree_options tree = {.name = "a"};
    struct cordwood_options options = world->options;
    struct cordwood_error error = {""};
    struct cordwood_logs *logs;
    options.read_only = true;
    assert_int_equal(library_logs_open(&world->env, "other", &options, &error, &logs),
                     CORDWOOD_INVALID);
    assert_non_null(strstr(error.text, "logs"));
    options = world->options;
    options.trees = &tree;
    options.tree_count = 1;
    assert_int_equal(library_logs_open(&world->env, "other", &options, NULL, &logs),
                     CORDWOOD_INVALID);
    assert_int_equal(library_logs_open(&world->env, "logs", &world->options, &error, &logs),
                     CORDWOOD_BUSY);
    assert_int_equal(cordwood_logs_close(NULL), CORDWOOD_OK);
}

static void ranges_are_bounded(void **state)
{
    struct world *world = *state;
    static struct cordwood_log_range *ranges[CORDWOOD_ITERATORS_MAX];
    struct cordwood_log_range *one_more;
    struct cordwood_slice name = cordwood_text("log");
    append(world, "log", 1, "a");
    for (unsigned i = 0; i < CORDWOOD_ITERATORS_MAX; i++)
        assert_int_equal(cordwood_log_range_open(world->logs, name, NULL, &ranges[i]), CORDWOOD_OK);
    assert_int_equal(cordwood_log_range_open(world->logs, name, NULL, &one_more), CORDWOOD_BUSY);
    for (unsigned i = 0; i < CORDWOOD_ITERATORS_MAX; i++)
        cordwood_log_range_close(ranges[i]);
}

enum { MANY_LOGS = 400 };

static const char *name_of(unsigned log)
{
    static char name[200];
    snprintf(name, sizeof(name), "%0150u", log);
    return name;
}

/* Headers lie in blocks that are not in memory: a write reads its own without the lock. */
static void a_write_waits_for_the_disk_without_the_lock(void **state)
{
    struct world *world = *state;
    struct vfs_fault_counters before, after;
    uint64_t length = 0;
    for (unsigned i = 0; i < MANY_LOGS; i++)
        append(world, name_of(i), 1, "a");
    close_logs(world);
    open_logs(world);
    vfs_fault_set_cold(world->fault, ".cwt");
    vfs_fault_counters(world->fault, &before);
    for (unsigned i = 0; i < MANY_LOGS; i += 20)
        append(world, name_of(i), 2, "b");
    vfs_fault_counters(world->fault, &after);
    assert_true(after.calls[VFS_CALL_READ] > before.calls[VFS_CALL_READ]);
    for (unsigned i = 0; i < MANY_LOGS; i++) {
        assert_int_equal(cordwood_log_length(world->logs, cordwood_text(name_of(i)), &length),
                         CORDWOOD_OK);
        assert_int_equal(length, i % 20 ? 1 : 2);
    }
    vfs_fault_set_cold(world->fault, NULL);
}

/* A header that cannot be read: an error, and nothing is written. */
static void a_write_that_cannot_read_leaves_nothing(void **state)
{
    struct world *world = *state;
    const struct cordwood_log_entry entry = {.message = cordwood_text("m")};
    unsigned failures = 0;
    uint64_t length = 0;
    for (unsigned i = 0; i < MANY_LOGS; i++)
        append(world, name_of(i), 1, "a");
    close_logs(world);
    open_logs(world);
    vfs_fault_set_cold(world->fault, ".cwt");
    vfs_fault_fail(world->fault, 1u << VFS_CALL_READ, 1, STATUS_IO, true);
    for (unsigned i = 0; i < MANY_LOGS; i++)
        failures += cordwood_log_append(world->logs, cordwood_text(name_of(i)), &entry, 1, NULL) ==
                    CORDWOOD_IO;
    assert_true(failures > MANY_LOGS / 2);
    vfs_fault_fail(world->fault, 0, 0, STATUS_OK, false);
    vfs_fault_set_cold(world->fault, NULL);
    for (unsigned i = 0; i < MANY_LOGS; i++) {
        uint64_t one;
        assert_int_equal(cordwood_log_length(world->logs, cordwood_text(name_of(i)), &one),
                         CORDWOOD_OK);
        length += one;
    }
    assert_int_equal(length, 2 * MANY_LOGS - failures);
}

/* Empty fields take room too. */
static void entries_of_nothing_are_bounded(void **state)
{
    struct world *world = *state;
    static struct cordwood_log_entry entries[300];
    close_logs(world);
    world->options.batch_bytes_max = 1000;
    open_logs(world);
    assert_int_equal(cordwood_log_append(world->logs, cordwood_text("log"), entries, 300, NULL),
                     CORDWOOD_TOO_LARGE);
    assert_int_equal(cordwood_log_append(world->logs, cordwood_text("log"), entries, 250, NULL),
                     CORDWOOD_OK);
}

static void a_full_disk_refuses_entries_and_lets_them_be_trimmed(void **state)
{
    struct world *world = *state;
    static char bytes[100 << 10];
    const struct cordwood_log_entry entry = {.message = cordwood_slice(bytes, sizeof(bytes))};
    uint64_t removed = 0;
    enum cordwood_status status = CORDWOOD_OK;
    append(world, "log", 1, "a");
    vfs_fault_set_free_bytes(world->fault, 0);
    for (int i = 0; i < 20 && status == CORDWOOD_OK; i++)
        status = cordwood_log_append(world->logs, cordwood_text("big"), &entry, 1, NULL);
    assert_int_equal(status, CORDWOOD_NO_SPACE);
    assert_int_equal(cordwood_log_trim(world->logs, cordwood_text("log"), 2, &removed),
                     CORDWOOD_OK);
    assert_int_equal(removed, 1);
    vfs_fault_set_free_bytes(world->fault, UINT64_MAX);
    append(world, "log", 2, "b");
}

static void an_append_is_synced_when_it_returns(void **state)
{
    struct world *world = *state, after;
    append(world, "log", 1, "a");
    assert_int_equal(cordwood_logs_sync(world->logs), CORDWOOD_OK);
    append(world, "log", 2, "b"); /* not synced */
    for (int round = 0; round < 2; round++) {
        after = *world;
        after.memory = vfs_memory_after_power_loss(world->memory, VFS_LOSE_UNSYNCED, 1);
        after.fault = vfs_fault_create(after.memory);
        after.env.vfs = after.fault;
        open_logs(&after);
        assert_string_equal(read_range(&after, "log", 0, UINT64_MAX, false),
                            round ? "1::a 2::b 3::c" : "1::a");
        void *old = &after;
        assert_int_equal(teardown(&old), 0);
        if (round)
            break;
        close_logs(world);
        world->options.durability = CORDWOOD_SYNC_COMMIT;
        open_logs(world);
        append(world, "log", 3, "c");
    }
}

/* ---- Threads, checkpoints ------------------------------------------------------------------- */

enum { THREADS = 4, LINES = 200 };

static void *append_lines(void *context)
{
    struct world *world = context;
    for (unsigned i = 0; i < LINES; i++) {
        struct cordwood_log_entry pair[] = {{.message = cordwood_text("one")},
                                            {.message = cordwood_text("two")}};
        if (cordwood_log_append(world->logs, cordwood_text("log"), pair, 2, NULL) != CORDWOOD_OK)
            abort();
    }
    return NULL;
}

/* Whoever reads meanwhile sees pairs. */
static void threads_append_to_one_log(void **state)
{
    struct world *world = *state;
    pthread_t threads[THREADS];
    uint64_t length = 0;
    close_logs(world);
    world->options.background_threads = 1;
    open_logs(world);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_lines, world), 0);
    while (length < (uint64_t)2 * THREADS * LINES) {
        if (cordwood_log_length(world->logs, cordwood_text("log"), &length) == CORDWOOD_OK)
            assert_int_equal(length % 2, 0);
        sched_yield();
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void note_line(void *context, const char *line)
{
    (void)line;
    ++*(unsigned *)context;
}

static void checkpoints_verify_and_are_repaired(void **state)
{
    (void)state;
    char directory[TEMP_DIRECTORY_BYTES], path[200], copy[200], command[300];
    struct cordwood_options options = CORDWOOD_OPTIONS;
    struct cordwood_error error = {""};
    struct world world = {0};
    unsigned lines = 0;
    temp_directory_make(directory);
    snprintf(path, sizeof(path), "%s/logs", directory);
    snprintf(copy, sizeof(copy), "%s/copy", directory);
    options.log_segment_bytes = 256 << 10;
    assert_int_equal(cordwood_logs_open(path, &options, &error, &world.logs), CORDWOOD_OK);
    append(&world, "log", 1, "a");
    assert_int_equal(cordwood_logs_checkpoint(world.logs, copy, &error), CORDWOOD_OK);
    append(&world, "log", 2, "b");
    assert_int_equal(cordwood_logs_close(world.logs), CORDWOOD_OK);
    assert_int_equal(cordwood_verify(copy, NULL, NULL), CORDWOOD_OK);
    assert_int_equal(cordwood_logs_open(copy, &options, &error, &world.logs), CORDWOOD_OK);
    assert_string_equal(read_range(&world, "log", 0, 10, false), "1::a");
    assert_int_equal(cordwood_logs_close(world.logs), CORDWOOD_OK);
    /* A table less. */
    snprintf(command, sizeof(command), "rm $(ls %s/*.cwt | tail -1)", copy);
    assert_int_equal(system(command), 0);
    assert_int_equal(cordwood_verify(copy, NULL, NULL), CORDWOOD_CORRUPT);
    assert_int_equal(cordwood_logs_repair(copy, note_line, &lines), CORDWOOD_OK);
    assert_true(lines > 0);
    assert_int_equal(cordwood_logs_repair(copy, NULL, NULL), CORDWOOD_OK);
    assert_int_equal(cordwood_logs_open(copy, &options, &error, &world.logs), CORDWOOD_OK);
    append(&world, "log", 5, "c");
    assert_int_equal(cordwood_logs_close(world.logs), CORDWOOD_OK);
    temp_directory_remove(directory);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(cold_compression_is_for_merged_logs),
        TEST(entries_come_back_by_time),
        TEST(a_range_shows_one_moment),
        TEST(entries_of_other_writers_are_shown_as_they_are),
        TEST(logs_are_trimmed_and_deleted),
        TEST(what_cannot_be_written_is_refused_as_a_whole),
        TEST(a_string_is_no_log),
        TEST(options_that_are_not_for_logs_are_refused),
        TEST(ranges_are_bounded),
        TEST(a_write_waits_for_the_disk_without_the_lock),
        TEST(a_write_that_cannot_read_leaves_nothing),
        TEST(entries_of_nothing_are_bounded),
        TEST(a_full_disk_refuses_entries_and_lets_them_be_trimmed),
        TEST(an_append_is_synced_when_it_returns),
        TEST(threads_append_to_one_log),
        cmocka_unit_test(checkpoints_verify_and_are_repaired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
