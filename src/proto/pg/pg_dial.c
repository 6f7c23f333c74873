/* SPDX-License-Identifier: ISC
 * Logging in to a PostgreSQL server: libpq does it, then hands over descriptor and TLS session to
 * the relay and stays alive as their owner. Also the cancelling of statements.
 *
 * Thread: dialling belongs to the control plane's loop; cancel_run() blocks and belongs to a thread
 * that may. After adopt() nobody calls libpq on this connection but to finish it.
 */
#include "config.h"

#include "proto/pg/pg_login.h"
#include "proto/pg/pg_session.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct pg_dial {
    PGconn *conn;
    PostgresPollingStatusType want;
};

static void ignore_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

static void *dial_start(const struct dsn_param *params, size_t n)
{
    struct pg_dial *d = calloc(1, sizeof *d);
    const char **keys = calloc(n + 1, sizeof *keys);
    const char **values = calloc(n + 1, sizeof *values);
    if (d == NULL || keys == NULL || values == NULL)
        goto out;
    for (size_t i = 0; i < n; i++) {
        keys[i] = params[i].key;
        values[i] = params[i].value;
    }
    d->conn = PQconnectStartParams(keys, values, 0);
    d->want = PGRES_POLLING_WRITING;
    if (d->conn != NULL)
        PQsetNoticeReceiver(d->conn, ignore_notice, NULL);
out:
    free(keys);
    free(values);
    if (d != NULL && d->conn == NULL) {
        free(d);
        d = NULL;
    }
    return d;
}

static int dial_socket(void *dial)
{
    return PQsocket(((struct pg_dial *)dial)->conn);
}

static enum dial_step dial_poll(void *dial)
{
    struct pg_dial *d = dial;
    if (PQstatus(d->conn) == CONNECTION_BAD)
        return DIAL_FAILED;
    d->want = PQconnectPoll(d->conn);
    switch (d->want) {
    case PGRES_POLLING_READING:
        return DIAL_READ;
    case PGRES_POLLING_WRITING:
        return DIAL_WRITE;
    case PGRES_POLLING_OK:
        return DIAL_DONE;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
        break;
    }
    return DIAL_FAILED;
}

/* libpq keeps no SQLSTATE of a failed login, so the class is told from the server's words. */
static enum dial_failure dial_failure(void *dial, char code[6], char *text, size_t room)
{
    static const struct {
        const char *words, *code;
        enum dial_failure kind;
    } known[] = {
        {"too many clients", "53300", DIAL_FAIL_LIMIT},
        {"too many connections", "53300", DIAL_FAIL_LIMIT},
        {"remaining connection slots", "53300", DIAL_FAIL_LIMIT},
        {"password authentication failed", "28P01", DIAL_FAIL_REFUSED},
        {"no password supplied", "28P01", DIAL_FAIL_REFUSED},
        {"authentication failed", "28000", DIAL_FAIL_REFUSED},
        {"no pg_hba.conf entry", "28000", DIAL_FAIL_REFUSED},
        {"is not permitted to log in", "28000", DIAL_FAIL_REFUSED},
        {"role \"", "28000", DIAL_FAIL_REFUSED},
        {"database \"", "3D000", DIAL_FAIL_REFUSED},
        {"permission denied for database", "42501", DIAL_FAIL_REFUSED},
        {"is starting up", "57P03", DIAL_FAIL_REACH},
        {"not yet accepting connections", "57P03", DIAL_FAIL_REACH},
        {"is shutting down", "57P03", DIAL_FAIL_REACH},
        {"in recovery mode", "57P03", DIAL_FAIL_REACH},
    };
    const char *message = PQerrorMessage(((struct pg_dial *)dial)->conn);
    size_t n = strlen(message);
    while (n != 0 && message[n - 1] == '\n')
        n--;
    if (n >= room)
        n = room - 1;
    memcpy(text, message, n);
    text[n] = '\0';
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strstr(text, known[i].words) == NULL)
            continue;
        memcpy(code, known[i].code, 6);
        return known[i].kind;
    }
    memcpy(code, "08006", 6);
    return DIAL_FAIL_REACH;
}

static void hang_up(void **dp)
{
    struct pg_dial *d = *dp;
    if (d == NULL)
        return;
    *dp = NULL;
    PQfinish(d->conn);
    free(d);
}

/* libpq can't list what was reported; these are the parameters that PostgreSQL 13 to 18 report. */
static struct pg_guc_set *collect_report(PGconn *conn)
{
    static const char *const names[] = {
        "application_name",  "client_encoding",    "DateStyle",
        "default_transaction_read_only", "in_hot_standby", "integer_datetimes",
        "IntervalStyle",     "is_superuser",       "scram_iterations",
        "search_path",       "server_encoding",    "server_version",
        "session_authorization", "standard_conforming_strings", "TimeZone",
    };
    struct pg_guc_set *set = pg_set_empty();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = PQparameterStatus(conn, names[i]);
        if (value != NULL)
            (void)pg_set_take(&set, pg_set_with(set, names[i], strlen(names[i]), PG_GUC_REPORT,
                                                value, strlen(value)));
    }
    return set;
}

static bool adopt(void **dp, void *ps, int *fd, struct ssl_st **ssl)
{
    struct pg_dial *d = *dp;
    struct pg_server *s = ps;
    s->magic = PG_SERVER_MAGIC;
    s->conn = d->conn;
    s->status = 'I';
    s->applied = pg_set_empty();
    s->report = collect_report(d->conn);
    s->login = pg_set_get(s->report);
    *fd = PQsocket(d->conn);
    *ssl = PQsslInUse(d->conn) ? PQsslStruct(d->conn, "OpenSSL") : NULL;
    free(d);
    *dp = NULL;
    return true;
}

static void *cancel_make(void *ps)
{
    return PQgetCancel(((struct pg_server *)ps)->conn);
}

static bool cancel_run(void *cancel, struct err *e)
{
    char text[256];
    if (PQcancel(cancel, text, sizeof text) == 1)
        return true;
    err_set(e, "%s", text);
    return false;
}

static void cancel_free(void **cancel)
{
    PQfreeCancel(*cancel);
    *cancel = NULL;
}

static void *server_report(void *ps)
{
    return pg_set_get(((struct pg_server *)ps)->login);
}

static void *report_get(void *report)
{
    return pg_set_get(report);
}

static bool last_words(const void *ps, char *text, size_t room, char code[6])
{
    const struct pg_server *s = ps;
    if (s->set_error[0] == '\0')
        return false;
    (void)strncpy(text, s->set_error, room - 1);
    text[room - 1] = '\0';
    memcpy(code, s->set_code, 6);
    return true;
}

static void report_put(void **report)
{
    struct pg_guc_set *set = *report;
    pg_set_put(&set);
    *report = NULL;
}

static int64_t remote_pid(const void *ps)
{
    return PQbackendPID(((const struct pg_server *)ps)->conn);
}

static const char *version(const void *report)
{
    struct pg_guc_entry e;
    if (report == NULL || !pg_guc_find(report, "server_version", 14, &e))
        return "";
    return e.value;
}

const struct server_ops pg_server_ops = {
    .dial = dial_start,
    .socket = dial_socket,
    .poll = dial_poll,
    .failure = dial_failure,
    .adopt = adopt,
    .hang_up = hang_up,
    .cancel_make = cancel_make,
    .cancel_run = cancel_run,
    .cancel_free = cancel_free,
    .report = server_report,
    .report_get = report_get,
    .report_put = report_put,
    .last_words = last_words,
    .remote_pid = remote_pid,
    .version = version,
};
