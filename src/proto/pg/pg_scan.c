/* SPDX-License-Identifier: ISC
 * See pg_scan.h.
 *
 * How it works: each statement is entered by its first word (heads[]), whose function looks at as
 * many tokens as it needs; the rest up to the semicolon runs through token(), where only words that
 * pass the letter-and-length filter `interest` are looked up in words[]. Nearly all of a text takes
 * the path lexer -> filter -> next token.
 *
 * Always: s->t is the token under s->lx, not yet consumed. A function that looks at a token either
 * leaves it there or advances. Two functions recurse, each once: token() into itself inside
 * set_config(), statement() into itself behind EXPLAIN.
 */
#include "config.h"

#include "proto/pg/pg_scan.h"

#include "proto/pg/pg_lex.h"

#define IS(s, literal) ((s)->t == PG_TOK_WORD && pg_lex_is(&(s)->lx, literal, sizeof(literal) - 1))

/* Statements that matter only when they are the whole text; four bits each in scanner.exact. */
enum exact {
    EXACT_OTHER = 1,
    EXACT_DISCARD_ALL,
    EXACT_RESET_ALL,
    EXACT_DEALLOCATE_ALL,
    EXACT_UNLOCK_ALL,
    EXACT_CLOSE_ALL,
    EXACT_UNLISTEN_ALL,
};

struct scanner {
    struct pg_lex lx;
    enum pg_tok t;
    enum pg_scan_kind kind; /* of this statement */
    enum exact is;          /* what this statement would be if nothing followed */
    bool careful;           /* every token counts: token() may not skim */
    bool in_set_config;
    uint32_t depth; /* parentheses, in this statement */
    uint32_t exact; /* of the last eight statements */
    struct pg_scan *out;
};

static void advance(struct scanner *s)
{
    s->t = pg_lex_next(&s->lx);
}

static bool is_char(const struct scanner *s, char c)
{
    return s->t == PG_TOK_CHAR && *s->lx.tok == (uint8_t)c;
}

static bool is_name(const struct scanner *s)
{
    return s->t == PG_TOK_WORD || s->t == PG_TOK_QUOTED;
}

static bool at_end(const struct scanner *s)
{
    return s->t == PG_TOK_END || is_char(s, ';');
}

static void flag(struct scanner *s, uint64_t flags)
{
    s->out->flags |= flags;
}

static struct pg_span here(const struct scanner *s)
{
    return pg_lex_span(&s->lx, s->lx.tok, s->lx.p);
}

static struct pg_span span_to(const struct scanner *s, const uint8_t *from, const uint8_t *to)
{
    return pg_lex_span(&s->lx, from, to);
}

/* Does this part of the text speak of pg_temp? Also inside quotes: a search_path may be a string.
 */
static bool mentions_pg_temp(const uint8_t *from, const uint8_t *to)
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

/* ---- words that matter anywhere in a statement ------------------------------------------------
 */

enum what {
    WHAT_CALL,       /* a function: sets `flags` if a parenthesis follows */
    WHAT_SET_CONFIG, /* so does this, but its third argument decides */
    WHAT_INSERT,     /* not a function from here on */
    WHAT_INTO,
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
    W("nextval", WHAT_CALL, PG_SCAN_SEQUENCE),
    W("setval", WHAT_CALL, PG_SCAN_SEQUENCE),
    W("currval", WHAT_CALL, PG_SCAN_SEQ_READ),
    W("lastval", WHAT_CALL, PG_SCAN_SEQ_READ),
    W("setseed", WHAT_CALL, PG_SCAN_SEED),
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
#undef W
};

#define L(n) (1u << (n))

/* By first letter the lengths that words[] has; a test checks one against the other. pg_temp and
 * pg_temp_3 have to pass as well. */
static const uint32_t interest[256] = {
    ['c'] = L(7),
    ['i'] = L(4) | L(6),
    ['l'] = L(7),
    ['m'] = L(5),
    ['n'] = L(7),
    ['p'] = L(7) | L(9) | L(10) | L(11) | L(12) | L(13) | L(14) | L(15) | L(16) | L(17) | L(18) |
            L(20) | L(22) | L(23) | L(25) | L(27),
    ['q'] = L(12) | L(18) | L(26),
    ['s'] = L(6) | L(7) | L(10),
    ['t'] = L(7),
};

static bool interesting(uint8_t first, size_t len)
{
    return len < 32 && (interest[pg_lex_lower(first)] >> len & 1) != 0;
}

/* Pass over what can't matter in a statement's body: uninteresting words, numbers, operators. The
 * hot loop: it leaves to the lexer whatever takes more than a look. */
static void skim(struct scanner *s)
{
    const uint8_t *p = s->lx.p, *end = s->lx.end;
    for (;;) {
        while (p < end && (pg_lex_class[*p] & LEX_PLAIN) != 0)
            p++;
        if (p == end)
            break;
        uint8_t kind = pg_lex_class[*p] & LEX_KIND;
        if (kind == LEX_WORD) {
            const uint8_t *from = p++;
            while (p < end && (pg_lex_class[*p] & LEX_IN_WORD) != 0)
                p++;
            bool prefix = p - from == 1 && p < end && (*p == '\'' || *p == '&'); /* E'..' */
            if (!prefix && !interesting(*from, (size_t)(p - from)))
                continue;
            p = from;
            break;
        }
        if (kind == LEX_OPEN)
            s->depth++;
        else if (kind == LEX_CLOSE)
            s->depth -= s->depth > 0;
        else
            break;
        p++;
    }
    s->lx.p = p;
}

static void token(struct scanner *s);

static void set_config(struct scanner *s)
{
    const uint8_t *from = s->lx.tok;
    uint32_t outside = s->depth, commas = 0, tokens = 0;
    bool yes = false, careful = s->careful;
    if (s->in_set_config) {
        flag(s, PG_SCAN_SET_OPAQUE);
        return;
    }
    s->in_set_config = s->careful = true;
    token(s); /* the parenthesis */
    while (s->t != PG_TOK_END && s->depth > outside) {
        if (s->depth == outside + 1 && is_char(s, ')'))
            break;
        if (s->depth == outside + 1 && is_char(s, ',')) {
            commas++;
            tokens = 0;
        } else if (tokens++ == 0) {
            yes = IS(s, "true") || (s->t == PG_TOK_STRING && pg_lex_is(&s->lx, "'true'", 6));
        }
        token(s);
    }
    s->in_set_config = false;
    s->careful = careful;
    flag(s, commas == 2 && tokens == 1 && yes ? PG_SCAN_SET_LOCAL : PG_SCAN_SET_OPAQUE);
    if (mentions_pg_temp(from, s->lx.tok))
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
    return mentions_pg_temp(text, text + (len < 7 ? len : 7)) && (len == 7 || text[7] == '_');
}

/* The current token is a word that passed the filter, or a quoted identifier. */
static void word(struct scanner *s)
{
    bool quoted = s->t == PG_TOK_QUOTED; /* then upper case differs: a flag too many */
    const uint8_t *text = s->lx.tok + quoted;
    size_t len = pg_lex_len(&s->lx) - 2 * quoted;
    const struct word *w = find_word(text, len);
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
        if (IS(s, "into"))
            advance(s);
        break;
    case WHAT_INTO:
        if (!quoted)
            into(s);
        break;
    }
}

/* Consume the current token of a statement's body. */
static void token(struct scanner *s)
{
    switch (s->t) {
    case PG_TOK_WORD:
        if (interesting(*s->lx.tok, pg_lex_len(&s->lx))) {
            word(s);
            return;
        }
        break;
    case PG_TOK_QUOTED:
        if (pg_lex_len(&s->lx) > 2 && interesting(s->lx.tok[1], pg_lex_len(&s->lx) - 2)) {
            word(s);
            return;
        }
        break;
    case PG_TOK_UIDENT: /* its escapes are not read here: it may be any name */
        flag(s, PG_SCAN_MAY_ANY | PG_SCAN_SET_OPAQUE);
        break;
    case PG_TOK_CHAR:
        if (*s->lx.tok == '(')
            s->depth++;
        else if (*s->lx.tok == ')' && s->depth > 0)
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

/* ---- settings ---------------------------------------------------------------------------------
 */

static bool name_is(const char *name, size_t len, const char *literal)
{
    return strlen(literal) == len && memcmp(name, literal, len) == 0;
}

/* Settings that are not what SET usually is; false: an ordinary one. */
static bool special_setting(struct scanner *s)
{
    char name[PG_SETTING_MAX];
    size_t len = pg_scan_setting((const char *)s->lx.base, s->out, name);
    if (len == 0 || name_is(name, len, "role") || name_is(name, len, "session_authorization"))
        flag(s, PG_SCAN_SET_OPAQUE);
    else if (name_is(name, len, "seed"))
        flag(s, PG_SCAN_SEED);
    else if (len > 12 && memcmp(name, "transaction_", 12) == 0)
        flag(s, PG_SCAN_SET_LOCAL);
    else
        return false;
    return true;
}

/* name [. name]..: remembered in out->name; false when there is none. */
static bool setting_name(struct scanner *s)
{
    const uint8_t *from = s->lx.tok;
    while (is_name(s)) {
        const uint8_t *to = s->lx.p;
        advance(s);
        if (is_char(s, '.')) {
            advance(s);
            continue;
        }
        s->out->name = span_to(s, from, to);
        s->out->alias = NULL;
        return true;
    }
    return false;
}

/* A list of literals, identifiers and numbers up to the end of the statement, and nothing else. */
static bool simple_values(struct scanner *s)
{
    const uint8_t *from = s->lx.tok, *to = from;
    for (;;) {
        bool sign = is_char(s, '-') || is_char(s, '+');
        if (sign)
            advance(s);
        if (s->t != PG_TOK_NUMBER && (sign || (s->t != PG_TOK_STRING && !is_name(s))))
            return false;
        to = s->lx.p;
        advance(s);
        if (!is_char(s, ','))
            break;
        advance(s);
    }
    s->out->value = span_to(s, from, to);
    if (mentions_pg_temp(from, to))
        flag(s, PG_SCAN_TEMP_OBJECT);
    return at_end(s);
}

/* Behind TO: the setting's name is known. */
static void set_value(struct scanner *s)
{
    if (special_setting(s))
        return;
    if (IS(s, "default")) {
        advance(s);
        flag(s, at_end(s) ? PG_SCAN_RESET_ONE : PG_SCAN_SET_OPAQUE);
    } else {
        flag(s, simple_values(s) ? PG_SCAN_SET_SIMPLE : PG_SCAN_SET_OPAQUE);
    }
}

/* The settings with a syntax of their own; false when this is not one of them. */
static bool set_aliased(struct scanner *s)
{
    static const struct {
        const char *word, *second, *setting;
        size_t len, second_len;
    } aliases[] = {
        {"time", "zone", "timezone", 4, 4},
        {"names", NULL, "client_encoding", 5, 0},
        {"schema", NULL, "search_path", 6, 0},
        {"xml", "option", "xmloption", 3, 6},
    };
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (s->t != PG_TOK_WORD || !pg_lex_is(&s->lx, aliases[i].word, aliases[i].len))
            continue;
        struct scanner before = *s;
        const uint8_t *from = s->lx.tok, *to = s->lx.p;
        advance(s);
        if (aliases[i].second != NULL) {
            to = s->lx.p;
            if (s->t == PG_TOK_WORD && pg_lex_is(&s->lx, aliases[i].second, aliases[i].second_len))
                advance(s);
            else
                to = from;
        }
        if (to == from || is_char(s, '=') || IS(s, "to") || is_char(s, '.')) {
            *s = before; /* a setting of that name after all */
            return false;
        }
        s->out->alias = aliases[i].setting;
        s->out->name = span_to(s, from, to);
        return true;
    }
    return false;
}

/* The current word is a keyword that leaves nothing behind, unless it is the first half of a
 * setting's name. */
static void set_local(struct scanner *s)
{
    advance(s);
    flag(s, is_char(s, '.') ? PG_SCAN_SET_OPAQUE : PG_SCAN_SET_LOCAL);
}

static void set_session(struct scanner *s)
{
    if (IS(s, "role") || IS(s, "characteristics") || IS(s, "authorization")) {
        flag(s, PG_SCAN_SET_OPAQUE);
    } else if (IS(s, "transaction") || IS(s, "constraints")) {
        set_local(s);
    } else if (set_aliased(s)) {
        if (IS(s, "local") || (at_end(s) && strcmp(s->out->alias, "client_encoding") == 0))
            flag(s, PG_SCAN_RESET_ONE); /* SET TIME ZONE LOCAL; SET NAMES */
        else
            set_value(s);
    } else if (setting_name(s) && (is_char(s, '=') || IS(s, "to"))) {
        advance(s);
        set_value(s);
    } else {
        flag(s, PG_SCAN_SET_OPAQUE);
    }
}

static void head_set(struct scanner *s)
{
    advance(s);
    if (IS(s, "local")) {
        set_local(s);
        return;
    }
    if (IS(s, "session"))
        advance(s);
    set_session(s);
}

static void head_reset(struct scanner *s)
{
    advance(s);
    if (IS(s, "all")) {
        s->is = EXACT_RESET_ALL;
        flag(s, PG_SCAN_RESET_ALL);
        advance(s);
    } else if (IS(s, "session")) {
        flag(s, PG_SCAN_SET_OPAQUE);
    } else if (IS(s, "transaction")) {
        flag(s, PG_SCAN_SET_LOCAL);
    } else if (set_aliased(s) || setting_name(s)) {
        if (!special_setting(s))
            flag(s, at_end(s) ? PG_SCAN_RESET_ONE : PG_SCAN_SET_OPAQUE);
    } else {
        flag(s, PG_SCAN_SET_OPAQUE);
    }
}

static void head_discard(struct scanner *s)
{
    advance(s);
    if (IS(s, "all")) {
        s->is = EXACT_DISCARD_ALL;
        flag(s, PG_SCAN_DISCARD_ALL);
    } else if (IS(s, "plans")) {
        flag(s, PG_SCAN_DISCARD_PLANS);
    } else if (IS(s, "sequences")) {
        flag(s, PG_SCAN_DISCARD_SEQUENCES);
    } else if (IS(s, "temp") || IS(s, "temporary")) {
        flag(s, PG_SCAN_DISCARD_TEMP);
    }
    advance(s);
}

/* ---- transactions -----------------------------------------------------------------------------
 */

static void head_begin(struct scanner *s)
{
    bool start = IS(s, "start");
    advance(s);
    if (!start || IS(s, "transaction"))
        flag(s, PG_SCAN_TX_BEGIN);
}

/* COMMIT, END, ROLLBACK, ABORT: .. [WORK | TRANSACTION] [AND [NO] CHAIN], .. PREPARED 'x', .. TO x
 */
static void head_end(struct scanner *s)
{
    advance(s);
    if (IS(s, "prepared")) {
        s->kind = PG_KIND_OTHER; /* another session's transaction */
        return;
    }
    if (IS(s, "work") || IS(s, "transaction"))
        advance(s);
    if (IS(s, "to")) {
        s->kind = PG_KIND_ROLLBACK_TO;
        flag(s, PG_SCAN_ROLLBACK_TO);
        return;
    }
    flag(s, PG_SCAN_TX_END);
    if (IS(s, "and")) {
        advance(s);
        if (IS(s, "chain"))
            flag(s, PG_SCAN_TX_BEGIN);
    }
}

/* ---- prepared statements and cursors ----------------------------------------------------------
 */

static void remember_name(struct scanner *s, uint64_t which)
{
    struct pg_scan *out = s->out;
    flag(s, which);
    if (!is_name(s)) { /* U&"..", or what the server will refuse */
        flag(s, PG_SCAN_MAY_ANY);
        return;
    }
    if (out->n_names < PG_SCAN_NAMES_MAX)
        out->names[out->n_names] = (struct pg_scan_name){here(s), which};
    out->n_names++;
    advance(s);
}

static void head_prepare(struct scanner *s)
{
    struct scanner before;
    advance(s);
    before = *s;
    if (IS(s, "transaction")) {
        advance(s);
        if (s->t == PG_TOK_STRING || s->t == PG_TOK_ESCAPE) {
            s->kind = PG_KIND_PREPARE_TRANSACTION;
            flag(s, PG_SCAN_TX_END);
            return;
        }
        *s = before;
    }
    remember_name(s, PG_SCAN_PREPARE);
}

static void head_execute(struct scanner *s)
{
    advance(s);
    remember_name(s, PG_SCAN_EXECUTE);
}

static void head_deallocate(struct scanner *s)
{
    advance(s);
    if (IS(s, "prepare")) {
        struct scanner before = *s;
        advance(s);
        if (at_end(s))
            *s = before; /* the name is "prepare" */
    }
    if (IS(s, "all")) {
        s->is = EXACT_DEALLOCATE_ALL;
        flag(s, PG_SCAN_DEALLOCATE_ALL);
        advance(s);
    } else {
        remember_name(s, PG_SCAN_DEALLOCATE);
    }
}

/* DECLARE c [..] CURSOR [WITH | WITHOUT HOLD] FOR query */
static void head_declare(struct scanner *s)
{
    advance(s);
    advance(s);
    while (!at_end(s) && !IS(s, "for")) {
        bool with = IS(s, "with");
        advance(s);
        if (with && IS(s, "hold"))
            flag(s, PG_SCAN_HOLD_CURSOR);
    }
}

static void head_close(struct scanner *s)
{
    flag(s, PG_SCAN_CLOSE);
    advance(s);
    if (IS(s, "all"))
        s->is = EXACT_CLOSE_ALL;
    if (!at_end(s))
        advance(s);
}

static void head_unlisten(struct scanner *s)
{
    flag(s, PG_SCAN_UNLISTEN);
    advance(s);
    if (is_char(s, '*'))
        s->is = EXACT_UNLISTEN_ALL;
    if (!at_end(s))
        advance(s);
}

/* ---- objects ----------------------------------------------------------------------------------
 */

/* Behind CREATE FUNCTION or PROCEDURE. A body in SQL syntax, BEGIN ATOMIC .. END, has semicolons of
 * its own. Nothing in there happens now, but that the function may be a temporary object. */
static void create_routine(struct scanner *s)
{
    uint64_t before = s->out->flags;
    uint32_t blocks = 0;
    bool label = false; /* what comes is a name whatever it looks like: AS x, y.x */
    while (s->t != PG_TOK_END && (blocks > 0 || s->depth > 0 || !is_char(s, ';'))) {
        bool begin = !label && blocks == 0 && IS(s, "begin");
        if (!label && blocks > 0 && IS(s, "case"))
            blocks++;
        else if (!label && blocks > 0 && IS(s, "end"))
            blocks--;
        label = IS(s, "as") || is_char(s, '.');
        token(s);
        if (begin && IS(s, "atomic"))
            blocks = 1;
    }
    s->out->flags = before | (s->out->flags & PG_SCAN_TEMP_OBJECT);
    if (blocks > 0)
        s->lx.broken = true;
}

/* Behind CREATE .. TABLE and the like: AS EXECUTE, ON COMMIT DROP. */
static void create_relation(struct scanner *s, bool temp)
{
    bool as = false, dropped = false;
    while (s->t != PG_TOK_END && (s->depth > 0 || !is_char(s, ';'))) {
        if (!as && s->depth == 0 && IS(s, "as")) {
            as = true;
            advance(s);
            if (IS(s, "execute"))
                head_execute(s);
        } else if (!as && s->depth == 0 && IS(s, "commit")) {
            advance(s);
            dropped |= IS(s, "drop");
        } else {
            token(s);
        }
    }
    if (temp)
        flag(s, dropped ? PG_SCAN_TEMP_TX : PG_SCAN_TEMP_OBJECT);
}

static void head_create(struct scanner *s)
{
    advance(s);
    if (IS(s, "or")) {
        advance(s);
        advance(s); /* REPLACE */
    }
    if (IS(s, "global") || IS(s, "local"))
        advance(s);
    s->careful = true;
    bool temp = IS(s, "temp") || IS(s, "temporary");
    if (IS(s, "function") || IS(s, "procedure"))
        create_routine(s);
    else
        create_relation(s, temp);
}

/* ---- statements -------------------------------------------------------------------------------
 */

/* The current token is pg_advisory_unlock_all: is it called, and nothing else? Looks, doesn't
 * touch. */
static bool only_unlocks_all(struct scanner s)
{
    advance(&s);
    if (!is_char(&s, '('))
        return false;
    advance(&s);
    if (!is_char(&s, ')'))
        return false;
    advance(&s);
    return at_end(&s);
}

static void head_select(struct scanner *s)
{
    advance(s);
    if (IS(s, "pg_advisory_unlock_all") && only_unlocks_all(*s)) {
        s->is = EXACT_UNLOCK_ALL;
        flag(s, PG_SCAN_ADVISORY_UNLOCK);
        while (!at_end(s))
            advance(s);
    }
}

static void statement(struct scanner *s);

/* EXPLAIN [(options) | ANALYZE | VERBOSE].. statement */
static void head_explain(struct scanner *s)
{
    advance(s);
    while (IS(s, "analyze") || IS(s, "analyse") || IS(s, "verbose"))
        advance(s);
    if (is_char(s, '(')) {
        s->careful = true;
        do
            token(s);
        while (s->depth > 0 && s->t != PG_TOK_END);
    }
    if (!IS(s, "explain"))
        statement(s);
    s->is = EXACT_OTHER;
    s->kind = PG_KIND_EXPLAIN;
}

static const struct head {
    const char *name;
    uint8_t len;
    enum pg_scan_kind kind;
    void (*parse)(struct scanner *s); /* called at the first word; NULL: nothing to look at */
    uint64_t flags;
} heads[] = {
#define H(name, kind, parse, flags)                                                                \
    {                                                                                              \
        name, sizeof(name) - 1, PG_KIND_##kind, parse, flags                                       \
    }
    H("select", SELECT, head_select, 0),
    H("insert", INSERT, NULL, 0), /* the flag comes from words[] */
    H("update", UPDATE, NULL, 0),
    H("delete", DELETE, NULL, 0),
    H("begin", BEGIN, head_begin, 0),
    H("commit", COMMIT, head_end, 0),
    H("rollback", ROLLBACK, head_end, 0),
    H("with", SELECT, NULL, 0),
    H("set", SET, head_set, 0),
    H("execute", EXECUTE, head_execute, 0),
    H("show", SHOW, NULL, 0),
    H("start", BEGIN, head_begin, 0),
    H("end", COMMIT, head_end, 0),
    H("abort", ROLLBACK, head_end, 0),
    H("savepoint", SAVEPOINT, NULL, PG_SCAN_SAVEPOINT),
    H("release", RELEASE, NULL, PG_SCAN_RELEASE),
    H("reset", RESET, head_reset, 0),
    H("discard", DISCARD, head_discard, 0),
    H("prepare", PREPARE, head_prepare, 0),
    H("deallocate", DEALLOCATE, head_deallocate, 0),
    H("declare", DECLARE, head_declare, 0),
    H("fetch", FETCH, NULL, 0),
    H("move", FETCH, NULL, 0),
    H("close", CLOSE, head_close, 0),
    H("listen", LISTEN, NULL, PG_SCAN_LISTEN),
    H("unlisten", UNLISTEN, head_unlisten, 0),
    H("notify", NOTIFY, NULL, 0),
    H("merge", MERGE, NULL, 0),
    H("copy", COPY, NULL, PG_SCAN_COPY | PG_SCAN_SEQ_IMPLICIT),
    H("explain", EXPLAIN, head_explain, 0),
    H("create", CREATE, head_create, 0),
    H("alter", ALTER, NULL, 0),
    H("drop", DROP, NULL, PG_SCAN_DROP),
    H("do", DO, NULL, PG_SCAN_SET_OPAQUE | PG_SCAN_MAY_ANY),
    H("call", CALL, NULL, PG_SCAN_SET_OPAQUE | PG_SCAN_MAY_ANY),
    H("load", LOAD, NULL, PG_SCAN_LOAD),
    H("values", SELECT, NULL, 0),
    H("table", SELECT, NULL, 0),
#undef H
};

/* One statement, from its first token up to the semicolon, which is left to the caller. */
static void statement(struct scanner *s)
{
    s->kind = is_char(s, '(') ? PG_KIND_SELECT : PG_KIND_OTHER;
    s->is = EXACT_OTHER;
    s->depth = 0;
    s->careful = false;
    if (s->t == PG_TOK_WORD) {
        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
            const struct head *h = &heads[i];
            if (*h->name != pg_lex_lower(*s->lx.tok) || !pg_lex_is(&s->lx, h->name, h->len))
                continue;
            s->kind = h->kind;
            flag(s, h->flags);
            if (h->parse != NULL)
                h->parse(s);
            break;
        }
    }
    if (!at_end(s))
        s->is = EXACT_OTHER;
    while (s->t != PG_TOK_END && (s->depth > 0 || !is_char(s, ';')))
        token(s);
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

void pg_scan_text(const char *text, size_t len, unsigned opts, struct pg_scan *out)
{
    const uint8_t *p = (const uint8_t *)text;
    struct scanner s = {.out = out};
    memset(out, 0, sizeof(*out));
    s.lx.base = s.lx.p = p;
    s.lx.end = p + len;
    s.lx.scs = (opts & PG_SCAN_OPT_SCS) != 0;
    advance(&s);
    while (s.t != PG_TOK_END) {
        if (!is_char(&s, ';')) {
            const uint8_t *from = s.lx.tok;
            statement(&s);
            s.exact = s.exact << 4 | s.is;
            if (out->statements++ == 0) {
                out->kind = s.kind;
                out->first = span_to(&s, from, trimmed(from, s.lx.tok));
            }
        }
        if (s.t != PG_TOK_END)
            advance(&s);
    }
    out->deadline = s.lx.deadline;
    out->traceparent = s.lx.traceparent;
    judge(&s, !s.lx.broken && (opts & PG_SCAN_OPT_CUT) == 0 &&
                  ((opts & PG_SCAN_OPT_UNSAFE_ENC) == 0 || !misleading(text, len)));
}
