/* SPDX-License-Identifier: MIT */
/* What the C library's heaps keep of memory that was freed. Nothing of it where there is no glibc. */
#ifndef SERVER_HEAP_H
#define SERVER_HEAP_H

/* Before the first thread is started. */
void heap_configure(unsigned loop_count);
/* Gives the system what lies free between things that live, if it is much. Takes milliseconds, in which
 * others wait for memory: every few seconds, and not on a loop. */
void heap_trim(void);

#endif
