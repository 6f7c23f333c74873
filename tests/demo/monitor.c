/* SPDX-License-Identifier: ISC
 * See monitor.h.
 */
#include "monitor.h"

#include <stdio.h>
#include <time.h>

#define SAMPLE_INTERVAL_MS 10

static void *monitor_main(void *arg)
{
    struct monitor *m = arg;
    const struct timespec pause = {.tv_nsec = SAMPLE_INTERVAL_MS * 1000000L};

    while (!atomic_load(&m->stop)) {
        int seen = m->engine->number(m->conn, m->engine->count_sql);
        if (seen > m->peak)
            m->peak = seen;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

bool monitor_start(struct monitor *m, const struct engine *engine, const char *dsn)
{
    char error[300] = "";

    m->engine = engine;
    m->conn = engine->open(dsn, error, sizeof error);
    if (m->conn == NULL) {
        fprintf(stderr, "monitor: %s\n", error);
        return false;
    }
    return pthread_create(&m->thread, NULL, monitor_main, m) == 0;
}

void monitor_stop(struct monitor *m)
{
    atomic_store(&m->stop, true);
    pthread_join(m->thread, NULL);
    m->engine->close(m->conn);
}
