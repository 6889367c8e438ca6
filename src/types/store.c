/* SPDX-License-Identifier: MIT */
/* Opening and closing: the three trees, and the meta records that the store keeps in memory. */
#include "types/store.h"

#include "base/memory.h"
#include "types/encoding.h"
#include "types/entry_codec.h"
#include "types/object_build.h"
#include "types/store_state.h"

#include <assert.h>
#include <stdio.h>

const struct block_codec *const store_codecs[] = {&entry_codec, NULL};

static void engine_options_fill(struct lsm_options *engine, const struct store_options *options)
{
    uint32_t filter_bits = options->filter_bits_per_key ? options->filter_bits_per_key : 10;
    *engine = (struct lsm_options){
        .trees =
            {
                [TREE_KEYS] = {.name = "keys",
                               .compaction = LSM_LEVELED,
                               .block_bytes = options->block_bytes,
                               .filter_bits_per_key = filter_bits},
                [TREE_PARTS] = {.name = "parts",
                                .compaction = LSM_LEVELED,
                                .block_bytes = options->block_bytes,
                                .filter_bits_per_key = filter_bits,
                                .filter_prefix_bytes = OBJECT_PREFIX_BYTES,
                                .finger_prefix_bytes = OBJECT_PREFIX_BYTES},
                [TREE_ENTRIES] = {.name = "entries",
                                  .compaction = LSM_TIME_RUNS,
                                  .block_bytes = options->block_bytes,
                                  .filter_bits_per_key = filter_bits,
                                  .filter_prefix_bytes = OBJECT_PREFIX_BYTES,
                                  .finger_prefix_bytes = OBJECT_PREFIX_BYTES,
                                  .codec = &entry_codec,
                                  .cold_compression = options->cold_compression,
                                  .cold_level = options->cold_level,
                                  .cold_block_bytes = options->cold_block_bytes},
            },
        .tree_count = TREE_COUNT,
        .memtable_bytes = options->memtable_bytes,
        .block_cache_bytes = options->block_cache_bytes,
        .wal_segment_bytes = options->wal_segment_bytes,
        .wal_compression = options->wal_compression,
        .wal_page_bytes = options->wal_page_bytes,
        .compaction_bytes_per_second = options->compaction_bytes_per_second,
        .table_bytes_max = options->table_bytes_max,
        .work_ready = options->work_ready,
        .context = options->context,
    };
}

/* The records of the whole store stand in all trees, so that a lost table does not take them along.
 */
void store_put_everywhere(struct lsm_writer *writer, enum meta_tag tag, struct slice record)
{
    uint8_t key[META_KEY_BYTES_MAX];
    assert(tag != META_COUNTS);
    for (unsigned tree = 0; tree < TREE_COUNT; tree++)
        lsm_put(writer, tree, meta_key(key, tag, 0), record);
}

/* The first copy, or with `compares` the newest one; STATUS_NOT_FOUND: no tree has one. After a
 * repair copies may differ; otherwise it is not worth to read a block of each tree at every start.
 */
static enum status read_copy(struct lsm_reader *reader, enum meta_tag tag, bool compares,
                             struct slice *record)
{
    uint8_t key[META_KEY_BYTES_MAX];
    enum status found = STATUS_NOT_FOUND;
    lsn_t newest = 0;
    for (unsigned tree = 0; tree < TREE_COUNT && (found || compares); tree++) {
        struct slice copy;
        lsn_t lsn;
        enum status status = lsm_get_lsn(reader, tree, meta_key(key, tag, 0), &copy, &lsn);
        if (status == STATUS_NOT_FOUND || (!status && !found && lsn <= newest))
            continue;
        if (status)
            return status;
        *record = copy;
        newest = lsn;
        found = STATUS_OK;
    }
    return found;
}

static bool is_empty(struct lsm_reader *reader)
{
    bool empty = true;
    for (unsigned tree = 0; tree < TREE_COUNT && empty; tree++) {
        struct lsm_iter *iter = lsm_iter_open(reader, tree, &(struct lsm_iter_options){0});
        lsm_iter_seek_first(iter);
        empty = !lsm_iter_valid(iter) && lsm_iter_status(iter) == STATUS_OK;
        lsm_iter_close(iter);
    }
    return empty;
}

/* A new store: its secret seed, and what a missing record would mean anyway, so that no start looks
 * for it in all trees. */
static enum status write_first_records(struct store *store)
{
    struct lsm_writer *writer;
    struct buffer value = {0};
    uint32_t generations[STORE_DATABASES_MAX];
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        generations[i] = generation_default(i);
    store->env.random_bytes(store->env.context, &store->hash_seed, sizeof store->hash_seed);
    lsm_lock(store->engine);
    enum status status = lsm_write_begin(store->engine, 1024, false, &writer);
    if (!status) {
        meta_store_encode(&value, store->hash_seed);
        store_put_everywhere(writer, META_STORE, buffer_slice(&value));
        meta_map_encode(&value, generation_default(STORE_DATABASES_MAX), generations);
        store_put_everywhere(writer, META_MAP, buffer_slice(&value));
        meta_ids_encode(&value, 1);
        store_put_everywhere(writer, META_IDS, buffer_slice(&value));
        lsm_write_end(writer);
    }
    lsm_unlock(store->engine);
    buffer_release(&value);
    return status;
}

static enum status read_map(struct lsm_reader *reader, bool compares, uint32_t *next_generation,
                            uint32_t *generations)
{
    struct slice record;
    enum status status = read_copy(reader, META_MAP, compares, &record);
    if (!status)
        return meta_map_decode(record, next_generation, generations);
    if (status != STATUS_NOT_FOUND)
        return status;
    *next_generation = generation_default(STORE_DATABASES_MAX);
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        generations[i] = generation_default(i);
    return STATUS_OK;
}

static enum status load_ids(struct store *store, struct lsm_reader *reader, bool compares)
{
    struct slice record;
    enum status status = read_copy(reader, META_IDS, compares, &record);
    store->reserved_id = 1;
    if (!status)
        status = meta_ids_decode(record, &store->reserved_id);
    store->next_id = store->reserved_id;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* What was being built when the last run ended will never be linked. */
static enum status load_builds(struct store *store, struct lsm_reader *reader)
{
    struct slice record;
    uint8_t key[META_KEY_BYTES_MAX];
    struct store_build_id ids[STORE_BUILDS_MAX];
    enum status status = lsm_get(reader, TREE_KEYS, meta_key(key, META_BUILDS, 0), &record);
    if (!status)
        status = meta_builds_decode(record, ids, &store->build_count);
    for (size_t i = 0; i < store->build_count && !status; i++)
        store->builds[i] = (struct store_build){.id = ids[i], .is_abandoned = true};
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status load_database(struct lsm_reader *reader, struct store_database *database)
{
    struct slice record;
    uint8_t key[META_KEY_BYTES_MAX];
    struct slice counts = meta_key(key, META_COUNTS, database->generation);
    enum status status = lsm_get(reader, TREE_KEYS, counts, &record);
    if (!status)
        status = meta_counts_decode(record, &database->key_count, &database->expires_count);
    database->expire_hint_ms = database->expires_count ? 0 : STORE_EXPIRE_NEVER;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status load_records(struct store *store, struct lsm_reader *reader, bool compares)
{
    uint32_t generations[STORE_DATABASES_MAX];
    enum status status = read_map(reader, compares, &store->next_generation, generations);
    if (!status)
        status = load_ids(store, reader, compares);
    if (!status)
        status = load_builds(store, reader);
    for (unsigned i = 0; i < STORE_DATABASES_MAX && !status; i++) {
        store->databases[i].generation = generations[i];
        if (i < store->database_count)
            status = load_database(reader, &store->databases[i]);
    }
    return status;
}

/* Everything that the store keeps in memory, from its meta records; makes the first one. */
static enum status load_store(struct store *store, bool compares)
{
    struct slice record;
    struct lsm_reader *reader = lsm_reader_create(store->engine);
    lsm_read_begin(reader);
    enum status status = read_copy(reader, META_STORE, compares, &record);
    if (!status)
        status = meta_store_decode(record, &store->hash_seed);
    else if (status == STATUS_NOT_FOUND) /* without its seed no key would be found again */
        status = is_empty(reader) ? write_first_records(store) : STATUS_CORRUPT;
    if (!status)
        status = load_records(store, reader, compares);
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
    return status;
}

void store_publish_map(struct store *store, lsn_t lsn)
{
    uint64_t version = atomic_load_explicit(&store->map_version, memory_order_relaxed);
    assert(version % 2 == 0);
    /* Sequentially consistent, so that a reader that sees a new value below sees the odd version.
     */
    atomic_store(&store->map_version, version + 1);
    atomic_store(&store->map_lsn, lsn);
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        if (atomic_load_explicit(&store->published[i], memory_order_relaxed) !=
            store->databases[i].generation)
            atomic_store(&store->published[i], store->databases[i].generation);
    atomic_store(&store->map_version, version + 2);
}

enum status store_read_generation(struct store *store, struct lsm_reader *reader, unsigned database,
                                  uint32_t *generation)
{
    uint32_t next, generations[STORE_DATABASES_MAX];
    assert(database < store->database_count);
    enum status status = read_map(reader, false, &next, generations);
    if (!status)
        *generation = generations[database];
    return status;
}

enum status store_open(const struct env *env, const char *directory,
                       const struct store_options *options, struct lsm_report *report,
                       struct store **store)
{
    struct lsm_options engine;
    assert(options->databases <= STORE_DATABASES_MAX);
    assert(options->build_bytes_max <= OBJECT_BUILD_BATCH_BYTES);
    struct store *opened = memory_zeroed(1, sizeof *opened);
    opened->env = *env;
    opened->database_count = options->databases ? options->databases : 16;
    opened->build_bytes_max =
        options->build_bytes_max ? options->build_bytes_max : OBJECT_BUILD_BATCH_BYTES;
    slot_table_init(&opened->slots);
    engine_options_fill(&engine, options);
    enum status status = lsm_open(env, directory, &engine, report, &opened->engine);
    if (status) {
        memory_free(opened);
        return status;
    }
    lsm_set_ack_durable(opened->engine, options->ack_durable);
    status = load_store(opened, options->compares_copies);
    if (status) {
        snprintf(report->text, sizeof report->text, "the store's own records in %s: %s", directory,
                 status_text(status));
        (void)store_close(opened); /* the first error is the one to tell */
        return status;
    }
    store_publish_map(opened, 0);
    object_builds_sweep(opened);
    *store = opened;
    return STATUS_OK;
}

enum status store_close(struct store *store)
{
    enum status status = lsm_close(store->engine);
    memory_free(store);
    return status;
}

struct lsm *store_engine(struct store *store)
{
    return store->engine;
}

const struct env *store_env(struct store *store)
{
    return &store->env;
}

unsigned store_database_count(const struct store *store)
{
    return store->database_count;
}
