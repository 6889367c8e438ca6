/* SPDX-License-Identifier: MIT */
/* What tools ask of persistence and replication, as what it means here: everything acknowledged is in the log already, and
 * there are no replicas. */
#include "commands/service_state.h"

/* Everything visible is on the disk when the answer comes. */
static enum status sync_log(struct command_context *c)
{
    if (c->nowait)
        return STATUS_WOULD_BLOCK;
    struct store *store = service_store(c->service);
    enum status status = store ? lsm_wal_sync(store_engine(store)) : STATUS_READ_ONLY;
    if (!status)
        atomic_store(&c->service->last_save_ms, env_wall_ms(c->service->env));
    return status;
}

enum status save_command(struct command_context *c)
{
    enum status status = sync_log(c);
    if (status)
        return status;
    atomic_fetch_add(&c->service->stats.saves, 1);
    return reply_ok(c);
}

static enum status move_to_tables(struct command_context *c, bool merges, const char *text)
{
    struct store *store = service_store(c->service);
    struct service_stats *stats = &c->service->stats;
    atomic_fetch_add(merges ? &stats->rewrites : &stats->saves, 1);
    if (store && merges)
        lsm_request_compact(store_engine(store));
    else if (store)
        lsm_request_flush(store_engine(store));
    atomic_store(&c->service->last_save_ms, env_wall_ms(c->service->env));
    resp_simple(c->reply, text);
    return STATUS_OK;
}

enum status bgsave_command(struct command_context *c)
{
    if (c->count > 2 || (c->count == 2 && !argument_is(c, 1, "SCHEDULE")))
        return reply_syntax_error(c);
    return move_to_tables(c, false, "Background saving started");
}

enum status bgrewriteaof_command(struct command_context *c)
{
    return move_to_tables(c, true, "Background append only file rewriting started");
}

enum status lastsave_command(struct command_context *c)
{
    return reply_integer(c, (int64_t)(atomic_load(&c->service->last_save_ms) / 1000));
}

/* ---- Replicas ------------------------------------------------------------------------------------ */

enum status role_command(struct command_context *c)
{
    resp_array(c->reply, 3);
    resp_bulk_text(c->reply, "master");
    resp_integer(c->reply, 0);
    resp_array(c->reply, 0);
    return STATUS_OK;
}

static enum status no_replicas(struct command_context *c)
{
    return reply_integer(c, 0);
}

enum status wait_command(struct command_context *c)
{
    int64_t replicas = 0, timeout_ms = 0;
    if (!argument_integer(c, 1, &replicas) || !argument_timeout_ms(c, 2, &timeout_ms))
        return STATUS_OK;
    if (replicas <= 0 || !c->may_block)
        return no_replicas(c);
    command_block(c, &(struct command_wait){.timeout_ms = timeout_ms, .timed_out = no_replicas});
    return STATUS_OK;
}

static enum status reply_synced(struct command_context *c)
{
    resp_array(c->reply, 2);
    resp_integer(c->reply, 1);
    resp_integer(c->reply, 0);
    return STATUS_OK;
}

/* The own log is synced at once; for replicas it waits in vain, as it is told. */
enum status waitaof_command(struct command_context *c)
{
    int64_t local = 0, replicas = 0, timeout_ms = 0;
    if (!slice_parse_integer(c->arguments[1], &local) || local < 0 || local > 1)
        return reply_error(c, "ERR value is out of range, value must between 0 and 1");
    if (!argument_count(c, 2, &replicas) || !argument_timeout_ms(c, 3, &timeout_ms))
        return STATUS_OK;
    if (!c->resumed) {
        enum status status = sync_log(c);
        if (status)
            return status;
    }
    if (replicas == 0 || !c->may_block)
        return reply_synced(c);
    command_block(c, &(struct command_wait){.timeout_ms = timeout_ms, .timed_out = reply_synced});
    return STATUS_OK;
}

enum status replicaof_command(struct command_context *c)
{
    if (argument_is(c, 1, "NO") && argument_is(c, 2, "ONE"))
        return reply_ok(c);
    return reply_error(c, "ERR replication is not there yet: only REPLICAOF NO ONE is");
}
