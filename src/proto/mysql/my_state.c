/* SPDX-License-Identifier: ISC
 * What a session has changed: by the server's word where it gives it (my_track.c), else by the
 * statement's text, once it has succeeded. And what of it can't be moved to another connection.
 */
#include "config.h"

#include "base/clock.h"
#include "proto/mysql/my_cache.h"
#include "proto/mysql/my_session.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    uint32_t bit;
    const char *name;
} pins[] = {
    {MY_PIN_TEMP, "temporary table"},
    {MY_PIN_LOCK, "GET_LOCK"},
    {MY_PIN_PREPARE, "PREPARE"},
    {MY_PIN_HANDLER, "HANDLER"},
    {MY_PIN_TABLES, "LOCK TABLES"},
    {MY_PIN_SERVER, "server-wide lock"},
    {MY_PIN_USER_VAR, "user variable"},
    {MY_PIN_CURSOR, "open cursor"},
    {MY_PIN_NEXT, "SET TRANSACTION"},
    {MY_PIN_STATE, "state that the server does not name"},
    {MY_PIN_VARIABLE, "session variable that can't be replayed"},
    {MY_PIN_ROLE, "role or resource group"},
    {MY_PIN_SCHEMA, "no schema"},
};

const char *my_pin_name(uint32_t mask)
{
    for (size_t i = 0; i < sizeof pins / sizeof pins[0]; i++)
        if ((mask & pins[i].bit) != 0)
            return pins[i].name;
    return "";
}

/* ---- bringing a connection to the client's session ----------------------------------------------
 */

static bool sync_vars(struct my_client *c, struct my_server *s, struct proto_out *out)
{
    bool any, loud;
    if (s->vars == c->vars)
        return true;
    size_t at = buf_len(&s->sql);
    if (!my_set_diff(s->vars, c->vars, s->base, &s->sql, &any, &loud))
        return false;
    vars_assign(&s->vars, c->vars);
    if (!any)
        return true;
    if (loud) { /* what it leaves in the list of warnings is not the client's */
        s->listed = true;
        s->diagnosed = 0;
    }
    my_put_command(out, MY_COM_QUERY, buf_head(&s->sql) + at, buf_len(&s->sql) - at);
    return my_expect_push(s, MY_R_OK, MY_A_SET, MY_COM_QUERY);
}

void my_set_text(char **at, const char *text)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    free(*at);
    *at = copy;
}

static bool is_ascii(const char *text)
{
    while (*text != '\0' && (*text & 0x80) == 0)
        text++;
    return *text == '\0';
}

/* Names are reported in UTF-8 and read in character_set_client, which is put right afterwards. */
static bool speak_utf8(struct my_server *s, struct proto_out *out)
{
    static const char name[] = "character_set_client", value[] = "utf8mb4";
    static const char sql[] = "SET SESSION character_set_client=utf8mb4";
    struct var_entry e;
    if ((var_set_find(s->vars, name, sizeof name - 1, &e) ||
         (s->base != NULL && var_set_find(s->base, name, sizeof name - 1, &e))) &&
        strncmp(e.value, "utf8", 4) == 0)
        return true;
    if (!vars_take(&s->vars,
                   vars_with(s->vars, name, sizeof name - 1, VAR_PLAIN, value, sizeof value - 1)))
        return false;
    my_put_command(out, MY_COM_QUERY, sql, sizeof sql - 1);
    return my_expect_push(s, MY_R_OK, MY_A_SET, MY_COM_QUERY);
}

enum proto_verdict my_go_to_schema(struct my_server *s, const char *name, struct proto_out *out)
{
    size_t n = strlen(name);
    if (n == 0 || strcmp(name, s->schema != NULL ? s->schema : s->home) == 0)
        return PROTO_MORE; /* to none there is no way */
    if (!is_ascii(name) && !speak_utf8(s, out))
        return PROTO_BAD;
    my_set_text(&s->schema, strcmp(name, s->home) != 0 ? name : NULL);
    uint8_t *copy = my_put(out, NULL, name, n);
    my_put_command(out, MY_COM_INIT_DB, copy, n);
    return my_expect_push(s, MY_R_OK, MY_A_SET, MY_COM_INIT_DB) ? PROTO_WAIT : PROTO_BAD;
}

static bool sync_multi(struct my_client *c, struct my_server *s, struct proto_out *out)
{
    static const uint8_t on[] = {0, 0}, off[] = {1, 0};
    bool multi = (c->caps & MY_CAP_MULTI_STATEMENTS) != 0;
    if (multi == s->multi)
        return true;
    s->multi = multi;
    my_put_command(out, MY_COM_SET_OPTION, multi ? on : off, 2);
    return my_expect_push(s, MY_R_EOF, MY_A_SET, MY_COM_SET_OPTION);
}

/* Warnings of somebody else's statement are still in the server's list, and MariaDB would count and
 * show them to whoever reads no table: have it forget them. */
static bool forget_warnings(struct my_client *c, struct my_server *s, struct proto_out *out)
{
    static const char sql[] = "SELECT 1 FROM (SELECT 1) t LIMIT 0";
    if (!s->listed || s->diagnosed == c->diagnosis)
        return true;
    s->listed = false;
    s->diagnosed = 0;
    my_put_command(out, MY_COM_QUERY, sql, sizeof sql - 1);
    return my_expect_push(s, MY_R_RESULT, MY_A_SET, MY_COM_QUERY);
}

bool my_sync(struct my_client *c, struct my_server *s, struct proto_out *out)
{
    buf_release(&s->sql);
    my_send_closes(s, out);
    return sync_vars(c, s, out) && sync_multi(c, s, out) && forget_warnings(c, s, out);
}

/* From a schema to none there is no way but another connection: this one ends, and nothing of the
 * client's has been sent. */
static enum proto_verdict leave(struct my_server *s, struct proto_out *out)
{
    s->dying = true;
    snprintf(s->words, sizeof s->words, "weir: it is in a schema and its next client is in none");
    my_put_command(out, MY_COM_PING, NULL, 0);
    return my_expect_push(s, MY_R_OK, MY_A_SET, MY_COM_PING) ? PROTO_WAIT : PROTO_BAD;
}

enum proto_verdict my_sync_all(struct my_client *c, struct my_server *s, struct proto_out *out)
{
    if (c->schema == NULL && s->home[0] == '\0' && s->schema != NULL && s->schema[0] != '\0')
        return leave(s, out);
    if (!my_sync(c, s, out))
        return PROTO_BAD;
    return my_go_to_schema(s, c->schema != NULL ? c->schema : s->home, out);
}

/* ---- what texts do ------------------------------------------------------------------------------
 */

static const struct {
    uint64_t what;
    uint32_t pin;
} named[] = {
    {MY_DO_TEMP_CREATE, MY_PIN_TEMP},
    {MY_DO_DROP_TABLE, MY_PIN_TEMP},
    {MY_DO_LOCK, MY_PIN_LOCK},
    {MY_DO_PREPARE, MY_PIN_PREPARE},
    {MY_DO_DEALLOCATE, MY_PIN_PREPARE},
    {MY_DO_HANDLER_OPEN, MY_PIN_HANDLER},
    {MY_DO_HANDLER_CLOSE, MY_PIN_HANDLER},
};

static uint32_t pin_of(uint64_t what)
{
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if (named[i].what == what)
            return named[i].pin;
    return 0;
}

static struct my_held *held_find(struct my_server *s, uint32_t pin, const char *name)
{
    struct my_held *h;
    LIST_FOREACH(h, &s->held, link)
    if (h->pin == pin && strcmp(h->name, name) == 0)
        return h;
    return NULL;
}

static void held_add(struct my_server *s, uint32_t pin, const char *name)
{
    s->pins |= pin;
    if (held_find(s, pin, name) != NULL)
        return;
    struct my_held *h = malloc(sizeof *h + strlen(name) + 1);
    if (h == NULL) {
        s->vague |= pin;
        return;
    }
    h->pin = pin;
    memcpy(h->name, name, strlen(name) + 1);
    LIST_INSERT_HEAD(&s->held, h, link);
}

/* The pin goes with the last of its kind, unless there may be some that nobody could name. */
static void held_settle(struct my_server *s, uint32_t pin)
{
    struct my_held *h;
    LIST_FOREACH(h, &s->held, link)
    if (h->pin == pin)
        return;
    if ((s->vague & pin) == 0)
        s->pins &= ~pin;
}

static void held_drop(struct my_server *s, uint32_t pin, const char *name)
{
    struct my_held *h = held_find(s, pin, name);
    if (h != NULL) {
        LIST_REMOVE(h, link);
        free(h);
    }
    held_settle(s, pin);
}

void my_held_forget(struct my_server *s, uint32_t pin)
{
    struct my_held *h = LIST_FIRST(&s->held);
    while (h != NULL) {
        struct my_held *after = LIST_NEXT(h, link);
        if ((h->pin & pin) != 0) {
            LIST_REMOVE(h, link);
            free(h);
        }
        h = after;
    }
    s->vague &= ~pin;
    s->pins &= ~pin;
}

static bool reads_utf8(const struct my_client *c)
{
    struct var_entry e;
    return my_set_value(c, "character_set_client", &e) && strncmp(e.value, "utf8", 4) == 0;
}

/* A lock's name as the server has it, which will be asked for it: to MariaDB L and l are two. */
static bool lock_name(const struct my_client *c, const struct my_scan_name *n, const char *text,
                      char *to, size_t room)
{
    return my_scan_literal(text, n->text, my_scan_opts(c), to, room) && to[0] != '\0' &&
           (is_ascii(to) || reads_utf8(c));
}

/* Tables are named with their schema and as they are spelled, so that another's of the same name
 * frees nothing: on most servers T and t are two. */
static bool note_name(struct my_client *c, struct my_server *s, const struct my_scan_name *n,
                      const char *text)
{
    char name[520], full[800];
    const char *use = name;
    bool table = pin_of(n->what) == MY_PIN_TEMP;
    bool ok = n->what == MY_DO_LOCK
                  ? lock_name(c, n, text, name, sizeof name)
                  : (table ? my_scan_ident : my_scan_name)(text, n->text, name, sizeof name) != 0;
    if (!ok)
        return false;
    if (table && strchr(name, '.') == NULL) {
        const char *schema = c->schema != NULL ? c->schema : s->home;
        snprintf(full, sizeof full, "%.255s.%s", schema, name);
        use = full;
    }
    return buf_append(&s->pending, &n->what, sizeof n->what) &&
           buf_append(&s->pending, use, strlen(use) + 1);
}

static void note_collation(const struct my_client *c, struct my_server *s,
                           const struct my_scan *scan, const char *text)
{
    s->collation[0] = '\0';
    for (uint32_t i = 0; i < scan->n_assigns; i++) {
        const struct my_scan_assign *a = &scan->assigns[i];
        if (a->scope == MY_SCOPE_NAMES &&
            (a->value.len == 0 ||
             !my_scan_literal(text, a->value, my_scan_opts(c), s->collation, sizeof s->collation)))
            s->collation[0] = '\0';
    }
}

/* SET timestamp = DEFAULT: servers report what time it is then. */
static bool frees_time(const struct my_scan *scan, const char *text)
{
    char name[16];
    for (uint32_t i = 0; i < scan->n_assigns; i++) {
        const struct my_scan_assign *a = &scan->assigns[i];
        if (a->scope == MY_SCOPE_SESSION && a->kind == MY_VALUE_DEFAULT &&
            my_scan_name(text, a->name, name, sizeof name) != 0 && strcmp(name, "timestamp") == 0)
            return true;
    }
    return false;
}

bool my_effect_note(struct my_client *c, struct my_server *s, const struct my_scan *scan,
                    const char *text, size_t n)
{
    s->flags = scan->flags;
    if ((scan->flags & MY_DO_LOOK) != 0)
        c->looked_us = clock_now_us();
    s->several = scan->statements > 1;
    s->no_table = scan->no_table;
    my_hidden_note(c, s, scan);
    note_collation(c, s, scan, text);
    s->frees_time = frees_time(scan, text);
    s->ask_id = (scan->flags & (MY_DO_SET_INSERT_ID | MY_DO_CALL)) != 0;
    s->asked_warnings = false;
    s->state_changed = s->changed = s->reported = s->failed = false;
    s->long_id = 0;
    buf_release(&s->pending);
    if ((scan->flags & (MY_DO_PINS | MY_DO_CALL | MY_DO_FUNCTION)) == 0)
        return true;
    if (n >= sizeof s->statement)
        n = sizeof s->statement - 1;
    memcpy(s->statement, text, n);
    s->statement[n] = '\0';
    for (uint32_t i = 0; i < scan->n_names; i++)
        if (pin_of(scan->names[i].what) != 0 && !note_name(c, s, &scan->names[i], text))
            s->flags |= MY_DO_TOO_MUCH;
    return true;
}

/* Names in the order of the text: what was created and dropped in one is gone. */
static void apply_names(struct my_server *s)
{
    if (buf_len(&s->pending) == 0)
        return;
    const uint8_t *p = buf_head(&s->pending), *end = p + buf_len(&s->pending);
    /* MariaDB drops what is there of a list in which something is not, MySQL nothing. */
    bool stays =
        s->failed && (s->error != MY_ER_BAD_TABLE || s->report == NULL || !s->report->mariadb);
    while (p < end) {
        uint64_t what;
        memcpy(&what, p, sizeof what);
        const char *name = (const char *)p + sizeof what;
        p += sizeof what + strlen(name) + 1;
        if (what == MY_DO_DROP_TABLE && stays)
            continue;
        if (what == MY_DO_DROP_TABLE || what == MY_DO_DEALLOCATE || what == MY_DO_HANDLER_CLOSE)
            held_drop(s, pin_of(what), name);
        else if (!s->failed || s->several || what == MY_DO_LOCK)
            held_add(s, pin_of(what), name);
    }
    buf_release(&s->pending);
}

/* What could not be named pins as a kind. */
static void apply_vague(struct my_server *s)
{
    if ((s->flags & MY_DO_TOO_MUCH) == 0)
        return;
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if ((s->flags & named[i].what) != 0 && named[i].what != MY_DO_DROP_TABLE &&
            named[i].what != MY_DO_DEALLOCATE && named[i].what != MY_DO_HANDLER_CLOSE) {
            s->vague |= named[i].pin;
            s->pins |= named[i].pin;
        }
    if ((s->flags & MY_DO_SET_OTHER) != 0 && (s->flags & MY_DO_SET) == 0) {
        s->pins |= MY_PIN_ROLE;
        s->worn = true;
    }
}

/* What SET TRANSACTION says waits for a transaction, and servers take for one, of what is outside
 * of one, only what an engine with transactions has had a part in: not SELECT 1. A table that was
 * read may be another engine's, and SET autocommit ends a transaction without using it up: that
 * nothing is left is then seen to when the loan ends. */
static void apply_next(struct my_server *s)
{
    bool ends = (s->flags & (MY_DO_COMMIT | MY_DO_ROLLBACK)) != 0;
    if ((s->flags & MY_DO_SET_NEXT) != 0) {
        s->pins |= MY_PIN_NEXT;
        s->next_begun = false;
    } else if ((s->pins & MY_PIN_NEXT) == 0 || (s->flags & MY_DO_NO_STATEMENT) != 0) {
        return;
    } else if ((s->status & MY_ST_IN_TRANS) != 0) {
        s->next_begun = true;
    } else if (s->next_begun || ends || !s->no_table) {
        s->pins &= ~(uint32_t)MY_PIN_NEXT;
        s->next_left = !ends;
    }
}

static void apply_flags(struct my_server *s)
{
    uint64_t f = s->flags;
    if ((f & MY_DO_USER_VAR) != 0)
        s->pins |= MY_PIN_USER_VAR;
    if (s->frees_time && !s->stuck)
        s->pins &= ~(uint32_t)MY_PIN_VARIABLE;
    if ((f & MY_DO_RENAME_TABLE) != 0 && (s->pins & MY_PIN_TEMP) != 0)
        s->vague |= MY_PIN_TEMP;
    if ((f & MY_DO_UNLOCK_ALL) != 0)
        my_held_forget(s, MY_PIN_LOCK);
    if ((f & MY_DO_UNLOCK_TABLES) != 0)
        s->pins &= ~(uint32_t)MY_PIN_TABLES;
    if ((f & MY_DO_UNLOCK_SERVER) != 0)
        s->pins &= ~(uint32_t)MY_PIN_SERVER;
    if ((f & MY_DO_LOCK_TABLES) != 0)
        s->pins |= MY_PIN_TABLES;
    if ((f & MY_DO_LOCK_SERVER) != 0)
        s->pins |= MY_PIN_SERVER;
    apply_next(s);
    if ((f & (MY_DO_LOCK | MY_DO_UNLOCK)) != 0 && (s->pins & MY_PIN_LOCK) != 0)
        s->ask = true;
    if ((f & (MY_DO_CALC_ROWS | MY_DO_SET_INSERT_ID | MY_DO_CALL)) != 0)
        s->ask = true;
}

/* With autocommit off a SAVEPOINT begins a transaction that IN_TRANS tells of later, if ever. From
 * then on the flag is what counts. */
static void apply_savepoint(struct my_server *s)
{
    const uint64_t ends = MY_DO_COMMIT | MY_DO_ROLLBACK | MY_DO_BEGIN;
    if ((s->status & (MY_ST_IN_TRANS | MY_ST_AUTOCOMMIT)) != 0)
        s->savepoint = false;
    else if ((s->flags & MY_DO_SAVEPOINT) != 0)
        s->savepoint = true;
    else if ((s->flags & ends) != 0)
        s->savepoint = false;
}

/* With autocommit off MySQL keeps the metadata locks of a statement up to the next COMMIT or
 * ROLLBACK, also where no engine has begun a transaction and the status says that there is none: it
 * failed before it got that far, or the tables' engine (MyISAM, MEMORY) knows none. */
static void apply_touched(struct my_server *s)
{
    const uint64_t ends = MY_DO_COMMIT | MY_DO_ROLLBACK | MY_DO_BEGIN;
    if (s->report == NULL || s->report->mariadb ||
        (s->flags & (MY_DO_NO_STATEMENT | MY_DO_XA)) != 0)
        return;
    if ((s->status & (MY_ST_IN_TRANS | MY_ST_AUTOCOMMIT)) != 0)
        s->touched = false;
    else if (s->failed || !s->no_table)
        s->touched = true;
    else if (!s->several && (s->flags & ends) != 0)
        s->touched = false;
}

/* The server says that something changed which no text explains: a routine's doing. */
static void apply_state(struct my_server *s)
{
    uint64_t explains = MY_DO_PINS | MY_DO_SET | MY_DO_SET_OTHER | MY_DO_USE;
    bool unexplained = (s->flags & (MY_DO_CALL | MY_DO_FUNCTION)) != 0 ||
                       ((s->flags & explains) == 0 && !s->reported);
    if ((!s->state_changed && !s->changed) || !unexplained)
        return;
    s->pins |= MY_PIN_STATE;
    s->worn |= (s->flags & MY_DO_CALL) != 0; /* a procedure may have taken a role */
}

void my_cursor_closed(struct my_server *s)
{
    if (!my_cache_has_cursor(s->cache))
        s->pins &= ~(uint32_t)MY_PIN_CURSOR;
}

static void apply_cursor(struct my_client *c, struct my_server *s)
{
    struct my_stmt *stmt =
        s->long_id != 0 && c != NULL ? my_stmts_find(c->stmts, s->long_id) : NULL;
    if (stmt == NULL)
        return;
    struct my_cached *there = my_cache_find(&s->cache, stmt->text);
    bool open = (s->status & MY_ST_CURSOR) != 0 && (s->status & MY_ST_LAST_ROW) == 0;
    if (there != NULL)
        there->cursor = open;
    if (open) {
        stmt->cursor = true;
        s->pins |= MY_PIN_CURSOR;
    } else if (stmt->cursor) {
        stmt->cursor = false;
        my_cursor_closed(s);
    }
}

bool my_keeps_warnings(const struct my_client *c, const struct my_server *s)
{
    bool mariadb = c != NULL && c->report != NULL && c->report->mariadb;
    uint64_t asks = MY_DO_SHOW_WARNINGS | MY_DO_SHOW_COUNT;
    if (s->warning_count == 0) /* GET DIAGNOSTICS of what isn't there adds its own error */
        asks |= MY_DO_DIAGNOSTICS;
    if (mariadb) /* SELECT @@warning_count empties MySQL's list */
        asks |= MY_DO_COUNT_WARNINGS;
    if ((s->flags & asks) != 0)
        return true;
    /* MariaDB empties the list for statements that read a table only. */
    return mariadb && s->no_table && s->warning_count == 0;
}

static void keep_warnings(struct my_client *c, struct my_server *s)
{
    if (!s->failed && my_keeps_warnings(c, s))
        return;
    /* What a routine leaves in MariaDB's list is as unknown as what it does. */
    bool old = (s->flags & MY_DO_CALL) != 0 && c != NULL && c->warnings != NULL &&
               c->report != NULL && c->report->mariadb;
    s->listed = s->failed || old || s->warning_count != 0;
    if (c != NULL)
        c->diagnosis = my_stamp(c, c->diagnosis);
    s->diagnosed = s->listed && c != NULL ? c->diagnosis : 0;
    if (s->listed) {
        s->want_warnings = true;
        return;
    }
    if (c != NULL)
        c->warning_count = c->error_count = 0;
    if (c != NULL && c->warnings != NULL) {
        free(c->warnings);
        c->warnings = NULL;
    }
}

void my_effect_end(struct my_client *c, struct my_server *s)
{
    uint32_t before = s->pins;
    apply_names(s);
    if (!s->failed || s->several) {
        apply_vague(s);
        apply_flags(s);
        apply_savepoint(s);
    } else if ((s->flags & (MY_DO_LOCK | MY_DO_UNLOCK)) != 0) {
        s->ask = (s->pins & MY_PIN_LOCK) != 0;
    }
    apply_touched(s);
    apply_state(s);
    my_hidden_end(s);
    apply_cursor(c, s);
    keep_warnings(c, s);
    if (s->pins != 0 && before == 0) {
        my_scan_digest(s->statement, strlen(s->statement), c != NULL ? my_scan_opts(c) : 0,
                       s->pin_statement, sizeof s->pin_statement);
        s->pin_since_us = 0;
    }
    s->flags = 0;
    s->state_changed = s->changed = s->reported = false;
}

void my_memory_clear(struct my_client *c)
{
    c->row_count = 0;
    c->turn = my_stamp(c, c->turn);
    if (c->report != NULL && c->report->mariadb) /* what weir answers itself reads no table */
        return;
    c->diagnosis = my_stamp(c, c->diagnosis);
    c->warning_count = c->error_count = 0;
    free(c->warnings);
    c->warnings = NULL;
}

/* MariaDB goes back to what the handshake asked for, MySQL to the server's own character set. */
static void reset_vars(struct my_client *c)
{
    static const char *const names[] = {"character_set_client", "character_set_connection",
                                        "character_set_results", "collation_connection"};
    struct var_entry set, collation;
    vars_assign(&c->vars, c->start);
    if (c->report != NULL && c->report->mariadb)
        c->caps &= ~MY_CAP_IGNORE_SPACE;
    if (c->report == NULL || c->report->mariadb || c->report->base == NULL ||
        !var_set_find(c->report->base, "character_set_server", 20, &set) ||
        !var_set_find(c->report->base, "collation_server", 16, &collation))
        return;
    for (size_t i = 0; i < 4; i++) {
        const struct var_entry *e = i == 3 ? &collation : &set;
        (void)vars_take(&c->vars, vars_with(c->vars, names[i], strlen(names[i]), VAR_PLAIN,
                                            e->value, e->value_len));
    }
}

void my_client_reset(struct my_client *c)
{
    c->row_count = 0;
    c->turn = my_stamp(c, c->turn);
    c->diagnosis = my_stamp(c, c->diagnosis);
    c->warning_count = c->error_count = 0;
    free(c->warnings);
    c->warnings = NULL;
    my_stmts_clear(&c->stmts);
    reset_vars(c);
    my_scan_opts_follow(c);
    c->insert_id = 0;
    c->found_rows = my_found_at_first(c->report);
    c->deadline_ms = c->start_deadline_ms;
    c->status = MY_ST_AUTOCOMMIT;
}

void my_client_meet(struct my_client *c, struct my_server *s)
{
    struct var_entry e;
    char mode[1024];
    if (c->met)
        return;
    c->met = true;
    if (c->report == NULL && s->report != NULL) {
        c->report = my_report_get(s->report);
        (void)my_client_names(c);
    }
    my_scan_opts_follow(c);
    if ((c->caps & MY_CAP_IGNORE_SPACE) == 0 || s->base == NULL ||
        !var_set_find(s->base, "sql_mode", 8, &e) || strstr(e.value, "IGNORE_SPACE") != NULL)
        return;
    int n = snprintf(mode, sizeof mode, "IGNORE_SPACE%s%s", e.value_len != 0 ? "," : "", e.value);
    bool mariadb = c->report != NULL && c->report->mariadb; /* whose resets forget it */
    if (n < 0 || (size_t)n >= sizeof mode ||
        (!mariadb &&
         !vars_take(&c->start, vars_with(c->start, "sql_mode", 8, VAR_PLAIN, mode, (size_t)n))))
        return;
    if (!var_set_find(c->vars, "sql_mode", 8, &e))
        (void)vars_take(&c->vars, vars_with(c->vars, "sql_mode", 8, VAR_PLAIN, mode, (size_t)n));
    my_scan_opts_follow(c);
}
