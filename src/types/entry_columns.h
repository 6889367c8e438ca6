/* SPDX-License-Identifier: MIT */
/* Columns of a block of entries: the values of one field, one after another, spread over the block's
 * sections. Bytes: ENCODING.md, "Blocks of entries". */
#ifndef TYPES_ENTRY_COLUMNS_H
#define TYPES_ENTRY_COLUMNS_H

#include "types/entry_skeleton.h"
#include "types/entry_templates.h"

/* How the values of a column are stored. On disk; never reuse a number. */
enum column_form {
    COLUMN_SPLIT = 0, /* templates, skeletons, numbers */
    COLUMN_PLAIN = 1, /* sizes, bytes: nothing is gained by splitting */
};

/* The sections that columns are spread over, in the order in which they stand in a block. */
enum column_section {
    SECTION_CODES,
    SECTION_PAYLOAD,
    SECTION_TEMPLATES,
    SECTION_TEXT,
    SECTION_COUNT
};

/* What a text that was split is about, until its column's form is chosen. */
struct column_text {
    uint32_t template_number; /* 0: the skeleton is stored */
    uint32_t number_count;
};

struct column_writer {
    struct template_learner *templates;
    struct buffer sections[SECTION_COUNT];
    struct number_context contexts[NUMBER_CONTEXTS];
    struct number_context *contexts_before; /* those of a column's numbers, to take it back */
    size_t contexts_before_capacity;
    struct skeleton skeleton;
    struct column_text *texts;
    size_t text_capacity;
};

void column_writer_init(struct column_writer *writer, struct template_learner *templates);
void column_writer_release(struct column_writer *writer);
/* Begins a block: empty sections, contexts without memory. */
void column_writer_begin(struct column_writer *writer);
/* Appends the values of the block's column `index`; returns the form that was chosen. */
enum column_form column_write(struct column_writer *writer, uint32_t index,
                              const struct slice *values, size_t count);

struct column_section_reader {
    const uint8_t *at, *end;
};

struct column_reader {
    const struct template_dictionary *dictionary; /* NULL: no templates */
    struct column_section_reader sections[SECTION_COUNT];
    const uint8_t *content_end; /* up to here may be read, whatever it is */
    struct number_context contexts[NUMBER_CONTEXTS];
    struct buffer texts; /* all values, column by column */
    size_t text_bytes_max;
};

/* Appends `count` values to reader->texts and stores their sizes. STATUS_CORRUPT, STATUS_NO_MEMORY;
 * more than text_bytes_max bytes are STATUS_CORRUPT. */
enum status column_read(struct column_reader *reader, enum column_form form, uint32_t index,
                        size_t count, uint32_t *sizes);

#endif
