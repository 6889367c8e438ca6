/* SPDX-License-Identifier: MIT */
/* Threads move money between accounts. Each transfer reads and writes in a transaction and begins anew
 * when another was first, so no money is made or lost.
 *
 *     cc transaction.c -pthread $(pkg-config --cflags --libs cordwood) && ./a.out DIRECTORY */
#include <cordwood.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { ACCOUNTS = 5, THREADS = 4, TRANSFERS = 200 };

static void check(enum cordwood_status status, const char *what)
{
    if (status == CORDWOOD_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, cordwood_status_text(status));
    exit(1);
}

static struct cordwood_slice account_key(unsigned account, char key[16])
{
    snprintf(key, 16, "account %u", account);
    return cordwood_text(key);
}

static long read_balance(struct cordwood_transaction *transaction, unsigned account)
{
    char key[16];
    long balance = 0;
    struct cordwood_buffer value = {0};
    check(cordwood_transaction_get(transaction, 0, account_key(account, key), &value), "get");
    memcpy(&balance, value.data, sizeof(balance));
    cordwood_buffer_release(&value);
    return balance;
}

static void write_balance(struct cordwood_transaction *transaction, unsigned account, long balance)
{
    char key[16];
    check(cordwood_transaction_put(transaction, 0, account_key(account, key),
                                   cordwood_slice(&balance, sizeof(balance))),
          "put");
}

/* CORDWOOD_CONFLICT: another transaction has changed one of the two meanwhile. */
static enum cordwood_status transfer(struct cordwood *db, unsigned from, unsigned to, long amount)
{
    struct cordwood_transaction *transaction;
    check(cordwood_transaction_begin(db, NULL, &transaction), "begin");
    write_balance(transaction, from, read_balance(transaction, from) - amount);
    write_balance(transaction, to, read_balance(transaction, to) + amount);
    enum cordwood_status status = cordwood_transaction_commit(transaction);
    cordwood_transaction_destroy(transaction);
    return status;
}

static void *move_money(void *context)
{
    struct cordwood *db = context;
    for (unsigned i = 0; i < TRANSFERS; i++) {
        enum cordwood_status status = CORDWOOD_CONFLICT;
        while (status == CORDWOOD_CONFLICT)
            status = transfer(db, i % ACCOUNTS, (i * 3 + 1) % ACCOUNTS, (long)i % 10);
        check(status, "commit");
    }
    return NULL;
}

int main(int argument_count, char **arguments)
{
    const char *directory = argument_count > 1 ? arguments[1] : "example-data";
    struct cordwood_options options = CORDWOOD_OPTIONS;
    struct cordwood_transaction *transaction;
    struct cordwood_error error;
    struct cordwood *db;
    pthread_t threads[THREADS];
    long sum = 0;
    options.durability = CORDWOOD_SYNC_NONE;
    if (cordwood_open(directory, &options, &error, &db) != CORDWOOD_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    check(cordwood_transaction_begin(db, NULL, &transaction), "begin");
    for (unsigned account = 0; account < ACCOUNTS; account++)
        write_balance(transaction, account, 100);
    check(cordwood_transaction_commit(transaction), "commit");
    cordwood_transaction_destroy(transaction);

    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, move_money, db) != 0)
            return 1;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);

    check(cordwood_transaction_begin(db, NULL, &transaction), "begin");
    for (unsigned account = 0; account < ACCOUNTS; account++)
        sum += read_balance(transaction, account);
    cordwood_transaction_destroy(transaction);
    printf("%d transfers, and there are %ld in all accounts\n", THREADS * TRANSFERS, sum);
    check(cordwood_close(db), "close");
    return 0;
}
