/* SPDX-License-Identifier: ISC
 * Comments around statements: what is found, what is not, and that cut texts read nothing beyond.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/comment/comment.h"

#include <stdlib.h>
#include <string.h>

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "traceparent='00-" TRACE "-00f067aa0ba902b7-01'"

static struct comment read_text(const char *text)
{
    struct comment c;
    size_t n = strlen(text);
    char *exact = malloc(n + 1); /* so that a sanitizer sees each byte too many */
    assert_non_null(exact);
    memcpy(exact, text, n);
    for (size_t i = 0; i <= n; i++) { /* cut anywhere: it may find less, and may not crash */
        char *cut = malloc(i != 0 ? i : 1);
        assert_non_null(cut);
        memcpy(cut, text, i);
        comment_read(cut, i, &c);
        free(cut);
    }
    comment_read(exact, n, &c);
    c.trace_id = c.trace_id != NULL ? text + (c.trace_id - exact) : NULL;
    free(exact);
    return c;
}

static void test_deadlines(void **state)
{
    static const struct {
        const char *text;
        uint32_t ms;
    } rows[] = {
        {"select 1", 0},
        {"", 0},
        {"/*/", 0},
        {"/**/", 0},
        {"select 1 /* deadline_ms=2500 */", 2500},
        {"select 1 /*deadline_ms=2500*/ ; \n", 2500},
        {"  /* deadline_ms=7 */ select 1", 7},
        {"/* deadline_ms=7 */ select 1 /* deadline_ms=8 */", 8},
        {"select 1 /*action='x',deadline_ms='90',z='1'*/", 90},
        {"select 1 /* deadline_ms=0 */", 1},
        {"select 1 /* deadline_ms=99999999999999999999 */", 86400000},
        {"select 1 /* deadline_ms= */", 0},
        {"select 1 /* deadline_ms=x */", 0},
        {"select 1 /* my_deadline_ms=5 */", 0},
        {"select 1 /* my_deadline_ms=5 deadline_ms=6 */", 6},
        {"select /* deadline_ms=5 */ 1", 0},
        {"select ' /* deadline_ms=5 */'", 0},
        {"select 1 -- deadline_ms=5", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(read_text(rows[i].text).deadline_ms, rows[i].ms);
}

static void test_traces(void **state)
{
    (void)state;
    static const char *const good[] = {
        "select 1 /*" PARENT "*/",
        "/*" PARENT "*/ select 1",
        "select 1 /*action='a',framework='b'," PARENT ",tracestate='c'*/;",
    };
    static const char *const bad[] = {
        "select 1 /*traceparent='00-" TRACE "*/",
        "select 1 /*traceparent='00-00000000000000000000000000000000-00f067aa0ba902b7-01'*/",
        "select 1 /*traceparent='00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01'*/",
        "select 1 /*traceparent=''*/",
        "select 1",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct comment c = read_text(good[i]);
        assert_non_null(c.trace_id);
        assert_memory_equal(c.trace_id, TRACE, TRACE_ID_BYTES);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(read_text(bad[i]).trace_id);
}

static void test_a_long_comment_is_not_read_to_its_end(void **state)
{
    (void)state;
    size_t n = 1000000;
    char *text = malloc(n);
    struct comment c;
    assert_non_null(text);
    memset(text, 'x', n);
    memcpy(text, "/* deadline_ms=5 ", 17);
    memcpy(text + n - 2, "*/", 2);
    comment_read(text, n, &c);
    assert_int_equal(c.deadline_ms, 0);
    free(text);
}

static void test_times(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint32_t ms;
    } rows[] = {{"2500", true, 2500},
                {" 2500 ", true, 2500},
                {"2500ms", true, 2500},
                {"2 s", true, 2000},
                {"1min", true, 60000},
                {"0", true, 0},
                {"", false, 0},
                {"s", false, 0},
                {"-1", false, 0},
                {"1.5", false, 0},
                {"1h", false, 0},
                {"2500 ms x", false, 0},
                {"9999999999s", true, 86400000}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t ms = 0;
        assert_int_equal(comment_read_ms(rows[i].text, strlen(rows[i].text), &ms), rows[i].ok);
        assert_int_equal(ms, rows[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_traces),
        cmocka_unit_test(test_a_long_comment_is_not_read_to_its_end),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
