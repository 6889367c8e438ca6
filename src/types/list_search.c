/* SPDX-License-Identifier: MIT */
/* Which elements of a list are equal to a value. */
#include "types/list_state.h"

#include <assert.h>

enum { CHECK_BYTES = 64 * 1024 }; /* between two questions whether to go on */

static enum status ask(const struct list_search *search, uint64_t bytes)
{
    return search->check ? search->check(search->context, bytes) : STATUS_OK;
}

static enum status search_from(struct list_cursor *cursor, const struct list_search *search)
{
    uint64_t rank = (uint64_t)search->rank, skipped = (search->rank > 0 ? rank : 0 - rank) - 1;
    uint64_t found = 0, bytes = 0, asked_bytes = 0;
    while (cursor->left > 0) {
        struct slice value;
        uint64_t index = cursor->index;
        enum status status = list_cursor_next(cursor, &value);
        bytes += 1 + value.size;
        if (!status && bytes - asked_bytes >= CHECK_BYTES) {
            status = ask(search, bytes);
            asked_bytes = bytes;
        }
        if (status)
            return status;
        if (!slice_equal(value, search->value) || (skipped > 0 && skipped--))
            continue;
        search->found(search->context, index);
        if (++found == search->count_max)
            return STATUS_OK;
    }
    return STATUS_OK;
}

enum status list_find_elements(struct access *access, struct slice key,
                               const struct list_search *search)
{
    struct list list;
    struct list_cursor cursor;
    bool backwards = search->rank < 0;
    assert(search->rank != 0);
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    uint64_t count = list.count;
    if (search->looked_max > 0 && search->looked_max < count)
        count = search->looked_max;
    list_cursor_open(&cursor, access, &list, backwards ? list.count - 1 : 0, count, backwards);
    status = search_from(&cursor, search);
    list_cursor_close(&cursor);
    return status;
}
