/* SPDX-License-Identifier: ISC
 * Tokens of MySQL's SQL, for my_scan*.c alone. Comments are skipped, but for those that the server
 * executes. Pure; any thread.
 *
 * Read as sql_lex.cc of MySQL 9 and MariaDB 10.11 do; what is white space, what a line comment may
 * begin with and how characters are put together depends on the character set, of which
 * my_scan_charset() knows enough. Where two servers would read a text in two ways, and the one at
 * hand isn't known, `doubtful` is set.
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
};

struct my_lexer {
    const char *text;
    uint32_t at, n;
    unsigned opts;
    bool executed;  /* inside of a comment that the server executes */
    bool unended;   /* a quote or comment has no end */
    bool versioned; /* a comment may be executed or not: that depends on the server */
    bool doubtful;  /* the text could be read in two ways */
};

#define MY_C_NAME  1u /* begins or continues a name */
#define MY_C_DIGIT 2u
#define MY_C_SPACE 4u
#define MY_C_SKIM  8u /* neither begins anything longer than itself nor ends a statement */
extern const uint8_t my_lex_class[256];

static inline bool my_is_name(uint8_t c)
{
    return (my_lex_class[c] & (MY_C_NAME | MY_C_DIGIT)) != 0;
}

/* Behind the closing quote of what begins at `at`; the text's end where there is none. */
uint32_t my_lex_quoted(struct my_lexer *l, uint32_t at, char quote);
void my_lex_next(struct my_lexer *l, struct my_token *t);

/* Compare a word with one in capital letters and underscores. */
static inline bool my_word_is(const char *p, uint32_t n, const char *upper, uint32_t len)
{
    if (n != len)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if ((p[i] & ~0x20) != upper[i])
            return false;
    return true;
}

#endif
