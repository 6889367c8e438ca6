/* SPDX-License-Identifier: MIT */
/* The inside of lists, for list*.c alone: a list as a command works on it, its header, its elements'
 * records, the walk over them, and what changes. A command finds the list, works on a struct list, and
 * writes the header back.
 *
 * A list by position is dense, or *sparse* once LINSERT or LREM has changed it in its middle. Then some
 * positions (slots, list_slots.h) have no element, some have several; outside of the zone each has one.
 *
 *      head               low                    high              tail
 *       | one element each | as the slots have it | one element each |
 *
 * head and tail have an element. They move past low and high when elements are taken from the ends; what
 * the slots still count below head and above tail is *dead*. A slot of the zone that is dead is not used
 * again: whoever pushes to there clears the dead slots and goes on beyond the zone. */
#ifndef TYPES_LIST_STATE_H
#define TYPES_LIST_STATE_H

#include "types/list.h"
#include "types/list_label.h"
#include "types/list_slots.h"

enum {
    TAG_LIST = 'l',
    LIST_WEIGHT_BYTES = 4096,
    /* An element's key: prefix | 'l' | position | label; a piece's goes on with 00 | index. */
    LIST_KEY_BYTES = OBJECT_PREFIX_BYTES + 1 + 8, /* without label */
    LIST_PIECE_BYTES_MORE = 1 + 4,
    LIST_KEY_BYTES_MAX = LIST_KEY_BYTES + LIST_LABEL_BYTES_MAX + LIST_PIECE_BYTES_MORE,
    /* The first byte of an element's record. */
    ELEMENT_WHOLE = 0,
    ELEMENT_PIECES = 1,
};

#define POSITION_MIDDLE ((uint64_t)1 << 63)

struct list {
    struct object object; /* as found; id 0: inline or missing */
    bool found, is_sparse;
    bool has_pieces; /* an element that lies in pieces was put once */
    uint64_t count;
    /* A list by position. */
    uint64_t head;
    uint64_t low_weight, high_weight; /* popped below and above, not reclaimed yet */
    /* A sparse one. */
    uint64_t tail;
    uint64_t low, high;           /* the zone */
    uint64_t dead_low, dead_high; /* elements that the slots count below head, above tail */
    /* An inline one. */
    struct slice elements[LIST_INLINE_COUNT_MAX];
};

static inline bool list_is_inline(const struct list *list)
{
    return list->object.id == 0;
}

static inline uint64_t list_tail(const struct list *list)
{
    return list->is_sparse ? list->tail : list->head + list->count - 1;
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
/* Elements outside of the zone, below it and above. */
void list_count_outside(const struct list *list, uint64_t *below, uint64_t *above);

/* ---- list_element.c -------------------------------------------------------------------------- */

struct slice list_element_key(uint8_t at[LIST_KEY_BYTES], const struct access *access, uint64_t id,
                              uint64_t position);
/* What stands behind the prefix of an element's or piece's key. */
struct list_key {
    uint64_t position;
    struct slice label; /* in the key */
    bool is_piece;
};
/* false: it is neither. */
bool list_key_parse(struct slice key, struct list_key *parsed);

/* What a record of this value adds to a batch, its pieces included. */
static inline size_t list_element_bytes(size_t value_bytes)
{
    return value_bytes + LSM_RECORD_BYTES * (1 + value_bytes / LIST_PIECE_BYTES);
}
/* 0: it is whole. */
static inline uint64_t list_pieces_of(uint64_t bytes)
{
    return bytes > LIST_PIECE_BYTES ? (bytes + LIST_PIECE_BYTES - 1) / LIST_PIECE_BYTES : 0;
}
/* `key` is the element's, of `key_size` bytes, with room for a piece's. */
void list_put_record(struct access *access, struct list *list, uint8_t *key, size_t key_size,
                     struct slice value);
/* Of an element without label. */
void list_put_element(struct access *access, struct list *list, uint64_t id, uint64_t position,
                      struct slice value);
/* How many bytes the value in a record has, and in how many pieces (0: it is whole). STATUS_CORRUPT. */
enum status list_record_size(struct slice record, uint64_t *bytes, uint64_t *pieces);
/* The value in an element's record, `key` as above. *value is the record's, or access->scratch_large.
 * STATUS_CORRUPT, _NO_MEMORY. */
enum status list_decode_pieces(struct access *access, uint8_t *key, size_t key_size,
                               struct slice record, struct slice *value);
static inline enum status list_decode_element(struct access *access, uint8_t *key, size_t key_size,
                                              struct slice record, struct slice *value)
{
    if (record.size == 0 || record.data[0] != ELEMENT_WHOLE)
        return list_decode_pieces(access, key, key_size, record, value);
    *value = slice_skip(record, 1);
    return STATUS_OK;
}
/* Gives back the pieces from `from` on, of so many. */
void list_drop_pieces(struct access *access, uint8_t *key, size_t key_size, uint64_t from,
                      uint64_t pieces);

/* ---- list_cursor.c --------------------------------------------------------------------------- */

/* Where an element lies: in which slot, which of how many. */
struct list_place {
    uint64_t position;
    uint64_t offset, count;
};
/* Element `index` < count of a sparse list. In the zone a record a level. */
enum status list_locate(struct access *access, const struct list *list, uint64_t index,
                        struct list_place *place);

/* Walks over elements from an index on, towards either end. */
struct list_cursor {
    struct access *access;
    const struct list *list;
    bool backwards;
    uint64_t left;         /* elements still to come */
    uint64_t index;        /* of the next one */
    struct lsm_iter *iter; /* NULL: inline, or so few that they are read one by one */
    bool is_placed;        /* the iterator stands at the element before */
    struct slice record;   /* of the element met last; inline: its value */
    size_t key_size;       /* of its key */
    uint64_t position;     /* sparse: the slot at hand, */
    uint64_t in_slot;      /* how many of its elements are to come, */
    uint64_t to_skip;      /* and how many are passed over before */
    uint8_t key[LIST_KEY_BYTES_MAX];
    struct slot_span span; /* sparse: what was asked last */
};

/* `count` elements from `index` on; they are there. Closed before the access ends. */
enum status list_cursor_open(struct list_cursor *cursor, struct access *access,
                             const struct list *list, uint64_t index, uint64_t count,
                             bool backwards);
/* Moves to the next of the elements that are left: cursor->record and key, valid until the next call.
 * STATUS_CORRUPT also when it is missing: the header says that it is there. */
enum status list_cursor_move(struct list_cursor *cursor);
/* Its value, valid as long as the record. STATUS_CORRUPT, _NO_MEMORY. */
enum status list_cursor_value(struct list_cursor *cursor, struct slice *value);
/* How long its value is. STATUS_CORRUPT. */
enum status list_cursor_size(const struct list_cursor *cursor, uint64_t *bytes);
void list_cursor_close(struct list_cursor *cursor);
/* Shows a visitor `count` > 0 elements. *weight (NULL: not asked) grows by theirs. */
enum status list_walk(struct access *access, const struct list *list, uint64_t index,
                      uint64_t count, bool backwards, const struct list_visitor *visitor,
                      uint64_t *weight);
/* The value of one element; valid as list_index's. */
enum status list_read(struct access *access, const struct list *list, uint64_t index,
                      struct slice *value);

/* ---- list_edit.c ----------------------------------------------------------------------------- */

/* What a command changes in a list by position besides putting elements, found before anything is
 * written. Zeroed at first. Functions that return a status read, and may fail as reads do. */
struct list_edit {
    struct buffer changes; /* of struct slot_change, may fail */
    struct buffer
        doomed; /* of { sized key behind the prefix, varint pieces }: elements to delete, may fail */
    bool clears_low, clears_high; /* slots are cleared, from and to: */
    uint64_t low_from, low_to, high_from, high_to;
    struct slot_plan plan;
};

/* Before the others, if the list's middle may change: a dense list is one whose zone is empty. */
static inline void list_make_sparse(struct list *list)
{
    if (list->is_sparse)
        return;
    list->is_sparse = true;
    list->tail = list->head + list->count - 1;
    list->low = 1;
    list->high = 0;
    list->dead_low = list->dead_high = 0;
}
/* Takes `left` and `right` elements off the ends of a list that keeps others; weights are the caller's. */
enum status list_edit_cut(struct access *access, struct list *list, uint64_t left, uint64_t right,
                          struct list_edit *edit);
/* Makes way for so many elements to be pushed at an end. */
void list_edit_make_way(struct list *list, enum list_end end, uint64_t count,
                        struct list_edit *edit);
/* The element at which the cursor stands is deleted. */
enum status list_edit_doom(struct list_edit *edit, const struct list_cursor *cursor);
/* So many elements more in a slot. */
void list_edit_change(struct list_edit *edit, uint64_t position, int64_t delta);
/* After all of these: what the slots become, and room in the batch, `bytes` for what is put besides. A list
 * whose zone is still empty is dense again. */
enum status list_edit_plan(struct access *access, struct list *list, size_t bytes,
                           struct list_edit *edit);
/* Writes it, all but the header. */
void list_edit_apply(struct access *access, struct list *list, const struct list_edit *edit);
void list_edit_release(struct list_edit *edit);

/* ---- list.c ---------------------------------------------------------------------------------- */

/* Writes an inline (or new) list with other elements, which may be too many for its header now. */
void list_put_small(struct access *access, struct slice key, struct list *list,
                    const struct slice *elements, size_t count);
/* Gives popped elements back when they are enough, and writes the header of a list by position. */
void list_put_reclaimed(struct access *access, struct slice key, struct list *list);

/* Each verb in two parts: what reads and may fail, and then what writes, without facts. Between them the
 * list is as it will be. */
enum status list_plan_push(struct access *access, struct list *list, enum list_end end,
                           size_t count, struct list_edit *edit);
void list_push_planned(struct access *access, struct slice key, struct list *list,
                       enum list_end end, const struct slice *values, size_t count,
                       const struct list_edit *edit);
/* Takes so many elements off the ends, all of them perhaps. */
enum status list_plan_cut(struct access *access, struct list *list, uint64_t left, uint64_t right,
                          struct list_edit *edit);
void list_put_cut(struct access *access, struct slice key, struct list *list,
                  const struct list_edit *edit);
/* The same at one end, for elements of so much weight. */
enum status list_plan_pop(struct access *access, struct list *list, enum list_end end,
                          uint64_t count, uint64_t weight, struct list_edit *edit);
void list_note_pop(struct access *access, struct slice key, enum list_end end, bool is_last);

#endif
