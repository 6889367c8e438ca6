/* SPDX-License-Identifier: MIT */
/* What a store must hold and answer: keys in a small table, values as arrays in memory. Too simple to
 * be wrong, and cheap to copy (values are shared until one is changed), so that a simulation keeps the
 * state after every command and can say after a crash which of them came back.
 *
 * model_run executes one command and writes the reply that a client must get. */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "base/buffer.h"
#include "base/random.h"
#include "types/stream_id.h"

enum {
    MODEL_DATABASES = 3,
    MODEL_KEYS = 16, /* in each database; the last MODEL_LOGS are for logs alone */
    MODEL_LOGS = 3,
    MODEL_ARGUMENTS_MAX = 8,
    MODEL_TOUCHED_MAX = 64,
};

/* Bytes that are shared and never change. */
struct model_bytes {
    unsigned references;
    size_t size, json_at; /* bytes from json_at on: an entry's message and metadata as JSON */
    uint8_t data[];
};

enum model_kind { MODEL_STRING = 1, MODEL_LIST, MODEL_STREAM };

/* A string has one item, its bytes; a list one an element; a stream one an entry, whose bytes are its
 * fields as an array of RESP. */
struct model_item {
    struct stream_id id;
    uint64_t event_ms;
    struct model_bytes *bytes;
};

struct model_value {
    unsigned references;
    enum model_kind kind;
    struct model_item *items;
    size_t count, capacity;
    struct stream_id last_id, max_deleted_id;
    uint64_t entries_added;
    uint64_t hash; /* of model_show; 0: not known */
};

struct model_slot {
    struct model_value *value; /* NULL: missing */
    uint64_t expire_ms;        /* 0: never */
    uint64_t changed;          /* number of the write that changed it last; 0: before all */
};

struct model_place {
    unsigned database, key;
};

struct model_state {
    struct model_slot slots[MODEL_DATABASES][MODEL_KEYS];
};

struct model {
    struct model_state state;
    uint64_t now_ms;
    uint64_t write_number;                         /* of the write that comes next */
    bool changed;                                  /* the command that ran last wrote something */
    uint64_t revealed;                             /* newest write that its reply tells of */
    struct model_place touched[MODEL_TOUCHED_MAX]; /* by it, in order; some may come twice */
    size_t touched_count;
    struct model_value *dumped; /* what DUMP showed last, as it is; NULL: nothing yet */
    struct buffer dumped_bytes; /* and as a payload */
};

enum model_command_kind {
#define MODEL_COMMANDS(X)                                                                       \
    X(SET)                                                                                      \
    X(GET) X(DEL) X(EXISTS) X(TYPE) X(PEXPIREAT) X(PERSIST) X(PTTL) X(RENAME) X(COPY) X(MOVE)   \
        X(DBSIZE) X(SCAN) X(FLUSHDB) X(FLUSHALL) X(SWAPDB) X(SELECT) X(WRITE_PART) X(GETRANGE)  \
            X(MSET) X(INCRBY) X(GETDEL) X(SETBIT) X(BITCOUNT) X(BITOP) X(PUSH) X(POP) X(LTRIM)  \
                X(LRANGE) X(LLEN) X(LINDEX) X(LSET) X(LINSERT) X(LREM) X(LMOVE) X(XADD) X(XDEL) \
                    X(XTRIM) X(XLEN) X(XRANGE) X(XREAD) X(LOG_WRITE) X(LOG_MWRITE) X(LOG_RANGE) \
                        X(JSON_WRITE) X(JSON_READ) X(MULTI) X(QUEUED) X(EXEC) X(DISCARD)        \
                            X(WATCH) X(UNWATCH) X(BPOP) X(BMPOP) X(BMOVE) X(UNBLOCK)            \
                                X(SORT_STORE) X(DUMP) X(RESTORE) X(XSETID)
#define MODEL_COMMAND_ENUM(name) MODEL_##name,
    MODEL_COMMANDS(MODEL_COMMAND_ENUM)
#undef MODEL_COMMAND_ENUM
        MODEL_COMMAND_COUNT
};
extern const char *const model_command_names[MODEL_COMMAND_COUNT];

enum model_flags {
    MODEL_NX = 1,
    MODEL_XX = 2,
    MODEL_GET_OLD = 4,
    MODEL_KEEPTTL = 8,
    MODEL_GT = 16,
    MODEL_LT = 32,
    MODEL_LEFT = 64,     /* of a list's ends; LINSERT BEFORE */
    MODEL_ONLY_IF = 128, /* LPUSHX, NOMKSTREAM */
    MODEL_COUNTED = 256, /* POP with a count */
    MODEL_REVERSE = 512, /* LMOVE: to the left end */
    MODEL_BLOCKS = 1024, /* XREAD BLOCK */
    MODEL_NEWEST = 2048, /* XREAD ... $: `id` is resolved by the host */
    MODEL_AUTO_ID = 4096,
    MODEL_AUTO_SEQ = 8192,
    MODEL_MAXLEN = 1 << 14,
    MODEL_MINID = 1 << 15, /* XADD's and XTRIM's trimming */
    MODEL_REPLACE = 1 << 17,
    MODEL_TIMED = 1 << 16,        /* LOG.WRITE TS, JSON timestamp, SET PXAT */
    MODEL_AT_END = 1 << 18,       /* WRITE_PART: APPEND, not SETRANGE; `first` is the offset */
    MODEL_WAITED = 1 << 19,       /* BPOP ...: it has been blocked before */
    MODEL_UNSORTED = 1 << 20,     /* SORT: BY nosort */
    MODEL_SETS_ADDED = 1 << 21,   /* XSETID: `first` */
    MODEL_SETS_DELETED = 1 << 22, /* XSETID: `end_id` */
    MODEL_UNDER_WATCH = 1 << 23,  /* EXEC: it takes the lock, whatever it runs */
};

struct model_command {
    enum model_command_kind kind;
    unsigned flags;
    unsigned keys[MODEL_ARGUMENTS_MAX]; /* also databases of SWAPDB and SELECT */
    size_t key_count;
    int64_t first, last; /* indexes, count, maxlen; the database of COPY and MOVE, -1: the same */
    uint64_t time_ms, time_end_ms;
    struct stream_id id, end_id;
    struct stream_id ids[MODEL_ARGUMENTS_MAX];
    struct model_bytes *bytes[MODEL_ARGUMENTS_MAX]; /* values, fields of entries */
    size_t count;                                   /* of ids or bytes */
    uint64_t timeout_ms;
    bool timed_out;            /* XREAD BLOCK, BPOP ...: the host let the time pass */
    unsigned behind;           /* BPOP ...: a bit for each key for which somebody came before */
    struct model_value *value; /* RESTORE: what the payload says, owned */
    /* EXEC: what it runs, owned; how many. */
    struct model_command *queued;
    size_t queued_count;
    struct slice
        refusal; /* of a queued one: the reply of the store, which did nothing; empty: it ran */
    struct buffer request; /* as it is sent */
};

/* How a reply is to be compared. */
enum model_reply {
    MODEL_EXACT,
    MODEL_DUMP_TEXT, /* DUMP: `expected` is what lib/rdb_text.h makes of the payload */
    MODEL_KEY_SET,   /* SCAN: `expected` has the keys' bulks in the order of the table */
    MODEL_NO_REPLY,  /* it blocks */
};

struct model_bytes *model_bytes_make(const void *data, size_t size, size_t json_at);
void model_bytes_unref(struct model_bytes *bytes);

void model_state_copy(const struct model_state *from, struct model_state *to); /* `to` is empty */
void model_state_release(struct model_state *state);
void model_release(struct model *model);

/* "k3", "log1" */
struct slice model_key_name(unsigned key);
/* The key of that name; MODEL_KEYS: none. */
unsigned model_key_number(struct slice name);

/* What is there now, due or not. */
const struct model_slot *model_slot(const struct model *model, unsigned database, unsigned key);
/* Active expiry; of one key. */
void model_expire_all(struct model *model);
void model_expire(struct model *model, unsigned database, unsigned key);
void model_remove(struct model *model, unsigned database, unsigned key);

/* Runs it on the selected database; SELECT changes that. */
enum model_reply model_run(struct model *model, unsigned *database,
                           const struct model_command *command, struct buffer *expected);
/* XREAD: whether there is something to read now. */
bool model_has_news(const struct model *model, unsigned database,
                    const struct model_command *command);
/* What is in line is a pop: the keys that it waits for; 0: another command. */
size_t model_awaited_keys(const struct model_command *command);
/* Somebody brought something to one of these: the pop for who waits. false: there is nothing. */
bool model_serve(struct model *model, unsigned database, const struct model_command *command,
                 size_t key_index, struct buffer *expected);
/* BPOP ...: whether there is something under that key now. */
bool model_has_element(const struct model *model, unsigned database, unsigned key);
bool model_is_there(const struct model *model, unsigned database, unsigned key);
bool model_is_write(enum model_command_kind kind);
/* What DUMP has shown of a key, for a later RESTORE. */
void model_keep_dump(struct model *model, unsigned database, unsigned key, struct slice payload);
struct stream_id model_newest_id(const struct model *model, unsigned database, unsigned key);

/* Everything that a value says, as bytes: for comparing with what is found in a store. */
void model_show(const struct model_value *value, struct buffer *into);
/* Of what model_show says and the time; 0: missing. */
uint64_t model_hash(struct slice shown, uint64_t expire_ms);
uint64_t model_slot_hash(const struct model_slot *slot);
void model_command_release(struct model_command *command);

#endif
