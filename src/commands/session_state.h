/* SPDX-License-Identifier: MIT */
/* What a session consists of; for session.c, execute.c, clients.c and the connection family alone.
 *
 * The bytes of a request stand in the host's buffer while it runs. A request that parks or blocks
 * is moved to `held`, and its arguments with it; from then on nothing of it points outside the
 * session.
 *
 *      fed bytes:  | request | request | request that parks | rest |
 *                   executed  executed        -> held         -> input
 */
#ifndef COMMANDS_SESSION_STATE_H
#define COMMANDS_SESSION_STATE_H

#include "base/arena.h"
#include "commands/command.h"
#include "commands/pubsub.h"
#include "commands/serving.h"
#include "commands/tracking.h"
#include "commands/transaction.h"
#include "commands/waiters.h"

#include <stdatomic.h>

enum {
    SESSION_NAME_BYTES_MAX = 1024,
    OUTPUT_KEPT_BYTES = 64 * 1024, /* an empty output buffer larger than this is given back */
    OUTPUT_EXPECTED_MAX = SESSION_OUTPUT_PAUSE_BYTES + OUTPUT_KEPT_BYTES, /* the last reply ends behind the pause */
    OUTPUTS_BELOW_MAX = 8,
    INPUT_KEPT_BYTES = 64 * 1024,
};

/* Why a request did not end. */
enum execution {
    EXECUTION_DONE, /* it did */
    EXECUTION_PARKED,
    EXECUTION_BLOCKED,
};

enum session_replies {
    SESSION_REPLIES_ON,
    SESSION_REPLIES_OFF,
    SESSION_REPLIES_SKIP,  /* not the next request's */
    SESSION_REPLIES_SKIPS, /* not this one's */
};

/* Output up to `end` may go when the acknowledged LSN is above `lsn`. Both ascend from mark to
 * mark; output behind the last mark waits for nothing but what is before it. */
struct gate_mark {
    uint64_t end; /* counted from the session's first output byte */
    lsn_t lsn;
};

/* Of one kind; the lists are guarded by the pubsub's mutex. */
struct session_subscriptions {
    struct subscription *first, *last;
    size_t count;        /* of the thread that executes for the session */
    atomic_size_t shown; /* the same, for all */
};

struct session {
    struct service *service;
    void *owner;
    bool is_local, json;
    bool authenticated;
    bool closing; /* CLOSING after the request that runs now */
    bool input_ended;
    enum session_state state;

    /* Shown by CLIENT LIST, also to other threads: fixed, atomic (relaxed), or guarded by the
     * service's clients mutex. */
    struct session *next, *previous; /* guarded by that mutex */
    uint64_t id;
    char *address, *local_address;
    int file_descriptor;
    uint64_t created_ms;
    struct buffer name, library_name, library_version; /* guarded by that mutex */
    atomic_uint database;
    atomic_int protocol;
    atomic_ullong active_ms; /* last request */
    atomic_size_t input_bytes, output_bytes;
    atomic_bool is_blocked;
    _Atomic(const struct command *) last_command;

    /* Input. */
    struct buffer input;   /* not executed yet */
    bool input_is_partial; /* it holds the start of a request and no whole one */
    bool has_given_way;    /* it may hold whole ones that were not executed for the time's sake */
    struct resp_request request; /* the one that runs, or the partial one at the input's start */
    size_t line_scanned;         /* JSON: bytes of the partial line that hold no line end */
    bool line_dropped;           /* JSON: the line is over the limit, its bytes are thrown away */
    bool line_seen;              /* JSON: the first line began with {, so this is no browser */

    /* The request that is parked or blocked. */
    struct slice raw;           /* bytes of the request that runs, while it is not held */
    struct buffer held;         /* empty: none */
    struct arena set_arguments; /* bytes of command_set_argument, until the request ends */
    unsigned delay_us;          /* what session_delay_us says while it is parked */
    unsigned owed_us; /* of delays that were too short to wait for; below SESSION_DELAY_US_MIN */
    atomic_bool
        work_done; /* session_work has run since it parked; what follows is the loop's again */
    enum execution work_result;
    struct buffer work_output; /* the worker's reply and what it reveals */
    lsn_t work_lsn;

    struct transaction transaction;
    struct session_subscriptions subscriptions[PUBSUB_KINDS];
    struct inbox inbox;
    atomic_bool is_tracking;       /* CLIENT TRACKING */
    /* Shown by CLIENT LIST: to which client invalidations go, 0: this one, -1: it does not track ... */
    atomic_llong shown_redirect;
    atomic_bool shown_broadcast, shown_redirect_broken; /* ... BCAST; that client is gone */
    enum tracking_caching caching; /* CLIENT CACHING, for the next request */
    enum session_replies replies;  /* CLIENT REPLY */
    atomic_bool is_kept;           /* CLIENT NO-EVICT */
    atomic_bool is_no_touch;       /* CLIENT NO-TOUCH; only shown, no access has a time */
    bool waits_for_pause;          /* BLOCKED: its request has not begun, CLIENT PAUSE holds it */
    lsn_t taken_lsn;               /* of messages that the running request has put into its reply */

    /* Blocking. */
    bool wait_asked;  /* the handler called command_block in this run */
    bool resumed;     /* it has blocked before */
    struct touched_databases touched; /* by the handler */
    struct command_wait wait;
    struct waiter *waiters; /* registered ones */
    size_t waiter_count;
    atomic_int waiting;   /* enum waiting, serving.h */
    struct buffer served; /* the reply of who has served it; written while it is SERVING */
    lsn_t served_lsn;     /* what that reveals */
    bool passes_on;       /* at its end the next in line is told */
    uint64_t deadline_us; /* 0: none */

    /* Output. */
    struct buffer output;
    size_t output_offset;   /* bytes of `output` already consumed */
    size_t output_expected; /* what a large output took before it was given back; 0: none was */
    unsigned outputs_below; /* in a row, of those, that took less than half of it */
    uint64_t output_base;   /* position of output.data[0], as marks count */
    uint64_t released_end;  /* position up to which marks were passed */
    struct gate_mark *marks;
    size_t mark_first, mark_count, mark_capacity;
    uint64_t over_soft_since_us; /* 0: output is below the soft limit */
    bool is_over_limit;
    bool reply_over_limit; /* by the thread that ran the request: its reply passed the hard limit */

    /* Memory, see client_memory.c; read by all threads. */
    size_t unsent_bytes;          /* output that the host has taken and could not send yet */
    atomic_size_t memory_bytes;   /* by the loop */
    atomic_size_t building_bytes; /* by the thread that runs the request */
    atomic_bool is_evicted;       /* the host was told to close it */
    size_t evicted_bytes;         /* what it held then; guarded by the service's clients mutex */
};

/* ---- execute.c
 * ----------------------------------------------------------------------------------- */

struct service_thread;

/* Runs session->request: appends its reply to `out` and raises *lsn to what the reply reveals. */
enum execution session_execute(struct session *session, struct service_thread *thread, bool nowait,
                               struct buffer *out, lsn_t *lsn);
/* The longest JSON line that this session takes now. */
size_t session_line_bytes_max(const struct session *session);
/* CLIENT REPLY OFF and SKIP: what a request has answered is not sent. */
void session_drop_reply(struct session *session, struct buffer *out, size_t start);
/* A request of the context is answered: counts it for INFO. */
void command_count(const struct command_context *c, struct service_thread *thread,
                   size_t reply_start);
/* Ends the blocked request: SERVED, or TOLD_TIMEOUT (the time is over, too) or _ERROR. */
void session_execute_end(struct session *session, struct service_thread *thread, enum waiting end,
                         struct buffer *out, lsn_t *lsn);
/* What the request's batch may take, of a command that writes. */
size_t command_bytes_max(const struct command *command, const struct slice *arguments,
                         size_t count);
/* JSON: the error reply for what a peer left unfinished. */
void session_execute_half_line(struct session *session, struct service_thread *thread,
                               struct buffer *out);
/* Moves the running request into the session, if it is not there yet. false: there is no memory. */
bool session_hold_request(struct session *session);
/* Lets go of the held request, its waiters and what it had set. */
void session_request_end(struct session *session);

/* Messages that came before the running request's answer go before it. */
void session_take_messages(struct command_context *c);
size_t session_subscription_count(const struct session *session); /* of all kinds */

/* ---- session_output.c
 * ---------------------------------------------------------------------------- */

/* Before a request: room as the last outputs took it. */
void session_output_prepare(struct session *session);
/* What was appended to the output since the last call reveals `lsn` (0: nothing). */
void session_mark_output(struct session *session, lsn_t lsn);
/* Any thread: bytes went to the client by one call of the kernel. */
void session_count_sent(struct session *session, size_t bytes);
/* There is no memory for a reply: says so; the session ends behind the replies that it has. */
void session_lose_reply(struct session *session);
bool session_output_is_full(const struct session *session); /* above SESSION_OUTPUT_PAUSE_BYTES */
void session_over_output_limit(struct session *session);    /* says so, once; the host drops it */

/* ---- client_control_commands.c
 * --------------------------------------------------------------------- */

/* CLIENT PAUSE holds requests with these flags back, until then. */
bool service_is_paused(struct service *service, uint32_t flags, uint64_t *until_us);

/* ---- client_commands.c
 * ----------------------------------------------------------------------------- */

enum client_type { CLIENT_TYPE_ANY, CLIENT_TYPE_NORMAL, CLIENT_TYPE_PUBSUB, CLIENT_TYPE_NONE };
/* A type's name at the index; false: the error is answered. There are no replicas and no master: _NONE. */
bool client_type_parse(struct command_context *c, size_t index, enum client_type *type);
bool client_is_of_type(const struct session *session, enum client_type type);
bool session_is_valid_name(struct slice name); /* printable, no spaces; also a library's name */
/* `field` is the session's name, library_name or library_version. */
void session_set_name(struct session *session, struct buffer *field, struct slice name);

#endif
