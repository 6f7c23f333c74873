/* SPDX-License-Identifier: ISC
 * Faults that no single line shows: settings that contradict each other, files that can't be read,
 * descriptors that won't suffice, changes that a reload can't make.
 */
#include "config.h"

#include "conf/conf_priv.h"
#include "conf/cron.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Connections to a server whose bound isn't a number: PostgreSQL's own default. */
#define BOUND_GUESS 100u
/* What weir has open beside clients and servers: logs, epoll, event and timer descriptors, name
 * look-ups, the console, what is opened while reloading. */
#define MYSQL_PORT     6033 /* as ProxySQL's */
#define FDS_FIXED      64u
#define FDS_PER_WORKER 8u

/* The place where a setting was given, for a fault that is about it. */
__attribute__((format(printf, 3, 4))) static void fault(struct conf_loader *l, const char *key,
                                                        const char *fmt, ...)
{
    char text[256];
    const struct conf_place *at = &l->seen[conf_setting_index(conf_setting_find(key))];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    conf_report_add(l->report, CONF_ERROR, at->file, at->line, "%s: %s", key, text);
}

/* MySQL's clients have a door of their own, which opens by itself when there is a database for
 * them. */
static void choose_mysql_port(struct conf_loader *l)
{
    struct conf_settings *s = &l->conf->settings;
    const struct conf_place *given = &l->seen[conf_setting_index(conf_setting_find("mysql_port"))];
    const struct conf_database *db;
    for (size_t i = 0; (db = conf_database_at(l->conf, i)) != NULL; i++)
        if (db->proto == CONF_PROTO_MYSQL)
            break;
    if (db == NULL)
        return;
    if (given->file == NULL)
        s->mysql_port = MYSQL_PORT;
    else if (s->mysql_port == 0)
        conf_report_add(l->report, CONF_WARNING, given->file, given->line,
                        "mysql_port: with 0 no client can reach %s and other MySQL databases; "
                        "take %d or leave it out",
                        db->name, MYSQL_PORT);
}

static void check_listening(struct conf_loader *l)
{
    const struct conf_settings *s = &l->conf->settings;
    bool tcp = s->listen_addr[0] != '\0' && (s->listen_port != 0 || s->mysql_port != 0);
    if (!tcp && s->unix_socket_dir[0] == '\0')
        fault(l, "listen_addr",
              "no client can connect: neither listen_addr nor unix_socket_dir "
              "is set");
    if (s->mysql_port != 0 && s->mysql_port == s->listen_port)
        fault(l, "mysql_port", "%d is listen_port already", s->mysql_port);
    if (s->admin_port != 0 && s->listen_addr[0] != '\0' &&
        (s->admin_port == s->listen_port || s->admin_port == s->mysql_port))
        fault(l, "admin_port", "%d is a port for clients already", s->admin_port);
}

static void check_client_tls(struct conf_loader *l)
{
    const struct conf_settings *s = &l->conf->settings;
    bool on = s->client_tls_sslmode != CONF_SSLMODE_DISABLE;
    bool verifies = s->client_tls_sslmode >= CONF_SSLMODE_VERIFY_CA;
    if (on && (s->client_tls_key_file[0] == '\0' || s->client_tls_cert_file[0] == '\0'))
        fault(l, "client_tls_sslmode", "client_tls_key_file and client_tls_cert_file must be set");
    if (verifies && s->client_tls_ca_file[0] == '\0')
        fault(l, "client_tls_sslmode", "client_tls_ca_file must be set to check certificates with");
    if (s->auth_type == CONF_AUTH_CERT && !verifies)
        fault(l, "auth_type", "cert needs client_tls_sslmode = verify-full");
}

/* Whether there is anybody who could log in. */
static bool has_users(const struct conf *conf)
{
    const struct conf_settings *s = &conf->settings;
    const struct conf_database *db;
    if (s->auth_file[0] != '\0' || s->auth_user[0] != '\0')
        return true;
    /* without a list of users these ask for no secret */
    if (s->auth_type == CONF_AUTH_TRUST || s->auth_type == CONF_AUTH_CERT ||
        s->auth_type == CONF_AUTH_ANY)
        return true;
    for (size_t i = 0; (db = conf_database_at(conf, i)) != NULL; i++) {
        bool has_secret = db->password != NULL && db->password[0] != '\0';
        if (db->auth_user != NULL || (db->from_url && db->user != NULL && has_secret))
            return true;
    }
    return false;
}

static void check_users(struct conf_loader *l)
{
    const struct conf_settings *s = &l->conf->settings;
    const struct conf_database *db;
    if (!has_users(l->conf))
        conf_report_add(l->report, CONF_WARNING, NULL, 0,
                        "nobody can log in: set auth_file, or auth_user for auth_query; a "
                        "database's own user and password let clients in only where its URL is "
                        "from --url or WEIR_URL");
    if (s->auth_query[0] != '\0' && strstr(s->auth_query, "$1") == NULL)
        fault(l, "auth_query", "it has no $1 for the user's name");
    for (size_t i = 0; s->auth_type == CONF_AUTH_ANY && (db = conf_database_at(l->conf, i)) != NULL;
         i++)
        if (db->user == NULL)
            fault(l, "auth_type", "with any each database needs a user=, and %s has none",
                  db->name);
}

const char *const conf_function_sources[CONF_FUNCTION_SOURCES] = {
    "user", "option", "application_name", "certificate", "sni", "port"};

static void check_function_from(struct conf_loader *l)
{
    const char *const *words = conf_function_sources;
    const char *p = l->conf->settings.function_from;
    unsigned seen = 0;
    while (*(p += strspn(p, ", \t")) != '\0') {
        size_t n = strcspn(p, ", \t");
        unsigned i = 0;
        while (i < CONF_FUNCTION_SOURCES && (strlen(words[i]) != n || strncmp(words[i], p, n) != 0))
            i++;
        if (i == CONF_FUNCTION_SOURCES)
            fault(l, "function_from",
                  "\"%.*s\" is none of user, option, application_name, certificate, sni, port",
                  n > 40 ? 40 : (int)n, p);
        else if ((seen & 1u << i) != 0)
            fault(l, "function_from", "\"%s\" is there twice", words[i]);
        seen |= i < CONF_FUNCTION_SOURCES ? 1u << i : 0;
        p += n;
    }
}

static void check_functions(struct conf_loader *l)
{
    const struct conf_settings *s = &l->conf->settings;
    unsigned guaranteed = conf_guarantees(l->conf);
    check_function_from(l);
    if (s->max_server_connections.kind == CONF_BOUND_COUNT &&
        guaranteed > s->max_server_connections.n)
        conf_report_add(l->report, CONF_WARNING, NULL, 0,
                        "[functions] guarantees %u connections, but max_server_connections is %u",
                        guaranteed, s->max_server_connections.n);
}

static void check_warm_text(struct conf_loader *l, const char *whose, const char *text)
{
    struct warm w;
    struct err e = {""};
    while (warm_next(&text, &w, &e))
        ;
    if (e.text[0] != '\0')
        fault(l, "warm", "%s%s%s", whose, whose[0] != '\0' ? ": " : "", e.text);
}

static void check_warm(struct conf_loader *l)
{
    const struct conf_database *db;
    check_warm_text(l, "", l->conf->settings.warm);
    for (size_t i = 0; (db = conf_database_at(l->conf, i)) != NULL; i++)
        if (db->warm != NULL)
            check_warm_text(l, db->name, db->warm);
}

/* What may be changed while weir runs. */
static void check_reloadable(struct conf_loader *l)
{
    check_client_tls(l);
    check_users(l);
    check_functions(l);
    check_warm(l);
}

bool conf_check_set(struct conf *conf, struct err *err)
{
    struct conf_report report;
    struct conf_loader *l = calloc(1, sizeof *l);
    if (l == NULL) {
        err_set(err, "out of memory");
        return false;
    }
    conf_report_init(&report);
    l->conf = conf;
    l->report = &report;
    check_reloadable(l);
    bool ok = true;
    const struct conf_problem *p;
    STAILQ_FOREACH(p, &report.problems, link)
    {
        if (p->severity == CONF_ERROR) {
            err_set(err, "%s", p->text);
            ok = false;
            break;
        }
    }
    conf_report_fini(&report);
    free(l);
    return ok;
}

void conf_check_whole(struct conf_loader *l)
{
    choose_mysql_port(l);
    check_listening(l);
    check_reloadable(l);
    if (l->raw[CONF_KIND_DATABASE].n == 0)
        conf_report_add(l->report, CONF_WARNING, NULL, 0,
                        "no database: add one to [databases], or start with --url");
}

void conf_fault(const struct conf *conf, struct conf_report *report, enum conf_severity severity,
                const char *fmt, ...)
{
    char text[512], key[64];
    struct conf_place at = {.file = NULL};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)snprintf(key, sizeof key, "%.*s", (int)strcspn(text, ":"), text);
    const struct conf_setting *row = conf_setting_find(key);
    if (row != NULL)
        at = conf->entries->places[conf_setting_index(row)];
    conf_report_add(report, severity, at.file, at.line, "%s", text);
}

/* --- what the machine has --- */

uint64_t conf_fds_needed(const struct conf *conf)
{
    const struct conf_settings *s = &conf->settings;
    const struct conf_server *server;
    long cores = s->workers > 0 ? s->workers : sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t n = FDS_FIXED + (cores > 0 ? (uint64_t)cores : 1) * FDS_PER_WORKER;
    n += (uint64_t)s->max_client_conn;
    for (size_t i = 0; (server = conf_server_at(conf, i)) != NULL; i++) {
        struct conf_bound bound = conf_server_bound(conf, server);
        n += bound.kind == CONF_BOUND_COUNT ? bound.n : BOUND_GUESS;
    }
    return n;
}

static void check_socket_dir(const struct conf *conf, struct conf_report *report)
{
    const struct conf_settings *s = &conf->settings;
    struct stat st;
    if (s->unix_socket_dir[0] == '/' &&
        (stat(s->unix_socket_dir, &st) != 0 || !S_ISDIR(st.st_mode)))
        conf_fault(conf, report, CONF_ERROR, "unix_socket_dir: %s is not a directory",
                   s->unix_socket_dir);
    if (s->unix_socket_group[0] != '\0' && getgrnam(s->unix_socket_group) == NULL)
        conf_fault(conf, report, CONF_ERROR, "unix_socket_group: there is no group %s",
                   s->unix_socket_group);
}

static void check_pidfile(const struct conf *conf, struct conf_report *report)
{
    const struct conf_settings *s = &conf->settings;
    struct stat st;
    char dir[4096] = ".";
    const char *slash = strrchr(s->pidfile, '/');
    if (s->pidfile[0] == '\0')
        return;
    if (slash != NULL)
        (void)snprintf(dir, sizeof dir, "%.*s", slash != s->pidfile ? (int)(slash - s->pidfile) : 1,
                       s->pidfile);
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        conf_fault(conf, report, CONF_ERROR, "pidfile: %s: %s is not a directory", s->pidfile, dir);
}

void conf_check_files(const struct conf *conf, struct conf_report *report)
{
    const struct conf_setting *row;
    for (size_t i = 0; (row = conf_setting_at(i)) != NULL; i++) {
        char unused[48];
        if (row->type != CONF_TYPE_FILE)
            continue;
        const char *path = conf_setting_format(row, &conf->settings, unused);
        if (path[0] != '\0' && access(path, R_OK) != 0)
            conf_fault(conf, report, CONF_ERROR, "%s: %s: %s", row->name, path, strerror(errno));
    }
    check_socket_dir(conf, report);
    check_pidfile(conf, report);
    struct rlimit limit;
    uint64_t needed = conf_fds_needed(conf);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY &&
        limit.rlim_max < needed)
        conf_fault(conf, report, CONF_WARNING,
                   "max_client_conn: %d clients and their servers need %" PRIu64
                   " descriptors, but no more than %" PRIu64
                   " are allowed (ulimit -Hn, LimitNOFILE=): clients beyond that wait",
                   conf->settings.max_client_conn, needed, (uint64_t)limit.rlim_max);
}

size_t conf_keep_unreloadable(const struct conf *old, struct conf *now, struct conf_report *report)
{
    const struct conf_setting *row;
    size_t n = 0;
    for (size_t i = 0; (row = conf_setting_at(i)) != NULL; i++) {
        char was_text[48], is_text[48];
        const char *was = conf_setting_format(row, &old->settings, was_text);
        const char *is = conf_setting_format(row, &now->settings, is_text);
        if (row->reload || strcmp(was, is) == 0)
            continue;
        conf_fault(now, report, CONF_WARNING,
                   "%s: the change from \"%s\" to \"%s\" needs a restart", row->name, was, is);
        struct err never; /* it was read once before */
        (void)!conf_setting_parse(row, was, &now->settings, &now->arena, &never);
        n++;
    }
    return n;
}
