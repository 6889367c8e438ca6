/* SPDX-License-Identifier: MIT */
/* Keys, headers and records of the store (types/encoding.h). The first byte chooses the decoder; what
 * it accepts is encoded to the same bytes. */
#include "fuzz/fuzz.h"

#include "types/encoding.h"

static struct buffer again;

static void require_same(struct slice input)
{
    fuzz_require(slice_equal(input, buffer_slice(&again)));
}

static void check_tree_key(struct slice input)
{
    uint32_t generation;
    uint64_t position;
    struct slice key;
    if (tree_key_decode(input, &generation, &position, &key) != STATUS_OK)
        return;
    fuzz_require(generation > 0 && position >> POSITION_BITS == 0);
    tree_key_encode(&again, generation, position, key);
    require_same(input);
}

static void check_header(struct slice input)
{
    struct object object, second;
    if (header_decode(input, &object) != STATUS_OK)
        return;
    header_encode(&again, &object);
    fuzz_require(header_decode(buffer_slice(&again), &second) == STATUS_OK);
    fuzz_require(second.type == object.type && second.expire_ms == object.expire_ms &&
                 second.id == object.id && slice_equal(second.body, object.body));
    require_same(input);
}

static void check_expiry_key(struct slice input)
{
    uint64_t expire_ms, position;
    uint32_t generation;
    struct slice suffix, key;
    struct buffer tree_key = {0};
    if (expiry_key_decode(input, &expire_ms, &suffix) != STATUS_OK)
        return;
    buffer_append(&tree_key, input.data, 4);
    buffer_append_slice(&tree_key, suffix);
    if (tree_key_decode(buffer_slice(&tree_key), &generation, &position, &key) == STATUS_OK) {
        expiry_key_encode(&again, expire_ms, buffer_slice(&tree_key));
        require_same(input);
    }
    buffer_release(&tree_key);
}

static void check_meta_store(struct slice input)
{
    uint64_t seed;
    if (meta_store_decode(input, &seed) != STATUS_OK)
        return;
    meta_store_encode(&again, seed);
    require_same(input);
}

static void check_meta_map(struct slice input)
{
    static uint32_t generations[STORE_DATABASES_MAX], second[STORE_DATABASES_MAX];
    uint32_t next, next_second;
    if (meta_map_decode(input, &next, generations) != STATUS_OK)
        return;
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        fuzz_require(generations[i] > 0 && generations[i] < next);
    meta_map_encode(&again, next, generations);
    fuzz_require(meta_map_decode(buffer_slice(&again), &next_second, second) == STATUS_OK);
    fuzz_require(next_second == next && memcmp(generations, second, sizeof second) == 0);
}

static void check_meta_ids(struct slice input)
{
    uint64_t first;
    if (meta_ids_decode(input, &first) != STATUS_OK)
        return;
    meta_ids_encode(&again, first);
    require_same(input);
}

static void check_meta_counts(struct slice input)
{
    uint64_t keys, expires;
    if (meta_counts_decode(input, &keys, &expires) != STATUS_OK)
        return;
    meta_counts_encode(&again, keys, expires);
    require_same(input);
}

static void check_meta_builds(struct slice input)
{
    static struct store_build_id builds[STORE_BUILDS_MAX];
    size_t count;
    if (meta_builds_decode(input, builds, &count) != STATUS_OK)
        return;
    meta_builds_encode(&again, builds, count);
    require_same(input);
}

static void (*const checks[])(struct slice input) = {
    check_tree_key, check_header,   check_expiry_key,  check_meta_store,
    check_meta_map, check_meta_ids, check_meta_counts, check_meta_builds,
};
enum { CHECKS = sizeof checks / sizeof *checks };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    unsigned choice = fuzz_below(&input, CHECKS);
    buffer_clear(&again);
    checks[choice](input);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    static uint32_t generations[STORE_DATABASES_MAX];
    struct buffer bytes = {0}, key = {0};
    const struct object object = {
        .type = OBJECT_LIST, .expire_ms = 1700000000000, .id = 300, .body = slice_from("body")};
    if (index >= CHECKS)
        return false;
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        generations[i] = generation_default(i);
    generations[3] = 1026;
    tree_key_encode(&key, 1, 77, slice_from("key"));
    if (index == 0)
        buffer_append_slice(&bytes, buffer_slice(&key));
    else if (index == 1)
        header_encode(&bytes, &object);
    else if (index == 2)
        expiry_key_encode(&bytes, 1700000000000, buffer_slice(&key));
    else if (index == 3)
        meta_store_encode(&bytes, 12345);
    else if (index == 4)
        meta_map_encode(&bytes, 1027, generations);
    else if (index == 5)
        meta_ids_encode(&bytes, 1025);
    else if (index == 6)
        meta_counts_encode(&bytes, 500, 20);
    else
        meta_builds_encode(&bytes, (const struct store_build_id[]){{1, 5}, {1026, 1025}}, 2);
    buffer_append_byte(out, (uint8_t)index);
    buffer_append_slice(out, buffer_slice(&bytes));
    buffer_release(&bytes);
    buffer_release(&key);
    return true;
}
