/* SPDX-License-Identifier: MIT */
#include "lsm/version_filter.h"

#include "base/memory.h"

void version_filter_init(struct version_filter *filter, lsn_t *read_lsns, size_t count)
{
    *filter = (struct version_filter){.read_lsns = read_lsns, .read_count = count};
}

void version_filter_release(struct version_filter *filter)
{
    memory_free(filter->read_lsns);
    buffer_release(&filter->key);
    *filter = (struct version_filter){0};
}

void version_filter_restart(struct version_filter *filter)
{
    filter->lsn = 0;
}

static bool is_read_between(const struct version_filter *filter, lsn_t from, lsn_t to)
{
    size_t low = 0, high = filter->read_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (filter->read_lsns[middle] < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low < filter->read_count && filter->read_lsns[low] < to;
}

bool version_filter_keeps(struct version_filter *filter, struct slice key, lsn_t lsn)
{
    bool same_key = filter->lsn != 0 && slice_equal(buffer_slice(&filter->key), key);
    bool keeps = !same_key || is_read_between(filter, lsn, filter->lsn);
    if (!same_key) {
        buffer_clear(&filter->key);
        buffer_append_slice(&filter->key, key);
    }
    filter->lsn = lsn;
    filter->old_count += same_key && keeps;
    return keeps;
}

uint64_t version_filter_take_old_count(struct version_filter *filter)
{
    uint64_t count = filter->old_count;
    filter->old_count = 0;
    return count;
}

lsn_t version_filter_oldest_read(const struct version_filter *filter)
{
    return filter->read_count ? filter->read_lsns[0] : UINT64_MAX;
}
