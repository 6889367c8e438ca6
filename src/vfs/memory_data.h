/* SPDX-License-Identifier: MIT */
/* struct memory_data: the bytes of a file in memory, sparse: chunks in which only zeros stand are not there,
 * so that the log's segments, filled with zeros ahead, cost next to nothing. A zeroed struct is empty. */
#ifndef VFS_MEMORY_DATA_H
#define VFS_MEMORY_DATA_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

struct memory_data {
    uint64_t size;
    uint8_t **chunks; /* NULL: zeros */
    size_t chunk_count;
};

bool memory_is_zeros(const uint8_t *bytes, size_t size);

void memory_data_release(struct memory_data *data);
void memory_data_resize(struct memory_data *data, uint64_t size); /* new bytes are 0 */
/* `bytes` NULL: zeros. Bytes between the end and `offset` become zeros. */
void memory_data_write(struct memory_data *data, uint64_t offset, const uint8_t *bytes,
                       size_t size);
/* Up to the end; returns how many bytes. */
size_t memory_data_read(const struct memory_data *data, uint64_t offset, void *bytes, size_t size);
void memory_data_copy(const struct memory_data *from, struct memory_data *to); /* `to` was empty */

#endif
