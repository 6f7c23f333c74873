/* SPDX-License-Identifier: ISC
 * See my_scan.h: SET and its relatives.
 */
#include "config.h"

#include "proto/mysql/my_scan_priv.h"

bool my_scan_is_tracking(const char *name, size_t n)
{
    static const char prefix[] = "session_track_";
    return n >= sizeof prefix && memcmp(name, prefix, sizeof prefix - 1) == 0;
}

/* Variables that are about the connection, not about the session: weir keeps them from servers. */
static bool is_virtual(const char *name)
{
    static const char *const kept[] = {"wait_timeout",
                                       "interactive_timeout",
                                       "net_read_timeout",
                                       "net_write_timeout",
                                       "idle_transaction_timeout",
                                       "idle_readonly_transaction_timeout",
                                       "idle_write_transaction_timeout"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (strcmp(name, kept[i]) == 0)
            return true;
    return my_scan_is_tracking(name, strlen(name));
}

/* These hold for the next transaction only when they are set as @@name. */
static bool is_characteristic(const char *name)
{
    return strcmp(name, "transaction_isolation") == 0 || strcmp(name, "tx_isolation") == 0 ||
           strcmp(name, "transaction_read_only") == 0 || strcmp(name, "tx_read_only") == 0;
}

/* An expression, up to a comma of this level or the statement's end. */
static void take_value(struct scanner *s, struct my_scan_assign *a)
{
    struct my_token first = s->t, last = s->t;
    int32_t depth = s->depth;
    uint32_t tokens = 0;
    bool negative = is_char(s, '-') || is_char(s, '+');
    while (!at_end(s) && (s->depth > depth || !is_char(s, ','))) {
        uint32_t at = s->t.at;
        my_scan_watch(s);
        last = s->prev;
        tokens += last.at == at ? 1 : 2; /* it may take several at once */
    }
    a->value = tokens != 0 ? span(&first, &last) : (struct my_span){s->t.at, 0};
    a->kind = MY_VALUE_EXPRESSION;
    if (tokens == 1 && (first.kind == MY_T_STRING || first.kind == MY_T_NUMBER))
        a->kind = MY_VALUE_LITERAL;
    else if (tokens == 2 && negative && last.kind == MY_T_NUMBER && last.at == first.at + 1)
        a->kind = MY_VALUE_LITERAL;
    else if (tokens == 1 && first.kind == MY_T_WORD)
        a->kind = my_word_is(s->lex.text + first.at, first.len, "DEFAULT", 7) ? MY_VALUE_DEFAULT
                                                                              : MY_VALUE_WORD;
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
    if (at_end(s))
        return;
    a.name = span(&s->t, &s->t);
    a.value = (struct my_span){s->t.at + s->t.len, 0};
    if (IS(s, "DEFAULT"))
        a.kind = MY_VALUE_DEFAULT;
    next(s);
    if (names && IS(s, "COLLATE")) {
        next(s);
        a.value = span(&s->t, &s->t);
        if (!at_end(s))
            next(s);
    }
    if (names)
        add_assign(s, &a);
    else
        note(s, MY_DO_SET_OTHER);
}

/* Words and marks of scope before a name. A bare word holds for the assignments behind it, too. */
static enum my_scope take_scope(struct scanner *s, enum my_scope *current, bool *plain)
{
    bool system = s->t.kind == MY_T_SYSTEM;
    if (system)
        next(s);
    bool session = IS(s, "SESSION") || IS(s, "LOCAL");
    bool global = IS(s, "GLOBAL") || IS(s, "PERSIST") || IS(s, "PERSIST_ONLY");
    *plain = !session && !global;
    if (*plain)
        return system ? MY_SCOPE_SESSION : *current;
    next(s);
    if (system && is_char(s, '.'))
        next(s);
    enum my_scope scope = global ? MY_SCOPE_GLOBAL : MY_SCOPE_SESSION;
    if (!system)
        *current = scope;
    return scope;
}

/* TRANSACTION ..: of the session it is reported by the server, of the next transaction not. */
static void set_transaction(struct scanner *s, bool next_only)
{
    note(s, MY_DO_SET_OTHER | (next_only ? MY_DO_SET_NEXT : 0));
    my_scan_watch_rest(s);
}

/* A system variable. */
static bool set_variable(struct scanner *s, struct my_scan_assign *a, enum my_scope *current)
{
    char name[64];
    bool at = s->t.kind == MY_T_SYSTEM, plain;
    a->scope = (uint8_t)take_scope(s, current, &plain);
    if (!at && IS(s, "TRANSACTION")) {
        set_transaction(s, plain && a->scope == MY_SCOPE_SESSION);
        return true;
    }
    if (!my_scan_take_name(s, &a->name, NULL) || (!is_char(s, '=') && s->t.kind != MY_T_ASSIGN))
        return false;
    next(s);
    take_value(s, a);
    if (a->scope == MY_SCOPE_SESSION &&
        my_scan_name(s->lex.text, a->name, name, sizeof name) != 0) {
        a->is_virtual = is_virtual(name);
        if (at && plain && is_characteristic(name))
            note(s, MY_DO_SET_NEXT);
        else if (at && plain && !a->is_virtual)
            a->bare = true;
        if (a->bare)
            note(s, MY_DO_BARE_SET);
        if (strcmp(name, "last_insert_id") == 0 || strcmp(name, "identity") == 0)
            note(s, MY_DO_SET_INSERT_ID);
        if (strcmp(name, "weir.deadline") == 0)
            note(s, MY_DO_DEADLINE);
    }
    add_assign(s, a);
    return true;
}

/* One assignment; false: not understood. */
static bool set_one(struct scanner *s, enum my_scope *current)
{
    struct my_scan_assign a = {.scope = MY_SCOPE_SESSION};
    if (IS(s, "NAMES")) {
        next(s);
        set_names(s, true);
        return true;
    }
    if (IS(s, "CHARACTER") || IS(s, "CHARSET") || IS(s, "CHAR")) {
        my_scan_skip_words(s, "CHARACTER", "SET", NULL);
        my_scan_skip_words(s, "CHAR", "SET", NULL);
        my_scan_skip_words(s, "CHARSET", NULL, NULL);
        set_names(s, false);
        return true;
    }
    if (s->t.kind != MY_T_USER)
        return set_variable(s, &a, current);
    a.scope = MY_SCOPE_USER;
    a.name = span(&s->t, &s->t);
    note(s, MY_DO_USER_VAR);
    next(s);
    if (!is_char(s, '=') && s->t.kind != MY_T_ASSIGN)
        return false;
    next(s);
    take_value(s, &a);
    add_assign(s, &a);
    return true;
}

/* SET STATEMENT x=1 FOR ..: the variables are the statement's own, which begins behind FOR. */
static void set_statement(struct scanner *s)
{
    note(s, MY_DO_SET_OTHER);
    while (!at_end(s)) {
        bool there = s->depth <= 0 && IS(s, "FOR");
        my_scan_watch(s);
        if (there) {
            s->restart = true;
            s->out->statements--;
            return;
        }
    }
}

void my_scan_set(struct scanner *s)
{
    enum my_scope current = MY_SCOPE_SESSION;
    next(s);
    if (IS(s, "STATEMENT")) {
        set_statement(s);
        return;
    }
    if (IS(s, "PASSWORD") || IS(s, "ROLE") || IS(s, "RESOURCE")) {
        if (!IS(s, "PASSWORD"))
            note(s, MY_DO_TOO_MUCH); /* a state that nothing reports */
        note(s, MY_DO_SET_OTHER);
        my_scan_watch_rest(s);
        return;
    }
    if (IS(s, "DEFAULT")) { /* SET DEFAULT ROLE: for later sessions */
        my_scan_watch_rest(s);
        return;
    }
    note(s, MY_DO_SET);
    s->runs = true;
    while (set_one(s, &current)) {
        if (!is_char(s, ',')) {
            if (at_end(s))
                return;
            break;
        }
        next(s);
    }
    note(s, MY_DO_SET_OTHER);
    my_scan_watch_rest(s);
}
