/* SPDX-License-Identifier: ISC
 * See my_scan.h: what a column of a SELECT would be called by the server, for an expression in
 * which something is to be replaced. A second look at a text, which few need.
 */
#include "config.h"

#include "proto/mysql/my_lex.h"

#include <string.h>

/* What ends the list of a SELECT's columns. */
static const char *const clauses[] = {"FROM",  "INTO",    "WHERE",     "GROUP",  "HAVING",
                                      "ORDER", "LIMIT",   "UNION",     "EXCEPT", "INTERSECT",
                                      "FOR",   "LOCK",    "PROCEDURE", "WINDOW", "OFFSET",
                                      "FETCH", "QUALIFY", "MINUS",     NULL};
/* What may stand between SELECT and the first of them. */
static const char *const modifiers[] = {
    "ALL",           "DISTINCT",         "DISTINCTROW",         "HIGH_PRIORITY",
    "STRAIGHT_JOIN", "SQL_SMALL_RESULT", "SQL_BIG_RESULT",      "SQL_BUFFER_RESULT",
    "SQL_NO_CACHE",  "SQL_CACHE",        "SQL_CALC_FOUND_ROWS", NULL};
/* A name behind one of these is no alias. */
static const char *const operators[] = {"IS",      "AND",    "OR",    "XOR",    "NOT",     "DIV",
                                        "MOD",     "LIKE",   "RLIKE", "REGEXP", "IN",      "THEN",
                                        "ELSE",    "WHEN",   "CASE",  "ESCAPE", "COLLATE", "BINARY",
                                        "BETWEEN", "SOUNDS", NULL};

struct finder {
    struct my_lexer lex;
    struct my_token first, last, before; /* of the column: its first, its last, the one before */
    int32_t depth, list_depth;
    bool list, as;
};

static bool among(const struct finder *f, const struct my_token *t, const char *const *words)
{
    const char *p = f->lex.text + t->at;
    for (; t->kind == MY_T_WORD && *words != NULL; words++)
        if (my_word_is(p, t->len, *words, (uint32_t)strlen(*words)))
            return true;
    return false;
}

static bool word(const struct finder *f, const struct my_token *t, const char *upper)
{
    return t->kind == MY_T_WORD &&
           my_word_is(f->lex.text + t->at, t->len, upper, (uint32_t)strlen(upper));
}

static void begin_column(struct finder *f)
{
    f->first.kind = f->last.kind = f->before.kind = MY_T_END;
    f->as = false;
}

/* Does the column, which is over, end with a name of its own? */
static bool is_named(const struct finder *f)
{
    const struct my_token *l = &f->last, *b = &f->before;
    if (f->as)
        return true;
    if (l->kind != MY_T_QUOTED && l->kind != MY_T_STRING &&
        (l->kind != MY_T_WORD || word(f, l, "END")))
        return false;
    if (b->kind == MY_T_PUNCT)
        return b->c == ')';
    return b->kind != MY_T_END && b->kind != MY_T_ASSIGN && b->kind != MY_T_SYSTEM &&
           !among(f, b, operators);
}

static bool ends_column(const struct finder *f, const struct my_token *t)
{
    if (t->kind == MY_T_END)
        return true;
    if (f->depth > f->list_depth)
        return false;
    return (t->kind == MY_T_PUNCT && (t->c == ',' || t->c == ';' || t->c == ')')) ||
           among(f, t, clauses);
}

static void follow(struct finder *f, const struct my_token *t)
{
    if (!f->list) {
        f->list = word(f, t, "SELECT");
        f->list_depth = f->depth;
        begin_column(f);
    } else if (ends_column(f, t)) {
        f->list = t->kind == MY_T_PUNCT && t->c == ',';
        begin_column(f);
    } else if (f->first.kind != MY_T_END || !among(f, t, modifiers)) {
        if (f->first.kind == MY_T_END)
            f->first = *t;
        f->as |= f->depth == f->list_depth && word(f, t, "AS");
        f->before = f->last;
        f->last = *t;
    }
    if (t->kind == MY_T_PUNCT)
        f->depth += (t->c == '(') - (t->c == ')');
}

bool my_scan_column(const char *text, size_t n, unsigned opts, uint32_t at, struct my_span *out)
{
    struct finder f = {.lex = {.text = text, .n = (uint32_t)n, .opts = opts}};
    struct my_token t;
    begin_column(&f);
    for (my_lex_next(&f.lex, &t); t.kind != MY_T_END && t.at <= at; my_lex_next(&f.lex, &t))
        follow(&f, &t);
    if (!f.list || f.first.kind == MY_T_END)
        return false;
    while (!ends_column(&f, &t)) {
        follow(&f, &t);
        my_lex_next(&f.lex, &t);
    }
    *out = (struct my_span){f.first.at, f.last.at + f.last.len - f.first.at};
    return !is_named(&f) && !f.lex.versioned && !f.lex.executed && !f.lex.unended;
}
