/* SPDX-License-Identifier: ISC
 * What a client is told of its server at login: the version and the character set in MySQL's
 * greeting, PostgreSQL's parameters. By these libraries choose their dialect, for as long as they
 * have the connection.
 *
 * A login doesn't wait for a database. But where weir is younger than its first client (a sidecar),
 * its own first login to the server is a few milliseconds from its end: that much it is worth to
 * wait for it, FIRST_WORD_US at most, until it has come to its end the one way or the other, and
 * once for each server.
 */
#include "config.h"

#include "worker/protocols.h"
#include "worker/route.h"
#include "worker/worker_priv.h"
#include "worker/world.h"

#define FIRST_WORD_US 250000u

void greetings_init(struct greetings *g, bool coming)
{
    pthread_mutex_init(&g->lock, NULL);
    atomic_store(&g->by_us, coming ? clock_now_us() + FIRST_WORD_US : 0);
}

/* A reference, or NULL. */
static void *learnt(struct greetings *g, const struct protocol *p)
{
    void *ref = NULL;
    pthread_mutex_lock(&g->lock);
    if (g->of[p->conf].report != NULL)
        ref = p->server->report_get(g->of[p->conf].report);
    pthread_mutex_unlock(&g->lock);
    return ref;
}

/* It doesn't change with each server of the protocol that is reached. */
static void learn(struct greetings *g, const struct protocol *p, const struct route *r,
                  void *report)
{
    void *old = NULL;
    pthread_mutex_lock(&g->lock);
    if (g->of[p->conf].server == NULL || g->of[p->conf].server == r->server) {
        old = g->of[p->conf].report;
        g->of[p->conf].report = p->server->report_get(report);
        g->of[p->conf].server = r->server;
    }
    pthread_mutex_unlock(&g->lock);
    if (old != NULL)
        p->server->report_put(&old);
}

static const struct protocol *protocol_of_route(const struct route *r)
{
    unsigned door = 0;
    while (protocol_at(door) == NULL || protocol_at(door)->relay != r->proto)
        door++;
    return protocol_at(door);
}

void greetings_learn(struct world *w, const struct route *r, void *report)
{
    learn(&w->greetings, protocol_of_route(r), r, report);
}

void greetings_over(struct world *w, const struct route *r)
{
    bool first =
        protocol_of_route(r)->login->greet != NULL && atomic_exchange(&w->greetings.by_us, 0) != 0;
    first |= !atomic_exchange(&r->server->heard, true);
    if (first)
        world_tell_workers(w, MAIL_GREET);
}

void client_greet(struct client *c)
{
    struct worker *w = c->worker;
    struct client_login *l = c->u.login;
    const struct protocol *p = client_protocol(c);
    struct greetings *all = &w->world->greetings;
    l->ungreeted = w->now_us < atomic_load(&all->by_us);
    if (l->ungreeted) {
        w->ungreeted = true;
        stream_pause(&c->stream, PAUSE_LOGIN);
        return;
    }
    struct login_greeting g = {
        .id = client_id(c),
        .report = learnt(all, p),
        .local = c->family == 0,
        .tls = w->settings->tls != NULL,
    };
    bool ok = p->login->greet(l->login, &g, &c->out);
    if (g.report != NULL)
        p->server->report_put(&g.report);
    if (ok)
        (void)client_flush(c);
    else
        client_destroy(c);
}

bool client_awaits_server(struct client *c)
{
    struct worker *w = c->worker;
    struct client_login *l = c->u.login;
    struct bound_server *s = c->route->server;
    if (c->route->replication != 0 || atomic_load(&s->heard))
        return false;
    if (l->until_us == 0)
        l->until_us = w->now_us + FIRST_WORD_US;
    if (w->now_us >= l->until_us) { /* one has waited in vain, and nobody else need */
        atomic_store(&s->heard, true);
        return false;
    }
    w->ungreeted = true;
    stream_pause(&c->stream, PAUSE_LOGIN);
    return true;
}

void worker_greet_all(struct worker *w)
{
    struct client *c, *tmp;
    w->ungreeted = false;
    TAILQ_FOREACH_SAFE(c, &w->states[CLIENT_LOGIN], link, tmp)
    {
        struct client_login *l = c->u.login;
        if (l->ungreeted) {
            stream_resume(&c->stream, PAUSE_LOGIN);
            client_greet(c);
        } else if (l->until_us != 0 && !client_awaits_server(c)) {
            stream_resume(&c->stream, PAUSE_LOGIN);
            client_login_welcome(c);
        }
    }
}
