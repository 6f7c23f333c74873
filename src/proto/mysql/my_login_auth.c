/* SPDX-License-Identifier: ISC
 * The proof of a login: which plugin serves the client and the stored secret, and whether what the
 * client answers fits.
 *
 *   secret        mysql_native_password    caching_sha2_password             mysql_clear_password
 *   password      compared                 short exchange                    on a safe way
 *   *HEX          compared                 long exchange, on a safe way      on a safe way
 *   $A$005$       --                       long exchange, short when cached  on a safe way
 *
 * A client that began with a plugin that doesn't serve is asked for another, once; with the same
 * salt, as libmariadb goes on with the first one when it changes its user. Users who don't
 * exist are led through the exchange of one of those who do, and fail at its end.
 * Safe ways are TLS and a Unix socket; elsewhere the long exchange is encrypted with weir's RSA
 * key.
 */
#include "config.h"

#include "proto/mysql/my_login_priv.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHA2_ASK_KEY 0x02u
#define SHA2_FAST_OK 0x03u
#define SHA2_FULL    0x04u
#define MORE_DATA    0x01u
#define SEALED_BYTES 256u

static const char *const plugins[] = {
    [MY_AUTH_NATIVE] = MY_PLUGIN_NATIVE,
    [MY_AUTH_SHA2] = MY_PLUGIN_SHA2,
    [MY_AUTH_CLEAR] = MY_PLUGIN_CLEAR,
    [MY_AUTH_OTHER] = "",
};

const char *my_login_plugin(enum my_auth auth)
{
    return plugins[auth];
}

enum login_step my_login_refuse(struct my_login *l, unsigned code, const char *state,
                                const char *text, struct buf *out)
{
    /* Before its greeting a server has no SQLSTATE to tell. */
    (void)!my_put_err(out, l->seq++, code, l->greeted ? state : NULL, text);
    if (l->reason[0] == '\0')
        (void)snprintf(l->reason, sizeof l->reason, "%.199s", text);
    l->stage = MY_LOGIN_DONE;
    return LOGIN_REFUSED;
}

static enum login_step deny(struct my_login *l, const char *why, struct buf *out)
{
    char text[MY_NAME_MAX + 100];
    bool with = l->answer_n != 0;
    OPENSSL_cleanse(&l->proof, sizeof l->proof);
    (void)snprintf(l->reason, sizeof l->reason, "%.199s", why);
    (void)snprintf(text, sizeof text, "Access denied for user '%s' (using password: %s)",
                   l->asked.role, with ? "YES" : "NO");
    return my_login_refuse(l, MY_ER_ACCESS_DENIED, "28000", text, out);
}

static enum login_step misfit(struct my_login *l, struct buf *out)
{
    OPENSSL_cleanse(&l->proof, sizeof l->proof);
    if (!l->may_be_old)
        return deny(l, l->secret == NULL ? "unknown user" : "wrong password", out);
    l->may_be_old = false;
    l->stage = MY_LOGIN_LOOKUP;
    return LOGIN_SECRET;
}

/* What the worker refuses is told in MySQL's terms. */
static enum login_step refuse_route(struct my_login *l, struct buf *out)
{
    static const struct {
        const char *code;
        unsigned number;
        const char *state;
    } rows[] = {
        {"3D000", MY_ER_BAD_DB, "42000"},          {"28000", MY_ER_ACCESS_DENIED, "28000"},
        {"53300", MY_ER_CON_COUNT, "08004"},       {"53200", MY_ER_OUT_OF_RESOURCES, "HY000"},
        {"57P03", MY_ER_SERVER_SHUTDOWN, "08S01"},
    };
    char text[MY_NAME_MAX + 40];
    const char *say = l->refuse;
    if (strcmp(l->refuse_code, "3D000") == 0) {
        (void)snprintf(text, sizeof text, "Unknown database '%s'", l->asked.database);
        say = text;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].code, l->refuse_code) == 0)
            return my_login_refuse(l, rows[i].number, rows[i].state, say, out);
    return my_login_refuse(l, MY_ER_UNKNOWN, "HY000", say, out);
}

static enum login_step accept_client(struct my_login *l, struct buf *out)
{
    if (l->refuse != NULL)
        return refuse_route(l, out);
    l->stage = MY_LOGIN_DONE;
    return LOGIN_OK;
}

static bool put_more(struct my_login *l, uint8_t what, struct buf *out)
{
    const uint8_t packet[] = {MORE_DATA, what};
    return my_put_packet(out, l->seq++, packet, sizeof packet);
}

static enum login_step no_memory(struct my_login *l, struct buf *out)
{
    return my_login_refuse(l, MY_ER_OUT_OF_RESOURCES, "HY000", "weir: out of memory", out);
}

/* ---- the answers ---- */

static enum login_step on_native(struct my_login *l, struct buf *out)
{
    uint8_t stored[MY_SHA1_BYTES] = {0};
    if (l->answer_n != MY_SHA1_BYTES)
        return deny(l, "no password given", out);
    bool known = l->secret != NULL && my_secret_native(l->secret, stored);
    bool fits = my_native_verify(stored, l->salt, l->answer, l->proof.key);
    if (!known || !fits)
        return misfit(l, out);
    l->proof.n = MY_SHA1_BYTES;
    return accept_client(l, out);
}

static enum login_step ask_in_full(struct my_login *l, struct buf *out)
{
    l->stage = MY_LOGIN_FULL;
    return put_more(l, SHA2_FULL, out) ? LOGIN_MORE : no_memory(l, out);
}

static enum login_step on_sha2(struct my_login *l, struct buf *out)
{
    uint8_t stored[MY_SHA256_BYTES] = {0};
    if (l->answer_n != MY_SHA256_BYTES)
        return deny(l, "no password given", out);
    bool known = l->secret != NULL && my_secret_sha2(l->secret, stored);
    if (known && my_sha2_verify(stored, l->salt, l->answer, l->proof.key)) {
        l->proof.n = MY_SHA256_BYTES;
        return put_more(l, SHA2_FAST_OK, out) ? accept_client(l, out) : no_memory(l, out);
    }
    /* As the server has it: what is remembered may have been another password's. */
    if (l->kind != MY_SECRET_PLAIN)
        return ask_in_full(l, out);
    return misfit(l, out);
}

/* `p` ends with a NUL, which is not part of the password. */
static enum login_step on_password(struct my_login *l, const uint8_t *p, size_t n, struct buf *out)
{
    if (n == 0 || n > sizeof l->answer || p[n - 1] != 0 || memchr(p, 0, n) != p + n - 1)
        return deny(l, "no password where one was to come", out);
    if (!my_secret_fits(l->secret, (enum my_secret_kind)l->kind, (const char *)p, n - 1)) {
        memmove(l->answer, p, n);
        l->answer_n = l->may_be_old ? n : n - 1; /* for "using password" */
        l->gave_password = true;
        return misfit(l, out);
    }
    l->password = strndup((const char *)p, n - 1);
    return l->password != NULL ? accept_client(l, out) : no_memory(l, out);
}

static enum login_step on_sealed(struct my_login *l, const uint8_t *p, size_t n, struct buf *out)
{
    char clear[SEALED_BYTES];
    if (!my_rsa_decrypt(p, n, l->salt, clear, sizeof clear))
        return deny(l, "the encrypted password can't be read", out);
    enum login_step step = on_password(l, (const uint8_t *)clear, strlen(clear) + 1, out);
    OPENSSL_cleanse(clear, sizeof clear);
    return step;
}

static enum login_step send_key(struct my_login *l, struct buf *out)
{
    struct buf b = {0};
    const char *pem = my_rsa_pem();
    const uint8_t head = MORE_DATA;
    if (pem == NULL)
        return no_memory(l, out);
    bool ok = buf_append(&b, &head, 1) && buf_append(&b, pem, strlen(pem)) &&
              my_put_packet(out, l->seq++, buf_head(&b), buf_len(&b));
    buf_release(&b);
    l->stage = MY_LOGIN_SEALED;
    return ok ? LOGIN_MORE : no_memory(l, out);
}

/* Not every client takes a Unix socket for safe: there, too, it may ask for the key. */
static enum login_step on_full(struct my_login *l, const uint8_t *p, size_t n, struct buf *out)
{
    if (n == 1 && p[0] == SHA2_ASK_KEY)
        return send_key(l, out);
    if (my_login_is_safe(l) && n != 0 && p[n - 1] == 0)
        return on_password(l, p, n, out);
    return on_sealed(l, p, n, out);
}

/* ---- which question ---- */

static enum my_auth auth_of(const struct my_login *l)
{
    if ((l->caps & MY_CAP_PLUGIN_AUTH) == 0)
        return MY_AUTH_NATIVE;
    for (unsigned i = 0; i < MY_AUTH_OTHER; i++)
        if (strcmp(l->plugin, plugins[i]) == 0)
            return (enum my_auth)i;
    /* Asked for the greeting's plugin and silent about it: that one. */
    return l->plugin[0] == '\0' ? (enum my_auth)l->announced : MY_AUTH_OTHER;
}

/* Does this plugin serve for the secret, on this way? */
static bool serves(const struct my_login *l, enum my_auth auth)
{
    switch (auth) {
    case MY_AUTH_NATIVE:
        return l->kind != MY_SECRET_CRYPT;
    case MY_AUTH_SHA2:
        return l->kind != MY_SECRET_NATIVE || my_login_is_safe(l);
    case MY_AUTH_CLEAR:
        return my_login_is_safe(l);
    case MY_AUTH_OTHER:
        break;
    }
    return false;
}

static enum login_step switch_to(struct my_login *l, enum my_auth auth, struct buf *out)
{
    l->asked_for = (uint8_t)auth;
    l->switched = true;
    l->stage = MY_LOGIN_SWITCH;
    if (!my_switch_put(out, l->seq++, plugins[auth], l->salt))
        return no_memory(l, out);
    return LOGIN_MORE;
}

/* Judge l->answer, given by this plugin. */
static enum login_step judge(struct my_login *l, enum my_auth auth, struct buf *out)
{
    /* A single NUL is how libmysqlclient says that there is no password. */
    if (l->answer_n == 1 && l->answer[0] == 0)
        l->answer_n = 0;
    if (auth == MY_AUTH_NATIVE)
        return on_native(l, out);
    return on_sha2(l, out);
}

static enum login_step judge_hello(struct my_login *l, struct buf *out)
{
    enum my_auth auth = auth_of(l);
    /* Against a hash it is asked for again, to be judged aside (login_is_heavy). */
    if (auth == MY_AUTH_CLEAR && serves(l, auth))
        return l->answer_n != 0 && l->kind != MY_SECRET_CRYPT
                   ? on_password(l, l->answer, l->answer_n, out)
                   : switch_to(l, auth, out);
    /* A client whose own plugin is not the greeting's may have kept its answer back; so may one
     * that changes its user, or names no plugin where it could. */
    bool unnamed = (l->caps & MY_CAP_PLUGIN_AUTH) != 0 && l->plugin[0] == '\0';
    if (serves(l, auth) && ((auth == l->announced && !l->again && !unnamed) || l->answer_n != 0))
        return judge(l, auth, out);
    if ((l->caps & MY_CAP_PLUGIN_AUTH) == 0)
        return deny(l, "the client knows no plugin that serves for the stored secret", out);
    if (serves(l, auth))
        return switch_to(l, auth, out);
    if (serves(l, (enum my_auth)l->announced) && auth != l->announced)
        return switch_to(l, (enum my_auth)l->announced, out);
    return switch_to(l, l->kind == MY_SECRET_NATIVE ? MY_AUTH_NATIVE : MY_AUTH_SHA2, out);
}

/* Whoever began the short exchange waits for its end: Connector/C takes anything but SHA2_FAST_OK
 * for the question for more. */
static enum login_step trust_client(struct my_login *l, struct buf *out)
{
    if (auth_of(l) == MY_AUTH_SHA2 && l->answer_n == MY_SHA256_BYTES &&
        !put_more(l, SHA2_FAST_OK, out))
        return no_memory(l, out);
    return accept_client(l, out);
}

enum login_step my_login_ask(struct my_login *l, bool trust, struct buf *out)
{
    switch (l->policy.auth_type) {
    case LOGIN_AUTH_TRUST:
    case LOGIN_AUTH_ANY:
        trust = true;
        break;
    case LOGIN_AUTH_CERT:
        if (!l->tls || !l->has_cn || strcmp(l->cn, l->asked.role) != 0)
            return deny(l, "no certificate, or of another user", out);
        trust = true;
        break;
    case LOGIN_AUTH_PLAIN:
    case LOGIN_AUTH_MD5:
    case LOGIN_AUTH_SCRAM:
        break;
    }
    if (trust)
        return trust_client(l, out);
    if (l->secret != NULL) {
        l->kind = (uint8_t)my_secret_kind_of(l->secret);
        my_secret_note((enum my_secret_kind)l->kind);
    } else {
        l->kind = (uint8_t)my_secret_mock_kind(l->asked.role);
    }
    if (l->gave_password)
        return on_password(l, l->answer, l->answer_n, out);
    if (!l->switched)
        return judge_hello(l, out);
    return serves(l, (enum my_auth)l->asked_for) ? judge(l, (enum my_auth)l->asked_for, out)
                                                 : misfit(l, out);
}

enum login_step my_login_answer(struct my_login *l, const uint8_t *p, size_t n, struct buf *out)
{
    switch ((enum my_login_stage)l->stage) {
    case MY_LOGIN_SWITCH:
        if (l->asked_for == MY_AUTH_CLEAR)
            return on_password(l, p, n, out);
        if (n > sizeof l->answer)
            return my_login_refuse(l, MY_ER_HANDSHAKE, "08S01", "Bad handshake", out);
        if (n != 0)
            memcpy(l->answer, p, n);
        l->answer_n = n;
        return judge(l, (enum my_auth)l->asked_for, out);
    case MY_LOGIN_FULL:
        return on_full(l, p, n, out);
    case MY_LOGIN_SEALED:
        return on_sealed(l, p, n, out);
    case MY_LOGIN_HELLO:
    case MY_LOGIN_LOOKUP:
    case MY_LOGIN_DONE:
        break;
    }
    return LOGIN_REFUSED;
}

#define SCHEMA_MAX 256u /* longer than any name */

bool my_login_welcome(struct my_login *l, const char *home, struct buf *out)
{
    uint8_t state[SCHEMA_MAX + 16], packet[MY_OK_MAX + sizeof state];
    struct my_ok ok = {.status = MY_ST_AUTOCOMMIT};
    size_t n = home != NULL ? strlen(home) : 0;
    if ((l->caps & MY_CAP_SESSION_TRACK) != 0 && n != 0 && n <= SCHEMA_MAX) {
        uint8_t name[SCHEMA_MAX + 8];
        size_t len = my_write_lenenc(name, n);
        memcpy(name + len, home, n);
        len += n;
        state[0] = MY_TRACK_SCHEMA;
        size_t head = 1 + my_write_lenenc(state + 1, len);
        memcpy(state + head, name, len);
        ok.state = (struct my_view){state, head + len};
    }
    return buf_append(out, packet, my_write_ok(packet, l->seq++, &ok));
}
