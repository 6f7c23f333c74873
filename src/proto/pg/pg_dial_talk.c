/* SPDX-License-Identifier: ISC
 * What is said on a connection that pg_dial_raw.c has opened: startup packet, authentication,
 * parameters, and one question at a time. Bytes in, bytes out; no socket here.
 *
 * Bounds: a message of MESSAGE_MAX bytes, BYTES_MAX and MESSAGES_MAX of them for the login and for
 * each question. ReadyForQuery may have asynchronous messages behind it; nothing else may.
 */
#include "config.h"

#include "proto/pg/pg_dial_priv.h"

#include "base/log.h"
#include "proto/pg/pg_msg.h"
#include "proto/pg/pg_scram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL_3_0 196608u
#define MESSAGE_MAX  65536u
#define BYTES_MAX    (1024u * 1024u)
#define MESSAGES_MAX 4096u

struct message {
    char type;
    const uint8_t *body;
    size_t n;
};

static enum dial_step no_memory(struct pg_raw *r)
{
    return pg_raw_fail(r, DIAL_FAIL_REACH, "53200", "out of memory");
}

static enum dial_step violation(struct pg_raw *r, const char *what)
{
    return pg_raw_fail(r, DIAL_FAIL_REACH, "08P01", "protocol violation: %s", what);
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static bool put_text(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text) + 1);
}

static bool put_pair(struct buf *b, const char *key, const char *value)
{
    return value[0] == '\0' || (put_text(b, key) && put_text(b, value));
}

/* Begin a message; the length is filled in by end_message(). */
static bool begin_message(struct buf *b, char type, size_t *at)
{
    static const uint8_t length[4];
    bool ok = type == '\0' || buf_append(b, &type, 1);
    *at = buf_len(b);
    return ok && buf_append(b, length, sizeof length);
}

static bool end_message(struct buf *b, size_t at)
{
    pg_put32(buf_head(b) + at, (uint32_t)(buf_len(b) - at));
    return true;
}

enum dial_step pg_raw_start_talk(struct pg_raw *r)
{
    struct buf *b = &r->out;
    uint8_t version[4];
    size_t at;
    const char *application = pg_raw_param(r, "application_name");
    const char *encoding = pg_raw_param(r, "client_encoding");
    if (application[0] == '\0')
        application = pg_raw_param(r, "fallback_application_name");
    pg_put32(version, PROTOCOL_3_0);
    r->state = RAW_AUTH;
    r->bytes = 0;
    r->messages = 0;
    bool ok = begin_message(b, '\0', &at) && buf_append(b, version, sizeof version) &&
              put_pair(b, "user", pg_raw_param(r, "user")) &&
              put_pair(b, "database", pg_raw_param(r, "dbname")) &&
              put_pair(b, "replication", pg_raw_param(r, "replication")) &&
              put_pair(b, "options", pg_raw_param(r, "options")) &&
              put_pair(b, "application_name", application) &&
              put_pair(b, "client_encoding", strcmp(encoding, "auto") != 0 ? encoding : "") &&
              buf_append(b, "", 1) && end_message(b, at);
    return ok ? DIAL_DONE : no_memory(r);
}

static enum dial_step send_response(struct pg_raw *r, const char *mechanism, struct pg_view data)
{
    size_t at;
    uint8_t length[4];
    pg_put32(length, (uint32_t)data.n);
    bool ok = begin_message(&r->out, 'p', &at) &&
              (mechanism == NULL ||
               (put_text(&r->out, mechanism) && buf_append(&r->out, length, sizeof length))) &&
              buf_append(&r->out, data.p, data.n) && end_message(&r->out, at);
    return ok ? DIAL_WRITE : no_memory(r);
}

/* ---- authentication
 * ------------------------------------------------------------------------------- */

static enum dial_step wants_other(struct pg_raw *r, const char *what)
{
    return pg_raw_fail(r, DIAL_FAIL_REFUSED, "28P01",
                       "the server asks for %s, but of user \"%.64s\" weir knows only %s", what,
                       pg_raw_param(r, "user"),
                       pg_raw_param(r, "scram_client_key")[0] != '\0' ? "the SCRAM keys"
                                                                      : "the md5 hash");
}

static enum dial_step on_md5(struct pg_raw *r, const uint8_t *salt, size_t n)
{
    const char *secret = pg_raw_param(r, "md5_secret");
    char hex[PG_MD5_HEX_BYTES], answer[3 + PG_MD5_HEX_BYTES];
    if (n != 4)
        return violation(r, "malformed md5 request");
    if (strlen(secret) != 35)
        return wants_other(r, "an md5 password");
    const struct pg_piece pieces[] = {{secret + 3, 32}, {salt, 4}};
    if (!pg_crypto_md5_hex(pieces, 2, hex))
        return pg_raw_fail(r, DIAL_FAIL_REFUSED, "0A000", "MD5 is not available (FIPS mode)");
    snprintf(answer, sizeof answer, "md5%s", hex);
    return send_response(r, NULL, (struct pg_view){answer, strlen(answer) + 1});
}

/* Which mechanisms the list offers; false: malformed. */
static bool read_mechanisms(const uint8_t *p, size_t n, bool *scram, bool *plus)
{
    *scram = *plus = false;
    for (;;) {
        size_t len = pg_strlen(p, n);
        if (len == (size_t)-1)
            return false;
        if (len == 0)
            return true;
        *scram |= strcmp((const char *)p, PG_SCRAM_NAME) == 0;
        *plus |= strcmp((const char *)p, PG_SCRAM_PLUS_NAME) == 0;
        p += len + 1;
        n -= len + 1;
    }
}

static bool read_key(const char *text, uint8_t key[PG_SHA256_BYTES])
{
    size_t n = 0;
    return pg_crypto_base64_decode(text, strlen(text), key, PG_SHA256_BYTES, &n) &&
           n == PG_SHA256_BYTES;
}

static enum dial_step start_scram(struct pg_raw *r, bool plus_offered)
{
    uint8_t client_key[PG_SHA256_BYTES], server_key[PG_SHA256_BYTES], binding[64];
    const char *wish = pg_raw_param(r, "channel_binding");
    bool may = r->ssl != NULL && strcmp(wish, "disable") != 0;
    size_t binding_n = may && plus_offered ? dial_tls_binding(r->ssl, binding) : 0;
    struct pg_scram_client_config config = {
        .client_key = client_key,
        .server_key = server_key,
        .binding_flag = binding_n != 0         ? 'p'
                        : may && !plus_offered ? 'y'
                                               : 'n',
        .binding = binding,
        .binding_n = binding_n,
    };
    if (strcmp(wish, "require") == 0 && binding_n == 0)
        return pg_raw_fail(r, DIAL_FAIL_REFUSED, "28000",
                           "channel binding required but not supported by server's authentication");
    if (!read_key(pg_raw_param(r, "scram_client_key"), client_key) ||
        !read_key(pg_raw_param(r, "scram_server_key"), server_key))
        return wants_other(r, "SCRAM authentication");
    r->scram = pg_scram_client_create(&config, NULL);
    pg_crypto_wipe(client_key, sizeof client_key);
    if (r->scram == NULL)
        return no_memory(r);
    r->sasl_sent = true;
    return send_response(r, binding_n != 0 ? PG_SCRAM_PLUS_NAME : PG_SCRAM_NAME,
                         pg_scram_client_first(r->scram));
}

static enum dial_step on_auth(struct pg_raw *r, const uint8_t *p, size_t n)
{
    struct err e = {""};
    struct pg_view out;
    bool scram, plus;
    if (n < 4)
        return violation(r, "malformed authentication request");
    switch (pg_get32(p)) {
    case PG_AUTH_CODE_OK:
        if (r->sasl_sent && !r->proven)
            return pg_raw_fail(r, DIAL_FAIL_REFUSED, "28000",
                               "the server let us in without proving that it knows the secret");
        if (strcmp(pg_raw_param(r, "channel_binding"), "require") == 0 && !r->sasl_sent)
            return pg_raw_fail(r, DIAL_FAIL_REFUSED, "28000",
                               "channel binding required, but server authenticated client "
                               "without channel binding");
        r->state = RAW_SETTLE;
        return DIAL_READ;
    case PG_AUTH_CODE_CLEARTEXT:
        return wants_other(r, "a clear-text password");
    case PG_AUTH_CODE_MD5:
        return r->sasl_sent ? violation(r, "md5 after SASL") : on_md5(r, p + 4, n - 4);
    case PG_AUTH_CODE_SASL:
        if (r->scram != NULL || !read_mechanisms(p + 4, n - 4, &scram, &plus))
            return violation(r, "malformed SASL request");
        return scram || plus ? start_scram(r, plus) : wants_other(r, "an unknown SASL mechanism");
    case PG_AUTH_CODE_SASL_CONTINUE:
        if (r->scram == NULL)
            return violation(r, "SASL out of order");
        if (!pg_scram_client_on_first(r->scram, p + 4, n - 4, &out, &e))
            return pg_raw_fail(r, DIAL_FAIL_REFUSED, "28000", "%s", e.text);
        return send_response(r, NULL, out);
    case PG_AUTH_CODE_SASL_FINAL:
        if (r->scram == NULL)
            return violation(r, "SASL out of order");
        if (!pg_scram_client_on_final(r->scram, p + 4, n - 4, &e))
            return pg_raw_fail(r, DIAL_FAIL_REFUSED, "28000", "%s", e.text);
        r->proven = true;
        return DIAL_READ;
    default:
        return wants_other(r, "a method that weir doesn't know");
    }
}

/* ---- errors
 * ---------------------------------------------------------------------------------------- */

enum dial_failure pg_dial_class(const char *code, const char *routine)
{
    /* Where PostgreSQL looks at the limits of a role and of a database. */
    bool of_user = strncmp(routine, "InitializeSessionUserId", 23) == 0;
    bool of_database = strncmp(routine, "CheckMyDatabase", 15) == 0;
    if (strcmp(code, "53300") == 0)
        return of_user ? DIAL_FAIL_USER : of_database ? DIAL_FAIL_DATABASE : DIAL_FAIL_LIMIT;
    /* No such database, no right to it, or it takes nobody. */
    if (strcmp(code, "3D000") == 0 || strcmp(code, "42501") == 0 || strcmp(code, "55000") == 0)
        return DIAL_FAIL_MISSING;
    /* Class by class: what a later try may not meet again. */
    static const char *const passing[] = {"08", "53", "57", "58", "XX", "40"};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (strncmp(code, passing[i], 2) == 0)
            return DIAL_FAIL_REACH;
    return DIAL_FAIL_REFUSED;
}

/* Its class, too. */
static enum dial_failure read_error(const struct message *m, char code[6], char *text, size_t room)
{
    struct pg_view severity = {"ERROR", 5}, sqlstate = {"XX000", 5}, words = {"", 0};
    struct pg_view routine = {"", 0};
    (void)pg_msg_error_field(m->body, m->n, 'R', &routine);
    (void)pg_msg_error_field(m->body, m->n, 'S', &severity);
    (void)pg_msg_error_field(m->body, m->n, 'C', &sqlstate);
    (void)pg_msg_error_field(m->body, m->n, 'M', &words);
    bool good = sqlstate.n == 5 && strspn(sqlstate.p, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5;
    snprintf(code, 6, "%s", good ? sqlstate.p : "XX000");
    snprintf(text, room, "%.16s:  %.200s", severity.p, words.p);
    return pg_dial_class(code, routine.p);
}

static enum dial_step on_error(struct pg_raw *r, const struct message *m)
{
    char code[6], text[240];
    enum dial_failure why = read_error(m, code, text, sizeof text);
    /* As libpq: only the first answer is a reason to try with, or without, TLS. */
    r->try_other = r->messages == 1 && (r->mode == DIAL_SSL_ALLOW || r->mode == DIAL_SSL_PREFER);
    (void)pg_raw_fail(r, why, code, "%s", text);
    /* A full server, or one that refuses, is the answer; one that can't now is not. */
    r->next_host = strcmp(code, "57P03") == 0;
    return DIAL_FAILED;
}

/* ---- parameters and key
 * ------------------------------------------------------------------------------ */

static enum dial_step on_parameter(struct pg_raw *r, const uint8_t *p, size_t n)
{
    size_t name = pg_strlen(p, n);
    size_t value = name == (size_t)-1 ? name : pg_strlen(p + name + 1, n - name - 1);
    if (value == (size_t)-1 || name + value + 2 != n)
        return violation(r, "malformed ParameterStatus");
    /* One that is out of bounds is left out, as it can't be one that matters. */
    (void)vars_take(&r->report, vars_with(r->report, (const char *)p, name, VAR_REPORT,
                                          (const char *)p + name + 1, value));
    return DIAL_READ;
}

static bool reported(const struct pg_raw *r, const char *name, const char *value)
{
    struct var_entry e;
    return var_set_find(r->report, name, strlen(name), &e) && strcmp(e.value, value) == 0;
}

/* target_session_attrs, by what servers from 14 on report. NULL: it fits. */
static const char *unfit(const struct pg_raw *r)
{
    const char *want = pg_raw_param(r, "target_session_attrs");
    bool standby = reported(r, "in_hot_standby", "on");
    bool read_only = standby || reported(r, "default_transaction_read_only", "on");
    if (strcmp(want, "read-write") == 0 && read_only)
        return "session is read-only";
    if (strcmp(want, "read-only") == 0 && !read_only)
        return "session is not read-only";
    if (strcmp(want, "primary") == 0 && standby)
        return "server is in hot standby mode";
    if (strcmp(want, "standby") == 0 && !standby)
        return "server is not in hot standby mode";
    return NULL; /* prefer-standby takes what comes first */
}

/* ---- questions
 * ------------------------------------------------------------------------------------------ */

void pg_raw_forget_answer(struct pg_raw *r)
{
    for (size_t i = 0; i < PG_RAW_COLUMNS; i++) {
        if (r->columns[i] != NULL)
            pg_crypto_wipe(r->columns[i], strlen(r->columns[i]));
        free(r->columns[i]);
        r->columns[i] = NULL;
    }
    r->rows = r->fields = 0;
    r->asked_failed = false;
}

static bool put_bind(struct buf *b, const char *param)
{
    static const uint8_t head[] = {0, 0, 0, 0, 0, 1}; /* unnamed both, text, one value */
    static const uint8_t tail[] = {0, 0};
    uint8_t length[4];
    size_t at;
    pg_put32(length, (uint32_t)strlen(param));
    return begin_message(b, 'B', &at) && buf_append(b, head, sizeof head) &&
           buf_append(b, length, sizeof length) && buf_append(b, param, strlen(param)) &&
           buf_append(b, tail, sizeof tail) && end_message(b, at);
}

static bool put_extended(struct buf *b, const char *sql, const char *param)
{
    static const uint8_t rest[] = {'E', 0, 0, 0, 9, 0, 0, 0, 0, 0, 'S', 0, 0, 0, 4};
    static const uint8_t types[] = {0, 0};
    size_t at;
    return begin_message(b, 'P', &at) && put_text(b, "") && put_text(b, sql) &&
           buf_append(b, types, sizeof types) && end_message(b, at) && put_bind(b, param) &&
           buf_append(b, rest, sizeof rest);
}

bool pg_raw_ask(struct pg_raw *r, const char *sql, const char *param)
{
    size_t at;
    pg_raw_forget_answer(r);
    r->state = RAW_QUERY;
    r->bytes = 0;
    r->messages = 0;
    return param != NULL ? put_extended(&r->out, sql, param)
                         : begin_message(&r->out, 'Q', &at) && put_text(&r->out, sql) &&
                               end_message(&r->out, at);
}

bool pg_raw_answer(const struct pg_raw *r, unsigned *rows, unsigned *fields, const char **columns,
                   struct err *e)
{
    *rows = r->rows;
    *fields = r->fields;
    for (size_t i = 0; i < PG_RAW_COLUMNS; i++)
        columns[i] = r->columns[i];
    if (r->asked_failed)
        *e = r->asked_error;
    return !r->asked_failed;
}

static enum dial_step on_row(struct pg_raw *r, const uint8_t *p, size_t n)
{
    if (r->rows++ != 0)
        return DIAL_READ;
    if (n < 2)
        return violation(r, "malformed DataRow");
    size_t at = 2;
    r->fields = pg_get16(p);
    for (size_t i = 0; i < r->fields && i < PG_RAW_COLUMNS; i++) {
        if (n - at < 4)
            return violation(r, "malformed DataRow");
        uint32_t len = pg_get32(p + at);
        at += 4;
        if (len == UINT32_MAX)
            continue;
        if (len > n - at || memchr(p + at, 0, len) != NULL)
            return violation(r, "malformed DataRow");
        r->columns[i] = strndup((const char *)p + at, len);
        if (r->columns[i] == NULL)
            return no_memory(r);
        at += len;
    }
    return DIAL_READ;
}

static void query_failed(struct pg_raw *r, const struct message *m)
{
    char code[6], text[240];
    (void)read_error(m, code, text, sizeof text);
    r->asked_failed = true;
    err_set(&r->asked_error, "%s", text);
    if (r->connect_query_sent)
        log_warn(NULL, "connect_query failed: %s", text);
}

/* ---- ReadyForQuery
 * ---------------------------------------------------------------------------------------- */

static enum dial_step on_ready(struct pg_raw *r, const struct message *m)
{
    if (m->n != 1 || (m->body[0] != 'I' && m->body[0] != 'T' && m->body[0] != 'E'))
        return violation(r, "malformed ReadyForQuery");
    if (m->body[0] != 'I')
        return pg_raw_fail(r, DIAL_FAIL_REFUSED, "25001",
                           "connect_query leaves a transaction open");
    const char *why = r->state == RAW_SETTLE ? unfit(r) : NULL;
    if (why != NULL) {
        (void)pg_raw_fail(r, DIAL_FAIL_POOL, "08006", "%s", why);
        r->next_host = true;
        return DIAL_FAILED;
    }
    const char *query = pg_raw_param(r, "connect_query");
    if (r->state == RAW_SETTLE && query[0] != '\0') {
        if (!pg_raw_ask(r, query, NULL))
            return no_memory(r);
        r->connect_query_sent = true;
        return DIAL_WRITE;
    }
    r->connect_query_sent = false;
    r->state = RAW_DONE;
    return DIAL_DONE;
}

/* ---- messages
 * ------------------------------------------------------------------------------------------------
 */

static enum dial_step on_query_message(struct pg_raw *r, const struct message *m)
{
    switch (m->type) {
    case 'D':
        return on_row(r, m->body, m->n);
    case 'E':
        query_failed(r, m);
        return DIAL_READ;
    case '1':
    case '2':
    case 'C':
    case 'I':
    case 'T':
    case 'n':
    case 's':
        return DIAL_READ;
    default:
        return violation(r, "unexpected message in answer to a question");
    }
}

static enum dial_step on_message(struct pg_raw *r, const struct message *m)
{
    bool in = r->state != RAW_AUTH;
    if (m->type == 'N' || (in && m->type == 'A'))
        return DIAL_READ;
    if (in && m->type == 'S')
        return on_parameter(r, m->body, m->n);
    if (r->state == RAW_DONE)
        return violation(r, "unexpected message after ReadyForQuery");
    if (in && m->type == 'Z')
        return on_ready(r, m);
    if (r->state == RAW_QUERY)
        return on_query_message(r, m);
    if (m->type == 'E')
        return on_error(r, m);
    if (!in && m->type == 'R')
        return on_auth(r, m->body, m->n);
    if (in && m->type == 'K') {
        if (m->n != 8)
            return violation(r, "malformed BackendKeyData");
        r->pid = pg_get32(m->body);
        r->key = pg_get32(m->body + 4);
        r->has_key = true;
        return DIAL_READ;
    }
    return violation(r, "unexpected message during login");
}

/* The next whole message; READ: not there yet. */
static enum dial_step next_message(struct pg_raw *r, struct message *m)
{
    if (buf_len(&r->in) < PG_HEAD_BYTES)
        return DIAL_READ;
    const uint8_t *p = buf_head(&r->in);
    uint32_t n = pg_get32(p + 1);
    if (n < 4 || n > MESSAGE_MAX)
        return violation(r, "message length out of bounds");
    if (buf_len(&r->in) < (size_t)n + 1)
        return DIAL_READ;
    r->bytes += n;
    if (r->bytes > BYTES_MAX || ++r->messages > MESSAGES_MAX)
        return violation(r, "the server says too much");
    *m = (struct message){.type = (char)p[0], .body = p + PG_HEAD_BYTES, .n = n - 4};
    return DIAL_DONE;
}

enum dial_step pg_raw_talk(struct pg_raw *r)
{
    struct message m;
    for (;;) {
        if (r->state == RAW_DONE && buf_len(&r->in) == 0) {
            buf_release(&r->in);
            return DIAL_DONE;
        }
        enum dial_step step = next_message(r, &m);
        if (step != DIAL_DONE)
            return step;
        size_t used = m.n + PG_HEAD_BYTES;
        step = on_message(r, &m);
        if (step == DIAL_FAILED)
            return step;
        pg_crypto_wipe(buf_head(&r->in), used);
        buf_consume(&r->in, used);
        if (step == DIAL_WRITE)
            return step;
    }
}
