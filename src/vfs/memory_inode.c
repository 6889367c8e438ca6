/* SPDX-License-Identifier: MIT */
/* Files and directories in memory as what is durable, what is current, and the changes between. */
#include "vfs/memory_inode.h"

#include "base/hash.h"
#include "base/memory.h"

#include <assert.h>

/* ---- Inodes and names ---------------------------------------------------------------------- */

struct memory_inode *memory_inode_create(struct memory_vfs *memory, bool is_directory)
{
    struct memory_inode *inode = memory_zeroed(1, sizeof *inode);
    inode->id = memory->next_inode_id++;
    inode->references = 1;
    inode->is_directory = is_directory;
    return inode;
}

static char *text_copy(const char *text)
{
    return text ? memory_copy(text, strlen(text) + 1) : NULL;
}

static uint64_t name_hash(const char *name)
{
    return hash64(slice_from(name), 0);
}

struct memory_name *memory_names_find(const struct memory_names *names, const char *name)
{
    uint64_t hash = name_hash(name);
    for (size_t i = 0; i < names->count; i++) {
        if (names->list[i].hash == hash && strcmp(names->list[i].name, name) == 0)
            return &names->list[i];
    }
    return NULL;
}

static void names_remove(struct memory_names *names, const char *name)
{
    struct memory_name *found = memory_names_find(names, name);
    if (!found)
        return;
    memory_free(found->name);
    memory_inode_unref(found->inode);
    *found = names->list[--names->count];
}

void memory_names_set(struct memory_names *names, const char *name, struct memory_inode *inode)
{
    inode->references++;
    names_remove(names, name);
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? names->capacity * 2 : 8;
        names->list = memory_resize(names->list, names->capacity * sizeof *names->list);
    }
    names->list[names->count++] = (struct memory_name){text_copy(name), name_hash(name), inode};
}

void memory_names_release(struct memory_names *names)
{
    while (names->count > 0)
        names_remove(names, names->list[names->count - 1].name);
    memory_free(names->list);
}

void memory_names_apply(struct memory_names *names, const struct memory_change *change)
{
    assert(change->kind == CHANGE_NAME);
    if (change->removed)
        names_remove(names, change->removed);
    if (change->name)
        memory_names_set(names, change->name, change->inode);
}

/* ---- Bytes --------------------------------------------------------------------------------- */

void memory_data_apply(struct memory_data *data, const struct memory_change *change)
{
    assert(change->kind == CHANGE_WRITE || change->kind == CHANGE_TRUNCATE);
    if (change->kind == CHANGE_WRITE)
        memory_data_write(data, change->offset, change->bytes, change->size);
    else
        memory_data_resize(data, change->offset);
}

/* ---- Changes ------------------------------------------------------------------------------- */

struct memory_change *memory_inode_add_change(struct memory_inode *inode,
                                              enum memory_change_kind kind)
{
    if (inode->change_count == inode->change_capacity) {
        inode->change_capacity = inode->change_capacity ? inode->change_capacity * 2 : 8;
        inode->changes =
            memory_resize(inode->changes, inode->change_capacity * sizeof *inode->changes);
    }
    struct memory_change *change = &inode->changes[inode->change_count++];
    *change = (struct memory_change){.kind = kind};
    return change;
}

void memory_change_set_bytes(struct memory_change *change, const void *bytes, size_t size)
{
    change->size = size;
    change->bytes = bytes && !memory_is_zeros(bytes, size) ? memory_copy(bytes, size) : NULL;
}

void memory_directory_change(struct memory_inode *directory, const char *removed, const char *name,
                             struct memory_inode *inode)
{
    assert(directory->is_directory);
    struct memory_change *change = memory_inode_add_change(directory, CHANGE_NAME);
    change->removed = text_copy(removed);
    change->name = text_copy(name);
    change->inode = inode;
    if (inode)
        inode->references++;
    memory_names_apply(&directory->names, change);
}

static void inode_forget_changes(struct memory_inode *inode)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        struct memory_change *change = &inode->changes[i];
        memory_free(change->bytes);
        memory_free(change->removed);
        memory_free(change->name);
        if (change->inode)
            memory_inode_unref(change->inode);
    }
    inode->change_count = 0;
}

void memory_inode_sync(struct memory_inode *inode)
{
    bool has_lost = memory_inode_has_lost(inode);
    for (size_t i = 0; i < inode->change_count; i++) {
        struct memory_change *change = &inode->changes[i];
        if (inode->is_directory)
            memory_names_apply(&inode->durable_names, change);
        else if (change->state == CHANGE_UNSYNCED)
            memory_data_apply(&inode->durable_data, change);
        if (change->state == CHANGE_UNSYNCED && has_lost)
            change->state = CHANGE_SYNCED;
    }
    if (!has_lost)
        inode_forget_changes(inode);
}

void memory_inode_lose_unsynced(struct memory_inode *file)
{
    assert(!file->is_directory);
    for (size_t i = 0; i < file->change_count; i++) {
        struct memory_change *change = &file->changes[i];
        if (change->state == CHANGE_UNSYNCED && change->kind == CHANGE_WRITE)
            change->state = CHANGE_LOST;
    }
}

bool memory_inode_has_lost(const struct memory_inode *inode)
{
    size_t i = 0;
    while (i < inode->change_count && inode->changes[i].state != CHANGE_LOST)
        i++;
    return i < inode->change_count;
}

void memory_inode_unref(struct memory_inode *inode)
{
    assert(inode->references > 0);
    if (--inode->references > 0)
        return;
    inode_forget_changes(inode);
    memory_free(inode->changes);
    memory_names_release(&inode->names);
    memory_names_release(&inode->durable_names);
    memory_data_release(&inode->data);
    memory_data_release(&inode->durable_data);
    memory_free(inode);
}
