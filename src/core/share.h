/* SPDX-License-Identifier: ISC
 * Pools that share a bound: when a connection of one is closed in favour of another. With the
 * server's mutex held. See share.c for the rules.
 */
#ifndef WEIR_CORE_SHARE_H
#define WEIR_CORE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

struct core_conn;
struct core_pool;
struct core_server;

/* A connection has come back: should its slot go to another pool? That one is then owed. */
bool core_share_yields(struct core_conn *c, uint64_t now_us);
/* A slot is being freed for this pool. */
void core_share_owe(struct core_pool *q);
/* When the longest idle connection may be closed in favour of the hungriest pool; CORE_NEVER if
 * there is none to close or nobody for it. */
uint64_t core_share_evict_us(const struct core_server *s, uint64_t now_us);

/* Likewise within a group that is full: when which connection may be closed for which pool. */
uint64_t core_share_group_us(const struct core_server *s, uint64_t now_us, struct core_pool **q,
                             struct core_conn **c);

#endif
