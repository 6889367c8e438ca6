/* SPDX-License-Identifier: MIT */
#include "commands/stream_pages.h"

#include "base/hash.h"
#include "base/memory.h"
#include "commands/service_state.h"

#include <string.h>

/* In the cache. */
struct stream_page {
    struct stream_id ids[STREAM_PAGE_ENTRIES];
    uint32_t ends[STREAM_PAGE_ENTRIES]; /* in the text */
    uint8_t text[];
};

/* Numbers of pages have 32 bits in their names. */
#define ORDINAL_MAX (STREAM_PAGE_ENTRIES * (UINT64_C(1) << 32))

/* Of a generation, an object and a page's number. */
struct page_name {
    uint64_t group, number;
};

static struct page_name name_of(const struct stream *stream, uint64_t number)
{
    uint64_t generation = be32_load(stream->prefix);
    return (struct page_name){be64_load(stream->prefix + sizeof(uint32_t)),
                              number | generation << 32};
}

static struct lsm *engine_of(const struct stream_pages *pages)
{
    return store_engine(pages->c->access->store);
}

void stream_pages_begin(struct stream_pages *pages, struct command_context *c,
                        const struct stream *stream, bool is_reverse)
{
    pages->c = c;
    pages->stream = stream;
    pages->passed = 0;
    /* What a batch has written is nobody else's business yet. */
    pages->is_usable = !is_reverse && !c->access->writer &&
                       stream->header.length >= STREAM_PAGE_ENTRIES &&
                       stream->header.next_ordinal <= ORDINAL_MAX &&
                       stream_header_deleted_count(&stream->header) == 0;
}

/* ---- Copying from one ------------------------------------------------------------------------- */

/* How many of the entries [first, end) are not behind `last`. */
static size_t count_until(const struct stream_page *page, size_t first, size_t end,
                          struct stream_id last)
{
    while (end > first && stream_id_compare(page->ids[end - 1], last) > 0)
        end--;
    return end - first;
}

size_t stream_pages_put(struct stream_pages *pages, uint64_t ordinal, struct stream_id last,
                        size_t count, struct stream_id *id)
{
    struct lsm_derived derived;
    struct page_name name = name_of(pages->stream, ordinal / STREAM_PAGE_ENTRIES);
    size_t first = ordinal % STREAM_PAGE_ENTRIES, left = STREAM_PAGE_ENTRIES - first;
    /* The page may be newer than what this reader may see. */
    if (!pages->is_usable || pages->stream->header.next_ordinal - ordinal < left ||
        !lsm_derived_find(engine_of(pages), name.group, name.number, &derived))
        return 0;
    const struct stream_page *page = (const void *)derived.bytes.data;
    count = count_until(page, first, first + (count < left ? count : left), last);
    if (count > 0) {
        uint32_t from = first > 0 ? page->ends[first - 1] : 0;
        buffer_append(pages->c->reply->out, page->text + from,
                      page->ends[first + count - 1] - from);
        *id = page->ids[first + count - 1];
    }
    lsm_derived_release(&derived);
    return count;
}

/* ---- Making one ------------------------------------------------------------------------------- */

/* Whether a reply has passed through the page lately; now one has. */
static bool was_passed(const struct stream_pages *pages)
{
    uint64_t hash = hash64(slice_make(pages->stream->prefix, OBJECT_PREFIX_BYTES), pages->number);
    uint32_t *passed = service_thread(pages->c->service)->pages_passed;
    uint32_t *place = &passed[hash % STREAM_PAGES_PASSED], mark = (uint32_t)(hash >> 32) | 1;
    bool was = *place == mark;
    *place = mark;
    return was;
}

static void keep_page(const struct stream_pages *pages)
{
    size_t text_bytes = pages->ends[STREAM_PAGE_ENTRIES - 1];
    size_t size = sizeof(struct stream_page) + text_bytes;
    const struct buffer *out = pages->c->reply->out;
    if (text_bytes > STREAM_PAGE_TEXT_BYTES_MAX || out->failed || !was_passed(pages))
        return;
    struct stream_page *page = memory_allocate(size);
    memcpy(page->ids, pages->ids, sizeof(page->ids));
    memcpy(page->ends, pages->ends, sizeof(page->ends));
    memcpy(page->text, out->data + pages->begin, text_bytes);
    struct page_name name = name_of(pages->stream, pages->number);
    lsm_derived_keep(engine_of(pages), name.group, name.number, (uint8_t *)page, size);
}

void stream_pages_pass_slowly(struct stream_pages *pages, const struct stream_entry *entry,
                              size_t begin)
{
    unsigned place = entry->ordinal % STREAM_PAGE_ENTRIES;
    if (place == 0) {
        pages->number = entry->ordinal / STREAM_PAGE_ENTRIES;
        pages->begin = begin;
        pages->passed = 0;
    }
    size_t size = pages->c->reply->out->size - pages->begin;
    /* Ordinals go on without a gap, unless they are damaged. */
    if (entry->ordinal != pages->number * STREAM_PAGE_ENTRIES + pages->passed ||
        size > STREAM_PAGE_TEXT_BYTES_MAX) {
        pages->passed = 0;
        return;
    }
    pages->ids[place] = entry->id;
    pages->ends[place] = (uint32_t)size;
    pages->passed++;
    if (pages->passed == STREAM_PAGE_ENTRIES) {
        pages->passed = 0;
        keep_page(pages);
    }
}
