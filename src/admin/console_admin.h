/* SPDX-License-Identifier: ISC
 * Puts the admin floor on top of the worker floor: the console's sessions, the HTTP server, the
 * rows and the orders behind both. Thread: the control plane's.
 */
#ifndef WEIR_ADMIN_CONSOLE_ADMIN_H
#define WEIR_ADMIN_CONSOLE_ADMIN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct admin_world;
struct conf;
struct world;

/* What only the process itself can do. */
struct admin_process {
    void *arg;
    bool (*reload)(void *arg, char *text, size_t room); /* text: the first thing wrong */
    void (*drain)(void *arg, bool patient);             /* patient: clients leave by themselves */
    void (*stop)(void *arg);
};

/* NULL: `e` says why (the HTTP port is taken). `conf` is only read now. */
struct admin_world *admin_world_create(struct world *w, const struct conf *conf,
                                       const struct admin_process *process, struct err *e);
void admin_world_destroy(struct admin_world **a);

#endif
