/* SPDX-License-Identifier: MIT */
#include "stress/stress_compare.h"

#include <inttypes.h>
#include <time.h>

enum { MARGIN_MS = 5, ERROR_BYTES_MAX = 8000 };

struct observed_slot {
    enum model_type type;
    int64_t ttl_ms; /* -1: none */
    struct resp_reply value;
    struct model_id last_id, max_deleted_id;
    uint64_t entries_added;
};

struct observation {
    int64_t before_ms, after_ms;
    struct observed_slot slots[MODEL_DATABASES][MODEL_KEYS];
};

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Looking --------------------------------------------------------------------------------- */

static bool call(struct resp_client *connection, struct resp_reply *reply, struct buffer *error,
                 const char *const *words)
{
    if (resp_client_call_texts(connection, reply, words) && reply->type != '-')
        return true;
    buffer_printf(error, "%s %s: ", words[0], words[1] ? words[1] : "");
    resp_reply_show(reply, error);
    resp_reply_release(reply);
    return false;
}

static enum model_type type_from(const struct resp_reply *reply)
{
    return resp_reply_is(reply, "+string")   ? TYPE_STRING
           : resp_reply_is(reply, "+list")   ? TYPE_LIST
           : resp_reply_is(reply, "+stream") ? TYPE_STREAM
                                             : TYPE_NONE;
}

/* What the stream's header says. */
static bool observe_ids(struct observed_slot *slot, struct resp_client *connection, const char *key,
                        struct buffer *error)
{
    struct resp_reply reply;
    if (!call(connection, &reply, error, (const char *[]){"XINFO", "STREAM", key, NULL}))
        return false;
    unsigned found = 0;
    for (size_t i = 0; i + 1 < reply.count; i += 2) {
        struct slice name = buffer_slice(&reply.children[i].text);
        const struct resp_reply *value = &reply.children[i + 1];
        if (slice_equal(name, slice_from("last-generated-id")))
            found += model_id_parse(buffer_slice(&value->text), &slot->last_id);
        else if (slice_equal(name, slice_from("max-deleted-entry-id")))
            found += model_id_parse(buffer_slice(&value->text), &slot->max_deleted_id);
        else if (slice_equal(name, slice_from("entries-added")))
            slot->entries_added = (uint64_t)value->integer, found++;
    }
    resp_reply_release(&reply);
    return found == 3;
}

static bool observe_slot(struct observed_slot *slot, struct resp_client *connection,
                         const char *key, struct buffer *error)
{
    struct resp_reply reply;
    if (!call(connection, &reply, error, (const char *[]){"TYPE", key, NULL}))
        return false;
    slot->type = type_from(&reply);
    resp_reply_release(&reply);
    if (slot->type == TYPE_NONE)
        return true;
    if (!call(connection, &reply, error, (const char *[]){"PTTL", key, NULL}))
        return false;
    slot->ttl_ms = reply.integer;
    resp_reply_release(&reply);
    bool is_fine = slot->type == TYPE_STRING
                       ? call(connection, &slot->value, error, (const char *[]){"GET", key, NULL})
                   : slot->type == TYPE_LIST
                       ? call(connection, &slot->value, error,
                              (const char *[]){"LRANGE", key, "0", "-1", NULL})
                       : call(connection, &slot->value, error,
                              (const char *[]){"XRANGE", key, "-", "+", NULL});
    if (!is_fine)
        return false;
    bool is_gone = slot->value.type == '0' || slot->ttl_ms == -2 ||
                   (slot->type == TYPE_LIST && slot->value.count == 0);
    if (!is_gone && slot->type == TYPE_STREAM && !observe_ids(slot, connection, key, error)) {
        if (slot->ttl_ms < 0)
            return false;
        buffer_clear(error);
        is_gone = true; /* meanwhile */
    }
    if (is_gone)
        slot->type = TYPE_NONE;
    return true;
}

static bool observe(const struct model *model, struct resp_client *connection,
                    struct observation *observation, struct buffer *error)
{
    observation->before_ms = wall_ms();
    for (unsigned db = 0; db < MODEL_DATABASES; db++) {
        struct resp_reply reply;
        char number[16], name[MODEL_NAME_BYTES];
        snprintf(number, sizeof(number), "%u", model_server_db(model, db));
        if (!call(connection, &reply, error, (const char *[]){"SELECT", number, NULL}))
            return false;
        resp_reply_release(&reply);
        for (unsigned key = 0; key < MODEL_KEYS; key++) {
            model_key_name(model, db, key, name);
            if (!observe_slot(&observation->slots[db][key], connection, name, error))
                return false;
        }
    }
    observation->after_ms = wall_ms();
    return true;
}

static void release(struct observation *observation)
{
    for (unsigned db = 0; db < MODEL_DATABASES; db++)
        for (unsigned key = 0; key < MODEL_KEYS; key++)
            resp_reply_release(&observation->slots[db][key].value);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static bool is_value(const struct resp_reply *reply, uint64_t tag)
{
    struct buffer value = {0};
    if (reply->text.size != value_size(tag))
        return false;
    value_append(&value, tag);
    bool is_same = slice_equal(buffer_slice(&value), buffer_slice(&reply->text));
    buffer_release(&value);
    return is_same;
}

static bool is_item(const struct resp_reply *reply, const struct model_item *item)
{
    struct buffer expected = {0};
    struct model_item known = *item;
    if (reply->count != 2 || !model_id_parse(buffer_slice(&reply->children[0].text), &known.id))
        return false;
    if ((item->id.ms || item->id.seq) && model_id_compare(item->id, known.id) != 0)
        return false;
    item_show(&known, &expected);
    buffer_append_byte(&expected, 0);
    bool is_same = resp_reply_is(reply, (const char *)expected.data);
    buffer_release(&expected);
    return is_same;
}

static bool has_ttl(const struct observation *observation, const struct model_slot *slot,
                    const struct observed_slot *seen)
{
    if (!slot->expires_until || seen->ttl_ms < 0)
        return !slot->expires_until && seen->ttl_ms == -1;
    return seen->ttl_ms >= slot->expires_after - observation->after_ms - MARGIN_MS &&
           seen->ttl_ms <= slot->expires_until - observation->before_ms + MARGIN_MS;
}

/* NULL: the same. Else what differs. */
static const char *difference(const struct observation *observation, const struct model_slot *slot,
                              const struct observed_slot *seen)
{
    bool may_be_gone = !slot_is_alive(slot, observation->after_ms);
    bool must_be_gone = slot->type == TYPE_NONE || slot_has_expired(slot, observation->before_ms);
    if (seen->type == TYPE_NONE)
        return may_be_gone ? NULL : "it is not there";
    if (must_be_gone)
        return "it is there";
    if (seen->type != slot->type)
        return "another type";
    if (!has_ttl(observation, slot, seen))
        return "another time to live";
    if (slot->type == TYPE_STRING)
        return slice_equal(buffer_slice(&seen->value.text), buffer_slice(&slot->text))
                   ? NULL
                   : "another value";
    if (seen->value.count != slot->count)
        return "another length";
    if (slot->type == TYPE_STREAM && model_id_compare(seen->last_id, slot->last_id) < 0)
        return "an older last ID";
    if (slot->type == TYPE_STREAM &&
        model_id_compare(seen->max_deleted_id, slot->max_deleted_id) != 0)
        return "another ID of a deleted entry";
    if (slot->type == TYPE_STREAM && seen->entries_added != slot->entries_added)
        return "another number of entries that were added";
    for (size_t i = 0; i < slot->count; i++) {
        const struct resp_reply *reply = &seen->value.children[i];
        if (slot->type == TYPE_LIST ? !is_value(reply, slot->items[i].tag)
                                    : !is_item(reply, &slot->items[i]))
            return "another element";
    }
    return NULL;
}

/* What the model could not know. */
static void adopt(const struct observation *observation, struct model_slot *slot,
                  const struct observed_slot *seen)
{
    if (seen->type == TYPE_NONE) {
        bool has_ended = slot->type != TYPE_NONE || slot->may_linger;
        slot_clear(slot);
        slot->may_linger = has_ended;
        return;
    }
    if (slot->expires_until) {
        if (observation->before_ms + seen->ttl_ms - MARGIN_MS > slot->expires_after)
            slot->expires_after = observation->before_ms + seen->ttl_ms - MARGIN_MS;
        if (observation->after_ms + seen->ttl_ms + MARGIN_MS < slot->expires_until)
            slot->expires_until = observation->after_ms + seen->ttl_ms + MARGIN_MS;
    }
    if (slot->type != TYPE_STREAM)
        return;
    slot->last_id = seen->last_id;
    for (size_t i = 0; i < slot->count; i++)
        (void)model_id_parse(buffer_slice(&seen->value.children[i].children[0].text),
                             &slot->items[i].id); /* is_item has read it */
}

/* `*at`: the slot that differed last is looked at first. */
static bool is_same(const struct model *model, const struct observation *observation, unsigned *at,
                    struct buffer *error)
{
    const unsigned slots = MODEL_DATABASES * MODEL_KEYS;
    for (unsigned i = 0; i < slots; i++, *at = (*at + 1) % slots) {
        unsigned db = *at / MODEL_KEYS, key = *at % MODEL_KEYS;
        const char *what =
            difference(observation, &model->slots[db][key], &observation->slots[db][key]);
        if (!what)
            continue;
        char name[MODEL_NAME_BYTES];
        model_key_name(model, db, key, name);
        if (error->size < ERROR_BYTES_MAX)
            buffer_printf(error, "db %u %s: %s\n", model_server_db(model, db), name, what);
        return false;
    }
    return true;
}

bool model_compare(struct model *model, struct resp_client *connection, struct operation *pending,
                   size_t pending_count, size_t *happened, struct buffer *error)
{
    struct observation observation = {0};
    unsigned at = 0;
    bool is_found = false;
    bool is_observed = observe(model, connection, &observation, error);
    for (size_t i = 0; is_observed && !is_found && i <= pending_count; i++) {
        if (i > 0) {
            pending[i - 1].received_ms = observation.after_ms;
            (void)operation_apply(model, &pending[i - 1], NULL, slice_make(NULL, 0), error);
        }
        is_found = is_same(model, &observation, &at, error);
        *happened = i;
    }
    for (unsigned db = 0; is_found && db < MODEL_DATABASES; db++)
        for (unsigned key = 0; key < MODEL_KEYS; key++)
            adopt(&observation, &model->slots[db][key], &observation.slots[db][key]);
    release(&observation);
    return is_found;
}
