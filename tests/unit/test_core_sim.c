/* SPDX-License-Identifier: ISC
 * The core in a made-up world: thousands of clients, many pools, floods, failures. What is checked
 * is what users would notice: order, waits, throughput, nobody starved, the bound kept.
 */
#include "config.h"

#include "core_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)

static const struct core_server_limits LIM = {
    .bound = 20, .login_concurrency = 16, .login_retry_us = 5 * SECOND, .workers = 4};
static const struct core_pool_limits POOL = {.idle_timeout_us = 600 * SECOND};
static struct world_client *client;

static void clients_start(uint32_t n, uint32_t pools, uint64_t work_us, uint64_t think_us)
{
    client = calloc(n, sizeof *client);
    for (uint32_t i = 0; i < n; i++)
        world_client_start(&client[i], i % pools, (uint16_t)(i / pools % 4), work_us, think_us);
}

struct totals {
    uint64_t served, failed, expired, refused, worst_us, least;
};

static struct totals totals(uint32_t from, uint32_t n)
{
    struct totals t = {.least = UINT64_MAX};
    for (uint32_t i = from; i < from + n; i++) {
        const struct world_client *c = &client[i];
        t.served += c->served;
        t.failed += c->failed;
        t.expired += c->expired;
        t.refused += c->refused;
        t.least = c->served < t.least ? c->served : t.least;
        t.worst_us = c->worst_us > t.worst_us ? c->worst_us : t.worst_us;
    }
    return t;
}

static void report(const char *what, struct totals t)
{
    print_message("  %s: served %llu, least %llu, worst wait %.1f ms, failed %llu, expired %llu, "
                  "refused %llu, logins %llu\n",
                  what, (unsigned long long)t.served, (unsigned long long)t.least,
                  (double)t.worst_us / 1000, (unsigned long long)t.failed,
                  (unsigned long long)t.expired, (unsigned long long)t.refused,
                  (unsigned long long)world.logins);
}

static void finish(void)
{
    assert_true(world.peak <= 20);
    world_close();
    free(client);
}

static void test_ten_thousand_in_order(void **state)
{
    (void)state;
    world_open(&LIM, 1, &POOL);
    clients_start(10000, 1, 1000, 0);
    world_run(world.now_us + 5 * SECOND);
    struct totals t = totals(0, 10000);
    report("10,000 on 20", t);
    assert_int_equal(world.order_errors, 0);
    assert_true(t.served > 95000); /* 20 connections, 1 ms each, 5 s: 100,000 at best */
    assert_true(t.worst_us < 600000);
    assert_true(t.least >= 9);
    assert_int_equal(world.logins, 20);
    finish();
}

static void test_ten_pools_share_evenly(void **state)
{
    (void)state;
    world_open(&LIM, 10, &POOL);
    clients_start(1000, 10, 2000, 0);
    world_run(world.now_us + 10 * SECOND);
    struct totals t = totals(0, 1000);
    report("10 pools, 1,000 on 20", t);
    assert_true(t.served > 95000);
    assert_true(t.least > 80);
    assert_true(t.worst_us < 300000);
    assert_true(world.logins < 60); /* nothing goes to and fro */
    finish();
}

static void test_more_pools_than_slots(void **state)
{
    (void)state;
    world_open(&LIM, 200, &POOL);
    clients_start(2000, 200, 2000, 0);
    world_run(world.now_us + 20 * SECOND);
    struct totals t = totals(0, 2000);
    report("200 pools, 2,000 on 20", t);
    assert_true(t.served > 120000); /* of 200,000: the rest is logins */
    assert_true(t.least > 10);
    assert_true(t.worst_us < 2 * SECOND);
    finish();
}

static void test_flood_and_trickle(void **state)
{
    (void)state;
    world_open(&LIM, 2, &POOL);
    client = calloc(501, sizeof *client);
    for (uint32_t i = 0; i < 500; i++)
        world_client_start(&client[i], 0, (uint16_t)(i % 4), 5000, 0);
    world_run(world.now_us + SECOND);
    world_client_start(&client[500], 1, 0, 5000, 100000);
    world_run(world.now_us + 10 * SECOND);
    struct totals flood = totals(0, 500), trickle = totals(500, 1);
    report("flood", flood);
    report("trickle", trickle);
    assert_true(trickle.worst_us < 60000);
    assert_true(trickle.served > 75);
    assert_true(flood.served > 38000); /* of 44,000 */
    finish();
}

/* One pool's only connection is busy for minutes: its other clients get another one. */
static void test_long_loan_starves_nobody(void **state)
{
    (void)state;
    struct core_server_limits lim = LIM;
    lim.bound = 2;
    world_open(&lim, 2, &POOL);
    client = calloc(102, sizeof *client);
    for (uint32_t i = 0; i < 100; i++)
        world_client_start(&client[i], 0, (uint16_t)(i % 4), 5000, 0);
    world_client_start(&client[100], 1, 0, 300 * SECOND, 0);
    world_client_start(&client[101], 1, 1, 5000, 0);
    world_run(world.now_us + 60 * SECOND);
    report("beside a long loan", totals(101, 1));
    report("the other pool", totals(0, 100));
    assert_true(client[101].served >= 50);
    assert_true(client[101].worst_us < 1200000);
    assert_true(totals(0, 100).least > 20);
    world_run(world.now_us + 300 * SECOND);
    finish();
}

static void test_restart_is_a_delay(void **state)
{
    (void)state;
    world_open(&LIM, 1, &POOL);
    world.down = true;
    world.timeout_us = 10 * SECOND;
    clients_start(200, 1, 1000, 1000);
    world_run(world.now_us + 3 * SECOND);
    struct totals t = totals(0, 200);
    assert_int_equal(t.failed + t.expired + t.refused + t.served, 0);
    world.down = false;
    world_run(world.now_us + 8 * SECOND);
    t = totals(0, 200);
    report("after 3 s of restart", t);
    assert_int_equal(t.failed + t.expired + t.refused, 0);
    assert_true(t.served > 20000);
    finish();
}

static void test_down_is_told(void **state)
{
    char sqlstate[6], text[64];

    (void)state;
    world_open(&LIM, 1, &POOL);
    world.down = true;
    world.timeout_us = 60 * SECOND;
    clients_start(200, 1, 1000, 1000);
    world_run(world.now_us + 12 * SECOND);
    struct totals t = totals(0, 200);
    report("12 s down", t);
    assert_true(t.failed >= 200);
    assert_true(t.refused > 1000);
    assert_true(core_pool_failure(world.pool[0], sqlstate, text, sizeof text));
    assert_string_equal(sqlstate, "08006");
    assert_string_equal(text, "no route");
    world.down = false;
    world_run(world.now_us + 8 * SECOND);
    assert_true(totals(0, 200).served > 1000); /* the schedule's probe found it up */
    assert_false(core_pool_failure(world.pool[0], sqlstate, text, sizeof text));
    finish();
}

static void test_server_with_less_room(void **state)
{
    (void)state;
    world_open(&LIM, 3, &POOL);
    world.accepts = 7;
    clients_start(300, 3, 2000, 0);
    world_run(world.now_us + 20 * SECOND);
    struct totals t = totals(0, 300);
    report("7 of 20 allowed", t);
    assert_int_equal(t.failed + t.refused, 0);
    assert_true(t.served > 60000); /* of 70,000 */
    assert_true(t.least > 150);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_thousand_in_order),
        cmocka_unit_test(test_ten_pools_share_evenly),
        cmocka_unit_test(test_more_pools_than_slots),
        cmocka_unit_test(test_flood_and_trickle),
        cmocka_unit_test(test_long_loan_starves_nobody),
        cmocka_unit_test(test_restart_is_a_delay),
        cmocka_unit_test(test_down_is_told),
        cmocka_unit_test(test_server_with_less_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
