/* SPDX-License-Identifier: MIT */
/* What looks at elements between the ends: LPOS, and LINSERT and LREM, which change a list there. */
#include "types/list_state.h"

#include <assert.h>

enum {
    CHECK_BYTES = 64 * 1024, /* between two questions whether to go on */
    LOOK_BYTES = 64,         /* what a look at an element counts, without its value */
};

/* A walk that compares. */
struct search {
    struct list_cursor cursor;
    struct slice value;
    const struct list_patience *patience;
    uint64_t bytes, asked_bytes; /* looked at; at the last question */
};

static enum status search_open(struct search *search, struct access *access,
                               const struct list *list, struct slice value, uint64_t count,
                               bool backwards, const struct list_patience *patience)
{
    search->value = value;
    search->patience = patience;
    search->bytes = search->asked_bytes = 0;
    return list_cursor_open(&search->cursor, access, list, backwards ? list->count - 1 : 0, count,
                            backwards);
}

static enum status search_next(struct search *search, bool *is_equal)
{
    const struct list_patience *patience = search->patience;
    struct slice value;
    uint64_t bytes = 0;
    enum status status = list_cursor_move(&search->cursor);
    if (!status)
        status = list_cursor_size(&search->cursor, &bytes);
    *is_equal = !status && bytes == search->value.size; /* pieces of others are not read */
    search->bytes += LOOK_BYTES + (*is_equal ? bytes : 0);
    if (*is_equal)
        status = list_cursor_value(&search->cursor, &value);
    *is_equal = *is_equal && !status && slice_equal(value, search->value);
    if (status || search->bytes - search->asked_bytes < CHECK_BYTES)
        return status;
    search->asked_bytes = search->bytes;
    return patience->check ? patience->check(patience->context, search->bytes) : STATUS_OK;
}

/* ---- LPOS ------------------------------------------------------------------------------------ */

static enum status find_matches(struct search *search, const struct list_search *options)
{
    uint64_t rank = (uint64_t)options->rank;
    uint64_t skipped = (options->rank > 0 ? rank : 0 - rank) - 1, found = 0;
    while (search->cursor.left > 0) {
        bool is_equal;
        uint64_t index = search->cursor.index;
        enum status status = search_next(search, &is_equal);
        if (status)
            return status;
        if (!is_equal || (skipped > 0 && skipped--))
            continue;
        options->found(options->context, index);
        if (++found == options->count_max)
            return STATUS_OK;
    }
    return STATUS_OK;
}

enum status list_find_elements(struct access *access, struct slice key,
                               const struct list_search *options)
{
    struct list list;
    struct search search;
    assert(options->rank != 0);
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    uint64_t count = list.count;
    if (options->looked_max > 0 && options->looked_max < count)
        count = options->looked_max;
    status = search_open(&search, access, &list, options->value, count, options->rank < 0,
                         &options->patience);
    if (!status)
        status = find_matches(&search, options);
    list_cursor_close(&search.cursor);
    return status;
}

/* ---- LINSERT --------------------------------------------------------------------------------- */

/* Where an element of a list by position stands; its key's bytes. */
struct neighbour {
    size_t key_size; /* 0: there is none */
    uint8_t key[LIST_KEY_BYTES_MAX];
};

static void note_neighbour(struct neighbour *neighbour, const struct list_cursor *cursor)
{
    neighbour->key_size = cursor->key_size;
    memcpy(neighbour->key, cursor->key, cursor->key_size);
}

static struct list_key parse_neighbour(const struct neighbour *neighbour)
{
    struct list_key key;
    bool is_key = list_key_parse(slice_make(neighbour->key, neighbour->key_size), &key);
    assert(is_key);
    (void)is_key; /* the cursor has parsed it */
    return key;
}

struct insertion {
    const struct list_insertion *options;
    uint64_t index;                  /* of the new element */
    struct neighbour before, behind; /* by position */
};

/* Looks for the pivot. STATUS_NOT_FOUND. */
static enum status find_pivot(struct search *search, struct insertion *insertion)
{
    struct list_cursor *cursor = &search->cursor;
    bool is_inline = list_is_inline(cursor->list), is_before = insertion->options->is_before;
    bool is_equal = false;
    insertion->before.key_size = insertion->behind.key_size = 0;
    while (!is_equal) {
        if (cursor->left == 0)
            return STATUS_NOT_FOUND;
        if (cursor->index > 0 && !is_inline && is_before)
            note_neighbour(&insertion->before, cursor);
        insertion->index = cursor->index + !is_before;
        enum status status = search_next(search, &is_equal);
        if (status)
            return status;
    }
    if (is_inline)
        return STATUS_OK;
    note_neighbour(is_before ? &insertion->behind : &insertion->before, cursor);
    if (is_before || cursor->left == 0)
        return STATUS_OK;
    enum status status = list_cursor_move(cursor);
    if (!status)
        note_neighbour(&insertion->behind, cursor);
    return status;
}

static void insert_small(struct access *access, struct slice key, struct list *list,
                         const struct insertion *insertion)
{
    struct slice elements[LIST_INLINE_COUNT_MAX + 1];
    uint64_t index = insertion->index;
    memcpy(elements, list->elements, index * sizeof *elements);
    elements[index] = insertion->options->value;
    memcpy(elements + index + 1, list->elements + index, (list->count - index) * sizeof *elements);
    list_put_small(access, key, list, elements, list->count + 1);
}

/* Before the first element, behind the last one. */
static enum status insert_at_end(struct access *access, struct slice key, struct list *list,
                                 const struct insertion *insertion, struct list_edit *edit)
{
    enum list_end end = insertion->before.key_size == 0 ? LIST_LEFT : LIST_RIGHT;
    enum status status = list_plan_push(access, list, end, 1, edit);
    if (!status)
        list_push_planned(access, key, list, end, &insertion->options->value, 1, edit);
    return status;
}

static enum status insert_between(struct access *access, struct slice key, struct list *list,
                                  struct insertion *insertion, struct list_edit *edit)
{
    struct list_key before = parse_neighbour(&insertion->before);
    struct list_key behind = parse_neighbour(&insertion->behind);
    struct slice value = insertion->options->value;
    uint8_t at[LIST_KEY_BYTES_MAX];
    size_t size;
    bool share_slot = before.position == behind.position;
    if (!list_label_between(before.label, share_slot ? &behind.label : NULL, at + LIST_KEY_BYTES,
                            &size))
        return STATUS_INVALID;
    size += LIST_KEY_BYTES;
    (void)list_element_key(at, access, list->object.id, before.position);
    list_make_sparse(list);
    list_edit_change(edit, before.position, 1);
    enum status status = list_edit_plan(
        access, list, list_element_bytes(value.size) + size * (1 + list_pieces_of(value.size)),
        edit);
    if (status)
        return status;
    list_put_record(access, list, at, size, value);
    list_edit_apply(access, list, edit);
    list->count++;
    list_put_header(access, key, list, list->object.id);
    return STATUS_OK;
}

enum status list_insert(struct access *access, struct slice key,
                        const struct list_insertion *options, uint64_t *length)
{
    struct list list;
    struct search search;
    struct insertion insertion;
    struct list_edit edit = {0};
    if (options->value.size > LIST_ELEMENT_BYTES_MAX)
        return STATUS_TOO_LARGE;
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    insertion.options = options;
    status =
        search_open(&search, access, &list, options->pivot, list.count, false, &options->patience);
    if (!status)
        status = find_pivot(&search, &insertion);
    list_cursor_close(&search.cursor);
    if (status == STATUS_NOT_FOUND) {
        *length = 0;
        return STATUS_OK;
    }
    uint64_t count = list.count + 1;
    if (!status && list_is_inline(&list))
        insert_small(access, key, &list, &insertion);
    else if (!status && (insertion.before.key_size == 0 || insertion.behind.key_size == 0))
        status = insert_at_end(access, key, &list, &insertion, &edit);
    else if (!status)
        status = insert_between(access, key, &list, &insertion, &edit);
    if (!status) {
        *length = count;
        access_fact(access, 'l', "linsert", key);
    }
    list_edit_release(&edit);
    return status;
}

/* ---- LREM ------------------------------------------------------------------------------------ */

/* Matches of a walk over a list by position: a run where the walk begins, one where the list ends, if the
 * walk comes there, and those between. */
struct removal {
    uint64_t count_max; /* of matches */
    uint64_t near, between, far;
    uint64_t near_weight, far_weight;
    size_t kept_changes, kept_doomed; /* of the edit, without those of `far` */
};

/* The cursor stands at an element that is equal to the search's value. */
static enum status note_match(const struct search *search, bool is_near, struct removal *removal,
                              struct list_edit *edit)
{
    const struct list_cursor *cursor = &search->cursor;
    struct list_key key;
    *(is_near ? &removal->near_weight : &removal->far_weight) += list_weight(search->value.size);
    *(is_near ? &removal->near : &removal->far) += 1;
    if (is_near)
        return STATUS_OK;
    bool is_key = list_key_parse(slice_make(cursor->key, cursor->key_size), &key);
    assert(is_key);
    (void)is_key;
    list_edit_change(edit, key.position, -1);
    return list_edit_doom(edit, cursor);
}

/* An element that stays: the matches before it lie between others. */
static void note_other(struct removal *removal, const struct list_edit *edit)
{
    removal->between += removal->far;
    removal->far = removal->far_weight = 0;
    removal->kept_changes = edit->changes.size;
    removal->kept_doomed = edit->doomed.size;
}

static enum status find_all(struct search *search, struct removal *removal, struct list_edit *edit)
{
    bool is_near = true;
    uint64_t left = removal->count_max;
    while (search->cursor.left > 0 && left > 0) {
        bool is_equal;
        enum status status = search_next(search, &is_equal);
        is_near = is_near && is_equal;
        left -= is_equal;
        if (!status && is_equal)
            status = note_match(search, is_near, removal, edit);
        else if (!status)
            note_other(removal, edit);
        if (status)
            return status;
    }
    if (search->cursor.left > 0)
        note_other(removal, edit); /* the next one stays */
    edit->changes.size = removal->kept_changes;
    edit->doomed.size = removal->kept_doomed;
    return STATUS_OK;
}

static enum status remove_found(struct access *access, struct slice key, struct list *list,
                                const struct removal *removal, bool backwards,
                                struct list_edit *edit)
{
    uint64_t left = backwards ? removal->far : removal->near;
    uint64_t right = backwards ? removal->near : removal->far;
    enum status status = STATUS_OK;
    list->low_weight += backwards ? removal->far_weight : removal->near_weight;
    list->high_weight += backwards ? removal->near_weight : removal->far_weight;
    if (left + right == list->count) {
        list->count = 0;
    } else {
        list_make_sparse(list);
        status = list_edit_cut(access, list, left, right, edit);
        list->count -= removal->between;
        if (!status)
            status = list_edit_plan(access, list, 0, edit);
    }
    if (!status)
        list_put_cut(access, key, list, edit);
    return status;
}

static enum status remove_by_position(struct access *access, struct slice key, struct list *list,
                                      const struct list_removal *options, uint64_t count_max,
                                      uint64_t *removed)
{
    struct search search;
    struct removal removal = {.count_max = count_max};
    struct list_edit edit = {0};
    bool backwards = options->count < 0;
    enum status status = search_open(&search, access, list, options->value, list->count, backwards,
                                     &options->patience);
    if (!status)
        status = find_all(&search, &removal, &edit);
    list_cursor_close(&search.cursor);
    *removed = removal.near + removal.between + removal.far;
    if (!status && *removed > 0)
        status = remove_found(access, key, list, &removal, backwards, &edit);
    list_edit_release(&edit);
    return status;
}

static void remove_small(struct access *access, struct slice key, struct list *list,
                         const struct list_removal *options, uint64_t count_max, uint64_t *removed)
{
    bool backwards = options->count < 0;
    uint64_t count = list->count, kept = 0;
    *removed = 0;
    /* What stays gathers at the end where the walk begins. */
    for (uint64_t i = 0; i < count; i++) {
        struct slice element = list->elements[backwards ? count - 1 - i : i];
        if (*removed < count_max && slice_equal(element, options->value))
            ++*removed;
        else
            list->elements[backwards ? count - 1 - kept++ : kept++] = element;
    }
    if (*removed == 0)
        return;
    if (backwards)
        memmove(list->elements, list->elements + *removed, kept * sizeof *list->elements);
    list->count = kept;
    list_put_cut(access, key, list, NULL);
}

enum status list_remove(struct access *access, struct slice key, const struct list_removal *options,
                        uint64_t *removed)
{
    struct list list;
    uint64_t count = (uint64_t)options->count;
    uint64_t count_max = options->count > 0 ? count : options->count < 0 ? 0 - count : UINT64_MAX;
    enum status status = list_find(access, key, &list);
    if (!status && list_is_inline(&list))
        remove_small(access, key, &list, options, count_max, removed);
    else if (!status)
        status = remove_by_position(access, key, &list, options, count_max, removed);
    if (status || *removed == 0)
        return status;
    access_fact(access, 'l', "lrem", key);
    if (list.count == 0)
        access_fact(access, 'g', "del", key);
    return STATUS_OK;
}
