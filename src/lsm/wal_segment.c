/* SPDX-License-Identifier: MIT */
/* Segment files of the WAL. The header fills a page of its own, so that rewriting it when a segment
 * is recycled never shares a sector with a frame:
 *
 *   0        4              12        16         24     32              40      48
 *   | crc32c | "CORDWAL\n"  | version | store id | base | segment bytes | epoch | zeros to 4096 |
 *
 * The checksum is masked and covers the rest of the page. */
#include "lsm/wal_segment.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "lsm/wal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    HEADER_VERSION = 1,
    /* Written at once when a segment is filled. The page cache keeps a file in the pieces in which it was
     * written; a small write into a large one is slow, since the file system looks at all of its blocks. */
    ZERO_BYTES = 64 << 10,
    NAME_DIGITS = 16,
};

static const char MAGIC[8] = "CORDWAL\n";

void wal_segment_path(const char *directory, lsn_t base, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/%016" PRIx64 ".wal", directory, base);
    assert(length > 0 && (size_t)length < size);
    (void)length;
}

void wal_header_encode(uint8_t *at, const struct wal_header *header)
{
    assert(header->base > 0);
    assert(header->epoch > 0 && header->epoch <= UINT32_MAX);
    memset(at, 0, WAL_HEADER_BYTES);
    memcpy(at + 4, MAGIC, sizeof(MAGIC));
    le32_store(at + 12, HEADER_VERSION);
    le64_store(at + 16, header->store_id);
    le64_store(at + 24, header->base);
    le64_store(at + 32, header->segment_bytes);
    le64_store(at + 40, header->epoch);
    le32_store(at, crc32c_mask(crc32c(at + 4, WAL_HEADER_BYTES - 4)));
}

enum status wal_header_decode(const uint8_t *at, struct wal_header *header)
{
    if (crc32c_mask(crc32c(at + 4, WAL_HEADER_BYTES - 4)) != le32_load(at) ||
        memcmp(at + 4, MAGIC, sizeof(MAGIC)) != 0)
        return STATUS_CORRUPT;
    if (le32_load(at + 12) != HEADER_VERSION)
        return STATUS_UNSUPPORTED;
    struct wal_header found = {
        .store_id = le64_load(at + 16),
        .base = le64_load(at + 24),
        .segment_bytes = le64_load(at + 32),
        .epoch = le64_load(at + 40),
    };
    if (found.base == 0 || found.base > UINT64_MAX - WAL_SEGMENT_BYTES_MAX ||
        found.segment_bytes < WAL_SEGMENT_BYTES_MIN ||
        found.segment_bytes > WAL_SEGMENT_BYTES_MAX || found.epoch == 0 || found.epoch > UINT32_MAX)
        return STATUS_CORRUPT;
    *header = found;
    return STATUS_OK;
}

enum status wal_header_read(struct vfs_file *file, lsn_t base, uint64_t store_id,
                            struct wal_header *header, const char **why)
{
    uint8_t page[WAL_HEADER_BYTES];
    struct wal_header found;
    uint64_t file_bytes = 0;
    enum status status = vfs_read_exactly(file, 0, page, sizeof(page), false);
    if (status == STATUS_CORRUPT)
        *why = "the file ends within its header";
    if (status == STATUS_OK) {
        status = wal_header_decode(page, &found);
        *why = status == STATUS_UNSUPPORTED ? "its format is of a later version"
                                            : "its header is damaged";
    }
    if (status == STATUS_OK)
        status = vfs_size(file, &file_bytes);
    if (status != STATUS_OK)
        return status;
    if (found.base != base)
        *why = "its header states another base LSN than its name";
    else if (found.store_id != store_id)
        *why = "it belongs to another store";
    else if (file_bytes < found.segment_bytes)
        *why = "the file is shorter than its header states";
    else {
        *header = found;
        return STATUS_OK;
    }
    return STATUS_CORRUPT;
}

struct base_list {
    lsn_t *bases;
    size_t count, capacity;
};

static bool parse_name(const char *name, lsn_t *base)
{
    lsn_t value = 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (lsn_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (lsn_t)(c - 'a' + 10);
        else
            return false;
    }
    *base = value;
    return value > 0 && strcmp(name + NAME_DIGITS, ".wal") == 0;
}

static void collect_base(void *context, const char *name)
{
    struct base_list *list = context;
    lsn_t base;
    if (!parse_name(name, &base))
        return;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 16;
        list->bases = memory_resize(list->bases, list->capacity * sizeof(*list->bases));
    }
    list->bases[list->count++] = base;
}

static int compare_bases(const void *a, const void *b)
{
    lsn_t x = *(const lsn_t *)a, y = *(const lsn_t *)b;
    return (x > y) - (x < y);
}

enum status wal_segment_list(const struct env *env, const char *directory, lsn_t **bases,
                             size_t *count)
{
    struct base_list list = {0};
    enum status status = env->vfs->ops->list(env->vfs, directory, collect_base, &list);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        memory_free(list.bases);
        return status;
    }
    if (list.count)
        qsort(list.bases, list.count, sizeof(*list.bases), compare_bases);
    *bases = list.bases;
    *count = list.count;
    return STATUS_OK;
}

static enum status write_header(struct wal_segment *segment)
{
    uint8_t page[WAL_HEADER_BYTES];
    wal_header_encode(page, &segment->header);
    return vfs_write_at(segment->file, 0, page, sizeof(page));
}

enum status wal_segment_fill(struct vfs_file *file, uint64_t from, uint64_t to)
{
    enum status status = STATUS_OK;
    size_t chunk = to - from < ZERO_BYTES ? (size_t)(to - from) : ZERO_BYTES;
    uint8_t *zeros = memory_zeroed(1, chunk ? chunk : 1);
    while (status == STATUS_OK && from < to) {
        size_t size = to - from < chunk ? (size_t)(to - from) : chunk;
        status = vfs_write_at(file, from, zeros, size);
        from += size;
    }
    memory_free(zeros);
    return status;
}

enum status wal_segment_create(const struct env *env, const char *directory,
                               const struct wal_header *header, struct wal_segment **segment)
{
    char path[WAL_SEGMENT_PATH_MAX], new_path[WAL_SEGMENT_PATH_MAX + 4];
    wal_segment_path(directory, header->base, path, sizeof(path));
    snprintf(new_path, sizeof(new_path), "%s.tmp", path);
    struct vfs_file *file = NULL;
    enum status status = vfs_open(env->vfs, new_path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &file);
    if (status != STATUS_OK)
        return status;
    struct wal_segment *made = memory_zeroed(1, sizeof(*made));
    made->header = *header;
    made->file = file;
    status = write_header(made);
    if (status == STATUS_OK)
        status = wal_segment_fill(file, WAL_HEADER_BYTES, header->segment_bytes);
    if (status == STATUS_OK)
        status = vfs_sync_at(file, "wal_segment.create");
    /* A file of the right name with a sound header is whole, on the medium too. */
    if (status == STATUS_OK)
        status = vfs_rename(env->vfs, new_path, path);
    if (status == STATUS_OK)
        status = vfs_sync_directory_at(env->vfs, directory, "wal_segment.create_name");
    if (status != STATUS_OK) {
        wal_segment_close(made);
        /* The first error is the one to tell; a leftover is removed at the next open. */
        (void)vfs_remove(env->vfs, new_path);
        (void)vfs_remove(env->vfs, path);
        return status;
    }
    *segment = made;
    return STATUS_OK;
}

enum status wal_segment_open(const struct env *env, const char *directory, lsn_t base,
                             uint64_t store_id, struct wal_segment **segment)
{
    char path[WAL_SEGMENT_PATH_MAX];
    const char *why = NULL;
    struct wal_header header;
    struct vfs_file *file = NULL;
    wal_segment_path(directory, base, path, sizeof(path));
    enum status status = vfs_open(env->vfs, path, VFS_WRITE, &file);
    if (status == STATUS_OK)
        status = wal_header_read(file, base, store_id, &header, &why);
    if (status != STATUS_OK) {
        vfs_close(file);
        return status;
    }
    struct wal_segment *found = memory_zeroed(1, sizeof(*found));
    found->header = header;
    found->file = file;
    *segment = found;
    return STATUS_OK;
}

enum status wal_segment_recycle(const struct env *env, const char *directory,
                                struct wal_segment *segment, lsn_t base, uint64_t epoch)
{
    char from[WAL_SEGMENT_PATH_MAX], to[WAL_SEGMENT_PATH_MAX];
    wal_segment_path(directory, segment->header.base, from, sizeof(from));
    wal_segment_path(directory, base, to, sizeof(to));
    segment->header.base = base;
    segment->header.epoch = epoch;
    /* Between these steps the file's name and header disagree, and it counts as no segment. */
    enum status status = write_header(segment);
    if (status == STATUS_OK)
        status = vfs_sync_at(segment->file, "wal_segment.recycle");
    if (status == STATUS_OK)
        status = vfs_rename(env->vfs, from, to);
    if (status == STATUS_OK)
        status = vfs_sync_directory_at(env->vfs, directory, "wal_segment.recycle_name");
    segment->dirty = false;
    return status;
}

enum status wal_segment_set_epoch(struct wal_segment *segment, uint64_t epoch)
{
    segment->header.epoch = epoch;
    enum status status = write_header(segment);
    return status == STATUS_OK ? vfs_sync_at(segment->file, "wal_segment.epoch") : status;
}

enum status wal_segment_erase(struct wal_segment *segment, lsn_t from, lsn_t to)
{
    assert(from >= segment->header.base);
    assert(to <= wal_header_end(&segment->header));
    enum status status = wal_segment_fill(segment->file, wal_header_offset(&segment->header, from),
                                          wal_header_offset(&segment->header, to));
    return status == STATUS_OK ? vfs_sync_at(segment->file, "wal_segment.erase") : status;
}

void wal_segment_close(struct wal_segment *segment)
{
    if (!segment)
        return;
    vfs_close(segment->file);
    memory_free(segment);
}

enum status wal_segment_remove(const struct env *env, const char *directory, lsn_t base)
{
    char path[WAL_SEGMENT_PATH_MAX];
    wal_segment_path(directory, base, path, sizeof(path));
    return vfs_remove(env->vfs, path);
}
