/* SPDX-License-Identifier: MIT */
/* One event loop: a thread, a libuv loop, and the connections that belong to it. An iteration reads
 * from all sockets that have something, then, before it waits again, writes the log once and sends
 * what may be sent.
 *
 *      poll:     tasks, and connections that had given way: at most LOOP_TURN_NS, or one
 *                reads -> session_feed -> the connection joins `dirty`: the same; large replies that
 *                wait for nothing are sent on the spot
 *      prepare:  tasks that its own connections have posted: the same
 *                gate_write, then connection_flush of each in `dirty`: the same; who holds back
 *                replies gives them to the outbox, or joins `held` until the gate moves
 *
 * What does not find room is first in the next iteration. So an iteration is short however much there is to
 * do: new clients, timers and what workers have finished come in between. A connection's own piece (a read, a
 * flush) is bounded by SESSION_TURN_MS and by one request.
 *
 * Everything here belongs to the loop's own thread but loop_post, loop_post_soon and loop_gate_moved. */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include "base/buffer.h"
#include "server/link.h"
#include "server/outbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

struct server;
struct loop;

enum {
    LOOP_READ_BYTES = 64 * 1024, /* of one read */
    LOOP_READ_BYTES_MIN = 2 * 1024,
    LOOP_ROUND_BYTES = 512 * 1024, /* read in one round, or the minimum of each */
    LOOP_TURN_NS = 3000000,        /* of an iteration, for each of its parts */
    LOOP_SESSION_TURN_MS = 2,      /* service_host.turn_ms_max */
    LOOP_TICK_MS = 100,
    LOOPS_MAX = 128,
    LOOP_SENDS_MAX = 24,      /* of parcels by the log thread, for each sync, of all loops */
    LOOP_SENDS_ALONE_MAX = 8, /* of them without waking their loop */
    LOOP_STOP_GRACE_MS = 3000, /* so long a stop waits for clients to take their replies */
};

/* Something another thread wants done on a loop. Lies inside its owner; queued once at a time. `events`
 * are bits of the owner's; all that were posted until it runs come together. */
struct loop_task {
    void (*run)(struct loop_task *task, unsigned events);
    struct link link; /* this and all below: guarded by loop.lock */
    unsigned events;
    /* Set while another loop may do itself what it has posted, because the owner's loop has nothing to do with it
     * otherwise. Called under loop.lock of the owner's loop; false: it must be run after all. */
    bool (*reach)(struct loop_task *task, unsigned events);
};

struct loop {
    struct server *server;
    unsigned index;
    uv_loop_t uv;
    uv_async_t async;
    uv_prepare_t prepare;
    uv_idle_t idle; /* active: there is something to do at once */
    uv_timer_t tick;

    pthread_mutex_t lock; /* guards tasks and the links inside them */
    struct link tasks;
    unsigned own_tasks; /* that the loop's own thread has posted and not run since */
    bool owes_wakes;    /* any of these: loops, by index, that loop_post_soon has not woken yet */
    uint64_t owed_wakes[LOOPS_MAX / 64];
    atomic_bool gate_moved;
    atomic_bool awaits_gate; /* some connection is in `held` */

    struct link connections, dirty, held; /* of struct connection */
    struct link waiting;                  /* the same: their sessions have given way */
    struct outbox outbox;                 /* small replies that wait for a sync */
    bool has_parcels;                     /* some were put there in this iteration */
    unsigned connection_count;
    uint64_t ticks;
    /* Rounds of reading: everybody reads once in each. One iteration, or as many as it takes. */
    uint64_t round;
    unsigned readers, readers_before; /* connections that read in this one, in the one before */
    uint64_t reads_end_ns;            /* uv_hrtime, of this iteration's; 0: nobody has read yet */
    bool is_round_cut;                /* somebody wanted to read after that */
    uint64_t began_ns;         /* of this iteration's first callback; 0: there was none yet */
    uint64_t looked_ns;        /* uv_hrtime, when it was looked at last */
    uint64_t log_ns;           /* of it in the write of the log */
    uint64_t cpu_ns;           /* of the thread, when it was looked at last ... */
    uint64_t unseen_ns;        /* ... and what iterations have taken since */
    uint64_t stop_deadline_ms; /* of uv_now; 0: not stopping */
    uint8_t read_buffer[LOOP_READ_BYTES];
    struct buffer plaintext; /* of TLS: what the records in the read buffer have held */
};

/* 0 or a libuv error. */
int loop_init(struct loop *loop, struct server *server, unsigned index);
/* Runs until loop_stop was called and all connections are gone. */
void loop_run(struct loop *loop);
void loop_release(struct loop *loop); /* after loop_run, or when it never ran */

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task, unsigned events));
/* Any thread: the task runs on the loop, soon. What it does may free it: the caller must not touch
 * it, or its owner, any more unless something else keeps it alive. */
void loop_post(struct loop *loop, struct loop_task *task, unsigned events);
/* The same for what may come a hundredfold: of what one connection's requests post to another loop, the first
 * one does not wake it, but their end (loop_send_wakes). */
void loop_post_soon(struct loop *loop, struct loop_task *task, unsigned events);
/* On the loop that has posted: after a connection has executed what it had. A single task that may be reached
 * is left until the replies were sent, and then done by the loop itself: another one's waking costs more. */
void loop_send_wakes(struct loop *loop);
/* On the owner's loop: others may reach for the task from now on; NULL: nobody does when this returns. */
void loop_set_reach(struct loop *loop, struct loop_task *task,
                    bool (*reach)(struct loop_task *task, unsigned events));
/* Forgets it if it is queued. */
void loop_cancel(struct loop *loop, struct loop_task *task);
/* First thing in a callback that may take long: an iteration's time begins with it. */
static inline void loop_enter(struct loop *loop)
{
    if (loop->began_ns == 0)
        loop->began_ns = loop->looked_ns = uv_hrtime();
}
/* A connection wants to read, in `*round` it did so last: how much it may, 0: not in this iteration. All that
 * have something share a round. */
size_t loop_read_bytes(struct loop *loop, uint64_t *round);
/* Any thread: held replies may have become free. */
void loop_gate_moved(struct loop *loop);
/* Connections finish what they have and close; then loop_run returns. */
void loop_stop(struct loop *loop);
static inline bool loop_is_stopping(const struct loop *loop)
{
    return loop->stop_deadline_ms != 0;
}

#endif
