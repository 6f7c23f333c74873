/* SPDX-License-Identifier: ISC
 * See queue.h. A free connection goes to
 *
 *   1. a function below its guarantee, of these to the one that has least of it;
 *   2. else the function with the fewest loans for its weight;
 *
 * ties to the longest wait, and never to a function at its limit. What counts is connections held,
 * not loans made: loans differ in length, and who holds few connections is served soon. A guarantee
 * that isn't used is lent, and comes back as loans end.
 *
 * A function's waiters in one pool are a line; the lines that may borrow are in a heap of the pool,
 * by a key in which all of this is one number. The key changes with the function's loans, so each
 * loan and each return moves the function's lines, of which there is one in each pool where its
 * clients wait: a decision costs the logarithm of the number of functions.
 *
 * Within a line the oldest comes first. A line that is overloaded (see struct core_server_limits)
 * is served newest first, for an answer should reach somebody who still listens. It takes three
 * things: a queue that doesn't empty, an oldest who has used up more than half of its time, and a
 * pace, that of the last ones who were served, at which it wouldn't be reached in the other half.
 * Who is past hope by the last two is told at once. The order stays fair where everybody is served
 * in time, and after a stall that is over.
 *
 * The one deliberate exception to the order is locality: a connection that is free on a worker goes
 * to that worker's own waiter of the line when this one came at most locality_us after the oldest.
 * It saves the way through the mailbox; nobody is passed over by anyone who came later than that.
 *
 * Deadlines are kept apart, in one heap per worker: twenty thousand waiters with different timeouts
 * cost nothing until one is due. Who waits for ever is not in it.
 */
#include "config.h"

#include "core/queue.h"
#include "core/core_priv.h"
#include "core/peer.h"

#include <assert.h>
#include <stdlib.h>

#define PACE_LEAST    4u    /* waiters served before there is a pace */
#define LOCALITY_LOOK 8u    /* waiters looked at for one of the same worker */
#define SHARE_UNIT    1024u /* of one loan, divided by the weight or the guarantee */
#define SHARE_BITS    22
#define AGE_BITS      41 /* microseconds: 25 days */

static struct core_waiter *waiter_of(uint32_t *at)
{
    return (struct core_waiter *)(void *)((char *)at - offsetof(struct core_waiter, deadline_at));
}

static struct core_line *line_of(uint32_t *at)
{
    return (struct core_line *)(void *)((char *)at - offsetof(struct core_line, at));
}

/* ---- lines ---- */

uint64_t core_function_share(const struct core_function *f, uint32_t lent, bool *guaranteed)
{
    *guaranteed = lent < f->lim.guarantee;
    uint64_t of = *guaranteed ? f->lim.guarantee : f->lim.weight;
    return core_min((uint64_t)lent * SHARE_UNIT / of, (UINT64_C(1) << SHARE_BITS) - 1);
}

/* Below the guarantee first, then the smallest share, then the longest wait. */
static uint64_t line_key(const struct core_line *l)
{
    bool guaranteed;
    uint64_t share = core_function_share(l->function, l->function->lent, &guaranteed);
    uint64_t since = TAILQ_FIRST(&l->waiters)->since_us & ((UINT64_C(1) << AGE_BITS) - 1);
    return (uint64_t)!guaranteed << 63 | share << AGE_BITS | since;
}

static uint32_t line_room(const struct core_line *l)
{
    const struct core_function *f = l->function;
    if (f->lim.limit == 0)
        return UINT32_MAX;
    return f->lim.limit > f->lent ? f->lim.limit - f->lent : 0;
}

/* Somebody may borrow who could not, beside an idle connection: the control plane lends it. */
static void wake_pool(struct core_pool *p)
{
    if (p->n[CONN_IDLE] == 0 || p->resumed || p->paused)
        return;
    p->resumed = true;
    TAILQ_INSERT_TAIL(&p->server->resumed, p, resumed_link);
}

static void line_rate(struct core_line *l)
{
    struct core_pool *p = l->pool;
    uint32_t eligible = (uint32_t)core_min(l->n, line_room(l));
    bool was = l->at != 0;

    p->eligible += eligible - l->eligible;
    l->eligible = eligible;
    if (eligible == 0) {
        core_heap_remove(&p->lines, &l->at);
        return;
    }
    (void)core_heap_set(&p->lines, line_key(l), &l->at); /* has its room */
    if (!was)
        wake_pool(p);
}

void core_queue_rate(struct core_function *f)
{
    struct core_line *l;

    LIST_FOREACH(l, &f->lines, link)
    {
        if (l->n == 0)
            continue;
        line_rate(l);
        core_pool_rate(l->pool);
    }
}

void core_queue_lent(struct core_function *f, bool more)
{
    f->lent += more ? 1u : UINT32_MAX;
    core_queue_rate(f);
}

static struct core_line *line_get(struct core_pool *p, struct core_function *f)
{
    struct core_line *l;

    LIST_FOREACH(l, &f->lines, link)
    if (l->pool == p)
        return l;
    if (!core_heap_reserve(&p->lines, p->lines_n + 1) || (l = calloc(1, sizeof *l)) == NULL)
        return NULL;
    p->lines_n++;
    l->pool = p;
    l->function = f;
    TAILQ_INIT(&l->waiters);
    LIST_INSERT_HEAD(&f->lines, l, link);
    return l;
}

/* Only where somebody waits is there a line: a function of a thousand databases would be moved in
 * all of them with each of its loans. */
static void line_put(struct core_line *l)
{
    if (l->n + l->held > 0)
        return;
    assert(l->at == 0);
    l->pool->lines_n--;
    LIST_REMOVE(l, link);
    free(l);
}

/* ---- waiters ---- */

bool core_queue_push(struct core_waiter *w, uint64_t now_us)
{
    struct core_pool *p = w->pool;
    struct core_server *s = p->server;
    struct core_function *f = w->who.function != NULL ? w->who.function : s->nobody;
    struct core_line *l = line_get(p, f);

    w->deadline_at = 0;
    if (l == NULL)
        return false;
    if (w->deadline_us != CORE_NEVER &&
        !core_heap_set(&s->deadline[w->worker], w->deadline_us, &w->deadline_at)) {
        line_put(l);
        return false;
    }
    w->since_us = now_us;
    w->state = WAITER_QUEUED;
    w->who.line = l;
    w->held = false;
    TAILQ_INSERT_TAIL(&p->waiters, w, link);
    TAILQ_INSERT_TAIL(&l->waiters, w, turn);
    if (f->waiting++ == 0)
        f->busy_since_us = now_us;
    l->n++;
    p->waiting++;
    s->waiting++;
    if (core_peer_is_full(s, w->peer)) {
        core_queue_hold(w);
        return true;
    }
    line_rate(l);
    core_pool_rate(p);
    return true;
}

void core_queue_limit(struct core_waiter *w)
{
    struct core_heap *h = &w->pool->server->deadline[w->worker];

    if (w->deadline_us == CORE_NEVER)
        core_heap_remove(h, &w->deadline_at);
    else if (!core_heap_set(h, w->deadline_us, &w->deadline_at))
        w->deadline_us = CORE_NEVER;
}

void core_queue_remove(struct core_waiter *w, unsigned state)
{
    struct core_pool *p = w->pool;
    struct core_server *s = p->server;
    struct core_line *l = w->who.line;

    assert(w->state == WAITER_QUEUED);
    core_heap_remove(&s->deadline[w->worker], &w->deadline_at);
    TAILQ_REMOVE(&p->waiters, w, link);
    if (w->held) {
        TAILQ_REMOVE(core_peer_held(w->peer), w, turn);
        l->held--;
    } else {
        TAILQ_REMOVE(&l->waiters, w, turn);
        l->n--;
    }
    l->function->waiting--;
    p->waiting--;
    s->waiting--;
    w->state = (uint8_t)state;
    if (state != WAITER_GRANTED)
        core_peer_put(s, w->peer);
    w->conn = NULL;
    w->who.function = l->function;
    line_rate(l);
    line_put(l);
    core_pool_rate(p);
}

void core_queue_hold(struct core_waiter *w)
{
    struct core_line *l = w->who.line;

    TAILQ_REMOVE(&l->waiters, w, turn);
    l->n--;
    l->held++;
    w->held = true;
    TAILQ_INSERT_TAIL(core_peer_held(w->peer), w, turn);
    line_rate(l);
    core_pool_rate(l->pool);
}

void core_queue_unhold(struct core_waiter *w)
{
    struct core_line *l = w->who.line;

    TAILQ_REMOVE(core_peer_held(w->peer), w, turn);
    w->held = false;
    l->held--;
    l->n++;
    TAILQ_INSERT_TAIL(&l->waiters, w, turn);
    line_rate(l);
    core_pool_rate(l->pool);
}

/* Out of the queue, and in the list of those that their worker still has to be told of. */
static void make_late(struct core_waiter *w)
{
    struct core_server *s = w->pool->server;

    core_queue_remove(w, WAITER_LATE);
    TAILQ_INSERT_TAIL(&s->late[w->worker], w, link);
}

struct core_function *core_queue_next(const struct core_pool *p)
{
    return p->lines.n > 0 ? line_of(core_heap_least(&p->lines))->function : NULL;
}

struct core_waiter *core_queue_oldest(const struct core_pool *p)
{
    return TAILQ_FIRST(&p->waiters);
}

/* ---- choosing ---- */

/* Has it used up more than half of the time that it may wait? What it waited for a server that was
 * not there says nothing about how soon its turn comes now. */
static bool is_half_gone(const struct core_waiter *w, uint64_t now_us)
{
    uint64_t since_us = core_max(w->since_us, w->pool->server->back_since_us);
    return w->deadline_us != CORE_NEVER && w->deadline_us > since_us &&
           core_age(now_us, since_us) > (w->deadline_us - since_us) / 2;
}

/* How long it takes from one of a function's waiters that is served to the next: by the last of
 * them, CORE_PACE at most, without the longest gap. A stall (all connections behind one lock) that
 * is over says nothing about what comes. 0: not known. */
static uint64_t pace_us(const struct core_function *f)
{
    uint64_t longest = 0;
    uint32_t n = f->paced < CORE_PACE ? f->paced : CORE_PACE, first = f->paced - n;
    if (n < PACE_LEAST)
        return 0;
    for (uint32_t i = 1; i < n; i++)
        longest = core_max(longest, f->paced_us[(first + i) % CORE_PACE] -
                                        f->paced_us[(first + i - 1) % CORE_PACE]);
    uint64_t all = f->paced_us[(first + n - 1) % CORE_PACE] - f->paced_us[first % CORE_PACE];
    return (all - longest) / (n - 2);
}

/* By the latest time that anybody brought: the workers' own differ, and no gap is negative. */
static void note_pace(struct core_function *f)
{
    uint64_t now_us = f->server->now_us;
    if (f->paced > 0 && f->paced_us[(f->paced - 1) % CORE_PACE] < f->busy_since_us)
        f->paced = 0; /* the queue was empty since */
    f->paced_us[f->paced % CORE_PACE] = now_us;
    f->paced++;
    if (f->paced == 2 * CORE_PACE)
        f->paced = CORE_PACE;
}

/* At the pace at which they are served: does the last of them get there too late? */
static bool is_hopeless(const struct core_line *l, const struct core_waiter *w, uint64_t now_us)
{
    const struct core_function *f = l->function;
    return is_half_gone(w, now_us) && f->waiting * pace_us(f) > w->deadline_us - now_us;
}

static bool is_overloaded(const struct core_line *l, uint64_t now_us)
{
    uint64_t after = l->function->server->lim.overload_after_us;
    uint64_t since_us = core_max(l->function->busy_since_us, l->function->server->back_since_us);
    return after != 0 && core_age(now_us, since_us) > after &&
           is_hopeless(l, TAILQ_FIRST(&l->waiters), now_us);
}

static struct core_waiter *pick_near(const struct core_line *l, uint16_t worker)
{
    struct core_waiter *oldest = TAILQ_FIRST(&l->waiters), *w = oldest;
    uint64_t near_us = l->function->server->lim.locality_us;

    for (uint32_t i = 0; near_us > 0 && w != NULL && i < LOCALITY_LOOK; i++) {
        if (w->since_us < oldest->since_us || w->since_us - oldest->since_us > near_us)
            break;
        if (w->worker == worker)
            return w;
        w = TAILQ_NEXT(w, turn);
    }
    return oldest;
}

struct core_waiter *core_queue_pick(struct core_pool *p, uint16_t worker, uint64_t now_us)
{
    while (p->lines.n > 0) {
        struct core_line *l = line_of(core_heap_least(&p->lines));
        struct core_waiter *w = TAILQ_FIRST(&l->waiters);
        if (w->deadline_us <= now_us) {
            make_late(w);
            continue;
        }
        if (!is_overloaded(l, now_us)) {
            w = pick_near(l, worker);
        } else {
            /* Newest first; who is past hope is told, two for each that is served. */
            for (int i = 0; i < 2 && l->n > 1 && is_hopeless(l, TAILQ_FIRST(&l->waiters), now_us);
                 i++)
                make_late(TAILQ_FIRST(&l->waiters));
            w = TAILQ_LAST(&l->waiters, core_waiter_list);
        }
        if (w->deadline_us <= now_us) {
            make_late(w);
        } else if (core_peer_is_full(p->server, w->peer)) {
            core_queue_hold(w);
        } else {
            note_pace(l->function);
            return w;
        }
    }
    return NULL;
}

struct core_waiter *core_queue_expired(const struct core_server *s, uint16_t worker,
                                       uint64_t now_us)
{
    const struct core_heap *h = &s->deadline[worker];
    return h->n > 0 && h->slot[0].key <= now_us ? waiter_of(core_heap_least(h)) : NULL;
}
