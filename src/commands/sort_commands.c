/* SPDX-License-Identifier: MIT */
/* SORT and SORT_RO: a list's elements, by themselves or by the strings that patterns name, in order.
 *
 * All elements are in memory while they are sorted; that memory is a client's. With STORE the result is built
 * like any large value (command_build.h); what is small is sorted under the lock. Without STORE, SORT reads
 * as SORT_RO does (COMMAND_STORES). */
#include "base/memory.h"
#include "commands/command_build.h"
#include "commands/service_state.h"
#include "types/list_build.h"
#include "types/string.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
    LOCKED_BYTES_MAX = 64 * 1024, /* sorted under the lock */
    LOCKED_LOOKUPS_MAX = 500,
    LOOP_BYTES_MAX = 256 * 1024, /* sorted on a loop */
    LOOP_LOOKUPS_MAX = 1000,
    MEMORY_STEP_BYTES = 1 << 20,
};

struct sort_item {
    size_t offset, size;               /* of the element, in sort.bytes; a NUL follows it */
    size_t weight_offset, weight_size; /* ALPHA BY: of its weight there; NO_WEIGHT: it has none */
    double score;                      /* without ALPHA */
};
#define NO_WEIGHT SIZE_MAX

struct sort {
    struct command_context *c;

    /* What was asked for. */
    struct slice by; /* data NULL: none */
    bool is_sorted, is_alpha, is_descending;
    int64_t limit_start, limit_count; /* a negative count: all */
    size_t get_count;
    size_t store_index; /* of the destination; 0: none */

    bool is_locked; /* within a write: little may be done here */
    size_t lookups;
    struct buffer bytes, key;
    struct sort_item *items;
    size_t count, capacity;
    size_t first, end; /* of the items that are shown */

    /* Gets the result; STATUS_OK, or what ends the command. */
    enum status (*emit)(struct sort *sort, struct slice value, bool is_there);
    struct list_build *list;
};

static void sort_release(struct sort *sort)
{
    buffer_release(&sort->bytes);
    buffer_release(&sort->key);
    memory_free(sort->items);
}

/* ---- What is asked for ------------------------------------------------------------------------- */

static bool parse_limit(struct sort *sort, size_t i)
{
    return argument_integer(sort->c, i + 1, &sort->limit_start) &&
           argument_integer(sort->c, i + 2, &sort->limit_count);
}

/* Redis takes bytes for a C string: a pattern ends at its first NUL. */
static const uint8_t *find_star(struct slice pattern)
{
    size_t size = pattern.size ? strnlen((const char *)pattern.data, pattern.size) : 0;
    return size ? memchr(pattern.data, '*', size) : NULL;
}

/* false: the error is answered. */
static bool parse_sort(struct command_context *c, struct sort *sort)
{
    bool may_store = c->command->flags & COMMAND_WRITE;
    c->work_bytes = 0;
    *sort = (struct sort){.c = c, .is_sorted = true, .limit_count = -1, .bytes.may_fail = true};
    for (size_t i = 2; i < c->count; i++) {
        size_t left = c->count - i - 1;
        if (argument_is(c, i, "ASC") || argument_is(c, i, "DESC")) {
            sort->is_descending = argument_is(c, i, "DESC");
        } else if (argument_is(c, i, "ALPHA")) {
            sort->is_alpha = true;
        } else if (argument_is(c, i, "LIMIT") && left >= 2) {
            if (!parse_limit(sort, i))
                return false;
            i += 2;
        } else if (argument_is(c, i, "STORE") && left >= 1 && may_store) {
            sort->store_index = ++i;
        } else if (argument_is(c, i, "BY") && left >= 1) {
            sort->by = c->arguments[++i];
            sort->is_sorted &= find_star(sort->by) != NULL;
        } else if (argument_is(c, i, "GET") && left >= 1) {
            sort->get_count++;
            i++;
        } else {
            reply_syntax_error(c);
            return false;
        }
    }
    return true;
}

/* The items [*first, *end) of `length` that LIMIT leaves. */
static void clip(const struct sort *sort, uint64_t length, uint64_t *first, uint64_t *end)
{
    uint64_t start = sort->limit_start < 0 ? 0 : (uint64_t)sort->limit_start;
    uint64_t count = sort->limit_count < 0 ? length : (uint64_t)sort->limit_count;
    *first = start < length ? start : length;
    *end = count < length - *first ? *first + count : length;
}

/* ---- Elements ---------------------------------------------------------------------------------- */

/* After each element, weight or lookup: whether one may go on here. */
static enum status check_work(struct sort *sort)
{
    struct command_context *c = sort->c;
    size_t bytes = sort->bytes.size + sort->capacity * sizeof *sort->items;
    if (sort->bytes.failed)
        return STATUS_NO_MEMORY;
    if (sort->is_locked)
        return bytes > LOCKED_BYTES_MAX || sort->lookups > LOCKED_LOOKUPS_MAX ? STATUS_TOO_LARGE
                                                                              : STATUS_OK;
    if (c->nowait)
        return bytes > LOOP_BYTES_MAX || sort->lookups > LOOP_LOOKUPS_MAX ? STATUS_WOULD_BLOCK
                                                                          : STATUS_OK;
    if (bytes < c->work_bytes + MEMORY_STEP_BYTES)
        return STATUS_OK;
    c->work_bytes = bytes;
    if (client_memory_build(c->session, bytes))
        return STATUS_OK;
    c->has_no_memory = true;
    return STATUS_TOO_LARGE;
}

static enum status check_element(void *context)
{
    return check_work(context);
}

static bool grow_items(struct sort *sort)
{
    size_t capacity = sort->capacity ? 2 * sort->capacity : 64;
    struct sort_item *items = memory_ask_resize(sort->items, capacity * sizeof *items);
    if (!items)
        return false;
    sort->items = items;
    sort->capacity = capacity;
    return true;
}

/* The bytes, and a NUL behind them. */
static size_t keep_bytes(struct sort *sort, struct slice bytes)
{
    size_t offset = sort->bytes.size;
    buffer_append_slice(&sort->bytes, bytes);
    buffer_append_byte(&sort->bytes, 0);
    return offset;
}

static void add_element(void *context, struct slice value)
{
    struct sort *sort = context;
    if (sort->count == sort->capacity && !grow_items(sort)) {
        sort->bytes.failed = true;
        return;
    }
    sort->items[sort->count++] = (struct sort_item){
        .offset = keep_bytes(sort, value), .size = value.size, .weight_offset = NO_WEIGHT};
}

/* Those that are to be sorted, or just those that will be shown. STATUS_NOT_FOUND, _WRONG_TYPE ... */
static enum status read_elements(struct sort *sort)
{
    struct access *access = sort->c->access;
    struct slice key = sort->c->arguments[1];
    const struct list_visitor visitor = {
        .element = add_element, .context = sort, .check = check_element};
    uint64_t length = 0, first, end;
    enum status status = list_length(access, key, &length);
    if (status)
        return status;
    clip(sort, length, &first, &end);
    sort->first = (size_t)first;
    sort->end = (size_t)end;
    if (sort->is_sorted)
        return list_range(access, key, 0, -1, &visitor);
    sort->first = 0;
    sort->end = (size_t)(end - first);
    if (first == end)
        return STATUS_OK;
    if (sort->is_descending) {
        uint64_t behind = length - first;
        first = length - end;
        end = behind;
    }
    return list_range(access, key, (int64_t)first, (int64_t)end - 1, &visitor);
}

static struct slice element_of(const struct sort *sort, const struct sort_item *item)
{
    return slice_make(sort->bytes.data + item->offset, item->size);
}

/* ---- Patterns ---------------------------------------------------------------------------------- */

/* The string that the pattern names for an element; STATUS_NOT_FOUND: none. There are no hashes whose fields
 * "->" could name. */
static enum status look_up(struct sort *sort, struct slice pattern, struct slice element,
                           struct slice *value)
{
    struct access *access = sort->c->access;
    struct object object;
    const uint8_t *star = find_star(pattern);
    sort->lookups++;
    if (!star)
        return STATUS_NOT_FOUND;
    struct slice behind = slice_skip(pattern, (size_t)(star - pattern.data) + 1);
    const uint8_t *arrow = behind.size ? memmem(behind.data, behind.size, "->", 2) : NULL;
    if (arrow && arrow + 2 < behind.data + behind.size)
        return STATUS_NOT_FOUND;
    size_t size = pattern.size - 1 + element.size;
    if (size > STORE_KEY_BYTES_MAX)
        return STATUS_NOT_FOUND;
    buffer_clear(&sort->key);
    enum status status = buffer_try_reserve(&sort->key, size);
    if (status)
        return status;
    buffer_append(&sort->key, pattern.data, (size_t)(star - pattern.data));
    buffer_append_slice(&sort->key, element);
    buffer_append_slice(&sort->key, behind);
    status = keyspace_peek(access, buffer_slice(&sort->key), &object);
    if (!status && object.type != OBJECT_STRING)
        return STATUS_NOT_FOUND;
    return status ? status : string_value(access, &object, value);
}

/* As Redis reads it: whatever strtod takes up to the end or a NUL, within a double's range. */
static bool parse_score(const struct sort *sort, size_t offset, double *score)
{
    char *end;
    errno = 0;
    *score = strtod((const char *)sort->bytes.data + offset, &end);
    return *end == '\0' && errno != ERANGE && !isnan(*score);
}

/* *is_number: false when it should be one and is not. */
static enum status weigh(struct sort *sort, size_t index, bool *is_number)
{
    struct slice weight = {0};
    struct sort_item *item = &sort->items[index];
    size_t offset = item->offset;
    if (sort->by.data) {
        enum status status = look_up(sort, sort->by, element_of(sort, item), &weight);
        if (status)
            return status == STATUS_NOT_FOUND ? check_work(sort) : status;
        offset = keep_bytes(sort, weight);
        if (sort->bytes.failed)
            return STATUS_NO_MEMORY;
    }
    if (!sort->is_alpha) {
        *is_number = parse_score(sort, offset, &item->score);
        if (sort->by.data)
            sort->bytes.size = offset; /* it is not needed any more */
    } else if (sort->by.data) {
        item->weight_offset = offset;
        item->weight_size = weight.size;
    }
    return check_work(sort);
}

/* ---- Sorting ----------------------------------------------------------------------------------- */

static int compare_weights(const struct sort *sort, const struct sort_item *a,
                           const struct sort_item *b)
{
    if (a->weight_offset == NO_WEIGHT || b->weight_offset == NO_WEIGHT)
        return (b->weight_offset == NO_WEIGHT) - (a->weight_offset == NO_WEIGHT);
    return slice_compare(slice_make(sort->bytes.data + a->weight_offset, a->weight_size),
                         slice_make(sort->bytes.data + b->weight_offset, b->weight_size));
}

static int compare_items(const void *x, const void *y, void *context)
{
    const struct sort *sort = context;
    const struct sort_item *a = x, *b = y;
    int order = 0;
    if (!sort->is_alpha)
        order = (a->score > b->score) - (a->score < b->score);
    else if (sort->by.data)
        order = compare_weights(sort, a, b);
    if (order == 0 && !(sort->is_alpha && sort->by.data))
        order = slice_compare(element_of(sort, a), element_of(sort, b));
    if (sort->is_descending)
        order = -order;
    return order ? order : (a->offset > b->offset) - (a->offset < b->offset);
}

static void reverse_items(struct sort *sort)
{
    for (size_t i = 0, j = sort->count; i + 1 < j; i++) {
        struct sort_item item = sort->items[i];
        sort->items[i] = sort->items[--j];
        sort->items[j] = item;
    }
}

/* Reads and sorts. *is_number: see weigh. A missing list has no elements. */
static enum status sort_elements(struct sort *sort, bool *is_number)
{
    *is_number = true;
    enum status status = read_elements(sort);
    if (sort->store_index == 0)
        (void)command_lookup(sort->c, status); /* the same */
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (!status && sort->bytes.failed)
        status = STATUS_NO_MEMORY;
    bool needs_weights = sort->is_sorted && (sort->by.data || !sort->is_alpha);
    for (size_t i = 0; needs_weights && i < sort->count && !status && *is_number; i++)
        status = weigh(sort, i, is_number);
    if (status || !*is_number)
        return status;
    if (sort->is_sorted && sort->count > 1)
        qsort_r(sort->items, sort->count, sizeof *sort->items, compare_items, sort);
    else if (!sort->is_sorted && sort->is_descending)
        reverse_items(sort);
    return STATUS_OK;
}

static size_t result_count(const struct sort *sort)
{
    return (sort->end - sort->first) * (sort->get_count ? sort->get_count : 1);
}

static enum status emit_get(struct sort *sort, struct slice pattern, struct slice element)
{
    struct slice value = element;
    enum status found = STATUS_OK;
    if (!slice_equal(pattern, slice_from("#")))
        found = look_up(sort, pattern, element, &value);
    if (found && found != STATUS_NOT_FOUND)
        return found;
    enum status status = sort->emit(sort, value, !found);
    return status ? status : check_work(sort);
}

/* What the GETs say of an element, in their order. */
static enum status emit_gets(struct sort *sort, struct slice element)
{
    struct command_context *c = sort->c;
    enum status status = STATUS_OK;
    for (size_t i = 2; i < c->count && !status; i++) {
        if (argument_is(c, i, "LIMIT"))
            i += 2;
        else if (argument_is(c, i, "STORE") || argument_is(c, i, "BY"))
            i++;
        else if (argument_is(c, i, "GET"))
            status = emit_get(sort, c->arguments[++i], element);
    }
    return status;
}

static enum status emit_result(struct sort *sort)
{
    enum status status = STATUS_OK;
    for (size_t i = sort->first; i < sort->end && !status; i++) {
        struct slice element = element_of(sort, &sort->items[i]);
        status = sort->get_count ? emit_gets(sort, element) : sort->emit(sort, element, true);
    }
    return status;
}

static const char not_a_number[] = "ERR One or more scores can't be converted into double";

/* ---- Without STORE ------------------------------------------------------------------------------ */

static enum status emit_reply(struct sort *sort, struct slice value, bool is_there)
{
    if (is_there)
        resp_bulk(sort->c->reply, value);
    else
        resp_null(sort->c->reply);
    return command_reply_check(sort->c);
}

static enum status reply_sorted(struct sort *sort)
{
    bool is_number = true;
    sort->emit = emit_reply;
    enum status status = sort_elements(sort, &is_number);
    if (status)
        return status;
    if (!is_number)
        return reply_error(sort->c, not_a_number);
    resp_array(sort->c->reply, result_count(sort));
    return emit_result(sort);
}

/* ---- With STORE --------------------------------------------------------------------------------- */

static enum status emit_list(struct sort *sort, struct slice value, bool is_there)
{
    return list_build_add(sort->list, is_there ? value : slice_make(NULL, 0));
}

/* Sorts into a list whose parts go to `object`. */
static enum status sort_into(struct sort *sort, struct object_build *object,
                             struct list_build *list, bool *is_number)
{
    list_build_begin(list, object);
    sort->emit = emit_list;
    sort->list = list;
    enum status status = sort_elements(sort, is_number);
    if (status || !*is_number)
        return status;
    status = emit_result(sort);
    if (!status && list->count > 0)
        list_build_end(list);
    return status;
}

static enum status sort_prepare(struct command_context *c)
{
    struct command_build *build = command_build_again(c);
    struct list_build list = {0};
    struct sort sort;
    bool is_number = true;
    (void)parse_sort(c, &sort); /* has succeeded before */
    command_build_begin_read(build);
    enum status status = command_build_begin(build, c->access, c->database);
    if (!status)
        status = sort_into(&sort, &build->object, &list, &is_number);
    access_end(c->access);
    if (!status && !is_number)
        build->error = not_a_number;
    build->type = OBJECT_LIST;
    build->count = list.count;
    build->has_parts = list.has_parts;
    buffer_append_slice(&build->body, buffer_slice(&list.body));
    build->is_made = !status && is_number;
    list_build_release(&list);
    sort_release(&sort);
    if (!status && !is_number)
        return STATUS_INVALID;
    return status == STATUS_CONFLICT ? STATUS_OK : status;
}

/* A list as it will stand in the header, its parts in `small` or in c->build. */
struct sorted_list {
    uint64_t count;
    struct object_build small; /* not begun: c->build has it */
    struct list_build list;    /* of small */
    bool is_number;
};

/* STATUS_TOO_LARGE: it is to be prepared. */
static enum status sort_small(struct command_context *c, struct sorted_list *sorted)
{
    struct sort sort;
    (void)parse_sort(c, &sort); /* has succeeded before */
    sort.is_locked = true;
    object_build_begin(&sorted->small, c->access, true);
    enum status status = sort_into(&sort, &sorted->small, &sorted->list, &sorted->is_number);
    sorted->count = sorted->list.count;
    sort_release(&sort);
    return status;
}

/* Whether what sort_prepare has made may be linked. */
static enum status check_sorted(struct command_context *c)
{
    struct command_build *build = c->build;
    bool is_fresh = false;
    enum status status = command_build_is_fresh(c, c->arguments[1], &is_fresh);
    if (status)
        return status;
    bool is_last = build->attempts == COMMAND_BUILD_ATTEMPTS_MAX;
    if (build->is_made && object_build_is_current(&build->object, c->access) &&
        (is_fresh || is_last))
        return STATUS_OK;
    if (!is_last)
        return command_prepare(c, sort_prepare);
    build->error = "ERR the database is emptied or swapped again and again: try again later";
    return STATUS_BUSY;
}

/* All reads of the source. Nothing is written. */
static enum status get_sorted(struct command_context *c, struct sorted_list *sorted)
{
    uint64_t length;
    *sorted = (struct sorted_list){.is_number = true};
    enum status status = command_lookup(c, list_length(c->access, c->arguments[1], &length));
    if (status)
        return status == STATUS_NOT_FOUND ? STATUS_OK : status;
    if (c->build) {
        status = check_sorted(c);
        sorted->count = c->build->count;
        return status;
    }
    status = sort_small(c, sorted);
    return status == STATUS_TOO_LARGE ? command_prepare(c, sort_prepare) : status;
}

/* Takes the destination's place; nothing fails behind the look at what is there. */
static enum status link_sorted(struct command_context *c, struct slice to,
                               struct sorted_list *sorted)
{
    struct object old, object = {.type = OBJECT_LIST};
    enum status status = keyspace_find(c->access, to, &old);
    bool is_new = status == STATUS_NOT_FOUND;
    if (status && !is_new)
        return status;
    if (sorted->count == 0) {
        if (is_new)
            return STATUS_OK;
        keyspace_remove(c->access, to, &old);
        access_fact(c->access, 'g', "del", to);
        return STATUS_OK;
    }
    if (!sorted->small.store) {
        command_build_link(c, &object);
    } else {
        object.body = buffer_slice(&sorted->list.body);
        if (sorted->list.has_parts)
            object.id = object_build_link(&sorted->small, c->access);
    }
    keyspace_put(c->access, to, &object, is_new ? NULL : &old);
    access_fact(c->access, 'l', "sortstore", to);
    return STATUS_OK;
}

static enum status store_sorted(struct command_context *c, struct slice to)
{
    struct sorted_list sorted;
    enum status status = get_sorted(c, &sorted);
    if (!status && sorted.is_number)
        status = link_sorted(c, to, &sorted);
    object_build_release(&sorted.small);
    list_build_release(&sorted.list);
    if (status)
        return status;
    return sorted.is_number ? reply_integer(c, (int64_t)sorted.count)
                            : reply_error(c, not_a_number);
}

enum status sort_command(struct command_context *c)
{
    struct sort sort;
    if (!parse_sort(c, &sort))
        return STATUS_OK;
    if (sort.store_index)
        return store_sorted(c, c->arguments[sort.store_index]);
    enum status status = reply_sorted(&sort);
    sort_release(&sort);
    return status;
}
