/* SPDX-License-Identifier: MIT */
/* Zstandard's contexts: how many are made, who shares them, what happens when there is none. The linker hands
 * the calls of the library to this file (Makefile). */
#include "lsm/compression.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#ifdef CORDWOOD_ZSTD

#include <pthread.h>
#include <stdatomic.h>
#include <zstd.h>

enum { TEXT_BYTES = 20000, CONTEXTS_KEPT_MAX = 16, THREADS = CONTEXTS_KEPT_MAX + 4 };

static atomic_int compressing_made, unfolding_made, unfolding_freed;
static atomic_bool fails_to_make, fails_to_compress, meets;
static pthread_barrier_t meeting; /* of threads that unfold at once */

ZSTD_CCtx *__real_ZSTD_createCCtx(void);
ZSTD_CCtx *__wrap_ZSTD_createCCtx(void);
ZSTD_CCtx *__wrap_ZSTD_createCCtx(void)
{
    atomic_fetch_add(&compressing_made, 1);
    return atomic_load(&fails_to_make) ? NULL : __real_ZSTD_createCCtx();
}

ZSTD_DCtx *__real_ZSTD_createDCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
    atomic_fetch_add(&unfolding_made, 1);
    return atomic_load(&fails_to_make) ? NULL : __real_ZSTD_createDCtx();
}

size_t __real_ZSTD_freeDCtx(ZSTD_DCtx *context);
size_t __wrap_ZSTD_freeDCtx(ZSTD_DCtx *context);
size_t __wrap_ZSTD_freeDCtx(ZSTD_DCtx *context)
{
    atomic_fetch_add(&unfolding_freed, 1);
    return __real_ZSTD_freeDCtx(context);
}

size_t __real_ZSTD_decompressDCtx(ZSTD_DCtx *context, void *to, size_t room, const void *from,
                                  size_t size);
size_t __wrap_ZSTD_decompressDCtx(ZSTD_DCtx *context, void *to, size_t room, const void *from,
                                  size_t size);
size_t __wrap_ZSTD_decompressDCtx(ZSTD_DCtx *context, void *to, size_t room, const void *from,
                                  size_t size)
{
    if (atomic_load(&meets))
        pthread_barrier_wait(&meeting);
    return __real_ZSTD_decompressDCtx(context, to, room, from, size);
}

size_t __real_ZSTD_compressStream2(ZSTD_CCtx *context, ZSTD_outBuffer *to, ZSTD_inBuffer *from,
                                   ZSTD_EndDirective end);
size_t __wrap_ZSTD_compressStream2(ZSTD_CCtx *context, ZSTD_outBuffer *to, ZSTD_inBuffer *from,
                                   ZSTD_EndDirective end);
size_t __wrap_ZSTD_compressStream2(ZSTD_CCtx *context, ZSTD_outBuffer *to, ZSTD_inBuffer *from,
                                   ZSTD_EndDirective end)
{
    if (atomic_load(&fails_to_compress))
        return (size_t)-64; /* memory_allocation */
    return __real_ZSTD_compressStream2(context, to, from, end);
}

static uint8_t text[TEXT_BYTES]; /* written before the first test */

static int write_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)("some text "[i % 10] + i / 100 % 5);
    return 0;
}

static struct slice sample_text(void)
{
    return slice_make(text, sizeof(text));
}

static void compress(struct buffer *stored)
{
    struct compressor compressor = {COMPRESSION_ZSTD, 3};
    assert_int_equal(compressor_append(&compressor, sample_text(), NULL, stored), COMPRESSION_ZSTD);
    compressor_release(&compressor);
}

static enum status unfold(struct slice stored)
{
    uint8_t *raw = NULL;
    size_t raw_bytes = 0;
    enum status status = compression_unfold(COMPRESSION_ZSTD, stored, TEXT_BYTES, &raw, &raw_bytes);
    if (status == STATUS_OK && !slice_equal(slice_make(raw, raw_bytes), sample_text()))
        status = STATUS_CORRUPT;
    memory_free(raw);
    return status;
}

/* The first test: no context is there yet. */
static void without_a_context_memory_is_missing_and_nothing_is_damaged(void **state)
{
    (void)state;
    struct buffer stored = {0};
    compress(&stored);
    atomic_store(&fails_to_make, true);
    enum status status = unfold(buffer_slice(&stored));
    atomic_store(&fails_to_make, false);
    assert_int_equal(status, STATUS_NO_MEMORY);
    assert_int_equal(unfold(buffer_slice(&stored)), STATUS_OK);
    buffer_release(&stored);
}

static void one_context_serves_all_blocks_of_a_thread(void **state)
{
    (void)state;
    struct buffer stored = {0};
    compress(&stored);
    assert_int_equal(unfold(buffer_slice(&stored)), STATUS_OK);
    int made = atomic_load(&unfolding_made);
    for (int i = 0; i < 100; i++)
        assert_int_equal(unfold(buffer_slice(&stored)), STATUS_OK);
    stored.data[stored.size - 1] ^= 1; /* damage does not cost it */
    stored.data[stored.size / 2] ^= 1;
    (void)unfold(buffer_slice(&stored));
    assert_int_equal(atomic_load(&unfolding_made), made);
    buffer_release(&stored);
}

static void one_context_serves_all_blocks_of_a_compressor(void **state)
{
    (void)state;
    struct compressor compressor = {COMPRESSION_ZSTD, 3};
    int made = atomic_load(&compressing_made);
    struct buffer out = {0};
    for (int i = 0; i < 100; i++) {
        buffer_clear(&out);
        assert_int_equal(compressor_append(&compressor, sample_text(), NULL, &out),
                         COMPRESSION_ZSTD);
    }
    assert_int_equal(atomic_load(&compressing_made), made + 1);
    assert_int_equal(unfold(buffer_slice(&out)), STATUS_OK);
    compressor_release(&compressor);
    assert_null(compressor.context);
    buffer_release(&out);
}

static void *unfold_at_once(void *context)
{
    return (void *)(uintptr_t)unfold(*(struct slice *)context);
}

/* More threads than contexts are kept unfold at once, twice: the second time those that were kept serve
 * again. */
static void of_the_contexts_of_many_threads_a_few_are_kept(void **state)
{
    (void)state;
    struct buffer stored = {0};
    compress(&stored);
    struct slice frame = buffer_slice(&stored);
    atomic_store(&meets, true);
    for (int round = 0; round < 2; round++) {
        pthread_t threads[THREADS];
        int made = atomic_load(&unfolding_made), freed = atomic_load(&unfolding_freed);
        assert_int_equal(pthread_barrier_init(&meeting, NULL, THREADS), 0);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, unfold_at_once, &frame), 0);
        for (int i = 0; i < THREADS; i++) {
            void *result;
            assert_int_equal(pthread_join(threads[i], &result), 0);
            assert_int_equal((uintptr_t)result, STATUS_OK);
        }
        pthread_barrier_destroy(&meeting);
        assert_int_equal(atomic_load(&unfolding_freed) - freed, THREADS - CONTEXTS_KEPT_MAX);
        if (round > 0)
            assert_int_equal(atomic_load(&unfolding_made) - made, THREADS - CONTEXTS_KEPT_MAX);
    }
    atomic_store(&meets, false);
    buffer_release(&stored);
}

static void lz4_serves_where_zstandard_finds_no_memory(void **state)
{
    (void)state;
    atomic_bool *const failures[] = {&fails_to_make, &fails_to_compress};
    const struct block_parts parts = {.sizes = {5000, 5000}, .count = 2};
    for (size_t i = 0; i < 2; i++) {
        struct compressor compressor = {COMPRESSION_ZSTD, 3};
        struct buffer out = {0};
        atomic_store(failures[i], true);
        enum block_compression without =
            compressor_append(&compressor, sample_text(), &parts, &out);
        atomic_store(failures[i], false);
        assert_int_equal(without, COMPRESSION_LZ4);
        uint8_t *raw = NULL;
        size_t raw_bytes = 0;
        assert_int_equal(
            compression_unfold(COMPRESSION_LZ4, buffer_slice(&out), TEXT_BYTES, &raw, &raw_bytes),
            STATUS_OK);
        assert_true(slice_equal(slice_make(raw, raw_bytes), sample_text()));
        memory_free(raw);
        buffer_clear(&out);
        assert_int_equal(compressor_append(&compressor, sample_text(), &parts, &out),
                         COMPRESSION_ZSTD); /* it is tried again */
        compressor_release(&compressor);
        buffer_release(&out);
    }
}

static size_t context_bytes(int level, size_t raw_bytes)
{
    struct compressor compressor = {COMPRESSION_ZSTD, level};
    struct buffer out = {0};
    uint8_t *raw = memory_zeroed(1, raw_bytes);
    assert_int_equal(compressor_append(&compressor, slice_make(raw, raw_bytes), NULL, &out),
                     COMPRESSION_ZSTD);
    size_t bytes = ZSTD_sizeof_CCtx(compressor.context);
    compressor_release(&compressor);
    memory_free(raw);
    buffer_release(&out);
    return bytes;
}

static void a_context_takes_bounded_memory_whatever_the_block(void **state)
{
    (void)state;
    assert_true(context_bytes(3, 16 << 10) < 1 << 20);
    for (int level = 1; level <= 19; level += 6)
        assert_true(context_bytes(level, 32 << 20) < 32 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_context_memory_is_missing_and_nothing_is_damaged),
        cmocka_unit_test(one_context_serves_all_blocks_of_a_thread),
        cmocka_unit_test(one_context_serves_all_blocks_of_a_compressor),
        cmocka_unit_test(of_the_contexts_of_many_threads_a_few_are_kept),
        cmocka_unit_test(lz4_serves_where_zstandard_finds_no_memory),
        cmocka_unit_test(a_context_takes_bounded_memory_whatever_the_block),
    };
    return cmocka_run_group_tests(tests, write_text, NULL);
}

#else

int main(void)
{
    return 0; /* built without Zstandard */
}

#endif
