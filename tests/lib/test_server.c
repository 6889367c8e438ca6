/* SPDX-License-Identifier: MIT */
#include "lib/test_server.h"

#include "base/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    FLAGS_MAX = 64,
    READY_MS_MAX = 60000,
    STOP_MS_MAX = 60000,
    RELEASE_MS_MAX = 10000,
    STEP_MS = 2,
    SANITIZER_EXIT_CODE = 77,
};

static _Noreturn void fail(const struct test_server *server, const char *what)
{
    struct buffer log = {0};

    test_server_read_log(server, &log);
    fprintf(stderr, "%s: %s\n%.*s",
            server->kind == SERVER_REDIS ? "redis-server" : "cordwood-server", what, (int)log.size,
            (const char *)log.data);
    if (server->pid > 0)
        kill(server->pid, SIGKILL);
    abort();
}

static void pause_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

/* The test program is build/[variant/]tests/... */
void test_server_find_program(char *path, size_t capacity)
{
    const char *given = getenv("CORDWOOD_SERVER");
    ssize_t size = readlink("/proc/self/exe", path, capacity - 1);

    path[size > 0 ? size : 0] = 0;
    char *tests = strstr(path, "/tests/");
    for (char *next = tests; next; next = strstr(next + 1, "/tests/"))
        tests = next; /* the last one */
    if (given)
        snprintf(path, capacity, "%s", given);
    else if (tests)
        snprintf(tests, capacity - (size_t)(tests - path), "/cordwood-server");
    else
        snprintf(path, capacity, "build/cordwood-server");
}

static bool redis_is_new_enough(void)
{
    FILE *pipe = popen("redis-server --version 2>/dev/null", "r");
    int major = 0;

    if (!pipe)
        return false;
    if (fscanf(pipe, "Redis server v=%d", &major) != 1)
        major = 0;
    pclose(pipe);
    return major >= 7;
}

bool test_server_available(enum test_server_kind kind)
{
    char path[4096];

    if (kind == SERVER_REDIS)
        return redis_is_new_enough();
    test_server_find_program(path, sizeof path);
    return access(path, X_OK) == 0;
}

void test_server_init(struct test_server *server, enum test_server_kind kind)
{
    *server = (struct test_server){.kind = kind};
    temp_directory_make(server->directory);
    snprintf(server->data, sizeof server->data, "%s/data", server->directory);
    snprintf(server->socket, sizeof server->socket, "%s/redis.sock", server->directory);
    snprintf(server->json_socket, sizeof server->json_socket, "%s/json.sock", server->directory);
    snprintf(server->log, sizeof server->log, "%s/server.log", server->directory);
    if (mkdir(server->data, 0755) != 0)
        fail(server, "no data directory");
}

/* In the child; never returns. */
static _Noreturn void execute(const struct test_server *server, const char *const *flags)
{
    char path[4096];
    const char *const usual[] = {"--dir", server->data,   "--port",
                                 "0",     "--unixsocket", server->socket};
    const char *arguments[FLAGS_MAX] = {NULL};
    static const char *const redis_flags[] = {"--save", "", "--appendonly", "yes"};
    size_t count = 1;
    int log = open(server->log, O_WRONLY | O_CREAT | O_APPEND, 0644);

    if (flags && flags[0] && flags[0][0] != '-')
        arguments[count++] = *flags++;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        arguments[count++] = usual[i];
    if (server->kind == SERVER_REDIS) {
        snprintf(path, sizeof path, "redis-server");
        for (size_t i = 0; i < 4; i++)
            arguments[count++] = redis_flags[i];
    } else {
        test_server_find_program(path, sizeof path);
        arguments[count++] = "--json-port";
        arguments[count++] = "0";
        arguments[count++] = "--json-unixsocket";
        arguments[count++] = server->json_socket;
    }
    for (size_t i = 0; flags && flags[i] && count + 1 < FLAGS_MAX; i++)
        arguments[count++] = flags[i];
    arguments[0] = path;
    /* So that leaks at the end tell themselves from an exit code of the server's own. */
    char options[1024];
    const char *given = getenv("ASAN_OPTIONS");
    snprintf(options, sizeof options, "%s:exitcode=%d", given ? given : "", SANITIZER_EXIT_CODE);
    setenv("ASAN_OPTIONS", options, 1);
    if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(126);
    execvp(path, (char *const *)arguments);
    perror(path);
    _exit(127);
}

void test_server_spawn(struct test_server *server, const char *const *flags)
{
    if (server->pid > 0)
        fail(server, "started twice");
    unlink(server->socket);
    unlink(server->json_socket);
    pid_t pid = fork();
    if (pid < 0)
        fail(server, strerror(errno));
    if (pid == 0)
        execute(server, flags);
    server->pid = pid;
}

/* true: it has ended, with this code. */
static bool has_ended(struct test_server *server, int *code)
{
    int status;
    pid_t pid = waitpid(server->pid, &status, WNOHANG);

    if (pid == 0)
        return false;
    server->pid = 0;
    *code = pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

/* Ends it in order, so that sanitizers look for leaks and coverage is counted; one that does not end
 * is killed. */
static void end_in_order(struct test_server *server)
{
    int code = 0;

    kill(server->pid, SIGTERM);
    for (int waited = 0; waited < RELEASE_MS_MAX; waited += STEP_MS) {
        if (has_ended(server, &code)) {
            if (code == SANITIZER_EXIT_CODE)
                fail(server, "a sanitizer's finding at its end");
            return;
        }
        pause_ms(STEP_MS);
    }
    test_server_kill(server);
}

void test_server_release(struct test_server *server)
{
    if (server->pid > 0)
        test_server_check(server);
    if (server->pid > 0 && server->kind == SERVER_CORDWOOD)
        end_in_order(server);
    if (server->pid > 0)
        test_server_kill(server);
    if (server->directory[0])
        temp_directory_remove(server->directory);
    *server = (struct test_server){0};
}

static bool answers_ping(const struct test_server *server)
{
    struct resp_client client;
    struct resp_reply reply = {0};

    if (!resp_client_open_unix(&client, server->socket))
        return false;
    (void)resp_client_call(&client, &reply, "PING"); /* looked at below */
    /* With a password set NOAUTH is as good an answer. */
    bool ready =
        reply.type == '+' ||
        (reply.type == '-' && !slice_starts_with(buffer_slice(&reply.text), slice_from("LOADING")));
    resp_reply_release(&reply);
    resp_client_close(&client);
    return ready;
}

bool test_server_wait_ready(struct test_server *server)
{
    int code;

    for (int waited = 0; waited < READY_MS_MAX; waited += STEP_MS) {
        if (has_ended(server, &code))
            return false;
        if (answers_ping(server))
            return true;
        pause_ms(STEP_MS);
    }
    fail(server, "not ready in time");
}

void test_server_start(struct test_server *server, const char *const *flags)
{
    test_server_spawn(server, flags);
    if (!test_server_wait_ready(server))
        fail(server, "ended while it started");
}

int test_server_wait(struct test_server *server)
{
    int code = 0;

    for (int waited = 0; waited < STOP_MS_MAX; waited += STEP_MS) {
        if (has_ended(server, &code))
            return code;
        pause_ms(STEP_MS);
    }
    fail(server, "does not end");
}

int test_server_start_fails(struct test_server *server, const char *const *flags)
{
    test_server_spawn(server, flags);
    return test_server_wait(server);
}

void test_server_kill(struct test_server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void test_server_check(struct test_server *server)
{
    struct resp_client client;
    struct buffer shown = {0};
    if (server->kind != SERVER_CORDWOOD || !resp_client_open_unix(&client, server->socket))
        return;
    client.timeout_ms = STOP_MS_MAX;
    const char *reply = resp_client_ask(&client, &shown, "DEBUG", "INVARIANTS");
    /* With a password, or while it loads, ends or cannot read, it says something else. */
    if (strstr(reply, status_text(STATUS_CORRUPT)))
        fail(server, reply);
    resp_client_close(&client);
    buffer_release(&shown);
}

int test_server_stop(struct test_server *server)
{
    test_server_check(server);
    kill(server->pid, SIGTERM);
    return test_server_wait(server);
}

void test_server_connect(struct test_server *server, struct resp_client *client)
{
    if (!resp_client_open_unix(client, server->socket))
        fail(server, "takes no connection");
}

void test_server_connect_json(struct test_server *server, struct resp_client *client)
{
    if (!resp_client_open_unix(client, server->json_socket))
        fail(server, "takes no JSON connection");
}

void test_server_read_log(const struct test_server *server, struct buffer *out)
{
    FILE *file = fopen(server->log, "rb");
    char bytes[4096];
    size_t size;

    if (!file)
        return;
    while ((size = fread(bytes, 1, sizeof bytes, file)) > 0)
        buffer_append(out, bytes, size);
    fclose(file);
}

int test_server_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;

    if (probe >= 0 && bind(probe, (struct sockaddr *)&address, size) == 0 &&
        getsockname(probe, (struct sockaddr *)&address, &size) == 0)
        port = ntohs(address.sin_port);
    if (probe >= 0)
        close(probe);
    return port;
}
