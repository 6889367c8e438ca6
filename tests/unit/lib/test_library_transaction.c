/* SPDX-License-Identifier: MIT */
/* Transactions of the library: what each anomaly looks like, and that it does not happen; a random
 * history of many threads, checked afterwards; faults. */
#include "library_fixture.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "lsm/db.h"

#include <pthread.h>
#include <stdlib.h>

static int setup(void **state)
{
    static struct library_world world;
    library_world_init(&world);
    library_world_open(&world);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    library_world_release(*state);
    return 0;
}

static struct cordwood_iterator *iterate_in(struct cordwood_transaction *transaction,
                                            const char *lower, const char *upper)
{
    struct cordwood_iterator_options options = CORDWOOD_ITERATOR_OPTIONS;
    struct cordwood_iterator *iterator;
    options.lower = cordwood_text(lower);
    options.upper = cordwood_text(upper);
    assert_int_equal(cordwood_transaction_iterator_open(transaction, 0, &options, &iterator),
                     CORDWOOD_OK);
    return iterator;
}

static void delete_range(struct cordwood *db, const char *from, const char *to)
{
    assert_int_equal(cordwood_delete_range(db, 0, cordwood_text(from), cordwood_text(to)),
                     CORDWOOD_OK);
}

/* ---- Its own writes ------------------------------------------------------------------------ */

static void a_transaction_sees_its_own_writes_and_nobody_else_does(void **state)
{
    struct library_world *world = *state;
    put(world->db, "a", "1");
    put(world->db, "b", "1");
    put(world->db, "c", "1");
    library_world_work(world, false);
    struct cordwood_transaction *transaction = begin(world->db, false);
    put_in(transaction, "a", "2");
    put_in(transaction, "bb", "2");
    assert_int_equal(cordwood_transaction_delete(transaction, 0, cordwood_text("b")), CORDWOOD_OK);
    assert_string_equal(get_in(transaction, "a"), "2");
    assert_string_equal(get_in(transaction, "b"), "-");
    assert_string_equal(get_in(transaction, "c"), "1");
    assert_string_equal(walk(iterate_in(transaction, "", ""), false), "a=2 bb=2 c=1");
    assert_string_equal(walk(iterate_in(transaction, "aa", "c"), true), "bb=2");
    assert_int_equal(
        cordwood_transaction_delete_range(transaction, 0, cordwood_text("a"), cordwood_text("bz")),
        CORDWOOD_OK);
    put_in(transaction, "b", "3");
    assert_string_equal(walk(iterate_in(transaction, "", ""), true), "c=1 b=3");
    assert_string_equal(walk(iterate(world->db, "", "", ""), false),
                        "a=1 b=1 c=1"); /* no dirty read */
    assert_int_equal(commit(transaction), CORDWOOD_OK);
    assert_string_equal(walk(iterate(world->db, "", "", ""), false), "b=3 c=1");
    library_world_close(world);
    library_world_open(world);
    assert_string_equal(walk(iterate(world->db, "", "", ""), false), "b=3 c=1");
}

static void an_open_iterator_sees_at_a_seek_what_was_written_before(void **state)
{
    struct library_world *world = *state;
    for (char key[] = "a"; key[0] <= 'f'; key[0]++)
        put(world->db, key, "1");
    struct cordwood_transaction *transaction = begin(world->db, false);
    struct cordwood_iterator *iterator = iterate_in(transaction, "", "");
    cordwood_iterator_seek_first(iterator);
    put_in(transaction, "aa", "2");
    assert_int_equal(
        cordwood_transaction_delete_range(transaction, 0, cordwood_text("b"), cordwood_text("f")),
        CORDWOOD_OK);
    assert_int_equal(cordwood_transaction_commit(transaction), CORDWOOD_INVALID); /* it is open */
    assert_string_equal(walk(iterator, false), "a=1 aa=2 f=1");
    assert_int_equal(commit(transaction), CORDWOOD_OK);
}

static void what_is_not_committed_never_happened(void **state)
{
    struct library_world *world = *state;
    put(world->db, "a", "1");
    struct cordwood_transaction *transaction = begin(world->db, false);
    put_in(transaction, "a", "2");
    cordwood_transaction_destroy(transaction);
    assert_string_equal(get(world->db, "a"), "1");
    put(world->db, "a", "3");
}

static void a_transaction_is_committed_once(void **state)
{
    struct library_world *world = *state;
    struct cordwood_transaction *transaction = begin(world->db, false);
    put_in(transaction, "a", "1");
    assert_int_equal(cordwood_transaction_commit(transaction), CORDWOOD_OK);
    assert_int_equal(cordwood_transaction_commit(transaction), CORDWOOD_INVALID);
    assert_int_equal(
        cordwood_transaction_put(transaction, 0, cordwood_text("a"), cordwood_text("2")),
        CORDWOOD_INVALID);
    cordwood_transaction_destroy(transaction);
    transaction = begin(world->db, true); /* nothing written: nothing can be in its way */
    assert_string_equal(get_in(transaction, "a"), "1");
    put(world->db, "a", "2");
    assert_string_equal(get_in(transaction, "a"), "1");
    assert_int_equal(commit(transaction), CORDWOOD_OK);
}

/* ---- Anomalies ----------------------------------------------------------------------------- */

static void no_update_is_lost(void **state)
{
    struct library_world *world = *state;
    put(world->db, "n", "1");
    for (int work = 0; work <= 2; work++) {
        struct cordwood_transaction *first = begin(world->db, false);
        struct cordwood_transaction *second = begin(world->db, false);
        const char *value = get_in(first, "n");
        assert_string_equal(get_in(second, "n"), value);
        put_in(first, "n", "2");
        put_in(second, "n", "3");
        assert_int_equal(commit(first), CORDWOOD_OK);
        if (work) /* the winner's version is in a table by now */
            library_world_work(world, work == 2);
        assert_int_equal(cordwood_transaction_commit(second), CORDWOOD_CONFLICT);
        assert_int_equal(cordwood_transaction_commit(second), CORDWOOD_INVALID);
        cordwood_transaction_destroy(second);
        assert_string_equal(get(world->db, "n"), "2");
    }
}

/* The other one's write: of any kind, in memory or in tables. */
static void every_kind_of_write_is_a_conflict(void **state)
{
    struct library_world *world = *state;
    for (int kind = 0; kind < 5; kind++) {
        for (int work = 0; work <= 2; work++) {
            put(world->db, "k", "1");
            library_world_work(world, work == 2);
            struct cordwood_transaction *transaction = begin(world->db, false);
            if (kind == 0)
                put(world->db, "k", "2");
            if (kind == 1)
                assert_int_equal(cordwood_delete(world->db, 0, cordwood_text("k")), CORDWOOD_OK);
            if (kind == 2)
                delete_range(world->db, "a", "z");
            if (kind == 3)
                delete_range(world->db, "k", "l");
            if (work)
                library_world_work(world, work == 2);
            put_in(transaction, "k", "3");
            assert_int_equal(commit(transaction), kind == 4 ? CORDWOOD_OK : CORDWOOD_CONFLICT);
        }
    }
}

static void a_deleted_range_conflicts_with_a_write_into_it(void **state)
{
    struct library_world *world = *state;
    for (int work = 0; work <= 2; work++) {
        put(world->db, "m", "1");
        struct cordwood_transaction *deleter = begin(world->db, false);
        struct cordwood_transaction *outside = begin(world->db, false);
        put(world->db, "m2", "new"); /* a key that was not there */
        if (work)
            library_world_work(world, work == 2);
        assert_int_equal(
            cordwood_transaction_delete_range(deleter, 0, cordwood_text("m"), cordwood_text("n")),
            CORDWOOD_OK);
        assert_int_equal(
            cordwood_transaction_delete_range(outside, 0, cordwood_text("n"), cordwood_text("z")),
            CORDWOOD_OK);
        assert_int_equal(commit(deleter), CORDWOOD_CONFLICT);
        assert_int_equal(commit(outside), CORDWOOD_OK);
        assert_string_equal(get(world->db, "m2"), "new");
        delete_range(world->db, "a", "z");
    }
}

static void two_range_deletions_conflict_where_they_meet(void **state)
{
    struct library_world *world = *state;
    put(world->db, "c", "1");
    struct cordwood_transaction *transaction = begin(world->db, false);
    delete_range(world->db, "a", "d");
    assert_int_equal(
        cordwood_transaction_delete_range(transaction, 0, cordwood_text("c"), cordwood_text("f")),
        CORDWOOD_OK);
    assert_int_equal(commit(transaction), CORDWOOD_CONFLICT);
}

static void reads_are_not_skewed(void **state)
{
    struct library_world *world = *state;
    put(world->db, "x", "1");
    put(world->db, "y", "1");
    struct cordwood_transaction *reader = begin(world->db, false);
    assert_string_equal(get_in(reader, "x"), "1");
    struct cordwood_transaction *writer = begin(world->db, false);
    put_in(writer, "x", "2");
    put_in(writer, "y", "2");
    assert_int_equal(commit(writer), CORDWOOD_OK);
    library_world_work(world, true);
    assert_string_equal(get_in(reader, "y"), "1");
    assert_int_equal(commit(reader), CORDWOOD_OK);
}

static void a_range_has_no_phantoms(void **state)
{
    struct library_world *world = *state;
    put(world->db, "a", "1");
    put(world->db, "c", "1");
    struct cordwood_transaction *transaction = begin(world->db, false);
    assert_string_equal(walk(iterate_in(transaction, "a", "d"), false), "a=1 c=1");
    put(world->db, "b", "2");
    assert_int_equal(cordwood_delete(world->db, 0, cordwood_text("c")), CORDWOOD_OK);
    library_world_work(world, true);
    assert_string_equal(walk(iterate_in(transaction, "a", "d"), false), "a=1 c=1");
    assert_int_equal(commit(transaction), CORDWOOD_OK);
}

/* Two doctors on call; each may leave if the other one stays. */
static enum cordwood_status skew_writes(struct library_world *world, bool serializable)
{
    put(world->db, "alice", "on");
    put(world->db, "bob", "on");
    struct cordwood_transaction *first = begin(world->db, serializable);
    struct cordwood_transaction *second = begin(world->db, serializable);
    assert_string_equal(get_in(first, "bob"), "on");
    assert_string_equal(get_in(second, "alice"), "on");
    put_in(first, "alice", "off");
    put_in(second, "bob", "off");
    assert_int_equal(commit(first), CORDWOOD_OK);
    return commit(second);
}

static void writes_are_skewed_under_snapshot_isolation_alone(void **state)
{
    struct library_world *world = *state;
    assert_int_equal(skew_writes(world, false), CORDWOOD_OK);
    assert_int_equal(skew_writes(world, true), CORDWOOD_CONFLICT);
    assert_string_equal(get(world->db, "bob"), "on");
}

/* What a serializable transaction has read, by `look`, and somebody changes before its commit. */
static enum cordwood_status read_then(struct library_world *world,
                                      void (*look)(struct cordwood_transaction *), int work,
                                      const char *changed, bool is_deleted)
{
    delete_range(world->db, "a", "z");
    for (char key[] = "b"; key[0] <= 'h'; key[0] += 2)
        put(world->db, key, "1");
    library_world_work(world, work == 2);
    struct cordwood_transaction *transaction = begin(world->db, true);
    look(transaction);
    put_in(transaction, "result", "1");
    if (is_deleted)
        delete_range(world->db, changed, "i");
    else
        put(world->db, changed, "2");
    if (work)
        library_world_work(world, work == 2);
    return commit(transaction);
}

static void look_at_missing_key(struct cordwood_transaction *transaction)
{
    assert_string_equal(get_in(transaction, "c"), "-");
}

/* Walks b and d: all of [b, d]. */
static void look_at_two(struct cordwood_transaction *transaction)
{
    struct cordwood_iterator *iterator = iterate_in(transaction, "", "");
    cordwood_iterator_seek(iterator, cordwood_text("b"));
    cordwood_iterator_next(iterator);
    assert_memory_equal(cordwood_iterator_key(iterator).data, "d", 1);
    cordwood_iterator_prev(iterator);
    cordwood_iterator_next(iterator);
    cordwood_iterator_close(iterator);
}

/* From f down to d, and then from h up to the end. */
static void look_backward(struct cordwood_transaction *transaction)
{
    struct cordwood_iterator *iterator = iterate_in(transaction, "", "k");
    cordwood_iterator_seek_for_prev(iterator, cordwood_text("g"));
    assert_memory_equal(cordwood_iterator_key(iterator).data, "f", 1);
    cordwood_iterator_prev(iterator);
    cordwood_iterator_seek_last(iterator);
    assert_memory_equal(cordwood_iterator_key(iterator).data, "h", 1);
    cordwood_iterator_close(iterator);
}

static void look_at_all(struct cordwood_transaction *transaction)
{
    (void)walk(iterate_in(transaction, "a", "k"), false);
    (void)walk(iterate_in(transaction, "n", "nz"), true); /* empty */
}

static void what_was_read_may_not_change_before_a_serializable_commit(void **state)
{
    static const struct {
        void (*look)(struct cordwood_transaction *);
        const char *changed;
        bool is_deleted;
        enum cordwood_status expected;
    } cases[] = {
        {look_at_missing_key, "c", false, CORDWOOD_CONFLICT},
        {look_at_missing_key, "d", false, CORDWOOD_OK},
        {look_at_missing_key, "b", true, CORDWOOD_OK}, /* still not there */
        {look_at_two, "a", false, CORDWOOD_OK},
        {look_at_two, "b", false, CORDWOOD_CONFLICT},
        {look_at_two, "c", false, CORDWOOD_CONFLICT},
        {look_at_two, "d", false, CORDWOOD_CONFLICT},
        {look_at_two, "da", false, CORDWOOD_OK},
        {look_at_two, "d", true, CORDWOOD_CONFLICT},
        {look_at_two, "e", true, CORDWOOD_OK},
        {look_backward, "c", false, CORDWOOD_OK},
        {look_backward, "d", false, CORDWOOD_CONFLICT},
        {look_backward, "g", false, CORDWOOD_CONFLICT},
        {look_backward, "gg", false, CORDWOOD_OK},
        {look_backward, "h", false, CORDWOOD_CONFLICT},
        {look_backward, "i", false, CORDWOOD_CONFLICT},
        {look_backward, "k", false, CORDWOOD_OK},
        {look_at_all, "a", false, CORDWOOD_CONFLICT},
        {look_at_all, "j", false, CORDWOOD_CONFLICT},
        {look_at_all, "l", false, CORDWOOD_OK},
        {look_at_all, "n", false, CORDWOOD_CONFLICT},
        {look_at_all, "c", true, CORDWOOD_CONFLICT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int work = 0; work <= 2; work++) {
            enum cordwood_status status =
                read_then(*state, cases[i].look, work, cases[i].changed, cases[i].is_deleted);
            /* A deletion that is still a range may count for a key that it did not change. */
            if (status != cases[i].expected &&
                !(cases[i].is_deleted && status == CORDWOOD_CONFLICT))
                fail_msg("case %zu, work %d: %s", i, work, cordwood_status_text(status));
        }
}

struct committer {
    struct cordwood_transaction *transaction;
    enum cordwood_status status;
};

static void *commit_in_thread(void *context)
{
    struct committer *committer = context;
    committer->status = commit(committer->transaction);
    return NULL;
}

static bool somebody_reads(struct lsm *engine)
{
    for (unsigned i = 0; i < atomic_load(&engine->slot_count); i++)
        if (atomic_load(&engine->slots[i].lsn) != IDLE_LSN)
            return true;
    return false;
}

/* While the commit looks without the lock at its own moment, somebody who has the lock writes. */
static enum cordwood_status commit_while_written(struct library_world *world,
                                                 struct cordwood_transaction *transaction,
                                                 const char *key, bool is_range)
{
    struct lsm *engine = world->db->engine;
    struct committer committer = {.transaction = transaction};
    struct lsm_writer *writer;
    pthread_t thread;
    lsm_lock(engine);
    assert_int_equal(pthread_create(&thread, NULL, commit_in_thread, &committer), 0);
    while (!somebody_reads(engine))
        sched_yield();
    assert_int_equal(lsm_write_begin(engine, 100, false, &writer), STATUS_OK);
    if (is_range)
        lsm_delete_range(writer, 0, slice_from(key), slice_from("zzz"));
    else
        lsm_put(writer, 0, slice_from(key), slice_from("other"));
    assert_int_not_equal(lsm_write_end(writer), 0);
    lsm_unlock(engine);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return committer.status;
}

static void what_comes_between_the_look_and_the_lock_is_a_conflict(void **state)
{
    struct library_world *world = *state;
    for (int is_range = 0; is_range <= 1; is_range++) {
        put(world->db, "k", "1");
        put(world->db, "m", "1");
        library_world_work(world, true);
        struct cordwood_transaction *transaction = begin(world->db, false);
        put_in(transaction, "k", "2");
        assert_int_equal(commit_while_written(world, transaction, "k", is_range),
                         CORDWOOD_CONFLICT);
        transaction = begin(world->db, false);
        assert_int_equal(cordwood_transaction_delete_range(transaction, 0, cordwood_text("l"),
                                                           cordwood_text("n")),
                         CORDWOOD_OK);
        assert_int_equal(commit_while_written(world, transaction, "mm", is_range),
                         CORDWOOD_CONFLICT);
        transaction = begin(world->db, true);
        (void)get_in(transaction, "k");
        put_in(transaction, "a", "2");
        assert_int_equal(commit_while_written(world, transaction, "k", is_range),
                         CORDWOOD_CONFLICT);
        transaction = begin(world->db, true);
        (void)walk(iterate_in(transaction, "l", "n"), false);
        put_in(transaction, "a", "2");
        assert_int_equal(commit_while_written(world, transaction, "mmm", is_range),
                         CORDWOOD_CONFLICT);
        transaction = begin(world->db, true);
        (void)walk(iterate_in(transaction, "l", "n"), false);
        put_in(transaction, "b", "2");
        assert_int_equal(commit_while_written(world, transaction, "n", is_range), CORDWOOD_OK);
        assert_string_equal(get(world->db, "a"), "-");
    }
}

/* ---- Limits and faults --------------------------------------------------------------------- */

static void a_transaction_above_the_limit_says_so_and_stays_as_it_was(void **state)
{
    struct library_world *world = *state;
    static char bytes[600 << 10];
    struct cordwood_slice value = cordwood_slice(bytes, sizeof(bytes));
    library_world_close(world);
    world->options.batch_bytes_max = 1 << 20;
    library_world_open(world);
    struct cordwood_transaction *transaction = begin(world->db, false);
    assert_int_equal(cordwood_transaction_put(transaction, 0, cordwood_text("a"), value),
                     CORDWOOD_OK);
    assert_int_equal(cordwood_transaction_put(transaction, 0, cordwood_text("b"), value),
                     CORDWOOD_TOO_LARGE);
    assert_string_equal(get_in(transaction, "b"), "-");
    put_in(transaction, "c", "1");
    assert_int_equal(commit(transaction), CORDWOOD_OK);
    assert_string_equal(get(world->db, "c"), "1");
    assert_string_equal(get(world->db, "b"), "-");
}

/* Keys read count, keys deleted count, ranges too. */
static void reads_of_a_serializable_transaction_are_bounded(void **state)
{
    struct library_world *world = *state;
    static char bytes[4096];
    struct cordwood_buffer buffer = {0};
    struct cordwood_iterator *iterator;
    struct cordwood_slice large = cordwood_slice(bytes, sizeof(bytes));
    library_world_close(world);
    world->options.batch_bytes_max = 10000;
    library_world_open(world);
    for (int kind = 0; kind < 3; kind++) {
        struct cordwood_transaction *transaction = begin(world->db, kind > 0);
        enum cordwood_status status = CORDWOOD_OK;
        for (int i = 0; i < 4; i++) {
            if (kind == 0)
                status = cordwood_transaction_delete(transaction, 0, large);
            if (kind == 1)
                status = cordwood_transaction_get(transaction, 0, large, &buffer);
            if (kind == 2 && cordwood_transaction_iterator_open(transaction, 0, NULL, &iterator) ==
                                 CORDWOOD_OK) {
                cordwood_iterator_seek(iterator, large);
                cordwood_iterator_close(iterator);
            }
        }
        assert_int_equal(status, kind == 0   ? CORDWOOD_TOO_LARGE
                                 : kind == 1 ? CORDWOOD_TOO_LARGE
                                             : CORDWOOD_OK);
        if (kind == 0)
            assert_int_equal(
                cordwood_transaction_delete_range(transaction, 0, large, cordwood_text("a")),
                CORDWOOD_TOO_LARGE);
        if (kind > 0)
            assert_int_equal(cordwood_transaction_iterator_open(transaction, 0, NULL, &iterator),
                             CORDWOOD_TOO_LARGE);
        assert_int_equal(commit(transaction), kind == 0 ? CORDWOOD_OK : CORDWOOD_TOO_LARGE);
    }
    cordwood_buffer_release(&buffer);
}

static void without_memory_a_transaction_stays_as_it_was(void **state)
{
    struct library_world *world = *state;
    struct cordwood_buffer buffer = {0};
    struct cordwood_transaction *transaction = begin(world->db, true);
    memory_fail_try(1, true);
    assert_int_equal(
        cordwood_transaction_put(transaction, 0, cordwood_text("a"), cordwood_text("1")),
        CORDWOOD_NO_MEMORY);
    assert_int_equal(cordwood_transaction_delete(transaction, 0, cordwood_text("a")),
                     CORDWOOD_NO_MEMORY);
    assert_int_equal(
        cordwood_transaction_delete_range(transaction, 0, cordwood_text("a"), cordwood_text("b")),
        CORDWOOD_NO_MEMORY);
    memory_fail_try(0, false);
    assert_string_equal(get_in(transaction, "a"), "-");
    put_in(transaction, "b", "1");
    for (uint64_t n = 1; n <= 3; n++) { /* what it sees of itself is what it will write */
        memory_fail_try(n, n == 3);
        enum cordwood_status status =
            cordwood_transaction_put(transaction, 0, cordwood_text("c"), cordwood_text("1"));
        memory_fail_try(0, false);
        assert_true(status == CORDWOOD_OK || status == CORDWOOD_NO_MEMORY);
        assert_string_equal(get_in(transaction, "c"), status == CORDWOOD_OK ? "1" : "-");
        assert_int_equal(cordwood_transaction_delete(transaction, 0, cordwood_text("c")),
                         CORDWOOD_OK);
    }
    assert_int_equal(commit(transaction), CORDWOOD_OK);
    transaction = begin(world->db, true);
    memory_fail_try(1, true);
    assert_int_equal(cordwood_transaction_get(transaction, 0, cordwood_text("a"), &buffer),
                     CORDWOOD_NO_MEMORY);
    memory_fail_try(0, false);
    assert_int_equal(commit(transaction), CORDWOOD_NO_MEMORY); /* what it read is not known */
    assert_string_equal(walk(iterate(world->db, "", "", ""), false), "b=1");
}

static void a_commit_on_a_full_disk_leaves_nothing_and_may_be_tried_again(void **state)
{
    struct library_world *world = *state;
    static char bytes[700 << 10];
    put(world->db, "a", "1");
    struct cordwood_transaction *transaction = begin(world->db, false);
    put_in(transaction, "a", "2");
    for (char key[] = "p"; key[0] <= 'q'; key[0]++)
        assert_int_equal(cordwood_transaction_put(transaction, 0, cordwood_text(key),
                                                  cordwood_slice(bytes, sizeof(bytes))),
                         CORDWOOD_OK);
    vfs_fault_set_free_bytes(world->fault, 0);
    assert_int_equal(cordwood_transaction_commit(transaction), CORDWOOD_NO_SPACE);
    assert_string_equal(walk(iterate(world->db, "", "", ""), false), "a=1");
    vfs_fault_set_free_bytes(world->fault, UINT64_MAX);
    assert_int_equal(commit(transaction), CORDWOOD_OK);
    assert_string_equal(get(world->db, "a"), "2");
}

/* Reads of the check fail, one after the other, until none does. */
static void a_commit_whose_check_cannot_read_leaves_nothing(void **state)
{
    struct library_world *world = *state;
    put(world->db, "a", "1");
    put(world->db, "b", "1");
    library_world_work(world, true);
    enum cordwood_status status = CORDWOOD_IO;
    unsigned failures = 0;
    for (uint64_t n = 1; status != CORDWOOD_OK; n++) {
        library_world_close(world);
        library_world_open(world); /* nothing is cached */
        struct cordwood_transaction *transaction = begin(world->db, true);
        put_in(transaction, "a", "2");
        assert_int_equal(cordwood_transaction_delete_range(transaction, 0, cordwood_text("b"),
                                                           cordwood_text("c")),
                         CORDWOOD_OK);
        put(world->db, "0", "3"); /* older tables need no look */
        put(world->db, "d", "3");
        library_world_work(world, true);
        vfs_fault_fail(world->fault, 1u << VFS_CALL_READ, n, STATUS_IO, false);
        status = cordwood_transaction_commit(transaction);
        vfs_fault_fail(world->fault, 0, 0, STATUS_OK, false);
        if (status != CORDWOOD_OK) {
            assert_int_equal(status, CORDWOOD_IO);
            assert_string_equal(walk(iterate(world->db, "", "", ""), false), "0=3 a=1 b=1 d=3");
            failures++;
        }
        cordwood_transaction_destroy(transaction);
    }
    assert_true(failures > 0);
    assert_string_equal(walk(iterate(world->db, "", "", ""), false), "0=3 a=2 d=3");
}

static void a_commit_whose_sync_fails_is_taken_back(void **state)
{
    struct library_world *world = *state, after;
    library_world_close(world);
    world->options.durability = CORDWOOD_SYNC_COMMIT;
    library_world_open(world);
    put(world->db, "a", "1");
    struct cordwood_transaction *transaction = begin(world->db, false);
    put_in(transaction, "a", "2");
    put_in(transaction, "b", "2");
    vfs_fault_fail(world->fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, false);
    assert_int_not_equal(commit(transaction), CORDWOOD_OK);
    assert_string_equal(walk(iterate(world->db, "", "", ""), false), "a=1");
    transaction = begin(world->db, false);
    put_in(transaction, "c", "2");
    assert_int_equal(commit(transaction), CORDWOOD_READ_ONLY);
    library_world_open_after(world, VFS_LOSE_UNSYNCED, &after);
    assert_string_equal(walk(iterate(after.db, "", "", ""), false), "a=1");
    library_world_release(&after);
    (void)cordwood_close(world->db);
    library_world_open(world);
}

/* Recovery knows nothing of transactions that ended with the process, and new ones begin above all
 * that it found. */
static void after_a_crash_conflicts_are_found_as_before(void **state)
{
    struct library_world *world = *state, after;
    struct cordwood_transaction *transaction = begin(world->db, false);
    put_in(transaction, "a", "1");
    assert_int_equal(commit(transaction), CORDWOOD_OK);
    transaction = begin(world->db, false);
    put_in(transaction, "a", "never");
    library_world_open_after(world, VFS_KEEP_ALL, &after);
    cordwood_transaction_destroy(transaction);
    assert_string_equal(get(after.db, "a"), "1");
    struct cordwood_transaction *first = begin(after.db, false);
    struct cordwood_transaction *second = begin(after.db, false);
    put_in(first, "a", "2");
    put_in(second, "a", "3");
    assert_int_equal(commit(first), CORDWOOD_OK);
    assert_int_equal(commit(second), CORDWOOD_CONFLICT);
    library_world_release(&after);
}

/* ---- A random history ---------------------------------------------------------------------- */

/* Money moves between accounts: whoever sums them up at one moment finds what there was. */
enum { ACCOUNTS = 8, HISTORY_THREADS = 4, TRANSFERS = 150, BALANCE = 100 };

struct teller {
    struct cordwood *db;
    struct random random;
    bool serializable;
    unsigned commits, conflicts, sums;
};

static long number_in(struct cordwood_transaction *transaction, unsigned account)
{
    char key[16];
    struct cordwood_buffer buffer = {0};
    snprintf(key, sizeof(key), "account%u", account);
    assert_int_equal(cordwood_transaction_get(transaction, 0, cordwood_text(key), &buffer),
                     CORDWOOD_OK);
    char text[32] = "";
    memcpy(text, buffer.data, buffer.size);
    cordwood_buffer_release(&buffer);
    return strtol(text, NULL, 10);
}

static void write_number(struct cordwood_transaction *transaction, unsigned account, long number)
{
    char key[16], value[32];
    snprintf(key, sizeof(key), "account%u", account);
    snprintf(value, sizeof(value), "%ld", number);
    put_in(transaction, key, value);
}

/* All accounts at one moment, by an iterator. */
static long sum_in(struct cordwood_transaction *transaction)
{
    long sum = 0;
    struct cordwood_iterator *iterator = iterate_in(transaction, "account", "accounu");
    for (cordwood_iterator_seek_first(iterator); cordwood_iterator_valid(iterator);
         cordwood_iterator_next(iterator)) {
        char text[32] = "";
        struct cordwood_slice value = cordwood_iterator_value(iterator);
        memcpy(text, value.data, value.size);
        sum += strtol(text, NULL, 10);
    }
    cordwood_iterator_close(iterator);
    return sum;
}

/* Moves money between two accounts; now and then counts all first. */
static void *transfer(void *context)
{
    struct teller *teller = context;
    while (teller->commits < TRANSFERS) {
        struct cordwood_transaction *transaction = begin(teller->db, teller->serializable);
        unsigned from = (unsigned)random_below(&teller->random, ACCOUNTS);
        unsigned to = (unsigned)random_below(&teller->random, ACCOUNTS);
        long amount = (long)random_below(&teller->random, 20);
        if (random_below(&teller->random, 4) == 0) {
            if (sum_in(transaction) != ACCOUNTS * BALANCE)
                abort();
            teller->sums++;
        }
        long balance = number_in(transaction, from);
        sched_yield(); /* so that transactions meet, on few cores too */
        write_number(transaction, from, balance - amount);
        write_number(transaction, to, number_in(transaction, to) + amount); /* sees its own write */
        enum cordwood_status status = commit(transaction);
        if (status == CORDWOOD_OK)
            teller->commits++;
        else if (status == CORDWOOD_CONFLICT)
            teller->conflicts++;
        else
            abort();
    }
    return NULL;
}

static void run_tellers(struct library_world *world, bool serializable)
{
    struct teller tellers[HISTORY_THREADS];
    pthread_t threads[HISTORY_THREADS];
    unsigned conflicts = 0, sums = 0;
    library_world_close(world);
    world->options.background_threads = 1;
    world->options.memtable_bytes = 32 << 10; /* tables come and go meanwhile */
    library_world_open(world);
    struct cordwood_transaction *first = begin(world->db, false);
    for (unsigned i = 0; i < ACCOUNTS; i++)
        write_number(first, i, BALANCE);
    assert_int_equal(commit(first), CORDWOOD_OK);
    for (unsigned i = 0; i < HISTORY_THREADS; i++) {
        tellers[i] = (struct teller){.db = world->db, .serializable = serializable};
        random_init(&tellers[i].random, test_seed() + i);
        assert_int_equal(pthread_create(&threads[i], NULL, transfer, &tellers[i]), 0);
    }
    for (unsigned i = 0; i < HISTORY_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        conflicts += tellers[i].conflicts;
        sums += tellers[i].sums;
    }
    struct cordwood_transaction *last = begin(world->db, false);
    assert_int_equal(sum_in(last), ACCOUNTS * BALANCE);
    assert_int_equal(commit(last), CORDWOOD_OK);
    printf("ran: %u commits, %u conflicts, %u sums\n", HISTORY_THREADS * TRANSFERS, conflicts,
           sums);
}

static void money_is_neither_made_nor_lost(void **state)
{
    run_tellers(*state, false);
    run_tellers(*state, true);
}

/* Histories of any kind: each transaction reads and writes what the seed says, unique values, and puts
 * down what it saw. Serializable ones are as if each had run alone at its commit, so the order of the
 * commits (their LSNs) must explain every read; what one that wrote nothing saw is one moment. */
enum { KEYS = 6, STEPS = 5, ROUNDS = 150, RECORDS = HISTORY_THREADS * ROUNDS };

struct seen {
    unsigned key;
    bool is_write;
    long value;
};

struct record {
    lsn_t lsn; /* 0: it wrote nothing */
    unsigned count;
    struct seen steps[STEPS];
};

struct scribe {
    struct cordwood *db;
    struct random random;
    unsigned number, conflicts;
    struct record records[ROUNDS];
};

/* As cordwood_transaction_commit, and says when. */
static enum status commit_at(struct cordwood_transaction *transaction, lsn_t *lsn)
{
    struct keeper_reader *taken = keeper_take_reader(&transaction->db->keeper);
    enum status status = lsm_transaction_commit(transaction->transaction, taken->reader, lsn);
    keeper_give_reader(taken);
    cordwood_transaction_destroy(transaction);
    return status;
}

static enum status run_one(struct scribe *scribe, unsigned round)
{
    struct cordwood_transaction *transaction = begin(scribe->db, true);
    struct record *record = &scribe->records[round];
    *record = (struct record){0};
    for (unsigned i = 0; i < STEPS; i++) {
        struct seen *step = &record->steps[record->count++];
        step->key = (unsigned)random_below(&scribe->random, KEYS);
        step->is_write = random_below(&scribe->random, 4) == 0;
        step->value = (long)((scribe->number * ROUNDS + round) * STEPS + i) + 1;
        if (step->is_write)
            write_number(transaction, step->key, step->value);
        else
            step->value = number_in(transaction, step->key);
        sched_yield();
    }
    return commit_at(transaction, &record->lsn);
}

static void *write_history(void *context)
{
    struct scribe *scribe = context;
    for (unsigned round = 0; round < ROUNDS;) {
        enum status status = run_one(scribe, round);
        if (status == STATUS_OK)
            round++;
        else if (status == STATUS_CONFLICT)
            scribe->conflicts++;
        else
            abort();
    }
    return NULL;
}

/* Are these the reads and writes of a transaction that finds `values`, and leaves them changed? */
static bool explains(const struct record *record, long values[KEYS])
{
    for (unsigned i = 0; i < record->count; i++) {
        const struct seen *step = &record->steps[i];
        if (step->is_write)
            values[step->key] = step->value;
        else if (step->value != values[step->key])
            return false;
    }
    return true;
}

static int compare_records(const void *a, const void *b)
{
    lsn_t left = (*(const struct record *const *)a)->lsn;
    lsn_t right = (*(const struct record *const *)b)->lsn;
    return (left > right) - (left < right);
}

static void check_history(const struct scribe *scribes)
{
    static const struct record *in_order[RECORDS];
    static bool is_explained[RECORDS];
    long values[KEYS] = {0};
    size_t readers = 0;
    for (unsigned i = 0; i < RECORDS; i++)
        in_order[i] = &scribes[i / ROUNDS].records[i % ROUNDS];
    qsort(in_order, RECORDS, sizeof(in_order[0]), compare_records);
    while (readers < RECORDS && in_order[readers]->lsn == 0)
        readers++;
    for (size_t place = readers; place <= RECORDS; place++) {
        for (size_t i = 0; i < readers; i++)
            is_explained[i] |= explains(in_order[i], values);
        if (place < RECORDS && !explains(in_order[place], values))
            fail_msg("SEED=%llu: what commit %zu read was not so then",
                     (unsigned long long)test_seed(), place - readers);
    }
    for (size_t i = 0; i < readers; i++)
        assert_true(is_explained[i]);
    assert_true(readers > 0);
    assert_true(readers < RECORDS / 2);
}

static void a_serializable_history_is_explained_by_the_order_of_commits(void **state)
{
    struct library_world *world = *state;
    static struct scribe scribes[HISTORY_THREADS];
    pthread_t threads[HISTORY_THREADS];
    unsigned conflicts = 0;
    library_world_close(world);
    world->options.background_threads = 1;
    world->options.memtable_bytes = 32 << 10;
    library_world_open(world);
    struct cordwood_transaction *first = begin(world->db, false);
    for (unsigned i = 0; i < KEYS; i++)
        write_number(first, i, 0);
    assert_int_equal(commit(first), CORDWOOD_OK);
    for (unsigned i = 0; i < HISTORY_THREADS; i++) {
        scribes[i] = (struct scribe){.db = world->db, .number = i};
        random_init(&scribes[i].random, test_seed() + 100 + i);
        assert_int_equal(pthread_create(&threads[i], NULL, write_history, &scribes[i]), 0);
    }
    for (unsigned i = 0; i < HISTORY_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        conflicts += scribes[i].conflicts;
    }
    check_history(scribes);
    printf("ran: %u transactions, %u conflicts\n", RECORDS, conflicts);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_transaction_sees_its_own_writes_and_nobody_else_does),
        TEST(an_open_iterator_sees_at_a_seek_what_was_written_before),
        TEST(what_is_not_committed_never_happened),
        TEST(a_transaction_is_committed_once),
        TEST(no_update_is_lost),
        TEST(every_kind_of_write_is_a_conflict),
        TEST(a_deleted_range_conflicts_with_a_write_into_it),
        TEST(two_range_deletions_conflict_where_they_meet),
        TEST(reads_are_not_skewed),
        TEST(a_range_has_no_phantoms),
        TEST(writes_are_skewed_under_snapshot_isolation_alone),
        TEST(what_was_read_may_not_change_before_a_serializable_commit),
        TEST(what_comes_between_the_look_and_the_lock_is_a_conflict),
        TEST(a_transaction_above_the_limit_says_so_and_stays_as_it_was),
        TEST(reads_of_a_serializable_transaction_are_bounded),
        TEST(without_memory_a_transaction_stays_as_it_was),
        TEST(a_commit_on_a_full_disk_leaves_nothing_and_may_be_tried_again),
        TEST(a_commit_whose_check_cannot_read_leaves_nothing),
        TEST(a_commit_whose_sync_fails_is_taken_back),
        TEST(after_a_crash_conflicts_are_found_as_before),
        TEST(money_is_neither_made_nor_lost),
        TEST(a_serializable_history_is_explained_by_the_order_of_commits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
