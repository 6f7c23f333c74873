/* SPDX-License-Identifier: ISC
 * See view.h. What is asked of one worker runs on that worker's thread.
 */
#include "config.h"

#include "worker/view.h"

#include "worker/control.h"
#include "worker/function.h"
#include "worker/route.h"
#include "worker/world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_A_TURN  256u
#define TEXTS_A_TURN 32u /* clients, each of which may have many */

static void copy(char *to, size_t room, const char *from)
{
    (void)snprintf(to, room, "%s", from != NULL ? from : "");
}

static const char *mode_name(int mode)
{
    static const char *const names[] = {"transaction", "session", "statement"};
    return names[mode >= 0 && mode < 3 ? mode : 0];
}

static const char *balance_name(enum conf_load_balance how)
{
    static const char *const names[] = {"disable", "round-robin", "random"};
    return names[how];
}

/* ---- rows that are read where they stand
 * ------------------------------------------------------------ */

static size_t count_routes(struct world *w)
{
    size_t n = 0;
    for (struct route *r = routes_first(w->routes); r != NULL; r = r->next)
        n++;
    return n;
}

/* Another route of the same database and user: its connections are another kind. */
static void add_pool(const struct view_pool *from, struct view_pool *p)
{
    p->cl_active += from->cl_active;
    p->cl_waiting += from->cl_waiting;
    p->cl_idle += from->cl_idle;
    p->sv_active += from->sv_active;
    p->sv_idle += from->sv_idle;
    p->sv_login += from->sv_login;
    p->sv_closing += from->sv_closing;
    p->sv_cancel += from->sv_cancel;
    if (p->maxwait_us < from->maxwait_us)
        p->maxwait_us = from->maxwait_us;
    if (p->last_error[0] == '\0')
        copy(p->last_error, sizeof p->last_error, from->last_error);
}

static void fill_pool(struct route *r, struct view_pool *p, uint64_t now)
{
    struct core_counts n;
    core_pool_counts(r->pool, now, &n);
    copy(p->database, sizeof p->database, r->database);
    copy(p->user, sizeof p->user, r->user);
    copy(p->server, sizeof p->server, r->server->name);
    p->pool_mode = mode_name(r->pool_mode);
    uint32_t clients = atomic_load(&r->clients);
    p->cl_active = n.lent;
    p->cl_waiting = n.waiting;
    p->cl_idle = clients > n.lent + n.waiting ? clients - n.lent - n.waiting : 0;
    p->sv_active = n.lent;
    p->sv_idle = n.idle;
    p->sv_login = n.opening;
    p->sv_closing = n.closing;
    p->sv_cancel = n.cancelling;
    p->limit = n.bound;
    p->maxwait_us = n.oldest_wait_us;
    p->paused = atomic_load(&r->paused);
    p->disabled = atomic_load(&r->disabled);
    pthread_mutex_lock(&r->lock);
    copy(p->last_error, sizeof p->last_error, r->last_error);
    pthread_mutex_unlock(&r->lock);
}

static bool is_plain(const struct route *r)
{
    return r->replication == 0 && r->pool_flags == 0 && r->successor == NULL;
}

size_t world_pools(struct world *w, struct view_pool **rows)
{
    size_t n = 0, room = count_routes(w);
    *rows = calloc(room + 1, sizeof **rows);
    if (*rows == NULL)
        return 0;
    /* One row for each database and user: first the plain routes, then the others, which are few.
     */
    for (struct route *r = routes_first(w->routes); r != NULL && n < room; r = r->next)
        if (is_plain(r))
            fill_pool(r, &(*rows)[n++], clock_now_us());
    for (struct route *r = routes_first(w->routes); r != NULL && n < room; r = r->next) {
        struct view_pool one = {.pool_mode = ""};
        size_t i = 0;
        if (is_plain(r))
            continue;
        fill_pool(r, &one, clock_now_us());
        while (i < n && (strcmp((*rows)[i].database, one.database) != 0 ||
                         strcmp((*rows)[i].user, one.user) != 0))
            i++;
        if (i < n)
            add_pool(&one, &(*rows)[i]);
        else
            (*rows)[n++] = one;
    }
    return n;
}

/* Without the prefix by which MariaDB fools replicas of old. */
static const char *shown_version(const char *version)
{
    return strncmp(version, "5.5.5-", 6) == 0 ? version + 6 : version;
}

size_t world_bounds(struct world *w, struct view_bound **rows)
{
    size_t n = 0, room = 0;
    for (struct bound_server *s = routes_first_server(w->routes); s != NULL; s = s->next)
        room++;
    *rows = calloc(room + 1, sizeof **rows);
    if (*rows == NULL)
        return 0;
    struct settings *set = world_settings(w);
    for (struct bound_server *s = routes_first_server(w->routes); s != NULL && n < room;
         s = s->next) {
        struct core_counts c;
        core_server_counts(s->core, clock_now_us(), &c);
        if (conf_server_find(set->conf, s->name) == NULL &&
            c.opening + c.idle + c.lent + c.closing + c.waiting == 0)
            continue; /* no entry leads there any more */
        struct view_bound *b = &(*rows)[n++];
        copy(b->server, sizeof b->server, s->name);
        b->limit = c.bound;
        b->opening = c.opening;
        b->idle = c.idle;
        b->lent = c.lent;
        b->closing = c.closing;
        b->cancelling = c.cancelling;
        b->control = c.control;
        b->waiting = c.waiting;
        b->oldest_wait_us = c.oldest_wait_us;
        b->oldest_loan_us = c.oldest_loan_us;
        b->reachable = atomic_load(&s->reachable);
        b->server_max_connections = s->max_connections;
        for (struct route *r = routes_first(w->routes); r != NULL; r = r->next) {
            pthread_mutex_lock(&r->lock);
            if (r->server == s && r->version[0] != '\0')
                copy(b->version, sizeof b->version, shown_version(r->version));
            pthread_mutex_unlock(&r->lock);
        }
    }
    settings_put(&set);
    return n;
}

size_t world_databases(struct world *w, struct view_database **rows)
{
    struct settings *set = world_settings(w);
    const struct conf_database *db;
    size_t n = 0, room = 0;
    while (conf_database_at(set->conf, room) != NULL)
        room++;
    *rows = calloc(room + 1, sizeof **rows);
    for (; *rows != NULL && n < room && (db = conf_database_at(set->conf, n)) != NULL; n++) {
        struct view_database *v = &(*rows)[n];
        struct conf_pool p;
        conf_pool_resolve(set->conf, db, db->user != NULL ? db->user : "", &p);
        copy(v->name, sizeof v->name, db->name);
        copy(v->host, sizeof v->host, db->n_hosts != 0 ? db->hosts[0].host : "");
        v->port = db->n_hosts != 0 ? db->hosts[0].port : 0;
        copy(v->dbname, sizeof v->dbname, db->dbname != NULL ? db->dbname : db->name);
        copy(v->force_user, sizeof v->force_user, db->user);
        v->pool_mode = mode_name((int)p.pool_mode);
        v->pool_size = (uint32_t)p.pool_size;
        v->min_pool_size = (uint32_t)p.min_pool_size;
        v->max_connections = (uint32_t)p.max_db_connections;
        v->max_client_connections = (uint32_t)p.max_db_client_connections;
        v->server_lifetime_s = (uint32_t)(p.server_lifetime_us / US_PER_S);
        v->load_balance_hosts = db->n_hosts > 1 ? balance_name(db->load_balance_hosts) : NULL;
        struct route_standing said = routes_standing(w->routes, db->name);
        v->paused = said.paused;
        v->disabled = said.disabled;
        for (struct route *r = routes_first(w->routes); r != NULL; r = r->next) {
            struct core_counts c;
            if (strcmp(r->database, db->name) != 0)
                continue;
            core_pool_counts(r->pool, clock_now_us(), &c);
            v->current_connections += c.opening + c.idle + c.lent + c.closing;
            v->current_client_connections += atomic_load(&r->clients);
        }
    }
    settings_put(&set);
    return *rows != NULL ? n : 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct view_user *)a)->name, ((const struct view_user *)b)->name);
}

/* Rows of equal names become one. */
static size_t merge_users(struct view_user *rows, size_t n)
{
    size_t kept = 0;
    qsort(rows, n, sizeof *rows, by_name);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || strcmp(rows[kept - 1].name, rows[i].name) != 0) {
            rows[kept++] = rows[i];
            continue;
        }
        rows[kept - 1].current_connections += rows[i].current_connections;
        rows[kept - 1].current_client_connections += rows[i].current_client_connections;
    }
    return kept;
}

/* What [users] says, or where a limit has no "unset" the setting. */
static void fill_terms(struct view_user *v, const struct conf *conf)
{
    const struct conf_settings *cs = conf_settings(conf);
    const struct conf_user *u = conf_user_find(conf, v->name);
    v->max_connections = (uint32_t)cs->max_user_connections;
    v->max_client_connections = (uint32_t)cs->max_user_client_connections;
    if (u == NULL)
        return;
    if (u->pool_size > 0)
        v->pool_size = (uint32_t)u->pool_size;
    if (u->pool_mode != CONF_POOL_UNSET)
        v->pool_mode = mode_name((int)u->pool_mode);
    if (u->max_user_connections >= 0)
        v->max_connections = (uint32_t)u->max_user_connections;
    if (u->max_user_client_connections >= 0)
        v->max_client_connections = (uint32_t)u->max_user_client_connections;
}

/* Who has been here, and whoever is configured. */
size_t world_users(struct world *w, struct view_user **rows)
{
    struct settings *set = world_settings(w);
    const struct conf_user *u;
    size_t n = 0, users = set->users != NULL ? userlist_count(set->users) : 0;
    size_t routes = count_routes(w), lines = 0;
    while (conf_user_at(set->conf, lines) != NULL)
        lines++;
    *rows = calloc(routes + users + lines + 1, sizeof **rows);
    for (struct route *r = routes_first(w->routes); *rows != NULL && r != NULL && n < routes;
         r = r->next) {
        struct core_counts c;
        struct view_user *v = &(*rows)[n++];
        core_pool_counts(r->pool, clock_now_us(), &c);
        copy(v->name, sizeof v->name, r->user);
        v->current_connections = c.opening + c.idle + c.lent + c.closing;
        v->current_client_connections = atomic_load(&r->clients);
    }
    for (size_t i = 0; *rows != NULL && i < users; i++)
        copy((*rows)[n++].name, VIEW_NAME_MAX, userlist_at(set->users, i)->name);
    for (size_t i = 0; *rows != NULL && (u = conf_user_at(set->conf, i)) != NULL; i++)
        copy((*rows)[n++].name, VIEW_NAME_MAX, u->name);
    if (n != 0)
        n = merge_users(*rows, n);
    for (size_t i = 0; i < n; i++)
        fill_terms(&(*rows)[i], set->conf);
    settings_put(&set);
    return n;
}

size_t world_stats(struct world *w, struct view_stats **rows)
{
    size_t n = 0, room = count_routes(w);
    *rows = calloc(room + 1, sizeof **rows);
    if (*rows == NULL)
        return 0;
    for (struct route *r = routes_first(w->routes); r != NULL; r = r->next) {
        size_t i = 0;
        while (i < n && strncmp((*rows)[i].database, r->database, VIEW_NAME_MAX - 1) != 0)
            i++;
        if (i == n) {
            if (n == room)
                break;
            copy((*rows)[n++].database, VIEW_NAME_MAX, r->database);
        }
        for (uint32_t k = 0; k < w->n_workers; k++)
            stat_merge(&(*rows)[i], &r->stats[k]);
    }
    return n;
}

bool world_times(struct world *w, const char *function, bool hold, struct histogram_view *out)
{
    return functions_times(w->functions, function, hold, out);
}

size_t world_functions(struct world *w, struct view_function **rows)
{
    struct settings *set = world_settings(w);
    size_t n = functions_view(w->functions, set, rows);
    settings_put(&set);
    return n;
}

size_t world_reasons(struct world *w, struct view_reason **rows)
{
    return functions_reasons(w->functions, rows);
}

size_t world_mem(struct world *w, struct view_mem **rows)
{
    size_t n = 0;
    *rows = calloc(PROTOCOLS, sizeof **rows);
    for (unsigned door = 0; *rows != NULL && door < PROTOCOLS; door++) {
        struct view_mem *m = &(*rows)[n];
        if (protocol_at(door) == NULL)
            continue;
        snprintf(m->name, sizeof m->name, "client%s%s", door != 0 ? "_" : "",
                 door != 0 ? protocol_at(door)->relay->name : "");
        for (uint32_t k = 0; k < w->n_workers; k++) {
            const struct slab *s = &w->workers[k]->clients[door];
            m->size_bytes = s->size;
            m->used += s->used;
            m->total_bytes += (uint64_t)s->blocks * 65536u;
        }
        m->free = m->size_bytes != 0 ? m->total_bytes / m->size_bytes - m->used : 0;
        n++;
    }
    return n;
}

void world_overview(struct world *w, struct view_overview *out)
{
    struct view_user *users;
    struct settings *set = world_settings(w);
    out->started_wall_us = w->started_wall_us;
    out->workers = w->n_workers;
    while (conf_database_at(set->conf, out->databases) != NULL)
        out->databases++;
    settings_put(&set);
    out->users = (uint32_t)world_users(w, &users);
    free(users);
    out->pools = (uint32_t)count_routes(w);
    for (uint32_t k = 0; k < w->n_workers; k++) {
        const _Atomic uint32_t *n = w->workers[k]->counts;
        out->clients_login += n[CLIENT_LOGIN];
        out->clients_idle += n[CLIENT_IDLE];
        out->clients_waiting += n[CLIENT_WAITING];
        out->clients_active += n[CLIENT_ACTIVE];
        for (unsigned why = 0; why < VIEW_REFUSED_COUNT; why++)
            out->refused[why] += w->workers[k]->refused[why];
    }
    for (struct bound_server *s = routes_first_server(w->routes); s != NULL; s = s->next) {
        struct core_counts c;
        core_server_counts(s->core, clock_now_us(), &c);
        out->servers += c.opening + c.idle + c.lent + c.closing;
    }
    out->draining = atomic_load(&w->draining);
    for (struct route *r = routes_first(w->routes); r != NULL; r = r->next)
        out->paused = out->paused || atomic_load(&r->paused);
}

/* ---- rows that are collected
 * --------------------------------------------------------------------------- */

struct view_mail {
    struct mail mail;
    struct world *world;
    enum view_what what;
    uint32_t worker; /* whose turn it is */
    uint32_t slot;   /* where to go on */
    view_done *done;
    void *arg;
    struct buf rows;
    size_t n;
    struct view_statements *statements; /* of VIEW_STATEMENTS, or NULL */
};

static void put_addr(const struct client *c, char *to, size_t room, uint16_t *port)
{
    *port = c->port;
    copy(to, room, "unix");
    if (c->family != 0)
        (void)inet_ntop(c->family == 4 ? AF_INET : AF_INET6, c->addr, to, (socklen_t)room);
}

static uint64_t wall(const struct worker *w, uint64_t mono_us)
{
    return clock_wall_us() - (w->now_us - mono_us);
}

static void client_row(struct worker *w, struct client *c, struct view_client *v)
{
    struct proto_facts f;
    c->route->proto->facts(c->proto, c->loan != NULL ? c->loan->proto : NULL, &f);
    v->id = client_id(c);
    copy(v->database, sizeof v->database, c->route->database);
    copy(v->user, sizeof v->user, c->route->user);
    copy(v->application_name, sizeof v->application_name, f.application_name);
    copy(v->function, sizeof v->function, c->function->name);
    put_addr(c, v->addr, sizeof v->addr, &v->port);
    copy(v->tls, sizeof v->tls, client_tls_text(c));
    v->state = c->state == CLIENT_ACTIVE && f.tx != 'I' && !f.busy ? "idle_in_transaction"
                                                                   : client_state_names[c->state];
    v->protocol = c->route->proto->name;
    v->connected_wall_us = wall(w, c->connected_us);
    v->request_wall_us = wall(w, c->since_us);
    v->wait_us = c->state == CLIENT_WAITING ? w->now_us - c->since_us : 0;
    v->server_id = c->loan != NULL ? c->loan->id : 0;
    v->prepared = f.prepared;
    v->worker = w->index;
}

static void pin_row(struct worker *w, struct client *c, struct view_mail *m)
{
    struct proto_facts f;
    struct view_pin v = {0};
    if (c->loan == NULL)
        return;
    c->route->proto->facts(c->proto, c->loan->proto, &f);
    if (f.pin_reason[0] == '\0')
        return;
    v.client_id = client_id(c);
    v.server_id = c->loan->id;
    copy(v.database, sizeof v.database, c->route->database);
    copy(v.user, sizeof v.user, c->route->user);
    copy(v.function, sizeof v.function, c->function->name);
    copy(v.reason, sizeof v.reason, f.pin_reason);
    copy(v.statement, sizeof v.statement, f.pin_statement);
    v.age_us = w->now_us - f.pin_since_us;
    if (buf_append(&m->rows, &v, sizeof v))
        m->n++;
}

static void server_row(struct worker *w, struct backend *b, struct view_mail *m)
{
    struct proto_facts f;
    struct view_server v = {0};
    static const char *const states[] = {"idle", "active", "cleaning", "closing", "active"};
    b->route->proto->facts(NULL, b->proto, &f);
    v.id = b->id;
    copy(v.database, sizeof v.database, b->route->database);
    copy(v.user, sizeof v.user, b->route->user);
    copy(v.application_name, sizeof v.application_name, f.application_name);
    copy(v.server, sizeof v.server, b->route->server->name);
    if (b->client != NULL && b->function != NULL)
        copy(v.function, sizeof v.function, b->function->name);
    stream_peer(&b->stream, v.addr, sizeof v.addr, &v.port, v.local_addr, sizeof v.local_addr,
                &v.local_port);
    tls_describe(&b->stream, v.tls, sizeof v.tls);
    v.state = b->state == BACKEND_LENT && b->deadline_us != 0 ? "settling" : states[b->state];
    v.connected_wall_us = b->opened_wall_us;
    v.request_wall_us = b->lent_us != 0 ? wall(w, b->lent_us) : b->opened_wall_us;
    v.client_id = b->client != NULL ? client_id(b->client) : 0;
    v.remote_pid = b->route->server_ops->remote_pid(b->proto);
    v.loans = b->core.loans;
    v.prepared = f.prepared;
    v.worker = w->index;
    if (buf_append(&m->rows, &v, sizeof v))
        m->n++;
}

static void collect_servers(struct worker *w, struct view_mail *m)
{
    for (int s = 0; s < BACKEND_LISTS; s++) {
        struct backend *b;
        TAILQ_FOREACH(b, &w->backends[s], link)
        {
            if (m->statements != NULL)
                view_statements_add(m->statements, b->route, NULL, b->proto);
            else
                server_row(w, b, m);
        }
    }
}

/* Some of the clients; true: all are done. */
static bool collect_clients(struct worker *w, struct view_mail *m)
{
    uint32_t end = m->slot + (m->statements != NULL ? TEXTS_A_TURN : ROWS_A_TURN);
    for (; m->slot < w->n_slots && m->slot < end; m->slot++) {
        struct client *c = w->slots[m->slot];
        if (c == NULL || c->route == NULL || c->is_console || c->state == CLIENT_LOGIN ||
            c->state == CLIENT_GONE || c->state == CLIENT_CLOSING)
            continue;
        if (m->what == VIEW_PINS) {
            pin_row(w, c, m);
            continue;
        }
        if (m->statements != NULL) {
            view_statements_add(m->statements, c->route, c->proto, NULL);
            continue;
        }
        struct view_client v = {0};
        client_row(w, c, &v);
        if (buf_append(&m->rows, &v, sizeof v))
            m->n++;
    }
    return m->slot >= w->n_slots;
}

void view_on_mail(struct worker *w, struct mail *mail)
{
    struct view_mail *m = container_of(mail, struct view_mail, mail);
    bool all = true;
    if (m->what == VIEW_SERVERS || (m->what == VIEW_STATEMENTS && m->slot == 0))
        collect_servers(w, m);
    if (m->what != VIEW_SERVERS)
        all = collect_clients(w, m);
    if (!all) {
        worker_post(w->world, w->index, mail);
        return;
    }
    m->slot = 0;
    m->worker++;
    if (m->worker < w->world->n_workers)
        worker_post(w->world, (uint16_t)m->worker, mail);
    else
        control_post(w->world->control, mail);
}

void view_collected(struct mail *mail)
{
    struct view_mail *m = container_of(mail, struct view_mail, mail);
    void *rows = buf_steal(&m->rows);
    if (m->statements != NULL)
        rows = view_statements_end(&m->statements, &m->n);
    m->done(rows, m->n, m->arg);
    free(m);
}

bool world_collect(struct world *w, enum view_what what, view_done *done, void *arg)
{
    struct view_mail *m = calloc(1, sizeof *m);
    if (m == NULL)
        return false;
    m->mail.kind = MAIL_VIEW;
    m->world = w;
    m->what = what;
    m->done = done;
    m->arg = arg;
    if (what == VIEW_STATEMENTS && (m->statements = view_statements_create()) == NULL) {
        free(m);
        return false;
    }
    worker_post(w, 0, &m->mail);
    return true;
}
