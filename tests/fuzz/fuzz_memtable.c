/* SPDX-License-Identifier: MIT */
/* Bytes as puts, deletions and reads of a memtable, with and without hash and fingers, compared with a
 * list of everything that was written. What no reader can see any more may be recycled; everything else
 * must be found: by point reads and cursors at any LSN from the safe one on, and, once frozen, by the
 * cursor over all versions. */
#include "fuzz/fuzz.h"

#include "base/memory.h"
#include "lsm/memtable.h"

enum { WRITES_MAX = 400, KEY_BYTES = 8, STEPS_MAX = 600 };

struct write {
    uint8_t key_bytes[KEY_BYTES];
    struct slice key;
    lsn_t lsn;
    enum entry_kind kind;
    uint8_t value[2];
    size_t value_size;
};

static struct world {
    struct memtable *table;
    struct write writes[WRITES_MAX]; /* in order; a later one of the same key and LSN counts */
    size_t count;
    struct range_delete ranges[WRITES_MAX];
    size_t range_count;
    lsn_t now, safe;
} world;

static lsn_t get_safe_lsn(void *context)
{
    (void)context;
    return world.safe;
}

/* ---- The model ------------------------------------------------------------------------------ */

static const struct write *model_get(struct slice key, lsn_t lsn)
{
    const struct write *found = NULL;
    for (size_t i = 0; i < world.count; i++)
        if (world.writes[i].lsn <= lsn && slice_equal(world.writes[i].key, key))
            found = &world.writes[i]; /* LSNs never go down */
    return found;
}

/* The first visible key >= (or >) / the last <= (or <) the given one. */
static const struct write *model_after(struct slice key, bool inclusive, lsn_t lsn)
{
    const struct write *best = NULL;
    for (size_t i = 0; i < world.count; i++) {
        const struct write *each = &world.writes[i];
        int order = slice_compare(each->key, key);
        if (each->lsn <= lsn && (order > 0 || (inclusive && order == 0)) &&
            (!best || slice_compare(each->key, best->key) < 0))
            best = each;
    }
    return best ? model_get(best->key, lsn) : NULL;
}

static const struct write *model_before(struct slice key, bool inclusive, lsn_t lsn)
{
    const struct write *best = NULL;
    for (size_t i = 0; i < world.count; i++) {
        const struct write *each = &world.writes[i];
        int order = slice_compare(each->key, key);
        if (each->lsn <= lsn && (order < 0 || (inclusive && order == 0)) &&
            (!best || slice_compare(each->key, best->key) > 0))
            best = each;
    }
    return best ? model_get(best->key, lsn) : NULL;
}

static void require_shows(const struct cursor *cursor, const struct write *write)
{
    fuzz_require(cursor->valid == (write != NULL));
    fuzz_require(cursor->status == STATUS_OK);
    if (!write)
        return;
    fuzz_require(slice_equal(cursor->key, write->key));
    fuzz_require(cursor->lsn == write->lsn && cursor->kind == write->kind);
    fuzz_require(slice_equal(cursor->value, slice_make(write->value, write->value_size)));
}

/* ---- Steps ---------------------------------------------------------------------------------- */

/* Keys have a prefix of 4 bytes, of which there are few, and a number; some are shorter or longer. */
static struct slice draw_key(struct slice *input, uint8_t at[KEY_BYTES])
{
    uint8_t choice = fuzz_byte(input);
    size_t size = choice < 0xf0 ? 6 : choice & 7;
    memset(at, 0, KEY_BYTES);
    at[3] = choice >> 6;
    at[4] = choice >> 3 & 7;
    at[5] = choice & 7;
    return slice_make(at, size);
}

static void put(struct slice *input, enum entry_kind kind)
{
    struct write *write = &world.writes[world.count++];
    write->key = draw_key(input, write->key_bytes);
    write->lsn = world.now;
    write->kind = kind;
    write->value[0] = (uint8_t)world.count;
    write->value[1] = (uint8_t)(world.count >> 8);
    write->value_size = kind == ENTRY_DELETE ? 0 : fuzz_below(input, 3);
    memtable_put(world.table, write->key, write->lsn, kind,
                 slice_make(write->value, write->value_size));
}

static lsn_t draw_lsn(struct slice *input)
{
    lsn_t span = world.now - world.safe + 1;
    return world.safe + fuzz_byte(input) % span;
}

static void get(struct slice *input)
{
    uint8_t bytes[KEY_BYTES];
    struct slice key = draw_key(input, bytes), value;
    lsn_t lsn = draw_lsn(input), found_lsn;
    enum entry_kind kind;
    const struct write *write = model_get(key, lsn);
    bool found = memtable_get(world.table, key, lsn, &kind, &found_lsn, &value);
    fuzz_require(found == (write != NULL));
    if (found)
        fuzz_require(kind == write->kind && found_lsn == write->lsn &&
                     slice_equal(value, slice_make(write->value, write->value_size)));
}

static void move(struct slice *input)
{
    uint8_t bytes[KEY_BYTES];
    lsn_t lsn = draw_lsn(input);
    struct cursor *cursor = memtable_cursor_create(world.table, lsn);
    struct slice key = draw_key(input, bytes), none = {0};
    uint8_t moves = fuzz_byte(input);
    const struct write *at;
    if ((moves & 3) == 0) {
        cursor->ops->first(cursor);
        at = model_after(none, true, lsn);
    } else if ((moves & 3) == 1) {
        uint8_t high[KEY_BYTES + 1];
        memset(high, 0xff, sizeof high);
        cursor->ops->last(cursor);
        at = model_before(slice_make(high, sizeof high), true, lsn);
    } else if ((moves & 3) == 2) {
        cursor->ops->seek(cursor, key, lsn);
        at = model_after(key, true, lsn);
    } else {
        cursor->ops->seek_for_prev(cursor, key);
        at = model_before(key, true, lsn);
    }
    require_shows(cursor, at);
    for (moves >>= 2; moves > 0 && cursor->valid; moves >>= 1) {
        if (moves & 1) {
            cursor->ops->next(cursor);
            at = model_after(at->key, false, lsn);
        } else {
            cursor->ops->prev(cursor);
            at = model_before(at->key, false, lsn);
        }
        require_shows(cursor, at);
    }
    cursor->ops->destroy(cursor);
}

static void delete_range(struct slice *input)
{
    struct write *from = &world.writes[world.count++], *to = &world.writes[world.count++];
    from->key = draw_key(input, from->key_bytes);
    to->key = draw_key(input, to->key_bytes);
    from->lsn = to->lsn = UINT64_MAX; /* no versions, only keys */
    if (slice_compare(from->key, to->key) >= 0)
        return; /* the engine keeps these away */
    world.ranges[world.range_count] = (struct range_delete){from->key, to->key, world.now};
    memtable_delete_range(world.table, world.ranges[world.range_count++]);
}

static void check_ranges(void)
{
    size_t left = world.range_count;
    const struct memtable_range *range = memtable_ranges(world.table);
    for (; range; range = range->next) {
        fuzz_require(left-- > 0);
        fuzz_require(slice_equal(range->range.from, world.ranges[left].from));
        fuzz_require(slice_equal(range->range.to, world.ranges[left].to));
        fuzz_require(range->range.lsn == world.ranges[left].lsn);
    }
    fuzz_require(left == 0);
}

/* Frozen: everything in cursor order; of a key all that a reader from the safe LSN on can see. */
static void check_all(void)
{
    struct cursor *cursor = memtable_cursor_create_all(world.table);
    uint64_t versions = 0;
    struct slice key = {0};
    lsn_t newer = 0; /* LSN of the version before, of the same key */
    bool is_first = true;
    for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor)) {
        int order = is_first ? -1 : slice_compare(key, cursor->key);
        fuzz_require(order < 0 || (order == 0 && cursor->lsn < newer));
        if (order < 0)
            newer = UINT64_MAX;
        /* Nothing visible lies between this version and the newer one. */
        const struct write *at =
            model_get(cursor->key, newer == UINT64_MAX ? world.now : newer - 1);
        if (newer == UINT64_MAX || newer > world.safe)
            require_shows(cursor, at);
        key = cursor->key;
        newer = cursor->lsn;
        is_first = false;
        versions++;
    }
    cursor->ops->destroy(cursor);
    /* Those that were replaced within their batch are in use, too, and shown by none. */
    fuzz_require(versions <= memtable_version_count(world.table));
}

static void step(struct slice *input)
{
    uint8_t choice = fuzz_byte(input);
    if (world.count + 2 <= WRITES_MAX && choice < 0x60)
        put(input, ENTRY_PUT);
    else if (world.count + 2 <= WRITES_MAX && choice < 0x70)
        put(input, ENTRY_DELETE);
    else if (world.count + 2 <= WRITES_MAX && choice < 0x78)
        delete_range(input);
    else if (choice < 0xa0)
        get(input);
    else if (choice < 0xc0)
        move(input);
    else if (choice < 0xe0)
        world.now += 1 + (choice & 7);
    else
        world.safe = draw_lsn(input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    uint8_t form = fuzz_byte(&input);
    world.count = world.range_count = 0;
    world.now = world.safe = 10;
    world.table = memtable_create(&(struct memtable_options){
        .bytes_expected = 1 << 12,
        .finger_prefix_bytes = form & 2 ? 4 : 0,
        .has_hash = form & 1,
        .safe_lsn = get_safe_lsn,
    });
    for (int i = 0; i < STEPS_MAX && input.size > 0; i++)
        step(&input);
    struct lsm_report report = {""};
    if (memtable_check(world.table, 0, UINT64_MAX, &report) != STATUS_OK)
        fprintf(stderr, "%s\n", report.text), abort();
    check_ranges();
    memtable_freeze(world.table);
    check_all();
    memtable_destroy(world.table);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    if (index > 3)
        return false;
    buffer_append_byte(out, (uint8_t)index);
    for (unsigned i = 0; i < 40; i++) {
        buffer_append_byte(out, i % 7 ? 0x10 : 0x65);
        buffer_append_byte(out, (uint8_t)(i * (index + 1)));
        buffer_append_byte(out, 2);
        buffer_append_text(out, i % 3 ? "\xc1" : "\xa1\x05\x05\xff");
        buffer_append_text(out, i % 5 ? "\x80\x05\x01" : "\xe1\x03");
    }
    return true;
}
