/* SPDX-License-Identifier: ISC
 * TLS to a server for logins that weir makes itself: libpq's parameters, OpenSSL underneath.
 *
 * Contexts are shared by all connections with the same parameters and unchanged files, behind a
 * lock; a session belongs to one thread at a time. What it is not: the relay's TLS (net/).
 */
#ifndef WEIR_PROTO_DIAL_DIAL_TLS_H
#define WEIR_PROTO_DIAL_DIAL_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ssl_st;

enum dial_sslmode {
    DIAL_SSL_DISABLE,
    DIAL_SSL_ALLOW,
    DIAL_SSL_PREFER,
    DIAL_SSL_REQUIRE,
    DIAL_SSL_VERIFY_CA,
    DIAL_SSL_VERIFY_FULL,
};

/* By libpq's name; false: there is none such. */
bool dial_sslmode_of(const char *name, enum dial_sslmode *out);

/* libpq's parameters of the same names; absent ones are NULL. */
struct dial_tls {
    enum dial_sslmode mode;
    const char *host; /* for SNI and verify-full; NULL or "" when only an address is known */
    const char *sslrootcert, *sslcrl, *sslcrldir, *sslcert, *sslkey;
    const char *min_version, *max_version;
    bool no_sni;
};

enum dial_tls_step { DIAL_TLS_READ, DIAL_TLS_WRITE, DIAL_TLS_DONE, DIAL_TLS_FAILED };

/* A session on the connected descriptor, which stays the caller's. NULL: `e` says why. */
struct ssl_st *dial_tls_create(const struct dial_tls *t, int fd, struct err *e);
/* On DONE the certificate was verified as far as the mode asks for it. */
enum dial_tls_step dial_tls_handshake(struct ssl_st *ssl, struct err *e);
/* tls-server-end-point of the server's certificate; 0: it has none that is defined. */
size_t dial_tls_binding(struct ssl_st *ssl, uint8_t out[64]);
/* SSL_read and SSL_write with AGAIN told apart: DONE sets *done, which is 0 at the end of the
 * stream. */
enum dial_tls_step dial_tls_read(struct ssl_st *ssl, void *to, size_t room, size_t *done);
enum dial_tls_step dial_tls_write(struct ssl_st *ssl, const void *p, size_t n, size_t *done);
/* Free it; nothing is sent. */
void dial_tls_destroy(struct ssl_st **ssl);

#endif
