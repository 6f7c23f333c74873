/* SPDX-License-Identifier: ISC
 * The table that MySQL fills in at the seam, and the ends of its two objects.
 */
#include "config.h"

#include "proto/mysql/my_cache.h"
#include "proto/mysql/my_dial.h"
#include "proto/mysql/my_proto.h"
#include "proto/mysql/my_session.h"

#include <stdatomic.h>
#include <stdlib.h>

static bool with(struct var_set **set, const char *name, const char *value)
{
    return vars_take(set, vars_with(*set, name, strlen(name), VAR_PLAIN, value, strlen(value)));
}

static bool with_names(struct var_set **set, const char *charset, const char *collation)
{
    return with(set, "character_set_client", charset) &&
           with(set, "character_set_connection", charset) &&
           with(set, "character_set_results", charset) &&
           with(set, "collation_connection", collation);
}

static bool first_names(struct var_set **set, unsigned charset, const struct my_report *report)
{
    enum my_collation_of of = report == NULL    ? MY_OF_BOTH
                              : report->mariadb ? MY_OF_MARIADB
                                                : MY_OF_MYSQL;
    const struct my_collation *col = my_collation_find(charset, of);
    struct var_entry e, name;
    if (col != NULL)
        return with_names(set, col->charset, col->collation);
    /* A number that it doesn't know: it takes its own default. (One of weir's connections came
     * with a number of weir's.) */
    if (report == NULL || report->base == NULL ||
        !var_set_find(report->base, "character_set_server", 20, &e) ||
        !var_set_find(report->base, "collation_server", 16, &name))
        return true;
    return with_names(set, e.value, name.value);
}

/* The client logged in before any server was known, and its number was read as it might be. */
bool my_client_names(struct my_client *c)
{
    return first_names(&c->start, c->charset, c->report) &&
           first_names(&c->vars, c->charset, c->report);
}

/* Interned, as the clients of one application are many. */
static bool name_application(struct my_client *c, const char *name)
{
    if (name == NULL || name[0] == '\0')
        return true;
    c->named = vars_empty();
    return vars_take(&c->named,
                     vars_with(c->named, "application_name", 16, VAR_REPORT, name, strlen(name)));
}

void my_client_limit(void *pc, const struct login_limits *limits)
{
    struct my_client *c = pc;
    c->prepared_limit = limits->prepared;
    c->prepare_64k = (uint16_t)((limits->statement_max_bytes + 0xffffu) >> 16);
    c->pool_mode = (uint8_t)limits->pool_mode;
}

bool my_client_init(struct my_client *c, const struct my_client_start *start)
{
    static _Atomic uint64_t tokens;
    memset(c, 0, sizeof *c);
    c->magic = MY_CLIENT_MAGIC;
    c->id = start->id;
    c->salt_number = start->salt_number;
    c->token = atomic_fetch_add(&tokens, 1) + 1;
    c->turn = c->diagnosis = my_stamp(c, 0);
    c->caps = start->caps;
    c->charset = (uint16_t)start->charset;
    my_client_limit(c, &start->limits);
    c->deadline_ms = c->start_deadline_ms = start->deadline_ms;
    c->status = MY_ST_AUTOCOMMIT;
    c->connector_c = start->connector_c;
    c->start = vars_empty();
    if (start->report != NULL)
        c->report = my_report_get(start->report);
    c->found_rows = my_found_at_first(c->report);
    if (c->start == NULL || !first_names(&c->start, start->charset, c->report))
        return false;
    c->vars = vars_get(c->start);
    my_scan_opts_follow(c);
    return name_application(c, start->application_name);
}

bool my_server_init(struct my_server *s, const struct my_server_start *start)
{
    memset(s, 0, sizeof *s);
    s->magic = MY_SERVER_MAGIC;
    s->fd = start->fd;
    s->ssl = start->ssl;
    s->origin = start->origin;
    s->report = start->report;
    s->thread_id = start->thread_id;
    s->caps = start->caps;
    s->status = MY_ST_AUTOCOMMIT;
    s->multi = (start->caps & MY_CAP_MULTI_STATEMENTS) != 0;
    s->prepared_limit = 1;
    s->prepared_share = start->max_prepared;
    s->worn = start->init_connect;
    LIST_INIT(&s->held);
    s->vars = vars_empty();
    s->base = s->report != NULL && s->report->base != NULL ? vars_get(s->report->base) : NULL;
    s->home = strdup(start->home != NULL ? start->home : "");
    s->tracking = strdup(start->tracking);
    return s->vars != NULL && s->home != NULL && s->tracking != NULL;
}

static void facts(const void *pc, const void *ps, struct proto_facts *out)
{
    const struct my_client *c = pc;
    const struct my_server *s = ps;
    memset(out, 0, sizeof *out);
    out->application_name = "";
    if (c != NULL && c->named != NULL && var_set_count(c->named) != 0)
        out->application_name = var_set_at(c->named, 0).value;
    out->pin_reason = out->pin_statement = "";
    out->tx = 'I';
    if (c != NULL)
        out->prepared = my_stmts_count(c->stmts, NULL);
    if (s == NULL)
        return;
    if (c == NULL)
        out->prepared = my_cache_count(s->cache);
    out->tx = my_in_transaction(s) ? 'T' : 'I';
    out->busy = s->len != 0 && s->phase != MY_PH_INFILE;
    out->own =
        s->len != 0 && (s->queue[s->head].act == MY_A_SET || s->queue[s->head].act == MY_A_SETTLE);
    out->owed_bytes = s->skip_drop ? 0 : s->skip;
    out->open = s->phase == MY_PH_INFILE;
    out->pin_reason = my_pin_name(s->pins);
    out->pin_statement = s->pins != 0 ? s->pin_statement : "";
    out->pin_since_us = s->pins != 0 ? s->pin_since_us : 0;
}

static void client_fini(void *pc)
{
    struct my_client *c = pc;
    vars_put(&c->vars);
    vars_put(&c->start);
    vars_put(&c->named);
    my_report_put(&c->report);
    my_stmts_clear(&c->stmts);
    free(c->schema);
    free(c->warnings);
    free(c->picked);
    free(c->lost_text);
    free(c->late);
    memset(c, 0, sizeof *c);
}

static void server_fini(void *ps)
{
    struct my_server *s = ps;
    my_held_forget(s, UINT32_MAX);
    my_cache_clear(&s->cache);
    my_text_put(&s->preparing);
    vars_put(&s->vars);
    vars_put(&s->base);
    my_report_put(&s->report);
    free(s->schema);
    free(s->home);
    free(s->tracking);
    free(s->reset_query);
    free(s->prepare_error);
    free(s->overdue);
    buf_release(&s->sql);
    buf_release(&s->notes);
    buf_release(&s->pending);
    buf_release(&s->closing);
    buf_release(&s->closed);
    buf_release(&s->longs);
    my_link_close(&s->origin, s->fd, s->ssl);
    memset(s, 0, sizeof *s);
}

static void statements(const void *pc, const void *ps, proto_statement_row *row, void *arg)
{
    const struct my_client *c = pc;
    const struct my_server *s = ps;
    my_stmts_each(c != NULL ? c->stmts : NULL, row, arg);
    my_cache_each(s != NULL ? s->cache : NULL, row, arg);
}

const struct proto_ops my_proto_ops = {
    .name = "mysql",
    .client_bytes = sizeof(struct my_client),
    .server_bytes = sizeof(struct my_server),
    .from_client = my_client_feed,
    .from_server = my_server_feed,
    .begin = my_begin,
    .state = my_state,
    .check = my_check,
    .abandon = my_abandon,
    .say = my_say,
    .facts = facts,
    .statements = statements,
    .client_fini = client_fini,
    .server_fini = server_fini,
};
