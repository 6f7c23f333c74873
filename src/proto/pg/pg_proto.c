/* SPDX-License-Identifier: ISC
 * The table that PostgreSQL fills in at the seam, and the ends of its two objects.
 */
#include "config.h"

#include "proto/pg/pg_dial_raw.h"
#include "proto/pg/pg_login.h"
#include "proto/pg/pg_session.h"
#include "proto/pg/pg_stmt_each.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

static void facts(const void *pc, const void *ps, struct proto_facts *out)
{
    const struct pg_client *c = pc;
    const struct pg_server *s = ps;
    struct var_entry e;
    memset(out, 0, sizeof *out);
    out->application_name = "";
    out->pin_reason = out->pin_statement = "";
    out->tx = 'I';
    if (c != NULL && c->current != NULL) {
        if (var_set_find(c->report, "application_name", 16, &e))
            out->application_name = e.value;
        out->prepared = pg_names_count(c->names);
    }
    if (s == NULL)
        return;
    if (c == NULL) {
        if (s->report != NULL && var_set_find(s->report, "application_name", 16, &e))
            out->application_name = e.value;
        out->prepared = pg_cache_count(s->cache);
    }
    out->tx = s->status;
    out->busy = s->len != 0 && s->copy != 'G' && s->copy != 'W';
    out->own =
        s->len != 0 && (s->ring[s->head].act == PG_A_SET || s->ring[s->head].act == PG_A_SETTLE);
    out->open = s->open || s->copy != 0;
    out->owed_bytes = s->skip_drop ? 0 : s->skip;
    out->pin_reason = pg_pin_name(s->pins);
    out->pin_statement = s->pins != 0 ? s->pin_statement : "";
    out->pin_since_us = s->pins != 0 ? s->pin_since_us : 0;
}

static void statements(const void *pc, const void *ps, proto_statement_row *row, void *arg)
{
    const struct pg_client *c = pc;
    const struct pg_server *s = ps;
    if (c != NULL && c->unnamed != NULL)
        pg_stmt_row(c->unnamed, c->unnamed->name, row, arg);
    if (c != NULL)
        pg_names_each(c->names, row, arg);
    else
        pg_cache_each(s->cache, row, arg);
}

static void client_fini(void *pc)
{
    struct pg_client *c = pc;
    pg_names_clear(&c->names);
    pg_stmt_put(&c->unnamed);
    vars_put(&c->startup);
    vars_put(&c->current);
    vars_put(&c->report);
    free(c->lost_text);
    memset(c, 0, sizeof *c);
}

static void server_fini(void *ps)
{
    struct pg_server *s = ps;
    pg_expect_clear(s);
    free(s->ring);
    pg_change_free(&s->change);
    pg_cache_clear(&s->cache);
    pg_stmt_put(&s->unnamed);
    vars_put(&s->applied);
    vars_put(&s->before);
    vars_put(&s->restore);
    vars_put(&s->report);
    vars_put(&s->login);
    vars_put(&s->custom);
    vars_put(&s->latent);
    vars_put(&s->truth);
    free(s->reset_query);
    free(s->overdue);
    pg_stmt_put(&s->own);
    pg_columns_forget(s);
    pg_sql_free(&s->sql_bound);
    pg_sql_free(&s->sql_again);
    buf_release(&s->sql);
    pg_heal_fini(&s->heal);
    if (s->conn != NULL)
        PQfinish(s->conn);
    pg_raw_link_close(&s->raw_link);
    memset(s, 0, sizeof *s);
}

const struct proto_ops pg_proto_ops = {
    .name = "postgresql",
    .client_bytes = sizeof(struct pg_client),
    .server_bytes = sizeof(struct pg_server),
    .from_client = pg_client_feed,
    .from_server = pg_server_feed,
    .begin = pg_begin,
    .state = pg_state,
    .check = pg_check,
    .abandon = pg_abandon,
    .say = pg_say,
    .facts = facts,
    .statements = statements,
    .client_fini = client_fini,
    .server_fini = server_fini,
};
