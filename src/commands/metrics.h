/* SPDX-License-Identifier: MIT */
/* INFO's figures as a page for Prometheus (text format 0.0.4,
 * https://prometheus.io/docs/instrumenting/exposition_formats/). */
#ifndef COMMANDS_METRICS_H
#define COMMANDS_METRICS_H

#include "base/buffer.h"
#include "base/status.h"

struct service;

/* Appends the page. May wait for the disk, so not on a loop; counts as one of the service's threads (session.h).
 * STATUS_IO, STATUS_CORRUPT: *out is unchanged. */
enum status metrics_page(struct service *service, struct buffer *out);

/* The page of an INFO text: of each family that the text has figures of, HELP, TYPE and a line a figure. What is not a
 * number is left out. */
void metrics_append(struct slice info, struct buffer *out);

#endif
