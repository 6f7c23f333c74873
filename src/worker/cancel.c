/* SPDX-License-Identifier: ISC
 * Stopping a statement: for a client's CancelRequest or KILL, a limit, or a client that left. The
 * request goes over a connection of its own, which a job makes (job.h).
 *
 * A cancel hits whatever the server is at when it comes. Ahead of a client's statement weir may
 * have put words of its own in the same write (its settings); were these stopped, the statement
 * would run with another's. So a cancel waits until they are answered. It may also be late: while
 * one is under way the connection isn't given back (loan.c), so it can't hit the next borrower, nor
 * is its client's next statement sent (relay.c). One whose statement is over before it was sent is
 * not sent any more.
 * Thread: the worker's.
 */
#include "config.h"

#include "worker/job.h"
#include "worker/route.h"
#include "worker/worker_priv.h"
#include "worker/world.h"

#include <unistd.h>

static void hang_up(int ack_fd)
{
    if (ack_fd >= 0)
        close(ack_fd);
}

static void send_cancel(struct backend *b, int ack_fd)
{
    struct job *j = b->cancel == NULL ? job_cancel(b, ack_fd) : NULL;
    if (j == NULL) {
        hang_up(ack_fd);
        return;
    }
    b->cancel = j;
    control_post(b->worker->world->control, &j->mail);
}

void cancel_statement(struct backend *b, int ack_fd)
{
    struct proto_facts facts;
    b->route->proto->facts(NULL, b->proto, &facts);
    if (!facts.own) {
        send_cancel(b, ack_fd);
    } else if (b->cancel_later) {
        hang_up(ack_fd);
    } else {
        b->cancel_later = true;
        b->cancel_ack = ack_fd;
    }
}

void cancel_forget(struct backend *b)
{
    if (b->cancel_later)
        hang_up(b->cancel_ack);
    b->cancel_later = false;
}

void cancel_go_on(struct backend *b)
{
    struct proto_facts facts;
    b->route->proto->facts(NULL, b->proto, &facts);
    if (facts.own)
        return;
    if (!facts.busy) { /* the statement came to nothing, or to its end */
        cancel_forget(b);
        return;
    }
    b->cancel_later = false;
    send_cancel(b, b->cancel_ack);
}

void cancel_moot(struct backend *b)
{
    if (b->cancel != NULL)
        atomic_store(&b->cancel->moot, true);
}

bool cancel_overtaken(const struct backend *b)
{
    struct proto_facts facts;
    if (b->cancel == NULL && !b->outcome)
        return false;
    b->route->proto->facts(NULL, b->proto, &facts);
    return !facts.busy || facts.own;
}

void cancel_client(struct client *c, int ack_fd)
{
    route_count(c->route, c->worker, STAT_CANCELS, 1);
    if (c->state == CLIENT_WAITING && c->coming == NULL && core_leave(&c->wait->waiter)) {
        hang_up(ack_fd);
        loan_tell_cancelled(c);
        return;
    }
    if (c->state == CLIENT_WAITING)
        c->cancelled = true;
    if (c->loan != NULL && c->loan->query_us != 0)
        cancel_statement(c->loan, ack_fd);
    else
        hang_up(ack_fd);
}

void cancel_done(struct worker *w, struct job *j)
{
    struct backend *b = j->backend;
    struct client *c = b->client;
    b->cancel = NULL;
    job_free(&j);
    if (b->dead) {
        (void)core_conn_break(&b->core, w->now_us);
        backend_close(b);
        return;
    }
    if (b->outcome) /* the end is behind what was sent before */
        stream_resume(&b->stream, PAUSE_BACKPRESSURE);
    if (c != NULL && buf_len(&c->in) != 0) /* its next statement was kept back */
        client_make_ready(c);
    loan_check(b);
}
