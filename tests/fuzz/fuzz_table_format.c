/* SPDX-License-Identifier: MIT */
/* What frames a table: footer, properties, handles, separators. Footers and handles that are accepted
 * are encoded to the same bytes; properties to bytes that say the same; a separator separates. The
 * first byte chooses: 0: a footer whose checksum is put right; 1: a footer as it is; 2: properties;
 * 3: a handle; 4: two keys. */
#include "fuzz/fuzz.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "lsm/rows.h"
#include "lsm/table_format.h"

enum { FILE_BYTES = 1000, CHECKSUM_AT = 52 };

static void check_footer(struct slice input, bool seal)
{
    uint8_t bytes[TABLE_FOOTER_BYTES] = {0}, again[TABLE_FOOTER_BYTES];
    struct table_footer footer;
    memcpy(bytes, input.data, input.size < sizeof bytes ? input.size : sizeof bytes);
    if (seal) {
        le32_store(bytes + CHECKSUM_AT, crc32c_mask(crc32c(bytes, CHECKSUM_AT)));
        memcpy(bytes + CHECKSUM_AT + 4, "CWTABLE\n", 8);
    }
    enum status status = table_footer_decode(bytes, FILE_BYTES, &footer);
    if (status != STATUS_OK)
        return;
    const struct block_handle handles[] = {footer.top_index, footer.filter, footer.range_deletes,
                                           footer.properties};
    for (int i = 0; i < 4; i++)
        fuzz_require(handles[i].stored_bytes == 0 || handles[i].offset + handles[i].stored_bytes <=
                                                         FILE_BYTES - TABLE_FOOTER_BYTES);
    table_footer_encode(&footer, again);
    fuzz_require(memcmp(bytes, again, sizeof bytes) == 0);
}

static void check_properties(struct slice input)
{
    struct table_file_properties first = {0}, second = {0};
    struct buffer bytes = {0}, again = {0};
    if (table_file_properties_decode(input, &first) == STATUS_OK) {
        table_file_properties_encode(&first, &bytes);
        fuzz_require(table_file_properties_decode(buffer_slice(&bytes), &second) == STATUS_OK);
        table_file_properties_encode(&second, &again);
        fuzz_require(slice_equal(buffer_slice(&bytes), buffer_slice(&again)));
        fuzz_require(bytes.size <= input.size + 64); /* keys are not made up */
    }
    table_properties_release(&first.shared);
    table_properties_release(&second.shared);
    buffer_release(&bytes);
    buffer_release(&again);
}

static void check_handle(struct slice input)
{
    struct block_handle handle;
    uint8_t again[TABLE_HANDLE_BYTES_MAX];
    uint64_t limit = fuzz_number(&input);
    if (!block_handle_decode(input, limit, &handle))
        return;
    fuzz_require(handle.stored_bytes > BLOCK_HEAD_BYTES);
    fuzz_require(handle.offset <= limit && handle.stored_bytes <= limit - handle.offset);
    size_t size = block_handle_encode(handle, again);
    fuzz_require(slice_equal(input, slice_make(again, size)));
}

static void check_separator(struct slice input)
{
    lsn_t last_lsn = fuzz_number(&input) & ROWS_LSN_MAX;
    lsn_t next_lsn = fuzz_number(&input) & ROWS_LSN_MAX, lsn = 1;
    struct slice last = fuzz_bytes(&input), next = input;
    if (entry_compare(last, last_lsn, next, next_lsn) >= 0)
        return;
    struct slice key = table_separator(last, last_lsn, next, &lsn);
    fuzz_require(entry_compare(last, last_lsn, key, lsn) <= 0);
    fuzz_require(entry_compare(key, lsn, next, next_lsn) < 0);
    fuzz_require(key.size <= last.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    switch (fuzz_byte(&input) % 5) {
    case 0:
        check_footer(input, true);
        break;
    case 1:
        check_footer(input, false);
        break;
    case 2:
        check_properties(input);
        break;
    case 3:
        check_handle(input);
        break;
    default:
        check_separator(input);
    }
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    const struct table_footer footer = {.properties = {200, 60}, .top_index = {100, 40}};
    struct table_file_properties properties = {.shared = {.entry_count = 3, .lsn_min = 1}};
    uint8_t bytes[TABLE_FOOTER_BYTES];
    if (index > 4)
        return false;
    buffer_append_byte(out, (uint8_t)index);
    table_footer_encode(&footer, bytes);
    if (index < 2)
        buffer_append(out, bytes, sizeof bytes);
    else if (index == 2)
        table_file_properties_encode(&properties, out);
    else if (index == 3)
        buffer_append_text(out, "\xbf\x10\x20");
    else
        buffer_append_text(out, "\x09\x08\x05"
                                "apricot");
    return true;
}
