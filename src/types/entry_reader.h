/* SPDX-License-Identifier: MIT */
/* The reading side of entry_codec. */
#ifndef TYPES_ENTRY_READER_H
#define TYPES_ENTRY_READER_H

#include "types/entry_templates.h"

/* As block_codec.decode and, with `heads`, decode_heads: values without their fields. */
enum status entry_reader_decode(const struct template_dictionary *dictionary, struct slice content,
                                size_t raw_bytes_max, bool heads,
                                void (*row)(void *context, struct slice key, struct slice value),
                                void *context);

#endif
