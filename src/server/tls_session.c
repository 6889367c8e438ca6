/* SPDX-License-Identifier: MIT */
/* OpenSSL reads and writes through a BIO of ours: it takes from the bytes of the call that runs, and appends to the
 * output. Nothing is copied into a BIO's memory on the way, and OpenSSL has taken all that came when it asks for
 * more: what it keeps of a record that is not complete lies in its own buffer, which has room for one. */
#include "server/tls.h"

#ifdef CORDWOOD_TLS

#include "base/memory.h"
#include "server/tls_openssl.h"

#include <assert.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>

enum { RECORD_OVERHEAD_BYTES = 64 }; /* roughly: header, nonce, tag, padding */

struct tls_session {
    struct tls_context *context;
    SSL *openssl;
    struct slice input; /* of tls_session_feed: what OpenSSL has not taken yet */
    struct buffer output;
    size_t handshake_bytes; /* taken from the input before it was open */
    enum tls_state state;
    bool was_open, is_too_long;
    char failure[TLS_FAILURE_BYTES];
};

/* ---- The BIO ----------------------------------------------------------------------------------- */

static int read_input(BIO *bio, char *data, size_t capacity, size_t *taken)
{
    struct tls_session *session = BIO_get_data(bio);
    size_t size = session->input.size < capacity ? session->input.size : capacity;
    BIO_clear_retry_flags(bio);
    if (size == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    if (!session->was_open && !SSL_is_init_finished(session->openssl)) {
        if (session->handshake_bytes + size > TLS_HANDSHAKE_BYTES_MAX) {
            session->is_too_long = true;
            return 0; /* an end, for OpenSSL */
        }
        session->handshake_bytes += size;
    }
    memcpy(data, session->input.data, size);
    session->input = slice_skip(session->input, size);
    *taken = size;
    return 1;
}

static int append_output(BIO *bio, const char *data, size_t size, size_t *taken)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buffer_append(&session->output, data, size);
    *taken = size;
    return 1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* there is nothing to do, and it is done */
}

static BIO_METHOD *method; /* NULL: there was no memory for it */

/* What is made here lives as long as the program. */
static void make_method(void)
{
    method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "cordwood");
    if (!method)
        return;
    BIO_meth_set_read_ex(method, read_input);
    BIO_meth_set_write_ex(method, append_output);
    BIO_meth_set_ctrl(method, control);
}

/* ---- Life -------------------------------------------------------------------------------------- */

struct tls_session *tls_session_create(struct tls_context *context)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    tls_forget_errors();
    SSL *openssl = SSL_new(context->openssl);
    BIO *bio = method && openssl ? BIO_new(method) : NULL;
    if (!bio) {
        SSL_free(openssl);
        tls_forget_errors();
        return NULL;
    }
    struct tls_session *session = memory_zeroed(1, sizeof(*session));
    session->context = tls_context_ref(context);
    session->openssl = openssl;
    session->state = TLS_HANDSHAKE;
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(openssl, bio, bio);
    SSL_set_accept_state(openssl);
    return session;
}

void tls_session_destroy(struct tls_session *session)
{
    if (!session)
        return;
    SSL_free(session->openssl);
    tls_context_unref(session->context);
    buffer_release(&session->output);
    memory_free(session);
}

enum tls_state tls_session_state(const struct tls_session *session)
{
    return session->state;
}

bool tls_session_was_open(const struct tls_session *session)
{
    return session->was_open;
}

struct buffer *tls_session_output(struct tls_session *session)
{
    return &session->output;
}

const char *tls_session_failure(const struct tls_session *session)
{
    return session->failure;
}

/* ---- Bytes ------------------------------------------------------------------------------------- */

static enum tls_state fail(struct tls_session *session)
{
    session->state = TLS_FAILED;
    unsigned long error = ERR_peek_error();
    long verdict = SSL_get_verify_result(session->openssl);
    const char *reason = tls_take_reason();
    if (session->is_too_long)
        snprintf(session->failure, sizeof(session->failure),
                 "its handshake is longer than %d bytes", TLS_HANDSHAKE_BYTES_MAX);
    else if (error == 0 && !session->was_open)
        snprintf(session->failure, sizeof(session->failure), "the client has ended its handshake");
    else if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
             ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        snprintf(session->failure, sizeof(session->failure),
                 "the client's certificate is refused: %s", X509_verify_cert_error_string(verdict));
    else if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
             ERR_GET_REASON(error) == SSL_R_WRONG_VERSION_NUMBER && !session->was_open)
        snprintf(session->failure, sizeof(session->failure), "the client does not speak TLS (%s)",
                 reason);
    else
        snprintf(session->failure, sizeof(session->failure), "%s", reason);
    return TLS_FAILED;
}

enum tls_state tls_session_feed(struct tls_session *session, struct slice records,
                                struct buffer *plaintext)
{
    if (session->state == TLS_FAILED || session->state == TLS_ENDED)
        return session->state;
    session->input = records;
    tls_forget_errors();
    size_t size = 0;
    int error = SSL_ERROR_WANT_READ;
    /* OpenSSL takes one record at a time: nothing more is to be had when it has taken all. */
    while (session->input.size > 0 || SSL_pending(session->openssl) > 0) {
        buffer_reserve(plaintext, TLS_RECORD_BYTES_MAX);
        if (SSL_read_ex(session->openssl, plaintext->data + plaintext->size, TLS_RECORD_BYTES_MAX,
                        &size) == 1) {
            plaintext->size += size;
            continue;
        }
        error = SSL_get_error(session->openssl, 0);
        if (error != SSL_ERROR_WANT_READ)
            break;
        assert(session->input.size == 0);
    }
    session->was_open |= SSL_is_init_finished(session->openssl) == 1;
    session->input = slice_make(NULL, 0);
    if (error == SSL_ERROR_WANT_READ)
        return session->state = session->was_open ? TLS_OPEN : TLS_HANDSHAKE;
    if (error == SSL_ERROR_ZERO_RETURN && session->was_open)
        return session->state = TLS_ENDED;
    return fail(session);
}

bool tls_session_send(struct tls_session *session, struct slice plaintext)
{
    assert(session->state == TLS_OPEN || session->state == TLS_ENDED);
    assert(plaintext.size > 0);
    size_t records = plaintext.size / TLS_RECORD_BYTES_MAX + 1, sent = 0;
    buffer_reserve(&session->output, plaintext.size + records * RECORD_OVERHEAD_BYTES);
    tls_forget_errors();
    if (SSL_write_ex(session->openssl, plaintext.data, plaintext.size, &sent) != 1) {
        /* No memory; or the peer has sent a part of a message that changes keys, which OpenSSL wants to see the rest
         * of first. No client cuts those 5 bytes. */
        fail(session);
        return false;
    }
    assert(sent == plaintext.size);
    return true;
}

void tls_session_finish(struct tls_session *session)
{
    if (session->state != TLS_OPEN && session->state != TLS_ENDED)
        return;
    tls_forget_errors();
    if (!(SSL_get_shutdown(session->openssl) & SSL_SENT_SHUTDOWN))
        (void)SSL_shutdown(session->openssl); /* whether it is said or not, the connection closes */
    tls_forget_errors();
}

#else

#include <assert.h>
#include <stddef.h>

/* No session is ever made: there is no context to make one of. */

struct tls_session *tls_session_create(struct tls_context *context)
{
    (void)context;
    return NULL;
}

void tls_session_destroy(struct tls_session *session)
{
    assert(!session);
    (void)session;
}

enum tls_state tls_session_state(const struct tls_session *session)
{
    (void)session;
    return TLS_FAILED;
}

bool tls_session_was_open(const struct tls_session *session)
{
    (void)session;
    return false;
}

enum tls_state tls_session_feed(struct tls_session *session, struct slice records,
                                struct buffer *plaintext)
{
    (void)session;
    (void)records;
    (void)plaintext;
    return TLS_FAILED;
}

bool tls_session_send(struct tls_session *session, struct slice plaintext)
{
    (void)session;
    (void)plaintext;
    return false;
}

void tls_session_finish(struct tls_session *session)
{
    (void)session;
}

struct buffer *tls_session_output(struct tls_session *session)
{
    (void)session;
    return NULL;
}

const char *tls_session_failure(const struct tls_session *session)
{
    (void)session;
    return "";
}

#endif
