/* SPDX-License-Identifier: MIT */
/* Who waits in line for an element (BLPOP and the like) is served by whoever brings one: within the same
 * holding of the write lock, behind the batch that brought it, and in a batch of its own for each element. So
 * nobody takes it who came later, and what was popped has its reply: first come, first served, each element
 * to one. Who is gone, or does not wait any more, was not popped for.
 *
 *   a writer, under the write lock                    the loop of who waits
 *     batch: RPUSH k v                                   BLPOP k 0: nothing, registers in line, looks once more
 *     first in line of k: SERVABLE -> SERVING            (SERVABLE)
 *     batch: pop, the reply into session->served         woken; waits while it is SERVING
 *     SERVING -> SERVED                                  takes the reply to its output
 *
 * Who has kept the lock from its look to its registration need not look once more.
 * What is not in memory, or fails, is left to the session itself: it is woken, keeps its place (LOOKS), and
 * runs its request again as it would a new one; those behind it wait until it has. A session that ends in
 * that state tells the next one.
 *
 * The state is a session's `waiting`, of sessions that do not wait in line (XREAD BLOCK, WAIT) as well:
 *
 *   NOT --registers--> LOOKS --finds nothing--> SERVABLE --claimed--> SERVING --> SERVED or SERVABLE
 *                       ^  <----woken, left to itself--------'           '------> AGAIN
 *                       '-- AGAIN: something came while it looked, or was left to it; it has not looked since
 *   SERVABLE, LOOKS, AGAIN --CLIENT UNBLOCK--> TOLD_TIMEOUT, TOLD_ERROR   --CLIENT KILL--> KILLED
 *   any but SERVING --the request ends--> NOT
 *
 * Moves to and from SERVING are made under the write lock alone; so are those from LOOKS to SERVABLE of who
 * waits in line. Who finds SERVING waits for service.serving_mutex, which is held meanwhile. */
#ifndef COMMANDS_SERVING_H
#define COMMANDS_SERVING_H

#include "commands/command.h"

enum waiting {
    WAITING_NOT,
    WAITING_LOOKS,
    WAITING_AGAIN,
    WAITING_SERVABLE,
    WAITING_SERVING,
    WAITING_SERVED,
    WAITING_TOLD_TIMEOUT,
    WAITING_TOLD_ERROR,
    WAITING_KILLED,
};

struct service_thread;

/* ---- By writers, under the write lock. ------------------------------------------------------- */

/* After a batch of the thread's access, whose facts were handled: serves who waits for what it brought, and
 * for what these bring. `all`: whole databases have changed. */
void serving_after_batch(struct service_thread *thread, bool all);
/* A handler that would take from the key: nobody who waits in line has come before it. */
bool serving_is_next(const struct command_context *c, size_t key_index);

/* ---- By the session's own thread. ------------------------------------------------------------ */

/* Registered anew, or woken: it will look. Returns the state before, which it leaves when it is
 * SERVED, KILLED or was told something. */
enum waiting session_look(struct session *session);
void session_found_nothing(struct session *session); /* in a handler: LOOKS -> SERVABLE */
/* It does not wait any more; returns the state before. */
enum waiting session_stop_waiting(struct session *session);
/* After it was removed from the lines: something may have been left to it. */
void serving_pass_on(struct session *session);

/* ---- By any thread, while the session cannot go. --------------------------------------------- */

/* From a state in which it waits to one of the last three; false: it does not, or is served. */
bool session_tell(struct session *session, enum waiting what);

#endif
