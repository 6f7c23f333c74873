/* SPDX-License-Identifier: ISC
 * Lines of the log: one line each, in every format, whatever is in the values.
 */
#include "config.h"

#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char line[8192];

/* What the line with these fields looks like. */
static const char *written(enum log_format format, const char *name, const char *message)
{
    int fds[2];
    struct log_fields f;
    assert_int_equal(pipe(fds), 0);
    log_configure(LOG_LEVEL_INFO, format, fds[1]);
    log_fields_begin(&f);
    log_field(&f, "faas.name", name);
    log_field(&f, "event.reason", "");
    log_field(&f, "trace.id", "4bf92f3577b34da6a3ce929d0e0e4736");
    log_field_int(&f, "weir.statements", 3);
    log_field_ms(&f, "weir.wait_ms", 41007);
    log_write_with(LOG_LEVEL_INFO, "client 1", &f, "%s", message);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, 2);
    close(fds[1]);
    ssize_t n = read(fds[0], line, sizeof line - 1);
    close(fds[0]);
    assert_true(n > 0);
    line[n] = '\0';
    assert_ptr_equal(strchr(line, '\n'), line + n - 1);
    return line;
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no %s in %s", part, text);
}

static void test_text(void **state)
{
    (void)state;
    const char *l = written(LOG_FORMAT_TEXT, "getUsers", "loan ended");
    has(l,
        " info client 1: loan ended faas.name=getUsers trace.id=4bf92f3577b34da6a3ce929d0e0e4736 "
        "weir.statements=3 weir.wait_ms=41.007\n");
    has(written(LOG_FORMAT_TEXT, "a \"b\"\nc", "x"), " faas.name=\"a \\\"b\\\"\\u000ac\"");
}

static void test_json(void **state)
{
    (void)state;
    static const char fields[] = "\"faas.name\":\"a\\\"b\\\\\\u000a\","
                                 "\"trace.id\":\"4bf92f3577b34da6a3ce929d0e0e4736\","
                                 "\"weir.statements\":3,\"weir.wait_ms\":41.007}\n";
    has(written(LOG_FORMAT_JSON, "a\"b\\\n", "x"), fields);
    for (enum log_format form = LOG_FORMAT_JSON; form <= LOG_FORMAT_ECS; form++) {
        const char *l = written(form, "a\"b\\\n", "loan ended");
        has(l, fields);
        assert_memory_equal(l, "{\"@timestamp\":\"2", 16);
        has(l, "\"log.level\":\"info\",\"message\":\"loan ended\",\"ecs.version\":\"");
    }
}

static void test_gcp(void **state)
{
    (void)state;
    unsetenv("GOOGLE_CLOUD_PROJECT");
    const char *l = written(LOG_FORMAT_GCP, "f", "x");
    assert_memory_equal(l, "{\"time\":\"2", 10); /* what Cloud Logging takes for the entry's */
    has(l, "Z\",\"severity\":\"INFO\"");
    has(l, "\"logging.googleapis.com/trace\":\"4bf92f3577b34da6a3ce929d0e0e4736\"");
    setenv("GOOGLE_CLOUD_PROJECT", "p1", 1);
    has(written(LOG_FORMAT_GCP, "f", "x"),
        "\"logging.googleapis.com/trace\":\"projects/p1/traces/4bf92f3577b34da6a3ce929d0e0e4736\"");
}

/* A field that has no room is left out as a whole; the line stays one. */
static void test_full(void **state)
{
    (void)state;
    struct log_fields f;
    char text[400];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    log_fields_begin(&f);
    for (int i = 0; i < 5; i++)
        log_field(&f, "weir.database", text);
    assert_true(f.n < sizeof f.text && f.text[f.n] == '\0');
    assert_int_equal(f.n, 3 * (strlen(" weir.database=") + 399));
    log_field_int(&f, "weir.statements", 7);
    has(f.text, " weir.statements=7");
}

/* A reader that stands still: nobody waits for it, and it hears how much it has missed. */
static void test_unread(void **state)
{
    int fds[2];
    (void)state;
    assert_int_equal(pipe(fds), 0);
    int room = fcntl(fds[1], F_SETPIPE_SZ, 8192);
    assert_true(room >= 8192);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, fds[1]);
    for (int i = 0; i < 1000; i++)
        log_info("x", "%03d with some words behind it, so that a thousand are far too many", i);
    char all[65536];
    size_t n = 0;
    struct pollfd p = {.fd = fds[0], .events = POLLIN};
    for (int i = 0; i < 2; i++) {
        while (poll(&p, 1, 0) == 1)
            n += (size_t)read(fds[0], all + n, sizeof all - 1 - n);
        if (i == 0)
            log_info("x", "read again");
    }
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, 2);
    all[n] = '\0';
    unsigned lines = 0, missed = 0;
    for (const char *at = all; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    const char *told = strstr(all, " warning log: ");
    assert_non_null(told);
    assert_int_equal(sscanf(told, " warning log: %u lines were left out", &missed), 1);
    assert_non_null(strstr(told, "x: read again\n"));
    assert_int_equal(lines - 2 + missed, 1000);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text), cmocka_unit_test(test_json),   cmocka_unit_test(test_gcp),
        cmocka_unit_test(test_full), cmocka_unit_test(test_unread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
