/* SPDX-License-Identifier: MIT */
/* Identities and their files, made once for all tests of a program. */
#ifndef UNIT_SERVER_TLS_FIXTURE_H
#define UNIT_SERVER_TLS_FIXTURE_H

#include "lib/temp_directory.h"
#include "lib/tls_peer.h"
#include "server/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { TLS_PATH_BYTES = TEMP_DIRECTORY_BYTES + 32 };

static struct tls_world {
    char directory[TEMP_DIRECTORY_BYTES];
    char authority_file[TLS_PATH_BYTES], certificate_file[TLS_PATH_BYTES], key_file[TLS_PATH_BYTES];
    struct tls_identity authority, server, client;
    struct tls_identity
        stranger; /* an authority that the server does not know, and its own client */
} world;

static inline void world_path(char path[TLS_PATH_BYTES], const char *name)
{
    snprintf(path, TLS_PATH_BYTES, "%.*s/%s", TEMP_DIRECTORY_BYTES, world.directory, name);
}

static inline int world_make(void **state)
{
    (void)state;
    temp_directory_make(world.directory);
    world_path(world.authority_file, "authority.pem");
    world_path(world.certificate_file, "server.pem");
    world_path(world.key_file, "server.key");
    tls_identity_make(&world.authority, "authority", NULL);
    tls_identity_make(&world.server, "server", &world.authority);
    tls_identity_make(&world.client, "client", &world.authority);
    tls_identity_make(&world.stranger, "stranger", NULL);
    tls_identity_write(&world.authority, world.authority_file, NULL, NULL);
    tls_identity_write(&world.server, world.certificate_file, world.key_file, NULL);
    return 0;
}

static inline int world_release(void **state)
{
    (void)state;
    tls_identity_release(&world.authority);
    tls_identity_release(&world.server);
    tls_identity_release(&world.client);
    tls_identity_release(&world.stranger);
    temp_directory_remove(world.directory);
    return 0;
}

/* As the configuration is where nothing else is set. */
static inline struct tls_settings world_settings(void)
{
    return (struct tls_settings){
        .cert_file = world.certificate_file,
        .key_file = world.key_file,
        .key_file_pass = "",
        .ca_cert_file = world.authority_file,
        .ca_cert_dir = "",
        .protocols = "",
        .ciphers = "",
        .ciphersuites = "",
        .auth_clients = TLS_CLIENTS_NO,
        .session_caching = true,
        .session_cache_size = 20480,
        .session_cache_timeout_s = 300,
    };
}

static inline struct tls_context *make_context(const struct tls_settings *settings)
{
    struct buffer error = {0};
    struct tls_context *context = tls_context_create(settings, &error);
    if (!context)
        fail_msg("%.*s", (int)error.size, (const char *)error.data);
    assert_int_equal(error.size, 0);
    return context;
}

#endif
