/* SPDX-License-Identifier: ISC
 * See admin_http.h. The routes are rows.
 */
#include "config.h"

#include "admin/admin_http.h"

#include "admin/admin_metrics.h"
#include "admin/admin_page.h"
#include "admin/admin_priv.h"
#include "admin/admin_text.h"

#include "base/buf.h"
#include "net/http.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CONNS  64
#define REQUEST_US (5 * UINT64_C(1000000))
#define ANSWER_US  (30 * UINT64_C(1000000))

#define TEXT "text/plain; charset=utf-8"

struct admin_http {
    struct http_server *server;
    struct admin *admin;
};

static void reply(struct http_request *r, int status, const char *type, struct buf *body)
{
    struct http_answer a = {.status = status, .content_type = type, .body = *body};
    *body = (struct buf){0};
    http_reply(r, &a);
}

static void reply_text(struct http_request *r, int status, const char *text)
{
    struct buf body = {0};
    if (!buf_printf(&body, "%s\n", text))
        buf_release(&body);
    reply(r, status, TEXT, &body);
}

static void reply_whole(struct http_request *r, const char *type, struct buf *body, bool whole)
{
    if (whole) {
        reply(r, 200, type, body);
        return;
    }
    buf_release(body);
    reply_text(r, 503, "out of memory");
}

/* ---- the plain ones
 * -------------------------------------------------------------------------------- */

static void on_page(struct admin_http *h, struct http_request *r)
{
    struct http_answer a = {.status = 200, .content_type = "text/html; charset=utf-8"};
    char csp[ADMIN_PAGE_CSP_MAX];
    (void)h;
    if (!admin_page_write(&a.body, csp)) {
        buf_release(&a.body);
        reply_text(r, 503, "out of memory");
        return;
    }
    a.csp = csp;
    http_reply(r, &a);
}

static void on_metrics(struct admin_http *h, struct http_request *r)
{
    struct buf body = {0};
    bool whole = admin_metrics_write(h->admin, &body);
    reply_whole(r, "text/plain; version=0.0.4; charset=utf-8", &body, whole);
}

static void on_healthz(struct admin_http *h, struct http_request *r)
{
    (void)h;
    reply_text(r, 200, "ok");
}

/* Ready: at least one database can be reached, and weir is not about to end. Where it takes a
 * client to know one ("*" alone, no user with a password) none must wait for it. */
static void on_readyz(struct admin_http *h, struct http_request *r)
{
    const struct admin_source *source = h->admin->source;
    struct view_overview o = {0};
    if (source->overview != NULL)
        source->overview(source->ctx, &o);
    if (o.draining) {
        reply_text(r, 503, "draining");
        return;
    }
    struct view_bound *rows = NULL;
    size_t n = admin_get(h->admin, bounds, &rows);
    bool reachable = n == 0 && o.databases != 0;
    for (size_t i = 0; i < n; i++)
        reachable = reachable || rows[i].reachable;
    free(rows);
    if (reachable)
        reply_text(r, 200, "ok");
    else
        reply_text(r, 503, n == 0 ? "no database is configured" : "no database is reachable");
}

/* ---- JSON
 * -------------------------------------------------------------------------------------------- */

struct api_job {
    struct http_request *request;
    uint64_t offset, limit;
};

static void reply_api_error(struct http_request *r, const char *text)
{
    struct buf body = {0};
    bool whole = buf_append(&body, "{\"error\":", 9) &&
                 admin_json_string(&body, text, strlen(text)) && buf_append(&body, "}\n", 2);
    if (!whole)
        buf_release(&body);
    reply(r, 503, "application/json", &body);
}

static void on_api_result(struct admin_result *result, void *arg)
{
    struct api_job *job = arg;
    struct buf body = {0};
    size_t rows = result == NULL || result->table == NULL ? 0 : admin_table_rows(result->table);
    if (result == NULL)
        reply_api_error(job->request, "out of memory");
    else if (result->failed)
        reply_api_error(job->request, result->text);
    else if (result->incomplete && rows == 0)
        reply_api_error(job->request, "the workers did not answer in time");
    else {
        bool whole =
            admin_json_table(&body, result->table, job->offset, job->limit, !result->incomplete);
        reply_whole(job->request, "application/json", &body, whole);
    }
    admin_result_destroy(&result);
    free(job);
}

static void on_api(struct admin_http *h, struct http_request *r, const char *command,
                   const char *query)
{
    struct api_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        reply_api_error(r, "out of memory");
        return;
    }
    job->request = r;
    job->offset = http_query_uint(query, "offset", 0);
    job->limit = http_query_uint(query, "limit", UINT64_MAX);
    admin_execute(h->admin, command, true, on_api_result, job);
}

/* ---- routes
 * ------------------------------------------------------------------------------------------- */

static const struct route {
    const char *path;
    void (*fn)(struct admin_http *h, struct http_request *r);
    const char *command; /* when fn is NULL: what the rows come from */
} routes[] = {
    {"/", on_page, NULL},
    {"/metrics", on_metrics, NULL},
    {"/healthz", on_healthz, NULL},
    {"/readyz", on_readyz, NULL},
    {"/api/v1/bounds", NULL, "SHOW BOUNDS"},
    {"/api/v1/clients", NULL, "SHOW CLIENTS"},
    {"/api/v1/databases", NULL, "SHOW DATABASES"},
    {"/api/v1/functions", NULL, "SHOW FUNCTIONS"},
    {"/api/v1/lists", NULL, "SHOW LISTS"},
    {"/api/v1/pins", NULL, "SHOW PINS"},
    {"/api/v1/pools", NULL, "SHOW POOLS"},
    {"/api/v1/servers", NULL, "SHOW SERVERS"},
    {"/api/v1/state", NULL, "SHOW STATE"},
    {"/api/v1/stats", NULL, "SHOW STATS"},
    {"/api/v1/version", NULL, "SHOW VERSION"},
};

static void on_request(struct http_request *r, const char *path, const char *query, void *arg)
{
    struct admin_http *h = arg;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(path, routes[i].path) != 0)
            continue;
        if (routes[i].fn != NULL)
            routes[i].fn(h, r);
        else
            on_api(h, r, routes[i].command, query);
        return;
    }
    reply_text(r, 404, "not found: see /, /metrics, /healthz, /readyz and /api/v1/pools");
}

struct admin_http *admin_http_create(struct loop *loop, struct admin *a, const char *addr,
                                     uint16_t port, const struct listen_claim *claim, struct err *e)
{
    struct admin_http *h = calloc(1, sizeof *h);
    if (h == NULL) {
        err_set(e, "out of memory");
        return NULL;
    }
    h->admin = a;
    struct http_setup setup = {
        .loop = loop,
        .addr = addr,
        .port = port,
        .claim = claim,
        .max_conns = MAX_CONNS,
        .request_us = REQUEST_US,
        .answer_us = ANSWER_US,
        .cb = on_request,
        .arg = h,
    };
    h->server = http_server_create(&setup, e);
    if (h->server == NULL) {
        free(h);
        return NULL;
    }
    return h;
}

void admin_http_destroy(struct admin_http **h)
{
    if (*h == NULL)
        return;
    http_server_destroy(&(*h)->server);
    free(*h);
    *h = NULL;
}

uint16_t admin_http_port(const struct admin_http *h)
{
    return http_server_port(h->server);
}
