/* SPDX-License-Identifier: ISC
 * The queue that is fair to addresses.
 */
#include "config.h"

#include "worker/turns.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

struct thing {
    struct turn_item item; /* first: an item is its thing */
    uint32_t who, n;
};

static void push(struct turns *t, struct thing *x, uint32_t who, uint32_t n)
{
    uint8_t addr[16] = {10, 0, (uint8_t)(who >> 8), (uint8_t)who};
    *x = (struct thing){.who = who, .n = n};
    turns_push(t, 4, addr, &x->item);
}

static struct thing *pop(struct turns *t)
{
    return (struct thing *)(void *)turns_pop(t);
}

static void oldest_first_for_one(void **state)
{
    (void)state;
    struct turns t;
    struct thing x[5];
    assert_true(turns_init(&t));
    assert_null(pop(&t));
    for (uint32_t i = 0; i < 5; i++)
        push(&t, &x[i], 1, i);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(pop(&t)->n, i);
    assert_null(pop(&t));
    turns_fini(&t);
}

static void one_of_each_address(void **state)
{
    (void)state;
    struct turns t;
    struct thing flood[100], other[3];
    assert_true(turns_init(&t));
    for (uint32_t i = 0; i < 100; i++)
        push(&t, &flood[i], 1, i);
    assert_int_equal(pop(&t)->who, 1);
    for (uint32_t i = 0; i < 3; i++)
        push(&t, &other[i], 2 + i / 2, i);
    static const uint32_t order[] = {1, 2, 3, 1, 2, 1, 1};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        assert_int_equal(pop(&t)->who, order[i]);
    turns_fini(&t);
}

static void what_is_taken_out_is_gone(void **state)
{
    (void)state;
    struct turns t;
    struct thing a[3], b;
    assert_true(turns_init(&t));
    for (uint32_t i = 0; i < 3; i++)
        push(&t, &a[i], 1, i);
    push(&t, &b, 2, 0);
    turns_remove(&t, &a[1].item);
    assert_null(a[1].item.turn);
    turns_remove(&t, &b.item);
    assert_int_equal(pop(&t)->n, 0);
    assert_int_equal(pop(&t)->n, 2);
    assert_null(pop(&t));
    push(&t, &b, 2, 7);
    assert_int_equal(pop(&t)->n, 7);
    turns_fini(&t);
}

/* A host has a /64 of IPv6 to itself; who comes by a Unix socket is one address. */
static void what_an_address_is(void **state)
{
    (void)state;
    struct turns t;
    struct thing x[7];
    uint8_t net[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1};
    static const uint8_t zero[16];
    assert_true(turns_init(&t));
    for (uint32_t i = 0; i < 4; i++) {
        x[i] = (struct thing){.who = 6};
        net[15] = (uint8_t)i;
        turns_push(&t, 6, net, &x[i].item);
    }
    for (uint32_t i = 4; i < 6; i++) {
        x[i] = (struct thing){.who = 0};
        turns_push(&t, 0, zero, &x[i].item);
    }
    net[7] = 2;
    x[6] = (struct thing){.who = 7};
    turns_push(&t, 6, net, &x[6].item);
    static const uint32_t order[] = {6, 0, 7, 6, 0, 6, 6};
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(pop(&t)->who, order[i]);
    turns_fini(&t);
}

/* Against a model: nobody is passed over twice by the same address. */
static void at_random(void **state)
{
    (void)state;
    enum { THINGS = 400, HOSTS = 7 };
    static struct thing x[THINGS];
    static bool in[THINGS];
    uint32_t passed[HOSTS][HOSTS] = {{0}}, waiting[HOSTS] = {0};
    struct turns t;
    assert_true(turns_init(&t));
    srandom(1);
    for (uint32_t step = 0; step < 200000; step++) {
        uint32_t i = (uint32_t)random() % THINGS, who = i % HOSTS;
        if (!in[i]) {
            push(&t, &x[i], who, step);
            waiting[who]++;
        } else if (random() % 4 == 0) {
            turns_remove(&t, &x[i].item);
            waiting[who]--;
        } else {
            struct thing *got = pop(&t);
            assert_non_null(got);
            i = (uint32_t)(got - x);
            who = got->who;
            assert_true(in[i]);
            waiting[who]--;
            for (uint32_t h = 0; h < HOSTS; h++) {
                passed[h][who] = h == who || waiting[h] == 0 ? 0 : passed[h][who] + 1;
                assert_true(passed[h][who] <= 1);
            }
            memset(passed[who], 0, sizeof passed[who]);
        }
        if (waiting[who] == 0)
            memset(passed[who], 0, sizeof passed[who]);
        in[i] = !in[i];
    }
    turns_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oldest_first_for_one),
        cmocka_unit_test(one_of_each_address),
        cmocka_unit_test(what_is_taken_out_is_gone),
        cmocka_unit_test(what_an_address_is),
        cmocka_unit_test(at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
