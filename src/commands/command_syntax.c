/* SPDX-License-Identifier: MIT */
/*   list    = element *( element )
 *   element = [ TOKEN ] word | TOKEN | "[" list "]" | "<" list *( "|" list ) ">" ; then "..." may
 * follow
 *
 * TOKEN is a word in capitals. "[X a]" is optional, "<a | b>" one of, "..." says that the element
 * before it may come again. Parsed where it stands: no tree is built. */
#include "commands/command_syntax.h"

#include <ctype.h>
#include <string.h>

/* Words that a text splits into; brackets and bars are words of their own. */
static struct slice next_word(struct slice *text)
{
    while (text->size > 0 && text->data[0] == ' ')
        *text = slice_skip(*text, 1);
    size_t size = 0;
    while (size < text->size && !strchr(" []<>|", text->data[size]))
        size++;
    if (size == 0 && text->size > 0)
        size = 1;
    struct slice word = slice_make(text->data, size);
    *text = slice_skip(*text, size);
    return word;
}

static struct slice peek_word(struct slice text)
{
    return next_word(&text);
}

static bool is_word(struct slice word, const char *text)
{
    return slice_equal(word, slice_from(text));
}

static bool is_token(struct slice word)
{
    bool has_capital = false;
    for (size_t i = 0; i < word.size; i++) {
        if (islower(word.data[i]))
            return false;
        has_capital = has_capital || isupper(word.data[i]) || strchr("~=*", word.data[i]);
    }
    return has_capital;
}

static bool is_value(struct slice word)
{
    return word.size > 0 && !is_token(word) && !strchr("[]<>|", word.data[0]) &&
           !is_word(word, "...");
}

/* What stands between an opening bracket, which was taken, and its end, which is taken too. */
static struct slice take_group(struct slice *text)
{
    struct slice begin = *text;
    int depth = 1;
    while (text->size > 0) {
        size_t before = begin.size - text->size;
        struct slice word = next_word(text);
        if (is_word(word, "[") || is_word(word, "<"))
            depth++;
        if ((is_word(word, "]") || is_word(word, ">")) && --depth == 0)
            return slice_make(begin.data, before);
    }
    return begin;
}

static const char *type_of(struct slice name)
{
    static const char *const types[][2] = {
        {"key", "key"},
        {"newkey", "key"},
        {"pattern", "pattern"},
        {"count", "integer"},
        {"seconds", "integer"},
        {"milliseconds", "integer"},
        {"start", "integer"},
        {"stop", "integer"},
        {"index", "integer"},
        {"index1", "integer"},
        {"index2", "integer"},
        {"cursor", "integer"},
        {"protover", "integer"},
        {"client-id", "integer"},
        {"numkeys", "integer"},
        {"unix-time-seconds", "unix-time"},
        {"unix-time-milliseconds", "unix-time"},
        {"n", "integer"},
        {"bytes", "integer"},
        {"ms", "integer"},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (is_word(name, types[i][0]))
            return types[i][1];
    return "string";
}

static void reply_list(struct resp_writer *writer, struct slice text);

/* Parts of a one-of: what stands between the bars of this level. */
static struct slice take_part(struct slice *text)
{
    struct slice begin = *text;
    while (text->size > 0) {
        size_t before = begin.size - text->size;
        struct slice word = next_word(text);
        if (is_word(word, "[") || is_word(word, "<"))
            (void)take_group(text); /* skipped: it belongs to the part */
        if (is_word(word, "|"))
            return slice_make(begin.data, before);
    }
    return begin;
}

static void reply_name(struct resp_writer *writer, struct slice name)
{
    char text[64];
    size_t size = name.size < sizeof text ? name.size : sizeof text;
    for (size_t i = 0; i < size; i++)
        text[i] = (char)tolower(name.data[i]);
    resp_bulk(writer, slice_make(text, size));
}

static void reply_field(struct resp_writer *writer, const char *name, struct slice value)
{
    resp_bulk_text(writer, name);
    resp_bulk(writer, value);
}

/* An element as it is written, without its brackets and dots. */
struct element {
    struct slice token, value; /* may be empty, not both unless `group` is not */
    struct slice group;        /* of "<...>", or of "[...]" with more than one element in it */
    bool is_one_of, is_optional, is_multiple;
};

static struct element take_element(struct slice *text);

static void take_dots(struct slice *text, struct element *element)
{
    if (is_word(peek_word(*text), "...")) {
        (void)next_word(text); /* only its presence counts */
        element->is_multiple = true;
    }
}

/* "[X a]": the element in it, if it is one; else a block. */
static struct element take_optional(struct slice *text)
{
    struct slice inner = take_group(text), rest = inner;
    struct element element = take_element(&rest);
    if (peek_word(rest).size > 0)
        element = (struct element){.group = inner};
    element.is_optional = true;
    return element;
}

static struct element take_element(struct slice *text)
{
    struct element element = {0};
    struct slice word = next_word(text);
    if (is_word(word, "[")) {
        element = take_optional(text);
    } else if (is_word(word, "<")) {
        element.group = take_group(text);
        element.is_one_of = true;
    } else if (is_token(word)) {
        element.token = word;
        if (is_value(peek_word(*text)))
            element.value = next_word(text);
    } else {
        element.value = word;
    }
    take_dots(text, &element);
    return element;
}

static void reply_parts(struct resp_writer *writer, struct slice text)
{
    size_t count = 0, mark = resp_deferred(writer);
    while (peek_word(text).size > 0) {
        struct slice part = take_part(&text), rest = part;
        (void)take_element(
            &rest); /* to see whether the part is one element or a block of several */
        if (peek_word(rest).size == 0) {
            reply_list(writer, part);
        } else {
            resp_map(writer, 3);
            resp_bulk_text(writer, "name");
            reply_name(writer, peek_word(part));
            reply_field(writer, "type", slice_from("block"));
            resp_bulk_text(writer, "arguments");
            size_t inner = 0;
            for (struct slice walk = part; peek_word(walk).size > 0; inner++)
                (void)take_element(&walk); /* counted */
            resp_array(writer, inner);
            reply_list(writer, part);
        }
        count++;
    }
    resp_deferred_array(writer, mark, count);
}

static void reply_flags(struct resp_writer *writer, const struct element *element)
{
    resp_bulk_text(writer, "flags");
    resp_set(writer, (size_t)element->is_optional + element->is_multiple);
    if (element->is_optional)
        resp_simple(writer, "optional");
    if (element->is_multiple)
        resp_simple(writer, "multiple");
}

static void reply_element(struct resp_writer *writer, const struct element *element)
{
    bool is_group = element->group.size > 0,
         has_flags = element->is_optional || element->is_multiple;
    bool has_token = element->token.size > 0;
    struct slice name = is_group              ? peek_word(element->group)
                        : element->value.size ? element->value
                                              : element->token;
    resp_map(writer, 2 + (size_t)has_token + has_flags + is_group);
    resp_bulk_text(writer, "name");
    reply_name(writer, name);
    const char *type = element->is_one_of        ? "oneof"
                       : is_group                ? "block"
                       : element->value.size > 0 ? type_of(element->value)
                                                 : "pure-token";
    reply_field(writer, "type", slice_from(type));
    if (has_token)
        reply_field(writer, "token", element->token);
    if (has_flags)
        reply_flags(writer, element);
    if (!is_group)
        return;
    resp_bulk_text(writer, "arguments");
    if (element->is_one_of) {
        reply_parts(writer, element->group);
        return;
    }
    size_t inner = 0;
    for (struct slice walk = element->group; peek_word(walk).size > 0; inner++)
        (void)take_element(&walk); /* counted */
    resp_array(writer, inner);
    reply_list(writer, element->group);
}

/* The elements, without the array's head. */
static void reply_list(struct resp_writer *writer, struct slice text)
{
    while (peek_word(text).size > 0) {
        struct element element = take_element(&text);
        reply_element(writer, &element);
    }
}

void command_syntax_reply(struct resp_writer *writer, const char *syntax)
{
    struct slice text = slice_from(syntax);
    size_t count = 0;
    for (struct slice walk = text; peek_word(walk).size > 0; count++)
        (void)take_element(&walk); /* counted */
    resp_array(writer, count);
    reply_list(writer, text);
}

bool command_syntax_is_valid(const char *syntax)
{
    enum { DEPTH_MAX = 16 };
    char open[DEPTH_MAX];
    size_t depth = 0;
    for (const char *at = syntax; *at; at++) {
        if (*at == '[' || *at == '<') {
            if (depth == DEPTH_MAX)
                return false;
            open[depth++] = *at == '[' ? ']' : '>';
        } else if ((*at == ']' || *at == '>') && (depth == 0 || open[--depth] != *at)) {
            return false;
        }
    }
    return depth == 0;
}
