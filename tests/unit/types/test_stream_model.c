/* SPDX-License-Identifier: MIT */
/* A stream against a plain array, with random verbs, reopens, crashes and flushes. */
#include "unit/types/stream_fixture.h"

#include "base/random.h"
#include "lib/seed.h"
#include "types/store_check.h"

#include <stdlib.h>

enum { ENTRIES_MAX = 20000, STEPS = 3000 };

struct model_entry {
    struct stream_id id;
    uint64_t event_ms;
    uint64_t ordinal;
};

struct model {
    struct model_entry entries[ENTRIES_MAX];
    size_t count;
    uint64_t next_ordinal;
    struct stream_id last_id, max_deleted_id;
};

static struct model model;
static struct random rng;

static uint64_t below(uint64_t bound)
{
    return random_below(&rng, bound);
}

static void model_add(struct stream_id id, uint64_t event_ms)
{
    assert_true(model.count < ENTRIES_MAX);
    assert_true(stream_id_compare(id, model.last_id) > 0);
    model.entries[model.count++] = (struct model_entry){id, event_ms, model.next_ordinal++};
    model.last_id = id;
}

static void model_cut(size_t count)
{
    memmove(model.entries, model.entries + count, (model.count - count) * sizeof model.entries[0]);
    model.count -= count;
}

static size_t model_trim(const struct stream_trim *trim)
{
    size_t exact = 0;
    if (trim->kind == STREAM_TRIM_MAXLEN)
        exact = model.count > trim->maxlen ? model.count - (size_t)trim->maxlen : 0;
    else
        while (exact < model.count && stream_id_compare(model.entries[exact].id, trim->minid) < 0)
            exact++;
    if (trim->node_entries > 0 && trim->limit > 0 && exact > trim->limit)
        exact = (size_t)trim->limit;
    /* Back to the beginning of a node. */
    while (trim->node_entries > 0 && exact > 0 && exact < model.count &&
           model.entries[exact].ordinal / trim->node_entries ==
               model.entries[exact - 1].ordinal / trim->node_entries)
        exact--;
    model_cut(exact);
    return exact;
}

static struct stream_trim random_trim(void)
{
    struct stream_trim trim = {.kind = below(2) ? STREAM_TRIM_MAXLEN : STREAM_TRIM_MINID};
    if (trim.kind == STREAM_TRIM_MAXLEN)
        trim.maxlen =
            below(8) ? model.count - (model.count ? below(model.count) / 4 : 0) : below(50);
    else if (model.count > 0)
        trim.minid = model.entries[below(model.count) / (1 + below(8))].id;
    if (trim.kind == STREAM_TRIM_MINID && below(3) == 0)
        trim.minid.seq += below(3);
    if (below(3) == 0) {
        trim.node_entries = 10;
        trim.limit = below(2) * (1 + below(60));
    }
    return trim;
}

static void step_add(void)
{
    struct stream_trim trim = {0};
    char text[64];
    if (below(3) == 0)
        trim = random_trim();
    if (below(2)) {
        snprintf(text, sizeof text, "*");
    } else {
        unsigned long long ms_ = model.last_id.ms + below(4);
        snprintf(text, sizeof text, below(2) ? "%llu-*" : "%llu-%llu", ms_,
                 (unsigned long long)(model.last_id.seq + below(3)));
    }
    const char *given = add_trimmed(text, &trim);
    if (!*given)
        return;
    struct stream_id id = make_id(given);
    model_add(id, id.ms);
    if (trim.kind != STREAM_TRIM_NONE)
        (void)model_trim(&trim);
}

static void step_write_line(void)
{
    uint64_t count = 1 + (below(6) ? 0 : below(120));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t event_ms = below(3) ? ms.now_ms - below(2000) : ms.now_ms + below(100);
        uint64_t last_ms = model.last_id.ms;
        struct stream_id id = make_id(write_line("m", event_ms));
        assert_true(event_ms < last_ms || id.ms == event_ms);
        model_add(id, event_ms);
    }
}

static void step_delete(void)
{
    struct stream_id ids[40];
    size_t count = 1 + below(40), expected = 0;
    if (model.count == 0)
        return;
    size_t near = below(model.count);
    for (size_t i = 0; i < count; i++) {
        size_t at = below(2) ? below(model.count) : (near + below(10)) % model.count;
        if (below(6) == 0)
            at = below(2) ? 0 : model.count - 1;
        ids[i] = model.entries[at].id;
        if (below(10) == 0)
            ids[i].seq += 1;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < model.count; at++) {
            if (stream_id_compare(model.entries[at].id, ids[i]) != 0)
                continue;
            memmove(model.entries + at, model.entries + at + 1,
                    (model.count - at - 1) * sizeof model.entries[0]);
            model.count--;
            expected++;
            if (stream_id_compare(ids[i], model.max_deleted_id) > 0)
                model.max_deleted_id = ids[i];
            break;
        }
    }
    if (header_now().next_ordinal > 0)
        assert_int_equal(delete_ids(ids, count), expected);
}

static void step_trim(void)
{
    struct stream_trim trim = random_trim();
    uint64_t removed = trim_by(&trim);
    assert_int_equal(removed, model_trim(&trim));
}

static void step_drop(void)
{
    bool deleted;
    memory_store_write(&ms);
    assert_int_equal(keyspace_delete(&ms.access, slice_from("s"), &deleted), STATUS_OK);
    memory_store_end(&ms);
    model = (struct model){0};
}

/* ---- Checks --------------------------------------------------------------------------------- */

static void check_header(void)
{
    struct stream_header header = header_now();
    assert_int_equal(header.length, model.count);
    assert_int_equal(header.next_ordinal, model.next_ordinal);
    assert_int_equal(stream_id_compare(header.last_id, model.last_id), 0);
    assert_int_equal(stream_id_compare(header.max_deleted_id, model.max_deleted_id), 0);
    if (model.count == 0)
        return;
    assert_int_equal(header.first_ordinal, model.entries[0].ordinal);
    assert_int_equal(stream_id_compare(header.first_id, model.entries[0].id), 0);
}

static void check_range(void)
{
    struct stream stream;
    struct stream_range entries;
    struct stream_entry entry;
    bool is_reverse = below(2);
    size_t from = below(model.count), to = from + below(model.count - from);
    if (below(4) == 0) {
        from = 0;
        to = model.count - 1;
    }
    size_t at = is_reverse ? to : from, left = to - from + 1;
    memory_store_read(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    stream_range_open(&ms.access, &stream, model.entries[from].id, model.entries[to].id, is_reverse,
                      &entries);
    for (; left > 0; left--, at = is_reverse ? at - 1 : at + 1) {
        assert_int_equal(stream_range_next(&entries, &entry), STATUS_OK);
        assert_int_equal(stream_id_compare(entry.id, model.entries[at].id), 0);
        assert_int_equal(entry.ordinal, model.entries[at].ordinal);
        assert_int_equal(entry.event_ms, model.entries[at].event_ms);
        assert_int_equal(entry.is_late, entry.event_ms != entry.id.ms);
    }
    assert_int_equal(stream_range_next(&entries, &entry), STATUS_NOT_FOUND);
    stream_range_close(&entries);
    memory_store_end(&ms);
}

static struct stream_moment moment_of(const struct model_entry *entry)
{
    return (struct stream_moment){entry->event_ms, entry->id};
}

static int compare_moments(const void *a, const void *b)
{
    return stream_moment_compare(moment_of(a), moment_of(b));
}

static void check_time(void)
{
    static struct model_entry sorted[ENTRIES_MAX];
    struct stream stream;
    struct log_range entries;
    struct stream_entry entry;
    bool is_reverse = below(2);
    memcpy(sorted, model.entries, model.count * sizeof sorted[0]);
    qsort(sorted, model.count, sizeof sorted[0], compare_moments);
    size_t from = below(model.count), to = from + below(model.count - from);
    struct stream_moment first = moment_of(&sorted[from]), last = moment_of(&sorted[to]);
    if (below(2)) { /* whole milliseconds */
        first.id = STREAM_ID_MIN;
        last.id = STREAM_ID_MAX;
        while (from > 0 && sorted[from - 1].event_ms == first.event_ms)
            from--;
        while (to + 1 < model.count && sorted[to + 1].event_ms == last.event_ms)
            to++;
    }
    size_t at = is_reverse ? to : from, left = to - from + 1;
    if (left > 500)
        left = 500;
    bool to_the_end = left == to - from + 1;
    memory_store_read(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    log_range_open(&ms.access, &stream, first, last, is_reverse, &entries);
    for (; left > 0; left--, at = is_reverse ? at - 1 : at + 1) {
        assert_int_equal(log_range_next(&entries, &entry), STATUS_OK);
        assert_int_equal(stream_id_compare(entry.id, sorted[at].id), 0);
        assert_int_equal(entry.event_ms, sorted[at].event_ms);
    }
    if (to_the_end)
        assert_int_equal(log_range_next(&entries, &entry), STATUS_NOT_FOUND);
    log_range_close(&entries);
    memory_store_end(&ms);
}

static void a_stream_is_what_a_plain_array_would_be(void **state)
{
    (void)state;
    random_init(&rng, test_seed());
    ms.now_ms = 1000000;
    for (int step = 0; step < STEPS; step++) {
        uint64_t kind = below(1000);
        if (kind < 500)
            step_add();
        else if (kind < 700)
            step_write_line();
        else if (kind < 860)
            step_delete();
        else if (kind < 960)
            step_trim();
        else if (kind < 963)
            step_drop();
        else if (kind < 975)
            memory_store_work(&ms, true);
        else if (kind < 985)
            memory_store_reopen(&ms);
        else if (kind < 990)
            memory_store_crash(&ms, VFS_KEEP_ALL, below(1000));
        ms.now_ms += below(5);
        check_header();
        if (model.count > 0 && step % 3 == 0) {
            check_range();
            check_time();
        }
        if (step % 50 == 0) {
            struct lsm_report report = {""};
            if (store_check(ms.store, &report))
                fail_msg("%s", report.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stream_is_what_a_plain_array_would_be, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
