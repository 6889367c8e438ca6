/* SPDX-License-Identifier: MIT */
/* A filter is compiled to postfix order (Dijkstra's shunting yard) and run on a stack of bits. */
#include "types/log_filter.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>

_Static_assert(LOG_FILTER_TERMS_MAX <= 64, "the stack of results is a word");

static bool fail(struct log_error *error, const char *text)
{
    snprintf(error->text, sizeof error->text, "%s", text);
    return false;
}

/* ---- Taking terms --------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int kind;
} words[] = {
    {"MATCH", FILTER_MATCH}, {"WORD", FILTER_WORD}, {"EXACT", FILTER_EXACT},
    {"LEVEL", FILTER_LEVEL}, {"NOT", FILTER_NOT},   {"AND", FILTER_AND},
    {"OR", FILTER_OR},       {"(", FILTER_OPEN},    {")", FILTER_CLOSE},
};

enum { WORD_COUNT = sizeof words / sizeof *words };

static bool is_predicate(int kind)
{
    return kind <= FILTER_LEVEL;
}

static bool add_term(struct log_filter *filter, struct log_filter_term term,
                     struct log_error *error)
{
    if (filter->pending_nocase && (!is_predicate(term.kind) || term.kind == FILTER_LEVEL))
        return fail(error, "NOCASE goes before MATCH, WORD or EXACT");
    term.nocase = filter->pending_nocase;
    filter->pending_nocase = false;
    /* Side by side means AND. */
    bool begins = is_predicate(term.kind) || term.kind == FILTER_NOT || term.kind == FILTER_OPEN;
    bool after_operand =
        filter->count > 0 && (is_predicate(filter->terms[filter->count - 1].kind) ||
                              filter->terms[filter->count - 1].kind == FILTER_CLOSE);
    size_t more = begins && after_operand ? 2 : 1;
    if (filter->count + more > LOG_FILTER_TERMS_MAX)
        return fail(error, "too many predicates");
    if (more == 2)
        filter->terms[filter->count++] = (struct log_filter_term){.kind = FILTER_AND};
    filter->terms[filter->count++] = term;
    return true;
}

static bool take_level(struct log_filter *filter, const struct slice *arguments, size_t count,
                       size_t *used, struct log_error *error)
{
    static const char *const comparisons[] = {">=", "<=", "="};
    struct log_filter_term term = {.kind = FILTER_LEVEL, .comparison = FILTER_AT_LEAST};
    size_t at = 1;
    for (unsigned i = 0; at == 1 && at < count && i < 3; i++) {
        if (slice_equal(arguments[at], slice_from(comparisons[i]))) {
            term.comparison = i;
            at++;
        }
    }
    if (at >= count)
        return fail(error, "syntax error");
    if (!log_severity_parse(arguments[at], &term.severity)) {
        int shown = arguments[at].size < 64 ? (int)arguments[at].size : 64;
        snprintf(error->text, sizeof error->text, "unknown level '%.*s'", shown,
                 shown ? (const char *)arguments[at].data : "");
        return false;
    }
    *used = at + 1;
    return add_term(filter, term, error);
}

bool log_filter_take(struct log_filter *filter, const struct slice *arguments, size_t count,
                     size_t *used, struct log_error *error)
{
    *used = 0;
    if (count == 0)
        return true;
    if (slice_equal_nocase(arguments[0], "NOCASE")) {
        if (filter->pending_nocase)
            return fail(error, "syntax error");
        filter->pending_nocase = true;
        *used = 1;
        return true;
    }
    unsigned word = 0;
    while (word < WORD_COUNT && !slice_equal_nocase(arguments[0], words[word].name))
        word++;
    if (word == WORD_COUNT)
        return true;
    struct log_filter_term term = {.kind = words[word].kind};
    if (term.kind == FILTER_LEVEL)
        return take_level(filter, arguments, count, used, error);
    if (is_predicate(term.kind)) {
        if (count < 2)
            return fail(error, "syntax error");
        term.text = arguments[1];
    }
    *used = is_predicate(term.kind) ? 2 : 1;
    return add_term(filter, term, error);
}

/* ---- Compiling ------------------------------------------------------------------------------ */

/* Operands and operators must alternate and parentheses match. */
static bool is_well_formed(const struct log_filter *filter)
{
    bool wants_operand = true;
    size_t open = 0;
    for (size_t i = 0; i < filter->count; i++) {
        int kind = filter->terms[i].kind;
        bool begins = is_predicate(kind) || kind == FILTER_NOT || kind == FILTER_OPEN;
        if (begins != wants_operand)
            return false;
        if (kind == FILTER_OPEN)
            open++;
        if (kind == FILTER_CLOSE && open-- == 0)
            return false;
        wants_operand = !is_predicate(kind) && kind != FILTER_CLOSE;
    }
    return open == 0 && (filter->count == 0 || !wants_operand) && !filter->pending_nocase;
}

static int precedence(int kind)
{
    return kind == FILTER_NOT ? 3 : kind == FILTER_AND ? 2 : kind == FILTER_OR ? 1 : 0;
}

bool log_filter_compile(struct log_filter *filter, struct log_error *error)
{
    struct log_filter_term waiting[LOG_FILTER_TERMS_MAX];
    size_t waiting_count = 0, count = 0;
    if (!is_well_formed(filter))
        return fail(error, "syntax error");
    /* The output never overtakes the input, so it can stand in the same array. */
    for (size_t i = 0; i < filter->count; i++) {
        struct log_filter_term term = filter->terms[i];
        if (is_predicate(term.kind)) {
            filter->terms[count++] = term;
            continue;
        }
        bool is_prefix = term.kind == FILTER_NOT || term.kind == FILTER_OPEN;
        while (!is_prefix && waiting_count > 0 && waiting[waiting_count - 1].kind != FILTER_OPEN &&
               precedence(waiting[waiting_count - 1].kind) >= precedence(term.kind))
            filter->terms[count++] = waiting[--waiting_count];
        if (term.kind == FILTER_CLOSE)
            waiting_count--; /* its opening one */
        else
            waiting[waiting_count++] = term;
    }
    while (waiting_count > 0)
        filter->terms[count++] = waiting[--waiting_count];
    filter->count = count;
    return true;
}

/* ---- Asking --------------------------------------------------------------------------------- */

/* Byte for byte: strncasecmp would end at a NUL. */
static bool bytes_equal_nocase(const uint8_t *at, struct slice wanted)
{
    for (size_t i = 0; i < wanted.size; i++)
        if (tolower(at[i]) != tolower(wanted.data[i]))
            return false;
    return true;
}

static const uint8_t *find_text(struct slice text, struct slice wanted, bool nocase)
{
    if (!nocase || wanted.size == 0)
        return memmem(text.data, text.size, wanted.data, wanted.size);
    for (size_t at = 0; at + wanted.size <= text.size; at++)
        if (bytes_equal_nocase(text.data + at, wanted))
            return text.data + at;
    return NULL;
}

static bool is_word_byte(uint8_t byte)
{
    return byte >= 0x80 || byte == '_' || isalnum(byte);
}

/* Whole tokens: neither the byte before nor the one behind goes on with a word. */
static bool has_word(struct slice text, struct slice wanted, bool nocase)
{
    struct slice rest = text;
    while (wanted.size > 0 && rest.size >= wanted.size) {
        const uint8_t *at = find_text(rest, wanted, nocase);
        if (!at)
            return false;
        const uint8_t *end = at + wanted.size;
        bool is_begun = at > text.data && is_word_byte(at[-1]) && is_word_byte(at[0]);
        bool goes_on = end < text.data + text.size && is_word_byte(end[0]) && is_word_byte(end[-1]);
        if (!is_begun && !goes_on)
            return true;
        rest = slice_make(at + 1, (size_t)(text.data + text.size - at) - 1);
    }
    return false;
}

struct subject {
    bool has_message, has_severity;
    struct slice message;
    enum log_severity severity;
};

static struct subject find_subject(const struct stream_entry *entry)
{
    struct subject subject = {0};
    struct stream_fields fields = stream_fields_begin(entry);
    struct stream_field field;
    bool has_level = false;
    while (stream_fields_next(&fields, &field) && !(subject.has_message && has_level)) {
        if (!subject.has_message && slice_equal(field.name, slice_from("message"))) {
            subject.has_message = true;
            subject.message = field.value;
        } else if (!has_level && slice_equal(field.name, slice_from("level"))) {
            has_level = true;
            subject.has_severity = log_severity_parse(field.value, &subject.severity);
        }
    }
    return subject;
}

static bool predicate_holds(const struct log_filter_term *term, const struct subject *subject)
{
    if (term->kind == FILTER_LEVEL) {
        if (!subject->has_severity)
            return false;
        if (term->comparison == FILTER_EQUAL)
            return subject->severity == term->severity;
        return term->comparison == FILTER_AT_LEAST ? subject->severity >= term->severity
                                                   : subject->severity <= term->severity;
    }
    if (!subject->has_message)
        return false;
    if (term->kind == FILTER_WORD)
        return has_word(subject->message, term->text, term->nocase);
    if (term->kind == FILTER_EXACT && subject->message.size != term->text.size)
        return false;
    return find_text(subject->message, term->text, term->nocase) != NULL || term->text.size == 0;
}

bool log_filter_passes(const struct log_filter *filter, const struct stream_entry *entry)
{
    if (filter->count == 0)
        return true;
    struct subject subject = find_subject(entry);
    uint64_t results = 0; /* the stack; its top is bit 0 */
    for (size_t i = 0; i < filter->count; i++) {
        const struct log_filter_term *term = &filter->terms[i];
        uint64_t top = results & 1;
        switch (term->kind) {
        case FILTER_NOT:
            results ^= 1;
            break;
        case FILTER_AND:
            results = (results >> 1) & (~(uint64_t)1 | top);
            break;
        case FILTER_OR:
            results = (results >> 1) | top;
            break;
        default:
            results = results << 1 | predicate_holds(term, &subject);
        }
    }
    return results & 1;
}
