/* SPDX-License-Identifier: ISC
 * See engine.h: MySQL and MariaDB, by Connector/C. Statements that give rows are for the waiting
 * calls only.
 */
#include "engine.h"

#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_BYTES (48u * 1024u) /* of the library's coroutine, TLS included */

struct conn {
    MYSQL my;
    char *dsn;
    const char *host, *user, *password, *schema;
    unsigned port;
};

/* The words of the DSN, each in its place. */
static bool read_dsn(struct conn *c, const char *dsn)
{
    char *next = c->dsn = strdup(dsn), *word;
    c->host = "127.0.0.1";
    while (next != NULL && (word = strsep(&next, " ")) != NULL) {
        char *value = strchr(word, '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        if (strcmp(word, "host") == 0)
            c->host = value;
        else if (strcmp(word, "port") == 0)
            c->port = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(word, "user") == 0)
            c->user = value;
        else if (strcmp(word, "password") == 0)
            c->password = value;
        else if (strcmp(word, "dbname") == 0)
            c->schema = value;
        else if (strcmp(word, "application_name") == 0)
            mysql_options4(&c->my, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", value);
        else if (strcmp(word, "sslrootcert") == 0)
            mysql_options(&c->my, MYSQL_OPT_SSL_CA, value);
        else if (strcmp(word, "sslmode") == 0) {
            my_bool on = strcmp(value, "require") == 0, verify = 0;
            mysql_options(&c->my, MYSQL_OPT_SSL_ENFORCE, &on);
            mysql_options(&c->my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
        }
    }
    return c->dsn != NULL;
}

static void my_close(void *conn)
{
    struct conn *c = conn;
    mysql_close(&c->my);
    free(c->dsn);
    free(c);
}

static struct conn *make(const char *dsn)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL || mysql_init(&c->my) == NULL) {
        free(c);
        return NULL;
    }
    if (read_dsn(c, dsn))
        return c;
    my_close(c);
    return NULL;
}

static const char *my_error(void *conn)
{
    struct conn *c = conn;
    return mysql_error(&c->my);
}

static void *my_open(const char *dsn, char *error, size_t room)
{
    struct conn *c = make(dsn);
    if (c == NULL)
        return NULL;
    if (mysql_real_connect(&c->my, c->host, c->user, c->password, c->schema, c->port, NULL, 0))
        return c;
    snprintf(error, room, "%u %s", mysql_errno(&c->my), mysql_error(&c->my));
    my_close(c);
    return NULL;
}

static bool my_run(void *conn, const char *sql, char *error, size_t room)
{
    struct conn *c = conn;
    if (mysql_query(&c->my, sql) != 0) {
        snprintf(error, room, "%u %s", mysql_errno(&c->my), mysql_error(&c->my));
        return false;
    }
    MYSQL_RES *r = mysql_store_result(&c->my);
    if (r != NULL)
        mysql_free_result(r);
    return true;
}

static int my_number(void *conn, const char *sql)
{
    struct conn *c = conn;
    if (mysql_query(&c->my, sql) != 0)
        return -1;
    MYSQL_RES *r = mysql_store_result(&c->my);
    MYSQL_ROW row = r != NULL ? mysql_fetch_row(r) : NULL;
    int n = row != NULL && row[0] != NULL ? (int)strtol(row[0], NULL, 10) : -1;
    if (r != NULL)
        mysql_free_result(r);
    return n;
}

/* ---- not waiting ---- */

static enum want wanted(struct conn *c, int status, bool failed)
{
    (void)c;
    if (status == 0)
        return failed ? WANT_FAILED : WANT_NOTHING;
    return (status & MYSQL_WAIT_WRITE) != 0 ? WANT_WRITE : WANT_READ;
}

static int events(unsigned ready)
{
    return ((ready & READY_READ) != 0 ? MYSQL_WAIT_READ : 0) |
           ((ready & READY_WRITE) != 0 ? MYSQL_WAIT_WRITE : 0);
}

static void *my_start(const char *dsn, enum want *want)
{
    struct conn *c = make(dsn);
    if (c == NULL)
        return NULL;
    size_t stack = STACK_BYTES;
    MYSQL *done = NULL;
    mysql_options(&c->my, MYSQL_OPT_NONBLOCK, &stack);
    int status = mysql_real_connect_start(&done, &c->my, c->host, c->user, c->password, c->schema,
                                          c->port, NULL, 0);
    *want = wanted(c, status, done == NULL);
    return c;
}

static enum want my_connect_step(void *conn, unsigned ready)
{
    struct conn *c = conn;
    MYSQL *done = NULL;
    int status = mysql_real_connect_cont(&done, &c->my, events(ready));
    return wanted(c, status, done == NULL);
}

static enum want my_query(void *conn, const char *sql)
{
    struct conn *c = conn;
    int failed = 0;
    int status = mysql_real_query_start(&failed, &c->my, sql, strlen(sql));
    return wanted(c, status, failed != 0);
}

static enum want my_query_step(void *conn, unsigned ready)
{
    struct conn *c = conn;
    int failed = 0;
    int status = mysql_real_query_cont(&failed, &c->my, events(ready));
    return wanted(c, status, failed != 0);
}

static int my_fd(void *conn)
{
    return (int)mysql_get_socket(&((struct conn *)conn)->my);
}

const struct engine engine_mysql = {
    .name = "mysql",
    .count_sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app'",
    .open = my_open,
    .run = my_run,
    .number = my_number,
    .start = my_start,
    .connect_step = my_connect_step,
    .query = my_query,
    .query_step = my_query_step,
    .fd = my_fd,
    .error = my_error,
    .close = my_close,
};
