/* SPDX-License-Identifier: MIT */
#include "sim/commands.h"

#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { WORDS_MAX = 32, TRANSACTION_COMMANDS_MAX = 6 };

/* A command's words, on their way to bytes. */
struct words {
    struct buffer text;
    size_t ends[WORDS_MAX];
    size_t count;
};

struct maker {
    struct random *random;
    const struct model *model;
    const struct sim_mood *mood;
    unsigned database;
    struct model_command *command;
    struct words words;
};

static uint64_t below(struct maker *m, uint64_t bound)
{
    return sim_below(m->random, bound);
}

static bool one_in(struct maker *m, uint64_t count)
{
    return sim_one_in(m->random, count);
}

/* ---- Words ----------------------------------------------------------------------------------- */

static void word_slice(struct maker *m, struct slice word)
{
    struct words *words = &m->words;
    assert(words->count < WORDS_MAX);
    buffer_append_slice(&words->text, word);
    words->ends[words->count++] = words->text.size;
}

static void word(struct maker *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void word(struct maker *m, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buffer_vprintf(&m->words.text, format, arguments);
    va_end(arguments);
    m->words.ends[m->words.count++] = m->words.text.size;
}

static void append_bulk(struct buffer *out, struct slice bytes)
{
    buffer_printf(out, "$%zu\r\n", bytes.size);
    buffer_append_slice(out, bytes);
    buffer_append_text(out, "\r\n");
}

static void words_encode(const struct words *words, struct buffer *out)
{
    size_t from = 0;
    buffer_printf(out, "*%zu\r\n", words->count);
    for (size_t i = 0; i < words->count; i++) {
        append_bulk(out, slice_make(words->text.data + from, words->ends[i] - from));
        from = words->ends[i];
    }
}

/* ---- Keys, values, IDs ----------------------------------------------------------------------- */

/* Mostly a key of the family: 0 strings, 1 lists, 2 streams. */
static void key(struct maker *m, unsigned family)
{
    struct model_command *c = m->command;
    unsigned all = m->mood->keys, number = (unsigned)below(m, all);
    if (one_in(m, 4))
        number = family; /* one of each is in use all the time */
    else if (!one_in(m, 25))
        number = number - number % 3 + family < all ? number - number % 3 + family : family;
    c->keys[c->key_count++] = number;
    word_slice(m, model_key_name(number));
}

static void log_key(struct maker *m)
{
    struct model_command *c = m->command;
    unsigned number = MODEL_KEYS - MODEL_LOGS + (unsigned)below(m, MODEL_LOGS);
    c->keys[c->key_count++] = number;
    word_slice(m, model_key_name(number));
}

static void any_key(struct maker *m)
{
    if (one_in(m, 6))
        log_key(m);
    else
        key(m, (unsigned)below(m, 3));
}

/* Text that compresses a little, different every time. */
static void text_append(struct maker *m, struct buffer *into)
{
    static const uint32_t sizes[] = {4, 12, 12, 30, 30, 30, 60, 60, 200, 700};
    uint32_t size = 1 + (uint32_t)below(m, sizes[below(m, 10)]);
    if (one_in(m, 60))
        size = 2000 + (uint32_t)below(m, 6000);
    if (m->mood->large && one_in(m, 250))
        size = 30000 + (uint32_t)below(m, 90000);
    uint64_t bits = random_next(m->random);
    buffer_reserve(into, size);
    for (uint32_t i = 0; i < size; i++) {
        if (i % 48 == 47)
            bits = bits * 6364136223846793005u + 1442695040888963407u;
        into->data[into->size++] = (uint8_t)('a' + (bits >> (i % 12 * 5) & 15));
    }
}

static struct model_bytes *text_new(struct maker *m)
{
    struct buffer text = {0};
    text_append(m, &text);
    struct model_bytes *bytes = model_bytes_make(text.data, text.size, text.size);
    buffer_release(&text);
    return bytes;
}

static void value(struct maker *m)
{
    struct model_command *c = m->command;
    c->bytes[c->count] = text_new(m);
    word_slice(m, slice_make(c->bytes[c->count]->data, c->bytes[c->count]->size));
    c->count++;
}

/* The stream that the first key names, as far as the model knows now; NULL: none. */
static const struct model_value *stream_now(struct maker *m)
{
    const struct model_slot *slot = model_slot(m->model, m->database, m->command->keys[0]);
    return slot->value && slot->value->kind == MODEL_STREAM ? slot->value : NULL;
}

/* Of an entry that is there, mostly. */
static struct stream_id id_near(struct maker *m)
{
    const struct model_value *value_now = stream_now(m);
    if (!value_now || value_now->count == 0 || one_in(m, 8))
        return (struct stream_id){1 + below(m, m->model->now_ms), below(m, 3)};
    struct stream_id id = value_now->items[below(m, value_now->count)].id;
    if (one_in(m, 6))
        id.seq++;
    return id;
}

static void word_id(struct maker *m, struct stream_id id)
{
    word(m, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
}

static void trimming(struct maker *m)
{
    struct model_command *c = m->command;
    if (one_in(m, 2)) {
        c->flags |= MODEL_MAXLEN;
        const struct model_value *value_now = stream_now(m);
        size_t count = value_now ? value_now->count : 0;
        c->first = (int64_t)below(m, m->mood->gentle ? 300 : 60);
        if (count > 20 && one_in(m, 2))
            c->first = (int64_t)(count - below(m, count * 3 / 4));
        word(m, "MAXLEN");
        word(m, "%" PRId64, c->first);
    } else {
        c->flags |= MODEL_MINID;
        c->end_id = id_near(m);
        word(m, "MINID");
        word_id(m, c->end_id);
    }
}

static void pick_number(struct maker *m, int64_t *number)
{
    int64_t reach = one_in(m, 4) ? 400 : 20;
    *number = (int64_t)below(m, (uint64_t)reach) - reach / 3;
    word(m, "%" PRId64, *number);
}

/* ---- Families -------------------------------------------------------------------------------- */

static void make_set(struct maker *m)
{
    struct model_command *c = m->command;
    c->kind = MODEL_SET;
    word(m, "SET");
    key(m, 0);
    value(m);
    switch (below(m, 8)) {
    case 0:
        c->flags = MODEL_NX;
        word(m, "NX");
        break;
    case 1:
        c->flags = MODEL_XX;
        word(m, "XX");
        break;
    case 2:
        c->flags = MODEL_KEEPTTL;
        word(m, "KEEPTTL");
        break;
    case 3:
        c->flags = MODEL_TIMED;
        c->time_ms = m->model->now_ms + 1 + below(m, 20000);
        word(m, "PXAT");
        word(m, "%" PRIu64, c->time_ms);
        break;
    }
    if (one_in(m, 6)) {
        c->flags |= MODEL_GET_OLD;
        word(m, "GET");
    }
}

/* ---- Parts of strings ------------------------------------------------------------------------ */

/* Within a string, behind its end, where the header's and the pieces' ends are. */
static int64_t string_offset(struct maker *m)
{
    static const int64_t edges[] = {32768, 65536, 98304};
    if (m->mood->large && one_in(m, 6))
        return edges[below(m, 3)] - 2 + (int64_t)below(m, 4);
    return (int64_t)below(m, one_in(m, 8) ? 3000 : 80);
}

static void make_write_part(struct maker *m)
{
    struct model_command *c = m->command;
    c->kind = MODEL_WRITE_PART;
    if (one_in(m, 2)) {
        c->flags = MODEL_AT_END;
        word(m, "APPEND");
        key(m, 0);
    } else {
        word(m, "SETRANGE");
        key(m, 0);
        c->first = string_offset(m);
        word(m, "%" PRId64, c->first);
    }
    value(m);
}

static void make_bits(struct maker *m)
{
    struct model_command *c = m->command;
    switch (below(m, 4)) {
    case 0:
        c->kind = MODEL_BITCOUNT;
        word(m, "BITCOUNT");
        key(m, 0);
        break;
    case 1:
        c->kind = MODEL_GETRANGE;
        word(m, "GETRANGE");
        key(m, 0);
        c->first = string_offset(m);
        c->last = c->first + string_offset(m);
        word(m, "%" PRId64, c->first);
        word(m, "%" PRId64, c->last);
        break;
    default:
        c->kind = MODEL_SETBIT;
        word(m, "SETBIT");
        key(m, 0);
        c->first = 8 * string_offset(m) + (int64_t)below(m, 8);
        c->last = (int64_t)below(m, 2);
        word(m, "%" PRId64, c->first);
        word(m, "%" PRId64, c->last);
    }
}

/* BITOP, MSET, INCRBY, GETDEL. */
static void make_whole_strings(struct maker *m)
{
    struct model_command *c = m->command;
    size_t keys = 1 + below(m, 3);
    switch (below(m, m->mood->gentle ? 5 : 6)) {
    case 0:
        c->kind = MODEL_BITOP;
        word(m, "BITOP");
        word(m, "XOR");
        for (size_t i = 0; i <= keys; i++)
            key(m, 0);
        break;
    case 1:
    case 2:
        c->kind = MODEL_MSET;
        c->flags = one_in(m, 2) ? MODEL_NX : 0;
        word(m, c->flags ? "MSETNX" : "MSET");
        for (size_t i = 0; i < keys; i++) {
            key(m, 0);
            value(m);
        }
        break;
    case 3:
    case 4:
        c->kind = MODEL_INCRBY;
        word(m, "INCRBY");
        key(m, 0);
        c->first = (int64_t)below(m, 100) - 30;
        word(m, "%" PRId64, c->first);
        break;
    default:
        c->kind = MODEL_GETDEL;
        word(m, "GETDEL");
        key(m, 0);
    }
}

/* ---- Any key --------------------------------------------------------------------------------- */

static void make_key_command(struct maker *m)
{
    static const struct {
        enum model_command_kind kind;
        const char *name;
    } choices[] = {{MODEL_GET, "GET"},       {MODEL_GET, "GET"},   {MODEL_GET, "GET"},
                   {MODEL_TYPE, "TYPE"},     {MODEL_PTTL, "PTTL"}, {MODEL_PERSIST, "PERSIST"},
                   {MODEL_EXISTS, "EXISTS"}, {MODEL_DEL, "DEL"},   {MODEL_DEL, "UNLINK"}};
    size_t choice = below(m, m->mood->gentle ? 7 : 9);
    m->command->kind = choices[choice].kind;
    word(m, "%s", choices[choice].name);
    if (choice < 3)
        key(m, 0);
    else
        any_key(m);
    while ((m->command->kind == MODEL_DEL || m->command->kind == MODEL_EXISTS) &&
           m->command->key_count < 4 && one_in(m, 3))
        any_key(m);
}

static void make_expire(struct maker *m)
{
    static const struct {
        unsigned flag;
        const char *name;
    } conditions[] = {{MODEL_NX, "NX"}, {MODEL_XX, "XX"}, {MODEL_GT, "GT"}, {MODEL_LT, "LT"}};
    struct model_command *c = m->command;
    c->kind = MODEL_PEXPIREAT;
    word(m, "PEXPIREAT");
    any_key(m);
    bool past = one_in(m, m->mood->gentle ? 60 : 12);
    c->time_ms = past ? m->model->now_ms - below(m, 1000) : m->model->now_ms + 1 + below(m, 30000);
    word(m, "%" PRIu64, c->time_ms);
    if (one_in(m, 2)) {
        size_t choice = below(m, 4);
        c->flags = conditions[choice].flag;
        word(m, "%s", conditions[choice].name);
    }
}

static void make_rename(struct maker *m)
{
    unsigned family = one_in(m, 2) ? 2 : (unsigned)below(m, 3); /* streams: who waits is woken */
    m->command->kind = MODEL_RENAME;
    word(m, "RENAME");
    key(m, family);
    m->command->keys[1] = family; /* where somebody looks, most of the time */
    if (one_in(m, 3))
        key(m, family);
    else
        word_slice(m, model_key_name(m->command->keys[m->command->key_count++]));
}

static void make_copy(struct maker *m)
{
    struct model_command *c = m->command;
    unsigned family = one_in(m, 2) ? 2 : (unsigned)below(m, 3);
    c->kind = one_in(m, 3) ? MODEL_MOVE : MODEL_COPY;
    c->first = c->kind == MODEL_COPY && one_in(m, 2) ? -1 : (int64_t)below(m, MODEL_DATABASES);
    word(m, "%s", c->kind == MODEL_MOVE ? "MOVE" : "COPY");
    key(m, family);
    if (c->kind == MODEL_COPY) {
        key(m, family);
        if (c->first >= 0)
            word(m, "DB");
    }
    if (c->first >= 0)
        word(m, "%d", (int)c->first);
    if (c->kind == MODEL_COPY && one_in(m, m->mood->gentle ? 10 : 2)) {
        c->flags = MODEL_REPLACE;
        word(m, "REPLACE");
    }
}

static void make_database_command(struct maker *m)
{
    struct model_command *c = m->command;
    switch (below(m, m->mood->gentle ? 8 : 12)) {
    case 11:
        c->kind = one_in(m, 3) ? MODEL_FLUSHALL : MODEL_FLUSHDB;
        word(m, "%s", c->kind == MODEL_FLUSHALL ? "FLUSHALL" : "FLUSHDB");
        break;
    case 10:
    case 9:
    case 8:
        c->kind = MODEL_SWAPDB;
        c->keys[0] = (unsigned)below(m, MODEL_DATABASES);
        c->keys[1] = (unsigned)below(m, MODEL_DATABASES);
        word(m, "SWAPDB");
        word(m, "%u", c->keys[0]);
        word(m, "%u", c->keys[1]);
        break;
    case 0:
    case 1:
        c->kind = MODEL_SELECT;
        c->keys[0] = (unsigned)below(m, MODEL_DATABASES);
        word(m, "SELECT");
        word(m, "%u", c->keys[0]);
        break;
    case 2:
    case 3:
    case 4:
        c->kind = MODEL_SCAN;
        word(m, "SCAN");
        word(m, "0");
        word(m, "COUNT");
        word(m, "1000");
        break;
    default:
        c->kind = MODEL_DBSIZE;
        word(m, "DBSIZE");
    }
}

static void make_push(struct maker *m)
{
    struct model_command *c = m->command;
    c->kind = MODEL_PUSH;
    c->flags = (one_in(m, 2) ? MODEL_LEFT : 0) | (one_in(m, 8) ? MODEL_ONLY_IF : 0);
    word(m, "%sPUSH%s", c->flags & MODEL_LEFT ? "L" : "R", c->flags & MODEL_ONLY_IF ? "X" : "");
    key(m, 1);
    for (uint64_t left = 1 + below(m, 5); left > 0; left--)
        value(m);
}

/* Of an element of the list that the first key names, mostly of a near one. */
static void element(struct maker *m)
{
    struct model_command *c = m->command;
    const struct model_slot *slot = model_slot(m->model, m->database, c->keys[0]);
    if (!slot->value || slot->value->kind != MODEL_LIST || slot->value->count == 0 ||
        one_in(m, 8)) {
        value(m);
        return;
    }
    size_t reach = slot->value->count > 40 && !one_in(m, 4) ? 40 : slot->value->count;
    const struct model_bytes *bytes = slot->value->items[below(m, reach)].bytes;
    c->bytes[c->count] = model_bytes_make(bytes->data, bytes->size, bytes->size);
    word_slice(m, slice_make(bytes->data, bytes->size));
    c->count++;
}

/* Between the ends of a list, or from one to another. */
static void make_list_change(struct maker *m)
{
    struct model_command *c = m->command;
    switch (below(m, 7)) {
    case 0:
        c->kind = MODEL_LSET;
        word(m, "LSET");
        key(m, 1);
        pick_number(m, &c->first);
        value(m);
        break;
    case 1:
        c->kind = MODEL_LMOVE;
        c->flags = (one_in(m, 2) ? MODEL_LEFT : 0) | (one_in(m, 2) ? MODEL_REVERSE : 0);
        word(m, "LMOVE");
        key(m, 1);
        key(m, 1);
        word(m, c->flags & MODEL_LEFT ? "LEFT" : "RIGHT");
        word(m, c->flags & MODEL_REVERSE ? "LEFT" : "RIGHT");
        break;
    case 2:
    case 3:
        c->kind = MODEL_LREM;
        word(m, "LREM");
        key(m, 1);
        c->first = (int64_t)below(m, 5) - 2;
        word(m, "%" PRId64, c->first);
        element(m);
        break;
    default:
        c->kind = MODEL_LINSERT;
        c->flags = one_in(m, 2) ? MODEL_LEFT : 0;
        word(m, "LINSERT");
        key(m, 1);
        word(m, c->flags & MODEL_LEFT ? "BEFORE" : "AFTER");
        element(m);
        if (one_in(m, 10)) { /* twice the same */
            c->bytes[1] = model_bytes_make(c->bytes[0]->data, c->bytes[0]->size, c->bytes[0]->size);
            word_slice(m, slice_make(c->bytes[0]->data, c->bytes[0]->size));
            c->count++;
        } else {
            value(m);
        }
    }
}

static void make_list_command(struct maker *m)
{
    struct model_command *c = m->command;
    switch (below(m, 6)) {
    case 0:
        c->kind = MODEL_LLEN;
        word(m, "LLEN");
        key(m, 1);
        break;
    case 1:
        c->kind = MODEL_LINDEX;
        word(m, "LINDEX");
        key(m, 1);
        pick_number(m, &c->first);
        break;
    case 2:
        c->kind = MODEL_POP;
        c->flags = one_in(m, 2) ? MODEL_LEFT : 0;
        word(m, "%sPOP", c->flags & MODEL_LEFT ? "L" : "R");
        key(m, 1);
        if (one_in(m, 2)) {
            c->flags |= MODEL_COUNTED;
            c->first = 1 + (int64_t)below(m, m->mood->gentle ? 3 : 30);
            word(m, "%" PRId64, c->first);
        }
        break;
    default:
        c->kind = !m->mood->gentle && one_in(m, 4) ? MODEL_LTRIM : MODEL_LRANGE;
        word(m, "%s", model_command_names[c->kind]);
        key(m, 1);
        pick_number(m, &c->first);
        pick_number(m, &c->last);
    }
}

static void make_xadd(struct maker *m)
{
    struct model_command *c = m->command;
    struct buffer fields = {0}, text = {0};
    c->kind = MODEL_XADD;
    word(m, "XADD");
    key(m, 2);
    if (one_in(m, 10)) {
        c->flags |= MODEL_ONLY_IF;
        word(m, "NOMKSTREAM");
    }
    if (one_in(m, m->mood->gentle ? 15 : 8))
        trimming(m);
    const struct model_value *value_now = stream_now(m);
    uint64_t base = value_now ? value_now->last_id.ms : m->model->now_ms - 100000;
    switch (below(m, 4)) {
    case 0:
        c->flags |= MODEL_AUTO_ID;
        word(m, "*");
        break;
    case 1:
        c->flags |= MODEL_AUTO_SEQ;
        c->id = (struct stream_id){base + below(m, 3), 0};
        word(m, "%" PRIu64 "-*", c->id.ms);
        break;
    default:
        c->id = (struct stream_id){base + below(m, 4), 1 + below(m, 3)};
        word_id(m, c->id);
    }
    size_t pairs = 1 + below(m, 3);
    buffer_printf(&fields, "*%zu\r\n", 2 * pairs);
    for (size_t i = 0; i < pairs; i++) {
        buffer_clear(&text);
        buffer_printf(&text, "f%zu", below(m, 3));
        append_bulk(&fields, buffer_slice(&text));
        word_slice(m, buffer_slice(&text));
        buffer_clear(&text);
        text_append(m, &text);
        append_bulk(&fields, buffer_slice(&text));
        word_slice(m, buffer_slice(&text));
    }
    c->bytes[0] = model_bytes_make(fields.data, fields.size, fields.size);
    c->count = 1;
    buffer_release(&fields);
    buffer_release(&text);
}

static void make_stream_cut(struct maker *m)
{
    struct model_command *c = m->command;
    if (one_in(m, 3)) {
        c->kind = MODEL_XLEN;
        word(m, "XLEN");
        key(m, 2);
    } else if (!m->mood->gentle && one_in(m, 3)) {
        c->kind = MODEL_XTRIM;
        word(m, "XTRIM");
        key(m, 2);
        trimming(m);
    } else {
        c->kind = MODEL_XDEL;
        word(m, "XDEL");
        key(m, 2);
        for (uint64_t left = 1 + below(m, 4); left > 0; left--) {
            c->ids[c->count] = id_near(m);
            word_id(m, c->ids[c->count]);
            c->count++;
        }
    }
}

static void make_xrange(struct maker *m)
{
    struct model_command *c = m->command;
    c->kind = MODEL_XRANGE;
    c->flags = one_in(m, 2) ? MODEL_REVERSE : 0;
    word(m, "%s", c->flags ? "XREVRANGE" : "XRANGE");
    key(m, 2);
    c->id = one_in(m, 3) ? STREAM_ID_MIN : id_near(m);
    c->end_id = one_in(m, 3) ? STREAM_ID_MAX : id_near(m);
    word_id(m, c->flags ? c->end_id : c->id);
    word_id(m, c->flags ? c->id : c->end_id);
    if (one_in(m, 2)) {
        c->first = 1 + (int64_t)below(m, 30);
        word(m, "COUNT");
        word(m, "%" PRId64, c->first);
    }
}

static void make_xread(struct maker *m)
{
    struct model_command *c = m->command;
    c->kind = MODEL_XREAD;
    word(m, "XREAD");
    if (one_in(m, 2)) {
        c->first = 1 + (int64_t)below(m, 9);
        word(m, "COUNT");
        word(m, "%" PRId64, c->first);
    }
    if (!one_in(m, 3)) {
        c->flags |= MODEL_BLOCKS;
        c->timeout_ms = one_in(m, 4) ? 0 : 1 + below(m, 5000);
        word(m, "BLOCK");
        word(m, "%" PRIu64, c->timeout_ms);
    }
    word(m, "STREAMS");
    size_t streams = 1 + below(m, 3);
    for (size_t i = 0; i < streams; i++)
        key(m, 2);
    if (streams == 1 && one_in(m, 2)) {
        c->flags |= MODEL_NEWEST;
        word(m, "$");
    }
    for (size_t i = 0; i < streams && !(c->flags & MODEL_NEWEST); i++) {
        c->ids[i] = model_newest_id(m->model, m->database, c->keys[i]);
        if (one_in(m, 3))
            c->ids[i] = id_near(m);
        word_id(m, c->ids[i]);
    }
}

static void make_xsetid(struct maker *m)
{
    struct model_command *c = m->command;
    c->kind = MODEL_XSETID;
    word(m, "XSETID");
    key(m, 2);
    const struct model_value *value_now = stream_now(m);
    c->id = value_now && !one_in(m, 6) ? value_now->last_id : id_near(m);
    c->id.ms += below(m, 5);
    c->id.seq += 1 + below(m, 3);
    word_id(m, c->id);
    if (one_in(m, 2)) {
        c->flags |= MODEL_SETS_ADDED;
        c->first = (int64_t)below(m, 2 * (value_now ? value_now->count : 0) + 10);
        word(m, "ENTRIESADDED");
        word(m, "%" PRId64, c->first);
    }
    if (one_in(m, 3)) {
        c->flags |= MODEL_SETS_DELETED;
        c->end_id = id_near(m);
        word(m, "MAXDELETEDID");
        word_id(m, c->end_id);
    }
}

/* ---- What waits in line ---------------------------------------------------------------------- */

static void timeout(struct maker *m)
{
    struct model_command *c = m->command;
    c->timeout_ms = one_in(m, 10) ? 0 : 1 + below(m, 800);
    word(m, "%" PRIu64 ".%03" PRIu64, c->timeout_ms / 1000, c->timeout_ms % 1000);
}

/* Mostly one under which there is nothing, so that somebody waits and is served. */
static void awaited_key(struct maker *m)
{
    struct model_command *c = m->command;
    unsigned lists = m->mood->keys / 3, first = (unsigned)below(m, lists);
    for (unsigned i = 0; i < lists && !one_in(m, 4); i++) {
        unsigned number = 1 + 3 * ((first + i) % lists);
        if (model_has_element(m->model, m->database, number))
            continue;
        c->keys[c->key_count++] = number;
        word_slice(m, model_key_name(number));
        return;
    }
    key(m, 1);
}

static void awaited_keys(struct maker *m)
{
    for (uint64_t left = 1 + below(m, 2); left > 0; left--)
        awaited_key(m);
}

static void make_awaiting(struct maker *m)
{
    struct model_command *c = m->command;
    c->flags = one_in(m, 2) ? MODEL_LEFT : 0;
    switch (below(m, 5)) {
    case 0:
        c->kind = MODEL_BMPOP;
        word(m, "BLMPOP");
        timeout(m);
        word(m, "0"); /* their number, below */
        awaited_keys(m);
        m->words.text.data[m->words.ends[2] - 1] = (uint8_t)('0' + c->key_count);
        word(m, c->flags ? "LEFT" : "RIGHT");
        c->first = 1 + (int64_t)below(m, 4);
        word(m, "COUNT");
        word(m, "%" PRId64, c->first);
        break;
    case 1:
    case 2:
        c->kind = MODEL_BMOVE;
        c->flags |= one_in(m, 2) ? MODEL_REVERSE : 0;
        word(m, "BLMOVE");
        awaited_key(m);
        key(m, 1);
        word(m, c->flags & MODEL_LEFT ? "LEFT" : "RIGHT");
        word(m, c->flags & MODEL_REVERSE ? "LEFT" : "RIGHT");
        timeout(m);
        break;
    default:
        c->kind = MODEL_BPOP;
        word(m, c->flags ? "BLPOP" : "BRPOP");
        awaited_keys(m);
        timeout(m);
    }
}

/* ---- Values that were built elsewhere -------------------------------------------------------- */

static void make_sort(struct maker *m)
{
    struct model_command *c = m->command;
    c->kind = MODEL_SORT_STORE;
    word(m, "SORT");
    key(m, 1);
    if (one_in(m, 4)) {
        c->flags |= MODEL_UNSORTED;
        word(m, "BY");
        word(m, "nosort");
    } else {
        word(m, "ALPHA");
        if (one_in(m, 2)) {
            c->flags |= MODEL_REVERSE;
            word(m, "DESC");
        }
    }
    if (one_in(m, 3)) {
        c->flags |= MODEL_COUNTED;
        c->first = (int64_t)below(m, 8);
        c->last = (int64_t)below(m, 30);
        word(m, "LIMIT");
        word(m, "%" PRId64, c->first);
        word(m, "%" PRId64, c->last);
    }
    word(m, "STORE");
    key(m, 1);
}

static void make_dump(struct maker *m)
{
    struct model_command *c = m->command;
    struct model_value *dumped = m->model->dumped;
    unsigned family = (unsigned)below(m, 3);
    if (!dumped || one_in(m, 2)) {
        c->kind = MODEL_DUMP;
        word(m, "DUMP");
        key(m, family);
        return;
    }
    c->kind = MODEL_RESTORE;
    c->value = dumped;
    dumped->references++;
    word(m, "RESTORE");
    key(m, (unsigned)dumped->kind - 1);
    if (one_in(m, 3)) {
        c->flags |= MODEL_TIMED;
        c->time_ms = m->model->now_ms + 1 + below(m, 20000);
    }
    word(m, "%" PRIu64, c->time_ms);
    word_slice(m, buffer_slice(&m->model->dumped_bytes));
    if (c->flags & MODEL_TIMED)
        word(m, "ABSTTL");
    if (one_in(m, m->mood->gentle ? 8 : 2)) {
        c->flags |= MODEL_REPLACE;
        word(m, "REPLACE");
    }
}

static void make_watch(struct maker *m)
{
    struct model_command *c = m->command;
    if (one_in(m, 8)) {
        c->kind = MODEL_UNWATCH;
        word(m, "UNWATCH");
        return;
    }
    c->kind = MODEL_WATCH;
    word(m, "WATCH");
    for (uint64_t left = 1 + below(m, 3); left > 0; left--)
        key(m, (unsigned)below(m, 3));
}

/* ---- Logs ------------------------------------------------------------------------------------ */

/* Late, on time, or a little in the future. */
static uint64_t event_time(struct maker *m)
{
    uint64_t now_ms = m->model->now_ms;
    switch (below(m, 4)) {
    case 0:
        return now_ms - below(m, 100000);
    case 1:
        return now_ms + below(m, 2000);
    default:
        return now_ms - below(m, 300);
    }
}

/* An entry's fields as RESP, and behind them its JSON. The words of the metadata follow in `m`. */
static struct model_bytes *log_bytes(struct slice message, const char *level, const char *extra,
                                     bool raw)
{
    struct buffer all = {0};
    buffer_printf(&all, "*%d\r\n", 2 + 2 * (level != NULL) + 2 * (extra != NULL));
    append_bulk(&all, slice_from("message"));
    append_bulk(&all, message);
    if (level) {
        append_bulk(&all, slice_from("level"));
        append_bulk(&all, slice_from(level));
    }
    if (extra) {
        append_bulk(&all, slice_from("n"));
        append_bulk(&all, slice_from(extra));
    }
    size_t json_at = all.size;
    buffer_append_text(&all, "\"message\":\"");
    buffer_append_slice(&all, message);
    buffer_append_text(&all, "\",\"metadata\":{");
    if (level)
        buffer_printf(&all, "\"level\":\"%s\"%s", level, extra ? "," : "");
    if (extra)
        buffer_printf(&all, raw ? "\"n\":%s" : "\"n\":\"%s\"", extra);
    buffer_append_byte(&all, '}');
    struct model_bytes *bytes = model_bytes_make(all.data, all.size, json_at);
    buffer_release(&all);
    return bytes;
}

static const char *pick_level(struct maker *m)
{
    static const char *const levels[] = {NULL, "debug", "info", "warn", "error"};
    return levels[below(m, 5)];
}

static void make_log_write(struct maker *m)
{
    struct model_command *c = m->command;
    struct buffer text = {0};
    char extra[24];
    const char *level = pick_level(m);
    bool many = one_in(m, 5), has_extra = !many && one_in(m, 3);
    c->kind = many ? MODEL_LOG_MWRITE : MODEL_LOG_WRITE;
    word(m, many ? "LOG.MWRITE" : "LOG.WRITE");
    log_key(m);
    snprintf(extra, sizeof extra, "%" PRIu64, below(m, 100000));
    if (!many && one_in(m, 3)) {
        c->flags |= MODEL_TIMED;
        c->time_ms = event_time(m);
        word(m, "TS");
        word(m, "%" PRIu64, c->time_ms);
    }
    if (level) {
        word(m, "LEVEL");
        word(m, "%s", level);
    }
    size_t lines = many ? 1 + below(m, 5) : 1;
    if (many) {
        word(m, "LINES");
        word(m, "%zu", lines);
    } else {
        word(m, "--");
    }
    for (size_t i = 0; i < lines; i++) {
        buffer_clear(&text);
        text_append(m, &text);
        word_slice(m, buffer_slice(&text));
        c->bytes[c->count++] =
            log_bytes(buffer_slice(&text), level, has_extra ? extra : NULL, false);
    }
    if (has_extra) {
        word(m, "n");
        word(m, "%s", extra);
    }
    buffer_release(&text);
}

static void pick_times(struct maker *m)
{
    struct model_command *c = m->command;
    c->time_ms = one_in(m, 2) ? 0 : event_time(m);
    c->time_end_ms = one_in(m, 2) ? UINT64_MAX : event_time(m);
}

static void word_bound(struct maker *m, uint64_t time_ms)
{
    if (time_ms == 0)
        word(m, "-");
    else if (time_ms == UINT64_MAX)
        word(m, "+");
    else
        word(m, "%" PRIu64, time_ms);
}

static void make_log_range(struct maker *m)
{
    struct model_command *c = m->command;
    c->kind = MODEL_LOG_RANGE;
    c->flags = one_in(m, 2) ? MODEL_REVERSE : 0;
    word(m, c->flags ? "LOG.REVRANGE" : "LOG.RANGE");
    log_key(m);
    pick_times(m);
    word_bound(m, c->flags ? c->time_end_ms : c->time_ms);
    word_bound(m, c->flags ? c->time_ms : c->time_end_ms);
    if (one_in(m, 2)) {
        c->first = 1 + (int64_t)below(m, 20);
        word(m, "COUNT");
        word(m, "%" PRId64, c->first);
    }
}

static void make_json(struct maker *m)
{
    struct model_command *c = m->command;
    struct buffer text = {0};
    log_key(m);
    struct slice name = model_key_name(c->keys[0]);
    if (one_in(m, 4)) {
        c->kind = MODEL_JSON_READ;
        pick_times(m);
        buffer_printf(&c->request,
                      "{\"action\":\"read\",\"log\":\"%.*s\",\"start_ts\":%" PRIu64
                      ",\"end_ts\":%" PRIu64 "}\n",
                      (int)name.size, (const char *)name.data, c->time_ms, c->time_end_ms);
        return;
    }
    char extra[24];
    const char *level = pick_level(m);
    bool has_extra = one_in(m, 2);
    snprintf(extra, sizeof extra, "%" PRIu64, below(m, 100000));
    c->kind = MODEL_JSON_WRITE;
    text_append(m, &text);
    c->bytes[c->count++] = log_bytes(buffer_slice(&text), level, has_extra ? extra : NULL, true);
    buffer_printf(&c->request, "{\"action\":\"write\",\"log\":\"%.*s\",", (int)name.size,
                  (const char *)name.data);
    if (one_in(m, 2)) {
        c->flags |= MODEL_TIMED;
        c->time_ms = event_time(m);
        buffer_printf(&c->request, "\"timestamp\":%" PRIu64 ",", c->time_ms);
    }
    buffer_append(&c->request, c->bytes[0]->data + c->bytes[0]->json_at,
                  c->bytes[0]->size - c->bytes[0]->json_at);
    buffer_append_text(&c->request, "}\n");
    buffer_release(&text);
}

void sim_command_make(struct random *random, const struct model *model, const struct sim_mood *mood,
                      unsigned database, bool json, struct model_command *command)
{
    static void (*const families[])(struct maker *) = {
        make_set,         make_set,        make_key_command, make_key_command,   make_expire,
        make_push,        make_push,       make_push,        make_list_command,  make_list_command,
        make_xadd,        make_xadd,       make_xadd,        make_stream_cut,    make_xrange,
        make_xrange,      make_xread,      make_xread,       make_log_write,     make_log_write,
        make_log_range,   make_write_part, make_bits,        make_whole_strings, make_list_change,
        make_list_change,
    };
    struct maker maker = {random, model, mood, database, command, {{0}, {0}, 0}};
    struct maker *m = &maker;
    if (json)
        make_json(m);
    else if (one_in(m, 60))
        make_database_command(m);
    else if (one_in(m, mood->gentle ? 200 : 40))
        make_rename(m);
    else if (one_in(m, 25))
        make_copy(m);
    else if (one_in(m, 25))
        make_awaiting(m);
    else if (one_in(m, 60))
        make_sort(m);
    else if (one_in(m, 30))
        make_dump(m);
    else if (one_in(m, 100))
        make_xsetid(m);
    else if (one_in(m, 60))
        make_watch(m);
    else
        families[below(m, sizeof families / sizeof *families)](m);
    if (!json)
        words_encode(&m->words, &command->request);
    buffer_release(&m->words.text);
}

void sim_push_make(struct random *random, const struct model *model, const struct sim_mood *mood,
                   unsigned key_number, struct model_command *command)
{
    struct maker maker = {.random = random, .model = model, .mood = mood, .command = command};
    command->kind = MODEL_PUSH;
    command->keys[command->key_count++] = key_number;
    word(&maker, "RPUSH");
    word_slice(&maker, model_key_name(key_number));
    /* Of two one is left, mostly: that both were there is seen then. */
    for (uint64_t left = 1 + sim_below(random, 2); left > 0; left--)
        value(&maker);
    words_encode(&maker.words, &command->request);
    buffer_release(&maker.words.text);
}

static void make_one(struct maker *m, void (*make)(struct maker *m))
{
    make(m);
    words_encode(&m->words, &m->command->request);
    buffer_release(&m->words.text);
}

void sim_wait_make(struct random *random, const struct model *model, const struct sim_mood *mood,
                   unsigned database, struct model_command *command)
{
    struct maker maker = {random, model, mood, database, command, {{0}, {0}, 0}};
    make_one(&maker, make_awaiting);
}

void sim_watch_make(struct random *random, const struct model *model, const struct sim_mood *mood,
                    unsigned database, struct model_command *command)
{
    struct maker maker = {random, model, mood, database, command, {{0}, {0}, 0}};
    make_one(&maker, make_watch);
}

/* ---- Transactions ---------------------------------------------------------------------------- */

/* Objects above 64 KiB are not made in one; SCAN's keys come in any order, and XREAD would block outside. */
static bool may_be_queued(const struct model_command *command)
{
    return command->kind != MODEL_COPY && command->kind != MODEL_MOVE &&
           command->kind != MODEL_SORT_STORE && command->kind != MODEL_RESTORE &&
           command->kind != MODEL_DUMP && command->kind != MODEL_SCAN &&
           command->kind != MODEL_XREAD && model_awaited_keys(command) == 0 &&
           command->kind != MODEL_WATCH && command->kind != MODEL_UNWATCH;
}

static void make_word(struct model_command *command, enum model_command_kind kind, const char *text)
{
    command->kind = kind;
    buffer_printf(&command->request, "*1\r\n$%zu\r\n%s\r\n", strlen(text), text);
}

size_t sim_transaction_make(struct random *random, const struct model *model,
                            const struct sim_mood *mood, unsigned database,
                            struct model_command *commands, size_t room)
{
    size_t max = room - 2 < TRANSACTION_COMMANDS_MAX ? room - 2 : TRANSACTION_COMMANDS_MAX;
    size_t count = sim_below(random, max + 1);
    bool is_discarded = sim_one_in(random, 8);
    struct model_command *end = &commands[1 + count];
    make_word(&commands[0], MODEL_MULTI, "MULTI");
    make_word(end, is_discarded ? MODEL_DISCARD : MODEL_EXEC, is_discarded ? "DISCARD" : "EXEC");
    end->queued = memory_zeroed(count ? count : 1, sizeof *end->queued);
    for (size_t i = 0; i < count; i++) {
        struct model_command *queued = &end->queued[end->queued_count++];
        sim_command_make(random, model, mood, database, false, queued);
        while (!may_be_queued(queued)) {
            model_command_release(queued);
            sim_command_make(random, model, mood, database, false, queued);
        }
        commands[1 + i].kind = MODEL_QUEUED;
        buffer_append_slice(&commands[1 + i].request, buffer_slice(&queued->request));
    }
    return count + 2;
}
