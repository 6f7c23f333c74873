/* SPDX-License-Identifier: ISC
 * Groups, for the rest of the core. With the server's mutex held.
 */
#ifndef WEIR_CORE_GROUP_H
#define WEIR_CORE_GROUP_H

#include <stdbool.h>
#include <stdint.h>

struct core_conn;
struct core_group;
struct core_pool;
struct core_server;

/* The pool has one connection more or less; one more or less of its connections is closing. */
void core_group_count(struct core_pool *p, bool more);
void core_group_closing(struct core_pool *p, bool more);
/* The first of its groups that has no room, or NULL. */
struct core_group *core_group_full(const struct core_pool *p);
/* One of its groups has more than it may. */
bool core_group_over(const struct core_pool *p);
/* The server gave it no more than it has now, which is taken for its limit for so long. */
void core_group_learn(struct core_group *g, uint64_t pause_us, uint64_t now_us);
/* What was learned for so long is forgotten. */
void core_group_forget(struct core_server *s, uint64_t now_us);
/* It wants another connection, and this group is what it lacks; NULL: not so (any more). */
void core_group_block(struct core_pool *p, struct core_group *g, uint64_t key);
/* The pool for which a connection of `p` might be closed, so that their group has room; or NULL. */
struct core_pool *core_group_claimant(const struct core_pool *p);
/* The next after `g` (NULL: the first) that makes somebody want, with the longest idle connection
 * that stands in the way; NULL: no more. */
struct core_group *core_group_next(const struct core_server *s, struct core_group *g,
                                   struct core_pool **wants, struct core_conn **idle);
/* A new pool; false: out of memory. */
bool core_group_join(struct core_pool *p, struct core_group *const *g);
void core_group_leave(struct core_pool *p);
void core_groups_free(struct core_server *s);

#endif
