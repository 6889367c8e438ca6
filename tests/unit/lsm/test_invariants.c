/* SPDX-License-Identifier: MIT */
/* Every check of lsm_check_invariants finds the damage that it is there for: each test plants one in
 * the structure of an open database, reads the sentence, and takes it back. */
#include "lsm/db.h"

#include "base/memory.h"
#include "base/random.h"
#include "lsm/memtable_node.h"
#include "lsm/version_set.h"
#include "lsm/wal_writer.h"
#include "unit/lsm/memory_env.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { KEYS = 300, VALUE_BYTES = 400 };

static struct vfs *vfs;
static struct env env;
static struct lsm *db;

static void put_some(unsigned from, unsigned count)
{
    struct lsm_writer *writer;
    char key[16], value[VALUE_BYTES];
    struct random random; /* what does not compress makes several tables */
    random_init(&random, from);
    for (unsigned i = from; i < from + count; i++) {
        snprintf(key, sizeof(key), "key%05u", i);
        for (unsigned k = 0; k < VALUE_BYTES; k++)
            value[k] = (char)random_next(&random);
        lsm_lock(db);
        assert_int_equal(lsm_write_begin(db, 1024, false, &writer), STATUS_OK);
        lsm_put(writer, 0, slice_from(key), slice_make(value, VALUE_BYTES));
        lsm_put(writer, 1, slice_from(key), slice_make(value, VALUE_BYTES));
        if (i % 100 == 99)
            lsm_delete_range(writer, 0, slice_from("key00000"), slice_from("key00010"));
        lsm_write_end(writer);
        lsm_unlock(db);
    }
}

static void work(void)
{
    while (lsm_work(db, 1 << 20))
        ;
}

/* Tables in two levels of tree 0 (several in the lower one) and in tree 1, frozen and active
 * memtables, cached blocks. */
static int setup(void **state)
{
    (void)state;
    struct lsm_options options = {
        .trees = {{.name = "keys", .compaction = LSM_LEVELED, .filter_bits_per_key = 10},
                  {.name = "entries", .compaction = LSM_TIME_RUNS, .finger_prefix_bytes = 3}},
        .tree_count = 2,
        .memtable_bytes = 1 << 20,
        .block_cache_bytes = 1 << 20,
        .wal_segment_bytes = 64 << 10,
        .table_bytes_max = 32 << 10,
    };
    struct lsm_report report = {""};
    struct slice value;
    vfs = vfs_memory_create();
    env = memory_env(vfs);
    assert_int_equal(lsm_open(&env, "db", &options, &report, &db), STATUS_OK);
    put_some(0, KEYS);
    lsm_request_compact(db);
    work();
    for (int round = 0; round < 2; round++) {
        put_some(0, 100);
        lsm_request_flush(db);
        work();
    }
    put_some(50, 50);
    lsm_lock(db);
    db_switch_memtables(db, true);
    lsm_unlock(db);
    put_some(70, 50);
    struct lsm_reader *reader = lsm_reader_create(db);
    lsm_read_begin(reader);
    assert_int_equal(lsm_get(reader, 0, slice_from("key00200"), &value), STATUS_OK);
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
    return 0;
}

static const char *sentence(void)
{
    static struct lsm_report report;
    report.text[0] = 0;
    enum status status = lsm_check_invariants(db, &report);
    assert_int_equal(status, report.text[0] ? STATUS_CORRUPT : STATUS_OK);
    return report.text;
}

static int teardown(void **state)
{
    (void)state;
    assert_string_equal(sentence(), ""); /* every damage was taken back */
    assert_int_equal(lsm_close(db), STATUS_OK);
    vfs_destroy(vfs);
    return 0;
}

static void expect(const char *part)
{
    const char *found = sentence();
    if (!strstr(found, part))
        fail_msg("'%s' does not say '%s'", found, part);
}

/* Sets `place` to `value`, expects the sentence, sets it back. */
#define assert_found(place, value, part)      \
    do {                                      \
        __typeof__(place) before = (place);   \
        (place) = (__typeof__(place))(value); \
        expect(part);                         \
        (place) = before;                     \
    } while (0)

static struct version_level *level(unsigned tree, unsigned depth)
{
    return &db->view->version->trees[tree].levels[depth];
}

/* ---- Tables -------------------------------------------------------------------------------- */

/* The deepest level of tree 0, which has several tables. */
static struct version_level *disjoint_level(void)
{
    for (unsigned depth = LSM_LEVELS_MAX; depth-- > 1;)
        if (level(0, depth)->count > 2)
            return level(0, depth);
    fail_msg("no level has several tables");
    return NULL;
}

static void a_sound_database_passes(void **state)
{
    (void)state;
    assert_string_equal(sentence(), "");
    assert_true(level(0, 0)->count >= 2);
    assert_true(db->view->flushing_count > 0);
    struct lsm_snapshot *snapshot = lsm_snapshot_acquire(db);
    assert_string_equal(sentence(), "");
    lsm_snapshot_release(snapshot);
}

static void tables_out_of_order_are_found(void **state)
{
    (void)state;
    struct table_ref **tables = disjoint_level()->tables;
    struct table_ref *first = tables[0], *second = tables[1];
    tables[0] = second;
    tables[1] = first;
    expect("has it over the table before");
    tables[0] = first;
    tables[1] = second;
    tables = level(0, 0)->tables;
    first = tables[0];
    second = tables[1];
    tables[0] = second;
    tables[1] = first;
    expect("level 0 of tree 0 has it behind an older one");
    tables[0] = first;
    tables[1] = second;
}

static void wrong_properties_of_tables_are_found(void **state)
{
    (void)state;
    struct table_properties *p = &disjoint_level()->tables[1]->properties;
    char expected[64];
    uint64_t number = disjoint_level()->tables[1]->number;
    snprintf(expected, sizeof(expected), "%06u.cwt offset 0: its counts", (unsigned)number);
    assert_found(p->entry_count, p->entry_count + 1, expected);
    assert_found(p->raw_bytes, p->raw_bytes + 1, "its counts are not those");
    assert_found(p->file_bytes, p->file_bytes - 1, "its size are not those");
    assert_found(p->lsn_min, p->lsn_min - 1, "its LSNs are not those");
    assert_found(p->lsn_min, p->lsn_max + 1, "its lowest LSN is above its highest");
    assert_found(p->lsn_max, db->view->active->first_lsn + 1, "but tables end at");
    assert_found(p->delete_count, p->entry_count + 1, "more deletions than entries");
    assert_found(p->file_bytes, 0, "it is empty");
    uint8_t last = p->largest.data[p->largest.size - 1];
    p->largest.data[p->largest.size - 1]--;
    expect("its keys are not those that the manifest states");
    p->largest.data[0] = 'a';
    expect("its smallest key is above its largest");
    p->largest.data[0] = 'z';
    expect("over the table before");
    p->largest.data[0] = 'k';
    p->largest.data[p->largest.size - 1] = last;
}

static void wrong_counts_of_range_deletions_are_found(void **state)
{
    (void)state;
    assert_found(level(0, 0)->range_delete_count, 7, "level 0 of tree 0 counts 7 range deletions");
    struct table_properties *p = &level(0, 0)->tables[0]->properties;
    assert_found(p->range_delete_count, 9, "level 0 of tree 0 counts");
}

static void a_missing_table_file_is_found(void **state)
{
    (void)state;
    char path[64], away[80];
    table_path("db", level(0, 0)->tables[0]->number, path, sizeof(path));
    snprintf(away, sizeof(away), "%s.away", path);
    assert_int_equal(vfs_rename(vfs, path, away), STATUS_OK);
    struct lsm_report report;
    assert_int_equal(lsm_check_invariants(db, &report), STATUS_NOT_FOUND);
    assert_non_null(strstr(report.text, ".cwt is missing"));
    assert_int_equal(vfs_rename(vfs, away, path), STATUS_OK);
}

static void a_number_that_was_not_given_is_found(void **state)
{
    (void)state;
    assert_found(disjoint_level()->tables[0]->number, 1000000, "table 1000000: its number was not");
    assert_found(disjoint_level()->tables[0]->number, disjoint_level()->tables[1]->number,
                 "there are two of this number");
}

/* ---- References ---------------------------------------------------------------------------- */

static void wrong_references_are_found(void **state)
{
    (void)state;
    struct table_ref *table = level(0, 0)->tables[0];
    struct version *version = db->view->version;
    struct memtable_set *set = db->view->flushing[0];
    atomic_fetch_add(&table->references, 1);
    expect("versions hold it, it counts");
    atomic_fetch_sub(&table->references, 1);
    atomic_fetch_add(&version->references, 9);
    expect("a version of the tables is held by");
    atomic_fetch_sub(&version->references, 10);
    expect("a version of the tables is held by");
    atomic_fetch_add(&version->references, 1);
    atomic_fetch_sub(&set->references, 1);
    expect("views hold them, they count");
    atomic_fetch_add(&set->references, 1);
    unsigned references = atomic_exchange(&db->view->references, 0);
    /* The check itself holds the view: 0 is -1 for it. */
    atomic_fetch_sub(&db->view->references, 1);
    expect("nobody holds it, or it is out of order");
    atomic_store(&db->view->references, references);
    assert_found(db->live_views, db->live_views->older, "is not the newest of the list");
    assert_found(db->versions->live, db->versions->live->older, "is not in the list of all");
    assert_found(db->view->number, db->view->number - 1, "is not the newest of the list");
}

/* ---- Memtables ----------------------------------------------------------------------------- */

static struct mem_node *some_node(struct memtable *table)
{
    return node_next(node_next(table->head, 0), 0);
}

/* Another key of the same size in its place. */
static void set_key(struct mem_node *node, const char *key)
{
    memcpy((uint8_t *)(uintptr_t)node_key(node).data, key, strlen(key));
    node->front = key_front(node_key(node));
}

static void damage_of_a_memtable_is_found(void **state)
{
    (void)state;
    struct memtable *table = db->view->active->trees[0];
    struct mem_node *node = some_node(table), *next = node_next(node, 0);
    struct mem_version *version = atomic_load(&node->newest);
    char key[] = "........";
    memcpy(key, node_key(node).data, strlen(key));
    set_key(node, "zzz00001");
    expect("tree keys: memtable key 'zzz00001': the hash");
    set_key(node, key);
    assert_found(node->front, node->front + 1, "its front is another key's");
    assert_found(node->hash, node->hash + 1, "the hash index does not find it");
    assert_found(version->lsn, 1, "a version's LSN is not one of the memtable's");
    assert_found(version->lsn, wal_next_lsn(db->wal),
                 "a version's LSN is not one of the memtable's");
    assert_found(version->kind, ENTRY_DELETE_RANGE, "neither a put nor a deletion");
    atomic_store(&next->prev, next);
    expect("its link back is wrong");
    atomic_store(&next->prev, node);
    atomic_store(&node->newest, NULL);
    expect("it has no version");
    atomic_store(&node->newest, version);
    atomic_fetch_add(&table->node_count, 1);
    expect("counts 51 keys and has 50");
    atomic_fetch_sub(&table->node_count, 1);
    atomic_fetch_add(&table->version_count, 1);
    expect("versions and has");
    atomic_fetch_sub(&table->version_count, 1);
    atomic_fetch_add(&table->delete_count, 1);
    expect("counts 1 deleted keys and has 0");
    atomic_fetch_sub(&table->delete_count, 1);
    assert_found(table->heap_version_count, 1, "counts 1 large versions and has 0");
    atomic_fetch_add(&table->heap_bytes, 8);
    expect("bytes of the heap and has");
    atomic_fetch_sub(&table->heap_bytes, 8);
    struct mem_node *last = atomic_exchange(&table->last, node);
    expect("the memtable's last node is not the last");
    atomic_store(&table->last, last);
    int height = atomic_exchange(&table->height, 1);
    expect("it is higher than the memtable");
    atomic_store(&table->height, height);
}

static void keys_out_of_order_are_found(void **state)
{
    (void)state;
    struct memtable *table = db->view->active->trees[1]; /* without a hash index */
    struct mem_node *node = some_node(table);
    char key[] = "........";
    memcpy(key, node_key(node).data, strlen(key));
    set_key(node, "zzz00001");
    expect("it is out of order");
    set_key(node, key);
    struct finger *finger = table->fingers;
    while (!finger->last)
        finger++;
    struct mem_node *before = finger->before[0];
    finger->last = node;
    finger->before[0] = atomic_load(&table->last);
    expect("its finger stands behind it");
    finger->last = atomic_load(&table->last);
    finger->before[0] = before;
    struct mem_node *kept = finger->last;
    finger->last =
        memory_copy(kept, sizeof(*kept) + kept->height * sizeof(kept->next[0]) + kept->key_size);
    expect("a finger points to it, the list does not");
    memory_free(finger->last);
    finger->last = kept;
    kept = table->lasts[1];
    table->lasts[1] = table->head;
    expect("the memtable's last node of level 1 is not the last");
    table->lasts[1] = kept;
    /* An upper level that goes back. */
    struct mem_node *high = node_next(table->head, 1), *higher = node_next(high, 1);
    struct mem_node *after = node_next(higher, 1);
    atomic_store(&table->head->next[1], higher);
    atomic_store(&higher->next[1], high);
    atomic_store(&high->next[1], after);
    expect("an upper level of the list has it out of place");
    atomic_store(&table->head->next[1], high);
    atomic_store(&high->next[1], higher);
    atomic_store(&higher->next[1], after);
}

static void versions_out_of_order_are_found(void **state)
{
    (void)state;
    struct lsm_snapshot *snapshot = lsm_snapshot_acquire(db);
    put_some(80, 1);
    struct memtable *table = db->view->active->trees[0];
    struct mem_node *node = node_next(table->head, 0);
    while (!slice_equal(node_key(node), slice_from("key00080")))
        node = node_next(node, 0);
    struct mem_version *newest = atomic_load(&node->newest), *older = atomic_load(&newest->older);
    assert_non_null(older);
    lsn_t lsn = newest->lsn;
    newest->lsn = older->lsn;
    older->lsn = lsn;
    expect("its versions are out of order");
    older->lsn = newest->lsn;
    newest->lsn = lsn;
    lsm_snapshot_release(snapshot);
}

static void wrong_range_deletions_are_found(void **state)
{
    (void)state;
    struct memtable_range *range =
        (struct memtable_range *)(uintptr_t)memtable_ranges(db->view->active->trees[0]);
    assert_non_null(range);
    assert_found(range->range.lsn, 5, "range deletion from 'key00000': its LSN is not");
    assert_found(range->range.to, range->range.from, "range deletion from 'key00000': it ends");
}

static void memtables_that_do_not_follow_each_other_are_found(void **state)
{
    (void)state;
    struct memtable_set *active = db->view->active, *frozen = db->view->flushing[0];
    assert_found(frozen->end_lsn, frozen->end_lsn + 1, "newer ones begin at");
    assert_found(active->end_lsn, 5, "the active memtables are frozen");
    assert_found(frozen->first_lsn, frozen->first_lsn - 1, "memtables begin at");
    assert_found(active->tree_count, 1, "and have 1 trees");
}

/* ---- The log, readers, the cache ----------------------------------------------------------- */

static void damage_of_the_log_is_found(void **state)
{
    (void)state;
    struct wal *wal = db->wal;
    assert_true(wal->segment_count > 1);
    struct wal_header *header = &wal->segments[0]->header;
    assert_found(header->segment_bytes, header->segment_bytes + 4096, ".wal follows");
    assert_found(header->base, header->base + 4096, ".wal");
    assert_found(header->epoch, 1000, "another store or a later epoch");
    assert_found(wal->tail, wal->segment_count, "is the tail");
    assert_found(wal->prepared_lsn, wal->prepared_lsn - 1, "its segments end at");
    assert_found(wal->durable_lsn, wal->written_lsn + 1, "are out of order");
    assert_found(wal->written_lsn, wal->appended_lsn + 1, "are out of order");
    assert_found(wal->appended_lsn, wal->appended_lsn + 1, "but the next frame goes to");
    assert_true(wal->active->extent_count > 0);
    assert_found(wal->active->extents[0].size, 1, "bytes wait to be written");
    assert_found(wal->active->extents[0].file_offset, 4096, "where they do not belong");
    assert_found(db->versions->state.flushed_lsn, 4097, "memtables begin at");
    assert_found(db->versions->state.durable_lsn, wal->next_lsn, "the manifest says durable");
    assert_found(db->versions->state.epoch, 9, "the manifest has epoch 9");
    assert_found(db->versions->state.clean, true, "and a clean stop");
    assert_found(wal->tail, wal->tail == 0, "which is not in its tail");
    lsn_t visible = atomic_exchange(&db->visible_bound, wal->next_lsn + 1);
    expect("the log ends at");
    atomic_store(&db->visible_bound, visible);
    struct lsm_report report = {""};
    header->base += 4096; /* the tables' end would be found to be wrong first */
    assert_int_equal(wal_check(wal, WAL_FIRST_LSN, &report), STATUS_CORRUPT);
    assert_non_null(strstr(report.text, "tables end before"));
    header->base -= 4096;
}

static void damage_of_readers_and_snapshots_is_found(void **state)
{
    (void)state;
    struct lsm_snapshot *first = lsm_snapshot_acquire(db), *second = lsm_snapshot_acquire(db);
    assert_found(db->snapshot_count, 3, "3 snapshots are counted, there are 2");
    assert_found(first->next->previous, NULL, "its links are wrong");
    assert_found(second->lsn, db->visible_bound, "is above what is visible");
    assert_found(db->oldest_snapshot, 1, "the oldest snapshot is said to have LSN 1");
    assert_found(db->reader_count, 9, "9 readers are counted, there are 0");
    assert_found(db->slots[5].lsn, 77, "the reader's slot 5 is used and not counted");
    assert_found(db->slots[200].in_use, true, "the reader's slot 200 is used and not counted");
    lsm_snapshot_release(second);
    lsm_snapshot_release(first);
}

/* ---- The debug build ----------------------------------------------------------------------- */

#ifdef CORDWOOD_DEBUG

static void freeze_a_damaged_memtable(void)
{
    some_node(db->view->active->trees[0])->hash++;
    lsm_request_flush(db);
    (void)lsm_work(db, 1);
}

static void end_a_batch_in_a_damaged_log(void)
{
    db->wal->segments[0]->header.epoch = 1000;
    put_some(0, 1);
}

static void install_over_a_wrong_reference(void)
{
    atomic_fetch_add(&level(0, 0)->tables[0]->references, 1);
    work();
}

/* In a child, whose last words are expected. */
static void assert_stops(void (*damage)(void), const char *words)
{
    char said[1024] = "";
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], 2);
        signal(SIGABRT, SIG_DFL);
        damage();
        _exit(0);
    }
    close(ends[1]);
    size_t size = 0;
    ssize_t got;
    while (size < sizeof(said) - 1 &&
           (got = read(ends[0], said + size, sizeof(said) - 1 - size)) > 0)
        size += (size_t)got;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    if (!strstr(said, words))
        fail_msg("'%s' does not say '%s'", said, words);
}

static void the_engine_itself_stops_at_damage(void **state)
{
    (void)state;
    assert_stops(freeze_a_damaged_memtable, "freezing memtables: tree keys: memtable key");
    assert_stops(end_a_batch_in_a_damaged_log, "after a batch: WAL: ");
    assert_stops(install_over_a_wrong_reference, "after a flush: table 0");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_sound_database_passes),
        TEST(tables_out_of_order_are_found),
        TEST(wrong_properties_of_tables_are_found),
        TEST(wrong_counts_of_range_deletions_are_found),
        TEST(a_missing_table_file_is_found),
        TEST(a_number_that_was_not_given_is_found),
        TEST(wrong_references_are_found),
        TEST(damage_of_a_memtable_is_found),
        TEST(keys_out_of_order_are_found),
        TEST(versions_out_of_order_are_found),
        TEST(wrong_range_deletions_are_found),
        TEST(memtables_that_do_not_follow_each_other_are_found),
        TEST(damage_of_the_log_is_found),
        TEST(damage_of_readers_and_snapshots_is_found),
#ifdef CORDWOOD_DEBUG
        TEST(the_engine_itself_stops_at_damage),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
