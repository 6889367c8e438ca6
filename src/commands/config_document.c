/* SPDX-License-Identifier: MIT */
/* The documented default file and the reference, written from config.def. */
#include "commands/config_table.h"

enum { TEXT_COLUMNS = 96 };

static const char *const kind_texts[] = {
    [CONFIG_KIND_INTEGER] = "number",   [CONFIG_KIND_SIZE] = "size",
    [CONFIG_KIND_DURATION] = "time",    [CONFIG_KIND_OCTAL] = "octal",
    [CONFIG_KIND_BOOLEAN] = "yes, no",  [CONFIG_KIND_CHOICE] = NULL,
    [CONFIG_KIND_STRING] = "text",      [CONFIG_KIND_SAVE] = "pairs of numbers",
    [CONFIG_KIND_LIMITS] = "class hard soft seconds ...",
    [CONFIG_KIND_EVENTS] = "classes of events",
};

/* The help as # lines of at most TEXT_COLUMNS. */
static void append_comment(const char *help, struct buffer *out)
{
    size_t column = 1;
    buffer_append_byte(out, '#');
    while (*help) {
        size_t size = strcspn(help, " ");
        if (column + 1 + size > TEXT_COLUMNS) {
            buffer_append_text(out, "\n#");
            column = 1;
        }
        buffer_append_byte(out, ' ');
        buffer_append(out, help, size);
        column += 1 + size;
        help += size;
        help += strspn(help, " ");
    }
    buffer_append_byte(out, '\n');
}

static void print_file_entry(const struct config_entry *entry, struct buffer *out)
{
    buffer_append_byte(out, '\n');
    append_comment(entry->help, out);
    if (entry->kind == CONFIG_KIND_CHOICE)
        buffer_printf(out, "# One of: %s\n", entry->choices);
    buffer_printf(out, entry->default_text[0] ? "%s %s\n" : "%s \"%s\"\n", entry->name,
                  entry->default_text);
}

void config_print_file(struct buffer *out)
{
    buffer_append_text(out,
                       "# Cordwood's configuration: every name with its default. Generated from\n"
                       "# src/commands/config.def (`cordwood-server --print-config`).\n"
                       "# A name is also a flag: cordwood-server [FILE] --name value ...\n"
                       "# Sizes: 1k = 1000, 1kb = 1024 bytes; kb mb gb. Times: ms s m h d.\n"
                       "# `include PATH` reads another file. The last line about a name counts.\n");
#define CONFIG_SECTION(title) buffer_append_text(out, "\n# ---- " title " ----\n");
#define CONFIG_ENTRY(id, ...) print_file_entry(&config_table[CONFIG_##id], out);
#include "commands/config.def"
}

static void print_row(const struct config_entry *entry, struct buffer *out)
{
    buffer_printf(out, "| `%s` | %s | %s | %s | %s |\n", entry->name,
                  kind_texts[entry->kind] ? kind_texts[entry->kind] : entry->choices,
                  entry->default_text[0] ? entry->default_text : "(empty)",
                  entry->flag != CONFIG_FLAG_START ? "yes" : "no", entry->help);
}

void config_print_reference(struct buffer *out)
{
    buffer_append_text(
        out,
        "# Configuration\n\n"
        "Generated from `src/commands/config.def`; `make documents` writes it anew. Every name can\n"
        "stand in a file (`cordwood-server FILE`), be a flag (`--name value`) and be asked for with\n"
        "CONFIG GET; those marked *live* are changed by CONFIG SET. `utils/cordwood.conf` is a file with\n"
        "every default.\n");
#define CONFIG_SECTION(title)                                                                      \
    buffer_append_text(out, "\n## " title "\n\n| name | value | default | live | meaning |\n"      \
                            "| --- | --- | --- | --- | --- |\n");
#define CONFIG_ENTRY(id, ...) print_row(&config_table[CONFIG_##id], out);
#include "commands/config.def"
}
