/* SPDX-License-Identifier: ISC
 * See conf_entry.h. Building the entries out of their lines, and answering for them.
 */
#include "config.h"

#include "conf/conf_entry.h"

#include "conf/conf_dsn.h"
#include "conf/conf_priv.h"

#include <fnmatch.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

static const size_t entry_sizes[CONF_KIND_COUNT] = {
    sizeof(struct conf_database), sizeof(struct conf_server), sizeof(struct conf_user),
    sizeof(struct conf_function)};

static void fault(struct conf_loader *l, const struct conf_raw *raw, const char *text,
                  const char *what)
{
    conf_report_add(l->report, CONF_ERROR, raw->at.file, raw->at.line, "%s: %s%s", raw->name, what,
                    text);
}

static void fault_unknown(struct conf_loader *l, const struct conf_raw *raw, enum conf_kind kind,
                          const char *key)
{
    char known[320];
    size_t n = 0;
    const struct conf_setting *row;
    for (size_t i = 0; (row = conf_option_at(kind, i)) != NULL && n < sizeof known; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i == 0 ? "" : ", ", row->name);
    conf_report_add(l->report, CONF_ERROR, raw->at.file, raw->at.line,
                    "%s: unknown option \"%.60s\"; there are %s", raw->name, key, known);
}

/* One option of an entry; rows already used are marked in `given`. */
static bool apply(struct conf_loader *l, const struct conf_raw *raw, enum conf_kind kind,
                  const char *key, const char *value, void *entry, uint32_t *given)
{
    struct err err;
    const struct conf_setting *row = conf_option_find(kind, key);
    if (row == NULL) {
        if (kind == CONF_KIND_USER &&
            (strcmp(key, "reserve_pool_size") == 0 || strcmp(key, "reserve_pool") == 0)) {
            conf_report_add(l->report, CONF_WARNING, raw->at.file, raw->at.line,
                            "%s: %s has no meaning here: the bound is exact", raw->name, key);
            return true;
        }
        fault_unknown(l, raw, kind, key);
        return false;
    }
    uint32_t bit = 1u << (row - conf_option_at(kind, 0));
    if ((*given & bit) != 0) {
        fault(l, raw, " is given twice", row->name);
        return false;
    }
    *given |= bit;
    if (conf_setting_parse(row, value, entry, &l->conf->entries->arena, &err))
        return true;
    conf_report_add(l->report, CONF_ERROR, raw->at.file, raw->at.line, "%s: %s: %s", raw->name,
                    row->name, err.text);
    return false;
}

/* The options of a line into `entry`; false when one was wrong. */
static bool parse_options(struct conf_loader *l, const struct conf_raw *raw, enum conf_kind kind,
                          void *entry)
{
    char *text = conf_arena_scratch(&l->scratch, raw->value);
    char *key, *value;
    struct err err;
    uint32_t given = 0;
    bool ok = text != NULL;
    enum conf_next next;
    while (text != NULL &&
           (next = conf_dsn_next_pair(&text, &key, &value, &err)) != CONF_NEXT_END) {
        if (next == CONF_NEXT_BAD) {
            fault(l, raw, err.text, "");
            return false;
        }
        ok = apply(l, raw, kind, key, value, entry, &given) && ok;
    }
    return ok;
}

/* A new entry of this kind, cleared; NULL when memory is out. */
static void *entry_new(struct conf_loader *l, enum conf_kind kind)
{
    void *entry = conf_arena_alloc(&l->conf->entries->arena, entry_sizes[kind]);
    if (entry != NULL)
        conf_option_clear(kind, entry);
    return entry;
}

static void entry_add(struct conf_loader *l, enum conf_kind kind, const char *name,
                      const void *entry)
{
    struct conf_entries *e = l->conf->entries;
    if (!conf_table_add(&e->tables[kind], &e->arena, name, entry))
        e->arena.failed = true;
}

static void build_user(struct conf_loader *l, const struct conf_raw *raw)
{
    struct conf_user *u = entry_new(l, CONF_KIND_USER);
    if (u == NULL || !parse_options(l, raw, CONF_KIND_USER, u))
        return;
    u->name = conf_arena_text(&l->conf->entries->arena, raw->name);
    entry_add(l, CONF_KIND_USER, u->name, u);
}

static void build_function(struct conf_loader *l, const struct conf_raw *raw)
{
    struct conf_function *f = entry_new(l, CONF_KIND_FUNCTION);
    if (f == NULL || !parse_options(l, raw, CONF_KIND_FUNCTION, f))
        return;
    if (f->limit > 0 && f->guarantee > f->limit) {
        fault(l, raw, "; it can't have more than it may", "guarantee is above limit");
        return;
    }
    f->pattern = conf_arena_text(&l->conf->entries->arena, raw->name);
    entry_add(l, CONF_KIND_FUNCTION, f->pattern, f);
}

/* Every server that a database names has an entry, so that a look-up of one never fails. */
static void build_servers_of_databases(struct conf_loader *l)
{
    struct conf_entries *e = l->conf->entries;
    const struct conf_database *db;
    for (size_t i = 0; (db = conf_database_at(l->conf, i)) != NULL; i++) {
        if (conf_table_find(&e->tables[CONF_KIND_SERVER], db->server) != NULL)
            continue;
        struct conf_server *s = entry_new(l, CONF_KIND_SERVER);
        if (s == NULL)
            return;
        s->name = db->server;
        entry_add(l, CONF_KIND_SERVER, s->name, s);
    }
}

static bool same_bound(struct conf_bound a, struct conf_bound b)
{
    return a.kind == b.kind && a.n == b.n;
}

/* A bound in a database's line is its server's, unless [servers] names one. */
static void take_over_bounds(struct conf_loader *l)
{
    struct conf_entries *e = l->conf->entries;
    const struct conf_database *db, *first;
    for (size_t i = 0; (db = conf_database_at(l->conf, i)) != NULL; i++) {
        struct conf_server *s = conf_table_find(&e->tables[CONF_KIND_SERVER], db->server);
        if (db->max_server_connections.kind == CONF_BOUND_UNSET || s == NULL)
            continue;
        if (s->max_server_connections.kind == CONF_BOUND_UNSET) {
            s->max_server_connections = db->max_server_connections;
            continue;
        }
        for (size_t j = 0; j < i && (first = conf_database_at(l->conf, j)) != NULL; j++)
            if (strcmp(first->server, db->server) == 0 &&
                first->max_server_connections.kind != CONF_BOUND_UNSET &&
                !same_bound(first->max_server_connections, db->max_server_connections)) {
                const struct conf_raw *raw = conf_table_find(&l->raw[CONF_KIND_DATABASE], db->name);
                conf_report_add(l->report, CONF_ERROR, raw->at.file, raw->at.line,
                                "%s: max_server_connections differs from that of %s, which has "
                                "the same server %s; give it once, in [servers]",
                                db->name, first->name, db->server);
                break;
            }
    }
}

/* The server that a line of [servers] means: as written, or with a default port. */
static struct conf_server *find_server(struct conf_loader *l, const char *name)
{
    static const int ports[] = {5432, 3306};
    const struct conf_table *t = &l->conf->entries->tables[CONF_KIND_SERVER];
    struct conf_server *s = conf_table_find(t, name);
    for (size_t i = 0; s == NULL && i < 2; i++) {
        const char *full = conf_server_canonical(&l->scratch, name, ports[i]);
        if (full != NULL)
            s = conf_table_find(t, full);
    }
    return s;
}

static void build_server(struct conf_loader *l, const struct conf_raw *raw, struct conf_table *done)
{
    struct conf_server parsed;
    conf_option_clear(CONF_KIND_SERVER, &parsed);
    if (!parse_options(l, raw, CONF_KIND_SERVER, &parsed))
        return;
    struct conf_server *s = find_server(l, raw->name);
    if (s == NULL) {
        conf_report_add(l->report, CONF_WARNING, raw->at.file, raw->at.line,
                        "%s: no database is on this server; write host:port as in [databases]",
                        raw->name);
        return;
    }
    if (conf_table_find(done, s->name) != NULL) {
        fault(l, raw, "; one line is enough", "a second line for the same server");
        return;
    }
    if (!conf_table_add(done, &l->scratch, s->name, s))
        return;
    const char *name = s->name;
    *s = parsed;
    s->name = name;
}

static void build_kind(struct conf_loader *l, enum conf_kind kind,
                       void (*build)(struct conf_loader *, const struct conf_raw *))
{
    for (size_t i = 0; i < l->raw[kind].n; i++)
        build(l, l->raw[kind].items[i]);
}

void conf_build_entries(struct conf_loader *l)
{
    struct conf_table done = {0};
    build_kind(l, CONF_KIND_DATABASE, conf_build_database);
    build_servers_of_databases(l);
    for (size_t i = 0; i < l->raw[CONF_KIND_SERVER].n; i++)
        build_server(l, l->raw[CONF_KIND_SERVER].items[i], &done);
    conf_table_fini(&done);
    take_over_bounds(l);
    build_kind(l, CONF_KIND_USER, build_user);
    build_kind(l, CONF_KIND_FUNCTION, build_function);
}

/* --- answering --- */

static const void *at(const struct conf *conf, enum conf_kind kind, size_t i)
{
    const struct conf_table *t = &conf->entries->tables[kind];
    return i < t->n ? t->items[i] : NULL;
}

const struct conf_database *conf_database_at(const struct conf *conf, size_t i)
{
    return at(conf, CONF_KIND_DATABASE, i);
}

const struct conf_server *conf_server_at(const struct conf *conf, size_t i)
{
    return at(conf, CONF_KIND_SERVER, i);
}

const struct conf_user *conf_user_at(const struct conf *conf, size_t i)
{
    return at(conf, CONF_KIND_USER, i);
}

const struct conf_function *conf_function_at(const struct conf *conf, size_t i)
{
    return at(conf, CONF_KIND_FUNCTION, i);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_params(const struct conf_param *a, size_t n_a, const struct conf_param *b,
                        size_t n_b)
{
    for (size_t i = 0; n_a == n_b && i < n_a; i++)
        if (strcmp(a[i].key, b[i].key) != 0 || strcmp(a[i].value, b[i].value) != 0)
            return false;
    return n_a == n_b;
}

bool conf_database_same_place(const struct conf_database *a, const struct conf_database *b)
{
    return a->proto == b->proto && strcmp(a->server, b->server) == 0 &&
           same_text(a->dbname, b->dbname) && same_text(a->connect_query, b->connect_query) &&
           same_params(a->params, a->n_params, b->params, b->n_params) &&
           same_params(a->startup, a->n_startup, b->startup, b->n_startup);
}

const struct conf_database *conf_database_find(const struct conf *conf, const char *name)
{
    const struct conf_table *t = &conf->entries->tables[CONF_KIND_DATABASE];
    const struct conf_database *db = conf_table_find(t, name);
    return db != NULL ? db : conf_table_find(t, "*");
}

const struct conf_user *conf_user_find(const struct conf *conf, const char *name)
{
    return conf_table_find(&conf->entries->tables[CONF_KIND_USER], name);
}

const struct conf_server *conf_server_find(const struct conf *conf, const char *name)
{
    return conf_table_find(&conf->entries->tables[CONF_KIND_SERVER], name);
}

const struct conf_function *conf_function_find(const struct conf *conf, const char *name)
{
    const struct conf_table *t = &conf->entries->tables[CONF_KIND_FUNCTION];
    const struct conf_function *f = conf_table_find(t, name);
    for (size_t i = 0; f == NULL && i < t->n; i++) {
        const struct conf_function *glob = t->items[i];
        if (strcmp(glob->pattern, "*") != 0 && fnmatch(glob->pattern, name, 0) == 0)
            f = glob;
    }
    return f != NULL ? f : conf_table_find(t, "*");
}

unsigned conf_guarantees(const struct conf *conf)
{
    const struct conf_function *f;
    unsigned sum = 0;
    for (size_t i = 0; (f = conf_function_at(conf, i)) != NULL && sum < INT_MAX / 2; i++)
        sum += f->guarantee > 0 ? (unsigned)f->guarantee : 0;
    return sum;
}

static int first_number(int a, int b, int otherwise)
{
    return a >= 0 ? a : b >= 0 ? b : otherwise;
}

static uint64_t first_time(uint64_t a, uint64_t otherwise)
{
    return a != CONF_UNSET_US ? a : otherwise;
}

void conf_pool_resolve(const struct conf *conf, const struct conf_database *db, const char *user,
                       struct conf_pool *out)
{
    struct conf_user nobody;
    const struct conf_settings *s = &conf->settings;
    const struct conf_user *u = user == NULL ? NULL : conf_user_find(conf, user);
    if (u == NULL) {
        conf_option_clear(CONF_KIND_USER, &nobody);
        u = &nobody;
    }
    *out = (struct conf_pool){
        .pool_mode = u->pool_mode != CONF_POOL_UNSET    ? u->pool_mode
                     : db->pool_mode != CONF_POOL_UNSET ? db->pool_mode
                                                        : s->pool_mode,
        .pool_size = first_number(u->pool_size, db->pool_size, s->default_pool_size),
        .min_pool_size = first_number(db->min_pool_size, -1, s->min_pool_size),
        .max_db_connections = first_number(db->max_db_connections, -1, s->max_db_connections),
        .max_user_connections = first_number(u->max_user_connections, -1, s->max_user_connections),
        .max_db_client_connections =
            first_number(db->max_db_client_connections, -1, s->max_db_client_connections),
        .max_user_client_connections =
            first_number(u->max_user_client_connections, -1, s->max_user_client_connections),
        .server_lifetime_us = first_time(db->server_lifetime_us, s->server_lifetime_us),
        .query_wait_timeout_us =
            first_time(u->query_wait_timeout_us,
                       first_time(db->query_wait_timeout_us, s->query_wait_timeout_us)),
        .query_timeout_us = first_time(u->query_timeout_us, s->query_timeout_us),
        .idle_transaction_timeout_us =
            first_time(u->idle_transaction_timeout_us, s->idle_transaction_timeout_us),
        .transaction_timeout_us = first_time(u->transaction_timeout_us, s->transaction_timeout_us),
        .client_idle_timeout_us = first_time(u->client_idle_timeout_us, s->client_idle_timeout_us),
    };
}

struct conf_bound conf_server_bound(const struct conf *conf, const struct conf_server *server)
{
    return server->max_server_connections.kind != CONF_BOUND_UNSET
               ? server->max_server_connections
               : conf->settings.max_server_connections;
}

uint64_t conf_server_idle_to_zero_us(const struct conf *conf, const struct conf_server *server)
{
    return first_time(server->idle_to_zero_us, conf->settings.idle_to_zero_us);
}

int conf_server_login_concurrency(const struct conf *conf, const struct conf_server *server)
{
    return first_number(server->login_concurrency, -1, conf->settings.login_concurrency);
}
