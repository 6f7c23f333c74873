/* SPDX-License-Identifier: ISC
 * Cron expressions, and the items of `warm`.
 */
#include "config.h"

#include "conf/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Does the expression hold at this time (UTC, as the calendar has it)? */
static bool at(const char *expression, const char *when)
{
    struct cron c;
    struct err e = {""};
    struct tm tm;
    memset(&tm, 0, sizeof tm);
    assert_non_null(strptime(when, "%Y-%m-%d %H:%M", &tm));
    if (!cron_parse(expression, strlen(expression), &c, &e))
        fail_msg("%s: %s", expression, e.text);
    return cron_matches(&c, &tm);
}

static void test_matches(void **state)
{
    (void)state;
    /* 2026-11-24 is a Tuesday. */
    static const struct {
        const char *expression, *when;
        bool yes;
    } cases[] = {
        {"* * * * *", "2026-11-24 10:55", true},
        {"0 8 * * 1-5", "2026-11-24 08:00", true},
        {"0 8 * * 1-5", "2026-11-24 08:01", false},
        {"0 8 * * 1-5", "2026-11-22 08:00", false},
        {"0 8 * * mon-fri", "2026-11-27 08:00", true},
        {"0 8 * * 0", "2026-11-22 08:00", true},
        {"0 8 * * 7", "2026-11-22 08:00", true},
        {"0 8 * * 5-7", "2026-11-22 08:00", true},
        {"*/15 * * * *", "2026-11-24 10:45", true},
        {"*/15 * * * *", "2026-11-24 10:50", false},
        {"5-20/5 * * * *", "2026-11-24 10:20", true},
        {"5-20/5 * * * *", "2026-11-24 10:25", false},
        {"0,30,59 6,18 * * *", "2026-11-24 18:59", true},
        {"0 0 1 JAN,Jul *", "2026-07-01 00:00", true},
        {"0 0 1 JAN,Jul *", "2026-08-01 00:00", false},
        {"0 0 31 12 *", "2026-12-31 00:00", true},
        {" 59\t23 * * * ", "2026-11-24 23:59", true},
        /* Both days restricted: one is enough. One of them *: both must hold. */
        {"0 0 13 * 5", "2026-11-13 00:00", true},
        {"0 0 13 * 5", "2026-11-20 00:00", true},
        {"0 0 13 * 2", "2026-11-13 00:00", true},
        {"0 0 13 * 2", "2026-11-12 00:00", false},
        {"0 0 13 * *", "2026-11-20 00:00", false},
        {"0 0 */2 * 2", "2026-11-24 00:00", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (at(cases[i].expression, cases[i].when) != cases[i].yes)
            fail_msg("%s at %s", cases[i].expression, cases[i].when);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "* * * *",
                                      "* * * * * *",
                                      "60 * * * *",
                                      "* 24 * * *",
                                      "* * 0 * *",
                                      "* * 32 * *",
                                      "* * * 13 *",
                                      "* * * 0 *",
                                      "* * * * 8",
                                      "5- * * * *",
                                      "9-5 * * * *",
                                      "*/0 * * * *",
                                      "5/2 * * * *",
                                      "1,,2 * * * *",
                                      "1, * * * *",
                                      "-1 * * * *",
                                      "foo * * * *",
                                      "99999999999999999999 * * * *",
                                      "* * * * mo"};
    struct cron c;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {""};
        if (cron_parse(bad[i], strlen(bad[i]), &c, &e))
            fail_msg("%s was taken", bad[i]);
        assert_true(e.text[0] != '\0');
    }
}

static void test_warm(void **state)
{
    (void)state;
    const char *text = "20 at \"0 8 * * 1-5\", 5 AT '0 20 * * *'";
    struct warm w;
    struct err e;
    assert_true(warm_next(&text, &w, &e));
    assert_int_equal(w.n, 20);
    assert_true(w.at.hours == 1u << 8);
    assert_true(warm_next(&text, &w, &e));
    assert_int_equal(w.n, 5);
    assert_false(warm_next(&text, &w, &e));
    assert_string_equal(e.text, "");
    static const char *const bad[] = {"20",
                                      "at \"* * * * *\"",
                                      "0 at \"* * * * *\"",
                                      "100001 at \"* * * * *\"",
                                      "20 at * * * * *",
                                      "20 at \"* * * * *",
                                      "20 at \"* * * *\"",
                                      "20 at \"* * * * *\" 5 at \"* * * * *\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        text = bad[i];
        if (warm_next(&text, &w, &e) || e.text[0] == '\0')
            fail_msg("%s was taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_warm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
