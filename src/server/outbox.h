/* SPDX-License-Identifier: MIT */
/* Replies of a loop's connections that wait for a sync, each a parcel with a copy of its bytes. Who sees the
 * sync's end sends them: the log thread some, and the loop others meanwhile. So the loop executes more, and
 * clients' threads are woken on the core of the log thread, which waits for the disk most of the time.
 *
 *      NONE --put--> QUEUED --a sender--> SENDING --> SENT, or LEFT: the socket has not taken all
 *      SENT, LEFT --collect--> NONE, any --take back--> NONE, both by the loop
 *
 * A parcel lies in its connection and belongs to the loop, but while it is QUEUED or SENDING. */
#ifndef SERVER_OUTBOX_H
#define SERVER_OUTBOX_H

#include "base/buffer.h"
#include "lsm/lsm.h"
#include "server/link.h"

#include <pthread.h>

enum {
    PARCEL_BYTES_MAX = 4096,
    PARCEL_BYTES_KEPT_MAX = 1024, /* of memory, for the next one */
};

enum parcel_state { PARCEL_NONE, PARCEL_QUEUED, PARCEL_SENDING, PARCEL_SENT, PARCEL_LEFT };

struct parcel {
    struct link link; /* in outbox.queued; this and the state: guarded by the outbox's lock */
    enum parcel_state state;
    bool is_out;  /* not NONE; the loop's alone */
    lsn_t awaits; /* it may go when the acknowledged LSN is above this */
    struct buffer bytes;
    size_t sent; /* bytes of them */
    int file_descriptor;
    /* The sender's thread: it will be LEFT soon. The loop must collect it. */
    void (*left)(struct parcel *parcel);
};

struct outbox {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a parcel is SENDING no more, and somebody waits for that */
    unsigned waiters;
    struct link queued; /* by what they wait for, ascending */
};

void outbox_init(struct outbox *outbox);
void outbox_release(struct outbox *outbox); /* nothing is in it */
void parcel_init(struct parcel *parcel, int file_descriptor, void (*left)(struct parcel *parcel));
void parcel_release(struct parcel *parcel); /* it is not out */

/* The loop: at most PARCEL_BYTES_MAX, copied; the parcel is not out. false: no memory. */
bool outbox_put(struct outbox *outbox, struct parcel *parcel, struct slice bytes, lsn_t awaits);
/* The loop: SENT or LEFT: it is out no more, `bytes` and `sent` tell the rest. Others: nothing was done.
 * `waits`: while it is SENDING, for one call of the kernel that does not wait. */
enum parcel_state outbox_collect(struct outbox *outbox, struct parcel *parcel, bool waits);
/* The loop: it is not out in any case, nobody sends of it any more. Waits as above. */
void outbox_take_back(struct outbox *outbox, struct parcel *parcel);

/* Any thread: sends what may go, the oldest `count_max` at most. true: more may go. */
bool outbox_send(struct outbox *outbox, lsn_t acked, unsigned count_max);
/* Any thread: more than `count` may go. */
bool outbox_has_more_than(struct outbox *outbox, lsn_t acked, unsigned count);
/* The loop: the oldest that is queued; NULL: none is. */
struct parcel *outbox_first(struct outbox *outbox);

#endif
