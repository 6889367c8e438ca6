/* SPDX-License-Identifier: MIT */
/* Frames and records of the WAL: what is sealed decodes, anything else is refused. */
#include "lsm/wal_frame.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "lib/seed.h"
#include "lsm/wal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static size_t make_frame(uint8_t *at, lsn_t lsn, uint32_t epoch, const char *payload, uint8_t flags)
{
    struct wal_frame frame = {.lsn = lsn,
                              .durable_lsn = lsn / 2,
                              .epoch = epoch,
                              .count = payload[0] ? 1 : 0,
                              .length = (uint32_t)strlen(payload),
                              .flags = flags};
    memcpy(at + WAL_FRAME_HEAD_BYTES, payload, frame.length);
    wal_frame_seal(at, &frame, wal_frame_seed(7));
    return WAL_FRAME_HEAD_BYTES + frame.length;
}

static enum wal_frame_result decode(const uint8_t *at, size_t size, lsn_t lsn, uint32_t epoch,
                                    struct wal_frame *frame)
{
    return wal_frame_decode(slice_make(at, size), lsn, epoch, wal_frame_seed(7), frame);
}

enum { WHOLE = WAL_FRAME_FIRST | WAL_FRAME_LAST };

static void a_sealed_frame_decodes_to_what_it_was(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct wal_frame frame;
    size_t size = make_frame(bytes, 10000, 3, "payload", WHOLE);
    assert_int_equal(decode(bytes, size, 10000, 3, &frame), WAL_FRAME_VALID);
    assert_int_equal(frame.lsn, 10000);
    assert_int_equal(frame.durable_lsn, 5000);
    assert_int_equal(frame.epoch, 3);
    assert_int_equal(frame.count, 1);
    assert_int_equal(frame.length, 7);
    assert_int_equal(frame.flags, WHOLE);
}

static void a_frame_counts_only_at_its_position_epoch_and_store(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct wal_frame frame;
    size_t size = make_frame(bytes, 10000, 3, "payload", WHOLE);
    assert_int_equal(decode(bytes, size, 10001, 3, &frame), WAL_FRAME_BAD);
    assert_int_equal(decode(bytes, size, 10000, 4, &frame), WAL_FRAME_BAD);
    assert_int_equal(decode(bytes, size, 10000, 2, &frame), WAL_FRAME_VALID);
    assert_int_equal(wal_frame_decode(slice_make(bytes, size), 10000, 3, wal_frame_seed(8), &frame),
                     WAL_FRAME_BAD);
}

static void every_flipped_bit_and_every_cut_is_noticed(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct wal_frame frame;
    size_t size = make_frame(bytes, 10000, 3, "payload", WHOLE);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(decode(bytes, i, 10000, 3, &frame), WAL_FRAME_BAD);
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(decode(bytes, size, 10000, 0, &frame), WAL_FRAME_BAD);
            bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
}

static void unknown_flags_are_told_apart_from_damage(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct wal_frame frame;
    size_t size = make_frame(bytes, 10000, 3, "payload", WHOLE | 16);
    assert_int_equal(decode(bytes, size, 10000, 3, &frame), WAL_FRAME_FOREIGN);
}

static void flags_that_contradict_the_payload_are_refused(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct wal_frame frame;
    size_t size = make_frame(bytes, 10000, 3, "", WHOLE);
    assert_int_equal(decode(bytes, size, 10000, 3, &frame), WAL_FRAME_VALID);
    size = make_frame(bytes, 10000, 3, "", WAL_FRAME_FIRST);
    assert_int_equal(decode(bytes, size, 10000, 3, &frame), WAL_FRAME_BAD);
    size = make_frame(bytes, 10000, 3, "", WAL_FRAME_SKIP);
    assert_int_equal(decode(bytes, size, 10000, 3, &frame), WAL_FRAME_VALID);
    size = make_frame(bytes, 10000, 3, "x", WAL_FRAME_SKIP);
    assert_int_equal(decode(bytes, size, 10000, 3, &frame), WAL_FRAME_BAD);
    size = make_frame(bytes, 10000, 3, "", WAL_FRAME_SKIP | WHOLE);
    assert_int_equal(decode(bytes, size, 10000, 3, &frame), WAL_FRAME_BAD);
}

static void a_far_durable_lsn_is_stated_as_a_weaker_one(void **state)
{
    (void)state;
    uint8_t bytes[WAL_FRAME_HEAD_BYTES];
    struct wal_frame frame = {.lsn = 1ull << 40, .durable_lsn = 5, .epoch = 1, .flags = WHOLE},
                     found;
    wal_frame_seal(bytes, &frame, wal_frame_seed(7));
    assert_int_equal(decode(bytes, sizeof(bytes), 1ull << 40, 1, &found), WAL_FRAME_VALID);
    assert_true(found.durable_lsn == (1ull << 40) - UINT32_MAX);
}

static void records_come_back_as_they_were_appended(void **state)
{
    (void)state;
    struct buffer payload = {0};
    struct wal_record record;
    bool bad;
    wal_record_append(&payload, ENTRY_PUT, 0, slice_from("key"), slice_from("value"));
    wal_record_append(&payload, ENTRY_DELETE, 7, slice_from("gone"), (struct slice){0});
    wal_record_append(&payload, ENTRY_DELETE_RANGE, 2, slice_from("a"), slice_from("b"));
    wal_record_append(&payload, ENTRY_PUT, 1, (struct slice){0}, (struct slice){0});
    struct slice rest = buffer_slice(&payload);
    assert_true(wal_record_next(&rest, &record, &bad));
    assert_int_equal(record.kind, ENTRY_PUT);
    assert_true(slice_equal(record.key, slice_from("key")));
    assert_true(slice_equal(record.value, slice_from("value")));
    assert_true(wal_record_next(&rest, &record, &bad));
    assert_int_equal(record.kind, ENTRY_DELETE);
    assert_int_equal(record.tree, 7);
    assert_true(slice_equal(record.key, slice_from("gone")));
    assert_int_equal(record.value.size, 0);
    assert_true(wal_record_next(&rest, &record, &bad));
    assert_int_equal(record.kind, ENTRY_DELETE_RANGE);
    assert_true(slice_equal(record.value, slice_from("b")));
    assert_true(wal_record_next(&rest, &record, &bad));
    assert_int_equal(record.tree, 1);
    assert_int_equal(record.key.size, 0);
    assert_false(wal_record_next(&rest, &record, &bad));
    assert_false(bad);
    buffer_release(&payload);
}

static void malformed_records_end_the_walk_as_bad(void **state)
{
    (void)state;
    static const uint8_t kind_unknown[] = {3, 0, 0}, tree_unknown[] = {0x81, 0, 0},
                         key_cut[] = {1, 5, 'a'}, value_missing[] = {1, 1, 'a'};
    const struct slice cases[] = {slice_make(kind_unknown, sizeof(kind_unknown)),
                                  slice_make(tree_unknown, 3), slice_make(key_cut, sizeof(key_cut)),
                                  slice_make(value_missing, sizeof(value_missing))};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice rest = cases[i];
        struct wal_record record;
        bool bad = false;
        assert_false(wal_record_next(&rest, &record, &bad));
        assert_true(bad);
        assert_int_equal(rest.size, cases[i].size);
    }
}

static void random_frames_and_noise_are_told_apart(void **state)
{
    (void)state;
    struct random random;
    uint8_t bytes[512];
    struct wal_frame frame;
    random_init(&random, test_seed());
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)random_next(&random);
        struct wal_frame made = {.lsn = 1 + random_below(&random, UINT64_MAX / 2),
                                 .epoch = (uint32_t)random_below(&random, 1 << 20),
                                 .count = 1,
                                 .length = 1 + (uint32_t)random_below(&random, 400),
                                 .flags = (uint8_t)random_below(&random, 4)};
        made.durable_lsn = made.lsn - random_below(&random, made.lsn < 1000 ? made.lsn : 1000);
        assert_int_equal(decode(bytes, sizeof(bytes), made.lsn, 0, &frame), WAL_FRAME_BAD);
        wal_frame_seal(bytes, &made, wal_frame_seed(7));
        assert_int_equal(decode(bytes, sizeof(bytes), made.lsn, made.epoch, &frame),
                         WAL_FRAME_VALID);
        assert_true(frame.durable_lsn == made.durable_lsn && frame.length == made.length);
        size_t covered = WAL_FRAME_HEAD_BYTES + made.length;
        bytes[random_below(&random, covered)] ^= (uint8_t)(1 + random_below(&random, 255));
        assert_int_equal(decode(bytes, sizeof(bytes), made.lsn, 0, &frame), WAL_FRAME_BAD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_frame_decodes_to_what_it_was),
        cmocka_unit_test(a_frame_counts_only_at_its_position_epoch_and_store),
        cmocka_unit_test(every_flipped_bit_and_every_cut_is_noticed),
        cmocka_unit_test(unknown_flags_are_told_apart_from_damage),
        cmocka_unit_test(flags_that_contradict_the_payload_are_refused),
        cmocka_unit_test(a_far_durable_lsn_is_stated_as_a_weaker_one),
        cmocka_unit_test(records_come_back_as_they_were_appended),
        cmocka_unit_test(malformed_records_end_the_walk_as_bad),
        cmocka_unit_test(random_frames_and_noise_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
