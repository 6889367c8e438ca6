/* SPDX-License-Identifier: MIT */
/* What every source of versions (memtable, table, merge of several) looks like to the layer above.
 * Order: key ascending, and for one key LSN descending (newest first). The current entry lies in the
 * struct, so looking costs no call. */
#ifndef LSM_CURSOR_H
#define LSM_CURSOR_H

#include "lsm/lsm.h"

/* Numbers of the formats (WAL and tables). 3 and above are free. */
enum entry_kind {
    ENTRY_DELETE = 0,
    ENTRY_PUT = 1,
    ENTRY_DELETE_RANGE = 2, /* key = from, value = to; never appears in a cursor */
};

/* One version of a key. */
struct entry {
    struct slice key, value;
    lsn_t lsn;
    enum entry_kind kind;
};

/* Versions that a cursor has at hand: the one it stands on and those that follow in one direction. Only
 * puts of different keys; of none is there a newer version in the cursor that has not been passed yet. */
struct cursor_run {
    const struct entry *first; /* backward the next one stands before it in memory, not behind */
    size_t count;              /* 0: nothing is known */
    lsn_t lsn_max;             /* none of them has a newer one */
};

struct cursor;

struct cursor_ops {
    void (*seek)(struct cursor *cursor, struct slice key,
                 lsn_t lsn); /* first entry >= (key, lsn) in
                           cursor order: that key with an LSN <= lsn, or a later key */
    void (*seek_for_prev)(struct cursor *cursor,
                          struct slice key); /* last entry with a key <= key */
    void (*first)(struct cursor *cursor);
    void (*last)(struct cursor *cursor);
    void (*next)(struct cursor *cursor);
    void (*prev)(struct cursor *cursor);
    void (*destroy)(struct cursor *cursor);
    /* For a scan that looks at many without a call for each; may be NULL where may_run is never set. The
     * cursor is valid. `run` tells what follows, until the cursor moves; `advance` moves to one of them, so
     * many behind, or if negative before, the current one. */
    struct cursor_run (*run)(struct cursor *cursor, bool backward);
    void (*advance)(struct cursor *cursor, ptrdiff_t steps);
};

struct cursor {
    const struct cursor_ops *ops;
    bool valid;
    bool may_run;       /* asking for a run may pay: not where sources alternate */
    enum status status; /* not OK: invalid because of this, e.g. STATUS_WOULD_BLOCK */
    enum entry_kind kind;
    lsn_t lsn;
    struct slice key; /* both valid until the cursor moves */
    struct slice value;
};

/* The run's `index`th. */
static inline const struct entry *cursor_run_at(const struct cursor_run *run, bool backward,
                                                size_t index)
{
    return backward ? run->first - index : run->first + index;
}

/* Of a run that is not empty: how many stand before `bound` in its direction. */
size_t cursor_run_before(const struct cursor_run *run, bool backward, struct slice bound);

/* A range deletion: hides versions of keys in [from, to) whose LSN is below `lsn`. */
struct range_delete {
    struct slice from;
    struct slice to;
    lsn_t lsn;
};

#endif
