/* SPDX-License-Identifier: MIT */
/* What the system says of this process's time on processors. */
#ifndef COMMANDS_PROCESS_TIME_H
#define COMMANDS_PROCESS_TIME_H

#include <sys/time.h>

struct processor_time {
    struct timeval user, system;
};

struct process_time {
    struct processor_time all, children;
    struct processor_time
        main_thread; /* in hundredths of a second; 0 where the system does not say it */
};

void process_time_read(struct process_time *time);

#endif
