/* SPDX-License-Identifier: MIT */
#include "types/object_size.h"

#include "types/encoding.h"
#include "types/list.h"
#include "types/stream.h"
#include "types/string.h"

enum {
    ELEMENT_BYTES =
        OBJECT_PREFIX_BYTES + 1 + 8 + 1, /* an element's key, and the form of its record */
    PIECE_BYTES = OBJECT_PREFIX_BYTES + 1 + 4,
};

/* The first elements or entries. */
struct sample {
    const struct object_size_options *options;
    uint64_t count, bytes;
};

/* STATUS_EXISTS: it has seen enough. */
static enum status check_sample(void *context)
{
    const struct sample *sample = context;
    if (sample->count == sample->options->samples)
        return STATUS_EXISTS;
    return sample->options->check(sample->options->context, sample->bytes);
}

static uint64_t extrapolate(const struct sample *sample, uint64_t count)
{
    if (sample->count == count)
        return sample->bytes;
    return (uint64_t)((double)sample->bytes / (double)sample->count * (double)count);
}

static void see_element(void *context, struct slice value)
{
    struct sample *sample = context;
    sample->count++;
    sample->bytes += ELEMENT_BYTES + value.size;
}

static enum status size_of_list(struct access *access, const struct object *object,
                                struct sample *sample, uint64_t *bytes)
{
    const struct list_visitor visitor = {
        .element = see_element, .context = sample, .check = check_sample};
    uint64_t length;
    enum status status = list_object_length(object, &length);
    if (!status)
        status = list_object_visit(access, object, &visitor);
    if (status && status != STATUS_EXISTS)
        return status;
    *bytes = extrapolate(sample, length);
    return STATUS_OK;
}

static enum status size_of_stream(struct access *access, struct slice key, struct sample *sample,
                                  uint64_t *bytes)
{
    struct stream stream;
    struct stream_range range;
    struct stream_entry entry;
    enum status status = stream_find(access, key, &stream);
    if (status)
        return status;
    stream_range_open(access, &stream, STREAM_ID_MIN, STREAM_ID_MAX, false, &range);
    while (!status && (status = stream_range_next(&range, &entry)) == STATUS_OK) {
        sample->count++;
        sample->bytes += STREAM_ENTRY_KEY_BYTES + (size_t)(entry.end - entry.fields);
        status = check_sample(sample);
    }
    stream_range_close(&range);
    if (status != STATUS_EXISTS && status != STATUS_NOT_FOUND)
        return status;
    *bytes = extrapolate(sample, stream.header.length);
    return STATUS_OK;
}

static enum status size_of_string(const struct object *object, uint64_t *bytes)
{
    uint64_t length;
    enum status status = string_length(object, &length);
    if (!status)
        *bytes = length + (length + STRING_PIECE_BYTES - 1) / STRING_PIECE_BYTES * PIECE_BYTES;
    return status;
}

enum status object_size(struct access *access, struct slice key, const struct object *object,
                        const struct object_size_options *options, uint64_t *bytes)
{
    struct sample sample = {.options = options};
    uint64_t header = TREE_KEY_PREFIX_BYTES + key.size + 1 + object->body.size, parts = 0;
    enum status status = STATUS_OK;
    if (object->expire_ms)
        header += EXPIRY_KEY_PREFIX_BYTES + POSITION_BYTES + key.size;
    if (object->id && object->type == OBJECT_STRING)
        status = size_of_string(object, &parts);
    else if (object->id && object->type == OBJECT_LIST)
        status = size_of_list(access, object, &sample, &parts);
    else if (object->id)
        status = size_of_stream(access, key, &sample, &parts);
    if (!status)
        *bytes = header + parts;
    return status;
}
