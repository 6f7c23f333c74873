/* SPDX-License-Identifier: ISC
 * See check.h.
 */
#include "config.h"

#include "check.h"

#include "base/secret.h"
#include "conf/conf.h"
#include "conf/userlist.h"
#include "worker/command.h"
#include "worker/look_up.h"
#include "worker/params.h"
#include "worker/protocols.h"
#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

static struct conf_bound configured(const struct conf *conf, const struct conf_database *db)
{
    const struct conf_server *s = conf_server_find(conf, db->server);
    return s != NULL ? conf_server_bound(conf, s) : (struct conf_bound){.kind = CONF_BOUND_AUTO};
}

static unsigned bound_of(struct conf_bound bound, const struct server_facts *f)
{
    uint32_t usable = f->max_connections > f->reserved ? f->max_connections - f->reserved : 1;
    uint32_t n = usable > 3 ? usable - 3 : 1;
    if (bound.kind == CONF_BOUND_COUNT)
        n = bound.n;
    else if (bound.kind == CONF_BOUND_PERCENT)
        n = (uint32_t)((uint64_t)f->max_connections * bound.n / 100);
    return n;
}

/* What of it this user and database can have. */
static unsigned bound_of_own(struct conf_bound b, const struct server_facts *f, unsigned bound)
{
    unsigned own = f->own != 0 ? conf_bound_of_quota(b, f->own) : bound;
    return own < bound ? own : bound;
}

/* Of "*" one that every server has. MySQL needs none. */
static const char *usual_database(const struct conf_database *db)
{
    if (strcmp(db->name, "*") != 0)
        return db->name;
    return db->proto == CONF_PROTO_POSTGRES ? "postgres" : "";
}

/* What password_command printed is the caller's to wipe. */
static bool ask_as(const struct conf *conf, const struct conf_database *db, struct dial_as *as,
                   char **printed, struct server_facts *f, struct err *e)
{
    if (db->password_command != NULL) {
        as->password = *printed = command_run(db->password_command, e);
        if (*printed == NULL)
            return false;
    }
    struct params_kept *ps = params_keep(conf, db, as);
    if (ps == NULL) {
        err_set(e, "out of memory");
        return false;
    }
    bool ok = protocol_of(db->proto)->server->ask_facts(ps->p, ps->n, f, e);
    params_forget(&ps);
    return ok;
}

/* As whom the database is asked; false: why not is in `e`. */
static bool ask(const struct conf *conf, const struct conf_database *db, const char **user,
                const struct userlist *users, struct server_facts *f, struct err *e)
{
    const struct server_ops *ops = protocol_of(db->proto)->server;
    struct server_keys keys = {.k[0].name = ""};
    if (db->user == NULL && users != NULL && userlist_count(users) != 0)
        *user = userlist_at(users, 0)->name;
    else
        *user = db->user != NULL ? db->user : "";
    struct dial_as as = {.user = *user, .database = usual_database(db), .password = db->password};
    const struct userlist_user *u = users != NULL ? userlist_find(users, *user) : NULL;
    if (as.password == NULL && u != NULL && protocol_secret(protocol_of(db->proto), u)) {
        enum keys_kind kind = ops->keys(u->secret, NULL, &keys);
        as.password = kind == KEYS_PASSWORD ? u->secret : NULL;
        as.keys = kind == KEYS_FOUND ? &keys : NULL;
    }
    char *printed = NULL;
    bool ok = ask_as(conf, db, &as, &printed, f, e);
    explicit_bzero(&keys, sizeof keys);
    secret_wipe(&printed);
    return ok;
}

/* Whether users can be looked up: as any name would be. */
static void check_auth_query(const struct conf *conf, const struct conf_database *db,
                             const struct userlist *users, struct conf_report *report)
{
    struct err e = {"out of memory"};
    struct look_up l;
    char *secret = NULL;
    if (!look_up_find(conf, db->name, &l))
        return;
    if (l.db == db)
        l.database = usual_database(db);
    struct params_kept *ps = look_up_params(&l, conf, users);
    if (ps == NULL || !l.protocol->server->ask_secret(ps->p, ps->n, l.query, l.as, &secret, &e))
        conf_report_add(report, CONF_ERROR, db->file, db->line, "%s: auth_query as \"%s\": %s",
                        db->name, l.as, e.text);
    params_forget(&ps);
    secret_wipe(&secret);
}

static bool check_database(const struct conf *conf, const struct conf_database *db,
                           const struct userlist *users, struct conf_report *report, FILE *to)
{
    const char *user;
    struct err e = {""};
    struct server_facts f;
    if (protocol_of(db->proto) == NULL) {
        fprintf(to, "%-16s %-28s MySQL is not served yet\n", db->name, db->server);
        conf_report_add(report, CONF_ERROR, db->file, db->line,
                        "%s: MySQL and MariaDB databases are not served yet; use a postgres:// URL",
                        db->name);
        return false;
    }
    bool ok = ask(conf, db, &user, users, &f, &e);
    if (!ok) {
        fprintf(to, "%-16s %-28s %s\n", db->name, db->server, "can't connect");
        /* The server is there; that nobody may go where it was tried need not be wrong. */
        bool only_there = strcmp(db->name, "*") == 0 && db->dbname == NULL &&
                          strstr(e.text, "database \"postgres\"") != NULL;
        conf_report_add(report, only_there ? CONF_WARNING : CONF_ERROR, db->file, db->line,
                        "%s: can't connect to %s as \"%s\": %s", db->name, db->server, user,
                        e.text);
        return false;
    }
    struct conf_bound said = configured(conf, db);
    unsigned bound = bound_of(said, &f);
    uint32_t taken = f.used + f.reserved;
    uint32_t left = f.max_connections > taken ? f.max_connections - taken : 0;
    fprintf(to, "%-16s %-28s %-16.16s %-8s %6u %6u %6u\n", db->name, db->server, f.version,
            f.replica ? "replica" : "primary",
            f.own != 0 && f.own < f.max_connections ? f.own : f.max_connections, left,
            bound_of_own(said, &f, bound));
    unsigned guaranteed = conf_guarantees(conf);
    if (guaranteed > bound)
        conf_report_add(report, CONF_WARNING, db->file, db->line,
                        "%s: [functions] guarantees %u connections, but %s is given at most %u; "
                        "lower the guarantees",
                        db->name, guaranteed, db->server, bound);
    if (bound > f.max_connections - f.reserved)
        conf_report_add(report, CONF_ERROR, db->file, db->line,
                        "%s: max_server_connections: %u is more than %s gives (%u, %u of them "
                        "reserved); at most %u",
                        db->name, bound, db->server, f.max_connections, f.reserved,
                        f.max_connections - f.reserved);
    check_auth_query(conf, db, users, report);
    return true;
}

/* A single URL's fallback for all other names: nothing but its own entry again. */
static bool is_echo(const struct conf *conf, const struct conf_database *db)
{
    const struct conf_database *of;
    bool echo = false;
    if (strcmp(db->name, "*") != 0 || !db->from_url)
        return false;
    for (size_t i = 0; (of = conf_database_at(conf, i)) != NULL; i++)
        echo = echo || (of != db && of->from_url && strcmp(of->server, db->server) == 0);
    return echo;
}

int check_run(const struct conf *conf, struct conf_report *report, FILE *to)
{
    const struct conf_settings *cs = conf_settings(conf);
    struct userlist *users = NULL;
    struct err e = {""};
    if (!protocols_init(&e)) {
        fprintf(stderr, "weir: %s\n", e.text);
        return 1;
    }
    size_t before = report->errors;
    conf_check_files(conf, report);
    if (report->errors == before) /* a certificate that is missing need not be said twice */
        world_try(conf, report);
    if (cs->auth_file[0] != '\0')
        users = userlist_load(cs->auth_file, report);
    fprintf(to, "%-16s %-28s %-16s %-8s %6s %6s %6s\n", "database", "server", "version", "role",
            "limit", "left", "bound");
    const struct conf_database *db;
    for (size_t i = 0; (db = conf_database_at(conf, i)) != NULL; i++)
        if (!is_echo(conf, db))
            (void)check_database(conf, db, users, report, to);
    conf_report_print(report, stderr);
    if (users != NULL)
        userlist_free(&users);
    return report->errors != 0 ? 1 : 0;
}
