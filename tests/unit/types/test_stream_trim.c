/* SPDX-License-Identifier: MIT */
#include "unit/types/stream_fixture.h"

#include "base/random.h"
#include "lib/seed.h"

static uint64_t maxlen(uint64_t length)
{
    return trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = length});
}

static uint64_t minid(const char *text)
{
    return trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MINID, .minid = make_id(text)});
}

/* Entries 1-0, 2-0 ... */
static void add_many(unsigned count)
{
    struct stream stream;
    struct slice fields[] = {slice_from("f"), slice_from("v")};
    memory_store_write(&ms);
    assert_int_equal(stream_find_or_new(&ms.access, slice_from("s"), &stream), STATUS_OK);
    assert_int_equal(stream_append_begin(&ms.access, &stream), STATUS_OK);
    uint64_t next = stream.header.last_id.ms + 1;
    for (unsigned i = 0; i < count; i++, next++) {
        struct stream_input input = {.fields = fields, .field_count = 1, .event_ms = next};
        stream_append(&ms.access, &stream, (struct stream_id){next, 0}, &input);
    }
    stream_append_end(&ms.access, &stream);
    memory_store_end(&ms);
}

static void trimming_to_a_length_keeps_the_newest(void **state)
{
    (void)state;
    add_many(10);
    assert_int_equal(maxlen(10), 0);
    assert_string_equal(memory_store_facts(&ms), "");
    assert_int_equal(maxlen(7), 3);
    assert_string_equal(memory_store_facts(&ms), "t xtrim s");
    assert_string_equal(range("-", "+", false), "4-0 5-0 6-0 7-0 8-0 9-0 10-0");
    assert_int_equal(maxlen(0), 7);
    assert_string_equal(range("-", "+", false), "");
    assert_int_equal(maxlen(0), 0);
    assert_int_equal(header_now().entries_added, 10);
    assert_int_equal(header_now().max_deleted_id.ms, 0);
}

static void trimming_to_an_id_keeps_it_and_what_follows(void **state)
{
    (void)state;
    add_many(10);
    assert_int_equal(minid("0"), 0);
    assert_int_equal(minid("1"), 0);
    assert_int_equal(minid("3-1"), 3);
    assert_string_equal(range("-", "5", false), "4-0 5-0");
    assert_int_equal(minid("10"), 6);
    assert_string_equal(range("-", "+", false), "10-0");
    assert_int_equal(minid("10-1"), 1);
    assert_int_equal(header_now().length, 0);
}

static void deleted_entries_do_not_count(void **state)
{
    struct stream_id ids[] = {{3, 0}, {5, 0}, {6, 0}, {10, 0}};
    (void)state;
    add_many(10);
    assert_int_equal(delete_ids(ids, 4), 4);
    assert_int_equal(maxlen(4), 2);
    assert_string_equal(range("-", "+", false), "4-0 7-0 8-0 9-0");
    assert_int_equal(minid("6"), 1);
    assert_int_equal(maxlen(1), 2);
    assert_string_equal(range("-", "+", false), "9-0");
    /* The newest that is left is older than the last ID. */
    assert_int_equal(minid("9-1"), 1);
    assert_int_equal(header_now().length, 0);
}

static void adding_trims_what_it_makes_too_many(void **state)
{
    struct stream_trim three = {.kind = STREAM_TRIM_MAXLEN, .maxlen = 3};
    (void)state;
    add_many(3);
    assert_string_equal(add_trimmed("4", &three), "4-0");
    assert_string_equal(memory_store_facts(&ms), "t xadd s, t xtrim s");
    assert_string_equal(range("-", "+", false), "2-0 3-0 4-0");
    struct stream_trim none = {.kind = STREAM_TRIM_MAXLEN};
    assert_string_equal(add_trimmed("5", &none), "5-0");
    assert_string_equal(range("-", "+", false), "");
    assert_string_equal(add_trimmed("6", &none), "6-0");
    assert_int_equal(header_now().length, 0);
    struct stream_trim later = {.kind = STREAM_TRIM_MINID, .minid = {9, 0}};
    assert_string_equal(add_trimmed("7", &later), "7-0");
    assert_int_equal(header_now().length, 0);
    assert_string_equal(add_trimmed("8", &three), "8-0");
    struct stream_trim between = {.kind = STREAM_TRIM_MINID, .minid = {8, 5}};
    assert_string_equal(add_trimmed("9", &between), "9-0");
    assert_string_equal(range("-", "+", false), "9-0");
    assert_int_equal(header_now().entries_added, 9);
}

static void the_newest_entry_stays_when_all_before_it_were_deleted(void **state)
{
    struct stream_trim one = {.kind = STREAM_TRIM_MAXLEN, .maxlen = 1};
    (void)state;
    add_many(3);
    delete_id("3");
    delete_id("2");
    assert_string_equal(add_trimmed("4", &one), "4-0");
    assert_string_equal(range("-", "+", false), "4-0");
}

static void approximate_trimming_goes_by_whole_nodes(void **state)
{
    struct stream_trim trim = {.kind = STREAM_TRIM_MAXLEN, .maxlen = 555, .node_entries = 100};
    (void)state;
    add_many(1000);
    assert_int_equal(trim_by(&trim), 400);
    assert_int_equal(trim_by(&trim), 0);
    trim.maxlen = 1;
    trim.limit = 150;
    assert_int_equal(trim_by(&trim), 100);
    trim.limit = 99;
    assert_int_equal(trim_by(&trim), 0);
    trim.limit = 0;
    assert_int_equal(trim_by(&trim), 400);
    struct stream_trim by_id = {.kind = STREAM_TRIM_MINID, .minid = {999, 0}, .node_entries = 100};
    assert_int_equal(trim_by(&by_id), 0);
    by_id.minid.ms = 1001;
    assert_int_equal(trim_by(&by_id), 100);
    assert_int_equal(header_now().length, 0);
}

static uint64_t versions_now(void)
{
    struct lsm_stats stats;
    lsm_get_stats(store_engine(ms.store), &stats);
    return stats.memtable_versions;
}

static void trimming_a_large_stream_is_constant(void **state)
{
    struct vfs_fault_counters before, after;
    (void)state;
    for (int i = 0; i < 20; i++)
        add_many(5000);
    delete_id("70000");
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    (void)header_now();
    uint64_t versions = versions_now();
    vfs_fault_counters(ms.vfs, &before);
    assert_int_equal(maxlen(10), 99989);
    vfs_fault_counters(ms.vfs, &after);
    assert_string_equal(range("-", "99993", false), "99991-0 99992-0 99993-0");
    assert_in_range(versions_now() - versions, 1, 4);
    assert_in_range(after.calls[VFS_CALL_READ] - before.calls[VFS_CALL_READ], 1, 40);
}

static void trimming_one_by_one_writes_few_range_deletions(void **state)
{
    struct stream_trim trim = {.kind = STREAM_TRIM_MAXLEN, .maxlen = 1000};
    struct lsm_stats stats;
    uint64_t range_deletes = 0;
    (void)state;
    add_many(1000);
    for (int i = 0; i < 2000; i++) {
        add_trimmed("*", &trim);
        ms.now_ms++;
    }
    memory_store_work(&ms, true);
    lsm_get_stats(store_engine(ms.store), &stats);
    for (unsigned i = 0; i < stats.tree_count; i++)
        range_deletes += stats.trees[i].range_delete_count;
    assert_in_range(range_deletes, 0, 2000 / 125);
    assert_int_equal(header_now().length, 1000);
    /* What waits for one is bounded. */
    struct stream_header header = header_now();
    assert_in_range(header.first_ordinal - header.garbage_ordinal, 0, 125);
}

/* IDs in bursts, gaps and runs of sequence numbers: the search must find every ordinal. */
static void any_distribution_of_ids_is_searched(void **state)
{
    struct random random;
    struct stream_id ids[3000];
    struct slice fields[] = {slice_from("f"), slice_from("v")};
    struct stream stream;
    (void)state;
    random_init(&random, test_seed());
    struct stream_id id = {1, 0};
    memory_store_write(&ms);
    assert_int_equal(stream_find_or_new(&ms.access, slice_from("s"), &stream), STATUS_OK);
    assert_int_equal(stream_append_begin(&ms.access, &stream), STATUS_OK);
    for (size_t i = 0; i < 3000; i++) {
        uint64_t kind = random_below(&random, 100);
        if (kind < 60)
            id.seq += 1 + random_below(&random, 3);
        else if (kind < 90)
            id = (struct stream_id){id.ms + 1 + random_below(&random, 20), 0};
        else if (kind < 98)
            id = (struct stream_id){id.ms + ((uint64_t)1 << random_below(&random, 50)), 0};
        else
            id.seq += (uint64_t)1 << random_below(&random, 52);
        ids[i] = id;
        struct stream_input input = {.fields = fields, .field_count = 1, .event_ms = id.ms};
        stream_append(&ms.access, &stream, id, &input);
    }
    stream_append_end(&ms.access, &stream);
    memory_store_end(&ms);
    for (size_t first = 0; first < 3000;) {
        size_t removed = 1 + random_below(&random, first % 3 ? 10 : 300);
        if (first + removed > 3000)
            removed = 3000 - first;
        assert_int_equal(maxlen(3000 - first - removed), removed);
        first += removed;
        if (first < 3000)
            assert_int_equal(stream_id_compare(header_now().first_id, ids[first]), 0);
    }
}

/* An entry's record by hand; without an ordinal it goes. */
static void change_entry(uint64_t ms_part, const uint64_t *ordinal)
{
    struct stream stream;
    uint8_t key[STREAM_ENTRY_KEY_BYTES];
    struct buffer value = {0};
    const struct slice fields[] = {slice_from("f"), slice_from("v")};
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    stream_entry_key_store(key, stream.prefix, (struct stream_id){ms_part, 0});
    if (ordinal) {
        stream_record_encode(
            &(struct stream_record){.ordinal = *ordinal, .fields = fields, .field_count = 1},
            &value);
        ms.is_damaged = true;
        access_put(&ms.access, TREE_ENTRIES, slice_make(key, sizeof key), buffer_slice(&value));
    } else {
        access_delete(&ms.access, TREE_ENTRIES, slice_make(key, sizeof key));
    }
    memory_store_end(&ms);
    buffer_release(&value);
}

static enum status try_maxlen(uint64_t length)
{
    struct stream stream;
    uint64_t removed = 77;
    struct stream_trim trim = {.kind = STREAM_TRIM_MAXLEN, .maxlen = length};
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    enum status status = stream_trim(&ms.access, &stream, &trim, &removed);
    assert_true(status == STATUS_OK || lsm_writer_is_empty(ms.access.writer));
    assert_true(status == STATUS_OK || removed == 77);
    memory_store_end(&ms);
    return status;
}

static void entries_that_are_missing_or_out_of_order_are_reported(void **state)
{
    uint64_t ordinal = 1000;
    (void)state;
    add_many(100);
    for (uint64_t i = 51; i <= 100; i++)
        change_entry(i, NULL);
    assert_int_equal(try_maxlen(40), STATUS_CORRUPT);
    assert_int_equal(try_maxlen(95), STATUS_OK);
    change_entry(50, &ordinal);
    assert_int_equal(try_maxlen(51),
                     STATUS_CORRUPT); /* the entry found has an ordinal beyond all */
    assert_int_equal(header_now().length, 95);
}

/* The bound of a MINID needs no count of deletions, its LIMIT does. */
static void a_limit_that_cannot_be_counted_is_said(void **state)
{
    struct stream stream;
    struct stream_id id = {500, 0};
    uint64_t removed;
    struct stream_trim trim = {
        .kind = STREAM_TRIM_MINID, .minid = {900, 0}, .node_entries = 100, .limit = 300};
    (void)state;
    add_many(1000);
    assert_int_equal(delete_ids(&id, 1), 1);
    memory_store_work(&ms, true);
    ms.options.block_cache_bytes = 1;
    for (uint64_t n = 1;; n++) {
        memory_store_reopen(&ms);
        uint64_t before = vfs_fault_failed_count(ms.vfs);
        memory_store_write(&ms);
        assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
        vfs_fault_fail(ms.vfs, 1u << VFS_CALL_READ, n, STATUS_IO, false);
        enum status status = stream_trim(&ms.access, &stream, &trim, &removed);
        bool met = vfs_fault_failed_count(ms.vfs) > before;
        vfs_fault_fail(ms.vfs, 0, 0, STATUS_OK, false);
        assert_int_equal(status, met ? STATUS_IO : STATUS_OK);
        assert_true(!met || lsm_writer_is_empty(ms.access.writer));
        memory_store_end(&ms);
        if (!met)
            break;
    }
    assert_int_equal(removed, 300);
}

static uint64_t cache_bytes(void)
{
    struct lsm_stats stats;
    lsm_get_stats(store_engine(ms.store), &stats);
    return stats.cache_bytes;
}

/* Entries 1-0, 2-0 ... of long lines, in tables alone, and the dictionary of these in memory. */
static void fill_tables(unsigned count)
{
    char line[301];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = 0;
    for (unsigned i = 1; i <= count; i++) {
        snprintf(line, 11, "%010u", i * 2654435761u);
        line[10] = ' ';
        write_line(line, 0);
        ms.now_ms++;
    }
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    (void)header_now();
}

/* Of the blocks that a search passes it wants IDs and ordinals: it decodes no more. */
static void a_search_decodes_heads_alone(void **state)
{
    (void)state;
    fill_tables(2000);
    uint64_t first_ms = header_now().first_id.ms;
    char id[32];
    snprintf(id, sizeof id, "%llu", (unsigned long long)first_ms);
    assert_string_not_equal(range(id, id, false), ""); /* the index and the dictionary, too */
    uint64_t before = cache_bytes();
    snprintf(id, sizeof id, "%llu", (unsigned long long)first_ms + 1500);
    assert_string_not_equal(range(id, id, false), "");
    uint64_t whole = cache_bytes() - before;
    assert_in_range(whole, 8000, 100000);
    before = cache_bytes();
    assert_int_equal(maxlen(1000), 1000);
    assert_in_range(cache_bytes() - before, 1, whole / 2);
    before = cache_bytes();
    snprintf(id, sizeof id, "%llu", (unsigned long long)first_ms + 1300);
    assert_int_equal(minid(id), 300);
    assert_in_range(cache_bytes() - before, 1, whole / 4);
    assert_int_equal(header_now().first_id.ms, first_ms + 1300);
    assert_int_equal(header_now().length, 700);
}

/* A header by hand that states more ordinals than there are IDs between its bounds. */
static void a_search_among_too_few_ids_ends(void **state)
{
    struct stream stream;
    (void)state;
    add_many(40);
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    struct stream_header header = stream.header;
    uint8_t body[STREAM_HEADER_BYTES_MAX];
    header.last_id = (struct stream_id){1, 5};
    header.next_ordinal = header.length = 1000000;
    struct object object = stream.found;
    object.body = slice_make(body, stream_header_encode(&header, body));
    memory_store_plant(&ms, slice_from("s"), &object);
    memory_store_end(&ms);
    assert_int_equal(try_maxlen(999900), STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(trimming_to_a_length_keeps_the_newest),
        TEST(trimming_to_an_id_keeps_it_and_what_follows),
        TEST(deleted_entries_do_not_count),
        TEST(adding_trims_what_it_makes_too_many),
        TEST(the_newest_entry_stays_when_all_before_it_were_deleted),
        TEST(approximate_trimming_goes_by_whole_nodes),
        TEST(trimming_a_large_stream_is_constant),
        TEST(trimming_one_by_one_writes_few_range_deletions),
        TEST(entries_that_are_missing_or_out_of_order_are_reported),
        TEST(a_limit_that_cannot_be_counted_is_said),
        TEST(a_search_decodes_heads_alone),
        TEST(a_search_among_too_few_ids_ends),
        TEST(any_distribution_of_ids_is_searched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
