/* SPDX-License-Identifier: MIT */
/* Any bytes as a manifest. The first byte chooses: 0: the rest is the file. Else the rest is a row
 * of records' fields (varint size, bytes), sealed with good checksums behind a good header, so that
 * what lies behind the checksums is reached. What parses is written as a new manifest and says the
 * same. */
#include "fuzz/fuzz.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "lsm/manifest.h"
#include "unit/lsm/memory_env.h"

static void seal(struct slice input, struct buffer *file)
{
    struct slice fields;
    uint8_t head[32] = {0};
    memcpy(head + 4, "CORDMAN\n", 8);
    le32_store(head + 12, 1);
    le64_store(head + 16, 42);
    le32_store(head, crc32c_mask(crc32c(head + 4, sizeof(head) - 4)));
    buffer_append(file, head, sizeof(head));
    for (uint32_t sequence = 0; slice_take_sized(&input, &fields); sequence++) {
        size_t begin = file->size;
        buffer_append_le32(file, 0);
        buffer_append_le32(file, (uint32_t)fields.size);
        buffer_append_le32(file, sequence);
        buffer_append_slice(file, fields);
        le32_store(file->data + begin,
                   crc32c_mask(crc32c(file->data + begin + 4, file->size - begin - 4)));
    }
}

static void require_same_table(const struct version_edit_table *a,
                               const struct version_edit_table *b)
{
    const struct table_properties *left = &a->properties, *right = &b->properties;
    fuzz_require(a->number == b->number && a->tree == b->tree && a->level == b->level);
    fuzz_require(left->file_bytes == right->file_bytes && left->raw_bytes == right->raw_bytes);
    fuzz_require(left->entry_count == right->entry_count);
    fuzz_require(left->delete_count == right->delete_count);
    fuzz_require(left->range_delete_count == right->range_delete_count);
    fuzz_require(left->lsn_min == right->lsn_min && left->lsn_max == right->lsn_max);
    fuzz_require(left->largest_is_exclusive == right->largest_is_exclusive);
    fuzz_require(slice_equal(buffer_slice(&left->smallest), buffer_slice(&right->smallest)));
    fuzz_require(slice_equal(buffer_slice(&left->largest), buffer_slice(&right->largest)));
}

static void require_same(const struct manifest_content *a, const struct manifest_content *b)
{
    fuzz_require(a->tree_count == b->tree_count && a->table_count == b->table_count);
    fuzz_require(a->state.store_id == b->state.store_id && a->state.epoch == b->state.epoch);
    fuzz_require(a->state.flushed_lsn == b->state.flushed_lsn);
    fuzz_require(a->state.durable_lsn == b->state.durable_lsn);
    fuzz_require(a->state.next_number == b->state.next_number);
    fuzz_require(a->state.clean == b->state.clean);
    for (unsigned i = 0; i < a->tree_count; i++)
        fuzz_require(strcmp(a->trees[i].name, b->trees[i].name) == 0 &&
                     a->trees[i].compaction == b->trees[i].compaction);
    for (size_t i = 0; i < a->table_count; i++)
        require_same_table(&a->tables[i], &b->tables[i]);
}

/* The same state by way of a file. */
static void write_and_read(struct manifest_content *content)
{
    struct vfs *vfs = vfs_memory_create();
    struct env env = memory_env(vfs);
    struct vfs_file *file = NULL;
    struct buffer bytes = {0};
    struct manifest_content again = {0};
    struct lsm_report report;
    fuzz_require(vfs->ops->make_directory(vfs, "db") == STATUS_OK);
    fuzz_require(manifest_create(&env, "db", 1, content, &file) == STATUS_OK);
    fuzz_require(vfs_read_file(vfs, "db/MANIFEST-000001", 1 << 30, &bytes) == STATUS_OK);
    fuzz_require(manifest_parse(buffer_slice(&bytes), false, &again, &report) == STATUS_OK);
    require_same(content, &again);
    manifest_content_release(&again);
    buffer_release(&bytes);
    vfs_close(file);
    vfs_destroy(vfs);
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    struct buffer fields = {0};
    struct table_properties properties = {.lsn_min = 5, .lsn_max = 9};
    if (index > 1)
        return false;
    buffer_append_text(&properties.smallest, "a");
    buffer_append_text(&properties.largest, "m");
    version_edit_encode_tree(&fields, 0, LSM_LEVELED, "keys");
    version_edit_encode_added(&fields, 0, 1, 3, &properties);
    version_edit_encode_value(&fields, VERSION_FIELD_FLUSHED_LSN, 100);
    buffer_append_byte(out, index == 0);
    if (index == 0) {
        buffer_append_sized(out, buffer_slice(&fields));
        buffer_append_sized(out, slice_from("\x03\x00\x01\x03\x08"));
    } else {
        struct buffer sized = {0};
        buffer_append_sized(&sized, buffer_slice(&fields));
        seal(buffer_slice(&sized), out);
        buffer_release(&sized);
    }
    table_properties_release(&properties);
    buffer_release(&fields);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer file = {0};
    if (size == 0)
        return 0;
    if (data[0] == 0)
        buffer_append(&file, data + 1, size - 1);
    else
        seal(slice_make(data + 1, size - 1), &file);
    for (int lenient = 0; lenient < 2; lenient++) {
        struct manifest_content content = {0};
        struct lsm_report report = {0};
        enum status status = manifest_parse(buffer_slice(&file), lenient, &content, &report);
        fuzz_require(status == STATUS_OK || report.text[0]);
        if (status == STATUS_OK && content.tree_count > 0)
            write_and_read(&content);
        manifest_content_release(&content);
    }
    buffer_release(&file);
    return 0;
}
