/* SPDX-License-Identifier: MIT */
/* Stores with encoded blocks of entries, as they were once written (tests/golden/README.md), open, are
 * sound, and read as they did. `test_golden_store --write DIR` makes the files of a new version. */
#include "lib/golden_files.h"
#include "lib/memory_store.h"
#include "lsm/compression.h"
#include "types/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LINES = 240, FIELDS_MAX = 6 };

struct golden {
    const char *directory, *text;
    struct store_options options;
};

static const struct golden FORMAT_2 = {
    .directory = "tests/golden/format-2",
    .text = "tests/golden/format-2.txt",
    .options = {.block_bytes = 2048, .wal_segment_bytes = 8192},
};
/* The same, but the first flush is merged, and so compressed by Zstandard. */
static const struct golden FORMAT_4 = {
    .directory = "tests/golden/format-4",
    .text = "tests/golden/format-2.txt",
    .options = {.block_bytes = 2048,
                .wal_segment_bytes = 8192,
                .cold_compression = LSM_ZSTD,
                .cold_block_bytes = 8192},
};

/* ---- The generator ------------------------------------------------------------------------- */

static void add(struct memory_store *ms, const char *key, uint64_t ms_of_id,
                const struct slice *fields, size_t field_count)
{
    struct stream stream;
    struct stream_id id = {ms_of_id, 0};
    struct stream_input input = {.fields = fields, .field_count = field_count};
    input.event_ms = ms_of_id % 50 ? ms_of_id : ms_of_id - 7000; /* some are late */
    memory_store_write(ms);
    assert_int_equal(stream_find_or_new(&ms->access, slice_from(key), &stream), STATUS_OK);
    assert_int_equal(stream_add(&ms->access, &stream, id, &input, &(struct stream_trim){0}),
                     STATUS_OK);
    memory_store_end(ms);
}

/* Lines of a system: texts that repeat, with numbers of all kinds. */
static void add_line(struct memory_store *ms, unsigned i)
{
    char line[128], host[32];
    static const char *const levels[] = {"info", "warning", "error"};
    switch (i % 4) {
    case 0:
        snprintf(line, sizeof(line), "Accepted password for user%u from 10.0.%u.%u port %u ssh2",
                 i % 7, i % 256, i * 7 % 256, 1024 + i * 37 % 60000);
        break;
    case 1:
        snprintf(line, sizeof(line), "Received block blk_%u of size %u, checksum 0x%08x", i * 7919,
                 67108864 - i, i * 2654435761u);
        break;
    case 2:
        snprintf(line, sizeof(line), "session %04u closed; uid=%05u; took %u.%03u s", i, i * 3,
                 i % 5, i % 1000);
        break;
    default:
        snprintf(line, sizeof(line), "only once: %c%c%c \x01\x02 %u", 'a' + i % 26,
                 'a' + i / 9 % 26, 'a' + i / 3 % 26, i);
    }
    snprintf(host, sizeof(host), "web%02u", i % 3);
    const struct slice fields[] = {slice_from("message"), slice_from(line),
                                   slice_from("host"),    slice_from(host),
                                   slice_from("level"),   slice_from(levels[i % 3])};
    add(ms, i % 5 ? "lines" : "wide", 1700000000000 + 10 * (uint64_t)i, fields, i % 5 ? 1 : 3);
}

static void delete_lines(struct memory_store *ms)
{
    struct stream stream;
    struct stream_id ids[20];
    uint64_t removed;
    for (unsigned i = 0; i < 20; i++)
        ids[i] = (struct stream_id){1700000000000 + 10 * (uint64_t)(i * 5 + 1), 0};
    memory_store_write(ms);
    assert_int_equal(stream_find_or_new(&ms->access, slice_from("lines"), &stream), STATUS_OK);
    assert_int_equal(stream_delete(&ms->access, &stream, ids, 20, &removed), STATUS_OK);
    assert_int_equal(removed, 20);
    memory_store_end(ms);
}

/* Tables of two flushes, deletions among puts in the second, and lines that no table holds. */
static struct vfs *generate(const struct golden *golden)
{
    struct memory_store ms = {0};
    memory_store_open(&ms, &golden->options);
    for (unsigned i = 0; i < LINES; i++) {
        add_line(&ms, i);
        if (i == LINES / 2) {
            if (golden->options.cold_compression == LSM_ZSTD)
                lsm_request_compact(store_engine(ms.store));
            memory_store_work(&ms, true);
        }
    }
    delete_lines(&ms);
    memory_store_work(&ms, true);
    for (unsigned i = LINES; i < LINES + 20; i++)
        add_line(&ms, i);
    assert_int_equal(lsm_wal_sync(store_engine(ms.store)), STATUS_OK);
    struct vfs *found = vfs_memory_after_power_loss(ms.memory, VFS_LOSE_UNSYNCED, 0);
    memory_store_release(&ms);
    return found;
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* Takes the file system over; what is in it then, in hex. */
static void dump(const struct golden *golden, struct vfs *memory, struct buffer *text)
{
    struct memory_store ms = {0};
    memory_store_open_in(&ms, memory, &golden->options);
    for (int again = 0; again < 2; again++) {
        buffer_clear(text);
        for (int tree = 0; tree < TREE_COUNT; tree++) {
            buffer_printf(text, "tree %d\n", tree);
            memory_store_dump(&ms, (enum store_tree)tree, text);
        }
        if (again == 0)
            memory_store_reopen(&ms); /* the second time from tables alone */
    }
    memory_store_release(&ms);
}

static void expect_text(const struct golden *golden, struct vfs *memory)
{
    struct buffer text = {0};
    dump(golden, memory, &text);
    golden_expect(golden->text, buffer_slice(&text));
    buffer_release(&text);
}

/* ---- Tests --------------------------------------------------------------------------------- */

static enum status verify(struct vfs *memory, const struct block_codec *const *codecs)
{
    struct memory_store ms = {0};
    memory_store_open(&ms, &FORMAT_2.options); /* for its env */
    struct env env = ms.env;
    env.vfs = memory;
    enum status status = lsm_verify(&env, "/data", codecs, NULL, NULL);
    memory_store_release(&ms);
    return status;
}

static void expect_sound(const struct golden *golden)
{
    struct vfs *memory = golden_load(golden->directory, "/data");
    assert_int_equal(verify(memory, store_codecs), STATUS_OK);
    assert_int_equal(verify(memory, NULL), STATUS_UNSUPPORTED); /* tables that it cannot read */
    vfs_destroy(memory);
}

static void golden_files_of_format_2_are_sound(void **state)
{
    (void)state;
    expect_sound(&FORMAT_2);
}

static void golden_files_of_format_2_read_as_they_did(void **state)
{
    (void)state;
    expect_text(&FORMAT_2, golden_load(FORMAT_2.directory, "/data"));
}

static void golden_files_of_format_4_are_sound(void **state)
{
    (void)state;
    if (lsm_has_zstd())
        expect_sound(&FORMAT_4);
    compression_hide_zstd(true);
    struct vfs *memory = golden_load(FORMAT_4.directory, "/data");
    enum status without = verify(memory, store_codecs);
    compression_hide_zstd(false);
    vfs_destroy(memory);
    assert_int_equal(without, STATUS_UNSUPPORTED);
}

static void golden_files_of_format_4_read_as_they_did(void **state)
{
    (void)state;
    if (!lsm_has_zstd())
        skip();
    expect_text(&FORMAT_4, golden_load(FORMAT_4.directory, "/data"));
}

static void what_is_written_today_reads_the_same(void **state)
{
    (void)state;
    const struct golden *const formats[] = {&FORMAT_2, &FORMAT_4};
    for (int i = 0; i < 1 + lsm_has_zstd(); i++) {
        struct vfs *memory = generate(formats[i]);
        assert_int_equal(verify(memory, store_codecs), STATUS_OK);
        expect_text(formats[i], memory);
    }
}

static int write_golden(const char *directory)
{
    struct buffer text = {0};
    struct vfs *memory = generate(&FORMAT_4);
    golden_write(memory, "/data", directory);
    dump(&FORMAT_4, memory, &text);
    golden_write_text(directory, buffer_slice(&text));
    buffer_release(&text);
    return 0;
}

int main(int argument_count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_files_of_format_2_are_sound),
        cmocka_unit_test(golden_files_of_format_2_read_as_they_did),
        cmocka_unit_test(golden_files_of_format_4_are_sound),
        cmocka_unit_test(golden_files_of_format_4_read_as_they_did),
        cmocka_unit_test(what_is_written_today_reads_the_same),
    };
    if (argument_count == 3 && strcmp(arguments[1], "--write") == 0)
        return write_golden(arguments[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
