/* SPDX-License-Identifier: MIT */
/* Steps between the pipelines, outside of transactions: a value goes from one server to both, a key expires, all that
 * is stored is compared; for test_random_commands.c alone. */
#ifndef SERVER_RANDOM_STATES_H
#define SERVER_RANDOM_STATES_H

enum { DATABASES = 3, KEYS_MAX = 64, EXPIRY_MS_APART = 50000 };

/* The same to both, which must answer the same. */
static void ask_both(struct world *world, const struct slice *words, size_t count)
{
    struct buffer shown[2] = {{0}, {0}};
    char what[256];

    for (int kind = 0; kind < 2; kind++) {
        assert_true(resp_client_send_command(&world->clients[kind], words, count));
        read_shown(&world->clients[kind], &shown[kind]);
    }
    snprintf(what, sizeof what, "%.*s %.*s", (int)words[0].size, (const char *)words[0].data,
             count > 1 ? (int)words[1].size : 0, count > 1 ? (const char *)words[1].data : "");
    compare_shown(world, what, shown);
    buffer_release(&shown[0]);
    buffer_release(&shown[1]);
}

#define ASK_BOTH(world, ...)                                  \
    do {                                                      \
        const struct slice words[] = {__VA_ARGS__};           \
        ask_both(world, words, sizeof words / sizeof *words); \
    } while (0)

static void choose_database(struct world *world, unsigned database)
{
    char number[8];

    snprintf(number, sizeof number, "%u", database);
    ASK_BOTH(world, slice_from("SELECT"), slice_from(number));
}

static void leave_transaction(struct world *world)
{
    if (world->queued > 0)
        ASK_BOTH(world, slice_from("DISCARD"));
    world->queued = 0;
}

/* ---- All that is stored -------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The keys of the chosen database, by SCAN, in order; returns how many. */
static size_t scan_names(struct resp_client *client, char names[KEYS_MAX][16])
{
    struct resp_reply reply = {0};
    char cursor[32] = "0";
    size_t count = 0;

    do {
        assert_true(resp_client_call(client, &reply, "SCAN", cursor, "COUNT", "7"));
        assert_int_equal(reply.count, 2);
        snprintf(cursor, sizeof cursor, "%.*s", (int)reply.children[0].text.size,
                 (const char *)reply.children[0].text.data);
        for (size_t i = 0; i < reply.children[1].count; i++) {
            const struct buffer *name = &reply.children[1].children[i].text;
            assert_true(count < KEYS_MAX);
            snprintf(names[count++], sizeof names[0], "%.*s", (int)name->size,
                     (const char *)name->data);
        }
        resp_reply_release(&reply);
        reply = (struct resp_reply){0};
    } while (strcmp(cursor, "0") != 0);
    qsort(names, count, sizeof names[0], compare_names);
    return count;
}

/* Times of expiry are this far apart at least, and the servers' clocks less. */
static void compare_expiry(struct world *world, const char *name)
{
    int64_t ms[2];
    struct resp_reply reply = {0};

    for (int kind = 0; kind < 2; kind++) {
        assert_true(resp_client_call(&world->clients[kind], &reply, "PTTL", name));
        ms[kind] = reply.integer;
        resp_reply_release(&reply);
        reply = (struct resp_reply){0};
    }
    bool is_none = ms[0] < 0 || ms[1] < 0;
    if (is_none ? ms[0] == ms[1] : llabs(ms[0] - ms[1]) < EXPIRY_MS_APART)
        return;
    end_badly(world);
    print_error("PTTL %s: ours %" PRId64 ", redis %" PRId64 "\n", name, ms[0], ms[1]);
    fail_msg("times of expiry differ");
}

static void compare_value(struct world *world, const char *name)
{
    struct slice key = slice_from(name);
    struct buffer shown = {0};
    const char *type = resp_client_ask(&world->clients[SERVER_REDIS], &shown, "TYPE", name);

    ASK_BOTH(world, slice_from("TYPE"), key);
    if (strcmp(type, "+string") == 0) {
        ASK_BOTH(world, slice_from("GET"), key);
    } else if (strcmp(type, "+list") == 0) {
        ASK_BOTH(world, slice_from("LRANGE"), key, slice_from("0"), slice_from("-1"));
        ASK_BOTH(world, slice_from("LLEN"), key);
    } else {
        ASK_BOTH(world, slice_from("XRANGE"), key, slice_from("-"), slice_from("+"));
        ASK_BOTH(world, slice_from("XINFO"), slice_from("STREAM"), key);
    }
    buffer_release(&shown);
    compare_expiry(world, name);
}

/* Every key of every database that the commands use: it is there in both, and has the same value. */
static void compare_states(struct world *world)
{
    char names[2][KEYS_MAX][16];

    for (unsigned database = 0; database < DATABASES; database++) {
        choose_database(world, database);
        size_t count = scan_names(&world->clients[SERVER_CORDWOOD], names[SERVER_CORDWOOD]);
        assert_int_equal(count, scan_names(&world->clients[SERVER_REDIS], names[SERVER_REDIS]));
        for (size_t i = 0; i < count; i++) {
            assert_string_equal(names[SERVER_CORDWOOD][i], names[SERVER_REDIS][i]);
            compare_value(world, names[SERVER_REDIS][i]);
        }
        ASK_BOTH(world, slice_from("DBSIZE"));
    }
    choose_database(world, world->database);
}

/* ---- Steps --------------------------------------------------------------------------------------- */

static void choose_name(struct world *world, char name[16])
{
    snprintf(name, 16, "%c%u", "slxn"[below(world, 4)], (unsigned)below(world, 5));
}

/* What one of the two dumps is restored by both, under a name of the same family. */
static void carry_value(struct world *world)
{
    int from = (int)below(world, 2);
    struct resp_reply dumped = {0};
    char name[16], other[16];

    choose_name(world, name);
    snprintf(other, sizeof other, "%c%u", name[0], (unsigned)below(world, 5));
    assert_true(resp_client_call(&world->clients[from], &dumped, "DUMP", name));
    if (dumped.text.size > 0) {
        ASK_BOTH(world, slice_from("RESTORE"), slice_from(other), slice_from("0"),
                 buffer_slice(&dumped.text), slice_from("REPLACE"));
        compare_value(world, other);
    }
    resp_reply_release(&dumped);
}

/* A key whose time has come is gone for who reads and who writes, whether it was removed or not. DBSIZE would tell:
 * so something new is put there. */
static void let_expire(struct world *world)
{
    const struct timespec pause = {0, 5 * 1000000};
    char name[16], id[32];

    choose_name(world, name);
    struct slice key = slice_from(name);
    ASK_BOTH(world, slice_from("PEXPIRE"), key, slice_from("1"));
    nanosleep(&pause, NULL);
    ASK_BOTH(world, slice_from("TYPE"), key);
    snprintf(id, sizeof id, "%" PRIu64 "-*", ++world->clock);
    if (name[0] == 'l')
        ASK_BOTH(world, slice_from("RPUSH"), key, slice_from("v1"));
    else if (name[0] == 'x')
        ASK_BOTH(world, slice_from("XADD"), key, slice_from(id), slice_from("f0"),
                 slice_from("v1"));
    else
        ASK_BOTH(world, slice_from("APPEND"), key, slice_from("1"));
    compare_value(world, name);
}

static void take_step(struct world *world)
{
    switch (below(world, 8)) {
    case 0:
        compare_states(world);
        break;
    case 1:
        if (!world->gentle)
            let_expire(world);
        break;
    default:
        carry_value(world);
    }
}

#endif
