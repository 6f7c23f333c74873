/* SPDX-License-Identifier: ISC
 * One client stops another (MySQL's KILL, pg_terminate_backend()): the wish travels to the worker
 * of the client that is meant, which may be the same one, and back with what came of it. Clients
 * are known by the id that they were greeted with. Whoever logs in to the same server as the same
 * user may, and admin_users.
 *
 * The server's own number of a connection, as SHOW PROCESSLIST has it, means the client that had it
 * then and has it still: nobody knows in which worker, so the wish goes from one to the next.
 *
 * While the answer is out the client that asked is fed nothing (client.killing).
 * Thread: the worker's.
 */
#include "config.h"

#include "worker/route.h"
#include "worker/worker_priv.h"
#include "worker/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kill_mail {
    struct mail mail;
    uint32_t target;        /* client_id() of whom is meant, or the server's number */
    uint64_t seen_us;       /* when the asker saw the server's number */
    uint32_t asker, key;    /* client_id() of who asked, and its key */
    const struct route *by; /* its route */
    enum proto_kill kill;
    bool is_admin;
    bool is_client; /* `target` is a client's */
    bool done, found;
};

bool kill_ask(struct client *c, const struct proto_out *asked)
{
    struct world *world = c->worker->world;
    struct kill_mail *m = calloc(1, sizeof *m);
    if (m == NULL)
        return false;
    m->mail.kind = MAIL_KILL;
    m->target = asked->kill_id;
    m->seen_us = asked->kill_seen_us;
    m->asker = client_id(c);
    m->key = c->key;
    m->by = c->route;
    m->kill = (enum proto_kill)asked->kill;
    m->is_admin = c->is_admin;
    c->killing = true;
    m->is_client = client_id_valid(m->target, world->n_workers);
    worker_post(world, m->is_client ? client_id_worker(m->target) : 0, &m->mail);
    return true;
}

static struct client *borrower(struct worker *w, const struct kill_mail *m)
{
    struct backend *b;
    TAILQ_FOREACH(b, &w->backends[BACKEND_LENT], link)
    {
        if (b->route->server == m->by->server && b->lent_us < m->seen_us &&
            b->route->server_ops->remote_pid(b->proto) == m->target)
            return b->client;
    }
    return NULL;
}

static struct client *find(struct worker *w, const struct kill_mail *m)
{
    struct client *c = m->is_client ? worker_client(w, client_id_slot(m->target)) : borrower(w, m);
    bool there =
        c != NULL && !c->is_console &&
        (c->state == CLIENT_IDLE || c->state == CLIENT_WAITING || c->state == CLIENT_ACTIVE);
    if (!there)
        return NULL;
    bool own = c->route->server == m->by->server && strcmp(c->route->user, m->by->user) == 0;
    return own || m->is_admin ? c : NULL;
}

static void carry_out(struct worker *w, struct kill_mail *m)
{
    struct client *c = find(w, m);
    if (c == NULL && !m->is_client && w->index + 1u < w->world->n_workers) {
        worker_post(w->world, (uint16_t)(w->index + 1), &m->mail);
        return;
    }
    m->done = true;
    m->found = c != NULL;
    if (m->target == m->asker)
        ; /* the answer is its end */
    else if (c != NULL && m->kill == PROTO_KILL_QUERY)
        cancel_client(c, -1);
    else if (c != NULL)
        client_say(c, PROTO_EV_ENDED, NULL, "terminating connection due to administrator command");
    worker_post(w->world, client_id_worker(m->asker), &m->mail);
}

static void answer(struct worker *w, const struct kill_mail *m)
{
    struct client *c = worker_client(w, client_id_slot(m->asker));
    char text[64];
    size_t used;
    if (c == NULL || c->key != m->key || !c->killing ||
        (c->state != CLIENT_IDLE && c->state != CLIENT_ACTIVE))
        return;
    c->killing = c->stalled = false;
    snprintf(text, sizeof text, "Unknown thread id: %u", (unsigned)m->target);
    if (!c->route->proto->say(c->proto, NULL, m->found ? PROTO_EV_KILL_DONE : PROTO_EV_KILL_UNKNOWN,
                              text, NULL, NULL, 0, &used, &c->out))
        client_finish(c);
    else if (client_flush(c))
        relay_resume(c);
}

void kill_on_mail(struct worker *w, struct mail *mail)
{
    struct kill_mail *m = container_of(mail, struct kill_mail, mail);
    if (!m->done) {
        carry_out(w, m);
        return;
    }
    answer(w, m);
    free(m);
}
