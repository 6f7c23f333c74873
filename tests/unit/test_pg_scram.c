/* SPDX-License-Identifier: ISC
 * SCRAM and the secrets under it: the RFC's vectors, each refusal with PostgreSQL's words, our
 * client against our server in every variant, the cache of derived keys.
 */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "proto/pg/pg_scram.h"
#include "proto/pg/pg_scram_client.h"

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define NONCE        CLIENT_NONCE SERVER_NONCE
#define PENCIL                                                                                     \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define CLIENT_FIRST "n,,n=user,r=" CLIENT_NONCE
#define SERVER_FIRST "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define CLIENT_FINAL "c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const uint8_t hash[32] = "the hash of the certificate....";

static int setup(void **state)
{
    (void)state;
    return pg_crypto_init(NULL) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    pg_crypto_fini();
    return 0;
}

static void expect_view(struct pg_view v, const char *text)
{
    assert_int_equal(v.n, strlen(text));
    assert_memory_equal(v.p, text, v.n);
}

static struct pg_scram_secret pencil(void)
{
    struct pg_scram_secret s;
    assert_true(pg_secret_parse_scram(PENCIL, &s));
    return s;
}

/* A server with the RFC's nonce. */
static struct pg_scram *server(const struct pg_scram_secret *secret, bool doomed, bool plus,
                               bool offers_plus)
{
    const struct pg_scram_config config = {.secret = secret,
                                           .doomed = doomed,
                                           .plus = plus,
                                           .binding = hash,
                                           .binding_n = offers_plus ? sizeof(hash) : 0};
    struct pg_scram *s = pg_scram_create_with_nonce(&config, SERVER_NONCE);
    assert_non_null(s);
    return s;
}

static enum pg_scram_result step(struct pg_scram *s, const char *msg, struct pg_view *out,
                                 struct pg_fault *fault)
{
    return pg_scram_step(s, msg, strlen(msg), out, fault);
}

/* ---- primitives and secrets ---------------------------------------------------------------- */

static void test_primitives(void **state)
{
    static const uint8_t abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                  0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23};
    uint8_t full[PG_SHA256_BYTES];
    uint8_t cut[16];
    char hex[PG_MD5_HEX_BYTES];
    const struct pg_piece pieces[] = {{"a", 1}, {"bc", 2}};
    (void)state;
    pg_crypto_sha256("abc", 3, full);
    pg_crypto_digest128("abc", 3, cut);
    assert_memory_equal(full, abc, 16);
    assert_memory_equal(cut, abc, 16);
    assert_true(pg_crypto_md5_hex(pieces, 2, hex));
    assert_string_equal(hex, "900150983cd24fb0d6963f7d28e17f72");
    /* RFC 4231, test case 2 */
    static const uint8_t mac[] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e};
    const struct pg_piece words[] = {{"what do ya want ", 16}, {"for nothing?", 12}};
    pg_crypto_hmac("Jefe", 4, words, 2, full);
    assert_memory_equal(full, mac, sizeof(mac));
}

static void test_base64(void **state)
{
    char text[16];
    uint8_t raw[8];
    size_t n = 0;
    static const char *const bad[] = {"Zg",    "Zg=", "Z===", "Zg=a",  "Zm 9",
                                      "Zm9\n", "=",   "====", "Zm9v!", "Zm9vZm9vZm9v"};
    (void)state;
    assert_int_equal(pg_crypto_base64_encode("fo", 2, text), 4);
    assert_string_equal(text, "Zm8=");
    assert_true(pg_crypto_base64_decode("Zm8=", 4, raw, sizeof(raw), &n));
    assert_int_equal(n, 2);
    assert_true(pg_crypto_base64_decode("Zm9v", 4, raw, 3, &n));
    assert_memory_equal(raw, "foo", 3);
    assert_true(pg_crypto_base64_decode("", 0, raw, sizeof(raw), &n));
    assert_int_equal(n, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(pg_crypto_base64_decode(bad[i], strlen(bad[i]), raw, sizeof(raw), &n));
}

static void test_secret_text(void **state)
{
    static const char *const bad[] = {
        "SCRAM-SHA-256$",
        "SCRAM-SHA-256$4096",
        "SCRAM-SHA-256$:W22ZaJ0SNY7soEsUEjb6gQ==$a:b",
        "SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$99999999999:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        PENCIL "=",
        PENCIL ":",
    };
    char text[PG_SCRAM_SECRET_TEXT_BYTES];
    struct pg_scram_secret s = pencil();
    (void)state;
    pg_secret_print_scram(&s, text);
    assert_string_equal(text, PENCIL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(pg_secret_parse_scram(bad[i], &s));
    assert_int_equal(pg_secret_kind_of(PENCIL), PG_SECRET_SCRAM);
    assert_int_equal(pg_secret_kind_of("SCRAM-SHA-256$x"), PG_SECRET_PLAIN);
    assert_int_equal(pg_secret_kind_of("md5900150983cd24fb0d6963f7d28e17f72"), PG_SECRET_MD5);
    assert_int_equal(pg_secret_kind_of("md5900150983cd24fb0d6963f7d28e17f7g"), PG_SECRET_PLAIN);
    assert_int_equal(pg_secret_kind_of("md5"), PG_SECRET_PLAIN);
}

static void test_derivation(void **state)
{
    struct pg_scram_secret want = pencil();
    struct pg_scram_secret got = want;
    (void)state;
    memset(got.stored_key, 0, sizeof(got.stored_key));
    memset(got.server_key, 0, sizeof(got.server_key));
    assert_true(pg_secret_derive_scram(pg_view_of("pencil"), &got));
    assert_memory_equal(&got, &want, sizeof(got));
    struct pg_scram_secret other;
    assert_true(pg_secret_make_scram(pg_view_of("pencil"), 4096, &other));
    assert_memory_not_equal(other.salt, got.salt, PG_SCRAM_SALT_BYTES);
    assert_true(pg_verifiers_fits(NULL, "u", pg_view_of("pencil"), &other));
    assert_false(pg_verifiers_fits(NULL, "u", pg_view_of("pencils"), &other));
    char md5[36];
    assert_true(pg_secret_print_md5(pg_view_of("a"), "bc", md5));
    assert_string_equal(md5, "md5900150983cd24fb0d6963f7d28e17f72");
}

static bool same_key(const char *a, const char *b)
{
    uint8_t left[PG_SHA256_BYTES];
    uint8_t right[PG_SHA256_BYTES];
    assert_true(pg_secret_salt_password(pg_view_of(a), hash, 16, 2, left));
    assert_true(pg_secret_salt_password(pg_view_of(b), hash, 16, 2, right));
    return memcmp(left, right, sizeof(left)) == 0;
}

static void test_saslprep(void **state)
{
    (void)state;
    /* RFC 4013, section 3 */
    assert_true(same_key("I\xc2\xadX", "IX"));      /* soft hyphen: mapped to nothing */
    assert_true(same_key("\xc2\xaa", "a"));         /* feminine ordinal: NFKC */
    assert_true(same_key("\xe2\x85\xa8", "IX"));    /* roman nine: NFKC */
    assert_true(same_key("a\xc2\xa0z", "a z"));     /* non-ASCII space */
    assert_true(same_key("u\xcc\x88", "\xc3\xbc")); /* composed or not */
    assert_false(same_key("USER", "user"));
    /* Refused by SASLprep, so raw bytes: mixed directions, malformed UTF-8, nothing left. */
    assert_false(same_key("\xd8\xa7\x31\xc2\xad", "\xd8\xa7\x31"));
    assert_false(same_key("\xff\xc2\xad", "\xff"));
    assert_false(same_key("\xc2\xad", "\xc2\xad\xc2\xad"));
    /* ASCII stays, whatever it is. */
    assert_false(same_key("\x7f"
                          "a",
                          "a"));
}

static void test_mock_secret(void **state)
{
    struct pg_scram_secret a;
    struct pg_scram_secret b;
    (void)state;
    pg_secret_mock_scram("nobody", 4096, &a);
    pg_secret_mock_scram("nobody", 4096, &b);
    assert_memory_equal(&a, &b, sizeof(a));
    pg_secret_mock_scram("nobody2", 4096, &b);
    assert_memory_not_equal(a.salt, b.salt, PG_SCRAM_SALT_BYTES);
    pg_secret_set_mock_key("lasting", 7);
    pg_secret_mock_scram("nobody", 4096, &b);
    assert_memory_not_equal(a.salt, b.salt, PG_SCRAM_SALT_BYTES);
    assert_int_equal(b.salt_n, 16);
}

static void test_verifiers(void **state)
{
    struct pg_verifiers *v = pg_verifiers_create(2);
    struct pg_scram_secret a;
    struct pg_scram_secret b;
    struct pg_scram_secret mock;
    (void)state;
    assert_non_null(v);
    assert_true(pg_verifiers_get(v, "u", pg_view_of("one"), 4096, &a));
    assert_true(pg_verifiers_get(v, "u", pg_view_of("one"), 4096, &b));
    assert_memory_equal(&a, &b, sizeof(a));
    pg_secret_mock_scram("u", 4096, &mock);
    assert_memory_equal(a.salt, mock.salt, sizeof(a.salt));
    /* A changed password or count is noticed, */
    assert_true(pg_verifiers_get(v, "u", pg_view_of("two"), 4096, &b));
    assert_memory_not_equal(a.stored_key, b.stored_key, PG_SHA256_BYTES);
    assert_true(pg_verifiers_get(v, "u", pg_view_of("two"), 1000, &b));
    assert_int_equal(b.iterations, 1000);
    assert_true(pg_verifiers_fits(NULL, "u", pg_view_of("two"), &b));
    /* and the bound holds. */
    for (char user[] = "a"; user[0] <= 'f'; user[0]++)
        assert_true(pg_verifiers_get(v, user, pg_view_of("x"), 10, &b));
    assert_true(pg_verifiers_get(v, "u", pg_view_of("one"), 4096, &b));
    assert_memory_equal(&a, &b, sizeof(a));
    /* What doesn't fit isn't kept: the right one still fits, the wrong one still doesn't. */
    a = pencil();
    assert_false(pg_verifiers_fits(v, "p", pg_view_of("x"), &a));
    assert_true(pg_verifiers_fits(v, "p", pg_view_of("pencil"), &a));
    assert_true(pg_verifiers_fits(v, "p", pg_view_of("pencil"), &a));
    assert_false(pg_verifiers_fits(v, "p", pg_view_of("x"), &a));
    pg_verifiers_destroy(&v);
    assert_null(v);
}

/* ---- the server ---------------------------------------------------------------------------- */

static void test_rfc7677(void **state)
{
    struct pg_scram_secret secret = pencil();
    struct pg_scram *s = server(&secret, false, false, false);
    struct pg_view out;
    struct pg_fault fault;
    uint8_t key[PG_SHA256_BYTES];
    uint8_t stored[PG_SHA256_BYTES];
    (void)state;
    assert_int_equal(step(s, CLIENT_FIRST, &out, &fault), PG_SCRAM_CONTINUE);
    expect_view(out, SERVER_FIRST);
    assert_false(pg_scram_client_key(s, key));
    assert_int_equal(step(s, CLIENT_FINAL, &out, &fault), PG_SCRAM_DONE);
    expect_view(out, SERVER_FINAL);
    assert_true(pg_scram_client_key(s, key));
    pg_crypto_sha256(key, sizeof(key), stored);
    assert_memory_equal(stored, secret.stored_key, sizeof(stored));
    assert_int_equal(step(s, CLIENT_FINAL, &out, &fault), PG_SCRAM_BAD);
    assert_string_equal(fault.message, "invalid SCRAM exchange state");
    pg_scram_destroy(&s);
}

/* A doomed exchange says the same until the end, then no, even to the right proof. */
static void test_doomed(void **state)
{
    struct pg_scram_secret secret = pencil();
    struct pg_scram *s = server(&secret, true, false, false);
    struct pg_view out;
    struct pg_fault fault;
    uint8_t key[PG_SHA256_BYTES];
    (void)state;
    assert_int_equal(step(s, CLIENT_FIRST, &out, &fault), PG_SCRAM_CONTINUE);
    expect_view(out, SERVER_FIRST);
    assert_int_equal(step(s, CLIENT_FINAL, &out, &fault), PG_SCRAM_WRONG);
    assert_null(out.p);
    assert_false(pg_scram_client_key(s, key));
    pg_scram_destroy(&s);
}

struct refusal {
    const char *first;
    const char *final; /* NULL: the first is refused */
    const char *sqlstate;
    const char *message;
    const char *detail;
};

static void expect_refusal(const struct refusal *r, bool plus, bool offers_plus)
{
    struct pg_scram_secret secret = pencil();
    struct pg_scram *s = server(&secret, false, plus, offers_plus);
    struct pg_view out;
    struct pg_fault fault;
    enum pg_scram_result got = step(s, r->first, &out, &fault);
    if (r->final != NULL) {
        assert_int_equal(got, PG_SCRAM_CONTINUE);
        got = step(s, r->final, &out, &fault);
    }
    assert_int_equal(got, PG_SCRAM_BAD);
    assert_string_equal(fault.message, r->message);
    assert_string_equal(fault.sqlstate, r->sqlstate);
    assert_string_equal(fault.detail, r->detail);
    /* Nothing helps any more. */
    assert_int_equal(step(s, CLIENT_FIRST, &out, &fault), PG_SCRAM_BAD);
    pg_scram_destroy(&s);
}

#define MALFORMED "malformed SCRAM message"

static void test_refusals(void **state)
{
    static const struct refusal rows[] = {
        {"", NULL, "08P01", MALFORMED, "The message is empty."},
        {"x,,n=,r=a", NULL, "08P01", MALFORMED, "Unexpected channel-binding flag \"'x'\"."},
        {"\x01", NULL, "08P01", MALFORMED, "Unexpected channel-binding flag \"0x01\"."},
        {"n", NULL, "08P01", MALFORMED, "Comma expected, but found character \"0x00\"."},
        {"nx", NULL, "08P01", MALFORMED, "Comma expected, but found character \"'x'\"."},
        {"n,a=admin,n=,r=a", NULL, "0A000",
         "client uses authorization identity, but it is not supported", ""},
        {"n,x,n=,r=a", NULL, "08P01", MALFORMED,
         "Unexpected attribute \"'x'\" in client-first-message."},
        {"n,,m=x,n=,r=a", NULL, "0A000", "client requires an unsupported SCRAM extension", ""},
        {"n,,x=,r=a", NULL, "08P01", MALFORMED, "Expected attribute \"n\" but found \"'x'\"."},
        {"n,,n,r=a", NULL, "08P01", MALFORMED, "Expected character \"=\" for attribute \"n\"."},
        {"n,,n=", NULL, "08P01", MALFORMED, "Expected attribute \"r\" but found \"0x00\"."},
        {"n,,n=,r=a b", NULL, "08P01", "non-printable characters in SCRAM nonce", ""},
        {"n,,n=,r=a,1=x", NULL, "08P01", MALFORMED,
         "Attribute expected, but found invalid character \"'1'\"."},
        {"p=tls-server-end-point,,n=,r=a", NULL, "08P01", MALFORMED,
         "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message "
         "includes channel binding data."},
        {CLIENT_FIRST, "c=eSws,r=" NONCE ",p=AAAA", "08P01",
         "unexpected SCRAM channel-binding attribute in client-final-message", ""},
        {CLIENT_FIRST, "x=biws", "08P01", MALFORMED, "Expected attribute \"c\" but found \"'x'\"."},
        {CLIENT_FIRST, "c=biws,r=" NONCE, "08P01", MALFORMED,
         "Attribute expected, but found end of string."},
        {CLIENT_FIRST, "c=biws,r=" NONCE ",p=AAAA", "08P01", MALFORMED,
         "Malformed proof in client-final-message."},
        {CLIENT_FIRST, CLIENT_FINAL ",x=y", "08P01", MALFORMED,
         "Garbage found at the end of client-final-message."},
        {CLIENT_FIRST, "c=biws,r=" CLIENT_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
         "08P01", "invalid SCRAM response", "Nonce does not match."},
        {CLIENT_FIRST, "c=biws,r=" NONCE "x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
         "08P01", "invalid SCRAM response", "Nonce does not match."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_refusal(&rows[i], false, false);
}

static void test_refusals_with_binding(void **state)
{
    static const char without[] = "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message "
                                  "does not include channel binding data.";
    static const struct refusal downgrade = {
        "y,,n=,r=a", NULL, "28000", "SCRAM channel binding negotiation error",
        "The client supports SCRAM channel binding but thinks the server does not.  However, this "
        "server does support channel binding."};
    static const struct refusal rows[] = {
        {"n,,n=,r=a", NULL, "08P01", MALFORMED, without},
        {"y,,n=,r=a", NULL, "08P01", MALFORMED, without},
        {"p=tls-unique,,n=,r=a", NULL, "08P01",
         "unsupported SCRAM channel-binding type \"tls-unique\"", ""},
        {"p=tls-server-end-point,,n=,r=a", "c=biws,r=a" SERVER_NONCE ",p=AAAA", "28000",
         "SCRAM channel binding check failed", ""},
    };
    (void)state;
    expect_refusal(&downgrade, false, true);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_refusal(&rows[i], true, true);
}

static void test_lengths(void **state)
{
    struct pg_scram_secret secret = pencil();
    struct pg_scram *s = server(&secret, false, false, false);
    struct pg_view out;
    struct pg_fault fault;
    char longest[PG_SCRAM_MESSAGE_MAX + 2] = "n,,n=,r=";
    (void)state;
    assert_int_equal(pg_scram_step(s, "n,,n=\0,r=a", 10, &out, &fault), PG_SCRAM_BAD);
    assert_string_equal(fault.detail, "Message length does not match input length.");
    pg_scram_destroy(&s);
    memset(longest + 8, 'a', sizeof(longest) - 9);
    s = server(&secret, false, false, false);
    assert_int_equal(pg_scram_step(s, longest, sizeof(longest) - 1, &out, &fault), PG_SCRAM_BAD);
    pg_scram_destroy(&s);
    s = server(&secret, false, false, false);
    assert_int_equal(pg_scram_step(s, longest, PG_SCRAM_MESSAGE_MAX, &out, &fault),
                     PG_SCRAM_CONTINUE);
    pg_scram_destroy(&s);
}

/* ---- client and server --------------------------------------------------------------------- */

struct variant {
    char flag;
    bool plus;
};

/* Run both sides; the outcome is the server's. `client_ok` is the client's own verdict. */
static enum pg_scram_result converse(const struct variant *v, const char *password,
                                     const uint8_t keys[2][PG_SHA256_BYTES], uint8_t got_key[],
                                     bool *client_ok)
{
    struct pg_scram_secret secret = pencil();
    const struct pg_scram_config config = {.secret = &secret,
                                           .plus = v->plus,
                                           .binding = hash,
                                           .binding_n = v->plus ? sizeof(hash) : 0};
    const struct pg_scram_client_config client_config = {.password = pg_view_of(password),
                                                         .client_key = keys[0],
                                                         .server_key = keys[1],
                                                         .binding_flag = v->flag,
                                                         .binding = hash,
                                                         .binding_n = sizeof(hash)};
    struct pg_scram *s = pg_scram_create(&config);
    struct pg_scram_client *c = pg_scram_client_create(&client_config, NULL);
    struct pg_view out;
    struct pg_fault fault;
    struct err err;
    struct pg_view msg = pg_scram_client_first(c);
    *client_ok = false;
    assert_int_equal(pg_scram_step(s, msg.p, msg.n, &out, &fault), PG_SCRAM_CONTINUE);
    assert_true(pg_scram_client_on_first(c, out.p, out.n, &msg, &err));
    enum pg_scram_result result = pg_scram_step(s, msg.p, msg.n, &out, &fault);
    if (result == PG_SCRAM_DONE) {
        *client_ok = pg_scram_client_on_final(c, out.p, out.n, &err);
        assert_true(pg_scram_client_key(s, got_key));
    }
    pg_scram_destroy(&s);
    pg_scram_client_destroy(&c);
    return result;
}

static void test_client_against_server(void **state)
{
    static const struct variant variants[] = {{'n', false}, {'y', false}, {'p', true}};
    uint8_t keys[2][PG_SHA256_BYTES] = {{0}};
    uint8_t again[PG_SHA256_BYTES];
    bool fine;
    (void)state;
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        const struct variant *v = &variants[i];
        assert_int_equal(converse(v, "pencil", keys, keys[0], &fine), PG_SCRAM_DONE);
        assert_true(fine);
        assert_int_equal(converse(v, "pen", keys, again, &fine), PG_SCRAM_WRONG);
        /* Pass-through: what the proof gave away logs in without the password. */
        struct pg_scram_secret secret = pencil();
        memcpy(keys[1], secret.server_key, PG_SHA256_BYTES);
        assert_int_equal(converse(v, NULL, keys, again, &fine), PG_SCRAM_DONE);
        assert_true(fine);
        assert_memory_equal(again, keys[0], PG_SHA256_BYTES);
        keys[1][0] ^= 1; /* a server that we can't recognise */
        assert_int_equal(converse(v, NULL, keys, again, &fine), PG_SCRAM_DONE);
        assert_false(fine);
        keys[0][0] ^= 1;
        assert_int_equal(converse(v, NULL, keys, again, &fine), PG_SCRAM_WRONG);
    }
}

static void test_client_refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "r=",
        "m=x,r=abcd,s=AAAA,i=4096",
        "r=abc,s=AAAA,i=4096",        /* nothing added to our nonce */
        "r=xbcd,s=AAAA,i=4096",       /* not our nonce */
        "r=abcd,i=4096",              /* no salt */
        "r=abcd,s=,i=4096",           /* empty salt */
        "r=abcd,s=A,i=4096",          /* malformed salt */
        "r=abcd,s=AAAA,i=0",          /* no iterations */
        "r=abcd,s=AAAA,i=",           /* none either */
        "r=abcd,s=AAAA,i=-1",         /* negative */
        "r=abcd,s=AAAA,i=4294967297", /* overflowing */
        "r=abcd,s=AAAA,i=2000000000", /* a year's work */
        "r=abcd,s=AAAA,i=4096x",      /* not a number */
    };
    const struct pg_scram_client_config config = {.password = {"pencil", 6}, .binding_flag = 'n'};
    struct pg_view out;
    struct err err;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct pg_scram_client *c = pg_scram_client_create(&config, "abc");
        assert_false(pg_scram_client_on_first(c, bad[i], strlen(bad[i]), &out, &err));
        assert_true(err.text[0] != '\0');
        /* Dead: a good message comes too late. */
        assert_false(pg_scram_client_on_first(c, "r=abcd,s=AAAA,i=1", 17, &out, &err));
        pg_scram_client_destroy(&c);
    }
    static const char *const bad_final[] = {"",
                                            "v=",
                                            "v=AAAA",
                                            "e=invalid-proof",
                                            "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                                            "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,x=y"};
    for (size_t i = 0; i < sizeof(bad_final) / sizeof(bad_final[0]); i++) {
        struct pg_scram_client *c = pg_scram_client_create(&config, "abc");
        assert_true(pg_scram_client_on_first(c, "r=abcd,s=AAAA,i=1", 17, &out, &err));
        assert_false(pg_scram_client_on_final(c, bad_final[i], strlen(bad_final[i]), &err));
        pg_scram_client_destroy(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_primitives),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_secret_text),
        cmocka_unit_test(test_derivation),
        cmocka_unit_test(test_saslprep),
        cmocka_unit_test(test_mock_secret),
        cmocka_unit_test(test_verifiers),
        cmocka_unit_test(test_rfc7677),
        cmocka_unit_test(test_doomed),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refusals_with_binding),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_client_against_server),
        cmocka_unit_test(test_client_refuses),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
