/* SPDX-License-Identifier: MIT */
/* The gate over an engine whose log is three numbers: the lsm_ functions are this file's, so a sync
 * takes as long as the test wants and fails when it wants. */
#include "server/gate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of these */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static lsn_t visible, written, durable;
static unsigned syncs_begun, writes, moves, sleeps;
static bool hold_syncs, ack_durable, time_stands_still;
static enum status write_status, sync_status;

static lsn_t load(const lsn_t *lsn)
{
    pthread_mutex_lock(&lock);
    lsn_t value = *lsn;
    pthread_mutex_unlock(&lock);
    return value;
}

lsn_t lsm_visible_lsn(const struct lsm *db)
{
    (void)db;
    return load(&visible);
}

lsn_t lsm_written_lsn(const struct lsm *db)
{
    (void)db;
    return load(&written);
}

lsn_t lsm_durable_lsn(const struct lsm *db)
{
    (void)db;
    return load(&durable);
}

void lsm_set_ack_durable(struct lsm *db, bool is_durable)
{
    (void)db;
    ack_durable = is_durable;
}

enum status lsm_wal_write(struct lsm *db)
{
    (void)db;
    pthread_mutex_lock(&lock);
    writes++;
    enum status status = write_status;
    if (status == STATUS_OK)
        written = visible;
    pthread_mutex_unlock(&lock);
    return status;
}

enum status lsm_wal_sync(struct lsm *db)
{
    (void)db;
    pthread_mutex_lock(&lock);
    lsn_t target = visible;
    syncs_begun++;
    pthread_cond_broadcast(&changed);
    while (hold_syncs)
        pthread_cond_wait(&changed, &lock);
    enum status status = sync_status;
    if (status == STATUS_OK)
        written = durable = target;
    pthread_mutex_unlock(&lock);
    return status;
}

/* The gate's sleeps are counted, and without end while time stands still. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until)
{
    pthread_mutex_lock(&lock);
    sleeps++;
    pthread_cond_broadcast(&changed);
    bool forever = time_stands_still;
    pthread_mutex_unlock(&lock);
    return forever ? pthread_cond_wait(condition, mutex)
                   : pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, until);
}

static void moved(void *context)
{
    (void)context;
    pthread_mutex_lock(&lock);
    moves++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void ignore_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static const struct env env = {.log = ignore_log};

static int reset(void **state)
{
    (void)state;
    visible = written = durable = 0;
    syncs_begun = writes = moves = sleeps = 0;
    hold_syncs = ack_durable = time_stands_still = false;
    write_status = sync_status = STATUS_OK;
    return 0;
}

static struct gate *make_gate(enum gate_policy policy)
{
    struct gate *gate =
        gate_create(&(struct gate_options){.env = &env, .policy = policy, .moved = moved});
    assert_non_null(gate);
    return gate;
}

static void make_visible(lsn_t lsn)
{
    pthread_mutex_lock(&lock);
    visible = lsn;
    pthread_mutex_unlock(&lock);
}

static void wait_for(const unsigned *count, unsigned value)
{
    pthread_mutex_lock(&lock);
    while (*count < value)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void let_syncs_end(enum status status)
{
    pthread_mutex_lock(&lock);
    hold_syncs = false;
    sync_status = status;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void always_acknowledges_nothing_before_its_sync_has_ended(void **state)
{
    (void)state;
    hold_syncs = true;
    struct gate *gate = make_gate(GATE_ALWAYS);
    assert_true(ack_durable);
    make_visible(100);
    gate_write(gate);
    gate_request(gate);
    wait_for(&syncs_begun, 1);
    assert_int_equal(writes, 0);
    assert_int_equal(gate_acked(gate), 0);
    let_syncs_end(STATUS_OK);
    wait_for(&moves, 1);
    assert_int_equal(gate_acked(gate), 100);
    gate_destroy(gate);
}

static void requests_during_a_sync_share_the_next_one(void **state)
{
    (void)state;
    hold_syncs = true;
    struct gate *gate = make_gate(GATE_ALWAYS);
    make_visible(10);
    gate_request(gate);
    wait_for(&syncs_begun, 1);
    for (lsn_t lsn = 11; lsn <= 60; lsn++) {
        make_visible(lsn);
        gate_request(gate);
    }
    let_syncs_end(STATUS_OK);
    wait_for(&moves, 2);
    assert_int_equal(gate_acked(gate), 60);
    assert_int_equal(syncs_begun, 2);
    gate_destroy(gate);
}

static void everysec_acknowledges_what_is_written_and_syncs_by_itself(void **state)
{
    (void)state;
    struct gate *gate = make_gate(GATE_EVERYSEC);
    assert_false(ack_durable);
    make_visible(100);
    assert_int_equal(gate_acked(gate), 0);
    gate_write(gate);
    assert_int_equal(gate_acked(gate), 100);
    gate_write(gate);
    assert_int_equal(writes, 1); /* nothing new: no call */
    wait_for(&syncs_begun, 1);
    gate_destroy(gate);
}

static void no_acknowledges_what_is_written(void **state)
{
    (void)state;
    struct gate *gate = make_gate(GATE_NO);
    make_visible(7);
    gate_write(gate);
    assert_int_equal(gate_acked(gate), 7);
    gate_destroy(gate);
    assert_int_equal(syncs_begun, 0);
}

static void a_failed_sync_is_final_and_told(void **state)
{
    (void)state;
    hold_syncs = true;
    struct gate *gate = make_gate(GATE_ALWAYS);
    make_visible(5);
    gate_request(gate);
    wait_for(&syncs_begun, 1);
    assert_false(gate_has_failed(gate));
    let_syncs_end(STATUS_IO);
    wait_for(&moves, 1);
    assert_true(gate_has_failed(gate));
    assert_int_equal(gate_acked(gate), 0);
    gate_request(gate);
    gate_destroy(gate);
    assert_int_equal(syncs_begun, 1);
}

static void a_failed_write_is_final_and_told(void **state)
{
    (void)state;
    write_status = STATUS_NO_SPACE;
    struct gate *gate = make_gate(GATE_NO);
    make_visible(5);
    gate_write(gate);
    assert_true(gate_has_failed(gate));
    assert_int_equal(moves, 1);
    assert_int_equal(gate_acked(gate), 0);
    gate_write(gate);
    assert_int_equal(writes, 1);
    gate_destroy(gate);
}

static void a_change_of_policy_looks_at_held_replies_again(void **state)
{
    (void)state;
    struct gate *gate = make_gate(GATE_NO);
    make_visible(5);
    gate_set_policy(gate, GATE_ALWAYS);
    assert_true(ack_durable);
    wait_for(&moves, 2); /* the change itself, then the sync that it asks for */
    assert_int_equal(gate_acked(gate), 5);
    gate_set_policy(gate, GATE_EVERYSEC);
    assert_false(ack_durable);
    wait_for(&moves, 3);
    gate_destroy(gate);
    gate_destroy(NULL);
}

static void always_wakes_a_log_thread_that_slept_over_a_request(void **state)
{
    (void)state;
    time_stands_still = true;
    struct gate *gate = make_gate(GATE_ALWAYS);
    wait_for(&sleeps, 1);
    gate_set_policy(gate, GATE_EVERYSEC);
    wait_for(&sleeps, 2); /* it looked at the new policy's request and has nothing to do */
    make_visible(5);
    gate_set_policy(gate, GATE_ALWAYS);
    wait_for(&syncs_begun, 1);
    gate_destroy(gate);
}

static void nobody_is_in_the_engine_while_paused(void **state)
{
    (void)state;
    struct gate *gate = make_gate(GATE_ALWAYS);
    make_visible(5);
    gate_request(gate);
    gate_pause(gate);
    unsigned before = syncs_begun;
    make_visible(9);
    gate_request(gate);
    assert_int_equal(syncs_begun, before);
    gate_resume(gate, NULL);
    wait_for(&syncs_begun, before + 1);
    gate_destroy(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(always_acknowledges_nothing_before_its_sync_has_ended, reset),
        cmocka_unit_test_setup(requests_during_a_sync_share_the_next_one, reset),
        cmocka_unit_test_setup(everysec_acknowledges_what_is_written_and_syncs_by_itself, reset),
        cmocka_unit_test_setup(no_acknowledges_what_is_written, reset),
        cmocka_unit_test_setup(a_failed_sync_is_final_and_told, reset),
        cmocka_unit_test_setup(a_failed_write_is_final_and_told, reset),
        cmocka_unit_test_setup(a_change_of_policy_looks_at_held_replies_again, reset),
        cmocka_unit_test_setup(always_wakes_a_log_thread_that_slept_over_a_request, reset),
        cmocka_unit_test_setup(nobody_is_in_the_engine_while_paused, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
