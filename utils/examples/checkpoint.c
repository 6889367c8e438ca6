/* SPDX-License-Identifier: MIT */
/* A backup of a database that is in use, in an instant: a checkpoint. It is verified, the database is
 * changed, and the backup is opened: it is as it was.
 *
 *     cc checkpoint.c $(pkg-config --cflags --libs cordwood) && ./a.out DIRECTORY */
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

static struct cordwood *open_database(const char *directory)
{
    struct cordwood_error error;
    struct cordwood *db;
    if (cordwood_open(directory, NULL, &error, &db) == CORDWOOD_OK)
        return db;
    fprintf(stderr, "%s\n", error.text);
    exit(1);
}

static unsigned count_keys(struct cordwood *db)
{
    unsigned count = 0;
    struct cordwood_iterator *iterator;
    check(cordwood_iterator_open(db, 0, NULL, &iterator), "iterator");
    for (cordwood_iterator_seek_first(iterator); cordwood_iterator_valid(iterator);
         cordwood_iterator_next(iterator))
        count++;
    check(cordwood_iterator_status(iterator), "iterator");
    cordwood_iterator_close(iterator);
    return count;
}

static void count_findings(void *context, const char *file, const char *finding)
{
    (void)file;
    if (finding)
        ++*(unsigned *)context;
}

int main(int argument_count, char **arguments)
{
    const char *directory = argument_count > 1 ? arguments[1] : "example-data";
    char backup[4096];
    struct cordwood_error error;
    unsigned findings = 0;
    struct cordwood *db = open_database(directory);
    struct cordwood_batch *batch = cordwood_batch_create(db);
    for (unsigned i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%04u", i);
        check(cordwood_batch_put(batch, 0, cordwood_text(key), cordwood_text("value")), "put");
    }
    check(cordwood_batch_write(batch), "write");
    cordwood_batch_destroy(batch);

    snprintf(backup, sizeof(backup), "%s.backup", directory);
    if (cordwood_checkpoint(db, backup, &error) != CORDWOOD_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    check(cordwood_delete_range(db, 0, cordwood_text("0100"), cordwood_text("1")), "delete");
    printf("the database has %u keys now\n", count_keys(db));
    check(cordwood_close(db), "close");

    check(cordwood_verify(backup, count_findings, &findings), "verify");
    struct cordwood *restored = open_database(backup);
    printf("the backup has %u, and %u findings\n", count_keys(restored), findings);
    check(cordwood_close(restored), "close");
    return 0;
}
