/* SPDX-License-Identifier: ISC
 * From a plan's "open one for this pair" to a backend in a worker's hands: names, libpq's login,
 * the first home. Thread: the control plane's.
 */
#include "config.h"

#include "worker/control.h"
#include "worker/route.h"
#include "worker/world.h"

#include "base/log.h"
#include "base/secret.h"
#include "net/names.h"
#include "net/watch.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRS_A_HOST 4

struct dial {
    LIST_ENTRY(dial) link;
    struct control *control;
    struct route *route;
    struct settings *settings;
    const struct conf_database *db;
    void *handle;
    struct watch watch;
    struct names_query *query;
    uint64_t deadline_us;
    size_t host;                    /* the one being resolved */
    struct buf hosts, addrs, ports; /* what libpq gets, separated by commas */
    bool resolving;                 /* inside names_lookup(): its answer may come at once */
    bool answered;
    bool needs_password; /* waits for password_command */
};

static void dial_free(struct dial *d)
{
    LIST_REMOVE(d, link);
    watch_stop(&d->watch);
    if (d->query != NULL)
        names_cancel(&d->query);
    if (d->handle != NULL)
        d->route->server_ops->hang_up(&d->handle);
    buf_release(&d->hosts);
    buf_release(&d->addrs);
    buf_release(&d->ports);
    settings_put(&d->settings);
    free(d);
}

static void dial_failed(struct dial *d, enum dial_failure why, const char *code, const char *text)
{
    static const enum core_failure map[] = {
        [DIAL_FAIL_LIMIT] = CORE_FAIL_LIMIT,     [DIAL_FAIL_REFUSED] = CORE_FAIL_REFUSED,
        [DIAL_FAIL_REACH] = CORE_FAIL_REACH,     [DIAL_FAIL_POOL] = CORE_FAIL_POOL,
        [DIAL_FAIL_DATABASE] = CORE_FAIL_FIRST,  [DIAL_FAIL_USER] = CORE_FAIL_SECOND,
        [DIAL_FAIL_MISSING] = CORE_FAIL_MISSING,
    };
    struct control *c = d->control;
    struct route *r = d->route;
    uint32_t dropped;
    if (log_limit_pass(&r->failing, &dropped))
        log_warn(core_pool_name(r->pool), "server login failed: %s%s", text,
                 dropped != 0 ? " (and again since the last line)" : "");
    pthread_mutex_lock(&r->lock);
    if (why == DIAL_FAIL_REFUSED) /* what password_command said last time may be over */
        r->password_us = 0;
    snprintf(r->last_error, sizeof r->last_error, "%s", text);
    pthread_mutex_unlock(&r->lock);
    /* A server that refuses has answered. */
    if (why != DIAL_FAIL_POOL) /* it may not even have been asked */
        atomic_store(&r->server->reachable, why != DIAL_FAIL_REACH);
    if (why == DIAL_FAIL_REFUSED || why == DIAL_FAIL_MISSING) {
        struct settings *set = world_settings(c->world);
        routes_relax(c->world->routes, set, r);
        settings_put(&set);
    }
    greetings_over(c->world, r);
    core_open_failed(r->pool, map[why], code, text, clock_now_us());
    dial_free(d);
    control_plan(c, r->server);
}

static void dial_done(struct dial *d)
{
    struct control *c = d->control;
    struct route *r = d->route;
    struct core_waiter *next = NULL;
    struct backend *b = backend_create(r);
    if (b == NULL) {
        dial_failed(d, DIAL_FAIL_REACH, "53200", "weir: out of memory");
        return;
    }
    if (!r->server_ops->adopt(&d->handle, b->proto, &b->export.fd, &b->export.ssl)) {
        free(b);
        dial_failed(d, DIAL_FAIL_REACH, "53200", "weir: out of memory");
        return;
    }
    const struct conf_settings *cs = conf_settings(d->settings->conf);
    const struct server_setup setup = {.reset_query = cs->server_reset_query,
                                       .reset_always = cs->server_reset_query_always,
                                       .connections = bound_server_limit(r->server),
                                       .place = (uintptr_t)r};
    r->server_ops->configure(b->proto, &setup);
    b->fd = b->export.fd;
    b->active_us = clock_now_us();
    b->id = atomic_fetch_add(&c->world->backend_ids, 1) + 1;
    void *report = r->server_ops->report(b->proto);
    greetings_learn(c->world, r, report);
    route_learn(r, report);
    greetings_over(c->world, r);
    atomic_store(&r->server->reachable, true);
    atomic_store(&c->world->reachable, true);
    dial_free(d);
    b->mail.kind = MAIL_ARRIVE;
    enum core_next what = core_opened(r->pool, &b->core, clock_now_us(), &next);
    if (what == CORE_NEXT_CLOSE) {
        bool nudge;
        r->proto->server_fini(b->proto);
        core_conn_closed(&b->core, clock_now_us(), &nudge);
        free(b);
    } else {
        /* Once idle it may be lent by another thread at any moment: nothing of it is written. */
        if (what == CORE_NEXT_LEND)
            b->to = next;
        worker_post(c->world, what == CORE_NEXT_LEND ? next->worker : b->core.worker, &b->mail);
    }
    control_learn(c, r);
    control_plan(c, r->server);
}

static void dial_poll(bool ready, void *arg)
{
    struct dial *d = arg;
    uint64_t now = clock_now_us();
    if (!ready || now >= d->deadline_us) {
        dial_failed(d, DIAL_FAIL_REACH, "08006", "server login timed out (server_connect_timeout)");
        return;
    }
    const struct server_ops *ops = d->route->server_ops;
    enum dial_step step = ops->poll(d->handle);
    if (step == DIAL_DONE) {
        dial_done(d);
    } else if (step == DIAL_FAILED) {
        char code[6], text[256];
        enum dial_failure why = ops->failure(d->handle, code, text, sizeof text);
        dial_failed(d, why, code, text);
    } else if (!watch_once(&d->watch, control_loop(d->control), ops->socket(d->handle),
                           step == DIAL_WRITE, d->deadline_us - now, dial_poll, d)) {
        dial_failed(d, DIAL_FAIL_REACH, "53200", "weir: out of memory");
    }
}

/* What a route logs in with, as it was when it was looked at. */
struct credentials {
    char *password; /* or NULL */
    struct server_keys keys;
};

static bool credentials_init(struct credentials *cr, struct route *r)
{
    pthread_mutex_lock(&r->lock);
    bool has_password = r->password != NULL;
    cr->password = has_password ? strdup(r->password) : NULL;
    cr->keys = r->keys;
    pthread_mutex_unlock(&r->lock);
    return !has_password || cr->password != NULL;
}

static void credentials_fini(struct credentials *cr)
{
    secret_wipe(&cr->password);
    explicit_bzero(cr, sizeof *cr);
}

/* As this route's user. */
static void collect_route(struct params *ps, const struct route *r, const struct credentials *cr,
                          const struct settings *set, const struct conf_database *db)
{
    const struct dial_as as = {
        .user = r->user, .database = r->database, .password = cr->password, .keys = &cr->keys};
    params_collect(ps, set->conf, db, &as);
    if (r->pool_flags != 0)
        params_put(ps, "pool_flags", r->pool_flags_hex);
    if (r->replication == 0) /* a walsender may not be able to */
        params_put(ps, "connect_query", db->connect_query);
    if (r->replication != 0)
        params_put(ps, "replication", r->replication == 1 ? "true" : "database");
}

/* The dial is begun without the route's lock: libpq reads files. */
static void dial_start(struct dial *d)
{
    struct params ps = {.n = 0};
    struct credentials cr;
    struct route *r = d->route;
    (void)!buf_append(&d->hosts, "", 1);
    (void)!buf_append(&d->addrs, "", 1);
    (void)!buf_append(&d->ports, "", 1);
    if (credentials_init(&cr, r)) {
        collect_route(&ps, r, &cr, d->settings, d->db);
        if (d->db->n_hosts != 0) {
            params_put(&ps, "host", (const char *)buf_head(&d->hosts));
            params_put(&ps, "hostaddr", (const char *)buf_head(&d->addrs));
            params_put(&ps, "port", (const char *)buf_head(&d->ports));
        }
        d->handle = r->server_ops->dial(ps.p, ps.n);
    }
    credentials_fini(&cr);
    if (d->handle == NULL) {
        dial_failed(d, DIAL_FAIL_REACH, "53200", "weir: out of memory");
        return;
    }
    int fd = r->server_ops->socket(d->handle);
    if (fd < 0) {
        dial_poll(true, d);
        return;
    }
    if (!watch_once(&d->watch, control_loop(d->control), fd, true, d->deadline_us - clock_now_us(),
                    dial_poll, d))
        dial_failed(d, DIAL_FAIL_REACH, "53200", "weir: out of memory");
}

/* ---- names
 * ------------------------------------------------------------------------------------------ */

static void add_host(struct dial *d, const struct conf_host *h, const char *addr)
{
    const char *comma = buf_len(&d->ports) != 0 ? "," : "";
    (void)!buf_printf(&d->hosts, "%s%s", comma, h->host);
    (void)!buf_printf(&d->addrs, "%s%s", comma, addr);
    (void)!buf_printf(&d->ports, "%s%u", comma, h->port);
}

static void next_host(struct dial *d);

static void on_names(const char *const *addrs, int count, const char *error, void *arg)
{
    struct dial *d = arg;
    const struct conf_host *h = &d->db->hosts[d->host];
    d->query = NULL;
    for (int i = 0; i < count && i < ADDRS_A_HOST; i++)
        add_host(d, h, addrs[i]);
    if (count == 0)
        log_warn(core_pool_name(d->route->pool), "can't resolve \"%s\": %s", h->host,
                 error != NULL ? error : "no address");
    d->host++;
    d->answered = true;
    if (!d->resolving)
        next_host(d);
}

static bool needs_no_lookup(const char *host)
{
    struct in6_addr addr;
    return host[0] == '\0' || host[0] == '/' || host[0] == '@' ||
           inet_pton(AF_INET, host, &addr) == 1 || inet_pton(AF_INET6, host, &addr) == 1;
}

static void next_host(struct dial *d)
{
    while (d->host < d->db->n_hosts) {
        const struct conf_host *h = &d->db->hosts[d->host];
        if (h->address[0] != '\0' || needs_no_lookup(h->host)) {
            add_host(d, h, h->address);
            d->host++;
            continue;
        }
        d->resolving = true;
        d->answered = false;
        d->query = names_lookup(control_names(d->control), h->host, on_names, d);
        d->resolving = false;
        if (d->answered)
            d->query = NULL;
        else
            return;
    }
    if (d->db->n_hosts != 0 && buf_len(&d->ports) == 0) {
        char text[200];
        snprintf(text, sizeof text, "could not translate host name \"%.120s\" to address",
                 d->db->hosts[0].host);
        dial_failed(d, DIAL_FAIL_REACH, "08006", text);
        return;
    }
    dial_start(d);
}

/* ---- password_command
 * -------------------------------------------------------------------------------- */

static bool needs_command(const struct dial *d)
{
    const struct conf_settings *cs = conf_settings(d->settings->conf);
    if (d->db->password_command == NULL)
        return false;
    uint64_t ttl_us =
        d->db->password_ttl_us != CONF_UNSET_US ? d->db->password_ttl_us : cs->password_ttl_us;
    pthread_mutex_lock(&d->route->lock);
    uint64_t since_us = d->route->password_us;
    pthread_mutex_unlock(&d->route->lock);
    return since_us == 0 || clock_now_us() - since_us >= ttl_us;
}

/* Once for all dials of this route. */
static void run_command(struct dial *d)
{
    const struct dial *other;
    LIST_FOREACH(other, &d->control->dials, link)
    if (other->needs_password && other->route == d->route)
        break;
    d->needs_password = true;
    if (other != NULL)
        return;
    struct job *j = job_password(d->route, d->db->password_command);
    if (j != NULL)
        jobs_queue(d->control->world->jobs, j);
    else
        dial_failed(d, DIAL_FAIL_REACH, "53200", "weir: out of memory");
}

/* A database that is being woken may take its time. */
static uint64_t login_deadline_us(const struct dial *d)
{
    const struct conf_settings *cs = conf_settings(d->settings->conf);
    uint64_t us = cs->server_connect_timeout_us;
    if (core_server_resuming(d->route->server->core) && cs->resume_timeout_us > us)
        us = cs->resume_timeout_us;
    return clock_now_us() + us;
}

void dial_open(struct control *c, struct route *r)
{
    struct dial *d = calloc(1, sizeof *d);
    struct settings *set = world_settings(c->world);
    const struct conf_database *db = conf_database_find(set->conf, r->database);
    if (d == NULL || db == NULL) {
        core_open_failed(r->pool, CORE_FAIL_REFUSED, "3D000",
                         db == NULL ? DATABASE_GONE : "out of memory", clock_now_us());
        settings_put(&set);
        free(d);
        return;
    }
    d->control = c;
    d->route = r;
    d->settings = set;
    d->db = db;
    d->deadline_us = login_deadline_us(d);
    LIST_INSERT_HEAD(&c->dials, d, link);
    if (needs_command(d))
        run_command(d);
    else
        next_host(d);
}

/* Its route's dials go on; a failure is theirs all. */
void dial_password(struct control *c, struct job *j)
{
    struct dial *d;
    if (j->ok)
        route_set_password(j->route, j->secret);
    for (;;) {
        LIST_FOREACH(d, &c->dials, link)
        if (d->needs_password && d->route == j->route)
            break;
        if (d == NULL)
            break;
        d->needs_password = false;
        d->deadline_us = login_deadline_us(d);
        if (j->ok)
            next_host(d);
        else
            dial_failed(d, DIAL_FAIL_POOL, "28000", j->err.text);
    }
    job_free(&j);
}

void dial_stop_all(struct control *c)
{
    struct dial *d;
    while ((d = LIST_FIRST(&c->dials)) != NULL) {
        core_open_failed(d->route->pool, CORE_FAIL_REACH, "57P01", "weir is shutting down",
                         clock_now_us());
        dial_free(d);
    }
}
