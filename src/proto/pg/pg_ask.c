/* SPDX-License-Identifier: ISC
 * See pg_ask.h.
 */
#include "config.h"

#include "proto/pg/pg_ask.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static PGconn *ask_connect(const char *conninfo, struct err *e)
{
    PGconn *conn = PQconnectdb(conninfo);
    if (conn != NULL && PQstatus(conn) == CONNECTION_OK)
        return conn;
    char text[200];
    (void)snprintf(text, sizeof text, "%s", conn != NULL ? PQerrorMessage(conn) : "out of memory");
    text[strcspn(text, "\n")] = '\0';
    err_set(e, "%s", text);
    PQfinish(conn);
    return NULL;
}

static uint32_t number(const PGresult *res, int column)
{
    const char *text = PQgetvalue(res, 0, column);
    unsigned long n = strtoul(text, NULL, 10);
    return n < 1000000 ? (uint32_t)n : 1000000;
}

static bool ask_failed(PGconn *conn, PGresult *res, struct err *e)
{
    char text[200];
    (void)snprintf(text, sizeof text, "%s", PQresultErrorMessage(res));
    text[strcspn(text, "\n")] = '\0';
    err_set(e, "%s", text);
    PQclear(res);
    PQfinish(conn);
    return false;
}

bool pg_ask_facts(const char *conninfo, struct pg_facts *out, struct err *e)
{
    /* What a role or database may have is the smallest of the three limits; -1 stands for none. */
    static const char sql[] =
        "SELECT least(current_setting('max_connections')::int,"
        " (SELECT nullif(rolconnlimit, -1) FROM pg_catalog.pg_roles WHERE rolname = current_user),"
        " (SELECT nullif(datconnlimit, -1) FROM pg_catalog.pg_database WHERE datname ="
        " current_database())),"
        " current_setting('superuser_reserved_connections')::int"
        " + coalesce(current_setting('reserved_connections', true), '0')::int,"
        " pg_catalog.pg_is_in_recovery()::int,"
        " (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datid IS NOT NULL) - 1,"
        " current_setting('server_version')";
    PGconn *conn = ask_connect(conninfo, e);
    if (conn == NULL)
        return false;
    PGresult *res = PQexec(conn, sql);
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1)
        return ask_failed(conn, res, e);
    out->max_connections = number(res, 0);
    out->reserved = number(res, 1);
    out->replica = number(res, 2) != 0;
    out->used = number(res, 3);
    (void)snprintf(out->version, sizeof out->version, "%s", PQgetvalue(res, 0, 4));
    PQclear(res);
    PQfinish(conn);
    return true;
}

bool pg_ask_limits(const char *conninfo, uint32_t *max_connections, uint32_t *reserved,
                   struct err *e)
{
    struct pg_facts f;
    if (!pg_ask_facts(conninfo, &f, e))
        return false;
    *max_connections = f.max_connections;
    *reserved = f.reserved;
    return true;
}

bool pg_ask_secret(const char *conninfo, const char *query, const char *user, char **secret,
                   struct err *e)
{
    PGconn *conn = ask_connect(conninfo, e);
    *secret = NULL;
    if (conn == NULL)
        return false;
    const char *values[] = {user};
    PGresult *res = PQexecParams(conn, query, 1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(res) != PGRES_TUPLES_OK)
        return ask_failed(conn, res, e);
    if (PQntuples(res) == 1 && PQnfields(res) >= 2 && !PQgetisnull(res, 0, 1) &&
        strcmp(PQgetvalue(res, 0, 0), user) == 0)
        *secret = strdup(PQgetvalue(res, 0, 1));
    PQclear(res);
    PQfinish(conn);
    return true;
}
