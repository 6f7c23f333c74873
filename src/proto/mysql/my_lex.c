/* SPDX-License-Identifier: ISC
 * See my_lex.h.
 */
#include "config.h"

#include "proto/mysql/my_lex.h"

#define N 1
#define D 2
#define S 4
const uint8_t my_lex_class[256] = {
    ['\t'] = S,        ['\n'] = S,        ['\v'] = S,        ['\f'] = S,
    ['\r'] = S,        [' '] = S,         ['$'] = N,         ['_'] = N,
    ['0' ... '9'] = D, ['A' ... 'Z'] = N, ['a' ... 'z'] = N, [0x80 ... 0xff] = N,
};
#undef N
#undef D
#undef S

/* Behind the closing quote of what begins at `at`. */
static uint32_t skip_quoted(struct my_lexer *l, uint32_t at, char quote)
{
    bool escapes = quote != '`' && (l->opts & MY_SCAN_NO_BACKSLASH) == 0;
    const char *p = l->text;
    for (uint32_t i = at + 1; i < l->n; i++) {
        if ((l->opts & MY_SCAN_MULTIBYTE) != 0 && (uint8_t)p[i] >= 0x81) {
            i++;
        } else if (escapes && p[i] == '\\') {
            i++;
        } else if (p[i] == quote) {
            if (i + 1 >= l->n || p[i + 1] != quote)
                return i + 1;
            i++;
        }
    }
    l->unended = true;
    return l->n;
}

/* Skip a comment at l->at; false: there is none. */
static bool skip_comment(struct my_lexer *l)
{
    const char *p = l->text + l->at;
    uint32_t left = l->n - l->at;
    if (p[0] == '#' ||
        (left >= 2 && p[0] == '-' && p[1] == '-' && (left == 2 || (uint8_t)p[2] <= ' '))) {
        const char *end = memchr(p, '\n', left);
        l->at = end != NULL ? (uint32_t)(end - l->text) + 1 : l->n;
        return true;
    }
    if (l->executed && left >= 2 && p[0] == '*' && p[1] == '/') {
        l->executed = false;
        l->at += 2;
        return true;
    }
    if (left < 2 || p[0] != '/' || p[1] != '*')
        return false;
    uint32_t skip = left >= 3 && p[2] == '!' ? 3 : left >= 4 && p[2] == 'M' && p[3] == '!' ? 4 : 0;
    if (skip != 0) { /* may be executed, depending on the version: read it */
        l->executed = true;
        l->at += skip;
        while (l->at < l->n && l->text[l->at] >= '0' && l->text[l->at] <= '9')
            l->at++;
        return true;
    }
    const char *end = left > 3 ? memmem(p + 2, left - 2, "*/", 2) : NULL;
    if (end == NULL) {
        l->unended = true;
        l->at = l->n;
        return true;
    }
    l->comment = (struct my_span){l->at, (uint32_t)(end - p) + 2};
    l->at = (uint32_t)(end - l->text) + 2;
    return true;
}

static void skip_space(struct my_lexer *l)
{
    while (l->at < l->n) {
        uint8_t c = (uint8_t)l->text[l->at];
        if ((my_lex_class[c] & 4u) != 0)
            l->at++;
        else if ((c != '/' && c != '-' && c != '#' && c != '*') || !skip_comment(l))
            return;
    }
}

/* x'1F', n'text' and _charset'text' are strings of one token each. */
static bool introduces_string(const char *p, uint32_t len)
{
    return p[0] == '_' || (len == 1 && memchr("xXbBnN", p[0], 6) != NULL);
}

static void lex_word(struct my_lexer *l, struct my_token *t)
{
    const char *p = l->text;
    uint32_t i = l->at;
    bool digits = true;
    for (; i < l->n && my_is_name((uint8_t)p[i]); i++)
        digits &= (my_lex_class[(uint8_t)p[i]] & 2u) != 0;
    t->kind = digits ? MY_T_NUMBER : MY_T_WORD;
    if (digits && i + 1 < l->n && p[i] == '.') {
        for (i++; i < l->n && my_is_name((uint8_t)p[i]); i++)
            ;
    } else if (!digits && i < l->n && p[i] == '\'' && introduces_string(p + l->at, i - l->at)) {
        t->kind = MY_T_STRING;
        i = skip_quoted(l, i, '\'');
    }
    l->at = i;
}

static void lex_at(struct my_lexer *l, struct my_token *t)
{
    const char *p = l->text;
    uint32_t i = l->at + 1;
    t->kind = MY_T_USER;
    if (i < l->n && p[i] == '@') {
        t->kind = MY_T_SYSTEM;
        l->at = i + 1;
        return;
    }
    if (i < l->n && (p[i] == '\'' || p[i] == '"' || p[i] == '`'))
        i = skip_quoted(l, i, p[i]);
    else
        while (i < l->n && (my_is_name((uint8_t)p[i]) || p[i] == '.'))
            i++;
    l->at = i;
}

void my_lex_next(struct my_lexer *l, struct my_token *t)
{
    skip_space(l);
    t->at = l->at;
    t->c = 0;
    if (l->at >= l->n) {
        t->kind = MY_T_END;
        t->len = 0;
        return;
    }
    char c = l->text[l->at];
    if (my_is_name((uint8_t)c)) {
        lex_word(l, t);
    } else if (c == '\'' || c == '"' || c == '`') {
        bool name = c == '`' || (c == '"' && (l->opts & MY_SCAN_ANSI_QUOTES) != 0);
        t->kind = name ? MY_T_QUOTED : MY_T_STRING;
        l->at = skip_quoted(l, l->at, c);
    } else if (c == '@') {
        lex_at(l, t);
    } else if (c == ':' && l->at + 1 < l->n && l->text[l->at + 1] == '=') {
        t->kind = MY_T_ASSIGN;
        l->at += 2;
    } else {
        t->kind = MY_T_PUNCT;
        t->c = c;
        l->at++;
    }
    t->len = l->at - t->at;
}
