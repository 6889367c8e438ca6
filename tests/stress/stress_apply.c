/* SPDX-License-Identifier: MIT */
/* Operations carried out on the model: what each one does, and the reply that it must bring. */
#include "stress/stress_expectation.h"

#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>

enum { SHOWN_BYTES_MAX = 300, TTL_MARGIN_MS = 5 };

#define SMALL_ID "-ERR The ID specified in XADD is equal or smaller than the target stream top item"

void expect_text(struct expectation *expected, const char *text)
{
    expected->kind = EXPECT_TEXT;
    buffer_clear(&expected->text);
    buffer_append_text(&expected->text, text);
}

void expect_integer(struct expectation *expected, int64_t number)
{
    expected->kind = EXPECT_TEXT;
    buffer_clear(&expected->text);
    buffer_printf(&expected->text, ":%" PRId64, number);
}

void expect_range(struct expectation *expected, int64_t low, int64_t high)
{
    expected->kind = EXPECT_RANGE;
    expected->low = low;
    expected->high = high;
}

/* ---- Any type -------------------------------------------------------------------------------- */

void operation_deadline(const struct operation *o, int64_t *after, int64_t *until)
{
    *after = o->time_is_absolute ? o->time_ms : o->sent_ms + o->time_ms;
    *until = o->time_is_absolute ? o->time_ms : o->received_ms + o->time_ms;
}

static void apply_expire(const struct operation *o, struct model_slot *slot,
                         struct expectation *expected)
{
    int64_t after, until;
    operation_deadline(o, &after, &until);
    bool has = slot->expires_until != 0, overlaps = false;
    bool may = slot->type != TYPE_NONE && !(o->nx && has) && !(o->xx && !has) && !(o->gt && !has);
    if (may && has && (o->gt || o->lt)) {
        bool is_above = after > slot->expires_until, is_below = until < slot->expires_after;
        overlaps =
            !is_above && !is_below &&
            !(after == until && after == slot->expires_after && after == slot->expires_until);
        may = o->gt ? is_above : is_below;
    }
    if (overlaps) { /* either; the deadline is one of the two */
        expect_range(expected, 0, 1);
        slot_expire_at(slot, after < slot->expires_after ? after : slot->expires_after,
                       until > slot->expires_until ? until : slot->expires_until);
        return;
    }
    expect_integer(expected, may);
    if (may)
        slot_expire_at(slot, after, until);
}

static void apply_ttl(const struct operation *o, const struct model_slot *slot,
                      struct expectation *expected)
{
    if (slot->type == TYPE_NONE || !slot->expires_until) {
        expect_integer(expected, slot->type == TYPE_NONE ? -2 : -1);
        return;
    }
    int64_t low = slot->expires_after - o->received_ms - TTL_MARGIN_MS;
    int64_t high = slot->expires_until - o->sent_ms + TTL_MARGIN_MS;
    if (low < 0)
        low = 0;
    if (o->kind == OP_TTL) {
        low = (low + 500) / 1000;
        high = (high + 500) / 1000;
    }
    expect_range(expected, low, high);
}

static void apply_end_time(const struct operation *o, const struct model_slot *slot,
                           struct expectation *expected)
{
    if (slot->type == TYPE_NONE || !slot->expires_until) {
        expect_integer(expected, slot->type == TYPE_NONE ? -2 : -1);
        return;
    }
    int64_t low = slot->expires_after - TTL_MARGIN_MS, high = slot->expires_until + TTL_MARGIN_MS;
    if (o->kind == OP_EXPIRETIME)
        expect_range(expected, (low + 500) / 1000, (high + 500) / 1000);
    else
        expect_range(expected, low, high);
}

static void apply_keys(struct model *model, const struct operation *o, struct expectation *expected)
{
    struct model_slot *slots = model->slots[o->db];
    int64_t count = 0;
    for (size_t i = 0; i < o->key_count; i++) {
        count += slots[o->keys[i]].type != TYPE_NONE;
        if (o->kind == OP_DEL || o->kind == OP_UNLINK)
            slot_clear(&slots[o->keys[i]]);
    }
    expect_integer(expected, count);
}

static void apply_rename(struct model *model, const struct operation *o,
                         struct expectation *expected)
{
    struct model_slot *from = &model->slots[o->db][o->keys[0]];
    struct model_slot *to = &model->slots[o->db][o->keys[1]];
    if (from->type == TYPE_NONE) {
        expect_text(expected, "-ERR no such key");
        return;
    }
    bool may = o->kind == OP_RENAME || to->type == TYPE_NONE;
    if (o->kind == OP_RENAME)
        expect_text(expected, "+OK");
    else
        expect_integer(expected, may);
    if (may)
        slot_move(to, from);
}

static void apply_copy(struct model *model, const struct operation *o, struct expectation *expected)
{
    struct model_slot *from = &model->slots[o->db][o->keys[0]];
    struct model_slot *to = &model->slots[o->other_db][o->keys[1]];
    if (from == to) {
        expect_text(expected, "-ERR source and destination objects are the same");
        return;
    }
    bool is_copied = from->type != TYPE_NONE && (to->type == TYPE_NONE || o->xx);
    expect_integer(expected, is_copied);
    if (is_copied)
        slot_copy(to, from);
}

static void apply_move(struct model *model, const struct operation *o, struct expectation *expected)
{
    struct model_slot *from = &model->slots[o->db][o->keys[0]];
    struct model_slot *to = &model->slots[o->other_db][o->keys[0]];
    bool may = from->type != TYPE_NONE && to->type == TYPE_NONE;
    expect_integer(expected, may);
    if (may)
        slot_move(to, from);
}

static void apply_restore(const struct model *model, const struct operation *o,
                          struct model_slot *slot, struct expectation *expected)
{
    int64_t after = 0, until = 0;
    if (slot->type != TYPE_NONE && !o->xx) {
        expect_text(expected, "-BUSYKEY Target key name already exists.");
        return;
    }
    if (o->time_ms)
        operation_deadline(o, &after, &until);
    expect_text(expected, "+OK");
    slot_copy(slot, &model->dumped);
    slot_expire_at(slot, after, until);
    for (size_t i = 0; i < slot->count; i++)
        slot->items[i].event_ms = 0; /* a payload has no place for it */
}

static void apply_type(const struct model_slot *slot, struct expectation *expected)
{
    static const char *const names[] = {"+none", "+string", "+list", "+stream"};
    expect_text(expected, names[slot->type]);
}

static void apply_whole_database(struct model *model, const struct operation *o,
                                 struct expectation *expected)
{
    int64_t low = 0, high = 0;
    switch (o->kind) {
    case OP_FLUSHDB:
        for (unsigned key = 0; key < MODEL_KEYS; key++)
            slot_clear(&model->slots[o->db][key]);
        expect_text(expected, "+OK");
        break;
    case OP_SWAPDB:
        for (unsigned key = 0; key < MODEL_KEYS; key++) {
            struct model_slot slot = model->slots[0][key];
            model->slots[0][key] = model->slots[1][key];
            model->slots[1][key] = slot;
        }
        expect_text(expected, "+OK");
        break;
    case OP_DBSIZE:
        for (unsigned key = 0; key < MODEL_KEYS; key++) {
            struct model_slot *slot = &model->slots[o->db][key];
            slot_settle(slot, o->sent_ms);
            low += slot_is_alive(slot, o->received_ms);
            high += slot->type != TYPE_NONE || slot->may_linger;
        }
        expect_range(expected, low, high);
        break;
    default:
        expected->kind = EXPECT_NAMES;
        break;
    }
}

/* ---- Streams --------------------------------------------------------------------------------- */

static bool is_none(struct model_id id)
{
    return id.ms == 0 && id.seq == 0;
}

static size_t trim(const struct operation *o, struct model_slot *slot)
{
    size_t count = 0;
    if (o->trims_length && slot->count > o->length)
        count = slot->count - o->length;
    /* An ID that is not known yet is a new one. */
    while (o->trims_id && count < slot->count && !is_none(slot->items[count].id) &&
           model_id_compare(slot->items[count].id, o->ids[OPERATION_IDS_MAX - 1]) < 0)
        count++;
    slot_remove(slot, 0, count);
    return count;
}

static void expect_new_ids(struct expectation *expected, struct model_slot *slot, size_t count)
{
    expected->kind = EXPECT_IDS;
    expected->slot = slot;
    expected->ids = count;
}

static void apply_xadd(const struct operation *o, struct model_slot *slot,
                       struct expectation *expected)
{
    if (slot->type == TYPE_NONE && o->no_create) {
        expect_text(expected, "nil");
        return;
    }
    if (o->id_count && model_id_compare(o->ids[0], slot->last_id) <= 0) {
        expect_text(expected, SMALL_ID);
        return;
    }
    slot->type = TYPE_STREAM;
    slot->may_linger = false;
    struct model_item *item = slot_push(slot, o->tag, false);
    slot->entries_added++;
    if (o->id_count) {
        item->id = slot->last_id = o->ids[0];
        expect_text(expected, "");
        buffer_printf(&expected->text, "\"%" PRIu64 "-%" PRIu64 "\"", item->id.ms, item->id.seq);
    } else {
        expect_new_ids(expected, slot, 1);
    }
    trim(o, slot);
}

static void apply_log_write(const struct operation *o, struct model_slot *slot,
                            struct expectation *expected)
{
    if (slot->type == TYPE_NONE && o->no_create) {
        expect_text(expected, "nil");
        return;
    }
    slot->type = TYPE_STREAM;
    slot->may_linger = false;
    for (size_t i = 0; i < o->count; i++) {
        struct model_item *item = slot_push(slot, o->tag + i, false);
        item->shape = o->kind == OP_LOG_MWRITE && !o->is_ndjson ? SHAPE_LINE : SHAPE_LOG;
        item->level = (uint8_t)o->level;
        item->event_ms = (uint64_t)o->time_ms;
    }
    slot->entries_added += o->count;
    expect_new_ids(expected, slot, o->count);
}

static void apply_xdel(const struct operation *o, struct model_slot *slot,
                       struct expectation *expected)
{
    int64_t removed = 0;
    for (size_t i = 0; i < o->id_count; i++) {
        for (size_t at = 0; at < slot->count; at++) {
            if (is_none(o->ids[i]) || model_id_compare(slot->items[at].id, o->ids[i]) != 0)
                continue;
            slot_remove(slot, at, 1);
            if (model_id_compare(o->ids[i], slot->max_deleted_id) > 0)
                slot->max_deleted_id = o->ids[i];
            removed++;
            break;
        }
    }
    expect_integer(expected, removed);
}

/* `xx`: with MAXDELETEDID. In the order in which Redis asks. */
static void apply_xsetid(const struct operation *o, struct model_slot *slot,
                         struct expectation *expected)
{
    const struct model_item *newest = slot->count ? &slot->items[slot->count - 1] : NULL;
    const char *error = NULL;
    if (slot->type == TYPE_NONE)
        error = "-ERR no such key";
    else if (newest && model_id_compare(o->ids[0], newest->id) < 0)
        error = "-ERR The ID specified in XSETID is smaller than the target stream top item";
    else if (newest && o->trims_length && o->length < slot->count)
        error =
            "-ERR The entries_added specified in XSETID is smaller than the target stream length";
    else if (!o->xx && model_id_compare(o->ids[0], slot->max_deleted_id) < 0)
        error = "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    expect_text(expected, error ? error : "+OK");
    if (error)
        return;
    slot->last_id = o->ids[0];
    if (o->xx)
        slot->max_deleted_id = o->ids[1];
    if (o->trims_length)
        slot->entries_added = o->length;
}

static size_t show_range(const struct operation *o, const struct model_slot *slot,
                         struct buffer *out)
{
    bool is_reverse = o->kind == OP_XREVRANGE;
    size_t shown = 0;
    buffer_append_text(out, "[");
    for (size_t i = 0; i < slot->count && (o->count == 0 || shown < o->count); i++) {
        const struct model_item *item = &slot->items[is_reverse ? slot->count - 1 - i : i];
        int order = model_id_compare(item->id, o->ids[0]);
        if (o->kind == OP_XREAD ? order <= 0 : !is_none(o->ids[0]) && order < 0)
            continue;
        if (o->kind != OP_XREAD && !is_none(o->ids[1]) && model_id_compare(item->id, o->ids[1]) > 0)
            continue;
        if (shown++)
            buffer_append_text(out, ", ");
        item_show(item, out);
    }
    buffer_append_text(out, "]");
    return shown;
}

static void apply_xread(const struct model *model, const struct operation *o,
                        const struct model_slot *slot, struct expectation *expected, bool is_map)
{
    char name[MODEL_NAME_BYTES];
    model_key_name(model, o->db, o->keys[0], name);
    expect_text(expected, "");
    buffer_printf(&expected->text, is_map ? "{\"%s\": " : "[[\"%s\", ", name);
    if (show_range(o, slot, &expected->text) == 0)
        expect_text(expected, "nil");
    else
        buffer_append_text(&expected->text, is_map ? "}" : "]]");
}

static void show_json_item(const struct model_item *item, struct buffer *out)
{
    buffer_printf(out, "{\"timestamp\":%" PRIu64 ",\"message\":\"", item_event_ms(item));
    if (item->shape != SHAPE_FIELDS)
        value_append(out, item->tag);
    buffer_append_text(out, "\",\"metadata\":{");
    if (item->level)
        buffer_printf(out, "\"level\":\"%s\"", level_name(item->level));
    if (item->shape != SHAPE_LINE)
        buffer_printf(out, "%s\"n\":\"%" PRIu64 "\"", item->level ? "," : "", item->tag);
    if (item->shape == SHAPE_FIELDS) {
        buffer_append_text(out, ",\"v\":\"");
        value_append(out, item->tag);
        buffer_append_text(out, "\"");
    }
    buffer_append_text(out, "},\"version\":1}");
}

static void apply_log_range(const struct operation *o, const struct model_slot *slot,
                            struct expectation *expected)
{
    size_t *order = slot_by_event(slot), shown = 0;
    bool is_json = o->kind == OP_JSON_READ;
    expect_text(expected, is_json ? "{\"status\":\"ok\",\"data\":[" : "[");
    for (size_t i = 0; i < slot->count && (o->count == 0 || shown < o->count); i++) {
        size_t at = order[o->kind == OP_LOG_REVRANGE ? slot->count - 1 - i : i];
        const struct model_item *item = &slot->items[at];
        if (item_event_ms(item) < (uint64_t)o->from || (o->level && item->level < o->level))
            continue;
        if (shown++)
            buffer_append_text(&expected->text, is_json ? "," : ", ");
        if (is_json)
            show_json_item(item, &expected->text);
        else
            item_show(item, &expected->text);
    }
    buffer_append_text(&expected->text, "]");
    if (is_json)
        expected->kind = EXPECT_BEGINNING; /* a cursor may follow */
    memory_free(order);
}

static void apply_stream(const struct model *model, const struct operation *o,
                         struct model_slot *slot, struct expectation *expected, bool is_map)
{
    switch (o->kind) {
    case OP_XADD:
        apply_xadd(o, slot, expected);
        break;
    case OP_XDEL:
        apply_xdel(o, slot, expected);
        break;
    case OP_XLEN:
        expect_integer(expected, (int64_t)slot->count);
        break;
    case OP_XRANGE:
    case OP_XREVRANGE:
        expect_text(expected, "");
        (void)show_range(o, slot, &expected->text); /* the number is not wanted */
        break;
    case OP_XREAD:
        apply_xread(model, o, slot, expected, is_map);
        break;
    case OP_XTRIM:
        expect_integer(expected, (int64_t)trim(o, slot));
        break;
    case OP_XINFO_STREAM:
        if (slot->type == TYPE_NONE)
            expect_text(expected, "-ERR no such key");
        else
            expected->kind = EXPECT_NO_ERROR;
        break;
    case OP_XSETID:
        apply_xsetid(o, slot, expected);
        break;
    case OP_LOG_RANGE:
    case OP_LOG_REVRANGE:
    case OP_JSON_READ:
        apply_log_range(o, slot, expected);
        break;
    default:
        apply_log_write(o, slot, expected);
        break;
    }
}

/* ---- Replies --------------------------------------------------------------------------------- */

static void complain(struct buffer *error, const struct buffer *expected, struct slice shown)
{
    struct slice wanted = buffer_slice(expected);
    size_t same = 0;
    while (same < wanted.size && same < shown.size && wanted.data[same] == shown.data[same])
        same++;
    size_t from = same > SHOWN_BYTES_MAX / 2 ? same - SHOWN_BYTES_MAX / 2 : 0;
    wanted = slice_skip(wanted, from);
    shown = slice_skip(shown, from);
    buffer_printf(error,
                  "they differ at byte %zu; from byte %zu on\n  expected %.*s\n  got      %.*s",
                  same, from, wanted.size < SHOWN_BYTES_MAX ? (int)wanted.size : SHOWN_BYTES_MAX,
                  wanted.size ? (const char *)wanted.data : "",
                  shown.size < SHOWN_BYTES_MAX ? (int)shown.size : SHOWN_BYTES_MAX,
                  shown.size ? (const char *)shown.data : "");
}

/* IDs between quotes that are above the stream's last one; with two of them for more than two
 * entries (LOG.MWRITE) those between follow one another. */
static bool take_ids(const struct expectation *expected, const struct operation *o,
                     struct slice shown, struct buffer *error)
{
    struct model_slot *slot = expected->slot;
    struct model_id ids[16];
    size_t count = 0;
    for (size_t at = 0; at < shown.size && count < 16; at++) {
        if (shown.data[at] < '0' || shown.data[at] > '9' || shown.data[at - 1] != '"')
            continue;
        const uint8_t *end = memchr(shown.data + at, '"', shown.size - at);
        if (!end)
            break;
        struct slice text = slice_make(shown.data + at, (size_t)(end - shown.data) - at);
        if (model_id_parse(text, &ids[count]))
            count++;
        at += text.size;
    }
    if (o->kind == OP_LOG_MWRITE && count == 2) {
        for (size_t i = 1; i < expected->ids; i++) {
            if (i + 1 == expected->ids &&
                model_id_compare(ids[1], (struct model_id){ids[0].ms, ids[0].seq + i}) != 0) {
                buffer_append_text(error, "IDs of one LOG.MWRITE do not follow one another: ");
                buffer_append_slice(error, shown);
                return false;
            }
        }
        for (size_t i = 1; i < expected->ids && i < 16; i++)
            ids[i] = (struct model_id){ids[0].ms, ids[0].seq + i};
        count = expected->ids;
    }
    if (count != expected->ids) {
        buffer_printf(error, "expected %zu IDs, got %.*s", expected->ids,
                      shown.size < SHOWN_BYTES_MAX ? (int)shown.size : SHOWN_BYTES_MAX,
                      (const char *)shown.data);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (model_id_compare(ids[i], slot->last_id) <= 0) {
            buffer_printf(error, "ID %" PRIu64 "-%" PRIu64 " is not above %" PRIu64 "-%" PRIu64,
                          ids[i].ms, ids[i].seq, slot->last_id.ms, slot->last_id.seq);
            return false;
        }
        slot->items[slot->count - count + i].id = slot->last_id = ids[i];
    }
    return true;
}

static bool check_names(const struct model *model, const struct operation *o,
                        const struct resp_reply *reply, struct buffer *error)
{
    bool seen[MODEL_KEYS] = {false};
    for (size_t i = 0; i < reply->count; i++) {
        struct slice name = buffer_slice(&reply->children[i].text);
        unsigned key = MODEL_KEYS;
        for (unsigned k = 0; k < MODEL_KEYS; k++) {
            char text[MODEL_NAME_BYTES];
            model_key_name(model, o->db, k, text);
            if (slice_equal(name, slice_from(text)))
                key = k;
        }
        const struct model_slot *slot = key < MODEL_KEYS ? &model->slots[o->db][key] : NULL;
        if (!slot || slot->type == TYPE_NONE || slot_has_expired(slot, o->sent_ms)) {
            buffer_printf(error, "a key that does not exist: %.*s", (int)name.size,
                          (const char *)name.data);
            return false;
        }
        seen[key] = true;
    }
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        if (seen[k] || !slot_is_alive(&model->slots[o->db][k], o->received_ms))
            continue;
        buffer_printf(error, "key %u is missing", k);
        return false;
    }
    return true;
}

static bool check_reply(const struct model *model, const struct operation *o,
                        const struct expectation *expected, const struct resp_reply *reply,
                        struct slice line, struct buffer *error)
{
    struct buffer text = {0};
    bool is_fine;
    if (reply)
        resp_reply_show(reply, &text);
    else
        buffer_append_slice(&text, line);
    struct slice shown = buffer_slice(&text);
    switch (expected->kind) {
    case EXPECT_TEXT:
        if (slice_equal(shown, slice_from("nil-array")))
            shown = slice_from("nil");
        is_fine = slice_equal(shown, buffer_slice(&expected->text));
        break;
    case EXPECT_BEGINNING:
        is_fine = slice_starts_with(shown, buffer_slice(&expected->text));
        break;
    case EXPECT_RANGE:
        is_fine = reply && reply->type == ':' && reply->integer >= expected->low &&
                  reply->integer <= expected->high;
        if (!is_fine)
            buffer_printf(error, "expected %" PRId64 "..%" PRId64 ", got %.*s", expected->low,
                          expected->high, (int)shown.size, (const char *)shown.data);
        break;
    case EXPECT_IDS:
        is_fine = take_ids(expected, o, shown, error);
        break;
    case EXPECT_NAMES:
        is_fine = reply && reply->type == '*' && check_names(model, o, reply, error);
        break;
    case EXPECT_PAYLOAD:
        is_fine = reply && reply->type == '$';
        break;
    default:
        is_fine = reply && reply->type != '-';
        break;
    }
    if (!is_fine && (expected->kind == EXPECT_TEXT || expected->kind == EXPECT_BEGINNING))
        complain(error, &expected->text, shown);
    buffer_release(&text);
    return is_fine;
}

/* ---- All of them ----------------------------------------------------------------------------- */

static enum model_type type_of(enum operation_kind kind)
{
    switch (kind) {
    case OP_GET ... OP_INCRBYFLOAT:
        return TYPE_STRING;
    case OP_LPUSH ... OP_SORT:
        return TYPE_LIST;
    case OP_XADD ... OP_LOG_REVRANGE:
    case OP_JSON_WRITE ... OP_JSON_READ:
        return TYPE_STREAM;
    default:
        return TYPE_NONE;
    }
}

static void apply_key_command(struct model *model, const struct operation *o,
                              struct model_slot *slot, struct expectation *expected)
{
    switch (o->kind) {
    case OP_TYPE:
        apply_type(slot, expected);
        break;
    case OP_TTL:
    case OP_PTTL:
        apply_ttl(o, slot, expected);
        break;
    case OP_EXPIRETIME:
    case OP_PEXPIRETIME:
        apply_end_time(o, slot, expected);
        break;
    case OP_EXPIRE:
    case OP_PEXPIRE:
    case OP_EXPIREAT:
    case OP_PEXPIREAT:
        apply_expire(o, slot, expected);
        break;
    case OP_PERSIST:
        expect_integer(expected, slot->expires_until != 0);
        slot_expire_at(slot, 0, 0);
        break;
    case OP_RENAME:
    case OP_RENAMENX:
        apply_rename(model, o, expected);
        break;
    case OP_COPY:
        apply_copy(model, o, expected);
        break;
    case OP_MOVE:
        apply_move(model, o, expected);
        break;
    case OP_DUMP:
        expect_text(expected, "nil");
        if (slot->type != TYPE_NONE)
            expected->kind = EXPECT_PAYLOAD;
        break;
    case OP_RESTORE:
        apply_restore(model, o, slot, expected);
        break;
    default:
        apply_keys(model, o, expected);
        break;
    }
}

static void expect_wrong_type(const struct operation *o, struct expectation *expected)
{
    bool is_json = o->kind >= OP_JSON_WRITE;
    expect_text(expected, is_json ? "{\"status\":\"error\"" : WRONG_TYPE);
    if (is_json)
        expected->kind = EXPECT_BEGINNING;
}

static void carry_out(struct model *model, const struct operation *o, bool is_map,
                      struct expectation *expected)
{
    struct model_slot *slot = &model->slots[o->db][o->keys[0]];
    enum model_type type = type_of(o->kind);
    if (type != TYPE_NONE && slot->type != TYPE_NONE && slot->type != type) {
        expect_wrong_type(o, expected);
        return;
    }
    switch (o->kind) {
    case OP_SELECT:
    case OP_WATCH:
    case OP_UNWATCH:
    case OP_MULTI:
    case OP_DISCARD:
        expect_text(expected, "+OK");
        break;
    case OP_SET ... OP_PSETEX:
        apply_set(o, slot, expected);
        break;
    case OP_MSET ... OP_BITOP:
        apply_strings(model, o, expected);
        break;
    case OP_GET ... OP_INCRBYFLOAT:
        apply_string(o, slot, expected);
        break;
    case OP_DEL ... OP_RESTORE:
        apply_key_command(model, o, slot, expected);
        break;
    case OP_LPUSH ... OP_LTRIM:
        apply_list(o, slot, expected);
        break;
    case OP_SORT_RO ... OP_SORT:
        apply_sort(model, o, expected);
        break;
    case OP_LMOVE ... OP_BRPOP:
        apply_lists(model, o, expected);
        break;
    case OP_DBSIZE ... OP_SWAPDB:
        apply_whole_database(model, o, expected);
        break;
    default:
        apply_stream(model, o, slot, expected, is_map);
        break;
    }
}

/* As operation_apply, but no EXEC. */
static bool apply_one(struct model *model, const struct operation *o,
                      const struct resp_reply *reply, struct slice line, struct buffer *error)
{
    struct expectation expected = {0};
    bool is_answered = reply || line.data, is_map = reply && reply->type == '%';
    for (size_t i = 0; i < o->key_count; i++) {
        slot_settle(&model->slots[o->db][o->keys[i]], o->sent_ms);
        slot_settle(&model->slots[o->other_db][o->keys[i]], o->sent_ms);
    }
    carry_out(model, o, is_map, &expected);
    bool is_fine = !is_answered || check_reply(model, o, &expected, reply, line, error);
    struct model_slot *slot = &model->slots[o->db][o->keys[0]];
    if (!is_fine && o->key_count && slot->type != TYPE_NONE && slot->expires_until &&
        !slot_is_alive(slot, o->received_ms)) {
        /* It was only read (keys that end soon are), and may have ended by then: then it stays so.
         */
        slot_clear(slot);
        slot->may_linger = true;
        buffer_clear(error);
        carry_out(model, o, is_map, &expected);
        is_fine = check_reply(model, o, &expected, reply, line, error);
    }
    if (is_fine && reply && expected.kind == EXPECT_PAYLOAD)
        model_keep_dump(model, o->db, o->keys[0], buffer_slice(&reply->text));
    buffer_release(&expected.text);
    return is_fine;
}

/* All that was queued, or nothing. */
static bool apply_exec(struct model *model, const struct operation *o,
                       const struct resp_reply *reply, struct buffer *error)
{
    struct expectation expected = {.kind = EXPECT_TEXT};
    bool is_fine = !reply || (reply->type == '*' && reply->count == o->queued);
    if (!is_fine || o->is_broken) {
        if (o->is_broken)
            buffer_append_text(&expected.text, "nil");
        else
            buffer_printf(&expected.text, "an array of %zu", o->queued);
        is_fine = !reply || check_reply(model, o, &expected, reply, slice_make(NULL, 0), error);
        buffer_release(&expected.text);
        return is_fine;
    }
    for (size_t i = 0; i < o->queued && is_fine; i++) {
        struct operation queued = o[i - o->queued];
        assert(queued.is_queued);
        queued.received_ms = o->received_ms;
        is_fine = apply_one(model, &queued, reply ? &reply->children[i] : NULL, slice_make(NULL, 0),
                            error);
        if (!is_fine)
            buffer_printf(error, "\n  (%s, number %zu of the transaction)",
                          operation_name(queued.kind), i);
    }
    return is_fine;
}

bool operation_apply(struct model *model, const struct operation *o, const struct resp_reply *reply,
                     struct slice line, struct buffer *error)
{
    if (o->kind == OP_EXEC)
        return apply_exec(model, o, reply, error);
    if (!o->is_queued)
        return apply_one(model, o, reply, line, error);
    struct expectation expected = {0};
    expect_text(&expected, "+QUEUED");
    bool is_fine = !reply || check_reply(model, o, &expected, reply, line, error);
    buffer_release(&expected.text);
    return is_fine;
}
