/* SPDX-License-Identifier: MIT */
/* Encoding of version edits. All numbers are varints, bytes are sized:
 *
 *   field      = tag, content
 *   tree       = index, compaction (0 leveled, 1 time runs), name
 *   add        = tree, level, number, file bytes, entries, deletions, range deletions, raw bytes,
 *                least LSN, greatest LSN, largest is exclusive (0, 1), smallest, largest
 *   remove     = tree, level, number
 *   others     = one number; clean = nothing */
#include "lsm/version_edit.h"

#include "base/coding.h"
#include "base/memory.h"

#include <assert.h>

enum { TREE_NAME_BYTES_MAX = 64 };

_Static_assert(LSM_LEVELED == 0 && LSM_TIME_RUNS == 1, "these numbers stand in manifests");

static struct version_edit_table *push_table(struct version_edit_table **tables, size_t *count)
{
    /* Grows by doubling: a count that is a power of two is a full array. */
    if ((*count & (*count - 1)) == 0)
        *tables = memory_resize(*tables, (*count ? 2 * *count : 1) * sizeof(**tables));
    return &(*tables)[(*count)++];
}

void version_edit_add(struct version_edit *edit, unsigned tree, unsigned level, uint64_t number,
                      struct table_properties *properties)
{
    assert(tree < LSM_TREES_MAX && level < LSM_LEVELS_MAX);
    struct version_edit_table *table = push_table(&edit->added, &edit->added_count);
    *table = (struct version_edit_table){
        .tree = tree, .level = level, .number = number, .properties = *properties};
    *properties = (struct table_properties){0};
}

void version_edit_remove(struct version_edit *edit, unsigned tree, unsigned level, uint64_t number)
{
    assert(tree < LSM_TREES_MAX && level < LSM_LEVELS_MAX);
    struct version_edit_table *table = push_table(&edit->removed, &edit->removed_count);
    *table = (struct version_edit_table){.tree = tree, .level = level, .number = number};
}

void version_edit_release(struct version_edit *edit)
{
    for (size_t i = 0; i < edit->added_count; i++)
        table_properties_release(&edit->added[i].properties);
    memory_free(edit->added);
    memory_free(edit->removed);
    *edit = (struct version_edit){0};
}

void version_edit_encode_tree(struct buffer *into, unsigned tree, enum lsm_compaction compaction,
                              const char *name)
{
    assert(strlen(name) <= TREE_NAME_BYTES_MAX);
    buffer_append_varint(into, VERSION_FIELD_TREE);
    buffer_append_varint(into, tree);
    buffer_append_varint(into, compaction);
    buffer_append_sized(into, slice_from(name));
}

static void encode_place(struct buffer *into, enum version_field_tag tag, unsigned tree,
                         unsigned level, uint64_t number)
{
    buffer_append_varint(into, tag);
    buffer_append_varint(into, tree);
    buffer_append_varint(into, level);
    buffer_append_varint(into, number);
}

void version_edit_encode_added(struct buffer *into, unsigned tree, unsigned level, uint64_t number,
                               const struct table_properties *properties)
{
    encode_place(into, VERSION_FIELD_ADD, tree, level, number);
    buffer_append_varint(into, properties->file_bytes);
    buffer_append_varint(into, properties->entry_count);
    buffer_append_varint(into, properties->delete_count);
    buffer_append_varint(into, properties->range_delete_count);
    buffer_append_varint(into, properties->raw_bytes);
    buffer_append_varint(into, properties->lsn_min);
    buffer_append_varint(into, properties->lsn_max);
    buffer_append_varint(into, properties->largest_is_exclusive);
    buffer_append_sized(into, buffer_slice(&properties->smallest));
    buffer_append_sized(into, buffer_slice(&properties->largest));
}

void version_edit_encode_value(struct buffer *into, enum version_field_tag tag, uint64_t value)
{
    buffer_append_varint(into, tag);
    buffer_append_varint(into, value);
}

void version_edit_encode(struct buffer *into, const struct version_edit *edit)
{
    for (size_t i = 0; i < edit->removed_count; i++)
        encode_place(into, VERSION_FIELD_REMOVE, edit->removed[i].tree, edit->removed[i].level,
                     edit->removed[i].number);
    for (size_t i = 0; i < edit->added_count; i++)
        version_edit_encode_added(into, edit->added[i].tree, edit->added[i].level,
                                  edit->added[i].number, &edit->added[i].properties);
    if (edit->flushed_lsn)
        version_edit_encode_value(into, VERSION_FIELD_FLUSHED_LSN, edit->flushed_lsn);
    if (edit->durable_lsn)
        version_edit_encode_value(into, VERSION_FIELD_DURABLE_LSN, edit->durable_lsn);
    if (edit->epoch)
        version_edit_encode_value(into, VERSION_FIELD_EPOCH, edit->epoch);
    if (edit->clean)
        buffer_append_varint(into, VERSION_FIELD_CLEAN);
}

static bool take_tree(struct slice *input, struct version_field *field)
{
    uint64_t tree, compaction;
    if (!slice_take_varint(input, &tree) || tree >= LSM_TREES_MAX ||
        !slice_take_varint(input, &compaction) || compaction > LSM_TIME_RUNS ||
        !slice_take_sized(input, &field->name) || field->name.size > TREE_NAME_BYTES_MAX)
        return false;
    field->tree = (unsigned)tree;
    field->compaction = (enum lsm_compaction)compaction;
    return true;
}

static bool take_place(struct slice *input, struct version_edit_table *table)
{
    uint64_t tree, level, number;
    if (!slice_take_varint(input, &tree) || tree >= LSM_TREES_MAX ||
        !slice_take_varint(input, &level) || level >= LSM_LEVELS_MAX ||
        !slice_take_varint(input, &number) || number == 0)
        return false;
    *table = (struct version_edit_table){
        .tree = (unsigned)tree, .level = (unsigned)level, .number = number};
    return true;
}

static bool take_properties(struct slice *input, struct table_properties *properties)
{
    struct table_properties found = {0};
    uint64_t exclusive;
    struct slice smallest, largest;
    if (!slice_take_varint(input, &found.file_bytes) ||
        !slice_take_varint(input, &found.entry_count) ||
        !slice_take_varint(input, &found.delete_count) ||
        !slice_take_varint(input, &found.range_delete_count) ||
        !slice_take_varint(input, &found.raw_bytes) || !slice_take_varint(input, &found.lsn_min) ||
        !slice_take_varint(input, &found.lsn_max) || !slice_take_varint(input, &exclusive) ||
        !slice_take_sized(input, &smallest) || !slice_take_sized(input, &largest))
        return false;
    if (exclusive > 1 || found.lsn_min > found.lsn_max || slice_compare(smallest, largest) > 0)
        return false;
    found.largest_is_exclusive = exclusive;
    buffer_append_slice(&found.smallest, smallest);
    buffer_append_slice(&found.largest, largest);
    *properties = found;
    return true;
}

enum status version_field_next(struct slice *input, struct version_field *field)
{
    struct version_field found = {0};
    struct slice rest = *input;
    uint64_t tag;
    bool ok = false;
    if (rest.size == 0)
        return STATUS_NOT_FOUND;
    if (!slice_take_varint(&rest, &tag))
        return STATUS_CORRUPT;
    switch (tag) {
    case VERSION_FIELD_TREE:
        ok = take_tree(&rest, &found);
        break;
    case VERSION_FIELD_ADD:
        ok = take_place(&rest, &found.table) && take_properties(&rest, &found.table.properties);
        break;
    case VERSION_FIELD_REMOVE:
        ok = take_place(&rest, &found.table);
        break;
    case VERSION_FIELD_FLUSHED_LSN:
    case VERSION_FIELD_DURABLE_LSN:
    case VERSION_FIELD_EPOCH:
    case VERSION_FIELD_NEXT_NUMBER:
        ok = slice_take_varint(&rest, &found.value);
        break;
    case VERSION_FIELD_CLEAN:
        ok = true;
        break;
    default:
        field->value = tag;
        return STATUS_UNSUPPORTED;
    }
    if (!ok)
        return STATUS_CORRUPT;
    found.tag = (enum version_field_tag)tag;
    *field = found;
    *input = rest;
    return STATUS_OK;
}
