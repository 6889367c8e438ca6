/* SPDX-License-Identifier: MIT */
/* The life of a batch: begin (room in the WAL, room in memory), puts straight into the memtables under
 * the batch's LSN, end (one frame, then published). Nothing in between can fail, so nothing has to be
 * undone; nobody but the batch's own reader sees it before its end. */
#include "lsm/db.h"

#include "base/coding.h"
#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

enum {
    RECORD_OVERHEAD_BYTES =
        64 * 1024, /* room for record and frame heads that callers don't count */
    /* Memory is made ready for a batch of so many bytes at least, or of a quarter of a memtable, ... */
    READY_BYTES_MIN = 256 * 1024,
    READY_BYTES_KEPT = 1 << 20, /* ... and what is ready for more is given back */
    SMALL_RECORDS_BYTES_MAX = 256 << 20,
    BATCHES_PER_DELAY = 256,
    BYTES_PER_BATCH_UNIT = 1024,     /* a larger batch counts as several */
    CONTINUED_BYTES_MAX = 64 * 1024, /* records of a batch that takes more */
};

void lsm_lock(struct lsm *db)
{
    pthread_mutex_lock(&db->write_lock);
}

bool lsm_try_lock(struct lsm *db, unsigned wait_us)
{
    if (pthread_mutex_trylock(&db->write_lock) == 0)
        return true;
    if (wait_us == 0)
        return false;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + (uint64_t)wait_us * 1000;
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    return pthread_mutex_timedlock(&db->write_lock, &until) == 0;
}

void lsm_unlock(struct lsm *db)
{
    pthread_mutex_unlock(&db->write_lock);
}

/* What a batch's nodes take in memtables: callers count LSM_RECORD_BYTES for each record that is small,
 * and MEMTABLE_RECORD_BYTES come to it; in a very large batch most bytes are those of large values. */
static size_t memtable_bytes_max(size_t bytes)
{
    return bytes + 2 * (bytes < SMALL_RECORDS_BYTES_MAX ? bytes : SMALL_RECORDS_BYTES_MAX);
}

void db_spare_settle(struct lsm *db, struct memtable_set *set)
{
    size_t moved = spare_move_used(&db->writer.spare, &set->spares);
    atomic_fetch_add_explicit(&set->spare_bytes, moved, memory_order_relaxed);
}

/* Memory for a batch of so many bytes, and the heads of its records. */
static enum status make_ready(struct lsm_writer *writer, size_t bytes)
{
    size_t quarter = writer->db->options.memtable_bytes / 4;
    size_t bytes_min = quarter < READY_BYTES_MIN ? quarter : READY_BYTES_MIN;
    if (bytes < bytes_min)
        bytes = bytes_min;
    buffer_clear(&writer->payload);
    enum status status = buffer_try_reserve(&writer->payload, bytes);
    if (status == STATUS_OK && !spare_try_fill(&writer->spare, memtable_bytes_max(bytes)))
        status = STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        writer->bytes_ready = bytes;
    return status;
}

/* What was made ready for a large batch. */
static void give_back(struct lsm_writer *writer)
{
    writer->bytes_ready = 0;
    spare_release(&writer->spare);
    buffer_release(&writer->payload);
    wal_unreserve(writer->db->wal);
}

static enum status reserve(struct lsm_writer *writer, size_t bytes, bool may_use_reserve)
{
    enum status status = STATUS_OK;
    if (bytes > writer->bytes_ready)
        status = make_ready(writer, bytes);
    if (status == STATUS_OK)
        status = wal_reserve(writer->db->wal, bytes, may_use_reserve);
    if (status != STATUS_OK && writer->payload.capacity > READY_BYTES_KEPT)
        give_back(writer);
    return status;
}

/* A large batch counts as several. */
static void count_down_to_delay(struct lsm *db, uint64_t units)
{
    if (db->batches_until_delay >= units) {
        db->batches_until_delay -= units;
        return;
    }
    db->batches_until_delay = BATCHES_PER_DELAY;
    db_update_delay(db);
    if (wal_wants_work(db->wal))
        db_work_ready(db);
}

enum status lsm_write_begin(struct lsm *db, size_t bytes_max, bool may_use_reserve,
                            struct lsm_writer **out)
{
    struct lsm_writer *writer = &db->writer;
    assert(!writer->open);
    if (db->options.read_only || wal_is_poisoned(db->wal))
        return STATUS_READ_ONLY;
    if (bytes_max > WAL_BATCH_BYTES_MAX - RECORD_OVERHEAD_BYTES)
        return STATUS_TOO_LARGE;
    enum status status = reserve(writer, bytes_max + RECORD_OVERHEAD_BYTES, may_use_reserve);
    if (status != STATUS_OK)
        return status;
    db_switch_memtables(db, false);
    count_down_to_delay(db, 1 + bytes_max / BYTES_PER_BATCH_UNIT);
    writer->bytes_max = bytes_max + RECORD_OVERHEAD_BYTES;
    writer->may_use_reserve = may_use_reserve;
    writer->lsn = wal_next_lsn(db->wal);
    writer->record_count = 0;
    memset(writer->logged, 0, sizeof(writer->logged));
    writer->open = true;
    buffer_clear(&writer->payload);
    struct lsm_reader *reader = &writer->reader;
    reader_refresh_view(reader);
    reader->lsn = writer->lsn;
    reader->active = true;
    reader->revealed = 0;
    *out = writer;
    return STATUS_OK;
}

/* What was taken from the spare memory so far stays the memtables'; a larger block takes its place. */
static enum status make_more_ready(struct lsm_writer *writer, size_t bytes)
{
    struct spare larger = {0};
    enum status status = buffer_try_reserve(&writer->payload, bytes - writer->payload.size);
    if (status != STATUS_OK)
        return status;
    if (!spare_try_fill(&larger, memtable_bytes_max(bytes)))
        return STATUS_NO_MEMORY;
    db_spare_settle(writer->db, writer->reader.view->active);
    spare_release(&writer->spare);
    writer->spare = larger;
    writer->bytes_ready = bytes;
    return STATUS_OK;
}

enum status lsm_write_reserve(struct lsm_writer *writer, size_t bytes)
{
    assert(writer->open);
    if (bytes > WAL_BATCH_BYTES_MAX - writer->bytes_max)
        return STATUS_TOO_LARGE;
    size_t total = writer->bytes_max + bytes;
    enum status status = total > writer->bytes_ready ? make_more_ready(writer, total) : STATUS_OK;
    if (status == STATUS_OK)
        status = wal_reserve_more(writer->db->wal, total, writer->may_use_reserve);
    if (status != STATUS_OK)
        return status;
    writer->bytes_max = total;
    count_down_to_delay(writer->db, bytes / BYTES_PER_BATCH_UNIT);
    return STATUS_OK;
}

bool lsm_write_continue(struct lsm_writer *writer, size_t bytes_max, bool may_use_reserve)
{
    assert(writer->open);
    size_t total = writer->payload.size + RECORD_OVERHEAD_BYTES;
    if (writer->payload.size > CONTINUED_BYTES_MAX || writer->spare.used > 0 ||
        total > writer->bytes_ready || bytes_max > writer->bytes_ready - total)
        return false;
    total += bytes_max;
    if (wal_reserve_more(writer->db->wal, total, may_use_reserve) != STATUS_OK)
        return false;
    if (total > writer->bytes_max)
        writer->bytes_max = total;
    writer->may_use_reserve = may_use_reserve;
    count_down_to_delay(writer->db, 1 + bytes_max / BYTES_PER_BATCH_UNIT);
    lsm_reader_forget(&writer->reader);
    return true;
}

static void writer_log(struct lsm_writer *writer, enum entry_kind kind, unsigned tree,
                       struct slice key, struct slice value)
{
    assert(writer->open);
    assert(tree < writer->db->options.tree_count);
    assert(key.size <= LSM_KEY_BYTES_MAX);
    wal_record_append(&writer->payload, kind, tree, key, value);
    writer->record_count++;
}

/* A put of the key that this tree's last record puts, with a value of the same size, takes its place: a log's
 * header is written with each of its entries. */
static bool replaces_last(struct lsm_writer *writer, unsigned tree, struct slice key,
                          struct slice value)
{
    const struct logged *logged = &writer->logged[tree];
    if (logged->key_size != key.size || logged->value_size != value.size || !logged->ends_with_put)
        return false;
    uint8_t *at = writer->payload.data + logged->last_put + 1 + varint_size(key.size);
    if (memcmp(at, key.data, key.size) != 0)
        return false;
    if (value.size)
        memcpy(at + key.size + varint_size(value.size), value.data, value.size);
    return true;
}

void lsm_put(struct lsm_writer *writer, unsigned tree, struct slice key, struct slice value)
{
    struct memtable *table = writer->reader.view->active->trees[tree];
    if (!replaces_last(writer, tree, key, value)) {
        writer->logged[tree] = (struct logged){.has_puts = true,
                                               .ends_with_put = true,
                                               .last_put = (uint32_t)writer->payload.size,
                                               .key_size = (uint32_t)key.size,
                                               .value_size = (uint32_t)value.size};
        writer_log(writer, ENTRY_PUT, tree, key, value);
    }
    memtable_put(table, key, writer->lsn, ENTRY_PUT, value);
}

void lsm_delete(struct lsm_writer *writer, unsigned tree, struct slice key)
{
    struct slice none = slice_make(NULL, 0);
    writer->logged[tree].ends_with_put = false;
    writer_log(writer, ENTRY_DELETE, tree, key, none);
    memtable_put(writer->reader.view->active->trees[tree], key, writer->lsn, ENTRY_DELETE, none);
}

void db_apply_range_delete(struct memtable_set *set, unsigned tree, struct range_delete range,
                           struct slice earlier)
{
    struct wal_record record;
    bool bad = false;
    while (wal_record_next(&earlier, &record, &bad)) {
        if (record.tree == tree && record.kind == ENTRY_PUT &&
            slice_compare(range.from, record.key) <= 0 && slice_compare(record.key, range.to) < 0)
            memtable_put(set->trees[tree], record.key, range.lsn, ENTRY_DELETE,
                         slice_make(NULL, 0));
    }
    memtable_delete_range(set->trees[tree], range);
}

void lsm_delete_range(struct lsm_writer *writer, unsigned tree, struct slice from, struct slice to)
{
    if (slice_compare(from, to) >= 0)
        return;
    struct slice earlier = slice_make(NULL, 0);
    if (writer->logged[tree].has_puts)
        earlier = buffer_slice(&writer->payload);
    writer->logged[tree].ends_with_put = false;
    db_apply_range_delete(writer->reader.view->active, tree,
                          (struct range_delete){from, to, writer->lsn}, earlier);
    writer_log(writer, ENTRY_DELETE_RANGE, tree, from, to);
}

struct lsm_reader *lsm_writer_reader(struct lsm_writer *writer)
{
    return &writer->reader;
}

lsn_t lsm_writer_lsn(const struct lsm_writer *writer)
{
    return writer->lsn;
}

bool lsm_writer_is_empty(const struct lsm_writer *writer)
{
    return writer->record_count == 0;
}

static void publish(struct lsm_writer *writer)
{
    struct lsm *db = writer->db;
    lsn_t end = wal_append(db->wal, buffer_slice(&writer->payload), writer->record_count);
    assert(end > writer->lsn);
    if (wal_is_poisoned(db->wal))
        db_poison(db);
    atomic_store(&db->visible_bound, end); /* pairs with the loads of lsm_read_begin */
    db_debug_batch(db);
}

lsn_t lsm_write_end(struct lsm_writer *writer)
{
    assert(writer->open);
    writer->open = false;
    lsm_read_end(&writer->reader);
    bool is_empty = writer->record_count == 0;
    if (!is_empty)
        publish(writer);
    if (writer->spare.used > 0) {
        db_spare_settle(writer->db, writer->reader.view->active);
        writer->bytes_ready = 0;
    }
    if (writer->payload.capacity > READY_BYTES_KEPT)
        give_back(writer);
    return is_empty ? 0 : writer->lsn;
}

/* ---- Durability ---------------------------------------------------------------------------- */

lsn_t lsm_visible_lsn(const struct lsm *db)
{
    return atomic_load(&db->visible_bound);
}

lsn_t lsm_written_lsn(const struct lsm *db)
{
    return db->wal ? wal_written_lsn(db->wal) : atomic_load(&db->visible_bound);
}

lsn_t lsm_durable_lsn(const struct lsm *db)
{
    return db->wal ? wal_durable_lsn(db->wal) : atomic_load(&db->visible_bound);
}

enum status lsm_wal_write(struct lsm *db)
{
    enum status status = wal_write(db->wal);
    if (status != STATUS_OK)
        db_poison(db);
    return status;
}

enum status lsm_wal_sync(struct lsm *db)
{
    enum status status = wal_sync(db->wal);
    if (status != STATUS_OK)
        db_poison(db);
    return status;
}

/* What was acknowledged stays so: versions below it may be gone. Read anew behind the flag: whoever still
 * found it unset had read the written LSN before (db_acked_bound). */
void lsm_set_ack_durable(struct lsm *db, bool durable)
{
    if (durable && !atomic_load(&db->ack_durable))
        atomic_store(&db->acked_floor, lsm_written_lsn(db));
    if (atomic_exchange(&db->ack_durable, durable) != durable && durable)
        atomic_store(&db->acked_floor, lsm_written_lsn(db));
}

enum status lsm_wal_rotate(struct lsm *db)
{
    lsm_lock(db);
    enum status status = db->options.read_only ? STATUS_READ_ONLY : STATUS_OK;
    if (status == STATUS_OK)
        wal_request_rotate(db->wal);
    lsm_unlock(db);
    return status;
}
