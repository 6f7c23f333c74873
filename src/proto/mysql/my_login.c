/* SPDX-License-Identifier: ISC
 * A client's way in: greeting, TLS, who it is, and the proof. See my_login_priv.h for who does
 * what.
 *
 *   HELLO --SSLRequest--> TLS -> HELLO             (once)
 *     | answer to the greeting
 *   LOOKUP (the worker finds route and secret) --> my_login_auth.c --> DONE
 *
 * Every byte here comes from somebody unknown. What is kept is bounded by HELLO_MAX. The object
 * lives for the login only.
 */
#include "config.h"

#include "proto/mysql/my_login.h"

#include "base/secret.h"
#include "proto/comment/comment.h"
#include "proto/mysql/my_login_priv.h"
#include "proto/mysql/my_session.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HELLO_MAX       (70u * 1024u) /* libmysqlclient sends up to 64 kB of attributes */
#define NO_SERVER_YET   "8.0.40"      /* greeted with before any server was seen */
#define UTF8MB4_DEFAULT 45u

/* ---- life ---- */

static void *login_create(const struct login_policy *policy)
{
    struct my_login *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->policy = *policy;
    l->asked.user = l->asked.role = l->asked.database = l->asked.application_name = "";
    return l;
}

static void login_destroy(void **lp)
{
    struct my_login *l = *lp;
    if (l == NULL)
        return;
    *lp = NULL;
    secret_wipe(&l->secret);
    secret_wipe(&l->password);
    free(l->refuse);
    free(l->names);
    OPENSSL_cleanse(l, sizeof *l);
    free(l);
}

/* weir's RSA key takes a quarter of a second: made beside the workers, before a client can have
 * asked for it. */
static void *make_rsa(void *arg)
{
    (void)my_rsa_pem();
    return arg;
}

static pthread_t rsa_thread;

/* At the process's end, before OpenSSL, in which it is, takes itself apart. */
static void join_rsa(void)
{
    (void)pthread_join(rsa_thread, NULL);
}

static void start_rsa(void)
{
    sigset_t all, had;
    /* OpenSSL's end is to be registered first, as the last to be registered runs first. Asked for
     * nothing at all it would register nothing. */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &had);
    if (pthread_create(&rsa_thread, NULL, make_rsa, NULL) == 0 && atexit(join_rsa) != 0)
        (void)pthread_detach(rsa_thread);
    pthread_sigmask(SIG_SETMASK, &had, NULL);
}

static bool login_greet(void *login, const struct login_greeting *g, struct buf *out)
{
    static pthread_once_t rsa_once = PTHREAD_ONCE_INIT;
    struct my_login *l = login;
    const struct my_report *report = g->report;
    (void)pthread_once(&rsa_once, start_rsa);
    l->local = g->local;
    l->offered = MY_CAPS_OFFERED;
    if (g->tls && l->policy.tls_mode != 0)
        l->offered |= MY_CAP_SSL;
    if (report != NULL)
        l->offered |= report->late_caps;
    /* The plugin that this kind of server begins with: its clients are known to have it. */
    l->announced = report != NULL && report->mariadb ? MY_AUTH_NATIVE : MY_AUTH_SHA2;
    struct my_greeting greeting = {
        .version = report != NULL ? report->version : NO_SERVER_YET,
        .plugin = my_login_plugin(l->announced),
        .id = g->id,
        .caps = l->offered,
        .charset = report != NULL ? report->charset : UTF8MB4_DEFAULT,
        .status = MY_ST_AUTOCOMMIT,
        .salt = l->salt,
    };
    if (!my_salt_number(&l->salt_number))
        return false;
    my_salt(l->salt_number, l->salt);
    l->seq = 1;
    l->greeted = my_greeting_put(out, &greeting);
    return l->greeted;
}

/* COM_CHANGE_USER: what was said of the client itself at its first login holds on. */
static void login_again(void *login, const void *pc, bool local, bool tls)
{
    struct my_login *l = login;
    const struct my_client *c = pc;
    l->local = local;
    l->tls = tls;
    l->again = l->greeted = true;
    l->caps = c->caps;
    if (c->report != NULL && c->report->mariadb) /* it forgets that with the user */
        l->caps &= ~MY_CAP_IGNORE_SPACE;
    l->connector_c = c->connector_c;
    l->charset = UTF8MB4_DEFAULT;
    l->salt_number = c->salt_number;
    my_salt(l->salt_number, l->salt);
    l->announced = c->report != NULL && c->report->mariadb ? MY_AUTH_NATIVE : MY_AUTH_SHA2;
}

/* ---- who it is ---- */

/* A name of the host that was connected to, unless it is only an address. */
static bool is_host_name(struct my_view v)
{
    char text[MY_NAME_MAX];
    uint8_t address[16];
    if (v.n == 0 || v.n >= sizeof text || my_view_is(v, "localhost"))
        return false;
    memcpy(text, v.p, v.n);
    text[v.n] = '\0';
    return inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1;
}

struct said {
    struct my_view function, faas, program, host, deadline;
    bool connector_c, mysqlnd;
};

static bool name_is(struct my_view v, const char *name)
{
    return v.p != NULL && v.n == strlen(name) && strncasecmp((const char *)v.p, name, v.n) == 0;
}

static struct said read_attributes(struct my_view rest)
{
    struct said s = {0};
    struct my_view name, value;
    while (my_attribute_next(&rest, &name, &value)) {
        if (value.p == NULL || memchr(value.p, 0, value.n) != NULL)
            continue;
        if (value.n > MY_NAME_MAX)
            value.n = MY_NAME_MAX; /* more than any name shows */
        if (name_is(name, "weir.function"))
            s.function = value;
        else if (name_is(name, "weir.deadline"))
            s.deadline = value;
        else if (name_is(name, "faas.name"))
            s.faas = value;
        else if (name_is(name, "program_name"))
            s.program = value;
        else if (name_is(name, "_client_name")) {
            s.connector_c = name_is(value, "libmariadb");
            s.mysqlnd = name_is(value, "mysqlnd");
        } else if (name_is(name, "_server_host") && is_host_name(value))
            s.host = value;
    }
    return s;
}

static const char *keep(char **at, struct my_view v)
{
    char *text = *at;
    if (v.n != 0)
        memcpy(text, v.p, v.n);
    text[v.n] = '\0';
    *at += v.n + 1;
    return text;
}

static bool keep_names(struct my_login *l, const struct my_hello *h)
{
    struct said s = read_attributes(h->attributes);
    struct my_view role = h->user, suffix = {0};
    struct my_view option = s.function.n != 0 ? s.function : s.faas;
    if (s.deadline.n != 0 &&
        !comment_read_ms((const char *)s.deadline.p, s.deadline.n, &l->deadline_ms))
        l->bad_deadline = true;
    l->connector_c = l->connector_c || s.connector_c;
    l->compresses = h->compress && s.mysqlnd;
    struct my_view app = s.program.n != 0 ? s.program : s.host;
    const uint8_t *plus = h->user.n != 0 ? memrchr(h->user.p, '+', h->user.n) : NULL;
    if (plus != NULL && plus != h->user.p && plus + 1 != h->user.p + h->user.n) {
        role.n = (size_t)(plus - h->user.p);
        suffix = (struct my_view){plus + 1, h->user.n - role.n - 1};
    }
    char *at = l->names =
        malloc(h->user.n + role.n + suffix.n + option.n + app.n + h->database.n + h->plugin.n + 7);
    if (at == NULL)
        return false;
    l->asked.user = keep(&at, h->user);
    l->asked.role = keep(&at, role);
    l->asked.function = suffix.n != 0 ? keep(&at, suffix) : NULL;
    l->asked.option = option.n != 0 ? keep(&at, option) : NULL;
    l->asked.application_name = keep(&at, app);
    l->asked.database = keep(&at, h->database);
    l->plugin = keep(&at, h->plugin);
    l->asked.pool_flags = (h->caps ^ MY_CAP_MULTI_RESULTS) & MY_CAPS_OF_POOL;
    l->asked.console_flags = h->caps;
    return true;
}

static enum my_hello_fault parse(const struct my_login *l, const uint8_t *payload, size_t n,
                                 struct my_hello *h)
{
    if (!l->again)
        return my_hello_parse(payload, n, l->offered, h);
    enum my_hello_fault fault = my_change_user_parse(payload, n, l->caps, h);
    if (h->charset == 0)
        h->charset = l->charset; /* left out by old clients: as before */
    return fault;
}

static enum login_step on_hello(struct my_login *l, const uint8_t *payload, size_t n,
                                struct buf *out)
{
    struct my_hello h;
    switch (parse(l, payload, n, &h)) {
    case MY_HELLO_OK:
        break;
    case MY_HELLO_BAD:
        return my_login_refuse(l, MY_ER_HANDSHAKE, "08S01", "Bad handshake", out);
    case MY_HELLO_OLD:
        return my_login_refuse(l, MY_ER_NOT_SUPPORTED_AUTH, "08004",
                               "Client does not support authentication protocol requested by "
                               "server; consider upgrading MySQL client",
                               out);
    }
    if (h.tls) {
        if (l->tls)
            return my_login_refuse(l, MY_ER_HANDSHAKE, "08S01", "Bad handshake", out);
        return LOGIN_TLS;
    }
    if (l->policy.tls_mode == 2 && !my_login_is_safe(l))
        return my_login_refuse(l, MY_ER_SECURE_TRANSPORT, "HY000",
                               "Connections using insecure transport are prohibited", out);
    if (h.auth.n > sizeof l->answer)
        return my_login_refuse(l, MY_ER_HANDSHAKE, "08S01", "Bad handshake", out);
    const struct my_collation *col = my_collation_find(h.charset, MY_OF_BOTH);
    if (col != NULL && my_collation_is_wide(col)) {
        char text[96];
        snprintf(text, sizeof text,
                 "Variable 'character_set_client' can't be set to the value of '%s'", col->charset);
        return my_login_refuse(l, MY_ER_WRONG_VALUE_FOR_VAR, "42000", text, out);
    }
    l->caps = h.caps;
    l->charset = h.charset;
    if (h.auth.n != 0)
        memcpy(l->answer, h.auth.p, h.auth.n);
    l->answer_n = h.auth.n;
    if (!keep_names(l, &h))
        return my_login_refuse(l, MY_ER_OUT_OF_RESOURCES, "HY000", "weir: out of memory", out);
    if (l->compresses)
        return my_login_refuse(l, MY_ER_HANDSHAKE, "08S01",
                               "weir: compression is not offered; switch it off in the client",
                               out);
    if (l->bad_deadline)
        return my_login_refuse(l, MY_ER_WRONG_VALUE_FOR_VAR, "42000",
                               "weir: weir.deadline is not a time in milliseconds", out);
    l->stage = MY_LOGIN_LOOKUP;
    return LOGIN_SECRET;
}

/* ---- bytes ---- */

static enum login_step login_feed(void *login, const uint8_t *in, size_t n, size_t *used,
                                  struct buf *out)
{
    struct my_login *l = login;
    *used = 0;
    if (l->stage == MY_LOGIN_DONE)
        return LOGIN_REFUSED;
    if (l->stage == MY_LOGIN_LOOKUP || n < MY_HEAD_BYTES)
        return LOGIN_MORE;
    uint32_t len = my_get24(in);
    if (in[3] != l->seq) {
        l->seq = (uint8_t)(in[3] + 1);
        return my_login_refuse(l, MY_ER_PACKETS_OUT_OF_ORDER, "08S01", "Got packets out of order",
                               out);
    }
    if (len > HELLO_MAX)
        return my_login_refuse(l, MY_ER_PACKET_TOO_LARGE, "08S01",
                               "Got a packet bigger than a login can be", out);
    if (n < MY_HEAD_BYTES + len)
        return LOGIN_MORE;
    *used = MY_HEAD_BYTES + len;
    l->seq++;
    const uint8_t *payload = in + MY_HEAD_BYTES;
    if (l->stage != MY_LOGIN_HELLO)
        return my_login_answer(l, payload, len, out);
    enum login_step step = on_hello(l, payload, len, out);
    /* What a stranger slipped in behind the request must not count as said under TLS. */
    if (step == LOGIN_TLS && n != *used)
        return my_login_refuse(l, MY_ER_HANDSHAKE, "08S01", "Bad handshake", out);
    return step;
}

static void login_whole(void *login)
{
    struct my_login *l = login;
    l->asked.role = l->asked.user;
    l->asked.function = NULL;
}

/* A password against a stored $A$ hash: thousands of rounds; one under weir's RSA key: a private
 * key's work. */
static bool login_is_heavy(const void *login, const uint8_t *in, size_t n)
{
    const struct my_login *l = login;
    if (n <= MY_HEAD_BYTES + 1 || n < MY_HEAD_BYTES + my_get24(in))
        return false;
    if (l->stage == MY_LOGIN_SEALED || (l->stage == MY_LOGIN_FULL && !my_login_is_safe(l)))
        return true;
    return l->kind == MY_SECRET_CRYPT &&
           (l->stage == MY_LOGIN_FULL ||
            (l->stage == MY_LOGIN_SWITCH && l->asked_for == MY_AUTH_CLEAR));
}

static void login_on_tls(void *login, const char *cn, const uint8_t *binding, size_t n, bool alpn)
{
    struct my_login *l = login;
    (void)binding;
    (void)n;
    (void)alpn;
    l->tls = true;
    /* A name that doesn't fit is nobody's: cut, it could be another's. */
    l->has_cn = cn != NULL && strlen(cn) < sizeof l->cn;
    if (l->has_cn)
        memcpy(l->cn, cn, strlen(cn) + 1);
}

static enum login_step login_on_secret(void *login, const struct login_found *found,
                                       struct buf *out)
{
    struct my_login *l = login;
    free(l->refuse);
    l->refuse = NULL;
    secret_wipe(&l->secret);
    l->may_be_old = found->may_be_old;
    if (found->refuse != NULL) {
        l->refuse = strdup(found->refuse);
        (void)snprintf(l->refuse_code, sizeof l->refuse_code, "%.5s", found->refuse_code);
    }
    if (found->secret != NULL && found->secret[0] != '\0')
        l->secret = strdup(found->secret);
    if ((found->refuse != NULL && l->refuse == NULL) ||
        (found->secret != NULL && found->secret[0] != '\0' && l->secret == NULL))
        return my_login_refuse(l, MY_ER_OUT_OF_RESOURCES, "HY000", "weir: out of memory", out);
    return my_login_ask(l, found->trust, out);
}

/* ---- what others ask ---- */

static const struct login_asked *login_asked(const void *login)
{
    return &((const struct my_login *)login)->asked;
}

static const char *login_reason(const void *login)
{
    return ((const struct my_login *)login)->reason;
}

static bool login_proof(const void *login, struct login_proof *out)
{
    const struct my_login *l = login;
    *out = l->proof;
    return l->proof.n != 0;
}

static const char *login_password(const void *login)
{
    return ((const struct my_login *)login)->password;
}

static bool login_finish(void *login, void *pc, const struct login_welcome *w, struct buf *out)
{
    struct my_login *l = login;
    if (w->console)
        return my_login_welcome(l, NULL, out);
    const struct my_client_start start = {
        .id = w->id,
        .caps = l->caps,
        .limits = w->limits,
        .application_name = l->asked.application_name,
        .charset = l->charset,
        .connector_c = l->connector_c,
        .salt_number = l->salt_number,
        .report = w->report,
        .deadline_ms = l->deadline_ms,
    };
    return my_client_init(pc, &start) && my_login_welcome(l, w->home, out);
}

static void login_say(void *login, enum proto_event ev, const char *text, struct buf *out)
{
    struct my_login *l = login;
    unsigned code = MY_ER_UNKNOWN;
    const char *state = "HY000";
    if (ev == PROTO_EV_TOO_MANY || ev == PROTO_EV_NO_LOAN) {
        code = MY_ER_CON_COUNT;
        state = "08004";
    } else if (ev == PROTO_EV_NO_LOOKUP) {
        code = l->connector_c ? MY_ER_CONNECT_TO_FOREIGN : MY_CR_CONN_HOST;
        state = "08S01";
    } else if (ev == PROTO_EV_SHUTDOWN) {
        code = MY_ER_SERVER_SHUTDOWN;
        state = "08S01";
    } else if (ev == PROTO_EV_NO_MEMORY) {
        code = MY_ER_OUT_OF_RESOURCES;
    } else if (ev == PROTO_EV_LOGIN_TIMEOUT) {
        code = MY_ER_NET_READ_INTERRUPTED;
        state = "08S01";
    }
    (void)my_login_refuse(l, code, state, text, out);
}

static bool login_init(struct err *e)
{
    if (vars_init())
        return true;
    err_set(e, "out of memory");
    return false;
}

static void *make_key(void *arg)
{
    (void)my_rsa_pem();
    return arg;
}

/* Where such secrets are, clients without TLS will ask for weir's key; making it takes a tenth of a
 * second. Should there be no thread for it, the first to ask waits. */
static void make_key_aside(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, make_key, NULL) == 0)
        pthread_detach(thread);
}

/* Unknown users are asked as one of those who are known. */
static void login_prepare_secret(const char *user, const char *secret,
                                 const struct login_policy *policy)
{
    (void)user;
    (void)policy;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    enum my_secret_kind kind = my_secret_kind_of(secret);
    my_secret_note(kind);
    if (kind == MY_SECRET_CRYPT)
        (void)pthread_once(&once, make_key_aside);
}

const struct login_ops my_login_ops = {
    .init = login_init,
    .prepare_secret = login_prepare_secret,
    .create = login_create,
    .destroy = login_destroy,
    .greet = login_greet,
    .again = login_again,
    .feed = login_feed,
    .whole = login_whole,
    .is_heavy = login_is_heavy,
    .on_tls = login_on_tls,
    .on_secret = login_on_secret,
    .asked = login_asked,
    .reason = login_reason,
    .finish = login_finish,
    .say = login_say,
    .proof = login_proof,
    .password = login_password,
    .limit = my_client_limit,
};
