/* SPDX-License-Identifier: MIT */
/* The one list of results. Whatever can fail returns an enum status; 0 is OK. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#define STATUS_LIST(X)                                                                             \
    X(OK, "ok")                                                                                    \
    X(NOT_FOUND, "not found")                                                                      \
    X(WOULD_BLOCK, "not in memory; a disk read is needed")                                         \
    X(CORRUPT, "damaged data")                                                                     \
    X(IO, "input/output error")                                                                    \
    X(NO_SPACE, "no space left on the disk")                                                       \
    X(READ_ONLY, "the store accepts no writes until it is restarted")                              \
    X(EXISTS, "already exists")                                                                    \
    X(BUSY, "in use by another process")                                                           \
    X(TOO_LARGE, "larger than the limit")                                                          \
    X(INVALID, "invalid argument")                                                                 \
    X(NO_MEMORY, "out of memory")                                                                  \
    X(UNSUPPORTED, "not supported by this build or format version")                                \
    X(WRONG_TYPE, "the key holds another type")                                                    \
    X(CONFLICT, "another transaction was first")                                                   \
    X(SNAPSHOT_EXPIRED, "the snapshot is older than the limit")

enum status {
#define STATUS_ENUM(name, text) STATUS_##name,
    STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
};

/* A short lower-case text, static. */
const char *status_text(enum status status);

#endif
