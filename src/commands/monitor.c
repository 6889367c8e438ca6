/* SPDX-License-Identifier: MIT */
/* MONITOR: every request that was executed, as a line, to those who asked for it. */
#include "commands/service_state.h"

/* As redis-cli shows strings. */
static void append_quoted(struct buffer *line, struct slice word)
{
    static const char from[] = "\\\"\n\r\t\a\b", to[] = "\\\"nrtab";
    buffer_append_byte(line, '"');
    for (size_t i = 0; i < word.size; i++) {
        uint8_t byte = word.data[i];
        const char *at = byte ? strchr(from, byte) : NULL;
        if (at)
            buffer_printf(line, "\\%c", to[at - from]);
        else if (byte >= ' ' && byte < 127)
            buffer_append_byte(line, byte);
        else
            buffer_printf(line, "\\x%02x", byte);
    }
    buffer_append_byte(line, '"');
}

void monitor_feed(const struct command_context *c)
{
    if (pubsub_count(&c->service->pubsub, PUBSUB_MONITOR) == 0 ||
        (c->command->flags & COMMAND_ADMIN))
        return;
    struct buffer line = {.may_fail = true};
    uint64_t now_ms = env_wall_ms(c->service->env);
    const char *address = c->session->address;
    bool is_unix = address[0] == '/';
    size_t size = is_unix ? (size_t)(strrchr(address, ':') - address) : strlen(address);
    buffer_printf(&line, "+%llu.%06llu [%u %s%.*s]", (unsigned long long)(now_ms / 1000),
                  (unsigned long long)(now_ms % 1000 * 1000),
                  atomic_load_explicit(&c->session->database, memory_order_relaxed),
                  is_unix ? "unix:" : "", (int)size, address);
    for (size_t i = 0; i < c->count; i++) {
        buffer_append_byte(&line, ' ');
        append_quoted(&line, timing_shown_word(c, i));
    }
    buffer_append_text(&line, "\r\n");
    if (!line.failed)
        pubsub_publish_bytes(c->service, PUBSUB_MONITOR, buffer_slice(&line));
    buffer_release(&line);
}

enum status monitor_command(struct command_context *c)
{
    enum status status = pubsub_subscribe(c->session, PUBSUB_MONITOR, slice_make(NULL, 0));
    return status ? status : reply_ok(c);
}
