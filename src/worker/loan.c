/* SPDX-License-Identifier: ISC
 * Borrowing, giving back, and every way in which a loan can end other than well.
 *
 * A connection that is given back while somebody waits goes to the next in line at once: here, or
 * as a detached socket in a message to that client's worker. It is never given back while a cancel
 * for it is under way, so a late cancel can't hit the next borrower.
 * Thread: the worker's; the core's mutex is taken inside its calls only.
 */
#include "config.h"

#include "worker/function.h"
#include "worker/job.h"
#include "worker/route.h"
#include "worker/worker_priv.h"
#include "worker/world.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void out_reset(struct worker *w)
{
    proto_out_sent(&w->out);
    w->out.close_client = false;
}

/* ---- borrowing ----------------------------------------------------------------------------------
 */

void loan_attach(struct client *c, struct backend *b)
{
    struct worker *w = c->worker;
    uint64_t waited = c->state == CLIENT_WAITING ? w->now_us - c->since_us : 0;
    function_waited(c->function, w, waited);
    route_count(c->route, w, STAT_SERVER_ASSIGNMENTS, 1);
    if (waited != 0)
        route_count(c->route, w, STAT_WAIT_US, waited);
    client_wait_end(c);
    c->loan = b;
    c->coming = NULL;
    b->client = c;
    b->function = c->function;
    b->lent_us = b->active_us = w->now_us;
    b->query_us = b->tx_us = b->until_us = 0;
    b->waited_us = b->wait_us = waited;
    b->pinned = false;
    b->linger_us = 0;
    b->overdue = NULL;
    b->statements = 0;
    b->pin_reason[0] = b->trace_id[0] = '\0';
    backend_set_state(b, BACKEND_LENT);
    client_set_state(c, CLIENT_ACTIVE);
    out_reset(w);
    (void)c->route->proto->begin(b->proto, c->proto, &w->out);
    (void)relay_send_client(c, &w->out.client);
    (void)relay_send_backend(b, &w->out.server);
    worker_tick_need(w);
}

/* Until when it may wait, by the settings. */
static uint64_t wait_deadline_us(const struct client *c, uint64_t since_us)
{
    uint64_t limit = function_limit_us(&c->function->query_wait_us, c->route->query_wait_us);
    return limit == 0 ? UINT64_MAX : since_us + limit;
}

void loan_limits_changed(struct worker *w)
{
    struct client *c;
    TAILQ_FOREACH(c, &w->states[CLIENT_WAITING], link)
    {
        if (c->coming == NULL)
            core_waiter_limit(&c->wait->waiter, wait_deadline_us(c, c->since_us));
    }
}

void loan_note_deadline(struct backend *b, uint32_t ms)
{
    uint64_t span = (uint64_t)ms * US_PER_MS;
    uint64_t until = b->worker->now_us + (span > b->waited_us ? span - b->waited_us : 0);
    if (b->until_us == 0 || until < b->until_us)
        b->until_us = until;
}

struct login_limits loan_terms(const struct client *c)
{
    const struct conf_settings *cs = conf_settings(c->worker->settings->conf);
    return (struct login_limits){
        .prepared = (uint32_t)cs->max_prepared_statements,
        .statement_max_bytes = (uint32_t)cs->max_statement_size_bytes,
        .pool_mode = c->route->pool_mode,
    };
}

/* false: the connection that was lent was no good and is closed. */
static bool borrow_once(struct client *c, enum loan_answer *result)
{
    struct worker *w = c->worker;
    struct core_conn *conn = NULL;
    bool nudge = false;
    (void)client_follow(c);
    const struct login_limits limits = loan_terms(c);
    client_protocol(c)->login->limit(c->proto, &limits);
    if (c->wait == NULL)
        c->wait = slab_get(&w->waits);
    if (c->wait == NULL) {
        c->refusal = CORE_FULL;
        *result = LOAN_ANSWER_NO;
        return true;
    }
    struct core_waiter *waiter = &c->wait->waiter;
    c->wait->client = c;
    waiter->pool = c->route->pool;
    waiter->who.function = c->function->core;
    waiter->worker = w->index;
    waiter->addr = c->family != 0 ? c->addr : NULL;
    waiter->own_us =
        w->out.deadline_ms != 0 ? w->now_us + (uint64_t)w->out.deadline_ms * US_PER_MS : 0;
    waiter->deadline_us = wait_deadline_us(c, w->now_us);
    enum core_answer answer = core_borrow(waiter, w->now_us, &conn, &nudge);
    if (nudge)
        backend_nudge(w->world, c->route);
    switch (answer) {
    case CORE_LENT: {
        struct backend *b = container_of(conn, struct backend, core);
        if (b->core.worker == w->index && b->worker != NULL) {
            enum server_fit fit = server_check(b, c);
            if (fit == SERVER_FIT)
                loan_attach(c, b);
            *result = fit == SERVER_FIT ? LOAN_ANSWER_NOW : LOAN_ANSWER_LATER;
            return fit != SERVER_GONE;
        }
        client_set_state(c, CLIENT_WAITING);
        c->coming = b;
        c->wait->mail.kind = MAIL_FETCH;
        worker_post(w->world, b->core.worker, &c->wait->mail);
        *result = LOAN_ANSWER_LATER;
        break;
    }
    case CORE_QUEUED:
        client_set_state(c, CLIENT_WAITING);
        worker_tick_need(w);
        *result = LOAN_ANSWER_LATER;
        break;
    case CORE_FULL:
    case CORE_DISABLED:
    case CORE_DOWN:
        c->refusal = (uint8_t)answer;
        *result = LOAN_ANSWER_NO;
        break;
    }
    return true;
}

enum loan_answer loan_borrow(struct client *c)
{
    enum loan_answer answer = LOAN_ANSWER_NO;
    do {
        while (!borrow_once(c, &answer))
            ;                                               /* each turn has closed one */
    } while (answer == LOAN_ANSWER_NO && client_follow(c)); /* it moved in the meantime */
    return answer;
}

bool loan_leave_queue(struct client *c)
{
    if (c->state != CLIENT_WAITING)
        return true;
    return c->coming == NULL && core_leave(&c->wait->waiter);
}

/* ---- giving back
 * -------------------------------------------------------------------------------------- */

/* Clean and nobody's: to the next in line, or idle. */
static void give_back(struct backend *b)
{
    struct worker *w = b->worker;
    struct core_waiter *next = NULL;
    bool nudge = false;
    b->client = NULL;
    b->query_us = b->until_us = 0;
    b->active_us = w->now_us;
    backend_set_state(b, BACKEND_IDLE);
    stream_resume(&b->stream, PAUSE_BACKPRESSURE);
    enum core_next what = core_give_back(&b->core, w->now_us, &next, &nudge);
    if (nudge)
        backend_nudge(w->world, b->route);
    switch (what) {
    case CORE_NEXT_IDLE:
        break;
    case CORE_NEXT_CLOSE:
        backend_close(b);
        break;
    case CORE_NEXT_LEND:
        if (next->worker != w->index) {
            backend_send_to(b, next->worker, next);
        } else {
            struct client *c = client_of_waiter(next);
            (void)!core_waiter_take(next);
            if (c->state == CLIENT_GONE) {
                b->to = NULL;
                TAILQ_INSERT_TAIL(&w->dead_clients, c, link);
                give_back(b);
                return;
            }
            loan_attach(c, b);
            client_make_ready(c);
        }
        break;
    }
}

/* It goes by another name since its last statement. application_name_add_host made none of it: with
 * that each container would be a function. */
static void rename_function(struct client *c)
{
    struct proto_facts facts;
    char name[FUNCTION_NAME_BYTES], address[CLIENT_ADDRESS_BYTES], added[64];
    c->route->proto->facts(c->proto, NULL, &facts);
    c->renamed = false;
    const char *without = c->u.unnamed != NULL ? c->u.unnamed->name : c->route->user;
    snprintf(name, sizeof name, "%s", facts.application_name);
    client_address(c, address);
    snprintf(added, sizeof added, " - %s", address);
    size_t n = strlen(name), tail = strlen(added);
    if (conf_settings(c->worker->settings->conf)->application_name_add_host && n > tail &&
        strcmp(name + n - tail, added) == 0)
        name[n - tail] = '\0';
    (void)client_set_function(c, function_is_name(name) ? name : without);
}

static void end_loan(struct backend *b)
{
    struct worker *w = b->worker;
    struct client *c = b->client;
    uint64_t held = w->now_us - b->lent_us;
    if (b->function != NULL)
        function_held(b->function, w, held);
    if (c != NULL)
        loan_log(b, c, b->overdue, "loan ended");
    route_count(b->route, w, STAT_XACTS, 1);
    route_count(b->route, w, STAT_XACT_US, held);
    if (c != NULL) {
        c->loan = NULL;
        client_set_state(c, CLIENT_IDLE);
        c->stalled = false;
        if (c->renamed)
            rename_function(c);
        stream_resume(&c->stream, PAUSE_BACKPRESSURE | PAUSE_LEASE);
    }
    give_back(b);
    if (c == NULL)
        return;
    if (w->draining) {
        client_say(c, PROTO_EV_SHUTDOWN, NULL, SHUTTING_DOWN);
        return;
    }
    if (buf_len(&c->in) != 0)
        client_make_ready(c);
}

/* Once for each loan that state keeps with its client. */
static void count_pin(struct backend *b)
{
    struct proto_facts facts;
    if (b->pinned)
        return;
    b->route->proto->facts(NULL, b->proto, &facts);
    b->pinned = facts.pin_reason[0] != '\0';
    if (!b->pinned)
        return;
    snprintf(b->pin_reason, sizeof b->pin_reason, "%s", facts.pin_reason);
    route_count(b->route, b->worker, STAT_PINS, 1);
    function_count(b->function, b->worker, FUNCTION_PIN, facts.pin_reason);
}

/* The client's: no limit of its time holds any more, and nobody need stop it. */
static void statement_over(struct backend *b)
{
    cancel_moot(b);
    if (b->query_us != 0)
        route_count(b->route, b->worker, STAT_QUERY_US, b->worker->now_us - b->query_us);
    b->query_us = b->until_us = 0;
}

/* For how long a connection stays with a client that may be about to ask what only it knows. */
#define LINGER_US 50000u

static bool lingers(struct backend *b)
{
    const struct worker *w = b->worker;
    if (b->client == NULL || w->draining)
        return false;
    if (b->linger_us == 0)
        b->linger_us = w->now_us + LINGER_US;
    return w->now_us < b->linger_us;
}

void loan_check(struct backend *b)
{
    struct worker *w = b->worker;
    struct client *c = b->client;
    if (b->magic != BACKEND_MAGIC || b->state == BACKEND_IDLE || b->state >= BACKEND_CLOSING)
        return;
    if (b->checking) {
        server_check_go_on(b, false);
        return;
    }
    if (b->cancel_later)
        cancel_go_on(b);
    if (b->outcome && c != NULL && frozen_outcome(b))
        return;
    for (int turn = 0; turn < 4; turn++) {
        out_reset(w);
        enum proto_loan loan =
            b->route->proto->state(b->proto, c != NULL ? c->proto : NULL, true, w->now_us, &w->out);
        bool sent = w->out.server.bytes != 0;
        if (!relay_send_backend(b, &w->out.server))
            loan = LOAN_BROKEN;
        if (loan != LOAN_SETTLE && b->state == BACKEND_LENT && b->late == NULL)
            b->deadline_us = 0; /* settled, and still its client's */
        if (loan != LOAN_LINGER)
            b->linger_us = 0;
        switch (loan) {
        case LOAN_BUSY:
            return;
        case LOAN_QUIET: /* from now on it is the client who takes its time */
            statement_over(b);
            b->active_us = w->now_us;
            return;
        case LOAN_SETTLE:
            if (sent)
                statement_over(b);
            if (sent && b->deadline_us == 0)
                b->deadline_us = w->now_us + w->settings->gone_us;
            return;
        case LOAN_KEEP: /* by what pins it: no transaction is open */
            statement_over(b);
            b->tx_us = 0;
            b->active_us = w->now_us;
            count_pin(b);
            if (c != NULL && w->draining && b->cancel == NULL)
                client_say(c, PROTO_EV_SHUTDOWN, NULL, SHUTTING_DOWN);
            return;
        case LOAN_BROKEN:
            loan_lost(b);
            return;
        case LOAN_LINGER:
        case LOAN_CLEAN:
            statement_over(b);
            if (b->cancel != NULL || buf_len(&b->out) != 0)
                return;
            if (loan == LOAN_CLEAN || !lingers(b))
                end_loan(b);
            return;
        }
    }
}

/* ---- abandoned, taken back, lost
 * ------------------------------------------------------------------------ */

/* Nothing was begun since its loan was over. */
static bool only_lingers(struct backend *b)
{
    struct worker *w = b->worker;
    if (b->linger_us == 0)
        return false;
    out_reset(w);
    enum proto_loan loan =
        b->route->proto->state(b->proto, b->client->proto, true, w->now_us, &w->out);
    return relay_send_backend(b, &w->out.server) && loan == LOAN_LINGER;
}

void loan_abandon(struct client *c, bool keep_session, const char *reason, const char *why)
{
    struct worker *w = c->worker;
    struct backend *b = c->loan;
    const struct proto_ops *ops = c->route->proto;
    size_t used;
    if (!keep_session && only_lingers(b)) {
        loan_log(b, c, b->overdue, "loan ended");
        c->loan = NULL;
        b->client = NULL;
        end_loan(b);
        return;
    }
    if (keep_session)
        (void)ops->say(c->proto, b->proto, PROTO_EV_TAKEN_BACK, why, NULL, NULL, 0, &used, &c->out);
    out_reset(w);
    bool cancel = ops->abandon(b->proto, c->proto, &w->out);
    if (keep_session)
        (void)relay_send_client(c, &w->out.client);
    bool closing = keep_session && w->out.close_client;
    (void)relay_send_backend(b, &w->out.server);
    route_count(c->route, w, STAT_ROLLBACKS, 1);
    function_count(c->function, w, FUNCTION_ROLLBACK, reason);
    loan_log(b, c, reason, why != NULL ? why : "the client left its loan");
    c->loan = NULL;
    b->client = NULL;
    b->deadline_us = w->now_us + w->settings->gone_us;
    backend_set_state(b, BACKEND_CLEANING);
    stream_resume(&b->stream, PAUSE_BACKPRESSURE);
    if (keep_session) {
        client_set_state(c, CLIENT_IDLE);
        stream_resume(&c->stream, PAUSE_BACKPRESSURE | PAUSE_LEASE);
    }
    b->cancel_us = w->now_us;
    if (cancel)
        cancel_statement(b, -1);
    loan_check(b);
    worker_tick_need(w);
    if (closing)
        client_finish(c);
}

void loan_lost(struct backend *b)
{
    struct client *c = b->client;
    struct worker *w = b->worker;
    bool idle = b->state == BACKEND_IDLE;
    char text[256], code[6] = "";
    if (idle) { /* lent meanwhile? then it is fetched, and found dead where it arrives */
        b->dead = true;
        stream_pause(&b->stream, PAUSE_SHUTDOWN);
        if (!core_conn_break_idle(&b->core, w->now_us))
            return;
        log_debug(core_pool_name(b->core.pool), "idle server connection was closed by the server");
        backend_close(b);
        return;
    }
    cancel_forget(b);
    if (b->checking) {
        server_check_go_on(b, true);
        return;
    }
    if (b->outcome && !b->eof)
        snprintf(
            text, sizeof text,
            "weir: %s: the server was told to stop the statement and didn't answer, so whether "
            "it was carried out is unknown",
            b->late_reason);
    else
        route_last_words(b, text, sizeof text, code);
    b->client = NULL;
    if (c != NULL) {
        size_t used;
        loan_log(b, c, "server_lost", text);
        c->loan = NULL;
        client_set_state(c, CLIENT_IDLE);
        stream_resume(&c->stream, PAUSE_BACKPRESSURE | PAUSE_LEASE);
        bool kept = c->route->proto->say(c->proto, b->proto, PROTO_EV_LOST_SERVER, text, code, NULL,
                                         0, &used, &c->out);
        if (!kept) {
            client_finish(c);
        } else if (client_flush(c) && buf_len(&c->in) != 0) {
            client_make_ready(c);
        }
    }
    static struct log_limit limit;
    uint32_t dropped;
    if (log_limit_pass(&limit, &dropped))
        log_warn(core_pool_name(b->core.pool), "server connection lost: %s", text);
    b->dead = true;
    if (b->cancel != NULL) { /* the cancel names it: freed when it is done */
        b->deadline_us = 0;
        stream_pause(&b->stream, PAUSE_SHUTDOWN);
        return;
    }
    (void)core_conn_break(&b->core, w->now_us);
    backend_close(b);
}

/* ---- arriving
 * ----------------------------------------------------------------------------------------- */

void loan_deliver(struct backend *b, struct client *c, bool ok)
{
    struct worker *w = c->worker;
    c->coming = NULL;
    if (c->state == CLIENT_GONE) {
        TAILQ_INSERT_TAIL(&w->dead_clients, c, link);
        if (ok)
            give_back(b);
        return;
    }
    if (c->cancelled) {
        if (ok)
            give_back(b);
        loan_tell_cancelled(c);
        return;
    }
    uint64_t own_us = c->wait->waiter.own_us;
    if (own_us != 0 && w->now_us >= own_us) { /* it passed while the connection was on its way */
        if (ok)
            give_back(b);
        loan_tell_late(c, own_us, true);
        return;
    }
    if (ok)
        loan_attach(c, b);
    else
        client_set_state(c, CLIENT_IDLE); /* the next one, then */
    client_make_ready(c);
}

/* ---- messages
 * --------------------------------------------------------------------------------------------------
 */

static void on_arrive(struct worker *w, struct backend *b)
{
    struct core_waiter *to = b->to;
    bool fetched = b->fetch, was_idle = b->was_idle;
    b->to = NULL;
    b->fetch = b->was_idle = false;
    bool ok = backend_arrive(b, w) && !b->dead;
    if (to == NULL) {
        backend_set_state(b, BACKEND_IDLE);
        if (!ok)
            loan_lost(b);
        return;
    }
    if (ok && to->worker != w->index) { /* lent elsewhere while it was on its way here */
        b->fetch = fetched;
        b->was_idle = was_idle;
        backend_set_state(b, BACKEND_IDLE);
        backend_send_to(b, to->worker, to);
        return;
    }
    struct client *c = client_of_waiter(to);
    if (!fetched)
        (void)!core_waiter_take(to);
    if (!ok) {
        (void)core_conn_break(&b->core, w->now_us);
        backend_close(b);
    } else if (was_idle && c->state != CLIENT_GONE && !c->cancelled) {
        enum server_fit fit = server_check(b, c);
        if (fit == SERVER_LATER)
            return;
        ok = fit == SERVER_FIT;
    }
    loan_deliver(b, c, ok);
}

/* The client's order may be here before its connection is: then that finds the order when it
 * arrives. */
static void on_fetch(struct client *c)
{
    struct backend *b = c->coming;
    b->fetch = b->was_idle = true;
    if (b->worker == NULL)
        b->to = &c->wait->waiter;
    else
        backend_send_to(b, c->worker->index, &c->wait->waiter);
}

static void on_failed(struct worker *w, struct client *c)
{
    (void)!core_waiter_take(&c->wait->waiter);
    if (c->state == CLIENT_GONE) {
        TAILQ_INSERT_TAIL(&w->dead_clients, c, link);
        return;
    }
    if (client_follow(c)) { /* its database is elsewhere now: there, then */
        client_set_state(c, CLIENT_IDLE);
        client_make_ready(c);
        return;
    }
    c->refusal = CORE_DOWN;
    if (loan_refused(c))
        relay_resume(c);
}

void loan_on_mail(struct worker *w, struct mail *m)
{
    switch ((enum mail_kind)m->kind) {
    case MAIL_ARRIVE:
        on_arrive(w, container_of(m, struct backend, mail));
        break;
    case MAIL_FETCH:
        on_fetch(container_of(m, struct client_wait, mail)->client);
        break;
    case MAIL_BRING: {
        struct backend *b = container_of(m, struct backend, order);
        b->was_idle = true;
        backend_send_to(b, b->bring->worker, b->bring);
        break;
    }
    case MAIL_CLOSE:
        backend_close(container_of(m, struct backend, order));
        break;
    case MAIL_FAILED:
        on_failed(w, container_of(m, struct client_wait, mail)->client);
        break;
    case MAIL_CANCELLED:
        cancel_done(w, container_of(m, struct job, mail));
        break;
    case MAIL_KILL:
    case MAIL_CANCEL:
    case MAIL_SECRET:
    case MAIL_LOGIN:
    case MAIL_CONFIG:
    case MAIL_DRAIN:
    case MAIL_CLOSE_DOOR:
    case MAIL_VIEW:
    case MAIL_CONSOLE:
    case MAIL_ORDER:
    case MAIL_GIVE_WAY:
    case MAIL_GREET:
        break;
    }
}
