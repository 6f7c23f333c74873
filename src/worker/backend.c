/* SPDX-License-Identifier: ISC
 * A server connection between its birth in the control plane and its close.
 *
 * It belongs to one worker at a time. On its way to another it is a detached descriptor inside a
 * message and belongs to nobody but that message.
 */
#include "config.h"

#include "worker/route.h"
#include "worker/worker_priv.h"
#include "worker/world.h"

#include "net/stream_end.h"

#include <stdlib.h>
#include <string.h>

#define FAREWELL_US 1000000u /* then a server that doesn't hang up is left alone */

struct backend *backend_create(struct route *r)
{
    struct backend *b = calloc(1, sizeof *b + r->proto->server_bytes);
    if (b == NULL)
        return NULL;
    b->magic = BACKEND_MAGIC;
    b->route = r;
    b->stream.fd = -1;
    b->state = BACKEND_TRANSIT;
    b->opened_wall_us = clock_wall_us();
    return b;
}

void backend_set_state(struct backend *b, enum backend_state state)
{
    struct worker *w = b->worker;
    if (b->state != BACKEND_TRANSIT)
        TAILQ_REMOVE(&w->backends[b->state], b, link);
    b->state = (uint8_t)state;
    if (state != BACKEND_TRANSIT)
        TAILQ_INSERT_TAIL(&w->backends[state], b, link);
    if (state == BACKEND_IDLE || state == BACKEND_LENT)
        b->deadline_us = 0;
    free(b->late);
    b->late = NULL;
    b->outcome = false;
}

bool backend_arrive(struct backend *b, struct worker *w)
{
    b->worker = w;
    core_conn_moved(&b->core, w->index);
    if (!stream_init(&b->stream, w->loop, b->export.fd, relay_backend_io, b)) {
        b->dead = true;
        return false;
    }
    if (b->export.ssl != NULL)
        stream_adopt_tls(&b->stream, b->export.ssl);
    return true;
}

void backend_send_to(struct backend *b, uint16_t worker, struct core_waiter *to)
{
    struct world *world = b->worker->world;
    backend_set_state(b, BACKEND_TRANSIT);
    b->export = stream_detach(&b->stream);
    b->worker = NULL;
    b->to = to;
    b->mail.kind = MAIL_ARRIVE;
    worker_post(world, worker, &b->mail);
}

/* In the middle of something the server would not understand it. */
static bool say_farewell(struct backend *b)
{
    size_t n = 0, put = 0;
    const void *farewell = b->route->server_ops->farewell(&n);
    struct iovec v = {.iov_base = (void *)(uintptr_t)farewell, .iov_len = n};
    return !b->dead && buf_len(&b->out) == 0 && stream_writev(&b->stream, &v, 1, &put) == IO_OK;
}

/* The server counts a session until it has ended it itself. One that is cut off in the middle of
 * something takes as long as that takes it (it rolls back); who had that time already has none. */
void backend_close(struct backend *b)
{
    struct worker *w = b->worker;
    bool gone = b->eof || w->stopping || b->stream.fd < 0;
    bool late = b->deadline_us != 0 && w->now_us >= b->deadline_us;
    bool told = !gone && say_farewell(b);
    if (gone || (!told && !stream_cut(&b->stream))) {
        backend_bury(b);
        return;
    }
    stream_want_write(&b->stream, false);
    stream_resume(&b->stream, PAUSE_BACKPRESSURE | PAUSE_SHUTDOWN);
    backend_set_state(b, BACKEND_CLOSING);
    b->deadline_us = w->now_us + (told || late ? FAREWELL_US : w->settings->gone_us);
    worker_tick_need(w);
}

void backend_bury(struct backend *b)
{
    struct worker *w = b->worker;
    struct route *r = b->route;
    bool nudge = false;
    if (b->state != BACKEND_TRANSIT)
        backend_set_state(b, BACKEND_TRANSIT);
    stream_fini(&b->stream, true);
    cancel_forget(b);
    r->proto->server_fini(b->proto);
    core_conn_closed(&b->core, clock_now_us(), &nudge);
    if (nudge)
        backend_nudge(w->world, r);
    buf_release(&b->in);
    buf_release(&b->out);
    b->magic = 0;
    TAILQ_INSERT_TAIL(&w->dead_backends, b, link);
}

void backend_nudge(struct world *world, struct route *r)
{
    control_nudge(world->control, core_pool_server(r->pool));
}
