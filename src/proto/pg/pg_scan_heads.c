/* SPDX-License-Identifier: ISC
 * What each kind of statement begins with: a row in heads[] and a function that looks at as many
 * tokens as it needs. The rest of the statement goes through pg_scan_token(). See pg_scan_priv.h.
 */
#include "config.h"

#include "proto/pg/pg_scan_priv.h"

/* ---- settings ---------------------------------------------------------------------------------
 */

static bool name_is(const char *name, size_t len, const char *literal)
{
    return strlen(literal) == len && memcmp(name, literal, len) == 0;
}

/* What SET says of the running transaction; transaction_timeout is the session's. */
static bool of_transaction(const char *name, size_t len)
{
    return name_is(name, len, "transaction_isolation") ||
           name_is(name, len, "transaction_read_only") ||
           name_is(name, len, "transaction_deferrable");
}

/* Settings that are not what SET usually is; false: an ordinary one. */
static bool special_setting(struct scanner *s)
{
    char name[PG_SETTING_MAX];
    size_t len = pg_scan_setting((const char *)s->lx.base, s->out, name);
    if (len == 0 || name_is(name, len, "role") || name_is(name, len, "session_authorization") ||
        name_is(name, len, "temp_buffers")) /* set by its plain value (pg_guc_sql.c) */
        flag(s, PG_SCAN_SET_OPAQUE);
    else if (name_is(name, len, "seed"))
        flag(s, PG_SCAN_SEED);
    else if (of_transaction(name, len))
        flag(s, PG_SCAN_SET_LOCAL);
    else
        return false;
    return true;
}

/* name [. name]..: remembered in out->name; false when there is none. */
static bool setting_name(struct scanner *s)
{
    const uint8_t *from = s->lx.tok;
    while (is_name(s)) {
        const uint8_t *to = s->lx.p;
        advance(s);
        if (is_char(s, '.')) {
            advance(s);
            continue;
        }
        s->out->name = span_to(s, from, to);
        s->out->alias = NULL;
        pg_scan_remember(s, s->out->name);
        return true;
    }
    return false;
}

/* A list of literals, identifiers and numbers up to the end of the statement, and nothing else. */
static bool simple_values(struct scanner *s)
{
    const uint8_t *from = s->lx.tok, *to = from;
    for (;;) {
        bool sign = is_char(s, '-') || is_char(s, '+');
        if (sign)
            advance(s);
        if (s->t != PG_TOK_NUMBER && (sign || (s->t != PG_TOK_STRING && !is_name(s))))
            return false;
        to = s->lx.p;
        advance(s);
        if (!is_char(s, ','))
            break;
        advance(s);
    }
    s->out->value = span_to(s, from, to);
    if (pg_scan_mentions_temp(from, to))
        flag(s, PG_SCAN_TEMP_OBJECT);
    return at_end(s);
}

/* The current word is a keyword of SET's that does this, unless it is the first half of a setting's
 * name: SET local.x = 1 */
static void set_keyword(struct scanner *s, uint64_t flags)
{
    advance(s);
    flag(s, is_char(s, '.') ? PG_SCAN_SET_OPAQUE | PG_SCAN_SET_UNNAMED : flags);
}

/* Behind TO: the setting's name is known. */
static void set_value(struct scanner *s)
{
    if (special_setting(s))
        return;
    if (IS(s, "default")) {
        advance(s);
        flag(s, at_end(s) ? PG_SCAN_RESET_ONE : PG_SCAN_SET_OPAQUE);
    } else {
        flag(s, simple_values(s) ? PG_SCAN_SET_SIMPLE : PG_SCAN_SET_OPAQUE);
    }
}

/* The settings with a syntax of their own; false when this is not one of them. */
static bool set_aliased(struct scanner *s)
{
    static const struct {
        const char *word, *second, *setting;
        size_t len, second_len;
    } aliases[] = {
        {"time", "zone", "timezone", 4, 4},
        {"names", NULL, "client_encoding", 5, 0},
        {"schema", NULL, "search_path", 6, 0},
        {"xml", "option", "xmloption", 3, 6},
    };
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (s->t != PG_TOK_WORD || !pg_lex_is(&s->lx, aliases[i].word, aliases[i].len))
            continue;
        struct scanner before = *s;
        const uint8_t *from = s->lx.tok, *to = s->lx.p;
        advance(s);
        if (aliases[i].second != NULL) {
            to = s->lx.p;
            if (s->t == PG_TOK_WORD && pg_lex_is(&s->lx, aliases[i].second, aliases[i].second_len))
                advance(s);
            else
                to = from;
        }
        if (to == from || is_char(s, '=') || IS(s, "to") || is_char(s, '.')) {
            *s = before; /* a setting of that name after all */
            return false;
        }
        s->out->alias = aliases[i].setting;
        s->out->name = span_to(s, from, to);
        return true;
    }
    return false;
}

static void set_session(struct scanner *s)
{
    if (IS(s, "role") || IS(s, "characteristics") || IS(s, "authorization")) {
        set_keyword(s, PG_SCAN_SET_OPAQUE);
    } else if (IS(s, "transaction") || IS(s, "constraints")) {
        set_keyword(s, PG_SCAN_SET_LOCAL);
    } else if (set_aliased(s)) {
        if (IS(s, "local") || (at_end(s) && strcmp(s->out->alias, "client_encoding") == 0))
            flag(s, PG_SCAN_RESET_ONE); /* SET TIME ZONE LOCAL; SET NAMES */
        else
            set_value(s);
    } else if (setting_name(s) && (is_char(s, '=') || IS(s, "to"))) {
        advance(s);
        set_value(s);
    } else {
        flag(s, PG_SCAN_SET_OPAQUE | (is_char(s, '.') ? PG_SCAN_SET_UNNAMED : 0));
    }
}

static void head_set(struct scanner *s)
{
    advance(s);
    if (IS(s, "local")) {
        set_keyword(s, PG_SCAN_SET_LOCAL);
        return;
    }
    if (IS(s, "session"))
        advance(s);
    set_session(s);
}

static void head_reset(struct scanner *s)
{
    advance(s);
    if (IS(s, "all")) {
        s->is = EXACT_RESET_ALL;
        flag(s, PG_SCAN_RESET_ALL);
        advance(s);
    } else if (IS(s, "session")) {
        set_keyword(s, PG_SCAN_SET_OPAQUE);
    } else if (IS(s, "transaction")) {
        set_keyword(s, PG_SCAN_SET_LOCAL);
    } else if (set_aliased(s) || setting_name(s)) {
        if (!special_setting(s))
            flag(s, at_end(s) ? PG_SCAN_RESET_ONE : PG_SCAN_SET_OPAQUE);
    } else {
        flag(s, PG_SCAN_SET_OPAQUE);
    }
}

static void head_discard(struct scanner *s)
{
    advance(s);
    if (IS(s, "all")) {
        s->is = EXACT_DISCARD_ALL;
        flag(s, PG_SCAN_DISCARD_ALL);
    } else if (IS(s, "plans")) {
        flag(s, PG_SCAN_DISCARD_PLANS);
    } else if (IS(s, "sequences")) {
        flag(s, PG_SCAN_DISCARD_SEQUENCES);
    } else if (IS(s, "temp") || IS(s, "temporary")) {
        flag(s, PG_SCAN_DISCARD_TEMP);
    }
    advance(s);
}

/* ---- transactions -----------------------------------------------------------------------------
 */

static void head_begin(struct scanner *s)
{
    bool start = IS(s, "start");
    advance(s);
    if (!start || IS(s, "transaction"))
        flag(s, PG_SCAN_TX_BEGIN);
}

/* COMMIT, END, ROLLBACK, ABORT: .. [WORK | TRANSACTION] [AND [NO] CHAIN], .. PREPARED 'x', .. TO x
 */
static void head_end(struct scanner *s)
{
    advance(s);
    if (IS(s, "prepared")) {
        s->kind = PG_KIND_OTHER; /* another session's transaction */
        return;
    }
    if (IS(s, "work") || IS(s, "transaction"))
        advance(s);
    if (IS(s, "to")) {
        s->kind = PG_KIND_ROLLBACK_TO;
        flag(s, PG_SCAN_ROLLBACK_TO);
        return;
    }
    flag(s, PG_SCAN_TX_END);
    if (IS(s, "and")) {
        advance(s);
        if (IS(s, "chain"))
            flag(s, PG_SCAN_TX_BEGIN);
    }
}

/* ---- prepared statements and cursors ----------------------------------------------------------
 */

static struct pg_scan_name *remember_name(struct scanner *s, uint64_t which)
{
    struct pg_scan *out = s->out;
    bool readable = is_name(s) || which == PG_SCAN_DEALLOCATE_ALL;
    struct pg_scan_name name = {.at = here(s), .flag = which}, *to = NULL;
    flag(s, which);
    if (!readable) { /* U&"..", or what the server will refuse */
        flag(s, PG_SCAN_MAY_ANY);
        name.at.len = 0;
    }
    if (out->n_names < PG_SCAN_NAMES_MAX)
        *(to = &out->names[out->n_names]) = name;
    out->n_names++;
    if (readable)
        advance(s);
    return to;
}

/* Behind PREPARE's name: [(types)] AS statement */
static void prepared_body(struct scanner *s, struct pg_scan_name *name)
{
    name->typed = is_char(s, '(');
    for (uint32_t depth = 0; name->typed && s->t != PG_TOK_END;) {
        depth += is_char(s, '(');
        depth -= is_char(s, ')');
        advance(s);
        if (depth == 0)
            break;
    }
    if (!IS(s, "as"))
        return;
    advance(s);
    if (!at_end(s))
        name->body.off = here(s).off;
}

static void head_prepare(struct scanner *s)
{
    struct scanner before;
    advance(s);
    before = *s;
    if (IS(s, "transaction")) {
        advance(s);
        if (s->t == PG_TOK_STRING || s->t == PG_TOK_ESCAPE) {
            s->kind = PG_KIND_PREPARE_TRANSACTION;
            flag(s, PG_SCAN_TX_END);
            return;
        }
        *s = before;
    }
    struct pg_scan_name *name = remember_name(s, PG_SCAN_PREPARE);
    if (name != NULL && name->at.len != 0)
        prepared_body(s, name);
}

static void head_execute(struct scanner *s)
{
    advance(s);
    (void)remember_name(s, PG_SCAN_EXECUTE);
}

static void head_deallocate(struct scanner *s)
{
    advance(s);
    if (IS(s, "prepare")) {
        struct scanner before = *s;
        advance(s);
        if (at_end(s))
            *s = before; /* the name is "prepare" */
    }
    if (IS(s, "all")) {
        s->is = EXACT_DEALLOCATE_ALL;
        (void)remember_name(s, PG_SCAN_DEALLOCATE_ALL);
    } else {
        (void)remember_name(s, PG_SCAN_DEALLOCATE);
    }
}

/* DECLARE c [..] CURSOR [WITH | WITHOUT HOLD] FOR query */
static void head_declare(struct scanner *s)
{
    advance(s);
    advance(s);
    while (!at_end(s) && !IS(s, "for")) {
        bool with = IS(s, "with");
        advance(s);
        if (with && IS(s, "hold"))
            flag(s, PG_SCAN_HOLD_CURSOR);
    }
}

static void head_close(struct scanner *s)
{
    flag(s, PG_SCAN_CLOSE);
    advance(s);
    if (IS(s, "all"))
        s->is = EXACT_CLOSE_ALL;
    if (!at_end(s))
        advance(s);
}

static void head_unlisten(struct scanner *s)
{
    flag(s, PG_SCAN_UNLISTEN);
    advance(s);
    if (is_char(s, '*'))
        s->is = EXACT_UNLISTEN_ALL;
    if (!at_end(s))
        advance(s);
}

/* ---- objects ----------------------------------------------------------------------------------
 */

/* Behind CREATE FUNCTION or PROCEDURE. A body in SQL syntax, BEGIN ATOMIC .. END, has semicolons of
 * its own. Nothing in there happens now, but that the function may be a temporary object. */
static void create_routine(struct scanner *s)
{
    uint64_t before = s->out->flags;
    uint32_t blocks = 0;
    bool label = false; /* what comes is a name whatever it looks like: AS x, y.x */
    while (s->t != PG_TOK_END && (blocks > 0 || s->depth > 0 || !is_char(s, ';'))) {
        bool begin = !label && blocks == 0 && IS(s, "begin");
        if (!label && blocks > 0 && IS(s, "case"))
            blocks++;
        else if (!label && blocks > 0 && IS(s, "end"))
            blocks--;
        label = IS(s, "as") || is_char(s, '.');
        pg_scan_token(s);
        if (begin && IS(s, "atomic"))
            blocks = 1;
    }
    s->out->flags = before | (s->out->flags & PG_SCAN_TEMP_OBJECT);
    if (blocks > 0)
        s->lx.broken = true;
}

/* Behind CREATE .. TABLE and the like: AS EXECUTE, ON COMMIT DROP. */
static void create_relation(struct scanner *s, bool temp)
{
    bool as = false, dropped = false;
    bool filled = temp || IS(s, "table") || IS(s, "unlogged") || IS(s, "materialized");
    while (s->t != PG_TOK_END && (s->depth > 0 || !is_char(s, ';'))) {
        if (!as && s->depth == 0 && IS(s, "as")) {
            as = true;
            s->runs = filled;
            advance(s);
            if (IS(s, "execute"))
                head_execute(s);
        } else if (!as && s->depth == 0 && IS(s, "commit")) {
            advance(s);
            dropped |= IS(s, "drop");
        } else {
            pg_scan_token(s);
        }
    }
    if (temp)
        flag(s, dropped ? PG_SCAN_TEMP_TX : PG_SCAN_TEMP_OBJECT);
}

static void head_create(struct scanner *s)
{
    advance(s);
    if (IS(s, "or")) {
        advance(s);
        advance(s); /* REPLACE */
    }
    if (IS(s, "global") || IS(s, "local"))
        advance(s);
    s->careful = true;
    bool temp = IS(s, "temp") || IS(s, "temporary");
    if (IS(s, "function") || IS(s, "procedure"))
        create_routine(s);
    else
        create_relation(s, temp);
}

/* Between the quotes of the current string. false: it has to be unescaped first. */
static bool inside(const struct scanner *s, struct pg_lex *lx)
{
    *lx = s->lx;
    const uint8_t *from = lx->tok, *to = lx->p;
    const uint8_t *second = memchr(from + 1, *from, (size_t)(to - from - 1));
    size_t quotes = 1;
    if (*from == '$' && second != NULL)
        quotes = (size_t)(second + 1 - from);
    else if (second != to - 1)
        return false;
    if ((size_t)(to - from) < 2 * quotes)
        return false;
    lx->p = from + quotes;
    lx->end = to - quotes;
    return true;
}

/* Behind SET in a body. */
static void body_set(struct scanner *s, struct pg_lex *lx)
{
    enum pg_tok t = pg_lex_next(lx);
    if (t == PG_TOK_WORD && (pg_lex_is(lx, "session", 7) || pg_lex_is(lx, "local", 5)))
        t = pg_lex_next(lx);
    const uint8_t *from = lx->tok, *to = from;
    while (t == PG_TOK_WORD || t == PG_TOK_QUOTED || (t == PG_TOK_CHAR && *lx->tok == '.')) {
        if (to != from && to != lx->tok)
            break; /* TO */
        to = lx->p;
        t = pg_lex_next(lx);
    }
    if (to != from)
        pg_scan_remember(s, span_to(s, from, to));
}

static void body_set_config(struct scanner *s, struct pg_lex *lx)
{
    bool literal = pg_lex_next(lx) == PG_TOK_CHAR && *lx->tok == '(' &&
                   pg_lex_next(lx) == PG_TOK_STRING && *lx->tok == '\'';
    struct pg_span name = span_to(s, lx->tok, lx->p);
    if (literal && pg_lex_next(lx) == PG_TOK_CHAR && *lx->tok == ',')
        pg_scan_remember(s, name);
    else
        flag(s, PG_SCAN_SET_UNNAMED);
}

/* The body of a DO: which custom settings it sets. What it composes (EXECUTE) nobody can tell. */
static void do_body(struct scanner *s)
{
    struct pg_lex lx;
    enum pg_tok t;
    if (!inside(s, &lx)) {
        flag(s, PG_SCAN_SET_UNNAMED);
        return;
    }
    while ((t = pg_lex_next(&lx)) != PG_TOK_END) {
        if (t == PG_TOK_QUOTED && pg_lex_is(&lx, "\"set_config\"", 12))
            flag(s, PG_SCAN_SET_UNNAMED);
        if (t != PG_TOK_WORD)
            continue;
        if (pg_lex_is(&lx, "execute", 7)) {
            flag(s, PG_SCAN_SET_UNNAMED);
        } else if (pg_lex_is(&lx, "set", 3)) {
            body_set(s, &lx);
        } else if (pg_lex_is(&lx, "set_config", 10)) {
            body_set_config(s, &lx);
        }
    }
}

static void head_do(struct scanner *s)
{
    for (advance(s); !at_end(s); advance(s))
        if (s->t == PG_TOK_STRING || s->t == PG_TOK_ESCAPE)
            do_body(s);
}

/* ---- statements -------------------------------------------------------------------------------
 */

/* The current token is pg_advisory_unlock_all: is it called, and nothing else? Looks, doesn't
 * touch. */
static bool only_unlocks_all(struct scanner s)
{
    advance(&s);
    if (!is_char(&s, '('))
        return false;
    advance(&s);
    if (!is_char(&s, ')'))
        return false;
    advance(&s);
    return at_end(&s);
}

static void head_select(struct scanner *s)
{
    advance(s);
    if (IS(s, "pg_advisory_unlock_all") && only_unlocks_all(*s)) {
        s->is = EXACT_UNLOCK_ALL;
        flag(s, PG_SCAN_ADVISORY_UNLOCK);
        while (!at_end(s))
            advance(s);
    }
}

static void head_copy(struct scanner *s)
{
    advance(s);
    struct scanner ahead = *s;
    while (!at_end(&ahead) && !IS(&ahead, "from") && !IS(&ahead, "to"))
        advance(&ahead);
    pg_scan_tables(s, IS(&ahead, "from") ? 'i' : 'r', false);
}

static void head_table(struct scanner *s)
{
    advance(s);
    pg_scan_tables(s, 'r', false);
}

/* EXPLAIN [(options) | ANALYZE | VERBOSE].. statement */
static void head_explain(struct scanner *s)
{
    advance(s);
    while (IS(s, "analyze") || IS(s, "analyse") || IS(s, "verbose"))
        advance(s);
    if (is_char(s, '(')) {
        s->careful = true;
        do
            pg_scan_token(s);
        while (s->depth > 0 && s->t != PG_TOK_END);
    }
    if (!IS(s, "explain"))
        pg_scan_statement(s);
    s->is = EXACT_OTHER;
    s->kind = PG_KIND_EXPLAIN;
}

static const struct head {
    const char *name;
    uint8_t len;
    enum pg_scan_kind kind;
    void (*parse)(struct scanner *s); /* called at the first word; NULL: nothing to look at */
    uint64_t flags;
} heads[] = {
#define H(name, kind, parse, flags)                                                                \
    {                                                                                              \
        name, sizeof(name) - 1, PG_KIND_##kind, parse, flags                                       \
    }
    H("select", SELECT, head_select, 0),
    H("insert", INSERT, NULL, 0), /* the flag comes from words[] */
    H("update", UPDATE, NULL, 0),
    H("delete", DELETE, NULL, 0),
    H("begin", BEGIN, head_begin, 0),
    H("commit", COMMIT, head_end, 0),
    H("rollback", ROLLBACK, head_end, 0),
    H("with", SELECT, NULL, 0),
    H("set", SET, head_set, 0),
    H("execute", EXECUTE, head_execute, 0),
    H("show", SHOW, NULL, 0),
    H("start", BEGIN, head_begin, 0),
    H("end", COMMIT, head_end, 0),
    H("abort", ROLLBACK, head_end, 0),
    H("savepoint", SAVEPOINT, NULL, PG_SCAN_SAVEPOINT),
    H("release", RELEASE, NULL, PG_SCAN_RELEASE),
    H("reset", RESET, head_reset, 0),
    H("discard", DISCARD, head_discard, 0),
    H("prepare", PREPARE, head_prepare, 0),
    H("deallocate", DEALLOCATE, head_deallocate, 0),
    H("declare", DECLARE, head_declare, 0),
    H("fetch", FETCH, NULL, 0),
    H("move", FETCH, NULL, 0),
    H("close", CLOSE, head_close, 0),
    H("listen", LISTEN, NULL, PG_SCAN_LISTEN),
    H("unlisten", UNLISTEN, head_unlisten, 0),
    H("notify", NOTIFY, NULL, 0),
    H("merge", MERGE, NULL, 0),
    H("copy", COPY, head_copy, PG_SCAN_COPY | PG_SCAN_SEQ_IMPLICIT),
    H("explain", EXPLAIN, head_explain, 0),
    H("create", CREATE, head_create, 0),
    H("alter", ALTER, NULL, 0),
    H("drop", DROP, NULL, PG_SCAN_DROP),
    H("do", DO, head_do, PG_SCAN_SET_OPAQUE | PG_SCAN_MAY_ANY),
    H("call", CALL, NULL, PG_SCAN_SET_OPAQUE | PG_SCAN_MAY_ANY),
    H("load", LOAD, NULL, PG_SCAN_LOAD),
    H("values", SELECT, NULL, 0),
    H("table", SELECT, head_table, 0),
#undef H
};

void pg_scan_statement(struct scanner *s)
{
    s->kind = is_char(s, '(') ? PG_KIND_SELECT : PG_KIND_OTHER;
    s->is = EXACT_OTHER;
    s->depth = 0;
    s->careful = s->runs = false;
    s->with = IS(s, "with");
    if (s->t == PG_TOK_WORD) {
        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
            const struct head *h = &heads[i];
            if (*h->name != pg_lex_lower(*s->lx.tok) || !pg_lex_is(&s->lx, h->name, h->len))
                continue;
            s->kind = h->kind;
            flag(s, h->flags);
            if (h->parse != NULL)
                h->parse(s);
            break;
        }
    }
    if (!at_end(s))
        s->is = EXACT_OTHER;
    while (s->t != PG_TOK_END && (s->depth > 0 || !is_char(s, ';')))
        pg_scan_token(s);
}
