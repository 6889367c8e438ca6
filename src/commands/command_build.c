/* SPDX-License-Identifier: MIT */
#include "commands/command_build.h"

#include "base/memory.h"
#include "commands/service_state.h"

#include <assert.h>
#include <time.h>

enum {
    WORK_BYTES = 4 << 20, /* of background work at a time, when writers are to be slower */
    PAUSE_NS = 1000000,
    STEPS_MAX = 100, /* of work, or pauses, for one batch */
};

static struct lsm *engine_of(const struct command_build *build)
{
    return store_engine(service_store(build->c->service));
}

static void forget(struct command_build *build)
{
    object_build_release(&build->object);
    lsm_snapshot_release(build->snapshot);
    build->snapshot = NULL;
    build->is_made = build->has_parts = false;
    build->reply_bytes = 0;
    build->count = 0;
    buffer_clear(&build->body);
}

enum status command_prepare(struct command_context *c,
                            enum status (*prepare)(struct command_context *c))
{
    c->prepare = prepare;
    return STATUS_WOULD_BLOCK;
}

struct command_build *command_build_again(struct command_context *c)
{
    if (!c->build) {
        c->build = memory_zeroed(1, sizeof *c->build);
        c->build->c = c;
    }
    forget(c->build);
    c->build->attempts++;
    return c->build;
}

void command_build_begin_read(struct command_build *build)
{
    struct access *access = build->c->access;
    assert(!build->snapshot);
    build->snapshot = lsm_snapshot_acquire(engine_of(build));
    access_begin_read_at(access, build->c->database, build->snapshot);
    build->generation = access->generation;
}

/* Flush and compaction are behind: this thread helps, or waits a little for those who do it. */
static void give_way(struct lsm *engine)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    for (unsigned steps = 0; steps < STEPS_MAX && lsm_write_delay_us(engine) > 0; steps++)
        if (!lsm_work(engine, WORK_BYTES))
            (void)nanosleep(&pause, NULL); /* a signal makes it shorter: no harm */
}

enum status command_build_spill(struct command_build *build)
{
    if (atomic_load(&build->c->service->is_stopping))
        build->error = "ERR the server is stopping";
    else if (atomic_load(&build->c->session->is_evicted))
        build->error = "ERR the client is being closed";
    if (build->error)
        return STATUS_BUSY;
    enum status status = object_build_spill(&build->object);
    if (status == STATUS_IO) /* nothing was read: it is the log */
        build->error = "MISCONF Errors writing to the AOF file: Input/output error";
    if (!status)
        give_way(engine_of(build));
    return status;
}

static enum status spill_full(void *context, struct object_build *object)
{
    (void)object;
    return command_build_spill(context);
}

enum status command_build_begin(struct command_build *build, struct access *access,
                                unsigned database)
{
    enum status status = access_select(access, database);
    if (status)
        return status;
    object_build_begin(&build->object, access, false);
    build->object.full = spill_full;
    build->object.context = build;
    return STATUS_OK;
}

enum status command_build_is_fresh(struct command_context *c, struct slice source, bool *fresh)
{
    bool changed = true;
    lsn_t moment = lsm_snapshot_lsn(c->build->snapshot);
    enum status status = keyspace_changed(c->access, source, moment, &changed);
    *fresh = !changed && c->access->generation == c->build->generation;
    return status;
}

void command_build_link(struct command_context *c, struct object *object)
{
    struct command_build *build = c->build;
    assert(build->is_made);
    object->type = build->type;
    object->body = buffer_slice(&build->body);
    object->id = build->has_parts ? object_build_link(&build->object, c->access) : 0;
}

void command_build_destroy(struct command_build *build)
{
    if (!build)
        return;
    forget(build);
    buffer_release(&build->body);
    memory_free(build);
}
