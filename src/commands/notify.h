/* SPDX-License-Identifier: MIT */
/* Keyspace notifications: facts of a batch as messages of pub/sub; for src/commands alone.
 *
 * Classes are letters in CONFIG, and bits of a number inside. */
#ifndef COMMANDS_NOTIFY_H
#define COMMANDS_NOTIFY_H

#include "base/buffer.h"
#include "lsm/lsm.h"

struct access;
struct service;

/* false: a letter that is no class. */
bool notify_classes_parse(struct slice text, int64_t *classes);
/* In the order and with the abbreviation of Redis. */
void notify_classes_append(int64_t classes, struct buffer *text);

/* After a begin: which facts it is to note that hardly anybody wants to know. */
void notify_choose_facts(struct service *service, struct access *access);
/* A read has not found the key; told when the access ends. */
void notify_miss(struct service *service, struct access *access);
/* What the batch did, to whoever subscribed to it, once `lsn`, the batch's, is acknowledged. After its end;
 * the facts are still there. */
void service_notify(struct service *service, const struct access *access, lsn_t lsn);

#endif
