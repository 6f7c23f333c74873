/* SPDX-License-Identifier: ISC
 * See admin.h: from a text to a result, with what happens in between when an answer takes time.
 *
 *   text -> command -> a driver's pleasantry: answered here
 *                   -> an order: admin_control carries it out, admin_order_done() answers
 *                   -> a show: rows from admin_source, and where they live on the workers a
 *                      collect, which is answered by admin_collect_done() or by its own timer
 */
#include "config.h"

#include "admin/admin_priv.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATS_PERIOD_US (60 * UINT64_C(1000000))

/* ---- life -------------------------------------------------------------------------------------
 */

static void on_stats_timer(void *arg)
{
    struct admin *a = arg;
    struct view_stats *rows = NULL;
    size_t n = admin_get(a, stats, &rows);
    admin_stats_tick(&a->stats, rows, n, clock_now_us());
    timer_set_us(&a->stats_timer, a->stats_period_us);
}

struct admin *admin_create(const struct admin_setup *setup)
{
    struct admin *a = calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    a->loop = setup->loop;
    a->source = setup->source;
    a->control = setup->control;
    a->version = setup->version;
    a->stats_period_us = setup->stats_period_us == 0 ? STATS_PERIOD_US : setup->stats_period_us;
    admin_stats_init(&a->stats, clock_now_us());
    timer_init(&a->stats_timer, a->loop, on_stats_timer, a);
    timer_set_us(&a->stats_timer, a->stats_period_us);
    return a;
}

void admin_destroy(struct admin **ap)
{
    struct admin *a = *ap;
    if (a == NULL)
        return;
    *ap = NULL;
    timer_clear(&a->stats_timer);
    admin_stats_fini(&a->stats);
    free(a);
}

/* ---- rows from the workers ----------------------------------------------------------------------
 */

struct admin_collect {
    admin_rows_cb *cb; /* NULL: the time is over, nobody waits any more */
    void *arg;
    struct timer deadline;
};

static void on_collect_deadline(void *arg)
{
    struct admin_collect *c = arg;
    admin_rows_cb *cb = c->cb;
    c->cb = NULL; /* admin_collect_done() frees c when it comes */
    cb(NULL, 0, false, c->arg);
}

void admin_collect_done(struct admin_collect *c, void *rows, size_t n, bool complete)
{
    timer_clear(&c->deadline);
    if (c->cb != NULL)
        c->cb(rows, n, complete, c->arg);
    free(rows);
    free(c);
}

void admin_collect_rows(struct admin *a, enum admin_what what, admin_rows_cb *cb, void *arg)
{
    struct admin_collect *c = a->source->collect == NULL ? NULL : calloc(1, sizeof *c);
    if (c == NULL) {
        cb(NULL, 0, a->source->collect == NULL, arg);
        return;
    }
    c->cb = cb;
    c->arg = arg;
    timer_init(&c->deadline, a->loop, on_collect_deadline, c);
    timer_set_us(&c->deadline, ADMIN_COLLECT_WAIT_US);
    a->source->collect(a->source->ctx, what, c);
}

/* ---- shows --------------------------------------------------------------------------------------
 */

struct show_job {
    struct admin *admin;
    struct admin_result *result;
    admin_done_cb *done;
    void *arg;
    enum admin_verb verb;
    enum admin_what what; /* being collected */
    bool more;            /* the servers are to follow the clients */
};

static void show_finish(struct admin_result *r, admin_done_cb *done, void *arg)
{
    if (!r->failed && r->table != NULL && !admin_table_ok(r->table))
        admin_result_fail(r, "53200", "out of memory");
    if (r->incomplete)
        admin_result_notice(r, "not every worker answered in time: rows are missing");
    done(r, arg);
}

static void on_show_rows(const void *rows, size_t n, bool complete, void *arg)
{
    struct show_job *job = arg;
    if (!complete)
        job->result->incomplete = true;
    admin_show_collected(job->verb, job->what, rows, n, job->result->table);
    if (job->more) {
        job->more = false;
        job->what = ADMIN_WHAT_SERVERS;
        admin_collect_rows(job->admin, job->what, on_show_rows, job);
        return;
    }
    show_finish(job->result, job->done, job->arg);
    free(job);
}

static void show_help(struct admin_result *r, admin_done_cb *done, void *arg)
{
    char *text = admin_help_text();
    if (text == NULL)
        admin_result_fail(r, "53200", "out of memory");
    else
        admin_result_notice(r, text);
    free(text);
    done(r, arg);
}

static void put_value(struct admin *a, const struct admin_command *cmd, struct admin_table *t)
{
    char text[128];
    (void)snprintf(text, sizeof text, "%s (%s)", cmd->column_value, a->version);
    admin_table_put(t, cmd->value_has_version ? text : cmd->column_value);
}

static void show(struct admin *a, const struct admin_command *cmd, struct admin_result *r,
                 admin_done_cb *done, void *arg)
{
    struct admin_column one;
    size_t n;
    const struct admin_column *columns = admin_columns(cmd, &one, &n);
    if (columns == NULL) {
        show_help(r, done, arg);
        return;
    }
    r->table = admin_table_create(columns, n);
    struct show_job *job = calloc(1, sizeof *job);
    if (r->table == NULL || job == NULL) {
        free(job);
        admin_result_fail(r, "53200", "out of memory");
        done(r, arg);
        return;
    }
    if (cmd->verb == ADMIN_VALUE)
        put_value(a, cmd, r->table);
    else if (!admin_show_at_once(a, cmd->verb, r->table, &job->what, &job->more)) {
        job->admin = a;
        job->result = r;
        job->done = done;
        job->arg = arg;
        job->verb = cmd->verb;
        admin_collect_rows(a, job->what, on_show_rows, job);
        return;
    }
    free(job);
    show_finish(r, done, arg);
}

/* ---- orders -------------------------------------------------------------------------------------
 */

struct order_job {
    struct admin_order order; /* first: what the control is given */
    struct admin_command cmd; /* holds the strings */
    struct admin_result *result;
    admin_done_cb *done;
    void *arg;
};

void admin_order_done(struct admin_order *o, const char *sqlstate, const char *text)
{
    struct order_job *job = (struct order_job *)o;
    if (sqlstate != NULL)
        admin_result_fail(job->result, sqlstate, "%s", text == NULL ? "failed" : text);
    job->done(job->result, job->arg);
    free(job);
}

void admin_order_notice(struct admin_order *o, const char *text)
{
    admin_result_notice(((struct order_job *)o)->result, text);
}

static void give_order(struct admin *a, const struct admin_command *cmd, struct admin_result *r,
                       admin_done_cb *done, void *arg)
{
    struct order_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        admin_result_fail(r, "53200", "out of memory");
        done(r, arg);
        return;
    }
    job->cmd = *cmd;
    job->result = r;
    job->done = done;
    job->arg = arg;
    bool set = cmd->verb == ADMIN_SET, warm = cmd->verb == ADMIN_WARM;
    job->order = (struct admin_order){
        .verb = cmd->verb,
        .database = cmd->has_arg ? job->cmd.arg : NULL,
        .client_id = cmd->client_id,
        .shutdown_mode = cmd->shutdown_mode,
        .key = set ? job->cmd.arg : NULL,
        .value = set || (warm && job->cmd.value[0] != '\0') ? job->cmd.value : NULL,
        .count = cmd->count,
    };
    a->control->order(a->control->ctx, &job->order);
}

/* ---- entry --------------------------------------------------------------------------------------
 */

void admin_execute(struct admin *a, const char *text, bool read_only, admin_done_cb *done,
                   void *arg)
{
    struct admin_command cmd;
    const char *sqlstate = NULL;
    struct err e = {{0}};
    bool ok = admin_command_parse(text, strlen(text), &cmd, &sqlstate, &e);
    struct admin_result *r = admin_result_create(ok ? cmd.tag : "");
    if (r == NULL) {
        done(NULL, arg);
        return;
    }
    if (!ok) {
        admin_result_fail(r, sqlstate, "%s", e.text);
        done(r, arg);
    } else if (admin_verb_is_order(cmd.verb)) {
        if (!read_only) {
            give_order(a, &cmd, r, done, arg);
            return;
        }
        admin_result_fail(r, "42501", "%s: admin access needed", admin_verb_name(cmd.verb));
        done(r, arg);
    } else if (admin_verb_is_show(cmd.verb) || cmd.verb == ADMIN_VALUE) {
        show(a, &cmd, r, done, arg);
    } else {
        done(r, arg);
    }
}
