/* SPDX-License-Identifier: MIT */
/* Templates: the skeletons that the entries of one table share; patterns: the codes that the numbers of
 * one text have together. A writer learns both as it goes; they are stored once, as the table's
 * dictionary, and a block names them by number. Bytes: ENCODING.md, "Blocks of entries". */
#ifndef TYPES_ENTRY_TEMPLATES_H
#define TYPES_ENTRY_TEMPLATES_H

#include "base/buffer.h"
#include "base/status.h"
#include "types/entry_numbers.h"
#include "types/string_table.h"

enum {
    TEMPLATE_COUNT_MAX = 8160,
    TEMPLATE_BYTES_MAX = 4096,       /* of one skeleton */
    TEMPLATES_BYTES_MAX = 256 << 10, /* of all */
    PATTERN_COUNT_MAX = 8160,
    PATTERN_BYTES_MIN = 2, /* a shorter one is no longer than its number */
    PATTERN_BYTES_MAX = 255,
    PATTERNS_BYTES_MAX = 64 << 10,
};

/* ---- Writing --------------------------------------------------------------------------------- */

/* A skeleton becomes a template, and codes become a pattern, when they are met for the second time, so
 * that what never repeats does not fill the dictionary. */
struct template_learner {
    struct string_table templates, patterns;
    uint32_t *seen; /* by hash: what was met once */
};

void template_learner_init(struct template_learner *learner);
void template_learner_release(struct template_learner *learner);
/* The number of the skeleton's template, from 1 on; 0: it has none. */
uint32_t template_learner_find(struct template_learner *learner, struct slice skeleton);
/* The same for codes, of PATTERN_BYTES_MIN bytes or more. */
uint32_t template_learner_find_pattern(struct template_learner *learner, struct slice codes);
/* Appends the dictionary; nothing when nothing was learned. */
void template_learner_finish(const struct template_learner *learner, struct buffer *out);

/* ---- Reading --------------------------------------------------------------------------------- */

/* A number of a template, and how many literal bytes stand before it, behind the number before. */
struct template_number {
    uint16_t literal_bytes;
    uint16_t place : NUMBER_CONTEXT_BITS;
    uint16_t kind : 16 - NUMBER_CONTEXT_BITS;
};

struct entry_template {
    uint32_t literals_at; /* in dictionary->literals; all of the template's, one behind the other */
    uint32_t literal_bytes; /* of all, those behind the last number too */
    uint32_t numbers_at;    /* in dictionary->numbers */
    uint32_t number_count;
};

/* Literals are copied by so many bytes, as many may be read behind each. */
enum { TEMPLATE_LITERAL_STEP = 16 };

struct template_dictionary {
    struct entry_template *templates; /* number 1 first */
    struct slice *patterns;           /* the same */
    uint32_t count, pattern_count;
    struct template_number *numbers;
    uint8_t *literals;
};

/* STATUS_CORRUPT, STATUS_NO_MEMORY. *memory_bytes: what the dictionary takes. */
enum status template_dictionary_open(struct slice bytes, struct template_dictionary **dictionary,
                                     size_t *memory_bytes);
void template_dictionary_close(struct template_dictionary *dictionary);

#endif
