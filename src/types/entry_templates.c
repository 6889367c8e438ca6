/* SPDX-License-Identifier: MIT */
/*   dictionary = u8 format (1) | varint count | { skeleton, SKELETON_END }... */
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
    memory_free(learner->seen);
    *learner = (struct template_learner){0};
}

static bool template_fits(const struct template_learner *learner, struct slice skeleton)
{
    return skeleton.size <= TEMPLATE_BYTES_MAX && learner->templates.count < TEMPLATE_COUNT_MAX &&
           learner->templates.bytes.size + skeleton.size <= TEMPLATES_BYTES_MAX;
}

uint32_t template_learner_find(struct template_learner *learner, struct slice skeleton)
{
    uint64_t hash = hash64(skeleton, 0);
    uint32_t number = string_table_find(&learner->templates, skeleton, (uint32_t)hash);
    if (number != STRING_NONE)
        return number + 1;
    uint32_t *seen = &learner->seen[hash >> (64 - SEEN_BITS)];
    if (*seen != (uint32_t)hash) {
        *seen = (uint32_t)hash;
        return 0;
    }
    if (!template_fits(learner, skeleton))
        return 0;
    return string_table_add(&learner->templates, skeleton, (uint32_t)hash) + 1;
}

void template_learner_finish(const struct template_learner *learner, struct buffer *out)
{
    const struct string_table *templates = &learner->templates;
    if (templates->count == 0)
        return;
    buffer_append_byte(out, DICTIONARY_FORMAT);
    buffer_append_varint(out, templates->count);
    for (uint32_t i = 0; i < templates->count; i++) {
        buffer_append_slice(out, string_table_get(templates, i));
        buffer_append_byte(out, SKELETON_END);
    }
}

/* ---- Reading --------------------------------------------------------------------------------- */

struct loader {
    struct template_dictionary *dictionary;
    uint32_t literal_bytes, number_count;
};

/* The bytes behind the format and the count; false: not a dictionary. */
static bool dictionary_take_head(struct slice *bytes, uint32_t *count)
{
    uint8_t format;
    uint64_t found;
    if (!slice_take_byte(bytes, &format) || format != DICTIONARY_FORMAT ||
        !slice_take_varint(bytes, &found) || found == 0 || found > TEMPLATE_COUNT_MAX ||
        bytes->size < found || bytes->size > TEMPLATES_BYTES_MAX + found)
        return false;
    *count = (uint32_t)found;
    return true;
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

static struct template_dictionary *dictionary_allocate(uint32_t count, struct slice bytes,
                                                       size_t *total)
{
    size_t numbers = 0;
    for (size_t i = 0; i < bytes.size; i++)
        numbers += bytes.data[i] > SKELETON_END && bytes.data[i] < SKELETON_ESCAPE;
    *total = sizeof(struct template_dictionary) + count * sizeof(struct entry_template) +
             numbers * sizeof(struct template_number) + bytes.size + TEMPLATE_LITERAL_STEP;
    struct template_dictionary *made = memory_try_allocate(*total);
    if (!made)
        return NULL;
    made->count = 0;
    made->templates = (struct entry_template *)(made + 1);
    made->numbers = (struct template_number *)(made->templates + count);
    made->literals = (uint8_t *)(made->numbers + numbers);
    return made;
}

enum status template_dictionary_open(struct slice bytes, struct template_dictionary **dictionary,
                                     size_t *memory_bytes)
{
    uint32_t count;
    size_t total;
    if (!dictionary_take_head(&bytes, &count))
        return STATUS_CORRUPT;
    struct loader loader = {.dictionary = dictionary_allocate(count, bytes, &total)};
    if (!loader.dictionary)
        return STATUS_NO_MEMORY;
    const uint8_t *at = bytes.data, *end = at + bytes.size;
    for (uint32_t i = 0; i < count && at; i++)
        at = load_template(&loader, at, end);
    if (at != end) {
        template_dictionary_close(loader.dictionary);
        return STATUS_CORRUPT;
    }
    memset(loader.dictionary->literals + loader.literal_bytes, 0, TEMPLATE_LITERAL_STEP);
    *dictionary = loader.dictionary;
    *memory_bytes = total;
    return STATUS_OK;
}

void template_dictionary_close(struct template_dictionary *dictionary)
{
    memory_free(dictionary);
}
