/* SPDX-License-Identifier: MIT */
#include "stress/stress_shared.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

enum {
    PIPELINE_MAX = 16,
    PAGE = 500,
    RING_LENGTH = 300,
    RING_LENGTH_MAX = RING_LENGTH + 100, /* ~ lets stay one hundred more */
    GROUPS_SHOWN = 100,
};

enum action {
    ADD_STREAM,
    ADD_RING,
    ADD_LOG,
    PUSH,
    POP,
    RANGE,
    MOVE,
    COUNT_PLACES,
    LENGTH,
    ACTIONS
};

struct step {
    enum action action;
    uint64_t number;
};

static void fail(struct stress_shared *shared, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fail(struct stress_shared *shared, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&shared->lock);
    shared->has_failed = true;
    atomic_store(&shared->life->has_failed, true);
    buffer_append_text(&shared->failure, "shared keys: ");
    buffer_vprintf(&shared->failure, format, arguments);
    buffer_append_text(&shared->failure, "\n");
    pthread_mutex_unlock(&shared->lock);
    va_end(arguments);
}

static void fail_with(struct stress_shared *shared, const char *what,
                      const struct resp_reply *reply)
{
    struct buffer shown = {0};
    resp_reply_show(reply, &shown);
    fail(shared, "%s: %.*s", what, shown.size < 400 ? (int)shown.size : 400,
         (const char *)shown.data);
    buffer_release(&shown);
}

void stress_shared_init(struct stress_shared *shared, struct stress_life *life)
{
    *shared = (struct stress_shared){.life = life};
    pthread_mutex_init(&shared->lock, NULL);
}

void stress_shared_release(struct stress_shared *shared)
{
    for (unsigned w = 0; w < SHARED_WRITERS; w++)
        buffer_release(&shared->groups[w]);
    buffer_release(&shared->failure);
    pthread_mutex_destroy(&shared->lock);
}

bool stress_shared_begin(struct stress_shared *shared, struct shared_thread *readers)
{
    struct resp_client connection;
    struct resp_reply reply;
    bool is_fine = stress_connect(shared->life, false, false, &connection);
    for (unsigned w = 0; w < SHARED_WRITERS; w++) {
        shared->stream[w].base = shared->stream[w].sent;
        shared->ring[w].base = shared->ring[w].sent;
        buffer_clear(&shared->groups[w]);
        for (unsigned r = 0; r < SHARED_READERS; r++)
            readers[r].last_number[w] = shared->stream[w].base;
    }
    shared->pair_acked = 0;
    for (unsigned r = 0; r < SHARED_READERS; r++)
        snprintf(readers[r].last_id, sizeof(readers[r].last_id), "0-0");
    for (unsigned token = 0; is_fine && token < TOKENS; token++) {
        char key[32], value[32];
        snprintf(key, sizeof(key), "t:%u:0", token);
        snprintf(value, sizeof(value), "token%u", token);
        is_fine = resp_client_call(&connection, &reply, "SET", key, value) &&
                  resp_reply_is(&reply, "+OK");
        resp_reply_release(&reply);
    }
    resp_client_close(&connection);
    if (!is_fine)
        fail(shared, "the tokens could not be laid out");
    return is_fine;
}

/* ---- Writers --------------------------------------------------------------------------------- */

static void append_words(struct buffer *request, const char *const *words)
{
    struct slice slices[16];
    size_t count = 0;
    for (; words[count]; count++)
        slices[count] = slice_from(words[count]);
    resp_client_encode(request, slices, count);
}
#define append(request, ...) append_words(request, (const char *const[]){__VA_ARGS__, NULL})

static void append_addition(struct shared_thread *thread, struct step *step, struct buffer *request)
{
    struct stress_shared *shared = thread->shared;
    char writer[16], number[24];
    struct shared_sequence *sequence =
        step->action == ADD_RING ? &shared->ring[thread->id] : &shared->stream[thread->id];
    pthread_mutex_lock(&shared->lock);
    step->number = ++sequence->sent;
    pthread_mutex_unlock(&shared->lock);
    snprintf(writer, sizeof(writer), "%u", thread->id);
    snprintf(number, sizeof(number), "%" PRIu64, step->number);
    struct buffer value = {0};
    value_append(&value, step->number);
    buffer_append_byte(&value, 0);
    const char *text = (const char *)value.data;
    if (step->action == ADD_RING)
        append(request, "XADD", "ring", "MAXLEN", "~", "300", "*", "w", writer, "n", number, "v",
               text);
    else if (step->action == ADD_LOG)
        append(request, "LOG.WRITE", "shared", "--", text, "w", writer, "n", number);
    else
        append(request, "XADD", "shared", "*", "message", text, "w", writer, "n", number);
    buffer_release(&value);
}

static void append_group(struct shared_thread *thread, struct step *step, struct buffer *request)
{
    struct stress_shared *shared = thread->shared;
    char elements[3][48];
    pthread_mutex_lock(&shared->lock);
    step->number = shared->groups[thread->id].size;
    buffer_append_byte(&shared->groups[thread->id], GROUP_SENT);
    pthread_mutex_unlock(&shared->lock);
    for (int i = 0; i < 3; i++)
        snprintf(elements[i], sizeof(elements[i]), "%u:%" PRIu64 ":%d", thread->id, step->number,
                 i);
    append(request, "RPUSH", "groups", elements[0], elements[1], elements[2]);
}

static void append_step(struct shared_thread *thread, struct step *step, struct buffer *request)
{
    unsigned token = (unsigned)random_below(&thread->random, TOKENS);
    char keys[PLACES][32], to[32];
    for (unsigned place = 0; place < PLACES; place++)
        snprintf(keys[place], sizeof(keys[place]), "t:%u:%u", token, place);
    snprintf(to, sizeof(to), "t:%u:%u", token, (unsigned)random_below(&thread->random, PLACES));
    switch (step->action) {
    case ADD_STREAM:
    case ADD_RING:
    case ADD_LOG:
        append_addition(thread, step, request);
        break;
    case PUSH:
        append_group(thread, step, request);
        break;
    case POP:
        pthread_mutex_lock(&thread->shared->lock);
        thread->shared->pops_in_flight++;
        pthread_mutex_unlock(&thread->shared->lock);
        append(request, "LPOP", "groups", "3");
        break;
    case RANGE:
        append(request, "LRANGE", "groups", "0", "299");
        break;
    case MOVE:
        append(request, "RENAME", keys[random_below(&thread->random, PLACES)], to);
        break;
    case COUNT_PLACES:
        append(request, "EXISTS", keys[0], keys[1], keys[2]);
        break;
    default:
        append(request, "XLEN", "ring");
        break;
    }
}

/* "2:17:0": writer, number, place in its group. */
static bool parse_element(const struct resp_reply *reply, unsigned *writer, uint64_t *number,
                          unsigned *place)
{
    char text[48];
    if (reply->type != '$' || reply->text.size >= sizeof(text))
        return false;
    memcpy(text, reply->text.data, reply->text.size);
    text[reply->text.size] = 0;
    return sscanf(text, "%u:%" SCNu64 ":%u", writer, number, place) == 3 &&
           *writer < SHARED_WRITERS;
}

/* `each` gets every group; false: an element is out of place. */
static bool each_group(struct stress_shared *shared, const struct resp_reply *reply,
                       void (*each)(struct stress_shared *shared, unsigned writer, uint64_t number))
{
    if (reply->count % 3 != 0)
        return false;
    for (size_t i = 0; i < reply->count; i += 3) {
        unsigned writer = 0, place, other_writer;
        uint64_t number = 0, other_number;
        if (!parse_element(&reply->children[i], &writer, &number, &place) || place != 0)
            return false;
        for (unsigned j = 1; j < 3; j++)
            if (!parse_element(&reply->children[i + j], &other_writer, &other_number, &place) ||
                other_writer != writer || other_number != number || place != j)
                return false;
        if (each)
            each(shared, writer, number);
    }
    return true;
}

static void pop_group(struct stress_shared *shared, unsigned writer, uint64_t number)
{
    pthread_mutex_lock(&shared->lock);
    struct buffer *states = &shared->groups[writer];
    bool is_fine = number < states->size && states->data[number] != GROUP_POPPED;
    if (is_fine)
        states->data[number] = GROUP_POPPED;
    shared->groups_popped++;
    pthread_mutex_unlock(&shared->lock);
    if (!is_fine)
        fail(shared, "group %" PRIu64 " of writer %u was popped twice", number, writer);
}

static void take_reply(struct shared_thread *thread, const struct step *step,
                       const struct resp_reply *reply)
{
    struct stress_shared *shared = thread->shared;
    bool is_fine = false;
    switch (step->action) {
    case ADD_STREAM:
    case ADD_LOG:
    case ADD_RING:
        is_fine = reply->type == '$';
        pthread_mutex_lock(&shared->lock);
        if (step->action == ADD_RING)
            shared->ring[thread->id].acked = step->number;
        else
            shared->stream[thread->id].acked = step->number;
        pthread_mutex_unlock(&shared->lock);
        break;
    case PUSH:
        is_fine = reply->type == ':' && reply->integer % 3 == 0;
        pthread_mutex_lock(&shared->lock);
        if (shared->groups[thread->id].data[step->number] == GROUP_SENT)
            shared->groups[thread->id].data[step->number] = GROUP_PUSHED;
        pthread_mutex_unlock(&shared->lock);
        break;
    case POP:
        is_fine = reply->type == '1' || reply->type == '_' || reply->type == '0' ||
                  (reply->count == 3 && each_group(shared, reply, pop_group));
        pthread_mutex_lock(&shared->lock);
        shared->pops_in_flight--;
        pthread_mutex_unlock(&shared->lock);
        break;
    case RANGE:
        is_fine = reply->type == '*' && each_group(shared, reply, NULL);
        break;
    case MOVE:
        is_fine = resp_reply_is(reply, "+OK") || resp_reply_is(reply, "-ERR no such key");
        break;
    case COUNT_PLACES:
        is_fine = resp_reply_is(reply, ":1");
        break;
    default:
        is_fine = reply->type == ':' && reply->integer <= RING_LENGTH_MAX;
        break;
    }
    if (!is_fine) {
        static const char *const names[ACTIONS] = {
            "XADD shared",   "XADD ring", "LOG.WRITE shared",  "RPUSH",    "LPOP",
            "LRANGE groups", "RENAME",    "EXISTS of a token", "XLEN ring"};
        fail_with(shared, names[step->action], reply);
    }
}

/* ---- The pair -------------------------------------------------------------------------------- */

static uint64_t number_of_reply(const struct resp_reply *reply)
{
    uint64_t number = 0;
    for (size_t i = 0; i < reply->text.size; i++)
        number = number * 10 + (reply->text.data[i] - '0');
    return number;
}

/* Both numbers, equal. */
static bool read_pair(struct stress_shared *shared, struct resp_client *connection,
                      uint64_t *number)
{
    struct resp_reply reply;
    bool has_come = resp_client_call(connection, &reply, "MGET", "pair:0", "pair:1");
    bool is_fine = has_come && reply.count == 2 &&
                   number_of_reply(&reply.children[0]) == number_of_reply(&reply.children[1]);
    if (is_fine)
        *number = number_of_reply(&reply.children[0]);
    else if (has_come)
        fail_with(shared, "half a transaction is seen", &reply);
    resp_reply_release(&reply);
    return is_fine;
}

static void note_raise(struct stress_shared *shared, uint64_t number, bool was_raised)
{
    pthread_mutex_lock(&shared->lock);
    shared->raises_in_flight--;
    shared->raises += was_raised;
    shared->raises_in_vain += !was_raised;
    if (was_raised && number > shared->pair_acked)
        shared->pair_acked = number;
    pthread_mutex_unlock(&shared->lock);
}

static bool execute_raise(struct stress_shared *shared, struct resp_client *connection,
                          uint64_t number)
{
    struct resp_reply reply;
    char text[24], shown[48];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    snprintf(shown, sizeof(shown), "[:%" PRIu64 ", +OK]", number);
    bool is_fine = true;
    const char *const lines[][4] = {
        {"MULTI", NULL}, {"INCR", "pair:0", NULL}, {"SET", "pair:1", text, NULL}};
    for (size_t i = 0; i < 3 && is_fine; i++) {
        is_fine = resp_client_call_texts(connection, &reply, lines[i]);
        resp_reply_release(&reply);
    }
    if (!is_fine)
        return false;
    pthread_mutex_lock(&shared->lock);
    shared->raises_in_flight++;
    pthread_mutex_unlock(&shared->lock);
    if (!resp_client_call(connection, &reply, "EXEC"))
        return false;
    bool was_raised = resp_reply_is(&reply, shown);
    bool was_stopped = reply.type == '1' || reply.type == '_';
    if (was_raised || was_stopped)
        note_raise(shared, number, was_raised);
    else
        fail_with(shared, "WATCH has not seen another's change", &reply);
    resp_reply_release(&reply);
    return was_raised || was_stopped;
}

/* Raises the pair's number by one unless another writer does so meanwhile. */
static bool raise_pair(struct stress_shared *shared, struct resp_client *connection)
{
    struct resp_reply reply;
    uint64_t number;
    bool is_fine = resp_client_call(connection, &reply, "WATCH", "pair:0", "pair:1");
    resp_reply_release(&reply);
    return is_fine && read_pair(shared, connection, &number) &&
           execute_raise(shared, connection, number + 1);
}

static bool check_pair(struct stress_shared *shared, struct resp_client *connection)
{
    uint64_t number = 0;
    bool is_fine = read_pair(shared, connection, &number) && number >= shared->pair_acked &&
                   number <= shared->pair_acked + shared->raises_in_flight;
    if (!is_fine)
        fail(shared, "the pair's number is %" PRIu64 ", acknowledged %" PRIu64 ", under way %u",
             number, shared->pair_acked, shared->raises_in_flight);
    shared->pair_acked = number;
    shared->raises_in_flight = 0;
    return is_fine;
}

/* ---- Batches --------------------------------------------------------------------------------- */

/* The connection broke; a failure unless the server was to end. */
static bool lost(struct stress_shared *shared)
{
    if (!atomic_load(&shared->life->is_ending))
        fail(shared, "the connection is lost, or there was no reply in time");
    return false;
}

static bool run_batch(struct shared_thread *thread, struct resp_client *connection)
{
    static const enum action choices[] = {
        ADD_STREAM, ADD_STREAM, ADD_LOG, ADD_RING, ADD_RING, PUSH,         PUSH,        POP,
        POP,        RANGE,      MOVE,    MOVE,     LENGTH,   COUNT_PLACES, COUNT_PLACES};
    struct step steps[PIPELINE_MAX];
    struct buffer request = {0};
    size_t count = 1 + random_below(&thread->random, PIPELINE_MAX), answered = 0;
    for (size_t i = 0; i < count; i++) {
        steps[i].action =
            choices[random_below(&thread->random, sizeof(choices) / sizeof(*choices))];
        append_step(thread, &steps[i], &request);
    }
    bool is_fine = resp_client_send(connection, buffer_slice(&request));
    buffer_release(&request);
    for (; is_fine && answered < count; answered++) {
        struct resp_reply reply = {0};
        is_fine = resp_client_read(connection, &reply);
        if (!is_fine)
            break;
        take_reply(thread, &steps[answered], &reply);
        resp_reply_release(&reply);
    }
    pthread_mutex_lock(&thread->shared->lock);
    thread->shared->operations += answered;
    bool has_failed = thread->shared->has_failed;
    pthread_mutex_unlock(&thread->shared->lock);
    if (is_fine && random_below(&thread->random, 4) == 0)
        is_fine = raise_pair(thread->shared, connection);
    if (!is_fine)
        return lost(thread->shared);
    return !has_failed;
}

void *stress_shared_write(void *context)
{
    struct shared_thread *thread = context;
    struct resp_client connection;
    bool resp3 = random_below(&thread->random, 2);
    if (!stress_connect(thread->shared->life, false, resp3, &connection)) {
        (void)lost(thread->shared); /* says so */
        return NULL;
    }
    while (!atomic_load(&thread->shared->life->must_stop) && run_batch(thread, &connection))
        ;
    resp_client_close(&connection);
    return NULL;
}

/* ---- Entries --------------------------------------------------------------------------------- */

static struct slice field_of(const struct resp_reply *entry, const char *name)
{
    const struct resp_reply *fields = entry->count == 2 ? &entry->children[1] : entry;
    for (size_t i = 0; i + 1 < fields->count; i += 2)
        if (slice_equal(buffer_slice(&fields->children[i].text), slice_from(name)))
            return buffer_slice(&fields->children[i + 1].text);
    return slice_make(NULL, 0);
}

static uint64_t number_of(struct slice text)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++)
        number = number * 10 + (text.data[i] - '0');
    return number;
}

/* Writer and number of an entry that follows *last; moves *last. false: it is damaged or out of
 * order. */
static bool take_entry(const struct resp_reply *entry, struct model_id *last, unsigned *writer,
                       uint64_t *number)
{
    struct model_id id;
    if (entry->count != 2 || !model_id_parse(buffer_slice(&entry->children[0].text), &id) ||
        model_id_compare(id, *last) <= 0)
        return false;
    *last = id;
    *writer = (unsigned)number_of(field_of(entry, "w"));
    *number = number_of(field_of(entry, "n"));
    struct slice message = field_of(entry, "message");
    if (!message.data)
        message = field_of(entry, "v");
    struct buffer value = {0};
    value_append(&value, *number);
    bool is_fine = *writer < SHARED_WRITERS && slice_equal(message, buffer_slice(&value));
    buffer_release(&value);
    return is_fine;
}

/* ---- Readers --------------------------------------------------------------------------------- */

static bool take_page(struct shared_thread *thread, const struct resp_reply *reply)
{
    struct stress_shared *shared = thread->shared;
    if (reply->count == 0)
        return true; /* time was over */
    const struct resp_reply *entries =
        reply->type == '%' ? &reply->children[1] : &reply->children[0].children[1];
    struct model_id last = {0};
    (void)model_id_parse(slice_from(thread->last_id), &last); /* ours */
    for (size_t i = 0; i < entries->count; i++) {
        unsigned writer;
        uint64_t number;
        if (!take_entry(&entries->children[i], &last, &writer, &number) ||
            number != thread->last_number[writer] + 1) {
            fail_with(shared, "XREAD shows an entry twice, late, or not", &entries->children[i]);
            return false;
        }
        thread->last_number[writer] = number;
        pthread_mutex_lock(&shared->lock);
        if (number > shared->stream[writer].seen)
            shared->stream[writer].seen = number;
        shared->entries_read++;
        pthread_mutex_unlock(&shared->lock);
    }
    snprintf(thread->last_id, sizeof(thread->last_id), "%" PRIu64 "-%" PRIu64, last.ms, last.seq);
    return true;
}

void *stress_shared_read(void *context)
{
    struct shared_thread *thread = context;
    struct resp_client connection;
    bool is_fine = stress_connect(thread->shared->life, false, thread->id % 2, &connection);
    if (!is_fine)
        (void)lost(thread->shared); /* says so */
    while (is_fine && !atomic_load(&thread->shared->life->must_stop)) {
        struct resp_reply reply;
        is_fine = resp_client_call(&connection, &reply, "XREAD", "COUNT", "64", "BLOCK", "50",
                                   "STREAMS", "shared", thread->last_id);
        is_fine = is_fine ? take_page(thread, &reply) : lost(thread->shared);
        resp_reply_release(&reply);
    }
    if (connection.socket >= 0)
        resp_client_close(&connection);
    return NULL;
}

/* ---- After a restart ------------------------------------------------------------------------- */

/* All entries of a stream; found[] is each writer's last number. `first`: numbers begin there, or,
 * NULL, anywhere. */
static bool read_stream(struct stress_shared *shared, struct resp_client *connection,
                        const char *key, const uint64_t *first, uint64_t *found)
{
    char from[56] = "-";
    struct model_id last = {0};
    bool any[SHARED_WRITERS] = {false};
    for (unsigned w = 0; w < SHARED_WRITERS; w++)
        found[w] = first ? first[w] : 0;
    for (;;) {
        struct resp_reply page;
        bool is_fine =
            resp_client_call(connection, &page, "XRANGE", key, from, "+", "COUNT", "500") &&
            page.type == '*';
        size_t count = page.count;
        if (!is_fine)
            fail_with(shared, key, &page);
        for (size_t i = 0; is_fine && i < count; i++) {
            unsigned writer;
            uint64_t number;
            is_fine = take_entry(&page.children[i], &last, &writer, &number) &&
                      ((!first && !any[writer]) || number == found[writer] + 1);
            if (!is_fine) {
                fail_with(shared, key, &page.children[i]);
                break;
            }
            any[writer] = true;
            found[writer] = number;
        }
        resp_reply_release(&page);
        if (!is_fine || count < PAGE)
            return is_fine;
        snprintf(from, sizeof(from), "(%" PRIu64 "-%" PRIu64, last.ms, last.seq);
    }
}

static bool check_sequence(struct stress_shared *shared, const char *key, unsigned writer,
                           struct shared_sequence *sequence, uint64_t found)
{
    bool is_fine = found >= sequence->acked && found >= sequence->seen && found <= sequence->sent;
    if (!is_fine)
        fail(shared,
             "%s: writer %u: found up to %" PRIu64 "; acknowledged %" PRIu64 ", seen %" PRIu64
             ", sent %" PRIu64,
             key, writer, found, sequence->acked, sequence->seen, sequence->sent);
    sequence->acked = sequence->sent = found;
    return is_fine;
}

static bool check_streams(struct stress_shared *shared, struct resp_client *connection)
{
    uint64_t first[SHARED_WRITERS], found[SHARED_WRITERS];
    for (unsigned w = 0; w < SHARED_WRITERS; w++)
        first[w] = shared->stream[w].base;
    bool is_fine = read_stream(shared, connection, "shared", first, found);
    for (unsigned w = 0; is_fine && w < SHARED_WRITERS; w++)
        is_fine = check_sequence(shared, "shared", w, &shared->stream[w], found[w]);
    is_fine = is_fine && read_stream(shared, connection, "ring", NULL, found);
    for (unsigned w = 0; is_fine && w < SHARED_WRITERS; w++) {
        struct shared_sequence *sequence = &shared->ring[w];
        if (found[w]) /* else all of them may be trimmed */
            is_fine = check_sequence(shared, "ring", w, sequence, found[w]);
        else
            sequence->acked = sequence->sent;
    }
    return is_fine;
}

enum { GROUP_FOUND = 128 };

static void find_group(struct stress_shared *shared, unsigned writer, uint64_t number)
{
    struct buffer *states = &shared->groups[writer];
    bool is_fine = number < states->size &&
                   (states->data[number] == GROUP_SENT || states->data[number] == GROUP_PUSHED);
    if (is_fine)
        states->data[number] = GROUP_FOUND;
    else
        fail(shared, "group %" PRIu64 " of writer %u is there, and must not be", number, writer);
}

static bool check_groups(struct stress_shared *shared, struct resp_client *connection)
{
    struct resp_reply reply;
    unsigned missing = 0;
    bool is_fine = resp_client_call(connection, &reply, "LRANGE", "groups", "0", "-1") &&
                   each_group(shared, &reply, find_group);
    if (!is_fine)
        fail_with(shared, "groups", &reply);
    resp_reply_release(&reply);
    for (unsigned w = 0; w < SHARED_WRITERS; w++) {
        for (size_t i = 0; i < shared->groups[w].size; i++) {
            uint8_t *state = &shared->groups[w].data[i];
            missing += *state == GROUP_PUSHED;
            *state = *state == GROUP_FOUND ? GROUP_PUSHED : GROUP_POPPED;
        }
    }
    if (missing > shared->pops_in_flight) {
        fail(shared, "%u groups are lost, %u pops were under way", missing, shared->pops_in_flight);
        is_fine = false;
    }
    shared->pops_in_flight = 0;
    return is_fine && !shared->has_failed;
}

static bool check_tokens(struct stress_shared *shared, struct resp_client *connection)
{
    bool is_fine = true;
    for (unsigned token = 0; token < TOKENS; token++) {
        unsigned places = 0;
        char key[32], value[32];
        snprintf(value, sizeof(value), "\"token%u\"", token);
        for (unsigned place = 0; place < PLACES; place++) {
            struct resp_reply reply;
            snprintf(key, sizeof(key), "t:%u:%u", token, place);
            places +=
                resp_client_call(connection, &reply, "GET", key) && resp_reply_is(&reply, value);
            resp_reply_release(&reply);
        }
        if (places != 1)
            fail(shared, "token %u is at %u places", token, places);
        is_fine &= places == 1;
    }
    return is_fine;
}

bool stress_shared_check(struct stress_shared *shared)
{
    struct resp_client connection;
    if (!stress_connect(shared->life, false, false, &connection)) {
        fail(shared, "no connection");
        return false;
    }
    bool is_fine = check_streams(shared, &connection) && check_groups(shared, &connection) &&
                   check_tokens(shared, &connection) && check_pair(shared, &connection);
    resp_client_close(&connection);
    return is_fine;
}
