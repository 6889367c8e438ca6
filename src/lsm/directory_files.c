/* SPDX-License-Identifier: MIT */
/* The files of a database by their names:
 *
 *   CURRENT   LOCK   MANIFEST-000007   000012.cwt   0000000000001000.wal   *.tmp (a crash left it)
 */
#include "lsm/directory_files.h"

#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool parse_digits(const char *text, const char *end, uint64_t *number)
{
    uint64_t value = 0;
    if (end - text < 6 || end - text > 18)
        return false;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *number = value;
    return value > 0;
}

bool manifest_name_parse(const char *name, uint64_t *number)
{
    static const char prefix[] = "MANIFEST-";
    size_t length = sizeof(prefix) - 1;
    return strncmp(name, prefix, length) == 0 &&
           parse_digits(name + length, name + strlen(name), number);
}

bool table_name_parse(const char *name, uint64_t *number)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".cwt") == 0 &&
           parse_digits(name, name + length - 4, number);
}

void manifest_path(const char *directory, uint64_t number, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/MANIFEST-%06" PRIu64, directory, number);
    assert(length > 0 && (size_t)length < size);
    (void)length;
}

void table_path(const char *directory, uint64_t number, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/%06" PRIu64 ".cwt", directory, number);
    assert(length > 0 && (size_t)length < size);
    (void)length;
}

static void push_number(uint64_t **numbers, size_t *count, uint64_t number)
{
    if ((*count & (*count - 1)) == 0)
        *numbers = memory_resize(*numbers, (*count ? 2 * *count : 1) * sizeof(**numbers));
    (*numbers)[(*count)++] = number;
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), end_length = strlen(end);
    return length > end_length && strcmp(name + length - end_length, end) == 0;
}

static void collect_name(void *context, const char *name)
{
    struct directory_files *files = context;
    uint64_t number;
    if (table_name_parse(name, &number))
        push_number(&files->tables, &files->table_count, number);
    else if (manifest_name_parse(name, &number))
        push_number(&files->manifests, &files->manifest_count, number);
    else if (strcmp(name, "CURRENT") == 0)
        files->has_current = true;
    else if (ends_with(name, ".wal"))
        files->has_wal = true;
    else if (ends_with(name, ".tmp"))
        buffer_append(&files->temporary, name, strlen(name) + 1);
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

enum status directory_files_read(const struct env *env, const char *directory,
                                 struct directory_files *files)
{
    struct directory_files found = {0};
    enum status status = env->vfs->ops->list(env->vfs, directory, collect_name, &found);
    if (status != STATUS_OK) {
        directory_files_release(&found);
        return status;
    }
    if (found.table_count)
        qsort(found.tables, found.table_count, sizeof(uint64_t), compare_numbers);
    if (found.manifest_count)
        qsort(found.manifests, found.manifest_count, sizeof(uint64_t), compare_numbers);
    *files = found;
    return STATUS_OK;
}

static bool has_number(const uint64_t *numbers, size_t count, uint64_t number)
{
    return count && bsearch(&number, numbers, count, sizeof(number), compare_numbers);
}

bool directory_files_has_table(const struct directory_files *files, uint64_t number)
{
    return has_number(files->tables, files->table_count, number);
}

bool directory_files_has_manifest(const struct directory_files *files, uint64_t number)
{
    return has_number(files->manifests, files->manifest_count, number);
}

void directory_files_release(struct directory_files *files)
{
    memory_free(files->tables);
    memory_free(files->manifests);
    buffer_release(&files->temporary);
    *files = (struct directory_files){0};
}
