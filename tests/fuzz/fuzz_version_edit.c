/* SPDX-License-Identifier: MIT */
/* Any bytes as the fields of a manifest's record: those that are accepted are encoded to the same
 * bytes, up to the first that is not. */
#include "fuzz/fuzz.h"

#include "base/coding.h"
#include "lsm/version_edit.h"

static void encode(const struct version_field *field, struct buffer *out)
{
    struct version_edit edit = {0};
    char name[256] = {0};
    switch (field->tag) {
    case VERSION_FIELD_TREE:
        fuzz_require(field->name.size < sizeof name);
        memcpy(name, field->name.data, field->name.size);
        version_edit_encode_tree(out, field->tree, field->compaction, name);
        return;
    case VERSION_FIELD_ADD:
        version_edit_encode_added(out, field->table.tree, field->table.level, field->table.number,
                                  &field->table.properties);
        return;
    case VERSION_FIELD_REMOVE:
        version_edit_remove(&edit, field->table.tree, field->table.level, field->table.number);
        break;
    case VERSION_FIELD_CLEAN:
        edit.clean = true;
        break;
    default:
        version_edit_encode_value(out, field->tag, field->value);
        return;
    }
    version_edit_encode(out, &edit);
    version_edit_release(&edit);
}

static void require_in_range(const struct version_field *field)
{
    const struct table_properties *properties = &field->table.properties;
    fuzz_require(field->tree < LSM_TREES_MAX && field->table.tree < LSM_TREES_MAX);
    fuzz_require(field->table.level < LSM_LEVELS_MAX);
    if (field->tag != VERSION_FIELD_ADD)
        return;
    fuzz_require(field->table.number > 0 && properties->lsn_min <= properties->lsn_max);
    fuzz_require(slice_compare(buffer_slice(&properties->smallest),
                               buffer_slice(&properties->largest)) <= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size);
    struct buffer again = {0};
    for (;;) {
        struct version_field field = {0};
        struct slice before = rest;
        enum status status = version_field_next(&rest, &field);
        if (status != STATUS_OK) {
            fuzz_require((status == STATUS_NOT_FOUND) == (before.size == 0));
            fuzz_require(rest.data == before.data && rest.size == before.size);
            break;
        }
        require_in_range(&field);
        buffer_clear(&again);
        /* A name is a C string; what stands behind a zero byte is not written again. */
        bool is_text = field.tag != VERSION_FIELD_TREE || field.name.size == 0 ||
                       !memchr(field.name.data, 0, field.name.size);
        encode(&field, &again);
        fuzz_require(!is_text || slice_equal(buffer_slice(&again),
                                             slice_make(before.data, before.size - rest.size)));
        table_properties_release(&field.table.properties);
    }
    buffer_release(&again);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    struct table_properties properties = {.lsn_min = 5, .lsn_max = 900, .entry_count = 1000};
    if (index > 0)
        return false;
    buffer_append_text(&properties.smallest, "a");
    buffer_append_text(&properties.largest, "m");
    version_edit_encode_tree(out, 0, LSM_LEVELED, "keys");
    version_edit_encode_added(out, 0, 1, 3, &properties);
    version_edit_encode_value(out, VERSION_FIELD_FLUSHED_LSN, 100);
    version_edit_encode_value(out, VERSION_FIELD_NEXT_NUMBER, 1 << 20);
    buffer_append_text(out, "\x03\x01\x02\x03\x08");
    table_properties_release(&properties);
    return true;
}
