/* SPDX-License-Identifier: ISC
 * See pg_dial_raw.h. Here: hosts, sockets, TLS or not, and the loop; what is said on the connection
 * once it stands is pg_dial_talk.c's.
 */
#include "config.h"

#include "proto/pg/pg_dial_priv.h"

#include "proto/dial/dial_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_SOCKET_DIR "/var/run/postgresql"
#define DEFAULT_PORT       5432u
#define SSL_REQUEST_CODE   80877103u
#define READ_BYTES         8192u

/* ---- parameters ------------------------------------------------------------------------------ */

bool pg_raw_wanted(const struct dsn_param *params, size_t n)
{
    bool keys = false;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(params[i].key, "password") == 0 && params[i].value[0] != '\0')
            return false;
        if (strcmp(params[i].key, "service") == 0)
            return false;
        keys |= strcmp(params[i].key, "scram_client_key") == 0 ||
                strcmp(params[i].key, "md5_secret") == 0;
    }
    return keys;
}

const char *pg_raw_param(const struct pg_raw *r, const char *key)
{
    for (size_t i = 0; i < r->n_params; i++)
        if (strcmp(r->params[i].key, key) == 0)
            return r->params[i].value;
    return "";
}

static bool copy_params(struct pg_raw *r, const struct dsn_param *params, size_t n)
{
    r->params = calloc(n + 1, sizeof *r->params);
    if (r->params == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct dsn_param *p = &r->params[r->n_params++];
        p->key = strdup(params[i].key);
        p->value = strdup(params[i].value);
        if (p->key == NULL || p->value == NULL)
            return false;
    }
    return true;
}

static void free_params(struct pg_raw *r)
{
    for (size_t i = 0; i < r->n_params; i++) {
        char *value = (char *)(uintptr_t)r->params[i].value;
        if (value != NULL)
            pg_crypto_wipe(value, strlen(value));
        free(value);
        free((char *)(uintptr_t)r->params[i].key);
    }
    free(r->params);
}

/* The i-th of a list with commas; false: it has fewer. */
static bool list_item(const char *list, unsigned i, char *out, size_t room)
{
    while (i-- != 0) {
        list = strchr(list, ',');
        if (list == NULL)
            return false;
        list++;
    }
    size_t n = strcspn(list, ",");
    if (n >= room)
        n = room - 1;
    memcpy(out, list, n);
    out[n] = '\0';
    return true;
}

/* ---- failing ----------------------------------------------------------------------------------
 */

enum dial_step pg_raw_fail(struct pg_raw *r, enum dial_failure why, const char *code,
                           const char *fmt, ...)
{
    va_list ap;
    int at = snprintf(r->text, sizeof r->text, "connection to server at \"%s\", port %u failed: ",
                      r->host[0] != '\0' ? r->host : r->address, r->port);
    va_start(ap, fmt);
    if (at > 0 && (size_t)at < sizeof r->text)
        (void)vsnprintf(r->text + at, sizeof r->text - (size_t)at, fmt, ap);
    va_end(ap);
    snprintf(r->code, sizeof r->code, "%s", code);
    r->why = why;
    r->state = RAW_FAILED;
    return DIAL_FAILED;
}

static void close_socket(struct pg_raw *r)
{
    if (r->ssl != NULL)
        dial_tls_destroy(&r->ssl);
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    buf_release(&r->in);
    buf_release(&r->out);
    if (r->scram != NULL)
        pg_scram_client_destroy(&r->scram);
    vars_put(&r->report);
    r->proven = r->sasl_sent = r->has_key = false;
    r->pid = r->key = 0;
}

/* ---- connecting --------------------------------------------------------------------------------
 */

static socklen_t unix_address(struct pg_raw *r, struct sockaddr_storage *ss)
{
    struct sockaddr_un *un = (void *)ss;
    const char *dir = r->host[0] != '\0' ? r->host : DEFAULT_SOCKET_DIR;
    int n = snprintf(un->sun_path, sizeof un->sun_path, "%s/.s.PGSQL.%u", dir, r->port);
    if (n < 0 || (size_t)n >= sizeof un->sun_path)
        return 0;
    un->sun_family = AF_UNIX;
    if (dir[0] != '@')
        return (socklen_t)sizeof *un;
    un->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
}

/* Of the host at hand; 0: it has none. */
static socklen_t host_address(struct pg_raw *r, struct sockaddr_storage *ss)
{
    struct sockaddr_in *in4 = (void *)ss;
    struct sockaddr_in6 *in6 = (void *)ss;
    memset(ss, 0, sizeof *ss);
    const char *name = r->address[0] != '\0' ? r->address : r->host;
    r->local = name[0] == '\0' || name[0] == '/' || name[0] == '@';
    if (r->local)
        return unix_address(r, ss);
    if (inet_pton(AF_INET, name, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons((uint16_t)r->port);
        return sizeof *in4;
    }
    if (inet_pton(AF_INET6, name, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)r->port);
        return sizeof *in6;
    }
    return 0;
}

static enum dial_step start_socket(struct pg_raw *r)
{
    close_socket(r);
    r->report = vars_empty();
    r->addr_n = host_address(r, &r->addr);
    if (r->addr_n == 0)
        return pg_raw_fail(r, DIAL_FAIL_REACH, "08006", "the host has no usable address");
    r->fd = socket(r->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (r->fd < 0)
        return pg_raw_fail(r, DIAL_FAIL_REACH, "08006", "could not create socket: %s",
                           strerror(errno));
    if (!r->local)
        dial_socket_options(r->fd, r->params, r->n_params);
    r->state = RAW_CONNECT;
    if (connect(r->fd, (const struct sockaddr *)&r->addr, r->addr_n) != 0 && errno != EINPROGRESS)
        return pg_raw_fail(r, DIAL_FAIL_REACH, "08006", "%s", strerror(errno));
    return DIAL_WRITE;
}

/* Try the list's i-th host; false: there is none. */
static bool choose_host(struct pg_raw *r, unsigned i)
{
    char port[16] = "";
    const char *ports = pg_raw_param(r, "port");
    bool has_host = list_item(pg_raw_param(r, "host"), i, r->host, sizeof r->host);
    bool has_address = list_item(pg_raw_param(r, "hostaddr"), i, r->address, sizeof r->address);
    if (!has_host && !has_address)
        return false;
    if (!has_host)
        r->host[0] = '\0';
    if (!has_address)
        r->address[0] = '\0';
    if (!list_item(ports, i, port, sizeof port))
        (void)list_item(ports, 0, port, sizeof port);
    unsigned long n = strtoul(port, NULL, 10);
    r->port = n != 0 && n <= 65535 ? (unsigned)n : DEFAULT_PORT;
    r->at = i;
    r->with_tls = r->mode >= DIAL_SSL_PREFER;
    r->other_tried = false;
    r->next_host = false;
    return true;
}

static bool read_mode(struct pg_raw *r)
{
    const char *mode = pg_raw_param(r, "sslmode");
    return dial_sslmode_of(mode[0] != '\0' ? mode : "prefer", &r->mode);
}

struct pg_raw *pg_raw_start(const struct dsn_param *params, size_t n)
{
    struct pg_raw *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->fd = -1;
    if (!copy_params(r, params, n)) {
        pg_raw_hang_up(&r);
        return NULL;
    }
    if (!read_mode(r))
        (void)pg_raw_fail(r, DIAL_FAIL_REFUSED, "08001", "invalid sslmode value");
    else if (choose_host(r, 0))
        (void)start_socket(r);
    return r;
}

int pg_raw_socket(const struct pg_raw *r)
{
    return r->state == RAW_FAILED ? -1 : r->fd;
}

void pg_raw_hang_up(struct pg_raw **rp)
{
    struct pg_raw *r = *rp;
    if (r == NULL)
        return;
    *rp = NULL;
    close_socket(r);
    pg_raw_forget_answer(r);
    free_params(r);
    free(r);
}

enum dial_failure pg_raw_failure(const struct pg_raw *r, char code[6], char *text, size_t room)
{
    memcpy(code, r->code, 6);
    snprintf(text, room, "%s", r->text);
    return r->why;
}

/* ---- bytes --------------------------------------------------------------------------------------
 */

static enum dial_step lost(struct pg_raw *r)
{
    return pg_raw_fail(r, DIAL_FAIL_REACH, "08006", "server closed the connection unexpectedly");
}

/* DONE: all is sent. */
static enum dial_step flush(struct pg_raw *r)
{
    while (buf_len(&r->out) != 0) {
        size_t done = 0;
        if (r->ssl != NULL) {
            enum dial_tls_step s =
                dial_tls_write(r->ssl, buf_head(&r->out), buf_len(&r->out), &done);
            if (s == DIAL_TLS_READ || s == DIAL_TLS_WRITE)
                return s == DIAL_TLS_READ ? DIAL_READ : DIAL_WRITE;
            if (s == DIAL_TLS_FAILED || done == 0)
                return lost(r);
        } else {
            ssize_t n = send(r->fd, buf_head(&r->out), buf_len(&r->out), MSG_NOSIGNAL);
            if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return DIAL_WRITE;
            if (n <= 0)
                return lost(r);
            done = (size_t)n;
        }
        buf_consume(&r->out, done);
    }
    return DIAL_DONE;
}

/* DONE: something came. */
static enum dial_step fill(struct pg_raw *r)
{
    size_t done = 0;
    uint8_t *to = buf_reserve(&r->in, READ_BYTES);
    if (to == NULL)
        return pg_raw_fail(r, DIAL_FAIL_REACH, "53200", "out of memory");
    if (r->ssl != NULL) {
        enum dial_tls_step s = dial_tls_read(r->ssl, to, READ_BYTES, &done);
        if (s == DIAL_TLS_READ || s == DIAL_TLS_WRITE)
            return s == DIAL_TLS_READ ? DIAL_READ : DIAL_WRITE;
        if (s == DIAL_TLS_FAILED)
            done = 0;
    } else {
        ssize_t n = recv(r->fd, to, READ_BYTES, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return DIAL_READ;
        done = n > 0 ? (size_t)n : 0;
    }
    if (done == 0)
        return lost(r);
    buf_commit(&r->in, done);
    return DIAL_DONE;
}

/* ---- steps; DONE: on with the next
 * ---------------------------------------------------------------- */

static enum dial_step on_connected(struct pg_raw *r)
{
    int error = 0;
    socklen_t n = sizeof error;
    struct sockaddr_storage peer;
    socklen_t peer_n = sizeof peer;
    if (getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    if (error != 0)
        return pg_raw_fail(r, DIAL_FAIL_REACH, "08006", "%s", strerror(error));
    if (getpeername(r->fd, (struct sockaddr *)&peer, &peer_n) != 0)
        return DIAL_WRITE; /* not yet */
    if (!r->with_tls || r->local)
        return pg_raw_start_talk(r);
    uint8_t request[8];
    pg_put32(request, sizeof request);
    pg_put32(request + 4, SSL_REQUEST_CODE);
    r->state = RAW_ASK_TLS;
    if (!buf_append(&r->out, request, sizeof request))
        return pg_raw_fail(r, DIAL_FAIL_REACH, "53200", "out of memory");
    return DIAL_DONE;
}

static enum dial_step start_tls(struct pg_raw *r)
{
    struct err e = {""};
    struct dial_tls t = {
        .mode = r->mode,
        .host = r->host,
        .sslrootcert = pg_raw_param(r, "sslrootcert"),
        .sslcrl = pg_raw_param(r, "sslcrl"),
        .sslcrldir = pg_raw_param(r, "sslcrldir"),
        .sslcert = pg_raw_param(r, "sslcert"),
        .sslkey = pg_raw_param(r, "sslkey"),
        .min_version = pg_raw_param(r, "ssl_min_protocol_version"),
        .max_version = pg_raw_param(r, "ssl_max_protocol_version"),
        .no_sni = strcmp(pg_raw_param(r, "sslsni"), "0") == 0,
    };
    r->ssl = dial_tls_create(&t, r->fd, &e);
    if (r->ssl == NULL)
        return pg_raw_fail(r, DIAL_FAIL_POOL, "08001", "%s", e.text);
    r->state = RAW_HANDSHAKE;
    return DIAL_DONE;
}

/* One byte, and nothing behind it: what comes before TLS stands is not the server's word. */
static enum dial_step ask_tls(struct pg_raw *r)
{
    char answer = 0;
    enum dial_step step = flush(r);
    if (step != DIAL_DONE)
        return step;
    ssize_t n = recv(r->fd, &answer, 1, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return DIAL_READ;
    if (n <= 0)
        return lost(r);
    if (answer == 'S')
        return start_tls(r);
    if (answer == 'N' && r->mode <= DIAL_SSL_PREFER)
        return pg_raw_start_talk(r);
    if (answer == 'N')
        return pg_raw_fail(r, DIAL_FAIL_REFUSED, "08001",
                           "server does not support SSL, but SSL was required");
    if (answer ==
        'E') /* too full to fork, or older than SSL; its words are not to be trusted yet */
        return pg_raw_fail(r, DIAL_FAIL_REACH, "08006",
                           "server sent an error response during SSL exchange");
    return pg_raw_fail(r, DIAL_FAIL_REACH, "08P01", "received invalid response to SSL negotiation");
}

static enum dial_step handshake(struct pg_raw *r)
{
    struct err e = {""};
    switch (dial_tls_handshake(r->ssl, &e)) {
    case DIAL_TLS_READ:
        return DIAL_READ;
    case DIAL_TLS_WRITE:
        return DIAL_WRITE;
    case DIAL_TLS_DONE:
        return pg_raw_start_talk(r);
    case DIAL_TLS_FAILED:
        break;
    }
    r->try_other = r->mode == DIAL_SSL_PREFER;
    r->next_host = true;
    /* Whom to trust is a matter of this entry. */
    bool trusted = SSL_get_verify_result(r->ssl) == X509_V_OK;
    return pg_raw_fail(r, trusted ? DIAL_FAIL_REACH : DIAL_FAIL_POOL, "08001", "%s", e.text);
}

static enum dial_step talk(struct pg_raw *r)
{
    enum dial_step step = flush(r);
    while (step == DIAL_DONE) {
        step = pg_raw_talk(r);
        if (r->state == RAW_FAILED || (r->state == RAW_DONE && step == DIAL_DONE))
            return step;
        step = step == DIAL_READ ? fill(r) : flush(r);
    }
    return step;
}

static enum dial_step one_step(struct pg_raw *r)
{
    switch (r->state) {
    case RAW_CONNECT:
        return on_connected(r);
    case RAW_ASK_TLS:
        return ask_tls(r);
    case RAW_HANDSHAKE:
        return handshake(r);
    case RAW_AUTH:
    case RAW_SETTLE:
    case RAW_QUERY:
        return talk(r);
    case RAW_DONE: /* part of an asynchronous message may be left */
        return buf_len(&r->in) != 0 ? talk(r) : DIAL_DONE;
    case RAW_FAILED:
        break;
    }
    return DIAL_FAILED;
}

/* After a failure: another way, or the next host. As libpq: a server that refuses is the answer,
 * unless it only says that it can't now. */
static bool try_again(struct pg_raw *r)
{
    bool other = r->try_other && !r->other_tried && !r->local;
    r->try_other = false;
    if (other) {
        r->with_tls = !r->with_tls;
        r->other_tried = true;
    } else {
        bool next = r->next_host || r->why == DIAL_FAIL_REACH;
        if (!next || !choose_host(r, r->at + 1))
            return false;
    }
    (void)start_socket(r);
    return true;
}

enum dial_step pg_raw_poll(struct pg_raw *r)
{
    for (;;) {
        enum dial_step step = one_step(r);
        if (step == DIAL_FAILED) {
            if (!try_again(r))
                return DIAL_FAILED;
            if (r->state != RAW_FAILED)
                return DIAL_WRITE;
        } else if (step != DIAL_DONE || (r->state == RAW_DONE && buf_len(&r->in) == 0)) {
            return step;
        }
    }
}

/* ---- afterwards
 * ------------------------------------------------------------------------------------ */

struct pg_raw_link {
    int fd;
    struct ssl_st *ssl;
    struct pg_cancel_target cancel;
};

struct pg_raw_link *pg_raw_adopt(struct pg_raw **rp, struct var_set **report)
{
    struct pg_raw *r = *rp;
    struct pg_raw_link *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->fd = r->fd;
    l->ssl = r->ssl;
    l->cancel = (struct pg_cancel_target){
        .addr = r->addr, .addr_n = r->addr_n, .pid = r->pid, .key = r->key};
    *report = r->report;
    r->fd = -1;
    r->ssl = NULL;
    r->report = NULL;
    pg_raw_hang_up(rp);
    return l;
}

int pg_raw_link_fd(const struct pg_raw_link *l)
{
    return l->fd;
}

struct ssl_st *pg_raw_link_ssl(const struct pg_raw_link *l)
{
    return l->ssl;
}

int64_t pg_raw_link_pid(const struct pg_raw_link *l)
{
    return l->cancel.pid;
}

const struct pg_cancel_target *pg_raw_link_cancel(const struct pg_raw_link *l)
{
    return &l->cancel;
}

void pg_raw_link_close(struct pg_raw_link **lp)
{
    static const uint8_t terminate[] = {'X', 0, 0, 0, 4};
    struct pg_raw_link *l = *lp;
    size_t ignored;
    if (l == NULL)
        return;
    *lp = NULL;
    if (l->ssl != NULL) {
        (void)dial_tls_write(l->ssl, terminate, sizeof terminate, &ignored);
        dial_tls_destroy(&l->ssl);
    } else {
        (void)!send(l->fd, terminate, sizeof terminate, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    close(l->fd);
    pg_crypto_wipe(l, sizeof *l);
    free(l);
}
