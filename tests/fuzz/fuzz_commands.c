/* SPDX-License-Identifier: MIT */
/* Bytes as commands of two RESP clients and a JSON client, on few keys, so that they meet. Every command
 * is real, its arguments mostly fit; some are spoiled. Two worlds are given the same:
 *
 *      the first    each client's group of commands at once, all data in the memtables
 *      the second   in pieces of a few bytes; between them memtables are flushed, tables are merged and
 *                   the store is opened again, so that reads park and find their data in tables
 *
 * Both give the same replies, and both keep the invariants of the engine and the store. */
#include "fuzz/session_world.h"
#include "lib/rdb_text.h"

enum { COMMANDS_MAX = 200, GROUP_MAX = 6, WORDS_MAX = 40 };

/* What a letter behind % stands for; see put_word. */
static const char *const templates[] = {
    "SET %k %v",
    "SET %k %v %o",
    "SET %k %v GET %o",
    "SET %k %v PX %i",
    "SET %k %v NX GET",
    "SET %k %v KEEPTTL",
    "GET %k",
    "GET %k",
    "APPEND %k %v",
    "SETRANGE %k %n%n %v",
    "SETRANGE %k 6553%n %v",
    "SETRANGE %k 9830%n %v",
    "GETRANGE %k %s %s",
    "GETRANGE %k %s -1",
    "STRLEN %k",
    "LCS %k %k",
    "LCS %k %k LEN",
    "LCS %k %k IDX WITHMATCHLEN MINMATCHLEN %n",
    "SETBIT %k %n%n %n",
    "SETBIT %k 26214%n 1",
    "SETBIT %k 52428%n 1",
    "GETBIT %k %i",
    "BITCOUNT %k",
    "BITCOUNT %k %s %s BIT",
    "BITPOS %k 0 %s",
    "BITPOS %k 1 %s %s BIT",
    "BITOP AND %k %k %k",
    "BITOP XOR %k %k %k",
    "BITOP NOT %k %k",
    "BITFIELD %k GET u%n %n SET i1%n %n%n %s",
    "BITFIELD %k OVERFLOW SAT INCRBY i%n #%n %s OVERFLOW FAIL INCRBY u%n #%n %s",
    "BITFIELD %k SET u16 26213%n %i",
    "BITFIELD_RO %k GET i64 %i",
    "SET %k %i",
    "INCR %k",
    "DECR %k",
    "INCRBY %k %s",
    "DECRBY %k %s",
    "INCRBYFLOAT %k %s.%i",
    "INCRBYFLOAT %k %v",
    "SETNX %k %v",
    "SETEX %k %i %v",
    "PSETEX %k %i %v",
    "GETSET %k %v",
    "GETDEL %k",
    "GETEX %k %o",
    "GETEX %k PERSIST",
    "MGET %k %k %k",
    "MSET %k %v %k %v",
    "MSETNX %k %v %k %v",
    "DEL %k %k",
    "UNLINK %k",
    "EXISTS %k %k",
    "TYPE %k",
    "EXPIRE %k %i",
    "PEXPIRE %k %i %o",
    "EXPIREAT %k %i",
    "PEXPIREAT %k 10%i",
    "TTL %k",
    "PTTL %k",
    "PERSIST %k",
    "RENAME %k %k",
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH %k %k",
    "UNWATCH",
    "RENAMENX %k %k",
    "COPY %k %k",
    "COPY %k %k DB %n REPLACE",
    "MOVE %k %n",
    "TOUCH %k %k",
    "EXPIRETIME %k",
    "PEXPIRETIME %k",
    "OBJECT ENCODING %k",
    "OBJECT REFCOUNT %k",
    "KEYS %p",
    "SCAN 0 MATCH %p COUNT %i",
    "SCAN %i TYPE %w",
    "DBSIZE",
    "FLUSHDB",
    "FLUSHALL",
    "SWAPDB %n %n",
    "SELECT %n",
    "LPUSH %k %v",
    "RPUSH %k %v %v %v",
    "RPUSH %k %v %v %v %v %v %v %v %v",
    "LPUSHX %k %v",
    "RPUSHX %k %v",
    "LPOP %k",
    "RPOP %k",
    "LPOP %k %i",
    "RPOP %k %i",
    "LLEN %k",
    "LINDEX %k %s",
    "LRANGE %k %s %s",
    "LRANGE %k 0 -1",
    "LTRIM %k %s %s",
    "LSET %k %s %v",
    "LPOS %k %v RANK %s COUNT %i MAXLEN %i",
    "LPOS %k %v",
    "LINSERT %k BEFORE %v %v",
    "LINSERT %k AFTER %v %v",
    "LREM %k %s %v",
    "LMOVE %k %k %e %e",
    "RPOPLPUSH %k %k",
    "LMPOP 2 %k %k %e COUNT %i",
    "DUMP %k",
    "RESTORE %k %n %r",
    "RESTORE %k 0 %r REPLACE",
    "RESTORE %k 10%i %r ABSTTL REPLACE",
    "MEMORY USAGE %k SAMPLES %n",
    "SORT %k",
    "SORT %k ALPHA DESC LIMIT %s %s",
    "SORT %k BY nosort GET # GET * STORE %k",
    "SORT %k BY {a}* ALPHA STORE %k",
    "SORT_RO %k ALPHA LIMIT %i %i",
    "XADD %k %* f %v",
    "XADD %k * f %v g %v",
    "XADD %k * f %v",
    "XADD %k MAXLEN %i * f %v",
    "XADD %k MAXLEN ~ %i LIMIT %i * f %v",
    "XADD %k NOMKSTREAM MINID %d %* f %v",
    "XLEN %k",
    "XRANGE %k %b %b",
    "XRANGE %k - +",
    "XREVRANGE %k %b %b COUNT %i",
    "XREVRANGE %k + -",
    "XDEL %k %d",
    "XDEL %k %d %d %d",
    "XSETID %k %d",
    "XSETID %k %d ENTRIESADDED %i MAXDELETEDID %d",
    "XTRIM %k MAXLEN %i",
    "XTRIM %k MINID %d",
    "XTRIM %k MINID ~ %d LIMIT %i",
    "XREAD COUNT %i STREAMS %k %k %d %d",
    "XREAD BLOCK %i STREAMS %k $",
    "XREAD STREAMS %k 0",
    "XINFO STREAM %k",
    "XINFO STREAM %k FULL COUNT %i",
    "LOG.WRITE %k -- %v f %v",
    "LOG.WRITE %k TS %t LEVEL %l -- %v",
    "LOG.WRITE %k TS %t -- %v",
    "LOG.WRITE %k NOMKSTREAM LEVEL %l %v",
    "LOG.MWRITE %k LINES 3 %v %v %v",
    "LOG.MWRITE %k LEVEL %l LINES 1 %v",
    "LOG.MWRITE %k NDJSON %j",
    "LOG.RANGE %k %t %t",
    "LOG.RANGE %k - + WITHTIME",
    "LOG.RANGE %k - + MATCH %v COUNT %i WITHCURSOR",
    "LOG.RANGE %k - + NOT LEVEL >= %l OR WORD %v",
    "LOG.RANGE %k - + RETURN 2 f message CURSOR %c",
    "LOG.REVRANGE %k + - COUNT %i",
    "LOG.REVRANGE %k %t %t LEVEL %l NOVALUES",
    "LOG.REVRANGE %k + - MAXSIZE %i WITHCURSOR CURSOR %c",
    "COMMAND GETKEYS %w %k %k %k %d",
    "COMMAND GETKEYSANDFLAGS %w %k %k %k %d",
    "COMMAND INFO %w",
    "CONFIG SET proto-max-bulk-len %i",
    "CONFIG GET %p",
    "CONFIG SET log-max-message %i",
    "CONFIG SET stream-node-max-entries %i",
    "HELLO %n",
    "PING %v",
    "ECHO %v",
    "RESET",
    "DEBUG INVARIANTS",
};
enum { TEMPLATES = sizeof templates / sizeof *templates };

static const char *const json_templates[] = {
    "{\"action\":\"write\",\"log\":\"%k\",\"message\":\"%J\"}",
    "{\"action\":\"write\",\"log\":\"%k\",\"message\":\"%J\",\"timestamp\":%i,\"metadata\":{"
    "\"level\":"
    "\"%l\",\"n\":%s,\"%J\":[%i,{\"a\":null}]}}",
    "{\"action\":\"write_many\",\"log\":\"%k\",\"entries\":[{\"message\":\"%J\"},{\"message\":"
    "\"b\","
    "\"timestamp\":%i}]}",
    "{\"action\":\"read\",\"log\":\"%k\",\"start_ts\":0,\"end_ts\":18446744073709551615}",
    "{\"action\":\"read\",\"log\":\"%k\",\"start_ts\":%i,\"limit\":%i}",
    "{\"action\":\"read\",\"log\":\"%k\",\"cursor\":\"%c\",\"limit\":%i}",
    "{\"action\":\"read\",\"log\":\"%k\" %J",
};
enum { JSON_TEMPLATES = sizeof json_templates / sizeof *json_templates };

/* ---- Words ---------------------------------------------------------------------------------- */

#define CHOICE(input, texts) ((texts)[fuzz_below(input, sizeof(texts) / sizeof *(texts))])

static void put_value(struct slice *input, struct buffer *out)
{
    uint8_t form = fuzz_byte(input);
    if (form < 0x80) { /* words that predicates look for, and many of one size */
        static const char *const words[] = {"disk", "full", "disk full", "",
                                            "x",    "10",   "warn",      "a"};
        buffer_append_text(out, words[form & 7]);
    } else if (form < 0xe0) {
        buffer_append_slice(out, fuzz_bytes(input));
    } else {
        static const size_t sizes[] = {100, 512, 5000, 32768, 32769, 65536, 65537, 70000};
        size_t size = sizes[form & 7];
        buffer_reserve(out, size);
        memset(out->data + out->size, 'a' + (form >> 3 & 3), size);
        out->size += size;
    }
}

static void put_id(struct slice *input, struct buffer *out)
{
    static const char *const texts[] = {"0",
                                        "-",
                                        "+",
                                        "1000000-0",
                                        "999999",
                                        "1000000-1",
                                        "1000000",
                                        "1000001",
                                        "5-5",
                                        "$",
                                        "18446744073709551615-18446744073709551615",
                                        "1000007-3"};
    uint8_t form = fuzz_byte(input);
    if (form < 0xc0)
        buffer_append_text(out, texts[form % (sizeof texts / sizeof *texts)]);
    else
        buffer_printf(out, "%u-%u", 999990u + fuzz_byte(input), form & 15u);
}

static void put_time(struct slice *input, struct buffer *out)
{
    static const char *const texts[] = {
        "-",   "+",    "-5m",     "-100ms",     "+1s",
        "-1h", "1000", "1000005", "(1000000-1", "1970-01-01T00:16:40Z"};
    uint8_t form = fuzz_byte(input);
    if (form < 0xa0)
        buffer_append_text(out, texts[form % (sizeof texts / sizeof *texts)]);
    else
        buffer_printf(out, "%u", 999900u + fuzz_byte(input));
}

static void put_number(struct slice *input, struct buffer *out, bool is_signed)
{
    uint8_t form = fuzz_byte(input);
    if (is_signed && (form & 1))
        buffer_append_byte(out, '-');
    if (form < 0xf0)
        buffer_printf(out, "%u", form / 2);
    else
        buffer_printf(out, "%llu", (unsigned long long)fuzz_number(input));
}

static void put_json_text(struct slice *input, struct buffer *out)
{
    struct slice text = fuzz_bytes(input);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte < 0x20)
            buffer_printf(out, "\\u%04x", byte * 0x101);
        else
            buffer_append_byte(out, byte == '"' || byte == '\\' ? '\'' : byte & 0x7f);
    }
}

/* A string, a list and a stream, and one that is cut; now and then anything. */
static void put_payload(struct slice *input, struct buffer *out)
{
    static const char *const values[] = {
        "00 0161", "01 03 0162 c005 0161",
        "13 01 10 00000000000000010000000000000001"
        "   1d 1d0000000a0001010001010181660200010201000100018176020401ff 01 0101 0101 0000 01 00",
        "12 01 02 0a 0a0000000100816202"};
    struct buffer value = {0};
    rdb_text_from_hex(CHOICE(input, values), &value);
    if (fuzz_byte(input) >= 0xf0) {
        buffer_clear(&value);
        buffer_append_slice(&value, fuzz_bytes(input));
    }
    rdb_text_seal(buffer_slice(&value), 10, out);
    buffer_release(&value);
}

static void put_word(char letter, struct slice *input, struct buffer *out)
{
    static const char *const keys[] = {"a", "b", "c", "{a}1", "l", "s"};
    static const char *const patterns[] = {"*", "?", "[a-c]", "{a}*", "\\a", "[^s]", "*max*"};
    static const char *const levels[] = {"info", "warn", "ERROR", "debug", "none", "3"};
    static const char *const options[] = {"NX",  "XX",    "GT",   "LT",
                                          "GET", "EX 10", "PX 5", "PXAT 1000050"};
    static const char *const names[] = {"get",    "xread",     "string",   "list",
                                        "stream", "client|id", "log.range"};
    static const char *const ids[] = {"*", "1000000-*", "1000002-*", "5-5", "0-1", "1000000-7"};
    static const char *const ndjson[] = {
        "{\"message\":\"disk\"}\n{\"message\":\"full\",\"level\":\"warn\",\"n\":1.50}",
        "{\"message\":1}", "{\"timestamp\":999950,\"message\":\"late\",\"o\":{\"p\":[]}}\n\n", "{",
        ""};
    static const char *const cursors[] = {"0", "1000000-1000000-0", "999950-1000000-1", "x",
                                          "1000000-1000000-1"};
    static const char *const ends[] = {"LEFT", "RIGHT"};
    switch (letter) {
    case 'e':
        buffer_append_text(out, CHOICE(input, ends));
        break;
    case 'k':
        buffer_append_text(out, CHOICE(input, keys));
        break;
    case 'v':
        put_value(input, out);
        break;
    case 'i':
        put_number(input, out, false);
        break;
    case 's':
        put_number(input, out, true);
        break;
    case 'n':
        buffer_printf(out, "%u", fuzz_below(input, 5));
        break;
    case 'd':
    case 'b':
        if (letter == 'b' && input->size && (input->data[0] & 1))
            buffer_append_byte(out, '(');
        put_id(input, out);
        break;
    case '*':
        buffer_append_text(out, CHOICE(input, ids));
        break;
    case 'r':
        put_payload(input, out);
        break;
    case 't':
        put_time(input, out);
        break;
    case 'p':
        buffer_append_text(out, CHOICE(input, patterns));
        break;
    case 'l':
        buffer_append_text(out, CHOICE(input, levels));
        break;
    case 'o':
        buffer_append_text(out, CHOICE(input, options));
        break;
    case 'w':
        buffer_append_text(out, CHOICE(input, names));
        break;
    case 'j':
        buffer_append_text(out, CHOICE(input, ndjson));
        break;
    case 'c':
        buffer_append_text(out, CHOICE(input, cursors));
        break;
    default: /* J */
        put_json_text(input, out);
    }
}

/* Replaces the places of a template up to a blank or the end. */
static const char *expand(const char *at, bool to_blank, struct slice *input, struct buffer *out)
{
    for (; *at && !(to_blank && *at == ' '); at++) {
        if (*at == '%')
            put_word(*++at, input, out);
        else
            buffer_append_byte(out, (uint8_t)*at);
    }
    return at;
}

/* Options are two words in one place: "PX 5". */
static void put_bulk(struct slice word, struct buffer *out)
{
    buffer_printf(out, "$%zu\r\n", word.size);
    buffer_append_slice(out, word);
    buffer_append_text(out, "\r\n");
}

static void put_command(struct slice *input, struct buffer *out)
{
    static struct buffer words[WORDS_MAX];
    const char *at = templates[fuzz_below(input, TEMPLATES)];
    uint8_t spoil = fuzz_byte(input);
    size_t count = 0;
    while (*at) {
        bool is_option = strncmp(at, "%o", 2) == 0;
        buffer_clear(&words[count]);
        at = expand(at, true, input, &words[count]);
        uint8_t *blank = is_option ? memchr(words[count].data, ' ', words[count].size) : NULL;
        if (blank) {
            size_t size = (size_t)(blank - words[count].data);
            buffer_clear(&words[count + 1]);
            buffer_append_slice(&words[count + 1],
                                slice_skip(buffer_slice(&words[count]), size + 1));
            words[count++].size = size;
        }
        count++;
        at += *at == ' ';
    }
    if (spoil >= 0xf0) { /* a word less, or another one */
        size_t victim = spoil % count;
        if (spoil & 1) {
            buffer_clear(&words[victim]);
            buffer_append_slice(&words[victim], fuzz_bytes(input));
        } else if (victim == count - 1 && count > 1) {
            count--;
        }
    }
    buffer_printf(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        put_bulk(buffer_slice(&words[i]), out);
}

/* ---- Two worlds ------------------------------------------------------------------------------ */

static struct session_world worlds[2];
static struct buffer replies[2][WORLD_SESSIONS];

static void reconnect(unsigned number)
{
    for (int w = 0; w < 2; w++) {
        struct session *session = worlds[w].clients[number].session;
        if (session_state(session) == SESSION_CLOSING) {
            session_destroy(session);
            world_connect(&worlds[w], number, number == 2);
        }
    }
}

static void require_same_replies(struct slice sent)
{
    for (unsigned i = 0; i < WORLD_SESSIONS; i++) {
        for (int w = 0; w < 2; w++)
            world_take(&worlds[w], i, &replies[w][i]);
        struct slice first = buffer_slice(&replies[0][i]), second = buffer_slice(&replies[1][i]);
        if (!slice_equal(first, second))
            fprintf(stderr, "client %u, after\n%.*s\nat once: %.*s\nin pieces, from tables: %.*s\n",
                    i, (int)(sent.size < 2000 ? sent.size : 2000), (const char *)sent.data,
                    (int)(first.size < 2000 ? first.size : 2000), (const char *)first.data,
                    (int)(second.size < 2000 ? second.size : 2000), (const char *)second.data);
        fuzz_require(slice_equal(first, second));
        fuzz_require(session_state(worlds[0].clients[i].session) ==
                     session_state(worlds[1].clients[i].session));
        buffer_clear(&replies[0][i]);
        buffer_clear(&replies[1][i]);
    }
}

static void send_group(struct slice *input, unsigned number, uint8_t form)
{
    static struct buffer bytes;
    buffer_clear(&bytes);
    for (unsigned count = 1 + form % GROUP_MAX; count > 0; count--) {
        if (number < 2) {
            put_command(input, &bytes);
            continue;
        }
        (void)expand(json_templates[fuzz_below(input, JSON_TEMPLATES)], false, input, &bytes);
        buffer_append_byte(&bytes, '\n');
    }
    size_t step = 1 + fuzz_byte(input) % 64;
    if (bytes.size / step > 300) /* large values in larger pieces */
        step = bytes.size / 300;
    world_feed(&worlds[0], number, buffer_slice(&bytes), 0, &replies[0][number]);
    world_feed(&worlds[1], number, buffer_slice(&bytes), step, &replies[1][number]);
    require_same_replies(buffer_slice(&bytes));
    reconnect(number);
}

static void pass_time(uint64_t ms)
{
    for (int w = 0; w < 2; w++) {
        worlds[w].now_ms += ms;
        world_settle(&worlds[w]);
    }
    require_same_replies(slice_from("time"));
}

static void open_again(void)
{
    struct lsm_report report;
    for (unsigned i = 0; i < WORLD_SESSIONS; i++)
        if (session_state(worlds[1].clients[i].session) == SESSION_BLOCKED)
            return;
    fuzz_require(world_reload(&worlds[1], &report));
}

static void step(struct slice *input)
{
    uint8_t form = fuzz_byte(input);
    if (form < 0xc0) {
        send_group(input, form < 0x60 ? 0 : form < 0x90 ? 1 : 2, form);
    } else if (form < 0xd0) {
        pass_time(form & 15);
    } else if (form < 0xe0) {
        world_work(&worlds[1], true);
    } else if (form < 0xe8) {
        lsm_request_compact(store_engine(worlds[1].store));
        world_work(&worlds[1], false);
    } else if (form < 0xf0) {
        open_again();
    } else if (form < 0xf8) {
        pass_time(1000 * (form & 7u));
    } else {
        for (int w = 0; w < 2; w++)
            while (service_expire(worlds[w].service))
                ;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    for (int w = 0; w < 2; w++)
        world_open(&worlds[w]);
    for (int i = 0; i < COMMANDS_MAX && input.size > 0; i++)
        step(&input);
    for (int w = 0; w < 2; w++) {
        world_check(&worlds[w]);
        world_close(&worlds[w]);
    }
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    if (index >= TEMPLATES + 8)
        return false;
    if (index < TEMPLATES) { /* this command, in the midst of others of its kind */
        for (unsigned i = 0; i < 12; i++) {
            buffer_append_byte(out, (uint8_t)(i * 6));
            buffer_append_byte(out, (uint8_t)((index + i * (i % 3)) % TEMPLATES));
            buffer_append_byte(out, 0);
            buffer_append_text(out, "\4\5\6\7\10\11");
            if (i % 5 == 4)
                buffer_append_byte(out, (uint8_t)(0xd0 + 8 * (i % 4)));
        }
        return true;
    }
    for (unsigned i = 0; i < 20; i++) {
        buffer_append_byte(out, (uint8_t)(i % 4 ? 0x60 : 0x90));
        buffer_append_byte(out, (uint8_t)((index * 11 + i * 7) % TEMPLATES));
        buffer_append_byte(out, i % 7 ? 0 : 0xf5);
        buffer_append_byte(out, (uint8_t)(index * i));
        buffer_append_byte(out, (uint8_t)(0xe0 * (i % 2) + i));
        buffer_append_byte(out, (uint8_t)(index + i));
    }
    return true;
}
