/* SPDX-License-Identifier: ISC
 * Asks the database itself, every 10 ms over a connection of its own, how many connections of
 * clients it sees, and keeps the highest answer.
 */
#ifndef WEIR_DEMO_MONITOR_H
#define WEIR_DEMO_MONITOR_H

#include "engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct monitor {
    const struct engine *engine;
    void *conn;
    pthread_t thread;
    atomic_bool stop;
    int peak; /* when it has stopped */
};

/* false: it can't log in; the reason is on stderr. */
bool monitor_start(struct monitor *m, const struct engine *engine, const char *dsn);
void monitor_stop(struct monitor *m);

#endif
