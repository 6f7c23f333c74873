/* SPDX-License-Identifier: ISC
 * See console.h. Here: the worker's side.
 */
#include "config.h"

#include "worker/console.h"

#include "worker/worker_priv.h"
#include "worker/world.h"

#include <stdlib.h>
#include <string.h>

#define CONSOLE_READ 16384u

struct console {
    void *session;
    bool read_only;
    bool waiting; /* a command is away */
    bool more;    /* rows are left */
};

static const struct console_ops *console_ops(const struct client *c)
{
    return c->worker->world->console[c->door];
}

static void execute(void *ctx, const char *text)
{
    struct client *c = ctx;
    size_t n = strlen(text) + 1;
    struct console_request *q = calloc(1, sizeof *q + n);
    if (q == NULL)
        return;
    q->mail.kind = MAIL_CONSOLE;
    q->world = c->worker->world;
    q->worker = c->worker->index;
    q->slot = c->slot;
    q->door = c->door;
    q->key = c->key;
    q->read_only = c->u.console->read_only;
    memcpy(q->text, text, n);
    control_post(c->worker->world->control, &q->mail);
}

bool console_start(struct client *c, bool read_only, uint32_t flags)
{
    const struct console_ops *ops = console_ops(c);
    struct console *s = calloc(1, sizeof *s);
    c->u.console = NULL;
    if (s == NULL || ops == NULL) {
        free(s);
        return false;
    }
    c->u.console = s;
    atomic_fetch_add(&c->worker->world->consoles, 1);
    s->read_only = read_only;
    s->session = ops->create(flags, execute, c);
    return s->session != NULL && ops->greet(s->session, client_id(c), c->key, &c->out);
}

void console_end(struct client *c)
{
    struct console *s = c->u.console;
    if (c->state == CLIENT_LOGIN || s == NULL)
        return;
    c->u.console = NULL;
    atomic_fetch_sub(&c->worker->world->consoles, 1);
    if (s->session != NULL)
        console_ops(c)->destroy(&s->session);
    free(s);
}

/* What the session said of itself; true: feed it on. */
static bool on_state(struct client *c, enum console_state state)
{
    struct console *s = c->u.console;
    s->waiting = state == CONSOLE_WAIT;
    s->more = state == CONSOLE_MORE;
    if (s->waiting || s->more)
        stream_pause(&c->stream, PAUSE_LEASE);
    else
        stream_resume(&c->stream, PAUSE_LEASE);
    if (state == CONSOLE_CLOSE) {
        client_finish(c);
        return false;
    }
    return client_flush(c) && state == CONSOLE_READY;
}

static void go_on(struct client *c)
{
    const struct console_ops *ops = console_ops(c);
    for (;;) {
        struct console *s = c->u.console;
        enum console_state state;
        if (s->more) {
            if (buf_len(&c->out) != 0)
                return; /* the next piece when this one is sent */
            state = ops->more(s->session, &c->out);
        } else if (buf_len(&c->in) != 0 && !s->waiting) {
            size_t used = 0;
            state = ops->feed(s->session, buf_head(&c->in), buf_len(&c->in), &used, &c->out);
            buf_consume(&c->in, used);
            if (used == 0 && state == CONSOLE_READY)
                return;
        } else {
            return;
        }
        bool ready = on_state(c, state);
        if (c->state == CLIENT_GONE || c->state == CLIENT_CLOSING || (!ready && !s->more))
            return;
    }
}

void console_readable(struct client *c)
{
    size_t got = 0;
    enum io_result r = stream_read(&c->stream, c->worker->scratch, CONSOLE_READ, &got);
    if (r == IO_AGAIN)
        return;
    if (r != IO_OK || !buf_append(&c->in, c->worker->scratch, got)) {
        client_destroy(c);
        return;
    }
    go_on(c);
}

void console_writable(struct client *c)
{
    if (client_flush(c))
        go_on(c);
}

void console_on_mail(struct worker *w, struct mail *m)
{
    struct console_request *q = container_of(m, struct console_request, mail);
    struct client *c = worker_client(w, q->slot);
    if (c != NULL && c->key == q->key && c->is_console && c->u.console != NULL &&
        c->state == CLIENT_IDLE && c->u.console->waiting) {
        if (on_state(c, console_ops(c)->result(c->u.console->session, q->result, &c->out)) ||
            (c->state == CLIENT_IDLE && c->u.console->more))
            go_on(c);
    } else if (q->result != NULL) {
        w->world->console[q->door]->drop(q->result);
    }
    free(q);
}

void world_on_console(struct world *w, unsigned door, const struct console_ops *ops)
{
    w->console[door] = ops;
}

void console_answer(struct console_request *q, void *result)
{
    q->result = result;
    q->answered = true;
    worker_post(q->world, q->worker, &q->mail);
}
