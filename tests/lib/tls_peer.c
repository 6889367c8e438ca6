/* SPDX-License-Identifier: MIT */
#ifdef CORDWOOD_TLS

#include "lib/tls_peer.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { A_DAY = 24 * 3600 };

#define require(condition)                                                                 \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            ERR_print_errors_fp(stderr);                                                   \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

/* ---- Identities -------------------------------------------------------------------------------- */

static EVP_PKEY *make_key(void)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    EVP_PKEY *key = NULL;
    require(context && EVP_PKEY_keygen_init(context) == 1);
    require(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1);
    require(EVP_PKEY_keygen(context, &key) == 1);
    EVP_PKEY_CTX_free(context);
    return key;
}

static void add_extension(X509 *certificate, X509V3_CTX *context, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
    require(extension && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

void tls_identity_make(struct tls_identity *identity, const char *name,
                       const struct tls_identity *issuer)
{
    static atomic_long serial;
    X509 *certificate = X509_new();
    EVP_PKEY *key = make_key();
    require(certificate && X509_set_version(certificate, 2) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), atomic_fetch_add(&serial, 1) + 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -A_DAY);
    X509_gmtime_adj(X509_getm_notAfter(certificate), A_DAY);
    X509_NAME *subject = X509_get_subject_name(certificate);
    require(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                       -1, 0) == 1);
    const X509 *signer = issuer ? issuer->certificate : certificate;
    require(X509_set_issuer_name(certificate, X509_get_subject_name(signer)) == 1);
    require(X509_set_pubkey(certificate, key) == 1);
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, (X509 *)signer, certificate, NULL, NULL, 0);
    add_extension(certificate, &context, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, &context, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    require(X509_sign(certificate, issuer ? issuer->key : key, EVP_sha256()) > 0);
    *identity = (struct tls_identity){.certificate = certificate, .key = key};
}

void tls_identity_release(struct tls_identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    *identity = (struct tls_identity){0};
}

void tls_identity_write(const struct tls_identity *identity, const char *certificate_path,
                        const char *key_path, const char *password)
{
    if (certificate_path) {
        FILE *file = fopen(certificate_path, "w");
        require(file && PEM_write_X509(file, identity->certificate) == 1);
        require(fclose(file) == 0);
    }
    if (key_path) {
        FILE *file = fopen(key_path, "w");
        require(file &&
                PEM_write_PKCS8PrivateKey(file, identity->key, password ? EVP_aes_128_cbc() : NULL,
                                          NULL, 0, NULL, (void *)password) == 1);
        require(fclose(file) == 0);
    }
}

/* ---- The client -------------------------------------------------------------------------------- */

static void take_output(struct tls_peer *peer)
{
    BIO *bio = SSL_get_wbio(peer->openssl);
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    buffer_append(&peer->output, data, (size_t)size);
    (void)BIO_reset(bio);
}

/* Reads as long as there is something; the handshake goes on by itself. */
static void go_on(struct tls_peer *peer, struct buffer *plaintext)
{
    char bytes[16 * 1024];
    int size;
    ERR_clear_error();
    while ((size = SSL_read(peer->openssl, bytes, sizeof(bytes))) > 0)
        buffer_append(plaintext, bytes, (size_t)size);
    int error = SSL_get_error(peer->openssl, size);
    if (error == SSL_ERROR_WANT_READ)
        peer->state = SSL_is_init_finished(peer->openssl) ? PEER_OPEN : PEER_HANDSHAKE;
    else
        peer->state = error == SSL_ERROR_ZERO_RETURN ? PEER_ENDED : PEER_FAILED;
    ERR_clear_error();
    take_output(peer);
}

void tls_peer_init(struct tls_peer *peer, const struct tls_peer_options *options)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    require(context);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    require(X509_STORE_add_cert(store, options->authority->certificate) == 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (options->version_max > 0 && options->version_max < TLS1_2_VERSION) {
        require(SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0") == 1);
        require(SSL_CTX_set_min_proto_version(context, TLS1_VERSION) == 1);
    }
    require(SSL_CTX_set_max_proto_version(context, options->version_max) == 1);
    if (options->identity) {
        require(SSL_CTX_use_certificate(context, options->identity->certificate) == 1);
        require(SSL_CTX_use_PrivateKey(context, options->identity->key) == 1);
    }
    *peer = (struct tls_peer){.context = context, .openssl = SSL_new(context)};
    require(peer->openssl);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    require(in && out);
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(peer->openssl, in, out);
    if (options->session)
        require(SSL_set_session(peer->openssl, options->session) == 1);
    SSL_set_connect_state(peer->openssl);
    struct buffer nothing = {0};
    go_on(peer, &nothing);
}

void tls_peer_release(struct tls_peer *peer)
{
    SSL_free(peer->openssl);
    SSL_CTX_free(peer->context);
    buffer_release(&peer->output);
    *peer = (struct tls_peer){0};
}

enum tls_peer_state tls_peer_feed(struct tls_peer *peer, struct slice records,
                                  struct buffer *plaintext)
{
    if (peer->state == PEER_FAILED)
        return peer->state;
    if (records.size > 0)
        require(BIO_write(SSL_get_rbio(peer->openssl), records.data, (int)records.size) ==
                (int)records.size);
    go_on(peer, plaintext);
    return peer->state;
}

void tls_peer_send(struct tls_peer *peer, struct slice plaintext)
{
    require(SSL_write(peer->openssl, plaintext.data, (int)plaintext.size) == (int)plaintext.size);
    take_output(peer);
}

void tls_peer_finish(struct tls_peer *peer)
{
    (void)SSL_shutdown(peer->openssl); /* said is enough, the answer may come */
    ERR_clear_error();
    take_output(peer);
}

#endif
