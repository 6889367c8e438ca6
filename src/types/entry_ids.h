/* SPDX-License-Identifier: MIT */
/* The keys of the entries in a block, with their ordinals: each as a step from the entry before.
 * Bytes: ENCODING.md, "Blocks of entries". */
#ifndef TYPES_ENTRY_IDS_H
#define TYPES_ENTRY_IDS_H

#include "types/stream_entry.h"

/* What an entry is found by, and what was before it. A zeroed struct stands before the first. */
struct entry_id {
    uint32_t generation;
    uint64_t object;
    struct stream_id id;
    uint64_t ordinal;
    bool is_entry; /* false: before the first one */
};

struct entry_id entry_id_make(const uint8_t key[STREAM_ENTRY_KEY_BYTES], uint64_t ordinal);
void entry_id_store_key(const struct entry_id *id, uint8_t key[STREAM_ENTRY_KEY_BYTES]);
/* Appends `id`, whose key is above that of *before, and moves *before on. */
void entry_id_write(struct buffer *out, struct entry_id *before, const struct entry_id *id);
/* Moves *id on; false: damaged, or its key would not be above the one before. */
bool entry_id_read(struct slice *input, struct entry_id *id);

#endif
