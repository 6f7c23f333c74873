/* SPDX-License-Identifier: ISC
 * [databases]: both forms of a connection, what goes to libpq, what stays here, the canonical name
 * of the server; and that no message ever shows a password.
 */
#include "config.h"

#include "conf_help.h"

/* The entry `d` of a file that says `d = <text>`. */
static struct conf *load_db(const char *text, const struct conf_database **db)
{
    char file[2048];
    snprintf(file, sizeof file, "[databases]\nd = %s\n", text);
    struct conf *conf = load_good(file);
    *db = conf_database_find(conf, "d");
    assert_non_null(*db);
    return conf;
}

static void refuse_db(const char *text, const char *part)
{
    char file[2048];
    snprintf(file, sizeof file, "[databases]\nd = %s\n", text);
    refuse(file, 2, part);
}

static const char *param(const struct conf_database *db, const char *key)
{
    for (size_t i = 0; i < db->n_params; i++)
        if (strcmp(db->params[i].key, key) == 0)
            return db->params[i].value;
    return NULL;
}

static const char *startup(const struct conf_database *db, const char *key)
{
    for (size_t i = 0; i < db->n_startup; i++)
        if (strcmp(db->startup[i].key, key) == 0)
            return db->startup[i].value;
    return NULL;
}

static void keyword_form(void **state)
{
    const struct conf_database *db;
    struct conf *conf =
        load_db("host=db2 port = 5433 dbname=old user=app password='it''s a ;#= p\\w'"
                " pool_size=5 client_encoding=UNICODE datestyle=ISO"
                " connect_query='SELECT 1' sslmode=require",
                &db);
    (void)state;
    assert_int_equal(db->proto, CONF_PROTO_POSTGRES);
    assert_string_equal(db->server, "db2:5433");
    assert_string_equal(db->dbname, "old");
    assert_string_equal(db->user, "app");
    assert_string_equal(db->password, "it's a ;#= p\\w");
    assert_int_equal(db->pool_size, 5);
    assert_int_equal(db->min_pool_size, -1);
    assert_int_equal(db->pool_mode, CONF_POOL_UNSET);
    assert_int_equal(db->server_lifetime_us, CONF_UNSET_US);
    assert_string_equal(db->connect_query, "SELECT 1");
    assert_string_equal(param(db, "host"), "db2");
    assert_string_equal(param(db, "port"), "5433");
    assert_string_equal(param(db, "sslmode"), "require");
    assert_null(param(db, "password"));
    assert_null(param(db, "dbname"));
    assert_string_equal(startup(db, "client_encoding"), "UNICODE");
    assert_string_equal(startup(db, "datestyle"), "ISO");
    assert_false(db->from_url);
    conf_free(&conf);
}

static void quoting(void **state)
{
    const struct conf_database *db;
    struct conf *conf = load_db("host=h password='''' user='' auth_user='a''''b'", &db);
    (void)state;
    assert_string_equal(db->password, "'");
    assert_null(db->user);
    assert_string_equal(db->auth_user, "a''b");
    conf_free(&conf);
}

static void url_form(void **state)
{
    const struct conf_database *db;
    struct conf *conf = load_db("postgres://ap%70:p%40ss%3A%2F;#@db.internal:5433/sh%20op"
                                "?sslmode=verify-full&target_session_attrs=read-write&pool_size=7"
                                "&options=-c%20geqo%3Doff",
                                &db);
    (void)state;
    assert_string_equal(db->user, "app");
    assert_string_equal(db->password, "p@ss:/;#");
    assert_string_equal(db->dbname, "sh op");
    assert_string_equal(db->server, "db.internal:5433");
    assert_int_equal(db->pool_size, 7);
    assert_string_equal(param(db, "sslmode"), "verify-full");
    assert_string_equal(param(db, "target_session_attrs"), "read-write");
    assert_string_equal(param(db, "options"), "-c geqo=off");
    conf_free(&conf);

    conf = load_db("postgresql://user@h pool_mode=session connect_query='SELECT 1'", &db);
    assert_string_equal(db->dbname, "d");
    assert_int_equal(db->pool_mode, CONF_POOL_SESSION);
    assert_string_equal(db->connect_query, "SELECT 1");
    conf_free(&conf);

    conf = load_db("postgres://u:p@w@h/x?ssl=true", &db);
    assert_string_equal(db->password, "p@w");
    assert_string_equal(param(db, "sslmode"), "require");
    conf_free(&conf);
}

static void mysql_urls(void **state)
{
    const struct conf_database *db;
    struct conf *conf = load_db("mysql://app@db3.internal/orders", &db);
    (void)state;
    assert_int_equal(db->proto, CONF_PROTO_MYSQL);
    assert_string_equal(db->server, "db3.internal:3306");
    assert_int_equal(db->hosts[0].port, 3306);
    conf_free(&conf);
    conf = load_db("MariaDB://app:pw@[::1]:3307/orders?charset=utf8mb4", &db);
    assert_string_equal(db->server, "[::1]:3307");
    assert_string_equal(db->hosts[0].host, "::1");
    conf_free(&conf);
    refuse_db("mysql://h/x?target_session_attrs=any", "unknown option \"target_session_attrs\"");

    conf = load_db("mysql://app@localhost/orders?socket=/run/my.sock&ssl-mode=REQUIRED", &db);
    assert_string_equal(db->server, "/run/my.sock:3306");
    assert_string_equal(param(db, "host"), "/run/my.sock");
    assert_string_equal(param(db, "ssl-mode"), "REQUIRED");
    conf_free(&conf);
    refuse_db("mysql://h/x?socket=my.sock", "socket is not the path of a Unix socket");
    refuse_db("mysql://h/x?ssl-mode=verify-full", "ssl-mode \"verify-full\" is none of DISABLED");
    refuse_db("mysql://h/x?sslmode=REQUIRED", "sslmode \"REQUIRED\" is none of disable");
    refuse_db("postgres://h/x?socket=/run/my.sock", "unknown option \"socket\"");
}

static void server_names(void **state)
{
    static const struct {
        const char *text, *server;
        size_t n;
    } cases[] = {
        {"host=a", "a:5432", 1},
        {"host=a,b port=1,2", "a:1,b:2", 2},
        {"host=a,b port=7", "a:7,b:7", 2},
        {"postgres://a:1,b,[::1]:3/x", "a:1,b:5432,[::1]:3", 3},
        {"host=2001:db8::7", "[2001:db8::7]:5432", 1},
        {"host=/var/run/postgresql port=5433", "/var/run/postgresql:5433", 1},
        {"postgres://%2Fvar%2Frun/x", "/var/run:5432", 1},
        {"postgres:///x?host=/run&port=5", "/run:5", 1},
        {"postgres://u@/x?host=h", "h:5432", 1},
        {"hostaddr=10.0.0.1", "10.0.0.1:5432", 1},
        {"host=name hostaddr=10.0.0.1", "name:5432", 1},
        {"dbname=x", "local:5432", 1},
        {"service=prod", "service=prod", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct conf_database *db;
        struct conf *conf = load_db(cases[i].text, &db);
        assert_string_equal(db->server, cases[i].server);
        assert_int_equal(db->n_hosts, cases[i].n);
        assert_non_null(conf_server_find(conf, db->server));
        conf_free(&conf);
    }
    struct conf *conf = load_good("[weir]\nunix_socket_dir = /run/pg\n[databases]\nd =\n");
    assert_string_equal(conf_database_find(conf, "d")->server, "/run/pg:5432");
    assert_string_equal(param(conf_database_find(conf, "d"), "host"), "/run/pg");
    conf_free(&conf);
}

static void lists_keep_what_libpq_wants(void **state)
{
    const struct conf_database *db;
    struct conf *conf = load_db("postgres://a,b:6/x?load_balance_hosts=random", &db);
    (void)state;
    assert_string_equal(param(db, "host"), "a,b");
    assert_string_equal(param(db, "port"), ",6");
    assert_int_equal(db->load_balance_hosts, CONF_LOAD_BALANCE_RANDOM);
    assert_null(param(db, "load_balance_hosts"));
    conf_free(&conf);
}

static void service_keeps_its_database(void **state)
{
    const struct conf_database *db;
    struct conf *conf = load_db("service=prod", &db);
    (void)state;
    assert_true(db->service);
    assert_null(db->dbname);
    assert_string_equal(param(db, "service"), "prod");
    assert_null(param(db, "port"));
    conf_free(&conf);
}

static void fallback_and_names(void **state)
{
    struct conf *conf = load_good("[databases]\n"
                                  "* = host=any\n"
                                  "\"my = \"\"db\"\"\" = host=quoted\n"
                                  "a.b-c:1 = host=colon\n"
                                  "Case = host=upper\n");
    (void)state;
    assert_string_equal(conf_database_find(conf, "my = \"db\"")->server, "quoted:5432");
    assert_string_equal(conf_database_find(conf, "a.b-c:1")->server, "colon:5432");
    assert_string_equal(conf_database_find(conf, "case")->server, "any:5432");
    assert_string_equal(conf_database_find(conf, "*")->name, "*");
    assert_null(conf_database_find(conf, "nobody")->dbname);
    assert_null(conf_database_at(conf, 4));
    conf_free(&conf);
    refuse("[databases]\nweir = host=h\n", 2, "this name is the console's");
    refuse("[databases]\npgbouncer = host=h\n", 2, "this name is the console's");
    refuse("[databases]\na = host=h\na = host=i\n", 3, "a is given twice, first in t.ini:2");
}

static void duplicates_in_a_pgbouncer_ini(void **state)
{
    struct conf_report r;
    struct conf *conf = load_text("[databases]\na = host=h\na = host=i\n[pgbouncer]\n", &r);
    (void)state;
    assert_non_null(conf);
    expect_problem(&r, CONF_WARNING, 3, "the last one holds");
    assert_string_equal(conf_database_find(conf, "a")->server, "i:5432");
    conf_free(&conf);
    conf_report_fini(&r);
}

static void faults(void **state)
{
    (void)state;
    refuse_db("host=h prot=1", "unknown option \"prot\"; did you mean port?");
    refuse_db("host=h port=65536", "a port is not a number from 1 to 65535");
    refuse_db("host=h port=x", "a port is not");
    refuse_db("host=a,b,c port=1,2", "3 hosts, but 2 ports");
    refuse_db("host=a,b hostaddr=1.1.1.1", "host and hostaddr don't have the same number");
    refuse_db("host=h host=i", "host is given twice");
    refuse_db("host=h pool_size=-1", "pool_size: -1 is out of range; 0 to 100000 is allowed");
    refuse_db("host=h pool_mode=any", "pool_mode: \"any\" is none of");
    refuse_db("host=h query_wait_timeout=soon", "query_wait_timeout: \"soon\" is not a time");
    refuse_db("host=h max_server_connections=0", "out of range");
    refuse_db("host", "no key= where one is expected");
    refuse_db("=h", "no key= where one is expected");
    refuse_db("host=", "the last key= has no value");
    refuse_db("host='h", "a quote (') is not closed");
    refuse_db("host='h'x", "no blank after a closing quote");
    refuse_db("host=h replication=true", "a client asks for it itself");
    refuse_db("http://h/x", "not a URL of a database");
    refuse_db("postgres://h/%zz", "not followed by two hexadecimal digits");
    refuse_db("postgres://h/%00", "not followed by two hexadecimal digits");
    refuse_db("postgres://[::1/x", "is not closed by a ]");
    refuse_db("postgres://::1/x", "an IPv6 address needs brackets");
    refuse_db("postgres://a%2Cb/x", "has a comma in it");
    refuse_db("postgres://h/x?sslmode", "is not key=value");
    refuse_db("postgres://h:99999/x", "a port is not");
    refuse_db("postgres://u@h/x?user=v", "user is given twice");
    refuse_db("host=h password=a password_command=b", "several passwords");
}

/* Whatever is wrong around a password, it isn't told. */
static void no_password_in_messages(void **state)
{
    static const char *const lines[] = {
        "host=h password=sEcReT sEcReT",
        "host=h password=sEcReT sEcReT=x",
        "host=h password=x sEcReT=x",
        "host=h password='sEcReT",
        "host=h password='sEcReT'sEcReT",
        "host=h password=sEcReT password=sEcReT",
        "host=h sslpassword=x sEcReT=1",
        "host=h sslpassword=sEcReT sslpassword=sEcReT port=0",
        "postgres://u:sEcReT%zz@h/x",
        "postgres://u:sEcReT@h:0/x",
        "postgres://u:sEcReT@h/x?password=sEcReT",
        "postgres://u:sEcReT@[h/x",
        "postgres://u:sEcReT@::1/x",
        "http://u:sEcReT@h/x",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char file[256], line[1024];
        struct conf_report r;
        const struct conf_problem *p;
        snprintf(file, sizeof file, "[databases]\nd = %s\n", lines[i]);
        struct conf *conf = load_text(file, &r);
        assert_null(conf);
        STAILQ_FOREACH(p, &r.problems, link)
        {
            conf_problem_format(p, line, sizeof line);
            if (strstr(line, "sEcReT") != NULL)
                fail_msg("%s", line);
        }
        conf_report_fini(&r);
    }
}

static void many_hosts(void **state)
{
    char text[600] = "host=h";
    (void)state;
    for (int i = 0; i < 63; i++)
        memcpy(text + 6 + i * 2, ",h", 3);
    const struct conf_database *db;
    struct conf *conf = load_db(text, &db);
    assert_int_equal(db->n_hosts, 64);
    conf_free(&conf);
    memcpy(text + 6 + 63 * 2, ",h", 3);
    refuse_db(text, "more than 64 hosts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyword_form),
        cmocka_unit_test(quoting),
        cmocka_unit_test(url_form),
        cmocka_unit_test(mysql_urls),
        cmocka_unit_test(server_names),
        cmocka_unit_test(lists_keep_what_libpq_wants),
        cmocka_unit_test(service_keeps_its_database),
        cmocka_unit_test(fallback_and_names),
        cmocka_unit_test(duplicates_in_a_pgbouncer_ini),
        cmocka_unit_test(faults),
        cmocka_unit_test(no_password_in_messages),
        cmocka_unit_test(many_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
