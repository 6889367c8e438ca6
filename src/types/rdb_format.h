/* SPDX-License-Identifier: MIT */
/* Numbers of Redis's RDB format that a value of DUMP is made of; for rdb_*.c. They are Redis's own.
 *
 *      payload   u8 type | value | le16 version | le64 CRC-64 of all before it
 *      length    00nnnnnn | 01nnnnnn n8 | 80 be32 | 81 be64
 *      string    length, bytes | c0 i8 | c1 le16 | c2 le32 | c3 length packed, length whole, LZF
 *
 *      string    string
 *      list      length, string... (1) | a ziplist in a string (10) | length, ziplists in strings (14)
 *                | length, { length container, string: 1 the element, 2 a listpack }... (18)
 *      stream    length, { string: 16 bytes of master ID, string: listpack }...
 *                | length of the stream | last ID: 2 lengths
 *                | [19, 21: first ID | highest deleted ID | entries added: 5 lengths] | groups
 *      groups    length, { string name | last ID: 2 lengths | [19, 21: length entries read]
 *                          | length, { 16 bytes ID | le64 ms | length deliveries }...
 *                          | length, { string name | le64 seen ms | [21: le64 active ms] | length, 16 bytes ID... }... }... */
#ifndef TYPES_RDB_FORMAT_H
#define TYPES_RDB_FORMAT_H

enum {
    /* The newest that is read: Redis 7.2's. */
    RDB_VERSION_MAX = 11,
    /* What is written: all that we say was there in 10, and so Redis 7.0 takes it too. */
    RDB_VERSION_WRITTEN = 10,
    RDB_FOOTER_BYTES = 2 + 8,

    RDB_TYPE_STRING = 0,
    RDB_TYPE_LIST = 1,
    RDB_TYPE_LIST_ZIPLIST = 10,
    RDB_TYPE_LIST_QUICKLIST = 14,
    RDB_TYPE_STREAM_LISTPACKS = 15,
    RDB_TYPE_LIST_QUICKLIST_2 = 18,
    RDB_TYPE_STREAM_LISTPACKS_2 = 19,
    RDB_TYPE_STREAM_LISTPACKS_3 = 21,
    /* 2 to 7, 9, 11 to 13, 16, 17 and 20 are sets, hashes, sorted sets and modules' values. */
    RDB_TYPE_LAST = 21,

    RDB_LENGTH_6 = 0,
    RDB_LENGTH_14 = 1,
    RDB_LENGTH_32 = 0x80,
    RDB_LENGTH_64 = 0x81,
    RDB_SPECIAL = 3, /* the upper two bits */
    RDB_INT8 = 0,
    RDB_INT16 = 1,
    RDB_INT32 = 2,
    RDB_LZF = 3,

    RDB_CONTAINER_PLAIN = 1,
    RDB_CONTAINER_PACKED = 2,

    /* Flags of an entry in a stream's listpack. */
    RDB_ENTRY_DELETED = 1,
    RDB_ENTRY_SAME_FIELDS = 2,
};

#endif
