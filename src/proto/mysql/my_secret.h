/* SPDX-License-Identifier: ISC
 * What weir knows of a MySQL user's password (the password, SHA1(SHA1(password)) as `*HEX`, or
 * MySQL's `$A$005$...`), whether an answer fits it, and what of it serves for another server.
 *
 * Also the cache that lets a user of `$A$` log in by caching_sha2_password's short exchange after
 * the first long one, as the server has it; and how unknown users are to be asked, who must look
 * as the known ones do.
 *
 * What it is not: a store of users or a protocol. Any thread. Comparisons take constant time.
 * Follows "Caching_sha2_password information" and "Native Authentication" of MySQL's source
 * documentation.
 */
#ifndef WEIR_PROTO_MYSQL_MY_SECRET_H
#define WEIR_PROTO_MYSQL_MY_SECRET_H

#include "proto/mysql/my_crypt.h"
#include "proto/proto_login.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum my_secret_kind { MY_SECRET_PLAIN, MY_SECRET_NATIVE, MY_SECRET_CRYPT };
#define MY_SECRET_KINDS 3

/* Told from its form, as auth_file tells it. */
enum my_secret_kind my_secret_kind_of(const char *secret);

/* Remember that there are users with secrets of this kind. */
void my_secret_note(enum my_secret_kind kind);
/* The kind that a user who doesn't exist pretends to have: one that others have; always the same
 * for the same name. */
enum my_secret_kind my_secret_mock_kind(const char *user);

/* SHA256(SHA256(password)) of a secret that gives it: a plain one, or one whose password was seen
 * before. false: not known, the password must be asked for. */
bool my_secret_sha2(const char *secret, uint8_t stored[MY_SHA256_BYTES]);
/* SHA1(SHA1(password)) of a plain or native secret. false: the secret doesn't give it. */
bool my_secret_native(const char *secret, uint8_t stored[MY_SHA1_BYTES]);

/* Is it the password? Some milliseconds for MY_SECRET_CRYPT, also with `secret` NULL (of a user who
 * doesn't exist, of that kind). */
bool my_secret_fits(const char *secret, enum my_secret_kind kind, const char *password, size_t n);

/* server_ops.keys: see there. `proof` must be of a login by this secret. */
enum keys_kind my_secret_keys(const char *secret, const struct login_proof *proof,
                              struct server_keys *out);

/* Forget what was seen, for tests. */
void my_secret_forget(void);

#endif
