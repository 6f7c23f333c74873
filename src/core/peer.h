/* SPDX-License-Identifier: ISC
 * One address can't take everything (max_loans_per_client_addr). Who asks for more than its address
 * may have is held aside, outside of its function's line, so that nobody behind it waits for it; it
 * joins the line at its end when one of the address's loans is over. Its deadline runs on.
 *
 * A peer is there as long as it has loans or waiters. With the server's mutex held.
 */
#ifndef WEIR_CORE_PEER_H
#define WEIR_CORE_PEER_H

#include "core/core_types.h"

#include <stdbool.h>
#include <stdint.h>

/* A reference, for a waiter or a loan; NULL: no limit for this one (or no memory to keep it). */
struct core_peer *core_peer_get(struct core_server *s, const uint8_t *addr);
void core_peer_put(struct core_server *s, struct core_peer *p); /* NULL is fine */
bool core_peer_is_full(const struct core_server *s, const struct core_peer *p);
struct core_waiter_list *core_peer_held(struct core_peer *p);
/* A loan has begun (and has a reference), or is over: its reference goes. */
void core_peer_lent(struct core_server *s, struct core_peer *p, bool more);
/* The limit has changed. */
void core_peers_release(struct core_server *s);
/* All their loans; for the checks. */
uint32_t core_peers_lent(const struct core_server *s);

#endif
