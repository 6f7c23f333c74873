/* SPDX-License-Identifier: ISC
 * The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677, 5929), with
 * PostgreSQL's checks and PostgreSQL's words.
 *
 *   create -> FIRST --client-first--> FINAL --client-final--> DONE
 *                \______________________\______ anything wrong -> DEAD
 *
 * What it is not: it frames no messages and knows no users (pg_auth.h does). One login, one thread.
 * Always: a doomed exchange (unknown user, unusable secret) takes the same steps, hashes the same
 * bytes and fails where a wrong password fails.
 */
#ifndef WEIR_PROTO_PG_SCRAM_H
#define WEIR_PROTO_PG_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/pg/pg_secret.h"

#define PG_SCRAM_NAME         "SCRAM-SHA-256"
#define PG_SCRAM_PLUS_NAME    "SCRAM-SHA-256-PLUS"
#define PG_SCRAM_MESSAGE_MAX  1024u /* as PostgreSQL: PG_MAX_SASL_MESSAGE_LENGTH */
#define PG_SCRAM_BINDING_MAX  64u   /* a certificate hash: at most SHA-512 */
#define PG_SCRAM_BINDING_TYPE "tls-server-end-point"

enum pg_scram_result {
    PG_SCRAM_CONTINUE, /* `out` goes to the client, which answers */
    PG_SCRAM_DONE,     /* `out` goes to the client, which is who it says it is */
    PG_SCRAM_WRONG,    /* wrong password, or no such user: no telling which */
    PG_SCRAM_BAD,      /* the client broke the protocol: `fault` says how */
};

struct pg_scram_config {
    const struct pg_scram_secret *secret; /* copied */
    bool doomed;                          /* must fail, but only at the end */
    bool plus;                            /* the client chose SCRAM-SHA-256-PLUS */
    /* Hash of our certificate, when -PLUS was offered (TLS); n == 0 when not. Must outlive the
     * exchange. */
    const uint8_t *binding;
    size_t binding_n;
};

struct pg_scram;

/* NULL when out of memory or randomness. */
struct pg_scram *pg_scram_create(const struct pg_scram_config *config);
/* For test vectors: the server's nonce is given instead of drawn. */
struct pg_scram *pg_scram_create_with_nonce(const struct pg_scram_config *config,
                                            const char *nonce);
/* Keys are wiped. */
void pg_scram_destroy(struct pg_scram **s);

/* Take one message of the client. `out` (a view into `s`, valid until the next call) is set for
 * CONTINUE and DONE. */
PG_MUST enum pg_scram_result pg_scram_step(struct pg_scram *s, const void *msg, size_t n,
                                           struct pg_view *out, struct pg_fault *fault);

/* After DONE: the ClientKey that the proof gave away. With the server's SCRAM secret it is all that
 * is needed to log in there as this user. */
bool pg_scram_client_key(const struct pg_scram *s, uint8_t out[PG_SHA256_BYTES]);

#endif
