/* SPDX-License-Identifier: MIT */
/* One run of a whole store behind sessions, in one thread, in a file system in memory under a faulty
 * one, with a clock and randomness of its own. The seed decides everything: README.md. */
#ifndef SIM_SIMULATION_H
#define SIM_SIMULATION_H

#include "sim/model.h"

enum sim_event {
#define SIM_EVENTS(X)                                                                              \
    X(FEED, "bytes fed to a session") X(SPLIT, "a request fed in pieces")                          \
    X(PARKED, "sessions parked at a cold read") X(DELAYED, "writers held back")                    \
    X(BLOCKED, "readers blocked") X(WOKEN, "blocked readers woken")                                \
    X(TIMED_OUT, "blocked readers timed out") X(LEFT, "clients that left")                         \
    X(SERVED, "elements handed over to who waited") X(TOLD, "clients unblocked by others")         \
    X(BROKEN, "transactions not executed under a watch")                                           \
    X(UNBROKEN, "transactions executed under a watch")                                             \
    X(SENT, "replies sent") X(HELD, "replies held at the gate")                                    \
    X(WAL_WRITE, "log written") X(WAL_SYNC, "log synced") X(ROTATE, "log moved to a new segment")  \
    X(COMPRESSED, "looks at a log with groups in it")                                              \
    X(WORK, "pieces of background work") X(FLUSHED, "flushes finished")                            \
    X(COMPACTED, "compactions finished") X(COMPACT_ASKED, "merges of everything asked for")        \
    X(FORWARDS, "clock jumps forwards") X(BACKWARDS, "wall clock jumps backwards")                 \
    X(EXPIRE, "rounds of active expiry") X(IDLE, "readers let go")                                 \
    X(POLICY, "policy changes") X(PICTURE, "snapshots taken")                                      \
    X(COMPARED, "snapshots compared") X(MOVED, "iterators moved to and fro")                       \
    X(CHECKED, "whole states compared") X(INVARIANTS, "invariants checked")                        \
    X(CHECKPOINT, "checkpoints opened and compared")                                               \
    X(VERIFIED, "closed stores verified") X(RESTART, "clean restarts")                             \
    X(KILL, "kills") X(LOSE, "power losses, unsynced gone") X(TEAR, "power losses, torn")          \
    X(REORDER, "power losses, reordered") X(INSIDE, "crashes inside a call")                       \
    X(AGAIN, "crashes inside a recovery") X(LOST, "crashes that took a tail")                      \
    X(FAULT_ONCE, "faults armed once") X(FAULT_GOOD, "faults armed for good")                      \
    X(FAILED_SYNC, "syncs that were to fail") X(FAULT_FIRED, "calls failed")                       \
    X(FAULT_OPEN, "opens failed by a fault")                                                       \
    X(FULL, "full disks") X(REFUSED, "commands refused by a fault")                                \
    X(READ_ONLY, "stores gone read-only")
#define SIM_EVENT_ENUM(name, text) SIM_##name,
    SIM_EVENTS(SIM_EVENT_ENUM)
#undef SIM_EVENT_ENUM
    SIM_EVENT_COUNT
};

struct sim_counts {
    uint64_t seeds, steps, commands;
    uint64_t events[SIM_EVENT_COUNT];
    uint64_t by_command[MODEL_COMMAND_COUNT];
};

struct sim_options {
    uint64_t seed;
    uint64_t steps;       /* at most so many */
    bool trace;           /* every step is printed */
    const char *program;  /* for the line that says how to repeat a failure */
};

/* Runs a seed and adds to the counts. Returns the hash of all that happened: equal for equal seeds.
 * Anything that is not as it must be is printed, with the seed, the step and the last steps before
 * it, and ends the process with code 1; so does a failed assertion (code 134). */
uint64_t sim_run(const struct sim_options *options, struct sim_counts *counts);

void sim_counts_print(const struct sim_counts *counts);
/* The first kind of event or command that never happened; NULL: all did. */
const char *sim_counts_missing(const struct sim_counts *counts);

#endif
