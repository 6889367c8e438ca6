/* SPDX-License-Identifier: MIT */
/* What one client of the stress run expects of the keys that only it writes: strings, lists and
 * streams kept as plain arrays, too simple to be wrong.
 *
 * A value is named by a number, its tag; its bytes follow from the tag. Two databases belong to the
 * client alone (0 and 1 here), and some keys in the server's database 0 (2 here), which the JSON
 * protocol reaches, too. A key of an even number gets its IDs from the server, of an odd one from
 * us. */
#ifndef STRESS_STRESS_MODEL_H
#define STRESS_STRESS_MODEL_H

#include "base/buffer.h"

#include <stdint.h>
#include <stdio.h>

enum {
    MODEL_DATABASES = 3,
    MODEL_KEYS = 20,
    MODEL_SHARED = 2, /* the database that is the server's 0 */
    MODEL_NAME_BYTES = 32,
    LEVELS = 4,
    VALUE_BYTES_MAX = 100 * 1000,
};

enum model_type { TYPE_NONE, TYPE_STRING, TYPE_LIST, TYPE_STREAM };
enum entry_shape {
    SHAPE_FIELDS, /* XADD: n, v */
    SHAPE_LOG,    /* message, perhaps level, n */
    SHAPE_LINE,   /* message, perhaps level */
};

struct model_id {
    uint64_t ms, seq;
};

/* An element of a list is its tag alone. */
struct model_item {
    uint64_t tag;
    struct model_id id;   /* 0-0: not known yet */
    uint64_t event_ms;    /* 0: the ID's */
    uint8_t shape, level; /* level 0: none */
};

struct model_slot {
    enum model_type type;
    struct buffer text; /* string */
    struct model_item *items;
    size_t count, capacity;
    struct model_id last_id;              /* stream */
    struct model_id max_deleted_id;       /* stream */
    uint64_t entries_added;               /* stream */
    int64_t expires_after, expires_until; /* it ends between these times; 0: never */
    bool may_linger;                      /* it has expired, and may still be counted by DBSIZE */
};

struct model {
    unsigned client;
    struct model_slot slots[MODEL_DATABASES][MODEL_KEYS];
    struct buffer payload; /* the last DUMP; empty: none */
    struct model_slot dumped;
    unsigned dumped_key;
};

void model_release(struct model *model);
void model_clear(struct model *model); /* FLUSHALL */
void model_key_name(const struct model *model, unsigned db, unsigned key,
                    char name[MODEL_NAME_BYTES]);
unsigned model_server_db(const struct model *model, unsigned db); /* for SELECT */
/* What a DUMP of the key has answered. */
void model_keep_dump(struct model *model, unsigned db, unsigned key, struct slice payload);
void model_print(const struct model *model, FILE *file);

size_t value_size(uint64_t tag);
void value_append(struct buffer *out, uint64_t tag);
const char *level_name(unsigned level); /* 1 .. LEVELS */

void slot_clear(struct model_slot *slot);
void slot_move(struct model_slot *to, struct model_slot *from);
void slot_copy(struct model_slot *to, const struct model_slot *from); /* of another one */
struct model_item *slot_push(struct model_slot *slot, uint64_t tag, bool at_front);
void slot_remove(struct model_slot *slot, size_t at, size_t count);
void slot_expire_at(struct model_slot *slot, int64_t after, int64_t until);
/* Certainly over when somebody looks at `now_ms`, or certainly not when he was done by then. */
bool slot_has_expired(const struct model_slot *slot, int64_t now_ms);
bool slot_is_alive(const struct model_slot *slot, int64_t now_ms);
void slot_settle(struct model_slot *slot, int64_t now_ms); /* clears it when it has expired */

/* Writes bytes at an offset of a string, or of a key that is not there; what lies between becomes zeros. */
void slot_write_text(struct model_slot *slot, size_t offset, struct slice bytes);

int model_id_compare(struct model_id a, struct model_id b);
bool model_id_parse(struct slice text, struct model_id *id);
/* Indexes of the items in the order of LOG.RANGE: by event time, then ID. Freed by the caller. */
size_t *slot_by_event(const struct model_slot *slot);
uint64_t item_event_ms(const struct model_item *item);
/* "[\"1-0\", [\"n\", \"5\", \"v\", \"abc\"]]" */
void item_show(const struct model_item *item, struct buffer *out);
void value_show(uint64_t tag, struct buffer *out); /* in quotes */

#endif
