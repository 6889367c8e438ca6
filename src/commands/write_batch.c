/* SPDX-License-Identifier: MIT */
#include "commands/write_batch.h"

#include "commands/service_state.h"
#include "commands/serving.h"

/* ---- The lock -------------------------------------------------------------------------------- */

bool write_lock_take(struct service_thread *thread, bool nowait, uint64_t now_us)
{
    struct lsm *engine = store_engine(thread->service->store);
    if (thread->has_lock)
        return true;
    if (!nowait)
        lsm_lock(engine);
    else if (!lsm_try_lock(engine, LOCK_WAIT_US_MAX))
        return false;
    thread->has_lock = true;
    thread->lock_commands = 0;
    thread->lock_began_us = now_us;
    return true;
}

void write_lock_keep(struct service_thread *thread, bool nowait)
{
    thread->lock_commands++;
    if (!nowait || thread->lock_commands >= LOCK_COMMANDS_MAX ||
        (thread->lock_commands % 8 == 0 &&
         env_monotonic_us(thread->service->env) - thread->lock_began_us > LOCK_TIME_US_MAX))
        service_thread_unlock(thread);
}

void service_thread_unlock(struct service_thread *thread)
{
    if (!thread->has_lock)
        return;
    write_batch_end(thread);
    thread->has_lock = false;
    lsm_unlock(store_engine(thread->service->store));
}

/* ---- The batch ------------------------------------------------------------------------------- */

enum status write_batch_begin(struct service_thread *thread, const struct write_batch_wish *wish)
{
    struct access *access = service_thread_access(thread);
    enum status status = STATUS_OK;
    if (thread->batch_session &&
        !(wish->may_share &&
          access_continue_write(access, wish->database, wish->nowait, wish->bytes_max,
                                wish->may_use_reserve, wish->may_hold)))
        write_batch_end(thread);
    if (!thread->batch_session)
        status = access_begin_write(access, wish->database, wish->nowait, wish->bytes_max,
                                    wish->may_use_reserve);
    if (!status)
        thread->batch_session = wish->session;
    return status;
}

/* What the batch did, to those who wait for it. */
static void tell(struct service_thread *thread, struct session *session, lsn_t lsn)
{
    struct service *service = thread->service;
    struct touched_databases touched = session->touched;
    bool all = touched.extent != TOUCHED_NONE;
    session->touched.extent = TOUCHED_NONE;
    service_handle_facts(service, &thread->access, session, lsn);
    if (all) {
        waiters_signal_all(&service->waiters);
        waiters_each(&service->watchers, transaction_flush, &touched);
        tracking_invalidate_all(service, lsn);
    }
    serving_after_batch(thread, all);
}

void write_batch_end(struct service_thread *thread)
{
    struct session *session = thread->batch_session;
    struct access *access = &thread->access;
    if (!session)
        return;
    thread->batch_session = NULL; /* who is served has a batch of its own */
    lsn_t lsn = access_end(access);
    if (access->fact_count > 0 || session->touched.extent || access->facts_are_lost)
        tell(thread, session, lsn);
}

/* Who waits in line for an element is served before the next command can take it. */
static bool must_tell_at_once(struct service_thread *thread, const struct session *session)
{
    const struct access *access = &thread->access;
    return session->touched.extent || access->facts_are_lost ||
           (access->fact_count > 0 && waiters_any_in_line(&thread->service->waiters));
}

lsn_t write_batch_leave(struct service_thread *thread, const struct write_batch_wish *wish)
{
    lsn_t lsn = access_lsn(&thread->access);
    if (!wish->may_share || must_tell_at_once(thread, wish->session))
        write_batch_end(thread);
    return lsn;
}
