/* SPDX-License-Identifier: ISC
 * See check.h.
 */
#include "config.h"

#include "check.h"

#include "base/buf.h"
#include "conf/conf.h"
#include "conf/userlist.h"
#include "proto/pg/pg_ask.h"

#include <stdlib.h>
#include <string.h>

static bool put(struct buf *b, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return true;
    if (!buf_printf(b, "%s='", key))
        return false;
    for (; *value != '\0'; value++)
        if (((*value == '\'' || *value == '\\') && !buf_append(b, "\\", 1)) ||
            !buf_append(b, value, 1))
            return false;
    return buf_append(b, "' ", 2);
}

static bool conninfo(const struct conf_database *db, const char *user, const char *password,
                     struct buf *b)
{
    bool ok = true;
    for (size_t i = 0; ok && i < db->n_params; i++)
        ok = put(b, db->params[i].key, db->params[i].value);
    return ok && put(b, "dbname", db->dbname != NULL ? db->dbname : db->name) &&
           put(b, "user", user) && put(b, "password", password) &&
           buf_append(b, "connect_timeout=5", 18);
}

static unsigned bound_of(const struct conf *conf, const struct conf_database *db,
                         const struct pg_facts *f)
{
    const struct conf_server *s = conf_server_find(conf, db->server);
    struct conf_bound bound =
        s != NULL ? conf_server_bound(conf, s) : (struct conf_bound){.kind = CONF_BOUND_AUTO};
    uint32_t usable = f->max_connections > f->reserved ? f->max_connections - f->reserved : 1;
    uint32_t n = usable > 3 ? usable - 3 : 1;
    if (bound.kind == CONF_BOUND_COUNT)
        n = bound.n;
    else if (bound.kind == CONF_BOUND_PERCENT)
        n = (uint32_t)((uint64_t)f->max_connections * bound.n / 100);
    return n;
}

static bool check_database(const struct conf *conf, const struct conf_database *db,
                           const struct userlist *users, struct conf_report *report, FILE *to)
{
    const char *user = db->user;
    const char *password = db->password;
    struct buf b = {0};
    struct err e = {""};
    struct pg_facts f;
    if (db->proto != CONF_PROTO_POSTGRES) {
        fprintf(to, "%-16s %-28s MySQL is not served yet\n", db->name, db->server);
        conf_report_add(report, CONF_ERROR, NULL, 0,
                        "%s: MySQL and MariaDB databases are not served yet; use a postgres:// URL",
                        db->name);
        return false;
    }
    if (user == NULL && users != NULL && userlist_count(users) != 0)
        user = userlist_at(users, 0)->name;
    const struct userlist_user *u =
        users != NULL && user != NULL ? userlist_find(users, user) : NULL;
    if (password == NULL && u != NULL && u->kind == USERLIST_PLAIN)
        password = u->secret;
    bool ok = conninfo(db, user, password, &b) && pg_ask_facts((const char *)buf_head(&b), &f, &e);
    if (buf_len(&b) != 0)
        explicit_bzero(buf_head(&b), buf_len(&b));
    buf_release(&b);
    if (!ok) {
        fprintf(to, "%-16s %-28s %s\n", db->name, db->server, "can't connect");
        conf_report_add(report, CONF_ERROR, NULL, 0, "%s: can't connect to %s as \"%s\": %s",
                        db->name, db->server, user != NULL ? user : "", e.text);
        return false;
    }
    unsigned bound = bound_of(conf, db, &f);
    uint32_t taken = f.used + f.reserved;
    uint32_t left = f.max_connections > taken ? f.max_connections - taken : 0;
    fprintf(to, "%-16s %-28s %-12.12s %-8s %6u %6u %6u\n", db->name, db->server, f.version,
            f.replica ? "replica" : "primary", f.max_connections, left, bound);
    if (bound > f.max_connections - f.reserved)
        conf_report_add(report, CONF_ERROR, NULL, 0,
                        "%s: max_server_connections: %u is more than %s gives (%u, %u of them "
                        "reserved); at most %u",
                        db->name, bound, db->server, f.max_connections, f.reserved,
                        f.max_connections - f.reserved);
    return true;
}

int check_run(const struct conf *conf, struct conf_report *report, FILE *to)
{
    const struct conf_settings *cs = conf_settings(conf);
    struct userlist *users = NULL;
    conf_check_files(conf, report);
    if (cs->auth_file[0] != '\0')
        users = userlist_load(cs->auth_file, report);
    fprintf(to, "%-16s %-28s %-12s %-8s %6s %6s %6s\n", "database", "server", "version", "role",
            "limit", "left", "bound");
    const struct conf_database *db;
    for (size_t i = 0; (db = conf_database_at(conf, i)) != NULL; i++)
        if (strcmp(db->name, "*") != 0)
            (void)check_database(conf, db, users, report, to);
    conf_report_print(report, stderr);
    if (users != NULL)
        userlist_free(&users);
    return report->errors != 0 ? 1 : 0;
}
