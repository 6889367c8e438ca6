/* SPDX-License-Identifier: MIT */
#include "server/outbox.h"

#include <assert.h>
#include <sys/socket.h>

/* ---- Life ------------------------------------------------------------------------------------- */

void outbox_init(struct outbox *outbox)
{
    pthread_mutex_init(&outbox->lock, NULL);
    pthread_cond_init(&outbox->changed, NULL);
    outbox->waiters = 0;
    link_init(&outbox->queued);
}

void outbox_release(struct outbox *outbox)
{
    assert(link_is_alone(&outbox->queued));
    pthread_cond_destroy(&outbox->changed);
    pthread_mutex_destroy(&outbox->lock);
}

void parcel_init(struct parcel *parcel, int file_descriptor, void (*left)(struct parcel *parcel))
{
    *parcel = (struct parcel){.file_descriptor = file_descriptor, .left = left};
    link_init(&parcel->link);
}

void parcel_release(struct parcel *parcel)
{
    assert(!parcel->is_out);
    buffer_release(&parcel->bytes);
}

/* ---- The loop's side -------------------------------------------------------------------------- */

static struct parcel *parcel_of(struct link *link)
{
    return LINK_OWNER(link, struct parcel, link);
}

/* Nearly always at the end: what came later waits for later writes. */
static void queue(struct outbox *outbox, struct parcel *parcel)
{
    struct link *next = &outbox->queued;
    while (next->prev != &outbox->queued && parcel_of(next->prev)->awaits > parcel->awaits)
        next = next->prev;
    link_append(next, &parcel->link); /* before it */
    parcel->state = PARCEL_QUEUED;
}

bool outbox_put(struct outbox *outbox, struct parcel *parcel, struct slice bytes, lsn_t awaits)
{
    assert(!parcel->is_out && bytes.size <= PARCEL_BYTES_MAX);
    buffer_clear(&parcel->bytes);
    if (buffer_try_reserve(&parcel->bytes, bytes.size) != STATUS_OK)
        return false;
    buffer_append_slice(&parcel->bytes, bytes);
    parcel->sent = 0;
    parcel->awaits = awaits;
    parcel->is_out = true;
    pthread_mutex_lock(&outbox->lock);
    queue(outbox, parcel);
    pthread_mutex_unlock(&outbox->lock);
    return true;
}

/* The lock is held. */
static void await_sender(struct outbox *outbox, const struct parcel *parcel)
{
    outbox->waiters++;
    while (parcel->state == PARCEL_SENDING)
        pthread_cond_wait(&outbox->changed, &outbox->lock);
    outbox->waiters--;
}

/* The lock is held. */
static void end(struct parcel *parcel)
{
    parcel->state = PARCEL_NONE;
    parcel->is_out = false;
}

enum parcel_state outbox_collect(struct outbox *outbox, struct parcel *parcel, bool waits)
{
    if (!parcel->is_out)
        return PARCEL_NONE;
    pthread_mutex_lock(&outbox->lock);
    if (waits)
        await_sender(outbox, parcel);
    enum parcel_state state = parcel->state;
    if (state == PARCEL_SENT || state == PARCEL_LEFT)
        end(parcel);
    pthread_mutex_unlock(&outbox->lock);
    if (state == PARCEL_SENT && parcel->bytes.capacity > PARCEL_BYTES_KEPT_MAX)
        buffer_release(&parcel->bytes);
    return state;
}

void outbox_take_back(struct outbox *outbox, struct parcel *parcel)
{
    if (!parcel->is_out)
        return;
    pthread_mutex_lock(&outbox->lock);
    await_sender(outbox, parcel);
    link_remove(&parcel->link);
    end(parcel);
    pthread_mutex_unlock(&outbox->lock);
}

struct parcel *outbox_first(struct outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    struct link *first = outbox->queued.next;
    struct parcel *parcel = first == &outbox->queued ? NULL : parcel_of(first);
    pthread_mutex_unlock(&outbox->lock);
    return parcel;
}

/* ---- Sending ---------------------------------------------------------------------------------- */

static bool may_go(const struct outbox *outbox, struct link *link, lsn_t acked)
{
    return link != &outbox->queued && parcel_of(link)->awaits < acked;
}

bool outbox_has_more_than(struct outbox *outbox, lsn_t acked, unsigned count)
{
    pthread_mutex_lock(&outbox->lock);
    struct link *link = outbox->queued.next;
    for (unsigned i = 0; i < count && link != &outbox->queued; i++)
        link = link->next;
    bool has_more = may_go(outbox, link, acked);
    pthread_mutex_unlock(&outbox->lock);
    return has_more;
}

/* The lock is held on entry and return, and not meanwhile. */
static void send_one(struct outbox *outbox, struct parcel *parcel)
{
    link_remove(&parcel->link);
    parcel->state = PARCEL_SENDING;
    pthread_mutex_unlock(&outbox->lock);
    ssize_t sent = send(parcel->file_descriptor, parcel->bytes.data, parcel->bytes.size,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    parcel->sent = sent > 0 ? (size_t)sent : 0; /* what has failed fails again on the loop */
    bool is_all = parcel->sent == parcel->bytes.size;
    if (!is_all)
        parcel->left(parcel); /* as long as the loop would wait for it */
    pthread_mutex_lock(&outbox->lock);
    parcel->state = is_all ? PARCEL_SENT : PARCEL_LEFT;
    if (outbox->waiters > 0)
        pthread_cond_broadcast(&outbox->changed);
}

bool outbox_send(struct outbox *outbox, lsn_t acked, unsigned count_max)
{
    pthread_mutex_lock(&outbox->lock);
    for (unsigned i = 0; i < count_max && may_go(outbox, outbox->queued.next, acked); i++)
        send_one(outbox, parcel_of(outbox->queued.next));
    bool has_more = may_go(outbox, outbox->queued.next, acked);
    pthread_mutex_unlock(&outbox->lock);
    return has_more;
}
