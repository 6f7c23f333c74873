/* SPDX-License-Identifier: ISC
 * Who may borrow a server connection, and when. The core takes facts and `now` and returns
 * decisions; it has no socket, no thread, no clock and no SQL of its own, so ten thousand clients
 * run in a test with a made-up clock.
 *
 *   core_server   one database server (host:port): the bound, one mutex, all queues below it
 *     core_pool   one (database, user) pair on it: its own limits, its idle connections, its waiters
 *       core_conn    one server connection; embedded in the worker's backend object
 *       core_waiter  one client that wants or has a loan; embedded in the worker's client object
 *
 * Threads: any function may be called from any worker or from the control plane; each takes the
 * server's mutex itself and never calls back while holding it. A core_conn's fields are written
 * only under the mutex; a core_waiter's by its own worker before it is queued and under the mutex
 * from then until it is granted, expired or has left.
 *
 * What always holds (core_check walks it in debug builds):
 *   opening + idle + lent + closing + cancelling + control <= bound      [the one exception: a
 *   cancel that finds the bound full of lent connections, at most one at a time per server; see
 *   core_cancel_begin]
 *   and each count equals the length of its list; a waiter is in exactly one queue or none.
 */
#ifndef WEIR_CORE_CORE_H
#define WEIR_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct core_server;
struct core_pool;

/* The state of a server connection; each but CONN_NONE is one list of its pool. */
enum conn_state {
    CONN_NONE,    /* not known to the core */
    CONN_OPENING, /* a slot is taken, the control plane is logging in */
    CONN_IDLE,    /* clean, may be lent; lives on worker `worker` */
    CONN_LENT,    /* with a borrower, on its way to one, or being settled after one */
    CONN_CLOSING, /* told to close, the socket is not closed yet */
};

enum waiter_state { WAITER_NONE, WAITER_QUEUED, WAITER_GRANTED };

/* Embedded in the worker's backend. Zeroed before first use. */
struct core_conn {
    struct core_pool *pool;
    TAILQ_ENTRY(core_conn) link; /* in the list of its state */
    uint64_t opened_us;          /* login finished */
    uint64_t since_us;           /* entered the present state */
    uint64_t loans;
    struct core_waiter *borrower; /* while lent through a grant; NULL otherwise */
    uint32_t generation;          /* RECONNECT closes what is older than the pool's */
    uint16_t worker;              /* whose loop owns the socket now */
    uint8_t state;                /* enum conn_state */
};

/* Embedded in the worker's client: small, for an idle client pays for it. Zeroed before use. */
struct core_waiter {
    struct core_pool *pool;
    TAILQ_ENTRY(core_waiter) link;
    uint64_t since_us;    /* joined the queue */
    uint64_t deadline_us; /* leaves it; UINT64_MAX for never */
    struct core_conn *conn; /* granted */
    uint16_t worker;
    uint8_t state; /* enum waiter_state */
};
TAILQ_HEAD(core_waiter_list, core_waiter);

struct core_server_limits {
    uint32_t bound;             /* max_server_connections, already computed from 75% or auto; >= 1 */
    uint32_t login_concurrency; /* logins under way at once, at most */
    uint32_t max_waiting;       /* max_waiting_clients per server, 0: none */
    uint64_t login_retry_us;    /* server_login_retry: first pause after a failure */
    uint64_t locality_us;       /* a waiter of the returning worker may be served before an older
                                   one elsewhere that is ahead by no more than this */
    uint32_t workers;           /* number of workers; at most CORE_MAX_WORKERS */
};
#define CORE_MAX_WORKERS 64

struct core_pool_limits {
    uint32_t max_conns;         /* pool_size: of this pair; 0: only the server's bound */
    uint32_t min_conns;         /* min_pool_size */
    uint64_t idle_timeout_us;   /* server_idle_timeout; 0: never */
    uint64_t lifetime_us;       /* server_lifetime; 0: never. Spread by up to a fifth by the core */
};

/* Counts at one instant, all under one lock. */
struct core_counts {
    uint32_t opening, idle, lent, closing, cancelling, control, waiting;
    uint32_t bound;
    uint64_t oldest_wait_us; /* age of the oldest waiter, 0 if none */
    uint64_t oldest_loan_us; /* age of the oldest loan */
    uint64_t loans_total, refused_total, expired_total;
};

/* ---- set-up (control plane) ---------------------------------------------------------------- */

struct core_server *core_server_create(const char *name, const struct core_server_limits *lim,
                                       uint32_t seed);
void core_server_destroy(struct core_server **s); /* no pools left */
void core_server_limit(struct core_server *s, const struct core_server_limits *lim);
const char *core_server_name(const struct core_server *s);
struct core_server *core_pool_server(const struct core_pool *p);

struct core_pool *core_pool_create(struct core_server *s, const char *name,
                                   const struct core_pool_limits *lim, void *owner);
void core_pool_destroy(struct core_pool **p); /* no connections, no waiters */
void core_pool_limit(struct core_pool *p, const struct core_pool_limits *lim);
void *core_pool_owner(const struct core_pool *p); /* the worker floor's route */

/* PAUSE: nobody is lent to, waiters wait. DISABLE: nobody may queue. RECONNECT: connections opened
 * before now are closed as they come back (idle ones by core_plan). */
void core_pool_pause(struct core_pool *p, bool paused);
void core_pool_disable(struct core_pool *p, bool disabled);
void core_pool_reconnect(struct core_pool *p);

/* ---- borrowing (workers) --------------------------------------------------------------------- */

enum core_answer {
    CORE_LENT,     /* *conn is yours; fetch it from (*conn)->worker if that is not you */
    CORE_QUEUED,   /* a grant, an expiry or a failure will reach you through a message */
    CORE_FULL,     /* max_waiting reached: refuse */
    CORE_DISABLED, /* DISABLE is in force: refuse */
    CORE_DOWN,     /* the server has repeatedly failed: refuse with core_server_failure() */
};

/* Borrow for `w` (pool, worker and deadline_us set by the caller). `*nudge` is set when the control
 * plane should run core_plan() now. */
enum core_answer core_borrow(struct core_waiter *w, uint64_t now_us, struct core_conn **conn,
                             bool *nudge) __attribute__((warn_unused_result));

/* The waiter gives up (client gone, cancelled). true: it was in the queue and is out. false: it is
 * granted already, the connection is on its way and must be given back when it arrives. */
bool core_leave(struct core_waiter *w) __attribute__((warn_unused_result));

enum core_next {
    CORE_NEXT_IDLE,  /* keep it, watch its socket */
    CORE_NEXT_LEND,  /* *next is its borrower; bring it to (*next)->worker */
    CORE_NEXT_CLOSE, /* state is CONN_CLOSING: close it, then core_conn_closed() */
};

/* A loan is over and the connection is clean. */
enum core_next core_give_back(struct core_conn *c, uint64_t now_us, struct core_waiter **next,
                              bool *nudge) __attribute__((warn_unused_result));

/* The connection is broken or unwanted, whatever its state was: it enters CONN_CLOSING and keeps
 * its slot until core_conn_closed(). false if it was closing already. */
bool core_conn_break(struct core_conn *c, uint64_t now_us);
/* After close(): the slot is free. `*nudge` as above. */
void core_conn_closed(struct core_conn *c, uint64_t now_us, bool *nudge);

/* A connection changed its home worker (the socket has arrived there). */
void core_conn_moved(struct core_conn *c, uint16_t worker);

/* Waiters of this worker whose deadline has passed leave the queue and are appended to `out`. */
void core_expire(struct core_server *s, uint16_t worker, uint64_t now_us,
                 struct core_waiter_list *out);

/* ---- the control plane ------------------------------------------------------------------------ */

enum core_action { CORE_ACT_NONE, CORE_ACT_OPEN, CORE_ACT_CLOSE, CORE_ACT_FAIL };

struct core_plan {
    enum core_action action;
    struct core_pool *pool;   /* OPEN: log in for this pair; its slot is taken (see core_opened) */
    struct core_conn *conn;   /* CLOSE: idle on conn->worker, now CONN_CLOSING: have it closed */
    struct core_waiter_list failed; /* FAIL: these have left the queue: tell them the failure */
    uint64_t wake_us;         /* NONE: call again at this time at the latest (UINT64_MAX: never) */
};

/* The next thing to do for this server; call until CORE_ACT_NONE. */
void core_plan(struct core_server *s, uint64_t now_us, struct core_plan *plan);

/* The login planned for `pool` succeeded; `c` is the new connection. Like core_give_back;
 * for CORE_NEXT_IDLE c->worker says which worker is to have it. */
enum core_next core_opened(struct core_pool *pool, struct core_conn *c, uint64_t now_us,
                           struct core_waiter **next) __attribute__((warn_unused_result));

enum core_failure {
    CORE_FAIL_LIMIT,   /* the server says it is full (53300, 1040, 1203): log in less at once */
    CORE_FAIL_REFUSED, /* login refused for good until something changes: password, database */
    CORE_FAIL_REACH,   /* no connection, timeout, still starting */
};
/* The login failed; its slot is free. The text and code (the server's own, SQLSTATE of five
 * characters) go to the waiters when CORE_ACT_FAIL or CORE_DOWN decides so. A REFUSED failure
 * concerns this pool only; the others the whole server. */
void core_open_failed(struct core_pool *pool, enum core_failure why, const char *sqlstate,
                      const char *text, uint64_t now_us);
/* Copy of the last failure as seen by this pool; false if there is none in force. */
bool core_pool_failure(struct core_pool *p, char sqlstate[6], char *text, size_t room);

/* A cancel or the control plane's own connection takes a slot before connect() and gives it back
 * after close(). core_control_begin: false when the bound is full (an idle connection is then
 * planned for closing; try again when nudged). core_cancel_begin: false when it must wait; when
 * every slot is lent out (so that waiting could be for ever) one cancel per server may go beyond
 * the bound: databases take a CancelRequest without a connection slot. `strict` forbids that. */
bool core_control_begin(struct core_server *s);
void core_control_end(struct core_server *s);
bool core_cancel_begin(struct core_server *s, bool strict);
void core_cancel_end(struct core_server *s);

/* ---- looking ----------------------------------------------------------------------------------- */

void core_server_counts(struct core_server *s, uint64_t now_us, struct core_counts *out);
void core_pool_counts(struct core_pool *p, uint64_t now_us, struct core_counts *out);
/* Abort the process when an invariant does not hold (debug builds; also called by tests). */
void core_check(struct core_server *s);

#endif
