/* SPDX-License-Identifier: ISC
 * See my_lex.h.
 */
#include "config.h"

#include "proto/mysql/my_lex.h"

#define N MY_C_NAME
#define D MY_C_DIGIT
#define S (MY_C_SPACE | MY_C_SKIM)
#define K MY_C_SKIM
const uint8_t my_lex_class[256] = {
    ['\t'] = S,        ['\n'] = S,          ['\v'] = S, ['\f'] = S,        ['\r'] = S,
    [' '] = S,         ['$'] = N,           ['_'] = N,  ['0' ... '9'] = D, ['A' ... 'Z'] = N,
    ['a' ... 'z'] = N, [0x80 ... 0xff] = N, ['!'] = K,  ['%'] = K,         ['&'] = K,
    [')'] = K,         ['('] = K,           ['*'] = K,  ['+'] = K,         [','] = K,
    ['.'] = K,         [':'] = K,           ['<'] = K,  ['='] = K,         ['>'] = K,
    ['?'] = K,         ['['] = K,           [']'] = K,  ['^'] = K,         ['{'] = K,
    ['|'] = K,         ['}'] = K,           ['~'] = K,
};
#undef N
#undef D
#undef S
#undef K

static enum my_charset charset_of(const struct my_lexer *l)
{
    return (enum my_charset)(l->opts >> MY_SCAN_CHARSET_SHIFT & 7u);
}

/* How many bytes the character at i has. Only characters whose second byte may be a quote's, a
 * backslash's or a name's count as two. */
static uint32_t width(const struct my_lexer *l, uint32_t i)
{
    uint8_t lead = (uint8_t)l->text[i];
    if (lead < 0x81 || i + 1 >= l->n || (uint8_t)l->text[i + 1] < 0x40)
        return 1;
    switch (charset_of(l)) {
    case MY_CHARSET_GBK:
        return 2;
    case MY_CHARSET_BIG5:
        return lead >= 0xa1 ? 2 : 1;
    case MY_CHARSET_SJIS:
        return lead <= 0x9f || lead >= 0xe0 ? 2 : 1;
    case MY_CHARSET_PLAIN:
    case MY_CHARSET_BYTES:
    case MY_CHARSET_SPACE_A0:
    case MY_CHARSET_SPACE_FF:
        break;
    }
    return 1;
}

static bool is_space(const struct my_lexer *l, uint8_t c)
{
    if (c < 0x80)
        return (my_lex_class[c] & MY_C_SPACE) != 0;
    return (c == 0xa0 && charset_of(l) == MY_CHARSET_SPACE_A0) ||
           (c == 0xff && charset_of(l) == MY_CHARSET_SPACE_FF);
}

/* As my_lex_quoted, where characters may have two bytes. */
static uint32_t skip_wide_quoted(struct my_lexer *l, uint32_t i, char quote, bool escapes)
{
    const char *p = l->text;
    for (; i < l->n; i++) {
        if (p[i] == quote) {
            if (i + 1 >= l->n || p[i + 1] != quote)
                return i + 1;
            i++;
        } else if (p[i] == '\\') {
            i += escapes;
        } else if ((uint8_t)p[i] >= 0x81) {
            i += width(l, i) - 1;
        }
    }
    l->unended = true;
    return l->n;
}

uint32_t my_lex_quoted(struct my_lexer *l, uint32_t at, char quote)
{
    bool escapes = quote != '`' && (l->opts & MY_SCAN_NO_BACKSLASH) == 0;
    const char *p = l->text + at + 1, *end = l->text + l->n;
    if (charset_of(l) >= MY_CHARSET_GBK)
        return skip_wide_quoted(l, at + 1, quote, escapes);
    for (;;) {
        while (p < end && *p != quote && *p != '\\')
            p++;
        if (p >= end)
            break;
        if (*p == '\\') {
            p += escapes ? 2 : 1;
        } else if (p + 1 < end && p[1] == quote) {
            p += 2;
        } else {
            return (uint32_t)(p + 1 - l->text);
        }
    }
    l->unended = true;
    return l->n;
}

/* Behind the comment whose text begins at `from`; such as are skipped for their version may have
 * others inside. */
static uint32_t skip_block(struct my_lexer *l, uint32_t from, bool nested)
{
    const char *p = l->text;
    for (uint32_t i = from; i + 1 < l->n; i++) {
        if (p[i] == '*' && p[i + 1] == '/')
            return i + 2;
        if (nested && p[i] == '/' && p[i + 1] == '*')
            i = skip_block(l, i + 2, false) - 1;
    }
    l->unended = true;
    return l->n;
}

/* Is the comment of this version executed? */
static bool is_executed(const struct my_lexer *l, uint32_t version, bool by_mariadb)
{
    uint32_t server = l->opts >> MY_SCAN_VERSION_SHIFT;
    if (server == 0)
        return (l->opts & MY_SCAN_SKIP_VERSIONED) == 0;
    if (version > server)
        return false;
    return (l->opts & MY_SCAN_MARIADB) == 0 || by_mariadb || version < 50700 || version > 99999;
}

/* l->at is behind the head of a comment like / * ! or / * M !, whose head has `head` characters. */
static void enter_versioned(struct my_lexer *l, uint32_t head)
{
    const char *p = l->text + l->at + head;
    uint32_t left = l->n - l->at - head, digits = 0, version = 0;
    while (digits < 6 && digits < left && p[digits] >= '0' && p[digits] <= '9')
        version = version * 10 + (uint32_t)(p[digits++] - '0');
    if (digits < 5)
        digits = version = 0;
    l->versioned |= digits != 0 || head == 4;
    if (digits == 0 ? (l->opts & MY_SCAN_SKIP_VERSIONED) == 0 || head == 3
                    : is_executed(l, version, head == 4)) {
        l->executed = true;
        l->at += head + digits;
        return;
    }
    l->at = skip_block(l, l->at + head + digits, true);
}

static void skip_line(struct my_lexer *l)
{
    const char *end = memchr(l->text + l->at, '\n', l->n - l->at);
    l->at = end != NULL ? (uint32_t)(end - l->text) + 1 : l->n;
}

/* "--" is a comment when white space or a control character follows. Which bytes of the upper half
 * are such, tables of the server know. */
static bool is_line_comment(struct my_lexer *l, const char *p, uint32_t left)
{
    if (p[0] == '#')
        return true;
    if (left < 2 || p[0] != '-' || p[1] != '-')
        return false;
    uint8_t c = left > 2 ? (uint8_t)p[2] : ' ';
    if (c >= 0x7f && charset_of(l) != MY_CHARSET_PLAIN)
        l->doubtful = true;
    return c <= ' ' || c == 0x7f || (c >= 0x80 && is_space(l, c));
}

/* Skip a comment at l->at; false: there is none. */
static bool skip_comment(struct my_lexer *l)
{
    const char *p = l->text + l->at;
    uint32_t left = l->n - l->at;
    if (is_line_comment(l, p, left)) {
        skip_line(l);
        return true;
    }
    if (l->executed && left >= 2 && p[0] == '*' && p[1] == '/') {
        l->executed = false;
        l->at += 2;
        return true;
    }
    if (left < 2 || p[0] != '/' || p[1] != '*')
        return false;
    bool maria = left >= 4 && p[2] == 'M' && p[3] == '!';
    if (left >= 3 && p[2] == '!') {
        enter_versioned(l, 3);
    } else if (maria &&
               (l->opts >> MY_SCAN_VERSION_SHIFT == 0 || (l->opts & MY_SCAN_MARIADB) != 0)) {
        enter_versioned(l, 4);
    } else {
        l->at = skip_block(l, l->at + 2, false);
    }
    return true;
}

static void skip_space(struct my_lexer *l)
{
    while (l->at < l->n) {
        uint8_t c = (uint8_t)l->text[l->at];
        if ((my_lex_class[c] & MY_C_SPACE) != 0 || (c >= 0x80 && is_space(l, c)))
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

/* Behind the name at i. `classes` collects those of its bytes. */
static uint32_t skip_name(const struct my_lexer *l, uint32_t i, uint8_t *classes)
{
    const uint8_t *p = (const uint8_t *)l->text;
    const unsigned odd = charset_of(l) == MY_CHARSET_PLAIN ? 0x100 : 0x80;
    const uint32_t n = l->n;
    uint8_t all = 0;
    for (; i < n; i++) {
        uint8_t class = my_lex_class[p[i]];
        if ((class & (MY_C_NAME | MY_C_DIGIT)) == 0)
            break;
        all |= class;
        if (p[i] >= odd) {
            if (is_space(l, p[i]))
                break;
            i += width(l, i) - 1;
        }
    }
    *classes |= all;
    return i;
}

static void lex_word(struct my_lexer *l, struct my_token *t)
{
    const char *p = l->text;
    uint8_t classes = 0;
    uint32_t i = skip_name(l, l->at, &classes);
    bool digits = (classes & MY_C_NAME) == 0;
    t->kind = digits ? MY_T_NUMBER : MY_T_WORD;
    if (digits && i + 1 < l->n && p[i] == '.') {
        i = skip_name(l, i + 1, &classes);
    } else if (!digits && i < l->n && p[i] == '\'' && introduces_string(p + l->at, i - l->at)) {
        t->kind = MY_T_STRING;
        i = my_lex_quoted(l, i, '\'');
    }
    l->at = i;
}

static void lex_at(struct my_lexer *l, struct my_token *t)
{
    const char *p = l->text;
    uint32_t i = l->at + 1;
    uint8_t classes = 0;
    t->kind = MY_T_USER;
    if (i < l->n && p[i] == '@') {
        t->kind = MY_T_SYSTEM;
        l->at = i + 1;
        return;
    }
    if (i < l->n && (p[i] == '\'' || p[i] == '"' || p[i] == '`'))
        i = my_lex_quoted(l, i, p[i]);
    else
        while (i < l->n && (my_is_name((uint8_t)p[i]) || p[i] == '.')) {
            uint32_t end = p[i] == '.' ? i + 1 : skip_name(l, i, &classes);
            if (end == i)
                break;
            i = end;
        }
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
        l->at = my_lex_quoted(l, l->at, c);
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
