/* SPDX-License-Identifier: MIT */
/* The inside of the file system in memory, shared by vfs_memory.c (paths, files, directories) and
 * vfs_power_loss.c: inodes and directories, each with what is durable and what is not.
 *
 *   file       current bytes  = durable bytes  + changes since the last sync, in order
 *   directory  current names  = durable names  + changes since the last sync, in order
 *
 * A sync that fails makes a file's unsynced writes LOST: they are read, and no sync brings them to the
 * medium any more. From then on its list keeps what is synced, too, so that a power loss that keeps
 * some of a lost write (the failed sync may have got so far) finds what was written over it later:
 *
 *   write A    write B    failed sync      write over B    sync        write C
 *   unsynced   unsynced   A, B are lost    unsynced        synced      unsynced
 *
 * Durable bytes hold what is synced, whether it is in the list or not.
 *
 * One mutex a file system guards everything below it. Inodes are counted, since names, changes and
 * open files share them. */
#ifndef VFS_MEMORY_INODE_H
#define VFS_MEMORY_INODE_H

#include "vfs/memory_data.h"
#include "vfs/vfs.h"

#include <pthread.h>

struct memory_inode;

/* Names of a directory; in no order. A name's inode is referenced. */
struct memory_name {
    char *name;
    uint64_t hash; /* of the name: directories of thousands of segments are searched quickly */
    struct memory_inode *inode;
};
struct memory_names {
    struct memory_name *list;
    size_t count, capacity;
};

enum memory_change_kind {
    CHANGE_WRITE,    /* offset, bytes */
    CHANGE_TRUNCATE, /* offset = the new size */
    CHANGE_NAME,     /* `removed` goes (if not NULL), then `name` means `inode` (if not NULL) */
};
enum memory_change_state { CHANGE_UNSYNCED, CHANGE_LOST, CHANGE_SYNCED };
struct memory_change {
    enum memory_change_kind kind;
    enum memory_change_state state; /* of a file's; of names always UNSYNCED */
    uint64_t offset;
    uint8_t *bytes; /* owned; NULL: zeros */
    size_t size;
    char *removed, *name;
    struct memory_inode *inode;
};

struct memory_inode {
    uint64_t id; /* in order of creation, so that a seed decides the same in every run */
    unsigned references;
    bool is_directory, is_locked;
    struct memory_data data, durable_data;    /* of a file */
    struct memory_names names, durable_names; /* of a directory */
    struct memory_change *changes;
    size_t change_count, change_capacity;
};

struct memory_vfs {
    struct vfs base;
    pthread_mutex_t mutex; /* guards all inodes and the fields below */
    struct memory_inode *root;
    uint64_t next_inode_id;
    uint64_t sync_count;
    unsigned open_count;
};

/* With one reference, the caller's. */
struct memory_inode *memory_inode_create(struct memory_vfs *memory, bool is_directory);
void memory_inode_unref(struct memory_inode *inode);
/* A change to fill in, of the kinds WRITE and TRUNCATE; the caller applies it to the current bytes.
 */
struct memory_change *memory_inode_add_change(struct memory_inode *inode,
                                              enum memory_change_kind kind);
void memory_change_set_bytes(struct memory_change *change, const void *bytes, size_t size);
/* `removed` goes and `name` means `inode`, as one change; each may be NULL. */
void memory_directory_change(struct memory_inode *directory, const char *removed, const char *name,
                             struct memory_inode *inode);
/* What is current is durable, but for what is lost. */
void memory_inode_sync(struct memory_inode *inode);
/* A sync of the file has failed: its unsynced writes are lost. New sizes are not: they are the
 * journal's, and a file system whose journal cannot be written takes no later sync. */
void memory_inode_lose_unsynced(struct memory_inode *file);
bool memory_inode_has_lost(const struct memory_inode *inode);

struct memory_name *memory_names_find(const struct memory_names *names, const char *name);
void memory_names_set(struct memory_names *names, const char *name, struct memory_inode *inode);
void memory_names_apply(struct memory_names *names, const struct memory_change *change);
void memory_names_release(struct memory_names *names);

void memory_data_apply(struct memory_data *data, const struct memory_change *change);

#endif
