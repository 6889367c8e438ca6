/* SPDX-License-Identifier: MIT */
/* See memtable.h for the picture. Publication: the writer fills a node or version and links it with a
 * release store; a reader follows links with acquire loads. Skiplist: W. Pugh, "Skip Lists: A
 * Probabilistic Alternative to Balanced Trees", 1990. */
#include "lsm/memtable_node.h"

#include "base/hash.h"
#include "base/memory.h"

#include <assert.h>

_Static_assert(sizeof(struct mem_node) + sizeof(struct mem_node *) + sizeof(struct mem_version) +
                       ARENA_ALIGNMENT + CLASS_STEP <=
                   MEMTABLE_RECORD_BYTES,
               "a node of one level and a version, rounded up");
_Static_assert(sizeof(struct memtable_range) + 2 * ARENA_ALIGNMENT <= MEMTABLE_RECORD_BYTES,
               "a range deletion, its two keys rounded up");

/* Of what the writer alone changes, and others read. */
#define COUNTER_ADD(counter, number)                                                               \
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + (number), \
                          memory_order_relaxed)

static size_t node_bytes(int height, size_t key_size)
{
    return sizeof(struct mem_node) + (size_t)height * sizeof(struct mem_node *) + key_size;
}

static struct mem_node *node_init(struct mem_node *node, struct slice key, int height)
{
    if (key.size)
        memcpy((uint8_t *)node + node_bytes(height, 0), key.data, key.size);
    atomic_init(&node->newest, NULL);
    atomic_init(&node->prev, NULL);
    node->hash_next = NULL;
    node->hash = 0;
    node->key_size = (uint32_t)key.size & 0xffffff;
    node->height = (uint32_t)height & 0xff;
    node->front = key_front(key);
    for (int level = 0; level < height; level++)
        atomic_init(&node->next[level], NULL);
    return node;
}

/* Memory set aside is enough for nodes of one level. */
static struct mem_node *node_allocate(struct memtable *table, struct slice key, int *height)
{
    struct mem_node *node = arena_try_allocate(&table->arena, node_bytes(*height, key.size));
    if (!node) {
        *height = 1;
        node = spare_take(table->options.spare, node_bytes(*height, key.size));
    }
    return node_init(node, key, *height);
}

static void index_create(struct memtable *table)
{
    uint64_t buckets = 1024;
    while (buckets < table->options.bytes_expected / 256)
        buckets *= 2;
    table->bucket_mask = buckets - 1;
    table->buckets = memory_zeroed(buckets, sizeof(*table->buckets));
    memory_prefer_huge_pages(table->buckets, buckets * sizeof(*table->buckets));
}

size_t memtable_chunk_bytes(size_t bytes_expected)
{
    size_t bytes = bytes_expected / 64;
    return bytes < CHUNK_BYTES_MIN   ? CHUNK_BYTES_MIN
           : bytes > CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX
                                     : bytes;
}

struct memtable *memtable_create(const struct memtable_options *options)
{
    struct memtable *table = memory_zeroed(1, sizeof(struct memtable));
    table->options = *options;
    if (options->chunks)
        arena_init_pooled(&table->arena, options->chunks);
    else
        arena_init(&table->arena, memtable_chunk_bytes(options->bytes_expected));
    table->head =
        node_init(memory_allocate(node_bytes(HEIGHT_MAX, 0)), slice_make(NULL, 0), HEIGHT_MAX);
    atomic_init(&table->last, table->head);
    for (int level = 0; level < HEIGHT_MAX; level++)
        table->lasts[level] = table->head;
    atomic_init(&table->height, 1);
    random_init(&table->random, 0x636f7264776f6f64u);
    if (options->has_hash) {
        index_create(table);
        COUNTER_ADD(&table->heap_bytes, (table->bucket_mask + 1) * sizeof(*table->buckets));
    }
    if (options->finger_prefix_bytes)
        table->fingers = memory_zeroed(FINGERS, sizeof(struct finger));
    return table;
}

/* Versions too large for the arena; there are none in most memtables, and finding them is a walk over
 * all nodes, milliseconds in which whoever let go last, a writer perhaps, does nothing else. */
static void free_heap_versions(struct memtable *table)
{
    if (table->heap_version_count == 0)
        return;
    for (struct mem_node *node = node_next(table->head, 0); node; node = node_next(node, 0)) {
        struct mem_version *version = atomic_load_explicit(&node->newest, memory_order_relaxed);
        while (version) {
            struct mem_version *older = atomic_load_explicit(&version->older, memory_order_relaxed);
            if (version->size_class == CLASS_HEAP)
                memory_free(version);
            version = older;
        }
    }
}

void memtable_destroy(struct memtable *table)
{
    if (!table)
        return;
    assert(!table->deferred);
    free_heap_versions(table);
    memory_free(table->retired);
    memory_free(table->buckets);
    memory_free(table->fingers);
    memory_free(table->head);
    arena_release(&table->arena);
    memory_free(table);
}

/* As many as a node with its key and a small value take. */
static void prefetch_lines(const void *at)
{
    for (int line = 0; line < PREFETCH_LINES; line++)
        __builtin_prefetch((const uint8_t *)at + line * CACHE_LINE_BYTES);
}

/* ---- Versions and their recycling ---------------------------------------------------------- */

static size_t version_bytes(size_t value_size)
{
    return sizeof(struct mem_version) + value_size;
}

static void version_free(struct memtable *table, struct mem_version *version)
{
    COUNTER_ADD(&table->version_count, (uint64_t)-1);
    if (version->size_class == CLASS_HEAP) {
        COUNTER_ADD(&table->heap_bytes, -version_bytes(version->size));
        table->heap_version_count--;
        memory_free(version);
        return;
    }
    if (version->size_class == CLASS_SPARE)
        return;
    atomic_store_explicit(&version->older, table->free_versions[version->size_class],
                          memory_order_relaxed);
    table->free_versions[version->size_class] = version;
}

/* A version and those that hang below it: the queue is in the order of writing, so older ones have gone
 * before it unless there was no memory to queue them. */
static void version_free_chain(struct memtable *table, struct mem_version *version)
{
    while (version) {
        struct mem_version *older = atomic_load_explicit(&version->older, memory_order_relaxed);
        version_free(table, version);
        version = older;
    }
}

/* Frees what no reader can meet. */
static void recycle_retired(struct memtable *table)
{
    lsn_t safe = table->options.safe_lsn(table->options.context);
    while (table->retired_count) {
        struct retired *entry = &table->retired[table->retired_first];
        if (entry->superseded > safe)
            break;
        atomic_store_explicit(&entry->newer->older, NULL, memory_order_relaxed);
        version_free_chain(table, entry->version);
        table->retired_first = (table->retired_first + 1) % table->retired_capacity;
        table->retired_count--;
    }
    table->retired_checked = table->retired_count;
}

static bool grow_retired(struct memtable *table)
{
    size_t capacity = table->retired_capacity ? 2 * table->retired_capacity : 256;
    struct retired *ring = memory_try_allocate(capacity * sizeof(struct retired));
    if (!ring)
        return false;
    for (size_t i = 0; i < table->retired_count; i++)
        ring[i] = table->retired[(table->retired_first + i) % table->retired_capacity];
    memory_free(table->retired);
    table->retired = ring;
    table->retired_first = 0;
    table->retired_capacity = capacity;
    return true;
}

/* What finds no place in the queue goes with a later version, or with the memtable. */
static void retire(struct memtable *table, struct retired entry)
{
    if (!table->options.safe_lsn)
        return;
    if (table->retired_count == table->retired_capacity && !grow_retired(table))
        return;
    size_t place = (table->retired_first + table->retired_count) % table->retired_capacity;
    table->retired[place] = entry;
    table->retired_count++;
    if (table->retired_count >= table->retired_checked + RETIRED_BEFORE_CHECK)
        recycle_retired(table);
}

static struct mem_version *version_allocate(struct memtable *table, size_t value_size)
{
    size_t bytes = version_bytes(value_size);
    size_t size_class = (bytes - 1) / CLASS_STEP;
    struct mem_version *version;
    if (size_class >= CLASS_COUNT) {
        version = memory_try_allocate(bytes);
        size_class = CLASS_HEAP;
        if (version) {
            COUNTER_ADD(&table->heap_bytes, bytes);
            table->heap_version_count++;
        }
    } else if (table->free_versions[size_class]) {
        version = table->free_versions[size_class];
        struct mem_version *next = atomic_load_explicit(&version->older, memory_order_relaxed);
        table->free_versions[size_class] = next;
        prefetch_lines(next); /* the next put's; nobody has touched it for a while */
    } else {
        version = arena_try_allocate(&table->arena, (size_class + 1) * CLASS_STEP);
    }
    if (!version) {
        version = spare_take(table->options.spare, bytes);
        size_class = CLASS_SPARE;
    }
    version->size_class = (uint8_t)size_class;
    COUNTER_ADD(&table->version_count, 1);
    return version;
}

/* Makes a version the node's newest. */
static void node_push_version(struct memtable *table, struct mem_node *node, lsn_t lsn,
                              enum entry_kind kind, struct slice value)
{
    struct mem_version *current = atomic_load_explicit(&node->newest, memory_order_relaxed);
    assert(!current || current->lsn <= lsn);
    struct mem_version *version = version_allocate(table, value.size);
    version->lsn = lsn;
    version->kind = (uint8_t)kind;
    version->size = (uint32_t)value.size;
    if (value.size)
        memcpy(version->bytes, value.data, value.size);
    atomic_store_explicit(&version->older, current, memory_order_relaxed);
    atomic_store_explicit(&node->newest, version, memory_order_release);
    bool was_deleted = current && current->kind == ENTRY_DELETE;
    if (kind == ENTRY_DELETE && !was_deleted)
        COUNTER_ADD(&table->delete_count, 1);
    if (kind != ENTRY_DELETE && was_deleted)
        COUNTER_ADD(&table->delete_count, (uint64_t)-1);
    if (!current)
        return;
    /* Replaced within its own batch: the batch's own reader may still look at it. */
    lsn_t superseded = current->lsn == lsn ? lsn + 1 : lsn;
    retire(table, (struct retired){current, version, superseded});
}

/* ---- Places in the skiplist ---------------------------------------------------------------- */

/* A search that stands on `node` may go on with the next one of the level below. */
static inline void node_prefetch_below(const struct mem_node *node, int level)
{
    if (level > 0)
        __builtin_prefetch((const void *)((uintptr_t)node_next(node, level - 1) +
                                          offsetof(struct mem_node, front)));
}

/* The first node with a key >= key, NULL: none; usable by readers. If before is not NULL, before[level] for
 * each level up to the memtable's height becomes the last node whose key is < key. */
static inline struct mem_node *search(const struct memtable *table, struct slice key,
                                      uint64_t front, struct mem_node **before)
{
    struct mem_node *node = table->head;
    struct mem_node *known_behind = NULL; /* a node that is known to be >= key */
    for (int level = atomic_load_explicit(&table->height, memory_order_acquire) - 1; level >= 0;
         level--) {
        struct mem_node *next = node_next(node, level);
        node_prefetch_below(node, level);
        while (next && next != known_behind && node_compare(next, key, front) < 0) {
            node = next;
            next = node_next(node, level);
            node_prefetch_below(node, level);
        }
        known_behind = next;
        if (before)
            before[level] = node;
    }
    return known_behind;
}

/* Fills before[0 .. HEIGHT_MAX-1] with each level's last node whose key is < key. Returns the node
 * with the key, or NULL. */
static struct mem_node *find_place(const struct memtable *table, struct slice key, uint64_t front,
                                   struct mem_node *before[HEIGHT_MAX])
{
    int top = atomic_load_explicit(&table->height, memory_order_relaxed);
    for (int level = HEIGHT_MAX - 1; level >= top; level--)
        before[level] = table->head;
    struct mem_node *found = search(table, key, front, before);
    return found && node_compare(found, key, front) == 0 ? found : NULL;
}

/* The first node with a key >= key; also usable by readers. */
static struct mem_node *find_first(const struct memtable *table, struct slice key)
{
    return search(table, key, key_front(key), NULL);
}

/* Fills before[] for a key that comes behind all others; false: it does not. */
static bool find_end(const struct memtable *table, struct slice key, uint64_t front,
                     struct mem_node *before[HEIGHT_MAX])
{
    const struct mem_node *last = table->lasts[0];
    if (last != table->head && node_compare(last, key, front) >= 0)
        return false;
    memcpy(before, table->lasts, sizeof(table->lasts));
    return true;
}

static struct finger *finger_of(struct memtable *table, struct slice key)
{
    if (!table->fingers || key.size < table->options.finger_prefix_bytes)
        return NULL;
    uint64_t hash = hash64(slice_make(key.data, table->options.finger_prefix_bytes), 0);
    return &table->fingers[hash % FINGERS];
}

/* Fills before[] of the finger for a new key directly behind or before the last one, as far up as
 * `height`. false: the key belongs elsewhere, and the finger is unchanged. */
static bool finger_place(const struct memtable *table, struct finger *finger, struct slice key,
                         uint64_t front, int height)
{
    struct mem_node *last = finger->last;
    int order = last ? node_compare(last, key, front) : 0;
    if (order == 0)
        return false;
    if (order < 0) {
        struct mem_node *next = node_next(last, 0);
        if (next && node_compare(next, key, front) <= 0)
            return false;
        for (int level = 0; level < finger->last_height; level++)
            finger->before[level] = last;
    } else {
        struct mem_node *before = finger->before[0];
        if (node_next(before, 0) != last ||
            (before != table->head && node_compare(before, key, front) >= 0))
            return false;
    }
    /* On the upper levels keys of others may have come in between. */
    for (int level = 1; level < height; level++) {
        struct mem_node *before = finger->before[level];
        struct mem_node *next;
        while ((next = node_next(before, level)) && node_compare(next, key, front) < 0)
            before = next;
        finger->before[level] = before;
    }
    return true;
}

static int random_height(struct memtable *table)
{
    int height = 1;
    uint64_t bits = random_next(&table->random);
    while (height < HEIGHT_MAX && (bits & 3) == 0) {
        height++;
        bits >>= 2;
    }
    return height;
}

/* ---- The hash index ------------------------------------------------------------------------ */

static struct mem_node *hash_find(const struct memtable *table, struct slice key, uint64_t hash)
{
    struct mem_node *node =
        atomic_load_explicit(&table->buckets[hash & table->bucket_mask], memory_order_acquire);
    while (node && (node->hash != (uint32_t)(hash >> 32) || !slice_equal(node_key(node), key)))
        node = node->hash_next;
    return node;
}

static void hash_insert(struct memtable *table, struct mem_node *node, uint64_t hash)
{
    _Atomic(struct mem_node *) *bucket = &table->buckets[hash & table->bucket_mask];
    node->hash = (uint32_t)(hash >> 32);
    node->hash_next = atomic_load_explicit(bucket, memory_order_relaxed);
    atomic_store_explicit(bucket, node, memory_order_release);
}

/* ---- Writing ------------------------------------------------------------------------------- */

void memtable_link_node(struct memtable *table, struct mem_node *node, int height,
                        struct mem_node *before[HEIGHT_MAX])
{
    if (height > atomic_load_explicit(&table->height, memory_order_relaxed))
        atomic_store_explicit(&table->height, height, memory_order_release);
    struct mem_node *behind = node_next(before[0], 0);
    atomic_store_explicit(&node->prev, before[0], memory_order_relaxed);
    for (int level = 0; level < height; level++) {
        struct mem_node *next = node_next(before[level], level);
        atomic_store_explicit(&node->next[level], next, memory_order_relaxed);
        atomic_store_explicit(&before[level]->next[level], node, memory_order_release);
        if (!next)
            table->lasts[level] = node;
    }
    if (behind)
        atomic_store_explicit(&behind->prev, node, memory_order_release);
    else
        atomic_store_explicit(&table->last, node, memory_order_release);
    COUNTER_ADD(&table->node_count, 1);
}

static void defer(struct memtable *table, struct mem_node *node)
{
    atomic_store_explicit(&node->next[0], table->deferred, memory_order_relaxed);
    table->deferred = node;
    table->deferred_count++;
}

void memtable_put(struct memtable *table, struct slice key, lsn_t lsn, enum entry_kind kind,
                  struct slice value)
{
    assert(kind == ENTRY_PUT || kind == ENTRY_DELETE);
    assert(value.size < UINT32_MAX);
    uint64_t front = key_front(key), hash = 0;
    if (table->buckets) {
        hash = memtable_hash(table, key);
        __builtin_prefetch(&table->buckets[hash & table->bucket_mask]);
    }
    int height = random_height(table);
    struct finger scratch;
    scratch.last = NULL;
    struct finger *finger = finger_of(table, key);
    if (!finger)
        finger = &scratch;
    struct mem_node *found = NULL;
    bool has_deferred = table->deferred_count > 0, has_place = false;
    if (has_deferred) /* the key may be one of theirs, whose place is not in the list */
        found = hash_find(table, key, hash);
    if (!found)
        has_place = finger_place(table, finger, key, front, height) ||
                    find_end(table, key, front, finger->before);
    if (!found && !has_place && !has_deferred && table->buckets)
        found = hash_find(table, key, hash);
    if (!found && !has_place && !table->is_deferring) {
        found = find_place(table, key, front, finger->before);
        finger->last = NULL; /* set below if the key is new */
        has_place = true;
    }
    if (found) {
        node_push_version(table, found, lsn, kind, value);
        return;
    }
    /* In this order, so that they lie side by side. */
    struct mem_node *node = node_allocate(table, key, &height);
    node_push_version(table, node, lsn, kind, value);
    if (has_place) {
        memtable_link_node(table, node, height, finger->before);
        finger->last = node;
        finger->last_height = height;
    } else {
        defer(table, node);
    }
    if (table->buckets)
        hash_insert(table, node, hash);
}

static void *range_memory(struct memtable *table, size_t size)
{
    void *block = arena_try_allocate(&table->arena, size);
    return block ? block : spare_take(table->options.spare, size);
}

static struct slice range_key(struct memtable *table, struct slice key)
{
    uint8_t *copy = range_memory(table, key.size);
    if (key.size)
        memcpy(copy, key.data, key.size);
    return slice_make(copy, key.size);
}

void memtable_delete_range(struct memtable *table, struct range_delete range)
{
    struct memtable_range *entry = range_memory(table, sizeof(struct memtable_range));
    entry->range.from = range_key(table, range.from);
    entry->range.to = range_key(table, range.to);
    entry->range.lsn = range.lsn;
    entry->next = atomic_load_explicit(&table->ranges, memory_order_relaxed);
    atomic_store_explicit(&table->ranges, entry, memory_order_release);
}

void memtable_order_defer(struct memtable *table)
{
    assert(memtable_is_empty(table));
    table->is_deferring = true;
    if (!table->buckets)
        index_create(table); /* for a while, and not counted */
}

void memtable_order_end(struct memtable *table)
{
    if (table->deferred)
        memtable_link_deferred(table);
    table->is_deferring = false;
    if (!table->options.has_hash) {
        memory_free(table->buckets);
        table->buckets = NULL;
    }
}

void memtable_freeze(struct memtable *table)
{
    assert(!table->is_deferring);
    memory_free(table->fingers);
    table->fingers = NULL;
}

/* ---- Reading ------------------------------------------------------------------------------- */

static struct mem_version *node_version(const struct mem_node *node, lsn_t lsn)
{
    struct mem_version *version = atomic_load_explicit(&node->newest, memory_order_acquire);
    while (version && version->lsn > lsn)
        version = atomic_load_explicit(&version->older, memory_order_acquire);
    return version;
}

bool memtable_get(struct memtable *table, struct slice key, lsn_t lsn, enum entry_kind *kind,
                  lsn_t *found, struct slice *value)
{
    struct mem_node *node;
    if (table->buckets) {
        node = hash_find(table, key, memtable_hash(table, key));
    } else {
        node = find_first(table, key);
        if (node && !slice_equal(node_key(node), key))
            node = NULL;
    }
    struct mem_version *version = node ? node_version(node, lsn) : NULL;
    if (!version)
        return false;
    *kind = (enum entry_kind)version->kind;
    *found = version->lsn;
    *value = slice_make(version->bytes, version->size);
    return true;
}

/* Three rounds, since each step's address comes out of the step before: bucket, node, version. Of a
 * version only the address is taken, so that it may be recycled meanwhile. */
void memtable_prefetch(const struct memtable *table, const struct slice *keys, size_t count)
{
    uint64_t hashes[MEMTABLE_PREFETCH_MAX];
    struct mem_node *nodes[MEMTABLE_PREFETCH_MAX];
    assert(count <= MEMTABLE_PREFETCH_MAX);
    if (!table->buckets ||
        memtable_node_count(table) + table->deferred_count < PREFETCH_NODES_MIN)
        return;
    for (size_t i = 0; i < count; i++) {
        hashes[i] = memtable_hash(table, keys[i]);
        __builtin_prefetch(&table->buckets[hashes[i] & table->bucket_mask]);
    }
    for (size_t i = 0; i < count; i++) {
        nodes[i] = atomic_load_explicit(&table->buckets[hashes[i] & table->bucket_mask],
                                        memory_order_acquire);
        if (nodes[i])
            prefetch_lines(nodes[i]);
    }
    for (size_t i = 0; i < count; i++) {
        struct mem_node *node = nodes[i];
        while (node && node->hash != (uint32_t)(hashes[i] >> 32))
            node = node->hash_next;
        if (node)
            prefetch_lines(atomic_load_explicit(&node->newest, memory_order_relaxed));
    }
}

const struct memtable_range *memtable_ranges(const struct memtable *table)
{
    return atomic_load_explicit(&table->ranges, memory_order_acquire);
}

/* A run is looked ahead: few nodes at first, more as long as all of them are wanted. */
enum { RUN_NODES_MIN = 4, RUN_NODES_MAX = 16 };

struct memtable_cursor {
    struct cursor base;
    const struct memtable *table;
    struct mem_node *node;
    struct mem_version
        *version; /* what is shown; of a cursor over all versions alone kept up to date */
    lsn_t lsn;
    bool all;
    unsigned run_wanted, run_count; /* nodes of the next run, of the last one */
    unsigned run_first;             /* where the last run begins */
    ptrdiff_t run_used;             /* steps in it */
    struct mem_node *run_nodes[RUN_NODES_MAX];
    struct entry run[RUN_NODES_MAX]; /* backward from its end on */
};

static struct mem_node *node_prev(const struct mem_node *node)
{
    return atomic_load_explicit(&node->prev, memory_order_acquire);
}

/* A walk that stands on `node` wants the version of the next one, which was asked for a step ago, and the
 * node behind that. Keys that were written one after the other lie so in memory, too: then what comes some
 * steps later, values and all, is asked for by the distance of these two. */
static inline void prefetch_ahead(const struct mem_node *node, bool backward)
{
    const struct mem_node *next = backward ? node_prev(node) : node_next(node, 0);
    if (!next)
        return;
    __builtin_prefetch(atomic_load_explicit(&next->newest, memory_order_relaxed));
    __builtin_prefetch(backward ? node_prev(next) : node_next(next, 0));
    uintptr_t stride = (uintptr_t)next - (uintptr_t)node;
    uintptr_t size = stride < PREFETCH_STRIDE_MAX ? stride : 0 - stride;
    if (size >= PREFETCH_STRIDE_MAX)
        return;
    uintptr_t ahead = (uintptr_t)next + PREFETCH_STEPS * stride;
    for (uintptr_t at = ahead; at < ahead + size; at += CACHE_LINE_BYTES)
        __builtin_prefetch((const void *)at, 0, 2);
}

static void cursor_show(struct memtable_cursor *cursor)
{
    cursor->base.valid = true;
    cursor->base.key = node_key(cursor->node);
    cursor->base.kind = (enum entry_kind)cursor->version->kind;
    cursor->base.lsn = cursor->version->lsn;
    cursor->base.value = slice_make(cursor->version->bytes, cursor->version->size);
}

/* From cursor->node on, forward, to a node with a version <= lsn. */
static void cursor_settle_forward(struct memtable_cursor *cursor)
{
    while (cursor->node && !(cursor->version = node_version(cursor->node, cursor->lsn)))
        cursor->node = node_next(cursor->node, 0);
    cursor->base.valid = cursor->node != NULL;
    if (!cursor->base.valid)
        return;
    prefetch_ahead(cursor->node, false);
    cursor_show(cursor);
}

/* The same backward; the head is the end. */
static void cursor_settle_backward(struct memtable_cursor *cursor)
{
    while (cursor->node != cursor->table->head &&
           !(cursor->version = node_version(cursor->node, cursor->lsn)))
        cursor->node = node_prev(cursor->node);
    cursor->base.valid = cursor->node != cursor->table->head;
    if (!cursor->base.valid)
        return;
    prefetch_ahead(cursor->node, true);
    cursor_show(cursor);
}

static void memtable_cursor_seek(struct cursor *base, struct slice key, lsn_t lsn)
{
    struct memtable_cursor *cursor = (struct memtable_cursor *)base;
    cursor->node = find_first(cursor->table, key);
    cursor_settle_forward(cursor);
    if (!base->valid || base->lsn <= lsn || !slice_equal(base->key, key))
        return;
    if (cursor->all && (cursor->version = node_version(cursor->node, lsn))) {
        cursor_show(cursor);
        return;
    }
    cursor->node = node_next(cursor->node, 0);
    cursor_settle_forward(cursor);
}

static void memtable_cursor_seek_for_prev(struct cursor *base, struct slice key)
{
    struct memtable_cursor *cursor = (struct memtable_cursor *)base;
    assert(!cursor->all);
    struct mem_node *node = find_first(cursor->table, key);
    if (!node)
        node = atomic_load_explicit(&cursor->table->last, memory_order_acquire);
    /* `last` may have moved on since: step back to the key. */
    while (node != cursor->table->head && slice_compare(node_key(node), key) > 0)
        node = node_prev(node);
    cursor->node = node;
    cursor_settle_backward(cursor);
}

static void memtable_cursor_first(struct cursor *base)
{
    struct memtable_cursor *cursor = (struct memtable_cursor *)base;
    cursor->node = node_next(cursor->table->head, 0);
    cursor_settle_forward(cursor);
}

static void memtable_cursor_last(struct cursor *base)
{
    struct memtable_cursor *cursor = (struct memtable_cursor *)base;
    assert(!cursor->all);
    cursor->node = atomic_load_explicit(&cursor->table->last, memory_order_acquire);
    cursor_settle_backward(cursor);
}

static void memtable_cursor_next(struct cursor *base)
{
    struct memtable_cursor *cursor = (struct memtable_cursor *)base;
    assert(base->valid);
    if (cursor->all && cursor->version->lsn > 0 &&
        (cursor->version = node_version(cursor->node, cursor->version->lsn - 1))) {
        cursor_show(cursor);
        return;
    }
    cursor->node = node_next(cursor->node, 0);
    cursor_settle_forward(cursor);
}

static void memtable_cursor_prev(struct cursor *base)
{
    struct memtable_cursor *cursor = (struct memtable_cursor *)base;
    assert(base->valid);
    assert(!cursor->all);
    cursor->node = node_prev(cursor->node);
    cursor_settle_backward(cursor);
}

/* Looks at nodes from the current one on. */
static unsigned gather_run(struct memtable_cursor *cursor, bool backward)
{
    struct mem_node *node = cursor->node, *head = cursor->table->head;
    unsigned count = 0;
    while (count < cursor->run_wanted && node && node != head) {
        const struct mem_version *version = node_version(node, cursor->lsn);
        prefetch_ahead(node, backward);
        if (version) {
            unsigned place = backward ? RUN_NODES_MAX - 1 - count : count;
            struct entry *entry = &cursor->run[place];
            if (version->kind != ENTRY_PUT)
                break;
            entry->key = node_key(node);
            entry->value = slice_make(version->bytes, version->size);
            entry->lsn = version->lsn;
            entry->kind = ENTRY_PUT;
            cursor->run_nodes[place] = node;
            count++;
        }
        node = backward ? node_prev(node) : node_next(node, 0);
    }
    return count;
}

static struct cursor_run memtable_cursor_run(struct cursor *base, bool backward)
{
    struct memtable_cursor *cursor = (struct memtable_cursor *)base;
    assert(!cursor->all);
    bool was_used = cursor->run_used + 1 >= (ptrdiff_t)cursor->run_count;
    if (!was_used)
        cursor->run_wanted = RUN_NODES_MIN;
    else if (cursor->run_count > 0 && cursor->run_wanted < RUN_NODES_MAX)
        cursor->run_wanted *= 2;
    cursor->run_count = gather_run(cursor, backward);
    cursor->run_first = backward ? RUN_NODES_MAX - 1 : 0;
    cursor->run_used = 0;
    return (struct cursor_run){.first = &cursor->run[cursor->run_first],
                               .count = cursor->run_count,
                               .lsn_max = cursor->lsn};
}

static void memtable_cursor_advance(struct cursor *base, ptrdiff_t steps)
{
    struct memtable_cursor *cursor = (struct memtable_cursor *)base;
    size_t place = cursor->run_first + (size_t)steps;
    const struct entry *entry = &cursor->run[place];
    cursor->node = cursor->run_nodes[place];
    cursor->run_used = steps < 0 ? -steps : steps;
    base->key = entry->key;
    base->value = entry->value;
    base->lsn = entry->lsn;
    base->kind = entry->kind;
}

static void memtable_cursor_destroy(struct cursor *base)
{
    memory_free(base);
}

static const struct cursor_ops memtable_cursor_ops = {
    .seek = memtable_cursor_seek,
    .seek_for_prev = memtable_cursor_seek_for_prev,
    .first = memtable_cursor_first,
    .last = memtable_cursor_last,
    .next = memtable_cursor_next,
    .prev = memtable_cursor_prev,
    .destroy = memtable_cursor_destroy,
    .run = memtable_cursor_run,
    .advance = memtable_cursor_advance,
};

static struct cursor *cursor_create(struct memtable *table, lsn_t lsn, bool all)
{
    struct memtable_cursor *cursor = memory_allocate(sizeof(struct memtable_cursor));
    cursor->base = (struct cursor){.ops = &memtable_cursor_ops, .may_run = !all};
    cursor->table = table;
    cursor->lsn = lsn;
    cursor->all = all;
    cursor->run_wanted = RUN_NODES_MIN;
    cursor->run_count = 0;
    cursor->run_used = 0;
    return &cursor->base;
}

struct cursor *memtable_cursor_create(struct memtable *table, lsn_t lsn)
{
    return cursor_create(table, lsn, false);
}

struct cursor *memtable_cursor_create_all(struct memtable *table)
{
    return cursor_create(table, UINT64_MAX, true);
}

/* ---- Inspection ---------------------------------------------------------------------------- */

size_t memtable_bytes(const struct memtable *table)
{
    return arena_bytes(&table->arena) +
           atomic_load_explicit(&table->heap_bytes, memory_order_relaxed);
}

uint64_t memtable_node_count(const struct memtable *table)
{
    return atomic_load_explicit(&table->node_count, memory_order_relaxed);
}

uint64_t memtable_version_count(const struct memtable *table)
{
    return atomic_load_explicit(&table->version_count, memory_order_relaxed);
}

uint64_t memtable_delete_count(const struct memtable *table)
{
    return atomic_load_explicit(&table->delete_count, memory_order_relaxed);
}

bool memtable_is_empty(const struct memtable *table)
{
    return memtable_node_count(table) == 0 && !memtable_ranges(table);
}
