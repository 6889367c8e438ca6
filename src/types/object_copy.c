/* SPDX-License-Identifier: MIT */
#include "types/object_copy.h"

#include "types/parts_check.h"

#include <assert.h>

void object_copy_begin(struct object_copy *copy, const struct access *access,
                       const struct object *object)
{
    assert(object->id != 0);
    *copy = (struct object_copy){.generation = access->generation,
                                 .id = object->id,
                                 .type = object->type,
                                 .tree = TREE_PARTS};
}

static enum status copy_from(struct object_copy *copy, struct lsm_iter *iter,
                             struct object_build *build, bool *done)
{
    struct slice key = {0};
    enum status status = STATUS_OK;
    bool fits = true;
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter) && !status; lsm_iter_next(iter)) {
        key = slice_skip(lsm_iter_key(iter), OBJECT_PREFIX_BYTES);
        fits = object_build_fits(build, key, lsm_iter_value(iter));
        if (!fits)
            break;
        status = object_build_put(build, copy->tree, key, lsm_iter_value(iter));
    }
    if (!status)
        status = lsm_iter_status(iter);
    if (!fits) {
        buffer_clear(&copy->next);
        buffer_append_slice(&copy->next, key);
    }
    *done = fits;
    return status;
}

/* The rest of one tree. */
static enum status copy_tree(struct object_copy *copy, struct access *access,
                             struct object_build *build, bool *done)
{
    uint8_t prefix[OBJECT_PREFIX_BYTES], to[OBJECT_PREFIX_BYTES];
    struct buffer *from = &access->scratch_key;
    object_prefix_store(prefix, copy->generation, copy->id);
    object_prefix_store(to, copy->generation, copy->id + 1);
    buffer_clear(from);
    buffer_append(from, prefix, sizeof prefix);
    buffer_append_slice(from, buffer_slice(&copy->next));
    struct lsm_iter *iter =
        parts_iter_open(access, copy->tree, buffer_slice(from), slice_make(to, sizeof to));
    enum status status = copy_from(copy, iter, build, done);
    lsm_iter_close(iter);
    return status;
}

enum status object_copy_step(struct object_copy *copy, struct access *access,
                             struct object_build *build, bool *done)
{
    enum store_tree last = copy->type == OBJECT_STREAM ? TREE_ENTRIES : TREE_PARTS;
    enum status status = STATUS_OK;
    bool tree_is_done = true;
    while (copy->tree <= last && tree_is_done && !status) {
        status = copy_tree(copy, access, build, &tree_is_done);
        if (!status && tree_is_done) {
            copy->tree++;
            buffer_clear(&copy->next);
        }
    }
    *done = !status && tree_is_done;
    return status;
}

void object_copy_release(struct object_copy *copy)
{
    buffer_release(&copy->next);
}
