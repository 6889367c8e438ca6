/* SPDX-License-Identifier: MIT */
/* Bytes as operations on the engine: batches of puts, deletions and range deletions, snapshots and
 * readers that are held, background work, clean stops, kills and power losses after a sync; compared
 * with an array of what each key holds. Two trees, one leveled and one of time runs. */
#include "fuzz/fuzz.h"

#include "lib/prefix_codec.h"
#include "lsm/lsm.h"
#include "unit/lsm/memory_env.h"

enum { TREES = 2, KEYS = 64, VIEWS_MAX = 4, STEPS_MAX = 400, VALUE_BYTES_MAX = 700 };

/* What each key holds: the number of the put, 0: nothing. */
struct model {
    uint32_t numbers[TREES][KEYS];
};

/* A moment that was kept: by a snapshot, or by a reader that began and has not ended. */
struct view {
    struct lsm_snapshot *snapshot;
    struct lsm_reader *reader;
    bool is_open;
    struct model model;
};

static struct world {
    struct vfs *vfs;
    struct env env;
    struct lsm *db;
    struct lsm_reader *reader;
    struct model model;
    struct view views[VIEWS_MAX];
    uint32_t next_number;
    uint8_t form;
} world;

/* ---- Keys and values ------------------------------------------------------------------------ */

/* A prefix of 4 bytes and a number; every fifth key is a longer one. */
static struct slice key_of(unsigned index)
{
    static uint8_t keys[KEYS][9];
    static const uint8_t tail[9] = {0, 0, 0, 0, 0, 0, 0xff, 'x', 'y'};
    memcpy(keys[index], tail, sizeof tail);
    keys[index][3] = (uint8_t)(index / 24);
    keys[index][5] = (uint8_t)(index % 24);
    return slice_make(keys[index], index % 5 ? 6 : 9);
}

static struct slice value_of(uint32_t number)
{
    static uint8_t bytes[VALUE_BYTES_MAX];
    size_t size = number % 3 ? number % 40 : number * 7 % VALUE_BYTES_MAX;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number + i * (number | 1));
    return slice_make(bytes, size);
}

static void require_ok(enum status status, const char *what)
{
    if (status != STATUS_OK)
        fprintf(stderr, "%s: %s\n", what, status_text(status));
    fuzz_require(status == STATUS_OK);
}

/* ---- Reading -------------------------------------------------------------------------------- */

static void require_get(struct lsm_reader *reader, const struct model *model, unsigned tree,
                        unsigned key)
{
    struct slice value;
    uint32_t number = model->numbers[tree][key];
    enum status status = lsm_get(reader, tree, key_of(key), &value);
    fuzz_require(status == (number ? STATUS_OK : STATUS_NOT_FOUND));
    fuzz_require(!number || slice_equal(value, value_of(number)));
}

/* The next key that is there, from `key` on (`key` -1 and KEYS are the ends). */
static int model_next(const struct model *model, unsigned tree, int key, int step)
{
    while (key >= 0 && key < KEYS && !model->numbers[tree][key])
        key += step;
    return key;
}

static void require_shows(const struct lsm_iter *iter, const struct model *model, unsigned tree,
                          int key, int lower, int upper)
{
    require_ok(lsm_iter_status(iter), "iterator");
    fuzz_require(lsm_iter_valid(iter) == (key >= lower && key < upper));
    if (!lsm_iter_valid(iter))
        return;
    fuzz_require(slice_equal(lsm_iter_key(iter), key_of((unsigned)key)));
    fuzz_require(slice_equal(lsm_iter_value(iter), value_of(model->numbers[tree][key])));
}

static void walk(struct lsm_reader *reader, const struct model *model, struct slice *input)
{
    unsigned tree = fuzz_below(input, TREES);
    int lower = 0, upper = KEYS, key = (int)fuzz_below(input, KEYS);
    uint8_t form = fuzz_byte(input), moves;
    struct lsm_iter_options options = {.keep_cache = form & 0x80};
    if (form & 0x40) {
        lower = (int)fuzz_below(input, KEYS);
        options.lower = key_of((unsigned)lower);
    }
    if (form & 0x20) {
        upper = (int)fuzz_below(input, KEYS);
        options.upper = key_of((unsigned)upper);
    }
    if (lower > upper)
        return;
    struct lsm_iter *iter = lsm_iter_open(reader, tree, &options);
    switch (form & 3) {
    case 0:
        lsm_iter_seek_first(iter);
        key = model_next(model, tree, lower, 1);
        break;
    case 1:
        lsm_iter_seek_last(iter);
        key = model_next(model, tree, upper - 1, -1);
        break;
    case 2:
        lsm_iter_seek(iter, key_of((unsigned)key));
        key = model_next(model, tree, key > lower ? key : lower, 1);
        break;
    default:
        lsm_iter_seek_for_prev(iter, key_of((unsigned)key));
        key = model_next(model, tree, key < upper ? key : upper - 1, -1);
    }
    require_shows(iter, model, tree, key, lower, upper);
    do {
        moves = fuzz_byte(input);
        for (unsigned bits = moves; bits > 0 && lsm_iter_valid(iter); bits >>= 1) {
            int step = bits & 1 ? 1 : -1;
            if (step > 0)
                lsm_iter_next(iter);
            else
                lsm_iter_prev(iter);
            key = model_next(model, tree, key + step, step);
            require_shows(iter, model, tree, key, lower, upper);
        }
    } while (moves & 0x80 && lsm_iter_valid(iter));
    lsm_iter_close(iter);
}

static void require_all(struct lsm_reader *reader, const struct model *model)
{
    for (unsigned tree = 0; tree < TREES; tree++) {
        const struct lsm_iter_options options = {{0}};
        struct lsm_iter *iter = lsm_iter_open(reader, tree, &options);
        int key = model_next(model, tree, 0, 1);
        for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter)) {
            require_shows(iter, model, tree, key, 0, KEYS);
            key = model_next(model, tree, key + 1, 1);
        }
        fuzz_require(key == KEYS);
        key = model_next(model, tree, KEYS - 1, -1);
        for (lsm_iter_seek_last(iter); lsm_iter_valid(iter); lsm_iter_prev(iter)) {
            require_shows(iter, model, tree, key, 0, KEYS);
            key = model_next(model, tree, key - 1, -1);
        }
        fuzz_require(key == -1);
        require_ok(lsm_iter_status(iter), "iterator");
        lsm_iter_close(iter);
        for (unsigned each = 0; each < KEYS; each += 3)
            require_get(reader, model, tree, each);
    }
}

static void read_now(struct slice *input, bool all)
{
    lsm_read_begin(world.reader);
    if (all)
        require_all(world.reader, &world.model);
    else
        walk(world.reader, &world.model, input);
    lsm_read_end(world.reader);
}

/* ---- Views ---------------------------------------------------------------------------------- */

static void view_open(struct view *view, bool by_snapshot)
{
    *view = (struct view){.is_open = true, .model = world.model};
    view->reader = lsm_reader_create(world.db);
    if (by_snapshot)
        view->snapshot = lsm_snapshot_acquire(world.db);
    else
        lsm_read_begin(view->reader);
}

static void view_check(struct view *view, struct slice *input, bool all)
{
    if (view->snapshot)
        lsm_read_begin_at(view->reader, view->snapshot);
    if (all)
        require_all(view->reader, &view->model);
    else
        walk(view->reader, &view->model, input);
    if (view->snapshot)
        lsm_read_end(view->reader);
}

static void view_close(struct view *view)
{
    struct slice none = {0};
    if (!view->is_open)
        return;
    view_check(view, &none, true);
    if (view->snapshot)
        lsm_snapshot_release(view->snapshot);
    else
        lsm_read_end(view->reader);
    lsm_reader_destroy(view->reader);
    view->is_open = false;
}

/* ---- Writing -------------------------------------------------------------------------------- */

static void write_one(struct lsm_writer *writer, struct slice *input)
{
    uint8_t form = fuzz_byte(input);
    unsigned tree = form & 1, key = fuzz_below(input, KEYS);
    if (form < 0xc0) {
        uint32_t number = ++world.next_number;
        lsm_put(writer, tree, key_of(key), value_of(number));
        world.model.numbers[tree][key] = number;
    } else if (form < 0xe8) {
        lsm_delete(writer, tree, key_of(key));
        world.model.numbers[tree][key] = 0;
    } else {
        unsigned end = fuzz_below(input, KEYS);
        if (key >= end)
            return;
        lsm_delete_range(writer, tree, key_of(key), key_of(end));
        memset(&world.model.numbers[tree][key], 0, (end - key) * sizeof(uint32_t));
    }
}

static void write_batch(struct slice *input)
{
    unsigned count = 1 + fuzz_below(input, 12);
    bool looks = fuzz_byte(input) & 1;
    struct lsm_writer *writer;
    lsm_lock(world.db);
    require_ok(lsm_write_begin(world.db, count * (VALUE_BYTES_MAX + 64), false, &writer), "write");
    for (unsigned i = 0; i < count; i++) {
        write_one(writer, input);
        if (looks && i % 3 == 2) /* the batch's reader sees what it has written */
            require_all(lsm_writer_reader(writer), &world.model);
    }
    lsm_write_end(writer);
    lsm_unlock(world.db);
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static void open_db(void)
{
    struct lsm_report report = {""};
    const struct lsm_options options = {
        .trees = {{.name = "keys",
                   .block_bytes = 512,
                   .filter_bits_per_key = world.form & 1 ? 10 : 0},
                  {.name = "entries",
                   .compaction = LSM_TIME_RUNS,
                   .block_bytes = 1024,
                   .filter_bits_per_key = 8,
                   .filter_prefix_bytes = 4,
                   .finger_prefix_bytes = world.form & 2 ? 4 : 0,
                   .codec = world.form & 4 ? NULL : &prefix_codec}},
        .tree_count = TREES,
        .memtable_bytes = 64 << 10,
        .block_cache_bytes = 64 << 10,
        .wal_segment_bytes = 16 << 10,
        .table_bytes_max = 4 << 10,
    };
    enum status status = lsm_open(&world.env, "/db", &options, &report, &world.db);
    require_ok(status, report.text);
    world.reader = lsm_reader_create(world.db);
}

static void close_db(void)
{
    for (unsigned i = 0; i < VIEWS_MAX; i++)
        view_close(&world.views[i]);
    lsm_reader_destroy(world.reader);
    require_ok(lsm_close(world.db), "close");
}

/* What the disk holds now is what the next one finds. */
static void crash(bool loses_power)
{
    struct vfs *after;
    if (loses_power)
        require_ok(lsm_wal_sync(world.db), "sync");
    else
        require_ok(lsm_wal_write(world.db), "write");
    after = vfs_memory_after_power_loss(world.vfs, loses_power ? VFS_LOSE_UNSYNCED : VFS_KEEP_ALL,
                                        world.next_number);
    close_db();
    vfs_destroy(world.vfs);
    world.vfs = after;
    world.env = memory_env(after);
    open_db();
}

static void check_invariants(void)
{
    struct lsm_report report = {""};
    struct lsm_stats stats;
    require_ok(lsm_check_invariants(world.db, &report), report.text);
    lsm_get_stats(world.db, &stats);
    fuzz_require(stats.background_error == STATUS_OK && !stats.read_only);
}

static void work(unsigned pieces)
{
    for (unsigned i = 0; i < pieces && lsm_work(world.db, 2048); i++)
        ;
}

static void step(struct slice *input)
{
    uint8_t choice = fuzz_byte(input);
    struct view *view = &world.views[choice % VIEWS_MAX];
    if (choice < 0x60) {
        write_batch(input);
    } else if (choice < 0x80) {
        read_now(input, false);
    } else if (choice < 0xa0) {
        if (view->is_open)
            view_check(view, input, false);
        else
            view_open(view, choice & 8);
    } else if (choice < 0xb0) {
        view_close(view);
    } else if (choice < 0xc8) {
        work(choice & 15);
    } else if (choice < 0xd8) {
        lsm_request_flush(world.db);
        work(choice & 7);
    } else if (choice < 0xe0) {
        lsm_request_compact(world.db);
        work(choice & 7);
    } else if (choice < 0xe8) {
        require_ok(lsm_wal_rotate(world.db), "rotate");
    } else if (choice < 0xf0) {
        require_ok(lsm_wal_sync(world.db), "sync");
    } else if (choice < 0xf4) {
        close_db();
        open_db();
    } else if (choice < 0xfc) {
        crash(choice & 1);
    } else {
        check_invariants();
        read_now(input, true);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    world = (struct world){.vfs = vfs_memory_create(), .form = fuzz_byte(&input)};
    world.env = memory_env(world.vfs);
    open_db();
    for (int i = 0; i < STEPS_MAX && input.size > 0; i++)
        step(&input);
    check_invariants();
    lsm_request_compact(world.db);
    work(1000);
    fuzz_require(lsm_is_idle(world.db));
    check_invariants();
    read_now(&input, true);
    close_db();
    open_db();
    read_now(&input, true);
    close_db();
    require_ok(lsm_verify(&world.env, "/db", prefix_codecs, NULL, NULL), "verify");
    vfs_destroy(world.vfs);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    if (index > 3)
        return false;
    buffer_append_byte(out, (uint8_t)index);
    for (unsigned i = 0; i < 30; i++) {
        buffer_append_byte(out, 0); /* a batch of five */
        buffer_append_text(out, "\4\1");
        for (unsigned k = 0; k < 5; k++) {
            buffer_append_byte(out, (uint8_t)(i * 11 + k * 53));
            buffer_append_byte(out, (uint8_t)(i * 7 + k));
            if ((uint8_t)(i * 11 + k * 53) >= 0xe8)
                buffer_append_byte(out, (uint8_t)(i + 20));
        }
        if (i % 4 == index)
            buffer_append_text(out, i % 3 ? "\xcf" : "\xdf");
        if (i % 6 == index)
            buffer_append_text(out, "\x80\x88");
        if (i % 7 == index)
            buffer_append_text(out, "\x60\1\7\2\x95\x35");
        if (i % 9 == index)
            buffer_append_byte(out, (uint8_t)(0xf0 + i % 14));
    }
    return true;
}
