/* SPDX-License-Identifier: MIT */
#include "server/logger.h"

#include "base/memory.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

struct logger {
    int file_descriptor;
    _Atomic int level, format;
};

struct logger *logger_create(const char *path)
{
    int fd = STDOUT_FILENO;
    if (path[0]) {
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            return NULL;
    }
    struct logger *logger = memory_zeroed(1, sizeof(*logger));
    logger->file_descriptor = fd;
    atomic_init(&logger->level, LOG_NOTICE);
    atomic_init(&logger->format, LOGGER_TEXT);
    return logger;
}

void logger_destroy(struct logger *logger)
{
    if (!logger)
        return;
    if (logger->file_descriptor != STDOUT_FILENO)
        close(logger->file_descriptor);
    memory_free(logger);
}

void logger_set(struct logger *logger, enum log_level level, enum logger_format format)
{
    atomic_store(&logger->level, (int)level);
    atomic_store(&logger->format, (int)format);
}

static void append_json_string(struct buffer *out, const char *text)
{
    buffer_append_byte(out, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            buffer_printf(out, "\\%c", c);
        else if (c < 0x20)
            buffer_printf(out, "\\u%04x", c);
        else
            buffer_append_byte(out, c);
    }
    buffer_append_byte(out, '"');
}

void logger_format(struct buffer *out, enum logger_format format, int pid, uint64_t wall_ms,
                   enum log_level level, const char *line)
{
    static const char *const names[] = {"debug", "verbose", "notice", "warning"};
    static const char marks[] = ".-*#";
    time_t seconds = (time_t)(wall_ms / 1000);
    unsigned ms = (unsigned)(wall_ms % 1000);
    struct tm tm;
    char time[64];
    if (format == LOGGER_JSON) {
        gmtime_r(&seconds, &tm);
        strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &tm);
        buffer_printf(out, "{\"time\":\"%s.%03uZ\",\"pid\":%d,\"level\":\"%s\",\"message\":", time, ms,
                      pid, names[level]);
        append_json_string(out, line);
        buffer_append_text(out, "}\n");
        return;
    }
    localtime_r(&seconds, &tm);
    strftime(time, sizeof(time), "%d %b %Y %H:%M:%S", &tm);
    buffer_printf(out, "%d:M %s.%03u %c ", pid, time, ms, marks[level]);
    for (; *line; line++)
        buffer_append_byte(out, *line == '\n' || *line == '\r' ? ' ' : (uint8_t)*line);
    buffer_append_byte(out, '\n');
}

void logger_write(void *context, enum log_level level, const char *line)
{
    struct logger *logger = context;
    if ((int)level < atomic_load(&logger->level))
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t wall_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    struct buffer out = {0};
    logger_format(&out, (enum logger_format)atomic_load(&logger->format), (int)getpid(), wall_ms,
                  level, line);
    /* Where would a message about a lost message go? */
    (void)!write(logger->file_descriptor, out.data, out.size);
    buffer_release(&out);
}
