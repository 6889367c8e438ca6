/* SPDX-License-Identifier: MIT */
/* Values of RDB as RESTORE is given them: a byte that chooses, then the value (its checksum is put right), or
 * just the bytes of a listpack, a ziplist, compressed ones. What is taken is restored into a store, is sound
 * there, and dumped and restored again it is the same. */
#include "fuzz/fuzz.h"

#include "lib/memory_store.h"
#include "lib/rdb_text.h"
#include "types/rdb_dump.h"
#include "types/rdb_lzf.h"
#include "types/rdb_restore.h"
#include "types/rdb_ziplist.h"
#include "types/store_check.h"

enum { WHOLE, PAYLOAD, LISTPACK, ZIPLIST, LZF, CHOICES };

static struct buffer payload, dump;

/* ---- Parts ----------------------------------------------------------------------------------- */

static void read_listpack(struct slice bytes)
{
    struct listpack_reader reader;
    struct listpack_writer writer = {0};
    struct listpack_value value;
    struct buffer first = {0}, second = {0};
    enum status status = listpack_open(bytes, &reader);
    while (!status && (status = listpack_next(&reader, &value)) == STATUS_OK) {
        listpack_put(&writer, value.bytes);
        buffer_append_sized(&first, value.bytes);
    }
    fuzz_require(status == STATUS_NOT_FOUND || status == STATUS_INVALID);
    if (status == STATUS_NOT_FOUND) { /* written anew it has the same values */
        struct rdb_reader string;
        struct slice again;
        buffer_clear(&payload);
        listpack_put_as_string(&writer, &payload);
        string = (struct rdb_reader){.input = buffer_slice(&payload)};
        fuzz_require(rdb_take_string(&string, &again) == STATUS_OK);
        fuzz_require(listpack_open(again, &reader) == STATUS_OK);
        while (listpack_next(&reader, &value) == STATUS_OK)
            buffer_append_sized(&second, value.bytes);
        fuzz_require(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    }
    listpack_release(&writer);
    buffer_release(&first);
    buffer_release(&second);
}

static void read_ziplist(struct slice bytes)
{
    struct ziplist_reader reader;
    struct listpack_value value;
    enum status status = ziplist_open(bytes, &reader);
    while (!status && (status = ziplist_next(&reader, &value)) == STATUS_OK)
        fuzz_require(value.bytes.size <= bytes.size + RDB_NUMBER_BYTES_MAX);
    fuzz_require(status == STATUS_NOT_FOUND || status == STATUS_INVALID);
}

static void unpack(struct slice input)
{
    static uint8_t bytes[70000];
    size_t size = fuzz_number(&input) % (sizeof bytes - 1);
    bytes[size] = 0x77;
    (void)lzf_unpack(input, bytes, size); /* any result will do */
    fuzz_require(bytes[size] == 0x77);
}

/* ---- Whole values ------------------------------------------------------------------------------ */

static struct memory_store ms;

static enum status spill(void *context, struct object_build *build)
{
    (void)context;
    return object_build_spill(build);
}

static enum status go_on(void *context)
{
    (void)context;
    return STATUS_OK;
}

/* A value into a key; false: it is none. */
static bool restore(struct slice value, const char *key)
{
    struct object_build build;
    struct rdb_restored restored;
    struct object object = {0}, old;
    memory_store_read(&ms);
    object_build_begin(&build, &ms.access, false);
    memory_store_end(&ms);
    build.full = spill;
    enum status status = rdb_restore(value, 1 << 20, &build, &restored);
    fuzz_require(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_WRONG_TYPE);
    if (!status) {
        memory_store_write(&ms);
        fuzz_require(keyspace_find(&ms.access, slice_from(key), &old) == STATUS_NOT_FOUND);
        object.type = restored.type;
        object.body = buffer_slice(&restored.body);
        if (restored.has_parts)
            object.id = object_build_link(&build, &ms.access);
        keyspace_put(&ms.access, slice_from(key), &object, NULL);
        memory_store_end(&ms);
    }
    object_build_release(&build);
    rdb_restored_release(&restored);
    return !status;
}

static void dump_key(const char *key, struct buffer *out)
{
    struct object object;
    buffer_clear(out);
    memory_store_read(&ms);
    fuzz_require(keyspace_find(&ms.access, slice_from(key), &object) == STATUS_OK);
    fuzz_require(rdb_dump(&ms.access, slice_from(key), &object, out, go_on, NULL) == STATUS_OK);
    memory_store_end(&ms);
}

static void load(struct slice value)
{
    struct lsm_report report = {""};
    struct slice again;
    memory_store_open(&ms, &(struct store_options){.databases = 1,
                                                   .memtable_bytes = 1 << 20,
                                                   .block_cache_bytes = 1 << 20,
                                                   .wal_segment_bytes = 64 << 10,
                                                   .build_bytes_max = 1000});
    if (restore(value, "first")) {
        dump_key("first", &dump);
        fuzz_require(rdb_open(buffer_slice(&dump), &again) == STATUS_OK);
        fuzz_require(restore(again, "second"));
        dump_key("second", &payload);
        fuzz_require(slice_equal(buffer_slice(&dump), buffer_slice(&payload)));
    }
    if (store_check(ms.store, &report)) {
        fprintf(stderr, "%s\n", report.text);
        abort();
    }
    memory_store_release(&ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size), value;
    switch (fuzz_below(&input, CHOICES)) {
    case PAYLOAD: /* with whatever stands there for a checksum */
        if (rdb_open(input, &value) == STATUS_OK)
            load(value);
        break;
    case LISTPACK:
        read_listpack(input);
        break;
    case ZIPLIST:
        read_ziplist(input);
        break;
    case LZF:
        unpack(input);
        break;
    default:
        load(input);
    }
    return 0;
}

/* Strings, lists and streams in the forms that redis-server writes, see test_rdb_load.c. */
static const char *const seeds[] = {
    "00c0f9",
    "00c13930",
    "00c2a0860100",
    "000474657874",
    "00c30a405002616261e04201016162",
    "00404321232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e404142434445464748494a4b"
    "4c4d4e4f505152535455565758595a5b5d5e5f60616263646566",
    "12010235350000000b0081610200017f01dfff02cfff02d00002f1ff7f03f200008004f3ffffff7f05f40000"
    "000000000080098330303704ff",
    "120102c31740c10ac10000000200e05a78797ae04e02005ce0535c015cff",
    "1203020a0a0000000100816102ff010f626262626262626262626262626262020a0a0000000100816302ff",
    "13011000000000000000010000000000000001c3404a405211520000001f0004010001010181660200010220"
    "0a05000181760204600a20150077200a080001c1f302dfff02024024070701816702080108801540230b856f"
    "746865720607010601ff0441f401010100000400",
    "1301100000000000000001000000000000000134340000001400020101010101816602000102010001000181"
    "76020401030100010101817702040102010101dfff028178020401ff020200010101020300",
    "1300000505000005050100",
    "1301100000000000000001000000000000000128280000000f00020100010101816602000102010001000181"
    "760204010201010100018176020401ff02020101010000020201670201020200000000000000010000000000"
    "0000012aa5aa28a201000001000000000000000200000000000000012aa5aa28a2010000010205616c696365"
    "2aa5aa28a2010000010000000000000001000000000000000103626f622aa5aa28a201000001000000000000"
    "000200000000000000010168020181ffffffffffffffff0000",
    "c90004746578740a007cf3266dcab5a531",
    "ca0a0000000100816202ff",
    "cb100000000d000000020000016103f6ff",
    "cc050061e00000",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    struct buffer bytes = {0};
    if (index >= sizeof seeds / sizeof *seeds)
        return false;
    rdb_text_from_hex(seeds[index], &bytes);
    buffer_append_byte(out, (uint8_t)(bytes.data[0] > 200 ? bytes.data[0] - 200 : WHOLE));
    buffer_append_slice(out, slice_skip(buffer_slice(&bytes), bytes.data[0] > 200));
    buffer_release(&bytes);
    return true;
}
