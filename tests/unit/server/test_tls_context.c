/* SPDX-License-Identifier: MIT */
#ifdef CORDWOOD_TLS

#include "unit/server/tls_fixture.h"

/* The sentence of a refusal has these words in it. */
static void expect_refused(const struct tls_settings *settings, const char *const *words)
{
    struct buffer error = {0};
    assert_null(tls_context_create(settings, &error));
    buffer_append_byte(&error, 0);
    for (; *words; words++)
        if (!strstr((const char *)error.data, *words))
            fail_msg("\"%s\" is not in: %s", *words, (const char *)error.data);
    buffer_release(&error);
}
#define EXPECT_REFUSED(settings, ...) \
    expect_refused(settings, (const char *const[]){__VA_ARGS__, NULL})

static void expect_accepted(const struct tls_settings *settings)
{
    tls_context_unref(make_context(settings));
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_not_equal(fputs(text, file), EOF);
    assert_int_equal(fclose(file), 0);
}

static void good_files_make_a_context(void **state)
{
    (void)state;
    assert_true(tls_is_built());
    struct tls_settings settings = world_settings();
    expect_accepted(&settings);
    settings.auth_clients = TLS_CLIENTS_YES;
    expect_accepted(&settings);
    settings.ca_cert_file = "";
    settings.ca_cert_dir = world.directory;
    expect_accepted(&settings);
    settings.auth_clients = TLS_CLIENTS_NO;
    settings.ca_cert_dir = "";
    expect_accepted(&settings);
}

static void a_file_that_is_not_named_is_asked_for(void **state)
{
    (void)state;
    struct tls_settings settings = world_settings();
    settings.cert_file = "";
    EXPECT_REFUSED(&settings, "tls-cert-file is not set");
    settings = world_settings();
    settings.key_file = "";
    EXPECT_REFUSED(&settings, "tls-key-file is not set");
    settings = world_settings();
    settings.ca_cert_file = "";
    settings.auth_clients = TLS_CLIENTS_OPTIONAL;
    EXPECT_REFUSED(&settings, "tls-ca-cert-file or tls-ca-cert-dir", "tls-auth-clients");
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    char path[TLS_PATH_BYTES];
    world_path(path, "nothing.pem");
    struct tls_settings settings = world_settings();
    settings.cert_file = path;
    EXPECT_REFUSED(&settings, "tls-cert-file ", path, "cannot be read: No such file");
    settings = world_settings();
    settings.key_file = path;
    EXPECT_REFUSED(&settings, "tls-key-file ", path, "cannot be read: No such file");
    settings = world_settings();
    settings.ca_cert_file = path;
    EXPECT_REFUSED(&settings, "tls-ca-cert-file ", path, "cannot be read: No such file");
    settings = world_settings();
    settings.ca_cert_dir = path;
    EXPECT_REFUSED(&settings, "tls-ca-cert-dir ", path, "no directory");
    settings.ca_cert_dir = world.certificate_file;
    EXPECT_REFUSED(&settings, "tls-ca-cert-dir ", "no directory");
}

static void a_file_that_is_not_pem_is_named(void **state)
{
    (void)state;
    char path[TLS_PATH_BYTES];
    world_path(path, "text.pem");
    write_text(path, "This is not what it should be.\n");
    struct tls_settings settings = world_settings();
    settings.cert_file = path;
    EXPECT_REFUSED(&settings, "tls-cert-file ", path, "holds no certificate in PEM form");
    settings = world_settings();
    settings.key_file = path;
    EXPECT_REFUSED(&settings, "tls-key-file ", path, "holds no private key in PEM form");
    settings = world_settings();
    settings.ca_cert_file = path;
    EXPECT_REFUSED(&settings, "tls-ca-cert-file ", path, "holds no certificates in PEM form");
    /* The right kind of file in the wrong place. */
    settings = world_settings();
    settings.cert_file = world.key_file;
    EXPECT_REFUSED(&settings, "tls-cert-file ", "holds no certificate");
    settings = world_settings();
    settings.key_file = world.certificate_file;
    EXPECT_REFUSED(&settings, "tls-key-file ", "holds no private key");
}

static void a_certificate_that_is_cut_off_is_refused(void **state)
{
    (void)state;
    char path[TLS_PATH_BYTES], text[512];
    world_path(path, "cut.pem");
    FILE *file = fopen(world.certificate_file, "r");
    size_t size = fread(text, 1, 200, file);
    fclose(file);
    text[size] = 0;
    write_text(path, text);
    struct tls_settings settings = world_settings();
    settings.cert_file = path;
    EXPECT_REFUSED(&settings, "tls-cert-file ", path, "holds no certificate");
}

static void a_chain_with_damage_behind_the_certificate_is_refused(void **state)
{
    (void)state;
    char path[TLS_PATH_BYTES];
    world_path(path, "chain.pem");
    tls_identity_write(&world.server, path, NULL, NULL);
    FILE *file = fopen(path, "a");
    fputs("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", file);
    fclose(file);
    struct tls_settings settings = world_settings();
    settings.cert_file = path;
    EXPECT_REFUSED(&settings, "tls-cert-file ", path, "cannot be used");
}

static void a_key_of_another_certificate_is_refused(void **state)
{
    (void)state;
    char path[TLS_PATH_BYTES];
    world_path(path, "client.key");
    tls_identity_write(&world.client, NULL, path, NULL);
    struct tls_settings settings = world_settings();
    settings.key_file = path;
    EXPECT_REFUSED(&settings, "tls-key-file ", path, "does not belong to the certificate",
                   world.certificate_file);
}

static void a_key_needs_its_password(void **state)
{
    (void)state;
    char path[TLS_PATH_BYTES], long_password[4096];
    world_path(path, "locked.key");
    tls_identity_write(&world.server, NULL, path, "open sesame");
    struct tls_settings settings = world_settings();
    settings.key_file = path;
    EXPECT_REFUSED(&settings, path, "is encrypted, and tls-key-file-pass is empty");
    settings.key_file_pass = "sesame open";
    EXPECT_REFUSED(&settings, path, "is not opened by the password in tls-key-file-pass");
    memset(long_password, 'x', sizeof(long_password));
    long_password[sizeof(long_password) - 1] = 0;
    settings.key_file_pass = long_password;
    EXPECT_REFUSED(&settings, path, "is not opened by the password in tls-key-file-pass");
    settings.key_file_pass = "open sesame";
    expect_accepted(&settings);
    settings.key_file = world.key_file; /* one that needs none */
    expect_accepted(&settings);
}

static void names_that_openssl_does_not_have_are_refused(void **state)
{
    (void)state;
    struct tls_settings settings = world_settings();
    settings.protocols = "TLSv1.2 SSLv3";
    EXPECT_REFUSED(&settings, "tls-protocols: SSLv3 is none of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3");
    settings.protocols = " tlsv1.2  TLSv1.3 ";
    expect_accepted(&settings);
    settings.ciphers = "NONE-SUCH";
    EXPECT_REFUSED(&settings, "tls-ciphers ");
    settings.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
    expect_accepted(&settings);
    settings.ciphersuites = "NONE_SUCH";
    EXPECT_REFUSED(&settings, "tls-ciphersuites ");
    settings.ciphersuites = "TLS_AES_128_GCM_SHA256";
    settings.prefer_server_ciphers = true;
    expect_accepted(&settings);
}

static void a_reference_keeps_it(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    struct tls_context *context = make_context(&settings);
    assert_ptr_equal(tls_context_ref(context), context);
    tls_context_unref(context);
    struct tls_session *session = tls_session_create(context);
    assert_non_null(session);
    tls_context_unref(context);
    tls_session_destroy(session);
    tls_context_unref(NULL);
    tls_session_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_make_a_context),
        cmocka_unit_test(a_file_that_is_not_named_is_asked_for),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(a_file_that_is_not_pem_is_named),
        cmocka_unit_test(a_certificate_that_is_cut_off_is_refused),
        cmocka_unit_test(a_chain_with_damage_behind_the_certificate_is_refused),
        cmocka_unit_test(a_key_of_another_certificate_is_refused),
        cmocka_unit_test(a_key_needs_its_password),
        cmocka_unit_test(names_that_openssl_does_not_have_are_refused),
        cmocka_unit_test(a_reference_keeps_it),
    };
    return cmocka_run_group_tests(tests, world_make, world_release);
}

#else

#include "server/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void without_openssl_a_context_is_refused_with_a_sentence(void **state)
{
    (void)state;
    struct buffer error = {0};
    const struct tls_settings settings = {.cert_file = "", .key_file = ""};
    assert_false(tls_is_built());
    assert_null(tls_context_create(&settings, &error));
    buffer_append_byte(&error, 0);
    assert_non_null(strstr((const char *)error.data, "built without TLS"));
    buffer_release(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_openssl_a_context_is_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
