/* SPDX-License-Identifier: MIT */
/* A file system over another one that counts calls, fails chosen ones, and can hold one until told.
 * Thread-safe; settings may be changed at any time. */
#ifndef VFS_VFS_FAULT_H
#define VFS_VFS_FAULT_H

#include "vfs/vfs.h"

/* Every call of a vfs and of its files but close, which cannot fail. */
enum vfs_call {
    VFS_CALL_OPEN, VFS_CALL_READ, VFS_CALL_WRITE, VFS_CALL_SYNC, VFS_CALL_TRUNCATE, VFS_CALL_REMOVE,
    VFS_CALL_RENAME, VFS_CALL_LINK, VFS_CALL_MKDIR, VFS_CALL_SYNC_DIRECTORY, VFS_CALL_LIST,
    VFS_CALL_SIZE, VFS_CALL_EXISTS, VFS_CALL_LOCK, VFS_CALL_FREE_BYTES, VFS_CALL_RMDIR,
    VFS_CALL_COUNT
};
/* The calls that may change what is on the disk. */
enum {
    VFS_CALLS_CHANGING = 1u << VFS_CALL_OPEN | 1u << VFS_CALL_WRITE | 1u << VFS_CALL_SYNC |
                         1u << VFS_CALL_TRUNCATE | 1u << VFS_CALL_REMOVE | 1u << VFS_CALL_RENAME |
                         1u << VFS_CALL_LINK | 1u << VFS_CALL_MKDIR | 1u << VFS_CALL_SYNC_DIRECTORY |
                         1u << VFS_CALL_LOCK | 1u << VFS_CALL_RMDIR
};

/* What a call that fails has done all the same. */
enum vfs_fault_form {
    VFS_FAULT_HALF,    /* a write leaves half of its bytes, a read brings half of them;
                        * others do nothing */
    VFS_FAULT_NOTHING, /* nothing, and nothing is written or read */
    VFS_FAULT_DONE,    /* all of it: the error comes too late */
    VFS_FAULT_ENDS,    /* a read: STATUS_OK with half of its bytes, as if the file ended there;
                        * others as HALF */
};

struct vfs_fault_counters {
    uint64_t calls[VFS_CALL_COUNT];
    uint64_t bytes_read, bytes_written;
};

struct vfs *vfs_fault_create(struct vfs *below); /* does not own `below` */
void vfs_fault_counters(struct vfs *fault, struct vfs_fault_counters *counters);
/* The n-th call from now (1 = the next) of the kinds in the bit mask `calls` (1u << enum vfs_call)
 * returns `error`; with `for_good` all such later ones too. n = 0: no failure. In the form HALF, unless
 * another one is set. */
void vfs_fault_fail(struct vfs *fault, unsigned calls, uint64_t n, enum status error, bool for_good);
/* The form of the failures from now on. */
void vfs_fault_set_form(struct vfs *fault, enum vfs_fault_form form);
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
/* Files whose paths contain `path_part` are not in memory: their nowait reads get STATUS_WOULD_BLOCK,
 * the others go on. NULL: all are as they are below. */
void vfs_fault_set_cold(struct vfs *fault, const char *path_part);
/* `before` is told of every call of the kinds in the mask before it is made, in the calling thread and
 * with no lock of the fault file system held; with what is below it may do as it likes (look at what a
 * power loss would leave, say). `site` is NULL but for syncs. NULL: nobody is told. Not to be changed
 * while calls are running. */
typedef void vfs_fault_watcher(void *context, enum vfs_call call, const char *path,
                               const char *site);
void vfs_fault_watch(struct vfs *fault, unsigned calls, vfs_fault_watcher *before, void *context);
/* `told` learns of every sync of a file that fails without having been made (any form but DONE), with
 * the file below: vfs_memory_lose_unsynced makes the failure as bad as Linux does. NULL: nobody. Not to
 * be changed while calls are running. */
void vfs_fault_on_failed_sync(struct vfs *fault, void (*told)(struct vfs_file *below));
/* The canary: calls of sync and sync_directory whose site (vfs_sync_at) is this text return OK and
 * make nothing durable. NULL: none is skipped. */
void vfs_fault_skip_sync(struct vfs *fault, const char *site);
uint64_t vfs_fault_skipped_count(struct vfs *fault);
/* Every site that has synced since the creation, each once, with the count of its calls. */
void vfs_fault_sync_sites(struct vfs *fault,
                          void (*each)(void *context, const char *site, uint64_t calls),
                          void *context);

#endif
