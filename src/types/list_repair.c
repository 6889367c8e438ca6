/* SPDX-License-Identifier: MIT */
/* Copies a list that has lost elements, or does not know any more where they are. */
#include "types/list_state.h"
#include "types/parts_check.h"

#include <assert.h>

/* The records from the one behind the last that was copied on; what was given back is not shown. */
static struct lsm_iter *open_records(struct access *access, const struct list *list,
                                     const struct list_rebuild *rebuild)
{
    uint8_t from[LIST_KEY_BYTES], to[LIST_KEY_BYTES];
    uint64_t id = list->object.id;
    struct slice first = list_element_key(from, access, id, list->head);
    if (rebuild->behind.size > 0)
        first = buffer_slice(&rebuild->behind);
    struct lsm_iter *iter = parts_iter_open(access, TREE_PARTS, first,
                                            list_element_key(to, access, id, list_tail(list) + 1));
    lsm_iter_seek_first(iter);
    return iter;
}

/* Puts a value behind the others, if the batch has room for it. */
static bool copy_value(struct access *access, struct list *list, struct list_rebuild *rebuild,
                       struct slice value, uint64_t *room)
{
    uint64_t bytes = 64 + value.size + value.size / 512;
    if (bytes > *room) {
        rebuild->bytes_needed = bytes;
        return false;
    }
    *room -= bytes;
    list_put_element(access, list, rebuild->id, POSITION_MIDDLE + rebuild->kept, value);
    rebuild->kept++;
    return true;
}

/* Copies until the batch is full or the list is at its end (*done). */
static enum status copy_records(struct access *access, struct list *list, struct lsm_iter *iter,
                                struct list_rebuild *rebuild, bool *done)
{
    uint64_t room = LIST_REBUILD_BYTES + rebuild->bytes_needed;
    rebuild->bytes_needed = 0;
    for (; lsm_iter_valid(iter); lsm_iter_next(iter)) {
        uint8_t at[LIST_KEY_BYTES_MAX];
        struct list_key key;
        struct slice bytes = lsm_iter_key(iter), value;
        if (!list_key_parse(bytes, &key) || key.is_piece ||
            (key.label.size > 0 && !list->is_sparse))
            continue;
        memcpy(at, bytes.data, bytes.size);
        enum status status =
            list_decode_element(access, at, bytes.size, lsm_iter_value(iter), &value);
        if (status && status != STATUS_CORRUPT)
            return status;
        if (!status && !copy_value(access, list, rebuild, value, &room))
            return STATUS_OK;
        buffer_clear(&rebuild->behind);
        buffer_append(&rebuild->behind, at, bytes.size);
        buffer_append_byte(&rebuild->behind, 0); /* the first key behind it */
    }
    *done = lsm_iter_status(iter) == STATUS_OK;
    return lsm_iter_status(iter);
}

enum status list_rebuild_step(struct access *access, struct slice key, struct list_rebuild *rebuild,
                              bool *done)
{
    struct list list;
    enum status status = list_find(access, key, &list);
    *done = status == STATUS_NOT_FOUND; /* its time has come */
    if (status)
        return *done ? STATUS_OK : status;
    assert(!list_is_inline(&list));
    if (rebuild->id == 0)
        rebuild->id = access_new_id(access);
    struct lsm_iter *iter = open_records(access, &list, rebuild);
    status = copy_records(access, &list, iter, rebuild, done);
    lsm_iter_close(iter);
    if (status || !*done)
        return status;
    rebuild->is_copied = true;
    rebuild->lost = list.count > rebuild->kept ? list.count - rebuild->kept : 0;
    list.is_sparse = false;
    list.head = POSITION_MIDDLE;
    list.count = rebuild->kept;
    list.low_weight = list.high_weight = 0;
    if (list.count == 0)
        keyspace_remove(access, key, &list.object);
    else
        list_put_header(access, key, &list, rebuild->id);
    return STATUS_OK;
}

void list_rebuild_release(struct list_rebuild *rebuild)
{
    buffer_release(&rebuild->behind);
}
