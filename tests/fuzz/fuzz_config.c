/* SPDX-License-Identifier: MIT */
/* Any bytes as a configuration file: parsed or refused with a sentence, and every value that was
 * taken reads back as itself. */
#include "fuzz/fuzz.h"

#include "commands/config.h"

#include <stdlib.h>

static const char *const seeds[] = {
    "# comment\nport 6379\nbind 127.0.0.1 -::1\nappendfsync always\n",
    "requirepass \"a \\x41\\n\\\"\"\nsave \"\"\ndir 'it\\'s'\n",
    "client-output-buffer-limit normal 1mb 2kb 3 slave 1 2 3\nlog-max-future 10m\n",
    "include other.conf\n",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(seeds, sizeof(seeds) / sizeof(*seeds), index, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = config_create();
    struct buffer error = {0}, value = {0}, again = {0};
    bool ok = config_load_text(config, NULL, "fuzz", slice_make(data, size), &error);
    if (ok ? error.size != 0 : error.size == 0)
        abort();
    buffer_clear(&error);
    for (int i = 0; i < CONFIG_COUNT; i++) {
        buffer_clear(&value);
        buffer_clear(&again);
        config_get_text(config, i, &value);
        if (!config_set(config, slice_from(config_name_text(i)), buffer_slice(&value), true,
                        &error))
            abort();
        config_get_text(config, i, &again);
        if (!slice_equal(buffer_slice(&value), buffer_slice(&again)))
            abort();
    }
    buffer_release(&error);
    buffer_release(&value);
    buffer_release(&again);
    config_destroy(config);
    return 0;
}
