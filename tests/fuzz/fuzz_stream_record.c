/* SPDX-License-Identifier: MIT */
/* A stream's header and an entry's record. The first byte chooses: 0: bytes as a header; 1: bytes as
 * a record; 2: a record to be written. What is accepted is encoded to the same bytes. */
#include "fuzz/fuzz.h"

#include "types/stream_entry.h"
#include "types/stream_header.h"

enum { FIELDS_MAX = 64 };

static void check_header(struct slice input)
{
    struct stream_header header, second;
    uint8_t again[STREAM_HEADER_BYTES_MAX];
    if (stream_header_decode(input, &header) != STATUS_OK)
        return;
    fuzz_require(header.first_ordinal <= header.next_ordinal);
    fuzz_require(header.length <= header.next_ordinal - header.first_ordinal);
    fuzz_require(header.garbage_ordinal <= header.first_ordinal);
    fuzz_require(header.length == 0 || stream_id_compare(header.first_id, header.last_id) <= 0);
    size_t size = stream_header_encode(&header, again);
    fuzz_require(slice_equal(input, slice_make(again, size)));
    fuzz_require(stream_header_decode(slice_make(again, size), &second) == STATUS_OK);
    fuzz_require(memcmp(&header, &second, sizeof header) == 0);
}

static void make_key(struct slice *input, uint8_t key[STREAM_ENTRY_KEY_BYTES])
{
    static const uint8_t prefix[OBJECT_PREFIX_BYTES];
    struct stream_id id = {fuzz_number(input), fuzz_number(input)};
    stream_entry_key_store(key, prefix, id);
}

static void check_record(struct slice input)
{
    uint8_t key[STREAM_ENTRY_KEY_BYTES], kinds[FIELDS_MAX];
    struct slice parts[2 * FIELDS_MAX];
    struct stream_entry entry;
    struct stream_field field;
    struct buffer again = {0};
    size_t count = 0;
    make_key(&input, key);
    struct slice key_slice = slice_make(key, sizeof key);
    struct stream_entry head;
    enum status of_head = stream_entry_decode_head(key_slice, input, &head);
    if (stream_entry_decode(key_slice, input, &entry) != STATUS_OK)
        return;
    fuzz_require(of_head == STATUS_OK && head.ordinal == entry.ordinal);
    fuzz_require(head.event_ms == entry.event_ms && head.is_late == entry.is_late);
    fuzz_require(entry.field_count > 0 && entry.field_count <= input.size / 2);
    fuzz_require(entry.event_ms <= entry.id.ms && entry.is_late == (entry.event_ms < entry.id.ms));
    struct stream_fields fields = stream_fields_begin(&entry);
    for (; stream_fields_next(&fields, &field); count++) {
        fuzz_require(field.name.data >= input.data);
        fuzz_require(field.value.data + field.value.size <= input.data + input.size);
        if (count >= FIELDS_MAX)
            continue;
        kinds[count] = field.kind;
        parts[2 * count] = field.name;
        parts[2 * count + 1] = field.value;
    }
    fuzz_require(count <= entry.field_count);
    if (count > 0 && count <= FIELDS_MAX) {
        fuzz_require(stream_entry_find_field(&entry, parts[0], &field));
        fuzz_require(slice_equal(field.value, parts[1]));
    }
    if (!fields.is_corrupt && count <= FIELDS_MAX) {
        const struct stream_record record = {
            .ordinal = entry.ordinal,
            .late_ms = entry.id.ms - entry.event_ms,
            .fields = parts,
            .field_count = count,
            .kinds = entry.kinds ? kinds : NULL,
        };
        fuzz_require(count == entry.field_count);
        stream_record_encode(&record, &again);
        fuzz_require(slice_equal(input, buffer_slice(&again)));
        buffer_release(&again);
    }
}

static void write_record(struct slice input)
{
    uint8_t key[STREAM_ENTRY_KEY_BYTES], kinds[FIELDS_MAX];
    struct slice parts[2 * FIELDS_MAX];
    struct stream_entry entry;
    struct stream_field field;
    struct buffer value = {0};
    make_key(&input, key);
    uint64_t ms = be64_load(key + OBJECT_PREFIX_BYTES);
    struct stream_record record = {.ordinal = fuzz_number(&input), .fields = parts};
    record.late_ms = ms ? fuzz_number(&input) % ms : 0;
    record.kinds = fuzz_byte(&input) & 1 ? kinds : NULL;
    do {
        kinds[record.field_count] = fuzz_byte(&input) & 1;
        parts[2 * record.field_count] = fuzz_bytes(&input);
        parts[2 * record.field_count + 1] = fuzz_bytes(&input);
        record.field_count++;
    } while (input.size > 0 && record.field_count < FIELDS_MAX);
    stream_record_encode(&record, &value);
    fuzz_require(stream_entry_decode(slice_make(key, sizeof key), buffer_slice(&value), &entry) ==
                 STATUS_OK);
    fuzz_require(entry.ordinal == record.ordinal && entry.event_ms == ms - record.late_ms);
    fuzz_require(entry.field_count == record.field_count);
    struct stream_fields fields = stream_fields_begin(&entry);
    for (size_t i = 0; i < record.field_count; i++) {
        fuzz_require(stream_fields_next(&fields, &field));
        fuzz_require(slice_equal(field.name, parts[2 * i]));
        fuzz_require(slice_equal(field.value, parts[2 * i + 1]));
        fuzz_require(field.kind == (record.kinds ? kinds[i] : STREAM_FIELD_BYTES));
    }
    fuzz_require(!stream_fields_next(&fields, &field) && !fields.is_corrupt);
    buffer_release(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    switch (fuzz_byte(&input) % 3) {
    case 0:
        check_header(input);
        break;
    case 1:
        check_record(input);
        break;
    default:
        write_record(input);
    }
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    struct stream_header header = {.next_ordinal = 200, .entries_added = 230};
    uint8_t bytes[STREAM_HEADER_BYTES_MAX];
    struct slice parts[] = {slice_from("message"), slice_from("text"), slice_from("n"),
                            slice_from("1.50")};
    const uint8_t kinds[] = {0, 1};
    struct stream_record record = {.ordinal = 300, .fields = parts, .field_count = 2};
    struct buffer value = {0};
    if (index > 4)
        return false;
    header.last_id = (struct stream_id){1000000, 5};
    if (index == 1) {
        header.first_ordinal = 90;
        header.garbage_ordinal = 60;
        header.garbage_id = (struct stream_id){500, 1};
        header.first_id = (struct stream_id){900, 3};
        header.length = 100;
        header.max_deleted_id = (struct stream_id){950, 0};
        header.deletion_levels = 1;
        header.late = (struct stream_late_info){.count = 7,
                                                .first_id = {910, 0},
                                                .last_id = {1000000, 5},
                                                .event_ms_min = 5,
                                                .event_ms_max = 900,
                                                .run_first_id = {999, 9},
                                                .run_count = 3,
                                                .run_records = 1};
    } else {
        header.first_ordinal = header.garbage_ordinal = 200;
    }
    if (index < 2) {
        buffer_append_byte(out, 0);
        buffer_append(out, bytes, stream_header_encode(&header, bytes));
        return true;
    }
    record.kinds = index == 3 ? kinds : NULL;
    record.late_ms = index == 3 ? 40 : 0;
    stream_record_encode(&record, &value);
    if (index == 4) {
        buffer_append_text(out, "\2dddd\1\0017message\4text\1\001n\0041.50");
    } else {
        buffer_append_text(out, "\1dd");
        buffer_append_slice(out, buffer_slice(&value));
    }
    buffer_release(&value);
    return true;
}
