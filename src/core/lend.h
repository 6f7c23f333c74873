/* SPDX-License-Identifier: ISC
 * The steps of lending that the plan shares with the workers' calls; and the plan's question
 * whether it is needed. With the server's mutex held.
 */
#ifndef WEIR_CORE_LEND_H
#define WEIR_CORE_LEND_H

#include "core/core_lend.h"

#include <stdbool.h>
#include <stdint.h>

/* `c` is `w`'s now; a message to its worker has to follow. */
void core_lend_grant(struct core_conn *c, struct core_waiter *w, uint64_t now_us);
/* The connection may not be lent again: bound, limit of the pool, PAUSE, RECONNECT, lifetime. */
bool core_lend_must_close(const struct core_conn *c, uint64_t now_us);
/* To the next waiter of its pool, or idle. */
enum core_next core_lend_settle(struct core_conn *c, uint64_t now_us, struct core_waiter **next);
/* Does core_plan() have to run sooner than the control plane believes? */
bool core_plan_nudge(struct core_server *s, uint64_t now_us);

#endif
