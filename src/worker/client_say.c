/* SPDX-License-Identifier: ISC
 * What weir itself tells a client, mostly at its end.
 * Thread: the worker's.
 */
#include "config.h"

#include "worker/function.h"
#include "worker/route.h"
#include "worker/worker_priv.h"

#include "base/log.h"

/* Was it sent a part of a message? What it is told now would be taken for the rest. */
static bool is_torn(const struct client *c)
{
    struct proto_facts facts;
    if (c->state == CLIENT_LOGIN || c->loan == NULL)
        return false;
    c->route->proto->facts(c->proto, c->loan->proto, &facts);
    return facts.owed_bytes != 0;
}

static void count_refused(const struct client *c, enum proto_event ev)
{
    enum view_refused why = VIEW_REFUSED_LIMIT; /* memory is one, too */
    if (ev == PROTO_EV_LOGIN_TIMEOUT)
        why = VIEW_REFUSED_TIMEOUT;
    else if (ev == PROTO_EV_SHUTDOWN)
        why = VIEW_REFUSED_DRAINING;
    client_refused(c, why);
}

static void put_words(struct client *c, enum proto_event ev, const char *code, const char *text)
{
    const struct protocol *protocol = client_protocol(c);
    size_t used;
    void *ps = c->state != CLIENT_LOGIN && c->loan != NULL ? c->loan->proto : NULL;
    if (c->state == CLIENT_LOGIN && c->u.login != NULL && c->u.login->login == NULL)
        ; /* being judged aside: nothing can be said in between */
    else if (c->state == CLIENT_LOGIN && protocol->login->say != NULL)
        protocol->login->say(c->u.login->login, ev, text, &c->out);
    else if (!is_torn(c))
        (void)protocol->relay->say(c->proto, ps, ev, text, code, NULL, 0, &used, &c->out);
}

void client_say(struct client *c, enum proto_event ev, const char *code, const char *text)
{
    if (c->state == CLIENT_GONE || c->state == CLIENT_CLOSING)
        return;
    if (c->state == CLIENT_LOGIN)
        count_refused(c, ev);
    if (c->worker->settings->log_errors) {
        char who[200];
        client_name(c, who, sizeof who);
        log_info(who, "%s", text);
    }
    put_words(c, ev, code, text);
    client_finish(c);
}

void client_farewell(struct client *c)
{
    if (c->state == CLIENT_GONE || c->state == CLIENT_CLOSING)
        return;
    put_words(c, PROTO_EV_SHUTDOWN, NULL, SHUTTING_DOWN);
    (void)client_flush(c);
}

void client_no_lookup(struct client *c, bool crowded)
{
    client_say(c, crowded ? PROTO_EV_TOO_MANY : PROTO_EV_NO_LOOKUP, NULL,
               "weir: the password can't be looked up at the moment (auth_query)");
}
