/* SPDX-License-Identifier: ISC
 * Is the server of a connection that was idle still there? Asked before it is lent, and only then:
 * a database that nobody uses is left alone.
 *
 *   idle for less than LOOK_AFTER_US    lent as it is
 *   ... than server_check_delay         lent if there is nothing to be read: one that the server
 *                                       has closed meanwhile is never lent
 *   longer, or something is             server_check_query, and the client's bytes stay here until
 *                                       it is answered: no harm in trying another connection
 *
 *          server_check            answered: loan_deliver()
 *   IDLE ------------> CLEANING --------------------------> LENT
 *                         | not within CHECK_US, or the server hung up
 *                         '--> closed, and the client asks for the next
 *
 * Who says nothing has vanished (a host that was switched off, a firewall that forgot): so will
 * have whoever was idle for as long, and all those are closed, lest the client waits for each of
 * them. Thread: the worker's.
 */
#include "config.h"

#include "worker/route.h"
#include "worker/worker_priv.h"

#include "base/log.h"
#include "conf/conf.h"

#define LOOK_AFTER_US 1000u
#define CHECK_US      1000000u

static void close_it(struct backend *b)
{
    (void)core_conn_break(&b->core, b->worker->now_us);
    backend_close(b);
}

static bool ask(struct backend *b)
{
    struct worker *w = b->worker;
    const char *query = conf_settings(w->settings->conf)->server_check_query;
    if (query[0] == '\0') /* no check is wanted, but there is cause */
        query = "<empty>";
    proto_out_sent(&w->out);
    return b->route->proto->check(b->proto, query, &w->out) &&
           relay_send_backend(b, &w->out.server);
}

enum server_fit server_check(struct backend *b, struct client *c)
{
    struct worker *w = b->worker;
    uint64_t check_us = w->settings->check_us;
    uint64_t idle_us = w->now_us > b->active_us ? w->now_us - b->active_us : 0;
    if (idle_us < LOOK_AFTER_US && idle_us < check_us)
        return SERVER_FIT;
    if (!b->dead && idle_us < check_us && !stream_pending(&b->stream))
        return SERVER_FIT;
    if (b->dead || !ask(b)) {
        close_it(b);
        return SERVER_GONE;
    }
    b->checking = true;
    b->to = &c->wait->waiter;
    backend_set_state(b, BACKEND_CLEANING);
    b->deadline_us = w->now_us + CHECK_US;
    if (c->state != CLIENT_WAITING)
        client_set_state(c, CLIENT_WAITING);
    c->coming = b;
    worker_tick_need(w);
    return SERVER_LATER;
}

static void failed(struct backend *b)
{
    struct worker *w = b->worker;
    bool vanished = !b->eof && w->now_us >= b->deadline_us;
    static struct log_limit limit;
    uint32_t dropped;
    if (log_limit_pass(&limit, &dropped))
        log_warn(core_pool_name(b->core.pool), "idle server connection closed: %s",
                 vanished ? "the server did not answer server_check_query" : "the check failed");
    if (vanished && core_server_doubt(core_pool_server(b->core.pool), b->active_us, w->now_us))
        backend_nudge(w->world, b->route);
}

void server_check_go_on(struct backend *b, bool lost)
{
    struct worker *w = b->worker;
    bool ok = !lost;
    if (ok) {
        proto_out_sent(&w->out);
        enum proto_loan loan = b->route->proto->state(b->proto, NULL, true, w->now_us, &w->out);
        if (loan == LOAN_SETTLE || loan == LOAN_BUSY)
            return;
        ok = loan == LOAN_CLEAN;
    }
    struct client *c = client_of_waiter(b->to);
    b->checking = false;
    b->to = NULL;
    b->active_us = ok ? w->now_us : b->active_us;
    if (!ok) {
        failed(b);
        close_it(b);
    }
    loan_deliver(b, c, ok);
}
