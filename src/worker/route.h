/* SPDX-License-Identifier: ISC
 * A route: one (database, user) as clients ask for it: its pool, how to dial, what to greet with.
 * And the table of all routes with the database servers behind them. Private to src/worker.
 *
 * Threads: the table has a lock. A route, once made, lives as long as the process; its settings are
 * written by the control plane on reload and read by anyone as single words.
 */
#ifndef WEIR_WORKER_ROUTE_H
#define WEIR_WORKER_ROUTE_H

#include "worker/worker_priv.h"

struct bound_server; /* one database server: its core_server and what is known of it */

struct route {
    const struct proto_ops *proto;
    const struct server_ops *server_ops;
    struct core_pool *pool;
    struct bound_server *server;
    char *database; /* as clients ask for it */
    char *user;     /* on the server */
    char *key;
    bool replication;
    bool relaxed; /* control plane */
    int pool_mode;
    uint64_t query_wait_us, query_timeout_us, tx_timeout_us, idle_tx_timeout_us, idle_us;
    _Atomic uint32_t clients;
    _Atomic bool paused, disabled;
    pthread_mutex_t lock; /* guards what follows */
    void *report;         /* what a fresh connection reports, or NULL */
    char *password;       /* proven or configured; wiped */
    char version[64];
    char last_error[256];
    struct route *next; /* of the same table; the list only grows */
    struct stat_counters stats[]; /* by worker */
};

static inline void route_count(struct route *r, const struct worker *w, enum stat_counter which,
                               uint64_t n)
{
    if (r != NULL)
        stat_add(&r->stats[w->index], which, n);
}

struct routes *routes_create(struct world *world);
void routes_destroy(struct routes **r);
/* The route for this database entry and user; made when it is asked for first. NULL: out of
 * memory. `database` is the name asked for. */
struct route *routes_get(struct routes *rs, struct settings *set, const struct conf_database *db,
                         const char *database, const char *user, bool replication);
/* Waiters of a worker whose time is up. Returns soon when nothing is due. */
void routes_expire(struct routes *rs, uint16_t worker, uint64_t now_us,
                   struct core_waiter_list *out);
/* New limits after a reload (control plane). */
void routes_reload(struct routes *rs, struct settings *set);
/* The first login of a route has taught what there was to learn. */
void routes_relax(struct routes *rs, struct settings *set, struct route *r);
/* libpq's connection string for the job threads; malloc'ed, holds the password. NULL: the entry is
 * gone or memory is out. */
char *route_conninfo(struct route *r, const struct settings *set);
/* Walk: the first route, then route->next; the first server, then bound_server_next(). */
struct route *routes_first(struct routes *rs);

struct bound_server {
    struct core_server *core;
    char *name;
    struct conf_bound bound; /* as configured */
    int login_concurrency;
    _Atomic bool reachable;
    _Atomic bool probed; /* the limit below is known */
    _Atomic bool probing;
    uint32_t max_connections, reserved; /* the server's own; 0 until probed */
    struct mail nudge;
    _Atomic bool nudged;
    uint64_t plan_at_us; /* control plane: next core_plan() */
    bool planning;
    struct bound_server *next;
};
struct bound_server *routes_first_server(struct routes *rs);
/* What `bound` comes to, given what is known of the server. */
uint32_t bound_server_limit(const struct bound_server *s);
void bound_server_apply(struct bound_server *s, const struct settings *set, uint32_t workers);

const char *route_function_name(const struct client *c);
void route_client_left(struct route *r);
/* Why a server connection ended, as its last words or the socket said. */
void route_last_words(struct backend *b, char *text, size_t room, char code[6]);
/* A reference to the cached report, or NULL. */
void *route_report(struct route *r);
void route_learn(struct route *r, void *report); /* takes the reference */

#endif
