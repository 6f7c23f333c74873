/* SPDX-License-Identifier: ISC
 * What the control plane has to do next. core_plan() does one step of the first kind that has any:
 * hand out closings, make room for the bound, lend after a resume, tell failures, open or evict for
 * the hungriest pool, probe, age idle connections, fill up to the minima.
 *
 * plan_due_us() answers in constant time when the next step will be due. Each transition compares
 * it with what the control plane was told last (wake_us) and asks for a nudge when it is sooner:
 * while all connections are lent and clients queue, there is nothing to plan and nobody is woken.
 */
#include "config.h"

#include "core/core_priv.h"
#include "core/failure.h"
#include "core/group.h"
#include "core/lend.h"
#include "core/queue.h"
#include "core/share.h"

#include <assert.h>

#define FAIL_BATCH     256u      /* waiters told per step: the mutex is not held for long */
#define WAIT_TARGET_US 5000u     /* an older wait lets more logins go at once */
#define RAMP_FORGET_US 10000000u /* without a login for so long the ramp starts anew */
#define WINDOW_START   2u
#define SPIN_GUARD_US  1000u

static bool plan_may_log_in(const struct core_server *s)
{
    return s->n[CONN_OPENING] < core_failure_window(s);
}

/* Who wants one more and is not paused by a failure of the server. */
static uint64_t plan_hunger_due_us(const struct core_server *s, uint64_t now_us)
{
    if (core_pool_hungriest(s) == NULL || !plan_may_log_in(s))
        return CORE_NEVER; /* the end of a login under way is followed by a plan */
    if (core_slots_free(s, now_us) > 0)
        return s->next_open_us;
    if (now_us < s->next_open_us)
        return s->next_open_us;
    uint64_t due = core_share_evict_us(s, now_us);
    return now_us < s->soft_until_us ? core_min(due, s->soft_until_us) : due;
}

static uint64_t plan_minimum_due_us(const struct core_server *s, uint64_t now_us)
{
    if (s->below_min == 0 || s->asleep || s->hungry.n > 0 || !plan_may_log_in(s))
        return CORE_NEVER;
    return core_slots_free(s, now_us) > 0 ? s->next_open_us : CORE_NEVER;
}

/* When nobody will have borrowed for idle_to_zero. */
static uint64_t plan_sleep_due_us(const struct core_server *s)
{
    if (s->lim.idle_to_zero_us == 0 || s->last_use_us == 0 || s->asleep ||
        s->n[CONN_LENT] + s->n[CONN_OPENING] + s->waiting > 0)
        return CORE_NEVER;
    return s->last_use_us + s->lim.idle_to_zero_us;
}

static uint64_t plan_due_us(const struct core_server *s, uint64_t now_us)
{
    if (!TAILQ_EMPTY(&s->untold) || !TAILQ_EMPTY(&s->resumed))
        return 0;
    if (s->n[CONN_IDLE] > 0 && core_slots_missing(s) > 0)
        return 0;
    uint64_t due = core_min(s->maint_us, core_failure_due_us(s, now_us));
    due = core_min(due, plan_sleep_due_us(s));
    due = core_min(due, plan_hunger_due_us(s, now_us));
    due = core_min(due, plan_minimum_due_us(s, now_us));
    due = core_min(due, core_share_group_us(s, now_us, NULL, NULL));
    due = core_min(due, s->learned_us);
    if (plan_may_log_in(s) && core_slots_free(s, now_us) > 0)
        due = core_min(due, core_failure_probe_us(s));
    if (core_slots_kept(s) > 0) /* unclaimed, these are free for logins again */
        due =
            core_min(due, core_min(s->want_control_us > s->now_us ? s->want_control_us : CORE_NEVER,
                                   s->want_cancel_us > s->now_us ? s->want_cancel_us : CORE_NEVER));
    return due;
}

bool core_plan_nudge(struct core_server *s, uint64_t now_us)
{
    if (s->nudged)
        return false;
    uint64_t due = plan_due_us(s, now_us);
    /* A slot that is kept for a cancel has come free: the control plane retries it first. */
    bool claimed = core_slots_kept(s) > 0 && core_used(s) < s->lim.bound;
    s->nudged = due <= now_us || due < s->wake_us || claimed;
    return s->nudged;
}

/* ---- the steps; each answers whether it did something ---- */

static bool plan_tell(struct core_server *s, struct core_plan *plan)
{
    struct core_conn *c = TAILQ_FIRST(&s->untold);
    if (c == NULL)
        return false;
    TAILQ_REMOVE(&s->untold, c, line);
    c->untold = false;
    plan->action = CORE_ACT_CLOSE;
    plan->conn = c;
    plan->worker = c->worker;
    return true;
}

/* The longest idle go first. */
static void plan_retire_missing(struct core_server *s, uint64_t now_us)
{
    while (core_slots_missing(s) > 0 && !TAILQ_EMPTY(&s->idle))
        core_conn_retire(TAILQ_FIRST(&s->idle), now_us);
}

static bool plan_lend(struct core_server *s, uint64_t now_us, struct core_plan *plan)
{
    struct core_pool *p;

    while ((p = TAILQ_FIRST(&s->resumed)) != NULL) {
        struct core_waiter *w = NULL;
        if (!p->paused && p->n[CONN_IDLE] > 0)
            w = core_queue_pick(p, (uint16_t)__builtin_ctzll(p->idle_mask), now_us);
        if (w != NULL) {
            uint64_t own = p->idle_mask & UINT64_C(1) << w->worker;
            int from = __builtin_ctzll(own != 0 ? own : p->idle_mask);
            plan->action = CORE_ACT_LEND;
            plan->waiter = w;
            plan->conn = TAILQ_FIRST(&p->desk[from].idle);
            plan->worker = plan->conn->worker;
            core_lend_grant(plan->conn, w, now_us);
            return true;
        }
        TAILQ_REMOVE(&s->resumed, p, resumed_link);
        p->resumed = false;
        core_pool_rate(p);
    }
    return false;
}

static bool plan_fail(struct core_server *s, uint64_t now_us, struct core_plan *plan)
{
    struct core_pool *p;
    struct core_waiter *w;

    if (!s->fail_check && (s->fails == 0 || s->waiting == 0))
        return false;
    TAILQ_FOREACH(p, &s->pools, link)
    {
        if (p->waiting == 0 || !core_failure_tells(p, now_us))
            continue;
        plan->action = CORE_ACT_FAIL;
        plan->pool = p;
        for (uint32_t i = 0; i < FAIL_BATCH && (w = core_queue_oldest(p)) != NULL; i++) {
            core_queue_remove(w, WAITER_FAILED);
            TAILQ_INSERT_TAIL(&plan->failed, w, link);
        }
        return true;
    }
    s->fail_check = false;
    return false;
}

static bool plan_open(struct core_pool *p, uint64_t now_us, struct core_plan *plan)
{
    core_pool_opening(p, true, now_us);
    plan->action = CORE_ACT_OPEN;
    plan->pool = p;
    return true;
}

static bool plan_feed(struct core_server *s, uint64_t now_us, struct core_plan *plan)
{
    struct core_pool *q = core_pool_hungriest(s);

    if (q == NULL || !plan_may_log_in(s))
        return false;
    if (core_slots_free(s, now_us) > 0)
        return now_us >= s->next_open_us && plan_open(q, now_us, plan);
    if (core_share_evict_us(s, now_us) > now_us)
        return false;
    core_share_owe(q);
    core_conn_retire(TAILQ_FIRST(&s->idle), now_us);
    return plan_tell(s, plan);
}

/* Of a group that is full an idle connection goes in favour of another pool's. */
static bool plan_group(struct core_server *s, uint64_t now_us, struct core_plan *plan)
{
    struct core_pool *q;
    struct core_conn *c;

    if (core_share_group_us(s, now_us, &q, &c) > now_us)
        return false;
    core_share_owe(q);
    core_conn_retire(c, now_us);
    return plan_tell(s, plan);
}

static bool plan_probe(struct core_server *s, uint64_t now_us, struct core_plan *plan)
{
    if (core_slots_free(s, now_us) == 0 || !plan_may_log_in(s))
        return false;
    struct core_pool *p = core_failure_probe(s, now_us);
    return p != NULL && core_group_full(p) == NULL && plan_open(p, now_us, plan);
}

/* Retire what has come of age in one pool; its minimum outlives the idle timeout. */
static uint64_t plan_age_pool(struct core_pool *p, uint64_t now_us)
{
    uint64_t next = CORE_NEVER;
    struct core_conn *c, *newer;

    for (uint32_t i = 0; i < p->server->workers; i++) {
        for (c = TAILQ_LAST(&p->desk[i].idle, core_conn_list); c != NULL; c = newer) {
            newer = TAILQ_PREV(c, core_conn_list, link);
            uint64_t end = core_conn_lifetime_end_us(c);
            bool over =
                core_group_over(p) || (p->lim.max_conns > 0 && core_held(p) > p->lim.max_conns);
            bool spare = core_held(p) > core_pool_minimum(p);
            uint64_t due = spare ? core_conn_due_us(c) : end;
            if (over || due <= now_us)
                core_conn_retire(c, now_us);
            else
                next = core_min(next, due);
        }
    }
    return next;
}

static bool plan_age(struct core_server *s, uint64_t now_us, struct core_plan *plan)
{
    struct core_pool *p;

    if (now_us < s->maint_us)
        return false;
    uint64_t next = CORE_NEVER;
    TAILQ_FOREACH(p, &s->pools, link)
    {
        if (p->n[CONN_IDLE] > 0)
            next = core_min(next, plan_age_pool(p, now_us));
    }
    s->maint_us = next;
    return plan_tell(s, plan);
}

/* Every connection goes, those of the minima too: a database that sleeps when it isn't used can. */
static bool plan_sleep(struct core_server *s, uint64_t now_us, struct core_plan *plan)
{
    if (plan_sleep_due_us(s) > now_us)
        return false;
    s->asleep = true;
    while (!TAILQ_EMPTY(&s->idle))
        core_conn_retire(TAILQ_FIRST(&s->idle), now_us);
    return plan_tell(s, plan);
}

static bool plan_fill(struct core_server *s, uint64_t now_us, struct core_plan *plan)
{
    struct core_pool *p;

    if (plan_minimum_due_us(s, now_us) > now_us)
        return false;
    TAILQ_FOREACH(p, &s->pools, link)
    {
        if (p->below_min)
            core_pool_rate(p); /* it may have been warmed for long enough */
        if (p->below_min)
            return plan_open(p, now_us, plan);
    }
    return false;
}

void core_plan(struct core_server *s, uint64_t now_us, struct core_plan *plan)
{
    *plan = (struct core_plan){.action = CORE_ACT_NONE, .wake_us = CORE_NEVER};
    TAILQ_INIT(&plan->failed);
    core_enter(s, now_us);
    s->nudged = false;
    core_group_forget(s, now_us);
    plan_retire_missing(s, now_us);
    if (!plan_tell(s, plan) && !plan_lend(s, now_us, plan) && !plan_fail(s, now_us, plan) &&
        !plan_feed(s, now_us, plan) && !plan_group(s, now_us, plan) &&
        !plan_probe(s, now_us, plan) && !plan_age(s, now_us, plan) &&
        !plan_sleep(s, now_us, plan) && !plan_fill(s, now_us, plan)) {
        uint64_t due = plan_due_us(s, now_us);
        s->wake_us = plan->wake_us = due > now_us ? due : now_us + SPIN_GUARD_US;
    }
    core_exit(s);
}

/* ---- the end of a login ---- */

static void plan_ramp(struct core_pool *p, uint64_t took_us, uint64_t now_us)
{
    struct core_server *s = p->server;
    const struct core_waiter *w = core_queue_oldest(p);

    s->login_us = (s->login_us * 7 + took_us) / 8;
    if (core_age(now_us, s->login_end_us) > RAMP_FORGET_US)
        s->window = WINDOW_START;
    s->login_end_us = now_us;
    /* One more for each that worked: doubled by the time all those under way are in. */
    if (p->warm > 0 || (w != NULL && core_age(now_us, w->since_us) > WAIT_TARGET_US))
        s->window++;
    s->window = (uint32_t)core_min(s->window, s->lim.login_concurrency);
}

enum core_next core_opened(struct core_pool *p, struct core_conn *c, uint64_t now_us,
                           struct core_waiter **next)
{
    struct core_server *s = p->server;
    enum core_next answer = CORE_NEXT_CLOSE;

    *next = NULL;
    core_enter(s, now_us);
    assert(c->state == CONN_NONE && p->n[CONN_OPENING] > 0);
    plan_ramp(p, core_age(now_us, p->opening_sum_us / p->n[CONN_OPENING]), now_us);
    core_pool_opening(p, false, now_us);
    if (s->resuming || s->fails > 0)
        s->back_since_us = now_us;
    core_failure_clear(p);
    s->resuming = false;
    if (s->last_use_us == 0 || p->warm > 0)
        s->last_use_us = now_us;
    c->pool = p;
    c->opened_us = p->served_us = now_us;
    c->generation = p->generation - (p->opening_stale > 0);
    c->spread = (uint8_t)core_random(s);
    c->worker = s->next_worker;
    s->next_worker = (uint16_t)((s->next_worker + 1u) % s->workers);
    if (p->opening_stale > 0)
        p->opening_stale--;
    /* Nobody else may see the slot free in between: the login's becomes the connection's. */
    core_conn_enter(c, CONN_LENT, now_us);
    if (core_held(p) - p->n[CONN_OPENING] >= p->warm)
        p->warm = 0;
    if (core_lend_must_close(c, now_us))
        core_conn_enter(c, CONN_CLOSING, now_us);
    else
        answer = core_lend_settle(c, now_us, next);
    if (answer == CORE_NEXT_LEND)
        c->worker = (*next)->worker; /* the socket is not registered anywhere yet */
    core_exit(s);
    return answer;
}
