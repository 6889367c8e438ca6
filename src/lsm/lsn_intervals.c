/* SPDX-License-Identifier: MIT */
#include "lsm/lsn_intervals.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

static void add_start(struct lsn_intervals *intervals, lsn_t lsn)
{
    if (intervals->count == intervals->capacity) {
        intervals->capacity = intervals->capacity ? 2 * intervals->capacity : 8;
        intervals->starts =
            memory_resize(intervals->starts, intervals->capacity * sizeof(intervals->starts[0]));
    }
    intervals->starts[intervals->count++] = lsn;
}

void lsn_intervals_begin(struct lsn_intervals *intervals, lsn_t first)
{
    assert(first > 0);
    intervals->count = 0;
    add_start(intervals, first);
}

void lsn_intervals_cut(struct lsn_intervals *intervals, lsn_t lsn)
{
    assert(intervals->count > 0);
    if (lsn > intervals->starts[0])
        add_start(intervals, lsn);
}

static int compare_starts(const void *a, const void *b)
{
    lsn_t left = *(const lsn_t *)a, right = *(const lsn_t *)b;
    return (left > right) - (left < right);
}

void lsn_intervals_finish(struct lsn_intervals *intervals)
{
    size_t unique = 0;
    qsort(intervals->starts, intervals->count, sizeof(intervals->starts[0]), compare_starts);
    for (size_t i = 0; i < intervals->count; i++) {
        if (unique == 0 || intervals->starts[unique - 1] != intervals->starts[i])
            intervals->starts[unique++] = intervals->starts[i];
    }
    intervals->count = unique;
}

lsn_t lsn_intervals_start(const struct lsn_intervals *intervals, lsn_t lsn)
{
    assert(intervals->count > 0);
    assert(lsn >= intervals->starts[0]);
    size_t low = 0, high = intervals->count - 1;
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;
        if (intervals->starts[middle] <= lsn)
            low = middle;
        else
            high = middle - 1;
    }
    return intervals->starts[low];
}

void lsn_intervals_release(struct lsn_intervals *intervals)
{
    memory_free(intervals->starts);
    *intervals = (struct lsn_intervals){NULL};
}
