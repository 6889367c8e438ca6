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

#include <stdlib.h>

static void require(bool condition)
{
    if (!condition)
        abort();
}

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

/* The same state by way of a file. */
static void write_and_read(struct manifest_content *content)
{
    struct vfs *vfs = vfs_memory_create();
    struct env env = memory_env(vfs);
    struct vfs_file *file = NULL;
    struct buffer bytes = {0};
    struct manifest_content again = {0};
    struct lsm_report report;
    require(vfs->ops->make_directory(vfs, "db") == STATUS_OK);
    require(manifest_create(&env, "db", 1, content, &file) == STATUS_OK);
    require(vfs_read_file(vfs, "db/MANIFEST-000001", 1 << 30, &bytes) == STATUS_OK);
    require(manifest_parse(buffer_slice(&bytes), false, &again, &report) == STATUS_OK);
    require(again.table_count == content->table_count);
    require(again.tree_count == content->tree_count);
    require(again.state.flushed_lsn == content->state.flushed_lsn);
    require(again.state.durable_lsn == content->state.durable_lsn);
    require(again.state.clean == content->state.clean);
    for (size_t i = 0; i < again.table_count; i++) {
        const struct table_properties *a = &again.tables[i].properties;
        const struct table_properties *b = &content->tables[i].properties;
        require(again.tables[i].number == content->tables[i].number);
        require(slice_equal(buffer_slice(&a->largest), buffer_slice(&b->largest)));
    }
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
        require(status == STATUS_OK || report.text[0]);
        if (status == STATUS_OK && content.tree_count > 0)
            write_and_read(&content);
        manifest_content_release(&content);
    }
    buffer_release(&file);
    return 0;
}
