/* SPDX-License-Identifier: MIT */
/* A command: its line in commands.def, what its handler is given, and what handlers share.
 *
 * A handler reads c->arguments (arguments[0] is the name; of a subcommand arguments[1] is its second
 * word) and appends exactly one reply to c->reply. It returns
 *
 *   STATUS_OK           the reply, which may be an error reply, is complete
 *   STATUS_WOULD_BLOCK  something is not in memory; nothing was written to the store. What stands in
 *                       the reply is cut off, and the handler runs again from its start, on a worker
 *                       thread and with c->nowait false
 *   another status      what stands in the reply is cut off, and the status' own error is answered:
 *                       WRONG_TYPE the -WRONGTYPE line, TOO_LARGE "string exceeds maximum allowed
 *                       size (proto-max-bulk-len)" (see also Large replies), NO_SPACE and READ_ONLY -MISCONF, others -ERR with
 *                       the status' text. Not after a write to the store.
 *
 * The reply is a buffer that may fail (buffer.h); whoever runs the handler sees to that. A write has room
 * for a short answer; what may answer more makes room before it writes (command_reply_reserve, or the check
 * of Large replies).
 *
 * Which access a handler has follows from its flags: COMMAND_WRITE a batch under the write lock,
 * COMMAND_READONLY or COMMAND_READS a pinned moment, none of them: c->access is NULL. */
#ifndef COMMANDS_COMMAND_H
#define COMMANDS_COMMAND_H

#include "base/release.h"
#include "base/slice.h"
#include "base/status.h"
#include "commands/service.h"
#include "commands/session.h"
#include "resp/resp.h"
#include "types/store.h"

#include <stdbool.h>
#include <stdint.h>

/* What INFO and HELLO say. Clients branch on redis_version. */
#define REDIS_VERSION "7.2.4"

enum command_flags {
    /* As COMMAND INFO shows them. */
    COMMAND_WRITE = 1 << 0,
    COMMAND_READONLY = 1 << 1,
    COMMAND_DENYOOM = 1 << 2, /* may take room; a write without it may use the disk's reserve */
    COMMAND_ADMIN = 1 << 3,
    COMMAND_NOSCRIPT = 1 << 4,
    COMMAND_BLOCKING = 1 << 5,
    COMMAND_LOADING = 1 << 6,
    COMMAND_STALE = 1 << 7,
    COMMAND_FAST = 1 << 8,
    COMMAND_NO_AUTH = 1 << 9, /* allowed before AUTH */
    COMMAND_NO_MULTI = 1 << 10,
    COMMAND_ALLOW_BUSY = 1 << 11,
    COMMAND_MOVABLE_KEYS = 1 << 12, /* the key positions depend on the arguments */
    COMMAND_PUBSUB = 1 << 13,       /* shown first */
    /* Our own, not shown. */
    COMMAND_READS = 1 << 24, /* has a read access though not shown as readonly (INFO) */
    COMMAND_STORES =
        1 << 27, /* a write only with the option STORE (command_store_index), else a read */
    COMMAND_BUILDS =
        1 << 26, /* it may make a small object under the lock: OBJECT_BUILD_INLINE_BYTES */
    COMMAND_HOLDS = 1 << 23, /* it looks for one object by its key, and for nothing else (header_hold.h) */
    COMMAND_EXPANDS = 1 << 25, /* its records may be 16 times the size of its arguments (NDJSON) */
};

/* Where a command's keys stand, as Redis's key specifications say it. */
enum command_keys_kind {
    KEYS_NONE_KIND,
    KEYS_RANGE_KIND,   /* arguments[first], every `step`, up to `last` (negative: from the end) */
    KEYS_KEYWORD_KIND, /* behind `keyword`, searched from `first`; half of what follows (`limit` 2) */
    KEYS_COUNT_KIND,   /* arguments[first] is their number, they follow it */
    KEYS_SORT_KIND,    /* arguments[first], and the one behind the last STORE option of SORT */
};

struct command_keys {
    enum command_keys_kind kind;
    int first, last, step;
    int limit;           /* KEYWORD: keys are the first 1/limit of the arguments behind it */
    const char *keyword; /* upper-case */
    const char *flags;   /* as COMMAND INFO shows them: "RW access update" */
    const char *
        second_flags; /* of the keys behind the first, of SORT's destination; NULL: there is none such */
};

struct command_context;
typedef enum status command_handler(struct command_context *c);

struct command {
    const char *name; /* lower-case; a subcommand's is "client|id" */
    int arity;        /* as Redis: exact, or -minimum; counts all words of the name */
    uint32_t flags;   /* enum command_flags */
    struct command_keys keys;
    const char *group;       /* as COMMAND DOCS: "string" */
    const char *categories;  /* ACL: "@write @string @slow" */
    const char *since;       /* the Redis version that has it; "cordwood 1" for our own */
    const char *syntax;      /* arguments: "key [COUNT count]"; "" for none */
    const char *summary;     /* a sentence without its full stop */
    const char *complexity;  /* "O(1)" */
    const char *differences; /* from Redis, for redis-compat.md; "" for none */
    command_handler *run;    /* NULL: a container of subcommands that has no meaning alone */
};

/* All of commands.def, containers before their subcommands. */
extern const struct command command_table[];
extern const size_t command_table_size;

/* Finds by name, ASCII case ignored; `subcommand` may be empty. A container whose subcommand is not
 * known gives the container itself when `subcommand` is empty, NULL otherwise. */
const struct command *command_find(struct slice name, struct slice subcommand);
/* The top-level command, NULL if unknown. *has_subcommands: its second word is part of the name. */
const struct command *command_find_top(struct slice name, bool *has_subcommands);
/* Calls `each` with the index of every key of the request; false: the arguments do not fit. */
bool command_each_key(const struct command *command, const struct slice *arguments, size_t count,
                      void (*each)(void *context, size_t index), void *context);

/* The index of the destination of SORT ... STORE; 0: there is none. */
size_t command_store_index(const struct slice *arguments, size_t count);

/* redis-compat.md, appended. */
void command_print_document(struct buffer *out);

/* What a handler is given. Lives as long as the call. */
struct command_context {
    const struct command *command;
    struct session *session;
    struct service *service;
    struct access *access; /* NULL without access flags; access->now_ms is the command's time */
    struct resp_writer *reply;
    struct slice
        *arguments; /* valid until the command has ended (also over parking and blocking) */
    size_t count;
    unsigned database;  /* selected */
    uint64_t now_ms;    /* unix, the access' own; 0 without access (but for JSON lines) */
    bool nowait;        /* false: on a worker thread, may wait */
    bool resumed;       /* it has blocked before: it runs again after a wake */
    bool may_block;     /* false: inside something that cannot wait; answer as after a timeout */
    size_t reply_start; /* where the reply begins in reply->out */
    bool reply_is_too_large; /* command_reply_check has said so ... */
    bool has_no_memory;      /* ... or that other clients' replies take it up */
    size_t work_bytes; /* what the handler holds beside the reply; counts as the client's with it */
    enum status (*prepare)(struct command_context *c); /* command_prepare; NULL: not asked for */
    struct command_build *build;                       /* command_build.h; NULL: none */
};

/* ---- Arguments. Those that return bool have answered the error when they return false. -------- */

/* Strict decimal, as Redis: no sign "+", no leading zeros, no spaces. */
bool slice_parse_integer(struct slice text, int64_t *value);
bool slice_parse_unsigned(struct slice text, uint64_t *value);
bool slice_parse_double(struct slice text, double *value); /* no NaN */

/* "ERR value is not an integer or out of range". */
bool argument_integer(struct command_context *c, size_t index, int64_t *value);
/* A number that is 0 or more; else "ERR value is out of range, must be positive". */
bool argument_count(struct command_context *c, size_t index, int64_t *value);
/* Milliseconds of a BLOCK or timeout: "ERR timeout is not an integer or out of range", "ERR timeout
 * is negative". */
bool argument_timeout_ms(struct command_context *c, size_t index, int64_t *timeout_ms);
/* A timeout of seconds with decimals, rounded up to milliseconds: "ERR timeout is not a float or out of range",
 * "ERR timeout is out of range", "ERR timeout is negative". */
bool argument_timeout_seconds(struct command_context *c, size_t index, int64_t *timeout_ms);
/* How much of a client's bytes an error text shows, as Redis's %.128s: up to a NUL, `limit` at most. */
enum { ERROR_ARGUMENT_BYTES_MAX = 128 };
int slice_shown_bytes(struct slice text, size_t limit);
/* Two arguments for "%.*s". */
#define ARGUMENT_SHOWN(c, index)                                        \
    slice_shown_bytes((c)->arguments[index], ERROR_ARGUMENT_BYTES_MAX), \
        (const char *)(c)->arguments[index].data
/* The argument is this option name (ASCII case ignored). false without an error beyond the end. */
bool argument_is(const struct command_context *c, size_t index, const char *option);

/* ---- Replies that many commands share. All return STATUS_OK, to be returned by the handler,
 * unless they say otherwise. --------------------------------------------------------------------- */

enum status reply_ok(struct command_context *c);
enum status reply_error(struct command_context *c, const char *text); /* with its code: "ERR ..." */
enum status reply_errorf(struct command_context *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum status reply_syntax_error(struct command_context *c); /* ERR syntax error */
enum status reply_not_an_integer(struct command_context *c);
enum status reply_wrong_arity(struct command_context *c); /* ERR wrong number of arguments ... */
enum status reply_integer(struct command_context *c, int64_t value);
enum status reply_bulk(struct command_context *c, struct slice value); /* STATUS_NO_MEMORY */
enum status reply_null(struct command_context *c);
/* The reply to HELP of a container: a header line, `lines` up to a NULL, and HELP itself, as Redis has it. */
enum status reply_help(struct command_context *c, const char *const *lines);
/* The error reply of a failed status, see above. */
void reply_status(struct command_context *c, enum status status);

/* Counts a lookup of a key for INFO (keyspace_hits, _misses) by its status; returns the status. */
enum status command_lookup(struct command_context *c, enum status status);

/* ---- Large replies. Whoever writes one in a loop asks after each element, and returns what is not
 * OK: STATUS_WOULD_BLOCK when it is too much for a loop's thread, whose other clients would wait (it
 * goes on on a worker), STATUS_TOO_LARGE when it passes max-reply-size or the client's hard output
 * limit, or the client is evicted meanwhile, STATUS_NO_MEMORY. -------------------------------------------------- */

enum status command_reply_check_slowly(struct command_context *c, size_t bytes);
enum { REPLY_UNCHECKED_BYTES = 64 * 1024 };
static inline enum status command_reply_check(struct command_context *c)
{
    size_t bytes = c->reply->out->size - c->reply_start;
    if (c->reply->out->failed)
        return STATUS_NO_MEMORY;
    return bytes > REPLY_UNCHECKED_BYTES ? command_reply_check_slowly(c, bytes) : STATUS_OK;
}
/* Room for so many bytes more. STATUS_NO_MEMORY. */
enum status command_reply_reserve(struct command_context *c, size_t bytes);
/* For reads that look at much and show little, `bytes` being what was looked at. */
enum status command_work_check(const struct command_context *c, uint64_t bytes);

/* ---- Work ahead of a write -------------------------------------------------------------------- */

/* Returns STATUS_WOULD_BLOCK, for the handler of a write to return: `prepare` is called on a worker, without the
 * lock and with c->access closed (it may open it for reading), and then the handler again from its start. A
 * status of `prepare` other than STATUS_OK is answered, and ends the request. */
enum status command_prepare(struct command_context *c,
                            enum status (*prepare)(struct command_context *c));

/* ---- Blocking ------------------------------------------------------------------------------- */

/* For a handler that found nothing: the session waits until one of the keys (arguments of these
 * indexes) is touched by a write, or the time is over; the handler then returns STATUS_OK without a
 * reply. After a touch it runs again from its start with c->resumed set, and may block again: the
 * deadline and the place in the queue stay. After the time is over `timed_out` replies (NULL: a null
 * array).
 *
 * No wake-up is lost: after the waiters are registered the handler runs once more before the session
 * sleeps. What was resolved at the first run ("$" of XREAD) is kept by command_set_argument. */
struct command_wait {
    size_t first_key, key_count; /* consecutive arguments; key_count 0: only the time */
    int64_t timeout_ms;          /* 0: for ever */
    enum status (*timed_out)(struct command_context *c);
    /* Of a write that takes away what it waits for; NULL: of what may be shown to all. Then it waits in line
     * (serving.h): no touch wakes it, but the writer calls this, in a batch behind its own and for the key that was
     * touched, maybe on another thread. It replies as the handler would, or returns STATUS_NOT_FOUND if
     * there is nothing to take; it keeps to what a handler keeps to that must not wait, and does not block. */
    enum status (*serve)(struct command_context *c, size_t key_index);
};
void command_block(struct command_context *c, const struct command_wait *wait);
/* Replaces an argument for this and later runs of this request; the bytes are copied. STATUS_NO_MEMORY. */
enum status command_set_argument(struct command_context *c, size_t index, struct slice value);

/* ---- Handlers: every name in the last column of commands.def is one ------------------------------ */

#define COMMAND(name, arity, flags, keys, group, categories, since, syntax, summary, complexity, \
                differences, handler)                                                            \
    command_handler handler;
#define CONTAINER(name, arity, flags, group, categories, since, summary, complexity, differences)
#include "commands/commands.def"
#undef COMMAND
#undef CONTAINER

/* Whether the client may use more than AUTH: no password is set, or it was given. */
bool session_is_authenticated(const struct session *session);
/* Checks user ("default") and password; true also when none is set. */
bool session_authenticate(struct session *session, struct slice user, struct slice password);

#endif
