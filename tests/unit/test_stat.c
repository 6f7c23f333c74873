/* SPDX-License-Identifier: ISC
 * Histograms and counters.
 */
#include "config.h"

#include "stat/counter.h"
#include "stat/histogram.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Every bucket begins where the one before ends, and a value lies in the bucket it is put in. */
static void test_buckets(void **state)
{
    (void)state;
    uint64_t begin = 0;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        uint64_t end = histogram_bucket_end_us(b);
        assert_true(end > begin);
        assert_int_equal(histogram_bucket(begin), b);
        assert_int_equal(histogram_bucket(end - 1), b);
        if (begin >= HISTOGRAM_SUB && end != UINT64_MAX)
            assert_true((end - begin) * HISTOGRAM_SUB <= begin); /* an eighth wide at most */
        begin = end;
    }
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void test_quantiles(void **state)
{
    (void)state;
    static struct histogram h;
    static struct histogram_view v;
    memset(&v, 0, sizeof v);
    assert_int_equal(histogram_quantile_us(&v, 0.5), 0);
    for (uint64_t us = 1; us <= 10000; us++)
        histogram_add(&h, us);
    histogram_merge(&v, &h);
    assert_int_equal(histogram_count(&v), 10000);
    assert_int_equal(v.sum_us, 50005000);
    static const double q[] = {0.01, 0.5, 0.95, 0.99, 1.0};
    for (size_t i = 0; i < sizeof q / sizeof q[0]; i++) {
        double is = (double)histogram_quantile_us(&v, q[i]);
        assert_true(is >= q[i] * 10000 * 15 / 16 - 1 && is <= q[i] * 10000 * 17 / 16 + 1);
    }
    assert_int_equal(histogram_below(&v, 8), 7);
    assert_int_equal(histogram_below(&v, 1024), 1023);
    assert_int_equal(histogram_below(&v, 1u << 20), 10000);
}

static void test_merge(void **state)
{
    (void)state;
    static struct histogram a, b;
    static struct histogram_view v;
    memset(&v, 0, sizeof v);
    histogram_add(&a, 5);
    histogram_add(&b, 5);
    histogram_add(&b, UINT64_C(1) << 40);
    histogram_merge(&v, &a);
    histogram_merge(&v, &b);
    assert_int_equal(v.bucket[5], 2);
    assert_int_equal(v.bucket[HISTOGRAM_BUCKETS - 1], 1);
    assert_int_equal(histogram_count(&v), 3);
    assert_int_equal(histogram_quantile_us(&v, 1.0), UINT64_C(1) << 33);
}

static void test_counters(void **state)
{
    (void)state;
    struct stat_counters a = {0}, b = {0};
    struct view_stats row = {0};
    stat_add(&a, STAT_XACTS, 2);
    stat_add(&b, STAT_XACTS, 3);
    stat_add(&b, STAT_PINS, 7);
    stat_merge(&row, &a);
    stat_merge(&row, &b);
    assert_int_equal(row.xact_count, 5);
    assert_int_equal(row.pins, 7);
    assert_int_equal(stat_value(&row, STAT_XACTS), 5);
    assert_int_equal(row.query_count, 0);
}

/* Each row has a place of its own in view_stats, and no field is without a row. */
static void test_rows(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct view_stats) - offsetof(struct view_stats, xact_count),
                     STAT_COUNTER_COUNT * sizeof(uint64_t));
    for (unsigned i = 0; i < STAT_COUNTER_COUNT; i++)
        for (unsigned j = 0; j < i; j++) {
            assert_int_not_equal(stat_rows[i].offset, stat_rows[j].offset);
            assert_string_not_equal(stat_rows[i].metric, stat_rows[j].metric);
        }
}

#define ADDS 200000
static void *adder(void *arg)
{
    for (unsigned i = 0; i < ADDS; i++)
        histogram_add(arg, i & 1023);
    return NULL;
}

/* A reader beside the owner sees counts that only grow (and ThreadSanitizer sees no race). */
static void test_reader(void **state)
{
    (void)state;
    static struct histogram h;
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, adder, &h), 0);
    uint64_t last = 0;
    while (last < ADDS) {
        struct histogram_view v = {0};
        histogram_merge(&v, &h);
        uint64_t n = histogram_count(&v);
        assert_true(n >= last);
        last = n;
    }
    assert_int_equal(last, ADDS);
    pthread_join(t, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets), cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_merge),   cmocka_unit_test(test_counters),
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
