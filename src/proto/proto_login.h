/* SPDX-License-Identifier: ISC
 * The seam's two other parts: a client's way in, and a connection's way to its server.
 *
 * Logging a client in is pure like the rest: bytes in, bytes out, and the worker is asked for what
 * needs a look-up. Logging in to a server belongs to the control plane, which alone may meet
 * libraries that do their own I/O; what comes out is a descriptor that the worker relays on.
 */
#ifndef WEIR_PROTO_PROTO_LOGIN_H
#define WEIR_PROTO_PROTO_LOGIN_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_st;

/* ---- clients --------------------------------------------------------------------------------- */

enum login_step {
    LOGIN_MORE,    /* send `out`, feed more */
    LOGIN_TLS,     /* send `out`, then start TLS (nothing to send: at once) and call on_tls */
    LOGIN_SECRET,  /* who and where is known: look both up, then call on_secret */
    LOGIN_OK,      /* authenticated: call finish */
    LOGIN_CANCEL,  /* a request to cancel; close */
    LOGIN_REFUSED, /* send `out` and close; reason() is for the log */
};

/* What a client said of itself. Strings live as long as the login. */
struct login_asked {
    const char *user;     /* as written */
    const char *role;     /* without the function suffix */
    const char *function; /* of the suffix, the option, or NULL */
    const char *database;
    const char *application_name;   /* "" when not given */
    int replication;                /* 0: no, 1: physical, 2: logical */
    uint32_t cancel_id, cancel_key; /* LOGIN_CANCEL */
};

struct login_policy {
    int auth_type; /* the protocol's own enum, from the setting */
    int tls_mode;  /* 0 off, 1 offered, 2 required */
    uint32_t scram_iterations;
    bool mock_scram; /* unknown users are asked as if their secret were a SCRAM one */
};

/* How the worker found the user. */
struct login_found {
    const char *secret; /* NULL: unknown user, or without a secret; lives until the login's end */
    const char *refuse; /* not NULL: authenticate first, then refuse with this text ... */
    const char *refuse_code;
    bool trust; /* no question asked (console on the Unix socket) */
};

/* What the client is greeted with. */
struct login_welcome {
    uint32_t id, key; /* for CancelRequest */
    void *report;     /* what a server reported (a protocol's own object), or NULL */
    bool own_report;  /* to this very user */
    const char *user; /* who logs in to the server */
    uint32_t prepared_limit, statement_max_bytes;
    int pool_mode; /* enum conf_pool_mode's order: transaction, session, statement */
    bool console;
};

struct login_ops {
    void *(*create)(const struct login_policy *policy); /* NULL: out of memory */
    void (*destroy)(void **login);
    enum login_step (*feed)(void *login, const uint8_t *in, size_t n, size_t *used,
                            struct buf *out);
    /* TLS stands. cn: of the verified certificate or NULL; binding: tls-server-end-point. */
    void (*on_tls)(void *login, const char *cn, const uint8_t *binding, size_t n, bool alpn);
    enum login_step (*on_secret)(void *login, const struct login_found *found, struct buf *out);
    const struct login_asked *(*asked)(const void *login);
    const char *(*reason)(const void *login);
    /* Fill the client object `pc` (zeroed) and append the greeting. false: out of memory. */
    bool (*finish)(void *login, void *pc, const struct login_welcome *w, struct buf *out);
    /* A key for server logins that the proof revealed (SCRAM ClientKey, 32 bytes). */
    bool (*proof)(const void *login, uint8_t key[32]);
};

/* ---- servers -----------------------------------------------------------------------------------
 */

struct dsn_param {
    const char *key, *value;
};

enum dial_step { DIAL_READ, DIAL_WRITE, DIAL_DONE, DIAL_FAILED };
enum dial_failure { DIAL_FAIL_LIMIT, DIAL_FAIL_REFUSED, DIAL_FAIL_REACH };

struct server_ops {
    /* Start a login; never blocks (hosts come resolved as hostaddr). NULL: out of memory. */
    void *(*dial)(const struct dsn_param *params, size_t n);
    /* The socket to wait on for READ or WRITE; it may change from call to call. */
    int (*socket)(void *dial);
    enum dial_step (*poll)(void *dial);
    /* After FAILED. */
    enum dial_failure (*failure)(void *dial, char code[6], char *text, size_t room);
    /* After DONE: the connection moves into the server object `ps` (zeroed); fd and TLS session
     * stay its property. */
    bool (*adopt)(void **dial, void *ps, int *fd, struct ssl_st **ssl);
    void (*hang_up)(void **dial);

    /* A thing with which the statement running on `ps` can be cancelled from any thread, while `ps`
     * goes on living on its own. run() blocks for a round trip. */
    void *(*cancel_make)(void *ps);
    bool (*cancel_run)(void *cancel, struct err *e);
    void (*cancel_free)(void **cancel);

    /* Settings of the connection itself: what cleans it after a session ("": nothing), and whether
     * that runs after each loan. */
    void (*configure)(void *ps, const char *reset_query, bool reset_always);
    /* What is sent before a connection is closed in order. */
    const void *(*farewell)(size_t *n);

    /* The server's facts, for the route and SHOW. */
    void *(*report)(void *ps); /* a reference to what it reported at login */
    void *(*report_get)(void *report);
    void (*report_put)(void **report);
    /* The error with which the server ended the connection; false: it said nothing. */
    bool (*last_words)(const void *ps, char *text, size_t room, char code[6]);
    int64_t (*remote_pid)(const void *ps);
    const char *(*version)(const void *report); /* "" when unknown */
};

#endif
