/* SPDX-License-Identifier: MIT */
/* The invariants of a memtable: order, links, versions, counts, index, fingers. */
#include "lsm/memtable_node.h"

#include "lsm/finding.h"

struct memtable_check {
    const struct memtable *table;
    lsn_t first, end;
    struct lsm_report *report;
    uint64_t nodes, versions, deletions, heap_versions, heap_bytes; /* counted */
};

static enum status key_finding(struct memtable_check *check, const struct mem_node *node,
                               const char *what)
{
    char text[FINDING_KEY_TEXT];
    return finding(check->report, "memtable key '%s': %s", finding_key(node_key(node), text), what);
}

static enum status check_versions(struct memtable_check *check, const struct mem_node *node)
{
    const struct mem_version *version = atomic_load_explicit(&node->newest, memory_order_acquire);
    lsn_t newer = UINT64_MAX;
    if (!version)
        return key_finding(check, node, "it has no version");
    check->deletions += version->kind == ENTRY_DELETE;
    for (; version; version = atomic_load_explicit(&version->older, memory_order_acquire)) {
        check->versions++;
        if (version->size_class == CLASS_HEAP) {
            check->heap_versions++;
            check->heap_bytes += sizeof(*version) + version->size;
        }
        if (version->kind != ENTRY_PUT && version->kind != ENTRY_DELETE)
            return key_finding(check, node, "a version is neither a put nor a deletion");
        if (version->lsn > newer)
            return key_finding(check, node, "its versions are out of order");
        if (version->lsn < check->first || version->lsn >= check->end)
            return key_finding(check, node, "a version's LSN is not one of the memtable's");
        newer = version->lsn;
    }
    return STATUS_OK;
}

static bool is_indexed(const struct memtable *table, const struct mem_node *node)
{
    uint64_t hash = memtable_hash(table, node_key(node));
    const struct mem_node *at =
        atomic_load_explicit(&table->buckets[hash & table->bucket_mask], memory_order_acquire);
    while (at && at != node)
        at = at->hash_next;
    return at && node->hash == (uint32_t)(hash >> 32);
}

static enum status check_nodes(struct memtable_check *check)
{
    const struct memtable *table = check->table;
    const struct mem_node *before = table->head;
    for (const struct mem_node *node = node_next(before, 0); node; node = node_next(node, 0)) {
        check->nodes++;
        if (atomic_load_explicit(&node->prev, memory_order_acquire) != before)
            return key_finding(check, node, "its link back is wrong");
        if (node->front != key_front(node_key(node)))
            return key_finding(check, node, "its front is another key's");
        if (before != table->head && slice_compare(node_key(before), node_key(node)) >= 0)
            return key_finding(check, node, "it is out of order");
        if (table->buckets && !is_indexed(table, node))
            return key_finding(check, node, "the hash index does not find it");
        enum status status = check_versions(check, node);
        if (status != STATUS_OK)
            return status;
        before = node;
    }
    if (atomic_load_explicit(&table->last, memory_order_acquire) != before)
        return finding(check->report, "the memtable's last node is not the last");
    return STATUS_OK;
}

/* Each level is a part of the one below, in the same order. */
static enum status check_levels(struct memtable_check *check)
{
    const struct memtable *table = check->table;
    int height = atomic_load_explicit(&table->height, memory_order_acquire);
    for (int level = 1; level < HEIGHT_MAX; level++) {
        const struct mem_node *below = node_next(table->head, level - 1);
        for (const struct mem_node *node = node_next(table->head, level); node;
             node = node_next(node, level)) {
            if (level >= height)
                return key_finding(check, node, "it is higher than the memtable");
            while (below && below != node)
                below = node_next(below, level - 1);
            if (!below)
                return key_finding(check, node, "an upper level of the list has it out of place");
        }
        if (node_next(table->lasts[level], level))
            return finding(check->report, "the memtable's last node of level %d is not the last",
                           level);
    }
    return STATUS_OK;
}

static enum status check_ranges(struct memtable_check *check)
{
    for (const struct memtable_range *range = memtable_ranges(check->table); range;
         range = range->next) {
        char from[FINDING_KEY_TEXT];
        finding_key(range->range.from, from);
        if (slice_compare(range->range.from, range->range.to) >= 0)
            return finding(check->report, "memtable range deletion from '%s': it ends before",
                           from);
        if (range->range.lsn < check->first || range->range.lsn >= check->end)
            return finding(
                check->report,
                "memtable range deletion from '%s': its LSN is not one of the memtable's", from);
    }
    return STATUS_OK;
}

static enum status check_fingers(struct memtable_check *check)
{
    const struct memtable *table = check->table;
    for (size_t i = 0; table->fingers && i < FINGERS; i++) {
        const struct mem_node *last = table->fingers[i].last;
        const struct mem_node *before = last ? table->fingers[i].before[0] : NULL;
        if (!last)
            continue;
        if (before != table->head && slice_compare(node_key(before), node_key(last)) > 0)
            return key_finding(check, last, "its finger stands behind it");
        const struct mem_node *back = atomic_load_explicit(&last->prev, memory_order_acquire);
        if (node_next(back, 0) != last)
            return key_finding(check, last, "a finger points to it, the list does not");
    }
    return STATUS_OK;
}

static enum status check_counts(struct memtable_check *check)
{
    const struct memtable *table = check->table;
    uint64_t bytes = atomic_load_explicit(&table->heap_bytes, memory_order_relaxed);
    if (table->buckets)
        check->heap_bytes += (table->bucket_mask + 1) * sizeof(*table->buckets);
    if (check->nodes != memtable_node_count(table))
        return finding(check->report, "the memtable counts %llu keys and has %llu",
                       (unsigned long long)memtable_node_count(table),
                       (unsigned long long)check->nodes);
    if (check->versions != memtable_version_count(table))
        return finding(check->report, "the memtable counts %llu versions and has %llu",
                       (unsigned long long)memtable_version_count(table),
                       (unsigned long long)check->versions);
    if (check->deletions != memtable_delete_count(table))
        return finding(check->report, "the memtable counts %llu deleted keys and has %llu",
                       (unsigned long long)memtable_delete_count(table),
                       (unsigned long long)check->deletions);
    if (check->heap_versions != table->heap_version_count)
        return finding(check->report, "the memtable counts %zu large versions and has %llu",
                       table->heap_version_count, (unsigned long long)check->heap_versions);
    if (check->heap_bytes != bytes)
        return finding(check->report, "the memtable counts %llu bytes of the heap and has %llu",
                       (unsigned long long)bytes, (unsigned long long)check->heap_bytes);
    return STATUS_OK;
}

enum status memtable_check(const struct memtable *table, lsn_t first, lsn_t end,
                           struct lsm_report *report)
{
    struct memtable_check check = {.table = table, .first = first, .end = end, .report = report};
    enum status status = check_nodes(&check);
    if (status == STATUS_OK)
        status = check_levels(&check);
    if (status == STATUS_OK)
        status = check_ranges(&check);
    if (status == STATUS_OK)
        status = check_fingers(&check);
    return status == STATUS_OK ? check_counts(&check) : status;
}
