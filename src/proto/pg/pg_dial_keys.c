/* SPDX-License-Identifier: ISC
 * See pg_dial_keys.h.
 */
#include "config.h"

#include "proto/pg/pg_dial_keys.h"

#include "proto/pg/pg_secret.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof((struct pg_keys *)0)->client_key > PG_BASE64_BYTES(PG_SHA256_BYTES),
               "a key fits");

/* The key must be this secret's: sent to a server with another, it would only fail there. */
static bool belongs(const struct pg_scram_secret *s, const uint8_t *client_key)
{
    uint8_t stored[PG_SHA256_BYTES];
    pg_crypto_sha256(client_key, PG_SHA256_BYTES, stored);
    return pg_crypto_equal(stored, s->stored_key, sizeof stored);
}

enum pg_keys_from pg_keys_of(const char *secret, const uint8_t *client_key, struct pg_keys *out)
{
    struct pg_scram_secret s;
    *out = (struct pg_keys){.client_key = ""};
    switch (pg_secret_kind_of(secret)) {
    case PG_SECRET_PLAIN:
        break;
    case PG_SECRET_MD5:
        snprintf(out->md5_secret, sizeof out->md5_secret, "%s", secret);
        return PG_KEYS_FOUND;
    case PG_SECRET_SCRAM:
        if (client_key == NULL || !pg_secret_parse_scram(secret, &s) || !belongs(&s, client_key))
            return PG_KEYS_NONE;
        pg_crypto_base64_encode(client_key, PG_SHA256_BYTES, out->client_key);
        pg_crypto_base64_encode(s.server_key, PG_SHA256_BYTES, out->server_key);
        pg_crypto_wipe(&s, sizeof s);
        return PG_KEYS_FOUND;
    }
    return PG_KEYS_PASSWORD;
}
