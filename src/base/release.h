/* SPDX-License-Identifier: MIT */
/* The version of server, tools and library. */
#ifndef BASE_RELEASE_H
#define BASE_RELEASE_H

#define CORDWOOD_VERSION "0.1.0"

#endif
