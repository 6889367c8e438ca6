/* SPDX-License-Identifier: MIT */
/* The content of a block of rows: sorted entries with prefix-compressed keys (FORMAT.md, "Rows").
 * The index and the range deletions use it, too. Order of rows is cursor order: key ascending, LSN
 * descending. */
#ifndef LSM_ROWS_H
#define LSM_ROWS_H

#include "base/coding.h"
#include "lsm/cursor.h"

#include <assert.h>

enum {
    ROWS_RESTART_INTERVAL = 16,
    ROWS_KEY_INLINE_BYTES = 112,
    ROWS_WINDOW_MAX = 16, /* rows that are decoded at once, none behind the next restart */
    ROWS_WINDOW_KEY_BYTES_MIN = 512,       /* room for their keys ... */
    ROWS_WINDOW_KEY_BYTES_MAX = 64 * 1024, /* ... and so much at most, or one */
    ROW_KIND_BITS = 3,
};
/* LSNs fit into a tag beside three bits of kind and a sign. */
#define ROWS_LSN_MAX (((uint64_t)1 << 60) - 1)

struct rows_builder {
    struct buffer bytes;
    struct buffer restarts; /* le32 each */
    struct buffer last_key;
    lsn_t base_lsn, last_lsn;
    size_t entries_at; /* offset of the first entry in `bytes` */
    unsigned interval, since_restart;
};

void rows_builder_init(struct rows_builder *rows, unsigned restart_interval);
void rows_builder_release(struct rows_builder *rows);
void rows_builder_clear(struct rows_builder *rows);
/* Rows come in order: false, and nothing is added, for one that does not. lsn <= ROWS_LSN_MAX. */
bool rows_builder_try_add(struct rows_builder *rows, struct slice key, lsn_t lsn,
                          enum entry_kind kind, struct slice value);
/* The same for a caller who knows that it does. */
void rows_builder_add(struct rows_builder *rows, struct slice key, lsn_t lsn, enum entry_kind kind,
                      struct slice value);
bool rows_builder_is_empty(const struct rows_builder *rows);
size_t rows_builder_size(const struct rows_builder *rows); /* as finish would give it */
/* The content; valid until the builder is cleared. Not empty before. */
struct slice rows_builder_finish(struct rows_builder *rows);

/* Rows that were decoded together, one behind the other. */
struct rows_window {
    struct entry rows[ROWS_WINDOW_MAX];
    bool is_plain; /* puts of different keys */
    uint8_t *keys;
    size_t key_capacity;
    size_t key_wanted; /* of it, by the last rows; 0: it was enough */
};

/* A place in the content. Not to be copied. The content outlives it. A decoding error makes it
 * invalid and sets `damaged`, until the next attach. */
struct rows_iter {
    bool valid, damaged;
    const struct entry *row;          /* that it stands on, if valid; until it moves */
    const struct entry *first, *last; /* among these, which are at hand */
    size_t first_at;                  /* offset of the first of them */

    struct slice entries;
    const uint8_t *restarts; /* le32 each, offsets into entries */
    uint32_t restart_count;
    lsn_t base_lsn;
    uint32_t restart_index; /* the last restart at or before the row */
    uint32_t row_max;       /* how many rows the last window was to hold */
    size_t restart_end;     /* offset of the next one, or where the rows end */
    uint8_t *key_bytes;     /* of `found`: key_inline or from the heap */
    size_t key_capacity;
    struct rows_window *window; /* NULL before the first step */
    struct entry found;         /* by a seek: alone at hand */
    uint8_t key_inline[ROWS_KEY_INLINE_BYTES];
};

void rows_iter_init(struct rows_iter *iter);
void rows_iter_release(struct rows_iter *iter);
/* STATUS_CORRUPT when the frame of the content is malformed. Starts invalid. */
enum status rows_iter_attach(struct rows_iter *iter, struct slice content);
void rows_iter_first(struct rows_iter *iter);
void rows_iter_last(struct rows_iter *iter);
/* The first row >= (key, lsn) in cursor order. lsn 0: the first one with a larger key. */
void rows_iter_seek(struct rows_iter *iter, struct slice key, lsn_t lsn);
/* A step from the last or the first row at hand. */
void rows_iter_next_window(struct rows_iter *iter);
void rows_iter_prev_window(struct rows_iter *iter);

static inline void rows_iter_next(struct rows_iter *iter)
{
    assert(iter->valid);
    if (iter->row < iter->last)
        iter->row++;
    else
        rows_iter_next_window(iter);
}

static inline void rows_iter_prev(struct rows_iter *iter)
{
    assert(iter->valid);
    if (iter->row > iter->first)
        iter->row--;
    else
        rows_iter_prev_window(iter);
}

/* Whether every byte is what the builder would have written: order, restarts, no gaps. */
bool rows_check(struct slice content);

/* Whether what is at hand are puts of different keys. */
static inline bool rows_iter_is_plain(const struct rows_iter *iter)
{
    return iter->first != &iter->found && iter->window->is_plain;
}

/* Where the row ends, counted from the first one. */
static inline size_t rows_row_end(const struct rows_iter *iter, const struct entry *row)
{
    return (size_t)(row->value.data - iter->entries.data) + row->value.size;
}

/* Where restart `index` stands, counted from the first row. */
static inline size_t rows_restart(const struct rows_iter *iter, uint32_t index)
{
    return le32_load(iter->restarts + index * sizeof(uint32_t));
}

/* How many bytes at their fronts two keys have in common. */
static inline size_t shared_prefix(struct slice a, struct slice b)
{
    size_t limit = a.size < b.size ? a.size : b.size;
    size_t shared = 0;
    while (limit - shared >= sizeof(uint64_t)) {
        uint64_t left = le64_load(a.data + shared), right = le64_load(b.data + shared);
        if (left != right)
            return shared + (size_t)__builtin_ctzll(left ^ right) / 8;
        shared += sizeof(uint64_t);
    }
    while (shared < limit && a.data[shared] == b.data[shared])
        shared++;
    return shared;
}

/* <0, 0, >0 in cursor order. */
static inline int entry_compare(struct slice a, lsn_t a_lsn, struct slice b, lsn_t b_lsn)
{
    int order = slice_compare(a, b);
    return order ? order : (a_lsn < b_lsn) - (a_lsn > b_lsn);
}

#endif
