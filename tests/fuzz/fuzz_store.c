/* SPDX-License-Identifier: MIT */
/* A store whose records are not what they were: headers, bodies, pieces of strings, elements of lists,
 * entries, sets of deletions, late entries, times to live, and the store's own records are changed below
 * the checksums. Then all commands that read, and some that write, run over it; each answers, and nothing
 * takes more time or memory than the store's size gives reason for. What a repair leaves opens, is
 * sound, and takes commands. */
#include "fuzz/session_world.h"

#include "types/header_check.h"
#include "types/store_repair.h"

enum { EDITS_MAX = 12, REPLY_BYTES_MAX = 64 << 20 };

static const char setup[] =
    "SET small hello\r\nSET timed x PX 5000\r\nSET {t}n 5\r\nEXPIRE small 100\r\n"
    "RPUSH few a b c\r\nRPUSH many 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20\r\n"
    "LPOP many 2\r\nSELECT 1\r\nSET other 1\r\nSWAPDB 0 1\r\nSWAPDB 0 1\r\nSELECT 0\r\nSET l "
    "1\r\nDEL l\r\n"
    "RPUSH gaps 1 2 3 4 5 6 7 8 9 10 11 12\r\n"
    "XADD plain 5-1 f v\r\nXADD plain 6-1 f v g w\r\nXADD s 900-0 f v\r\n";

static const char script[] =
    "DBSIZE\r\nSCAN 0 COUNT 100\r\nKEYS *\r\nGET small\r\nGET timed\r\nGET large\r\nGET "
    "{t}n\r\nTTL small\r\n"
    "TYPE large\r\nLRANGE few 0 -1\r\nLRANGE many 0 -1\r\nLINDEX many -1\r\nLLEN many\r\nLINDEX "
    "many 9\r\n"
    "XRANGE s - +\r\nXREVRANGE s + -\r\nXREVRANGE s + - COUNT 3\r\nXLEN s\r\nXINFO STREAM s "
    "FULL\r\n"
    "XRANGE plain - +\r\nXREAD STREAMS s plain 0 0\r\nXRANGE s 950 (999-9\r\n"
    "LOG.RANGE log - +\r\nLOG.REVRANGE log + -\r\nLOG.RANGE log 20 70 WITHTIME\r\nXRANGE log - "
    "+\r\n"
    "LOG.RANGE s - + COUNT 5 WITHCURSOR\r\nXINFO STREAM log FULL COUNT 0\r\nDEBUG INVARIANTS\r\n"
    "XTRIM s MAXLEN 40\r\nXDEL s 940-0 941-0\r\nXTRIM log MINID 960\r\nXADD s * f v\r\nXADD plain "
    "* f v\r\n"
    "XTRIM s MAXLEN ~ 10\r\nXADD s MAXLEN 5 * f v\r\nLOG.WRITE log TS 10 -- late\r\nLOG.WRITE log "
    "-- now\r\n"
    "XTRIM log MAXLEN 3\r\nLOG.RANGE log - +\r\n"
    "LRANGE gaps 0 -1\r\nLINDEX gaps 3\r\nLINDEX gaps -2\r\nLPOS gaps b RANK -1\r\n"
    "LINSERT gaps BEFORE c d\r\nLSET gaps 1 e\r\nLREM gaps -1 9\r\nLMOVE gaps gaps LEFT "
    "RIGHT\r\n"
    "LPUSH gaps f g\r\nRPUSH gaps h\r\nLTRIM gaps 1 -2\r\nLMOVE gaps many RIGHT LEFT\r\nLPOP gaps "
    "3\r\n"
    "LPUSH gaps i\r\nLREM gaps 0 i\r\nLRANGE gaps 0 -1\r\n"
    "RPUSH many z\r\nLPUSH many y\r\nRPOP many 3\r\nLPOP many 2\r\nLTRIM many 1 -2\r\nLPUSH few "
    "q\r\n"
    "LRANGE many 0 -1\r\nSET small there KEEPTTL\r\nPERSIST small\r\nEXPIRE {t}n 5\r\nRENAME few "
    "few2\r\n"
    "RENAME s s2\r\nXRANGE s2 - +\r\nDEL large plain\r\nSWAPDB 0 1\r\nDBSIZE\r\nSWAPDB 0 1\r\nDEL "
    "log many s2\r\n"
    "FLUSHDB\r\nDBSIZE\r\nSET again 1\r\nXADD s 1-1 f v\r\nDEBUG INVARIANTS\r\nFLUSHALL\r\n";

/* ---- The store ------------------------------------------------------------------------------ */

static void append_command(struct buffer *out, const char *format, unsigned i, const char *value,
                           size_t size)
{
    char head[128];
    snprintf(head, sizeof head, format, i);
    unsigned count = 1;
    for (const char *at = head; *at; at++)
        count += *at == ' ';
    buffer_printf(out, "*%u\r\n", count + 1);
    for (char *word = strtok(head, " "); word; word = strtok(NULL, " "))
        buffer_printf(out, "$%zu\r\n%s\r\n", strlen(word), word);
    buffer_printf(out, "$%zu\r\n", size);
    buffer_append(out, value, size);
    buffer_append_text(out, "\r\n");
}

static struct vfs *make_store(void)
{
    static char large[70000];
    struct session_world world;
    struct buffer commands = {0}, taken = {0};
    memset(large, 'x', sizeof large);
    buffer_append_text(&commands, setup);
    append_command(&commands, "SET large", 0, large, sizeof large);
    append_command(&commands, "RPUSH many", 0, large, 40000);
    append_command(&commands, "RPUSH many", 0, large, 600);
    append_command(&commands, "RPUSH gaps", 0, large, 600);
    append_command(&commands, "LINSERT gaps AFTER 5", 0, large, 40000);
    buffer_append_text(&commands,
                       "LINSERT gaps AFTER 5 a\r\nLINSERT gaps AFTER 5 b\r\nLREM gaps 0 7\r\n"
                       "LREM gaps 0 8\r\nLINSERT gaps BEFORE 11 c\r\nLPOP gaps 6\r\n");
    for (unsigned i = 0; i < 60; i++)
        append_command(&commands, "XADD s %u-0 f", 910 + i, "v", 1);
    for (unsigned i = 0; i < 60; i += 7)
        append_command(&commands, "XDEL s", i,
                       (char[]){'9', (char)('1' + i / 10), (char)('0' + i % 10), '-', '0'}, 5);
    for (unsigned i = 0; i < 45; i++)
        append_command(&commands,
                       i % 40 < 5 ? "LOG.WRITE log TS 95%u -- m" : "LOG.WRITE log TS %u -- m",
                       i % 40 < 5 ? i % 10 : 80 - i, "f", 1);
    buffer_append_text(&commands, "XTRIM s MINID 915\r\nXDEL log 956-0\r\n");
    world_open(&world);
    world_feed(&world, 0, buffer_slice(&commands), 0, &taken);
    world_check(&world);
    world_work(&world, true);
    world_stop(&world);
    buffer_release(&commands);
    buffer_release(&taken);
    return world.vfs;
}

/* ---- Edits ---------------------------------------------------------------------------------- */

struct record {
    struct buffer key, value;
};

/* The record at `place` of the tree, counted modulo their number; false: it is empty. */
static bool find_record(struct lsm *engine, unsigned tree, unsigned place, struct record *record)
{
    const struct lsm_iter_options all = {{0}};
    struct lsm_reader *reader = lsm_reader_create(engine);
    unsigned count = 0;
    lsm_read_begin(reader);
    struct lsm_iter *iter = lsm_iter_open(reader, tree, &all);
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter))
        count++;
    if (count > 0) {
        lsm_iter_seek_first(iter);
        for (place %= count; place > 0; place--)
            lsm_iter_next(iter);
        buffer_append_slice(&record->key, lsm_iter_key(iter));
        buffer_append_slice(&record->value, lsm_iter_value(iter));
    }
    lsm_iter_close(iter);
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
    return count > 0;
}

static void change(struct buffer *bytes, struct slice *input)
{
    uint8_t form = fuzz_byte(input);
    size_t at = bytes->size ? fuzz_byte(input) % bytes->size : 0;
    struct slice given;
    switch (form % 5) {
    case 0:
    case 1:
        if (bytes->size)
            bytes->data[at] = fuzz_byte(input);
        break;
    case 2: /* cut, and other bytes from there on */
        bytes->size = at;
        given = fuzz_bytes(input);
        buffer_append_slice(bytes, given);
        break;
    case 3:
        buffer_append_slice(bytes, fuzz_bytes(input));
        break;
    default:
        if (bytes->size)
            bytes->data[bytes->size - 1 - at] += form < 0x80 ? 1 : 0xff;
    }
}

static void edit(struct lsm *engine, struct slice *input)
{
    struct record record = {{0}, {0}};
    struct lsm_writer *writer;
    uint8_t form = fuzz_byte(input);
    unsigned tree = form % TREE_COUNT;
    if (find_record(engine, tree, fuzz_byte(input), &record)) {
        lsm_lock(engine);
        world_require(lsm_write_begin(engine, 1 << 17, false, &writer) == STATUS_OK, "a batch");
        if (form >= 0xe0) {
            lsm_delete(writer, tree, buffer_slice(&record.key));
        } else {
            if (form >= 0xa0) /* a record more */
                change(&record.key, input);
            if (form < 0xa0 || form & 1)
                change(&record.value, input);
            lsm_put(writer, tree, buffer_slice(&record.key), buffer_slice(&record.value));
        }
        lsm_write_end(writer);
        lsm_unlock(engine);
    }
    buffer_release(&record.key);
    buffer_release(&record.value);
}

/* ---- Running -------------------------------------------------------------------------------- */

static void run_script(struct session_world *world, bool is_sound)
{
    static struct buffer taken;
    buffer_clear(&taken);
    world_start(world);
    if (is_sound)
        world_check(world);
    world_feed(world, 0, slice_from(script), 0, &taken);
    fuzz_require(session_state(world->clients[0].session) == SESSION_READY);
    fuzz_require(taken.size <= REPLY_BYTES_MAX);
    world->now_ms += 10000;
    while (service_expire(world->service))
        ;
    if (is_sound)
        world_check(world);
    world_stop(world);
}

static void say(void *context, const char *line)
{
    (void)context;
    fuzz_require(line[0]);
}

/* What a repair promises is right afterwards. Records inside of objects, and those of no object, are
 * told or left. */
static bool is_promised(const char *text)
{
    static const char *const faults[] = {
        "not a key of the tree", "not at its position",          "its header is damaged",
        "was not given yet",     "its time is not in the index", "as many as are counted",
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (strstr(text, faults[i]))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vfs *base;
    struct session_world world;
    struct lsm_report report = {""};
    struct slice input = slice_make(data, size);
    if (!base)
        base = make_store();
#ifdef CORDWOOD_DEBUG
    header_debug_is_off = true;
#endif
    world_init(&world, vfs_memory_after_power_loss(base, VFS_KEEP_ALL, 1));
    bool repairs = fuzz_byte(&input) & 1;
    world_open_store(&world);
    for (int i = 0; i < EDITS_MAX && input.size > 0; i++)
        edit(store_engine(world.store), &input);
    world_require(store_close(world.store) == STATUS_OK, "the store closes");
    if (repairs) {
        enum status status = store_repair(&world.env, "/data", say, NULL);
        fuzz_require(status == STATUS_OK || status == STATUS_UNSUPPORTED ||
                     status == STATUS_CORRUPT);
        if (status == STATUS_OK) {
            world_open_store(&world);
            status = store_check(world.store, &report);
            if (status && is_promised(report.text))
                fprintf(stderr, "after the repair: %s\n", report.text);
            fuzz_require(status == STATUS_OK || (report.text[0] && !is_promised(report.text)));
            run_script(&world, status == STATUS_OK);
        }
    } else {
        enum status status = world_try_store(&world, &report);
        fuzz_require(status == STATUS_OK || report.text[0]);
        if (status == STATUS_OK)
            run_script(&world, false);
    }
    vfs_destroy(world.vfs);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    if (index >= 80)
        return false;
    buffer_append_byte(out, (uint8_t)(index & 1));
    if (index < 2)
        return true;
    buffer_append_byte(out, (uint8_t)(index % 3 + (index % 7 == 0   ? 0xe0
                                                   : index % 5 == 0 ? 0xa2
                                                                    : 0x20)));
    buffer_append_byte(out, (uint8_t)index); /* the record */
    buffer_append_byte(out, (uint8_t)(index / 3));
    buffer_append_byte(out, (uint8_t)(index / 2));
    buffer_append_text(out, "\3\2\1\xff");
    return true;
}
