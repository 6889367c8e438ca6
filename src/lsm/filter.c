/* SPDX-License-Identifier: MIT */
#include "lsm/filter.h"

#include "base/hash.h"
#include "base/memory.h"

#include <assert.h>
#include <math.h>

enum {
    LINE_BITS = 8 * FILTER_LINE_BYTES,
    PROBE_BITS = 9, /* 2^9 = LINE_BITS */
    PROBES_PER_HASH = 64 / PROBE_BITS,
    PROBES_MAX = 2 * PROBES_PER_HASH,
    LAYOUT_LINES = 1,
    TAIL_BYTES = 2,
    HASH_SEED = 0,
};

_Static_assert(LINE_BITS == 1 << PROBE_BITS, "a probe names one bit of a line");

uint64_t filter_hash(struct slice key, uint32_t prefix_bytes)
{
    if (prefix_bytes > 0 && key.size > prefix_bytes)
        key.size = prefix_bytes;
    return hash64(key, HASH_SEED);
}

/* ---- Rates --------------------------------------------------------------------------------- */

double filter_promised_rate(uint32_t bits_per_key)
{
    return exp(-(double)bits_per_key * 0.4804530139182014); /* ln(2) squared */
}

static double power(double base, unsigned exponent)
{
    double result = 1;
    for (; exponent; exponent--)
        result *= base;
    return result;
}

/* The number of keys in a line is Poisson distributed; a line of i keys has the rate of a small
 * plain filter. */
double filter_rate(double keys_per_line, unsigned probes)
{
    double clear_by_key = power(1 - 1.0 / LINE_BITS, probes);
    double weight = exp(-keys_per_line); /* of lines with i keys */
    double clear = 1;                    /* share of clear bits in them */
    double rate = 0;
    for (unsigned i = 0; i < 4 * (unsigned)keys_per_line + 40; i++) {
        rate += weight * power(1 - clear, probes);
        weight *= keys_per_line / (i + 1);
        clear *= clear_by_key;
    }
    return rate;
}

/* The most keys a line may have so that `probes` keep the rate. */
static double keys_per_line_for(double rate, unsigned probes)
{
    double low = 0, high = LINE_BITS;
    for (int step = 0; step < 24; step++) {
        double middle = (low + high) / 2;
        if (filter_rate(middle, probes) <= rate)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The number of probes with which the filter is smallest. A blocked filter wants a little fewer
 * than the ln(2) * bits of a plain one. */
static unsigned best_probes(uint32_t bits_per_key, double *keys_per_line)
{
    double rate = filter_promised_rate(bits_per_key);
    unsigned plain = (unsigned)((double)bits_per_key * 0.6931471805599453 + 0.5);
    unsigned best = 1;
    *keys_per_line = 0;
    for (unsigned probes = plain > 3 ? plain - 3 : 1; probes <= plain + 1; probes++) {
        if (probes > PROBES_MAX)
            break;
        double keys = keys_per_line_for(rate, probes);
        if (keys > *keys_per_line) {
            *keys_per_line = keys;
            best = probes;
        }
    }
    return best;
}

/* ---- Lines and probes ---------------------------------------------------------------------- */

static size_t hash_line(uint64_t hash, size_t line_count)
{
    return (size_t)((hash >> 32) * (uint64_t)line_count >> 32);
}

/* Bits to cut probes from, independent of the line's choice; `round` 0 or 1. */
static uint64_t hash_probe_bits(uint64_t hash, unsigned round)
{
    hash += (round + 1) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ hash >> 27) * 0x94d049bb133111ebu;
    return hash ^ hash >> 31;
}

static unsigned hash_probe(uint64_t probe_bits, unsigned probe)
{
    return (unsigned)(probe_bits >> (probe % PROBES_PER_HASH * PROBE_BITS)) % LINE_BITS;
}

/* ---- Builder ------------------------------------------------------------------------------- */

void filter_builder_release(struct filter_builder *builder)
{
    memory_free(builder->hashes);
    *builder = (struct filter_builder){0};
}

void filter_builder_add(struct filter_builder *builder, uint64_t hash)
{
    if (builder->count > 0 && builder->hashes[builder->count - 1] == hash)
        return;
    if (builder->count == builder->capacity) {
        builder->capacity = builder->capacity ? 2 * builder->capacity : 1024;
        builder->hashes =
            memory_resize(builder->hashes, builder->capacity * sizeof(builder->hashes[0]));
    }
    builder->hashes[builder->count++] = hash;
}

static void line_add(uint8_t *line, uint64_t hash, unsigned probes)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < probes; i++) {
        if (i % PROBES_PER_HASH == 0)
            bits = hash_probe_bits(hash, i / PROBES_PER_HASH);
        unsigned bit = hash_probe(bits, i);
        line[bit / 8] |= (uint8_t)(1 << bit % 8);
    }
}

void filter_builder_finish(struct filter_builder *builder, uint32_t bits_per_key,
                           struct buffer *out)
{
    assert(builder->count > 0);
    assert(bits_per_key > 0);
    assert(bits_per_key <= FILTER_BITS_PER_KEY_MAX);
    double keys_per_line;
    unsigned probes = best_probes(bits_per_key, &keys_per_line);
    size_t line_count = (size_t)ceil((double)builder->count / keys_per_line);
    size_t bytes = line_count * FILTER_LINE_BYTES;
    buffer_reserve(out, bytes + TAIL_BYTES);
    uint8_t *lines = out->data + out->size;
    memset(lines, 0, bytes);
    for (size_t i = 0; i < builder->count; i++) {
        size_t line = hash_line(builder->hashes[i], line_count);
        line_add(lines + line * FILTER_LINE_BYTES, builder->hashes[i], probes);
    }
    lines[bytes] = (uint8_t)probes;
    lines[bytes + 1] = LAYOUT_LINES;
    out->size += bytes + TAIL_BYTES;
}

/* ---- Reading ------------------------------------------------------------------------------- */

bool filter_is_sound(struct slice filter)
{
    if (filter.size < FILTER_LINE_BYTES + TAIL_BYTES)
        return false;
    size_t bytes = filter.size - TAIL_BYTES;
    uint8_t probes = filter.data[bytes], layout = filter.data[bytes + 1];
    return bytes % FILTER_LINE_BYTES == 0 && layout == LAYOUT_LINES && probes > 0 &&
           probes <= PROBES_MAX;
}

bool filter_may_contain(struct slice filter, uint64_t hash)
{
    size_t bytes = filter.size - TAIL_BYTES;
    unsigned probes = filter.data[bytes];
    const uint8_t *line =
        filter.data + hash_line(hash, bytes / FILTER_LINE_BYTES) * FILTER_LINE_BYTES;
    __builtin_prefetch(line);
    uint64_t bits = 0;
    for (unsigned i = 0; i < probes; i++) {
        if (i % PROBES_PER_HASH == 0)
            bits = hash_probe_bits(hash, i / PROBES_PER_HASH);
        unsigned bit = hash_probe(bits, i);
        if (!(line[bit / 8] & 1 << bit % 8))
            return false;
    }
    return true;
}
