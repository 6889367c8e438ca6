/* SPDX-License-Identifier: MIT */
/* Patterns of KEYS and SCAN MATCH against a matcher that tries everything. The input is a flag, a
 * sized pattern, and the rest is the text. */
#include "fuzz/fuzz.h"

#include "commands/glob.h"

#include <ctype.h>

enum { PATTERN_BYTES_MAX = 64, TEXT_BYTES_MAX = 64 };

static const char *const seeds[] = {
    "0\1*anything",     "1\14user:[a-c]?*user:b7",
    "0\5h[^e]hallo",    "0\6\\*\\x*xa*x",
    "1\7*a*B*c*xaxbxc", "0\5[a-a[",
    "0\6[\\]-z]]",      "1\4[^Z-axyz",
    "0\11[z-a]?\\",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(seeds, sizeof seeds / sizeof *seeds, index, out);
}

static int folded(uint8_t byte, bool nocase)
{
    return nocase ? tolower(byte) : byte;
}

/* How many bytes the first element has; *matches: whether `byte` is one of it. As Redis reads it: a
 * class ends at its first ']' that is not escaped, or at the end of the pattern. */
static size_t element(struct slice pattern, int byte, bool nocase, bool *matches)
{
    const uint8_t *p = pattern.data;
    size_t i = 1;
    if (p[0] == '?') {
        *matches = true;
        return 1;
    }
    if (p[0] == '\\' && pattern.size > 1) {
        *matches = folded(p[1], nocase) == byte;
        return 2;
    }
    if (p[0] != '[') {
        *matches = folded(p[0], nocase) == byte;
        return 1;
    }
    bool negated = i < pattern.size && p[i] == '^', found = false;
    i += negated;
    while (i < pattern.size && p[i] != ']') {
        int low, high;
        if (p[i] == '\\' && i + 1 < pattern.size) {
            low = high = folded(p[i + 1], nocase);
            i += 2;
        } else if (i + 2 < pattern.size && p[i + 1] == '-') {
            low = folded(p[i], nocase);
            high = folded(p[i + 2], nocase);
            i += 3;
        } else {
            low = high = folded(p[i], nocase);
            i++;
        }
        found = found || (low <= high ? low <= byte && byte <= high : high <= byte && byte <= low);
    }
    *matches = found != negated;
    return i < pattern.size ? i + 1 : i;
}

/* reached[t]: the pattern up to here can match the first t bytes of the text. */
static bool model_matches(struct slice pattern, struct slice text, bool nocase)
{
    bool reached[TEXT_BYTES_MAX + 1] = {true}, next[TEXT_BYTES_MAX + 1];
    while (pattern.size > 0) {
        size_t used = 1;
        memset(next, 0, sizeof next);
        if (pattern.data[0] == '*') {
            bool any = false;
            for (size_t t = 0; t <= text.size; t++)
                next[t] = any = any || reached[t];
        } else {
            bool matches;
            used = element(pattern, 0, nocase, &matches);
            for (size_t t = 0; t < text.size; t++) {
                (void)element(pattern, folded(text.data[t], nocase), nocase, &matches);
                next[t + 1] = reached[t] && matches;
            }
        }
        memcpy(reached, next, sizeof reached);
        pattern = slice_skip(pattern, used);
    }
    return reached[text.size];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    bool nocase = fuzz_byte(&input) & 1;
    struct slice pattern = fuzz_bytes(&input);
    bool matches = glob_matches(pattern, input, nocase);
    if (pattern.size <= PATTERN_BYTES_MAX && input.size <= TEXT_BYTES_MAX)
        fuzz_require(matches == model_matches(pattern, input, nocase));
    return 0;
}
