/* SPDX-License-Identifier: MIT */
/* The content of encoded blocks: rows in, the same rows out, whatever their kinds, versions and LSNs;
 * and what no builder made is refused. */
#include "lsm/encoded_block.h"

#include "base/coding.h"
#include "base/memory.h"
#include "base/random.h"
#include "lib/prefix_codec.h"
#include "lib/seed.h"
#include "lsm/table_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BASE = 5000 };

struct fixture {
    struct collected_rows rows;
    struct buffer encoded, dictionary_bytes;
    void *encoder, *dictionary;
};

static void init(struct fixture *f)
{
    *f = (struct fixture){.encoder = prefix_codec.encoder_create()};
}

static void release(struct fixture *f)
{
    collected_rows_release(&f->rows);
    buffer_release(&f->encoded);
    buffer_release(&f->dictionary_bytes);
    prefix_codec.encoder_destroy(f->encoder);
    prefix_codec.dictionary_close(f->dictionary);
}

static void add(struct fixture *f, const char *key, lsn_t lsn, enum entry_kind kind,
                const char *value)
{
    collected_rows_add(&f->rows, slice_from(key), lsn, kind, slice_from(value));
}

static bool encode(struct fixture *f)
{
    size_t memory;
    bool is_encoded = encoded_block_append(&prefix_codec, f->encoder, &f->rows, BASE, &f->encoded);
    buffer_clear(&f->dictionary_bytes);
    prefix_codec.finish(f->encoder, &f->dictionary_bytes);
    prefix_codec.dictionary_close(f->dictionary);
    f->dictionary = NULL;
    if (f->dictionary_bytes.size > 0)
        assert_int_equal(prefix_codec.dictionary_open(buffer_slice(&f->dictionary_bytes),
                                                      &f->dictionary, &memory),
                         STATUS_OK);
    return is_encoded;
}

static enum status decode_as(const struct fixture *f, struct slice content, size_t raw_bytes,
                             bool heads, uint8_t **rows, size_t *size)
{
    const struct encoded_block block = {
        .codec = &prefix_codec,
        .dictionary = f->dictionary,
        .content = content,
        .raw_bytes = raw_bytes,
        .base_lsn = BASE,
        .heads = heads,
    };
    return encoded_block_decode(&block, rows, size);
}

static enum status decode(const struct fixture *f, struct slice content, size_t raw_bytes,
                          uint8_t **rows, size_t *size)
{
    return decode_as(f, content, raw_bytes, false, rows, size);
}

/* The collected rows come back, as a block of rows that is byte for byte what they would have made. */
static void assert_round_trip(struct fixture *f)
{
    struct rows_builder expected;
    uint8_t *rows = NULL;
    size_t size;
    rows_builder_init(&expected, ROWS_RESTART_INTERVAL);
    collected_rows_copy(&f->rows, &expected);
    assert_int_equal(decode(f, buffer_slice(&f->encoded), f->rows.bytes.size, &rows, &size),
                     STATUS_OK);
    struct slice content = rows_builder_finish(&expected);
    assert_int_equal(size, content.size);
    assert_memory_equal(rows, content.data, size);
    assert_true(rows_check(slice_make(rows, size)));
    memory_free(rows);
    rows_builder_release(&expected);
}

static void puts_of_one_lsn_cost_one_byte(void **state)
{
    (void)state;
    struct fixture f;
    struct buffer alone = {0};
    init(&f);
    add(&f, "key:a", BASE, ENTRY_PUT, "one");
    add(&f, "key:b", BASE, ENTRY_PUT, "two");
    assert_true(encode(&f));
    const struct block_codec_row rows[] = {{slice_from("key:a"), slice_from("one")},
                                           {slice_from("key:b"), slice_from("two")}};
    assert_true(prefix_codec.encode(f.encoder, rows, 2, &alone));
    assert_int_equal(f.encoded.size, alone.size + 1);
    assert_round_trip(&f);
    buffer_release(&alone);
    release(&f);
}

/* So many that the block is worth it whatever stands aside. */
static void add_many(struct fixture *f)
{
    for (int i = 0; i < 90; i++) {
        char key[24];
        snprintf(key, sizeof(key), "key:m%02d", i);
        add(f, key, BASE, ENTRY_PUT, "value");
    }
}

static void deletions_versions_and_lsns_stand_aside(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    add(&f, "key:a", BASE + 9, ENTRY_DELETE, "");
    add(&f, "key:a", BASE + 3, ENTRY_PUT, "older than its deletion");
    add(&f, "key:a", BASE - 1, ENTRY_PUT, "older still");
    add(&f, "key:b", BASE, ENTRY_PUT, "two");
    add(&f, "key:c", BASE, ENTRY_PUT, "three");
    add(&f, "key:c", BASE - 2, ENTRY_DELETE, "");
    add(&f, "key:d", BASE - 4000, ENTRY_PUT, "four");
    add_many(&f);
    add(&f, "key:z", BASE + 1, ENTRY_DELETE, "");
    assert_true(encode(&f));
    assert_round_trip(&f);
    release(&f);
}

static void a_deletion_among_puts_of_one_lsn_needs_no_runs(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    add(&f, "key:a", BASE, ENTRY_DELETE, "");
    add_many(&f);
    assert_true(encode(&f));
    assert_int_equal(f.encoded.data[1], 0); /* no bytes of runs */
    assert_round_trip(&f);
    release(&f);
}

static void what_the_codec_does_not_want_is_left_alone(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    buffer_append_text(&f.encoded, "before");
    add(&f, "key:a", BASE, ENTRY_DELETE, "");
    assert_false(encode(&f)); /* no put */
    add(&f, "no", BASE, ENTRY_PUT, "its key is too short for the codec");
    assert_false(encode(&f));
    collected_rows_clear(&f.rows);
    add(&f, "key:a", 1, ENTRY_PUT, ""); /* smaller for the codec, not with its LSN aside */
    assert_false(encode(&f));
    assert_true(slice_equal(buffer_slice(&f.encoded), slice_from("before")));
    release(&f);
}

static void random_rows(struct fixture *f, struct random *random)
{
    unsigned keys = 1 + (unsigned)random_below(random, 60);
    bool has_lsns = random_below(random, 2), has_kinds = random_below(random, 2);
    for (unsigned i = 0; i < keys; i++) {
        char key[32], value[64];
        lsn_t lsn =
            BASE + (has_lsns && random_below(random, 3) == 0 ? random_below(random, 99) : 0);
        snprintf(key, sizeof(key), "%c%03u%04u", 'a' + (int)(i / 20), i / 20, i);
        for (uint64_t versions = has_kinds ? 1 + random_below(random, 3) : 1; versions > 0;
             versions--) {
            bool is_put = !has_kinds || random_below(random, 4) > 0;
            memset(value, 'v', sizeof(value));
            value[is_put ? random_below(random, sizeof(value)) : 0] = 0;
            add(f, key, lsn, is_put ? ENTRY_PUT : ENTRY_DELETE, value);
            lsn -= 1 + random_below(random, 40);
        }
    }
}

static void random_rows_come_back(void **state)
{
    (void)state;
    struct random random;
    unsigned encoded = 0;
    random_init(&random, test_seed());
    for (int round = 0; round < 2000; round++) {
        struct fixture f;
        init(&f);
        random_rows(&f, &random);
        if (encode(&f)) {
            encoded++;
            assert_round_trip(&f);
        }
        release(&f);
    }
    assert_true(encoded > 1000);
}

/* ---- Damage -------------------------------------------------------------------------------- */

static enum status decode_only(const struct fixture *f, struct slice content, size_t raw_bytes)
{
    uint8_t *rows = NULL;
    size_t size;
    enum status status = decode(f, content, raw_bytes, &rows, &size);
    if (status == STATUS_OK)
        assert_true(rows_check(slice_make(rows, size)));
    memory_free(rows);
    return status;
}

static void content_that_nobody_made_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    add(&f, "key:a", BASE, ENTRY_PUT, "one");
    add(&f, "key:b", BASE, ENTRY_PUT, "two");
    assert_true(encode(&f));
#define A  \
    "\x01" \
    "a\x03one"
#define B  \
    "\x01" \
    "b\x03two"
    static const struct {
        const char *bytes;
        size_t size, raw_bytes;
        enum status status;
    } contents[] = {
#define CONTENT(text, raw, status) {text, sizeof(text) - 1, raw, status}
        CONTENT("\0" A B, 16, STATUS_OK),
        CONTENT("\0" A B, 17, STATUS_CORRUPT), /* fewer bytes than the head says */
        CONTENT("\0" A B, 15, STATUS_CORRUPT), /* more */
        CONTENT("\0" B A, 16, STATUS_CORRUPT), /* out of order */
        CONTENT("\0" A A, 16, STATUS_CORRUPT), /* twice */
        CONTENT("\0", 16, STATUS_CORRUPT),     /* no rows */
        CONTENT("", 16, STATUS_CORRUPT),
        CONTENT("\x09" A B, 16, STATUS_CORRUPT),             /* aside of more than there is */
        CONTENT("\x01\x05" A B, 16, STATUS_CORRUPT),         /* runs of more than aside has */
        CONTENT("\x03\x02\x02\x02" A B, 16, STATUS_OK),      /* a run of two, LSN + 1 */
        CONTENT("\x03\x02\x02\x01" A B, 16, STATUS_CORRUPT), /* runs of one row, two come */
        CONTENT("\x03\x02\x02\x03" A B, 16, STATUS_CORRUPT), /* of three */
        CONTENT("\x03\x02\x02\x00" A B, 16, STATUS_CORRUPT), /* a run of nothing */
        CONTENT("\x02\x01\x02" A B, 16, STATUS_CORRUPT),     /* half a run */
        CONTENT("\x05\x04\x02\x01\x02\x01" A B, 16, STATUS_OK),
        CONTENT("\x07\x06\x02\x01\x02\x01\x02\x01" A B, 16, STATUS_CORRUPT), /* a run too many */
        CONTENT("\x0c\x0b\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x02\x02" A B, 16,
                STATUS_CORRUPT),                       /* an LSN beyond all */
        CONTENT("\x03\x00zz" A B, 16, STATUS_CORRUPT), /* others that are no rows */
    };
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        enum status status =
            decode_only(&f, slice_make(contents[i].bytes, contents[i].size), contents[i].raw_bytes);
        if (status != contents[i].status)
            fail_msg("content %zu: %s", i, status_text(status));
    }
    release(&f);
}

/* Keys, LSNs, kinds and order are those of the whole; of the codec's values there are the heads. */
static void heads_come_with_all_that_stands_aside(void **state)
{
    (void)state;
    struct fixture f;
    struct rows_builder expected;
    uint8_t *rows = NULL;
    size_t size;
    init(&f);
    add(&f, "key:a", BASE + 9, ENTRY_DELETE, "");
    add(&f, "key:a", BASE + 3, ENTRY_PUT, "first of its key to be a put");
    add(&f, "key:a", BASE - 1, ENTRY_PUT, "older still, and so aside");
    add_many(&f);
    assert_true(encode(&f));
    rows_builder_init(&expected, ROWS_RESTART_INTERVAL);
    for (size_t i = 0; i < f.rows.count; i++) {
        const struct collected_row *row = &f.rows.items[i];
        const uint8_t *key = f.rows.bytes.data + row->at;
        bool is_aside = i == 0 || i == 2;
        rows_builder_add(
            &expected, slice_make(key, row->key_size), row->lsn, row->kind,
            slice_make(key + row->key_size, is_aside ? row->value_size : PREFIX_HEAD_BYTES));
    }
    assert_int_equal(decode_as(&f, buffer_slice(&f.encoded), f.rows.bytes.size, true, &rows, &size),
                     STATUS_OK);
    assert_true(slice_equal(slice_make(rows, size), rows_builder_finish(&expected)));
    memory_free(rows);
    /* What belongs to no row is refused as it is with the whole. */
    buffer_append_byte(&f.encoded, 0);
    assert_int_equal(decode_as(&f, buffer_slice(&f.encoded), f.rows.bytes.size, true, &rows, &size),
                     STATUS_CORRUPT);
    rows_builder_release(&expected);
    release(&f);
}

/* Others of which the second is cut: the merge ends there. */
static void damaged_others_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct rows_builder others;
    struct buffer content = {0};
    init(&f);
    add(&f, "key:a", BASE, ENTRY_PUT, "one");
    assert_true(encode(&f));
    for (int damaged = 0; damaged < 2; damaged++) {
        rows_builder_init(&others, ROWS_RESTART_INTERVAL);
        rows_builder_add(&others, slice_from("key:0"), BASE, ENTRY_DELETE, slice_from(""));
        rows_builder_add(&others, slice_from("key:z"), BASE, ENTRY_DELETE, slice_from(""));
        struct slice rows = rows_builder_finish(&others);
        if (damaged)
            others.bytes.data[others.entries_at + 4 + 5] = 9; /* it shares more than there is */
        buffer_clear(&content);
        buffer_append_varint(&content, rows.size + 1);
        buffer_append_varint(&content, 0);
        buffer_append_slice(&content, rows);
        buffer_append_slice(&content, slice_skip(buffer_slice(&f.encoded), 1));
        assert_int_equal(decode_only(&f, buffer_slice(&content), 8 + 5 + 5),
                         damaged ? STATUS_CORRUPT : STATUS_OK);
        rows_builder_release(&others);
    }
    buffer_release(&content);
    release(&f);
}

/* Any byte changed behind the checksums: refused, or rows in order. */
static void changed_bytes_are_refused_or_give_rows(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    for (int round = 0; round < 300; round++) {
        struct fixture f;
        init(&f);
        random_rows(&f, &random);
        if (encode(&f)) {
            for (int change = 0; change < 50; change++) {
                size_t at = random_below(&random, f.encoded.size);
                uint8_t mask = (uint8_t)(1 + random_below(&random, 255));
                f.encoded.data[at] ^= mask;
                enum status status = decode_only(&f, buffer_slice(&f.encoded), f.rows.bytes.size);
                assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
                f.encoded.data[at] ^= mask;
            }
            size_t cut = random_below(&random, f.encoded.size);
            (void)decode_only(&f, slice_make(f.encoded.data, cut), f.rows.bytes.size);
        }
        release(&f);
    }
}

/* More rows than there is room for at first. */
static void missing_memory_is_told(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t *value = memory_zeroed(1, 10000);
    char key[] = "key:a";
    init(&f);
    for (; key[4] <= 'z'; key[4]++)
        collected_rows_add(&f.rows, slice_from(key), BASE, ENTRY_PUT, slice_make(value, 10000));
    assert_true(encode(&f));
    uint64_t n = 1;
    for (;; n++) {
        memory_fail_try(n, false);
        enum status status = decode_only(&f, buffer_slice(&f.encoded), f.rows.bytes.size);
        memory_fail_try(0, false);
        if (status == STATUS_OK)
            break;
        assert_int_equal(status, STATUS_NO_MEMORY);
    }
    assert_true(n > 2);
    memory_free(value);
    release(&f);
}

/* A large value passes: what it took is given back. */
static void a_large_value_is_not_kept(void **state)
{
    (void)state;
    struct fixture f;
    size_t size = 5 << 20;
    uint8_t *value = memory_zeroed(1, size);
    init(&f);
    collected_rows_add(&f.rows, slice_from("key:a"), BASE, ENTRY_PUT, slice_make(value, size));
    assert_true(f.rows.bytes.capacity >= size);
    collected_rows_clear(&f.rows);
    assert_int_equal(f.rows.bytes.capacity, 0);
    memory_free(value);
    release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_of_one_lsn_cost_one_byte),
        cmocka_unit_test(deletions_versions_and_lsns_stand_aside),
        cmocka_unit_test(a_deletion_among_puts_of_one_lsn_needs_no_runs),
        cmocka_unit_test(what_the_codec_does_not_want_is_left_alone),
        cmocka_unit_test(random_rows_come_back),
        cmocka_unit_test(content_that_nobody_made_is_refused),
        cmocka_unit_test(heads_come_with_all_that_stands_aside),
        cmocka_unit_test(damaged_others_are_refused),
        cmocka_unit_test(changed_bytes_are_refused_or_give_rows),
        cmocka_unit_test(missing_memory_is_told),
        cmocka_unit_test(a_large_value_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
