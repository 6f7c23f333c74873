/* SPDX-License-Identifier: ISC
 * [servers], [users], [functions], and what holds for a database and user after all.
 */
#include "config.h"

#include "conf_help.h"

static const char file[] = "[weir]\n"
                           "max_server_connections = 80\n"
                           "default_pool_size = 9\n"
                           "query_wait_timeout = 5s\n"
                           "query_timeout = 60s\n"
                           "login_concurrency = 6\n"
                           "idle_to_zero = 1h\n"
                           "[databases]\n"
                           "shop = host=db1 pool_size=4 pool_mode=session min_pool_size=2\n"
                           "other = host=db1\n"
                           "list = host=a,b port=5432,5433\n"
                           "orders = mysql://db3.internal/orders\n"
                           "six = postgres://[::1]/x\n"
                           "own = host=db7 max_server_connections=33\n"
                           "svc = service=prod\n"
                           "[servers]\n"
                           "db1:5432 = max_server_connections=40 role=primary\n"
                           "a:5432,b:5433 = login_concurrency=2\n"
                           "db3.internal = idle_to_zero=5min max_server_connections=50%\n"
                           "[::1] = max_server_connections=auto\n"
                           "\"service=prod\" = max_server_connections=3\n"
                           "[users]\n"
                           "app = pool_size=50 query_timeout=7s max_user_connections=3\n"
                           "ann = pool_mode=statement query_wait_timeout=1s\n"
                           "[functions]\n"
                           "getUsers = guarantee=5 limit=30 weight=2\n"
                           "save* = limit=50 query_wait_timeout=2s\n"
                           "saveAll = limit=51\n"
                           "s* = limit=52\n"
                           "* = limit=30\n"
                           "z* = max_waiting=4\n";

static void servers(void **state)
{
    struct conf *conf = load_good(file);
    (void)state;
    const struct conf_server *s = conf_server_find(conf, "db1:5432");
    assert_non_null(s);
    assert_int_equal(conf_server_bound(conf, s).n, 40);
    assert_int_equal(s->role, CONF_ROLE_PRIMARY);
    assert_int_equal(conf_server_login_concurrency(conf, s), 6);
    assert_int_equal(conf_server_idle_to_zero_us(conf, s), 3600000000u);
    s = conf_server_find(conf, "a:5432,b:5433");
    assert_int_equal(conf_server_login_concurrency(conf, s), 2);
    assert_int_equal(conf_server_bound(conf, s).n, 80);
    s = conf_server_find(conf, "db3.internal:3306");
    assert_int_equal(conf_server_bound(conf, s).kind, CONF_BOUND_PERCENT);
    assert_int_equal(conf_server_idle_to_zero_us(conf, s), 300000000u);
    s = conf_server_find(conf, "[::1]:5432");
    assert_int_equal(conf_server_bound(conf, s).kind, CONF_BOUND_AUTO);
    s = conf_server_find(conf, "db7:5432");
    assert_int_equal(conf_server_bound(conf, s).n, 33);
    s = conf_server_find(conf, "service=prod");
    assert_int_equal(conf_server_bound(conf, s).n, 3);
    assert_null(conf_server_find(conf, "db8:5432"));
    /* One for each server, not for each database. */
    size_t n = 0;
    while (conf_server_at(conf, n) != NULL)
        n++;
    assert_int_equal(n, 6); /* db1 a,b db3 ::1 db7 prod */
    conf_free(&conf);
}

static void what_holds(void **state)
{
    struct conf *conf = load_good(file);
    struct conf_pool p;
    (void)state;
    conf_pool_resolve(conf, conf_database_find(conf, "shop"), "app", &p);
    assert_int_equal(p.pool_size, 50);
    assert_int_equal(p.min_pool_size, 2);
    assert_int_equal(p.pool_mode, CONF_POOL_SESSION);
    assert_int_equal(p.query_timeout_us, 7000000);
    assert_int_equal(p.max_user_connections, 3);
    conf_pool_resolve(conf, conf_database_find(conf, "shop"), "ann", &p);
    assert_int_equal(p.pool_size, 4);
    assert_int_equal(p.pool_mode, CONF_POOL_STATEMENT);
    assert_int_equal(p.query_wait_timeout_us, 1000000);
    conf_pool_resolve(conf, conf_database_find(conf, "other"), "bob", &p);
    assert_int_equal(p.pool_size, 9);
    assert_int_equal(p.pool_mode, CONF_POOL_TRANSACTION);
    assert_int_equal(p.query_timeout_us, 60000000);
    assert_int_equal(p.query_wait_timeout_us, 5000000);
    assert_int_equal(p.max_user_connections, 0);
    conf_pool_resolve(conf, conf_database_find(conf, "other"), NULL, &p);
    assert_int_equal(p.pool_size, 9);
    conf_free(&conf);
}

static void functions(void **state)
{
    struct conf *conf = load_good(file);
    (void)state;
    const struct conf_function *f = conf_function_find(conf, "getUsers");
    assert_int_equal(f->guarantee, 5);
    assert_int_equal(f->limit, 30);
    assert_int_equal(f->weight, 2);
    assert_int_equal(f->max_waiting, -1);
    assert_string_equal(conf_function_find(conf, "saveAll")->pattern, "saveAll");
    assert_string_equal(conf_function_find(conf, "saveUser")->pattern, "save*");
    assert_string_equal(conf_function_find(conf, "sow")->pattern, "s*");
    /* `*` is the last resort, wherever it stands. */
    assert_string_equal(conf_function_find(conf, "zoo")->pattern, "z*");
    assert_string_equal(conf_function_find(conf, "else")->pattern, "*");
    conf_free(&conf);
    conf = load_good("[databases]\nd = host=h\n[functions]\na = limit=1\n");
    assert_null(conf_function_find(conf, "b"));
    conf_free(&conf);
}

static void faults(void **state)
{
    (void)state;
    refuse("[databases]\nd=host=h\n[servers]\nh = max_conn=1\n", 4,
           "h: unknown option \"max_conn\"; there are max_server_connections, idle_to_zero");
    refuse("[databases]\nd=host=h\n[servers]\nh = role=king\n", 4, "role: \"king\" is none of");
    refuse("[databases]\nd=host=h\n[servers]\nh = role=auto\nh:5432 = role=auto\n", 5,
           "a second line for the same server");
    refuse("[databases]\na=host=h max_server_connections=1\nb=host=h max_server_connections=2\n", 3,
           "b: max_server_connections differs from that of a");
    refuse("[databases]\nd=host=h\n[users]\nu = pool_size=1 pool_size=2\n", 4,
           "pool_size is given twice");
    refuse("[databases]\nd=host=h\n[users]\nu = pool_size\n", 4, "no key= where one is expected");
    refuse("[databases]\nd=host=h\n[functions]\nf = weight=0\n", 4, "1 to 1000 is allowed");
    refuse("[databases]\nd=host=h\n[functions]\nf = limit=1\nf = limit=2\n", 5, "f is given twice");
}

static void warnings(void **state)
{
    struct conf_report r;
    struct conf *conf = load_text("[weir]\nmax_server_connections = 4\nauth_file=x\n"
                                  "[databases]\nd=host=h reserve_pool=5\n"
                                  "[servers]\nelsewhere = role=auto\n"
                                  "[users]\nu = reserve_pool_size=1\n"
                                  "[functions]\na = guarantee=3\nb = guarantee=2\n",
                                  &r);
    (void)state;
    assert_non_null(conf);
    expect_problem(&r, CONF_WARNING, 5, "d: reserve_pool has no meaning here");
    expect_problem(&r, CONF_WARNING, 7, "elsewhere: no database is on this server");
    expect_problem(&r, CONF_WARNING, 9, "u: reserve_pool_size has no meaning here");
    expect_problem(&r, CONF_WARNING, 0, "[functions] guarantees 5 connections");
    assert_int_equal(r.warnings, 4);
    conf_free(&conf);
    conf_report_fini(&r);
}

static void ten_thousand_entries(void **state)
{
    enum { N = 10000 };
    char *text = malloc(N * 40);
    (void)state;
    assert_non_null(text);
    size_t n = (size_t)sprintf(text, "[databases]\n");
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(text + n, "d%d = host=h%d\n", i, i % 100);
    struct conf *conf = load_good(text);
    assert_string_equal(conf_database_find(conf, "d9999")->server, "h99:5432");
    assert_non_null(conf_database_at(conf, N - 1));
    assert_null(conf_database_at(conf, N));
    assert_null(conf_server_at(conf, 100));
    conf_free(&conf);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers),   cmocka_unit_test(what_holds),
        cmocka_unit_test(functions), cmocka_unit_test(faults),
        cmocka_unit_test(warnings),  cmocka_unit_test(ten_thousand_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
