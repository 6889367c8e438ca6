/* SPDX-License-Identifier: MIT */
/* The invariants of the WAL's writing side (the picture in wal.c). */
#include "lsm/wal_writer.h"

#include "lsm/finding.h"

#include <inttypes.h>

/* Everything from `flushed` on is in one row of segments; below it there may be gaps, since damaged
 * segments that recovery did not need are removed. */
static enum status check_segments(const struct wal *wal, lsn_t flushed, struct lsm_report *report)
{
    if (wal->segment_count == 0 || wal->tail >= wal->segment_count)
        return finding(report, "WAL: segment %zu of %zu is the tail", wal->tail,
                       wal->segment_count);
    lsn_t first = wal->segments[0]->header.base;
    if (first > flushed && first > WAL_FIRST_LSN)
        return finding(report,
                       "WAL: it begins at %016" PRIx64 ".wal, tables end before, at %" PRIx64,
                       first, flushed);
    for (size_t i = 0; i < wal->segment_count; i++) {
        const struct wal_header *header = &wal->segments[i]->header;
        if (header->epoch > wal->epoch || header->store_id != wal->store_id)
            return finding(report, "WAL: %016" PRIx64 ".wal has another store or a later epoch",
                           header->base);
        if (i + 1 == wal->segment_count)
            break;
        lsn_t end = wal_header_end(header), next = wal->segments[i + 1]->header.base;
        if (end > next || (end < next && next > flushed))
            return finding(report,
                           "WAL: %016" PRIx64 ".wal ends at %" PRIx64 ", but %016" PRIx64
                           ".wal follows",
                           header->base, end, next);
    }
    const struct wal_header *last = &wal->segments[wal->segment_count - 1]->header;
    if (atomic_load(&wal->prepared_lsn) != wal_header_end(last))
        return finding(report,
                       "WAL: it is prepared up to %" PRIx64 ", its segments end at %" PRIx64,
                       atomic_load(&wal->prepared_lsn), wal_header_end(last));
    return STATUS_OK;
}

static enum status check_lsns(const struct wal *wal, lsn_t flushed, struct lsm_report *report)
{
    const struct wal_header *tail = &wal->segments[wal->tail]->header;
    lsn_t durable = atomic_load(&wal->durable_lsn), written = atomic_load(&wal->written_lsn);
    lsn_t prepared = atomic_load(&wal->prepared_lsn), appended = wal->appended_lsn;
    if (wal_is_poisoned(wal))
        return STATUS_OK; /* positions go on without room for them */
    if (flushed > durable || durable > written || written > appended || appended > prepared)
        return finding(report,
                       "WAL: flushed %" PRIx64 ", durable %" PRIx64 ", written %" PRIx64
                       ", appended %" PRIx64 ", prepared %" PRIx64 " are out of order",
                       flushed, durable, written, appended, prepared);
    if (wal->next_lsn != appended)
        return finding(report,
                       "WAL: appended up to %" PRIx64 ", but the next frame goes to %" PRIx64,
                       appended, wal->next_lsn);
    if (wal->next_lsn < tail->base || wal->next_lsn > wal_header_end(tail))
        return finding(report,
                       "WAL: the next frame goes to %" PRIx64
                       ", which is not in its tail %016" PRIx64 ".wal",
                       wal->next_lsn, tail->base);
    return STATUS_OK;
}

/* What waits to be written lies between what is written and the next frame, in order. */
static enum status check_pending(const struct wal *wal, struct lsm_report *report)
{
    const struct pending *pending = wal->active;
    lsn_t at = atomic_load(&wal->written_lsn);
    size_t bytes = 0;
    for (size_t i = 0; i < pending->extent_count; i++) {
        const struct extent *extent = &pending->extents[i];
        const struct wal_header *header = &extent->segment->header;
        lsn_t begin = header->base + extent->file_offset - WAL_HEADER_BYTES;
        if (extent->file_offset < WAL_HEADER_BYTES || begin < at ||
            begin + extent->size > wal_header_end(header) ||
            begin + extent->size > wal->appended_lsn)
            return finding(report,
                           "WAL: bytes wait for %016" PRIx64 ".wal at %" PRIx64
                           ", where they do not belong",
                           header->base, begin);
        at = begin + extent->size;
        bytes += extent->size;
    }
    if (bytes != pending->bytes.size)
        return finding(report, "WAL: %zu bytes wait to be written, %zu have a place",
                       pending->bytes.size, bytes);
    return STATUS_OK;
}

enum status wal_check(struct wal *wal, lsn_t flushed, struct lsm_report *report)
{
    pthread_mutex_lock(&wal->mutex);
    enum status status = check_segments(wal, flushed, report);
    if (status == STATUS_OK)
        status = check_lsns(wal, flushed, report);
    if (status == STATUS_OK)
        status = check_pending(wal, report);
    pthread_mutex_unlock(&wal->mutex);
    return status;
}
