/* SPDX-License-Identifier: MIT */
/* Every call goes through fault_enter, which counts it, lets it wait, and says what is to become of it;
 * then it is passed on to the file system below, unless it has failed without doing anything. The mutex is never held while a call below runs, but
 * for writes under a limited disk: there the file's size must not change between question and write. */
#include "vfs/vfs_fault.h"

#include "base/memory.h"

#include <assert.h>
#include <pthread.h>

struct sync_site {
    char *name;
    uint64_t calls;
};

struct fault_vfs {
    struct vfs base;
    struct vfs *below;
    pthread_mutex_t mutex; /* guards all that follows */
    struct vfs_fault_counters counters;

    unsigned fail_calls;
    uint64_t fail_countdown; /* 1: the next one fails; 0: none */
    enum status fail_error;
    bool fail_for_good;
    enum vfs_fault_form fail_form;
    uint64_t failed_count;

    uint64_t free_bytes; /* UINT64_MAX: no limit */

    pthread_cond_t released;
    unsigned hold_calls;
    char *hold_path_part;
    unsigned held_count;
    char *cold_path_part;

    struct sync_site *sites;
    size_t site_count;
    char *skipped_site;
    uint64_t skipped_count;

    unsigned watched_calls;
    vfs_fault_watcher *watcher;
    void *watcher_context;

    void (*on_failed_sync)(struct vfs_file *below); /* may be NULL */
};

struct fault_file {
    struct vfs_file base;
    struct fault_vfs *vfs;
    struct vfs_file *below;
    char *path;
};

static struct fault_vfs *fault_of(struct vfs *vfs)
{
    return (struct fault_vfs *)vfs;
}

static char *text_copy(const char *text)
{
    return text ? memory_copy(text, strlen(text) + 1) : NULL;
}

/* ---- What becomes of a call ---------------------------------------------------------------- */

static bool fault_holds(const struct fault_vfs *fault, enum vfs_call call, const char *path)
{
    return (fault->hold_calls & 1u << call) && strstr(path, fault->hold_path_part);
}

static void fault_wait(struct fault_vfs *fault, enum vfs_call call, const char *path)
{
    fault->held_count++;
    while (fault_holds(fault, call, path))
        pthread_cond_wait(&fault->released, &fault->mutex);
    fault->held_count--;
}

/* What is to become of a call. */
struct fate {
    bool made;        /* it goes on to the file system below */
    bool halved;      /* with half of its bytes */
    enum status told; /* what it returns if all goes well below */
};

static struct fate fault_fate(enum vfs_call call, enum vfs_fault_form form, enum status error)
{
    bool has_bytes = call == VFS_CALL_READ || call == VFS_CALL_WRITE;
    switch (form) {
    case VFS_FAULT_NOTHING:
        break;
    case VFS_FAULT_DONE:
        return (struct fate){.made = true, .told = error};
    case VFS_FAULT_ENDS:
        if (call == VFS_CALL_READ)
            return (struct fate){.made = true, .halved = true};
        return (struct fate){.made = has_bytes, .halved = has_bytes, .told = error};
    case VFS_FAULT_HALF:
        return (struct fate){.made = has_bytes, .halved = has_bytes, .told = error};
    }
    return (struct fate){.told = error};
}

static struct fate fault_enter(struct fault_vfs *fault, enum vfs_call call, const char *path,
                               bool nowait, const char *site)
{
    if ((fault->watched_calls & 1u << call) && fault->watcher)
        fault->watcher(fault->watcher_context, call, path, site);
    struct fate fate = {.made = true};
    pthread_mutex_lock(&fault->mutex);
    fault->counters.calls[call]++;
    if (fault_holds(fault, call, path)) {
        if (nowait)
            fate = (struct fate){.told = STATUS_WOULD_BLOCK};
        else
            fault_wait(fault, call, path);
    }
    if (nowait && fault->cold_path_part && strstr(path, fault->cold_path_part))
        fate = (struct fate){.told = STATUS_WOULD_BLOCK};
    if (fate.made && (fault->fail_calls & 1u << call) && fault->fail_countdown > 0 &&
        --fault->fail_countdown == 0) {
        fate = fault_fate(call, fault->fail_form, fault->fail_error);
        fault->failed_count++;
        if (fault->fail_for_good)
            fault->fail_countdown = 1;
    }
    pthread_mutex_unlock(&fault->mutex);
    return fate;
}

/* The status of a call that was made: the first failure counts. */
static enum status fate_status(struct fate fate, enum status below)
{
    return fate.told != STATUS_OK ? fate.told : below;
}

/* true: the site's syncs are to be left out. */
static bool fault_note_site(struct fault_vfs *fault, const char *site)
{
    pthread_mutex_lock(&fault->mutex);
    size_t at = 0;
    while (at < fault->site_count && strcmp(fault->sites[at].name, site) != 0)
        at++;
    if (at == fault->site_count) {
        fault->sites = memory_resize(fault->sites, (at + 1) * sizeof *fault->sites);
        fault->sites[at] = (struct sync_site){.name = text_copy(site)};
        fault->site_count++;
    }
    fault->sites[at].calls++;
    bool skip = fault->skipped_site && strcmp(fault->skipped_site, site) == 0;
    fault->skipped_count += skip;
    pthread_mutex_unlock(&fault->mutex);
    return skip;
}

/* ---- The limited disk: the mutex is held --------------------------------------------------- */

static bool fault_is_limited(const struct fault_vfs *fault)
{
    return fault->free_bytes != UINT64_MAX;
}

static void fault_give_back(struct fault_vfs *fault, uint64_t bytes)
{
    pthread_mutex_lock(&fault->mutex);
    if (fault_is_limited(fault))
        fault->free_bytes += bytes;
    pthread_mutex_unlock(&fault->mutex);
}

/* Cuts *size to what fits and takes the room. */
static enum status fault_take_room(struct fault_vfs *fault, struct vfs_file *below, uint64_t offset,
                                   size_t *size)
{
    uint64_t file_size = 0;
    enum status status = vfs_size(below, &file_size);
    if (status != STATUS_OK)
        return status;
    uint64_t end = offset + *size;
    uint64_t growth = end > file_size ? end - file_size : 0;
    if (growth > fault->free_bytes) {
        uint64_t missing = growth - fault->free_bytes;
        *size = missing < *size ? *size - (size_t)missing : 0;
        growth = *size ? fault->free_bytes : 0;
        status = STATUS_NO_SPACE;
    }
    fault->free_bytes -= growth;
    return status;
}

static uint64_t file_size_below(struct fault_vfs *fault, const char *path)
{
    struct vfs_file *file = NULL;
    uint64_t size = 0;
    if (vfs_open(fault->below, path, VFS_READ, &file) == STATUS_OK)
        (void)vfs_size(file, &size); /* unknown counts as nothing */
    vfs_close(file);
    return size;
}

/* ---- Files --------------------------------------------------------------------------------- */

static struct fault_file *fault_file_of(struct vfs_file *file)
{
    return (struct fault_file *)file;
}

static void fault_close(struct vfs_file *base)
{
    struct fault_file *file = fault_file_of(base);
    vfs_close(file->below);
    memory_free(file->path);
    memory_free(file);
}

static enum status fault_read_at(struct vfs_file *base, uint64_t offset, void *data, size_t size,
                                 bool nowait, size_t *got)
{
    struct fault_file *file = fault_file_of(base);
    struct fault_vfs *fault = file->vfs;
    size_t read = 0;
    struct fate fate = fault_enter(fault, VFS_CALL_READ, file->path, nowait, NULL);
    if (!fate.made)
        return fate.told;
    enum status below = file->below->ops->read_at(file->below, offset, data, size, nowait, &read);
    if (fate.halved && below == STATUS_OK) {
        memset((uint8_t *)data + read / 2, 0xa5, read - read / 2);
        read /= 2;
    }
    if (fate_status(fate, below) != STATUS_OK)
        return fate_status(fate, below);
    pthread_mutex_lock(&fault->mutex);
    fault->counters.bytes_read += read;
    pthread_mutex_unlock(&fault->mutex);
    *got = read;
    return STATUS_OK;
}

static enum status fault_write_at(struct vfs_file *base, uint64_t offset, const void *data,
                                  size_t size)
{
    struct fault_file *file = fault_file_of(base);
    struct fault_vfs *fault = file->vfs;
    struct fate fate = fault_enter(fault, VFS_CALL_WRITE, file->path, false, NULL);
    if (!fate.made)
        return fate.told;
    if (fate.halved)
        size /= 2;
    pthread_mutex_lock(&fault->mutex);
    bool limited = fault_is_limited(fault);
    if (limited) {
        enum status room = fault_take_room(fault, file->below, offset, &size);
        fate.told = fate_status(fate, room);
    } else {
        pthread_mutex_unlock(&fault->mutex);
    }
    enum status below = size ? vfs_write_at(file->below, offset, data, size) : STATUS_OK;
    if (!limited)
        pthread_mutex_lock(&fault->mutex);
    if (below == STATUS_OK)
        fault->counters.bytes_written += size;
    pthread_mutex_unlock(&fault->mutex);
    return fate_status(fate, below);
}

static enum status fault_sync(struct vfs_file *base, const char *site)
{
    struct fault_file *file = fault_file_of(base);
    struct fate fate = fault_enter(file->vfs, VFS_CALL_SYNC, file->path, false, site);
    if (!fate.made && file->vfs->on_failed_sync)
        file->vfs->on_failed_sync(file->below);
    if (!fate.made || fault_note_site(file->vfs, site))
        return fate.told;
    return fate_status(fate, vfs_sync_at(file->below, site));
}

static enum status fault_truncate(struct vfs_file *base, uint64_t size)
{
    struct fault_file *file = fault_file_of(base);
    uint64_t before = 0;
    struct fate fate = fault_enter(file->vfs, VFS_CALL_TRUNCATE, file->path, false, NULL);
    if (!fate.made)
        return fate.told;
    enum status below = vfs_size(file->below, &before);
    if (below == STATUS_OK)
        below = vfs_truncate(file->below, size);
    if (below == STATUS_OK && size < before)
        fault_give_back(file->vfs, before - size);
    return fate_status(fate, below);
}

static enum status fault_size(struct vfs_file *base, uint64_t *size)
{
    struct fault_file *file = fault_file_of(base);
    uint64_t found = 0;
    struct fate fate = fault_enter(file->vfs, VFS_CALL_SIZE, file->path, false, NULL);
    enum status status = fate.made ? fate_status(fate, vfs_size(file->below, &found)) : fate.told;
    if (status == STATUS_OK)
        *size = found;
    return status;
}

static const struct vfs_file_ops fault_file_ops = {
    .close = fault_close,
    .read_at = fault_read_at,
    .write_at = fault_write_at,
    .sync = fault_sync,
    .truncate = fault_truncate,
    .size = fault_size,
};

static struct vfs_file *fault_file_create(struct fault_vfs *fault, struct vfs_file *below,
                                          const char *path)
{
    struct fault_file *file = memory_zeroed(1, sizeof *file);
    file->base.ops = &fault_file_ops;
    file->vfs = fault;
    file->below = below;
    file->path = text_copy(path);
    return &file->base;
}

/* ---- Directories --------------------------------------------------------------------------- */

/* Hands a file that was opened below to the caller, or closes it if the call fails all the same. */
static enum status fault_hand_over(struct fault_vfs *fault, struct fate fate, enum status below,
                                   struct vfs_file *opened, const char *path, struct vfs_file **file)
{
    enum status status = fate_status(fate, below);
    if (status == STATUS_OK)
        *file = fault_file_create(fault, opened, path);
    else if (below == STATUS_OK)
        vfs_close(opened);
    return status;
}

static enum status fault_open(struct vfs *vfs, const char *path, unsigned flags,
                              struct vfs_file **file)
{
    struct fault_vfs *fault = fault_of(vfs);
    struct vfs_file *opened = NULL;
    struct fate fate = fault_enter(fault, VFS_CALL_OPEN, path, false, NULL);
    if (!fate.made)
        return fate.told;
    uint64_t emptied = flags & VFS_TRUNCATE ? file_size_below(fault, path) : 0;
    enum status below = vfs_open(fault->below, path, flags, &opened);
    if (below == STATUS_OK)
        fault_give_back(fault, emptied);
    return fault_hand_over(fault, fate, below, opened, path, file);
}

static enum status fault_remove(struct vfs *vfs, const char *path)
{
    struct fault_vfs *fault = fault_of(vfs);
    struct fate fate = fault_enter(fault, VFS_CALL_REMOVE, path, false, NULL);
    if (!fate.made)
        return fate.told;
    uint64_t size = file_size_below(fault, path);
    enum status below = vfs_remove(fault->below, path);
    if (below == STATUS_OK)
        fault_give_back(fault, size);
    return fate_status(fate, below);
}

static enum status fault_rename(struct vfs *vfs, const char *from, const char *to)
{
    struct fault_vfs *fault = fault_of(vfs);
    struct fate fate = fault_enter(fault, VFS_CALL_RENAME, to, false, NULL);
    if (!fate.made)
        return fate.told;
    uint64_t replaced = file_size_below(fault, to);
    enum status below = vfs_rename(fault->below, from, to);
    if (below == STATUS_OK)
        fault_give_back(fault, replaced);
    return fate_status(fate, below);
}

static enum status fault_link(struct vfs *vfs, const char *from, const char *to)
{
    struct fault_vfs *fault = fault_of(vfs);
    struct fate fate = fault_enter(fault, VFS_CALL_LINK, to, false, NULL);
    if (!fate.made)
        return fate.told;
    return fate_status(fate, fault->below->ops->link(fault->below, from, to));
}

static enum status fault_make_directory(struct vfs *vfs, const char *path)
{
    struct fault_vfs *fault = fault_of(vfs);
    struct fate fate = fault_enter(fault, VFS_CALL_MKDIR, path, false, NULL);
    if (!fate.made)
        return fate.told;
    return fate_status(fate, fault->below->ops->make_directory(fault->below, path));
}

static enum status fault_remove_directory(struct vfs *vfs, const char *path)
{
    struct fault_vfs *fault = fault_of(vfs);
    struct fate fate = fault_enter(fault, VFS_CALL_RMDIR, path, false, NULL);
    if (!fate.made)
        return fate.told;
    return fate_status(fate, fault->below->ops->remove_directory(fault->below, path));
}

static enum status fault_sync_directory(struct vfs *vfs, const char *path, const char *site)
{
    struct fault_vfs *fault = fault_of(vfs);
    struct fate fate = fault_enter(fault, VFS_CALL_SYNC_DIRECTORY, path, false, site);
    if (!fate.made || fault_note_site(fault, site))
        return fate.told;
    return fate_status(fate, vfs_sync_directory_at(fault->below, path, site));
}

static enum status fault_list(struct vfs *vfs, const char *path,
                              void (*each)(void *context, const char *name), void *context)
{
    struct fault_vfs *fault = fault_of(vfs);
    struct fate fate = fault_enter(fault, VFS_CALL_LIST, path, false, NULL);
    if (!fate.made)
        return fate.told;
    return fate_status(fate, fault->below->ops->list(fault->below, path, each, context));
}

static enum status fault_exists(struct vfs *vfs, const char *path, bool *exists)
{
    struct fault_vfs *fault = fault_of(vfs);
    struct vfs *below = fault->below;
    bool found = false;
    struct fate fate = fault_enter(fault, VFS_CALL_EXISTS, path, false, NULL);
    enum status status =
        fate.made ? fate_status(fate, below->ops->exists(below, path, &found)) : fate.told;
    if (status == STATUS_OK)
        *exists = found;
    return status;
}

static enum status fault_lock(struct vfs *vfs, const char *path, struct vfs_file **file)
{
    struct fault_vfs *fault = fault_of(vfs);
    struct vfs_file *opened = NULL;
    struct fate fate = fault_enter(fault, VFS_CALL_LOCK, path, false, NULL);
    if (!fate.made)
        return fate.told;
    enum status below = fault->below->ops->lock(fault->below, path, &opened);
    return fault_hand_over(fault, fate, below, opened, path, file);
}

static enum status fault_free_bytes(struct vfs *vfs, const char *path, uint64_t *bytes)
{
    struct fault_vfs *fault = fault_of(vfs);
    uint64_t found = 0;
    struct fate fate = fault_enter(fault, VFS_CALL_FREE_BYTES, path, false, NULL);
    if (!fate.made)
        return fate.told;
    enum status below = fault->below->ops->free_bytes(fault->below, path, &found);
    if (fate_status(fate, below) != STATUS_OK)
        return fate_status(fate, below);
    pthread_mutex_lock(&fault->mutex);
    *bytes = found < fault->free_bytes ? found : fault->free_bytes;
    pthread_mutex_unlock(&fault->mutex);
    return STATUS_OK;
}

static void fault_destroy(struct vfs *vfs)
{
    struct fault_vfs *fault = fault_of(vfs);
    assert(fault->held_count == 0);
    for (size_t i = 0; i < fault->site_count; i++)
        memory_free(fault->sites[i].name);
    memory_free(fault->sites);
    memory_free(fault->skipped_site);
    memory_free(fault->hold_path_part);
    memory_free(fault->cold_path_part);
    pthread_cond_destroy(&fault->released);
    pthread_mutex_destroy(&fault->mutex);
    memory_free(fault);
}

struct vfs *vfs_fault_create(struct vfs *below)
{
    static const struct vfs_ops ops = {
        .open = fault_open,
        .remove = fault_remove,
        .rename = fault_rename,
        .link = fault_link,
        .make_directory = fault_make_directory,
        .remove_directory = fault_remove_directory,
        .sync_directory = fault_sync_directory,
        .list = fault_list,
        .exists = fault_exists,
        .lock = fault_lock,
        .free_bytes = fault_free_bytes,
        .destroy = fault_destroy,
    };
    struct fault_vfs *fault = memory_zeroed(1, sizeof *fault);
    fault->base.ops = &ops;
    fault->below = below;
    fault->free_bytes = UINT64_MAX;
    pthread_mutex_init(&fault->mutex, NULL);
    pthread_cond_init(&fault->released, NULL);
    return &fault->base;
}

/* ---- Settings ------------------------------------------------------------------------------ */

void vfs_fault_counters(struct vfs *vfs, struct vfs_fault_counters *counters)
{
    struct fault_vfs *fault = fault_of(vfs);
    pthread_mutex_lock(&fault->mutex);
    *counters = fault->counters;
    pthread_mutex_unlock(&fault->mutex);
}

void vfs_fault_fail(struct vfs *vfs, unsigned calls, uint64_t n, enum status error, bool for_good)
{
    struct fault_vfs *fault = fault_of(vfs);
    assert(n == 0 || error != STATUS_OK);
    pthread_mutex_lock(&fault->mutex);
    fault->fail_calls = calls;
    fault->fail_countdown = n;
    fault->fail_error = error;
    fault->fail_for_good = for_good;
    pthread_mutex_unlock(&fault->mutex);
}

void vfs_fault_set_form(struct vfs *vfs, enum vfs_fault_form form)
{
    struct fault_vfs *fault = fault_of(vfs);
    pthread_mutex_lock(&fault->mutex);
    fault->fail_form = form;
    pthread_mutex_unlock(&fault->mutex);
}

uint64_t vfs_fault_failed_count(struct vfs *vfs)
{
    struct fault_vfs *fault = fault_of(vfs);
    pthread_mutex_lock(&fault->mutex);
    uint64_t count = fault->failed_count;
    pthread_mutex_unlock(&fault->mutex);
    return count;
}

void vfs_fault_set_free_bytes(struct vfs *vfs, uint64_t bytes)
{
    struct fault_vfs *fault = fault_of(vfs);
    pthread_mutex_lock(&fault->mutex);
    fault->free_bytes = bytes;
    pthread_mutex_unlock(&fault->mutex);
}

void vfs_fault_hold(struct vfs *vfs, unsigned calls, const char *path_part)
{
    struct fault_vfs *fault = fault_of(vfs);
    pthread_mutex_lock(&fault->mutex);
    memory_free(fault->hold_path_part);
    fault->hold_path_part = text_copy(path_part);
    fault->hold_calls = calls;
    pthread_cond_broadcast(&fault->released); /* who waited for another path looks again */
    pthread_mutex_unlock(&fault->mutex);
}

void vfs_fault_release(struct vfs *vfs)
{
    struct fault_vfs *fault = fault_of(vfs);
    pthread_mutex_lock(&fault->mutex);
    fault->hold_calls = 0;
    pthread_cond_broadcast(&fault->released);
    pthread_mutex_unlock(&fault->mutex);
}

void vfs_fault_set_cold(struct vfs *vfs, const char *path_part)
{
    struct fault_vfs *fault = fault_of(vfs);
    pthread_mutex_lock(&fault->mutex);
    memory_free(fault->cold_path_part);
    fault->cold_path_part = text_copy(path_part);
    pthread_mutex_unlock(&fault->mutex);
}

unsigned vfs_fault_held_count(struct vfs *vfs)
{
    struct fault_vfs *fault = fault_of(vfs);
    pthread_mutex_lock(&fault->mutex);
    unsigned count = fault->held_count;
    pthread_mutex_unlock(&fault->mutex);
    return count;
}

void vfs_fault_watch(struct vfs *vfs, unsigned calls, vfs_fault_watcher *before, void *context)
{
    struct fault_vfs *fault = fault_of(vfs);
    fault->watched_calls = calls;
    fault->watcher = before;
    fault->watcher_context = context;
}

void vfs_fault_on_failed_sync(struct vfs *vfs, void (*told)(struct vfs_file *below))
{
    fault_of(vfs)->on_failed_sync = told;
}

void vfs_fault_skip_sync(struct vfs *vfs, const char *site)
{
    struct fault_vfs *fault = fault_of(vfs);
    pthread_mutex_lock(&fault->mutex);
    memory_free(fault->skipped_site);
    fault->skipped_site = text_copy(site);
    pthread_mutex_unlock(&fault->mutex);
}

uint64_t vfs_fault_skipped_count(struct vfs *vfs)
{
    struct fault_vfs *fault = fault_of(vfs);
    pthread_mutex_lock(&fault->mutex);
    uint64_t count = fault->skipped_count;
    pthread_mutex_unlock(&fault->mutex);
    return count;
}

void vfs_fault_sync_sites(struct vfs *vfs,
                          void (*each)(void *context, const char *site, uint64_t calls),
                          void *context)
{
    struct fault_vfs *fault = fault_of(vfs);
    pthread_mutex_lock(&fault->mutex);
    for (size_t i = 0; i < fault->site_count; i++)
        each(context, fault->sites[i].name, fault->sites[i].calls);
    pthread_mutex_unlock(&fault->mutex);
}
