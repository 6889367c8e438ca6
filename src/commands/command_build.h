/* SPDX-License-Identifier: MIT */
/* What a write makes or reads before it takes the lock, where it may be large: the values of COPY, MOVE, RESTORE,
 * SORT STORE, BITOP, the old value that GETDEL replies.
 *
 *      handler   under the lock: small? made and linked here.
 *                large?  command_prepare -> STATUS_WOULD_BLOCK
 *      prepare   on a worker, without the lock: builds the value from a snapshot, batch by batch, or reads one
 *      handler   once more, from its start: links or replies it if all is as it was, or has it made anew
 *
 * The build lives in the context, from the first prepare to the end of the request; what was not linked by
 * then is given back. */
#ifndef COMMANDS_COMMAND_BUILD_H
#define COMMANDS_COMMAND_BUILD_H

#include "commands/command.h"
#include "types/object_build.h"

/* A large key that is written to all the time is made so often; see each command for what comes then. */
enum { COMMAND_BUILD_ATTEMPTS_MAX = 4 };

struct command_build {
    struct command_context *c;
    unsigned attempts;
    const char *error; /* why it is no use to go on: the reply; NULL: none */
    struct lsm_snapshot
        *snapshot; /* the moment that the value was read at; NULL: it was not read from the store */
    uint32_t generation; /* of the database that it was read from */
    bool is_made;        /* what follows is whole */
    size_t reply_bytes;  /* a reply that stands behind its start still; 0: none does */
    size_t source_count; /* keys that were there and were read, where there may be several */
    enum object_type type;
    struct buffer body; /* of the header, or all of a value that needs no parts made before */
    uint64_t count;     /* what the handler answers, if it is one */
    bool has_parts;     /* in what follows */
    struct object_build object;
};

/* In `prepare`: forgets an earlier attempt. Makes c->build if there is none. */
struct command_build *command_build_again(struct command_context *c);
/* Opens c->access for reading the selected database at the moment of this attempt. */
void command_build_begin_read(struct command_build *build);
/* Begins the parts: in `database`, in batches. `access` is open. */
enum status command_build_begin(struct command_build *build, struct access *access,
                                unsigned database);
/* A batch goes to the store, and the writer gives way to others where it must. A status ends the attempt;
 * build->error is the reply then, if it is set. Also object_build.full. */
enum status command_build_spill(struct command_build *build);
/* In the handler: whether the source, a key that is there in the selected database, is what and as it was
 * when it was read. */
enum status command_build_is_fresh(struct command_context *c, struct slice source, bool *fresh);
/* The rest of the value, in the batch of the handler; *object gets type, id and body. */
void command_build_link(struct command_context *c, struct object *object);
void command_build_destroy(struct command_build *build); /* NULL is fine */

#endif
