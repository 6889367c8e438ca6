/* SPDX-License-Identifier: MIT */
/* Appends to one stream or list, one behind the other in one batch, write its header once: it is held, decoded, from
 * one operation to the next, and written when something else follows or the batch ends.
 *
 *   access_begin_write     XADD: finds, decodes; writes the entry and the header
 *   access_continue_write  XADD: finds, decodes; writes the entry; the header is held
 *   access_continue_write  XADD: is given the header;  the entry;  it is held
 *   access_end             the header is written
 *
 * Only operations that look at no other header than their object's may find one held: access_continue_write is told
 * which are such, and writes what is held before the others. Its room is that of the operation that made it. */
#ifndef TYPES_HEADER_HOLD_H
#define TYPES_HEADER_HOLD_H

#include "types/keyspace.h"

/* What a type has decoded; slices in it mean nothing. */
struct header_hold_kind {
    size_t bytes; /* up to HEADER_HOLD_BYTES_MAX */
    /* Writes the header of `decoded`. */
    void (*write)(struct access *access, struct slice key, void *decoded);
};
enum { HEADER_HOLD_BYTES_MAX = 512 };

/* The object as the operation before left it. false: it is not held, and nothing is any more. */
bool header_hold_take(struct access *access, struct slice key, const struct header_hold_kind *kind,
                      void *decoded);
/* Instead of writing the header of an object that has one, found in this operation. false: it cannot be held. */
bool header_hold_keep(struct access *access, struct slice key, const struct header_hold_kind *kind,
                      uint64_t expire_ms, const void *decoded);
/* What is held, if anything is, is removed: it need not be written. */
void header_hold_drop(struct access *access);
/* Writes what is held, if anything is. Reads that may not wait still do not. */
void header_hold_write(struct access *access);
void header_hold_release(struct access *access); /* memory; nothing is held */

#endif
