/* SPDX-License-Identifier: ISC
 * See fake_admin.h.
 */
#include "config.h"

#include "fake_admin.h"

#include "conf/conf_describe.h"
#include "net/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY(to, from) (void)snprintf(to, sizeof to, "%s", from)

static void *rows_of(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL)
        abort();
    return p;
}

static size_t get_pools(void *ctx, struct view_pool **rows)
{
    (void)ctx;
    struct view_pool *p = *rows = rows_of(2, sizeof *p);
    COPY(p[0].database, "shop");
    COPY(p[0].user, "app");
    COPY(p[0].server, "db1:5432");
    p[0].pool_mode = "transaction";
    p[0].cl_active = 3;
    p[0].cl_waiting = 2;
    p[0].sv_active = 3;
    p[0].sv_idle = 4;
    p[0].maxwait_us = 1500000;
    COPY(p[1].database, "legacy");
    COPY(p[1].user, "old");
    COPY(p[1].server, "db2:5432");
    p[1].pool_mode = "session";
    COPY(p[1].last_error, "FATAL: \"no\"\nentry");
    return 2;
}

static size_t get_bounds(void *ctx, struct view_bound **rows)
{
    struct fake_admin *w = ctx;
    struct view_bound *b = *rows = rows_of(1, sizeof *b);
    COPY(b->server, "db1:5432");
    COPY(b->version, "15.4");
    b->limit = 20;
    b->lent = 3;
    b->idle = 4;
    b->oldest_wait_us = 1500000;
    b->reachable = !w->down;
    return 1;
}

static size_t get_databases(void *ctx, struct view_database **rows)
{
    (void)ctx;
    struct view_database *d = *rows = rows_of(1, sizeof *d);
    COPY(d->name, "shop");
    COPY(d->host, "db1");
    COPY(d->dbname, "shop");
    d->port = 5432;
    d->pool_mode = "transaction";
    return 1;
}

static size_t get_stats(void *ctx, struct view_stats **rows)
{
    (void)ctx;
    struct view_stats *s = *rows = rows_of(2, sizeof *s);
    COPY(s[0].database, "shop");
    s[0].xact_count = 100;
    s[0].query_count = 250;
    s[0].bytes_received = UINT64_C(18446744073709551615);
    s[0].xact_us = 5000000;
    s[0].query_us = 2500000;
    s[0].pins = 1;
    COPY(s[1].database, "legacy");
    s[1].xact_count = 11;
    return 2;
}

static size_t get_functions(void *ctx, struct view_function **rows)
{
    struct fake_admin *w = ctx;
    struct view_function *f = *rows = rows_of(2, sizeof *f);
    COPY(f[0].name, "getUsers");
    f[0].lent = 25;
    f[0].limit = 30;
    f[0].loans = 1000;
    COPY(f[1].name, w->odd_name == NULL ? "saveUser" : w->odd_name);
    return 2;
}

static size_t get_reasons(void *ctx, struct view_reason **rows)
{
    (void)ctx;
    struct view_reason *r = *rows = rows_of(2, sizeof *r);
    COPY(r[0].function, "getUsers");
    r[0].kind = "refusal";
    r[0].reason = "timeout";
    r[0].count = 7;
    COPY(r[1].function, "getUsers");
    r[1].kind = "pin";
    r[1].reason = "temporary table";
    r[1].count = 2;
    return 2;
}

static bool get_times(void *ctx, const char *function, enum admin_time which,
                      struct histogram_view *out)
{
    (void)ctx;
    (void)which;
    if (strcmp(function, "getUsers") != 0)
        return false;
    static struct histogram h;
    if (atomic_load(&h.sum_us) == 0)
        for (uint64_t us = 1; us < 100000000; us *= 3)
            histogram_add(&h, us);
    histogram_merge(out, &h);
    return true;
}

static void get_overview(void *ctx, struct view_overview *o)
{
    struct fake_admin *w = ctx;
    o->started_wall_us = UINT64_C(1700000000000000);
    o->clients_active = 3;
    o->refused[VIEW_REFUSED_LIMIT] = 9;
    o->clients_waiting = 2;
    o->workers = 2;
    o->draining = w->draining;
}

static bool get_config(void *ctx, size_t i, struct conf_show *row)
{
    (void)ctx;
    if (i >= 2)
        return false;
    row->key = i == 0 ? "listen_port" : "pool_mode";
    COPY(row->value, i == 0 ? "6432" : "transaction");
    COPY(row->defval, i == 0 ? "6432" : "transaction");
    row->changeable = i == 1;
    return true;
}

static void *client_rows(size_t n)
{
    struct view_client *c = rows_of(n, sizeof *c);
    for (size_t i = 0; i < n; i++) {
        c[i].id = i + 1;
        COPY(c[i].database, "shop");
        COPY(c[i].user, "app");
        COPY(c[i].addr, "127.0.0.1");
        c[i].state = i == 0 ? "idle_in_transaction" : "idle";
        c[i].protocol = "postgresql";
        c[i].connected_wall_us = UINT64_C(1700000000000000);
    }
    return c;
}

static void *server_rows(size_t n)
{
    struct view_server *s = rows_of(n, sizeof *s);
    for (size_t i = 0; i < n; i++) {
        s[i].id = 100 + i;
        COPY(s[i].database, "shop");
        COPY(s[i].user, "app");
        s[i].state = i == 0 ? "settling" : "idle";
        s[i].remote_pid = 4321;
    }
    return s;
}

static void collect(void *ctx, enum admin_what what, struct admin_collect *c)
{
    struct fake_admin *w = ctx;
    if (w->silent) {
        w->kept = c;
        return;
    }
    if (what == ADMIN_WHAT_CLIENTS)
        admin_collect_done(c, client_rows(3), 3, !w->partial);
    else if (what == ADMIN_WHAT_SERVERS)
        admin_collect_done(c, server_rows(2), 2, !w->partial);
    else
        admin_collect_done(c, NULL, 0, !w->partial);
}

static void order(void *ctx, struct admin_order *o)
{
    struct fake_admin *w = ctx;
    size_t n = strlen(w->log);
    (void)snprintf(w->log + n, sizeof w->log - n, "%s %s %llu %d %s %s\n", admin_verb_name(o->verb),
                   o->database == NULL ? "-" : o->database, (unsigned long long)o->client_id,
                   (int)o->shutdown_mode, o->key == NULL ? "-" : o->key,
                   o->value == NULL ? "-" : o->value);
    if (o->verb == ADMIN_WAIT_CLOSE) {
        w->kept_order = o;
        return;
    }
    if (o->verb == ADMIN_RELOAD)
        admin_order_notice(o, "weir.ini:3: unknown key");
    if (o->database != NULL && strcmp(o->database, "nodb") == 0)
        admin_order_done(o, "3D000", "no such database: nodb");
    else
        admin_order_done(o, NULL, NULL);
}

struct fake_admin *fake_admin_create(void)
{
    struct fake_admin *w = rows_of(1, sizeof *w);
    w->loop = loop_create();
    w->source = (struct admin_source){
        .ctx = w,
        .pools = get_pools,
        .bounds = get_bounds,
        .databases = get_databases,
        .stats = get_stats,
        .functions = get_functions,
        .reasons = get_reasons,
        .times = get_times,
        .overview = get_overview,
        .config = get_config,
        .collect = collect,
    };
    w->control = (struct admin_control){.ctx = w, .order = order};
    struct admin_setup setup = {
        .loop = w->loop, .source = &w->source, .control = &w->control, .version = "weir 0.1.0"};
    w->admin = w->loop == NULL ? NULL : admin_create(&setup);
    if (w->admin == NULL)
        abort();
    return w;
}

void fake_admin_destroy(struct fake_admin **w)
{
    if ((*w)->kept != NULL)
        admin_collect_done((*w)->kept, client_rows(1), 1, true); /* late: freed and forgotten */
    admin_destroy(&(*w)->admin);
    loop_destroy(&(*w)->loop);
    free(*w);
    *w = NULL;
}
