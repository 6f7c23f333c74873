/* SPDX-License-Identifier: ISC
 * The file, the environment and the command line: what is read, in which order it holds, and that
 * every fault is told with its place. The texts of the messages are part of the promise.
 */
#include "config.h"

#include "conf_help.h"

#include <sys/stat.h>
#include <unistd.h>

#define DB "[databases]\nd = host=h\n"

/* --- values --- */

static void defaults(void **state)
{
    struct conf *conf = load_good(DB);
    const struct conf_settings *s = conf_settings(conf);
    (void)state;
    assert_string_equal(s->listen_addr, "127.0.0.1");
    assert_int_equal(s->listen_port, 6432);
    assert_int_equal(s->max_client_conn, 20000);
    assert_int_equal(s->max_server_connections.kind, CONF_BOUND_AUTO);
    assert_int_equal(s->query_wait_timeout_us, 5000000);
    assert_int_equal(s->idle_transaction_timeout_us, 30000000);
    assert_int_equal(s->client_spool_bytes, 65536);
    assert_int_equal(s->max_prepared_statements, 200);
    assert_int_equal(s->pool_mode, CONF_POOL_TRANSACTION);
    assert_int_equal(s->auth_type, CONF_AUTH_SCRAM_SHA_256);
    assert_int_equal(s->workers, 0);
    assert_true(s->tcp_keepalive);
    assert_int_equal(s->unix_socket_mode, 0777);
    assert_string_equal(s->server_check_query, "<empty>");
    assert_string_equal(s->auth_file, "");
    conf_free(&conf);
    assert_null(conf);
}

static void pgbouncer_defaults(void **state)
{
    struct conf *conf = load_good("[pgbouncer]\nlisten_addr = *\n" DB);
    const struct conf_settings *s = conf_settings(conf);
    (void)state;
    assert_int_equal(s->auth_type, CONF_AUTH_MD5);
    assert_int_equal(s->idle_transaction_timeout_us, 0);
    assert_int_equal(s->query_wait_timeout_us, 120000000);
    assert_int_equal(s->default_pool_size, 20);
    assert_string_equal(s->unix_socket_dir, "/tmp");
    conf_free(&conf);
}

static void each_type(void **state)
{
    struct conf *conf = load_good("[weir]\n"
                                  "query_wait_timeout = 1500ms\n"
                                  "tcp_user_timeout = 30000\n"
                                  "client_spool = 1MB\n"
                                  "max_client_conn=7\n"
                                  "workers = 3\n"
                                  "unix_socket_mode = 0770\n"
                                  "so_reuseport = yes\n"
                                  "pool_mode = Session\n"
                                  "admin_users = ann, bob\n"
                                  "max_server_connections = 75%\n" DB);
    const struct conf_settings *s = conf_settings(conf);
    (void)state;
    assert_int_equal(s->query_wait_timeout_us, 1500000);
    assert_int_equal(s->tcp_user_timeout_us, 30000000);
    assert_int_equal(s->client_spool_bytes, 1 << 20);
    assert_int_equal(s->max_client_conn, 7);
    assert_int_equal(s->workers, 3);
    assert_int_equal(s->unix_socket_mode, 0770);
    assert_true(s->so_reuseport);
    assert_int_equal(s->pool_mode, CONF_POOL_SESSION);
    assert_true(conf_list_has(s->admin_users, "bob"));
    assert_int_equal(s->max_server_connections.kind, CONF_BOUND_PERCENT);
    assert_int_equal(s->max_server_connections.n, 75);
    conf_free(&conf);
}

static void lists(void **state)
{
    (void)state;
    assert_true(conf_list_has("a, b ,c", "b"));
    assert_true(conf_list_has("a", "a"));
    assert_false(conf_list_has("ab, b c", "a"));
    assert_false(conf_list_has("", ""));
    assert_false(conf_list_has(",,", ""));
    assert_false(conf_list_has("abc", "ab"));
}

/* --- the form of the file --- */

static void comments_and_blanks(void **state)
{
    struct conf *conf = load_good("\xef\xbb\xbf; first\r\n"
                                  "\r\n"
                                  "  [weir]   ; the settings\r\n"
                                  "   listen_port\t=   7000   ; a port\r\n"
                                  "# another\r\n"
                                  "admin_users = a;b\r\n"
                                  "server_reset_query = 'DISCARD ALL ; SELECT ''x'''  ; why not\r\n"
                                  "server_check_query = SELECT 'a', 'b'\r\n" DB);
    const struct conf_settings *s = conf_settings(conf);
    (void)state;
    assert_int_equal(s->listen_port, 7000);
    assert_string_equal(s->admin_users, "a;b");
    assert_string_equal(s->server_reset_query, "DISCARD ALL ; SELECT 'x'");
    assert_string_equal(s->server_check_query, "SELECT 'a', 'b'");
    conf_free(&conf);
}

static void pgbouncer_has_no_inline_comments(void **state)
{
    struct conf *conf = load_good("[pgbouncer]\n"
                                  "server_reset_query = A ; B # C\n"
                                  "server_check_query = 'quoted'\n" DB);
    const struct conf_settings *s = conf_settings(conf);
    (void)state;
    assert_string_equal(s->server_reset_query, "A ; B # C");
    assert_string_equal(s->server_check_query, "'quoted'");
    conf_free(&conf);
}

static void long_lines(void **state)
{
    enum { LONG = 100000 };
    char *text = malloc(LONG + 200);
    (void)state;
    assert_non_null(text);
    size_t n = (size_t)sprintf(text, "[weir]\nadmin_users = ");
    memset(text + n, 'x', LONG);
    sprintf(text + n + LONG, "\nlisten_port = 1234\n" DB);
    struct conf *conf = load_good(text);
    assert_int_equal(strlen(conf_settings(conf)->admin_users), LONG);
    assert_int_equal(conf_settings(conf)->listen_port, 1234);
    conf_free(&conf);
    free(text);
}

static void lines_that_are_none(void **state)
{
    (void)state;
    refuse("[weir]\nlisten_port 6432\n" DB, 2, "neither a section nor key = value");
    refuse("[weir]\nlisten_port: 6432\n" DB, 2, "neither a section nor key = value");
    refuse("[weir]\n: x\n" DB, 2, "neither a section nor key = value");
    refuse("[weir]\n= 6432\n" DB, 2, "no name in front of the =");
    refuse("[weir\n" DB, 1, "not a section");
    refuse("[weir] x\n" DB, 1, "not a section");
    refuse("listen_port = 6432\n" DB, 1, "\"listen_port\" stands before the first section");
    refuse(DB "[weir]\nlisten_port", 4, "neither a section nor key = value");
}

static void sections(void **state)
{
    (void)state;
    refuse("[wier]\nwhatever = 1\n" DB, 1, "unknown section [wier]; did you mean [weir]?");
    refuse("[something]\n" DB, 1, "there are weir, databases, servers, users and functions");
    refuse("[weir]\n[databases]\nd = host=h\n[weir]\n", 4,
           "section weir is given twice, first in t.ini:1; remove one");
    struct conf_report r;
    struct conf *conf = load_text("[pgbouncer]\n" DB "[peers]\n1 = host=a\n", &r);
    assert_non_null(conf);
    expect_problem(&r, CONF_WARNING, 4, "[peers] has no meaning here");
    conf_free(&conf);
    conf_report_fini(&r);
}

/* --- faults --- */

static void faults_of_settings(void **state)
{
    (void)state;
    refuse("[weir]\nquery_wait_timeot = 5\n" DB, 2,
           "unknown setting \"query_wait_timeot\"; did you mean query_wait_timeout?");
    refuse("[weir]\nfrobnicate_all = 5\n" DB, 2, "unknown setting \"frobnicate_all\"");
    refuse("[weir]\nlisten_port = 65536\n" DB, 2,
           "listen_port: 65536 is out of range; 0 to 65535 is allowed");
    refuse("[weir]\nlisten_port = -1\n" DB, 2, "out of range");
    refuse("[weir]\nlisten_port = 99999999999999999999\n" DB, 2, "too large");
    refuse("[weir]\nclient_login_timeout = 1ms\n" DB, 2,
           "client_login_timeout: 1ms is out of range; 100ms to 1d is allowed");
    refuse("[weir]\nworkers = 0\n" DB, 2, "auto, 1 to 1024 is allowed");
    refuse("[weir]\npool_mode = transactions\n" DB, 2,
           "\"transactions\" is none of transaction, session, statement");
    refuse("[weir]\nmax_server_connections = 110%\n" DB, 2, "1% to 100% is allowed");
    refuse("[weir]\nclient_tls_protocols = tlsv9\n" DB, 2, "\"tlsv9\" is no TLS version");
    refuse("[weir]\nfunction_from = user, dress\n" DB, 2,
           "\"dress\" is none of user, option, application_name");
    refuse("[weir]\nlisten_port=1\nlisten_port=2\n" DB, 3,
           "listen_port is given twice, first in t.ini:2; remove one");
    refuse("[weir]\nauth_query = SELECT 1\n" DB, 2, "auth_query: it has no $1");
}

static void all_faults_at_once(void **state)
{
    struct conf_report r;
    (void)state;
    assert_null(load_text("[weir]\n"
                          "listen_port = x\n"
                          "nonsense = 1\n"
                          "what is this\n"
                          "query_timeout = 5 parsecs\n"
                          "[databases]\n"
                          "a = hst=h\n"
                          "b = host=h port=0\n"
                          "[users]\n"
                          "u = pool_size=many\n"
                          "[functions]\n"
                          "f = guarantee=5 limit=3\n",
                          &r));
    expect_problem(&r, CONF_ERROR, 2, "listen_port: \"x\" is not a whole number");
    expect_problem(&r, CONF_ERROR, 3, "unknown setting");
    expect_problem(&r, CONF_ERROR, 4, "neither");
    expect_problem(&r, CONF_ERROR, 5, "\"5 parsecs\" is not a time");
    expect_problem(&r, CONF_ERROR, 7, "a: unknown option \"hst\"; did you mean host?");
    expect_problem(&r, CONF_ERROR, 8, "b: a port is not a number from 1 to 65535");
    expect_problem(&r, CONF_ERROR, 10, "u: pool_size: \"many\" is not a whole number");
    expect_problem(&r, CONF_ERROR, 12, "f: guarantee is above limit");
    assert_int_equal(r.errors, 8);
    char line[256];
    conf_problem_format(STAILQ_FIRST(&r.problems), line, sizeof line);
    assert_string_equal(line, "t.ini:2: error: listen_port: \"x\" is not a whole number");
    conf_report_fini(&r);
}

/* A file that is something else altogether doesn't fill the memory with complaints. */
static void thousands_of_faults(void **state)
{
    enum { N = 5000 };
    char *text = malloc(N * 8 + 16), *printed = NULL;
    size_t len = 0, kept = 0;
    struct conf_report r;
    const struct conf_problem *p;
    (void)state;
    assert_non_null(text);
    size_t n = (size_t)sprintf(text, "[weir]\n");
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(text + n, "k = v\n");
    assert_null(load_text(text, &r));
    assert_int_equal(r.errors, N);
    STAILQ_FOREACH(p, &r.problems, link)
    kept++;
    assert_int_equal(kept, 1000);
    FILE *f = open_memstream(&printed, &len);
    conf_report_print(&r, f);
    fclose(f);
    assert_non_null(strstr(printed, "... and "));
    conf_report_fini(&r);
    free(printed);
    free(text);
}

static void contradictions(void **state)
{
    (void)state;
    refuse("[weir]\nlisten_addr =\n" DB, 2, "no client can connect");
    refuse("[weir]\nmysql_port = 6432\n" DB, 2, "6432 is listen_port already");
    refuse("[weir]\nadmin_port = 6432\n" DB, 2, "6432 is a port for clients already");
    refuse("[weir]\nclient_tls_sslmode = require\n" DB, 2,
           "client_tls_key_file and client_tls_cert_file must be set");
    refuse("[weir]\nauth_type = cert\n" DB, 2, "cert needs client_tls_sslmode = verify-full");
    refuse("[weir]\nauth_type = any\n" DB, 2, "with any each database needs a user=");
}

static void ignored_settings_warn_once(void **state)
{
    struct conf_report r;
    struct conf *conf = load_text("[pgbouncer]\npkt_buf = 2048\nserver_round_robin = 1\n"
                                  "auth_type = hba\nauth_hba_file = x\nauth_file = y\n" DB,
                                  &r);
    (void)state;
    assert_non_null(conf);
    expect_problem(&r, CONF_WARNING, 2, "pkt_buf has no meaning here: ");
    expect_problem(&r, CONF_WARNING, 3, "server_round_robin has no meaning here: ");
    expect_problem(&r, CONF_WARNING, 4, "weir has no hba");
    expect_problem(&r, CONF_WARNING, 5, "auth_hba_file");
    assert_int_equal(r.warnings, 4);
    assert_int_equal(conf_settings(conf)->auth_type, CONF_AUTH_MD5);
    conf_free(&conf);
    conf_report_fini(&r);
}

/* What every release of PgBouncer up to 1.26 knows; each is taken, or one warning. */
static const char *const pgbouncer_keys[] = {"admin_users=a",
                                             "application_name_add_host=1",
                                             "auth_dbname=x",
                                             "auth_file=x",
                                             "auth_hba_file=x",
                                             "auth_ident_file=x",
                                             "auth_ldap_options=x",
                                             "auth_query=SELECT a FROM b WHERE c=$1",
                                             "auth_type=md5",
                                             "auth_user=x",
                                             "autodb_idle_timeout=3600",
                                             "cancel_wait_timeout=10",
                                             "client_idle_timeout=0",
                                             "client_login_timeout=60",
                                             "client_tls13_ciphers=",
                                             "client_tls_ca_file=",
                                             "client_tls_cert_file=",
                                             "client_tls_ciphers=fast",
                                             "client_tls_dheparams=auto",
                                             "client_tls_ecdhcurve=auto",
                                             "client_tls_key_file=",
                                             "client_tls_protocols=secure",
                                             "client_tls_sslmode=disable",
                                             "conffile=x",
                                             "default_pool_size=20",
                                             "disable_pqexec=0",
                                             "dns_max_ttl=15",
                                             "dns_nxdomain_ttl=15",
                                             "dns_zone_check_period=0",
                                             "idle_transaction_timeout=0",
                                             "ignore_startup_parameters=extra_float_digits",
                                             "job_name=pgbouncer",
                                             "listen_addr=*",
                                             "listen_backlog=128",
                                             "listen_port=6432",
                                             "log_connections=1",
                                             "log_disconnections=1",
                                             "log_pooler_errors=1",
                                             "log_stats=1",
                                             "logfile=x",
                                             "login_notify_message=x",
                                             "pool_idle_timeout=0",
                                             "max_client_conn=100",
                                             "max_db_client_connections=0",
                                             "max_db_connections=0",
                                             "max_packet_size=2147483647",
                                             "max_prepared_statements=200",
                                             "max_user_client_connections=0",
                                             "max_user_connections=0",
                                             "min_pool_size=0",
                                             "peer_id=0",
                                             "pidfile=x",
                                             "pkt_buf=4096",
                                             "pool_mode=session",
                                             "query_timeout=0",
                                             "query_wait_notify=5",
                                             "query_wait_timeout=120",
                                             "reserve_pool_size=0",
                                             "reserve_pool_timeout=5",
                                             "resolv_conf=",
                                             "sbuf_loopcnt=5",
                                             "scram_iterations=4096",
                                             "server_check_delay=30",
                                             "server_check_query=select 1",
                                             "server_connect_timeout=15",
                                             "server_fast_close=0",
                                             "server_idle_timeout=600",
                                             "server_lifetime=3600",
                                             "server_login_retry=15",
                                             "server_reset_query=DISCARD ALL",
                                             "server_reset_query_always=0",
                                             "server_round_robin=0",
                                             "server_tls13_ciphers=",
                                             "server_tls_ca_file=",
                                             "server_tls_cert_file=",
                                             "server_tls_ciphers=fast",
                                             "server_tls_key_file=",
                                             "server_tls_protocols=secure",
                                             "server_tls_sslmode=prefer",
                                             "service_name=pgbouncer",
                                             "so_reuseport=0",
                                             "stats_period=60",
                                             "stats_users=x",
                                             "suspend_timeout=10",
                                             "syslog=0",
                                             "syslog_facility=daemon",
                                             "syslog_ident=pgbouncer",
                                             "tcp_defer_accept=1",
                                             "tcp_keepalive=1",
                                             "tcp_keepcnt=0",
                                             "tcp_keepidle=0",
                                             "tcp_keepintvl=0",
                                             "tcp_socket_buffer=0",
                                             "tcp_user_timeout=0",
                                             "track_extra_parameters=IntervalStyle",
                                             "transaction_timeout=0",
                                             "unix_socket_dir=/tmp",
                                             "unix_socket_group=",
                                             "unix_socket_mode=0777",
                                             "user=x",
                                             "verbose=0"};

static void every_key_of_pgbouncer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pgbouncer_keys / sizeof pgbouncer_keys[0]; i++) {
        char text[256];
        struct conf_report r;
        snprintf(text, sizeof text, "%s[pgbouncer]\nauth_file=x\n%s\n", DB,
                 strcmp(pgbouncer_keys[i], "auth_file=x") == 0 ? "" : pgbouncer_keys[i]);
        struct conf *conf = load_text(text, &r);
        if (conf == NULL || r.warnings > 1) {
            conf_report_print(&r, stderr);
            fail_msg("%s", pgbouncer_keys[i]);
        }
        conf_free(&conf);
        conf_report_fini(&r);
    }
}

static void debians_pgbouncer_ini(void **state)
{
    static const char path[] = "/etc/pgbouncer/pgbouncer.ini";
    struct conf_report r;
    struct conf_source src = {.path = path};
    (void)state;
    if (access(path, R_OK) != 0)
        skip();
    conf_report_init(&r);
    struct conf *conf = conf_load(&src, &r);
    assert_non_null(conf);
    assert_int_equal(r.errors, 0);
    assert_string_equal(conf_settings(conf)->auth_file, "/etc/pgbouncer/userlist.txt");
    conf_free(&conf);
    conf_report_fini(&r);
}

/* The sample as it is installed, or with what it shows in comments switched on. */
static void load_sample(bool uncomment)
{
    static char text[16384];
    char path[512], line[512];
    size_t n = 0;
    const char *srcdir = getenv("WEIR_SRCDIR");
    snprintf(path, sizeof path, "%s/conf/weir.ini", srcdir != NULL ? srcdir : ".");
    FILE *f = fopen(path, "r");
    if (f == NULL)
        skip();
    while (fgets(line, sizeof line, f) != NULL) {
        const char *from = line;
        if (uncomment && line[0] == ';' && line[1] != ' ' && strstr(line, " = ") != NULL)
            from++;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s", from);
        assert_true(n < sizeof text);
    }
    fclose(f);
    struct conf_report r;
    struct conf *conf = load_text(text, &r);
    if (conf == NULL)
        conf_report_print(&r, stderr);
    assert_non_null(conf);
    /* As installed it warns that there is neither a user nor a database. */
    assert_int_equal(r.warnings, uncomment ? 0 : 2);
    assert_true(uncomment == (conf_database_find(conf, "anything") != NULL));
    conf_free(&conf);
    conf_report_fini(&r);
}

static void our_own_sample(void **state)
{
    (void)state;
    load_sample(false);
    load_sample(true);
}

/* --- files in a temporary directory --- */

static char dir[] = "/tmp/weir-conf-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static struct conf *load_file(const char *name, struct conf_report *r)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    struct conf_source src = {.path = path};
    conf_report_init(r);
    return conf_load(&src, r);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    char command[128];
    static const char *const names[] = {"main.ini",  "more.ini", "loop.ini",
                                        "users.txt", "secret",   "empty"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(command, sizeof command, "%s/%s", dir, names[i]);
        unlink(command);
    }
    return rmdir(dir);
}

static void includes(void **state)
{
    struct conf_report r;
    (void)state;
    write_file("main.ini", "[weir]\nlisten_port = 1\n%include more.ini\nmax_client_conn = 5\n");
    write_file("more.ini", "admin_port = 2\n[databases]\nd = host=h\n");
    struct conf *conf = load_file("main.ini", &r);
    if (conf == NULL)
        conf_report_print(&r, stderr);
    assert_non_null(conf);
    assert_int_equal(conf_settings(conf)->admin_port, 2);
    assert_int_equal(conf_settings(conf)->max_client_conn, 5);
    assert_non_null(conf_database_find(conf, "d"));
    conf_free(&conf);
    conf_report_fini(&r);
}

static void include_faults(void **state)
{
    struct conf_report r;
    (void)state;
    write_file("main.ini", "[weir]\n%include nowhere.ini\n%include more.ini\n");
    write_file("more.ini", "\nbad_key = 1\n");
    assert_null(load_file("main.ini", &r));
    expect_problem(&r, CONF_ERROR, 2, "No such file");
    const struct conf_problem *p = find_problem(&r, CONF_ERROR, 2, "unknown setting \"bad_key\"");
    assert_non_null(p);
    assert_non_null(strstr(p->file, "more.ini"));
    conf_report_fini(&r);

    write_file("loop.ini", "%include loop.ini\n");
    assert_null(load_file("loop.ini", &r));
    expect_problem(&r, CONF_ERROR, 1, "does one include itself?");
    assert_int_equal(r.errors, 1);
    conf_report_fini(&r);
}

static void missing_file(void **state)
{
    struct conf_report r;
    (void)state;
    assert_null(load_file("nowhere.ini", &r));
    assert_non_null(strstr(STAILQ_FIRST(&r.problems)->text, "No such file"));
    conf_report_fini(&r);
}

static void files_beside_the_file(void **state)
{
    struct conf_report r;
    char want[128];
    (void)state;
    write_file("main.ini", "[weir]\nauth_file = users.txt\nserver_tls_ca_file = nowhere.pem\n" DB);
    write_file("users.txt", "");
    struct conf *conf = load_file("main.ini", &r);
    assert_non_null(conf);
    snprintf(want, sizeof want, "%s/users.txt", dir);
    assert_string_equal(conf_settings(conf)->auth_file, want);
    assert_string_equal(conf_settings(conf)->server_tls_ca_file, "nowhere.pem");
    conf_check_files(conf, &r);
    expect_problem(&r, CONF_ERROR, 3, "server_tls_ca_file: nowhere.pem: No such file");
    assert_int_equal(r.errors, 1);
    conf_free(&conf);
    conf_report_fini(&r);
}

static void password_files(void **state)
{
    struct conf_report r;
    (void)state;
    write_file("secret", "s3cr;t # x\nsecond line\n");
    write_file("empty", "\n");
    write_file("main.ini", "[databases]\na = host=h user=u password_file=secret\n");
    struct conf *conf = load_file("main.ini", &r);
    assert_non_null(conf);
    assert_string_equal(conf_database_find(conf, "a")->password, "s3cr;t # x");
    conf_free(&conf);
    conf_report_fini(&r);
    write_file("main.ini", "[databases]\na = host=h password_file=empty\n"
                           "b = host=h password_file=nowhere\n");
    assert_null(load_file("main.ini", &r));
    expect_problem(&r, CONF_ERROR, 2, "its first line is empty");
    expect_problem(&r, CONF_ERROR, 3, "No such file");
    conf_report_fini(&r);
}

/* --- environment and command line --- */

static struct conf *load_all(const char *text, const char *const *env, const char *const *urls,
                             size_t n_urls, struct conf_report *r)
{
    static const struct conf_param args[] = {{"max_client_conn", "3"}};
    struct conf_source src = {.path = text == NULL ? NULL : "t.ini",
                              .text = text,
                              .env = env,
                              .urls = urls,
                              .n_urls = n_urls,
                              .args = args,
                              .n_args = 1};
    conf_report_init(r);
    return conf_load(&src, r);
}

static void precedence(void **state)
{
    const char *env[] = {"HOME=/",
                         "WEIR_MAX_CLIENT_CONN=2",
                         "WEIR_LISTEN_PORT=22",
                         "WEIR_URL_D=postgres://env/x",
                         "WEIRD=1",
                         NULL};
    struct conf_report r;
    (void)state;
    struct conf *conf =
        load_all("[weir]\nmax_client_conn=1\nlisten_port=11\nadmin_port=12\n" DB, env, NULL, 0, &r);
    assert_non_null(conf);
    const struct conf_settings *s = conf_settings(conf);
    assert_int_equal(s->max_client_conn, 3); /* command line */
    assert_int_equal(s->listen_port, 22);    /* environment */
    assert_int_equal(s->admin_port, 12);     /* file */
    assert_int_equal(s->tcp_keepcnt, 0);     /* default */
    assert_string_equal(conf_database_find(conf, "d")->server, "env:5432");
    assert_string_equal(conf_database_find(conf, "d")->dbname, "x");
    conf_free(&conf);
    conf_report_fini(&r);
}

static void environment_faults(void **state)
{
    const char *env[] = {"WEIR_LISTEN_PROT=1", "WEIR_LISTEN_PORT=x", "WEIR_URL=http://a/b",
                         "WEIR_ABSOLUTELY_NOTHING=1", NULL};
    struct conf_report r;
    (void)state;
    assert_null(load_all(NULL, env, NULL, 0, &r));
    expect_problem(&r, CONF_ERROR, 0,
                   "WEIR_LISTEN_PROT is no setting; did you mean WEIR_LISTEN_PORT?");
    expect_problem(&r, CONF_ERROR, 0, "listen_port: \"x\" is not a whole number");
    expect_problem(&r, CONF_ERROR, 0, "postgres://, postgresql://, mysql:// and mariadb:// are");
    expect_problem(&r, CONF_ERROR, 0, "WEIR_ABSOLUTELY_NOTHING is no setting");
    assert_string_equal(STAILQ_FIRST(&r.problems)->file, "environment");
    conf_report_fini(&r);
}

/* A service called `weir` makes Kubernetes set these in every container of its namespace. */
static void kubernetes_service_links(void **state)
{
    const char *env[] = {"WEIR_SERVICE_HOST=10.0.0.1",
                         "WEIR_SERVICE_PORT=6432",
                         "WEIR_SERVICE_PORT_SQL=6432",
                         "WEIR_PORT=tcp://10.0.0.1:6432",
                         "WEIR_PORT_6432_TCP=tcp://10.0.0.1:6432",
                         "WEIR_PORT_6432_TCP_PROTO=tcp",
                         "WEIR_PORT_6432_TCP_PORT=6432",
                         "WEIR_PORT_6432_TCP_ADDR=10.0.0.1",
                         "WEIR_ADMIN_SERVICE_HOST=10.0.0.2",
                         "WEIR_ADMIN_PORT=tcp://10.0.0.2:6060",
                         "WEIR_ADMIN_PORT_6060_TCP_ADDR=10.0.0.2",
                         NULL};
    struct conf_report r;
    (void)state;
    struct conf *conf = load_all(DB, env, NULL, 0, &r);
    assert_non_null(conf);
    assert_int_equal(conf_settings(conf)->admin_port, 6060);
    conf_free(&conf);
    conf_report_fini(&r);
}

static void password_environment(void **state)
{
    const char *env[] = {"WEIR_DB_PASSWORD=p w",
                         "WEIR_URL=postgres://u@h/x?password_env=WEIR_DB_PASSWORD", NULL};
    struct conf_report r;
    (void)state;
    struct conf *conf = load_all(NULL, env, NULL, 0, &r);
    assert_non_null(conf);
    assert_string_equal(conf_database_find(conf, "x")->password, "p w");
    conf_free(&conf);
    conf_report_fini(&r);
    refuse("[databases]\na = host=h password_env=NOT_THERE\n", 2,
           "password_env: the environment has no NOT_THERE");
}

/* The door of MySQL's clients opens with the first database for them. */
static void mysql_door(void **state)
{
    static const struct {
        const char *text;
        int port;
        bool warned;
    } cases[] = {
        {"[databases]\na = host=h\n", 0, false},
        {"[weir]\nmysql_port = 3306\n[databases]\na = host=h\n", 3306, false},
        {"[databases]\na = mysql://h/x\n", 6033, false},
        {"[weir]\nmysql_port = 3306\n[databases]\na = mysql://h/x\n", 3306, false},
        {"[weir]\nmysql_port = 0\n[databases]\na = mysql://h/x\n", 0, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct conf_report r;
        const struct conf_problem *p;
        bool warned = false;
        struct conf *conf = load_all(cases[i].text, NULL, NULL, 0, &r);
        assert_non_null(conf);
        assert_int_equal(conf_settings(conf)->mysql_port, cases[i].port);
        STAILQ_FOREACH(p, &r.problems, link)
        warned |= strstr(p->text, "no client can reach a ") != NULL;
        assert_int_equal(warned, cases[i].warned);
        conf_free(&conf);
        conf_report_fini(&r);
    }
}

static void urls_of_the_command_line(void **state)
{
    const char *one[] = {"postgres://app:pw@db:5432/shop"};
    const char *two[] = {"postgres://app:pw@db:5432/shop", "mysql://app@my/orders"};
    const char *bad[] = {"db:5432/shop"};
    struct conf_report r;
    (void)state;
    struct conf *conf = load_all(NULL, NULL, one, 1, &r);
    assert_non_null(conf);
    assert_string_equal(conf_database_find(conf, "shop")->dbname, "shop");
    assert_true(conf_database_find(conf, "shop")->from_url);
    const struct conf_database *any = conf_database_find(conf, "other");
    assert_non_null(any);
    assert_null(any->dbname);
    assert_string_equal(any->server, "db:5432");
    conf_free(&conf);
    conf_report_fini(&r);

    conf = load_all(NULL, NULL, two, 2, &r);
    assert_non_null(conf);
    assert_null(conf_database_find(conf, "other"));
    assert_int_equal(conf_database_find(conf, "orders")->proto, CONF_PROTO_MYSQL);
    conf_free(&conf);
    conf_report_fini(&r);

    assert_null(load_all(NULL, NULL, bad, 1, &r));
    assert_string_equal(STAILQ_FIRST(&r.problems)->file, "command line");
    conf_report_fini(&r);
}

/* Of one place none is the stronger; the command line is stronger than the environment. */
static void two_urls_of_one_name(void **state)
{
    const char *const urls[] = {"postgres://app:pw@db/shop", "mysql://app:pw@my/shop"};
    const char *const env[] = {"WEIR_URL=postgres://app:pw@db/shop",
                               "WEIR_URL_SHOP=mysql://app:pw@my/orders", NULL};
    const char *const other[] = {"WEIR_URL_SHOP=mysql://app:pw@my/orders", NULL};
    struct conf_report r;
    (void)state;
    assert_null(load_all(NULL, NULL, urls, 2, &r));
    assert_non_null(strstr(STAILQ_FIRST(&r.problems)->text, "\"shop\""));
    conf_report_fini(&r);
    assert_null(load_all(NULL, env, NULL, 0, &r));
    assert_string_equal(STAILQ_FIRST(&r.problems)->file, "environment");
    conf_report_fini(&r);
    struct conf *conf = load_all(NULL, other, urls, 1, &r);
    assert_non_null(conf);
    assert_string_equal(conf_database_find(conf, "shop")->server, "db:5432");
    conf_free(&conf);
    conf_report_fini(&r);
}

/* --- one, two, three configurations --- */

static void copies_and_set(void **state)
{
    struct conf *conf = load_good("[weir]\nadmin_users = ann\n" DB);
    struct conf *copy = conf_copy(conf);
    struct err err;
    (void)state;
    assert_non_null(copy);
    assert_true(conf_set(copy, "query_timeout", "9s", &err));
    assert_true(conf_set(copy, "admin_users", "bob", &err));
    assert_int_equal(conf_settings(conf)->query_timeout_us, 0);
    assert_int_equal(conf_settings(copy)->query_timeout_us, 9000000);
    assert_string_equal(conf_settings(conf)->admin_users, "ann");
    assert_false(conf_set(copy, "query_timeout", "x", &err));
    assert_non_null(strstr(err.text, "query_timeout: \"x\" is not a time"));
    assert_false(conf_set(copy, "listen_port", "1", &err));
    assert_string_equal(err.text, "listen_port needs a restart");
    assert_false(conf_set(copy, "pkt_buf", "1", &err));
    assert_false(conf_set(copy, "query_timout", "1", &err));
    assert_non_null(strstr(err.text, "did you mean query_timeout?"));
    struct conf *again = conf_get(conf);
    assert_ptr_equal(again, conf);
    conf_free(&conf);
    assert_string_equal(conf_settings(again)->admin_users, "ann");
    conf_free(&again);
    /* The entries outlive the configuration they came with. */
    assert_string_equal(conf_settings(copy)->admin_users, "bob");
    assert_non_null(conf_database_find(copy, "d"));
    conf_free(&copy);
    conf_free(&copy);
}

/* Faults that no setting has by itself; auth_type = cert could not be taken back by anybody. */
static void set_contradicts(void **state)
{
    static const char *const wrong[][3] = {
        {"auth_type", "any", "needs a user="},
        {"auth_type", "cert", "needs client_tls_sslmode"},
        {"client_tls_sslmode", "require", "client_tls_key_file"},
        {"warm", "at dawn", "warm"},
    };
    struct conf *conf = load_good("[weir]\nadmin_users = ann\n" DB);
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct conf *copy = conf_copy(conf);
        struct err err;
        assert_false(conf_set(copy, wrong[i][0], wrong[i][1], &err));
        assert_non_null(strstr(err.text, wrong[i][2]));
        conf_free(&copy);
    }
    conf_free(&conf);
}

static void reload_differences(void **state)
{
    struct conf *a = load_good("[weir]\nlisten_port=1\nquery_timeout=1\n" DB);
    struct conf *b =
        load_good("[weir]\nlisten_port=2\nquery_timeout=2\nworkers=4\nunix_socket_dir=/run\n" DB);
    struct conf_report r;
    (void)state;
    conf_report_init(&r);
    assert_int_equal(conf_keep_unreloadable(a, b, &r), 3);
    expect_problem(&r, CONF_WARNING, 2,
                   "listen_port: the change from \"1\" to \"2\" needs a restart");
    expect_problem(&r, CONF_WARNING, 4, "workers: the change from \"auto\" to \"4\"");
    assert_int_equal(conf_settings(b)->listen_port, 1);
    assert_int_equal(conf_settings(b)->workers, conf_settings(a)->workers);
    assert_string_equal(conf_settings(b)->unix_socket_dir, conf_settings(a)->unix_socket_dir);
    assert_int_equal(conf_settings(b)->query_timeout_us, 2000000);
    assert_int_equal(conf_keep_unreloadable(a, b, &r), 0);
    conf_report_fini(&r);
    conf_free(&a);
    conf_free(&b);
}

static void descriptors(void **state)
{
    struct conf *a =
        load_good("[weir]\nmax_client_conn=1000\nmax_server_connections=50\nworkers=1\n"
                  "[databases]\na = host=x\nb = host=y\nc = host=x\n");
    struct conf *b =
        load_good("[weir]\nmax_client_conn=1001\nmax_server_connections=51\nworkers=1\n"
                  "[databases]\na = host=x\nb = host=y\nc = host=x\n");
    (void)state;
    assert_true(conf_fds_needed(a) > 1100);
    /* One client and one connection to each of the two servers more. */
    assert_int_equal(conf_fds_needed(b) - conf_fds_needed(a), 3);
    conf_free(&a);
    conf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(pgbouncer_defaults),
        cmocka_unit_test(each_type),
        cmocka_unit_test(lists),
        cmocka_unit_test(comments_and_blanks),
        cmocka_unit_test(pgbouncer_has_no_inline_comments),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(lines_that_are_none),
        cmocka_unit_test(sections),
        cmocka_unit_test(faults_of_settings),
        cmocka_unit_test(all_faults_at_once),
        cmocka_unit_test(thousands_of_faults),
        cmocka_unit_test(contradictions),
        cmocka_unit_test(ignored_settings_warn_once),
        cmocka_unit_test(every_key_of_pgbouncer),
        cmocka_unit_test(debians_pgbouncer_ini),
        cmocka_unit_test(our_own_sample),
        cmocka_unit_test(includes),
        cmocka_unit_test(include_faults),
        cmocka_unit_test(missing_file),
        cmocka_unit_test(files_beside_the_file),
        cmocka_unit_test(password_files),
        cmocka_unit_test(precedence),
        cmocka_unit_test(environment_faults),
        cmocka_unit_test(kubernetes_service_links),
        cmocka_unit_test(password_environment),
        cmocka_unit_test(mysql_door),
        cmocka_unit_test(urls_of_the_command_line),
        cmocka_unit_test(two_urls_of_one_name),
        cmocka_unit_test(copies_and_set),
        cmocka_unit_test(set_contradicts),
        cmocka_unit_test(reload_differences),
        cmocka_unit_test(descriptors),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
