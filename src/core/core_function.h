/* SPDX-License-Identifier: ISC
 * Functions: who borrows from a server, and what each may have of it. The order among them is told
 * in queue.h. Any thread; the server's mutex is taken inside the calls.
 */
#ifndef WEIR_CORE_CORE_FUNCTION_H
#define WEIR_CORE_CORE_FUNCTION_H

#include "core/core_types.h"

#include <stddef.h>
#include <stdint.h>

/* A function that borrows from this server; it lives as long as the server. NULL: out of memory.
 * Limits may change at any time, also while its clients wait. */
struct core_function *core_function_create(struct core_server *s, const char *name,
                                           const struct core_function_limits *lim);
void core_function_limit(struct core_function *f, const struct core_function_limits *lim);
void core_function_counts(struct core_function *f, uint64_t now_us,
                          struct core_function_counts *out);
/* Who has most loans: for the message of who waited for whom. 0: nobody has any; `name` as "". */
uint32_t core_server_busiest(struct core_server *s, char *name, size_t room);
/* What keeps this function's waiters of the pool waiting beside the server's own bound. */
enum core_obstacle {
    CORE_OBSTACLE_NONE,
    CORE_OBSTACLE_PAUSE,
    CORE_OBSTACLE_FUNCTION, /* its own limit */
    CORE_OBSTACLE_POOL,     /* the pool's size */
    CORE_OBSTACLE_GROUP,    /* *group: which of the pool's groups, as it was created with them */
};
enum core_obstacle core_pool_obstacle(struct core_pool *p, const struct core_function *f,
                                      uint32_t *group);
/* Steps that the decisions about who is next have taken so far; for tests of what one costs. */
uint64_t core_server_moves(struct core_server *s);
#endif
