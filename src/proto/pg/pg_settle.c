/* SPDX-License-Identifier: ISC
 * After the client's part: asking the server what is set and what pins, and cleaning up.
 *
 * The question goes out in one simple Query. Everything in it is qualified, for it runs with the
 * session's own search_path; what it answers is believed only as far as names and values go.
 */
#include "config.h"

#include "base/clock.h"
#include "proto/pg/pg_guc.h"
#include "proto/pg/pg_report.h"
#include "proto/pg/pg_rights.h"
#include "proto/pg/pg_scan.h"
#include "proto/pg/pg_session.h"

#include <string.h>

#define LATENT_MAX      64u
#define RESTORING       PG_STMT_PREFIX "restoring"
#define RESTORING_BYTES (PROTO_ARENA_SLACK / 2)

/* kind, name, value. kind s: a setting; p: something that can't be moved, named by its bit. */
static const char truth_sql[] =
    "SELECT 's', name, setting FROM pg_catalog.pg_settings"
    " WHERE source OPERATOR(pg_catalog.=) 'session'"
    " AND name OPERATOR(pg_catalog.<>) ALL ('{role,session_authorization,transaction_isolation,"
    "transaction_read_only,transaction_deferrable}'::pg_catalog.text[])"
    " UNION ALL SELECT 's', 'role', pg_catalog.current_setting('role')"
    " WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none'"
    " UNION ALL SELECT 'a', 'session_authorization', session_user::pg_catalog.text"
    " UNION ALL SELECT 'p', 'temp', '' WHERE pg_catalog.pg_my_temp_schema() "
    "OPERATOR(pg_catalog.<>) 0"
    " AND (EXISTS (SELECT 1 FROM pg_catalog.pg_class WHERE relnamespace OPERATOR(pg_catalog.=)"
    " pg_catalog.pg_my_temp_schema()) OR EXISTS (SELECT 1 FROM pg_catalog.pg_type WHERE "
    "typnamespace"
    " OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) OR EXISTS (SELECT 1 FROM"
    " pg_catalog.pg_proc WHERE pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()))"
    " UNION ALL SELECT 'p', 'advisory', '' WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_locks WHERE"
    " locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=)"
    " pg_catalog.pg_backend_pid())"
    " UNION ALL SELECT 'p', 'listen', '' WHERE EXISTS (SELECT 1 FROM"
    " pg_catalog.pg_listening_channels())"
    " UNION ALL SELECT 'p', 'hold', '' WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_cursors WHERE"
    " is_holdable)"
    " UNION ALL SELECT 'p', 'prepare', '' WHERE EXISTS (SELECT 1 FROM"
    " pg_catalog.pg_prepared_statements WHERE from_sql)";

/* Custom settings that a function of somebody's own names, n, with their values; '' is what one is
 * behind a SET LOCAL. Without a backslash: standard_conforming_strings may be off. */
static const char latent_sql[] =
    " UNION ALL SELECT DISTINCT 'n', pg_catalog.lower(m.r[1]), COALESCE("
    "pg_catalog.current_setting(pg_catalog.lower(m.r[1]), true), '') FROM pg_catalog.pg_proc p,"
    " pg_catalog.regexp_matches(p.prosrc, '(?:set_config[[:space:]]*[(][[:space:]]*''|"
    "(?:^|[^[:alnum:]_])set[[:space:]]+(?:session[[:space:]]+|local[[:space:]]+)?)"
    "([a-z_][a-z0-9_$]{0,62}[.][a-z_][a-z0-9_$]{0,62})', 'gi') m(r)"
    " WHERE p.pronamespace OPERATOR(pg_catalog.<>) 11::pg_catalog.oid" /* pg_catalog */
    " AND p.prolang OPERATOR(pg_catalog.>) 13::pg_catalog.oid";        /* internal, C */

/* In front where the session has a limit of its own: one of a millisecond is not the question's.
 * What pg_settings says of it behind that (s) isn't so; t is. It takes about a millisecond, so it
 * is asked here, whether the session has set the limit, only of one that leaves the time. NULL:
 * not set. */
static const char untimed_sql[] =
    "SELECT 't', 'statement_timeout', CASE WHEN pg_catalog.current_setting('statement_timeout')"
    " OPERATOR(pg_catalog.~~) '%ms' THEN pg_catalog.current_setting('statement_timeout')"
    " ELSE (SELECT setting FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=)"
    " 'statement_timeout' AND source OPERATOR(pg_catalog.=) 'session') END;"
    "SET LOCAL statement_timeout = 0;";

static const char rollback_sql[] = "ROLLBACK";
static const char discard_sql[] = "DISCARD ALL";

static const struct {
    uint32_t bit;
    const char *row;
    const char *name;
} pins[] = {
    {PG_PIN_TEMP, "temp", "temporary object"},
    {PG_PIN_ADVISORY, "advisory", "advisory lock"},
    {PG_PIN_LISTEN, "listen", "LISTEN"},
    {PG_PIN_HOLD, "hold", "cursor WITH HOLD"},
    {PG_PIN_PREPARE, "prepare", "PREPARE"},
    {PG_PIN_LOAD, "", "LOAD"},
    {PG_PIN_SEQUENCE, "", "sequence"},
    {PG_PIN_SEED, "", "setseed"},
    {PG_PIN_DBLINK, "", "dblink connection"},
    {PG_PIN_SETTINGS, "", "settings that can't be read"},
    {PG_PIN_LARGE, "", "large unnamed statement"},
};

const char *pg_pin_name(uint32_t mask)
{
    for (size_t i = 0; i < sizeof pins / sizeof pins[0]; i++)
        if ((mask & pins[i].bit) != 0)
            return pins[i].name;
    return "";
}

/* The first question of a connection since functions may be others finds their names out. */
static bool ask_latent(struct buf *b, struct pg_server *s)
{
    uint32_t now = pg_hidden_sources();
    if (s->latent == NULL || s->latent_of != now) {
        (void)vars_take(&s->latent, vars_empty());
        s->latent_of = now;
        return s->latent != NULL && buf_append(b, latent_sql, sizeof latent_sql - 1);
    }
    bool ok = true;
    for (uint32_t i = 0; ok && i < var_set_count(s->latent); i++) {
        const char *name = var_set_at(s->latent, i).name;
        ok = buf_printf(b,
                        " UNION SELECT 'n', '%s', COALESCE(pg_catalog.current_setting('%s', true),"
                        " '')",
                        name, name);
    }
    return ok;
}

static bool ask_names(struct buf *b, const struct var_set *set)
{
    bool ok = true;
    for (uint32_t i = 0; ok && set != NULL && i < var_set_count(set); i++) {
        struct var_entry e = var_set_at(set, i);
        if (strchr(e.name, '.') == NULL || strpbrk(e.name, "'\\") != NULL)
            continue;
        ok = buf_printf(b,
                        " UNION SELECT 's', '%s', pg_catalog.current_setting('%s', true) WHERE"
                        " pg_catalog.current_setting('%s', true) IS NOT NULL",
                        e.name, e.name, e.name);
    }
    return ok;
}

/* The question, with the custom settings that the client has or this loan may have set. */
static const char *compose_truth(struct pg_client *c, struct pg_server *s)
{
    static const char timeout[] = "statement_timeout";
    struct var_entry e;
    buf_release(&s->sql);
    s->untimed = s->untimed || var_set_find(s->applied, timeout, sizeof timeout - 1, &e);
    if (s->untimed && !buf_append(&s->sql, untimed_sql, sizeof untimed_sql - 1))
        return NULL;
    if (!buf_append(&s->sql, truth_sql, sizeof truth_sql - 1) || !ask_latent(&s->sql, s) ||
        !ask_names(&s->sql, s->custom) || !ask_names(&s->sql, c != NULL ? c->current : NULL) ||
        !buf_append(&s->sql, "", 1))
        return NULL;
    return (const char *)buf_head(&s->sql);
}

static bool ask(struct pg_server *s, enum pg_phase phase, const char *sql, struct proto_out *out)
{
    if (pg_expect_push(s, PG_X_QUERY, PG_A_SETTLE) == NULL)
        return false;
    s->truth_failed = false;
    s->phase = (uint8_t)phase;
    if (s->unnamed != NULL)
        pg_stmt_put(&s->unnamed);
    uint8_t head[PG_HEAD_BYTES] = {'Q'};
    size_t n = strlen(sql) + 1;
    pg_put32(head + 1, (uint32_t)n + 4);
    pg_put(out, &out->server, head, sizeof head);
    proto_lane_add(&out->server, sql, n);
    return true;
}

enum proto_loan pg_settle_start(struct pg_client *c, struct pg_server *s, enum pg_phase phase,
                                struct proto_out *out)
{
    const char *sql = "";
    switch (phase) {
    case PG_PH_ROLLBACK:
        sql = rollback_sql;
        break;
    case PG_PH_TRUTH:
        sql = compose_truth(c, s);
        if (sql == NULL)
            return LOAN_BROKEN;
        (void)vars_take(&s->truth, vars_empty());
        s->truth_pins = 0;
        break;
    case PG_PH_RESET:
        sql = discard_sql;
        /* After a session, and where it is asked for each time: the user's own words. What weir
         * must be sure of (a pin, an unknown setting) is not left to them. */
        s->reset_own =
            s->pins == 0 && s->dirt == 0 && s->n_hidden == 0 && !s->scrub && s->reset_query != NULL;
        if (s->reset_own)
            sql = s->reset_query;
        break;
    case PG_PH_BARRIER:
    case PG_PH_CHECK:
    case PG_PH_NONE:
        break;
    }
    return ask(s, phase, sql, out) ? LOAN_SETTLE : LOAN_BROKEN;
}

bool pg_check(void *ps, const char *query, struct proto_out *out)
{
    return ask(ps, PG_PH_CHECK, strcmp(query, "<empty>") == 0 ? "" : query, out);
}

static bool put_part(struct buf *b, char type, const char *body, size_t n, const struct buf *more)
{
    uint8_t head[PG_HEAD_BYTES] = {(uint8_t)type};
    size_t n_more = more != NULL ? buf_len(more) + 3 : 0;
    pg_put32(head + 1, (uint32_t)(n + n_more) + 4);
    return buf_append(b, head, sizeof head) && buf_append(b, body, n) &&
           (more == NULL ||
            (buf_append(b, buf_head(more), buf_len(more)) && buf_append(b, "\0\0", 3)));
}

/* One statement, under a name that is no client's. One that failed may have left it there. */
static bool put_executed(struct buf *b, const struct buf *sql)
{
    static const char name[] = "S" RESTORING, portal[] = "P" RESTORING, parse[] = RESTORING,
                      bind[] = RESTORING "\0" RESTORING "\0\0\0\0\0\0",
                      execute[] = RESTORING "\0\0\0\0";
    return put_part(b, 'C', name, sizeof name, NULL) &&
           put_part(b, 'P', parse, sizeof parse, sql) &&
           put_part(b, 'B', bind, sizeof bind, NULL) &&
           put_part(b, 'E', execute, sizeof execute, NULL) &&
           put_part(b, 'C', portal, sizeof portal, NULL) &&
           put_part(b, 'C', name, sizeof name, NULL);
}

static bool put_restoring(struct buf *b, const struct var_set *restore)
{
    struct var_set *none = vars_empty();
    bool ok = none != NULL;
    for (uint32_t i = 0; ok && i < var_set_count(restore); i++) {
        struct var_entry e = var_set_at(restore, i);
        struct var_set *one = vars_with(none, e.name, e.name_len, e.form, e.value, e.value_len);
        struct pg_guc_diff diff;
        struct buf sql = {0};
        ok = one != NULL && pg_guc_diff(none, one, NULL, &sql, &diff) &&
             (diff.changes == 0 || put_executed(b, &sql));
        buf_release(&sql);
        vars_put(&one);
    }
    vars_put(&none);
    return ok;
}

bool pg_restore_in_batch(struct pg_server *s, struct proto_out *out)
{
    static const char types[] = "CPBE";
    static const enum pg_expect_kind kinds[] = {PG_X_CLOSE, PG_X_PARSE, PG_X_BIND, PG_X_EXECUTE};
    struct buf b = {0};
    bool ok = put_restoring(&b, s->restore), fits = buf_len(&b) <= RESTORING_BYTES;
    for (size_t at = 0; ok && fits && at < buf_len(&b);) {
        const uint8_t *m = buf_head(&b) + at;
        const char *type = strchr(types, m[0]);
        ok = type != NULL && pg_expect_push(s, kinds[type - types], PG_A_SWALLOW) != NULL;
        at += 1 + pg_get32(m + 1);
    }
    if (ok && fits)
        pg_put(out, &out->server, buf_head(&b), buf_len(&b));
    buf_release(&b);
    vars_put(&s->restore);
    pg_change_free(&s->change);
    s->dirt |= PG_D_SETTINGS;
    return ok;
}

/* With the startup values in force, will there be something to report? The server doesn't mention
 * what was RESET to the value that it had. */
static bool reports_startup(const struct pg_client *c, const struct pg_server *s)
{
    if (s->restore == NULL || s->status == 'E')
        return false;
    struct var_set *then = vars_get(c->report);
    bool yes = !pg_report_overlay(&then, s->login, s->restore) || then != c->report;
    vars_put(&then);
    return yes;
}

bool pg_keep_ready(struct pg_client *c, struct pg_server *s)
{
    for (uint32_t i = 0; i < s->len; i++)
        if (!pg_expect_is_own(pg_expect_at(s, i)))
            return false; /* of a segment before the one that resets: nothing is sent behind that */
    /* A session's loan has no end at which it would be asked. */
    bool asks = s->in_session && s->status == 'I' && (s->dirt & PG_D_SETTINGS) != 0;
    bool keep = c != NULL && (s->misreport || reports_startup(c, s) || asks);
    s->resets = s->misreport = false;
    s->kept_ready = s->hold = keep;
    return keep;
}

enum proto_loan pg_kept_go_on(struct pg_client *c, struct pg_server *s, struct proto_out *out)
{
    if (s->status == 'I' && (s->dirt & PG_D_SETTINGS) != 0)
        return pg_settle_start(c, s, PG_PH_TRUTH, out) == LOAN_BROKEN ? LOAN_BROKEN : LOAN_BUSY;
    if (s->status == 'I' && s->applied != c->current)
        (void)pg_sync_settings(c, s, out);
    else if (s->restore != NULL)
        pg_restore_startup(s, out);
    s->hold = true;
    if (s->len == 0 && pg_settle_start(c, s, PG_PH_BARRIER, out) == LOAN_BROKEN)
        return LOAN_BROKEN;
    return s->dying ? LOAN_BROKEN : LOAN_BUSY;
}

void pg_kept_end(struct pg_client *c, struct pg_server *s, struct proto_out *out)
{
    s->kept_ready = s->hold = false;
    if (c == NULL)
        return;
    pg_report_sync(c, s, out);
    pg_put_msg(out, &out->client, 'Z', &s->status, 1);
}

/* A column of a DataRow in text form; false when the row is not what was asked for. */
static bool column(const uint8_t **p, size_t *n, struct pg_view *out)
{
    if (*n < 4)
        return false;
    uint32_t len = pg_get32(*p);
    *p += 4;
    *n -= 4;
    if (len == UINT32_MAX) {
        *out = (struct pg_view){.p = "", .n = 0};
        return true;
    }
    if (len > *n)
        return false;
    *out = (struct pg_view){.p = (const char *)*p, .n = len};
    *p += len;
    *n -= len;
    return true;
}

static bool view_is(struct pg_view v, const char *text)
{
    return v.n == strlen(text) && memcmp(v.p, text, v.n) == 0;
}

static void note_latent(struct pg_server *s, struct pg_view name)
{
    if (s->latent != NULL && var_set_count(s->latent) >= LATENT_MAX)
        vars_put(&s->latent); /* then they are found out each time */
    bool fits = name.n != 0 && name.n < PG_SETTING_MAX && memchr(name.p, '\'', name.n) == NULL &&
                memchr(name.p, '\\', name.n) == NULL;
    if (fits && s->latent != NULL)
        (void)vars_take(&s->latent, vars_with(s->latent, name.p, name.n, VAR_PLAIN, "", 0));
}

void pg_settle_row(struct pg_server *s, const uint8_t *body, size_t n)
{
    struct pg_view kind, name, value;
    if (s->phase != PG_PH_TRUTH)
        return;
    if (n < 2 || pg_get16(body) != 3) {
        s->truth_failed = true;
        return;
    }
    body += 2;
    n -= 2;
    if (!column(&body, &n, &kind) || !column(&body, &n, &name) || !column(&body, &n, &value)) {
        s->truth_failed = true;
        return;
    }
    if (view_is(kind, "p")) {
        for (size_t i = 0; i < sizeof pins / sizeof pins[0]; i++)
            if (view_is(name, pins[i].row))
                s->truth_pins |= pins[i].bit;
        return;
    }
    if (view_is(kind, "n")) {
        note_latent(s, name);
        if (value.n == 0)
            return;
    }
    if (s->untimed && view_is(kind, "s") && view_is(name, "statement_timeout"))
        return;
    if (view_is(kind, "t") && value.n == 0)
        return;
    struct var_entry e;
    if (view_is(kind, "a") && var_set_find(s->login, "session_authorization", 21, &e) &&
        view_is(value, e.value))
        return; /* who logged in: nothing was changed */
    if (!vars_take(&s->truth, vars_with(s->truth, name.p, name.n, VAR_PLAIN, value.p, value.n)))
        s->truth_failed = true;
}

/* What the server says is set is what the client has set. A startup setting that is missing was
 * RESET, which for the client leads to its startup value. A custom one stays where it was RESET,
 * and empty. */
static void adopt_truth(struct pg_client *c, struct pg_server *s)
{
    vars_assign(&c->current, s->truth);
    for (uint32_t i = 0; i < var_set_count(c->startup); i++) {
        struct var_entry e = var_set_at(c->startup, i);
        struct var_entry is, was;
        if (!var_set_find(s->truth, e.name, e.name_len, &is) ||
            (is.value_len == 0 && memchr(e.name, '.', e.name_len) != NULL &&
             !var_set_find(s->applied, e.name, e.name_len, &was)))
            (void)vars_take(&c->current, vars_with(c->current, e.name, e.name_len, e.form, e.value,
                                                   e.value_len));
    }
}

static void after_truth(struct pg_client *c, struct pg_server *s)
{
    uint32_t asked = s->truth_pins;
    if (s->truth_failed && !s->untimed) { /* what ran unseen may have set a limit: once more */
        s->untimed = true;
        s->dirt |= PG_D_SETTINGS;
        return;
    }
    s->untimed = false;
    if (s->truth_failed) /* perhaps for one of these: not again, then */
        (void)vars_take(&s->latent, vars_empty());
    if (s->n_hidden != 0 && !s->truth_failed)
        pg_hidden_answered(s, (asked & ~s->pins) != 0);
    s->n_hidden = 0;
    if (s->truth_failed) {
        asked = PG_PIN_SETTINGS;
    } else {
        if (c != NULL)
            adopt_truth(c, s);
        vars_assign(&s->applied, s->truth);
        vars_mark_proven(s->applied);
    }
    uint32_t was = s->pins;
    s->pins = (s->pins & ~(uint32_t)(PG_PIN_ASKED | PG_PIN_SETTINGS)) | asked;
    if (was == 0 && s->pins != 0)
        s->pin_since_us = clock_now_us();
    if (s->pins == 0)
        s->pin_statement[0] = '\0';
    s->dirt = 0;
    if (s->truth_failed && c == NULL)
        s->dirt = PG_D_UNKNOWN;
}

static void after_reset(struct pg_server *s)
{
    if (s->truth_failed) {
        s->dying = true;
        return;
    }
    /* The user's own query cleans what its words say. */
    struct pg_scan scan = {.flags = PG_SCAN_DISCARD_ALL};
    if (s->reset_own)
        pg_scan_text(s->reset_query, strlen(s->reset_query), PG_SCAN_OPT_SCS, &scan);
    struct var_set *none = vars_empty();
    if ((scan.flags & PG_SCAN_DISCARD_ALL) != 0)
        vars_assign(&s->applied, none);
    else if ((scan.flags & PG_SCAN_RESET_ALL) != 0 && !pg_rights_reset_all(&s->applied, none))
        s->dying = true;
    vars_put(&none);
    if ((scan.flags & (PG_SCAN_DISCARD_ALL | PG_SCAN_DEALLOCATE_ALL)) != 0)
        pg_cache_clear(&s->cache);
    s->reset_own = false;
    s->n_hidden = 0;
    s->scrub = false;
    s->pins = 0;
    s->dirt = 0;
    s->pin_statement[0] = '\0';
}

void pg_settle_ready(struct pg_client *c, struct pg_server *s)
{
    enum pg_phase phase = (enum pg_phase)s->phase;
    s->phase = PG_PH_NONE;
    switch (phase) {
    case PG_PH_TRUTH:
        after_truth(c, s);
        buf_release(&s->sql);
        if (!s->untimed) /* it is asked again, with the same names */
            vars_put(&s->custom);
        break;
    case PG_PH_RESET:
        after_reset(s);
        break;
    case PG_PH_ROLLBACK:
        if (s->status != 'I')
            s->dying = true;
        break;
    case PG_PH_BARRIER:
        s->maybes = false;
        break;
    case PG_PH_CHECK: /* what it was asked it should be able to do, outside of a transaction */
        if (s->truth_failed || s->status != 'I')
            s->dying = true;
        break;
    case PG_PH_NONE:
        break;
    }
    vars_put(&s->truth);
}
