/* SPDX-License-Identifier: ISC
 * A small HTTP/1 server for people and machines that look: GET and HEAD, one request to a
 * connection, answers that may come later.
 *
 * Why not libevent's evhttp: in 2.1 it can bound neither the number of its connections nor the time
 * that a request may trickle in, and here neither a scanner nor a slow reader may use up the
 * descriptors that clients and servers need. The reading and writing is libevent's all the same.
 *
 * Always: at most `max_conns` connections; when they are used up, the oldest that has not said what
 * it wants makes room. Thread: the loop's.
 */
#ifndef WEIR_NET_HTTP_H
#define WEIR_NET_HTTP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct http_server;
struct http_request;

/* A request's head. A pure parser: bytes used, 0 when more are needed, or -1 and the status to
 * answer. */
#define HTTP_HEAD_MAX 8192
struct http_head {
    bool head_only;  /* HEAD: no body in the answer */
    char path[256];  /* as sent, not decoded; NUL-terminated */
    char query[512]; /* what follows the '?', "" when nothing does */
    int status;      /* when -1 was returned: 400, 405, 414, 431, 505 */
};
int http_head_parse(const char *p, size_t n, struct http_head *h);

/* The value of `key` in a query as a number, or `otherwise` when it isn't there or isn't one. */
uint64_t http_query_uint(const char *query, const char *key, uint64_t otherwise);

/* Answer with http_reply() exactly once, at once or later; `path` and `query` live until then. */
typedef void http_cb(struct http_request *r, const char *path, const char *query, void *arg);

struct http_answer {
    int status;
    const char *content_type;
    const char *csp; /* Content-Security-Policy; NULL: nothing may be loaded */
    struct buf body; /* taken over */
};
void http_reply(struct http_request *r, struct http_answer *answer);

struct listen_claim;
struct http_setup {
    struct loop *loop;
    const char *addr; /* a list separated by commas; `*`: every address */
    uint16_t port;    /* 0: a free one */
    const struct listen_claim
        *claim; /* sockets that listen already, in place of addr; NULL: none */
    unsigned max_conns;
    uint64_t request_us; /* a request must be there by then */
    uint64_t answer_us;  /* and its answer be taken */
    http_cb *cb;
    void *arg;
};
struct http_server *http_server_create(const struct http_setup *setup, struct err *e);
/* Requests that are not answered yet must still be answered; nobody hears it. */
void http_server_destroy(struct http_server **s);
uint16_t http_server_port(const struct http_server *s);

#endif
