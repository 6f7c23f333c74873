/* SPDX-License-Identifier: ISC
 * password_command: run a shell command and take what it prints. Blocks, ten seconds at most; for
 * the job threads. Nothing that it prints, on either stream, gets into a log.
 */
#ifndef WEIR_WORKER_COMMAND_H
#define WEIR_WORKER_COMMAND_H

#include "base/err.h"

/* Its first line, malloc'ed; to be wiped. NULL: `e` says why. */
char *command_run(const char *command, struct err *e);

#endif
