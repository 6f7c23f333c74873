/* SPDX-License-Identifier: ISC
 * What is said during a login to a server. Pure: bytes in, bytes out. See my_dial.h.
 */
#include "config.h"

#include "base/log.h"
#include "proto/mysql/my_dial_priv.h"
#include "proto/mysql/my_handshake.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKETS_MAX 2000u          /* of a login, and of an answer */
#define PACKET_MAX  (256u * 1024u) /* nothing longer is said before the relay begins */
#define CHARSET     45u            /* utf8mb4_general_ci: both products have it */
#define HEAD_BYTES  32u

static const char tracking[] =
    "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, SESSION session_track_system_variables='*',"
    " SESSION session_track_schema=ON, SESSION session_track_state_change=ON";

/* What clients set most: known values make a SET of the same an idle one. And, at the end, what may
 * be set to its default, but not to the value that it has then. */
static const char base_sql[] =
    "SHOW SESSION VARIABLES WHERE Variable_name IN ('autocommit','sql_mode','time_zone',"
    "'tx_isolation','transaction_isolation','tx_read_only','transaction_read_only',"
    "'character_set_client','character_set_connection','character_set_results',"
    "'collation_connection','foreign_key_checks','unique_checks','sql_auto_is_null',"
    "'sql_safe_updates','sql_select_limit','max_execution_time','max_statement_time',"
    "'lock_wait_timeout','innodb_lock_wait_timeout','group_concat_max_len','sql_big_selects',"
    "'default_storage_engine','sql_notes','sql_warnings','sql_quote_show_create','big_tables',"
    "'auto_increment_increment','auto_increment_offset','lc_time_names','lc_messages',"
    "'long_query_time','sort_buffer_size','join_buffer_size','tmp_table_size',"
    "'max_heap_table_size','optimizer_switch','div_precision_increment',"
    "'character_set_server','collation_server','default_collation_for_utf8mb4',"
    "'character_set_collations','max_prepared_stmt_count','init_connect','completion_type',"
    "'system_versioning_asof','binlog_format','binlog_row_image','binlog_annotate_row_events',"
    "'binlog_direct_non_transactional_updates','gtid_domain_id','server_id','innodb_tmpdir',"
    "'innodb_ft_user_stopword_table','innodb_strict_mode','restrict_fk_on_non_standard_key')";

const char *my_dial_tracking(const struct my_dial *d)
{
    (void)d;
    return tracking;
}

static enum dial_step no_memory(struct my_dial *d)
{
    return my_dial_fail(d, DIAL_FAIL_REACH, "HY000", "out of memory");
}

static enum dial_step nonsense(struct my_dial *d, const char *what)
{
    return my_dial_fail(d, DIAL_FAIL_REACH, "08S01", "the server broke the protocol: %s", what);
}

static bool send_packet(struct my_dial *d, const void *p, size_t n)
{
    return my_put_packet(&d->out, d->seq++, p, n);
}

static bool send_query(struct my_dial *d, const char *sql)
{
    size_t n = strlen(sql);
    uint8_t *to = buf_reserve(&d->out, MY_HEAD_BYTES + 1 + n);
    if (to == NULL)
        return false;
    my_put_head(to, (uint32_t)n + 1, 0);
    to[MY_HEAD_BYTES] = MY_COM_QUERY;
    memcpy(to + MY_HEAD_BYTES + 1, sql, n);
    buf_commit(&d->out, MY_HEAD_BYTES + 1 + n);
    return true;
}

/* ---- errors ------------------------------------------------------------------------------------
 */

#define MY_PROXY_ERRORS 9000u /* no server's: another proxy has none to give */

static enum dial_failure kind_of(unsigned code)
{
    switch (code) {
    case MY_ER_CON_COUNT:
        return DIAL_FAIL_LIMIT;
    case MY_ER_USER_CONNECTIONS:
    case MY_ER_USER_LIMIT:
        return DIAL_FAIL_USER;
    case 1037: /* out of memory */
    case 1038:
    case MY_ER_OUT_OF_RESOURCES:
    case MY_ER_SERVER_SHUTDOWN:
    case 1077: /* words of a shutdown */
    case 1078:
    case 1079:
    case 1080:
    case MY_ER_UNKNOWN: /* what proxies say */
    case 1135:          /* no thread */
    case 1152:          /* the network, */
    case 1158:
    case MY_ER_NET_READ_INTERRUPTED:
    case 1160:
    case 1161:
    case 1184: /* to here */
    case MY_ER_QUERY_INTERRUPTED:
    case 1927: /* killed */
    case 3032: /* offline */
    case 3168: /* not available */
    case 3169: /* killed */
    case MY_ER_CLIENT_INTERACTION:
        return DIAL_FAIL_REACH;
    case MY_ER_DB_ACCESS_DENIED:
    case MY_ER_BAD_DB:
        return DIAL_FAIL_MISSING;
    default: /* What a client asked for, a name too long, say, must not count against the server. */
        return code >= MY_PROXY_ERRORS ? DIAL_FAIL_REACH : DIAL_FAIL_REFUSED;
    }
}

static unsigned read_error(const uint8_t *p, size_t n, char *text, size_t room)
{
    struct my_reader r = my_reader_of(p + 1, n - 1);
    unsigned code = (unsigned)my_read_int(&r, 2);
    if (my_left(&r) >= 6 && *r.p == '#')
        r.p += 6;
    struct my_view v = my_read_rest(&r);
    size_t len = v.n < room - 1 ? v.n : room - 1;
    if (len != 0)
        memcpy(text, v.p, len);
    text[len] = '\0';
    if (len == 0)
        snprintf(text, room, "error %u", code);
    return code;
}

/* What there is answers mysql_native_password and nothing else. */
static bool knows_sha1_only(const struct my_dial *d)
{
    return d->plugin == MY_P_SHA2 && my_dial_param(d->origin, "password")[0] == '\0' &&
           my_dial_param(d->origin, "sha2_sha256")[0] == '\0' &&
           my_dial_param(d->origin, "native_sha1")[0] != '\0';
}

static enum dial_step on_error(struct my_dial *d, const uint8_t *p, size_t n)
{
    char number[8], text[200];
    if (n < 3)
        return nonsense(d, "a short error");
    unsigned code = read_error(p, n, text, sizeof text);
    if (kind_of(code) == DIAL_FAIL_REACH)
        memcpy(number, "08S01", 6);
    else
        (void)snprintf(number, sizeof number, MY_DIAL_NUMBER "%04u", code % 10000);
    if (d->state == MY_D_QUERY) {
        if (d->running_connect_query)
            log_warn(NULL, "connect_query failed: %s", text);
        snprintf(d->refused, sizeof d->refused, "%s", text);
        d->state = MY_D_DONE;
        return DIAL_DONE;
    }
    d->next_host = code == MY_ER_CON_COUNT || kind_of(code) == DIAL_FAIL_REACH;
    if (code == MY_ER_ACCESS_DENIED && knows_sha1_only(d))
        return my_dial_fail(d, DIAL_FAIL_REFUSED, number,
                            "the server wants caching_sha2_password, and of this password only its "
                            "SHA1 is known (from *HEX, say): the password itself is needed");
    return my_dial_fail(d, kind_of(code), number, "%s", text);
}

/* ---- the greeting -------------------------------------------------------------------------------
 */

static enum my_plugin plugin_of(const char *name)
{
    if (strcmp(name, "mysql_native_password") == 0)
        return MY_P_NATIVE;
    if (strcmp(name, "caching_sha2_password") == 0)
        return MY_P_SHA2;
    if (strcmp(name, "mysql_clear_password") == 0)
        return MY_P_CLEAR;
    return MY_P_OTHER;
}

static const char *plugin_name(enum my_plugin p)
{
    return p == MY_P_SHA2    ? "caching_sha2_password"
           : p == MY_P_CLEAR ? "mysql_clear_password"
                             : "mysql_native_password";
}

static bool read_version(struct my_dial *d, struct my_view v)
{
    size_t n = v.n < sizeof d->version - 1 ? v.n : sizeof d->version - 1;
    if (v.p == NULL || n == 0)
        return false;
    memcpy(d->version, v.p, n);
    d->version[n] = '\0';
    d->mariadb = strstr(d->version, "MariaDB") != NULL || strncmp(d->version, "5.5.5-", 6) == 0;
    return true;
}

/* What the answer to a greeting begins with, and SSLRequest is. */
static void put_head(const struct my_dial *d, uint8_t head[HEAD_BYTES])
{
    struct my_wire_caps caps = my_caps_to_wire(d->caps);
    memset(head, 0, HEAD_BYTES);
    my_put32(head, caps.first);
    my_put32(head + 4, MY_PACKET_FULL + 1);
    head[8] = CHARSET;
    my_put32(head + HEAD_BYTES - 4, caps.last);
}

static enum dial_step on_greeting(struct my_dial *d, const uint8_t *p, size_t n)
{
    struct my_reader r = my_reader_of(p, n);
    if (my_read_int(&r, 1) != 10)
        return nonsense(d, "not a greeting of protocol 10");
    if (!read_version(d, my_read_nul(&r)))
        return nonsense(d, "a greeting without a version");
    d->origin->thread_id = (uint32_t)my_read_int(&r, 4);
    struct my_view salt1 = my_read_bytes(&r, 8);
    (void)my_read_int(&r, 1);
    d->server_caps = (uint32_t)my_read_int(&r, 2);
    d->charset = (uint8_t)my_read_int(&r, 1);
    (void)my_read_int(&r, 2);
    d->server_caps |= (uint32_t)my_read_int(&r, 2) << 16;
    (void)my_read_int(&r, 1);
    (void)my_read_bytes(&r, 6);
    uint32_t late = (uint32_t)my_read_int(&r, 4);
    d->server_caps = my_caps_of_wire((struct my_wire_caps){d->server_caps, late});
    struct my_view salt2 = my_read_bytes(&r, 12);
    if (r.bad)
        return nonsense(d, "a short greeting");
    memcpy(d->salt, salt1.p, 8);
    memcpy(d->salt + 8, salt2.p, 12);
    d->plugin = MY_P_NATIVE;
    if ((d->server_caps & MY_CAP_PLUGIN_AUTH) != 0 && my_left(&r) > 1) {
        (void)my_read_int(&r, 1);
        struct my_view name = my_read_nul(&r);
        if (name.p != NULL)
            d->plugin = plugin_of((const char *)name.p);
    }
    uint32_t must = MY_CAP_PROTOCOL_41 | MY_CAP_SECURE_CONNECTION;
    if ((d->server_caps & must) != must)
        return my_dial_fail(d, DIAL_FAIL_REFUSED, "08004", "the server is too old");
    d->caps = MY_CAPS_WANTED & d->server_caps;
    if (my_dial_param(d->origin, "dbname")[0] != '\0')
        d->caps |= MY_CAP_CONNECT_WITH_DB & d->server_caps;
    unsigned long flags = strtoul(my_dial_param(d->origin, "pool_flags"), NULL, 16);
    d->caps |= (uint32_t)flags & MY_CAP_FOUND_ROWS;
    if ((flags & MY_CAP_MULTI_RESULTS) != 0)
        d->caps &= ~MY_CAPS_SINGLE;
    if (d->mode == DIAL_SSL_DISABLE || d->local)
        return my_dial_answer(d);
    if ((d->server_caps & MY_CAP_SSL) == 0) {
        if (d->mode <= DIAL_SSL_PREFER)
            return my_dial_answer(d);
        return my_dial_fail(d, DIAL_FAIL_REFUSED, "08001",
                            "the server does not support TLS, but TLS was required");
    }
    d->caps |= MY_CAP_SSL;
    uint8_t request[HEAD_BYTES];
    put_head(d, request);
    d->state = MY_D_TLS;
    return send_packet(d, request, sizeof request) ? DIAL_WRITE : no_memory(d);
}

/* ---- proving who we are -------------------------------------------------------------------------
 */

static bool from_hex(const char *hex, uint8_t *out, size_t n)
{
    if (strlen(hex) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int a = OPENSSL_hexchar2int((unsigned char)hex[2 * i]);
        int b = OPENSSL_hexchar2int((unsigned char)hex[2 * i + 1]);
        if (a < 0 || b < 0)
            return false;
        out[i] = (uint8_t)(a * 16 + b);
    }
    return true;
}

static bool is_safe(const struct my_dial *d)
{
    return d->ssl != NULL || d->local;
}

/* Without a password known: 0 bytes, or the answer by what a client proved. */
static size_t native_answer(const struct my_dial *d, uint8_t *out)
{
    const char *pw = my_dial_param(d->origin, "password");
    uint8_t hash[MY_SHA1_BYTES];
    if (pw[0] != '\0')
        my_sha1(pw, strlen(pw), hash);
    else if (!from_hex(my_dial_param(d->origin, "native_sha1"), hash, sizeof hash))
        return 0;
    my_native_answer(hash, d->salt, out);
    OPENSSL_cleanse(hash, sizeof hash);
    return MY_SHA1_BYTES;
}

static size_t sha2_answer(const struct my_dial *d, uint8_t *out)
{
    const char *pw = my_dial_param(d->origin, "password");
    uint8_t hash[MY_SHA256_BYTES];
    if (pw[0] != '\0')
        my_sha256(pw, strlen(pw), hash);
    else if (!from_hex(my_dial_param(d->origin, "sha2_sha256"), hash, sizeof hash))
        return 0;
    my_sha2_answer(hash, d->salt, out);
    OPENSSL_cleanse(hash, sizeof hash);
    return MY_SHA256_BYTES;
}

/* An answer of the plugin at hand; *n of it. false: it can't be given. */
static bool compose_answer(struct my_dial *d, uint8_t *out, size_t room, size_t *n)
{
    const char *pw = my_dial_param(d->origin, "password");
    *n = 0;
    switch (d->plugin) {
    case MY_P_NATIVE:
        *n = native_answer(d, out);
        return true;
    case MY_P_SHA2:
        *n = sha2_answer(d, out);
        return true;
    case MY_P_CLEAR:
        if (d->ssl == NULL && !d->local) {
            (void)my_dial_fail(d, DIAL_FAIL_REFUSED, "08001",
                               "the server wants the clear password, which goes over TLS only");
            return false;
        }
        if (strlen(pw) + 1 > room)
            break;
        memcpy(out, pw, strlen(pw) + 1);
        *n = strlen(pw) + 1;
        return true;
    case MY_P_OTHER:
        break;
    }
    (void)my_dial_fail(d, DIAL_FAIL_REFUSED, "28000",
                       "the server wants an authentication plugin that weir does not have");
    return false;
}

static bool put_text(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text) + 1);
}

static bool put_attribute(struct buf *b, const char *key, const char *value)
{
    uint8_t kn = (uint8_t)strlen(key), vn = (uint8_t)strlen(value);
    return buf_append(b, &kn, 1) && buf_append(b, key, kn) && buf_append(b, &vn, 1) &&
           buf_append(b, value, vn);
}

static bool put_attributes(struct buf *b)
{
    struct buf a = {0};
    bool ok = put_attribute(&a, "_client_name", "weir") &&
              put_attribute(&a, "_client_version", PACKAGE_VERSION) &&
              put_attribute(&a, "program_name", "weir");
    uint8_t n = (uint8_t)buf_len(&a);
    ok = ok && buf_append(b, &n, 1) && buf_append(b, buf_head(&a), n);
    buf_release(&a);
    return ok;
}

enum dial_step my_dial_answer(struct my_dial *d)
{
    uint8_t head[HEAD_BYTES], answer[512], len;
    size_t n;
    /* A plugin that weir hasn't got may be the server's default only: begin with one it has. */
    if (d->plugin == MY_P_OTHER || d->plugin == MY_P_CLEAR)
        d->plugin = d->mariadb ? MY_P_NATIVE : MY_P_SHA2;
    if (!compose_answer(d, answer, sizeof answer, &n))
        return DIAL_FAILED;
    struct buf b = {0};
    put_head(d, head);
    len = (uint8_t)n;
    bool ok = buf_append(&b, head, sizeof head) && put_text(&b, my_dial_param(d->origin, "user")) &&
              buf_append(&b, &len, 1) && buf_append(&b, answer, n);
    if ((d->caps & MY_CAP_CONNECT_WITH_DB) != 0)
        ok = ok && put_text(&b, my_dial_param(d->origin, "dbname"));
    if ((d->caps & MY_CAP_PLUGIN_AUTH) != 0)
        ok = ok && put_text(&b, plugin_name(d->plugin));
    if ((d->caps & MY_CAP_CONNECT_ATTRS) != 0)
        ok = ok && put_attributes(&b);
    ok = ok && send_packet(d, buf_head(&b), buf_len(&b));
    buf_release(&b);
    OPENSSL_cleanse(answer, sizeof answer);
    d->state = MY_D_AUTH;
    return ok ? DIAL_WRITE : no_memory(d);
}

static enum dial_step on_switch(struct my_dial *d, const uint8_t *p, size_t n)
{
    struct my_reader r = my_reader_of(p + 1, n - 1);
    struct my_view name = my_read_nul(&r);
    struct my_view salt = my_read_bytes(&r, MY_SALT_BYTES);
    uint8_t answer[512];
    size_t len;
    if (d->switched)
        return nonsense(d, "a second change of the authentication plugin");
    if (name.p == NULL) /* one byte: the plugin of before 4.1 */
        return my_dial_fail(d, DIAL_FAIL_REFUSED, "28000",
                            "the server wants mysql_old_password, which is not safe");
    d->switched = true;
    d->plugin = plugin_of((const char *)name.p);
    if (d->plugin == MY_P_OTHER)
        return my_dial_fail(d, DIAL_FAIL_REFUSED, "28000",
                            "the server wants the authentication plugin \"%.60s\", which weir does "
                            "not have",
                            (const char *)name.p);
    if (d->plugin != MY_P_CLEAR) {
        if (r.bad)
            return nonsense(d, "a change of the plugin without a salt");
        memcpy(d->salt, salt.p, sizeof d->salt);
    }
    if (!compose_answer(d, answer, sizeof answer, &len))
        return DIAL_FAILED;
    bool ok = send_packet(d, answer, len);
    OPENSSL_cleanse(answer, sizeof answer);
    return ok ? DIAL_WRITE : no_memory(d);
}

/* caching_sha2_password: the server's cache doesn't know us. */
static enum dial_step full_login(struct my_dial *d)
{
    static const uint8_t ask[] = {2};
    const char *pw = my_dial_param(d->origin, "password");
    if (d->gave_all)
        return nonsense(d, "it wants the password a second time");
    d->gave_all = true;
    if (pw[0] == '\0')
        return my_dial_fail(d, DIAL_FAIL_REFUSED, "28000",
                            "the server wants the password itself, and only its hash is known");
    if (is_safe(d))
        return send_packet(d, pw, strlen(pw) + 1) ? DIAL_WRITE : no_memory(d);
    d->wants_key = true;
    return send_packet(d, ask, sizeof ask) ? DIAL_WRITE : no_memory(d);
}

static enum dial_step on_more(struct my_dial *d, const uint8_t *p, size_t n)
{
    if (d->plugin != MY_P_SHA2 || n < 2)
        return nonsense(d, "data that no plugin asked for");
    if (d->wants_key) {
        struct buf secret = {0};
        d->wants_key = false;
        bool ok = my_rsa_encrypt((const char *)p + 1, n - 1, my_dial_param(d->origin, "password"),
                                 d->salt, &secret) &&
                  send_packet(d, buf_head(&secret), buf_len(&secret));
        buf_release(&secret);
        return ok ? DIAL_WRITE : nonsense(d, "a public key that is none");
    }
    if (n == 2 && p[1] == 3)
        return DIAL_DONE; /* OK follows */
    if (n == 2 && p[1] == 4)
        return full_login(d);
    return nonsense(d, "an unknown step of caching_sha2_password");
}

static enum dial_step on_auth(struct my_dial *d, const uint8_t *p, size_t n)
{
    switch (p[0]) {
    case 0x00:
        d->state = MY_D_SETUP;
        return send_query(d, tracking) && send_query(d, base_sql) ? DIAL_WRITE : no_memory(d);
    case 0x01:
        return on_more(d, p, n);
    case 0xfe:
        return on_switch(d, p, n);
    case 0xff:
        return on_error(d, p, n);
    default:
        return nonsense(d, "an answer to the login that is none");
    }
}

/* ---- afterwards ---------------------------------------------------------------------------------
 */

static uint32_t number(struct my_view v)
{
    uint64_t n = 0;
    for (size_t i = 0; v.p != NULL && i < v.n && v.p[i] >= '0' && v.p[i] <= '9'; i++)
        n = n < UINT32_MAX ? n * 10 + (uint64_t)(v.p[i] - '0') : n;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static bool take_base(struct my_dial *d)
{
    struct my_reader row;
    d->base = vars_empty();
    for (size_t i = 0; d->base != NULL && my_dial_row(d, i, &row); i++) {
        struct my_view name = my_read_lenenc_bytes(&row), value = my_read_lenenc_bytes(&row);
        if (row.bad || name.n == 0)
            return false;
        const char *text = value.p != NULL ? (const char *)value.p : "";
        if (my_view_is(name, "max_prepared_stmt_count")) { /* not the session's */
            d->max_prepared = number(value);
            continue;
        }
        if (my_view_is(name, "init_connect")) {
            d->init_connect = value.n != 0;
            continue;
        }
        (void)vars_take(&d->base,
                        vars_with(d->base, (const char *)name.p, name.n, VAR_PLAIN, text, value.n));
    }
    return d->base != NULL;
}

static enum dial_step finish(struct my_dial *d)
{
    const char *sql = my_dial_param(d->origin, "connect_query");
    if (sql[0] == '\0') {
        d->state = MY_D_DONE;
        return DIAL_DONE;
    }
    bool ok = my_dial_query(d, sql);
    d->running_connect_query = true;
    return ok ? DIAL_WRITE : no_memory(d);
}

bool my_dial_query(struct my_dial *d, const char *sql)
{
    d->state = MY_D_QUERY;
    d->packets = 0;
    d->ends = d->columns = 0;
    d->refused[0] = '\0';
    d->running_connect_query = false;
    buf_release(&d->rows);
    return send_query(d, sql);
}

/* The end of an answer, with the server's status. */
static enum dial_step answered(struct my_dial *d, unsigned status)
{
    if ((status & MY_ST_MORE_RESULTS) != 0) {
        d->columns = d->ends = 0;
        return DIAL_DONE;
    }
    if (d->running_connect_query && (status & MY_ST_IN_TRANS) != 0)
        return my_dial_fail(d, DIAL_FAIL_REFUSED, "25000",
                            "connect_query leaves a transaction open");
    if (d->state == MY_D_BASE) {
        bool ok = take_base(d);
        buf_release(&d->rows);
        return ok ? finish(d) : nonsense(d, "variables that can't be read");
    }
    d->state = MY_D_DONE;
    return DIAL_DONE;
}

/* The first packet of an answer: an OK, or the number of its columns. */
static enum dial_step on_answer_head(struct my_dial *d, const uint8_t *p, size_t n)
{
    struct my_ok ok;
    if (p[0] == 0xfb)
        return my_dial_fail(d, DIAL_FAIL_REFUSED, "0A000", "the server asks for a file");
    if (p[0] != 0x00) {
        d->columns = 1;
        return DIAL_DONE;
    }
    if (!my_read_ok(p, n, (d->caps & MY_CAP_SESSION_TRACK) != 0, &ok))
        return nonsense(d, "an OK that is none");
    if (d->state == MY_D_SETUP && (ok.status & MY_ST_MORE_RESULTS) == 0) {
        d->state = MY_D_BASE;
        return DIAL_DONE;
    }
    return answered(d, ok.status);
}

/* A packet of a text result, or an OK. */
static enum dial_step on_answer(struct my_dial *d, const uint8_t *p, size_t n)
{
    if (p[0] == 0xff)
        return on_error(d, p, n);
    if (d->columns == 0)
        return on_answer_head(d, p, n);
    if (n < 9 && p[0] == 0xfe) {
        if (n != 5)
            return nonsense(d, "an EOF that is none");
        return ++d->ends == 2 ? answered(d, my_get16(p + 3)) : DIAL_DONE;
    }
    if (d->ends == 1 && (buf_len(&d->rows) > PACKET_MAX || !my_put_packet(&d->rows, 0, p, n)))
        return nonsense(d, "an endless answer");
    return DIAL_DONE;
}

bool my_dial_row(const struct my_dial *d, size_t i, struct my_reader *out)
{
    const uint8_t *p = buf_len(&d->rows) != 0 ? buf_head(&d->rows) : NULL;
    size_t n = buf_len(&d->rows);
    for (size_t at = 0; at + MY_HEAD_BYTES <= n; at += MY_HEAD_BYTES + my_get24(p + at)) {
        if (i-- != 0)
            continue;
        *out = my_reader_of(p + at + MY_HEAD_BYTES, my_get24(p + at));
        return true;
    }
    return false;
}

static enum dial_step one(struct my_dial *d, const uint8_t *p, size_t n)
{
    switch (d->state) {
    case MY_D_GREETING:
        return p[0] == 0xff ? on_error(d, p, n) : on_greeting(d, p, n);
    case MY_D_AUTH:
        return on_auth(d, p, n);
    case MY_D_SETUP:
    case MY_D_BASE:
    case MY_D_QUERY:
        return on_answer(d, p, n);
    case MY_D_CONNECT:
    case MY_D_TLS:
    case MY_D_HANDSHAKE:
    case MY_D_DONE:
    case MY_D_FAILED:
        break;
    }
    return nonsense(d, "words that nobody asked for");
}

/* Errors that end a connection come with any number. */
static bool in_order(const struct my_dial *d, const uint8_t *p)
{
    return d->state > MY_D_AUTH || p[3] == d->seq || p[MY_HEAD_BYTES] == 0xff;
}

enum dial_step my_dial_talk(struct my_dial *d)
{
    for (;;) {
        if (buf_len(&d->in) < MY_HEAD_BYTES)
            return DIAL_READ;
        uint8_t *p = buf_head(&d->in);
        uint32_t len = my_get24(p);
        if (len == 0 || len > PACKET_MAX)
            return nonsense(d, "a packet of unlikely length");
        if (buf_len(&d->in) < MY_HEAD_BYTES + (size_t)len)
            return DIAL_READ;
        if (++d->packets > PACKETS_MAX)
            return nonsense(d, "too many packets");
        if (!in_order(d, p))
            return nonsense(d, "packets out of order");
        if (d->state <= MY_D_AUTH)
            d->seq = (uint8_t)(p[3] + 1);
        enum dial_step step = one(d, p + MY_HEAD_BYTES, len);
        if (d->state == MY_D_FAILED)
            return DIAL_FAILED;
        buf_consume(&d->in, MY_HEAD_BYTES + (size_t)len);
        if (d->state == MY_D_DONE && buf_len(&d->in) != 0)
            return nonsense(d, "words that nobody asked for");
        if (step != DIAL_DONE || d->state == MY_D_DONE)
            return step;
    }
}
