/* SPDX-License-Identifier: ISC
 * What my_scan.c (the text as a whole, what may stand anywhere in it), my_scan_heads.c (what a
 * statement begins with) and my_scan_set.c (SET) share.
 *
 * Always: s->t is the token under s->lex, not yet consumed, s->prev the one before it. Nothing
 * recurses: a statement inside of another (SET STATEMENT .. FOR, the body of an IF) is read by
 * asking for `restart`.
 */
#ifndef WEIR_PROTO_MYSQL_MY_SCAN_PRIV_H
#define WEIR_PROTO_MYSQL_MY_SCAN_PRIV_H

#include "proto/mysql/my_lex.h"
#include "proto/mysql/my_scan.h"

struct scanner {
    struct my_lexer lex;
    struct my_token t, prev;
    struct my_scan *out;
    uint32_t start; /* of the statement */
    int32_t depth;  /* parentheses before t, in this statement */
    int32_t list_depth;
    bool list;        /* in a SELECT's list of columns, at list_depth */
    bool stored;      /* part of a definition: evaluated later, in other sessions */
    bool selects;     /* a definition that a SELECT may end */
    bool from;        /* the word was seen */
    bool rows;        /* the statement asks for or changes rows, as the largest texts do */
    bool gives_users; /* user variables that are named get values */
    bool compound;    /* a statement of several, as in a routine's body */
    bool restart;     /* a statement begins at t */
    bool runs;        /* functions that are called in it are executed now */
};

#define IS(s, word) my_scan_is(s, word, sizeof(word) - 1)

static inline bool my_scan_is(const struct scanner *s, const char *upper, uint32_t len)
{
    return s->t.kind == MY_T_WORD && my_word_is(s->lex.text + s->t.at, s->t.len, upper, len);
}

static inline bool is_char(const struct scanner *s, char c)
{
    return s->t.kind == MY_T_PUNCT && s->t.c == c;
}

static inline void next(struct scanner *s)
{
    s->depth += (s->t.c == '(') - (s->t.c == ')');
    s->prev = s->t;
    my_lex_next(&s->lex, &s->t);
}

static inline bool at_end(const struct scanner *s)
{
    return s->t.kind == MY_T_END || is_char(s, ';');
}

static inline bool is_name(const struct scanner *s)
{
    return s->t.kind == MY_T_WORD || s->t.kind == MY_T_QUOTED;
}

static inline struct my_span span(const struct my_token *from, const struct my_token *to)
{
    return (struct my_span){from->at, to->at + to->len - from->at};
}

static inline void note(struct scanner *s, uint64_t flags)
{
    s->out->flags |= flags;
}

/* my_scan.c */
void my_scan_add_name(struct scanner *s, uint64_t what, struct my_span text);
/* A name with its schema, if one is written; false: there is none. `last` may be NULL, else it is
 * what the name ends with. */
bool my_scan_take_name(struct scanner *s, struct my_span *out, struct my_span *last);
/* Skip these words, up to the first that isn't there. */
void my_scan_skip_words(struct scanner *s, const char *a, const char *b, const char *c);
/* Look at the current token for what may stand anywhere, and consume it. */
void my_scan_watch(struct scanner *s);
/* All tokens of the statement, or those before a restart. */
void my_scan_watch_rest(struct scanner *s);

/* my_scan_calls.c */

/* Ends a name at `end`, white space aside, before a parenthesis that calls what is none of the
 * server's own functions? */
bool my_scan_is_call(const char *text, uint32_t end, struct my_span *name);
/* Note the name of such a one, or the CALL with that of a procedure. */
void my_scan_add_call(struct scanner *s, struct my_span name);

/* my_scan_heads.c: s->t is a statement's first token. */
void my_scan_statement(struct scanner *s);

/* my_scan_set.c: s->t is SET. */
void my_scan_set(struct scanner *s);

#endif
