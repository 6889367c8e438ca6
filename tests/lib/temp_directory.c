/* SPDX-License-Identifier: MIT */
#include "lib/temp_directory.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void temp_directory_make(char path[TEMP_DIRECTORY_BYTES])
{
    const char *parent = getenv("TMPDIR");
    static const char name[] = "cordwood-XXXXXX";

    if (!parent || strlen(parent) + sizeof name + 16 > TEMP_DIRECTORY_BYTES)
        parent = "/tmp";
    snprintf(path, TEMP_DIRECTORY_BYTES, "%s/%s", parent, name);
    if (!mkdtemp(path)) {
        perror(path);
        abort();
    }
}

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    (void)stat;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void temp_directory_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* what is left does not fail a test */
}
