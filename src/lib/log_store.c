/* SPDX-License-Identifier: MIT */
/* Logs: the store of the server's types under the library's keeper. A write that finds that something must
 * be read from disk gives the lock back, reads it, and begins again. */
#include "lib/log_store.h"

#include "base/memory.h"
#include "types/log.h"
#include "types/log_severity.h"
#include "types/store_repair.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Open and close ------------------------------------------------------------------------ */

static bool are_for_logs(const struct cordwood_options *options)
{
    return options->tree_count == 0 && !options->must_exist && !options->read_only;
}

static enum status open_store(struct cordwood_logs *logs, const char *directory,
                              const struct cordwood_options *options, struct lsm_report *report)
{
    struct keeper *keeper = &logs->keeper;
    const struct store_options store = {
        .memtable_bytes = options->memtable_bytes,
        .block_cache_bytes = options->block_cache_bytes,
        .wal_segment_bytes = options->log_segment_bytes,
        .cold_compression = library_cold_compression(options),
        .ack_durable = options->durability == CORDWOOD_SYNC_COMMIT,
        .work_ready = keeper->runner ? keeper_work_ready : options->work_ready,
        .context = keeper->runner ? keeper : options->context,
    };
    logs->batch_bytes_max = options->batch_bytes_max;
    enum status status = store_open(&keeper->env, directory, &store, report, &logs->store);
    if (status != STATUS_OK)
        return status;
    status = keeper_start(keeper, store_engine(logs->store));
    if (status == STATUS_OK)
        return STATUS_OK;
    snprintf(report->text, sizeof(report->text), "no thread could be started");
    (void)store_close(logs->store); /* the first error is the one to tell */
    return status;
}

enum cordwood_status library_logs_open(const struct env *env, const char *directory,
                                       const struct cordwood_options *given,
                                       struct cordwood_error *error, struct cordwood_logs **out)
{
    struct cordwood_options options;
    struct lsm_report report = {"the options are not valid for logs"};
    enum status status = STATUS_INVALID;
    if (directory && library_take_options(given, &options) && are_for_logs(&options)) {
        struct cordwood_logs *logs = aligned_alloc(_Alignof(struct cordwood_logs), sizeof(*logs));
        if (!logs)
            abort();
        memset(logs, 0, sizeof(*logs));
        keeper_init(&logs->keeper, env, &options);
        status = open_store(logs, directory, &options, &report);
        if (status == STATUS_OK) {
            *out = logs;
            return CORDWOOD_OK;
        }
        keeper_release(&logs->keeper);
        free(logs);
    }
    library_error(error, &report);
    return library_status(status);
}

enum cordwood_status cordwood_logs_open(const char *directory,
                                        const struct cordwood_options *options,
                                        struct cordwood_error *error, struct cordwood_logs **logs)
{
    return library_logs_open(NULL, directory, options, error, logs);
}

enum cordwood_status cordwood_logs_close(struct cordwood_logs *logs)
{
    if (!logs)
        return CORDWOOD_OK;
    keeper_stop(&logs->keeper);
    enum status status = store_close(logs->store);
    keeper_release(&logs->keeper);
    free(logs);
    return library_status(status);
}

enum cordwood_status cordwood_logs_sync(struct cordwood_logs *logs)
{
    return library_status(keeper_sync(&logs->keeper));
}

bool cordwood_logs_work(struct cordwood_logs *logs)
{
    return keeper_work(&logs->keeper);
}

void cordwood_logs_request_flush(struct cordwood_logs *logs)
{
    lsm_request_flush(store_engine(logs->store));
}

enum cordwood_status cordwood_logs_checkpoint(struct cordwood_logs *logs, const char *directory,
                                              struct cordwood_error *error)
{
    struct lsm_report report = {""};
    enum status status = lsm_checkpoint(store_engine(logs->store), directory, &report);
    library_error(error, &report);
    return library_status(status);
}

static void say_nothing(void *context, const char *line)
{
    (void)context;
    (void)line;
}

enum cordwood_status cordwood_logs_repair(const char *directory,
                                          void (*each)(void *context, const char *line),
                                          void *context)
{
    struct env env;
    struct vfs *vfs = vfs_posix_create();
    env_init_posix(&env, vfs);
    enum status status = lsm_repair(&env, directory, library_codecs, each, context);
    if (status == STATUS_OK)
        status = store_repair(&env, directory, each ? each : say_nothing, context);
    vfs_destroy(vfs);
    return library_status(status);
}

/* ---- Writing ------------------------------------------------------------------------------- */

/* One change of one log. `apply` reads all before it writes. */
struct change {
    struct slice name;
    size_t bytes, word_count; /* of what it may write */
    bool only_deletes;
    enum status (*apply)(struct access *access, struct change *change);
    const struct cordwood_log_entry *entries;
    const struct slice *levels; /* the entries' levels by their own names */
    size_t count;
    struct cordwood_log_id *ids;
    uint64_t before_ms;
    uint64_t *removed;
};

static enum status change_under_lock(struct cordwood_logs *logs, struct access *access,
                                     struct change *change)
{
    struct lsm *engine = store_engine(logs->store);
    size_t bytes = access_write_bytes(change->bytes + change->name.size, change->word_count);
    lsm_lock(engine);
    enum status status = access_begin_write(access, 0, true, bytes, change->only_deletes);
    if (status == STATUS_OK) {
        status = change->apply(access, change);
        (void)access_end(access); /* its number is of no use to the caller */
    }
    lsm_unlock(engine);
    return status;
}

static enum cordwood_status make_change(struct cordwood_logs *logs, struct change *change)
{
    struct access access;
    keeper_hold_back(&logs->keeper);
    struct keeper_reader *taken = keeper_take_reader(&logs->keeper);
    access_init(&access, logs->store, taken->reader);
    enum status status = change_under_lock(logs, &access, change);
    while (status == STATUS_WOULD_BLOCK) {
        status = access_fetch_missing(&access);
        if (status == STATUS_OK)
            status = change_under_lock(logs, &access, change);
    }
    access_release(&access);
    keeper_give_reader(taken);
    if (status == STATUS_OK)
        status = keeper_finish_write(&logs->keeper, change->bytes);
    return library_status(status);
}

static void write_entry(struct access *access, struct log_writer *writer,
                        const struct cordwood_log_entry *entry, struct slice level,
                        struct cordwood_log_id *id)
{
    struct slice *fields = memory_allocate(2 * (entry->field_count + 1) * sizeof(*fields));
    uint8_t *kinds = memory_allocate(entry->field_count + 1);
    for (size_t i = 0; i < entry->field_count; i++) {
        fields[2 * i] = library_slice(entry->fields[i].name);
        fields[2 * i + 1] = library_slice(entry->fields[i].value);
        kinds[i] = entry->fields[i].is_json ? STREAM_FIELD_JSON : STREAM_FIELD_BYTES;
    }
    struct stream_id given = log_write_line(access, writer,
                                            &(struct log_line){
                                                .message = library_slice(entry->message),
                                                .level = level,
                                                .has_time = entry->time_ms != 0,
                                                .event_ms = entry->time_ms,
                                                .fields = fields,
                                                .field_count = entry->field_count,
                                                .kinds = entry->field_count ? kinds : NULL,
                                            });
    *id = (struct cordwood_log_id){given.ms, given.seq};
    memory_free(fields);
    memory_free(kinds);
}

static enum status apply_append(struct access *access, struct change *change)
{
    struct log_writer writer;
    struct cordwood_log_id id;
    enum status status = log_reserve(access, change->word_count, change->bytes);
    if (status == STATUS_OK)
        status = log_write_begin(access, change->name, false, change->count, &writer);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < change->count; i++)
        write_entry(access, &writer, &change->entries[i], change->levels[i],
                    change->ids ? &change->ids[i] : &id);
    log_write_end(access, &writer);
    return STATUS_OK;
}

/* The bytes of all entries, no more than the limit. */
static bool add_up(const struct cordwood_logs *logs, struct change *change)
{
    size_t limit = logs->batch_bytes_max;
    for (size_t i = 0; i < change->count; i++) {
        const struct cordwood_log_entry *entry = &change->entries[i];
        const struct cordwood_log_field *fields = entry->fields;
        if (entry->message.size > limit - change->bytes)
            return false;
        change->bytes += entry->message.size;
        for (size_t n = 0; n < entry->field_count; n++) {
            if (fields[n].name.size > limit - change->bytes)
                return false;
            change->bytes += fields[n].name.size;
            if (fields[n].value.size > limit - change->bytes)
                return false;
            change->bytes += fields[n].value.size;
        }
        change->word_count += 4 + 2 * entry->field_count;
        if (change->word_count > limit)
            return false;
    }
    return true;
}

/* NULL: one is unknown. */
static struct slice *take_levels(const struct cordwood_log_entry *entries, size_t count)
{
    struct slice *levels = memory_zeroed(count, sizeof(*levels));
    for (size_t i = 0; i < count; i++) {
        enum log_severity severity;
        if (entries[i].level.size == 0)
            continue;
        if (!log_severity_parse(library_slice(entries[i].level), &severity)) {
            memory_free(levels);
            return NULL;
        }
        levels[i] = slice_from(log_severity_name(severity));
    }
    return levels;
}

static bool is_name(struct cordwood_slice name)
{
    return name.size <= CORDWOOD_LOG_NAME_BYTES_MAX;
}

enum cordwood_status cordwood_log_append(struct cordwood_logs *logs, struct cordwood_slice name,
                                         const struct cordwood_log_entry *entries, size_t count,
                                         struct cordwood_log_id *ids)
{
    struct change change = {.name = library_slice(name),
                            .apply = apply_append,
                            .entries = entries,
                            .count = count,
                            .ids = ids};
    if (!is_name(name) || count == 0)
        return CORDWOOD_INVALID;
    if (!add_up(logs, &change))
        return CORDWOOD_TOO_LARGE;
    struct slice *levels = take_levels(entries, count);
    if (!levels)
        return CORDWOOD_INVALID;
    change.levels = levels;
    enum cordwood_status status = make_change(logs, &change);
    memory_free(levels);
    return status;
}

static enum status apply_trim(struct access *access, struct change *change)
{
    struct stream stream;
    const struct stream_trim trim = {.kind = STREAM_TRIM_MINID, .minid = {change->before_ms, 0}};
    enum status status = stream_find(access, change->name, &stream);
    return status == STATUS_OK ? stream_trim(access, &stream, &trim, change->removed) : status;
}

enum cordwood_status cordwood_log_trim(struct cordwood_logs *logs, struct cordwood_slice name,
                                       uint64_t ms, uint64_t *removed)
{
    struct change change = {.name = library_slice(name),
                            .only_deletes = true,
                            .apply = apply_trim,
                            .before_ms = ms,
                            .removed = removed};
    return is_name(name) ? make_change(logs, &change) : CORDWOOD_INVALID;
}

static enum status apply_delete(struct access *access, struct change *change)
{
    struct object object;
    bool deleted;
    enum status status = keyspace_find_type(access, change->name, OBJECT_STREAM, &object);
    return status == STATUS_OK ? keyspace_delete(access, change->name, &deleted) : status;
}

enum cordwood_status cordwood_log_delete(struct cordwood_logs *logs, struct cordwood_slice name)
{
    struct change change = {
        .name = library_slice(name), .only_deletes = true, .apply = apply_delete};
    return is_name(name) ? make_change(logs, &change) : CORDWOOD_INVALID;
}

/* ---- Reading ------------------------------------------------------------------------------- */

enum cordwood_status cordwood_log_length(struct cordwood_logs *logs, struct cordwood_slice name,
                                         uint64_t *length)
{
    struct access access;
    struct stream stream;
    if (!is_name(name))
        return CORDWOOD_INVALID;
    struct keeper_reader *taken = keeper_take_reader(&logs->keeper);
    access_init(&access, logs->store, taken->reader);
    access_begin_read(&access, 0, false);
    enum status status = stream_find(&access, library_slice(name), &stream);
    if (status == STATUS_OK)
        *length = stream.header.length;
    (void)access_end(&access); /* nobody waits for what was read */
    access_release(&access);
    keeper_give_reader(taken);
    return library_status(status);
}

struct cordwood_log_range {
    struct cordwood_logs *logs;
    struct lsm_reader *reader;
    struct access access;
    struct stream stream;
    struct log_range range;
    bool is_open; /* the range is */
    struct buffer name;
    struct buffer fields; /* struct cordwood_log_field of the entry shown */
};

static void begin_range(struct cordwood_log_range *range,
                        const struct cordwood_log_range_options *options)
{
    const struct stream_moment first = {options->first_ms, STREAM_ID_MIN};
    const struct stream_moment last = {options->last_ms, STREAM_ID_MAX};
    if (options->first_ms > options->last_ms)
        return;
    log_range_open(&range->access, &range->stream, first, last, options->is_reverse, &range->range);
    range->is_open = true;
}

enum cordwood_status cordwood_log_range_open(struct cordwood_logs *logs, struct cordwood_slice name,
                                             const struct cordwood_log_range_options *given,
                                             struct cordwood_log_range **out)
{
    struct cordwood_log_range_options options = CORDWOOD_LOG_RANGE_OPTIONS;
    struct lsm_reader *reader;
    if (!is_name(name) || !library_take_struct(&options, sizeof(options), given))
        return CORDWOOD_INVALID;
    enum status status = keeper_lend_reader(&logs->keeper, &reader);
    if (status != STATUS_OK)
        return library_status(status);
    struct cordwood_log_range *range = memory_zeroed(1, sizeof(*range));
    range->logs = logs;
    range->reader = reader;
    buffer_append_slice(&range->name, library_slice(name));
    access_init(&range->access, logs->store, reader);
    access_begin_read(&range->access, 0, false);
    status = stream_find(&range->access, buffer_slice(&range->name), &range->stream);
    if (status == STATUS_OK) {
        begin_range(range, &options);
        *out = range;
    } else {
        cordwood_log_range_close(range);
    }
    return library_status(status);
}

static void show_field(struct cordwood_log_range *range, const struct stream_field *field,
                       struct cordwood_log_entry *entry)
{
    const struct cordwood_slice value = {field->value.data, field->value.size};
    if (slice_equal(field->name, slice_from("message")) && !entry->message.data) {
        entry->message = value;
    } else if (slice_equal(field->name, slice_from("level")) && !entry->level.data) {
        entry->level = value;
    } else {
        const struct cordwood_log_field shown = {
            {field->name.data, field->name.size}, value, field->kind == STREAM_FIELD_JSON};
        buffer_append(&range->fields, &shown, sizeof(shown));
        entry->field_count++;
    }
}

enum cordwood_status cordwood_log_range_next(struct cordwood_log_range *range,
                                             struct cordwood_log_entry *out)
{
    struct stream_entry entry;
    struct stream_field field;
    if (!range->is_open)
        return CORDWOOD_NOT_FOUND;
    enum status status = log_range_next(&range->range, &entry);
    if (status != STATUS_OK)
        return library_status(status);
    struct cordwood_log_entry shown = {.id = {entry.id.ms, entry.id.seq},
                                       .time_ms = entry.event_ms};
    struct stream_fields fields = stream_fields_begin(&entry);
    buffer_clear(&range->fields);
    while (stream_fields_next(&fields, &field))
        show_field(range, &field, &shown);
    if (fields.is_corrupt)
        return CORDWOOD_CORRUPT;
    shown.fields = (const struct cordwood_log_field *)range->fields.data;
    *out = shown;
    return CORDWOOD_OK;
}

void cordwood_log_range_close(struct cordwood_log_range *range)
{
    if (!range)
        return;
    if (range->is_open)
        log_range_close(&range->range);
    (void)access_end(&range->access); /* nobody waits for what was read */
    access_release(&range->access);
    keeper_return_reader(&range->logs->keeper, range->reader);
    buffer_release(&range->name);
    buffer_release(&range->fields);
    memory_free(range);
}
