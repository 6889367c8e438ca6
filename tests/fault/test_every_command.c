/* SPDX-License-Identifier: MIT */
/* One level above the engine: commands of every type through sessions, while every vfs call and every
 * allocation that can fail fails in turn, once and for good. A reply is the one of the run without
 * faults or an error in Redis's words; what was refused was not done; reads are right or say that they
 * cannot; nothing acknowledged is lost; the next start is whole. A sample is tried; all of it with
 * FAULTS=all (make faults). */
#include "base/memory.h"
#include "commands/service.h"
#include "lib/fault_campaign.h"
#include "lib/rdb_text.h"
#include "lib/resp_reply.h"
#include "lib/seed.h"
#include "types/rdb_reader.h"
#include "types/store.h"
#include "vfs/vfs_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    SAMPLE = 1,
    ALLOCATION_SAMPLE = 3,
    LARGE_BYTES = 129 << 10,
    MANY = 4500, /* words: their list, and what is made of it, is above MEMORY_SURE_BYTES */
    PENDING_MAX = 8,
    A_SECOND_MS = 1100,
};

/* ---- The script ---------------------------------------------------------------------------- */

/* Every key is read by one command, whose reply shows all of it. */
static const struct {
    const char *name, *read;
} KEYS[] = {
    {"small", "GET small"},
    {"large", "GET large"},
    {"list", "LRANGE list 0 -1"},
    {"stream", "XRANGE stream - +"},
    {"log", "LOG.RANGE log - +"},
    {"json", "XLEN json"},
    {"gone", "EXISTS gone"},
    {"last", "GET last"},
    {"elements", "LRANGE elements 0 -1"},
    {"many", "LRANGE many 0 -1"},
    {"wide", "XREVRANGE wide + -"},
    {"lines", "XRANGE lines - +"},
    {"blob", "LOG.RANGE blob - +"},
    {"copied", "GET copied"},
    {"listed", "LRANGE listed 0 -1"},
    {"parts", "GET parts"},
    {"bits", "BITCOUNT bits"},
    {"sorted", "LRANGE sorted 0 -1"},
    {"restored", "LRANGE restored 0 -1"},
};
enum { KEY_COUNT = sizeof(KEYS) / sizeof(KEYS[0]), ALL_KEYS = -1, NO_KEY = -2 };

/* A word $ stands for a value of LARGE_BYTES, # for MANY words, ~ for as many IDs, ^ for NDJSON with a line
 * of many fields and escapes, = for a dumped list with an element of LARGE_BYTES; in JSON lines $ is text with escapes, # members, and & entries. */
static const struct step {
    int key; /* which it changes */
    const char *command;
    bool json;
    bool is_large; /* for the campaign of allocations alone; of its key none follows that is not */
    int needs;     /* 1 + the key that it copies; 0: none */
} STEPS[] = {
    {0, "SET small hello", false},
    {1, "SET large $", false},
    {2, "LPUSH list a b c", false},
    {3, "XADD stream 1-1 field value", false},
    {6, "SET gone soon", false},
    {15, "MSET parts $", false},
    {16, "SETBIT bits 70 1", false},
    {NO_KEY, "flush", false},
    {3, "XADD stream 2-1 field other", false},
    {4, "LOG.WRITE log LEVEL error -- message host web1", false},
    {15, "SETRANGE parts 32766 over", false},
    {15, "APPEND parts more", false},
    {15, "BITFIELD parts INCRBY u16 524280 1 SET u8 600000 77", false},
    {16, "BITOP NOT bits bits", false},
    {5, "{\"action\":\"write\",\"log\":\"json\",\"message\":\"text\",\"timestamp\":1000}", true},
    {5, "{\"action\":\"write\",\"log\":\"json\",\"message\":\"$\",\"metadata\":{#}}", true, true},
    {5, "{\"action\":\"write_many\",\"log\":\"json\",\"entries\":[&]}", true, true},
    {8, "RPUSH elements $ small", false},
    {14, "COPY elements listed", .needs = 8 + 1},
    {17, "SORT elements ALPHA STORE sorted", .needs = 8 + 1},
    {18, "RESTORE restored 0 ="},
    {8, "RPOPLPUSH elements elements", false, true},
    {8, "LINSERT elements BEFORE small $", false, true},
    {8, "LINSERT elements BEFORE small x", false, true},
    {8, "LREM elements 1 $", false, true},
    {8, "LSET elements 0 $", false, true},
    {8, "LPOP elements", false, true},
    {9, "RPUSH many #", false, true},
    {10, "XADD wide 1-1 $ $ #", false, true},
    {10, "XADD wide 2-1 field value", false, true},
    {11, "LOG.MWRITE lines LINES 4500 #", false, true},
    {12, "LOG.MWRITE blob NDJSON ^", false, true},
    {13, "COPY large copied", .needs = 1 + 1},
    {1, "SET large shorter GET", false, true},
    {1, "DEL large", false},
    {3, "XTRIM stream MAXLEN 1", false},
    {3, "XSETID stream 9-9 MAXDELETEDID 1-1", false},
    {NO_KEY, "flush", false},
    {6, "DEL gone", false},
    {16, "SETBIT bits 500000 1", false},
    {15, "GETDEL parts", false},
    {2, "RPUSH list d", false},
    {2, "LSET list 1 z", false},
    {2, "LMOVE list list LEFT RIGHT", false},
    {2, "LMPOP 1 list LEFT", false},
    {2, "BLMOVE list list LEFT RIGHT 0", false},
    {13, "MOVE copied 1", false},
    {14, "COPY list listed REPLACE", .needs = 2 + 1},
    {2, "LINSERT list AFTER d i", false},
    {2, "LREM list 0 a", false},
    {17, "SORT list ALPHA DESC STORE sorted", .needs = 2 + 1},
    {NO_KEY, "compact", false},
    {9, "RPUSH many end", false, true},
    {9, "LINSERT many BEFORE end x", false, true},
    {9, "LREM many 0 x", false, true},
    {9, "RPOP many 4499", false, true},
    {10, "XDEL wide ~", false, true},
    {11, "XDEL lines ~", false, true},
    {NO_KEY, "flush", false},
    {ALL_KEYS, "FLUSHALL", false},
    {7, "SET last one", false},
};
enum { STEP_COUNT = sizeof(STEPS) / sizeof(STEPS[0]) };

/* Replies of the run without faults. */
static struct {
    char *absent[KEY_COUNT];   /* the key is not there */
    char *replies[STEP_COUNT]; /* of the step */
    char *reads[STEP_COUNT];   /* of its key then */
} oracle;

/* ---- A server without sockets -------------------------------------------------------------- */

struct rig {
    struct vfs *memory, *fault;
    struct env env;
    uint64_t now_ms;
    bool always, runs_large_steps;
    struct store *store; /* NULL: stopped */
    struct config *config;
    struct service *service;
    struct session *session, *json;
    char *text;                                  /* of the last reply */
    const char *now[KEY_COUNT];                  /* what reads say of a key */
    const char *acked[KEY_COUNT];                /* as of the last acknowledgement */
    const char *pending[KEY_COUNT][PENDING_MAX]; /* states since then */
    unsigned pending_count[KEY_COUNT];
    bool is_broken[KEY_COUNT]; /* a step of it was refused: later ones are left out */
    bool log_failed;
    char context[200];
    bool tolerant; /* reads may be told errors now */
    uint64_t errors_told;
};

static void broken(const struct rig *rig, const char *what, const char *said)
{
    fail_msg("SEED=%llu, %s: %s: %.300s", (unsigned long long)test_seed(), rig->context, what,
             said);
}

static uint64_t rig_wall_ms(void *context)
{
    return 1000000 + ((struct rig *)context)->now_ms;
}
static uint64_t rig_monotonic_us(void *context)
{
    return ((struct rig *)context)->now_ms * 1000;
}
static void rig_random(void *context, void *data, size_t size)
{
    (void)context;
    memset(data, 0x5a, size);
}
static void rig_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    if (getenv("VERBOSE"))
        fprintf(stderr, "engine: %s\n", line);
}
static void rig_wake(void *context, void *owner)
{
    (void)context;
    (void)owner;
}
static void rig_shutdown(void *context, bool now)
{
    (void)context;
    (void)now;
}
static bool rig_reload(void *context, struct lsm_report *report)
{
    (void)context;
    (void)report;
    return false;
}

static struct session *rig_session(struct rig *rig, bool json)
{
    return session_create(rig->service, &(struct session_options){.address = "127.0.0.1:50000",
                                                                  .local_address = "127.0.0.1:6379",
                                                                  .file_descriptor = -1,
                                                                  .is_local = true,
                                                                  .json = json,
                                                                  .owner = rig});
}

static enum status rig_start(struct rig *rig, struct lsm_report *report)
{
    const struct store_options options = {
        .memtable_bytes = 1 << 20,
        .block_cache_bytes = rig->runs_large_steps ? 1 << 20 : 64 << 10,
        .wal_segment_bytes = 64 << 10,
        .wal_compression = rig->always ? LSM_WAL_LZ4 : LSM_WAL_PLAIN,
        .wal_page_bytes = 64,
        .table_bytes_max = 64 << 10,
        .block_bytes = rig->runs_large_steps ? 64 << 10 : 4096,
        .cold_compression = test_seed() % 2 && lsm_has_zstd() ? LSM_ZSTD : LSM_LZ4,
        .build_bytes_max = 40000,
        .ack_durable = rig->always,
    };
    report->text[0] = 0;
    enum status status = store_open(&rig->env, "/data", &options, report, &rig->store);
    if (status != STATUS_OK) {
        rig->store = NULL;
        return status;
    }
    rig->service = service_create(&rig->env, rig->store, rig->config,
                                  &(struct service_host){.wake = rig_wake,
                                                         .shutdown = rig_shutdown,
                                                         .disconnect = rig_wake,
                                                         .reload = rig_reload,
                                                         .context = rig});
    rig->session = rig_session(rig, false);
    rig->json = rig_session(rig, true);
    return STATUS_OK;
}

static enum status rig_stop(struct rig *rig)
{
    session_destroy(rig->session);
    session_destroy(rig->json);
    service_destroy(rig->service);
    enum status status = store_close(rig->store);
    rig->store = NULL;
    return status;
}

static void rig_init(struct rig *rig, bool always, const char *context)
{
    *rig = (struct rig){.memory = vfs_memory_create(), .always = always};
    rig->fault = vfs_fault_create(rig->memory);
    rig->env = (struct env){rig->fault, rig_wall_ms, rig_monotonic_us, rig_random, rig_log, rig};
    rig->config = config_create();
    snprintf(rig->context, sizeof(rig->context), "%s", context);
    for (int i = 0; i < KEY_COUNT; i++)
        rig->now[i] = rig->acked[i] = oracle.absent[i];
}

static void rig_release(struct rig *rig)
{
    config_destroy(rig->config);
    vfs_destroy(rig->fault);
    vfs_destroy(rig->memory);
    memory_free(rig->text);
}

static void append_bulk(struct buffer *into, struct slice bytes)
{
    buffer_printf(into, "$%zu\r\n", bytes.size);
    buffer_append_slice(into, bytes);
    buffer_append_text(into, "\r\n");
}

static void append_large(struct buffer *into, const char *between)
{
    enum { PIECE = 1000 };
    uint8_t piece[PIECE];
    buffer_reserve(into, LARGE_BYTES + (LARGE_BYTES / PIECE + 1) * strlen(between));
    for (size_t at = 0; at < LARGE_BYTES; at += PIECE) {
        size_t size = LARGE_BYTES - at < PIECE ? LARGE_BYTES - at : PIECE;
        for (size_t i = 0; i < size; i++)
            piece[i] = (uint8_t)('a' + (at + i) * (at + i) % 23);
        buffer_append_byte(into, piece[0]);
        buffer_append_text(into, between);
        buffer_append(into, piece + 1, size - 1);
    }
}

static void append_members(struct buffer *into)
{
    for (int i = 0; i < 2 * MANY; i++)
        buffer_printf(into, "%s\"member %d\":%s", i ? "," : "", i % (MANY + 1),
                      i % 2 ? "1" : "\"\\t\"");
}

static void append_ndjson(struct buffer *into)
{
    buffer_append_text(into, "{\"message\":\"first\",\"timestamp\":1000}\n{");
    append_members(into);
    buffer_append_text(into, ",\"timestamp\":2000,\"message\":\"");
    append_large(into, "\\u00e9");
    buffer_append_text(into, "\"}\n{\"message\":\"last\",\"timestamp\":1500}");
}

static void append_payload(struct buffer *into)
{
    struct buffer value = {0}, element = {0};
    append_large(&element, "");
    rdb_text_from_hex("01 02", &value);
    rdb_put_string(&value, buffer_slice(&element));
    rdb_put_string(&value, slice_from("small"));
    rdb_text_seal(buffer_slice(&value), 10, into);
    buffer_release(&element);
    buffer_release(&value);
}

static void append_word(struct buffer *into, struct slice word)
{
    struct buffer bytes = {0};
    char letter = word.size == 1 ? (char)word.data[0] : 0;
    for (int i = 1; i <= MANY && (letter == '#' || letter == '~'); i++) {
        buffer_clear(&bytes);
        buffer_printf(&bytes, letter == '#' ? "word number %d" : "1-%d", i);
        append_bulk(into, buffer_slice(&bytes));
    }
    if (letter == '$')
        append_large(&bytes, "");
    else if (letter == '^')
        append_ndjson(&bytes);
    else if (letter == '=')
        append_payload(&bytes);
    else
        buffer_append_slice(&bytes, word);
    if (letter != '#' && letter != '~')
        append_bulk(into, buffer_slice(&bytes));
    buffer_release(&bytes);
}

static void append_request(struct buffer *into, const char *command)
{
    size_t words = 1;
    for (const char *at = command; *at; at++)
        words += *at == '#' || *at == '~' ? MANY - 1 : *at == ' ';
    buffer_printf(into, "*%zu\r\n", words);
    while (*command) {
        size_t size = strcspn(command, " ");
        append_word(into, slice_make(command, size));
        command += size + (command[size] == ' ');
    }
}

static void append_json(struct buffer *into, const char *command)
{
    for (; *command; command++) {
        if (*command == '$')
            append_large(into, "\\n");
        else if (*command == '#')
            append_members(into);
        else if (*command == '&')
            for (int i = 0; i < MANY; i++)
                buffer_printf(into, "%s{\"message\":\"%d\",\"timestamp\":%d}", i ? "," : "", i,
                              i % 7);
        else
            buffer_append_byte(into, (uint8_t)*command);
    }
    buffer_append_byte(into, '\n');
}

/* The reply's text; "-closed" if the session has ended instead. Valid until the next call. */
static const char *ask(struct rig *rig, const char *command, bool json)
{
    struct buffer bytes = {0}, shown = {0};
    struct session **session = json ? &rig->json : &rig->session;
    if (json)
        append_json(&bytes, command);
    else
        append_request(&bytes, command);
    /* In two halves, so that the first is kept. */
    session_feed(*session, slice_make(bytes.data, bytes.size / 2));
    session_feed(*session, slice_skip(buffer_slice(&bytes), bytes.size / 2));
    while (session_state(*session) == SESSION_PARKED) {
        session_work(*session);
        session_resume(*session);
    }
    struct slice output = session_output(*session);
    if (output.size == 0) {
        assert_int_equal(session_state(*session), SESSION_CLOSING);
        session_destroy(*session);
        *session = rig_session(rig, json);
        buffer_append_text(&shown, "-closed");
    } else if (json) {
        buffer_append_slice(&shown, slice_make(output.data, output.size - 1));
    } else {
        struct resp_reply reply = {0};
        size_t consumed = 0;
        assert_int_equal(resp_reply_read(output, &reply, &consumed), REPLY_COMPLETE);
        assert_int_equal(consumed, output.size);
        resp_reply_show(&reply, &shown);
        resp_reply_release(&reply);
    }
    session_output_consume(*session, session_output(*session).size);
    if (session_state(*session) == SESSION_CLOSING) { /* it had nowhere to put the request */
        session_destroy(*session);
        *session = rig_session(rig, json);
    }
    buffer_append_byte(&shown, 0);
    buffer_release(&bytes);
    memory_free(rig->text);
    rig->text = (char *)shown.data;
    return rig->text;
}

/* Errors as Redis and this server word them; anything else is no error that a client may see. */
static bool is_error(const char *reply, bool json)
{
    static const char *const texts[] = {
        "-MISCONF Errors writing to the AOF file: No space left on device",
        "-MISCONF Errors writing to the AOF file: Input/output error",
        "-ERR input/output error",
        "-ERR out of memory",
        "-closed",
    };
    if (json)
        return strstr(reply, "\"status\":\"error\"") || strcmp(reply, "-closed") == 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(reply, texts[i]) == 0)
            return true;
    }
    return false;
}

/* ---- Running the script -------------------------------------------------------------------- */

static bool log_has_failed(struct rig *rig)
{
    struct lsm_stats stats;
    lsm_get_stats(store_engine(rig->store), &stats);
    return stats.read_only;
}

/* As the host does before replies leave. */
static void acknowledge(struct rig *rig)
{
    struct lsm *engine = store_engine(rig->store);
    enum status status = rig->always ? lsm_wal_sync(engine) : lsm_wal_write(engine);
    rig->log_failed = log_has_failed(rig);
    assert_true(status == STATUS_OK || rig->log_failed);
    for (int i = 0; i < KEY_COUNT; i++) {
        if (rig->log_failed)
            rig->now[i] = rig->acked[i];
        else
            rig->acked[i] = rig->now[i];
        if (!rig->log_failed)
            rig->pending_count[i] = 0;
    }
}

static void note_state(struct rig *rig, int key, const char *state)
{
    assert_true(rig->pending_count[key] < PENDING_MAX);
    rig->pending[key][rig->pending_count[key]++] = state;
    rig->now[key] = state;
}

static void check_read(struct rig *rig, int key)
{
    const char *reply = ask(rig, KEYS[key].read, false);
    if (strcmp(reply, rig->now[key]) == 0)
        return;
    if (rig->tolerant && is_error(reply, false))
        rig->errors_told++;
    else
        broken(rig, KEYS[key].read, reply);
}

static void work(struct rig *rig, bool compact)
{
    struct lsm *engine = store_engine(rig->store);
    if (compact)
        lsm_request_compact(engine);
    else
        lsm_request_flush(engine);
    for (int i = 0; i < 100000 && lsm_work(engine, 1 << 20); i++)
        ;
}

static void run_step(struct rig *rig, int number)
{
    const struct step *step = &STEPS[number];
    if (step->is_large && !rig->runs_large_steps)
        return;
    if (step->key == NO_KEY) {
        work(rig, strcmp(step->command, "compact") == 0);
        if (log_has_failed(rig))
            acknowledge(rig);
        return;
    }
    if (step->needs && rig->is_broken[step->needs - 1])
        rig->is_broken[step->key] = true;
    if (step->key >= 0 && rig->is_broken[step->key])
        return;
    const char *reply = ask(rig, step->command, step->json);
    if (strcmp(reply, oracle.replies[number]) == 0) {
        for (int key = 0; key < KEY_COUNT; key++) {
            if (step->key == ALL_KEYS)
                note_state(rig, key, oracle.absent[key]);
        }
        if (step->key >= 0)
            note_state(rig, step->key, oracle.reads[number]);
    } else if (is_error(reply, step->json)) {
        /* Of the log Redis says MISCONF; only a read may fail otherwise. */
        if (!rig->tolerant && strcmp(reply, "-ERR input/output error") == 0)
            broken(rig, step->command, reply);
        rig->errors_told++;
        for (int key = 0; key < KEY_COUNT; key++) {
            if (step->key == ALL_KEYS || step->key == key)
                rig->is_broken[key] = true;
        }
    } else {
        broken(rig, step->command, reply);
    }
    acknowledge(rig);
    if (step->key >= 0)
        check_read(rig, step->key);
}

static void check_all(struct rig *rig)
{
    for (int key = 0; key < KEY_COUNT; key++)
        check_read(rig, key);
}

/* What a start without faults finds: the acknowledged state, or one written behind it. */
static void check_next_start(struct rig *rig)
{
    struct lsm_report report;
    if (vfs_memory_open_count(rig->memory) > 0)
        broken(rig, "files are open", "");
    for (int i = 0; i < 2; i++) {
        if (rig_start(rig, &report) != STATUS_OK)
            broken(rig, "the next start", report.text);
        for (int key = 0; key < KEY_COUNT; key++) {
            const char *reply = ask(rig, KEYS[key].read, false);
            bool known = strcmp(reply, rig->acked[key]) == 0;
            for (unsigned k = 0; k < rig->pending_count[key] && !known; k++)
                known = strcmp(reply, rig->pending[key][k]) == 0;
            if (!known)
                broken(rig, "after the next start", reply);
        }
        if (strcmp(ask(rig, "SET again 1", false), "+OK") != 0)
            broken(rig, "after the next start", rig->text);
        assert_int_equal(rig_stop(rig), STATUS_OK);
    }
    if (lsm_verify(&rig->env, "/data", store_codecs, NULL, NULL) != STATUS_OK)
        broken(rig, "verify", "");
}

/* The script, up to where the fault may strike. Faults are armed; false: the start has failed. */
static bool run_script(struct rig *rig, bool may_hurt_reads, enum status expected)
{
    struct lsm_report report;
    enum status status = rig_start(rig, &report);
    if (status != STATUS_OK) {
        if (status != expected && !(expected == STATUS_IO && status == STATUS_CORRUPT))
            broken(rig, "start", report.text);
        if (!strstr(report.text, "/data") && !strstr(report.text, "MANIFEST") &&
            !strstr(report.text, ".wal"))
            broken(rig, "the report names no file", report.text);
        return false;
    }
    rig->tolerant = may_hurt_reads;
    for (int i = 0; i < STEP_COUNT; i++)
        run_step(rig, i);
    check_all(rig);
    return true;
}

/* The fault has passed: all reads are right, and writes too unless the log has failed. */
static void finish(struct rig *rig)
{
    rig->tolerant = false;
    check_all(rig);
    rig->now_ms += A_SECOND_MS;
    work(rig, false);
    rig->log_failed = log_has_failed(rig);
    const char *reply = ask(rig, "SET last again", false);
    bool refused =
        strcmp(reply, "-MISCONF Errors writing to the AOF file: Input/output error") == 0;
    if (rig->log_failed ? !refused : strcmp(reply, "+OK") != 0)
        broken(rig, "a write behind the fault", reply);
    if (!rig->log_failed) {
        note_state(rig, 7, "\"again\"");
        acknowledge(rig);
        check_all(rig);
    }
    if ((rig_stop(rig) == STATUS_OK) == rig->log_failed)
        broken(rig, "the stop", "says something else than the log");
}

/* ---- Campaigns ----------------------------------------------------------------------------- */

static uint64_t told, starts_failed;

static void run_under_vfs_fault(void *context, const struct fault_plan *plan,
                                struct fault_counts *counts)
{
    struct rig rig;
    struct vfs_fault_counters calls;
    rig_init(&rig, *(bool *)context, fault_plan_text(plan));
    fault_plan_arm(plan, rig.fault);
    bool started = run_script(&rig, fault_plan_hurts_reads(plan), plan->error);
    fault_plan_disarm(rig.fault);
    vfs_fault_counters(rig.fault, &calls);
    memcpy(counts->calls, calls.calls, sizeof(counts->calls));
    counts->failed = vfs_fault_failed_count(rig.fault);
    if (started)
        finish(&rig);
    else
        starts_failed++;
    check_next_start(&rig);
    told += rig.errors_told;
    rig_release(&rig);
}

static void every_vfs_call_under_commands(void **state)
{
    (void)state;
    struct fault_totals totals = {0};
    for (int always = 0; always < 2; always++) {
        bool context = always;
        const struct fault_campaign campaign = {.name = always ? "commands, always"
                                                               : "commands, everysec",
                                                .run = run_under_vfs_fault,
                                                .context = &context,
                                                .sample = SAMPLE};
        fault_campaign_run(&campaign, &totals);
    }
    fault_totals_print(&totals);
    printf("%llu errors told to clients, %llu starts refused\n", (unsigned long long)told,
           (unsigned long long)starts_failed);
    assert_true(told > 100);
}

/* Returns how many allocations were tried. n = 0: none fails. */
static uint64_t run_under_allocation_fault(uint64_t n, bool for_good, uint64_t *failed)
{
    struct rig rig;
    char context[100];
    snprintf(context, sizeof(context), "allocation %llu fails %s", (unsigned long long)n,
             for_good ? "for good" : "once");
    rig_init(&rig, false, context);
    rig.runs_large_steps = true;
    uint64_t before = memory_try_count(), failed_before = memory_failed_try_count();
    memory_fail_try(n, for_good);
    bool started = run_script(&rig, true, STATUS_NO_MEMORY);
    if (started && n == 0) /* a stop and a start over data are part of it */
        assert_int_equal(rig_stop(&rig), STATUS_OK);
    uint64_t tried = memory_try_count() - before;
    *failed = memory_failed_try_count() - failed_before;
    memory_fail_try(0, false);
    if (n > 0 && started) {
        finish(&rig);
        told += rig.errors_told;
    }
    check_next_start(&rig);
    rig_release(&rig);
    return tried;
}

static void every_allocation_under_commands(void **state)
{
    (void)state;
    uint64_t failed = 0, strikes = 0, runs = 0;
    const char *faults = getenv("FAULTS");
    uint64_t count = run_under_allocation_fault(0, false, &failed);
    uint64_t stride = faults && strcmp(faults, "all") == 0 ? 1 : count / ALLOCATION_SAMPLE + 1;
    told = 0;
    assert_int_equal(failed, 0);
    for (int for_good = 0; for_good < 2; for_good++) {
        for (uint64_t n = 1; n <= count; n += stride, runs++) {
            (void)run_under_allocation_fault(n, for_good, &failed);
            strikes += failed;
        }
    }
    printf(
        "ran: %llu allocations of a script of commands, %llu runs, %llu failed, %llu errors told\n",
        (unsigned long long)count, (unsigned long long)runs, (unsigned long long)strikes,
        (unsigned long long)told);
    assert_true(strikes >= runs && told > 0);
}

/* Recovery of a chain of frames, the manifest, tables: with an allocation failing at each. */
static void every_allocation_of_a_start(void **state)
{
    (void)state;
    struct rig rig;
    struct lsm_report report;
    uint64_t n = 1;
    rig_init(&rig, false, "start");
    assert_int_equal(rig_start(&rig, &report), STATUS_OK);
    for (int i = 0; i < 6; i++)
        run_step(&rig, i);
    assert_string_equal(ask(&rig, "SET behind $", false), "+OK"); /* stays in the log */
    acknowledge(&rig);
    struct vfs *killed = vfs_memory_after_power_loss(rig.memory, VFS_KEEP_ALL, 1);
    assert_int_equal(rig_stop(&rig), STATUS_OK);
    struct vfs *fault = rig.fault, *memory = rig.memory;
    for (;; n++) {
        rig.memory = vfs_memory_after_power_loss(killed, VFS_KEEP_ALL, 1);
        rig.env.vfs = rig.memory;
        uint64_t before = memory_failed_try_count();
        memory_fail_try(n, n % 2 == 0);
        enum status status = rig_start(&rig, &report);
        bool failed = memory_failed_try_count() > before;
        memory_fail_try(0, false);
        if (status != STATUS_OK) {
            assert_int_equal(status, STATUS_NO_MEMORY);
            assert_non_null(strstr(report.text, "out of memory"));
            assert_int_equal(vfs_memory_open_count(rig.memory), 0);
        } else {
            assert_int_equal(rig_stop(&rig), STATUS_OK);
        }
        check_next_start(&rig);
        vfs_destroy(rig.memory);
        if (!failed)
            break;
    }
    rig.memory = memory;
    rig.fault = fault;
    vfs_destroy(killed);
    rig_release(&rig);
    printf("ran: %llu allocations of a start, each failed\n", (unsigned long long)n - 1);
    assert_true(n > 4);
}

/* ---- The run without faults ---------------------------------------------------------------- */

static char *text_copy(const char *text)
{
    return memory_copy(text, strlen(text) + 1);
}

static int record(void **state)
{
    struct rig rig;
    struct lsm_report report;
    (void)state;
    rig_init(&rig, false, "without faults");
    assert_int_equal(rig_start(&rig, &report), STATUS_OK);
    for (int key = 0; key < KEY_COUNT; key++)
        oracle.absent[key] = text_copy(ask(&rig, KEYS[key].read, false));
    for (int i = 0; i < STEP_COUNT; i++) {
        const struct step *step = &STEPS[i];
        if (step->key == NO_KEY) {
            work(&rig, strcmp(step->command, "compact") == 0);
            continue;
        }
        oracle.replies[i] = text_copy(ask(&rig, step->command, step->json));
        if (is_error(oracle.replies[i], step->json))
            broken(&rig, step->command, oracle.replies[i]);
        if (step->key < 0)
            continue;
        oracle.reads[i] = text_copy(ask(&rig, KEYS[step->key].read, false));
        assert_string_not_equal(oracle.reads[i], "");
        bool is_deleted = strncmp(step->command, "DEL", 3) == 0 ||
                          strncmp(step->command, "MOVE", 4) == 0 ||
                          strncmp(step->command, "GETDEL", 6) == 0;
        assert_int_equal(strcmp(oracle.reads[i], oracle.absent[step->key]) == 0, is_deleted);
    }
    assert_string_equal(oracle.reads[0], "\"hello\"");
    assert_true(strlen(oracle.reads[1]) == LARGE_BYTES + 2);
    assert_int_equal(rig_stop(&rig), STATUS_OK);
    rig_release(&rig);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    for (int key = 0; key < KEY_COUNT; key++)
        memory_free(oracle.absent[key]);
    for (int i = 0; i < STEP_COUNT; i++) {
        memory_free(oracle.replies[i]);
        memory_free(oracle.reads[i]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vfs_call_under_commands),
        cmocka_unit_test(every_allocation_under_commands),
        cmocka_unit_test(every_allocation_of_a_start),
    };
    return cmocka_run_group_tests(tests, record, forget);
}
