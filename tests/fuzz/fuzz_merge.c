/* SPDX-License-Identifier: MIT */
/* Bytes as versions spread over cursors, moves of the cursor that merges them, and range deletions as
 * a map; compared with one sorted list and with asking every range. */
#include "fuzz/fuzz.h"

#include "base/memory.h"
#include "lsm/merge_cursor.h"
#include "lsm/range_map.h"
#include "unit/lsm/array_cursor.h"

enum { CHILDREN_MAX = 6, ENTRIES_MAX = 120, RANGES_MAX = 24, LSN_MAX = 15 };

struct versions {
    struct entry entries[ENTRIES_MAX];
    size_t count;
};

static struct slice draw_key(struct slice *input)
{
    static uint8_t keys[256][2];
    uint8_t choice = fuzz_byte(input);
    keys[choice][0] = choice >> 2 & 31;
    keys[choice][1] = choice & 3;
    return slice_make(keys[choice], choice & 0x80 ? 1 : 2);
}

/* ---- Merging -------------------------------------------------------------------------------- */

static bool holds(const struct versions *versions, const struct entry *entry)
{
    for (size_t i = 0; i < versions->count; i++)
        if (array_entry_compare(&versions->entries[i], entry) == 0)
            return true;
    return false;
}

static void require_at(const struct cursor *cursor, const struct versions *all, size_t at)
{
    fuzz_require(cursor->status == STATUS_OK);
    fuzz_require(cursor->valid == (at < all->count));
    if (!cursor->valid)
        return;
    fuzz_require(slice_equal(cursor->key, all->entries[at].key));
    fuzz_require(slice_equal(cursor->value, all->entries[at].value));
    fuzz_require(cursor->lsn == all->entries[at].lsn && cursor->kind == all->entries[at].kind);
}

static size_t place(struct cursor *cursor, const struct versions *all, struct slice *input)
{
    unsigned form = fuzz_below(input, 4);
    struct slice key = draw_key(input);
    lsn_t lsn = fuzz_below(input, LSN_MAX + 2);
    size_t at = 0;
    if (form == 0) {
        cursor->ops->first(cursor);
        return 0;
    }
    if (form == 1) {
        cursor->ops->last(cursor);
        return all->count ? all->count - 1 : 0;
    }
    if (form == 2) {
        const struct entry wanted = {.key = key, .lsn = lsn};
        cursor->ops->seek(cursor, key, lsn);
        while (at < all->count && array_entry_compare(&all->entries[at], &wanted) < 0)
            at++;
        return at;
    }
    cursor->ops->seek_for_prev(cursor, key);
    while (at < all->count && slice_compare(all->entries[at].key, key) <= 0)
        at++;
    return at ? at - 1 : all->count;
}

static void check_merge(struct slice input)
{
    static struct versions all, children[CHILDREN_MAX];
    struct cursor *cursors[CHILDREN_MAX];
    size_t child_count = fuzz_below(&input, CHILDREN_MAX + 1);
    size_t wanted = fuzz_below(&input, ENTRIES_MAX);
    all.count = 0;
    for (size_t i = 0; i < child_count; i++)
        children[i].count = 0;
    while (child_count > 0 && all.count < wanted && input.size > 0) {
        struct versions *child = &children[fuzz_below(&input, (unsigned)child_count)];
        struct entry entry = {.key = draw_key(&input)};
        uint8_t rest = fuzz_byte(&input);
        entry.lsn = rest & LSN_MAX;
        entry.kind = rest >> 7;
        entry.value = slice_make(input.data, input.size < 3 ? input.size : 3);
        if (holds(&all, &entry))
            continue;
        all.entries[all.count++] = entry;
        child->entries[child->count++] = entry;
    }
    qsort(all.entries, all.count, sizeof all.entries[0], array_entry_compare);
    for (size_t i = 0; i < child_count; i++) {
        qsort(children[i].entries, children[i].count, sizeof all.entries[0], array_entry_compare);
        cursors[i] = array_cursor_create(children[i].entries, children[i].count);
    }
    struct cursor *cursor = merge_cursor_create(cursors, child_count);
    fuzz_require(!cursor->valid);
    do {
        size_t at = place(cursor, &all, &input);
        require_at(cursor, &all, at);
        for (uint8_t moves = fuzz_byte(&input); moves > 0 && cursor->valid; moves >>= 1) {
            if (moves & 1) {
                cursor->ops->next(cursor);
                at++;
            } else {
                cursor->ops->prev(cursor);
                at = at ? at - 1 : all.count;
            }
            require_at(cursor, &all, at);
        }
    } while (input.size > 0);
    cursor->ops->destroy(cursor);
}

/* ---- Ranges --------------------------------------------------------------------------------- */

static lsn_t model_find(const struct range_delete *ranges, size_t count, lsn_t lsn_max,
                        struct slice key)
{
    lsn_t newest = 0;
    for (size_t i = 0; i < count; i++)
        if (ranges[i].lsn <= lsn_max && ranges[i].lsn > newest &&
            slice_compare(ranges[i].from, key) <= 0 && slice_compare(key, ranges[i].to) < 0)
            newest = ranges[i].lsn;
    return newest;
}

/* Every key that can be drawn, ascending. */
static size_t all_keys(uint8_t keys[][2], size_t sizes[])
{
    size_t count = 0;
    for (unsigned first = 0; first < 32; first++) {
        for (unsigned second = 0; second < 5; second++) {
            keys[count][0] = (uint8_t)first;
            keys[count][1] = (uint8_t)(second - 1);
            sizes[count++] = second ? 2 : 1;
        }
    }
    return count;
}

static void check_ranges(struct slice input)
{
    struct range_delete ranges[RANGES_MAX], drawn[RANGES_MAX];
    static uint8_t keys[160][2];
    static size_t sizes[160];
    size_t count = 0, hint = 0, key_count = all_keys(keys, sizes);
    struct range_map map;
    lsn_t lsn_max = fuzz_below(&input, LSN_MAX + 1);
    while (input.size > 0 && count < RANGES_MAX) {
        struct slice from = draw_key(&input), to = draw_key(&input);
        lsn_t lsn = 1 + fuzz_below(&input, LSN_MAX);
        if (slice_compare(from, to) < 0)
            ranges[count++] = (struct range_delete){from, to, lsn};
    }
    memcpy(drawn, ranges, sizeof drawn);
    range_map_init(&map, ranges, count, lsn_max);
    for (size_t i = 0; i < map.count; i++) {
        fuzz_require(slice_compare(map.pieces[i].from, map.pieces[i].to) < 0);
        fuzz_require(i == 0 || slice_compare(map.pieces[i - 1].to, map.pieces[i].from) <= 0);
    }
    for (size_t i = 0; i < key_count; i++) {
        struct slice key = slice_make(keys[i], sizes[i]);
        fuzz_require(range_map_find(&map, key, &hint) == model_find(drawn, count, lsn_max, key));
        size_t none = 0;
        fuzz_require(range_map_find(&map, key, &none) == model_find(drawn, count, lsn_max, key));
    }
    /* Tables from one key to another: covered if all keys between are, by newer deletions. */
    for (size_t first = 0; first < key_count; first += 13) {
        for (size_t last = first; last < key_count; last += 29) {
            struct table_properties table = {.lsn_max = lsn_max / 2};
            bool model = true;
            buffer_append(&table.smallest, keys[first], sizes[first]);
            buffer_append(&table.largest, keys[last], sizes[last]);
            for (size_t i = first; i <= last; i++)
                model = model && model_find(drawn, count, lsn_max, slice_make(keys[i], sizes[i])) >
                                     table.lsn_max;
            /* Only keys that can be drawn begin and end ranges, so no gap is missed. */
            bool covers = range_map_covers(&map, &table);
            fuzz_require(covers == model);
            table_properties_release(&table);
        }
    }
    range_map_release(&map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    if (fuzz_byte(&input) & 1)
        check_merge(input);
    else
        check_ranges(input);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    if (index > 1)
        return false;
    buffer_append_byte(out, (uint8_t)index);
    buffer_append_byte(out, 4);
    buffer_append_byte(out, 30);
    for (unsigned i = 0; i < 60; i++)
        buffer_append_byte(out, (uint8_t)(i * 37 + i / 5));
    return true;
}
