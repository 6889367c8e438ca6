/* SPDX-License-Identifier: MIT */
/* A server process for tests: our own or redis-server, on unix sockets in a directory of its own,
 * without TCP unless flags ask for it. Functions abort the test program when the server does not do
 * what they promise, and show its log then. */
#ifndef LIB_TEST_SERVER_H
#define LIB_TEST_SERVER_H

#include "lib/resp_client.h"
#include "lib/temp_directory.h"

#include <sys/types.h>

enum test_server_kind { SERVER_CORDWOOD, SERVER_REDIS };

struct test_server {
    enum test_server_kind kind;
    pid_t pid;                            /* 0: not running */
    char directory[TEMP_DIRECTORY_BYTES]; /* holds data/, the sockets and server.log */
    char data[TEMP_DIRECTORY_BYTES + 32];
    char socket[TEMP_DIRECTORY_BYTES + 32];
    char json_socket[TEMP_DIRECTORY_BYTES + 32]; /* cordwood */
    char log[TEMP_DIRECTORY_BYTES + 32];         /* stdout and stderr of all its runs */
};

/* Where our server's program is: CORDWOOD_SERVER=, or that of the variant this test was built in. */
void test_server_find_program(char *path, size_t capacity);
/* true: the program is there. Redis: version 7 or newer. */
bool test_server_available(enum test_server_kind kind);
/* Makes the directory; nothing runs yet. */
void test_server_init(struct test_server *server, enum test_server_kind kind);
/* Checks and kills what runs, and removes the directory. */
void test_server_release(struct test_server *server);

/* Starts it with `flags` ("--name", "value", ..., NULL; or NULL) behind the usual ones and waits
 * until it answers PING. A first word without -- is a configuration file. */
void test_server_start(struct test_server *server, const char *const *flags);
/* Starts it and expects that it ends by itself; returns its exit code (128 + signal). */
int test_server_start_fails(struct test_server *server, const char *const *flags);
/* Without waiting until it is ready; for tests that kill it while it starts. */
void test_server_spawn(struct test_server *server, const char *const *flags);
/* Waits until it answers; false: it has ended. */
bool test_server_wait_ready(struct test_server *server);
void test_server_kill(struct test_server *server); /* SIGKILL, and waits for the end */
int test_server_stop(struct test_server *server);  /* checks; SIGTERM, waits; the exit code */
/* Asks for DEBUG INVARIANTS if it takes connections; aborts with the sentence when one is broken. */
void test_server_check(struct test_server *server);
int test_server_wait(struct test_server *server);  /* for its end, at most a minute */

void test_server_connect(struct test_server *server, struct resp_client *client);
void test_server_connect_json(struct test_server *server, struct resp_client *client);
void test_server_read_log(const struct test_server *server, struct buffer *out);

/* A TCP port that was free a moment ago. */
int test_server_free_port(void);

#endif
