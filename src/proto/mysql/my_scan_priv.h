/* SPDX-License-Identifier: ISC
 * What my_scan.c (what may stand anywhere) and my_scan_verbs.c (statements by their first words)
 * share. Pure.
 */
#ifndef WEIR_PROTO_MYSQL_MY_SCAN_PRIV_H
#define WEIR_PROTO_MYSQL_MY_SCAN_PRIV_H

#include "proto/mysql/my_lex.h"

struct scanner {
    struct my_lexer lex;
    struct my_token t, prev; /* the current token and the one before it */
    struct my_scan *out;
    uint32_t start; /* of the statement */
    bool select;    /* it begins with SELECT */
    bool from;      /* the word was seen */
};

#define IS(s, word) word_is(s, word, sizeof(word) - 1)

static inline bool word_is(const struct scanner *s, const char *upper, uint32_t len)
{
    return s->t.kind == MY_T_WORD && my_word_is(s->lex.text + s->t.at, s->t.len, upper, len);
}

static inline bool is_char(const struct scanner *s, char c)
{
    return s->t.kind == MY_T_PUNCT && s->t.c == c;
}

static inline void next(struct scanner *s)
{
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

static inline void note(struct scanner *s, uint64_t flag)
{
    s->out->flags |= flag;
}

/* A name that the statement has something to do with. */
void my_scan_add_name(struct scanner *s, uint64_t what, struct my_span text);
/* A name with its schema, if one is written; false: there is none here. */
bool my_scan_take_name(struct scanner *s, struct my_span *out);
/* Up to three keywords, in this order, as far as they are there. */
void my_scan_skip_words(struct scanner *s, const char *a, const char *b, const char *c);
/* One token of a statement of any kind, or a few. */
void my_scan_watch(struct scanner *s);
/* All up to the statement's end. */
void my_scan_watch_rest(struct scanner *s);
/* A whole statement (my_scan_verbs.c). */
void my_scan_statement(struct scanner *s);

#endif
