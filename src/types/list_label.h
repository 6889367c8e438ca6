/* SPDX-License-Identifier: MIT */
/* Labels: what stands behind a position in the key of an element that was inserted there, and sorts it
 * among its neighbours. A label is one part or more of 4 bytes, big-endian, from 01000000 to feffffff;
 * the last part is not 01000000. The element that was there before has the empty label, the lowest.
 *
 *   position | 00 | index           a piece of the element without label: no part begins with 00
 *   position | part [part ...]      an inserted element; its pieces follow it in the same way
 *   position | ff                   is behind all of them */
#ifndef TYPES_LIST_LABEL_H
#define TYPES_LIST_LABEL_H

#include "base/slice.h"

enum { LIST_LABEL_PART_BYTES = 4, LIST_LABEL_BYTES_MAX = 4096 };

/* A label between two, a < b; `b` NULL: there is none behind a. It has as few parts as these leave room
 * for. Insertions that go on in one direction need another part after half a million; of those that each
 * go between the last two, every 13th does. false: it would be longer than LIST_LABEL_BYTES_MAX. */
bool list_label_between(struct slice a, const struct slice *b, uint8_t at[LIST_LABEL_BYTES_MAX],
                        size_t *size);
/* Takes the label off the front of what stands behind a position in a key; what is left is empty or the
 * rest of a piece's key. false: it is none. */
bool list_label_take(struct slice *rest, struct slice *label);

#endif
