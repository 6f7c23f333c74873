/* SPDX-License-Identifier: ISC
 * See pg_text.h.
 */
#include "config.h"

#include "proto/pg/pg_text.h"

#include "base/fnv.h"
#include "proto/pg/pg_canon.h"
#include "proto/pg/pg_lex.h"
#include "proto/vars/vars.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#define SCS    ((pg_text_how_t)PG_SCAN_OPT_SCS)
#define UNSAFE ((pg_text_how_t)PG_SCAN_OPT_UNSAFE_ENC)
#define LEXED  ((pg_text_how_t)0xffff) /* how the text is split, not what its literals say */
#define MASKED 0xffu                   /* goes on in a word, is nothing else */

static int encoding_of(pg_text_how_t how)
{
    return (int)(how >> 8 & 0xff) - 1;
}

static pg_text_how_t literals(const struct var_set *report)
{
    static const char *const names[] = {"DateStyle", "IntervalStyle", "TimeZone"};
    uint32_t hash = FNV_START;
    struct var_entry e;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (var_set_find(report, names[i], strlen(names[i]), &e))
            hash = fnv_add(hash, e.value, strlen(e.value));
    return (hash ^ hash << 16) & ~LEXED;
}

pg_text_how_t pg_text_how(const struct var_set *report)
{
    struct var_entry e, enc;
    bool scs = var_set_find(report, "standard_conforming_strings", 27, &e);
    bool named = var_set_find(report, "client_encoding", 15, &enc);
    unsigned opts = pg_canon_scan_opts(scs ? e.value : NULL, named ? enc.value : NULL);
    int number = named ? pg_char_to_encoding(enc.value) : -1;
    if (number < 0 || number > 254)
        number = -1;
    return opts | (unsigned)(number + 1) << 8 | literals(report);
}

static bool has_high(const char *sql, size_t n)
{
    uint64_t eight;
    size_t i = 0;
    for (; i + sizeof eight <= n; i += sizeof eight) {
        memcpy(&eight, sql + i, sizeof eight);
        if ((eight & UINT64_C(0x8080808080808080)) != 0)
            return true;
    }
    for (; i < n; i++)
        if (((uint8_t)sql[i] & 0x80) != 0)
            return true;
    return false;
}

pg_text_how_t pg_text_how_of(const char *sql, size_t n, pg_text_how_t how)
{
    if (how == PG_TEXT_PLAIN)
        return how;
    if (memchr(sql, '\'', n) == NULL)
        how &= LEXED;
    if (!has_high(sql, n))
        how &= SCS | ~LEXED;
    if ((how & SCS) == 0 && memchr(sql, '\\', n) == NULL)
        how |= SCS;
    return how;
}

/* Bytes of the character at p; never more than there are. */
static size_t char_bytes(const char *p, size_t n, int encoding)
{
    if (((uint8_t)*p & 0x80) == 0 || n < 2 || encoding < 0)
        return 1;
    int len = PQmblen(p, encoding); /* looks at two bytes at most */
    return len < 1 ? 1 : (size_t)len < n ? (size_t)len : n;
}

/* The bytes that are only the rest of a character become what can't be mistaken. */
static void mask(char *sql, size_t n, int encoding)
{
    for (size_t i = 0; i < n;) {
        size_t len = char_bytes(sql + i, n - i, encoding);
        if (len > 1)
            memset(sql + i + 1, MASKED, len - 1);
        i += len;
    }
}

void pg_text_scan(const char *sql, size_t n, pg_text_how_t how, unsigned opts, struct pg_scan *out)
{
    opts |= how & SCS;
    if ((how & UNSAFE) == 0 || !has_high(sql, n)) {
        pg_scan_text(sql, n, opts, out);
        return;
    }
    char *copy = malloc(n);
    if (copy == NULL) { /* unreadable */
        pg_scan_text(sql, n, opts | UNSAFE, out);
        return;
    }
    memcpy(copy, sql, n);
    mask(copy, n, encoding_of(how));
    pg_scan_text(copy, n, opts, out);
    free(copy);
}

size_t pg_text_chars(const char *p, size_t n, pg_text_how_t how)
{
    size_t chars = 0;
    for (size_t i = 0; i < n; chars++)
        i += char_bytes(p + i, n - i, encoding_of(how));
    return chars;
}

void pg_text_digest(char *to, size_t room, const char *sql, size_t n, pg_text_how_t how)
{
    const uint8_t *p = (const uint8_t *)sql;
    struct pg_lex lx = {.p = p, .end = p + n, .base = p, .scs = (how & SCS) != 0};
    size_t len = 0;
    to[0] = '\0';
    if ((how & UNSAFE) != 0 && has_high(sql, n)) /* its quotes may not be what they look like */
        lx.end = p;
    for (enum pg_tok t; (t = pg_lex_next(&lx)) != PG_TOK_END && len + 2 < room;) {
        bool literal = t == PG_TOK_STRING || t == PG_TOK_ESCAPE || t == PG_TOK_NUMBER || lx.broken;
        if (len != 0 && lx.tok != p)
            to[len++] = ' ';
        p = lx.p;
        for (const uint8_t *at = lx.tok; at < p && len + 1 < room && !literal; at++)
            to[len++] = (char)(*at < ' ' || *at == 127 ? '?' : *at);
        if (literal && len + 1 < room)
            to[len++] = '?';
    }
    to[len] = '\0';
}
