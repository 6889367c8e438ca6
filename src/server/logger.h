/* SPDX-License-Identifier: MIT */
/* The server's messages: a line each, for people or as JSON, to standard output or a file.
 *
 *      1234:M 21 Nov 2026 02:00:00.123 * text         levels: . debug, - verbose, * notice, # warning
 *      {"time":"2026-11-21T02:00:00.123Z","pid":1234,"level":"notice","message":"text"} */
#ifndef SERVER_LOGGER_H
#define SERVER_LOGGER_H

#include "base/buffer.h"
#include "vfs/vfs.h"

enum logger_format { LOGGER_TEXT, LOGGER_JSON }; /* indexes of log-format's choices */

struct logger;

/* `path` empty: standard output. NULL: the file cannot be opened; errno says why. */
struct logger *logger_create(const char *path);
void logger_destroy(struct logger *logger);
/* Messages below the level are dropped. Any thread. */
void logger_set(struct logger *logger, enum log_level level, enum logger_format format);
/* env.log: any thread; one write(2) a line. */
void logger_write(void *logger, enum log_level level, const char *line);
/* The line itself, appended; `wall_ms` is unix time. */
void logger_format(struct buffer *out, enum logger_format format, int pid, uint64_t wall_ms,
                   enum log_level level, const char *line);

#endif
