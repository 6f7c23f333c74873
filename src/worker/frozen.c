/* SPDX-License-Identifier: ISC
 * Clients that hold a loan and do nothing with it: late ones, stopped ones, machines that were
 * paused or taken away. What they borrowed is lent on; their sockets stay, for they may thaw.
 *
 * A client that holds or awaits a loan for longer than WATCH_AFTER_US is watched: its socket gets
 * short keepalive and TCP_USER_TIMEOUT, and TCP_INFO tells whether its machine acknowledges. One
 * that goes on quickly is never touched, so an ordinary transaction costs no call. A watched client
 * that holds nothing any more gets its patience back a moment later.
 *
 * The kernel's timeout is longer than ours (by PATIENCE_US): it ends connections of which we had no
 * time to take care, while we keep those whose loan we could take back. A peer that acknowledges
 * and takes nothing (a stopped process, a slow one) must not be ended by the kernel at all: its
 * loan is taken back when it has taken no byte of its answer for as long.
 *
 *                 > WATCH_AFTER_US                    silent for lease_dead_after
 *      ACTIVE or WAITING ------------> watched --------------------------------> loan taken back
 *                ^                        | IDLE for REST_AFTER_US                     |
 *                '------------------------'<-------------------------------------------'
 * Thread: the worker's.
 */
#include "config.h"

#include "worker/route.h"
#include "worker/worker_priv.h"

#include "base/log.h"
#include "net/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_AFTER_US 500000u
#define REST_AFTER_US  1000000u
#define LOOK_EVERY_US  250000u
#define PATIENCE_US    3000000u
#define WAITERS_A_LOOK 1000u /* the longest waiting: they are the next to borrow */

static unsigned patience_ms(const struct worker *w)
{
    return (unsigned)((w->settings->dead_us + PATIENCE_US) / US_PER_MS);
}

static void watch(struct client *c)
{
    if (c->watched || c->family == 0 || c->is_console)
        return;
    peer_watch(c->stream.fd, patience_ms(c->worker));
    c->watched = true;
    c->full = false;
    TAILQ_INSERT_TAIL(&c->worker->watched, c, watch_link);
}

void frozen_forget(struct client *c)
{
    if (c->watched)
        TAILQ_REMOVE(&c->worker->watched, c, watch_link);
    c->watched = false;
}

static void rest(struct client *c)
{
    frozen_forget(c);
    peer_rest(c->stream.fd, &c->worker->settings->tcp);
}

/* ---- taking back
 * ------------------------------------------------------------------------------------- */

/* Of a statement under way nobody can say that it was rolled back before the server has: it may be
 * a COMMIT that is through. So it is stopped, and what the server says then is what the client is
 * told. false: out of memory. */
static bool await_outcome(struct backend *b, const char *reason, const char *why)
{
    struct client *c = b->client;
    struct worker *w = c->worker;
    size_t used;
    b->late = strdup(why);
    if (b->late == NULL)
        return false;
    b->late_reason = b->overdue = reason;
    b->outcome = true;
    b->deadline_us = w->now_us + w->settings->gone_us;
    b->cancel_us = w->now_us;
    (void)b->route->proto->say(c->proto, b->proto, PROTO_EV_OVERDUE, why, "40001", NULL, 0, &used,
                               &c->out);
    cancel_statement(b, -1);
    return true;
}

bool frozen_outcome(struct backend *b)
{
    struct client *c = b->client;
    struct proto_facts facts;
    b->route->proto->facts(c->proto, b->proto, &facts);
    if (facts.busy)
        return false;
    b->outcome = false;
    bool over = facts.tx == 'I' && !facts.open;
    if (over) { /* nothing is left to take back */
        free(b->late);
        b->late = NULL;
        b->deadline_us = 0;
    } else {
        frozen_take_back(b, b->late_reason, b->late);
    }
    if ((over || c->loan == NULL) && c->state < CLIENT_CLOSING && buf_len(&c->in) != 0)
        client_make_ready(c); /* what it said meanwhile was held */
    return !over;
}

void frozen_take_back(struct backend *b, const char *reason, const char *text)
{
    struct client *c = b->client;
    struct proto_facts facts;
    char why[256];
    snprintf(why, sizeof why, "%s", text);
    b->route->proto->facts(c->proto, b->proto, &facts);
    /* In the middle of a row that is too large to be kept nothing can be said any more. */
    if (facts.busy && b->late == NULL && facts.owed_bytes <= OUTCOME_BYTES / 2 &&
        await_outcome(b, reason, why))
        return;
    if (facts.pin_reason[0] != '\0') { /* as a whole it can't be had again */
        client_say(c, PROTO_EV_KILLED, NULL, why);
        return;
    }
    loan_abandon(c, true, reason, why);
}

static void frozen(struct client *c, uint32_t silent_ms)
{
    char text[200];
    snprintf(text, sizeof text,
             "weir: the %s: nothing was heard of the client's machine for %.1f s",
             c->state == CLIENT_ACTIVE ? "transaction was rolled back" : "statement was not begun",
             (double)silent_ms / 1e3);
    if (c->state == CLIENT_WAITING) {
        loan_give_up(c, text);
        return;
    }
    frozen_take_back(c->loan, "frozen", text);
}

/* ---- looking
 * ----------------------------------------------------------------------------------------- */

static void look(struct client *c)
{
    struct worker *w = c->worker;
    uint64_t dead_us = w->settings->dead_us;
    bool lent = c->state == CLIENT_ACTIVE && c->loan->late == NULL;
    bool waits = c->state == CLIENT_WAITING && c->coming == NULL;
    struct peer_look at;
    if (dead_us == 0 || (c->state == CLIENT_IDLE && w->now_us - c->since_us > REST_AFTER_US)) {
        rest(c);
        return;
    }
    if ((!lent && !waits) || !peer_look(c->stream.fd, &at))
        return;
    if ((uint64_t)at.silent_ms * US_PER_MS >= dead_us) {
        rest(c);
        frozen(c, at.silent_ms);
    } else if (at.full != c->full) {
        c->full = at.full;
        peer_set_patience(c->stream.fd, at.full ? 0 : patience_ms(w));
    }
}

/* It has not taken a byte of its answer since, and the spool is full. The kernel may hold megabytes
 * of that, and lets us send only when a good part of it is gone: what it still has tells sooner
 * that a slow client reads on. */
static void check_stalled(struct backend *b)
{
    struct client *c = b->client;
    struct worker *w = c->worker;
    uint64_t limit = w->settings->dead_us;
    char text[200];
    if (limit == 0 || b->late != NULL || (b->stream.pause & PAUSE_BACKPRESSURE) == 0 ||
        buf_len(&c->out) == 0)
        return;
    uint32_t owed = peer_owed(c->stream.fd);
    if (owed != b->owed)
        b->active_us = w->now_us;
    b->owed = owed;
    if (w->now_us - b->active_us < limit)
        return;
    snprintf(text, sizeof text,
             "weir: the statement was cancelled: the client has taken nothing of its answer for "
             "%.1f s",
             (double)(w->now_us - b->active_us) / 1e6);
    frozen_take_back(b, "not_reading", text);
}

void frozen_check(struct worker *w)
{
    struct client *c, *next;
    struct backend *b, *tmp;
    uint32_t n = 0;
    if (w->now_us < w->look_us)
        return;
    w->look_us = w->now_us + LOOK_EVERY_US;
    TAILQ_FOREACH_SAFE(c, &w->watched, watch_link, next)
    look(c);
    if (w->settings->dead_us == 0)
        return;
    TAILQ_FOREACH_SAFE(b, &w->backends[BACKEND_LENT], link, tmp)
    {
        if (b->client == NULL || b->route->replication)
            continue;
        if (w->now_us - b->lent_us > WATCH_AFTER_US)
            watch(b->client);
        check_stalled(b);
    }
    TAILQ_FOREACH(c, &w->states[CLIENT_WAITING], link)
    {
        if (w->now_us - c->since_us < WATCH_AFTER_US || n++ == WAITERS_A_LOOK)
            break;
        watch(c);
    }
}
