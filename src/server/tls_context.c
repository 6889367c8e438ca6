/* SPDX-License-Identifier: MIT */
#include "server/tls.h"

#ifdef CORDWOOD_TLS

#include "base/memory.h"
#include "server/tls_openssl.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What is on its way to a context. */
struct making {
    const struct tls_settings *settings;
    SSL_CTX *openssl;
    struct buffer *error;
    bool password_was_asked;
};

bool tls_is_built(void)
{
    return true;
}

const char *tls_take_reason(void)
{
    unsigned long error = ERR_get_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    ERR_clear_error();
    return reason ? reason : "OpenSSL does not say why";
}

/* ---- Files ------------------------------------------------------------------------------------ */

/* NULL: *error says why. */
static BIO *open_file(struct making *making, const char *name, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        buffer_printf(making->error, "%s %s cannot be read: %s", name, path, strerror(errno));
        return NULL;
    }
    BIO *bio = BIO_new_fp(file, BIO_CLOSE);
    if (!bio) {
        fclose(file);
        buffer_printf(making->error, "%s %s cannot be read: %s", name, path, tls_take_reason());
    }
    return bio;
}

static bool load_certificate(struct making *making)
{
    const char *path = making->settings->cert_file;
    BIO *bio = open_file(making, "tls-cert-file", path);
    if (!bio)
        return false;
    X509 *first = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (!first) {
        buffer_printf(making->error, "tls-cert-file %s holds no certificate in PEM form (%s)", path,
                      tls_take_reason());
        return false;
    }
    X509_free(first);
    /* With the certificates behind it, which lead to its authority. */
    if (SSL_CTX_use_certificate_chain_file(making->openssl, path) == 1)
        return true;
    buffer_printf(making->error, "tls-cert-file %s cannot be used: %s", path, tls_take_reason());
    return false;
}

/* Without a function of ours OpenSSL would ask at the terminal. */
static int give_password(char *password, int capacity, int is_for_writing, void *context)
{
    (void)is_for_writing;
    struct making *making = context;
    making->password_was_asked = true;
    size_t size = strlen(making->settings->key_file_pass);
    if (size == 0 || size > (size_t)capacity)
        return 0;
    memcpy(password, making->settings->key_file_pass, size);
    return (int)size;
}

static void explain_key(struct making *making, const char *path)
{
    const char *reason = tls_take_reason();
    if (making->password_was_asked && making->settings->key_file_pass[0] == 0)
        buffer_printf(making->error, "tls-key-file %s is encrypted, and tls-key-file-pass is empty",
                      path);
    else if (making->password_was_asked)
        buffer_printf(making->error,
                      "tls-key-file %s is not opened by the password in tls-key-file-pass (%s)",
                      path, reason);
    else
        buffer_printf(making->error, "tls-key-file %s holds no private key in PEM form (%s)", path,
                      reason);
}

static bool load_key(struct making *making)
{
    const char *path = making->settings->key_file;
    BIO *bio = open_file(making, "tls-key-file", path);
    if (!bio)
        return false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, give_password, making);
    BIO_free(bio);
    if (!key) {
        explain_key(making, path);
        return false;
    }
    bool fits = X509_check_private_key(SSL_CTX_get0_certificate(making->openssl), key) == 1;
    bool ok = fits && SSL_CTX_use_PrivateKey(making->openssl, key) == 1;
    EVP_PKEY_free(key);
    if (!fits) {
        buffer_printf(making->error,
                      "tls-key-file %s does not belong to the certificate in tls-cert-file %s",
                      path, making->settings->cert_file);
        ERR_clear_error();
    } else if (!ok) {
        buffer_printf(making->error, "tls-key-file %s cannot be used: %s", path, tls_take_reason());
    }
    return ok;
}

static bool load_authority_file(struct making *making)
{
    const char *path = making->settings->ca_cert_file;
    if (!path[0])
        return true;
    BIO *bio = open_file(making, "tls-ca-cert-file", path);
    if (!bio)
        return false;
    BIO_free(bio);
    if (SSL_CTX_load_verify_locations(making->openssl, path, NULL) == 1)
        return true;
    buffer_printf(making->error, "tls-ca-cert-file %s holds no certificates in PEM form (%s)", path,
                  tls_take_reason());
    return false;
}

/* OpenSSL looks into the directory when it meets a client. */
static bool load_authority_directory(struct making *making)
{
    const char *path = making->settings->ca_cert_dir;
    struct stat status;
    if (!path[0])
        return true;
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        buffer_printf(making->error, "tls-ca-cert-dir %s is no directory that can be read", path);
        return false;
    }
    if (SSL_CTX_load_verify_locations(making->openssl, NULL, path) == 1)
        return true;
    buffer_printf(making->error, "tls-ca-cert-dir %s cannot be used: %s", path, tls_take_reason());
    return false;
}

static bool load_files(struct making *making)
{
    const struct tls_settings *settings = making->settings;
    const char *missing = !settings->cert_file[0]  ? "tls-cert-file"
                          : !settings->key_file[0] ? "tls-key-file"
                                                   : NULL;
    if (missing) {
        buffer_printf(making->error, "%s is not set: TLS needs a certificate and its private key",
                      missing);
        return false;
    }
    if (settings->auth_clients != TLS_CLIENTS_NO && !settings->ca_cert_file[0] &&
        !settings->ca_cert_dir[0]) {
        buffer_append_text(
            making->error,
            "tls-ca-cert-file or tls-ca-cert-dir must name the authorities of the clients' "
            "certificates, or tls-auth-clients be no");
        return false;
    }
    return load_certificate(making) && load_key(making) && load_authority_file(making) &&
           load_authority_directory(making);
}

/* ---- Protocols, ciphers, session cache --------------------------------------------------------- */

static const struct protocol {
    const char *name;
    uint64_t forbidding; /* SSL_OP_NO_... */
} protocols[] = {
    {"TLSv1", SSL_OP_NO_TLSv1},
    {"TLSv1.1", SSL_OP_NO_TLSv1_1},
    {"TLSv1.2", SSL_OP_NO_TLSv1_2},
    {"TLSv1.3", SSL_OP_NO_TLSv1_3},
};
enum { PROTOCOL_COUNT = sizeof(protocols) / sizeof(*protocols) };

static const struct protocol *find_protocol(struct slice word)
{
    for (size_t i = 0; i < PROTOCOL_COUNT; i++)
        if (slice_equal_nocase(word, protocols[i].name))
            return &protocols[i];
    return NULL;
}

/* The next word of *text; empty at the end. */
static struct slice next_word(const char **text)
{
    const char *start = *text + strspn(*text, " ");
    size_t size = strcspn(start, " ");
    *text = start + size;
    return slice_make(start, size);
}

static bool set_protocols(struct making *making)
{
    const char *text = making->settings->protocols;
    uint64_t forbidden = 0;
    for (size_t i = 0; i < PROTOCOL_COUNT; i++)
        forbidden |= protocols[i].forbidding;
    struct slice word = next_word(&text);
    if (word.size == 0)
        forbidden = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1;
    for (; word.size > 0; word = next_word(&text)) {
        const struct protocol *found = find_protocol(word);
        if (!found) {
            buffer_printf(making->error,
                          "tls-protocols: %.*s is none of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3",
                          (int)(word.size > 32 ? 32 : word.size), (const char *)word.data);
            return false;
        }
        forbidden &= ~found->forbidding;
    }
    /* What the system's openssl.cnf says of versions does not count. */
    (void)SSL_CTX_set_min_proto_version(making->openssl, TLS1_VERSION);
    (void)SSL_CTX_set_max_proto_version(making->openssl, 0);
    SSL_CTX_clear_options(making->openssl, SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 |
                                               SSL_OP_NO_TLSv1_3);
    SSL_CTX_set_options(making->openssl, forbidden);
    return true;
}

static bool set_ciphers(struct making *making)
{
    const struct tls_settings *settings = making->settings;
    if (settings->ciphers[0] && SSL_CTX_set_cipher_list(making->openssl, settings->ciphers) != 1) {
        buffer_printf(making->error, "tls-ciphers names no cipher that OpenSSL has: %s",
                      tls_take_reason());
        return false;
    }
    if (settings->ciphersuites[0] &&
        SSL_CTX_set_ciphersuites(making->openssl, settings->ciphersuites) != 1) {
        buffer_printf(making->error,
                      "tls-ciphersuites names a suite that OpenSSL does not have: %s",
                      tls_take_reason());
        return false;
    }
    if (settings->prefer_server_ciphers)
        SSL_CTX_set_options(making->openssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    return true;
}

static bool set_caching(struct making *making)
{
    static const unsigned char name[] = "cordwood";
    const struct tls_settings *settings = making->settings;
    if (!settings->session_caching) {
        SSL_CTX_set_session_cache_mode(making->openssl, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(making->openssl, SSL_OP_NO_TICKET);
        (void)SSL_CTX_set_num_tickets(making->openssl, 0); /* it has no limit that 0 meets */
        return true;
    }
    SSL_CTX_set_session_cache_mode(making->openssl, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(making->openssl, (long)settings->session_cache_size);
    SSL_CTX_set_timeout(making->openssl, (long)settings->session_cache_timeout_s);
    return SSL_CTX_set_session_id_context(making->openssl, name, sizeof(name) - 1) == 1;
}

static void set_client_verification(struct making *making)
{
    static const int modes[] = {
        [TLS_CLIENTS_NO] = SSL_VERIFY_NONE,
        [TLS_CLIENTS_YES] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
        [TLS_CLIENTS_OPTIONAL] = SSL_VERIFY_PEER,
    };
    SSL_CTX_set_verify(making->openssl, modes[making->settings->auth_clients], NULL);
}

static bool configure(struct making *making)
{
    SSL_CTX_set_options(making->openssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    /* An idle connection gives back its buffers of 17 KiB in each direction. */
    SSL_CTX_set_mode(making->openssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_dh_auto(making->openssl, 1);
    set_client_verification(making);
    return set_protocols(making) && set_ciphers(making) && set_caching(making) &&
           load_files(making);
}

/* ---- Life --------------------------------------------------------------------------------------- */

struct tls_context *tls_context_create(const struct tls_settings *settings, struct buffer *error)
{
    ERR_clear_error();
    size_t before = error->size;
    struct making making = {
        .settings = settings, .openssl = SSL_CTX_new(TLS_server_method()), .error = error};
    if (!making.openssl || !configure(&making)) {
        if (error->size == before)
            buffer_printf(error, "TLS cannot be set up: %s", tls_take_reason());
        SSL_CTX_free(making.openssl);
        return NULL;
    }
    struct tls_context *context = memory_zeroed(1, sizeof(*context));
    context->openssl = making.openssl;
    atomic_init(&context->references, 1);
    return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    unsigned before = atomic_fetch_add(&context->references, 1);
    assert(before > 0);
    (void)before;
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (!context || atomic_fetch_sub(&context->references, 1) > 1)
        return;
    SSL_CTX_free(context->openssl);
    memory_free(context);
}

#else

#include <stddef.h>

bool tls_is_built(void)
{
    return false;
}

struct tls_context *tls_context_create(const struct tls_settings *settings, struct buffer *error)
{
    (void)settings;
    buffer_append_text(
        error,
        "tls-port: this server was built without TLS. Build it where libssl and its headers are "
        "(deps/install.sh), or leave tls-port and json-tls-port 0");
    return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    (void)context;
}

#endif
