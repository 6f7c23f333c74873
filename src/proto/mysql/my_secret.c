/* SPDX-License-Identifier: ISC
 * See my_secret.h.
 */
#include "config.h"

#include "proto/mysql/my_secret.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NATIVE_CHARS (1u + 2u * MY_SHA1_BYTES)

/* ---- kinds ---- */

static bool is_hex(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isxdigit((unsigned char)p[i]))
            return false;
    return true;
}

enum my_secret_kind my_secret_kind_of(const char *secret)
{
    size_t n = strlen(secret);
    if (n == NATIVE_CHARS && secret[0] == '*' && is_hex(secret + 1, n - 1))
        return MY_SECRET_NATIVE;
    if (n == MY_SHA_CRYPT_CHARS && strncmp(secret, "$A$", 3) == 0 && is_hex(secret + 3, 3) &&
        secret[6] == '$')
        return MY_SECRET_CRYPT;
    return MY_SECRET_PLAIN;
}

static atomic_uint kinds_seen;

void my_secret_note(enum my_secret_kind kind)
{
    unsigned bit = 1u << kind;
    if ((atomic_load_explicit(&kinds_seen, memory_order_relaxed) & bit) == 0)
        atomic_fetch_or(&kinds_seen, bit);
}

static pthread_once_t mock_once = PTHREAD_ONCE_INIT;
static uint8_t mock_key[MY_SHA256_BYTES];

static void mock_make(void)
{
    /* Not knowing it, a stranger can't compute which kind a user would pretend to have. */
    uint64_t number[2];
    if (my_salt_number(&number[0]) && my_salt_number(&number[1]))
        my_sha256(number, sizeof number, mock_key);
}

enum my_secret_kind my_secret_mock_kind(const char *user)
{
    enum my_secret_kind among[MY_SECRET_KINDS];
    unsigned seen = atomic_load_explicit(&kinds_seen, memory_order_relaxed), n = 0;
    for (unsigned k = 0; k < MY_SECRET_KINDS; k++)
        if ((seen & 1u << k) != 0)
            among[n++] = (enum my_secret_kind)k;
    if (n < 2)
        return n == 1 ? among[0] : MY_SECRET_PLAIN;
    (void)pthread_once(&mock_once, mock_make);
    uint8_t both[2 * MY_SHA256_BYTES], digest[MY_SHA256_BYTES];
    memcpy(both, mock_key, sizeof mock_key);
    my_sha256(user, strlen(user), both + MY_SHA256_BYTES);
    my_sha256(both, sizeof both, digest);
    return among[digest[0] % n];
}

/* ---- the cache of what `$A$` stands for ---------------------------------------------------------
 * Open addressing without chains: a secret has one place, and the newest comer takes it. */

#define CACHE_SLOTS 4096u

struct cached {
    uint8_t key[MY_SHA256_BYTES]; /* SHA256(secret) */
    uint8_t stored[MY_SHA256_BYTES];
    bool used;
};

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cached *cache; /* under the lock, and NULL until the first entry */

static size_t cache_at(const uint8_t key[MY_SHA256_BYTES])
{
    return ((size_t)key[0] | (size_t)key[1] << 8) % CACHE_SLOTS;
}

static bool cache_find(const char *secret, uint8_t stored[MY_SHA256_BYTES])
{
    uint8_t key[MY_SHA256_BYTES];
    my_sha256(secret, strlen(secret), key);
    pthread_mutex_lock(&cache_lock);
    const struct cached *e = cache != NULL ? &cache[cache_at(key)] : NULL;
    bool found = e != NULL && e->used && CRYPTO_memcmp(e->key, key, sizeof key) == 0;
    if (found)
        memcpy(stored, e->stored, sizeof e->stored);
    pthread_mutex_unlock(&cache_lock);
    return found;
}

static void cache_add(const char *secret, const char *password, size_t n)
{
    struct cached e = {.used = true};
    uint8_t once[MY_SHA256_BYTES];
    my_sha256(secret, strlen(secret), e.key);
    my_sha256(password, n, once);
    my_sha256(once, sizeof once, e.stored);
    OPENSSL_cleanse(once, sizeof once);
    pthread_mutex_lock(&cache_lock);
    if (cache == NULL)
        cache = calloc(CACHE_SLOTS, sizeof *cache);
    if (cache != NULL)
        cache[cache_at(e.key)] = e;
    pthread_mutex_unlock(&cache_lock);
}

void my_secret_forget(void)
{
    pthread_mutex_lock(&cache_lock);
    if (cache != NULL)
        OPENSSL_cleanse(cache, CACHE_SLOTS * sizeof *cache);
    free(cache);
    cache = NULL;
    pthread_mutex_unlock(&cache_lock);
    atomic_store(&kinds_seen, 0);
}

/* ---- arithmetic ---- */

bool my_secret_sha2(const char *secret, uint8_t stored[MY_SHA256_BYTES])
{
    uint8_t once[MY_SHA256_BYTES];
    switch (my_secret_kind_of(secret)) {
    case MY_SECRET_PLAIN:
        my_sha256(secret, strlen(secret), once);
        my_sha256(once, sizeof once, stored);
        OPENSSL_cleanse(once, sizeof once);
        return true;
    case MY_SECRET_CRYPT:
        return cache_find(secret, stored);
    case MY_SECRET_NATIVE:
        break;
    }
    return false;
}

static void native_of(const char *password, size_t n, uint8_t stored[MY_SHA1_BYTES])
{
    uint8_t once[MY_SHA1_BYTES];
    my_sha1(password, n, once);
    my_sha1(once, sizeof once, stored);
    OPENSSL_cleanse(once, sizeof once);
}

static void hex_bytes(const char *hex, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(OPENSSL_hexchar2int((unsigned char)hex[2 * i]) << 4 |
                           OPENSSL_hexchar2int((unsigned char)hex[2 * i + 1]));
}

bool my_secret_native(const char *secret, uint8_t stored[MY_SHA1_BYTES])
{
    switch (my_secret_kind_of(secret)) {
    case MY_SECRET_PLAIN:
        native_of(secret, strlen(secret), stored);
        return true;
    case MY_SECRET_NATIVE:
        hex_bytes(secret + 1, stored, MY_SHA1_BYTES);
        return true;
    case MY_SECRET_CRYPT:
        break;
    }
    return false;
}

/* Digests of both, so that the length shows no more than the rest. */
static bool plain_fits(const char *secret, const char *password, size_t n)
{
    uint8_t a[MY_SHA256_BYTES], b[MY_SHA256_BYTES];
    my_sha256(secret, strlen(secret), a);
    my_sha256(password, n, b);
    bool same = CRYPTO_memcmp(a, b, sizeof a) == 0;
    OPENSSL_cleanse(a, sizeof a);
    OPENSSL_cleanse(b, sizeof b);
    return same;
}

bool my_secret_fits(const char *secret, enum my_secret_kind kind, const char *password, size_t n)
{
    static const char nobody[] = "$A$005$weirweirweirweirweir"
                                 "...........................................";
    uint8_t stored[MY_SHA1_BYTES], shown[MY_SHA1_BYTES];
    switch (kind) {
    case MY_SECRET_PLAIN:
        return plain_fits(secret != NULL ? secret : "", password, n) && secret != NULL;
    case MY_SECRET_NATIVE:
        native_of(password, n, shown);
        return secret != NULL && my_secret_native(secret, stored) &&
               CRYPTO_memcmp(stored, shown, sizeof shown) == 0;
    case MY_SECRET_CRYPT:
        break;
    }
    if (!my_sha_crypt_verify(secret != NULL ? secret : nobody, password, n) || secret == NULL)
        return false;
    cache_add(secret, password, n);
    return true;
}

/* ---- for server logins ---- */

static void put_key(struct server_keys *out, const char *name, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    (void)snprintf(out->k[0].name, sizeof out->k[0].name, "%s", name);
    for (size_t i = 0; i < n; i++) {
        out->k[0].value[2 * i] = digits[p[i] >> 4];
        out->k[0].value[2 * i + 1] = digits[p[i] & 15];
    }
}

enum keys_kind my_secret_keys(const char *secret, const struct login_proof *proof,
                              struct server_keys *out)
{
    uint8_t stored[MY_SHA1_BYTES], shown[MY_SHA1_BYTES];
    memset(out, 0, sizeof *out);
    switch (my_secret_kind_of(secret)) {
    case MY_SECRET_PLAIN:
        return KEYS_PASSWORD;
    case MY_SECRET_NATIVE:
        if (proof == NULL || proof->n != MY_SHA1_BYTES)
            break;
        my_sha1(proof->key, MY_SHA1_BYTES, shown);
        if (!my_secret_native(secret, stored) || CRYPTO_memcmp(stored, shown, sizeof shown) != 0)
            break;
        put_key(out, "native_sha1", proof->key, MY_SHA1_BYTES);
        return KEYS_FOUND;
    case MY_SECRET_CRYPT:
        if (proof == NULL || proof->n != MY_SHA256_BYTES)
            break;
        put_key(out, "sha2_sha256", proof->key, MY_SHA256_BYTES);
        return KEYS_FOUND;
    }
    return KEYS_NONE;
}
