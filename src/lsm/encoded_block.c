/* SPDX-License-Identifier: MIT */
/*   encoded = varint size of aside | aside | content of the codec
 *   aside   = varint size of runs | runs | rows of the others?       nothing: all puts, base LSN
 *   run     = varint zigzag(LSN - LSN before) | varint puts          of the first: - base LSN
 *
 * The codec's rows and the others are two sorted lists; decoding merges them. */
#include "lsm/encoded_block.h"

#include "base/coding.h"
#include "base/memory.h"

#include <assert.h>

enum {
    ROWS_MIN = 64,
    START_BYTES_MAX = 64 * 1024, /* room for rows before any is decoded */
    BYTES_KEPT_MAX = 4 << 20,    /* of a block that has passed */
    ROW_HEAD_BYTES = 4 * VARINT_BYTES_MAX,
};

/* ---- Collecting ---------------------------------------------------------------------------- */

void collected_rows_release(struct collected_rows *rows)
{
    buffer_release(&rows->bytes);
    memory_free(rows->items);
    memory_free(rows->puts);
    *rows = (struct collected_rows){.count = 0};
}

void collected_rows_clear(struct collected_rows *rows)
{
    buffer_clear(&rows->bytes);
    rows->count = 0;
    if (rows->bytes.capacity > BYTES_KEPT_MAX)
        buffer_release(&rows->bytes); /* a large value has passed */
}

void collected_rows_add(struct collected_rows *rows, struct slice key, lsn_t lsn,
                        enum entry_kind kind, struct slice value)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? 2 * rows->capacity : ROWS_MIN;
        rows->items = memory_resize(rows->items, rows->capacity * sizeof(rows->items[0]));
        rows->puts = memory_resize(rows->puts, rows->capacity * sizeof(rows->puts[0]));
    }
    rows->items[rows->count++] =
        (struct collected_row){rows->bytes.size, key.size, value.size, lsn, kind};
    buffer_append_slice(&rows->bytes, key);
    buffer_append_slice(&rows->bytes, value);
}

static struct slice row_key(const struct collected_rows *rows, size_t index)
{
    return slice_make(rows->bytes.data + rows->items[index].at, rows->items[index].key_size);
}

static struct slice row_value(const struct collected_rows *rows, size_t index)
{
    const struct collected_row *row = &rows->items[index];
    return slice_make(rows->bytes.data + row->at + row->key_size, row->value_size);
}

void collected_rows_copy(const struct collected_rows *rows, struct rows_builder *out)
{
    for (size_t i = 0; i < rows->count; i++)
        rows_builder_add(out, row_key(rows, i), rows->items[i].lsn, rows->items[i].kind,
                         row_value(rows, i));
}

/* ---- Encoding ------------------------------------------------------------------------------ */

/* Puts of one LSN behind each other. */
struct run_writer {
    struct buffer bytes;
    lsn_t before, lsn;
    uint64_t count;
};

static void run_end(struct run_writer *run)
{
    if (run->count == 0)
        return;
    buffer_append_varint(&run->bytes, zigzag_encode((int64_t)(run->lsn - run->before)));
    buffer_append_varint(&run->bytes, run->count);
    run->before = run->lsn;
    run->count = 0;
}

static void run_add(struct run_writer *run, lsn_t lsn)
{
    if (lsn != run->lsn)
        run_end(run);
    run->lsn = lsn;
    run->count++;
}

/* Tells the codec's rows from the others: rows->puts is filled, the number of them returned. */
static size_t split_rows(struct collected_rows *rows, struct run_writer *runs,
                         struct rows_builder *others)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        struct slice key = row_key(rows, i), value = row_value(rows, i);
        const struct collected_row *row = &rows->items[i];
        if (row->kind == ENTRY_PUT &&
            (count == 0 || !slice_equal(key, rows->puts[count - 1].key))) {
            rows->puts[count++] = (struct block_codec_row){key, value};
            run_add(runs, row->lsn);
        } else {
            rows_builder_add(others, key, row->lsn, row->kind, value);
        }
    }
    return count;
}

static void append_aside(struct run_writer *runs, struct rows_builder *others, lsn_t base_lsn,
                         struct buffer *out)
{
    if (runs->bytes.size > 0 || runs->lsn != base_lsn)
        run_end(runs);
    if (runs->bytes.size == 0 && rows_builder_is_empty(others)) {
        buffer_append_varint(out, 0);
        return;
    }
    struct slice rows = {NULL, 0};
    if (!rows_builder_is_empty(others))
        rows = rows_builder_finish(others);
    buffer_append_varint(out, varint_size(runs->bytes.size) + runs->bytes.size + rows.size);
    buffer_append_sized(out, buffer_slice(&runs->bytes));
    buffer_append_slice(out, rows);
}

bool encoded_block_append(const struct block_codec *codec, void *encoder,
                          struct collected_rows *rows, lsn_t base_lsn, struct buffer *out)
{
    size_t start = out->size;
    struct run_writer runs = {.before = base_lsn, .lsn = base_lsn};
    struct rows_builder others;
    rows_builder_init(&others, ROWS_RESTART_INTERVAL);
    size_t count = split_rows(rows, &runs, &others);
    bool is_encoded = count > 0;
    if (is_encoded) {
        append_aside(&runs, &others, base_lsn, out);
        is_encoded =
            codec->encode(encoder, rows->puts, count, out) && out->size - start < rows->bytes.size;
    }
    if (!is_encoded)
        out->size = start;
    buffer_release(&runs.bytes);
    rows_builder_release(&others);
    return is_encoded;
}

/* ---- Decoding ------------------------------------------------------------------------------ */

struct decoding {
    enum status status;
    struct rows_builder out;
    size_t raw_left;   /* bytes of keys and values that are to come */
    struct slice runs; /* not begun yet */
    uint64_t run_left; /* puts; UINT64_MAX: all that come */
    lsn_t run_lsn;
    struct rows_iter others; /* stands on the next of them */
};

static void add_row(struct decoding *decoding, struct slice key, lsn_t lsn, enum entry_kind kind,
                    struct slice value)
{
    struct rows_builder *out = &decoding->out;
    if (key.size > LSM_KEY_BYTES_MAX || lsn > ROWS_LSN_MAX || key.size > decoding->raw_left ||
        value.size > decoding->raw_left - key.size) {
        decoding->status = STATUS_CORRUPT;
        return;
    }
    decoding->status = buffer_try_reserve(&out->bytes, ROW_HEAD_BYTES + key.size + value.size);
    if (decoding->status != STATUS_OK)
        return;
    decoding->raw_left -= key.size + value.size;
    if (!rows_builder_try_add(out, key, lsn, kind, value))
        decoding->status = STATUS_CORRUPT;
}

/* Adds the others that come before (key, lsn); NULL: all that are left. */
static void add_others(struct decoding *decoding, const struct slice *key, lsn_t lsn)
{
    struct rows_iter *others = &decoding->others;
    while (decoding->status == STATUS_OK && others->valid &&
           (!key || entry_compare(others->row->key, others->row->lsn, *key, lsn) < 0)) {
        add_row(decoding, others->row->key, others->row->lsn, others->row->kind,
                others->row->value);
        rows_iter_next(others);
    }
    if (others->damaged)
        decoding->status = STATUS_CORRUPT;
}

static bool next_run(struct decoding *decoding)
{
    uint64_t delta, count;
    if (!slice_take_varint(&decoding->runs, &delta) ||
        !slice_take_varint(&decoding->runs, &count) || count == 0 || count == UINT64_MAX)
        return false;
    decoding->run_lsn += (uint64_t)zigzag_decode(delta);
    decoding->run_left = count;
    return true;
}

static void decoded_put(void *context, struct slice key, struct slice value)
{
    struct decoding *decoding = context;
    if (decoding->status != STATUS_OK)
        return;
    if (decoding->run_left == 0 && !next_run(decoding)) {
        decoding->status = STATUS_CORRUPT;
        return;
    }
    if (decoding->run_left != UINT64_MAX)
        decoding->run_left--;
    add_others(decoding, &key, decoding->run_lsn);
    if (decoding->status == STATUS_OK)
        add_row(decoding, key, decoding->run_lsn, ENTRY_PUT, value);
}

/* Reads what stands before the codec's content. */
static bool take_aside(struct decoding *decoding, struct slice *content)
{
    struct slice aside;
    if (!slice_take_sized(content, &aside))
        return false;
    if (aside.size > 0 && !slice_take_sized(&aside, &decoding->runs))
        return false;
    decoding->run_left = decoding->runs.size > 0 ? 0 : UINT64_MAX;
    if (aside.size > 0 && rows_iter_attach(&decoding->others, aside) == STATUS_OK)
        rows_iter_first(&decoding->others);
    return !decoding->others.damaged;
}

/* The content is the caller's now, at its size. */
static void take_rows(struct rows_builder *rows, uint8_t **bytes, size_t *size)
{
    *size = rows_builder_finish(rows).size;
    *bytes = memory_resize(rows->bytes.data, *size);
    rows->bytes = (struct buffer){0};
}

enum status encoded_block_decode(const struct encoded_block *block, uint8_t **rows,
                                 size_t *rows_bytes)
{
    struct slice content = block->content;
    size_t raw_bytes = block->raw_bytes;
    struct decoding decoding = {.raw_left = raw_bytes, .run_lsn = block->base_lsn};
    rows_builder_init(&decoding.out, ROWS_RESTART_INTERVAL);
    rows_iter_init(&decoding.others);
    decoding.status = take_aside(&decoding, &content) ? STATUS_OK : STATUS_CORRUPT;
    if (decoding.status == STATUS_OK)
        decoding.status = buffer_try_reserve(
            &decoding.out.bytes, raw_bytes < START_BYTES_MAX ? raw_bytes : START_BYTES_MAX);
    if (decoding.status == STATUS_OK) {
        enum status status = (block->heads ? block->codec->decode_heads : block->codec->decode)(
            block->dictionary, content, raw_bytes, decoded_put, &decoding);
        if (decoding.status == STATUS_OK)
            decoding.status = status;
    }
    if (decoding.status == STATUS_OK)
        add_others(&decoding, NULL, 0);
    bool is_complete = (decoding.raw_left == 0 || block->heads) && decoding.runs.size == 0 &&
                       (decoding.run_left == 0 || decoding.run_left == UINT64_MAX) &&
                       !rows_builder_is_empty(&decoding.out);
    if (decoding.status == STATUS_OK && !is_complete)
        decoding.status = STATUS_CORRUPT;
    if (decoding.status == STATUS_OK)
        take_rows(&decoding.out, rows, rows_bytes);
    rows_builder_release(&decoding.out);
    rows_iter_release(&decoding.others);
    return decoding.status;
}
