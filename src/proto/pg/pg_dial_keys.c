/* SPDX-License-Identifier: ISC
 * See pg_dial_keys.h.
 */
#include "config.h"

#include "proto/pg/pg_dial_keys.h"

#include "proto/pg/pg_secret.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof((struct server_keys *)0)->k[0].value > PG_BASE64_BYTES(PG_SHA256_BYTES),
               "a key fits");

/* The key must be this secret's: sent to a server with another, it would only fail there. */
static bool belongs(const struct pg_scram_secret *s, const uint8_t *client_key)
{
    uint8_t stored[PG_SHA256_BYTES];
    pg_crypto_sha256(client_key, PG_SHA256_BYTES, stored);
    return pg_crypto_equal(stored, s->stored_key, sizeof stored);
}

static void put_key(struct server_keys *out, size_t i, const char *name, const uint8_t *key)
{
    snprintf(out->k[i].name, sizeof out->k[i].name, "%s", name);
    pg_crypto_base64_encode(key, PG_SHA256_BYTES, out->k[i].value);
}

enum keys_kind pg_dial_keys(const char *secret, const struct login_proof *proof,
                            struct server_keys *out)
{
    struct pg_scram_secret s;
    memset(out, 0, sizeof *out);
    switch (pg_secret_kind_of(secret)) {
    case PG_SECRET_PLAIN:
        break;
    case PG_SECRET_MD5:
        snprintf(out->k[0].name, sizeof out->k[0].name, "md5_secret");
        snprintf(out->k[0].value, sizeof out->k[0].value, "%s", secret);
        return KEYS_FOUND;
    case PG_SECRET_SCRAM:
        if (proof == NULL || proof->n != PG_SHA256_BYTES || !pg_secret_parse_scram(secret, &s) ||
            !belongs(&s, proof->key))
            return KEYS_NONE;
        put_key(out, 0, "scram_client_key", proof->key);
        put_key(out, 1, "scram_server_key", s.server_key);
        pg_crypto_wipe(&s, sizeof s);
        return KEYS_FOUND;
    }
    return KEYS_PASSWORD;
}

bool pg_dial_is_libpqs(const char *key)
{
    return strcmp(key, "connect_query") != 0 && strcmp(key, "md5_secret") != 0 &&
           strcmp(key, "scram_client_key") != 0 && strcmp(key, "scram_server_key") != 0;
}
