/* SPDX-License-Identifier: ISC
 * See core_world.h.
 */
#include "config.h"

#include "core_world.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world world;
static bool world_ending;

void world_at(uint64_t at_us, void (*run)(void *), void *subject)
{
    assert_true(world.events < WORLD_EVENTS);
    uint32_t i = world.events++;
    while (i > 0 && world.event[(i - 1) / 2].at_us > at_us) {
        world.event[i] = world.event[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    world.event[i] = (struct world_event){at_us, run, subject};
}

static struct world_event world_next(void)
{
    struct world_event first = world.event[0];
    struct world_event last = world.event[--world.events];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= world.events)
            break;
        if (child + 1 < world.events && world.event[child + 1].at_us < world.event[child].at_us)
            child++;
        if (world.event[child].at_us >= last.at_us)
            break;
        world.event[i] = world.event[child];
        i = child;
    }
    world.event[i] = last;
    return first;
}

static void client_work(struct world_client *c, struct core_conn *conn);

static void grant(struct core_conn *conn, struct core_waiter *w)
{
    struct world_client *c = (struct world_client *)w;
    assert_ptr_equal(core_waiter_take(w), conn);
    core_conn_moved(conn, w->worker);
    client_work(c, conn);
}

static void conn_closed(void *subject)
{
    struct core_conn *conn = subject;
    bool nudge;
    core_conn_closed(conn, world.now_us, &nudge);
    world.plan_due |= nudge;
    free(conn);
}

static void dispose(enum core_next next, struct core_conn *conn, struct core_waiter *w)
{
    if (next == CORE_NEXT_LEND)
        grant(conn, w);
    else if (next == CORE_NEXT_CLOSE)
        world_at(world.now_us + 100, conn_closed, conn);
}

static void login_done(void *subject)
{
    struct core_pool *p = subject;
    struct core_counts n;

    world.plan_due = true;
    core_server_counts(world.server, world.now_us, &n);
    uint32_t there = n.idle + n.lent + n.closing;
    if (world.down) {
        core_open_failed(p, CORE_FAIL_REACH, "08006", "no route", world.now_us);
    } else if (world.accepts > 0 && there >= world.accepts) {
        core_open_failed(p, CORE_FAIL_LIMIT, "53300", "too many clients", world.now_us);
    } else {
        struct core_conn *conn = calloc(1, sizeof *conn);
        struct core_waiter *w;
        enum core_next next = core_opened(p, conn, world.now_us, &w);
        world.logins++;
        dispose(next, conn, w);
    }
}

static void client_ask(void *subject);

/* Exponential, from a generator of its own: the same in each run and on each machine. */
static uint64_t spread(const struct world_client *c, uint64_t mean_us)
{
    static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    if (!c->random)
        return mean_us;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    double u = ((double)(state >> 11) + 1) / 9007199254740993.0;
    return (uint64_t)(-log(u) * (double)mean_us);
}

static void client_done(void *subject)
{
    struct world_client *c = subject;
    struct core_conn *conn = c->conn;
    struct core_waiter *w;
    bool nudge;

    c->conn = NULL;
    enum core_next next = core_give_back(conn, world.now_us, &w, &nudge);
    world.plan_due |= nudge;
    world_at(world.now_us + spread(c, c->think_us), client_ask, c);
    dispose(next, conn, w);
}

static void client_work(struct world_client *c, struct core_conn *conn)
{
    uint64_t wait_us = world.now_us - c->asked_us;
    c->wait_us += wait_us;
    if (wait_us > c->worst_us)
        c->worst_us = wait_us;
    if (c->asked_us < world.last_order)
        world.order_errors++;
    world.last_order = c->asked_us;
    c->served++;
    c->conn = conn;
    world_at(world.now_us + spread(c, c->work_us), client_done, c);
}

static void client_ask(void *subject)
{
    struct world_client *c = subject;
    struct core_conn *conn;
    bool nudge;

    if (world_ending)
        return;
    c->w.pool = world.pool[c->pool];
    c->w.who.function = c->function;
    c->w.addr = c->addr;
    c->w.deadline_us = world.timeout_us == 0 ? UINT64_MAX : world.now_us + world.timeout_us;
    c->asked_us = world.now_us;
    enum core_answer answer = core_borrow(&c->w, world.now_us, &conn, &nudge);
    world.plan_due |= nudge;
    if (answer == CORE_LENT) {
        client_work(c, conn);
    } else if (answer != CORE_QUEUED) {
        c->refused++;
        world_at(world.now_us + c->think_us + 1000, client_ask, c);
    }
}

void world_client_start(struct world_client *c, uint32_t pool, uint16_t worker, uint64_t work_us,
                        uint64_t think_us)
{
    c->pool = pool;
    c->w.worker = worker;
    c->work_us = work_us;
    c->think_us = think_us;
    world_at(world.now_us, client_ask, c);
}

static void again(struct core_waiter_list *list, bool failed)
{
    struct core_waiter *w;
    while ((w = TAILQ_FIRST(list)) != NULL) {
        struct world_client *c = (struct world_client *)w;
        TAILQ_REMOVE(list, w, link);
        if (failed)
            assert_null(core_waiter_take(w));
        *(failed ? &c->failed : &c->expired) += 1;
        if (c->told_us == 0 || world.now_us - c->asked_us < c->told_us)
            c->told_us = world.now_us - c->asked_us;
        world_at(world.now_us + c->think_us + 1000, client_ask, c);
    }
}

/* Do what the core says; answers when it wants to be asked again. */
static uint64_t control(void)
{
    struct core_plan plan;
    for (int step = 0;; step++) {
        assert_true(step < 100000); /* it comes to an end */
        core_plan(world.server, world.now_us, &plan);
        switch (plan.action) {
        case CORE_ACT_NONE:
            assert_true(plan.wake_us > world.now_us);
            world.plan_due = false;
            return plan.wake_us;
        case CORE_ACT_OPEN:
            world_at(world.now_us + world.login_us, login_done, plan.pool);
            break;
        case CORE_ACT_CLOSE:
            world_at(world.now_us + 100, conn_closed, plan.conn);
            break;
        case CORE_ACT_LEND:
            grant(plan.conn, plan.waiter);
            break;
        case CORE_ACT_FAIL:
            again(&plan.failed, true);
            break;
        }
    }
}

void world_run(uint64_t until_us)
{
    static uint64_t wake_us;
    world.plan_due = true;
    while (world.now_us < until_us) {
        if (world.plan_due || world.now_us >= wake_us)
            wake_us = control();
        struct core_counts n;
        core_server_counts(world.server, world.now_us, &n);
        uint32_t used = n.opening + n.idle + n.lent + n.closing + n.cancelling + n.control;
        if (used > world.peak)
            world.peak = used;
        for (uint16_t i = 0; i < 4; i++) {
            struct core_waiter_list out = TAILQ_HEAD_INITIALIZER(out);
            uint64_t next = core_expire(world.server, i, world.now_us, &out);
            assert_true(next > world.now_us);
            again(&out, false);
        }
        uint64_t next = world.events > 0 ? world.event[0].at_us : until_us;
        next = wake_us < next ? wake_us : next;
        if (world.timeout_us > 0 && next > world.now_us + 10000)
            next = world.now_us + 10000;
        if (next > until_us) {
            world.now_us = until_us;
            break;
        }
        if (next > world.now_us)
            world.now_us = next;
        while (world.events > 0 && world.event[0].at_us <= world.now_us) {
            struct world_event e = world_next();
            e.run(e.subject);
        }
    }
}

void world_open(const struct core_server_limits *lim, uint32_t pools,
                const struct core_pool_limits *pool_lim)
{
    world_ending = false;
    world = (struct world){.now_us = 1000000, .login_us = 5000, .pools = pools};
    world.server = core_server_create("db:5432", lim, 42);
    for (uint32_t i = 0; i < pools; i++)
        world.pool[i] = core_pool_create(world.server, "shop/app", pool_lim, NULL);
}

void world_close(void)
{
    static const struct core_pool_limits soon = {.idle_timeout_us = 1};
    struct core_counts n;

    world_ending = true;
    world.down = false;
    for (uint32_t i = 0; i < world.pools; i++)
        core_pool_limit(world.pool[i], &soon);
    for (int i = 0; i < 600; i++)
        world_run(world.now_us + 1000000);
    core_check(world.server);
    core_server_counts(world.server, world.now_us, &n);
    assert_int_equal(n.opening + n.idle + n.lent + n.closing + n.waiting, 0);
    for (uint32_t i = 0; i < world.pools; i++)
        core_pool_destroy(&world.pool[i]);
    core_server_destroy(&world.server);
}
