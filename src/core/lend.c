/* SPDX-License-Identifier: ISC
 * Borrowing and giving back. See core_lend.h for the contract; the order among waiters is
 * queue.c's, the claims of other pools are share.c's.
 */
#include "config.h"

#include "core/core_priv.h"
#include "core/failure.h"
#include "core/group.h"
#include "core/lend.h"
#include "core/peer.h"
#include "core/queue.h"
#include "core/share.h"

#include <assert.h>
#include <stdatomic.h>

/* The asking worker's own last returned connection, otherwise the last returned anywhere. */
static struct core_conn *lend_pick_idle(const struct core_pool *p, uint16_t worker)
{
    if (p->idle_mask == 0 || p->paused || p->lines.n > 0)
        return NULL;
    struct core_conn *best = TAILQ_FIRST(&p->desk[worker].idle);
    if (best != NULL)
        return best;
    for (uint64_t mask = p->idle_mask; mask != 0; mask &= mask - 1) {
        struct core_conn *c = TAILQ_FIRST(&p->desk[__builtin_ctzll(mask)].idle);
        if (best == NULL || c->since_us > best->since_us)
            best = c;
    }
    return best;
}

/* `w` is set when the loan was granted to somebody who waited. Takes the reference to the peer. */
static void lend_to(struct core_conn *c, struct core_function *f, struct core_peer *peer,
                    struct core_waiter *w, uint64_t now_us)
{
    core_conn_enter(c, CONN_LENT, now_us);
    c->function = c->last = f;
    c->peer = peer;
    core_peer_lent(c->pool->server, peer, true);
    f->loans_total++;
    core_queue_lent(f, true);
    c->pool->server->last_use_us = now_us;
    c->borrower = w;
    atomic_store_explicit(&c->loans, c->loans + 1, memory_order_relaxed);
    c->pool->loans_total++;
}

/* A server that is being woken is waited for until it has had its time, but for nobody longer than
 * he himself wants to wait. */
static void lend_limit(struct core_waiter *w, uint64_t deadline_us)
{
    const struct core_server *s = w->pool->server;
    if (s->resuming && deadline_us != CORE_NEVER)
        deadline_us = core_max(deadline_us, s->resume_since_us + s->lim.resume_us);
    w->firm = w->own_us != 0 && w->own_us <= deadline_us;
    w->deadline_us = w->firm ? w->own_us : deadline_us;
}

static enum core_answer lend_queue(struct core_waiter *w, uint64_t now_us)
{
    struct core_pool *p = w->pool;
    struct core_server *s = p->server;

    if (p->disabled)
        return CORE_DISABLED;
    if (core_failure_bars(p, now_us)) {
        core_failure_note_demand(p);
        return CORE_DOWN;
    }
    const struct core_function *f = w->who.function;
    if (s->lim.max_waiting > 0 && s->waiting >= s->lim.max_waiting)
        return CORE_FULL;
    if (f->lim.max_waiting > 0 && f->waiting >= f->lim.max_waiting)
        return CORE_FULL;
    lend_limit(w, w->deadline_us);
    return core_queue_push(w, now_us) ? CORE_QUEUED : CORE_FULL;
}

void core_server_wake(struct core_server *s, uint64_t now_us)
{
    s->last_use_us = now_us;
    if (!s->asleep)
        return;
    s->asleep = false;
    s->resuming = true;
    s->resume_since_us = now_us;
}

enum core_answer core_borrow(struct core_waiter *w, uint64_t now_us, struct core_conn **conn,
                             bool *nudge)
{
    struct core_pool *p = w->pool;
    struct core_server *s = p->server;
    enum core_answer answer = CORE_LENT;

    assert(p->magic == CORE_MAGIC_POOL && w->state == WAITER_NONE);
    *nudge = false;
    core_enter(s, now_us);
    if (w->who.function == NULL)
        w->who.function = s->nobody;
    struct core_function *f = w->who.function;
    struct core_peer *peer = core_peer_get(s, w->addr);
    w->peer = peer;
    bool bars =
        p->disabled || (f->lim.limit > 0 && f->lent >= f->lim.limit) || core_peer_is_full(s, peer);
    struct core_conn *c = bars ? NULL : lend_pick_idle(p, w->worker);
    core_server_wake(s, now_us);
    if (c != NULL) {
        lend_to(c, f, peer, NULL, now_us);
        w->conn = NULL;
    } else {
        answer = lend_queue(w, now_us);
        if (answer != CORE_QUEUED) {
            core_peer_put(s, peer);
            w->conn = NULL;
            p->refused_total++;
            f->refused_total++;
        }
        *nudge = core_plan_nudge(s, now_us);
    }
    *conn = c;
    core_exit(s);
    return answer;
}

bool core_leave(struct core_waiter *w)
{
    struct core_server *s = w->pool->server;

    core_enter(s, 0);
    if (w->state == WAITER_QUEUED)
        core_queue_remove(w, WAITER_NONE);
    if (w->state == WAITER_LATE) {
        TAILQ_REMOVE(&s->late[w->worker], w, link);
        w->state = WAITER_NONE;
    }
    bool out = w->state == WAITER_NONE;
    core_exit(s);
    return out;
}

void core_waiter_limit(struct core_waiter *w, uint64_t deadline_us)
{
    struct core_server *s = w->pool->server;

    core_enter(s, 0);
    if (w->state == WAITER_QUEUED) {
        lend_limit(w, deadline_us);
        core_queue_limit(w);
    }
    core_exit(s);
}

struct core_conn *core_waiter_take(struct core_waiter *w)
{
    struct core_conn *c = w->conn;

    /* No lock: since the grant nobody but its worker, who calls this, looks at the waiter. */
    assert(w->state == WAITER_GRANTED ? c != NULL : w->state == WAITER_FAILED && c == NULL);
    w->state = WAITER_NONE;
    w->conn = NULL;
    return c;
}

void core_lend_grant(struct core_conn *c, struct core_waiter *w, uint64_t now_us)
{
    struct core_peer *peer = w->peer;

    core_queue_remove(w, WAITER_GRANTED);
    w->conn = c;
    lend_to(c, w->who.function, peer, w, now_us);
}

bool core_lend_must_close(const struct core_conn *c, uint64_t now_us)
{
    const struct core_pool *p = c->pool;

    if (p->paused || core_slots_missing(p->server) > 0)
        return true;
    if ((p->lim.max_conns > 0 && core_held(p) > p->lim.max_conns) || core_group_over(p))
        return true;
    return c->generation != p->generation || now_us >= core_conn_lifetime_end_us(c);
}

enum core_next core_lend_settle(struct core_conn *c, uint64_t now_us, struct core_waiter **next)
{
    struct core_pool *p = c->pool;
    core_conn_unborrow(c);
    struct core_waiter *w = core_queue_pick(p, c->worker, now_us);

    *next = w;
    if (w == NULL) {
        core_conn_enter(c, CONN_IDLE, now_us);
        return CORE_NEXT_IDLE;
    }
    core_lend_grant(c, w, now_us);
    return CORE_NEXT_LEND;
}

enum core_next core_give_back(struct core_conn *c, uint64_t now_us, struct core_waiter **next,
                              bool *nudge)
{
    struct core_pool *p = c->pool;
    struct core_server *s = p->server;
    enum core_next answer = CORE_NEXT_CLOSE;

    *next = NULL;
    *nudge = false;
    core_enter(s, now_us);
    if (c->state != CONN_CLOSING) {
        assert(c->state == CONN_LENT);
        s->last_return_us = s->last_use_us = p->served_us = now_us;
        core_conn_unborrow(c); /* before it is asked who should have it */
        if (p->lim.once || core_lend_must_close(c, now_us) || core_share_yields(c, now_us))
            core_conn_enter(c, CONN_CLOSING, now_us);
        else
            answer = core_lend_settle(c, now_us, next);
        *nudge = core_plan_nudge(s, now_us);
    }
    core_exit(s);
    return answer;
}

bool core_conn_break(struct core_conn *c, uint64_t now_us)
{
    struct core_server *s = c->pool->server;

    core_enter(s, now_us);
    /* An untold one is the caller's to close now: core_plan has not handed it out. */
    bool ours = c->state == CONN_IDLE || c->state == CONN_LENT || c->untold;
    if (ours)
        core_conn_enter(c, CONN_CLOSING, now_us);
    core_exit(s);
    return ours;
}

bool core_conn_break_idle(struct core_conn *c, uint64_t now_us)
{
    struct core_server *s = c->pool->server;

    core_enter(s, now_us);
    bool ours = c->state == CONN_IDLE || c->untold;
    if (ours)
        core_conn_enter(c, CONN_CLOSING, now_us);
    core_exit(s);
    return ours;
}

void core_conn_closed(struct core_conn *c, uint64_t now_us, bool *nudge)
{
    struct core_server *s = c->pool->server;

    core_enter(s, now_us);
    assert(c->state == CONN_CLOSING);
    core_conn_enter(c, CONN_NONE, now_us);
    core_slots_settle(s);
    *nudge = core_plan_nudge(s, now_us);
    core_exit(s);
}

bool core_server_doubt(struct core_server *s, uint64_t since_us, uint64_t now_us)
{
    struct core_conn *c;

    core_enter(s, now_us);
    while ((c = TAILQ_FIRST(&s->idle)) != NULL && c->since_us <= since_us)
        core_conn_retire(c, now_us);
    bool nudge = core_plan_nudge(s, now_us);
    core_exit(s);
    return nudge;
}

void core_conn_moved(struct core_conn *c, uint16_t worker)
{
    struct core_pool *p = c->pool;

    core_enter(p->server, 0);
    assert(worker < p->server->workers);
    if (c->state == CONN_IDLE) {
        uint64_t since_us = c->since_us;
        struct core_conn_list *from = &p->desk[c->worker].idle;
        TAILQ_REMOVE(from, c, link);
        if (TAILQ_EMPTY(from))
            p->idle_mask &= ~(UINT64_C(1) << c->worker);
        struct core_conn *at = TAILQ_FIRST(&p->desk[worker].idle);
        while (at != NULL && at->since_us > since_us)
            at = TAILQ_NEXT(at, link);
        if (at != NULL)
            TAILQ_INSERT_BEFORE(at, c, link);
        else
            TAILQ_INSERT_TAIL(&p->desk[worker].idle, c, link);
        p->idle_mask |= UINT64_C(1) << worker;
    }
    c->worker = worker;
    core_exit(p->server);
}

static void expire(struct core_waiter *w, struct core_waiter_list *out)
{
    w->pool->expired_total++;
    w->who.function->expired_total++;
    TAILQ_INSERT_TAIL(out, w, link);
}

uint64_t core_expire(struct core_server *s, uint16_t worker, uint64_t now_us,
                     struct core_waiter_list *out)
{
    struct core_waiter *w;

    core_enter(s, now_us);
    while ((w = core_queue_expired(s, worker, now_us)) != NULL) {
        core_queue_remove(w, WAITER_NONE);
        expire(w, out);
    }
    while ((w = TAILQ_FIRST(&s->late[worker])) != NULL) {
        TAILQ_REMOVE(&s->late[worker], w, link);
        w->state = WAITER_NONE;
        expire(w, out);
    }
    const struct core_heap *h = &s->deadline[worker];
    uint64_t next = h->n > 0 ? h->slot[0].key : CORE_NEVER;
    core_exit(s);
    return next;
}
