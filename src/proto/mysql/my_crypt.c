/* SPDX-License-Identifier: ISC
 * See my_crypt.h.
 */
#include "config.h"

#include "proto/mysql/my_crypt.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <string.h>

#define SALT             20u
#define SHA_CRYPT_HEAD   7u /* "$A$005$" */
#define SHA_CRYPT_HASH   43u
#define SHA_CRYPT_FACTOR 1000u
#define RSA_BITS         2048u
#define PASSWORD_MAX     512u

static void digest(const EVP_MD *md, const void *a, size_t an, const void *b, size_t bn,
                   uint8_t *out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestInit_ex(ctx, md, NULL) != 1 || EVP_DigestUpdate(ctx, a, an) != 1 ||
        (bn != 0 && EVP_DigestUpdate(ctx, b, bn) != 1) || EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        memset(out, 0, (size_t)EVP_MD_get_size(md)); /* out of memory: nothing will match */
    EVP_MD_CTX_free(ctx);
}

void my_sha1(const void *p, size_t n, uint8_t out[MY_SHA1_BYTES])
{
    digest(EVP_sha1(), p, n, NULL, 0, out);
}

void my_sha256(const void *p, size_t n, uint8_t out[MY_SHA256_BYTES])
{
    digest(EVP_sha256(), p, n, NULL, 0, out);
}

static pthread_once_t salt_once = PTHREAD_ONCE_INIT;
static uint8_t salt_key[MY_SHA256_BYTES];
static bool salt_ready;

static void salt_make_key(void)
{
    salt_ready = RAND_bytes(salt_key, sizeof salt_key) == 1;
}

bool my_salt_number(uint64_t *number)
{
    (void)pthread_once(&salt_once, salt_make_key);
    return salt_ready && RAND_bytes((unsigned char *)number, sizeof *number) == 1;
}

void my_salt(uint64_t number, uint8_t salt[SALT])
{
    uint8_t raw[MY_SHA256_BYTES];
    digest(EVP_sha256(), salt_key, sizeof salt_key, &number, sizeof number, raw);
    for (size_t i = 0; i < SALT; i++)
        salt[i] = (uint8_t)('!' + raw[i] % ('~' - '!' + 1));
}

static void xor_into(uint8_t *out, const uint8_t *a, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] ^ b[i];
}

void my_native_answer(const uint8_t hash[MY_SHA1_BYTES], const uint8_t salt[SALT],
                      uint8_t answer[MY_SHA1_BYTES])
{
    uint8_t twice[MY_SHA1_BYTES], mask[MY_SHA1_BYTES];
    my_sha1(hash, MY_SHA1_BYTES, twice);
    digest(EVP_sha1(), salt, SALT, twice, sizeof twice, mask);
    xor_into(answer, hash, mask, MY_SHA1_BYTES);
}

bool my_native_verify(const uint8_t stored[MY_SHA1_BYTES], const uint8_t salt[SALT],
                      const uint8_t answer[MY_SHA1_BYTES], uint8_t hash[MY_SHA1_BYTES])
{
    uint8_t mask[MY_SHA1_BYTES], twice[MY_SHA1_BYTES];
    digest(EVP_sha1(), salt, SALT, stored, MY_SHA1_BYTES, mask);
    xor_into(hash, answer, mask, MY_SHA1_BYTES);
    my_sha1(hash, MY_SHA1_BYTES, twice);
    return CRYPTO_memcmp(twice, stored, sizeof twice) == 0;
}

void my_sha2_answer(const uint8_t hash[MY_SHA256_BYTES], const uint8_t salt[SALT],
                    uint8_t answer[MY_SHA256_BYTES])
{
    uint8_t twice[MY_SHA256_BYTES], mask[MY_SHA256_BYTES];
    my_sha256(hash, MY_SHA256_BYTES, twice);
    digest(EVP_sha256(), twice, sizeof twice, salt, SALT, mask);
    xor_into(answer, hash, mask, MY_SHA256_BYTES);
}

bool my_sha2_verify(const uint8_t stored[MY_SHA256_BYTES], const uint8_t salt[SALT],
                    const uint8_t answer[MY_SHA256_BYTES], uint8_t hash[MY_SHA256_BYTES])
{
    uint8_t mask[MY_SHA256_BYTES], twice[MY_SHA256_BYTES];
    digest(EVP_sha256(), stored, MY_SHA256_BYTES, salt, SALT, mask);
    xor_into(hash, answer, mask, MY_SHA256_BYTES);
    my_sha256(hash, MY_SHA256_BYTES, twice);
    return CRYPTO_memcmp(twice, stored, sizeof twice) == 0;
}

/* ---- SHA-crypt ----------------------------------------------------------------------------------
 * Ulrich Drepper's "Unix crypt using SHA-256", as MySQL stores it: crypt(3) takes no salt of 20
 * bytes. */

/* `digest_of` repeated to n bytes. */
static void repeat(uint8_t *to, size_t n, const uint8_t digest_of[MY_SHA256_BYTES])
{
    for (size_t i = 0; i < n; i += MY_SHA256_BYTES)
        memcpy(to + i, digest_of, n - i < MY_SHA256_BYTES ? n - i : MY_SHA256_BYTES);
}

static bool crypt_start(EVP_MD_CTX *ctx, const char *pw, size_t n, const uint8_t *salt,
                        uint8_t a[MY_SHA256_BYTES])
{
    uint8_t b[MY_SHA256_BYTES];
    bool ok = EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(ctx, pw, n) == 1 && EVP_DigestUpdate(ctx, salt, SALT) == 1 &&
              EVP_DigestUpdate(ctx, pw, n) == 1 && EVP_DigestFinal_ex(ctx, b, NULL) == 1 &&
              EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(ctx, pw, n) == 1 && EVP_DigestUpdate(ctx, salt, SALT) == 1;
    for (size_t left = n; ok && left != 0; left -= left < sizeof b ? left : sizeof b)
        ok = EVP_DigestUpdate(ctx, b, left < sizeof b ? left : sizeof b) == 1;
    for (size_t bits = n; ok && bits != 0; bits >>= 1)
        ok = (bits & 1) != 0 ? EVP_DigestUpdate(ctx, b, sizeof b) == 1
                             : EVP_DigestUpdate(ctx, pw, n) == 1;
    return ok && EVP_DigestFinal_ex(ctx, a, NULL) == 1;
}

/* The byte sequences P and S that every round uses. */
static bool crypt_sequences(EVP_MD_CTX *ctx, const char *pw, size_t n, const uint8_t *salt,
                            uint8_t first, uint8_t *p, uint8_t s[SALT])
{
    uint8_t d[MY_SHA256_BYTES];
    bool ok = EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; ok && i < n; i++)
        ok = EVP_DigestUpdate(ctx, pw, n) == 1;
    ok = ok && EVP_DigestFinal_ex(ctx, d, NULL) == 1;
    repeat(p, n, d);
    ok = ok && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    for (unsigned i = 0; ok && i < 16u + first; i++)
        ok = EVP_DigestUpdate(ctx, salt, SALT) == 1;
    ok = ok && EVP_DigestFinal_ex(ctx, d, NULL) == 1;
    repeat(s, SALT, d);
    return ok;
}

static bool crypt_round(EVP_MD_CTX *ctx, unsigned i, const uint8_t *p, size_t n, const uint8_t *s,
                        uint8_t a[MY_SHA256_BYTES])
{
    bool odd = (i & 1) != 0;
    return EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
           EVP_DigestUpdate(ctx, odd ? p : a, odd ? n : MY_SHA256_BYTES) == 1 &&
           (i % 3 == 0 || EVP_DigestUpdate(ctx, s, SALT) == 1) &&
           (i % 7 == 0 || EVP_DigestUpdate(ctx, p, n) == 1) &&
           EVP_DigestUpdate(ctx, odd ? a : p, odd ? MY_SHA256_BYTES : n) == 1 &&
           EVP_DigestFinal_ex(ctx, a, NULL) == 1;
}

/* 32 bytes as 43 characters, in the order of that paper. */
static void crypt_encode(const uint8_t a[MY_SHA256_BYTES], char out[SHA_CRYPT_HASH])
{
    static const char set[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const uint8_t order[11][3] = {{0, 10, 20}, {21, 1, 11}, {12, 22, 2},  {3, 13, 23},
                                         {24, 4, 14}, {15, 25, 5}, {6, 16, 26},  {27, 7, 17},
                                         {18, 28, 8}, {9, 19, 29}, {255, 31, 30}};
    size_t at = 0;
    for (size_t i = 0; i < 11; i++) {
        uint32_t v = (order[i][0] == 255 ? 0 : (uint32_t)a[order[i][0]] << 16) |
                     (uint32_t)a[order[i][1]] << 8 | a[order[i][2]];
        for (int k = 0; k < (i == 10 ? 3 : 4); k++, v >>= 6)
            out[at++] = set[v & 63];
    }
}

bool my_sha_crypt_verify(const char *secret, const char *password, size_t n)
{
    uint8_t a[MY_SHA256_BYTES], s[SALT], p[PASSWORD_MAX];
    char encoded[SHA_CRYPT_HASH];
    if (strlen(secret) != MY_SHA_CRYPT_CHARS || strncmp(secret, "$A$", 3) != 0 ||
        secret[SHA_CRYPT_HEAD - 1] != '$' || n > PASSWORD_MAX)
        return false;
    unsigned factor = 0;
    for (int i = 3; i < 6; i++) {
        int digit = OPENSSL_hexchar2int((unsigned char)secret[i]);
        if (digit < 0)
            return false;
        factor = factor * 16 + (unsigned)digit;
    }
    if (factor == 0)
        return false;
    const uint8_t *salt = (const uint8_t *)secret + SHA_CRYPT_HEAD;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && crypt_start(ctx, password, n, salt, a) &&
              crypt_sequences(ctx, password, n, salt, a[0], p, s);
    for (unsigned i = 0; ok && i < factor * SHA_CRYPT_FACTOR; i++)
        ok = crypt_round(ctx, i, p, n, s, a);
    EVP_MD_CTX_free(ctx);
    OPENSSL_cleanse(p, sizeof p);
    if (!ok)
        return false;
    crypt_encode(a, encoded);
    return CRYPTO_memcmp(encoded, secret + SHA_CRYPT_HEAD + SALT, SHA_CRYPT_HASH) == 0;
}

/* ---- RSA ---- */

static pthread_once_t rsa_once = PTHREAD_ONCE_INIT;
static EVP_PKEY *rsa_key;
static char *rsa_text;

static void rsa_make(void)
{
    rsa_key = EVP_RSA_gen(RSA_BITS);
    BIO *bio = BIO_new(BIO_s_mem());
    char *p = NULL;
    if (rsa_key != NULL && bio != NULL && PEM_write_bio_PUBKEY(bio, rsa_key) == 1) {
        long n = BIO_get_mem_data(bio, &p);
        if (n > 0)
            rsa_text = OPENSSL_strndup(p, (size_t)n);
    }
    BIO_free(bio);
}

const char *my_rsa_pem(void)
{
    (void)pthread_once(&rsa_once, rsa_make);
    return rsa_text;
}

/* An RSA operation with OAEP as both MySQL and its clients set it: SHA-1 throughout. */
static EVP_PKEY_CTX *oaep(EVP_PKEY *key, bool encrypt)
{
    EVP_PKEY_CTX *ctx = key != NULL ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    if (ctx != NULL && (encrypt ? EVP_PKEY_encrypt_init(ctx) : EVP_PKEY_decrypt_init(ctx)) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

static void mask(uint8_t *p, size_t n, const uint8_t salt[SALT])
{
    for (size_t i = 0; i < n; i++)
        p[i] ^= salt[i % SALT];
}

bool my_rsa_decrypt(const uint8_t *p, size_t n, const uint8_t salt[SALT], char *out, size_t room)
{
    uint8_t clear[RSA_BITS / 8];
    size_t len = sizeof clear;
    if (my_rsa_pem() == NULL)
        return false;
    EVP_PKEY_CTX *ctx = oaep(rsa_key, false);
    bool ok = ctx != NULL && EVP_PKEY_decrypt(ctx, clear, &len, p, n) == 1 && len != 0;
    EVP_PKEY_CTX_free(ctx);
    if (ok) {
        mask(clear, len, salt);
        ok = clear[len - 1] == 0 && len <= room && memchr(clear, 0, len) == clear + len - 1;
    }
    if (ok)
        memcpy(out, clear, len);
    OPENSSL_cleanse(clear, sizeof clear);
    return ok;
}

bool my_rsa_encrypt(const char *pem, size_t pem_n, const char *password, const uint8_t salt[SALT],
                    struct buf *out)
{
    uint8_t clear[PASSWORD_MAX];
    size_t n = strlen(password) + 1, len = 0;
    if (n > sizeof clear || pem_n > 16384)
        return false;
    BIO *bio = BIO_new_mem_buf(pem, (int)pem_n);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY_CTX *ctx = oaep(key, true);
    memcpy(clear, password, n);
    mask(clear, n, salt);
    bool ok = ctx != NULL && EVP_PKEY_encrypt(ctx, NULL, &len, clear, n) == 1;
    uint8_t *to = ok ? buf_reserve(out, len) : NULL;
    ok = to != NULL && EVP_PKEY_encrypt(ctx, to, &len, clear, n) == 1;
    if (ok)
        buf_commit(out, len);
    OPENSSL_cleanse(clear, sizeof clear);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return ok;
}
