/* SPDX-License-Identifier: ISC
 * A look at what libpq is about to read in a login. It computes as many rounds of SCRAM's PBKDF2
 * (RFC 5802, i=) as the server says, on the control plane's thread: a server that lies would stop
 * the logins to all others, and the end of weir.
 *
 * Thread: that of the dialling.
 */
#ifndef WEIR_PROTO_PG_DIAL_AHEAD_H
#define WEIR_PROTO_PG_DIAL_AHEAD_H

#include <libpq-fe.h>

/* The most rounds; they take some tenths of a second. */
#define PG_AHEAD_ROUNDS_MAX 1000000u

enum pg_ahead {
    PG_AHEAD_GO,     /* nothing, or nothing wrong: PQconnectPoll() may have it */
    PG_AHEAD_WAIT,   /* a message's rest is missing: not yet */
    PG_AHEAD_ROUNDS, /* too many rounds: give up */
    PG_AHEAD_PIECES, /* the rest doesn't come: give up */
};

/* Before a PQconnectPoll() of this connection. *waits counts how often a rest was missing, from 0.
 * Consumes nothing. */
enum pg_ahead pg_dial_ahead(PGconn *conn, unsigned *waits);

#endif
