/* SPDX-License-Identifier: MIT */
/* A file system over another one that counts calls, fails chosen ones, and can hold one until told.
 * Thread-safe; settings may be changed at any time. */
#ifndef VFS_VFS_FAULT_H
#define VFS_VFS_FAULT_H

#include "vfs/vfs.h"

enum vfs_call {
    VFS_CALL_OPEN, VFS_CALL_READ, VFS_CALL_WRITE, VFS_CALL_SYNC, VFS_CALL_TRUNCATE, VFS_CALL_REMOVE,
    VFS_CALL_RENAME, VFS_CALL_LINK, VFS_CALL_MKDIR, VFS_CALL_SYNC_DIRECTORY, VFS_CALL_LIST,
    VFS_CALL_COUNT
};

struct vfs_fault_counters {
    uint64_t calls[VFS_CALL_COUNT];
    uint64_t bytes_read, bytes_written;
};

struct vfs *vfs_fault_create(struct vfs *below); /* does not own `below` */
void vfs_fault_counters(struct vfs *fault, struct vfs_fault_counters *counters);
/* The n-th call from now (1 = the next) of the kinds in the bit mask `calls` (1u << enum vfs_call)
 * returns `error`; with `for_good` all such later ones too. n = 0: no failure. A failed write may
 * leave a prefix of its bytes, a failed sync makes nothing durable. */
void vfs_fault_fail(struct vfs *fault, unsigned calls, uint64_t n, enum status error, bool for_good);
uint64_t vfs_fault_failed_count(struct vfs *fault);
/* A disk of this many bytes more: writes that extend files beyond it leave what fits and get
 * STATUS_NO_SPACE; removing and shortening files gives room back. UINT64_MAX: no limit. Holes and hard
 * links are not known: a file takes its size, once for each name. */
void vfs_fault_set_free_bytes(struct vfs *fault, uint64_t bytes);
/* Calls of the kinds in the mask on paths containing `path_part` wait until released; nowait reads
 * get STATUS_WOULD_BLOCK. vfs_fault_held_count says how many wait now. */
void vfs_fault_hold(struct vfs *fault, unsigned calls, const char *path_part);
void vfs_fault_release(struct vfs *fault);
unsigned vfs_fault_held_count(struct vfs *fault);
/* `before` is told of every call of the kinds in the mask before it is made, in the calling thread and
 * with no lock of the fault file system held; with what is below it may do as it likes (look at what a
 * power loss would leave, say). `site` is NULL but for syncs. NULL: nobody is told. Not to be changed
 * while calls are running. */
typedef void vfs_fault_watcher(void *context, enum vfs_call call, const char *path,
                               const char *site);
void vfs_fault_watch(struct vfs *fault, unsigned calls, vfs_fault_watcher *before, void *context);
/* The canary: calls of sync and sync_directory whose site (vfs_sync_at) is this text return OK and
 * make nothing durable. NULL: none is skipped. */
void vfs_fault_skip_sync(struct vfs *fault, const char *site);
uint64_t vfs_fault_skipped_count(struct vfs *fault);
/* Every site that has synced since the creation, each once, with the count of its calls. */
void vfs_fault_sync_sites(struct vfs *fault,
                          void (*each)(void *context, const char *site, uint64_t calls),
                          void *context);

#endif
