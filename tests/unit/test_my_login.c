/* SPDX-License-Identifier: ISC
 * Whole logins: a little client against every kind of secret, plugin and way, its packets arriving
 * whole and one byte at a time; what the worker is told about it; and what breaks the protocol.
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

#include "my_login_help.h"
#include "proto/mysql/my_proto.h"
#include "proto/mysql/my_report.h"
#include "proto/mysql/my_secret.h"
#include "proto/mysql/my_session.h"

#define NATIVE "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7" /* PASSWORD('secret') */
#define CRYPT                                                                                      \
    "$A$00A$"                                                                                      \
    "\x37\x7b\x2a\x5b\x30\x5f\x7a\x21\x55\x49\x0c\x4e\x05\x61\x41\x6a\x71\x3c\x02\x27"             \
    "Ib80x0yELAbIxkFyiVzjHJsdVPNme2PGT6dQx5Anp/C"

static const struct login_ops *const ops = &my_login_ops;

struct setting {
    const char *secret; /* NULL: unknown user */
    const char *fresh;  /* what it is by now, where found.may_be_old */
    struct login_found found;
    struct login_policy policy;
    struct my_report *report;
    bool local, tls_offered, tls, bytewise;
    const char *cn;
};

struct outcome {
    enum login_step last;
    bool proof;
    struct login_proof key;
    char password[64], reason[200];
    char role[64], function[64], application[64], database[64];
    bool has_function;
    char option[64];
    uint32_t pool_flags;
};

/* One feed with an exact copy of the bytes, so that a read beyond them is seen. */
static enum login_step feed(void *login, struct buf *in, size_t n, struct buf *out)
{
    size_t used = 0;
    uint8_t *copy = malloc(n != 0 ? n : 1);
    memcpy(copy, buf_head(in), n);
    enum login_step step = ops->feed(login, copy, n, &used, out);
    assert_true(used <= n);
    free(copy);
    buf_consume(in, used);
    return step;
}

static enum login_step turn(const struct setting *s, bool *asked, void *login, struct buf *in,
                            struct buf *out)
{
    enum login_step step = LOGIN_MORE;
    for (size_t n = s->bytewise ? 0 : buf_len(in); n <= buf_len(in) && step == LOGIN_MORE; n++) {
        step = feed(login, in, n, out);
        if (buf_len(out) != 0)
            break;
    }
    while (step == LOGIN_SECRET) {
        struct login_found found = s->found;
        found.secret = *asked ? s->fresh : s->secret;
        found.may_be_old = s->found.may_be_old && !*asked;
        *asked = true;
        step = ops->on_secret(login, &found, out);
    }
    return step;
}

static void learn(const void *login, struct outcome *o)
{
    const struct login_asked *a = ops->asked(login);
    const char *password = ops->password(login);
    o->proof = ops->proof(login, &o->key);
    (void)snprintf(o->password, sizeof o->password, "%s", password != NULL ? password : "-");
    (void)snprintf(o->reason, sizeof o->reason, "%s", ops->reason(login));
    (void)snprintf(o->role, sizeof o->role, "%s", a->role);
    (void)snprintf(o->database, sizeof o->database, "%s", a->database);
    (void)snprintf(o->application, sizeof o->application, "%s", a->application_name);
    o->has_function = a->function != NULL;
    (void)snprintf(o->function, sizeof o->function, "%s", o->has_function ? a->function : "");
    (void)snprintf(o->option, sizeof o->option, "%s", a->option != NULL ? a->option : "");
    o->pool_flags = a->pool_flags;
}

/* The whole way in. */
static struct outcome run(const struct setting *s, struct peer *p)
{
    struct outcome o = {.last = LOGIN_MORE};
    struct buf in = {0}, out = {0};
    struct my_client client = {0};
    struct login_greeting g = {
        .id = 7, .report = s->report, .local = s->local, .tls = s->tls_offered || s->tls};
    const struct login_welcome w = {.id = 7, .user = "app"};
    void *login = ops->create(&s->policy);
    bool asked = false;
    assert_non_null(login);
    assert_true(ops->greet(login, &g, &out));
    if (s->tls)
        ops->on_tls(login, s->cn, NULL, 0, false);
    peer_read(p, &out, &in);
    for (int i = 0; i < 12 && !p->over && o.last == LOGIN_MORE; i++) {
        o.last = turn(s, &asked, login, &in, &out);
        if (o.last == LOGIN_OK) {
            assert_true(ops->finish(login, &client, &w, &out));
            my_proto_ops.client_fini(&client);
        }
        peer_read(p, &out, &in);
    }
    assert_true(p->over);
    assert_int_equal(buf_len(&in), 0);
    learn(login, &o);
    ops->destroy(&login);
    assert_null(login);
    buf_release(&in);
    buf_release(&out);
    return o;
}

static struct my_report *mariadb;

static int setup(void **state)
{
    (void)state;
    struct err e;
    mariadb = my_report_create("5.5.5-10.11.6-MariaDB", 45, true);
    return ops->init(&e) && mariadb != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    my_report_put(&mariadb);
    my_secret_forget();
    vars_fini();
    return 0;
}

/* ---- the right password ---------------------------------------------------------------------- */

enum { PLAIN_WAY, TLS_WAY, LOCAL_WAY };

static const struct row {
    const char *what;
    const char *secret;
    bool mariadb;
    const char *plugin; /* of the client; NULL: the greeting's */
    int way;
    uint32_t lacks; /* capabilities */
    const char *story;
    int proof;
    const char *password;
} rows[] = {
    {"plain, sha2", "secret", false, NULL, PLAIN_WAY, 0, "sha2 fast ok", 32, "-"},
    {"plain, native", "secret", true, NULL, PLAIN_WAY, 0, "native ok", 20, "-"},
    {"plain, native client of sha2", "secret", false, MY_PLUGIN_NATIVE, PLAIN_WAY, 0, "sha2 ok", 20,
     "-"},
    {"plain, sha2 client of native", "secret", true, MY_PLUGIN_SHA2, PLAIN_WAY, 0, "native fast ok",
     32, "-"},
    {"plain, some other plugin", "secret", true, "dialog", PLAIN_WAY, 0, "native switch native ok",
     20, "-"},
    {"plain, some other plugin, sha2", "secret", false, "auth_gssapi_client", PLAIN_WAY, 0,
     "sha2 switch sha2 fast ok", 32, "-"},
    {"plain, clear on TLS", "secret", true, MY_PLUGIN_CLEAR, TLS_WAY, 0, "native ok", 0, "secret"},
    {"plain, clear on the socket", "secret", false, MY_PLUGIN_CLEAR, LOCAL_WAY, 0, "sha2 ok", 0,
     "secret"},
    {"plain, clear where all can read", "secret", true, MY_PLUGIN_CLEAR, PLAIN_WAY, 0,
     "native switch native ok", 20, "-"},
    {"plain, no plugins", "secret", true, MY_PLUGIN_NATIVE, PLAIN_WAY,
     MY_CAP_PLUGIN_AUTH | MY_CAP_PLUGIN_LENENC, "native ok", 20, "-"},
    {"plain, no plugins, sha2 named", "secret", false, MY_PLUGIN_NATIVE, PLAIN_WAY,
     MY_CAP_PLUGIN_AUTH | MY_CAP_PLUGIN_LENENC, "sha2 ok", 20, "-"},
    {"plain, no lenenc", "secret", false, NULL, PLAIN_WAY, MY_CAP_PLUGIN_LENENC, "sha2 fast ok", 32,
     "-"},
    {"hash, native", NATIVE, true, NULL, PLAIN_WAY, 0, "native ok", 20, "-"},
    {"hash, sha2 announced", NATIVE, false, NULL, PLAIN_WAY, 0, "sha2 switch native ok", 20, "-"},
    {"hash, native client of sha2", NATIVE, false, MY_PLUGIN_NATIVE, PLAIN_WAY, 0, "sha2 ok", 20,
     "-"},
    {"hash, sha2 on TLS", NATIVE, false, NULL, TLS_WAY, 0, "sha2 full ok", 0, "secret"},
    {"hash, clear on TLS", NATIVE, false, MY_PLUGIN_CLEAR, TLS_WAY, 0, "sha2 ok", 0, "secret"},
    {"crypt, native announced", CRYPT, true, NULL, PLAIN_WAY, 0,
     "native switch sha2 full key sealed ok", 0, "secret"},
    {"crypt, sha2", CRYPT, false, NULL, PLAIN_WAY, 0, "sha2 full key sealed ok", 0, "secret"},
    {"crypt, TLS", CRYPT, false, NULL, TLS_WAY, 0, "sha2 full ok", 0, "secret"},
    {"crypt, socket", CRYPT, false, NULL, LOCAL_WAY, 0, "sha2 full ok", 0, "secret"},
    {"crypt, clear on TLS", CRYPT, true, MY_PLUGIN_CLEAR, TLS_WAY, 0, "native switch clear ok", 0,
     "secret"},
};

/* `fresh`: what the secret is by now, when it is asked for again; NULL: it can't be. */
static struct outcome run_anew(const struct row *r, const char *secret, const char *fresh,
                               const char *password, bool bytewise, struct peer *p)
{
    *p = (struct peer){.user = "app",
                       .password = password,
                       .database = "shop",
                       .plugin = r->plugin,
                       .caps = PEER_CAPS & ~r->lacks,
                       .safe = r->way != PLAIN_WAY};
    const struct setting s = {.secret = secret,
                              .fresh = fresh,
                              .found.may_be_old = fresh != NULL,
                              .policy = {.auth_type = LOGIN_AUTH_SCRAM, .tls_mode = 1},
                              .report = r->mariadb ? mariadb : NULL,
                              .local = r->way == LOCAL_WAY,
                              .tls = r->way == TLS_WAY,
                              .bytewise = bytewise};
    if (p->safe && p->plugin == NULL)
        p->keeps_back = false;
    return run(&s, p);
}

static struct outcome run_row(const struct row *r, const char *secret, const char *password,
                              bool bytewise, struct peer *p)
{
    return run_anew(r, secret, NULL, password, bytewise, p);
}

static void test_right(void **state)
{
    (void)state;
    struct peer p;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            my_secret_forget();
            struct outcome o = run_row(&rows[i], rows[i].secret, "secret", bytewise != 0, &p);
            if (strcmp(p.story, rows[i].story) != 0 || o.last != LOGIN_OK)
                fail_msg("%s: %s, not %s (%s)", rows[i].what, p.story, rows[i].story, o.reason);
            assert_int_equal(o.key.n, rows[i].proof);
            assert_int_equal(o.proof, rows[i].proof != 0);
            assert_string_equal(o.password, rows[i].password);
            uint8_t once[MY_SHA256_BYTES];
            if (rows[i].proof == 20)
                my_sha1("secret", 6, once);
            else
                my_sha256("secret", 6, once);
            assert_memory_equal(o.key.key, once, o.key.n);
        }
}

/* The second time the short exchange does, and its proof serves as well. */
static void test_crypt_cached(void **state)
{
    (void)state;
    struct peer p;
    const struct row r = {.way = PLAIN_WAY};
    my_secret_forget();
    (void)run_row(&r, CRYPT, "secret", false, &p);
    assert_string_equal(p.story, "sha2 full key sealed ok");
    struct outcome o = run_row(&r, CRYPT, "secret", false, &p);
    assert_string_equal(p.story, "sha2 fast ok");
    assert_int_equal(o.key.n, 32);
    (void)run_row(&r, CRYPT, "wrong", false, &p);
    assert_string_equal(p.story, "sha2 full key sealed error");
}

/* The secret that was remembered is looked up once more before a password is called wrong. */
static void test_changed(void **state)
{
    (void)state;
    static const char *const olds[] = {NULL, "older", "*0123456789012345678901234567890123456789",
                                       "$A$00A$01234567890123456789"
                                       "Ib80x0yELAbIxkFyiVzjHJsdVPNme2PGT6dQx5Anp/C"};
    struct peer p;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t k = 0; k < sizeof olds / sizeof olds[0]; k++) {
            const struct row *r = &rows[i];
            my_secret_forget();
            struct outcome o = run_anew(r, olds[k], r->secret, "secret", k % 2 != 0, &p);
            /* Nobody is asked for a third form of the password. */
            bool out =
                (k == 3 && (r->lacks & MY_CAP_PLUGIN_AUTH) != 0) ||
                (k == 2 && r->way == PLAIN_WAY && !r->mariadb && strcmp(r->secret, CRYPT) == 0);
            if ((o.last == LOGIN_OK) == out)
                fail_msg("%s, %zu: %s (%s)", r->what, k, p.story, o.reason);
            my_secret_forget();
            o = run_anew(r, olds[k], r->secret, "wrong", k % 2 != 0, &p);
            assert_int_equal(o.last, LOGIN_REFUSED);
            assert_int_equal(p.code, 1045);
            assert_false(o.proof);
        }
}

/* A client whose own plugin isn't the greeting's may answer nothing at first. */
static void test_kept_back(void **state)
{
    (void)state;
    struct peer p = {.user = "app",
                     .password = "secret",
                     .database = "",
                     .plugin = MY_PLUGIN_NATIVE,
                     .caps = PEER_CAPS,
                     .keeps_back = true};
    struct setting s = {.secret = "secret", .policy = {.auth_type = LOGIN_AUTH_SCRAM}};
    struct outcome o = run(&s, &p);
    assert_string_equal(p.story, "sha2 switch native ok");
    assert_int_equal(o.key.n, 20);
    p = (struct peer){.user = "app",
                      .password = "secret",
                      .database = "",
                      .plugin = "", /* it leaves the choice to the server */
                      .caps = PEER_CAPS,
                      .keeps_back = true};
    o = run(&s, &p);
    assert_string_equal(p.story, "sha2 switch sha2 fast ok");
    assert_int_equal(o.key.n, 32);
}

/* ---- the wrong one --------------------------------------------------------------------------- */

static void test_wrong(void **state)
{
    (void)state;
    static const char *const passwords[] = {"Secret", "secret ", "s", ""};
    struct peer p, q;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t k = 0; k < sizeof passwords / sizeof passwords[0]; k++) {
            my_secret_forget();
            struct outcome o = run_row(&rows[i], rows[i].secret, passwords[k], false, &p);
            assert_int_equal(o.last, LOGIN_REFUSED);
            assert_int_equal(p.code, 1045);
            assert_string_equal(p.state, "28000");
            assert_false(o.proof);
            assert_string_equal(o.password, "-");
            assert_string_equal(p.text, passwords[k][0] != '\0'
                                            ? "Access denied for user 'app' (using password: YES)"
                                            : "Access denied for user 'app' (using password: NO)");
            /* who doesn't exist sees the same */
            o = run_row(&rows[i], NULL, passwords[k], false, &q);
            if (strcmp(p.story, q.story) != 0)
                fail_msg("%s: %s, but %s of an unknown user", rows[i].what, p.story, q.story);
            assert_int_equal(o.last, LOGIN_REFUSED);
            assert_int_equal(q.code, 1045);
            assert_string_equal(p.text, q.text);
            assert_false(o.proof);
        }
}

static void test_unknown_right_guess(void **state)
{
    (void)state;
    struct peer p;
    const struct row r = {.way = TLS_WAY};
    for (unsigned kind = 0; kind < MY_SECRET_KINDS; kind++) {
        my_secret_forget();
        my_secret_note((enum my_secret_kind)kind);
        struct outcome o = run_row(&r, NULL, "", false, &p);
        assert_int_equal(o.last, LOGIN_REFUSED);
        o = run_row(&r, "", "", false, &p);
        assert_int_equal(o.last, LOGIN_REFUSED);
        o = run_row(&r, NULL, "secret", false, &p);
        assert_int_equal(o.last, LOGIN_REFUSED);
    }
    my_secret_forget();
}

/* No plugin of an old client fits. */
static void test_too_old_for_secret(void **state)
{
    (void)state;
    struct peer p;
    const struct row r = {.plugin = MY_PLUGIN_NATIVE,
                          .lacks = MY_CAP_PLUGIN_AUTH | MY_CAP_PLUGIN_LENENC};
    struct outcome o = run_row(&r, CRYPT, "secret", false, &p);
    assert_int_equal(o.last, LOGIN_REFUSED);
    assert_int_equal(p.code, 1045);
    assert_non_null(strstr(o.reason, "plugin"));
}

/* ---- other ways in, and out ------------------------------------------------------------------ */

static struct peer simple(void)
{
    return (struct peer){
        .user = "app", .password = "secret", .database = "shop", .caps = PEER_CAPS};
}

static void test_trust_and_cert(void **state)
{
    (void)state;
    struct peer p = simple();
    struct setting s = {.policy = {.auth_type = LOGIN_AUTH_TRUST}};
    assert_int_equal(run(&s, &p).last, LOGIN_OK);
    p = simple();
    p.plugin = MY_PLUGIN_SHA2; /* whose client waits for the end of its exchange */
    assert_int_equal(run(&s, &p).last, LOGIN_OK);
    assert_string_equal(p.story, "sha2 fast ok");
    p = simple();
    p.plugin = MY_PLUGIN_SHA2;
    p.password = "";
    assert_int_equal(run(&s, &p).last, LOGIN_OK);
    assert_string_equal(p.story, "sha2 ok");
    p = simple();
    s = (struct setting){.policy = {.auth_type = LOGIN_AUTH_SCRAM}, .found = {.trust = true}};
    assert_int_equal(run(&s, &p).last, LOGIN_OK);
    p = simple();
    s = (struct setting){
        .policy = {.auth_type = LOGIN_AUTH_CERT, .tls_mode = 2}, .tls = true, .cn = "app"};
    assert_int_equal(run(&s, &p).last, LOGIN_OK);
    p = simple();
    s.cn = "App";
    assert_int_equal(run(&s, &p).last, LOGIN_REFUSED);
    p = simple();
    s.cn = NULL;
    assert_int_equal(run(&s, &p).last, LOGIN_REFUSED);
    assert_int_equal(p.code, 1045);
}

static void test_tls_required(void **state)
{
    (void)state;
    struct peer p = simple();
    struct setting s = {.secret = "secret",
                        .tls_offered = true,
                        .policy = {.auth_type = LOGIN_AUTH_SCRAM, .tls_mode = 2}};
    assert_int_equal(run(&s, &p).last, LOGIN_REFUSED);
    assert_int_equal(p.code, 3159);
    assert_true((p.offered & MY_CAP_SSL) != 0);
    p = simple();
    s.local = true;
    assert_int_equal(run(&s, &p).last, LOGIN_OK);
    p = simple();
    s.tls_offered = false;
    assert_int_equal(run(&s, &p).last, LOGIN_OK);
    assert_true((p.offered & MY_CAP_SSL) == 0);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        unsigned number;
        const char *state, *text;
    } cases[] = {
        {"3D000", 1049, "42000", "Unknown database 'shop'"},
        {"28000", 1045, "28000", "told"},
        {"53300", 1040, "08004", "told"},
        {"53200", 1041, "HY000", "told"},
        {"57P03", 1053, "08S01", "told"},
        {"XX000", 1105, "HY000", "told"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer p = simple();
        struct setting s = {.secret = "secret",
                            .policy = {.auth_type = LOGIN_AUTH_SCRAM},
                            .found = {.refuse = "told", .refuse_code = cases[i].code}};
        assert_int_equal(run(&s, &p).last, LOGIN_REFUSED);
        assert_int_equal(p.code, cases[i].number);
        assert_string_equal(p.state, cases[i].state);
        assert_string_equal(p.text, cases[i].text);
        /* only who is known is told */
        p = simple();
        p.password = "wrong";
        assert_int_equal(run(&s, &p).last, LOGIN_REFUSED);
        assert_int_equal(p.code, 1045);
    }
}

static void test_who(void **state)
{
    (void)state;
    static const char attributes[] =
        "_client_name\0libmysql\0program_name\0shopd\0faas.name\0byAttr\0"
        "_server_host\0shop.weir\0";
    struct setting s = {.secret = "secret", .policy = {.auth_type = LOGIN_AUTH_SCRAM}};
    struct peer p = simple();
    struct outcome o = run(&s, &p);
    assert_string_equal(o.role, "app");
    assert_string_equal(o.database, "shop");
    assert_string_equal(o.application, "");
    assert_false(o.has_function);
    assert_int_equal(o.pool_flags, 0);
    p = simple();
    p.user = "app+getUsers";
    p.attributes = attributes;
    p.caps |= MY_CAP_FOUND_ROWS;
    o = run(&s, &p);
    assert_string_equal(o.role, "app");
    assert_string_equal(o.function, "getUsers");
    assert_string_equal(o.application, "shopd");
    assert_int_equal(o.pool_flags, MY_CAP_FOUND_ROWS);
    p = simple();
    p.attributes = attributes;
    assert_string_equal(run(&s, &p).option, "byAttr");
    p = simple();
    p.attributes = "faas.name\0two\0weir.function\0one\0";
    assert_string_equal(run(&s, &p).option, "one");
    p = simple();
    p.attributes = "_server_host\0getusers.weir\0";
    assert_string_equal(run(&s, &p).application, "getusers.weir");
    p = simple();
    p.attributes = "_server_host\0127.0.0.1\0";
    assert_string_equal(run(&s, &p).application, "");
    static char long_one[5000] = "weir.function";
    memset(long_one + 14, 'x', sizeof long_one - 16);
    p = simple();
    p.attributes = long_one;
    assert_memory_equal(run(&s, &p).option,
                        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 63);
    p = simple();
    p.user = "app+";
    assert_string_equal(run(&s, &p).role, "app+");
    p = simple();
    p.user = "+app";
    assert_string_equal(run(&s, &p).role, "+app");
}

static void test_greeting(void **state)
{
    (void)state;
    struct peer p = simple();
    struct setting s = {.secret = "secret",
                        .report = mariadb,
                        .policy = {.auth_type = LOGIN_AUTH_SCRAM, .tls_mode = 1}};
    (void)run(&s, &p);
    assert_string_equal(p.version, "5.5.5-10.11.6-MariaDB");
    assert_int_equal(p.offered, MY_CAPS_OFFERED);
    /* neither compression, nor what other dialects need, nor MariaDB's extensions */
    assert_int_equal(p.offered & (1u << 5 | 1u << 24 | 1u << 25 | 1u << 26 | 1u << 27), 0);
    assert_true((p.offered & 1) != 0);
    struct peer q = simple();
    (void)run(&s, &q);
    assert_memory_not_equal(p.salt, q.salt, sizeof p.salt);
}

/* ---- broken bytes ---------------------------------------------------------------------------- */

/* A greeted login, fed this. */
static void *greeted(uint8_t tls_mode, struct buf *out)
{
    const struct login_policy policy = {.auth_type = LOGIN_AUTH_SCRAM, .tls_mode = tls_mode};
    const struct login_greeting g = {.id = 1, .tls = tls_mode != 0};
    void *login = ops->create(&policy);
    assert_true(login != NULL && ops->greet(login, &g, out));
    buf_consume(out, buf_len(out));
    return login;
}

static enum login_step fed(void *login, const void *p, size_t n, unsigned *code)
{
    struct buf out = {0};
    size_t used = 0;
    uint8_t *copy = malloc(n);
    memcpy(copy, p, n);
    enum login_step step = ops->feed(login, copy, n, &used, &out);
    free(copy);
    *code = 0;
    if (buf_len(&out) > 6)
        *code = my_get16(buf_head(&out) + 5);
    buf_release(&out);
    return step;
}

static void test_tls_request(void **state)
{
    (void)state;
    uint8_t request[37] = {32, 0, 0, 1, 0, 0x8a, 0x0a};
    unsigned code;
    struct buf out = {0};
    void *login = greeted(1, &out);
    assert_int_equal(fed(login, request, 20, &code), LOGIN_MORE);
    assert_int_equal(fed(login, request, 36, &code), LOGIN_TLS);
    ops->on_tls(login, NULL, NULL, 0, false);
    request[3] = 2; /* a second time */
    assert_int_equal(fed(login, request, 36, &code), LOGIN_REFUSED);
    assert_int_equal(code, 1043);
    ops->destroy(&login);
    /* with something slipped in behind it */
    login = greeted(1, &out);
    request[3] = 1;
    assert_int_equal(fed(login, request, 37, &code), LOGIN_REFUSED);
    ops->destroy(&login);
    /* not offered */
    login = greeted(0, &out);
    assert_int_equal(fed(login, request, 36, &code), LOGIN_REFUSED);
    assert_int_equal(code, 1043);
    ops->destroy(&login);
    buf_release(&out);
}

static void test_broken(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        unsigned code;
    } cases[] = {
        {"\x05\x00\x00\x00\x00\x82\x00\x00\x00", 9, 1156}, /* a packet number 0 */
        {"\x05\x00\x00\x02\x00\x82\x00\x00\x00", 9, 1156}, /* 2 */
        {"\xff\xff\xff\x01\x00\x82\x00\x00\x00", 9, 1153}, /* 16 MB */
        {"\x05\x00\x00\x01\x00\x82\x00\x00\x00", 9, 1043}, /* cut */
        {"\x05\x00\x00\x01\x05\x00\x00\x00\x00", 9, 1251}, /* before 4.1 */
        {"\x00\x00\x00\x01", 4, 1043},                     /* nothing */
        {"\x01\x00\x00\x01\x00", 5, 1043},
        {"GET / HTTP/1.1\r\n\r\n", 18, 1156},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, 1156}, /* TLS without asking */
    };
    struct buf out = {0};
    unsigned code;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *login = greeted(0, &out);
        assert_int_equal(fed(login, cases[i].bytes, cases[i].n, &code), LOGIN_REFUSED);
        if (code != cases[i].code)
            fail_msg("case %zu: %u, not %u", i, code, cases[i].code);
        /* and nothing after it */
        assert_int_equal(fed(login, cases[i].bytes, cases[i].n, &code), LOGIN_REFUSED);
        ops->destroy(&login);
    }
    buf_release(&out);
}

/* An answer cut or changed at each byte is refused or asked about, never read beyond. */
static void test_cut(void **state)
{
    (void)state;
    struct buf out = {0}, hello = {0};
    struct peer p = simple();
    unsigned code;
    p.attributes = "program_name\0shopd\0";
    p.seq = 1;
    (void)snprintf(p.current, sizeof p.current, "%s", MY_PLUGIN_SHA2);
    peer_hello(&p, &hello);
    size_t n = buf_len(&hello) - MY_HEAD_BYTES;
    for (size_t cut = 0; cut <= n; cut++) {
        void *login = greeted(0, &out);
        my_put_head(buf_head(&hello), (uint32_t)cut, 1);
        enum login_step step = fed(login, buf_head(&hello), MY_HEAD_BYTES + cut, &code);
        assert_true(step == LOGIN_SECRET || (step == LOGIN_REFUSED && code == 1043));
        assert_true(cut != n || step == LOGIN_SECRET);
        ops->destroy(&login);
    }
    for (size_t at = MY_HEAD_BYTES; at < MY_HEAD_BYTES + n; at++)
        for (unsigned v = 0; v < 256; v += 5) {
            void *login = greeted(0, &out);
            uint8_t was = buf_head(&hello)[at];
            buf_head(&hello)[at] = (uint8_t)v;
            enum login_step step = fed(login, buf_head(&hello), MY_HEAD_BYTES + n, &code);
            assert_true(step == LOGIN_SECRET || step == LOGIN_REFUSED);
            buf_head(&hello)[at] = was;
            ops->destroy(&login);
        }
    buf_release(&out);
    buf_release(&hello);
}

static void test_say(void **state)
{
    (void)state;
    static const struct {
        enum proto_event ev;
        unsigned code;
        const char *state;
    } cases[] = {
        {PROTO_EV_NO_LOOKUP, 2003, "08S01"}, {PROTO_EV_TOO_MANY, 1040, "08004"},
        {PROTO_EV_SHUTDOWN, 1053, "08S01"},  {PROTO_EV_LOGIN_TIMEOUT, 1159, "08S01"},
        {PROTO_EV_NO_MEMORY, 1041, "HY000"}, {PROTO_EV_KILLED, 1105, "HY000"},
    };
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *login = greeted(0, &out);
        ops->say(login, cases[i].ev, "because", &out);
        assert_int_equal(buf_head(&out)[3], 1);
        assert_int_equal(my_get16(buf_head(&out) + 5), cases[i].code);
        assert_memory_equal(buf_head(&out) + 8, cases[i].state, 5);
        assert_memory_equal(buf_head(&out) + 13, "because", 7);
        buf_consume(&out, buf_len(&out));
        ops->destroy(&login);
    }
    /* before the greeting: in its place, without a state */
    const struct login_policy policy = {0};
    void *login = ops->create(&policy);
    ops->say(login, PROTO_EV_TOO_MANY, "because", &out);
    assert_memory_equal(buf_head(&out),
                        "\x0a\0\0\0\xff\x10\x04"
                        "because",
                        14);
    ops->destroy(&login);
    buf_release(&out);
}

static void test_change_user(void **state)
{
    (void)state;
    static const char good[] = "\x11"
                               "app\0\x03"
                               "abcshop\0\x2d\0caching_sha2_password\0\x06\x01"
                               "a\x03"
                               "bcd";
    struct my_hello h;
    struct my_view name, value;
    size_t n = sizeof good - 1;
    uint32_t caps = PEER_CAPS | MY_CAP_CONNECT_ATTRS;
    assert_int_equal(my_change_user_parse((const uint8_t *)good, n, caps, &h), MY_HELLO_OK);
    assert_true(my_view_is(h.user, "app") && my_view_is(h.auth, "abc"));
    assert_true(my_view_is(h.database, "shop") && my_view_is(h.plugin, MY_PLUGIN_SHA2));
    assert_int_equal(h.charset, 45);
    assert_true(my_attribute_next(&h.attributes, &name, &value));
    assert_true(my_view_is(name, "a") && my_view_is(value, "bcd"));
    assert_false(my_attribute_next(&h.attributes, &name, &value));
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, good, cut);
        (void)my_change_user_parse(copy, cut, caps, &h);
        if (h.attributes.p != NULL)
            while (my_attribute_next(&h.attributes, &name, &value))
                continue;
        free(copy);
    }
}

/* A session that is there changes its user: with an answer to the salt it was greeted with, or
 * with none. */
static const char *change(const char *secret, const char *password, bool answers, bool trusting,
                          struct peer *p)
{
    const struct login_policy policy = {.auth_type =
                                            trusting ? LOGIN_AUTH_TRUST : LOGIN_AUTH_SCRAM};
    const struct login_found found = {.secret = secret};
    const struct login_welcome w = {.console = true};
    const struct my_client client = {.caps = PEER_CAPS, .salt_number = 12345, .report = mariadb};
    struct buf in = {0}, out = {0}, b = {0};
    void *login = ops->create(&policy);
    uint8_t auth[256];
    *p = (struct peer){.user = "app2", .password = password, .greeted = true};
    my_salt(client.salt_number, p->salt);
    (void)snprintf(p->current, sizeof p->current, "%s", MY_PLUGIN_NATIVE);
    uint8_t n = answers ? (uint8_t)peer_scramble(p, auth) : 0;
    assert_true(buf_append(&b,
                           "\x11"
                           "app2",
                           6) &&
                buf_append(&b, &n, 1) && buf_append(&b, auth, n) && buf_append(&b, "other", 6) &&
                buf_append(&b, "\x2d", 2) && buf_append(&b, MY_PLUGIN_NATIVE, 22));
    peer_send(p, &in, buf_head(&b), buf_len(&b));
    buf_release(&b);
    ops->again(login, &client, false, false);
    enum login_step step = LOGIN_MORE;
    for (int i = 0; i < 5 && step == LOGIN_MORE; i++) {
        step = feed(login, &in, buf_len(&in), &out);
        if (step == LOGIN_SECRET) {
            assert_string_equal(ops->asked(login)->database, "other");
            step = ops->on_secret(login, &found, &out);
        }
        if (step == LOGIN_OK)
            assert_true(ops->finish(login, NULL, &w, &out));
        peer_read(p, &out, &in);
    }
    ops->destroy(&login);
    buf_release(&in);
    buf_release(&out);
    return p->story;
}

static void test_again(void **state)
{
    (void)state;
    struct peer p;
    my_secret_forget();
    assert_string_equal(change("secret", "secret", true, false, &p), "ok");
    assert_string_equal(change("secret", "secret", false, false, &p), "switch native ok");
    assert_string_equal(change(NATIVE, "secret", true, false, &p), "ok");
    assert_string_equal(change("secret", "wrong", true, false, &p), "error");
    assert_int_equal(p.code, 1045);
    assert_string_equal(p.state, "28000");
    assert_string_equal(change("secret", "wrong", false, false, &p), "switch native error");
    assert_string_equal(change(NULL, "secret", true, false, &p), "error");
    assert_string_equal(change(NULL, "secret", false, true, &p), "ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_crypt_cached),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_kept_back),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_unknown_right_guess),
        cmocka_unit_test(test_too_old_for_secret),
        cmocka_unit_test(test_trust_and_cert),
        cmocka_unit_test(test_tls_required),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_greeting),
        cmocka_unit_test(test_tls_request),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_say),
        cmocka_unit_test(test_change_user),
        cmocka_unit_test(test_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
