/* SPDX-License-Identifier: ISC
 * The data path: bytes from one socket into the worker's scratch, through the protocol, out of the
 * other socket in the same turn. Only what can't be sent or understood yet is kept.
 *
 * Back-pressure: an answer up to client_spool is taken from the server at full speed; beyond it the
 * server's socket is not read until the client has caught up. A client is not read while its server
 * does not take what it sent, nor, while it waits for a loan, beyond WAIT_BYTES.
 * Thread: the worker's.
 */
#include "config.h"

#include "worker/worker_priv.h"
#include "worker/route.h"

#include "net/stream_end.h"

#include <string.h>

#define READ_BYTES    (SCRATCH_BYTES / 4u) /* from a client at once */
#define WAIT_BYTES    (64u * 1024u)  /* buffered of a client that waits; then its socket is left */
#define SERVER_QUEUED (256u * 1024u) /* unsent to a server before its client is not read */
#define OWN_ANSWERS   (4u << 20)     /* unsent of weir's own before that, beside the spool */
#define READS_A_TURN  4              /* full scratches from one socket before others get a turn */

static void out_reset(struct worker *w)
{
    struct proto_out *o = &w->out;
    proto_out_sent(o);
    o->queries = o->client_parses = o->server_parses = o->binds = 0;
    o->close_client = o->renamed = false;
    o->kill = PROTO_KILL_NONE;
    o->kill_seen_us = 0;
    o->deadline_ms = 0;
    o->trace_id = NULL;
}

/* Send a lane, keeping the rest. false: the socket is broken or memory is out. */
static bool lane_send(struct stream *s, struct buf *kept, struct proto_lane *lane)
{
    size_t put = 0;
    if (lane->n == 0)
        return true;
    if (buf_len(kept) == 0) {
        enum io_result r = stream_writev(s, lane->v, lane->n, &put);
        if (r == IO_OK)
            return true;
        if (r != IO_AGAIN)
            return false;
    }
    for (int i = 0; i < lane->n; i++) {
        if (put >= lane->v[i].iov_len) {
            put -= lane->v[i].iov_len;
            continue;
        }
        if (!buf_append(kept, (const uint8_t *)lane->v[i].iov_base + put, lane->v[i].iov_len - put))
            return false;
        put = 0;
    }
    stream_want_write(s, true);
    return true;
}

/* What a server says is held back at the server. What weir itself answers is not, and who asks and
 * doesn't read would have it kept without end: such a client is not heard further
 * until client_flush() has sent enough. With a loan that
 * is later, for it may well write all of a pipeline before it reads. */
static size_t most_unread(const struct client *c)
{
    return c->worker->settings->spool_bytes + (c->loan != NULL ? OWN_ANSWERS : 0);
}

bool relay_send_client(struct client *c, struct proto_lane *lane)
{
    if (lane->bytes == 0)
        return true;
    if (c->route != NULL)
        route_count(c->route, c->worker, STAT_SENT, lane->bytes);
    if (!lane_send(&c->stream, &c->out, lane))
        return false;
    struct backend *b = c->loan;
    size_t room = c->worker->settings->spool_bytes;
    if (b != NULL && b->outcome && b->cancel == NULL) /* it was told to stop: the end is near */
        room += OUTCOME_BYTES;
    if (b != NULL && buf_len(&c->out) > room) {
        if ((b->stream.pause & PAUSE_BACKPRESSURE) == 0)
            b->active_us = c->worker->now_us;
        stream_pause(&b->stream, PAUSE_BACKPRESSURE);
    }
    if (buf_len(&c->out) > most_unread(c))
        stream_pause(&c->stream, PAUSE_UNREAD);
    return true;
}

bool relay_send_backend(struct backend *b, struct proto_lane *lane)
{
    if (lane->bytes == 0)
        return true;
    if (!lane_send(&b->stream, &b->out, lane))
        return false;
    if (b->client != NULL && buf_len(&b->out) > SERVER_QUEUED)
        stream_pause(&b->client->stream, PAUSE_BACKPRESSURE);
    return true;
}

/* ---- from clients ------------------------------------------------------------------------------
 */

/* For so long one client's messages may keep the worker from all others; then it is their turn. */
#define CLIENT_TURN_US 5000u

enum fed { FED_ALL, FED_WAIT, FED_LOGIN, FED_GONE };

/* What a verdict of the protocol means for the client; FED_ALL: go on feeding. */
static enum fed on_verdict(struct client *c, enum proto_verdict v)
{
    switch (v) {
    case PROTO_MORE:
    case PROTO_FULL:
        return FED_ALL;
    case PROTO_LOAN: /* the caller borrows */
    case PROTO_WAIT:
        return FED_WAIT;
    case PROTO_LOGIN:
        return FED_LOGIN;
    case PROTO_BYE:
        client_destroy(c);
        return FED_GONE;
    case PROTO_BAD:
        client_finish(c);
        return FED_GONE;
    }
    return FED_GONE;
}

static void count_statements(struct worker *w, struct route *r)
{
    const struct proto_out *o = &w->out;
    if ((o->client_parses | o->server_parses | o->binds) == 0)
        return;
    route_count(r, w, STAT_CLIENT_PARSES, o->client_parses);
    route_count(r, w, STAT_SERVER_PARSES, o->server_parses);
    route_count(r, w, STAT_BINDS, o->binds);
}

static void feed_later(struct client *c)
{
    struct worker *w = c->worker;
    if (c->later)
        return;
    c->later = true;
    TAILQ_INSERT_TAIL(&w->later, c, later_link);
    timer_set_us(&w->next_turn, 0);
}

/* Feed n bytes; *used of them are done with. `want` is set when a loan is needed. */
static enum fed feed(struct client *c, const uint8_t *in, size_t n, size_t *used, bool *want)
{
    struct worker *w = c->worker;
    const struct proto_ops *ops = c->route->proto;
    enum fed fed = FED_ALL;
    *used = 0;
    *want = false;
    for (;;) {
        struct backend *b = c->loan;
        size_t step = 0;
        out_reset(w);
        enum proto_verdict v = ops->from_client(c->proto, b != NULL ? b->proto : NULL, in + *used,
                                                n - *used, &step, &w->out);
        *used += step;
        count_statements(w, c->route);
        if (b != NULL && w->out.server.bytes != 0) {
            b->active_us = w->now_us;
            if (b->query_us == 0)
                b->query_us = w->now_us;
            if (b->tx_us == 0)
                b->tx_us = w->now_us;
            if (w->out.deadline_ms != 0)
                loan_note_deadline(b, w->out.deadline_ms);
            b->waited_us = 0;
            if (w->out.trace_id != NULL)
                memcpy(b->trace_id, w->out.trace_id, sizeof b->trace_id - 1);
            /* A broken server shows when it is read; what can't be sent is lost with it. */
            if (!relay_send_backend(b, &w->out.server))
                stream_resume(&b->stream, PAUSE_BACKPRESSURE);
        }
        if (!relay_send_client(c, &w->out.client)) {
            client_destroy(c);
            return FED_GONE;
        }
        if (w->out.close_client) {
            client_finish(c);
            return FED_GONE;
        }
        if (w->out.kill != PROTO_KILL_NONE && !kill_ask(c, &w->out)) {
            client_say(c, PROTO_EV_NO_MEMORY, NULL, "weir: out of memory");
            return FED_GONE;
        }
        *want = v == PROTO_LOAN;
        c->stalled = v == PROTO_WAIT;
        if (v == PROTO_FULL && clock_now_us() - w->now_us > CLIENT_TURN_US) {
            feed_later(c);
            return FED_WAIT;
        }
        fed = on_verdict(c, v);
        if (fed != FED_ALL || v == PROTO_MORE)
            return fed;
    }
}

static bool keep(struct client *c, const uint8_t *data, size_t n)
{
    if (buf_append(&c->in, data, n))
        return true;
    client_say(c, PROTO_EV_NO_MEMORY, NULL, "weir: out of memory");
    return false;
}

/* The answer to its KILL comes first; so does the end of a cancel, which would hit what comes now.
 */
static bool is_held(const struct client *c)
{
    return c->killing || (c->loan != NULL && cancel_overtaken(c->loan));
}

/* Bytes that just came, or (data NULL) those kept in c->in. */
static void feed_client(struct client *c, const uint8_t *data, size_t n)
{
    if (is_held(c)) {
        if (data != NULL)
            (void)keep(c, data, n);
        return;
    }
    for (;;) {
        bool kept = data == NULL;
        size_t used;
        bool want;
        enum fed fed =
            feed(c, kept ? buf_head(&c->in) : data, kept ? buf_len(&c->in) : n, &used, &want);
        if (fed == FED_GONE)
            return;
        if (kept) {
            buf_consume(&c->in, used);
            if (buf_len(&c->in) == 0)
                buf_release(&c->in);
        } else {
            data += used;
            n -= used;
        }
        enum loan_answer answer = want ? loan_borrow(c) : LOAN_ANSWER_LATER;
        if (answer == LOAN_ANSWER_NOW)
            continue;
        if (!kept && n != 0 && !keep(c, data, n))
            return;
        if (fed == FED_LOGIN) {
            explicit_bzero(c->worker->scratch, READ_BYTES); /* a password may have come with it */
            client_login_again(c);
            return;
        }
        if (answer == LOAN_ANSWER_LATER)
            return;
        if (!loan_refused(c))
            return;
        data = NULL; /* the message was answered with an error; go on behind it */
        n = 0;
        if (buf_len(&c->in) == 0)
            return;
    }
}

void relay_resume(struct client *c)
{
    if (c->state == CLIENT_WAITING || c->state == CLIENT_CLOSING || c->state == CLIENT_GONE)
        return;
    stream_resume(&c->stream, PAUSE_LEASE);
    if (buf_len(&c->in) != 0)
        feed_client(c, NULL, 0);
}

/* One of those that had their turn, so that who reads and who writes come in between. */
void relay_next_turn(void *arg)
{
    struct worker *w = arg;
    struct client *c = TAILQ_FIRST(&w->later);
    if (c == NULL)
        return;
    w->now_us = clock_now_us();
    relay_not_later(c);
    struct backend *had = c->loan;
    if (c->state != CLIENT_LOGIN)
        relay_resume(c);
    if (c->later && buf_len(&c->in) > WAIT_BYTES)
        stream_pause(&c->stream, PAUSE_LEASE);
    if (had != NULL && had->magic == BACKEND_MAGIC && c->loan == had)
        loan_check(had);
    if (!TAILQ_EMPTY(&w->later))
        timer_set_us(&w->next_turn, 0);
    worker_drain(w);
}

void relay_not_later(struct client *c)
{
    if (c->later)
        TAILQ_REMOVE(&c->worker->later, c, later_link);
    c->later = false;
}

static void client_readable(struct client *c)
{
    struct worker *w = c->worker;
    for (int turn = 0; turn < READS_A_TURN; turn++) {
        size_t got = 0;
        enum io_result r = stream_read(&c->stream, w->scratch, READ_BYTES, &got);
        if (r == IO_AGAIN)
            return;
        if (r != IO_OK) {
            client_destroy(c);
            return;
        }
        route_count(c->route, w, STAT_RECEIVED, got);
        c->since_us = c->state == CLIENT_IDLE ? w->now_us : c->since_us;
        if (c->state == CLIENT_WAITING || buf_len(&c->in) != 0) {
            /* a secret: a login may begin anew in it */
            if (!buf_append_secret(&c->in, w->scratch, got)) {
                client_say(c, PROTO_EV_NO_MEMORY, NULL, "weir: out of memory");
                return;
            }
            if (c->state == CLIENT_WAITING) {
                if (buf_len(&c->in) > WAIT_BYTES)
                    stream_pause(&c->stream, PAUSE_LEASE);
                return;
            }
            if (!c->stalled || c->loan == NULL)
                feed_client(c, NULL, 0);
            bool stuck = is_held(c) || c->later || (c->stalled && c->state == CLIENT_ACTIVE);
            if (stuck && buf_len(&c->in) > WAIT_BYTES)
                stream_pause(&c->stream, PAUSE_LEASE);
            return;
        }
        struct backend *had = c->loan;
        feed_client(c, w->scratch, got);
        /* Its server may have been done with it in the middle of a message (a COPY that failed). */
        if (had != NULL && c->loan == had)
            loan_check(had);
        if (got < READ_BYTES)
            return;
        if (c->state != CLIENT_ACTIVE || c->stream.pause != 0)
            return;
    }
}

static void client_writable(struct client *c)
{
    size_t had = buf_len(&c->out);
    if (!client_flush(c))
        return;
    struct backend *b = c->loan;
    if (b != NULL && buf_len(&c->out) != had)
        b->active_us = c->worker->now_us;
    if (b != NULL && buf_len(&c->out) <= c->worker->settings->spool_bytes / 2)
        stream_resume(&b->stream, PAUSE_BACKPRESSURE);
}

void relay_client_io(struct stream *s, unsigned what, void *arg)
{
    (void)s;
    struct client *c = arg;
    struct worker *w = c->worker;
    w->now_us = clock_now_us();
    if (c->state == CLIENT_LOGIN) {
        client_login_io(c, what);
    } else if ((what & NET_HUP) != 0) {
        client_destroy(c);
    } else {
        if ((what & NET_WRITE) != 0 && c->is_console && c->state == CLIENT_IDLE)
            console_writable(c);
        else if ((what & NET_WRITE) != 0)
            client_writable(c);
        if ((what & NET_READ) != 0 && c->state != CLIENT_CLOSING && c->state != CLIENT_GONE) {
            if (c->is_console)
                console_readable(c);
            else
                client_readable(c);
        }
    }
    worker_drain(w);
}

/* ---- from servers -------------------------------------------------------------------------------
 */

/* Feed what the server said. false: the backend is gone or the rest must wait. */
static bool feed_backend(struct backend *b, const uint8_t *in, size_t n, size_t *used)
{
    struct worker *w = b->worker;
    const struct proto_ops *ops = b->route->proto;
    *used = 0;
    for (;;) {
        struct client *c = b->client;
        size_t step = 0;
        out_reset(w);
        enum proto_verdict v = ops->from_server(b->proto, c != NULL ? c->proto : NULL, in + *used,
                                                n - *used, &step, &w->out);
        *used += step;
        count_statements(w, b->route);
        if (w->out.queries != 0) {
            route_count(b->route, w, STAT_QUERIES, w->out.queries);
            b->statements += w->out.queries;
        }
        bool sent = relay_send_backend(b, &w->out.server);
        if (c != NULL && !relay_send_client(c, &w->out.client)) {
            client_destroy(c); /* the backend lives on: what comes is drained */
            c = NULL;
        }
        if (!sent) {
            loan_lost(b);
            return false;
        }
        if (c != NULL && w->out.renamed && c->named_by_application)
            c->renamed = true;
        if (c != NULL && w->out.close_client)
            client_finish(c);
        if (v == PROTO_BAD) {
            loan_lost(b);
            return false;
        }
        if (v != PROTO_FULL)
            return true;
    }
}

/* One read. false: nothing more to do with this backend in this turn. */
static bool backend_read(struct backend *b, size_t *got)
{
    struct worker *w = b->worker;
    size_t had = buf_len(&b->in);
    uint8_t *to = w->scratch;
    size_t room = SCRATCH_BYTES;
    if (had != 0) {
        if (had > SCRATCH_BYTES / 2) { /* a long message is being collected */
            to = buf_reserve(&b->in, SCRATCH_BYTES);
            if (to == NULL) {
                loan_lost(b);
                return false;
            }
        } else {
            memcpy(to, buf_head(&b->in), had);
            to += had;
            room -= had;
        }
    }
    *got = 0;
    enum io_result r = stream_read(&b->stream, to, room, got);
    if (r == IO_AGAIN)
        return false;
    if (r != IO_OK) {
        b->eof = true;
        loan_lost(b);
        return false;
    }
    const uint8_t *data = w->scratch;
    size_t n = had + *got;
    bool in_place = had > SCRATCH_BYTES / 2;
    if (in_place) {
        buf_commit(&b->in, *got);
        data = buf_head(&b->in);
    } else if (had != 0) {
        buf_release(&b->in);
    }
    *got = *got == room ? *got : 0; /* a full read: there may be more */
    size_t used;
    if (!feed_backend(b, data, n, &used))
        return false;
    if (in_place) {
        buf_consume(&b->in, used);
    } else if (used < n && !buf_append(&b->in, data + used, n - used)) {
        loan_lost(b);
        return false;
    }
    return true;
}

/* It was told to end: what it still says is nobody's. */
static void backend_farewell(struct backend *b)
{
    enum io_result r = IO_OK;
    for (int turn = 0; turn < READS_A_TURN && r == IO_OK; turn++)
        r = stream_discard(&b->stream, b->worker->scratch, SCRATCH_BYTES);
    if (r == IO_CLOSED || r == IO_ERROR)
        backend_bury(b);
}

/* Nobody asked: was it a farewell? Then it isn't waited for the hang-up. */
static void check_idle(struct backend *b)
{
    struct worker *w = b->worker;
    out_reset(w);
    if (!b->dead && b->route->proto->state(b->proto, NULL, true, w->now_us, &w->out) == LOAN_BROKEN)
        loan_lost(b);
}

static void backend_readable(struct backend *b)
{
    if (b->state == BACKEND_CLOSING) {
        backend_farewell(b);
        return;
    }
    for (int turn = 0; turn < READS_A_TURN; turn++) {
        size_t got = 0;
        if (!backend_read(b, &got))
            break;
        if (b->state == BACKEND_IDLE) {
            check_idle(b);
            return;
        }
        if (got == 0 || b->stream.pause != 0)
            break;
    }
    if (b->magic != BACKEND_MAGIC)
        return;
    struct client *c = b->client;
    if (c != NULL && buf_len(&c->in) != 0) {
        feed_client(c, NULL, 0); /* what had to wait for these answers */
        if (!c->stalled && c->state == CLIENT_ACTIVE)
            stream_resume(&c->stream, PAUSE_LEASE);
    }
    if (b->magic == BACKEND_MAGIC && b->state != BACKEND_IDLE)
        loan_check(b);
}

static void backend_writable(struct backend *b)
{
    size_t put = 0;
    bool broken = false;
    struct iovec v = {.iov_base = buf_head(&b->out), .iov_len = buf_len(&b->out)};
    if (v.iov_len != 0) {
        enum io_result r = stream_writev(&b->stream, &v, 1, &put);
        broken = r != IO_OK && r != IO_AGAIN;
        buf_consume(&b->out, put);
    }
    if (buf_len(&b->out) != 0 && !broken)
        return;
    buf_release(&b->out);
    stream_want_write(&b->stream, false);
    if (b->client != NULL)
        stream_resume(&b->client->stream, PAUSE_BACKPRESSURE);
    if (broken) { /* what it has said may tell why: it is read, to its end */
        stream_resume(&b->stream, PAUSE_BACKPRESSURE);
        return;
    }
    loan_check(b); /* it may have been over but for these bytes (a COPY that failed early) */
}

void relay_backend_io(struct stream *s, unsigned what, void *arg)
{
    (void)s;
    struct backend *b = arg;
    struct worker *w = b->worker;
    w->now_us = clock_now_us();
    if ((what & NET_HUP) != 0) {
        /* Paused: what it sent before may still be read, by whom it was meant for. */
        if (b->state == BACKEND_CLOSING)
            backend_bury(b);
    } else {
        if ((what & NET_WRITE) != 0)
            backend_writable(b);
        if ((what & NET_READ) != 0 && b->magic == BACKEND_MAGIC && b->state != BACKEND_TRANSIT)
            backend_readable(b);
    }
    worker_drain(w);
}
