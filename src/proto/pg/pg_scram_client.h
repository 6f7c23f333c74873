/* SPDX-License-Identifier: ISC
 * The client's side of SCRAM-SHA-256(-PLUS): for logging in to a server with a password, or with
 * the keys alone where the password was never known (a client's ClientKey and a stored secret).
 *
 *   create -> client-first -> SENT_FIRST --server-first--> SENT_FINAL --server-final--> DONE
 *
 * What it is not: a connection. One login, one thread. Trusts nothing that the server says: salt
 * and iterations are bounded, and DONE means that the server proved to know the secret too.
 */
#ifndef WEIR_PROTO_PG_SCRAM_CLIENT_H
#define WEIR_PROTO_PG_SCRAM_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/pg/pg_secret.h"

struct pg_scram_client_config {
    struct pg_view password;   /* absent: use the keys; must live until server-first */
    const uint8_t *client_key; /* 32 bytes, copied */
    const uint8_t *server_key; /* 32 bytes, copied */
    /* What the gs2 header says: 'n' no channel binding, 'y' could but the server doesn't offer it,
     * 'p' bound to the hash of the server's certificate (then choose SCRAM-SHA-256-PLUS). */
    char binding_flag;
    const uint8_t *binding; /* copied */
    size_t binding_n;
};

struct pg_scram_client;

/* `nonce` is for test vectors, else NULL. NULL when out of memory or randomness. */
struct pg_scram_client *pg_scram_client_create(const struct pg_scram_client_config *config,
                                               const char *nonce);
void pg_scram_client_destroy(struct pg_scram_client **c);

/* The client-first-message. The view is valid until the next call. */
struct pg_view pg_scram_client_first(struct pg_scram_client *c);
/* server-first-message in, client-final-message out. With a password this costs PBKDF2. */
PG_MUST bool pg_scram_client_on_first(struct pg_scram_client *c, const void *msg, size_t n,
                                      struct pg_view *out, struct err *err);
/* server-final-message in; true: the server is the right one. */
PG_MUST bool pg_scram_client_on_final(struct pg_scram_client *c, const void *msg, size_t n,
                                      struct err *err);

#endif
