/* SPDX-License-Identifier: MIT */
/* Parts of strings, read and written: right, and at the cost of the pieces that they lie in. */
#include "unit/types/string_fixture.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 1500, LARGE_BYTES = 8 << 20 };

static struct random source;

static uint64_t below(uint64_t bound)
{
    return random_below(&source, bound);
}

/* ---- Against a model. ------------------------------------------------------------------------ */

/* Near where something begins or ends, mostly. */
static uint64_t any_offset(void)
{
    static const uint64_t edges[] = {0, 32768, 65536, 98304, 131072};
    uint64_t offset = edges[below(5)] + below(5);
    if (below(3) == 0)
        return below(400000);
    return below(2) && offset >= 2 ? offset - 2 : offset;
}

static uint64_t any_size(void)
{
    static const uint64_t bounds[] = {3, 10, 100, 33000, 70000, 140000};
    return 1 + below(bounds[below(6)]);
}

static bool compare_with_model(void *context, struct slice bytes, uint64_t zeros)
{
    uint64_t *at = context;
    assert_true(bytes.size + zeros > 0);
    assert_true(bytes.size == 0 || memcmp(model.data + *at, bytes.data, bytes.size) == 0);
    *at += bytes.size;
    for (uint64_t i = 0; i < zeros; i++)
        assert_int_equal(model.data[*at + i], 0);
    *at += zeros;
    return true;
}

static void read_a_part(void)
{
    struct object object;
    struct slice bytes;
    uint64_t offset = below(model.size + 1), size = any_size();
    if (below(4) == 0)
        size = model.size;
    if (size > model.size - offset)
        size = model.size - offset;
    memory_store_read(&ms);
    assert_non_null(find(&object));
    assert_int_equal(string_read(&ms.access, &object, offset, size, &bytes), STATUS_OK);
    assert_true(slice_equal(bytes, slice_make(model.data + offset, size)));
    uint64_t at = offset;
    assert_int_equal(string_visit(&ms.access, &object, offset, size,
                                  &(struct string_visitor){compare_with_model, &at}),
                     STATUS_OK);
    assert_int_equal(at, offset + size);
    memory_store_end(&ms);
}

static void write_a_part(bool appends)
{
    static struct buffer bytes;
    fill_pattern(&bytes, any_size());
    bytes.data[0] = (uint8_t)below(256);
    write_now(appends ? model.size : any_offset(), buffer_slice(&bytes));
}

static void one_step(void)
{
    switch (below(20)) {
    case 0:
        set_pattern(below(3) ? 1 + below(70000) : 1 + below(200));
        break;
    case 1:
        memory_store_work(&ms, true);
        break;
    case 2:
        memory_store_crash(&ms, VFS_KEEP_ALL, 0);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        write_a_part(true);
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        write_a_part(false);
        break;
    default:
        read_a_part();
    }
}

static void parts_are_what_a_model_says(void **state)
{
    struct lsm_report report;
    (void)state;
    random_init(&source, test_seed());
    set_pattern(10);
    for (int i = 0; i < STEPS; i++) {
        one_step();
        expect_model_now();
        if (i % 100 == 0)
            assert_int_equal(store_check(ms.store, &report), STATUS_OK);
    }
}

/* ---- Where it lies. -------------------------------------------------------------------------- */

static size_t pieces_now(void)
{
    struct buffer dump = {0};
    size_t lines = 0;
    memory_store_dump(&ms, TREE_PARTS, &dump);
    for (size_t i = 0; i < dump.size; i++)
        lines += dump.data[i] == '\n';
    buffer_release(&dump);
    return lines;
}

static uint64_t id_now(void)
{
    struct object object;
    memory_store_read(&ms);
    assert_non_null(find(&object));
    memory_store_end(&ms);
    return object.id;
}

static void a_value_moves_to_pieces_beyond_64_kib_and_stays_there(void **state)
{
    (void)state;
    set_pattern(60000);
    write_now(60000, slice_make(model.data, 5536));
    assert_int_equal(id_now(), 0);
    assert_int_equal(pieces_now(), 0);
    write_now(65536, slice_from("!"));
    uint64_t id = id_now();
    assert_int_not_equal(id, 0);
    assert_int_equal(pieces_now(), 3);
    expect_model_now();
    write_now(70000, slice_from("behind the end"));
    write_now(5, slice_from("at the start"));
    assert_int_equal(id_now(), id); /* it grows under its id */
    assert_int_equal(pieces_now(), 3);
    expect_model_now();
    set_pattern(70000); /* another value never lies under it */
    assert_int_not_equal(id_now(), id);
    set_pattern(10);
    assert_int_equal(id_now(), 0);
    assert_int_equal(pieces_now(), 0);
}

static void a_missing_key_becomes_zeros_and_the_bytes(void **state)
{
    struct slice facts_of = slice_from("abc");
    (void)state;
    buffer_clear(&model);
    write_now(4, facts_of);
    assert_string_equal(memory_store_facts(&ms), "$ setrange key");
    assert_int_equal(id_now(), 0);
    expect_model_now();
    memory_store_write(&ms);
    struct object object;
    keyspace_remove(&ms.access, key, find(&object));
    memory_store_end(&ms);
    buffer_clear(&model);
    write_now(200000, facts_of);
    assert_int_equal(pieces_now(), 1); /* what lies before is not stored */
    expect_model_now();
}

static void the_time_stays_when_a_part_changes_or_the_value_is_replaced(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    string_set(&ms.access, key, slice_from("1"), NULL,
               &(struct string_set_options){.expire_ms = 2000000});
    assert_int_equal(string_write(&ms.access, key, find(&object), 1, slice_from("0"), "append"),
                     STATUS_OK);
    string_replace(&ms.access, key, slice_from("11"), find(&object), "incrby");
    assert_int_equal(find(&object)->expire_ms, 2000000);
    assert_int_equal(
        string_write(&ms.access, key, find(&object), 70000, slice_from("far"), "append"),
        STATUS_OK);
    assert_int_equal(find(&object)->expire_ms, 2000000);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms),
                        "$ set key, g expire key, $ append key, $ incrby key, $ append key");
    memory_store_write(&ms);
    keyspace_remove(&ms.access, key, find(&object));
    string_replace(&ms.access, key, slice_from("1"), NULL, "incrby");
    assert_int_equal(find(&object)->expire_ms, 0);
    memory_store_end(&ms);
}

/* ---- What it costs. -------------------------------------------------------------------------- */

/* In tables, and nothing in memory. A block holds one piece, beside a table's index and filter. */
static void open_large(void)
{
    set_pattern(LARGE_BYTES);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
}

static void an_append_to_a_small_string_writes_one_header(void **state)
{
    (void)state;
    set_pattern(100);
    struct cost before = cost_now();
    write_now(100, slice_from("0123456789"));
    struct cost cost = cost_since(before);
    assert_int_equal(cost.blocks, 0);
    assert_in_range(cost.bytes_logged, 110, 110 + 100);
    assert_int_equal(pieces_now(), 0);
}

static void a_change_of_a_large_string_costs_the_pieces_that_it_touches(void **state)
{
    static const struct {
        const char *what;
        uint64_t offset, size, pieces_read, pieces_written;
    } changes[] = {
        {"a byte", 5000000, 1, 1, 1},
        {"two bytes of two pieces", 32767, 2, 2, 2},
        {"a whole piece", 65536, 32768, 0, 1},
        {"a piece and a half", 131072, 49152, 1, 2},
        {"five pieces, all but the ends whole", 200000, 4 * 32768, 2, 5},
        {"an append", LARGE_BYTES, 10, 0, 1},
        {"another one", LARGE_BYTES + 10, 10, 1, 1},
        {"far behind the end", 500 << 20, 10, 0, 1},
        {"before it", (500 << 20) - 5, 5, 1, 2},
        {"at the very end", STRING_BYTES_MAX - 1, 1, 0, 1},
    };
    struct buffer bytes = {0};
    (void)state;
    open_large();
    fill_pattern(&bytes, 200000);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct object object;
        struct cost before = cost_now();
        memory_store_write(&ms);
        if (string_write(&ms.access, key, find(&object), changes[i].offset,
                         slice_make(bytes.data, changes[i].size), "setrange"))
            fail_msg("%s", changes[i].what);
        memory_store_end(&ms);
        struct cost cost = cost_since(before);
        if (cost.blocks > 3 * (changes[i].pieces_read + 1))
            fail_msg("%s: %llu blocks", changes[i].what, (unsigned long long)cost.blocks);
        if (cost.bytes_logged > changes[i].pieces_written * (STRING_PIECE_BYTES + 100) + 200)
            fail_msg("%s: %llu bytes", changes[i].what, (unsigned long long)cost.bytes_logged);
        memory_store_work(&ms, true);
    }
    buffer_release(&bytes);
}

static void a_part_of_a_large_string_costs_the_pieces_that_it_lies_in(void **state)
{
    static const struct {
        uint64_t offset, size, pieces;
    } parts[] = {{0, 1, 1},
                 {32767, 2, 2},
                 {5000000, 100, 1},
                 {100000, 200000, 7},
                 {LARGE_BYTES - 1, 1, 1},
                 {0, 10 * 32768, 10},
                 {3, 100 * 32768, 101}};
    (void)state;
    open_large();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct object object;
        struct slice bytes;
        struct cost before = cost_now();
        memory_store_read(&ms);
        assert_int_equal(
            string_read(&ms.access, find(&object), parts[i].offset, parts[i].size, &bytes),
            STATUS_OK);
        assert_true(slice_equal(bytes, slice_make(model.data + parts[i].offset, parts[i].size)));
        memory_store_end(&ms);
        struct cost cost = cost_since(before);
        if (cost.blocks > 3 * (parts[i].pieces + 1))
            fail_msg("%llu bytes: %llu blocks", (unsigned long long)parts[i].size,
                     (unsigned long long)cost.blocks);
    }
}

static bool stop_at_once(void *context, struct slice bytes, uint64_t zeros)
{
    (void)bytes;
    (void)zeros;
    ++*(int *)context;
    return false;
}

static void whoever_has_seen_enough_reads_no_further(void **state)
{
    struct object object;
    int calls = 0;
    const struct string_visitor visitor = {stop_at_once, &calls};
    (void)state;
    open_large();
    struct cost before = cost_now();
    memory_store_read(&ms);
    assert_int_equal(string_visit(&ms.access, find(&object), 0, LARGE_BYTES, &visitor), STATUS_OK);
    assert_int_equal(calls, 1);
    assert_int_equal(string_visit(&ms.access, &object, 0, 70000, &visitor), STATUS_OK);
    assert_int_equal(calls, 2);
    assert_int_equal(string_visit(&ms.access, &object, 0, 0, &visitor), STATUS_OK);
    assert_int_equal(calls, 2);
    memory_store_end(&ms);
    assert_in_range(cost_since(before).blocks, 1, 20);
    write_now(LARGE_BYTES + (10 << 20), slice_from("x")); /* behind zeros that are not stored */
    memory_store_read(&ms);
    assert_int_equal(string_visit(&ms.access, find(&object), LARGE_BYTES, 10 << 20, &visitor),
                     STATUS_OK);
    assert_int_equal(calls, 3);
    memory_store_end(&ms);
}

/* ---- What fails. ----------------------------------------------------------------------------- */

static struct slice some_bytes;

static enum status read_a_few_pieces(const struct object *object)
{
    struct slice bytes;
    return string_read(&ms.access, object, 30000, 100000, &bytes);
}

static enum status read_all_pieces(const struct object *object)
{
    struct slice bytes;
    return string_value(&ms.access, object, &bytes);
}

static enum status read_a_byte(const struct object *object)
{
    struct slice bytes;
    return string_read(&ms.access, object, 100000, 1, &bytes);
}

static enum status append_bytes(const struct object *object)
{
    uint64_t length;
    enum status status = string_length(object, &length);
    return status ? status : string_write(&ms.access, key, object, length, some_bytes, "append");
}

static enum status write_over_three_pieces(const struct object *object)
{
    return string_write(&ms.access, key, object, 40000, some_bytes, "setrange");
}

static enum status set_many(const struct object *object)
{
    const struct slice pairs[] = {
        slice_from("another"), slice_from("1"), key, slice_from("2"), key, some_bytes};
    bool written;
    (void)object;
    return string_set_many(&ms.access, pairs, 3, false, &written);
}

static const struct verb verbs[] = {
    {"a few pieces", read_a_few_pieces, false},
    {"all pieces", read_all_pieces, false},
    {"a byte", read_a_byte, false},
    {"an append", append_bytes, true},
    {"three pieces", write_over_three_pieces, true},
    {"many at once", set_many, true},
};

static void verbs_that_cannot_read_have_written_nothing(void **state)
{
    struct buffer bytes = {0};
    (void)state;
    fill_pattern(&bytes, 70000);
    some_bytes = buffer_slice(&bytes);
    set_pattern(600000);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        memory_store_work(&ms, true);
        run_where_reads_fail(&verbs[i]);
        memory_store_work(&ms, true);
        bool needs_headers_alone = verbs[i].run == set_many; /* which the start has read */
        assert_true(run_cold(&verbs[i]) > 0 || needs_headers_alone);
    }
    buffer_release(&bytes);
}

/* They lie in other blocks than what the start reads. */
static void many_are_not_set_where_one_cannot_be_looked_up(void **state)
{
    enum { KEYS = 300 };
    static char names[KEYS][8];
    struct slice pairs[2 * KEYS];
    bool written = false;
    (void)state;
    fill_pattern(&model, 300);
    memory_store_write(&ms);
    for (int i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof names[i], "k%d", i);
        pairs[2 * i] = slice_from(names[i]);
        pairs[2 * i + 1] = buffer_slice(&model);
        string_set(&ms.access, pairs[2 * i], pairs[2 * i + 1], NULL,
                   &(struct string_set_options){0});
    }
    memory_store_end(&ms);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    vfs_fault_fail(ms.vfs, 1u << VFS_CALL_READ, 1, STATUS_IO, true);
    memory_store_write(&ms);
    assert_int_equal(string_set_many(&ms.access, pairs, KEYS, false, &written), STATUS_IO);
    assert_false(written);
    assert_true(lsm_writer_is_empty(ms.access.writer));
    memory_store_end(&ms);
    vfs_fault_fail(ms.vfs, 0, 0, STATUS_OK, false);
}

static void what_there_is_no_room_for_is_refused_before_the_first_write(void **state)
{
    struct object object;
    (void)state;
    set_pattern(100000);
    memory_store_write(&ms);
    find(&object);
    memory_fail_try(1, true);
    struct slice bytes;
    assert_int_equal(string_read(&ms.access, &object, 0, 100000, &bytes), STATUS_NO_MEMORY);
    memory_fail_try(0, false);
    memory_store_end(&ms);
    for (int i = 0; i < 2; i++) {
        enum status status = STATUS_OK;
        set_pattern(i ? 60000 : 100000); /* in the header, in pieces */
        vfs_fault_set_free_bytes(ms.vfs, 0);
        while (status == STATUS_OK) { /* until the log's prepared segments are full */
            lsm_lock(store_engine(ms.store));
            assert_int_equal(access_begin_write(&ms.access, 0, false, 100, false), STATUS_OK);
            status = string_write(&ms.access, key, find(&object), 5, slice_from("x"), "setrange");
            assert_true(status == STATUS_OK || lsm_writer_is_empty(ms.access.writer));
            memory_store_end(&ms);
        }
        assert_int_equal(status, STATUS_NO_SPACE);
        vfs_fault_set_free_bytes(ms.vfs, UINT64_MAX);
    }
}

static void plant_piece(uint64_t id, uint32_t index, size_t key_bytes, struct slice piece)
{
    uint8_t at[OBJECT_PREFIX_BYTES + 6] = {0};
    object_prefix_store(at, ms.access.generation, id);
    at[OBJECT_PREFIX_BYTES] = 's';
    be32_store(at + OBJECT_PREFIX_BYTES + 1, index);
    access_put(&ms.access, TREE_PARTS, slice_make(at, key_bytes), piece);
}

static void damaged_pieces_are_met_by_every_way_of_reading(void **state)
{
    struct object object;
    struct slice bytes;
    struct buffer long_piece = {0};
    uint8_t body[] = {0};
    (void)state;
    fill_pattern(&long_piece, STRING_PIECE_BYTES + 1);
    set_pattern(600000);
    ms.is_damaged = true;
    memory_store_write(&ms);
    find(&object);
    plant_piece(object.id, 9, OBJECT_PREFIX_BYTES + 5, buffer_slice(&long_piece));
    assert_int_equal(string_read(&ms.access, &object, 9 * 32768, 1, &bytes), STATUS_CORRUPT);
    assert_int_equal(string_value(&ms.access, &object, &bytes), STATUS_CORRUPT);
    assert_int_equal(string_write(&ms.access, key, &object, 9 * 32768, slice_from("x"), "setrange"),
                     STATUS_CORRUPT);
    memory_store_end(&ms);
    set_pattern(600000);
    memory_store_write(&ms);
    find(&object);
    plant_piece(object.id, 3, OBJECT_PREFIX_BYTES + 6, slice_from("x"));
    assert_int_equal(string_value(&ms.access, &object, &bytes), STATUS_CORRUPT);
    object.body = slice_make(body, 0);
    assert_int_equal(string_value(&ms.access, &object, &bytes), STATUS_CORRUPT);
    assert_int_equal(string_read(&ms.access, &object, 0, 0, &bytes), STATUS_CORRUPT);
    assert_int_equal(string_visit(&ms.access, &object, 0, 0, NULL), STATUS_CORRUPT);
    assert_int_equal(string_write(&ms.access, key, &object, 0, slice_from("x"), "setrange"),
                     STATUS_CORRUPT);
    memory_store_end(&ms);
    buffer_release(&long_piece);
}

#define PART_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PART_TEST(parts_are_what_a_model_says),
        PART_TEST(a_value_moves_to_pieces_beyond_64_kib_and_stays_there),
        PART_TEST(a_missing_key_becomes_zeros_and_the_bytes),
        PART_TEST(the_time_stays_when_a_part_changes_or_the_value_is_replaced),
        PART_TEST(an_append_to_a_small_string_writes_one_header),
        PART_TEST(a_change_of_a_large_string_costs_the_pieces_that_it_touches),
        PART_TEST(a_part_of_a_large_string_costs_the_pieces_that_it_lies_in),
        PART_TEST(whoever_has_seen_enough_reads_no_further),
        PART_TEST(verbs_that_cannot_read_have_written_nothing),
        PART_TEST(many_are_not_set_where_one_cannot_be_looked_up),
        PART_TEST(what_there_is_no_room_for_is_refused_before_the_first_write),
        PART_TEST(damaged_pieces_are_met_by_every_way_of_reading),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_release(&model);
    return failed;
}
