/* SPDX-License-Identifier: ISC
 * Whole logins: a little client that answers what it is asked, against every method and kind of
 * secret, its messages arriving one byte at a time; and what breaks the protocol.
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

#include "proto/pg/pg_auth.h"
#include "proto/pg/pg_scram.h"
#include "proto/pg/pg_scram_client.h"

#define PENCIL                                                                                     \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static const uint8_t hash[32] = "the hash of the certificate....";
static struct pg_verifiers *verifiers;
static char pencil_md5[36];

static int setup(void **state)
{
    (void)state;
    if (!pg_crypto_init(NULL) || !pg_secret_print_md5(pg_view_of("pencil"), "app", pencil_md5))
        return -1;
    verifiers = pg_verifiers_create(0);
    return verifiers == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    pg_verifiers_destroy(&verifiers);
    pg_crypto_fini();
    return 0;
}

/* ---- the little client ----------------------------------------------------------------------- */

struct peer {
    const char *user;
    const char *password;
    char flag; /* gs2: 'n', 'y' or 'p' */
    struct pg_scram_client *scram;
    struct buf to_server;
    bool server_proved;
    bool welcome;      /* AuthenticationOk came */
    char methods[256]; /* every request's code, as text */
    char sqlstate[6];  /* of the error that came */
    char message[256];
};

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Queue a 'p' message made of two parts. */
static void send_p(struct peer *peer, const void *a, size_t a_n, const void *b, size_t b_n)
{
    size_t n = a_n + b_n + 4;
    const uint8_t head[] = {'p', (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                            (uint8_t)n};
    assert_true(buf_append(&peer->to_server, head, sizeof(head)));
    assert_true(buf_append(&peer->to_server, a, a_n));
    assert_true(buf_append(&peer->to_server, b, b_n));
}

static void send_initial(struct peer *peer, bool plus)
{
    const struct pg_scram_client_config config = {.password = pg_view_of(peer->password),
                                                  .binding_flag = peer->flag,
                                                  .binding = hash,
                                                  .binding_n = sizeof(hash)};
    const char *name = plus ? PG_SCRAM_PLUS_NAME : PG_SCRAM_NAME;
    char head[64];
    peer->scram = pg_scram_client_create(&config, NULL);
    struct pg_view first = pg_scram_client_first(peer->scram);
    size_t n = strlen(name) + 1;
    memcpy(head, name, n);
    const uint8_t length[] = {0, 0, (uint8_t)(first.n >> 8), (uint8_t)first.n};
    memcpy(head + n, length, 4);
    send_p(peer, head, n + 4, first.p, first.n);
}

static void answer_md5(struct peer *peer, const uint8_t *salt)
{
    char stored[36];
    char answer[36] = "md5";
    assert_true(pg_secret_print_md5(pg_view_of(peer->password), peer->user, stored));
    const struct pg_piece pieces[] = {{stored + 3, 32}, {salt, 4}};
    assert_true(pg_crypto_md5_hex(pieces, 2, answer + 3));
    send_p(peer, answer, sizeof(answer), NULL, 0);
}

static void on_request(struct peer *peer, const uint8_t *body, size_t n)
{
    struct pg_view out;
    struct err err;
    uint32_t code = get_u32(body);
    size_t at = strlen(peer->methods);
    snprintf(peer->methods + at, sizeof(peer->methods) - at, "%u ", code);
    switch (code) {
    case PG_AUTH_CODE_OK:
        peer->welcome = true;
        break;
    case PG_AUTH_CODE_CLEARTEXT:
        send_p(peer, peer->password, strlen(peer->password) + 1, NULL, 0);
        break;
    case PG_AUTH_CODE_MD5:
        assert_int_equal(n, 8);
        answer_md5(peer, body + 4);
        break;
    case PG_AUTH_CODE_SASL:
        assert_int_equal(body[n - 1], 0);
        assert_int_equal(body[n - 2], 0);
        send_initial(peer, peer->flag == 'p');
        break;
    case PG_AUTH_CODE_SASL_CONTINUE:
        assert_true(pg_scram_client_on_first(peer->scram, body + 4, n - 4, &out, &err));
        send_p(peer, out.p, out.n, NULL, 0);
        break;
    case PG_AUTH_CODE_SASL_FINAL:
        peer->server_proved = pg_scram_client_on_final(peer->scram, body + 4, n - 4, &err);
        break;
    default:
        fail_msg("request %u", code);
    }
}

/* Read all that the server wrote. */
static void read_replies(struct peer *peer, struct buf *from_server)
{
    struct pg_view v;
    while (buf_len(from_server) != 0) {
        const uint8_t *p = buf_head(from_server);
        assert_true(buf_len(from_server) >= 5);
        size_t n = get_u32(p + 1) - 4;
        assert_true(buf_len(from_server) >= n + 5);
        if (p[0] == 'R') {
            on_request(peer, p + 5, n);
        } else {
            assert_int_equal(p[0], 'E');
            assert_true(pg_msg_error_field(p + 5, n, 'V', &v));
            assert_string_equal(v.p, "FATAL");
            assert_true(pg_msg_error_field(p + 5, n, 'C', &v));
            snprintf(peer->sqlstate, sizeof(peer->sqlstate), "%s", v.p);
            assert_true(pg_msg_error_field(p + 5, n, 'M', &v));
            snprintf(peer->message, sizeof(peer->message), "%s", v.p);
        }
        buf_consume(from_server, n + 5);
    }
}

/* Hand the waiting bytes over, seeing to it that a part of a message is never acted upon. */
static enum pg_auth_outcome feed_bytewise(struct pg_auth *a, struct peer *peer, struct buf *out)
{
    enum pg_auth_outcome outcome = PG_AUTH_OUT_MORE;
    size_t n = buf_len(&peer->to_server);
    for (size_t cut = 0; cut <= n; cut++) {
        size_t used = 99;
        uint8_t *copy = malloc(cut == 0 ? 1 : cut); /* exact, for the address sanitizer */
        memcpy(copy, buf_head(&peer->to_server), cut);
        outcome = pg_auth_feed(a, copy, cut, &used, out);
        free(copy);
        if (cut < n) {
            assert_int_equal(outcome, PG_AUTH_OUT_MORE);
            assert_int_equal(used, 0);
            assert_int_equal(buf_len(out), 0);
        } else {
            assert_int_equal(used, n);
        }
    }
    buf_consume(&peer->to_server, n);
    return outcome;
}

static enum pg_auth_outcome login(const struct pg_auth_facts *facts, const char *secret,
                                  struct peer *peer)
{
    struct pg_auth *a = pg_auth_create(facts);
    struct buf out = {0};
    size_t used;
    uint8_t key[PG_SHA256_BYTES];
    /* While the secret is being looked up nothing happens. */
    assert_int_equal(pg_auth_feed(a, "p\0\0", 3, &used, &out), PG_AUTH_OUT_MORE);
    assert_int_equal(used, 0);
    enum pg_auth_outcome outcome = pg_auth_start(a, secret, &out);
    read_replies(peer, &out);
    while (outcome == PG_AUTH_OUT_MORE) {
        outcome = feed_bytewise(a, peer, &out);
        read_replies(peer, &out);
    }
    assert_int_equal(peer->welcome, outcome == PG_AUTH_OUT_OK);
    assert_int_equal(pg_auth_client_key(a, key), outcome == PG_AUTH_OUT_OK && peer->server_proved);
    assert_int_equal(pg_auth_reason(a)[0] != '\0', outcome == PG_AUTH_OUT_FAILED);
    buf_release(&out);
    buf_release(&peer->to_server);
    pg_scram_client_destroy(&peer->scram);
    pg_auth_destroy(&a);
    return outcome;
}

/* ---- every method with every secret ---------------------------------------------------------- */

struct row {
    enum pg_auth_type type;
    const char *secret;
    const char *password;
    const char *methods;
    bool fine;
    bool tls;
    char flag;
    bool mock_scram;
};

static void run_row(const struct row *r, const char *login_user)
{
    const struct pg_auth_facts facts = {.type = r->type,
                                        .login_user = login_user,
                                        .role = "app",
                                        .tls = r->tls,
                                        .binding = hash,
                                        .binding_n = r->tls ? sizeof(hash) : 0,
                                        .mock_scram = r->mock_scram,
                                        .verifiers = verifiers};
    struct peer peer = {.user = login_user, .password = r->password, .flag = r->flag};
    char want[128];
    enum pg_auth_outcome outcome = login(&facts, r->secret, &peer);
    assert_string_equal(peer.methods, r->methods);
    assert_int_equal(outcome, r->fine ? PG_AUTH_OUT_OK : PG_AUTH_OUT_FAILED);
    if (r->fine)
        return;
    snprintf(want, sizeof(want), "password authentication failed for user \"%s\"", login_user);
    assert_string_equal(peer.sqlstate, "28P01");
    assert_string_equal(peer.message, want);
}

static void test_methods_and_secrets(void **state)
{
    const struct row rows[] = {
        {PG_AUTH_TRUST, NULL, "", "0 ", true, false, 'n', false},
        {PG_AUTH_ANY, NULL, "", "0 ", true, false, 'n', false},
        /* clear text */
        {PG_AUTH_PLAIN, "pencil", "pencil", "3 0 ", true, false, 'n', false},
        {PG_AUTH_PLAIN, "pencil", "pencils", "3 ", false, false, 'n', false},
        {PG_AUTH_PLAIN, pencil_md5, "pencil", "3 0 ", true, false, 'n', false},
        {PG_AUTH_PLAIN, pencil_md5, "pencils", "3 ", false, false, 'n', false},
        {PG_AUTH_PLAIN, pencil_md5, pencil_md5, "3 ", false, false, 'n', false},
        {PG_AUTH_PLAIN, PENCIL, "pencil", "3 0 ", true, false, 'n', false},
        {PG_AUTH_PLAIN, PENCIL, "pencils", "3 ", false, false, 'n', false},
        {PG_AUTH_PLAIN, PENCIL, PENCIL, "3 ", false, false, 'n', false},
        {PG_AUTH_PLAIN, NULL, "pencil", "3 ", false, false, 'n', false},
        {PG_AUTH_PLAIN, NULL, "md5", "3 ", false, false, 'n', false},
        {PG_AUTH_PLAIN, NULL, "pencil", "3 ", false, false, 'n', true},
        {PG_AUTH_PLAIN, "", "pencil", "3 ", false, false, 'n', false},
        /* md5 */
        {PG_AUTH_MD5, "pencil", "pencil", "5 0 ", true, false, 'n', false},
        {PG_AUTH_MD5, pencil_md5, "pencil", "5 0 ", true, false, 'n', false},
        {PG_AUTH_MD5, pencil_md5, "pencils", "5 ", false, false, 'n', false},
        {PG_AUTH_MD5, PENCIL, "pencil", "10 11 12 0 ", true, false, 'n', false},
        {PG_AUTH_MD5, PENCIL, "pencils", "10 11 ", false, false, 'n', false},
        {PG_AUTH_MD5, NULL, "pencil", "5 ", false, false, 'n', false},
        {PG_AUTH_MD5, NULL, "x", "10 11 ", false, false, 'n', true},
        /* SCRAM */
        {PG_AUTH_SCRAM, "pencil", "pencil", "10 11 12 0 ", true, false, 'n', false},
        {PG_AUTH_SCRAM, "pencil", "pencil", "10 11 12 0 ", true, false, 'y', false},
        {PG_AUTH_SCRAM, "pencil", "pencils", "10 11 ", false, false, 'n', false},
        {PG_AUTH_SCRAM, PENCIL, "pencil", "10 11 12 0 ", true, false, 'n', false},
        {PG_AUTH_SCRAM, PENCIL, "pencil", "10 11 12 0 ", true, true, 'p', false},
        {PG_AUTH_SCRAM, PENCIL, "pencil", "10 11 12 0 ", true, true, 'n', false},
        {PG_AUTH_SCRAM, PENCIL, "pencils", "10 11 ", false, true, 'p', false},
        {PG_AUTH_SCRAM, pencil_md5, "pencil", "10 11 ", false, false, 'n', false},
        {PG_AUTH_SCRAM, NULL, "pencil", "10 11 ", false, false, 'n', false},
        {PG_AUTH_SCRAM, NULL, "pencil", "10 11 ", false, true, 'p', false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run_row(&rows[i], "app");
}

static void test_function_suffix(void **state)
{
    const struct row rows[] = {
        {PG_AUTH_SCRAM, "pencil", "pencil", "10 11 12 0 ", true, false, 'n', false},
        {PG_AUTH_SCRAM, PENCIL, "pencil", "10 11 12 0 ", true, false, 'n', false},
        {PG_AUTH_PLAIN, pencil_md5, "pencil", "3 0 ", true, false, 'n', false},
        {PG_AUTH_MD5, "pencil", "pencil", "5 0 ", true, false, 'n', false},
        /* The client hashes the name with its suffix, the secret was made without. */
        {PG_AUTH_MD5, pencil_md5, "pencil", "5 ", false, false, 'n', false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run_row(&rows[i], "app+getUsers");
}

/* Bytes to an unknown user have the same form, and the same content each time. */
static void test_unknown_user_looks_alike(void **state)
{
    const struct pg_auth_facts facts = {
        .type = PG_AUTH_SCRAM, .login_user = "ghost", .role = "ghost", .verifiers = verifiers};
    static const char initial[] = "p\0\0\0\x20SCRAM-SHA-256\0\0\0\0\x0an,,n=,r=ab";
    static const char *const secrets[] = {NULL, NULL, "password of somebody who came to be"};
    char salts[3][40];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct pg_auth *a = pg_auth_create(&facts);
        struct buf out = {0};
        size_t used;
        char text[200];
        assert_int_equal(pg_auth_start(a, secrets[i], &out), PG_AUTH_OUT_MORE);
        buf_consume(&out, buf_len(&out));
        assert_int_equal(pg_auth_feed(a, initial, sizeof(initial) - 1, &used, &out),
                         PG_AUTH_OUT_MORE);
        assert_int_equal(used, sizeof(initial) - 1);
        snprintf(text, sizeof(text), "%.*s", (int)buf_len(&out) - 9, buf_head(&out) + 9);
        /* r=ab + 24, s= 24 characters, i=4096 */
        assert_int_equal(strlen(text), 4 + 24 + 3 + 24 + 7);
        snprintf(salts[i], sizeof(salts[i]), "%s", text + 28);
        buf_release(&out);
        pg_auth_destroy(&a);
    }
    assert_string_equal(salts[0], salts[1]);
    assert_string_equal(salts[0], salts[2]);
}

static void test_certificate(void **state)
{
    static const struct {
        const char *cn;
        const char *message; /* NULL: fine */
    } rows[] = {{"app", NULL},
                {"apple", "certificate authentication failed for user \"app\""},
                {NULL, "connection requires a valid client certificate"}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct pg_auth_facts facts = {.type = PG_AUTH_CERT,
                                            .login_user = "app",
                                            .role = "app",
                                            .tls = true,
                                            .peer_cn = rows[i].cn};
        struct peer peer = {.user = "app", .password = ""};
        bool fine = login(&facts, NULL, &peer) == PG_AUTH_OUT_OK;
        assert_int_equal(fine, rows[i].message == NULL);
        if (!fine) {
            assert_string_equal(peer.sqlstate, "28000");
            assert_string_equal(peer.message, rows[i].message);
        }
    }
}

/* ---- the protocol broken --------------------------------------------------------------------- */

struct broken {
    enum pg_auth_type type;
    const char *bytes;
    size_t n;
    const char *sqlstate;
    const char *message;
};
#define BYTES(text) (text), sizeof(text) - 1

static void test_broken_messages(void **state)
{
    static const struct broken rows[] = {
        {PG_AUTH_PLAIN, BYTES("Q"), "08P01", "expected password response, got message type 81"},
        {PG_AUTH_SCRAM, BYTES("X"), "08P01", "expected SASL response, got message type 88"},
        {PG_AUTH_PLAIN, BYTES("p\0\0\0\x03"), "08P01", "invalid message length"},
        {PG_AUTH_PLAIN, BYTES("p\0\x01\0\0"), "08P01", "invalid message length"},
        {PG_AUTH_PLAIN, BYTES("p\xff\xff\xff\xff"), "08P01", "invalid message length"},
        {PG_AUTH_SCRAM, BYTES("p\0\0\x08\0"), "08P01", "invalid message length"},
        {PG_AUTH_PLAIN, BYTES("p\0\0\0\x04"), "08P01", "invalid password packet size"},
        {PG_AUTH_PLAIN, BYTES("p\0\0\0\x05x"), "08P01", "invalid password packet size"},
        {PG_AUTH_PLAIN, BYTES("p\0\0\0\x07x\0\0"), "08P01", "invalid password packet size"},
        {PG_AUTH_PLAIN, BYTES("p\0\0\0\x05\0"), "28P01", "empty password returned by client"},
        {PG_AUTH_MD5, BYTES("p\0\0\0\x05\0"), "28P01", "empty password returned by client"},
        {PG_AUTH_SCRAM, BYTES("p\0\0\0\x04"), "08P01", "invalid message format"},
        {PG_AUTH_SCRAM, BYTES("p\0\0\0\x08SCRA"), "08P01", "invalid message format"},
        {PG_AUTH_SCRAM, BYTES("p\0\0\0\x14SCRAM-SHA-256\0\0\0"), "08P01", "invalid message format"},
        {PG_AUTH_SCRAM, BYTES("p\0\0\0\x16SCRAM-SHA-256\0\0\0\0\x01"), "08P01",
         "invalid message format"},
        {PG_AUTH_SCRAM, BYTES("p\0\0\0\x17SCRAM-SHA-256\0\0\0\0\0x"), "08P01",
         "invalid message format"},
        {PG_AUTH_SCRAM, BYTES("p\0\0\0\x0cOTP\0\0\0\0\0"), "08P01",
         "client selected an invalid SASL authentication mechanism"},
        {PG_AUTH_SCRAM, BYTES("p\0\0\0\x1bSCRAM-SHA-256-PLUS\0\0\0\0\0"), "08P01",
         "client selected an invalid SASL authentication mechanism"},
        {PG_AUTH_SCRAM, BYTES("p\0\0\0\x16SCRAM-SHA-256\0\0\0\0\0"), "08P01",
         "malformed SCRAM message"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct pg_auth_facts facts = {
            .type = rows[i].type, .login_user = "app", .role = "app"};
        struct peer peer = {.user = "app", .password = "pencil", .flag = 'n'};
        struct pg_auth *a = pg_auth_create(&facts);
        struct buf out = {0};
        size_t used;
        assert_int_equal(pg_auth_start(a, "pencil", &out), PG_AUTH_OUT_MORE);
        buf_consume(&out, buf_len(&out));
        assert_int_equal(pg_auth_feed(a, rows[i].bytes, rows[i].n, &used, &out),
                         PG_AUTH_OUT_FAILED);
        read_replies(&peer, &out);
        assert_string_equal(peer.message, rows[i].message);
        assert_string_equal(peer.sqlstate, rows[i].sqlstate);
        buf_release(&out);
        pg_auth_destroy(&a);
    }
}

/* SASLInitialResponse without a response: PostgreSQL asks for it with an empty challenge. */
static void test_no_initial_response(void **state)
{
    static const char bare[] = "p\0\0\0\x16SCRAM-SHA-256\0\xff\xff\xff\xff";
    static const char first[] = "p\0\0\0\x0en,,n=,r=ab";
    const struct pg_auth_facts facts = {.type = PG_AUTH_SCRAM, .login_user = "app", .role = "app"};
    struct pg_auth *a = pg_auth_create(&facts);
    struct buf out = {0};
    size_t used;
    (void)state;
    assert_int_equal(pg_auth_start(a, PENCIL, &out), PG_AUTH_OUT_MORE);
    buf_consume(&out, buf_len(&out));
    assert_int_equal(pg_auth_feed(a, bare, sizeof(bare) - 1, &used, &out), PG_AUTH_OUT_MORE);
    assert_int_equal(buf_len(&out), 9);
    assert_memory_equal(buf_head(&out), "R\0\0\0\x08\0\0\0\x0b", 9);
    buf_consume(&out, 9);
    assert_int_equal(pg_auth_feed(a, first, sizeof(first) - 1, &used, &out), PG_AUTH_OUT_MORE);
    assert_true(buf_len(&out) > 9);
    assert_string_equal(pg_auth_method(a), "scram-sha-256");
    buf_release(&out);
    pg_auth_destroy(&a);
}

static void test_long_token(void **state)
{
    const size_t n = PG_AUTH_PASSWORD_MAX - 5;
    const struct pg_auth_facts facts = {.type = PG_AUTH_PLAIN, .login_user = "app", .role = "app"};
    char *token = malloc(n + 1);
    struct peer peer = {.user = "app", .password = token};
    struct buf out = {0};
    size_t used;
    (void)state;
    memset(token, 't', n);
    token[n] = '\0';
    struct pg_auth *a = pg_auth_create(&facts);
    assert_int_equal(pg_auth_start(a, token, &out), PG_AUTH_OUT_MORE);
    read_replies(&peer, &out);
    assert_int_equal(
        pg_auth_feed(a, buf_head(&peer.to_server), buf_len(&peer.to_server), &used, &out),
        PG_AUTH_OUT_OK);
    buf_release(&out);
    buf_release(&peer.to_server);
    pg_auth_destroy(&a);
    free(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods_and_secrets),
        cmocka_unit_test(test_function_suffix),
        cmocka_unit_test(test_unknown_user_looks_alike),
        cmocka_unit_test(test_certificate),
        cmocka_unit_test(test_broken_messages),
        cmocka_unit_test(test_no_initial_response),
        cmocka_unit_test(test_long_token),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
