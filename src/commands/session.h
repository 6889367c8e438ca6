/* SPDX-License-Identifier: MIT */
/* A client is a session: bytes in, replies out. TCP, unix sockets, tests and fuzzers all use this
 * door.
 *
 * States and moves:
 *
 *      READY --feed--> READY            all complete requests are executed
 *      READY --feed--> PARKED           a request needs a cold read (or the lock, or is held back):
 *                                       run session_work on a worker thread, then session_resume
 *      READY --feed--> BLOCKED          XREAD BLOCK: until a wake, a timeout, or unblock
 *      READY --feed--> CLOSING          QUIT, a protocol error: send what is left, then destroy
 *      PARKED --work, resume--> any     BLOCKED --resume (after wake or timeout)--> any
 *
 * A session is touched by its own loop alone; session_work runs on a worker. During session_work the
 * loop may go on with session_feed and the session_output functions (the worker writes elsewhere; its
 * reply appears with session_resume), but not with session_destroy.
 *
 * Every thread that calls in here uses a reader of its own, made at its first call and kept by the
 * service (service.h, service_thread_idle): at most SERVICE_THREADS_MAX threads. */
#ifndef COMMANDS_SESSION_H
#define COMMANDS_SESSION_H

#include "base/buffer.h"
#include "lsm/lsm.h"

struct service; /* service.h: what all sessions share */
struct session;

enum session_state { SESSION_READY, SESSION_PARKED, SESSION_BLOCKED, SESSION_CLOSING };

struct session_options {
    const char *address;       /* "127.0.0.1:51234", "/path:0" for unix; copied */
    const char *local_address; /* copied */
    int file_descriptor;       /* shown by CLIENT LIST; -1: none */
    bool is_local;             /* loopback or unix: protected mode lets it in */
    bool json;                 /* JSON lines (port 5260) instead of RESP */
    void *owner;               /* the host's connection; given to service callbacks */
};

struct session *session_create(struct service *service, const struct session_options *options);
void session_destroy(struct session *session); /* not while PARKED and at work */
void *session_owner(const struct session *session);

/* Takes all bytes: executes complete requests, keeps the rest. While not READY it only keeps them;
 * the host stops reading the socket then.
 *
 * A client that sends and does not read must not fill the memory with replies: while more than
 * SESSION_OUTPUT_PAUSE_BYTES of output are not consumed, no further request is executed; the session
 * is READY and session_is_paused. When the host has sent some, it feeds it (no bytes) to go on. */
enum { SESSION_OUTPUT_PAUSE_BYTES = 256 * 1024 };
enum session_state session_feed(struct session *session, struct slice bytes);
bool session_is_paused(
    const struct session *session); /* complete or partial input waits for that */
/* READY, but the last call took its time (service_host.turn_ms_max): it feeds it (no bytes) when the
 * others had their turn, and reads no more of its socket until then. */
bool session_has_given_way(const struct session *session);
/* Executes the parked request with waiting reads. On any one thread. */
void session_work(struct session *session);
/* After session_work or a wake, on the session's loop. A call without reason changes nothing, also
 * while a worker is inside session_work. */
enum session_state session_resume(struct session *session);
enum session_state session_state(const struct session *session);
/* After service_host.deliver, on the session's loop: messages of pub/sub go behind its output. */
void session_deliver(struct session *session);
/* The same from any thread, while the session's own one does nothing with it and its output is empty: `send`
 * says how many of the bytes it has sent. false: not all could go; session_deliver has the rest, which comes before
 * anything else when *sent > 0. */
bool session_send_messages(struct session *session, lsn_t acked,
                           size_t (*send)(void *context, struct slice bytes), void *context,
                           size_t *sent);
bool session_is_subscribed(const struct session *session);
/* The peer sends no more: half a JSON line gets its error reply. CLOSING when READY; a session that is
 * PARKED or BLOCKED first goes on, and is CLOSING after its last complete request. */
enum session_state session_end_input(struct session *session);
size_t session_input_bytes(const struct session *session); /* kept and not executed */

/* BLOCKED: monotonic microseconds at which the host calls session_timeout, 0: never. */
uint64_t session_deadline_us(const struct session *session);
/* When that time has come; a call before it changes nothing. */
enum session_state session_timeout(struct session *session);
/* PARKED because writers are held back: wait so long before session_work; 0: at once. Never shorter than
 * SESSION_DELAY_US_MIN: timers go by the millisecond. */
enum { SESSION_DELAY_US_MIN = 1000 };
unsigned session_delay_us(const struct session *session);

/* ---- Output. Replies wait behind the gate until the LSN that they reveal is acknowledged. ----- */

/* Replies not yet consumed, oldest first; stays valid until the next call on the session. */
struct slice session_output(const struct session *session);
/* How many bytes of it may be sent when everything below `acked` is acknowledged. */
size_t session_output_released(struct session *session, lsn_t acked);
/* The acknowledgement that the next held byte waits for: it may go when acked > this. 0: none held. */
lsn_t session_output_awaits(const struct session *session);
lsn_t session_output_awaits_all(const struct session *session); /* ... the last held byte */
/* The client has more released output, or sends more, than its limits allow
 * (client-output-buffer-limit, checked by session_output_released and while a reply is built;
 * client-query-buffer-limit): drop the
 * connection without sending the rest. A session that is at work ends first. */
bool session_is_over_limit(const struct session *session);
void session_output_consume(struct session *session, size_t count);
/* How much of what was consumed the host still keeps: it counts as the client's memory. */
void session_set_unsent(struct session *session, size_t bytes);

#endif
