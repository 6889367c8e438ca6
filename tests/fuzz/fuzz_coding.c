/* SPDX-License-Identifier: MIT */
/* Numbers and sized bytes (base/coding.h): what is taken off the front was written in the one way
 * that there is, and what is written is taken back; a refused value changes nothing. */
#include "fuzz/fuzz.h"

#include "base/coding.h"

bool fuzz_seed(size_t index, struct buffer *out)
{
    static const uint64_t values[] = {0, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
    if (index > 0)
        return false;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        buffer_append_varint(out, values[i]);
    buffer_append_sized(out, slice_from("some bytes"));
    return true;
}

static void check_varint(struct slice input)
{
    struct slice rest = input;
    uint64_t value = 77;
    uint8_t again[VARINT_BYTES_MAX];
    if (!slice_take_varint(&rest, &value)) {
        fuzz_require(value == 77);
        fuzz_require(rest.data == input.data && rest.size == input.size);
        return;
    }
    size_t used = input.size - rest.size;
    fuzz_require(used == varint_size(value));
    fuzz_require(varint_store(again, value) == used);
    fuzz_require(memcmp(again, input.data, used) == 0);
    fuzz_require(zigzag_encode(zigzag_decode(value)) == value);
}

static void check_sized(struct slice input)
{
    struct slice rest = input, value = {0};
    struct buffer again = {0};
    if (slice_take_sized(&rest, &value)) {
        buffer_append_sized(&again, value);
        fuzz_require(
            slice_equal(buffer_slice(&again), slice_make(input.data, input.size - rest.size)));
    } else {
        fuzz_require(rest.size == input.size);
    }
    buffer_release(&again);
}

/* By bytes, not by loads. */
static void check_fixed(struct slice input)
{
    uint64_t little = 0, big = 0, value;
    uint32_t value32;
    uint16_t value16;
    struct slice rest = input;
    for (size_t i = 0; i < 8 && i < input.size; i++) {
        little |= (uint64_t)input.data[i] << (8 * i);
        big = big << 8 | input.data[i];
    }
    fuzz_require(slice_take_le64(&rest, &value) == (input.size >= 8));
    fuzz_require(input.size < 8 || value == little);
    rest = input;
    fuzz_require(slice_take_be64(&rest, &value) == (input.size >= 8));
    fuzz_require(input.size < 8 || value == big);
    rest = input;
    fuzz_require(slice_take_le32(&rest, &value32) == (input.size >= 4));
    fuzz_require(input.size < 4 || value32 == (uint32_t)little);
    rest = input;
    fuzz_require(slice_take_be16(&rest, &value16) == (input.size >= 2));
    fuzz_require(input.size < 2 || value16 == (uint16_t)(input.data[0] << 8 | input.data[1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    for (size_t i = 0; i <= size && i < 64; i++) {
        check_varint(slice_skip(input, i));
        check_sized(slice_skip(input, i));
        check_fixed(slice_skip(input, i));
    }
    uint64_t value = fuzz_number(&input);
    struct buffer bytes = {0};
    buffer_append_varint(&bytes, value);
    struct slice rest = buffer_slice(&bytes);
    uint64_t back;
    fuzz_require(slice_take_varint(&rest, &back) && back == value && rest.size == 0);
    fuzz_require(zigzag_decode(zigzag_encode((int64_t)value)) == (int64_t)value);
    buffer_release(&bytes);
    return 0;
}
