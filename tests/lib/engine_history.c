/* SPDX-License-Identifier: MIT */
#include "lib/engine_history.h"

#include "base/coding.h"
#include "base/memory.h"
#include "lib/prefix_codec.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TREES = 3,
    OVERWRITTEN_KEYS = 150, /* of the trees 0 and 1 */
    OPERATIONS_MAX = 12,    /* of a batch */
    VALUE_BYTES_MAX = 24 << 10,
    KEY_BYTES_MAX = 16,
};

enum operation_kind { OPERATION_PUT, OPERATION_DELETE, OPERATION_DELETE_RANGE };

struct operation {
    enum operation_kind kind;
    unsigned tree;
    size_t key, end; /* numbers of keys; `end` of a range, exclusive */
    uint64_t tag;    /* of a put: its value is made of it; never 0 */
};

/* tags[tree][key number]: 0 is no such key. */
struct model {
    uint64_t *tags[TREES];
    size_t key_count[TREES];
};

bool engine_fail(struct engine_failure *failure, enum status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!failure->text[0]) {
        vsnprintf(failure->text, sizeof(failure->text), format, arguments);
        failure->status = status;
    }
    va_end(arguments);
    return false;
}

void engine_history_add(struct engine_history *history, uint64_t seed)
{
    if (history->count == history->capacity) {
        history->capacity = history->capacity ? 2 * history->capacity : 64;
        history->seeds = memory_resize(history->seeds, history->capacity * sizeof(uint64_t));
    }
    history->seeds[history->count++] = seed;
}

void engine_history_copy(const struct engine_history *from, size_t count, struct engine_history *to)
{
    assert(count <= from->count);
    *to = (struct engine_history){0};
    for (size_t i = 0; i < count; i++)
        engine_history_add(to, from->seeds[i]);
}

void engine_history_release(struct engine_history *history)
{
    memory_free(history->seeds);
    *history = (struct engine_history){0};
}

void engine_small_options(struct lsm_options *options)
{
    *options = (struct lsm_options){
        .trees = {{.name = "keys", .block_bytes = 1024, .filter_bits_per_key = 10},
                  {.name = "parts",
                   .block_bytes = 1024,
                   .filter_bits_per_key = 10,
                   .codec = &prefix_codec},
                  {.name = "entries",
                   .compaction = LSM_TIME_RUNS,
                   .block_bytes = 2048,
                   .filter_bits_per_key = 10,
                   .filter_prefix_bytes = 4,
                   .finger_prefix_bytes = 4,
                   .codec = &prefix_codec}},
        .tree_count = TREES,
        .memtable_bytes = 96 << 10,
        .block_cache_bytes = 256 << 10,
        .wal_segment_bytes = 48 << 10,
        .table_bytes_max = 32 << 10,
    };
}

void engine_choose_log(struct lsm_options *options, uint64_t seed)
{
    options->wal_compression = seed % 2 ? LSM_WAL_LZ4 : LSM_WAL_PLAIN;
    options->wal_page_bytes = 1u << seed / 2 % 8;
}

/* ---- What a seed stands for ---------------------------------------------------------------- */

static struct operation operation_draw(struct random *random, size_t index, size_t number)
{
    struct operation operation = {.tag = random_next(random) | 1};
    uint64_t choice = random_below(random, 100);
    if (choice < 45) { /* append */
        operation.tree = 2;
        operation.key = index * OPERATIONS_MAX + number;
        return operation;
    }
    if (choice < 47) { /* trim */
        operation.tree = 2;
        operation.kind = OPERATION_DELETE_RANGE;
        operation.end = random_below(random, index * OPERATIONS_MAX + 1);
        return operation;
    }
    operation.tree = (unsigned)random_below(random, 2);
    operation.key = random_below(random, OVERWRITTEN_KEYS);
    if (choice < 58) {
        operation.kind = OPERATION_DELETE;
    } else if (choice < 62) {
        operation.kind = OPERATION_DELETE_RANGE;
        operation.end = operation.key + random_below(random, 30);
        if (operation.end > OVERWRITTEN_KEYS)
            operation.end = OVERWRITTEN_KEYS;
    }
    return operation;
}

static size_t batch_operations(uint64_t seed, size_t index,
                               struct operation operations[OPERATIONS_MAX])
{
    struct random random;
    random_init(&random, seed);
    size_t count = 1 + random_below(&random, OPERATIONS_MAX);
    for (size_t i = 0; i < count; i++)
        operations[i] = operation_draw(&random, index, i);
    return count;
}

static struct slice key_text(unsigned tree, size_t number, uint8_t bytes[KEY_BYTES_MAX])
{
    if (tree == 2) {
        memcpy(bytes, "log:", 4);
        be32_store(bytes + 4, (uint32_t)number);
        return slice_make(bytes, 8);
    }
    int size = snprintf((char *)bytes, KEY_BYTES_MAX, "k%05zu", number);
    return slice_make(bytes, (size_t)size);
}

/* The tag at both ends and a pattern between: a value that is cut or mixed is found out. */
static struct slice value_text(uint64_t tag, uint8_t *bytes)
{
    size_t size = 16 + (tag >> 8) % 300;
    if ((tag >> 24) % 50 == 0)
        size = 2000 + (tag >> 8) % 5000;
    if ((tag >> 24) % 400 == 1)
        size = VALUE_BYTES_MAX;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((tag >> (i % 3 * 8)) + (i % 7 == 0 ? i : 0));
    le64_store(bytes, tag);
    le64_store(bytes + size - 8, tag);
    return slice_make(bytes, size);
}

size_t engine_batch_bytes(uint64_t seed, size_t index)
{
    struct operation operations[OPERATIONS_MAX];
    uint8_t *value = memory_allocate(VALUE_BYTES_MAX);
    size_t count = batch_operations(seed, index, operations);
    size_t bytes = 64;
    for (size_t i = 0; i < count; i++)
        bytes += 2 * KEY_BYTES_MAX + value_text(operations[i].tag, value).size;
    memory_free(value);
    return bytes;
}

/* Where a batch goes: one of the two. A transaction has room for it. */
struct target {
    struct lsm_writer *writer;
    struct lsm_transaction *transaction;
};

static void must(enum status status)
{
    if (status != STATUS_OK)
        abort();
}

static void write_operation(const struct target *target, const struct operation *operation,
                            uint8_t *value)
{
    uint8_t from[KEY_BYTES_MAX], to[KEY_BYTES_MAX];
    unsigned tree = operation->tree;
    struct slice key = key_text(tree, operation->key, from);
    struct slice end = key_text(tree, operation->end, to);
    struct lsm_transaction *transaction = target->transaction;
    if (operation->kind == OPERATION_PUT && transaction)
        must(lsm_transaction_put(transaction, tree, key, value_text(operation->tag, value)));
    else if (operation->kind == OPERATION_PUT)
        lsm_put(target->writer, tree, key, value_text(operation->tag, value));
    else if (operation->kind == OPERATION_DELETE && transaction)
        must(lsm_transaction_delete(transaction, tree, key));
    else if (operation->kind == OPERATION_DELETE)
        lsm_delete(target->writer, tree, key);
    else if (transaction)
        must(lsm_transaction_delete_range(transaction, tree, key, end));
    else
        lsm_delete_range(target->writer, tree, key, end);
}

static void write_batch(const struct target *target, uint64_t seed, size_t index)
{
    struct operation operations[OPERATIONS_MAX];
    uint8_t counter[8];
    uint8_t *value = memory_allocate(VALUE_BYTES_MAX);
    size_t count = batch_operations(seed, index, operations);
    for (size_t i = 0; i < count; i++)
        write_operation(target, &operations[i], value);
    le64_store(counter, index + 1);
    if (target->transaction)
        must(lsm_transaction_put(target->transaction, 0, slice_from("b"),
                                 slice_make(counter, sizeof(counter))));
    else
        lsm_put(target->writer, 0, slice_from("b"), slice_make(counter, sizeof(counter)));
    memory_free(value);
}

void engine_batch_write(struct lsm_writer *writer, uint64_t seed, size_t index)
{
    write_batch(&(struct target){.writer = writer}, seed, index);
}

void engine_transaction_write(struct lsm_transaction *transaction, uint64_t seed, size_t index)
{
    write_batch(&(struct target){.transaction = transaction}, seed, index);
}

/* ---- The model ----------------------------------------------------------------------------- */

static void model_init(struct model *model, const struct engine_history *history, size_t count)
{
    model->key_count[0] = model->key_count[1] = OVERWRITTEN_KEYS;
    model->key_count[2] = (count + 1) * OPERATIONS_MAX;
    for (unsigned tree = 0; tree < TREES; tree++)
        model->tags[tree] = memory_zeroed(model->key_count[tree], sizeof(uint64_t));
    for (size_t index = 0; index < count; index++) {
        struct operation operations[OPERATIONS_MAX];
        size_t operation_count = batch_operations(history->seeds[index], index, operations);
        for (size_t i = 0; i < operation_count; i++) {
            const struct operation *operation = &operations[i];
            uint64_t *tags = model->tags[operation->tree];
            if (operation->kind != OPERATION_DELETE_RANGE) {
                tags[operation->key] = operation->kind == OPERATION_PUT ? operation->tag : 0;
                continue;
            }
            for (size_t key = operation->key; key < operation->end; key++)
                tags[key] = 0;
        }
    }
}

static void model_release(struct model *model)
{
    for (unsigned tree = 0; tree < TREES; tree++)
        memory_free(model->tags[tree]);
}

/* ---- Comparing ----------------------------------------------------------------------------- */

static bool entry_is(struct lsm_iter *iter, unsigned tree, size_t number, uint64_t tag,
                     uint8_t *value, struct engine_failure *failure)
{
    uint8_t key[KEY_BYTES_MAX];
    if (!lsm_iter_valid(iter))
        return engine_fail(failure, lsm_iter_status(iter), "tree %u: key %zu is missing (%s)", tree,
                           number, status_text(lsm_iter_status(iter)));
    struct slice expected = key_text(tree, number, key);
    if (!slice_equal(lsm_iter_key(iter), expected))
        return engine_fail(failure, STATUS_OK,
                           "tree %u: %.*s stands where %.*s is expected (number %zu)", tree,
                           (int)lsm_iter_key(iter).size, lsm_iter_key(iter).data,
                           (int)expected.size, expected.data, number);
    if (!slice_equal(lsm_iter_value(iter), value_text(tag, value)))
        return engine_fail(failure, STATUS_OK, "tree %u: key %zu has another value", tree, number);
    return true;
}

static bool is_counter(struct lsm_iter *iter)
{
    return lsm_iter_valid(iter) && slice_equal(lsm_iter_key(iter), slice_from("b"));
}

static bool iter_is_at_end(struct lsm_iter *iter, unsigned tree, struct engine_failure *failure)
{
    if (lsm_iter_status(iter) != STATUS_OK)
        return engine_fail(failure, lsm_iter_status(iter), "tree %u: iterator: %s", tree,
                           status_text(lsm_iter_status(iter)));
    if (lsm_iter_valid(iter))
        return engine_fail(failure, STATUS_OK, "tree %u: %.*s is there and should not be", tree,
                           (int)lsm_iter_key(iter).size, lsm_iter_key(iter).data);
    return true;
}

/* The counter "b" sorts before every "k" and stands in tree 0 alone. */
static bool tree_agrees(struct lsm_reader *reader, unsigned tree, const struct model *model,
                        uint8_t *value, struct engine_failure *failure)
{
    const uint64_t *tags = model->tags[tree];
    struct lsm_iter_options none = {.ignore_range_deletes = false};
    struct lsm_iter *iter = lsm_iter_open(reader, tree, &none);
    bool agrees = true;
    lsm_iter_seek_first(iter);
    if (tree == 0 && is_counter(iter))
        lsm_iter_next(iter);
    for (size_t key = 0; agrees && key < model->key_count[tree]; key++) {
        if (!tags[key])
            continue;
        agrees = entry_is(iter, tree, key, tags[key], value, failure);
        if (agrees)
            lsm_iter_next(iter);
    }
    agrees = agrees && iter_is_at_end(iter, tree, failure);
    if (agrees)
        lsm_iter_seek_last(iter);
    for (size_t key = model->key_count[tree]; agrees && key-- > 0;) {
        if (!tags[key])
            continue;
        agrees = entry_is(iter, tree, key, tags[key], value, failure);
        if (agrees)
            lsm_iter_prev(iter);
    }
    if (agrees && tree == 0 && is_counter(iter))
        lsm_iter_prev(iter);
    agrees = agrees && iter_is_at_end(iter, tree, failure);
    lsm_iter_close(iter);
    return agrees;
}

static bool gets_agree(struct lsm_reader *reader, const struct model *model, uint8_t *value,
                       struct engine_failure *failure)
{
    for (unsigned tree = 0; tree < TREES; tree++) {
        for (size_t key = tree; key < model->key_count[tree]; key += 7) {
            uint8_t bytes[KEY_BYTES_MAX];
            struct slice found;
            uint64_t tag = model->tags[tree][key];
            enum status status = lsm_get(reader, tree, key_text(tree, key, bytes), &found);
            if (status != (tag ? STATUS_OK : STATUS_NOT_FOUND))
                return engine_fail(failure, status == STATUS_NOT_FOUND ? STATUS_OK : status,
                                   "tree %u: get of key %zu: %s", tree, key, status_text(status));
            if (tag && !slice_equal(found, value_text(tag, value)))
                return engine_fail(failure, STATUS_OK, "tree %u: get of key %zu: another value",
                                   tree, key);
        }
    }
    return true;
}

static bool read_counter(struct lsm_reader *reader, size_t *count, struct engine_failure *failure)
{
    struct slice value;
    enum status status = lsm_get(reader, 0, slice_from("b"), &value);
    if (status == STATUS_NOT_FOUND) {
        *count = 0;
        return true;
    }
    if (status != STATUS_OK || value.size != 8)
        return engine_fail(failure, status, "the count of batches: %s", status_text(status));
    *count = le64_load(value.data);
    return true;
}

bool engine_holds_history(struct lsm *db, const struct engine_history *history, size_t min,
                          size_t max, size_t *count, struct engine_failure *failure)
{
    struct lsm_reader *reader = lsm_reader_create(db);
    struct model model = {0};
    uint8_t *value = memory_allocate(VALUE_BYTES_MAX);
    size_t found = 0;
    lsm_read_begin(reader);
    bool agrees = read_counter(reader, &found, failure);
    if (agrees && (found < min || found > max))
        agrees = engine_fail(failure, STATUS_OK, "%zu batches are there, %zu to %zu should be",
                             found, min, max);
    if (agrees) {
        model_init(&model, history, found);
        for (unsigned tree = 0; agrees && tree < TREES; tree++)
            agrees = tree_agrees(reader, tree, &model, value, failure);
        agrees = agrees && gets_agree(reader, &model, value, failure);
        model_release(&model);
    }
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
    memory_free(value);
    *count = found;
    return agrees;
}
