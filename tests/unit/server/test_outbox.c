/* SPDX-License-Identifier: MIT */
/* The outbox over pairs of sockets. */
#include "server/outbox.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { PARCELS = 6 };

struct fixture {
    struct outbox outbox;
    struct parcel parcels[PARCELS];
    int peers[PARCELS];
};

static atomic_uint lefts;

static void count_left(struct parcel *parcel)
{
    (void)parcel;
    atomic_fetch_add(&lefts, 1);
}

static int setup(void **state)
{
    static struct fixture fixture;
    atomic_store(&lefts, 0);
    outbox_init(&fixture.outbox);
    for (int i = 0; i < PARCELS; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        fixture.peers[i] = pair[1];
        assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
        parcel_init(&fixture.parcels[i], pair[0], count_left);
    }
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < PARCELS; i++) {
        outbox_take_back(&f->outbox, &f->parcels[i]);
        close(f->parcels[i].file_descriptor);
        close(f->peers[i]);
        parcel_release(&f->parcels[i]);
    }
    outbox_release(&f->outbox);
    return 0;
}

static void put(struct fixture *f, int i, const char *text, lsn_t awaits)
{
    assert_true(outbox_put(&f->outbox, &f->parcels[i], slice_from(text), awaits));
}

/* "": nothing has come. */
static void expect_come(struct fixture *f, int i, const char *text)
{
    char bytes[100];
    ssize_t count = recv(f->peers[i], bytes, sizeof bytes, 0);
    assert_int_equal(count < 0 ? 0 : count, strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static enum parcel_state collect(struct fixture *f, int i)
{
    return outbox_collect(&f->outbox, &f->parcels[i], false);
}

static void what_is_acknowledged_goes_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "ten", 10);
    put(f, 1, "twelve", 12);
    put(f, 2, "eleven", 11);
    assert_false(outbox_send(&f->outbox, 10, 9)); /* above, not at it */
    expect_come(f, 0, "");
    assert_false(outbox_send(&f->outbox, 12, 9));
    expect_come(f, 0, "ten");
    expect_come(f, 1, "");
    expect_come(f, 2, "eleven");
    assert_int_equal(collect(f, 0), PARCEL_SENT);
    assert_int_equal(collect(f, 1), PARCEL_QUEUED);
    assert_int_equal(collect(f, 2), PARCEL_SENT);
    assert_int_equal(collect(f, 2), PARCEL_NONE);
    assert_true(outbox_first(&f->outbox) == &f->parcels[1]);
    assert_false(outbox_send(&f->outbox, 13, 9));
    expect_come(f, 1, "twelve");
    assert_null(outbox_first(&f->outbox));
}

static void so_many_go_the_oldest_first(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < PARCELS; i++)
        put(f, i, "x", (lsn_t)(PARCELS - i));
    assert_true(outbox_has_more_than(&f->outbox, 5, 3));
    assert_false(outbox_has_more_than(&f->outbox, 5, 4)); /* 1 to 4 may go */
    assert_false(outbox_has_more_than(&f->outbox, 100, PARCELS));
    assert_true(outbox_send(&f->outbox, 5, 3));
    for (int i = 0; i < PARCELS; i++)
        expect_come(f, i, i >= PARCELS - 3 ? "x" : "");
    assert_false(outbox_send(&f->outbox, 5, 1));
    expect_come(f, PARCELS - 4, "x");
}

static void what_is_taken_back_does_not_go(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "never", 1);
    put(f, 1, "goes", 1);
    outbox_take_back(&f->outbox, &f->parcels[0]);
    assert_false(outbox_send(&f->outbox, 2, 9));
    expect_come(f, 0, "");
    expect_come(f, 1, "goes");
    outbox_take_back(&f->outbox, &f->parcels[1]); /* too late */
    put(f, 0, "again", 2);
    assert_false(outbox_send(&f->outbox, 3, 9));
    expect_come(f, 0, "again");
}

/* The rest is told of, and kept. */
static void what_a_socket_does_not_take_is_left(void **state)
{
    static char text[PARCEL_BYTES_MAX + 1];
    struct fixture *f = *state;
    enum parcel_state last = PARCEL_SENT;
    size_t sent = 0, come = 0;
    memset(text, 'x', PARCEL_BYTES_MAX);
    while (last == PARCEL_SENT) {
        put(f, 0, text, 1);
        assert_false(outbox_send(&f->outbox, 2, 1));
        sent += f->parcels[0].sent;
        last = outbox_collect(&f->outbox, &f->parcels[0], true);
    }
    assert_int_equal(last, PARCEL_LEFT);
    assert_int_equal(atomic_load(&lefts), 1);
    assert_true(f->parcels[0].sent < PARCEL_BYTES_MAX);
    assert_int_equal(f->parcels[0].bytes.size, PARCEL_BYTES_MAX);
    for (ssize_t count; (count = recv(f->peers[0], text, sizeof text, 0)) > 0;)
        come += (size_t)count;
    assert_int_equal(come, sent);
    close(f->peers[0]);
    put(f, 0, "to nobody", 1);
    assert_false(outbox_send(&f->outbox, 2, 1));
    assert_int_equal(collect(f, 0), PARCEL_LEFT);
    assert_int_equal(f->parcels[0].sent, 0);
}

/* ---- Threads ---------------------------------------------------------------------------------- */

enum { ROUNDS = 3000, SENDERS = 2 };

static _Atomic lsn_t acked;
static atomic_bool is_over;

static void *send_on(void *context)
{
    struct fixture *f = context;
    while (!atomic_load(&is_over)) {
        (void)outbox_send(&f->outbox, atomic_load(&acked), 2);
        sched_yield();
    }
    return NULL;
}

/* Each parcel says its number; some are taken back, of which it is not known whether they went. */
static void threads_send_each_parcel_once(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[SENDERS];
    atomic_store(&is_over, false);
    atomic_store(&acked, 0);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_on, f), 0);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        for (int i = 0; i < PARCELS; i++)
            assert_true(outbox_put(&f->outbox, &f->parcels[i],
                                   slice_make((uint8_t *)&round, sizeof round), round));
        bool takes = round % 3 == 0;
        if (!takes || round % 2 == 0)
            atomic_store(&acked, round + 1);
        for (int i = 0; i < PARCELS; i++) {
            unsigned number;
            struct pollfd has_come = {f->peers[i], POLLIN, 0};
            if (takes) {
                outbox_take_back(&f->outbox, &f->parcels[i]);
            } else {
                assert_int_equal(poll(&has_come, 1, 20000), 1);
                enum parcel_state done = outbox_collect(&f->outbox, &f->parcels[i], true);
                assert_int_equal(done, PARCEL_SENT);
            }
            ssize_t count = recv(f->peers[i], &number, sizeof number, 0);
            assert_true(takes || count == sizeof number);
            assert_true(count < 0 || number == round);
            assert_true(recv(f->peers[i], &number, sizeof number, 0) < 0);
        }
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&lefts), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_acknowledged_goes_and_nothing_else),
        TEST(so_many_go_the_oldest_first),
        TEST(what_is_taken_back_does_not_go),
        TEST(what_a_socket_does_not_take_is_left),
        TEST(threads_send_each_parcel_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
