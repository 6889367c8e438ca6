/* SPDX-License-Identifier: MIT */
/* One command on a client's own keys: chosen at random, written as a request, carried out on the
 * model, and its reply compared with the model's.
 *
 * A client sends its operations in order over one connection, so after a kill those that were not
 * answered have happened up to some point and not beyond: each is carried out on the model until
 * the model is what the server shows (see model_compare in stress_compare.h). */
#ifndef STRESS_STRESS_OPERATION_H
#define STRESS_STRESS_OPERATION_H

#include "base/random.h"
#include "lib/resp_reply.h"
#include "stress/stress_model.h"

/* name: as COMMAND LIST has it. From GET to INCRBYFLOAT, LPUSH to SORT, XADD to LOG_REVRANGE the first
 * key must be of that type. */
/* clang-format off */
#define OPERATIONS(X)                                                                             \
    X(SELECT, "select")                                                                           \
    X(SET, "set") X(SETNX, "setnx") X(SETEX, "setex") X(PSETEX, "psetex")                         \
    X(MSET, "mset") X(MSETNX, "msetnx") X(MGET, "mget") X(BITOP, "bitop")                         \
    X(GET, "get") X(GETRANGE, "getrange") X(SUBSTR, "substr") X(STRLEN, "strlen")                 \
    X(GETDEL, "getdel") X(GETEX, "getex") X(GETSET, "getset")                                     \
    X(APPEND, "append") X(SETRANGE, "setrange")                                                   \
    X(INCR, "incr") X(DECR, "decr") X(INCRBY, "incrby") X(DECRBY, "decrby")                       \
    X(SETBIT, "setbit") X(GETBIT, "getbit") X(BITCOUNT, "bitcount") X(BITPOS, "bitpos")           \
    X(BITFIELD, "bitfield") X(INCRBYFLOAT, "incrbyfloat")                                         \
    X(DEL, "del") X(UNLINK, "unlink") X(EXISTS, "exists") X(TOUCH, "touch") X(TYPE, "type")       \
    X(TTL, "ttl") X(PTTL, "pttl") X(EXPIRETIME, "expiretime") X(PEXPIRETIME, "pexpiretime")       \
    X(EXPIRE, "expire") X(PEXPIRE, "pexpire") X(EXPIREAT, "expireat")                             \
    X(PEXPIREAT, "pexpireat") X(PERSIST, "persist")                                               \
    X(RENAME, "rename") X(RENAMENX, "renamenx") X(COPY, "copy") X(MOVE, "move")                   \
    X(DUMP, "dump") X(RESTORE, "restore")                                                         \
    X(LPUSH, "lpush") X(RPUSH, "rpush") X(LPUSHX, "lpushx") X(RPUSHX, "rpushx")                   \
    X(LPOP, "lpop") X(RPOP, "rpop") X(LLEN, "llen") X(LINDEX, "lindex") X(LPOS, "lpos")           \
    X(LRANGE, "lrange") X(LSET, "lset") X(LINSERT, "linsert") X(LREM, "lrem") X(LTRIM, "ltrim")   \
    X(SORT_RO, "sort_ro") X(SORT, "sort")                                                         \
    X(LMOVE, "lmove") X(RPOPLPUSH, "rpoplpush") X(LMPOP, "lmpop")                                 \
    X(BLMOVE, "blmove") X(BRPOPLPUSH, "brpoplpush") X(BLMPOP, "blmpop")                           \
    X(BLPOP, "blpop") X(BRPOP, "brpop")                                                           \
    X(XADD, "xadd") X(XDEL, "xdel") X(XLEN, "xlen") X(XRANGE, "xrange")                           \
    X(XREVRANGE, "xrevrange") X(XREAD, "xread") X(XTRIM, "xtrim")                                 \
    X(XINFO_STREAM, "xinfo|stream") X(XSETID, "xsetid")                                           \
    X(LOG_WRITE, "log.write") X(LOG_MWRITE, "log.mwrite")                                         \
    X(LOG_RANGE, "log.range") X(LOG_REVRANGE, "log.revrange")                                     \
    X(DBSIZE, "dbsize") X(KEYS, "keys") X(SCAN, "scan") X(FLUSHDB, "flushdb")                     \
    X(SWAPDB, "swapdb")                                                                           \
    X(WATCH, "watch") X(UNWATCH, "unwatch") X(MULTI, "multi") X(EXEC, "exec")                     \
    X(DISCARD, "discard")                                                                         \
    X(JSON_WRITE, "json write") X(JSON_WRITE_MANY, "json write_many") X(JSON_READ, "json read")
/* clang-format on */

enum operation_kind {
#define X(kind, name) OP_##kind,
    OPERATIONS(X)
#undef X
        OP_COUNT,
};

enum { OPERATION_KEYS_MAX = 3, OPERATION_IDS_MAX = 3, TRANSACTION_OPERATIONS_MAX = 12 };

struct operation {
    enum operation_kind kind;
    unsigned db, other_db; /* other_db: where COPY and MOVE put it */
    unsigned keys[OPERATION_KEYS_MAX];
    size_t key_count;
    uint64_t tag; /* of the first of `count` values */
    size_t count; /* values; or COUNT, or elements to pop (0: not given) */
    bool nx, xx, gt, lt, get, keep_ttl, persist, no_create, is_ndjson;
    bool from_left, to_left;                   /* of lists; LINSERT: before */
    bool is_alpha, is_descending, is_unsorted; /* SORT; with a second key it stores there */
    /* A deadline, or how far it is away; 0: none. Of blocking pops: how long they wait; 0: for ever. */
    int64_t time_ms;
    bool time_is_absolute;
    int64_t from,
        to; /* of lists and strings; a bit and its value; an index, a rank, an increment (of floats, in
                         quarters); event times of logs; the tag of LINSERT's pivot */
    bool trims_length, trims_id;
    size_t length; /* MAXLEN; XSETID: ENTRIESADDED */
    /* XADD's own, range bounds (0-0: - or +), XDEL's; XSETID's and MAXDELETEDID. */
    struct model_id ids[OPERATION_IDS_MAX];
    size_t id_count;
    unsigned level;
    bool is_queued;               /* by MULTI: it happens with its EXEC */
    size_t queued;                /* EXEC: so many operations right before it, in the same array */
    bool is_broken;               /* EXEC: a watched key has changed */
    int64_t sent_ms, received_ms; /* the command ran between these times */
};

/* How requests are written. */
enum wire { WIRE_RESP2, WIRE_RESP3, WIRE_INLINE, WIRE_JSON, WIRE_COUNT };

const char *operation_name(enum operation_kind kind);
/* A random one for a client that talks `wire`. It stands alone in its pipeline when it must be the
 * only one under way (operation_is_solo): what is chosen next depends on its outcome. */
void operation_choose(const struct model *model, struct random *random, enum wire wire,
                      bool may_be_solo, uint64_t *next_tag, struct operation *operation);
bool operation_is_solo(const struct operation *operation);
/* A transaction on keys of one database, perhaps with WATCH before it, and a write that breaks it: up to
 * TRANSACTION_OPERATIONS_MAX operations; returns how many. Not for JSON. */
size_t transaction_choose(const struct model *model, struct random *random, enum wire wire,
                          uint64_t *next_tag, struct operation *operations);
void operation_encode(const struct model *model, const struct operation *operation, enum wire wire,
                      struct buffer *out);

/* Carries it out on the model, sent_ms and received_ms are set; EXEC: also what it has queued. Compares the reply; NULL: there was
 * none. Returns what is wrong, appended to *error, false then. `line` instead of `reply`: JSON. */
bool operation_apply(struct model *model, const struct operation *operation,
                     const struct resp_reply *reply, struct slice line, struct buffer *error);
void operation_print(const struct operation *operation, FILE *file);

#endif
