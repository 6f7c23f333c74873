/* SPDX-License-Identifier: ISC
 * What always holds: every count against its list, every list against its objects, the sum against
 * the bound. Aborts with a line that says what does not.
 */
#include "config.h"

#include "core/core_priv.h"
#include "core/peer.h"
#include "core/queue.h"

#include <stdio.h>
#include <stdlib.h>

#define HOLDS(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            check_failed(__LINE__, #cond);                                                         \
    } while (0)

static void check_failed(int line, const char *cond)
{
    fprintf(stderr, "core_check: line %d does not hold: %s\n", line, cond);
    abort();
}

static uint32_t check_conns(const struct core_pool *p, const struct core_conn_list *list,
                            enum conn_state state, uint32_t worker)
{
    uint32_t n = 0;
    const struct core_conn *c;

    TAILQ_FOREACH(c, list, link)
    {
        HOLDS(c->pool == p && c->state == state);
        HOLDS(state != CONN_IDLE || c->worker == worker);
        HOLDS(state == CONN_CLOSING || !c->untold);
        HOLDS(state == CONN_LENT || c->borrower == NULL);
        n++;
    }
    return n;
}

static uint32_t check_waiters(const struct core_pool *p, uint32_t *timed)
{
    uint32_t n = 0;
    const struct core_waiter *w;

    TAILQ_FOREACH(w, &p->waiters, link)
    {
        const struct core_heap *h = &p->server->deadline[w->worker];
        HOLDS(w->pool == p && w->state == WAITER_QUEUED && (!w->held || w->peer != NULL));
        HOLDS(w->who.line->pool == p && w->who.line->n + w->who.line->held > 0);
        if (w->deadline_us != CORE_NEVER) {
            HOLDS(w->deadline_at > 0 && w->deadline_at <= h->n);
            HOLDS(h->slot[w->deadline_at - 1].key == w->deadline_us);
            HOLDS(h->slot[w->deadline_at - 1].at == &w->deadline_at);
            timed[w->worker]++;
        }
        n++;
    }
    return n;
}

static void check_pool(const struct core_pool *p, uint32_t *timed)
{
    uint32_t idle = 0;

    HOLDS(p->magic == CORE_MAGIC_POOL);
    for (uint32_t i = 0; i < p->server->workers; i++) {
        uint32_t here = check_conns(p, &p->desk[i].idle, CONN_IDLE, i);
        HOLDS((here > 0) == ((p->idle_mask >> i & 1) != 0));
        idle += here;
    }
    uint32_t waiting = check_waiters(p, timed);
    HOLDS(idle == p->n[CONN_IDLE] && waiting == p->waiting && p->eligible <= waiting);
    HOLDS((p->lines.n > 0) == (p->eligible > 0));
    HOLDS(check_conns(p, &p->lent, CONN_LENT, 0) == p->n[CONN_LENT]);
    HOLDS(check_conns(p, &p->closing, CONN_CLOSING, 0) == p->n[CONN_CLOSING]);
    /* Nobody waits beside an idle connection, unless core_plan is to lend it; none is kept by a
     * PAUSE. */
    HOLDS(idle == 0 || p->eligible == 0 || p->resumed);
    HOLDS(idle == 0 || !p->paused);
    HOLDS(p->hungry_at == 0 || p->eligible > p->n[CONN_OPENING]);
    HOLDS(p->hungry_at == 0 || p->server->hungry.slot[p->hungry_at - 1].key == core_pool_hunger(p));
    HOLDS(p->opening_stale <= p->n[CONN_OPENING]);
}

static void check_heap(const struct core_heap *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        HOLDS(*h->slot[i].at == i + 1);
        HOLDS(i == 0 || h->slot[(i - 1) / 2].key <= h->slot[i].key);
    }
}

static void check_lines(const struct core_server *s)
{
    uint32_t idle = 0;
    const struct core_conn *c;

    TAILQ_FOREACH(c, &s->idle, line)
    {
        HOLDS(c->state == CONN_IDLE);
        idle++;
    }
    HOLDS(idle == s->n[CONN_IDLE]);
    TAILQ_FOREACH(c, &s->untold, line)
    HOLDS(c->state == CONN_CLOSING && c->untold);
}

static void check_functions(const struct core_server *s)
{
    const struct core_function *f;
    const struct core_line *l;
    uint32_t lent = 0, waiting = 0;

    LIST_FOREACH(f, &s->functions, link)
    {
        uint32_t n = 0;
        LIST_FOREACH(l, &f->lines, link)
        {
            HOLDS(l->n + l->held > 0);
            HOLDS(l->function == f && (l->n == 0) == TAILQ_EMPTY(&l->waiters));
            HOLDS((l->at != 0) == (l->eligible > 0) && l->eligible <= l->n);
            n += l->n + l->held;
        }
        HOLDS(n == f->waiting);
        waiting += n;
        lent += f->lent;
    }
    HOLDS(waiting == s->waiting && lent <= s->n[CONN_LENT]);
}

static void check_groups(const struct core_server *s)
{
    const struct core_group *g;
    uint32_t blocked = 0;

    LIST_FOREACH(g, &s->groups, link)
    {
        const struct core_pool *p;
        uint32_t n = 0, closing = 0, pools = 0;
        TAILQ_FOREACH(p, &s->pools, link)
        {
            HOLDS((p->blocked_at != 0) == (p->blocked_in != NULL));
            HOLDS(p->blocked_at == 0 || p->hungry_at == 0);
            if (p->group[0] != g && p->group[1] != g)
                continue;
            n += core_held(p) + p->n[CONN_CLOSING];
            closing += p->n[CONN_CLOSING];
            pools++;
        }
        HOLDS(n == g->n && closing == g->closing && pools == g->pools);
        check_heap(&g->blocked);
        blocked += g->blocked.n;
    }
    HOLDS(blocked == s->blocked);
}

void core_check_locked(struct core_server *s)
{
    uint32_t timed[CORE_MAX_WORKERS] = {0};
    uint32_t n[CONN_STATES] = {0}, waiting = 0, below = 0, pools = 0, hungry = 0;
    const struct core_pool *p;

    TAILQ_FOREACH(p, &s->pools, link)
    {
        check_pool(p, timed);
        for (uint32_t i = 0; i < CONN_STATES; i++)
            n[i] += p->n[i];
        waiting += p->waiting;
        below += p->below_min;
        hungry += p->hungry_at != 0;
        pools++;
    }
    for (uint32_t i = 0; i < CONN_STATES; i++)
        HOLDS(n[i] == s->n[i]);
    HOLDS(waiting == s->waiting && below == s->below_min && pools == s->pools_n);
    HOLDS(hungry == s->hungry.n);
    check_heap(&s->hungry);
    for (uint32_t i = 0; i < s->workers; i++) {
        check_heap(&s->deadline[i]);
        HOLDS(timed[i] == s->deadline[i].n);
    }
    check_lines(s);
    check_functions(s);
    check_groups(s);
    HOLDS(core_peers_lent(s) <= s->n[CONN_LENT]);
    HOLDS(s->allowed >= s->lim.bound);
    HOLDS(core_used(s) <= s->allowed + s->excess);
}

void core_check(struct core_server *s)
{
    core_enter(s, 0);
    core_check_locked(s);
    core_exit(s);
}
