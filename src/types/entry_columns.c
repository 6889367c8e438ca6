/* SPDX-License-Identifier: MIT */
/* Writing: the texts of a column are split first, then the form is chosen, then it is written. */
#include "types/entry_columns.h"

#include "base/coding.h"
#include "base/memory.h"

#include <assert.h>

enum {
    LEARNED_ONE_BYTE = 0xe0, /* numbers of templates and patterns below this take a byte */
    LEARNED_NUMBERS = LEARNED_ONE_BYTE + ((0x100 - LEARNED_ONE_BYTE) << 8),
};

_Static_assert((int)TEMPLATE_COUNT_MAX < (int)LEARNED_NUMBERS, "two bytes hold any other");
_Static_assert((int)PATTERN_COUNT_MAX < (int)LEARNED_NUMBERS, "two bytes hold any other");

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
    memory_free(writer->contexts_before);
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

static inline uint8_t *store_learned(uint8_t *at, uint32_t number)
{
    if (number < LEARNED_ONE_BYTE) {
        *at++ = (uint8_t)number;
    } else {
        number -= LEARNED_ONE_BYTE;
        *at++ = (uint8_t)(LEARNED_ONE_BYTE + (number >> 8));
        *at++ = (uint8_t)number;
    }
    return at;
}

/* Codes and payload of the numbers of one text. Few codes stand as they are; more of them as their
 * pattern's number, or behind a 0. */
static void write_numbers(struct column_writer *writer, const struct skeleton_number *numbers,
                          size_t count, uint32_t salt)
{
    struct buffer *codes = &writer->sections[SECTION_CODES];
    struct buffer *payload = &writer->sections[SECTION_PAYLOAD];
    size_t code_bytes = (count + 1) / 2;
    buffer_reserve(codes, code_bytes + 2);
    buffer_reserve(payload, NUMBER_PAYLOAD_BYTES_MAX * (count + 1));
    uint8_t *learned_at = codes->data + codes->size, *payload_at = payload->data + payload->size;
    uint8_t *code_at = learned_at + (code_bytes >= PATTERN_BYTES_MIN);
    *learned_at = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes;
        unsigned size, code = number_encode(&writer->contexts[numbers[i].place ^ salt],
                                            numbers[i].number, &bytes, &size);
        le64_store(payload_at, bytes);
        payload_at += size;
        if (i & 1)
            *code_at++ |= (uint8_t)(code << 4);
        else
            *code_at = (uint8_t)code;
    }
    code_at += count & 1;
    payload->size = (size_t)(payload_at - payload->data);
    if (code_bytes >= PATTERN_BYTES_MIN) {
        uint32_t pattern = template_learner_find_pattern(writer->templates,
                                                         slice_make(learned_at + 1, code_bytes));
        if (pattern)
            code_at = store_learned(learned_at, pattern);
    }
    codes->size = (size_t)(code_at - codes->data);
}

static void write_split(struct column_writer *writer, size_t count, uint32_t salt)
{
    struct buffer *templates = &writer->sections[SECTION_TEMPLATES];
    const struct skeleton_number *numbers = writer->skeleton.numbers;
    for (size_t i = 0; i < count; i++) {
        const struct column_text *text = &writer->texts[i];
        buffer_reserve(templates, 2);
        templates->size =
            (size_t)(store_learned(templates->data + templates->size, text->template_number) -
                     templates->data);
        write_numbers(writer, numbers, text->number_count, salt);
        numbers += text->number_count;
    }
}

/* The least and the most that the split column takes: if all numbers are predicted and all codes have
 * patterns, if none is and none has. */
static void bound_split(const struct column_writer *writer, size_t count, size_t skeleton_bytes,
                        size_t *least, size_t *most)
{
    const struct skeleton *skeleton = &writer->skeleton;
    *least = skeleton_bytes + count;
    *most =
        *least + skeleton->number_count / 2 + 3 * count; /* templates of two bytes, no patterns */
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

/* The contexts of the numbers of a column, as they are before it. */
static void save_contexts(struct column_writer *writer, uint32_t salt)
{
    const struct skeleton *skeleton = &writer->skeleton;
    if (skeleton->number_count > writer->contexts_before_capacity) {
        memory_free(writer->contexts_before);
        writer->contexts_before_capacity = 2 * skeleton->number_count;
        writer->contexts_before =
            memory_allocate(writer->contexts_before_capacity * sizeof(writer->contexts_before[0]));
    }
    for (size_t i = 0; i < skeleton->number_count; i++)
        writer->contexts_before[i] = writer->contexts[skeleton->numbers[i].place ^ salt];
}

static void restore_contexts(struct column_writer *writer, uint32_t salt)
{
    const struct skeleton *skeleton = &writer->skeleton;
    for (size_t i = 0; i < skeleton->number_count; i++)
        writer->contexts[skeleton->numbers[i].place ^ salt] = writer->contexts_before[i];
}

/* Writes the split column; if it takes `limit` bytes or more, with what the text section holds of it
 * already, takes it back, and returns false. */
static bool try_split(struct column_writer *writer, size_t count, uint32_t salt,
                      size_t skeleton_bytes, size_t limit)
{
    size_t before[SECTION_COUNT], total = sections_bytes(writer) - skeleton_bytes;
    for (int i = 0; i < SECTION_COUNT; i++)
        before[i] = writer->sections[i].size;
    save_contexts(writer, salt);
    write_split(writer, count, salt);
    if (sections_bytes(writer) - total < limit)
        return true;
    for (int i = 0; i < SECTION_COUNT; i++)
        writer->sections[i].size = before[i];
    restore_contexts(writer, salt);
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
    const uint8_t *payload_at;
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
    reader->sections[SECTION_PAYLOAD].at = text->payload_at;
}

static size_t section_left(const struct column_section_reader *section)
{
    return (size_t)(section->end - section->at);
}

/* The number of a template or pattern; false: damaged. */
static inline bool take_learned(struct column_section_reader *section, uint32_t *number)
{
    if (section->at == section->end)
        return false;
    *number = *section->at++;
    if (*number < LEARNED_ONE_BYTE)
        return true;
    if (section->at == section->end)
        return false;
    *number = LEARNED_ONE_BYTE + ((*number - LEARNED_ONE_BYTE) << 8 | *section->at++);
    return true;
}

/* The codes of so many numbers, two a byte; NULL: damaged. */
static const uint8_t *take_codes(struct column_reader *reader, size_t number_count)
{
    struct column_section_reader *section = &reader->sections[SECTION_CODES];
    size_t size = (number_count + 1) / 2;
    uint32_t pattern = 0;
    if (size >= PATTERN_BYTES_MIN && !take_learned(section, &pattern))
        return NULL;
    if (pattern) {
        if (!reader->dictionary || pattern > reader->dictionary->pattern_count ||
            reader->dictionary->patterns[pattern - 1].size != size)
            return NULL;
        return reader->dictionary->patterns[pattern - 1].data;
    }
    if (size > section_left(section))
        return NULL;
    section->at += size;
    return section->at - size;
}

static inline unsigned code_at(const uint8_t *codes, size_t index)
{
    return codes[index / 2] >> (index & 1 ? 4 : 0) & 15;
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
    size_t count = template->number_count;
    const uint8_t *codes = take_codes(reader, count);
    if (!codes)
        return STATUS_CORRUPT;
    enum status status = reserve_text(reader, template->literal_bytes + count * NUMBER_DIGITS_MAX);
    if (status != STATUS_OK)
        return status;
    struct text_reader text = text_begin(reader, salt);
    for (size_t i = 0; i < count; i++, next++) {
        copy_literal(&text, literal, next->literal_bytes);
        literal += next->literal_bytes;
        if (!read_number(&text, code_at(codes, i), next->place, (enum number_kind)next->kind))
            return STATUS_CORRUPT;
    }
    copy_literal(&text, literal, (size_t)(literals_end - literal));
    text_end(reader, &text);
    return STATUS_OK;
}

static bool is_number(uint8_t byte)
{
    return byte > SKELETON_END && byte < SKELETON_ESCAPE;
}

/* The byte of an escape behind SKELETON_ESCAPE; there is always one in front of SKELETON_END. */
static bool read_escaped(struct text_reader *text, uint8_t byte)
{
    if (byte < SKELETON_ESCAPED || byte >= SKELETON_ESCAPED + SKELETON_LITERAL)
        return false;
    *text->at++ = byte - SKELETON_ESCAPED;
    return true;
}

/* The skeleton from `start` to `end`, where its SKELETON_END is. */
static enum status read_skeleton(struct column_reader *reader, const uint8_t *start,
                                 const uint8_t *end, uint32_t salt)
{
    size_t count = 0, index = 0;
    for (const uint8_t *at = start; at < end; at++)
        count += is_number(*at);
    const uint8_t *codes = take_codes(reader, count);
    if (!codes)
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
        if (at < end && is_number(*at)) {
            if (!read_number(&text, code_at(codes, index++), skeleton_place(start, at),
                             (enum number_kind) * at))
                return STATUS_CORRUPT;
            at++;
        } else if (at < end) {
            if (!read_escaped(&text, at[1]))
                return STATUS_CORRUPT;
            at += 2;
        }
        text_end(reader, &text);
    }
    return STATUS_OK;
}

static enum status read_split(struct column_reader *reader, uint32_t salt)
{
    struct column_section_reader *text = &reader->sections[SECTION_TEXT];
    uint32_t number;
    if (!take_learned(&reader->sections[SECTION_TEMPLATES], &number))
        return STATUS_CORRUPT;
    if (number)
        return read_template(reader, number, salt);
    const uint8_t *start = text->at, *end = memchr(start, SKELETON_END, section_left(text));
    if (!end)
        return STATUS_CORRUPT;
    text->at = end + 1;
    return read_skeleton(reader, start, end, salt);
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
