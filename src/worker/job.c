/* SPDX-License-Identifier: ISC
 * See job.h.
 */
#include "config.h"

#include "worker/job.h"

#include "worker/auth_cache.h"
#include "worker/command.h"
#include "worker/look_up.h"
#include "worker/route.h"
#include "worker/world.h"

#include "base/secret.h"
#include "conf/conf_setting.h"
#include "net/stream_aside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    STAILQ_HEAD(, job) queue;
    struct turns logins; /* anybody may make them, so they come last */
    pthread_t *threads;
    unsigned n;
    bool stop;
    void (*done)(struct job *j, void *arg);
    void *arg;
    struct auth_cache *auth;
};

/* The answer is there, or none will come: tell those who wait for the same. */
static void end_flight(struct job *j)
{
    struct job_list line;
    struct job *other;
    if (j->flight == NULL)
        return;
    enum auth_outcome outcome = j->ok        ? AUTH_OUTCOME_ANSWER
                                : j->crowded ? AUTH_OUTCOME_UNASKED
                                             : AUTH_OUTCOME_FAILED;
    STAILQ_INIT(&line);
    if (j->world->jobs != NULL)
        auth_cache_end(j->world->jobs->auth, j->flight, outcome, j->secret, j->ttl_us, &line);
    free(j->flight);
    j->flight = NULL;
    while ((other = STAILQ_FIRST(&line)) != NULL) {
        STAILQ_REMOVE_HEAD(&line, link);
        worker_post(j->world, other->worker, &other->mail);
    }
}

void job_free(struct job **jp)
{
    struct job *j = *jp;
    if (j == NULL)
        return;
    *jp = NULL;
    end_flight(j);
    if (j->cancel != NULL)
        j->ops->cancel_free(&j->cancel);
    if (j->ack_fd >= 0)
        close(j->ack_fd);
    if (j->login != NULL)
        j->login_ops->destroy(&j->login);
    buf_wipe(&j->in);
    buf_release(&j->in);
    buf_release(&j->out);
    stream_export_close(&j->stream);
    free(j->limits.quotas);
    free(j->user);
    free(j->query);
    secret_wipe(&j->secret);
    params_forget(&j->params);
    free(j->command);
    free(j);
}

static struct job *job_create(enum job_kind kind, struct core_server *core, uint16_t worker)
{
    struct job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return NULL;
    j->kind = kind;
    j->core = core;
    j->worker = worker;
    j->ack_fd = j->stream.fd = -1;
    j->made_us = clock_now_us();
    j->mail.kind = MAIL_CANCELLED;
    return j;
}

struct job *job_cancel(struct backend *b, int ack_fd)
{
    struct job *j = job_create(JOB_CANCEL, core_pool_server(b->core.pool), b->worker->index);
    if (j == NULL)
        return NULL;
    j->backend = b;
    j->ops = b->route->server_ops;
    j->cancel = j->ops->cancel_make(b->proto);
    if (j->cancel == NULL) {
        job_free(&j);
        return NULL;
    }
    j->ack_fd = ack_fd;
    return j;
}

static void auth_key(const char *user, const char *database, char key[512])
{
    snprintf(key, 512, "%.240s\n%.240s", user, database);
}

static struct job *make_auth_query(struct client *c, const char *user, const char *database,
                                   const char *key)
{
    struct worker *w = c->worker;
    const struct settings *set = w->settings;
    struct look_up l;
    if (!look_up_find(set->conf, database, &l))
        return NULL;
    struct bound_server *s = routes_server(w->world->routes, w->settings, l.db);
    struct job *j = s != NULL ? job_create(JOB_AUTH_QUERY, s->core, w->index) : NULL;
    if (j == NULL)
        return NULL;
    j->mail.kind = MAIL_SECRET;
    j->ops = l.protocol->server;
    j->login_ops = client_protocol(c)->login;
    j->world = w->world;
    j->slot = c->slot;
    j->key = c->key;
    j->ttl_us = conf_settings(set->conf)->auth_cache_ttl_us;
    j->user = strdup(user);
    j->query = strdup(l.query);
    j->flight = strdup(key);
    j->params = look_up_params(&l, set->conf, set->users);
    if (j->user == NULL || j->query == NULL || j->flight == NULL || j->params == NULL) {
        free(j->flight); /* nobody is behind it yet */
        j->flight = NULL;
        job_free(&j);
    }
    return j;
}

enum auth_asked job_auth_query(struct client *c, const char *user, const char *database,
                               char **secret)
{
    struct world *world = c->worker->world;
    char key[512];
    auth_key(user, database, key);
    enum auth_found found = auth_cache_get(world->jobs->auth, key, NULL, secret);
    if (found == AUTH_FOUND_KNOWN || found == AUTH_FOUND_FAILED)
        return found == AUTH_FOUND_KNOWN ? AUTH_ASKED_KNOWN : AUTH_ASKED_FAILED;
    struct job *j = make_auth_query(c, user, database, key);
    if (j == NULL)
        return AUTH_ASKED_NO;
    char *flight = j->flight;
    j->flight = NULL; /* once in line it may be answered, and gone, at any moment */
    found = auth_cache_get(world->jobs->auth, key, j, secret);
    if (found == AUTH_FOUND_ASK) {
        j->flight = flight;
        c->u.login->lookup = j;
        control_post(world->control, &j->mail);
        return AUTH_ASKED_LATER;
    }
    free(flight);
    if (found == AUTH_FOUND_WAIT)
        return AUTH_ASKED_LATER;
    job_free(&j);
    return found == AUTH_FOUND_KNOWN ? AUTH_ASKED_KNOWN : AUTH_ASKED_FAILED;
}

void job_auth_doubt(struct client *c, const char *user, const char *database)
{
    char key[512];
    auth_key(user, database, key);
    auth_cache_doubt(c->worker->world->jobs->auth, key);
}

struct job *job_password(struct route *r, const char *command)
{
    struct job *j = job_create(JOB_PASSWORD, core_pool_server(r->pool), 0);
    if (j == NULL)
        return NULL;
    j->route = r;
    j->command = strdup(command);
    if (j->command == NULL)
        job_free(&j);
    return j;
}

static struct job *job_of_login(enum job_kind kind, struct client *c)
{
    struct job *j = job_create(kind, NULL, c->worker->index);
    if (j == NULL)
        return NULL;
    j->mail.kind = MAIL_LOGIN;
    j->world = c->worker->world;
    j->slot = c->slot;
    j->key = c->key;
    c->u.login->job = j;
    return j;
}

static void queue_login(struct client *c, struct job *j)
{
    struct jobs *js = c->worker->world->jobs;
    pthread_mutex_lock(&js->lock);
    turns_push(&js->logins, c->family, c->addr, &j->turn);
    pthread_cond_signal(&js->wake);
    pthread_mutex_unlock(&js->lock);
}

bool job_login(struct client *c)
{
    struct job *j = job_of_login(JOB_LOGIN, c);
    if (j == NULL)
        return false;
    j->login_ops = client_protocol(c)->login;
    j->login = c->u.login->login;
    c->u.login->login = NULL;
    j->in = c->in;
    c->in = (struct buf){0};
    queue_login(c, j);
    return true;
}

bool job_handshake(struct client *c)
{
    struct job *j = job_of_login(JOB_HANDSHAKE, c);
    if (j == NULL)
        return false;
    j->stream = stream_detach(&c->stream);
    queue_login(c, j);
    return true;
}

void job_recall(struct client *c)
{
    struct jobs *js = c->worker->world->jobs;
    struct job *j = c->u.login->job, *lookup = c->u.login->lookup;
    c->u.login->job = c->u.login->lookup = NULL;
    if (js != NULL && lookup != NULL)
        atomic_store(&lookup->moot, true);
    if (js == NULL || j == NULL)
        return;
    pthread_mutex_lock(&js->lock);
    bool waits = j->turn.turn != NULL;
    if (waits)
        turns_remove(&js->logins, &j->turn);
    pthread_mutex_unlock(&js->lock);
    if (waits)
        job_free(&j);
}

bool job_is_idle_lookup(struct job *j)
{
    return j->kind == JOB_AUTH_QUERY && atomic_load(&j->moot) &&
           !auth_cache_is_awaited(j->world->jobs->auth, j->flight);
}

struct job *job_probe(struct world *world, struct bound_server *s, struct route *r)
{
    struct job *j = job_create(JOB_PROBE, s->core, 0);
    if (j == NULL)
        return NULL;
    j->server = s;
    struct settings *set = world_settings(world);
    const struct conf_database *db = conf_database_find(set->conf, r->database);
    pthread_mutex_lock(&r->lock);
    const struct dial_as as = {
        .user = r->user, .database = r->database, .password = r->password, .keys = &r->keys};
    j->ops = r->server_ops;
    j->params = db != NULL ? params_keep(set->conf, db, &as) : NULL;
    pthread_mutex_unlock(&r->lock);
    settings_put(&set);
    if (j->params == NULL)
        job_free(&j);
    return j;
}

/* What the first login by it would cost its worker. */
static void prepare_found(struct job *j)
{
    const struct login_ops *ops = j->login_ops;
    if (!j->ok || j->secret == NULL || ops == NULL || ops->prepare_secret == NULL)
        return;
    struct settings *set = world_settings(j->world);
    ops->prepare_secret(j->user, j->secret, &set->policy);
    settings_put(&set);
}

static void job_run(struct job *j)
{
    const struct params_kept *ps = j->params;
    switch (j->kind) {
    case JOB_CANCEL:
        j->ok = atomic_load(&j->moot) || j->ops->cancel_run(j->cancel, &j->err);
        break;
    case JOB_PROBE:
        j->ok = j->ops->ask_limits(ps->p, ps->n, &j->limits, &j->err);
        break;
    case JOB_AUTH_QUERY:
        j->ok = j->ops->ask_secret(ps->p, ps->n, j->query, j->user, &j->secret, &j->err);
        prepare_found(j);
        end_flight(j);
        break;
    case JOB_LOGIN:
        j->step =
            j->login_ops->feed(j->login, buf_head(&j->in), buf_len(&j->in), &j->used, &j->out);
        break;
    case JOB_HANDSHAKE:
        j->shaken = stream_handshake_detached(&j->stream, &j->wants_write);
        if (j->shaken == IO_ERROR)
            err_set(&j->err, "%s", stream_error(NULL));
        break;
    case JOB_PASSWORD:
        j->secret = command_run(j->command, &j->err);
        j->ok = j->secret != NULL;
        break;
    }
    j->done = true;
}

/* Under the lock. NULL: there is nothing to do. */
static struct job *job_next(struct jobs *js)
{
    struct job *j = STAILQ_FIRST(&js->queue);
    if (j != NULL) {
        STAILQ_REMOVE_HEAD(&js->queue, link);
        return j;
    }
    struct turn_item *i = turns_pop(&js->logins);
    return i != NULL ? container_of(i, struct job, turn) : NULL;
}

static void *job_thread(void *arg)
{
    struct jobs *js = arg;
    (void)pthread_setname_np(pthread_self(), "weir-job");
    pthread_mutex_lock(&js->lock);
    for (;;) {
        struct job *j = job_next(js);
        if (j == NULL) {
            if (js->stop)
                break;
            pthread_cond_wait(&js->wake, &js->lock);
            continue;
        }
        pthread_mutex_unlock(&js->lock);
        job_run(j);
        js->done(j, js->arg);
        pthread_mutex_lock(&js->lock);
    }
    pthread_mutex_unlock(&js->lock);
    return NULL;
}

struct jobs *jobs_create(unsigned threads, void (*done)(struct job *j, void *arg), void *arg)
{
    struct jobs *js = calloc(1, sizeof *js);
    if (js == NULL || (js->threads = calloc(threads, sizeof *js->threads)) == NULL ||
        (js->auth = auth_cache_create()) == NULL || !turns_init(&js->logins)) {
        if (js != NULL)
            free(js->threads);
        free(js);
        return NULL;
    }
    pthread_mutex_init(&js->lock, NULL);
    pthread_cond_init(&js->wake, NULL);
    STAILQ_INIT(&js->queue);
    js->done = done;
    js->arg = arg;
    while (js->n < threads && pthread_create(&js->threads[js->n], NULL, job_thread, js) == 0)
        js->n++;
    return js;
}

void jobs_queue(struct jobs *js, struct job *j)
{
    pthread_mutex_lock(&js->lock);
    STAILQ_INSERT_TAIL(&js->queue, j, link);
    pthread_cond_signal(&js->wake);
    pthread_mutex_unlock(&js->lock);
}

void jobs_destroy(struct jobs **jp)
{
    struct jobs *js = *jp;
    if (js == NULL)
        return;
    struct turn_item *item;
    pthread_mutex_lock(&js->lock);
    js->stop = true;
    while ((item = turns_pop(&js->logins)) != NULL) { /* their clients won't be there to be told */
        struct job *j = container_of(item, struct job, turn);
        job_free(&j);
    }
    pthread_cond_broadcast(&js->wake);
    pthread_mutex_unlock(&js->lock);
    for (unsigned i = 0; i < js->n; i++)
        pthread_join(js->threads[i], NULL);
    *jp = NULL; /* a thread may have ended a look-up until then */
    turns_fini(&js->logins);
    auth_cache_destroy(&js->auth);
    free(js->threads);
    free(js);
}
