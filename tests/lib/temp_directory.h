/* SPDX-License-Identifier: MIT */
/* A directory for one test, under TMPDIR or /tmp. */
#ifndef LIB_TEMP_DIRECTORY_H
#define LIB_TEMP_DIRECTORY_H

enum { TEMP_DIRECTORY_BYTES = 96 }; /* short enough for the path of a unix socket in it */

void temp_directory_make(char path[TEMP_DIRECTORY_BYTES]); /* aborts when it cannot */
void temp_directory_remove(const char *path);              /* with all that is in it */

#endif
