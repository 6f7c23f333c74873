/* SPDX-License-Identifier: ISC
 * What a stored secret gives for logging in to a server where the password isn't known: the md5
 * hash itself, or a SCRAM secret's ServerKey together with the ClientKey that a client's proof
 * revealed. It works where the server holds the same secret. As texts, ready to be parameters of
 * pg_dial_raw.h; secret, to be wiped.
 */
#ifndef WEIR_PROTO_PG_DIAL_KEYS_H
#define WEIR_PROTO_PG_DIAL_KEYS_H

#include "proto/proto_login.h"

/* struct server_ops' keys: {"scram_client_key", "scram_server_key"} as base64, or {"md5_secret"}. A
 * proof that isn't of this secret's is none. */
enum keys_kind pg_dial_keys(const char *secret, const struct login_proof *proof,
                            struct server_keys *out);
/* Whether libpq itself is to be given this parameter: it is none of pg_dial_raw.h's own. */
bool pg_dial_is_libpqs(const char *key);

#endif
