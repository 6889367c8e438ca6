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
};

struct cursor {
    const struct cursor_ops *ops;
    bool valid;
    enum status status; /* not OK: invalid because of this, e.g. STATUS_WOULD_BLOCK */
    enum entry_kind kind;
    lsn_t lsn;
    struct slice key; /* both valid until the cursor moves */
    struct slice value;
};

/* A range deletion: hides versions of keys in [from, to) whose LSN is below `lsn`. */
struct range_delete {
    struct slice from;
    struct slice to;
    lsn_t lsn;
};

#endif
