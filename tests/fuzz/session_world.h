/* SPDX-License-Identifier: MIT */
/* A whole store in memory with sessions on it, as fuzzers drive it: the clock stands where it was put,
 * nothing stays parked, and blocked sessions go on only when they were woken or their time is over. */
#ifndef FUZZ_SESSION_WORLD_H
#define FUZZ_SESSION_WORLD_H

#include "fuzz/fuzz.h"

#include "base/memory.h"
#include "commands/service.h"
#include "lib/resp_reply.h"
#include "types/store_check.h"
#include "vfs/vfs_memory.h"

enum { WORLD_SESSIONS = 3, WORLD_ROUNDS_MAX = 100000 };

struct world_client {
    struct session *session;
    bool is_json, is_woken;
};

struct session_world {
    struct vfs *vfs;
    struct env env;
    struct store *store;
    struct config *config;
    struct service *service;
    struct world_client clients[WORLD_SESSIONS];
    uint64_t now_ms;
};

static inline uint64_t world_wall_ms(void *context)
{
    return ((struct session_world *)context)->now_ms;
}

static inline uint64_t world_monotonic_us(void *context)
{
    return ((struct session_world *)context)->now_ms * 1000;
}

static inline void world_random_bytes(void *context, void *data, size_t size)
{
    (void)context;
    memset(data, 7, size);
}

static inline void world_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static inline void world_require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static inline enum status world_try_store(struct session_world *world, struct lsm_report *report)
{
    const struct store_options options = {
        .memtable_bytes = 1 << 20, .block_cache_bytes = 1 << 20, .wal_segment_bytes = 64 << 10};
    return store_open(&world->env, "/data", &options, report, &world->store);
}

static inline void world_open_store(struct session_world *world)
{
    struct lsm_report report = {""};
    world_require(world_try_store(world, &report) == STATUS_OK, report.text);
}

static inline bool world_reload(void *context, struct lsm_report *report)
{
    struct session_world *world = context;
    (void)report;
    service_set_store(world->service, NULL);
    world_require(store_close(world->store) == STATUS_OK, "the store closes");
    world_open_store(world);
    service_set_store(world->service, world->store);
    return true;
}

static inline void world_wake(void *context, void *owner)
{
    (void)context;
    ((struct world_client *)owner)->is_woken = true;
}

static inline void world_shutdown(void *context, bool now)
{
    (void)context;
    (void)now;
}

static inline void world_disconnect(void *context, void *owner)
{
    (void)context;
    (void)owner;
}

static inline void world_connect(struct session_world *world, unsigned number, bool is_json)
{
    struct world_client *client = &world->clients[number];
    *client = (struct world_client){.is_json = is_json};
    client->session =
        session_create(world->service, &(struct session_options){.address = "127.0.0.1:50000",
                                                                 .local_address = "127.0.0.1:6379",
                                                                 .is_local = true,
                                                                 .json = is_json,
                                                                 .owner = client});
}

/* A world without its store yet. The file system is the world's own from now on. */
static inline void world_init(struct session_world *world, struct vfs *vfs)
{
    *world = (struct session_world){.vfs = vfs, .now_ms = 1000000};
    world->env =
        (struct env){vfs, world_wall_ms, world_monotonic_us, world_random_bytes, world_log, world};
}

/* Clients 0 and 1 speak RESP, 2 JSON. The store is open. */
static inline void world_start(struct session_world *world)
{
    world->config = config_create();
    world->service = service_create(&world->env, world->store, world->config,
                                    &(struct service_host){.wake = world_wake,
                                                           .shutdown = world_shutdown,
                                                           .disconnect = world_disconnect,
                                                           .reload = world_reload,
                                                           .context = world});
    for (unsigned i = 0; i < WORLD_SESSIONS; i++)
        world_connect(world, i, i == 2);
}

static inline void world_open(struct session_world *world)
{
    world_init(world, vfs_memory_create());
    world_open_store(world);
    world_start(world);
}

/* Until no client is parked, none that was woken or whose time is over is still blocked. */
static inline void world_settle(struct session_world *world)
{
    bool goes_on = true;
    for (int round = 0; goes_on; round++) {
        world_require(round < WORLD_ROUNDS_MAX, "the sessions settle");
        goes_on = false;
        for (unsigned i = 0; i < WORLD_SESSIONS; i++) {
            struct world_client *client = &world->clients[i];
            struct session *session = client->session;
            if (session_state(session) == SESSION_PARKED) {
                session_work(session);
                session_resume(session);
                goes_on = true;
            } else if (session_state(session) == SESSION_BLOCKED) {
                uint64_t deadline_us = session_deadline_us(session);
                if (client->is_woken) {
                    client->is_woken = false;
                    session_resume(session);
                    goes_on = true;
                } else if (deadline_us && deadline_us <= world->now_ms * 1000) {
                    session_timeout(session);
                    goes_on = true;
                }
            }
        }
    }
}

/* Moves the output behind what was taken before; it is whole replies, and the gate lets them go. */
static inline void world_take(struct session_world *world, unsigned number, struct buffer *taken)
{
    struct world_client *client = &world->clients[number];
    struct slice output = session_output(client->session);
    size_t used = 0;
    while (!client->is_json && used < output.size) {
        struct resp_reply reply = {0};
        size_t consumed = 0;
        world_require(resp_reply_read(slice_skip(output, used), &reply, &consumed) ==
                          REPLY_COMPLETE,
                      "replies are well formed");
        resp_reply_release(&reply);
        used += consumed;
    }
    world_require(!client->is_json || output.size == 0 || output.data[output.size - 1] == '\n',
                  "JSON replies are whole lines");
    world_require(session_output_released(client->session, UINT64_MAX) == output.size,
                  "the gate opens when all is acknowledged");
    buffer_append_slice(taken, output);
    session_output_consume(client->session, output.size);
}

/* Feeds bytes `step` at a time (0: at once), each piece a copy that is gone after the call. Output is
 * taken on the way, as a socket would, so that a client is never paused for ever. */
static inline void world_feed(struct session_world *world, unsigned number, struct slice bytes,
                              size_t step, struct buffer *taken)
{
    struct session *session = world->clients[number].session;
    while (bytes.size > 0) {
        size_t size = step && step < bytes.size ? step : bytes.size;
        uint8_t *copy = memory_copy(bytes.data, size);
        session_feed(session, slice_make(copy, size));
        memory_free(copy);
        bytes = slice_skip(bytes, size);
        world_settle(world);
        world_take(world, number, taken);
        while (session_is_paused(session) && session_state(session) == SESSION_READY) {
            session_feed(session, (struct slice){0});
            world_settle(world);
            size_t before = taken->size;
            world_take(world, number, taken);
            if (taken->size == before)
                break;
        }
    }
}

static inline void world_work(struct session_world *world, bool flush)
{
    struct lsm *engine = store_engine(world->store);
    if (flush)
        lsm_request_flush(engine);
    for (int i = 0; i < 1000 && lsm_work(engine, 1 << 20); i++)
        ;
}

static inline void world_check(struct session_world *world)
{
    struct lsm_report report = {""};
    world_require(lsm_check_invariants(store_engine(world->store), &report) == STATUS_OK,
                  report.text);
    world_require(store_check(world->store, &report) == STATUS_OK, report.text);
}

/* Leaves the file system. */
static inline void world_stop(struct session_world *world)
{
    for (unsigned i = 0; i < WORLD_SESSIONS; i++)
        session_destroy(world->clients[i].session);
    service_destroy(world->service);
    config_destroy(world->config);
    world_require(store_close(world->store) == STATUS_OK, "the store closes");
}

static inline void world_close(struct session_world *world)
{
    world_stop(world);
    vfs_destroy(world->vfs);
}

#endif
