/* SPDX-License-Identifier: MIT */
/* Any bytes as a configuration file: parsed or refused with a sentence, and every value that was
 * taken reads back as itself. */
#include "commands/config.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
