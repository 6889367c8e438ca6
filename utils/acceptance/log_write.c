/* SPDX-License-Identifier: MIT */
/* log_write SOCKET KEY < lines: sends each line of standard input as LOG.WRITE through hiredis, in
 * pipelines of 64, and prints how many were acknowledged. Exit code 1 at the first error reply. */
#include <hiredis/hiredis.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIPELINE = 64 };

static int take_replies(redisContext *context, int count)
{
    for (int i = 0; i < count; i++) {
        redisReply *reply = NULL;
        if (redisGetReply(context, (void **)&reply) != REDIS_OK) {
            fprintf(stderr, "log_write: %s\n", context->errstr);
            return 1;
        }
        int failed = reply->type == REDIS_REPLY_ERROR;
        if (failed)
            fprintf(stderr, "log_write: %s\n", reply->str);
        freeReplyObject(reply);
        if (failed)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: log_write SOCKET KEY < lines\n");
        return 2;
    }
    redisContext *context = redisConnectUnix(argv[1]);
    if (!context || context->err) {
        fprintf(stderr, "log_write: cannot connect to %s\n", argv[1]);
        return 1;
    }
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    unsigned long sent = 0;
    int waiting = 0, failed = 0;
    while (!failed && (size = getline(&line, &capacity, stdin)) >= 0) {
        if (size > 0 && line[size - 1] == '\n')
            size--;
        redisAppendCommand(context, "LOG.WRITE %s -- %b", argv[2], line, (size_t)size);
        sent++;
        if (++waiting == PIPELINE) {
            failed = take_replies(context, waiting);
            waiting = 0;
        }
    }
    failed = failed || take_replies(context, waiting);
    free(line);
    redisFree(context);
    printf("%lu\n", sent);
    return failed;
}
