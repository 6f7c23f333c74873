/* SPDX-License-Identifier: ISC
 * The first packet: kinds at every cut, malformed ones, parameters, and PostgreSQL's `options`.
 */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "proto/pg/pg_startup.h"

#define SSL_REQUEST    "\0\0\0\x08\x04\xd2\x16\x2f"
#define GSSENC_REQUEST "\0\0\0\x08\x04\xd2\x16\x30"
#define CANCEL         "\0\0\0\x10\x04\xd2\x16\x2e\x01\x02\x03\x04\x0a\x0b\x0c\x0d"

/* A packet as it stands on the wire: length, version, body (which brings its terminator). */
struct packet {
    uint8_t bytes[PG_STARTUP_MAX_BYTES + 100];
    size_t n;
};

static struct packet make(uint32_t version, const char *body, size_t body_n)
{
    struct packet p = {.n = body_n + 8};
    for (unsigned i = 0; i < 4; i++) {
        p.bytes[i] = (uint8_t)(p.n >> (24 - 8 * i));
        p.bytes[4 + i] = (uint8_t)(version >> (24 - 8 * i));
    }
    memcpy(p.bytes + 8, body, body_n);
    return p;
}
#define MAKE(version, body) make((version), (body), sizeof(body) - 1)

static bool parse(const struct packet *p, struct pg_startup *s, struct pg_fault *fault)
{
    /* An exact heap copy, so that a read beyond it is seen. */
    static uint8_t *copy;
    free(copy);
    copy = malloc(p->n);
    memcpy(copy, p->bytes, p->n);
    return pg_startup_parse(copy, p->n, s, fault);
}

static void expect_kind(const char *bytes, size_t n, enum pg_first_kind kind)
{
    struct pg_fault fault;
    size_t len;
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(pg_startup_peek(bytes, cut, &len, &fault), PG_FIRST_NEED_MORE);
        assert_true(len > cut && len <= n);
    }
    assert_int_equal(pg_startup_peek(bytes, n, &len, &fault), kind);
    assert_int_equal(len, n);
}

static void test_kinds_at_every_cut(void **state)
{
    struct packet p = MAKE(PG_PROTOCOL_3_0, "user\0u\0\0");
    (void)state;
    expect_kind(SSL_REQUEST, 8, PG_FIRST_SSL_REQUEST);
    expect_kind(GSSENC_REQUEST, 8, PG_FIRST_GSSENC_REQUEST);
    expect_kind(CANCEL, 16, PG_FIRST_CANCEL);
    expect_kind((const char *)p.bytes, p.n, PG_FIRST_STARTUP);
    expect_kind("X\0\0\0\x04", 5, PG_FIRST_TERMINATE);
}

static void expect_bad(const char *bytes, size_t n)
{
    struct pg_fault fault;
    size_t len;
    assert_int_equal(pg_startup_peek(bytes, n, &len, &fault), PG_FIRST_BAD);
    assert_string_equal(fault.sqlstate, "08P01");
    assert_string_equal(fault.message, "invalid length of startup packet");
}

static void test_bad_first_packets(void **state)
{
    struct pg_fault fault;
    size_t len;
    (void)state;
    expect_bad("\0\0\0\0", 4);
    expect_bad("\0\0\0\x07", 4);
    expect_bad("\0\0\x27\x11", 4); /* 10001 */
    expect_bad("\xff\xff\xff\xff", 4);
    expect_bad("\x80", 1);
    expect_bad("X\0\0\0\x05", 5);
    expect_bad("GET / HTTP/1.1\r\n", 16);
    expect_bad("\0\0\0\x09\x04\xd2\x16\x2fx", 9);                             /* long SSLRequest */
    expect_bad("\0\0\0\x0f\x04\xd2\x16\x2e\x01\x02\x03\x04\x0a\x0b\x0c", 15); /* short key */
    assert_int_equal(pg_startup_peek("\0\0\x27\x10", 4, &len, &fault), PG_FIRST_NEED_MORE);
    assert_int_equal(len, 10000);
    assert_int_equal(pg_startup_peek("\x16\x03\x01", 3, &len, &fault), PG_FIRST_DIRECT_TLS);
    assert_int_equal(len, 0);
}

static void test_cancel(void **state)
{
    uint32_t pid;
    struct pg_view key;
    char longest[12 + 256] = "\0\0\x01\x0c\x04\xd2\x16\x2e\0\0\0\x05";
    (void)state;
    assert_true(pg_startup_parse_cancel(CANCEL, 16, &pid, &key));
    assert_int_equal(pid, 0x01020304);
    assert_int_equal(key.n, 4);
    assert_memory_equal(key.p, "\x0a\x0b\x0c\x0d", 4);
    assert_true(pg_startup_parse_cancel(longest, sizeof(longest), &pid, &key));
    assert_int_equal(key.n, 256);
    assert_false(pg_startup_parse_cancel(CANCEL, 15, &pid, &key));
    assert_false(pg_startup_parse_cancel(SSL_REQUEST, 8, &pid, &key));
    expect_kind(longest, sizeof(longest), PG_FIRST_CANCEL);
}

static void expect_view(struct pg_view v, const char *text)
{
    assert_int_equal(v.n, strlen(text));
    assert_memory_equal(v.p, text, v.n);
}

static void test_parameters(void **state)
{
    struct packet p = MAKE(PG_PROTOCOL_3_0, "user\0app+f\0application_name\0psql\0options\0-c a=b\0"
                                            "_pq_.x\0y\0DateStyle\0ISO\0replication\0database\0\0");
    struct pg_startup s;
    struct pg_fault fault;
    struct pg_setting got;
    size_t at = 0;
    (void)state;
    assert_true(parse(&p, &s, &fault));
    expect_view(s.user, "app+f");
    expect_view(s.database, "app");
    expect_view(s.options, "-c a=b");
    assert_int_equal(s.replication, PG_REPLICATION_LOGICAL);
    assert_true(s.negotiate);
    assert_true(pg_startup_next(&s, &at, &got));
    expect_view(got.name, "application_name");
    expect_view(got.value, "psql");
    assert_int_equal(got.value.p[got.value.n], 0);
    assert_true(pg_startup_next(&s, &at, &got));
    expect_view(got.name, "DateStyle");
    assert_false(pg_startup_next(&s, &at, &got));

    struct buf b = {0};
    assert_true(pg_startup_negotiate(&s, &b));
    assert_int_equal(buf_len(&b), 1 + 4 + 4 + 4 + 7);
    assert_memory_equal(buf_head(&b), "v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x", 20);
    buf_release(&b);
}

static void test_versions(void **state)
{
    struct packet p = MAKE(PG_PROTOCOL_3_0, "user\0u\0database\0d\0\0");
    struct pg_startup s;
    struct pg_fault fault;
    (void)state;
    assert_true(parse(&p, &s, &fault));
    assert_false(s.negotiate);
    expect_view(s.database, "d");
    p = MAKE(0x00030002, "user\0u\0\0");
    assert_true(parse(&p, &s, &fault));
    assert_true(s.negotiate);
    expect_view(s.database, "u");
    p = MAKE(0x00020000, "user\0u\0\0");
    assert_false(parse(&p, &s, &fault));
    assert_string_equal(fault.sqlstate, "0A000");
    assert_string_equal(fault.message,
                        "unsupported frontend protocol 2.0: server supports 3.0 to 3.0");
}

static void expect_refused(struct packet p, const char *sqlstate, const char *message)
{
    struct pg_startup s;
    struct pg_fault fault;
    assert_false(parse(&p, &s, &fault));
    assert_string_equal(fault.sqlstate, sqlstate);
    assert_string_equal(fault.message, message);
}

static void test_malformed_parameters(void **state)
{
    static const char layout[] = "invalid startup packet layout: expected terminator as last byte";
    static const char nobody[] = "no PostgreSQL user name specified in startup packet";
    (void)state;
    expect_refused(MAKE(PG_PROTOCOL_3_0, ""), "08P01", layout);
    expect_refused(MAKE(PG_PROTOCOL_3_0, "user\0u\0"), "08P01", layout);
    expect_refused(MAKE(PG_PROTOCOL_3_0, "user\0u\0\0x"), "08P01", layout);
    expect_refused(MAKE(PG_PROTOCOL_3_0, "user\0u\0\0\0"), "08P01", layout);
    expect_refused(MAKE(PG_PROTOCOL_3_0, "user\0u"), "08P01", layout);
    expect_refused(MAKE(PG_PROTOCOL_3_0, "user\0u\0name"), "08P01", layout);
    expect_refused(MAKE(PG_PROTOCOL_3_0, "user\0u\0name\0"), "08P01", layout);
    expect_refused(MAKE(PG_PROTOCOL_3_0, "\0"), "28000", nobody);
    expect_refused(MAKE(PG_PROTOCOL_3_0, "user\0\0\0"), "28000", nobody);
    expect_refused(MAKE(PG_PROTOCOL_3_0, "user\0u\0replication\0perhaps\0\0"), "22023",
                   "invalid value for parameter \"replication\": \"perhaps\"");
}

static void test_replication_words(void **state)
{
    static const struct {
        const char *word;
        enum pg_replication want;
    } rows[] = {{"true", PG_REPLICATION_PHYSICAL},   {"on", PG_REPLICATION_PHYSICAL},
                {"1", PG_REPLICATION_PHYSICAL},      {"YES", PG_REPLICATION_PHYSICAL},
                {"off", PG_REPLICATION_NONE},        {"f", PG_REPLICATION_NONE},
                {"database", PG_REPLICATION_LOGICAL}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char body[64];
        int n =
            snprintf(body, sizeof(body), "user%cu%creplication%c%s%c", 0, 0, 0, rows[i].word, 0);
        struct packet p = make(PG_PROTOCOL_3_0, body, (size_t)n + 1);
        struct pg_startup s;
        struct pg_fault fault;
        p.bytes[p.n - 1] = 0;
        assert_true(parse(&p, &s, &fault));
        assert_int_equal(s.replication, rows[i].want);
    }
}

/* Settings as "name=value;" one after another. */
static bool collect(void *arg, const struct pg_setting *s)
{
    char *text = arg;
    size_t n = strlen(text);
    snprintf(text + n, 1024 - n, "%s=%s;", s->name.p, s->value.p);
    return strcmp(s->name.p, "stop") != 0;
}

static void expect_options(const char *options, const char *want)
{
    char got[1024] = "";
    struct pg_fault fault;
    bool fine = pg_startup_options(pg_view_of(options), collect, got, &fault);
    assert_true(fine);
    assert_string_equal(got, want);
}

static void expect_option_error(const char *options, const char *message)
{
    char got[1024] = "";
    struct pg_fault fault;
    assert_false(pg_startup_options(pg_view_of(options), collect, got, &fault));
    assert_string_equal(fault.sqlstate, "42601");
    assert_string_equal(fault.message, message);
}

static void test_options(void **state)
{
    (void)state;
    expect_options("", "");
    expect_options("  \t ", "");
    expect_options("-c a=b", "a=b;");
    expect_options("-ca=b", "a=b;");
    expect_options("--a=b", "a=b;");
    expect_options(" -c  statement-timeout=5s --search-path=x=y ",
                   "statement_timeout=5s;search_path=x=y;");
    expect_options("-c a=one\\ two -c b=back\\\\slash -c c=", "a=one two;b=back\\slash;c=;");
    expect_options("-c weir.function=getUsers", "weir.function=getUsers;");
    expect_options("-e -S 64 -fs -f h", "datestyle=euro;work_mem=64;enable_seqscan=false;"
                                        "enable_hashjoin=false;");
    expect_options("-ec a=b", "datestyle=euro;a=b;");
    expect_options("-tpa -t pl -te -s", "log_parser_stats=true;log_planner_stats=true;"
                                        "log_executor_stats=true;log_statement_stats=true;");
    expect_options("-d 3", "log_min_messages=debug3;log_statement=all;debug_print_parse=true;");
    expect_options("-d0", "log_min_messages=notice;");
    expect_options("-E -j -T -v 2 -c a=b --", "a=b;");
    expect_options("-p 5432", "port=5432;");
}

static void test_option_errors(void **state)
{
#define INVALID "invalid command-line argument for server process: "
    (void)state;
    expect_option_error("-c", INVALID "-c");
    expect_option_error("-c a", "-c a requires a value");
    expect_option_error("--a", "--a requires a value");
    expect_option_error("a=b", INVALID "a=b");
    expect_option_error("-c a=b c", INVALID "c");
    expect_option_error("-", INVALID "-");
    expect_option_error("-x", INVALID "-x");
    expect_option_error("-fz", INVALID "-fz");
    expect_option_error("-f z", INVALID "z");
    expect_option_error("-- a", INVALID "a");
    expect_option_error("\\", INVALID);
#undef INVALID
    struct pg_fault fault;
    char got[1024] = "";
    assert_false(pg_startup_options(pg_view_of("-c stop=1 -c a=b"), collect, got, &fault));
    assert_string_equal(fault.sqlstate, "");
    assert_string_equal(got, "stop=1;");
}

static void test_user_split(void **state)
{
    static const struct {
        const char *user;
        const char *role;
        const char *function;
    } rows[] = {{"app+getUsers", "app", "getUsers"},
                {"app", "app", NULL},
                {"app+", "app+", NULL},
                {"+f", "+f", NULL},
                {"a+b+c", "a+b", "c"},
                {"", "", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pg_view role;
        struct pg_view function;
        pg_startup_split_user(pg_view_of(rows[i].user), &role, &function);
        expect_view(role, rows[i].role);
        assert_int_equal(function.p == NULL, rows[i].function == NULL);
        if (rows[i].function != NULL)
            expect_view(function, rows[i].function);
    }
    assert_true(pg_startup_is_weir_setting(pg_view_of("Weir.function")));
    assert_false(pg_startup_is_weir_setting(pg_view_of("weir")));
    assert_false(pg_startup_is_weir_setting(pg_view_of("weirdo.function")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_at_every_cut),
        cmocka_unit_test(test_bad_first_packets),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_malformed_parameters),
        cmocka_unit_test(test_replication_words),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_option_errors),
        cmocka_unit_test(test_user_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
