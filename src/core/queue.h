/* SPDX-License-Identifier: ISC
 * Who is next among the waiters of a pool: the policy. With the server's mutex held.
 */
#ifndef WEIR_CORE_QUEUE_H
#define WEIR_CORE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct core_function;
struct core_pool;
struct core_server;
struct core_waiter;

/* Queue `w`; false when out of memory. */
bool core_queue_push(struct core_waiter *w, uint64_t now_us);
/* Its deadline_us has changed. */
void core_queue_limit(struct core_waiter *w);
/* Take it out and give it its new state (enum waiter_state). */
void core_queue_remove(struct core_waiter *w, unsigned state);
/* The longest waiting of a pool, NULL if none. */
struct core_waiter *core_queue_oldest(const struct core_pool *p);
/* Whose turn it is in a pool, NULL if nobody waits who may borrow. */
struct core_function *core_queue_next(const struct core_pool *p);
/* With so many loans, how much of what it should have does it hold: of its guarantee, while it is
 * below that, otherwise for its weight. */
uint64_t core_function_share(const struct core_function *f, uint32_t lent, bool *guaranteed);
/* Whom a connection that is free on `worker` goes to, NULL if nobody. Who is found too late on the
 * way leaves the queue. */
struct core_waiter *core_queue_pick(struct core_pool *p, uint16_t worker, uint64_t now_us);
/* Aside, because its address has as many loans as it may have; and back, at the end. */
void core_queue_hold(struct core_waiter *w);
void core_queue_unhold(struct core_waiter *w);
/* A function borrows one more, or one less: its place among the others changes. */
void core_queue_lent(struct core_function *f, bool more);
/* Its limits have changed. */
void core_queue_rate(struct core_function *f);
/* A waiter of this worker whose deadline has passed, NULL if none. */
struct core_waiter *core_queue_expired(const struct core_server *s, uint16_t worker,
                                       uint64_t now_us);

#endif
