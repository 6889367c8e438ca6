/* SPDX-License-Identifier: MIT */
/* The inside of lists, for list*.c alone: a list as a command works on it, its header and its elements'
 * records. A command finds the list, works on a struct list, and writes the header back. */
#ifndef TYPES_LIST_STATE_H
#define TYPES_LIST_STATE_H

#include "base/coding.h"
#include "types/list.h"

enum {
    TAG_LIST = 'l',
    LIST_WEIGHT_BYTES = 4096,
    /* An element's key: prefix | 'l' | position; a piece's goes on with 00 | index. */
    LIST_KEY_BYTES = OBJECT_PREFIX_BYTES + 1 + 8,
    LIST_PIECE_KEY_BYTES = LIST_KEY_BYTES + 1 + 4,
    /* The first byte of an element's record. */
    ELEMENT_WHOLE = 0,
    ELEMENT_PIECES = 1,
};

#define POSITION_MIDDLE ((uint64_t)1 << 63)

struct list {
    struct object object; /* as found; id 0: inline or missing */
    bool found;
    uint64_t count;
    /* A list by position: elements at head .. head + count - 1. */
    bool has_pieces; /* an element that lies in pieces was put once */
    uint64_t head;
    uint64_t low_weight, high_weight; /* popped below and above, not reclaimed yet */
    /* An inline one. */
    struct slice elements[LIST_INLINE_COUNT_MAX];
};

static inline bool list_is_inline(const struct list *list)
{
    return list->object.id == 0;
}

/* How much a popped element waits to be given back. */
static inline uint64_t list_weight(size_t value_bytes)
{
    return 1 + value_bytes / LIST_WEIGHT_BYTES;
}

/* ---- list_header.c --------------------------------------------------------------------------- */

/* Decodes the body of list->object. STATUS_CORRUPT, _UNSUPPORTED. */
enum status list_decode(struct list *list);
/* Finds and decodes. A missing key is an empty list to be pushed to, and STATUS_NOT_FOUND. */
enum status list_find(struct access *access, struct slice key, struct list *list);
/* Whether these elements fit into a header. */
bool list_fits_inline(const struct slice *elements, size_t count);
/* Write the header; `id` is the list's (new) one. */
void list_put_inline(struct access *access, struct slice key, const struct list *list,
                     const struct slice *elements, size_t count);
void list_put_header(struct access *access, struct slice key, const struct list *list, uint64_t id);

/* ---- list_element.c -------------------------------------------------------------------------- */

/* `at` has room for a piece's key. */
struct slice list_element_key(uint8_t at[LIST_PIECE_KEY_BYTES], const struct access *access,
                              uint64_t id, uint64_t position);
/* What a record of this value adds to a batch, its pieces included. */
static inline size_t list_element_bytes(size_t value_bytes)
{
    return value_bytes + LSM_RECORD_BYTES * (1 + value_bytes / LIST_PIECE_BYTES);
}
void list_put_element(struct access *access, struct list *list, uint64_t id, uint64_t position,
                      struct slice value);
/* The value in an element's record; `key` is the element's, with room for a piece's. *value is the
 * record's, or access->scratch_large. STATUS_CORRUPT, _NO_MEMORY. */
enum status list_decode_pieces(struct access *access, uint8_t key[LIST_PIECE_KEY_BYTES],
                               struct slice record, struct slice *value);
static inline enum status list_decode_element(struct access *access,
                                              uint8_t key[LIST_PIECE_KEY_BYTES],
                                              struct slice record, struct slice *value)
{
    if (record.size == 0 || record.data[0] != ELEMENT_WHOLE)
        return list_decode_pieces(access, key, record, value);
    *value = slice_skip(record, 1);
    return STATUS_OK;
}
/* STATUS_CORRUPT also when it is missing: the header says that it is there. */
enum status list_read_element(struct access *access, const struct list *list, uint64_t position,
                              struct slice *value);

/* How many pieces the element has; 0: it is whole. As list_read_element. */
enum status list_count_pieces(struct access *access, const struct list *list, uint64_t position,
                              uint64_t *pieces);
/* Gives back those of an element's former pieces that its present value, of so many bytes, has no need of. */
void list_drop_pieces(struct access *access, const struct list *list, uint64_t position,
                      uint64_t value_bytes, uint64_t pieces);

/* ---- list_cursor.c --------------------------------------------------------------------------- */

/* Walks over `left` elements from an index on, towards either end. */
struct list_cursor {
    struct access *access;
    const struct list *list;
    bool backwards;
    uint64_t left;         /* elements still to come */
    uint64_t index;        /* of the next one */
    struct lsm_iter *iter; /* NULL: inline, or so few that they are read one by one */
    uint8_t key[LIST_PIECE_KEY_BYTES];
};

/* `count` elements from `index` on; they are there. Closed before the access ends. */
void list_cursor_open(struct list_cursor *cursor, struct access *access, const struct list *list,
                      uint64_t index, uint64_t count, bool backwards);
/* The next of the elements that are left; *value is valid until the next call. STATUS_CORRUPT, _NO_MEMORY. */
enum status list_cursor_next(struct list_cursor *cursor, struct slice *value);
void list_cursor_close(struct list_cursor *cursor);
/* Shows a visitor `count` > 0 elements. *weight (NULL: not asked) grows by theirs. */
enum status list_walk(struct access *access, const struct list *list, uint64_t index,
                      uint64_t count, bool backwards, const struct list_visitor *visitor,
                      uint64_t *weight);

/* ---- list.c ---------------------------------------------------------------------------------- */

/* Writes an inline (or new) list with other elements, which may be too many for its header now. */
void list_put_small(struct access *access, struct slice key, struct list *list,
                    const struct slice *elements, size_t count);
/* Writes back a list that lost elements, the first `first` of them in front, or removes it. */
void list_put_shrunk(struct access *access, struct slice key, struct list *list, uint64_t first);
/* What list_push and list_pop write, facts included, once the list is found. */
void list_push_found(struct access *access, struct slice key, struct list *list, enum list_end end,
                     const struct slice *values, size_t count);
void list_pop_found(struct access *access, struct slice key, struct list *list, enum list_end end,
                    uint64_t count, uint64_t weight);

#endif
