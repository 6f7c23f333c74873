/* SPDX-License-Identifier: ISC
 * What weir knows of a user's password: plain text, PostgreSQL's md5 hash, or a SCRAM-SHA-256
 * secret; and the arithmetic between them. Also the secrets of users that don't exist, which must
 * look the same from outside, and the cache that lets a storm of logins pay PBKDF2 once.
 *
 * What it is not: a store of users (conf/ and the caller have that) or a protocol.
 * Any thread; only struct pg_verifiers is shared, under its own lock, which is never held during
 * a derivation. Passwords are wiped where they were copied.
 */
#ifndef WEIR_PROTO_PG_SECRET_H
#define WEIR_PROTO_PG_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/pg/pg_crypto.h"
#include "proto/pg/pg_msg.h"

#define PG_SCRAM_SALT_BYTES         16u /* of secrets made here */
#define PG_SCRAM_SALT_MAX           64u /* of secrets made elsewhere */
#define PG_SCRAM_ITERATIONS_DEFAULT 4096u
#define PG_SCRAM_ITERATIONS_MAX     10000000u

enum pg_secret_kind { PG_SECRET_PLAIN, PG_SECRET_MD5, PG_SECRET_SCRAM };

const char *pg_secret_kind_name(enum pg_secret_kind kind);
/* Told from its form, as PostgreSQL does. */
enum pg_secret_kind pg_secret_kind_of(const char *secret);
/* The same question where only this kind matters: nothing has to be decoded for it. */
bool pg_secret_is_md5(const char *secret);

struct pg_scram_secret {
    uint32_t iterations;
    uint32_t salt_n;
    uint8_t salt[PG_SCRAM_SALT_MAX];
    uint8_t stored_key[PG_SHA256_BYTES];
    uint8_t server_key[PG_SHA256_BYTES];
};

/* Room for a printed secret with its NUL. */
#define PG_SCRAM_SECRET_TEXT_BYTES 224u

/* "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>" */
PG_MUST bool pg_secret_parse_scram(const char *text, struct pg_scram_secret *out);
void pg_secret_print_scram(const struct pg_scram_secret *s, char out[PG_SCRAM_SECRET_TEXT_BYTES]);

/* PBKDF2(SASLprep(password)); a password that SASLprep refuses counts as its raw bytes, as in
 * PostgreSQL. Costs milliseconds. `out` is SaltedPassword. */
PG_MUST bool pg_secret_salt_password(struct pg_view password, const uint8_t *salt, size_t salt_n,
                                     uint32_t iterations, uint8_t out[PG_SHA256_BYTES]);
/* Derive StoredKey and ServerKey for the salt and iterations already set in `s`. */
PG_MUST bool pg_secret_derive_scram(struct pg_view password, struct pg_scram_secret *s);
/* A secret with a fresh salt: what PostgreSQL's CREATE ROLE would store. */
PG_MUST bool pg_secret_make_scram(struct pg_view password, uint32_t iterations,
                                  struct pg_scram_secret *out);

/* The secret of a user who can't log in: always the same for the same name, and no password fits.
 */
void pg_secret_mock_scram(const char *user, uint32_t iterations, struct pg_scram_secret *out);
/* What the mock secrets hang on. Random per process unless set; set it (once, before any login) to
 * something lasting and secret, lest a restart tells made-up salts from stored ones. */
void pg_secret_set_mock_key(const void *p, size_t n);

/* "md5" + md5(password user), as PostgreSQL stores it; `out` has room for 36. */
PG_MUST bool pg_secret_print_md5(struct pg_view password, const char *user, char out[36]);

/* Derived keys by user, shared by all workers. Bounded; the oldest goes first. */
struct pg_verifiers;
struct pg_verifiers *pg_verifiers_create(uint32_t max_entries);
void pg_verifiers_destroy(struct pg_verifiers **v);
/* The SCRAM secret that belongs to a user's plain password: from the cache when the password is
 * still the one it was derived from, else derived now and kept. Its salt is the user's mock salt,
 * so a user who comes into being keeps the salt that strangers saw. A control thread may call this
 * for every plain password after (re)loading, so that no login on a worker ever waits for PBKDF2.
 */
PG_MUST bool pg_verifiers_get(struct pg_verifiers *v, const char *user, struct pg_view password,
                              uint32_t iterations, struct pg_scram_secret *out);
/* Does the password fit a stored SCRAM secret? Right ones are remembered, wrong ones cost PBKDF2.
 */
bool pg_verifiers_fits(struct pg_verifiers *v, const char *user, struct pg_view password,
                       const struct pg_scram_secret *secret);

#endif
