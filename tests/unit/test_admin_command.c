/* SPDX-License-Identifier: ISC
 * The console's language.
 */
#include "config.h"

#include "admin/admin_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct admin_command cmd;
static const char *sqlstate;
static struct err err;

static bool parse(const char *text)
{
    /* A copy without a NUL behind it, so that a sanitizer sees a read too far. */
    size_t n = strlen(text);
    char *copy = malloc(n == 0 ? 1 : n);
    assert_non_null(copy);
    memcpy(copy, text, n);
    sqlstate = NULL;
    bool ok = admin_command_parse(copy, n, &cmd, &sqlstate, &err);
    free(copy);
    return ok;
}

static void is(const char *text, enum admin_verb verb, const char *tag)
{
    if (!parse(text))
        fail_msg("%s: %s", text, err.text);
    if (cmd.verb != verb)
        fail_msg("%s: verb %d", text, (int)cmd.verb);
    assert_string_equal(cmd.tag, tag);
}

static void is_bad(const char *text, const char *code)
{
    if (parse(text))
        fail_msg("%s: taken as verb %d", text, (int)cmd.verb);
    assert_string_equal(sqlstate, code);
    assert_true(err.text[0] != '\0');
}

static void test_shows(void **state)
{
    (void)state;
    is("SHOW POOLS", ADMIN_SHOW_POOLS, "SHOW");
    is("show pools;", ADMIN_SHOW_POOLS, "SHOW");
    is("  Show /* a /* nested */ one */ Stats_Totals -- so\n ; ; ", ADMIN_SHOW_STATS_TOTALS,
       "SHOW");
    is("select clients", ADMIN_SHOW_CLIENTS, "SHOW");
    for (enum admin_verb v = ADMIN_SHOW_ACTIVE_SOCKETS; v <= ADMIN_SHOW_VERSION; v++) {
        is(admin_verb_name(v), v, "SHOW");
        assert_non_null(admin_verb_usage(v));
        assert_non_null(admin_verb_help(v));
    }
    is_bad("SHOW", "42601");
    is_bad("SHOW POOLS now", "42601");
    is_bad("SHOW nothing", "42601");
    is_bad("SHOW 'pools'", "42601");
    is_bad("POOLS", "42601");
    is_bad("SHOW POOLS; SHOW STATS", "42601");
    is_bad("SELECT * FROM pg_type", "0A000");
}

static void test_orders(void **state)
{
    (void)state;
    is("PAUSE", ADMIN_PAUSE, "PAUSE");
    assert_false(cmd.has_arg);
    is("pause shop;", ADMIN_PAUSE, "PAUSE");
    assert_true(cmd.has_arg);
    assert_string_equal(cmd.arg, "shop");
    is("KILL \"a \"\"b\"\"; c\"", ADMIN_KILL, "KILL");
    assert_string_equal(cmd.arg, "a \"b\"; c");
    is("DISABLE my-db", ADMIN_DISABLE, "DISABLE");
    assert_string_equal(cmd.arg, "my-db");
    is("RELOAD", ADMIN_RELOAD, "RELOAD");
    is("WAIT_CLOSE", ADMIN_WAIT_CLOSE, "WAIT_CLOSE");
    is("KILL_CLIENT 18446744073709551615", ADMIN_KILL_CLIENT, "KILL_CLIENT");
    assert_true(cmd.client_id == UINT64_MAX);
    is_bad("DISABLE", "42601");
    is_bad("DISABLE a b", "42601");
    is_bad("PAUSE 'a'", "42601");
    is_bad("PAUSE \"\"", "42601");
    is_bad("PAUSE \"open", "42601");
    is_bad("RELOAD now", "42601");
    is_bad("KILL_CLIENT", "42601");
    is("KILL_CLIENT 0x1000001", ADMIN_KILL_CLIENT, "KILL_CLIENT");
    is_bad("KILL_CLIENT x", "42601");
    is_bad("KILL_CLIENT 0x", "42601");
    is_bad("KILL_CLIENT 18446744073709551616", "42601");
    is_bad("KILL_CLIENT 1 2", "42601");
    is_bad("SUSPEND", "0A000");
    is("SHUTDOWN", ADMIN_SHUTDOWN, "SHUTDOWN");
    assert_int_equal(cmd.shutdown_mode, ADMIN_SHUTDOWN_NOW);
    is("shutdown wait_for_clients", ADMIN_SHUTDOWN, "SHUTDOWN");
    assert_int_equal(cmd.shutdown_mode, ADMIN_SHUTDOWN_CLIENTS);
    is("SHUTDOWN WAIT_FOR_SERVERS;", ADMIN_SHUTDOWN, "SHUTDOWN");
    assert_int_equal(cmd.shutdown_mode, ADMIN_SHUTDOWN_SERVERS);
    is_bad("SHUTDOWN abort now", "42601");
}

static void set_is(const char *text, const char *key, const char *value)
{
    is(text, ADMIN_SET, "SET");
    assert_string_equal(cmd.arg, key);
    assert_string_equal(cmd.value, value);
}

static void test_warm(void **state)
{
    (void)state;
    is("WARM shop 20", ADMIN_WARM, "WARM");
    assert_string_equal(cmd.arg, "shop");
    assert_int_equal(cmd.count, 20);
    assert_string_equal(cmd.value, "");
    is("warm \"my shop\" 1 \"App\";", ADMIN_WARM, "WARM");
    assert_string_equal(cmd.arg, "my shop");
    assert_string_equal(cmd.value, "App");
    static const char *const bad[] = {"WARM",          "WARM shop",     "WARM shop 0",
                                      "WARM shop -1",  "WARM shop x",   "WARM shop 100001",
                                      "WARM shop 1.5", "WARM 20",       "WARM shop 20 app more",
                                      "WARM '' 20",    "WARM shop '20'"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        is_bad(bad[i], "42601");
}

static void test_set(void **state)
{
    (void)state;
    set_is("SET query_wait_timeout = 5s", "query_wait_timeout", "5s");
    set_is("set query_wait_timeout='5 s';", "query_wait_timeout", "5 s");
    set_is("SET server_reset_query TO 'it''s; -- no'", "server_reset_query", "it's; -- no");
    set_is("SET function_from = user, option  ;", "function_from", "user, option");
    set_is("SET max_server_connections = 75%", "max_server_connections", "75%");
    set_is("SET auth_query = ''", "auth_query", "");
    is_bad("SET", "42601");
    is_bad("SET x", "42601");
    is_bad("SET x =", "42601");
    is_bad("SET x = ;", "42601");
    is_bad("SET x = 'open", "42601");
    is_bad("SET x = 'a' b", "42601");
    is_bad("SET 'x' = 1", "42601");
    char text[2048];
    memset(text, 'v', sizeof text);
    memcpy(text, "SET x = ", 8);
    text[sizeof text - 1] = '\0';
    is_bad(text, "42601");
}

static void value_is(const char *text, const char *column, const char *value, const char *tag)
{
    is(text, ADMIN_VALUE, tag);
    assert_string_equal(cmd.column, column);
    assert_string_equal(cmd.column_value, value);
}

/* What drivers and connection pools send to any PostgreSQL. */
static void test_drivers(void **state)
{
    (void)state;
    is("", ADMIN_EMPTY, "");
    is(" ;; ", ADMIN_EMPTY, "");
    is("-- ping", ADMIN_EMPTY, "");
    is("SET client_encoding TO 'UTF8'", ADMIN_NOOP, "SET");
    is("SET extra_float_digits = 3", ADMIN_NOOP, "SET");
    is("SET application_name = 'PostgreSQL JDBC Driver'", ADMIN_NOOP, "SET");
    is("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", ADMIN_NOOP, "SET");
    is("SET NAMES 'utf8'", ADMIN_NOOP, "SET");
    is("BEGIN", ADMIN_BEGIN, "BEGIN");
    is("begin isolation level serializable;", ADMIN_BEGIN, "BEGIN");
    is("START TRANSACTION READ ONLY", ADMIN_BEGIN, "START TRANSACTION");
    is("COMMIT", ADMIN_COMMIT, "COMMIT");
    is("END", ADMIN_COMMIT, "COMMIT");
    is("rollback;", ADMIN_ROLLBACK, "ROLLBACK");
    is("DISCARD ALL", ADMIN_NOOP, "DISCARD ALL");
    is("RESET ALL", ADMIN_NOOP, "RESET");
    is("CLOSE ALL", ADMIN_NOOP, "CLOSE CURSOR ALL");
    is("UNLISTEN *", ADMIN_NOOP, "UNLISTEN");
    is("DEALLOCATE \"_pg3_0\"", ADMIN_NOOP, "DEALLOCATE");
    is("DEALLOCATE ALL", ADMIN_NOOP, "DEALLOCATE ALL");
    is("SAVEPOINT PGJDBC_AUTOSAVE", ADMIN_NOOP, "SAVEPOINT");
    is("RELEASE SAVEPOINT PGJDBC_AUTOSAVE", ADMIN_NOOP, "RELEASE");
    is("ROLLBACK TO SAVEPOINT PGJDBC_AUTOSAVE", ADMIN_NOOP, "ROLLBACK");
    is("select b.oid, b.typarray from pg_catalog.pg_type a left join pg_catalog.pg_type b on "
       "b.oid = a.typelem where a.typcategory = 'A' group by b.oid, b.typarray order by b.oid",
       ADMIN_NOOP, "SELECT 0");
    value_is("SELECT 1", "?column?", "1", "SELECT 1");
    assert_true(cmd.value_is_int4);
    value_is("select version ( ) ;", "version", "PostgreSQL 15.0", "SELECT 1");
    value_is("select pg_catalog.version()", "version", "PostgreSQL 15.0", "SELECT 1");
    value_is("SELECT pg_advisory_unlock_all()", "pg_advisory_unlock_all", "", "SELECT 1");
    value_is("SHOW TRANSACTION ISOLATION LEVEL", "transaction_isolation", "read committed", "SHOW");
    value_is("show standard_conforming_strings", "standard_conforming_strings", "on", "SHOW");
    is_bad("SELECT 1; SELECT 1", "42601");
    is_bad("BEGINNING", "42601");
    is_bad("INSERT INTO t VALUES (1)", "42601");
}

static void splits(const char *text, size_t first)
{
    assert_int_equal(admin_command_split(text, strlen(text)), first);
}

static void test_split(void **state)
{
    (void)state;
    splits("", 0);
    splits("a", 1);
    splits("a;b", 2);
    splits("SET x = 'a;b'; c", 14);
    splits("SET x = 'it''s;'; c", 17);
    splits("KILL \";\"; c", 9);
    splits("a -- ;\n; c", 8);
    splits("a /* ; /* ; */ ; */; c", 20);
    splits("a $x$ ; $y$ ; $x$; c", 18);
    splits("a '; b", 6);
    splits("a /* ; b", 8);
    splits("a $x$ ; b", 9);
}

/* Any prefix, and any one byte changed, is answered without a fault. */
static void test_damaged(void **state)
{
    (void)state;
    static const char *const texts[] = {"SET x TO 'it''s' ; -- a", "KILL \"a\"\"b\"; /* c */",
                                        "SELECT pg_catalog.version ( ) ;", "KILL_CLIENT 123"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t n = strlen(texts[i]);
        for (size_t cut = 0; cut <= n; cut++) {
            char copy[64];
            (void)memcpy(copy, texts[i], n + 1);
            copy[cut] = '\0';
            (void)parse(copy);
            for (int c = 1; c < 256 && cut < n; c++) {
                memcpy(copy, texts[i], n + 1);
                copy[cut] = (char)c;
                (void)parse(copy);
                assert_true(admin_command_split(copy, n) <= n);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shows),   cmocka_unit_test(test_orders),
        cmocka_unit_test(test_warm),    cmocka_unit_test(test_set),
        cmocka_unit_test(test_drivers), cmocka_unit_test(test_split),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
