/* SPDX-License-Identifier: ISC
 * What was seen, as plain rows: the workers and the control plane fill them, the admin floor shows
 * them (console, JSON, metrics) without knowing who filled them. Rows are copies; nothing in them
 * points into a live object. Times are monotonic microseconds (base/clock.h) unless named wall.
 */
#ifndef WEIR_STAT_VIEW_H
#define WEIR_STAT_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#define VIEW_NAME_MAX 64
#define VIEW_ADDR_MAX 64

/* One client. state: "login", "idle", "waiting", "active" (holds a loan), "idle_in_transaction". */
struct view_client {
    uint64_t id;
    char database[VIEW_NAME_MAX], user[VIEW_NAME_MAX], function[VIEW_NAME_MAX];
    char application_name[VIEW_NAME_MAX];
    char addr[VIEW_ADDR_MAX], local_addr[VIEW_ADDR_MAX];
    uint16_t port, local_port;
    char tls[VIEW_NAME_MAX];                     /* "" for plain */
    const char *state;                           /* static string */
    const char *protocol;                        /* "postgresql" or "mysql"; static */
    uint64_t connected_wall_us, request_wall_us; /* request: its last message */
    uint64_t wait_us;                            /* in the queue now, else 0 */
    uint64_t server_id;                          /* the backend lent to it, 0: none */
    uint32_t prepared;                           /* named statements */
    uint16_t worker;
    bool close_needed;
    int32_t remote_pid; /* over a Unix socket, else 0 */
    char replication;   /* 0 none, 'l' logical, 'p' physical */
};

/* One server connection. state: "login", "idle", "active", "settling", "cleaning", "closing". */
struct view_server {
    uint64_t id;
    char database[VIEW_NAME_MAX], user[VIEW_NAME_MAX], function[VIEW_NAME_MAX];
    char application_name[VIEW_NAME_MAX];
    char server[VIEW_ADDR_MAX]; /* host:port, the bound's name */
    char addr[VIEW_ADDR_MAX], local_addr[VIEW_ADDR_MAX];
    uint16_t port, local_port;
    char tls[VIEW_NAME_MAX];
    const char *state;
    uint64_t connected_wall_us, request_wall_us;
    uint64_t client_id; /* borrower, 0: none */
    int64_t remote_pid;
    uint64_t loans;
    uint32_t prepared;
    uint16_t worker;
    bool close_needed;
};

/* One pool: a (database, user) pair. */
struct view_pool {
    char database[VIEW_NAME_MAX], user[VIEW_NAME_MAX], server[VIEW_ADDR_MAX];
    const char *pool_mode;
    uint32_t cl_active, cl_waiting, cl_idle; /* clients with a loan, waiting, neither */
    uint32_t cl_active_cancel, cl_waiting_cancel;
    uint32_t sv_active, sv_idle, sv_used, sv_login, sv_closing, sv_cancel;
    uint32_t limit; /* pool_size, 0: only the server's bound */
    uint64_t maxwait_us;
    bool paused, disabled;
    char last_error[256]; /* of the last server login, "" when fine */
};

/* One database server: the bound. */
struct view_bound {
    char server[VIEW_ADDR_MAX];
    uint32_t limit, opening, idle, lent, closing, cancelling, control, waiting;
    uint64_t oldest_wait_us, oldest_loan_us;
    bool reachable;
    char version[VIEW_NAME_MAX]; /* the server's own, "" until known */
    char role[16];               /* "primary", "replica", "" until known */
    uint32_t server_max_connections;
};

struct view_database {
    char name[VIEW_NAME_MAX], host[128], dbname[VIEW_NAME_MAX], force_user[VIEW_NAME_MAX];
    uint16_t port;
    const char *pool_mode;
    uint32_t pool_size, min_pool_size, reserve_pool_size, max_connections;
    uint32_t current_connections, current_client_connections;
    bool paused, disabled;
    uint32_t server_lifetime_s, max_client_connections;
    const char *load_balance_hosts; /* static; NULL: one host */
};

struct view_pin {
    uint64_t client_id, server_id;
    char database[VIEW_NAME_MAX], user[VIEW_NAME_MAX], function[VIEW_NAME_MAX];
    char reason[VIEW_NAME_MAX];
    char statement[128]; /* digest: literals replaced, cut */
    uint64_t age_us;
};

/* Totals of one database (and of one function later); all only grow. */
struct view_stats {
    char database[VIEW_NAME_MAX];
    uint64_t xact_count, query_count, bytes_received, bytes_sent; /* client side */
    uint64_t xact_us, query_us, wait_us;
    uint64_t client_parse_count, server_parse_count, bind_count, server_assignment_count;
    uint64_t logins, refusals, cancels, rollbacks, pins;
};

/* One function: loans and times; histograms in microseconds come from stat/histogram.h. */
struct view_function {
    char name[VIEW_NAME_MAX];
    uint32_t clients, lent, waiting, limit, guarantee, weight;
    uint64_t oldest_wait_us, loans, refusals, pins, rollbacks;
    uint64_t wait_p50_us, wait_p95_us, wait_p99_us, hold_p50_us, hold_p95_us, hold_p99_us;
};

/* Why something was refused, pinned or rolled back, counted per function; only grows. */
struct view_reason {
    char function[VIEW_NAME_MAX];
    const char *kind;   /* "refusal", "pin" or "rollback"; static */
    const char *reason; /* static */
    uint64_t count;
};

struct view_user {
    char name[VIEW_NAME_MAX];
    uint32_t pool_size, reserve_pool_size; /* 0: not set for this user */
    const char *pool_mode;                 /* NULL: not set for this user */
    uint32_t max_connections, current_connections;
    uint32_t max_client_connections, current_client_connections;
};

/* One kind of object that is allocated from pages of its own. */
struct view_mem {
    char name[VIEW_NAME_MAX];
    uint64_t size_bytes, used, free, total_bytes;
};

/* One resolved host name; addrs is a comma-separated list. */
struct view_dns {
    char host[256], addrs[256];
    int64_t ttl_s;
};

/* One text that clients or server connections of a pool have prepared. */
struct view_statement {
    char name[VIEW_NAME_MAX]; /* on the server; "" where that is a number of each connection */
    char database[VIEW_NAME_MAX], user[VIEW_NAME_MAX];
    char statement[256]; /* digest: literals replaced, cut */
    uint32_t clients, servers;
    uint64_t bytes; /* of the text */
};

/* Why a login was refused: a limit on clients, who or what it asked for (or the way it asked), too
 * slow, draining. */
enum view_refused {
    VIEW_REFUSED_LIMIT,
    VIEW_REFUSED_LOGIN,
    VIEW_REFUSED_TIMEOUT,
    VIEW_REFUSED_DRAINING,
    VIEW_REFUSED_COUNT,
};

/* The process as a whole. */
struct view_overview {
    uint64_t started_wall_us;
    uint32_t workers;
    uint32_t databases, users, pools;
    uint32_t clients_login, clients_idle, clients_waiting, clients_active;
    uint32_t free_clients, servers, free_servers;
    uint32_t dns_names, dns_queries, dns_pending;
    uint64_t refused[VIEW_REFUSED_COUNT]; /* logins; only grow */
    bool paused, draining;
};

#endif
