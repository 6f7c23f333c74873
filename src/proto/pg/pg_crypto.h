/* SPDX-License-Identifier: ISC
 * The few primitives that logging in needs, as thin wrappers over OpenSSL.
 *
 * Algorithms are fetched once and contexts kept per thread: looking them up by name, as OpenSSL 3's
 * one-call functions do, costs several times the hash itself. Any thread; each thread's contexts go
 * with the thread. pg_crypto_init() comes before everything else here, once, on the main thread.
 * A failure inside an initialised context can't be told from a broken library and ends the program.
 */
#ifndef WEIR_PROTO_PG_CRYPTO_H
#define WEIR_PROTO_PG_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PG_SHA256_BYTES  32u
#define PG_MD5_HEX_BYTES 33u /* with its NUL */

/* Room for the base64 text of n bytes, without a NUL. */
#define PG_BASE64_BYTES(n) ((((size_t)(n) + 2) / 3) * 4)

__attribute__((warn_unused_result)) bool pg_crypto_init(struct err *err);
/* Frees the shared part and this thread's contexts; for tests and a clean end. */
void pg_crypto_fini(void);

void pg_crypto_sha256(const void *p, size_t n, uint8_t out[PG_SHA256_BYTES]);
/* SHA-256 cut to 128 bits: the identity of a statement's text. */
void pg_crypto_digest128(const void *p, size_t n, uint8_t out[16]);

/* A piece of a message to be hashed as if all pieces stood together. */
struct pg_piece {
    const void *p;
    size_t n;
};
void pg_crypto_hmac(const void *key, size_t key_n, const struct pg_piece *pieces, size_t count,
                    uint8_t out[PG_SHA256_BYTES]);
/* The same with a key that will come again soon: the thread keeps a few of them, set up, until it
 * ends or others take their place. */
void pg_crypto_hmac_kept(const uint8_t key[PG_SHA256_BYTES], const struct pg_piece *pieces,
                         size_t count, uint8_t out[PG_SHA256_BYTES]);
/* False when OpenSSL has no MD5 (FIPS mode). */
__attribute__((warn_unused_result)) bool
pg_crypto_md5_hex(const struct pg_piece *pieces, size_t count, char out[PG_MD5_HEX_BYTES]);
/* PBKDF2 with HMAC-SHA-256: milliseconds, on purpose. */
__attribute__((warn_unused_result)) bool pg_crypto_pbkdf2(const void *password, size_t n,
                                                          const uint8_t *salt, size_t salt_n,
                                                          uint32_t iterations,
                                                          uint8_t out[PG_SHA256_BYTES]);

/* Encode; `out` has room for PG_BASE64_BYTES(n) + 1, a NUL is added. Returns the length. */
size_t pg_crypto_base64_encode(const void *p, size_t n, char *out);
/* Decode strictly: no white space, padding complete. False when malformed or larger than cap. */
__attribute__((warn_unused_result)) bool
pg_crypto_base64_decode(const char *text, size_t n, uint8_t *out, size_t cap, size_t *out_n);

/* Cryptographically random; false when the system has none to give. */
__attribute__((warn_unused_result)) bool pg_crypto_random(void *out, size_t n);
/* Compare in a time that depends on n only. */
bool pg_crypto_equal(const void *a, const void *b, size_t n);
/* Overwrite so that the compiler can't leave it out. */
void pg_crypto_wipe(void *p, size_t n);

#endif
