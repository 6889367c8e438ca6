/* SPDX-License-Identifier: MIT */
/* Two trees, people and an index of them by city, that are always written together: a batch over both is
 * there as a whole or not at all, also after a crash.
 *
 *     cc batch.c $(pkg-config --cflags --libs cordwood) && ./a.out DIRECTORY */
#include <cordwood.h>

#include <stdio.h>
#include <stdlib.h>

enum tree { PEOPLE, BY_CITY, TREES };

static void check(enum cordwood_status status, const char *what)
{
    if (status == CORDWOOD_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, cordwood_status_text(status));
    exit(1);
}

static void add_person(struct cordwood_batch *batch, const char *name, const char *city)
{
    char key[200];
    snprintf(key, sizeof(key), "%s/%s", city, name);
    check(cordwood_batch_put(batch, PEOPLE, cordwood_text(name), cordwood_text(city)), "put");
    check(cordwood_batch_put(batch, BY_CITY, cordwood_text(key), cordwood_text("")), "put");
}

static void print_city(struct cordwood *db, const char *city)
{
    struct cordwood_iterator_options options = CORDWOOD_ITERATOR_OPTIONS;
    struct cordwood_iterator *iterator;
    options.prefix = cordwood_text(city);
    check(cordwood_iterator_open(db, BY_CITY, &options, &iterator), "iterator");
    for (cordwood_iterator_seek_first(iterator); cordwood_iterator_valid(iterator);
         cordwood_iterator_next(iterator)) {
        struct cordwood_slice key = cordwood_iterator_key(iterator);
        printf("%.*s\n", (int)key.size, (const char *)key.data);
    }
    check(cordwood_iterator_status(iterator), "iterator");
    cordwood_iterator_close(iterator);
}

int main(int argument_count, char **arguments)
{
    const char *directory = argument_count > 1 ? arguments[1] : "example-data";
    const struct cordwood_tree_options trees[TREES] = {{.name = "people"}, {.name = "by-city"}};
    struct cordwood_options options = CORDWOOD_OPTIONS;
    struct cordwood_error error;
    struct cordwood *db;
    options.trees = trees;
    options.tree_count = TREES;
    options.durability =
        CORDWOOD_SYNC_INTERVAL; /* a crash of the system may cost the last second */
    if (cordwood_open(directory, &options, &error, &db) != CORDWOOD_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }

    struct cordwood_batch *batch = cordwood_batch_create(db);
    add_person(batch, "Ada", "London");
    add_person(batch, "Alan", "London");
    add_person(batch, "Emmy", "Erlangen");
    printf("%llu writes at once\n", (unsigned long long)cordwood_batch_count(batch));
    check(cordwood_batch_write(batch), "write");
    print_city(db, "London/");

    cordwood_batch_clear(batch);
    check(cordwood_batch_delete_range(batch, BY_CITY, cordwood_text("London/"),
                                      cordwood_text("London0")), /* 0 comes after / */
          "delete");
    check(cordwood_batch_delete(batch, PEOPLE, cordwood_text("Ada")), "delete");
    check(cordwood_batch_delete(batch, PEOPLE, cordwood_text("Alan")), "delete");
    check(cordwood_batch_write(batch), "write");
    printf("without London:\n");
    print_city(db, "");
    cordwood_batch_destroy(batch);
    check(cordwood_close(db), "close");
    return 0;
}
