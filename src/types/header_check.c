/* SPDX-License-Identifier: MIT */
#include "types/header_check.h"

#ifdef CORDWOOD_DEBUG

#include "types/list.h"
#include "types/store_state.h"
#include "types/stream_header.h"
#include "types/string.h"

#include <stdio.h>
#include <stdlib.h>

bool header_debug_is_off;

static const char *find_fault(const struct access *access, const struct object *object)
{
    struct stream_header header;
    uint64_t length;
    if (object->id >= access->store->next_id)
        return "its id was not given yet";
    switch (object->type) {
    case OBJECT_STRING:
        return string_length(object, &length) ? "its length cannot be read" : NULL;
    case OBJECT_LIST:
        return list_object_length(object, &length) ? "its bounds cannot be read" : NULL;
    case OBJECT_STREAM:
        if (object->id == 0 || stream_header_decode(object->body, &header))
            return "its header cannot be read";
        return header.entries_added < header.length ? "it counts more entries than were added"
                                                    : NULL;
    }
    return "it has no type";
}

void header_debug_check(const struct access *access, struct slice key, const struct object *object)
{
    const char *fault = header_debug_is_off ? NULL : find_fault(access, object);
    if (!fault)
        return;
    fprintf(stderr, "database %u, key '%.*s': written although %s\n", access->database,
            key.size < 64 ? (int)key.size : 64, (const char *)key.data, fault);
    abort();
}

#endif
