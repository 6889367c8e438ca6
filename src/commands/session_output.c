/* SPDX-License-Identifier: MIT */
/* A session's replies behind the gate: one growing buffer, and marks that say up to where output
 * waits for which LSN. A mark that would not wait longer than the one before it is merged with it.
 *
 *      output  | consumed | released | held                  |
 *      marks                         ^end, lsn 5    ^end, lsn 9
 */
#include "base/memory.h"
#include "commands/service_state.h"

#include <assert.h>

static uint64_t output_end(const struct session *session)
{
    return session->output_base + session->output.size;
}

static bool grow_marks(struct session *session)
{
    size_t capacity = session->mark_capacity ? session->mark_capacity * 2 : 4;
    struct gate_mark *marks = memory_ask_resize(session->marks, capacity * sizeof *marks);
    if (!marks)
        return false;
    session->marks = marks;
    session->mark_capacity = capacity;
    return true;
}

static void push_mark(struct session *session, lsn_t lsn)
{
    if (session->mark_first == session->mark_count)
        session->mark_first = session->mark_count = 0;
    if (session->mark_count == session->mark_capacity && !grow_marks(session))
        session->mark_count--; /* what the last one stood for waits a little longer */
    session->marks[session->mark_count++] =
        (struct gate_mark){.end = output_end(session), .lsn = lsn};
}

void session_mark_output(struct session *session, lsn_t lsn)
{
    bool any = session->mark_first < session->mark_count;
    struct gate_mark *last = any ? &session->marks[session->mark_count - 1] : NULL;
    if (last && last->lsn >= lsn)
        last->end = output_end(session);
    else if (lsn > 0)
        push_mark(session, lsn);
    else
        session->released_end = output_end(session);
    atomic_store_explicit(&session->output_bytes, session->output.size - session->output_offset,
                          memory_order_relaxed);
}

struct slice session_output(const struct session *session)
{
    return slice_make(session->output.data + session->output_offset,
                      session->output.size - session->output_offset);
}

void session_over_output_limit(struct session *session)
{
    if (session->is_over_limit)
        return;
    env_log(session->service->env, LOG_WARNING,
            "Client id=%llu addr=%s closed for overcoming of output buffer limits.",
            (unsigned long long)session->id, session->address);
    session->is_over_limit = true;
}

void session_lose_reply(struct session *session)
{
    env_log(session->service->env, LOG_WARNING,
            "Closing client whose reply finds no memory: id=%llu addr=%s",
            (unsigned long long)session->id, session->address);
    session->closing = true;
}

/* client-output-buffer-limit: what may be sent and is not taken counts, held replies do not. */
static void check_output_limit(struct session *session, size_t released)
{
    struct config_output_limit limit = config_output_limit(
        session->service->config,
        session_is_subscribed(session) ? CONFIG_CLASS_PUBSUB : CONFIG_CLASS_NORMAL);
    bool over = limit.hard_bytes && released > limit.hard_bytes;
    if (limit.soft_bytes && released > limit.soft_bytes) {
        uint64_t now_us = env_monotonic_us(session->service->env);
        if (session->over_soft_since_us == 0)
            session->over_soft_since_us = now_us;
        over = over || now_us - session->over_soft_since_us > limit.soft_seconds * 1000000;
    } else {
        session->over_soft_since_us = 0;
    }
    if (over)
        session_over_output_limit(session);
}

size_t session_output_released(struct session *session, lsn_t acked)
{
    while (session->mark_first < session->mark_count &&
           session->marks[session->mark_first].lsn < acked)
        session->released_end = session->marks[session->mark_first++].end;
    uint64_t position = session->output_base + session->output_offset;
    uint64_t end = session->released_end;
    if (session->mark_first == session->mark_count)
        end = output_end(session);
    size_t released = end > position ? (size_t)(end - position) : 0;
    if (released > 0)
        check_output_limit(session, released);
    return released;
}

lsn_t session_output_awaits(const struct session *session)
{
    return session->mark_first < session->mark_count ? session->marks[session->mark_first].lsn : 0;
}

lsn_t session_output_awaits_all(const struct session *session)
{
    return session_output_awaits(session) ? session->marks[session->mark_count - 1].lsn : 0;
}

/* How much the next large output will take: as the largest of late. Small ones in between, as the rest behind a
 * pause, say nothing; many in a row do. */
static void expect_output(struct session *session, size_t size)
{
    if (size > session->output_expected / 2) {
        session->outputs_below = 0;
        if (size > session->output_expected)
            session->output_expected = size < OUTPUT_EXPECTED_MAX ? size : OUTPUT_EXPECTED_MAX;
    } else if (++session->outputs_below == OUTPUTS_BELOW_MAX) {
        session->outputs_below = 0;
        session->output_expected /= 2;
    }
    if (session->output_expected <= OUTPUT_KEPT_BYTES)
        session->output_expected = 0;
}

/* The output is empty. What it was used for is likely to be wanted again: the next reply begins with as
 * much instead of growing from nothing. */
static void give_back(struct session *session)
{
    struct buffer *output = &session->output;
    if (output->capacity > OUTPUT_KEPT_BYTES) {
        expect_output(session, output->size);
        service_release_buffer(session->service, output);
    }
    buffer_clear(output);
}

void session_output_prepare(struct session *session)
{
    struct buffer *output = &session->output;
    if (output->capacity == 0 && session->output_expected > 0 &&
        !buffer_reserve(output, session->output_expected))
        output->failed = false; /* it was an offer */
}

void session_count_sent(struct session *session, size_t bytes)
{
    struct service_stats *stats = &session->service->stats;
    atomic_fetch_add_explicit(&stats->net_output_bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&stats->writes, 1, memory_order_relaxed);
}

void session_output_consume(struct session *session, size_t count)
{
    assert(count <= session->output.size - session->output_offset);
    session_count_sent(session, count);
    session->output_offset += count;
    struct buffer *output = &session->output;
    size_t left = output->size - session->output_offset;
    atomic_store_explicit(&session->output_bytes, left, memory_order_relaxed);
    if (left == 0) {
        session->output_base += output->size;
        session->output_offset = 0;
        give_back(session);
    } else if (session->output_offset > OUTPUT_KEPT_BYTES && session->output_offset > left) {
        session->output_base += session->output_offset;
        buffer_consume(output, session->output_offset);
        session->output_offset = 0;
    }
    client_memory_count(session);
}

void session_set_unsent(struct session *session, size_t bytes)
{
    session->unsent_bytes = bytes;
    client_memory_count(session);
}

bool session_is_over_limit(const struct session *session)
{
    return session->is_over_limit;
}

bool session_output_is_full(const struct session *session)
{
    return session->output.size - session->output_offset > SESSION_OUTPUT_PAUSE_BYTES;
}

bool session_is_paused(const struct session *session)
{
    return session->state == SESSION_READY && session->input.size > 0 &&
           session_output_is_full(session);
}

bool session_has_given_way(const struct session *session)
{
    return session->state == SESSION_READY && session->has_given_way;
}
