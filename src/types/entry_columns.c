/* SPDX-License-Identifier: MIT */
/* Writing: the texts of a column are split first, then the form is chosen, then it is written. */
#include "types/entry_columns.h"

#include "base/coding.h"
#include "base/memory.h"

#include <assert.h>

enum {
    TEMPLATES_ONE_BYTE = 0xe0, /* numbers below this take a byte */
};

_Static_assert(((0xff - TEMPLATES_ONE_BYTE) << 8 | 0xff) >= TEMPLATE_COUNT_MAX - TEMPLATES_ONE_BYTE,
               "two bytes hold any other");

/* Numbers in the same place of different columns have nothing to do with each other. */
static inline uint32_t column_salt(uint32_t index)
{
    return (index * 0x9e3779b9u) >> (32 - NUMBER_CONTEXT_BITS);
}

/* ---- Writing --------------------------------------------------------------------------------- */

void column_writer_init(struct column_writer *writer, struct template_learner *templates)
{
    *writer = (struct column_writer){.templates = templates};
}

void column_writer_release(struct column_writer *writer)
{
    for (int i = 0; i < SECTION_COUNT; i++)
        buffer_release(&writer->sections[i]);
    skeleton_release(&writer->skeleton);
    memory_free(writer->texts);
    *writer = (struct column_writer){0};
}

void column_writer_begin(struct column_writer *writer)
{
    for (int i = 0; i < SECTION_COUNT; i++)
        buffer_clear(&writer->sections[i]);
    memset(writer->contexts, 0, sizeof(writer->contexts));
}

static void reserve_texts(struct column_writer *writer, size_t count)
{
    if (count <= writer->text_capacity)
        return;
    memory_free(writer->texts);
    writer->text_capacity = 2 * count;
    writer->texts = memory_allocate(writer->text_capacity * sizeof(writer->texts[0]));
}

/* Splits the values; skeletons without a template go to the text section. */
static void split_column(struct column_writer *writer, const struct slice *values, size_t count)
{
    struct skeleton *skeleton = &writer->skeleton;
    struct buffer *text = &writer->sections[SECTION_TEXT];
    size_t numbers = skeleton->number_count = 0;
    for (size_t i = 0; i < count; i++) {
        skeleton_split(skeleton, values[i]);
        struct slice bytes = skeleton_slice(skeleton);
        uint32_t template_number = template_learner_find(writer->templates, bytes);
        if (template_number == 0)
            buffer_append(text, bytes.data, bytes.size + 1);
        writer->texts[i] =
            (struct column_text){template_number, (uint32_t)(skeleton->number_count - numbers)};
        numbers = skeleton->number_count;
    }
}

static void write_plain(struct column_writer *writer, const struct slice *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffer_append_varint(&writer->sections[SECTION_TEMPLATES], values[i].size);
        buffer_append_slice(&writer->sections[SECTION_TEXT], values[i]);
    }
}

static inline uint8_t *store_template(uint8_t *at, uint32_t number)
{
    if (number < TEMPLATES_ONE_BYTE) {
        *at++ = (uint8_t)number;
    } else {
        number -= TEMPLATES_ONE_BYTE;
        *at++ = (uint8_t)(TEMPLATES_ONE_BYTE | number >> 8);
        *at++ = (uint8_t)number;
    }
    return at;
}

/* The codes of a value fill whole bytes, so that values of one shape look alike. */
static void write_split(struct column_writer *writer, size_t count, uint32_t salt)
{
    struct buffer *codes = &writer->sections[SECTION_CODES];
    struct buffer *payload = &writer->sections[SECTION_PAYLOAD];
    struct buffer *templates = &writer->sections[SECTION_TEMPLATES];
    const struct skeleton_number *next = writer->skeleton.numbers;
    size_t number_count = writer->skeleton.number_count;
    buffer_reserve(codes, (number_count + count) / 2 + 1);
    buffer_reserve(payload, NUMBER_PAYLOAD_BYTES_MAX * (number_count + 1));
    buffer_reserve(templates, 2 * count);
    uint8_t *code_at = codes->data + codes->size, *payload_at = payload->data + payload->size;
    uint8_t *template_at = templates->data + templates->size;
    for (size_t i = 0; i < count; i++) {
        const struct skeleton_number *end = next + writer->texts[i].number_count;
        template_at = store_template(template_at, writer->texts[i].template_number);
        for (unsigned shift = 0; next < end; next++, shift ^= 4) {
            uint64_t bytes;
            unsigned size;
            unsigned code =
                number_encode(&writer->contexts[next->place ^ salt], next->number, &bytes, &size);
            le64_store(payload_at, bytes);
            payload_at += size;
            if (shift == 0)
                *code_at++ = (uint8_t)code;
            else
                code_at[-1] |= (uint8_t)(code << 4);
        }
    }
    codes->size = (size_t)(code_at - codes->data);
    payload->size = (size_t)(payload_at - payload->data);
    templates->size = (size_t)(template_at - templates->data);
}

/* The least and the most that the split column takes: if all numbers are predicted, if none is. */
static void bound_split(const struct column_writer *writer, size_t count, size_t skeleton_bytes,
                        size_t *least, size_t *most)
{
    const struct skeleton *skeleton = &writer->skeleton;
    *least = skeleton_bytes + count + skeleton->number_count / 2;
    *most = *least + 2 * count; /* templates of two bytes, half codes */
    for (size_t i = 0; i < skeleton->number_count; i++)
        *most += number_bytes(skeleton->numbers[i].number);
}

static size_t sections_bytes(const struct column_writer *writer)
{
    size_t bytes = 0;
    for (int i = 0; i < SECTION_COUNT; i++)
        bytes += writer->sections[i].size;
    return bytes;
}

/* Writes the split column; if it takes `limit` bytes or more, with what the text section holds of it
 * already, takes it back, and returns false. */
static bool try_split(struct column_writer *writer, size_t count, uint32_t salt,
                      size_t skeleton_bytes, size_t limit)
{
    size_t before[SECTION_COUNT], total = sections_bytes(writer) - skeleton_bytes;
    for (int i = 0; i < SECTION_COUNT; i++)
        before[i] = writer->sections[i].size;
    memcpy(writer->contexts_before, writer->contexts, sizeof(writer->contexts));
    write_split(writer, count, salt);
    if (sections_bytes(writer) - total < limit)
        return true;
    for (int i = 0; i < SECTION_COUNT; i++)
        writer->sections[i].size = before[i];
    memcpy(writer->contexts, writer->contexts_before, sizeof(writer->contexts));
    return false;
}

enum column_form column_write(struct column_writer *writer, uint32_t index,
                              const struct slice *values, size_t count)
{
    struct buffer *text = &writer->sections[SECTION_TEXT];
    uint32_t salt = column_salt(index);
    size_t text_at = text->size, plain = count, least, most;
    for (size_t i = 0; i < count; i++)
        plain += values[i].size;
    reserve_texts(writer, count);
    split_column(writer, values, count);
    size_t skeleton_bytes = text->size - text_at;
    bound_split(writer, count, skeleton_bytes, &least, &most);
    if (most < plain) {
        write_split(writer, count, salt);
        return COLUMN_SPLIT;
    }
    if (least < plain && try_split(writer, count, salt, skeleton_bytes, plain))
        return COLUMN_SPLIT;
    text->size = text_at;
    write_plain(writer, values, count);
    return COLUMN_PLAIN;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* What is needed of the reader while one text is put together; `at` has room. */
struct text_reader {
    uint8_t *at;
    const uint8_t *code_at, *payload_at;
    const uint8_t *payload_end, *content_end;
    struct number_context *contexts;
    uint32_t salt;
};

/* Up to 8 bytes, of which those behind the content are 0. */
static inline uint64_t load_payload(const uint8_t *at, unsigned size, const uint8_t *content_end)
{
    uint64_t bytes = 0;
    if (content_end - at >= 8)
        return le64_load(at) & (UINT64_MAX >> (64 - 8 * size));
    for (unsigned i = size; i > 0; i--)
        bytes = bytes << 8 | at[i - 1];
    return bytes;
}

/* Appends the number with this code; false: damaged. */
static inline bool read_number(struct text_reader *text, unsigned code, uint32_t place,
                               enum number_kind kind)
{
    unsigned size = number_payload_bytes[code];
    uint64_t payload = 0;
    if (size) {
        if (size == NUMBER_NO_CODE || size > (size_t)(text->payload_end - text->payload_at))
            return false;
        payload = load_payload(text->payload_at, size, text->content_end);
        text->payload_at += size;
    }
    uint64_t number = number_decode(&text->contexts[place ^ text->salt], code, payload);
    size_t digits = number_print(kind, number, text->at);
    text->at += digits;
    return digits > 0;
}

/* Up to 15 bytes too many are read and written. */
static inline void copy_literal(struct text_reader *text, const uint8_t *from, size_t size)
{
    uint8_t *to = text->at;
    text->at += size;
    do {
        memcpy(to, from, TEMPLATE_LITERAL_STEP);
        to += TEMPLATE_LITERAL_STEP;
        from += TEMPLATE_LITERAL_STEP;
    } while (to < text->at);
}

static enum status reserve_text(struct column_reader *reader, size_t more)
{
    if (reader->texts.size > reader->text_bytes_max)
        return STATUS_CORRUPT;
    return buffer_try_reserve(&reader->texts, more + TEMPLATE_LITERAL_STEP);
}

static struct text_reader text_begin(struct column_reader *reader, uint32_t salt)
{
    return (struct text_reader){
        .at = reader->texts.data + reader->texts.size,
        .code_at = reader->sections[SECTION_CODES].at,
        .payload_at = reader->sections[SECTION_PAYLOAD].at,
        .payload_end = reader->sections[SECTION_PAYLOAD].end,
        .content_end = reader->content_end,
        .contexts = reader->contexts,
        .salt = salt,
    };
}

static void text_end(struct column_reader *reader, const struct text_reader *text)
{
    reader->texts.size = (size_t)(text->at - reader->texts.data);
    reader->sections[SECTION_CODES].at = text->code_at;
    reader->sections[SECTION_PAYLOAD].at = text->payload_at;
}

static size_t section_left(const struct column_section_reader *section)
{
    return (size_t)(section->end - section->at);
}

static enum status read_template(struct column_reader *reader, uint32_t number, uint32_t salt)
{
    const struct template_dictionary *dictionary = reader->dictionary;
    if (!dictionary || number > dictionary->count)
        return STATUS_CORRUPT;
    const struct entry_template *template = &dictionary->templates[number - 1];
    const struct template_number *next = dictionary->numbers + template->numbers_at;
    const uint8_t *literal = dictionary->literals + template->literals_at;
    const uint8_t *literals_end = literal + template->literal_bytes;
    size_t number_count = template->number_count;
    if ((number_count + 1) / 2 > section_left(&reader->sections[SECTION_CODES]))
        return STATUS_CORRUPT;
    enum status status =
        reserve_text(reader, template->literal_bytes + number_count * NUMBER_DIGITS_MAX);
    if (status != STATUS_OK)
        return status;
    struct text_reader text = text_begin(reader, salt);
    for (size_t i = 0; i < number_count; i++, next++) {
        copy_literal(&text, literal, next->literal_bytes);
        literal += next->literal_bytes;
        unsigned code = i & 1 ? *text.code_at++ >> 4 : *text.code_at & 15;
        if (!read_number(&text, code, next->place, (enum number_kind)next->kind))
            return STATUS_CORRUPT;
    }
    text.code_at += number_count & 1;
    copy_literal(&text, literal, (size_t)(literals_end - literal));
    text_end(reader, &text);
    return STATUS_OK;
}

/* A byte of a skeleton that is no literal; false: damaged. */
static bool read_skeleton_byte(struct column_reader *reader, struct text_reader *text,
                               const uint8_t *start, const uint8_t *at, size_t number_index)
{
    if (*at == SKELETON_ESCAPE) {
        /* In front of SKELETON_END there is a byte behind any other. */
        if (at[1] < SKELETON_ESCAPED || at[1] >= SKELETON_ESCAPED + SKELETON_LITERAL)
            return false;
        *text->at++ = at[1] - SKELETON_ESCAPED;
        return true;
    }
    if (text->code_at == reader->sections[SECTION_CODES].end)
        return false;
    unsigned code = number_index & 1 ? *text->code_at++ >> 4 : *text->code_at & 15;
    return read_number(text, code, skeleton_place(start, at), (enum number_kind) * at);
}

static enum status read_skeleton(struct column_reader *reader, uint32_t salt)
{
    struct column_section_reader *section = &reader->sections[SECTION_TEXT];
    const uint8_t *start = section->at;
    const uint8_t *end = memchr(start, SKELETON_END, section_left(section));
    size_t number_count = 0;
    if (!end)
        return STATUS_CORRUPT;
    for (const uint8_t *at = start; at < end;) {
        size_t literal = skeleton_literal_bytes(at, end);
        enum status status = reserve_text(reader, literal + NUMBER_DIGITS_MAX);
        if (status != STATUS_OK)
            return status;
        struct text_reader text = text_begin(reader, salt);
        memcpy(text.at, at, literal);
        text.at += literal;
        at += literal;
        if (at < end) {
            if (!read_skeleton_byte(reader, &text, start, at, number_count))
                return STATUS_CORRUPT;
            number_count += *at != SKELETON_ESCAPE;
            at += *at == SKELETON_ESCAPE ? 2 : 1;
        }
        text_end(reader, &text);
    }
    reader->sections[SECTION_CODES].at += number_count & 1;
    section->at = end + 1;
    return STATUS_OK;
}

static enum status read_split(struct column_reader *reader, uint32_t salt)
{
    struct column_section_reader *templates = &reader->sections[SECTION_TEMPLATES];
    if (templates->at == templates->end)
        return STATUS_CORRUPT;
    uint32_t number = *templates->at++;
    if (number >= TEMPLATES_ONE_BYTE) {
        if (templates->at == templates->end)
            return STATUS_CORRUPT;
        number = ((number - TEMPLATES_ONE_BYTE) << 8 | *templates->at++) + TEMPLATES_ONE_BYTE;
    }
    return number ? read_template(reader, number, salt) : read_skeleton(reader, salt);
}

static enum status read_plain(struct column_reader *reader)
{
    struct column_section_reader *sizes = &reader->sections[SECTION_TEMPLATES];
    struct column_section_reader *bytes = &reader->sections[SECTION_TEXT];
    struct slice rest = slice_make(sizes->at, section_left(sizes));
    uint64_t size;
    if (!slice_take_varint(&rest, &size) || size > section_left(bytes))
        return STATUS_CORRUPT;
    enum status status = reserve_text(reader, (size_t)size);
    if (status != STATUS_OK)
        return status;
    if (size)
        memcpy(reader->texts.data + reader->texts.size, bytes->at, (size_t)size);
    reader->texts.size += (size_t)size;
    bytes->at += size;
    sizes->at = rest.data;
    return STATUS_OK;
}

enum status column_read(struct column_reader *reader, enum column_form form, uint32_t index,
                        size_t count, uint32_t *sizes)
{
    uint32_t salt = column_salt(index);
    for (size_t i = 0; i < count; i++) {
        size_t before = reader->texts.size;
        enum status status = form == COLUMN_PLAIN ? read_plain(reader) : read_split(reader, salt);
        if (status != STATUS_OK)
            return status;
        sizes[i] = (uint32_t)(reader->texts.size - before);
    }
    return reader->texts.size > reader->text_bytes_max ? STATUS_CORRUPT : STATUS_OK;
}
