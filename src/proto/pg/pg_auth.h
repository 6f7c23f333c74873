/* SPDX-License-Identifier: ISC
 * The login of one client, from AuthenticationRequest to AuthenticationOk or ErrorResponse.
 *
 *                    .--cleartext / md5-----> PASSWORD ----.
 *   create  start   /                                       \
 *   IDLE ----------<---SASL--> SASL_INITIAL --> SASL ------->--> OK
 *                   \                                       /  \
 *                    '--trust, any, cert-------------------'    '--> FAILED
 *
 * What it is not: it has no socket, looks nobody up and never waits. While the caller asks for the
 * secret (auth_query) it simply doesn't call start; bytes of the client wait unread.
 * One login, one thread. The object lives for the login only and holds less than 512 bytes.
 * Always: a user without a secret takes the same steps, with bytes of the same form and work of
 * the same cost, as one with a wrong password. FAILED has its ErrorResponse appended, in
 * PostgreSQL's words; what it may not say (unknown user?) is in pg_auth_reason(), for the log.
 */
#ifndef WEIR_PROTO_PG_AUTH_H
#define WEIR_PROTO_PG_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/pg/pg_secret.h"

enum pg_auth_type {
    PG_AUTH_TRUST, /* no question asked; whether the user must exist is the caller's to decide */
    PG_AUTH_PLAIN, /* clear text, checked against any kind of secret */
    PG_AUTH_MD5,   /* md5, or SCRAM for a user whose secret is a SCRAM one */
    PG_AUTH_SCRAM, /* scram-sha-256, and -PLUS over TLS */
    PG_AUTH_CERT,  /* the certificate's common name is the user */
    PG_AUTH_ANY,   /* like trust; the server login uses a fixed user */
};

#define PG_AUTH_PASSWORD_MAX 65535u /* length word of a PasswordMessage: tokens are long */

enum pg_auth_outcome {
    PG_AUTH_OUT_MORE,   /* wants a further message */
    PG_AUTH_OUT_OK,     /* AuthenticationOk is appended */
    PG_AUTH_OUT_FAILED, /* ErrorResponse is appended: send it and close */
    PG_AUTH_OUT_NOMEM,  /* out of memory: close */
};

/* What is known of the client. The struct is copied, what it points to must stay valid until
 * destroy. */
struct pg_auth_facts {
    enum pg_auth_type type;
    const char *login_user; /* as the startup packet said: named in errors, hashed by md5 */
    const char *role;       /* whose secret it is: login_user without its function suffix */
    bool tls;
    const char *peer_cn;    /* common name of the verified client certificate, or NULL */
    const uint8_t *binding; /* tls-server-end-point hash of our certificate; offers -PLUS */
    size_t binding_n;
    uint32_t scram_iterations; /* for plain passwords and made-up secrets; 0: the default */
    /* How users without a secret are treated where it matters (md5, plain): as if theirs were a
     * SCRAM one. Set it when most real secrets are. */
    bool mock_scram;
    struct pg_verifiers *verifiers; /* shared; may be NULL: then everything is derived anew */
};

struct pg_auth;

/* NULL when out of memory. */
struct pg_auth *pg_auth_create(const struct pg_auth_facts *facts);
void pg_auth_destroy(struct pg_auth **a);

/* The secret is known now, or known not to be (NULL): append the request, or the verdict. `secret`
 * must stay valid until the outcome isn't MORE any more. */
PG_MUST enum pg_auth_outcome pg_auth_start(struct pg_auth *a, const char *secret, struct buf *out);

/* Look at the client's bytes. `*used` says how many were consumed: a whole message or none. MORE
 * with nothing used: more bytes are needed, at most PG_AUTH_PASSWORD_MAX + 1 of them. */
PG_MUST enum pg_auth_outcome pg_auth_feed(struct pg_auth *a, const void *p, size_t n, size_t *used,
                                          struct buf *out);

/* Will the message at p, if whole, cost a PBKDF2? */
bool pg_auth_is_heavy(const struct pg_auth *a, const void *p, size_t n);
/* After OK through SCRAM: the client's ClientKey, for logging in to servers as this user. */
bool pg_auth_client_key(const struct pg_auth *a, uint8_t out[PG_SHA256_BYTES]);
/* After FAILED: why, for the log; never a secret. "" before. */
const char *pg_auth_reason(const struct pg_auth *a);
/* How the client was, or is being, asked: "trust", "password", "md5", "scram-sha-256", ... */
const char *pg_auth_method(const struct pg_auth *a);

#endif
