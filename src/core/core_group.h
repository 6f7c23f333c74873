/* SPDX-License-Identifier: ISC
 * Groups: pools of one server that may have only so many connections together, as those of one
 * database or of one user. A pool is born into them (struct core_pool_limits). Called by the
 * control plane; see group.c for what happens at the limit.
 */
#ifndef WEIR_CORE_CORE_GROUP_H
#define WEIR_CORE_CORE_GROUP_H

#include "core/core_types.h"

#include <stdint.h>

/* Lives as long as the server. NULL: out of memory. */
struct core_group *core_group_create(struct core_server *s);
/* 0: no limit. Lowered, it is kept as connections come back. */
void core_group_limit(struct core_group *g, uint32_t max_conns);
#endif
