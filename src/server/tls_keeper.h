/* SPDX-License-Identifier: MIT */
/* The TLS context that new connections get: made from the configuration at the start, and anew when CONFIG SET
 * changes it, or names a file again that was renewed. Connections that are there keep theirs. */
#ifndef SERVER_TLS_KEEPER_H
#define SERVER_TLS_KEEPER_H

#include "commands/config.h"
#include "server/tls.h"

struct tls_keeper;

/* Reads the configuration and its files. NULL: *error gets a sentence. */
struct tls_keeper *tls_keeper_create(struct config *config, struct buffer *error);
void tls_keeper_destroy(struct tls_keeper *keeper); /* NULL is fine */
/* Any thread. The same again; false: *error gets a sentence, and the context stays what it was. */
bool tls_keeper_renew(struct tls_keeper *keeper, struct buffer *error);
/* Any thread: the server's side of a new connection. NULL: no memory. */
struct tls_session *tls_keeper_meet(struct tls_keeper *keeper);

#endif
