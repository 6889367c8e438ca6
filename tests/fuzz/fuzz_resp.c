/* SPDX-License-Identifier: MIT */
/* Any bytes as requests: fed at once and in pieces they give the same requests and the same end. */
#include "fuzz/fuzz.h"

#include "base/memory.h"
#include "resp/resp.h"

#include <assert.h>
#include <stdlib.h>

static const char *const seeds[] = {
    "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nv\r\nv1\r\n*1\r\n$4\r\nPING\r\n",
    "*0\r\n*-1\r\nset \"a\\x41\\n\" 'b\\'c' d\r\n\r\nPING\n",
    "*2\r\n$3\r\nGET\r\n:1\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    "*11\r\n$16385\r\n",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(seeds, sizeof seeds / sizeof *seeds, index, out);
}

/* Writes what was parsed: arguments with their sizes, and how it ended. Each step sees a copy that
 * ends where the bytes end. */
static void transcribe(const uint8_t *data, size_t size, size_t step, bool authenticated,
                       struct buffer *out)
{
    struct resp_limits limits = {.bulk_bytes_max = 1 << 20,
                                 .inline_bytes_max = 1000,
                                 .arguments_max = 1000,
                                 .authenticated = authenticated};
    struct resp_request request = {0};
    size_t start = 0, end = 0;
    enum resp_result result = RESP_PARTIAL;

    while (result != RESP_BAD && end < size) {
        end = size - end < step ? size : end + step;
        do {
            size_t consumed = 0;
            uint8_t *copy = memory_copy(data + start, end - start);
            struct slice second;
            size_t skimmed;
            bool is_skimmed = resp_skim(slice_make(copy, end - start), &second, &skimmed);
            result = resp_parse(slice_make(copy, end - start), &limits, &request, &consumed);
            if (result == RESP_CONSUMED) {
                if (consumed == 0 || consumed > end - start)
                    abort();
                if (is_skimmed &&
                    (skimmed != consumed ||
                     (request.count > 1 && !slice_equal(request.arguments[1], second))))
                    abort();
                start += consumed;
                buffer_printf(out, "%zu:", request.count);
                for (size_t i = 0; i < request.count; i++) {
                    buffer_printf(out, "%zu[", request.arguments[i].size);
                    buffer_append_slice(out, request.arguments[i]);
                    buffer_append_text(out, "]");
                }
            } else if (result == RESP_BAD) {
                buffer_printf(out, "!%s", request.error ? request.error : "closed");
            }
            memory_free(copy);
        } while (result == RESP_CONSUMED && start < end);
    }
    resp_request_release(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole = {0}, pieces = {0};

    if (size < 2)
        return 0;
    size_t step = 1 + data[0] % 32;
    bool authenticated = data[0] & 64;
    transcribe(data + 1, size - 1, size, authenticated, &whole);
    transcribe(data + 1, size - 1, step, authenticated, &pieces);
    if (!slice_equal(buffer_slice(&whole), buffer_slice(&pieces)))
        abort();
    buffer_release(&whole);
    buffer_release(&pieces);
    return 0;
}
