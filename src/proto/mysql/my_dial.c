/* SPDX-License-Identifier: ISC
 * See my_dial.h. Here: hosts, sockets, TLS, the loop, and the table at the seam.
 */
#include "config.h"

#include "base/clock.h"
#include "proto/dial/dial_socket.h"
#include "proto/mysql/my_ask.h"
#include "proto/mysql/my_dial_priv.h"
#include "proto/mysql/my_proto.h"
#include "proto/mysql/my_secret.h"
#include "proto/mysql/my_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_PORT 3306u
#define READ_BYTES   8192u

/* ---- parameters ---- */

const char *my_dial_param(const struct my_origin *o, const char *key)
{
    for (size_t i = 0; i < o->n_params; i++)
        if (strcmp(o->params[i].key, key) == 0)
            return o->params[i].value;
    return "";
}

static void origin_put(struct my_origin **op)
{
    struct my_origin *o = *op;
    *op = NULL;
    if (o == NULL || atomic_fetch_sub(&o->refs, 1) != 1)
        return;
    for (size_t i = 0; i < o->n_params; i++) {
        char *value = (char *)(uintptr_t)o->params[i].value;
        if (value != NULL)
            explicit_bzero(value, strlen(value));
        free(value);
        free((char *)(uintptr_t)o->params[i].key);
    }
    free(o->params);
    free(o);
}

static struct my_origin *origin_create(const struct dsn_param *params, size_t n)
{
    struct my_origin *o = calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    atomic_init(&o->refs, 1);
    o->params = calloc(n + 1, sizeof *o->params);
    for (size_t i = 0; o->params != NULL && i < n; i++) {
        struct dsn_param *p = &o->params[o->n_params++];
        p->key = strdup(params[i].key);
        p->value = strdup(params[i].value);
        if (p->key == NULL || p->value == NULL)
            origin_put(&o);
        if (o == NULL)
            return NULL;
    }
    if (o->params == NULL)
        origin_put(&o);
    return o;
}

/* The i-th of a list with commas; false: it has fewer. */
static bool list_item(const char *list, unsigned i, char *out, size_t room)
{
    for (; i != 0; i--) {
        list = strchr(list, ',');
        if (list == NULL)
            return false;
        list++;
    }
    snprintf(out, room, "%.*s", (int)strcspn(list, ","), list);
    return true;
}

/* ---- failing ---- */

enum dial_step my_dial_fail(struct my_dial *d, enum dial_failure why, const char *code,
                            const char *fmt, ...)
{
    va_list ap;
    int at =
        snprintf(d->text, sizeof d->text, "connection to server at \"%.100s\", port %u failed: ",
                 d->host[0] != '\0' ? d->host : d->address, d->port);
    va_start(ap, fmt);
    if (at > 0 && (size_t)at < sizeof d->text)
        (void)vsnprintf(d->text + at, sizeof d->text - (size_t)at, fmt, ap);
    va_end(ap);
    snprintf(d->code, sizeof d->code, "%s", code);
    d->why = why;
    d->state = MY_D_FAILED;
    return DIAL_FAILED;
}

static void close_socket(struct my_dial *d)
{
    if (d->ssl != NULL)
        dial_tls_destroy(&d->ssl);
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
    buf_wipe(&d->out); /* a password may have gone this way */
    buf_release(&d->in);
    buf_release(&d->out);
    buf_release(&d->rows);
    vars_put(&d->base);
    d->switched = d->wants_key = d->gave_all = d->next_host = false;
    d->running_connect_query = false;
    d->seq = 0;
    d->packets = d->ends = d->columns = 0;
}

/* ---- connecting ---- */

static socklen_t address_of(struct my_dial *d, struct sockaddr_storage *ss)
{
    struct sockaddr_in *in4 = (void *)ss;
    struct sockaddr_in6 *in6 = (void *)ss;
    struct sockaddr_un *un = (void *)ss;
    const char *name = d->address[0] != '\0' ? d->address : d->host;
    memset(ss, 0, sizeof *ss);
    d->local = name[0] == '/';
    if (d->local) {
        un->sun_family = AF_UNIX;
        if (strlen(name) >= sizeof un->sun_path)
            return 0;
        memcpy(un->sun_path, name, strlen(name) + 1);
        return sizeof *un;
    }
    if (inet_pton(AF_INET, name, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons((uint16_t)d->port);
        return sizeof *in4;
    }
    if (inet_pton(AF_INET6, name, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)d->port);
        return sizeof *in6;
    }
    return 0;
}

static enum dial_step start_socket(struct my_dial *d)
{
    struct sockaddr_storage ss;
    close_socket(d);
    socklen_t n = address_of(d, &ss);
    if (n == 0)
        return my_dial_fail(d, DIAL_FAIL_REACH, "08001", "the host has no usable address");
    d->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return my_dial_fail(d, DIAL_FAIL_REACH, "08001", "could not create a socket: %s",
                            strerror(errno));
    if (!d->local)
        dial_socket_options(d->fd, d->origin->params, d->origin->n_params);
    d->state = MY_D_CONNECT;
    if (connect(d->fd, (const struct sockaddr *)&ss, n) != 0 && errno != EINPROGRESS)
        return my_dial_fail(d, DIAL_FAIL_REACH, "08001", "%s", strerror(errno));
    return DIAL_WRITE;
}

/* Try the list's i-th host; false: there is none. */
static bool choose_host(struct my_dial *d, unsigned i)
{
    char port[16] = "";
    const struct my_origin *o = d->origin;
    bool has_host = list_item(my_dial_param(o, "host"), i, d->host, sizeof d->host);
    bool has_address = list_item(my_dial_param(o, "hostaddr"), i, d->address, sizeof d->address);
    if (!has_host && !has_address)
        return false;
    if (!has_host)
        d->host[0] = '\0';
    if (!has_address)
        d->address[0] = '\0';
    if (!list_item(my_dial_param(o, "port"), i, port, sizeof port))
        (void)list_item(my_dial_param(o, "port"), 0, port, sizeof port);
    unsigned long n = strtoul(port, NULL, 10);
    d->port = n != 0 && n <= 65535 ? (unsigned)n : DEFAULT_PORT;
    d->at = i;
    return true;
}

struct my_dial *my_dial_start(const struct dsn_param *params, size_t n)
{
    struct my_dial *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->fd = -1;
    d->origin = origin_create(params, n);
    if (d->origin == NULL) {
        free(d);
        return NULL;
    }
    const char *mode = my_dial_param(d->origin, "sslmode");
    if (!dial_sslmode_of(mode[0] != '\0' ? mode : "prefer", &d->mode))
        (void)my_dial_fail(d, DIAL_FAIL_REFUSED, "08001", "invalid sslmode value");
    else if (choose_host(d, 0))
        (void)start_socket(d);
    else
        (void)my_dial_fail(d, DIAL_FAIL_REFUSED, "08001", "no host is named");
    return d;
}

int my_dial_socket(const struct my_dial *d)
{
    return d->state == MY_D_FAILED ? -1 : d->fd;
}

void my_dial_hang_up(struct my_dial **dp)
{
    struct my_dial *d = *dp;
    if (d == NULL)
        return;
    *dp = NULL;
    close_socket(d);
    origin_put(&d->origin);
    free(d);
}

enum dial_failure my_dial_failure(const struct my_dial *d, char code[6], char *text, size_t room)
{
    memcpy(code, d->code, 6);
    snprintf(text, room, "%s", d->text);
    return d->why;
}

const char *my_dial_error(const struct my_dial *d)
{
    return d->refused;
}

/* ---- bytes ---- */

static enum dial_step lost(struct my_dial *d)
{
    return my_dial_fail(d, DIAL_FAIL_REACH, "08S01", "the server closed the connection");
}

static enum dial_step tls_step(enum dial_tls_step s)
{
    return s == DIAL_TLS_READ ? DIAL_READ : DIAL_WRITE;
}

/* DONE: all is sent. */
static enum dial_step flush(struct my_dial *d)
{
    while (buf_len(&d->out) != 0) {
        size_t done = 0;
        if (d->ssl != NULL) {
            enum dial_tls_step s =
                dial_tls_write(d->ssl, buf_head(&d->out), buf_len(&d->out), &done);
            if (s == DIAL_TLS_READ || s == DIAL_TLS_WRITE)
                return tls_step(s);
            if (s == DIAL_TLS_FAILED || done == 0)
                return lost(d);
        } else {
            ssize_t n = send(d->fd, buf_head(&d->out), buf_len(&d->out), MSG_NOSIGNAL);
            if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return DIAL_WRITE;
            if (n <= 0)
                return lost(d);
            done = (size_t)n;
        }
        buf_consume(&d->out, done);
    }
    return DIAL_DONE;
}

/* DONE: something came. */
static enum dial_step fill(struct my_dial *d)
{
    size_t done = 0;
    uint8_t *to = buf_reserve(&d->in, READ_BYTES);
    if (to == NULL)
        return my_dial_fail(d, DIAL_FAIL_REACH, "HY000", "out of memory");
    if (d->ssl != NULL) {
        enum dial_tls_step s = dial_tls_read(d->ssl, to, READ_BYTES, &done);
        if (s == DIAL_TLS_READ || s == DIAL_TLS_WRITE)
            return tls_step(s);
        if (s == DIAL_TLS_FAILED)
            done = 0;
    } else {
        ssize_t n = recv(d->fd, to, READ_BYTES, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return DIAL_READ;
        done = n > 0 ? (size_t)n : 0;
    }
    if (done == 0)
        return lost(d);
    buf_commit(&d->in, done);
    return DIAL_DONE;
}

/* ---- steps; DONE: on with the next ---- */

static enum dial_step on_connected(struct my_dial *d)
{
    int error = 0;
    socklen_t n = sizeof error;
    struct sockaddr_storage peer;
    socklen_t peer_n = sizeof peer;
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    if (error != 0)
        return my_dial_fail(d, DIAL_FAIL_REACH, "08001", "%s", strerror(error));
    if (getpeername(d->fd, (struct sockaddr *)&peer, &peer_n) != 0)
        return DIAL_WRITE; /* not yet */
    d->state = MY_D_GREETING;
    return DIAL_READ;
}

static enum dial_step start_tls(struct my_dial *d)
{
    struct err e = {""};
    const struct my_origin *o = d->origin;
    struct dial_tls t = {
        .mode = d->mode,
        .host = d->host,
        .sslrootcert = my_dial_param(o, "sslrootcert"),
        .sslcert = my_dial_param(o, "sslcert"),
        .sslkey = my_dial_param(o, "sslkey"),
        .min_version = my_dial_param(o, "ssl_min_protocol_version"),
        .max_version = my_dial_param(o, "ssl_max_protocol_version"),
    };
    if (buf_len(&d->in) != 0) /* said before TLS stood: by whom? */
        return my_dial_fail(d, DIAL_FAIL_REACH, "08S01", "the server spoke before TLS stood");
    d->ssl = dial_tls_create(&t, d->fd, &e);
    if (d->ssl == NULL)
        return my_dial_fail(d, DIAL_FAIL_REFUSED, "08001", "%s", e.text);
    d->state = MY_D_HANDSHAKE;
    return DIAL_DONE;
}

static enum dial_step handshake(struct my_dial *d)
{
    struct err e = {""};
    enum dial_tls_step s = dial_tls_handshake(d->ssl, &e);
    if (s == DIAL_TLS_FAILED) {
        /* Whom to trust is a matter of this entry. */
        bool trusted = SSL_get_verify_result(d->ssl) == X509_V_OK;
        d->next_host = true;
        return my_dial_fail(d, trusted ? DIAL_FAIL_REACH : DIAL_FAIL_POOL, "08001", "%s", e.text);
    }
    if (s != DIAL_TLS_DONE)
        return tls_step(s);
    return my_dial_answer(d) == DIAL_FAILED ? DIAL_FAILED : DIAL_DONE;
}

static enum dial_step talk(struct my_dial *d)
{
    enum dial_step step = flush(d);
    while (step == DIAL_DONE) {
        if (d->state == MY_D_TLS)
            return start_tls(d);
        step = my_dial_talk(d);
        if (d->state == MY_D_FAILED || (d->state == MY_D_DONE && step == DIAL_DONE))
            return step;
        step = step == DIAL_READ ? fill(d) : flush(d);
    }
    return step;
}

static enum dial_step one_step(struct my_dial *d)
{
    switch (d->state) {
    case MY_D_CONNECT:
        return on_connected(d);
    case MY_D_HANDSHAKE:
        return handshake(d);
    case MY_D_GREETING:
    case MY_D_TLS:
    case MY_D_AUTH:
    case MY_D_SETUP:
    case MY_D_BASE:
    case MY_D_QUERY:
        return talk(d);
    case MY_D_DONE:
        return DIAL_DONE;
    case MY_D_FAILED:
        break;
    }
    return DIAL_FAILED;
}

enum dial_step my_dial_poll(struct my_dial *d)
{
    for (;;) {
        enum dial_step step = one_step(d);
        if (step == DIAL_FAILED) {
            bool next = d->why == DIAL_FAIL_REACH || d->next_host;
            if (!next || !choose_host(d, d->at + 1))
                return DIAL_FAILED;
            (void)start_socket(d);
            if (d->state != MY_D_FAILED)
                return DIAL_WRITE;
        } else if (step != DIAL_DONE || d->state == MY_D_DONE) {
            return step;
        }
    }
}

bool my_dial_wait(struct my_dial *d, int timeout_ms, struct err *e)
{
    const uint64_t end_us = clock_now_us() + (uint64_t)timeout_ms * US_PER_MS;
    for (;;) {
        enum dial_step step = my_dial_poll(d);
        if (step == DIAL_DONE)
            return true;
        if (step == DIAL_FAILED) {
            err_set(e, "%s", d->text);
            return false;
        }
        uint64_t now_us = clock_now_us();
        if (now_us >= end_us) {
            err_set(e, "the server does not answer");
            return false;
        }
        struct pollfd p = {.fd = d->fd, .events = step == DIAL_WRITE ? POLLOUT : POLLIN};
        if (poll(&p, 1, (int)((end_us - now_us) / US_PER_MS) + 1) < 0 && errno != EINTR) {
            err_set(e, "could not wait for the server: %s", strerror(errno));
            return false;
        }
    }
}

/* ---- the seam ---- */

static void *op_dial(const struct dsn_param *params, size_t n)
{
    return my_dial_start(params, n);
}

static int op_socket(void *dial)
{
    return my_dial_socket(dial);
}

static enum dial_step op_poll(void *dial)
{
    return my_dial_poll(dial);
}

static enum dial_failure op_failure(void *dial, char code[6], char *text, size_t room)
{
    return my_dial_failure(dial, code, text, room);
}

static void op_hang_up(void **dial)
{
    struct my_dial *d = *dial;
    my_dial_hang_up(&d);
    *dial = NULL;
}

static bool op_adopt(void **dial, void *ps, int *fd, struct ssl_st **ssl)
{
    struct my_dial *d = *dial;
    struct my_report *report = my_report_create(d->version, d->charset, d->mariadb);
    if (report != NULL)
        report->late_caps = d->caps & MY_CAPS_LATE;
    if (report == NULL)
        return false;
    report->base = d->base;
    d->base = NULL;
    snprintf(d->origin->host, sizeof d->origin->host, "%s", d->host);
    snprintf(d->origin->address, sizeof d->origin->address, "%s", d->address);
    snprintf(d->origin->port, sizeof d->origin->port, "%u", d->port);
    struct my_server_start start = {
        .fd = d->fd,
        .ssl = d->ssl,
        .origin = d->origin,
        .report = report,
        .home = my_dial_param(d->origin, "dbname"),
        .tracking = my_dial_tracking(d),
        .thread_id = d->origin->thread_id,
        .caps = d->caps,
        .max_prepared = d->max_prepared,
        .init_connect = d->init_connect,
    };
    *fd = d->fd;
    *ssl = d->ssl;
    bool ok = my_server_init(ps, &start);
    if (!ok)
        my_proto_ops.server_fini(ps);
    d->fd = -1;
    d->ssl = NULL;
    d->origin = NULL;
    my_dial_hang_up(&d);
    *dial = NULL;
    return ok;
}

void my_link_close(struct my_origin **origin, int fd, struct ssl_st *ssl)
{
    static const uint8_t quit[] = {1, 0, 0, 0, MY_COM_QUIT};
    size_t ignored;
    if (*origin == NULL)
        return;
    if (ssl != NULL) {
        (void)dial_tls_write(ssl, quit, sizeof quit, &ignored);
        dial_tls_destroy(&ssl);
    } else if (fd >= 0) {
        (void)!send(fd, quit, sizeof quit, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (fd >= 0)
        close(fd);
    origin_put(origin);
}

static const void *op_farewell(size_t *n)
{
    static const uint8_t quit[] = {1, 0, 0, 0, MY_COM_QUIT};
    *n = sizeof quit;
    return quit;
}

/* A quarter of what the server allows is left to others, and to connections that a reload makes
 * more. */
static uint32_t share_of(uint32_t max_prepared, uint32_t connections)
{
    uint64_t share = (uint64_t)max_prepared * 3 / 4 / (connections != 0 ? connections : 1);
    if (max_prepared == 0)
        return UINT32_MAX;
    return share != 0 ? (uint32_t)share : 1;
}

static void op_configure(void *ps, const struct server_setup *setup)
{
    struct my_server *s = ps;
    /* PostgreSQL's words, which are the setting's default, stand for MySQL's command. */
    bool usual = strcmp(setup->reset_query, "DISCARD ALL") == 0;
    s->reset_query = usual ? NULL : strdup(setup->reset_query);
    s->reset_always = setup->reset_always;
    s->prepared_share = share_of(s->prepared_share, setup->connections);
}

static void *op_report(void *ps)
{
    const struct my_server *s = ps;
    return s->report != NULL ? my_report_get(s->report) : NULL;
}

static void *op_report_get(void *report)
{
    return my_report_get(report);
}

static void op_report_put(void **report)
{
    struct my_report *r = *report;
    my_report_put(&r);
    *report = NULL;
}

static bool op_last_words(const void *ps, char *text, size_t room, char code[6])
{
    const struct my_server *s = ps;
    if (s->words[0] == '\0')
        return false;
    snprintf(text, room, "%s", s->words);
    memcpy(code, s->words_state, 6);
    return true;
}

static int64_t op_remote_pid(const void *ps)
{
    return ((const struct my_server *)ps)->thread_id;
}

static const char *op_version(const void *report)
{
    return report != NULL ? ((const struct my_report *)report)->version : "";
}

/* ---- KILL QUERY ---- */

static void *op_cancel_make(void *ps)
{
    struct my_server *s = ps;
    s->late_cancel = true;
    atomic_fetch_add(&s->origin->refs, 1);
    return s->origin;
}

static bool op_cancel_run(void *cancel, struct err *e)
{
    const struct my_origin *o = cancel;
    return my_ask_kill(o->params, o->n_params, o->host, o->address, o->port, o->thread_id, e);
}

static void op_cancel_free(void **cancel)
{
    struct my_origin *o = *cancel;
    origin_put(&o);
    *cancel = NULL;
}

const struct server_ops my_server_ops = {
    .dial = op_dial,
    .socket = op_socket,
    .poll = op_poll,
    .failure = op_failure,
    .adopt = op_adopt,
    .hang_up = op_hang_up,
    .cancel_patience_ms = 2000, /* KILL takes a session, which the server counts */
    .cancel_make = op_cancel_make,
    .cancel_run = op_cancel_run,
    .cancel_free = op_cancel_free,
    .keys = my_secret_keys,
    .ask_limits = my_ask_limits,
    .ask_secret = my_ask_secret,
    .ask_facts = my_ask_facts,
    .configure = op_configure,
    .farewell = op_farewell,
    .report = op_report,
    .report_get = op_report_get,
    .report_put = op_report_put,
    .last_words = op_last_words,
    .remote_pid = op_remote_pid,
    .version = op_version,
};
