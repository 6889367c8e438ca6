/* SPDX-License-Identifier: MIT */
/* Writes of one pipeline share one holding of the engine's write lock, and a batch: one frame of the log, one
 * publication, one record of what each of them writes anew (counts of keys, a log's header).
 *
 *   lock | begin, XADD | go on, XADD | go on, SET | end | tell who waits | unlock
 *
 * The batch is open while the thread does nothing but such writes of one session: service_thread_unlock, which comes
 * before everything else and at the feed's end, ends it first. So replies leave behind its publication, a crash leaves
 * all of it or nothing, and who would write has to wait for the lock anyway. Who waits for a key, watches it or hears of
 * it is told at the end; but if somebody waits in line for elements, the batch ends with each command, so that nothing is
 * popped over his head. It also ends behind a command that changes whole databases. */
#ifndef COMMANDS_WRITE_BATCH_H
#define COMMANDS_WRITE_BATCH_H

#include "commands/command.h"

struct service_thread;
struct session;

struct write_batch_wish {
    struct session *session;
    unsigned database;
    size_t bytes_max;     /* as of access_begin_write */
    bool may_use_reserve; /* of the log */
    bool nowait;
    bool may_hold;  /* as of access_continue_write */
    bool may_share; /* with writes before it and behind it; nowait ones alone */
};

/* Takes the lock unless a write before this one left it. false: it is busy, which only `nowait` tells. */
bool write_lock_take(struct service_thread *thread, bool nowait, uint64_t now_us);
/* Behind a write: keeps it for the next one, within bounds. */
void write_lock_keep(struct service_thread *thread, bool nowait);

/* Under the lock: the thread's access is for the wish's writes. An error is one of access_begin_write. */
enum status write_batch_begin(struct service_thread *thread, const struct write_batch_wish *wish);
/* They are done. Returns the LSN that their reply waits for. */
lsn_t write_batch_leave(struct service_thread *thread, const struct write_batch_wish *wish);
/* Ends the open batch, if there is one, and tells those who wait for what it did. */
void write_batch_end(struct service_thread *thread);

#endif
