/* SPDX-License-Identifier: ISC
 * See console_admin.h. Rows come from worker/view.h as they are; orders go there, and what takes
 * time (PAUSE, WAIT_CLOSE) is asked for again every POLL_US until it is so.
 */
#include "config.h"

#include "admin/console_admin.h"

#include "admin/admin.h"
#include "admin/admin_http.h"
#include "admin/admin_mysql.h"
#include "admin/admin_pg.h"
#include "base/clock.h"
#include "conf/conf.h"
#include "conf/conf_describe.h"
#include "net/loop.h"
#include "worker/console.h"
#include "worker/protocols.h"
#include "worker/order.h"
#include "worker/view.h"
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_US 20000u

/* An order that isn't done at once. */
struct pending {
    struct admin_world *a;
    struct admin_order *order;
    struct timer timer;
    uint64_t since_wall_us;
    bool asked; /* servers are being collected */
    LIST_ENTRY(pending) link;
};

struct admin_world {
    struct world *world;
    struct admin *admin;
    struct admin_http *http;
    struct admin_process process;
    struct admin_source source;
    struct admin_control control;
    struct console_ops consoles[PROTOCOLS]; /* by door */
    LIST_HEAD(, pending) pending;
    uint64_t reconnect_wall_us; /* of the last RECONNECT */
};

/* ---- rows
 * ------------------------------------------------------------------------------------------ */

static size_t get_pools(void *ctx, struct view_pool **rows)
{
    return world_pools(((struct admin_world *)ctx)->world, rows);
}

static size_t get_bounds(void *ctx, struct view_bound **rows)
{
    return world_bounds(((struct admin_world *)ctx)->world, rows);
}

static size_t get_databases(void *ctx, struct view_database **rows)
{
    return world_databases(((struct admin_world *)ctx)->world, rows);
}

static size_t get_users(void *ctx, struct view_user **rows)
{
    return world_users(((struct admin_world *)ctx)->world, rows);
}

static size_t get_stats(void *ctx, struct view_stats **rows)
{
    return world_stats(((struct admin_world *)ctx)->world, rows);
}

static size_t get_functions(void *ctx, struct view_function **rows)
{
    return world_functions(((struct admin_world *)ctx)->world, rows);
}

static size_t get_reasons(void *ctx, struct view_reason **rows)
{
    return world_reasons(((struct admin_world *)ctx)->world, rows);
}

static size_t get_mem(void *ctx, struct view_mem **rows)
{
    return world_mem(((struct admin_world *)ctx)->world, rows);
}

static bool get_times(void *ctx, const char *function, enum admin_time which,
                      struct histogram_view *out)
{
    return world_times(((struct admin_world *)ctx)->world, function, which == ADMIN_TIME_HOLD, out);
}

static void get_overview(void *ctx, struct view_overview *out)
{
    world_overview(((struct admin_world *)ctx)->world, out);
}

static bool get_config(void *ctx, size_t i, struct conf_show *row)
{
    struct conf *conf = world_conf(((struct admin_world *)ctx)->world);
    bool ok = conf_show_row(conf, i, row);
    conf_free(&conf);
    return ok;
}

static void collected(void *rows, size_t n, void *arg)
{
    admin_collect_done(arg, rows, n, true);
}

static void collect(void *ctx, enum admin_what what, struct admin_collect *c)
{
    static const enum view_what map[] = {
        [ADMIN_WHAT_CLIENTS] = VIEW_CLIENTS,
        [ADMIN_WHAT_SERVERS] = VIEW_SERVERS,
        [ADMIN_WHAT_PINS] = VIEW_PINS,
        [ADMIN_WHAT_STATEMENTS] = VIEW_STATEMENTS,
    };
    struct admin_world *a = ctx;
    if (!world_collect(a->world, map[what], collected, c))
        admin_collect_done(c, NULL, 0, false);
}

/* ---- orders
 * ------------------------------------------------------------------------------------------ */

static void pending_end(struct pending *p, const char *code, const char *text)
{
    LIST_REMOVE(p, link);
    timer_clear(&p->timer);
    admin_order_done(p->order, code, text);
    free(p);
}

static void on_servers(void *rows, size_t n, void *arg)
{
    struct pending *p = arg;
    const struct view_server *v = rows;
    bool old = false;
    for (size_t i = 0; i < n; i++)
        old = old ||
              ((p->order->database == NULL || strcmp(v[i].database, p->order->database) == 0) &&
               v[i].connected_wall_us < p->a->reconnect_wall_us);
    free(rows);
    p->asked = false;
    if (!old)
        pending_end(p, NULL, NULL);
    else
        timer_set_us(&p->timer, POLL_US);
}

static void on_poll(void *arg)
{
    struct pending *p = arg;
    if (p->order->verb == ADMIN_WAIT_CLOSE) {
        p->asked = world_collect(p->a->world, VIEW_SERVERS, on_servers, p);
        if (!p->asked)
            timer_set_us(&p->timer, POLL_US);
        return;
    }
    if (!world_is_paused(p->a->world, p->order->database))
        pending_end(p, "55000", "resumed before everybody had stopped");
    else if (world_connections(p->a->world, p->order->database) == 0)
        pending_end(p, NULL, NULL);
    else
        timer_set_us(&p->timer, POLL_US);
}

static void wait_for(struct admin_world *a, struct admin_order *o)
{
    struct pending *p = calloc(1, sizeof *p);
    if (p == NULL) {
        admin_order_done(o, "53200", "out of memory");
        return;
    }
    p->a = a;
    p->order = o;
    LIST_INSERT_HEAD(&a->pending, p, link);
    timer_init(&p->timer, world_loop(a->world), on_poll, p);
    on_poll(p);
}

static void set_one(struct admin_world *a, struct admin_order *o)
{
    struct conf *now = world_conf(a->world);
    struct conf *copy = conf_copy(now);
    struct err e = {"out of memory"};
    struct conf_report report;
    conf_free(&now);
    if (copy == NULL || !conf_set(copy, o->key, o->value, &e)) {
        if (copy != NULL)
            conf_free(&copy);
        admin_order_done(o, "22023", e.text);
        return;
    }
    conf_report_init(&report);
    bool ok = world_reload(a->world, copy, &report);
    const struct conf_problem *p = STAILQ_FIRST(&report.problems);
    admin_order_done(o, ok ? NULL : "22023", ok || p == NULL ? NULL : p->text);
    conf_report_fini(&report);
}

static void database_order(struct admin_world *a, struct admin_order *o, enum world_verb verb)
{
    char text[160] = "pooler is not paused";
    switch (world_order(a->world, verb, o->database)) {
    case WORLD_DONE:
        break;
    case WORLD_NO_DATABASE:
        (void)snprintf(text, sizeof text, "no such database: %s", o->database);
        admin_order_done(o, "3D000", text);
        return;
    case WORLD_NOT_PAUSED:
        if (o->database != NULL)
            (void)snprintf(text, sizeof text, "database %s is not paused", o->database);
        admin_order_done(o, "55000", text);
        return;
    }
    if (verb == WORLD_RECONNECT)
        a->reconnect_wall_us = clock_wall_us();
    if (verb == WORLD_PAUSE || verb == WORLD_WAIT_CLOSE)
        wait_for(a, o);
    else
        admin_order_done(o, NULL, NULL);
}

static void shut_down(struct admin_world *a, struct admin_order *o)
{
    enum admin_shutdown mode = o->shutdown_mode;
    admin_order_done(o, NULL, NULL);
    if (mode == ADMIN_SHUTDOWN_NOW)
        a->process.stop(a->process.arg);
    else
        a->process.drain(a->process.arg, mode == ADMIN_SHUTDOWN_CLIENTS);
}

static void killed(bool found, void *arg)
{
    admin_order_done(arg, found ? NULL : "22023", found ? NULL : "client not found");
}

static void order(void *ctx, struct admin_order *o)
{
    struct admin_world *a = ctx;
    char text[4096] = "";
    switch ((int)o->verb) { /* the shows never get here */
    case ADMIN_PAUSE:
        database_order(a, o, WORLD_PAUSE);
        return;
    case ADMIN_RESUME:
        database_order(a, o, WORLD_RESUME);
        return;
    case ADMIN_DISABLE:
        database_order(a, o, WORLD_DISABLE);
        return;
    case ADMIN_ENABLE:
        database_order(a, o, WORLD_ENABLE);
        return;
    case ADMIN_KILL:
        database_order(a, o, WORLD_KILL);
        return;
    case ADMIN_RECONNECT:
        database_order(a, o, WORLD_RECONNECT);
        return;
    case ADMIN_WAIT_CLOSE:
        database_order(a, o, WORLD_WAIT_CLOSE);
        return;
    case ADMIN_KILL_CLIENT:
        if (!world_kill_client(a->world, o->client_id, killed, o))
            killed(false, o);
        return;
    case ADMIN_RELOAD: {
        bool ok = a->process.reload(a->process.arg, text, sizeof text);
        if (ok && text[0] != '\0')
            admin_order_notice(o, text);
        admin_order_done(o, ok ? NULL : "F0000", ok ? NULL : text);
        return;
    }
    case ADMIN_SHUTDOWN:
        shut_down(a, o);
        return;
    case ADMIN_WARM: {
        bool ok = world_warm(a->world, o->database, o->value, o->count, text, sizeof text);
        admin_order_done(o, ok ? NULL : "22023", ok ? NULL : text);
        return;
    }
    case ADMIN_SET:
        set_one(a, o);
        return;
    default:
        admin_order_done(o, "0A000", "not supported");
        return;
    }
}

/* ---- sessions
 * ------------------------------------------------------------------------------------------ */

static void *session_create(uint32_t flags, void (*execute)(void *ctx, const char *text), void *ctx)
{
    (void)flags;
    return admin_pg_create("weir " PACKAGE_VERSION, execute, ctx);
}

static void session_destroy(void **session)
{
    struct admin_pg *p = *session;
    admin_pg_destroy(&p);
    *session = NULL;
}

static bool session_greet(void *session, uint32_t id, uint32_t key, struct buf *out)
{
    return admin_pg_greet(session, id, key, out);
}

static enum console_state session_feed(void *session, const uint8_t *in, size_t n, size_t *used,
                                       struct buf *out)
{
    return (enum console_state)admin_pg_feed(session, in, n, used, out);
}

static enum console_state session_more(void *session, struct buf *out)
{
    return (enum console_state)admin_pg_more(session, out);
}

static enum console_state session_result(void *session, void *result, struct buf *out)
{
    return (enum console_state)admin_pg_result(session, result, out);
}

static void *mysql_create(uint32_t flags, void (*execute)(void *ctx, const char *text), void *ctx)
{
    return admin_mysql_create("8.0.36-weir-" PACKAGE_VERSION, flags, execute, ctx);
}

static void mysql_destroy(void **session)
{
    struct admin_mysql *p = *session;
    admin_mysql_destroy(&p);
    *session = NULL;
}

static bool mysql_greet(void *session, uint32_t id, uint32_t key, struct buf *out)
{
    (void)key;
    (void)out;
    admin_mysql_greet(session, id);
    return true;
}

static enum console_state mysql_feed(void *session, const uint8_t *in, size_t n, size_t *used,
                                     struct buf *out)
{
    return admin_mysql_feed(session, in, n, used, out);
}

static enum console_state mysql_more(void *session, struct buf *out)
{
    return admin_mysql_more(session, out);
}

static enum console_state mysql_result(void *session, void *result, struct buf *out)
{
    return admin_mysql_result(session, result, out);
}

static void result_drop(void *result)
{
    struct admin_result *r = result;
    admin_result_destroy(&r);
}

static void request_done(struct admin_result *r, void *arg)
{
    console_answer(arg, r);
}

static void request_run(struct console_request *q, void *arg)
{
    struct admin_world *a = arg;
    admin_execute(a->admin, q->text, q->read_only, request_done, q);
}

_Static_assert((int)ADMIN_PG_READY == (int)CONSOLE_READY &&
                   (int)ADMIN_PG_WAIT == (int)CONSOLE_WAIT &&
                   (int)ADMIN_PG_MORE == (int)CONSOLE_MORE &&
                   (int)ADMIN_PG_CLOSE == (int)CONSOLE_CLOSE,
               "both floors count a session's states alike");

/* ---- life
 * ------------------------------------------------------------------------------------------------
 */

static void wire(struct admin_world *a)
{
    a->source = (struct admin_source){
        .ctx = a,
        .pools = get_pools,
        .bounds = get_bounds,
        .databases = get_databases,
        .users = get_users,
        .stats = get_stats,
        .functions = get_functions,
        .reasons = get_reasons,
        .mem = get_mem,
        .times = get_times,
        .overview = get_overview,
        .config = get_config,
        .collect = collect,
    };
    a->control = (struct admin_control){.ctx = a, .order = order};
    a->consoles[CONF_PROTO_MYSQL] = (struct console_ops){
        .create = mysql_create,
        .destroy = mysql_destroy,
        .greet = mysql_greet,
        .feed = mysql_feed,
        .more = mysql_more,
        .result = mysql_result,
        .drop = result_drop,
        .run = request_run,
        .arg = a,
    };
    a->consoles[CONF_PROTO_POSTGRES] = (struct console_ops){
        .create = session_create,
        .destroy = session_destroy,
        .greet = session_greet,
        .feed = session_feed,
        .more = session_more,
        .result = session_result,
        .drop = result_drop,
        .run = request_run,
        .arg = a,
    };
}

struct admin_world *admin_world_create(struct world *w, const struct conf *conf,
                                       const struct admin_process *process, struct err *e)
{
    const struct conf_settings *cs = conf_settings(conf);
    struct admin_world *a = calloc(1, sizeof *a);
    err_set(e, "out of memory");
    if (a == NULL)
        return NULL;
    a->world = w;
    a->process = *process;
    LIST_INIT(&a->pending);
    wire(a);
    struct admin_setup setup = {
        .loop = world_loop(w),
        .source = &a->source,
        .control = &a->control,
        .version = "weir " PACKAGE_VERSION,
        .stats_period_us = cs->stats_period_us,
    };
    a->admin = admin_create(&setup);
    if (a->admin == NULL)
        goto fail;
    if (cs->admin_port != 0) {
        a->http = admin_http_create(world_loop(w), a->admin, cs->admin_addr,
                                    (uint16_t)cs->admin_port, world_admin_sockets(w), e);
        if (a->http == NULL)
            goto fail;
    }
    for (unsigned door = 0; door < PROTOCOLS; door++)
        world_on_console(w, door, &a->consoles[door]);
    return a;
fail:
    admin_world_destroy(&a);
    return NULL;
}

void admin_world_destroy(struct admin_world **ap)
{
    struct admin_world *a = *ap;
    struct pending *p;
    *ap = NULL;
    if (a == NULL)
        return;
    /* The consoles that wait for these went with the workers: there is nobody to be told, and rows
     * that are on their way still name them. The process ends. */
    while ((p = LIST_FIRST(&a->pending)) != NULL) {
        LIST_REMOVE(p, link);
        timer_clear(&p->timer);
    }
    if (a->http != NULL)
        admin_http_destroy(&a->http);
    if (a->admin != NULL)
        admin_destroy(&a->admin);
    free(a);
}
