/* SPDX-License-Identifier: ISC
 * See my_scan.h. Here: what may stand in any statement and tells of the session or changes it.
 */
#include "config.h"

#include "proto/mysql/my_scan_priv.h"

void my_scan_add_name(struct scanner *s, uint64_t what, struct my_span text)
{
    if (s->out->n_names == MY_SCAN_NAMES) {
        note(s, MY_DO_TOO_MUCH);
        return;
    }
    s->out->names[s->out->n_names++] = (struct my_scan_name){text, what};
}

/* A name with its schema, if one is written. */
bool my_scan_take_name(struct scanner *s, struct my_span *out)
{
    if (!is_name(s))
        return false;
    struct my_token first = s->t, last = s->t;
    next(s);
    if (is_char(s, '.')) {
        next(s);
        if (!is_name(s))
            return false;
        last = s->t;
        next(s);
    }
    *out = span(&first, &last);
    return true;
}

void my_scan_skip_words(struct scanner *s, const char *a, const char *b, const char *c)
{
    const char *words[] = {a, b, c};
    for (size_t i = 0; i < 3 && words[i] != NULL; i++)
        if (word_is(s, words[i], (uint32_t)strlen(words[i])))
            next(s);
        else
            return;
}

/* ---- what may stand anywhere --------------------------------------------------------------------
 */

static void add_volatile(struct scanner *s, enum my_volatile kind, const struct my_token *first,
                         const struct my_token *last, const struct my_token *before)
{
    struct my_scan *o = s->out;
    if (o->n_volatiles == MY_SCAN_VOLATILES) {
        note(s, MY_DO_DIAGNOSTICS | MY_DO_TOO_MUCH);
        return;
    }
    bool after_select =
        before->kind == MY_T_WORD && my_word_is(s->lex.text + before->at, before->len, "SELECT", 6);
    bool opens = after_select || (before->kind == MY_T_PUNCT && before->c == ',');
    bool closes = at_end(s) || is_char(s, ',') || IS(s, "FROM") || IS(s, "LIMIT");
    o->volatiles[o->n_volatiles++] = (struct my_scan_volatile){
        .text = span(first, last), .kind = (uint8_t)kind, .item = s->select && opens && closes};
    o->alone = s->select && after_select && before->at == s->start && at_end(s);
}

static bool literal_argument(struct scanner *s, struct my_span *out)
{
    struct my_token arg = s->t;
    if (arg.kind != MY_T_STRING)
        return false;
    next(s);
    *out = span(&arg, &arg);
    return is_char(s, ',') || is_char(s, ')');
}

static void on_lock(struct scanner *s)
{
    struct my_span name;
    note(s, MY_DO_LOCK);
    if (literal_argument(s, &name))
        my_scan_add_name(s, MY_DO_LOCK, name);
    else
        note(s, MY_DO_TOO_MUCH);
}

/* A word with a parenthesis behind it: `fn` is the word, `before` what stood before it. */
static void on_function(struct scanner *s, struct my_token fn, struct my_token before)
{
    static const struct {
        const char *name;
        enum my_volatile kind;
    } functions[] = {{"LAST_INSERT_ID", MY_V_LAST_INSERT_ID},
                     {"ROW_COUNT", MY_V_ROW_COUNT},
                     {"FOUND_ROWS", MY_V_FOUND_ROWS},
                     {"CONNECTION_ID", MY_V_CONNECTION_ID}};
    const char *p = s->lex.text + fn.at;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (!my_word_is(p, fn.len, functions[i].name, (uint32_t)strlen(functions[i].name)))
            continue;
        next(s); /* the parenthesis */
        if (is_char(s, ')')) {
            struct my_token last = s->t;
            next(s);
            add_volatile(s, functions[i].kind, &fn, &last, &before);
        } else if (functions[i].kind == MY_V_LAST_INSERT_ID) {
            note(s, MY_DO_SET_INSERT_ID);
        }
        return;
    }
    if (my_word_is(p, fn.len, "GET_LOCK", 8)) {
        next(s);
        on_lock(s);
    } else if (my_word_is(p, fn.len, "RELEASE_LOCK", 12)) {
        note(s, MY_DO_UNLOCK);
    } else if (my_word_is(p, fn.len, "RELEASE_ALL_LOCKS", 17)) {
        note(s, MY_DO_UNLOCK_ALL);
    }
}

/* @@name, @@session.name: what tells of the statement before. `at` is the @@ token. */
static void on_system(struct scanner *s, struct my_token at, struct my_token before)
{
    next(s);
    struct my_token last = s->t;
    if (IS(s, "SESSION") || IS(s, "LOCAL")) {
        next(s);
        if (is_char(s, '.'))
            next(s);
        last = s->t;
    }
    enum my_volatile kind;
    if (IS(s, "IDENTITY") || IS(s, "LAST_INSERT_ID"))
        kind = MY_V_LAST_INSERT_ID;
    else if (IS(s, "WARNING_COUNT"))
        kind = MY_V_WARNING_COUNT;
    else if (IS(s, "ERROR_COUNT"))
        kind = MY_V_ERROR_COUNT;
    else
        return;
    if (kind == MY_V_WARNING_COUNT || kind == MY_V_ERROR_COUNT)
        note(s, MY_DO_COUNT_WARNINGS);
    next(s);
    add_volatile(s, kind, &at, &last, &before);
}

/* Could this word, by its first letter and length, be one that is looked for anywhere? */
static bool interesting(const char *p, uint32_t n)
{
    switch (p[0] & ~0x20) {
    case 'G':
        return n == 8;
    case 'R':
        return n == 9 || n == 12 || n == 17;
    case 'L':
        return n == 14;
    case 'F':
        return n == 10 || n == 4;
    case 'C':
        return n == 13;
    case 'I':
        return n == 4;
    case 'S':
        return n == 19;
    default:
        return false;
    }
}

/* One token of a statement of any kind; consumes it. */
void my_scan_watch(struct scanner *s)
{
    struct my_token t = s->t, before = s->prev;
    if (t.kind == MY_T_USER) {
        next(s);
        note(s, s->t.kind == MY_T_ASSIGN ? MY_DO_USER_VAR : MY_DO_READ_USER_VAR);
        return;
    }
    if (t.kind == MY_T_SYSTEM) {
        on_system(s, t, before);
        return;
    }
    if (t.kind != MY_T_WORD || !interesting(s->lex.text + t.at, t.len)) {
        next(s);
        return;
    }
    if (IS(s, "SQL_CALC_FOUND_ROWS"))
        note(s, MY_DO_CALC_ROWS);
    bool into = IS(s, "INTO");
    s->from |= IS(s, "FROM");
    next(s);
    if (into && s->t.kind == MY_T_USER)
        note(s, MY_DO_USER_VAR);
    if (is_char(s, '('))
        on_function(s, t, before);
}

void my_scan_watch_rest(struct scanner *s)
{
    while (!at_end(s))
        my_scan_watch(s);
}

/* deadline_ms=N in a comment. */
static void read_comment(struct scanner *s)
{
    static const char key[] = "deadline_ms=";
    struct my_span c = s->lex.comment;
    if (c.len < sizeof key + 4)
        return;
    const char *p = memmem(s->lex.text + c.at, c.len, key, sizeof key - 1);
    if (p == NULL)
        return;
    p += sizeof key - 1;
    if (*p == '\'')
        p++;
    uint32_t ms = 0;
    for (; *p >= '0' && *p <= '9' && ms < 100000000; p++) /* the comment's end stops it */
        ms = ms * 10 + (uint32_t)(*p - '0');
    s->out->deadline_ms = ms;
}

void my_scan(const char *text, size_t n, unsigned opts, struct my_scan *out)
{
    out->flags = 0;
    out->statements = out->n_names = out->n_assigns = out->n_volatiles = 0;
    out->deadline_ms = 0;
    out->alone = out->kill_query = false;
    out->no_table = true;
    struct scanner s = {.lex = {.text = text, .n = (uint32_t)n, .opts = opts}, .out = out};
    next(&s);
    while (s.t.kind != MY_T_END) {
        if (is_char(&s, ';')) {
            next(&s);
            continue;
        }
        out->statements++;
        my_scan_statement(&s);
    }
    if (out->statements > 1)
        out->alone = false;
    if (s.lex.comment.len != 0)
        read_comment(&s);
    if (s.lex.unended && (opts & MY_SCAN_CUT) == 0)
        out->flags |= MY_DO_TOO_MUCH; /* the server will say what is wrong with it */
    if (out->statements == 0)
        out->statements = 1;
}

size_t my_scan_name(const char *text, struct my_span sp, char *to, size_t room)
{
    size_t n = 0;
    char quote = 0;
    for (uint32_t i = 0; i < sp.len; i++) {
        char c = text[sp.at + i];
        if (quote != 0 && c == quote) {
            if (i + 1 < sp.len && text[sp.at + i + 1] == quote)
                i++;
            else {
                quote = 0;
                continue;
            }
        } else if (quote == 0 && (c == '`' || c == '"' || c == '\'')) {
            quote = c;
            continue;
        } else if (quote == 0 && (my_lex_class[(uint8_t)c] & 4u) != 0) {
            continue;
        }
        if (n + 1 >= room)
            return 0;
        to[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    to[n] = '\0';
    return n;
}

bool my_scan_literal(const char *text, struct my_span sp, unsigned opts, char *to, size_t room)
{
    const char *p = text + sp.at;
    size_t n = 0;
    if (sp.len == 0)
        return false;
    if (p[0] != '\'' && p[0] != '"') { /* a word or a number */
        if (sp.len >= room)
            return false;
        for (uint32_t i = 0; i < sp.len; i++)
            if (!my_is_name((uint8_t)p[i]) && p[i] != '.' && p[i] != '-' && p[i] != '+')
                return false;
        memcpy(to, p, sp.len);
        to[sp.len] = '\0';
        return true;
    }
    char quote = p[0];
    for (uint32_t i = 1; i + 1 < sp.len; i++) {
        char c = p[i];
        if (c == quote) {
            i++; /* doubled */
        } else if (c == '\\' && (opts & MY_SCAN_NO_BACKSLASH) == 0) {
            return false; /* rare in a setting: let the server read it */
        }
        if (n + 1 >= room)
            return false;
        to[n++] = c;
    }
    to[n] = '\0';
    return true;
}
