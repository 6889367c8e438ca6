/* SPDX-License-Identifier: MIT */
/* Texts as numbers, as arguments of commands have them: integers are accepted exactly when printing
 * their value gives the text back; doubles when strtod takes all of it. */
#include "fuzz/fuzz.h"

#include "commands/command.h"

#include <inttypes.h>
#include <math.h>

static const char *const seeds[] = {
    "0",
    "-1",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "007",
    "-0",
    "+1",
    "1e308",
    "1.5",
    "-inf",
    "nan",
    "0x1p4",
    " 1",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(seeds, sizeof seeds / sizeof *seeds, index, out);
}

static bool prints_as(struct slice text, const char *printed)
{
    return slice_equal(text, slice_from(printed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    char copy[64], printed[64];
    int64_t integer;
    uint64_t number;
    double real = 0;
    bool is_short = size > 0 && size < sizeof copy;
    copy[0] = 0;
    if (is_short) {
        memcpy(copy, data, size);
        copy[size] = 0;
    }
    snprintf(printed, sizeof printed, "%" PRIu64, (uint64_t)strtoull(copy, NULL, 10));
    bool is_unsigned = is_short && copy[0] != '-' && prints_as(text, printed);
    fuzz_require(slice_parse_unsigned(text, &number) == is_unsigned);
    fuzz_require(!is_unsigned || number == strtoull(copy, NULL, 10));
    snprintf(printed, sizeof printed, "%" PRId64, (int64_t)strtoll(copy, NULL, 10));
    bool is_integer = is_short && prints_as(text, printed);
    fuzz_require(slice_parse_integer(text, &integer) == is_integer);
    fuzz_require(!is_integer || integer == strtoll(copy, NULL, 10));
    bool is_real = slice_parse_double(text, &real);
    fuzz_require(!is_real || !isnan(real));
    fuzz_require(!is_integer || is_real);
    if (is_real && is_short) {
        char *end;
        fuzz_require(strtod(copy, &end) == real && end == copy + size);
    }
    int shown = slice_shown_bytes(text, ERROR_ARGUMENT_BYTES_MAX);
    fuzz_require(shown >= 0 && (size_t)shown <= size && shown <= ERROR_ARGUMENT_BYTES_MAX);
    fuzz_require(shown == 0 || !memchr(data, 0, (size_t)shown));
    return 0;
}
