/* SPDX-License-Identifier: ISC
 * See my_scan.h: what a statement's first words say.
 */
#include "config.h"

#include "proto/mysql/my_scan_priv.h"

#include <stdlib.h>

static void plain(struct scanner *s, uint64_t what)
{
    note(s, what);
    my_scan_watch_rest(s);
}

static void on_rows(struct scanner *s)
{
    s->rows = s->runs = true;
    my_scan_watch_rest(s);
}

static void on_select(struct scanner *s)
{
    on_rows(s);
    s->out->no_table &= !s->from;
}

static void on_do(struct scanner *s)
{
    s->runs = true;
    my_scan_watch_rest(s);
}

/* ---- definitions --------------------------------------------------------------------------------
 */

/* The body of a routine: nothing of it happens now. It ends with the statement, of which BEGIN and
 * CASE with their ENDs may make more than one of the text's. */
static void skip_body(struct scanner *s)
{
    int32_t blocks = 0;
    while (s->t.kind != MY_T_END && (blocks > 0 || !is_char(s, ';'))) {
        bool end = IS(s, "END");
        if (IS(s, "BEGIN") || IS(s, "CASE"))
            blocks++;
        next(s);
        if (!end)
            continue;
        bool inner =
            IS(s, "IF") || IS(s, "LOOP") || IS(s, "WHILE") || IS(s, "REPEAT") || IS(s, "FOR");
        if (inner || IS(s, "CASE"))
            next(s);
        blocks -= inner ? 0 : 1;
    }
    if (blocks > 0)
        note(s, MY_DO_ANYTHING); /* a name was taken for a BEGIN, and swallowed what followed */
}

/* DEFINER = root@localhost */
static void skip_definer(struct scanner *s)
{
    next(s);
    if (is_char(s, '='))
        next(s);
    if (!at_end(s))
        next(s);
    if (s->t.kind == MY_T_USER || is_char(s, '('))
        next(s);
    if (is_char(s, ')'))
        next(s);
}

enum definition { DEF_OTHER, DEF_TABLE, DEF_VIEW, DEF_ROUTINE, DEF_PACKAGE, DEF_TEMPORARY };

/* What is it that is created or altered? s->t is that word, or the first unknown one. */
static enum definition definition(struct scanner *s)
{
    static const struct {
        const char *word;
        enum definition what;
    } words[] = {{"TABLE", DEF_TABLE},     {"VIEW", DEF_VIEW},          {"PROCEDURE", DEF_ROUTINE},
                 {"TRIGGER", DEF_ROUTINE}, {"EVENT", DEF_ROUTINE},      {"FUNCTION", DEF_ROUTINE},
                 {"PACKAGE", DEF_PACKAGE}, {"TEMPORARY", DEF_TEMPORARY}};
    static const char *const between[] = {"OR",      "REPLACE",   "ALGORITHM", "UNDEFINED",
                                          "MERGE",   "TEMPTABLE", "SQL",       "SECURITY",
                                          "INVOKER", "AGGREGATE", "ONLINE",    "IGNORE"};
    while (!at_end(s)) {
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (my_scan_is(s, words[i].word, (uint32_t)strlen(words[i].word)))
                return words[i].what;
        if (IS(s, "DEFINER")) {
            skip_definer(s);
            continue;
        }
        bool goes_on = is_char(s, '=');
        for (size_t i = 0; i < sizeof between / sizeof between[0] && !goes_on; i++)
            goes_on = my_scan_is(s, between[i], (uint32_t)strlen(between[i]));
        if (!goes_on)
            return DEF_OTHER;
        next(s);
    }
    return DEF_OTHER;
}

static void create_temporary(struct scanner *s)
{
    struct my_span name;
    next(s);
    my_scan_skip_words(s, "TABLE", NULL, NULL);
    my_scan_skip_words(s, "SEQUENCE", NULL, NULL);
    my_scan_skip_words(s, "IF", "NOT", "EXISTS");
    note(s, MY_DO_TEMP_CREATE);
    if (my_scan_take_name(s, &name, NULL))
        my_scan_add_name(s, MY_DO_TEMP_CREATE, name);
    else
        note(s, MY_DO_TOO_MUCH);
    s->stored = s->selects = true;
    my_scan_watch_rest(s);
}

/* CREATE and ALTER, whose word was consumed. `table`: what such a table means. */
static void on_definition(struct scanner *s, uint64_t table)
{
    switch (definition(s)) {
    case DEF_TEMPORARY:
        create_temporary(s);
        return;
    case DEF_ROUTINE:
        note(s, MY_DO_ROUTINE);
        skip_body(s);
        return;
    case DEF_PACKAGE: /* where that ends cannot be told */
        note(s, MY_DO_ANYTHING);
        break;
    case DEF_TABLE:
        note(s, table);
        s->selects = table == 0;
        s->stored = true;
        break;
    case DEF_VIEW:
        s->stored = true;
        break;
    case DEF_OTHER:
        break;
    }
    my_scan_watch_rest(s);
}

static void on_create(struct scanner *s)
{
    next(s);
    on_definition(s, 0);
}

static void on_alter(struct scanner *s)
{
    next(s);
    on_definition(s, MY_DO_RENAME_TABLE);
}

static void on_rename(struct scanner *s)
{
    next(s);
    plain(s, IS(s, "TABLE") || IS(s, "TABLES") ? MY_DO_RENAME_TABLE : 0);
}

/* ---- things with names --------------------------------------------------------------------------
 */

static void on_named(struct scanner *s, uint64_t what)
{
    struct my_span name;
    next(s);
    if (what == MY_DO_DEALLOCATE) /* DEALLOCATE PREPARE x, DROP PREPARE x */
        my_scan_skip_words(s, "PREPARE", NULL, NULL);
    note(s, what);
    if (my_scan_take_name(s, &name, NULL))
        my_scan_add_name(s, what, name);
    else
        note(s, MY_DO_TOO_MUCH);
    my_scan_watch_rest(s);
}

static void on_drop(struct scanner *s)
{
    struct my_span name;
    next(s);
    if (IS(s, "PREPARE")) {
        on_named(s, MY_DO_DEALLOCATE);
        return;
    }
    bool temporary = IS(s, "TEMPORARY");
    my_scan_skip_words(s, "TEMPORARY", NULL, NULL);
    /* A plain DROP SEQUENCE leaves a temporary table of that name alone. */
    if (IS(s, "TABLE") || IS(s, "TABLES") || (temporary && IS(s, "SEQUENCE"))) {
        next(s);
        my_scan_skip_words(s, "IF", "EXISTS", NULL);
        note(s, MY_DO_DROP_TABLE);
        while (my_scan_take_name(s, &name, NULL)) {
            my_scan_add_name(s, MY_DO_DROP_TABLE, name);
            if (!is_char(s, ','))
                break;
            next(s);
        }
    }
    my_scan_watch_rest(s);
}

/* A handler goes by the table's name without its schema, or by its alias. */
static void on_handler(struct scanner *s)
{
    struct my_span whole, name, alias;
    next(s);
    if (my_scan_take_name(s, &whole, &name)) {
        uint64_t what = IS(s, "OPEN")    ? MY_DO_HANDLER_OPEN
                        : IS(s, "CLOSE") ? MY_DO_HANDLER_CLOSE
                                         : 0;
        note(s, what);
        if (what == MY_DO_HANDLER_OPEN) {
            next(s);
            my_scan_skip_words(s, "AS", NULL, NULL);
            if (my_scan_take_name(s, &alias, NULL))
                name = alias;
        }
        if (what != 0)
            my_scan_add_name(s, what, name);
    }
    my_scan_watch_rest(s);
}

/* ---- locks --------------------------------------------------------------------------------------
 */

static void on_lock_word(struct scanner *s)
{
    next(s);
    plain(s, IS(s, "INSTANCE") ? MY_DO_LOCK_SERVER : MY_DO_LOCK_TABLES);
}

static void on_unlock_word(struct scanner *s)
{
    next(s);
    plain(s, IS(s, "INSTANCE") ? MY_DO_UNLOCK_SERVER : MY_DO_UNLOCK_TABLES);
}

static void on_flush(struct scanner *s)
{
    bool tables = false;
    note(s, MY_DO_FLUSH);
    for (; !at_end(s); next(s)) {
        tables |= IS(s, "TABLES") || IS(s, "TABLE");
        if (tables && (IS(s, "LOCK") || IS(s, "EXPORT")))
            note(s, MY_DO_LOCK_TABLES);
    }
}

static void on_backup(struct scanner *s)
{
    next(s);
    bool stage = IS(s, "STAGE"), lock = IS(s, "LOCK"), unlock = IS(s, "UNLOCK");
    if (!at_end(s))
        next(s);
    if (unlock || (stage && IS(s, "END")))
        note(s, MY_DO_UNLOCK_SERVER);
    else if (stage || lock)
        note(s, MY_DO_LOCK_SERVER);
    my_scan_watch_rest(s);
}

/* ---- transactions, questions, the rest ----------------------------------------------------------
 */

/* COMMIT and ROLLBACK; those with a tail are the server's. */
static void on_end(struct scanner *s, uint64_t what)
{
    next(s);
    my_scan_skip_words(s, "WORK", NULL, NULL);
    if (at_end(s)) {
        plain(s, what);
        return;
    }
    if (IS(s, "AND")) {
        next(s);
        my_scan_skip_words(s, "NO", NULL, NULL);
        my_scan_skip_words(s, "CHAIN", NULL, NULL);
    }
    plain(s, IS(s, "RELEASE") ? MY_DO_RELEASE : 0);
}

static void on_start(struct scanner *s)
{
    next(s);
    plain(s, IS(s, "TRANSACTION") ? MY_DO_BEGIN | MY_DO_UNLOCK_TABLES : 0);
}

/* Several statements as one, which MariaDB takes outside of routines, too. */
static void on_compound(struct scanner *s)
{
    s->compound = true;
    plain(s, MY_DO_CALL);
}

static void on_begin(struct scanner *s)
{
    next(s);
    my_scan_skip_words(s, "WORK", NULL, NULL);
    if (at_end(s)) {
        note(s, MY_DO_BEGIN | MY_DO_UNLOCK_TABLES);
        return;
    }
    my_scan_skip_words(s, "NOT", "ATOMIC", NULL);
    note(s, MY_DO_CALL);
    s->compound = s->restart = true;
}

/* SHOW COUNT(*) WARNINGS, SHOW COUNT(*) ERRORS */
static void on_count(struct scanner *s)
{
    struct my_scan *o = s->out;
    while (!at_end(s) && !IS(s, "WARNINGS") && !IS(s, "ERRORS"))
        next(s);
    bool errors = IS(s, "ERRORS");
    note(s, MY_DO_SHOW_COUNT);
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

/* LIMIT [offset,] count, LIMIT count OFFSET offset */
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
    } else if (IS(s, "OFFSET")) {
        next(s);
        (void)take_number(s, &o->limit_from);
    }
}

/* MariaDB makes most lists from tables of its own, and empties the list of warnings as for any.
 * s->t is the word behind SHOW. */
static bool shows_tables(struct scanner *s)
{
    static const char *const others[] = {
        "AUTHORS",    "BINARY",      "BINLOG",   "CONTRIBUTORS", "ENGINE",  "GRANTS", "MASTER",
        "PRIVILEGES", "PROCESSLIST", "PROFILES", "RELAYLOG",     "REPLICA", "SLAVE",  "ALL"};
    if ((s->lex.opts & MY_SCAN_MARIADB) == 0)
        return false;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (my_scan_is(s, others[i], (uint32_t)strlen(others[i])))
            return false;
    bool full = IS(s, "FULL"), create = IS(s, "CREATE");
    if (full || create)
        next(s);
    return full ? !IS(s, "PROCESSLIST")
                : !create || IS(s, "TABLE") || IS(s, "VIEW") || IS(s, "SEQUENCE");
}

static void on_show(struct scanner *s)
{
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
    } else {
        if (IS(s, "FULL") || IS(s, "PROCESSLIST") || IS(s, "ENGINE"))
            note(s, MY_DO_LOOK);
        s->out->no_table &= !shows_tables(s);
    }
    my_scan_watch_rest(s);
}

/* A number, or MY_KILL_SELF or MY_KILL_OTHER. */
static uint64_t kill_number(struct scanner *s)
{
    char digits[24];
    if (IS(s, "CONNECTION_ID")) {
        next(s);
        bool call = is_char(s, '(');
        next(s);
        call = call && is_char(s, ')');
        next(s);
        return call && at_end(s) ? MY_KILL_SELF : MY_KILL_OTHER;
    }
    if (s->t.kind != MY_T_NUMBER || s->t.len >= 20)
        return MY_KILL_OTHER;
    memcpy(digits, s->lex.text + s->t.at, s->t.len);
    digits[s->t.len] = '\0';
    char *end;
    uint64_t id = strtoull(digits, &end, 10);
    next(s);
    return *end == '\0' && at_end(s) ? id : MY_KILL_OTHER;
}

/* Whom a number means is weir's to say, so every KILL is noted; but for KILL USER and the like it
 * is nobody's. */
static void on_kill(struct scanner *s)
{
    next(s);
    my_scan_skip_words(s, "HARD", NULL, NULL);
    my_scan_skip_words(s, "SOFT", NULL, NULL);
    s->out->kill_query = IS(s, "QUERY");
    if (IS(s, "QUERY") || IS(s, "CONNECTION"))
        next(s);
    s->out->kill_id = kill_number(s);
    note(s, MY_DO_KILL);
    my_scan_watch_rest(s);
}

static void on_use(struct scanner *s)
{
    struct my_span name;
    next(s);
    note(s, MY_DO_USE);
    if (my_scan_take_name(s, &name, NULL))
        my_scan_add_name(s, MY_DO_USE, name);
    my_scan_watch_rest(s);
}

static void on_call(struct scanner *s)
{
    struct my_span name;
    s->gives_users = true; /* OUT parameters */
    s->runs = true;
    next(s);
    if (my_scan_take_name(s, &name, NULL))
        my_scan_add_call(s, (struct my_span){s->start, name.at + name.len - s->start});
    if (is_char(s, '('))
        next(s);
    plain(s, MY_DO_CALL);
}

static void on_execute(struct scanner *s)
{
    plain(s, MY_DO_CALL);
}

static void on_load(struct scanner *s)
{
    s->gives_users = true;        /* LOAD DATA .. (a, @b) */
    note(s, MY_DO_SET_INSERT_ID); /* no OK has the number of its first row */
    my_scan_watch_rest(s);
}

static void on_get(struct scanner *s)
{
    next(s);
    plain(s, MY_DO_DIAGNOSTICS | MY_DO_USER_VAR); /* GET [CURRENT] DIAGNOSTICS @x = ... */
}

static void on_prepare(struct scanner *s)
{
    on_named(s, MY_DO_PREPARE);
}

static void on_deallocate(struct scanner *s)
{
    on_named(s, MY_DO_DEALLOCATE);
}

static void on_commit(struct scanner *s)
{
    on_end(s, MY_DO_COMMIT);
}

static void on_rollback(struct scanner *s)
{
    on_end(s, MY_DO_ROLLBACK);
}

static void on_savepoint(struct scanner *s)
{
    plain(s, MY_DO_SAVEPOINT);
}

static void on_xa(struct scanner *s)
{
    plain(s, MY_DO_XA);
}

/* The most frequent ones first. */
static const struct head {
    char word[11];
    uint8_t len;
    bool no_table; /* of a kind that reads none */
    void (*on)(struct scanner *s);
} heads[] = {
    {"SELECT", 6, true, on_select},
    {"INSERT", 6, false, on_rows},
    {"UPDATE", 6, false, on_rows},
    {"DELETE", 6, false, on_rows},
    {"COMMIT", 6, true, on_commit},
    {"BEGIN", 5, true, on_begin},
    {"SET", 3, true, my_scan_set},
    {"START", 5, true, on_start},
    {"ROLLBACK", 8, true, on_rollback},
    {"SAVEPOINT", 9, true, on_savepoint},
    {"RELEASE", 7, true, on_do},
    {"REPLACE", 7, false, on_rows},
    {"WITH", 4, false, on_rows},
    {"SHOW", 4, true, on_show},
    {"DO", 2, true, on_do},
    {"CALL", 4, false, on_call},
    {"USE", 3, true, on_use},
    {"EXECUTE", 7, false, on_execute},
    {"PREPARE", 7, true, on_prepare},
    {"CREATE", 6, false, on_create},
    {"DROP", 4, false, on_drop},
    {"ALTER", 5, false, on_alter},
    {"DEALLOCATE", 10, true, on_deallocate},
    {"LOCK", 4, false, on_lock_word},
    {"UNLOCK", 6, true, on_unlock_word},
    {"FLUSH", 5, false, on_flush},
    {"RENAME", 6, false, on_rename},
    {"LOAD", 4, false, on_load},
    {"KILL", 4, true, on_kill},
    {"HANDLER", 7, false, on_handler},
    {"GET", 3, true, on_get},
    {"XA", 2, true, on_xa},
    {"VALUES", 6, true, on_select},
    {"BACKUP", 6, false, on_backup},
    {"IF", 2, false, on_compound},
    {"CASE", 4, false, on_compound},
    {"LOOP", 4, false, on_compound},
    {"WHILE", 5, false, on_compound},
    {"REPEAT", 6, false, on_compound},
    {"FOR", 3, false, on_compound},
    {"DECLARE", 7, false, on_compound},
};

void my_scan_statement(struct scanner *s)
{
    const char *p = s->lex.text + s->t.at;
    if (s->t.kind == MY_T_WORD)
        for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
            if (my_word_is(p, s->t.len, heads[i].word, heads[i].len)) {
                s->out->no_table &= heads[i].no_table;
                heads[i].on(s);
                return;
            }
    s->out->no_table = false;
    s->rows = s->runs = is_char(s, '('); /* (SELECT ..) UNION .. */
    if (s->t.kind == MY_T_WORD) {
        my_scan_watch(s);
        if (is_char(s, ':')) /* a label */
            s->compound = true;
    }
    if (s->compound)
        note(s, MY_DO_CALL);
    my_scan_watch_rest(s);
}
