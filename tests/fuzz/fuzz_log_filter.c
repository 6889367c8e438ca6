/* SPDX-License-Identifier: MIT */
/* Expressions of predicates on log entries. The input is a message, a level and words; the words are
 * taken, compiled and asked, and a parser that descends by the grammar of log_filter.h says the same:
 * whether they are an expression, and whether the entry passes. */
#include "fuzz/fuzz.h"

#include "types/log_filter.h"

#include <ctype.h>

enum { WORDS_MAX = 100 };

static const char *const seeds[] = {
    "\7a b_c d\4WARN0404\1c1001\1A",
    "\5error\5error<52606\4info700\1r>3",
    "\3abc\1199904\2AB804\3abc",
    "\3abc\4warn1 \0032 \0030!\1\1",
    "\4w wa\0010"
    "41\2wa41\1w42\4w wa",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(seeds, sizeof seeds / sizeof *seeds, index, out);
}

struct expression {
    struct slice words[WORDS_MAX];
    size_t count, at;
    size_t terms; /* as log_filter counts them, with each AND that is only meant */
    bool failed;
    struct slice message, level;
};

/* ---- The model ------------------------------------------------------------------------------ */

static struct slice next_word(const struct expression *e)
{
    return e->at < e->count ? e->words[e->at] : (struct slice){0};
}

static bool take_word(struct expression *e, const char *word)
{
    if (e->at == e->count || !slice_equal_nocase(e->words[e->at], word))
        return false;
    e->at++;
    return true;
}

static bool is_word_byte(uint8_t byte)
{
    return byte >= 128 || byte == '_' || isalnum(byte);
}

static bool equal_at(struct slice text, size_t at, struct slice wanted, bool nocase)
{
    if (at + wanted.size > text.size)
        return false;
    for (size_t i = 0; i < wanted.size; i++) {
        uint8_t a = text.data[at + i], b = wanted.data[i];
        if (a != b && !(nocase && tolower(a) == tolower(b)))
            return false;
    }
    return true;
}

static bool text_holds(const struct expression *e, char kind, struct slice wanted, bool nocase)
{
    struct slice text = e->message;
    if (kind == 'E')
        return text.size == wanted.size && equal_at(text, 0, wanted, nocase);
    if (kind == 'W' && wanted.size == 0)
        return false;
    for (size_t at = 0; at + wanted.size <= text.size; at++) {
        size_t end = at + wanted.size;
        if (!equal_at(text, at, wanted, nocase))
            continue;
        if (kind == 'M')
            return true;
        bool goes_on =
            (at > 0 && is_word_byte(text.data[at - 1]) && is_word_byte(text.data[at])) ||
            (end < text.size && is_word_byte(text.data[end - 1]) && is_word_byte(text.data[end]));
        if (!goes_on)
            return true;
    }
    return false;
}

static bool level_holds(struct expression *e)
{
    enum log_severity wanted, severity;
    int comparison = '>';
    if (take_word(e, "<="))
        comparison = '<';
    else if (take_word(e, "="))
        comparison = '=';
    else
        (void)take_word(e, ">=");
    if (e->at == e->count || !log_severity_parse(next_word(e), &wanted)) {
        e->failed = true;
        return false;
    }
    e->at++;
    if (!log_severity_parse(e->level, &severity))
        return false;
    return comparison == '>'   ? severity >= wanted
           : comparison == '<' ? severity <= wanted
                               : severity == wanted;
}

static bool either(struct expression *e);

static bool predicate(struct expression *e)
{
    bool result;
    e->terms++;
    if (take_word(e, "NOT"))
        return !predicate(e);
    if (take_word(e, "(")) {
        result = either(e);
        e->failed |= !take_word(e, ")");
        e->terms++;
        return result;
    }
    bool nocase = take_word(e, "NOCASE");
    if (!nocase && take_word(e, "LEVEL"))
        return level_holds(e);
    char kind = take_word(e, "MATCH")   ? 'M'
                : take_word(e, "WORD")  ? 'W'
                : take_word(e, "EXACT") ? 'E'
                                        : 0;
    if (!kind || e->at == e->count) {
        e->failed = true;
        return false;
    }
    struct slice wanted = e->words[e->at++];
    return text_holds(e, kind, wanted, nocase);
}

static bool begins_predicate(const struct expression *e)
{
    static const char *const words[] = {"NOT", "(", "NOCASE", "LEVEL", "MATCH", "WORD", "EXACT"};
    for (size_t i = 0; e->at < e->count && i < sizeof words / sizeof *words; i++)
        if (slice_equal_nocase(e->words[e->at], words[i]))
            return true;
    return false;
}

static bool both(struct expression *e)
{
    bool result = predicate(e);
    while (!e->failed && (take_word(e, "AND") || begins_predicate(e))) {
        e->terms++;
        bool other = predicate(e);
        result = result && other;
    }
    return result;
}

static bool either(struct expression *e)
{
    bool result = both(e);
    while (!e->failed && take_word(e, "OR")) {
        e->terms++;
        bool other = both(e);
        result = result || other;
    }
    return result;
}

/* ---- Both ------------------------------------------------------------------------------------ */

static bool compile(const struct expression *e, struct log_filter *filter)
{
    struct log_error error = {""};
    size_t at = 0, used;
    while (at < e->count) {
        if (!log_filter_take(filter, e->words + at, e->count - at, &used, &error)) {
            fuzz_require(error.text[0]);
            return false;
        }
        if (used == 0)
            return false; /* no word of predicates */
        fuzz_require(used <= e->count - at);
        at += used;
    }
    bool ok = log_filter_compile(filter, &error);
    fuzz_require(ok || error.text[0]);
    return ok;
}

static bool asks(const struct expression *e, const struct log_filter *filter)
{
    uint8_t key[STREAM_ENTRY_KEY_BYTES] = {0};
    struct buffer value = {0};
    struct stream_entry entry;
    const struct slice fields[] = {slice_from("x"),       slice_from("MATCH"),
                                   slice_from("message"), e->message,
                                   slice_from("level"),   e->level,
                                   slice_from("message"), slice_from("second")};
    stream_record_encode(&(struct stream_record){.fields = fields, .field_count = 4}, &value);
    fuzz_require(stream_entry_decode(slice_make(key, sizeof key), buffer_slice(&value), &entry) ==
                 STATUS_OK);
    bool passes = log_filter_passes(filter, &entry);
    buffer_release(&value);
    return passes;
}

/* A part of the message, with the case of its letters changed or not: what predicates look for. */
static struct slice draw_part(struct slice *input, const struct expression *e, bool changes_case)
{
    static uint8_t parts[WORDS_MAX][256];
    uint8_t *part = parts[e->count];
    size_t from = fuzz_byte(input) % (e->message.size + 1);
    size_t size = fuzz_byte(input) % (e->message.size - from + 1);
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = e->message.data[from + i];
        part[i] = changes_case && isalpha(byte) ? byte ^ 0x20 : byte;
    }
    return slice_make(part, size);
}

/* A byte is a word of the language or says that a word of the input's own, or a part of the message,
 * follows. */
static void draw(struct slice *input, struct expression *e)
{
    static const char *const words[] = {
        "MATCH", "WORD", "EXACT", "LEVEL", "NOCASE", "NOT",  "AND",   "OR",
        "(",     ")",    ">=",    "<=",    "=",      "warn", "Error", "match"};
    e->message = fuzz_bytes(input);
    e->level = fuzz_bytes(input);
    while (input->size > 0 && e->count < WORDS_MAX) {
        uint8_t choice = fuzz_byte(input);
        struct slice word = slice_from(words[choice & 15]);
        if (choice < 0x18)
            word = fuzz_bytes(input);
        else if (choice < 0x30)
            word = draw_part(input, e, choice & 1);
        e->words[e->count++] = word;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct log_filter filter;
    struct slice input = slice_make(data, size);
    struct expression e = {0};
    draw(&input, &e);
    memset(&filter, 0, sizeof filter);
    bool is_expression = compile(&e, &filter);
    bool model = e.count == 0 || either(&e);
    bool model_is_expression = !e.failed && e.at == e.count && e.terms <= LOG_FILTER_TERMS_MAX;
    fuzz_require(is_expression == model_is_expression);
    if (is_expression)
        fuzz_require(asks(&e, &filter) == model);
    return 0;
}
