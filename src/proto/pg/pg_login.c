/* SPDX-License-Identifier: ISC
 * A client's way in: first packet, TLS, startup, authentication, greeting.
 *
 *   FIRST --SSLRequest--> 'S' -> TLS -> FIRST      (once; GSSENCRequest is answered 'N')
 *     | StartupMessage
 *   LOOKUP (the worker finds route and secret) --> AUTH --> OK --> greeting
 *
 * Every byte here comes from somebody unknown. What is kept is bounded by the startup packet's
 * 10,000 bytes. The object lives for the login only.
 */
#include "config.h"

#include "proto/pg/pg_login.h"

#include "base/utf8.h"
#include "proto/comment/comment.h"
#include "proto/pg/pg_auth.h"
#include "proto/pg/pg_canon.h"
#include "proto/pg/pg_report.h"
#include "proto/pg/pg_session.h"
#include "proto/pg/pg_startup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum stage { STAGE_FIRST, STAGE_LOOKUP, STAGE_AUTH, STAGE_DONE };

struct pg_login {
    struct login_policy policy;
    struct login_asked asked;
    struct pg_auth *auth;
    struct var_set *settings; /* the startup settings */
    struct var_set *options;  /* those of them that came by `options`, or NULL */
    char *secret;             /* copy, wiped */
    char *refuse;
    char refuse_code[6];
    char *names; /* one block: user, role, function, database, application_name */
    char *option_function;
    char *bad_name;       /* a setting that PostgreSQL has no name for, or NULL */
    uint32_t deadline_ms; /* weir.deadline */
    uint8_t *packet;      /* the startup packet, for the protocol options to be negotiated */
    size_t packet_n;
    char cn[128];
    uint8_t binding[64];
    uint8_t binding_n;
    uint8_t stage;
    uint8_t requests; /* SSLRequest and GSSENCRequest so far */
    bool tls, direct, has_cn, bad_deadline;
    bool no_database; /* named: it is the user's */
    bool no_notices;  /* client_min_messages is above them, when application_name is set */
    char reason[200];
};

static struct pg_verifiers *verifiers;

static void *login_create(const struct login_policy *policy)
{
    struct pg_login *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->policy = *policy;
    l->settings = vars_empty();
    l->asked.application_name = "";
    return l;
}

static void login_destroy(void **lp)
{
    struct pg_login *l = *lp;
    if (l == NULL)
        return;
    *lp = NULL;
    pg_auth_destroy(&l->auth);
    vars_put(&l->settings);
    vars_put(&l->options);
    if (l->secret != NULL)
        pg_crypto_wipe(l->secret, strlen(l->secret));
    free(l->secret);
    free(l->refuse);
    free(l->names);
    free(l->option_function);
    free(l->bad_name);
    free(l->packet);
    free(l);
}

static enum login_step refuse(struct pg_login *l, const char *code, const char *text,
                              struct buf *out)
{
    struct pg_report r = {.severity = "FATAL", .sqlstate = code, .message = text};
    (void)!pg_msg_error(out, &r);
    (void)snprintf(l->reason, sizeof l->reason, "%.199s", text);
    l->stage = STAGE_DONE;
    return LOGIN_REFUSED;
}

static enum login_step refuse_fault(struct pg_login *l, const struct pg_fault *f, struct buf *out)
{
    (void)!pg_msg_fault(out, "FATAL", f);
    (void)snprintf(l->reason, sizeof l->reason, "%.199s", f->message);
    l->stage = STAGE_DONE;
    return LOGIN_REFUSED;
}

static enum var_form form_of(const char *value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((value[i] & 0x80) != 0)
            return VAR_BYTES;
    return VAR_PLAIN;
}

static bool keep_setting(struct pg_login *l, struct pg_view name, const char *value, size_t n)
{
    return vars_take(&l->settings,
                     vars_with(l->settings, name.p, name.n, form_of(value, n), value, n));
}

/* PostgreSQL takes any bytes for a name at login and shows "?" for those that are odd. In a
 * statement, as which weir passes it on, they must be valid. */
static bool keep_application_name(struct pg_login *l, const struct pg_setting *st)
{
    char *text = malloc(st->value.n + 1);
    size_t n = 0;
    struct var_entry level;
    l->no_notices =
        var_set_find(l->settings, "client_min_messages", 19, &level) &&
        (strcasecmp(level.value, "warning") == 0 || strcasecmp(level.value, "error") == 0);
    for (size_t i = 0; text != NULL && i < st->value.n;) {
        size_t len = utf8_sequence((const unsigned char *)st->value.p + i, st->value.n - i);
        if (len == 0)
            text[n++] = '?';
        else
            memcpy(text + n, st->value.p + i, len);
        n += len;
        i += len != 0 ? len : 1;
    }
    bool ok = text != NULL && keep_setting(l, st->name, text, n);
    free(text);
    return ok;
}

/* One may come by `options` and one by its name (JDBC sends "ISO"), and each may be but a half. */
static bool keep_datestyle(struct pg_login *l, const struct pg_setting *st)
{
    struct var_entry had;
    char both[64];
    if (var_set_find(l->settings, "datestyle", 9, &had) &&
        pg_canon_join_datestyle(had.value, st->value.p, st->value.n, both, sizeof both))
        return keep_setting(l, st->name, both, strlen(both));
    return keep_setting(l, st->name, st->value.p, st->value.n);
}

/* One setting of the startup; weir's own go no further. */
static bool take_setting(void *arg, const struct pg_setting *st)
{
    struct pg_login *l = arg;
    if (pg_startup_is_weir_setting(st->name)) {
        if (st->name.n == 13 && strncasecmp(st->name.p, "weir.function", 13) == 0) {
            free(l->option_function);
            l->option_function = strndup(st->value.p, st->value.n);
        }
        if (st->name.n == 13 && strncasecmp(st->name.p, "weir.deadline", 13) == 0 &&
            !comment_read_ms(st->value.p, st->value.n, &l->deadline_ms))
            l->bad_deadline = true;
        return true;
    }
    if (st->name.n == 16 && strncasecmp(st->name.p, "application_name", 16) == 0)
        return keep_application_name(l, st);
    if (st->name.n == 9 && strncasecmp(st->name.p, "datestyle", 9) == 0)
        return keep_datestyle(l, st);
    if (!var_name_is_good(st->name.p, st->name.n)) {
        free(l->bad_name);
        return (l->bad_name = strndup(st->name.p, st->name.n)) != NULL;
    }
    return keep_setting(l, st->name, st->value.p, st->value.n);
}

static bool keep_names(struct pg_login *l, const struct pg_startup *st)
{
    struct pg_view role, function;
    pg_startup_split_user(st->user, &role, &function);
    struct var_entry app;
    bool has_app = var_set_find(l->settings, "application_name", 16, &app);
    size_t app_n = has_app ? app.value_len : 0;
    size_t total = st->user.n + role.n + function.n + st->database.n + app_n + 5;
    char *p = l->names = calloc(1, total);
    if (p == NULL)
        return false;
    l->asked.user = memcpy(p, st->user.p, st->user.n);
    p += st->user.n + 1;
    l->asked.role = memcpy(p, role.p, role.n);
    p += role.n + 1;
    if (function.p != NULL) {
        l->asked.function = memcpy(p, function.p, function.n);
        p += function.n + 1;
    }
    l->asked.option = l->option_function;
    l->asked.database = memcpy(p, st->database.p, st->database.n);
    p += st->database.n + 1;
    if (has_app)
        l->asked.application_name = memcpy(p, app.value, app_n);
    l->no_database = st->database.p == st->user.p;
    l->asked.replication = (int)st->replication;
    return true;
}

static enum login_step on_startup(struct pg_login *l, const uint8_t *in, size_t n, struct buf *out)
{
    struct pg_startup st;
    struct pg_fault fault = {0};
    if (l->policy.tls_mode == 2 && !l->tls)
        return refuse(l, "28000", "SSL required", out);
    if (!pg_startup_parse(in, n, &st, &fault))
        return refuse_fault(l, &fault, out);
    struct pg_setting one;
    size_t at = 0;
    bool ok = true;
    /* As PostgreSQL: command-line options first, then the packet's own settings win. */
    if (st.options.p != NULL && !pg_startup_options(st.options, take_setting, l, &fault))
        return fault.message[0] != '\0' ? refuse_fault(l, &fault, out)
                                        : refuse(l, "53200", "weir: too many settings", out);
    if (st.options.p != NULL)
        l->options = vars_get(l->settings);
    while (ok && pg_startup_next(&st, &at, &one))
        ok = take_setting(l, &one);
    if (!ok)
        return refuse(l, "53200", "weir: too many or too large startup settings", out);
    if (l->bad_deadline)
        return refuse(l, "22023", "invalid value for parameter \"weir.deadline\"", out);
    if (l->bad_name != NULL) {
        bool custom = strchr(l->bad_name, '.') != NULL;
        pg_fault_set(&fault, custom ? "42602" : "42704", "%s \"%.120s\"",
                     custom ? "invalid configuration parameter name"
                            : "unrecognized configuration parameter",
                     l->bad_name);
        return refuse_fault(l, &fault, out);
    }
    if (!keep_names(l, &st))
        return refuse(l, "53200", "weir: out of memory", out);
    if (st.negotiate && !pg_startup_negotiate(&st, out))
        return refuse(l, "53200", "weir: out of memory", out);
    l->stage = STAGE_LOOKUP;
    return LOGIN_SECRET;
}

static enum login_step on_cancel(struct pg_login *l, const uint8_t *in, size_t n)
{
    struct pg_view key;
    l->stage = STAGE_DONE;
    if (!pg_startup_parse_cancel(in, n, &l->asked.cancel_id, &key) || key.n != 4)
        return LOGIN_REFUSED; /* as PostgreSQL: no answer to a cancel */
    l->asked.cancel_key = pg_get32((const uint8_t *)key.p);
    return LOGIN_CANCEL;
}

static enum login_step feed_first(struct pg_login *l, const uint8_t *in, size_t n, size_t *used,
                                  struct buf *out)
{
    size_t len = 0;
    struct pg_fault fault = {0};
    switch (pg_startup_peek(in, n, &len, &fault)) {
    case PG_FIRST_NEED_MORE:
        return LOGIN_MORE;
    case PG_FIRST_BAD:
        return refuse_fault(l, &fault, out);
    case PG_FIRST_DIRECT_TLS:
        if (l->tls || l->requests != 0 || l->policy.tls_mode == 0)
            return refuse(l, "08P01", "TLS is not offered here", out);
        l->direct = true;
        return LOGIN_TLS;
    case PG_FIRST_SSL_REQUEST:
    case PG_FIRST_GSSENC_REQUEST: {
        bool ssl = in[7] == 0x2f; /* 80877103; GSSENCRequest is 80877104 */
        if (n != len)
            return refuse(l, "08P01", "received unencrypted data after SSL request", out);
        if (l->tls || ++l->requests > 2)
            return refuse(l, "08P01", "unsupported frontend protocol", out);
        *used = len;
        bool yes = ssl && l->policy.tls_mode != 0;
        if (!buf_append(out, yes ? "S" : "N", 1))
            return LOGIN_REFUSED;
        return yes ? LOGIN_TLS : LOGIN_MORE;
    }
    case PG_FIRST_TERMINATE:
        l->stage = STAGE_DONE;
        return LOGIN_REFUSED; /* an error would be one that its program does not expect */
    case PG_FIRST_CANCEL:
        *used = len;
        return on_cancel(l, in, len);
    case PG_FIRST_STARTUP:
        *used = len;
        return on_startup(l, in, len, out);
    }
    return LOGIN_REFUSED;
}

static enum login_step auth_step(struct pg_login *l, enum pg_auth_outcome o, struct buf *out)
{
    switch (o) {
    case PG_AUTH_OUT_MORE:
        return LOGIN_MORE;
    case PG_AUTH_OUT_OK:
        l->stage = STAGE_DONE;
        if (l->refuse != NULL)
            return refuse(l, l->refuse_code, l->refuse, out);
        return LOGIN_OK;
    case PG_AUTH_OUT_FAILED:
        (void)snprintf(l->reason, sizeof l->reason, "%.199s", pg_auth_reason(l->auth));
        break;
    case PG_AUTH_OUT_NOMEM:
        (void)snprintf(l->reason, sizeof l->reason, "%.199s", "out of memory");
        break;
    }
    l->stage = STAGE_DONE;
    return LOGIN_REFUSED;
}

static enum login_step login_feed(void *login, const uint8_t *in, size_t n, size_t *used,
                                  struct buf *out)
{
    struct pg_login *l = login;
    *used = 0;
    switch ((enum stage)l->stage) {
    case STAGE_FIRST:
        return feed_first(l, in, n, used, out);
    case STAGE_AUTH:
        return auth_step(l, pg_auth_feed(l->auth, in, n, used, out), out);
    case STAGE_LOOKUP:
        return LOGIN_MORE;
    case STAGE_DONE:
        break;
    }
    return LOGIN_REFUSED;
}

static void login_whole(void *login)
{
    struct pg_login *l = login;
    l->asked.role = l->asked.user;
    l->asked.function = NULL;
    if (l->no_database)
        l->asked.database = l->asked.user;
}

static bool login_is_heavy(const void *login, const uint8_t *in, size_t n)
{
    const struct pg_login *l = login;
    return l->stage == STAGE_AUTH && pg_auth_is_heavy(l->auth, in, n);
}

static void login_on_tls(void *login, const char *cn, const uint8_t *binding, size_t n, bool alpn)
{
    struct pg_login *l = login;
    l->tls = true;
    /* A name that doesn't fit is nobody's: cut, it could be another's. */
    l->has_cn = cn != NULL && strlen(cn) < sizeof l->cn;
    if (l->has_cn)
        memcpy(l->cn, cn, strlen(cn) + 1);
    if (n != 0 && n <= sizeof l->binding) {
        memcpy(l->binding, binding, n);
        l->binding_n = (uint8_t)n;
    }
    /* Without SSLRequest the protocol must have been named, as PostgreSQL 17 demands. */
    if (l->direct && !alpn)
        l->stage = STAGE_DONE;
}

static enum pg_auth_type auth_type(enum login_auth t)
{
    switch (t) {
    case LOGIN_AUTH_TRUST:
        return PG_AUTH_TRUST;
    case LOGIN_AUTH_PLAIN:
        return PG_AUTH_PLAIN;
    case LOGIN_AUTH_MD5:
        return PG_AUTH_MD5;
    case LOGIN_AUTH_SCRAM:
        break;
    case LOGIN_AUTH_CERT:
        return PG_AUTH_CERT;
    case LOGIN_AUTH_ANY:
        return PG_AUTH_ANY;
    }
    return PG_AUTH_SCRAM;
}

static enum login_step login_on_secret(void *login, const struct login_found *found,
                                       struct buf *out)
{
    struct pg_login *l = login;
    struct pg_auth_facts facts = {
        .type = found->trust ? PG_AUTH_TRUST : auth_type(l->policy.auth_type),
        .login_user = l->asked.user,
        .role = l->asked.role,
        .tls = l->tls,
        .peer_cn = l->has_cn ? l->cn : NULL,
        .binding = l->binding,
        .binding_n = l->binding_n,
        .scram_iterations = l->policy.scram_iterations,
        .mock_scram = l->policy.mock_scram,
        .verifiers = verifiers,
    };
    if (found->refuse != NULL) {
        l->refuse = strdup(found->refuse);
        (void)snprintf(l->refuse_code, sizeof l->refuse_code, "%.5s", found->refuse_code);
    }
    if (found->secret != NULL)
        l->secret = strdup(found->secret);
    l->auth = pg_auth_create(&facts);
    if (l->auth == NULL)
        return refuse(l, "53200", "weir: out of memory", out);
    l->stage = STAGE_AUTH;
    return auth_step(l, pg_auth_start(l->auth, l->secret, out), out);
}

static const struct login_asked *login_asked(const void *login)
{
    return &((const struct pg_login *)login)->asked;
}

static const char *login_reason(const void *login)
{
    return ((const struct pg_login *)login)->reason;
}

/* SCRAM's ClientKey. */
static bool login_proof(const void *login, struct login_proof *out)
{
    const struct pg_login *l = login;
    out->n = sizeof out->key;
    return l->auth != NULL && pg_auth_client_key(l->auth, out->key);
}

/* The server would say so, too, but weir sets the name on it when it pleases. */
static bool put_name_cut(const struct pg_client *c, struct buf *out)
{
    struct var_entry app;
    if (!var_set_find(c->startup, "application_name", 16, &app) || app.value_len <= PG_NAME_BYTES)
        return true;
    size_t n = PG_NAME_BYTES;
    while (n > 0 && ((unsigned char)app.value[n] & 0xc0) == 0x80)
        n--; /* no half character */
    char *text = NULL;
    if (asprintf(&text, "identifier \"%s\" will be truncated to \"%.*s\"", app.value, (int)n,
                 app.value) < 0)
        return false;
    struct pg_report r = {.severity = "NOTICE", .sqlstate = "42622", .message = text};
    bool ok = pg_msg_notice(out, &r);
    free(text);
    return ok;
}

static bool greet(struct pg_client *c, const struct login_welcome *w, bool notices, struct buf *out)
{
    bool ok = !notices || put_name_cut(c, out);
    for (uint32_t i = 0; ok && i < var_set_count(c->report); i++) {
        struct var_entry e = var_set_at(c->report, i);
        ok = pg_msg_parameter_status(out, e.name, e.value);
    }
    uint8_t key[4];
    pg_put32(key, w->key);
    return ok && pg_msg_backend_key(out, w->id, key, sizeof key) && pg_msg_ready(out, 'I');
}

static bool list_has(const char *list, const char *item)
{
    size_t want = strlen(item);
    while (*list != '\0') {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ", \t");
        if (len == want && strncasecmp(list, item, len) == 0)
            return true;
        list += len;
    }
    return false;
}

/* ignore_startup_parameters, as PgBouncer means it: of what it follows itself nothing is dropped,
 * and "options" stands for whatever else came by these. */
static bool drop_ignored(struct pg_login *l, const char *list)
{
    static const char always[] =
        "client_encoding,datestyle,timezone,standard_conforming_strings,application_name";
    struct var_set *all = vars_get(l->settings);
    bool ok = true;
    bool options = list_has(list, "options") && l->options != NULL;
    for (uint32_t i = 0; ok && list[0] != '\0' && i < var_set_count(all); i++) {
        struct var_entry e = var_set_at(all, i), had;
        bool by_options = options && var_set_find(l->options, e.name, e.name_len, &had) &&
                          strcmp(had.value, e.value) == 0;
        if (!list_has(always, e.name) && (by_options || list_has(list, e.name)))
            ok = vars_take(&l->settings, vars_without(l->settings, e.name, e.name_len));
    }
    vars_put(&all);
    return ok;
}

/* "getUsers - 10.0.0.7:51234": the name is cut before the address is. */
static bool add_host(struct pg_login *l, const char *host)
{
    char name[64];
    const char *app = l->asked.application_name;
    size_t room = sizeof name - 1 - strlen(" - ") - strlen(host);
    int n = snprintf(name, sizeof name, "%.*s - %s", (int)room, app[0] != '\0' ? app : "app", host);
    return vars_take(&l->settings, vars_with(l->settings, "application_name", 16,
                                             form_of(name, (size_t)n), name, (size_t)n));
}

static void login_limit(void *pc, const struct login_limits *limits)
{
    struct pg_client *c = pc;
    c->prepared_limit = limits->prepared;
    c->statement_max_bytes = limits->statement_max_bytes;
    c->pool_mode = (uint8_t)limits->pool_mode;
}

static bool login_finish(void *login, void *pc, const struct login_welcome *w, struct buf *out)
{
    struct pg_login *l = login;
    struct pg_client *c = pc;
    if (w->console)
        return true;
    if (!drop_ignored(l, w->ignore_startup) || (w->add_host != NULL && !add_host(l, w->add_host)))
        return false;
    c->magic = PG_CLIENT_MAGIC;
    c->id = w->id;
    login_limit(c, &w->limits);
    c->deadline_ms = c->startup_deadline_ms = l->deadline_ms;
    c->replication = l->asked.replication != 0;
    c->startup = vars_get(l->settings);
    c->current = vars_get(l->settings);
    c->report = w->report != NULL ? vars_get(w->report) : pg_login_default_report(l->asked.role);
    if (w->report != NULL && !w->own_report)
        (void)vars_take(&c->report, vars_with(c->report, "session_authorization", 21, VAR_REPORT,
                                              w->user, strlen(w->user)));
    if (w->report != NULL && !w->own_report)
        (void)vars_take(&c->report, vars_with(c->report, "is_superuser", 12, VAR_REPORT, "off", 3));
    c->started = var_set_count(c->startup) == 0;
    if (c->report == NULL || !pg_report_overlay(&c->report, c->report, l->settings))
        return false;
    c->how = pg_text_how(c->report);
    return greet(c, w, !l->no_notices, out);
}

/* Before any server was seen: what every PostgreSQL of today says. What turns out to differ is
 * corrected by ParameterStatus with the first loan. */
struct var_set *pg_login_default_report(const char *user)
{
    static const char *const rows[][2] = {
        {"client_encoding", "UTF8"},
        {"DateStyle", "ISO, MDY"},
        {"integer_datetimes", "on"},
        {"IntervalStyle", "postgres"},
        {"is_superuser", "off"},
        {"server_encoding", "UTF8"},
        {"server_version", "15.0"},
        {"standard_conforming_strings", "on"},
        {"TimeZone", "UTC"},
        {"application_name", ""},
        {"default_transaction_read_only", "off"},
        {"in_hot_standby", "off"},
    };
    struct var_set *set = vars_empty();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        (void)vars_take(&set, vars_with(set, rows[i][0], strlen(rows[i][0]), VAR_REPORT, rows[i][1],
                                        strlen(rows[i][1])));
    (void)vars_take(&set,
                    vars_with(set, "session_authorization", 21, VAR_REPORT, user, strlen(user)));
    return set;
}

static bool login_init(struct err *e)
{
    if (!pg_crypto_init(e))
        return false;
    verifiers = pg_verifiers_create(65536);
    if (verifiers == NULL || !vars_init()) {
        err_set(e, "out of memory");
        return false;
    }
    return true;
}

/* The verifier of a plain password: PBKDF2 takes a few ms. */
static void login_prepare_secret(const char *user, const char *secret,
                                 const struct login_policy *policy)
{
    struct pg_scram_secret ignored;
    if (policy->auth_type == LOGIN_AUTH_SCRAM && pg_secret_kind_of(secret) == PG_SECRET_PLAIN)
        (void)!pg_verifiers_get(verifiers, user, pg_view_of(secret), policy->scram_iterations,
                                &ignored);
}

const struct login_ops pg_login_ops = {
    .init = login_init,
    .prepare_secret = login_prepare_secret,
    .create = login_create,
    .destroy = login_destroy,
    .feed = login_feed,
    .whole = login_whole,
    .is_heavy = login_is_heavy,
    .on_tls = login_on_tls,
    .on_secret = login_on_secret,
    .asked = login_asked,
    .reason = login_reason,
    .finish = login_finish,
    .proof = login_proof,
    .limit = login_limit,
};
