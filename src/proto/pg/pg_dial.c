/* SPDX-License-Identifier: ISC
 * Logging in to a PostgreSQL server: libpq does it, then hands over descriptor and TLS session to
 * the relay and stays alive as their owner. Where there is no password but keys, which libpq can't
 * use, pg_dial_raw does it instead. Also the cancelling of statements.
 *
 * Thread: dialling belongs to the control plane's loop; cancel_run() blocks and belongs to a thread
 * that may. After adopt() nobody calls libpq on this connection but to finish it.
 */
#include "config.h"

#include "proto/pg/pg_login.h"

#include "base/log.h"
#include "proto/pg/pg_ask.h"
#include "proto/pg/pg_dial_ahead.h"
#include "proto/pg/pg_dial_cancel.h"
#include "proto/pg/pg_dial_keys.h"
#include "proto/pg/pg_dial_raw.h"
#include "proto/pg/pg_session.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pg_dial {
    struct pg_raw *raw; /* instead of what follows */
    PGconn *conn;
    char *connect_query; /* still to be run, or NULL */
    bool asking;         /* it is under way */
    unsigned waits;      /* pg_dial_ahead() */
    enum pg_ahead ahead; /* what it found */
};

/* A statement under way on the other side, for the threads that cancel. */
struct pg_cancel {
    PGcancel *libpq; /* or NULL: `raw` */
    struct pg_cancel_target raw;
};

static void ignore_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

static void dial_free(struct pg_dial *d)
{
    if (d->raw != NULL)
        pg_raw_hang_up(&d->raw);
    if (d->conn != NULL)
        PQfinish(d->conn);
    free(d->connect_query);
    free(d);
}

static bool start_libpq(struct pg_dial *d, const struct dsn_param *params, size_t n)
{
    const char **keys = calloc(n + 1, sizeof *keys);
    const char **values = calloc(n + 1, sizeof *values);
    size_t at = 0;
    for (size_t i = 0; keys != NULL && values != NULL && i < n; i++) {
        if (strcmp(params[i].key, "connect_query") == 0)
            d->connect_query = strdup(params[i].value);
        if (!pg_dial_is_libpqs(params[i].key))
            continue;
        keys[at] = params[i].key;
        values[at++] = params[i].value;
    }
    if (keys != NULL && values != NULL)
        d->conn = PQconnectStartParams(keys, values, 0);
    if (d->conn != NULL) {
        PQsetNoticeReceiver(d->conn, ignore_notice, NULL);
        (void)PQsetErrorVerbosity(d->conn, PQERRORS_VERBOSE);
    }
    free(keys);
    free(values);
    return d->conn != NULL;
}

static void *dial_start(const struct dsn_param *params, size_t n)
{
    struct pg_dial *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    bool raw = pg_raw_wanted(params, n);
    if (raw)
        d->raw = pg_raw_start(params, n);
    if (raw ? d->raw == NULL : !start_libpq(d, params, n)) {
        dial_free(d);
        return NULL;
    }
    return d;
}

static int dial_socket(void *dial)
{
    const struct pg_dial *d = dial;
    return d->raw != NULL ? pg_raw_socket(d->raw) : PQsocket(d->conn);
}

/* connect_query, or its answer: a fault of it is logged and nothing more. */
static enum dial_step ask(struct pg_dial *d)
{
    if (!d->asking) {
        (void)PQsetErrorVerbosity(d->conn, PQERRORS_DEFAULT);
        if (PQsetnonblocking(d->conn, 1) != 0 || PQsendQuery(d->conn, d->connect_query) != 1)
            return DIAL_FAILED;
        d->asking = true;
    }
    if (PQconsumeInput(d->conn) != 1)
        return DIAL_FAILED;
    int unsent = PQflush(d->conn);
    if (unsent != 0)
        return unsent < 0 ? DIAL_FAILED : DIAL_WRITE;
    while (PQisBusy(d->conn) == 0) {
        PGresult *res = PQgetResult(d->conn);
        ExecStatusType status = PQresultStatus(res);
        if (res == NULL)
            return PQtransactionStatus(d->conn) == PQTRANS_IDLE ? DIAL_DONE : DIAL_FAILED;
        if (status == PGRES_FATAL_ERROR)
            log_warn(NULL, "connect_query failed: %s", PQresultErrorMessage(res));
        PQclear(res);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
            return DIAL_FAILED;
    }
    return DIAL_READ;
}

static enum dial_step dial_poll(void *dial)
{
    struct pg_dial *d = dial;
    if (d->raw != NULL)
        return pg_raw_poll(d->raw);
    if (PQstatus(d->conn) == CONNECTION_BAD)
        return DIAL_FAILED;
    if (d->asking)
        return ask(d);
    d->ahead = pg_dial_ahead(d->conn, &d->waits);
    if (d->ahead != PG_AHEAD_GO)
        return d->ahead == PG_AHEAD_WAIT ? DIAL_READ : DIAL_FAILED;
    switch (PQconnectPoll(d->conn)) {
    case PGRES_POLLING_READING:
        return DIAL_READ;
    case PGRES_POLLING_WRITING:
        return DIAL_WRITE;
    case PGRES_POLLING_OK:
        return d->connect_query != NULL ? ask(d) : DIAL_DONE;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
        break;
    }
    return DIAL_FAILED;
}

/* libpq keeps no SQLSTATE of a failed login, but writes it when it is told to say everything:
 * behind the severity. What it says beyond that, the place in the server's source, is taken out. */
static bool find_code(const char *message, char code[6], const char **at)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (const char *p = message; (p = strstr(p, ":  ")) != NULL; p += 3) {
        if (strspn(p + 3, digits) != 5 || strncmp(p + 8, ": ", 2) != 0)
            continue;
        memcpy(code, p + 3, 5);
        code[5] = '\0';
        *at = p + 3;
        return true;
    }
    return false;
}

static void take_words(const char *message, char *text, size_t room)
{
    size_t n = 0;
    while (*message != '\0' && n < room - 1) {
        char code[6];
        const char *at, *end = strchrnul(message, '\n');
        if (strncmp(message, "LOCATION:", 9) == 0) {
            message = end + (*end != '\0');
            continue;
        }
        size_t line = (size_t)(end - message) + (*end != '\0');
        bool coded = find_code(message, code, &at) && at < end;
        size_t before = coded ? (size_t)(at - message) : line, skip = coded ? 7 : 0;
        n += (size_t)snprintf(text + n, room - n, "%.*s%.*s", (int)before, message,
                              (int)(line - before - skip), message + before + skip);
        message += line;
    }
    n = n < room ? n : room - 1;
    while (n != 0 && text[n - 1] == '\n')
        n--;
    text[n] = '\0';
}

/* Without a code the words are libpq's own. What is wrong with the entry says nothing of the
 * server: whom it trusts, the role that it asks for. */
static enum dial_failure class_of_words(const char *text)
{
    static const char *const own[] = {"certificate",          "private key",
                                      "does not support SSL", "session is read-only",
                                      "session is not read",  "in hot standby mode"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strstr(text, own[i]) != NULL)
            return DIAL_FAIL_POOL;
    return DIAL_FAIL_REACH;
}

static enum dial_failure dial_failure(void *dial, char code[6], char *text, size_t room)
{
    const struct pg_dial *d = dial;
    const char *at;
    if (d->raw != NULL)
        return pg_raw_failure(d->raw, code, text, room);
    if (d->ahead != PG_AHEAD_GO && d->ahead != PG_AHEAD_WAIT) {
        memcpy(code, "08006", 6);
        snprintf(text, room, "the server %s",
                 d->ahead == PG_AHEAD_ROUNDS ? "asks for too many iterations of SCRAM-SHA-256"
                                             : "sends its authentication request in pieces");
        return DIAL_FAIL_POOL;
    }
    const char *message = PQerrorMessage(d->conn);
    if (message[0] == '\0') {
        memcpy(code, "25001", 6);
        snprintf(text, room, "connect_query ended in COPY or leaves a transaction open");
        return DIAL_FAIL_REFUSED;
    }
    text[0] = '\0';
    take_words(message, text, room);
    if (find_code(message, code, &at)) {
        const char *place = strstr(at, "LOCATION:  ");
        return pg_dial_class(code, place != NULL ? place + 11 : "");
    }
    bool no_password = strstr(text, "no password supplied") != NULL;
    memcpy(code, no_password ? "28P01" : "08006", 6);
    return no_password ? DIAL_FAIL_REFUSED : class_of_words(text);
}

static void hang_up(void **dp)
{
    struct pg_dial *d = *dp;
    *dp = NULL;
    if (d != NULL)
        dial_free(d);
}

/* libpq can't list what was reported; these are the parameters that PostgreSQL 13 to 18 report. */
static struct var_set *collect_report(PGconn *conn)
{
    static const char *const names[] = {
        "application_name",
        "client_encoding",
        "DateStyle",
        "default_transaction_read_only",
        "in_hot_standby",
        "integer_datetimes",
        "IntervalStyle",
        "is_superuser",
        "scram_iterations",
        "search_path",
        "server_encoding",
        "server_version",
        "session_authorization",
        "standard_conforming_strings",
        "TimeZone",
    };
    struct var_set *set = vars_empty();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = PQparameterStatus(conn, names[i]);
        if (value != NULL)
            (void)vars_take(
                &set, vars_with(set, names[i], strlen(names[i]), VAR_REPORT, value, strlen(value)));
    }
    return set;
}

static bool adopt(void **dp, void *ps, int *fd, struct ssl_st **ssl)
{
    struct pg_dial *d = *dp;
    struct pg_server *s = ps;
    static _Atomic uint32_t connections;
    /* Where one ends another may have its address: their numbers are far apart (pg_begin). */
    s->drawn = atomic_fetch_add(&connections, 1) << 12;
    if (d->raw != NULL) {
        s->raw_link = pg_raw_adopt(&d->raw, &s->report);
        if (s->raw_link == NULL)
            return false;
        *fd = pg_raw_link_fd(s->raw_link);
        *ssl = pg_raw_link_ssl(s->raw_link);
    } else {
        s->conn = d->conn;
        s->report = collect_report(d->conn);
        *fd = PQsocket(d->conn);
        *ssl = PQsslInUse(d->conn) ? PQsslStruct(d->conn, "OpenSSL") : NULL;
        d->conn = NULL;
    }
    s->magic = PG_SERVER_MAGIC;
    s->status = 'I';
    s->applied = vars_empty();
    s->login = vars_get(s->report);
    hang_up(dp);
    return true;
}

static void *cancel_make(void *ps)
{
    struct pg_server *s = ps;
    struct pg_cancel *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    if (s->raw_link != NULL)
        c->raw = *pg_raw_link_cancel(s->raw_link);
    else
        c->libpq = PQgetCancel(s->conn);
    if (c->libpq == NULL && c->raw.pid == 0) { /* it gave no key */
        free(c);
        return NULL;
    }
    return c;
}

static bool cancel_run(void *cancel, struct err *e)
{
    struct pg_cancel *c = cancel;
    char text[256];
    if (c->libpq == NULL)
        return pg_cancel_run(&c->raw, e);
    if (PQcancel(c->libpq, text, sizeof text) == 1)
        return true;
    err_set(e, "%s", text);
    return false;
}

static void cancel_free(void **cancel)
{
    struct pg_cancel *c = *cancel;
    *cancel = NULL;
    if (c == NULL)
        return;
    PQfreeCancel(c->libpq);
    explicit_bzero(c, sizeof *c);
    free(c);
}

static void *server_report(void *ps)
{
    return vars_get(((struct pg_server *)ps)->login);
}

static void *report_get(void *report)
{
    return vars_get(report);
}

static bool last_words(const void *ps, char *text, size_t room, char code[6])
{
    const struct pg_server *s = ps;
    if (s->set_error[0] == '\0')
        return false;
    (void)snprintf(text, room, "%s", s->set_error);
    memcpy(code, s->set_code, 6);
    return true;
}

static void report_put(void **report)
{
    struct var_set *set = *report;
    vars_put(&set);
    *report = NULL;
}

static void configure(void *ps, const struct server_setup *setup)
{
    struct pg_server *s = ps;
    free(s->reset_query);
    s->reset_query = strdup(setup->reset_query);
    s->reset_always = setup->reset_always;
    s->place = setup->place;
}

static const void *farewell(size_t *n)
{
    static const uint8_t terminate[] = {'X', 0, 0, 0, 4};
    *n = sizeof terminate;
    return terminate;
}

static int64_t remote_pid(const void *ps)
{
    const struct pg_server *s = ps;
    return s->raw_link != NULL ? pg_raw_link_pid(s->raw_link) : PQbackendPID(s->conn);
}

static const char *version(const void *report)
{
    struct var_entry e;
    if (report == NULL || !var_set_find(report, "server_version", 14, &e))
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
    .cancel_patience_ms = 500, /* a CancelRequest is no session: the server doesn't count it */
    .cancel_make = cancel_make,
    .cancel_run = cancel_run,
    .cancel_free = cancel_free,
    .keys = pg_dial_keys,
    .ask_limits = pg_ask_limits,
    .ask_secret = pg_ask_secret,
    .ask_facts = pg_ask_facts,
    .report = server_report,
    .report_get = report_get,
    .report_put = report_put,
    .last_words = last_words,
    .configure = configure,
    .farewell = farewell,
    .remote_pid = remote_pid,
    .version = version,
};
