/* SPDX-License-Identifier: ISC
 * Streams: one connected socket, plain or TLS, on one loop. Called by the worker and the control
 * plane on the loop's thread; knows nothing of protocols and holds no bytes of its own.
 *
 * The fast path. A plain stream that has nothing left to write sits in epoll with EPOLLIN,
 * level-triggered, added once; a transaction costs it recv() and send() and nothing else. A pause
 * is only a note at first: a client that waits for its turn mostly says nothing meanwhile. When
 * something does come, the event leaves READ. All changes of the one event's mask are made by
 * stream_rearm():
 *
 *     paused  wants to write  hup told  | mask
 *     no      no              -         | READ
 *     no      yes             -         | READ WRITE
 *     yes     yes             no        | WRITE CLOSED
 *     yes     yes             yes       | WRITE
 *     yes     no              no        | WRITE CLOSED, edge-triggered
 *     yes     no              yes       | none: out of epoll
 *
 * The last but one needs a word. CLOSED (EPOLLRDHUP) sees an orderly end while paused, but a reset
 * is EPOLLERR, which can't be masked and which libevent hands out as READ and WRITE only: with
 * CLOSED alone, level-triggered, nobody would be called and epoll would spin. So WRITE is asked for
 * too, by edges, and a WRITE that nobody wanted asks poll() whether the peer is gone.
 *
 * What always holds: fd >= 0 means the event is assigned; event_del() runs before the descriptor is
 * closed or handed over; after stream_fini() no callback comes, even for an event that was already
 * waiting in this turn.
 */
#include "config.h"

#include "net/stream.h"
#include "net/stream_aside.h"
#include "net/stream_end.h"
#include "net/loop.h"
#include "net/loop_priv.h"
#include "net/tls_memory.h"
#include "net/tls_priv.h"

#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    F_WANT_WRITE = 1, /* the owner waits for NET_WRITE */
    F_TLS_WRITE = 2,  /* TLS must write before it can go on reading */
    F_HUP_TOLD = 4,   /* the end of the peer is known to the owner */
    F_ARMED = 8,      /* the event is in the loop */
    F_TLS_DEAD = 16,  /* fatal TLS error: no close_notify any more */
    F_TLS_LEFT = 32,  /* stopped reading for want of room: OpenSSL may hold more */
};

_Static_assert(sizeof(struct stream) <= 176, "an idle client pays for every byte of it");

/* Most that one TLS record carries. */
#define TLS_RECORD_BYTES 16384

/* The last IO_ERROR of this thread; stream_error() is asked at once or not at all. */
static _Thread_local int last_errno;
static _Thread_local unsigned long last_tls_error;

static enum io_result fail_errno(void)
{
    last_errno = errno;
    last_tls_error = 0;
    return IO_ERROR;
}

/* ---- the event ------------------------------------------------------------------------------ */

static short stream_mask(const struct stream *s)
{
    bool writing = s->flags & (F_WANT_WRITE | F_TLS_WRITE);
    if (!s->pause)
        return (short)(EV_PERSIST | EV_READ | (writing ? EV_WRITE : 0));
    bool told = s->flags & F_HUP_TOLD;
    if (writing)
        return (short)(EV_PERSIST | EV_WRITE | (told ? 0 : EV_CLOSED));
    return told ? 0 : EV_PERSIST | EV_WRITE | EV_CLOSED | EV_ET;
}

static void on_stream_event(evutil_socket_t fd, short what, void *arg);

/* Call back without an event in the socket: OpenSSL holds bytes that epoll can't see. */
static void stream_call_again(struct stream *s)
{
    event_active(&s->ev, EV_READ, 0);
}

/* Bring the event in line with pause and flags. */
static bool stream_rearm(struct stream *s)
{
    if (s->fd < 0)
        return true;
    short want = stream_mask(s);
    short have = s->flags & F_ARMED ? event_get_events(&s->ev) : 0;
    if (want == have)
        return true;
    event_del(&s->ev);
    s->flags = (uint8_t)(s->flags & ~F_ARMED);
    if (!want)
        return true;
    if (event_assign(&s->ev, loop_base(s->loop), s->fd, want, on_stream_event, s) < 0 ||
        event_add(&s->ev, NULL) < 0)
        return false;
    s->flags |= F_ARMED;
    if ((s->flags & F_TLS_LEFT) && !s->pause) /* event_del() took that back too */
        stream_call_again(s);
    return true;
}

/* As above, where nobody can be told of a failure but through the callback: out of memory, the
 * stream is lost. */
static void stream_rearm_or_hup(struct stream *s)
{
    if (!stream_rearm(s))
        event_active(&s->ev, EV_CLOSED, 0);
}

static bool peer_gone(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0;
}

/* Everything but plain "readable". */
static unsigned stream_judge(struct stream *s, short what)
{
    unsigned told = 0;
    if (what & EV_READ) {
        if (!s->pause)
            told |= NET_READ;
        else if (peer_gone(s->fd))
            what |= EV_CLOSED;
    }
    if (what & EV_WRITE) {
        if (s->flags & F_WANT_WRITE)
            told |= NET_WRITE;
        if ((s->flags & F_TLS_WRITE)) { /* the read, or the handshake, can be tried again */
            s->flags = (uint8_t)(s->flags & ~F_TLS_WRITE);
            told |= NET_READ;
        }
        if (!told && s->pause && peer_gone(s->fd))
            what |= EV_CLOSED;
    }
    if ((what & EV_CLOSED) && !(s->flags & F_HUP_TOLD)) {
        s->flags |= F_HUP_TOLD;
        told |= NET_HUP;
    }
    return told;
}

static void on_stream_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct stream *s = arg;
    unsigned told = NET_READ;
    if (what != EV_READ || s->pause) {
        told = stream_judge(s, what);
        stream_rearm_or_hup(s);
        if (!told)
            return;
    }
    s->cb(s, told, s->arg); /* may end the stream: nothing of it is touched after this */
}

/* ---- life ----------------------------------------------------------------------------------- */

bool stream_init(struct stream *s, struct loop *loop, int fd, stream_cb *cb, void *arg)
{
    memset(s, 0, sizeof *s);
    s->loop = loop;
    s->cb = cb;
    s->arg = arg;
    s->fd = fd;
    if (event_assign(&s->ev, loop_base(loop), fd, EV_PERSIST | EV_READ, on_stream_event, s) == 0 &&
        event_add(&s->ev, NULL) == 0) {
        s->flags = F_ARMED;
        return true;
    }
    s->fd = -1;
    return false;
}

/* Out of the loop; the stream is as if closed afterwards. */
static void stream_unhook(struct stream *s)
{
    event_del(&s->ev);
    s->fd = -1;
    s->ssl = NULL;
    s->flags = 0;
}

void stream_fini(struct stream *s, bool keep_fd)
{
    if (!s->loop || s->fd < 0)
        return;
    int fd = s->fd;
    struct ssl_st *ssl = s->ssl;
    bool notify = !(s->flags & F_TLS_DEAD);
    stream_unhook(s);
    if (keep_fd)
        return;
    if (ssl)
        tls_session_destroy(ssl, notify);
    close(fd);
}

bool stream_cut(struct stream *s)
{
    s->flags |= F_TLS_DEAD;
    return shutdown(s->fd, SHUT_WR) == 0;
}

struct stream_export stream_detach(struct stream *s)
{
    struct stream_export x = {.fd = s->fd, .ssl = s->ssl};
    if (s->ssl)
        tls_arena_unlist(tls_arena_of(s->ssl)); /* another thread's from now on */
    if (s->loop && s->fd >= 0)
        stream_unhook(s);
    return x;
}

void stream_pause(struct stream *s, unsigned reason)
{
    s->pause = (uint8_t)(s->pause | reason); /* the event follows when there is one */
}

void stream_resume(struct stream *s, unsigned reason)
{
    if (!s->pause)
        return;
    s->pause = (uint8_t)(s->pause & ~reason);
    if (s->pause || !s->loop || s->fd < 0)
        return;
    stream_rearm_or_hup(s);
    if (s->flags & F_TLS_LEFT)
        stream_call_again(s);
}

void stream_want_write(struct stream *s, bool want)
{
    bool was = s->flags & F_WANT_WRITE;
    if (was == want)
        return;
    s->flags = (uint8_t)(want ? s->flags | F_WANT_WRITE : s->flags & ~F_WANT_WRITE);
    if (s->loop)
        stream_rearm_or_hup(s);
}

const char *stream_error(const struct stream *s)
{
    (void)s;
    if (!last_tls_error)
        return last_errno ? strerrordesc_np(last_errno) : "connection lost";
    const char *why = ERR_reason_error_string(last_tls_error);
    return why ? why : "TLS failure";
}

/* ---- TLS ------------------------------------------------------------------------------------ */

static void stream_tls_wants_write(struct stream *s, bool want)
{
    bool was = s->flags & F_TLS_WRITE;
    if (was == want)
        return;
    s->flags = (uint8_t)(want ? s->flags | F_TLS_WRITE : s->flags & ~F_TLS_WRITE);
    stream_rearm_or_hup(s);
}

struct ssl_st *stream_tls(const struct stream *s)
{
    if (s->ssl && tls_arena_of(s->ssl))
        loop_sweep_soon(s->loop);
    return s->ssl;
}

/* Around every piece of work that OpenSSL does for this stream. */
static void tls_begin(struct stream *s)
{
    struct arena *a = tls_arena_of(s->ssl);
    if (a) {
        loop_sweep_soon(s->loop);
        tls_arena_enter(a);
    }
    ERR_clear_error();
    errno = 0;
}

static void tls_end(void)
{
    tls_arena_leave();
}

/* What an SSL call that gave `rc` <= 0 means. `reading`: WANT_WRITE is TLS's own need, not ours. */
static enum io_result tls_outcome(struct stream *s, int rc, bool reading)
{
    int saved = errno;
    switch (SSL_get_error(s->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        if (reading)
            stream_tls_wants_write(s, false);
        return IO_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        if (reading)
            stream_tls_wants_write(s, true);
        return IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        s->flags |= F_HUP_TOLD;
        return IO_CLOSED;
    default:
        s->flags |= F_TLS_DEAD | F_HUP_TOLD;
        last_tls_error = ERR_peek_error();
        last_errno = saved;
        ERR_clear_error();
        return IO_ERROR;
    }
}

bool stream_start_tls(struct stream *s, struct tls_ctx *ctx)
{
    s->ssl = tls_session_create(ctx, s->fd);
    return s->ssl != NULL;
}

static void tls_left(struct stream *s)
{
    s->flags |= F_TLS_LEFT;
    if (!s->pause)
        stream_call_again(s);
}

enum io_result stream_handshake(struct stream *s)
{
    enum io_result r = IO_OK;
    tls_begin(s);
    int rc = SSL_do_handshake(s->ssl);
    if (rc == 1) {
        stream_tls_wants_write(s, false);
        /* The client's first words may have come in the same read as its Finished. */
        if (SSL_has_pending(s->ssl))
            tls_left(s);
    } else {
        r = tls_outcome(s, rc, true);
    }
    tls_end();
    return r;
}

enum io_result stream_handshake_detached(const struct stream_export *x, bool *wants_write)
{
    struct stream s = {.fd = -1, .ssl = x->ssl}; /* in no loop: only told what OpenSSL wants */
    enum io_result r = IO_OK;
    *wants_write = false;
    if (peer_gone(x->fd))
        return IO_CLOSED;
    tls_arena_enter(tls_arena_of(x->ssl));
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(x->ssl);
    if (rc != 1)
        r = tls_outcome(&s, rc, true);
    tls_end();
    *wants_write = s.flags & F_TLS_WRITE;
    return r;
}

bool stream_attach(struct stream *s, struct loop *loop, struct stream_export *x, bool wants_write,
                   stream_cb *cb, void *arg)
{
    if (!stream_init(s, loop, x->fd, cb, arg))
        return false;
    s->ssl = x->ssl;
    *x = (struct stream_export){.fd = -1};
    tls_arena_relist(tls_arena_of(s->ssl));
    loop_sweep_soon(loop);
    if (wants_write)
        stream_tls_wants_write(s, true);
    /* Half a record is no reason to be called again. */
    if (SSL_is_init_finished(s->ssl) && SSL_has_pending(s->ssl))
        tls_left(s);
    return true;
}

void stream_export_close(struct stream_export *x)
{
    if (x->ssl)
        tls_session_destroy(x->ssl, false);
    if (x->fd >= 0)
        close(x->fd);
    *x = (struct stream_export){.fd = -1};
}

void stream_adopt_tls(struct stream *s, struct ssl_st *ssl)
{
    s->ssl = ssl;
    tls_arena_of(ssl);
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* One recv() for a record, or several of them, instead of one for its head and one for the
     * rest: there are few of these, so the larger buffer costs nothing. */
    SSL_set_read_ahead(ssl, 1);
    SSL_set_default_read_buffer_len(ssl, 64 * 1024);
    if (SSL_has_pending(ssl))
        tls_left(s);
}

static enum io_result tls_read(struct stream *s, void *to, size_t room, size_t *got)
{
    size_t have = 0;
    enum io_result r = IO_OK;
    s->flags = (uint8_t)(s->flags & ~F_TLS_LEFT);
    tls_begin(s);
    while (have < room) {
        size_t n = 0;
        int rc = SSL_read_ex(s->ssl, (char *)to + have, room - have, &n);
        if (rc != 1) {
            r = tls_outcome(s, rc, true);
            break;
        }
        have += n;
        /* Nothing is buffered: asking again would most likely be a read() for EAGAIN. */
        if (!SSL_has_pending(s->ssl))
            break;
    }
    /* An end or an error behind the bytes shows again at the next call. */
    if (have > 0 && r != IO_AGAIN && (r != IO_OK || SSL_has_pending(s->ssl)))
        tls_left(s);
    tls_end();
    if (have == 0)
        return r;
    *got = have;
    return IO_OK;
}

/* The next bytes to put into a record: one piece as it is when it is large or the last, otherwise
 * several gathered, so that a few small pieces don't become records and packets of their own. A
 * repeated call with the same bytes or more gives the same head or more, as SSL_write demands. */
static const char *tls_gather(const struct iovec *iov, int n, size_t skip, char *room, size_t *len)
{
    const char *first = (const char *)iov->iov_base + skip;
    size_t have = iov->iov_len - skip;
    if (n == 1 || have >= TLS_RECORD_BYTES) {
        *len = have;
        return first;
    }
    memcpy(room, first, have);
    for (int i = 1; i < n && have < TLS_RECORD_BYTES; i++) {
        size_t take = iov[i].iov_len;
        if (take > TLS_RECORD_BYTES - have)
            take = TLS_RECORD_BYTES - have;
        if (take)
            memcpy(room + have, iov[i].iov_base, take);
        have += take;
    }
    *len = have;
    return room;
}

static enum io_result tls_writev(struct stream *s, const struct iovec *iov, int n, size_t *put)
{
    char room[TLS_RECORD_BYTES];
    size_t skip = 0; /* bytes of *iov that are written */
    enum io_result r = IO_OK;
    *put = 0;
    if ((s->flags & F_TLS_DEAD) != 0) /* other bytes than those that failed: OpenSSL's complaint */
        return IO_ERROR;              /* would be of that */
    tls_begin(s);
    while (r == IO_OK) {
        while (n > 0 && skip >= iov->iov_len) {
            skip -= iov->iov_len;
            iov++;
            n--;
        }
        if (n == 0)
            break;
        size_t len = 0, wrote = 0;
        const char *p = tls_gather(iov, n, skip, room, &len);
        int rc = SSL_write_ex(s->ssl, p, len, &wrote);
        if (rc != 1)
            r = tls_outcome(s, rc, false);
        *put += wrote;
        skip += wrote;
    }
    tls_end();
    return r;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static enum io_result plain_read(struct stream *s, void *to, size_t room, size_t *got)
{
    ssize_t n = recv(s->fd, to, room, MSG_DONTWAIT);
    if (n > 0) {
        *got = (size_t)n;
        return IO_OK;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return IO_AGAIN;
    s->flags |= F_HUP_TOLD;
    return n == 0 ? IO_CLOSED : fail_errno();
}

enum io_result stream_read(struct stream *s, void *to, size_t room, size_t *got)
{
    return s->ssl ? tls_read(s, to, room, got) : plain_read(s, to, room, got);
}

enum io_result stream_discard(struct stream *s, void *scratch, size_t room)
{
    size_t got;
    s->flags |= F_TLS_DEAD;
    return plain_read(s, scratch, room, &got);
}

enum io_result stream_writev(struct stream *s, const struct iovec *iov, int n, size_t *put)
{
    if (s->ssl)
        return tls_writev(s, iov, n, put);
    *put = 0;
    while (n > 0) {
        int batch = n < IOV_MAX ? n : IOV_MAX;
        size_t want = 0;
        for (int i = 0; i < batch; i++)
            want += iov[i].iov_len;
        ssize_t done;
        if (batch == 1) {
            done = send(s->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        } else {
            struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)batch};
            done = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        if (done < 0)
            return errno == EAGAIN || errno == EINTR ? IO_AGAIN : fail_errno();
        *put += (size_t)done;
        if ((size_t)done < want)
            return IO_AGAIN;
        iov += batch;
        n -= batch;
    }
    return IO_OK;
}

int stream_peek(const struct stream *s)
{
    uint8_t first;
    return recv(s->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1 ? first : -1;
}

bool stream_pending(const struct stream *s)
{
    uint8_t first;
    return recv(s->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
           (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static void print_addr(const struct sockaddr_storage *a, char *to, size_t room, uint16_t *port)
{
    const struct sockaddr_in *in4 = (const void *)a;
    const struct sockaddr_in6 *in6 = (const void *)a;
    *port = 0;
    (void)snprintf(to, room, "unix");
    if (a->ss_family == AF_INET && inet_ntop(AF_INET, &in4->sin_addr, to, (socklen_t)room) != NULL)
        *port = ntohs(in4->sin_port);
    else if (a->ss_family == AF_INET6 &&
             inet_ntop(AF_INET6, &in6->sin6_addr, to, (socklen_t)room) != NULL)
        *port = ntohs(in6->sin6_port);
}

void stream_peer(const struct stream *s, char *peer, size_t peer_room, uint16_t *peer_port,
                 char *local, size_t local_room, uint16_t *local_port)
{
    struct sockaddr_storage a = {0}, b = {0};
    socklen_t n = sizeof a, m = sizeof b;
    (void)getpeername(s->fd, (struct sockaddr *)&a, &n);
    (void)getsockname(s->fd, (struct sockaddr *)&b, &m);
    print_addr(&a, peer, peer_room, peer_port);
    print_addr(&b, local, local_room, local_port);
}
