/* SPDX-License-Identifier: ISC
 * See pg_crypto.h.
 */
#include "config.h"

#include "proto/pg/pg_crypto.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "base/log.h"

/* Fetched once by pg_crypto_init(), constant afterwards. */
static struct {
    EVP_MD *sha256;
    EVP_MD *md5; /* NULL in FIPS mode */
    EVP_MAC *hmac;
    pthread_key_t key;
    bool ready;
} shared;

#define KEYED     8u /* HMAC contexts that keep their key */
#define LOT_BYTES 256u

struct keyed {
    EVP_MAC_CTX *hmac;
    uint8_t key[PG_SHA256_BYTES];
    bool ready; /* it has that key */
};

/* One thread's contexts, made when it first hashes, gone with the thread. */
struct contexts {
    EVP_MD_CTX *md;
    EVP_MAC_CTX *hmac;
    struct keyed keyed[KEYED];
    uint8_t lot[LOT_BYTES]; /* random bytes, each used once: the first lot_n are left */
    size_t lot_n;
};
static __thread struct contexts *mine;

static void contexts_free(void *p)
{
    struct contexts *c = p;
    EVP_MD_CTX_free(c->md);
    EVP_MAC_CTX_free(c->hmac);
    for (size_t i = 0; i < KEYED; i++)
        EVP_MAC_CTX_free(c->keyed[i].hmac);
    OPENSSL_cleanse(c, sizeof(*c));
    free(c);
}

/* A hash that doesn't hash: memory gone at a thread's first login, or a broken library. There is no
 * answer that would be safe to go on with. */
static _Noreturn void broken(const char *what)
{
    log_error(NULL, "OpenSSL can't compute %s", what);
    abort();
}

static EVP_MAC_CTX *hmac_create(void)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(shared.hmac);
    if (ctx == NULL || EVP_MAC_CTX_set_params(ctx, params) != 1)
        broken("HMAC");
    return ctx;
}

static struct contexts *contexts_create(void)
{
    struct contexts *c = calloc(1, sizeof(*c));
    if (!shared.ready || c == NULL)
        broken("anything: not initialised");
    c->md = EVP_MD_CTX_new();
    if (c->md == NULL)
        broken("SHA-256");
    c->hmac = hmac_create();
    pthread_setspecific(shared.key, c);
    mine = c;
    return c;
}

static struct contexts *contexts_get(void)
{
    return mine != NULL ? mine : contexts_create();
}

bool pg_crypto_init(struct err *err)
{
    if (shared.ready)
        return true;
    shared.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    shared.md5 = EVP_MD_fetch(NULL, "MD5", NULL);
    shared.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (shared.sha256 == NULL || shared.hmac == NULL) {
        err_set(err, "OpenSSL offers no SHA-256 or no HMAC");
        pg_crypto_fini();
        return false;
    }
    if (pthread_key_create(&shared.key, contexts_free) != 0) {
        err_set(err, "no thread key is left");
        pg_crypto_fini();
        return false;
    }
    shared.ready = true;
    return true;
}

void pg_crypto_fini(void)
{
    if (mine != NULL)
        contexts_free(mine);
    mine = NULL;
    if (shared.ready)
        pthread_key_delete(shared.key);
    EVP_MD_free(shared.sha256);
    EVP_MD_free(shared.md5);
    EVP_MAC_free(shared.hmac);
    memset(&shared, 0, sizeof(shared));
}

static bool digest(const EVP_MD *md, const struct pg_piece *pieces, size_t count, uint8_t *out)
{
    EVP_MD_CTX *ctx = contexts_get()->md;
    if (EVP_DigestInit_ex2(ctx, md, NULL) != 1)
        return false;
    for (size_t i = 0; i < count; i++)
        if (EVP_DigestUpdate(ctx, pieces[i].p, pieces[i].n) != 1)
            return false;
    return EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

void pg_crypto_sha256(const void *p, size_t n, uint8_t out[PG_SHA256_BYTES])
{
    const struct pg_piece piece = {p, n};
    if (!digest(shared.sha256, &piece, 1, out))
        broken("SHA-256");
}

void pg_crypto_digest128(const void *p, size_t n, uint8_t out[16])
{
    uint8_t full[PG_SHA256_BYTES];
    pg_crypto_sha256(p, n, full);
    memcpy(out, full, 16);
}

/* key NULL: the one that the context has. */
static void hmac(EVP_MAC_CTX *ctx, const void *key, size_t key_n, const struct pg_piece *pieces,
                 size_t count, uint8_t out[PG_SHA256_BYTES])
{
    size_t n = 0;
    bool fine = EVP_MAC_init(ctx, key, key_n, NULL) == 1;
    for (size_t i = 0; fine && i < count; i++)
        fine = EVP_MAC_update(ctx, pieces[i].p, pieces[i].n) == 1;
    if (!fine || EVP_MAC_final(ctx, out, &n, PG_SHA256_BYTES) != 1 || n != PG_SHA256_BYTES)
        broken("HMAC");
}

void pg_crypto_hmac(const void *key, size_t key_n, const struct pg_piece *pieces, size_t count,
                    uint8_t out[PG_SHA256_BYTES])
{
    hmac(contexts_get()->hmac, key, key_n, pieces, count, out);
}

void pg_crypto_hmac_kept(const uint8_t key[PG_SHA256_BYTES], const struct pg_piece *pieces,
                         size_t count, uint8_t out[PG_SHA256_BYTES])
{
    struct keyed *k = &contexts_get()->keyed[key[0] % KEYED];
    if (k->hmac == NULL)
        k->hmac = hmac_create();
    bool same = k->ready && pg_crypto_equal(k->key, key, PG_SHA256_BYTES);
    if (!same)
        memcpy(k->key, key, PG_SHA256_BYTES);
    k->ready = true;
    hmac(k->hmac, same ? NULL : key, same ? 0 : PG_SHA256_BYTES, pieces, count, out);
}

bool pg_crypto_md5_hex(const struct pg_piece *pieces, size_t count, char out[PG_MD5_HEX_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t raw[16];
    if (shared.md5 == NULL || !digest(shared.md5, pieces, count, raw))
        return false;
    for (size_t i = 0; i < sizeof(raw); i++) {
        out[2 * i] = hex[raw[i] >> 4];
        out[2 * i + 1] = hex[raw[i] & 15];
    }
    out[2 * sizeof(raw)] = '\0';
    return true;
}

bool pg_crypto_pbkdf2(const void *password, size_t n, const uint8_t *salt, size_t salt_n,
                      uint32_t iterations, uint8_t out[PG_SHA256_BYTES])
{
    if (n > INT32_MAX || salt_n > INT32_MAX || iterations == 0 || iterations > INT32_MAX)
        return false;
    return PKCS5_PBKDF2_HMAC(n == 0 ? "" : password, (int)n, salt, (int)salt_n, (int)iterations,
                             shared.sha256, (int)PG_SHA256_BYTES, out) == 1;
}

/* ---- base64 ---------------------------------------------------------------------------------
 * OpenSSL's EncodeBlock does the encoding. Its DecodeBlock strips white space and hides how much
 * of the end was padding, so what it may see is checked first. */

size_t pg_crypto_base64_encode(const void *p, size_t n, char *out)
{
    return (size_t)EVP_EncodeBlock((unsigned char *)out, p, (int)n);
}

static bool is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

bool pg_crypto_base64_decode(const char *text, size_t n, uint8_t *out, size_t cap, size_t *out_n)
{
    uint8_t raw[3 * 512];
    size_t pad = 0;
    while (pad < 2 && pad < n && text[n - 1 - pad] == '=')
        pad++;
    for (size_t i = 0; i < n - pad; i++)
        if (!is_base64(text[i]))
            return false;
    if (n % 4 != 0 || n / 4 * 3 > sizeof(raw) || n / 4 * 3 - pad > cap)
        return false;
    if (n != 0 && EVP_DecodeBlock(raw, (const unsigned char *)text, (int)n) != (int)(n / 4 * 3))
        return false;
    *out_n = n / 4 * 3 - pad;
    if (*out_n != 0)
        memcpy(out, raw, *out_n);
    OPENSSL_cleanse(raw, n / 4 * 3);
    return true;
}

/* In lots: a generator's round costs many times the 18 bytes of a nonce. */
bool pg_crypto_random(void *out, size_t n)
{
    struct contexts *c = contexts_get();
    if (n > LOT_BYTES)
        return n <= INT32_MAX && RAND_bytes(out, (int)n) == 1;
    if (c->lot_n < n) {
        c->lot_n = 0;
        if (RAND_bytes(c->lot, LOT_BYTES) != 1)
            return false;
        c->lot_n = LOT_BYTES;
    }
    c->lot_n -= n;
    memcpy(out, c->lot + c->lot_n, n);
    pg_crypto_wipe(c->lot + c->lot_n, n);
    return true;
}

bool pg_crypto_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void pg_crypto_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}
