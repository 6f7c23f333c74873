/* SPDX-License-Identifier: ISC
 * See http.h. A connection's life:
 *
 *   READING --head is there--> ASKED --http_reply--> SENDING --all sent--> closed
 *      |                         |                      |
 *      +------ deadline, end of file, error: closed ----+
 *
 * The end of file after the head only means that the peer will say no more. A connection that is
 * closed while ASKED lives on, without its bufferevent, until the answer comes.
 */
#include "config.h"

#include "net/http.h"

#include "base/clock.h"
#include "net/listener.h"
#include "net/loop.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <event2/util.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define SWEEP_US      (UINT64_C(1000000))
#define LISTENERS_MAX 16

enum http_state { HTTP_READING, HTTP_ASKED, HTTP_SENDING };

struct http_request {
    TAILQ_ENTRY(http_request) link; /* in the server's list, oldest first */
    struct http_server *server;     /* NULL: gone */
    struct bufferevent *bev;        /* NULL: closed */
    uint64_t deadline_us;
    enum http_state state;
    struct http_head head;
};
TAILQ_HEAD(http_list, http_request);

struct http_server {
    struct http_setup setup;
    struct evconnlistener *listeners[LISTENERS_MAX];
    size_t n_listeners;
    bool listeners_paused; /* out of descriptors: until the next sweep */
    struct http_list requests;
    unsigned n_requests;
    struct timer sweep;
    uint16_t port;
};

/* ---- connections
 * --------------------------------------------------------------------------------- */

static void request_unlink(struct http_request *r)
{
    if (r->server == NULL)
        return;
    TAILQ_REMOVE(&r->server->requests, r, link);
    r->server->n_requests--;
    r->server = NULL;
}

/* Close the socket; the request goes too unless an answer is still to come. */
static void request_close(struct http_request *r)
{
    if (r->bev != NULL)
        bufferevent_free(r->bev);
    r->bev = NULL;
    if (r->state == HTTP_ASKED)
        return;
    request_unlink(r);
    free(r);
}

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 414:
        return "URI Too Long";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

static void body_free(const void *data, size_t n, void *arg)
{
    (void)n;
    (void)arg;
    free((void *)(uintptr_t)data);
}

/* The body's block itself becomes the end of the output: a long answer isn't there twice. */
static bool add_body(struct evbuffer *out, struct buf *body)
{
    size_t n = buf_len(body);
    if (n == 0)
        return true;
    void *bytes = buf_steal(body);
    if (evbuffer_add_reference(out, bytes, n, body_free, NULL) == 0)
        return true;
    free(bytes);
    return false;
}

void http_reply(struct http_request *r, struct http_answer *a)
{
    r->state = HTTP_SENDING;
    if (r->bev == NULL) {
        buf_release(&a->body);
        request_close(r);
        return;
    }
    struct evbuffer *out = bufferevent_get_output(r->bev);
    int n = evbuffer_add_printf(
        out,
        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
        "Referrer-Policy: no-referrer\r\nContent-Security-Policy: %s\r\n%s\r\n",
        a->status, status_text(a->status), a->content_type, buf_len(&a->body),
        a->csp == NULL ? "default-src 'none'" : a->csp,
        a->status == 405 ? "Allow: GET, HEAD\r\n" : "");
    bool ok = n > 0 && (r->head.head_only || add_body(out, &a->body));
    buf_release(&a->body);
    if (!ok) {
        request_close(r);
        return;
    }
    if (r->server != NULL)
        r->deadline_us = clock_now_us() + r->server->setup.answer_us;
    bufferevent_enable(r->bev, EV_WRITE);
}

static void reply_status(struct http_request *r, int status)
{
    struct http_answer a = {.status = status, .content_type = "text/plain; charset=utf-8"};
    if (!buf_printf(&a.body, "%d %s\n", status, status_text(status)))
        buf_release(&a.body); /* the status line says it too */
    http_reply(r, &a);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct http_request *r = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    size_t n = evbuffer_get_length(in);
    if (r->state != HTTP_READING) {
        evbuffer_drain(in, n); /* nothing more is wanted */
        return;
    }
    const char *p = (const char *)evbuffer_pullup(in, -1);
    int used = p == NULL ? 0 : http_head_parse(p, n, &r->head);
    if (used == 0)
        return;
    evbuffer_drain(in, n);
    bufferevent_setwatermark(bev, EV_READ, 0, 0);
    r->state = HTTP_ASKED;
    if (used < 0)
        reply_status(r, r->head.status);
    else
        r->server->setup.cb(r, r->head.path, r->head.query, r->server->setup.arg);
}

/* The output has run empty. */
static void on_written(struct bufferevent *bev, void *arg)
{
    struct http_request *r = arg;
    if (r->state == HTTP_SENDING) {
        (void)shutdown(bufferevent_getfd(bev), SHUT_WR);
        request_close(r);
    }
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_request *r = arg;
    (void)bev;
    if ((what & BEV_EVENT_EOF) != 0 && (what & BEV_EVENT_ERROR) == 0 && r->state != HTTP_READING)
        return;
    request_close(r);
}

/* ---- accepting
 * ------------------------------------------------------------------------------------ */

/* Make room by closing the oldest that has not asked yet; false: all have. */
static bool evict(struct http_server *s)
{
    struct http_request *r;
    TAILQ_FOREACH(r, &s->requests, link)
    {
        if (r->state == HTTP_READING) {
            request_close(r);
            return true;
        }
    }
    return false;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
                      void *arg)
{
    struct http_server *s = arg;
    (void)l;
    (void)sa;
    (void)len;
    if (s->n_requests >= s->setup.max_conns && !evict(s)) {
        evutil_closesocket(fd);
        return;
    }
    struct http_request *r = calloc(1, sizeof *r);
    struct bufferevent *bev =
        r == NULL ? NULL
                  : bufferevent_socket_new(loop_base(s->setup.loop), fd, BEV_OPT_CLOSE_ON_FREE);
    if (bev == NULL) {
        free(r);
        evutil_closesocket(fd);
        return;
    }
    r->server = s;
    r->bev = bev;
    r->deadline_us = clock_now_us() + s->setup.request_us;
    TAILQ_INSERT_TAIL(&s->requests, r, link);
    s->n_requests++;
    bufferevent_setcb(bev, on_read, on_written, on_event, r);
    bufferevent_setwatermark(bev, EV_READ, 0, HTTP_HEAD_MAX + 1);
    bufferevent_enable(bev, EV_READ);
}

static void on_accept_error(struct evconnlistener *l, void *arg)
{
    struct http_server *s = arg;
    evconnlistener_disable(l);
    s->listeners_paused = true;
}

static void on_sweep(void *arg)
{
    struct http_server *s = arg;
    uint64_t now = clock_now_us();
    struct http_request *r, *next;
    for (r = TAILQ_FIRST(&s->requests); r != NULL; r = next) {
        next = TAILQ_NEXT(r, link);
        if (now >= r->deadline_us && r->state != HTTP_ASKED)
            request_close(r);
    }
    if (s->listeners_paused) {
        s->listeners_paused = false;
        for (size_t i = 0; i < s->n_listeners; i++)
            evconnlistener_enable(s->listeners[i]);
    }
    timer_set_us(&s->sweep, SWEEP_US);
}

/* ---- listening
 * ------------------------------------------------------------------------------------ */

static uint16_t bound_port(evutil_socket_t fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
        return 0;
    if (ss.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
    return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

static bool listen_at(struct http_server *s, const struct addrinfo *ai, struct err *e)
{
    unsigned flags = LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    if (ai->ai_family == AF_INET6)
        flags |= LEV_OPT_BIND_IPV6ONLY;
    if (s->n_listeners == LISTENERS_MAX) {
        err_set(e, "more than %d addresses", LISTENERS_MAX);
        return false;
    }
    struct evconnlistener *l = evconnlistener_new_bind(loop_base(s->setup.loop), on_accept, s,
                                                       flags, 64, ai->ai_addr, (int)ai->ai_addrlen);
    if (l == NULL) {
        err_set(e, "%s", strerror(errno));
        return false;
    }
    evconnlistener_set_error_cb(l, on_accept_error);
    s->listeners[s->n_listeners++] = l;
    if (s->port == 0)
        s->port = bound_port(evconnlistener_get_fd(l));
    return true;
}

static bool listen_on(struct http_server *s, const char *host, struct err *e)
{
    char port[8];
    (void)snprintf(port, sizeof port, "%u", s->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    bool any = strcmp(host, "*") == 0;
    int rc = getaddrinfo(any ? NULL : host, port, &hints, &list);
    if (rc != 0) {
        err_set(e, "admin_addr \"%s\": %s", host, gai_strerror(rc));
        return false;
    }
    bool ok = false;
    struct err why = {{0}};
    for (struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
        ok = listen_at(s, ai, &why) || ok; /* a family that the host lacks does no harm */
    freeaddrinfo(list);
    if (!ok)
        err_set(e, "can't listen on %s port %s: %s", host, port, why.text);
    return ok;
}

static bool listen_claimed(struct http_server *s, const struct listen_claim *claim, struct err *e)
{
    for (unsigned i = 0; i < claim->n && s->n_listeners < LISTENERS_MAX; i++) {
        evutil_make_socket_nonblocking(claim->fds[i]);
        struct evconnlistener *l =
            evconnlistener_new(loop_base(s->setup.loop), on_accept, s,
                               LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, claim->fds[i]);
        if (l == NULL) {
            err_set(e, "out of memory");
            return false;
        }
        evconnlistener_set_error_cb(l, on_accept_error);
        s->listeners[s->n_listeners++] = l;
    }
    return true;
}

static bool listen_list(struct http_server *s, const char *addr, struct err *e)
{
    char list[512], *rest = list, *host;
    if (snprintf(list, sizeof list, "%s", addr) >= (int)sizeof list) {
        err_set(e, "list of addresses too long");
        return false;
    }
    while ((host = strtok_r(rest, ", \t", &rest)) != NULL)
        if (!listen_on(s, host, e))
            return false;
    return true;
}

struct http_server *http_server_create(const struct http_setup *setup, struct err *e)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (s == NULL) {
        err_set(e, "out of memory");
        return NULL;
    }
    s->setup = *setup;
    s->setup.addr = NULL; /* the caller's */
    s->setup.claim = NULL;
    s->port = setup->port;
    TAILQ_INIT(&s->requests);
    timer_init(&s->sweep, setup->loop, on_sweep, s);
    timer_set_us(&s->sweep, SWEEP_US);
    bool claimed = setup->claim != NULL && setup->claim->n != 0;
    if (!(claimed ? listen_claimed(s, setup->claim, e) : listen_list(s, setup->addr, e)))
        http_server_destroy(&s);
    return s;
}

void http_server_destroy(struct http_server **sp)
{
    struct http_server *s = *sp;
    if (s == NULL)
        return;
    *sp = NULL;
    timer_clear(&s->sweep);
    for (size_t i = 0; i < s->n_listeners; i++)
        evconnlistener_free(s->listeners[i]);
    struct http_request *r, *next;
    for (r = TAILQ_FIRST(&s->requests); r != NULL; r = next) {
        next = TAILQ_NEXT(r, link);
        bool asked = r->state == HTTP_ASKED;
        request_close(r);
        if (asked)
            request_unlink(r); /* freed by its http_reply() */
    }
    free(s);
}

uint16_t http_server_port(const struct http_server *s)
{
    return s->port;
}
