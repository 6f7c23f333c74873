/* SPDX-License-Identifier: ISC
 * The session's settings and how a loan begins and ends. See pg_session.h.
 *
 *                      from_client / from_server
 *   begin --> BUSY ------------------------------> BUSY
 *                 quiet, status I
 *                   | nothing noted --------------------------> CLEAN
 *                   | settings or pins noted --> TRUTH --> pins? KEEP : CLEAN
 *   abandon: CopyFail, Sync, (cancel) --> quiet --> ROLLBACK --> RESET if need be --> CLEAN
 *
 * A simple SET outside a transaction is believed from its text once the server has confirmed it.
 * Every other way of changing settings or leaving something behind is only noted, and when the
 * loan is about to end the server itself is asked what is the case.
 */
#include "config.h"

#include "base/clock.h"
#include "proto/pg/pg_guc.h"
#include "proto/pg/pg_report.h"
#include "proto/pg/pg_rights.h"
#include "proto/pg/pg_scan.h"
#include "proto/pg/pg_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAY_PIN                                                                                    \
    (PG_SCAN_TEMP_OBJECT | PG_SCAN_ADVISORY_LOCK | PG_SCAN_LISTEN | PG_SCAN_HOLD_CURSOR |          \
     PG_SCAN_PREPARE | PG_SCAN_MAY_ANY)
#define BY_CALL (PG_SCAN_SEQUENCE | PG_SCAN_SEED | PG_SCAN_DBLINK) /* no need to ask */
#define MAY_UNPIN                                                                                  \
    (PG_SCAN_ADVISORY_UNLOCK | PG_SCAN_UNLISTEN | PG_SCAN_CLOSE | PG_SCAN_DROP |                   \
     PG_SCAN_DISCARD_ALL | PG_SCAN_DISCARD_TEMP | PG_SCAN_DEALLOCATE | PG_SCAN_DEALLOCATE_ALL)
#define SETS                                                                                       \
    (PG_SCAN_SET_SIMPLE | PG_SCAN_RESET_ONE | PG_SCAN_RESET_ALL | PG_SCAN_DISCARD_ALL |            \
     PG_SCAN_SET_OPAQUE | PG_SCAN_SET_UNNAMED | PG_SCAN_MAY_ANY)

/* A text with a RESET is read statement by statement: not one of any length. */
#define RESTORE_BYTES      4096u
#define RESTORE_STATEMENTS 64u
/* Nor is a prepared one, each time that it is executed. */
#define PREPARED_BYTES 16384u

#define RESETS (PG_SCAN_RESET_ONE | PG_SCAN_RESET_ALL | PG_SCAN_DISCARD_ALL | PG_SCAN_SET_OPAQUE)

/* ---- noting ---------------------------------------------------------------------------------- */

void pg_note_pin(const struct pg_client *c, struct pg_server *s, const char *sql, size_t n)
{
    if (s->pins == 0 && s->pin_statement[0] == '\0')
        pg_text_digest(s->pin_statement, sizeof s->pin_statement, sql, n, c->how);
}

static bool change_make(const struct pg_client *c, struct pg_server *s, const char *sql, size_t n)
{
    struct pg_scan scan;
    pg_text_scan(sql, n, c->how, 0, &scan);
    struct pg_change *ch = calloc(1, sizeof *ch + scan.value.len + 1);
    if (ch == NULL)
        return false;
    if ((scan.flags & PG_SCAN_DISCARD_ALL) != 0)
        ch->kind = PG_CH_DISCARD_ALL;
    else if ((scan.flags & PG_SCAN_RESET_ALL) != 0)
        ch->kind = PG_CH_RESET_ALL;
    else
        ch->kind = (scan.flags & PG_SCAN_RESET_ONE) != 0 ? PG_CH_RESET : PG_CH_SET;
    if (ch->kind == PG_CH_SET || ch->kind == PG_CH_RESET)
        (void)pg_scan_setting(sql, &scan, ch->name);
    memcpy(ch->value, sql + scan.value.off, scan.value.len);
    ch->value_len = scan.value.len;
    s->change = ch;
    s->change_done = false;
    return true;
}

/* Only what stands alone, outside a transaction, can be believed from its text. */
static bool change_is_simple(const struct pg_server *s, uint64_t flags)
{
    if (s->status != 'I' || s->change != NULL || (s->dirt & PG_D_SETTINGS) != 0)
        return false;
    for (uint32_t i = 0; i < s->len; i++) {
        const struct pg_expect *x = pg_expect_at((struct pg_server *)(uintptr_t)s, i);
        if (x->kind != PG_X_PARSE && x->kind != PG_X_DESCRIBE && x->kind != PG_X_CLOSE &&
            x->act != PG_A_SET)
            return false;
    }
    uint64_t sets = flags & SETS;
    return sets == PG_SCAN_SET_SIMPLE || sets == PG_SCAN_RESET_ONE || sets == PG_SCAN_RESET_ALL ||
           sets == PG_SCAN_DISCARD_ALL;
}

/* One statement's part of note_restore(). */
static void restore_after(const struct pg_client *c, struct pg_server *s, const char *sql,
                          const struct pg_scan *scan)
{
    char name[PG_SETTING_MAX];
    struct var_entry e;
    size_t len = pg_scan_setting(sql, scan, name);
    bool undone = scan->kind == PG_KIND_ROLLBACK || scan->kind == PG_KIND_ROLLBACK_TO;
    if (undone || (scan->flags & PG_SCAN_SET_LOCAL) != 0) { /* which may be local to any of them */
        vars_put(&s->restore);
    } else if ((scan->flags & (PG_SCAN_RESET_ALL | PG_SCAN_DISCARD_ALL)) != 0) {
        if (s->restore == NULL)
            s->restore = vars_empty();
        (void)pg_rights_reset_all(&s->restore, c->startup);
    } else if ((scan->flags & PG_SCAN_RESET_ONE) != 0) {
        if (!var_set_find(c->startup, name, len, &e))
            return;
        if (s->restore == NULL)
            s->restore = vars_empty();
        (void)vars_take(&s->restore,
                        vars_with(s->restore, name, len, e.form, e.value, e.value_len));
    } else if ((scan->flags & PG_SCAN_SET_SIMPLE) != 0 && s->restore != NULL) {
        (void)vars_take(&s->restore, vars_without(s->restore, name, len));
    }
}

/* RESET: the server goes back to its own value, a client to the one that it gave at startup. In a
 * transaction that is open then, that is set again ahead of the client's next message; else it is
 * with all the others. */
static void note_restore(const struct pg_client *c, struct pg_server *s, const char *sql, size_t n)
{
    struct pg_scan scan;
    for (unsigned i = 0; n <= RESTORE_BYTES && i < RESTORE_STATEMENTS; i++) {
        pg_text_scan(sql, n, c->how, 0, &scan);
        if (scan.statements == 0)
            return;
        size_t end = scan.first.off + scan.first.len;
        if (scan.statements > 1)
            pg_text_scan(sql, end, c->how, 0, &scan);
        restore_after(c, s, sql, &scan);
        sql += end;
        n -= end;
    }
    vars_put(&s->restore);
}

/* pg_settings doesn't list custom settings (my.var): they are asked for by the names that the text
 * shows. What shows none may be lost to this client, but is never another's. */
static void note_custom(const struct pg_client *c, struct pg_server *s, uint64_t flags,
                        const char *sql, size_t n)
{
    struct pg_scan scan;
    char name[PG_SETTING_MAX];
    if (s->custom == NULL)
        s->custom = vars_empty();
    if ((flags & PG_SCAN_SET_UNNAMED) != 0) {
        s->scrub = true;
        return;
    }
    pg_text_scan(sql, n, c->how, 0, &scan);
    bool all = scan.n_custom <= PG_SCAN_CUSTOM_MAX;
    for (uint32_t i = 0; all && i < scan.n_custom; i++) {
        size_t len = pg_scan_custom(sql, scan.custom[i], name);
        all = len != 0 && vars_take(&s->custom, vars_with(s->custom, name, len, VAR_PLAIN, "", 0));
    }
    /* Unknown: the connection is scrubbed before anybody else has it. */
    s->scrub = s->scrub || !all;
}

bool pg_note_parameters(struct pg_server *s, const uint8_t *p, size_t n)
{
    if (n < 2 || n - 2 < 2 * (size_t)pg_get16(p))
        return false;
    size_t formats = 2 + 2 * (size_t)pg_get16(p);
    p += formats;
    n -= formats;
    if (n < 2)
        return false;
    uint32_t count = pg_get16(p), named = 0;
    p += 2;
    n -= 2;
    if (s->custom == NULL)
        s->custom = vars_empty();
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = n >= 4 ? pg_get32(p) : 0;
        if (n < 4 || (len != UINT32_MAX && len > n - 4))
            return false;
        p += 4;
        n -= 4;
        if (len == UINT32_MAX)
            continue;
        /* A custom setting has a dot in its name; what can't be one is no setting's name. */
        if (len < PG_SETTING_MAX && memchr(p, '.', len) != NULL && memchr(p, 0, len) == NULL) {
            struct var_set *fresh = vars_with(s->custom, (const char *)p, len, VAR_PLAIN, "", 0);
            if (fresh != NULL && (++named > 8 || !vars_take(&s->custom, fresh)))
                return false;
        }
        p += len;
        n -= len;
    }
    return true;
}

void pg_note(struct pg_client *c, struct pg_server *s, uint64_t flags, const char *sql, size_t n)
{
    flags = pg_sequence_note(c, s, flags);
    if (((flags & RESETS) != 0 && var_set_count(c->startup) != 0) ||
        ((flags & (PG_SCAN_SET_SIMPLE | PG_SCAN_SET_LOCAL)) != 0 && s->restore != NULL))
        note_restore(c, s, sql, n);
    if ((flags & (MAY_PIN | MAY_UNPIN | SETS | BY_CALL)) == 0)
        return;
    if ((flags & MAY_PIN) != 0) {
        s->dirt |= PG_D_PINS;
        pg_note_pin(c, s, sql, n);
    }
    if ((flags & MAY_UNPIN) != 0 && (s->pins & PG_PIN_ASKED) != 0)
        s->dirt |= PG_D_PINS;
    if ((flags & BY_CALL) != 0) {
        pg_note_pin(c, s, sql, n);
        if (s->pins == 0)
            s->pin_since_us = clock_now_us();
        s->pins |= (flags & PG_SCAN_SEQUENCE) != 0 ? PG_PIN_SEQUENCE : 0;
        s->pins |= (flags & PG_SCAN_SEED) != 0 ? PG_PIN_SEED : 0;
        s->pins |= (flags & PG_SCAN_DBLINK) != 0 ? PG_PIN_DBLINK : 0;
    }
    s->resets_deadline |= (flags & (PG_SCAN_RESET_ALL | PG_SCAN_DISCARD_ALL)) != 0;
    s->resets |= (flags & RESETS) != 0 && var_set_count(c->startup) != 0;
    if ((flags & SETS) != 0 && !(change_is_simple(s, flags) && change_make(c, s, sql, n))) {
        s->dirt |= PG_D_SETTINGS;
        note_custom(c, s, flags, sql, n);
    }
}

void pg_note_stmt(struct pg_client *c, struct pg_server *s, uint64_t flags,
                  const struct pg_stmt *stmt)
{
    if ((flags & SETS) != 0 && stmt->text_len > PREPARED_BYTES)
        flags |= PG_SCAN_SET_UNNAMED; /* what it sets is asked for, and not read here */
    pg_note(c, s, flags, (const char *)stmt->body, stmt->text_len);
}

void pg_change_free(struct pg_change **ch)
{
    free(*ch);
    *ch = NULL;
}

void pg_on_tag(struct pg_client *c, struct pg_server *s, const char *tag, size_t n)
{
    if (s->change != NULL)
        s->change_done = true;
    if (n > 6 && memcmp(tag, "SELECT", 6) == 0) { /* as most are: it changes nothing that is told */
        pg_sequence_on_tag(c, s, tag);
        return;
    }
    pg_rights_on_tag(tag, n);
    bool discard = n == 11 && memcmp(tag, "DISCARD ALL", 11) == 0;
    if (s->resets_deadline && c != NULL && (discard || (n == 5 && memcmp(tag, "RESET", 5) == 0))) {
        s->resets_deadline = false;
        c->deadline_ms = c->startup_deadline_ms;
    }
    if (discard || (n == 14 && memcmp(tag, "DEALLOCATE ALL", 14) == 0)) {
        pg_cache_clear(&s->cache);
        if (c != NULL)
            pg_names_clear(&c->names);
        if (s->unnamed != NULL)
            pg_stmt_put(&s->unnamed);
    }
    pg_sequence_on_tag(c, s, tag);
    pg_hidden_on_tag(s, tag);
    pg_stmt_on_tag(tag);
    if (n == 4 && memcmp(tag, "LOAD", 4) == 0) {
        if (s->pins == 0)
            s->pin_since_us = clock_now_us();
        s->pins |= PG_PIN_LOAD;
    }
}

/* RESET leads to the client's startup value where it has one. */
static bool reset_one(struct pg_client *c, struct pg_server *s, const struct pg_change *ch)
{
    size_t len = strlen(ch->name);
    struct var_entry e;
    bool ok = vars_take(&s->applied, vars_without(s->applied, ch->name, len));
    if (var_set_find(c->startup, ch->name, len, &e))
        return vars_take(&c->current,
                         vars_with(c->current, ch->name, len, e.form, e.value, e.value_len)) &&
               ok;
    return vars_take(&c->current, vars_without(c->current, ch->name, len)) && ok;
}

static bool reset_all(struct pg_client *c, struct pg_server *s)
{
    struct var_set *none = vars_empty();
    bool ok = pg_rights_reset_all(&c->current, c->startup);
    ok = pg_rights_reset_all(&s->applied, none) && ok;
    vars_put(&none);
    return ok;
}

/* A DateStyle may say only one half of it; what it has become with the other is what the server has
 * reported. */
static bool set_one(struct pg_client *c, const struct pg_server *s, const struct pg_change *ch)
{
    size_t len = strlen(ch->name);
    struct var_entry e;
    struct var_set *fresh =
        strcasecmp(ch->name, "datestyle") == 0 && var_set_find(s->report, ch->name, len, &e)
            ? vars_with(c->current, ch->name, len, VAR_PLAIN, e.value, e.value_len)
            : vars_with(c->current, ch->name, len, VAR_RAW, ch->value, ch->value_len);
    return vars_take(&c->current, fresh);
}

void pg_change_end(struct pg_client *c, struct pg_server *s)
{
    struct pg_change *ch = s->change;
    if (ch == NULL)
        return;
    bool ok = true;
    if (s->status != 'I' || !s->change_done) {
        ok = !s->change_done; /* confirmed, but a transaction was open after all: ask */
    } else if (c != NULL) {
        switch (ch->kind) {
        case PG_CH_SET:
            ok = set_one(c, s, ch);
            if (ok)
                vars_assign(&s->applied, c->current);
            if (ok)
                vars_mark_proven(s->applied);
            break;
        case PG_CH_RESET:
            ok = reset_one(c, s, ch);
            break;
        case PG_CH_RESET_ALL:
            ok = reset_all(c, s);
            break;
        case PG_CH_DISCARD_ALL:
            vars_assign(&c->current, c->startup);
            (void)vars_take(&s->applied, vars_empty());
            break;
        }
    } else {
        ok = false;
    }
    if (!ok)
        s->dirt |= PG_D_SETTINGS;
    pg_change_free(&s->change);
}

/* ---- bringing a connection to the client's state ------------------------------------------------
 */

static bool put_set_query(struct pg_server *s, struct proto_out *out, size_t from, size_t to)
{
    if (pg_expect_push(s, PG_X_QUERY, PG_A_SET) == NULL)
        return false;
    uint8_t head[PG_HEAD_BYTES] = {'Q'};
    pg_put32(head + 1, (uint32_t)(to - from) + 5);
    pg_put(out, &out->server, head, sizeof head);
    proto_lane_add(&out->server, buf_head(&s->sql) + from, to - from);
    pg_put(out, &out->server, "", 1);
    return true;
}

bool pg_sync_settings(struct pg_client *c, struct pg_server *s, struct proto_out *out)
{
    struct pg_guc_diff diff;
    buf_consume(&s->sql, buf_len(&s->sql));
    if (!pg_guc_diff(s->applied, c->current, NULL, &s->sql, &diff) || diff.changes == 0) {
        vars_assign(&s->applied, c->current);
        pg_report_sync(c, s, out);
        return false;
    }
    size_t n = buf_len(&s->sql);
    size_t split = diff.split != 0 ? diff.split : n;
    if (!put_set_query(s, out, 0, split) || (split < n && !put_set_query(s, out, split, n))) {
        s->dying = true;
        return true;
    }
    if (s->unnamed != NULL)
        pg_stmt_put(&s->unnamed);
    vars_assign(&s->before, s->applied);
    vars_assign(&s->applied, c->current);
    s->set_failed = false;
    s->hold = !diff.proven || diff.privileged;
    return s->hold;
}

void pg_restore_startup(struct pg_server *s, struct proto_out *out)
{
    struct pg_guc_diff diff;
    struct var_set *none = vars_empty();
    buf_consume(&s->sql, buf_len(&s->sql));
    if (s->status == 'T' && pg_guc_diff(none, s->restore, NULL, &s->sql, &diff) &&
        diff.changes != 0) {
        size_t n = buf_len(&s->sql);
        size_t split = diff.split != 0 ? diff.split : n;
        if (!put_set_query(s, out, 0, split) || (split < n && !put_set_query(s, out, split, n)))
            s->dying = true;
        pg_stmt_put(&s->unnamed);
        vars_assign(&s->before, s->applied);
        s->set_failed = false;
    }
    vars_put(&none);
    vars_put(&s->restore);
}

/* A late cancel has hit the batch in an open transaction: that has failed, and what the client sent
 * behind it fails with 25P02, of which the client is told the reason. false: it was not so. */
static bool set_cancelled(struct pg_server *s)
{
    struct pg_expect *x = pg_expect_head(s);
    if (s->status != 'E' || x == NULL || x->act != PG_A_PASS)
        return false;
    x->fault = calloc(1, sizeof *x->fault);
    if (x->fault == NULL)
        return false;
    memcpy(x->fault->sqlstate, "57014", 6);
    (void)snprintf(x->fault->message, sizeof x->fault->message, "%s", s->set_error);
    x->act = PG_A_REPLACE;
    return true;
}

bool pg_set_ready(struct pg_client *c, struct pg_server *s, struct proto_out *out)
{
    struct pg_expect *x = pg_expect_head(s);
    if (x != NULL && x->act == PG_A_SET)
        return true; /* the second half of a split batch follows */
    buf_release(&s->sql);
    if (!s->set_failed) {
        s->hold = false;
        vars_put(&s->before);
        vars_mark_proven(s->applied);
        if (c != NULL) {
            c->started = true;
            pg_report_sync(c, s, out);
        }
        return true;
    }
    /* The batch was one transaction: nothing of it is in force. */
    vars_assign(&s->applied, s->before);
    vars_put(&s->before);
    if (c == NULL || (strcmp(s->set_code, "57014") == 0 && set_cancelled(s)))
        return true;
    pg_put_error(out, "FATAL", s->set_code[0] != '\0' ? s->set_code : "22023", "%s", s->set_error);
    out->close_client = true;
    return true;
}

enum proto_loan pg_begin(void *ps, void *pc, struct proto_out *out)
{
    struct pg_server *s = ps;
    struct pg_client *c = pc;
    s->dirt = 0;
    s->pins = 0;
    s->pin_statement[0] = '\0';
    s->drops_all = s->alone = s->bound = s->overdue_told = false;
    s->asked = s->judged = NULL;
    pg_columns_forget(s);
    s->resets = s->resets_deadline = s->misreport = s->kept_ready = false;
    pg_sql_free(&s->sql_bound);
    s->heal.state = PG_HEAL_OFF;
    vars_put(&s->restore);
    s->raw = c->replication;
    s->in_session = c->pool_mode == PG_MODE_SESSION;
    s->reset_done = false;
    pg_sequence_begin(c, s);
    pg_hidden_begin(s);
    if (s->raw)
        return LOAN_BUSY;
    pg_rights_doubt(&s->applied, &s->roles_seen);
    if (s->applied == c->current)
        pg_report_sync(c, s, out);
    return LOAN_BUSY;
}

/* ---- the end of a loan
 * ----------------------------------------------------------------------------- */

/* What a client may have set must not end a connection that idles, or is about to be lent to
 * others: it does not stay. */
static bool may_end_idle(const struct pg_server *s)
{
    static const char name[] = "idle_session_timeout";
    struct var_entry e;
    return var_set_count(s->applied) != 0 && var_set_find(s->applied, name, sizeof name - 1, &e) &&
           e.value[0] != '0';
}

static enum proto_loan end_abandoned(struct pg_server *s, struct proto_out *out)
{
    bool wanted = s->reset_query != NULL && s->reset_query[0] != '\0' && !s->reset_done &&
                  (s->in_session || s->reset_always);
    if (s->change != NULL) {
        pg_change_free(&s->change);
        s->dirt |= PG_D_SETTINGS;
    }
    if (s->pins != 0 || (s->dirt & (PG_D_PINS | PG_D_UNKNOWN)) != 0) {
        if ((s->pins & (PG_PIN_LOAD | PG_PIN_DBLINK)) != 0)
            return LOAN_BROKEN; /* DISCARD ALL does nothing to either */
        return pg_settle_start(NULL, s, PG_PH_RESET, out);
    }
    if ((s->dirt & PG_D_SETTINGS) != 0 || s->scrub || may_end_idle(s) || s->n_hidden != 0)
        return pg_settle_start(NULL, s, PG_PH_RESET, out);
    if (wanted) {
        s->reset_done = true;
        return pg_settle_start(NULL, s, PG_PH_RESET, out);
    }
    return LOAN_CLEAN;
}

static enum proto_loan end_quiet(struct pg_client *c, struct pg_server *s, uint64_t now_us,
                                 struct proto_out *out)
{
    if (c->pool_mode == PG_MODE_SESSION) /* all is kept; only the settings' bookkeeping is ours */
        return LOAN_KEEP;
    pg_hidden_age(now_us);
    if ((s->dirt & (PG_D_SETTINGS | PG_D_PINS)) != 0 || s->n_hidden != 0)
        return pg_settle_start(c, s, PG_PH_TRUTH, out);
    if (s->pins == 0) {
        s->pin_statement[0] = '\0';
        if (s->scrub || may_end_idle(s))
            return pg_settle_start(c, s, PG_PH_RESET, out);
        if (s->reset_always && !s->reset_done && s->reset_query != NULL &&
            s->reset_query[0] != '\0') {
            s->reset_done = true;
            return pg_settle_start(c, s, PG_PH_RESET, out);
        }
        return s->lingers && !s->reset_done ? LOAN_LINGER : LOAN_CLEAN;
    }
    if (s->pin_since_us == 0)
        s->pin_since_us = now_us;
    return LOAN_KEEP;
}

/* Syncs are all that is outstanding, of which a failed COPY may have eaten the first ones, but not
 * the last: whatever is sent now will be answered, and shows how many have been. */
static bool only_syncs(struct pg_server *s)
{
    for (uint32_t i = 0; i < s->len; i++)
        if (pg_expect_at(s, i)->kind != PG_X_SYNC)
            return false;
    return s->len != 0 && !pg_expect_at(s, s->len - 1)->maybe;
}

enum proto_loan pg_state(void *ps, void *pc, bool may_end, uint64_t now_us, struct proto_out *out)
{
    struct pg_server *s = ps;
    struct pg_client *c = pc;
    if (s->dying)
        return LOAN_BROKEN;
    if (s->raw)
        return c == NULL ? LOAN_BROKEN : LOAN_BUSY;
    if (s->phase != PG_PH_NONE)
        return s->kept_ready ? LOAN_BUSY : LOAN_SETTLE;
    if (s->kept_ready && s->len == 0)
        return pg_kept_go_on(c, s, out);
    if (c == NULL && (s->copy == 'G' || s->copy == 'W')) {
        static const char why[] = "weir: the client is gone";
        pg_put_msg(out, &out->server, 'f', why, sizeof why);
        s->copy = 0;
        return LOAN_BUSY;
    }
    if (c != NULL && s->sql_again != NULL)
        return pg_sql_again(c, s, out) ? LOAN_BUSY : LOAN_BROKEN;
    if (c != NULL && pg_heal_is_due(s))
        return pg_heal_go_on(c, s, out) ? LOAN_BUSY : LOAN_BROKEN;
    if (s->maybes && s->copy == 0 && !s->open && !s->skipping && only_syncs(s))
        return pg_settle_start(c, s, PG_PH_BARRIER, out);
    if (s->len != 0 || s->skip != 0 || s->copy != 0 || s->open || s->skipping)
        return LOAN_BUSY;
    if (c != NULL && s->status != 'I')
        return LOAN_QUIET;
    if (c != NULL && ((c->skip != 0 && !c->drop) || !may_end))
        return LOAN_BUSY;
    if (c == NULL && s->status != 'I')
        return pg_settle_start(NULL, s, PG_PH_ROLLBACK, out);
    return c == NULL ? end_abandoned(s, out) : end_quiet(c, s, now_us, out);
}

/* ---- abandoned
 * ----------------------------------------------------------------------------------------- */

#define FILLER_BYTES (64u * 1024u)
#define FILLER_MAX   (16u * FILLER_BYTES)

/* The rest of a message whose sender is gone. Without a NUL in it no query or statement can be read
 * from it, so the server refuses the message; COPY data is followed by CopyFail. */
static bool put_filler(uint64_t n, struct proto_out *out)
{
    static uint8_t filler[FILLER_BYTES];
    if (n > FILLER_MAX)
        return false;
    if (filler[0] == 0)
        memset(filler, 'x', sizeof filler);
    while (n != 0) {
        size_t take = n < sizeof filler ? (size_t)n : sizeof filler;
        out->server.v[out->server.n].iov_base = filler;
        out->server.v[out->server.n++].iov_len = take;
        out->server.bytes += take;
        n -= take;
    }
    return true;
}

static void put_lost(struct pg_client *c, struct proto_out *out)
{
    if (c->lost == PG_LOST_TELL)
        pg_put_error(out, "ERROR", "40001", "%s", c->lost_text != NULL ? c->lost_text : "");
    else
        pg_put_error(out, "ERROR", "25P02", PG_TEXT_25P02);
    c->lost = PG_LOST_TOLD;
}

/* The session stays: whoever waits for an answer is told now, the others with their next message.
 */
static void tell_lost(struct pg_client *c, struct pg_server *s, struct proto_out *out)
{
    c->lost = PG_LOST_TELL;
    if (s->skip != 0 && !s->skip_drop) {
        out->close_client = true; /* half a row is out: nothing can be said any more */
        return;
    }
    if (s->kept_ready)
        pg_put_msg(out, &out->client, 'Z', &s->status, 1);
    bool in_block = s->status != 'I'; /* a statement alone takes nothing with it */
    bool said = s->skipping;          /* the error of the segment that is not ended yet */
    bool eaten = false;               /* its Sync may have been, by COPY */
    bool cut = s->open || pg_heal_is_cut(s);
    for (uint32_t i = 0; i < s->len; i++) {
        const struct pg_expect *x = pg_expect_at(s, i);
        if (pg_expect_is_own(x))
            continue;
        if (proto_out_full(out)) {
            out->close_client = true;
            return;
        }
        if (!said)
            put_lost(c, out);
        said = !pg_expect_ends(x);
        eaten = x->maybe;
        if (!said)
            pg_put_msg(out, &out->client, 'Z', in_block ? "E" : "I", 1);
    }
    if (s->open && s->len == 0 && !said && !pg_heal_is_cut(s)) {
        /* Nothing is owed, and drivers expect no error before they have said more. */
        c->lost_open = true;
        c->lost_implicit = !in_block;
        c->skip_to_sync = false;
        return;
    }
    if (cut && !said)
        put_lost(c, out);
    if (s->skipping)
        c->lost = PG_LOST_TOLD;
    if (!in_block)
        c->lost = PG_LOST_NO;
    c->skip_to_sync = cut || s->skipping || (said && eaten);
}

bool pg_abandon(void *ps, void *pc, struct proto_out *out)
{
    struct pg_server *s = ps;
    struct pg_client *c = pc;
    if (s->raw || s->dying) { /* a walsender may be at something, a base backup, and not listen */
        bool unknown = s->raw && !s->dying;
        s->dying = true;
        return unknown;
    }
    bool running = s->len != 0;
    if (c != NULL && c->lost == PG_LOST_TELL) {
        tell_lost(c, s, out);
        if (s->overdue_told && c->lost == PG_LOST_TELL)
            c->lost = PG_LOST_TOLD;
    }
    if (c != NULL && c->skip != 0 && !c->drop) {
        if (!put_filler(c->skip, out))
            s->dying = true;
        c->drop = true;
    }
    if (s->copy == 'G' || s->copy == 'W') {
        static const char why[] = "weir: the client is gone";
        pg_put_msg(out, &out->server, 'f', why, sizeof why);
        s->copy = 0;
        running = false;
        /* In the extended protocol the server now skips whatever comes before a Sync. */
        s->maybes |= s->len != 0 && pg_expect_head(s)->kind == PG_X_EXECUTE;
    } else if (s->open && !s->skipping) {
        /* A Sync alone would commit what was executed. Should the server be skipping already, it
         * skips this as well. */
        if (pg_expect_push(s, PG_X_QUERY, PG_A_SWALLOW) == NULL)
            s->dying = true;
        pg_put_query(out, "ROLLBACK", 8);
    }
    if (s->open || s->skipping || s->maybes) {
        s->open = s->skipping = false;
        struct pg_expect *x = pg_expect_push(s, PG_X_SYNC, PG_A_SWALLOW);
        if (x == NULL)
            s->dying = true;
        pg_put_msg(out, &out->server, 'S', NULL, 0);
    }
    s->hold = s->kept_ready = false;
    s->heal.state = PG_HEAL_OFF;
    pg_sql_free(&s->sql_again);
    return running;
}
