/* SPDX-License-Identifier: ISC
 * See pg_ask.h.
 */
#include "config.h"

#include "proto/pg/pg_ask.h"

#include "base/buf.h"
#include "base/clock.h"
#include "proto/pg/pg_dial_keys.h"
#include "proto/pg/pg_dial_raw.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_US (5 * US_PER_S)
#define PARAMS_MAX 96

#define MAX_AND_RESERVED                                                                           \
    "current_setting('max_connections')::int, "                                                    \
    "current_setting('superuser_reserved_connections')::int"                                       \
    " + coalesce(current_setting('reserved_connections', true), '0')::int"
/* So in the question, too; others are learned from the server's refusals. */
#define QUOTAS_MAX 100

/* One question and its answer, through libpq or without it. */
struct ask {
    PGconn *conn;
    PGresult *res;
    struct pg_raw *raw;
    unsigned rows, fields;               /* fields: 0 where there is no row */
    const char *columns[PG_RAW_COLUMNS]; /* of the first row; NULL: SQL NULL or none */
};

static void ask_free(struct ask *a)
{
    PQclear(a->res);
    if (a->conn != NULL)
        PQfinish(a->conn);
    pg_raw_hang_up(&a->raw);
}

/* ---- through libpq ----------------------------------------------------------------------------
 */

static bool libpq_failed(const char *why, struct err *e)
{
    char text[200];
    (void)snprintf(text, sizeof text, "%s", why);
    text[strcspn(text, "\n")] = '\0';
    err_set(e, "%s", text);
    return false;
}

static PGconn *connect_libpq(const struct dsn_param *params, size_t n)
{
    const char *keys[PARAMS_MAX + 1], *values[PARAMS_MAX + 1];
    size_t at = 0;
    for (size_t i = 0; i < n && at < PARAMS_MAX; i++) {
        if (!pg_dial_is_libpqs(params[i].key))
            continue;
        keys[at] = params[i].key;
        values[at++] = params[i].value;
    }
    keys[at] = values[at] = NULL;
    return PQconnectdbParams(keys, values, 0);
}

static bool ask_libpq(struct ask *a, const struct dsn_param *params, size_t n, const char *sql,
                      const char *param, struct err *e)
{
    a->conn = connect_libpq(params, n);
    if (a->conn == NULL || PQstatus(a->conn) != CONNECTION_OK)
        return libpq_failed(a->conn != NULL ? PQerrorMessage(a->conn) : "out of memory", e);
    a->res = param != NULL ? PQexecParams(a->conn, sql, 1, NULL, &param, NULL, NULL, 0)
                           : PQexec(a->conn, sql);
    if (PQresultStatus(a->res) != PGRES_TUPLES_OK)
        return libpq_failed(PQresultErrorMessage(a->res), e);
    a->rows = (unsigned)PQntuples(a->res);
    a->fields = a->rows != 0 ? (unsigned)PQnfields(a->res) : 0;
    for (unsigned i = 0; i < a->fields && i < PG_RAW_COLUMNS; i++)
        a->columns[i] = PQgetisnull(a->res, 0, (int)i) ? NULL : PQgetvalue(a->res, 0, (int)i);
    return true;
}

/* ---- without
 * ------------------------------------------------------------------------------------- */

struct params {
    struct dsn_param p[PARAMS_MAX];
    size_t n;
    struct buf addresses;
};

static void put(struct params *ps, const char *key, const char *value)
{
    if (value != NULL && value[0] != '\0' && ps->n < PARAMS_MAX)
        ps->p[ps->n++] = (struct dsn_param){.key = key, .value = value};
}

/* One address for each host of the list; a directory stands for itself. */
static bool resolve(struct params *ps, const char *hosts)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    for (const char *at = hosts;; at++) {
        char name[256], text[64] = "";
        size_t n = strcspn(at, ",");
        (void)snprintf(name, sizeof name, "%.*s", (int)n, at);
        if (name[0] != '\0' && name[0] != '/' && name[0] != '@' &&
            getaddrinfo(name, NULL, &hints, &found) == 0) {
            (void)getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0,
                              NI_NUMERICHOST);
            freeaddrinfo(found);
        }
        if (!buf_printf(&ps->addresses, "%s%s", at == hosts ? "" : ",", text))
            return false;
        at += n;
        if (*at == '\0')
            return buf_append(&ps->addresses, "", 1);
    }
}

/* Poll until it is done; false: it failed, or took too long. */
static bool raw_wait(struct pg_raw *r, uint64_t until_us, struct err *e)
{
    char code[6], text[256];
    for (;;) {
        enum dial_step step = pg_raw_poll(r);
        uint64_t now = clock_now_us();
        if (step == DIAL_DONE)
            return true;
        if (step == DIAL_FAILED) {
            (void)pg_raw_failure(r, code, text, sizeof text);
            return libpq_failed(text, e);
        }
        if (now >= until_us)
            return libpq_failed("timeout expired", e);
        struct pollfd p = {.fd = pg_raw_socket(r), .events = step == DIAL_READ ? POLLIN : POLLOUT};
        (void)poll(&p, 1, (int)((until_us - now) / 1000 + 1));
    }
}

static bool ask_raw(struct ask *a, struct params *ps, const char *sql, const char *param,
                    struct err *e)
{
    uint64_t until_us = clock_now_us() + TIMEOUT_US;
    a->raw = pg_raw_start(ps->p, ps->n);
    if (a->raw == NULL)
        return libpq_failed("out of memory", e);
    if (!raw_wait(a->raw, until_us, e))
        return false;
    if (!pg_raw_ask(a->raw, sql, param))
        return libpq_failed("out of memory", e);
    return raw_wait(a->raw, until_us, e) &&
           pg_raw_answer(a->raw, &a->rows, &a->fields, a->columns, e);
}

static bool ask_keys(struct ask *a, const struct dsn_param *params, size_t n, const char *sql,
                     const char *param, struct err *e)
{
    struct params ps = {.n = 0};
    const char *hosts = "", *hostaddr = "";
    for (size_t i = 0; i < n; i++) {
        put(&ps, params[i].key, params[i].value);
        if (strcmp(params[i].key, "host") == 0)
            hosts = params[i].value;
        if (strcmp(params[i].key, "hostaddr") == 0)
            hostaddr = params[i].value;
    }
    bool ok = hostaddr[0] != '\0' || resolve(&ps, hosts);
    if (ok && buf_len(&ps.addresses) != 0)
        put(&ps, "hostaddr", (const char *)buf_head(&ps.addresses));
    ok = ok ? ask_raw(a, &ps, sql, param, e) : libpq_failed("out of memory", e);
    buf_release(&ps.addresses);
    return ok;
}

static bool ask(struct ask *a, const struct dsn_param *params, size_t n, const char *sql,
                const char *param, struct err *e)
{
    return pg_raw_wanted(params, n) ? ask_keys(a, params, n, sql, param, e)
                                    : ask_libpq(a, params, n, sql, param, e);
}

/* ---- the questions
 * ---------------------------------------------------------------------------------- */

static uint32_t number(const char *text)
{
    unsigned long n = text != NULL ? strtoul(text, NULL, 10) : 0;
    return n < 1000000 ? (uint32_t)n : 1000000;
}

bool pg_ask_facts(const struct dsn_param *params, size_t n, struct server_facts *out, struct err *e)
{
    /* -1 stands for no limit. */
    static const char sql[] =
        "SELECT " MAX_AND_RESERVED ", coalesce(least("
        " (SELECT nullif(rolconnlimit, -1) FROM pg_catalog.pg_roles WHERE rolname = current_user),"
        " (SELECT nullif(datconnlimit, -1) FROM pg_catalog.pg_database WHERE datname ="
        " current_database())), 0), pg_catalog.pg_is_in_recovery()::int,"
        " (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datid IS NOT NULL) - 1,"
        " current_setting('server_version')";
    struct ask a = {.rows = 0};
    bool ok = ask(&a, params, n, sql, NULL, e);
    if (ok && a.rows != 1)
        ok = libpq_failed("the server doesn't tell its limits", e);
    if (ok) {
        out->max_connections = number(a.columns[0]);
        out->reserved = number(a.columns[1]);
        out->own = number(a.columns[2]);
        out->replica = number(a.columns[3]) != 0;
        out->used = number(a.columns[4]);
        (void)snprintf(out->version, sizeof out->version, "%s",
                       a.columns[5] != NULL ? a.columns[5] : "");
    }
    ask_free(&a);
    return ok;
}

/* "u12 app", "d7 shop", a line each. Of a line of any other form nothing is taken. */
static bool read_quotas(const char *text, struct server_limits *out)
{
    out->quotas = calloc(QUOTAS_MAX, sizeof *out->quotas);
    if (out->quotas == NULL)
        return false;
    for (const char *line = text; *line != '\0' && out->n_quotas < QUOTAS_MAX;) {
        size_t n = strcspn(line, "\n");
        const char *space = memchr(line, ' ', n);
        if (space != NULL && (*line == 'u' || *line == 'd')) {
            struct server_quota *q = &out->quotas[out->n_quotas++];
            q->of_user = *line == 'u';
            q->n = number(line + 1);
            (void)snprintf(q->name, sizeof q->name, "%.*s", (int)(line + n - space - 1), space + 1);
        }
        line += n + (line[n] == '\n');
    }
    return true;
}

bool pg_ask_limits(const struct dsn_param *params, size_t n, struct server_limits *out,
                   struct err *e)
{
    /* Superusers are bound by neither limit; of a limit of 0 the server's refusal says more. */
    static const char sql[] =
        "SELECT " MAX_AND_RESERVED ", (SELECT string_agg(k || n || ' ' || name || chr(10), '') FROM"
        " (SELECT 'u', rolconnlimit, rolname FROM pg_catalog.pg_roles"
        " WHERE rolconnlimit > 0 AND rolcanlogin AND NOT rolsuper"
        " UNION ALL SELECT 'd', datconnlimit, datname FROM pg_catalog.pg_database"
        " WHERE datconnlimit > 0 AND datallowconn LIMIT 100) q (k, n, name)"
        " WHERE strpos(name, chr(10)) = 0)";
    struct ask a = {.rows = 0};
    *out = (struct server_limits){.quotas = NULL};
    bool ok = ask(&a, params, n, sql, NULL, e);
    if (ok && a.rows != 1)
        ok = libpq_failed("the server doesn't tell its limits", e);
    if (ok && a.columns[2] != NULL && !read_quotas(a.columns[2], out))
        ok = libpq_failed("out of memory", e);
    if (ok) {
        out->max_connections = number(a.columns[0]);
        out->reserved = number(a.columns[1]);
    }
    ask_free(&a);
    return ok;
}

bool pg_ask_secret(const struct dsn_param *params, size_t n, const char *query, const char *user,
                   char **secret, struct err *e)
{
    struct ask a = {.rows = 0};
    *secret = NULL;
    bool ok = ask(&a, params, n, query, user, e);
    if (ok && a.rows != 0 && a.fields < 2)
        ok = libpq_failed("auth_query has to give two columns: user and secret", e);
    if (ok && a.rows == 1 && a.columns[0] != NULL && a.columns[1] != NULL &&
        strcmp(a.columns[0], user) == 0)
        *secret = strdup(a.columns[1]);
    ask_free(&a);
    return ok;
}
