/* SPDX-License-Identifier: MIT */
/* A file system in memory that can lose power. Every byte and directory entry is either synced or
 * not; a power loss keeps the synced ones and, by seed and mode, drops, tears (512-byte sectors) or
 * reorders the others.
 *
 * A sync that fails leaves a third kind, as Linux does: bytes that are read, but count as written, so
 * that no later sync writes them; only writing them again does. The failed sync itself may have brought
 * any of them to the medium. */
#ifndef VFS_VFS_MEMORY_H
#define VFS_VFS_MEMORY_H

#include "vfs/vfs.h"

enum vfs_power_loss {
    VFS_LOSE_UNSYNCED,  /* everything unsynced is gone, names too, and what a failed sync has lost */
    VFS_KEEP_ALL,       /* nothing is gone: a kill -9; what was not synced is not synced then either,
                         * and what a failed sync has lost is still read and still lost */
    VFS_TEAR,           /* of each unsynced write any subset of its 512-byte sectors survives */
    VFS_REORDER,        /* whole unsynced writes survive or not, each by itself */
};

struct vfs *vfs_memory_create(void);
/* What a machine finds after power loss now: a new, independent file system. Open files of the old
 * one are not touched. */
struct vfs *vfs_memory_after_power_loss(struct vfs *memory, enum vfs_power_loss mode, uint64_t seed);
/* Syncs (file and directory) done so far: the crash points of a run. */
uint64_t vfs_memory_sync_count(struct vfs *memory);
/* Files that are open now. */
unsigned vfs_memory_open_count(struct vfs *memory);
/* A sync of this file (of a file system in memory) has failed: what was written since the last one is
 * lost unless it is written again. New sizes (vfs_truncate) are not lost, nor are directories' entries:
 * both are the journal's, and a file system that cannot write its journal takes no later sync. For
 * vfs_fault_on_failed_sync. */
void vfs_memory_lose_unsynced(struct vfs_file *file);
/* Bytes written to the file since its last sync: what the next one has to bring to the medium. 0: no
 * such file. */
uint64_t vfs_memory_unsynced_bytes(struct vfs *memory, const char *path);
/* For tests: flips bits of one stored byte. */
enum status vfs_memory_flip(struct vfs *memory, const char *path, uint64_t offset, uint8_t mask);

#endif
