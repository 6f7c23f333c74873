/* SPDX-License-Identifier: ISC
 * See my_ask.h. The same login as the relay's (my_dial): what gets in there gets in here, by key or
 * by password, with the same TLS.
 */
#include "config.h"

#include "proto/mysql/my_ask.h"
#include "proto/mysql/my_dial.h"

#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PARAMS_MAX 100u
#define PART_MS    1000 /* for a server to take leave, then it is left */
#define PART_READS 16   /* of what it may still say */

static const char *find(const struct dsn_param *params, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(params[i].key, key) == 0)
            return params[i].value;
    return "";
}

static int timeout_ms(const struct dsn_param *params, size_t n)
{
    long s = strtol(find(params, n, "connect_timeout"), NULL, 10);
    return s > 0 && s < 3600 ? (int)s * 1000 : 10000;
}

/* The first address of the first host that has one; "" where it needs no look-up. */
static void look_up(const char *hosts, char *address, size_t room)
{
    char host[256];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    snprintf(host, sizeof host, "%.*s", (int)strcspn(hosts, ","), hosts);
    address[0] = '\0';
    if (host[0] == '/' || host[0] == '\0' || getaddrinfo(host, NULL, &hints, &found) != 0)
        return;
    (void)getnameinfo(found->ai_addr, found->ai_addrlen, address, (socklen_t)room, NULL, 0,
                      NI_NUMERICHOST);
    freeaddrinfo(found);
}

/* A connection that is ready for a question; NULL: `e` says why not, and `code` as
 * my_dial_failure() does. */
static struct my_dial *open_with(const struct dsn_param *params, size_t n, char code[6],
                                 struct err *e)
{
    struct dsn_param all[PARAMS_MAX];
    char address[64], text[8];
    size_t count = 0;
    code[0] = '\0';
    for (size_t i = 0; i < n && count < PARAMS_MAX - 1; i++)
        if (strcmp(params[i].key, "connect_query") != 0)
            all[count++] = params[i];
    if (find(params, n, "hostaddr")[0] == '\0') {
        look_up(find(params, n, "host"), address, sizeof address);
        all[count++] = (struct dsn_param){.key = "hostaddr", .value = address};
    }
    struct my_dial *d = my_dial_start(all, count);
    if (d == NULL) {
        err_set(e, "out of memory");
    } else if (!my_dial_wait(d, timeout_ms(params, n), e)) {
        (void)my_dial_failure(d, code, text, sizeof text);
        my_dial_hang_up(&d);
    }
    return d;
}

/* For a question that needs no schema: one that is gone, or closed to this user, is left out. */
static struct my_dial *open_anywhere(const struct dsn_param *params, size_t n, struct err *e)
{
    struct dsn_param rest[PARAMS_MAX];
    char code[6];
    size_t count = 0;
    struct my_dial *d = open_with(params, n, code, e);
    if (d != NULL || code[0] != MY_DIAL_NUMBER[0])
        return d;
    long number = strtol(code + 1, NULL, 10);
    if (number != MY_ER_DB_ACCESS_DENIED && number != MY_ER_BAD_DB)
        return NULL;
    for (size_t i = 0; i < n && count < PARAMS_MAX - 1; i++)
        if (strcmp(params[i].key, "dbname") != 0)
            rest[count++] = params[i];
    return open_with(rest, count, code, e);
}

/* Closed on both sides: the server counts a connection until it has taken leave, and the slot of
 * this one is free for the next as soon as this returns. */
static void part(struct my_dial **d)
{
    uint8_t rest[256];
    struct pollfd p = {.fd = my_dial_socket(*d), .events = POLLIN};
    if (p.fd >= 0 && shutdown(p.fd, SHUT_WR) == 0)
        for (int i = 0; i < PART_READS; i++)
            if (poll(&p, 1, PART_MS) <= 0 || recv(p.fd, rest, sizeof rest, 0) <= 0)
                break;
    my_dial_hang_up(d);
}

static bool ask(struct my_dial *d, const char *sql, int timeout, struct err *e)
{
    if (!my_dial_query(d, sql)) {
        err_set(e, "out of memory");
        return false;
    }
    if (!my_dial_wait(d, timeout, e))
        return false;
    if (my_dial_error(d)[0] == '\0')
        return true;
    err_set(e, "%s", my_dial_error(d));
    return false;
}

/* A number of the answer's first row. */
static uint32_t number(struct my_reader *row)
{
    struct my_view v = my_read_lenenc_bytes(row);
    uint64_t n = 0;
    for (size_t i = 0; v.p != NULL && i < v.n && v.p[i] >= '0' && v.p[i] <= '9'; i++)
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* Nothing is reserved: the server keeps one for administrators beside the number that it names. */
static bool limits_of(struct my_dial *d, int timeout, uint32_t *max, uint32_t *own, struct err *e)
{
    struct my_reader row;
    if (!ask(d, "SELECT @@global.max_connections, @@session.max_user_connections", timeout, e) ||
        !my_dial_row(d, 0, &row))
        return false;
    *max = number(&row);
    *own = number(&row);
    return !row.bad && *max != 0;
}

bool my_ask_limits(const struct dsn_param *params, size_t n, struct server_limits *out,
                   struct err *e)
{
    uint32_t own = 0;
    char code[6];
    *out = (struct server_limits){.quotas = NULL};
    struct my_dial *d = open_with(params, n, code, e);
    if (d == NULL)
        return false;
    bool ok = limits_of(d, timeout_ms(params, n), &out->max_connections, &own, e);
    part(&d);
    if (ok && own != 0 && (out->quotas = calloc(1, sizeof *out->quotas)) != NULL) {
        out->n_quotas = 1;
        *out->quotas = (struct server_quota){.of_user = true, .n = own};
        snprintf(out->quotas->name, sizeof out->quotas->name, "%s", find(params, n, "user"));
    }
    return ok;
}

bool my_ask_facts(const struct dsn_param *params, size_t n, struct server_facts *out, struct err *e)
{
    struct my_reader row;
    char code[6];
    int timeout = timeout_ms(params, n);
    struct my_dial *d = open_with(params, n, code, e);
    if (d == NULL)
        return false;
    bool ok = limits_of(d, timeout, &out->max_connections, &out->own, e) &&
              ask(d, "SELECT version(), @@global.read_only", timeout, e) && my_dial_row(d, 0, &row);
    if (ok) {
        struct my_view v = my_read_lenenc_bytes(&row);
        snprintf(out->version, sizeof out->version, "%.*s", (int)v.n, (const char *)v.p);
        out->replica = number(&row) != 0;
        ok = ask(d, "SHOW STATUS LIKE 'Threads_connected'", timeout, e) && my_dial_row(d, 0, &row);
    }
    if (ok) {
        (void)my_read_lenenc_bytes(&row);
        out->used = number(&row);
    }
    part(&d);
    return ok;
}

/* `user` as a literal that every sql_mode and character set reads alike. */
static bool put_user(struct buf *sql, const char *user)
{
    bool ok = buf_printf(sql, "CONVERT(0x");
    for (const char *p = user; ok && *p != '\0'; p++)
        ok = buf_printf(sql, "%02x", (unsigned)(uint8_t)*p);
    return ok && buf_printf(sql, " USING utf8mb4)");
}

static bool compose(struct buf *sql, const char *query, const char *user)
{
    bool ok = user[0] != '\0';
    while (ok && *query != '\0') {
        size_t skip = *query == '?' ? 1 : strncmp(query, "$1", 2) == 0 ? 2 : 0;
        ok = skip != 0 ? put_user(sql, user) : buf_append(sql, query, 1);
        query += skip != 0 ? skip : 1;
    }
    return ok && buf_append(sql, "", 1);
}

bool my_ask_secret(const struct dsn_param *params, size_t n, const char *query, const char *user,
                   char **secret, struct err *e)
{
    struct my_reader row;
    struct buf sql = {0};
    *secret = NULL;
    struct my_dial *d = open_anywhere(params, n, e);
    if (d == NULL)
        return false;
    bool ok = compose(&sql, query, user) &&
              ask(d, (const char *)buf_head(&sql), timeout_ms(params, n), e);
    if (ok && my_dial_row(d, 0, &row)) {
        (void)my_read_lenenc_bytes(&row); /* the user; the secret is the second column */
        struct my_view v = my_read_lenenc_bytes(&row);
        ok = !row.bad;
        if (!ok)
            err_set(e, "auth_query has to give two columns: user and secret");
        else if (v.p != NULL && v.n != 0)
            *secret = strndup((const char *)v.p, v.n);
    }
    buf_release(&sql);
    part(&d);
    return ok;
}

bool my_ask_kill(const struct dsn_param *params, size_t n, const char *host, const char *address,
                 const char *port, uint32_t thread_id, struct err *e)
{
    struct dsn_param all[PARAMS_MAX];
    char sql[48];
    size_t count = 0;
    for (size_t i = 0; i < n && count < PARAMS_MAX - 3; i++) {
        const char *key = params[i].key;
        if (strcmp(key, "host") != 0 && strcmp(key, "hostaddr") != 0 && strcmp(key, "port") != 0)
            all[count++] = params[i];
    }
    all[count++] = (struct dsn_param){.key = "host", .value = host};
    all[count++] = (struct dsn_param){.key = "port", .value = port};
    if (address[0] != '\0')
        all[count++] = (struct dsn_param){.key = "hostaddr", .value = address};
    struct my_dial *d = open_anywhere(all, count, e);
    if (d == NULL)
        return false;
    snprintf(sql, sizeof sql, "KILL QUERY %u", thread_id);
    bool ok = ask(d, sql, timeout_ms(params, n), e);
    part(&d);
    return ok;
}
