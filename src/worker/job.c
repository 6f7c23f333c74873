/* SPDX-License-Identifier: ISC
 * See job.h.
 */
#include "config.h"

#include "worker/job.h"

#include "worker/route.h"
#include "worker/world.h"

#include "proto/pg/pg_ask.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    STAILQ_HEAD(, job) queue;
    pthread_t *threads;
    unsigned n;
    bool stop;
    void (*done)(struct job *j, void *arg);
    void *arg;
};

static void wipe(char **text)
{
    if (*text != NULL)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void job_free(struct job **jp)
{
    struct job *j = *jp;
    if (j == NULL)
        return;
    *jp = NULL;
    if (j->cancel != NULL)
        j->ops->cancel_free(&j->cancel);
    if (j->ack_fd >= 0)
        close(j->ack_fd);
    free(j->user);
    free(j->query);
    wipe(&j->secret);
    wipe(&j->conninfo);
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
    j->ack_fd = -1;
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

static const struct conf_database *ask_database(const struct settings *set, const char *database)
{
    const struct conf_settings *cs = conf_settings(set->conf);
    const struct conf_database *db = conf_database_find(set->conf, database);
    const char *via = db != NULL && db->auth_dbname != NULL ? db->auth_dbname : cs->auth_dbname;
    if (via[0] != '\0')
        db = conf_database_find(set->conf, via);
    return db;
}

struct job *job_auth_query(struct client *c, const char *user, const char *database)
{
    struct worker *w = c->worker;
    const struct settings *set = w->settings;
    const struct conf_settings *cs = conf_settings(set->conf);
    const struct conf_database *db = ask_database(set, database);
    if (db == NULL || db->proto != CONF_PROTO_POSTGRES)
        return NULL;
    const char *as = db->auth_user != NULL ? db->auth_user : cs->auth_user;
    struct route *r = routes_get(w->world->routes, w->settings, db,
                                 db->dbname != NULL ? db->name : database, as, false);
    struct job *j = r != NULL ? job_create(JOB_AUTH_QUERY, r->server->core, w->index) : NULL;
    if (j == NULL)
        return NULL;
    j->mail.kind = MAIL_SECRET;
    j->slot = c->slot;
    j->key = c->key;
    j->user = strdup(user);
    j->query = strdup(db->auth_query != NULL ? db->auth_query : cs->auth_query);
    j->conninfo = route_conninfo(r, set);
    if (j->user == NULL || j->query == NULL || j->conninfo == NULL)
        job_free(&j);
    return j;
}

struct job *job_probe(struct world *world, struct bound_server *s, struct route *r)
{
    struct job *j = job_create(JOB_PROBE, s->core, 0);
    if (j == NULL)
        return NULL;
    j->server = s;
    struct settings *set = world_settings(world);
    j->conninfo = route_conninfo(r, set);
    settings_put(&set);
    if (j->conninfo == NULL)
        job_free(&j);
    return j;
}

static void job_run(struct job *j)
{
    switch (j->kind) {
    case JOB_CANCEL:
        j->ok = j->ops->cancel_run(j->cancel, &j->err);
        break;
    case JOB_PROBE:
        j->ok = pg_ask_limits(j->conninfo, &j->max_connections, &j->reserved, &j->err);
        break;
    case JOB_AUTH_QUERY:
        j->ok = pg_ask_secret(j->conninfo, j->query, j->user, &j->secret, &j->err);
        break;
    }
    j->done = true;
}

static void *job_thread(void *arg)
{
    struct jobs *js = arg;
    pthread_mutex_lock(&js->lock);
    for (;;) {
        struct job *j = STAILQ_FIRST(&js->queue);
        if (j == NULL) {
            if (js->stop)
                break;
            pthread_cond_wait(&js->wake, &js->lock);
            continue;
        }
        STAILQ_REMOVE_HEAD(&js->queue, link);
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
    if (js == NULL || (js->threads = calloc(threads, sizeof *js->threads)) == NULL) {
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
    *jp = NULL;
    pthread_mutex_lock(&js->lock);
    js->stop = true;
    pthread_cond_broadcast(&js->wake);
    pthread_mutex_unlock(&js->lock);
    for (unsigned i = 0; i < js->n; i++)
        pthread_join(js->threads[i], NULL);
    free(js->threads);
    free(js);
}
