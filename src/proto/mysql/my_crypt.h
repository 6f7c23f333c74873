/* SPDX-License-Identifier: ISC
 * The arithmetic of MySQL's password plugins. Pure but for OpenSSL's random numbers; any thread.
 *
 *   mysql_native_password   answer = SHA1(pw) XOR SHA1(salt, SHA1(SHA1(pw)))
 *   caching_sha2_password   answer = SHA256(pw) XOR SHA256(SHA256(SHA256(pw)), salt), or the
 *                           password itself: on a safe way, or encrypted with the server's key
 *
 * Who verifies an answer learns SHA1(pw) or SHA256(pw), with which it can answer another server:
 * so a proxy that stores no password can log in as its client. Comparisons take constant time.
 * Salts are MY_SALT_BYTES long. Follows MySQL's source documentation, "Authentication Methods".
 */
#ifndef WEIR_PROTO_MYSQL_MY_CRYPT_H
#define WEIR_PROTO_MYSQL_MY_CRYPT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MY_SHA1_BYTES   20u
#define MY_SHA256_BYTES 32u

void my_sha1(const void *p, size_t n, uint8_t out[MY_SHA1_BYTES]);
void my_sha256(const void *p, size_t n, uint8_t out[MY_SHA256_BYTES]);

/* A number for a connection, from which its salt is made whenever it is needed: COM_CHANGE_USER may
 * come hours after the greeting. false: no random numbers. */
bool my_salt_number(uint64_t *number);
/* Its salt, which nobody outside of this process can foresee, in bytes that no client stumbles
 * over: printable, no space. */
void my_salt(uint64_t number, uint8_t salt[20]);

/* The answer to `salt` of who knows `hash` = SHA1(pw). */
void my_native_answer(const uint8_t hash[MY_SHA1_BYTES], const uint8_t salt[20],
                      uint8_t answer[MY_SHA1_BYTES]);
/* Is it the answer of who knows a password with SHA1(SHA1(pw)) = `stored`? `hash` gets SHA1(pw). */
bool my_native_verify(const uint8_t stored[MY_SHA1_BYTES], const uint8_t salt[20],
                      const uint8_t answer[MY_SHA1_BYTES], uint8_t hash[MY_SHA1_BYTES]);

void my_sha2_answer(const uint8_t hash[MY_SHA256_BYTES], const uint8_t salt[20],
                    uint8_t answer[MY_SHA256_BYTES]);
/* `stored` = SHA256(SHA256(pw)). */
bool my_sha2_verify(const uint8_t stored[MY_SHA256_BYTES], const uint8_t salt[20],
                    const uint8_t answer[MY_SHA256_BYTES], uint8_t hash[MY_SHA256_BYTES]);

/* Does `secret`, MySQL's `$A$005$` with 20 bytes of salt and 43 characters, belong to this
 * password? Five thousand rounds: some milliseconds; the three digits, hexadecimal, are thousands
 * of them, and `FFF` takes half a second. */
bool my_sha_crypt_verify(const char *secret, const char *password, size_t n);
#define MY_SHA_CRYPT_CHARS 70u /* of such a secret */

/* RSA for a password on an unsafe way. weir's own key pair is made when it is first asked for. */
/* Its public half as PEM; NULL: it could not be made. Lives as long as the process. */
const char *my_rsa_pem(void);
/* Decrypt what a client sent; `out` has the password without its NUL, NUL-terminated, to be wiped.
 * false: not ours, or too long for `room`. */
bool my_rsa_decrypt(const uint8_t *p, size_t n, const uint8_t salt[20], char *out, size_t room);
/* Encrypt with a server's key (PEM, `pem_n` bytes); appended to `out`. */
bool my_rsa_encrypt(const char *pem, size_t pem_n, const char *password, const uint8_t salt[20],
                    struct buf *out);

#endif
