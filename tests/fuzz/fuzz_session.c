/* SPDX-License-Identifier: MIT */
/* Any bytes into sessions on a store in memory, RESP and JSON, whole and in pieces: replies are
 * well formed, nothing stays parked, the store's invariants hold. The first byte of an input says
 * how it is fed; a second session writes along, so that blocked ones wake. fuzz_commands gets deeper. */
#include "fuzz/session_world.h"

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

/* Blocked sessions see a write by the other client, then their deadline. */
static void unblock(struct session_world *world, unsigned number, struct buffer *taken)
{
    struct session *session = world->clients[number].session;
    for (int round = 0; session_state(session) == SESSION_BLOCKED; round++) {
        fuzz_require(round < 100000);
        world_feed(world, 1, slice_from("XADD s * f v\r\nRPUSH l v\r\n"), 0, taken);
        uint64_t deadline_us = session_deadline_us(session);
        if (session_state(session) == SESSION_BLOCKED && deadline_us == 0)
            return; /* for ever */
        if (deadline_us / 1000 >= world->now_ms)
            world->now_ms = deadline_us / 1000 + 1;
        world_settle(world);
        world_take(world, number, taken);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {0, 1, 3, 7, 64, 1000};
    static struct buffer taken;
    struct session_world world;
    if (size == 0)
        return 0;
    world_open(&world);
    unsigned number = data[0] & 0x80 ? 2 : 0;
    size_t step = steps[data[0] % (sizeof steps / sizeof steps[0])];
    struct session *session = world.clients[number].session;
    struct slice bytes = slice_make(data + 1, size - 1);
    buffer_clear(&taken);
    while (bytes.size > 0 && session_state(session) != SESSION_CLOSING) {
        size_t piece = step && step < bytes.size ? step : bytes.size;
        world_feed(&world, number, slice_make(bytes.data, piece), 0, &taken);
        unblock(&world, number, &taken);
        bytes = slice_skip(bytes, piece);
    }
    session_end_input(session);
    world_settle(&world);
    unblock(&world, number, &taken);
    world_take(&world, number, &taken);
    if (session_state(session) != SESSION_BLOCKED)
        fuzz_require(session_state(session) == SESSION_CLOSING);
    fuzz_require(taken.size <= (size_t)1 << 28);
    world_check(&world);
    world_work(&world, false);
    world_close(&world);
    return 0;
}
