/* SPDX-License-Identifier: MIT */
/* Redis's ziplists, which lists were made of before listpacks; read only.
 *
 *      ziplist   le32 bytes of all | le32 offset of the last entry | le16 entries (ffff: unknown) | entry... | ff
 *      entry     size of the entry before (one byte, or fe le32) | data
 *
 *      00llllll bytes | 01llllll l8 bytes | 80 be32 bytes             strings
 *      c0 le16 | d0 le32 | e0 le64 | f0 le24 | fe i8 | 1111nnnn       signed; n = 1 .. 13 is n - 1 */
#ifndef TYPES_RDB_ZIPLIST_H
#define TYPES_RDB_ZIPLIST_H

#include "types/rdb_listpack.h"

struct ziplist_reader {
    struct slice left; /* entries and the end */
    uint64_t taken, entry_bytes, last_offset, offset;
    uint16_t announced;
};

/* As listpack_open and listpack_next. */
enum status ziplist_open(struct slice bytes, struct ziplist_reader *reader);
enum status ziplist_next(struct ziplist_reader *reader, struct listpack_value *value);

#endif
