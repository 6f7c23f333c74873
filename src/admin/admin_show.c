/* SPDX-License-Identifier: ISC
 * Rows (stat/view.h) into tables: one function for each SHOW, its cells in the order of
 * admin_columns.c.
 */
#include "config.h"

#include "admin/admin_priv.h"

#include "base/buf.h"
#include "base/clock.h"
#include "conf/conf_describe.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void put_name(struct admin_table *t, const char *name)
{
    admin_table_text(t, name[0] == '\0' ? NULL : name);
}

static void put_wall(struct admin_table *t, uint64_t wall_us)
{
    time_t s = (time_t)(wall_us / US_PER_S);
    struct tm tm;
    char text[64];
    if (wall_us == 0 || localtime_r(&s, &tm) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", &tm) == 0)
        text[0] = '\0';
    admin_table_text(t, text);
}

/* ---- sockets ------------------------------------------------------------------------------------
 */

/* weir's states in PgBouncer's words; the exact one is shown in the column `activity`. */
static const char *pgbouncer_client_state(const char *state)
{
    if (strcmp(state, "idle_in_transaction") == 0)
        return "active";
    return state;
}

static const char *pgbouncer_server_state(const char *state)
{
    if (strcmp(state, "login") == 0)
        return "new";
    if (strcmp(state, "settling") == 0)
        return "active";
    if (strcmp(state, "cleaning") == 0)
        return "tested";
    return state;
}

static void put_id_hex(struct admin_table *t, uint64_t id)
{
    char text[24] = "";
    if (id != 0)
        (void)snprintf(text, sizeof text, "0x%llx", (unsigned long long)id);
    admin_table_text(t, text);
}

static void put_client_socket(struct admin_table *t, const struct view_client *c)
{
    admin_table_text(t, "C");
    admin_table_text(t, c->user);
    admin_table_text(t, c->database);
    admin_table_text(t, c->replication == 'l'   ? "logical"
                        : c->replication == 'p' ? "physical"
                                                : "none");
    admin_table_text(t, pgbouncer_client_state(c->state));
    admin_table_text(t, c->addr);
    admin_table_uint(t, c->port);
    admin_table_text(t, c->local_addr);
    admin_table_uint(t, c->local_port);
    put_wall(t, c->connected_wall_us);
    put_wall(t, c->request_wall_us);
    admin_table_uint(t, c->wait_us / US_PER_S);
    admin_table_uint(t, c->wait_us % US_PER_S);
    admin_table_uint(t, c->close_needed);
    put_id_hex(t, c->id);
    put_id_hex(t, c->server_id);
    admin_table_int(t, c->remote_pid);
    admin_table_text(t, c->tls);
    admin_table_text(t, c->application_name);
    admin_table_uint(t, c->prepared);
    admin_table_uint(t, c->id);
}

static void put_server_socket(struct admin_table *t, const struct view_server *s)
{
    admin_table_text(t, "S");
    admin_table_text(t, s->user);
    admin_table_text(t, s->database);
    admin_table_text(t, "none");
    admin_table_text(t, pgbouncer_server_state(s->state));
    admin_table_text(t, s->addr);
    admin_table_uint(t, s->port);
    admin_table_text(t, s->local_addr);
    admin_table_uint(t, s->local_port);
    put_wall(t, s->connected_wall_us);
    put_wall(t, s->request_wall_us);
    admin_table_uint(t, 0);
    admin_table_uint(t, 0);
    admin_table_uint(t, s->close_needed);
    put_id_hex(t, s->id);
    put_id_hex(t, s->client_id);
    admin_table_int(t, s->remote_pid);
    admin_table_text(t, s->tls);
    admin_table_text(t, s->application_name);
    admin_table_uint(t, s->prepared);
    admin_table_uint(t, s->id);
}

/* SHOW SOCKETS: where PgBouncer shows its buffers there is nothing to tell, weir keeps none. */
static void put_no_buffers(struct admin_table *t)
{
    for (unsigned i = 0; i < 7; i++)
        admin_table_uint(t, 0);
}

static void put_own(struct admin_table *t, const char *function, const char *state, uint16_t worker)
{
    put_name(t, function);
    admin_table_text(t, state);
    admin_table_uint(t, worker);
}

static void show_clients(const struct view_client *c, size_t n, struct admin_table *t)
{
    for (; n > 0; n--, c++) {
        put_client_socket(t, c);
        put_own(t, c->function, c->state, c->worker);
        admin_table_text(t, c->protocol);
        admin_table_uint(t, c->server_id);
    }
}

static void show_servers(const struct view_server *s, size_t n, struct admin_table *t)
{
    for (; n > 0; n--, s++) {
        put_server_socket(t, s);
        put_own(t, s->function, s->state, s->worker);
        admin_table_text(t, s->server);
        admin_table_uint(t, s->loans);
        admin_table_uint(t, s->client_id);
    }
}

static bool state_is_active(const char *state)
{
    return strcmp(state, "idle") != 0;
}

static void show_client_sockets(const struct view_client *c, size_t n, bool only_active,
                                struct admin_table *t)
{
    for (; n > 0; n--, c++) {
        if (only_active && !state_is_active(c->state))
            continue;
        put_client_socket(t, c);
        put_no_buffers(t);
        put_own(t, c->function, c->state, c->worker);
    }
}

static void show_server_sockets(const struct view_server *s, size_t n, bool only_active,
                                struct admin_table *t)
{
    for (; n > 0; n--, s++) {
        if (only_active && !state_is_active(s->state))
            continue;
        put_server_socket(t, s);
        put_no_buffers(t);
        put_own(t, s->function, s->state, s->worker);
    }
}

static void show_pins(const struct view_pin *p, size_t n, struct admin_table *t)
{
    for (; n > 0; n--, p++) {
        admin_table_uint(t, p->client_id);
        admin_table_uint(t, p->server_id);
        admin_table_text(t, p->database);
        admin_table_text(t, p->user);
        put_name(t, p->function);
        admin_table_text(t, p->reason);
        admin_table_text(t, p->statement);
        admin_table_uint(t, p->age_us);
    }
}

static void show_statements(const struct view_statement *s, size_t n, struct admin_table *t)
{
    for (; n > 0; n--, s++) {
        admin_table_text(t, s->name);
        admin_table_text(t, s->database);
        admin_table_text(t, s->user);
        admin_table_text(t, s->statement);
        admin_table_uint(t, s->clients);
        admin_table_uint(t, s->servers);
        admin_table_uint(t, s->bytes);
    }
}

void admin_show_collected(enum admin_verb verb, enum admin_what what, const void *rows, size_t n,
                          struct admin_table *t)
{
    bool sockets = verb == ADMIN_SHOW_SOCKETS || verb == ADMIN_SHOW_ACTIVE_SOCKETS;
    bool only_active = verb == ADMIN_SHOW_ACTIVE_SOCKETS;
    switch (what) {
    case ADMIN_WHAT_CLIENTS:
        if (sockets)
            show_client_sockets(rows, n, only_active, t);
        else
            show_clients(rows, n, t);
        break;
    case ADMIN_WHAT_SERVERS:
        if (sockets)
            show_server_sockets(rows, n, only_active, t);
        else
            show_servers(rows, n, t);
        break;
    case ADMIN_WHAT_PINS:
        show_pins(rows, n, t);
        break;
    case ADMIN_WHAT_STATEMENTS:
        show_statements(rows, n, t);
        break;
    }
}

/* ---- what the control thread knows -------------------------------------------------------------
 */

static void show_pools(struct admin *a, struct admin_table *t)
{
    struct view_pool *rows = NULL;
    size_t n = admin_get(a, pools, &rows);
    for (const struct view_pool *p = rows; n > 0; n--, p++) {
        admin_table_text(t, p->database);
        admin_table_text(t, p->user);
        admin_table_uint(t, p->cl_active + p->cl_idle);
        admin_table_uint(t, p->cl_waiting);
        admin_table_uint(t, p->cl_active_cancel);
        admin_table_uint(t, p->cl_waiting_cancel);
        admin_table_uint(t, p->sv_active);
        admin_table_uint(t, p->sv_cancel);
        admin_table_uint(t, 0); /* sv_being_canceled: such a connection counts as active here */
        admin_table_uint(t, p->sv_idle);
        admin_table_uint(t, p->sv_used);
        admin_table_uint(t, 0); /* sv_tested: as above */
        admin_table_uint(t, p->sv_login);
        admin_table_uint(t, p->maxwait_us / US_PER_S);
        admin_table_uint(t, p->maxwait_us % US_PER_S);
        admin_table_text(t, p->pool_mode);
        admin_table_text(t, NULL);
        admin_table_uint(t, p->cl_idle);
        admin_table_uint(t, p->sv_closing);
        admin_table_uint(t, p->limit);
        admin_table_uint(t, p->paused);
        admin_table_uint(t, p->disabled);
        admin_table_text(t, p->server);
        put_name(t, p->last_error);
    }
    free(rows);
}

static void show_bounds(struct admin *a, struct admin_table *t)
{
    struct view_bound *rows = NULL;
    size_t n = admin_get(a, bounds, &rows);
    for (const struct view_bound *b = rows; n > 0; n--, b++) {
        admin_table_text(t, b->server);
        admin_table_uint(t, b->limit);
        admin_table_uint(t, (uint64_t)b->opening + b->idle + b->lent + b->closing + b->cancelling +
                                b->control);
        admin_table_uint(t, b->opening);
        admin_table_uint(t, b->idle);
        admin_table_uint(t, b->lent);
        admin_table_uint(t, b->closing);
        admin_table_uint(t, b->cancelling);
        admin_table_uint(t, b->control);
        admin_table_uint(t, b->waiting);
        admin_table_uint(t, b->oldest_wait_us);
        admin_table_uint(t, b->oldest_loan_us);
        admin_table_uint(t, b->reachable);
        put_name(t, b->version);
        put_name(t, b->role);
        admin_table_uint(t, b->server_max_connections);
    }
    free(rows);
}

static void show_config(struct admin *a, struct admin_table *t)
{
    struct conf_show row;
    for (size_t i = 0; a->source->config != NULL && a->source->config(a->source->ctx, i, &row);
         i++) {
        admin_table_text(t, row.key);
        admin_table_text(t, row.value);
        admin_table_text(t, row.defval);
        admin_table_text(t, row.changeable ? "yes" : "no");
    }
}

static void show_databases(struct admin *a, struct admin_table *t)
{
    struct view_database *rows = NULL;
    size_t n = admin_get(a, databases, &rows);
    for (const struct view_database *d = rows; n > 0; n--, d++) {
        admin_table_text(t, d->name);
        put_name(t, d->host);
        admin_table_uint(t, d->port);
        admin_table_text(t, d->dbname);
        put_name(t, d->force_user);
        admin_table_uint(t, d->pool_size);
        admin_table_uint(t, d->min_pool_size);
        admin_table_uint(t, d->reserve_pool_size);
        admin_table_uint(t, d->server_lifetime_s);
        admin_table_text(t, d->pool_mode);
        admin_table_text(t, d->load_balance_hosts);
        admin_table_uint(t, d->max_connections);
        admin_table_uint(t, d->current_connections);
        admin_table_uint(t, d->max_client_connections);
        admin_table_uint(t, d->current_client_connections);
        admin_table_uint(t, d->paused);
        admin_table_uint(t, d->disabled);
    }
    free(rows);
}

static void show_dns_hosts(struct admin *a, struct admin_table *t)
{
    struct view_dns *rows = NULL;
    size_t n = admin_get(a, dns, &rows);
    for (const struct view_dns *d = rows; n > 0; n--, d++) {
        admin_table_text(t, d->host);
        admin_table_int(t, d->ttl_s);
        admin_table_text(t, d->addrs);
    }
    free(rows);
}

static void put_lent_of_limit(struct admin_table *t, uint32_t lent, uint32_t limit)
{
    char text[32];
    if (limit == 0)
        (void)snprintf(text, sizeof text, "%u", lent);
    else
        (void)snprintf(text, sizeof text, "%u/%u", lent, limit);
    admin_table_text(t, text);
}

static void show_functions(struct admin *a, struct admin_table *t)
{
    struct view_function *rows = NULL;
    size_t n = admin_get(a, functions, &rows);
    for (const struct view_function *f = rows; n > 0; n--, f++) {
        admin_table_text(t, f->name);
        put_lent_of_limit(t, f->lent, f->limit);
        admin_table_uint(t, f->lent);
        admin_table_uint(t, f->limit);
        admin_table_uint(t, f->guarantee);
        admin_table_uint(t, f->weight);
        admin_table_uint(t, f->clients);
        admin_table_uint(t, f->waiting);
        admin_table_uint(t, f->oldest_wait_us);
        admin_table_uint(t, f->wait_p50_us);
        admin_table_uint(t, f->wait_p95_us);
        admin_table_uint(t, f->wait_p99_us);
        admin_table_uint(t, f->hold_p50_us);
        admin_table_uint(t, f->hold_p95_us);
        admin_table_uint(t, f->hold_p99_us);
        admin_table_uint(t, f->loans);
        admin_table_uint(t, f->refusals);
        admin_table_uint(t, f->pins);
        admin_table_uint(t, f->rollbacks);
    }
    free(rows);
}

static void get_overview(struct admin *a, struct view_overview *o)
{
    *o = (struct view_overview){0};
    if (a->source->overview != NULL)
        a->source->overview(a->source->ctx, o);
}

static void put_list(struct admin_table *t, const char *name, uint64_t items)
{
    admin_table_text(t, name);
    admin_table_uint(t, items);
}

static void show_lists(struct admin *a, struct admin_table *t)
{
    struct view_overview o;
    get_overview(a, &o);
    put_list(t, "databases", o.databases);
    put_list(t, "users", o.users);
    put_list(t, "peers", 0);
    put_list(t, "pools", o.pools);
    put_list(t, "peer_pools", 0);
    put_list(t, "free_clients", o.free_clients);
    put_list(t, "used_clients",
             (uint64_t)o.clients_login + o.clients_idle + o.clients_waiting + o.clients_active);
    put_list(t, "login_clients", o.clients_login);
    put_list(t, "free_servers", o.free_servers);
    put_list(t, "used_servers", o.servers);
    put_list(t, "dns_names", o.dns_names);
    put_list(t, "dns_zones", 0);
    put_list(t, "dns_queries", o.dns_queries);
    put_list(t, "dns_pending", o.dns_pending);
    put_list(t, "workers", o.workers);
}

static void show_mem(struct admin *a, struct admin_table *t)
{
    struct view_mem *rows = NULL;
    size_t n = admin_get(a, mem, &rows);
    for (const struct view_mem *m = rows; n > 0; n--, m++) {
        admin_table_text(t, m->name);
        admin_table_uint(t, m->size_bytes);
        admin_table_uint(t, m->used);
        admin_table_uint(t, m->free);
        admin_table_uint(t, m->total_bytes);
    }
    free(rows);
}

static void put_state(struct admin_table *t, const char *key, bool yes)
{
    admin_table_text(t, key);
    admin_table_text(t, yes ? "yes" : "no");
}

static void show_state(struct admin *a, struct admin_table *t)
{
    struct view_overview o;
    get_overview(a, &o);
    put_state(t, "active", !o.paused);
    put_state(t, "paused", o.paused);
    put_state(t, "suspended", false);
    put_state(t, "draining", o.draining);
}

static void show_stats(struct admin *a, enum admin_verb verb, struct admin_table *t)
{
    struct view_stats *rows = NULL;
    size_t n = admin_get(a, stats, &rows);
    admin_stats_show(&a->stats, verb, rows, n, clock_now_us(), t);
    free(rows);
}

/* PgBouncer shows a size that is not set as an empty text. */
static void put_size(struct admin_table *t, uint32_t size)
{
    char text[16] = "";
    if (size != 0)
        (void)snprintf(text, sizeof text, "%u", size);
    admin_table_text(t, text);
}

static void show_users(struct admin *a, struct admin_table *t)
{
    struct view_user *rows = NULL;
    size_t n = admin_get(a, users, &rows);
    for (const struct view_user *u = rows; n > 0; n--, u++) {
        admin_table_text(t, u->name);
        put_size(t, u->pool_size);
        put_size(t, u->reserve_pool_size);
        admin_table_text(t, u->pool_mode);
        admin_table_uint(t, u->max_connections);
        admin_table_uint(t, u->current_connections);
        admin_table_uint(t, u->max_client_connections);
        admin_table_uint(t, u->current_client_connections);
    }
    free(rows);
}

char *admin_help_text(void)
{
    struct buf b = {0};
    bool ok = buf_printf(&b, "Console usage");
    for (unsigned v = 0; v < ADMIN_VERB_COUNT; v++)
        if (admin_verb_usage((enum admin_verb)v) != NULL)
            ok = buf_printf(&b, "\n\t%-45s %s", admin_verb_usage((enum admin_verb)v),
                            admin_verb_help((enum admin_verb)v)) &&
                 ok;
    ok = buf_append(&b, "", 1) && ok;
    char *text = ok ? strdup((const char *)buf_head(&b)) : NULL;
    buf_release(&b);
    return text;
}

typedef void show_fn(struct admin *a, struct admin_table *t);

static show_fn *const at_once[ADMIN_VERB_COUNT] = {
    [ADMIN_SHOW_BOUNDS] = show_bounds,
    [ADMIN_SHOW_CONFIG] = show_config,
    [ADMIN_SHOW_DATABASES] = show_databases,
    [ADMIN_SHOW_DNS_HOSTS] = show_dns_hosts,
    [ADMIN_SHOW_FUNCTIONS] = show_functions,
    [ADMIN_SHOW_LISTS] = show_lists,
    [ADMIN_SHOW_MEM] = show_mem,
    [ADMIN_SHOW_POOLS] = show_pools,
    [ADMIN_SHOW_STATE] = show_state,
    [ADMIN_SHOW_USERS] = show_users,
};

bool admin_show_at_once(struct admin *a, enum admin_verb verb, struct admin_table *t,
                        enum admin_what *what, bool *both)
{
    assert(admin_verb_is_show(verb));
    *both = verb == ADMIN_SHOW_SOCKETS || verb == ADMIN_SHOW_ACTIVE_SOCKETS;
    *what = ADMIN_WHAT_CLIENTS;
    if (*both || verb == ADMIN_SHOW_CLIENTS)
        return false;
    *what = verb == ADMIN_SHOW_SERVERS      ? ADMIN_WHAT_SERVERS
            : verb == ADMIN_SHOW_STATEMENTS ? ADMIN_WHAT_STATEMENTS
                                            : ADMIN_WHAT_PINS;
    if (verb == ADMIN_SHOW_SERVERS || verb == ADMIN_SHOW_STATEMENTS || verb == ADMIN_SHOW_PINS)
        return false;
    size_t n;
    if (admin_stats_columns(verb, &n) != NULL || verb == ADMIN_SHOW_TOTALS)
        show_stats(a, verb, t);
    else if (verb == ADMIN_SHOW_VERSION)
        admin_table_text(t, a->version);
    else if (at_once[verb] != NULL)
        at_once[verb](a, t);
    /* else: FDS, PEERS, PEER_POOLS, DNS_ZONES, which are always empty here */
    return true;
}
