/* SPDX-License-Identifier: ISC
 * See pg_scram.h. Texts of errors are PostgreSQL's (auth-scram.c), because drivers and people
 * search for them.
 *
 * Both texts that the proof covers are kept in one block: client-first-bare, a comma, server-first.
 * The client's last message adds the third part, so the whole need not be put together.
 */
#include "config.h"

#include "proto/pg/pg_scram.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRAM_MAGIC     0x5343524du
#define NONCE_RAW_BYTES 18u /* as PostgreSQL; 24 characters in base64 */
#define NONCE_MAX       64u
#define GS2_PLUS        "p=" PG_SCRAM_BINDING_TYPE ",,"
#define MALFORMED       "malformed SCRAM message"
#define SQLSTATE_BAD    "08P01"
#define SQLSTATE_NOT    "0A000"
#define SQLSTATE_AUTH   "28000"

enum scram_state { SCRAM_FIRST, SCRAM_FINAL, SCRAM_DONE, SCRAM_DEAD };

struct pg_scram {
    uint32_t magic;
    enum scram_state state;
    bool doomed;
    bool plus;
    char flag;         /* gs2-cbind-flag: 'n', 'y' or 'p' */
    uint8_t binding_n; /* 0: -PLUS was not offered */
    uint16_t bare_n;   /* of `texts`: client-first-bare, before the comma */
    uint16_t texts_n;
    uint16_t nonce_at; /* of `texts`: the whole nonce in server-first */
    uint16_t nonce_n;
    char *texts;
    const uint8_t *binding; /* the caller's */
    struct pg_scram_secret secret;
    uint8_t client_key[PG_SHA256_BYTES];
    char out[NONCE_MAX]; /* our nonce, then server-final */
};

/* With struct pg_auth, which owns it, a login holds less than 512 bytes. */
_Static_assert(sizeof(struct pg_scram) <= 320, "state of a login grew");

static struct pg_scram *create(const struct pg_scram_config *config)
{
    if (config->binding_n > PG_SCRAM_BINDING_MAX || (config->plus && config->binding_n == 0))
        return NULL;
    struct pg_scram *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->magic = SCRAM_MAGIC;
    s->doomed = config->doomed;
    s->plus = config->plus;
    s->secret = *config->secret;
    s->binding_n = (uint8_t)config->binding_n;
    s->binding = config->binding;
    return s;
}

struct pg_scram *pg_scram_create(const struct pg_scram_config *config)
{
    uint8_t raw[NONCE_RAW_BYTES];
    struct pg_scram *s = create(config);
    if (s == NULL)
        return NULL;
    if (!pg_crypto_random(raw, sizeof(raw))) {
        pg_scram_destroy(&s);
        return NULL;
    }
    pg_crypto_base64_encode(raw, sizeof(raw), s->out);
    return s;
}

struct pg_scram *pg_scram_create_with_nonce(const struct pg_scram_config *config, const char *nonce)
{
    struct pg_scram *s = strlen(nonce) < NONCE_MAX ? create(config) : NULL;
    if (s != NULL)
        snprintf(s->out, sizeof(s->out), "%s", nonce);
    return s;
}

void pg_scram_destroy(struct pg_scram **sp)
{
    struct pg_scram *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    assert(s->magic == SCRAM_MAGIC);
    free(s->texts);
    pg_crypto_wipe(s, sizeof(*s));
    free(s);
}

/* ---- reading attributes ------------------------------------------------------------------------
 * A message is "a=value,b=value,..." and holds no NUL (checked first), so a view is all we need. */

struct reader {
    const char *at;
    const char *end;
    struct pg_fault *fault;
};

__attribute__((format(printf, 2, 3))) static bool malformed(struct reader *r, const char *fmt, ...)
{
    va_list args;
    pg_fault_set(r->fault, SQLSTATE_BAD, MALFORMED);
    va_start(args, fmt);
    vsnprintf(r->fault->detail, sizeof(r->fault->detail), fmt, args);
    va_end(args);
    return false;
}

/* The next character, 0 at the end. */
static char peek(const struct reader *r)
{
    return r->at < r->end ? *r->at : '\0';
}

/* A character as PostgreSQL shows it: 'x' or 0x01. */
struct shown {
    char text[8];
};
static struct shown show(char c)
{
    struct shown s;
    if (c >= 0x21 && c <= 0x7e)
        snprintf(s.text, sizeof(s.text), "'%c'", c);
    else
        snprintf(s.text, sizeof(s.text), "0x%02x", (unsigned)(unsigned char)c);
    return s;
}

static bool take_comma(struct reader *r)
{
    if (peek(r) != ',')
        return malformed(r, "Comma expected, but found character \"%s\".", show(peek(r)).text);
    r->at++;
    return true;
}

/* The value after "a", up to a comma (which is consumed) or the end. */
static bool take_value(struct reader *r, char attribute, struct pg_view *value)
{
    r->at++;
    if (peek(r) != '=')
        return malformed(r, "Expected character \"=\" for attribute \"%c\".", attribute);
    r->at++;
    const char *comma = memchr(r->at, ',', (size_t)(r->end - r->at));
    const char *stop = comma == NULL ? r->end : comma;
    *value = (struct pg_view){r->at, (size_t)(stop - r->at)};
    r->at = comma == NULL ? r->end : comma + 1;
    return true;
}

static bool take_attribute(struct reader *r, char attribute, struct pg_view *value)
{
    if (peek(r) != attribute)
        return malformed(r, "Expected attribute \"%c\" but found \"%s\".", attribute,
                         show(peek(r)).text);
    return take_value(r, attribute, value);
}

static bool take_any(struct reader *r, char *attribute, struct pg_view *value)
{
    char c = peek(r);
    if (r->at == r->end)
        return malformed(r, "Attribute expected, but found end of string.");
    if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
        return malformed(r, "Attribute expected, but found invalid character \"%s\".",
                         show(c).text);
    *attribute = c;
    return take_value(r, c, value);
}

static bool view_is(struct pg_view v, const char *text)
{
    return v.n == strlen(text) && memcmp(v.p, text, v.n) == 0;
}

static bool is_printable(struct pg_view v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] < 0x21 || v.p[i] > 0x7e || v.p[i] == ',')
            return false;
    return true;
}

/* ---- client-first ------------------------------------------------------------------------------
 */

/* 'n' and 'y': no binding. 'y' says that the client could and thinks that we can't: if we offered
 * it, somebody on the way took the offer out. */
static bool read_unbound(struct pg_scram *s, struct reader *r)
{
    if (s->plus)
        return malformed(r,
                         "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not "
                         "include channel binding data.");
    if (s->flag == 'y' && s->binding_n != 0) {
        pg_fault_set(r->fault, SQLSTATE_AUTH, "SCRAM channel binding negotiation error");
        snprintf(r->fault->detail, sizeof(r->fault->detail), "%s",
                 "The client supports SCRAM channel binding but thinks the server does not.  "
                 "However, this server does support channel binding.");
        return false;
    }
    r->at++;
    return take_comma(r);
}

static bool read_bound(struct pg_scram *s, struct reader *r)
{
    struct pg_view type;
    if (!s->plus)
        return malformed(r, "The client selected SCRAM-SHA-256 without channel binding, but the "
                            "SCRAM message includes channel binding data.");
    if (!take_attribute(r, 'p', &type))
        return false;
    if (view_is(type, PG_SCRAM_BINDING_TYPE))
        return true;
    pg_fault_set(r->fault, SQLSTATE_BAD, "unsupported SCRAM channel-binding type%s%.*s%s",
                 is_printable(type) ? " \"" : "", is_printable(type) ? (int)type.n : 0, type.p,
                 is_printable(type) ? "\"" : "");
    return false;
}

/* gs2-cbind-flag "," [authzid] "," */
static bool read_gs2_header(struct pg_scram *s, struct reader *r)
{
    s->flag = peek(r);
    switch (s->flag) {
    case 'n':
    case 'y':
        if (!read_unbound(s, r))
            return false;
        break;
    case 'p':
        if (!read_bound(s, r))
            return false;
        break;
    default:
        return malformed(r, "Unexpected channel-binding flag \"%s\".", show(s->flag).text);
    }
    if (peek(r) == 'a') {
        pg_fault_set(r->fault, SQLSTATE_NOT,
                     "client uses authorization identity, but it is not supported");
        return false;
    }
    if (peek(r) != ',')
        return malformed(r, "Unexpected attribute \"%s\" in client-first-message.",
                         show(peek(r)).text);
    r->at++;
    return true;
}

static bool read_client_first(struct pg_scram *s, struct reader *r, struct pg_view *bare,
                              struct pg_view *nonce)
{
    struct pg_view ignored;
    char attribute;
    if (!read_gs2_header(s, r))
        return false;
    *bare = (struct pg_view){r->at, (size_t)(r->end - r->at)};
    if (peek(r) == 'm') {
        pg_fault_set(r->fault, SQLSTATE_NOT, "client requires an unsupported SCRAM extension");
        return false;
    }
    /* The user's name is the startup packet's, as in PostgreSQL. */
    if (!take_attribute(r, 'n', &ignored) || !take_attribute(r, 'r', nonce))
        return false;
    if (!is_printable(*nonce)) {
        pg_fault_set(r->fault, SQLSTATE_BAD, "non-printable characters in SCRAM nonce");
        return false;
    }
    while (r->at < r->end)
        if (!take_any(r, &attribute, &ignored))
            return false;
    return true;
}

/* Put client-first-bare, a comma and server-first into s->texts. */
static bool keep_texts(struct pg_scram *s, struct pg_view bare, struct pg_view nonce)
{
    char salt[PG_BASE64_BYTES(PG_SCRAM_SALT_MAX) + 1];
    pg_crypto_base64_encode(s->secret.salt, s->secret.salt_n, salt);
    size_t cap =
        bare.n + 1 + nonce.n + sizeof(s->out) + sizeof(salt) + sizeof("r=,s=,i=4294967295");
    assert(cap <= UINT16_MAX); /* PG_SCRAM_MESSAGE_MAX bounds it */
    s->texts = malloc(cap);
    if (s->texts == NULL)
        return false;
    char *p = mempcpy(s->texts, bare.p, bare.n);
    p = mempcpy(p, ",r=", 3);
    p = mempcpy(p, nonce.p, nonce.n);
    p += snprintf(p, cap - (size_t)(p - s->texts), "%s,s=%s,i=%u", s->out, salt,
                  s->secret.iterations);
    s->bare_n = (uint16_t)bare.n;
    s->texts_n = (uint16_t)(p - s->texts);
    s->nonce_at = (uint16_t)(bare.n + strlen(",r="));
    s->nonce_n = (uint16_t)(nonce.n + strlen(s->out));
    return true;
}

static enum pg_scram_result on_first(struct pg_scram *s, struct reader *r, struct pg_view *out)
{
    struct pg_view bare;
    struct pg_view nonce;
    if (!read_client_first(s, r, &bare, &nonce))
        return PG_SCRAM_BAD;
    if (!keep_texts(s, bare, nonce)) {
        pg_fault_set(r->fault, "53200", "out of memory");
        return PG_SCRAM_BAD;
    }
    *out = (struct pg_view){s->texts + s->bare_n + 1, (size_t)(s->texts_n - s->bare_n - 1)};
    s->state = SCRAM_FINAL;
    return PG_SCRAM_CONTINUE;
}

/* ---- client-final ------------------------------------------------------------------------------
 */

/* "c=" repeats the gs2 header and, when bound, adds the hash of the certificate that the client
 * saw. */
static bool check_binding(const struct pg_scram *s, struct pg_view got, struct pg_fault *fault)
{
    uint8_t want[sizeof(GS2_PLUS) + PG_SCRAM_BINDING_MAX];
    char text[PG_BASE64_BYTES(sizeof(want)) + 1];
    if (!s->plus) {
        if (view_is(got, s->flag == 'n' ? "biws" : "eSws"))
            return true;
        pg_fault_set(fault, SQLSTATE_BAD,
                     "unexpected SCRAM channel-binding attribute in client-final-message");
        return false;
    }
    memcpy(want, GS2_PLUS, strlen(GS2_PLUS));
    memcpy(want + strlen(GS2_PLUS), s->binding, s->binding_n);
    pg_crypto_base64_encode(want, strlen(GS2_PLUS) + s->binding_n, text);
    if (view_is(got, text))
        return true;
    pg_fault_set(fault, SQLSTATE_AUTH, "SCRAM channel binding check failed");
    return false;
}

/* `without_proof` is the part of the message that the proof covers. */
static bool read_client_final(const struct pg_scram *s, struct reader *r,
                              struct pg_view *without_proof, struct pg_view *nonce,
                              uint8_t proof[PG_SHA256_BYTES])
{
    const char *begin = r->at;
    struct pg_view value;
    char attribute = 0;
    size_t n = 0;
    if (!take_attribute(r, 'c', &value) || !check_binding(s, value, r->fault) ||
        !take_attribute(r, 'r', nonce))
        return false;
    do {
        /* The comma before the proof isn't covered by it; the nonce's may be the message's end. */
        *without_proof = (struct pg_view){begin, (size_t)(r->at - begin) - 1};
        if (!take_any(r, &attribute, &value))
            return false;
    } while (attribute != 'p');
    if (!pg_crypto_base64_decode(value.p, value.n, proof, PG_SHA256_BYTES, &n) ||
        n != PG_SHA256_BYTES)
        return malformed(r, "Malformed proof in client-final-message.");
    if (r->at != r->end)
        return malformed(r, "Garbage found at the end of client-final-message.");
    return true;
}

/* HMAC(key, client-first-bare "," server-first "," client-final-without-proof) */
static void sign(const struct pg_scram *s, const uint8_t key[PG_SHA256_BYTES],
                 struct pg_view without_proof, uint8_t out[PG_SHA256_BYTES])
{
    const struct pg_piece pieces[] = {
        {s->texts, s->texts_n}, {",", 1}, {without_proof.p, without_proof.n}};
    pg_crypto_hmac_kept(key, pieces, 3, out);
}

/* Recover the ClientKey from the proof and see whether it is the one whose hash we have. */
static bool check_proof(struct pg_scram *s, struct pg_view without_proof,
                        const uint8_t proof[PG_SHA256_BYTES])
{
    uint8_t signature[PG_SHA256_BYTES];
    uint8_t stored[PG_SHA256_BYTES];
    sign(s, s->secret.stored_key, without_proof, signature);
    for (size_t i = 0; i < PG_SHA256_BYTES; i++)
        s->client_key[i] = proof[i] ^ signature[i];
    pg_crypto_sha256(s->client_key, PG_SHA256_BYTES, stored);
    bool fits = pg_crypto_equal(stored, s->secret.stored_key, PG_SHA256_BYTES);
    return fits & !s->doomed;
}

static enum pg_scram_result on_final(struct pg_scram *s, struct reader *r, struct pg_view *out)
{
    struct pg_view without_proof;
    struct pg_view nonce;
    uint8_t proof[PG_SHA256_BYTES];
    uint8_t signature[PG_SHA256_BYTES];
    if (!read_client_final(s, r, &without_proof, &nonce, proof))
        return PG_SCRAM_BAD;
    if (nonce.n != s->nonce_n || memcmp(nonce.p, s->texts + s->nonce_at, nonce.n) != 0) {
        pg_fault_set(r->fault, SQLSTATE_BAD, "invalid SCRAM response");
        snprintf(r->fault->detail, sizeof(r->fault->detail), "%s", "Nonce does not match.");
        return PG_SCRAM_BAD;
    }
    if (!check_proof(s, without_proof, proof))
        return PG_SCRAM_WRONG;
    sign(s, s->secret.server_key, without_proof, signature);
    memcpy(s->out, "v=", 2);
    size_t n = pg_crypto_base64_encode(signature, sizeof(signature), s->out + 2);
    *out = (struct pg_view){s->out, n + 2};
    s->state = SCRAM_DONE;
    return PG_SCRAM_DONE;
}

enum pg_scram_result pg_scram_step(struct pg_scram *s, const void *msg, size_t n,
                                   struct pg_view *out, struct pg_fault *fault)
{
    enum pg_scram_result result = PG_SCRAM_BAD;
    enum scram_state state = s->state;
    assert(s->magic == SCRAM_MAGIC);
    *out = (struct pg_view){NULL, 0};
    *fault = (struct pg_fault){0};
    struct reader r = {msg, (const char *)msg + n, fault};
    /* Dead until the message proves good: no way out forgets to say so. */
    s->state = SCRAM_DEAD;
    if (n == 0)
        malformed(&r, "The message is empty.");
    else if (n > PG_SCRAM_MESSAGE_MAX || memchr(msg, '\0', n) != NULL)
        malformed(&r, "Message length does not match input length.");
    else if (state == SCRAM_FIRST)
        result = on_first(s, &r, out);
    else if (state == SCRAM_FINAL)
        result = on_final(s, &r, out);
    else
        pg_fault_set(fault, SQLSTATE_BAD, "invalid SCRAM exchange state");
    return result;
}

bool pg_scram_client_key(const struct pg_scram *s, uint8_t out[PG_SHA256_BYTES])
{
    assert(s->magic == SCRAM_MAGIC);
    if (s->state != SCRAM_DONE)
        return false;
    memcpy(out, s->client_key, PG_SHA256_BYTES);
    return true;
}
