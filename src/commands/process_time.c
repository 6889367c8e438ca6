/* SPDX-License-Identifier: MIT */
#include "commands/process_time.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct processor_time usage_of(int who)
{
    struct rusage usage = {0};
    getrusage(who, &usage);
    return (struct processor_time){usage.ru_utime, usage.ru_stime};
}

static struct timeval from_ticks(unsigned long long ticks)
{
    unsigned long long a_second = (unsigned long long)sysconf(_SC_CLK_TCK);
    return (struct timeval){.tv_sec = (time_t)(ticks / a_second),
                            .tv_usec = (suseconds_t)(ticks % a_second * 1000000 / a_second)};
}

/* Of proc's "stat": fields 14 and 15, counted from the one behind the name, which is the third. */
static struct processor_time main_thread_time(void)
{
    struct processor_time time = {0};
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
    FILE *file = fopen(path, "r");
    if (!file)
        return time;
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = '\0';
    const char *name_end = strrchr(line, ')');
    unsigned long long user = 0, system = 0;
    if (name_end && sscanf(name_end + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu",
                           &user, &system) == 2)
        time = (struct processor_time){from_ticks(user), from_ticks(system)};
    return time;
}

void process_time_read(struct process_time *time)
{
    time->all = usage_of(RUSAGE_SELF);
    time->children = usage_of(RUSAGE_CHILDREN);
    time->main_thread = main_thread_time();
}
