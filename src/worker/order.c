/* SPDX-License-Identifier: ISC
 * See order.h. Clients are told to go on their workers.
 */
#include "config.h"

#include "worker/order.h"

#include "worker/control.h"
#include "worker/route.h"
#include "worker/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct order_mail {
    struct mail mail;
    uint64_t client_id; /* one client, or (0) all of a database */
    bool found;
    void (*done)(bool found, void *arg); /* NULL: nobody wants to know */
    void *arg;
    char database[256]; /* "" for every one */
};

void order_on_mail(struct worker *w, struct mail *mail)
{
    struct order_mail *m = container_of(mail, struct order_mail, mail);
    for (uint32_t i = 0; i < w->n_slots; i++) {
        struct client *c = w->slots[i];
        if (c == NULL || c->route == NULL || c->is_console || c->state == CLIENT_LOGIN ||
            c->state == CLIENT_GONE || c->state == CLIENT_CLOSING)
            continue;
        bool meant = m->client_id != 0
                         ? m->client_id == client_id(c)
                         : m->database[0] == '\0' || strcmp(m->database, c->route->database) == 0;
        if (!meant)
            continue;
        m->found = true;
        client_say(c, PROTO_EV_KILLED, NULL, "terminating connection due to administrator command");
    }
    if (m->done != NULL)
        control_post(w->world->control, mail);
    else
        free(m);
}

void order_done(struct mail *mail)
{
    struct order_mail *m = container_of(mail, struct order_mail, mail);
    m->done(m->found, m->arg);
    free(m);
}

static void send_order(struct world *w, const char *database)
{
    for (uint32_t k = 0; k < w->n_workers; k++) {
        struct order_mail *m = calloc(1, sizeof *m);
        if (m == NULL)
            continue;
        m->mail.kind = MAIL_ORDER;
        (void)snprintf(m->database, sizeof m->database, "%s", database != NULL ? database : "");
        worker_post(w, (uint16_t)k, &m->mail);
    }
}

bool world_kill_client(struct world *w, uint64_t id, void (*done)(bool found, void *arg), void *arg)
{
    struct order_mail *m = client_id_valid(id, w->n_workers) ? calloc(1, sizeof *m) : NULL;
    if (m == NULL)
        return false;
    m->mail.kind = MAIL_ORDER;
    m->client_id = id;
    m->done = done;
    m->arg = arg;
    worker_post(w, client_id_worker((uint32_t)id), &m->mail);
    return true;
}

static void order_route(struct route *r, enum world_verb verb)
{
    switch (verb) {
    case WORLD_PAUSE:
    case WORLD_RESUME:
        atomic_store(&r->paused, verb == WORLD_PAUSE);
        core_pool_pause(r->pool, verb == WORLD_PAUSE, clock_now_us());
        break;
    case WORLD_DISABLE:
    case WORLD_ENABLE:
        atomic_store(&r->disabled, verb == WORLD_DISABLE); /* who is in may go on */
        break;
    case WORLD_KILL:
        atomic_store(&r->paused, true);
        core_pool_pause(r->pool, true, clock_now_us());
        core_pool_reconnect(r->pool, clock_now_us());
        break;
    case WORLD_RECONNECT:
        core_pool_reconnect(r->pool, clock_now_us());
        break;
    case WORLD_WAIT_CLOSE:
        break;
    }
}

static bool has_database(struct world *w, const char *database)
{
    struct settings *set = world_settings(w);
    bool known = conf_database_find(set->conf, database) != NULL;
    settings_put(&set);
    return known;
}

enum world_answer world_order(struct world *w, enum world_verb verb, const char *database)
{
    bool was = true;
    if (database != NULL && !has_database(w, database))
        return WORLD_NO_DATABASE;
    if (verb == WORLD_PAUSE || verb == WORLD_KILL || verb == WORLD_RESUME)
        was = routes_pause(w->routes, database, verb != WORLD_RESUME);
    else if (verb == WORLD_DISABLE || verb == WORLD_ENABLE)
        (void)routes_disable(w->routes, database, verb == WORLD_DISABLE);
    if (verb == WORLD_RESUME && !was)
        return WORLD_NOT_PAUSED;
    for (struct route *r = routes_first(w->routes); r != NULL; r = r->next)
        if (database == NULL || strcmp(r->database, database) == 0)
            order_route(r, verb);
    if (verb == WORLD_KILL)
        send_order(w, database);
    for (struct bound_server *s = routes_first_server(w->routes); s != NULL; s = s->next)
        control_plan(w->control, s);
    return WORLD_DONE;
}

bool world_is_paused(struct world *w, const char *database)
{
    return routes_paused(w->routes, database);
}

uint32_t world_connections(struct world *w, const char *database)
{
    uint32_t n = 0;
    for (struct route *r = routes_first(w->routes); r != NULL; r = r->next) {
        struct core_counts c;
        if (database != NULL && strcmp(r->database, database) != 0)
            continue;
        core_pool_counts(r->pool, clock_now_us(), &c);
        n += c.opening + c.idle + c.lent + c.closing;
    }
    return n;
}
