/* SPDX-License-Identifier: ISC
 * PostgreSQL's lexical rules, token by token; the private half of pg_scan.c.
 *
 * It finds where tokens begin and end exactly as the server's scan.l does (15 as reference, where
 * versions differ the difference is an error in one of them). It does not check what is inside:
 * escapes, bit digits and number suffixes are the server's business.
 * Header only, so that the scanner's inner loop is one function.
 */
#ifndef WEIR_PROTO_PG_LEX_H
#define WEIR_PROTO_PG_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/pg/pg_scan.h"

enum pg_tok {
    PG_TOK_END,    /* of the text; also after something that was never closed, then .broken */
    PG_TOK_CHAR,   /* one character of punctuation or operator: .tok[0] */
    PG_TOK_WORD,   /* unquoted identifier or keyword */
    PG_TOK_QUOTED, /* "identifier" */
    PG_TOK_UIDENT, /* U&"identifier" */
    PG_TOK_STRING, /* '..' or $tag$..$tag$ whose bytes mean the same whatever the settings */
    PG_TOK_ESCAPE, /* any other string: E'', U&'', B'', X'', or '..' with a backslash in it */
    PG_TOK_NUMBER,
    PG_TOK_PARAM, /* $1 */
};

struct pg_lex {
    const uint8_t *p;   /* behind the current token */
    const uint8_t *end; /* of the text */
    const uint8_t *tok; /* the current token, up to p */
    const uint8_t *base;
    bool scs;    /* a backslash in '..' is a backslash */
    bool plain;  /* of the last string: no backslash was in it */
    bool broken; /* the text ended inside a string, quoted identifier or comment */
};

enum {
    LEX_OTHER,
    LEX_SPACE,
    LEX_WORD,
    LEX_DIGIT,
    LEX_SQUOTE,
    LEX_DQUOTE,
    LEX_DOLLAR,
    LEX_MINUS,
    LEX_SLASH,
    LEX_OPEN,
    LEX_CLOSE,
    LEX_SEMICOLON,
    LEX_KIND = 0x0f,
    LEX_PLAIN = 0x40,   /* begins nothing that could matter inside a statement */
    LEX_IN_WORD = 0x80, /* may go on in an identifier */
    LEX_W = LEX_WORD | LEX_IN_WORD,
    LEX_D = LEX_DIGIT | LEX_IN_WORD,
    LEX_S = LEX_SPACE | LEX_PLAIN,
    LEX_O = LEX_OTHER | LEX_PLAIN,
};

/* clang-format off */
static const uint8_t pg_lex_class[256] = {
    [0 ... 8] = LEX_O, ['\t'] = LEX_S, ['\n'] = LEX_S, ['\v'] = LEX_S, ['\f'] = LEX_S,
    ['\r'] = LEX_S, [14 ... 31] = LEX_O, [' '] = LEX_S, ['!'] = LEX_O, ['#'] = LEX_O,
    ['%'] = LEX_O, ['&'] = LEX_O, ['*'] = LEX_O, ['+'] = LEX_O, [','] = LEX_O, ['.'] = LEX_O,
    [':'] = LEX_O, ['<'] = LEX_O, ['='] = LEX_O, ['>'] = LEX_O, ['?'] = LEX_O, ['@'] = LEX_O,
    ['['] = LEX_O, ['\\'] = LEX_O, [']'] = LEX_O, ['^'] = LEX_O, ['`'] = LEX_O, ['{'] = LEX_O,
    ['|'] = LEX_O, ['}'] = LEX_O, ['~'] = LEX_O, [127] = LEX_O,
    ['\''] = LEX_SQUOTE, ['"'] = LEX_DQUOTE, ['$'] = LEX_DOLLAR | LEX_IN_WORD,
    ['-'] = LEX_MINUS, ['/'] = LEX_SLASH, ['('] = LEX_OPEN, [')'] = LEX_CLOSE,
    [';'] = LEX_SEMICOLON, ['_'] = LEX_W,
    ['0' ... '9'] = LEX_D, ['a' ... 'z'] = LEX_W, ['A' ... 'Z'] = LEX_W, [128 ... 255] = LEX_W,
};
/* clang-format on */

static inline uint8_t pg_lex_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static inline size_t pg_lex_len(const struct pg_lex *lx)
{
    return (size_t)(lx->p - lx->tok);
}

static inline struct pg_span pg_lex_span(const struct pg_lex *lx, const uint8_t *from,
                                         const uint8_t *to)
{
    return (struct pg_span){(uint32_t)(from - lx->base), (uint32_t)(to - from)};
}

/* p is behind "--": the end of the line. */
static inline const uint8_t *pg_lex_line(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p != '\n' && *p != '\r')
        p++;
    return p;
}

/* p is behind the opening of a block comment: behind its end. They nest. */
static inline const uint8_t *pg_lex_block(struct pg_lex *lx, const uint8_t *p)
{
    unsigned depth = 1;
    for (; p + 1 < lx->end; p++) {
        if (p[0] == '*' && p[1] == '/') {
            p++;
            if (--depth == 0)
                return p + 1;
        } else if (p[0] == '/' && p[1] == '*') {
            p++;
            depth++;
        }
    }
    lx->broken = true;
    return lx->end;
}

/* p is behind a closing quote. Two literals with white space between them that contains a line
 * break are one, read by the first one's rules: the start of the continuation, or NULL. */
static inline const uint8_t *pg_lex_continued(const uint8_t *p, const uint8_t *end)
{
    bool newline = false;
    for (;;) {
        if (p == end)
            return NULL;
        if (*p == '\n' || *p == '\r') {
            newline = true;
            p++;
        } else if (pg_lex_class[*p] == LEX_S) {
            p++;
        } else if (*p == '-' && p + 1 < end && p[1] == '-') {
            p = pg_lex_line(p + 2, end);
        } else {
            return *p == '\'' && newline ? p + 1 : NULL;
        }
    }
}

/* *p is at a quote inside a literal. True: the literal ends here, *p is behind it. False: it goes
 * on at *p, after a doubled quote or a line break. */
static inline bool pg_lex_closed(const uint8_t **p, const uint8_t *end)
{
    const uint8_t *after = *p + 1;
    const uint8_t *more = after < end && *after == '\'' ? after + 1 : pg_lex_continued(after, end);
    *p = more != NULL ? more : after;
    return more == NULL;
}

/* p is behind the opening quote: behind the literal, in which a backslash protects what follows.
 * lx->plain becomes false when there is one. */
static inline const uint8_t *pg_lex_escaped(struct pg_lex *lx, const uint8_t *p)
{
    const uint8_t *end = lx->end;
    while (p < end) {
        if (*p == '\\') {
            lx->plain = false;
            p += end - p < 2 ? 1 : 2;
        } else if (*p != '\'') {
            p++;
        } else if (pg_lex_closed(&p, end)) {
            return p;
        }
    }
    lx->broken = true;
    return end;
}

/* The same where a backslash is a backslash; it makes lx->plain false all the same. */
static inline const uint8_t *pg_lex_string(struct pg_lex *lx, const uint8_t *p)
{
    const uint8_t *end = lx->end;
    while (p < end) {
        const uint8_t *quote = memchr(p, '\'', (size_t)(end - p));
        if (quote == NULL)
            break;
        if (lx->plain)
            lx->plain = memchr(p, '\\', (size_t)(quote - p)) == NULL;
        p = quote;
        if (pg_lex_closed(&p, end))
            return p;
    }
    lx->broken = true;
    return end;
}

static inline const uint8_t *pg_lex_quoted(struct pg_lex *lx, const uint8_t *p)
{
    for (;;) {
        p = p < lx->end ? memchr(p, '"', (size_t)(lx->end - p)) : NULL;
        if (p == NULL) {
            lx->broken = true;
            return lx->end;
        }
        if (p + 1 == lx->end || p[1] != '"')
            return p + 1;
        p += 2;
    }
}

/* p is at a '$' that begins a token. */
static inline enum pg_tok pg_lex_dollar(struct pg_lex *lx, const uint8_t *p)
{
    const uint8_t *tag = p++;
    if (p < lx->end && (pg_lex_class[*p] & LEX_KIND) == LEX_DIGIT) {
        while (p < lx->end && (pg_lex_class[*p] & LEX_KIND) == LEX_DIGIT)
            p++;
        lx->p = p;
        return PG_TOK_PARAM;
    }
    while (p < lx->end && *p != '$' && (pg_lex_class[*p] & LEX_IN_WORD) != 0)
        p++;
    if (p == lx->end || *p != '$') {
        lx->p = tag + 1; /* a lone dollar: the server will refuse the text */
        return PG_TOK_CHAR;
    }
    size_t len = (size_t)(++p - tag);
    p = memmem(p, (size_t)(lx->end - p), tag, len);
    lx->broken |= p == NULL;
    lx->p = p != NULL ? p + len : lx->end;
    return PG_TOK_STRING;
}

/* p is at a digit: behind the number. */
static inline const uint8_t *pg_lex_number(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    if (p < end && *p == '.' && !(p + 1 < end && p[1] == '.'))
        for (p++; p < end && *p >= '0' && *p <= '9';)
            p++;
    if (p + 1 < end && (*p | 0x20) == 'e') {
        const uint8_t *digit = p + 1 + (p[1] == '+' || p[1] == '-');
        if (digit < end && *digit >= '0' && *digit <= '9')
            for (p = digit; p < end && *p >= '0' && *p <= '9';)
                p++;
    }
    return p;
}

/* A one-letter word with a quote behind it: p is at the quote, or at the & of U&. */
static inline enum pg_tok pg_lex_prefixed(struct pg_lex *lx, const uint8_t *p)
{
    uint8_t prefix = *lx->tok | 0x20;
    if (prefix == 'u' && *p == '&' && p + 1 < lx->end) {
        if (p[1] == '"') {
            lx->p = pg_lex_quoted(lx, p + 2);
            return PG_TOK_UIDENT;
        }
        if (p[1] == '\'') {
            lx->p = pg_lex_string(lx, p + 2);
            return PG_TOK_ESCAPE;
        }
    }
    if (*p == '\'' && (prefix == 'e' || prefix == 'b' || prefix == 'x')) {
        lx->p = prefix == 'e' ? pg_lex_escaped(lx, p + 1) : pg_lex_string(lx, p + 1);
        return PG_TOK_ESCAPE;
    }
    return PG_TOK_WORD;
}

/* Go to the next token. */
static inline enum pg_tok pg_lex_next(struct pg_lex *lx)
{
    const uint8_t *p = lx->p, *end = lx->end;
    while (p < end) {
        lx->tok = p;
        switch (pg_lex_class[*p] & LEX_KIND) {
        case LEX_SPACE:
            p++;
            continue;
        case LEX_MINUS:
            if (p + 1 < end && p[1] == '-') {
                p = pg_lex_line(p + 2, end);
                continue;
            }
            break;
        case LEX_SLASH:
            if (p + 1 < end && p[1] == '*') {
                p = pg_lex_block(lx, p + 2);
                continue;
            }
            break;
        case LEX_WORD:
            do
                p++;
            while (p < end && (pg_lex_class[*p] & LEX_IN_WORD) != 0);
            lx->p = p;
            if (p - lx->tok == 1 && p < end && (*p == '\'' || *p == '&'))
                return pg_lex_prefixed(lx, p);
            return PG_TOK_WORD;
        case LEX_DIGIT:
            lx->p = pg_lex_number(p, end);
            return PG_TOK_NUMBER;
        case LEX_SQUOTE:
            lx->plain = true;
            lx->p = lx->scs ? pg_lex_string(lx, p + 1) : pg_lex_escaped(lx, p + 1);
            return lx->plain ? PG_TOK_STRING : PG_TOK_ESCAPE;
        case LEX_DQUOTE:
            lx->p = pg_lex_quoted(lx, p + 1);
            return PG_TOK_QUOTED;
        case LEX_DOLLAR:
            return pg_lex_dollar(lx, p);
        default:
            break;
        }
        lx->p = p + 1;
        return PG_TOK_CHAR;
    }
    lx->tok = lx->p = end;
    return PG_TOK_END;
}

/* Is the current token this word? `lower` is in lower case. */
static inline bool pg_lex_is(const struct pg_lex *lx, const char *lower, size_t len)
{
    if (pg_lex_len(lx) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (pg_lex_lower(lx->tok[i]) != (uint8_t)lower[i])
            return false;
    return true;
}

#endif
