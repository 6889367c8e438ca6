/* SPDX-License-Identifier: MIT */
/* Bytes as verbs on strings, lists, streams and logs, compared with arrays; between them flushes,
 * merges, clean stops, kills. Sixteen keys would never meet: there are four of each type. */
#include "fuzz/fuzz.h"

#include "lib/memory_store.h"
#include "types/list.h"
#include "types/log.h"
#include "types/store_check.h"
#include "types/string.h"

#include <stdlib.h>

enum { OBJECTS = 4, ITEMS_MAX = 700, STEPS_MAX = 300, VALUE_BYTES_MAX = 70000 };

/* A value is a number; its bytes follow from that. */
struct entry {
    struct stream_id id;
    uint64_t event_ms, ordinal;
    uint32_t value;
};

static struct world {
    struct memory_store ms;
    uint32_t strings[OBJECTS]; /* 0: no such key */
    struct {
        uint32_t items[ITEMS_MAX];
        size_t count;
    } lists[OBJECTS];
    struct {
        bool exists;
        struct entry entries[ITEMS_MAX];
        size_t count;
        struct stream_id last_id;
        uint64_t next_ordinal;
    } streams[OBJECTS];
    uint32_t next_value;
} world;

static struct memory_store *const ms = &world.ms;

/* ---- Values and keys ------------------------------------------------------------------------ */

static uint32_t draw_value(struct slice *input)
{
    return ++world.next_value << 8 | fuzz_byte(input);
}

static struct slice value_of(uint32_t value)
{
    static uint8_t bytes[4][VALUE_BYTES_MAX];
    static unsigned next;
    static const size_t sizes[] = {0,     1,     511,   4096,  32767, 32768,
                                   32769, 65535, 65536, 65537, 70000};
    uint8_t form = (uint8_t)value;
    size_t size = form < 0xf0 ? form / 4 : sizes[value % (sizeof sizes / sizeof *sizes)];
    uint8_t *at = bytes[next++ % 4];
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)((value >> 8) * 31 + i + (i >> 8));
    return slice_make(at, size);
}

static struct slice key_of(char type, unsigned index)
{
    static char keys[3][OBJECTS][8];
    char *key = keys[type == 's' ? 0 : type == 'l' ? 1 : 2][index];
    snprintf(key, 8, index % 2 ? "{t}%c%u" : "%c%u", type, index);
    return slice_from(key);
}

static void require_status(enum status status, enum status expected)
{
    if (status != expected)
        fprintf(stderr, "%s instead of %s\n", status_text(status), status_text(expected));
    fuzz_require(status == expected);
}

/* ---- Strings -------------------------------------------------------------------------------- */

static void string_step(struct slice *input, unsigned index)
{
    struct slice key = key_of('s', index), found;
    struct object old;
    const struct string_set_options options = {0};
    uint32_t *model = &world.strings[index];
    switch (fuzz_below(input, 4)) {
    case 0:
    case 1: {
        uint32_t value = draw_value(input);
        memory_store_write(ms);
        enum status status = keyspace_find(&ms->access, key, &old);
        require_status(status, *model ? STATUS_OK : STATUS_NOT_FOUND);
        string_set(&ms->access, key, value_of(value), status ? NULL : &old, &options);
        memory_store_end(ms);
        *model = value;
        break;
    }
    case 2: {
        unsigned other = fuzz_below(input, OBJECTS);
        memory_store_write(ms);
        require_status(keyspace_rename(&ms->access, key, key_of('s', other)),
                       *model ? STATUS_OK : STATUS_NOT_FOUND);
        memory_store_end(ms);
        if (other != index && *model) {
            world.strings[other] = *model;
            *model = 0;
        }
        break;
    }
    default:
        memory_store_read(ms);
        require_status(string_get(&ms->access, key, &found), *model ? STATUS_OK : STATUS_NOT_FOUND);
        fuzz_require(!*model || slice_equal(found, value_of(*model)));
        memory_store_end(ms);
    }
}

/* ---- Lists ---------------------------------------------------------------------------------- */

struct visit {
    const uint32_t *items;
    int64_t at, step, left;
    bool has_begun;
};

static void visit_begin(void *context, uint64_t count)
{
    struct visit *visit = context;
    fuzz_require((int64_t)count == visit->left && !visit->has_begun);
    visit->has_begun = true;
}

static void visit_element(void *context, struct slice value)
{
    struct visit *visit = context;
    fuzz_require(visit->left-- > 0);
    fuzz_require(slice_equal(value, value_of(visit->items[visit->at])));
    visit->at += visit->step;
}

static void ignore_element(void *context, struct slice value)
{
    (void)context;
    (void)value;
}

static void list_push_step(struct slice *input, unsigned index, enum list_end end)
{
    struct slice values[20];
    static uint8_t copies[20][VALUE_BYTES_MAX];
    uint32_t *items = world.lists[index].items;
    size_t count = 1 + fuzz_below(input, 20), old = world.lists[index].count;
    bool only_existing = fuzz_byte(input) >= 0xe0;
    uint64_t length;
    if (old + count > ITEMS_MAX)
        return;
    for (size_t i = 0; i < count; i++) {
        uint32_t value = draw_value(input);
        if (i > 0) /* at most one large one */
            value &= ~(uint32_t)0xc0;
        values[i] = value_of(value);
        memcpy(copies[i], values[i].data, values[i].size);
        values[i].data = copies[i];
        if (only_existing && old == 0)
            continue;
        if (end == LIST_LEFT)
            memmove(items + 1, items, (old + i) * sizeof *items);
        items[end == LIST_LEFT ? 0 : old + i] = value;
    }
    memory_store_write(ms);
    enum status status =
        list_push(&ms->access, key_of('l', index), end, values, count, only_existing, &length);
    memory_store_end(ms);
    if (only_existing && old == 0) {
        require_status(status, STATUS_NOT_FOUND);
        return;
    }
    require_status(status, STATUS_OK);
    world.lists[index].count = old + count;
    fuzz_require(length == old + count);
}

static void list_pop_step(struct slice *input, unsigned index, enum list_end end)
{
    uint32_t *items = world.lists[index].items;
    size_t old = world.lists[index].count, wanted = 1 + fuzz_byte(input) % 40;
    size_t count = wanted < old ? wanted : old;
    struct visit visit = {.items = items,
                          .at = end == LIST_LEFT ? 0 : (int64_t)old - 1,
                          .step = end == LIST_LEFT ? 1 : -1,
                          .left = (int64_t)count};
    const struct list_visitor visitor = {visit_begin, visit_element, &visit};
    memory_store_write(ms);
    require_status(list_pop(&ms->access, key_of('l', index), end, wanted, &visitor),
                   old ? STATUS_OK : STATUS_NOT_FOUND);
    memory_store_end(ms);
    fuzz_require(old == 0 || (visit.left == 0 && visit.has_begun));
    if (end == LIST_LEFT)
        memmove(items, items + count, (old - count) * sizeof *items);
    world.lists[index].count = old - count;
}

/* As Redis has it; *first > *last: nothing. */
static void model_range(int64_t start, int64_t stop, size_t count, int64_t *first, int64_t *last)
{
    int64_t size = (int64_t)count;
    *first = start < 0 ? (start + size < 0 ? 0 : start + size) : start;
    *last = stop < 0 ? stop + size : stop >= size ? size - 1 : stop;
}

static int64_t draw_index(struct slice *input)
{
    uint8_t form = fuzz_byte(input);
    return form < 0xf0 ? (int8_t)form : (int64_t)fuzz_number(input);
}

static void list_read_step(unsigned index, int64_t start, int64_t stop)
{
    size_t count = world.lists[index].count;
    int64_t first, last;
    if (start < -1000000 || stop < -1000000) /* no overflow in the model */
        start = stop = -1000000;
    model_range(start, stop, count, &first, &last);
    struct visit visit = {.items = world.lists[index].items,
                          .at = first,
                          .step = 1,
                          .left = first <= last && first < (int64_t)count ? last - first + 1 : 0};
    const struct list_visitor visitor = {visit_begin, visit_element, &visit};
    struct slice value;
    memory_store_read(ms);
    require_status(list_range(&ms->access, key_of('l', index), start, stop, &visitor),
                   count ? STATUS_OK : STATUS_NOT_FOUND);
    fuzz_require(count == 0 || (visit.left == 0 && visit.has_begun));
    int64_t at = start < 0 ? start + (int64_t)count : start;
    bool is_in = at >= 0 && at < (int64_t)count;
    require_status(list_index(&ms->access, key_of('l', index), start, &value),
                   is_in ? STATUS_OK : STATUS_NOT_FOUND);
    fuzz_require(!is_in || slice_equal(value, value_of(world.lists[index].items[at])));
    memory_store_end(ms);
}

/* LINSERT and LREM of a value that the list has, LSET; values may be the same by chance. */
static size_t list_find_value(unsigned index, struct slice value)
{
    size_t i = 0;
    while (i < world.lists[index].count &&
           !slice_equal(value_of(world.lists[index].items[i]), value))
        i++;
    return i;
}

static void list_insert_step(struct slice *input, unsigned index)
{
    static uint8_t pivot[VALUE_BYTES_MAX];
    uint32_t *items = world.lists[index].items, value = draw_value(input);
    size_t *count = &world.lists[index].count;
    uint64_t length = 0;
    struct list_insertion options = {.is_before = value & 1};
    if (*count == ITEMS_MAX)
        return;
    if (*count > 0) {
        options.pivot = value_of(items[fuzz_number(input) % *count]);
        memcpy(pivot, options.pivot.data, options.pivot.size);
        options.pivot.data = pivot;
    }
    size_t at = list_find_value(index, options.pivot) + !options.is_before;
    options.value = value_of(value);
    memory_store_write(ms);
    require_status(list_insert(&ms->access, key_of('l', index), &options, &length),
                   *count ? STATUS_OK : STATUS_NOT_FOUND);
    memory_store_end(ms);
    if (*count == 0)
        return;
    memmove(items + at + 1, items + at, (*count - at) * sizeof *items);
    items[at] = value;
    fuzz_require(length == ++*count);
}

static void list_remove_step(struct slice *input, unsigned index)
{
    uint32_t *items = world.lists[index].items;
    size_t *count = &world.lists[index].count, kept = 0, old = *count;
    uint64_t removed = 0;
    struct list_removal options = {.count = (int8_t)fuzz_byte(input) / 32};
    static uint8_t bytes[VALUE_BYTES_MAX];
    options.value = value_of(old ? items[fuzz_number(input) % old] : 1);
    memcpy(bytes, options.value.data, options.value.size);
    options.value.data = bytes;
    memory_store_write(ms);
    require_status(list_remove(&ms->access, key_of('l', index), &options, &removed),
                   old ? STATUS_OK : STATUS_NOT_FOUND);
    memory_store_end(ms);
    uint64_t left = options.count ? (uint64_t)llabs(options.count) : UINT64_MAX;
    bool backwards = options.count < 0;
    for (size_t i = 0; i < old; i++) { /* what stays gathers where the walk begins */
        uint32_t item = items[backwards ? old - 1 - i : i];
        if (left > 0 && slice_equal(value_of(item), options.value)) {
            left--;
            removed--;
        } else {
            items[backwards ? old - 1 - kept : kept] = item;
            kept++;
        }
    }
    if (backwards)
        memmove(items, items + old - kept, kept * sizeof *items);
    fuzz_require(removed == 0);
    *count = kept;
}

static void list_set_step(struct slice *input, unsigned index)
{
    size_t count = world.lists[index].count, at = count ? fuzz_number(input) % count : 0;
    uint32_t value = draw_value(input);
    memory_store_write(ms);
    require_status(list_set(&ms->access, key_of('l', index), (int64_t)at, value_of(value)),
                   count ? STATUS_OK : STATUS_NOT_FOUND);
    memory_store_end(ms);
    if (count)
        world.lists[index].items[at] = value;
}

static void list_turn_step(struct slice *input, unsigned index)
{
    static const struct list_visitor ignoring = {.element = ignore_element};
    uint32_t *items = world.lists[index].items;
    size_t count = world.lists[index].count;
    bool from_left = fuzz_byte(input) & 1;
    memory_store_write(ms);
    require_status(list_move(&ms->access, key_of('l', index), from_left ? LIST_LEFT : LIST_RIGHT,
                             key_of('l', index), from_left ? LIST_RIGHT : LIST_LEFT, &ignoring),
                   count ? STATUS_OK : STATUS_NOT_FOUND);
    memory_store_end(ms);
    if (count == 0)
        return;
    uint32_t moved = items[from_left ? 0 : count - 1];
    memmove(items + !from_left, items + from_left, (count - 1) * sizeof *items);
    items[from_left ? count - 1 : 0] = moved;
}

static void list_step(struct slice *input, unsigned index)
{
    uint32_t *items = world.lists[index].items;
    size_t *count = &world.lists[index].count;
    int64_t start, stop, first, last;
    switch (fuzz_below(input, 13)) {
    case 7:
    case 8:
        list_insert_step(input, index);
        break;
    case 9:
    case 10:
        list_remove_step(input, index);
        break;
    case 11:
        list_set_step(input, index);
        break;
    case 12:
        list_turn_step(input, index);
        break;
    case 0:
    case 1:
        list_push_step(input, index, LIST_RIGHT);
        break;
    case 2:
        list_push_step(input, index, LIST_LEFT);
        break;
    case 3:
        list_pop_step(input, index, LIST_LEFT);
        break;
    case 4:
        list_pop_step(input, index, LIST_RIGHT);
        break;
    case 5:
        start = (int8_t)fuzz_byte(input);
        stop = (int8_t)fuzz_byte(input);
        memory_store_write(ms);
        require_status(list_trim(&ms->access, key_of('l', index), start, stop), STATUS_OK);
        memory_store_end(ms);
        model_range(start, stop, *count, &first, &last);
        if (first > last || first >= (int64_t)*count) {
            *count = 0;
        } else {
            memmove(items, items + first, (size_t)(last - first + 1) * sizeof *items);
            *count = (size_t)(last - first + 1);
        }
        break;
    default:
        start = draw_index(input);
        stop = draw_index(input);
        list_read_step(index, start, stop);
    }
}

/* ---- Streams -------------------------------------------------------------------------------- */

#define STREAM(index) (&world.streams[index])

static void model_remove(unsigned index, size_t at, size_t count)
{
    struct entry *entries = STREAM(index)->entries;
    memmove(entries + at, entries + at + count,
            (STREAM(index)->count - at - count) * sizeof *entries);
    STREAM(index)->count -= count;
}

static void model_add(unsigned index, struct stream_id id, uint64_t event_ms, uint32_t value)
{
    STREAM(index)->entries[STREAM(index)->count++] =
        (struct entry){id, event_ms, STREAM(index)->next_ordinal++, value};
    STREAM(index)->last_id = id;
    STREAM(index)->exists = true;
}

static size_t model_trim(unsigned index, const struct stream_trim *trim)
{
    const struct entry *entries = STREAM(index)->entries;
    size_t count = STREAM(index)->count, exact = 0;
    if (trim->kind == STREAM_TRIM_MAXLEN)
        exact = count > trim->maxlen ? count - (size_t)trim->maxlen : 0;
    else
        while (exact < count && stream_id_compare(entries[exact].id, trim->minid) < 0)
            exact++;
    return exact;
}

static void draw_trim(struct slice *input, unsigned index, struct stream_trim *trim)
{
    size_t count = STREAM(index)->count;
    uint8_t form = fuzz_byte(input), place = fuzz_byte(input);
    *trim = (struct stream_trim){.kind = form & 1 ? STREAM_TRIM_MAXLEN : STREAM_TRIM_MINID};
    trim->maxlen = form & 2 ? place : count - (count < place / 8u ? count : place / 8u);
    if (count)
        trim->minid = STREAM(index)->entries[place * count / 256].id;
    trim->minid.seq += form >> 6;
    if (form & 4) {
        trim->node_entries = 7;
        trim->limit = form & 8 ? 1 + place : 0;
    }
}

/* What an approximate trim removed lies between nothing and the exact one, in whole nodes. */
static void require_trimmed(unsigned index, const struct stream_trim *trim, uint64_t removed)
{
    size_t exact = model_trim(index, trim);
    fuzz_require(removed <= exact);
    if (trim->node_entries == 0)
        fuzz_require(removed == exact);
    else if (trim->limit == 0)
        fuzz_require(exact - removed < trim->node_entries);
    else
        fuzz_require(removed <= trim->limit);
    model_remove(index, 0, (size_t)removed);
}

static void find_stream(unsigned index, struct stream *stream)
{
    require_status(stream_find(&ms->access, key_of('x', index), stream),
                   STREAM(index)->exists ? STATUS_OK : STATUS_NOT_FOUND);
}

static void require_header(const struct stream *stream, unsigned index)
{
    fuzz_require(stream->header.length == STREAM(index)->count);
    fuzz_require(stream->header.next_ordinal == STREAM(index)->next_ordinal);
    fuzz_require(stream_id_compare(stream->header.last_id, STREAM(index)->last_id) == 0);
}

static void add_step(struct slice *input, unsigned index)
{
    struct stream stream;
    struct stream_id_spec spec = {.kind = fuzz_below(input, 3)};
    struct stream_trim trim = {0};
    struct stream_id id;
    uint8_t form = fuzz_byte(input);
    uint32_t value = draw_value(input) & ~(uint32_t)0x80;
    if (STREAM(index)->count == ITEMS_MAX)
        return;
    spec.id = STREAM(index)->last_id;
    spec.id.ms += form & 3;
    spec.id.seq = form & 4 ? 0 : spec.id.seq + (form >> 3 & 3);
    if (form & 0x80)
        draw_trim(input, index, &trim);
    memory_store_write(ms);
    require_status(stream_find_or_new(&ms->access, key_of('x', index), &stream), STATUS_OK);
    enum stream_id_verdict verdict = stream_next_id(&stream.header, &spec, ms->now_ms, &id);
    fuzz_require(verdict == STREAM_ID_OK || verdict == STREAM_ID_TOO_SMALL);
    if (verdict == STREAM_ID_OK) {
        struct slice fields[] = {slice_from("f"), value_of(value)};
        struct stream_input added = {.fields = fields, .field_count = 1, .event_ms = id.ms};
        fuzz_require(stream_id_compare(id, STREAM(index)->last_id) > 0);
        require_status(stream_add(&ms->access, &stream, id, &added, &trim), STATUS_OK);
        model_add(index, id, id.ms, value);
        if (trim.kind != STREAM_TRIM_NONE)
            require_trimmed(index, &trim, STREAM(index)->count - stream.header.length);
        require_header(&stream, index);
    }
    memory_store_end(ms);
}

static void log_step(struct slice *input, unsigned index)
{
    struct log_writer writer;
    uint8_t form = fuzz_byte(input);
    size_t count = form & 0x80 ? 1 + (form & 0x3f) : 1;
    uint64_t back = fuzz_byte(input);
    uint32_t value = draw_value(input) & 0xffffff7f;
    if (STREAM(index)->count + count > ITEMS_MAX)
        return;
    memory_store_write(ms);
    require_status(log_write_begin(&ms->access, key_of('x', index), false, count, &writer),
                   STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        uint64_t last_ms = STREAM(index)->last_id.ms;
        struct log_line line = {.message = value_of(value)};
        line.has_time = form & 1;
        line.event_ms = ms->now_ms - (form & 2 ? back + i : back - (i < back ? i : back));
        struct stream_id id = log_write_line(&ms->access, &writer, &line);
        uint64_t event_ms = line.has_time ? line.event_ms : id.ms;
        fuzz_require(stream_id_compare(id, STREAM(index)->last_id) > 0);
        fuzz_require(event_ms <= id.ms && (event_ms < last_ms || id.ms == event_ms));
        model_add(index, id, event_ms, value);
    }
    log_write_end(&ms->access, &writer);
    memory_store_end(ms);
}

static void delete_step(struct slice *input, unsigned index)
{
    struct stream stream;
    struct stream_id ids[16];
    size_t count = 1 + fuzz_below(input, 16), expected = 0;
    uint64_t removed;
    if (STREAM(index)->next_ordinal == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        size_t left = STREAM(index)->count, at = left ? fuzz_byte(input) * left / 256 : 0;
        ids[i] = left ? STREAM(index)->entries[at].id : STREAM(index)->last_id;
        ids[i].seq += left == 0;
    }
    for (size_t i = 0; i < count; i++)
        for (size_t at = 0; at < STREAM(index)->count; at++)
            if (stream_id_compare(STREAM(index)->entries[at].id, ids[i]) == 0) {
                model_remove(index, at, 1);
                expected++;
                break;
            }
    memory_store_write(ms);
    find_stream(index, &stream);
    require_status(stream_delete(&ms->access, &stream, ids, count, &removed), STATUS_OK);
    fuzz_require(removed == expected);
    require_header(&stream, index);
    memory_store_end(ms);
}

static void trim_step(struct slice *input, unsigned index)
{
    struct stream stream;
    struct stream_trim trim;
    uint64_t removed;
    if (!STREAM(index)->exists)
        return;
    draw_trim(input, index, &trim);
    memory_store_write(ms);
    find_stream(index, &stream);
    require_status(stream_trim(&ms->access, &stream, &trim, &removed), STATUS_OK);
    require_trimmed(index, &trim, removed);
    require_header(&stream, index);
    memory_store_end(ms);
}

static void require_entry(const struct stream_entry *entry, const struct entry *model)
{
    struct stream_fields fields = stream_fields_begin(entry);
    struct stream_field field;
    fuzz_require(stream_id_compare(entry->id, model->id) == 0);
    fuzz_require(entry->event_ms == model->event_ms && entry->ordinal == model->ordinal);
    fuzz_require(entry->is_late == (model->event_ms != model->id.ms));
    fuzz_require(stream_fields_next(&fields, &field));
    fuzz_require(slice_equal(field.value, value_of(model->value)));
}

static int compare_moments(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    return stream_moment_compare((struct stream_moment){left->event_ms, left->id},
                                 (struct stream_moment){right->event_ms, right->id});
}

/* Entries from..to by ID, and by event time, in one direction. */
static void read_stream(unsigned index, size_t from, size_t to, bool is_reverse)
{
    static struct entry sorted[ITEMS_MAX];
    struct stream stream;
    struct stream_range by_id;
    struct log_range by_time;
    struct stream_entry entry;
    const struct entry *entries = STREAM(index)->entries;
    size_t count = STREAM(index)->count;
    memory_store_read(ms);
    find_stream(index, &stream);
    if (STREAM(index)->exists)
        require_header(&stream, index);
    if (count == 0) {
        memory_store_end(ms);
        return;
    }
    stream_range_open(&ms->access, &stream, entries[from].id, entries[to].id, is_reverse, &by_id);
    for (size_t i = 0; i <= to - from; i++) {
        require_status(stream_range_next(&by_id, &entry), STATUS_OK);
        require_entry(&entry, &entries[is_reverse ? to - i : from + i]);
    }
    require_status(stream_range_next(&by_id, &entry), STATUS_NOT_FOUND);
    stream_range_close(&by_id);
    memcpy(sorted, entries, count * sizeof *entries);
    qsort(sorted, count, sizeof *sorted, compare_moments);
    log_range_open(
        &ms->access, &stream, (struct stream_moment){sorted[from].event_ms, sorted[from].id},
        (struct stream_moment){sorted[to].event_ms, sorted[to].id}, is_reverse, &by_time);
    for (size_t i = 0; i <= to - from; i++) {
        require_status(log_range_next(&by_time, &entry), STATUS_OK);
        require_entry(&entry, &sorted[is_reverse ? to - i : from + i]);
    }
    require_status(log_range_next(&by_time, &entry), STATUS_NOT_FOUND);
    log_range_close(&by_time);
    require_status(stream_get(&ms->access, &stream, entries[from].id, &entry), STATUS_OK);
    require_entry(&entry, &entries[from]);
    memory_store_end(ms);
}

static void stream_step(struct slice *input, unsigned index)
{
    switch (fuzz_below(input, 8)) {
    case 0:
    case 1:
        for (unsigned count = fuzz_below(input, 12); count > 0; count--)
            add_step(input, index);
        break;
    case 2:
    case 3:
        log_step(input, index);
        break;
    case 4:
        delete_step(input, index);
        break;
    case 5:
        trim_step(input, index);
        break;
    default: {
        size_t count = STREAM(index)->count;
        size_t from = fuzz_byte(input) * count / 256, to = fuzz_byte(input) * count / 256;
        read_stream(index, from < to ? from : to, from < to ? to : from, fuzz_byte(input) & 1);
    }
    }
}

/* ---- All ------------------------------------------------------------------------------------ */

static void delete_key(struct slice *input, unsigned index)
{
    static const char types[] = {'s', 'l', 'x'};
    char type = types[fuzz_below(input, 3)];
    bool deleted;
    bool expected = type == 's'   ? world.strings[index] != 0
                    : type == 'l' ? world.lists[index].count > 0
                                  : STREAM(index)->exists;
    memory_store_write(ms);
    require_status(keyspace_delete(&ms->access, key_of(type, index), &deleted), STATUS_OK);
    memory_store_end(ms);
    fuzz_require(deleted == expected);
    if (type == 's')
        world.strings[index] = 0;
    else if (type == 'l')
        world.lists[index].count = 0;
    else
        memset(STREAM(index), 0, sizeof *STREAM(index));
}

static void check_store(void)
{
    struct lsm_report report = {""};
    uint64_t keys, expires, expected = 0;
    require_status(lsm_check_invariants(store_engine(ms->store), &report), STATUS_OK);
    enum status status = store_check(ms->store, &report);
    if (status)
        fprintf(stderr, "%s\n", report.text);
    require_status(status, STATUS_OK);
    for (unsigned i = 0; i < OBJECTS; i++)
        expected += (world.strings[i] != 0) + (world.lists[i].count > 0) + STREAM(i)->exists;
    memory_store_read(ms);
    require_status(keyspace_count(&ms->access, &keys, &expires), STATUS_OK);
    memory_store_end(ms);
    fuzz_require(keys == expected && expires == 0);
}

static void step(struct slice *input)
{
    uint8_t choice = fuzz_byte(input);
    unsigned index = choice % OBJECTS;
    if (choice < 0x28)
        string_step(input, index);
    else if (choice < 0x60)
        list_step(input, index);
    else if (choice < 0xc8)
        stream_step(input, index);
    else if (choice < 0xd0)
        delete_key(input, index);
    else if (choice < 0xe8)
        ms->now_ms += choice & 7;
    else if (choice < 0xf4)
        memory_store_work(ms, choice & 1);
    else if (choice < 0xf8)
        memory_store_reopen(ms);
    else if (choice < 0xfc)
        memory_store_crash(ms, VFS_KEEP_ALL, 1);
    else
        check_store();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    memset(&world, 0, sizeof world);
    memory_store_open(ms, &(struct store_options){.memtable_bytes = 1 << 20,
                                                  .block_cache_bytes = 1 << 20,
                                                  .wal_segment_bytes = 64 << 10});
    for (int i = 0; i < STEPS_MAX && input.size > 0; i++)
        step(&input);
    memory_store_work(ms, true);
    memory_store_reopen(ms);
    check_store();
    for (unsigned i = 0; i < OBJECTS; i++) {
        list_read_step(i, 0, -1);
        read_stream(i, 0, STREAM(i)->count ? STREAM(i)->count - 1 : 0, i & 1);
    }
    memory_store_release(ms);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    if (index >= 12)
        return false;
    for (unsigned i = 0; i < 60; i++) {
        unsigned kind = index < 3 ? (unsigned)index : i % 3;
        buffer_append_byte(out, (uint8_t)((kind == 0 ? 0 : kind == 1 ? 0x28 : 0x60) + index % 4));
        buffer_append_byte(out, (uint8_t)(i * (index + 1) + i / 7));
        for (unsigned k = 0; k < 6; k++)
            buffer_append_byte(out, (uint8_t)(i * 41 + k * (index + 60)));
        if (i % 9 == 8)
            buffer_append_byte(out, (uint8_t)(0xe8 + i % 24));
    }
    return true;
}
