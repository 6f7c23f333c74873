/* SPDX-License-Identifier: ISC
 * Servers and pools come, change and go. Called by the control plane, which runs core_plan() for
 * the server afterwards: a changed limit, a resumed or reconnected pool is work for it.
 */
#ifndef WEIR_CORE_CORE_SETUP_H
#define WEIR_CORE_CORE_SETUP_H

#include "core/core_types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* NULL when out of memory. `name` is copied; `seed` feeds the jitter. */
struct core_server *core_server_create(const char *name, const struct core_server_limits *lim,
                                       uint32_t seed);
/* No pools left, no control connection, no cancel under way. */
void core_server_destroy(struct core_server **s);
void core_server_limit(struct core_server *s, const struct core_server_limits *lim);
const char *core_server_name(const struct core_server *s);
/* Being woken after idle_to_zero: one login tries, and may take resume_timeout. */
bool core_server_resuming(struct core_server *s);

/* NULL when out of memory. */
struct core_pool *core_pool_create(struct core_server *s, const char *name,
                                   const struct core_pool_limits *lim, void *owner);
void core_pool_destroy(struct core_pool **p); /* no connections, no waiters */
/* What was refused before may be granted now: it is tried at once. */
void core_pool_limit(struct core_pool *p, const struct core_pool_limits *lim);
const char *core_pool_name(const struct core_pool *p);
void *core_pool_owner(const struct core_pool *p); /* the worker floor's route */

/* PAUSE: nobody is lent to, waiters wait; nothing is opened, and what there is is closed as by
 * RECONNECT, so that the database can be restarted or renamed. DISABLE: nobody may queue.
 * RECONNECT: connections opened before now (or being opened now) are closed as they come back, idle
 * ones by core_plan. */
void core_pool_pause(struct core_pool *p, bool paused, uint64_t now_us);
void core_pool_disable(struct core_pool *p, bool disabled);
void core_pool_reconnect(struct core_pool *p, uint64_t now_us);
/* For good: what it has is closed as by RECONNECT, nothing is opened, whoever waits or comes is
 * told this as if the server were down. */
void core_pool_retire(struct core_pool *p, const char *code, const char *text, uint64_t now_us);
/* Log in until there are `n` connections, as far as the bound allows and for at most `for_us`; from
 * then on they age as all others. A sleeping server is woken. */
void core_pool_warm(struct core_pool *p, uint32_t n, uint64_t now_us, uint64_t for_us);

#endif
