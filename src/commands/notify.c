/* SPDX-License-Identifier: MIT */
#include "commands/notify.h"

#include "commands/service_state.h"

/* Bit i is letter i; those of A come first. */
static const char letters[] = "g$lshzxetdnKEm";
enum {
    CLASSES_ALL = (1 << 10) - 1,   /* A */
    CLASSES_SMALL = (1 << 11) - 1, /* left of K */
    CLASS_KEYSPACE = 1 << 11,
    CLASS_KEYEVENT = 1 << 12,
};

static int64_t class_of(char letter)
{
    const char *at = letter ? strchr(letters, letter) : NULL;
    return at ? (int64_t)1 << (at - letters) : 0;
}

bool notify_classes_parse(struct slice text, int64_t *classes)
{
    int64_t found = 0;
    for (size_t i = 0; i < text.size; i++) {
        char letter = (char)text.data[i];
        int64_t bits = letter == 'A' ? CLASSES_ALL : class_of(letter);
        if (bits == 0)
            return false;
        found |= bits;
    }
    *classes = found;
    return true;
}

void notify_classes_append(int64_t classes, struct buffer *text)
{
    bool has_all = (classes & CLASSES_ALL) == CLASSES_ALL;
    if (has_all)
        buffer_append_byte(text, 'A');
    for (size_t i = 0; letters[i]; i++) {
        int64_t bit = (int64_t)1 << i;
        if ((classes & bit) && !(has_all && (bit & CLASSES_SMALL)))
            buffer_append_byte(text, (uint8_t)letters[i]);
    }
}

static bool is_wanted(struct service *service, char class_letter)
{
    int64_t classes = config_integer(service->config, CONFIG_notify_keyspace_events);
    return (classes & class_of(class_letter)) && (classes & (CLASS_KEYSPACE | CLASS_KEYEVENT)) &&
           atomic_load_explicit(&service->pubsub.is_used, memory_order_relaxed);
}

void notify_choose_facts(struct service *service, struct access *access)
{
    access->tells_new = is_wanted(service, 'n');
}

void notify_miss(struct service *service, struct access *access)
{
    if (is_wanted(service, 'm'))
        access_fact(access, 'm', "keymiss", access->missed);
}

static void publish(struct service *service, struct buffer *channel, struct slice message,
                    lsn_t lsn)
{
    if (!channel->failed)
        (void)pubsub_publish(service, PUBSUB_CHANNEL, buffer_slice(channel), message, lsn);
    channel->failed = false;
    buffer_clear(channel);
}

void service_notify(struct service *service, const struct access *access, lsn_t lsn)
{
    int64_t classes = config_integer(service->config, CONFIG_notify_keyspace_events);
    struct buffer channel = {.may_fail = true};
    if (!(classes & (CLASS_KEYSPACE | CLASS_KEYEVENT)) ||
        !atomic_load_explicit(&service->pubsub.is_used, memory_order_relaxed))
        return;
    for (size_t i = 0; i < access->fact_count; i++) {
        const struct fact *fact = &access->facts[i];
        struct slice key = slice_make(access->fact_bytes.data + fact->key_offset, fact->key_size);
        if (!(classes & class_of(fact->class_letter)))
            continue;
        if (classes & CLASS_KEYSPACE) {
            buffer_printf(&channel, "__keyspace@%u__:", fact->database);
            buffer_append_slice(&channel, key);
            publish(service, &channel, slice_from(fact->event), lsn);
        }
        if (classes & CLASS_KEYEVENT) {
            buffer_printf(&channel, "__keyevent@%u__:%s", fact->database, fact->event);
            publish(service, &channel, key, lsn);
        }
    }
    buffer_release(&channel);
}
