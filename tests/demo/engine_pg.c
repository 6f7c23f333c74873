/* SPDX-License-Identifier: ISC
 * See engine.h: PostgreSQL, by libpq.
 */
#include "engine.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conn {
    PGconn *pg;
    bool query_failed;
};

static void pg_close(void *conn)
{
    struct conn *c = conn;
    PQfinish(c->pg);
    free(c);
}

static const char *pg_error(void *conn)
{
    struct conn *c = conn;
    return PQerrorMessage(c->pg);
}

static void *pg_open(const char *dsn, char *error, size_t room)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->pg = PQconnectdb(dsn);
    if (PQstatus(c->pg) == CONNECTION_OK)
        return c;
    snprintf(error, room, "%s", PQerrorMessage(c->pg));
    pg_close(c);
    return NULL;
}

static bool pg_run(void *conn, const char *sql, char *error, size_t room)
{
    struct conn *c = conn;
    PGresult *r = PQexec(c->pg, sql);
    ExecStatusType status = PQresultStatus(r);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!ok)
        snprintf(error, room, "%s", PQerrorMessage(c->pg));
    PQclear(r);
    return ok;
}

static int pg_number(void *conn, const char *sql)
{
    struct conn *c = conn;
    PGresult *r = PQexec(c->pg, sql);
    int n = -1;
    if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1)
        n = (int)strtol(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return n;
}

static enum want connect_step(void *conn, unsigned ready)
{
    struct conn *c = conn;
    (void)ready;
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_READING:
        return WANT_READ;
    case PGRES_POLLING_WRITING:
        return WANT_WRITE;
    case PGRES_POLLING_OK:
        return WANT_NOTHING;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
        break;
    }
    return WANT_FAILED;
}

static void *pg_start(const char *dsn, enum want *want)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->pg = PQconnectStart(dsn);
    *want = c->pg == NULL || PQstatus(c->pg) == CONNECTION_BAD ? WANT_FAILED : WANT_WRITE;
    return c;
}

static enum want query_step(void *conn, unsigned ready)
{
    struct conn *c = conn;
    (void)ready;
    if (!PQconsumeInput(c->pg))
        return WANT_FAILED;
    while (!PQisBusy(c->pg)) {
        PGresult *r = PQgetResult(c->pg);
        if (r == NULL)
            return c->query_failed ? WANT_FAILED : WANT_NOTHING;
        if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
            c->query_failed = true;
        PQclear(r);
    }
    return WANT_READ;
}

static enum want pg_query(void *conn, const char *sql)
{
    struct conn *c = conn;
    c->query_failed = false;
    return PQsendQuery(c->pg, sql) ? WANT_READ : WANT_FAILED;
}

static int pg_fd(void *conn)
{
    return PQsocket(((struct conn *)conn)->pg);
}

const struct engine engine_postgres = {
    .name = "postgres",
    .count_sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                 " AND pid <> pg_backend_pid()",
    .open = pg_open,
    .run = pg_run,
    .number = pg_number,
    .start = pg_start,
    .connect_step = connect_step,
    .query = pg_query,
    .query_step = query_step,
    .fd = pg_fd,
    .error = pg_error,
    .close = pg_close,
};

const struct engine *engine_find(const char *name)
{
    if (strcmp(name, engine_postgres.name) == 0)
        return &engine_postgres;
    return strcmp(name, engine_mysql.name) == 0 ? &engine_mysql : NULL;
}
