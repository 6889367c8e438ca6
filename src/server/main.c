/* SPDX-License-Identifier: MIT */
/* cordwood-server [FILE] [--name value ...]: flags and configuration, messages, then the server. */
#include "commands/command.h"
#include "server/heap.h"
#include "server/logger.h"
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    FILES_BESIDE_CLIENTS = 1024, /* tables, log segments, listeners */
};

static const char usage[] =
    "cordwood-server [FILE] [--name value ...]\n"
    "\n"
    "A durable log store that speaks the Redis protocol. FILE holds lines \"name value\"; flags win.\n"
    "\n"
    "  --port 6379 --json-port 5260   where it listens; 0: not at all\n"
    "  --tls-port 0                   TLS: see --tls-cert-file, --tls-key-file, --tls-auth-clients\n"
    "  --metrics-port 0               GET /metrics for Prometheus; 0: not at all\n"
    "  --bind 127.0.0.1               on which addresses\n"
    "  --unixsocket PATH              a unix socket as well\n"
    "  --dir ./data                   where the data is\n"
    "  --appendfsync everysec         always, everysec or no\n"
    "  --requirepass PASSWORD\n"
    "  --io-threads 1                 event loops\n"
    "\n"
    "  --print-config                 every name with its default, as a file\n"
    "  --print-reference              the same as a document\n"
    "  --print-commands               every command and how it differs from Redis\n"
    "  --version, --help\n";

struct host {
    struct config *config;
    struct logger *logger;
};

static int print(void (*write)(struct buffer *out))
{
    struct buffer out = {0};
    write(&out);
    bool ok = fwrite(out.data, 1, out.size, stdout) == out.size && fflush(stdout) == 0;
    buffer_release(&out);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void take_over_log_settings(struct host *host)
{
    logger_set(host->logger, (enum log_level)config_choice(host->config, CONFIG_loglevel),
               (enum logger_format)config_choice(host->config, CONFIG_log_format));
}

static void config_changed(void *context, const char *name)
{
    (void)name; /* two stores are cheaper than finding out */
    take_over_log_settings(context);
}

static struct logger *open_logger(struct config *config)
{
    struct buffer path = {0};
    config_string(config, CONFIG_logfile, &path);
    buffer_append_byte(&path, 0);
    struct logger *logger = logger_create((const char *)path.data);
    if (!logger)
        fprintf(stderr, "cordwood-server: cannot open the logfile %s: %s\n", (const char *)path.data,
                strerror(errno));
    buffer_release(&path);
    return logger;
}

/* A descriptor for each client; if the system allows fewer, maxclients shrinks, and it is said. */
static void raise_file_limit(const struct env *env, struct config *config)
{
    rlim_t wanted = (rlim_t)config_integer(config, CONFIG_maxclients) + FILES_BESIDE_CLIENTS;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* what it gave is read again */
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    rlim_t half = limit.rlim_cur / 2;
    rlim_t clients = limit.rlim_cur > 2 * FILES_BESIDE_CLIENTS
                         ? limit.rlim_cur - FILES_BESIDE_CLIENTS
                         : half ? half : 1;
    char text[32];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)clients);
    struct buffer error = {0};
    (void)config_set(config, slice_from("maxclients"), slice_from(text), false, &error);
    buffer_release(&error);
    env_log(env, LOG_WARNING, "The system allows %llu open files: maxclients is now %s",
            (unsigned long long)limit.rlim_cur, text);
}

static void log_lines(const struct env *env, struct buffer *text)
{
    buffer_append_byte(text, 0);
    char *rest = NULL;
    for (char *line = strtok_r((char *)text->data, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest))
        env_log(env, LOG_WARNING, "%s", line);
}

static int serve(const struct env *env, struct host *host)
{
    env_log(env, LOG_NOTICE, "Cordwood %s", CORDWOOD_VERSION);
    raise_file_limit(env, host->config);
    const struct server_options options = {
        .env = env,
        .config = host->config,
        .catches_signals = true,
        .config_changed = config_changed,
        .context = host,
    };
    struct buffer error = {0};
    struct server *server = server_create(&options, &error);
    if (!server)
        log_lines(env, &error);
    buffer_release(&error); /* an optional address that is not there has left its text */
    if (!server)
        return EXIT_FAILURE;
    enum status status = server_run(server);
    server_destroy(server);
    return status == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(int count, char **words, struct vfs *vfs, struct config *config)
{
    struct buffer error = {0};
    if (!config_load_flags(config, vfs, count, words, &error)) {
        fprintf(stderr, "cordwood-server: %.*s\n", (int)error.size, (const char *)error.data);
        buffer_release(&error);
        return EXIT_FAILURE;
    }
    heap_configure((unsigned)config_integer(config, CONFIG_io_threads));
    struct host host = {.config = config, .logger = open_logger(config)};
    if (!host.logger)
        return EXIT_FAILURE;
    take_over_log_settings(&host);
    struct env env;
    env_init_posix(&env, vfs);
    env.log = logger_write;
    env.context = host.logger;
    int code = serve(&env, &host);
    logger_destroy(host.logger);
    return code;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    const char *word = argc == 2 ? argv[1] : "";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-v") == 0) {
        puts("Cordwood " CORDWOOD_VERSION);
        return EXIT_SUCCESS;
    }
    if (strcmp(word, "--print-config") == 0)
        return print(config_print_file);
    if (strcmp(word, "--print-commands") == 0)
        return print(command_print_document);
    if (strcmp(word, "--print-reference") == 0)
        return print(config_print_reference);
    struct vfs *vfs = vfs_posix_create();
    struct config *config = config_create();
    int code = run(argc - 1, argv + 1, vfs, config);
    config_destroy(config);
    vfs_destroy(vfs);
    return code;
}
