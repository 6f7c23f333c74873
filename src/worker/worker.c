/* SPDX-License-Identifier: ISC
 * One worker: its loop, its tick, its mail, the end of each turn.
 *
 * The tick runs only while there is something to be timed, so an idle process sleeps. Time limits
 * are therefore kept to about TICK_US.
 */
#include "config.h"

#include "worker/function.h"
#include "worker/job.h"
#include "worker/route.h"
#include "worker/world.h"

#include "base/log.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_US         50000u
#define CHURN_MANY      256u     /* logins, waits and ends that make giving memory back worth it */
#define CHURN_QUIET_US  300000u  /* and so long none of them */
#define CANCEL_AGAIN_US 1000000u /* a cancel may have missed the statement */
#define CANCEL_NEXT_US  200000u  /* to the next statement of a client that left */
#define TICK_IDLE_US    1000000u /* only idle clients are there */

void worker_post(struct world *world, uint16_t worker, struct mail *m)
{
    loop_post(world->workers[worker]->loop, m);
}

/* ---- the end of a turn
 * ---------------------------------------------------------------------------- */

void worker_drain(struct worker *w)
{
    struct client *c;
    while ((c = STAILQ_FIRST(&w->ready)) != NULL) {
        STAILQ_REMOVE_HEAD(&w->ready, ready_link);
        c->ready = false;
        if (c->state == CLIENT_GONE || c->state == CLIENT_LOGIN) /* since */
            continue;
        struct backend *b = c->loan;
        relay_resume(c);
        if (b != NULL && b->magic == BACKEND_MAGIC && b->client == c)
            loan_check(b);
    }
    while ((c = TAILQ_FIRST(&w->dead_clients)) != NULL) {
        TAILQ_REMOVE(&w->dead_clients, c, link);
        c->magic = 0;
        client_wait_end(c);
        slab_put(&w->clients[c->door], c);
    }
    struct backend *b;
    while ((b = TAILQ_FIRST(&w->dead_backends)) != NULL) {
        TAILQ_REMOVE(&w->dead_backends, b, link);
        free(b);
    }
}

/* ---- time limits
 * ------------------------------------------------------------------------------------- */

static void too_late(struct backend *b, const char *what, uint64_t us)
{
    char text[160];
    snprintf(text, sizeof text, "weir: the transaction was rolled back: %s (%.1f s) is over", what,
             (double)us / 1e6);
    frozen_take_back(b, what, text);
}

/* End the statement under way; its client is told why, and its session goes on. */
static void cancel_late(struct backend *b, const char *limit, const char *what)
{
    char text[160];
    size_t used;
    b->overdue = limit;
    snprintf(text, sizeof text, "weir: canceling statement: %s is over", what);
    (void)b->route->proto->say(b->client->proto, b->proto, PROTO_EV_OVERDUE, text, NULL, NULL, 0,
                               &used, &b->client->out);
    cancel_statement(b, -1);
}

/* A client may have sent more statements than the one that was cancelled, and a cancel may have
 * come before its statement. */
static void cancel_again(struct worker *w, struct backend *b)
{
    struct proto_facts facts;
    if (b->checking || b->cancel != NULL || w->now_us - b->cancel_us < CANCEL_NEXT_US)
        return;
    b->route->proto->facts(NULL, b->proto, &facts);
    if (!facts.busy || facts.own)
        return;
    b->cancel_us = w->now_us;
    cancel_statement(b, -1);
}

static void check_lent(struct worker *w, struct backend *b)
{
    struct route *r = b->route;
    struct proto_facts facts;
    uint64_t now = w->now_us;
    if (b->deadline_us != 0 && now >= b->deadline_us) {
        loan_lost(b);
        return;
    }
    if (b->linger_us != 0 && now >= b->linger_us) {
        loan_check(b);
        return;
    }
    if (b->outcome)
        cancel_again(w, b);
    if (b->client == NULL || b->late != NULL || r->replication)
        return;
    r->proto->facts(b->client->proto, b->proto, &facts);
    bool in_tx = facts.tx != 'I';
    const struct function *f = b->function;
    uint64_t query_us = function_limit_us(&f->query_timeout_us, r->query_timeout_us);
    uint64_t tx_us = function_limit_us(&f->tx_timeout_us, r->tx_timeout_us);
    uint64_t idle_tx_us = function_limit_us(&f->idle_tx_timeout_us, r->idle_tx_timeout_us);
    if (query_us != 0 && b->query_us != 0 && facts.busy && now - b->query_us > query_us) {
        char what[64];
        snprintf(what, sizeof what, "query_timeout (%.1f s)", (double)query_us / 1e6);
        cancel_late(b, "query_timeout", what);
        route_count(r, b->worker, STAT_QUERY_US, now - b->query_us);
        b->query_us = now;
        return;
    }
    if (b->until_us != 0 && now >= b->until_us && b->query_us != 0 && facts.busy) {
        cancel_late(b, "deadline", "its deadline");
        b->until_us = now + CANCEL_AGAIN_US;
        return;
    }
    if (tx_us != 0 && (in_tx || facts.busy) && now - b->tx_us > tx_us)
        too_late(b, "transaction_timeout", tx_us);
    else if (idle_tx_us != 0 && !facts.busy && (in_tx || facts.open) &&
             now - b->active_us > idle_tx_us)
        too_late(b, "idle_transaction_timeout", idle_tx_us);
}

static void check_backends(struct worker *w)
{
    struct backend *b, *tmp;
    TAILQ_FOREACH_SAFE(b, &w->backends[BACKEND_LENT], link, tmp)
    check_lent(w, b);
    TAILQ_FOREACH_SAFE(b, &w->backends[BACKEND_CLOSING], link, tmp)
    {
        if (w->now_us >= b->deadline_us)
            backend_bury(b);
    }
    TAILQ_FOREACH_SAFE(b, &w->backends[BACKEND_CLEANING], link, tmp)
    {
        if (b->deadline_us != 0 && w->now_us >= b->deadline_us && b->checking) {
            loan_lost(b);
        } else if (b->deadline_us != 0 && w->now_us >= b->deadline_us && b->cancel == NULL) {
            log_warn(core_pool_name(b->core.pool),
                     "server connection closed: not clean within client_gone_timeout");
            loan_lost(b);
        } else {
            cancel_again(w, b);
        }
    }
}

static void check_clients(struct worker *w)
{
    struct client *c;
    if (w->ungreeted)
        worker_greet_all(w);
    /* Each list is in the order in which its members entered the state. */
    while ((c = TAILQ_FIRST(&w->states[CLIENT_LOGIN])) != NULL &&
           w->now_us - c->since_us > w->settings->login_us)
        client_say(c, PROTO_EV_LOGIN_TIMEOUT, NULL, "client_login_timeout");
    while ((c = TAILQ_FIRST(&w->states[CLIENT_CLOSING])) != NULL &&
           w->now_us - c->since_us > w->settings->gone_us)
        client_destroy(c); /* it doesn't read its farewell */
    struct client *tmp;
    TAILQ_FOREACH_SAFE(c, &w->states[CLIENT_IDLE], link, tmp)
    {
        uint64_t limit = c->route != NULL ? c->route->idle_us : 0;
        if (limit == 0) {
            if (!w->settings->any_idle_limit)
                break;
            continue;
        }
        if (w->now_us - c->since_us > limit)
            client_say(c, PROTO_EV_IDLE_TIMEOUT, NULL, "client_idle_timeout");
    }
}

/* After a storm of logins, of clients that queued or of closed ones its memory goes back to the
 * kernel: not before the last of them has been served, for what it holds pins pages. */
static void trim(struct worker *w)
{
    if (w->churn < CHURN_MANY || w->counts[CLIENT_LOGIN] != 0 || w->counts[CLIENT_WAITING] != 0 ||
        w->now_us - w->churn_us < CHURN_QUIET_US)
        return;
    w->churn = 0;
    malloc_trim(0);
}

static void on_tick(void *arg)
{
    struct worker *w = arg;
    w->now_us = clock_now_us();
    w->ticking = false;
    loan_expire(w);
    check_backends(w);
    frozen_check(w);
    check_clients(w);
    atomic_store(&w->oldest_login_us, client_login_oldest_us(w));
    worker_drain(w);
    trim(w);
    worker_tick_need(w);
}

void worker_tick_need(struct worker *w)
{
    if (w->ticking)
        return;
    bool soon = w->counts[CLIENT_LOGIN] != 0 || w->counts[CLIENT_WAITING] != 0 ||
                w->counts[CLIENT_CLOSING] != 0 || !TAILQ_EMPTY(&w->backends[BACKEND_LENT]) ||
                !TAILQ_EMPTY(&w->backends[BACKEND_CLEANING]) ||
                !TAILQ_EMPTY(&w->backends[BACKEND_CLOSING]);
    bool later =
        (w->settings->any_idle_limit && w->counts[CLIENT_IDLE] != 0) || !TAILQ_EMPTY(&w->watched);
    if (!soon && !later && w->churn < CHURN_MANY)
        return;
    w->ticking = true;
    timer_set_us(&w->tick, soon ? TICK_US : TICK_IDLE_US);
}

/* ---- mail
 * ------------------------------------------------------------------------------------------------
 */

static void on_cancel(struct worker *w, struct cancel_mail *m)
{
    struct client *c = worker_client(w, m->slot);
    /* In constant time: which bits of a key were right must not show. */
    if (c != NULL && c->state != CLIENT_LOGIN && c->state != CLIENT_GONE && !c->is_console &&
        (c->key ^ m->key) == 0) {
        cancel_client(c, m->ack_fd);
    } else if (m->ack_fd >= 0) {
        close(m->ack_fd);
    }
    free(m);
}

/* Who couldn't be asked about is no wrong password: it may be right in a moment. */
static void on_secret(struct worker *w, struct job *j)
{
    struct client *c = worker_client(w, j->slot);
    if (c != NULL && c->state == CLIENT_LOGIN && c->key == j->key && c->u.login != NULL &&
        c->u.login->looking_up && c->u.login->login != NULL) {
        c->u.login->lookup = NULL;
        if (!j->ok && j->err.text[0] != '\0') /* else whoever asked for it says why */
            log_warn(NULL, "auth_query failed: %s", j->err.text);
        if (j->ok)
            client_login_secret(c, j->secret);
        else
            client_no_lookup(c, j->crowded);
    }
    job_free(&j);
}

static void on_judged(struct worker *w, struct job *j)
{
    struct client *c = worker_client(w, j->slot);
    if (c != NULL && c->state == CLIENT_LOGIN && c->key == j->key && c->u.login != NULL &&
        c->u.login->job == j) {
        c->u.login->job = NULL;
        if (j->kind == JOB_HANDSHAKE)
            client_login_shaken(c, j);
        else
            client_login_judged(c, j);
    }
    job_free(&j);
}

/* An open door that nobody answers would keep clients waiting who could go elsewhere: to another
 * weir on the same port (so_reuseport), or to the next of their hosts. */
static void close_door(struct worker *w)
{
    listener_stop(w->listener);
    if (atomic_fetch_sub(&w->world->doors, 1) == 1)
        listen_set_close(w->world->listen);
}

static void drain_start(struct worker *w)
{
    struct client *c, *tmp;
    w->draining = true;
    close_door(w);
    TAILQ_FOREACH_SAFE(c, &w->states[CLIENT_IDLE], link, tmp)
    {
        if (!c->is_console)
            client_say(c, PROTO_EV_SHUTDOWN, NULL, SHUTTING_DOWN);
    }
    TAILQ_FOREACH_SAFE(c, &w->states[CLIENT_LOGIN], link, tmp)
    client_say(c, PROTO_EV_SHUTDOWN, NULL, SHUTTING_DOWN);
    struct backend *b, *next;
    TAILQ_FOREACH_SAFE(b, &w->backends[BACKEND_LENT], link, next)
    loan_check(b);
}

static void on_config(struct worker *w, struct config_mail *m)
{
    settings_put(&w->settings);
    w->settings = m->settings;
    free(m);
    loan_limits_changed(w);
    worker_tick_need(w); /* a client_idle_timeout may be new */
}

static void on_mail(struct mail *m, void *arg)
{
    struct worker *w = arg;
    w->now_us = clock_now_us();
    switch ((enum mail_kind)m->kind) {
    case MAIL_CANCEL:
        on_cancel(w, container_of(m, struct cancel_mail, mail));
        break;
    case MAIL_KILL:
        kill_on_mail(w, m);
        break;
    case MAIL_SECRET:
        on_secret(w, container_of(m, struct job, mail));
        break;
    case MAIL_LOGIN:
        on_judged(w, container_of(m, struct job, mail));
        break;
    case MAIL_CONFIG:
        on_config(w, container_of(m, struct config_mail, mail));
        break;
    case MAIL_DRAIN:
        free(m);
        drain_start(w);
        break;
    case MAIL_CLOSE_DOOR:
        free(m);
        close_door(w);
        break;
    case MAIL_VIEW:
        view_on_mail(w, m);
        break;
    case MAIL_CONSOLE:
        console_on_mail(w, m);
        break;
    case MAIL_ORDER:
        order_on_mail(w, m);
        break;
    case MAIL_ARRIVE:
    case MAIL_FETCH:
    case MAIL_BRING:
    case MAIL_CLOSE:
    case MAIL_FAILED:
    case MAIL_CANCELLED:
        loan_on_mail(w, m);
        break;
    case MAIL_GIVE_WAY:
        free(m);
        (void)client_login_give_way(w);
        break;
    case MAIL_GREET:
        free(m);
        worker_greet_all(w);
        break;
    }
    worker_drain(w);
}

/* ---- life
 * ----------------------------------------------------------------------------------------------------
 */

struct worker *worker_create(struct world *world, uint16_t index)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->world = world;
    w->index = index;
    w->oldest_login_us = UINT64_MAX;
    w->settings = world_settings(world);
    w->loop = loop_create();
    w->scratch = malloc(SCRATCH_BYTES);
    w->out.arena = malloc(ARENA_BYTES);
    w->out.arena_size = ARENA_BYTES;
    for (unsigned door = 0; door < PROTOCOLS; door++)
        if (protocol_at(door) != NULL)
            slab_init(&w->clients[door],
                      sizeof(struct client) + protocol_at(door)->relay->client_bytes);
    slab_init(&w->waits, sizeof(struct client_wait));
    for (int i = 0; i < CLIENT_STATES; i++)
        TAILQ_INIT(&w->states[i]);
    for (int i = 0; i < BACKEND_LISTS; i++)
        TAILQ_INIT(&w->backends[i]);
    TAILQ_INIT(&w->watched);
    STAILQ_INIT(&w->ready);
    TAILQ_INIT(&w->later);
    TAILQ_INIT(&w->dead_clients);
    TAILQ_INIT(&w->dead_backends);
    if (w->loop == NULL || w->scratch == NULL || w->out.arena == NULL)
        return NULL;
    timer_init(&w->tick, w->loop, on_tick, w);
    timer_init(&w->next_turn, w->loop, relay_next_turn, w);
    loop_on_mail(w->loop, on_mail, w);
    return w;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    loop_run(w->loop);
    return NULL;
}

bool worker_start(struct worker *w)
{
    const struct conf_settings *cs = conf_settings(w->settings->conf);
    w->listener =
        listener_create(w->world->listen, w->loop, (unsigned)cs->accept_batch, client_on_accept, w);
    if (w->listener == NULL || pthread_create(&w->thread, NULL, worker_main, w) != 0)
        return false;
    char name[16];
    snprintf(name, sizeof name, "weir-%u", w->index);
    (void)pthread_setname_np(w->thread, name);
    return true;
}

void worker_stop(struct worker *w)
{
    loop_stop(w->loop);
    pthread_join(w->thread, NULL);
}

/* After the thread has ended: everything still here is closed. */
void worker_destroy(struct worker **wp)
{
    struct worker *w = *wp;
    *wp = NULL;
    w->now_us = clock_now_us();
    for (int s = 0; s < CLIENT_STATES; s++) {
        struct client *c;
        while ((c = TAILQ_FIRST(&w->states[s])) != NULL) {
            client_farewell(c);
            client_destroy(c);
            if (c->state != CLIENT_GONE)
                break;
        }
    }
    w->stopping = true;
    for (int s = 0; s < BACKEND_LISTS; s++) {
        struct backend *b;
        while ((b = TAILQ_FIRST(&w->backends[s])) != NULL) {
            if (core_conn_break(&b->core, w->now_us) || b->core.state == CONN_CLOSING)
                backend_close(
                    b); /* an order to close it that is still in the mailbox is not read */
        }
    }
    worker_drain(w);
    listener_destroy(&w->listener);
    timer_clear(&w->tick);
    timer_clear(&w->next_turn);
    loop_destroy(&w->loop);
    settings_put(&w->settings);
    free(w->slots);
    free(w->scratch);
    free(w->out.arena);
    free(w);
}
