/* SPDX-License-Identifier: MIT */
#include "server/tls_keeper.h"

#include "base/memory.h"

#include <assert.h>
#include <pthread.h>

struct tls_keeper {
    struct config *config;
    pthread_mutex_t lock; /* guards what follows */
    struct tls_context *context;
};

/* A copy of each text, and where it is wanted. */
struct text {
    enum config_name name;
    const char **into;
    struct buffer bytes;
};

static struct tls_context *make_context(struct config *config, struct buffer *error)
{
    struct tls_settings settings = {
        .auth_clients = (enum tls_clients)config_choice(config, CONFIG_tls_auth_clients),
        .prefer_server_ciphers = config_integer(config, CONFIG_tls_prefer_server_ciphers),
        .session_caching = config_integer(config, CONFIG_tls_session_caching),
        .session_cache_size = config_integer(config, CONFIG_tls_session_cache_size),
        .session_cache_timeout_s = config_integer(config, CONFIG_tls_session_cache_timeout),
    };
    struct text texts[] = {
        {.name = CONFIG_tls_cert_file, .into = &settings.cert_file},
        {.name = CONFIG_tls_key_file, .into = &settings.key_file},
        {.name = CONFIG_tls_key_file_pass, .into = &settings.key_file_pass},
        {.name = CONFIG_tls_ca_cert_file, .into = &settings.ca_cert_file},
        {.name = CONFIG_tls_ca_cert_dir, .into = &settings.ca_cert_dir},
        {.name = CONFIG_tls_protocols, .into = &settings.protocols},
        {.name = CONFIG_tls_ciphers, .into = &settings.ciphers},
        {.name = CONFIG_tls_ciphersuites, .into = &settings.ciphersuites},
    };
    enum { TEXT_COUNT = sizeof(texts) / sizeof(*texts) };
    for (int i = 0; i < TEXT_COUNT; i++) {
        config_string(config, texts[i].name, &texts[i].bytes);
        buffer_append_byte(&texts[i].bytes, 0);
        *texts[i].into = (const char *)texts[i].bytes.data;
    }
    struct tls_context *context = tls_context_create(&settings, error);
    for (int i = 0; i < TEXT_COUNT; i++)
        buffer_release(&texts[i].bytes);
    return context;
}

struct tls_keeper *tls_keeper_create(struct config *config, struct buffer *error)
{
    struct tls_context *context = make_context(config, error);
    if (!context)
        return NULL;
    struct tls_keeper *keeper = memory_zeroed(1, sizeof(*keeper));
    keeper->config = config;
    keeper->context = context;
    pthread_mutex_init(&keeper->lock, NULL);
    return keeper;
}

void tls_keeper_destroy(struct tls_keeper *keeper)
{
    if (!keeper)
        return;
    tls_context_unref(keeper->context);
    pthread_mutex_destroy(&keeper->lock);
    memory_free(keeper);
}

bool tls_keeper_renew(struct tls_keeper *keeper, struct buffer *error)
{
    struct tls_context *context = make_context(keeper->config, error);
    if (!context)
        return false;
    pthread_mutex_lock(&keeper->lock);
    struct tls_context *before = keeper->context;
    keeper->context = context;
    pthread_mutex_unlock(&keeper->lock);
    tls_context_unref(before);
    return true;
}

struct tls_session *tls_keeper_meet(struct tls_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    struct tls_context *context = tls_context_ref(keeper->context);
    pthread_mutex_unlock(&keeper->lock);
    struct tls_session *session = tls_session_create(context);
    tls_context_unref(context);
    return session;
}
