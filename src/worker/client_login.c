/* SPDX-License-Identifier: ISC
 * A client's login as I/O: bytes to the protocol's state machine, TLS when it asks for it, and the
 * look-up of who and where. Nothing here waits for a database.
 * Thread: the worker's.
 */
#include "config.h"

#include "worker/function.h"
#include "worker/job.h"
#include "worker/params.h"
#include "worker/route.h"
#include "worker/worker_priv.h"
#include "worker/world.h"

#include "net/stream_aside.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/secret.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOGIN_READ     8192u
#define LOGIN_GRACE_US 1000000u

static void on_step(struct client *c, enum login_step step);

static const struct login_ops *login_ops(const struct client *c)
{
    return client_protocol(c)->login;
}

void client_login_end(struct client *c)
{
    struct client_login *l = c->u.login;
    if (l == NULL)
        return;
    job_recall(c);
    c->u.login = NULL;
    if (l->login != NULL)
        login_ops(c)->destroy(&l->login);
    secret_wipe(&l->secret);
    free(l);
}

/* Feed what has come; true: more may be read. */
static void feed_login(struct client *c)
{
    const struct login_ops *ops = login_ops(c);
    while (c->state == CLIENT_LOGIN && buf_len(&c->in) != 0 && !c->u.login->looking_up &&
           !c->u.login->handshaking && c->u.login->until_us == 0) {
        size_t used = 0;
        if (ops->is_heavy != NULL &&
            ops->is_heavy(c->u.login->login, buf_head(&c->in), buf_len(&c->in)) && job_login(c)) {
            c->u.login->looking_up = true;
            stream_pause(&c->stream, PAUSE_LOGIN);
            return;
        }
        enum login_step step =
            ops->feed(c->u.login->login, buf_head(&c->in), buf_len(&c->in), &used, &c->out);
        buf_consume_secret(&c->in, used);
        if (step == LOGIN_MORE && used == 0 && buf_len(&c->out) == 0)
            return;
        on_step(c, step);
        if (step == LOGIN_MORE && used == 0)
            return;
    }
}

void client_login_judged(struct client *c, struct job *j)
{
    struct client_login *l = c->u.login;
    l->login = j->login;
    j->login = NULL;
    l->looking_up = false;
    c->in = j->in;
    j->in = (struct buf){0};
    buf_consume_secret(&c->in, j->used);
    stream_resume(&c->stream, PAUSE_LOGIN);
    if (buf_len(&j->out) != 0 && !buf_append(&c->out, buf_head(&j->out), buf_len(&j->out))) {
        client_destroy(c);
        return;
    }
    on_step(c, j->step);
    if (j->used != 0)
        feed_login(c);
}

static void start_tls(struct client *c)
{
    struct client_login *l = c->u.login;
    if (!client_flush(c))
        return;
    if (c->worker->settings->tls == NULL ||
        !stream_start_tls(&c->stream, c->worker->settings->tls)) {
        client_destroy(c);
        return;
    }
    buf_release(&c->in);
    l->handshaking = true;
}

static void refuse_too_many(struct client *c)
{
    char text[96];
    snprintf(text, sizeof text, "no more connections allowed (max_client_conn): %u",
             atomic_load(&c->worker->world->clients));
    client_say(c, PROTO_EV_TOO_MANY, NULL, text);
}

/* The secret by which this user is known here; NULL: none. */
static const char *find_secret(struct client *c, const struct login_asked *a,
                               const struct conf_database *db)
{
    const struct settings *set = c->worker->settings;
    if (db != NULL && db->from_url && db->user != NULL && strcmp(db->user, a->role) == 0 &&
        db->password != NULL)
        return db->password;
    if (set->users == NULL)
        return NULL;
    const struct userlist_user *u = userlist_find(set->users, a->role);
    return u != NULL && protocol_secret(client_protocol(c), u) ? u->secret : NULL;
}

/* A physical standby asks for none (libpq writes "replication"), a MySQL client may. */
static bool names_no_database(const struct login_asked *a)
{
    return a->replication == 1 || a->database[0] == '\0';
}

/* The entry a client asks for; who names none is led to the first. */
static const struct conf_database *find_database(struct client *c, const struct login_asked *a)
{
    const struct conf *conf = c->worker->settings->conf;
    enum conf_proto proto = client_protocol(c)->conf;
    const struct conf_database *db = conf_database_find(conf, a->database);
    if (db != NULL && db->proto == proto)
        return db;
    if (!names_no_database(a))
        return NULL;
    for (size_t i = 0; (db = conf_database_at(conf, i)) != NULL; i++)
        if (strcmp(db->name, "*") != 0 && db->proto == proto)
            break;
    return db;
}

/* A user whose own name has a '+' in it is known by the whole of it. */
static void take_whole_name(struct client *c)
{
    const struct login_ops *ops = login_ops(c);
    const struct login_asked *a = ops->asked(c->u.login->login);
    const struct conf_database *db = find_database(c, a);
    const struct userlist *users = c->worker->settings->users;
    const struct userlist_user *u = users != NULL ? userlist_find(users, a->user) : NULL;
    if (a->function == NULL)
        return;
    if ((u != NULL && protocol_secret(client_protocol(c), u)) ||
        (db != NULL && db->from_url && db->user != NULL && strcmp(db->user, a->user) == 0))
        ops->whole(c->u.login->login);
}

static bool is_console_name(const char *database)
{
    return strcmp(database, "weir") == 0 || strcmp(database, "pgbouncer") == 0;
}

/* Why no more clients of this route may log in; NULL: they may. */
static const char *too_many_for(struct client *c, const struct route_ask *ask,
                                const struct conf_database *db)
{
    struct conf_pool p;
    struct routes *rs = c->worker->world->routes;
    conf_pool_resolve(c->worker->settings->conf, db, ask->user, &p);
    if (p.max_db_client_connections > 0 &&
        routes_clients(rs, ask->database, NULL) >= (uint32_t)p.max_db_client_connections)
        return "client connections exceeded (max_db_client_connections)";
    if (p.max_user_client_connections > 0 &&
        routes_clients(rs, NULL, ask->user) >= (uint32_t)p.max_user_client_connections)
        return "client connections exceeded (max_user_client_connections)";
    return NULL;
}

static struct route_ask ask_of(const struct login_asked *a, const struct conf_database *db)
{
    bool unnamed = names_no_database(a) && strcmp(db->name, "*") != 0;
    return (struct route_ask){
        .database = unnamed ? db->name : a->database,
        .user = db->user != NULL ? db->user : a->role,
        .replication = a->replication,
        .pool_flags = a->pool_flags,
    };
}

/* Its password was right: it has a place now. Not before: a route lasts, and anybody can ask for
 * any number of them. false: it was told why it has none. */
static bool take_route(struct client *c, const struct login_asked *a)
{
    struct worker *w = c->worker;
    const struct conf_database *db = find_database(c, a);
    const char *why = "the database is not there any more"; /* a reload came in between */
    if (db != NULL) {
        const struct route_ask ask = ask_of(a, db);
        if ((why = too_many_for(c, &ask, db)) == NULL &&
            (c->route = routes_get(w->world->routes, w->settings, db, &ask)) == NULL)
            why = "weir: out of memory, or of room for pools of further databases and users";
    }
    if (c->route == NULL)
        client_say(c, PROTO_EV_TOO_MANY, NULL, why);
    else
        atomic_fetch_add(&c->route->clients, 1);
    return c->route != NULL;
}

/* Whether there is a way to where it wants to go. What is wrong is said after the password was
 * right. */
static void find_way(struct client *c, const struct login_asked *a, const struct conf_database *db,
                     struct login_found *found, char *text, size_t room)
{
    struct worker *w = c->worker;
    const struct conf_settings *cs = conf_settings(w->settings->conf);
    if (is_console_name(a->database)) {
        c->is_console = true;
        bool admin = conf_list_has(cs->admin_users, a->role);
        if (!admin && !conf_list_has(cs->stats_users, a->role)) {
            found->refuse = "not allowed";
            found->refuse_code = "28000";
        }
        return;
    }
    if (db == NULL) {
        snprintf(text, room, "database \"%.100s\" does not exist", a->database);
        found->refuse = text;
        found->refuse_code = "3D000";
        return;
    }
    if (routes_standing(w->world->routes, ask_of(a, db).database).disabled) {
        snprintf(text, room, "database \"%.100s\" is disabled", a->database);
        found->refuse = text;
        found->refuse_code = "57P03";
    }
}

/* Ask the database who this is; false: it isn't asked. */
static bool ask_query(struct client *c, const struct login_asked *a)
{
    char *secret = NULL;
    switch (job_auth_query(c, a->role, a->database, &secret)) {
    case AUTH_ASKED_KNOWN:
        c->u.login->by_query = c->u.login->remembered = true;
        client_login_secret(c, secret);
        secret_wipe(&secret);
        return true;
    case AUTH_ASKED_FAILED:
        client_no_lookup(c, false);
        return true;
    case AUTH_ASKED_LATER:
        c->u.login->by_query = true;
        c->u.login->remembered = false;
        c->u.login->looking_up = true;
        stream_pause(&c->stream, PAUSE_LOGIN);
        return true;
    case AUTH_ASKED_NO:
        break;
    }
    return false;
}

/* Those who came long ago and still are not logged in give way: who opens sockets and is silent
 * must not keep others out. */
static struct client *oldest_login(struct worker *w)
{
    struct client *c = TAILQ_FIRST(&w->states[CLIENT_LOGIN]);
    return c != NULL && w->now_us - c->since_us > LOGIN_GRACE_US ? c : NULL;
}

bool client_login_give_way(struct worker *w)
{
    struct client *c = oldest_login(w);
    if (c != NULL)
        client_say(c, PROTO_EV_TOO_MANY, NULL,
                   "too many connections while this login took its time");
    return c != NULL;
}

uint64_t client_login_oldest_us(struct worker *w)
{
    const struct client *c = TAILQ_FIRST(&w->states[CLIENT_LOGIN]);
    return c != NULL ? c->since_us : UINT64_MAX;
}

/* One of this worker's, or of another's, which is told to. false: there is none. */
static bool make_room(struct client *c)
{
    struct worker *w = c->worker;
    if (oldest_login(w) != c && client_login_give_way(w))
        return true;
    for (uint32_t i = 0; i < w->world->n_workers; i++) {
        struct worker *other = w->world->workers[i];
        uint64_t since_us = atomic_load(&other->oldest_login_us);
        struct mail *m;
        if (other == w || since_us > w->now_us || w->now_us - since_us < LOGIN_GRACE_US ||
            (m = calloc(1, sizeof *m)) == NULL)
            continue;
        m->kind = MAIL_GIVE_WAY;
        worker_post(w->world, other->index, m);
        return true;
    }
    return false;
}

static void look_up(struct client *c)
{
    struct worker *w = c->worker;
    const struct login_asked *a = login_ops(c)->asked(c->u.login->login);
    const struct conf_settings *cs = conf_settings(w->settings->conf);
    if (atomic_load(&w->world->clients) > (uint32_t)cs->max_client_conn &&
        !is_console_name(a->database) && !make_room(c)) {
        refuse_too_many(c);
        return;
    }
    if (w->draining) {
        client_say(c, PROTO_EV_SHUTDOWN, NULL, "weir is shutting down");
        return;
    }
    take_whole_name(c);
    const struct conf_database *db = find_database(c, a);
    const char *secret = find_secret(c, a, db);
    bool asks = cs->auth_type != CONF_AUTH_TRUST && cs->auth_type != CONF_AUTH_ANY &&
                cs->auth_type != CONF_AUTH_CERT;
    bool query = cs->auth_user[0] != '\0' || (db != NULL && db->auth_user != NULL);
    if (secret == NULL && asks && query && !is_console_name(a->database) && ask_query(c, a))
        return;
    client_login_secret(c, secret);
}

void client_login_secret(struct client *c, const char *secret)
{
    struct worker *w = c->worker;
    const struct conf_settings *cs = conf_settings(w->settings->conf);
    const struct login_asked *a = login_ops(c)->asked(c->u.login->login);
    const struct conf_database *db = find_database(c, a);
    char text[200];
    struct client_login *l = c->u.login;
    struct login_found found = {.secret = secret, .may_be_old = l->remembered && !l->doubted};
    find_way(c, a, db, &found, text, sizeof text);
    /* trust: the user must be known, unless nobody is. */
    if (cs->auth_type == CONF_AUTH_TRUST && w->settings->users != NULL &&
        userlist_find(w->settings->users, a->role) == NULL && found.refuse == NULL) {
        snprintf(text, sizeof text, "role \"%.100s\" does not exist", a->role);
        found.refuse = text;
        found.refuse_code = "28000";
    }
    secret_wipe(&l->secret);
    if (secret != NULL && db != NULL && db->password == NULL && db->password_command == NULL)
        l->secret = strdup(secret);
    l->looking_up = false;
    stream_resume(&c->stream, PAUSE_LOGIN);
    on_step(c, login_ops(c)->on_secret(l->login, &found, &c->out));
    feed_login(c);
}

static void cancel_request(struct client *c)
{
    struct worker *w = c->worker;
    const struct login_asked *a = login_ops(c)->asked(c->u.login->login);
    uint32_t id = a->cancel_id, key = a->cancel_key;
    bool valid = client_id_valid(id, w->world->n_workers);
    struct cancel_mail *m = valid ? calloc(1, sizeof *m) : NULL;
    if (m == NULL) {
        client_destroy(c);
        return;
    }
    /* The requester's socket stays open until the cancel is done, as PostgreSQL does it. */
    m->mail.kind = MAIL_CANCEL;
    m->slot = client_id_slot(id);
    m->key = key;
    m->ack_fd = c->stream.ssl == NULL ? stream_detach(&c->stream).fd : -1;
    client_destroy(c);
    worker_post(w->world, client_id_worker(id), &m->mail);
}

/* What server logins may learn from this one. */
static void prove(struct client *c)
{
    struct worker *w = c->worker;
    struct client_login *l = c->u.login;
    const struct login_ops *ops = login_ops(c);
    struct login_proof proof = {.n = 0};
    if (!route_takes_proof(c->route, w->settings, ops->asked(l->login)->role))
        return;
    const char *password = ops->password != NULL ? ops->password(l->login) : NULL;
    bool has_key = ops->proof(l->login, &proof);
    const struct route_proof shown = {
        .secret = l->secret,
        .password = l->secret != NULL ? password : NULL,
        .proof = has_key ? &proof : NULL,
    };
    routes_prove(w->world->routes, w->settings, c->route, &shown);
    explicit_bzero(&proof, sizeof proof);
}

/* What it can be named by; `cn` and `port` have room for that. */
static void collect_names(struct client *c, char cn[128], char port[8],
                          struct function_names *names)
{
    const struct settings *set = c->worker->settings;
    const struct login_asked *a = login_ops(c)->asked(c->u.login->login);
    *names = (struct function_names){.by = {
                                         [CONF_FUNCTION_USER] = a->function,
                                         [CONF_FUNCTION_OPTION] = a->option,
                                         [CONF_FUNCTION_APPLICATION_NAME] = a->application_name,
                                         [CONF_FUNCTION_SNI] = tls_sni(&c->stream),
                                     }};
    if (function_is_from(set, CONF_FUNCTION_CERTIFICATE) && tls_peer_cn(&c->stream, cn, 128))
        names->by[CONF_FUNCTION_CERTIFICATE] = cn;
    if (function_is_from(set, CONF_FUNCTION_PORT) && c->family != 0) {
        char peer[64], local[64];
        uint16_t from, to;
        stream_peer(&c->stream, peer, sizeof peer, &from, local, sizeof local, &to);
        (void)snprintf(port, 8, "%u", to);
        names->by[CONF_FUNCTION_PORT] = port;
    }
}

/* Who it is, for the queue and for whoever watches; *unnamed: who else it will be when its
 * application_name is taken away, NULL: its user. false: out of memory. */
static bool name_function(struct client *c, struct function **unnamed)
{
    struct worker *w = c->worker;
    char cn[128], port[8];
    bool follows;
    struct function_names names;
    collect_names(c, cn, port, &names);
    const char *role = login_ops(c)->asked(c->u.login->login)->role;
    const char *name = function_choose(w->settings, &names, &follows);
    c->named_by_application = follows;
    bool by_application = name != NULL && name == names.by[CONF_FUNCTION_APPLICATION_NAME];
    if (!client_set_function(c, name != NULL ? name : role))
        return false;
    *unnamed = c->function;
    if (!by_application)
        return true;
    names.by[CONF_FUNCTION_APPLICATION_NAME] = NULL;
    name = function_choose(w->settings, &names, &follows);
    *unnamed = name != NULL
                   ? functions_get(w->world->functions, w->settings, c->route->server, name)
                   : NULL;
    return true;
}

static const char *home_of(const struct client *c)
{
    const struct conf_database *db =
        conf_database_find(c->worker->settings->conf, c->route->database);
    return db != NULL ? params_dbname(db, c->route->database) : NULL;
}

static void logged_in(struct client *c)
{
    struct worker *w = c->worker;
    const struct login_ops *ops = login_ops(c);
    const struct conf_settings *cs = conf_settings(w->settings->conf);
    struct client_login *l = c->u.login;
    if (c->is_console) {
        const struct login_welcome in = {.id = client_id(c), .console = true};
        const struct login_asked *asked = ops->asked(l->login);
        bool admin = conf_list_has(cs->admin_users, asked->role);
        uint32_t flags = asked->console_flags;
        bool ok = ops->finish(l->login, NULL, &in, &c->out);
        client_login_end(c);
        client_set_state(c, CLIENT_IDLE);
        if (!ok || !console_start(c, !admin, flags))
            client_destroy(c);
        else if (client_flush(c) && buf_len(&c->in) != 0)
            console_readable(c);
        return;
    }
    if (!take_route(c, ops->asked(l->login)))
        return;
    prove(c);
    if (!client_awaits_server(c))
        client_login_welcome(c);
}

void client_login_welcome(struct client *c)
{
    struct worker *w = c->worker;
    const struct login_ops *ops = login_ops(c);
    const struct conf_settings *cs = conf_settings(w->settings->conf);
    struct client_login *l = c->u.login;
    c->is_admin = conf_list_has(cs->admin_users, ops->asked(l->login)->role);
    struct login_welcome welcome = {
        .id = client_id(c),
        .key = c->key,
        .user = c->route->user,
        .home = home_of(c),
        .limits = loan_terms(c),
        .ignore_startup = cs->ignore_startup_parameters,
    };
    char address[CLIENT_ADDRESS_BYTES];
    if (cs->application_name_add_host) {
        client_address(c, address);
        welcome.add_host = address;
    }
    welcome.report = route_report(w->world->routes, c->route, &welcome.own_report);
    struct function *unnamed = NULL;
    bool ok = name_function(c, &unnamed) && ops->finish(l->login, c->proto, &welcome, &c->out);
    if (welcome.report != NULL)
        c->route->server_ops->report_put(&welcome.report);
    client_login_end(c);
    if (!ok) {
        client_destroy(c);
        return;
    }
    c->u.unnamed = unnamed;
    client_logged_in(c);
    if (client_flush(c))
        relay_resume(c);
}

/* Those of its user and database have a line a second, so that who tries passwords for one hides no
 * other's from the log; a few may share it. */
static struct log_limit *refusal_limit(const struct login_asked *a)
{
    static struct log_limit limits[64];
    const char *role = a->role != NULL ? a->role : "";
    const char *database = a->database != NULL ? a->database : "";
    uint32_t h = 31 * hash_bytes(role, strlen(role)) + hash_bytes(database, strlen(database));
    return &limits[h % (sizeof limits / sizeof limits[0])];
}

static void on_step(struct client *c, enum login_step step)
{
    switch (step) {
    case LOGIN_MORE:
        (void)client_flush(c);
        break;
    case LOGIN_TLS:
        start_tls(c);
        break;
    case LOGIN_SECRET:
        if (c->u.login->by_query) { /* a password that was changed a moment ago is right at once */
            const struct login_asked *a = login_ops(c)->asked(c->u.login->login);
            c->u.login->doubted = true;
            job_auth_doubt(c, a->role, a->database);
        }
        look_up(c);
        break;
    case LOGIN_OK:
        logged_in(c);
        break;
    case LOGIN_CANCEL:
        cancel_request(c);
        break;
    case LOGIN_REFUSED: {
        uint32_t dropped;
        const struct login_ops *ops = login_ops(c);
        const char *why = ops->reason(c->u.login->login);
        const struct login_asked *a = ops->asked(c->u.login->login);
        if (c->u.login->remembered && !c->u.login->doubted)
            job_auth_doubt(c, a->role, a->database);
        if (why[0] != '\0')
            client_refused(c, VIEW_REFUSED_LOGIN);
        if (why[0] != '\0' && log_limit_pass(refusal_limit(a), &dropped)) {
            char who[200], others[48] = "";
            client_name(c, who, sizeof who);
            if (dropped != 0)
                snprintf(others, sizeof others, " (and %" PRIu32 " others since the last line)",
                         dropped);
            /* who it said it is: the pool's user may be another, and unknown ones have no pool */
            if (a->role != NULL && a->role[0] != '\0')
                log_warn(who, "login of \"%s\" failed: %s%s", a->role, why, others);
            else
                log_warn(who, "login failed: %s%s", why, others);
        }
        client_finish(c);
        break;
    }
    }
}

void client_login_again(struct client *c)
{
    struct worker *w = c->worker;
    const struct login_ops *ops = login_ops(c);
    struct client_login *l = calloc(1, sizeof *l);
    void *login = l != NULL ? ops->create(&w->settings->policy) : NULL;
    if (login == NULL) {
        free(l);
        client_say(c, PROTO_EV_NO_MEMORY, NULL, "weir: out of memory");
        return;
    }
    if (c->state == CLIENT_ACTIVE)
        loan_abandon(c, false, "client_gone", NULL);
    ops->again(login, c->proto, c->family == 0, c->tls != 0);
    c->route->proto->client_fini(c->proto);
    memset(c->proto, 0, c->route->proto->client_bytes);
    (void)client_set_function(c, NULL);
    route_client_left(c->route);
    c->route = NULL;
    c->stalled = c->cancelled = c->is_admin = false;
    l->login = login;
    l->deadline_us = w->now_us + w->settings->login_us;
    c->u.login = l;
    client_set_state(c, CLIENT_LOGIN);
    stream_resume(&c->stream, PAUSE_BACKPRESSURE | PAUSE_LEASE);
    worker_tick_need(w);
    feed_login(c);
}

static void on_handshake(struct client *c, enum io_result r, const char *why)
{
    struct client_login *l = c->u.login;
    if (r == IO_AGAIN)
        return;
    if (r != IO_OK) {
        log_debug(NULL, "TLS handshake failed: %s", why);
        client_destroy(c);
        return;
    }
    char cn[128];
    uint8_t binding[64];
    const char *alpn = client_protocol(c)->alpn;
    size_t n = tls_server_end_point(&c->stream, binding, sizeof binding);
    bool has_cn = tls_peer_cn(&c->stream, cn, sizeof cn);
    login_ops(c)->on_tls(l->login, has_cn ? cn : NULL, binding, n,
                         alpn != NULL && tls_alpn_is(&c->stream, alpn));
    l->handshaking = false;
}

static void handshake(struct client *c)
{
    if (tls_key_is_slow(&c->stream) && job_handshake(c))
        return;
    enum io_result r = stream_handshake(&c->stream);
    on_handshake(c, r, r == IO_ERROR ? stream_error(&c->stream) : "");
}

void client_login_shaken(struct client *c, struct job *j)
{
    if (!stream_attach(&c->stream, c->worker->loop, &j->stream, j->wants_write, relay_client_io, c))
        client_destroy(c);
    else
        on_handshake(c, j->shaken, j->err.text);
}

/* How much of it may be taken at once: see protocols.h. */
static size_t may_read(const struct client *c)
{
    size_t head = client_protocol(c)->tls_request_bytes;
    if (c->stream.ssl != NULL || c->worker->settings->tls == NULL || buf_len(&c->in) >= head)
        return LOGIN_READ;
    return head - buf_len(&c->in);
}

void client_login_io(struct client *c, unsigned what)
{
    struct client_login *l = c->u.login;
    if ((what & NET_WRITE) != 0 && !l->handshaking && !client_flush(c))
        return;
    if ((what & NET_HUP) != 0) {
        client_destroy(c);
        return;
    }
    if (l->handshaking) {
        handshake(c);
        if (c->state != CLIENT_LOGIN || l->handshaking)
            return;
    } else if (c->worker->settings->tls != NULL && client_protocol(c)->alpn != NULL && !l->heard &&
               stream_peek(&c->stream) == 0x16) {
        static const uint8_t hello[] = {0x16};
        size_t used;
        l->heard = true;
        on_step(c, login_ops(c)->feed(l->login, hello, 1, &used, &c->out));
        if (c->state == CLIENT_LOGIN && l->handshaking)
            handshake(c);
        return;
    }
    if (l->looking_up || c->stream.pause != 0)
        return;
    size_t got = 0;
    enum io_result r = stream_read(&c->stream, c->worker->scratch, may_read(c), &got);
    if (r == IO_AGAIN)
        return;
    bool ok = r == IO_OK && buf_append_secret(&c->in, c->worker->scratch, got);
    explicit_bzero(c->worker->scratch, got);
    if (!ok) {
        client_destroy(c);
        return;
    }
    l->heard = true;
    feed_login(c);
    if (c->state != CLIENT_GONE && buf_len(&c->in) == 0)
        buf_release(&c->in);
}
