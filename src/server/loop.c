/* SPDX-License-Identifier: MIT */
#include "server/loop.h"

#include "server/connection.h"
#include "server/server.h"

#include <assert.h>
#include <string.h>
#include <time.h>

enum {
    FLUSH_ROUNDS_MAX = 8,
    TASKS_AT_ONCE = 256,
    OWN_TASKS_AT_ONCE = 4,
    PARCELS_AT_ONCE = 256,
    CPU_LOOK_NS = 1000000
};

/* ---- How long an iteration takes --------------------------------------------------------------- */

static uint64_t thread_cpu_ns(void)
{
    struct timespec time = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t look(struct loop *loop)
{
    return loop->looked_ns = uv_hrtime();
}

/* The monotonic clock costs 30 ns a look. It cannot tell work from a wait for a core, and the clock that can
 * (the thread's CPU time) is a call of the kernel, 1.4 us on a virtual machine. That one is looked at only
 * behind CPU_LOOK_NS of iterations: of a long iteration it says what was work, in excess by what the short
 * ones before it took, at most CPU_LOOK_NS; a short one counts as the other clock has it. */
static void end_iteration(struct loop *loop)
{
    uint64_t all_ns = loop->began_ns ? loop->looked_ns - loop->began_ns : 0;
    uint64_t wall_ns = all_ns - loop->log_ns, own_ns = wall_ns;
    loop->unseen_ns += all_ns;
    if (loop->unseen_ns >= CPU_LOOK_NS) {
        uint64_t cpu_ns = thread_cpu_ns();
        if (cpu_ns - loop->cpu_ns < own_ns)
            own_ns = cpu_ns - loop->cpu_ns;
        loop->cpu_ns = cpu_ns;
        loop->unseen_ns = 0;
    }
    const struct iteration iteration = {
        .own_us = own_ns / 1000, .wall_us = wall_ns / 1000, .log_us = loop->log_ns / 1000};
    service_count_iteration(loop->server->service, &iteration);
    loop->began_ns = loop->log_ns = 0;
}

/* ---- Tasks from other threads ----------------------------------------------------------------- */

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task, unsigned events))
{
    task->run = run;
    task->reach = NULL;
    task->events = 0;
    link_init(&task->link);
}

/* Whose thread this is; NULL: no loop's. */
static _Thread_local struct loop *own_loop;

/* true: nobody has posted it yet. */
static bool queue_task(struct loop *loop, struct loop_task *task, unsigned events)
{
    pthread_mutex_lock(&loop->lock);
    bool is_new = link_is_alone(&task->link);
    if (is_new)
        link_append(&loop->tasks, &task->link);
    task->events |= events;
    pthread_mutex_unlock(&loop->lock);
    return is_new;
}

/* A loop does not wait before it has looked at what it posted itself (on_prepare). */
static void wake(struct loop *loop)
{
    if (loop == own_loop)
        loop->own_tasks++;
    else
        uv_async_send(&loop->async);
}

void loop_post(struct loop *loop, struct loop_task *task, unsigned events)
{
    if (queue_task(loop, task, events))
        wake(loop);
}

void loop_post_soon(struct loop *loop, struct loop_task *task, unsigned events)
{
    struct loop *own = own_loop;
    if (!queue_task(loop, task, events))
        return;
    if (!own || own == loop) {
        wake(loop);
        return;
    }
    own->owed_wakes[loop->index / 64] |= UINT64_C(1) << loop->index % 64;
    own->owes_wakes = true;
}

/* The other loop's only task, if it may be reached; NULL: it has none or several, or it must run it. Its lock is
 * held. */
static struct loop_task *reachable(struct loop *other)
{
    struct link *first = other->tasks.next;
    if (first == &other->tasks || first->next != &other->tasks)
        return NULL;
    struct loop_task *task = LINK_OWNER(first, struct loop_task, link);
    return task->reach ? task : NULL;
}

/* true: nothing waits for the other loop any more, which may sleep on. */
static bool reach_over(struct loop *other)
{
    pthread_mutex_lock(&other->lock);
    struct loop_task *task = reachable(other);
    if (task && task->reach(task, task->events)) {
        link_remove(&task->link);
        task->events = 0;
    }
    bool is_done = link_is_alone(&other->tasks);
    pthread_mutex_unlock(&other->lock);
    return is_done;
}

static bool may_reach_over(struct loop *other)
{
    pthread_mutex_lock(&other->lock);
    bool may = reachable(other);
    pthread_mutex_unlock(&other->lock);
    return may;
}

void loop_set_reach(struct loop *loop, struct loop_task *task,
                    bool (*reach)(struct loop_task *task, unsigned events))
{
    pthread_mutex_lock(&loop->lock);
    task->reach = reach;
    pthread_mutex_unlock(&loop->lock);
}

/* `all`: the replies are sent, and what may be reached is; otherwise it waits for that. */
static void send_wakes(struct loop *loop, bool all)
{
    assert(loop == own_loop);
    if (!loop->owes_wakes)
        return;
    loop->owes_wakes = false;
    for (unsigned word = 0; word < LOOPS_MAX / 64; word++) {
        for (uint64_t owed = loop->owed_wakes[word]; owed; owed &= owed - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(owed);
            struct loop *other = &loop->server->loops[64 * word + bit];
            if (!all && may_reach_over(other)) {
                loop->owes_wakes = true;
                continue;
            }
            loop->owed_wakes[word] &= ~(UINT64_C(1) << bit);
            if (!all || !reach_over(other))
                uv_async_send(&other->async);
        }
    }
}

void loop_send_wakes(struct loop *loop)
{
    send_wakes(loop, false);
}

void loop_cancel(struct loop *loop, struct loop_task *task)
{
    pthread_mutex_lock(&loop->lock);
    link_remove(&task->link);
    pthread_mutex_unlock(&loop->lock);
}

static struct loop_task *take_task(struct loop *loop, unsigned *events)
{
    struct loop_task *task = NULL;
    pthread_mutex_lock(&loop->lock);
    if (!link_is_alone(&loop->tasks)) {
        task = LINK_OWNER(loop->tasks.next, struct loop_task, link);
        link_remove(&task->link);
        *events = task->events;
        task->events = 0;
    }
    pthread_mutex_unlock(&loop->lock);
    return task;
}

static void tell_of_gate(struct loop *loop)
{
    if (!atomic_exchange(&loop->gate_moved, true))
        uv_async_send(&loop->async);
}

/* The loop is told first when there is much to send, so that it takes its part; and it is told behind the sends of
 * who waits for them.
 * Pairs with on_prepare(): there awaits_gate is stored before the gate is asked again, here it is read after the
 * gate has moved; one of the two sees the other. */
void loop_gate_moved(struct loop *loop)
{
    const struct gate *gate = loop->server->gate;
    lsn_t acked = gate_acked(gate);
    unsigned share = LOOP_SENDS_MAX / loop->server->loop_count;
    unsigned alone = share < LOOP_SENDS_ALONE_MAX ? share : LOOP_SENDS_ALONE_MAX;
    if (atomic_load(&loop->awaits_gate) || outbox_has_more_than(&loop->outbox, acked, alone))
        tell_of_gate(loop);
    bool has_more = outbox_send(&loop->outbox, acked, share);
    if (has_more || atomic_load(&loop->awaits_gate) || gate_has_failed(gate) ||
        gate_has_unwritten(gate))
        tell_of_gate(loop);
}

/* Not all: as long as workers finish more meanwhile, no socket would be looked at. true: there are more. */
static bool run_tasks(struct loop *loop, uint64_t end_ns)
{
    struct loop_task *task = NULL;
    unsigned events = 0;
    for (int i = 0; i < TASKS_AT_ONCE; i++) {
        task = take_task(loop, &events);
        if (!task)
            return false;
        task->run(task, events);
        if (look(loop) > end_ns)
            break;
    }
    return true;
}

static void go_on_with_waiting(struct loop *loop, uint64_t end_ns)
{
    struct link batch; /* who gives way again comes behind all others */
    link_init(&batch);
    link_append_all(&batch, &loop->waiting);
    while (!link_is_alone(&batch)) {
        struct connection *connection = connection_of_waiting_link(batch.next);
        link_remove(batch.next);
        connection_go_on(connection);
        if (look(loop) > end_ns)
            break;
    }
    link_append_all(&batch, &loop->waiting);
    link_append_all(&loop->waiting, &batch);
}

static void on_idle(uv_idle_t *handle);

/* The loop's own thread: the next look at the sockets does not wait, and behind it comes take_up. Another thread
 * says the same by uv_async_send; that costs two calls of the kernel. */
static void come_again(struct loop *loop)
{
    uv_idle_start(&loop->idle, on_idle);
}

static void write_log(struct loop *loop)
{
    if (!gate_has_unwritten(loop->server->gate))
        return;
    uint64_t before_ns = loop->looked_ns; /* just now */
    gate_write(loop->server->gate);
    loop->log_ns += look(loop) - before_ns;
}

static void follow_gate(struct loop *loop)
{
    if (!atomic_exchange(&loop->gate_moved, false))
        return;
    struct gate *gate = loop->server->gate;
    struct parcel *parcel;
    while (gate_has_failed(gate) && (parcel = outbox_first(&loop->outbox)))
        connection_drop(connection_of_parcel(parcel)); /* what it waits for never comes */
    look(loop);
    write_log(loop); /* if the policy has changed, parcels wait for a write now */
    if (outbox_send(&loop->outbox, gate_acked(gate), PARCELS_AT_ONCE)) {
        atomic_store(&loop->gate_moved, true);
        come_again(loop);
    }
    link_append_all(&loop->dirty, &loop->held);
}

/* What others have posted, what was left over. */
static void take_up(struct loop *loop)
{
    loop_enter(loop);
    uint64_t end_ns = look(loop) + LOOP_TURN_NS;
    bool has_more = run_tasks(loop, end_ns);
    go_on_with_waiting(loop, end_ns);
    if (has_more)
        come_again(loop);
    follow_gate(loop);
}

static void on_async(uv_async_t *handle)
{
    take_up(handle->data);
}

static void on_idle(uv_idle_t *handle)
{
    uv_idle_stop(handle);
    take_up(handle->data);
}

/* ---- Sending ---------------------------------------------------------------------------------- */

/* Everybody in `dirty`, once. false: the time is over, the rest is first in `dirty` again. */
static bool flush_round(struct loop *loop, uint64_t end_ns)
{
    write_log(loop);
    lsn_t acked = gate_acked(loop->server->gate);
    struct link batch;
    link_init(&batch);
    link_append_all(&batch, &loop->dirty);
    while (!link_is_alone(&batch)) {
        struct connection *connection = connection_of_link(batch.next);
        link_remove(batch.next);
        connection_flush(connection, acked);
        if (look(loop) > end_ns) {
            link_append_all(&batch, &loop->dirty);
            link_append_all(&loop->dirty, &batch);
            return false;
        }
    }
    return true;
}

/* Sends what may be sent; what must wait goes to `held`. A connection may become dirty again on the
 * way, because it could execute more of its input. */
static void flush(struct loop *loop)
{
    uint64_t end_ns = look(loop) + LOOP_TURN_NS;
    for (int round = 0; round < FLUSH_ROUNDS_MAX && !link_is_alone(&loop->dirty); round++) {
        if (!flush_round(loop, end_ns))
            break;
    }
}

size_t loop_read_bytes(struct loop *loop, uint64_t *round)
{
    if (*round == loop->round)
        return 0;
    if (loop->reads_end_ns == 0) {
        loop->reads_end_ns = loop->looked_ns + LOOP_TURN_NS;
    } else if (look(loop) > loop->reads_end_ns) {
        loop->is_round_cut = true;
        return 0;
    }
    *round = loop->round;
    loop->readers++;
    unsigned readers = loop->readers > loop->readers_before ? loop->readers : loop->readers_before;
    size_t share = LOOP_ROUND_BYTES / readers;
    return share > LOOP_READ_BYTES       ? LOOP_READ_BYTES
           : share < LOOP_READ_BYTES_MIN ? LOOP_READ_BYTES_MIN
                                         : share;
}

/* Who was not let in reads in the next iteration, before anybody reads again. */
static void end_reads(struct loop *loop)
{
    loop->reads_end_ns = 0;
    if (loop->is_round_cut) {
        loop->is_round_cut = false;
        return;
    }
    loop->round++;
    loop->readers_before = loop->readers;
    loop->readers = 0;
}

/* What its connections have posted to others of the same loop. A few go out with the replies; many wait until the
 * sockets were looked at once more: more may have come for each of them, which then costs one call of the kernel. */
static void run_own_tasks(struct loop *loop)
{
    if (loop->own_tasks == 0)
        return;
    bool is_left = loop->own_tasks > OWN_TASKS_AT_ONCE;
    loop->own_tasks = 0;
    if (is_left || run_tasks(loop, look(loop) + LOOP_TURN_NS))
        come_again(loop);
}

static void on_prepare(uv_prepare_t *handle)
{
    struct loop *loop = handle->data;
    end_reads(loop);
    run_own_tasks(loop);
    send_wakes(loop, false);
    flush(loop);
    send_wakes(loop, true);
    bool awaits = !link_is_alone(&loop->held);
    atomic_store(&loop->awaits_gate, awaits);
    if (awaits || loop->has_parcels)
        gate_request(loop->server->gate);
    awaits |= loop->has_parcels;
    loop->has_parcels = false;
    if (!link_is_alone(&loop->dirty) || (awaits && gate_has_failed(loop->server->gate))) {
        if (awaits)
            atomic_store(&loop->gate_moved, true);
        come_again(loop);
    } else if (!link_is_alone(&loop->waiting) || loop->own_tasks > 0) {
        come_again(loop);
    }
    end_iteration(loop);
}

/* ---- Time, stop ------------------------------------------------------------------------------- */

static void close_handles(struct loop *loop)
{
    uv_close((uv_handle_t *)&loop->async, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->tick, NULL);
}

static void on_tick(uv_timer_t *handle)
{
    struct loop *loop = handle->data;
    loop_enter(loop);
    service_thread_idle(loop->server->service);
    loop->ticks++;
    bool a_second = loop->ticks % (1000 / LOOP_TICK_MS) == 0;
    bool force = loop_is_stopping(loop) && uv_now(&loop->uv) >= loop->stop_deadline_ms;
    if (a_second || force) {
        struct link *next;
        for (struct link *link = loop->connections.next; link != &loop->connections; link = next) {
            next = link->next;
            connection_tick(connection_of_all_link(link), force);
        }
    }
    if (loop_is_stopping(loop) && loop->connection_count == 0 &&
        !uv_is_closing((uv_handle_t *)&loop->async))
        close_handles(loop);
}

void loop_stop(struct loop *loop)
{
    assert(!loop_is_stopping(loop));
    loop->stop_deadline_ms = uv_now(&loop->uv) + LOOP_STOP_GRACE_MS;
    struct link *next;
    for (struct link *link = loop->connections.next; link != &loop->connections; link = next) {
        next = link->next;
        connection_finish(connection_of_all_link(link));
    }
    uv_timer_start(&loop->tick, on_tick, 1, 10);
}

/* ---- Life ------------------------------------------------------------------------------------- */

int loop_init(struct loop *loop, struct server *server, unsigned index)
{
    loop->server = server;
    loop->index = index;
    loop->connection_count = 0;
    loop->ticks = 0;
    loop->round = 1; /* connections begin with 0 */
    loop->readers = loop->readers_before = 0;
    loop->reads_end_ns = 0;
    loop->is_round_cut = loop->owes_wakes = false;
    loop->own_tasks = 0;
    memset(loop->owed_wakes, 0, sizeof(loop->owed_wakes));
    loop->began_ns = loop->looked_ns = loop->log_ns = loop->cpu_ns = loop->unseen_ns = 0;
    loop->stop_deadline_ms = 0;
    link_init(&loop->tasks);
    link_init(&loop->connections);
    link_init(&loop->dirty);
    link_init(&loop->held);
    link_init(&loop->waiting);
    outbox_init(&loop->outbox);
    loop->has_parcels = false;
    atomic_init(&loop->gate_moved, false);
    atomic_init(&loop->awaits_gate, false);
    int error = uv_loop_init(&loop->uv);
    if (error)
        return error;
    error = uv_async_init(&loop->uv, &loop->async, on_async);
    if (error) {
        uv_loop_close(&loop->uv);
        return error;
    }
    pthread_mutex_init(&loop->lock, NULL);
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_idle_init(&loop->uv, &loop->idle);
    uv_timer_init(&loop->uv, &loop->tick);
    loop->async.data = loop->prepare.data = loop->idle.data = loop->tick.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_timer_start(&loop->tick, on_tick, LOOP_TICK_MS, LOOP_TICK_MS);
    return 0;
}

void loop_run(struct loop *loop)
{
    loop->cpu_ns = thread_cpu_ns();
    own_loop = loop;
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    own_loop = NULL;
}

void loop_release(struct loop *loop)
{
    if (!uv_is_closing((uv_handle_t *)&loop->async))
        close_handles(loop);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    outbox_release(&loop->outbox);
    int error = uv_loop_close(&loop->uv);
    assert(error == 0);
    (void)error; /* EBUSY would be a handle that was not closed: a mistake of ours */
    buffer_release(&loop->plaintext);
    pthread_mutex_destroy(&loop->lock);
}
