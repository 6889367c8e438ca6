/* SPDX-License-Identifier: MIT */
/* A database: put, get, delete, walks over a prefix and backward, a snapshot.
 *
 *     cc key_value.c $(pkg-config --cflags --libs cordwood) && ./a.out DIRECTORY */
#include <cordwood.h>

#include <stdio.h>
#include <stdlib.h>

static void check(enum cordwood_status status, const char *what)
{
    if (status == CORDWOOD_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, cordwood_status_text(status));
    exit(1);
}

static void put(struct cordwood *db, const char *key, const char *value)
{
    check(cordwood_put(db, 0, cordwood_text(key), cordwood_text(value)), "put");
}

static void print_slice(struct cordwood_slice slice)
{
    fwrite(slice.data, 1, slice.size, stdout);
}

/* All keys that begin so, with their values. */
static void print_prefix(struct cordwood *db, const char *prefix)
{
    struct cordwood_iterator_options options = CORDWOOD_ITERATOR_OPTIONS;
    struct cordwood_iterator *iterator;
    options.prefix = cordwood_text(prefix);
    check(cordwood_iterator_open(db, 0, &options, &iterator), "iterator");
    for (cordwood_iterator_seek_first(iterator); cordwood_iterator_valid(iterator);
         cordwood_iterator_next(iterator)) {
        print_slice(cordwood_iterator_key(iterator));
        printf(" = ");
        print_slice(cordwood_iterator_value(iterator));
        printf("\n");
    }
    /* The loop ends at the end, or because something could not be read. */
    check(cordwood_iterator_status(iterator), "iterator");
    cordwood_iterator_close(iterator);
}

int main(int argument_count, char **arguments)
{
    const char *directory = argument_count > 1 ? arguments[1] : "example-data";
    struct cordwood_error error;
    struct cordwood *db;
    if (cordwood_open(directory, NULL, &error, &db) != CORDWOOD_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    put(db, "fruit/apple", "red");
    put(db, "fruit/banana", "yellow");
    put(db, "fruit/lime", "green");
    put(db, "vegetable/leek", "green");

    struct cordwood_buffer value = {0};
    check(cordwood_get(db, 0, cordwood_text("fruit/banana"), &value), "get");
    printf("a banana is %.*s\n", (int)value.size, (const char *)value.data);
    if (cordwood_get(db, 0, cordwood_text("fruit/cherry"), &value) == CORDWOOD_NOT_FOUND)
        printf("there is no cherry\n");

    struct cordwood_snapshot *before = cordwood_snapshot_acquire(db);
    check(cordwood_delete(db, 0, cordwood_text("fruit/lime")), "delete");
    put(db, "fruit/apple", "green");
    print_prefix(db, "fruit/");
    check(cordwood_snapshot_get(before, 0, cordwood_text("fruit/apple"), &value), "get");
    printf("the apple was %.*s\n", (int)value.size, (const char *)value.data);

    cordwood_snapshot_release(before);
    cordwood_buffer_release(&value);
    check(cordwood_close(db), "close");
    return 0;
}
