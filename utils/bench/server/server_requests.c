/* SPDX-License-Identifier: MIT */
#include "bench/server/server_requests.h"

#include <stdio.h>

enum { FILL_PIECE = 50000, FILL_PIPELINE = 100 };

#define ADD(pool, ...)                                      \
    load_pool_add(pool, (const char *const[]){__VA_ARGS__}, \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))
#define UNUSED __attribute__((unused))
#define REQUEST(name)                                                                       \
    void name(struct load_pool *pool, UNUSED struct random *random, UNUSED unsigned number, \
              UNUSED enum test_server_kind kind)

struct key {
    char text[32];
};

static struct key random_key(struct random *random)
{
    struct key key;

    snprintf(key.text, sizeof key.text, "key:%06u", (unsigned)random_below(random, REQUEST_KEYS));
    return key;
}

/* ---- Fillings -------------------------------------------------------------------------------- */

REQUEST(request_stream_entry)
{
    char id[32], line[LOG_LINE_BYTES_MAX];

    snprintf(id, sizeof id, "%u-0", number);
    log_line(random, line);
    ADD(pool, "XADD", "filled", id, "message", line);
}

REQUEST(request_list_element)
{
    char line[LOG_LINE_BYTES_MAX];

    log_line(random, line);
    ADD(pool, "RPUSH", "filled-list", line);
}

REQUEST(request_key)
{
    char line[LOG_LINE_BYTES_MAX];
    struct key key = random_key(random);

    log_line(random, line);
    ADD(pool, "SET", key.text, line);
}

void request_fill(struct server_pair *pair, enum test_server_kind kind, unsigned count,
                  size_t connections, request_function *request)
{
    struct load_pool pool = {0};
    struct load load = {
        .connections = connections, .pipeline = FILL_PIPELINE, .pool = &pool, .once = true};
    struct load_result result;
    struct random random;

    random_init(&random, REQUEST_SEED);
    for (unsigned number = 1; number <= count; number++) {
        request(&pool, &random, number, kind);
        if (pool.count < FILL_PIECE && number < count)
            continue;
        server_pair_load(pair, kind, load, &result);
        load_pool_clear(&pool);
    }
    load_pool_release(&pool);
}

/* ---- Operations ------------------------------------------------------------------------------ */

static REQUEST(get)
{
    ADD(pool, "GET", random_key(random).text);
}

static REQUEST(mget)
{
    struct key keys[10];

    for (size_t i = 0; i < 10; i++)
        keys[i] = random_key(random);
    ADD(pool, "MGET", keys[0].text, keys[1].text, keys[2].text, keys[3].text, keys[4].text,
        keys[5].text, keys[6].text, keys[7].text, keys[8].text, keys[9].text);
}

static REQUEST(lrange)
{
    ADD(pool, "LRANGE", "filled-list", "0", "99");
}

static unsigned random_entry(struct random *random)
{
    return 1 + (unsigned)random_below(random, REQUEST_FILLED_ENTRIES - REQUEST_RANGE);
}

static REQUEST(xrange)
{
    char id[32];

    snprintf(id, sizeof id, "%u", random_entry(random));
    ADD(pool, "XRANGE", "filled", id, "+", "COUNT", "100");
}

static REQUEST(xread)
{
    char id[32];

    snprintf(id, sizeof id, "%u-0", random_entry(random) - 1);
    ADD(pool, "XREAD", "COUNT", "100", "STREAMS", "filled", id);
}

static REQUEST(incr)
{
    char key[32];

    snprintf(key, sizeof key, "counter:%06u", (unsigned)random_below(random, REQUEST_KEYS));
    ADD(pool, "INCR", key);
}

/* A key is set, and deleted by the request that follows. */
static REQUEST(set_and_delete)
{
    char key[32], line[LOG_LINE_BYTES_MAX];

    snprintf(key, sizeof key, "short-lived:%06u", number / 2);
    log_line(random, line);
    if (number % 2 == 0)
        ADD(pool, "SET", key, line);
    else
        ADD(pool, "DEL", key);
}

static REQUEST(lpush)
{
    char line[LOG_LINE_BYTES_MAX];

    log_line(random, line);
    ADD(pool, "LPUSH", "list", line);
}

static REQUEST(rpush)
{
    char line[LOG_LINE_BYTES_MAX];

    log_line(random, line);
    ADD(pool, "RPUSH", "right-list", line);
}

/* A queue: as many go in as come out. */
static REQUEST(rpush_and_lpop)
{
    char line[LOG_LINE_BYTES_MAX];

    log_line(random, line);
    if (number % 2 == 0)
        ADD(pool, "RPUSH", "queue", line);
    else
        ADD(pool, "LPOP", "queue");
}

static REQUEST(xadd)
{
    char line[LOG_LINE_BYTES_MAX];

    log_line(random, line);
    ADD(pool, "XADD", "stream", "*", "message", line);
}

static REQUEST(xadd_capped)
{
    char line[LOG_LINE_BYTES_MAX];

    log_line(random, line);
    ADD(pool, "XADD", "capped", "MAXLEN", "~", "10000", "*", "message", line);
}

/* The same entry, as each writes it best. */
static REQUEST(log_write)
{
    char line[LOG_LINE_BYTES_MAX];

    log_line(random, line);
    if (kind == SERVER_CORDWOOD)
        ADD(pool, "LOG.WRITE", "log", "LEVEL", "info", "--", line);
    else
        ADD(pool, "XADD", "log", "*", "message", line, "level", "info");
}

const struct operation operations[] = {
    {"GET", NULL, get, false},
    {"MGET_10", "MGET", mget, false},
    {"LRANGE_100", NULL, lrange, false},
    {"XRANGE_100", NULL, xrange, false},
    {"XREAD_100", NULL, xread, false},
    {"SET", NULL, request_key, true},
    {"INCR", "INCR", incr, true},
    {"SET+DEL", NULL, set_and_delete, true},
    {"LPUSH", NULL, lpush, true},
    {"RPUSH", NULL, rpush, true},
    {"RPUSH+LPOP", NULL, rpush_and_lpop, true},
    {"XADD", NULL, xadd, true},
    {"XADD_MAXLEN", NULL, xadd_capped, true},
    {"LOG.WRITE", NULL, log_write, true},
};
const size_t operation_count = sizeof operations / sizeof *operations;
