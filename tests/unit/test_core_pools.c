/* SPDX-License-Identifier: ISC
 * Pools that end because their database is elsewhere, pools that have a limit together, and what
 * new settings lift.
 */
#include "config.h"

#include "core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)
#define MS     UINT64_C(1000)

static const struct core_server_limits LIM = {
    .bound = 3, .login_concurrency = 3, .login_retry_us = SECOND, .workers = 2};
static const struct core_pool_limits NONE = {0};

static struct core_server *s;
static struct core_group *g;
static struct core_pool *p, *q, *other; /* `other` is not in the group */
static struct core_conn conn[4];
static struct core_waiter w[4];
static bool nudge;

static int set_up(void **state)
{
    (void)state;
    memset(conn, 0, sizeof conn);
    memset(w, 0, sizeof w);
    s = core_server_create("db:5432", &LIM, 1);
    g = core_group_create(s);
    const struct core_pool_limits together = {.group = {g}};
    p = core_pool_create(s, "shop/app", &together, NULL);
    q = core_pool_create(s, "shop/report", &together, NULL);
    other = core_pool_create(s, "other/app", &NONE, NULL);
    return 0;
}

/* Every test leaves as many connections as it must. */
static int tear_down(void **state)
{
    (void)state;
    core_check(s);
    core_pool_destroy(&p);
    core_pool_destroy(&q);
    core_pool_destroy(&other);
    core_server_destroy(&s);
    return 0;
}

static enum core_answer borrow(int i, struct core_pool *pool, uint64_t now_us)
{
    struct core_conn *c;
    w[i].pool = pool;
    w[i].deadline_us = UINT64_MAX;
    return core_borrow(&w[i], now_us, &c, &nudge);
}

static struct core_plan plan(uint64_t now_us, enum core_action expected)
{
    struct core_plan pl;
    core_plan(s, now_us, &pl);
    assert_int_equal(pl.action, expected);
    return pl;
}

static void lend_new(int i, struct core_pool *pool, uint64_t now_us)
{
    struct core_waiter *next;
    assert_int_equal(borrow(i, pool, now_us), CORE_QUEUED);
    assert_ptr_equal(plan(now_us, CORE_ACT_OPEN).pool, pool);
    assert_int_equal(core_opened(pool, &conn[i], now_us, &next), CORE_NEXT_LEND);
    assert_ptr_equal(core_waiter_take(&w[i]), &conn[i]);
}

static void close_conn(int i)
{
    (void)core_conn_break(&conn[i], 0);
    core_conn_closed(&conn[i], 0, &nudge);
}

static void test_retired(void **state)
{
    struct core_waiter *next;

    (void)state;
    for (int i = 0; i < 3; i++)
        lend_new(i, p, 10);
    assert_int_equal(core_give_back(&conn[1], 20, &next, &nudge), CORE_NEXT_IDLE);
    core_pool_retire(p, "3D000", "gone", 30);
    assert_ptr_equal(plan(30, CORE_ACT_CLOSE).conn, &conn[1]);
    assert_int_equal(core_give_back(&conn[0], 40, &next, &nudge), CORE_NEXT_CLOSE);
    assert_int_equal(borrow(0, p, 41),
                     CORE_DOWN); /* nor is it tried again for whom was turned away */
    close_conn(0);
    close_conn(1);
    plan(10 * SECOND, CORE_ACT_NONE);
    close_conn(2);
}

/* Though the bound is lent and nothing comes back. */
static void test_who_waits_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        lend_new(i, p, 10);
    assert_int_equal(borrow(3, p, 20), CORE_QUEUED);
    plan(20, CORE_ACT_NONE);
    core_pool_retire(p, "3D000", "gone", 30);
    struct core_plan pl = plan(30, CORE_ACT_FAIL);
    assert_ptr_equal(TAILQ_FIRST(&pl.failed), &w[3]);
    assert_null(core_waiter_take(&w[3]));
    char code[6], text[20];
    assert_true(core_pool_failure(p, code, text, sizeof text));
    assert_string_equal(code, "3D000");
    assert_string_equal(text, "gone");
    plan(31, CORE_ACT_NONE);
    for (int i = 0; i < 3; i++)
        close_conn(i);
}

/* A login that was under way is of no use any more. */
static void test_retired_while_it_logs_in(void **state)
{
    const struct core_pool_limits min = {.min_conns = 1};
    struct core_waiter *next;

    (void)state;
    core_pool_limit(p, &min);
    assert_ptr_equal(plan(10, CORE_ACT_OPEN).pool, p);
    core_pool_retire(p, "3D000", "gone", 20);
    assert_int_equal(core_opened(p, &conn[0], 30, &next), CORE_NEXT_CLOSE);
    close_conn(0);
    plan(40, CORE_ACT_NONE); /* it has no minimum any more */
}

static void test_new_settings_lift_a_refusal(void **state)
{
    (void)state;
    assert_int_equal(borrow(0, p, 10), CORE_QUEUED);
    plan(10, CORE_ACT_OPEN);
    core_open_failed(p, CORE_FAIL_REFUSED, "28P01", "wrong", 20);
    plan(20, CORE_ACT_FAIL);
    assert_null(core_waiter_take(&w[0]));
    assert_int_equal(borrow(0, p, 30), CORE_DOWN);
    core_pool_limit(p, &NONE);
    lend_new(0, p, 40);
    close_conn(0);
}

/* Its database may be created at any time: who comes a little later waits for what a login says
 * then. */
static void test_a_missing_database_is_looked_for_again(void **state)
{
    struct core_waiter *next;
    uint64_t at_us = 20;

    (void)state;
    for (int i = 1; i <= 12; i++) {
        assert_int_equal(borrow(0, p, at_us), CORE_QUEUED);
        assert_ptr_equal(plan(at_us, CORE_ACT_OPEN).pool, p);
        if (i > 1) { /* one login at a time now, and who comes meanwhile waits for that */
            assert_int_equal(borrow(1, p, at_us), CORE_QUEUED);
            plan(at_us, CORE_ACT_NONE);
        }
        core_open_failed(p, CORE_FAIL_MISSING, "3D000", "no such database", at_us);
        plan(at_us, CORE_ACT_FAIL);
        assert_null(core_waiter_take(&w[0]));
        if (i > 1)
            assert_null(core_waiter_take(&w[1]));
        assert_int_equal(borrow(0, p, at_us + MS / 2), CORE_DOWN);
        lend_new(3, other, at_us + MS / 2); /* nobody else notices */
        close_conn(3);
        at_us += i <= 10 ? (MS << (i - 1)) * 5 / 4 : 1250 * MS;
        plan(at_us, CORE_ACT_NONE); /* for who was turned away nobody goes there */
    }
    assert_int_equal(borrow(0, p, at_us), CORE_QUEUED);
    assert_ptr_equal(plan(at_us, CORE_ACT_OPEN).pool, p);
    assert_int_equal(core_opened(p, &conn[0], at_us, &next), CORE_NEXT_LEND);
    assert_ptr_equal(next, &w[0]);
    assert_ptr_equal(core_waiter_take(&w[0]), &conn[0]);
    close_conn(0);
}

/* The server gives a group less than ours would: what it has is its limit, until it is tried again.
 */
static void test_a_limit_of_a_group_is_learned(void **state)
{
    struct core_waiter *next;

    (void)state;
    lend_new(0, p, 10);
    lend_new(1, p, 10);
    assert_int_equal(borrow(2, q, 20), CORE_QUEUED);
    assert_ptr_equal(plan(20, CORE_ACT_OPEN).pool, q);
    core_open_failed(q, CORE_FAIL_FIRST, "53300", "too many for you", 20);
    uint64_t wake_us = plan(20, CORE_ACT_NONE).wake_us;
    assert_in_range(wake_us, 20 + 75 * MS, 20 + 125 * MS);
    assert_ptr_equal(plan(wake_us, CORE_ACT_OPEN).pool, q);
    core_open_failed(q, CORE_FAIL_FIRST, "53300", "too many for you", wake_us);
    plan(wake_us, CORE_ACT_NONE);
    lend_new(3, other, wake_us + 1); /* who isn't of the group notices nothing */
    uint64_t back_us = wake_us + 140 * MS;
    assert_int_equal(core_give_back(&conn[0], back_us, &next, &nudge), CORE_NEXT_CLOSE);
    plan(back_us, CORE_ACT_NONE); /* as long as it is there, it counts */
    core_conn_closed(&conn[0], back_us, &nudge);
    assert_ptr_equal(plan(back_us, CORE_ACT_OPEN).pool, q);
    assert_int_equal(core_opened(q, &conn[2], back_us, &next), CORE_NEXT_LEND);
    assert_ptr_equal(core_waiter_take(&w[2]), &conn[2]);
    for (int i = 1; i < 4; i++)
        close_conn(i);
}

/* The one that has none gets a connection of the one that has them all, when one comes back. */
static void test_group_shares(void **state)
{
    struct core_waiter *next;

    (void)state;
    core_group_limit(g, 2);
    lend_new(0, p, 10);
    lend_new(1, p, 10);
    assert_int_equal(borrow(2, q, 20), CORE_QUEUED);
    assert_int_equal(borrow(3, p, 20), CORE_QUEUED);
    plan(20, CORE_ACT_NONE);
    assert_int_equal(core_give_back(&conn[0], SECOND, &next, &nudge), CORE_NEXT_CLOSE);
    plan(SECOND, CORE_ACT_NONE); /* as long as it is there, it counts */
    core_conn_closed(&conn[0], SECOND, &nudge);
    assert_ptr_equal(plan(SECOND, CORE_ACT_OPEN).pool, q);
    plan(SECOND, CORE_ACT_NONE);
    assert_int_equal(core_opened(q, &conn[2], SECOND, &next), CORE_NEXT_LEND);
    assert_ptr_equal(core_waiter_take(&w[2]), &conn[2]);
    assert_int_equal(core_give_back(&conn[1], SECOND + 1, &next, &nudge), CORE_NEXT_LEND);
    assert_ptr_equal(core_waiter_take(&w[3]), &conn[1]);
    close_conn(1);
    close_conn(2);
}

static void test_group_gives_what_idles(void **state)
{
    struct core_waiter *next;

    (void)state;
    core_group_limit(g, 2);
    lend_new(0, p, 10);
    lend_new(1, p, 10);
    assert_int_equal(core_give_back(&conn[1], 20, &next, &nudge), CORE_NEXT_IDLE);
    assert_int_equal(core_give_back(&conn[0], 21, &next, &nudge), CORE_NEXT_IDLE);
    lend_new(2, other, 30); /* the bound has room, and whoever is in no group takes it */
    close_conn(2);
    plan(30, CORE_ACT_NONE);
    assert_int_equal(borrow(3, q, 40), CORE_QUEUED);
    assert_true(nudge);
    assert_ptr_equal(plan(40, CORE_ACT_CLOSE).conn, &conn[1]); /* the longest idle, and one only */
    plan(40, CORE_ACT_NONE);
    core_conn_closed(&conn[1], 50, &nudge);
    assert_true(nudge);
    assert_ptr_equal(plan(50, CORE_ACT_OPEN).pool, q);
    assert_int_equal(core_opened(q, &conn[3], 60, &next), CORE_NEXT_LEND);
    assert_ptr_equal(core_waiter_take(&w[3]), &conn[3]);
    close_conn(0);
    close_conn(3);
}

/* A pool whose loans are long ones has a waiter, another's only connection is used again and again,
 * never idle for long: it goes to who waits all the same, though not as part of a guarantee. */
static void test_who_waits_gets_what_is_free(void **state)
{
    struct core_waiter *next;
    const struct core_function_limits guaranteed = {.weight = 1, .guarantee = 1};
    struct core_function *f = core_function_create(s, "light", &guaranteed);

    (void)state;
    lend_new(0, p, 10);
    lend_new(1, p, 10);
    w[2].who.function = f;
    lend_new(2, other, 10);
    assert_int_equal(borrow(3, p, 1000), CORE_QUEUED);
    uint64_t now = 2 * SECOND;
    for (int i = 0; i < 3; i++) { /* a guarantee */
        assert_int_equal(core_give_back(&conn[2], now += 100, &next, &nudge), CORE_NEXT_IDLE);
        w[2].who.function = f;
        assert_int_equal(borrow(2, other, now += 100), CORE_LENT);
    }
    assert_int_equal(core_give_back(&conn[2], now, &next, &nudge), CORE_NEXT_IDLE);
    w[2].who.function = NULL;
    assert_int_equal(borrow(2, other, now), CORE_LENT);
    assert_int_equal(core_give_back(&conn[2], now + 100, &next, &nudge), CORE_NEXT_CLOSE);
    core_conn_closed(&conn[2], now + 200, &nudge);
    assert_ptr_equal(plan(now + 200, CORE_ACT_OPEN).pool, p);
    assert_int_equal(core_opened(p, &conn[2], now + 300, &next), CORE_NEXT_LEND);
    assert_ptr_equal(core_waiter_take(&w[3]), &conn[2]);
    for (int i = 0; i < 3; i++)
        close_conn(i);
}

static void test_group_lowered_and_lifted(void **state)
{
    struct core_waiter *next;

    (void)state;
    lend_new(0, p, 10);
    lend_new(1, q, 10);
    lend_new(2, q, 10);
    assert_int_equal(core_give_back(&conn[0], 20, &next, &nudge), CORE_NEXT_IDLE);
    core_group_limit(g, 1);
    assert_ptr_equal(plan(30, CORE_ACT_CLOSE).conn, &conn[0]);
    assert_int_equal(core_give_back(&conn[1], 40, &next, &nudge), CORE_NEXT_CLOSE);
    assert_int_equal(core_give_back(&conn[2], 40, &next, &nudge), CORE_NEXT_IDLE);
    core_conn_closed(&conn[0], 50, &nudge);
    core_conn_closed(&conn[1], 50, &nudge);
    assert_int_equal(borrow(3, q, 60), CORE_LENT);
    assert_int_equal(borrow(0, p, 60), CORE_QUEUED);
    plan(60, CORE_ACT_NONE);
    core_group_limit(g, 0);
    assert_ptr_equal(plan(70, CORE_ACT_OPEN).pool, p);
    assert_int_equal(core_opened(p, &conn[0], 80, &next), CORE_NEXT_LEND);
    assert_ptr_equal(core_waiter_take(&w[0]), &conn[0]);
    close_conn(0);
    close_conn(2);
}

/* The minima of its pools stay inside. */
static void test_group_and_minima(void **state)
{
    const struct core_pool_limits min = {.min_conns = 2};
    struct core_waiter *next;

    (void)state;
    core_group_limit(g, 2);
    core_pool_limit(p, &min);
    core_pool_limit(q, &min);
    for (int i = 0; i < 2; i++) {
        struct core_pool *of = plan(10, CORE_ACT_OPEN).pool;
        assert_int_equal(core_opened(of, &conn[i], 10, &next), CORE_NEXT_IDLE);
    }
    plan(20, CORE_ACT_NONE);
    close_conn(0);
    close_conn(1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {CASE(test_retired),
                                       CASE(test_who_waits_is_told),
                                       CASE(test_retired_while_it_logs_in),
                                       CASE(test_new_settings_lift_a_refusal),
                                       CASE(test_a_missing_database_is_looked_for_again),
                                       CASE(test_group_shares),
                                       CASE(test_a_limit_of_a_group_is_learned),
                                       CASE(test_group_gives_what_idles),
                                       CASE(test_who_waits_gets_what_is_free),
                                       CASE(test_group_lowered_and_lifted),
                                       CASE(test_group_and_minima)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
