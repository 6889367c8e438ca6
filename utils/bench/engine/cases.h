/* SPDX-License-Identifier: MIT */
/* What is measured in a turn; README.md says what each case does. */
#ifndef BENCH_ENGINE_CASES_H
#define BENCH_ENGINE_CASES_H

#include "bench/engine/turn.h"

/* Keys in order: fillseq, readseq, readreverse, sizes. */
void cases_in_order(struct turn *turn);
/* Keys in random order: fillrandom, overwrite, reads, synced writes, deletions, sizes. */
void cases_at_random(struct turn *turn);
/* Entries of streams, appended and read by pages. */
void cases_of_logs(struct turn *turn);
/* YCSB, loaded and run with so many threads. */
void cases_of_ycsb_1(struct turn *turn);
void cases_of_ycsb_4(struct turn *turn);

#endif
