/* SPDX-License-Identifier: MIT */
/* Random commands, the same to our server and to redis-server 7: the replies
 * must be the same, and now and then all that is stored. On the way ours flushes
 * and compacts (its memtable is small), is killed with -9 and started again, and
 * values go from either to both by DUMP and RESTORE. Repeat a run with SEED=;
 * longer with COMMANDS=. */
#include "lib/rdb_text.h"
#include "lib/seed.h"
#include "lib/test_server.h"

#include "base/random.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum {
    COMMANDS = 100000,
    PIPELINE = 50,
    MOOD_COMMANDS = 2500,
    STEP_COMMANDS = 500, /* between two steps of random_states.h */
    KILLS = 4,
    TOLD_MAX = 60, /* commands before a difference that are shown */
    WORDS_MAX = 24,
    WORD_BYTES_MAX = 128
};

struct world {
    struct test_server servers[2];
    struct resp_client clients[2];
    struct random random;
    unsigned database;
    uint64_t clock;   /* grows; streams' IDs come from it */
    bool gentle;      /* nothing is cut or removed at once, so that objects grow */
    uint64_t times;   /* of expiry, given so far */
    bool is_watching; /* until the next EXEC, DISCARD or UNWATCH */
    uint64_t queued;  /* commands until the end of the transaction that is open; 0:
                      none is */
    uint64_t done;
    char told[TOLD_MAX][128]; /* the last commands, `done` % TOLD_MAX is the oldest */
};

/* A command as words; one of them may be large. */
struct command {
    char words[WORDS_MAX][WORD_BYTES_MAX];
    size_t count;
    size_t large_bytes; /* of the last word, 0: as it stands */
    unsigned version;   /* of the payload that word 3 stands for; 0: for none */
};

static void word(struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void word(struct command *command, const char *format, ...)
{
    va_list arguments;

    assert_true(command->count < WORDS_MAX);
    va_start(arguments, format);
    vsnprintf(command->words[command->count++], WORD_BYTES_MAX, format, arguments);
    va_end(arguments);
}

static uint64_t below(struct world *world, uint64_t bound)
{
    return random_below(&world->random, bound);
}

static bool one_in(struct world *world, uint64_t count)
{
    return below(world, count) == 0;
}

/* Adds a choice of texts, as it is. */
#define CHOOSE(world, command, ...)                                                   \
    do {                                                                              \
        static const char *const choices[] = {__VA_ARGS__};                           \
        word(command, "%s", choices[below(world, sizeof choices / sizeof *choices)]); \
    } while (0)

/* Mostly a key of the family ('s', 'l' or 'x'), now and then one of another. */
static void key(struct world *world, struct command *command, char family)
{
    char letter = one_in(world, 20) ? "slx"[below(world, 3)] : family;

    word(command, "%c%u", letter, (unsigned)below(world, 5));
}

static void number(struct world *world, struct command *command)
{
    if (one_in(world, 80)) {
        CHOOSE(world, command, "x", "", "1.5", "9223372036854775808", "-9223372036854775808",
               "9223372036854775807", " 1");
        return;
    }
    int reach = one_in(world, 5) ? 3000 : 40;

    word(command, "%d", (int)below(world, (uint64_t)reach) - reach / 3);
}

static void value(struct world *world, struct command *command)
{
    word(command, "v%" PRIu64 "-%.*s", random_next(&world->random), (int)below(world, 60),
         "012345678901234567890123456789012345678901234567890123456789");
}

/* One that comes again, so that a list has some twice. */
static void few_values(struct world *world, struct command *command)
{
    if (one_in(world, 3))
        word(command, "v%u", (unsigned)below(world, 4));
    else
        value(world, command);
}

/* An ID of an entry, one that never was, or a bound. */
static void stream_id(struct world *world, struct command *command)
{
    bool near = world->clock > 500 && !one_in(world, 4);
    uint64_t ms = world->clock - below(world, near ? 500 : world->clock);

    if (one_in(world, 3))
        word(command, "%" PRIu64, ms);
    else
        word(command, "%" PRIu64 "-%u", ms, (unsigned)below(world, 4));
}

static void stream_bound(struct world *world, struct command *command)
{
    if (one_in(world, 3)) {
        CHOOSE(world, command, "-", "+");
    } else {
        stream_id(world, command);
        char *text = command->words[command->count - 1];
        if (one_in(world, 4)) {
            memmove(text + 1, text, strlen(text) + 1);
            text[0] = '(';
        }
    }
}

static void trimming(struct world *world, struct command *command)
{
    if (one_in(world, 2)) {
        word(command, "MAXLEN");
        if (one_in(world, 2))
            word(command, "=");
        word(command, "%u", (unsigned)below(world, 60));
    } else {
        word(command, "MINID");
        stream_id(world, command);
    }
    if (one_in(world, 15)) /* which only goes with ~ */
        word(command, "LIMIT"), number(world, command);
}

/* ---- Families
 * --------------------------------------------------------------------------------------
 */

static void set_command(struct world *world, struct command *command)
{
    word(command, "SET");
    key(world, command, 's');
    value(world, command);
    if (one_in(world, 50))
        command->large_bytes = below(world, 200000);
    else if (one_in(world, 2))
        CHOOSE(world, command, "NX", "XX", "GET", "KEEPTTL", "nonsense");
    else if (one_in(world, 4))
        word(command, "EX"), word(command, "%u", 10000 + 1000 * (unsigned)below(world, 5));
}

static void expire_command(struct world *world, struct command *command)
{
    CHOOSE(world, command, "EXPIRE", "PEXPIRE");
    key(world, command, "slx"[below(world, 3)]);
    /* No time comes twice, since GT and LT would then compare the servers'
   * clocks. */
    if (!world->gentle && one_in(world, 10))
        word(command, "-1");
    else
        word(command, "%" PRIu64, 100000000 + 100000 * (++world->times * 7919 % 1000003));
    if (one_in(world, 2))
        CHOOSE(world, command, "NX", "XX", "GT", "LT");
}

static void keys_command(struct world *world, struct command *command)
{
    if (!world->gentle && one_in(world, 5))
        CHOOSE(world, command, "DEL", "UNLINK");
    else
        CHOOSE(world, command, "EXISTS", "TYPE", "PERSIST", "TOUCH", "GET", "GET", "OBJECT");
    if (command->words[0][0] == 'O')
        CHOOSE(world, command, "ENCODING", "ENCODING", "ENCODING", "FREQ");
    key(world, command, "slxn"[below(world, 4)]);
}

static void rename_command(struct world *world, struct command *command)
{
    char family = "slx"[below(world, 3)];

    CHOOSE(world, command, "RENAME", "RENAMENX");
    key(world, command, family);
    key(world, command, family);
}

/* Of what is large there is no copy inside a transaction; numbers are small. */
static void copy_command(struct world *world, struct command *command)
{
    char family = "slx"[below(world, 3)];

    if (world->queued > 0) {
        CHOOSE(world, command, "COPY", "MOVE");
        word(command, "n%u", (unsigned)below(world, 5));
        word(command, command->words[0][0] == 'C' ? "n%u" : "%u", (unsigned)below(world, 5));
        return;
    }
    if (!world->gentle && one_in(world, 4)) {
        word(command, "MOVE");
        key(world, command, family);
        word(command, "%u", (unsigned)below(world, 3));
        return;
    }
    word(command, "COPY");
    key(world, command, family);
    key(world, command, family);
    if (one_in(world, 3))
        word(command, "DB"), word(command, "%u", (unsigned)below(world, 3));
    if (!world->gentle && one_in(world, 2))
        word(command, "REPLACE");
}

/* With ALPHA no two weights are the same unless the elements are: what comes
 * first is not said. */
static void sort_command(struct world *world, struct command *command)
{
    bool may_store = one_in(world, 2);
    word(command, may_store ? "SORT" : "SORT_RO");
    key(world, command, 'l');
    bool by_weights = one_in(world, 5);
    if (by_weights)
        word(command, "BY"), word(command, "none-*");
    else if (!one_in(world, 5))
        word(command, "ALPHA");
    if (!by_weights && one_in(world, 3))
        word(command, "BY"), word(command, "nosort");
    if (one_in(world, 2))
        word(command, "DESC");
    if (one_in(world, 3))
        word(command, "LIMIT"), number(world, command), number(world, command);
    for (uint64_t left = one_in(world, 3) ? below(world, 3) : 0; left > 0; left--) {
        word(command, "GET");
        CHOOSE(world, command, "#", "none-*", "s*", "s1");
    }
    if (may_store && !world->gentle && world->queued == 0 && one_in(world, 2))
        word(command, "STORE"), key(world, command, 'l');
}

/* Another server dumps other bytes, so these are of no server. */
static void restore_command(struct world *world, struct command *command)
{
    static const char families[] = "slxx";
    static const char *const values[] = {
        "000676302d303132", "01030276310276320130", "1300000a00000000000100",
        "130110000000000000000100000000000000011d1d0000000a0001010001010181660200"
        "010201000100018176"
        "020401ff010101010100000100"};
    size_t which = below(world, sizeof values / sizeof *values);
    word(command, "RESTORE");
    key(world, command, families[which]);
    word(command, "0");
    word(command, "%s", values[which]);
    command->version = one_in(world, 20) ? 99 : 10;
    if (!world->gentle && one_in(world, 2))
        word(command, "REPLACE");
}

/* Mostly at the clock, where IDs are; Redis 7.0 lets it go below the highest ID that was deleted. */
static void set_id_command(struct world *world, struct command *command)
{
    word(command, "XSETID");
    key(world, command, 'x');
    world->clock += below(world, 10);
    word(command, "%" PRIu64 "-%u", world->clock + 10, (unsigned)below(world, 4));
    if (one_in(world, 2))
        word(command, "MAXDELETEDID"), stream_id(world, command);
    if (one_in(world, 2))
        word(command, "ENTRIESADDED"), word(command, "%u", (unsigned)below(world, 5000));
}

static void push_command(struct world *world, struct command *command)
{
    CHOOSE(world, command, "LPUSH", "RPUSH");
    key(world, command, 'l');
    for (uint64_t left = 1 + below(world, 6); left > 0; left--)
        few_values(world, command);
}

static void pop_command(struct world *world, struct command *command)
{
    CHOOSE(world, command, "LPOP", "RPOP", "LLEN");
    key(world, command, 'l');
    if (command->words[0][0] != 'L' || command->words[0][1] != 'L')
        if (one_in(world, 3))
            word(command, "%d", (int)below(world, 6) - (one_in(world, 20) ? 1 : 0));
}

static void list_change_command(struct world *world, struct command *command)
{
    CHOOSE(world, command, "LSET", "LPOS", "LPOS", "LINDEX", "LINSERT", "LINSERT", "LREM", "LREM");
    key(world, command, 'l');
    if (command->words[0][1] == 'I' && command->words[0][3] == 'S') {
        CHOOSE(world, command, "BEFORE", "AFTER");
        word(command, "v%u", (unsigned)below(world, 4));
        few_values(world, command);
        return;
    }
    if (command->words[0][1] == 'R') {
        word(command, "%d", (int)below(world, 5) - 2);
        word(command, "v%u", (unsigned)below(world, 4));
        return;
    }
    if (command->words[0][1] == 'P') {
        word(command, "v%u", (unsigned)below(world, 4));
        if (one_in(world, 2))
            word(command, "RANK"), word(command, "%d", (int)below(world, 7) - 3);
        if (one_in(world, 2))
            word(command, "COUNT"), word(command, "%u", (unsigned)below(world, 4));
        if (one_in(world, 3))
            word(command, "MAXLEN"), word(command, "%u", (unsigned)below(world, 30));
        return;
    }
    number(world, command);
    if (command->words[0][1] == 'S')
        few_values(world, command);
}

static void list_move_command(struct world *world, struct command *command)
{
    CHOOSE(world, command, "LMOVE", "LMOVE", "RPOPLPUSH", "LMPOP");
    if (command->words[0][1] == 'M' && command->words[0][2] == 'P') {
        unsigned keys = 1 + (unsigned)below(world, 3);
        word(command, "%u", keys);
        while (keys-- > 0)
            key(world, command, 'l');
        CHOOSE(world, command, "LEFT", "RIGHT");
        if (one_in(world, 2))
            word(command, "COUNT"), word(command, "%u", (unsigned)below(world, 6));
        return;
    }
    key(world, command, 'l');
    key(world, command, 'l');
    if (command->words[0][0] == 'L') {
        CHOOSE(world, command, "LEFT", "RIGHT");
        CHOOSE(world, command, "LEFT", "RIGHT");
    }
}

static void list_range_command(struct world *world, struct command *command)
{
    word(command, !world->gentle && one_in(world, 5) ? "LTRIM" : "LRANGE");
    key(world, command, 'l');
    number(world, command);
    number(world, command);
}

static void add_entry_command(struct world *world, struct command *command)
{
    word(command, "XADD");
    key(world, command, 'x');
    if (one_in(world, 10))
        word(command, "NOMKSTREAM");
    if (!world->gentle && one_in(world, 8))
        trimming(world, command);
    world->clock += below(world, 3);
    if (one_in(world, 2))
        word(command, "%" PRIu64 "-*", world->clock);
    else if (one_in(world, 10))
        stream_id(world, command); /* mostly too small */
    else
        word(command, "%" PRIu64 "-%" PRIu64, ++world->clock, below(world, 3));
    for (uint64_t left = 1 + below(world, 3); left > 0; left--) {
        word(command, "f%u", (unsigned)below(world, 3));
        value(world, command);
    }
}

static void stream_range_command(struct world *world, struct command *command)
{
    CHOOSE(world, command, "XRANGE", "XREVRANGE");
    key(world, command, 'x');
    stream_bound(world, command);
    stream_bound(world, command);
    if (one_in(world, 2))
        word(command, "COUNT"), word(command, "%u", (unsigned)below(world, 30));
}

static void stream_read_command(struct world *world, struct command *command)
{
    uint64_t streams = 1 + below(world, 3);

    word(command, "XREAD");
    if (one_in(world, 2))
        word(command, "COUNT"), word(command, "%u", 1 + (unsigned)below(world, 9));
    word(command, "STREAMS");
    for (uint64_t i = 0; i < streams; i++)
        key(world, command, 'x');
    for (uint64_t i = 0; i < streams; i++) {
        if (one_in(world, 5))
            word(command, "$");
        else
            stream_id(world, command);
    }
}

static void stream_cut_command(struct world *world, struct command *command)
{
    if (one_in(world, 2))
        CHOOSE(world, command, "XLEN", "XINFO");
    else
        word(command, !world->gentle && one_in(world, 5) ? "XTRIM" : "XDEL");
    switch (command->words[0][1]) {
    case 'I':
        word(command, "STREAM");
        key(world, command, 'x');
        break;
    case 'T':
        key(world, command, 'x');
        trimming(world, command);
        break;
    case 'D':
        key(world, command, 'x');
        for (uint64_t left = 1 + below(world, 4); left > 0; left--)
            stream_id(world, command);
        break;
    default:
        key(world, command, 'x');
    }
}

static void database_command(struct world *world, struct command *command)
{
    switch (world->gentle ? 2 + below(world, 10) : below(world, 12)) {
    case 0:
        word(command, "FLUSHDB");
        break;
    case 1:
        word(command, "SWAPDB"), word(command, "0"), word(command, "1");
        break;
    case 2:
    case 3:
        world->database = (unsigned)below(world, 2);
        word(command, "SELECT"), word(command, "%u", world->database);
        break;
    default:
        word(command, "DBSIZE");
    }
}

/* MULTI and so many commands; or its end, which mostly is EXEC. */
static void transaction_command(struct world *world, struct command *command)
{
    if (world->queued == 0) {
        CHOOSE(world, command, "MULTI", "MULTI", "MULTI", "WATCH", "WATCH", "UNWATCH", "EXEC",
               "DISCARD");
        if (command->words[0][0] == 'M')
            world->queued = 1 + below(world, 8);
        else if (command->words[0][0] == 'U')
            world->is_watching = false;
        else if (command->words[0][0] == 'W')
            for (uint64_t left = 1 + below(world, 3); left > 0; left--)
                key(world, command, "slxn"[below(world, 4)]);
        if (command->words[0][0] == 'W')
            world->is_watching = true;
        return;
    }
    CHOOSE(world, command, "EXEC", "EXEC", "EXEC", "EXEC", "DISCARD");
    world->queued = 0;
    world->is_watching = false;
}
#include "server/random_strings.h"

/* Now and then one word too few or too many. Where that would change what comes next, not. */
static void spoil_arity(struct world *world, struct command *command)
{
    command->large_bytes = 0;
    if (command->count > 1 && command->version == 0 && one_in(world, 2))
        command->count--;
    else if (command->count < WORDS_MAX)
        word(command, "more");
}

static void make_command(struct world *world, struct command *command)
{
    static void (*const families[])(struct world *, struct command *) = {
        set_command,         keys_command,         keys_command,         expire_command,
        push_command,        push_command,         pop_command,          list_range_command,
        list_range_command,  add_entry_command,    add_entry_command,    add_entry_command,
        add_entry_command,   stream_range_command, stream_range_command, stream_read_command,
        stream_cut_command,  append_command,       set_range_command,    get_range_command,
        get_range_command,   set_variant_command,  get_variant_command,  many_strings_command,
        list_change_command, list_move_command,    number_command,       bit_command,
        bit_command,         combine_command,      field_command,        lcs_command,
    };

    command->count = 0;
    command->large_bytes = 0;
    command->version = 0;
    if (world->queued > 1)
        world->queued--;
    else if (world->queued == 1 || one_in(world, 60)) {
        transaction_command(world, command);
        return;
    }
    if (one_in(world, 100) && world->queued == 0) /* DISCARD would take a SELECT back */
        database_command(world, command);
    else if (!world->gentle && one_in(world, 50))
        rename_command(world, command);
    else if (one_in(world, 60))
        copy_command(world, command);
    else if (one_in(world, 60))
        sort_command(world, command);
    else if (one_in(world, 100))
        restore_command(world, command);
    else if (!world->is_watching && one_in(world, 200)) /* which redis' WATCH passes by */
        set_id_command(world, command);
    else
        families[below(world, sizeof families / sizeof *families)](world, command);
    bool is_of_a_database = strcmp(command->words[0], "SELECT") == 0;
    if (!is_of_a_database && !world->gentle && one_in(world, 100))
        spoil_arity(world, command);
}

static void encode(const struct command *command, struct buffer *out)
{
    struct slice words[WORDS_MAX];
    struct buffer large = {0}, value = {0};

    for (size_t i = 0; i < command->count; i++)
        words[i] = slice_from(command->words[i]);
    if (command->large_bytes) {
        while (large.size < command->large_bytes)
            buffer_append_slice(&large, words[command->count - 1]);
        words[command->count - 1] = buffer_slice(&large);
    }
    if (command->version) {
        rdb_text_from_hex(command->words[3], &value);
        rdb_text_seal(buffer_slice(&value), command->version, &large);
        words[3] = buffer_slice(&large);
    }
    resp_client_encode(out, words, command->count);
    buffer_release(&value);
    buffer_release(&large);
}

/* ---- Comparing
 * -------------------------------------------------------------------------------------
 */

/* What says how Redis stores a stream is not compared. */
static void forget_radix_tree(struct resp_reply *reply)
{
    for (size_t i = 0; i < reply->count; i++)
        forget_radix_tree(&reply->children[i]);
    for (size_t i = 0; i + 1 < reply->count; i++)
        if (reply->children[i].type == '$' &&
            slice_starts_with(buffer_slice(&reply->children[i].text), slice_from("radix-tree-")))
            reply->children[i + 1].integer = 0;
}

/* How a value is kept differs with its history and Redis' version: only its family counts. */
static void forget_encoding(struct resp_reply *reply)
{
    static const char *const kept[][2] = {{"int", "string"},     {"embstr", "string"},
                                          {"raw", "string"},     {"listpack", "list"},
                                          {"quicklist", "list"}, {"ziplist", "list"}};

    for (size_t i = 0; i < reply->count; i++)
        forget_encoding(&reply->children[i]);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (reply->type != '$' || !slice_equal(buffer_slice(&reply->text), slice_from(kept[i][0])))
            continue;
        buffer_clear(&reply->text);
        buffer_append_text(&reply->text, kept[i][1]);
    }
}

static void read_shown(struct resp_client *client, struct buffer *shown)
{
    struct resp_reply reply = {0};

    buffer_clear(shown);
    if (!resp_client_read(client, &reply))
        fail_msg("no reply");
    forget_radix_tree(&reply);
    forget_encoding(&reply);
    resp_reply_show(&reply, shown);
    resp_reply_release(&reply);
}

/* Keeps a line of the command and what ours has answered. */
static void tell(struct world *world, const struct command *command, const struct buffer *shown)
{
    char *line = world->told[world->done % TOLD_MAX];
    size_t size = 0, capacity = sizeof world->told[0];

    for (size_t i = 0; i < command->count && size < capacity; i++)
        size += (size_t)snprintf(line + size, capacity - size, "%.30s ", command->words[i]);
    if (size < capacity)
        snprintf(line + size, capacity - size, "-> %.*s", (int)shown->size,
                 (const char *)shown->data);
}

/* Says what came before, and leaves no server behind. */
static void end_badly(struct world *world)
{
    for (int kind = 0; kind < 2; kind++)
        test_server_kill(&world->servers[kind]);
    uint64_t at = world->done > TOLD_MAX ? world->done - TOLD_MAX : 0;

    for (; at < world->done; at++)
        print_error("  %" PRIu64 ": %s\n", at, world->told[at % TOLD_MAX]);
}

/* What is compared is named by `what`. */
static void compare_shown(struct world *world, const char *what, const struct buffer *shown)
{
    if (slice_equal(buffer_slice(&shown[0]), buffer_slice(&shown[1])))
        return;
    end_badly(world);
    print_error("command %" PRIu64 ": %s\n  ours: %.*s\n  redis: %.*s\n", world->done, what,
                (int)shown[0].size, (const char *)shown[0].data, (int)shown[1].size,
                (const char *)shown[1].data);
    fail_msg("the servers differ");
}

static void compare_replies(struct world *world, const struct command *command)
{
    struct buffer shown[2] = {{0}, {0}};
    char what[WORDS_MAX * WORD_BYTES_MAX];
    size_t size = 0;

    for (size_t i = 0; i < command->count; i++)
        size += (size_t)snprintf(what + size, sizeof what - size, "%s ", command->words[i]);
    for (int kind = 0; kind < 2; kind++)
        read_shown(&world->clients[kind], &shown[kind]);
    compare_shown(world, what, shown);
    tell(world, command, &shown[0]);
    buffer_release(&shown[0]);
    buffer_release(&shown[1]);
    world->done++;
}

#include "server/random_states.h"

static void run_pipeline(struct world *world)
{
    static struct command commands[PIPELINE];
    struct buffer requests = {0};

    for (size_t i = 0; i < PIPELINE; i++) {
        make_command(world, &commands[i]);
        encode(&commands[i], &requests);
    }
    for (int kind = 0; kind < 2; kind++)
        assert_true(resp_client_send(&world->clients[kind], buffer_slice(&requests)));
    for (size_t i = 0; i < PIPELINE; i++)
        compare_replies(world, &commands[i]);
    buffer_release(&requests);
}

static const char *const small_memory[] = {"--memtable-size", "1mb", "--block-cache-size", "1mb",
                                           NULL};

/* What was answered must be there again; a transaction that was open is not. */
static void kill_ours(struct world *world)
{
    struct buffer shown = {0};
    char database[8];

    world->queued = 0;
    world->is_watching = false;
    assert_string_equal(resp_client_ask(&world->clients[SERVER_REDIS], &shown, "RESET"), "+RESET");
    snprintf(database, sizeof database, "%u", world->database);
    assert_string_equal(resp_client_ask(&world->clients[SERVER_REDIS], &shown, "SELECT", database),
                        "+OK");
    resp_client_close(&world->clients[SERVER_CORDWOOD]);
    test_server_kill(&world->servers[SERVER_CORDWOOD]);
    test_server_start(&world->servers[SERVER_CORDWOOD], small_memory);
    test_server_connect(&world->servers[SERVER_CORDWOOD], &world->clients[SERVER_CORDWOOD]);
    assert_string_equal(
        resp_client_ask(&world->clients[SERVER_CORDWOOD], &shown, "SELECT", database), "+OK");
    buffer_release(&shown);
}

static void random_commands_are_answered_as_redis_does(void **state)
{
    struct world world = {.clock = 1000};
    const char *given = getenv("COMMANDS");
    uint64_t commands = given ? strtoull(given, NULL, 10) : COMMANDS;
    struct buffer shown = {0};

    (void)state;
    if (!test_server_available(SERVER_REDIS))
        skip();
    random_init(&world.random, test_seed());
    for (int kind = 0; kind < 2; kind++) {
        test_server_init(&world.servers[kind], kind);
        test_server_start(&world.servers[kind], kind == SERVER_CORDWOOD ? small_memory : NULL);
        test_server_connect(&world.servers[kind], &world.clients[kind]);
    }
    for (uint64_t kills = 0; world.done < commands;) {
        if (world.done % MOOD_COMMANDS == 0)
            world.gentle = !one_in(&world, 3);
        run_pipeline(&world);
        if (world.done % STEP_COMMANDS == 0 && world.queued == 0)
            take_step(&world);
        if (world.done > (kills + 1) * commands / (KILLS + 1)) {
            kill_ours(&world);
            compare_states(&world);
            kills++;
        }
    }
    leave_transaction(&world);
    compare_states(&world);
    assert_string_equal(
        resp_client_ask(&world.clients[SERVER_CORDWOOD], &shown, "DEBUG", "INVARIANTS"), "+OK");
    buffer_release(&shown);
    for (int kind = 0; kind < 2; kind++) {
        resp_client_close(&world.clients[kind]);
        assert_int_equal(test_server_stop(&world.servers[kind]), 0);
        test_server_release(&world.servers[kind]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_commands_are_answered_as_redis_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
