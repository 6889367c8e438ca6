/* SPDX-License-Identifier: MIT */
/* Fields of bits in strings against a model that takes bit for bit. */
#include "types/string_bits.h"

#include "unit/types/string_fixture.h"

enum { STEPS = 1500, STEPS_AT_ONCE = 6 };

static struct random source;

static uint64_t below(uint64_t bound)
{
    return random_below(&source, bound);
}

/* ---- A model. -------------------------------------------------------------------------------- */

static uint64_t model_raw(const struct bit_field_step *step)
{
    uint64_t raw = 0;
    for (uint64_t i = step->position; i < step->position + step->bits; i++) {
        bool bit = i / 8 < model.size && model.data[i / 8] >> (7 - i % 8) & 1;
        raw = raw << 1 | bit;
    }
    return raw;
}

static void model_put(const struct bit_field_step *step, uint64_t raw)
{
    for (unsigned n = 0; n < step->bits; n++) {
        uint64_t i = step->position + n;
        uint8_t mask = (uint8_t)(0x80 >> i % 8);
        if (raw >> (step->bits - 1 - n) & 1)
            model.data[i / 8] |= mask;
        else
            model.data[i / 8] &= (uint8_t)~mask;
    }
}

typedef __int128 wide_t;

static void model_step(const struct bit_field_step *step, bool *failed, int64_t *result)
{
    wide_t size = (wide_t)1 << step->bits, raw = model_raw(step);
    wide_t low = step->is_signed ? -(size / 2) : 0, high = low + size - 1;
    wide_t before = raw > high ? raw - size : raw, after = before;
    if (step->action == BIT_FIELD_SET)
        after = step->is_signed ? (wide_t)step->value : (wide_t)(uint64_t)step->value;
    if (step->action == BIT_FIELD_INCREMENT)
        after = before + step->value;
    bool fits = after >= low && after <= high;
    *failed = !fits && step->overflow == BIT_FIELD_FAIL;
    if (!fits && step->overflow == BIT_FIELD_SATURATE)
        after = after < low ? low : high;
    while (!fits && step->overflow == BIT_FIELD_WRAP && after > high)
        after -= (after - high + size - 1) / size * size;
    while (!fits && step->overflow == BIT_FIELD_WRAP && after < low)
        after += (low - after + size - 1) / size * size;
    if (*failed)
        return;
    if (step->action != BIT_FIELD_GET)
        model_put(step, (uint64_t)after);
    *result = (int64_t)(step->action == BIT_FIELD_INCREMENT ? after : before);
}

static void model_grow(const struct bit_field_step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t last = (steps[i].position + steps[i].bits - 1) / 8;
        if (steps[i].action != BIT_FIELD_GET && last >= model.size)
            model_write(last, slice_make("", 1));
    }
}

/* ---- Random steps. --------------------------------------------------------------------------- */

static uint64_t any_position(void)
{
    static const uint64_t edges[] = {0, 32768 * 8, 65536 * 8, 98304 * 8};
    uint64_t position = edges[below(below(4) ? 1 : 4)] + below(300);
    return position >= 100 && below(2) ? position - 100 : position;
}

static int64_t any_value(void)
{
    static const int64_t values[] = {0,   1,    -1,   INT64_MAX, INT64_MIN, 127,
                                     128, -128, -129, 255,       256};
    if (below(2))
        return values[below(sizeof values / sizeof *values)];
    return (int64_t)random_next(&source) >> below(64);
}

static void make_step(struct bit_field_step *step)
{
    bool is_signed = below(2);
    *step = (struct bit_field_step){
        .action = (enum bit_field_action)below(3),
        .overflow = (enum bit_field_overflow)below(3),
        .is_signed = is_signed,
        .bits = 1 + (unsigned)below(is_signed ? 64 : 63),
        .position = any_position(),
        .value = any_value(),
    };
}

static void fields_are_what_a_model_says(void **state)
{
    (void)state;
    random_init(&source, test_seed());
    set_pattern(5);
    for (int i = 0; i < STEPS; i++) {
        struct bit_field_step steps[STEPS_AT_ONCE];
        struct object object;
        size_t count = 1 + below(STEPS_AT_ONCE);
        for (size_t n = 0; n < count; n++)
            make_step(&steps[n]);
        memory_store_write(&ms);
        assert_int_equal(string_bit_fields(&ms.access, key, find(&object), steps, count),
                         STATUS_OK);
        memory_store_end(&ms);
        model_grow(steps, count);
        for (size_t n = 0; n < count; n++) {
            bool failed;
            int64_t result = 0;
            model_step(&steps[n], &failed, &result);
            assert_int_equal(failed, steps[n].has_failed);
            assert_int_equal(result, failed ? 0 : steps[n].result);
        }
        expect_model_now();
        if (below(50) == 0)
            memory_store_work(&ms, true);
        if (below(100) == 0)
            set_pattern(1 + below(20));
    }
}

/* ---- What is written. ------------------------------------------------------------------------ */

static enum status set_fields(const struct object *old, struct bit_field_step *steps, size_t count)
{
    return string_bit_fields(&ms.access, key, old, steps, count);
}

static void nothing_is_written_when_nothing_changes(void **state)
{
    struct object object;
    struct bit_field_step steps[] = {
        {.action = BIT_FIELD_GET, .bits = 8, .position = 100000},
        {.action = BIT_FIELD_SET, .bits = 8, .position = 8, .value = 7},
        {.action = BIT_FIELD_INCREMENT, .bits = 4, .overflow = BIT_FIELD_FAIL, .value = 100},
    };
    (void)state;
    set_pattern(3);
    memory_store_write(&ms);
    assert_int_equal(set_fields(find(&object), steps, 3), STATUS_OK);
    assert_true(lsm_writer_is_empty(ms.access.writer));
    assert_int_equal(set_fields(find(&object), steps, 0), STATUS_OK);
    assert_int_equal(set_fields(NULL, steps, 1), STATUS_OK); /* a missing key is zeros */
    assert_int_equal(steps[0].result, 0);
    assert_true(lsm_writer_is_empty(ms.access.writer));
    steps[2].position = 1000; /* it fails, and yet the string reaches up to it */
    assert_int_equal(set_fields(&object, steps, 3), STATUS_OK);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "$ setbit key");
    model_write(125, slice_make("", 1));
    expect_model_now();
}

static void fields_of_a_large_string_cost_their_pieces(void **state)
{
    struct object object;
    struct bit_field_step steps[] = {
        {.action = BIT_FIELD_INCREMENT, .bits = 32, .position = 5000000, .value = 1},
        {.action = BIT_FIELD_INCREMENT, .bits = 32, .position = 5000032, .value = 1},
        {.action = BIT_FIELD_SET, .bits = 16, .position = 5 * 32768 * 8 - 8, .value = 0x1234},
    };
    (void)state;
    set_pattern(8 << 20);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    struct cost before = cost_now();
    memory_store_write(&ms);
    assert_int_equal(set_fields(find(&object), steps, 3), STATUS_OK);
    memory_store_end(&ms);
    struct cost cost = cost_since(before); /* three pieces */
    assert_in_range(cost.blocks, 1, 12);
    assert_in_range(cost.bytes_logged, 3 * STRING_PIECE_BYTES,
                    3 * (STRING_PIECE_BYTES + 100) + 200);
}

/* ---- What fails. ----------------------------------------------------------------------------- */

static enum status get_fields(const struct object *object)
{
    struct bit_field_step steps[] = {{.bits = 8, .position = 1000000},
                                     {.bits = 16, .position = 3 * 32768 * 8 - 8}};
    return set_fields(object, steps, 2);
}

static enum status change_fields(const struct object *object)
{
    static int64_t value;
    struct bit_field_step steps[] = {
        {.bits = 8, .position = 1000000, .action = BIT_FIELD_SET, .value = ++value % 100},
        {.bits = 16, .position = 3 * 32768 * 8 - 8, .action = BIT_FIELD_INCREMENT, .value = 258}};
    return set_fields(object, steps, 2);
}

static enum status grow(const struct object *object)
{
    uint64_t length;
    enum status status = string_length(object, &length);
    struct bit_field_step step = {
        .bits = 8, .position = 8 * length, .action = BIT_FIELD_SET, .value = 0};
    return status ? status : set_fields(object, &step, 1);
}

static const struct verb verbs[] = {
    {"get", get_fields, false}, {"change", change_fields, true}, {"grow", grow, true}};

static void verbs_that_cannot_read_have_written_nothing(void **state)
{
    (void)state;
    set_pattern(600000);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        memory_store_work(&ms, true);
        run_where_reads_fail(&verbs[i]);
        memory_store_work(&ms, true);
        assert_true(run_cold(&verbs[i]) > 0);
    }
}

static void what_there_is_no_room_for_is_refused(void **state)
{
    enum { MANY = 5000 };
    static struct bit_field_step steps[MANY];
    struct object object, damaged = {.type = OBJECT_STRING, .id = 5};
    uint64_t refused = 0;
    (void)state;
    for (size_t i = 0; i < MANY; i++) /* a piece each, and more of them than a list is sure of */
        steps[i] = (struct bit_field_step){
            .action = BIT_FIELD_SET, .bits = 8, .position = i * STRING_PIECE_BYTES * 8, .value = 1};
    set_pattern(100);
    memory_store_write(&ms);
    assert_int_equal(set_fields(&damaged, steps, 1), STATUS_CORRUPT);
    struct bit_field_step beyond = {
        .action = BIT_FIELD_SET, .bits = 8, .position = 8 * (uint64_t)STRING_BYTES_MAX - 7};
    assert_int_equal(set_fields(find(&object), &beyond, 1), STATUS_TOO_LARGE);
    static const uint64_t tries[] = {1, 2, 100, 1 + MANY, 2 + MANY, 3 + MANY};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        memory_fail_try(tries[i], true);
        enum status status = set_fields(find(&object), steps, MANY);
        memory_fail_try(0, false);
        assert_int_equal(status, STATUS_NO_MEMORY);
        assert_true(lsm_writer_is_empty(ms.access.writer));
        refused++;
    }
    memory_store_end(&ms);
}

#define FIELD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIELD_TEST(fields_are_what_a_model_says),
        FIELD_TEST(nothing_is_written_when_nothing_changes),
        FIELD_TEST(fields_of_a_large_string_cost_their_pieces),
        FIELD_TEST(verbs_that_cannot_read_have_written_nothing),
        FIELD_TEST(what_there_is_no_room_for_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_release(&model);
    return failed;
}
