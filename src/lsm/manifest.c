/* SPDX-License-Identifier: MIT */
/* The manifest file; drawn in manifest.h.
 *
 * Where a manifest ends. A crash can leave the last record torn, and it can leave a last record
 * whole whose tables were taken back because its sync had failed. Both are no damage: that edit was
 * never acknowledged, and the state before it is whole as long as its tables are there (the WAL
 * behind its flushed LSN is kept until an edit that makes it superfluous is synced, so a lost
 * acknowledged edit shows as a missing table or a missing WAL segment). Anything else is damage:
 * within the snapshot, before a valid record, or with a table missing. */
#include "lsm/manifest.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    HEADER_BYTES = 32,
    RECORD_HEAD_BYTES = 12,
    FORMAT_VERSION = 1,
    CURRENT_BYTES_MAX = 64,
    SEQUENCE_AHEAD_MAX = 1 << 20, /* a record behind damage is looked for this far */
    PATH_BYTES_MAX = 4096,
};

static const char MAGIC[8] = "CORDMAN\n";
static const size_t MANIFEST_BYTES_MAX = (size_t)1 << 32;

/* ---- Content --------------------------------------------------------------------------------- */

void manifest_content_release(struct manifest_content *content)
{
    for (size_t i = 0; i < content->table_count; i++)
        table_properties_release(&content->tables[i].properties);
    memory_free(content->tables);
    *content = (struct manifest_content){0};
}

/* A tree that is there may be declared again. */
static bool add_tree(struct manifest_content *content, const struct version_field *field)
{
    if (field->tree > content->tree_count || field->name.size > MANIFEST_TREE_NAME_MAX)
        return false;
    struct manifest_tree tree = {.compaction = field->compaction};
    memcpy(tree.name, field->name.data, field->name.size);
    if (field->tree < content->tree_count) {
        const struct manifest_tree *there = &content->trees[field->tree];
        return strcmp(there->name, tree.name) == 0 && there->compaction == tree.compaction;
    }
    content->trees[content->tree_count++] = tree;
    return true;
}

static bool add_table(struct manifest_content *content, struct version_field *field)
{
    if (field->table.tree >= content->tree_count) {
        table_properties_release(&field->table.properties);
        return false;
    }
    if ((content->table_count & (content->table_count - 1)) == 0)
        content->tables =
            memory_resize(content->tables, (content->table_count ? 2 * content->table_count : 1) *
                                               sizeof(*content->tables));
    content->tables[content->table_count++] = field->table;
    return true;
}

static void drop_table(struct manifest_content *content, size_t index)
{
    table_properties_release(&content->tables[index].properties);
    content->tables[index] = content->tables[--content->table_count];
}

static bool remove_table(struct manifest_content *content, const struct version_edit_table *table)
{
    for (size_t i = content->table_count; i-- > 0;) {
        const struct version_edit_table *there = &content->tables[i];
        if (there->number == table->number && there->tree == table->tree &&
            there->level == table->level) {
            drop_table(content, i);
            return true;
        }
    }
    return false;
}

/* One field. *why is a sentence's end, static, when it does not fit the content. */
static bool apply_field(struct manifest_content *content, struct version_field *field,
                        const char **why)
{
    struct version_state *state = &content->state;
    switch (field->tag) {
    case VERSION_FIELD_TREE:
        *why = "declares a tree out of order";
        return add_tree(content, field);
    case VERSION_FIELD_ADD:
        *why = "adds a table to an unknown tree";
        return add_table(content, field);
    case VERSION_FIELD_REMOVE:
        *why = "removes a table that is not there";
        return remove_table(content, &field->table);
    case VERSION_FIELD_FLUSHED_LSN:
        state->flushed_lsn = field->value;
        break;
    case VERSION_FIELD_DURABLE_LSN:
        state->durable_lsn = field->value;
        break;
    case VERSION_FIELD_EPOCH:
        *why = "states an epoch out of range";
        if (field->value > UINT32_MAX)
            return false;
        state->epoch = field->value;
        break;
    case VERSION_FIELD_NEXT_NUMBER:
        if (field->value > state->next_number)
            state->next_number = field->value;
        break;
    case VERSION_FIELD_CLEAN:
        state->clean = true;
        break;
    }
    return true;
}

static enum status apply_record(struct manifest_content *content, struct slice fields, bool lenient,
                                char *why, size_t why_size)
{
    struct version_field field;
    enum status status;
    content->state.clean = false;
    while ((status = version_field_next(&fields, &field)) == STATUS_OK) {
        const char *reason = "";
        if (!apply_field(content, &field, &reason) && !lenient) {
            snprintf(why, why_size, "%s", reason);
            return STATUS_CORRUPT;
        }
    }
    if (status == STATUS_UNSUPPORTED)
        snprintf(why, why_size, "holds field %" PRIu64 ", which this version does not know",
                 field.value);
    if (status == STATUS_CORRUPT)
        snprintf(why, why_size, "is malformed");
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* ---- Records --------------------------------------------------------------------------------- */

static void encode_header(uint8_t *at, uint64_t store_id, uint64_t snapshot_bytes)
{
    memcpy(at + 4, MAGIC, sizeof(MAGIC));
    le32_store(at + 12, FORMAT_VERSION);
    le64_store(at + 16, store_id);
    le64_store(at + 24, snapshot_bytes);
    le32_store(at, crc32c_mask(crc32c(at + 4, HEADER_BYTES - 4)));
}

/* Makes the bytes from `begin` to the end of the buffer, which start with an empty head, a record.
 */
static void seal_record(struct buffer *into, size_t begin, uint32_t sequence)
{
    uint8_t *at = into->data + begin;
    size_t length = into->size - begin - RECORD_HEAD_BYTES;
    assert(length > 0 && length <= UINT32_MAX);
    le32_store(at + 4, (uint32_t)length);
    le32_store(at + 8, sequence);
    le32_store(at, crc32c_mask(crc32c(at + 4, into->size - begin - 4)));
}

/* A whole record at the front of `input` with a sequence in [from, to]. */
static bool take_record(struct slice *input, uint32_t from, uint32_t to, struct slice *fields)
{
    if (input->size < RECORD_HEAD_BYTES)
        return false;
    uint32_t length = le32_load(input->data + 4), sequence = le32_load(input->data + 8);
    if (length == 0 || length > input->size - RECORD_HEAD_BYTES || sequence < from || sequence > to)
        return false;
    size_t size = RECORD_HEAD_BYTES + (size_t)length;
    if (crc32c_mask(crc32c(input->data + 4, size - 4)) != le32_load(input->data))
        return false;
    *fields = slice_make(input->data + RECORD_HEAD_BYTES, length);
    *input = slice_skip(*input, size);
    return true;
}

/* The distance to the next valid record in `rest`, which starts with none; rest.size: none follows.
 */
static size_t find_record(struct slice rest, uint32_t sequence)
{
    uint32_t to =
        sequence > UINT32_MAX - SEQUENCE_AHEAD_MAX ? UINT32_MAX : sequence + SEQUENCE_AHEAD_MAX;
    for (size_t i = 1; i < rest.size; i++) {
        struct slice at = slice_skip(rest, i), fields;
        if (take_record(&at, sequence, to, &fields))
            return i;
    }
    return rest.size;
}

/* ---- Reading --------------------------------------------------------------------------------- */

struct parse {
    struct slice bytes;
    uint64_t limit; /* records from here on are not applied */
    bool lenient;
    struct manifest_content *content;
    struct lsm_report *report;
};

static void set_report(struct lsm_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void set_report(struct lsm_report *report, const char *format, ...)
{
    va_list arguments;
    if (!report)
        return;
    va_start(arguments, format);
    vsnprintf(report->text, sizeof(report->text), format, arguments);
    va_end(arguments);
}

static enum status parse_header(struct parse *parse)
{
    struct slice bytes = parse->bytes;
    struct manifest_content *content = parse->content;
    content->end = HEADER_BYTES;
    content->snapshot_end = HEADER_BYTES;
    if (bytes.size < HEADER_BYTES) {
        set_report(parse->report, "offset 0: the file ends within its header");
        return STATUS_CORRUPT;
    }
    if (crc32c_mask(crc32c(bytes.data + 4, HEADER_BYTES - 4)) != le32_load(bytes.data) ||
        memcmp(bytes.data + 4, MAGIC, sizeof(MAGIC)) != 0) {
        set_report(parse->report, "offset 0: the header is damaged");
        return STATUS_CORRUPT;
    }
    if (le32_load(bytes.data + 12) != FORMAT_VERSION) {
        set_report(parse->report, "offset 0: format version %u is not of this program",
                   (unsigned)le32_load(bytes.data + 12));
        return STATUS_UNSUPPORTED;
    }
    content->state.store_id = le64_load(bytes.data + 16);
    uint64_t snapshot_bytes = le64_load(bytes.data + 24);
    if (snapshot_bytes > bytes.size - HEADER_BYTES) {
        set_report(parse->report, "offset %zu: the file ends within its snapshot", bytes.size);
        return STATUS_CORRUPT;
    }
    content->snapshot_end = HEADER_BYTES + snapshot_bytes;
    return STATUS_OK;
}

/* Passes over a place that holds no record; *rest begins there. */
static enum status pass_over(struct parse *parse, struct slice *rest)
{
    struct manifest_content *content = parse->content;
    uint64_t offset = parse->bytes.size - rest->size;
    size_t distance = find_record(*rest, content->next_sequence);
    bool is_tail = distance == rest->size && offset >= content->snapshot_end;
    if (parse->report && !parse->report->text[0])
        set_report(parse->report, "offset %" PRIu64 ": %s", offset,
                   is_tail ? "no valid record" : "the record is damaged");
    content->torn = true;
    *rest = slice_skip(*rest, distance);
    return is_tail || parse->lenient ? STATUS_OK : STATUS_CORRUPT;
}

static enum status parse_records(struct parse *parse)
{
    struct manifest_content *content = parse->content;
    struct slice rest = slice_skip(parse->bytes, HEADER_BYTES), fields;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && rest.size) {
        uint64_t offset = parse->bytes.size - rest.size;
        uint32_t sequence = content->next_sequence;
        char why[128] = "";
        if (offset >= parse->limit)
            break;
        if (!take_record(&rest, sequence, content->torn ? UINT32_MAX : sequence, &fields)) {
            status = pass_over(parse, &rest);
            continue;
        }
        status = apply_record(content, fields, parse->lenient, why, sizeof(why));
        if (status == STATUS_CORRUPT && parse->lenient)
            status = STATUS_OK;
        if (status != STATUS_OK)
            set_report(parse->report, "offset %" PRIu64 ": the record %s", offset, why);
        content->next_sequence = sequence + 1;
        content->last_record = offset;
        content->end = parse->bytes.size - rest.size;
    }
    /* Within the snapshot a place without a record is damage, and no limit lies there. */
    assert(status != STATUS_OK || parse->lenient || content->end >= content->snapshot_end);
    return status;
}

static int compare_tables(const void *a, const void *b)
{
    uint64_t x = ((const struct version_edit_table *)a)->number;
    uint64_t y = ((const struct version_edit_table *)b)->number;
    return (x > y) - (x < y);
}

/* Sorts the tables; no number may be named twice. */
static enum status check_numbers(struct parse *parse)
{
    struct manifest_content *content = parse->content;
    if (content->table_count == 0)
        return STATUS_OK;
    qsort(content->tables, content->table_count, sizeof(*content->tables), compare_tables);
    size_t kept = 1;
    for (size_t i = 1; i < content->table_count; i++) {
        if (content->tables[i].number != content->tables[kept - 1].number) {
            content->tables[kept++] = content->tables[i];
            continue;
        }
        if (!parse->lenient) {
            set_report(parse->report, "table %06" PRIu64 " is named twice",
                       content->tables[i].number);
            return STATUS_CORRUPT;
        }
        table_properties_release(&content->tables[i].properties);
    }
    content->table_count = kept;
    uint64_t newest = content->tables[kept - 1].number;
    if (content->state.next_number <= newest)
        content->state.next_number = newest + 1;
    return STATUS_OK;
}

static enum status parse_up_to(struct slice bytes, uint64_t limit, bool lenient,
                               struct manifest_content *content, struct lsm_report *report)
{
    struct manifest_content found = {0};
    struct parse parse = {
        .bytes = bytes, .limit = limit, .lenient = lenient, .content = &found, .report = report};
    enum status status = parse_header(&parse);
    if (status == STATUS_CORRUPT && lenient && bytes.size >= HEADER_BYTES)
        status = STATUS_OK;
    if (status == STATUS_OK)
        status = parse_records(&parse);
    if (status == STATUS_OK)
        status = check_numbers(&parse);
    if (status != STATUS_OK) {
        manifest_content_release(&found);
        return status;
    }
    *content = found;
    return STATUS_OK;
}

enum status manifest_parse(struct slice bytes, bool lenient, struct manifest_content *content,
                           struct lsm_report *report)
{
    if (report)
        report->text[0] = 0;
    return parse_up_to(bytes, UINT64_MAX, lenient, content, report);
}

static void current_text(uint64_t number, char *text, size_t size)
{
    char name[32];
    int length = snprintf(name, sizeof(name), "MANIFEST-%06" PRIu64, number);
    snprintf(text, size, "%s %08" PRIx32 "\n", name, crc32c(name, (size_t)length));
}

enum status manifest_current(const struct env *env, const char *directory, uint64_t *number,
                             struct lsm_report *report)
{
    char path[PATH_BYTES_MAX], name[CURRENT_BYTES_MAX] = "", expected[CURRENT_BYTES_MAX];
    struct buffer bytes = {0};
    uint64_t found = 0;
    int length = snprintf(path, sizeof(path), "%s/CURRENT", directory);
    assert(length > 0 && (size_t)length < sizeof(path));
    (void)length;
    enum status status = vfs_read_file(env->vfs, path, CURRENT_BYTES_MAX - 1, &bytes);
    if (status == STATUS_TOO_LARGE)
        status = STATUS_CORRUPT;
    if (status == STATUS_OK) {
        size_t size = 0;
        while (size < bytes.size && bytes.data[size] > ' ')
            size++;
        if (size)
            memcpy(name, bytes.data, size);
        status = STATUS_CORRUPT;
        if (manifest_name_parse(name, &found)) {
            current_text(found, expected, sizeof(expected));
            if (slice_equal(buffer_slice(&bytes), slice_from(expected)))
                status = STATUS_OK;
        }
    }
    if (status == STATUS_CORRUPT)
        set_report(report, "CURRENT offset 0: it does not name a manifest with its checksum.");
    else if (status != STATUS_OK)
        set_report(report, "%.400s: %s", path, status_text(status));
    buffer_release(&bytes);
    if (status == STATUS_OK)
        *number = found;
    return status;
}

static const struct version_edit_table *missing_table(const struct manifest_content *content,
                                                      const struct directory_files *files)
{
    for (size_t i = 0; i < content->table_count; i++)
        if (!directory_files_has_table(files, content->tables[i].number))
            return &content->tables[i];
    return NULL;
}

/* Parses and looks for the tables. A last record whose tables are missing was never acknowledged
 * when the state before it is whole. */
static enum status parse_whole(struct slice bytes, const struct directory_files *files,
                               struct manifest_content *content, struct lsm_report *report)
{
    struct lsm_report ignored = {0};
    struct manifest_content before = {0};
    enum status status = parse_up_to(bytes, UINT64_MAX, false, content, report);
    if (status != STATUS_OK)
        return status;
    const struct version_edit_table *missing = missing_table(content, files);
    if (!missing)
        return STATUS_OK;
    if (!content->torn && content->last_record >= content->snapshot_end &&
        parse_up_to(bytes, content->last_record, false, &before, &ignored) == STATUS_OK &&
        !missing_table(&before, files)) {
        set_report(report,
                   "offset %" PRIu64 ": the last edit names table %06" PRIu64
                   ", which was never completed",
                   content->last_record, missing->number);
        before.torn = true;
        manifest_content_release(content);
        *content = before;
        return STATUS_OK;
    }
    manifest_content_release(&before);
    set_report(report, "offset %" PRIu64 ": %stable %06" PRIu64 ".cwt is missing",
               content->torn ? content->end : content->last_record,
               content->torn ? "the record is damaged, and " : "", missing->number);
    manifest_content_release(content);
    return STATUS_CORRUPT;
}

enum status manifest_read(const struct env *env, const char *directory,
                          const struct directory_files *files, struct manifest_content *content,
                          struct lsm_report *report)
{
    char path[PATH_BYTES_MAX];
    struct buffer bytes = {0};
    struct lsm_report place = {0};
    struct manifest_content found = {0};
    uint64_t number = 0;
    enum status status = manifest_current(env, directory, &number, report);
    if (status != STATUS_OK)
        return status;
    manifest_path(directory, number, path, sizeof(path));
    status = vfs_read_file(env->vfs, path, MANIFEST_BYTES_MAX, &bytes);
    if (status == STATUS_NOT_FOUND) {
        set_report(report, "CURRENT names MANIFEST-%06" PRIu64 ", which is missing.", number);
        status = STATUS_CORRUPT;
        goto done;
    }
    if (status == STATUS_OK)
        status = parse_whole(buffer_slice(&bytes), files, &found, &place);
    if (status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED)
        set_report(report, "MANIFEST-%06" PRIu64 " %.400s.%s", number, place.text,
                   status == STATUS_CORRUPT ? " `cordwood repair` saves what is sound." : "");
    else if (status != STATUS_OK)
        set_report(report, "%.400s: %s", path, status_text(status));
    if (status != STATUS_OK)
        goto done;
    if (found.torn)
        env_log(env, LOG_NOTICE, "MANIFEST-%06" PRIu64 " ends with an unfinished edit (%s).",
                number, place.text);
    found.number = number;
    if (found.state.next_number <= number)
        found.state.next_number = number + 1;
    *content = found;
done:
    buffer_release(&bytes);
    return status;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static size_t begin_record(struct buffer *into)
{
    static const uint8_t head[RECORD_HEAD_BYTES];
    size_t begin = into->size;
    buffer_append(into, head, sizeof(head));
    return begin;
}

static void encode_state(struct buffer *into, const struct version_state *state)
{
    version_edit_encode_value(into, VERSION_FIELD_FLUSHED_LSN, state->flushed_lsn);
    version_edit_encode_value(into, VERSION_FIELD_DURABLE_LSN, state->durable_lsn);
    version_edit_encode_value(into, VERSION_FIELD_EPOCH, state->epoch);
    version_edit_encode_value(into, VERSION_FIELD_NEXT_NUMBER, state->next_number);
    if (state->clean)
        buffer_append_varint(into, VERSION_FIELD_CLEAN);
}

/* The trees, twice, then a record for each table, then the rest, twice: so one damaged byte costs a
 * repair at most one table. */
static void encode_snapshot(struct buffer *into, struct manifest_content *content)
{
    const struct version_state *state = &content->state;
    static const uint8_t header[HEADER_BYTES];
    uint32_t sequence = 0;
    buffer_append(into, header, sizeof(header));
    while (sequence < 2) {
        size_t begin = begin_record(into);
        for (unsigned i = 0; i < content->tree_count; i++)
            version_edit_encode_tree(into, i, content->trees[i].compaction, content->trees[i].name);
        seal_record(into, begin, sequence++);
    }
    for (size_t i = 0; i < content->table_count; i++) {
        const struct version_edit_table *table = &content->tables[i];
        size_t begin = begin_record(into);
        version_edit_encode_added(into, table->tree, table->level, table->number,
                                  &table->properties);
        seal_record(into, begin, sequence++);
    }
    for (int i = 0; i < 2; i++) {
        size_t begin = begin_record(into);
        encode_state(into, state);
        seal_record(into, begin, sequence++);
    }
    encode_header(into->data, state->store_id, into->size - HEADER_BYTES);
    content->next_sequence = sequence;
    content->end = content->snapshot_end = into->size;
}

/* A failed switch can have happened all the same; then the new file must stay. */
static void remove_unless_current(const struct env *env, const char *directory, uint64_t number,
                                  const char *path)
{
    uint64_t current = 0;
    enum status status = manifest_current(env, directory, &current, NULL);
    if (status == STATUS_NOT_FOUND || (status == STATUS_OK && current != number))
        (void)vfs_remove(env->vfs, path); /* else it is a leftover for the next open */
}

enum status manifest_create(const struct env *env, const char *directory, uint64_t number,
                            struct manifest_content *content, struct vfs_file **file)
{
    char path[PATH_BYTES_MAX], current[CURRENT_BYTES_MAX];
    struct buffer bytes = {0};
    struct vfs_file *made = NULL;
    encode_snapshot(&bytes, content);
    manifest_path(directory, number, path, sizeof(path));
    current_text(number, current, sizeof(current));
    enum status status = vfs_open(env->vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &made);
    if (status == STATUS_OK)
        status = vfs_write_at(made, 0, bytes.data, bytes.size);
    if (status == STATUS_OK)
        status = vfs_sync_at(made, "manifest.snapshot");
    if (status == STATUS_OK)
        status = vfs_sync_directory_at(env->vfs, directory, "manifest.name");
    if (status == STATUS_OK)
        status = vfs_replace_file(env->vfs, directory, "CURRENT", slice_from(current));
    buffer_release(&bytes);
    if (status != STATUS_OK) {
        vfs_close(made);
        remove_unless_current(env, directory, number, path);
        return status;
    }
    content->number = number;
    content->torn = false;
    *file = made;
    return STATUS_OK;
}

enum status manifest_append(struct vfs_file *file, struct manifest_content *content,
                            struct slice fields)
{
    struct buffer bytes = {0};
    size_t begin = begin_record(&bytes);
    buffer_append_slice(&bytes, fields);
    seal_record(&bytes, begin, content->next_sequence);
    enum status status = vfs_write_at(file, content->end, bytes.data, bytes.size);
    if (status == STATUS_OK)
        status = vfs_sync_at(file, "manifest.edit");
    if (status == STATUS_OK) {
        content->last_record = content->end;
        content->end += bytes.size;
        content->next_sequence++;
    }
    buffer_release(&bytes);
    return status;
}
