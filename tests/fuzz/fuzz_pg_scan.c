/* SPDX-License-Identifier: ISC
 * The SQL scanner on arbitrary bytes. The first byte chooses the options. Checked beside memory:
 * spans lie inside the text, a cut text never promises anything, the meaning doesn't depend on what
 * is behind the end, a SET that is called simple is one again when it is written down alone, and
 * skimming over a SELECT's words finds what reading every token of a CREATE finds.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pg/pg_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_span(struct pg_span at, size_t len)
{
    assert(at.off <= len && at.len <= len - at.off);
}

static void check(const struct pg_scan *s, size_t len)
{
    assert(s->kind < PG_KIND_COUNT && (s->statements == 0) == (s->kind == PG_KIND_EMPTY));
    assert(s->flags >> PG_SCAN_BIT_COUNT == 0);
    check_span(s->name, len);
    check_span(s->value, len);
    check_span(s->first, len);
    for (uint32_t i = 0; i < s->n_names && i < PG_SCAN_NAMES_MAX; i++) {
        check_span(s->names[i].at, len);
        check_span(s->names[i].body, len);
        assert((s->names[i].flag & s->flags) == s->names[i].flag);
    }
    for (uint32_t i = 0; i < s->n_custom && i < PG_SCAN_CUSTOM_MAX; i++)
        check_span(s->custom[i], len);
    if ((s->flags & (PG_SCAN_SET_SIMPLE | PG_SCAN_RESET_ONE)) != 0)
        assert(s->statements == 1);
}

/* `SET "name" TO value`, as it is replayed. */
static void check_replay(const char *text, const struct pg_scan *s)
{
    char name[PG_SETTING_MAX], again_name[PG_SETTING_MAX];
    struct pg_scan again;
    size_t len = pg_scan_setting(text, s, name);
    if (len == 0 || len != strlen(name) || strchr(name, '"') != NULL)
        return;
    size_t cap = sizeof(name) + s->value.len + 16;
    char *sql = malloc(cap);
    assert(sql != NULL);
    int head = snprintf(sql, cap, "SET \"%s\" TO ", name);
    memcpy(sql + head, text + s->value.off, s->value.len);
    /* Replayed with either setting it must mean the same. */
    for (unsigned opts = 0; opts <= PG_SCAN_OPT_SCS; opts++) {
        pg_scan_text(sql, (size_t)head + s->value.len, opts, &again);
        /* A name of several parts is one quoted identifier now; an overlong one isn't replayed. */
        if ((again.flags & PG_SCAN_SET_SIMPLE) == 0) {
            assert(strlen(name) > 63);
            continue;
        }
        assert(again.value.len == s->value.len);
        pg_scan_setting(sql, &again, again_name);
        assert(strcmp(name, again_name) == 0);
    }
    free(sql);
}

/* The same text behind two beginnings, one of which is skimmed and the other read token by token.
 */
static void check_skimming(const char *text, size_t len, unsigned opts)
{
    static const char *const heads[] = {"select x ", "create x "};
    struct pg_scan s[2];
    char *sql = malloc(len + 16);
    assert(sql != NULL);
    for (int i = 0; i < 2; i++) {
        size_t head = strlen(heads[i]);
        memcpy(sql, heads[i], head);
        memcpy(sql + head, text, len);
        pg_scan_text(sql, head + len, opts, &s[i]);
    }
    /* Only CREATE knows TABLE .. AS EXECUTE, and what it defines isn't called. */
    if (s[0].n_names == s[1].n_names && ((s[0].flags ^ s[1].flags) & PG_SCAN_EXECUTE) == 0) {
        assert(s[0].statements == s[1].statements);
        assert(((s[0].flags ^ s[1].flags) & ~PG_SCAN_CALLS) == 0);
    }
    free(sql);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pg_scan a, b;
    char ident[64];
    if (size == 0)
        return 0;
    unsigned opts = data[0] & 3;
    size_t len = size - 1;
    char *text = malloc(len + 1), *longer = malloc(len + 8);
    assert(text != NULL && longer != NULL);
    memcpy(text, data + 1, len);
    memcpy(longer, data + 1, len);
    memcpy(longer + len, "'\"$$*/;", 7);
    memset(&b, 0xa5, sizeof(b));
    pg_scan_text(text, len, opts, &a);
    pg_scan_text(longer, len, opts, &b);
    check(&a, len);
    assert(a.flags == b.flags && a.statements == b.statements && a.whole == b.whole);
    if ((a.flags & PG_SCAN_SET_SIMPLE) != 0)
        check_replay(text, &a);
    for (uint32_t i = 0; i < a.n_names && i < PG_SCAN_NAMES_MAX; i++)
        assert(pg_scan_identifier(text, a.names[i].at, ident) == strlen(ident) ||
               memchr(text, 0, len) != NULL);
    char custom[PG_SETTING_MAX];
    for (uint32_t i = 0; i < a.n_custom && i < PG_SCAN_CUSTOM_MAX; i++)
        assert(pg_scan_custom(text, a.custom[i], custom) != 0);
    check_skimming(text, len, opts);
    pg_scan_text(text, len, opts | PG_SCAN_OPT_CUT, &b);
    assert((b.flags & PG_SCAN_MAY_ANY) != 0 && b.whole == PG_WHOLE_NONE);
    assert((b.flags & (PG_SCAN_SET_SIMPLE | PG_SCAN_RESET_ONE)) == 0);
    free(longer);
    free(text);
    return 0;
}
