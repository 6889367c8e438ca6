/* SPDX-License-Identifier: MIT */
/* A directory with anything in it, for verify, open and repair. An input chooses a database (stopped, or
 * killed with frames behind its tables), and then what is done to its files: bytes changed, files cut,
 * removed, swapped, renamed, written. What must hold:
 *
 *      what verify finds sound opens, and reads without an error
 *      what repair returns OK for is sound, opens, reads, takes writes, and opens again
 *      every value that is read was once written under its key
 *      verify changes nothing */
#include "fuzz/fuzz.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "lib/prefix_codec.h"
#include "lsm/lsm.h"
#include "unit/lsm/memory_env.h"

enum {
    TREES = 2,
    KEYS = 300,
    FILES_MAX = 64,
    NAME_MAX_BYTES = 64,
    EDITS_MAX = 8,
    SEGMENT = 16 << 10
};

static const char directory[] = "/db";

static const struct lsm_options options = {
    .trees = {{.name = "keys", .block_bytes = 256, .filter_bits_per_key = 10},
              {.name = "entries",
               .compaction = LSM_TIME_RUNS,
               .block_bytes = 512,
               .codec = &prefix_codec}},
    .tree_count = TREES,
    .memtable_bytes = 64 << 10,
    .block_cache_bytes = 64 << 10,
    .wal_segment_bytes = SEGMENT,
    .table_bytes_max = 4 << 10,
};

/* ---- The databases -------------------------------------------------------------------------- */

static void require_ok(enum status status, const char *what)
{
    if (status != STATUS_OK)
        fprintf(stderr, "%s: %s\n", status_text(status), what);
    fuzz_require(status == STATUS_OK);
}

static struct slice key_of(unsigned number, uint8_t at[4])
{
    be32_store(at, number);
    return slice_make(at, 4);
}

/* A value says which key it belongs to. */
static void put(struct lsm *db, unsigned tree, unsigned number, unsigned round)
{
    struct lsm_writer *writer;
    uint8_t key[4];
    struct buffer value = {0};
    buffer_printf(&value, "%u of round %u, a line of text as others are", number, round);
    lsm_lock(db);
    require_ok(lsm_write_begin(db, 256, false, &writer), "write");
    if (number % 29 == 28)
        lsm_delete(writer, tree, key_of(number, key));
    else
        lsm_put(writer, tree, key_of(number, key), buffer_slice(&value));
    lsm_write_end(writer);
    lsm_unlock(db);
    buffer_release(&value);
}

static void work(struct lsm *db)
{
    while (lsm_work(db, 1 << 20))
        ;
}

static struct vfs *make_database(bool is_stopped)
{
    struct vfs *vfs = vfs_memory_create(), *after;
    struct env env = memory_env(vfs);
    struct lsm_report report;
    struct lsm *db;
    uint8_t from[4], to[4];
    require_ok(lsm_open(&env, directory, &options, &report, &db), "open");
    for (unsigned round = 0; round < 3; round++) {
        struct lsm_writer *writer;
        for (unsigned i = 0; i < KEYS; i += 1 + round)
            put(db, i % TREES, i, round);
        lsm_lock(db);
        require_ok(lsm_write_begin(db, 256, false, &writer), "write");
        lsm_delete_range(writer, round % TREES, key_of(40 * round, from),
                         key_of(40 * round + 10, to));
        lsm_write_end(writer);
        lsm_unlock(db);
        require_ok(lsm_wal_sync(db), "sync");
        if (round < 2)
            lsm_request_flush(db);
        work(db);
    }
    if (!is_stopped) {
        after = vfs_memory_after_power_loss(vfs, VFS_KEEP_ALL, 1);
        require_ok(lsm_close(db), "close");
    } else {
        require_ok(lsm_close(db), "close");
        after = vfs_memory_after_power_loss(vfs, VFS_KEEP_ALL, 1);
    }
    vfs_destroy(vfs);
    return after;
}

static struct vfs *copy_of(struct vfs *vfs)
{
    return vfs_memory_after_power_loss(vfs, VFS_KEEP_ALL, 1);
}

/* ---- Edits ---------------------------------------------------------------------------------- */

struct names {
    char names[FILES_MAX][NAME_MAX_BYTES];
    size_t count;
};

static void add_name(void *context, const char *name)
{
    struct names *names = context;
    if (names->count < FILES_MAX)
        snprintf(names->names[names->count++], NAME_MAX_BYTES, "%s", name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void list_files(struct vfs *vfs, struct names *names)
{
    names->count = 0;
    require_ok(vfs->ops->list(vfs, directory, add_name, names), "list");
    qsort(names->names, names->count, sizeof names->names[0], compare_names);
}

static void path_of(const char *name, char path[NAME_MAX_BYTES + 8])
{
    snprintf(path, NAME_MAX_BYTES + 8, "%s/%s", directory, name);
}

static const char *draw_name(struct slice *input, const struct names *names, bool may_be_new,
                             char at[NAME_MAX_BYTES])
{
    static const char *const others[] = {
        "CURRENT",
        "CURRENT.tmp",
        "MANIFEST-000001",
        "MANIFEST-999999",
        "000001.cwt",
        "000099.cwt",
        "0000000000001000.wal",
        "ffffffffffffffff.wal",
        "000000000000.cwt",
        "lost",
        "x.tmp",
        "LOCK",
        "MANIFEST-",
        ".cwt",
        "00000000000010.wal",
        "MANIFEST-0000002",
    };
    uint8_t choice = fuzz_byte(input);
    if (!may_be_new || choice < 0x80)
        snprintf(at, NAME_MAX_BYTES, "%s",
                 names->count ? names->names[choice % names->count] : "CURRENT");
    else
        snprintf(at, NAME_MAX_BYTES, "%s", others[choice & 15]);
    return at;
}

static void write_bytes(struct vfs *vfs, const char *path, uint64_t offset, struct slice bytes,
                        bool truncate)
{
    struct vfs_file *file;
    unsigned flags = VFS_WRITE | VFS_CREATE | (truncate ? VFS_TRUNCATE : 0);
    if (vfs_open(vfs, path, flags, &file) != STATUS_OK)
        return; /* a directory */
    if (bytes.size)
        require_ok(vfs_write_at(file, offset, bytes.data, bytes.size), "write");
    vfs_close(file);
}

static uint64_t size_of(struct vfs *vfs, const char *path)
{
    struct vfs_file *file;
    uint64_t size = 0;
    if (vfs_open(vfs, path, VFS_READ, &file) != STATUS_OK)
        return 0;
    require_ok(vfs_size(file, &size), "size");
    vfs_close(file);
    return size;
}

/* Somewhere in the file: near its begin, its end, or anywhere. */
static uint64_t draw_offset(struct slice *input, uint64_t size)
{
    uint8_t form = fuzz_byte(input);
    uint64_t number = (uint64_t)fuzz_byte(input) << 8 | fuzz_byte(input);
    if (size == 0)
        return 0;
    if (form < 0x40)
        return number % (size < 64 ? size : 64);
    if (form < 0x80)
        return size - 1 - number % (size < 64 ? size : 64);
    if (form < 0xc0 && size > 4096) /* the first frames of a segment */
        return 4096 + number % (size - 4096 < 512 ? size - 4096 : 512);
    return number % size;
}

static void write_current(struct vfs *vfs, struct slice text)
{
    struct buffer line = {0};
    buffer_append_slice(&line, text);
    buffer_printf(&line, " %08x\n", crc32c(text.data, text.size));
    write_bytes(vfs, "/db/CURRENT", 0, buffer_slice(&line), true);
    buffer_release(&line);
}

static void edit(struct vfs *vfs, struct slice *input)
{
    static struct names names;
    char name[NAME_MAX_BYTES], other[NAME_MAX_BYTES], path[NAME_MAX_BYTES + 8],
        other_path[NAME_MAX_BYTES + 8];
    uint8_t form = fuzz_byte(input);
    struct buffer bytes = {0};
    struct vfs_file *file;
    list_files(vfs, &names);
    path_of(draw_name(input, &names, false, name), path);
    switch (form % 9) {
    case 0: /* a bit */
    case 1:
        (void)vfs_memory_flip(vfs, path, draw_offset(input, size_of(vfs, path)),
                              (uint8_t)(1 << fuzz_below(input, 8)));
        break;
    case 2: { /* some bytes, also behind the end */
        uint64_t offset = draw_offset(input, size_of(vfs, path) + 8);
        write_bytes(vfs, path, offset, fuzz_bytes(input), false);
        break;
    }
    case 3: /* cut */
        if (vfs_open(vfs, path, VFS_WRITE, &file) == STATUS_OK) {
            require_ok(vfs_truncate(file, draw_offset(input, size_of(vfs, path))), "truncate");
            vfs_close(file);
        }
        break;
    case 4:
        (void)vfs_remove(vfs, path);
        break;
    case 5: /* another file's content, or another name */
    case 6:
        path_of(draw_name(input, &names, true, other), other_path);
        if (form % 9 == 6)
            (void)vfs_rename(vfs, path, other_path);
        else if (vfs_read_file(vfs, path, 1 << 20, &bytes) == STATUS_OK)
            write_bytes(vfs, other_path, 0, buffer_slice(&bytes), true);
        break;
    case 7:
        write_current(vfs, fuzz_bytes(input));
        break;
    default: /* a file of the input's own */
        path_of(draw_name(input, &names, true, other), other_path);
        write_bytes(vfs, other_path, 0, fuzz_bytes(input), true);
    }
    buffer_release(&bytes);
}

/* ---- Checks --------------------------------------------------------------------------------- */

static void require_once_written(struct slice key, struct slice value)
{
    char text[32];
    fuzz_require(key.size == 4);
    snprintf(text, sizeof text, "%u of round ", be32_load(key.data));
    fuzz_require(slice_starts_with(value, slice_from(text)));
}

static void read_all(struct lsm *db, bool is_sound)
{
    struct lsm_reader *reader = lsm_reader_create(db);
    lsm_read_begin(reader);
    for (unsigned tree = 0; tree < TREES; tree++) {
        const struct lsm_iter_options all = {{0}};
        struct lsm_iter *iter = lsm_iter_open(reader, tree, &all);
        size_t forward = 0, backward = 0;
        for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter), forward++)
            require_once_written(lsm_iter_key(iter), lsm_iter_value(iter));
        enum status status = lsm_iter_status(iter);
        fuzz_require(status == STATUS_OK || (!is_sound && status == STATUS_CORRUPT));
        for (lsm_iter_seek_last(iter); lsm_iter_valid(iter); lsm_iter_prev(iter), backward++)
            require_once_written(lsm_iter_key(iter), lsm_iter_value(iter));
        fuzz_require(!is_sound || (lsm_iter_status(iter) == STATUS_OK && forward == backward));
        lsm_iter_close(iter);
    }
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
}

static void open_and_read(struct vfs *vfs, bool is_sound)
{
    struct env env = memory_env(vfs);
    struct lsm_options existing = options;
    struct lsm_report report = {""};
    struct lsm *db;
    existing.must_exist = true;
    for (int pass = 0; pass < 2; pass++) {
        enum status status = lsm_open(&env, directory, &existing, &report, &db);
        if (is_sound)
            require_ok(status, report.text);
        if (status != STATUS_OK) {
            fuzz_require(report.text[0]);
            return;
        }
        read_all(db, is_sound);
        if (is_sound) {
            put(db, 0, 7, pass);
            lsm_request_compact(db);
            work(db);
            require_ok(lsm_check_invariants(db, &report), report.text);
            read_all(db, true);
            require_ok(lsm_close(db), "close");
        } else {
            (void)lsm_close(db); /* what cannot be read may not be compacted either */
        }
    }
}

struct findings {
    size_t count;
};

static void count_finding(void *context, const char *file, const char *finding)
{
    struct findings *findings = context;
    fuzz_require(file != NULL);
    findings->count += finding != NULL;
    fuzz_require(!finding || finding[0]);
}

static enum status verify(struct vfs *vfs)
{
    struct env env = memory_env(vfs);
    struct findings findings = {0};
    enum status status = lsm_verify(&env, directory, prefix_codecs, count_finding, &findings);
    fuzz_require((status == STATUS_CORRUPT) == (findings.count > 0));
    return status;
}

static void say(void *context, const char *line)
{
    (void)context;
    fuzz_require(line[0]);
}

static void check(struct vfs *vfs)
{
    enum status found = verify(vfs);
    fuzz_require(verify(vfs) == found);
    struct vfs *copy = copy_of(vfs);
    open_and_read(copy, found == STATUS_OK);
    vfs_destroy(copy);
    struct env env = memory_env(vfs);
    enum status repaired = lsm_repair(&env, directory, prefix_codecs, say, NULL);
    if (found == STATUS_OK)
        require_ok(repaired, "repair of a sound database");
    if (repaired == STATUS_OK) {
        require_ok(verify(vfs), "verify after repair");
        open_and_read(vfs, true);
        require_ok(verify(vfs), "verify after writing on");
    } else {
        fuzz_require(repaired != STATUS_IO);
        fuzz_require(repaired == STATUS_NOT_FOUND || repaired == STATUS_UNSUPPORTED ||
                     repaired == STATUS_CORRUPT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vfs *databases[2];
    struct slice input = slice_make(data, size);
    unsigned choice = fuzz_below(&input, 2);
    if (!databases[choice])
        databases[choice] = make_database(choice == 0);
    struct vfs *vfs = copy_of(databases[choice]);
    for (int i = 0; i < EDITS_MAX && input.size > 0; i++)
        edit(vfs, &input);
    check(vfs);
    vfs_destroy(vfs);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    if (index >= 60)
        return false;
    buffer_append_byte(out, (uint8_t)(index & 1));
    if (index < 2)
        return true;
    buffer_append_byte(out, (uint8_t)(index / 2 % 9));
    buffer_append_byte(out, (uint8_t)(index / 6));  /* the file */
    buffer_append_byte(out, (uint8_t)(index * 67)); /* where, or the other name */
    buffer_append_byte(out, (uint8_t)(index * 5));
    buffer_append_byte(out, (uint8_t)(index * 29));
    buffer_append_text(out, "\7MANIFES");
    return true;
}
