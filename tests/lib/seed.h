/* SPDX-License-Identifier: MIT */
/* The seed of a random test: SEED= of the environment, else a new one. Printed once, so that a failed
 * run can be repeated. */
#ifndef LIB_SEED_H
#define LIB_SEED_H

#include <stdint.h>

uint64_t test_seed(void);

#endif
