/* SPDX-License-Identifier: ISC
 * The login without libpq against a server that says what the test tells it to, whole and byte by
 * byte: what is answered, what is refused, which error comes out.
 */
#include "config.h"

#include "proto/pg/pg_dial_keys.h"
#include "proto/pg/pg_dial_raw.h"
#include "proto/pg/pg_secret.h"
#include "proto/vars/vars.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define AUTH_OK  "R\0\0\0\10\0\0\0\0"
#define AUTH_MD5 "R\0\0\0\14\0\0\0\5salt"
#define SASL     "R\0\0\0\27\0\0\0\12SCRAM-SHA-256\0\0"
#define PARAM    "S\0\0\0\25in_hot_standby\0x\0"
#define KEY      "K\0\0\0\14\0\0\0\7\1\2\3\4"
#define READY    "Z\0\0\0\5I"
#define REFUSAL  "E\0\0\0\34SFATAL\0C3D000\0Mno such\0\0"
#define B(text)  text, sizeof text - 1

struct fixture {
    char dir[64];
    struct sockaddr_un addr;
    int listener;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/weir-unit.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->addr.sun_family = AF_UNIX;
    snprintf(f->addr.sun_path, sizeof f->addr.sun_path, "%s/.s.PGSQL.5432", f->dir);
    f->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&f->addr, sizeof f->addr), 0);
    assert_int_equal(listen(f->listener, 4), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close(f->listener);
    unlink(f->addr.sun_path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static struct pg_raw *begin(struct fixture *f, int *peer)
{
    const struct dsn_param params[] = {
        {"host", f->dir},
        {"user", "u"},
        {"dbname", "d"},
        {"md5_secret", "md5d41d8cd98f00b204e9800998ecf8427e"},
        {"scram_client_key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        {"scram_server_key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    };
    const size_t n = sizeof params / sizeof params[0];
    assert_true(pg_raw_wanted(params, n));
    struct pg_raw *r = pg_raw_start(params, n);
    assert_non_null(r);
    *peer = accept(f->listener, NULL, NULL);
    assert_true(*peer >= 0);
    return r;
}

/* Feed the bytes in pieces and hang up if asked to; the last step. */
static enum dial_step feed(struct pg_raw *r, int peer, const char *bytes, size_t n, size_t piece)
{
    enum dial_step step = pg_raw_poll(r);
    for (size_t at = 0; at < n && step != DIAL_DONE && step != DIAL_FAILED; at += piece) {
        size_t m = n - at < piece ? n - at : piece;
        assert_int_equal(send(peer, bytes + at, m, MSG_NOSIGNAL), m);
        step = pg_raw_poll(r);
    }
    return step;
}

static void expect_failure(struct fixture *f, const char *bytes, size_t n, const char *code,
                           enum dial_failure why)
{
    const size_t pieces[] = {n, 1};
    for (size_t i = 0; i < 2; i++) {
        char got[6], text[256];
        int peer;
        struct pg_raw *r = begin(f, &peer);
        assert_int_equal(feed(r, peer, bytes, n, pieces[i]), DIAL_FAILED);
        assert_int_equal(pg_raw_failure(r, got, text, sizeof text), why);
        assert_string_equal(got, code);
        pg_raw_hang_up(&r);
        close(peer);
    }
}

static void logs_in(void **state)
{
    static const char bytes[] = AUTH_OK PARAM KEY READY;
    const size_t n = sizeof bytes - 1;
    for (size_t piece = 1; piece <= n; piece += n - 1) {
        int peer;
        struct var_set *report = NULL;
        struct var_entry e;
        struct pg_raw *r = begin(*state, &peer);
        assert_int_equal(feed(r, peer, bytes, n, piece), DIAL_DONE);
        struct pg_raw_link *l = pg_raw_adopt(&r, &report);
        assert_non_null(l);
        assert_null(r);
        assert_int_equal(pg_raw_link_pid(l), 7);
        assert_true(var_set_find(report, "in_hot_standby", 14, &e));
        assert_string_equal(e.value, "x");
        vars_put(&report);
        pg_raw_link_close(&l);
        char all[256];
        ssize_t got = recv(peer, all, sizeof all, MSG_WAITALL);
        assert_true(got > 5);
        assert_memory_equal(all + got - 5, "X\0\0\0\4", 5);
        close(peer);
    }
}

static void answers_md5(void **state)
{
    static const char bytes[] = AUTH_MD5;
    char all[256];
    int peer;
    struct pg_raw *r = begin(*state, &peer);
    assert_int_equal(feed(r, peer, bytes, sizeof bytes - 1, 64), DIAL_READ);
    ssize_t got = recv(peer, all, sizeof all, 0);
    assert_true(got > 41);
    /* md5("d41d8cd98f00b204e9800998ecf8427e" "salt") */
    assert_memory_equal(all + got - 41, "p\0\0\0\50md5", 8);
    assert_int_equal(strspn(all + got - 33, "0123456789abcdef"), 32);
    pg_raw_hang_up(&r);
    close(peer);
}

static void tells_errors_apart(void **state)
{
    expect_failure(*state, B(REFUSAL), "3D000", DIAL_FAIL_MISSING);
    expect_failure(*state, B("E\0\0\0\23SFATAL\0C53300\0\0"), "53300", DIAL_FAIL_LIMIT);
    expect_failure(*state, B("E\0\0\0\23SFATAL\0C57P03\0\0"), "57P03", DIAL_FAIL_REACH);
    expect_failure(*state, B("R\0\0\0\10\0\0\0\3"), "28P01", DIAL_FAIL_REFUSED);
}

static void survives_liars(void **state)
{
    expect_failure(*state, B("R\0\0\0\3"), "08P01", DIAL_FAIL_REACH);
    expect_failure(*state, B("R\377\377\377\377"), "08P01", DIAL_FAIL_REACH);
    expect_failure(*state, B("S\0\1\0\1"), "08P01", DIAL_FAIL_REACH);
    expect_failure(*state, B("R\0\0\0\5\0"), "08P01", DIAL_FAIL_REACH);
    expect_failure(*state, B("Z\0\0\0\5I"), "08P01", DIAL_FAIL_REACH);
    expect_failure(*state, B("R\0\0\0\10\0\0\0\13"), "08P01", DIAL_FAIL_REACH);
    expect_failure(*state, B(AUTH_OK "K\0\0\0\10\0\0\0\7"), "08P01", DIAL_FAIL_REACH);
    expect_failure(*state, B(AUTH_OK "S\0\0\0\5x"), "08P01", DIAL_FAIL_REACH);
    /* Let in without a proof, after having asked for one. */
    expect_failure(*state, B(SASL AUTH_OK), "28000", DIAL_FAIL_REFUSED);
    expect_failure(*state, B(SASL "R\0\0\0\12\0\0\0\13r=" AUTH_OK), "28000", DIAL_FAIL_REFUSED);
}

static void keys_of_secrets(void **state)
{
    struct pg_scram_secret s;
    char text[PG_SCRAM_SECRET_TEXT_BYTES];
    const struct login_proof other = {.key = {1}, .n = 32};
    struct server_keys keys;
    (void)state;
    assert_true(pg_secret_make_scram(pg_view_of("secret"), 4096, &s));
    pg_secret_print_scram(&s, text);
    assert_int_equal(pg_dial_keys("word", NULL, &keys), KEYS_PASSWORD);
    assert_int_equal(pg_dial_keys(text, NULL, &keys), KEYS_NONE);
    assert_int_equal(pg_dial_keys(text, &other, &keys), KEYS_NONE);
    assert_int_equal(pg_dial_keys("md5d41d8cd98f00b204e9800998ecf8427e", NULL, &keys), KEYS_FOUND);
    assert_string_equal(keys.k[0].name, "md5_secret");
    assert_string_equal(keys.k[0].value, "md5d41d8cd98f00b204e9800998ecf8427e");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(logs_in, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_md5, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_errors_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_liars, setup, teardown),
        cmocka_unit_test(keys_of_secrets),
    };
    struct err e;
    if (!pg_crypto_init(&e) || !vars_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
