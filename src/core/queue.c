/* SPDX-License-Identifier: ISC
 * See queue.h. A pool's waiters stand in one list per worker, each in the order of arrival, with a
 * bit mask of the workers that have any: the oldest of all is the oldest of at most 64 heads, and
 * usually of two or three. A newcomer cannot overtake, because core_borrow() never lends past a
 * queue that is not empty.
 *
 * The one deliberate exception to the order is locality: a connection that is free on a worker goes
 * to that worker's own waiter when this one came at most locality_us after the oldest. It saves the
 * way through the mailbox; nobody is passed over by anyone who came later than that.
 *
 * Deadlines are kept apart, in one heap per worker: twenty thousand waiters with different timeouts
 * cost nothing until one is due. Who waits for ever is not in it.
 */
#include "config.h"

#include "core/queue.h"
#include "core/core_priv.h"

#include <assert.h>

static struct core_waiter *waiter_of(uint32_t *at)
{
    return (struct core_waiter *)(void *)((char *)at - offsetof(struct core_waiter, deadline_at));
}

bool core_queue_push(struct core_waiter *w, uint64_t now_us)
{
    struct core_pool *p = w->pool;
    struct core_server *s = p->server;

    w->deadline_at = 0;
    if (w->deadline_us != CORE_NEVER &&
        !core_heap_set(&s->deadline[w->worker], w->deadline_us, &w->deadline_at))
        return false;
    w->since_us = now_us;
    w->state = WAITER_QUEUED;
    w->conn = NULL;
    TAILQ_INSERT_TAIL(&p->desk[w->worker].waiters, w, link);
    p->waiting_mask |= UINT64_C(1) << w->worker;
    p->waiting++;
    s->waiting++;
    core_pool_rate(p);
    return true;
}

void core_queue_remove(struct core_waiter *w, unsigned state)
{
    struct core_pool *p = w->pool;
    struct core_server *s = p->server;
    struct core_waiter_list *list = &p->desk[w->worker].waiters;

    assert(w->state == WAITER_QUEUED);
    core_heap_remove(&s->deadline[w->worker], &w->deadline_at);
    TAILQ_REMOVE(list, w, link);
    if (TAILQ_EMPTY(list))
        p->waiting_mask &= ~(UINT64_C(1) << w->worker);
    p->waiting--;
    s->waiting--;
    w->state = (uint8_t)state;
    core_pool_rate(p);
}

struct core_waiter *core_queue_oldest(const struct core_pool *p)
{
    struct core_waiter *oldest = NULL;

    for (uint64_t mask = p->waiting_mask; mask != 0; mask &= mask - 1) {
        struct core_waiter *w = TAILQ_FIRST(&p->desk[__builtin_ctzll(mask)].waiters);
        if (oldest == NULL || w->since_us < oldest->since_us)
            oldest = w;
    }
    return oldest;
}

struct core_waiter *core_queue_pick(const struct core_pool *p, uint16_t worker)
{
    struct core_waiter *oldest = core_queue_oldest(p);

    if (oldest == NULL || oldest->worker == worker)
        return oldest;
    struct core_waiter *own = TAILQ_FIRST(&p->desk[worker].waiters);
    if (own != NULL && own->since_us - oldest->since_us <= p->server->lim.locality_us &&
        p->server->lim.locality_us > 0)
        return own;
    return oldest;
}

struct core_waiter *core_queue_expired(const struct core_server *s, uint16_t worker,
                                       uint64_t now_us)
{
    const struct core_heap *h = &s->deadline[worker];
    return h->n > 0 && h->slot[0].key <= now_us ? waiter_of(core_heap_least(h)) : NULL;
}
