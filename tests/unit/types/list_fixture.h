/* SPDX-License-Identifier: MIT */
/* Lists of a store in memory as text: elements with spaces between them. */
#ifndef UNIT_TYPES_LIST_FIXTURE_H
#define UNIT_TYPES_LIST_FIXTURE_H

#include "lib/memory_store.h"
#include "types/list.h"
#include "types/store_check.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct memory_store ms;
static struct buffer seen;

static inline int list_setup(void **state)
{
    (void)state;
    memory_store_open(&ms, &(struct store_options){.memtable_bytes = 4 << 20,
                                                   .block_cache_bytes = 1 << 20,
                                                   .wal_segment_bytes = 1 << 20});
    return 0;
}

static inline int list_teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    buffer_release(&seen);
    return 0;
}

static inline void see_begin(void *context, uint64_t count)
{
    (void)context;
    (void)count;
    buffer_clear(&seen);
}

/* Of a long one its first letter and its size. */
static inline void see_element(void *context, struct slice value)
{
    (void)context;
    if (seen.size > 0)
        buffer_append_byte(&seen, ' ');
    if (value.size > 100)
        buffer_printf(&seen, "%c*%zu", value.data[0], value.size);
    else
        buffer_append_slice(&seen, value);
}

static const struct list_visitor visitor = {.begin = see_begin, .element = see_element};

/* What was seen last. */
static inline const char *seen_text(void)
{
    buffer_append_byte(&seen, 0);
    seen.size--;
    return (const char *)seen.data;
}

/* `element`, or "x*70000": 70,000 times x. */
static inline struct slice element_of(const char *element)
{
    static struct buffer large;
    char letter;
    size_t size;
    if (sscanf(element, "%c*%zu", &letter, &size) != 2)
        return slice_from(element);
    buffer_clear(&large);
    buffer_reserve(&large, size);
    memset(large.data, letter, size);
    return slice_make(large.data, size);
}

/* In a batch of its own, as those that follow. Words with spaces between. */
static inline void push_words(const char *key, const char *words)
{
    memory_store_write(&ms);
    while (*words) {
        char word[64];
        uint64_t length;
        size_t size = strcspn(words, " ");
        snprintf(word, sizeof word, "%.*s", (int)size, words);
        struct slice value = element_of(word);
        assert_int_equal(
            list_push(&ms.access, slice_from(key), LIST_RIGHT, &value, 1, false, &length),
            STATUS_OK);
        words += size + (words[size] == ' ');
    }
    memory_store_end(&ms);
}

static inline void expect_list(const char *key, const char *words)
{
    memory_store_read(&ms);
    enum status status = list_range(&ms.access, slice_from(key), 0, -1, &visitor);
    memory_store_end(&ms);
    assert_int_equal(status, *words ? STATUS_OK : STATUS_NOT_FOUND);
    if (*words)
        assert_string_equal(seen_text(), words);
}

static inline void set_string(const char *key)
{
    memory_store_write(&ms);
    string_set(&ms.access, slice_from(key), slice_from("v"), NULL, &(struct string_set_options){0});
    memory_store_end(&ms);
}

static inline void expect_sound(void)
{
    struct lsm_report report = {""};
    enum status status = store_check(ms.store, &report);
    if (status)
        print_error("%s\n", report.text);
    assert_int_equal(status, STATUS_OK);
}

static inline size_t part_count(void)
{
    struct buffer dump = {0};
    size_t lines = 0;
    memory_store_dump(&ms, TREE_PARTS, &dump);
    for (size_t i = 0; i < dump.size; i++)
        lines += dump.data[i] == '\n';
    buffer_release(&dump);
    return lines;
}

#endif
