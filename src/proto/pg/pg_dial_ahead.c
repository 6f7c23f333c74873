/* SPDX-License-Identifier: ISC
 * See pg_dial_ahead.h.
 */
#include "config.h"

#include "proto/pg/pg_dial_ahead.h"

#include "proto/pg/pg_wire.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#define AHEAD_BYTES        4096u
#define AUTH_SASL_CONTINUE 11u
/* Servers send such a message in one piece. One that doesn't is waited for a little, here. */
#define WAITS_MAX 50u
#define WAIT_MS   1

/* false: there is nothing yet. *n is 0 at an end or error, which libpq finds for itself. */
static bool peek(PGconn *conn, uint8_t *buf, size_t room, size_t *n)
{
    SSL *ssl = PQsslInUse(conn) ? PQsslStruct(conn, "OpenSSL") : NULL;
    *n = 0;
    if (ssl == NULL) {
        ssize_t got = recv(PQsocket(conn), buf, room, MSG_PEEK | MSG_DONTWAIT);
        if (got > 0)
            *n = (size_t)got;
        return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
    }
    ERR_clear_error();
    int got = SSL_peek(ssl, buf, (int)room);
    if (got > 0)
        *n = (size_t)got;
    bool nothing = got <= 0 && SSL_get_error(ssl, got) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return !nothing;
}

/* r=nonce,s=salt,i=rounds: none of the three has a comma. */
static bool has_too_many_rounds(const uint8_t *p, size_t n)
{
    static const char key[] = ",i=";
    const uint8_t *at = memmem(p, n, key, sizeof key - 1);
    uint64_t rounds = 0;
    if (at == NULL)
        return false;
    for (at += sizeof key - 1; at < p + n && *at >= '0' && *at <= '9'; at++) {
        rounds = rounds * 10 + (uint64_t)(*at - '0');
        if (rounds > PG_AHEAD_ROUNDS_MAX)
            return true;
    }
    return false;
}

enum pg_ahead pg_dial_ahead(PGconn *conn, unsigned *waits)
{
    uint8_t buf[AHEAD_BYTES];
    if (PQstatus(conn) != CONNECTION_AWAITING_RESPONSE)
        return PG_AHEAD_GO;
    size_t n;
    if (!peek(conn, buf, sizeof buf, &n))
        return PG_AHEAD_WAIT; /* libpq would read what comes in this moment */
    for (size_t at = 0; at < n;) {
        const uint8_t *m = buf + at;
        size_t have = n - at;
        if (m[0] != 'R' && m[0] != 'v') /* an error, or what libpq won't take here */
            return PG_AHEAD_GO;
        size_t len = have >= PG_HEAD_BYTES ? pg_get32(m + 1) : 0;
        if (have >= PG_HEAD_BYTES && (len < 4 || len > sizeof buf - 1))
            return PG_AHEAD_GO; /* longer than libpq takes one */
        if (have < PG_HEAD_BYTES || have < len + 1) {
            (void)poll(NULL, 0, WAIT_MS);
            return ++*waits > WAITS_MAX ? PG_AHEAD_PIECES : PG_AHEAD_WAIT;
        }
        if (m[0] == 'R' && len >= 8 && pg_get32(m + PG_HEAD_BYTES) == AUTH_SASL_CONTINUE &&
            has_too_many_rounds(m + PG_HEAD_BYTES + 4, len - 8))
            return PG_AHEAD_ROUNDS;
        at += len + 1;
    }
    return PG_AHEAD_GO;
}
