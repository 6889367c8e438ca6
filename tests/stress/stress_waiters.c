/* SPDX-License-Identifier: MIT */
#include "stress/stress_waiters.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

enum { WORDS_MAX = 8, PAUSE_US_MAX = 1500, TIMEOUT_MS = 30000, NUMBER_BYTES = 24 };

#define QUEUE "queue"
#define MADE  "queue:made"
#define MOVED "queue:moved"

/* Each takes one element. */
static const struct pop {
    const char *words[WORDS_MAX];
    bool moves, to_left;
    bool from_left;
} pops[] = {
    {{"BLPOP", "queue:empty", QUEUE, "0"}, .from_left = true},
    {{"BRPOP", QUEUE, "0"}},
    {{"BLMPOP", "0", "2", "queue:empty", QUEUE, "LEFT"}, .from_left = true},
    {{"BLMOVE", QUEUE, MOVED, "LEFT", "RIGHT", "0"}, .moves = true, .from_left = true},
    {{"BRPOPLPUSH", QUEUE, MOVED, "0"}, .moves = true, .to_left = true},
};
enum { POPS = sizeof(pops) / sizeof(*pops) };

/* How the list comes to be; the first key of all but RPUSH holds it already. */
enum push { PUSH_RPUSH, PUSH_RENAME, PUSH_SORT, PUSH_COPY, PUSH_RESTORE, PUSH_EXEC, PUSHES };

static void pause_us(uint64_t us)
{
    struct timespec time = {0, (long)us * 1000};
    nanosleep(&time, NULL);
}

static bool fail(struct stress_waiters *waiters, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool fail(struct stress_waiters *waiters, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    waiters->has_failed = true;
    buffer_append_text(&waiters->failure, "waiters: ");
    buffer_vprintf(&waiters->failure, format, arguments);
    buffer_append_text(&waiters->failure, "\n");
    va_end(arguments);
    atomic_store(&waiters->life->has_failed, true);
    return false;
}

static bool fail_with(struct stress_waiters *waiters, const char *what,
                      const struct resp_reply *reply)
{
    struct buffer shown = {0};
    resp_reply_show(reply, &shown);
    buffer_append_byte(&shown, 0);
    (void)fail(waiters, "%s: %s (%s by way %u, elements from %" PRIu64 ", %zu waiters)", what,
               (const char *)shown.data, pops[waiters->step.pop].words[0], waiters->step.push,
               waiters->step.first, waiters->step.waiting); /* always false */
    buffer_release(&shown);
    return false;
}

/* The connection broke, or the wait was too long; that is a failure unless the server was to end. */
static bool lost(struct stress_waiters *waiters, const char *what)
{
    if (!atomic_load(&waiters->life->is_ending))
        return fail_with(waiters, what, &(struct resp_reply){.type = '0'});
    return false;
}

void stress_waiters_release(struct stress_waiters *waiters)
{
    slot_clear(&waiters->moved);
    buffer_release(&waiters->failure);
}

/* ---- Bringing -------------------------------------------------------------------------------- */

static bool send_words(struct resp_client *connection, const char *const *words)
{
    struct slice slices[WORDS_MAX];
    size_t count = 0;
    for (; words[count]; count++)
        slices[count] = slice_from(words[count]);
    return resp_client_send_command(connection, slices, count);
}

static bool call_restore(struct resp_client *connection, struct resp_reply *reply)
{
    struct resp_reply dump = {0};
    bool is_fine = resp_client_call(connection, &dump, "DUMP", MADE) && dump.type == '$';
    if (is_fine) {
        const struct slice words[] = {slice_from("RESTORE"), slice_from(QUEUE), slice_from("0"),
                                      buffer_slice(&dump.text)};
        is_fine =
            resp_client_send_command(connection, words, 4) && resp_client_read(connection, reply);
    }
    resp_reply_release(&dump);
    return is_fine;
}

static bool call_exec(struct resp_client *connection, struct resp_reply *reply,
                      const char *const *push)
{
    struct resp_reply queued[3] = {{0}};
    bool is_fine = resp_client_call(connection, &queued[0], "MULTI") &&
                   resp_client_call_texts(connection, &queued[1], push) &&
                   resp_client_call(connection, &queued[2], "LLEN", QUEUE) &&
                   resp_client_call(connection, reply, "EXEC");
    for (size_t i = 0; i < 3; i++)
        resp_reply_release(&queued[i]);
    return is_fine;
}

/* All elements at once. */
static bool push(struct stress_waiters *waiters, struct resp_client *connection)
{
    struct waiters_step *step = &waiters->step;
    char numbers[WAITERS_MAX][NUMBER_BYTES], wanted[64];
    bool is_direct = step->push == PUSH_RPUSH || step->push == PUSH_EXEC, is_fine = true;
    const char *words[WAITERS_MAX + 3] = {"RPUSH", is_direct ? QUEUE : MADE};
    struct resp_reply reply = {0};
    for (size_t i = 0; i < step->waiting; i++) {
        snprintf(numbers[i], sizeof(numbers[i]), "%" PRIu64, step->first + i);
        words[2 + i] = numbers[i];
    }
    snprintf(wanted, sizeof(wanted), ":%zu", step->waiting);
    if (!is_direct) {
        is_fine = resp_client_call(connection, &reply, "DEL", MADE);
        resp_reply_release(&reply);
        is_fine = is_fine && resp_client_call_texts(connection, &reply, words);
        resp_reply_release(&reply);
    }
    step->is_sent = true;
    switch ((enum push)step->push) {
    case PUSH_RENAME:
        is_fine = is_fine && resp_client_call(connection, &reply, "RENAME", MADE, QUEUE);
        snprintf(wanted, sizeof(wanted), "+OK");
        break;
    case PUSH_SORT:
        is_fine = is_fine && resp_client_call(connection, &reply, "SORT", MADE, "STORE", QUEUE);
        break;
    case PUSH_COPY:
        is_fine = is_fine && resp_client_call(connection, &reply, "COPY", MADE, QUEUE);
        snprintf(wanted, sizeof(wanted), ":1");
        break;
    case PUSH_RESTORE:
        is_fine = is_fine && call_restore(connection, &reply);
        snprintf(wanted, sizeof(wanted), "+OK");
        break;
    case PUSH_EXEC: /* nobody is served within it */
        is_fine = call_exec(connection, &reply, words);
        snprintf(wanted, sizeof(wanted), "[:%zu, :%zu]", step->waiting, step->waiting);
        break;
    default:
        is_fine = resp_client_call_texts(connection, &reply, words);
        break;
    }
    step->is_pushed = is_fine;
    if (!is_fine)
        (void)lost(waiters, "no answer to who brings elements"); /* false, as is_fine */
    else if (!resp_reply_is(&reply, wanted))
        is_fine = fail_with(waiters, "another answer to who brings elements", &reply);
    resp_reply_release(&reply);
    return is_fine;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/* The element stands last in the answer. */
static bool take_element(struct stress_waiters *waiters, const struct resp_reply *reply)
{
    struct waiters_step *step = &waiters->step;
    const struct resp_reply *element = reply;
    char text[NUMBER_BYTES] = "";
    uint64_t number = 0;
    while (element->type == '*' && element->count > 0)
        element = &element->children[element->count - 1];
    if (element->type == '$' && element->text.size < sizeof(text))
        memcpy(text, element->text.data, element->text.size);
    if (sscanf(text, "%" SCNu64, &number) != 1 || number < step->first ||
        number >= step->first + step->waiting || step->has_come[number - step->first])
        return fail_with(waiters, "a waiter gets what it must not", reply);
    step->has_come[number - step->first] = true;
    step->arrived++;
    return true;
}

/* One that is told to wait no more, if its command has come already; *is_waiting: false then. */
static bool unblock(struct stress_waiters *waiters, struct resp_client *waiter,
                    struct resp_client *bringer, const char *id, bool *is_waiting)
{
    struct resp_reply reply;
    if (!resp_client_call(bringer, &reply, "CLIENT", "UNBLOCK", id))
        return lost(waiters, "no answer to CLIENT UNBLOCK");
    *is_waiting = !resp_reply_is(&reply, ":1");
    resp_reply_release(&reply);
    if (*is_waiting)
        return true;
    reply = (struct resp_reply){0};
    bool is_fine = resp_client_read(waiter, &reply) || lost(waiters, "no end of a wait");
    if (is_fine && reply.type != '1' && reply.type != '0' && reply.type != '_')
        is_fine = fail_with(waiters, "an unblocked waiter gets something", &reply);
    resp_reply_release(&reply);
    waiters->unblocked++;
    return is_fine;
}

/* The model's part of a step: `count` elements taken in turn. */
static void move_elements(const struct waiters_step *step, size_t count, struct model_slot *queue,
                          struct model_slot *moved)
{
    const struct pop *pop = &pops[step->pop];
    for (size_t i = 0; i < count; i++) {
        size_t at = pop->from_left ? 0 : queue->count - 1;
        uint64_t tag = queue->items[at].tag;
        slot_remove(queue, at, 1);
        if (pop->moves)
            slot_push(moved, tag, pop->to_left);
    }
}

/* What the step leaves when the elements were brought, or not, and `taken` of them were taken. */
static void finish_step(const struct waiters_step *step, bool is_brought, size_t taken,
                        struct model_slot *queue, struct model_slot *moved)
{
    for (size_t i = 0; is_brought && i < step->waiting; i++)
        slot_push(queue, step->first + i, false);
    move_elements(step, taken, queue, moved);
}

static bool step_once(struct stress_waiters *waiters, struct resp_client *connections,
                      char ids[][NUMBER_BYTES])
{
    struct waiters_step *step = &waiters->step;
    struct resp_client *bringer = &connections[WAITERS_MAX];
    size_t count = 1 + random_below(&waiters->random, WAITERS_MAX), from = 0;
    *step = (struct waiters_step){.pop = (unsigned)random_below(&waiters->random, POPS),
                                  .push = (unsigned)random_below(&waiters->random, PUSHES),
                                  .first = waiters->next};
    for (size_t i = 0; i < count; i++)
        if (!send_words(&connections[i], pops[step->pop].words))
            return lost(waiters, "a waiter's connection");
    pause_us(random_below(&waiters->random, PAUSE_US_MAX));
    if (random_below(&waiters->random, 4) == 0) {
        bool is_waiting = true;
        if (!unblock(waiters, &connections[0], bringer, ids[0], &is_waiting))
            return false;
        from = is_waiting ? 0 : 1;
    }
    step->waiting = count - from;
    waiters->next += step->waiting;
    if (step->waiting > 0 && !push(waiters, bringer))
        return false;
    for (size_t i = from; i < count; i++) {
        struct resp_reply reply = {0};
        bool is_fine = resp_client_read(&connections[i], &reply)
                           ? take_element(waiters, &reply)
                           : lost(waiters, "an element does not come");
        resp_reply_release(&reply);
        if (!is_fine)
            return false;
    }
    struct model_slot queue = {0};
    finish_step(step, true, step->waiting, &queue, &waiters->moved);
    waiters->served += step->waiting;
    *step = (struct waiters_step){0};
    slot_clear(&queue);
    return true;
}

static bool begin(struct stress_waiters *waiters, struct resp_client *connection,
                  char id[NUMBER_BYTES])
{
    struct resp_reply reply = {0};
    if (!stress_connect(waiters->life, false, random_below(&waiters->random, 2), connection))
        return lost(waiters, "no connection");
    connection->timeout_ms = TIMEOUT_MS;
    bool is_fine = resp_client_call(connection, &reply, "CLIENT", "ID");
    snprintf(id, NUMBER_BYTES, "%" PRId64, reply.integer);
    resp_reply_release(&reply);
    return is_fine || lost(waiters, "no CLIENT ID");
}

void *stress_wait(void *context)
{
    struct stress_waiters *waiters = context;
    struct resp_client connections[WAITERS_MAX + 1];
    char ids[WAITERS_MAX + 1][NUMBER_BYTES];
    bool is_fine = true;
    waiters->step = (struct waiters_step){0};
    for (size_t i = 0; i <= WAITERS_MAX; i++)
        connections[i] = (struct resp_client){.socket = -1};
    for (size_t i = 0; i <= WAITERS_MAX && is_fine; i++)
        is_fine = begin(waiters, &connections[i], ids[i]);
    while (is_fine && !atomic_load(&waiters->life->must_stop))
        is_fine = step_once(waiters, connections, ids);
    for (size_t i = 0; i <= WAITERS_MAX; i++)
        if (connections[i].socket >= 0)
            resp_client_close(&connections[i]);
    return NULL;
}

/* ---- After a restart ------------------------------------------------------------------------- */

static bool is_list(const struct resp_reply *reply, const struct model_slot *slot)
{
    if (reply->count != slot->count)
        return false;
    for (size_t i = 0; i < slot->count; i++) {
        char number[NUMBER_BYTES];
        snprintf(number, sizeof(number), "%" PRIu64, slot->items[i].tag);
        if (!slice_equal(buffer_slice(&reply->children[i].text), slice_from(number)))
            return false;
    }
    return true;
}

/* Some part of the step that was under way, what was answered within it. */
static bool is_explained(const struct stress_waiters *waiters, const struct resp_reply *queue,
                         const struct resp_reply *moved)
{
    const struct waiters_step *step = &waiters->step;
    bool is_found = false;
    for (size_t happened = 0; happened <= step->waiting + 1 && !is_found; happened++) {
        bool is_brought = happened > 0;
        size_t taken = is_brought ? happened - 1 : 0;
        struct model_slot expected_queue = {0}, expected_moved = {0};
        if ((is_brought && !step->is_sent) || (!is_brought && step->is_pushed) ||
            taken < step->arrived)
            continue;
        slot_copy(&expected_moved, &waiters->moved);
        finish_step(step, is_brought, taken, &expected_queue, &expected_moved);
        is_found = is_list(queue, &expected_queue) && is_list(moved, &expected_moved);
        slot_clear(&expected_queue);
        slot_clear(&expected_moved);
    }
    return is_found;
}

bool stress_waiters_check(struct stress_waiters *waiters)
{
    struct resp_client connection;
    struct resp_reply queue = {0}, moved = {0}, reply = {0};
    if (!stress_connect(waiters->life, false, false, &connection))
        return fail(waiters, "no connection");
    bool is_fine = resp_client_call(&connection, &queue, "LRANGE", QUEUE, "0", "-1") &&
                   resp_client_call(&connection, &moved, "LRANGE", MOVED, "0", "-1");
    if (!is_fine)
        (void)fail(waiters, "LRANGE is not answered"); /* false, as is_fine */
    else if (!is_explained(waiters, &queue, &moved))
        is_fine = fail_with(waiters,
                            moved.count == waiters->moved.count
                                ? "the queue holds what it must not"
                                : "the queue and what was moved do not fit",
                            &queue);
    is_fine = is_fine && resp_client_call(&connection, &reply, "DEL", QUEUE, MOVED, MADE);
    resp_reply_release(&queue);
    resp_reply_release(&moved);
    resp_reply_release(&reply);
    resp_client_close(&connection);
    slot_clear(&waiters->moved);
    waiters->step = (struct waiters_step){0};
    return is_fine;
}
