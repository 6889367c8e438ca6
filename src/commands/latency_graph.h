/* SPDX-License-Identifier: MIT */
/* LATENCY GRAPH: samples of an event as a picture of characters, one column each, as Redis draws it. */
#ifndef COMMANDS_LATENCY_GRAPH_H
#define COMMANDS_LATENCY_GRAPH_H

#include "base/buffer.h"
#include "commands/timing.h"

/* Appends the event's name and its extremes, rows of up to 80 columns, and below each column how long ago it was.
 * From the least duration at the bottom to the greatest at the top.
 *
 *      command - high 303 ms, low 52 ms (all time high 303 ms)
 *      ------------------------------------------------------- ...
 *       #        303 ms
 *       |o       203 ms
 *       ||
 *      #||_      103 ms, 52 ms
 *
 *      4210
 *      ssss
 */
void latency_graph(struct slice event, const struct latency_sample *samples, size_t count,
                   uint64_t greatest_ever_ms, uint64_t now_s, struct buffer *out);

#endif
