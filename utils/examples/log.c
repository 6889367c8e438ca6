/* SPDX-License-Identifier: MIT */
/* A log: entries with levels and fields, one of them late, read by time. The directory can be served by
 * cordwood-server afterwards (`LOG.RANGE app - +`).
 *
 *     cc log.c $(pkg-config --cflags --libs cordwood) && ./a.out DIRECTORY */
#include <cordwood_log.h>

#include <stdio.h>
#include <stdlib.h>

static void check(enum cordwood_status status, const char *what)
{
    if (status == CORDWOOD_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, cordwood_status_text(status));
    exit(1);
}

static void print_bytes(struct cordwood_slice slice)
{
    if (slice.size)
        fwrite(slice.data, 1, slice.size, stdout);
}

static void print_range(struct cordwood_logs *logs, uint64_t first_ms, bool is_reverse)
{
    struct cordwood_log_range_options options = CORDWOOD_LOG_RANGE_OPTIONS;
    struct cordwood_log_range *range;
    struct cordwood_log_entry entry;
    enum cordwood_status status;
    options.first_ms = first_ms;
    options.is_reverse = is_reverse;
    check(cordwood_log_range_open(logs, cordwood_text("app"), &options, &range), "range");
    while ((status = cordwood_log_range_next(range, &entry)) == CORDWOOD_OK) {
        printf("%llu ", (unsigned long long)entry.time_ms);
        print_bytes(entry.level);
        printf(" ");
        print_bytes(entry.message);
        for (size_t i = 0; i < entry.field_count; i++) {
            printf(" ");
            print_bytes(entry.fields[i].name);
            printf("=");
            print_bytes(entry.fields[i].value);
        }
        printf("\n");
    }
    if (status != CORDWOOD_NOT_FOUND) /* the end */
        check(status, "range");
    cordwood_log_range_close(range);
}

int main(int argument_count, char **arguments)
{
    const char *directory = argument_count > 1 ? arguments[1] : "example-data";
    const struct cordwood_log_field host = {cordwood_text("host"), cordwood_text("web1"), false};
    const struct cordwood_log_entry entries[] = {
        {.time_ms = 1795226400123, .message = cordwood_text("service started")},
        {.time_ms = 1795226400456,
         .message = cordwood_text("disk is full"),
         .level = cordwood_text("error"),
         .fields = &host,
         .field_count = 1},
        {.time_ms = 1795226400300,
         .message = cordwood_text("from a slow host"),
         .level = cordwood_text("info")},
    };
    struct cordwood_log_id ids[3];
    struct cordwood_error error;
    struct cordwood_logs *logs;
    uint64_t length;
    if (cordwood_logs_open(directory, NULL, &error, &logs) != CORDWOOD_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    check(cordwood_log_append(logs, cordwood_text("app"), entries, 3, ids), "append");
    for (int i = 0; i < 3; i++)
        printf("%llu-%llu\n", (unsigned long long)ids[i].ms, (unsigned long long)ids[i].sequence);
    print_range(logs, 0, false);
    printf("since .400, the newest first:\n");
    print_range(logs, 1795226400400, true);
    check(cordwood_log_length(logs, cordwood_text("app"), &length), "length");
    printf("%llu entries\n", (unsigned long long)length);
    check(cordwood_logs_close(logs), "close");
    return 0;
}
