/* SPDX-License-Identifier: MIT */
/* Zstandard's contexts are kept: a builder has one of its own for compressing, and those for unfolding, of
 * which any thread needs one for a moment, lie in a pool of the process. */
#include "lsm/compression.h"

#include "base/coding.h"
#include "base/memory.h"

#include <assert.h>
#include <lz4.h>
#include <stdatomic.h>
#ifdef CORDWOOD_ZSTD
#include <zstd.h>
#endif

enum {
    GAIN_SHARE = 16,             /* compressed blocks must be smaller by one n-th */
    LZ4_RATIO_MAX = 255,         /* 255 bytes more a byte of a length */
    ZSTD_RATIO_MAX = 128 << 8,   /* a block of 4 bytes holds up to 128 KiB */
    CONTEXTS_KEPT_MAX = 16,      /* of 94 KiB */
    PART_BYTES_MIN = 256,        /* a smaller part is not worth tables of its own */
    PART_OVERHEAD_BYTES_MAX = 8, /* the head of a block of a frame */
    WINDOW_LOG_MAX = 20,         /* bounds what a context for compressing takes */
};

static atomic_bool zstd_is_hidden;

void compression_hide_zstd(bool hide)
{
    atomic_store(&zstd_is_hidden, hide);
}

uint32_t compression_ratio_max(enum block_compression compression)
{
    return compression == COMPRESSION_ZSTD  ? ZSTD_RATIO_MAX
           : compression == COMPRESSION_LZ4 ? LZ4_RATIO_MAX
                                            : 1;
}

/* ---- LZ4 ----------------------------------------------------------------------------------- */

/* 0: there is no room for it. */
static size_t lz4_append(struct slice raw, struct buffer *out)
{
    assert(raw.size <= LZ4_MAX_INPUT_SIZE);
    int bound = LZ4_compressBound((int)raw.size);
    if (!buffer_reserve(out, (size_t)bound)) {
        out->failed = false; /* plain it finds room */
        return 0;
    }
    int size = LZ4_compress_default((const char *)raw.data, (char *)out->data + out->size,
                                    (int)raw.size, bound);
    assert(size > 0);
    out->size += (size_t)size;
    return (size_t)size;
}

static enum status lz4_unfold(struct slice stored, size_t size_max, uint8_t **raw,
                              size_t *raw_bytes)
{
    if (size_max > (uint64_t)stored.size * LZ4_RATIO_MAX)
        size_max = stored.size * LZ4_RATIO_MAX;
    uint8_t *bytes = memory_try_allocate(size_max);
    if (!bytes)
        return STATUS_NO_MEMORY;
    int size = LZ4_decompress_safe((const char *)stored.data, (char *)bytes, (int)stored.size,
                                   (int)size_max);
    if (size <= 0) {
        memory_free(bytes);
        return STATUS_CORRUPT;
    }
    *raw = bytes;
    *raw_bytes = (size_t)size;
    return STATUS_OK;
}

/* ---- Zstandard ----------------------------------------------------------------------------- */

#ifdef CORDWOOD_ZSTD

bool compression_is_known(unsigned compression)
{
    return compression <= COMPRESSION_LZ4 ||
           (compression == COMPRESSION_ZSTD && !atomic_load(&zstd_is_hidden));
}

void compressor_release(struct compressor *compressor)
{
    ZSTD_freeCCtx(compressor->context);
    compressor->context = NULL;
}

/* The compressor's context, ready for a frame of so many bytes; NULL: no memory. */
static ZSTD_CCtx *begin_frame(struct compressor *compressor, size_t raw_bytes)
{
    ZSTD_CCtx *context = compressor->context;
    if (!context) {
        context = compressor->context = ZSTD_createCCtx();
        if (!context)
            return NULL;
        (void)ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel,
                                     compressor->level); /* they */
        (void)ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog,
                                     WINDOW_LOG_MAX); /* are within bounds */
    }
    (void)ZSTD_CCtx_reset(context, ZSTD_reset_session_only); /* this never fails, nor does */
    (void)ZSTD_CCtx_setPledgedSrcSize(context, raw_bytes);   /* this behind it */
    return context;
}

/* Adds the next `size` bytes of the frame. false: no memory. */
static bool add_part(ZSTD_CCtx *context, ZSTD_outBuffer *to, struct slice part, bool is_last)
{
    ZSTD_inBuffer from = {part.data, part.size, 0};
    size_t left = ZSTD_compressStream2(context, to, &from, is_last ? ZSTD_e_end : ZSTD_e_flush);
    return left == 0 && from.pos == from.size;
}

/* One frame; each part ends a block of it, so that parts have statistics of their own, and may repeat what
 * came before all the same. 0: no memory. */
static size_t zstd_append(struct compressor *compressor, struct slice raw,
                          const struct block_parts *parts, struct buffer *out)
{
    size_t bound = ZSTD_compressBound(raw.size) + BLOCK_PARTS_MAX * PART_OVERHEAD_BYTES_MAX;
    assert(!parts || parts->count <= BLOCK_PARTS_MAX);
    if (!buffer_reserve(out, bound)) {
        out->failed = false; /* LZ4 or plain it finds room */
        return 0;
    }
    ZSTD_CCtx *context = begin_frame(compressor, raw.size);
    ZSTD_outBuffer to = {out->data + out->size, bound, 0};
    bool fits = context != NULL;
    struct slice part = {raw.data, 0};
    for (size_t i = 0; fits && parts && i + 1 < parts->count; i++) {
        part.size += parts->sizes[i];
        if (part.size < PART_BYTES_MIN)
            continue;
        fits = add_part(context, &to, part, false);
        part = slice_make(part.data + part.size, 0);
    }
    assert(part.data + part.size <= raw.data + raw.size);
    part.size = raw.size - (size_t)(part.data - raw.data);
    if (!fits || !add_part(context, &to, part, true))
        return 0;
    out->size += to.pos;
    return to.pos;
}

static _Atomic(ZSTD_DCtx *) kept_contexts[CONTEXTS_KEPT_MAX];

static ZSTD_DCtx *take_context(void)
{
    for (int i = 0; i < CONTEXTS_KEPT_MAX; i++) {
        if (!atomic_load_explicit(&kept_contexts[i], memory_order_relaxed))
            continue;
        ZSTD_DCtx *context = atomic_exchange(&kept_contexts[i], NULL);
        if (context)
            return context;
    }
    return ZSTD_createDCtx();
}

static void give_context(ZSTD_DCtx *context)
{
    for (int i = 0; i < CONTEXTS_KEPT_MAX; i++) {
        ZSTD_DCtx *none = NULL;
        if (atomic_compare_exchange_strong(&kept_contexts[i], &none, context))
            return;
    }
    ZSTD_freeDCtx(context);
}

/* What one frame of today's format says of the size of its content. 0: it is another thing, as a frame of
 * the library's first versions, one to be skipped, or two. */
static uint64_t frame_content_bytes(struct slice stored)
{
    if (stored.size < sizeof(uint32_t) || le32_load(stored.data) != ZSTD_MAGICNUMBER)
        return 0;
    uint64_t size = ZSTD_getFrameContentSize(stored.data, stored.size);
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR ||
        ZSTD_findFrameCompressedSize(stored.data, stored.size) != stored.size)
        return 0;
    return size;
}

static enum status zstd_unfold(struct slice stored, size_t size_max, uint8_t **raw,
                               size_t *raw_bytes)
{
    if (!compression_is_known(COMPRESSION_ZSTD))
        return STATUS_UNSUPPORTED;
    uint64_t stated = frame_content_bytes(stored);
    if (stated == 0 || stated > size_max || stated > (uint64_t)stored.size * ZSTD_RATIO_MAX)
        return STATUS_CORRUPT;
    size_t size = (size_t)stated;
    uint8_t *bytes = memory_try_allocate(size);
    ZSTD_DCtx *context = bytes ? take_context() : NULL;
    enum status status = context ? STATUS_OK : STATUS_NO_MEMORY;
    if (context) {
        if (ZSTD_decompressDCtx(context, bytes, size, stored.data, stored.size) != size)
            status = STATUS_CORRUPT;
        give_context(context);
    }
    if (status != STATUS_OK) {
        memory_free(bytes);
        return status;
    }
    *raw = bytes;
    *raw_bytes = size;
    return STATUS_OK;
}

#else

bool compression_is_known(unsigned compression)
{
    return compression <= COMPRESSION_LZ4;
}

void compressor_release(struct compressor *compressor)
{
    (void)compressor;
}

static size_t zstd_append(struct compressor *compressor, struct slice raw,
                          const struct block_parts *parts, struct buffer *out)
{
    (void)compressor;
    (void)raw;
    (void)parts;
    (void)out;
    return 0;
}

static enum status zstd_unfold(struct slice stored, size_t size_max, uint8_t **raw,
                               size_t *raw_bytes)
{
    (void)stored;
    (void)size_max;
    (void)raw;
    (void)raw_bytes;
    return STATUS_UNSUPPORTED;
}

#endif

/* ---- Either -------------------------------------------------------------------------------- */

enum block_compression compressor_append(struct compressor *compressor, struct slice raw,
                                         const struct block_parts *parts, struct buffer *out)
{
    enum block_compression compression = compressor->compression;
    size_t start = out->size, size = 0;
    if (compression == COMPRESSION_PLAIN)
        return COMPRESSION_PLAIN;
    if (compression == COMPRESSION_ZSTD)
        size = zstd_append(compressor, raw, parts, out);
    if (size == 0) {
        compression = COMPRESSION_LZ4;
        size = lz4_append(raw, out);
    }
    if (size > 0 && size <= raw.size - raw.size / GAIN_SHARE - 1)
        return compression;
    out->size = start;
    return COMPRESSION_PLAIN;
}

static enum status plain_copy(struct slice stored, uint8_t **raw, size_t *raw_bytes)
{
    uint8_t *bytes = memory_try_allocate(stored.size);
    if (!bytes)
        return STATUS_NO_MEMORY;
    memcpy(bytes, stored.data, stored.size);
    *raw = bytes;
    *raw_bytes = stored.size;
    return STATUS_OK;
}

enum status compression_unfold(enum block_compression compression, struct slice stored,
                               size_t size_max, uint8_t **raw, size_t *raw_bytes)
{
    switch (compression) {
    case COMPRESSION_PLAIN:
        return stored.size <= size_max ? plain_copy(stored, raw, raw_bytes) : STATUS_CORRUPT;
    case COMPRESSION_LZ4:
        return lz4_unfold(stored, size_max, raw, raw_bytes);
    case COMPRESSION_ZSTD:
        return zstd_unfold(stored, size_max, raw, raw_bytes);
    }
    return STATUS_UNSUPPORTED;
}
