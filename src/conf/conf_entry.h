/* SPDX-License-Identifier: ISC
 * The entries beside the settings: databases, database servers, users, functions.
 *
 * Read-only for everybody outside this folder; they live as long as their struct conf. A value that
 * an entry doesn't give is marked (-1, CONF_UNSET_US, NULL, CONF_*_UNSET) and conf_pool_resolve()
 * answers with what holds for a database and user after all.
 */
#ifndef WEIR_CONF_CONF_ENTRY_H
#define WEIR_CONF_CONF_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_UNSET_US UINT64_MAX

struct conf;

enum conf_pool_mode {
    CONF_POOL_TRANSACTION,
    CONF_POOL_SESSION,
    CONF_POOL_STATEMENT,
    CONF_POOL_UNSET /* in entries only */
};
enum conf_proto { CONF_PROTO_POSTGRES, CONF_PROTO_MYSQL };
enum conf_load_balance {
    CONF_LOAD_BALANCE_DISABLE,
    CONF_LOAD_BALANCE_ROUND_ROBIN,
    CONF_LOAD_BALANCE_RANDOM
};
enum conf_role { CONF_ROLE_AUTO, CONF_ROLE_PRIMARY, CONF_ROLE_REPLICA };

/* How many connections to a server. */
enum conf_bound_kind { CONF_BOUND_UNSET, CONF_BOUND_AUTO, CONF_BOUND_COUNT, CONF_BOUND_PERCENT };
struct conf_bound {
    enum conf_bound_kind kind;
    uint32_t n; /* connections, or percent of what the server allows */
};

/* Of what the server lets one user or database have, so many under this bound; never 0. */
static inline uint32_t conf_bound_of_quota(struct conf_bound b, uint32_t quota)
{
    uint32_t n = b.kind == CONF_BOUND_PERCENT ? (uint32_t)((uint64_t)quota * b.n / 100) : quota;
    return n != 0 ? n : 1;
}

struct conf_param {
    const char *key;
    const char *value;
};

struct conf_host {
    const char *host; /* name, address without brackets, or socket directory; "" libpq's default */
    const char *address; /* hostaddr beside the name; "" when the name is to be resolved */
    uint16_t port;
};

/* A line of [databases], or a URL. */
struct conf_database {
    const char *name; /* what clients ask for; "*" is the fallback for every other name */
    const char *file; /* where it was given; or "environment", "command line", and 0 for the line */
    int line;
    enum conf_proto proto;
    const char *server;   /* canonical "host:port", lists "h1:p1,h2:p2": the key of conf_server */
    const char *dbname;   /* NULL: the name that the client asked for */
    const char *user;     /* NULL: the client's own */
    const char *password; /* from password=, password_file= or password_env=; NULL: none. Secret. */
    const char *password_command;
    uint64_t password_ttl_us; /* CONF_UNSET_US: the setting */
    bool from_url; /* from --url or WEIR_URL*: its user and password may log in to weir */
    bool service;  /* a libpq service names the server; dbname NULL then is the service's */

    const struct conf_host *hosts;
    size_t n_hosts;
    enum conf_load_balance load_balance_hosts;

    /* For PQconnectStartParams, in their order: all that was given and is libpq's (host, hostaddr,
     * port, sslmode, target_session_attrs, options, ...) but dbname, user and password. Values may
     * be secret (sslpassword). */
    const struct conf_param *params;
    size_t n_params;
    /* Settings every server connection of this entry starts with: client_encoding, datestyle,
     * timezone. */
    const struct conf_param *startup;
    size_t n_startup;

    int pool_size; /* -1: not given, as for all the numbers here */
    int min_pool_size;
    int max_db_connections;
    int max_db_client_connections;
    struct conf_bound max_server_connections; /* already taken over by conf_server */
    enum conf_pool_mode pool_mode;
    const char *auth_user;
    const char *auth_query;
    const char *auth_dbname;
    const char *connect_query;
    const char *warm;
    uint64_t server_lifetime_us;
    uint64_t query_wait_timeout_us;
};

/* A database server: one for each that a database entry names, with [servers]' line if there is
 * one. */
struct conf_server {
    const char *name;                         /* as conf_database.server */
    struct conf_bound max_server_connections; /* UNSET: the setting */
    uint64_t idle_to_zero_us;
    int login_concurrency;
    enum conf_role role;
};

/* A line of [users]. */
struct conf_user {
    const char *name;
    int pool_size;
    int max_user_connections;
    int max_user_client_connections;
    enum conf_pool_mode pool_mode;
    uint64_t query_wait_timeout_us;
    uint64_t query_timeout_us;
    uint64_t idle_transaction_timeout_us;
    uint64_t transaction_timeout_us;
    uint64_t client_idle_timeout_us;
};

/* A line of [functions]. */
struct conf_function {
    const char *pattern; /* a name, or a glob */
    int guarantee;
    int limit;
    int weight;
    int max_waiting;
    uint64_t query_wait_timeout_us;
    uint64_t transaction_timeout_us;
    uint64_t idle_transaction_timeout_us;
    uint64_t query_timeout_us;
};

/* What holds for one database and user: the user's line, else the database's, else the setting. */
struct conf_pool {
    enum conf_pool_mode pool_mode;
    int pool_size; /* 0: no limit, as for the following four */
    int min_pool_size;
    int max_db_connections;
    int max_user_connections;
    int max_db_client_connections;
    int max_user_client_connections;
    uint64_t server_lifetime_us;
    uint64_t query_wait_timeout_us;
    uint64_t query_timeout_us;
    uint64_t idle_transaction_timeout_us;
    uint64_t transaction_timeout_us;
    uint64_t client_idle_timeout_us;
};

/* The entry of a name: its own, else that of "*", else NULL. O(1). */
const struct conf_database *conf_database_find(const struct conf *conf, const char *name);
const struct conf_user *conf_user_find(const struct conf *conf, const char *name);
/* The server of a database entry; never NULL for a name taken from one. */
const struct conf_server *conf_server_find(const struct conf *conf, const char *name);
/* The line of exactly this name, else the first glob in the file that fits, `*` last; NULL: none.
 */
const struct conf_function *conf_function_find(const struct conf *conf, const char *name);

/* Walk them in the file's order; NULL when there is none with this index. */
const struct conf_database *conf_database_at(const struct conf *conf, size_t i);
const struct conf_server *conf_server_at(const struct conf *conf, size_t i);
const struct conf_user *conf_user_at(const struct conf *conf, size_t i);
const struct conf_function *conf_function_at(const struct conf *conf, size_t i);
/* What all lines together guarantee, a pattern's counted once. */
unsigned conf_guarantees(const struct conf *conf);

/* Whether a connection made by one is as good as one made by the other: the database, how it is
 * reached, what its connections begin with. Passwords don't matter. */
bool conf_database_same_place(const struct conf_database *a, const struct conf_database *b);
/* `user` is the client's name, or the entry's own where it has one. */
void conf_pool_resolve(const struct conf *conf, const struct conf_database *db, const char *user,
                       struct conf_pool *out);
/* The bound of a server after the setting has filled in; never UNSET. */
struct conf_bound conf_server_bound(const struct conf *conf, const struct conf_server *server);
uint64_t conf_server_idle_to_zero_us(const struct conf *conf, const struct conf_server *server);
int conf_server_login_concurrency(const struct conf *conf, const struct conf_server *server);

#endif
