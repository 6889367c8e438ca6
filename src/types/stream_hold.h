/* SPDX-License-Identifier: MIT */
/* Appends to one stream, one behind the other in one batch, write its header once: it is held, decoded, from one
 * operation to the next, and written when something else follows or the batch ends.
 *
 *   access_begin_write     XADD: finds, decodes; writes the entry and the header
 *   access_continue_write  XADD: finds, decodes; writes the entry; the header is held
 *   access_continue_write  XADD: is given the header;  the entry;  it is held
 *   access_end             the header is written
 *
 * Only operations that look at no other header than the stream's may find one held: access_continue_write is told
 * which are such, and writes what is held before the others. Its room is that of the append that made it. */
#ifndef TYPES_STREAM_HOLD_H
#define TYPES_STREAM_HOLD_H

#include "types/stream.h"

/* The stream as the append before left it. false: it is not held, and nothing is any more. */
bool stream_hold_take(struct access *access, struct slice key, struct stream *stream);
/* Instead of writing its header. false: it cannot be held. */
bool stream_hold_keep(struct access *access, const struct stream *stream);
/* Writes what is held, if anything is. Reads that may not wait still do not. */
void stream_hold_write(struct access *access);
void stream_hold_release(struct access *access); /* memory; nothing is held */

#endif
