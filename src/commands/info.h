/* SPDX-License-Identifier: MIT */
/* The text of INFO, for whoever shows its figures in another form. */
#ifndef COMMANDS_INFO_H
#define COMMANDS_INFO_H

#include "base/buffer.h"
#include "base/status.h"

struct access;
struct service;

/* Appends all sections as INFO EVERYTHING has them: lines "name:value\r\n", titles "# Stats", empty lines. `access`
 * is open for reading; its database is another one afterwards. STATUS_WOULD_BLOCK, _IO, _CORRUPT: *out is
 * incomplete. */
enum status info_append_everything(struct service *service, struct access *access,
                                   struct buffer *out);

#endif
