/* SPDX-License-Identifier: ISC
 * See pg_scan.h.
 *
 * How it works: each statement is entered by its first word (pg_scan_heads.c); the rest up to the
 * semicolon runs through pg_scan_token(), where only words that pass the letter-and-length filter
 * `interest` are looked up in words[]. Nearly all of a text is passed over by skim(), which knows
 * of words, numbers, strings and parentheses only.
 */
#include "config.h"

#include "base/fnv.h"
#include "proto/pg/pg_builtin.h"
#include "proto/pg/pg_scan_priv.h"

/* ---- words that matter anywhere in a statement ------------------------------------------------
 */

enum what {
    WHAT_CALL,       /* a function: sets `flags` if a parenthesis follows */
    WHAT_SET_CONFIG, /* so does this, but its third argument decides */
    WHAT_INSERT,     /* not a function from here on */
    WHAT_INTO,
    WHAT_CLAUSE,   /* no function either */
    WHAT_TABLE,    /* in front of a table's name */
    WHAT_TABLES,   /* or several */
    WHAT_SETTINGS, /* the view: an UPDATE of it sets */
};

static const struct word {
    const char *name;
    uint8_t len;
    enum what what;
    uint64_t flags;
} words[] = {
#define W(name, what, flags)                                                                       \
    {                                                                                              \
        name, sizeof(name) - 1, what, flags                                                        \
    }
    W("into", WHAT_INTO, 0),
    W("insert", WHAT_INSERT, PG_SCAN_SEQ_IMPLICIT),
    W("merge", WHAT_INSERT, PG_SCAN_SEQ_IMPLICIT),
    W("returning", WHAT_CLAUSE, PG_SCAN_RETURNING),
    W("from", WHAT_TABLES, 0),
    W("join", WHAT_TABLE, 0),
    W("update", WHAT_TABLE, 0),
    W("nextval", WHAT_CALL, PG_SCAN_SEQUENCE),
    W("setval", WHAT_CALL, PG_SCAN_SEQUENCE),
    W("currval", WHAT_CALL, PG_SCAN_SEQ_READ),
    W("lastval", WHAT_CALL, PG_SCAN_SEQ_READ),
    W("setseed", WHAT_CALL, PG_SCAN_SEED),
    W("dblink_connect", WHAT_CALL, PG_SCAN_DBLINK),
    W("dblink_connect_u", WHAT_CALL, PG_SCAN_DBLINK),
    W("set_config", WHAT_SET_CONFIG, PG_SCAN_SET_OPAQUE),
    W("pg_advisory_lock", WHAT_CALL, PG_SCAN_ADVISORY_LOCK),
    W("pg_advisory_lock_shared", WHAT_CALL, PG_SCAN_ADVISORY_LOCK),
    W("pg_try_advisory_lock", WHAT_CALL, PG_SCAN_ADVISORY_LOCK),
    W("pg_try_advisory_lock_shared", WHAT_CALL, PG_SCAN_ADVISORY_LOCK),
    W("pg_advisory_unlock", WHAT_CALL, PG_SCAN_ADVISORY_UNLOCK),
    W("pg_advisory_unlock_shared", WHAT_CALL, PG_SCAN_ADVISORY_UNLOCK),
    W("pg_advisory_unlock_all", WHAT_CALL, PG_SCAN_ADVISORY_UNLOCK),
    /* They run SQL that they get as a string. */
    W("query_to_xml", WHAT_CALL, PG_SCAN_MAY_ANY | PG_SCAN_SET_OPAQUE),
    W("query_to_xmlschema", WHAT_CALL, PG_SCAN_MAY_ANY | PG_SCAN_SET_OPAQUE),
    W("query_to_xml_and_xmlschema", WHAT_CALL, PG_SCAN_MAY_ANY | PG_SCAN_SET_OPAQUE),
    W("ts_stat", WHAT_CALL, PG_SCAN_MAY_ANY | PG_SCAN_SET_OPAQUE),
    W("ts_rewrite", WHAT_CALL, PG_SCAN_MAY_ANY | PG_SCAN_SET_OPAQUE),
    W("pg_settings", WHAT_SETTINGS, PG_SCAN_SET_OPAQUE),
#undef W
};

#define L(n) (1u << (n))

/* By first letter the lengths that words[] has; a test checks one against the other. pg_temp and
 * pg_temp_3 have to pass as well. */
static const uint32_t interest[256] = {
    ['c'] = L(7),
    ['d'] = L(14) | L(16),
    ['f'] = L(4),
    ['i'] = L(4) | L(6),
    ['j'] = L(4),
    ['l'] = L(7),
    ['m'] = L(5),
    ['n'] = L(7),
    ['p'] = L(7) | L(9) | L(10) | L(11) | L(12) | L(13) | L(14) | L(15) | L(16) | L(17) | L(18) |
            L(20) | L(22) | L(23) | L(25) | L(27),
    ['q'] = L(12) | L(18) | L(26),
    ['r'] = L(9),
    ['s'] = L(6) | L(7) | L(10),
    ['t'] = L(7) | L(10),
    ['u'] = L(6),
};

static bool interesting(const uint8_t *text, size_t len)
{
    uint8_t first = pg_lex_lower(*text);
    if (len >= 32 || (interest[first] >> len & 1) == 0)
        return false;
    return first != 'p' || text[2] == '_'; /* all of those are pg_.. */
}

/* Behind the word at p; p itself if it matters or begins a string like E'..'. */
static inline const uint8_t *skim_word(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *from = p++;
    while (p < end && (pg_lex_class[*p] & LEX_IN_WORD) != 0)
        p++;
    bool prefix = p - from == 1 && p < end && (*p == '\'' || *p == '&');
    return prefix || interesting(from, (size_t)(p - from)) ? from : p;
}

/* Behind the string or quoted identifier at p; p itself if it isn't closed or matters. A doubled
 * quote, or a line break between two strings, is taken for the end of one string and the start of
 * another: the same to whoever only wants to get past them. */
static inline const uint8_t *skim_quoted(const struct scanner *s, const uint8_t *p)
{
    const uint8_t *end = s->lx.end, *inside = p + 1;
    if ((*p == '\'' && !s->lx.scs) || inside == end)
        return p;
    const uint8_t *close = memchr(inside, *p, (size_t)(end - inside));
    if (close == NULL)
        return p;
    if (*p == '"' && close > inside && interesting(inside, (size_t)(close - inside)))
        return p;
    return *p == '"' && close + 1 < end && close[1] == '"' ? p : close + 1;
}

uint32_t pg_scan_table_mark(char how, const char *name, size_t n)
{
    return ~fnv_add(pg_builtin_mark(name, n), &how, 1);
}

/* A name with its schema, of which only so much is looked at. */
struct dotted {
    char text[192];
    size_t n;
};

static void dotted_add(struct dotted *d, const uint8_t *p, size_t n)
{
    bool quoted = n > 1 && *p == '"';
    p += quoted;
    n -= 2 * quoted;
    if (d->n != 0 && d->n < sizeof d->text)
        d->text[d->n++] = '.';
    if (n > sizeof d->text - d->n)
        n = sizeof d->text - d->n;
    memcpy(d->text + d->n, p, n);
    d->n += n;
}

/* The word that ends at `end`, with blanks behind it; false: there is none. */
static bool word_before(const struct scanner *s, const uint8_t *end, struct pg_span *out)
{
    const uint8_t *base = s->lx.base, *p;
    while (end > base && (pg_lex_class[end[-1]] & LEX_KIND) == LEX_SPACE)
        end--;
    if (end > base && end[-1] == '"') {
        p = --end;
        while (p > base && p[-1] != '"')
            p--;
    } else {
        p = end;
        while (p > base && (pg_lex_class[p[-1]] & LEX_IN_WORD) != 0)
            p--;
    }
    *out = span_to(s, p, end);
    return p != end;
}

static void note_mark(struct scanner *s, uint32_t mark)
{
    struct pg_scan *out = s->out;
    if (out->n_used++ < PG_SCAN_USED_MAX)
        out->used[out->n_used - 1] = mark;
}

/* What is called has no name that could be read: it is never known. */
static void note_nameless(struct scanner *s)
{
    flag(s, PG_SCAN_CALLS);
    s->out->n_used = PG_SCAN_USED_MAX + 1;
}

/* More is used than can be told: another name would say nothing new. */
static bool is_past_telling(const struct scanner *s)
{
    return s->out->n_used > PG_SCAN_USED_MAX;
}

/* Does this kind of statement run what it names? What it only defines is not used. */
static bool uses(const struct scanner *s)
{
    return s->runs || s->kind == PG_KIND_ALTER || s->kind == PG_KIND_SELECT ||
           s->kind == PG_KIND_INSERT || s->kind == PG_KIND_UPDATE || s->kind == PG_KIND_DELETE ||
           s->kind == PG_KIND_MERGE || s->kind == PG_KIND_COPY || s->kind == PG_KIND_EXPLAIN ||
           s->kind == PG_KIND_DECLARE;
}

static bool span_is(const struct scanner *s, struct pg_span at, const char *word)
{
    return at.len == strlen(word) &&
           strncasecmp((const char *)s->lx.base + at.off, word, at.len) == 0;
}

/* May a comment stand between the name and the parenthesis, so that the name isn't one? */
static bool is_commented(const struct scanner *s, const uint8_t *name_end, const uint8_t *open)
{
    const uint8_t *base = s->lx.base, *p = name_end;
    if (p - base >= 2 && p[-1] == '/' && p[-2] == '*')
        return true;
    if (pg_lex_line(p, open) == open)
        return false;
    while (p - base >= 2 && p[-1] != '\n' && p[-1] != '\r' && !(p[-1] == '-' && p[-2] == '-'))
        p--;
    return p - base >= 2 && p[-1] == '-';
}

/* Has the name that begins here a schema, somewhere before it? */
static bool is_dotted(const struct scanner *s, const uint8_t *start)
{
    while (start > s->lx.base && pg_lex_class[start[-1]] == LEX_S)
        start--;
    return start > s->lx.base && start[-1] == '.';
}

/* Where a word begins, with its quote. */
static const uint8_t *word_start(const struct scanner *s, struct pg_span word)
{
    const uint8_t *p = s->lx.base + word.off;
    return p > s->lx.base && p[-1] == '"' ? p - 1 : p;
}

/* Do columns follow a name behind this word, and no arguments? */
static bool names_columns(const struct scanner *s, struct pg_span word)
{
    static const char *const heads[] = {"into", "copy", "with", "recursive"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        if (span_is(s, word, heads[i]))
            return true;
    return false;
}

/* A parenthesis opens. */
static void note_call(struct scanner *s, const uint8_t *open)
{
    struct pg_span name, schema, before;
    struct dotted full = {.n = 0};
    const uint8_t *base = s->lx.base;
    if (!uses(s) || (is_past_telling(s) && (s->out->flags & PG_SCAN_CALLS) != 0))
        return;
    bool named = word_before(s, open, &name);
    const uint8_t *end = base + name.off + name.len;
    end += named && *end == '"';
    if (is_commented(s, end, open)) { /* the word may be the comment's */
        note_nameless(s);
        return;
    }
    if (!named)
        return;
    const uint8_t *start = word_start(s, name);
    bool in_schema = start > base && start[-1] == '.' && word_before(s, start - 1, &schema);
    if (in_schema)
        start = word_start(s, schema);
    if (word_before(s, start, &before) && names_columns(s, before))
        return;
    if (!in_schema && is_dotted(s, start)) {
        note_nameless(s);
        return;
    }
    in_schema = in_schema && !span_is(s, schema, "pg_catalog");
    if (in_schema)
        dotted_add(&full, base + schema.off, schema.len);
    dotted_add(&full, base + name.off, name.len);
    uint32_t mark = pg_builtin_mark(full.text, full.n);
    if (!in_schema && pg_builtin_is(mark))
        return;
    flag(s, PG_SCAN_CALLS);
    note_mark(s, mark);
}

/* Behind the word or quoted identifier at p; p itself: there is none. */
static const uint8_t *name_end(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *close = NULL;
    if (p < end && *p == '"')
        close = memchr(p + 1, '"', (size_t)(end - p - 1));
    if (close != NULL)
        return close + 1;
    while (p < end && (pg_lex_class[*p] & LEX_IN_WORD) != 0)
        p++;
    return p;
}

/* Behind blanks and comments. */
static const uint8_t *blanks(const struct scanner *s, const uint8_t *p)
{
    const uint8_t *end = s->lx.end;
    struct pg_lex ahead = {.end = end}; /* whether one is never closed the scan itself will find */
    for (;;) {
        while (p < end && pg_lex_class[*p] == LEX_S)
            p++;
        if (end - p >= 2 && p[0] == '-' && p[1] == '-')
            p = pg_lex_line(p + 2, end);
        else if (end - p >= 2 && p[0] == '/' && p[1] == '*')
            p = pg_lex_block(&ahead, p + 2);
        else
            return p;
    }
}

/* A table's name at p; behind it. */
static const uint8_t *note_table(struct scanner *s, const uint8_t *p, char how)
{
    struct dotted full = {.n = 0};
    const uint8_t *end = s->lx.end, *to = name_end(p, end);
    if (to - p == 4 && strncasecmp((const char *)p, "only", 4) == 0 && blanks(s, to) != to) {
        p = blanks(s, to);
        to = name_end(p, end);
    }
    for (const uint8_t *dot = blanks(s, to); dot < end && *dot == '.'; dot = blanks(s, to)) {
        dotted_add(&full, p, (size_t)(to - p));
        p = blanks(s, dot + 1);
        to = name_end(p, end);
    }
    bool quoted = to - p > 1 && *p == '"';
    size_t n = (size_t)(to - p) - 2 * quoted;
    dotted_add(&full, p, (size_t)(to - p));
    /* The server's own tables and views do nothing. */
    if (n > 0 && !(n > 3 && strncasecmp((const char *)p + quoted, "pg_", 3) == 0))
        note_mark(s, pg_scan_table_mark(how, full.text, full.n));
    return to;
}

/* Of a text; with those of the server's own, which aren't remembered. */
#define TABLES_MAX 1024u

void pg_scan_tables(struct scanner *s, char how, bool list)
{
    const uint8_t *p = s->lx.tok, *end = s->lx.end;
    if (!uses(s) || is_past_telling(s) || !is_name(s))
        return;
    /* Not to the end of the text for each FROM in it. */
    for (int names = 0; names < PG_SCAN_USED_MAX && name_end(p, end) != p; names++) {
        if (s->tables++ == TABLES_MAX)
            s->out->n_used = PG_SCAN_USED_MAX + 1;
        if (is_past_telling(s))
            return;
        p = blanks(s, note_table(s, p, how));
        for (int i = 0; list && i < 2; i++) /* AS alias */
            p = blanks(s, name_end(p, end));
        if (!list || p == end || *p != ',')
            break;
        p = blanks(s, p + 1);
    }
}

/* Pass over what can't matter in a statement's body: words, numbers, operators, strings. The hot
 * loop: it leaves to the lexer whatever takes more than a look. */
static void skim(struct scanner *s)
{
    const uint8_t *p = s->lx.p, *end = s->lx.end;
    for (;;) {
        while (p < end && (pg_lex_class[*p] & LEX_PLAIN) != 0)
            p++;
        if (p == end)
            break;
        const uint8_t *from = p;
        uint8_t kind = pg_lex_class[*p] & LEX_KIND;
        if (kind == LEX_WORD) {
            p = skim_word(p, end);
        } else if (kind == LEX_SQUOTE || kind == LEX_DQUOTE) {
            p = skim_quoted(s, p);
        } else if (kind == LEX_DIGIT) {
            p = pg_lex_number(p, end);
        } else if (kind == LEX_OPEN) {
            note_call(s, p);
            s->depth++;
            p++;
        } else if (kind == LEX_CLOSE) {
            s->depth -= s->depth > 0;
            p++;
        }
        if (p == from)
            break;
    }
    s->lx.p = p;
}

void pg_scan_remember(struct scanner *s, struct pg_span name)
{
    char text[PG_SETTING_MAX];
    struct pg_scan *out = s->out;
    const char *base = (const char *)s->lx.base;
    if (memchr(base + name.off, '.', name.len) == NULL)
        return;
    if (pg_scan_custom(base, name, text) == 0) {
        flag(s, PG_SCAN_SET_UNNAMED);
        return;
    }
    if (out->n_custom < PG_SCAN_CUSTOM_MAX)
        out->custom[out->n_custom] = name;
    out->n_custom++;
}

/* Behind set_config, at the parenthesis. What its name and its third argument are decides. */
static void set_config(struct scanner *s)
{
    const uint8_t *from = s->lx.tok;
    struct pg_span name = {0, 0};
    uint32_t outside = s->depth, commas = 0, tokens = 0, name_tokens = 0;
    bool yes = false, careful = s->careful;
    if (s->in_set_config) {
        flag(s, PG_SCAN_SET_OPAQUE | PG_SCAN_SET_UNNAMED);
        return;
    }
    s->in_set_config = s->careful = true;
    pg_scan_token(s); /* the parenthesis */
    while (s->t != PG_TOK_END && s->depth > outside) {
        if (s->depth == outside + 1 && is_char(s, ')'))
            break;
        if (s->depth == outside + 1 && is_char(s, ',')) {
            commas++;
            tokens = 0;
        } else if (tokens++ == 0) {
            yes = IS(s, "true") || (s->t == PG_TOK_STRING && pg_lex_is(&s->lx, "'true'", 6));
        }
        if (commas == 0 && name_tokens++ == 0 && s->t == PG_TOK_STRING && *s->lx.tok == '\'')
            name = here(s);
        pg_scan_token(s);
    }
    s->in_set_config = false;
    s->careful = careful;
    bool local = commas == 2 && tokens == 1 && yes;
    flag(s, local ? PG_SCAN_SET_LOCAL : PG_SCAN_SET_OPAQUE);
    if (!local && name_tokens == 1 && name.len != 0)
        pg_scan_remember(s, name);
    else if (!local)
        flag(s, PG_SCAN_SET_UNNAMED);
    if (pg_scan_mentions_temp(from, s->lx.tok))
        flag(s, PG_SCAN_TEMP_OBJECT);
}

/* SELECT .. INTO [GLOBAL | LOCAL] TEMP [TABLE] x */
static void into(struct scanner *s)
{
    if (IS(s, "global") || IS(s, "local"))
        advance(s);
    if (IS(s, "temp") || IS(s, "temporary"))
        flag(s, PG_SCAN_TEMP_OBJECT);
}

bool pg_scan_mentions_temp(const uint8_t *from, const uint8_t *to)
{
    static const char name[] = "pg_temp";
    for (; to - from >= (ptrdiff_t)sizeof(name) - 1; from++) {
        size_t i = 0;
        while (i < sizeof(name) - 1 && pg_lex_lower(from[i]) == (uint8_t)name[i])
            i++;
        if (i == sizeof(name) - 1)
            return true;
    }
    return false;
}

static const struct word *find_word(const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (words[i].len != len)
            continue;
        size_t n = 0;
        while (n < len && pg_lex_lower(text[n]) == (uint8_t)words[i].name[n])
            n++;
        if (n == len)
            return &words[i];
    }
    return NULL;
}

static bool is_pg_temp(const uint8_t *text, size_t len)
{
    return pg_scan_mentions_temp(text, text + (len < 7 ? len : 7)) && (len == 7 || text[7] == '_');
}

/* The current token is a word that passed the filter, or a quoted identifier. */
static void word(struct scanner *s)
{
    bool quoted = s->t == PG_TOK_QUOTED; /* then upper case differs: a flag too many */
    const uint8_t *text = s->lx.tok + quoted;
    size_t len = pg_lex_len(&s->lx) - 2 * quoted;
    const struct word *w = find_word(text, len);
    struct pg_span before;
    bool deletes = s->kind == PG_KIND_DELETE ||
                   (w != NULL && w->what == WHAT_TABLES && word_before(s, s->lx.tok, &before) &&
                    span_is(s, before, "delete"));
    advance(s);
    if (w == NULL) {
        if (is_pg_temp(text, len))
            flag(s, PG_SCAN_TEMP_OBJECT);
        return;
    }
    switch (w->what) {
    case WHAT_CALL:
        if (is_char(s, '('))
            flag(s, w->flags);
        break;
    case WHAT_SET_CONFIG:
        if (is_char(s, '('))
            set_config(s);
        break;
    case WHAT_INSERT:
        if (!quoted)
            flag(s, w->flags);
        if (IS(s, "into")) {
            advance(s);
            pg_scan_tables(s, *w->name, false);
        }
        break;
    case WHAT_TABLE:
        if (!quoted)
            pg_scan_tables(s, *w->name == 'u' ? 'u' : 'r', false);
        break;
    case WHAT_TABLES:
        if (!quoted)
            pg_scan_tables(s, deletes ? 'd' : 'r', true);
        break;
    case WHAT_INTO:
        if (!quoted)
            into(s);
        break;
    case WHAT_CLAUSE:
        if (!quoted)
            flag(s, w->flags);
        break;
    case WHAT_SETTINGS:
        if (s->kind != PG_KIND_SELECT || s->with)
            flag(s, w->flags);
        break;
    }
}

void pg_scan_token(struct scanner *s)
{
    switch (s->t) {
    case PG_TOK_WORD:
        if (interesting(s->lx.tok, pg_lex_len(&s->lx))) {
            word(s);
            return;
        }
        break;
    case PG_TOK_QUOTED:
        if (pg_lex_len(&s->lx) > 2 && interesting(s->lx.tok + 1, pg_lex_len(&s->lx) - 2)) {
            word(s);
            return;
        }
        break;
    case PG_TOK_UIDENT: /* its escapes are not read here: it may be any name */
        flag(s, PG_SCAN_MAY_ANY | PG_SCAN_SET_OPAQUE);
        break;
    case PG_TOK_CHAR:
        if (*s->lx.tok == '(') {
            note_call(s, s->lx.tok);
            s->depth++;
        } else if (*s->lx.tok == ')' && s->depth > 0)
            s->depth--;
        break;
    case PG_TOK_STRING:
    case PG_TOK_ESCAPE:
    case PG_TOK_NUMBER:
    case PG_TOK_PARAM:
    case PG_TOK_END:
        break;
    }
    if (!s->careful)
        skim(s);
    advance(s);
}

static enum pg_scan_whole whole(const struct scanner *s)
{
    switch (s->exact) {
    case EXACT_DISCARD_ALL:
        return PG_WHOLE_DISCARD_ALL;
    case EXACT_RESET_ALL:
        return PG_WHOLE_RESET_ALL;
    case EXACT_DEALLOCATE_ALL:
        return PG_WHOLE_DEALLOCATE_ALL;
    case EXACT_UNLOCK_ALL << 12 | EXACT_CLOSE_ALL << 8 | EXACT_UNLISTEN_ALL << 4 | EXACT_RESET_ALL:
        return PG_WHOLE_ASYNCPG_RESET;
    default:
        return PG_WHOLE_NONE;
    }
}

/* What can be followed only when it stands alone. */
static void judge(struct scanner *s, bool readable)
{
    const uint64_t alone = PG_SCAN_SET_SIMPLE | PG_SCAN_RESET_ONE;
    struct pg_scan *out = s->out;
    if (out->statements > 1 && (out->flags & PG_SCAN_RESET_ALL) != 0)
        flag(s, PG_SCAN_SET_OPAQUE);
    if ((out->statements > 1 || !readable) && (out->flags & alone) != 0) {
        out->flags &= ~alone;
        flag(s, PG_SCAN_SET_OPAQUE);
    }
    if (!readable)
        flag(s, PG_SCAN_SET_OPAQUE | PG_SCAN_MAY_ANY);
    if ((out->flags & alone) == 0) {
        out->name = out->value = (struct pg_span){0, 0};
        out->alias = NULL;
    }
    if (readable && out->statements <= 8)
        out->whole = whole(s);
}

/* In encodings like SJIS an ASCII byte can be half a character: what looks like a backslash may not
 * be one. The server reads the converted text; here such a text counts as unreadable. */
static bool misleading(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 128)
            return true;
    return false;
}

static const uint8_t *trimmed(const uint8_t *from, const uint8_t *to)
{
    while (to > from && pg_lex_class[to[-1]] == LEX_S)
        to--;
    return to;
}

/* The statement of a PREPARE goes to the end of its own. */
static void end_bodies(struct scanner *s, uint32_t from)
{
    struct pg_scan *out = s->out;
    for (uint32_t i = from; i < out->n_names && i < PG_SCAN_NAMES_MAX; i++) {
        struct pg_span *body = &out->names[i].body;
        const uint8_t *start = s->lx.base + body->off;
        if (body->off != 0 && start < s->lx.tok)
            *body = span_to(s, start, trimmed(start, s->lx.tok));
    }
}

void pg_scan_text(const char *text, size_t len, unsigned opts, struct pg_scan *out)
{
    const uint8_t *p = (const uint8_t *)text;
    struct scanner s = {.out = out};
    memset(out, 0, offsetof(struct pg_scan, names));
    s.lx.base = s.lx.p = p;
    s.lx.end = p + len;
    s.lx.scs = (opts & PG_SCAN_OPT_SCS) != 0;
    advance(&s);
    while (s.t != PG_TOK_END) {
        if (!is_char(&s, ';')) {
            const uint8_t *from = s.lx.tok;
            uint32_t named = out->n_names;
            pg_scan_statement(&s);
            end_bodies(&s, named);
            s.exact = s.exact << 4 | s.is;
            if (out->statements++ == 0) {
                out->kind = s.kind;
                out->first = span_to(&s, from, trimmed(from, s.lx.tok));
            }
        }
        if (s.t != PG_TOK_END)
            advance(&s);
    }
    judge(&s, !s.lx.broken && (opts & PG_SCAN_OPT_CUT) == 0 &&
                  ((opts & PG_SCAN_OPT_UNSAFE_ENC) == 0 || !misleading(text, len)));
}
