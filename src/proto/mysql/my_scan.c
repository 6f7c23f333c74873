/* SPDX-License-Identifier: ISC
 * See my_scan.h. A statement is read by its first words where these decide (my_scan_heads.c), and
 * every one is watched for functions and variables that tell of the session or change it.
 *
 * Most texts have nothing of the kind. is_plain() knows the simplest of them by their characters;
 * of the others, skim() goes over their words without making tokens of them, and stops where a
 * word's first letter and length, or a character, could be of interest.
 */
#include "config.h"

#include "proto/mysql/my_scan_priv.h"

/* ---- names --------------------------------------------------------------------------------------
 */

void my_scan_add_name(struct scanner *s, uint64_t what, struct my_span text)
{
    if (s->out->n_names == MY_SCAN_NAMES) {
        note(s, MY_DO_TOO_MUCH);
        return;
    }
    s->out->names[s->out->n_names++] = (struct my_scan_name){text, what};
}

bool my_scan_take_name(struct scanner *s, struct my_span *out, struct my_span *last)
{
    if (!is_name(s))
        return false;
    struct my_token first = s->t, end = s->t;
    next(s);
    if (is_char(s, '.')) {
        next(s);
        if (!is_name(s) && s->t.kind != MY_T_NUMBER)
            return false;
        end = s->t;
        next(s);
    }
    *out = span(&first, &end);
    if (last != NULL)
        *last = span(&end, &end);
    return true;
}

void my_scan_skip_words(struct scanner *s, const char *a, const char *b, const char *c)
{
    const char *words[] = {a, b, c};
    for (size_t i = 0; i < 3 && words[i] != NULL; i++)
        if (my_scan_is(s, words[i], (uint32_t)strlen(words[i])))
            next(s);
        else
            return;
}

/* ---- what may stand anywhere --------------------------------------------------------------------
 */

static bool token_is(const struct scanner *s, const struct my_token *t, const char *upper)
{
    return t->kind == MY_T_WORD &&
           my_word_is(s->lex.text + t->at, t->len, upper, (uint32_t)strlen(upper));
}

static bool token_among(const struct scanner *s, const struct my_token *t, const char *const *words)
{
    for (; *words != NULL; words++)
        if (token_is(s, t, *words))
            return true;
    return false;
}

/* What ends the list of a SELECT's columns. */
static const char *const clauses[] = {"FROM",  "INTO",    "WHERE",     "GROUP",  "HAVING",
                                      "ORDER", "LIMIT",   "UNION",     "EXCEPT", "INTERSECT",
                                      "FOR",   "LOCK",    "PROCEDURE", "WINDOW", "OFFSET",
                                      "FETCH", "QUALIFY", "MINUS",     NULL};
/* What may stand between SELECT and the first of them. */
static const char *const modifiers[] = {"SELECT",
                                        "ALL",
                                        "DISTINCT",
                                        "DISTINCTROW",
                                        "HIGH_PRIORITY",
                                        "STRAIGHT_JOIN",
                                        "SQL_SMALL_RESULT",
                                        "SQL_BIG_RESULT",
                                        "SQL_BUFFER_RESULT",
                                        "SQL_NO_CACHE",
                                        "SQL_CACHE",
                                        "SQL_CALC_FOUND_ROWS",
                                        NULL};

static bool ends_item(const struct scanner *s)
{
    return at_end(s) || is_char(s, ',') || is_char(s, ')') || token_among(s, &s->t, clauses);
}

/* Is a name all that follows in this column? */
static bool has_alias(const struct scanner *s)
{
    struct scanner ahead = *s;
    if (IS(&ahead, "AS"))
        next(&ahead);
    if (!is_name(&ahead) && ahead.t.kind != MY_T_STRING)
        return false;
    next(&ahead);
    return ends_item(&ahead);
}

static void add_volatile(struct scanner *s, enum my_volatile kind, const struct my_token *first,
                         const struct my_token *last, const struct my_token *before)
{
    struct my_scan *o = s->out;
    if (s->stored)
        return;
    if (o->n_volatiles == MY_SCAN_VOLATILES) {
        note(s, MY_DO_DIAGNOSTICS | MY_DO_TOO_MUCH);
        return;
    }
    bool in_list = s->list && s->depth == s->list_depth;
    bool opens =
        (before->kind == MY_T_PUNCT && before->c == ',') || token_among(s, before, modifiers);
    bool closes = ends_item(s), named = in_list && opens && !closes && s->depth == 0;
    o->volatiles[o->n_volatiles++] = (struct my_scan_volatile){
        .text = span(first, last),
        .kind = (uint8_t)kind,
        .item = in_list && opens && closes,
        .aliased = named && kind == MY_V_CONNECTION_ID && has_alias(s),
    };
    o->alone = token_is(s, before, "SELECT") && before->at == s->start && at_end(s);
}

/* A parenthesis behind a name that ends at `end`. */
static void on_call(struct scanner *s, uint32_t end)
{
    struct my_span name;
    if (!s->runs || s->stored || !my_scan_is_call(s->lex.text, end, &name))
        return;
    note(s, MY_DO_FUNCTION);
    my_scan_add_call(s, name);
}

/* GET_LOCK( was consumed. */
static void on_lock(struct scanner *s)
{
    struct my_token arg = s->t;
    note(s, MY_DO_LOCK);
    if (arg.kind == MY_T_STRING) {
        next(s);
        if (is_char(s, ',')) {
            my_scan_add_name(s, MY_DO_LOCK, span(&arg, &arg));
            return;
        }
    }
    note(s, MY_DO_TOO_MUCH);
}

/* A name with a parenthesis behind it, which is under s->t; `before` is what stood before it. */
static void on_function(struct scanner *s, const struct my_token *fn, const struct my_token *before)
{
    static const struct {
        const char *name;
        enum my_volatile kind;
    } functions[] = {{"last_insert_id", MY_V_LAST_INSERT_ID},
                     {"row_count", MY_V_ROW_COUNT},
                     {"found_rows", MY_V_FOUND_ROWS},
                     {"connection_id", MY_V_CONNECTION_ID}};
    char name[24];
    if (my_scan_name(s->lex.text, span(fn, fn), name, sizeof name) == 0)
        return;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (strcmp(name, functions[i].name) != 0)
            continue;
        next(s); /* the parenthesis */
        if (is_char(s, ')')) {
            struct my_token last = s->t;
            next(s);
            add_volatile(s, functions[i].kind, fn, &last, before);
        } else if (functions[i].kind == MY_V_LAST_INSERT_ID) {
            note(s, MY_DO_SET_INSERT_ID);
        }
        return;
    }
    if (strcmp(name, "get_lock") == 0) {
        next(s);
        on_lock(s);
    } else if (strcmp(name, "release_lock") == 0) {
        note(s, MY_DO_UNLOCK);
    } else if (strcmp(name, "release_all_locks") == 0) {
        note(s, MY_DO_UNLOCK_ALL);
    }
}

/* @@name, @@session.name: what tells of the statement before. s->t is the @@. */
static void on_system(struct scanner *s)
{
    struct my_token at = s->t, before = s->prev;
    char name[24] = "";
    next(s);
    if (IS(s, "SESSION") || IS(s, "LOCAL")) {
        next(s);
        if (is_char(s, '.'))
            next(s);
    }
    struct my_token last = s->t;
    if (is_name(s))
        (void)my_scan_name(s->lex.text, span(&last, &last), name, sizeof name);
    enum my_volatile kind;
    if (strcmp(name, "identity") == 0 || strcmp(name, "last_insert_id") == 0)
        kind = MY_V_LAST_INSERT_ID;
    else if (strcmp(name, "warning_count") == 0)
        kind = MY_V_WARNING_COUNT;
    else if (strcmp(name, "error_count") == 0)
        kind = MY_V_ERROR_COUNT;
    else
        return;
    if (kind == MY_V_WARNING_COUNT || kind == MY_V_ERROR_COUNT)
        note(s, MY_DO_COUNT_WARNINGS);
    next(s);
    add_volatile(s, kind, &at, &last, &before);
}

/* Bit n: a word of n letters with this first one may be looked for: functions, INTO, SELECT and
 * its modifiers, and the clauses. */
static const uint32_t wanted[32] = {
    ['C' & 31] = 1u << 13,
    ['E' & 31] = 1u << 6,
    ['F' & 31] = 1u << 3 | 1u << 4 | 1u << 5 | 1u << 10,
    ['G' & 31] = 1u << 5 | 1u << 8,
    ['H' & 31] = 1u << 6,
    ['I' & 31] = 1u << 4 | 1u << 9,
    ['L' & 31] = 1u << 4 | 1u << 5 | 1u << 14,
    ['M' & 31] = 1u << 5,
    ['O' & 31] = 1u << 5 | 1u << 6,
    ['P' & 31] = 1u << 9,
    ['Q' & 31] = 1u << 7,
    ['R' & 31] = 1u << 9 | 1u << 12 | 1u << 17,
    ['S' & 31] = 1u << 6 | 1u << 19,
    ['U' & 31] = 1u << 5,
    ['W' & 31] = 1u << 5 | 1u << 6,
};
/* The same once the list of columns is over, or where there is none. */
static const uint32_t wanted_behind[32] = {
    ['C' & 31] = 1u << 13,
    ['F' & 31] = 1u << 4 | 1u << 10,
    ['G' & 31] = 1u << 8,
    ['I' & 31] = 1u << 4,
    ['L' & 31] = 1u << 14,
    ['R' & 31] = 1u << 9 | 1u << 12 | 1u << 17,
    ['S' & 31] = 1u << 6 | 1u << 19,
};

/* No table, though it stands behind FROM. */
static bool is_dual(const char *p, uint32_t i, uint32_t n)
{
    while (i < n && p[i] == ' ')
        i++;
    return i + 4 <= n && my_word_is(p + i, 4, "DUAL", 4) &&
           (i + 4 == n || !my_is_name((uint8_t)p[i + 4]));
}

/* Behind FROM: where the numbers of the server's sessions are to be seen. */
static bool is_look(const char *p, size_t i, size_t n)
{
    static const char *const places[] = {"INFORMATION_SCHEMA", "PERFORMANCE_SCHEMA", "SYS",
                                         "PROCESSLIST"};
    while (i < n && (p[i] == ' ' || p[i] == '`'))
        i++;
    for (size_t k = 0; k < sizeof places / sizeof places[0]; k++) {
        uint32_t len = (uint32_t)strlen(places[k]);
        if (len <= n - i && my_word_is(p + i, len, places[k], len) &&
            (i + len == n || !my_is_name((uint8_t)p[i + len])))
            return true;
    }
    return false;
}

static void on_from(struct scanner *s, uint32_t behind)
{
    s->from |= !is_dual(s->lex.text, behind, s->lex.n);
    if (is_look(s->lex.text, behind, s->lex.n))
        note(s, MY_DO_LOOK);
}

static inline bool is_wanted(const uint32_t *table, const char *p, uint32_t n)
{
    return n < 32 && (table[p[0] & 31] >> n & 1) != 0;
}

/* Where skim() is. */
struct skimmer {
    const char *p;
    uint32_t i, n;
    uint32_t last; /* what was gone over last, and its kind */
    uint8_t kind;
    const uint32_t *table;
};

/* The word at k->i; false: it is for the lexer. */
static inline bool skim_word(struct scanner *s, struct skimmer *k)
{
    const uint8_t *start = (const uint8_t *)k->p + k->i, *end = (const uint8_t *)k->p + k->n;
    const uint8_t *p = start + 1;
    while (p < end && my_is_name(*p))
        p++;
    if (p < end && *p == '\'')
        return false;
    uint32_t len = (uint32_t)(p - start);
    if (is_wanted(k->table, (const char *)start, len)) {
        if (!my_word_is((const char *)start, len, "FROM", 4))
            return false;
        on_from(s, k->i + len);
        if (s->list && s->depth <= s->list_depth) {
            s->list = false;
            k->table = wanted_behind;
        }
    }
    k->last = k->i;
    k->i += len;
    k->kind = MY_T_WORD;
    return true;
}

/* What ends with a quoted name, and surely isn't a function's. */
static inline bool ends_name(const struct skimmer *k, uint32_t end)
{
    if (end < k->n && k->p[end] == ' ')
        return ++end < k->n && (k->p[end] == '=' || my_is_name((uint8_t)k->p[end]));
    return end < k->n && memchr(",.=)", k->p[end], 4) != NULL;
}

/* The quoted text at k->i; false: it is for the lexer. */
static inline bool skim_quoted(struct scanner *s, struct skimmer *k, char quote)
{
    uint32_t end = my_lex_quoted(&s->lex, k->i, quote);
    bool name = quote == '`' || (quote == '"' && (s->lex.opts & MY_SCAN_ANSI_QUOTES) != 0);
    if (name && !ends_name(k, end))
        return false;
    k->last = k->i;
    k->i = end;
    k->kind = name ? MY_T_QUOTED : MY_T_STRING;
    return true;
}

/* Consume the current token and what follows it, up to what could be of interest. */
static void skim(struct scanner *s)
{
    struct skimmer k = {.p = s->lex.text,
                        .i = s->lex.at,
                        .n = s->lex.n,
                        .last = s->t.at,
                        .kind = s->t.kind,
                        .table = s->list ? wanted : wanted_behind};
    uint32_t behind = k.i; /* what was gone over last */
    s->depth += (s->t.c == '(') - (s->t.c == ')');
    while (k.i < k.n) {
        uint8_t c = (uint8_t)k.p[k.i], class = my_lex_class[c];
        if ((class & MY_C_SPACE) != 0) {
            k.i++;
            continue;
        }
        if ((class & (MY_C_NAME | MY_C_DIGIT)) != 0) {
            if (!skim_word(s, &k))
                break;
        } else if ((class & MY_C_SKIM) != 0) {
            if (c == '(' && (k.kind == MY_T_WORD || k.kind == MY_T_QUOTED))
                on_call(s, behind);
            s->depth += (c == '(') - (c == ')');
            k.last = k.i++;
            k.kind = MY_T_PUNCT;
        } else if ((c != '\'' && c != '"' && c != '`') || !skim_quoted(s, &k, (char)c)) {
            break;
        }
        behind = k.i;
    }
    s->prev = (struct my_token){.kind = k.kind, .at = k.last, .len = behind - k.last};
    if (k.kind == MY_T_PUNCT)
        s->prev.c = k.p[k.last];
    s->lex.at = k.i;
    my_lex_next(&s->lex, &s->t);
}

/* Is it behind what an account is named by, as in root@localhost? */
static bool is_host(const struct scanner *s)
{
    uint32_t end = s->prev.at + s->prev.len;
    bool name = s->prev.kind == MY_T_WORD || s->prev.kind == MY_T_QUOTED ||
                s->prev.kind == MY_T_STRING ||
                (s->prev.kind == MY_T_NUMBER && s->lex.text[end - 1] != '.'); /* 24x7@% */
    return name && end == s->t.at && s->prev.len != 0;
}

static void on_user(struct scanner *s)
{
    uint64_t flags = is_host(s)       ? 0
                     : s->gives_users ? MY_DO_USER_VAR | MY_DO_READ_USER_VAR
                                      : MY_DO_READ_USER_VAR;
    next(s);
    note(s, s->t.kind == MY_T_ASSIGN ? MY_DO_USER_VAR : flags);
}

static void follow_list(struct scanner *s)
{
    if (IS(s, "SELECT")) {
        if (!s->list || s->depth <= s->list_depth) {
            s->list = true;
            s->list_depth = s->depth;
        }
        s->stored &= !s->selects;
    } else if (s->list && s->depth <= s->list_depth && token_among(s, &s->t, clauses)) {
        s->list = false;
    }
}

static const char *const openers[] = {"THEN",   "ELSE",  "DO",     "LOOP",
                                      "REPEAT", "BEGIN", "ATOMIC", NULL};

static void on_word(struct scanner *s)
{
    struct my_token t = s->t, before = s->prev;
    bool into = IS(s, "INTO");
    if (IS(s, "FROM"))
        on_from(s, t.at + t.len);
    follow_list(s);
    if (IS(s, "SQL_CALC_FOUND_ROWS"))
        note(s, MY_DO_CALC_ROWS);
    if (IS(s, "RETURNING")) /* of what was put in: no OK with its number comes */
        note(s, MY_DO_SET_INSERT_ID);
    if (s->compound && token_among(s, &t, openers))
        s->restart = true;
    next(s);
    if (into && s->t.kind == MY_T_USER)
        note(s, MY_DO_USER_VAR);
    if (is_char(s, '('))
        on_function(s, &t, &before);
}

static void watch(struct scanner *s, void (*go_on)(struct scanner *s))
{
    struct my_token t = s->t, before = s->prev;
    switch ((enum my_token_kind)t.kind) {
    case MY_T_USER:
        on_user(s);
        break;
    case MY_T_SYSTEM:
        on_system(s);
        break;
    case MY_T_QUOTED:
        next(s);
        if (is_char(s, '('))
            on_function(s, &t, &before);
        break;
    case MY_T_WORD:
        if (s->compound || is_wanted(wanted, s->lex.text + t.at, t.len))
            on_word(s);
        else
            go_on(s);
        break;
    case MY_T_PUNCT:
        if (t.c == '(' && (before.kind == MY_T_WORD || before.kind == MY_T_QUOTED ||
                           before.kind == MY_T_NUMBER)) /* 2fa() */
            on_call(s, before.at + before.len);
        go_on(s);
        break;
    case MY_T_STRING:
    case MY_T_NUMBER:
    case MY_T_ASSIGN:
    case MY_T_END:
        go_on(s);
        break;
    }
}

void my_scan_watch(struct scanner *s)
{
    watch(s, next);
}

void my_scan_watch_rest(struct scanner *s)
{
    /* skim() knows nothing of the bytes' upper half but that they belong to names */
    bool slow = s->compound || (s->lex.opts >> MY_SCAN_CHARSET_SHIFT & 7u) != MY_CHARSET_PLAIN;
    while (!at_end(s) && !s->restart)
        watch(s, slow || s->lex.executed ? next : skim);
}

/* ---- the text -----------------------------------------------------------------------------------
 */

static void read_text(struct scanner *s)
{
    my_lex_next(&s->lex, &s->t);
    while (s->t.kind != MY_T_END) {
        if (is_char(s, ';')) {
            next(s);
            continue;
        }
        if (++s->out->statements == 2)
            s->out->second = s->t.at;
        s->start = s->t.at;
        s->depth = 0;
        s->list = s->stored = s->selects = s->gives_users = s->restart = s->rows = s->from =
            s->runs = false;
        my_scan_statement(s);
    }
}

/* What the rest of a text that is not all there might do. Of rows that are put in or asked for
 * nothing is believed but that they go on. */
static void suspect_rest(struct scanner *s)
{
    struct my_scan *o = s->out;
    if ((o->flags & MY_DO_SHOW_WARNINGS) != 0)
        o->flags = (o->flags & ~(MY_DO_SHOW_WARNINGS | MY_DO_SHOW_ERRORS)) | MY_DO_DIAGNOSTICS;
    o->alone = o->no_table = false;
    if (!s->rows || s->compound)
        o->flags |= MY_DO_ANYTHING;
}

/* Another server would have skipped comments of some version: what it would do then counts too. */
__attribute__((noinline)) static void read_again(const char *text, size_t n, unsigned opts,
                                                 struct my_scan *out)
{
    struct my_scan other;
    my_scan(text, n, opts | MY_SCAN_SKIP_VERSIONED, &other);
    if ((other.flags & ~out->flags) != 0)
        out->flags |= other.flags | MY_DO_ANYTHING;
}

/* Characters that every text of interest has one of, wherever quotes and comments may lie in it. Of
 * the server's functions it is the underscore, with a letter on either side. */
static const uint8_t telling[256] = {
    ['@'] = 1, [';'] = 1, ['#'] = 1, ['-'] = 1, ['/'] = 1,
    ['_'] = 1, ['f'] = 1, ['F'] = 1, ['('] = 1,
};

static bool is_from(const char *p, size_t i, size_t n)
{
    return i + 4 < n && my_word_is(p + i, 4, "FROM", 4) && !my_is_name((uint8_t)p[i - 1]) &&
           !my_is_name((uint8_t)p[i + 4]) && !is_dual(p, (uint32_t)i + 4, (uint32_t)n);
}

/* Is the character at i, which tells, harmless for what stands beside it? */
static bool tells_nothing(const char *p, size_t i, size_t n)
{
    char after = i + 1 < n ? p[i + 1] : ' ';
    struct my_span name;
    if (p[i] == '(')
        return !my_scan_is_call(p, (uint32_t)i, &name);
    if (p[i] == '-' || p[i] == '/')
        return after != (p[i] == '-' ? '-' : '*');
    if (p[i] != '_')
        return false;
    switch (p[i - 1] & ~0x20) {
    case 'C': /* CALC_F */
    case 'D': /* FOUND_R */
    case 'E': /* RELEASE_L, RELEASE_A */
    case 'L': /* ALL_L, SQL_C */
    case 'N': /* CONNECTION_I */
    case 'T': /* GET_L, INSERT_I, LAST_I */
    case 'W': /* ROW_C */
        return memchr("ACFILR", after & ~0x20, 6) == NULL;
    default:
        return true;
    }
}

/* Rows of tables asked for or changed, and nothing that would have to be looked at more closely. */
static bool is_plain(const char *text, size_t n, unsigned opts)
{
    static const char *const heads[] = {"SELECT", "UPDATE", "INSERT", "DELETE"};
    const unsigned others = MY_SCAN_CUT | 7u << MY_SCAN_CHARSET_SHIFT;
    size_t head = 0;
    if (n < 7 || text[6] != ' ' || (opts & others) != 0)
        return false;
    while (head < 4 && !my_word_is(text, 6, heads[head], 6))
        head++;
    if (head == 4)
        return false;
    bool from = head != 0;
    for (size_t i = 7; i < n; i++) {
        if (telling[(uint8_t)text[i]] == 0)
            continue;
        bool may_be_from = (text[i] & ~0x20) == 'F';
        bool here = may_be_from && is_from(text, i, n);
        from |= here;
        if (here ? is_look(text, i + 4, n) : !may_be_from && !tells_nothing(text, i, n))
            return false;
    }
    return from;
}

void my_scan(const char *text, size_t n, unsigned opts, struct my_scan *out)
{
    out->flags = 0;
    out->statements = out->n_names = out->n_assigns = out->n_volatiles = 0;
    out->kill_id = out->calls = 0;
    out->second = UINT32_MAX;
    out->limit_from = out->limit = 0;
    out->alone = out->kill_query = out->no_table = false;
    if (is_plain(text, n, opts)) {
        out->statements = 1;
        return;
    }
    out->no_table = true;
    struct scanner s = {.lex = {.text = text, .n = (uint32_t)n, .opts = opts}, .out = out};
    read_text(&s);
    if (out->statements > 1)
        out->alone = false;
    if (out->statements == 0)
        out->statements = 1;
    if ((opts & MY_SCAN_CUT) != 0)
        suspect_rest(&s);
    else if (s.lex.unended)
        out->flags |= MY_DO_TOO_MUCH; /* the server will say what is wrong with it */
    if (s.lex.doubtful)
        out->flags |= MY_DO_ANYTHING;
    if (s.lex.versioned && opts >> MY_SCAN_VERSION_SHIFT == 0 &&
        (opts & MY_SCAN_SKIP_VERSIONED) == 0)
        read_again(text, n, opts, out);
}
