/* SPDX-License-Identifier: MIT */
/* Encoding of version edits (FORMAT.md, "Manifest"): a row of tagged fields. */
#ifndef LSM_VERSION_EDIT_H
#define LSM_VERSION_EDIT_H

#include "lsm/version.h"

/* Numbers of the format; 9 and above are free, 0 is not used. */
enum version_field_tag {
    VERSION_FIELD_TREE = 1,   /* index, compaction, name; only in a manifest's first part */
    VERSION_FIELD_ADD = 2,    /* tree, level, number, properties */
    VERSION_FIELD_REMOVE = 3, /* tree, level, number */
    VERSION_FIELD_FLUSHED_LSN = 4,
    VERSION_FIELD_DURABLE_LSN = 5,
    VERSION_FIELD_EPOCH = 6,
    VERSION_FIELD_NEXT_NUMBER = 7,
    VERSION_FIELD_CLEAN = 8, /* no content */
};

struct version_field {
    enum version_field_tag tag;
    uint64_t value; /* of the tags that are a number */
    unsigned tree;  /* TREE */
    enum lsm_compaction compaction;
    struct slice name;               /* within the input */
    struct version_edit_table table; /* ADD, REMOVE; properties owned by the caller */
};

void version_edit_encode_tree(struct buffer *into, unsigned tree, enum lsm_compaction compaction,
                              const char *name);
void version_edit_encode_added(struct buffer *into, unsigned tree, unsigned level, uint64_t number,
                               const struct table_properties *properties);
void version_edit_encode_value(struct buffer *into, enum version_field_tag tag, uint64_t value);
void version_edit_encode(struct buffer *into, const struct version_edit *edit);

/* Takes one field off the front of *input. STATUS_NOT_FOUND at the end, STATUS_CORRUPT (malformed
 * or out of range), STATUS_UNSUPPORTED (*field has the unknown tag in `value`). */
enum status version_field_next(struct slice *input, struct version_field *field);

#endif
