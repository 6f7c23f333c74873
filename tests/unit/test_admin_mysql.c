/* SPDX-License-Identifier: ISC
 * The console's MySQL session: queries and statements prepared by the protocol, what drivers send
 * first, several statements in one query, every packet split at every byte, damaged packets.
 */
#include "config.h"

#include "fake_admin.h"

#include "admin/admin_mysql.h"
#include "base/buf.h"
#include "proto/mysql/my_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a client -----------------------------------------------------------------------------------
 */

static struct fake_admin *world;
static struct admin_mysql *my;
static char *away; /* the command that is being executed */
static struct admin_result *result;
static struct buf in, out, answer; /* sent, last piece received, all received */
static unsigned pieces;            /* how often the session wanted the buffer sent first */
static uint8_t seq;                /* of the next packet of the answer */
static char told[65536];           /* the answer in words */

static void on_execute(void *ctx, const char *text)
{
    (void)ctx;
    assert_null(away);
    away = strdup(text);
}

static void on_result(struct admin_result *r, void *arg)
{
    (void)arg;
    result = r;
}

static int set_up(void **state)
{
    (void)state;
    world = fake_admin_create();
    my = admin_mysql_create("8.0.36-weir", 0, on_execute, NULL);
    admin_mysql_greet(my, 77);
    pieces = 0;
    return my == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    admin_mysql_destroy(&my);
    fake_admin_destroy(&world);
    free(away);
    away = NULL;
    buf_release(&in);
    buf_release(&out);
    buf_release(&answer);
    return 0;
}

static void take_out(void)
{
    assert_true(buf_append(&answer, buf_head(&out), buf_len(&out)));
    buf_release(&out);
}

/* Go on until the session wants more bytes or ends. */
static enum console_state settle(enum console_state s)
{
    while (s == CONSOLE_WAIT || s == CONSOLE_MORE) {
        take_out();
        if (s == CONSOLE_MORE) {
            pieces++;
            s = admin_mysql_more(my, &out);
            continue;
        }
        result = NULL;
        admin_execute(world->admin, away, false, on_result, NULL);
        free(away);
        away = NULL;
        s = admin_mysql_result(my, result, &out);
    }
    take_out();
    return s;
}

/* Send what `in` holds, at most `chunk` bytes at a time (0: all at once). */
static enum console_state send_in(size_t chunk)
{
    enum console_state s = CONSOLE_READY;
    size_t given = 0;
    while (s == CONSOLE_READY && buf_len(&in) > 0) {
        size_t n = buf_len(&in), used = 0;
        given = chunk == 0 || given + chunk > n ? n : given + chunk;
        uint8_t *copy = malloc(given); /* so that a sanitizer sees a read too far */
        assert_non_null(copy);
        memcpy(copy, buf_head(&in), given);
        s = admin_mysql_feed(my, copy, given, &used, &out);
        free(copy);
        assert_true(used <= given);
        buf_consume(&in, used);
        given -= used;
        s = settle(s);
        if (used == 0 && given == n)
            break;
    }
    return s;
}

static void command(enum my_command c, const void *arg, size_t n)
{
    uint8_t payload[4096] = {(uint8_t)c};
    memcpy(payload + 1, arg, n);
    assert_true(my_put_packet(&in, 0, payload, n + 1));
}

/* ---- what came back
 * ------------------------------------------------------------------------------ */

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    size_t n = strlen(told);
    va_list ap;
    va_start(ap, fmt);
    int more = vsnprintf(told + n, sizeof told - n, fmt, ap);
    va_end(ap);
    assert_true(more >= 0 && n + (size_t)more < sizeof told);
}

/* The next packet; its bytes stay valid until the answer is released. */
static struct my_reader packet(void)
{
    const uint8_t *m = buf_head(&answer);
    assert_true(buf_len(&answer) >= 4);
    size_t len = my_get24(m);
    assert_true(buf_len(&answer) >= 4 + len);
    assert_int_equal(m[3], seq);
    seq++;
    static uint8_t copy[70000];
    memcpy(copy, m + 4, len);
    buf_consume(&answer, 4 + len);
    return my_reader_of(copy, len);
}

static bool is_eof(const struct my_reader *r)
{
    return my_left(r) == 5 && r->p[0] == 0xfe;
}

static unsigned eof_status(struct my_reader r)
{
    (void)my_read_int(&r, 3);
    return (unsigned)my_read_int(&r, 2);
}

static uint8_t types[64];

static void columns(size_t n)
{
    say("[");
    for (size_t i = 0; i < n; i++) {
        struct my_reader r = packet();
        for (int k = 0; k < 4; k++)
            (void)my_read_lenenc_bytes(&r);
        struct my_view name = my_read_lenenc_bytes(&r);
        (void)my_read_lenenc_bytes(&r);
        assert_int_equal(my_read_int(&r, 1), 0x0c);
        (void)my_read_int(&r, 6);
        types[i] = (uint8_t)my_read_int(&r, 1);
        (void)my_read_int(&r, 5);
        assert_true(!r.bad && my_left(&r) == 0);
        say("%s%.*s", i != 0 ? "," : "", (int)name.n, (const char *)name.p);
    }
    say("]");
    struct my_reader r = packet();
    assert_true(is_eof(&r));
}

static void text_value(struct my_view v)
{
    if (v.p == NULL)
        say("NULL");
    else
        say("%.*s", (int)v.n, (const char *)v.p);
}

static void rows(size_t n, bool binary)
{
    for (;;) {
        struct my_reader r = packet();
        const uint8_t *nulls = r.p + 1;
        if (is_eof(&r)) {
            say(" EOF%s", (eof_status(r) & MY_ST_MORE_RESULTS) != 0 ? "+" : "");
            return;
        }
        if (binary)
            (void)my_read_bytes(&r, 1 + (n + 9) / 8);
        say(" {");
        for (size_t i = 0; i < n; i++) {
            say("%s", i != 0 ? "," : "");
            if (binary && (nulls[(i + 2) / 8] >> ((i + 2) % 8) & 1) != 0)
                say("NULL");
            else if (binary && (types[i] == 3 || types[i] == 8))
                say("%lld", (long long)my_read_int(&r, types[i] == 3 ? 4 : 8));
            else
                text_value(my_read_lenenc_bytes(&r));
        }
        say("}");
        assert_true(!r.bad && my_left(&r) == 0);
    }
}

/* One answer; true: another follows. */
static bool one_answer(bool binary)
{
    struct my_reader r = packet();
    struct my_ok ok;
    size_t before = strlen(told);
    if (r.p[0] == 0xff) {
        (void)my_read_int(&r, 1);
        unsigned code = (unsigned)my_read_int(&r, 2);
        struct my_view state = my_read_bytes(&r, 6);
        say("ERR %u %.5s", code, (const char *)state.p + 1);
        return false;
    }
    if (r.p[0] == 0x00) {
        assert_true(my_read_ok(r.p, my_left(&r), false, &ok));
        bool more = (ok.status & MY_ST_MORE_RESULTS) != 0;
        say("OK%s%s%s", (ok.status & MY_ST_AUTOCOMMIT) != 0 ? "" : " manual",
            (ok.status & MY_ST_IN_TRANS) != 0 ? " trans" : "", more ? "+" : "");
        return more;
    }
    size_t n = r.p[0];
    columns(n);
    rows(n, binary);
    return strchr(told + before, '\0')[-1] == '+';
}

static const char *received(bool binary)
{
    told[0] = '\0';
    seq = 1;
    while (one_answer(binary))
        say(" ");
    assert_int_equal(buf_len(&answer), 0);
    return told;
}

static const char *query(const char *text)
{
    command(MY_COM_QUERY, text, strlen(text));
    assert_int_equal(send_in(0), CONSOLE_READY);
    return received(false);
}

static void query_is(const char *text, const char *expected)
{
    assert_string_equal(query(text), expected);
}

static void query_begins(const char *text, const char *expected)
{
    const char *got = query(text);
    if (strncmp(got, expected, strlen(expected)) != 0)
        fail_msg("%s: %s", text, got);
}

/* ---- queries ------------------------------------------------------------------------------------
 */

static void test_shows(void **state)
{
    (void)state;
    query_begins("SHOW POOLS", "[database,user,cl_active,cl_waiting");
    query_begins("show pools;", "[database,user,cl_active,cl_waiting");
    query_begins("SHOW VERSION", "[version] {weir");
    query_begins("SHOW FULL PROCESSLIST", "[type,user,database");
    query_begins("SHOW SCHEMAS", "[name,host,port");
    query_is("SHOW PEERS", "[peer_id,host,port,pool_size] EOF");
    const char *help = query("SHOW HELP");
    assert_non_null(strstr(help, "[help] {"));
    assert_non_null(strstr(help, "SHOW"));
    assert_non_null(strstr(help, "KILL_CLIENT <id>"));
    query_is("SHOW NOTHING", "ERR 1064 42000");
    query_is("SELECT * FROM t", "ERR 1235 42000");
    query_is("", "ERR 1065 42000");
    query_is(" /* nothing */ ;", "ERR 1065 42000");
}

static void test_orders(void **state)
{
    (void)state;
    query_is("RELOAD", "OK");
    query_is("PAUSE shop", "OK");
    query_is("KILL 16777217", "OK");
    query_is("KILL QUERY 16777217", "OK");
    query_is("KILL shop", "OK");
    assert_non_null(strstr(world->log, "KILL_CLIENT"));
    assert_non_null(strstr(world->log, "PAUSE"));
    query_is("SUSPEND", "ERR 1235 42000");
    query_is("SHOW PEERS; NONSENSE; SHOW PEERS",
             "[peer_id,host,port,pool_size] EOF+ ERR 1064 42000");
    query_is("SET autocommit=1; SHOW PEERS; -- that is all",
             "OK+ [peer_id,host,port,pool_size] EOF");
}

/* What programs, drivers and pools send before they do anything. */
static void test_drivers(void **state)
{
    static const char *const oks[] = {
        "SET NAMES utf8mb4",
        "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_0900_ai_ci'",
        "SET character_set_results = NULL",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET SESSION TRANSACTION READ WRITE",
        "set session sql_mode='ANSI', @@session.time_zone = '+00:00'",
        "SET @@session.autocommit = 1",
        "SET sql_select_limit=DEFAULT",
        "SET @x = 1",
        "USE weir",
        "use `pgbouncer`",
        "DO 1",
        "ROLLBACK",
        "COMMIT",
    };
    (void)state;
    for (size_t i = 0; i < sizeof oks / sizeof oks[0]; i++)
        query_is(oks[i], "OK");
    query_is("select @@version_comment limit 1",
             "[@@version_comment] {weir console, SHOW HELP} EOF");
    query_is("SELECT @@max_allowed_packet", "[@@max_allowed_packet] {65536} EOF");
    query_is("SELECT DATABASE()", "[DATABASE()] {weir} EOF");
    query_is("SELECT 1", "[1] {1} EOF");
    query_is("SELECT 1 FROM DUAL", "[1] {1} EOF");
    query_is("select connection_id(), version(), NULL", "[connection_id(),version(),NULL] "
                                                        "{77,8.0.36-weir,NULL} EOF");
    query_is("/* mysql-connector-j-8.3.0 */SELECT  @@session.auto_increment_increment AS "
             "auto_increment_increment, @@character_set_client AS `charset`, @@sql_mode AS "
             "sql_mode, @@tx_isolation AS 'iso'",
             "[auto_increment_increment,charset,sql_mode,iso] {1,utf8mb4,,REPEATABLE-READ} EOF");
    query_is("SELECT @@no_such", "ERR 1193 HY000");
    query_is("SET @@session.no_such = 1", "ERR 1193 HY000");
    query_is("SHOW VARIABLES LIKE 'sql_mo%'", "[Variable_name,Value] {sql_mode,} EOF");
    query_is("SHOW VARIABLES LIKE '%\\_MO_e%'", "[Variable_name,Value] {sql_mode,} EOF");
    query_is("SHOW VARIABLES LIKE '%%a%%a%%a%%a%%a%%a%%a%%a%%a%%a%%a%%a%%a%%a%%a%%a%%a%%z'",
             "[Variable_name,Value] EOF");
    query_is("SHOW VARIABLES WHERE Variable_name IN ('autocommit', 'license')",
             "[Variable_name,Value] {autocommit,1} {license,ISC} EOF");
    query_begins("SHOW SESSION VARIABLES", "[Variable_name,Value] {auto_increment_increment,1} {a");
    query_is("SHOW WARNINGS", "[Level,Code,Message] EOF");
    query_is("SHOW STATUS LIKE 'Ssl_cipher'", "[Variable_name,Value] EOF");
    query_is("SHOW TABLES", "[Tables_in_weir] EOF");
    query_is("USE shop", "ERR 1049 42000");
    query_is("SET autocommit = 0", "OK manual");
    query_is("BEGIN", "OK manual trans");
    query_is("COMMIT", "OK manual");
    query_is("SET AUTOCOMMIT=ON", "OK");
}

static void test_commands(void **state)
{
    (void)state;
    command(MY_COM_PING, "", 0);
    command(MY_COM_INIT_DB, "weir", 4);
    command(MY_COM_RESET_CONNECTION, "", 0);
    assert_int_equal(send_in(0), CONSOLE_READY);
    for (int i = 0; i < 3; i++) {
        told[0] = '\0';
        seq = 1;
        (void)one_answer(false);
        assert_string_equal(told, "OK");
    }
    command(MY_COM_INIT_DB, "shop", 4);
    assert_int_equal(send_in(0), CONSOLE_READY);
    assert_string_equal(received(false), "ERR 1049 42000");
    command(MY_COM_BINLOG_DUMP, "", 0);
    assert_int_equal(send_in(0), CONSOLE_READY);
    assert_string_equal(received(false), "ERR 1047 08S01");
    command(MY_COM_PROCESS_KILL, "\1\0\0\1", 4);
    assert_int_equal(send_in(0), CONSOLE_READY);
    assert_string_equal(received(false), "OK");
    assert_non_null(strstr(world->log, "KILL_CLIENT - 16777217"));
    command(MY_COM_QUIT, "", 0);
    assert_int_equal(send_in(0), CONSOLE_CLOSE);
    assert_int_equal(buf_len(&answer), 0);
}

/* ---- prepared -----------------------------------------------------------------------------------
 */

/* Prepare; the columns are in `told`. Returns the statement's id. */
static uint32_t prepare(const char *text)
{
    told[0] = '\0';
    seq = 1;
    command(MY_COM_STMT_PREPARE, text, strlen(text));
    assert_int_equal(send_in(0), CONSOLE_READY);
    struct my_reader r = packet();
    assert_int_equal(my_read_int(&r, 1), 0);
    uint32_t id = (uint32_t)my_read_int(&r, 4);
    size_t n = (size_t)my_read_int(&r, 2);
    assert_int_equal(my_read_int(&r, 2), 0); /* parameters */
    (void)my_read_int(&r, 3);
    assert_true(!r.bad && my_left(&r) == 0);
    if (n != 0)
        columns(n);
    assert_int_equal(buf_len(&answer), 0);
    return id;
}

static const char *execute(uint32_t id)
{
    uint8_t body[9] = {(uint8_t)id, (uint8_t)(id >> 8), 0, 0, 0, 1, 0, 0, 0};
    command(MY_COM_STMT_EXECUTE, body, sizeof body);
    assert_int_equal(send_in(0), CONSOLE_READY);
    return received(true);
}

static void test_prepared(void **state)
{
    char said[4096];
    (void)state;
    uint32_t first = prepare("SHOW POOLS");
    (void)snprintf(said, sizeof said, "%s", told);
    assert_int_equal(strncmp(execute(first), said, strlen(said)), 0);
    (void)snprintf(said, sizeof said, "%s", execute(first));
    /* The same values as in the text form. */
    assert_string_equal(query("SHOW POOLS"), said);
    uint32_t second = prepare("select @@wait_timeout as w, null as n, 'x'");
    assert_string_equal(told, "[w,n,'x']");
    assert_string_equal(execute(second), "[w,n,'x'] {28800,NULL,x} EOF");
    assert_string_equal(execute(prepare("RELOAD")), "OK");
    (void)prepare("SHOW HELP");
    assert_string_equal(told, "[help]");
    assert_int_equal(strncmp(execute(first), "[database,", 10), 0);
    uint8_t id[4] = {(uint8_t)first};
    command(MY_COM_STMT_CLOSE, id, 4); /* is not answered */
    assert_int_equal(send_in(0), CONSOLE_READY);
    assert_int_equal(buf_len(&answer), 0);
    assert_string_equal(execute(first), "ERR 1243 HY000");
    assert_string_equal(execute(99), "ERR 1243 HY000");
    command(MY_COM_STMT_PREPARE, "NONSENSE", 8);
    assert_int_equal(send_in(0), CONSOLE_READY);
    assert_string_equal(received(false), "ERR 1064 42000");
}

static void test_too_many_prepared(void **state)
{
    (void)state;
    for (int i = 0; i < 256; i++)
        (void)prepare("SHOW PEERS");
    command(MY_COM_STMT_PREPARE, "SHOW PEERS", 10);
    assert_int_equal(send_in(0), CONSOLE_READY);
    assert_string_equal(received(false), "ERR 1461 42000");
}

/* ---- bytes --------------------------------------------------------------------------------------
 */

static void test_split(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 12; chunk++) {
        command(MY_COM_QUERY, "SHOW PEERS", 10);
        assert_int_equal(send_in(chunk), CONSOLE_READY);
        assert_string_equal(received(false), "[peer_id,host,port,pool_size] EOF");
    }
}

static void test_damaged(void **state)
{
    static const char *const bodies[] = {"\x17", "\x17\1", "\x19",  "\x1a",
                                         "\x0c", "\xee",   "\x1c\1"};
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_true(my_put_packet(&in, 0, bodies[i], strlen(bodies[i])));
        assert_int_equal(send_in(0), CONSOLE_READY);
        buf_release(&answer);
    }
    query_is("SHOW PEERS", "[peer_id,host,port,pool_size] EOF"); /* it goes on */
    assert_true(buf_append(&in, "\1\0\2\0", 4));                 /* 128 KiB are announced */
    assert_int_equal(send_in(0), CONSOLE_CLOSE);
    assert_string_equal(received(false), "ERR 1153 08S01");
}

static void test_empty_packet(void **state)
{
    (void)state;
    assert_true(buf_append(&in, "\0\0\0\0", 4));
    assert_int_equal(send_in(0), CONSOLE_CLOSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_orders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drivers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_commands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prepared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_prepared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_split, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty_packet, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
