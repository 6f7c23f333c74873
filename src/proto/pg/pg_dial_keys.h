/* SPDX-License-Identifier: ISC
 * What a stored secret gives for logging in to a server where the password isn't known: the md5
 * hash itself, or a SCRAM secret's ServerKey together with the ClientKey that a client's proof
 * revealed. It works where the server holds the same secret. As texts, ready to be parameters of
 * pg_dial_raw.h; secret, to be wiped.
 */
#ifndef WEIR_PROTO_PG_DIAL_KEYS_H
#define WEIR_PROTO_PG_DIAL_KEYS_H

#include <stdbool.h>
#include <stdint.h>

struct pg_keys {
    char client_key[48], server_key[48]; /* base64, or "" */
    char md5_secret[36];                 /* "md5...", or "" */
};

enum pg_keys_from {
    PG_KEYS_NONE,     /* a SCRAM secret without the key that belongs to it */
    PG_KEYS_PASSWORD, /* the secret is a password */
    PG_KEYS_FOUND,    /* `out` is filled in */
};

/* `client_key`: 32 bytes, or NULL. */
enum pg_keys_from pg_keys_of(const char *secret, const uint8_t *client_key, struct pg_keys *out);

#endif
