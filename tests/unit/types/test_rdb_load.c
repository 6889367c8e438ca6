/* SPDX-License-Identifier: MIT */
/* Payloads as redis-server 7 makes them, ones that older servers made, and what is none. */
#include "types/rdb_load.h"

#include "base/coding.h"
#include "base/memory.h"
#include "base/random.h"
#include "lib/rdb_text.h"
#include "lib/seed.h"
#include "types/rdb_format.h"
#include "types/rdb_listpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* DUMPs of redis-server 7.0.15. */
static const struct {
    const char *made_by, *payload, *shown;
} samples[] = {
    {"SET k -7", "00c0f90a005e26d130d7a242ab", "string -7\n"},
    {"SET k 12345", "00c139300a009d94ea2793fc08b9", "string 12345\n"},
    {"SET k 100000", "00c2a08601000a00f12403506f2fa674", "string 100000\n"},
    {"SET k text", "0004746578740a007cf3266dcab5a531", "string text\n"},
    {"SET k abab..., compressed", "00c30a405002616261e042010161620a00949d5f0eb1dea445",
     "string abababababababababababababababababababababababababababababababababababababababab\n"},
    {"SET k, 70 different bytes",
     "00404321232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e40414243444546474849"
     "4a4b4c4d4e4f505152535455565758595a5b5d5e5f606162636465660a00cfab74cc941a7ea4",
     "string !#$%&'()*+,-./0123456789:;<=>@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdef\n"},
    {"RPUSH, numbers of all sizes",
     "12010235350000000b0081610200017f01dfff02cfff02d00002f1ff7f03f200008004f3ffffff7f05f4"
     "0000000000000080098330303704ff0a008394226b7c70d3c9",
     "element a\nelement 0\nelement 127\nelement -1\nelement 4095\nelement -4096\n"
     "element 32767\nelement -8388608\nelement 2147483647\nelement -9223372036854775808\n"
     "element 007\n"},
    {"RPUSH, compressed",
     "120102c31740c10ac10000000200e05a78797ae04e02005ce0535c015cff0a00adf5ec04b2add785",
     "element "
     "xyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyz\n"
     "element "
     "xyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyz"
     "\n"},
    {"RPUSH, plain nodes",
     "1203020a0a0000000100816102ff010f626262626262626262626262626262020a0a0000000100816302"
     "ff0a00a86ca02f9eeb14ab",
     "element a\nelement bbbbbbbbbbbbbbb\nelement c\n"},
    {"XADD",
     "13011000000000000000010000000000000001c3404a405211520000001f000401000101018166020001"
     "02200a05000181760204600a20150077200a080001c1f302dfff02024024070701816702080108801540"
     "230b856f746865720607010601ff0441f4010101000004000a0066c5eccb5702ad50",
     "entry 1-1 f=v\nentry 1-2 f=w\nentry 500-0 f=7 g=8\nentry 500-1 other=7\n"
     "stream 4 500-1 0-0 4 0\n"},
    {"XADD, XDEL",
     "130110000000000000000100000000000000013434000000140002010101010181660200010201000100"
     "018176020401030100010101817702040102010101dfff028178020401ff0202000101010203000a0036"
     "592ba17a3f43de",
     "entry 1-1 f=v\nentry 2-0 f=x\nstream 2 2-0 1-2 3 0\n"},
    {"an empty stream", "13000005050000050501000a002ec29e198cf64e24", "stream 0 5-5 5-5 1 0\n"},
    {"groups",
     "1301100000000000000001000000000000000128280000000f0002010001010181660200010201000100"
     "0181760204010201010100018176020401ff020201010100000202016702010202000000000000000100"
     "000000000000012aa5aa28a201000001000000000000000200000000000000012aa5aa28a20100000102"
     "05616c6963652aa5aa28a2010000010000000000000001000000000000000103626f622aa5aa28a20100"
     "0001000000000000000200000000000000010168020181ffffffffffffffff00000a0055a4a77f648542"
     "9d",
     "entry 1-1 f=v\nentry 2-1 f=v\nstream 2 2-1 0-0 2 2\n"},
};
enum { SAMPLES = sizeof samples / sizeof *samples };

static struct buffer bytes;

/* The text of a value, NULL if it is bad data. */
static const char *load(struct slice value)
{
    static struct rdb_text text;
    struct rdb_sink sink = rdb_text_sink(&text);
    buffer_clear(&text.text);
    enum status status = rdb_load(value, &sink);
    assert_true(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_WRONG_TYPE);
    buffer_append_byte(&text.text, 0);
    return status ? NULL : (const char *)text.text.data;
}

static struct slice hex(const char *text)
{
    rdb_text_from_hex(text, &bytes);
    return buffer_slice(&bytes);
}

/* ---- Samples --------------------------------------------------------------------------------- */

static void what_redis_dumped_is_loaded(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct slice value;
        assert_int_equal(rdb_open(hex(samples[i].payload), &value), STATUS_OK);
        const char *text = load(value);
        if (!text || strcmp(text, samples[i].shown) != 0)
            fail_msg("%s: %s", samples[i].made_by, text ? text : "bad data");
    }
}

static void every_flipped_bit_of_a_payload_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct slice value, payload = hex(samples[i].payload);
        for (size_t bit = 0; bit < 8 * payload.size; bit++) {
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(rdb_open(payload, &value), STATUS_CORRUPT);
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t size = 0; size < payload.size; size++)
            assert_int_equal(rdb_open(slice_make(payload.data, size), &value), STATUS_CORRUPT);
    }
}

/* With the checksum put right: a value or an error, whichever byte is which. */
static void every_changed_byte_of_a_value_ends(void **state)
{
    size_t bad = 0, all = 0;
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct slice value;
        assert_int_equal(rdb_open(hex(samples[i].payload), &value), STATUS_OK);
        uint8_t *copy = memory_copy(value.data, value.size); /* so that a sanitizer sees its end */
        for (size_t at = 0; at < value.size; at++) {
            for (unsigned byte = 0; byte < 256; byte += at % 4 + 1) {
                uint8_t before = copy[at];
                copy[at] = (uint8_t)byte;
                bad += load(slice_make(copy, value.size)) == NULL;
                all++;
                copy[at] = before;
            }
            assert_null(load(slice_make(copy, at))); /* cut */
        }
        memory_free(copy);
    }
    assert_true(bad > all / 2);
}

static void versions_up_to_eleven_are_taken(void **state)
{
    struct buffer payload = {0};
    struct slice value;
    (void)state;
    for (unsigned version = 0; version < 20; version++) {
        rdb_text_seal(slice_make("\0\3abc", 5), version, &payload);
        assert_int_equal(rdb_open(buffer_slice(&payload), &value),
                         version <= 11 ? STATUS_OK : STATUS_CORRUPT);
    }
    buffer_release(&payload);
}

/* ---- Other forms ------------------------------------------------------------------------------- */

static void lists_of_older_servers_are_loaded(void **state)
{
    (void)state;
    /* a list of strings */
    assert_string_equal(load(hex("01 03 0161 c005 03626364")),
                        "element a\nelement 5\nelement bcd\n");
    /* a ziplist of "a" and 5, and a quicklist of two of them */
    assert_string_equal(load(hex("0a 10 10000000 0d000000 0200 000161 03f6 ff")),
                        "element a\nelement 5\n");
    assert_string_equal(load(hex("0e 02 10 10000000 0d000000 0200 000161 03f6 ff"
                                 "   0e 0e000000 0a000000 0100 000162 ff")),
                        "element a\nelement 5\nelement b\n");
    /* nodes of a quicklist: plain, packed, and an empty packed one */
    assert_string_equal(
        load(hex("12 03 01 0161 02 0a 0a000000 0100 816202 ff 02 07 07000000 0000 ff")),
        "element a\nelement b\n");
}

static void what_is_no_list_or_string_is_refused(void **state)
{
    static const char *const bad[] = {
        "",           /* no type */
        "00",         /* no string */
        "00 0161 00", /* bytes behind it */
        "08 00",      /* no type ever */
        "16 00",      /* none yet */
        "ff",
        "01 00",                      /* an empty list */
        "01",                         /* no length */
        "01 02 0161",                 /* too few elements */
        "01 81ffffffffffffffff 0161", /* far too few */
        "0a 0161",                    /* no ziplist */
        "0a",
        "0e 01 0161",
        "12 01 01",      /* no element */
        "12 01 03 0161", /* no such container */
        "12 01",         /* none at all */
        "12 01 02 0161", /* no listpack */
        "12 01 02",
        "12 01 02 07 07000000 0000 ff",        /* an empty list */
        "12 01 02 0a 0a000000 0200 816202 ff", /* a listpack that is cut */
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (load(hex(bad[i])))
            fail_msg("%s: %s", bad[i], load(hex(bad[i])));
}

static void other_types_are_told_apart_from_bad_data(void **state)
{
    static const uint8_t types[] = {2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 16, 17, 20};
    static const struct rdb_sink sink;
    (void)state;
    for (size_t i = 0; i < sizeof types; i++)
        assert_int_equal(rdb_load(slice_make(&types[i], 1), &sink), STATUS_WRONG_TYPE);
}

/* ---- Streams, made here ------------------------------------------------------------------------ */

/* A node at master ID 10-1 whose listpack has these entries: numbers, and words. */
static void put_node(struct buffer *out, const char *entries)
{
    struct listpack_writer listpack = {0};
    while (*entries) {
        size_t size = strcspn(entries, " ");
        listpack_put(&listpack, slice_make(entries, size));
        entries += size + (entries[size] == ' ');
    }
    rdb_put_string(out, slice_make("\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0\1", 16));
    listpack_put_as_string(&listpack, out);
    listpack_release(&listpack);
}

/* A stream of one node, without the last `cut` bytes; `end` in hex. */
static const char *load_cut_stream(unsigned type, const char *entries, const char *end, size_t cut)
{
    struct buffer value = {0};
    buffer_append_byte(&value, (uint8_t)type);
    rdb_put_length(&value, 1);
    put_node(&value, entries);
    buffer_append_slice(&value, hex(end));
    value.size -= cut;
    const char *text = load(buffer_slice(&value));
    buffer_release(&value);
    return text;
}

static const char *load_stream(unsigned type, const char *entries, const char *end)
{
    return load_cut_stream(type, entries, end, 0);
}

#define MASTER  "2 1 1 f 0 "
#define FIRST   "2 0 0 v 4 "
#define DELETED "3 1 0 gone 4 "
#define OTHER   "0 5 -1 2 a 1 b 2 8"
#define END_15  "02 0f00 00" /* 2 entries, the last is 15-0, no groups */
#define SHOWN   "entry 10-1 f=v\nentry 15-0 a=1 b=2\n"

static void streams_of_all_versions_are_loaded(void **state)
{
    (void)state;
    assert_string_equal(load_stream(15, MASTER FIRST DELETED OTHER, END_15),
                        SHOWN "stream 2 15-0 0-0 2 0\n");
    /* first ID 10-1, highest deleted ID 11-1, 3 were added */
    assert_string_equal(load_stream(19, MASTER FIRST DELETED OTHER, "02 0f00 0a01 0b01 03 00"),
                        SHOWN "stream 2 15-0 11-1 3 0\n");
    assert_string_equal(load_stream(21, MASTER FIRST DELETED OTHER, "02 1409 0a01 0b01 03 00"),
                        SHOWN "stream 2 20-9 11-1 3 0\n");
    /* none at all */
    assert_string_equal(load(hex("13 00 00 0505 0000 0505 01 00")), "stream 0 5-5 5-5 1 0\n");
}

/* A group "g" with a pending entry of a consumer "c". */
#define GROUP_15                                                                    \
    "01 0167 0a01 01 000000000000000a0000000000000001 0011223344556677 01 01 0163 " \
    "0011223344556677 01 000000000000000a0000000000000001"
#define GROUP_19                                                                       \
    "01 0167 0a01 01 01 000000000000000a0000000000000001 0011223344556677 01 01 0163 " \
    "0011223344556677 01 000000000000000a0000000000000001"
#define GROUP_21                                                                       \
    "01 0167 0a01 01 01 000000000000000a0000000000000001 0011223344556677 01 01 0163 " \
    "0011223344556677 0011223344556677 01 000000000000000a0000000000000001"

static void groups_are_passed_by_to_their_last_byte(void **state)
{
    static const struct {
        unsigned type;
        const char *end, *shown;
    } forms[] = {
        {15, "02 0f00 " GROUP_15, SHOWN "stream 2 15-0 0-0 2 1\n"},
        {19, "02 0f00 0a01 0b01 03 " GROUP_19, SHOWN "stream 2 15-0 11-1 3 1\n"},
        {21, "02 0f00 0a01 0b01 03 " GROUP_21, SHOWN "stream 2 15-0 11-1 3 1\n"},
    };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        size_t size = hex(forms[i].end).size;
        assert_string_equal(load_stream(forms[i].type, MASTER FIRST DELETED OTHER, forms[i].end),
                            forms[i].shown);
        for (size_t cut = 1; cut <= size; cut++)
            assert_null(
                load_cut_stream(forms[i].type, MASTER FIRST DELETED OTHER, forms[i].end, cut));
    }
}

static void what_is_no_stream_is_refused(void **state)
{
    static const struct {
        const char *entries, *end;
    } bad[] = {
        {MASTER FIRST DELETED OTHER, "02 0f00"},       /* no groups' number */
        {MASTER FIRST DELETED OTHER, "02 0f00 00 00"}, /* bytes behind it */
        {MASTER FIRST DELETED OTHER, "03 0f00 00"},    /* another length */
        {MASTER FIRST DELETED OTHER, "02 0e00 00"},    /* an entry above the last ID */
        {MASTER FIRST DELETED OTHER, "02 0f"},
        {MASTER FIRST DELETED OTHER, "02"},
        {MASTER FIRST DELETED OTHER, ""},
        {"", END_15},
        {"2", END_15},
        {"2 1", END_15},
        {"2 1 1", END_15},
        {"2 1 1 f", END_15},
        {"2 1 1 f x", END_15},                      /* a word for a number */
        {"2 1 1 f 1 " FIRST DELETED OTHER, END_15}, /* no end of the names */
        {"-1 1 1 f 0 " FIRST, END_15},
        {"2 -1 1 f 0 " FIRST, END_15},
        {"2 1 -1 f 0 " FIRST, END_15},
        {"2 1 9999 f 0 " FIRST, END_15},
        {"9999 1 1 f 0 " FIRST, END_15},
        {"x 1 1 f 0 " FIRST, END_15},
        {"3 1 1 f 0 " FIRST DELETED OTHER, END_15},  /* more entries than there are */
        {"1 1 1 f 0 " FIRST DELETED OTHER, END_15},  /* fewer */
        {"1 2 1 f 0 " FIRST DELETED OTHER, END_15},  /* another one is deleted */
        {MASTER "4 0 0 v 4 " DELETED OTHER, END_15}, /* no such flag */
        {MASTER "x 0 0 v 4 " DELETED OTHER, END_15},
        {MASTER "2 x 0 v 4 " DELETED OTHER, END_15},
        {MASTER "2 0 x v 4 " DELETED OTHER, END_15},
        {MASTER "2 0 0 v 5 " DELETED OTHER, END_15}, /* another number of parts */
        {MASTER "2 0 0 v x " DELETED OTHER, END_15},
        {MASTER FIRST DELETED "0 5 -1 2 a 1 b 2 7", END_15},
        {MASTER FIRST DELETED "0 5 -1 2 a 1 b", END_15}, /* fields that are cut */
        {MASTER FIRST DELETED "0 5 -1 2 a", END_15},
        {MASTER FIRST DELETED "0 5 -1 2", END_15},
        {MASTER FIRST DELETED "0 5 -1", END_15},
        {MASTER FIRST DELETED "0 5 -1 0 4", END_15}, /* no fields */
        {MASTER FIRST DELETED "0 5 -1 x a 1 b 2 8", END_15},
        {MASTER FIRST DELETED "0 5 -1 99 a 1 b 2 8", END_15},
        {MASTER FIRST DELETED "0 0 0 2 a 1 b 2 8", END_15}, /* not above the one before */
        {"1 0 1 f 0 2 -10 -1 v 4", "01 0f00 00"},           /* 0-0 */
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (load_stream(15, bad[i].entries, bad[i].end))
            fail_msg("number %zu: %s", i, load_stream(15, bad[i].entries, bad[i].end));
    assert_null(load(hex("0f")));
    assert_null(load(hex("0f 01")));
    assert_null(load(hex("0f 01 0161 0161 00 0000 00"))); /* no master ID */
    assert_null(
        load(hex("0f 01 10 0000000000000000000000000000000a 0161 00 0000 00"))); /* no listpack */
    assert_null(load(hex("0f 01 10 0000000000000000000000000000000a")));
    /* more entries than were added, a deleted ID above the last one */
    assert_null(load_stream(19, MASTER FIRST DELETED OTHER, "02 0f00 0a01 0b01 01 00"));
    assert_null(load_stream(19, MASTER FIRST DELETED OTHER, "02 0f00 0a01 1001 03 00"));
    assert_null(load_stream(19, MASTER FIRST DELETED OTHER, "02 0f00 0a01 0b01"));
    assert_null(load_stream(19, MASTER FIRST DELETED OTHER, "02 0f00 0a01 0b"));
    assert_null(load_stream(19, MASTER FIRST DELETED OTHER, "02 0f00 0a"));
}

/* ---- Sinks and memory --------------------------------------------------------------------------- */

static void what_the_sink_says_ends_the_loading(void **state)
{
    size_t stopped = 0;
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct slice value;
        assert_int_equal(rdb_open(hex(samples[i].payload), &value), STATUS_OK);
        for (uint64_t n = 1;; n++) {
            struct rdb_text text = {.fail_after = n};
            struct rdb_sink sink = rdb_text_sink(&text);
            enum status status = rdb_load(value, &sink);
            buffer_release(&text.text);
            if (!status)
                break;
            assert_int_equal(status, STATUS_NO_SPACE);
            stopped++;
        }
    }
    assert_true(stopped > 2 * SAMPLES);
}

static void without_memory_for_names_the_loading_ends(void **state)
{
    struct buffer value = {0};
    struct rdb_text text = {{0}, 0, 0};
    struct rdb_sink sink = rdb_text_sink(&text);
    (void)state;
    buffer_append_byte(&value, 15);
    rdb_put_length(&value, 1);
    put_node(&value, MASTER FIRST DELETED OTHER);
    buffer_append_slice(&value, hex(END_15));
    memory_fail_try(1, false);
    assert_int_equal(rdb_load(buffer_slice(&value), &sink), STATUS_NO_MEMORY);
    memory_fail_try(0, false);
    buffer_release(&value);
    buffer_release(&text.text);
}

static void any_bytes_end(void **state)
{
    struct random random;
    struct buffer value = {0};
    static const uint8_t types[] = {0, 1, 10, 14, 15, 18, 19, 21};
    (void)state;
    random_init(&random, test_seed());
    for (int round = 0; round < 20000; round++) {
        buffer_clear(&value);
        buffer_append_byte(&value, types[random_below(&random, sizeof types)]);
        for (uint64_t left = random_below(&random, 60); left > 0; left--)
            buffer_append_byte(&value,
                               (uint8_t)(random_below(&random, 3) ? random_below(&random, 20)
                                                                  : random_next(&random)));
        (void)load(buffer_slice(&value)); /* any result will do */
    }
    buffer_release(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_redis_dumped_is_loaded),
        cmocka_unit_test(every_flipped_bit_of_a_payload_is_an_error),
        cmocka_unit_test(every_changed_byte_of_a_value_ends),
        cmocka_unit_test(versions_up_to_eleven_are_taken),
        cmocka_unit_test(lists_of_older_servers_are_loaded),
        cmocka_unit_test(what_is_no_list_or_string_is_refused),
        cmocka_unit_test(other_types_are_told_apart_from_bad_data),
        cmocka_unit_test(streams_of_all_versions_are_loaded),
        cmocka_unit_test(groups_are_passed_by_to_their_last_byte),
        cmocka_unit_test(what_is_no_stream_is_refused),
        cmocka_unit_test(what_the_sink_says_ends_the_loading),
        cmocka_unit_test(without_memory_for_names_the_loading_ends),
        cmocka_unit_test(any_bytes_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
