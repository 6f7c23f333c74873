/* SPDX-License-Identifier: ISC
 * A route: one (database, user) as clients ask for it: its pool, how to dial, what to greet with.
 * And the table of all routes with the database servers behind them. Private to src/worker.
 *
 * Threads: the table has a lock. A route, once made, lives as long as the process; its settings are
 * written by the control plane on reload and read by anyone as single words. It belongs to one
 * database server: when a reload has moved its entry to another, another route takes its place, and
 * its clients follow with their next loan.
 */
#ifndef WEIR_WORKER_ROUTE_H
#define WEIR_WORKER_ROUTE_H

#include "base/log.h"
#include "worker/params.h"
#include "worker/worker_priv.h"

struct bound_server; /* one database server: its core_server and what is known of it */

struct route {
    const struct proto_ops *proto;
    const struct server_ops *server_ops;
    struct core_pool *pool;
    struct core_group *of_database, *of_user; /* whose pools have a limit together */
    struct bound_server *server;
    char *database; /* as clients ask for it */
    char *user;     /* on the server */
    char *key;
    int replication;     /* as login_asked.replication */
    uint32_t pool_flags; /* as login_asked.pool_flags */
    char pool_flags_hex[9];
    struct route *_Atomic successor; /* its entry is at another server now: in its place, or NULL */
    bool gone;                       /* there is no such entry any more; control plane */
    bool relaxed;                    /* control plane */
    bool guessed;                    /* made to try the server, for no client yet */
    _Atomic int pool_mode;           /* a reload sets these under the workers' eyes */
    _Atomic uint64_t query_wait_us, query_timeout_us, tx_timeout_us, idle_tx_timeout_us, idle_us;
    _Atomic uint32_t clients;
    _Atomic bool paused, disabled;
    pthread_mutex_t lock;        /* guards what follows */
    void *report;                /* what a fresh connection reports, or NULL */
    char *password;              /* configured, or found by auth_query; wiped */
    _Atomic bool password_fixed; /* it was configured */
    _Atomic bool
        awaits_proof; /* nothing to log in with before a client has shown it: no login on spec */
    struct server_keys keys; /* where there is no password; wiped */
    uint64_t password_us;    /* when password_command gave it, 0: never */
    char version[64];
    char last_error[256];
    struct log_limit failing;     /* its own: no pool's failures hide another's from the log */
    struct route *next;           /* of the same table; the list only grows */
    struct stat_counters stats[]; /* by worker */
};

static inline void route_count(struct route *r, const struct worker *w, enum stat_counter which,
                               uint64_t n)
{
    if (r != NULL)
        stat_add(&r->stats[w->index], which, n);
}

struct routes *routes_create(struct world *world);
/* What tells one route from another. */
struct route_ask {
    const char *database; /* the name asked for */
    const char *user;     /* on the server */
    int replication;
    uint32_t pool_flags;
};
/* The route of this database entry; made when it is asked for first, for who has shown that it may
 * ask. NULL: out of memory, the entry's protocol is not served, or there are ROUTES_MAX. */
#define ROUTES_MAX    16384u /* some kB each */
#define ROUTES_NAMED  4096u  /* of them not for `*`, for which clients make names up */
#define DATABASE_GONE "the database is no longer configured"
struct route *routes_get(struct routes *rs, struct settings *set, const struct conf_database *db,
                         const struct route_ask *ask);
/* Clients of a database, or (NULL) of a user, over all their routes. */
uint32_t routes_clients(struct routes *rs, const char *database, const char *user);
/* Waiters of a worker whose time is up. Returns soon when nothing is due. */
void routes_expire(struct routes *rs, uint16_t worker, uint64_t now_us,
                   struct core_waiter_list *out);
/* After a reload (control plane): new limits, and new connections where an entry leads elsewhere
 * than it did by `old`. */
void routes_reload(struct routes *rs, struct settings *set, const struct settings *old);
/* The first login of a route has taught what there was to learn. */
void routes_relax(struct routes *rs, struct settings *set, struct route *r);
/* A client has logged in to this route as its server user: what server logins may use from now on.
 * Any thread. */
struct route_proof {
    const char *secret;              /* by which it was let in; NULL: unasked */
    const char *password;            /* which it gave, or NULL */
    const struct login_proof *proof; /* which its answer revealed, or NULL */
};
void routes_prove(struct routes *rs, struct settings *set, struct route *r,
                  const struct route_proof *shown);
/* The user of server logins is the one who logs in here by this role, and nothing was configured.
 */
bool route_takes_proof(const struct route *r, const struct settings *set, const char *role);
/* What password_command printed. */
void route_set_password(struct route *r, const char *password);
/* The database server of an entry; NULL: out of memory. */
struct bound_server *routes_server(struct routes *rs, struct settings *set,
                                   const struct conf_database *db);

/* Walk: the first route, then route->next; the first server, then bound_server_next(). */
struct route *routes_first(struct routes *rs);

/* ---- the console's switches ---- */

/* What the console has said of a database holds for its routes that are still to come, too. */
struct route_standing {
    bool paused, disabled;
};
/* Set or take back: of one database, or (NULL, to pause) of all. Returns whether it was set: for
 * any, if for all. Out of memory only the routes that are there are switched, by the caller. */
bool routes_pause(struct routes *rs, const char *database, bool on);
bool routes_disable(struct routes *rs, const char *database, bool on);
/* Of one database; (NULL) of all without exception. */
bool routes_paused(struct routes *rs, const char *database);
/* How a database stands. */
struct route_standing routes_standing(struct routes *rs, const char *database);

/* ---- database servers ---- */

struct bound_server {
    struct core_server *core;
    char *name;
    struct conf_bound bound; /* as configured */
    int login_concurrency;
    uint64_t idle_to_zero_us;
    _Atomic bool reachable;
    _Atomic bool heard;  /* the first login came to its end, or takes too long to wait for it */
    _Atomic bool probed; /* the limit below is known */
    _Atomic bool probing;
    uint32_t max_connections, reserved; /* the server's own; 0 until probed */
    struct server_quota *quotas;        /* quota.c's; under the table's lock */
    size_t n_quotas;
    struct mail nudge;
    _Atomic bool nudged;
    uint64_t plan_at_us; /* control plane: next core_plan() */
    bool planning;
    uint32_t lookups;           /* control plane: by auth_query, under way */
    uint64_t lookup_us;         /* when the last was begun */
    struct route_group *groups; /* under the table's lock */
    struct bound_server *next;
};
struct bound_server *routes_first_server(struct routes *rs);
/* What the server was found to give; its quotas are taken. */
void routes_learn_limits(struct routes *rs, struct settings *set, struct bound_server *s,
                         struct server_limits *limits);
/* What `bound` comes to, given what is known of the server. */
uint32_t bound_server_limit(const struct bound_server *s);
void bound_server_apply(struct bound_server *s, const struct settings *set, uint32_t workers);

void route_client_left(struct route *r);
/* Why a server connection ended, as its last words or the socket said. */
void route_last_words(struct backend *b, char *text, size_t room, char code[6]);
/* A reference to what clients are to be greeted with, or NULL; *own: it is this very user's. */
void *route_report(struct routes *rs, struct route *r, bool *own);
void route_learn(struct route *r, void *report); /* takes the reference */

#endif
