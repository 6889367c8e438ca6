/* SPDX-License-Identifier: MIT */
/*   dictionary = u8 format (1) | varint templates | varint patterns | { skeleton, SKELETON_END }...
 *              | { sized codes }... */
#include "types/entry_templates.h"

#include "base/coding.h"
#include "base/hash.h"
#include "base/memory.h"
#include "types/entry_skeleton.h"

#include <assert.h>

enum {
    DICTIONARY_FORMAT = 1,
    SEEN_BITS = 16,
    SEEN_COUNT = 1 << SEEN_BITS,
};

/* ---- Writing --------------------------------------------------------------------------------- */

void template_learner_init(struct template_learner *learner)
{
    *learner = (struct template_learner){.seen = memory_zeroed(SEEN_COUNT, sizeof(uint32_t))};
}

void template_learner_release(struct template_learner *learner)
{
    string_table_release(&learner->templates);
    string_table_release(&learner->patterns);
    memory_free(learner->seen);
    *learner = (struct template_learner){0};
}

/* The number of a string in a table of what was learned; at its second sight it gets one, if it
 * `fits`. */
static uint32_t learn(struct template_learner *learner, struct string_table *table,
                      struct slice string, uint64_t hash, bool fits)
{
    uint32_t number = string_table_find(table, string, (uint32_t)hash);
    if (number != STRING_NONE)
        return number + 1;
    uint32_t *seen = &learner->seen[hash >> (64 - SEEN_BITS)];
    if (*seen == (uint32_t)hash && fits)
        return string_table_add(table, string, (uint32_t)hash) + 1;
    *seen = (uint32_t)hash;
    return 0;
}

uint32_t template_learner_find(struct template_learner *learner, struct slice skeleton)
{
    struct string_table *templates = &learner->templates;
    bool fits = skeleton.size <= TEMPLATE_BYTES_MAX && templates->count < TEMPLATE_COUNT_MAX &&
                templates->bytes.size + skeleton.size <= TEMPLATES_BYTES_MAX;
    return learn(learner, templates, skeleton, hash64(skeleton, 0), fits);
}

uint32_t template_learner_find_pattern(struct template_learner *learner, struct slice codes)
{
    struct string_table *patterns = &learner->patterns;
    bool fits = codes.size <= PATTERN_BYTES_MAX && patterns->count < PATTERN_COUNT_MAX &&
                patterns->bytes.size + codes.size <= PATTERNS_BYTES_MAX;
    assert(codes.size >= PATTERN_BYTES_MIN);
    return learn(learner, patterns, codes, hash64(codes, 1), fits);
}

void template_learner_finish(const struct template_learner *learner, struct buffer *out)
{
    const struct string_table *templates = &learner->templates, *patterns = &learner->patterns;
    if (templates->count + patterns->count == 0)
        return;
    buffer_append_byte(out, DICTIONARY_FORMAT);
    buffer_append_varint(out, templates->count);
    buffer_append_varint(out, patterns->count);
    for (uint32_t i = 0; i < templates->count; i++) {
        buffer_append_slice(out, string_table_get(templates, i));
        buffer_append_byte(out, SKELETON_END);
    }
    for (uint32_t i = 0; i < patterns->count; i++)
        buffer_append_sized(out, string_table_get(patterns, i));
}

/* ---- Reading --------------------------------------------------------------------------------- */

struct loader {
    struct template_dictionary *dictionary;
    uint32_t literal_bytes, number_count;
};

struct counts {
    uint32_t templates, patterns;
};

/* false: not a dictionary. */
static bool dictionary_take_head(struct slice *bytes, struct counts *counts)
{
    uint8_t format;
    uint64_t templates, patterns;
    if (!slice_take_byte(bytes, &format) || format != DICTIONARY_FORMAT ||
        !slice_take_varint(bytes, &templates) || !slice_take_varint(bytes, &patterns) ||
        templates > TEMPLATE_COUNT_MAX || patterns > PATTERN_COUNT_MAX ||
        bytes->size > TEMPLATES_BYTES_MAX + templates + PATTERNS_BYTES_MAX + 2 * patterns)
        return false;
    counts->templates = (uint32_t)templates;
    counts->patterns = (uint32_t)patterns;
    return templates + patterns > 0;
}

/* Takes a skeleton apart; the place behind its end, or NULL. */
static const uint8_t *load_template(struct loader *loader, const uint8_t *start, const uint8_t *end)
{
    struct template_dictionary *dictionary = loader->dictionary;
    struct entry_template *made = &dictionary->templates[dictionary->count];
    made->literals_at = loader->literal_bytes;
    made->numbers_at = loader->number_count;
    uint32_t literals_taken = loader->literal_bytes;
    if (end - start > TEMPLATE_BYTES_MAX + 1)
        end = start + TEMPLATE_BYTES_MAX + 1;
    for (const uint8_t *at = start; at < end;) {
        size_t count = skeleton_literal_bytes(at, end);
        memcpy(dictionary->literals + loader->literal_bytes, at, count);
        loader->literal_bytes += (uint32_t)count;
        at += count;
        if (at == end)
            break;
        uint8_t byte = *at++;
        if (byte == SKELETON_END) {
            made->literal_bytes = loader->literal_bytes - made->literals_at;
            made->number_count = loader->number_count - made->numbers_at;
            dictionary->count++;
            return at;
        }
        if (byte == SKELETON_ESCAPE) {
            if (at == end || *at < SKELETON_ESCAPED || *at >= SKELETON_ESCAPED + SKELETON_LITERAL)
                break;
            dictionary->literals[loader->literal_bytes++] = *at++ - SKELETON_ESCAPED;
        } else {
            dictionary->numbers[loader->number_count++] = (struct template_number){
                .literal_bytes = (uint16_t)(loader->literal_bytes - literals_taken),
                .place = skeleton_place(start, at - 1) & (NUMBER_CONTEXTS - 1),
                .kind = byte,
            };
            literals_taken = loader->literal_bytes;
        }
    }
    return NULL;
}

/* Patterns are kept where literals are, behind them. */
static bool load_pattern(struct loader *loader, struct slice *bytes)
{
    struct template_dictionary *dictionary = loader->dictionary;
    struct slice codes;
    if (!slice_take_sized(bytes, &codes) || codes.size < PATTERN_BYTES_MIN ||
        codes.size > PATTERN_BYTES_MAX)
        return false;
    uint8_t *at = dictionary->literals + loader->literal_bytes;
    memcpy(at, codes.data, codes.size);
    loader->literal_bytes += (uint32_t)codes.size;
    dictionary->patterns[dictionary->pattern_count++] = slice_make(at, codes.size);
    return true;
}

static struct template_dictionary *dictionary_allocate(const struct counts *counts,
                                                       struct slice bytes, size_t *total)
{
    size_t numbers = 0;
    for (size_t i = 0; i < bytes.size; i++)
        numbers += bytes.data[i] > SKELETON_END && bytes.data[i] < SKELETON_ESCAPE;
    *total = sizeof(struct template_dictionary) + counts->patterns * sizeof(struct slice) +
             counts->templates * sizeof(struct entry_template) +
             numbers * sizeof(struct template_number) + bytes.size + TEMPLATE_LITERAL_STEP;
    struct template_dictionary *made = memory_try_allocate(*total);
    if (!made)
        return NULL;
    made->count = made->pattern_count = 0;
    made->patterns = (struct slice *)(made + 1);
    made->templates = (struct entry_template *)(made->patterns + counts->patterns);
    made->numbers = (struct template_number *)(made->templates + counts->templates);
    made->literals = (uint8_t *)(made->numbers + numbers);
    return made;
}

static bool dictionary_load(struct loader *loader, const struct counts *counts, struct slice bytes)
{
    const uint8_t *at = bytes.data, *end = at + bytes.size;
    for (uint32_t i = 0; i < counts->templates; i++)
        if (!(at = load_template(loader, at, end)))
            return false;
    bytes = slice_make(at, (size_t)(end - at));
    for (uint32_t i = 0; i < counts->patterns; i++)
        if (!load_pattern(loader, &bytes))
            return false;
    memset(loader->dictionary->literals + loader->literal_bytes, 0, TEMPLATE_LITERAL_STEP);
    return bytes.size == 0;
}

enum status template_dictionary_open(struct slice bytes, struct template_dictionary **dictionary,
                                     size_t *memory_bytes)
{
    struct counts counts;
    size_t total;
    if (!dictionary_take_head(&bytes, &counts))
        return STATUS_CORRUPT;
    struct loader loader = {.dictionary = dictionary_allocate(&counts, bytes, &total)};
    if (!loader.dictionary)
        return STATUS_NO_MEMORY;
    if (!dictionary_load(&loader, &counts, bytes)) {
        template_dictionary_close(loader.dictionary);
        return STATUS_CORRUPT;
    }
    *dictionary = loader.dictionary;
    *memory_bytes = total;
    return STATUS_OK;
}

void template_dictionary_close(struct template_dictionary *dictionary)
{
    memory_free(dictionary);
}
