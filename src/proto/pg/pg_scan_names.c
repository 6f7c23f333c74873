/* SPDX-License-Identifier: ISC
 * Names in a scanned text: what its identifiers mean, and what its kinds and flags are called.
 * See pg_scan.h.
 */
#include "config.h"

#include "proto/pg/pg_scan.h"

#include "proto/pg/pg_lex.h"

#define NAME_MAX_BYTES 63 /* NAMEDATALEN - 1 */

static struct pg_lex lex_at(const char *text, struct pg_span at)
{
    const uint8_t *p = (const uint8_t *)text;
    return (struct pg_lex){.p = p + at.off, .end = p + at.off + at.len, .base = p, .scs = true};
}

/* The meaning of the current token, at most `cap` bytes; returns its full length. */
static size_t unquote(const struct pg_lex *lx, enum pg_tok t, char *out, size_t cap)
{
    size_t n = 0;
    bool quoted = t == PG_TOK_QUOTED;
    for (const uint8_t *p = lx->tok + quoted; p < lx->p - quoted; p++, n++) {
        uint8_t c = quoted ? *p : pg_lex_lower(*p);
        if (n < cap)
            out[n] = (char)c;
        if (quoted && c == '"')
            p++;
    }
    return n;
}

size_t pg_scan_identifier(const char *text, struct pg_span at, char out[64])
{
    struct pg_lex lx = lex_at(text, at);
    enum pg_tok t = at.len == 0 ? PG_TOK_END : pg_lex_next(&lx);
    out[0] = '\0';
    if ((t != PG_TOK_WORD && t != PG_TOK_QUOTED) || lx.broken)
        return 0;
    char full[NAME_MAX_BYTES + 1];
    size_t n = unquote(&lx, t, full, sizeof(full));
    if (n > NAME_MAX_BYTES)
        for (n = NAME_MAX_BYTES; n > 0 && ((uint8_t)full[n] & 0xc0) == 0x80;)
            n--; /* don't leave half a UTF-8 character */
    memcpy(out, full, n);
    out[n] = '\0';
    return n;
}

/* a."B" . c becomes a.b.c */
static size_t dotted_name(const char *text, struct pg_span at, char out[PG_SETTING_MAX])
{
    size_t n = 0;
    struct pg_lex lx = lex_at(text, at);
    enum pg_tok t;
    out[0] = '\0';
    while (at.len != 0 && (t = pg_lex_next(&lx)) != PG_TOK_END) {
        size_t part = 1;
        if (t == PG_TOK_CHAR && *lx.tok == '.' && n + 1 < PG_SETTING_MAX)
            out[n] = '.';
        else if (t == PG_TOK_WORD || t == PG_TOK_QUOTED)
            part = unquote(&lx, t, out + n, PG_SETTING_MAX - 1 - n);
        else
            part = PG_SETTING_MAX;
        if (part > NAME_MAX_BYTES || part > PG_SETTING_MAX - 1 - n) {
            out[0] = '\0';
            return 0;
        }
        n += part;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = (char)pg_lex_lower((uint8_t)out[i]);
    out[n] = '\0';
    return n;
}

size_t pg_scan_setting(const char *text, const struct pg_scan *scan, char out[PG_SETTING_MAX])
{
    if (scan->alias == NULL)
        return dotted_name(text, scan->name, out);
    size_t n = strlen(scan->alias);
    memcpy(out, scan->alias, n + 1);
    return n;
}

size_t pg_scan_custom(const char *text, struct pg_span at, char out[PG_SETTING_MAX])
{
    const char *from = text + at.off;
    if (at.len == 0 || *from != '\'')
        return dotted_name(text, at, out);
    /* A literal: nothing that a name can have needs more than its quotes taken off. */
    size_t n = at.len < 2 ? 0 : at.len - 2;
    if (n >= PG_SETTING_MAX || memchr(from + 1, '\'', n) != NULL)
        n = 0;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)pg_lex_lower((uint8_t)from[1 + i]);
    out[n] = '\0';
    return n;
}

const char *pg_scan_kind_name(enum pg_scan_kind kind)
{
    static const char *const names[] = {
#define X(NAME, name) [PG_KIND_##NAME] = name,
        PG_SCAN_KINDS(X)
#undef X
    };
    return (unsigned)kind < PG_KIND_COUNT ? names[kind] : "";
}

const char *pg_scan_flag_name(uint64_t flags)
{
    static const char *const names[] = {
#define X(NAME, name) [PG_SCAN_BIT_##NAME] = name,
        PG_SCAN_FLAGS(X)
#undef X
    };
    flags &= (UINT64_C(1) << PG_SCAN_BIT_COUNT) - 1;
    return flags != 0 ? names[__builtin_ctzll(flags)] : "";
}
