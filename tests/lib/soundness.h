/* SPDX-License-Identifier: MIT */
/* What every suite ends with: the invariants of what it has worked on. They abort the test program
 * with the sentence. */
#ifndef LIB_SOUNDNESS_H
#define LIB_SOUNDNESS_H

#include "lsm/lsm.h"

/* `where` names the moment. A check that could not read (a fault of the file system) says nothing. */
void require_sound_engine(struct lsm *engine, const char *where);

struct store;
void require_sound_store(struct store *store, const char *where);

#endif
