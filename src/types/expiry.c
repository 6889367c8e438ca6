/* SPDX-License-Identifier: MIT */
/* The expiry index and active expiry. Deleted entries at the front of the index would be walked
 * over again and again; `expire_hint_ms` of each database, a time before which no entry lives, lets
 * a search begin behind them. */
#include "types/expiry.h"

#include "base/memory.h"
#include "types/encoding.h"
#include "types/store_state.h"

#include <assert.h>

/* A key whose time has come: found first, deleted when all are found. */
struct due_key {
    unsigned database;
    uint64_t expire_ms;
    size_t offset, size; /* of its index key, in due_list.keys */
    struct object object;
    bool is_stale; /* no such key, or it has another time (after a repair): drop the entry */
};

struct due_list {
    struct due_key *items;
    size_t count, limit;
    struct buffer keys;
    bool more;
};

void expiry_change(struct access *access, struct slice tree_key, uint64_t old_ms, uint64_t new_ms)
{
    struct store_database *database = &access->store->databases[access->database];
    if (old_ms == new_ms)
        return;
    if (old_ms) {
        expiry_key_encode(&access->scratch_key, old_ms, tree_key);
        access_delete(access, TREE_PARTS, buffer_slice(&access->scratch_key));
        if (database->expires_count > 0) /* it may be 0 after a repair */
            database->expires_count--;
    }
    if (new_ms) {
        expiry_key_encode(&access->scratch_key, new_ms, tree_key);
        access_put(access, TREE_PARTS, buffer_slice(&access->scratch_key), slice_make(NULL, 0));
        database->expires_count++;
        if (new_ms < database->expire_hint_ms)
            database->expire_hint_ms = new_ms;
    }
    if (!old_ms || !new_ms)
        store_counts_changed(access->store, access->database);
}

static void due_list_add(struct due_list *list, unsigned database, uint64_t expire_ms,
                         struct slice index_key)
{
    if (list->count % 64 == 0)
        list->items = memory_resize(list->items, (list->count + 64) * sizeof *list->items);
    list->items[list->count++] = (struct due_key){
        .database = database,
        .expire_ms = expire_ms,
        .offset = list->keys.size,
        .size = index_key.size,
    };
    buffer_append_slice(&list->keys, index_key);
}

static struct slice due_list_key(const struct due_list *list, const struct due_key *due)
{
    return slice_make(list->keys.data + due->offset, due->size);
}

/* The first entry is not due (or there is none): that is where the next search begins. */
static enum status collect_entries(struct access *access, struct lsm_iter *iter,
                                   struct due_list *list)
{
    struct store_database *database = &access->store->databases[access->database];
    uint64_t expire_ms;
    struct slice suffix;
    bool found = false;
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter), found = true) {
        if (expiry_key_decode(lsm_iter_key(iter), &expire_ms, &suffix))
            return STATUS_CORRUPT;
        if (!expiry_is_due(expire_ms, access->now_ms)) {
            if (!found)
                database->expire_hint_ms = expire_ms;
            return STATUS_OK;
        }
        if (list->count == list->limit || list->keys.size > KEYSPACE_DUE_BYTES) {
            list->more = true;
            return STATUS_OK;
        }
        due_list_add(list, access->database, expire_ms, lsm_iter_key(iter));
    }
    enum status status = lsm_iter_status(iter);
    if (!status && !found)
        database->expire_hint_ms = STORE_EXPIRE_NEVER;
    return status;
}

static enum status collect_database(struct access *access, unsigned index, struct due_list *list)
{
    const struct store_database *database = &access->store->databases[index];
    uint8_t lower[EXPIRY_KEY_PREFIX_BYTES], upper[OBJECT_PREFIX_BYTES];
    if (!expiry_is_due(database->expire_hint_ms, access->now_ms) && database->expire_hint_ms != 0)
        return STATUS_OK;
    (void)access_select(access, index); /* cannot fail in a write access */
    object_prefix_store(lower, access->generation, 0);
    be64_store(lower + OBJECT_PREFIX_BYTES, database->expire_hint_ms);
    object_prefix_store(upper, access->generation, 1);
    struct lsm_iter *iter = lsm_iter_open(access->reader, TREE_PARTS,
                                          &(struct lsm_iter_options){
                                              .lower = slice_make(lower, sizeof lower),
                                              .upper = slice_make(upper, sizeof upper),
                                              .ignore_range_deletes = true,
                                          });
    enum status status = collect_entries(access, iter, list);
    lsm_iter_close(iter);
    return status;
}

/* Reads the header of a found key. */
static enum status look_up(struct access *access, const struct due_list *list, struct due_key *due)
{
    struct slice index_key = due_list_key(list, due), record;
    (void)access_select(access, due->database); /* cannot fail in a write access */
    struct slice suffix = slice_skip(index_key, EXPIRY_KEY_PREFIX_BYTES);
    tree_key_encode(&access->scratch_key, access->generation, position_load(suffix.data),
                    slice_skip(suffix, POSITION_BYTES));
    enum status status = access_get(access, TREE_KEYS, buffer_slice(&access->scratch_key), &record);
    if (!status)
        status = header_decode(record, &due->object);
    due->is_stale = status == STATUS_NOT_FOUND || due->object.expire_ms != due->expire_ms;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static void delete_due(struct access *access, const struct due_list *list,
                       const struct due_key *due)
{
    struct slice index_key = due_list_key(list, due);
    struct slice key = slice_skip(index_key, EXPIRY_KEY_PREFIX_BYTES + POSITION_BYTES);
    (void)access_select(access, due->database); /* cannot fail in a write access */
    if (due->is_stale) {
        access_delete(access, TREE_PARTS, index_key);
    } else {
        keyspace_remove(access, key, &due->object);
        access_fact(access, 'x', "expired", key);
    }
    access->store->databases[due->database].expire_hint_ms = due->expire_ms;
}

enum status keyspace_expire_due(struct access *access, size_t limit, size_t *expired, bool *more)
{
    struct due_list list = {.limit = limit};
    enum status status = STATUS_OK;
    unsigned selected = access->database;
    assert(access->writer);
    assert(limit > 0);
    for (unsigned i = 0; i < access->store->database_count && !status && !list.more; i++)
        status = collect_database(access, i, &list);
    for (size_t i = 0; i < list.count && !status; i++)
        status = look_up(access, &list, &list.items[i]);
    if (!status) {
        for (size_t i = 0; i < list.count; i++)
            delete_due(access, &list, &list.items[i]);
        *expired = list.count;
        *more = list.more;
    }
    (void)access_select(access, selected); /* cannot fail in a write access */
    memory_free(list.items);
    buffer_release(&list.keys);
    return status;
}
