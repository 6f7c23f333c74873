/* SPDX-License-Identifier: ISC
 * The world: settings as one counted piece, the workers, start, reload, drain and stop.
 * Thread: the control plane's, but for settings_get/put and world_settings.
 */
#include "config.h"

#include "worker/world.h"

#include "worker/control.h"
#include "worker/function.h"
#include "worker/route.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PREPARED_USERS 128u /* whose SCRAM verifiers are derived at start, a few ms each */

/* ---- settings
 * ------------------------------------------------------------------------------------- */

struct settings *settings_get(struct settings *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void settings_put(struct settings **sp)
{
    struct settings *s = *sp;
    *sp = NULL;
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    conf_free(&s->conf);
    if (s->users != NULL)
        userlist_free(&s->users);
    if (s->tls != NULL)
        tls_ctx_put(&s->tls);
    free(s);
}

struct settings *world_settings(struct world *w)
{
    pthread_mutex_lock(&w->lock);
    struct settings *s = settings_get(w->settings);
    pthread_mutex_unlock(&w->lock);
    return s;
}

static enum login_auth auth_type(enum conf_auth_type t)
{
    switch (t) {
    case CONF_AUTH_SCRAM_SHA_256:
        break;
    case CONF_AUTH_MD5:
        return LOGIN_AUTH_MD5;
    case CONF_AUTH_PLAIN:
        return LOGIN_AUTH_PLAIN;
    case CONF_AUTH_CERT:
        return LOGIN_AUTH_CERT;
    case CONF_AUTH_TRUST:
        return LOGIN_AUTH_TRUST;
    case CONF_AUTH_ANY:
        return LOGIN_AUTH_ANY;
    }
    return LOGIN_AUTH_SCRAM;
}

static struct tls_ctx *client_tls(const struct conf_settings *cs, struct err *e)
{
    bool verify = cs->client_tls_sslmode >= CONF_SSLMODE_VERIFY_CA;
    struct tls_settings t = {
        .key_file = cs->client_tls_key_file,
        .cert_file = cs->client_tls_cert_file,
        .ca_file = cs->client_tls_ca_file,
        .protocols = cs->client_tls_protocols,
        .ciphers = cs->client_tls_ciphers,
        .tls13_ciphers = cs->client_tls13_ciphers,
        .ecdhcurve = cs->client_tls_ecdhcurve,
        .dheparams = cs->client_tls_dheparams == CONF_DHEPARAMS_NONE ? "none" : "auto",
        .verify_client = verify || cs->client_tls_ca_file[0] != '\0',
        .require_client = verify,
    };
    return tls_ctx_create(&t, e);
}

static bool make_tls(struct settings *s, const struct conf_settings *cs, struct err *e)
{
    if (cs->client_tls_sslmode == CONF_SSLMODE_DISABLE)
        return true;
    s->tls = client_tls(cs, e);
    s->policy.tls_mode = cs->client_tls_sslmode >= CONF_SSLMODE_REQUIRE ? 2 : 1;
    return s->tls != NULL;
}

static void prepare_secret(const struct settings *s, const struct protocol *p, const char *user,
                           const char *secret)
{
    if (p->login->prepare_secret != NULL)
        p->login->prepare_secret(user, secret, &s->policy);
}

static void prepare_secrets(const struct settings *s, const struct protocol *p)
{
    for (size_t i = 0; s->users != NULL && i < userlist_count(s->users) && i < PREPARED_USERS;
         i++) {
        const struct userlist_user *u = userlist_at(s->users, i);
        if (u->kind == USERLIST_PLAIN && u->secret[0] != '\0')
            prepare_secret(s, p, u->name, u->secret);
    }
    const struct conf_database *db;
    for (size_t i = 0; (db = conf_database_at(s->conf, i)) != NULL; i++)
        if (db->proto == p->conf && db->from_url && db->user != NULL && db->password != NULL)
            prepare_secret(s, p, db->user, db->password);
}

/* Are most secrets SCRAM ones? Unknown users must be asked what most known ones are asked. */
static bool most_are_scram(const struct userlist *users)
{
    size_t scram = 0, n = users != NULL ? userlist_count(users) : 0;
    for (size_t i = 0; i < n; i++)
        scram += userlist_at(users, i)->kind == USERLIST_SCRAM;
    return n == 0 || scram * 2 > n;
}

static bool any_idle_limit(const struct conf *conf)
{
    const struct conf_user *u;
    for (size_t i = 0; (u = conf_user_at(conf, i)) != NULL; i++)
        if (u->client_idle_timeout_us != CONF_UNSET_US && u->client_idle_timeout_us != 0)
            return true;
    return conf_settings(conf)->client_idle_timeout_us != 0;
}

/* The words were checked when the file was read. */
static void choose_sources(struct settings *s, const char *list)
{
    const char *const *names = conf_function_sources;
    while (*list != '\0') {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ", \t");
        for (unsigned i = 0; i < CONF_FUNCTION_SOURCES && len != 0; i++)
            if (s->n_sources < CONF_FUNCTION_SOURCES && strlen(names[i]) == len &&
                strncmp(names[i], list, len) == 0)
                s->function_from[s->n_sources++] = (uint8_t)i;
        list += len;
    }
}

static void check_server_tls(const struct conf *conf, struct conf_report *report)
{
    const char *min, *max, *list = conf_settings(conf)->server_tls_protocols;
    if (!tls_version_range(list, &min, &max))
        conf_fault(conf, report, CONF_ERROR,
                   "server_tls_protocols: \"%s\" is not like tlsv1.2,tlsv1.3, secure or all", list);
}

void world_try(const struct conf *conf, struct conf_report *report)
{
    const struct conf_settings *cs = conf_settings(conf);
    struct err e = {""};
    struct tls_ctx *tls = NULL;
    if (cs->client_tls_sslmode != CONF_SSLMODE_DISABLE && (tls = client_tls(cs, &e)) == NULL)
        conf_fault(conf, report, CONF_ERROR, "%s", e.text);
    if (tls != NULL && !tls_ctx_is_current(tls, &e))
        conf_fault(conf, report, CONF_ERROR, "%s", e.text);
    if (tls != NULL)
        tls_ctx_put(&tls);
    check_server_tls(conf, report);
    if (!listen_addr_try(cs->listen_addr, &e))
        conf_fault(conf, report, CONF_ERROR, "listen_addr: %s", e.text);
    if (cs->admin_port != 0 && !listen_addr_try(cs->admin_addr, &e))
        conf_fault(conf, report, CONF_ERROR, "admin_addr: %s", e.text);
}

/* Take over the reference of `conf`. NULL: `report` says why, and conf is freed. */
static struct settings *settings_create(struct conf *conf, struct conf_report *report)
{
    const struct conf_settings *cs = conf_settings(conf);
    struct settings *s = calloc(1, sizeof *s);
    struct err e = {""};
    if (s == NULL) {
        conf_free(&conf);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->conf = conf;
    s->check_us = cs->server_check_query[0] != '\0' ? cs->server_check_delay_us : UINT64_MAX;
    s->policy.auth_type = auth_type(cs->auth_type);
    s->policy.scram_iterations = (uint32_t)cs->scram_iterations;
    s->login_us = cs->client_login_timeout_us != 0 ? cs->client_login_timeout_us : UINT64_MAX / 2;
    s->gone_us = cs->client_gone_timeout_us;
    s->spool_bytes = cs->client_spool_bytes;
    s->dead_us = cs->lease_dead_after_us;
    s->tcp = (struct tcp_options){
        .keepalive = cs->tcp_keepalive,
        .keepidle_s = (unsigned)(cs->tcp_keepidle_us / US_PER_S),
        .keepintvl_s = (unsigned)(cs->tcp_keepintvl_us / US_PER_S),
        .keepcnt = (unsigned)cs->tcp_keepcnt,
        .user_timeout_ms = (unsigned)(cs->tcp_user_timeout_us / US_PER_MS),
    };
    s->log_errors = cs->log_pooler_errors;
    s->slow_loan_us = cs->log_slow_loans_us;
    s->loan_sample = (uint32_t)cs->log_loan_sample;
    s->log_connections = cs->log_connections;
    s->log_disconnections = cs->log_disconnections;
    s->any_idle_limit = any_idle_limit(conf);
    choose_sources(s, cs->function_from);
    size_t before = report->errors;
    if (cs->auth_file[0] != '\0')
        s->users = userlist_load(cs->auth_file, report);
    if (report->errors == before && !make_tls(s, cs, &e))
        conf_fault(conf, report, CONF_ERROR, "%s", e.text);
    if (s->tls != NULL && !tls_ctx_is_current(s->tls, &e)) /* some clients don't mind */
        conf_fault(conf, report, CONF_WARNING, "%s", e.text);
    check_server_tls(conf, report);
    s->policy.mock_scram = most_are_scram(s->users);
    if (report->errors != before)
        settings_put(&s);
    for (unsigned door = 0; s != NULL && door < PROTOCOLS; door++)
        if (protocol_at(door) != NULL)
            prepare_secrets(s, protocol_at(door));
    return s;
}

static void apply_process_settings(const struct settings *s)
{
    const struct conf_settings *cs = conf_settings(s->conf);
    log_configure(cs->verbose > 0 ? LOG_LEVEL_DEBUG : (enum log_level)cs->log_level,
                  (enum log_format)cs->log_format,
                  cs->log_destination == CONF_LOG_STDOUT ? STDOUT_FILENO : STDERR_FILENO);
}

/* ---- start
 * --------------------------------------------------------------------------------------------- */

/* Clients' descriptors stay below what server connections, console and control plane may need. */
static void raise_descriptors(struct world *w)
{
    struct rlimit lim;
    uint64_t need = conf_fds_needed(w->settings->conf);
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
        return;
    rlim_t want = (rlim_t)need;
    if (lim.rlim_cur < want) {
        lim.rlim_cur = lim.rlim_max == RLIM_INFINITY || lim.rlim_max > want ? want : lim.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &lim);
        (void)getrlimit(RLIMIT_NOFILE, &lim);
    }
    if (lim.rlim_cur < want)
        log_warn(
            NULL,
            "%llu descriptors allowed, the settings can need %llu: clients beyond that wait in "
            "the kernel's queue (raise LimitNOFILE or ulimit -n)",
            (unsigned long long)lim.rlim_cur, (unsigned long long)need);
    const struct conf_settings *cs = conf_settings(w->settings->conf);
    uint64_t aside =
        need > (uint64_t)cs->max_client_conn ? need - (uint64_t)cs->max_client_conn : 0;
    uint64_t most = (uint64_t)lim.rlim_cur / 2;
    listen_set_ceiling(w->listen, (int)(lim.rlim_cur - (aside < most ? aside : most)));
}

static bool open_door(struct world *w, unsigned door, struct err *e)
{
    const struct conf_settings *cs = conf_settings(w->settings->conf);
    const struct protocol *p = protocol_at(door);
    int port = p != NULL ? protocol_port(p, cs) : 0;
    if (port == 0)
        return true;
    struct listen_spec spec = {
        .addr = cs->listen_addr[0] != '\0' ? cs->listen_addr : NULL,
        .port = (uint16_t)port,
        .unix_name = p->unix_name,
        .unix_dir = cs->unix_socket_dir,
        .unix_mode = (unsigned)cs->unix_socket_mode,
        .unix_group = cs->unix_socket_group,
        .reuse_port = cs->so_reuseport,
        .backlog = cs->listen_backlog,
        .door = door,
    };
    return listen_set_add(w->listen, &spec, e);
}

static bool open_listeners(struct world *w, struct err *e)
{
    for (unsigned door = 0; door < PROTOCOLS; door++)
        if (!open_door(w, door, e))
            return false;
    listen_set_claim(w->listen, (uint16_t)conf_settings(w->settings->conf)->admin_port,
                     &w->admin_sockets);
    listen_set_tcp_options(w->listen, &w->settings->tcp);
    return true;
}

static bool has_password(const struct userlist_user *u)
{
    return u != NULL && u->kind == USERLIST_PLAIN && u->secret[0] != '\0';
}

/* Somebody of the auth_file whose password is known, to try a database with; NULL: nobody. */
static const char *some_user(const struct settings *set)
{
    const struct conf_settings *cs = conf_settings(set->conf);
    for (size_t i = 0; set->users != NULL && i < userlist_count(set->users); i++) {
        const struct userlist_user *u = userlist_at(set->users, i);
        if (has_password(u) && strcmp(u->name, cs->auth_user) != 0 &&
            !conf_list_has(cs->admin_users, u->name) && !conf_list_has(cs->stats_users, u->name))
            return u->name;
    }
    return NULL;
}

static const char *auth_user(const struct settings *set, const struct conf_database *db)
{
    const char *name = db->auth_user != NULL ? db->auth_user : conf_settings(set->conf)->auth_user;
    bool known = set->users != NULL && has_password(userlist_find(set->users, name));
    return known ? name : NULL;
}

/* Who speaks first to a client has to know the server before that says who it is: there auth_user
 * will do, and to no database where any may be asked for. false: there is nobody to try it with. */
static bool make_known_route(struct world *w, const struct conf_database *db, bool any)
{
    bool speaks_first = protocol_of(db->proto)->login->greet != NULL;
    struct route_ask ask = {
        .database = any ? "" : db->name,
        .user = db->user != NULL ? db->user : some_user(w->settings),
    };
    if (ask.user == NULL && speaks_first)
        ask.user = auth_user(w->settings, db);
    if (ask.user == NULL || (any && !speaks_first))
        return false;
    struct route *r = routes_get(w->routes, w->settings, db, &ask);
    if (r != NULL)
        r->guessed = db->user == NULL || any;
    return r != NULL;
}

/* Routes whose user is known beforehand are made at once: their first connection teaches what
 * clients are to be greeted with and that the database is there, and min_pool_size holds from the
 * start. */
static void make_known_routes(struct world *w)
{
    const struct conf_database *db, *any = NULL;
    bool known = false;
    for (size_t i = 0; (db = conf_database_at(w->settings->conf, i)) != NULL; i++) {
        if (strcmp(db->name, "*") == 0)
            any = db;
        else
            known |= make_known_route(w, db, false) && protocol_of(db->proto)->login->greet != NULL;
    }
    if (any != NULL && !known)
        known = make_known_route(w, any, true);
    greetings_init(&w->greetings, known);
}

struct world *world_create(struct conf *conf, struct conf_report *report, struct err *e)
{
    struct world *w = calloc(1, sizeof *w);
    if (w == NULL || !protocols_init(e)) {
        conf_free(&conf);
        free(w);
        return NULL;
    }
    pthread_mutex_init(&w->lock, NULL);
    w->started_wall_us = clock_wall_us();
    w->settings = settings_create(conf, report);
    if (w->settings == NULL)
        return NULL;
    apply_process_settings(w->settings);
    const struct conf_settings *cs = conf_settings(w->settings->conf);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    w->n_workers = cs->workers > 0 ? (uint32_t)cs->workers : cores > 0 ? (uint32_t)cores : 1;
    if (w->n_workers > CORE_MAX_WORKERS)
        w->n_workers = CORE_MAX_WORKERS;
    w->listen = listen_set_create();
    w->functions = functions_create(w->n_workers);
    w->routes = routes_create(w);
    w->control = control_create(w);
    if (w->listen == NULL || w->routes == NULL || w->control == NULL) {
        err_set(e, "out of memory");
        return NULL;
    }
    raise_descriptors(w);
    if (!open_listeners(w, e))
        return NULL;
    for (uint32_t i = 0; i < w->n_workers; i++)
        if ((w->workers[i] = worker_create(w, (uint16_t)i)) == NULL) {
            err_set(e, "out of memory");
            return NULL;
        }
    make_known_routes(w);
    control_look_at_warm(w->control);
    for (uint32_t i = 0; i < w->n_workers; i++)
        if (!worker_start(w->workers[i])) {
            err_set(e, "can't start a worker");
            return NULL;
        }
    return w;
}

struct loop *world_loop(struct world *w)
{
    return w->control->loop;
}

const struct listen_claim *world_admin_sockets(const struct world *w)
{
    return &w->admin_sockets;
}

bool world_reload(struct world *w, struct conf *conf, struct conf_report *report)
{
    /* A file that is being written is empty for a moment. */
    if (conf_database_at(conf, 0) == NULL && conf_database_at(w->settings->conf, 0) != NULL) {
        conf_report_add(report, CONF_ERROR, NULL, 0,
                        "no database is left: is the file being written? To have none, start anew");
        conf_free(&conf);
        return false;
    }
    (void)conf_keep_unreloadable(w->settings->conf, conf, report);
    struct settings *fresh = settings_create(conf, report);
    if (fresh == NULL)
        return false;
    pthread_mutex_lock(&w->lock);
    struct settings *old = w->settings;
    w->settings = fresh;
    pthread_mutex_unlock(&w->lock);
    apply_process_settings(fresh);
    routes_reload(w->routes, fresh, old);
    functions_reload(w->functions, fresh);
    for (uint32_t i = 0; i < w->n_workers; i++) {
        struct config_mail *m = calloc(1, sizeof *m);
        if (m == NULL)
            continue;
        m->mail.kind = MAIL_CONFIG;
        m->settings = settings_get(fresh);
        worker_post(w, (uint16_t)i, &m->mail);
    }
    control_look_at_warm(w->control);
    for (struct bound_server *s = routes_first_server(w->routes); s != NULL; s = s->next)
        control_plan(w->control, s);
    settings_put(&old);
    return true;
}

struct conf *world_conf(struct world *w)
{
    return conf_get(w->settings->conf);
}

void world_tell_workers(struct world *w, enum mail_kind what)
{
    for (uint32_t i = 0; i < w->n_workers; i++) {
        struct mail *m = calloc(1, sizeof *m);
        if (m == NULL)
            continue;
        m->kind = what;
        worker_post(w, (uint16_t)i, m);
    }
}

void world_drain(struct world *w, bool patient)
{
    if (atomic_exchange(&w->draining, true))
        return;
    atomic_store(&w->doors, w->n_workers);
    world_tell_workers(w, patient ? MAIL_CLOSE_DOOR : MAIL_DRAIN);
}

uint32_t world_clients(struct world *w)
{
    return atomic_load(&w->clients) - atomic_load(&w->consoles);
}

void world_stop(struct world *w)
{
    for (uint32_t i = 0; i < w->n_workers; i++)
        worker_stop(w->workers[i]);
    jobs_destroy(&w->jobs);
    w->control->stopping = true;
    for (uint32_t i = 0; i < w->n_workers; i++)
        worker_destroy(&w->workers[i]);
}

void world_destroy(struct world **wp)
{
    struct world *w = *wp;
    *wp = NULL;
    listen_set_destroy(&w->listen);
    control_destroy(&w->control);
    functions_destroy(&w->functions);
    settings_put(&w->settings);
    free(w);
}
