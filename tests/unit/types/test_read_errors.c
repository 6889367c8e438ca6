/* SPDX-License-Identifier: MIT */
/* Every read of a table fails in turn, n = 1, 2, 3 ... until none does, under each verb of the types on
 * a store of which nothing is in memory. A verb that meets the error returns it and has written
 * nothing; done again without it, it succeeds, and the store is sound. With a cache too small to hold a
 * block every second look is a read as well. */
#include "lib/fault_campaign.h"
#include "unit/types/stream_fixture.h"

#include "types/list.h"
#include "types/store_check.h"
#include "types/store_repair.h"
#include "types/string.h"

enum { READS_MAX = 20000, LINES = 600, DELETIONS = 40 };

static const struct store_options roomy = {
    .databases = 2, .memtable_bytes = 4 << 20, .wal_segment_bytes = 256 * 1024};
static const struct store_options tight = {.databases = 2,
                                           .memtable_bytes = 4 << 20,
                                           .wal_segment_bytes = 256 * 1024,
                                           .block_cache_bytes = 1};
/* Few records lie together, so that a verb comes to the next block in the middle of its way. */
static const struct store_options scattered = {.databases = 2,
                                               .memtable_bytes = 4 << 20,
                                               .wal_segment_bytes = 256 * 1024,
                                               .block_bytes = 64,
                                               .block_cache_bytes = 1};
static uint64_t faults, verbs;

/* ---- A store with everything ----------------------------------------------------------------- */

static void fill_strings_and_lists(void)
{
    static uint8_t large[100000];
    char text[600];
    uint64_t length;
    memory_store_write(&ms);
    string_set(&ms.access, slice_from("small"), slice_from("v"), NULL,
               &(struct string_set_options){.expire_ms = ms.now_ms + 100000});
    string_set(&ms.access, slice_from("plain"), slice_from("v"), NULL,
               &(struct string_set_options){0});
    string_set(&ms.access, slice_from("large"), slice_make(large, sizeof large), NULL,
               &(struct string_set_options){0});
    for (int i = 0; i < 100; i++) {
        memset(text, 'a' + i % 26, sizeof text);
        struct slice element =
            i % 40 == 7 ? slice_make(large, 70000) : slice_make(text, sizeof text);
        assert_int_equal(
            list_push(&ms.access, slice_from("list"), LIST_RIGHT, &element, 1, false, &length),
            STATUS_OK);
    }
    string_set(&ms.access, slice_from("due"), slice_from("v"), NULL,
               &(struct string_set_options){.expire_ms = ms.now_ms + 1});
    assert_int_equal(access_select(&ms.access, 1), STATUS_OK);
    string_set(&ms.access, slice_from("elsewhere"), slice_from("v"), NULL,
               &(struct string_set_options){0});
    memory_store_end(&ms);
}

/* Of 600 elements, every tenth of which is the same; inserted ones behind 50, and removed ones. */
static void fill_sparse_list(void)
{
    uint64_t length;
    char text[16];
    memory_store_write(&ms);
    for (int i = 0; i <= 600; i++) {
        snprintf(text, sizeof text, "%d", i);
        struct slice value = slice_from(i == 600 ? "end" : i % 10 == 9 ? "same" : text);
        assert_int_equal(
            list_push(&ms.access, slice_from("sparse"), LIST_RIGHT, &value, 1, false, &length),
            STATUS_OK);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(list_insert(&ms.access, slice_from("sparse"),
                                     &(struct list_insertion){.pivot = slice_from("50"),
                                                              .value = slice_from("in")},
                                     &length),
                         STATUS_OK);
    assert_int_equal(list_remove(&ms.access, slice_from("sparse"),
                                 &(struct list_removal){.count = -5, .value = slice_from("same")},
                                 &length),
                     STATUS_OK);
    memory_store_end(&ms);
}

/* Late entries, long runs of them, deletions over more than one node, garbage below the first one. */
static void fill_stream(void)
{
    struct stream_id ids[DELETIONS];
    for (uint64_t i = 0; i < LINES; i++) {
        ms.now_ms += 3;
        write_line("a line of a usual length, give or take", i % 100 < 50 ? 5000 + i : 0);
    }
    struct stream stream;
    struct slice fields[] = {slice_from("f"), slice_from("v")};
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    assert_int_equal(stream_append_begin(&ms.access, &stream), STATUS_OK);
    for (size_t i = 0; i < 2000; i++) {
        ms.now_ms += i < 1500 ? 1 : 4; /* so that a guess by ordinals falls behind the entry, too */
        struct stream_id id = {ms.now_ms, 0};
        struct stream_input input = {.fields = fields, .field_count = 1, .event_ms = id.ms};
        stream_append(&ms.access, &stream, id, &input);
        if (i % 50 == 0)
            ids[i / 50] = id;
    }
    stream_append_end(&ms.access, &stream);
    memory_store_end(&ms);
    assert_int_equal(delete_ids(ids, DELETIONS), DELETIONS);
    assert_int_equal(header_now().deletion_levels, 2);
    assert_int_equal(trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = 2500}),
                     LINES + 2000 - DELETIONS - 2500);
}

static void open_filled(const struct store_options *options)
{
    memory_store_open(&ms, options);
    fill_strings_and_lists();
    fill_sparse_list();
    fill_stream();
    memory_store_work(&ms, true);
}

/* ---- Verbs ----------------------------------------------------------------------------------- */

static void ignore(void *context, struct slice value)
{
    (void)context;
    (void)value;
}
static void ignore_index(void *context, uint64_t index)
{
    (void)context;
    (void)index;
}
static const struct list_visitor visitor = {.element = ignore};
static uint64_t number;

static enum status get_large(void)
{
    struct slice value;
    return string_get(&ms.access, slice_from("large"), &value);
}

static enum status count_missing_pieces(void)
{
    struct object object;
    enum status status = keyspace_find(&ms.access, slice_from("large"), &object);
    return status ? status : string_count_missing(&ms.access, &object, &number);
}

static enum status read_the_list(void)
{
    return list_range(&ms.access, slice_from("list"), 0, -1, &visitor);
}

static enum status read_the_list_backwards_in_parts(void)
{
    struct slice value;
    enum status status = list_range(&ms.access, slice_from("list"), -3, -2, &visitor);
    return status ? status : list_index(&ms.access, slice_from("list"), 47, &value);
}

static enum status pop_elements(void)
{
    return list_pop(&ms.access, slice_from("list"), LIST_LEFT, 10, &visitor);
}

static enum status push_an_element(void)
{
    struct slice value = slice_from("e");
    return list_push(&ms.access, slice_from("list"), LIST_RIGHT, &value, 1, true, &number);
}

static enum status trim_the_list(void)
{
    return list_trim(&ms.access, slice_from("list"), 37, 67);
}

static enum status search_the_list(void)
{
    struct list_search search = {.value = slice_from("nothing"), .rank = -1, .found = ignore_index};
    return list_find_elements(&ms.access, slice_from("list"), &search);
}

static enum status turn_the_list(void)
{
    return list_move(&ms.access, slice_from("list"), LIST_RIGHT, slice_from("list"), LIST_LEFT,
                     &visitor);
}

static enum status move_a_large_element(void)
{
    return list_move(&ms.access, slice_from("list"), LIST_LEFT, slice_from("other"), LIST_LEFT,
                     &visitor);
}

static enum status replace_a_large_element(void)
{
    return list_set(&ms.access, slice_from("list"), 87, slice_from("small"));
}

/* ---- A sparse list, of slots in two levels. */

static enum status read_the_sparse_list(void)
{
    return list_range(&ms.access, slice_from("sparse"), 0, -1, &visitor);
}

static enum status read_it_in_places(void)
{
    struct slice value;
    enum status status = list_range(&ms.access, slice_from("sparse"), -3, -2, &visitor);
    if (!status)
        status = list_index(&ms.access, slice_from("sparse"), 47, &value);
    return status ? status : list_index(&ms.access, slice_from("sparse"), 301, &value);
}

static enum status insert_an_element(void)
{
    return list_insert(
        &ms.access, slice_from("sparse"),
        &(struct list_insertion){.pivot = slice_from("30"), .value = slice_from("new")}, &number);
}

static enum status insert_far_away(void)
{
    return list_insert(&ms.access, slice_from("sparse"),
                       &(struct list_insertion){.pivot = slice_from("end"),
                                                .is_before = true,
                                                .value = slice_from("new")},
                       &number);
}

static enum status remove_elements(void)
{
    return list_remove(&ms.access, slice_from("sparse"),
                       &(struct list_removal){.count = -3, .value = slice_from("same")}, &number);
}

static enum status replace_an_inserted_element(void)
{
    return list_set(&ms.access, slice_from("sparse"), 51, slice_from("other"));
}

/* Half a slot, and then into what is dead. */
static enum status pop_into_the_slots(void)
{
    return list_pop(&ms.access, slice_from("sparse"), LIST_LEFT, 52, &visitor);
}

static enum status push_beyond_the_slots(void)
{
    struct slice value = slice_from("e");
    return list_push(&ms.access, slice_from("sparse"), LIST_LEFT, &value, 1, true, &number);
}

static enum status trim_at_both_ends(void)
{
    return list_trim(&ms.access, slice_from("sparse"), 200, 300);
}

static enum status turn_the_sparse_list(void)
{
    return list_move(&ms.access, slice_from("sparse"), LIST_LEFT, slice_from("sparse"), LIST_RIGHT,
                     &visitor);
}

static enum status move_into_the_sparse_list(void)
{
    return list_move(&ms.access, slice_from("list"), LIST_LEFT, slice_from("sparse"), LIST_LEFT,
                     &visitor);
}

static enum status move_out_of_the_sparse_list(void)
{
    return list_move(&ms.access, slice_from("sparse"), LIST_RIGHT, slice_from("other"), LIST_LEFT,
                     &visitor);
}

static enum status count_keys(void)
{
    uint64_t expires;
    return keyspace_count(&ms.access, &number, &expires);
}

/* Behind so many other blocks that a tiny cache has forgotten the counts' one. */
static enum status count_keys_at_last(void)
{
    enum status status = get_large();
    if (!status)
        status = read_the_list();
    return status ? status : count_keys();
}

static void see_key(void *context, struct slice key, const struct object *object)
{
    (void)context;
    (void)key;
    (void)object;
}

static enum status scan_keys(void)
{
    return keyspace_scan(&ms.access, 0, 100, &number, see_key, NULL);
}

/* From several places: onto a key, behind the last, behind its slot's last. */
static enum status find_random_keys(void)
{
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < 8 && !status; i++) {
        const uint64_t random[2] = {i << 61, (i & 1 ? UINT64_MAX >> 4 : 0) | i << 61};
        status = keyspace_random(&ms.access, random, see_key, NULL);
    }
    return status;
}

static enum status rename_a_key(void)
{
    return keyspace_rename(&ms.access, slice_from("small"), slice_from("list"));
}

static enum status delete_a_key(void)
{
    bool deleted;
    return keyspace_delete(&ms.access, slice_from("s"), &deleted);
}

static enum status delete_many_keys(void)
{
    const struct slice keys[] = {slice_from("large"), slice_from("none"), slice_from("list"),
                                 slice_from("large"), slice_from("s"),    slice_from("small")};
    return keyspace_delete_many(&ms.access, keys, sizeof keys / sizeof *keys, &number);
}

static enum status expire_keys(void)
{
    size_t expired;
    bool more;
    return keyspace_expire_due(&ms.access, 10, &expired, &more);
}

static enum status flush_the_other_database(void)
{
    enum status status = access_select(&ms.access, 1);
    return status ? status : keyspace_flush(&ms.access, 1);
}

static enum status read_all_by(bool is_reverse)
{
    struct stream stream;
    struct log_range entries;
    struct stream_entry entry;
    enum status status = stream_find(&ms.access, slice_from("s"), &stream);
    if (status)
        return status;
    log_range_open(&ms.access, &stream, (struct stream_moment){0},
                   (struct stream_moment){UINT64_MAX, STREAM_ID_MAX}, is_reverse, &entries);
    while ((status = log_range_next(&entries, &entry)) == STATUS_OK)
        ;
    log_range_close(&entries);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status read_by_time(void)
{
    return read_all_by(false);
}

static enum status read_by_time_backwards(void)
{
    return read_all_by(true);
}

static enum status trim_with(const struct stream_trim *trim)
{
    struct stream stream;
    enum status status = stream_find(&ms.access, slice_from("s"), &stream);
    return status ? status : stream_trim(&ms.access, &stream, trim, &number);
}

static enum status trim_to_a_length(void)
{
    return trim_with(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = 300});
}

static enum status trim_a_little(void)
{
    return trim_with(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = 2490});
}

static enum status trim_about(void)
{
    return trim_with(&(struct stream_trim){
        .kind = STREAM_TRIM_MAXLEN, .maxlen = 10, .node_entries = 100, .limit = 1100});
}

static enum status trim_to_an_id(void)
{
    struct stream_trim trim = {.kind = STREAM_TRIM_MINID, .minid = {ms.now_ms - 1600, 0}};
    return trim_with(&trim);
}

static enum status add_and_trim(void)
{
    struct stream stream;
    struct stream_id id;
    struct stream_id_spec spec = {.kind = STREAM_ID_AUTO};
    struct slice fields[] = {slice_from("f"), slice_from("v")};
    struct stream_trim trim = {.kind = STREAM_TRIM_MAXLEN, .maxlen = 200};
    enum status status = stream_find(&ms.access, slice_from("s"), &stream);
    if (status)
        return status;
    assert_int_equal(stream_next_id(&stream.header, &spec, ms.now_ms, &id), STREAM_ID_OK);
    struct stream_input input = {.fields = fields, .field_count = 1, .event_ms = id.ms};
    return stream_add(&ms.access, &stream, id, &input, &trim);
}

static enum status write_a_line(void)
{
    struct log_writer writer;
    enum status status = log_write_begin(&ms.access, slice_from("s"), true, 1, &writer);
    if (status)
        return status;
    (void)log_write_line(&ms.access, &writer, &(struct log_line){.message = slice_from("m")});
    log_write_end(&ms.access, &writer);
    return STATUS_OK;
}

/* The first ones, some in the middle, in two leaves of the set of deletions. */
static enum status delete_entries(void)
{
    struct stream stream;
    enum status status = stream_find(&ms.access, slice_from("s"), &stream);
    if (status)
        return status;
    struct stream_id ids[] = {stream.header.first_id, {ms.now_ms - 800, 0}, {ms.now_ms - 2976, 0}};
    return stream_delete(&ms.access, &stream, ids, 3, &number);
}

struct verb {
    const char *name;
    enum status (*run)(void);
    bool writes;
    bool reads_much; /* hundreds of small blocks */
};

#define READS(name)               \
    {                             \
#name, name, false, false \
    }
#define READS_MUCH(name)         \
    {                            \
#name, name, false, true \
    }
#define WRITES(name)             \
    {                            \
#name, name, true, false \
    }
#define WRITES_MUCH(name)       \
    {                           \
#name, name, true, true \
    }
static const struct verb all_verbs[] = {
    READS(get_large),
    READS(count_missing_pieces),
    READS_MUCH(read_the_list),
    READS(read_the_list_backwards_in_parts),
    WRITES(replace_a_large_element),
    READS_MUCH(read_the_sparse_list),
    READS(read_it_in_places),
    WRITES(insert_an_element),
    WRITES_MUCH(insert_far_away),
    WRITES_MUCH(remove_elements),
    WRITES(replace_an_inserted_element),
    WRITES(pop_into_the_slots),
    WRITES(push_beyond_the_slots),
    WRITES(move_into_the_sparse_list),
    WRITES(move_out_of_the_sparse_list),
    WRITES(trim_at_both_ends),
    WRITES(turn_the_sparse_list),
    READS(count_keys),
    READS_MUCH(count_keys_at_last),
    READS(scan_keys),
    READS(find_random_keys),
    READS_MUCH(read_by_time),
    READS_MUCH(read_by_time_backwards),
    WRITES(push_an_element),
    WRITES(pop_elements),
    WRITES(trim_the_list), /* a large element is the first one then */
    READS_MUCH(search_the_list),
    WRITES(move_a_large_element),
    WRITES(turn_the_list),
    WRITES(write_a_line),
    WRITES(delete_entries),
    WRITES(trim_a_little), /* each of these leaves less */
    WRITES(trim_about),
    WRITES(trim_to_an_id),
    WRITES(trim_to_a_length),
    WRITES(add_and_trim),
    WRITES(rename_a_key),
    WRITES(delete_a_key),
    WRITES(delete_many_keys),
    WRITES(expire_keys),
    WRITES(flush_the_other_database),
};

/* ---- Runs ------------------------------------------------------------------------------------ */

static void expect_sound(const char *name)
{
    struct lsm_report report = {""};
    if (store_check(ms.store, &report))
        fail_msg("%s: %s", name, report.text);
}

/* With the n-th read of a table failing; false: there were not so many. */
static bool run_failing(const struct verb *verb, uint64_t n)
{
    uint64_t before = vfs_fault_failed_count(ms.vfs);
    vfs_fault_fail(ms.vfs, 1u << VFS_CALL_READ, n, STATUS_IO, false);
    if (verb->writes)
        memory_store_write(&ms);
    else
        memory_store_read(&ms);
    enum status status = verb->run();
    bool met = vfs_fault_failed_count(ms.vfs) > before;
    vfs_fault_fail(ms.vfs, 0, 0, STATUS_OK, false);
    if (status != (met ? STATUS_IO : STATUS_OK))
        fail_msg("%s, read %llu: %s", verb->name, (unsigned long long)n, status_text(status));
    if (met && verb->writes && !lsm_writer_is_empty(ms.access.writer))
        fail_msg("%s, read %llu: half done", verb->name, (unsigned long long)n);
    memory_store_end(&ms);
    faults += met;
    return met;
}

/* Each read fails once, or some of many: FAULTS=all fails them all. */
static void run_all(const struct store_options *options)
{
    bool is_sampled = !fault_campaign_is_whole();
    open_filled(options);
    for (size_t i = 0; i < sizeof all_verbs / sizeof *all_verbs; i++) {
        const struct verb *verb = &all_verbs[i];
        if (verb->reads_much && options == &scattered)
            continue;
        for (uint64_t n = 1;; n += is_sampled ? 1 + n / 3 : 1) {
            assert_true(n < READS_MAX);
            memory_store_reopen_cold(&ms);
            if (!run_failing(verb, n))
                break;
        }
        verbs++;
        if (verb->writes)
            memory_store_work(&ms, true);
        expect_sound(verb->name);
    }
    memory_store_release(&ms);
    buffer_release(&seen);
    assert_true(faults > sizeof all_verbs / sizeof *all_verbs);
}

static void a_verb_that_cannot_read_says_so_and_has_written_nothing(void **state)
{
    (void)state;
    run_all(&roomy);
}

static void nor_has_one_that_comes_to_many_blocks(void **state)
{
    (void)state;
    run_all(&scattered);
}

static void nor_has_one_that_must_read_everything_twice(void **state)
{
    (void)state;
    run_all(&tight);
}

/* ---- The whole store -------------------------------------------------------------------------- */

static void a_check_that_cannot_read_says_so(void **state)
{
    struct lsm_report report;
    (void)state;
    open_filled(&roomy);
    for (uint64_t n = 1;; n++) {
        assert_true(n < READS_MAX);
        memory_store_reopen_cold(&ms);
        uint64_t before = vfs_fault_failed_count(ms.vfs);
        vfs_fault_fail(ms.vfs, 1u << VFS_CALL_READ, n, STATUS_IO, false);
        enum status status = store_check(ms.store, &report);
        bool met = vfs_fault_failed_count(ms.vfs) > before;
        vfs_fault_fail(ms.vfs, 0, 0, STATUS_OK, false);
        assert_int_equal(status, met ? STATUS_IO : STATUS_OK);
        faults += met;
        if (!met)
            break;
    }
    memory_store_release(&ms);
    buffer_release(&seen);
}

static void say_nothing(void *context, const char *line)
{
    (void)line;
    ++*(size_t *)context;
}

/* Damage of every kind that is mended: an element of the list is gone, so are the time of a key and the
 * key of a time, and a header cannot be read. */
static void damage(void)
{
    struct object object;
    struct buffer key = {0};
    ms.is_damaged = true;
    memory_store_write(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("list"), &object), STATUS_OK);
    buffer_append_be32(&key, ms.access.generation);
    buffer_append_be64(&key, object.id);
    buffer_append_byte(&key, 'l');
    buffer_append_be64(&key, ((uint64_t)1 << 63) + 50);
    access_delete(&ms.access, TREE_PARTS, buffer_slice(&key));
    for (int i = 0; i < 3; i++) {
        string_set(&ms.access,
                   slice_from(i == 0   ? "a"
                              : i == 1 ? "b"
                                       : "c"),
                   slice_from("v"), NULL,
                   &(struct string_set_options){.expire_ms = i < 2 ? ms.now_ms + 1000 : 0});
        buffer_clear(&key);
        buffer_append_slice(&key, buffer_slice(&ms.access.tree_key));
        if (i == 0)
            access_delete(&ms.access, TREE_KEYS, buffer_slice(&key));
        else if (i == 2)
            access_put(&ms.access, TREE_KEYS, buffer_slice(&key), slice_from("\x21"));
    }
    memory_store_end(&ms);
    buffer_release(&key);
}

/* On a copy of the damaged store, with the n-th such call failing. false: there are not so many. */
static bool repair_failing(struct vfs *damaged, enum vfs_call call, uint64_t n, size_t *lines)
{
    struct vfs *copy = vfs_memory_after_power_loss(damaged, VFS_KEEP_ALL, 1);
    struct vfs *failing = vfs_fault_create(copy);
    struct env env = ms.env;
    struct lsm_report report = {""};
    struct store *store;
    env.vfs = failing;
    vfs_fault_fail(failing, 1u << call, n, STATUS_IO, false);
    enum status status = store_repair(&env, "/data", say_nothing, lines);
    bool met = vfs_fault_failed_count(failing) > 0;
    vfs_fault_fail(failing, 0, 0, STATUS_OK, false);
    /* A table that was written is opened for later reads; that needs not succeed. */
    assert_true(status == STATUS_OK || (met && status == STATUS_IO));
    if (status || !met)
        assert_int_equal(store_repair(&env, "/data", say_nothing, lines), STATUS_OK);
    assert_int_equal(store_open(&env, "/data", &roomy, &report, &store), STATUS_OK);
    if (store_check(store, &report))
        fail_msg("repair, call %llu: %s", (unsigned long long)n, report.text);
    assert_int_equal(store_close(store), STATUS_OK);
    vfs_destroy(failing);
    vfs_destroy(copy);
    return met;
}

static void a_repair_that_cannot_read_says_so_and_may_be_done_again(void **state)
{
    size_t lines = 0;
    uint64_t n = 1;
    (void)state;
    open_filled(&roomy);
    damage();
    memory_store_work(&ms, true);
    struct vfs *damaged = vfs_memory_after_power_loss(ms.memory, VFS_KEEP_ALL, 1);
    uint64_t tried = 0;
    for (; repair_failing(damaged, VFS_CALL_READ, n, &lines);
         n += 1 + n / 8) /* each fills segments anew */
        tried++;
    assert_true(tried > 10);
    assert_true(lines >= 3 * tried);
    faults += tried;
    vfs_destroy(damaged);
    memory_store_release(&ms);
    buffer_release(&seen);
    printf("ran: %llu failed reads under %llu verbs, a check and a repair\n",
           (unsigned long long)faults, (unsigned long long)verbs);
}

/* Keys with times, each in a block of its own; all reads fail in turn. */
static void nor_does_one_that_reads_a_block_for_each_key(void **state)
{
    enum { TIMED = 6 };
    char key[16], value[300] = "";
    size_t lines = 0;
    uint64_t n = 1;
    (void)state;
    memset(value, 'v', sizeof value - 1);
    memory_store_open(&ms, &scattered);
    memory_store_write(&ms);
    for (int i = 0; i < TIMED; i++) {
        snprintf(key, sizeof key, "%d", i);
        memset(value, 'a' + i, 200);
        string_set(&ms.access, slice_from(key), slice_from(value), NULL,
                   &(struct string_set_options){.expire_ms = ms.now_ms + 1000 * (unsigned)i + 1});
    }
    memory_store_end(&ms);
    memory_store_work(&ms, true);
    for (; repair_failing(ms.memory, VFS_CALL_READ, n, &lines); n++)
        faults++;
    assert_true(n > 2 * TIMED);
    memory_store_release(&ms);
}

enum damage { NO_DAMAGE, LOST_KEY, LOST_KEY_OF_PARTS, LOST_HEADER, LOST_ELEMENT, DAMAGE_COUNT };

/* Whose mending is the first thing to be written. */
static void do_damage(enum damage damage)
{
    static const char *const keys[] = {"none", "plain", "large", "plain", "list"};
    struct object object;
    struct buffer key = {0};
    memory_store_write(&ms);
    enum status status = keyspace_find(&ms.access, slice_from(keys[damage]), &object);
    assert_int_equal(status, damage == NO_DAMAGE ? STATUS_NOT_FOUND : STATUS_OK);
    buffer_append_slice(&key, buffer_slice(&ms.access.tree_key));
    if (damage == LOST_KEY || damage == LOST_KEY_OF_PARTS)
        access_delete(&ms.access, TREE_KEYS, buffer_slice(&key));
    if (damage == LOST_HEADER)
        access_put(&ms.access, TREE_KEYS, buffer_slice(&key), slice_from(""));
    if (damage == LOST_ELEMENT) {
        buffer_clear(&key);
        buffer_append_be32(&key, ms.access.generation);
        buffer_append_be64(&key, object.id);
        buffer_append_byte(&key, 'l');
        buffer_append_be64(&key, ((uint64_t)1 << 63) + 50);
        access_delete(&ms.access, TREE_PARTS, buffer_slice(&key));
    }
    memory_store_end(&ms);
    buffer_release(&key);
}

static void a_repair_that_cannot_make_room_for_what_it_writes_says_so(void **state)
{
    (void)state;
    for (enum damage damage = NO_DAMAGE; damage < DAMAGE_COUNT; damage++) {
        size_t lines = 0;
        memory_store_open(&ms, &roomy);
        fill_strings_and_lists();
        do_damage(damage);
        access_release(&ms.access);
        lsm_reader_destroy(ms.reader);
        assert_int_equal(store_close(ms.store), STATUS_OK);
        assert_true(repair_failing(ms.memory, VFS_CALL_FREE_BYTES, 1, &lines));
        faults++;
        assert_int_equal(lines > 0, damage != NO_DAMAGE);
        vfs_destroy(ms.vfs);
        vfs_destroy(ms.memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verb_that_cannot_read_says_so_and_has_written_nothing),
        cmocka_unit_test(nor_has_one_that_comes_to_many_blocks),
        cmocka_unit_test(nor_has_one_that_must_read_everything_twice),
        cmocka_unit_test(a_check_that_cannot_read_says_so),
        cmocka_unit_test(a_repair_that_cannot_make_room_for_what_it_writes_says_so),
        cmocka_unit_test(nor_does_one_that_reads_a_block_for_each_key),
        cmocka_unit_test(a_repair_that_cannot_read_says_so_and_may_be_done_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
