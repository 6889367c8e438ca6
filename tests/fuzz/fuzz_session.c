/* SPDX-License-Identifier: MIT */
/* Any bytes into sessions on a store in memory, RESP and JSON, whole and in pieces: replies are
 * well formed, nothing stays parked, the store's invariants hold. The first byte of an input says
 * how it is fed; a second session writes along, so that blocked ones wake. */
#include "fuzz/fuzz.h"

#include "base/memory.h"
#include "commands/service.h"
#include "lib/resp_reply.h"
#include "vfs/vfs_memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { INPUTS_A_STORE = 500, ROUNDS_MAX = 100000 };

static const char *const seeds[] = {
    "\x01*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nv\r\nv1\r\nGET k\r\nSET k v PX 10 NX GET\r\nEXPIRE k "
    "5 GT\r\n"
    "TTL k\r\nPERSIST k\r\nRENAME k l\r\nSCAN 0 MATCH * COUNT 10 TYPE string\r\nKEYS *\r\n",
    "\x02RPUSH l a b c\r\nLPUSH l d\r\nLRANGE l 0 -1\r\nLPOP l 2\r\nRPOP l\r\nLTRIM l 0 "
    "0\r\nLINDEX l -1\r\n"
    "TYPE l\r\nDEL l\r\nEXISTS l l\r\n",
    "\x03XADD s * f v\r\nXADD s 5-* MAXLEN ~ 3 f v\r\nXRANGE s - +\r\nXREAD BLOCK 10 STREAMS s "
    "$\r\n"
    "XDEL s 5-1\r\nXTRIM s MINID 4\r\nXLEN s\r\nXINFO STREAM s FULL\r\nXREVRANGE s + - COUNT 1\r\n",
    "\x04HELLO 3 AUTH default x SETNAME n\r\nCLIENT LIST\r\nCLIENT INFO\r\nCLIENT SETINFO lib-name "
    "x\r\n"
    "COMMAND DOCS get\r\nCOMMAND INFO\r\nCOMMAND GETKEYS xread streams a 0\r\nCONFIG GET *\r\n"
    "CONFIG SET requirepass x\r\nINFO all\r\nRESET\r\nSELECT 3\r\nSWAPDB 0 3\r\nFLUSHDB\r\n",
    "\x05LOG.WRITE l LEVEL warn -- message f v\r\nLOG.MWRITE l LINES 2 a b\r\nLOG.RANGE l - + "
    "MATCH m\r\n"
    "LOG.REVRANGE l + - COUNT 1 LEVEL >= info\r\nLOG.MWRITE l NDJSON "
    "\"{\\\"message\\\":\\\"x\\\"}\"\r\n",
    "\x06"
    "DEBUG SLEEP 0.1\r\nDEBUG RELOAD\r\nDEBUG COMPACT\r\nDEBUG INVARIANTS\r\nDEBUG "
    "SET-ACTIVE-EXPIRE 0\r\n"
    "SHUTDOWN NOSAVE\r\n",
    "\x80{\"action\":\"write\",\"message\":\"m\",\"metadata\":{\"level\":\"INFO\",\"n\":1}}\n"
    "{\"action\":\"read\",\"start_ts\":0,\"end_ts\":18446744073709551615,\"limit\":2}\n{"
    "\"action\":",
    "\x81{\"action\":\"write_many\",\"log\":\"x\",\"entries\":[{\"message\":\"a\"},{\"message\":"
    "\"b\"}]}\n",
    "\x07POST / HTTP/1.1\r\n",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(seeds, sizeof seeds / sizeof *seeds, index, out);
}

static struct world {
    struct vfs *vfs;
    struct env env;
    struct store *store;
    struct service *service;
    uint64_t now_ms;
    size_t inputs;
} world;

static uint64_t wall_ms(void *context)
{
    (void)context;
    return world.now_ms;
}

static uint64_t monotonic_us(void *context)
{
    (void)context;
    return world.now_ms * 1000;
}

static void random_bytes(void *context, void *data, size_t size)
{
    (void)context;
    memset(data, 7, size);
}

static void log_line(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_session: %s\n", what);
    abort();
}

static void open_store(void)
{
    struct lsm_report report = {{0}};
    struct store_options options = {.memtable_bytes = 1 << 20};
    require(store_open(&world.env, "/data", &options, &report, &world.store) == STATUS_OK,
            report.text);
}

static void new_world(void)
{
    if (world.store)
        require(store_close(world.store) == STATUS_OK, "close");
    vfs_destroy(world.vfs);
    world.vfs = vfs_memory_create();
    world.now_ms = 1000000;
    world.env = (struct env){world.vfs, wall_ms, monotonic_us, random_bytes, log_line, NULL};
    open_store();
}

static bool reload(void *context, struct lsm_report *report)
{
    (void)context;
    (void)report;
    service_set_store(world.service, NULL);
    require(store_close(world.store) == STATUS_OK, "close");
    open_store();
    service_set_store(world.service, world.store);
    return true;
}

static void wake(void *context, void *owner)
{
    (void)context;
    (void)owner;
}

static void shutdown_asked(void *context, bool now)
{
    (void)context;
    (void)now;
}

/* Until the session waits for input or is closing. */
static void settle(struct session *session, struct session *writer)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (session_output(session).size > SESSION_OUTPUT_PAUSE_BYTES)
            return;
        switch (session_state(session)) {
        case SESSION_PARKED:
            session_work(session);
            session_resume(session);
            break;
        case SESSION_BLOCKED:
            session_feed(writer, slice_from("XADD s * f v\r\n"));
            session_output_consume(writer, session_output(writer).size);
            session_resume(session);
            if (session_deadline_us(session) / 1000 >= world.now_ms)
                world.now_ms = session_deadline_us(session) / 1000 + 1;
            session_timeout(session);
            if (session_state(session) == SESSION_BLOCKED && session_deadline_us(session) == 0)
                return; /* for ever */
            break;
        default:
            return;
        }
    }
    require(false, "the session never settles");
}

static void check_output(struct session *session, bool json)
{
    struct slice output = session_output(session);
    size_t used = 0;
    while (!json && used < output.size) {
        struct resp_reply reply = {0};
        size_t consumed = 0;
        require(resp_reply_read(slice_skip(output, used), &reply, &consumed) == REPLY_COMPLETE,
                "a malformed reply");
        resp_reply_release(&reply);
        used += consumed;
    }
    require(!json || output.size == 0 || output.data[output.size - 1] == '\n', "half a JSON reply");
    require(session_output_released(session, UINT64_MAX) == output.size, "the gate stays closed");
    session_output_consume(session, output.size);
}

static struct session *new_session(bool json)
{
    return session_create(
        world.service, &(struct session_options){.is_local = true, .json = json, .owner = &world});
}

static void feed(struct session *session, struct session *writer, struct slice bytes, bool json,
                 size_t step)
{
    while (bytes.size > 0 && session_state(session) == SESSION_READY) {
        size_t size = bytes.size < step ? bytes.size : step;
        uint8_t *copy = memory_copy(bytes.data, size); /* gone after the call */
        session_feed(session, slice_make(copy, size));
        memory_free(copy);
        bytes = slice_skip(bytes, size);
        settle(session, writer);
        check_output(session, json);
    }
    session_end_input(session);
    settle(session, writer);
    check_output(session, json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {SIZE_MAX, 1, 3, 7, 64, 1000};
    if (size == 0)
        return 0;
    if (world.inputs++ % INPUTS_A_STORE == 0)
        new_world();
    struct config *config = config_create();
    world.service = service_create(
        &world.env, world.store, config,
        &(struct service_host){.wake = wake, .shutdown = shutdown_asked, .reload = reload});
    bool json = data[0] & 0x80;
    struct session *session = new_session(json), *writer = new_session(false);
    feed(session, writer, slice_make(data + 1, size - 1), json,
         steps[data[0] % (sizeof steps / sizeof steps[0])]);
    session_feed(writer, slice_from("FLUSHALL\r\n"));
    session_destroy(session);
    session_destroy(writer);
    struct lsm_report report = {{0}};
    require(lsm_check_invariants(store_engine(world.store), &report) == STATUS_OK, report.text);
    service_destroy(world.service);
    config_destroy(config);
    while (lsm_work(store_engine(world.store), 1 << 20))
        ;
    return 0;
}
