/* SPDX-License-Identifier: ISC
 * See my_scan.h: names and literals out of a text that was scanned, and the options for scanning.
 */
#include "config.h"

#include "proto/mysql/my_lex.h"

#include <stdlib.h>

/* ---- options ----------------------------------------------------------------------------------
 */

unsigned my_scan_charset(const char *charset)
{
    /* What is white space was found by trying all bytes of all character sets on MariaDB 10.11. */
    static const struct {
        const char *name;
        enum my_charset kind;
    } sets[] = {
        {"utf8mb4", MY_CHARSET_PLAIN},    {"utf8mb3", MY_CHARSET_PLAIN},
        {"utf8", MY_CHARSET_PLAIN},       {"ascii", MY_CHARSET_PLAIN},
        {"binary", MY_CHARSET_PLAIN},     {"ujis", MY_CHARSET_PLAIN},
        {"eucjpms", MY_CHARSET_PLAIN},    {"euckr", MY_CHARSET_PLAIN},
        {"gb2312", MY_CHARSET_PLAIN},     {"latin1", MY_CHARSET_SPACE_A0},
        {"latin2", MY_CHARSET_SPACE_A0},  {"latin5", MY_CHARSET_SPACE_A0},
        {"latin7", MY_CHARSET_SPACE_A0},  {"armscii8", MY_CHARSET_SPACE_A0},
        {"cp1250", MY_CHARSET_SPACE_A0},  {"dec8", MY_CHARSET_SPACE_A0},
        {"geostd8", MY_CHARSET_SPACE_A0}, {"greek", MY_CHARSET_SPACE_A0},
        {"hebrew", MY_CHARSET_SPACE_A0},  {"cp852", MY_CHARSET_SPACE_FF},
        {"cp866", MY_CHARSET_SPACE_FF},   {"keybcs2", MY_CHARSET_SPACE_FF},
        {"gbk", MY_CHARSET_GBK},          {"gb18030", MY_CHARSET_GBK},
        {"big5", MY_CHARSET_BIG5},        {"sjis", MY_CHARSET_SJIS},
        {"cp932", MY_CHARSET_SJIS},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (strcmp(sets[i].name, charset) == 0)
            return (unsigned)sets[i].kind << MY_SCAN_CHARSET_SHIFT;
    return (unsigned)MY_CHARSET_BYTES << MY_SCAN_CHARSET_SHIFT;
}

unsigned my_scan_server(const char *version, bool mariadb)
{
    static const char replica[] = "5.5.5-"; /* MariaDB's prefix for replicas of old */
    unsigned parts[3] = {0, 0, 0};
    const char *p = version;
    if (mariadb && strncmp(p, replica, sizeof replica - 1) == 0)
        p += sizeof replica - 1;
    for (size_t i = 0; i < 3; i++) {
        char *end;
        unsigned long v = *p >= '0' && *p <= '9' ? strtoul(p, &end, 10) : 100;
        if (v > 99 || (i < 2 && *end != '.'))
            return 0;
        parts[i] = (unsigned)v;
        p = end + 1;
    }
    return (parts[0] * 10000 + parts[1] * 100 + parts[2]) << MY_SCAN_VERSION_SHIFT |
           (mariadb ? MY_SCAN_MARIADB : 0);
}

/* ---- names and literals -------------------------------------------------------------------------
 */

size_t my_scan_ident(const char *text, struct my_span sp, char *to, size_t room)
{
    const char *p = text + sp.at;
    size_t n = 0;
    char quote = 0;
    for (uint32_t i = 0; i < sp.len; i++) {
        char c = p[i];
        if (quote != 0 && c == quote) {
            if (i + 1 >= sp.len || p[i + 1] != quote) {
                quote = 0;
                continue;
            }
            i++;
        } else if (quote == 0 && (c == '`' || c == '"' || c == '\'')) {
            quote = c;
            continue;
        } else if (quote == 0 && (my_lex_class[(uint8_t)c] & MY_C_SPACE) != 0) {
            continue;
        }
        if (n + 1 >= room)
            return 0;
        to[n++] = c;
    }
    to[n] = '\0';
    return n;
}

size_t my_scan_name(const char *text, struct my_span sp, char *to, size_t room)
{
    size_t n = my_scan_ident(text, sp, to, room);
    for (size_t i = 0; i < n; i++)
        if (to[i] >= 'A' && to[i] <= 'Z')
            to[i] = (char)(to[i] + 32);
    return n;
}

static bool bare_literal(const char *p, uint32_t n, char *to, size_t room)
{
    if (n >= room)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!my_is_name((uint8_t)p[i]) && p[i] != '.' && p[i] != '-' && p[i] != '+')
            return false;
    memcpy(to, p, n);
    to[n] = '\0';
    return true;
}

bool my_scan_literal(const char *text, struct my_span sp, unsigned opts, char *to, size_t room)
{
    const char *p = text + sp.at;
    size_t n = 0;
    if (sp.len == 0 || room == 0)
        return false;
    if (p[0] != '\'' && p[0] != '"') /* a word or a number */
        return bare_literal(p, sp.len, to, room);
    if (sp.len < 2 || p[sp.len - 1] != p[0])
        return false;
    for (uint32_t i = 1; i + 1 < sp.len; i++) {
        char c = p[i];
        if (c == p[0])
            i++; /* doubled */
        else if (c == '\\' && (opts & MY_SCAN_NO_BACKSLASH) == 0)
            return false; /* rare in a setting: let the server read it */
        if (n + 1 >= room || c == '\0')
            return false;
        to[n++] = c;
    }
    to[n] = '\0';
    return true;
}

void my_scan_digest(const char *text, size_t n, unsigned opts, char *to, size_t room)
{
    /* Whether a backslash protects a quote depends on a mode that may be the server's default: what
     * is behind one isn't shown. */
    const char *cut = memchr(text, '\\', n);
    struct my_lexer l = {.text = text, .opts = opts};
    struct my_token t;
    size_t len = 0;
    uint32_t behind = 0;
    l.n = (uint32_t)(cut != NULL ? (size_t)(cut - text) : n);
    for (my_lex_next(&l, &t); t.kind != MY_T_END && len + 2 < room; my_lex_next(&l, &t)) {
        bool literal = t.kind == MY_T_STRING || t.kind == MY_T_NUMBER || l.unended;
        if (len != 0 && t.at != behind)
            to[len++] = ' ';
        behind = t.at + t.len;
        for (uint32_t i = 0; i < t.len && len + 1 < room && !literal; i++)
            to[len++] = (uint8_t)text[t.at + i] < ' ' ? '?' : text[t.at + i];
        if (literal && len + 1 < room)
            to[len++] = '?';
    }
    to[len] = '\0';
}
