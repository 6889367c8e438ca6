/* SPDX-License-Identifier: MIT */
/* One line of the JSON protocol (port 5260): parsed, then executed with the access that it needs.
 * The session splits lines, begins and ends the access, parks and gates; this knows the protocol.
 *
 * Replies are whole lines ("{...}\n") appended to c->reply->out. c->arguments[0] is the line
 * without its end, c->count is 1, c->command is NULL. */
#ifndef COMMANDS_JSON_REQUEST_H
#define COMMANDS_JSON_REQUEST_H

#include "commands/command.h"

/* NONE: the reply is written already (an error, or auth). */
enum json_request_access { JSON_ACCESS_NONE, JSON_ACCESS_READ, JSON_ACCESS_WRITE };

/* A parsed line; reused from line to line. It may point into the line. */
struct json_request;

struct json_request *json_request_create(void);
/* After a line has run: gives the memory of a large one back. */
void json_request_end(struct json_request *request);
void json_request_destroy(struct json_request *request);
/* Parses c->arguments[0]; c->access is NULL. Without a right to be here (session_is_authenticated)
 * only auth is taken. */
enum json_request_access json_request_parse(struct json_request *request,
                                            struct command_context *c);
/* After a parse that needs access: an upper bound of the keys and values that it will write. */
size_t json_request_bytes_max(const struct json_request *request);
/* Executes with c->access; the status means what a handler's means (command.h). */
enum status json_request_run(struct json_request *request, struct command_context *c);

/* Error lines that the session itself needs. */
void json_reply_status(struct command_context *c,
                       enum status status); /* storage_full, read_only ... */
void json_reply_out_of_memory(struct command_context *c); /* a write, above maxmemory */
void json_reply_line_too_long(struct command_context *c, size_t bytes_max);
void json_reply_half_line(struct command_context *c); /* the connection ended inside a line */

#endif
