/* SPDX-License-Identifier: ISC
 * Tokens of MySQL's SQL, for my_scan.c alone. Comments are skipped, but for those that the server
 * executes. Pure.
 */
#ifndef WEIR_PROTO_MYSQL_MY_LEX_H
#define WEIR_PROTO_MYSQL_MY_LEX_H

#include "proto/mysql/my_scan.h"

#include <string.h>

enum my_token_kind {
    MY_T_END,
    MY_T_WORD,   /* unquoted name or keyword */
    MY_T_QUOTED, /* `name`, or "name" with ANSI_QUOTES */
    MY_T_STRING,
    MY_T_NUMBER,
    MY_T_USER,   /* @name, quotes included */
    MY_T_SYSTEM, /* @@; the name follows as words and dots */
    MY_T_PUNCT,  /* one character */
    MY_T_ASSIGN, /* := */
};

struct my_token {
    uint8_t kind;
    char c; /* of PUNCT */
    uint32_t at, len;
    bool cut; /* a quote or comment without an end */
};

struct my_lexer {
    const char *text;
    uint32_t at, n;
    unsigned opts;
    bool executed; /* inside of a comment that the server executes */
    bool unended;
    struct my_span comment; /* the last ordinary one */
};

/* 1: begins or continues a name; 2: a digit; 4: space. */
extern const uint8_t my_lex_class[256];

static inline bool my_is_name(uint8_t c)
{
    return (my_lex_class[c] & 3u) != 0;
}

void my_lex_next(struct my_lexer *l, struct my_token *t);

/* Compare with a word in upper case. */
static inline bool my_word_is(const char *p, uint32_t n, const char *upper, uint32_t len)
{
    if (n != len)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if ((p[i] & ~0x20) != (upper[i] & ~0x20))
            return false;
    return true;
}

#endif
