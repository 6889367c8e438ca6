/* SPDX-License-Identifier: MIT */
/* Replies. The first byte chooses: even: bytes as a reply for the tests' own reader: each shorter part
 * of a complete one is partial, and what follows it does not matter. Odd: calls of the writer, in RESP2
 * or RESP3: what was written is read back as the same tree. */
#include "fuzz/fuzz.h"

#include "base/memory.h"
#include "lib/resp_reply.h"
#include "resp/resp.h"

#include <inttypes.h>
#include <math.h>

enum { DEPTH_MAX = 6, CHILDREN_MAX = 20, PREFIXES_MAX = 600 };

static void read_bytes(struct slice input)
{
    struct resp_reply reply = {0};
    size_t consumed = 0;
    uint8_t *copy;
    if (resp_reply_read(input, &reply, &consumed) != REPLY_COMPLETE)
        return;
    fuzz_require(consumed > 0 && consumed <= input.size);
    resp_reply_release(&reply);
    for (size_t size = consumed < PREFIXES_MAX ? 0 : consumed - PREFIXES_MAX; size < consumed;
         size++) {
        size_t none = 77;
        copy = memory_copy(input.data, size);
        fuzz_require(resp_reply_read(slice_make(copy, size), &reply, &none) == REPLY_PARTIAL);
        fuzz_require(none == 77);
        memory_free(copy);
    }
    copy = memory_copy(input.data, consumed);
    size_t again = 0;
    fuzz_require(resp_reply_read(slice_make(copy, consumed), &reply, &again) == REPLY_COMPLETE);
    fuzz_require(again == consumed);
    memory_free(copy);
    resp_reply_release(&reply);
}

/* Writes one value and, in `shown`, what resp_reply_show says of it. */
static void write_value(struct slice *input, struct resp_writer *w, struct buffer *shown,
                        int depth);

static void show_bytes(struct buffer *shown, struct slice bytes)
{
    struct resp_reply reply = {.type = '$'};
    buffer_append_slice(&reply.text, bytes);
    resp_reply_show(&reply, shown);
    buffer_release(&reply.text);
}

static void write_children(struct slice *input, struct resp_writer *w, struct buffer *shown,
                           size_t count, int depth)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_text(shown, ", ");
        write_value(input, w, shown, depth + 1);
    }
}

static void write_map(struct slice *input, struct resp_writer *w, struct buffer *shown,
                      size_t pairs, int depth, bool deferred)
{
    size_t mark = 0;
    if (deferred)
        mark = resp_deferred_expecting(w, fuzz_byte(input) * 1000u);
    else
        resp_map(w, pairs);
    buffer_append_text(shown, w->protocol == 3 ? "{" : "[");
    for (size_t i = 0; i < 2 * pairs; i++) {
        if (i > 0)
            buffer_append_text(shown, w->protocol == 3 && i % 2 ? ": " : ", ");
        write_value(input, w, shown, depth + 1);
    }
    buffer_append_text(shown, w->protocol == 3 ? "}" : "]");
    if (deferred)
        resp_deferred_map(w, mark, pairs);
}

static void write_list(struct slice *input, struct resp_writer *w, struct buffer *shown,
                       size_t count, int depth, unsigned form)
{
    static const char *const begins[] = {"[", "~[", ">[", "[", "~["};
    size_t mark = form >= 3 ? resp_deferred(w) : 0;
    if (form == 0)
        resp_array(w, count);
    else if (form == 1)
        resp_set(w, count);
    else if (form == 2)
        resp_push(w, count);
    buffer_append_text(shown, w->protocol == 3 ? begins[form] : "[");
    write_children(input, w, shown, count, depth);
    buffer_append_text(shown, "]");
    if (form == 3)
        resp_deferred_array(w, mark, count);
    else if (form == 4)
        resp_deferred_set(w, mark, count);
}

static void write_value(struct slice *input, struct resp_writer *w, struct buffer *shown, int depth)
{
    unsigned kind = fuzz_below(input, depth < DEPTH_MAX ? 14 : 7);
    struct slice bytes;
    uint64_t number;
    switch (kind) {
    case 0:
        resp_simple(w, "OK");
        buffer_append_text(shown, "+OK");
        return;
    case 1:
        number = fuzz_number(input);
        resp_integer(w, (int64_t)number);
        buffer_printf(shown, ":%" PRId64, (int64_t)number);
        return;
    case 2:
        bytes = fuzz_bytes(input);
        resp_bulk(w, bytes);
        show_bytes(shown, bytes);
        return;
    case 3:
        resp_null(w);
        buffer_append_text(shown, "nil");
        return;
    case 4:
        number = fuzz_byte(input) & 1;
        resp_boolean(w, number);
        buffer_append_text(shown, w->protocol == 3 ? number ? "#t" : "#f" : number ? ":1" : ":0");
        return;
    case 5:
        number = fuzz_number(input);
        resp_bulk_u64(w, number);
        buffer_printf(shown, "\"%" PRIu64 "\"", number);
        return;
    case 6:
        resp_null_array(w);
        buffer_append_text(shown, w->protocol == 3 ? "nil" : "nil-array");
        return;
    case 7:
    case 8:
        write_map(input, w, shown, fuzz_below(input, CHILDREN_MAX / 2), depth, kind == 8);
        return;
    default:
        write_list(input, w, shown, fuzz_below(input, CHILDREN_MAX), depth, kind - 9);
    }
}

static void write_and_read(struct slice input, int protocol)
{
    struct buffer out = {0}, shown = {0}, found = {0};
    struct resp_writer w = {&out, protocol};
    for (size_t used = 0; input.size > 0;) {
        struct resp_reply reply = {0};
        size_t consumed = 0;
        buffer_clear(&shown);
        buffer_clear(&found);
        write_value(&input, &w, &shown, 0);
        fuzz_require(resp_reply_read(slice_skip(buffer_slice(&out), used), &reply, &consumed) ==
                     REPLY_COMPLETE);
        used += consumed;
        fuzz_require(used == out.size);
        resp_reply_show(&reply, &found);
        if (!slice_equal(buffer_slice(&shown), buffer_slice(&found)))
            fprintf(stderr, "wrote %.*s\nread  %.*s\n", (int)shown.size, (char *)shown.data,
                    (int)found.size, (char *)found.data);
        fuzz_require(slice_equal(buffer_slice(&shown), buffer_slice(&found)));
        resp_reply_release(&reply);
    }
    buffer_release(&out);
    buffer_release(&shown);
    buffer_release(&found);
}

/* A double, a text of an error and a verbatim text each read back. */
static void write_texts(struct slice input, int protocol)
{
    struct buffer out = {0};
    struct resp_writer w = {&out, protocol};
    struct resp_reply reply = {0};
    size_t consumed = 0;
    union {
        uint64_t bits;
        double value;
    } number = {.bits = fuzz_number(&input)};
    if (!isnan(number.value)) {
        resp_double(&w, number.value);
        fuzz_require(resp_reply_read(buffer_slice(&out), &reply, &consumed) == REPLY_COMPLETE);
        buffer_append_byte(&reply.text, 0);
        fuzz_require(reply.type == (protocol == 3 ? ',' : '$'));
        fuzz_require(strtod((char *)reply.text.data, NULL) == number.value);
        resp_reply_release(&reply);
    }
    buffer_clear(&out);
    resp_errorf(&w, "ERR %.*s", (int)input.size, (const char *)input.data);
    fuzz_require(resp_reply_read(buffer_slice(&out), &reply, &consumed) == REPLY_COMPLETE);
    fuzz_require(reply.type == '-' && consumed == out.size);
    resp_reply_release(&reply);
    buffer_clear(&out);
    resp_verbatim(&w, "txt", input);
    fuzz_require(resp_reply_read(buffer_slice(&out), &reply, &consumed) == REPLY_COMPLETE);
    fuzz_require(consumed == out.size && slice_equal(buffer_slice(&reply.text), input));
    resp_reply_release(&reply);
    buffer_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    unsigned choice = fuzz_below(&input, 6);
    if (choice % 2 == 0) {
        read_bytes(input);
    } else if (choice == 5) {
        write_texts(input, 2);
        write_texts(input, 3);
    } else {
        write_and_read(input, choice == 1 ? 2 : 3);
    }
    return 0;
}

static const char *const seeds[] = {
    "0*3\r\n$3\r\nabc\r\n:-5\r\n%1\r\n+k\r\n*-1\r\n",
    "0=8\r\ntxt:abcd\r\n",
    "0~2\r\n#t\r\n,1.5\r\n",
    "1\x17\3\2\3abc\1\377\5\1\16\2\2\1\1",
    "3\x17\3\2\3abc\1\377\5\1\16\2\2\1\1\7\1\4\1",
    "5\302\377\377message\r\nx",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(seeds, sizeof seeds / sizeof *seeds, index, out);
}
