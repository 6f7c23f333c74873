/* SPDX-License-Identifier: ISC
 * See my_scan.h. A statement is read by its first words where these decide (SET, CREATE, LOCK,
 * ...), and every one is watched for functions and variables that tell of the session or change it.
 */
#include "config.h"

#include "proto/mysql/my_lex.h"

#include <ctype.h>
#include <stdlib.h>

struct scanner {
    struct my_lexer lex;
    struct my_token t, prev; /* the current token and the one before it */
    struct my_scan *out;
    uint32_t start; /* of the statement */
    bool select;    /* it begins with SELECT */
};

#define IS(s, word) word_is(s, word, sizeof(word) - 1)

static bool word_is(const struct scanner *s, const char *upper, uint32_t len)
{
    return s->t.kind == MY_T_WORD && my_word_is(s->lex.text + s->t.at, s->t.len, upper, len);
}

static bool is_char(const struct scanner *s, char c)
{
    return s->t.kind == MY_T_PUNCT && s->t.c == c;
}

static void next(struct scanner *s)
{
    s->prev = s->t;
    my_lex_next(&s->lex, &s->t);
}

static bool at_end(const struct scanner *s)
{
    return s->t.kind == MY_T_END || is_char(s, ';');
}

static bool is_name(const struct scanner *s)
{
    return s->t.kind == MY_T_WORD || s->t.kind == MY_T_QUOTED;
}

static struct my_span span(const struct my_token *from, const struct my_token *to)
{
    return (struct my_span){from->at, to->at + to->len - from->at};
}

static void note(struct scanner *s, uint64_t flag)
{
    s->out->flags |= flag;
}

static void add_name(struct scanner *s, uint64_t what, struct my_span text)
{
    if (s->out->n_names == MY_SCAN_NAMES) {
        note(s, MY_DO_TOO_MUCH);
        return;
    }
    s->out->names[s->out->n_names++] = (struct my_scan_name){text, what};
}

/* A name with its schema, if one is written. */
static bool take_name(struct scanner *s, struct my_span *out)
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

static void skip_words(struct scanner *s, const char *a, const char *b, const char *c)
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
        add_name(s, MY_DO_LOCK, name);
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
        return n == 10;
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
static void watch(struct scanner *s)
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
    next(s);
    if (into && s->t.kind == MY_T_USER)
        note(s, MY_DO_USER_VAR);
    if (is_char(s, '('))
        on_function(s, t, before);
}

static void watch_rest(struct scanner *s)
{
    while (!at_end(s))
        watch(s);
}

/* ---- SET ----------------------------------------------------------------------------------------
 */

static bool is_virtual(const char *p, uint32_t n)
{
    static const char *const kept[] = {"WAIT_TIMEOUT",
                                       "INTERACTIVE_TIMEOUT",
                                       "NET_READ_TIMEOUT",
                                       "NET_WRITE_TIMEOUT",
                                       "IDLE_TRANSACTION_TIMEOUT",
                                       "IDLE_READONLY_TRANSACTION_TIMEOUT",
                                       "IDLE_WRITE_TRANSACTION_TIMEOUT"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (my_word_is(p, n, kept[i], (uint32_t)strlen(kept[i])))
            return true;
    return n > 14 && my_word_is(p, 14, "SESSION_TRACK_", 14);
}

/* An expression up to a comma of this level or the statement's end. */
static void take_value(struct scanner *s, struct my_scan_assign *a)
{
    struct my_token first = s->t, last = s->t;
    int depth = 0;
    uint32_t tokens = 0;
    bool negative = is_char(s, '-') || is_char(s, '+');
    while (!at_end(s) && (depth > 0 || !is_char(s, ','))) {
        depth += is_char(s, '(') ? 1 : is_char(s, ')') ? -1 : 0;
        last = s->t;
        tokens++;
        uint32_t at = s->t.at;
        watch(s);
        if (s->prev.at > at) { /* watch() may take more than one */
            last = s->prev;
            tokens++;
        }
    }
    a->value = tokens != 0 ? span(&first, &last) : (struct my_span){s->t.at, 0};
    if (tokens == 1 && (first.kind == MY_T_STRING || first.kind == MY_T_NUMBER))
        a->kind = MY_VALUE_LITERAL;
    else if (tokens == 2 && negative && last.kind == MY_T_NUMBER)
        a->kind = MY_VALUE_LITERAL;
    else if (tokens == 1 && first.kind == MY_T_WORD)
        a->kind = my_word_is(s->lex.text + first.at, first.len, "DEFAULT", 7) ? MY_VALUE_DEFAULT
                                                                              : MY_VALUE_WORD;
    else
        a->kind = MY_VALUE_EXPRESSION;
}

static void add_assign(struct scanner *s, const struct my_scan_assign *a)
{
    if (s->out->n_assigns == MY_SCAN_ASSIGNS) {
        note(s, MY_DO_TOO_MUCH | MY_DO_SET_OTHER);
        return;
    }
    s->out->assigns[s->out->n_assigns++] = *a;
    if (a->is_virtual)
        note(s, MY_DO_VIRTUAL);
}

/* SET NAMES x [COLLATE y], SET CHARACTER SET x. */
static void set_names(struct scanner *s, bool names)
{
    struct my_scan_assign a = {.scope = MY_SCOPE_NAMES, .kind = MY_VALUE_WORD};
    a.name = span(&s->t, &s->t);
    if (IS(s, "DEFAULT"))
        a.kind = MY_VALUE_DEFAULT;
    next(s);
    if (names && IS(s, "COLLATE")) {
        next(s);
        a.value = span(&s->t, &s->t);
        next(s);
    }
    if (names)
        add_assign(s, &a);
    else
        note(s, MY_DO_SET_OTHER);
}

/* Scope words before a name: @@session., SESSION, GLOBAL, ... */
static enum my_scope take_scope(struct scanner *s)
{
    bool system = s->t.kind == MY_T_SYSTEM;
    if (system)
        next(s);
    struct my_token word = s->t;
    bool session = IS(s, "SESSION") || IS(s, "LOCAL");
    bool global = IS(s, "GLOBAL") || IS(s, "PERSIST") || IS(s, "PERSIST_ONLY");
    if (!session && !global)
        return MY_SCOPE_SESSION;
    (void)word;
    next(s);
    if (system && is_char(s, '.'))
        next(s);
    return global ? MY_SCOPE_GLOBAL : MY_SCOPE_SESSION;
}

static bool is_transaction(struct scanner *s)
{
    return IS(s, "TRANSACTION");
}

/* One assignment; false: not understood. */
static bool set_one(struct scanner *s)
{
    struct my_scan_assign a = {.scope = MY_SCOPE_SESSION};
    if (IS(s, "NAMES")) {
        next(s);
        set_names(s, true);
        return true;
    }
    if (IS(s, "CHARACTER") || IS(s, "CHARSET")) {
        skip_words(s, "CHARACTER", "SET", NULL);
        skip_words(s, "CHARSET", NULL, NULL);
        set_names(s, false);
        return true;
    }
    if (s->t.kind == MY_T_USER) {
        a.scope = MY_SCOPE_USER;
        a.name = span(&s->t, &s->t);
        note(s, MY_DO_USER_VAR);
        next(s);
    } else {
        bool at = s->t.kind == MY_T_SYSTEM;
        struct my_token before = s->t;
        a.scope = (uint8_t)take_scope(s);
        if (is_transaction(s)) { /* SET SESSION TRANSACTION: reported by the server */
            if (a.scope == MY_SCOPE_SESSION && before.at == s->t.at)
                note(s, MY_DO_SET_NEXT);
            note(s, MY_DO_SET_OTHER);
            watch_rest(s);
            return true;
        }
        /* SET @@transaction_isolation without SESSION holds for the next transaction only */
        if (at && before.at + 2 == s->t.at &&
            (IS(s, "TRANSACTION_ISOLATION") || IS(s, "TX_ISOLATION") ||
             IS(s, "TRANSACTION_READ_ONLY") || IS(s, "TX_READ_ONLY")))
            note(s, MY_DO_SET_NEXT);
        if (!take_name(s, &a.name))
            return false;
    }
    a.is_virtual = a.scope == MY_SCOPE_SESSION && is_virtual(s->lex.text + a.name.at, a.name.len);
    if (!is_char(s, '=') && s->t.kind != MY_T_ASSIGN)
        return false;
    next(s);
    take_value(s, &a);
    char name[24];
    if (a.scope == MY_SCOPE_SESSION && a.name.len < sizeof name &&
        my_scan_name(s->lex.text, a.name, name, sizeof name) != 0 &&
        strcmp(name, "weir.deadline") == 0) {
        note(s, MY_DO_DEADLINE);
        s->out->deadline_ms = (uint32_t)strtoul(s->lex.text + a.value.at, NULL, 10);
    }
    add_assign(s, &a);
    return true;
}

static void on_set(struct scanner *s)
{
    next(s);
    if (IS(s, "STATEMENT") || IS(s, "PASSWORD") || IS(s, "ROLE") || IS(s, "RESOURCE")) {
        if (IS(s, "ROLE"))
            note(s, MY_DO_TOO_MUCH); /* a role is a state that nothing reports */
        note(s, MY_DO_SET_OTHER);
        watch_rest(s);
        return;
    }
    if (IS(s, "DEFAULT")) { /* SET DEFAULT ROLE: for later sessions */
        watch_rest(s);
        return;
    }
    note(s, MY_DO_SET);
    for (;;) {
        if (!set_one(s)) {
            note(s, MY_DO_SET_OTHER);
            watch_rest(s);
            return;
        }
        if (!is_char(s, ','))
            break;
        next(s);
    }
    if (!at_end(s)) {
        note(s, MY_DO_SET_OTHER);
        watch_rest(s);
    }
}

/* ---- other statements ---------------------------------------------------------------------------
 */

static void on_create(struct scanner *s)
{
    next(s);
    skip_words(s, "OR", "REPLACE", NULL);
    if (IS(s, "TEMPORARY")) {
        struct my_span name;
        next(s);
        skip_words(s, "TABLE", NULL, NULL);
        skip_words(s, "SEQUENCE", NULL, NULL);
        skip_words(s, "IF", "NOT", "EXISTS");
        note(s, MY_DO_TEMP_CREATE);
        if (take_name(s, &name))
            add_name(s, MY_DO_TEMP_CREATE, name);
        else
            note(s, MY_DO_TOO_MUCH);
    }
    watch_rest(s);
}

static void on_drop(struct scanner *s)
{
    struct my_span name;
    next(s);
    if (IS(s, "PREPARE")) {
        next(s);
        note(s, MY_DO_DEALLOCATE);
        if (take_name(s, &name))
            add_name(s, MY_DO_DEALLOCATE, name);
        watch_rest(s);
        return;
    }
    skip_words(s, "TEMPORARY", NULL, NULL);
    if (IS(s, "TABLE") || IS(s, "TABLES") || IS(s, "SEQUENCE")) {
        next(s);
        skip_words(s, "IF", "EXISTS", NULL);
        note(s, MY_DO_DROP_TABLE);
        while (take_name(s, &name)) {
            add_name(s, MY_DO_DROP_TABLE, name);
            if (!is_char(s, ','))
                break;
            next(s);
        }
    }
    watch_rest(s);
}

static void on_named(struct scanner *s, uint64_t what)
{
    struct my_span name;
    next(s);
    skip_words(s, "PREPARE", NULL, NULL); /* DEALLOCATE PREPARE x */
    note(s, what);
    if (take_name(s, &name))
        add_name(s, what, name);
    else
        note(s, MY_DO_TOO_MUCH);
    watch_rest(s);
}

static void on_handler(struct scanner *s)
{
    struct my_span name;
    next(s);
    if (take_name(s, &name)) {
        uint64_t what = IS(s, "OPEN")    ? MY_DO_HANDLER_OPEN
                        : IS(s, "CLOSE") ? MY_DO_HANDLER_CLOSE
                                         : 0;
        note(s, what);
        if (what == MY_DO_HANDLER_OPEN) { /* OPEN [AS] alias: closed by that */
            next(s);
            skip_words(s, "AS", NULL, NULL);
            struct my_span alias;
            if (take_name(s, &alias))
                name = alias;
        }
        if (what != 0)
            add_name(s, what, name);
    }
    watch_rest(s);
}

static void on_lock_word(struct scanner *s)
{
    next(s);
    note(s, IS(s, "INSTANCE") ? MY_DO_LOCK_SERVER : MY_DO_LOCK_TABLES);
    watch_rest(s);
}

static void on_unlock_word(struct scanner *s)
{
    next(s);
    note(s, IS(s, "INSTANCE") ? MY_DO_UNLOCK_SERVER : MY_DO_UNLOCK_TABLES);
    watch_rest(s);
}

static void on_flush(struct scanner *s)
{
    note(s, MY_DO_FLUSH);
    while (!at_end(s)) {
        if (IS(s, "LOCK") || IS(s, "EXPORT"))
            note(s, MY_DO_LOCK_TABLES);
        next(s);
    }
}

static void on_backup(struct scanner *s)
{
    next(s);
    bool stage = IS(s, "STAGE"), lock = IS(s, "LOCK"), unlock = IS(s, "UNLOCK");
    next(s);
    if (unlock || (stage && IS(s, "END")))
        note(s, MY_DO_UNLOCK_SERVER);
    else if (stage || lock)
        note(s, MY_DO_LOCK_SERVER);
    watch_rest(s);
}

static void on_show(struct scanner *s)
{
    next(s);
    bool warnings = IS(s, "WARNINGS");
    if (warnings || IS(s, "ERRORS")) {
        next(s);
        note(s, warnings && at_end(s) ? MY_DO_SHOW_WARNINGS : MY_DO_DIAGNOSTICS);
    } else if (IS(s, "COUNT")) {
        note(s, MY_DO_DIAGNOSTICS);
    }
    watch_rest(s);
}

static void on_kill(struct scanner *s)
{
    struct my_scan *o = s->out;
    next(s);
    skip_words(s, "HARD", NULL, NULL);
    skip_words(s, "SOFT", NULL, NULL);
    o->kill_query = IS(s, "QUERY");
    if (IS(s, "QUERY") || IS(s, "CONNECTION"))
        next(s);
    if (s->t.kind == MY_T_NUMBER && s->t.len < 20) {
        char digits[24];
        memcpy(digits, s->lex.text + s->t.at, s->t.len);
        digits[s->t.len] = '\0';
        char *end;
        o->kill_id = strtoull(digits, &end, 10);
        next(s);
        if (*end == '\0' && at_end(s))
            note(s, MY_DO_KILL);
    }
    watch_rest(s);
}

/* COMMIT and ROLLBACK; those with a tail are the server's. */
static void on_end(struct scanner *s, uint64_t what)
{
    next(s);
    skip_words(s, "WORK", NULL, NULL);
    if (at_end(s))
        note(s, what);
    watch_rest(s);
}

static void on_start(struct scanner *s)
{
    next(s);
    if (IS(s, "TRANSACTION"))
        note(s, MY_DO_BEGIN | MY_DO_UNLOCK_TABLES);
    watch_rest(s);
}

static void on_begin(struct scanner *s)
{
    next(s);
    skip_words(s, "WORK", NULL, NULL);
    if (at_end(s))
        note(s, MY_DO_BEGIN | MY_DO_UNLOCK_TABLES);
    else
        note(s, MY_DO_CALL); /* BEGIN NOT ATOMIC */
    watch_rest(s);
}

static void on_use(struct scanner *s)
{
    struct my_span name;
    next(s);
    note(s, MY_DO_USE);
    if (take_name(s, &name))
        add_name(s, MY_DO_USE, name);
    watch_rest(s);
}

static void plain(struct scanner *s, uint64_t what)
{
    note(s, what);
    watch_rest(s);
}

static void on_alter(struct scanner *s)
{
    next(s);
    skip_words(s, "ONLINE", NULL, NULL);
    skip_words(s, "IGNORE", NULL, NULL);
    plain(s, IS(s, "TABLE") ? MY_DO_RENAME_TABLE : 0);
}

static void on_get(struct scanner *s)
{
    next(s);
    plain(s, MY_DO_DIAGNOSTICS | MY_DO_USER_VAR); /* GET [CURRENT] DIAGNOSTICS @x = ... */
}

static void statement(struct scanner *s)
{
    const char *p = s->lex.text + s->t.at;
    s->start = s->t.at;
    s->select = false;
    if (s->t.kind != MY_T_WORD) {
        watch_rest(s);
        return;
    }
    switch (p[0] & ~0x20) {
    case 'S':
        s->select = IS(s, "SELECT");
        if (IS(s, "SET"))
            on_set(s);
        else if (IS(s, "SHOW"))
            on_show(s);
        else if (IS(s, "START"))
            on_start(s);
        break;
    case 'C':
        if (IS(s, "CREATE"))
            on_create(s);
        else if (IS(s, "COMMIT"))
            on_end(s, MY_DO_COMMIT);
        else if (IS(s, "CALL"))
            plain(s, MY_DO_CALL);
        break;
    case 'D':
        if (IS(s, "DROP"))
            on_drop(s);
        else if (IS(s, "DEALLOCATE"))
            on_named(s, MY_DO_DEALLOCATE);
        break;
    case 'A':
        if (IS(s, "ALTER"))
            on_alter(s);
        break;
    case 'B':
        if (IS(s, "BEGIN"))
            on_begin(s);
        else if (IS(s, "BACKUP"))
            on_backup(s);
        break;
    case 'E':
        if (IS(s, "EXECUTE"))
            plain(s, MY_DO_CALL);
        break;
    case 'F':
        if (IS(s, "FLUSH"))
            on_flush(s);
        break;
    case 'G':
        if (IS(s, "GET"))
            on_get(s);
        break;
    case 'H':
        if (IS(s, "HANDLER"))
            on_handler(s);
        break;
    case 'K':
        if (IS(s, "KILL"))
            on_kill(s);
        break;
    case 'L':
        if (IS(s, "LOCK"))
            on_lock_word(s);
        break;
    case 'P':
        if (IS(s, "PREPARE"))
            on_named(s, MY_DO_PREPARE);
        break;
    case 'R':
        if (IS(s, "ROLLBACK"))
            on_end(s, MY_DO_ROLLBACK);
        else if (IS(s, "RENAME"))
            plain(s, MY_DO_RENAME_TABLE);
        break;
    case 'U':
        if (IS(s, "USE"))
            on_use(s);
        else if (IS(s, "UNLOCK"))
            on_unlock_word(s);
        break;
    case 'X':
        if (IS(s, "XA"))
            plain(s, MY_DO_XA);
        break;
    default:
        break;
    }
    watch_rest(s);
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
    struct scanner s = {.lex = {.text = text, .n = (uint32_t)n, .opts = opts}, .out = out};
    next(&s);
    while (s.t.kind != MY_T_END) {
        if (is_char(&s, ';')) {
            next(&s);
            continue;
        }
        out->statements++;
        statement(&s);
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
