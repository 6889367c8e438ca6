/* SPDX-License-Identifier: MIT */
/* Configuration from files and from the command line; both are lines of a name and its values.
 *
 *   line  = blanks [ name { blanks word } ] [ # comment at the start of the line ]
 *   word  = characters without blanks | "text with \n \r \t \b \a \" \\ \xHH" | 'text with \''
 *   name  = a name of config.def, or `include` with the path of another file */
#include "commands/config_lines.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>

struct source {
    struct config *config;
    struct vfs *vfs; /* NULL: no include */
    unsigned depth;
    struct buffer *error;
};

struct slice config_word(const struct config_words *words, size_t index)
{
    return slice_make(words->bytes.data + words->starts[index],
                      words->starts[index + 1] - words->starts[index]);
}

/* The words from `first` on, joined by one blank. */
static void words_join(const struct config_words *words, size_t first, struct buffer *joined)
{
    for (size_t i = first; i < words->count; i++) {
        if (i > first)
            buffer_append_byte(joined, ' ');
        buffer_append_slice(joined, config_word(words, i));
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What follows a backslash in "..."; returns the bytes used. */
static size_t unescape(struct slice text, struct buffer *bytes)
{
    if (text.size >= 3 && text.data[0] == 'x' && hex_digit(text.data[1]) >= 0 &&
        hex_digit(text.data[2]) >= 0) {
        buffer_append_byte(bytes,
                           (uint8_t)(hex_digit(text.data[1]) << 4 | hex_digit(text.data[2])));
        return 3;
    }
    static const char names[] = "nrtba", values[] = "\n\r\t\b\a";
    const char *found = text.data[0] ? strchr(names, text.data[0]) : NULL;
    buffer_append_byte(bytes, found ? (uint8_t)values[found - names] : text.data[0]);
    return 1;
}

/* A quoted word behind its opening quote. The closing quote ends the word. */
static bool take_quoted(struct slice *line, uint8_t quote, struct buffer *bytes)
{
    while (line->size > 0) {
        uint8_t c = line->data[0];
        *line = slice_skip(*line, 1);
        if (c == quote)
            return line->size == 0 || isspace(line->data[0]);
        if (c == '\\' && quote == '"' && line->size > 0) {
            *line = slice_skip(*line, unescape(*line, bytes));
        } else if (c == '\\' && quote == '\'' && line->size > 0 && line->data[0] == '\'') {
            buffer_append_byte(bytes, '\'');
            *line = slice_skip(*line, 1);
        } else {
            buffer_append_byte(bytes, c);
        }
    }
    return false;
}

const char *config_split_line(struct slice line, struct config_words *words)
{
    buffer_clear(&words->bytes);
    words->count = 0;
    words->starts[0] = 0;
    for (;;) {
        while (line.size > 0 && isspace(line.data[0]))
            line = slice_skip(line, 1);
        if (line.size == 0)
            return NULL;
        if (words->count == CONFIG_WORDS_MAX)
            return "too many words";
        if (line.data[0] == '"' || line.data[0] == '\'') {
            uint8_t quote = line.data[0];
            line = slice_skip(line, 1);
            if (!take_quoted(&line, quote, &words->bytes))
                return "unbalanced quotes";
        } else {
            while (line.size > 0 && !isspace(line.data[0])) {
                buffer_append_byte(&words->bytes, line.data[0]);
                line = slice_skip(line, 1);
            }
        }
        words->starts[++words->count] = words->bytes.size;
    }
}

static bool load_text(const struct source *source, const char *name, struct slice text);

static bool load_file(const struct source *source, const char *path)
{
    struct buffer text = {0};
    enum status status = vfs_read_file(source->vfs, path, CONFIG_FILE_BYTES_MAX, &text);
    bool ok = false;
    if (status != STATUS_OK)
        buffer_printf(source->error, "cannot read the configuration file %s: %s", path,
                      status_text(status));
    else
        ok = load_text(source, path, buffer_slice(&text));
    buffer_release(&text);
    return ok;
}

static bool load_include(const struct source *source, const struct config_words *words)
{
    struct source inner = *source;
    inner.depth++;
    if (!source->vfs || words->count != 2 || inner.depth > CONFIG_INCLUDE_DEPTH_MAX) {
        buffer_append_text(source->error, !source->vfs        ? "include is not possible here"
                                          : words->count != 2 ? "include takes one path"
                                                              : "too many nested includes");
        return false;
    }
    struct buffer path = {0};
    buffer_append_slice(&path, config_word(words, 1));
    buffer_append_byte(&path, 0);
    bool ok = load_file(&inner, (const char *)path.data);
    buffer_release(&path);
    return ok;
}

/* One line's effect. */
static bool load_words(const struct source *source, const struct config_words *words)
{
    struct slice name = config_word(words, 0);
    if (slice_equal_nocase(name, "include"))
        return load_include(source, words);
    if (words->count == 1) {
        buffer_printf(source->error, "'%.*s': the value is missing",
                      (int)(name.size > 128 ? 128 : name.size), (const char *)name.data);
        return false;
    }
    struct buffer value = {0};
    words_join(words, 1, &value);
    bool ok = config_set(source->config, name, buffer_slice(&value), true, source->error);
    buffer_release(&value);
    return ok;
}

static bool load_line(const struct source *source, const char *name, unsigned number,
                      struct slice line, struct config_words *words)
{
    struct buffer inner_error = {0};
    struct source inner = *source;
    inner.error = &inner_error;
    const char *failure = config_split_line(line, words);
    bool ok = false;
    if (failure)
        buffer_append_text(&inner_error, failure);
    else if (words->count == 0)
        ok = true;
    else
        ok = load_words(&inner, words);
    if (!ok) {
        buffer_printf(source->error, "%s, line %u: ", name, number);
        buffer_append_slice(source->error, buffer_slice(&inner_error));
    }
    buffer_release(&inner_error);
    return ok;
}

static bool load_text(const struct source *source, const char *name, struct slice text)
{
    struct config_words words = {0};
    bool ok = true;
    for (unsigned number = 1; ok && text.size > 0; number++) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        struct slice line = slice_make(text.data, size);
        /* A comment may hold anything, unbalanced quotes too. */
        while (line.size > 0 && isspace(line.data[0]))
            line = slice_skip(line, 1);
        if (line.size > 0 && line.data[0] != '#')
            ok = load_line(source, name, number, line, &words);
        text = slice_skip(text, end ? size + 1 : size);
    }
    buffer_release(&words.bytes);
    return ok;
}

bool config_load_text(struct config *config, struct vfs *vfs, const char *name, struct slice text,
                      struct buffer *error)
{
    struct source source = {.config = config, .vfs = vfs, .error = error};
    return load_text(&source, name, text);
}

bool config_load_file(struct config *config, struct vfs *vfs, const char *path,
                      struct buffer *error)
{
    struct source source = {.config = config, .vfs = vfs, .error = error};
    return load_file(&source, path);
}

static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1] == '-';
}

bool config_load_flags(struct config *config, struct vfs *vfs, int count, char *const *words,
                       struct buffer *error)
{
    int at = 0;
    if (count > 0 && !is_flag(words[0])) {
        if (!config_load_file(config, vfs, words[0], error))
            return false;
        char full[PATH_MAX];
        if (realpath(words[0], full))
            config_set_path(config, full);
        at = 1;
    }
    struct buffer value = {0};
    bool ok = true;
    while (ok && at < count) {
        const char *name = words[at++];
        int first = at;
        buffer_clear(&value);
        for (; at < count && !is_flag(words[at]); at++) {
            if (at > first)
                buffer_append_byte(&value, ' ');
            buffer_append_text(&value, words[at]);
        }
        ok = is_flag(name) && at > first &&
             config_set(config, slice_from(name + 2), buffer_slice(&value), true, error);
        if (!ok && error->size == 0)
            buffer_printf(error,
                          is_flag(name) ? "'%s': the value is missing"
                                        : "'%s': not a flag (flags are --name value)",
                          name);
    }
    buffer_release(&value);
    return ok;
}
