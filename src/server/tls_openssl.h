/* SPDX-License-Identifier: MIT */
/* What tls_context.c and tls_session.c know of each other. */
#ifndef SERVER_TLS_OPENSSL_H
#define SERVER_TLS_OPENSSL_H

#include "server/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

struct tls_context {
    SSL_CTX *openssl;
    /* Counted here, not by OpenSSL, whose counters a thread sanitizer does not see. */
    atomic_uint references;
};

/* To be called before OpenSSL is asked what went wrong in a call. To forget nothing costs 250 instructions. */
static inline void tls_forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}
/* The oldest error of this thread that OpenSSL has not been asked for, as words; it forgets all of them. */
const char *tls_take_reason(void);

#endif
