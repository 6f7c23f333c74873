/* SPDX-License-Identifier: ISC
 * Pools and the states of their connections. Each state is a list, and core_conn_enter() is the
 * one place where a connection changes lists; the counts of pool and server change with it.
 *
 * An idle connection is in two lists: its worker's in the pool (last returned first, from which it
 * is lent) and the server's of all idle ones (longest idle first, from which one is closed in
 * favour of another pool). A closing one is in its pool's, and as long as nobody has been told to
 * close it also in the server's list of untold ones.
 */
#include "config.h"

#include "core/core_priv.h"
#include "core/failure.h"
#include "core/group.h"
#include "core/peer.h"
#include "core/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void conn_unlink(struct core_conn *c)
{
    struct core_pool *p = c->pool;
    struct core_server *s = p->server;

    switch ((enum conn_state)c->state) {
    case CONN_NONE:
    case CONN_OPENING:
        return;
    case CONN_IDLE:
        TAILQ_REMOVE(&p->desk[c->worker].idle, c, link);
        TAILQ_REMOVE(&s->idle, c, line);
        if (TAILQ_EMPTY(&p->desk[c->worker].idle))
            p->idle_mask &= ~(UINT64_C(1) << c->worker);
        break;
    case CONN_LENT:
        TAILQ_REMOVE(&p->lent, c, link);
        break;
    case CONN_CLOSING:
        TAILQ_REMOVE(&p->closing, c, link);
        if (c->untold)
            TAILQ_REMOVE(&s->untold, c, line);
        c->untold = false;
        break;
    }
    p->n[c->state]--;
    s->n[c->state]--;
}

static void conn_link(struct core_conn *c)
{
    struct core_pool *p = c->pool;
    struct core_server *s = p->server;

    switch ((enum conn_state)c->state) {
    case CONN_NONE:
    case CONN_OPENING:
        return;
    case CONN_IDLE:
        TAILQ_INSERT_HEAD(&p->desk[c->worker].idle, c, link);
        TAILQ_INSERT_TAIL(&s->idle, c, line);
        p->idle_mask |= UINT64_C(1) << c->worker;
        s->maint_us = core_min(s->maint_us, core_conn_due_us(c));
        break;
    case CONN_LENT:
        TAILQ_INSERT_TAIL(&p->lent, c, link);
        break;
    case CONN_CLOSING:
        TAILQ_INSERT_TAIL(&p->closing, c, link);
        break;
    }
    p->n[c->state]++;
    s->n[c->state]++;
}

void core_conn_enter(struct core_conn *c, enum conn_state to, uint64_t now_us)
{
    enum conn_state from = (enum conn_state)c->state;
    conn_unlink(c);
    c->state = (uint8_t)to;
    c->since_us = now_us;
    if (to != CONN_LENT) {
        c->borrower = NULL;
        core_conn_unborrow(c);
    }
    conn_link(c);
    if ((from == CONN_CLOSING) != (to == CONN_CLOSING))
        core_group_closing(c->pool, to == CONN_CLOSING);
    if ((from == CONN_NONE) != (to == CONN_NONE))
        core_group_count(c->pool, to != CONN_NONE);
    core_pool_rate(c->pool);
}

void core_conn_unborrow(struct core_conn *c)
{
    struct core_function *f = c->function;
    struct core_peer *peer = c->peer;
    c->function = NULL;
    c->peer = NULL;
    if (f != NULL)
        core_queue_lent(f, false);
    core_peer_lent(c->pool->server, peer, false);
}

void core_conn_retire(struct core_conn *c, uint64_t now_us)
{
    assert(c->state == CONN_IDLE);
    core_conn_enter(c, CONN_CLOSING, now_us);
    c->untold = true;
    TAILQ_INSERT_TAIL(&c->pool->server->untold, c, line);
}

uint64_t core_conn_lifetime_end_us(const struct core_conn *c)
{
    uint64_t life = c->pool->lim.lifetime_us;
    return life == 0 ? CORE_NEVER : c->opened_us + life - life / 5 * c->spread / 255;
}

uint64_t core_conn_due_us(const struct core_conn *c)
{
    uint64_t idle = c->pool->lim.idle_timeout_us;
    return core_min(idle == 0 ? CORE_NEVER : c->since_us + idle, core_conn_lifetime_end_us(c));
}

void core_pool_opening(struct core_pool *p, bool begins, uint64_t now_us)
{
    struct core_server *s = p->server;

    if (begins) {
        p->n[CONN_OPENING]++;
        s->n[CONN_OPENING]++;
        p->opening_sum_us += now_us;
        p->probe_wanted = false;
        p->owed = false;
    } else {
        assert(p->n[CONN_OPENING] > 0);
        p->opening_sum_us -= p->opening_sum_us / p->n[CONN_OPENING];
        p->n[CONN_OPENING]--;
        s->n[CONN_OPENING]--;
    }
    core_group_count(p, begins);
    core_pool_rate(p);
}

/* Another connection; whether it may have one its groups decide. */
static bool pool_wants(const struct core_pool *p)
{
    if (p->eligible <= p->n[CONN_OPENING] || p->paused || p->retired || p->n[CONN_IDLE] > 0)
        return false;
    if (!core_pool_has_room(p))
        return false;
    return p->refused == 0 || (p->server->now_us >= p->retry_us && p->n[CONN_OPENING] == 0);
}

/* As one number, the least first: who is owed a slot; a function below its guarantee; a pool that
 * holds nothing, by the longest wait; the smallest share, the fewest connections, the longest wait.
 * Logins under way count as the function's for which they will probably be. */
uint64_t core_pool_hunger(const struct core_pool *p)
{
    bool guaranteed;
    const struct core_function *f = core_queue_next(p);
    uint64_t share = core_function_share(f, f->lent + p->n[CONN_OPENING], &guaranteed);
    uint64_t held = core_min(core_held(p), 0xfffu), since_us = core_queue_oldest(p)->since_us;
    uint64_t key = (uint64_t)!guaranteed << 63 | (uint64_t)(held > 0) << 62;

    if (p->owed)
        return 0;
    if (held == 0)
        return key | (since_us & ((UINT64_C(1) << 62) - 1));
    return key | share << 40 | held << 28 | (since_us >> 10 & ((UINT64_C(1) << 28) - 1));
}

/* Waiters of a pool that can't log in: tell them, or have it tried again when its pause is over. */
static void pool_rate_failing(struct core_pool *p)
{
    struct core_server *s = p->server;

    if (core_failure_tells(p, s->now_us))
        s->fail_check = true;
    if (p->refused > 0 && p->n[CONN_OPENING] == 0)
        core_failure_note_demand(p);
}

uint32_t core_pool_minimum(const struct core_pool *p)
{
    bool warming = p->warm > p->lim.min_conns && p->server->now_us < p->warm_until_us;
    return warming ? p->warm : p->lim.min_conns;
}

void core_pool_rate(struct core_pool *p)
{
    struct core_server *s = p->server;

    bool wants = p->waiting > 0 && pool_wants(p), lacks = core_held(p) < core_pool_minimum(p);
    struct core_group *full = wants || lacks ? core_group_full(p) : NULL;
    p->owed = p->owed && wants;
    uint64_t key = wants ? core_pool_hunger(p) : 0;
    if (wants && full == NULL)
        (void)core_heap_set(&s->hungry, key, &p->hungry_at); /* has its room */
    else
        core_heap_remove(&s->hungry, &p->hungry_at);
    core_group_block(p, wants ? full : NULL, key);
    if (p->waiting > 0 && (p->retired || p->refused > 0 || s->fails > 0))
        pool_rate_failing(p);
    bool below = lacks && !p->paused && !p->disabled && !p->retired && p->refused == 0 &&
                 core_pool_has_room(p) && full == NULL;
    if (below != p->below_min) {
        p->below_min = below;
        s->below_min += below ? 1u : UINT32_MAX;
    }
}

struct core_pool *core_pool_hungriest(const struct core_server *s)
{
    uint32_t *at = core_heap_least(&s->hungry);
    if (at == NULL)
        return NULL;
    return (struct core_pool *)(void *)((char *)at - offsetof(struct core_pool, hungry_at));
}

/* ---- set-up ---- */

struct core_pool *core_pool_create(struct core_server *s, const char *name,
                                   const struct core_pool_limits *lim, void *owner)
{
    struct core_pool *p = calloc(1, sizeof *p + s->workers * sizeof p->desk[0]);
    if (p == NULL)
        return NULL;
    p->magic = CORE_MAGIC_POOL;
    p->name = strdup(name);
    p->server = s;
    p->owner = owner;
    p->lim = *lim;
    TAILQ_INIT(&p->lent);
    TAILQ_INIT(&p->closing);
    TAILQ_INIT(&p->waiters);
    for (uint32_t i = 0; i < s->workers; i++)
        TAILQ_INIT(&p->desk[i].idle);
    core_enter(s, 0);
    bool ok = p->name != NULL && core_heap_reserve(&s->hungry, s->pools_n + 1) &&
              core_group_join(p, lim->group);
    if (ok) {
        TAILQ_INSERT_TAIL(&s->pools, p, link);
        s->pools_n++;
        core_pool_rate(p);
    }
    core_exit(s);
    if (ok)
        return p;
    free(p->name);
    free(p);
    return NULL;
}

void core_pool_destroy(struct core_pool **pp)
{
    struct core_pool *p = *pp;
    struct core_server *s = p->server;

    assert(p->magic == CORE_MAGIC_POOL);
    core_enter(s, 0);
    assert(p->waiting == 0 && p->lines_n == 0 && core_held(p) + p->n[CONN_CLOSING] == 0);
    if (p->refused > 0)
        core_failure_clear(p);
    if (s->probe_pool == p)
        s->probe_pool = NULL;
    if (p->resumed)
        TAILQ_REMOVE(&s->resumed, p, resumed_link);
    if (p->below_min)
        s->below_min--;
    TAILQ_REMOVE(&s->pools, p, link);
    s->pools_n--;
    core_group_leave(p);
    core_exit(s);
    core_heap_fini(&p->lines);
    p->magic = 0;
    free(p->name);
    free(p);
    *pp = NULL;
}

void core_pool_limit(struct core_pool *p, const struct core_pool_limits *lim)
{
    core_enter(p->server, 0);
    p->lim = *lim;
    p->server->maint_us = 0;
    core_failure_forgive(p);
    core_pool_rate(p);
    core_exit(p->server);
}

void core_pool_disable(struct core_pool *p, bool disabled)
{
    core_enter(p->server, 0);
    p->disabled = disabled;
    core_pool_rate(p);
    core_exit(p->server);
}

/* `unused`: only those that nobody has borrowed yet. */
static void retire_idle(struct core_pool *p, bool unused, uint64_t now_us)
{
    for (uint32_t i = 0; i < p->server->workers; i++) {
        for (struct core_conn *c = TAILQ_FIRST(&p->desk[i].idle), *next; c != NULL; c = next) {
            next = TAILQ_NEXT(c, link);
            if (!unused || c->last == NULL)
                core_conn_retire(c, now_us);
        }
    }
}

void core_pool_pause(struct core_pool *p, bool paused, uint64_t now_us)
{
    struct core_server *s = p->server;

    core_enter(s, now_us);
    p->paused = paused;
    if (paused) {
        retire_idle(p, false, now_us);
        p->probe_wanted = false;
        if (s->probe_pool == p)
            s->probe_pool = NULL;
    }
    core_pool_rate(p);
    core_exit(s);
}

static void pool_renew(struct core_pool *p, uint64_t now_us)
{
    p->generation++;
    p->opening_stale = p->n[CONN_OPENING];
    retire_idle(p, false, now_us);
}

void core_pool_drop_unused(struct core_pool *p, uint64_t now_us)
{
    core_enter(p->server, now_us);
    retire_idle(p, true, now_us);
    core_exit(p->server);
}

void core_pool_reconnect(struct core_pool *p, uint64_t now_us)
{
    core_enter(p->server, now_us);
    pool_renew(p, now_us);
    core_exit(p->server);
}

void core_pool_retire(struct core_pool *p, const char *code, const char *text, uint64_t now_us)
{
    core_enter(p->server, now_us);
    p->retired = true;
    core_failure_forgive(p);
    core_failure_note(&p->fault, code, text);
    if (p->server->probe_pool == p)
        p->server->probe_pool = NULL;
    pool_renew(p, now_us);
    core_pool_rate(p);
    core_exit(p->server);
}

void core_pool_warm(struct core_pool *p, uint32_t n, uint64_t now_us, uint64_t for_us)
{
    core_enter(p->server, now_us);
    p->warm = n;
    p->warm_until_us = now_us + for_us;
    core_server_wake(p->server, now_us);
    core_pool_rate(p);
    core_exit(p->server);
}

const char *core_pool_name(const struct core_pool *p)
{
    return p->name;
}

void *core_pool_owner(const struct core_pool *p)
{
    return p->owner;
}

struct core_server *core_pool_server(const struct core_pool *p)
{
    return p->server;
}
