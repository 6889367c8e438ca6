/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "vfs/memory_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MODEL_BYTES = 200000 };

struct model {
    uint8_t bytes[MODEL_BYTES];
    uint64_t size;
};

static void assert_same(const struct memory_data *data, const struct model *model)
{
    static uint8_t got[MODEL_BYTES];
    assert_int_equal(data->size, model->size);
    assert_int_equal(memory_data_read(data, 0, got, sizeof got), model->size);
    assert_memory_equal(got, model->bytes, model->size);
}

static size_t chunks_there(const struct memory_data *data)
{
    size_t count = 0;
    for (size_t i = 0; i < data->chunk_count; i++)
        count += data->chunks[i] != NULL;
    return count;
}

static void change(struct random *random, struct memory_data *data, struct model *model)
{
    static uint8_t bytes[50000];
    uint64_t at = random_below(random, MODEL_BYTES - sizeof bytes);
    size_t size = random_below(random, sizeof bytes);
    unsigned kind = (unsigned)random_below(random, 4);
    if (kind == 0) {
        memory_data_resize(data, at);
        if (at < model->size)
            memset(model->bytes + at, 0, model->size - at);
        model->size = at;
        return;
    }
    memset(bytes, 0, size);
    for (size_t i = 0; kind == 1 && i < size; i++)
        bytes[i] = (uint8_t)random_below(random, 256);
    memory_data_write(data, at, kind == 3 ? NULL : bytes, size);
    memcpy(model->bytes + at, bytes, size);
    if (size && model->size < at + size)
        model->size = at + size;
}

static void it_reads_like_an_array(void **state)
{
    struct random random;
    struct memory_data data = {0}, copy = {0};
    struct model *model = memory_zeroed(1, sizeof *model);
    (void)state;
    random_init(&random, test_seed());
    for (unsigned step = 0; step < 200; step++) {
        change(&random, &data, model);
        assert_same(&data, model);
    }
    memory_data_copy(&data, &copy);
    assert_same(&copy, model);
    memory_data_release(&data);
    assert_same(&copy, model);
    memory_data_release(&copy);
    memory_free(model);
}

static void zeros_take_no_memory(void **state)
{
    static const uint8_t zeros[100000], one = 1;
    struct memory_data data = {0};
    (void)state;
    memory_data_write(&data, 0, zeros, sizeof zeros);
    memory_data_write(&data, 1 << 30, NULL, 5);
    memory_data_resize(&data, UINT64_C(1) << 31);
    assert_int_equal(chunks_there(&data), 0);
    memory_data_write(&data, 1 << 30, &one, 1);
    assert_int_equal(chunks_there(&data), 1);
    memory_data_release(&data);
}

static void reads_end_with_the_bytes(void **state)
{
    struct memory_data data = {0};
    uint8_t got[4] = {9, 9, 9, 9};
    (void)state;
    memory_data_write(&data, 0, (const uint8_t *)"abc", 3);
    assert_int_equal(memory_data_read(&data, 1, got, 4), 2);
    assert_memory_equal(got, "bc\t\t", 4);
    assert_int_equal(memory_data_read(&data, 3, got, 4), 0);
    assert_int_equal(memory_data_read(&data, 9, got, 4), 0);
    memory_data_release(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_reads_like_an_array),
        cmocka_unit_test(zeros_take_no_memory),
        cmocka_unit_test(reads_end_with_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
