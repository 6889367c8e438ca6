/* SPDX-License-Identifier: MIT */
/* The runner over an engine that only counts: lsm_work is this file's. */
#include "runner/runner.h"

#include <assert.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned pieces_left, calls, inside, inside_max;
static bool hold;
static uint64_t pause_us;

uint64_t lsm_work_pause_us(struct lsm *db)
{
    (void)db;
    return pause_us;
}

bool lsm_work(struct lsm *db, size_t budget_bytes)
{
    (void)db;
    assert(budget_bytes > 0);
    pthread_mutex_lock(&lock);
    calls++;
    inside++;
    inside_max = inside > inside_max ? inside : inside_max;
    bool did_something = pieces_left > 0;
    if (did_something)
        pieces_left--;
    pthread_cond_broadcast(&changed);
    while (hold)
        pthread_cond_wait(&changed, &lock);
    inside--;
    pthread_mutex_unlock(&lock);
    return did_something;
}

static int reset(void **state)
{
    (void)state;
    pieces_left = calls = inside = inside_max = 0;
    hold = false;
    pause_us = 0;
    return 0;
}

static void wait_for_pieces_done(void)
{
    pthread_mutex_lock(&lock);
    while (pieces_left > 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void add_pieces(unsigned count)
{
    pthread_mutex_lock(&lock);
    pieces_left += count;
    pthread_mutex_unlock(&lock);
}

static void work_is_done_until_there_is_none(void **state)
{
    (void)state;
    struct runner *runner = runner_create(1);
    add_pieces(1000);
    assert_int_equal(runner_start(runner, NULL), STATUS_OK);
    wait_for_pieces_done();
    add_pieces(1000);
    runner_wake(runner);
    wait_for_pieces_done();
    runner_stop(runner);
    assert_true(calls >= 2000);
    runner_destroy(runner);
}

/* Without it the thread would look once a second. */
static void a_pause_that_work_asks_for_is_kept(void **state)
{
    (void)state;
    struct runner *runner = runner_create(1);
    pause_us = 200;
    assert_int_equal(runner_start(runner, NULL), STATUS_OK);
    pthread_mutex_lock(&lock);
    while (calls < 200)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    runner_stop(runner);
    runner_destroy(runner);
}

static void several_threads_work_at_once(void **state)
{
    (void)state;
    struct runner *runner = runner_create(3);
    hold = true;
    add_pieces(3);
    assert_int_equal(runner_start(runner, NULL), STATUS_OK);
    pthread_mutex_lock(&lock);
    while (inside < 3)
        pthread_cond_wait(&changed, &lock);
    hold = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    runner_stop(runner);
    assert_int_equal(inside_max, 3);
    runner_destroy(runner);
}

static void nobody_is_inside_after_a_stop_and_it_may_start_again(void **state)
{
    (void)state;
    struct runner *runner = runner_create(2);
    runner_wake(runner);
    assert_int_equal(calls, 0);
    for (int i = 0; i < 20; i++) {
        add_pieces(50);
        assert_int_equal(runner_start(runner, NULL), STATUS_OK);
        runner_stop(runner);
        assert_int_equal(inside, 0);
        unsigned calls_then = calls;
        runner_wake(runner);
        assert_int_equal(calls, calls_then);
    }
    runner_destroy(runner);
    runner_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(work_is_done_until_there_is_none, reset),
        cmocka_unit_test_setup(a_pause_that_work_asks_for_is_kept, reset),
        cmocka_unit_test_setup(several_threads_work_at_once, reset),
        cmocka_unit_test_setup(nobody_is_inside_after_a_stop_and_it_may_start_again, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
