/* SPDX-License-Identifier: MIT */
/* Transactions: the engine's, with their reads noted and the commit made safe. */
#include "lib/library.h"

#include "base/memory.h"

#include <assert.h>

enum cordwood_status cordwood_transaction_begin(struct cordwood *db,
                                                const struct cordwood_transaction_options *given,
                                                struct cordwood_transaction **out)
{
    struct cordwood_transaction_options options = CORDWOOD_TRANSACTION_OPTIONS;
    if (!library_take_struct(&options, sizeof(options), given))
        return CORDWOOD_INVALID;
    struct cordwood_transaction *transaction = memory_zeroed(1, sizeof(*transaction));
    transaction->db = db;
    transaction->serializable = options.serializable;
    transaction->transaction = lsm_transaction_create(
        db->engine, &(struct lsm_transaction_options){.bytes_max = db->batch_bytes_max,
                                                      .serializable = options.serializable});
    *out = transaction;
    return CORDWOOD_OK;
}

void cordwood_transaction_destroy(struct cordwood_transaction *transaction)
{
    if (!transaction)
        return;
    assert(transaction->iterator_count == 0);
    lsm_transaction_destroy(transaction->transaction);
    memory_free(transaction);
}

/* ---- Writing ------------------------------------------------------------------------------- */

static bool may_write(const struct cordwood_transaction *transaction, uint32_t tree,
                      struct cordwood_slice key)
{
    return !transaction->ended && library_is_key(transaction->db, tree, key);
}

enum cordwood_status cordwood_transaction_put(struct cordwood_transaction *transaction,
                                              uint32_t tree, struct cordwood_slice key,
                                              struct cordwood_slice value)
{
    if (!may_write(transaction, tree, key))
        return CORDWOOD_INVALID;
    return library_status(lsm_transaction_put(transaction->transaction, tree, library_slice(key),
                                              library_slice(value)));
}

enum cordwood_status cordwood_transaction_delete(struct cordwood_transaction *transaction,
                                                 uint32_t tree, struct cordwood_slice key)
{
    if (!may_write(transaction, tree, key))
        return CORDWOOD_INVALID;
    return library_status(
        lsm_transaction_delete(transaction->transaction, tree, library_slice(key)));
}

enum cordwood_status cordwood_transaction_delete_range(struct cordwood_transaction *transaction,
                                                       uint32_t tree, struct cordwood_slice from,
                                                       struct cordwood_slice to)
{
    if (!may_write(transaction, tree, from) || !may_write(transaction, tree, to))
        return CORDWOOD_INVALID;
    return library_status(lsm_transaction_delete_range(transaction->transaction, tree,
                                                       library_slice(from), library_slice(to)));
}

/* ---- Reading ------------------------------------------------------------------------------- */

enum cordwood_status cordwood_transaction_get(struct cordwood_transaction *transaction,
                                              uint32_t tree, struct cordwood_slice key,
                                              struct cordwood_buffer *value)
{
    if (!library_is_key(transaction->db, tree, key))
        return CORDWOOD_INVALID;
    if (transaction->noted == STATUS_OK)
        transaction->noted =
            lsm_transaction_note_key(transaction->transaction, tree, library_slice(key));
    if (transaction->noted != STATUS_OK)
        return library_status(transaction->noted);
    return library_get(transaction->db, &(struct library_moment){.transaction = transaction}, tree,
                       key, value);
}

enum cordwood_status
cordwood_transaction_iterator_open(struct cordwood_transaction *transaction, uint32_t tree,
                                   const struct cordwood_iterator_options *options,
                                   struct cordwood_iterator **iterator)
{
    if (transaction->noted != STATUS_OK)
        return library_status(transaction->noted);
    return library_iterator_open(transaction->db,
                                 &(struct library_moment){.transaction = transaction}, tree,
                                 options, iterator);
}

/* ---- Commit -------------------------------------------------------------------------------- */

enum cordwood_status cordwood_transaction_commit(struct cordwood_transaction *transaction)
{
    struct cordwood *db = transaction->db;
    lsn_t lsn;
    if (transaction->ended || transaction->iterator_count > 0)
        return CORDWOOD_INVALID;
    if (transaction->noted != STATUS_OK)
        return library_status(transaction->noted);
    keeper_hold_back(&db->keeper);
    struct keeper_reader *taken = keeper_take_reader(&db->keeper);
    enum status status = lsm_transaction_commit(transaction->transaction, taken->reader, &lsn);
    keeper_give_reader(taken);
    transaction->ended = status == STATUS_OK || status == STATUS_CONFLICT;
    if (status == STATUS_OK && lsn)
        status = keeper_finish_write(&db->keeper, lsm_transaction_bytes(transaction->transaction));
    return library_status(status);
}
