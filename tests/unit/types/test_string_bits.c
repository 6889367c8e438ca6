/* SPDX-License-Identifier: MIT */
/* Bits of strings against a model of bytes, and what they cost. */
#include "types/string_bits.h"

#include "unit/types/string_fixture.h"

enum { STEPS = 1500, LARGE_BYTES = 8 << 20 };

static struct random source;

static uint64_t below(uint64_t bound)
{
    return random_below(&source, bound);
}

/* ---- Against a model. ------------------------------------------------------------------------ */

static bool model_bit(uint64_t position)
{
    return position / 8 < model.size && model.data[position / 8] >> (7 - position % 8) & 1;
}

static void model_set_bit(uint64_t position, bool bit)
{
    uint8_t byte = position / 8 < model.size ? model.data[position / 8] : 0;
    uint8_t mask = (uint8_t)(0x80 >> position % 8);
    byte = (uint8_t)(bit ? byte | mask : byte & ~mask);
    model_write(position / 8, slice_make(&byte, 1));
}

static bool set_bit_now(uint64_t position, bool bit)
{
    struct object object;
    bool was = false;
    memory_store_write(&ms);
    assert_int_equal(string_set_bit(&ms.access, key, find(&object), position, bit, &was),
                     STATUS_OK);
    memory_store_end(&ms);
    return was;
}

static uint64_t any_position(void)
{
    static const uint64_t edges[] = {0, 32768 * 8, 65536 * 8, 98304 * 8};
    if (below(3))
        return edges[below(4)] + below(20);
    return below(130000 * 8);
}

static void set_a_bit(void)
{
    uint64_t position = any_position();
    bool bit = below(2), was = model_bit(position);
    assert_int_equal(set_bit_now(position, bit), was);
    model_set_bit(position, bit);
}

/* Long runs of equal bits, so that a search goes far. */
static void write_a_run(void)
{
    static struct buffer run;
    size_t size = 1 + below(60000);
    buffer_clear(&run);
    buffer_reserve(&run, size);
    memset(run.data, below(2) ? 0xff : 0, size);
    run.size = size;
    write_now(below(100000), buffer_slice(&run));
}

static void read_bits(void)
{
    struct object object;
    bool bit, wanted = below(2);
    uint64_t count, expected = 0, first = below(8 * model.size), position = any_position();
    uint64_t last = first + below(8 * model.size - first), found;
    if (below(3) == 0 && first + 200 < 8 * model.size)
        last = first + below(200);
    uint64_t where = last + 1;
    for (uint64_t i = last + 1; i-- > first;) {
        expected += model_bit(i);
        if (model_bit(i) == wanted)
            where = i;
    }
    memory_store_read(&ms);
    assert_non_null(find(&object));
    assert_int_equal(string_get_bit(&ms.access, &object, position, &bit), STATUS_OK);
    assert_int_equal(bit, model_bit(position));
    assert_int_equal(string_count_bits(&ms.access, &object, first, last, &count), STATUS_OK);
    assert_int_equal(count, expected);
    enum status status = string_find_bit(&ms.access, &object, wanted, first, last, &found);
    assert_int_equal(status, where > last ? STATUS_NOT_FOUND : STATUS_OK);
    if (!status)
        assert_int_equal(found, where);
    memory_store_end(&ms);
}

static void bits_are_what_a_model_says(void **state)
{
    (void)state;
    random_init(&source, test_seed());
    set_pattern(10);
    for (int i = 0; i < STEPS; i++) {
        switch (below(12)) {
        case 0:
            set_pattern(1 + below(below(2) ? 100 : 100000));
            break;
        case 1:
            memory_store_work(&ms, true);
            break;
        case 2:
            write_a_run();
            break;
        case 3:
        case 4:
        case 5:
        case 6:
            set_a_bit();
            break;
        default:
            read_bits();
        }
        expect_model_now();
    }
}

static void a_bit_that_is_so_already_is_not_written(void **state)
{
    struct object object;
    bool was;
    (void)state;
    set_pattern(3);
    memory_store_write(&ms);
    assert_int_equal(string_set_bit(&ms.access, key, find(&object), 14, true, &was), STATUS_OK);
    assert_true(was);
    assert_true(lsm_writer_is_empty(ms.access.writer));
    assert_int_equal(string_set_bit(&ms.access, key, find(&object), 24, false, &was), STATUS_OK);
    assert_false(was); /* it was not there: the string grows */
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "$ setbit key");
    model_set_bit(24, false);
    expect_model_now();
}

/* ---- Combining. ------------------------------------------------------------------------------ */

enum { SOURCES = 4 };

static const char *const source_names[SOURCES] = {"s0", "s1", "s2", "s3"};
static struct buffer source_bytes[SOURCES];

static uint8_t source_byte(int source_index, uint64_t at)
{
    const struct buffer *bytes = &source_bytes[source_index];
    return at < bytes->size ? bytes->data[at] : 0;
}

/* The first `count` sources have these sizes and holes; 0: missing. */
static void make_sources(const size_t *sizes)
{
    memory_store_write(&ms);
    for (int i = 0; i < SOURCES; i++) {
        struct object old;
        struct slice name = slice_from(source_names[i]);
        struct object *found = keyspace_find(&ms.access, name, &old) ? NULL : &old;
        buffer_clear(&source_bytes[i]);
        if (found)
            keyspace_remove(&ms.access, name, found);
        if (sizes[i] == 0)
            continue;
        fill_pattern(&source_bytes[i], sizes[i]);
        source_bytes[i].data[0] = (uint8_t)(0x5a * i);
        if (sizes[i] > 150000) { /* a hole in the middle */
            memset(source_bytes[i].data + 40000, 0, sizes[i] - 40100);
            assert_int_equal(string_write(&ms.access, name, NULL, sizes[i] - 100,
                                          slice_make(source_bytes[i].data + sizes[i] - 100, 100),
                                          "set"),
                             STATUS_OK);
            assert_int_equal(keyspace_find(&ms.access, name, &old), STATUS_OK);
            assert_int_equal(string_write(&ms.access, name, &old, 0,
                                          slice_make(source_bytes[i].data, 40000), "set"),
                             STATUS_OK);
            continue;
        }
        string_set(&ms.access, name, buffer_slice(&source_bytes[i]), NULL,
                   &(struct string_set_options){0});
    }
    memory_store_end(&ms);
}

static void find_sources(struct object *objects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        objects[i] = (struct object){0};
        (void)keyspace_find(&ms.access, slice_from(source_names[i]), &objects[i]);
    }
}

static uint8_t combined_byte(enum bit_operation operation, size_t count, uint64_t at)
{
    uint8_t byte = source_byte(0, at);
    if (operation == BIT_NOT)
        return (uint8_t)~byte;
    for (size_t i = 1; i < count; i++)
        byte = operation == BIT_AND  ? byte & source_byte((int)i, at)
               : operation == BIT_OR ? byte | source_byte((int)i, at)
                                     : byte ^ source_byte((int)i, at);
    return byte;
}

static void check_combination(enum bit_operation operation, size_t count)
{
    struct object objects[SOURCES];
    static struct buffer result;
    size_t longest = 0;
    for (size_t i = 0; i < count; i++)
        if (source_bytes[i].size > longest)
            longest = source_bytes[i].size;
    memory_store_read(&ms);
    find_sources(objects, count);
    assert_int_equal(string_combine(&ms.access, operation, objects, count, &result), STATUS_OK);
    assert_int_equal(result.size, longest);
    for (size_t i = 0; i < longest; i++)
        if (result.data[i] != combined_byte(operation, count, i))
            fail_msg("operation %d of %zu, byte %zu", operation, count, i);
    memory_store_end(&ms);
    buffer_release(&result);
}

static void combinations_are_made_byte_by_byte(void **state)
{
    static const size_t all_sizes[][SOURCES] = {{0, 0, 0, 0},
                                                {3, 5, 0, 1},
                                                {100000, 7, 70000, 0},
                                                {0, 200000, 300000, 5},
                                                {400000, 0, 1, 66000}};
    (void)state;
    for (size_t i = 0; i < sizeof all_sizes / sizeof *all_sizes; i++) {
        make_sources(all_sizes[i]);
        for (size_t count = 1; count <= SOURCES; count++)
            for (enum bit_operation operation = BIT_AND; operation <= BIT_XOR; operation++)
                check_combination(operation, count);
        check_combination(BIT_NOT, 1);
        memory_store_work(&ms, true);
    }
    for (int i = 0; i < SOURCES; i++)
        buffer_release(&source_bytes[i]);
}

/* ---- What it costs. -------------------------------------------------------------------------- */

static enum status get_a_bit(const struct object *object)
{
    bool bit;
    return string_get_bit(&ms.access, object, 3000000, &bit);
}

static enum status turn_a_bit(const struct object *object)
{
    bool bit;
    enum status status = string_get_bit(&ms.access, object, 3000001, &bit);
    return status ? status : string_set_bit(&ms.access, key, object, 3000001, !bit, &bit);
}

static enum status count_two_pieces(const struct object *object)
{
    uint64_t count;
    return string_count_bits(&ms.access, object, 262143, 262144, &count);
}

static enum status count_all(const struct object *object)
{
    uint64_t count, length;
    enum status status = string_length(object, &length);
    return status ? status : string_count_bits(&ms.access, object, 0, 8 * length - 1, &count);
}

static enum status find_the_first_zero(const struct object *object)
{
    uint64_t position, length;
    enum status status = string_length(object, &length);
    return status ? status
                  : string_find_bit(&ms.access, object, false, 0, 8 * length - 1, &position);
}

static enum status invert(const struct object *object)
{
    struct buffer result = {0};
    enum status status = string_combine(&ms.access, BIT_NOT, object, 1, &result);
    buffer_release(&result);
    return status;
}

static const struct verb verbs[] = {
    {"get", get_a_bit, false},
    {"set", turn_a_bit, true},
    {"count two", count_two_pieces, false},
    {"count all", count_all, false},
    {"find", find_the_first_zero, false},
    {"invert", invert, false},
};

static void a_bit_of_a_large_string_costs_its_piece(void **state)
{
    static const struct {
        enum status (*run)(const struct object *object);
        bool writes;
        uint64_t pieces;
    } costs[] = {{get_a_bit, false, 1},
                 {turn_a_bit, true, 1},
                 {count_two_pieces, false, 2},
                 {find_the_first_zero, false, 1}};
    (void)state;
    set_pattern(LARGE_BYTES);
    memory_store_work(&ms, true);
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
        struct object object;
        memory_store_reopen(&ms);
        struct cost before = cost_now();
        if (costs[i].writes)
            memory_store_write(&ms);
        else
            memory_store_read(&ms);
        assert_int_equal(costs[i].run(find(&object)), STATUS_OK);
        memory_store_end(&ms);
        struct cost cost = cost_since(before);
        if (cost.blocks > 4 * (costs[i].pieces + 1) ||
            cost.bytes_logged > (costs[i].writes ? STRING_PIECE_BYTES + 300u : 0u))
            fail_msg("%zu: %llu blocks, %llu bytes", i, (unsigned long long)cost.blocks,
                     (unsigned long long)cost.bytes_logged);
    }
}

/* All of a string of 512 MiB, of which four pieces are stored. */
static void what_is_not_stored_costs_nothing(void **state)
{
    struct object object;
    uint64_t count, position, last = 8 * (uint64_t)STRING_BYTES_MAX - 1;
    (void)state;
    set_pattern(0);
    (void)set_bit_now(last, true);
    (void)set_bit_now(last / 2, true);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    struct cost before = cost_now();
    memory_store_read(&ms);
    assert_int_equal(string_count_bits(&ms.access, find(&object), 0, last, &count), STATUS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(string_find_bit(&ms.access, &object, true, 0, last, &position), STATUS_OK);
    assert_int_equal(position, last / 2);
    assert_int_equal(string_find_bit(&ms.access, &object, true, last / 2 + 1, last, &position),
                     STATUS_OK);
    assert_int_equal(position, last);
    assert_int_equal(string_find_bit(&ms.access, &object, false, 77, last, &position), STATUS_OK);
    assert_int_equal(position, 77);
    memory_store_end(&ms);
    assert_in_range(cost_since(before).blocks, 1, 60);
}

/* ---- What fails. ----------------------------------------------------------------------------- */

static void verbs_that_cannot_read_have_written_nothing(void **state)
{
    (void)state;
    set_pattern(600000);
    memset(model.data, 0xff, 500000);
    write_now(0, slice_make(model.data, 500000));
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        memory_store_work(&ms, true);
        run_where_reads_fail(&verbs[i]);
        memory_store_work(&ms, true);
        assert_true(run_cold(&verbs[i]) > 0);
    }
}

static void damaged_headers_are_said(void **state)
{
    uint64_t number;
    bool bit;
    struct buffer result = {0};
    struct object object = {.type = OBJECT_STRING, .id = 5};
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(string_get_bit(&ms.access, &object, 0, &bit), STATUS_CORRUPT);
    assert_int_equal(string_set_bit(&ms.access, key, &object, 0, true, &bit), STATUS_CORRUPT);
    assert_int_equal(string_count_bits(&ms.access, &object, 0, 1, &number), STATUS_CORRUPT);
    assert_int_equal(string_find_bit(&ms.access, &object, true, 0, 1, &number), STATUS_CORRUPT);
    assert_int_equal(string_combine(&ms.access, BIT_OR, &object, 1, &result), STATUS_CORRUPT);
    memory_store_end(&ms);
}

static void a_combination_without_memory_is_refused(void **state)
{
    struct object object;
    struct buffer result = {0};
    (void)state;
    set_pattern(100000);
    memory_store_read(&ms);
    find(&object);
    memory_fail_try(1, true);
    assert_int_equal(string_combine(&ms.access, BIT_OR, &object, 1, &result), STATUS_NO_MEMORY);
    memory_fail_try(0, false);
    memory_store_end(&ms);
}

#define BIT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BIT_TEST(bits_are_what_a_model_says),
        BIT_TEST(a_bit_that_is_so_already_is_not_written),
        BIT_TEST(combinations_are_made_byte_by_byte),
        BIT_TEST(a_bit_of_a_large_string_costs_its_piece),
        BIT_TEST(what_is_not_stored_costs_nothing),
        BIT_TEST(verbs_that_cannot_read_have_written_nothing),
        BIT_TEST(damaged_headers_are_said),
        BIT_TEST(a_combination_without_memory_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_release(&model);
    return failed;
}
