/* SPDX-License-Identifier: MIT */
/* Statuses, buffers and option structs as they cross the border of the library. */
#include "lib/library.h"

#include "base/memory.h"
#include "base/release.h"
#include "types/entry_codec.h"

#include <stdio.h>

/* The engine's names and the public numbers; texts are the engine's. */
#define STATUSES(X)                                                                       \
    X(OK)                                                                                 \
    X(NOT_FOUND)                                                                          \
    X(CONFLICT)                                                                           \
    X(INVALID)                                                                            \
    X(TOO_LARGE) X(NO_MEMORY) X(NO_SPACE) X(IO) X(CORRUPT) X(READ_ONLY) X(BUSY) X(EXISTS) \
        X(UNSUPPORTED) X(WRONG_TYPE) X(SNAPSHOT_EXPIRED)

enum cordwood_status library_status(enum status status)
{
    switch (status) {
#define TO_PUBLIC(name) \
    case STATUS_##name: \
        return CORDWOOD_##name;
        STATUSES(TO_PUBLIC)
#undef TO_PUBLIC
    case STATUS_WOULD_BLOCK: /* no reader of the library asks for it */
        break;
    }
    return CORDWOOD_IO;
}

const char *cordwood_status_text(enum cordwood_status status)
{
    switch (status) {
#define TEXT(name)        \
    case CORDWOOD_##name: \
        return status_text(STATUS_##name);
        STATUSES(TEXT)
#undef TEXT
    }
    return "unknown status";
}

const char *cordwood_version(void)
{
    return CORDWOOD_VERSION;
}

void library_error(struct cordwood_error *error, const struct lsm_report *report)
{
    if (error)
        snprintf(error->text, sizeof(error->text), "%s", report->text);
}

const struct block_codec *const library_codecs[] = {&entry_codec, NULL};

/* ---- Buffers ------------------------------------------------------------------------------- */

void cordwood_buffer_release(struct cordwood_buffer *buffer)
{
    memory_free(buffer->data);
    *buffer = (struct cordwood_buffer){0};
}

enum status library_copy_out(struct slice value, struct cordwood_buffer *buffer)
{
    if (value.size > buffer->capacity) {
        void *data = memory_try_resize(buffer->data, value.size);
        if (!data)
            return STATUS_NO_MEMORY;
        buffer->data = data;
        buffer->capacity = value.size;
    }
    if (value.size)
        memcpy(buffer->data, value.data, value.size);
    buffer->size = value.size;
    return STATUS_OK;
}

/* ---- Options ------------------------------------------------------------------------------- */

bool library_take_struct(void *taken, size_t taken_bytes, const void *given)
{
    size_t given_bytes;
    if (!given)
        return true;
    memcpy(&given_bytes, given, sizeof(given_bytes));
    if (given_bytes < sizeof(given_bytes) || given_bytes > taken_bytes)
        return false;
    memcpy(taken, given, given_bytes);
    return true;
}

static bool are_trees_valid(const struct cordwood_options *options)
{
    if (options->tree_count > CORDWOOD_TREES_MAX || (options->tree_count && !options->trees))
        return false;
    for (unsigned i = 0; i < options->tree_count; i++) {
        const char *name = options->trees[i].name;
        if (!name || !name[0] || strlen(name) > CORDWOOD_TREE_NAME_BYTES_MAX ||
            options->trees[i].block_bytes > 1 << 20)
            return false;
        for (unsigned other = 0; other < i; other++)
            if (strcmp(options->trees[other].name, name) == 0)
                return false;
    }
    return true;
}

enum lsm_compression library_cold_compression(const struct cordwood_options *options)
{
    return options->cold_compression == CORDWOOD_ZSTD ? LSM_ZSTD : LSM_LZ4;
}

bool library_take_options(const struct cordwood_options *given, struct cordwood_options *options)
{
    *options = (struct cordwood_options)CORDWOOD_OPTIONS;
    if (!library_take_struct(options, sizeof(*options), given))
        return false;
    if (!options->sync_interval_ms)
        options->sync_interval_ms = 1000;
    if (!options->memtable_bytes)
        options->memtable_bytes = 64 << 20;
    if (!options->log_segment_bytes)
        options->log_segment_bytes = 32 << 20;
    if (!options->batch_bytes_max)
        options->batch_bytes_max = 64 << 20;
    return (unsigned)options->durability <= CORDWOOD_SYNC_NONE &&
           (unsigned)options->cold_compression <= CORDWOOD_ZSTD &&
           options->background_threads <= CORDWOOD_THREADS_MAX &&
           options->log_segment_bytes >= 64 << 10 && options->log_segment_bytes <= 1 << 30 &&
           options->batch_bytes_max <= CORDWOOD_BATCH_BYTES_MAX && are_trees_valid(options);
}
