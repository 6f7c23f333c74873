/* SPDX-License-Identifier: ISC
 * See pg_secret.h.
 *
 * struct pg_verifiers: a hash by user name under one mutex, oldest entry first. An entry holds no
 * password but a keyed hash of it, by which a changed password is noticed. A derivation runs
 * without the lock, so two workers that miss at the same moment both derive; neither blocks.
 */
#include "config.h"

#include "proto/pg/pg_secret.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stringprep.h>

#define HASH_NONFATAL_OOM 1
#include "base/hash.h"

#define SCRAM_PREFIX     "SCRAM-SHA-256$"
#define VERIFIERS_MAGIC  0x70677666u
#define VERIFIERS_ENOUGH 65536u

static const char *const kind_names[] = {
    [PG_SECRET_PLAIN] = "plain",
    [PG_SECRET_MD5] = "md5",
    [PG_SECRET_SCRAM] = "scram-sha-256",
};

const char *pg_secret_kind_name(enum pg_secret_kind kind)
{
    return kind_names[kind];
}

bool pg_secret_is_md5(const char *secret)
{
    return strncmp(secret, "md5", 3) == 0 && strlen(secret) == 35 &&
           strspn(secret + 3, "0123456789abcdef") == 32;
}

enum pg_secret_kind pg_secret_kind_of(const char *secret)
{
    struct pg_scram_secret parsed;
    if (pg_secret_is_md5(secret))
        return PG_SECRET_MD5;
    if (pg_secret_parse_scram(secret, &parsed)) {
        pg_crypto_wipe(&parsed, sizeof(parsed));
        return PG_SECRET_SCRAM;
    }
    return PG_SECRET_PLAIN;
}

/* Digits up to `stop`, between 1 and the bound. */
static bool parse_iterations(const char *text, const char *stop, uint32_t *out)
{
    uint32_t value = 0;
    if (text == stop)
        return false;
    for (const char *c = text; c < stop; c++) {
        if (*c < '0' || *c > '9')
            return false;
        value = value * 10 + (uint32_t)(*c - '0');
        if (value > PG_SCRAM_ITERATIONS_MAX)
            return false;
    }
    *out = value;
    return value != 0;
}

static bool parse_key(const char *text, size_t n, uint8_t out[PG_SHA256_BYTES])
{
    size_t got = 0;
    return pg_crypto_base64_decode(text, n, out, PG_SHA256_BYTES, &got) && got == PG_SHA256_BYTES;
}

bool pg_secret_parse_scram(const char *text, struct pg_scram_secret *out)
{
    if (strncmp(text, SCRAM_PREFIX, strlen(SCRAM_PREFIX)) != 0)
        return false;
    const char *iterations = text + strlen(SCRAM_PREFIX);
    const char *colon = strchr(iterations, ':');
    const char *dollar = colon == NULL ? NULL : strchr(colon, '$');
    const char *second = dollar == NULL ? NULL : strchr(dollar, ':');
    size_t salt_n = 0;
    if (second == NULL || !parse_iterations(iterations, colon, &out->iterations))
        return false;
    if (!pg_crypto_base64_decode(colon + 1, (size_t)(dollar - colon - 1), out->salt,
                                 sizeof(out->salt), &salt_n) ||
        salt_n == 0)
        return false;
    out->salt_n = (uint32_t)salt_n;
    return parse_key(dollar + 1, (size_t)(second - dollar - 1), out->stored_key) &&
           parse_key(second + 1, strlen(second + 1), out->server_key);
}

void pg_secret_print_scram(const struct pg_scram_secret *s, char out[PG_SCRAM_SECRET_TEXT_BYTES])
{
    char salt[PG_BASE64_BYTES(PG_SCRAM_SALT_MAX) + 1];
    char stored[PG_BASE64_BYTES(PG_SHA256_BYTES) + 1];
    char server[PG_BASE64_BYTES(PG_SHA256_BYTES) + 1];
    pg_crypto_base64_encode(s->salt, s->salt_n, salt);
    pg_crypto_base64_encode(s->stored_key, sizeof(s->stored_key), stored);
    pg_crypto_base64_encode(s->server_key, sizeof(s->server_key), server);
    snprintf(out, PG_SCRAM_SECRET_TEXT_BYTES, SCRAM_PREFIX "%u:%s$%s:%s", s->iterations, salt,
             stored, server);
}

/* The form of a non-ASCII password that both sides hash, to be freed; NULL where it stays as it is.
 * PostgreSQL leaves pure ASCII alone, control characters included. */
static char *saslprep(struct pg_view password)
{
    size_t ascii = 0;
    while (ascii < password.n && (unsigned char)password.p[ascii] < 0x80 && password.p[ascii] != 0)
        ascii++;
    if (ascii == password.n || memchr(password.p, '\0', password.n) != NULL)
        return NULL;
    char *text = strndup(password.p, password.n);
    char *prepared = NULL;
    if (text != NULL &&
        stringprep_profile(text, &prepared, "SASLprep", STRINGPREP_NO_UNASSIGNED) ==
            STRINGPREP_OK &&
        prepared[0] == '\0') {
        free(prepared);
        prepared = NULL;
    }
    if (text != NULL)
        pg_crypto_wipe(text, password.n);
    free(text);
    return prepared;
}

bool pg_secret_salt_password(struct pg_view password, const uint8_t *salt, size_t salt_n,
                             uint32_t iterations, uint8_t out[PG_SHA256_BYTES])
{
    char *prepared = saslprep(password);
    struct pg_view used = prepared == NULL ? password : pg_view_of(prepared);
    bool fine = pg_crypto_pbkdf2(used.p, used.n, salt, salt_n, iterations, out);
    if (prepared != NULL)
        pg_crypto_wipe(prepared, used.n);
    free(prepared);
    return fine;
}

static void hmac_text(const uint8_t key[PG_SHA256_BYTES], const char *text, const char *more,
                      uint8_t out[PG_SHA256_BYTES])
{
    const struct pg_piece pieces[] = {{text, strlen(text)}, {more, strlen(more)}};
    pg_crypto_hmac(key, PG_SHA256_BYTES, pieces, 2, out);
}

bool pg_secret_derive_scram(struct pg_view password, struct pg_scram_secret *s)
{
    uint8_t salted[PG_SHA256_BYTES];
    uint8_t client_key[PG_SHA256_BYTES];
    if (!pg_secret_salt_password(password, s->salt, s->salt_n, s->iterations, salted))
        return false;
    hmac_text(salted, "Client Key", "", client_key);
    hmac_text(salted, "Server Key", "", s->server_key);
    pg_crypto_sha256(client_key, sizeof(client_key), s->stored_key);
    pg_crypto_wipe(salted, sizeof(salted));
    pg_crypto_wipe(client_key, sizeof(client_key));
    return true;
}

bool pg_secret_make_scram(struct pg_view password, uint32_t iterations, struct pg_scram_secret *out)
{
    *out = (struct pg_scram_secret){.iterations = iterations, .salt_n = PG_SCRAM_SALT_BYTES};
    return pg_crypto_random(out->salt, PG_SCRAM_SALT_BYTES) &&
           pg_secret_derive_scram(password, out);
}

/* ---- users who aren't there ------------------------------------------------------------------ */

static uint8_t mock_key[PG_SHA256_BYTES];
static pthread_once_t mock_key_once = PTHREAD_ONCE_INIT;

static void mock_key_draw(void)
{
    /* Without randomness no nonce can be drawn either, so no login gets as far as a salt. */
    if (!pg_crypto_random(mock_key, sizeof(mock_key)))
        memset(mock_key, 0, sizeof(mock_key));
}

void pg_secret_set_mock_key(const void *p, size_t n)
{
    pthread_once(&mock_key_once, mock_key_draw);
    pg_crypto_sha256(p, n, mock_key);
}

void pg_secret_mock_scram(const char *user, uint32_t iterations, struct pg_scram_secret *out)
{
    uint8_t salt[PG_SHA256_BYTES];
    pthread_once(&mock_key_once, mock_key_draw);
    *out = (struct pg_scram_secret){.iterations = iterations, .salt_n = PG_SCRAM_SALT_BYTES};
    hmac_text(mock_key, "salt:", user, salt);
    memcpy(out->salt, salt, PG_SCRAM_SALT_BYTES);
    hmac_text(mock_key, "stored:", user, out->stored_key);
    hmac_text(mock_key, "server:", user, out->server_key);
}

bool pg_secret_print_md5(struct pg_view password, const char *user, char out[36])
{
    const struct pg_piece pieces[] = {{password.p, password.n}, {user, strlen(user)}};
    memcpy(out, "md5", 3);
    return pg_crypto_md5_hex(pieces, 2, out + 3);
}

/* ---- derived keys, kept ---------------------------------------------------------------------- */

struct verifier {
    UT_hash_handle hh;
    uint8_t tag[PG_SHA256_BYTES]; /* keyed hash of the password it was derived from */
    struct pg_scram_secret secret;
    char user[];
};

struct pg_verifiers {
    uint32_t magic;
    uint32_t max;
    uint8_t tag_key[PG_SHA256_BYTES]; /* constant */
    pthread_mutex_t lock;
    struct {
        struct verifier *by_user;
    } locked;
};

struct pg_verifiers *pg_verifiers_create(uint32_t max_entries)
{
    struct pg_verifiers *v = calloc(1, sizeof(*v));
    if (v == NULL || !pg_crypto_random(v->tag_key, sizeof(v->tag_key)) ||
        pthread_mutex_init(&v->lock, NULL) != 0) {
        free(v);
        return NULL;
    }
    v->magic = VERIFIERS_MAGIC;
    v->max = max_entries == 0 ? VERIFIERS_ENOUGH : max_entries;
    return v;
}

static void remove_locked(struct pg_verifiers *v, struct verifier *e)
{
    HASH_DEL(v->locked.by_user, e);
    pg_crypto_wipe(e->tag, sizeof(e->tag));
    pg_crypto_wipe(&e->secret, sizeof(e->secret));
    free(e);
}

void pg_verifiers_destroy(struct pg_verifiers **vp)
{
    struct pg_verifiers *v = *vp;
    *vp = NULL;
    if (v == NULL)
        return;
    assert(v->magic == VERIFIERS_MAGIC);
    while (v->locked.by_user != NULL)
        remove_locked(v, v->locked.by_user);
    pthread_mutex_destroy(&v->lock);
    pg_crypto_wipe(v, sizeof(*v));
    free(v);
}

static struct verifier *find_locked(struct pg_verifiers *v, const char *user)
{
    struct verifier *e;
    HASH_FIND_STR(v->locked.by_user, user, e);
    return e;
}

/* Does the entry hold this password's keys for the salt and iterations in `s`? Then fill them in.
 */
static bool lookup(struct pg_verifiers *v, const char *user, const uint8_t tag[PG_SHA256_BYTES],
                   struct pg_scram_secret *s)
{
    pthread_mutex_lock(&v->lock);
    const struct verifier *e = find_locked(v, user);
    bool hit = e != NULL && pg_crypto_equal(e->tag, tag, PG_SHA256_BYTES) &&
               e->secret.iterations == s->iterations && e->secret.salt_n == s->salt_n &&
               memcmp(e->secret.salt, s->salt, s->salt_n) == 0;
    if (hit)
        *s = e->secret;
    pthread_mutex_unlock(&v->lock);
    return hit;
}

/* Keep it in place of what the user had; not kept when memory is out, which only costs time. */
static void keep(struct pg_verifiers *v, const char *user, const uint8_t tag[PG_SHA256_BYTES],
                 const struct pg_scram_secret *s)
{
    size_t n = strlen(user);
    struct verifier *fresh = calloc(1, sizeof(*fresh) + n + 1);
    if (fresh == NULL)
        return;
    memcpy(fresh->user, user, n + 1);
    memcpy(fresh->tag, tag, PG_SHA256_BYTES);
    fresh->secret = *s;
    pthread_mutex_lock(&v->lock);
    struct verifier *old = find_locked(v, user);
    if (old == NULL && HASH_COUNT(v->locked.by_user) >= v->max)
        old = v->locked.by_user; /* the oldest */
    if (old != NULL)
        remove_locked(v, old);
    HASH_ADD_STR(v->locked.by_user, user, fresh);
    bool added = fresh->hh.tbl != NULL;
    pthread_mutex_unlock(&v->lock);
    if (!added)
        free(fresh);
}

static void tag_of(const struct pg_verifiers *v, struct pg_view password,
                   uint8_t out[PG_SHA256_BYTES])
{
    const struct pg_piece piece = {password.p, password.n};
    pg_crypto_hmac(v->tag_key, sizeof(v->tag_key), &piece, 1, out);
}

bool pg_verifiers_get(struct pg_verifiers *v, const char *user, struct pg_view password,
                      uint32_t iterations, struct pg_scram_secret *out)
{
    uint8_t tag[PG_SHA256_BYTES];
    pg_secret_mock_scram(user, iterations, out);
    if (v == NULL)
        return pg_secret_derive_scram(password, out);
    assert(v->magic == VERIFIERS_MAGIC);
    tag_of(v, password, tag);
    if (lookup(v, user, tag, out))
        return true;
    if (!pg_secret_derive_scram(password, out))
        return false;
    keep(v, user, tag, out);
    return true;
}

bool pg_verifiers_fits(struct pg_verifiers *v, const char *user, struct pg_view password,
                       const struct pg_scram_secret *secret)
{
    uint8_t tag[PG_SHA256_BYTES];
    struct pg_scram_secret derived = *secret;
    bool known = false;
    if (v != NULL) {
        assert(v->magic == VERIFIERS_MAGIC);
        tag_of(v, password, tag);
        known = lookup(v, user, tag, &derived);
    }
    bool fits = (known || pg_secret_derive_scram(password, &derived)) &&
                pg_crypto_equal(derived.stored_key, secret->stored_key, PG_SHA256_BYTES);
    if (fits && !known && v != NULL)
        keep(v, user, tag, &derived);
    pg_crypto_wipe(&derived, sizeof(derived));
    return fits;
}
