/* SPDX-License-Identifier: ISC
 * Functions share twenty connections in a made-up world: what each gets, how long it waits, what a
 * guarantee and a limit are worth. Exponential times from a fixed seed: each run is the same.
 */
#include "config.h"

#include "core_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND  UINT64_C(1000000)
#define SECONDS 60u

static const struct core_server_limits LIM = {
    .bound = 20, .login_concurrency = 16, .login_retry_us = 5 * SECOND, .workers = 4};
static const struct core_pool_limits POOL = {.idle_timeout_us = 600 * SECOND};

/* The talk's shop: containers, how long each thinks and works. */
struct kind {
    const char *name;
    uint32_t containers;
    uint64_t think_us, work_us;
    double by_function, in_order; /* transactions a second that a simulation of the two policies
                                     apart from this one gave */
};
static const struct kind SHOP[] = {
    {"getUsers", 30, 20000, 5000, 933, 97},
    {"updateUser", 30, 40000, 15000, 360, 88},
    {"saveUser", 50, 1000, 150000, 44, 116},
    {"deleteUser", 30, 60000, 8000, 419, 84},
};
enum { KINDS = sizeof SHOP / sizeof SHOP[0], CLIENTS = 140 };

static struct world_client client[CLIENTS];
static struct core_function *function[KINDS];
static double rate[KINDS];
static uint64_t worst_us[KINDS];

/* `pool`: in which each function's clients borrow, NULL: all in one. */
static void start_in(const struct core_function_limits *lim, bool by_function, const uint32_t *pool)
{
    uint32_t at = 0;
    memset(client, 0, sizeof client);
    world_open(&LIM, pool != NULL ? KINDS : 1, &POOL);
    for (uint32_t k = 0; k < KINDS; k++) {
        function[k] = core_function_create(world.server, SHOP[k].name, &lim[k]);
        assert_non_null(function[k]);
        for (uint32_t i = 0; i < SHOP[k].containers; i++, at++) {
            client[at].random = true;
            client[at].function = by_function ? function[k] : NULL;
            world_client_start(&client[at], pool != NULL ? pool[k] : 0, (uint16_t)(at % 4),
                               SHOP[k].work_us, SHOP[k].think_us);
        }
    }
}

static void start(const struct core_function_limits *lim, bool by_function)
{
    start_in(lim, by_function, NULL);
}

static uint64_t served(uint32_t from, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = from; i < from + n; i++)
        sum += client[i].served;
    return sum;
}

/* Let it settle, then count. */
static double measure(const char *what)
{
    uint64_t before[KINDS];
    double sum = 0;
    world_run(world.now_us + 10 * SECOND);
    for (uint32_t k = 0, at = 0; k < KINDS; at += SHOP[k++].containers)
        before[k] = served(at, SHOP[k].containers);
    for (uint32_t i = 0; i < CLIENTS; i++)
        client[i].worst_us = 0;
    world_run(world.now_us + SECONDS * SECOND);
    for (uint32_t k = 0, at = 0; k < KINDS; at += SHOP[k++].containers) {
        rate[k] = (double)(served(at, SHOP[k].containers) - before[k]) / SECONDS;
        worst_us[k] = 0;
        for (uint32_t i = at; i < at + SHOP[k].containers; i++)
            if (client[i].worst_us > worst_us[k])
                worst_us[k] = client[i].worst_us;
        sum += rate[k];
        print_message("  %s: %-10s %6.1f a second, longest wait %.0f ms\n", what, SHOP[k].name,
                      rate[k], (double)worst_us[k] / 1000);
    }
    assert_true(world.peak <= LIM.bound);
    return sum;
}

static const struct core_function_limits EQUAL[KINDS] = {
    {.weight = 1}, {.weight = 1}, {.weight = 1}, {.weight = 1}};

static void test_shop_by_function(void **state)
{
    (void)state;
    start(EQUAL, true);
    double sum = measure("by function");
    for (uint32_t k = 0; k < KINDS; k++) {
        assert_true(rate[k] > SHOP[k].by_function * 0.9);
        assert_true(rate[k] < SHOP[k].by_function * 1.1);
    }
    assert_true(sum > 1755 * 0.9);
    world_close();
}

static void test_shop_in_order(void **state)
{
    (void)state;
    start(EQUAL, false);
    double sum = measure("in order");
    for (uint32_t k = 0; k < KINDS; k++) {
        assert_true(rate[k] > SHOP[k].in_order * 0.9);
        assert_true(rate[k] < SHOP[k].in_order * 1.1);
    }
    assert_true(sum < 385 * 1.1);
    world_close();
}

static void watch_limits(void *subject)
{
    const struct core_function_limits *lim = subject;
    for (uint32_t k = 0; k < KINDS; k++) {
        struct core_function_counts n;
        core_function_counts(function[k], world.now_us, &n);
        assert_true(lim[k].limit == 0 || n.lent <= lim[k].limit);
    }
    if (world.now_us < 70 * SECOND)
        world_at(world.now_us + 997, watch_limits, subject);
}

static void test_limits_are_never_exceeded(void **state)
{
    (void)state;
    static struct core_function_limits lim[KINDS] = {
        {.weight = 2, .limit = 4}, {.weight = 1}, {.weight = 1, .limit = 5}, {.weight = 7}};
    start(lim, true);
    world_at(world.now_us, watch_limits, lim);
    (void)measure("limits 4, -, 5, -");
    for (uint32_t k = 0; k < KINDS; k++)
        assert_true(rate[k] > 0);
    world_close();
}

/* saveUser has what nobody else asks for; who has a guarantee waits for one of its loans to end, of
 * twenty, and no longer. */
static const struct core_function_limits GUARANTEED[KINDS] = {
    {.weight = 1, .guarantee = 8}, {.weight = 1}, {.weight = 1000}, {.weight = 1}};
static const double LONE = 30 / 0.025; /* nobody else there: 30 containers, 25 ms a turn */

static void test_guarantee_is_kept_within_a_loan(void **state)
{
    (void)state;
    start(GUARANTEED, true);
    (void)measure("guarantee 8 for getUsers");
    assert_true(rate[0] > LONE * 0.85);
    assert_true(worst_us[0] < 150000);
    world_close();
}

/* ---- functions that log in as users of their own, or use databases of their own ----
 *
 * A connection can't pass from one pool to another but by a close and a login. The order is the
 * same; what it costs is bounded. */

static const uint32_t OWN[KINDS] = {0, 1, 2, 3}, APART[KINDS] = {0, 0, 1, 0};

static void measure_in(const struct core_function_limits *lim, const uint32_t *pool,
                       const char *what)
{
    start_in(lim, true, pool);
    uint64_t before = world.logins;
    (void)measure(what);
    print_message("  %s: %u logins a second\n", what,
                  (unsigned)((world.logins - before) / (SECONDS + 10)));
    assert_true(world.logins - before < (SECONDS + 10) * 100);
    world_close();
}

static void test_shop_in_several_pools(void **state)
{
    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        measure_in(EQUAL, apart ? APART : OWN, apart ? "saveUser apart" : "a pool each");
        for (uint32_t k = 0; k < KINDS; k++)
            assert_true(rate[k] > SHOP[k].by_function * (k == 2 ? 0.7 : 0.85));
    }
}

static void test_weights_hold_across_pools(void **state)
{
    (void)state;
    static const struct core_function_limits lim[KINDS] = {
        {.weight = 1}, {.weight = 1}, {.weight = 7}, {.weight = 1}};
    double in_one[KINDS];
    measure_in(lim, NULL, "weight 7 for saveUser");
    memcpy(in_one, rate, sizeof rate);
    measure_in(lim, OWN, "the same, a pool each");
    for (uint32_t k = 0; k < KINDS; k++) {
        assert_true(rate[k] > in_one[k] * 0.85);
        assert_true(rate[k] < in_one[k] * 1.15);
    }
}

static void test_guarantee_holds_across_pools(void **state)
{
    (void)state;
    measure_in(GUARANTEED, OWN, "guarantee 8 for getUsers, a pool each");
    assert_true(rate[0] > LONE * 0.85);
    assert_true(worst_us[0] < 150000);
}

/* ---- one address can't take everything ---- */

static uint8_t hoarder[CORE_ADDR_BYTES] = {10, 0, 0, 1}, others[CLIENTS][CORE_ADDR_BYTES];
static uint32_t hoard_most, hoard_limit;

static void watch_hoarder(void *subject)
{
    uint32_t n = 0;
    (void)subject;
    for (uint32_t i = 0; i < CLIENTS; i++)
        n += client[i].addr == hoarder && client[i].conn != NULL;
    if (n > hoard_most)
        hoard_most = n;
    assert_true(hoard_limit == 0 || n <= hoard_limit);
    if (world.now_us < 150 * SECOND)
        world_at(world.now_us + 997, watch_hoarder, NULL);
}

/* saveUser's fifty are one address. With a limit of three the others hardly notice it, it is served
 * all the time, and nothing is lost when the limit changes while they wait. */
static void test_an_address_is_limited(void **state)
{
    struct core_server_limits lim = LIM;
    (void)state;
    lim.max_per_addr = hoard_limit = 3;
    start(EQUAL, false);
    core_server_limit(world.server, &lim);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        others[i][0] = 10;
        others[i][1] = 1;
        others[i][3] = (uint8_t)i;
        client[i].addr = i >= 60 && i < 110 ? hoarder : others[i];
    }
    world_at(world.now_us, watch_hoarder, NULL);
    (void)measure("3 for saveUser's address");
    assert_int_equal(hoard_most, 3);
    assert_true(rate[2] > 3 / 0.15 * 0.8); /* it has its three nearly always */
    assert_true(rate[0] > SHOP[0].by_function);
    lim.max_per_addr = hoard_limit = 0;
    core_server_limit(world.server, &lim);
    world_run(world.now_us + 10 * SECOND);
    assert_true(hoard_most > 10);
    uint64_t before = served(60, 50);
    lim.max_per_addr = 1; /* who has more keeps it until it ends */
    core_server_limit(world.server, &lim);
    world_run(world.now_us + 10 * SECOND);
    hoard_limit = 1;
    world_run(world.now_us + 20 * SECOND);
    assert_true(served(60, 50) > before + 100);
    world_close();
}

/* Whoever waits for its own address leaves as its deadline says. */
static void test_held_ones_expire(void **state)
{
    struct core_server_limits lim = LIM;
    (void)state;
    lim.max_per_addr = 1;
    start(EQUAL, true);
    core_server_limit(world.server, &lim);
    world.timeout_us = SECOND;
    for (uint32_t i = 60; i < 110; i++)
        client[i].addr = hoarder;
    world_run(world.now_us + 30 * SECOND);
    uint64_t expired = 0;
    for (uint32_t i = 60; i < 110; i++) {
        expired += client[i].expired;
        assert_true(client[i].worst_us <= SECOND);
    }
    assert_true(expired > 1000);
    assert_true(served(60, 50) > 30 / 0.15 * 0.7);
    world.timeout_us = 0;
    world_close();
}

/* ---- overload ---- */

enum { RUSH = 80 };

/* Eighty containers of one function ask a database that can do half of it; each waits a second at
 * most. Answers the mean wait of those served, and the shortest after which one was told. */
static double rush(uint64_t overload_after_us, uint64_t *told_us, uint64_t *all_served)
{
    struct core_server_limits lim = LIM;
    const struct core_function_limits one = {.weight = 1};
    lim.bound = 2;
    lim.overload_after_us = overload_after_us;
    memset(client, 0, sizeof client);
    world_open(&lim, 1, &POOL);
    world.timeout_us = SECOND;
    function[0] = core_function_create(world.server, "rush", &one);
    for (uint32_t i = 0; i < RUSH; i++) {
        client[i].random = true;
        client[i].function = function[0];
        world_client_start(&client[i], 0, (uint16_t)(i % 4), 50000, 1000000);
    }
    world_run(world.now_us + SECONDS * SECOND);
    uint64_t wait_us = 0, served_n = 0, expired = 0;
    *told_us = UINT64_MAX;
    for (uint32_t i = 0; i < RUSH; i++) {
        wait_us += client[i].wait_us;
        served_n += client[i].served;
        expired += client[i].expired;
        assert_true(client[i].served > 0);
        assert_true(client[i].worst_us <= SECOND);
        if (client[i].told_us != 0 && client[i].told_us < *told_us)
            *told_us = client[i].told_us;
    }
    double mean_ms = (double)wait_us / (double)served_n / 1000;
    print_message(
        "  overload_after %3u ms: %u served after %.0f ms, %u told, the first after %u ms\n",
        (unsigned)(overload_after_us / 1000), (unsigned)served_n, mean_ms, (unsigned)expired,
        (unsigned)(*told_us / 1000));
    *all_served = served_n;
    assert_true(expired > 100);
    world.timeout_us = 0;
    world_close();
    return mean_ms;
}

/* Oldest first, who is served has waited for nearly as long as it may, and who isn't is told at the
 * very end. Newest first, answers are quick and the hopeless are told with half of their time left.
 */
static void test_overload_serves_the_newest(void **state)
{
    uint64_t told_us, served_in_order, served_newest;
    (void)state;
    double in_order = rush(0, &told_us, &served_in_order);
    assert_true(told_us >= SECOND);
    double newest = rush(100000, &told_us, &served_newest);
    assert_true(newest < in_order / 2);
    assert_true(told_us < SECOND * 6 / 10);
    assert_true(served_newest > served_in_order * 9 / 10); /* the connections are as busy */
}

/* Every connection hangs behind one lock for most of the time that a waiter has, and then all are
 * free: nobody is past hope, as each is served within milliseconds. */
static void test_a_stall_that_is_over_is_no_overload(void **state)
{
    enum { HOLDERS = 6, WAITERS_THEN = 24 };
    struct core_server_limits lim = LIM;
    const struct core_function_limits one = {.weight = 1};
    (void)state;
    lim.bound = HOLDERS;
    lim.overload_after_us = 100000;
    memset(client, 0, sizeof client);
    world_open(&lim, 1, &POOL);
    world.timeout_us = 5 * SECOND;
    function[0] = core_function_create(world.server, "stalled", &one);
    for (uint32_t i = 0; i < HOLDERS + WAITERS_THEN; i++)
        client[i].function = function[0];
    /* Before it a queue forms now and then, and is empty again at once. */
    for (uint32_t i = 0; i < HOLDERS + 2; i++)
        world_client_start(&client[i], 0, (uint16_t)(i % 4), 1000, 400000);
    world_run(world.now_us + 8 * SECOND);
    for (uint32_t i = 0; i < HOLDERS; i++)
        client[i].work_us = 3 * SECOND;
    world_run(world.now_us + SECOND / 2);
    for (uint32_t i = 0; i < HOLDERS; i++)
        client[i].think_us = 10 * SECOND;
    for (uint32_t i = HOLDERS + 2; i < HOLDERS + WAITERS_THEN; i++)
        world_client_start(&client[i], 0, (uint16_t)(i % 4), 1000, 10 * SECOND);
    world_run(world.now_us + 6 * SECOND);
    for (uint32_t i = HOLDERS + 2; i < HOLDERS + WAITERS_THEN; i++) {
        assert_int_equal(client[i].served, 1);
        assert_int_equal(client[i].expired, 0);
        assert_true(client[i].worst_us > 2 * SECOND);
    }
    world.timeout_us = 0;
    world_close();
}

/* The same, and of those who give back one brings a time before the one of who did so last: each
 * worker has its own. */
static void test_a_stall_is_over_in_workers_whose_clocks_differ(void **state)
{
    enum { HOLDERS = 6, WAITING = 64, SKEW_US = 1500 };
    static struct core_waiter w[HOLDERS + WAITING];
    static struct core_conn conn[HOLDERS];
    struct core_server_limits lim = LIM;
    const struct core_function_limits one = {.weight = 1};
    struct core_waiter *next;
    struct core_conn *none;
    struct core_plan plan;
    bool nudge;
    (void)state;
    memset(w, 0, sizeof w);
    memset(conn, 0, sizeof conn);
    lim.bound = HOLDERS;
    lim.overload_after_us = 100000;
    struct core_server *s = core_server_create("db", &lim, 1);
    struct core_pool *p = core_pool_create(s, "shop/app", &POOL, NULL);
    struct core_function *f = core_function_create(s, "stalled", &one);
    uint64_t now_us = SECOND, served_n = 0;
    for (uint32_t i = 0; i < HOLDERS + WAITING; i++) {
        w[i].pool = p;
        w[i].who.function = f;
        w[i].worker = (uint16_t)(i % 4);
        w[i].deadline_us = now_us + 5 * SECOND;
        assert_int_equal(core_borrow(&w[i], now_us, &none, &nudge), CORE_QUEUED);
    }
    for (uint32_t i = 0; i < HOLDERS; i++, now_us += 1000) {
        core_plan(s, now_us, &plan);
        assert_int_equal(plan.action, CORE_ACT_OPEN);
        assert_int_equal(core_opened(p, &conn[i], now_us, &next), CORE_NEXT_LEND);
        assert_ptr_equal(core_waiter_take(next), &conn[i]);
    }
    now_us += 3 * SECOND;
    for (uint32_t i = 0; served_n < WAITING; i++, now_us += 1000) {
        struct core_conn *c = &conn[i % HOLDERS];
        uint64_t its_us = i == 1 ? now_us - SKEW_US : now_us;
        assert_int_equal(core_give_back(c, its_us, &next, &nudge), CORE_NEXT_LEND);
        assert_ptr_equal(next, &w[HOLDERS + i]); /* in order: nobody was told that it is in vain */
        assert_ptr_equal(core_waiter_take(next), c);
        served_n++;
    }
    for (uint32_t i = 0; i < HOLDERS; i++) {
        (void)core_conn_break(&conn[i], now_us);
        core_conn_closed(&conn[i], now_us, &nudge);
    }
    core_pool_destroy(&p);
    core_server_destroy(&s);
}

/* ---- what a decision costs ---- */

enum { FUNCTIONS = 4096, WAITERS = 20000, LOANS = 20, DECISIONS = 40000 };
/* Each of the few heaps that a decision touches has at most this many levels. */
enum { LEVELS = 15, TOUCHED = 6 };

static void queue_one(struct core_server *s, struct core_pool *p, struct core_function **f,
                      struct core_waiter *w, uint64_t now_us)
{
    static uint32_t seed = 1;
    struct core_conn *conn;
    bool nudge;
    seed = seed * 1664525u + 1013904223u;
    w->pool = p;
    w->who.function = f[(seed >> 8) % FUNCTIONS];
    w->worker = (uint16_t)(seed >> 30);
    w->deadline_us = now_us + 100 * SECOND + (seed >> 4) % SECOND;
    assert_int_equal(core_borrow(w, now_us, &conn, &nudge), CORE_QUEUED);
    assert_null(conn);
    (void)s;
}

static void test_cost_of_a_decision(void **state)
{
    static struct core_waiter w[WAITERS];
    static struct core_function *f[FUNCTIONS];
    static struct core_conn conn[LOANS];
    struct core_waiter *next;
    bool nudge;
    (void)state;
    memset(w, 0, sizeof w);
    struct core_server *s = core_server_create("db", &LIM, 1);
    struct core_pool *p = core_pool_create(s, "shop/app", &POOL, NULL);
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        const struct core_function_limits lim = {.weight = 1 + i % 1000, .limit = 1 + i % 5};
        char name[16];
        snprintf(name, sizeof name, "f%u", i);
        f[i] = core_function_create(s, name, &lim);
    }
    for (uint32_t i = 0; i < WAITERS; i++)
        queue_one(s, p, f, &w[i], i);
    struct core_plan plan;
    for (uint32_t i = 0; i < LOANS;) {
        uint64_t now_us = WAITERS + i;
        core_plan(s, now_us, &plan);
        assert_int_equal(plan.action, CORE_ACT_OPEN);
        assert_int_equal(core_opened(p, &conn[i++], now_us, &next), CORE_NEXT_LEND);
        assert_ptr_equal(core_waiter_take(next), &conn[i - 1]);
        queue_one(s, p, f, next, now_us);
    }
    uint64_t most = 0, sum = 0;
    for (uint32_t i = 0; i < DECISIONS; i++) {
        uint64_t now_us = 2 * WAITERS + i, before = core_server_moves(s);
        assert_int_equal(core_give_back(&conn[i % LOANS], now_us, &next, &nudge), CORE_NEXT_LEND);
        uint64_t moves = core_server_moves(s) - before;
        assert_ptr_equal(core_waiter_take(next), &conn[i % LOANS]);
        queue_one(s, p, f, next, now_us);
        sum += moves;
        most = moves > most ? moves : most;
    }
    print_message("  %d functions, %d waiters: %.1f steps a decision, at most %u\n", FUNCTIONS,
                  WAITERS, (double)sum / DECISIONS, (unsigned)most);
    assert_true(most <= LEVELS * TOUCHED);
    for (uint32_t i = 0; i < WAITERS; i++)
        if (w[i].state == WAITER_QUEUED)
            assert_true(core_leave(&w[i]));
    for (uint32_t i = 0; i < LOANS; i++) {
        (void)core_conn_break(&conn[i], 3 * WAITERS);
        core_conn_closed(&conn[i], 3 * WAITERS, &nudge);
    }
    core_pool_destroy(&p);
    core_server_destroy(&s);
}

static void test_nobody_starves(void **state)
{
    (void)state;
    static const uint32_t weights[][KINDS] = {
        {1, 1, 1, 1}, {1000, 1, 1, 1}, {1, 1, 1000, 1}, {1, 1000, 1000, 1000}, {3, 50, 700, 2}};
    static const uint32_t *const pools[] = {NULL, OWN, APART};
    for (size_t i = 0; i < sizeof weights / sizeof weights[0] * 3; i++) {
        struct core_function_limits lim[KINDS] = {{0}};
        for (uint32_t k = 0; k < KINDS; k++)
            lim[k].weight = weights[i / 3][k];
        start_in(lim, true, pools[i % 3]);
        world_run(world.now_us + SECONDS * SECOND);
        for (uint32_t c = 0; c < CLIENTS; c++)
            assert_true(client[c].served > 0);
        world_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shop_by_function),
        cmocka_unit_test(test_shop_in_order),
        cmocka_unit_test(test_limits_are_never_exceeded),
        cmocka_unit_test(test_guarantee_is_kept_within_a_loan),
        cmocka_unit_test(test_nobody_starves),
        cmocka_unit_test(test_shop_in_several_pools),
        cmocka_unit_test(test_weights_hold_across_pools),
        cmocka_unit_test(test_guarantee_holds_across_pools),
        cmocka_unit_test(test_an_address_is_limited),
        cmocka_unit_test(test_held_ones_expire),
        cmocka_unit_test(test_overload_serves_the_newest),
        cmocka_unit_test(test_a_stall_that_is_over_is_no_overload),
        cmocka_unit_test(test_a_stall_is_over_in_workers_whose_clocks_differ),
        cmocka_unit_test(test_cost_of_a_decision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
