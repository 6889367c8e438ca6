/* SPDX-License-Identifier: MIT */
/* Threads that wait within the log for what another one does. Every wait for its condition goes through
 * this file (see the Makefile): the other thread is let go on when it is known that one waits. */
#include "unit/lsm/wal_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_uint waits;

int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    atomic_fetch_add(&waits, 1); /* the mutex is held until it waits */
    return __real_pthread_cond_wait(condition, mutex);
}

struct helper {
    struct wal *wal;
    enum status status;
    bool worked;
};

static void *write_all(void *context)
{
    struct helper *helper = context;
    helper->status = wal_write(helper->wal);
    return NULL;
}

static void *prepare(void *context)
{
    struct helper *helper = context;
    helper->worked = wal_work(helper->wal);
    return NULL;
}

static void *reserve(void *context)
{
    struct helper *helper = context;
    helper->status = wal_reserve(helper->wal, 100 << 10, false);
    return NULL;
}

/* `second` comes to wait for `first`, which is held in a write meanwhile. */
static void meet(struct wal_fixture *f, void *(*first)(void *), void *(*second)(void *),
                 struct helper helpers[2])
{
    pthread_t threads[2];
    unsigned before = atomic_load(&waits);
    helpers[0] = helpers[1] = (struct helper){.wal = f->wal};
    vfs_fault_hold(f->fault, 1u << VFS_CALL_WRITE, ".wal");
    pthread_create(&threads[0], NULL, first, &helpers[0]);
    while (atomic_load(&waits) == before)
        ; /* the hold is a wait too */
    unsigned held = atomic_load(&waits);
    pthread_create(&threads[1], NULL, second, &helpers[1]);
    while (atomic_load(&waits) == held)
        ;
    vfs_fault_release(f->fault);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
}

static uint64_t write_count(struct wal_fixture *f)
{
    struct vfs_fault_counters counters;
    vfs_fault_counters(f->fault, &counters);
    return counters.calls[VFS_CALL_WRITE];
}

static void two_who_write_the_same_write_once(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    struct helper helpers[2];
    fixture_start(f);
    fixture_append(f, 0, 100);
    uint64_t writes = write_count(f);
    meet(f, write_all, write_all, helpers);
    assert_int_equal(helpers[0].status, STATUS_OK);
    assert_int_equal(helpers[1].status, STATUS_OK);
    assert_int_equal(write_count(f), writes + 1);
    assert_int_equal(wal_written_lsn(f->wal), wal_next_lsn(f->wal));
    fixture_destroy(f);
}

static void who_waits_for_a_write_that_fails_fails_with_it(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    struct helper helpers[2];
    fixture_start(f);
    lsn_t lsn = fixture_append(f, 0, 100);
    uint64_t writes = write_count(f);
    vfs_fault_fail(f->fault, 1u << VFS_CALL_WRITE, 1, STATUS_IO, false);
    meet(f, write_all, write_all, helpers);
    assert_int_equal(helpers[0].status, STATUS_READ_ONLY);
    assert_int_equal(helpers[1].status, STATUS_READ_ONLY);
    assert_int_equal(write_count(f), writes + 1); /* it is not tried again */
    assert_int_equal(wal_written_lsn(f->wal), lsn);
    fixture_destroy(f);
}

static void a_reservation_waits_for_the_segment_that_another_prepares(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(128 << 10);
    struct helper helpers[2];
    fixture_start(f);
    fixture_append(f, 0, 40 << 10);
    assert_int_equal(fixture_segment_count(f), 1);
    meet(f, prepare, reserve, helpers);
    assert_true(helpers[0].worked);
    assert_int_equal(helpers[1].status, STATUS_OK);
    assert_int_equal(fixture_segment_count(f), 2); /* not one each */
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_who_write_the_same_write_once),
        cmocka_unit_test(who_waits_for_a_write_that_fails_fails_with_it),
        cmocka_unit_test(a_reservation_waits_for_the_segment_that_another_prepares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
