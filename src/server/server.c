/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include "base/memory.h"
#include "server/connection.h"
#include "server/heap.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>

enum {
    EXPIRY_PERIOD_MS = 100,
    EXPIRY_SLICE_US = 25000, /* of each period, at most */
    EXPIRIES_A_TRIM = 100,   /* of the heap: every 10 s */
};

enum { COLD_LZ4, COLD_ZSTD }; /* indexes of cold-compression's choices */

/* ---- What the service asks of its host ---------------------------------------------------------- */

static void host_wake(void *context, void *owner)
{
    (void)context;
    connection_wake(owner);
}

static void host_disconnect(void *context, void *owner)
{
    (void)context;
    connection_disconnect(owner);
}

static void host_deliver(void *context, void *owner)
{
    (void)context;
    connection_deliver(owner);
}

static void host_evict(void *context, void *owner)
{
    (void)context;
    connection_evict(owner);
}

static void host_shutdown(void *context, bool now)
{
    server_stop(context, now);
}

static void host_config_changed(void *context, const char *name)
{
    struct server *server = context;
    if (strcmp(name, config_name_text(CONFIG_appendfsync)) == 0)
        gate_set_policy(server->gate,
                        (enum gate_policy)config_choice(server->config, CONFIG_appendfsync));
    if (server->options.config_changed)
        server->options.config_changed(server->options.context, name);
}

/* CONFIG SET of what TLS is made of; the files that it names may have been renewed. */
static bool host_config_apply(void *context, struct buffer *error)
{
    struct server *server = context;
    if (!tls_keeper_renew(server->tls_keeper, error))
        return false;
    env_log(server->env, LOG_NOTICE,
            "TLS has new settings, or its files were read again: for new connections");
    return true;
}

static void free_job(struct worker_job *job)
{
    memory_free(job);
}

/* The job lies in the memory that it frees. */
static void host_free_large(void *context, void *memory)
{
    struct server *server = context;
    struct worker_job *job = memory;
    _Static_assert(sizeof(*job) <= SERVICE_LARGE_BYTES, "a job fits in what is large");
    *job = (struct worker_job){.run = free_job};
    workers_submit(server->workers, job);
}

/* ---- Active expiry ------------------------------------------------------------------------------ */

static void run_expiry(struct worker_job *job)
{
    struct server *server = LINK_OWNER(job, struct server, expiry_job);
    uint64_t until = env_monotonic_us(server->env) + EXPIRY_SLICE_US;
    while (service_expire(server->service) && env_monotonic_us(server->env) < until)
        ;
    if (++server->expiries % EXPIRIES_A_TRIM == 0)
        heap_trim(); /* nobody is waiting for it */
    atomic_store(&server->is_expiring, false);
}

static void on_expiry_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;
    if (!atomic_exchange(&server->is_expiring, true))
        workers_submit(server->workers, &server->expiry_job);
}

/* ---- Stop --------------------------------------------------------------------------------------- */

static void stop_loop(struct loop_task *task, unsigned events)
{
    (void)events;
    loop_stop(LINK_OWNER(task, struct server_task, task)->loop);
}

static void close_listeners(struct server *server)
{
    while (server->listeners) {
        struct listener *listener = server->listeners;
        server->listeners = listener_next(listener);
        listener_close(listener);
    }
}

static void close_handles(struct server *server)
{
    if (!server->has_handles)
        return;
    server->has_handles = false;
    uv_close((uv_handle_t *)&server->signals[0], NULL);
    uv_close((uv_handle_t *)&server->signals[1], NULL);
    uv_close((uv_handle_t *)&server->expiry_timer, NULL);
}

/* On loop 0. What was accepted reaches its loop before the stop does. */
static void begin_stop(struct loop_task *task, unsigned events)
{
    (void)events;
    struct server *server = LINK_OWNER(task, struct server, stop_task);
    env_log(server->env, LOG_NOTICE, "Stopping: no more clients, finishing what was begun");
    close_listeners(server);
    if (server->metrics_port)
        metrics_port_stop(server->metrics_port);
    close_handles(server);
    for (unsigned i = 0; i < server->loop_count; i++) {
        server->loop_tasks[i].task.run = stop_loop;
        loop_post(&server->loops[i], &server->loop_tasks[i].task, 0);
    }
}

void server_stop(struct server *server, bool now)
{
    pthread_mutex_lock(&server->lock);
    server->stop_wanted = true;
    server->stop_now |= now;
    bool begins = server->phase == SERVER_RUNNING;
    if (begins)
        server->phase = SERVER_STOPPING;
    pthread_mutex_unlock(&server->lock);
    if (begins) {
        service_stop(server->service);
        loop_post(&server->loops[0], &server->stop_task, 0);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;
    env_log(server->env, LOG_NOTICE, "Received %s", number == SIGINT ? "SIGINT" : "SIGTERM");
    server_stop(server, false);
}

/* ---- Start -------------------------------------------------------------------------------------- */

enum status server_open_store(struct server *server, struct lsm_report *report)
{
    struct config *config = server->config;
    struct buffer directory = {0};
    config_string(config, CONFIG_dir, &directory);
    buffer_append_byte(&directory, 0);
    const struct store_options options = {
        .databases = (unsigned)config_integer(config, CONFIG_databases),
        .memtable_bytes = (size_t)config_integer(config, CONFIG_memtable_size),
        .block_cache_bytes = (size_t)config_integer(config, CONFIG_block_cache_size),
        .wal_segment_bytes = (uint64_t)config_integer(config, CONFIG_wal_segment_size),
        .wal_compression = (enum lsm_wal_compression)config_choice(config, CONFIG_wal_compression),
        .compaction_bytes_per_second = (uint64_t)config_integer(config, CONFIG_compaction_rate),
        .cold_compression = config_choice(config, CONFIG_cold_compression) == COLD_ZSTD ? LSM_ZSTD : LSM_LZ4,
        .ack_durable = config_choice(config, CONFIG_appendfsync) == GATE_ALWAYS,
        .work_ready = runner_wake,
        .context = server->runner,
    };
    enum status status = store_open(server->env, (const char *)directory.data, &options, report,
                                    &server->store);
    buffer_release(&directory);
    return status;
}

static void explain_store(struct server *server, enum status status,
                          const struct lsm_report *report, struct buffer *error)
{
    struct buffer directory = {0};
    config_string(server->config, CONFIG_dir, &directory);
    int size = (int)directory.size;
    const char *name = (const char *)directory.data;
    if (status == STATUS_BUSY)
        buffer_printf(error,
                      "The data directory %.*s is in use by another server; stop that one, or choose "
                      "another directory (--dir)",
                      size, name);
    else if (status == STATUS_CORRUPT)
        buffer_printf(error,
                      "The data in %.*s is damaged: %s\n"
                      "Nothing was changed. `cordwood verify %.*s` shows all damage; `cordwood repair "
                      "%.*s` makes the store usable again and says what is lost",
                      size, name, report->text, size, name, size, name);
    else if (status == STATUS_UNSUPPORTED && !lsm_has_zstd() &&
             config_choice(server->config, CONFIG_cold_compression) == COLD_ZSTD)
        buffer_printf(error,
                      "cold-compression zstd: this server was built without Zstandard. Build it where libzstd and "
                      "its header are (deps/install.sh), or choose lz4");
    else
        buffer_printf(error, "Cannot open the data directory %.*s: %s%s%s", size, name,
                      status_text(status), report->text[0] ? ": " : "", report->text);
    buffer_release(&directory);
}

static bool listen_on(struct server *server, const struct listener_options *options, bool optional,
                      struct buffer *error)
{
    size_t before = error->size;
    struct listener *listener;
    enum listener_result result = listener_open(options, &listener, error);
    if (result == LISTENER_OK) {
        struct listener *last = server->listeners;
        while (last && listener_next(last))
            last = listener_next(last);
        if (last)
            listener_set_next(last, listener);
        else
            server->listeners = listener;
        return true;
    }
    if (result != LISTENER_NO_ADDRESS || !optional)
        return false;
    error->size = before;
    return true;
}

/* The words of `bind`; a leading "-" makes one optional. */
static bool listen_tcp(struct server *server, struct listener_options options, struct buffer *error)
{
    struct buffer bind = {0};
    config_string(server->config, CONFIG_bind, &bind);
    buffer_append_byte(&bind, 0);
    bool ok = true;
    char *rest = NULL;
    for (char *word = strtok_r((char *)bind.data, " ", &rest); ok && word;
         word = strtok_r(NULL, " ", &rest)) {
        bool optional = word[0] == '-';
        options.address = word + optional;
        ok = listen_on(server, &options, optional, error);
    }
    buffer_release(&bind);
    return ok;
}

static bool listen_unix(struct server *server, struct listener_options options,
                        enum config_name name, struct buffer *error)
{
    struct buffer path = {0};
    config_string(server->config, name, &path);
    buffer_append_byte(&path, 0);
    options.path = (const char *)path.data;
    bool ok = !options.path[0] || listen_on(server, &options, false, error);
    buffer_release(&path);
    return ok;
}

/* `name`: of the port's number, 0: no listener. */
static bool listen_port(struct server *server, struct listener_options options,
                        enum config_name name, struct buffer *error)
{
    options.port = (unsigned)config_integer(server->config, name);
    return options.port == 0 || listen_tcp(server, options, error);
}

static bool init_tls(struct server *server, struct buffer *error)
{
    if (config_integer(server->config, CONFIG_tls_port) == 0 &&
        config_integer(server->config, CONFIG_json_tls_port) == 0)
        return true;
    server->tls_keeper = tls_keeper_create(server->config, error);
    if (!server->tls_keeper)
        return false;
    config_on_apply(server->config, host_config_apply, server);
    return true;
}

/* Both listeners of a protocol: without TLS, and with it. */
static bool listen_ports(struct server *server, struct listener_options options,
                         enum config_name plain, enum config_name tls, struct buffer *error)
{
    if (!listen_port(server, options, plain, error))
        return false;
    options.tls = true;
    return listen_port(server, options, tls, error);
}

static bool listen_metrics(struct server *server, struct listener_options options,
                           struct buffer *error)
{
    if (config_integer(server->config, CONFIG_metrics_port) == 0)
        return true;
    options.json = false;
    options.metrics = server->metrics_port = metrics_port_create(server);
    return listen_port(server, options, CONFIG_metrics_port, error);
}

static bool open_listeners(struct server *server, struct buffer *error)
{
    struct config *config = server->config;
    struct listener_options options = {
        .loop = &server->loops[0],
        .backlog = (int)config_integer(config, CONFIG_tcp_backlog),
        .permissions = (unsigned)config_integer(config, CONFIG_unixsocketperm),
    };
    if (!listen_ports(server, options, CONFIG_port, CONFIG_tls_port, error) ||
        !listen_unix(server, options, CONFIG_unixsocket, error))
        return false;
    options.json = true;
    if (!listen_ports(server, options, CONFIG_json_port, CONFIG_json_tls_port, error) ||
        !listen_unix(server, options, CONFIG_json_unixsocket, error))
        return false;
    if (server->listeners)
        return listen_metrics(server, options, error);
    buffer_append_text(
        error, "There is nothing to listen on: see bind, port, tls-port, json-port, unixsocket");
    return false;
}

static void gate_moved(void *context)
{
    struct server *server = context;
    for (unsigned i = 0; i < server->loop_count; i++)
        loop_gate_moved(&server->loops[i]);
}

static bool init_loops(struct server *server, struct buffer *error)
{
    unsigned count = (unsigned)config_integer(server->config, CONFIG_io_threads);
    server->loops = memory_zeroed(count, sizeof(*server->loops));
    server->threads = memory_zeroed(count, sizeof(*server->threads));
    server->loop_tasks = memory_zeroed(count, sizeof(*server->loop_tasks));
    for (; server->loop_count < count; server->loop_count++) {
        struct loop *loop = &server->loops[server->loop_count];
        int failed = loop_init(loop, server, server->loop_count);
        if (failed) {
            buffer_printf(error, "Cannot make an event loop: %s", uv_strerror(failed));
            return false;
        }
        struct server_task *task = &server->loop_tasks[server->loop_count];
        *task = (struct server_task){.server = server, .loop = loop};
        loop_task_init(&task->task, stop_loop);
    }
    return true;
}

/* Signals and timers of loop 0. */
static void init_handles(struct server *server)
{
    static const int numbers[2] = {SIGTERM, SIGINT};
    uv_loop_t *uv = &server->loops[0].uv;
    for (int i = 0; i < 2; i++) {
        uv_signal_init(uv, &server->signals[i]);
        server->signals[i].data = server;
        if (server->options.catches_signals)
            uv_signal_start(&server->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(uv, &server->expiry_timer);
    server->expiry_timer.data = server;
    uv_timer_start(&server->expiry_timer, on_expiry_timer, EXPIRY_PERIOD_MS, EXPIRY_PERIOD_MS);
    server->has_handles = true;
}

static bool open_store(struct server *server, struct buffer *error)
{
    struct lsm_report report = {.text = ""};
    enum status status = server_open_store(server, &report);
    if (status != STATUS_OK) {
        explain_store(server, status, &report, error);
        return false;
    }
    if (report.text[0])
        env_log(server->env, LOG_WARNING, "%s", report.text);
    return true;
}

static bool start_threads(struct server *server, struct buffer *error)
{
    const struct gate_options gate_options = {
        .env = server->env,
        .engine = store_engine(server->store),
        .policy = (enum gate_policy)config_choice(server->config, CONFIG_appendfsync),
        .moved = gate_moved,
        .context = server,
    };
    server->gate = gate_create(&gate_options);
    server->workers = workers_create(
        server->service, (unsigned)config_integer(server->config, CONFIG_worker_threads));
    if (server->gate && server->workers &&
        runner_start(server->runner, store_engine(server->store)) == STATUS_OK)
        return true;
    buffer_append_text(error, "Cannot start the threads that are configured");
    return false;
}

struct server *server_create(const struct server_options *options, struct buffer *error)
{
    struct server *server = memory_zeroed(1, sizeof(*server));
    server->env = options->env;
    server->config = options->config;
    server->options = *options;
    server->expiry_job.run = run_expiry;
    loop_task_init(&server->stop_task, begin_stop);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    server->runner =
        runner_create((unsigned)config_integer(server->config, CONFIG_background_threads));
    const struct service_host host = {
        .wake = host_wake,
        .deliver = host_deliver,
        .shutdown = host_shutdown,
        .disconnect = host_disconnect,
        .evict = host_evict,
        .reload = server_reload,
        .config_changed = host_config_changed,
        .free_large = host_free_large,
        .turn_ms_max = LOOP_SESSION_TURN_MS,
        .context = server,
    };
    bool ok = init_tls(server, error) && open_store(server, error);
    if (ok) {
        server->service = service_create(server->env, server->store, server->config, &host);
        service_warn_of_memory(server->service);
        ok = init_loops(server, error) && start_threads(server, error);
    }
    if (ok) {
        init_handles(server);
        ok = open_listeners(server, error);
    }
    if (ok)
        return server;
    server_destroy(server);
    return NULL;
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void say_where(struct server *server)
{
    struct buffer directory = {0};
    config_string(server->config, CONFIG_dir, &directory);
    buffer_append_byte(&directory, 0);
    char full[PATH_MAX];
    const char *path = realpath((const char *)directory.data, full);
    struct lsm_stats stats;
    lsm_get_stats(store_engine(server->store), &stats);
    env_log(server->env, LOG_NOTICE, "Data: %s", path ? path : (const char *)directory.data);
    if (!stats.was_clean && stats.recovered_batches > 0)
        env_log(server->env, LOG_NOTICE,
                "The last stop was not a clean one: %" PRIu64 " batches (%" PRIu64
                " bytes) came back from the log in %" PRIu64 " ms",
                stats.recovered_batches, stats.recovered_bytes, stats.recovery_us / 1000);
    buffer_release(&directory);
    for (struct listener *l = server->listeners; l; l = listener_next(l))
        env_log(server->env, LOG_NOTICE, "Listening: %s (%s)", listener_name(l),
                listener_protocol(l));
    int64_t port = config_integer(server->config, CONFIG_port);
    if (port != 0)
        env_log(server->env, LOG_NOTICE,
                "Ready. Next: redis-cli -p %" PRId64 " XADD logs '*' message hello", port);
    else
        env_log(server->env, LOG_NOTICE, "Ready");
}

static void *run_thread(void *context)
{
    loop_run(context);
    return NULL;
}

static bool start_loops(struct server *server)
{
    for (unsigned i = 1; i < server->loop_count; i++) {
        if (pthread_create(&server->threads[i], NULL, run_thread, &server->loops[i]) != 0) {
            env_log(server->env, LOG_WARNING, "Cannot start %u event loops (io-threads)",
                    server->loop_count);
            return false;
        }
        server->thread_count = i;
    }
    return true;
}

enum status server_run(struct server *server)
{
    if (!start_loops(server)) {
        /* The loops that run have no client yet: they end at once. */
        unsigned running = server->thread_count + 1;
        for (unsigned i = running; i < server->loop_count; i++)
            loop_release(&server->loops[i]);
        server->loop_count = running;
        server_stop(server, true);
    } else {
        say_where(server);
    }
    loop_run(&server->loops[0]);
    for (; server->thread_count > 0; server->thread_count--)
        pthread_join(server->threads[server->thread_count], NULL);
    workers_destroy(server->workers);
    server->workers = NULL;
    gate_destroy(server->gate);
    server->gate = NULL;
    runner_stop(server->runner);
    service_destroy(server->service);
    server->service = NULL;
    enum status status = store_close(server->store);
    server->store = NULL;
    if (status == STATUS_OK)
        env_log(server->env, LOG_NOTICE, "Stopped; everything is on the disk");
    else
        env_log(server->env, LOG_WARNING, "Stopped, but the last sync failed: %s",
                status_text(status));
    return status;
}

void server_destroy(struct server *server)
{
    if (!server)
        return;
    assert(server->thread_count == 0);
    config_on_apply(server->config, NULL, NULL);
    close_listeners(server);
    close_handles(server);
    for (; server->loop_count > 0; server->loop_count--)
        loop_release(&server->loops[server->loop_count - 1]);
    metrics_port_destroy(server->metrics_port);
    tls_keeper_destroy(server->tls_keeper);
    workers_destroy(server->workers);
    gate_destroy(server->gate);
    runner_stop(server->runner);
    if (server->service)
        service_destroy(server->service);
    if (server->store)
        (void)store_close(server->store); /* a start that failed; nothing was acknowledged */
    runner_destroy(server->runner);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    memory_free(server->loop_tasks);
    memory_free(server->threads);
    memory_free(server->loops);
    memory_free(server);
}
