/* SPDX-License-Identifier: ISC
 * Pools that share a bound. A connection belongs to one (database, user) pair, so giving a slot to
 * another pool costs a close and a login, and three rules pull against each other: the order among
 * functions is that of queue.c whatever the pools, nobody starves, and the slots do not spend their
 * lives logging in.
 *
 * A pool is hungry when it has more waiters than logins under way (core_pool_rate). Only the
 * hungriest is looked at. When no slot is free, a connection that comes back is closed for it
 *   - if the function whose turn it is there is below its guarantee, and the one whose turn it is
 *     in the connection's own pool is not;
 *   - if it has the smaller share of the two without that connection: this evens the functions out
 *     to max-min fairness and then stops by itself, because after the move the other one would not
 *     take it back. Where nobody waits in the connection's pool, that is asked of the function
 *     that had it last. For two pools of one function it is connections of each that are compared;
 *   - if the hungry pool holds none, once the connection has been of use to its pool for a few
 *     logins' time (QUANTUM): with more pools than slots the slots go round, and the logins take a
 *     fixed small part of the time;
 *   - if the hungry pool's oldest has waited for PATIENCE while not one of the pool's connections
 *     came back (its loans are long ones): likewise, from a pool that holds no fewer;
 *   - if nobody waits in the connection's own pool, and the hungry pool's oldest has for some
 *     quanta. It may be used again in a moment, but a free one isn't kept from who waits, unless
 *     it is part of a guarantee.
 * An idle connection is closed by the same rules at once, and by one more: when it has been idle
 * for several times what a login costs, its pool has had its chance.
 *
 * The pool for which a slot is freed is *owed* one and gets the next that is free, lest the one
 * that gave it up is the hungriest by then and takes it back.
 *
 * The same holds among the pools of a group that has as many as it may, while the bound still has
 * room.
 *
 * Never are more slots on their way from pool to pool than logins are allowed at once, and none is
 * closed during the pause after a failure.
 */
#include "config.h"

#include "core/share.h"
#include "core/core_priv.h"
#include "core/failure.h"
#include "core/group.h"
#include "core/queue.h"

#define QUANTUM_LOGINS  4u
#define QUANTUM_MIN_US  2000u
#define QUANTUM_MAX_US  250000u
#define IDLE_LOGINS     4u
#define IDLE_MIN_US     1000u
#define IDLE_MAX_US     250000u
#define PATIENCE_MIN_US 1000000u
#define PATIENCE_QUANTA 8u
#define IDLE_QUANTA     2u

static uint64_t share_quantum_us(const struct core_server *s)
{
    return core_clamp(s->login_us * QUANTUM_LOGINS, QUANTUM_MIN_US, QUANTUM_MAX_US);
}

/* The pool for which a slot is to be freed now, or NULL. */
static struct core_pool *share_claimant(const struct core_server *s, uint64_t now_us)
{
    struct core_pool *q = core_pool_hungriest(s);

    if (q == NULL || now_us < s->next_open_us || core_slots_free(s, now_us) > 0)
        return NULL;
    if (s->n[CONN_OPENING] + s->n[CONN_CLOSING] >= core_failure_window(s))
        return NULL;
    return q;
}

/* Is it q's turn by the order among functions? `moving` slots are on their way already, and counted
 * as if they all were for it. */
static bool share_is_due(const struct core_conn *c, const struct core_pool *q, uint32_t moving)
{
    const struct core_pool *p = c->pool;
    const struct core_function *theirs = core_queue_next(q), *ours = core_queue_next(p);
    bool waits = ours != NULL, first, ours_first;

    ours = waits ? ours : c->last;
    if (ours == NULL || ours == theirs)
        return core_held(p) > core_held(q) + moving + 1;
    uint32_t coming = moving + q->n[CONN_OPENING];
    uint64_t share = core_function_share(theirs, theirs->lent + coming, &first);
    uint64_t our_share = core_function_share(ours, ours->lent, &ours_first);
    if (first != ours_first)
        return first;
    return share < our_share || (first && !waits);
}

/* The function that had it last is below its guarantee: it may want it again. */
static bool share_is_guaranteed(const struct core_conn *c)
{
    bool guaranteed = false;
    if (c->last != NULL)
        (void)core_function_share(c->last, c->last->lent, &guaranteed);
    return guaranteed;
}

/* From when on `c` yields to `q` whatever it is doing; CORE_NEVER if its pool needs it as much.
 * `moving`: so many are being closed for such claims already. */
static uint64_t share_yield_us(const struct core_conn *c, const struct core_pool *q,
                               uint32_t moving, uint64_t now_us)
{
    const struct core_pool *p = c->pool;
    const struct core_server *s = p->server;
    uint64_t quantum = share_quantum_us(s);

    if (share_is_due(c, q, moving))
        return 0;
    if (core_held(q) == 0)
        return c->opened_us + quantum;
    uint64_t patience = core_clamp(quantum * PATIENCE_QUANTA, PATIENCE_MIN_US, CORE_NEVER);
    bool coming = q->owed && moving > 0;
    uint64_t oldest_us = core_queue_oldest(q)->since_us;
    if (!coming && p->waiting == 0 && !share_is_guaranteed(c))
        return core_max(c->opened_us + quantum, oldest_us + quantum * IDLE_QUANTA);
    if (!coming && core_held(p) >= core_held(q) && core_age(now_us, q->served_us) > patience &&
        core_age(now_us, oldest_us) > patience)
        return c->opened_us + quantum;
    return CORE_NEVER;
}

void core_share_owe(struct core_pool *q)
{
    q->owed = true;
    core_pool_rate(q);
}

bool core_share_yields(struct core_conn *c, uint64_t now_us)
{
    const struct core_server *s = c->pool->server;
    struct core_pool *q = share_claimant(s, now_us);
    uint32_t moving = s->n[CONN_CLOSING];
    if (q == NULL || q == c->pool) {
        q = now_us < s->next_open_us ? NULL : core_group_claimant(c->pool);
        moving = 0;
    }
    if (q == NULL || share_yield_us(c, q, moving, now_us) > now_us)
        return false;
    core_share_owe(q);
    return true;
}

/* When an idle connection goes to `q`. */
static uint64_t idle_yield_us(const struct core_conn *c, const struct core_pool *q, uint32_t moving,
                              uint64_t now_us)
{
    uint64_t idle_us = core_clamp(q->server->login_us * IDLE_LOGINS, IDLE_MIN_US, IDLE_MAX_US);
    return core_min(c->since_us + idle_us, share_yield_us(c, q, moving, now_us));
}

uint64_t core_share_evict_us(const struct core_server *s, uint64_t now_us)
{
    const struct core_conn *c = TAILQ_FIRST(&s->idle);
    struct core_pool *q = share_claimant(s, now_us);

    if (c == NULL || q == NULL)
        return CORE_NEVER;
    return idle_yield_us(c, q, s->n[CONN_CLOSING], now_us);
}

uint64_t core_share_group_us(const struct core_server *s, uint64_t now_us, struct core_pool **q,
                             struct core_conn **c)
{
    struct core_group *g = NULL;
    struct core_pool *wants;
    struct core_conn *idle;
    uint64_t least = CORE_NEVER;

    while ((g = core_group_next(s, g, &wants, &idle)) != NULL) {
        uint64_t due = core_max(idle_yield_us(idle, wants, 0, now_us), s->next_open_us);
        if (due >= least)
            continue;
        least = due;
        if (q != NULL)
            *q = wants;
        if (c != NULL)
            *c = idle;
    }
    return least;
}
