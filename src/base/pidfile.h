/* SPDX-License-Identifier: ISC
 * A file with the number of the process, locked for as long as it runs: a second one that is told
 * to use the same file doesn't start, and a file left behind by a crash is in nobody's way.
 */
#ifndef WEIR_BASE_PIDFILE_H
#define WEIR_BASE_PIDFILE_H

#include "base/err.h"

/* The descriptor that holds it, or -1. */
int pidfile_create(const char *path, struct err *e);
/* Removed and released. fd -1: there is none. */
void pidfile_remove(int fd, const char *path);

#endif
