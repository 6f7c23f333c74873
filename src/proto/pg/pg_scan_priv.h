/* SPDX-License-Identifier: ISC
 * What pg_scan.c (the text as a whole, the words inside a statement) and pg_scan_heads.c (what each
 * kind of statement begins with) share.
 *
 * Always: s->t is the token under s->lx, not yet consumed. A function that looks at a token either
 * leaves it there or advances. Two functions recurse, each once: pg_scan_token() into itself inside
 * set_config(), pg_scan_statement() into itself behind EXPLAIN.
 */
#ifndef WEIR_PROTO_PG_SCAN_PRIV_H
#define WEIR_PROTO_PG_SCAN_PRIV_H

#include "proto/pg/pg_lex.h"
#include "proto/pg/pg_scan.h"

#define IS(s, literal) ((s)->t == PG_TOK_WORD && pg_lex_is(&(s)->lx, literal, sizeof(literal) - 1))

/* Statements that matter only when they are the whole text; four bits each in scanner.exact. */
enum exact {
    EXACT_OTHER = 1,
    EXACT_DISCARD_ALL,
    EXACT_RESET_ALL,
    EXACT_DEALLOCATE_ALL,
    EXACT_UNLOCK_ALL,
    EXACT_CLOSE_ALL,
    EXACT_UNLISTEN_ALL,
};

struct scanner {
    struct pg_lex lx;
    enum pg_tok t;
    enum pg_scan_kind kind; /* of this statement */
    enum exact is;          /* what this statement would be if nothing followed */
    bool careful;           /* every token counts: token() may not skim */
    bool in_set_config;
    bool runs;       /* what this statement names is used, though its kind wouldn't say so */
    bool with;       /* this statement begins with WITH: it may be an UPDATE */
    uint32_t depth;  /* parentheses, in this statement */
    uint32_t exact;  /* of the last eight statements */
    uint32_t tables; /* looked at */
    struct pg_scan *out;
};

static inline void advance(struct scanner *s)
{
    s->t = pg_lex_next(&s->lx);
}

static inline bool is_char(const struct scanner *s, char c)
{
    return s->t == PG_TOK_CHAR && *s->lx.tok == (uint8_t)c;
}

static inline bool is_name(const struct scanner *s)
{
    return s->t == PG_TOK_WORD || s->t == PG_TOK_QUOTED;
}

static inline bool at_end(const struct scanner *s)
{
    return s->t == PG_TOK_END || is_char(s, ';');
}

static inline void flag(struct scanner *s, uint64_t flags)
{
    s->out->flags |= flags;
}

static inline struct pg_span here(const struct scanner *s)
{
    return pg_lex_span(&s->lx, s->lx.tok, s->lx.p);
}

static inline struct pg_span span_to(const struct scanner *s, const uint8_t *from,
                                     const uint8_t *to)
{
    return pg_lex_span(&s->lx, from, to);
}

/* Consume the current token of a statement's body, and what belongs to it. */
void pg_scan_token(struct scanner *s);
/* The current token, which is left there, may be a table's name, or the first of a list's: they are
 * used; `how` as in pg_scan_table_mark(). */
void pg_scan_tables(struct scanner *s, char how, bool list);
/* Consume one statement, from its first token up to the semicolon, which is left to the caller. */
void pg_scan_statement(struct scanner *s);
/* The session's setting of this name is changed: remember it if it is a custom one. */
void pg_scan_remember(struct scanner *s, struct pg_span name);
/* Does this part of the text speak of pg_temp? Also inside quotes: a search_path may be a string.
 */
bool pg_scan_mentions_temp(const uint8_t *from, const uint8_t *to);

#endif
