/* SPDX-License-Identifier: MIT */
#include "commands/glob.h"

static uint8_t fold(uint8_t byte, bool nocase)
{
    return nocase && byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

/* The class at pattern[*at], which is '['; moves *at behind it. A class without its end goes on to
 * the pattern's end, as in Redis. */
static bool class_matches(struct slice pattern, size_t *at, uint8_t byte, bool nocase)
{
    size_t i = *at + 1;
    bool is_negated = i < pattern.size && pattern.data[i] == '^', matches = false;
    if (is_negated)
        i++;
    byte = fold(byte, nocase);
    for (; i < pattern.size && pattern.data[i] != ']'; i++) {
        if (pattern.data[i] == '\\' && i + 1 < pattern.size) {
            i++; /* also when a member before it matched */
            matches = matches || fold(pattern.data[i], nocase) == byte;
        } else if (i + 2 < pattern.size && pattern.data[i + 1] == '-') {
            uint8_t low = fold(pattern.data[i], nocase), high = fold(pattern.data[i + 2], nocase);
            if (low > high) {
                uint8_t swap = low;
                low = high;
                high = swap;
            }
            matches = matches || (byte >= low && byte <= high);
            i += 2;
        } else {
            matches = matches || fold(pattern.data[i], nocase) == byte;
        }
    }
    *at = i < pattern.size ? i + 1 : i;
    return matches != is_negated;
}

/* One element that is no star against one byte; moves *at behind it when it matches. */
static bool element_matches(struct slice pattern, size_t *at, uint8_t byte, bool nocase)
{
    size_t i = *at;
    bool matches = true;
    if (pattern.data[i] == '[') {
        matches = class_matches(pattern, &i, byte, nocase);
    } else {
        if (pattern.data[i] == '\\' && i + 1 < pattern.size)
            matches = fold(pattern.data[++i], nocase) == fold(byte, nocase);
        else if (pattern.data[i] != '?')
            matches = fold(pattern.data[i], nocase) == fold(byte, nocase);
        i++;
    }
    if (matches)
        *at = i;
    return matches;
}

bool glob_matches(struct slice pattern, struct slice text, bool nocase)
{
    size_t p = 0, t = 0;
    bool has_star = false;
    size_t star_pattern = 0, star_text = 0; /* behind the newest star; where it ends for now */
    while (t < text.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            has_star = true;
            star_pattern = ++p;
            star_text = t;
        } else if (p < pattern.size && element_matches(pattern, &p, text.data[t], nocase)) {
            t++;
        } else if (has_star) {
            p = star_pattern;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*')
        p++;
    return p == pattern.size;
}
