/* SPDX-License-Identifier: MIT */
/* Which command comes next. The model may lag behind the server by what is under way; only what
 * would make an outcome unknowable is kept out: a key that ends soon is only read until it has
 * ended. */
#include "stress/stress_operation.h"

#include <assert.h>
#include <time.h>

enum {
    SOON_MS = 600 * 1000,
    HOUR_MS = 3600 * 1000,
    LONG_HOURS_MAX = 200,
    SHORT_MS_MAX = 400,
    GROWN_ITEMS = 120, /* then it is trimmed more often than it grows */
    TRIES = 6,
    VALUES_MAX = 5,
    WAIT_MS = 5, /* of a blocking pop that may find nothing */
    PAYLOAD_BYTES_MAX = 200 * 1024,
};

struct weight {
    enum operation_kind kind;
    unsigned weight;
    enum model_type type; /* TYPE_NONE: any */
    bool writes, solo, json;
};

static const struct weight weights[] = {
    {OP_SET, 30, TYPE_STRING, .writes = true},
    {OP_GET, 20, TYPE_STRING},
    {OP_GETRANGE, 4, TYPE_STRING},
    {OP_SUBSTR, 1, TYPE_STRING},
    {OP_STRLEN, 2, TYPE_STRING},
    {OP_GETDEL, 2, TYPE_STRING, .writes = true},
    {OP_GETEX, 3, TYPE_STRING, .writes = true},
    {OP_GETSET, 2, TYPE_STRING, .writes = true},
    {OP_APPEND, 10, TYPE_STRING, .writes = true},
    {OP_SETRANGE, 8, TYPE_STRING, .writes = true},
    {OP_INCR, 3, TYPE_STRING, .writes = true},
    {OP_DECR, 2, TYPE_STRING, .writes = true},
    {OP_INCRBY, 3, TYPE_STRING, .writes = true},
    {OP_DECRBY, 2, TYPE_STRING, .writes = true},
    {OP_INCRBYFLOAT, 3, TYPE_STRING, .writes = true},
    {OP_SETBIT, 5, TYPE_STRING, .writes = true},
    {OP_GETBIT, 2, TYPE_STRING},
    {OP_BITCOUNT, 3, TYPE_STRING},
    {OP_BITPOS, 2, TYPE_STRING},
    {OP_BITFIELD, 4, TYPE_STRING, .writes = true},
    {OP_BITOP, 3, TYPE_STRING, .writes = true},
    {OP_SETNX, 2, TYPE_STRING, .writes = true},
    {OP_SETEX, 2, TYPE_STRING, .writes = true},
    {OP_PSETEX, 2, TYPE_STRING, .writes = true},
    {OP_MSET, 4, TYPE_STRING, .writes = true},
    {OP_MSETNX, 3, TYPE_STRING, .writes = true},
    {OP_MGET, 4, TYPE_STRING},
    {OP_DEL, 3, TYPE_NONE, .writes = true},
    {OP_UNLINK, 2, TYPE_NONE, .writes = true},
    {OP_EXISTS, 4, TYPE_NONE},
    {OP_TOUCH, 2, TYPE_NONE},
    {OP_TYPE, 3, TYPE_NONE},
    {OP_TTL, 3, TYPE_NONE},
    {OP_PTTL, 3, TYPE_NONE},
    {OP_EXPIRETIME, 2, TYPE_NONE},
    {OP_PEXPIRETIME, 2, TYPE_NONE},
    {OP_EXPIRE, 2, TYPE_NONE, .writes = true},
    {OP_PEXPIRE, 3, TYPE_NONE, .writes = true},
    {OP_EXPIREAT, 2, TYPE_NONE, .writes = true},
    {OP_PEXPIREAT, 3, TYPE_NONE, .writes = true},
    {OP_PERSIST, 3, TYPE_NONE, .writes = true},
    {OP_RENAME, 4, TYPE_NONE, .writes = true},
    {OP_RENAMENX, 3, TYPE_NONE, .writes = true},
    {OP_COPY, 4, TYPE_NONE, .writes = true},
    {OP_MOVE, 4, TYPE_NONE, .writes = true},
    {OP_DUMP, 6, TYPE_NONE, .solo = true},
    {OP_RESTORE, 10, TYPE_NONE, .writes = true},
    {OP_LPUSH, 12, TYPE_LIST, .writes = true},
    {OP_RPUSH, 18, TYPE_LIST, .writes = true},
    {OP_LPUSHX, 4, TYPE_LIST, .writes = true},
    {OP_RPUSHX, 4, TYPE_LIST, .writes = true},
    {OP_LPOP, 7, TYPE_LIST, .writes = true},
    {OP_RPOP, 7, TYPE_LIST, .writes = true},
    {OP_LLEN, 3, TYPE_LIST},
    {OP_LINDEX, 5, TYPE_LIST},
    {OP_LPOS, 4, TYPE_LIST},
    {OP_LRANGE, 8, TYPE_LIST},
    {OP_LSET, 5, TYPE_LIST, .writes = true},
    {OP_LINSERT, 5, TYPE_LIST, .writes = true},
    {OP_LREM, 5, TYPE_LIST, .writes = true},
    {OP_LTRIM, 3, TYPE_LIST, .writes = true},
    {OP_SORT_RO, 3, TYPE_LIST},
    {OP_SORT, 5, TYPE_LIST, .writes = true},
    {OP_LMOVE, 5, TYPE_LIST, .writes = true},
    {OP_RPOPLPUSH, 3, TYPE_LIST, .writes = true},
    {OP_LMPOP, 4, TYPE_LIST, .writes = true},
    {OP_BLMOVE, 3, TYPE_LIST, .writes = true},
    {OP_BRPOPLPUSH, 2, TYPE_LIST, .writes = true},
    {OP_BLMPOP, 3, TYPE_LIST, .writes = true},
    {OP_BLPOP, 3, TYPE_LIST, .writes = true},
    {OP_BRPOP, 2, TYPE_LIST, .writes = true},
    {OP_XADD, 40, TYPE_STREAM, .writes = true},
    {OP_XDEL, 5, TYPE_STREAM, .writes = true},
    {OP_XLEN, 3, TYPE_STREAM},
    {OP_XRANGE, 8, TYPE_STREAM},
    {OP_XREVRANGE, 6, TYPE_STREAM},
    {OP_XREAD, 5, TYPE_STREAM},
    {OP_XTRIM, 4, TYPE_STREAM, .writes = true},
    {OP_XINFO_STREAM, 2, TYPE_STREAM},
    {OP_XSETID, 6, TYPE_STREAM, .writes = true},
    {OP_LOG_WRITE, 20, TYPE_STREAM, .writes = true},
    {OP_LOG_MWRITE, 6, TYPE_STREAM, .writes = true},
    {OP_LOG_RANGE, 6, TYPE_STREAM},
    {OP_LOG_REVRANGE, 6, TYPE_STREAM},
    {OP_DBSIZE, 2, TYPE_NONE, .solo = true},
    {OP_KEYS, 1, TYPE_NONE, .solo = true},
    {OP_SCAN, 1, TYPE_NONE, .solo = true},
    {OP_FLUSHDB, 1, TYPE_NONE, .solo = true},
    {OP_SWAPDB, 2, TYPE_NONE, .solo = true},
    {OP_JSON_WRITE, 40, TYPE_STREAM, .writes = true, .json = true},
    {OP_JSON_WRITE_MANY, 20, TYPE_STREAM, .writes = true, .json = true},
    {OP_JSON_READ, 15, TYPE_STREAM, .json = true},
};
enum { WEIGHTS = sizeof(weights) / sizeof(*weights) };

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *operation_name(enum operation_kind kind)
{
    static const char *const names[] = {
#define X(kind, name) name,
        OPERATIONS(X)
#undef X
    };
    return names[kind];
}

static bool chance(struct random *random, unsigned one_in)
{
    return random_below(random, one_in) == 0;
}

static const struct weight *choose_weight(struct random *random, enum wire wire, bool may_be_solo)
{
    unsigned total = 0;
    for (size_t i = 0; i < WEIGHTS; i++)
        if (weights[i].json == (wire == WIRE_JSON) && (may_be_solo || !weights[i].solo))
            total += weights[i].weight;
    uint64_t at = random_below(random, total);
    for (size_t i = 0;; i++) {
        assert(i < WEIGHTS);
        if (weights[i].json != (wire == WIRE_JSON) || (!may_be_solo && weights[i].solo))
            continue;
        if (at < weights[i].weight)
            return &weights[i];
        at -= weights[i].weight;
    }
}

/* It ends soon, or has just ended: what it is now cannot be said. */
static bool ends_soon(const struct model_slot *slot, int64_t now_ms)
{
    return slot->expires_until && !slot_has_expired(slot, now_ms) &&
           slot->expires_after - now_ms < SOON_MS;
}

/* A key that fits, mostly. false: none that may be used was found. */
static bool choose_key(const struct model *model, struct random *random,
                       const struct weight *weight, int64_t now_ms, unsigned db, unsigned *key)
{
    bool fits = false;
    for (int i = 0; i < TRIES && !fits; i++) {
        *key = (unsigned)random_below(random, MODEL_KEYS);
        const struct model_slot *slot = &model->slots[db][*key];
        bool by_server =
            weight->kind == OP_LOG_WRITE || weight->kind == OP_LOG_MWRITE || weight->json;
        if (by_server)
            *key &= ~1u;
        slot = &model->slots[db][*key];
        if (weight->writes && ends_soon(slot, now_ms))
            continue;
        fits = weight->type == TYPE_NONE || slot->type == weight->type ||
               (slot->type == TYPE_NONE && i > 0) || (i == TRIES - 1 && chance(random, 3));
    }
    return fits;
}

static void choose_time(struct random *random, bool in_seconds, bool may_be_solo, int64_t now_ms,
                        struct operation *operation)
{
    operation->time_is_absolute = chance(random, 2);
    if (may_be_solo && !in_seconds && chance(random, 3)) {
        operation->time_ms = 1 + (int64_t)random_below(random, SHORT_MS_MAX);
        if (operation->time_is_absolute)
            operation->time_ms += now_ms;
        operation->time_ms +=
            operation->time_ms % (HOUR_MS / 2) == 0; /* not taken for a long one */
        return;
    }
    int64_t hours = 2 + (int64_t)random_below(random, LONG_HOURS_MAX);
    if (operation->time_is_absolute)
        operation->time_ms = (now_ms / HOUR_MS + hours) * HOUR_MS;
    else
        operation->time_ms = hours * HOUR_MS + HOUR_MS / 2;
}

static struct model_id choose_id(const struct model_slot *slot, struct random *random)
{
    if (slot->type != TYPE_STREAM || slot->count == 0 || chance(random, 4))
        return (struct model_id){0};
    return slot->items[random_below(random, slot->count)].id;
}

static void choose_condition(struct random *random, struct operation *operation)
{
    switch (random_below(random, 6)) {
    case 0:
        operation->nx = true;
        break;
    case 1:
        operation->xx = true;
        break;
    case 2:
        operation->gt = true;
        break;
    case 3:
        operation->lt = true;
        break;
    default:
        break;
    }
    if (operation->gt || operation->lt || operation->nx || operation->xx) {
        if (operation->kind == OP_SET)
            operation->gt = operation->lt = false;
    }
}

static void choose_trim(const struct model_slot *slot, struct random *random,
                        struct operation *operation)
{
    if (chance(random, 2)) {
        operation->trims_length = true;
        operation->length = 1 + random_below(random, 60);
    } else {
        operation->trims_id = true;
        operation->ids[OPERATION_IDS_MAX - 1] = choose_id(slot, random);
    }
}

static void choose_values(struct random *random, uint64_t *next_tag, size_t count_max,
                          struct operation *operation)
{
    operation->count = 1 + random_below(random, count_max);
    operation->tag = *next_tag;
    *next_tag += operation->count;
}

static void choose_set(struct random *random, uint64_t *next_tag, bool may_be_solo, int64_t now_ms,
                       struct operation *operation)
{
    choose_values(random, next_tag, 1, operation);
    if (chance(random, 3))
        choose_condition(random, operation);
    operation->get = chance(random, 5);
    if (chance(random, 4))
        choose_time(random, chance(random, 2), may_be_solo, now_ms, operation);
    else
        operation->keep_ttl = chance(random, 3);
}

static void choose_add(const struct model_slot *slot, struct random *random,
                       struct operation *operation)
{
    operation->no_create = chance(random, 8);
    if (operation->keys[0] % 2 == 1) {
        operation->ids[0] =
            (struct model_id){slot->last_id.ms + random_below(random, 4), random_below(random, 8)};
        if (operation->ids[0].ms == 0)
            operation->ids[0].ms = 1;
        operation->id_count = 1;
    }
    if (chance(random, slot->count > GROWN_ITEMS ? 4 : 30)) {
        operation->trims_length = true;
        operation->length = 1 + random_below(random, 60);
    }
}

static void choose_log_time(struct random *random, int64_t now_ms, struct operation *operation)
{
    if (chance(random, 2))
        return;
    int64_t away_ms = (int64_t)random_below(random, chance(random, 10) ? 60000 : 5000);
    operation->time_ms = chance(random, 5) ? now_ms + away_ms : now_ms - away_ms;
    operation->time_is_absolute = true;
}

static void choose_range(const struct model_slot *slot, struct random *random,
                         struct operation *operation)
{
    operation->ids[0] = choose_id(slot, random);
    operation->ids[1] = choose_id(slot, random);
    operation->id_count = 2;
    if (chance(random, 2))
        operation->count = 1 + random_below(random, 40);
}

static void choose_log_range(const struct model_slot *slot, struct random *random,
                             struct operation *operation)
{
    if (slot->type == TYPE_STREAM && slot->count && chance(random, 2))
        operation->from = (int64_t)item_event_ms(&slot->items[random_below(random, slot->count)]);
    if (chance(random, 2))
        operation->count = 1 + random_below(random, 40);
    if (operation->kind != OP_JSON_READ && chance(random, 3))
        operation->level = 1 + (unsigned)random_below(random, LEVELS);
}

static void choose_more_keys(const struct model *model, struct random *random, int64_t now_ms,
                             struct operation *operation)
{
    while (operation->key_count < OPERATION_KEYS_MAX && chance(random, 2)) {
        unsigned key = (unsigned)random_below(random, MODEL_KEYS);
        if (ends_soon(&model->slots[operation->db][key], now_ms) ||
            ends_soon(&model->slots[operation->db][operation->keys[0]], now_ms))
            return;
        operation->keys[operation->key_count++] = key;
    }
}

/* Where the ends of headers and pieces are, now and then. */
static int64_t choose_offset(struct random *random)
{
    static const int64_t edges[] = {32768, 65536, 98304};
    if (chance(random, 10))
        return edges[random_below(random, 3)] - 3 + (int64_t)random_below(random, 6);
    return (int64_t)random_below(random, chance(random, 4) ? 5000 : 100);
}

/* The name must be the same in both. */
static void choose_move(struct random *random, struct operation *operation)
{
    if (operation->db == MODEL_SHARED)
        operation->db = (unsigned)random_below(random, 2);
    operation->other_db = 1 - operation->db;
}

static uint64_t choose_element(const struct model_slot *slot, struct random *random)
{
    if (slot->type != TYPE_LIST || slot->count == 0)
        return 1;
    return slot->items[random_below(random, slot->count)].tag;
}

/* One after which what is known of the list holds no more may not wait for ever. */
static void choose_wait(const struct model_slot *slot, bool may_be_solo,
                        struct operation *operation)
{
    bool has_something = may_be_solo && slot->type == TYPE_LIST && !slot->expires_until;
    operation->time_ms = has_something ? 0 : WAIT_MS;
}

static void choose_sort(struct random *random, struct operation *operation)
{
    operation->is_unsorted = chance(random, 4);
    operation->is_alpha = !chance(random, 5);
    operation->is_descending = chance(random, 2);
    operation->get = chance(random, 4);
    if (chance(random, 2)) {
        operation->from = (int64_t)random_below(random, 5);
        operation->count = 1 + random_below(random, 30);
    }
    if (operation->kind == OP_SORT && !chance(random, 4)) {
        operation->keys[1] = (unsigned)random_below(random, MODEL_KEYS);
        operation->key_count = 2;
    }
}

/* Into a key of the kind that it comes from. */
static void choose_restore(const struct model *model, struct random *random, int64_t now_ms,
                           struct operation *operation)
{
    operation->keys[0] = (operation->keys[0] & ~1u) | (model->dumped_key & 1);
    operation->xx = !chance(random, 3);
    if (chance(random, 3))
        choose_time(random, true, false, now_ms, operation);
}

/* Where the server gives the IDs, nothing may be under way: below what it gives next. Elsewhere the last one
 * may go up, and back down when there is no entry above, so that IDs come again. */
static void choose_xsetid(const struct model_slot *slot, struct random *random,
                          struct operation *operation)
{
    struct model_id *ids = operation->ids;
    bool is_ours = operation->keys[0] % 2 == 1;
    ids[0] = slot->last_id;
    if (chance(random, 3))
        ids[0] = choose_id(slot, random);
    else if (is_ours && slot->last_id.ms > 0)
        ids[0] = (struct model_id){slot->last_id.ms - 1 + random_below(random, 4),
                                   random_below(random, 8)};
    if (ids[0].ms == 0 && ids[0].seq == 0)
        ids[0].seq = 1;
    operation->id_count = 1;
    if (chance(random, 4)) {
        operation->trims_length = true;
        operation->length = random_below(random, 2 * GROWN_ITEMS);
    }
    if (is_ours && chance(random, 2)) {
        operation->xx = true;
        ids[1] = chance(random, 2) ? ids[0] : (struct model_id){0, 1};
        operation->id_count = 2;
    }
}

/* false: another one should be chosen. */
static bool may_be_chosen(const struct model *model, bool may_be_solo,
                          const struct operation *operation)
{
    if (operation->kind == OP_RESTORE)
        return model->payload.size > 0 && model->payload.size <= PAYLOAD_BYTES_MAX;
    return operation->kind != OP_XSETID || operation->keys[0] % 2 == 1 || may_be_solo;
}

static void choose_arguments(const struct model *model, struct random *random, bool may_be_solo,
                             int64_t now_ms, uint64_t *next_tag, struct operation *operation)
{
    const struct model_slot *slot = &model->slots[operation->db][operation->keys[0]];
    switch (operation->kind) {
    case OP_SET:
        choose_set(random, next_tag, may_be_solo, now_ms, operation);
        break;
    case OP_SETNX:
    case OP_GETSET:
    case OP_APPEND:
        choose_values(random, next_tag, 1, operation);
        break;
    case OP_SETEX:
    case OP_PSETEX:
        choose_values(random, next_tag, 1, operation);
        do {
            choose_time(random, operation->kind == OP_SETEX, may_be_solo, now_ms, operation);
        } while (operation->time_is_absolute);
        break;
    case OP_GETEX:
        operation->persist = chance(random, 3);
        if (!operation->persist && chance(random, 2))
            choose_time(random, chance(random, 2), may_be_solo, now_ms, operation);
        break;
    case OP_SETRANGE:
        choose_values(random, next_tag, 1, operation);
        operation->from = choose_offset(random);
        break;
    case OP_GETRANGE:
    case OP_SUBSTR:
        operation->from = choose_offset(random);
        operation->to = operation->from + choose_offset(random);
        break;
    case OP_SETBIT:
    case OP_GETBIT:
    case OP_BITPOS:
    case OP_BITFIELD:
        operation->from = 8 * choose_offset(random) + (int64_t)random_below(random, 8);
        operation->to = operation->kind == OP_BITFIELD ? (int64_t)random_below(random, 2000) - 1000
                                                       : (int64_t)random_below(random, 2);
        break;
    case OP_BITOP: /* the first key is the destination */
        choose_more_keys(model, random, now_ms, operation);
        if (operation->key_count == 1)
            operation->keys[operation->key_count++] = operation->keys[0];
        break;
    case OP_INCRBY:
    case OP_DECRBY:
    case OP_INCRBYFLOAT:
        operation->from = (int64_t)random_below(random, 200) - 100;
        break;
    case OP_MSET:
    case OP_MSETNX:
        choose_more_keys(model, random, now_ms, operation);
        operation->count = operation->key_count;
        operation->tag = *next_tag;
        *next_tag += operation->count;
        break;
    case OP_DEL:
    case OP_UNLINK:
    case OP_EXISTS:
    case OP_TOUCH:
    case OP_MGET:
        choose_more_keys(model, random, now_ms, operation);
        break;
    case OP_EXPIRE:
    case OP_PEXPIRE:
    case OP_EXPIREAT:
    case OP_PEXPIREAT: {
        bool in_seconds = operation->kind == OP_EXPIRE || operation->kind == OP_EXPIREAT;
        bool is_absolute = operation->kind == OP_EXPIREAT || operation->kind == OP_PEXPIREAT;
        do {
            choose_time(random, in_seconds, may_be_solo, now_ms, operation);
        } while (operation->time_is_absolute != is_absolute);
        if (operation->time_ms % HOUR_MS == 0 || operation->time_ms % HOUR_MS == HOUR_MS / 2)
            choose_condition(random, operation);
        break;
    }
    case OP_COPY:
        operation->xx = chance(random, 2);
        if (chance(random, 2))
            operation->other_db = (unsigned)random_below(random, MODEL_DATABASES);
        __attribute__((fallthrough));
    case OP_RENAMENX:
    case OP_RENAME: /* IDs stay of one kind */
        operation->keys[1] =
            (unsigned)random_below(random, MODEL_KEYS / 2) * 2 + operation->keys[0] % 2;
        operation->key_count = 2;
        break;
    case OP_MOVE:
        choose_move(random, operation);
        break;
    case OP_LPUSH:
    case OP_RPUSH:
    case OP_LPUSHX:
    case OP_RPUSHX:
        choose_values(random, next_tag, VALUES_MAX, operation);
        break;
    case OP_LPOP:
    case OP_RPOP:
        operation->count = chance(random, 2) ? 0 : random_below(random, 20) + 1;
        break;
    case OP_LINDEX:
    case OP_LRANGE:
        operation->from = (int64_t)random_below(random, 60) - 30;
        operation->to = chance(random, 2) ? -1 : (int64_t)random_below(random, 200) - 60;
        break;
    case OP_LPOS:
        operation->tag = choose_element(slot, random);
        operation->from = (int64_t)random_below(random, 5) - 2;
        operation->count = random_below(random, 3);
        break;
    case OP_LSET:
        choose_values(random, next_tag, 1, operation);
        operation->from = (int64_t)random_below(random, slot->count + 2) -
                          (chance(random, 2) ? (int64_t)slot->count : 0);
        break;
    case OP_LMOVE:
    case OP_RPOPLPUSH:
        operation->from_left = operation->kind == OP_LMOVE && chance(random, 2);
        operation->to_left = operation->kind == OP_RPOPLPUSH || chance(random, 2);
        operation->keys[1] =
            chance(random, 4) ? operation->keys[0] : (unsigned)random_below(random, MODEL_KEYS);
        operation->key_count = 2;
        break;
    case OP_LMPOP:
        choose_more_keys(model, random, now_ms, operation);
        operation->from_left = chance(random, 2);
        operation->count = chance(random, 2) ? 0 : random_below(random, 20) + 1;
        break;
    case OP_BLMOVE:
    case OP_BRPOPLPUSH:
        operation->from_left = operation->kind == OP_BLMOVE && chance(random, 2);
        operation->to_left = operation->kind == OP_BRPOPLPUSH || chance(random, 2);
        operation->keys[1] = (unsigned)random_below(random, MODEL_KEYS);
        operation->key_count = 2;
        choose_wait(slot, may_be_solo, operation);
        break;
    case OP_BLMPOP:
        operation->count = chance(random, 2) ? 0 : random_below(random, 20) + 1;
        __attribute__((fallthrough));
    case OP_BLPOP:
    case OP_BRPOP:
        choose_more_keys(model, random, now_ms, operation);
        operation->from_left =
            operation->kind == OP_BLPOP || (operation->kind == OP_BLMPOP && chance(random, 2));
        choose_wait(slot, may_be_solo, operation);
        break;
    case OP_SORT_RO:
    case OP_SORT:
        choose_sort(random, operation);
        break;
    case OP_RESTORE:
        choose_restore(model, random, now_ms, operation);
        break;
    case OP_LINSERT:
        choose_values(random, next_tag, 1, operation);
        operation->from = (int64_t)choose_element(slot, random);
        operation->to_left = chance(random, 2);
        break;
    case OP_LREM:
        operation->tag = choose_element(slot, random);
        operation->from = (int64_t)random_below(random, 5) - 2;
        break;
    case OP_LTRIM:
        operation->from = (int64_t)random_below(random, 10);
        operation->to = slot->count > GROWN_ITEMS ? 20 : -1 - (int64_t)random_below(random, 4);
        break;
    case OP_XADD:
        choose_values(random, next_tag, 1, operation);
        choose_add(slot, random, operation);
        break;
    case OP_XDEL:
        operation->id_count = 1 + random_below(random, OPERATION_IDS_MAX);
        for (size_t i = 0; i < operation->id_count; i++)
            operation->ids[i] = choose_id(slot, random);
        break;
    case OP_XRANGE:
    case OP_XREVRANGE:
        choose_range(slot, random, operation);
        break;
    case OP_XREAD:
        choose_range(slot, random, operation);
        operation->id_count = 1;
        break;
    case OP_XTRIM:
        choose_trim(slot, random, operation);
        break;
    case OP_XSETID:
        choose_xsetid(slot, random, operation);
        break;
    case OP_LOG_WRITE:
    case OP_JSON_WRITE:
        choose_values(random, next_tag, 1, operation);
        operation->no_create = operation->kind == OP_LOG_WRITE && chance(random, 8);
        operation->level = (unsigned)random_below(random, LEVELS + 1);
        choose_log_time(random, now_ms, operation);
        break;
    case OP_LOG_MWRITE:
        choose_values(random, next_tag, VALUES_MAX, operation);
        operation->is_ndjson = chance(random, 2);
        if (!operation->is_ndjson)
            operation->level = (unsigned)random_below(random, LEVELS + 1);
        break;
    case OP_JSON_WRITE_MANY:
        choose_values(random, next_tag, VALUES_MAX, operation);
        operation->level = (unsigned)random_below(random, LEVELS + 1);
        choose_log_time(random, now_ms, operation);
        break;
    case OP_LOG_RANGE:
    case OP_LOG_REVRANGE:
    case OP_JSON_READ:
        choose_log_range(slot, random, operation);
        break;
    default:
        break;
    }
}

void operation_choose(const struct model *model, struct random *random, enum wire wire,
                      bool may_be_solo, uint64_t *next_tag, struct operation *operation)
{
    int64_t now_ms = wall_ms();
    for (;;) {
        const struct weight *weight = choose_weight(random, wire, may_be_solo);
        *operation = (struct operation){.kind = weight->kind, .key_count = 1};
        operation->db =
            wire == WIRE_JSON ? MODEL_SHARED : (unsigned)random_below(random, MODEL_DATABASES);
        operation->other_db = operation->db;
        if (weight->solo && operation->db == MODEL_SHARED)
            operation->db = 0;
        if (!choose_key(model, random, weight, now_ms, operation->db, &operation->keys[0]))
            continue;
        if (!may_be_chosen(model, may_be_solo, operation))
            continue;
        choose_arguments(model, random, may_be_solo, now_ms, next_tag, operation);
        bool is_fine = true;
        for (size_t i = 0; weight->writes && i < operation->key_count; i++) {
            is_fine &= !ends_soon(&model->slots[operation->db][operation->keys[i]], now_ms);
            is_fine &= !ends_soon(&model->slots[operation->other_db][operation->keys[i]], now_ms);
        }
        if (is_fine)
            return;
    }
}

bool operation_is_solo(const struct operation *operation)
{
    switch (operation->kind) {
    case OP_DBSIZE:
    case OP_KEYS:
    case OP_SCAN:
    case OP_FLUSHDB:
    case OP_SWAPDB:
    case OP_DUMP:
        return true;
    case OP_SET:
    case OP_SETEX:
    case OP_PSETEX:
    case OP_GETEX:
    case OP_EXPIRE:
    case OP_PEXPIRE:
    case OP_EXPIREAT:
    case OP_PEXPIREAT:
        return operation->time_ms != 0 && operation->time_ms % (HOUR_MS / 2) != 0;
    default:
        return false;
    }
}

void operation_print(const struct operation *o, FILE *file)
{
    fprintf(file, "%s%s db %u (%u) key", o->is_queued ? "queued " : "", operation_name(o->kind),
            o->db, o->other_db);
    for (size_t i = 0; i < o->key_count; i++)
        fprintf(file, " %u", o->keys[i]);
    fprintf(file,
            " tag %llu count %zu time %lld%s from %lld to %lld length "
            "%zu%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s",
            (unsigned long long)o->tag, o->count, (long long)o->time_ms,
            o->time_is_absolute ? " (absolute)" : "", (long long)o->from, (long long)o->to,
            o->length, o->nx ? " nx" : "", o->xx ? " xx" : "", o->gt ? " gt" : "",
            o->lt ? " lt" : "", o->get ? " get" : "", o->keep_ttl ? " keepttl" : "",
            o->no_create ? " nomkstream" : "", o->is_ndjson ? " ndjson" : "",
            o->persist ? " persist" : "", o->from_left ? " from left" : "",
            o->to_left ? " to left" : "", o->is_alpha ? " alpha" : "",
            o->is_descending ? " desc" : "", o->is_unsorted ? " nosort" : "",
            o->is_broken ? " broken" : "");
    for (size_t i = 0; i < OPERATION_IDS_MAX; i++)
        fprintf(file, " %llu-%llu", (unsigned long long)o->ids[i].ms,
                (unsigned long long)o->ids[i].seq);
    fprintf(file, " level %u sent %lld received %lld\n", o->level, (long long)o->sent_ms,
            (long long)o->received_ms);
}
