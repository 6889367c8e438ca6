/* SPDX-License-Identifier: MIT */
/* Iterators: the engine's, with a reader of their own, bounds and prefix in one, and, in a serializable
 * transaction, a note of the range that was walked:
 *
 *      lower                                                  upper
 *        |        seek            walked            key         |
 *        |          [-------------------------------]           |      [from, to), to = key and a 0 byte
 *
 * The range grows with every move, is open at the end that was reached, and is noted when the next seek
 * begins another one, or at the close. */
#include "lib/library.h"

#include "base/memory.h"

#include <assert.h>

struct cordwood_iterator {
    struct cordwood *db;
    struct lsm_reader *reader;
    struct lsm_iter *iter;
    struct buffer lower, upper; /* of all bounds together; an empty upper: no end */
    uint32_t tree;
    struct cordwood_transaction *transaction; /* NULL: none */
    bool has_walked;                          /* of a serializable transaction: from .. to */
    bool walked_to_end;                       /* up to `upper`; else to is the end, exclusive */
    struct buffer from, to;
};

/* ---- Bounds -------------------------------------------------------------------------------- */

static void set_bytes(struct buffer *buffer, struct slice bytes)
{
    buffer_clear(buffer);
    buffer_append_slice(buffer, bytes);
}

/* The first key behind all that begin with the prefix; empty: there is none. */
static void prefix_end(struct slice prefix, struct buffer *end)
{
    set_bytes(end, prefix);
    while (end->size > 0 && end->data[end->size - 1] == 0xff)
        end->size--;
    if (end->size > 0)
        end->data[end->size - 1]++;
}

static void join_bounds(struct cordwood_iterator *iterator,
                        const struct cordwood_iterator_options *options)
{
    struct slice prefix = library_slice(options->prefix);
    struct buffer end = {0};
    buffer_append_slice(&iterator->lower, library_slice(options->lower));
    buffer_append_slice(&iterator->upper, library_slice(options->upper));
    prefix_end(prefix, &end);
    if (slice_compare(prefix, buffer_slice(&iterator->lower)) > 0)
        set_bytes(&iterator->lower, prefix);
    if (end.size > 0 && (iterator->upper.size == 0 ||
                         slice_compare(buffer_slice(&end), buffer_slice(&iterator->upper)) < 0))
        set_bytes(&iterator->upper, buffer_slice(&end));
    buffer_release(&end);
}

/* ---- What a serializable transaction has walked -------------------------------------------- */

static void note_walked(struct cordwood_iterator *iterator)
{
    struct slice from = buffer_slice(&iterator->from);
    struct slice to = buffer_slice(iterator->walked_to_end ? &iterator->upper : &iterator->to);
    if (!iterator->has_walked)
        return;
    iterator->has_walked = false;
    if (iterator->transaction->noted == STATUS_OK && (to.size == 0 || slice_compare(from, to) < 0))
        iterator->transaction->noted = lsm_transaction_note_range(
            iterator->transaction->transaction, iterator->tree, from, to);
}

/* A seek begins: what is walked now is the place that it asks for. */
static bool begins_walk(struct cordwood_iterator *iterator, struct slice from, struct slice to,
                        bool to_end)
{
    if (!iterator->transaction || !iterator->transaction->serializable)
        return false;
    note_walked(iterator);
    iterator->has_walked = true;
    iterator->walked_to_end = to_end;
    set_bytes(&iterator->from, from);
    set_bytes(&iterator->to, to);
    return true;
}

static void walked_forward(struct cordwood_iterator *iterator)
{
    if (!iterator->has_walked || iterator->walked_to_end)
        return;
    if (!lsm_iter_valid(iterator->iter)) {
        iterator->walked_to_end = true;
        return;
    }
    struct slice key = lsm_iter_key(iterator->iter);
    if (slice_compare(key, buffer_slice(&iterator->to)) < 0)
        return;
    set_bytes(&iterator->to, key);
    buffer_append_byte(&iterator->to, 0);
}

static void walked_backward(struct cordwood_iterator *iterator)
{
    if (!iterator->has_walked)
        return;
    struct slice key = lsm_iter_valid(iterator->iter) ? lsm_iter_key(iterator->iter)
                                                      : buffer_slice(&iterator->lower);
    if (slice_compare(key, buffer_slice(&iterator->from)) < 0)
        set_bytes(&iterator->from, key);
}

/* ---- Open and close ------------------------------------------------------------------------ */

enum cordwood_status library_iterator_open(struct cordwood *db, const struct library_moment *moment,
                                           uint32_t tree,
                                           const struct cordwood_iterator_options *given,
                                           struct cordwood_iterator **out)
{
    struct cordwood_iterator_options options = CORDWOOD_ITERATOR_OPTIONS;
    struct lsm_reader *reader;
    if (tree >= db->tree_count || !library_take_struct(&options, sizeof(options), given))
        return CORDWOOD_INVALID;
    enum status status = keeper_lend_reader(&db->keeper, &reader);
    if (status != STATUS_OK)
        return library_status(status);
    struct cordwood_iterator *iterator = memory_zeroed(1, sizeof(*iterator));
    iterator->db = db;
    iterator->reader = reader;
    iterator->tree = tree;
    iterator->transaction = moment->transaction;
    if (iterator->transaction)
        iterator->transaction->iterator_count++;
    join_bounds(iterator, &options);
    library_read_begin(reader, moment);
    iterator->iter =
        lsm_iter_open(reader, tree,
                      &(struct lsm_iter_options){.lower = buffer_slice(&iterator->lower),
                                                 .upper = buffer_slice(&iterator->upper),
                                                 .keep_cache = options.keep_cache});
    *out = iterator;
    return CORDWOOD_OK;
}

enum cordwood_status cordwood_iterator_open(struct cordwood *db, uint32_t tree,
                                            const struct cordwood_iterator_options *options,
                                            struct cordwood_iterator **iterator)
{
    return library_iterator_open(db, &(struct library_moment){0}, tree, options, iterator);
}

enum cordwood_status
cordwood_snapshot_iterator_open(struct cordwood_snapshot *snapshot, uint32_t tree,
                                const struct cordwood_iterator_options *options,
                                struct cordwood_iterator **iterator)
{
    return library_iterator_open(snapshot->db,
                                 &(struct library_moment){.snapshot = snapshot->snapshot}, tree,
                                 options, iterator);
}

void cordwood_iterator_close(struct cordwood_iterator *iterator)
{
    if (!iterator)
        return;
    note_walked(iterator);
    if (iterator->transaction)
        iterator->transaction->iterator_count--;
    lsm_iter_close(iterator->iter);
    lsm_read_end(iterator->reader);
    keeper_return_reader(&iterator->db->keeper, iterator->reader);
    buffer_release(&iterator->lower);
    buffer_release(&iterator->upper);
    buffer_release(&iterator->from);
    buffer_release(&iterator->to);
    memory_free(iterator);
}

/* ---- Moves --------------------------------------------------------------------------------- */

void cordwood_iterator_seek_first(struct cordwood_iterator *iterator)
{
    struct slice lower = buffer_slice(&iterator->lower);
    (void)begins_walk(iterator, lower, lower, false);
    lsm_iter_seek_first(iterator->iter);
    walked_forward(iterator);
}

void cordwood_iterator_seek_last(struct cordwood_iterator *iterator)
{
    struct slice upper = buffer_slice(&iterator->upper);
    bool is_noted = begins_walk(iterator, upper, upper, true);
    lsm_iter_seek_last(iterator->iter);
    if (!is_noted)
        return;
    bool valid = lsm_iter_valid(iterator->iter);
    set_bytes(&iterator->from,
              valid ? lsm_iter_key(iterator->iter) : buffer_slice(&iterator->lower));
}

void cordwood_iterator_seek(struct cordwood_iterator *iterator, struct cordwood_slice key)
{
    struct slice place = library_slice(key);
    (void)begins_walk(iterator, place, place, false);
    lsm_iter_seek(iterator->iter, place);
    walked_forward(iterator);
}

void cordwood_iterator_seek_for_prev(struct cordwood_iterator *iterator, struct cordwood_slice key)
{
    struct slice place = library_slice(key);
    if (begins_walk(iterator, place, place, false))
        buffer_append_byte(&iterator->to, 0);
    lsm_iter_seek_for_prev(iterator->iter, place);
    walked_backward(iterator);
}

void cordwood_iterator_next(struct cordwood_iterator *iterator)
{
    if (!lsm_iter_valid(iterator->iter))
        return;
    lsm_iter_next(iterator->iter);
    walked_forward(iterator);
}

void cordwood_iterator_prev(struct cordwood_iterator *iterator)
{
    if (!lsm_iter_valid(iterator->iter))
        return;
    lsm_iter_prev(iterator->iter);
    walked_backward(iterator);
}

bool cordwood_iterator_valid(const struct cordwood_iterator *iterator)
{
    return lsm_iter_valid(iterator->iter);
}

enum cordwood_status cordwood_iterator_status(const struct cordwood_iterator *iterator)
{
    return library_status(lsm_iter_status(iterator->iter));
}

struct cordwood_slice cordwood_iterator_key(const struct cordwood_iterator *iterator)
{
    struct slice key = lsm_iter_key(iterator->iter);
    return cordwood_slice(key.data, key.size);
}

struct cordwood_slice cordwood_iterator_value(const struct cordwood_iterator *iterator)
{
    struct slice value = lsm_iter_value(iterator->iter);
    return cordwood_slice(value.data, value.size);
}
