/* SPDX-License-Identifier: MIT */
#include "lsm/cursor.h"

static bool stands_before(const struct cursor_run *run, bool backward, size_t index,
                          struct slice bound)
{
    int order = slice_compare(cursor_run_at(run, backward, index)->key, bound);
    return backward ? order > 0 : order < 0;
}

/* As a rule the bound is behind all of them, or near the front: by growing steps, then by halves. */
size_t cursor_run_before(const struct cursor_run *run, bool backward, struct slice bound)
{
    size_t low = 0, high = run->count - 1, step = 1;
    if (stands_before(run, backward, high, bound))
        return run->count;
    while (low < high) {
        size_t probe = low + (step < high - low ? step : high - low) - 1;
        if (stands_before(run, backward, probe, bound)) {
            low = probe + 1;
            step *= 2;
        } else {
            high = probe;
            step = (high - low + 1) / 2;
        }
    }
    return low;
}
