/* SPDX-License-Identifier: ISC
 * The core's functions one by one, each with its edge cases.
 */
#include "config.h"

#include "core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS     UINT64_C(1000)
#define SECOND UINT64_C(1000000)

static const struct core_server_limits LIM = {
    .bound = 3, .login_concurrency = 2, .login_retry_us = SECOND, .workers = 2};

static struct core_server *s;
static struct core_pool *p, *q;
static struct core_conn conn[16];
static struct core_waiter w[16];
static bool nudge;

static int open_with(const struct core_server_limits *lim, const struct core_pool_limits *plim)
{
    memset(conn, 0, sizeof conn);
    memset(w, 0, sizeof w);
    s = core_server_create("db:5432", lim, 1);
    p = core_pool_create(s, "shop/app", plim, &p);
    q = core_pool_create(s, "shop/other", plim, &q);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return open_with(&LIM, &(struct core_pool_limits){0});
}

static struct core_counts counts(uint64_t now_us)
{
    struct core_counts n;
    core_check(s);
    core_server_counts(s, now_us, &n);
    return n;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++) {
        if (w[i].state == WAITER_QUEUED)
            assert_true(core_leave(&w[i]));
        if (conn[i].state == CONN_NONE)
            continue;
        (void)core_conn_break(&conn[i], 0);
        core_conn_closed(&conn[i], 0, &nudge);
    }
    struct core_counts n = counts(0);
    for (; n.control > 0; n.control--)
        core_control_end(s);
    for (; n.cancelling > 0; n.cancelling--)
        core_cancel_end(s);
    struct core_pool **pools[] = {&p, &q};
    for (int i = 0; i < 2; i++) {
        core_pool_counts(*pools[i], 0, &n);
        for (; n.opening > 0; n.opening--)
            core_open_failed(*pools[i], CORE_FAIL_REACH, "08006", "x", 0);
        core_pool_destroy(pools[i]);
        assert_null(*pools[i]);
    }
    core_server_destroy(&s);
    assert_null(s);
    return 0;
}

static enum core_answer borrow(int i, struct core_pool *pool, uint16_t worker, uint64_t now_us,
                               struct core_conn **c)
{
    w[i].pool = pool;
    w[i].worker = worker;
    if (w[i].deadline_us == 0)
        w[i].deadline_us = UINT64_MAX;
    return core_borrow(&w[i], now_us, c, &nudge);
}

static void queue(int i, struct core_pool *pool, uint16_t worker, uint64_t now_us)
{
    struct core_conn *c;
    assert_int_equal(borrow(i, pool, worker, now_us, &c), CORE_QUEUED);
    assert_null(c);
}

static struct core_plan plan(uint64_t now_us, enum core_action expected)
{
    struct core_plan pl;
    core_plan(s, now_us, &pl);
    assert_int_equal(pl.action, expected);
    return pl;
}

/* Queue waiter i, log in connection i for it: lent. */
static void lend_new(int i, struct core_pool *pool, uint16_t worker, uint64_t now_us)
{
    struct core_waiter *next;
    queue(i, pool, worker, now_us);
    assert_ptr_equal(plan(now_us, CORE_ACT_OPEN).pool, pool);
    assert_int_equal(core_opened(pool, &conn[i], now_us, &next), CORE_NEXT_LEND);
    assert_ptr_equal(next, &w[i]);
    assert_ptr_equal(core_waiter_take(&w[i]), &conn[i]);
}

static enum core_next give_back(int i, uint64_t now_us, struct core_waiter **next)
{
    return core_give_back(&conn[i], now_us, next, &nudge);
}

static void make_idle(int i, uint64_t now_us)
{
    struct core_waiter *next;
    assert_int_equal(give_back(i, now_us, &next), CORE_NEXT_IDLE);
}

static void test_first_loan(void **state)
{
    struct core_conn *c;
    struct core_waiter *next;

    (void)state;
    assert_int_equal(plan(1, CORE_ACT_NONE).wake_us, UINT64_MAX);
    queue(0, p, 1, 10);
    assert_true(nudge);
    queue(1, p, 1, 11);
    assert_false(nudge); /* somebody is about to plan already */
    assert_ptr_equal(plan(12, CORE_ACT_OPEN).pool, p);
    assert_ptr_equal(plan(12, CORE_ACT_OPEN).pool, p);
    plan(12, CORE_ACT_NONE);
    assert_int_equal(core_opened(p, &conn[0], 100, &next), CORE_NEXT_LEND);
    assert_ptr_equal(next, &w[0]);
    assert_int_equal(conn[0].worker, 1);
    assert_ptr_equal(conn[0].borrower, &w[0]);
    assert_ptr_equal(core_waiter_take(&w[0]), &conn[0]);
    assert_true(core_leave(&w[1]));
    assert_int_equal(core_opened(p, &conn[1], 110, &next), CORE_NEXT_IDLE);
    assert_int_equal(borrow(1, p, 0, 120, &c), CORE_LENT);
    assert_ptr_equal(c, &conn[1]);
    struct core_counts n = counts(200);
    assert_int_equal(n.lent, 2);
    assert_int_equal(n.loans_total, 2);
    assert_int_equal(n.oldest_loan_us, 100);
    assert_string_equal(core_server_name(s), "db:5432");
    assert_string_equal(core_pool_name(p), "shop/app");
    assert_ptr_equal(core_pool_server(p), s);
    assert_ptr_equal(core_pool_owner(p), &p);
}

static void test_last_returned_is_lent_first(void **state)
{
    struct core_conn *c;

    (void)state;
    for (int i = 0; i < 3; i++)
        lend_new(i, p, i == 2, 10); /* 0 and 1 live on worker 0, 2 on worker 1 */
    make_idle(2, 20);
    make_idle(0, 21);
    make_idle(1, 22);
    assert_int_equal(borrow(3, p, 1, 30, &c), CORE_LENT);
    assert_ptr_equal(c, &conn[2]); /* its own, though it is the oldest */
    assert_int_equal(borrow(4, p, 1, 30, &c), CORE_LENT);
    assert_ptr_equal(c, &conn[1]); /* otherwise the last returned elsewhere */
    core_conn_moved(c, 1);
    assert_int_equal(c->worker, 1);
}

static void test_queue_is_in_order_and_locality_is_bounded(void **state)
{
    struct core_server_limits lim = LIM;
    struct core_waiter *next;

    (void)state;
    lim.locality_us = 100;
    lim.bound = 1;
    core_server_limit(s, &lim);
    lend_new(0, p, 0, 10);
    queue(1, p, 1, 1000);
    queue(2, p, 0, 1100); /* within the slack */
    queue(3, p, 0, 1101); /* beyond it */
    assert_int_equal(give_back(0, 2000, &next), CORE_NEXT_LEND);
    assert_ptr_equal(next, &w[2]);
    assert_int_equal(give_back(0, 2000, &next), CORE_NEXT_LEND);
    assert_ptr_equal(next, &w[1]);
    core_conn_moved(&conn[0], 1);
    assert_int_equal(give_back(0, 2000, &next), CORE_NEXT_LEND);
    assert_ptr_equal(next, &w[3]);
    assert_false(core_leave(&w[3])); /* on its way */
}

static void test_refusals(void **state)
{
    struct core_server_limits lim = LIM;
    struct core_conn *c;

    (void)state;
    lim.max_waiting = 1;
    core_server_limit(s, &lim);
    queue(0, p, 0, 1);
    assert_int_equal(borrow(1, p, 0, 2, &c), CORE_FULL);
    core_pool_disable(p, true);
    assert_int_equal(borrow(1, p, 0, 3, &c), CORE_DISABLED);
    core_pool_disable(p, false);
    assert_true(core_leave(&w[0]));
    queue(1, p, 0, 4);
    assert_int_equal(counts(5).refused_total, 2);
}

static void test_expiry(void **state)
{
    struct core_waiter_list out = TAILQ_HEAD_INITIALIZER(out);

    (void)state;
    w[0].deadline_us = 300;
    w[1].deadline_us = 100;
    w[2].deadline_us = 200;
    for (int i = 0; i < 4; i++)
        queue(i, p, 0, 10);
    assert_int_equal(core_expire(s, 0, 99, &out), 100);
    assert_true(TAILQ_EMPTY(&out));
    assert_int_equal(core_expire(s, 1, 1000, &out), UINT64_MAX); /* another worker's */
    assert_int_equal(core_expire(s, 0, 200, &out), 300);
    assert_ptr_equal(TAILQ_FIRST(&out), &w[1]);
    assert_ptr_equal(TAILQ_NEXT(&w[1], link), &w[2]);
    TAILQ_INIT(&out);
    assert_int_equal(core_expire(s, 0, 300, &out), UINT64_MAX);
    assert_int_equal(counts(300).waiting, 1);
    assert_int_equal(counts(300).expired_total, 3);
}

static void test_break_and_close(void **state)
{
    struct core_waiter *next;

    (void)state;
    lend_new(0, p, 0, 10);
    assert_true(core_conn_break(&conn[0], 20));
    assert_false(core_conn_break(&conn[0], 21));
    assert_int_equal(give_back(0, 22, &next), CORE_NEXT_CLOSE); /* its borrower learns so */
    assert_int_equal(counts(23).closing, 1);
    core_conn_closed(&conn[0], 24, &nudge);
    assert_int_equal(conn[0].state, CONN_NONE);
}

static void test_a_bound_of_one_can_be_cancelled(void **state)
{
    const struct core_server_limits one = {
        .bound = 1, .login_concurrency = 1, .login_retry_us = SECOND, .workers = 1};

    (void)tear_down(state);
    (void)open_with(&one, &(struct core_pool_limits){0});
    lend_new(0, p, 0, 10);
    assert_true(core_cancel_begin(s, true)); /* no other could come back */
    assert_false(core_cancel_begin(s, true));
    core_cancel_end(s);
    assert_int_equal(counts(20).cancelling, 0);
}

/* A crowd of cancels costs one connection. */
static void test_cancels_hand_their_slot_on(void **state)
{
    struct core_plan plan;
    unsigned closed = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        lend_new(i, p, 0, 10);
    for (int i = 0; i < 3; i++)
        make_idle(i, 20);
    uint64_t now = 21;
    for (int waiting = 8; waiting > 0; now++) {
        bool began = core_cancel_begin(s, true);
        bool other = core_cancel_begin(s, true);
        assert_false(other); /* it waits for this one */
        for (core_plan(s, now, &plan); plan.action == CORE_ACT_CLOSE; core_plan(s, now, &plan)) {
            closed++;
            core_conn_closed(plan.conn, now, &nudge);
        }
        if (began) {
            core_cancel_end(s);
            waiting--;
        }
        assert_true(now < 60);
    }
    assert_int_equal(closed, 1);
    assert_int_equal(counts(now).idle, 2);
}

static void test_doubt_closes_who_was_idle_for_as_long(void **state)
{
    struct core_plan plan;
    struct core_conn *c;

    (void)state;
    lend_new(0, p, 0, 10);
    lend_new(1, q, 0, 11);
    lend_new(2, p, 0, 12);
    make_idle(1, 20);
    make_idle(0, 21);
    assert_int_equal(borrow(3, p, 0, 30, &c), CORE_LENT);
    assert_ptr_equal(c, &conn[0]);
    make_idle(2, 40);
    assert_true(core_server_doubt(s, 21, 50)); /* what conn[0] was idle since */
    assert_int_equal(counts(50).closing, 1);
    core_plan(s, 51, &plan);
    assert_int_equal(plan.action, CORE_ACT_CLOSE);
    assert_ptr_equal(plan.conn, &conn[1]);
    assert_int_equal(conn[0].state, CONN_LENT);
    assert_int_equal(conn[2].state, CONN_IDLE);
}

static void test_break_while_idle_only(void **state)
{
    struct core_conn *c;

    (void)state;
    lend_new(0, p, 0, 10);
    make_idle(0, 20);
    assert_int_equal(borrow(1, p, 1, 21, &c), CORE_LENT);
    assert_false(core_conn_break_idle(&conn[0], 22)); /* somebody else's by now */
    assert_int_equal(counts(23).lent, 1);
    make_idle(0, 24);
    assert_true(core_conn_break_idle(&conn[0], 25));
    assert_false(core_conn_break_idle(&conn[0], 26));
    assert_int_equal(counts(27).closing, 1);
}

static void test_bound_shrinks(void **state)
{
    struct core_server_limits lim = LIM;
    struct core_waiter *next;

    (void)state;
    for (int i = 0; i < 3; i++)
        lend_new(i, p, 0, 10);
    make_idle(0, 20);
    lim.bound = 1;
    core_server_limit(s, &lim);
    assert_ptr_equal(plan(30, CORE_ACT_CLOSE).conn, &conn[0]);
    plan(30, CORE_ACT_NONE);
    core_conn_closed(&conn[0], 31, &nudge);
    assert_int_equal(give_back(1, 32, &next), CORE_NEXT_CLOSE);
    core_conn_closed(&conn[1], 33, &nudge);
    assert_int_equal(give_back(2, 34, &next), CORE_NEXT_IDLE);
}

static void test_pause_and_resume(void **state)
{
    struct core_waiter *next;
    const struct core_pool_limits lim = {.min_conns = 2};

    (void)state;
    lend_new(0, p, 0, 10);
    lend_new(1, p, 0, 10);
    make_idle(1, 11);
    core_pool_limit(p, &lim);
    core_pool_pause(p, true, 20);
    assert_ptr_equal(plan(20, CORE_ACT_CLOSE).conn, &conn[1]);
    core_conn_closed(&conn[1], 21, &nudge);
    queue(2, p, 1, 22);
    plan(22,
         CORE_ACT_NONE); /* no login for a paused pool, whoever waits and whatever its minimum */
    assert_int_equal(give_back(0, 30, &next), CORE_NEXT_CLOSE);
    core_conn_closed(&conn[0], 31, &nudge);
    assert_int_equal(counts(40).closing + counts(40).idle + counts(40).lent, 0);
    core_pool_pause(p, false, 50);
    assert_ptr_equal(plan(50, CORE_ACT_OPEN).pool, p);
    core_pool_pause(p, true, 51); /* in the middle of a login */
    assert_int_equal(core_opened(p, &conn[0], 52, &next), CORE_NEXT_CLOSE);
    core_conn_closed(&conn[0], 53, &nudge);
    plan(53, CORE_ACT_NONE);
}

/* Nor does a pool that could not log in when it was paused try to. */
static void test_pause_stops_probes(void **state)
{
    struct core_conn *c;

    (void)state;
    queue(0, p, 0, 10);
    assert_ptr_equal(plan(10, CORE_ACT_OPEN).pool, p);
    core_open_failed(p, CORE_FAIL_REFUSED, "28P01", "x", 11);
    assert_ptr_equal(plan(11, CORE_ACT_FAIL).pool, p);
    assert_null(core_waiter_take(&w[0]));
    assert_int_equal(borrow(0, p, 0, 12, &c), CORE_DOWN); /* to be tried again, for who comes */
    core_pool_pause(p, true, 13);
    assert_int_equal(borrow(0, p, 0, 14, &c), CORE_DOWN);
    plan(60 * SECOND, CORE_ACT_NONE);
    core_pool_pause(p, false, 60 * SECOND);
    queue(0, p, 0, 61 * SECOND);
    assert_ptr_equal(plan(61 * SECOND, CORE_ACT_OPEN).pool, p);
}

static void test_reconnect(void **state)
{
    struct core_waiter *next;

    (void)state;
    lend_new(0, p, 0, 10);
    lend_new(1, p, 0, 10);
    queue(2, p, 0, 10);
    plan(10, CORE_ACT_OPEN);
    assert_true(core_leave(&w[2]));
    make_idle(0, 20);
    assert_ptr_equal(conn[0].borrower, NULL);
    core_pool_reconnect(p, 30);
    assert_int_equal(give_back(1, 40, &next), CORE_NEXT_CLOSE);
    assert_int_equal(core_opened(p, &conn[2], 50, &next), CORE_NEXT_CLOSE); /* begun before */
}

static void test_what_nobody_has_borrowed_is_dropped(void **state)
{
    struct core_waiter *next;

    (void)state;
    lend_new(0, p, 0, 10);
    queue(1, p, 0, 10);
    plan(10, CORE_ACT_OPEN);
    assert_true(core_leave(&w[1]));
    make_idle(0, 20);
    assert_int_equal(core_opened(p, &conn[1], 30, &next), CORE_NEXT_IDLE);
    core_pool_drop_unused(p, 40);
    assert_ptr_equal(plan(50, CORE_ACT_CLOSE).conn, &conn[1]);
    plan(60, CORE_ACT_NONE); /* the other one stays */
}

static void test_idle_timeout_keeps_the_minimum(void **state)
{
    (void)state;
    tear_down(NULL);
    open_with(&LIM, &(struct core_pool_limits){.idle_timeout_us = SECOND, .min_conns = 1});
    for (int i = 0; i < 3; i++)
        lend_new(i, p, 0, 10);
    for (int i = 0; i < 3; i++)
        make_idle(i, 1000 + (uint64_t)i);
    uint64_t wake_us = plan(2000, CORE_ACT_NONE).wake_us;
    assert_int_equal(wake_us, 1000 + SECOND);
    assert_ptr_equal(plan(wake_us + 1, CORE_ACT_CLOSE).conn, &conn[0]); /* longest idle first */
    assert_ptr_equal(plan(wake_us + 1, CORE_ACT_CLOSE).conn, &conn[1]);
    plan(wake_us + 10, CORE_ACT_NONE); /* conn[2] is p's minimum; no slot is free for q's yet */
    core_conn_closed(&conn[0], wake_us + 20, &nudge);
    assert_true(nudge);
    assert_ptr_equal(plan(wake_us + 20, CORE_ACT_OPEN).pool, q);
    core_open_failed(q, CORE_FAIL_REFUSED, "28P01", "x", wake_us + 30);
}

/* Warming fills the pool as far as the bound goes, once; then its connections age like any. */
static void test_warm_once_within_the_bound(void **state)
{
    struct core_waiter *next;
    (void)state;
    tear_down(NULL);
    open_with(&LIM, &(struct core_pool_limits){.idle_timeout_us = SECOND});
    core_pool_warm(p, 7, 10, 60 * SECOND);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(plan(20, CORE_ACT_OPEN).pool, p);
        assert_int_equal(core_opened(p, &conn[i], 20, &next), CORE_NEXT_IDLE);
    }
    plan(30, CORE_ACT_NONE); /* the bound */
    assert_int_equal(counts(30).idle, 3);
    uint64_t late = 62 * SECOND; /* as it can't be had, it is over then */
    (void)plan(late, CORE_ACT_CLOSE);
    (void)plan(late, CORE_ACT_CLOSE);
    (void)plan(late, CORE_ACT_CLOSE);
    for (int i = 0; i < 3; i++)
        core_conn_closed(&conn[i], late, &nudge);
    plan(late, CORE_ACT_NONE);
    /* What can be had is had once. */
    core_pool_warm(p, 2, late, 60 * SECOND);
    for (int i = 4; i < 6; i++) {
        assert_ptr_equal(plan(late, CORE_ACT_OPEN).pool, p);
        assert_int_equal(core_opened(p, &conn[i], late, &next), CORE_NEXT_IDLE);
    }
    plan(late, CORE_ACT_NONE);
    (void)plan(late + 2 * SECOND, CORE_ACT_CLOSE);
    (void)plan(late + 2 * SECOND, CORE_ACT_CLOSE);
    core_conn_closed(&conn[4], late + 2 * SECOND, &nudge);
    core_conn_closed(&conn[5], late + 2 * SECOND, &nudge);
    plan(late + 2 * SECOND, CORE_ACT_NONE);
}

/* idle_to_zero closes the only connection, after two seconds. */
static void fall_asleep(void)
{
    struct core_server_limits lim = LIM;
    tear_down(NULL);
    lim.idle_to_zero_us = SECOND;
    lim.resume_us = 60 * SECOND;
    open_with(&lim, &(struct core_pool_limits){0});
    lend_new(0, p, 0, 10);
    make_idle(0, 20);
    assert_ptr_equal(plan(2 * SECOND, CORE_ACT_CLOSE).conn, &conn[0]);
    core_conn_closed(&conn[0], 2 * SECOND, &nudge);
    plan(2 * SECOND, CORE_ACT_NONE);
}

/* A server put to sleep by idle_to_zero is woken, by one login at first. */
static void test_warm_wakes(void **state)
{
    struct core_waiter *next;
    (void)state;
    fall_asleep();
    core_pool_warm(p, 2, 3 * SECOND, 60 * SECOND);
    assert_ptr_equal(plan(3 * SECOND, CORE_ACT_OPEN).pool, p);
    plan(3 * SECOND, CORE_ACT_NONE);
    assert_true(core_server_resuming(s));
    assert_int_equal(core_opened(p, &conn[1], 4 * SECOND, &next),
                     CORE_NEXT_IDLE); /* later than idle_to_zero */
    assert_ptr_equal(plan(4 * SECOND, CORE_ACT_OPEN).pool, p);
    assert_int_equal(core_opened(p, &conn[2], 4 * SECOND, &next), CORE_NEXT_IDLE);
    plan(4 * SECOND, CORE_ACT_NONE);
    (void)plan(6 * SECOND, CORE_ACT_CLOSE); /* nobody came: it may sleep again */
}

/* A server that wakes up is waited for longer than the settings say, but for nobody longer than he
 * wants to wait, not for the one either who wakes it; and settings that change change neither. */
static void test_own_deadlines_while_it_wakes(void **state)
{
    (void)state;
    fall_asleep();
    for (int i = 1; i <= 3; i++)
        w[i].deadline_us = 4 * SECOND;
    w[1].own_us = 9 * SECOND;  /* the settings are shorter, the server takes longer */
    w[2].own_us = 90 * SECOND; /* longer than both */
    for (int i = 1; i <= 3; i++)
        queue(i, p, 0, 3 * SECOND);
    assert_true(w[1].firm && w[1].deadline_us == 9 * SECOND);
    assert_true(!w[2].firm && w[2].deadline_us == 63 * SECOND);
    assert_true(!w[3].firm && w[3].deadline_us == 63 * SECOND);
    for (int i = 1; i <= 3; i++)
        core_waiter_limit(&w[i], i == 3 ? UINT64_MAX : 5 * SECOND);
    assert_true(w[1].firm && w[1].deadline_us == 9 * SECOND);
    assert_true(w[2].deadline_us == 63 * SECOND && w[3].deadline_us == UINT64_MAX);
    core_waiter_limit(&w[2], UINT64_MAX);
    assert_true(w[2].firm && w[2].deadline_us == 90 * SECOND);
    assert_ptr_equal(plan(3 * SECOND, CORE_ACT_OPEN).pool, p);
}

static void test_lifetime_is_spread(void **state)
{
    struct core_waiter *next;
    const struct core_pool_limits lim = {.lifetime_us = 10 * SECOND};

    (void)state;
    core_pool_limit(p, &lim);
    lend_new(0, p, 0, 0);
    lend_new(1, p, 0, 0);
    lend_new(2, p, 0, 0);
    assert_true(conn[0].spread != conn[1].spread || conn[1].spread != conn[2].spread);
    make_idle(0, 8 * SECOND - 1); /* none is over before four fifths */
    assert_int_equal(give_back(1, 10 * SECOND, &next), CORE_NEXT_CLOSE);
    assert_ptr_equal(plan(10 * SECOND, CORE_ACT_CLOSE).conn, &conn[0]);
}

static void test_one_use_only(void **state)
{
    struct core_waiter *next;
    const struct core_pool_limits lim = {.min_conns = 1, .once = true};

    (void)state;
    core_pool_limit(p, &lim);
    assert_ptr_equal(plan(10, CORE_ACT_OPEN).pool, p);
    assert_int_equal(core_opened(p, &conn[0], 20, &next), CORE_NEXT_IDLE); /* none yet */
    plan(100 * SECOND, CORE_ACT_NONE);
    struct core_conn *c;
    assert_int_equal(borrow(0, p, 0, 100 * SECOND, &c), CORE_LENT);
    queue(1, p, 0, 100 * SECOND);
    assert_int_equal(give_back(0, 100 * SECOND, &next), CORE_NEXT_CLOSE);
    assert_null(next);
}

static void test_idle_of_one_pool_goes_to_another(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        lend_new(i, p, 0, 10);
    make_idle(1, 20);
    make_idle(0, 21);
    queue(3, q, 0, 30);
    assert_true(nudge);
    assert_ptr_equal(plan(30, CORE_ACT_CLOSE).conn, &conn[1]); /* the longest idle, and one only */
    plan(30, CORE_ACT_NONE);
    assert_false(core_conn_break(&conn[1], 31));
    core_conn_closed(&conn[1], 32, &nudge);
    assert_true(nudge);
    assert_ptr_equal(plan(32, CORE_ACT_OPEN).pool, q);
    core_open_failed(q, CORE_FAIL_REFUSED, "28P01", "x", 33);
    struct core_plan pl = plan(33, CORE_ACT_FAIL);
    assert_ptr_equal(TAILQ_FIRST(&pl.failed), &w[3]);
    assert_false(core_leave(&w[3])); /* the news is on its way */
    assert_null(core_waiter_take(&w[3]));
}

static void test_pool_limit(void **state)
{
    const struct core_pool_limits lim = {.max_conns = 1};

    (void)state;
    core_pool_limit(p, &lim);
    lend_new(0, p, 0, 10);
    queue(1, p, 0, 11);
    plan(11, CORE_ACT_NONE);
    lend_new(2, q, 0, 12);
    lend_new(3, q, 0, 13);
    core_pool_limit(q, &lim); /* lowered: what is beyond it goes as it comes back */
    struct core_waiter *next;
    assert_int_equal(give_back(2, 20, &next), CORE_NEXT_CLOSE);
    assert_int_equal(give_back(3, 21, &next), CORE_NEXT_IDLE);
}

static void test_pool_limit_closes_idle(void **state)
{
    const struct core_pool_limits lim = {.max_conns = 1};

    (void)state;
    lend_new(0, p, 0, 10);
    lend_new(1, p, 0, 10);
    make_idle(0, 20);
    make_idle(1, 21);
    core_pool_limit(p, &lim);
    assert_ptr_equal(plan(22, CORE_ACT_CLOSE).conn, &conn[0]);
    plan(22, CORE_ACT_NONE);
}

static void test_refused_login_is_told_at_once(void **state)
{
    char sqlstate[6], text[80];
    struct core_conn *c;
    struct core_waiter *next;

    (void)state;
    queue(0, p, 0, 10);
    plan(10, CORE_ACT_OPEN);
    core_open_failed(p, CORE_FAIL_REFUSED, "28P01", "password authentication failed", 20);
    assert_ptr_equal(plan(20, CORE_ACT_FAIL).pool, p);
    plan(20, CORE_ACT_NONE);
    assert_null(core_waiter_take(&w[0]));
    assert_true(core_pool_failure(p, sqlstate, text, sizeof text));
    assert_string_equal(sqlstate, "28P01");
    assert_string_equal(text, "password authentication failed");
    assert_false(core_pool_failure(q, sqlstate, text, sizeof text));
    lend_new(1, q, 0, 30); /* the other pool notices nothing */
    assert_int_equal(borrow(2, p, 0, 100, &c), CORE_DOWN);
    uint64_t wake_us = plan(100, CORE_ACT_NONE).wake_us;
    assert_in_range(wake_us, SECOND, 2 * SECOND);
    assert_ptr_equal(plan(wake_us, CORE_ACT_OPEN).pool, p); /* tried again, for there is demand */
    assert_int_equal(core_opened(p, &conn[0], wake_us + 10, &next), CORE_NEXT_IDLE);
    assert_false(core_pool_failure(p, sqlstate, text, sizeof text));
}

/* Fail logins until the waiters are told; answers when that was. */
static uint64_t fail_until_told(enum core_failure why, uint64_t now_us)
{
    uint64_t opened = 0, logins = 0;
    for (int i = 0; i < 1000; i++) {
        struct core_plan pl;
        core_plan(s, now_us, &pl);
        if (pl.action == CORE_ACT_FAIL) {
            assert_true(logins > 2 && logins < 12); /* with growing pauses */
            return now_us;
        }
        if (pl.action == CORE_ACT_OPEN) {
            opened++;
            logins++;
            continue;
        }
        for (; opened > 0; opened--)
            core_open_failed(p, why, "08006", "no", now_us);
        core_plan(s, now_us, &pl);
        if (pl.action == CORE_ACT_NONE)
            now_us = pl.wake_us;
        else if (pl.action == CORE_ACT_OPEN)
            opened++;
        else
            return now_us;
    }
    fail_msg("never told");
    return 0;
}

static void test_unreachable_is_told_after_a_while(void **state)
{
    struct core_conn *c;

    (void)state;
    for (int i = 0; i < 4; i++)
        queue(i, p, 0, 1000);
    uint64_t told_us = fail_until_told(CORE_FAIL_REACH, 1000);
    assert_in_range(told_us, SECOND, 3 * SECOND);
    for (int i = 0; i < 4; i++)
        assert_null(core_waiter_take(&w[i]));
    assert_int_equal(borrow(0, p, 0, told_us + 1, &c), CORE_DOWN);
    /* After the pause the first who asks rides on the probe, the next is turned away. */
    uint64_t later_us = told_us + 10 * SECOND;
    queue(1, p, 0, later_us);
    assert_int_equal(borrow(2, p, 0, later_us, &c), CORE_DOWN);
    plan(later_us, CORE_ACT_OPEN);
    plan(later_us, CORE_ACT_NONE);
    struct core_waiter *next;
    assert_int_equal(core_opened(p, &conn[0], later_us + 5, &next), CORE_NEXT_LEND);
    queue(2, p, 0, later_us + 6);
}

/* The same patience, and the other pool logs in all the while. */
static void test_failure_of_one_pool_is_its_own(void **state)
{
    struct core_conn *c;
    char code[6], text[100];

    (void)state;
    queue(0, p, 0, 1000);
    plan(1000, CORE_ACT_OPEN);
    core_open_failed(p, CORE_FAIL_POOL, "53300", "its own", 1000);
    uint64_t wake_us = plan(1000, CORE_ACT_NONE).wake_us;
    assert_in_range(wake_us, 1000 + 75 * MS, 1000 + 125 * MS); /* it is tried again soon */
    assert_true(core_pool_failure(p, code, text, sizeof text));
    assert_string_equal(text, "its own");
    assert_false(core_pool_failure(q, code, text, sizeof text));
    queue(1, p, 0, 1000);
    lend_new(2, q, 0, 1001);
    uint64_t told_us = fail_until_told(CORE_FAIL_POOL, 1002);
    assert_in_range(told_us, SECOND, 3 * SECOND);
    assert_null(core_waiter_take(&w[0]));
    assert_null(core_waiter_take(&w[1]));
    assert_int_equal(borrow(0, p, 0, told_us + 1, &c), CORE_DOWN);
    lend_new(3, q, 0, told_us + 2);
}

/* How many logins are begun at one instant, all of which then fail (or are left under way). */
static uint32_t logins_at(uint64_t now_us)
{
    struct core_plan pl;
    uint32_t n = 0;
    for (core_plan(s, now_us, &pl); pl.action == CORE_ACT_OPEN; core_plan(s, now_us, &pl))
        n++;
    assert_int_equal(pl.action, CORE_ACT_NONE);
    return n;
}

static void test_logins_ramp(void **state)
{
    struct core_server_limits lim = LIM;
    struct core_waiter *next;

    (void)state;
    lim.bound = 12;
    lim.login_concurrency = 5;
    core_server_limit(s, &lim);
    for (int i = 0; i < 12; i++)
        queue(i, p, 0, SECOND);
    assert_int_equal(logins_at(SECOND), 2);
    assert_int_equal(core_opened(p, &conn[0], 2 * SECOND, &next), CORE_NEXT_LEND);
    assert_int_equal(core_opened(p, &conn[1], 2 * SECOND, &next), CORE_NEXT_LEND);
    assert_int_equal(logins_at(2 * SECOND), 4); /* twice as many, for they have waited long */
    for (int i = 2; i < 6; i++)
        assert_int_equal(core_opened(p, &conn[i], 3 * SECOND, &next), CORE_NEXT_LEND);
    assert_int_equal(logins_at(3 * SECOND), 5); /* not more than the setting */
    for (int i = 0; i < 5; i++)
        core_open_failed(p, CORE_FAIL_LIMIT, "53300", "too many clients", 3 * SECOND);
    assert_int_equal(logins_at(3 * SECOND), 0); /* six are what it allows, for now */
    assert_int_equal(logins_at(5 * SECOND), 2); /* half of five */
}

static void test_repeated_failure_is_probed_one_by_one(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        queue(i, p, 0, 1000);
    assert_int_equal(logins_at(1000), 2);
    core_open_failed(p, CORE_FAIL_REACH, "08006", "x", 2000);
    core_open_failed(p, CORE_FAIL_REACH, "08006", "x", 2001); /* the same failure */
    uint64_t wake_us = plan(2001, CORE_ACT_NONE).wake_us;
    assert_in_range(wake_us, 2000 + 75 * MS, 2000 + 125 * MS);
    assert_int_equal(logins_at(wake_us), 2);
    core_open_failed(p, CORE_FAIL_REACH, "08006", "x", wake_us + 1);
    core_open_failed(p, CORE_FAIL_REACH, "08006", "x", wake_us + 1);
    uint64_t then_us = plan(wake_us + 1, CORE_ACT_NONE).wake_us;
    assert_in_range(then_us, wake_us + 150 * MS, wake_us + 251 * MS);
    assert_int_equal(logins_at(then_us), 1);
    assert_int_equal(counts(then_us).waiting, 3); /* nobody has been told: within the grace */
}

static void test_slots_for_control_and_cancel(void **state)
{
    struct core_waiter *next;

    (void)state;
    for (int i = 0; i < 3; i++)
        lend_new(i, p, 0, 10);
    assert_false(core_cancel_begin(s, true));
    assert_int_equal(give_back(0, 20, &next), CORE_NEXT_CLOSE); /* a slot for the cancel */
    queue(3, p, 0, 21);
    plan(21, CORE_ACT_NONE);
    core_conn_closed(&conn[0], 22, &nudge);
    assert_true(nudge);
    plan(22, CORE_ACT_NONE); /* it is kept */
    assert_true(core_cancel_begin(s, true));
    assert_false(core_cancel_begin(s, true));
    assert_true(core_cancel_begin(s, false)); /* beyond the bound, once */
    assert_false(core_cancel_begin(s, false));
    assert_int_equal(counts(23).cancelling, 2);
    core_cancel_end(s);
    core_cancel_end(s);
    assert_true(core_control_begin(s));
    assert_false(core_control_begin(s));
    core_control_end(s);
}

static void test_kept_slot_is_let_go(void **state)
{
    struct core_waiter *next;

    (void)state;
    for (int i = 0; i < 3; i++)
        lend_new(i, p, 0, 10);
    assert_false(core_control_begin(s));
    assert_int_equal(give_back(0, 20, &next), CORE_NEXT_CLOSE);
    core_conn_closed(&conn[0], 30, &nudge);
    queue(3, p, 0, 40);
    uint64_t wake_us = plan(40, CORE_ACT_NONE).wake_us;
    assert_in_range(wake_us, 100, 2 * SECOND);
    plan(wake_us, CORE_ACT_OPEN); /* nobody came for it */
    core_open_failed(p, CORE_FAIL_REACH, "08006", "x", wake_us);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_first_loan),
        CASE(test_last_returned_is_lent_first),
        CASE(test_queue_is_in_order_and_locality_is_bounded),
        CASE(test_refusals),
        CASE(test_expiry),
        CASE(test_break_and_close),
        CASE(test_break_while_idle_only),
        CASE(test_doubt_closes_who_was_idle_for_as_long),
        CASE(test_a_bound_of_one_can_be_cancelled),
        CASE(test_cancels_hand_their_slot_on),
        CASE(test_bound_shrinks),
        CASE(test_pause_and_resume),
        CASE(test_pause_stops_probes),
        CASE(test_reconnect),
        CASE(test_what_nobody_has_borrowed_is_dropped),
        CASE(test_idle_timeout_keeps_the_minimum),
        CASE(test_warm_once_within_the_bound),
        CASE(test_warm_wakes),
        CASE(test_own_deadlines_while_it_wakes),
        CASE(test_lifetime_is_spread),
        CASE(test_one_use_only),
        CASE(test_idle_of_one_pool_goes_to_another),
        CASE(test_pool_limit),
        CASE(test_pool_limit_closes_idle),
        CASE(test_refused_login_is_told_at_once),
        CASE(test_unreachable_is_told_after_a_while),
        CASE(test_failure_of_one_pool_is_its_own),
        CASE(test_logins_ramp),
        CASE(test_repeated_failure_is_probed_one_by_one),
        CASE(test_slots_for_control_and_cancel),
        CASE(test_kept_slot_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
