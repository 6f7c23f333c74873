/* SPDX-License-Identifier: ISC
 * A made-up world around the core for its tests: a clock, clients, a database whose logins take a
 * while or fail, and a control plane that does what core_plan says. One thread.
 */
#ifndef WEIR_TESTS_CORE_WORLD_H
#define WEIR_TESTS_CORE_WORLD_H

#include "core/core.h"

#include <stdbool.h>
#include <stdint.h>

enum { WORLD_POOLS = 256, WORLD_CONNS = 512, WORLD_EVENTS = 65536 };

struct world_client {
    struct core_waiter w; /* first: a waiter is its client */
    struct core_conn *conn;
    struct core_function *function; /* as which it asks; NULL: as none */
    const uint8_t *addr;            /* from which it asks; NULL: from none that is limited */
    uint32_t pool;
    bool random; /* work and think times are exponential, with these means */
    uint64_t asked_us, wait_us;
    uint64_t served, failed, expired, refused;
    uint64_t think_us, work_us;
    uint64_t worst_us;
    uint64_t told_us; /* the shortest time after which it was told that there is nothing for it */
};

struct world_event {
    uint64_t at_us;
    void (*run)(void *subject);
    void *subject;
};

struct world {
    uint64_t now_us, timeout_us, login_us;
    struct core_server *server;
    struct core_pool *pool[WORLD_POOLS];
    uint32_t pools;
    struct world_event event[WORLD_EVENTS]; /* a heap by time */
    uint32_t events;
    bool plan_due;
    bool down;        /* logins fail to reach */
    uint32_t accepts; /* connections the database itself allows, 0: any number */
    uint64_t logins, peak;
    uint64_t order_errors, last_order;
};
extern struct world world;

void world_open(const struct core_server_limits *lim, uint32_t pools,
                const struct core_pool_limits *pool_lim);
void world_at(uint64_t at_us, void (*run)(void *), void *subject);
/* Run everything that happens until then. */
void world_run(uint64_t until_us);
/* A client that borrows, works, gives back, thinks, for ever. */
void world_client_start(struct world_client *c, uint32_t pool, uint16_t worker, uint64_t work_us,
                        uint64_t think_us);
void world_close(void);

#endif
