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
#include "proto/proto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_st;

/* ---- clients --------------------------------------------------------------------------------- */

enum login_step {
    LOGIN_MORE,    /* send `out`, feed more */
    LOGIN_TLS,     /* send `out`, then start TLS (nothing to send: at once) and call on_tls */
    LOGIN_SECRET,  /* who and where is known: look both up, then call on_secret; again, should the
                      answer not fit a secret that may be old */
    LOGIN_OK,      /* authenticated: call finish */
    LOGIN_CANCEL,  /* a request to cancel; close */
    LOGIN_REFUSED, /* send `out` and close; reason() is for the log */
};

/* Where the server speaks first: what the first packet says. */
struct login_greeting {
    uint32_t id;  /* the connection's, as it will be welcomed with */
    void *report; /* what a server of this protocol reported (see server_ops.report), or NULL */
    bool local;   /* came by a Unix socket */
    bool tls;     /* TLS is configured */
};

/* What a client said of itself. Strings live as long as the login. */
struct login_asked {
    const char *user;     /* as written */
    const char *role;     /* without the function suffix */
    const char *function; /* of the suffix, or NULL */
    const char *option;   /* weir.function, however this protocol says it, or NULL */
    const char *database;
    const char *application_name;   /* "" when not given */
    int replication;                /* 0: no, 1: physical, 2: logical */
    uint32_t cancel_id, cancel_key; /* LOGIN_CANCEL */
    uint32_t pool_flags;    /* fixed when a server connection logs in: clients that differ in them
                               never share one (MySQL: capabilities); 0 where there is none */
    uint32_t console_flags; /* what the console's answers depend on; who writes them knows */
};

/* The setting auth_type. What a protocol has no such exchange for it asks for in its own way. */
enum login_auth {
    LOGIN_AUTH_TRUST,
    LOGIN_AUTH_PLAIN,
    LOGIN_AUTH_MD5,
    LOGIN_AUTH_SCRAM,
    LOGIN_AUTH_CERT,
    LOGIN_AUTH_ANY
};

struct login_policy {
    enum login_auth auth_type;
    int tls_mode; /* 0 off, 1 offered, 2 required */
    uint32_t scram_iterations;
    bool mock_scram; /* unknown users are asked as if their secret were a SCRAM one */
};

/* How the worker found the user. */
struct login_found {
    const char *secret; /* NULL: unknown user, or without a secret; lives until the login's end */
    const char *refuse; /* not NULL: authenticate first, then refuse with this text ... */
    const char *refuse_code;
    bool trust;      /* no question asked (console on the Unix socket) */
    bool may_be_old; /* the secret, or that there is none, is remembered: ask anew if need be */
};

/* Of a session; a reload may change them. */
struct login_limits {
    uint32_t prepared, statement_max_bytes;
    int pool_mode; /* enum conf_pool_mode's order: transaction, session, statement */
};

/* What the client is greeted with. */
struct login_welcome {
    uint32_t id, key; /* for CancelRequest */
    void *report;     /* what a server reported (a protocol's own object), or NULL */
    bool own_report;  /* to this very user */
    const char *user; /* who logs in to the server */
    const char *home; /* the database that its server connections begin in; NULL: none */
    struct login_limits limits;
    bool console;
    const char *ignore_startup; /* ignore_startup_parameters */
    const char *add_host;       /* application_name_add_host: its address and port; or NULL */
};

/* What a login revealed that server logins can use where the password isn't known: PostgreSQL 32
 * bytes (SCRAM ClientKey), MySQL 20 (SHA1(password)) or 32 (SHA256(password)). To be wiped. */
struct login_proof {
    uint8_t key[32];
    uint8_t n;
};

struct login_ops {
    /* Once, before any thread. */
    bool (*init)(struct err *e);
    /* Do now what a login by this secret costs once, so that no worker pays for it; or NULL. */
    void (*prepare_secret)(const char *user, const char *secret, const struct login_policy *policy);

    void *(*create)(const struct login_policy *policy); /* NULL: out of memory */
    void (*destroy)(void **login);
    /* The server's first words, right after create; NULL where the client speaks first. false: out
     * of memory. */
    bool (*greet)(void *login, const struct login_greeting *g, struct buf *out);
    /* In greet's place for a client that is logged in, with object `pc`, and wants to be somebody
     * else (PROTO_LOGIN): feed() gets its message. NULL: there is no such thing. */
    void (*again)(void *login, const void *pc, bool local, bool tls);
    enum login_step (*feed)(void *login, const uint8_t *in, size_t n, size_t *used,
                            struct buf *out);
    /* After LOGIN_SECRET: the name as written is a user's own, it has no suffix. */
    void (*whole)(void *login);
    /* May judging what stands at `in` take longer than a loop may be held (a password against a
     * stored hash)? feed() is then called on another thread, the login belonging to it. NULL:
     * never. */
    bool (*is_heavy)(const void *login, const uint8_t *in, size_t n);
    /* TLS stands. cn: of the verified certificate or NULL; binding: tls-server-end-point. */
    void (*on_tls)(void *login, const char *cn, const uint8_t *binding, size_t n, bool alpn);
    enum login_step (*on_secret)(void *login, const struct login_found *found, struct buf *out);
    const struct login_asked *(*asked)(const void *login);
    const char *(*reason)(const void *login);
    /* Fill the client object `pc` (zeroed) and append the greeting. false: out of memory. With
     * w->console set `pc` is NULL, and only that the login is over is said, where that has not been
     * said yet: the console's session has words of its own. */
    bool (*finish)(void *login, void *pc, const struct login_welcome *w, struct buf *out);
    /* Words of weir's own to a client that is not logged in and will be closed: to be appended.
     * NULL: proto_ops' say() with its zeroed object knows them as well. */
    void (*say)(void *login, enum proto_event ev, const char *text, struct buf *out);
    /* A key for server logins that the client's proof revealed; false: none. */
    bool (*proof)(const void *login, struct login_proof *out);
    /* The password itself, where the exchange gave it away (MySQL's full and clear ones); lives as
     * long as the login; NULL: it didn't. The member is NULL where no exchange does. */
    const char *(*password)(const void *login);
    /* New ones, between two loans of the client object `pc`. */
    void (*limit)(void *pc, const struct login_limits *limits);
};

/* ---- servers -----------------------------------------------------------------------------------
 */

struct dsn_param {
    const char *key, *value;
};

/* What a stored secret, with or without a client's proof, gives for logging in to a server where
 * the password isn't known: parameters for dial() and the questions below. Unused ones have name
 * "". Secret, to be wiped. */
#define SERVER_KEYS 3
struct server_keys {
    struct {
        char name[24];
        char value[136];
    } k[SERVER_KEYS];
};

enum keys_kind {
    KEYS_NONE,     /* nothing to log in with; a client's proof may bring it */
    KEYS_PASSWORD, /* the secret is a password */
    KEYS_FOUND,    /* `out` is filled in */
};

/* For --check. */
struct server_facts {
    char version[64];
    bool replica;
    uint32_t max_connections; /* of all together */
    uint32_t own;             /* this user and database may have fewer; 0: no */
    uint32_t reserved, used;
};

/* What one user, or one database, may have at the server. */
struct server_quota {
    bool of_user;
    uint32_t n;
    char name[64];
};

struct server_limits {
    uint32_t max_connections, reserved;
    struct server_quota *quotas; /* as far as the server tells; to be freed */
    size_t n_quotas;
};

/* How a server connection is to be used. */
struct server_setup {
    const char *reset_query; /* what cleans it after a session; "": nothing */
    bool reset_always;       /* after each loan, too */
    uint32_t connections;    /* to its database server there are at most so many */
    uint64_t place;          /* another number: another database or user */
};

enum dial_step { DIAL_READ, DIAL_WRITE, DIAL_DONE, DIAL_FAILED };
/* As enum core_failure. */
enum dial_failure {
    DIAL_FAIL_LIMIT,
    DIAL_FAIL_REFUSED,
    DIAL_FAIL_MISSING, /* the database */
    DIAL_FAIL_REACH,
    DIAL_FAIL_POOL,
    DIAL_FAIL_DATABASE, /* its limit */
    DIAL_FAIL_USER,
};

struct server_ops {
    /* Start a login; never blocks: host, hostaddr and port are lists of the same length, separated
     * by commas, to be tried in turn; an item of hostaddr is "" where the host is an address, a
     * Unix socket (its directory; MySQL: the file) or nothing. NULL: out of memory. */
    void *(*dial)(const struct dsn_param *params, size_t n);
    /* The socket to wait on for READ or WRITE; it may change from call to call. */
    int (*socket)(void *dial);
    enum dial_step (*poll)(void *dial);
    /* After FAILED. The code is one that proto_ops.say knows with PROTO_EV_DOWN. */
    enum dial_failure (*failure)(void *dial, char code[6], char *text, size_t room);
    /* After DONE: the connection moves into the server object `ps` (zeroed); fd and TLS session
     * stay its property. */
    bool (*adopt)(void **dial, void *ps, int *fd, struct ssl_st **ssl);
    void (*hang_up)(void **dial);

    /* A thing with which the statement running on `ps` can be cancelled from any thread, while `ps`
     * goes on living on its own. run() blocks for a round trip. */
    /* So long a cancel waits for a slot of the bound while all are lent; then it goes beyond. */
    uint32_t cancel_patience_ms;
    void *(*cancel_make)(void *ps);
    bool (*cancel_run)(void *cancel, struct err *e);
    void (*cancel_free)(void **cancel);

    /* `proof`: of the login that the secret let in, or NULL. */
    enum keys_kind (*keys)(const char *secret, const struct login_proof *proof,
                           struct server_keys *out);

    /* Questions of the control plane, each on a connection of its own to the server that the
     * parameters (as for dial(), but hosts may be names) lead to. They block, with connect_timeout,
     * and belong on a thread that may. */
    /* How many connections the server gives. */
    bool (*ask_limits)(const struct dsn_param *params, size_t n, struct server_limits *out,
                       struct err *e);
    /* auth_query for `user`: the secret, malloc'ed, to be wiped; NULL with true: no such user. */
    bool (*ask_secret)(const struct dsn_param *params, size_t n, const char *query,
                       const char *user, char **secret, struct err *e);
    bool (*ask_facts)(const struct dsn_param *params, size_t n, struct server_facts *out,
                      struct err *e);

    /* Right after adopt(). */
    void (*configure)(void *ps, const struct server_setup *setup);
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
