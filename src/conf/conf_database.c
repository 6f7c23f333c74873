/* SPDX-License-Identifier: ISC
 * A line of [databases], understood: connection string or URL, weir's options, the database
 * library's own, and where the password comes from.
 *
 * Messages name options, never values that could be, or be part of, a password.
 */
#include "config.h"

#include "conf/conf_priv.h"

#include "conf/conf_dsn.h"
#include "conf/conf_file.h"
#include "conf/conf_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PORT_POSTGRES 5432
#define PORT_MYSQL    3306
#define GIVEN_MAX     96
#define HOSTS_MAX     64

/* What libpq takes, up to PostgreSQL 18; which of them the libpq at hand knows it says itself. */
static const char *const libpq_params[] = {"application_name",
                                           "channel_binding",
                                           "connect_timeout",
                                           "fallback_application_name",
                                           "gssdelegation",
                                           "gssencmode",
                                           "gsslib",
                                           "keepalives",
                                           "keepalives_count",
                                           "keepalives_idle",
                                           "keepalives_interval",
                                           "krbsrvname",
                                           "max_protocol_version",
                                           "min_protocol_version",
                                           "oauth_client_id",
                                           "oauth_client_secret",
                                           "oauth_issuer",
                                           "oauth_scope",
                                           "options",
                                           "passfile",
                                           "require_auth",
                                           "requirepeer",
                                           "scram_client_key",
                                           "scram_server_key",
                                           "service",
                                           "servicefile",
                                           "ssl_max_protocol_version",
                                           "ssl_min_protocol_version",
                                           "sslcert",
                                           "sslcertmode",
                                           "sslcompression",
                                           "sslcrl",
                                           "sslcrldir",
                                           "sslkey",
                                           "sslkeylogfile",
                                           "sslmode",
                                           "sslnegotiation",
                                           "sslpassword",
                                           "sslrootcert",
                                           "sslsni",
                                           "target_session_attrs",
                                           "tcp_user_timeout",
                                           NULL};
static const char *const mysql_params[] = {"charset", "connect_timeout", "ssl-ca",  "ssl-cert",
                                           "ssl-key", "ssl-mode",        "sslcert", "sslkey",
                                           "sslmode", "sslrootcert",     NULL};
static const char *const startup_params[] = {"client_encoding", "datestyle", "timezone", NULL};
/* Understood here, beside the rows of conf_option.c. */
static const char *const own_params[] = {"host",          "hostaddr",     "port",
                                         "password_file", "password_env", NULL};
/* As MySQL's programs and as libpq have it. */
static const char *const mysql_ssl_modes[] = {"DISABLED",  "PREFERRED",       "REQUIRED",
                                              "VERIFY_CA", "VERIFY_IDENTITY", NULL};
static const char *const libpq_ssl_modes[] = {"disable",   "allow",       "prefer", "require",
                                              "verify-ca", "verify-full", NULL};
static const char *const ignored_params[] = {"reserve_pool", "reserve_pool_size", NULL};

struct builder {
    struct conf_loader *l;
    const struct conf_raw *raw;
    struct conf_arena *arena;
    struct conf_database *db;
    const char *given[GIVEN_MAX]; /* options seen, against duplicates */
    size_t n_given;
    bool after_secret; /* the pair before was a password */
    bool bad;
    const char *host; /* lists, separated by commas; NULL: not given */
    const char *hostaddr;
    const char *port;
    const char *socket; /* MySQL's: instead of the host */
    const char *password_file;
    const char *password_env;
    struct conf_host *hosts;
    struct conf_param *params;
    struct conf_param *startup;
};

__attribute__((format(printf, 2, 3))) static void fault(struct builder *b, const char *fmt, ...)
{
    char text[320];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    b->bad = true;
    conf_report_add(b->l->report, CONF_ERROR, b->raw->at.file, b->raw->at.line, "%s: %s",
                    b->raw->name, text);
}

static bool listed(const char *const *names, const char *key)
{
    for (; *names != NULL; names++)
        if (strcmp(*names, key) == 0)
            return true;
    return false;
}

static void nearest(const char *const *names, const char *key, const char **best, size_t *least)
{
    for (; *names != NULL; names++) {
        size_t d = conf_distance(key, *names);
        if (d < *least) {
            *least = d;
            *best = *names;
        }
    }
}

static void fault_unknown(struct builder *b, const char *key)
{
    if (b->after_secret) {
        fault(b, "unknown option after the password; a password with a blank needs quotes ('')");
        return;
    }
    const char *best = NULL;
    size_t least = strlen(key) / 3 + 2;
    for (size_t i = 0; conf_option_at(CONF_KIND_DATABASE, i) != NULL; i++) {
        const char *one[] = {conf_option_at(CONF_KIND_DATABASE, i)->name, NULL};
        nearest(one, key, &best, &least);
    }
    nearest(own_params, key, &best, &least);
    nearest(startup_params, key, &best, &least);
    nearest(b->db->proto == CONF_PROTO_MYSQL ? mysql_params : libpq_params, key, &best, &least);
    if (best != NULL)
        fault(b, "unknown option \"%.60s\"; did you mean %s?", key, best);
    else
        fault(b, "unknown option \"%.60s\"", key);
}

static void push_param(struct builder *b, struct conf_param **array, size_t *n, const char *key,
                       const char *value)
{
    struct conf_param *p = conf_arena_push(b->arena, array, n, sizeof *p);
    if (p == NULL)
        return;
    p->key = conf_arena_text(b->arena, key);
    p->value = conf_arena_text(b->arena, value);
}

/* The options that are neither rows nor the library's. */
static void take_own(struct builder *b, const char *key, const char *value)
{
    const char *copy = conf_arena_text(b->arena, value);
    if (strcmp(key, "host") == 0)
        b->host = copy;
    else if (strcmp(key, "hostaddr") == 0)
        b->hostaddr = copy;
    else if (strcmp(key, "port") == 0)
        b->port = copy;
    else if (strcmp(key, "password_file") == 0)
        b->password_file = copy;
    else
        b->password_env = copy;
}

static void take_row(struct builder *b, const struct conf_setting *row, const char *value)
{
    struct err err;
    if (row->type == CONF_TYPE_STR && value[0] == '\0')
        return; /* '' is the same as leaving it out */
    if (!conf_setting_parse(row, value, b->db, b->arena, &err))
        fault(b, "%s: %s", row->name, err.text);
}

/* Nobody behind weir checks these, as libpq does. */
static void take_mysql(struct builder *b, const char *key, const char *value)
{
    bool own = strcmp(key, "ssl-mode") == 0;
    if (own && !listed(mysql_ssl_modes, value))
        fault(b,
              "ssl-mode \"%.40s\" is none of DISABLED, PREFERRED, REQUIRED, VERIFY_CA, "
              "VERIFY_IDENTITY",
              value);
    else if (strcmp(key, "sslmode") == 0 && !listed(libpq_ssl_modes, value))
        fault(b,
              "sslmode \"%.40s\" is none of disable, allow, prefer, require, verify-ca, "
              "verify-full",
              value);
    else
        push_param(b, &b->params, &b->db->n_params, key, value);
}

static void take_pair(struct builder *b, const char *key, const char *value)
{
    for (size_t i = 0; i < b->n_given; i++)
        if (strcmp(b->given[i], key) == 0) {
            fault(b, "%.60s is given twice", key);
            return;
        }
    if (strpbrk(value, "\r\n") != NULL) {
        fault(b, "%.60s has a line break in it", key);
        return;
    }
    const struct conf_setting *row = conf_option_find(CONF_KIND_DATABASE, key);
    bool mysql = b->db->proto == CONF_PROTO_MYSQL;
    if (row != NULL)
        take_row(b, row, value);
    else if (listed(own_params, key))
        take_own(b, key, value);
    else if (mysql && strcmp(key, "socket") == 0)
        b->socket = conf_arena_text(b->arena, value);
    else if (listed(ignored_params, key))
        conf_report_add(b->l->report, CONF_WARNING, b->raw->at.file, b->raw->at.line,
                        "%s: %s has no meaning here: the bound is exact", b->raw->name, key);
    else if (!mysql && listed(startup_params, key))
        push_param(b, &b->startup, &b->db->n_startup, key, value);
    else if (mysql && listed(mysql_params, key))
        take_mysql(b, key, value);
    else if (!mysql && listed(libpq_params, key))
        push_param(b, &b->params, &b->db->n_params, key, value);
    else if (strcmp(key, "replication") == 0)
        fault(b, "replication can't be set here; a client asks for it itself");
    else
        fault_unknown(b, key);
    b->after_secret = strstr(key, "password") != NULL;
    if (b->n_given < GIVEN_MAX)
        b->given[b->n_given++] = conf_arena_text(&b->l->scratch, key);
}

static size_t items(const char *list)
{
    size_t n = 1;
    for (; *list != '\0'; list++)
        n += *list == ',';
    return n;
}

/* One more item of a list separated by commas. */
static void list_add(char *list, size_t room, bool first, const char *text)
{
    size_t used = strlen(list);
    (void)snprintf(list + used, room - used, "%s%s", first ? "" : ",", text);
}

/* host:port,host:port of a URL into the two lists that libpq has for it. */
static void take_url_hosts(struct builder *b, char *hosts)
{
    size_t room = strlen(hosts) + 2;
    char *host_list = conf_arena_alloc(&b->l->scratch, room);
    char *port_list = conf_arena_alloc(&b->l->scratch, room);
    if (host_list == NULL || port_list == NULL || *hosts == '\0')
        return;
    if (items(hosts) > HOSTS_MAX) {
        fault(b, "more than %d hosts", HOSTS_MAX);
        return;
    }
    struct err err;
    char *host, *port;
    bool first = true, any_host = false, any_port = false;
    enum conf_next next;
    while ((next = conf_url_next_host(&hosts, &host, &port, &err)) == CONF_NEXT_ITEM) {
        if (strchr(host, ',') != NULL) {
            fault(b, "a host of the URL has a comma in it");
            return;
        }
        list_add(host_list, room, first, host);
        list_add(port_list, room, first, port == NULL ? "" : port);
        first = false;
        any_host |= *host != '\0';
        any_port |= port != NULL;
    }
    if (next == CONF_NEXT_BAD)
        fault(b, "%s", err.text);
    else if (any_host)
        take_pair(b, "host", host_list);
    if (any_port)
        take_pair(b, "port", port_list);
}

static void take_url(struct builder *b, char *text)
{
    struct conf_url url;
    struct err err;
    if (!conf_url_split(text, &url, &err)) {
        fault(b, "%s", err.text);
        return;
    }
    b->db->proto = url.mysql ? CONF_PROTO_MYSQL : CONF_PROTO_POSTGRES;
    take_url_hosts(b, url.hosts);
    if (url.user != NULL)
        take_pair(b, "user", url.user);
    if (url.password != NULL)
        take_pair(b, "password", url.password);
    if (url.dbname != NULL)
        take_pair(b, "dbname", url.dbname);
    char *key, *value;
    enum conf_next next;
    while ((next = conf_url_next_option(&url.query, &key, &value, &err)) == CONF_NEXT_ITEM) {
        /* As in libpq, for the sake of JDBC's URLs. */
        bool ssl = strcmp(key, "ssl") == 0 && strcmp(value, "true") == 0;
        take_pair(b, ssl ? "sslmode" : key, ssl ? "require" : value);
    }
    if (next == CONF_NEXT_BAD)
        fault(b, "%s", err.text);
}

static void take_pairs(struct builder *b, char *text)
{
    char *key, *value;
    struct err err;
    enum conf_next next;
    while ((next = conf_dsn_next_pair(&text, &key, &value, &err)) == CONF_NEXT_ITEM)
        take_pair(b, key, value);
    if (next == CONF_NEXT_BAD)
        fault(b, "%s", err.text);
}

/* Item i of a list separated by commas, or NULL behind its end. */
static const char *item(struct builder *b, const char *list, size_t i)
{
    for (; i > 0; i--) {
        list = strchr(list, ',');
        if (list == NULL)
            return NULL;
        list++;
    }
    return conf_arena_textn(b->arena, list, strcspn(list, ","));
}

static uint16_t parse_port(struct builder *b, const char *text, int default_port)
{
    int64_t n;
    if (text == NULL || *text == '\0')
        return (uint16_t)default_port;
    if (!conf_parse_int(text, false, &n, NULL) || n < 1 || n > 65535) {
        fault(b, "a port is not a number from 1 to 65535");
        return 0;
    }
    return (uint16_t)n;
}

/* Hosts and ports are lists of the same length, or there is one port, or none. */
static void build_hosts(struct builder *b)
{
    struct conf_database *db = b->db;
    int default_port = db->proto == CONF_PROTO_MYSQL ? PORT_MYSQL : PORT_POSTGRES;
    if (b->socket != NULL && b->socket[0] != '/') {
        fault(b, "socket is not the path of a Unix socket");
        return;
    }
    if (b->socket != NULL) {
        b->host = b->socket;
        b->hostaddr = NULL;
    }
    if (b->host == NULL && b->hostaddr == NULL && !db->service) {
        const char *dir = b->l->conf->settings.unix_socket_dir;
        if (db->proto == CONF_PROTO_MYSQL)
            b->host = "localhost";
        else if (*dir != '\0')
            b->host = dir;
    }
    const char *list = b->host != NULL ? b->host : b->hostaddr != NULL ? b->hostaddr : "";
    size_t n = items(list), n_ports = b->port == NULL ? 0 : items(b->port);
    if (n > HOSTS_MAX) {
        fault(b, "more than %d hosts", HOSTS_MAX);
        return;
    }
    if (n_ports > 1 && n_ports != n) {
        fault(b, "%zu hosts, but %zu ports; give one port, or one for each host", n, n_ports);
        return;
    }
    if (b->host != NULL && b->hostaddr != NULL && items(b->hostaddr) != n) {
        fault(b, "host and hostaddr don't have the same number of items");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct conf_host *h = conf_arena_push(b->arena, &b->hosts, &db->n_hosts, sizeof *h);
        if (h == NULL)
            return;
        h->host = item(b, list, i);
        h->address = b->host != NULL && b->hostaddr != NULL ? item(b, b->hostaddr, i) : "";
        h->port = parse_port(b, n_ports == 0 ? NULL : item(b, b->port, n_ports == 1 ? 0 : i),
                             default_port);
    }
    db->hosts = b->hosts;
}

static const char *canonical_of(struct conf_arena *arena, const struct conf_host *hosts, size_t n)
{
    size_t room = 1;
    for (size_t i = 0; i < n; i++)
        room += strlen(hosts[i].host) + sizeof "[localhost]:65535,";
    char *text = conf_arena_alloc(arena, room);
    if (text == NULL)
        return "";
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        const char *host = hosts[i].host[0] == '\0' ? "local" : hosts[i].host;
        bool brackets = host[0] != '/' && host[0] != '@' && strchr(host, ':') != NULL;
        used += (size_t)snprintf(text + used, room - used, brackets ? "%s[%s]:%u" : "%s%s:%u",
                                 i == 0 ? "" : ",", host, hosts[i].port);
    }
    return text;
}

const char *conf_server_canonical(struct conf_arena *arena, const char *text, int default_port)
{
    char *at = conf_arena_scratch(arena, text), *host, *port;
    struct conf_host *hosts = NULL;
    size_t n = 0;
    enum conf_next next = CONF_NEXT_BAD;
    if (items(text) > HOSTS_MAX)
        return NULL;
    while (at != NULL && (next = conf_url_next_host(&at, &host, &port, NULL)) == CONF_NEXT_ITEM) {
        struct conf_host *h = conf_arena_push(arena, &hosts, &n, sizeof *h);
        int64_t number = default_port;
        if (h == NULL || (port != NULL && !conf_parse_int(port, false, &number, NULL)) ||
            number < 1 || number > 65535)
            return NULL;
        *h = (struct conf_host){.host = host, .address = "", .port = (uint16_t)number};
    }
    return next == CONF_NEXT_END && n > 0 ? canonical_of(arena, hosts, n) : NULL;
}

/* The parameters for the library: what it takes to find the server first. */
static void build_params(struct builder *b)
{
    struct conf_param *rest = b->params;
    size_t n_rest = b->db->n_params;
    char ports[16];
    b->params = NULL;
    b->db->n_params = 0;
    if (b->host != NULL)
        push_param(b, &b->params, &b->db->n_params, "host", b->host);
    if (b->hostaddr != NULL)
        push_param(b, &b->params, &b->db->n_params, "hostaddr", b->hostaddr);
    if (b->port != NULL) {
        push_param(b, &b->params, &b->db->n_params, "port", b->port);
    } else if (!b->db->service && b->db->n_hosts > 0) {
        (void)snprintf(ports, sizeof ports, "%u", b->hosts[0].port);
        push_param(b, &b->params, &b->db->n_params, "port", ports);
    }
    for (size_t i = 0; i < n_rest; i++)
        push_param(b, &b->params, &b->db->n_params, rest[i].key, rest[i].value);
    b->db->params = b->params;
    b->db->startup = b->startup;
}

static void read_password_file(struct builder *b)
{
    const char *path =
        conf_file_resolve(b->arena, b->raw->at.line > 0 ? b->raw->at.file : NULL, b->password_file);
    struct err err;
    size_t len;
    char *text = conf_file_read(path, &len, &err);
    if (text == NULL) {
        fault(b, "password_file %s: %s", path, err.text);
        return;
    }
    size_t end = strcspn(text, "\r\n");
    if (end == 0)
        fault(b, "password_file %s: its first line is empty", path);
    b->db->password = conf_arena_textn(b->arena, text, end);
    conf_file_free(&text, len);
}

static void resolve_password(struct builder *b)
{
    struct conf_database *db = b->db;
    int sources = (db->password != NULL) + (b->password_file != NULL) + (b->password_env != NULL) +
                  (db->password_command != NULL);
    if (sources > 1) {
        fault(b, "several passwords; give one of password, password_file, password_env and "
                 "password_command");
    } else if (b->password_file != NULL) {
        read_password_file(b);
    } else if (b->password_env != NULL) {
        const char *value = conf_source_getenv(b->l->src, b->password_env);
        if (value == NULL)
            fault(b, "password_env: the environment has no %s", b->password_env);
        else
            db->password = conf_arena_text(b->arena, value);
    }
}

static void finish(struct builder *b)
{
    struct conf_database *db = b->db;
    if (b->raw->any_dbname)
        db->dbname = NULL;
    for (size_t i = 0; i < db->n_params; i++)
        db->service |= strcmp(b->params[i].key, "service") == 0;
    build_hosts(b);
    if (b->bad)
        return;
    build_params(b);
    resolve_password(b);
    if (db->service && b->host == NULL && b->hostaddr == NULL) {
        for (size_t i = 0; i < db->n_params; i++)
            if (strcmp(db->params[i].key, "service") == 0) {
                size_t room = strlen(db->params[i].value) + sizeof "service=";
                char *name = conf_arena_alloc(b->arena, room);
                if (name != NULL)
                    (void)snprintf(name, room, "service=%s", db->params[i].value);
                db->server = name == NULL ? "" : name;
            }
    } else {
        db->server = canonical_of(b->arena, db->hosts, db->n_hosts);
    }
    if (db->dbname == NULL && strcmp(db->name, "*") != 0 && !db->service)
        db->dbname = db->name;
}

void conf_build_database(struct conf_loader *l, const struct conf_raw *raw)
{
    struct conf_arena *arena = &l->conf->entries->arena;
    struct builder b = {.l = l, .raw = raw, .arena = arena};
    char *text = conf_arena_scratch(&l->scratch, raw->value);
    b.db = conf_arena_alloc(arena, sizeof *b.db);
    if (b.db == NULL || text == NULL)
        return;
    conf_option_clear(CONF_KIND_DATABASE, b.db);
    b.db->name = conf_arena_text(arena, raw->name);
    b.db->from_url = raw->from_url;
    b.db->file = conf_arena_text(arena, raw->at.file);
    b.db->line = raw->at.line;
    if (strcasecmp(raw->name, "weir") == 0 || strcasecmp(raw->name, "pgbouncer") == 0) {
        fault(&b, "this name is the console's; take another one");
        return;
    }
    char *rest = text;
    if (conf_url_is(text)) {
        /* Options may follow the URL, so that its own need no encoding. */
        rest += strcspn(text, " \t");
        if (*rest != '\0')
            *rest++ = '\0';
        take_url(&b, text);
    }
    take_pairs(&b, rest);
    if (!b.bad)
        finish(&b);
    if (!b.bad &&
        !conf_table_add(&l->conf->entries->tables[CONF_KIND_DATABASE], arena, b.db->name, b.db))
        arena->failed = true;
}
