/* SPDX-License-Identifier: MIT */
#include "stress/stress_guests.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WORDS_MAX = 8, PAUSE_US_MAX = 20000, PARTIAL_BYTES_MAX = 64 };

struct call {
    const char *name; /* as COMMAND LIST has it */
    const char *words[WORDS_MAX];
    bool may_fail; /* an error reply is as good */
};

static const struct call calls[] = {
    {"info", {"INFO"}},
    {"client|list", {"CLIENT", "LIST"}},
    {"config|set", {"CONFIG", "SET", "appendfsync", "always"}},
    {"info", {"INFO", "everything"}},
    {"debug", {"DEBUG", "INVARIANTS"}},
    {"config|get", {"CONFIG", "GET", "*"}},
    {"debug", {"DEBUG", "COMPACT"}},
    {"config|set", {"CONFIG", "SET", "appendfsync", "everysec"}},
    {"client|id", {"CLIENT", "ID"}},
    {"info", {"INFO", "cordwood"}},
    {"client|info", {"CLIENT", "INFO"}},
    {"client|setname", {"CLIENT", "SETNAME", "administrator"}},
    {"client|getname", {"CLIENT", "GETNAME"}},
    {"client|setinfo", {"CLIENT", "SETINFO", "LIB-NAME", "stress"}},
    {"client|help", {"CLIENT", "HELP"}},
    {"client|list", {"CLIENT", "LIST", "TYPE", "normal"}},
    {"info", {"INFO", "cordwood"}},
    {"debug", {"DEBUG", "RELOAD"}},
    {"config|set", {"CONFIG", "SET", "maxclients", "5000", "timeout", "300"}},
    {"config|set", {"CONFIG", "SET", "proto-max-bulk-len", "64mb", "log-max-message", "2mb"}},
    {"info", {"INFO", "cordwood"}},
    {"config|help", {"CONFIG", "HELP"}},
    {"config|resetstat", {"CONFIG", "RESETSTAT"}},
    {"config|set", {"CONFIG", "SET", "appendfsync", "no"}},
    {"debug", {"DEBUG", "SET-ACTIVE-EXPIRE", "0"}},
    {"debug", {"DEBUG", "SLEEP", "0.02"}},
    {"debug", {"DEBUG", "SET-ACTIVE-EXPIRE", "1"}},
    {"debug", {"DEBUG", "HELP"}},
    {"info", {"INFO", "cordwood"}},
    {"command", {"COMMAND"}},
    {"command|count", {"COMMAND", "COUNT"}},
    {"command|docs", {"COMMAND", "DOCS"}},
    {"command|getkeys", {"COMMAND", "GETKEYS", "SET", "k", "v"}},
    {"command|help", {"COMMAND", "HELP"}},
    {"command|info", {"COMMAND", "INFO", "xadd"}},
    {"command|list", {"COMMAND", "LIST"}},
    {"info", {"INFO", "cordwood"}},
    {"echo", {"ECHO", "hello"}},
    {"ping", {"PING"}},
    {"time", {"TIME"}},
    {"hello", {"HELLO", "2"}},
    {"auth", {"AUTH", "wrong"}, .may_fail = true},
    {"xinfo|help", {"XINFO", "HELP"}},
    {"config|set", {"CONFIG", "SET", "log-format", "json", "loglevel", "verbose"}},
    {"keys", {"KEYS", "t:*"}},
    {"randomkey", {"RANDOMKEY"}},
    {"object|encoding", {"OBJECT", "ENCODING", "shared"}},
    {"memory|usage", {"MEMORY", "USAGE", "shared"}},
    {"memory|usage", {"MEMORY", "USAGE", "groups", "SAMPLES", "0"}},
    {"memory|stats", {"MEMORY", "STATS"}},
    {"memory|doctor", {"MEMORY", "DOCTOR"}},
    {"memory|malloc-stats", {"MEMORY", "MALLOC-STATS"}},
    {"memory|purge", {"MEMORY", "PURGE"}},
    {"memory|help", {"MEMORY", "HELP"}},
    {"bgsave", {"BGSAVE"}, .may_fail = true}, /* one may be running */
    {"lastsave", {"LASTSAVE"}},
    {"save", {"SAVE"}, .may_fail = true},
    {"role", {"ROLE"}},
    {"wait", {"WAIT", "0", "0"}},
    {"waitaof", {"WAITAOF", "0", "0", "0"}},
    {"replicaof", {"REPLICAOF", "NO", "ONE"}},
    {"slaveof", {"SLAVEOF", "NO", "ONE"}},
    {"config|set", {"CONFIG", "SET", "notify-keyspace-events", "KEA"}},
    {"slowlog|get", {"SLOWLOG", "GET", "100"}},
    {"slowlog|len", {"SLOWLOG", "LEN"}},
    {"config|set",
     {"CONFIG", "SET", "slowlog-log-slower-than", "0", "latency-monitor-threshold", "1"}},
    {"latency|latest", {"LATENCY", "LATEST"}},
    {"latency|history", {"LATENCY", "HISTORY", "command"}},
    {"latency|graph", {"LATENCY", "GRAPH", "command"}, .may_fail = true}, /* no sample */
    {"latency|histogram", {"LATENCY", "HISTOGRAM"}},
    {"latency|doctor", {"LATENCY", "DOCTOR"}},
    {"cluster|info", {"CLUSTER", "INFO"}, .may_fail = true}, /* no cluster */
    {"asking", {"ASKING"}, .may_fail = true},
    {"readonly", {"READONLY"}, .may_fail = true},
    {"readwrite", {"READWRITE"}, .may_fail = true},
    {"function|list", {"FUNCTION", "LIST"}},
    {"lcs", {"LCS", "visitor", "none", "IDX"}},
    {"bitfield_ro", {"BITFIELD_RO", "visitor", "GET", "u8", "0"}},
    {"script|exists", {"SCRIPT", "EXISTS", "0"}},
    {"module|list", {"MODULE", "LIST"}},
    {"lolwut", {"LOLWUT"}},
    {"slowlog|reset", {"SLOWLOG", "RESET"}},
    {"latency|reset", {"LATENCY", "RESET"}},
    {"bgrewriteaof", {"BGREWRITEAOF"}, .may_fail = true},
    {"config|set",
     {"CONFIG", "SET", "slowlog-log-slower-than", "10000", "latency-monitor-threshold", "0"}},
    {"config|set", {"CONFIG", "SET", "notify-keyspace-events", ""}},
    {"client|tracking", {"CLIENT", "TRACKING", "ON", "BCAST"}, .may_fail = true}, /* RESP2 */
    {"client|trackinginfo", {"CLIENT", "TRACKINGINFO"}},
    {"config|set", {"CONFIG", "SET", "log-format", "text", "loglevel", "notice"}},
    {"info", {"INFO", "cordwood"}},
    {"debug", {"DEBUG", "LOADAOF"}},
    {"client|list", {"CLIENT", "LIST", "ID", "1", "2", "3"}},
};
enum { CALLS = sizeof(calls) / sizeof(*calls) };

static void pause_us(uint64_t us)
{
    struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000 * 1000)};
    nanosleep(&time, NULL);
}

uint64_t info_number(const struct buffer *info, const char *name)
{
    const uint8_t *at = info->data, *end = info->data + info->size;
    size_t size = strlen(name);
    while (at && (size_t)(end - at) > size + 1) {
        if (memcmp(at, name, size) == 0 && at[size] == ':')
            return strtoull((const char *)at + size + 1, NULL, 10); /* a line end follows */
        at = memchr(at, '\n', (size_t)(end - at));
        at += at != NULL;
    }
    return 0;
}

static void fail(struct stress_guests *guests, const char *who, const char *const *words,
                 const struct resp_reply *reply)
{
    guests->has_failed = true;
    buffer_printf(&guests->failure, "%s:", who);
    for (size_t i = 0; words[i]; i++)
        buffer_printf(&guests->failure, " %s", words[i]);
    buffer_append_text(&guests->failure, ": ");
    resp_reply_show(reply, &guests->failure);
    buffer_append_text(&guests->failure, "\n");
    atomic_store(&guests->life->has_failed, true);
}

static void note_counter(const struct buffer *info, const char *name, uint64_t *last,
                         uint64_t *total)
{
    uint64_t now = info_number(info, name);
    *total += now >= *last ? now - *last : now;
    *last = now;
}

static void note_info(struct stress_guests *guests, const struct buffer *info)
{
    note_counter(info, "flush_count", &guests->last_flushes, &guests->flushes);
    note_counter(info, "compaction_count", &guests->last_compactions, &guests->compactions);
    note_counter(info, "block_reads", &guests->last_block_reads, &guests->block_reads);
}

static bool administrate_once(struct stress_guests *guests, struct resp_client *connection)
{
    struct resp_reply reply;
    const struct call *call = &calls[guests->next];
    if (!resp_client_call_texts(connection, &reply, call->words)) {
        if (!atomic_load(&guests->life->is_ending))
            fail(guests, "administrator", call->words, &reply);
        return false;
    }
    /* A server that stops reloads no more. */
    bool is_fine = reply.type != '-' || call->may_fail || atomic_load(&guests->life->is_ending);
    if (!is_fine)
        fail(guests, "administrator", call->words, &reply);
    else if (strcmp(call->name, "info") == 0)
        note_info(guests, &reply.text);
    resp_reply_release(&reply);
    guests->commands++;
    guests->next = (guests->next + 1) % CALLS;
    guests->rounds += guests->next == 0;
    return is_fine;
}

void *stress_administrate(void *context)
{
    struct stress_guests *guests = context;
    struct resp_client connection;
    guests->last_flushes = guests->last_compactions = guests->last_block_reads = 0;
    if (!stress_connect(guests->life, false, false, &connection))
        return NULL; /* others tell when that is a failure */
    while (!atomic_load(&guests->life->must_stop) && administrate_once(guests, &connection))
        pause_us(random_below(&guests->random, PAUSE_US_MAX));
    resp_client_close(&connection);
    return NULL;
}

/* ---- Talks ----------------------------------------------------------------------------------- */

/* A visitor who listens, over RESP3, and another one, over RESP2: what each says, and what must come.
 * No words: the next message. No reply: anything. */
static const struct line {
    enum { LISTENER, SPEAKER } who;
    const char *words[WORDS_MAX];
    const char *reply;
} talk[] = {
    {LISTENER, {"SUBSCRIBE", "news", "other"}, ">[\"subscribe\", \"news\", :1]"},
    {LISTENER, {NULL}, ">[\"subscribe\", \"other\", :2]"},
    {SPEAKER, {"PUBSUB", "NUMSUB", "other"}, "[\"other\", :1]"},
    {SPEAKER, {"PUBLISH", "news", "first"}, ":1"},
    {LISTENER, {NULL}, ">[\"message\", \"news\", \"first\"]"},
    {LISTENER, {"PSUBSCRIBE", "n[aeiou]ws"}, ">[\"psubscribe\", \"n[aeiou]ws\", :3]"},
    {SPEAKER, {"PUBLISH", "news", "second"}, ":2"},
    {LISTENER, {NULL}, ">[\"message\", \"news\", \"second\"]"},
    {LISTENER, {NULL}, ">[\"pmessage\", \"n[aeiou]ws\", \"news\", \"second\"]"},
    {LISTENER, {"PUBLISH", "other", "to itself"}, ">[\"message\", \"other\", \"to itself\"]"},
    {LISTENER, {NULL}, ":1"},
    {LISTENER, {"SSUBSCRIBE", "part"}, ">[\"ssubscribe\", \"part\", :1]"},
    {SPEAKER, {"SPUBLISH", "part", "third"}, ":1"},
    {LISTENER, {NULL}, ">[\"smessage\", \"part\", \"third\"]"},
    {LISTENER, {"SUNSUBSCRIBE", "part"}, ">[\"sunsubscribe\", \"part\", :0]"},
    {LISTENER, {"UNSUBSCRIBE", "news"}, ">[\"unsubscribe\", \"news\", :2]"},
    {SPEAKER, {"PUBLISH", "news", "fourth"}, ":1"},
    {LISTENER, {NULL}, ">[\"pmessage\", \"n[aeiou]ws\", \"news\", \"fourth\"]"},
    {LISTENER, {"PUNSUBSCRIBE"}, ">[\"punsubscribe\", \"n[aeiou]ws\", :1]"},
    {SPEAKER, {"PUBLISH", "news", "fifth"}, ":0"},
    {LISTENER, {"PING"}, "+PONG"},
    {SPEAKER, {"SUBSCRIBE", "other"}, "[\"subscribe\", \"other\", :1]"},
    {LISTENER, {"PUBLISH", "other", "sixth"}, ">[\"message\", \"other\", \"sixth\"]"},
    {SPEAKER, {NULL}, "[\"message\", \"other\", \"sixth\"]"},
    {LISTENER, {NULL}, ":2"},
    {SPEAKER, {"UNSUBSCRIBE"}, "[\"unsubscribe\", \"other\", :0]"},
    /* A connection's end is heard of later: it is to leave nothing that the next talk would count. */
    {LISTENER, {"UNSUBSCRIBE"}, ">[\"unsubscribe\", \"other\", :0]"},
    {SPEAKER, {"MONITOR"}, "+OK"},
    {LISTENER, {"PING"}, "+PONG"},
    {SPEAKER, {NULL}, NULL}, /* what somebody asked */
};
enum { LINES = sizeof(talk) / sizeof(*talk) };

static bool say(struct resp_client *connections, const struct line *line, struct resp_reply *reply)
{
    struct resp_client *connection = &connections[line->who];
    *reply = (struct resp_reply){0};
    bool has_come = line->words[0] ? resp_client_call_texts(connection, reply, line->words)
                                   : resp_client_read(connection, reply);
    return has_come && (!line->reply || resp_reply_is(reply, line->reply));
}

/* A server that ends may break off anywhere. */
static void talk_once(struct stress_guests *guests)
{
    struct resp_client connections[2] = {{.socket = -1}, {.socket = -1}};
    bool is_fine = stress_connect(guests->life, false, true, &connections[LISTENER]) &&
                   stress_connect(guests->life, false, false, &connections[SPEAKER]);
    for (size_t i = 0; is_fine && i < LINES; i++) {
        struct resp_reply reply;
        is_fine = say(connections, &talk[i], &reply);
        if (!is_fine && !atomic_load(&guests->life->is_ending))
            fail(guests, talk[i].reply, talk[i].words, &reply);
        resp_reply_release(&reply);
    }
    guests->talks += is_fine;
    for (size_t i = 0; i < 2; i++)
        if (connections[i].socket >= 0)
            resp_client_close(&connections[i]);
}

/* ---- Visitors -------------------------------------------------------------------------------- */

static const char *const phrases[] = {
    "*3\r\n$3\r\nSET\r\n$7\r\nvisitor\r\n$1000000\r\nonly a part",
    "*1000000\r\n$4\r\nEXISTS",
    "PING\r\nPING\r\nPIN",
    "XREAD BLOCK 0 STREAMS nothing $\r\n",
    "LRANGE groups 0 -1\r\nXRANGE shared - +\r\nXRANGE shared - +\r\n",
    "RESET\r\nQUIT\r\n",
    "*1\r\n$-7\r\n",
    "QUIT\r\n",
    "DEBUG SLEEP 0.05\r\nPING\r\n",
    "{\"action\":\"read\",\"log\":\"shared\"}\n{\"action\":\"wri",
    "POST / HTTP/1.1\r\n\r\n",
    "HELLO 3\r\nCLIENT LIST\r\n",
    "HELLO 3\r\nCLIENT TRACKING ON BCAST\r\nGET visitor\r\n",
    "MULTI\r\nSET visitor half\r\nXADD",
    "WATCH shared groups\r\nMULTI\r\nLRANGE groups 0 -1\r\nEXEC\r\n",
    "PSUBSCRIBE __key*\r\nSUBSCRIBE rumours\r\nSSUBSCRIBE piece\r\n", /* nothing that talks are about */
    "MONITOR\r\n",
    "BLPOP nothing 0\r\n",
    "HELLO 3\r\nBLMOVE nothing visitor LEFT RIGHT 0\r\nPING\r\n",
    "MEMORY USAGE ring\r\nMEMORY STATS\r\nDUMP shared\r\nSORT groups ALPHA\r\n",
};

static void visit(struct stress_guests *guests)
{
    struct resp_client connections[4];
    size_t count = 1 + random_below(&guests->random, 4);
    for (size_t i = 0; i < count; i++) {
        bool json = random_below(&guests->random, 4) == 0;
        bool is_open = resp_client_open_unix(&connections[i], json ? guests->life->json_socket
                                                                   : guests->life->socket);
        if (!is_open)
            connections[i].socket = -1;
        struct slice phrase =
            slice_from(phrases[random_below(&guests->random, sizeof(phrases) / sizeof(*phrases))]);
        if (is_open && random_below(&guests->random, 8))
            (void)!send(connections[i].socket, phrase.data, phrase.size,
                        MSG_NOSIGNAL | MSG_DONTWAIT); /* a guest does not care */
    }
    pause_us(random_below(&guests->random, PAUSE_US_MAX));
    for (size_t i = 0; i < count; i++)
        if (connections[i].socket >= 0)
            resp_client_close(&connections[i]);
    guests->visits += count;
}

/* The system forgets what it keeps of the tables, so that reads must wait for the disk. */
static void make_tables_cold(const char *directory)
{
    DIR *files = opendir(directory);
    for (struct dirent *entry; files && (entry = readdir(files));) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        int file = strstr(entry->d_name, ".cwt") ? open(path, O_RDONLY) : -1;
        if (file < 0)
            continue;
        (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED); /* a wish */
        close(file);
    }
    if (files)
        closedir(files);
}

void *stress_visit(void *context)
{
    struct stress_guests *guests = context;
    while (!atomic_load(&guests->life->must_stop) && !atomic_load(&guests->life->is_ending)) {
        visit(guests);
        talk_once(guests);
        make_tables_cold(guests->life->data);
    }
    return NULL;
}

/* ---- Coverage -------------------------------------------------------------------------------- */

static bool is_covered(struct stress_life *life, const char *const *others, bool must_be_sent,
                       const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < CALLS; i++)
        if (strncasecmp(calls[i].name, name, size) == 0 &&
            (calls[i].name[size] == 0 || calls[i].name[size] == '|'))
            return true;
    for (size_t i = 0; i < LINES; i++)
        if (talk[i].words[0] && strcasecmp(talk[i].words[0], name) == 0)
            return true;
    for (int kind = 0; kind < OP_COUNT; kind++) {
        const char *own = operation_name((enum operation_kind)kind);
        if (strncasecmp(own, name, size) == 0 && (own[size] == 0 || own[size] == '|') &&
            (!must_be_sent || atomic_load(&life->sent[kind]) > 0))
            return true;
    }
    for (size_t i = 0; others[i]; i++)
        if (strcasecmp(others[i], name) == 0)
            return true;
    return false;
}

bool stress_covers_all(struct stress_life *life, const char *const *others, bool must_be_sent,
                       struct buffer *missing)
{
    struct resp_client connection;
    struct resp_reply reply = {0};
    bool is_fine = stress_connect(life, false, false, &connection) &&
                   resp_client_call(&connection, &reply, "COMMAND", "LIST") && reply.count > 0;
    for (size_t i = 0; i < reply.count; i++) {
        buffer_append_byte(&reply.children[i].text, 0);
        const char *name = (const char *)reply.children[i].text.data;
        if (is_covered(life, others, must_be_sent, name))
            continue;
        buffer_printf(missing, " %s", name);
        is_fine = false;
    }
    resp_reply_release(&reply);
    resp_client_close(&connection);
    return is_fine;
}
