/* SPDX-License-Identifier: MIT */
/* Random commands on keys, strings and lists against a model too simple to be wrong, with flushes,
 * compactions, clean stops, kills and power losses between. SEED= repeats a run, STEPS= makes it
 * longer. */
#include "base/memory.h"
#include "base/random.h"
#include "lib/memory_store.h"
#include "lib/seed.h"
#include "types/list.h"
#include "types/store_check.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    DATABASES = 3,
    MARK_DATABASE = 3,
    KEYS = 12,
    HISTORY = 40,
    LIST_MAX = 400,
    VALUE_BYTES_MAX = 80000,
    STEPS = 6000
};

/* A value is a number and a size; its bytes follow from them. */
struct value {
    uint32_t number, size;
};

enum kind { MISSING, STRING, LIST };

struct model_key {
    enum kind kind;
    uint64_t expire_ms;
    struct value string;
    struct value list[LIST_MAX];
    int count;
};

static struct model_key model[DATABASES][KEYS];
static struct memory_store ms;
static struct random random_source;
static uint32_t next_number;

static uint64_t below(uint64_t bound)
{
    return random_below(&random_source, bound);
}

/* ---- Values and keys. ------------------------------------------------------------------------ */

static struct value value_new(void)
{
    static const uint32_t bounds[] = {1, 10, 10, 10, 40, 40, 200, 700, 5000, VALUE_BYTES_MAX};
    return (struct value){next_number++, (uint32_t)below(bounds[below(10)])};
}

static void value_fill(struct value value, struct buffer *into)
{
    buffer_reserve(into, value.size);
    for (uint32_t i = 0; i < value.size; i++)
        into->data[into->size++] = (uint8_t)(value.number * 31 + i + (i >> 8) * value.number);
}

static bool value_is(struct value value, struct slice found)
{
    static struct buffer bytes;
    buffer_clear(&bytes);
    value_fill(value, &bytes);
    return slice_equal(buffer_slice(&bytes), found);
}

static struct slice key_of(int index)
{
    static char names[KEYS][16];
    snprintf(names[index], sizeof names[index], "%skey:%d", index % 3 ? "" : "{tag}", index);
    return slice_from(names[index]);
}

/* ---- The model. ------------------------------------------------------------------------------ */

static void model_expire(void)
{
    for (int d = 0; d < DATABASES; d++)
        for (int k = 0; k < KEYS; k++)
            if (model[d][k].kind && model[d][k].expire_ms && ms.now_ms > model[d][k].expire_ms)
                model[d][k].kind = MISSING;
}

static struct model_key *model_list(unsigned database, int index)
{
    struct model_key *key = &model[database][index];
    if (key->kind == MISSING)
        *key = (struct model_key){.kind = LIST};
    return key;
}

static void model_remove(struct model_key *key, int from, int count)
{
    memmove(&key->list[from], &key->list[from + count],
            (size_t)(key->count - from - count) * sizeof *key->list);
    key->count -= count;
    if (key->count == 0)
        key->kind = MISSING;
}

/* ---- One step each; the access is open for writing in `database`. ---------------------------- */

static void step_set(unsigned database, int index)
{
    static struct buffer bytes;
    struct model_key *key = &model[database][index];
    struct value value = value_new();
    struct object old;
    struct string_set_options options = {.keep_ttl = below(4) == 0,
                                         .expire_ms = below(3) ? 0 : ms.now_ms + below(300) + 1};
    enum status status = keyspace_find(&ms.access, key_of(index), &old);
    assert_int_equal(status, key->kind ? STATUS_OK : STATUS_NOT_FOUND);
    uint64_t expire_ms = !options.keep_ttl ? options.expire_ms : key->kind ? key->expire_ms : 0;
    buffer_clear(&bytes);
    value_fill(value, &bytes);
    string_set(&ms.access, key_of(index), buffer_slice(&bytes), status ? NULL : &old, &options);
    *key = (struct model_key){.kind = STRING, .expire_ms = expire_ms, .string = value};
}

static void step_expire(unsigned database, int index)
{
    struct model_key *key = &model[database][index];
    struct object object;
    if (keyspace_find(&ms.access, key_of(index), &object) != STATUS_OK)
        return;
    key->expire_ms = below(3) ? ms.now_ms + below(300) + 1 : 0;
    keyspace_set_expire(&ms.access, key_of(index), &object, key->expire_ms);
}

static void step_delete(unsigned database, int index)
{
    bool deleted;
    assert_int_equal(keyspace_delete(&ms.access, key_of(index), &deleted), STATUS_OK);
    assert_int_equal(deleted, model[database][index].kind != MISSING);
    model[database][index].kind = MISSING;
}

static void step_rename(unsigned database, int index)
{
    int to = (int)below(KEYS);
    enum status status = keyspace_rename(&ms.access, key_of(index), key_of(to));
    assert_int_equal(status, model[database][index].kind ? STATUS_OK : STATUS_NOT_FOUND);
    if (!status && to != index) {
        model[database][to] = model[database][index];
        model[database][index].kind = MISSING;
    }
}

static void step_push(unsigned database, int index)
{
    struct buffer bytes[4] = {{0}};
    struct slice values[4];
    struct model_key *key = &model[database][index];
    uint64_t length = 0, count = 1 + below(4);
    enum list_end end = below(2) ? LIST_LEFT : LIST_RIGHT;
    struct value added[4];
    if (key->kind == LIST && key->count + 4 > LIST_MAX)
        return;
    for (uint64_t i = 0; i < count; i++) {
        added[i] = value_new();
        value_fill(added[i], &bytes[i]);
        values[i] = buffer_slice(&bytes[i]);
    }
    enum status status = list_push(&ms.access, key_of(index), end, values, count, false, &length);
    assert_int_equal(status, key->kind == STRING ? STATUS_WRONG_TYPE : STATUS_OK);
    for (uint64_t i = 0; i < count; i++)
        buffer_release(&bytes[i]);
    if (status)
        return;
    key = model_list(database, index);
    for (uint64_t i = 0; i < count; i++) {
        if (end == LIST_LEFT)
            memmove(&key->list[1], &key->list[0], (size_t)key->count * sizeof *key->list);
        key->list[end == LIST_LEFT ? 0 : key->count] = added[i];
        key->count++;
    }
    assert_int_equal(length, key->count);
}

/* What a visitor must be given, one after the other. */
struct expected {
    const struct model_key *key;
    int at, step, left;
};

static void check_count(void *context, uint64_t count)
{
    assert_int_equal(count, ((struct expected *)context)->left);
}

static void check_element(void *context, struct slice found)
{
    struct expected *expected = context;
    assert_true(expected->left > 0);
    assert_true(value_is(expected->key->list[expected->at], found));
    expected->at += expected->step;
    expected->left--;
}

static void step_pop(unsigned database, int index)
{
    struct model_key *key = &model[database][index];
    bool left = below(2);
    int count = 1 + (int)below(below(4) ? 3 : 40);
    int taken = key->kind == LIST ? (count < key->count ? count : key->count) : 0;
    struct expected expected = {key, left ? 0 : key->count - 1, left ? 1 : -1, taken};
    enum status status =
        list_pop(&ms.access, key_of(index), left ? LIST_LEFT : LIST_RIGHT, (uint64_t)count,
                 &(struct list_visitor){check_count, check_element, &expected});
    if (key->kind == LIST) {
        assert_int_equal(status, STATUS_OK);
        assert_int_equal(expected.left, 0);
        model_remove(key, left ? 0 : key->count - taken, taken);
    } else {
        assert_int_equal(status, key->kind ? STATUS_WRONG_TYPE : STATUS_NOT_FOUND);
    }
}

static void step_trim(unsigned database, int index)
{
    struct model_key *key = &model[database][index];
    int64_t first = (int64_t)below(20), last = -1 - (int64_t)below(20);
    enum status status = list_trim(&ms.access, key_of(index), first, last);
    assert_int_equal(status, key->kind == STRING ? STATUS_WRONG_TYPE : STATUS_OK);
    if (key->kind != LIST)
        return;
    int end = key->count + 1 + (int)last; /* exclusive */
    if (end <= first || first >= key->count) {
        key->kind = MISSING;
        return;
    }
    model_remove(key, end, key->count - end);
    model_remove(key, 0, (int)first);
}

/* Beside any element of the list, or nothing. */
static void step_insert(unsigned database, int index)
{
    static struct buffer bytes[2];
    struct model_key *key = &model[database][index];
    uint64_t length = 0;
    int at = key->kind == LIST ? (int)below((uint64_t)key->count) : 0, found = 0;
    struct value value = value_new(), pivot = key->kind == LIST ? key->list[at] : value;
    struct list_insertion options = {.is_before = below(2)};
    if (key->kind == LIST && key->count == LIST_MAX)
        return;
    for (int i = 0; i < 2; i++) {
        buffer_clear(&bytes[i]);
        value_fill(i ? value : pivot, &bytes[i]);
    }
    options.pivot = buffer_slice(&bytes[0]);
    options.value = buffer_slice(&bytes[1]);
    enum status status = list_insert(&ms.access, key_of(index), &options, &length);
    assert_int_equal(status, key->kind == LIST ? STATUS_OK
                             : key->kind       ? STATUS_WRONG_TYPE
                                               : STATUS_NOT_FOUND);
    if (status)
        return;
    while (!value_is(key->list[found], options.pivot)) /* another may look the same */
        found++;
    found += !options.is_before;
    memmove(&key->list[found + 1], &key->list[found],
            (size_t)(key->count - found) * sizeof *key->list);
    key->list[found] = value;
    key->count++;
    assert_int_equal(length, key->count);
}

static void step_remove(unsigned database, int index)
{
    static struct buffer bytes;
    struct model_key *key = &model[database][index];
    uint64_t removed = 0, expected = 0;
    struct value value = key->kind == LIST ? key->list[below((uint64_t)key->count)] : value_new();
    struct list_removal options = {.count = (int64_t)below(4) - 1};
    buffer_clear(&bytes);
    value_fill(value, &bytes);
    options.value = buffer_slice(&bytes);
    enum status status = list_remove(&ms.access, key_of(index), &options, &removed);
    assert_int_equal(status, key->kind == LIST ? STATUS_OK
                             : key->kind       ? STATUS_WRONG_TYPE
                                               : STATUS_NOT_FOUND);
    if (status)
        return;
    uint64_t wanted = options.count == 0 ? UINT64_MAX : (uint64_t)llabs(options.count);
    int at = options.count < 0 ? key->count - 1 : 0;
    while (key->kind == LIST && at >= 0 && at < key->count && expected < wanted) {
        bool is_it = value_is(key->list[at], options.value);
        if (is_it)
            model_remove(key, at, 1);
        expected += is_it;
        at += options.count < 0 ? -1 : !is_it;
    }
    assert_int_equal(removed, expected);
}

static void step_replace(unsigned database, int index)
{
    static struct buffer bytes;
    struct model_key *key = &model[database][index];
    struct value value = value_new();
    int at = key->kind == LIST ? (int)below((uint64_t)key->count) : 0;
    buffer_clear(&bytes);
    value_fill(value, &bytes);
    enum status status = list_set(&ms.access, key_of(index), at, buffer_slice(&bytes));
    assert_int_equal(status, key->kind == LIST ? STATUS_OK
                             : key->kind       ? STATUS_WRONG_TYPE
                                               : STATUS_NOT_FOUND);
    if (!status)
        key->list[at] = value;
}

static void step_move(unsigned database, int index)
{
    struct model_key *key = &model[database][index];
    int to_index = (int)below(KEYS);
    struct model_key *to = &model[database][to_index];
    bool from_left = below(2), to_left = below(2);
    struct expected expected = {key, from_left ? 0 : key->count - 1, 0, 1};
    if (to->kind == LIST && to->count == LIST_MAX)
        return;
    enum status status = list_move(&ms.access, key_of(index), from_left ? LIST_LEFT : LIST_RIGHT,
                                   key_of(to_index), to_left ? LIST_LEFT : LIST_RIGHT,
                                   &(struct list_visitor){NULL, check_element, &expected, NULL});
    assert_int_equal(status, key->kind == MISSING                        ? STATUS_NOT_FOUND
                             : key->kind == STRING || to->kind == STRING ? STATUS_WRONG_TYPE
                                                                         : STATUS_OK);
    if (status)
        return;
    struct value value = key->list[from_left ? 0 : key->count - 1];
    uint64_t expire_ms = key->expire_ms;
    model_remove(key, from_left ? 0 : key->count - 1, 1);
    if (to == key && key->kind == MISSING) {
        *key = (struct model_key){.kind = LIST, .expire_ms = expire_ms};
    }
    to = model_list(database, to_index);
    if (to_left)
        memmove(&to->list[1], &to->list[0], (size_t)to->count * sizeof *to->list);
    to->list[to_left ? 0 : to->count] = value;
    to->count++;
}

static void step_flush_or_swap(unsigned database, int index)
{
    unsigned other = (unsigned)index % DATABASES;
    if (below(2)) {
        assert_int_equal(keyspace_flush(&ms.access, database), STATUS_OK);
        memset(model[database], 0, sizeof model[database]);
    } else {
        static struct model_key swapped[KEYS];
        keyspace_swap(&ms.access, database, other);
        memcpy(swapped, model[database], sizeof swapped);
        memcpy(model[database], model[other], sizeof swapped);
        memcpy(model[other], swapped, sizeof swapped);
    }
}

static void step_expire_due(unsigned database, int index)
{
    size_t expired;
    bool more;
    (void)database;
    (void)index;
    assert_int_equal(keyspace_expire_due(&ms.access, 1 + below(5), &expired, &more), STATUS_OK);
}

/* ---- Checks; the access is open for reading. ------------------------------------------------- */

static void check_key(unsigned database, int index)
{
    const struct model_key *key = &model[database][index];
    struct slice found;
    struct object object;
    enum status status = string_get(&ms.access, key_of(index), &found);
    assert_int_equal(status, key->kind == STRING ? STATUS_OK
                             : key->kind         ? STATUS_WRONG_TYPE
                                                 : STATUS_NOT_FOUND);
    if (key->kind == STRING)
        assert_true(value_is(key->string, found));
    if (key->kind != LIST)
        return;
    int first = (int)below((uint64_t)key->count), last = (int)below((uint64_t)key->count);
    struct expected expected = {key, first, 1, last < first ? 0 : last - first + 1};
    assert_int_equal(list_range(&ms.access, key_of(index), first - key->count, last,
                                &(struct list_visitor){check_count, check_element, &expected}),
                     STATUS_OK);
    assert_int_equal(expected.left, 0);
    assert_int_equal(list_index(&ms.access, key_of(index), last, &found), STATUS_OK);
    assert_true(value_is(key->list[last], found));
    assert_int_equal(keyspace_find(&ms.access, key_of(index), &object), STATUS_OK);
    assert_int_equal(object.expire_ms, key->expire_ms);
}

static void count_key(void *context, struct slice key, const struct object *object)
{
    (void)key;
    (void)object;
    ++*(uint64_t *)context;
}

static void check_database(unsigned database)
{
    uint64_t keys, expires, scanned = 0, cursor = 0, alive = 0;
    for (int k = 0; k < KEYS; k++)
        alive += model[database][k].kind != MISSING;
    do {
        assert_int_equal(
            keyspace_scan(&ms.access, cursor, 1 + below(4), &cursor, count_key, &scanned),
            STATUS_OK);
    } while (cursor);
    assert_int_equal(scanned, alive);
    assert_int_equal(keyspace_count(&ms.access, &keys, &expires), STATUS_OK);
    assert_true(keys >= alive); /* and the expired ones that nobody met */
    assert_true(expires <= keys);
}

/* After everything due was deleted the counts are exact. */
static void check_counts(void)
{
    size_t expired;
    bool more;
    struct lsm_report report = {""};
    enum status status = store_check(ms.store, &report);
    if (status)
        print_error("%s\n", report.text);
    assert_int_equal(status, STATUS_OK);
    memory_store_write(&ms);
    assert_int_equal(keyspace_expire_due(&ms.access, 1000, &expired, &more), STATUS_OK);
    assert_false(more);
    memory_store_end(&ms);
    memory_store_read(&ms);
    for (unsigned d = 0; d < DATABASES; d++) {
        uint64_t keys, expires, alive = 0, timed = 0;
        for (int k = 0; k < KEYS; k++) {
            alive += model[d][k].kind != MISSING;
            timed += model[d][k].kind != MISSING && model[d][k].expire_ms;
        }
        assert_int_equal(access_select(&ms.access, d), STATUS_OK);
        assert_int_equal(keyspace_count(&ms.access, &keys, &expires), STATUS_OK);
        assert_int_equal(keys, alive);
        assert_int_equal(expires, timed);
        for (int k = 0; k < KEYS; k++)
            check_key(d, k);
    }
    memory_store_end(&ms);
}

/* No part is left behind by any way that an object went. */
static void delete_everything(void)
{
    struct buffer dump = {0};
    for (unsigned d = 0; d < DATABASES; d++)
        for (int k = 0; k < KEYS; k++) {
            memory_store_write(&ms);
            assert_int_equal(access_select(&ms.access, d), STATUS_OK);
            step_delete(d, k);
            memory_store_end(&ms);
        }
    memory_store_dump(&ms, TREE_PARTS, &dump);
    assert_int_equal(dump.size, 0);
    buffer_release(&dump);
}

static void disturb(void)
{
    switch (below(4)) {
    case 0:
        memory_store_reopen(&ms);
        break;
    case 1:
        memory_store_crash(&ms, VFS_KEEP_ALL, 0);
        break;
    case 2:
        lsm_request_compact(store_engine(ms.store));
        memory_store_work(&ms, true);
        break;
    default:
        memory_store_work(&ms, true);
    }
}

/* Every batch leaves its number behind, so that a lost tail can be told. */
static void write_mark(int number)
{
    struct object old;
    assert_int_equal(access_select(&ms.access, MARK_DATABASE), STATUS_OK);
    enum status status = keyspace_find(&ms.access, slice_from("mark"), &old);
    string_set(&ms.access, slice_from("mark"), slice_make(&number, sizeof number),
               status ? NULL : &old, &(struct string_set_options){0});
}

static int read_mark(void)
{
    struct slice value;
    int number;
    memory_store_read(&ms);
    assert_int_equal(access_select(&ms.access, MARK_DATABASE), STATUS_OK);
    assert_int_equal(string_get(&ms.access, slice_from("mark"), &value), STATUS_OK);
    assert_int_equal(value.size, sizeof number);
    memcpy(&number, value.data, sizeof number);
    memory_store_end(&ms);
    return number;
}

static void one_step(int number)
{
    static void (*const steps[])(unsigned, int) = {
        step_set,    step_set,    step_set,     step_push,       step_push,   step_push,
        step_push,   step_push,   step_push,    step_pop,        step_pop,    step_trim,
        step_delete, step_rename, step_expire,  step_expire_due, step_insert, step_insert,
        step_remove, step_remove, step_replace, step_move,
    };
    unsigned database = (unsigned)below(DATABASES);
    int index = (int)below(KEYS);
    ms.now_ms += below(20) ? below(3) : below(400);
    model_expire();
    memory_store_write(&ms);
    assert_int_equal(access_select(&ms.access, database), STATUS_OK);
    if (below(150) == 0)
        step_flush_or_swap(database, index);
    else
        steps[below(sizeof steps / sizeof *steps)](database, index);
    write_mark(number);
    memory_store_end(&ms);
    memory_store_read(&ms);
    assert_int_equal(access_select(&ms.access, database), STATUS_OK);
    check_key(database, (int)below(KEYS));
    if (below(10) == 0)
        check_database(database);
    memory_store_end(&ms);
}

static int begin_run(uint64_t salt)
{
    const char *steps = getenv("STEPS");
    random_init(&random_source, test_seed() + salt);
    memset(model, 0, sizeof model);
    memory_store_open(&ms, &(struct store_options){
                               .databases = DATABASES + 1,
                               .memtable_bytes = 1 << 20,
                               .block_cache_bytes = 1 << 20,
                               .wal_segment_bytes = 1 << 20,
                           });
    return steps ? atoi(steps) : STEPS;
}

/* The power goes while up to HISTORY batches are not synced: what is left is a beginning of them.
 */
static void a_power_loss_takes_a_tail_of_batches_and_never_half_of_one(void **state)
{
    static struct model_key history[HISTORY + 1][DATABASES][KEYS];
    static const enum vfs_power_loss modes[] = {VFS_LOSE_UNSYNCED, VFS_TEAR, VFS_REORDER};
    int count = begin_run(1) / 2, number = 0, losses = 0;
    (void)state;
    one_step(number);
    while (number < count) {
        int synced = number, steps = (int)below(HISTORY);
        assert_int_equal(lsm_wal_sync(store_engine(ms.store)), STATUS_OK);
        memcpy(history[0], model, sizeof model);
        for (int i = 1; i <= steps; i++) {
            one_step(++number);
            memcpy(history[i], model, sizeof model);
            if (below(5) == 0)
                assert_int_equal(lsm_wal_write(store_engine(ms.store)), STATUS_OK);
        }
        if (below(4) == 0) {
            memory_store_work(&ms, below(2));
            continue;
        }
        memory_store_crash(&ms, modes[below(3)], random_next(&random_source));
        int survived = read_mark();
        assert_in_range(survived, synced, number);
        losses += survived < number;
        memcpy(model, history[survived - synced], sizeof model);
        number = survived;
        model_expire();
        check_counts();
        number += count / 200; /* a run ends although batches are lost */
        memory_store_write(&ms);
        write_mark(number);
        memory_store_end(&ms);
    }
    assert_true(losses > 10);
    memory_store_release(&ms);
}

static void random_commands_do_what_the_model_does(void **state)
{
    int count = begin_run(0);
    (void)state;
    for (int i = 0; i < count; i++) {
        one_step(i);
        if (i % 50 == 0)
            memory_store_work(&ms, false);
        if (below(80) == 0)
            disturb();
        if (below(300) == 0)
            check_counts();
    }
    check_counts();
    delete_everything();
    struct lsm_report report = {""};
    assert_int_equal(lsm_check_invariants(store_engine(ms.store), &report), STATUS_OK);
    memory_store_release(&ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_commands_do_what_the_model_does),
        cmocka_unit_test(a_power_loss_takes_a_tail_of_batches_and_never_half_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
