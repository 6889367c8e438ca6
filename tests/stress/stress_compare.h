/* SPDX-License-Identifier: MIT */
/* After a start: what the server has of a client's keys against the model. */
#ifndef STRESS_STRESS_COMPARE_H
#define STRESS_STRESS_COMPARE_H

#include "lib/resp_client.h"
#include "stress/stress_operation.h"

/* Reads all keys over `connection` (RESP2) and looks for the point up to which the operations under
 * way happened: none, the first, the first two ... The model is then what the server has.
 * *happened: how many; false: none fits, with a text that names the first difference of each. */
bool model_compare(struct model *model, struct resp_client *connection, struct operation *pending,
                   size_t pending_count, size_t *happened, struct buffer *error);

#endif
