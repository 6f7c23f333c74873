/* SPDX-License-Identifier: ISC
 * Commands carried out: tables, columns against PgBouncer's, orders, late workers.
 */
#include "config.h"

#include "fake_admin.h"

#include "admin/admin_stats.h"
#include "admin/admin_table.h"
#include "base/clock.h"
#include "net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fake_admin *world;
static struct admin_result *result;
static bool answered;

static int set_up(void **state)
{
    (void)state;
    world = fake_admin_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    admin_result_destroy(&result);
    fake_admin_destroy(&world);
    return 0;
}

static void on_done(struct admin_result *r, void *arg)
{
    (void)arg;
    assert_false(answered);
    answered = true;
    result = r;
}

static void execute_as(const char *text, bool read_only)
{
    admin_result_destroy(&result);
    answered = false;
    admin_execute(world->admin, text, read_only, on_done, NULL);
}

static void execute(const char *text)
{
    execute_as(text, false);
    assert_true(answered);
    assert_non_null(result);
}

static void columns_begin(const char *show, const char *expected)
{
    char text[64], all[2048] = "";
    (void)snprintf(text, sizeof text, "SHOW %s", show);
    execute(text);
    assert_false(result->failed);
    size_t n;
    const struct admin_column *c = admin_table_columns(result->table, &n);
    for (size_t i = 0; i < n; i++) {
        strcat(all, c[i].name);
        strcat(all, c[i].type == ADMIN_TEXT      ? ":s "
                    : c[i].type == ADMIN_INT4    ? ":i "
                    : c[i].type == ADMIN_NUMERIC ? ":n "
                                                 : ":q ");
    }
    if (strncmp(all, expected, strlen(expected)) != 0)
        fail_msg("SHOW %s: %s", show, all);
}

/* Names, types and order of PgBouncer 1.25 (id is int8 here); weir's own may follow. */
static void test_columns(void **state)
{
    (void)state;
    static const char sockets[] =
        "type:s user:s database:s replication:s state:s addr:s port:i local_addr:s local_port:i "
        "connect_time:s request_time:s wait:i wait_us:i close_needed:i ptr:s link:s remote_pid:i "
        "tls:s application_name:s prepared_statements:i id:q ";
    char all_sockets[1024];
    (void)snprintf(all_sockets, sizeof all_sockets, "%s%s", sockets,
                   "recv_pos:i pkt_pos:i pkt_remain:i send_pos:i send_remain:i pkt_avail:i "
                   "send_avail:i ");
    columns_begin("CLIENTS", sockets);
    columns_begin("SERVERS", sockets);
    columns_begin("SOCKETS", all_sockets);
    columns_begin("ACTIVE_SOCKETS", all_sockets);
    columns_begin("POOLS", "database:s user:s cl_active:i cl_waiting:i cl_active_cancel_req:i "
                           "cl_waiting_cancel_req:i sv_active:i sv_active_cancel:i "
                           "sv_being_canceled:i sv_idle:i sv_used:i sv_tested:i sv_login:i "
                           "maxwait:i maxwait_us:i pool_mode:s load_balance_hosts:s ");
    columns_begin("DATABASES",
                  "name:s host:s port:i database:s force_user:s pool_size:i min_pool_size:i "
                  "reserve_pool_size:i server_lifetime:i pool_mode:s load_balance_hosts:s "
                  "max_connections:i current_connections:i max_client_connections:i "
                  "current_client_connections:i paused:i disabled:i ");
    columns_begin("STATS",
                  "database:s total_server_assignment_count:n total_xact_count:n "
                  "total_query_count:n total_received:n total_sent:n total_xact_time:n "
                  "total_query_time:n total_wait_time:n total_client_parse_count:n "
                  "total_server_parse_count:n total_bind_count:n total_client_login_count:n "
                  "avg_server_assignment_count:n avg_xact_count:n avg_query_count:n avg_recv:n "
                  "avg_sent:n avg_xact_time:n avg_query_time:n avg_wait_time:n "
                  "avg_client_parse_count:n avg_server_parse_count:n avg_bind_count:n "
                  "avg_client_login_count:n ");
    columns_begin("STATS_TOTALS",
                  "database:s server_assignment_count:n xact_count:n query_count:n "
                  "bytes_received:n bytes_sent:n xact_time:n query_time:n wait_time:n "
                  "client_parse_count:n server_parse_count:n bind_count:n client_login_count:n ");
    columns_begin("STATS_AVERAGES",
                  "database:s server_assignment_count:n xact_count:n query_count:n "
                  "bytes_received:n bytes_sent:n xact_time:n query_time:n wait_time:n "
                  "avg_client_parse_count:n avg_server_parse_count:n avg_bind_count:n "
                  "avg_client_login_count:n ");
    columns_begin("TOTALS", "name:s value:n ");
    columns_begin("USERS", "name:s pool_size:s reserve_pool_size:s pool_mode:s "
                           "max_user_connections:i current_connections:i "
                           "max_user_client_connections:i current_client_connections:i ");
    columns_begin("LISTS", "list:s items:i ");
    columns_begin("CONFIG", "key:s value:s default:s changeable:s ");
    columns_begin("MEM", "name:s size:i used:i free:i memtotal:i ");
    columns_begin("STATE", "key:s value:s ");
    columns_begin("VERSION", "version:s ");
    columns_begin("DNS_HOSTS", "hostname:s ttl:q addrs:s ");
    columns_begin("DNS_ZONES", "zonename:s serial:q count:i ");
    columns_begin("PEERS", "peer_id:i host:s port:i pool_size:i ");
    columns_begin("PEER_POOLS", "peer_id:i cl_active_cancel_req:i cl_waiting_cancel_req:i "
                                "sv_active_cancel:i sv_login:i ");
    columns_begin("FDS", "fd:i task:s user:s database:s addr:s port:i cancel:q link:i "
                         "client_encoding:s std_strings:s datestyle:s timezone:s password:s "
                         "scram_client_key:s scram_server_key:s ");
}

/* The cell of the row in which the first column is `key`. */
static const char *cell(const char *key, const char *column)
{
    static char text[1100];
    size_t n, len, c;
    const struct admin_column *columns = admin_table_columns(result->table, &n);
    for (c = 0; c < n && strcmp(columns[c].name, column) != 0; c++)
        continue;
    if (c == n)
        fail_msg("no column %s", column);
    for (size_t r = 0; r < admin_table_rows(result->table); r++) {
        const char *first = admin_table_cell(result->table, r, 0, &len);
        if (strlen(key) != len || memcmp(first, key, len) != 0)
            continue;
        const char *p = admin_table_cell(result->table, r, c, &len);
        if (p == NULL)
            return NULL;
        (void)snprintf(text, sizeof text, "%.*s", (int)len, p);
        return text;
    }
    fail_msg("no row %s", key);
    return NULL;
}

static void test_cells(void **state)
{
    (void)state;
    execute("SHOW POOLS");
    assert_int_equal(admin_table_rows(result->table), 2);
    assert_string_equal(result->tag, "SHOW");
    assert_string_equal(cell("shop", "cl_active"), "3");
    assert_string_equal(cell("shop", "maxwait"), "1");
    assert_string_equal(cell("shop", "maxwait_us"), "500000");
    assert_null(cell("shop", "last_error"));
    assert_string_equal(cell("legacy", "pool_mode"), "session");
    execute("SHOW FUNCTIONS");
    assert_string_equal(cell("getUsers", "lent_of_limit"), "25/30");
    assert_string_equal(cell("saveUser", "lent_of_limit"), "0");
    execute("SHOW BOUNDS");
    assert_string_equal(cell("db1:5432", "used"), "7");
    execute("SHOW CONFIG");
    assert_string_equal(cell("pool_mode", "changeable"), "yes");
    assert_string_equal(cell("listen_port", "changeable"), "no");
    execute("SHOW STATE");
    assert_string_equal(cell("active", "value"), "yes");
    execute("SHOW LISTS");
    assert_string_equal(cell("used_clients", "items"), "5");
    execute("SHOW VERSION");
    assert_string_equal(cell("weir 0.1.0", "version"), "weir 0.1.0");
    execute("SELECT version()");
    assert_string_equal(cell("PostgreSQL 15.0 (weir 0.1.0)", "version"),
                        "PostgreSQL 15.0 (weir 0.1.0)");
}

static void test_sockets(void **state)
{
    (void)state;
    execute("SHOW CLIENTS");
    assert_int_equal(admin_table_rows(result->table), 3);
    assert_string_equal(cell("C", "state"), "active");
    assert_string_equal(cell("C", "activity"), "idle_in_transaction");
    execute("SHOW SERVERS");
    assert_string_equal(cell("S", "state"), "active");
    assert_string_equal(cell("S", "remote_pid"), "4321");
    execute("SHOW SOCKETS");
    assert_int_equal(admin_table_rows(result->table), 5);
    execute("SHOW ACTIVE_SOCKETS");
    assert_int_equal(admin_table_rows(result->table), 2);
    execute("SHOW PINS");
    assert_int_equal(admin_table_rows(result->table), 0);
}

static void test_stats(void **state)
{
    (void)state;
    execute("SHOW STATS");
    assert_string_equal(cell("shop", "total_xact_count"), "100");
    assert_string_equal(cell("shop", "total_received"), "18446744073709551615");
    assert_string_equal(cell("shop", "avg_xact_time"), "50000");
    assert_string_equal(cell("shop", "avg_query_time"), "10000");
    assert_string_equal(cell("shop", "total_pins"), "1");
    execute("SHOW STATS_TOTALS");
    assert_string_equal(cell("shop", "query_count"), "250");
    execute("SHOW STATS_AVERAGES");
    assert_string_equal(cell("shop", "xact_time"), "50000");
    execute("SHOW TOTALS");
    assert_string_equal(cell("total_xact_count", "value"), "111");
    assert_string_equal(cell("total_pins", "value"), "1");
}

static const char *average_of(const struct admin_stats *s, const struct view_stats *row,
                              uint64_t now_us)
{
    size_t n;
    const struct admin_column *columns = admin_stats_columns(ADMIN_SHOW_STATS_AVERAGES, &n);
    admin_result_destroy(&result);
    result = admin_result_create("SHOW");
    result->table = admin_table_create(columns, n);
    admin_stats_show(s, ADMIN_SHOW_STATS_AVERAGES, row, 1, now_us, result->table);
    assert_true(admin_table_ok(result->table));
    return cell("shop", "xact_count");
}

static struct view_stats *stats_row(uint64_t xacts)
{
    struct view_stats *s = calloc(1, sizeof *s);
    assert_non_null(s);
    strcpy(s->database, "shop");
    s->xact_count = xacts;
    return s;
}

/* Averages look back to the snapshot before the last. */
static void test_averages(void **state)
{
    (void)state;
    struct admin_stats s;
    admin_stats_init(&s, 0);
    struct view_stats row = *(struct view_stats[]){{.database = "shop", .xact_count = 1000}};
    assert_string_equal(average_of(&s, &row, 10 * US_PER_S), "100");
    admin_stats_tick(&s, stats_row(1000), 1, 10 * US_PER_S);
    admin_stats_tick(&s, stats_row(3000), 1, 20 * US_PER_S);
    row.xact_count = 4500;
    assert_string_equal(average_of(&s, &row, 30 * US_PER_S), "175");
    row.xact_count = 40; /* the counters began anew */
    assert_string_equal(average_of(&s, &row, 30 * US_PER_S), "2");
    admin_stats_fini(&s);
}

static void test_orders(void **state)
{
    (void)state;
    execute("PAUSE shop");
    assert_string_equal(result->tag, "PAUSE");
    assert_null(result->table);
    execute("RESUME");
    execute("KILL_CLIENT 42");
    execute("SHUTDOWN WAIT_FOR_CLIENTS");
    execute("SET pool_mode = session");
    assert_string_equal(world->log, "PAUSE shop 0 0 - -\nRESUME - 0 0 - -\n"
                                    "KILL_CLIENT - 42 0 - -\nSHUTDOWN - 0 2 - -\n"
                                    "SET - 0 0 pool_mode session\n");
    execute("RELOAD");
    assert_int_equal(result->n_notices, 1);
    execute("KILL nodb");
    assert_true(result->failed);
    assert_string_equal(result->sqlstate, "3D000");
    assert_string_equal(result->text, "no such database: nodb");
    execute_as("WAIT_CLOSE shop", false);
    assert_false(answered);
    admin_order_done(world->kept_order, NULL, NULL);
    assert_true(answered);
    assert_string_equal(result->tag, "WAIT_CLOSE");
}

static void test_read_only(void **state)
{
    (void)state;
    static const char *const orders[] = {"PAUSE",    "RESUME",    "DISABLE a",    "ENABLE a",
                                         "KILL",     "RECONNECT", "RELOAD",       "WAIT_CLOSE",
                                         "SHUTDOWN", "SET a = b", "KILL_CLIENT 1"};
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        execute_as(orders[i], true);
        assert_true(result->failed);
        assert_string_equal(result->sqlstate, "42501");
    }
    assert_string_equal(world->log, "");
    execute_as("SHOW CLIENTS", true);
    assert_false(result->failed);
    execute_as("SELECT 1", true);
    assert_false(result->failed);
}

static void stop(void *arg)
{
    loop_stop(arg);
}

/* A worker that doesn't answer costs two seconds and the rows, nothing else; its late answer is
 * forgotten. */
static void test_late(void **state)
{
    (void)state;
    world->silent = true;
    execute_as("SHOW CLIENTS", false);
    assert_false(answered);
    struct timer t;
    timer_init(&t, world->loop, stop, world->loop);
    timer_set_us(&t, 2300000);
    uint64_t began = clock_now_us();
    loop_run(world->loop);
    assert_true(clock_now_us() - began >= 2000000);
    assert_true(answered);
    assert_true(result->incomplete);
    assert_int_equal(admin_table_rows(result->table), 0);
    assert_int_equal(result->n_notices, 1);
}

static void test_partial(void **state)
{
    (void)state;
    world->partial = true;
    execute("SHOW CLIENTS");
    assert_true(result->incomplete);
    assert_int_equal(admin_table_rows(result->table), 3);
    assert_int_equal(result->n_notices, 1);
}

static void test_errors(void **state)
{
    (void)state;
    execute("SHOW nothing");
    assert_true(result->failed);
    assert_string_equal(result->sqlstate, "42601");
    execute("SHOW HELP");
    assert_null(result->table);
    assert_int_equal(result->n_notices, 1);
    assert_non_null(strstr(result->notices[0], "Console usage\n\t"));
    assert_non_null(strstr(result->notices[0], "SHOW POOLS"));
}

static void test_table(void **state)
{
    (void)state;
    static const struct admin_column columns[] = {
        {"a", ADMIN_INT4}, {"b", ADMIN_INT8}, {"c", ADMIN_NUMERIC}};
    struct admin_table *t = admin_table_create(columns, 3);
    size_t len;
    assert_non_null(t);
    for (unsigned i = 0; i < 3; i++)
        admin_table_uint(t, UINT64_MAX);
    admin_table_int(t, -5000000000);
    assert_false(admin_table_ok(t));
    admin_table_int(t, -1);
    admin_table_put(t, "0.5");
    assert_true(admin_table_ok(t));
    assert_int_equal(admin_table_rows(t), 2);
    assert_memory_equal(admin_table_cell(t, 0, 0, &len), "2147483647", 10);
    assert_int_equal(len, 10);
    assert_memory_equal(admin_table_cell(t, 0, 1, &len), "9223372036854775807", 19);
    assert_memory_equal(admin_table_cell(t, 0, 2, &len), "18446744073709551615", 20);
    assert_memory_equal(admin_table_cell(t, 1, 0, &len), "-2147483648", 11);
    admin_table_destroy(&t);
    assert_null(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_columns),  TEST(test_cells),  TEST(test_sockets),   TEST(test_stats),
        TEST(test_averages), TEST(test_orders), TEST(test_read_only), TEST(test_late),
        TEST(test_partial),  TEST(test_errors), TEST(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
