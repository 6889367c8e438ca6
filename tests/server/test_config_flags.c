/* SPDX-License-Identifier: MIT */
/* Flags, configuration files, CONFIG GET and SET of a running server. */
#include "lsm/lsm.h"
#include "server/server_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define ask(f, ...) resp_client_ask(&(f)->client, &(f)->shown, __VA_ARGS__)

static void flags_set_what_config_get_shows(void **state)
{
    struct fixture *f = *state;
    start(f, (const char *const[]){"--appendfsync", "always", "--memtable-size", "8mb",
                                   "--databases", "3", "--timeout", "77", NULL});
    assert_string_equal(ask(f, "CONFIG", "GET", "appendfsync"), "[\"appendfsync\", \"always\"]");
    assert_string_equal(ask(f, "CONFIG", "GET", "memtable-size"),
                        "[\"memtable-size\", \"8388608\"]");
    assert_string_equal(ask(f, "CONFIG", "GET", "timeout"), "[\"timeout\", \"77\"]");
    assert_string_equal(ask(f, "SELECT", "2"), "+OK");
    assert_string_equal(ask(f, "SELECT", "3"), "-ERR DB index is out of range");
}

static void a_bad_flag_ends_the_start_with_its_reason(void **state)
{
    struct fixture *f = *state;
    const char *const value[] = {"--io-threads", "none", NULL};
    assert_int_equal(test_server_start_fails(&f->server, value), 1);
    assert_non_null(
        strstr(log_text(f), "'io-threads': argument couldn't be parsed into an integer"));
    const char *const name[] = {"--colour", "blue", NULL};
    assert_int_equal(test_server_start_fails(&f->server, name), 1);
    assert_non_null(strstr(log_text(f), "'colour': no such name"));
}

static void config_set_takes_effect_at_once(void **state)
{
    struct fixture *f = *state;
    start(f, NULL);
    assert_string_equal(ask(f, "CONFIG", "SET", "requirepass", "secret", "timeout", "9"), "+OK");
    struct resp_client other;
    test_server_connect(&f->server, &other);
    struct buffer shown = {0};
    assert_string_equal(resp_client_ask(&other, &shown, "PING"),
                        "-NOAUTH Authentication required.");
    assert_string_equal(resp_client_ask(&other, &shown, "AUTH", "secret"), "+OK");
    assert_string_equal(resp_client_ask(&other, &shown, "PING"), "+PONG");
    buffer_release(&shown);
    resp_client_close(&other);
    assert_string_equal(ask(f, "CONFIG", "SET", "port", "1"),
                        "-ERR CONFIG SET failed (possibly related to argument 'port') - can't set "
                        "immutable config");
    assert_string_equal(ask(f, "CONFIG", "SET", "hz", "5", "nothing", "1"),
                        "-ERR Unknown option or number of arguments for CONFIG SET - 'nothing'");
}

static void messages_become_json_while_running(void **state)
{
    struct fixture *f = *state;
    start(f, NULL);
    assert_string_equal(ask(f, "CONFIG", "SET", "log-format", "json"), "+OK");
    assert_int_equal(test_server_stop(&f->server), 0);
    assert_non_null(
        strstr(log_text(f), "\"level\":\"notice\",\"message\":\"Received SIGTERM\"}\n"));
}

static void a_logfile_takes_the_messages(void **state)
{
    struct fixture *f = *state;
    char path[TEMP_DIRECTORY_BYTES + 32];
    snprintf(path, sizeof(path), "%s/messages", f->server.directory);
    start(f, (const char *const[]){"--logfile", path, NULL});
    assert_int_equal(test_server_stop(&f->server), 0);
    assert_null(strstr(log_text(f), "Ready"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char text[8192];
    text[fread(text, 1, sizeof(text) - 1, file)] = 0;
    fclose(file);
    assert_non_null(strstr(text, "Cordwood "));
    assert_non_null(strstr(text, "Listening: "));
    assert_non_null(strstr(text, "Ready"));
}

/* Of version 3, as their footers say. A file whose footer is not there yet is being written. */
static int count_tables_of_zstandard(struct fixture *f)
{
    int count = 0;
    DIR *directory = opendir(f->server.data);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char path[TEMP_DIRECTORY_BYTES + 300];
        uint8_t end[16] = {0};
        if (!strstr(entry->d_name, ".cwt"))
            continue;
        snprintf(path, sizeof(path), "%s/%s", f->server.data, entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file)
            continue; /* what was merged goes meanwhile */
        if (!fseek(file, -(long)sizeof(end), SEEK_END) &&
            fread(end, 1, sizeof(end), file) == sizeof(end) && !memcmp(end + 8, "CWTABLE\n", 8))
            count += end[0] == 3;
        fclose(file);
    }
    closedir(directory);
    return count;
}

static void cold_compression_is_for_what_is_merged_from_then_on(void **state)
{
    struct fixture *f = *state;
    const char *const zstd[] = {"--cold-compression", "zstd", NULL};
    if (!lsm_has_zstd())
        skip();
    for (int round = 0; round < 3; round++) {
        char length[16];
        start(f, round == 1 ? zstd : NULL);
        if (round == 2) /* before anything is written that may be merged with it */
            assert_int_equal(count_tables_of_zstandard(f), 1);
        for (int i = 0; i < 300; i++)
            assert_int_equal(ask(f, "XADD", "lines", "*", "message", "a line of many")[0], '"');
        if (round < 2) {
            /* A request that comes while a flush is under way may find nothing to merge yet. */
            for (int tries = 0; tries < 50; tries++) {
                assert_string_equal(ask(f, "DEBUG", "COMPACT"), "+OK");
                if (count_tables_of_zstandard(f) == round)
                    break;
            }
            assert_int_equal(count_tables_of_zstandard(f), round);
        }
        snprintf(length, sizeof(length), ":%d", 300 * (round + 1));
        assert_string_equal(ask(f, "XLEN", "lines"), length);
        assert_non_null(strstr(ask(f, "XRANGE", "lines", "-", "+", "COUNT", "1"), "a line of"));
        assert_string_equal(ask(f, "CONFIG", "GET", "cold-compression"),
                            round == 1 ? "[\"cold-compression\", \"zstd\"]"
                                       : "[\"cold-compression\", \"lz4\"]");
        resp_client_close(&f->client);
        assert_int_equal(test_server_stop(&f->server), 0);
    }
}

/* Every default as it is printed, then lines of our own: the last one about a name counts. */
static void write_file(struct fixture *f, const char *program, const char *path)
{
    char command[8192];
    snprintf(command, sizeof(command), "%s --print-config >%s", program, path);
    assert_int_equal(system(command), 0);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fprintf(file, "port 0\njson-port 0\ndir %s\nunixsocket %s\nlogfile %s\n", f->server.data,
            f->server.socket, f->server.log);
    assert_int_equal(fclose(file), 0);
}

static void the_printed_file_starts_a_server(void **state)
{
    struct fixture *f = *state;
    char program[4096], path[TEMP_DIRECTORY_BYTES + 32];
    test_server_find_program(program, sizeof(program));
    snprintf(path, sizeof(path), "%s/cordwood.conf", f->server.directory);
    write_file(f, program, path);
    f->server.pid = fork();
    assert_true(f->server.pid >= 0);
    if (f->server.pid == 0) {
        execl(program, program, path, NULL);
        _exit(127);
    }
    assert_true(test_server_wait_ready(&f->server));
    test_server_connect(&f->server, &f->client);
    assert_string_equal(ask(f, "CONFIG", "GET", "json-port"), "[\"json-port\", \"0\"]");
    assert_string_equal(ask(f, "CONFIG", "GET", "io-threads"), "[\"io-threads\", \"1\"]");
    assert_int_equal(test_server_stop(&f->server), 0);
}

/* A place is free as soon as the server has seen that another client left. */
static void connect_when_free(struct fixture *f, struct resp_client *client)
{
    for (;;) {
        test_server_connect(&f->server, client);
        if (strcmp(resp_client_ask(client, &f->shown, "PING"), "+PONG") == 0)
            return;
        resp_client_close(client);
    }
}

static void clients_over_the_limit_are_told(void **state)
{
    struct fixture *f = *state;
    start(f, (const char *const[]){"--maxclients", "3", NULL});
    struct resp_client second, third, fourth, json;
    struct resp_reply reply = {0};
    struct slice line;
    connect_when_free(f, &second);
    connect_when_free(f, &third);
    test_server_connect(&f->server, &fourth);
    assert_true(resp_client_read(&fourth, &reply));
    assert_true(resp_reply_is(&reply, "-ERR max number of clients reached"));
    resp_reply_release(&reply);
    assert_true(resp_client_sees_close(&fourth));
    test_server_connect_json(&f->server, &json);
    assert_true(resp_client_read_line(&json, &line));
    assert_true(
        slice_starts_with(line, slice_from("{\"status\":\"error\",\"errcode\":\"too_many_")));
    resp_client_close(&json);
    resp_client_close(&fourth);
    resp_client_close(&third);
    connect_when_free(f, &third);
    resp_client_close(&third);
    resp_client_close(&second);
}

static void idle_clients_are_closed_and_blocked_ones_are_not(void **state)
{
    struct fixture *f = *state;
    start(f, NULL);
    struct resp_client idle, blocked;
    test_server_connect(&f->server, &idle);
    test_server_connect(&f->server, &blocked);
    assert_true(resp_client_send(&blocked, slice_from("XREAD BLOCK 0 STREAMS s $\r\n")));
    assert_string_equal(ask(f, "CONFIG", "SET", "timeout", "1"), "+OK");
    assert_true(resp_client_sees_close(&idle));
    assert_true(resp_client_sees_close(&f->client));
    resp_client_close(&f->client);
    test_server_connect(&f->server, &f->client);
    assert_string_equal(ask(f, "XADD", "s", "1-1", "f", "v"), "\"1-1\"");
    struct resp_reply reply = {0};
    assert_true(resp_client_read(&blocked, &reply));
    assert_true(resp_reply_is(&reply, "[[\"s\", [[\"1-1\", [\"f\", \"v\"]]]]]"));
    resp_reply_release(&reply);
    resp_client_close(&idle);
    resp_client_close(&blocked);
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, "PING\r\n", 6), 6);
    char reply[7];
    assert_int_equal(recv(fd, reply, sizeof reply, MSG_WAITALL), sizeof reply);
    return fd;
}

/* Seconds until the server probes the client of this socket, as the system has it; -1: never. */
static double seconds_to_probe(int port, int fd)
{
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &size), 0);
    char line[512], ends[64];
    snprintf(ends, sizeof ends, ":%04X %08X:%04X ", port, (unsigned)own.sin_addr.s_addr,
             ntohs(own.sin_port));
    FILE *file = fopen("/proc/net/tcp", "r");
    assert_non_null(file);
    double seconds = -2;
    while (fgets(line, sizeof line, file)) {
        unsigned timer = 0, ticks = 0;
        const char *at = strstr(line, ends);
        if (!at)
            continue;
        assert_int_equal(sscanf(at + strlen(ends), "%*x %*x:%*x %x:%x", &timer, &ticks), 2);
        seconds = timer == 2 ? (double)ticks / (double)sysconf(_SC_CLK_TCK) : -1;
    }
    fclose(file);
    assert_true(seconds != -2);
    return seconds;
}

static void silent_peers_are_probed_as_tcp_keepalive_says(void **state)
{
    struct fixture *f = *state;
    int port = test_server_free_port();
    char text[16];
    snprintf(text, sizeof text, "%d", port);
    start(f, (const char *const[]){"--port", text, "--bind", "127.0.0.1", "--tcp-keepalive", "1000",
                                   NULL});
    int first = connect_to(port);
    assert_string_equal(ask(f, "CONFIG", "SET", "tcp-keepalive", "0"), "+OK");
    int second = connect_to(port);
    assert_string_equal(ask(f, "CONFIG", "SET", "tcp-keepalive", "3000"), "+OK");
    int third = connect_to(port);
    double seconds = seconds_to_probe(port, first);
    assert_true(seconds > 500 && seconds <= 1000);
    assert_true(seconds_to_probe(port, second) == -1);
    seconds = seconds_to_probe(port, third);
    assert_true(seconds > 2500 && seconds <= 3000);
    close(first);
    close(second);
    close(third);
}

static void rewrite_keeps_the_file_and_a_restart_has_the_values(void **state)
{
    struct fixture *f = *state;
    char path[sizeof f->server.directory + 32], text[512] = "";
    snprintf(path, sizeof path, "%s/my.conf", f->server.directory);
    FILE *file = fopen(path, "w");
    fputs("# Mine.\ntimeout 10   \n\n# as ops wants it\nmaxclients 100\n", file);
    fclose(file);
    start(f, (const char *const[]){path, NULL});
    assert_non_null(strstr(ask(f, "INFO", "server"), path));
    assert_string_equal(ask(f, "CONFIG", "SET", "maxclients", "200", "slowlog-max-len", "7"),
                        "+OK");
    assert_string_equal(ask(f, "CONFIG", "REWRITE"), "+OK");
    file = fopen(path, "r");
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    static const char kept[] = "# Mine.\ntimeout 10\n\n# as ops wants it\nmaxclients 200\n";
    assert_int_equal(strncmp(text, kept, sizeof kept - 1), 0);
    assert_non_null(strstr(text, "\nslowlog-max-len 7\n"));
    resp_client_close(&f->client);
    assert_int_equal(test_server_stop(&f->server), 0);
    start(f, (const char *const[]){path, NULL});
    assert_string_equal(ask(f, "CONFIG", "GET", "slowlog-max-len"), "[\"slowlog-max-len\", \"7\"]");
    assert_string_equal(ask(f, "CONFIG", "GET", "timeout"), "[\"timeout\", \"10\"]");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(flags_set_what_config_get_shows),
        TEST(a_bad_flag_ends_the_start_with_its_reason),
        TEST(config_set_takes_effect_at_once),
        TEST(messages_become_json_while_running),
        TEST(a_logfile_takes_the_messages),
        TEST(cold_compression_is_for_what_is_merged_from_then_on),
        TEST(the_printed_file_starts_a_server),
        TEST(clients_over_the_limit_are_told),
        TEST(idle_clients_are_closed_and_blocked_ones_are_not),
        TEST(silent_peers_are_probed_as_tcp_keepalive_says),
        TEST(rewrite_keeps_the_file_and_a_restart_has_the_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
