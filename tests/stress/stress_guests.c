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
    {"touch", {"TOUCH", "shared", "none"}},
    {"expiretime", {"EXPIRETIME", "shared"}},
    {"pexpiretime", {"PEXPIRETIME", "shared"}},
    {"randomkey", {"RANDOMKEY"}},
    {"object|encoding", {"OBJECT", "ENCODING", "shared"}},
    {"renamenx", {"RENAMENX", "none", "shared"}, .may_fail = true},
    {"move", {"MOVE", "none", "1"}},
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

static void fail(struct stress_guests *guests, const char *const *words,
                 const struct resp_reply *reply)
{
    guests->has_failed = true;
    buffer_append_text(&guests->failure, "administrator:");
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
            fail(guests, call->words, &reply);
        return false;
    }
    /* A server that stops reloads no more. */
    bool is_fine = reply.type != '-' || call->may_fail || atomic_load(&guests->life->is_ending);
    if (!is_fine)
        fail(guests, call->words, &reply);
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
