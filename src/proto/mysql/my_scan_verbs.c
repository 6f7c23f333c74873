/* SPDX-License-Identifier: ISC
 * See my_scan.h. Here: statements that are read by their first words.
 */
#include "config.h"

#include "proto/mysql/my_scan_priv.h"

#include <stdlib.h>

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
        my_scan_watch(s);
        if (s->prev.at > at) { /* my_scan_watch() may take more than one */
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
        my_scan_skip_words(s, "CHARACTER", "SET", NULL);
        my_scan_skip_words(s, "CHARSET", NULL, NULL);
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
            my_scan_watch_rest(s);
            return true;
        }
        /* SET @@transaction_isolation without SESSION holds for the next transaction only */
        if (at && before.at + 2 == s->t.at &&
            (IS(s, "TRANSACTION_ISOLATION") || IS(s, "TX_ISOLATION") ||
             IS(s, "TRANSACTION_READ_ONLY") || IS(s, "TX_READ_ONLY")))
            note(s, MY_DO_SET_NEXT);
        if (!my_scan_take_name(s, &a.name))
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

static void on_set(struct scanner *s, uint64_t what)
{
    (void)what;
    next(s);
    if (IS(s, "STATEMENT") || IS(s, "PASSWORD") || IS(s, "ROLE") || IS(s, "RESOURCE")) {
        if (IS(s, "ROLE"))
            note(s, MY_DO_TOO_MUCH); /* a role is a state that nothing reports */
        note(s, MY_DO_SET_OTHER);
        my_scan_watch_rest(s);
        return;
    }
    if (IS(s, "DEFAULT")) { /* SET DEFAULT ROLE: for later sessions */
        my_scan_watch_rest(s);
        return;
    }
    note(s, MY_DO_SET);
    for (;;) {
        if (!set_one(s)) {
            note(s, MY_DO_SET_OTHER);
            my_scan_watch_rest(s);
            return;
        }
        if (!is_char(s, ','))
            break;
        next(s);
    }
    if (!at_end(s)) {
        note(s, MY_DO_SET_OTHER);
        my_scan_watch_rest(s);
    }
}

/* ---- other statements ---------------------------------------------------------------------------
 */

static void on_create(struct scanner *s, uint64_t what)
{
    (void)what;
    next(s);
    my_scan_skip_words(s, "OR", "REPLACE", NULL);
    if (IS(s, "TEMPORARY")) {
        struct my_span name;
        next(s);
        my_scan_skip_words(s, "TABLE", NULL, NULL);
        my_scan_skip_words(s, "SEQUENCE", NULL, NULL);
        my_scan_skip_words(s, "IF", "NOT", "EXISTS");
        note(s, MY_DO_TEMP_CREATE);
        if (my_scan_take_name(s, &name))
            my_scan_add_name(s, MY_DO_TEMP_CREATE, name);
        else
            note(s, MY_DO_TOO_MUCH);
    }
    my_scan_watch_rest(s);
}

static void on_drop(struct scanner *s, uint64_t what)
{
    (void)what;
    struct my_span name;
    next(s);
    if (IS(s, "PREPARE")) {
        next(s);
        note(s, MY_DO_DEALLOCATE);
        if (my_scan_take_name(s, &name))
            my_scan_add_name(s, MY_DO_DEALLOCATE, name);
        my_scan_watch_rest(s);
        return;
    }
    my_scan_skip_words(s, "TEMPORARY", NULL, NULL);
    if (IS(s, "TABLE") || IS(s, "TABLES") || IS(s, "SEQUENCE")) {
        next(s);
        my_scan_skip_words(s, "IF", "EXISTS", NULL);
        note(s, MY_DO_DROP_TABLE);
        while (my_scan_take_name(s, &name)) {
            my_scan_add_name(s, MY_DO_DROP_TABLE, name);
            if (!is_char(s, ','))
                break;
            next(s);
        }
    }
    my_scan_watch_rest(s);
}

static void on_named(struct scanner *s, uint64_t what)
{
    struct my_span name;
    next(s);
    my_scan_skip_words(s, "PREPARE", NULL, NULL); /* DEALLOCATE PREPARE x */
    note(s, what);
    if (my_scan_take_name(s, &name))
        my_scan_add_name(s, what, name);
    else
        note(s, MY_DO_TOO_MUCH);
    my_scan_watch_rest(s);
}

static void on_handler(struct scanner *s, uint64_t what)
{
    (void)what;
    struct my_span name;
    next(s);
    if (my_scan_take_name(s, &name)) {
        what = IS(s, "OPEN") ? MY_DO_HANDLER_OPEN : IS(s, "CLOSE") ? MY_DO_HANDLER_CLOSE : 0;
        note(s, what);
        if (what == MY_DO_HANDLER_OPEN) { /* OPEN [AS] alias: closed by that */
            next(s);
            my_scan_skip_words(s, "AS", NULL, NULL);
            struct my_span alias;
            if (my_scan_take_name(s, &alias))
                name = alias;
        }
        if (what != 0)
            my_scan_add_name(s, what, name);
    }
    my_scan_watch_rest(s);
}

static void on_lock_word(struct scanner *s, uint64_t what)
{
    (void)what;
    next(s);
    note(s, IS(s, "INSTANCE") ? MY_DO_LOCK_SERVER : MY_DO_LOCK_TABLES);
    my_scan_watch_rest(s);
}

static void on_unlock_word(struct scanner *s, uint64_t what)
{
    (void)what;
    next(s);
    note(s, IS(s, "INSTANCE") ? MY_DO_UNLOCK_SERVER : MY_DO_UNLOCK_TABLES);
    my_scan_watch_rest(s);
}

static void on_flush(struct scanner *s, uint64_t what)
{
    (void)what;
    note(s, MY_DO_FLUSH);
    while (!at_end(s)) {
        if (IS(s, "LOCK") || IS(s, "EXPORT"))
            note(s, MY_DO_LOCK_TABLES);
        next(s);
    }
}

static void on_backup(struct scanner *s, uint64_t what)
{
    (void)what;
    next(s);
    bool stage = IS(s, "STAGE"), lock = IS(s, "LOCK"), unlock = IS(s, "UNLOCK");
    next(s);
    if (unlock || (stage && IS(s, "END")))
        note(s, MY_DO_UNLOCK_SERVER);
    else if (stage || lock)
        note(s, MY_DO_LOCK_SERVER);
    my_scan_watch_rest(s);
}

/* SHOW COUNT(*) WARNINGS, SHOW COUNT(*) ERRORS */
static void on_count(struct scanner *s)
{
    struct my_scan *o = s->out;
    while (!at_end(s) && !IS(s, "WARNINGS") && !IS(s, "ERRORS"))
        next(s);
    bool errors = IS(s, "ERRORS");
    note(s, MY_DO_COUNT_WARNINGS);
    if (at_end(s) || o->n_volatiles == MY_SCAN_VOLATILES)
        return;
    o->volatiles[o->n_volatiles++] = (struct my_scan_volatile){
        .text = {s->start, s->t.at + s->t.len - s->start},
        .kind = errors ? MY_V_ERROR_COUNT : MY_V_WARNING_COUNT,
        .item = true,
        .whole = true,
    };
    next(s);
}

static bool take_number(struct scanner *s, uint32_t *out)
{
    char digits[12] = "";
    if (s->t.kind != MY_T_NUMBER || s->t.len >= sizeof digits)
        return false;
    memcpy(digits, s->lex.text + s->t.at, s->t.len);
    *out = (uint32_t)strtoul(digits, NULL, 10);
    next(s);
    return true;
}

/* LIMIT [offset,] count */
static void take_limit(struct scanner *s)
{
    struct my_scan *o = s->out;
    o->limit_from = 0;
    o->limit = UINT32_MAX;
    if (!IS(s, "LIMIT"))
        return;
    next(s);
    if (take_number(s, &o->limit) && is_char(s, ',')) {
        o->limit_from = o->limit;
        next(s);
        (void)take_number(s, &o->limit);
    }
}

static void on_show(struct scanner *s, uint64_t what)
{
    (void)what;
    next(s);
    bool warnings = IS(s, "WARNINGS");
    if (warnings || IS(s, "ERRORS")) {
        next(s);
        take_limit(s);
        note(s, !at_end(s) ? MY_DO_DIAGNOSTICS
                : warnings ? MY_DO_SHOW_WARNINGS
                           : MY_DO_SHOW_WARNINGS | MY_DO_SHOW_ERRORS);
    } else if (IS(s, "COUNT")) {
        on_count(s);
    }
    my_scan_watch_rest(s);
}

static void on_kill(struct scanner *s, uint64_t what)
{
    (void)what;
    struct my_scan *o = s->out;
    next(s);
    my_scan_skip_words(s, "HARD", NULL, NULL);
    my_scan_skip_words(s, "SOFT", NULL, NULL);
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
    my_scan_watch_rest(s);
}

/* COMMIT and ROLLBACK; those with a tail are the server's. */
static void on_end(struct scanner *s, uint64_t what)
{
    next(s);
    my_scan_skip_words(s, "WORK", NULL, NULL);
    if (at_end(s))
        note(s, what);
    my_scan_watch_rest(s);
}

static void on_start(struct scanner *s, uint64_t what)
{
    (void)what;
    next(s);
    if (IS(s, "TRANSACTION"))
        note(s, MY_DO_BEGIN | MY_DO_UNLOCK_TABLES);
    my_scan_watch_rest(s);
}

static void on_begin(struct scanner *s, uint64_t what)
{
    (void)what;
    next(s);
    my_scan_skip_words(s, "WORK", NULL, NULL);
    if (at_end(s))
        note(s, MY_DO_BEGIN | MY_DO_UNLOCK_TABLES);
    else
        note(s, MY_DO_CALL); /* BEGIN NOT ATOMIC */
    my_scan_watch_rest(s);
}

static void on_use(struct scanner *s, uint64_t what)
{
    (void)what;
    struct my_span name;
    next(s);
    note(s, MY_DO_USE);
    if (my_scan_take_name(s, &name))
        my_scan_add_name(s, MY_DO_USE, name);
    my_scan_watch_rest(s);
}

static void plain(struct scanner *s, uint64_t what)
{
    note(s, what);
    my_scan_watch_rest(s);
}

static void on_alter(struct scanner *s, uint64_t what)
{
    (void)what;
    next(s);
    my_scan_skip_words(s, "ONLINE", NULL, NULL);
    my_scan_skip_words(s, "IGNORE", NULL, NULL);
    plain(s, IS(s, "TABLE") ? MY_DO_RENAME_TABLE : 0);
}

static void on_get(struct scanner *s, uint64_t what)
{
    (void)what;
    next(s);
    plain(s, MY_DO_DIAGNOSTICS | MY_DO_USER_VAR); /* GET [CURRENT] DIAGNOSTICS @x = ... */
}

/* ---- the first word
 * ------------------------------------------------------------------------------
 */

static void on_select(struct scanner *s, uint64_t what)
{
    (void)what;
    s->select = true;
    s->from = false;
    my_scan_watch_rest(s);
    s->out->no_table &= !s->from;
}

static const struct verb {
    const char *word;
    void (*take)(struct scanner *s, uint64_t what);
    uint64_t what;
    bool no_table;
} verbs[] = {
    {"SELECT", on_select, 0, true},
    {"SET", on_set, 0, true},
    {"SHOW", on_show, 0, true},
    {"START", on_start, 0, true},
    {"COMMIT", on_end, MY_DO_COMMIT, true},
    {"CREATE", on_create, 0, false},
    {"CALL", plain, MY_DO_CALL, false},
    {"DROP", on_drop, 0, false},
    {"DEALLOCATE", on_named, MY_DO_DEALLOCATE, true},
    {"DO", plain, 0, true},
    {"ALTER", on_alter, 0, false},
    {"BEGIN", on_begin, 0, true},
    {"BACKUP", on_backup, 0, false},
    {"EXECUTE", plain, MY_DO_CALL, false},
    {"FLUSH", on_flush, 0, false},
    {"GET", on_get, 0, true},
    {"HANDLER", on_handler, 0, false},
    {"KILL", on_kill, 0, true},
    {"LOCK", on_lock_word, 0, false},
    {"PREPARE", on_named, MY_DO_PREPARE, true},
    {"ROLLBACK", on_end, MY_DO_ROLLBACK, true},
    {"RENAME", plain, MY_DO_RENAME_TABLE, false},
    {"USE", on_use, 0, true},
    {"UNLOCK", on_unlock_word, 0, true},
    {"XA", plain, MY_DO_XA, false},
};

void my_scan_statement(struct scanner *s)
{
    const char *p = s->lex.text + s->t.at;
    s->start = s->t.at;
    s->select = false;
    for (size_t i = 0; s->t.kind == MY_T_WORD && i < sizeof verbs / sizeof verbs[0]; i++) {
        const struct verb *v = &verbs[i];
        if ((v->word[0] & ~0x20) != (p[0] & ~0x20) ||
            !my_word_is(p, s->t.len, v->word, (uint32_t)strlen(v->word)))
            continue;
        s->out->no_table &= v->no_table;
        v->take(s, v->what);
        my_scan_watch_rest(s);
        return;
    }
    s->out->no_table = false;
    my_scan_watch_rest(s);
}
