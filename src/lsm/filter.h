/* SPDX-License-Identifier: MIT */
/* A bloom filter whose bits for one key lie in one cache line of 64 bytes (Putze, Sanders, Singler,
 * "Cache-, hash- and space-efficient bloom filters", 2007).
 *
 * `bits_per_key` promises the rate of false positives that a plain bloom filter of so many bits
 * has: 0.6185 ^ bits. A blocked filter needs a few more bits for it; how many is computed from its
 * own formula, filter_rate.
 *
 *   filter = line of 64 bytes... | probes 1 | layout 1 (= 1) */
#ifndef LSM_FILTER_H
#define LSM_FILTER_H

#include "base/buffer.h"

enum {
    FILTER_LINE_BYTES = 64,
    FILTER_BITS_PER_KEY_MAX = 24,
};

struct filter_builder {
    uint64_t *hashes;
    size_t count, capacity;
};

/* The hash of a key, or of its first prefix_bytes when that is > 0. */
uint64_t filter_hash(struct slice key, uint32_t prefix_bytes);

void filter_builder_release(struct filter_builder *builder); /* empty and usable again */
/* Equal hashes one behind the other count once. */
void filter_builder_add(struct filter_builder *builder, uint64_t hash);
/* Appends the filter. 0 < bits_per_key <= FILTER_BITS_PER_KEY_MAX; at least one hash was added. */
void filter_builder_finish(struct filter_builder *builder, uint32_t bits_per_key,
                           struct buffer *out);

bool filter_is_sound(struct slice filter);
/* `filter` is sound. false: the hash was not added. */
bool filter_may_contain(struct slice filter, uint64_t hash);

/* The promise, and the rate that a blocked filter has with so many keys a line on average. */
double filter_promised_rate(uint32_t bits_per_key);
double filter_rate(double keys_per_line, unsigned probes);

#endif
