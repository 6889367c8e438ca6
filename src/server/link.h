/* SPDX-License-Identifier: MIT */
/* Doubly linked rings whose links lie inside their elements: no allocation, O(1) removal. */
#ifndef SERVER_LINK_H
#define SERVER_LINK_H

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *next, *prev; /* to itself: an empty ring, or not in one */
};

static inline void link_init(struct link *link)
{
    link->next = link->prev = link;
}
static inline bool link_is_alone(const struct link *link)
{
    return link->next == link;
}
static inline void link_remove(struct link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link_init(link);
}
/* At the end of the ring; moves it when it is in one. */
static inline void link_append(struct link *ring, struct link *link)
{
    link_remove(link);
    link->prev = ring->prev;
    link->next = ring;
    ring->prev->next = link;
    ring->prev = link;
}
/* All of `from` goes to the end of `ring`. */
static inline void link_append_all(struct link *ring, struct link *from)
{
    if (link_is_alone(from))
        return;
    from->next->prev = ring->prev;
    ring->prev->next = from->next;
    from->prev->next = ring;
    ring->prev = from->prev;
    link_init(from);
}

#define LINK_OWNER(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))

#endif
