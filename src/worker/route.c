/* SPDX-License-Identifier: ISC
 * See route.h.
 */
#include "config.h"

#include "worker/route.h"

#include "worker/quota.h"
#include "worker/world.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define LOCALITY_US      2000u /* how much later a client here may have come than one elsewhere */
#define BOUND_UNKNOWN    10u   /* until the server has said how many it gives */
#define AUTO_LEFT_PEOPLE 3u    /* `auto` leaves these beside what the server reserves */

#define ROUTE_KEY_BYTES 600u

struct item {
    UT_hash_handle hh;
    struct route *route;
};

/* What max_db_connections and max_user_connections limit. */
struct route_group {
    struct route_group *next;
    struct core_group *core;
    bool of_user;
    char name[];
};

struct route_switch {
    struct route_switch *next;
    struct route_standing at;
    char database[];
};

struct routes {
    pthread_mutex_t lock;
    struct world *world;
    struct item *by_key;
    struct route *first;
    struct bound_server *first_server;
    struct route_switch *switches; /* under the lock */
    bool all_paused;               /* and whoever has no switch of its own */
};

struct routes *routes_create(struct world *world)
{
    struct routes *rs = calloc(1, sizeof *rs);
    if (rs != NULL) {
        pthread_mutex_init(&rs->lock, NULL);
        rs->world = world;
    }
    return rs;
}

struct route *routes_first(struct routes *rs)
{
    return __atomic_load_n(&rs->first, __ATOMIC_ACQUIRE);
}

struct bound_server *routes_first_server(struct routes *rs)
{
    return __atomic_load_n(&rs->first_server, __ATOMIC_ACQUIRE);
}

uint32_t bound_server_limit(const struct bound_server *s)
{
    uint32_t n = 0;
    uint32_t usable = s->max_connections > s->reserved ? s->max_connections - s->reserved : 1;
    switch (s->bound.kind) {
    case CONF_BOUND_COUNT:
        return s->bound.n;
    case CONF_BOUND_PERCENT:
        n = s->probed ? (uint32_t)((uint64_t)s->max_connections * s->bound.n / 100) : BOUND_UNKNOWN;
        n = s->probed && n > usable ? usable : n;
        break;
    case CONF_BOUND_AUTO:
    case CONF_BOUND_UNSET:
        n = s->probed ? (usable > AUTO_LEFT_PEOPLE ? usable - AUTO_LEFT_PEOPLE : 1) : BOUND_UNKNOWN;
        break;
    }
    return n != 0 ? n : 1;
}

void bound_server_apply(struct bound_server *s, const struct settings *set, uint32_t workers)
{
    const struct conf_settings *cs = conf_settings(set->conf);
    struct core_server_limits lim = {
        .bound = bound_server_limit(s),
        .login_concurrency = (uint32_t)s->login_concurrency,
        .max_waiting = (uint32_t)cs->max_waiting_clients,
        .login_retry_us = cs->server_login_retry_us,
        .locality_us = LOCALITY_US,
        .overload_after_us = cs->overload_after_us,
        .max_per_addr = (uint32_t)cs->max_loans_per_client_addr,
        .idle_to_zero_us = s->idle_to_zero_us,
        .resume_us = cs->resume_timeout_us,
        .workers = workers,
    };
    if (s->core != NULL) {
        core_server_limit(s->core, &lim);
        return;
    }
    uint32_t seed = 0;
    (void)!getrandom(&seed, sizeof seed, 0);
    s->core = core_server_create(s->name, &lim, seed);
}

static void server_configure(struct bound_server *s, const struct settings *set)
{
    const struct conf_server *cs = conf_server_find(set->conf, s->name);
    if (cs != NULL) {
        s->bound = conf_server_bound(set->conf, cs);
        s->login_concurrency = conf_server_login_concurrency(set->conf, cs);
        s->idle_to_zero_us = conf_server_idle_to_zero_us(set->conf, cs);
    }
    if (s->login_concurrency < 1)
        s->login_concurrency = 1;
}

/* Under the table's lock. */
static struct bound_server *server_get(struct routes *rs, struct settings *set, const char *name)
{
    struct bound_server *s;
    for (s = rs->first_server; s != NULL; s = s->next)
        if (strcmp(s->name, name) == 0)
            return s;
    s = calloc(1, sizeof *s);
    if (s == NULL || (s->name = strdup(name)) == NULL)
        return NULL;
    server_configure(s, set);
    bound_server_apply(s, set, rs->world->n_workers);
    if (s->core == NULL)
        return NULL;
    s->plan_at_us = UINT64_MAX;
    s->next = rs->first_server;
    __atomic_store_n(&rs->first_server, s, __ATOMIC_RELEASE);
    return s;
}

/* Under the table's lock: of all routes to this server of one database, or of one user. NULL: out
 * of memory. */
static struct core_group *group_get(struct bound_server *s, bool of_user, const char *name)
{
    struct route_group *g = s->groups;
    while (g != NULL && (g->of_user != of_user || strcmp(g->name, name) != 0))
        g = g->next;
    if (g != NULL)
        return g->core;
    g = calloc(1, sizeof *g + strlen(name) + 1);
    if (g == NULL || (g->core = core_group_create(s->core)) == NULL) {
        free(g);
        return NULL;
    }
    g->of_user = of_user;
    memcpy(g->name, name, strlen(name) + 1);
    g->next = s->groups;
    s->groups = g;
    return g->core;
}

static uint32_t limit_of(int n)
{
    return n > 0 ? (uint32_t)n : 0;
}

static void route_configure(struct route *r, const struct settings *set,
                            const struct conf_database *db, struct core_pool_limits *lim)
{
    const struct conf_settings *cs = conf_settings(set->conf);
    struct conf_pool p;
    conf_pool_resolve(set->conf, db, r->user, &p);
    r->pool_mode = (int)p.pool_mode;
    r->query_wait_us = p.query_wait_timeout_us;
    r->query_timeout_us = p.query_timeout_us;
    r->tx_timeout_us = p.transaction_timeout_us;
    r->idle_tx_timeout_us = p.idle_transaction_timeout_us;
    r->idle_us = p.client_idle_timeout_us;
    core_group_limit(r->of_database, quota_of_database(r, db, limit_of(p.max_db_connections)));
    core_group_limit(r->of_user, quota_of_user(r, limit_of(p.max_user_connections)));
    *lim = (struct core_pool_limits){
        .max_conns = limit_of(p.pool_size),
        .min_conns = limit_of(p.min_pool_size),
        .group = {r->of_database, r->of_user},
        .idle_timeout_us = cs->server_idle_timeout_us,
        .lifetime_us = p.server_lifetime_us,
        .once = p.server_lifetime_us == 0,
    };
    /* The first connection teaches what a client is to be greeted with. */
    if (r->report == NULL && !r->relaxed && lim->min_conns == 0 && !r->replication)
        lim->min_conns = 1;
    if (r->awaits_proof)
        lim->min_conns = 0;
}

/* The secret will come with a client's login. `kind`: what the auth_file has for it. */
static bool proof_will_come(const struct settings *set, const struct conf_database *db,
                            bool in_file, enum keys_kind kind)
{
    const struct conf_settings *cs = conf_settings(set->conf);
    bool asks = cs->auth_type != CONF_AUTH_TRUST && cs->auth_type != CONF_AUTH_ANY &&
                cs->auth_type != CONF_AUTH_CERT;
    if (!asks || db->password_command != NULL || db->service)
        return false;
    return in_file ? kind == KEYS_NONE : db->auth_user != NULL || cs->auth_user[0] != '\0';
}

static void set_password_locked(struct route *r, const char *password)
{
    if (r->password != NULL && password != NULL && strcmp(r->password, password) == 0)
        return;
    secret_wipe(&r->password);
    r->password = password != NULL ? strdup(password) : NULL;
}

/* What the settings say of the password; what a client has proven stays as long as they don't. */
static void choose_password(struct route *r, const struct settings *set,
                            const struct conf_database *db)
{
    const char *password = db->password;
    const struct userlist_user *u = set->users != NULL ? userlist_find(set->users, r->user) : NULL;
    struct server_keys keys = {.k[0].name = ""};
    enum keys_kind kind = KEYS_PASSWORD;
    bool has_secret = u != NULL && protocol_secret(protocol_of(db->proto), u);
    if (has_secret)
        kind = r->server_ops->keys(u->secret, NULL, &keys);
    if (password == NULL && kind == KEYS_PASSWORD && has_secret)
        password = u->secret;
    pthread_mutex_lock(&r->lock);
    if (password != NULL || r->password_fixed)
        set_password_locked(r, password);
    r->password_fixed = password != NULL;
    if (password == NULL && kind == KEYS_FOUND)
        r->keys = keys;
    r->awaits_proof = r->password == NULL && r->keys.k[0].name[0] == '\0' &&
                      proof_will_come(set, db, u != NULL, kind);
    pthread_mutex_unlock(&r->lock);
    explicit_bzero(&keys, sizeof keys);
}

void route_set_password(struct route *r, const char *password)
{
    pthread_mutex_lock(&r->lock);
    set_password_locked(r, password);
    r->password_us = clock_now_us();
    pthread_mutex_unlock(&r->lock);
}

bool route_takes_proof(const struct route *r, const struct settings *set, const char *role)
{
    const struct conf_database *db = conf_database_find(set->conf, r->database);
    return db != NULL && db->password == NULL && db->password_command == NULL &&
           !r->password_fixed && strcmp(r->user, role) == 0;
}

/* Returns whether there is something new to log in with. */
static bool take_proof(struct route *r, const struct route_proof *shown)
{
    struct server_keys keys = {.k[0].name = ""};
    const char *password = shown->password;
    enum keys_kind kind = KEYS_NONE;
    if (password != NULL) {
        kind = KEYS_PASSWORD;
    } else if (shown->secret != NULL) {
        password = shown->secret;
        kind = r->server_ops->keys(shown->secret, shown->proof, &keys);
    }
    pthread_mutex_lock(&r->lock);
    bool fresh = r->awaits_proof;
    r->awaits_proof = false;
    switch (kind) {
    case KEYS_NONE:
        break;
    case KEYS_PASSWORD:
        fresh |= r->password == NULL || strcmp(r->password, password) != 0;
        set_password_locked(r, password);
        break;
    case KEYS_FOUND:
        fresh |= r->password != NULL || memcmp(&r->keys, &keys, sizeof keys) != 0;
        set_password_locked(r, NULL);
        r->keys = keys;
        break;
    }
    pthread_mutex_unlock(&r->lock);
    explicit_bzero(&keys, sizeof keys);
    return fresh;
}

void routes_prove(struct routes *rs, struct settings *set, struct route *r,
                  const struct route_proof *shown)
{
    if (!take_proof(r, shown))
        return;
    const struct conf_database *db = conf_database_find(set->conf, r->database);
    struct core_pool_limits lim;
    if (db == NULL)
        return;
    pthread_mutex_lock(&rs->lock);
    route_configure(r, set, db, &lim);
    pthread_mutex_unlock(&rs->lock);
    core_pool_limit(r->pool, &lim);
    control_nudge(rs->world->control, r->server->core);
}

struct bound_server *routes_server(struct routes *rs, struct settings *set,
                                   const struct conf_database *db)
{
    pthread_mutex_lock(&rs->lock);
    struct bound_server *s = server_get(rs, set, db->server);
    pthread_mutex_unlock(&rs->lock);
    return s;
}

/* ---- the console's switches ---- */

static struct route_standing standing(const struct routes *rs, const char *database)
{
    for (const struct route_switch *s = rs->switches; s != NULL; s = s->next)
        if (strcmp(s->database, database) == 0)
            return s->at;
    return (struct route_standing){.paused = rs->all_paused};
}

struct route_standing routes_standing(struct routes *rs, const char *database)
{
    pthread_mutex_lock(&rs->lock);
    struct route_standing s = standing(rs, database);
    pthread_mutex_unlock(&rs->lock);
    return s;
}

/* The console names only what is configured; with "*" that may be anything, by an administrator. */
static struct route_switch *switch_get(struct routes *rs, const char *database)
{
    struct route_switch *s = rs->switches;
    while (s != NULL && strcmp(s->database, database) != 0)
        s = s->next;
    if (s != NULL || (s = calloc(1, sizeof *s + strlen(database) + 1)) == NULL)
        return s;
    memcpy(s->database, database, strlen(database) + 1);
    s->at.paused = rs->all_paused;
    s->next = rs->switches;
    rs->switches = s;
    return s;
}

bool routes_pause(struct routes *rs, const char *database, bool on)
{
    pthread_mutex_lock(&rs->lock);
    bool was = database == NULL && rs->all_paused;
    if (database != NULL)
        (void)switch_get(rs, database);
    else
        rs->all_paused = on;
    for (struct route_switch *s = rs->switches; s != NULL; s = s->next) {
        if (database != NULL && strcmp(s->database, database) != 0)
            continue;
        was = was || s->at.paused;
        s->at.paused = on;
    }
    pthread_mutex_unlock(&rs->lock);
    return was;
}

bool routes_paused(struct routes *rs, const char *database)
{
    pthread_mutex_lock(&rs->lock);
    bool paused = database != NULL ? standing(rs, database).paused : rs->all_paused;
    for (const struct route_switch *s = rs->switches; database == NULL && s != NULL; s = s->next)
        paused = paused && s->at.paused;
    pthread_mutex_unlock(&rs->lock);
    return paused;
}

bool routes_disable(struct routes *rs, const char *database, bool on)
{
    pthread_mutex_lock(&rs->lock);
    struct route_switch *s = switch_get(rs, database);
    bool was = s != NULL && s->at.disabled;
    if (s != NULL)
        s->at.disabled = on;
    pthread_mutex_unlock(&rs->lock);
    return was;
}

static struct route *route_create(struct routes *rs, struct settings *set,
                                  const struct conf_database *db, const struct route_ask *ask,
                                  const char *key)
{
    size_t n = rs->world->n_workers;
    const struct protocol *protocol = protocol_of(db->proto);
    if (protocol == NULL)
        return NULL;
    struct route *r = calloc(1, sizeof *r + n * sizeof r->stats[0]);
    if (r == NULL)
        return NULL;
    pthread_mutex_init(&r->lock, NULL);
    r->proto = protocol->relay;
    r->server_ops = protocol->server;
    r->database = strdup(ask->database);
    r->user = strdup(ask->user);
    r->key = strdup(key);
    r->replication = ask->replication;
    r->pool_flags = ask->pool_flags;
    snprintf(r->pool_flags_hex, sizeof r->pool_flags_hex, "%" PRIx32, ask->pool_flags);
    r->server = server_get(rs, set, db->server);
    if (r->database == NULL || r->user == NULL || r->key == NULL || r->server == NULL)
        return NULL;
    r->of_database = group_get(r->server, false, r->database);
    r->of_user = group_get(r->server, true, r->user);
    if (r->of_database == NULL || r->of_user == NULL)
        return NULL;
    struct core_pool_limits lim;
    choose_password(r, set, db);
    route_configure(r, set, db, &lim);
    char name[200];
    bool flags = ask->pool_flags != 0;
    snprintf(name, sizeof name, "%s/%s%s%s%s", ask->database, ask->user,
             ask->replication ? " (replication)" : "", flags ? ", flags " : "",
             flags ? r->pool_flags_hex : "");
    r->pool = core_pool_create(r->server->core, name, &lim, r);
    return r->pool != NULL ? r : NULL;
}

/* Its length; 0: too long. Made at each login, so without printf. */
static size_t key_of(const struct route_ask *ask, char key[ROUTE_KEY_BYTES])
{
    size_t database_n = strlen(ask->database), user_n = strlen(ask->user);
    if (database_n + user_n + sizeof "\n\n012345678" > ROUTE_KEY_BYTES)
        return 0;
    char *p = mempcpy(key, ask->database, database_n);
    *p++ = '\n';
    p = mempcpy(p, ask->user, user_n);
    *p++ = '\n';
    *p++ = (char)('0' + ask->replication);
    for (uint32_t flags = ask->pool_flags; flags != 0; flags >>= 4)
        *p++ = (char)('a' + (flags & 15));
    *p = '\0';
    return (size_t)(p - key);
}

/* Under the table's lock: a new one, found by its key from now on. */
static struct route *route_add(struct routes *rs, struct settings *set,
                               const struct conf_database *db, const struct route_ask *ask,
                               const char *key)
{
    bool any_name = strcmp(db->name, "*") == 0;
    unsigned most = any_name ? ROUTES_MAX - ROUTES_NAMED : ROUTES_MAX;
    struct item *it = HASH_COUNT(rs->by_key) < most ? calloc(1, sizeof *it) : NULL;
    struct route *r = it != NULL ? route_create(rs, set, db, ask, key) : NULL;
    if (r == NULL) {
        free(it);
        return NULL;
    }
    it->route = r;
    HASH_ADD_KEYPTR(hh, rs->by_key, r->key, strlen(r->key), it);
    struct route_standing s = standing(rs, r->database);
    atomic_store(&r->disabled, s.disabled);
    atomic_store(&r->paused, s.paused);
    core_pool_pause(r->pool, s.paused, clock_now_us());
    r->next = rs->first;
    __atomic_store_n(&rs->first, r, __ATOMIC_RELEASE);
    return r;
}

struct route *routes_get(struct routes *rs, struct settings *set, const struct conf_database *db,
                         const struct route_ask *ask)
{
    char key[ROUTE_KEY_BYTES];
    size_t len = key_of(ask, key);
    if (len == 0)
        return NULL;
    struct item *it = NULL;
    struct route *r = NULL;
    bool fresh = false;
    pthread_mutex_lock(&rs->lock);
    HASH_FIND(hh, rs->by_key, key, len, it);
    if (it != NULL)
        r = it->route;
    else
        fresh = (r = route_add(rs, set, db, ask, key)) != NULL;
    pthread_mutex_unlock(&rs->lock);
    if (fresh) /* min_pool_size; of a known one the core asks by itself */
        control_nudge(rs->world->control, r->server->core);
    return r;
}

uint32_t routes_clients(struct routes *rs, const char *database, const char *user)
{
    uint32_t n = 0;
    for (struct route *r = routes_first(rs); r != NULL; r = r->next)
        if ((database == NULL || strcmp(r->database, database) == 0) &&
            (user == NULL || strcmp(r->user, user) == 0))
            n += atomic_load(&r->clients);
    return n;
}

void routes_expire(struct routes *rs, uint16_t worker, uint64_t now_us,
                   struct core_waiter_list *out)
{
    for (struct bound_server *s = routes_first_server(rs); s != NULL; s = s->next)
        (void)core_expire(s->core, worker, now_us, out);
}

void routes_relax(struct routes *rs, struct settings *set, struct route *r)
{
    const struct conf_database *db = conf_database_find(set->conf, r->database);
    struct core_pool_limits lim;
    if (db == NULL || r->relaxed)
        return;
    pthread_mutex_lock(&rs->lock);
    r->relaxed = true;
    route_configure(r, set, db, &lim);
    pthread_mutex_unlock(&rs->lock);
    core_pool_limit(r->pool, &lim);
}

void routes_learn_limits(struct routes *rs, struct settings *set, struct bound_server *s,
                         struct server_limits *limits)
{
    pthread_mutex_lock(&rs->lock);
    s->max_connections = limits->max_connections;
    s->reserved = limits->reserved;
    quota_learn(s, limits);
    atomic_store(&s->probed, true);
    bound_server_apply(s, set, rs->world->n_workers);
    for (struct route *r = rs->first; r != NULL; r = r->next) {
        const struct conf_database *db = conf_database_find(set->conf, r->database);
        struct core_pool_limits lim;
        if (db != NULL && r->server == s)
            route_configure(r, set, db, &lim);
    }
    pthread_mutex_unlock(&rs->lock);
}

/* What clients have proven holds at the new server as well: they will not prove it again. */
static void inherit_secret(struct route *to, struct route *from)
{
    if (!to->awaits_proof)
        return;
    pthread_mutex_lock(&from->lock);
    pthread_mutex_lock(&to->lock);
    set_password_locked(to, from->password);
    to->keys = from->keys;
    to->awaits_proof = to->password == NULL && to->keys.k[0].name[0] == '\0';
    pthread_mutex_unlock(&to->lock);
    pthread_mutex_unlock(&from->lock);
}

/* Under the table's lock: the entry is at another server now. Clients of another protocol can't
 * follow it there. */
static void route_replace(struct routes *rs, struct settings *set, const struct conf_database *db,
                          struct route *r)
{
    const struct protocol *protocol = protocol_of(db->proto);
    const struct route_ask ask = {.database = r->database,
                                  .user = r->user,
                                  .replication = r->replication,
                                  .pool_flags = r->pool_flags};
    struct item *it = NULL;
    HASH_FIND(hh, rs->by_key, r->key, strlen(r->key), it);
    if (it == NULL)
        return;
    HASH_DEL(rs->by_key, it);
    struct route *successor = route_add(rs, set, db, &ask, r->key);
    if (successor == NULL) { /* out of memory: as it was */
        HASH_ADD_KEYPTR(hh, rs->by_key, r->key, strlen(r->key), it);
        return;
    }
    free(it);
    inherit_secret(successor, r);
    if (protocol != NULL && protocol->relay == r->proto)
        atomic_store(&r->successor, successor);
    core_pool_retire(r->pool, "08006", "weir: the database is at another server now; connect again",
                     clock_now_us());
}

/* Under the table's lock: it has not been replaced. */
static bool is_current(const struct routes *rs, const struct route *r)
{
    struct item *it = NULL;
    HASH_FIND(hh, rs->by_key, r->key, strlen(r->key), it);
    return it != NULL && it->route == r;
}

/* Whether new connections of `r` would be like those it has. */
static bool leads_there_still(const struct route *r, const struct conf_database *db,
                              const struct settings *old)
{
    const struct conf_database *was = conf_database_find(old->conf, r->database);
    return was == NULL || conf_database_same_place(was, db);
}

void routes_reload(struct routes *rs, struct settings *set, const struct settings *old)
{
    pthread_mutex_lock(&rs->lock);
    for (struct bound_server *s = rs->first_server; s != NULL; s = s->next) {
        server_configure(s, set);
        bound_server_apply(s, set, rs->world->n_workers);
        if (conf_server_find(set->conf, s->name) == NULL)
            atomic_store(&s->reachable, false); /* nobody looks there any more */
    }
    for (struct route *r = rs->first; r != NULL; r = r->next) {
        if (!is_current(rs, r))
            continue;
        const struct conf_database *db = conf_database_find(set->conf, r->database);
        if (db == NULL) { /* who has a loan may finish it; should it come back, it is another's */
            core_pool_retire(r->pool, "3D000", DATABASE_GONE, clock_now_us());
            r->gone = true;
            continue;
        }
        if (r->gone || strcmp(db->server, r->server->name) != 0) {
            route_replace(rs, set, db, r);
            continue;
        }
        if (!leads_there_still(r, db, old))
            core_pool_reconnect(r->pool, clock_now_us());
        struct core_pool_limits lim;
        choose_password(r, set, db);
        route_configure(r, set, db, &lim);
        core_pool_limit(r->pool, &lim);
    }
    pthread_mutex_unlock(&rs->lock);
}

void route_client_left(struct route *r)
{
    atomic_fetch_sub(&r->clients, 1);
}

void route_last_words(struct backend *b, char *text, size_t room, char code[6])
{
    const char *why = b->stream.fd >= 0 ? stream_error(&b->stream) : "";
    if (!b->route->server_ops->last_words(b->proto, text, room, code))
        snprintf(text, room, "server closed the connection unexpectedly%s%s",
                 why[0] != '\0' ? ": " : "", why);
}

static void *own_report(struct route *r)
{
    void *ref = NULL;
    pthread_mutex_lock(&r->lock);
    if (r->report != NULL)
        ref = r->server_ops->report_get(r->report);
    pthread_mutex_unlock(&r->lock);
    return ref;
}

void *route_report(struct routes *rs, struct route *r, bool *own)
{
    void *ref = own_report(r);
    *own = ref != NULL;
    /* Nobody has been there as this user: what others were told holds but for who they are. A
     * walsender for physical replication is in no database, so none's settings are in force. */
    bool nowhere = r->replication == 1;
    for (struct route *o = routes_first(rs); ref == NULL && o != NULL; o = o->next)
        if (o->server == r->server && strcmp(o->database, r->database) == 0 &&
            (o->replication == 1) == nowhere)
            ref = own_report(o);
    for (struct route *o = routes_first(rs); ref == NULL && o != NULL; o = o->next)
        if (o->server == r->server && (o->replication == 1) == nowhere)
            ref = own_report(o);
    return ref;
}

void route_learn(struct route *r, void *report)
{
    pthread_mutex_lock(&r->lock);
    void *old = r->report;
    r->report = report;
    snprintf(r->version, sizeof r->version, "%s", r->server_ops->version(report));
    r->last_error[0] = '\0';
    pthread_mutex_unlock(&r->lock);
    if (old != NULL)
        r->server_ops->report_put(&old);
}
