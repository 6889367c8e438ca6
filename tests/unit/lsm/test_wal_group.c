/* SPDX-License-Identifier: MIT */
/* Groups of frames: what is stored unpacks to the same frames; when it is worth it; what is no group. */
#include "lsm/wal_group.h"

#include "base/coding.h"
#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"

#include <lz4.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    WHOLE = WAL_FRAME_FIRST | WAL_FRAME_LAST,
    STORE_ID = 7,
    EPOCH = 3,
    PAGE = 64,
    BASE = 10000, /* the LSN of the first frame */
};

/* Frames one behind the other from BASE on. */
struct frames {
    struct buffer bytes;
    size_t count;
};

static void add_frame(struct frames *frames, uint8_t flags, uint32_t count, struct slice payload)
{
    const struct wal_frame frame = {.lsn = BASE + frames->bytes.size,
                                    .durable_lsn = BASE - 10,
                                    .epoch = EPOCH,
                                    .count = count,
                                    .length = (uint32_t)payload.size,
                                    .flags = flags};
    static const uint8_t head[WAL_FRAME_HEAD_BYTES];
    size_t at = frames->bytes.size;
    buffer_append(&frames->bytes, head, sizeof(head));
    buffer_append_slice(&frames->bytes, payload);
    wal_frame_seal(frames->bytes.data + at, &frame, wal_frame_seed(STORE_ID));
    frames->count++;
}

/* A batch that compresses to nearly nothing. */
static void add_batch(struct frames *frames, size_t bytes)
{
    struct buffer payload = {0};
    while (payload.size < bytes)
        buffer_append_byte(&payload, (uint8_t)('a' + frames->count % 20));
    add_frame(frames, WHOLE, bytes ? 1 : 0, buffer_slice(&payload));
    buffer_release(&payload);
}

static void add_noise(struct frames *frames, size_t bytes, uint64_t seed)
{
    struct random random;
    struct buffer payload = {0};
    random_init(&random, seed);
    while (payload.size < bytes)
        buffer_append_byte(&payload, (uint8_t)random_next(&random));
    add_frame(frames, WHOLE, 1, buffer_slice(&payload));
    buffer_release(&payload);
}

static struct wal_group_writer *writer_create(uint32_t page_bytes)
{
    struct wal_group_writer *writer =
        wal_group_writer_create(wal_frame_seed(STORE_ID), page_bytes, WAL_FRAME_BYTES_MAX);
    assert_non_null(writer);
    return writer;
}

static enum wal_frame_result decode(struct slice stored, struct wal_frame *group)
{
    return wal_frame_decode(stored, BASE, EPOCH, wal_frame_seed(STORE_ID), group);
}

/* The group decodes, and unpacks to exactly `frames`. */
static void expect_frames(struct slice stored, struct slice frames)
{
    struct wal_frame group, frame, expected;
    struct slice packed, payload;
    lsn_t lsn = BASE;
    assert_int_equal(decode(stored, &group), WAL_FRAME_VALID);
    assert_int_equal(group.span, frames.size);
    assert_true(stored.size == WAL_FRAME_HEAD_BYTES + group.length);
    uint8_t *to = memory_allocate(group.span);
    assert_true(wal_group_unpack(&group, slice_skip(stored, WAL_FRAME_HEAD_BYTES), to, &packed));
    while (frames.size > 0) {
        expected = wal_frame_peek(frames.data);
        assert_true(wal_group_next(&group, &packed, &lsn, &frame, &payload));
        assert_int_equal(frame.lsn, expected.lsn);
        assert_int_equal(frame.count, expected.count);
        assert_int_equal(frame.flags, expected.flags);
        assert_int_equal(frame.epoch, EPOCH);
        assert_true(frame.durable_lsn >= expected.durable_lsn);
        assert_true(
            slice_equal(payload, slice_make(frames.data + WAL_FRAME_HEAD_BYTES, expected.length)));
        frames = slice_skip(frames, expected.span);
        assert_int_equal(lsn, expected.lsn + expected.span);
    }
    assert_false(wal_group_next(&group, &packed, &lsn, &frame, &payload));
    memory_free(to);
}

static void a_group_unpacks_to_the_frames_that_were_stored(void **state)
{
    (void)state;
    struct wal_group_writer *writer = writer_create(PAGE);
    struct frames frames = {0};
    for (size_t i = 0; i < 50; i++)
        add_batch(&frames, i * 7);
    struct slice all = buffer_slice(&frames.bytes);
    assert_int_equal(wal_group_span(all), all.size);
    struct slice stored = wal_group_store(writer, all, 4096, BASE);
    assert_true(stored.size > 0 && stored.size < all.size / 4);
    expect_frames(stored, all);
    struct wal_frame group;
    assert_int_equal(decode(stored, &group), WAL_FRAME_VALID);
    assert_int_equal(group.count, 50);
    assert_int_equal(group.durable_lsn, BASE); /* newer than what the frames state */
    assert_int_equal(group.flags, WHOLE | WAL_FRAME_COMPRESSED);
    buffer_release(&frames.bytes);
    wal_group_writer_destroy(writer);
}

static void a_frame_of_a_chain_is_a_group_of_its_own(void **state)
{
    (void)state;
    static uint8_t zeros[WAL_FRAME_PAYLOAD_MAX];
    struct wal_group_writer *writer = writer_create(PAGE);
    const uint8_t flags[] = {WAL_FRAME_FIRST, 0, WAL_FRAME_LAST};
    for (size_t i = 0; i < 3; i++) {
        struct frames frames = {0};
        add_frame(&frames, flags[i], 9, slice_make(zeros, sizeof(zeros)));
        size_t size = frames.bytes.size;
        add_batch(&frames, 1000);
        assert_int_equal(wal_group_span(buffer_slice(&frames.bytes)), size);
        struct slice chained = slice_make(frames.bytes.data, size);
        struct slice stored = wal_group_store(writer, chained, 4096, BASE);
        expect_frames(stored, chained);
        /* Nor does it end a group of whole batches. */
        frames.count = frames.bytes.size = 0;
        add_batch(&frames, 1000);
        size = frames.bytes.size;
        add_frame(&frames, flags[i], 9, slice_make(zeros, 100));
        assert_int_equal(wal_group_span(buffer_slice(&frames.bytes)), size);
        buffer_release(&frames.bytes);
    }
    wal_group_writer_destroy(writer);
}

static void a_skip_is_written_as_it_is(void **state)
{
    (void)state;
    struct wal_group_writer *writer = writer_create(1);
    struct frames frames = {0};
    add_batch(&frames, 1000);
    size_t size = frames.bytes.size;
    add_frame(&frames, WAL_FRAME_SKIP, 0, (struct slice){0});
    struct slice all = buffer_slice(&frames.bytes);
    assert_int_equal(wal_group_span(all), size);
    assert_int_equal(wal_group_span(slice_skip(all, size)), WAL_FRAME_HEAD_BYTES);
    assert_int_equal(wal_group_store(writer, slice_skip(all, size), 4096, 5).size, 0);
    buffer_release(&frames.bytes);
    wal_group_writer_destroy(writer);
}

static void a_group_takes_a_bounded_number_of_positions(void **state)
{
    (void)state;
    struct frames frames = {0};
    while (frames.bytes.size < 2 * WAL_GROUP_SPAN_TARGET)
        add_batch(&frames, 1000);
    size_t span = wal_group_span(buffer_slice(&frames.bytes));
    assert_in_range(span, WAL_GROUP_SPAN_TARGET - 1000 - WAL_FRAME_HEAD_BYTES,
                    WAL_GROUP_SPAN_TARGET);
    frames.count = frames.bytes.size = 0;
    add_batch(&frames, WAL_FRAME_PAYLOAD_MAX); /* one alone may take more */
    add_batch(&frames, 1);
    assert_int_equal(wal_group_span(buffer_slice(&frames.bytes)), WAL_FRAME_BYTES_MAX);
    buffer_release(&frames.bytes);
}

/* Wherever a group begins in its page: if it is stored, whole pages behind what is written hold nothing
 * else; an eighth at least. */
static void a_group_is_stored_only_where_pages_stay_unwritten(void **state)
{
    (void)state;
    struct wal_group_writer *writer = writer_create(PAGE);
    size_t stored_count = 0, plain_count = 0;
    for (size_t bytes = 1; bytes < 40 * PAGE; bytes += 13) {
        struct frames frames = {0};
        add_noise(&frames, bytes / 2, bytes);
        add_batch(&frames, bytes / 2);
        struct slice all = buffer_slice(&frames.bytes);
        for (uint64_t offset = 4096; offset < 4096 + PAGE; offset += 9) {
            struct slice stored = wal_group_store(writer, all, offset, 5);
            if (stored.size == 0) {
                plain_count++;
                continue;
            }
            uint64_t written_end = (offset + stored.size + PAGE - 1) / PAGE * PAGE;
            uint64_t next_begin = (offset + all.size) / PAGE * PAGE;
            assert_true(next_begin >= written_end + PAGE);
            assert_true(next_begin - written_end >= all.size / 8);
            stored_count++;
        }
        buffer_release(&frames.bytes);
    }
    assert_true(stored_count > 100);
    assert_true(plain_count > 100);
    wal_group_writer_destroy(writer);
}

static void what_does_not_compress_is_tried_ever_more_rarely(void **state)
{
    (void)state;
    struct wal_group_writer *writer = writer_create(PAGE);
    struct frames noise = {0}, text = {0};
    add_noise(&noise, 100 * PAGE, 1);
    add_batch(&text, 100 * PAGE);
    struct slice all = buffer_slice(&noise.bytes), good = buffer_slice(&text.bytes);
    unsigned untried = 0, longest = 0;
    for (int round = 0; round < 10; round++) {
        assert_int_equal(wal_group_store(writer, all, 4096, 5).size, 0);
        for (untried = 0; wal_group_store(writer, good, 4096, 5).size == 0; untried++)
            assert_true(untried < 1000);
        assert_int_equal(untried, 1); /* a success forgets what was before */
    }
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(wal_group_store(writer, all, 4096, 5).size, 0);
    while (wal_group_store(writer, good, 4096, 5).size == 0)
        longest++;
    assert_in_range(longest, 0, 63);
    /* What is too small was never tried and says nothing. */
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(wal_group_store(writer, slice_make(all.data, 2 * PAGE), 4096, 5).size, 0);
    assert_true(wal_group_store(writer, good, 4096, 5).size > 0);
    buffer_release(&noise.bytes);
    buffer_release(&text.bytes);
    wal_group_writer_destroy(writer);
}

static void a_writer_without_memory_is_none(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        memory_fail_try(n, false);
        assert_null(wal_group_writer_create(1, PAGE, WAL_FRAME_BYTES_MAX));
    }
    memory_fail_try(0, false);
    wal_group_writer_destroy(NULL);
}

/* ---- What is no group ------------------------------------------------------------------------ */

/* A sealed group with any content: `frames` as they are packed. */
static size_t forge(uint8_t *at, uint8_t flags, uint32_t count, uint32_t span, struct slice frames)
{
    uint8_t *block = at + WAL_FRAME_HEAD_BYTES + WAL_GROUP_SPAN_BYTES;
    int size = LZ4_compress_default((const char *)frames.data, (char *)block, (int)frames.size,
                                    LZ4_compressBound((int)frames.size));
    const struct wal_frame group = {.lsn = BASE,
                                    .durable_lsn = BASE,
                                    .epoch = EPOCH,
                                    .count = count,
                                    .length = WAL_GROUP_SPAN_BYTES + (uint32_t)size,
                                    .flags = flags | WAL_FRAME_COMPRESSED};
    assert_true(size > 0);
    le32_store(at + WAL_FRAME_HEAD_BYTES, span);
    wal_frame_seal(at, &group, wal_frame_seed(STORE_ID));
    return WAL_FRAME_HEAD_BYTES + (size_t)group.length;
}

static bool unpacks(const uint8_t *at, size_t size)
{
    struct wal_frame group;
    struct slice frames;
    static uint8_t to[WAL_FRAME_BYTES_MAX];
    struct slice stored = slice_make(at, size);
    return decode(stored, &group) == WAL_FRAME_VALID &&
           wal_group_unpack(&group, slice_skip(stored, WAL_FRAME_HEAD_BYTES), to, &frames);
}

/* `count` frames of `bytes` each, with `records` records. */
static struct slice packed_frames(struct buffer *packed, unsigned count, size_t bytes,
                                  uint64_t records)
{
    buffer_clear(packed);
    for (unsigned i = 0; i < count; i++) {
        buffer_append_varint(packed, bytes);
        buffer_append_varint(packed, records);
        for (size_t k = 0; k < bytes; k++)
            buffer_append_byte(packed, 'x');
    }
    return buffer_slice(packed);
}

static void a_head_that_contradicts_itself_is_no_frame(void **state)
{
    (void)state;
    static uint8_t at[1 << 16];
    struct wal_frame group;
    struct buffer packed = {0};
    enum { EACH = 100, SPAN = 3 * (EACH + WAL_FRAME_HEAD_BYTES) };
    struct slice three = packed_frames(&packed, 3, EACH, 1);
    size_t size = forge(at, WHOLE, 3, SPAN, three);
    assert_true(unpacks(at, size));
    assert_int_equal(decode(slice_make(at, size - 1), &group), WAL_FRAME_BAD);
    /* Several frames of a chain, or none. */
    assert_int_equal(decode(slice_make(at, forge(at, WAL_FRAME_FIRST, 3, SPAN, three)), &group),
                     WAL_FRAME_BAD);
    assert_int_equal(decode(slice_make(at, forge(at, 0, 3, SPAN, three)), &group), WAL_FRAME_BAD);
    assert_int_equal(decode(slice_make(at, forge(at, WHOLE, 0, SPAN, three)), &group),
                     WAL_FRAME_BAD);
    /* A skip. */
    assert_int_equal(decode(slice_make(at, forge(at, WAL_FRAME_SKIP, 1, SPAN, three)), &group),
                     WAL_FRAME_BAD);
    /* It saves nothing, or takes more than a frame may. */
    size = forge(at, WHOLE, 3, 10, three);
    assert_int_equal(decode(slice_make(at, size), &group), WAL_FRAME_BAD);
    assert_int_equal(decode(slice_make(at, forge(at, WHOLE, 3, (uint32_t)size, three)), &group),
                     WAL_FRAME_BAD);
    assert_int_equal(decode(slice_make(at, forge(at, WHOLE, 3, (uint32_t)size + 1, three)), &group),
                     WAL_FRAME_VALID);
    assert_int_equal(
        decode(slice_make(at, forge(at, WHOLE, 3, WAL_FRAME_BYTES_MAX, three)), &group),
        WAL_FRAME_VALID);
    assert_int_equal(
        decode(slice_make(at, forge(at, WHOLE, 3, WAL_FRAME_BYTES_MAX + 1, three)), &group),
        WAL_FRAME_BAD);
    /* No block, and not even a span. */
    for (uint32_t length = 0; length <= WAL_GROUP_SPAN_BYTES; length++) {
        const struct wal_frame empty = {.lsn = BASE,
                                        .durable_lsn = BASE,
                                        .epoch = EPOCH,
                                        .count = 1,
                                        .length = length,
                                        .flags = WHOLE | WAL_FRAME_COMPRESSED};
        le32_store(at + WAL_FRAME_HEAD_BYTES, SPAN);
        wal_frame_seal(at, &empty, wal_frame_seed(STORE_ID));
        assert_int_equal(decode(slice_make(at, WAL_FRAME_HEAD_BYTES + length), &group),
                         WAL_FRAME_BAD);
    }
    buffer_release(&packed);
}

static void a_block_that_is_not_what_its_head_states_unpacks_to_nothing(void **state)
{
    (void)state;
    static uint8_t at[1 << 16];
    struct buffer packed = {0};
    enum { EACH = 100, ONE = EACH + WAL_FRAME_HEAD_BYTES };
    struct slice three = packed_frames(&packed, 3, EACH, 1);
    assert_true(unpacks(at, forge(at, WHOLE, 3, 3 * ONE, three)));
    assert_false(unpacks(at, forge(at, WHOLE, 2, 3 * ONE, three)));
    assert_false(unpacks(at, forge(at, WHOLE, 4, 3 * ONE, three)));
    assert_false(unpacks(at, forge(at, WHOLE, 3, 3 * ONE + 1, three)));
    assert_false(unpacks(at, forge(at, WHOLE, 3, 3 * ONE - 1, three)));
    /* More than the span could hold: nothing is written behind it. */
    assert_false(unpacks(at, forge(at, WHOLE, 3, 3 * EACH, three)));
    /* It ends within a frame, within a count. */
    assert_false(unpacks(at, forge(at, WHOLE, 3, 3 * ONE, slice_make(three.data, three.size - 1))));
    assert_false(
        unpacks(at, forge(at, WHOLE, 3, 3 * ONE, slice_make(three.data, three.size - EACH - 1))));
    /* One record too many for an empty frame, none for one that holds something, or more than there can be. */
    assert_false(unpacks(
        at, forge(at, WHOLE, 9, 9 * WAL_FRAME_HEAD_BYTES, packed_frames(&packed, 9, 0, 1))));
    assert_true(unpacks(
        at, forge(at, WHOLE, 9, 9 * WAL_FRAME_HEAD_BYTES, packed_frames(&packed, 9, 0, 0))));
    assert_false(unpacks(at, forge(at, WHOLE, 3, 3 * ONE, packed_frames(&packed, 3, EACH, 0))));
    assert_false(unpacks(
        at, forge(at, WHOLE, 3, 3 * ONE, packed_frames(&packed, 3, EACH, (uint64_t)1 << 32))));
    assert_true(
        unpacks(at, forge(at, WHOLE, 3, 3 * ONE, packed_frames(&packed, 3, EACH, UINT32_MAX))));
    /* A frame larger than one may be. */
    assert_false(unpacks(at, forge(at, WHOLE, 1, WAL_FRAME_BYTES_MAX,
                                   packed_frames(&packed, 1, WAL_FRAME_PAYLOAD_MAX + 1, 1))));
    buffer_release(&packed);
}

static void a_block_that_is_none_of_lz4_unpacks_to_nothing(void **state)
{
    (void)state;
    struct random random;
    static uint8_t at[1 << 12];
    random_init(&random, test_seed());
    for (int round = 0; round < 3000; round++) {
        struct wal_frame group = {.lsn = BASE,
                                  .durable_lsn = BASE,
                                  .epoch = EPOCH,
                                  .count = 1,
                                  .length = 5 + (uint32_t)random_below(&random, 200),
                                  .flags = WHOLE | WAL_FRAME_COMPRESSED};
        for (uint32_t i = 0; i < group.length; i++)
            at[WAL_FRAME_HEAD_BYTES + i] = (uint8_t)random_next(&random);
        le32_store(at + WAL_FRAME_HEAD_BYTES, 250 + (uint32_t)random_below(&random, 100000));
        wal_frame_seal(at, &group, wal_frame_seed(STORE_ID));
        assert_false(unpacks(at, WAL_FRAME_HEAD_BYTES + (size_t)group.length));
    }
}

static void every_flipped_bit_and_every_cut_of_a_group_is_noticed(void **state)
{
    (void)state;
    struct wal_group_writer *writer = writer_create(PAGE);
    struct frames frames = {0};
    struct wal_frame group;
    for (size_t i = 0; i < 10; i++)
        add_batch(&frames, 100);
    struct slice stored = wal_group_store(writer, buffer_slice(&frames.bytes), 4096, 5);
    assert_true(stored.size > 0);
    uint8_t *bytes = memory_copy(stored.data, stored.size);
    for (size_t i = 0; i < stored.size; i++) {
        assert_int_equal(decode(slice_make(bytes, i), &group), WAL_FRAME_BAD);
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(decode(slice_make(bytes, stored.size), &group), WAL_FRAME_BAD);
            bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
    assert_int_equal(decode(slice_make(bytes, stored.size), &group), WAL_FRAME_VALID);
    memory_free(bytes);
    buffer_release(&frames.bytes);
    wal_group_writer_destroy(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_unpacks_to_the_frames_that_were_stored),
        cmocka_unit_test(a_frame_of_a_chain_is_a_group_of_its_own),
        cmocka_unit_test(a_skip_is_written_as_it_is),
        cmocka_unit_test(a_group_takes_a_bounded_number_of_positions),
        cmocka_unit_test(a_group_is_stored_only_where_pages_stay_unwritten),
        cmocka_unit_test(what_does_not_compress_is_tried_ever_more_rarely),
        cmocka_unit_test(a_writer_without_memory_is_none),
        cmocka_unit_test(a_head_that_contradicts_itself_is_no_frame),
        cmocka_unit_test(a_block_that_is_not_what_its_head_states_unpacks_to_nothing),
        cmocka_unit_test(a_block_that_is_none_of_lz4_unpacks_to_nothing),
        cmocka_unit_test(every_flipped_bit_and_every_cut_of_a_group_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
