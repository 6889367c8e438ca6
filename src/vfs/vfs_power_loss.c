/* SPDX-License-Identifier: MIT */
/* What a machine finds after its power was lost: a new file system in memory, made of the durable
 * side of the old one and of those unsynced changes that the mode and the seed let survive. A
 * rename within a directory survives whole or not at all; one between two directories is a change
 * of each. */
#include "vfs/vfs_memory.h"

#include "base/memory.h"
#include "base/random.h"
#include "vfs/memory_inode.h"

#include <assert.h>

enum { SECTOR_BYTES = 512 };

/* Which inode of the old file system became which of the new one: hard links stay links. */
struct power_loss {
    enum vfs_power_loss mode;
    uint64_t seed;
    struct memory_vfs *after;
    struct {
        const struct memory_inode *old;
        struct memory_inode *new;
    } * copies;
    size_t copy_count;
};

/* The same choices for an inode whatever else there is. */
static void power_loss_random(const struct power_loss *loss, const struct memory_inode *inode,
                              struct random *random)
{
    random_init(random, loss->seed * 0x9e3779b97f4a7c15u + inode->id);
}

static bool power_loss_survives(const struct power_loss *loss, enum memory_change_state state,
                                struct random *random)
{
    if (state == CHANGE_SYNCED)
        return true;
    switch (loss->mode) {
    case VFS_LOSE_UNSYNCED:
        return false;
    case VFS_KEEP_ALL:
        return true;
    case VFS_TEAR:
    case VFS_REORDER:
        break;
    }
    return random_below(random, 2) == 1;
}

static uint64_t data_sector_count(const struct memory_inode *file)
{
    uint64_t end = 0;
    for (size_t i = 0; i < file->change_count; i++) {
        uint64_t change_end = file->changes[i].offset + file->changes[i].size;
        end = change_end > end ? change_end : end;
    }
    return end / SECTOR_BYTES + 1;
}

/* A device writes whole sectors as the cache holds them at that moment: each sector is found as it
 * was after some number of the writes in this state that touch it. Returns that number for each. */
static uint32_t *tear_sectors(const struct memory_inode *file, enum memory_change_state state,
                              uint64_t sector_count, struct random *random)
{
    uint32_t *left = memory_zeroed(sector_count, sizeof *left);
    for (size_t i = 0; i < file->change_count; i++) {
        const struct memory_change *change = &file->changes[i];
        if (change->state != state)
            continue;
        uint64_t end = change->offset + change->size;
        for (uint64_t at = change->offset; at < end; at = (at / SECTOR_BYTES + 1) * SECTOR_BYTES)
            left[at / SECTOR_BYTES]++;
    }
    for (uint64_t s = 0; s < sector_count; s++)
        left[s] = (uint32_t)random_below(random, left[s] + 1u);
    return left;
}

/* Applies the write to those of its sectors that have some left; to all if `left` is NULL. */
static void tear_write(const struct memory_change *change, uint32_t *left, struct memory_data *data)
{
    uint64_t end = change->offset + change->size, next;
    for (uint64_t at = change->offset; at < end; at = next) {
        next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
        next = next < end ? next : end;
        if (left && left[at / SECTOR_BYTES] == 0)
            continue;
        if (left)
            left[at / SECTOR_BYTES]--;
        memory_data_write(data, at, change->bytes ? change->bytes + (at - change->offset) : NULL,
                          (size_t)(next - at));
    }
}

static void power_loss_tear(const struct power_loss *loss, const struct memory_inode *file,
                            struct random *random, struct memory_data *data)
{
    uint64_t sector_count = data_sector_count(file);
    uint32_t *unsynced = tear_sectors(file, CHANGE_UNSYNCED, sector_count, random), *lost = NULL;
    if (memory_inode_has_lost(file))
        lost = tear_sectors(file, CHANGE_LOST, sector_count, random);
    for (size_t i = 0; i < file->change_count; i++) {
        const struct memory_change *change = &file->changes[i];
        if (change->kind == CHANGE_WRITE)
            tear_write(change,
                       change->state == CHANGE_UNSYNCED ? unsynced
                       : change->state == CHANGE_LOST   ? lost
                                                        : NULL,
                       data);
        else if (power_loss_survives(loss, change->state, random))
            memory_data_resize(data, change->offset);
    }
    memory_free(unsynced);
    memory_free(lost);
}

static void power_loss_file(const struct power_loss *loss, const struct memory_inode *old,
                            struct memory_data *data)
{
    struct random random;
    power_loss_random(loss, old, &random);
    memory_data_copy(&old->durable_data, data);
    if (loss->mode == VFS_TEAR) {
        power_loss_tear(loss, old, &random, data);
    } else {
        for (size_t i = 0; i < old->change_count; i++) {
            if (power_loss_survives(loss, old->changes[i].state, &random))
                memory_data_apply(data, &old->changes[i]);
        }
    }
    /* The size may have reached the medium without the bytes; then zeros stand there. */
    if (data->size < old->data.size && power_loss_survives(loss, CHANGE_UNSYNCED, &random))
        memory_data_resize(data, old->data.size);
}

static struct memory_inode *power_loss_copy(struct power_loss *loss,
                                            const struct memory_inode *old);

static void power_loss_directory(struct power_loss *loss, const struct memory_inode *old,
                                 struct memory_names *names)
{
    struct memory_names survivors = {0};
    struct random random;
    power_loss_random(loss, old, &random);
    for (size_t i = 0; i < old->durable_names.count; i++)
        memory_names_set(&survivors, old->durable_names.list[i].name,
                         old->durable_names.list[i].inode);
    for (size_t i = 0; i < old->change_count; i++) {
        if (power_loss_survives(loss, CHANGE_UNSYNCED, &random))
            memory_names_apply(&survivors, &old->changes[i]);
    }
    for (size_t i = 0; i < survivors.count; i++)
        memory_names_set(names, survivors.list[i].name,
                         power_loss_copy(loss, survivors.list[i].inode));
    memory_names_release(&survivors);
}

static void names_copy(const struct memory_names *from, struct memory_names *to)
{
    for (size_t i = 0; i < from->count; i++)
        memory_names_set(to, from->list[i].name, from->list[i].inode);
}

static void copy_names(struct power_loss *loss, const struct memory_names *from,
                       struct memory_names *to)
{
    for (size_t i = 0; i < from->count; i++)
        memory_names_set(to, from->list[i].name, power_loss_copy(loss, from->list[i].inode));
}

/* After a kill the system goes on: what was not synced is there, and still not synced. */
static void copy_after_kill(struct power_loss *loss, const struct memory_inode *old,
                            struct memory_inode *new)
{
    copy_names(loss, &old->durable_names, &new->names);
    copy_names(loss, &old->durable_names, &new->durable_names);
    memory_data_copy(&old->data, &new->data);
    memory_data_copy(&old->durable_data, &new->durable_data);
    for (size_t i = 0; i < old->change_count; i++) {
        const struct memory_change *change = &old->changes[i];
        if (change->kind == CHANGE_NAME) {
            memory_directory_change(new, change->removed, change->name,
                                    change->inode ? power_loss_copy(loss, change->inode) : NULL);
            continue;
        }
        struct memory_change *copied = memory_inode_add_change(new, change->kind);
        copied->state = change->state;
        copied->offset = change->offset;
        memory_change_set_bytes(copied, change->bytes, change->size);
    }
}

/* The new inode belongs to loss->copies; names and changes add their own references. */
static struct memory_inode *power_loss_copy(struct power_loss *loss, const struct memory_inode *old)
{
    for (size_t i = 0; i < loss->copy_count; i++) {
        if (loss->copies[i].old == old)
            return loss->copies[i].new;
    }
    struct memory_inode *new = memory_inode_create(loss->after, old->is_directory);
    loss->copies = memory_resize(loss->copies, (loss->copy_count + 1) * sizeof *loss->copies);
    loss->copies[loss->copy_count].old = old;
    loss->copies[loss->copy_count].new = new;
    loss->copy_count++;
    if (loss->mode == VFS_KEEP_ALL) {
        copy_after_kill(loss, old, new);
    } else if (old->is_directory) {
        power_loss_directory(loss, old, &new->names);
        names_copy(&new->names, &new->durable_names);
    } else {
        power_loss_file(loss, old, &new->data);
        memory_data_copy(&new->data, &new->durable_data);
    }
    return new;
}

struct vfs *vfs_memory_after_power_loss(struct vfs *vfs, enum vfs_power_loss mode, uint64_t seed)
{
    struct memory_vfs *before = (struct memory_vfs *)vfs;
    struct memory_vfs *after = (struct memory_vfs *)vfs_memory_create();
    struct power_loss loss = {.mode = mode, .seed = seed, .after = after};
    memory_inode_unref(after->root);
    pthread_mutex_lock(&before->mutex);
    after->root = power_loss_copy(&loss, before->root);
    pthread_mutex_unlock(&before->mutex);
    for (size_t i = 0; i < loss.copy_count; i++) {
        if (loss.copies[i].new != after->root)
            memory_inode_unref(loss.copies[i].new); /* names hold it now */
    }
    memory_free(loss.copies);
    return &after->base;
}
