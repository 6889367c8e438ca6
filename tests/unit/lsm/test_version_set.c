/* SPDX-License-Identifier: MIT */
/* Versions and their set: edits, references, unlinked files, what a crash and a failure leave. */
#include "lsm/version_set.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    struct vfs *memory, *fault;
    struct env env;
    struct lsm_options options;
    struct block_cache *cache;
    struct version_set *set;
    struct lsm_report report;
    bool created;
};

static void fill_random(void *context, void *data, size_t size)
{
    (void)context;
    memset(data, 0x5a, size);
}

static void ignore_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static void attach(struct fixture *f, struct vfs *memory)
{
    f->memory = memory;
    f->fault = vfs_fault_create(memory);
    vfs_fault_on_failed_sync(f->fault, vfs_memory_lose_unsynced);
    f->env = (struct env){.vfs = f->fault, .random_bytes = fill_random, .log = ignore_log};
}

static enum status open_set(struct fixture *f)
{
    f->report.text[0] = 0;
    return version_set_open(&f->env, "db", &f->options, f->cache, &f->report, &f->set, &f->created);
}

static struct fixture *create(void)
{
    struct fixture *f = memory_zeroed(1, sizeof(*f));
    attach(f, vfs_memory_create());
    f->cache = block_cache_create(1 << 20);
    f->options.tree_count = 2;
    f->options.trees[0] = (struct lsm_tree_options){.name = "keys", .compaction = LSM_LEVELED};
    f->options.trees[1] = (struct lsm_tree_options){.name = "entries", .compaction = LSM_TIME_RUNS};
    assert_int_equal(f->memory->ops->make_directory(f->memory, "db"), STATUS_OK);
    assert_int_equal(vfs_sync_directory(f->memory, "/"), STATUS_OK);
    assert_int_equal(open_set(f), STATUS_OK);
    assert_true(f->created);
    return f;
}

static void close_set(struct fixture *f)
{
    version_set_close(f->set);
    f->set = NULL;
}

static void destroy(struct fixture *f)
{
    close_set(f);
    block_cache_destroy(f->cache);
    vfs_destroy(f->fault);
    vfs_destroy(f->memory);
    memory_free(f);
}

static void crash(struct fixture *f, enum vfs_power_loss mode, uint64_t seed)
{
    struct vfs *after = vfs_memory_after_power_loss(f->memory, mode, seed);
    close_set(f);
    vfs_destroy(f->fault);
    vfs_destroy(f->memory);
    attach(f, after);
}

static bool table_exists(struct fixture *f, uint64_t number)
{
    char path[64];
    bool exists = false;
    table_path("db", number, path, sizeof(path));
    assert_int_equal(f->memory->ops->exists(f->memory, path, &exists), STATUS_OK);
    return exists;
}

static size_t manifest_count(struct fixture *f)
{
    struct directory_files files = {0};
    assert_int_equal(directory_files_read(&f->env, "db", &files), STATUS_OK);
    size_t count = files.manifest_count;
    directory_files_release(&files);
    return count;
}

/* A table with one entry for each bound, synced, and named in the edit. */
static uint64_t add_table(struct fixture *f, struct version_edit *edit, unsigned tree,
                          unsigned level, const char *smallest, const char *largest, lsn_t lsn)
{
    struct table_options options = {.block_bytes = 4096};
    struct table_properties properties = {0};
    struct table_builder *builder = NULL;
    uint64_t number = version_set_next_number(f->set);
    char path[64];
    table_path("db", number, path, sizeof(path));
    assert_int_equal(table_builder_create(&f->env, path, &options, &builder), STATUS_OK);
    assert_int_equal(
        table_builder_add(builder, slice_from(smallest), lsn, ENTRY_PUT, slice_from("v")),
        STATUS_OK);
    if (strcmp(smallest, largest) != 0)
        assert_int_equal(
            table_builder_add(builder, slice_from(largest), lsn, ENTRY_PUT, slice_from("v")),
            STATUS_OK);
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_OK);
    table_builder_destroy(builder);
    assert_int_equal(vfs_sync_directory(f->env.vfs, "db"), STATUS_OK);
    version_edit_add(edit, tree, level, number, &properties);
    return number;
}

static enum status apply(struct fixture *f, struct version_edit *edit)
{
    enum status status = version_set_apply(f->set, edit);
    version_edit_release(edit);
    return status;
}

/* The numbers of a level as text, "3 1 ". */
static const char *level_text(struct fixture *f, unsigned tree, unsigned depth)
{
    static char text[256];
    struct version *version = version_set_current(f->set);
    const struct version_level *level = &version->trees[tree].levels[depth];
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; i < level->count; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%d ", (int)level->tables[i]->number);
    version_unref(version);
    return text;
}

static void a_new_set_is_empty_and_remembered(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct version_state before, after;
    version_set_state(f->set, &before);
    assert_true(before.store_id != 0);
    assert_false(before.clean);
    close_set(f);
    assert_int_equal(open_set(f), STATUS_OK);
    assert_false(f->created);
    version_set_state(f->set, &after);
    assert_true(after.store_id == before.store_id);
    assert_true(after.next_number >= before.next_number);
    destroy(f);
}

static void levels_are_ordered_as_promised(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct version_edit edit = {0};
    add_table(f, &edit, 0, 0, "a", "z", 100); /* 2 */
    add_table(f, &edit, 0, 0, "a", "z", 300); /* 3 */
    add_table(f, &edit, 0, 0, "a", "z", 200); /* 4 */
    add_table(f, &edit, 0, 1, "p", "q", 10);  /* 5 */
    add_table(f, &edit, 0, 1, "a", "c", 20);  /* 6 */
    add_table(f, &edit, 1, 2, "a", "z", 10);  /* 7 */
    add_table(f, &edit, 1, 2, "a", "z", 20);  /* 8 */
    assert_int_equal(apply(f, &edit), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(level_text(f, 0, 0), "3 4 2 ");
        assert_string_equal(level_text(f, 0, 1), "6 5 ");
        assert_string_equal(level_text(f, 1, 2), "8 7 ");
        close_set(f);
        assert_int_equal(open_set(f), STATUS_OK);
    }
    destroy(f);
}

static void a_dropped_table_is_unlinked_with_its_last_version(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct version_edit edit = {0};
    uint64_t number = add_table(f, &edit, 0, 0, "a", "b", 1);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    struct version *held = version_set_current(f->set);
    struct table *table = NULL;
    struct table_ref *ref = held->trees[0].levels[0].tables[0];
    assert_int_equal(table_ref_open(f->set, ref, false, &table), STATUS_OK);
    version_edit_remove(&edit, 0, 0, number);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    assert_string_equal(level_text(f, 0, 0), "");
    assert_true(table_exists(f, number));
    assert_true(table_may_contain(table, slice_from("a")));
    version_unref(held);
    assert_false(table_exists(f, number));
    destroy(f);
}

static void a_moved_table_keeps_its_file(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct version_edit edit = {0};
    uint64_t number = add_table(f, &edit, 0, 0, "a", "b", 1);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    struct version *version = version_set_current(f->set);
    struct table_properties copy = version->trees[0].levels[0].tables[0]->properties;
    struct buffer smallest = {0}, largest = {0};
    buffer_append_slice(&smallest, buffer_slice(&copy.smallest));
    buffer_append_slice(&largest, buffer_slice(&copy.largest));
    copy.smallest = smallest;
    copy.largest = largest;
    version_unref(version);
    version_edit_remove(&edit, 0, 0, number);
    version_edit_add(&edit, 0, 1, number, &copy);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    assert_string_equal(level_text(f, 0, 0), "");
    assert_string_equal(level_text(f, 0, 1), "2 ");
    close_set(f);
    assert_true(table_exists(f, number));
    assert_int_equal(open_set(f), STATUS_OK);
    assert_string_equal(level_text(f, 0, 1), "2 ");
    destroy(f);
}

static void leftovers_are_removed_at_open_and_numbers_not_reused(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct version_edit edit = {0};
    uint64_t live = add_table(f, &edit, 0, 0, "a", "b", 1);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    uint64_t stray = add_table(f, &edit, 0, 0, "a", "b", 2);
    version_edit_release(&edit);
    struct vfs_file *file = NULL;
    assert_int_equal(vfs_open(f->memory, "db/CURRENT.tmp", VFS_WRITE | VFS_CREATE, &file),
                     STATUS_OK);
    vfs_close(file);
    close_set(f);
    f->options.read_only = true;
    assert_int_equal(open_set(f), STATUS_OK);
    assert_true(table_exists(f, stray)); /* a reader changes nothing */
    close_set(f);
    f->options.read_only = false;
    assert_int_equal(open_set(f), STATUS_OK);
    assert_true(table_exists(f, live));
    assert_false(table_exists(f, stray));
    assert_true(version_set_next_number(f->set) > stray);
    bool exists = true;
    assert_int_equal(f->memory->ops->exists(f->memory, "db/CURRENT.tmp", &exists), STATUS_OK);
    assert_false(exists);
    destroy(f);
}

/* Should the WAL turn out not to hold what a torn edit had flushed, its table is needed for a
 * repair. */
static void tables_of_a_torn_edit_stay_until_the_manifest_is_whole_again(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct version_edit edit = {.flushed_lsn = 10};
    add_table(f, &edit, 0, 0, "a", "b", 1);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    edit.flushed_lsn = 20;
    uint64_t torn = add_table(f, &edit, 0, 0, "c", "d", 11);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    uint64_t last = f->set->log.end - 1;
    close_set(f);
    assert_int_equal(vfs_memory_flip(f->memory, "db/MANIFEST-000001", last, 1), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(open_set(f), STATUS_OK);
        assert_string_equal(level_text(f, 0, 0), "2 ");
        assert_true(table_exists(f, torn));
        assert_true(version_set_next_number(f->set) > torn);
        if (i == 0)
            close_set(f);
    }
    assert_int_equal(apply(f, &edit), STATUS_OK);
    close_set(f);
    assert_int_equal(open_set(f), STATUS_OK);
    assert_string_equal(level_text(f, 0, 0), "2 ");
    assert_false(table_exists(f, torn));
    destroy(f);
}

static void other_trees_are_refused_and_more_trees_join(void **state)
{
    (void)state;
    struct fixture *f = create();
    close_set(f);
    f->options.trees[1].name = "parts";
    assert_int_equal(open_set(f), STATUS_INVALID);
    assert_non_null(strstr(f->report.text, "entries"));
    f->options.trees[1].name = "entries";
    f->options.tree_count = 1;
    assert_int_equal(open_set(f), STATUS_INVALID);
    f->options.tree_count = 3;
    f->options.trees[2] = (struct lsm_tree_options){.name = "parts"};
    assert_int_equal(open_set(f), STATUS_OK);
    struct version_edit edit = {0};
    add_table(f, &edit, 2, 0, "a", "b", 1);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    close_set(f);
    assert_int_equal(open_set(f), STATUS_OK);
    assert_string_equal(level_text(f, 2, 0), "2 ");
    destroy(f);
}

static void nothing_is_made_when_it_must_exist(void **state)
{
    (void)state;
    struct fixture *f = create();
    close_set(f);
    vfs_destroy(f->fault);
    vfs_destroy(f->memory);
    attach(f, vfs_memory_create());
    assert_int_equal(f->memory->ops->make_directory(f->memory, "db"), STATUS_OK);
    f->options.must_exist = true;
    assert_int_equal(open_set(f), STATUS_NOT_FOUND);
    assert_int_equal(manifest_count(f), 0);
    destroy(f);
}

static void a_lost_current_is_not_taken_for_a_new_database(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct version_edit edit = {0};
    add_table(f, &edit, 0, 0, "a", "b", 1);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    close_set(f);
    assert_int_equal(vfs_remove(f->memory, "db/CURRENT"), STATUS_OK);
    assert_int_equal(open_set(f), STATUS_CORRUPT);
    assert_non_null(strstr(f->report.text, "CURRENT is missing"));
    destroy(f);
}

static void overlapping_tables_of_a_level_are_refused(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct version_edit edit = {0};
    add_table(f, &edit, 1, 1, "a", "m", 1);
    add_table(f, &edit, 1, 1, "c", "z", 2); /* fine in a tree of time runs */
    assert_int_equal(apply(f, &edit), STATUS_OK);
    /* The same manifest, read as a leveled tree's. */
    struct manifest_content content = f->set->log;
    struct manifest_content lie = {.state = content.state, .tree_count = 2};
    memcpy(lie.trees, content.trees, sizeof(lie.trees));
    lie.trees[1].compaction = LSM_LEVELED;
    struct version *version = version_set_current(f->set);
    lie.table_count = 2;
    lie.tables = memory_zeroed(2, sizeof(*lie.tables));
    for (size_t i = 0; i < 2; i++) {
        struct table_ref *ref = version->trees[1].levels[1].tables[i];
        lie.tables[i] = (struct version_edit_table){
            .tree = 1, .level = 1, .number = ref->number, .properties = ref->properties};
    }
    struct vfs_file *file = NULL;
    assert_int_equal(manifest_create(&f->env, "db", 50, &lie, &file), STATUS_OK);
    vfs_close(file);
    memory_free(lie.tables);
    version_unref(version);
    close_set(f);
    f->options.trees[1].compaction = LSM_LEVELED;
    assert_int_equal(open_set(f), STATUS_CORRUPT);
    assert_non_null(strstr(f->report.text, "overlaps"));
    destroy(f);
}

static void a_grown_manifest_is_rewritten(void **state)
{
    (void)state;
    struct fixture *f = create();
    uint64_t first = f->set->log.number;
    for (lsn_t lsn = 1; lsn < 60000; lsn++) {
        struct version_edit edit = {.durable_lsn = lsn};
        assert_int_equal(version_set_apply(f->set, &edit), STATUS_OK);
    }
    assert_true(f->set->log.number > first);
    assert_int_equal(manifest_count(f), 1);
    close_set(f);
    assert_int_equal(open_set(f), STATUS_OK);
    struct version_state state_now;
    version_set_state(f->set, &state_now);
    assert_int_equal(state_now.durable_lsn, 59999);
    destroy(f);
}

/* One life: three edits (a flush, another, a compaction of both), stopped by an error of the n-th
 * call or by a loss of power; the state found is the one before or after an edit, never less than
 * what was acknowledged. */
static size_t run_edits(struct fixture *f, enum status *failed)
{
    struct version_edit edit = {.flushed_lsn = 100};
    size_t done = 0;
    uint64_t a = add_table(f, &edit, 0, 0, "a", "b", 1);
    *failed = apply(f, &edit);
    if (*failed)
        return done;
    done++;
    edit.flushed_lsn = 200;
    uint64_t b = add_table(f, &edit, 0, 0, "c", "d", 2);
    *failed = apply(f, &edit);
    if (*failed)
        return done;
    done++;
    version_edit_remove(&edit, 0, 0, a);
    version_edit_remove(&edit, 0, 0, b);
    add_table(f, &edit, 0, 1, "a", "d", 2);
    *failed = apply(f, &edit);
    return *failed ? done : done + 1;
}

static const char *const STATES_L0[] = {"", "2 ", "3 2 ", ""};
static const char *const STATES_L1[] = {"", "", "", "4 "};

static void synced_edits_survive_every_power_loss(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 40; round++) {
        struct fixture *f = create();
        enum status failed;
        assert_int_equal(run_edits(f, &failed), 3);
        crash(f, (enum vfs_power_loss)(round % 4), round);
        assert_int_equal(open_set(f), STATUS_OK);
        assert_string_equal(level_text(f, 0, 0), STATES_L0[3]);
        assert_string_equal(level_text(f, 0, 1), STATES_L1[3]);
        destroy(f);
    }
}

static void a_failing_manifest_keeps_the_old_state_and_recovers(void **state)
{
    (void)state;
    const unsigned calls[] = {1u << VFS_CALL_WRITE, 1u << VFS_CALL_SYNC, 1u << VFS_CALL_RENAME,
                              1u << VFS_CALL_SYNC_DIRECTORY};
    for (size_t kind = 0; kind < 4; kind++) {
        for (int for_good = 0; for_good < 2; for_good++) {
            struct fixture *f = create();
            struct version_edit edit = {.flushed_lsn = 100};
            add_table(f, &edit, 0, 0, "a", "b", 1);
            assert_int_equal(apply(f, &edit), STATUS_OK);
            uint64_t lost = add_table(f, &edit, 0, 0, "c", "d", 2);
            /* With rename or directory sync failing, a new manifest is forced first. */
            if (kind >= 2) {
                vfs_close(f->set->file);
                f->set->file = NULL;
            }
            vfs_fault_fail(f->fault, calls[kind], 1, STATUS_IO, for_good);
            assert_int_equal(apply(f, &edit), STATUS_IO);
            assert_string_equal(level_text(f, 0, 0), "2 ");
            vfs_fault_fail(f->fault, 0, 0, STATUS_OK, false);
            char path[64];
            table_path("db", lost, path, sizeof(path));
            assert_int_equal(vfs_remove(f->memory, path), STATUS_OK);

            struct vfs *crashed = vfs_memory_after_power_loss(f->memory, VFS_KEEP_ALL, 1);
            edit.durable_lsn = 777;
            assert_int_equal(apply(f, &edit), STATUS_OK);
            close_set(f);
            assert_int_equal(open_set(f), STATUS_OK);
            assert_string_equal(level_text(f, 0, 0), "2 ");
            struct version_state now;
            version_set_state(f->set, &now);
            assert_int_equal(now.durable_lsn, 777);
            /* And had the process died right after the failure: */
            close_set(f);
            vfs_destroy(f->fault);
            vfs_destroy(f->memory);
            attach(f, crashed);
            assert_int_equal(open_set(f), STATUS_OK);
            assert_string_equal(level_text(f, 0, 0), "2 ");
            destroy(f);
        }
    }
}

/* The old manifest is removed behind a switch: its last sync keeps CURRENT from naming it still. */
static enum status open_after_switch_and_loss(const char *skipped)
{
    struct fixture *f = create();
    struct version_edit edit = {.durable_lsn = 5};
    vfs_close(f->set->file);
    f->set->file = NULL;
    vfs_fault_skip_sync(f->fault, skipped);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    /* The removal happens to reach the medium, the renaming of CURRENT does not. */
    struct vfs *after = vfs_memory_after_power_loss(f->memory, VFS_LOSE_UNSYNCED, 0);
    (void)vfs_remove(after, "db/MANIFEST-000001");
    close_set(f);
    vfs_destroy(f->fault);
    vfs_destroy(f->memory);
    attach(f, after);
    enum status status = open_set(f);
    destroy(f);
    return status;
}

static void a_switch_is_durable_before_the_old_manifest_goes(void **state)
{
    (void)state;
    assert_int_equal(open_after_switch_and_loss(NULL), STATUS_OK);
    assert_int_equal(open_after_switch_and_loss("replace_file.directory"), STATUS_CORRUPT);
}

static size_t table_count(struct fixture *f)
{
    struct version *version = version_set_current(f->set);
    size_t count = version->trees[0].levels[0].count;
    version_unref(version);
    return count;
}

/* The next open reads the edit whose sync failed, and relies on it; then it is on the medium. */
static void a_failed_edit_that_an_open_reads_is_durable_then(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct version_edit edit = {0};
    add_table(f, &edit, 0, 0, "a", "b", 10);
    vfs_fault_fail(f->fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, false);
    assert_int_equal(apply(f, &edit), STATUS_IO);
    close_set(f);
    assert_int_equal(open_set(f), STATUS_OK);
    assert_int_equal(table_count(f), 1);
    edit = (struct version_edit){0};
    add_table(f, &edit, 0, 0, "c", "d", 20);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    crash(f, VFS_LOSE_UNSYNCED, 1);
    if (open_set(f) != STATUS_OK)
        fail_msg("%s", f->report.text);
    assert_int_equal(table_count(f), 2);
    destroy(f);
}

static void opening_a_table_without_waiting_says_so(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct version_edit edit = {0};
    add_table(f, &edit, 0, 0, "a", "b", 1);
    assert_int_equal(apply(f, &edit), STATUS_OK);
    struct version *version = version_set_current(f->set);
    struct table_ref *ref = version->trees[0].levels[0].tables[0];
    struct table *table = NULL, *again = NULL;
    pthread_mutex_lock(&f->set->table_locks[ref->number % TABLE_OPEN_LOCKS]);
    assert_int_equal(table_ref_open(f->set, ref, true, &table), STATUS_WOULD_BLOCK);
    pthread_mutex_unlock(&f->set->table_locks[ref->number % TABLE_OPEN_LOCKS]);
    vfs_fault_fail(f->fault, 1u << VFS_CALL_READ, 1, STATUS_IO, false);
    assert_int_equal(table_ref_open(f->set, ref, false, &table), STATUS_IO);
    assert_int_equal(table_ref_open(f->set, ref, false, &table), STATUS_OK);
    assert_int_equal(table_ref_open(f->set, ref, true, &again), STATUS_OK);
    assert_ptr_equal(table, again);
    version_unref(version);
    destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_set_is_empty_and_remembered),
        cmocka_unit_test(levels_are_ordered_as_promised),
        cmocka_unit_test(a_dropped_table_is_unlinked_with_its_last_version),
        cmocka_unit_test(a_moved_table_keeps_its_file),
        cmocka_unit_test(leftovers_are_removed_at_open_and_numbers_not_reused),
        cmocka_unit_test(tables_of_a_torn_edit_stay_until_the_manifest_is_whole_again),
        cmocka_unit_test(other_trees_are_refused_and_more_trees_join),
        cmocka_unit_test(nothing_is_made_when_it_must_exist),
        cmocka_unit_test(a_lost_current_is_not_taken_for_a_new_database),
        cmocka_unit_test(overlapping_tables_of_a_level_are_refused),
        cmocka_unit_test(a_grown_manifest_is_rewritten),
        cmocka_unit_test(synced_edits_survive_every_power_loss),
        cmocka_unit_test(a_failing_manifest_keeps_the_old_state_and_recovers),
        cmocka_unit_test(a_switch_is_durable_before_the_old_manifest_goes),
        cmocka_unit_test(a_failed_edit_that_an_open_reads_is_durable_then),
        cmocka_unit_test(opening_a_table_without_waiting_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
