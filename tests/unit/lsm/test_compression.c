/* SPDX-License-Identifier: MIT */
/* What compressing and unfolding promise; contexts and their memory: test_compression_contexts.c. */
#include "lsm/compression.h"

#include "base/coding.h"
#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { TEXT_BYTES = 300 << 10 };

/* Words and numbers in their turn, and noise behind them. */
struct fixture {
    struct random random;
    uint8_t text[TEXT_BYTES];
};

static int setup(void **state)
{
    struct fixture *f = memory_allocate(sizeof(*f));
    random_init(&f->random, test_seed());
    for (size_t i = 0; i < TEXT_BYTES; i++)
        f->text[i] = i % 100 < 60 ? "connection from "[i % 16] : (uint8_t)random_next(&f->random);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    memory_free(*state);
    return 0;
}

static void skip_without_zstd(void)
{
    if (!compression_is_known(COMPRESSION_ZSTD))
        skip();
}

static void assert_unfolds(enum block_compression compression, struct slice stored,
                           struct slice raw)
{
    uint8_t *got = NULL;
    size_t got_bytes = 0;
    assert_int_equal(compression_unfold(compression, stored, raw.size, &got, &got_bytes),
                     STATUS_OK);
    assert_true(slice_equal(slice_make(got, got_bytes), raw));
    memory_free(got);
    got = NULL;
    assert_int_equal(compression_unfold(compression, stored, raw.size - 1, &got, &got_bytes),
                     STATUS_CORRUPT); /* there is no room for it */
    assert_null(got);
}

static size_t assert_round_trip(struct compressor *compressor, struct slice raw,
                                const struct block_parts *parts)
{
    struct buffer out = {0};
    buffer_append_text(&out, "before");
    assert_int_equal(compressor_append(compressor, raw, parts, &out), compressor->compression);
    struct slice stored = slice_skip(buffer_slice(&out), 6);
    assert_true(stored.size < raw.size);
    assert_true(raw.size <= stored.size * (uint64_t)compression_ratio_max(compressor->compression));
    assert_unfolds(compressor->compression, stored, raw);
    buffer_release(&out);
    return stored.size;
}

static void what_was_compressed_comes_back(void **state)
{
    struct fixture *f = *state;
    static const size_t sizes[] = {200, 5000, 128 << 10, (128 << 10) + 1, TEXT_BYTES};
    static const struct compressor kinds[] = {
        {COMPRESSION_LZ4}, {COMPRESSION_ZSTD, 1}, {COMPRESSION_ZSTD, 3}, {COMPRESSION_ZSTD, 19}};
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        struct compressor compressor = kinds[kind];
        if (!compression_is_known(compressor.compression))
            continue;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            assert_round_trip(&compressor, slice_make(f->text, sizes[i]), NULL);
        compressor_release(&compressor);
    }
}

/* Empty ones, ones that are too small to count, and a rest behind the last, too. */
static void parts_of_any_sizes_come_back(void **state)
{
    struct fixture *f = *state;
    struct compressor compressor = {COMPRESSION_ZSTD, 3};
    skip_without_zstd();
    for (int round = 0; round < 200; round++) {
        size_t raw_bytes = 100 + random_below(&f->random, round % 10 ? 20000 : TEXT_BYTES - 100);
        struct block_parts parts = {.count = random_below(&f->random, BLOCK_PARTS_MAX + 1)};
        size_t left = raw_bytes;
        for (size_t i = 0; i < parts.count; i++) {
            parts.sizes[i] = random_below(&f->random, random_below(&f->random, 3) ? left + 1 : 300);
            if (parts.sizes[i] > left)
                parts.sizes[i] = left;
            left -= parts.sizes[i];
        }
        assert_round_trip(&compressor, slice_make(f->text, raw_bytes), &parts);
    }
    compressor_release(&compressor);
}

/* Letters of two alphabets: with statistics of its own each takes two bits a letter, mixed three. */
static void parts_are_compressed_by_statistics_of_their_own(void **state)
{
    struct fixture *f = *state;
    enum { HALF = 16 << 10 };
    struct compressor compressor = {COMPRESSION_ZSTD, 1};
    const struct block_parts halves = {.sizes = {HALF, HALF}, .count = 2};
    skip_without_zstd();
    for (size_t i = 0; i < 2 * HALF; i++)
        f->text[i] = (uint8_t)((i < HALF ? 'a' : 'p') + random_below(&f->random, 4));
    struct slice raw = slice_make(f->text, 2 * HALF);
    size_t whole = assert_round_trip(&compressor, raw, NULL);
    size_t apart = assert_round_trip(&compressor, raw, &halves);
    assert_true(apart < whole);
    compressor_release(&compressor);
}

static void what_gains_less_than_a_sixteenth_stays_plain(void **state)
{
    struct fixture *f = *state;
    struct compressor kinds[] = {{COMPRESSION_LZ4}, {COMPRESSION_ZSTD, 3}, {COMPRESSION_PLAIN}};
    uint8_t mostly_noise[4096];
    memset(mostly_noise, 'x', sizeof(mostly_noise));
    for (size_t i = 200; i < sizeof(mostly_noise); i++)
        mostly_noise[i] = (uint8_t)random_next(&f->random);
    struct slice raw = slice_make(mostly_noise, sizeof(mostly_noise));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct buffer out = {0};
        buffer_append_text(&out, "before");
        assert_int_equal(compressor_append(&kinds[i], raw, NULL, &out), COMPRESSION_PLAIN);
        assert_true(slice_equal(buffer_slice(&out), slice_from("before")));
        buffer_release(&out);
        compressor_release(&kinds[i]);
    }
    assert_unfolds(COMPRESSION_PLAIN, raw, raw);
}

/* ---- Frames that no builder made ------------------------------------------------------------ */

static enum status unfold(struct slice stored)
{
    uint8_t *raw = NULL;
    size_t raw_bytes = 0;
    enum status status = compression_unfold(COMPRESSION_ZSTD, stored, 1 << 20, &raw, &raw_bytes);
    if (status != STATUS_OK)
        assert_true(!raw && raw_bytes == 0);
    memory_free(raw);
    return status;
}

/* A frame of one block, of what is repeated: magic, single segment, content size of 4 bytes; its head:
 * last, RLE, size. */
static struct slice frame_of_x(uint8_t at[13], uint32_t content_bytes, uint32_t block_bytes)
{
    le32_store(at, 0xfd2fb528);
    at[4] = 0xa0;
    le32_store(at + 5, content_bytes);
    le32_store(at + 9, block_bytes << 3 | 1 << 1 | 1);
    at[12] = 'x';
    return slice_make(at, 13);
}

static void frames_of_another_kind_are_refused(void **state)
{
    (void)state;
    uint8_t frame[13], two[26];
    static const char unknown_size[] = "\x28\xb5\x2f\xfd\x00\x58\x2b\x00\x00xxxxx";
    static const char of_old_times[] = "\x27\xb5\x2f\xfd\x00\x58\x2b\x00\x00xxxxx";
    static const char skippable[] = "\x50\x2a\x4d\x18\x04\x00\x00\x00xxxx";
    static const char empty[] = "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00";
    skip_without_zstd();
    struct slice sound = frame_of_x(frame, 1000, 1000);
    assert_int_equal(unfold(sound), STATUS_OK);
    memcpy(two, frame, 13);
    memcpy(two + 13, frame, 13);
    assert_int_equal(unfold(slice_make(two, 26)), STATUS_CORRUPT);
    assert_int_equal(unfold(slice_make(two, 14)), STATUS_CORRUPT); /* something behind it */
    for (size_t kept = 0; kept < sound.size; kept++)
        assert_int_equal(unfold(slice_make(frame, kept)), STATUS_CORRUPT);
    assert_int_equal(unfold(slice_make(unknown_size, 14)), STATUS_CORRUPT);
    assert_int_equal(unfold(slice_make(of_old_times, 14)), STATUS_CORRUPT);
    assert_int_equal(unfold(slice_make(skippable, 12)), STATUS_CORRUPT);
    assert_int_equal(unfold(slice_make(empty, 9)), STATUS_CORRUPT);
    assert_int_equal(unfold(frame_of_x(frame, 1001, 1000)), STATUS_CORRUPT); /* it holds less */
    assert_int_equal(unfold(frame_of_x(frame, 999, 1000)), STATUS_CORRUPT);  /* and more */
}

/* Before any memory is asked for. */
static void a_frame_that_states_more_than_it_can_hold_asks_for_nothing(void **state)
{
    (void)state;
    uint8_t frame[13], *raw = NULL;
    size_t raw_bytes = 0;
    skip_without_zstd();
    uint64_t tried = memory_try_count();
    struct slice huge = frame_of_x(frame, 13 * 32768 + 1, 1000);
    assert_int_equal(unfold(huge), STATUS_CORRUPT);
    assert_int_equal(unfold(frame_of_x(frame, UINT32_MAX, 1000)), STATUS_CORRUPT);
    assert_int_equal(
        compression_unfold(COMPRESSION_ZSTD, frame_of_x(frame, 1000, 1000), 999, &raw, &raw_bytes),
        STATUS_CORRUPT);
    assert_true(memory_try_count() == tried);
}

static void flipped_frames_are_safe_to_unfold(void **state)
{
    struct fixture *f = *state;
    struct compressor compressor = {COMPRESSION_ZSTD, 3};
    struct buffer out = {0};
    const struct block_parts parts = {.sizes = {1000, 700, 900}, .count = 3};
    skip_without_zstd();
    compressor_append(&compressor, slice_make(f->text, 3000), &parts, &out);
    for (size_t at = 0; at < out.size; at++) {
        uint8_t mask = (uint8_t)(1 + random_below(&f->random, 255));
        out.data[at] ^= mask;
        enum status status = unfold(buffer_slice(&out));
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        out.data[at] ^= mask;
    }
    buffer_release(&out);
    compressor_release(&compressor);
}

/* ---- What is not known ------------------------------------------------------------------------ */

static void a_program_without_zstandard_says_so(void **state)
{
    (void)state;
    uint8_t frame[13];
    compression_hide_zstd(true);
    bool is_known = compression_is_known(COMPRESSION_ZSTD);
    enum status status = unfold(frame_of_x(frame, 1000, 1000));
    compression_hide_zstd(false);
    assert_false(is_known);
    assert_int_equal(status, STATUS_UNSUPPORTED);
    assert_true(compression_is_known(COMPRESSION_PLAIN));
    assert_true(compression_is_known(COMPRESSION_LZ4));
    assert_false(compression_is_known(COMPRESSION_ZSTD + 1));
    uint8_t *raw = NULL;
    size_t raw_bytes = 0;
    assert_int_equal(compression_unfold((enum block_compression)(COMPRESSION_ZSTD + 1),
                                        slice_make(frame, 13), 1000, &raw, &raw_bytes),
                     STATUS_UNSUPPORTED);
}

/* ---- Memory ------------------------------------------------------------------------------------ */

static void content_without_memory_is_told_and_is_no_damage(void **state)
{
    struct fixture *f = *state;
    struct compressor kinds[] = {{COMPRESSION_LZ4}, {COMPRESSION_ZSTD, 3}, {COMPRESSION_PLAIN}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct buffer out = {0};
        struct slice raw = slice_make(f->text, 5000);
        uint8_t *got = NULL;
        size_t got_bytes = 0;
        if (!compression_is_known(kinds[i].compression))
            continue;
        if (compressor_append(&kinds[i], raw, NULL, &out) == COMPRESSION_PLAIN)
            buffer_append_slice(&out, raw);
        memory_fail_try(1, false);
        enum status status = compression_unfold(kinds[i].compression, buffer_slice(&out), raw.size,
                                                &got, &got_bytes);
        memory_fail_try(0, false);
        assert_int_equal(status, STATUS_NO_MEMORY);
        assert_null(got);
        buffer_release(&out);
        compressor_release(&kinds[i]);
    }
}

/* Room for the plain bytes is there. */
static void what_finds_no_room_compressed_stays_plain(void **state)
{
    struct fixture *f = *state;
    struct compressor kinds[] = {{COMPRESSION_LZ4}, {COMPRESSION_ZSTD, 3}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct buffer out = {.may_fail = true};
        assert_true(buffer_reserve(&out, TEXT_BYTES));
        memory_fail_try(1, true);
        assert_int_equal(compressor_append(&kinds[i], slice_make(f->text, TEXT_BYTES), NULL, &out),
                         COMPRESSION_PLAIN);
        memory_fail_try(0, false);
        assert_false(out.failed);
        assert_int_equal(out.size, 0);
        buffer_release(&out);
        compressor_release(&kinds[i]);
    }
}

#define compression_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        compression_test(what_was_compressed_comes_back),
        compression_test(parts_of_any_sizes_come_back),
        compression_test(parts_are_compressed_by_statistics_of_their_own),
        compression_test(what_gains_less_than_a_sixteenth_stays_plain),
        compression_test(frames_of_another_kind_are_refused),
        compression_test(a_frame_that_states_more_than_it_can_hold_asks_for_nothing),
        compression_test(flipped_frames_are_safe_to_unfold),
        compression_test(a_program_without_zstandard_says_so),
        compression_test(content_without_memory_is_told_and_is_no_damage),
        compression_test(what_finds_no_room_compressed_stays_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
