/* SPDX-License-Identifier: MIT */
/* Pages of streams: the text of STREAM_PAGE_ENTRIES entries as replies have them, in one piece, kept in the engine's
 * block cache. A reply that reads forward copies what it finds there instead of putting it together again.
 *
 *     ordinals   ... 127 | 128 ....................... 191 | 192 ...
 *                        | page 2: text, where entries end, IDs
 *
 * An entry never changes, and its ordinal is never given again; so a page is right for ever, if all of its entries
 * are still there. They are in a stream without single deletions, from the first entry on, which is found without
 * pages. A page is made of a reply that passes through all of it, when one did so not long ago: who reads a
 * stream once leaves none behind.
 *
 * A reply reveals no newer LSN by a page than by the stream's header, which was read for it: each entry was written in a
 * batch that wrote the header, too. So it waits at the gate for all that it shows. */
#ifndef COMMANDS_STREAM_PAGES_H
#define COMMANDS_STREAM_PAGES_H

#include "commands/command.h"
#include "types/stream.h"

enum {
    STREAM_PAGE_ENTRIES = 64,
    STREAM_PAGE_TEXT_BYTES_MAX = 48 * 1024,
    STREAM_PAGES_PASSED = 4096, /* that a thread remembers */
};

/* Of one reply. Its thread's, and valid as long as the stream. */
struct stream_pages {
    struct command_context *c;
    const struct stream *stream;
    bool is_usable;
    /* The page that the reply passes through: so many of its entries stand in the reply, from `begin` on. */
    unsigned passed;
    uint64_t number;
    size_t begin;
    uint32_t ends[STREAM_PAGE_ENTRIES];
    struct stream_id ids[STREAM_PAGE_ENTRIES];
};

void stream_pages_begin(struct stream_pages *pages, struct command_context *c,
                        const struct stream *stream, bool is_reverse);
/* Puts the entries from `ordinal` on that its page has, at most `count`, none behind `last`; returns how many,
 * *id is the newest one's. 0: there is no such page, or no such entry. */
size_t stream_pages_put(struct stream_pages *pages, uint64_t ordinal, struct stream_id last,
                        size_t count, struct stream_id *id);
/* The entry was put at `begin` of the reply by somebody else. */
void stream_pages_pass_slowly(struct stream_pages *pages, const struct stream_entry *entry,
                              size_t begin);
static inline void stream_pages_pass(struct stream_pages *pages, const struct stream_entry *entry,
                                     size_t begin)
{
    if (pages->is_usable && (pages->passed > 0 || entry->ordinal % STREAM_PAGE_ENTRIES == 0))
        stream_pages_pass_slowly(pages, entry, begin);
}

#endif
